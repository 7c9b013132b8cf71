import fc from 'fast-check'
import t from 'tap'
import { cut } from '../../protocol/bytes.ts'
import { WireError } from '../../protocol/errors.ts'
import {
  collectorOf,
  decodeLog,
  decodeSource,
  encodeLog,
  encodeSource,
  hashOf,
  jsonFor,
  LOG_EVENTS,
  LOG_FIELDS_BYTES_MAX,
  LOG_RECORD_BYTES_MAX,
  LOG_TEXT_BYTES_MAX,
  type LogRecord,
  type LogRecordV2,
  nameOfEvent,
  nameOfLevel,
  textFor,
  timeMsOf,
  topicOf,
} from '../../protocol/log.ts'
import { holds } from '../support/holds.ts'
import { findVector, loadVectors, toHex, type Vector } from '../support/vectors.ts'

const VECTORS = loadVectors('log')
const ENTER = findVector(VECTORS, 'log-info-enter').bytes
const EXIT = findVector(VECTORS, 'v2-warning-exit-fields').bytes

/** The record that a vector is of, if it is of one. */
function recordOf({ decoded }: Vector): LogRecord | undefined {
  const { id, level, event, node, peer, time, data: text } = decoded
  if (id === 1) return { version: 1, level, event, node, peer, time, text }
  if (id !== 2) return undefined
  const { epoch, sequence, group, fields } = decoded
  const who = { node, peer: peer ?? undefined, group, text, fields: fields ?? undefined }
  return { version: 2, level, event, epoch, sequence, timeMs: time, ...who }
}

const BLANK: LogRecordV2 = {
  version: 2,
  level: 3,
  event: 16,
  epoch: 1,
  sequence: 1,
  timeMs: 1,
  node: '0123456789abcdef0123456789abcdef',
  peer: undefined,
  group: '',
  text: '',
  fields: undefined,
}

t.test('records worked by hand are read, and written in the same octets', async (t) => {
  let count = 0
  for (const vector of VECTORS.vectors) {
    const record = recordOf(vector)
    if (record === undefined) continue
    count++
    t.same(decodeLog([vector.bytes]), record, vector.name)
    t.equal(toHex(encodeLog(record)), toHex(vector.bytes), vector.name)
  }
  t.equal(count, 9)
})

t.test('a time that no clock shows is refused (log.md 2.5)', async (t) => {
  const last = 253_402_300_799_999
  t.match(decodeLog([encodeLog({ ...BLANK, timeMs: last })]), { timeMs: last })
  const late = { name: 'WireError', rule: 'log.md 2.5' }
  t.throws(() => decodeLog([encodeLog({ ...BLANK, timeMs: last + 1 })]), late)
  const { level, event } = BLANK
  const old = { version: 1, level, event, node: 1, peer: 0, time: last + 1, text: '' } as const
  t.throws(() => decodeLog([encodeLog(old)]), late)
  const source = { node: BLANK.node, name: 'kitchen', timeMs: last + 1 }
  t.equal(decodeSource(encodeSource(source)), undefined)
})

t.test('what is not one whole frame of the grammar is a WireError (log.md 2.1)', async (t) => {
  const wrong: Record<string, readonly Uint8Array[]> = {
    'no frame': [],
    'two frames': [ENTER, ENTER],
    'another signature': [ENTER.with(1, 0xa1)],
    'an octet behind version 1': [Uint8Array.of(...ENTER, 0)],
    'an octet behind version 2': [Uint8Array.of(...EXIT, 0)],
    'a sequence of 0': [EXIT.with(20, 0)],
    'a time above 2^53 - 1': [ENTER.with(9, 0x20)],
  }
  for (const octets of [ENTER, EXIT]) {
    for (let size = 0; size < octets.length; size++) {
      wrong[`${octets[2]} cut to ${size}`] = [octets.subarray(0, size)]
    }
  }
  for (const [name, frames] of Object.entries(wrong)) {
    t.throws(() => decodeLog(frames), { name: 'WireError', rule: 'log.md 2.1' }, name)
  }
})

t.test('a later version is passed over, whatever it is like (log.md 2.2)', async (t) => {
  for (const id of [0, 3, 255]) t.equal(decodeLog([ENTER.with(2, id).subarray(0, 3)]), undefined)
})

t.test('levels and events are kept as numbers, and 0 is neither (log.md 2.3)', async (t) => {
  for (const octets of [ENTER, EXIT]) {
    for (const place of [3, 4]) {
      const rule = 'log.md 2.3'
      t.throws(() => decodeLog([octets.with(place, 0)]), { name: 'WireError', rule })
    }
    t.match(decodeLog([octets.with(3, 255).with(4, 200)]), { level: 255, event: 200 })
  }
  t.same([1, 2, 3, 4, 5].map(nameOfLevel), ['error', 'warning', 'info', 'debug', '5'])
  t.equal(nameOfEvent(LOG_EVENTS.evasive), 'evasive')
  t.equal(nameOfEvent(99), '99')
})

