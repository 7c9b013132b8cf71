import { createHash } from 'node:crypto'
import t from 'tap'
import { NullMechanism, ZMTP_LIMITS, type ZmtpConnection } from '../../protocol/zmtp.ts'
import { feedThree } from '../support/feed.ts'
import { memory } from '../support/memory.ts'
import { concat, pattern } from '../support/octets.ts'
import { findVector, fromHex, toHex } from '../support/vectors.ts'
import {
  type ConnectionOptions,
  connectionOf,
  eventsOf,
  feed,
  fill,
  loadZmtpVectors,
  outputOf,
  plain,
} from '../support/zmtp.ts'

const VECTORS = loadZmtpVectors()
const GREETING = vector('greeting-null-no-identity')
const READY_ROUTER = vector('ready-router')
const READY_DEALER = vector('ready-dealer-empty-identity')
const EMPTY = new Uint8Array(0)
/** The padding of libzmq's greeting holds the length of its identity, and one more; ours is zero. */
const PADDING_END = 8

function vector(name: string): Uint8Array {
  return findVector(VECTORS, name).bytes
}

/** `octets` with another one at `place`. */
function changed(octets: Uint8Array, place: number, octet: number): Uint8Array {
  const copy = octets.slice()
  copy[place] = octet
  return copy
}

/** A connection that has said and heard all of its handshake. */
function readyConnection(options: ConnectionOptions = {}): ZmtpConnection {
  const connection = connectionOf(options)
  const ready = options.socketType === 'DEALER' ? READY_ROUTER : READY_DEALER
  feed(connection, concat(GREETING, ready))
  outputOf(connection)
  return connection
}

/** READY with properties, by the grammar. */
function readyOf(...properties: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const text = (given: string) => new TextEncoder().encode(given)
  const body = concat(
    text('\x05READY'),
    ...properties.flatMap(([name, value]) => [
      Uint8Array.of(name.length),
      text(name),
      Uint8Array.of(0, 0, value.length >> 8, value.length & 255),
      value,
    ]),
  )
  const size = [0, 0, 0, 0, 0, 0, body.length >> 8, body.length & 255]
  return concat(Uint8Array.from([6, ...size]), body)
}

/** A message of one frame, by the grammar. */
function octetsOf(body: Uint8Array): Uint8Array {
  const { length } = body
  const header = length < 256 ? [0, length] : [2, 0, 0, 0, 0, 0, 0, length >> 8, length & 255]
  return concat(Uint8Array.from(header), body)
}

t.test('our greeting is that of libzmq, but for the padding (zmtp.md 2.6)', async (t) => {
  const octets = outputOf(connectionOf())
  t.equal(toHex(octets.subarray(0, 64)), toHex(changed(GREETING, PADDING_END, 0)))
  t.equal(octets.length, 64, 'and nothing else before the other side has spoken')
})

t.test('greetings of libzmq and Zyre are read in three feeds (zmtp.md 2.2)', async (t) => {
  for (const { name, bytes } of VECTORS.vectors) {
    if (!name.startsWith('greeting-null')) continue
    const feeds = feedThree(concat(bytes, READY_DEALER), Uint8Array.of(0), (chunks) => {
      const connection = connectionOf()
      return [...chunks.flatMap((chunk) => feed(connection, chunk)), connection.heartbeats]
    })
    for (const [way, answer] of Object.entries(feeds)) {
      t.same(answer, ['ready -', true], `${name}, ${way}`)
    }
  }
})

t.test('what is not ZMTP is turned away at its first octet (zmtp.md 2.1 and 2.8)', async (t) => {
  for (const octets of [new TextEncoder().encode('GET / HTTP/1.1\r\n'), fromHex('01')]) {
    const connection = connectionOf()
    t.same(feed(connection, octets), ['closed zmtp.md 2.1'])
  }
  const connection = connectionOf()
  t.same(feed(connection, GREETING.subarray(0, 9)), [])
  t.same(feed(connection, fromHex('7e')), ['closed zmtp.md 2.1'])
})

