import t, { type Test } from 'tap'
import { encodeBeacon, Harmony, type Peer } from '../../protocol/index.ts'
import { NetworkError } from '../../src/errors.ts'
import { text } from '../../src/events.ts'
import type { Host, Stream } from '../../src/host.ts'
import { Lyre } from '../../src/lyre.ts'
import type { LyreOptions } from '../../src/options.ts'
import { World } from '../support/host.ts'

const NOBODY = '0'.repeat(32)

/** Two nodes in a world of their own, which have entered each other. */
async function pair(
  options: LyreOptions = {},
): Promise<{ readonly world: World; readonly alice: Lyre; readonly bob: Lyre }> {
  const world = new World()
  // As with the real host: octets are read to where their receivers want them, in pieces of any size.
  world.pieceBytes = (bytesMax) => Math.min(bytesMax, 1 + (bytesMax % 97) ** 2)
  const alice = new Lyre({ name: 'alice', ...options }, world.host())
  const bob = new Lyre({ name: 'bob', ...options }, world.host())
  await Promise.all([alice.start(), bob.start()])
  await world.advance(1_000)
  return { world, alice, bob }
}

function throwsUsage(t: Test, act: () => unknown, message: RegExp): void {
  t.throws(act, { name: 'UsageError', code: 'ERR_LYRE_USAGE', message })
}

t.test('a node knows itself before it is started', async (t) => {
  const lyre = new Lyre({ headers: { A: 'b' } }, new World().host())
  t.match(lyre.uuid, /^[0-9a-f]{32}$/)
  t.equal(lyre.name, lyre.uuid.slice(0, 6))
  t.same(lyre.headers, { A: 'b' })
  t.equal(lyre.endpoint, undefined)
  t.same(
    [lyre.peers(), lyre.peerGroups(), lyre.ownGroups(), lyre.peersByName('x')],
    [[], [], [], []],
  )
  t.equal(lyre.whisper(NOBODY, 'hello'), 0)
  t.equal(lyre.shout('CHAT', 'hello'), 0)
  t.match(lyre.diagnostics(), { state: 'stopped', endpoint: null, beacon: null, interface: null })
})

t.test('two nodes enter, and answer questions about each other', async (t) => {
  const { alice, bob } = await pair()
  t.match(alice.peers(), [
    { uuid: bob.uuid, name: 'bob', endpoint: bob.endpoint, state: 'entered' },
  ])
  t.equal(alice.peer(bob.uuid)?.name, 'bob')
  t.equal(alice.peer(NOBODY), undefined)
  t.same(alice.peersByName('bob').length, 1)
  t.same(alice.peersByName('carol'), [])
})

t.test('what cannot work is a UsageError at once, and changes nothing', async (t) => {
  const limits = { messageBytesMax: 1_000, messageFramesMax: 4, peerGroupsMax: 2 }
  const { alice, bob } = await pair({ limits })
  for (const uuid of [
    '',
    'bob',
    NOBODY.slice(1),
    `${NOBODY}0`,
    bob.uuid.toUpperCase(),
    undefined,
  ]) {
    throwsUsage(t, () => alice.whisper(uuid as string, 'x'), /is no uuid/)
  }
  for (const group of ['', 'g'.repeat(256), 'ü'.repeat(128), 7]) {
    for (const act of ['join', 'leave', 'shout'] as const) {
      throwsUsage(
        t,
        () => alice[act](group as string, 'x'),
        /^a group is a text of 1 to 255 octets/,
      )
    }
  }
  for (const content of [7, null, undefined, [7], [['x']], {}, new ArrayBuffer(8)]) {
    throwsUsage(t, () => alice.whisper(bob.uuid, content as string), /^content has to be a string/)
  }
  throwsUsage(t, () => alice.shout('CHAT', ['1', '2', '3', '4']), /^4 frames are too many, limit 3/)
  throwsUsage(t, () => alice.shout('CHAT', 'x'.repeat(1_000)), /octets is too large, limit 1000/)
  throwsUsage(t, () => alice.requirePeer({ uuid: 'bob', endpoint: 'tcp://a:1' }), /is no uuid/)
  throwsUsage(t, () => alice.requirePeer({ uuid: NOBODY, endpoint: 'here' }), /is no endpoint/)
  await t.rejects(alice.waitForPeers(-1), { name: 'UsageError', message: /not -1/ })
  await t.rejects(alice.stop({ lingerMs: -1 }), { name: 'UsageError', message: /not -1/ })
  t.equal(alice.join('A'), true)
  t.equal(alice.join('B'), true)
  t.equal(alice.join('A'), false, 'also when there is no room')
  throwsUsage(t, () => alice.join('C'), /^we are in 2 groups/)
  t.same(alice.ownGroups(), ['A', 'B'])
  t.equal(alice.whisper(bob.uuid, 'y'.repeat(600)), 1)
})

