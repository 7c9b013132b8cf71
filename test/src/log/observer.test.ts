import t from 'tap'
import type { CollectedEvent, LogRecordV2, Peer } from '../../../protocol/index.ts'
import { nameOfEvent, nameOfLevel } from '../../../protocol/log.ts'
import { type Place, Simulation } from '../../../sim/index.ts'
import { UsageError } from '../../../src/errors.ts'
import { type Observation, Observer, type ObserverOptions } from '../../../src/log/observer.ts'
import { LogReceiver } from '../../../src/log/receiver.ts'
import { Lyre } from '../../../src/lyre.ts'
import { Meter, type Status } from '../../../src/metrics.ts'
import type { LyreOptions } from '../../../src/options.ts'
import { type FakeStream, World } from '../../support/host.ts'
import { AT, collectorAt, PORT, receiverOf } from '../../support/log-world.ts'
import type { Raw } from '../../support/raw.ts'
import { FIDELITIES } from '../../support/simulation.ts'

const COLLECTOR = { headers: { 'X-ZRELOG': `tcp://*:${PORT}` } }
const INFO: LyreOptions = { log: { level: 'info' } }

/** The records of one node, as `info join GROUP text`. */
function linesOf(events: readonly CollectedEvent[], node: string): string[] {
  return recordsOf(events)
    .filter((record) => record.node === node)
    .map(({ level, event, group, text }) =>
      [nameOfLevel(level), nameOfEvent(event), group, text].filter((word) => word !== '').join(' '),
    )
}

function recordsOf(events: readonly CollectedEvent[]): LogRecordV2[] {
  return events.flatMap((event) =>
    event.type === 'record' && event.record.version === 2 ? [event.record] : [],
  )
}

async function stopped(world: World, lyre: Lyre): Promise<void> {
  const stopped = lyre.stop()
  await world.advance(2_000)
  await stopped
}

t.test('a collector is told what a node sees from its start to its stop', async (t) => {
  const world = new World()
  const { events } = await receiverOf(world)
  const alice = new Lyre({ name: 'alice', ...COLLECTOR }, world.host())
  const bob = new Lyre({ name: 'bob', ...INFO }, world.host())
  bob.join('EARLY')
  await Promise.all([alice.start(), bob.start()])
  await world.advance(1_000)
  bob.join('CHAT')
  bob.leave('CHAT')
  await world.advance(1_000)
  alice.join('CHAT')
  alice.leave('CHAT')
  bob.log('warning', 'it is hot', { celsius: 31 })
  bob.log('debug', 'not this')
  await world.advance(1_000)
  t.match(bob.diagnostics().log, {
    level: 'info',
    publish: true,
    records: 8,
    kept: 8,
    collectors: [{ endpoint: AT, state: 'connected', sent: 8, dropped: 0 }],
  })
  t.match(alice.diagnostics().log, { level: 'off', records: 0, kept: 0, collectors: [] })
  const { endpoint } = bob
  await stopped(world, bob)
  await world.advance(1_000)
  t.same(linesOf(events, bob.uuid).sort(), [
    'info enter alice',
    'info join CHAT',
    'info join CHAT',
    'info join EARLY',
    'info leave CHAT',
    'info leave CHAT',
    `info start ${endpoint}`,
    'info stop',
    'warning text it is hot',
  ])
  const records = recordsOf(events)
  const about = (name: string) => records.filter(({ event }) => nameOfEvent(event) === name)
  t.same(about('enter')[0]?.fields, { name: 'alice', endpoint: alice.endpoint })
  t.same(about('text')[0]?.fields, { celsius: 31 })
  t.same(
    about('leave').map(({ peer }) => peer),
    [undefined, alice.uuid],
  )
  t.same(new Set(records.map(({ node }) => node)), new Set([bob.uuid]), 'alice logs nothing')
  await stopped(world, alice)
})

