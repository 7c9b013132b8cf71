import t from 'tap'
import { encodeGossip, type GossipMessage, type Uuid } from '../../../protocol/index.ts'
import { GossipDiscovery, type GossipOptions } from '../../../src/discovery/gossip.ts'
import { connectInproc } from '../../../src/discovery/inproc.ts'
import { NetworkError } from '../../../src/errors.ts'
import { endpointOf, uuidOf } from '../../support/gossip.ts'
import { World } from '../../support/host.ts'
import { checkWaits, Raw, watchedHost } from '../../support/raw.ts'

const TTL_MS = 30_000
const HUB = { address: '127.0.0.1', port: 5_671 }
const AT_HUB = 'tcp://127.0.0.1:5671'

/** The gossip of a node, with a timer of its own; whom it tells of, and who has entered. */
class Gossiper {
  readonly gossip: GossipDiscovery
  readonly told: string[] = []
  readonly entered = new Map<Uuid, string>()
  readonly quiet = new Set<Uuid>()

  constructor(
    world: World,
    index: number,
    options: Partial<GossipOptions> = {},
    host = world.host(),
  ) {
    const timer = host.clock.timer(() => this.gossip.handleTimeout(world.now))
    const rest = { bind: undefined, connect: [], ttlMs: TTL_MS, tuplesMax: 100, clientsMax: 10 }
    this.gossip = new GossipDiscovery(
      host,
      { uuid: uuidOf(index), ...rest, ...options },
      {
        alive: (uuid, endpoint) => this.told.push(`${Number.parseInt(uuid, 16)} ${endpoint}`),
        peer: (uuid) => {
          const endpoint = this.entered.get(uuid)
          const quietMs = this.quiet.has(uuid) ? TTL_MS : 0
          return endpoint === undefined ? undefined : { endpoint, quietMs }
        },
        sooner: () => timer.set(this.gossip.pollTimeout()),
      },
    )
  }

  get tuples(): string[] {
    const { tuples } = this.gossip.diagnostics()
    return tuples.map(({ uuid, state }) => `${Number.parseInt(uuid, 16)} ${state}`)
  }
}

/** A client of bare octets. */
function clientOf(world: World): Raw {
  return Raw.connect(world, { socketType: 'DEALER', port: HUB.port })
}

function say(raw: Raw, ...messages: (GossipMessage | Uint8Array)[]): void {
  raw.send(
    ...messages.map((message) => (message instanceof Uint8Array ? message : encodeGossip(message))),
  )
}

function publish(index: number, value = endpointOf(index)): GossipMessage {
  return { type: 'publish', key: uuidOf(index), value, ttlMs: 0 }
}

/** Node 1 is a hub at HUB. */
async function hubOf(world: World, options: Partial<GossipOptions> = {}): Promise<Gossiper> {
  const hub = new Gossiper(world, 1, { bind: HUB, ...options })
  await hub.gossip.start({ endpoint: endpointOf(1), places: [] })
  return hub
}

t.test('a hub and its clients tell each other of everybody', async (t) => {
  const world = new World()
  const hub = await hubOf(world)
  const clients = [2, 3].map((index) => new Gossiper(world, index, { connect: [AT_HUB] }))
  for (const [index, { gossip }] of clients.entries())
    await gossip.start({ endpoint: endpointOf(index + 2), places: [] })
  await world.settle()
  t.same(hub.told, [`2 ${endpointOf(2)}`, `3 ${endpointOf(3)}`])
  t.same(clients[0]?.told, [`1 ${endpointOf(1)}`, `3 ${endpointOf(3)}`])
  t.same(clients[1]?.told.sort(), [`1 ${endpointOf(1)}`, `2 ${endpointOf(2)}`])
  t.match(hub.gossip.diagnostics(), { bind: AT_HUB, clients: 2, hubs: [] })
  const hubs = [{ endpoint: AT_HUB, state: 'connected', leases: true, lastError: null }]
  t.match(clients[0]?.gossip.diagnostics(), { bind: null, clients: 0, hubs })
  await Promise.all([world.settle(), ...clients.map(({ gossip }) => gossip.stop())])
  await Promise.all([world.settle(), hub.gossip.stop()])
  t.equal(hub.gossip.pollTimeout(), Number.POSITIVE_INFINITY)
})

