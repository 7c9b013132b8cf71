import fc from 'fast-check'
import t from 'tap'
import { WireError } from '../../protocol/errors.ts'
import {
  decodeGossip,
  encodeGossip,
  GOSSIP_VALUE_BYTES_MAX,
  type GossipMessage,
  parseLocation,
} from '../../protocol/gossip.ts'
import { holds } from '../support/holds.ts'
import { findVector, framesOf, loadVectors, toHex } from '../support/vectors.ts'

const VECTORS = loadVectors('gossip')
const HELLO = findVector(VECTORS, 'hello').bytes.subarray(2)
const PUBLISH = findVector(VECTORS, 'publish-zyre-endpoint').bytes.subarray(2)

function messageOf(decoded: Record<string, unknown>): GossipMessage {
  const { message, key, value, ttl } = decoded
  const type = String(message).toLowerCase()
  if (type !== 'publish') return { type } as GossipMessage
  return { type, key: String(key), value: String(value), ttlMs: Number(ttl) }
}

t.test('what czmq and C Zyre say is read, and said in the same octets', async (t) => {
  for (const { name, bytes, decoded } of VECTORS.vectors) {
    const frames = framesOf(bytes)
    const messages: GossipMessage[] = (decoded.frames ?? [decoded]).map(messageOf)
    t.same(
      frames.map((frame) => decodeGossip([frame])),
      messages,
      name,
    )
    for (const [index, message] of messages.entries()) {
      const want = frames[index] as Uint8Array
      t.equal(toHex(encodeGossip(message)), toHex(want), `${name} ${index}`)
    }
  }
})

t.test('what is not one whole frame of the grammar is a WireError (gossip.md 2.1)', async (t) => {
  const wrong: Record<string, readonly Uint8Array[]> = {
    'no frame': [],
    'two frames': [HELLO, HELLO],
    'another signature': [findVector(VECTORS, 'bad-signature').bytes.subarray(2)],
    'id 0': [Uint8Array.of(0xaa, 0xa0, 0, 1)],
    'an unknown id': [Uint8Array.of(0xaa, 0xa0, 6, 1)],
    'version 2': [Uint8Array.of(0xaa, 0xa0, 1, 2)],
    'an octet behind HELLO': [Uint8Array.of(...HELLO, 0)],
    'an octet behind PUBLISH': [Uint8Array.of(...PUBLISH, 0)],
  }
  for (let size = 0; size < PUBLISH.length; size++) {
    wrong[`PUBLISH cut to ${size}`] = [PUBLISH.subarray(0, size)]
  }
  for (const [name, frames] of Object.entries(wrong)) {
    t.throws(() => decodeGossip(frames), { name: 'WireError', rule: 'gossip.md 2.1' }, name)
  }
})

t.test('a value has at most 65,536 octets (gossip.md 2.2)', async (t) => {
  const publish = (bytes: number) =>
    encodeGossip({ type: 'publish', key: 'k', value: 'v'.repeat(bytes), ttlMs: 0 })
  const longest = decodeGossip([publish(GOSSIP_VALUE_BYTES_MAX)])
  t.equal(longest.type === 'publish' && longest.value.length, GOSSIP_VALUE_BYTES_MAX)
  const rule = 'gossip.md 2.2'
  t.throws(() => decodeGossip([publish(GOSSIP_VALUE_BYTES_MAX + 1)]), { name: 'WireError', rule })
})

t.test('a location is an endpoint, with or without a key (gossip.md 3.7)', async (t) => {
  const key = '2obo%N]DxN-)WU$s+pRk>1ly}DE%[mM7A2RD#fmp'
  t.same(parseLocation('tcp://10.0.0.1:5'), { endpoint: 'tcp://10.0.0.1:5', publicKey: undefined })
  const endpoint = 'tcp://10.78.0.2:6001'
  t.same(parseLocation(`${endpoint}|${key}`), { endpoint, publicKey: key })
  t.ok(parseLocation('tcp://a-name.example:1'), 'a name is no mistake')
  const wrong = ['', '|', 'v2', 'tcp://10.0.0.1', 'tcp://10.0.0.1:0', 'inproc://a', `|${key}`]
  const wrongKeys = [`${endpoint}|`, `${endpoint}|${key}0`, `${endpoint}|${key.slice(1)}"`]
  for (const value of [...wrong, ...wrongKeys, `tcp://${'a'.repeat(250)}:1`]) {
    t.equal(parseLocation(value), undefined, value)
  }
})

const message: fc.Arbitrary<GossipMessage> = fc.oneof(
  fc.record({ type: fc.constantFrom('hello', 'ping', 'pong', 'invalid') }),
  fc.record({
    type: fc.constant('publish' as const),
    key: fc.string({ unit: 'grapheme', maxLength: 20 }),
    value: fc.string({ unit: 'grapheme', maxLength: 400 }),
    ttlMs: fc.nat(0xffffffff),
  }),
)

holds(t, 'what was encoded decodes to the same', message, (message) => {
  t.same(decodeGossip([encodeGossip(message)]), message)
})

const frames = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.uint8Array({ maxLength: 64 }).map((rest) => Uint8Array.of(0xaa, 0xa0, 2, 1, ...rest)),
  ),
  { maxLength: 3 },
)

holds(t, 'any frames give a message or a WireError', frames, (frames) => {
  try {
    decodeGossip(frames)
  } catch (error) {
    return error instanceof WireError
  }
  return true
})
