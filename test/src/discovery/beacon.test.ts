import t from 'tap'
import { decodeBeacon, encodeBeacon } from '../../../protocol/index.ts'
import { BeaconDiscovery } from '../../../src/discovery/beacon.ts'
import type { Place } from '../../../src/discovery/discovery.ts'
import { NetworkError } from '../../../src/errors.ts'
import type { Datagrams, NetworkInterface } from '../../../src/host.ts'
import { World, whereabouts } from '../../support/host.ts'
import { fromHex, loadVectors } from '../../support/vectors.ts'

const ALICE = 'a'.repeat(32)
const BOB = 'b'.repeat(32)
const PORT = 5_670
const FROM = { address: '127.0.0.7', port: 1 }

function tested(world: World): { readonly beacon: BeaconDiscovery; readonly told: string[] } {
  const told: string[] = []
  const beacon = new BeaconDiscovery(
    world.host(),
    { uuid: ALICE, port: PORT, intervalMs: 1_000 },
    {
      alive: (uuid, endpoint) => told.push(`${uuid.slice(0, 1)} at ${endpoint.slice(6)}`),
      goodbye: (uuid) => told.push(`goodbye ${uuid.slice(0, 1)}`),
    },
  )
  return { beacon, told }
}

t.test('the first beacon goes out at once, and one an interval or a little earlier', async (t) => {
  const world = new World()
  const { beacon } = tested(world)
  t.equal(beacon.pollTimeout(), Number.POSITIVE_INFINITY)
  await beacon.start(whereabouts(world, 49_152))
  t.match(world.datagrams, [{ to: { address: '127.255.255.255', port: PORT } }])
  t.match(decodeBeacon(world.datagrams[0]?.bytes as Uint8Array), { uuid: ALICE, port: 49_152 })
  for (let count = 1; count < 50; count++) {
    const at = beacon.pollTimeout()
    t.ok(at - world.now >= 900 && at - world.now <= 1_000, `after ${at - world.now} ms`)
    beacon.handleTimeout(at - 1)
    t.equal(world.datagrams.length, count, 'not before')
    world.now = at
    beacon.handleTimeout(at)
    t.equal(world.datagrams.length, count + 1)
  }
  t.equal(beacon.diagnostics().sent, 50)
})

t.test('on a loopback without broadcast nodes hear each other by multicast', async (t) => {
  const world = new World()
  const [lo] = world.interfaces
  if (lo !== undefined) world.interfaces = [{ ...lo, broadcasts: false }]
  const { beacon } = tested(world)
  await beacon.start(whereabouts(world, 49_152))
  await world.settle()
  t.match(world.datagrams, [{ to: { address: '239.255.22.38', port: PORT } }])
  t.match(beacon.diagnostics(), { to: ['239.255.22.38'], heard: { own: 1 } })
})

t.test('what cannot be sent is counted, with the reason, and the next is tried', async (t) => {
  const world = new World()
  const host = world.host()
  const { uuid, ...options } = { uuid: ALICE, port: PORT, intervalMs: 1_000 }
  const codes = ['EADDRNOTAVAIL', 'EHOSTUNREACH', 'ENETUNREACH']
  const datagrams: Datagrams = {
    async open(wanted, handlers) {
      const socket = await host.datagrams.open(wanted, handlers)
      const send = () => handlers.fail(new Error(`send ${codes.shift()} 127.255.255.255`))
      return { send, close: () => socket.close() }
    },
  }
  const nobody = { alive() {}, goodbye() {} }
  const beacon = new BeaconDiscovery({ ...host, datagrams }, { uuid, ...options }, nobody)
  await beacon.start(whereabouts(world, 49_152))
  for (const code of ['EADDRNOTAVAIL', 'EHOSTUNREACH']) {
    t.match(beacon.diagnostics().lastError, new RegExp(code))
    beacon.handleTimeout(beacon.pollTimeout())
  }
  t.match(beacon.diagnostics(), { sent: 3, sendErrors: 3, lastError: /ENETUNREACH/ })
  await beacon.stop()
})