t.test('a hub that is not there is tried again, less and less often', async (t) => {
  const world = new World()
  const { host, dials } = watchedHost(world)
  const client = new Gossiper(world, 2, { connect: [AT_HUB] }, host)
  await client.gossip.start({ endpoint: endpointOf(2), places: [] })
  await world.advance(60_000)
  checkWaits(t, dials)
  t.match(client.gossip.diagnostics().hubs, [{ lastError: /nobody listens/ }])
  const hub = await hubOf(world)
  await world.advance(5_000)
  t.equal(hub.told[0], `2 ${endpointOf(2)}`, 'and it is found within five seconds')
  await Promise.all([world.settle(), hub.gossip.stop()])
  await world.advance(30_000)
  t.match(client.tuples, ['1 gone'])
})

t.test('a hub that was there for long is tried again at once', async (t) => {
  const world = new World()
  const hub = await hubOf(world)
  const client = new Gossiper(world, 2, { connect: [AT_HUB] })
  await client.gossip.start({ endpoint: endpointOf(2), places: [] })
  await world.advance(10_000)
  await Promise.all([world.settle(), hub.gossip.stop()])
  const again = await hubOf(world)
  await world.advance(200)
  t.same(again.told, [`2 ${endpointOf(2)}`])
})

t.test('one malformed frame ends its connection, and nothing else (W10)', async (t) => {
  const world = new World()
  const hub = await hubOf(world)
  const wrong = [
    Uint8Array.of(0xaa, 0xa1, 0xff),
    new Uint8Array(0),
    Uint8Array.of(0xaa, 0xa0, 9, 1),
  ]
  const good = clientOf(world)
  await world.settle()
  say(good, { type: 'hello' })
  for (const frame of wrong) {
    const bad = clientOf(world)
    await world.settle()
    say(bad, frame)
    await world.settle()
    t.equal(bad.over, 'closed by the peer')
  }
  const huge = clientOf(world)
  await world.settle()
  say(huge, new Uint8Array(100_000))
  await world.settle()
  t.ok(huge.over)
  say(good, publish(5))
  await world.settle()
  t.equal(good.over, '')
  t.same(hub.told, [`5 ${endpointOf(5)}`])
  t.same(hub.gossip.diagnostics().counters, {
    'refused: gossip.md 2.1': 3,
    'refused: zmtp.md 3.3': 1,
  })
})

t.test('a value of a thousand octets goes no further (W9)', async (t) => {
  const world = new World()
  const hub = await hubOf(world)
  const [one, other] = [clientOf(world), clientOf(world)]
  await world.settle()
  for (const raw of [one, other]) say(raw, { type: 'hello' })
  await world.settle()
  const before = other.events.length
  say(one, publish(5, `tcp://${'a'.repeat(1_000)}:1`), publish(6, 'x'.repeat(60_000)))
  await world.settle()
  t.equal(other.events.length, before)
  t.same(hub.tuples, [])
  t.match(hub.gossip.diagnostics(), { told: { noise: 2 }, last: { noise: { uuid: uuidOf(6) } } })
  say(one, publish(7))
  await world.settle()
  t.equal(other.events.length, before + 1, 'the next one does')
})

