// The mesh between two or more of its kind, in a world in memory. Past 600 lines because all of it needs the same pair of them.

import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import {
  type ConnectionId,
  type LinkChange,
  NullMechanism,
  type Uuid,
  ZMTP_LIMITS,
  ZmtpConnection,
  type ZreCommand,
  type ZreMessage,
} from '../../protocol/index.ts'
import { createTally, type Letter, Mailbox } from '../../protocol/mailbox.ts'
import { NetworkError } from '../../src/errors.ts'
import type { Stream } from '../../src/host.ts'
import { InboxPorts, Mesh, type MeshOptions } from '../../src/mesh.ts'
import { createTraffic } from '../../src/traffic.ts'
import { type FakeStream, World } from '../support/host.ts'
import { digest, pattern } from '../support/octets.ts'
import { toHex } from '../support/vectors.ts'

const ALICE = 'a'.repeat(32)
const BOB = 'b'.repeat(32)
const ADDRESS = '127.0.0.1'
const ANY = { from: 0, to: 0 }
const MAILBOX_LIMITS = { queueBytesMax: 2 ** 26, queueMessagesMax: 10_000 }
const HELLO: ZreCommand = {
  type: 'hello',
  endpoint: 'tcp://10.0.0.2:49152',
  groups: [],
  status: 0,
  name: 'bob',
  headers: {},
}

/** A mesh, and what it told in words. */
class Tested {
  readonly mesh: Mesh
  readonly told: string[] = []
  /** What waits to be asked for. */
  readonly mailboxes = new Map<ConnectionId, Mailbox>()
  readonly tally = createTally()
  readonly traffic = createTraffic()
  writtenCount = 0
  heardCount = 0
  /** Called for each message, as harmony.ts would be. */
  act: (connection: ConnectionId, message: ZreMessage) => void = () => {}

  constructor(world: World, uuid: Uuid, options: Partial<MeshOptions> = {}) {
    const limits = { handshakesMax: 10, backlogBytesMax: 2 ** 20, unreadBytesMax: 2 ** 28 }
    this.mesh = new Mesh(
      world.host(),
      { uuid, zmtp: ZMTP_LIMITS, traffic: this.traffic, ...limits, ...options },
      {
        link: (connection, change) => this.told.push(`${connection} ${plain(change)}`),
        activity: () => {},
        message: (connection, message) => {
          this.told.push(`${connection} ${message.type} ${message.sequence}`)
          this.act(connection, message)
        },
        heard: () => {
          this.heardCount++
        },
        mailbox: (connection) => this.mailboxes.get(connection),
        written: () => {
          this.writtenCount++
        },
        sooner: () => {},
      },
    )
  }

  /** Says HELLO. */
  greet(connection: ConnectionId): void {
    const mailbox = this.#mailbox(connection)
    mailbox.begin(HELLO)
    mailbox.open()
    this.mesh.write(connection)
  }

  /** Its sequence is the next. */
  send(connection: ConnectionId, content: readonly Uint8Array[] = []): void {
    const bytes = content.reduce((sum, { length }) => sum + length, 0)
    const letter: Letter = { type: 'whisper', content, bytes, holders: 0 }
    // As harmony.ts does: once for all that waits, and again when it is much.
    if (this.#mailbox(connection).push(letter)) this.mesh.write(connection)
  }

  #mailbox(connection: ConnectionId): Mailbox {
    const mailbox = this.mailboxes.get(connection) ?? new Mailbox(this.tally, MAILBOX_LIMITS)
    this.mailboxes.set(connection, mailbox)
    mailbox.open()
    return mailbox
  }

  get waiting(): number {
    return this.tally.waiting
  }
}

function plain(change: LinkChange): string {
  if (change.type === 'up') {
    const { uuid, sequence } = change
    return `up ${uuid?.slice(0, 1)}${sequence === undefined ? '' : ` after ${sequence}`}`
  }
  if (change.type === 'measured') return `measured ${change.roundTripMs}`
  return `${change.type}: ${change.reason}`
}