t.test('it beacons on all interfaces, each with its port, and moves when they do', async (t) => {
  const world = new World()
  const [lo] = world.interfaces
  if (lo === undefined) throw new Error('the world has loopback')
  const eth0 = { ...lo, name: 'eth0', address: '10.1.0.1', netmask: '255.255.0.0', loopback: false }
  const wlan0 = { ...eth0, name: 'wlan0', address: '10.2.0.1' }
  world.interfaces = [lo, eth0, wlan0]
  const { beacon, told } = tested(world)
  const { endpoint, places } = whereabouts(world, 49_152)
  const [first, second] = places as readonly [Place, Place]
  await beacon.start({ endpoint, places: [first, { ...second, inboxPort: 49_153 }] })
  const sent = () =>
    world.datagrams.splice(0).map(({ to, bytes }) => `${to.address} ${decodeBeacon(bytes).port}`)
  t.same(sent(), ['10.1.255.255 49152', '10.2.255.255 49153'])
  const hear = (address: string) =>
    world.broadcast(encodeBeacon({ uuid: BOB, port: 7 }), { port: PORT }, { address, port: 1 })
  hear('10.1.0.9')
  hear('10.2.0.9')
  t.same(told, ['b at 10.1.0.9:7', 'b at 10.2.0.9:7'])
  t.match(beacon.diagnostics(), {
    to: ['10.1.255.255', '10.2.255.255'],
    networks: { '10.1.0.0/16': { alive: 1 }, '10.2.0.0/16': { alive: 1 } },
  })
  await beacon.start({ endpoint, places: [{ ...second, inboxPort: 49_153 }] })
  t.same(sent(), ['10.2.255.255 49153'])
  hear('10.1.0.9')
  t.match(beacon.diagnostics().last.foreign, { address: '10.1.0.9' })
  await beacon.stop()
  t.same(sent(), ['10.2.255.255 0'])
})

/** One address of IPv6 of an interface. */
function ipv6(name: string, address: string): NetworkInterface {
  const netmask = 'ffff:ffff:ffff:ffff::'
  const rest = { netmask, loopback: false, broadcasts: true, zone: name }
  return { name, family: 'IPv6', address, ...rest }
}

t.test(
  'with IPv6 it is at ff02::1 of each interface, from one address (beacon.md 2.8)',
  async (t) => {
    const world = new World()
    const wlan0: NetworkInterface = {
      ...ipv6('wlan0', '10.1.0.1'),
      family: 'IPv4',
      netmask: '255.255.0.0',
    }
    world.interfaces = [
      ipv6('eth0', 'fe80::1%eth0'),
      ipv6('eth0', '2001:db8::1'),
      ipv6('eth0', 'fd00:7::1'),
      wlan0,
      ipv6('wlan0', 'fe80::2%wlan0'),
    ]
    const { beacon, told } = tested(world)
    await beacon.start(whereabouts(world, 49_152))
    const sent = () => world.datagrams.splice(0).map(({ to }) => to.address)
    t.same(sent(), ['10.1.255.255', 'ff02::1%eth0', 'ff02::1%wlan0'])
    await world.settle()
    t.match(beacon.diagnostics(), {
      to: ['10.1.255.255', 'ff02::1%eth0', 'ff02::1%wlan0'],
      heard: { own: 3, impostor: 0, foreign: 0 },
      networks: {
        '10.1.0.0/16': { own: 1 },
        'fd00:7::/64': { own: 1 },
        'fe80::%wlan0/64': { own: 1 },
      },
    })
    const hear = (link: string, address: string) => {
      const to = { port: PORT, address: `ff02::1%${link}` }
      world.broadcast(encodeBeacon({ uuid: BOB, port: 7 }), to, { address, port: 1 })
    }
    hear('eth0', 'fd00:7::9')
    hear('eth0', '2001:db8:9::9')
    hear('eth0', 'fe80::9%eth0')
    hear('wlan0', 'fe80::9%wlan0')
    hear('tun0', 'fe80::9%tun0')
    t.same(told, [
      'b at [fd00:7::9]:7',
      'b at [2001:db8:9::9]:7',
      'b at [fe80::9%eth0]:7',
      'b at [fe80::9%wlan0]:7',
    ])
    t.match(beacon.diagnostics().networks, { '2001:db8:9::/64': { alive: 1 } })
    await beacon.stop()
    t.equal(sent().slice(-3).join(), '10.1.255.255,ff02::1%eth0,ff02::1%wlan0', 'its goodbye')
    hear('eth0', 'fd00:7::9')
    t.equal(told.length, 4)
  },
)

