// ZmtpConnection as a whole: sessions that were captured, what libzmq was seen to do, two of ours back to back, properties.

import fc from 'fast-check'
import t from 'tap'
import { Writer } from '../../protocol/bytes.ts'
import { WireError } from '../../protocol/errors.ts'
import {
  type Command,
  type Mechanism,
  type Metadata,
  PING_CONTEXT_BYTES_MAX,
  ZMTP_LIMITS,
  ZmtpConnection,
} from '../../protocol/zmtp.ts'
import { decodeIdentity, decodeZre, encodeIdentity, encodeZre } from '../../protocol/zre.ts'
import { feedThree } from '../support/feed.ts'
import { holds } from '../support/holds.ts'
import { memory } from '../support/memory.ts'
import { concat, digest, pattern, slice } from '../support/octets.ts'
import { findVector, fromHex, loadVectors, toHex } from '../support/vectors.ts'
import {
  type ConnectionOptions,
  connectionOf,
  eventsOf,
  exchange,
  feed,
  fill,
  type KeptEvent,
  loadZmtpVectors,
  outputOf,
  plain,
} from '../support/zmtp.ts'

const VECTORS = loadZmtpVectors()
const ZRE_VECTORS = loadVectors('zre')
const GREETING = findVector(VECTORS, 'greeting-null-no-identity').bytes
const READY = findVector(VECTORS, 'ready-dealer-empty-identity').bytes
const EMPTY = new Uint8Array(0)
const MIB = 2 ** 20

/** As libzmq would have written it but for its padding, which holds the length of an identity. */
function withoutPadding(octets: Uint8Array): string {
  return toHex(concat(octets.subarray(0, 1), new Uint8Array(8), octets.subarray(9)))
}

/** All that a fresh connection says to the chunks, and all that it writes. */
function replay(
  chunks: readonly Uint8Array[],
  { read = feed, ...options }: ConnectionOptions & { readonly read?: typeof feed } = {},
) {
  const connection = connectionOf(options)
  const events = chunks.flatMap((chunk) => read(connection, chunk))
  return { events, output: outputOf(connection), timeout: connection.pollTimeout() }
}

function pairOf(): [ZmtpConnection, ZmtpConnection] {
  const pair: [ZmtpConnection, ZmtpConnection] = [
    connectionOf({ socketType: 'DEALER', identity: fromHex('61') }),
    connectionOf({ socketType: 'ROUTER', identity: fromHex('62') }),
  ]
  exchange(pair)
  return pair
}

t.test('a session between two libzmq is replayed, both sides of it', async (t) => {
  const client = findVector(VECTORS, 'stream-null-client').bytes
  const server = findVector(VECTORS, 'stream-null-server').bytes
  const tail = fromHex('0102')
  const router = feedThree(client, tail, (chunks) => replay(chunks))
  for (const [way, { events, output, timeout }] of Object.entries(router)) {
    t.same(events, ['ready 636c69656e742d31', 'message 6862'], way)
    t.equal(toHex(output), withoutPadding(server), `${way}: our ROUTER answers as libzmq's did`)
    t.equal(timeout, 2_500, `${way}: the TTL of the last PING`)
  }
  const dealer = feedThree(server, tail, (chunks) => replay(chunks, { socketType: 'DEALER' }))
  for (const [way, { events }] of Object.entries(dealer)) {
    t.same(events, ['ready -', 'pong -', 'pong -', 'pong -'], way)
  }
})

t.test('a session between two C Zyre nodes is replayed, both sides of it', async (t) => {
  const { bytes: stream, decoded } = findVector(ZRE_VECTORS, 'stream-bob-to-alice')
  const answer = findVector(ZRE_VECTORS, 'stream-alice-router-back-to-bob').bytes
  const uuid = 'a80acafc25614273ac5f563a99620329'
  const said = decoded.parts.slice(2).map((part: string) => part.toLowerCase().replace(' seq', ''))
  const feeds = feedThree(stream, fromHex('0006aaa1'), (chunks) => {
    const alice = connectionOf()
    return chunks.flatMap((chunk) => {
      alice.handleBytes(chunk, 0)
      return eventsOf(alice)
    })
  })
  for (const [way, events] of Object.entries(feeds)) {
    const [ready, ...rest] = events
    t.equal(ready?.type === 'ready' && decodeIdentity(ready.identity), uuid, way)
    const messages = rest.map((event) => event.type === 'message' && decodeZre(event.frames))
    t.same(
      messages.map((message) => message && `${message.type} ${message.sequence}`),
      said,
      way,
    )
  }
  const bob = connectionOf({ socketType: 'DEALER', identity: encodeIdentity(uuid) })
  t.same(feed(bob, answer), ['ready -'])
  for (const event of feeds.whole) {
    if (event.type !== 'message') continue
    const { sequence, ...command } = decodeZre(event.frames)
    if (command.type !== 'unknown') bob.send(encodeZre(command, sequence))
  }
  t.equal(toHex(outputOf(bob)), withoutPadding(stream), 'bob could have been one of ours')
  t.equal(toHex(replay([stream]).output), withoutPadding(answer), 'and alice')
})