/** How a world reads: as it comes, or to where the receiver says, by pieces of all sizes, or of as much as there is room for. */
const WAYS: readonly (readonly [string, World['pieceBytes']])[] = [
  ['as it comes', undefined],
  ['in pieces', (bytesMax) => Math.min(bytesMax, 1 + (bytesMax % 131) ** 2)],
  ['in place', (bytesMax) => bytesMax],
]

/** A test for each way to read, with a world of its own. */
function inAllWays(name: string, act: (t: Test, world: World) => Promise<void>): void {
  for (const [way, pieceBytes] of WAYS) {
    const world = new World()
    world.pieceBytes = pieceBytes
    t.test(`${name}, ${way}`, (t) => act(t, world))
  }
}

/** Two meshes, and Bob's mailbox to Alice's inbox: his connection 1, her connection -1. */
async function pair(
  options: Partial<MeshOptions> = {},
  world = new World(),
): Promise<{
  readonly world: World
  readonly port: number
  readonly alice: Tested
  readonly bob: Tested
  readonly mailbox: FakeStream
}> {
  const [alice, bob] = [new Tested(world, ALICE, options), new Tested(world, BOB, options)]
  const port = await alice.mesh.listen(ADDRESS, ANY)
  bob.mesh.dial(1, `tcp://${ADDRESS}:${port}`)
  await world.settle()
  return { world, port, alice, bob, mailbox: world.streams[0] as FakeStream }
}

inAllWays('each side learns whom it has reached, the one that dials too', async (t, world) => {
  const { alice, bob } = await pair({}, world)
  t.same(alice.told, ['-1 up b'])
  t.same(bob.told, ['1 up a'])
})

t.test('an inbox names itself: octet 1, then the uuid', async (t) => {
  const world = new World()
  const { mesh } = new Tested(world, ALICE)
  const port = await mesh.listen(ADDRESS, ANY)
  const mechanism = new NullMechanism({ socketType: 'DEALER', identity: new Uint8Array(0) })
  const zmtp = new ZmtpConnection({ socketType: 'DEALER', mechanism, limits: ZMTP_LIMITS }, 0)
  let stream: Stream | undefined
  const flush = () => {
    for (let part = zmtp.pollOutput(); part; part = zmtp.pollOutput()) stream?.write(part)
  }
  let identity = ''
  stream = world.host().streams.connect(
    { address: ADDRESS, port },
    {
      open: flush,
      receive: (bytes) => {
        zmtp.handleBytes(bytes, 0)
        const event = zmtp.pollEvent(0)
        if (event?.type === 'ready') identity = toHex(event.identity)
        flush()
      },
      drain() {},
      close() {},
    },
  )
  await world.settle()
  t.equal(identity, `01${ALICE}`)
})

t.test(
  'messages arrive in order, however many; those of one turn leave in few writes',
  async (t) => {
    const { world, alice, bob, mailbox } = await pair()
    const before = mailbox.written.length
    for (let count = 0; count < 100; count++) bob.send(1, [pattern(100)])
    t.equal(mailbox.written.length, before, 'nothing leaves within the turn')
    await world.settle()
    t.ok(mailbox.written.length - before < 10, `${mailbox.written.length - before} writes`)
    t.same(
      alice.told.slice(1),
      Array.from({ length: 100 }, (_, index) => `-1 whisper ${index + 1}`),
    )
  },
)

inAllWays(
  'what comes while a connection is held waits, also in the middle of a chunk',
  async (t, world) => {
    const { alice, bob } = await pair({}, world)
    alice.act = (connection, { sequence }) => {
      if (sequence === 2) alice.mesh.hold(connection)
    }
    for (let count = 0; count < 4; count++) bob.send(1)
    await world.settle()
    bob.send(1)
    await world.settle()
    t.same(alice.told.slice(1), ['-1 whisper 1', '-1 whisper 2'])
    alice.mesh.resume(-1)
    t.same(alice.told.length, 3, 'not from within resume()')
    await world.settle()
    t.same(alice.told.slice(3), ['-1 whisper 3', '-1 whisper 4', '-1 whisper 5'])
    alice.mesh.hold(-1)
    alice.mesh.resume(-1)
    alice.mesh.close(-1)
    await world.settle()
    t.same(alice.told.length, 6, 'closed between resume() and its turn')
  },
)