t.test('a peer that speaks an older ZMTP is told apart (zmtp.md 2.3)', async (t) => {
  const greeting2 = fromHex(findVector(VECTORS, 'zmtp2-downgrade-reply').decoded.in_reply_to)
  for (const [octets, version] of [
    [greeting2, 2],
    [changed(greeting2, 10, 0), 1],
    [changed(greeting2, 10, 2), 2],
  ] as const) {
    const connection = connectionOf()
    connection.handleBytes(octets, 0)
    const [event] = eventsOf(connection)
    t.match(event, { type: 'closed', error: { rule: 'zmtp.md 2.3' } })
    t.match(event, { error: { message: `the peer speaks ZMTP ${version}, we need 3.0` } })
  }
})

t.test('a libzmq that takes us for 2.0 is left to the handshake timeout', async (t) => {
  const connection = connectionOf()
  t.same(feed(connection, vector('zmtp2-downgrade-reply')), [])
  connection.handleTimeout(ZMTP_LIMITS.handshakeTimeoutMs)
  t.same(eventsOf(connection).map(plain), ['closed zmtp.md 4.5'])
})

t.test('mechanisms must be the same (zmtp.md 2.4)', async (t) => {
  for (const [name, mechanism] of [
    ['greeting-plain', 'PLAIN'],
    ['greeting-curve-server', 'CURVE'],
    ['handshake: mechanism CURVE against NULL', 'CURVE'],
  ] as const) {
    const connection = connectionOf()
    connection.handleBytes(vector(name).subarray(0, 32), 0)
    const [event] = eventsOf(connection)
    t.match(event, { error: { message: `wants security mechanism "${mechanism}", we NULL` } }, name)
    t.equal(outputOf(connection).length, 64, 'the greeting, no ERROR')
  }
  for (const octet of [0x20, 0x4c]) {
    t.same(feed(connectionOf(), changed(GREETING, 16, octet)), ['closed zmtp.md 2.4'])
    t.same(feed(connectionOf(), changed(GREETING, 31, octet)), ['closed zmtp.md 2.4'])
  }
})

t.test('a reason has nothing in it that a terminal obeys', async (t) => {
  const connection = connectionOf()
  const evil = changed(changed(changed(GREETING, 12, 0x1b), 13, 0x7f), 14, 0xff)
  connection.handleBytes(evil, 0)
  const [event] = eventsOf(connection)
  t.ok(event?.type === 'closed' && /^[\x20-\x7e]*$/.test(event.error.message))
})

t.test('the last 32 octets of a greeting mean nothing (zmtp.md 2.5)', async (t) => {
  for (const place of [32, 33, 63]) {
    const greeting = changed(GREETING, place, 1)
    t.same(feed(connectionOf(), concat(greeting, READY_DEALER)), ['ready -'])
  }
})

t.test('what is newer than 3.1 is treated as 3.1, and 3.0 as 3.0 (zmtp.md 2.7)', async (t) => {
  for (const [major, minor, heartbeats] of [
    [3, 0, false],
    [3, 1, true],
    [3, 2, true],
    [4, 0, true],
    [255, 255, true],
  ] as const) {
    const connection = connectionOf()
    const greeting = changed(changed(GREETING, 10, major), 11, minor)
    t.notOk(connection.heartbeats)
    t.same(feed(connection, concat(greeting, READY_DEALER)), ['ready -'])
    t.equal(connection.heartbeats, heartbeats, `${major}.${minor}`)
  }
})

t.test('our READY is that of libzmq, octet by octet (zmtp.md 4.3)', async (t) => {
  const identity = fromHex('015e046b7c39654633a13df01cc5a01512')
  for (const [name, options] of [
    ['ready-dealer-empty-identity', { socketType: 'DEALER' }],
    ['ready-router', { socketType: 'ROUTER' }],
    ['ready-dealer-zyre-identity', { socketType: 'DEALER', identity }],
  ] as const) {
    const connection = connectionOf(options)
    feed(connection, GREETING)
    t.equal(toHex(outputOf(connection).subarray(64)), toHex(vector(name)), name)
  }
})

