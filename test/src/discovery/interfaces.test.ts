import t from 'tap'
import { chooseInterfaces, networkOf, onNetwork } from '../../../src/discovery/interfaces.ts'
import type { NetworkInterface } from '../../../src/host.ts'

function ipv4(name: string, address: string, netmask = '255.255.255.0'): NetworkInterface {
  return { name, family: 'IPv4', address, netmask, loopback: name === 'lo', broadcasts: true }
}

const LO = ipv4('lo', '127.0.0.1', '255.0.0.0')
const ETH0 = ipv4('eth0', '192.168.7.9')
const WLAN0 = ipv4('wlan0', '10.1.2.3', '255.255.240.0')
const DOCKER0 = ipv4('docker0', '172.17.0.1', '255.255.0.0')
const LINK_LOCAL = ipv4('eth1', '169.254.3.4', '255.255.0.0')

function ipv6(name: string, address: string): NetworkInterface {
  const loopback = name === 'lo'
  const netmask = loopback ? 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' : 'ffff:ffff:ffff:ffff::'
  return { name, family: 'IPv6', address, netmask, loopback, broadcasts: !loopback, zone: name }
}

const IPV6 = ipv6('eth0', 'fe80::1%eth0')
const LO6 = ipv6('lo', '::1')

function namesOf(interfaces: readonly NetworkInterface[], wanted: readonly string[]): string {
  return chooseInterfaces(interfaces, wanted)
    .chosen.map(({ name }) => name)
    .join(' ')
}

const ALL = [LO, DOCKER0, LINK_LOCAL, IPV6, ETH0, WLAN0]

t.test('all that reach a network are chosen, and each other one has its reason', async (t) => {
  const { chosen, skipped } = chooseInterfaces(ALL, [])
  t.match(chosen, [
    { ...ETH0, reason: 'it reaches a network' },
    { ...WLAN0, reason: 'it reaches a network' },
  ])
  t.same(skipped, [
    { name: 'eth0', address: 'fe80::1%eth0', reason: 'it has IPv4, and IPv6 was not asked for' },
    {
      name: 'docker0',
      address: '172.17.0.1',
      reason: 'it looks like a container, a virtual machine or a tunnel',
    },
    { name: 'eth1', address: '169.254.3.4', reason: 'it has a link-local address' },
    { name: 'lo', address: '127.0.0.1', reason: 'loopback reaches this machine only' },
  ])
})

t.test('worse ones are chosen when there is nothing better, loopback last', async (t) => {
  t.equal(namesOf([LO, LINK_LOCAL, DOCKER0], []), 'docker0')
  t.equal(namesOf([LO, LINK_LOCAL], []), 'eth1')
  t.equal(namesOf([LO], []), 'lo')
})

t.test('of two addresses on one network the first is used', async (t) => {
  const alias = ipv4('eth0', '192.168.7.10')
  const { chosen, skipped } = chooseInterfaces([ETH0, alias], [])
  t.equal(chosen.length, 1)
  const reason = '192.168.7.9 is on the same network'
  t.same(skipped, [{ name: 'eth0', address: '192.168.7.10', reason }])
})

t.test('they can be asked for by name, address, network or pattern, and left out', async (t) => {
  for (const [wanted, names] of [
    [['docker0'], 'docker0'],
    [['172.17.0.1'], 'docker0'],
    [['eth*'], 'eth0 eth1'],
    [['wlan?', 'eth0'], 'wlan0 eth0'],
    [['10.0.0.0/8', '127.0.0.1'], 'wlan0 lo'],
    [['10.1.16.0/20', 'lo'], 'lo'],
    [['192.168.*'], 'eth0'],
    [['0.0.0.0/0'], 'eth0 wlan0 docker0 eth1 lo'],
    [['!wlan*'], 'eth0'],
    [['!wlan*', '!192.168.7.9'], 'docker0'],
    [['eth*', '!169.254.0.0/16'], 'eth0'],
  ] as const) {
    t.equal(namesOf(ALL, wanted), names, wanted.join(' '))
  }
  const { chosen, skipped } = chooseInterfaces(ALL, ['eth*', '!eth1'])
  t.equal(chosen[0]?.reason, 'asked for as eth*')
  t.match(skipped, [
    { name: 'lo', reason: 'eth* was asked for' },
    { name: 'docker0' },
    { name: 'eth1', reason: '!eth1 leaves it out' },
  ])
})