/** What we do where libzmq was watched: what came before, and the events of ours. */
const BEHAVIOURS: Readonly<Record<string, readonly [Uint8Array, readonly string[]]>> = {
  'handshake: 64-octet greeting in one write': [EMPTY, []],
  'handshake: one octet at a time': [EMPTY, []],
  'handshake: non-zero signature padding': [EMPTY, []],
  'handshake: major 4 minor 7': [EMPTY, []],
  'handshake: as-server 1 with NULL': [EMPTY, []],
  'handshake: mechanism CURVE against NULL': [EMPTY, ['closed zmtp.md 2.4']],
  'handshake: READY with Socket-Type PUB': [GREETING, ['closed zmtp.md 4.2']],
  'handshake: READY without Socket-Type': [GREETING, ['ready -']],
  'handshake: READY with lower-case property names': [GREETING, ['closed zmtp.md 4.2']],
  'handshake: READY with two Identity properties': [GREETING, ['ready 74776f']],
  'handshake: READY sent without the command flag': [GREETING, ['closed zmtp.md 4.1']],
  'handshake: truncated metadata': [GREETING, ['closed zmtp.md 4.3']],
  'handshake: message pipelined right behind READY, before the server READY was read': [
    EMPTY,
    ['ready -', 'message 706970656c696e6564'],
  ],
  'handshake: Identity that starts with 0x00': [GREETING, ['ready 0061626364']],
  // Its octets are not written out in the vector: zmtp.test.ts makes such an Identity by the grammar.
  'handshake: Identity of 300 octets': [EMPTY, []],
  'reserved flag bit 0x80': [READY, ['message 6869']],
  'long form for a 3-octet frame': [READY, ['message 616263']],
  'size 2^63': [READY, ['closed zmtp.md 3.3']],
  'size 2^40': [READY, ['closed zmtp.md 3.3']],
  'unknown command FOO': [READY, []],
  'command whose name length runs past the end': [READY, []],
  'empty command': [READY, []],
  'second READY after the handshake': [READY, []],
  'SUBSCRIBE command to a ROUTER': [READY, []],
  'PING with no TTL field': [READY, ['closed zmtp.md 5.2']],
  'PING ttl 5 (0.5 s) then silence': [READY, []],
  'half of a multipart message, then close': [READY, []],
}

t.test(
  'what libzmq was seen to do with odd octets is decided here too (zmtp.md 4.8)',
  async (t) => {
    for (const { name, bytes } of VECTORS.behaviours) {
      const [before, expected] = BEHAVIOURS[name] ?? [EMPTY, ['no decision']]
      const start = before === READY ? concat(GREETING, READY) : before
      const welcome = before === READY ? ['ready -'] : []
      const answer = [...welcome, ...expected]
      for (const read of [feed, fill]) {
        const octets = concat(start, bytes)
        const feeds = feedThree(octets, EMPTY, (chunks) => replay(chunks, { read }).events)
        t.same(feeds, { whole: answer, byOctet: answer, withTail: answer }, `${name}, ${read.name}`)
      }
    }
  },
)

t.test('a PING that promises half a second is held to it', async (t) => {
  const connection = connectionOf()
  feed(connection, concat(GREETING, READY))
  outputOf(connection)
  feed(connection, findVector(VECTORS, 'PING ttl 5 (0.5 s) then silence').bytes)
  t.equal(toHex(outputOf(connection)), '040604504f4e4778')
  connection.handleTimeout(500)
  t.same(eventsOf(connection).map(plain), ['closed zmtp.md 5.4'])
})