t.test('our groups have to fit into a HELLO, and who leaves one has its room again', async (t) => {
  const { alice } = await pair()
  const long = (index: number) => `${index} `.padEnd(255, '-')
  const joinAll = () => {
    for (let index = 0; index < 127; index++) alice.join(long(index))
    throwsUsage(t, () => alice.join('one more'), /^we are in 127 groups, there is no room/)
  }
  joinAll()
  t.equal(alice.leave('one more'), false)
  for (let index = 0; index < 127; index++) t.equal(alice.leave(long(index)), true)
  joinAll()
})

t.test('who is no peer, and a group that cannot be, are told apart from nobody', async (t) => {
  const { world, alice, bob } = await pair()
  bob.join('CHAT')
  await world.settle()
  for (const peer of [null, {}, { uuid: 7 }, { uuid: 'bob' }, 7, bob.uuid.slice(1)]) {
    throwsUsage(t, () => alice.whisper(peer as string, 'x'), /is no uuid/)
  }
  for (const group of [null, undefined, {}, [], 'half \ud83c', '\u2713'.repeat(86)]) {
    throwsUsage(t, () => alice.shout(group as string, 'x'), /^a group is a text/)
  }
  throwsUsage(t, () => alice.whisper(NOBODY, 7 as unknown as string), /^content has to be/)
  throwsUsage(t, () => alice.shout('NOBODY', 7 as unknown as string), /^content has to be/)
  t.same([alice.whisper(NOBODY, 'x'), alice.shout('NOBODY', 'x')], [0, 0])
  t.equal(alice.whisper({ ...(bob.peers()[0] as Peer), uuid: bob.uuid }, 'x'), 1)
  t.equal(alice.shout('CHAT', 'x'), 1)
  t.match(alice.diagnostics().messages, { sent: 2 }, 'and nothing was sent but what was right')
})

t.test('a group that peers are in, but nobody can name, is none to shout to', async (t) => {
  const { world, alice, bob } = await pair()
  // On its way its name is made one that is no UTF-8, which takes more octets as it is read.
  for (const stream of world.streams) {
    const arrive = stream.arrive.bind(stream)
    stream.arrive = (event) =>
      arrive(
        event instanceof Uint8Array ? event.map((octet) => (octet === 0x7e ? 255 : octet)) : event,
      )
  }
  bob.join('~'.repeat(200))
  await world.settle()
  const group = '\ufffd'.repeat(200)
  t.equal(alice.peersInGroup(group).length, 1)
  throwsUsage(t, () => alice.shout(group, 'x'), /^a group is a text/)
  await world.settle()
  t.equal(alice.peers().length, 1)
})

t.test('nor is one without a name', async (t) => {
  const { world, alice, bob } = await pair()
  const { join } = Harmony.prototype
  t.teardown(() => {
    Harmony.prototype.join = join
  })
  Harmony.prototype.join = function (_group, now) {
    return join.call(this, '', now)
  }
  bob.join('CHAT')
  await world.settle()
  t.equal(alice.peersInGroup('').length, 1)
  throwsUsage(t, () => alice.shout('', 'x'), /^a group is a text/)
})