t.test(
  'who is entered where its tuple says is vouched for, also where that has a name',
  async (t) => {
    const world = new World()
    const hub = await hubOf(world)
    const raw = clientOf(world)
    await world.settle()
    say(
      raw,
      { type: 'hello' },
      publish(5),
      publish(6, 'tcp://vm:6000'),
      publish(7),
      publish(8, 'tcp://vm:8000'),
    )
    await world.settle()
    hub.entered.set(uuidOf(5), endpointOf(5))
    hub.entered.set(uuidOf(6), 'tcp://10.0.0.66:6000')
    hub.entered.set(uuidOf(7), 'tcp://10.0.0.77:7000')
    hub.entered.set(uuidOf(8), 'tcp://10.0.0.88:8001')
    hub.told.length = 0
    await world.advance(TTL_MS + 1_000)
    t.same(hub.tuples, ['5 leased', '6 leased', '7 gone', '8 gone'])
    t.same(hub.told, [], 'nobody is told of who is there, wherever that is')
    hub.quiet.add(uuidOf(6))
    await world.advance(TTL_MS)
    t.equal(hub.tuples[1], '6 gone', 'not one that is quiet: it may be dead')
    hub.gossip.handleExit({ uuid: uuidOf(5), cause: 'goodbye' }, world.now)
    t.same(hub.tuples[0], '5 gone')
  },
)

t.test('past the limit of clients the address with most of them makes place', async (t) => {
  const world = new World()
  const hub = await hubOf(world, { clientsMax: 2 })
  const raws = [clientOf(world), clientOf(world), clientOf(world)]
  await world.settle()
  t.equal(hub.gossip.diagnostics().clients, 2)
  t.equal(raws.filter(({ over }) => over !== '').length, 1)
  t.match(hub.gossip.diagnostics().counters, { 'clients-limit': 1 })
})

t.test('who does not read is closed, and so is who never ends its handshake', async (t) => {
  const world = new World()
  const hub = await hubOf(world)
  const deaf = clientOf(world)
  await world.settle()
  const theirs = world.streams.at(-1)
  if (theirs !== undefined) theirs.stalled = true
  say(deaf, { type: 'hello' })
  await world.settle()
  if (theirs !== undefined) theirs.backlogBytes = 5_000_000
  say(deaf, { type: 'ping' })
  await world.settle()
  t.equal(deaf.over, 'closed by the peer')
  const silent = { open() {}, receive() {}, drain() {}, close: (why: string) => reasons.push(why) }
  const reasons: string[] = []
  world.host().streams.connect(HUB, silent)
  await world.advance(5_000)
  t.same(reasons, ['closed by the peer'])
  const { counters, clients } = hub.gossip.diagnostics()
  t.match(counters, { 'it does not read': 1, 'refused: zmtp.md 4.5': 1 })
  t.equal(clients, 0)
})

t.test('who says very much lets others have their turn, and is heard to the end', async (t) => {
  const world = new World()
  const hub = await hubOf(world, { tuplesMax: 2_000 })
  const raw = clientOf(world)
  await world.settle()
  const many = Array.from({ length: 1_000 }, (_, index) =>
    publish(index + 2, `tcp://10.0.0.1:${index + 1}`),
  )
  say(raw, { type: 'hello' }, ...many)
  world.step()
  world.step()
  t.ok(hub.told.length < 1_000, `${hub.told.length} at first`)
  await world.settle()
  t.equal(hub.told.length, 1_000)
})

t.test('a hub that falls silent is left, and dialled again', async (t) => {
  const world = new World()
  const raws = await Raw.listen(world, { socketType: 'ROUTER', port: HUB.port })
  const client = new Gossiper(world, 2, { connect: [AT_HUB] })
  await client.gossip.start({ endpoint: endpointOf(2), places: [] })
  await world.advance(5_500)
  t.equal(raws[0]?.over, 'closed by the peer')
  t.equal(raws.length, 2)
  t.match(client.gossip.diagnostics().counters, { 'the hub does not answer': 1 })
})

t.test('a port that is taken is a NetworkError', async (t) => {
  const world = new World()
  world.taken.add(HUB.port)
  await t.rejects(hubOf(world), NetworkError)
})