t.test('one that is not there is named, with those that are', async (t) => {
  const error = { name: 'UsageError' }
  t.throws(() => chooseInterfaces([LO, ETH0], ['eth7']), {
    ...error,
    message: /address eth7; there are lo \(127\.0\.0\.1\), eth0 \(192\.168\.7\.9\)$/,
  })
  t.throws(() => chooseInterfaces([LO6], []), { ...error, message: /lo \(::1\)/ })
  t.throws(() => chooseInterfaces([], []), { ...error, message: /none at all/ })
})

t.test('IPv6 is used where there is nothing else, or somebody wants it', async (t) => {
  const all = [LO, LO6, ETH0, IPV6, ipv6('wlan0', 'fd00:7::2'), ipv6('wlan0', 'fe80::2%wlan0')]
  const addresses = (wanted: readonly string[], wish?: boolean) =>
    chooseInterfaces(all, wanted, { ipv6: wish })
      .chosen.map(({ address, quiet }) => (quiet ? `(${address})` : address))
      .join(' ')
  for (const [wanted, wish, chosen] of [
    [[], undefined, '192.168.7.9 fd00:7::2 (fe80::2%wlan0)'],
    [[], true, '192.168.7.9 fd00:7::2 fe80::1%eth0 (fe80::2%wlan0)'],
    [[], false, '192.168.7.9'],
    [['eth0'], undefined, '192.168.7.9'],
    [['eth0'], true, '192.168.7.9 fe80::1%eth0'],
    [['lo'], true, '127.0.0.1'],
    [['fe80::1'], undefined, 'fe80::1%eth0'],
    [['FE80:0::1'], undefined, 'fe80::1%eth0'],
    [['fe80::1%eth0', 'fe80::1%eth1'], undefined, 'fe80::1%eth0'],
    [['fd00::/8'], undefined, 'fd00:7::2'],
    [['fe80::/10', '!eth*'], undefined, 'fe80::2%wlan0'],
    [['fd00:*'], undefined, 'fd00:7::2'],
    [['::/0', '!::1'], undefined, 'fd00:7::2 fe80::1%eth0 (fe80::2%wlan0)'],
    [['::1', '127.0.0.1'], undefined, '::1 127.0.0.1'],
    [['!*:*'], true, '192.168.7.9'],
  ] as const) {
    t.equal(addresses(wanted, wish), chosen, `${wanted.join(' ')} ${wish}`)
  }
  const { skipped } = chooseInterfaces(all, [], { ipv6: false })
  t.match(skipped, [{ reason: 'IPv6 is switched off' }])
  t.equal(namesOf([LO, IPV6], []), 'eth0', 'a link-local address before loopback')
  t.throws(() => chooseInterfaces(all, ['fd00::/8'], { ipv6: false }), { name: 'UsageError' })
})

t.test('of an interface one address of IPv6 beacons', async (t) => {
  const global = ipv6('eth0', '2001:db8::1')
  const local = ipv6('eth0', 'fd00:7::1')
  const other = ipv6('eth0', 'fd00:8::1')
  const { chosen, skipped } = chooseInterfaces([IPV6, global, local, other], [])
  t.match(chosen, [
    { address: 'fd00:7::1', beaconsTo: 'ff02::1%eth0', reason: 'it reaches a network' },
    { address: 'fe80::1%eth0', quiet: true, reason: 'beacons come from fd00:7::1' },
  ])
  t.same(skipped, [
    { name: 'eth0', address: 'fd00:8::1', reason: 'fd00:7::1 is used there' },
    { name: 'eth0', address: '2001:db8::1', reason: 'fd00:7::1 is used there' },
  ])
  const first = (held: readonly string[]) =>
    chooseInterfaces([local, other, global], [], { held }).chosen[0]?.address
  t.equal(first([]), 'fd00:7::1')
  t.equal(first(['fd00:8::1']), 'fd00:8::1', 'which was used before')
  t.equal(first(['2001:db8::1']), 'fd00:7::1', 'unless there is a better one now')
  t.equal(chooseInterfaces([global, IPV6], []).chosen[0]?.address, '2001:db8::1')
  const { zone: _, ...unnamed } = local
  t.equal(chooseInterfaces([unnamed], []).chosen[0]?.beaconsTo, 'ff02::1%eth0')
})