t.test('READY of libzmq is read in three feeds (zmtp.md 4.3)', async (t) => {
  for (const { name, bytes, decoded } of VECTORS.vectors) {
    if (!name.startsWith('ready-')) continue
    const feeds = feedThree(concat(GREETING, bytes), Uint8Array.of(0, 1), (chunks) => {
      const connection = connectionOf()
      return chunks.flatMap((chunk) => feed(connection, chunk))
    })
    const [[, type], [, identity = ''] = []] = decoded.properties
    const octets = identity.startsWith('0x') ? identity.slice(2) : toHex(Buffer.from(identity))
    const welcome = type === 'DEALER' || type === 'ROUTER'
    const expected = welcome ? `ready ${octets || '-'}` : 'closed zmtp.md 4.2'
    t.same(feeds, { whole: [expected], byOctet: [expected], withTail: [expected] }, name)
  }
})

t.test('further properties are there to be asked for, in lower case (zmtp.md 4.8)', async (t) => {
  const connection = connectionOf()
  connection.handleBytes(concat(GREETING, vector('ready-dealer-identity-and-x-header')), 0)
  const [event] = eventsOf(connection)
  t.ok(event?.type === 'ready')
  if (event?.type !== 'ready') return
  t.equal(toHex(event.identity), toHex(Buffer.from('client-1')))
  t.same([...event.metadata.keys()], ['socket-type', 'identity', 'x-app'])
  t.equal(toHex(event.metadata.get('x-app') ?? EMPTY), toHex(Buffer.from('wv')))
})

t.test('only some sockets talk to each other (zmtp.md 4.2)', async (t) => {
  const types = ['REQ', 'REP', 'DEALER', 'ROUTER', 'PUB', 'SUB', 'XPUB', 'XSUB', 'PUSH', 'router']
  const welcome = { ROUTER: ['REQ', 'DEALER', 'ROUTER'], DEALER: ['REP', 'DEALER', 'ROUTER'] }
  for (const socketType of ['ROUTER', 'DEALER'] as const) {
    for (const type of types) {
      const connection = connectionOf({ socketType })
      const ready = readyOf(['Socket-Type', Buffer.from(type)])
      const expected = welcome[socketType].includes(type) ? 'ready -' : 'closed zmtp.md 4.2'
      t.same(feed(connection, concat(GREETING, ready)), [expected], `${socketType} and ${type}`)
    }
    t.same(feed(connectionOf({ socketType }), concat(GREETING, readyOf())), ['ready -'], 'unsaid')
  }
})

t.test('an identity has 255 octets at most (zmtp.md 4.4)', async (t) => {
  const answer = (size: number) =>
    feed(connectionOf(), concat(GREETING, readyOf(['Identity', pattern(size)])))
  t.same(answer(255), [`ready ${toHex(pattern(255))}`])
  t.same(answer(256), ['closed zmtp.md 4.4'])
  t.doesNotThrow(() => connectionOf({ identity: pattern(255) }))
  t.throws(() => connectionOf({ identity: pattern(256) }), /our identity is too long/)
})

t.test('the handshake is made of commands with names (zmtp.md 4.1)', async (t) => {
  for (const hex of ['00026869', '0400', '040100', '0402 00 61', '0405ff50494e47', '04025e52']) {
    t.same(feed(connectionOf(), concat(GREETING, fromHex(hex))), ['closed zmtp.md 4.1'], hex)
  }
})

t.test('NULL knows READY alone, with properties to the end (zmtp.md 4.3)', async (t) => {
  for (const hex of [
    '040703464f4f626172',
    '040b0552454144590b536f636b',
    '040a055245414459014b0000',
    '040c055245414459014b00000001',
  ]) {
    t.same(feed(connectionOf(), concat(GREETING, fromHex(hex))), ['closed zmtp.md 4.3'], hex)
  }
})

t.test('a peer that breaks the handshake is told why (zmtp.md 4.9)', async (t) => {
  const connection = connectionOf()
  feed(connection, concat(GREETING, vector('handshake: READY with Socket-Type PUB')))
  const error = outputOf(connection).subarray(64 + READY_ROUTER.length)
  t.equal(toHex(error.subarray(2, 8)), toHex(Buffer.from('\x05ERROR')))
  const reason = Buffer.from(error.subarray(9)).toString()
  t.equal(reason, 'a "PUB" socket cannot talk to a ROUTER (zmtp.md 4.2)')
  t.same([error[0], error[1], error[8]], [4, error.length - 2, reason.length])
})