t.test('a level can be changed at any time, and collectors that are there are told', async (t) => {
  const world = new World()
  const { events } = await receiverOf(world)
  const alice = new Lyre({ name: 'alice', ...COLLECTOR }, world.host())
  const bob = new Lyre({ name: 'bob' }, world.host())
  await Promise.all([alice.start(), bob.start()])
  await world.advance(1_000)
  t.equal(bob.logLevel, 'off')
  bob.log('error', 'unheard')
  t.match(bob.diagnostics().log, { records: 0, collectors: [] })
  bob.logLevel = 'debug'
  bob.log('debug', 'a detail')
  await world.advance(1_000)
  bob.logLevel = 'error'
  bob.log('warning', 'unheard')
  bob.log('error', 'heard')
  bob.logLevel = 'off'
  bob.log('error', 'unheard')
  await world.advance(1_000)
  t.same(linesOf(events, bob.uuid), ['debug text a detail', 'error text heard'])
  for (const level of ['loud', '', 'OFF', undefined]) {
    t.throws(() => {
      bob.logLevel = level as 'off'
    }, UsageError)
  }
  t.equal(bob.logLevel, 'off')
  await Promise.all([stopped(world, alice), stopped(world, bob)])
})

t.test('what is said while a node is stopped is told once it is started', async (t) => {
  const world = new World()
  const { events } = await receiverOf(world)
  const alice = new Lyre({ name: 'alice', ...COLLECTOR }, world.host())
  const bob = new Lyre({ name: 'bob', log: { level: 'error' } }, world.host())
  bob.log('error', 'before')
  await Promise.all([alice.start(), bob.start()])
  await world.advance(1_000)
  await stopped(world, bob)
  bob.log('error', 'between')
  const restarted = bob.start()
  await world.advance(2_000)
  await restarted
  bob.log('error', 'after')
  await world.advance(1_000)
  t.same(linesOf(events, bob.uuid), ['error text before', 'error text between', 'error text after'])
  t.same(
    events.filter(({ type }) => type !== 'record'),
    [],
    'no gap, and no restart: it counts on',
  )
  await Promise.all([stopped(world, alice), stopped(world, bob)])
})

t.test('nonsense is a UsageError, and what JSON has not is told as what it is', async (t) => {
  const lyre = new Lyre({ log: { level: 'debug' } }, new World().host())
  const log = lyre.log.bind(lyre) as (...given: unknown[]) => void
  for (const given of [
    ['off', 'x'],
    ['trace', 'x'],
    ['toString', 'x'],
    [3, 'x'],
    [undefined, 'x'],
    ['info'],
    ['info', 7],
    ['info', null],
    ['info', 'x', 'y'],
    ['info', 'x', null],
    ['info', 'x', [1]],
  ]) {
    t.throws(() => log(...given), { name: 'UsageError' }, JSON.stringify(given))
  }
  const circle: { self?: unknown } = {}
  circle.self = circle
  lyre.log('info', 'x'.repeat(100_000), circle)
  t.equal(lyre.diagnostics().log.records, 1)
  for (const log of ['info', { level: 'loud' }, { publish: 1 }, { levels: 'info' }]) {
    t.throws(() => new Lyre({ log } as LyreOptions, new World().host()), { name: 'UsageError' })
  }
})

t.test('a header that names an address of somebody else leads nowhere', async (t) => {
  const world = new World()
  const bob = new Lyre({ name: 'bob', ...INFO }, world.host())
  const headers = { 'X-ZRELOG': 'tcp://10.9.9.9:22' }
  const mallory = new Lyre({ name: 'mallory', headers }, world.host())
  await Promise.all([bob.start(), mallory.start()])
  await world.advance(1_000)
  t.equal(bob.peers().length, 1)
  t.match(bob.diagnostics().log, { collectors: [], counters: { 'header-refused': 1 } })
  await Promise.all([stopped(world, bob), stopped(world, mallory)])
})

t.test('a collector that leaves is forgotten, and not dialled any more', async (t) => {
  const world = new World()
  const { receiver } = await receiverOf(world)
  const alice = new Lyre({ name: 'alice', ...COLLECTOR }, world.host())
  const bob = new Lyre({ name: 'bob', ...INFO }, world.host())
  await Promise.all([alice.start(), bob.start()])
  await world.advance(1_000)
  t.equal(receiver.diagnostics().nodes.length, 1)
  await stopped(world, alice)
  await world.advance(1_000)
  t.match(bob.diagnostics().log, { collectors: [] })
  await stopped(world, bob)
})