t.test('a loopback without multicast is used by its address alone', async (t) => {
  const why = 'loopback has no multicast of IPv6 on this system, so no beacon is heard there'
  const { skipped } = chooseInterfaces([LO, LO6], ['lo'], { ipv6: true })
  t.same(skipped, [{ name: 'lo', address: '::1', reason: why }])
  t.match(chooseInterfaces([LO, LO6], ['::1']).chosen, [
    { address: '::1', beaconsTo: 'ff02::1%lo', reason: `asked for as ::1; ${why}` },
  ])
  const lo0 = { ...LO6, name: 'lo0', zone: 'lo0', broadcasts: true }
  t.match(chooseInterfaces([lo0], [], { ipv6: true }).chosen, [{ beaconsTo: 'ff02::1%lo0' }])
})

t.test('beacons go to the broadcast address of the network', async (t) => {
  for (const [one, broadcast] of [
    [LO, '127.255.255.255'],
    [ETH0, '192.168.7.255'],
    [WLAN0, '10.1.15.255'],
    [ipv4('all', '200.1.2.3', '0.0.0.0'), '255.255.255.255'],
    [ipv4('one', '200.1.2.3', '255.255.255.255'), '200.1.2.3'],
  ] as const) {
    t.equal(chooseInterfaces([one], []).chosen[0]?.beaconsTo, broadcast)
  }
})

t.test('on a loopback without broadcast they go to a multicast group, which is said', async (t) => {
  const lo0 = { ...LO, name: 'lo0', broadcasts: false }
  const why =
    'it has no broadcast on this system, so beacons go to the multicast group 239.255.22.38'
  for (const [wanted, reason] of [
    [[], `loopback reaches this machine only; ${why}`],
    [['lo0'], `asked for as lo0; ${why}`],
  ] as const) {
    const { chosen } = chooseInterfaces([lo0], wanted)
    t.same(chosen[0], { ...lo0, beaconsTo: '239.255.22.38', reason })
  }
})

t.test('whether an address is on the network of an interface', async (t) => {
  t.ok(onNetwork('10.1.15.254', WLAN0))
  t.notOk(onNetwork('10.1.16.1', WLAN0))
  t.ok(onNetwork('127.9.9.9', LO))
  t.ok(onNetwork('200.1.1.1', ipv4('all', '1.2.3.4', '0.0.0.0')))
  t.notOk(onNetwork('fe80::1', WLAN0))
  t.notOk(onNetwork('10.1.2.3', IPV6))
  t.ok(onNetwork('fe80::9%eth0', IPV6))
  t.notOk(onNetwork('fe80::9%eth1', IPV6))
  t.ok(onNetwork('fd00:7::9', ipv6('eth0', 'fd00:7::1')))
  t.notOk(onNetwork('::ffff:10.1.2.3', ipv4('all', '1.2.3.4', '0.0.0.0')))
})

t.test('a network is written with the length of its prefix', async (t) => {
  for (const [one, network] of [
    [LO, '127.0.0.0/8'],
    [ETH0, '192.168.7.0/24'],
    [WLAN0, '10.1.0.0/20'],
    [ipv4('all', '200.1.2.3', '0.0.0.0'), '0.0.0.0/0'],
    [ipv4('one', '200.1.2.3', '255.255.255.255'), '200.1.2.3/32'],
    [ipv6('eth0', 'fd00:7::1'), 'fd00:7::/64'],
    [IPV6, 'fe80::%eth0/64'],
    [LO6, '::1/128'],
  ] as const) {
    t.equal(networkOf(one), network)
  }
})
