import t from 'tap'
import { chooseInterface, networkOf, onNetwork } from '../../../src/discovery/interfaces.ts'
import type { NetworkInterface } from '../../../src/host.ts'

function ipv4(name: string, address: string, netmask = '255.255.255.0'): NetworkInterface {
  return { name, family: 'IPv4', address, netmask, loopback: name === 'lo', broadcasts: true }
}

const LO = ipv4('lo', '127.0.0.1', '255.0.0.0')
const ETH0 = ipv4('eth0', '192.168.7.9')
const WLAN0 = ipv4('wlan0', '10.1.2.3', '255.255.240.0')
const DOCKER0 = ipv4('docker0', '172.17.0.1', '255.255.0.0')
const LINK_LOCAL = ipv4('eth1', '169.254.3.4', '255.255.0.0')
const IPV6: NetworkInterface = {
  name: 'eth0',
  family: 'IPv6',
  address: 'fe80::1',
  netmask: 'ffff:ffff:ffff:ffff::',
  loopback: false,
  broadcasts: true,
}
const ALL = [LO, DOCKER0, LINK_LOCAL, IPV6, ETH0, WLAN0]

t.test(
  'the first that reaches a network is chosen, and each other one has its reason',
  async (t) => {
    const { chosen, skipped } = chooseInterface(ALL, undefined)
    t.match(chosen, { ...ETH0, reason: 'the first that reaches a network' })
    t.same(skipped, [
      { name: 'eth0', address: 'fe80::1', reason: 'beacons are IPv4 only in this version' },
      { name: 'wlan0', address: '10.1.2.3', reason: 'it comes after the chosen one' },
      {
        name: 'docker0',
        address: '172.17.0.1',
        reason: 'it looks like a container, a virtual machine or a tunnel',
      },
      { name: 'eth1', address: '169.254.3.4', reason: 'it has a link-local address' },
      { name: 'lo', address: '127.0.0.1', reason: 'loopback reaches this machine only' },
    ])
  },
)

t.test('worse ones are chosen when there is nothing better, loopback last', async (t) => {
  t.equal(chooseInterface([LO, LINK_LOCAL, DOCKER0], undefined).chosen.name, 'docker0')
  t.equal(chooseInterface([LO, LINK_LOCAL], undefined).chosen.name, 'eth1')
  t.equal(chooseInterface([LO, IPV6], undefined).chosen.name, 'lo')
})

t.test('one can be asked for by name or by address', async (t) => {
  for (const wanted of ['docker0', '172.17.0.1']) {
    const { chosen, skipped } = chooseInterface(ALL, wanted)
    t.match(chosen, { ...DOCKER0, reason: `asked for as ${wanted}` })
    t.equal(skipped.length, 5)
    t.match(skipped[0], { name: 'lo', reason: `${wanted} was asked for` })
  }
})

t.test('one that is not there is named, with those that are', async (t) => {
  const error = { name: 'UsageError' }
  t.throws(() => chooseInterface([LO, ETH0], 'eth7'), {
    ...error,
    message: /address eth7; there are lo \(127\.0\.0\.1\), eth0 \(192\.168\.7\.9\)$/,
  })
  t.throws(() => chooseInterface([IPV6], undefined), { ...error, message: /eth0 \(fe80::1\)/ })
  t.throws(() => chooseInterface([], undefined), { ...error, message: /none at all/ })
})

t.test('beacons go to the broadcast address of the network', async (t) => {
  for (const [one, broadcast] of [
    [LO, '127.255.255.255'],
    [ETH0, '192.168.7.255'],
    [WLAN0, '10.1.15.255'],
    [ipv4('all', '200.1.2.3', '0.0.0.0'), '255.255.255.255'],
    [ipv4('one', '200.1.2.3', '255.255.255.255'), '200.1.2.3'],
  ] as const) {
    t.equal(chooseInterface([one], undefined).chosen.beaconsTo, broadcast)
  }
})

t.test('on a loopback without broadcast they go to a multicast group, which is said', async (t) => {
  const lo0 = { ...LO, name: 'lo0', broadcasts: false }
  const why =
    'it has no broadcast on this system, so beacons go to the multicast group 239.255.22.38'
  for (const [wanted, reason] of [
    [undefined, `loopback reaches this machine only; ${why}`],
    ['lo0', `asked for as lo0; ${why}`],
  ] as const) {
    const { chosen } = chooseInterface([lo0], wanted)
    t.same(chosen, { ...lo0, beaconsTo: '239.255.22.38', reason })
  }
})

t.test('whether an address is on the network of an interface', async (t) => {
  t.ok(onNetwork('10.1.15.254', WLAN0))
  t.notOk(onNetwork('10.1.16.1', WLAN0))
  t.ok(onNetwork('127.9.9.9', LO))
  t.ok(onNetwork('200.1.1.1', ipv4('all', '1.2.3.4', '0.0.0.0')))
  t.notOk(onNetwork('fe80::1', WLAN0))
  t.notOk(onNetwork('::ffff:10.1.2.3', ipv4('all', '1.2.3.4', '0.0.0.0')))
})

t.test('a network is written with the length of its prefix', async (t) => {
  for (const [one, network] of [
    [LO, '127.0.0.0/8'],
    [ETH0, '192.168.7.0/24'],
    [WLAN0, '10.1.0.0/20'],
    [ipv4('all', '200.1.2.3', '0.0.0.0'), '0.0.0.0/0'],
    [ipv4('one', '200.1.2.3', '255.255.255.255'), '200.1.2.3/32'],
  ] as const) {
    t.equal(networkOf(one), network)
  }
})