t.test(
  'what listens to a channel has all of it, at whatever level, and nothing leaves',
  async (t) => {
    const world = new World()
    const said: Observation[] = []
    for (const event of ['enter', 'text', 'trace']) world.channels.set(`lyre:${event}`, said)
    await receiverOf(world)
    const alice = new Lyre({ name: 'alice', ...COLLECTOR }, world.host())
    const quiet = { level: 'info', publish: false } as const
    const bob = new Lyre({ name: 'bob', log: quiet }, world.host())
    await Promise.all([alice.start(), bob.start()])
    await world.advance(1_000)
    bob.log('debug', 'a detail', { of: 'something' })
    t.match(bob.diagnostics().log, { publish: false, records: 0, kept: 0, collectors: [] })
    const ours = said.filter(({ node }) => node === bob.uuid)
    t.match(
      ours.filter(({ event }) => event !== 'trace'),
      [
        { level: 'info', event: 'enter', name: 'bob', peer: { uuid: alice.uuid }, group: '' },
        {
          level: 'debug',
          event: 'text',
          peer: undefined,
          text: 'a detail',
          fields: { of: /some/ },
        },
      ],
    )
    const traces = ours.filter(({ event }) => event === 'trace')
    t.ok(traces.some(({ text }) => text.startsWith('discovered: ')))
    t.ok(
      traces.every(({ level }) => level === 'debug'),
      'nothing is wrong here',
    )
    await Promise.all([stopped(world, alice), stopped(world, bob)])
  },
)

t.test('an aborted signal ends a stop that waits for a collector', async (t) => {
  for (const aborted of ['before', 'meanwhile', 'never'] as const) {
    const world = new World()
    const raws = await collectorAt(world)
    const alice = new Lyre({ name: 'alice', ...COLLECTOR }, world.host())
    const bob = new Lyre({ name: 'bob', ...INFO }, world.host())
    await Promise.all([alice.start(), bob.start()])
    await world.advance(1_000)
    const [raw] = raws as [Raw]
    const ours = (raw.stream as FakeStream).other as FakeStream
    ours.stalled = true
    const leaving = new AbortController()
    const began = world.now
    if (aborted === 'before') leaving.abort()
    let overMs = Number.NaN
    const stopping = bob.stop({ lingerMs: 700, signal: leaving.signal }).then(() => {
      overMs = world.now - began
    })
    await world.advance(100)
    if (aborted === 'meanwhile') leaving.abort()
    await world.advance(2_000)
    await stopping
    t.equal(overMs, { before: 0, meanwhile: 100, never: 700 }[aborted])
    await stopped(world, alice)
  }
})

t.test('a start that fails is told to who collects later', async (t) => {
  const world = new World()
  const lyre = new Lyre({ interface: 'eth9', ...INFO }, world.host())
  await t.rejects(lyre.start())
  t.match(lyre.diagnostics().log, { records: 1, kept: 1 })
})

/** A collector beside a node that has its header, and three that are seen by it. */
async function watched(fidelity: 'wire' | 'message') {
  const simulation = new Simulation({ seed: 7, fidelity })
  const place: Place = { machine: 'hub' }
  const events: CollectedEvent[] = []
  const host = simulation.createHost(place)
  const timer = host.clock.timer(() => receiver.handleTimeout(host.clock.now()))
  const receiver: LogReceiver = new LogReceiver(
    host,
    { level: 'debug', holdMs: 100, connectionsMax: 10 },
    {
      event: (event) => events.push(event),
      sooner: () => timer.set(receiver.pollTimeout()),
    },
  )
  await receiver.listen({ address: '0.0.0.0', port: PORT })
  const hub = simulation.createLyre({ name: 'hub', ...COLLECTOR }, place)
  const ada = simulation.createLyre({ name: 'ada', ...INFO })
  const ben = simulation.createLyre({ name: 'ben', log: { level: 'debug' } })
  await Promise.all([hub.start(), ada.start(), ben.start()])
  await simulation.run(3_000)
  return { simulation, events, hub, ada, ben }
}