t.test('what a stream cannot take stays where it is counted, until it can', async (t) => {
  const { world, bob, mailbox } = await pair()
  mailbox.stalled = true
  for (let count = 0; count < 20; count++) bob.send(1, [pattern(2 ** 18)])
  await world.settle()
  t.equal(bob.waiting, 16, 'a mebibyte has left')
  t.ok(bob.mesh.backlogBytes(1) > 2 ** 20 && bob.mesh.backlogBytes(1) < 2 ** 21)
  mailbox.stalled = false
  mailbox.backlogBytes = 0
  const before = bob.writtenCount
  // What leaves by now is the rest of something else.
  world.streams[1]?.pause()
  mailbox.handlers?.drain()
  t.equal(bob.writtenCount, before + 1)
  await world.settle()
  t.equal(bob.waiting, 0)
})

t.test('what is told twice in a turn leaves before it ends', async (t) => {
  const { bob, mailbox } = await pair()
  const before = mailbox.written.length
  bob.send(1, [pattern(100)])
  t.equal(mailbox.written.length, before)
  bob.send(1, [pattern(2 ** 21)])
  t.ok(mailbox.written.length > before)
})

inAllWays('whoever sends more than its share of a turn lets others go first', async (t, world) => {
  const { port, alice, bob } = await pair({}, world)
  const carol = new Tested(world, 'c'.repeat(32))
  carol.mesh.dial(1, `tcp://${ADDRESS}:${port}`)
  await world.settle()
  alice.told.length = 0
  for (let count = 0; count < 20_000; count++) bob.send(1)
  carol.send(1)
  await world.settle()
  const place = alice.told.indexOf('-2 whisper 1')
  t.ok(place > 0 && place < 10_000, `${place} of 20,000 messages came before`)
  const numbers = alice.told.filter((line) => line.startsWith('-1')).map((line) => line.split(' '))
  t.same(
    numbers.map(([, , sequence]) => Number(sequence)),
    Array.from({ length: 20_000 }, (_, index) => index + 1),
    'and nothing is lost, or out of order',
  )
})

inAllWays(
  'who is held while others have their turn is read on when it is let go',
  async (t, world) => {
    const { alice, bob, mailbox } = await pair({}, world)
    alice.act = (connection, { sequence }) => {
      if (sequence === 8_300 || sequence === 9_000) alice.mesh.hold(connection)
    }
    for (let count = 0; count < 12_000; count++) bob.send(1)
    await world.settle()
    for (const count of [8_301, 9_001, 12_001]) {
      t.equal(alice.told.length, count)
      alice.mesh.resume(-1)
      await world.settle()
    }
    mailbox.destroy()
    await world.settle()
    t.match(alice.told.at(-1), /-1 lost/)
  },
)

inAllWays(
  'of unfinished messages there is a bounded amount; who has most of it goes',
  async (t, world) => {
    const { alice, bob, mailbox } = await pair({ unreadBytesMax: 1_500_000 }, world)
    bob.greet(1)
    await world.settle()
    const port = await bob.mesh.listen(ADDRESS, ANY)
    alice.mesh.dial(1, `tcp://${ADDRESS}:${port}`)
    await world.settle()
    const large = Uint8Array.of(2, 0, 0, 0, 0, 0, 0x40, 0, 0)
    mailbox.write(large)
    for (let part = 0; part < 5; part++) {
      mailbox.write(pattern(200_000))
      await world.settle()
    }
    t.notMatch(alice.told.at(-1), /refused/)
    mailbox.write(pattern(200_000))
    await world.settle()
    t.match(alice.told, [/up/, /hello/, /up/, /^-1 refused: 2\d{6} octets of unfinished messages/])
    t.match(alice.mesh.diagnostics().counters, { 'refused: harmony.md 7.9': 1 })
  },
)