t.test('an ERROR ends the connection with its reason (zmtp.md 4.6)', async (t) => {
  for (const connection of [connectionOf(), readyConnection()]) {
    if (!connection.ready) connection.handleBytes(GREETING, 0)
    connection.handleBytes(vector('null-error-zap-denied'), 0)
    const [event] = eventsOf(connection)
    const message = 'the peer refused the connection: "400" (zmtp.md 4.6)'
    t.match(event, { type: 'closed', error: { message } })
  }
  const without = fromHex('0406054552524f52')
  t.same(feed(connectionOf(), concat(GREETING, without)), ['closed zmtp.md 4.6'], 'or without')
})

t.test('the refusal of PLAIN as libzmq spells it is understood (zmtp.md 6.2)', async (t) => {
  const connection = connectionOf()
  connection.handleBytes(concat(GREETING, fromHex('0409 5e52524f52 03343030')), 0)
  t.match(eventsOf(connection), [{ type: 'closed', error: { message: /"400"/ } }])
})

t.test('an ERROR is not answered by an ERROR, nor is silence (zmtp.md 6.1)', async (t) => {
  const refused = connectionOf()
  feed(refused, concat(GREETING, vector('null-error-zap-denied')))
  const late = connectionOf()
  feed(late, GREETING)
  late.handleTimeout(ZMTP_LIMITS.handshakeTimeoutMs)
  for (const connection of [refused, late]) {
    t.match(eventsOf(connection), connection === late ? [{ type: 'closed' }] : [])
    t.equal(outputOf(connection).length, 64 + READY_ROUTER.length)
  }
})

t.test('a handshake has its time and no more (zmtp.md 4.5)', async (t) => {
  const connection = connectionOf({ limits: { handshakeTimeoutMs: 300 } })
  t.equal(connection.pollTimeout(), 300)
  feed(connection, GREETING, 200)
  t.equal(connection.pollTimeout(), 300, 'octets do not buy time')
  connection.handleTimeout(299)
  t.same(eventsOf(connection), [], 'early')
  connection.handleTimeout(1_000)
  const [event] = eventsOf(connection)
  t.match(event, { type: 'closed', error: { message: 'no handshake within 300 ms (zmtp.md 4.5)' } })
  t.equal(connection.pollTimeout(), Number.POSITIVE_INFINITY)
})

t.test('after the handshake there is nothing to wait for', async (t) => {
  const connection = readyConnection()
  t.equal(connection.pollTimeout(), Number.POSITIVE_INFINITY)
  connection.handleTimeout(1e9)
  t.ok(connection.ready)
})

t.test('nothing is said before the handshake is done (zmtp.md 4.7)', async (t) => {
  const connection = connectionOf()
  feed(connection, GREETING)
  t.notOk(connection.ready)
  t.throws(() => connection.send([EMPTY]), /a message was sent before the handshake/)
  t.throws(() => connection.ping(EMPTY), /a PING was sent to a peer that does not know it/)
})

t.test(
  'messages of libzmq are read in three feeds, and written like it (zmtp.md 3.5)',
  async (t) => {
    for (const { name, bytes, decoded } of VECTORS.vectors) {
      if (!name.startsWith('message-')) continue
      const [, size, octet] = /^(\d+) x 0x(..)/.exec(decoded.body) ?? []
      const rest = new Uint8Array(Number(size ?? 0)).fill(Number.parseInt(octet ?? '0', 16))
      const octets = concat(bytes, rest)
      const frames: readonly Uint8Array[] =
        size === undefined
          ? decoded.frames.map((frame: { body_text?: string }) =>
              Buffer.from(frame.body_text ?? ''),
            )
          : [rest]
      if (size !== undefined) {
        const sum = createHash('sha256').update(octets).digest('hex')
        t.equal(sum, decoded.sha256_of_whole_frame, `${name}: as captured`)
      }
      const expected = [plain({ type: 'message', frames })]
      for (const read of [feed, fill]) {
        const feeds = feedThree(octets, Uint8Array.of(1, 7, 7), (chunks) => {
          const connection = readyConnection()
          return chunks.flatMap((chunk) => read(connection, chunk))
        })
        const wanted = { whole: expected, byOctet: expected, withTail: expected }
        t.same(feeds, wanted, `${name}, ${read.name}`)
      }
      const connection = readyConnection()
      connection.send(frames)
      t.ok(Buffer.compare(outputOf(connection), octets) === 0, `${name}: written`)
    }
  },
)