t.test('who did not run for a while gives a peer its time again (zmtp.md 5.4)', async (t) => {
  const connection = connectionOf()
  connection.excuse(60_000)
  t.equal(connection.pollTimeout(), 60_000 + ZMTP_LIMITS.handshakeTimeoutMs)
  feed(connection, concat(GREETING, READY))
  connection.excuse(61_000)
  t.equal(connection.pollTimeout(), Number.POSITIVE_INFINITY, 'it has promised nothing')
  feed(connection, findVector(VECTORS, 'PING ttl 5 (0.5 s) then silence').bytes)
  connection.excuse(62_000)
  t.equal(connection.pollTimeout(), 62_500)
  eventsOf(connection)
  connection.handleTimeout(62_500)
  t.same(eventsOf(connection).map(plain), ['closed zmtp.md 5.4'])
})

t.test('a DEALER and a ROUTER greet each other', async (t) => {
  const dealer = connectionOf({ socketType: 'DEALER', identity: fromHex('61') })
  const router = connectionOf({ socketType: 'ROUTER', identity: fromHex('62') })
  const { left, right } = exchange([dealer, router])
  t.same([left.map(plain), right.map(plain)], [['ready 62'], ['ready 61']])
  t.ok(dealer.ready && router.ready && dealer.heartbeats && router.heartbeats)
})

t.test('messages of all sizes arrive, both ways', async (t) => {
  const pair = pairOf()
  const [dealer, router] = pair
  for (const size of [0, 1, 255, 256, 4_096, 4_097, 65_536, MIB]) {
    const body = pattern(size)
    dealer.send([body])
    router.send([body, body])
    const { left, right } = exchange(pair)
    t.same(right.map(plain), [plain({ type: 'message', frames: [body] })], `${size} to ROUTER`)
    t.same(left.map(plain), [plain({ type: 'message', frames: [body, body] })], `${size} back`)
  }
  t.same([dealer.outputBytes, router.outputBytes], [0, 0])
})

t.test('messages of 1 to 64 frames arrive', async (t) => {
  const pair = pairOf()
  for (let count = 1; count <= 64; count++) {
    const frames = Array.from({ length: count }, (_, index) => pattern(index * 5))
    pair[0].send(frames)
    const { right } = exchange(pair)
    t.same(right.map(plain), [plain({ type: 'message', frames })], `${count}`)
  }
})

t.test('messages keep their order, with a PING between them', async (t) => {
  const pair = pairOf()
  const [dealer] = pair
  dealer.send([fromHex('01')])
  dealer.ping(fromHex('aa'))
  dealer.send([fromHex('02')])
  const { left, right } = exchange(pair)
  t.same(right.map(plain), ['message 01', 'message 02'])
  t.same(left.map(plain), ['pong aa'])
})

t.test('a head goes before the frames, as it was written, of any size', async (t) => {
  for (const size of [0, 6, 255, 256, 300]) {
    for (const frames of [[], [pattern(3)], [pattern(0), pattern(5_000)]]) {
      const [apart, together] = pairOf()
      const head = new Writer().bytes(pattern(size))
      apart.send(frames, head)
      head.clear().bytes(new Uint8Array(size))
      together.send([pattern(size), ...frames])
      t.equal(apart.outputBytes, together.outputBytes)
      const octets = outputOf(together)
      t.ok(Buffer.compare(outputOf(apart), octets) === 0, `${size} and ${frames.length} frames`)
    }
  }
})

t.test('what waits is there until it is taken, whatever has drained meanwhile', async (t) => {
  const [connection] = pairOf()
  const sizes = Array.from({ length: 60 }, (_, index) => 4_000 - index)
  for (const isTaken of [true, false]) {
    connection.release(isTaken)
    for (const size of sizes) connection.send([pattern(size)])
    connection.drained()
    const [other] = pairOf()
    other.release(true)
    for (const size of sizes) other.send([new Uint8Array(size)])
    const expected = concat(...sizes.map((size) => frame(0, pattern(size))))
    t.ok(Buffer.compare(outputOf(connection), expected) === 0)
    t.equal(connection.outputBytes, 0)
  }
})