for (const fidelity of FIDELITIES) {
  t.test(`the records tell a crash, at fidelity ${fidelity}`, async (t) => {
    const { simulation, events, ada, ben } = await watched(fidelity)
    simulation.crash(ben)
    for (let count = 0; count < 5; count++) ada.whisper(ben.uuid, 'are you there?')
    await simulation.run(40_000)
    const lines = linesOf(events, ada.uuid).filter((line) => !/ (start|enter|status) /.test(line))
    t.match(lines, [
      'info evasive ben',
      'warning silent ben',
      /^info exit expired: nothing came for \d+ ms$/,
      'warning dropped 5 messages to it may not have been read',
    ])
    const [exit] = recordsOf(events).filter(({ event }) => nameOfEvent(event) === 'exit')
    t.match(exit, { peer: ben.uuid, fields: { name: 'ben', cause: 'expired', lost: 5 } })
    t.ok(linesOf(events, ben.uuid).includes('debug trace discovered: beacon'))
    await simulation.stop()
  })

  t.test(`the same seed has the same records, at fidelity ${fidelity}`, async (t) => {
    const runs: CollectedEvent[][] = []
    for (let count = 0; count < 2; count++) {
      const { simulation, events, ben } = await watched(fidelity)
      simulation.crash(ben, { by: 'kill' })
      await simulation.run(70_000)
      runs.push([...events])
      await simulation.stop()
    }
    const told = recordsOf(runs[0] ?? [])
    t.ok(told.length > 10)
    t.ok(told.some(({ event }) => nameOfEvent(event) === 'status'))
    t.same(runs[0], runs[1])
  })

  t.test(`a status tells of half a minute, at fidelity ${fidelity}`, async (t) => {
    const { simulation, events, ada, ben } = await watched(fidelity)
    const statuses = () =>
      recordsOf(events).filter(
        ({ node, event }) => node === ada.uuid && nameOfEvent(event) === 'status',
      )
    for (let count = 0; count < 10; count++) ada.whisper(ben.uuid, 'hello')
    for (let count = 0; count < 4; count++) ben.whisper(ada.uuid, 'hello')
    await simulation.run(60_000)
    const [first, second, ...more] = statuses()
    t.equal(more.length, 0)
    t.match(first, { level: 3, text: 'peers: 2', peer: undefined })
    t.match(first?.fields, { peers: 2, evasive: 0, sent: 10, received: 4, dropped: 0 })
    const told: Partial<Status> = { ...first?.fields }
    const { roundTripMinMs = 0, roundTripMs = 0, roundTripMaxMs = 0, lagMaxMs = 1 } = told
    t.ok(lagMaxMs <= 0.001, 'in virtual time nobody is late')
    t.ok(roundTripMinMs > 0 && roundTripMinMs <= roundTripMs && roundTripMs <= roundTripMaxMs)
    t.match(second?.fields, { sent: 0, received: 0 }, 'what was told before is not told again')
    t.equal((second?.timeMs ?? 0) - (first?.timeMs ?? 0), 30_000)
    simulation.crash(ben)
    for (let count = 0; count < 5; count++) ada.whisper(ben.uuid, 'are you there?')
    await simulation.run(60_000)
    const [third, fourth] = statuses().slice(2)
    t.match(third?.fields, { peers: 2, evasive: 1 })
    t.match(fourth?.fields, { peers: 1, evasive: 0, dropped: 5 })
    ada.logLevel = 'warning'
    await simulation.run(60_000)
    t.equal(statuses().length, 4, 'nobody wants to know')
    ada.logLevel = 'info'
    await simulation.run(60_000)
    t.equal(statuses().length, 5)
    await simulation.stop()
  })

  t.test(`who stood still says so once, at fidelity ${fidelity}`, async (t) => {
    const { simulation, events, ada } = await watched(fidelity)
    const about = () =>
      linesOf(events, ada.uuid).filter((line) => / (late|trace) .*(still|slept|woke)/.test(line))
    for (const ms of [900, 2_500, 20_000]) {
      simulation.pause(ada)
      await simulation.run(ms)
      simulation.resume(ada)
      await simulation.run(20_000)
    }
    t.match(about(), [
      /^warning late stood still for (1[5-9]|2[0-5])\d\d ms$/,
      /^warning late slept for (19|20)\d\d\d ms$/,
    ])
    t.equal(about().length, 2)
    simulation.pause(ada, { by: 'suspend' })
    await simulation.run(10_000)
    simulation.resume(ada)
    await simulation.run(20_000)
    t.equal(about().length, 3, 'also where its clock has stood still')
    const [late] = recordsOf(events).filter(({ event }) => nameOfEvent(event) === 'late')
    t.match(late?.fields, { lateMs: Number })
    await simulation.stop()
  })
}

function statusOf(): Status {
  return new Meter().status({ peers: 0, evasive: 0, lost: 0, dropped: 0 })
}