t.test('a message that was told is the next one as well, and its frames stay', async (t) => {
  const connection = readyConnection()
  fill(connection, octetsOf(pattern(600)))
  for (const octets of [fromHex('0102 6162 0001 63'), fromHex('0001 64')]) {
    const room = connection.room() as Uint8Array
    room.set(octets)
    connection.filled(octets.length, 0)
  }
  const first = connection.pollEvent(0)
  t.ok(first?.type === 'message')
  if (first?.type !== 'message') return
  const { frames, rest } = first
  t.same([toHex(first.octets.subarray(first.start, first.end)), rest.map(toHex)], ['6162', ['63']])
  const second = connection.pollEvent(0)
  t.equal(second, first, 'one for all')
  t.same(
    [second && plain(second), frames.map(toHex), rest.map(toHex)],
    ['message 64', ['6162', '63'], ['63']],
  )
  t.equal(connection.pollEvent(0), undefined)
  t.same(first.frames.map(toHex), [''], 'and none when there is none')
})

t.test('a message is whole or not at all (zmtp.md 3.6)', async (t) => {
  const connection = readyConnection()
  t.same(feed(connection, vector('half of a multipart message, then close')), [])
  t.same(feed(connection, fromHex('0001')), [])
  t.same(feed(connection, fromHex('78')), ['message 7031 78'])
})

t.test('a message above its limit of octets is refused (zmtp.md 3.3)', async (t) => {
  const limits = { messageBytesMax: 10 }
  const whole = fromHex('000a 30313233343536373839')
  t.same(feed(readyConnection({ limits }), whole), ['message 30313233343536373839'])
  t.same(feed(readyConnection({ limits }), fromHex('000b')), ['closed zmtp.md 3.3'])
  const second = concat(fromHex('0105 3031323334'), fromHex('0006'))
  t.same(feed(readyConnection({ limits }), second), ['closed zmtp.md 3.3'], 'in all frames')
  const twice = concat(whole, whole)
  t.equal(feed(readyConnection({ limits }), twice).length, 2, 'each message anew')
  const handshake = concat(GREETING, fromHex('060000000000004001'))
  t.same(feed(connectionOf(), handshake), ['closed zmtp.md 3.3'], 'and a command, at once')
})

t.test('READY has 64 properties at most (zmtp.md 4.3)', async (t) => {
  const properties = (count: number) =>
    concat(
      ...Array.from({ length: count }, (_, index) =>
        fromHex(`03${toHex(new TextEncoder().encode(`x${10 + index}`))}00000000`),
      ),
    )
  const identity = new Uint8Array(0)
  const read = (count: number) =>
    new NullMechanism({ socketType: 'DEALER', identity }).handleCommand({
      name: 'READY',
      data: properties(count),
    })
  read(64)
  t.throws(() => read(65), { message: /too many properties/ })
})

t.test('READY tells what an application adds (zmtp.md 4.3)', async (t) => {
  const identity = fromHex('07')
  const others = new Map([['X-Colour', fromHex('626c7565')]])
  const mechanism = new NullMechanism({ socketType: 'DEALER', identity, others })
  const told = new NullMechanism({ socketType: 'ROUTER', identity })
  const ready = mechanism.pollCommand() as Uint8Array
  told.handleCommand({ name: 'READY', data: ready.subarray(6) })
  t.same([...(told.peer?.keys() ?? [])], ['socket-type', 'identity', 'x-colour'])
  t.equal(toHex(told.peer?.get('x-colour') as Uint8Array), '626c7565')
})

t.test('who is known better may send more, from the next frame on (zmtp.md 3.9)', async (t) => {
  const connection = readyConnection({ limits: { messageBytesMax: 2 } })
  t.same(feed(connection, fromHex('0002 3031')), ['message 3031'])
  connection.allowMessages(600)
  t.same(feed(connection, fromHex('0003 303132')), ['message 303132'])
  t.equal(connection.unreadBytes, 0)
  t.same(feed(connection, fromHex('02 0000000000000258 0000')), [])
  t.equal(connection.unreadBytes, 600, 'the room for a body that is not here yet')
  connection.handleBytes(fromHex('01'), 0)
  t.equal(connection.unreadBytes, 601, 'and what was not read on')
})