t.test(
  'a quiet connection keeps nothing, and knows what it is allowed (zmtp.md 3.9)',
  async (t) => {
    const connection = connectionOf({ limits: { messageBytesMax: 2 } })
    feed(connection, concat(GREETING, READY))
    t.same([connection.room(), connection.unreadBytes], [undefined, 0])
    connection.allowMessages(2 ** 22)
    t.same(feed(connection, fromHex('02 0000000000400000')), [])
    t.equal(connection.unreadBytes, 2 ** 20, 'as much as of anybody who is known')
    outputOf(connection)
    connection.release(true)
    connection.release(true) // There is nothing left to release.
    t.equal(connection.outputBytes, 0)
    const [, busy] = pairOf()
    t.same(feed(busy, fromHex('02 00000000')), [])
    busy.allowMessages(2 ** 22)
    t.same(feed(busy, fromHex('00200000')), [])
    t.equal(busy.unreadBytes, 2 ** 20, 'also in the middle of what it says')
  },
)

t.test('octets that wait are counted', async (t) => {
  const [dealer] = pairOf()
  dealer.send([pattern(10)])
  dealer.send([pattern(5_000)])
  t.equal(dealer.outputBytes, 2 + 10 + 9 + 5_000)
  t.equal(outputOf(dealer).length, 2 + 10 + 9 + 5_000)
  t.equal(dealer.outputBytes, 0)
})

t.test('what arrived stays as it was, whatever comes behind it', async (t) => {
  const connection = connectionOf()
  connection.handleBytes(concat(GREETING, READY, fromHex('00016100')), 0)
  const [, message] = eventsOf(connection)
  connection.handleBytes(fromHex('0162'), 0)
  eventsOf(connection)
  t.equal(message && plain(message), 'message 61')
})

/** Lets in whoever knocks twice, with what stands behind the second knock. */
class KnockMechanism implements Mechanism {
  readonly name = 'KNOCK'
  peer: Metadata | undefined
  #sent = 0
  #heard = 0

  handleCommand({ name, data }: Command): void {
    if (name === 'BUG') throw new TypeError('a bug of ours')
    if (name !== 'KNOCK') throw new WireError('zmtp.md 4.3', 'nobody knocked')
    if (++this.#heard === 2) this.peer = new Map([['word', data]])
  }

  pollCommand(): Uint8Array | undefined {
    if (this.#sent > this.#heard || this.#sent === 2) return undefined
    this.#sent++
    return Buffer.from(`\x05KNOCK${this.#sent}`)
  }
}

function knocking(socketType: 'DEALER' | 'ROUTER'): ZmtpConnection {
  const mechanism = new KnockMechanism()
  return new ZmtpConnection({ socketType, mechanism, limits: ZMTP_LIMITS }, 0)
}

t.test('another mechanism may take several turns', async (t) => {
  const { left, right } = exchange([knocking('DEALER'), knocking('ROUTER')])
  for (const events of [left, right]) {
    t.same(events.map(plain), ['ready -'])
    const [event] = events
    t.equal(event?.type === 'ready' && toHex(event.metadata.get('word')!), '32')
  }
})

t.test('two mechanisms do not meet, and both sides can say why', async (t) => {
  const { left, right } = exchange([knocking('DEALER'), connectionOf()])
  t.match(left, [
    { type: 'closed', error: { message: /wants security mechanism "NULL", we KNOCK/ } },
  ])
  t.match(right, [{ type: 'closed', error: { message: /mechanism "KNOCK", we NULL/ } }])
})

t.test(
  'two sockets that may not talk part, and the other side is told (zmtp.md 4.9)',
  async (t) => {
    const mechanism = new KnockMechanism()
    mechanism.handleCommand({ name: 'KNOCK', data: EMPTY })
    const greeting = concat(GREETING.subarray(0, 12), Buffer.from('KNOCK'), new Uint8Array(47))
    const connection = knocking('ROUTER')
    t.same(feed(connection, concat(greeting, fromHex('0404 03 46 4f 4f'))), ['closed zmtp.md 4.3'])
    t.match(Buffer.from(outputOf(connection)).toString(), /ERROR.nobody knocked \(zmtp\.md 4\.3\)$/)
  },
)

t.test('a bug in a mechanism is not taken for a fault of the peer', async (t) => {
  const greeting = concat(GREETING.subarray(0, 12), Buffer.from('KNOCK'), new Uint8Array(47))
  const connection = knocking('ROUTER')
  connection.handleBytes(concat(greeting, fromHex('0404 03 42 55 47')), 0)
  t.throws(() => connection.pollEvent(0), { name: 'TypeError' })
})

t.test('an announced frame costs nothing, allowed or not', async (t) => {
  const connections = Array.from({ length: 16 }, () => pairOf()[1])
  const before = memory('arrayBuffers')
  for (const [index, connection] of connections.entries()) {
    const allowed = index % 2 === 0
    const events = feed(connection, fromHex(allowed ? '020000000004000000' : '020000000004000001'))
    t.same(events, allowed ? [] : ['closed zmtp.md 3.3'])
  }
  t.ok(memory('arrayBuffers') - before < MIB, '64 MiB were announced 16 times')
})

const messages = fc.array(fc.array(fc.nat(600), { minLength: 1, maxLength: 4 }), { maxLength: 8 })
const places = fc.array(fc.nat(), { maxLength: 40 })
/** Frames of all kinds, most of them in order. */
const pieces = fc.oneof(
  { weight: 6, arbitrary: fc.nat(300).map((size) => frame(0, pattern(size))) },
  { weight: 4, arbitrary: fc.nat(300).map((size) => frame(1, pattern(size))) },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom('04070450494e470000', '04070450494e470019', '040504504f4e47')
      .map(fromHex),
  },
  { weight: 3, arbitrary: fc.uint8Array({ maxLength: 40 }).map((body) => frame(4, body)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 12 }) },
  { weight: 1, arbitrary: fc.constantFrom(GREETING, READY, fromHex('040a054552524f5203343030')) },
)