t.test('no timer of ours is there for a status that nobody wants', async (t) => {
  const world = new World()
  const calls: number[] = []
  let now = 0
  const handlers = {
    sooner() {},
    status() {
      calls.push(now)
      return statusOf()
    },
  }
  const quiet = { header: undefined, publish: false, recordsMax: 10, bytesMax: 1_000 } as const
  for (const level of ['off', 'warning', 'info'] as const) {
    const options = { ...quiet, uuid: '1'.repeat(32), name: 'bob', level }
    const observer = new Observer(world.host(), options, handlers)
    const handleTimeout = (ms: number) => {
      now = ms
      observer.handleTimeout(ms)
    }
    observer.start({ endpoint: 'tcp://127.0.0.1:1', places: [] })
    handleTimeout(0)
    t.equal(observer.pollTimeout(), Number.POSITIVE_INFINITY, 'nothing leaves')
    const said: Observation[] = []
    world.channels.set('lyre:status', said)
    handleTimeout(1_000)
    t.equal(observer.pollTimeout(), 31_000, 'somebody listens')
    handleTimeout(30_999)
    t.same(said, [])
    handleTimeout(31_000)
    t.match(said, [{ level: 'info', event: 'status', text: 'peers: 0', fields: { peers: 0 } }])
    world.channels.delete('lyre:status')
    handleTimeout(61_000)
    t.equal(observer.pollTimeout(), Number.POSITIVE_INFINITY)
  }
  t.same(calls, [1_000, 31_000, 1_000, 31_000, 1_000, 31_000])
})

/** An observer alone, with a timer of its own, and a peer that collects at AT. */
function observed(world: World, options: Partial<ObserverOptions> = {}) {
  const host = world.host()
  const timer = host.clock.timer(() => observer.handleTimeout(world.now))
  const observer: Observer = new Observer(
    host,
    {
      ...{ uuid: '1'.repeat(32), name: 'bob', header: undefined, level: 'warning', publish: true },
      ...{ recordsMax: 1_000, bytesMax: 100_000, ...options },
    },
    {
      sooner: () => timer.set(observer.pollTimeout()),
      status: statusOf,
    },
  )
  const [uuid, endpoint] = ['2'.repeat(32), 'tcp://127.0.0.1:2']
  const headers = { 'X-ZRELOG': AT }
  const peer: Peer = { uuid, name: 'alice', endpoint, headers, groups: [], state: 'entered' }
  return { observer, peer, enter: () => observer.handlePeer({ type: 'enter', peer }, addresses) }
}

const addresses = () => ['127.0.0.1']

t.test('a collector that enters while we are starting is connected to at once', async (t) => {
  const world = new World()
  const { receiver } = await receiverOf(world)
  const { observer, enter } = observed(world)
  enter()
  await world.advance(1_000)
  t.same(world.streams, [], 'not before we are there')
  observer.start({ endpoint: 'tcp://127.0.0.1:1', places: [] })
  await world.settle()
  t.equal(receiver.diagnostics().connections, 1)
  t.match(observer.diagnostics().collectors, [{ endpoint: AT, state: 'connected' }])
  await Promise.all([observer.stop(0), world.settle()])
})

t.test('after a sleep a collector that waits is dialled at once (log.md 5.6)', async (t) => {
  const world = new World()
  const { observer, enter } = observed(world)
  enter()
  observer.start({ endpoint: 'tcp://127.0.0.1:1', places: [] })
  await world.advance(60_000)
  observer.handleWake(world.now)
  t.match(observer.diagnostics().collectors, [{ state: 'dialling' }])
  await Promise.all([observer.stop(0), world.settle()])
})

t.test('a collector of a start that failed is forgotten', async (t) => {
  const world = new World()
  await receiverOf(world)
  const { observer, peer, enter } = observed(world)
  enter()
  observer.handlePeer({ type: 'exit', peer, cause: 'stop', lost: 0 }, addresses)
  observer.fail(new Error('the port is taken'))
  observer.start({ endpoint: 'tcp://127.0.0.1:1', places: [] })
  await world.advance(1_000)
  t.same(observer.diagnostics().collectors, [])
  t.same(world.streams, [])
  enter()
  await world.settle()
  t.match(observer.diagnostics().collectors, [{ endpoint: AT, state: 'connected' }])
  await Promise.all([observer.stop(0), world.settle()])
})

t.test('a header that is refused is counted once, however often we look at it', async (t) => {
  const world = new World()
  const { observer, peer } = observed(world, { header: 'nowhere' })
  const refused = () => observer.diagnostics().counters['header-refused']
  const enter = (header: string) => {
    const headers = { 'X-ZRELOG': header }
    observer.handlePeer({ type: 'enter', peer: { ...peer, headers } }, addresses)
  }
  enter('tcp://10.9.9.9:22')
  t.equal(refused(), undefined)
  observer.start({ endpoint: 'tcp://127.0.0.1:1', places: [] })
  t.equal(refused(), 2, 'its and ours')
  observer.move({ endpoint: 'tcp://127.0.0.1:2', places: [] })
  observer.move({ endpoint: 'tcp://127.0.0.1:3', places: [] })
  t.equal(refused(), 2)
  enter('tcp://10.9.9.9:23')
  enter('tcp://10.9.9.9:23')
  t.equal(refused(), 3)
  await observer.stop(0)
})