t.test('IPv6 comes and goes with its interface, and IPv4 with the last of its own', async (t) => {
  const world = new World()
  const { beacon, told } = tested(world)
  const [lo] = world.interfaces
  world.interfaces = [ipv6('eth0', 'fd00:7::1')]
  await beacon.start(whereabouts(world, 49_152))
  const hear = (address: string | undefined, from: string) => {
    const to = address === undefined ? { port: PORT } : { port: PORT, address }
    world.broadcast(encodeBeacon({ uuid: BOB, port: 7 }), to, { address: from, port: 1 })
    return told.splice(0).join()
  }
  t.equal(hear(undefined, '127.0.0.7'), '', 'nothing of IPv4 is open')
  t.equal(hear('ff02::1%eth0', 'fd00:7::9'), 'b at [fd00:7::9]:7')
  world.interfaces = lo === undefined ? [] : [lo]
  await beacon.start(whereabouts(world, 49_152))
  t.equal(hear('ff02::1%eth0', 'fd00:7::9'), '')
  t.equal(hear(undefined, '127.0.0.7'), 'b at 127.0.0.7:7')
  await beacon.stop()
})

t.test('a new neighbour that is link-local hears of us at once', async (t) => {
  const world = new World()
  world.interfaces = [ipv6('eth0', 'fe80::1%eth0'), ipv6('eth1', 'fe80::1%eth1')]
  const { beacon } = tested(world)
  await beacon.start(whereabouts(world, 49_152))
  const sent = () => world.datagrams.splice(0).map(({ to }) => to.address)
  sent()
  const hear = (uuid: string, address: string) => {
    const [, link = ''] = address.split('%')
    const to = { port: PORT, address: `ff02::1%${link === '' ? 'eth0' : link}` }
    world.broadcast(encodeBeacon({ uuid, port: 7 }), to, { address, port: 1 })
    return sent()
  }
  t.same(hear(BOB, 'fe80::b%eth1'), ['ff02::1%eth1'])
  world.now += 1_000
  t.same(hear(BOB, 'fe80::b%eth1'), [], 'it is not new any more')
  t.same(hear('c'.repeat(32), 'fe80::c%eth0'), ['ff02::1%eth0'])
  t.same(hear('d'.repeat(32), 'fe80::d%eth0'), [], 'however many there are')
  world.now += 100
  t.same(hear('e'.repeat(32), 'fd00:7::e'), [], 'and only where it matters')
  t.same(hear('f'.repeat(32), 'fe80::f%eth0'), ['ff02::1%eth0'])
  await beacon.stop()
})

t.test('with IPv6 alone, and no port to be had, it does not start', async (t) => {
  const world = new World()
  world.interfaces = [ipv6('eth0', 'fd00:7::1')]
  const host = world.host()
  const cause = new NetworkError('cannot open UDP port 5670')
  let sockets = 0
  const datagrams: Datagrams = {
    async open(wanted, handlers) {
      if (wanted.address !== '::') throw cause
      sockets++
      const socket = await host.datagrams.open(wanted, handlers)
      return { ...socket, close: async () => void sockets-- }
    },
  }
  const options = { uuid: ALICE, port: PORT, intervalMs: 1_000 }
  const nobody = { alive() {}, goodbye() {} }
  const beacon = new BeaconDiscovery({ ...host, datagrams }, options, nobody)
  await t.rejects(beacon.start(whereabouts(world, 49_152)), cause)
  t.equal(sockets, 0, 'and what was open is closed')
  t.match(beacon.diagnostics(), { sendErrors: 1, lastError: cause.message })
})