t.test('content up to the limit arrives, also with the longest group', async (t) => {
  const { world, alice, bob } = await pair({
    limits: { messageBytesMax: 1_000, messageFramesMax: 4 },
  })
  const group = 'g'.repeat(255)
  const sizes: number[] = []
  bob.on('shout', ({ content }) => sizes.push(content.flatMap((frame) => [...frame]).length))
  bob.join(group)
  await world.settle()
  t.equal(alice.shout(group, ['', 'x', 'x'.repeat(737)]), 1)
  await world.settle()
  t.same(sizes, [738])
  t.equal(bob.peers().length, 1)
})

t.test('what a handler asks for is done in its turn, after the event', async (t) => {
  const { world, alice, bob } = await pair()
  const told: string[] = []
  bob.on('whisper', ({ peer, content }) => {
    told.push(`bob hears ${text(content)}`)
    if (text(content) === 'one') {
      bob.whisper(peer, 'answer')
      bob.join('CHAT')
      told.push(`and is in ${bob.ownGroups()}`)
    }
  })
  alice.on('whisper', ({ content }) => told.push(`alice hears ${text(content)}`))
  alice.on('join', ({ group, peer }) => told.push(`alice sees ${peer.name} join ${group}`))
  alice.whisper(bob.uuid, 'one')
  alice.whisper(bob.uuid, 'two')
  await world.settle()
  t.same(told, [
    'bob hears one',
    'and is in CHAT',
    'bob hears two',
    'alice hears answer',
    'alice sees bob join CHAT',
  ])
})

t.test('what a handler throws surfaces, and everything goes on', async (t) => {
  const { world, alice, bob } = await pair({
    trace: () => {
      throw new Error('of a trace')
    },
  })
  const heard: string[] = []
  bob.on('whisper', ({ content }) => {
    heard.push(text(content))
    throw new Error('of a handler')
  })
  const stream = bob.events()
  alice.whisper(bob.uuid, 'one')
  alice.whisper(bob.uuid, 'two')
  await world.settle()
  t.same(heard, ['one', 'two'])
  const messages = world.surfaced.map((error) => (error as Error).message)
  t.same(messages.filter((message) => message === 'of a handler').length, 2)
  t.ok(messages.includes('of a trace'))
  t.match(await stream.next(), { value: { type: 'whisper' } })
  t.equal(bob.peers().length, 1)
})

for (const waitMs of [0, 250, 500, 750]) {
  t.test(`who stands still reads what has come before it misses it, ${waitMs}`, async (t) => {
    const world = new World()
    const host = world.host()
    const streams: Stream[] = []
    const keep = (stream: Stream) => {
      streams.push(stream)
      return stream
    }
    const { listen, connect } = host.streams
    const alice = new Lyre(
      { name: 'alice' },
      {
        ...host,
        streams: {
          listen: (at, accept) => listen(at, (stream) => accept(keep(stream))),
          connect: (to, handlers) => keep(connect(to, handlers)),
        },
      },
    )
    const bob = new Lyre({ name: 'bob' }, world.host())
    const exits: string[] = []
    alice.on('exit', ({ cause }) => exits.push(cause))
    await Promise.all([alice.start(), bob.start()])
    await world.advance(5_000 + waitMs)
    const from = { address: '127.0.0.1', port: 1 }
    for (const stream of streams) stream.pause()
    // Bob is asked whether he has left, and answers at once, while nobody reads.
    world.broadcast(encodeBeacon({ uuid: bob.uuid, port: 0 }), { port: 5_670 }, from)
    await world.settle()
    for (const stream of streams) stream.resume()
    await world.standStill(1_600)
    t.same(exits, [])
    t.match(alice.peers(), [{ name: 'bob' }])
    await Promise.all([alice.stop(), bob.stop(), world.advance(2_000)])
  })
}

t.test('a node can be stopped from within a handler, and still says goodbye', async (t) => {
  const { world, alice, bob } = await pair()
  const exits: string[] = []
  alice.on('exit', ({ cause }) => exits.push(cause))
  let stopping: Promise<void> | undefined
  bob.on('whisper', () => {
    stopping = bob.stop()
  })
  alice.whisper(bob.uuid, 'stop, please')
  await world.settle()
  await stopping
  t.same(exits, ['goodbye'])
  t.equal(bob.diagnostics().state, 'stopped')
})