inAllWays(
  'of unfinished messages those of strangers go first (harmony.md 7.9)',
  async (t, world) => {
    const { port, alice, bob, mailbox } = await pair({ unreadBytesMax: 1_100_000 }, world)
    const eve = new Tested(world, 'e'.repeat(32))
    eve.mesh.dial(1, `tcp://${ADDRESS}:${port}`)
    await world.settle()
    bob.greet(1)
    await world.settle()
    mailbox.write(Uint8Array.of(2, 0, 0, 0, 0, 0, 0x10, 0, 0))
    mailbox.write(pattern(70_000))
    await world.settle()
    world.now += 10_000
    world.streams[2]?.write(Uint8Array.of(2, 0, 0, 0, 0, 0, 1, 0, 0))
    world.streams[2]?.write(pattern(10_000))
    await world.settle()
    t.match(alice.told.at(-1), /^-2 refused: 65536 octets/)
  },
)

inAllWays('what is small and what is large arrives as it was sent', async (t, world) => {
  const { alice, bob } = await pair({}, world)
  bob.greet(1)
  await world.settle()
  const came: string[] = []
  const wanted: string[] = []
  alice.act = (_connection, message) => {
    if (message.type === 'whisper') came.push(message.content.map(digest).join())
  }
  let size = 0
  for (let turn = 0; turn < 60; turn++) {
    for (let count = turn % 7; count >= 0; count--) {
      size = (size * 31 + 7) % (turn % 5 === 0 ? 200_003 : 6_007)
      const content = [pattern(size), pattern(size % 9)]
      wanted.push(content.map(digest).join())
      bob.send(1, content)
    }
    // It is held in the middle of whatever comes, and what came is not read before it is let go.
    if (turn % 4 === 0) alice.mesh.hold(-1)
    if (turn % 3 > 0) world.step()
    else await world.settle()
    if (turn % 4 === 2) alice.mesh.resume(-1)
  }
  alice.mesh.resume(-1)
  await world.settle()
  t.ok(came.join() === wanted.join(), `${came.length} of ${wanted.length} came`)
  t.match(alice.mesh.diagnostics(), { connections: 1, counters: {} })
})

t.test('what is written to many leaves each as it was, however slow they are', async (t) => {
  const world = new World()
  const alice = new Tested(world, ALICE)
  const others = 'bcdef'.split('').map((letter) => new Tested(world, letter.repeat(32)))
  const hashes = others.map(() => createHash('sha256'))
  const wanted = others.map(() => createHash('sha256'))
  for (const [index, other] of others.entries()) {
    const port = await other.mesh.listen(ADDRESS, ANY)
    alice.mesh.dial(index + 1, `tcp://${ADDRESS}:${port}`)
    other.act = (_connection, message) => {
      if (message.type !== 'whisper') return
      for (const frame of message.content) hashes[index]?.update(frame)
    }
  }
  await world.settle()
  for (const index of others.keys()) alice.greet(index + 1)
  await world.settle()
  for (let turn = 0; turn < 400; turn++) {
    for (const index of others.keys()) {
      const stream = world.streams[2 * index]?.other
      if ((turn + index) % 11 === 0) stream?.pause()
      if ((turn + index) % 11 === 4) stream?.resume()
      // As many in a turn as fill a chunk, or more.
      for (let count = (turn * (index + 1)) % 40; count > 0; count--) {
        const frame = pattern(4_096)
          .fill(index + turn, 0, 2_000 + turn)
          .subarray(0, 4_000 - turn)
        wanted[index]?.update(frame)
        alice.send(index + 1, [frame])
      }
    }
    world.step()
  }
  for (const { other } of world.streams) other?.resume()
  await world.settle()
  const hex = (list: typeof hashes) => list.map((hash) => hash.digest('hex'))
  t.same(hex(hashes), hex(wanted))
})

t.test('what is held again before its turn to be read stays held', async (t) => {
  const { world, alice, bob } = await pair()
  alice.mesh.hold(-1)
  bob.send(1)
  await world.settle()
  alice.mesh.resume(-1)
  alice.mesh.hold(-1)
  await world.settle()
  t.same(alice.told, ['-1 up b'])
  alice.mesh.resume(-1)
  alice.mesh.resume(-1)
  await world.settle()
  t.same(alice.told.slice(1), ['-1 whisper 1'])
})

