import t from 'tap'
import { MdnsDiscovery } from '../../../src/discovery/mdns.ts'
import type { MulticastDns } from '../../../src/host.ts'
import { World, whereabouts } from '../../support/host.ts'

const ALICE = 'a'.repeat(32)
const BOB = 'b'.repeat(32)

/** A discovery, driven by what it asks for, and what it told. */
class Tested {
  readonly discovery: MdnsDiscovery
  readonly told: string[] = []
  sooner = 0

  constructor(world: World, { uuid = ALICE, network = 5670, host = world.host() } = {}) {
    const timer = host.clock.timer(() => {
      this.discovery.handleTimeout(host.clock.now())
      arm()
    })
    const arm = () => timer.set(this.discovery.pollTimeout())
    const options = { uuid, name: uuid.slice(0, 1), network }
    this.discovery = new MdnsDiscovery(host, options, {
      alive: (uuid, endpoint) => this.told.push(`${uuid.slice(0, 1)} at ${endpoint}`),
      goodbye: (uuid) => this.told.push(`goodbye ${uuid.slice(0, 1)}`),
      sooner: () => {
        this.sooner++
        arm()
      },
    })
  }

  get state() {
    const [state] = this.discovery.diagnostics()
    if (state === undefined) throw new Error('it is on no interface')
    return state
  }
}

t.test('two nodes find each other, and one sees the other go', async (t) => {
  const world = new World()
  const [alice, bob] = [new Tested(world), new Tested(world, { uuid: BOB })]
  t.equal(alice.discovery.pollTimeout(), Number.POSITIVE_INFINITY)
  await alice.discovery.start(whereabouts(world, 1_001))
  await world.advance(60_000)
  t.same(alice.told, [])
  await bob.discovery.start(whereabouts(world, 1_002))
  await world.settle()
  t.same(alice.told, ['b at tcp://127.0.0.1:1002'], 'at once')
  await world.advance(1_200)
  t.ok(bob.told.includes('a at tcp://127.0.0.1:1001'), 'when it may say it again')
  t.match(alice.state, {
    open: true,
    opened: 1,
    errors: 0,
    instances: [{ uuid: BOB, port: 1_002 }],
  })
  await bob.discovery.stop()
  await world.settle()
  t.equal(alice.told.at(-1), 'goodbye b')
  t.equal(bob.discovery.pollTimeout(), Number.POSITIVE_INFINITY)
  t.same(bob.discovery.diagnostics(), [], 'it is on no interface any more')
  await alice.discovery.stop()
  await alice.discovery.stop()
})

t.test('a node that starts again with another port is found there', async (t) => {
  const world = new World()
  const [alice, bob] = [new Tested(world), new Tested(world, { uuid: BOB })]
  await alice.discovery.start(whereabouts(world, 1_001))
  for (const port of [1_002, 1_003]) {
    await bob.discovery.start(whereabouts(world, port))
    await world.advance(5_000)
    t.equal(alice.told.at(-1), `b at tcp://127.0.0.1:${port}`)
    await bob.discovery.stop()
    await world.advance(5_000)
  }
  t.equal(alice.state.heard.conflict, 0)
})

t.test('nodes of another network do not meet', async (t) => {
  const world = new World()
  const [alice, bob] = [new Tested(world), new Tested(world, { uuid: BOB, network: 5671 })]
  await Promise.all([
    alice.discovery.start(whereabouts(world, 1_001)),
    bob.discovery.start(whereabouts(world, 1_002)),
  ])
  await world.advance(300_000)
  t.same([alice.told, bob.told], [[], []])
  t.ok(alice.state.heard.otherNetwork > 0)
})

t.test(
  'a node that vanishes is forgotten when its time is over, and asked for before',
  async (t) => {
    const world = new World()
    const [alice, bob] = [new Tested(world), new Tested(world, { uuid: BOB })]
    await alice.discovery.start(whereabouts(world, 1_001))
    await bob.discovery.start(whereabouts(world, 1_002))
    await world.advance(300_000)
    t.equal(alice.state.instances.length, 1, 'it answers')
    world.silence()
    await world.advance(119_000)
    t.ok(alice.state.sent.questions > 8)
    await world.advance(2_000)
    t.same(alice.state.instances, [])
    t.notOk(
      alice.told.some((told) => told.startsWith('goodbye')),
      'it is no event',
    )
  },
)

t.test('one whose link broke is looked for, and found where it is now', async (t) => {
  const world = new World()
  const [alice, bob] = [new Tested(world), new Tested(world, { uuid: BOB })]
  alice.discovery.handleExit({ uuid: BOB, cause: 'link' }, world.now)
  await alice.discovery.start(whereabouts(world, 1_001))
  await bob.discovery.start(whereabouts(world, 1_002))
  await world.advance(60_000)
  const before = alice.told.length
  alice.discovery.handleExit({ uuid: BOB, cause: 'link' }, world.now)
  alice.discovery.handleTimeout(world.now)
  await world.advance(200)
  alice.discovery.handleTimeout(world.now)
  await world.settle()
  t.equal(alice.told.length, before + 1)
})