function frame(flags: number, body: Uint8Array): Uint8Array {
  const { length } = body
  const header =
    length < 256 ? [flags, length] : [flags | 2, 0, 0, 0, 0, 0, 0, length >> 8, length & 255]
  return concat(Uint8Array.from(header), body)
}

/** Streams that begin well, and go on with anything. */
const streams = fc
  .tuple(
    fc.constantFrom(EMPTY, GREETING, concat(GREETING, READY)),
    fc.array(pieces, { maxLength: 30 }),
  )
  .map(([start, rest]) => concat(start, ...rest))

t.test('connections keep their promises', async (t) => {
  holds(t, 'what was sent arrives, in its order and whole', messages, (list) => {
    const pair = pairOf()
    const bodies = list.map((sizes) => sizes.map((size) => pattern(size)))
    for (const frames of bodies) pair[0].send(frames)
    const expected = bodies.map((frames) => plain({ type: 'message', frames }))
    return exchange(pair).right.map(plain).join('|') === expected.join('|')
  })
  const sliced = fc.tuple(streams, places)
  const limits = { messageFramesMax: 4, messageBytesMax: 600 }
  holds(
    t,
    'a replay gives the same, whatever the slicing (zmtp.md 3.7)',
    sliced,
    ([octets, cuts]) => {
      const whole = replay([octets], { limits })
      const parts = replay(slice(octets, cuts), { limits })
      const filled = replay(slice(octets, cuts), { limits, read: fill })
      const text = ({ events, output, timeout }: typeof whole) =>
        [...events, digest(output), timeout].join('|')
      return text(whole) === text(parts) && text(whole) === text(filled)
    },
  )
  const anything = fc.oneof(streams, fc.uint8Array({ maxLength: 200 }))
  holds(t, 'any octets give events or one closed with a WireError', anything, (octets) => {
    const connection = connectionOf({ limits })
    connection.handleBytes(octets.slice(), 0)
    const events = eventsOf(connection)
    const ends = events.filter((event) => event.type === 'closed')
    return (
      ends.every(({ error }) => error instanceof WireError) &&
      ends.length <= 1 &&
      (ends.length === 0 || events.at(-1)?.type === 'closed')
    )
  })
  holds(t, 'limits hold after any inputs', fc.tuple(anything, places), ([octets, cuts]) => {
    const connection = connectionOf({ limits })
    const events = slice(octets, cuts).flatMap((chunk) => {
      connection.handleBytes(chunk, 0)
      return eventsOf(connection)
    })
    return events.every(isWithin) && connection.outputBytes <= OUTPUT_BYTES_MAX
  })
  function isWithin(event: KeptEvent): boolean {
    if (event.type !== 'message') return true
    const octets = event.frames.reduce((sum, { length }) => sum + length, 0)
    return event.frames.length <= limits.messageFramesMax && octets <= limits.messageBytesMax
  }
})

/** Greeting, READY, 16 PONGs and an ERROR. */
const OUTPUT_BYTES_MAX = 64 + READY.length + 16 * (2 + 5 + PING_CONTEXT_BYTES_MAX) + 9 + 7 + 255
