import fc from 'fast-check'
import t from 'tap'
import {
  BEACON_MULTICAST,
  BEACON_MULTICAST_IPV6,
  BEACON_PORT,
  decodeBeacon,
  encodeBeacon,
  isBeaconOf,
} from '../../protocol/beacon.ts'
import { WireError } from '../../protocol/errors.ts'
import { holds } from '../support/holds.ts'
import { concat } from '../support/octets.ts'
import { findVector, fromHex, loadVectors, toHex } from '../support/vectors.ts'

const VECTORS = loadVectors('beacon')
const ALIVE = findVector(VECTORS, 'beacon-v2-alive').bytes
const SECURE = findVector(VECTORS, 'beacon-v3-alive').bytes
const uuids = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(toHex)
const ports = fc.nat(65_535)

t.test('the beacons of C Zyre are read (beacon.md 2.2 and 2.5)', async (t) => {
  for (const { name, bytes, decoded } of VECTORS.vectors) {
    const { publicKey, ...beacon } = { publicKey: undefined, ...decodeBeacon(bytes) }
    const { version, uuid, port } = decoded
    t.same(beacon, { version, uuid, port }, name)
    t.equal(publicKey && toHex(publicKey), decoded.public_key, `${name}: key`)
  }
})

t.test('our beacon is that of C Zyre, octet by octet (beacon.md 2.6)', async (t) => {
  for (const { name, bytes, decoded } of VECTORS.vectors) {
    if (decoded.version === 1) t.equal(toHex(encodeBeacon(decoded)), toHex(bytes), name)
  }
})

t.test('forged beacons are beacons like any other: it is not the codec that judges', async (t) => {
  for (const { name, bytes } of VECTORS.behaviours) {
    t.equal(decodeBeacon(bytes).uuid, toHex(bytes.subarray(4, 20)), name)
  }
})

t.test('port 0 is a goodbye in both versions (beacon.md 2.4)', async (t) => {
  for (const name of ['beacon-v2-goodbye', 'beacon-v3-goodbye']) {
    t.equal(decodeBeacon(findVector(VECTORS, name).bytes).port, 0, name)
  }
})

t.test('a key whose first octet is 0 is a key, and a view (beacon.md 2.3)', async (t) => {
  const datagram = SECURE.slice()
  datagram[22] = 0
  const beacon = decodeBeacon(datagram)
  t.ok(beacon.version === 3 && toHex(beacon.publicKey) === toHex(datagram.subarray(22)))
  t.ok(beacon.version === 3 && beacon.publicKey.buffer === datagram.buffer)
})

t.test('what does not begin with ZRE is not a beacon (beacon.md 2.1)', async (t) => {
  const foreign = [0, 1, 2].map((place) => {
    const datagram = ALIVE.slice()
    datagram[place] = 0x20
    return datagram
  })
  for (const datagram of [...foreign, new Uint8Array(0), fromHex('5a52'), new Uint8Array(22)]) {
    t.throws(() => decodeBeacon(datagram), { name: 'WireError', rule: 'beacon.md 2.1' })
  }
})

t.test('sizes and versions are exact (beacon.md 2.2)', async (t) => {
  const withVersion = (datagram: Uint8Array, version: number) => {
    const copy = datagram.slice()
    copy[3] = version
    return copy
  }
  for (const [what, datagram] of [
    ['nothing but the signature', fromHex('5a5245')],
    ['an octet too few', ALIVE.subarray(0, 21)],
    ['an octet too many', concat(ALIVE, Uint8Array.of(0))],
    ['a key an octet short', SECURE.subarray(0, 53)],
    ['a key an octet long', concat(SECURE, Uint8Array.of(0))],
    ['version 1 with a key', withVersion(SECURE, 1)],
    ['version 3 without a key', withVersion(ALIVE, 3)],
    ['version 0', withVersion(ALIVE, 0)],
    ['version 2', withVersion(ALIVE, 2)],
    ['version 255', withVersion(SECURE, 255)],
  ] as const) {
    t.throws(() => decodeBeacon(datagram), { name: 'WireError', rule: 'beacon.md 2.2' }, what)
  }
})

t.test(
  'the group of a loopback without broadcast is local, and has our port (beacon.md 2.7)',
  async (t) => {
    const [first, second, third, fourth] = BEACON_MULTICAST.split('.').map(Number)
    t.same([first, second], [239, 255], 'the local scope of RFC 2365')
    t.equal(256 * (third as number) + (fourth as number), BEACON_PORT)
  },
)

t.test('the group of IPv6 is all nodes of a link, where C Zyre is (beacon.md 2.8)', async (t) => {
  t.equal(
    BEACON_MULTICAST_IPV6,
    'ff02::1',
    'RFC 4291, 2.7.1, and zsys_ipv6_mcast_address() of czmq',
  )
})

t.test('the port of another network is for others to choose', async (t) => {
  t.equal(BEACON_PORT, 5670)
})

t.test('beacons keep their promises', async (t) => {
  holds(t, 'what was encoded decodes to the same', fc.tuple(uuids, ports), ([uuid, port]) => {
    const beacon = decodeBeacon(encodeBeacon({ uuid, port }))
    return beacon.version === 1 && beacon.uuid === uuid && beacon.port === port
  })
  const nearly = fc
    .tuple(fc.constantFrom(ALIVE, SECURE), fc.nat(60), fc.uint8Array({ maxLength: 40 }))
    .map(([datagram, keep, rest]) => concat(datagram.subarray(0, keep), rest))
  const datagrams = fc.oneof(fc.uint8Array({ maxLength: 255 }), nearly)
  holds(t, 'any octets give a beacon or a WireError', datagrams, (datagram) => {
    try {
      const { uuid, port } = decodeBeacon(datagram)
      return /^[0-9a-f]{32}$/.test(uuid) && port >= 0 && port <= 65_535
    } catch (error) {
      return error instanceof WireError
    }
  })
})

t.test('a beacon is known again, octet for octet', async (t) => {
  const { uuid, port } = decodeBeacon(ALIVE)
  t.ok(isBeaconOf(ALIVE, { uuid, port }))
  for (let index = 0; index < ALIVE.length; index++) {
    const other = ALIVE.slice()
    other[index] = (other[index] as number) ^ 1
    t.notOk(isBeaconOf(other, { uuid, port }), `octet ${index}`)
    other[index] = (ALIVE[index] as number) ^ 0x10
    t.notOk(isBeaconOf(other, { uuid, port }), `octet ${index}, high`)
  }
  t.notOk(isBeaconOf(concat(ALIVE, new Uint8Array(1)), { uuid, port }))
  t.notOk(isBeaconOf(SECURE, decodeBeacon(SECURE)))
})