t.test('a warning is an event of its own', async (t) => {
  const world = new World()
  const said: Observation[] = []
  world.channels.set('lyre:warning', said)
  const bob = new Lyre({ name: 'bob', lonelyAfterMs: 2_000 }, world.host())
  await bob.start()
  await world.advance(3_000)
  t.match(said, [{ level: 'warning', event: 'warning', fields: { code: 'nobody-heard' } }])
  t.match(said[0]?.text, /^nobody has been there for 2 s/)
  await stopped(world, bob)
})

t.test('who collects has its own records as well, to the last (log.md 5.9)', async (t) => {
  for (const header of [`tcp://*:${PORT}`, AT]) {
    const world = new World()
    const { events } = await receiverOf(world)
    const headers = { 'X-ZRELOG': header }
    const alice = new Lyre({ name: 'alice', headers, ...INFO }, world.host())
    alice.log('info', 'before')
    await alice.start()
    await world.advance(1_000)
    const { endpoint, uuid } = alice
    t.match(alice.diagnostics().log.collectors, [{ endpoint: AT, state: 'connected' }])
    await stopped(world, alice)
    await world.advance(1_000)
    t.same(linesOf(events, uuid), ['info text before', `info start ${endpoint}`, 'info stop'])
  }
  const world = new World()
  const headers = { 'X-ZRELOG': 'nowhere' }
  const alice = new Lyre({ name: 'alice', headers, ...INFO }, world.host())
  await alice.start()
  t.match(alice.diagnostics().log, { collectors: [], counters: { 'header-refused': 1 } })
  await stopped(world, alice)
})

t.test('who collects finds itself again where its address changes', async (t) => {
  const { simulation, events, hub } = await watched('wire')
  hub.logLevel = 'info'
  await simulation.run(1_000)
  const before = hub.diagnostics().log.collectors.map(({ endpoint }) => endpoint)
  t.equal(before.length, 1)
  simulation.moveTo(hub)
  await simulation.run(30_000)
  const after = hub.diagnostics().log.collectors
  t.match(after, [{ state: 'connected' }])
  t.not(after[0]?.endpoint, before[0])
  hub.log('info', 'here I am')
  await simulation.run(1_000)
  t.ok(linesOf(events, hub.uuid).includes('info text here I am'))
  await simulation.stop()
})

t.test('a level of none leaves no connection, and keeps what there is (log.md 5.8)', async (t) => {
  const world = new World()
  const first = await receiverOf(world)
  const alice = new Lyre({ name: 'alice', ...COLLECTOR }, world.host())
  const bob = new Lyre({ name: 'bob', log: { level: 'error' } }, world.host())
  await Promise.all([alice.start(), bob.start()])
  await world.advance(1_000)
  bob.log('error', 'one')
  bob.logLevel = 'off'
  await world.advance(1_000)
  t.same(linesOf(first.events, bob.uuid), ['error text one'], 'what was said just before left')
  t.match(bob.diagnostics().log, { kept: 1, collectors: [] })
  t.equal(first.receiver.diagnostics().connections, 0)
  await Promise.all([world.settle(), first.receiver.stop()])
  const second = await receiverOf(world)
  const carl = new Lyre({ name: 'carl', ...COLLECTOR }, world.host())
  await carl.start()
  await world.advance(10_000)
  t.same(second.events, [], 'nothing leaves')
  bob.logLevel = 'error'
  bob.log('error', 'two')
  await world.advance(10_000)
  t.same(linesOf(second.events, bob.uuid), ['error text one', 'error text two'])
  const stopping = bob.stop()
  bob.logLevel = 'off'
  await world.advance(2_000)
  await stopping
  t.match(bob.diagnostics(), { state: 'stopped', log: { kept: 2, collectors: [] } })
  await bob.start()
  await world.advance(1_000)
  t.equal(second.receiver.diagnostics().connections, 0)
  bob.logLevel = 'error'
  await world.advance(1_000)
  t.equal(second.receiver.diagnostics().connections, 1)
  await Promise.all([alice, bob, carl].map((lyre) => stopped(world, lyre)))
})
