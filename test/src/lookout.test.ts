/** Where a node is, and how it notices that this has changed, or that it has slept. */

import t from 'tap'
import type { Trace } from '../../protocol/index.ts'
import { NetworkError } from '../../src/errors.ts'
import type { NetworkInterface } from '../../src/host.ts'
import { Lookout } from '../../src/lookout.ts'
import { Lyre } from '../../src/lyre.ts'
import { World } from '../support/host.ts'

function interfaceOf(name: string, address: string): NetworkInterface {
  const loopback = name === 'lo'
  const netmask = loopback ? '255.0.0.0' : '255.255.255.0'
  return { name, family: 'IPv4', address, netmask, loopback, broadcasts: true }
}

const LO = interfaceOf('lo', '127.0.0.1')
const ETH = interfaceOf('eth0', '10.0.0.1')
const WLAN = interfaceOf('wlan0', '10.0.1.1')

/** A lookout, and what became of its inboxes. */
class Tested {
  readonly world = new World()
  readonly lookout: Lookout
  readonly told: string[] = []
  /** Addresses at which no inbox can be had. */
  readonly unusable = new Set<string>()
  readonly #open = new Set<string>()

  constructor(wanted: readonly string[] = []) {
    const mailboxPorts = { from: 0, to: 0 }
    const options = { interfaces: wanted, ipv6: undefined, mailboxPorts, advertise: undefined }
    this.lookout = new Lookout(this.world.host(), options, {
      listen: async (address) => {
        if (this.unusable.has(address)) throw new NetworkError(`${address} cannot be had`)
        if (!this.#open.has(address)) this.told.push(`listen ${address}`)
        this.#open.add(address)
        return 7_000
      },
      unlisten: (address) => {
        if (this.#open.delete(address)) this.told.push(`unlisten ${address}`)
      },
      leave: (address) => {
        this.told.push(`leave ${address}`)
        this.#open.delete(address)
      },
    })
  }

  /** Time passes, and it looks, and follows where there is anything new. @returns what it did, and what came of it. */
  async after(ms: number, ...interfaces: readonly NetworkInterface[]) {
    this.world.interfaces = interfaces
    this.world.now += ms
    const glimpse = this.lookout.look(this.world.now)
    const move = glimpse?.isNews ? await this.lookout.follow() : undefined
    const told = this.told.splice(0)
    return { ...glimpse, ...move, told, endpoint: this.lookout.situation.endpoint }
  }
}

async function opened(...interfaces: readonly NetworkInterface[]): Promise<Tested> {
  const tested = new Tested()
  tested.world.interfaces = interfaces
  await tested.lookout.open()
  tested.told.length = 0
  return tested
}

t.test('it looks every two seconds, and as long as nothing changes, nothing happens', async (t) => {
  const tested = await opened(LO, ETH)
  t.equal(tested.lookout.pollTimeout(), 2_000)
  const quiet = { sleptMs: 0, isNews: false, told: [], endpoint: 'tcp://10.0.0.1:7000' }
  t.match(await tested.after(1_999, LO), { isNews: undefined }, 'it does not look before')
  t.same(await tested.after(1, LO, ETH), quiet)
  t.equal(tested.lookout.pollTimeout(), 4_000)
})

t.test('a machine that slept is seen by the clock on its wall, which went on', async (t) => {
  const tested = await opened(LO, ETH)
  tested.world.wallAheadMs += 600_000
  t.match(await tested.after(2_000, LO, ETH), { sleptMs: 600_000, isNews: false })
  t.match(await tested.after(2_000, LO, ETH), { sleptMs: 0 }, 'once')
})

t.test('a process that did not run is late', async (t) => {
  const tested = await opened(LO, ETH)
  t.match(await tested.after(42_000, LO, ETH), { sleptMs: 40_000, isNews: false })
  t.match(await tested.after(6_900, LO, ETH), { sleptMs: 0 }, 'one that was busy is no sleeper')
})

t.test('a clock that is set back, or a little ahead, is no sleep', async (t) => {
  const tested = await opened(LO, ETH)
  tested.world.wallAheadMs -= 3_600_000
  t.match(await tested.after(2_000, LO, ETH), { sleptMs: 0, isNews: false })
  tested.world.wallAheadMs += 4_000
  t.match(await tested.after(2_000, LO, ETH), { sleptMs: 0, isNews: false })
  tested.world.wallAheadMs += 3_600_000
  t.match(
    await tested.after(2_000, LO, ETH),
    { sleptMs: 3_600_000 },
    'nobody can tell that from one',
  )
})

t.test(
  'an interface of others that comes and goes is looked at, and changes nothing',
  async (t) => {
    const tested = await opened(LO, ETH)
    const docker = interfaceOf('docker0', '172.17.0.1')
    t.match(await tested.after(2_000, LO, ETH, docker), {
      isNews: true,
      isElsewhere: false,
      told: [],
    })
    t.match(tested.lookout.situation.choice.skipped, [{ name: 'docker0' }, { name: 'lo' }])
    t.match(await tested.after(2_000, LO, ETH), { isElsewhere: false, isBack: false, told: [] })
  },
)

const V6 = { family: 'IPv6', netmask: 'ffff:ffff:ffff:ffff::' } as const

t.test('of IPv6 it has an address of the network and that of the link', async (t) => {
  const global = { ...interfaceOf('eth0', 'fd00:7::1'), ...V6 }
  const link = { ...interfaceOf('eth0', 'fe80::1%eth0'), ...V6 }
  const tested = await opened(LO, link)
  t.equal(tested.lookout.situation.endpoint, 'tcp://[fe80::1]:7000', 'others are told no zone')
  t.match(tested.lookout.situation.homes, [{ endpoint: 'tcp://[fe80::1%eth0]:7000' }])
  t.match(await tested.after(2_000, LO, link, global), {
    told: ['listen fd00:7::1'],
    endpoint: 'tcp://[fd00:7::1]:7000',
  })
  t.match(await tested.after(2_000, LO), { endpoint: 'tcp://127.0.0.1:7000' }, 'its cable is out')
  t.match(
    await tested.after(2_000, LO, link),
    { told: [], isBack: true, endpoint: 'tcp://[fe80::1]:7000' },
    'that of the link is back first, and is none in place of the other',
  )
  t.match(await tested.after(2_000, LO, link, global), {
    told: [],
    isBack: true,
    endpoint: 'tcp://[fd00:7::1]:7000',
  })
  const newer = { ...global, address: 'fd00:7::2' }
  t.match(await tested.after(2_000, LO, link, newer, global), { isElsewhere: false }, 'it stays')
  t.match(await tested.after(2_000, LO, link, newer), {
    told: ['listen fd00:7::2', 'leave fd00:7::1'],
    endpoint: 'tcp://[fd00:7::2]:7000',
  })
})

t.test('an address in the place of another ends what was there at once', async (t) => {
  const tested = await opened(LO, ETH)
  t.match(await tested.after(2_000, LO, interfaceOf('eth0', '10.0.0.9')), {
    isElsewhere: true,
    isBack: false,
    failure: '',
    told: ['listen 10.0.0.9', 'leave 10.0.0.1'],
    endpoint: 'tcp://10.0.0.9:7000',
  })
})

t.test('an address that is gone for a moment is kept, and then seen to be back', async (t) => {
  const tested = await opened(LO, ETH, WLAN)
  const gone = await tested.after(2_000, LO, ETH)
  t.match(gone, { isElsewhere: true, isBack: false, told: [] })
  t.match(await tested.after(8_000, LO, ETH, WLAN), { isElsewhere: true, isBack: true, told: [] })
  await tested.after(2_000, LO, ETH)
  t.match(await tested.after(9_999, LO, ETH), { told: [] })
  const left = await tested.after(2_000, LO, ETH)
  t.match(left, { isNews: true, isElsewhere: false, told: ['leave 10.0.1.1'] }, 'not for ever')
  t.match(await tested.after(2_000, LO, ETH, WLAN), { isBack: false, told: ['listen 10.0.1.1'] })
})

t.test('who is nowhere stays where it was', async (t) => {
  const tested = await opened(ETH)
  const nowhere = await tested.after(2_000)
  t.match(nowhere, { isElsewhere: false, failure: /no interface that can be used/, told: [] })
  t.match(await tested.after(60_000), { told: [], endpoint: 'tcp://10.0.0.1:7000' })
  t.match(await tested.after(2_000, ETH), { isElsewhere: false, isBack: true, failure: '' })
  await tested.after(2_000)
  t.match(await tested.after(2_000, interfaceOf('eth0', '10.0.5.5')), {
    isElsewhere: true,
    told: ['listen 10.0.5.5', 'leave 10.0.0.1'],
  })
})

t.test('what goes on on loopback goes on when there is a network', async (t) => {
  const tested = await opened(LO)
  t.match(await tested.after(2_000, LO, ETH), { told: ['listen 10.0.0.1', 'unlisten 127.0.0.1'] })
  t.match(await tested.after(2_000, LO), { told: ['listen 127.0.0.1'], isBack: false })
  t.match(await tested.after(2_000, LO, ETH), { told: ['unlisten 127.0.0.1'], isBack: true })
})

t.test('an address that cannot be had at once is tried again at each look', async (t) => {
  const tested = await opened(LO, ETH)
  tested.unusable.add('10.0.1.1')
  t.match(await tested.after(2_000, LO, ETH, WLAN), { isElsewhere: false, told: [] })
  const { skipped } = tested.lookout.situation.choice
  t.match(skipped.at(-1), { name: 'wlan0', reason: '10.0.1.1 cannot be had' })
  t.match(await tested.after(2_000, LO, ETH, WLAN), { isNews: true, told: [] })
  tested.unusable.clear()
  t.match(await tested.after(2_000, LO, ETH, WLAN), {
    isElsewhere: true,
    told: ['listen 10.0.1.1'],
  })
  t.match(await tested.after(2_000, LO, ETH, WLAN), { isNews: false })
})

t.test('where no address can be had, it stays, and is tried again', async (t) => {
  const tested = await opened(LO, ETH)
  const other = interfaceOf('eth0', '10.0.0.9')
  tested.unusable.add('10.0.0.9')
  t.match(await tested.after(2_000, LO, other), { failure: '10.0.0.9 cannot be had' })
  tested.unusable.clear()
  t.match(await tested.after(2_000, LO, other), { isElsewhere: true, failure: '' })
})

/** Two nodes that have entered each other, and what the first one traces. */
async function pair() {
  const world = new World()
  const traces: Trace[] = []
  const trace = (told: Trace) => traces.push(told)
  const alice = new Lyre({ name: 'alice', trace, mdns: true }, world.host())
  const bob = new Lyre({ name: 'bob' }, world.host())
  const told: string[] = []
  for (const lyre of [alice, bob]) {
    for (const type of ['evasive', 'silent', 'exit'] as const) {
      lyre.on(type, ({ peer }) => told.push(`${lyre.name} ${type} ${peer.name}`))
    }
  }
  await Promise.all([alice.start(), bob.start()])
  await world.advance(10_000)
  const woke = () => traces.filter(({ type }) => type === 'woke').map(({ reason }) => reason)
  return { world, alice, bob, told, woke }
}

t.test('a node that slept says so, opens its sockets anew, and beacons at once', async (t) => {
  const { world, alice, told, woke } = await pair()
  const before = alice.diagnostics()
  world.wallAheadMs += 3_600_000
  await world.advance(2_000)
  t.same(woke(), ['slept 3600000 ms'])
  const after = alice.diagnostics()
  t.equal(after.mdns?.[0]?.opened, (before.mdns?.[0]?.opened ?? 0) + 1)
  t.ok((after.beacon?.sent ?? 0) - (before.beacon?.sent ?? 0) >= 3, 'one more than each second')
  t.equal(after.connections, before.connections)
  await world.advance(60_000)
  t.same(told, [], 'which does no harm where it was the clock that was set')
  t.same(woke().length, 1)
})

t.test('a process that was stopped does not blame its peers', async (t) => {
  const { world, alice, told, woke } = await pair()
  world.now += 3_600_000
  await world.advance(0)
  await world.advance(1_000)
  t.match(woke()[0], /^slept 359\d{4} ms$/)
  t.same(told, [])
  t.match(alice.peers(), [{ name: 'bob', state: 'entered' }])
})