t.test('within a process a hub is found by its name', async (t) => {
  const world = new World()
  const host = world.host()
  const name = 'a-hub'
  const connect = ['inproc://a-hub', 'inproc://another']
  const hub = new Gossiper(world, 1, { bind: { name } }, host)
  const client = new Gossiper(world, 2, { connect }, host)
  await client.gossip.start({ endpoint: endpointOf(2), places: [] })
  await world.advance(100)
  t.match(client.gossip.diagnostics().hubs, [{ lastError: /nobody listens at inproc:..a-hub/ }, {}])
  await hub.gossip.start({ endpoint: endpointOf(1), places: [] })
  await world.advance(5_000)
  t.equal(hub.gossip.diagnostics().bind, 'inproc://a-hub')
  t.same([hub.tuples, client.tuples], [['2 leased'], ['1 leased']])
  const other = new Gossiper(world, 3, { bind: { name } }, host)
  await t.rejects(other.gossip.start({ endpoint: endpointOf(3), places: [] }), NetworkError)
  await Promise.all([hub.gossip.stop(), world.settle()])
  t.match(client.gossip.diagnostics().hubs, [
    { state: 'waiting', lastError: 'closed by the peer' },
    {},
  ])
  await other.gossip.start({ endpoint: endpointOf(3), places: [] })
  await world.advance(5_000)
  t.ok(other.tuples.includes('2 leased'))
  await Promise.all([client.gossip.stop(), other.gossip.stop(), world.settle()])
})

t.test(
  'within a process, too, who says much waits for its turn, and nonsense is refused',
  async (t) => {
    const world = new World()
    const host = world.host()
    const hub = new Gossiper(world, 1, { bind: { name: 'hub' }, tuplesMax: 2_000 }, host)
    await hub.gossip.start({ endpoint: endpointOf(1), places: [] })
    const raw = new Raw('DEALER')
    raw.stream = connectInproc(host, { name: 'hub', handlers: raw })
    await world.settle()
    const many = Array.from({ length: 1_000 }, (_, index) =>
      publish(index + 2, `tcp://10.0.0.1:${index + 1}`),
    )
    say(raw, { type: 'hello' })
    for (const message of many) say(raw, message)
    t.ok(raw.stream.backlogBytes > 10_000)
    await world.settle()
    t.equal(hub.told.length, 1_000)
    t.equal(raw.stream.backlogBytes, 0)
    say(raw, Uint8Array.of(1))
    await world.settle()
    t.equal(raw.over, 'closed by the peer')
    t.match(hub.gossip.diagnostics(), { clients: 0, counters: { 'refused: gossip.md 2.1': 1 } })
    const gone = new Raw('DEALER')
    gone.stream = connectInproc(host, { name: 'hub', handlers: gone })
    gone.stream.destroy()
    await world.settle()
    t.equal(gone.over, 'closed by us')
  },
)

t.test('after a sleep a hub that waits is dialled at once, and no other is blamed', async (t) => {
  const world = new World()
  const hub = new Gossiper(world, 1, { bind: HUB })
  const client = new Gossiper(world, 2, { connect: [AT_HUB, 'tcp://127.0.0.1:5999'] })
  await hub.gossip.start({ endpoint: endpointOf(1), places: [] })
  await client.gossip.start({ endpoint: endpointOf(2), places: [] })
  await world.advance(20_000)
  const states = () => client.gossip.diagnostics().hubs.map(({ state }) => state)
  t.same(states(), ['connected', 'waiting'])
  const count = world.streams.length
  await client.gossip.renew()
  t.equal(world.streams.length, count + 2, 'the one that waited')
  await world.advance(30_000)
  t.equal(client.gossip.diagnostics().hubs[0]?.lastError, null, 'who answers is left alone')
  world.now += 3_600_000
  await world.advance(0)
  t.same(states()[0], 'connected', 'what came meanwhile is read before anybody is late')
  await Promise.all([hub, client].map(({ gossip }) => gossip.stop()).concat(world.settle()))
})

t.test('who slept while a hub was dialled does not blame it for the time', async (t) => {
  const world = new World()
  const hub = await hubOf(world)
  const client = new Gossiper(world, 2, { connect: [AT_HUB] })
  await client.gossip.start({ endpoint: endpointOf(2), places: [] })
  world.now += 3_600_000
  client.gossip.handleTimeout(world.now)
  await world.settle()
  for (const { gossip } of [hub, client]) t.same(gossip.diagnostics().counters, {})
  t.match(client.gossip.diagnostics().hubs, [{ state: 'connected', lastError: null }])
})