t.test('after eight frames that end no message others may go first (zmtp.md 3.10)', async (t) => {
  const types = (connection: ZmtpConnection) => {
    const told: string[] = []
    for (let event = connection.pollEvent(0); event; event = connection.pollEvent(0)) {
      told.push(plain(event))
    }
    return told
  }
  const commands = readyConnection({})
  commands.handleBytes(fromHex('0400'.repeat(20)), 0)
  t.same(types(commands), ['passed', 'passed'])
  const frames = readyConnection({})
  frames.handleBytes(fromHex(`${'0100'.repeat(8)}0000`), 0)
  t.same(types(frames), ['passed', `message ${'- '.repeat(8)}-`])
})

t.test('what came of an unfinished message counts as unread (harmony.md 7.9)', async (t) => {
  const connection = readyConnection({})
  t.same(feed(connection, fromHex('0103 303132 0102 3334 0005 31')), [])
  t.equal(connection.unreadBytes, 8 + 2 * 256, 'and each frame costs')
  t.same(feed(connection, fromHex('32333435')), ['message 303132 3334 3132333435'])
  t.equal(connection.unreadBytes, 0)
  t.same(feed(connection, fromHex('0101 30 0409')), [])
  t.same(feed(connection, fromHex('03 4552524f52 000000')).length, 0)
})

t.test('a message above its limit of frames is refused (zmtp.md 3.4)', async (t) => {
  const limits = { messageFramesMax: 3 }
  const connection = readyConnection({ limits })
  t.same(feed(connection, fromHex('0100 0100 0000')), ['message - - -'])
  t.same(feed(connection, fromHex('0100 0100')), [])
  t.same(feed(connection, fromHex('0100')), ['closed zmtp.md 3.4'])
})

t.test('PING is answered by PONG, as libzmq does (zmtp.md 5.2)', async (t) => {
  for (const name of ['pong-echoes-context', 'pong-truncates-context-to-16']) {
    const { bytes, decoded } = findVector(VECTORS, name)
    const answers = feedThree(fromHex(decoded.in_reply_to), Uint8Array.of(4), (chunks) => {
      const connection = readyConnection()
      for (const chunk of chunks) feed(connection, chunk)
      return toHex(outputOf(connection))
    })
    const expected = toHex(bytes)
    t.same(answers, { whole: expected, byOctet: expected, withTail: expected }, name)
  }
  const connection = readyConnection()
  t.same(feed(connection, vector('pong-echoes-context')), [`pong ${toHex(Buffer.from('ctx1'))}`])
  t.same(feed(connection, vector('pong-empty-context')), ['pong -'])
  t.equal(outputOf(connection).length, 0)
  t.same(feed(connection, fromHex('0406 0450494e47 00')), ['closed zmtp.md 5.2'], 'half a TTL')
})

t.test('our PING promises nothing (zmtp.md 5.1)', async (t) => {
  const connection = readyConnection()
  connection.ping(Buffer.from('ctx1'))
  const { in_reply_to: hex } = findVector(VECTORS, 'pong-echoes-context').decoded
  t.equal(toHex(outputOf(connection)), hex)
  t.throws(() => connection.ping(new Uint8Array(17)), /the context of a PING is too long/)
})

t.test('a peer that speaks 3.0 gets no PING (zmtp.md 5.6)', async (t) => {
  const connection = connectionOf()
  feed(connection, concat(changed(GREETING, 11, 0), READY_DEALER))
  t.ok(connection.ready)
  t.throws(() => connection.ping(EMPTY), /a PING was sent to a peer that does not know it/)
})

t.test('no more than 16 PONGs wait (zmtp.md 5.3)', async (t) => {
  const connection = readyConnection()
  const pings = concat(...Array.from({ length: 100 }, () => vector('ping-ttl-25')))
  const pong = vector('pong-empty-context')
  feed(connection, pings)
  t.equal(connection.outputBytes, 16 * pong.length)
  t.equal(outputOf(connection).length, 16 * pong.length)
  feed(connection, pings)
  t.equal(outputOf(connection).length, 16 * pong.length, 'once they are written, 16 more')
})