inAllWays('who is let in without a HELLO may send as much as any peer', async (t, world) => {
  const { alice, bob } = await pair({}, world)
  alice.mesh.hold(-1)
  alice.mesh.resume(-1)
  await world.settle()
  bob.send(1, [pattern(2 ** 17)])
  await world.settle()
  t.same(alice.told.slice(1), ['-1 whisper 1'])
})

inAllWays('who sends a large message in one go is not the one that goes', async (t, world) => {
  const { port, alice, bob, mailbox } = await pair({ unreadBytesMax: 2_000_000 }, world)
  const carol = new Tested(world, 'c'.repeat(32))
  carol.mesh.dial(1, `tcp://${ADDRESS}:${port}`)
  await world.settle()
  bob.greet(1)
  carol.greet(1)
  await world.settle()
  const large = Uint8Array.of(2, 0, 0, 0, 0, 0, 0x10, 0, 0)
  mailbox.write(large)
  mailbox.write(pattern(60_000))
  await world.settle()
  world.now += 1_000
  world.streams[2]?.write(large)
  world.streams[2]?.write(pattern(160_000))
  await world.settle()
  t.match(alice.told.at(-1), /^-1 refused: 1048576 octets/)
  t.equal(alice.mesh.diagnostics().connections, 1)
})

t.test('stop() gives a stream no more than it takes', async (t) => {
  const { world, bob, mailbox } = await pair()
  mailbox.stalled = true
  for (let count = 0; count < 40; count++) bob.send(1, [pattern(2 ** 18)])
  const stopping = bob.mesh.stop(1_000)
  await world.settle()
  t.ok(bob.mesh.backlogBytes(1) < 2 ** 21)
  mailbox.stalled = false
  mailbox.backlogBytes = 0
  world.streams[1]?.pause()
  mailbox.handlers?.drain()
  await world.settle()
  await stopping
  t.equal(bob.waiting, 0, 'and the rest as it takes it')
  t.equal(world.now, 0)
})

t.test('where a mailbox goes on from is told in the handshake', async (t) => {
  const world = new World()
  const [alice, bob] = [new Tested(world, ALICE), new Tested(world, BOB)]
  const port = await alice.mesh.listen(ADDRESS, ANY)
  bob.mesh.dial(1, `tcp://${ADDRESS}:${port}`, 65_535)
  await world.settle()
  t.same(alice.told, ['-1 up b after 65535'])
  t.same(bob.told, ['1 up a'])
})

inAllWays('a stranger gets the memory of a HELLO, and no more before it', async (t, world) => {
  const { alice, bob } = await pair({}, world)
  bob.send(1, [pattern(2 ** 17)])
  await world.settle()
  t.match(alice.told.slice(1), [/^-1 refused: a frame of 131072 octets, limit 6\d{4}/])
})

t.test('a held connection that closes is told of', async (t) => {
  const { world, alice, bob } = await pair()
  alice.mesh.hold(-1)
  bob.send(1, [pattern(100)])
  await world.settle()
  bob.mesh.close(1)
  await world.settle()
  t.match(alice.told.slice(1), [/^-1 lost/])
})

t.test('garbage is refused with the rule that it broke, and its stream ends', async (t) => {
  const { world, alice, mailbox } = await pair()
  mailbox.write(Uint8Array.of(0, 3, 1, 2, 3))
  await world.settle()
  t.match(alice.told.slice(1), [/^-1 refused: .*zre\.md 2\.2/])
  t.same(alice.mesh.diagnostics(), { connections: 0, counters: { 'refused: zre.md 2.2': 1 } })
})