t.test('one subscription is one level of one version (log.md 2.4)', async (t) => {
  t.equal(toHex(topicOf(1, 1)), toHex(findVector(VECTORS, 'subscription-level-error').bytes))
  t.equal(toHex(topicOf(2, 1)), toHex(findVector(VECTORS, 'v2-subscription-level-error').bytes))
  for (const vector of VECTORS.vectors) {
    const record = recordOf(vector)
    if (record === undefined) continue
    for (const version of [1, 2] as const) {
      for (const level of [1, 2, 3, 4, 9]) {
        const begins = toHex(vector.bytes).startsWith(toHex(topicOf(version, level)))
        t.equal(begins, version === record.version && level === record.level, vector.name)
      }
    }
  }
})

t.test('endpoints are hashed as in the book (log.md 3.1)', async (t) => {
  for (const { name, decoded } of VECTORS.vectors) {
    if (name.startsWith('hash-')) t.equal(hashOf(decoded.input), decoded.hash, name)
    if (decoded.id !== 1) continue
    t.equal(hashOf(decoded.node_hash_of), decoded.node, name)
    if (decoded.peer > 0) t.equal(hashOf(decoded.peer_hash_of), decoded.peer, name)
  }
})

t.test('seconds and milliseconds are told apart (log.md 3.2)', async (t) => {
  const timeOf = (name: string) => {
    const record = decodeLog([findVector(VECTORS, name).bytes])
    return record && timeMsOf(record)
  }
  t.equal(timeOf('log-info-enter'), 1_700_000_000_000)
  t.equal(timeOf('log-info-recv-rfc20'), 1_700_000_000_123)
  t.equal(timeOf('v2-warning-exit-fields'), 1_700_000_030_456)
})

/** A record with these fields, whatever they are. */
function withJson(json: string): Uint8Array {
  return encodeLog(BLANK, json)
}

const DEEP = `${'{"a":'.repeat(8)}{}${'}'.repeat(8)}`
const MANY = JSON.stringify({ list: Array.from({ length: 256 }, () => 0) })

t.test('what is too long, or no fields, is refused (log.md 4.3)', async (t) => {
  const long = '"'.padEnd(LOG_FIELDS_BYTES_MAX - 7, 'x')
  const longest = withJson(`{"a":${long}"}`)
  t.match(decodeLog([longest]), { fields: { a: /^x+$/ } })
  t.match(decodeLog([encodeLog({ ...BLANK, text: 'x'.repeat(LOG_TEXT_BYTES_MAX) })]), { text: /x/ })
  const least = { list: Array.from({ length: 255 }, () => 0) }
  t.same(decodeLog([encodeLog({ ...BLANK, fields: least })]), { ...BLANK, fields: least })
  t.match(decodeLog([withJson(DEEP.replace('{}', '1'))]), { fields: { a: { a: {} } } })
  for (const octets of [
    withJson(`{"a":${long}x"}`),
    encodeLog({ ...BLANK, text: 'x'.repeat(LOG_TEXT_BYTES_MAX + 1) }),
    ...['[]', '1', 'null', '"a"', '{', '{} {}', '{"a":1e999}', '{"a":[[1e999]]}'].map(withJson),
    withJson(DEEP),
    withJson(MANY),
  ]) {
    t.throws(() => decodeLog([octets]), { name: 'WireError', rule: 'log.md 4.3' })
  }
})

t.test('whatever an application logs can be told, or why not (log.md 4.4)', async (t) => {
  t.equal(textFor('short'), 'short')
  const full = 'x'.repeat(LOG_TEXT_BYTES_MAX)
  t.equal(textFor(full), full)
  t.equal(textFor(`${full}x`), `${'x'.repeat(LOG_TEXT_BYTES_MAX - 3)}…`)
  const wide = textFor('ß'.repeat(LOG_TEXT_BYTES_MAX))
  t.equal(wide, `${'ß'.repeat((LOG_TEXT_BYTES_MAX - 4) / 2)}…`)
  t.equal(jsonFor(undefined), '')
  t.equal(
    jsonFor({ at: new Date(0), no: Number.NaN }),
    '{"at":"1970-01-01T00:00:00.000Z","no":null}',
  )
  const circle: { self?: unknown } = {}
  circle.self = circle
  const throws = {
    toJSON() {
      throw 'a tantrum'
    },
  }
  for (const [fields, why] of [
    [circle, /circular/],
    [{ big: 1n }, /BigInt/],
    [throws, /a tantrum/],
    [{ toJSON: () => undefined }, /something in place of an object/],
    [{ deep: Object.assign(() => {}, { toJSON: () => JSON.parse(DEEP) }) }, /within each other/],
    [{ long: 'ß'.repeat(LOG_FIELDS_BYTES_MAX / 2) }, /more than 16384 octets/],
    [JSON.parse(DEEP), /more than 8 within each other/],
    [JSON.parse(MANY), /more than 256 values/],
  ] as const) {
    const record = decodeLog([withJson(jsonFor(fields))])
    t.match(record, { fields: { omitted: why } })
  }
})