t.test('its last words are a beacon with port 0', async (t) => {
  const world = new World()
  const { beacon } = tested(world)
  await beacon.start(whereabouts(world, 49_152))
  await beacon.stop()
  t.match(decodeBeacon(world.datagrams[1]?.bytes as Uint8Array), { uuid: ALICE, port: 0 })
  t.equal(beacon.pollTimeout(), Number.POSITIVE_INFINITY)
  await beacon.stop()
  t.equal(world.datagrams.length, 2, 'once')
})

/** Says what it is told to whoever listens. */
async function heard(world: World) {
  const { beacon, told } = tested(world)
  await beacon.start(whereabouts(world, 49_152))
  await world.settle()
  const say = (bytes: Uint8Array, from = FROM) => world.broadcast(bytes, { port: PORT }, from)
  return { beacon, told, say }
}

t.test('what is heard is told or counted, by kind and by network', async (t) => {
  const { told, say, beacon } = await heard(new World())
  const { vectors } = loadVectors('beacon')
  const secure = vectors.find(({ bytes }) => bytes[3] === 3)
  const elsewhere = { address: '192.168.7.1', port: 1 }
  say(encodeBeacon({ uuid: BOB, port: 7 }))
  say(encodeBeacon({ uuid: BOB, port: 0 }))
  say(encodeBeacon({ uuid: ALICE, port: 9 }))
  say(Uint8Array.of(1, 2, 3))
  say(Uint8Array.of(1, 2, 3), elsewhere)
  say(encodeBeacon({ uuid: BOB, port: 7 }), elsewhere)
  say(encodeBeacon({ uuid: BOB, port: 0 }), elsewhere)
  say(fromHex('5a524502'), elsewhere)
  say(encodeBeacon({ uuid: BOB, port: 7 }), { address: 'fe80::1', port: 1 })
  say(secure?.bytes as Uint8Array)
  t.same(told, ['b at 127.0.0.7:7', 'goodbye b'], 'all others lead nowhere')
  const { heard: counts, networks } = beacon.diagnostics()
  t.same(counts, {
    alive: 1,
    goodbye: 1,
    own: 1,
    impostor: 1,
    secure: 1,
    foreign: 3,
    otherVersion: 1,
    noise: 2,
  })
  t.same(networks, {
    '127.0.0.0/8': { own: 1, alive: 1, goodbye: 1, impostor: 1, noise: 1, secure: 1 },
    '192.168.7.0/24': { foreign: 2, noise: 1, otherVersion: 1 },
    'fe80::/64': { foreign: 1 },
  })
})

t.test('the last of each kind is named, with the reason why it leads nowhere', async (t) => {
  const world = new World()
  const { say, beacon } = await heard(world)
  t.same(Object.keys(beacon.diagnostics().last), ['own'])
  const { vectors } = loadVectors('beacon')
  const secure = vectors.find(({ bytes }) => bytes[3] === 3)
  say(encodeBeacon({ uuid: BOB, port: 7 }), { address: '127.0.0.6', port: 5 })
  say(encodeBeacon({ uuid: BOB, port: 7 }))
  say(encodeBeacon({ uuid: ALICE, port: 7 }))
  say(encodeBeacon({ uuid: BOB, port: 7 }), { address: '10.1.2.3', port: 4 })
  say(Uint8Array.of(1, 2, 3))
  say(fromHex('5a524502 00'))
  say(secure?.bytes as Uint8Array)
  world.now += 1_500
  const { last } = beacon.diagnostics()
  const of = (address: string, port: number, uuid: string | null, reason: string | null) => {
    return { address, port, msAgo: 1_500, uuid, reason }
  }
  const { uuid } = decodeBeacon(secure?.bytes as Uint8Array)
  t.same(last, {
    own: { ...last.own, uuid: ALICE, reason: null },
    alive: of('127.0.0.7', 1, BOB, null),
    impostor: of('127.0.0.7', 1, ALICE, 'it has our uuid, and our address is 127.0.0.1'),
    foreign: of('10.1.2.3', 4, BOB, 'it is not on 127.0.0.0/8, as we are'),
    noise: of('127.0.0.7', 1, null, 'not a ZRE beacon (beacon.md 2.1)'),
    otherVersion: of('127.0.0.7', 1, null, 'a beacon of version 2 with 5 octets (beacon.md 2.2)'),
    secure: of('127.0.0.7', 1, uuid, 'it talks CURVE, which we do not'),
  })
  const diagnostics = beacon.diagnostics()
  t.same(JSON.parse(JSON.stringify(diagnostics)), diagnostics, 'it is plain JSON')
})