t.test('who is closed is told nothing more', async (t) => {
  const { world, alice, bob } = await pair()
  alice.mesh.close(-1)
  await world.settle()
  t.same(alice.told, ['-1 up b'])
  t.match(bob.told, ['1 up a', '1 lost: closed by the peer'])
  bob.send(1)
  bob.mesh.hold(1)
  bob.mesh.resume(1)
  bob.mesh.measure(1)
  bob.mesh.close(1)
  bob.mesh.write(1)
  t.equal(bob.mesh.backlogBytes(1), 0)
})

t.test('a round trip is measured', async (t) => {
  const { world, bob, mailbox } = await pair()
  bob.mesh.measure(1)
  bob.mesh.measure(1)
  world.step()
  t.ok(mailbox.written.length > 0)
  world.now += 7
  await world.settle()
  t.same(bob.told.slice(1), ['1 measured 7'])
})

t.test(
  'an endpoint that nobody can dial is refused, one where nobody listens is lost',
  async (t) => {
    const { world, bob } = await pair()
    bob.mesh.dial(2, 'ipc://somewhere')
    bob.mesh.dial(3, `tcp://${ADDRESS}:1`)
    t.same(bob.told.length, 1, 'not from within dial()')
    await world.settle()
    t.same(bob.told.slice(1), [
      '3 lost: nobody listens',
      '2 refused: ipc://somewhere is no tcp endpoint',
    ])
  },
)

t.test('a handshake has five seconds', async (t) => {
  const world = new World()
  const { mesh, told } = new Tested(world, ALICE)
  const port = await mesh.listen(ADDRESS, ANY)
  t.equal(mesh.pollTimeout(), Number.POSITIVE_INFINITY)
  const handlers = { open() {}, receive() {}, drain() {}, close() {} }
  world.host().streams.connect({ address: ADDRESS, port }, handlers)
  await world.settle()
  t.equal(mesh.pollTimeout(), 5_000)
  mesh.handleTimeout(4_999)
  t.same(told, [])
  mesh.handleTimeout(5_000)
  t.match(told, [/^-1 refused: no handshake within 5000 ms/])
  t.equal(mesh.pollTimeout(), Number.POSITIVE_INFINITY)
})

t.test('a dial has fifteen seconds, since who is dialled may be busy', async (t) => {
  const world = new World()
  const { mesh, told } = new Tested(world, ALICE)
  const deaf = { open() {}, receive() {}, drain() {}, close() {} }
  const { port } = await world.host().streams.listen({ address: ADDRESS, port: 0 }, () => deaf)
  mesh.dial(1, `tcp://${ADDRESS}:${port}`)
  await world.settle()
  t.equal(mesh.pollTimeout(), 15_000)
  mesh.handleTimeout(15_000)
  t.match(told, [/^1 refused: no handshake within 15000 ms/])
})

t.test('only so many handshakes at a time; who is done makes room', async (t) => {
  const { world, alice } = await pair({ handshakesMax: 1 })
  const port = 40_001
  const closed: number[] = []
  const dial = (index: number) =>
    world
      .host()
      .streams.connect(
        { address: ADDRESS, port },
        { open() {}, receive() {}, drain() {}, close: () => void closed.push(index) },
      )
  const first = dial(1)
  await world.settle()
  dial(2)
  await world.settle()
  t.same(closed, [2])
  first.destroy()
  await world.settle()
  dial(3)
  await world.settle()
  t.same(closed, [2, 1])
  t.match(alice.mesh.diagnostics(), { connections: 2, counters: { 'handshakes-limit': 1 } })
})

t.test('of a range of ports the first that is free is taken', async (t) => {
  const world = new World()
  for (const port of [7_000, 7_001]) world.taken.add(port)
  const { mesh } = new Tested(world, ALICE)
  t.equal(await mesh.listen(ADDRESS, { from: 7_000, to: 7_005 }), 7_002)
  const other = new Tested(world, BOB)
  await t.rejects(other.mesh.listen(ADDRESS, { from: 7_000, to: 7_002 }), { name: 'NetworkError' })
})