t.test('what comes while a node stops is lost, and told so', async (t) => {
  const { world, alice, bob } = await pair()
  const [dialled] = world.streams.filter(({ written }) => written.length > 0)
  if (dialled !== undefined) dialled.stalled = true
  const exits: unknown[] = []
  for (const lyre of [alice, bob]) lyre.on('exit', ({ cause, lost }) => exits.push([cause, lost]))
  const stopping = alice.stop()
  t.equal(bob.whisper(alice.uuid, 'hello?'), 1)
  await world.advance(1_000)
  await stopping
  await world.advance(1_000)
  t.match(exits, [
    ['stop', 0],
    [/./, 1],
  ])
  t.match(bob.diagnostics().messages, { sent: 1, confirmed: 0, lost: 1 })
})

t.test('nothing is left in time or space after a stop', async (t) => {
  const { world, alice, bob } = await pair()
  await Promise.all([alice.stop(), world.advance(2_000)])
  await Promise.all([bob.stop(), world.advance(2_000)])
  t.equal(world.nextAt, Number.POSITIVE_INFINITY, 'no timer')
  t.same(alice.diagnostics().peers, [])
  const datagramCount = world.datagrams.length
  await world.advance(60_000)
  t.equal(world.datagrams.length, datagramCount)
})

t.test('one timer serves a node, and an idle pair stays together for hours', async (t) => {
  const { world, alice, bob } = await pair()
  const events: string[] = []
  for (const type of ['exit', 'evasive', 'silent'] as const) {
    alice.on(type, () => events.push(type))
    bob.on(type, () => events.push(type))
  }
  await world.advance(2 * 3_600_000)
  t.same(events, [])
  t.equal(alice.peers().length, 1)
})

t.test('a mailbox that takes nothing is an exit, and what waited is dropped', async (t) => {
  const { world, alice, bob } = await pair({ limits: { queueMessagesMax: 10 } })
  const exits: string[] = []
  alice.on('exit', ({ cause }) => exits.push(cause))
  for (const stream of world.streams) stream.stalled = true
  let count = 0
  const content = new Uint8Array(2 ** 20)
  for (let index = 0; index < 20; index++) count += alice.whisper(bob.uuid, content)
  t.ok(count >= 11 && count <= 13, `${count} were queued`)
  t.same(exits, ['limit'], 'told at once')
})

t.test('beacons of strangers lead to nothing but a dial', async (t) => {
  const { world, alice } = await pair()
  const before = alice.diagnostics().peers.length
  const from = { address: '127.0.0.1', port: 1 }
  world.broadcast(encodeBeacon({ uuid: NOBODY, port: 7 }), { port: 5_670 }, from)
  await world.advance(1_000)
  t.equal(alice.diagnostics().peers.length, before + 1)
  t.match(
    alice.diagnostics().peers.find(({ uuid }) => uuid === NOBODY),
    { unreachable: 'nobody listens' },
  )
  t.equal(alice.peers().length, 1)
  await world.advance(60_000)
  t.equal(alice.diagnostics().peers.length, before, 'and is forgotten')
})

t.test('an advertised endpoint is what others are told', async (t) => {
  const world = new World()
  const alice = new Lyre({ advertise: 'tcp://127.0.0.1:40001' }, world.host())
  const bob = new Lyre({ mailboxPort: 7_777 }, world.host())
  await alice.start()
  await bob.start()
  await world.advance(1_000)
  t.equal(alice.endpoint, 'tcp://127.0.0.1:40001')
  t.equal(bob.endpoint, 'tcp://127.0.0.1:7777')
  t.equal(bob.peer(alice.uuid)?.endpoint, 'tcp://127.0.0.1:40001')
})

t.test('drained() resolves when what was sent has left', async (t) => {
  const { world, alice, bob } = await pair()
  await alice.drained()
  for (const stream of world.streams) stream.stalled = true
  for (let index = 0; index < 4; index++) alice.whisper(bob.uuid, new Uint8Array(2 ** 20))
  await world.settle()
  let done = 0
  const late = alice.drained({ timeoutMs: 10 }).catch((error: Error) => error.message)
  const waiting = [alice.drained(), alice.drained({ peer: bob.uuid })].map((promise) =>
    promise.then(() => done++),
  )
  await alice.drained({ group: 'NOBODY' })
  await world.advance(10)
  t.match(await late, /still wait to be sent after 10 ms/)
  t.equal(done, 0)
  for (const stream of world.streams) {
    stream.stalled = false
    stream.backlogBytes = 0
    // Nobody is to read the rest of what never left.
    stream.pause()
  }
  for (const stream of world.streams) stream.handlers?.drain()
  await world.settle()
  await Promise.all(waiting)
  t.equal(done, 2)
})

