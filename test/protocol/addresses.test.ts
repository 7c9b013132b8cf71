import fc from 'fast-check'
import t from 'tap'
import {
  bitsOf,
  canonicalIpv6,
  formatNetwork,
  holderOf,
  isAddress,
  isLinkLocal,
  isNear,
  withoutZone,
  zoneOf,
} from '../../protocol/addresses.ts'
import {
  canonicalEndpoint,
  formatEndpoint,
  helloEndpoint,
  parseEndpoint,
  publicEndpoint,
  reachable,
} from '../../protocol/endpoints.ts'
import { holds } from '../support/holds.ts'

t.test('an IPv6 address has one text (harmony.md 2.12)', async (t) => {
  for (const [text, canonical] of [
    ['::', '::'],
    ['::1', '::1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['FE80::00AB:1', 'fe80::ab:1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
    ['::ffff:0102:0304', '::ffff:1.2.3.4'],
    ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
    ['fe80::1%eth0', 'fe80::1%eth0'],
    ['fe80::1%wlp0s20f3.7@if4', 'fe80::1%wlp0s20f3.7@if4'],
    ['fd00::1%eth0', 'fd00::1'],
  ] as const) {
    t.equal(canonicalIpv6(text), canonical, text)
    t.ok(isAddress(text), text)
  }
})

t.test('what only looks like an IPv6 address is none', async (t) => {
  for (const text of [
    '',
    ':',
    ':::',
    '1:2:3',
    '1::2::3',
    ':1::2',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4::5:6:7:8',
    '12345::',
    'g::',
    '::1.2.3',
    '::1.2.3.256',
    '1.2.3.4::',
    '::1.2.3.4:5',
    'fe80::1%',
    'fe80::1%eth0%eth1',
    'fe80::1%a b',
    'fe80::1%a/b',
    '10.0.0.1',
    'kitchen',
  ]) {
    t.equal(canonicalIpv6(text), undefined, text)
  }
  t.notOk(isAddress('kitchen'))
  t.ok(isAddress('10.0.0.1'))
})

const groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
const ipv6 = groups.map((all) => all.map((group) => group.toString(16)).join(':'))

// Written by others who know RFC 5952, but for addresses that hold one of IPv4.
holds(t, 'the text of an IPv6 address is that of a URL', ipv6, (text) => {
  const canonical = canonicalIpv6(text) as string
  const url = new URL(`http://[${text}]`).hostname.slice(1, -1)
  return canonical.startsWith('::ffff:') || canonical === url
})

holds(t, 'it can be read again', ipv6, (text) => {
  const canonical = canonicalIpv6(text) as string
  return canonicalIpv6(canonical) === canonical && isNear(text, canonical, 128)
})

const parts = fc.constantFrom('0', '1', 'f00', '::', ':', '.', '255', 'g', '1.2.3.4')
const texts = fc.array(parts, { maxLength: 16 }).map((some) => some.join(''))

holds(t, 'any text is an address or none, as in a URL', texts, (text) => {
  const isOne = canonicalIpv6(text) !== undefined
  return !text.includes(':') || isOne === URL.canParse(`http://[${text}]`)
})

t.test('a network is as many bits as it says', async (t) => {
  t.ok(isNear('10.1.15.254', '10.1.2.3', 20))
  t.notOk(isNear('10.1.16.1', '10.1.2.3', 20))
  t.ok(isNear('10.1.16.1', '192.168.0.1', 0))
  t.ok(isNear('10.1.2.3', '10.1.2.3', 32))
  t.notOk(isNear('10.1.2.2', '10.1.2.3', 32))
  t.ok(isNear('fd00:7::1', 'fd00:7:0:0:ffff::', 64))
  t.notOk(isNear('fd00:7::1', 'fd00:7:0:1::1', 64))
  t.ok(isNear('fd00:7::1', 'fd00:6::1', 31))
  t.notOk(isNear('10.0.0.1', 'fd00::1', 0), 'of another family')
  t.notOk(isNear('kitchen', '10.0.0.1', 0))
  t.ok(isNear('fe80::1%eth0', 'fe80::2%eth0', 64))
  t.notOk(isNear('fe80::1%eth0', 'fe80::2%eth1', 64), 'of another link')
  for (const [address, bits, network] of [
    ['10.1.2.3', 20, '10.1.0.0/20'],
    ['10.1.2.3', 0, '0.0.0.0/0'],
    ['fd00:7::1', 64, 'fd00:7::/64'],
    ['fe80::1%eth0', 64, 'fe80::%eth0/64'],
    ['::1', 128, '::1/128'],
  ] as const) {
    t.equal(formatNetwork(address, bits), network)
  }
  for (const [netmask, bits] of [
    ['255.255.240.0', 20],
    ['0.0.0.0', 0],
    ['255.255.255.255', 32],
    ['ffff:ffff:ffff:ffff::', 64],
    ['fffe::', 15],
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 128],
  ] as const) {
    t.equal(bitsOf(netmask), bits, netmask)
  }
})