t.test('an inbox keeps its port, where that can be had', async (t) => {
  const ports = new InboxPorts()
  const taken = new Set<number>()
  let free = 40_000
  const open = (port: number) => {
    if (taken.has(port)) {
      const cause = Object.assign(new Error('taken'), { code: 'EADDRINUSE' })
      throw new NetworkError('taken', { cause })
    }
    return { port: port === 0 ? ++free : port }
  }
  const listen = async (address: string, range = ANY) => {
    const { port } = await ports.listen(address, range, open)
    return port
  }
  t.equal(await listen('10.0.0.1'), 40_001)
  t.equal(await listen('10.0.0.2'), 40_001, 'peers and firewalls know it')
  taken.add(40_001)
  t.equal(await listen('10.0.0.3'), 40_002)
  taken.delete(40_001)
  t.equal(await listen('10.0.0.3'), 40_002, 'there it was this one')
  t.equal(await listen('10.0.0.1', { from: 7_000, to: 7_005 }), 7_000, 'it has to be of the range')
  t.equal(await listen('10.0.0.4', { from: 6_000, to: 7_005 }), 7_000)
  for (let index = 0; index < 100; index++) await listen(`10.1.0.${index}`)
  taken.add(7_000)
  t.not(await listen('10.0.0.3'), 40_002, 'not for ever')
})

t.test('who did not run for a while has not seen what came in time', async (t) => {
  const world = new World()
  const { mesh, told } = new Tested(world, ALICE)
  const port = await mesh.listen(ADDRESS, ANY)
  const handlers = { open() {}, receive() {}, drain() {}, close() {} }
  world.host().streams.connect({ address: ADDRESS, port }, handlers)
  await world.settle()
  world.now += 3_600_000
  mesh.handleTimeout(world.now)
  t.same(told, [])
  t.equal(mesh.pollTimeout(), world.now + 5_000)
  world.now += 5_000
  mesh.handleTimeout(world.now)
  t.match(told, [/^-1 refused/])
})

inAllWays('stop() sends what is queued, and ends when it has left', async (t, world) => {
  const { alice, bob } = await pair({}, world)
  bob.greet(1)
  bob.send(1, [pattern(3 * 2 ** 20)])
  const stopping = bob.mesh.stop(1_000)
  await world.settle()
  await stopping
  t.equal(world.now, 0)
  t.match(alice.told, ['-1 up b', '-1 hello 1', '-1 whisper 2', /^-1 lost/])
  t.equal(bob.mesh.diagnostics().connections, 0)
  const ending = alice.mesh.stop(1_000)
  await world.settle()
  await ending
})

t.test('who is asked something behind its end does not answer', async (t) => {
  const { world, bob, mailbox } = await pair()
  // Its other side has not read the end yet, as on a real network.
  mailbox.end = () => {}
  const stopping = bob.mesh.stop(10)
  await world.settle()
  const before = mailbox.written.length
  world.streams[1]?.write(Uint8Array.of(4, 7, 4, 0x50, 0x49, 0x4e, 0x47, 0, 0))
  await world.settle()
  t.equal(mailbox.written.length, before)
  await world.advance(10)
  await stopping
})

t.test('stop() lingers for as long as it is told, and abort() ends that', async (t) => {
  for (const aborted of [false, true]) {
    const { world, bob, mailbox } = await pair()
    mailbox.stalled = true
    bob.send(1)
    let done = false
    const stopping = bob.mesh.stop(1_000).then(() => {
      done = true
    })
    await world.advance(999)
    t.equal(done, false)
    if (aborted) bob.mesh.abort()
    else await world.advance(1)
    await world.settle()
    await stopping
    t.equal(world.now, aborted ? 999 : 1_000)
    t.equal(bob.mesh.diagnostics().connections, 0)
  }
})

t.test('stop() does not wait for a dial', async (t) => {
  const world = new World()
  const [alice, bob] = [new Tested(world, ALICE), new Tested(world, BOB)]
  const port = await alice.mesh.listen(ADDRESS, ANY)
  bob.mesh.dial(1, `tcp://${ADDRESS}:${port}`)
  const stopping = bob.mesh.stop(1_000)
  await world.settle()
  await stopping
  t.equal(world.now, 0)
  t.same(bob.told, [])
})