t.test('networks that are made up fill no memory, and hide ours from nobody', async (t) => {
  const { say, beacon } = await heard(new World())
  t.same(Object.keys(beacon.diagnostics().networks), ['127.0.0.0/8'])
  for (let index = 0; index < 200; index++) {
    say(new Uint8Array(0), { address: `10.0.${index}.1`, port: 1 })
  }
  say(encodeBeacon({ uuid: BOB, port: 7 }))
  const { networks } = beacon.diagnostics()
  t.equal(Object.keys(networks).length, 33)
  t.match(networks, { '127.0.0.0/8': { alive: 1 }, other: { noise: 169 } })
})

t.test('what diagnostics told does not change', async (t) => {
  const { say, beacon } = await heard(new World())
  say(encodeBeacon({ uuid: BOB, port: 7 }))
  const before = beacon.diagnostics()
  const copy = structuredClone(before)
  for (let index = 0; index < 3; index++) say(encodeBeacon({ uuid: BOB, port: 7 }))
  t.same(before, copy)
})

t.test('a beacon of C Zyre is heard', async (t) => {
  const world = new World()
  const { beacon, told } = tested(world)
  await beacon.start(whereabouts(world, 49_152))
  const { vectors } = loadVectors('beacon')
  const alive = vectors.find(
    ({ bytes }) => bytes[3] === 1 && bytes.length === 22 && (bytes[20] || bytes[21]),
  )
  world.broadcast(alive?.bytes as Uint8Array, { port: PORT }, FROM)
  t.equal(told.length, 1)
})

t.test('after a sleep it hears and beacons by new sockets, or by the old ones', async (t) => {
  const world = new World()
  const host = world.host()
  const open = new Set<object>()
  let isShort = false
  let openedCount = 0
  const datagrams: Datagrams = {
    async open(wanted, handlers) {
      if (isShort) throw new NetworkError('no socket is left')
      const socket = await host.datagrams.open(wanted, handlers)
      openedCount++
      open.add(socket)
      const close = async () => {
        open.delete(socket)
        await socket.close()
      }
      return { send: (bytes, to) => socket.send(bytes, to), close }
    },
  }
  const options = { uuid: ALICE, port: PORT, intervalMs: 1_000 }
  const beacon = new BeaconDiscovery({ ...host, datagrams }, options, { alive() {}, goodbye() {} })
  await beacon.renew()
  t.equal(openedCount, 0, 'not before it is started')
  isShort = true
  await t.rejects(beacon.start(whereabouts(world, 49_152)), { name: 'NetworkError' })
  isShort = false
  await beacon.start(whereabouts(world, 49_152))
  await beacon.renew()
  t.same([openedCount, open.size, beacon.isPartial], [4, 2, false])
  isShort = true
  await beacon.renew()
  t.same([open.size, beacon.isPartial], [2, false])
  t.match(beacon.diagnostics(), { sent: 3, sendErrors: 2, lastError: 'no socket is left' })
  await beacon.start(whereabouts(world, 49_153))
  t.equal(beacon.isPartial, true, 'it is to be started again')
  isShort = false
  await beacon.start(whereabouts(world, 49_153))
  t.equal(beacon.isPartial, false)
  await world.settle()
  t.match(beacon.diagnostics().heard, { own: 4 })
  await beacon.stop()
  t.equal(open.size, 0)
})