t.test('no record is longer than they may be', async (t) => {
  const text = 'x'.repeat(LOG_TEXT_BYTES_MAX)
  const json = '"'.padEnd(LOG_FIELDS_BYTES_MAX - 7, 'x')
  const octets = encodeLog({ ...BLANK, text, group: 'g'.repeat(255) }, `{"a":${json}"}`)
  t.equal(octets.length, LOG_RECORD_BYTES_MAX)
  t.ok(decodeLog([octets]))
})

t.test('a PUB says whose records it has (log.md 5.2)', async (t) => {
  const { bytes, decoded } = findVector(VECTORS, 'v2-source')
  const source = { node: decoded.node, timeMs: decoded.time, name: decoded.name }
  t.same(decodeSource(bytes), source)
  t.equal(toHex(encodeSource(source)), toHex(bytes))
  t.same(decodeSource(Uint8Array.of(...bytes.with(0, 3), 1, 2)), source, 'of a later version')
  t.equal(decodeSource(undefined), undefined)
  t.equal(decodeSource(bytes.with(0, 1)), undefined, 'version 1 has none')
  for (let size = 0; size < bytes.length; size++) {
    t.equal(decodeSource(bytes.subarray(0, size)), undefined, `cut to ${size}`)
  }
  const long = decodeSource(encodeSource({ ...source, name: 'ß'.repeat(200) }))
  t.equal(long?.name, 'ß'.repeat(127))
})

t.test('a header names an address of its own peer, or nothing (log.md 5.7)', async (t) => {
  const addresses = ['10.0.0.1', '10.0.0.2']
  t.equal(collectorOf('tcp://10.0.0.2:9000', addresses), 'tcp://10.0.0.2:9000')
  t.equal(collectorOf('tcp://*:9000', addresses), 'tcp://10.0.0.1:9000', 'the best one')
  t.equal(collectorOf('tcp://*:9000', []), undefined)
  for (const header of [
    'tcp://10.0.0.3:9000',
    'tcp://127.0.0.1:9000',
    'tcp://0.0.0.0:9000',
    'tcp://collector:9000',
    'tcp://10.0.0.1',
    'udp://10.0.0.1:9000',
    '',
  ]) {
    t.equal(collectorOf(header, addresses), undefined, header)
  }
  // A zone of theirs means nothing here, ours does.
  const linked = ['fe80::7%eth0']
  t.equal(collectorOf('tcp://[fe80::7]:9000', linked), 'tcp://[fe80::7%eth0]:9000')
  t.equal(collectorOf('tcp://[FE80:0::7%en1]:9000', linked), 'tcp://[fe80::7%eth0]:9000')
  t.equal(collectorOf('tcp://[fe80::8]:9000', linked), undefined)
})

t.test('a text is cut at the end of a character', async (t) => {
  t.equal(cut('aß€😀', 20), 'aß€😀')
  t.equal(cut('aß€😀', 10), 'aß€😀')
  t.equal(cut('aß€😀', 9), 'aß€')
  t.equal(cut('aß€😀', 5), 'aß')
  t.equal(cut('aß€😀', 0), '')
})

const uuid = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(toHex)
const octet = fc.integer({ min: 1, max: 255 })
const time = fc.nat(253_402_300_799_999)
const text = (maxLength: number) => fc.string({ unit: 'grapheme', maxLength })
const value = fc.jsonValue({ maxDepth: 3 })

const record: fc.Arbitrary<LogRecord> = fc.oneof(
  fc.record({
    version: fc.constant(1 as const),
    level: octet,
    event: octet,
    node: fc.nat(0xffff),
    peer: fc.nat(0xffff),
    time,
    text: text(20),
  }),
  fc.record({
    version: fc.constant(2 as const),
    level: octet,
    event: octet,
    epoch: fc.maxSafeNat(),
    sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    timeMs: time,
    node: uuid,
    peer: fc.option(
      uuid.filter((uuid) => /[1-9a-f]/.test(uuid)),
      { nil: undefined },
    ),
    group: text(20),
    text: text(400),
    fields: fc.option(
      fc
        .dictionary(text(8), value, { maxKeys: 5 })
        .map((fields) => JSON.parse(JSON.stringify(fields))),
      { nil: undefined },
    ),
  }),
)

holds(t, 'what was encoded decodes to the same', record, (record) => {
  t.same(decodeLog([encodeLog(record)]), record)
})

const frames = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc.uint8Array({ maxLength: 80 }).map((rest) => Uint8Array.of(0xaa, 0xa2, 1, ...rest)),
    fc
      .tuple(fc.uint8Array({ minLength: 60, maxLength: 60 }), fc.json(), fc.nat(3))
      .map(([head, json, more]) => {
        const octets = new TextEncoder().encode(json)
        const fields = [0, 0, octets.length >> 8, octets.length + more, ...octets]
        return Uint8Array.of(0xaa, 0xa2, 2, ...head.subarray(0, 58), 0, 0, 0, 0, 0, ...fields)
      }),
  ),
  { maxLength: 2 },
)

holds(t, 'any frames give a record, nothing or a WireError', frames, (frames) => {
  try {
    decodeLog(frames)
  } catch (error) {
    return error instanceof WireError
  }
  return true
})