t.test('what is no signal, or no time, is refused and leaves nothing behind', async (t) => {
  const { world, alice, bob } = await pair()
  const signal = 1 as unknown as AbortSignal
  throwsUsage(t, () => alice.events({ signal }), /^signal has to be an AbortSignal$/)
  await t.rejects(alice.start({ signal }), { name: 'UsageError' })
  await t.rejects(alice.waitForPeers(2, { signal }), { name: 'UsageError' })
  await t.rejects(alice.drained({ timeoutMs: Number.NaN }), { name: 'UsageError' })
  await t.rejects(alice.waitForPeers(2, { timeoutMs: -1 }), { message: /^timeoutMs .* not -1$/ })
  throwsUsage(t, () => alice.join('half \ud83c'), /^a group is a text/)
  for (const lyre of [alice, bob]) {
    const stopping = lyre.stop()
    await world.settle()
    await stopping
  }
})

t.test('who begins to read when the node stops, reads on after the next start', async (t) => {
  const { world, alice } = await pair()
  const later = new Promise<ReturnType<Lyre['events']>>((resolve) => {
    alice.once('stop', () => resolve(alice.events()))
  })
  const stopping = alice.stop()
  await world.settle()
  await stopping
  await alice.start()
  await world.advance(1_000)
  const { value } = await (await later).next()
  t.match(value, { type: 'enter' })
})

t.test('time does not go back for a handler that takes some', async (t) => {
  const { world, alice, bob } = await pair()
  const times: number[] = []
  const { handleMessage, whisper } = Harmony.prototype
  Harmony.prototype.handleMessage = function (connection, message, now) {
    times.push(now)
    handleMessage.call(this, connection, message, now)
  }
  Harmony.prototype.whisper = function (uuid, content, now) {
    times.push(now)
    return whisper.call(this, uuid, content, now)
  }
  t.teardown(() => Object.assign(Harmony.prototype, { handleMessage, whisper }))
  bob.on('whisper', ({ peer }) => {
    world.now += 100
    bob.diagnostics()
    bob.whisper(peer, 'answer')
  })
  for (let count = 0; count < 3; count++) alice.whisper(bob.uuid, 'question')
  await world.settle()
  t.ok(times.length >= 9)
  t.same(
    times,
    times.toSorted((a, b) => a - b),
  )
  for (const lyre of [alice, bob]) {
    const stopping = lyre.stop()
    await world.settle()
    await stopping
  }
})

t.test('an address that nobody may use yet is tried again, soon', async (t) => {
  const world = new World()
  const host = world.host()
  let isTentative = true
  const streams: Host['streams'] = {
    ...host.streams,
    async listen(at, accept) {
      const cause = Object.assign(new Error('tentative'), { code: 'EADDRNOTAVAIL' })
      if (isTentative && at.address === '10.0.0.1') throw new NetworkError('not yet', { cause })
      return host.streams.listen(at, accept)
    },
  }
  const lyre = new Lyre({}, { ...host, streams })
  await lyre.start()
  const [lo] = world.interfaces
  if (lo === undefined) throw new Error('the world has loopback')
  const eth0 = { ...lo, name: 'eth0', address: '10.0.0.1', netmask: '255.0.0.0', loopback: false }
  world.interfaces = [lo, eth0]
  await world.advance(10_000)
  t.match(lyre.endpoint, /^tcp:\/\/127\.0\.0\.1:/, 'it stays where it is')
  isTentative = false
  await world.advance(4_000)
  t.match(lyre.endpoint, /^tcp:\/\/10\.0\.0\.1:/)
  await Promise.all([lyre.stop(), world.settle()])
})