t.test('a peer is held to its own TTL (zmtp.md 5.4)', async (t) => {
  const connection = readyConnection()
  feed(connection, vector('ping-ttl-25'), 1_000)
  t.equal(connection.pollTimeout(), 3_500)
  feed(connection, vector('message-empty'), 3_000)
  t.equal(connection.pollTimeout(), 5_500, 'any octet is life')
  feed(connection, fromHex('04070450494e470001'), 4_000)
  t.equal(connection.pollTimeout(), 4_100, 'the last TTL counts')
  feed(connection, fromHex('04070450494e470000'), 4_050)
  t.equal(connection.pollTimeout(), Number.POSITIVE_INFINITY, 'and 0 is none')
  feed(connection, vector('ping-ttl-25'), 5_000)
  connection.handleTimeout(7_499)
  t.ok(connection.ready)
  connection.handleTimeout(7_500)
  t.same(eventsOf(connection).map(plain), ['closed zmtp.md 5.4'])
})

t.test('octets that are read to where they stay are life as well (zmtp.md 5.4)', async (t) => {
  const connection = readyConnection()
  feed(connection, vector('ping-ttl-25'), 1_000)
  feed(connection, octetsOf(pattern(2_000)).subarray(0, 900), 2_000)
  t.equal(connection.pollTimeout(), 4_500)
  connection.room()?.set(fromHex('00'))
  connection.filled(1, 3_000)
  t.equal(connection.pollTimeout(), 5_500)
  connection.handleTimeout(5_500)
  t.same(eventsOf(connection).map(plain), ['closed zmtp.md 5.4'])
  connection.filled(1, 6_000)
  connection.handleTimeout(9_000)
  t.equal(connection.room(), undefined, 'and then there is none')
  t.same(eventsOf(connection), [])
})

t.test('commands that nobody knows are passed over (zmtp.md 5.5)', async (t) => {
  const connection = readyConnection()
  for (const name of [
    'unknown command FOO',
    'command whose name length runs past the end',
    'empty command',
    'second READY after the handshake',
    'SUBSCRIBE command to a ROUTER',
  ]) {
    t.same(feed(connection, vector(name)), [], name)
  }
  t.same(feed(connection, fromHex('040100')), [], 'a name of no octets')
  t.equal(connection.outputBytes, 0)
  t.ok(connection.ready)
})

t.test('a command between two frames leaves the message alone (zmtp.md 5.7)', async (t) => {
  const connection = readyConnection({ limits: { messageFramesMax: 2, messageBytesMax: 2 } })
  const ping = vector('ping-ttl-25')
  t.same(feed(connection, concat(fromHex('010161'), ping, fromHex('000162'))), ['message 61 62'])
})

t.test('reserved bits, and MORE on a command, mean nothing (zmtp.md 3.1)', async (t) => {
  t.same(feed(readyConnection(), vector('reserved flag bit 0x80')), ['message 6869'])
  t.same(feed(readyConnection(), fromHex('f8026869')), ['message 6869'])
  const connection = readyConnection()
  t.same(feed(connection, changed(vector('pong-empty-context'), 0, 5)), ['pong -'])
  t.same(feed(connection, vector('message-empty')), ['message -'])
})

t.test('after the end nothing is kept, read or given (zmtp.md 6.3)', async (t) => {
  const connection = readyConnection()
  t.same(feed(connection, fromHex('0406 0450494e47 00')), ['closed zmtp.md 5.2'])
  const before = memory('arrayBuffers')
  for (let count = 0; count < 64; count++) {
    connection.handleBytes(new Uint8Array(65_536), 0)
  }
  t.equal(connection.pollEvent(0), undefined)
  t.ok(memory('arrayBuffers') - before < 2 ** 20, '4 MiB came')
  t.equal(connection.pollTimeout(), Number.POSITIVE_INFINITY)
  connection.handleTimeout(1e9)
  t.equal(connection.pollEvent(1e9), undefined)
  t.notOk(connection.ready)
})