t.test('what is link-local has a zone, which is ours alone (harmony.md 2.12)', async (t) => {
  t.ok(isLinkLocal('fe80::1'))
  t.ok(isLinkLocal('febf::1%eth0'))
  t.notOk(isLinkLocal('fec0::1'))
  t.notOk(isLinkLocal('fe80.example'))
  t.equal(zoneOf('fe80::1%eth0'), 'eth0')
  t.equal(zoneOf('fe80::1'), '')
  t.equal(withoutZone('fe80::1%eth0'), 'fe80::1')
  const ours = 'tcp://[fe80::1%eth0]:49152'
  t.equal(publicEndpoint(ours), 'tcp://[fe80::1]:49152')
  t.equal(helloEndpoint(ours), 'tcp://fe80::1:49152')
  t.equal(publicEndpoint('tcp://kitchen:1'), 'tcp://kitchen:1')
})

t.test('who has an IPv6 address has 64 bits of them (harmony.md 7.10)', async (t) => {
  t.equal(holderOf('fd00:7:0:1:1:2:3:4'), holderOf('fd00:7:0:1:5:6:7:8'))
  t.not(holderOf('fd00:7:0:1::1'), holderOf('fd00:7:0:2::1'))
  t.equal(holderOf('fe80::1%eth0'), holderOf('fe80::2%eth0'))
  t.not(holderOf('fe80::1%eth0'), holderOf('fe80::1%eth1'))
  for (const address of ['10.0.0.1', '::1', '']) t.equal(holderOf(address), address)
  t.equal(holderOf('::ffff:10.0.0.1'), '10.0.0.1', 'it has no more than that')
})

t.test('an endpoint is read with brackets and without (harmony.md 2.12)', async (t) => {
  for (const [endpoint, host, port] of [
    ['tcp://[fe80::1]:49152', 'fe80::1', 49_152],
    ['tcp://fe80::1:49152', 'fe80::1', 49_152],
    ['tcp://fe80::1%eth0:49152', 'fe80::1%eth0', 49_152],
    ['tcp://[fe80::1%eth0]:49152', 'fe80::1%eth0', 49_152],
    ['tcp://[FD00:0:0::1%eth0]:1', 'fd00::1', 1],
    ['tcp://10.0.0.1:1', '10.0.0.1', 1],
    ['tcp://kitchen:65535', 'kitchen', 65_535],
  ] as const) {
    t.same(parseEndpoint(endpoint), { host, port }, endpoint)
    t.same(parseEndpoint(formatEndpoint(host, port)), { host, port })
    t.equal(canonicalEndpoint(endpoint), formatEndpoint(host, port))
  }
  for (const endpoint of [
    'tcp://::1',
    'tcp://1:2:3:4',
    'tcp://[::1]',
    'tcp://[a/b]:1',
    'tcp://:1',
  ]) {
    t.equal(parseEndpoint(endpoint), undefined, endpoint)
    t.equal(canonicalEndpoint(endpoint), undefined)
  }
})

t.test('a link-local endpoint is on the link that it was told by (harmony.md 2.12)', async (t) => {
  for (const [told, address, dialled] of [
    ['tcp://fe80::1:7', 'fe80::9%eth0', 'tcp://[fe80::1%eth0]:7'],
    ['tcp://[fe80::1%wlan7]:7', 'fe80::9%eth0', 'tcp://[fe80::1%eth0]:7'],
    ['tcp://fe80::1:7', 'fd00::9', 'tcp://[fd00::9]:7'],
    ['tcp://fe80::1:7', '10.0.0.9', 'tcp://10.0.0.9:7'],
    ['tcp://fe80::1:7', 'fe80::9', 'tcp://[fe80::1]:7'],
    ['tcp://fd00::1:7', 'fe80::9%eth0', 'tcp://[fd00::1]:7'],
    ['tcp://10.0.0.1:7', 'fe80::9%eth0', 'tcp://10.0.0.1:7'],
    ['tcp://::1:7', 'fe80::9%eth0', 'tcp://[fe80::9%eth0]:7'],
    ['tcp://kitchen:7', 'fe80::9%eth0', 'tcp://[fe80::9%eth0]:7'],
  ] as const) {
    t.equal(reachable(told, address), dialled, `${told} from ${address}`)
  }
})