t.test('what comes from another network than ours is counted', async (t) => {
  const world = new World()
  const alice = new Tested(world)
  await alice.discovery.start(whereabouts(world, 1_001))
  await new Tested(world, { uuid: BOB }).discovery.start(whereabouts(world, 1_002))
  await world.settle()
  const { packet } = world.packets.at(-1) as (typeof world.packets)[number]
  const before = alice.told.length
  world.multicast(packet, { address: '192.168.7.1', port: 5_353 })
  t.equal(alice.state.foreign, 1)
  t.equal(alice.told.length, before)
})

t.test(
  'a port that cannot be had does no harm, and is tried again, less and less often',
  async (t) => {
    const world = new World()
    world.mdnsError = new Error('EADDRINUSE')
    const alice = new Tested(world)
    await alice.discovery.start(whereabouts(world, 1_001))
    t.match(alice.state, { open: false, opened: 0, errors: 1, lastError: 'EADDRINUSE' })
    alice.discovery.handleExit({ uuid: BOB, cause: 'link' }, world.now)
    await world.advance(0)
    alice.discovery.handleTimeout(world.now)
    const tries: number[] = []
    let errors = 1
    world.troubleMdns(new Error('nobody hears it'))
    for (let count = 0; count < 8; count++) {
      const at = alice.discovery.pollTimeout()
      tries.push(at - world.now)
      await world.advance(at - world.now)
      alice.discovery.handleTimeout(world.now)
      await world.settle()
      t.equal(alice.state.errors, ++errors)
    }
    t.same(tries, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
    world.mdnsError = undefined
    await world.advance(60_000)
    alice.discovery.handleTimeout(world.now)
    await world.settle()
    t.match(alice.state, { open: true, opened: 1 })
    await alice.discovery.stop()
  },
)

t.test('an interface that loses its address and gets it back is joined anew', async (t) => {
  const world = new World()
  const { interfaces } = world
  const alice = new Tested(world)
  await alice.discovery.start(whereabouts(world, 1_001))
  await world.advance(20_000)
  t.equal(alice.state.opened, 1)
  world.interfaces = []
  await world.advance(10_000)
  t.match(alice.state, { open: false, lastError: /lost its address 127.0.0.1/ })
  world.packets.length = 0
  world.interfaces = interfaces
  await world.advance(5_000)
  t.match(alice.state, { open: true, opened: 2 })
  t.ok(
    world.packets.some(({ packet }) => packet.answers.length === 5),
    'and announced',
  )
  await alice.discovery.stop()
})

t.test('a socket that had a problem is replaced', async (t) => {
  const world = new World()
  const alice = new Tested(world)
  await alice.discovery.start(whereabouts(world, 1_001))
  world.troubleMdns(new Error('send EADDRNOTAVAIL'))
  t.match(alice.state, { open: true, errors: 1, lastError: 'send EADDRNOTAVAIL' })
  await world.advance(5_000)
  t.match(alice.state, { open: true, opened: 2, errors: 1 })
  await world.advance(20_000)
  t.equal(alice.state.opened, 2, 'once')
  await alice.discovery.stop()
})

t.test('one that has a problem again and again is replaced less and less often', async (t) => {
  const world = new World()
  const alice = new Tested(world)
  await alice.discovery.start(whereabouts(world, 1_001))
  for (let count = 0; count < 300; count++) {
    world.troubleMdns(new Error('send EPERM'))
    await world.advance(1_000)
  }
  const { opened } = alice.state
  t.ok(opened > 5 && opened < 12, `${opened} times in 300 s`)
  await world.advance(120_000)
  world.troubleMdns(new Error('send EPERM'))
  await world.advance(5_000)
  t.equal(alice.state.opened, opened + 2, 'at once, after it was well for a while')
  await alice.discovery.stop()
})

t.test('one that is stopped while it opens, closes again, and says nothing', async (t) => {
  const world = new World()
  const host = world.host()
  const opening: (() => void)[] = []
  const multicastDns: MulticastDns = {
    async open(options, handlers) {
      await new Promise<void>((resolve) => opening.push(resolve))
      return host.multicastDns.open(options, handlers)
    },
  }
  const alice = new Tested(world, { host: { ...host, multicastDns } })
  const started = alice.discovery.start(whereabouts(world, 1_001))
  const stopped = alice.discovery.stop()
  for (const open of opening) open()
  await Promise.all([started, stopped])
  await world.advance(10_000)
  t.same(world.packets, [])
  t.same(alice.discovery.diagnostics(), [])
})

t.test('it has nothing to say with IPv6 (mdns.md, Deviations)', async (t) => {
  const world = new World()
  const alice = new Tested(world)
  const [lo] = world.interfaces
  if (lo === undefined) throw new Error('the world has loopback')
  const netmask = 'ffff:ffff:ffff:ffff::'
  const eth0 = { ...lo, name: 'eth0', loopback: false } as const
  const ipv6 = { ...eth0, family: 'IPv6', address: 'fd00::1', netmask, zone: 'eth0' } as const
  const ipv4 = { ...eth0, address: '10.0.0.1', netmask: '255.255.255.0' }
  world.interfaces = [ipv6, ipv4]
  await alice.discovery.start(whereabouts(world, 1_001))
  t.match(alice.discovery.diagnostics(), [{ address: '10.0.0.1' }])
  t.equal(alice.discovery.diagnostics().length, 1)
  await alice.discovery.stop()
})
