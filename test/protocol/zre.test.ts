import fc from 'fast-check'
import t, { type Test } from 'tap'
import { WireError } from '../../protocol/errors.ts'
import { FrameWriter, MORE } from '../../protocol/frames.ts'
import {
  contentOf,
  decodeIdentity,
  decodeMessage,
  decodeSequence,
  decodeZre,
  encodeIdentity,
  encodeSequence,
  encodeZre,
  type Frames,
  fits,
  HEADER_VALUE_BYTES_MAX,
  HELLO_BYTES_MAX,
  HELLO_GROUPS_MAX,
  HELLO_HEADERS_MAX,
  type Headers,
  type Hello,
  TEXT_BYTES_MAX,
  writeHeader,
  type ZreCommand,
  type ZreMessage,
} from '../../protocol/zre.ts'
import { holds } from '../support/holds.ts'
import { concat, digest } from '../support/octets.ts'
import {
  findVector,
  framesOf,
  fromHex,
  loadVectors,
  toHex,
  type Vector,
} from '../support/vectors.ts'

const VECTORS = loadVectors('zre')
const MESSAGES = VECTORS.vectors.filter(({ decoded }) => decoded.message !== undefined)
const PYRE = 'hello-from-pyre-non-ascii-name'
const HELLO: Hello = {
  endpoint: 'tcp://10.0.0.1:49152',
  groups: ['CHAT'],
  status: 1,
  name: 'alice',
  headers: { 'X-ROLE': 'sensor' },
}

/** The octets of a vector on TCP: one is without its ZMTP header, one without its last 70,000 octets. */
function streamOf({ name, hex, bytes, decoded }: Vector): Uint8Array {
  if (hex === decoded.header_frame) return concat(Uint8Array.of(0, bytes.length), bytes)
  if (name !== 'whisper-70000-octet-content') return bytes
  return concat(
    bytes,
    Uint8Array.from({ length: 70_000 }, (_, index) => index % 256),
  )
}

function octetsOf(frames: Frames): Uint8Array {
  const writer = new FrameWriter()
  frames.forEach((frame, index) => {
    writer.frame(index < frames.length - 1 ? MORE : 0, frame)
  })
  const parts: Uint8Array[] = []
  for (let part = writer.poll(); part; part = writer.poll()) parts.push(part)
  return concat(...parts)
}

/** A content frame as the vectors describe it: text, digits behind 0x, or words for a long one. */
function frameOf(text: string): string {
  const long = /^(\d+) octets, octet i = i mod 256$/.exec(text)
  if (long) return digest(Uint8Array.from({ length: Number(long[1]) }, (_, index) => index % 256))
  return digest(text.startsWith('0x') ? fromHex(text.slice(2)) : new TextEncoder().encode(text))
}

/** What a vector says, in the words of our type; content as digests. */
function expected({ decoded }: Vector): unknown {
  const { message, sequence, group, status, endpoint, groups, name } = decoded
  const type = message.toLowerCase()
  switch (message) {
    case 'HELLO': {
      const headers = Object.fromEntries(decoded.headers)
      return { type, sequence, endpoint, groups, status, name, headers }
    }
    case 'WHISPER':
      return { type, sequence, content: decoded.content_frames.map(frameOf) }
    case 'SHOUT':
      return { type, sequence, group, content: decoded.content_frames.map(frameOf) }
    case 'JOIN':
    case 'LEAVE':
      return { type, sequence, group, status }
    case 'ELECT':
      return { type, sequence, group, challenger: decoded.challenger_id }
    case 'LEADER':
      return { type, sequence, group, leader: decoded.leader_id }
    default:
      return { type, sequence }
  }
}

function plain(message: ZreMessage): unknown {
  if (message.type === 'hello') return { ...message, headers: { ...message.headers } }
  return 'content' in message ? { ...message, content: message.content.map(digest) } : message
}

function rejects(t: Pick<Test, 'throws'>, given: readonly string[], rule: string): void {
  const what = given.join(' | ')
  t.throws(() => decodeZre(given.map(fromHex)), { name: 'WireError', rule }, what)
}

t.test('every message of C Zyre is read (zre.md 2.3 and 2.5)', async (t) => {
  for (const vector of MESSAGES.filter(({ name }) => name !== PYRE)) {
    const message = decodeZre(framesOf(streamOf(vector)))
    t.same(plain(message), expected(vector), vector.name)
  }
})

t.test('what we say is said as C Zyre says it, octet by octet', async (t) => {
  for (const vector of MESSAGES.filter(({ name }) => name !== PYRE)) {
    const octets = streamOf(vector)
    const { sequence, ...command } = decodeZre(framesOf(octets))
    t.equal(
      digest(octetsOf(encodeZre(command as ZreCommand, sequence))),
      digest(octets),
      vector.name,
    )
  }
})

t.test('a name that is cut in the middle of a character is read (zre.md 2.7)', async (t) => {
  const message = decodeZre(framesOf(findVector(VECTORS, PYRE).bytes))
  t.match(message, { type: 'hello', name: 'pyr\uFFFD', groups: ['CHAT'] })
  t.same(message.type === 'hello' && { ...message.headers }, { K: 'v' })
})

t.test('a byte order mark is part of the group (zre.md 2.7)', async (t) => {
  const command = { type: 'join', group: '\uFEFFCHAT', status: 1 } as const
  t.same(decodeZre(encodeZre(command, 2)), { ...command, sequence: 2 })
})

t.test('what aborts or misleads C Zyre is a WireError here', async (t) => {
  for (const [name, rule] of [
    ['hello-truncated-after-endpoint', 'zre.md 2.3'],
    ['join-with-extra-frames', 'zre.md 2.4'],
    ['shout-truncated-before-group', 'zre.md 2.3'],
    ['one-octet-frame', 'zre.md 2.3'],
    ['garbage-signature', 'zre.md 2.2'],
  ] as const) {
    const { bytes } = findVector(VECTORS, name)
    t.throws(() => decodeZre(framesOf(bytes)), { name: 'WireError', rule }, name)
  }
  const { bytes } = findVector(VECTORS, 'join-wrong-status')
  t.match(decodeZre(framesOf(bytes)), { type: 'join', status: 77 }, 'status is for others to judge')
})

t.test('a message has the signature and version 2 (zre.md 2.2)', async (t) => {
  rejects(t, [], 'zre.md 2.2')
  for (const header of ['aaa006020001', 'aba106020001', 'aaa106010001', 'aaa106030001']) {
    rejects(t, [header], 'zre.md 2.2')
  }
})

t.test('a header has its fields, to the last octet and no further (zre.md 2.3)', async (t) => {
  for (const vector of MESSAGES) {
    const header = framesOf(streamOf(vector))[0]!
    const sizes = Array.from(header, (_, size) => size)
    t.ok(
      sizes.every((size) => isMalformed(header.subarray(0, size))),
      `${vector.name}: too few`,
    )
    t.ok(isMalformed(concat(header, Uint8Array.of(0))), `${vector.name}: one too many`)
  }
})

function isMalformed(header: Uint8Array): boolean {
  try {
    decodeZre([header])
    return false
  } catch (error) {
    return error instanceof WireError && error.rule === 'zre.md 2.3'
  }
}

t.test('only WHISPER and SHOUT have further frames (zre.md 2.4)', async (t) => {
  for (const command of [
    { type: 'hello', ...HELLO },
    { type: 'join', group: 'CHAT', status: 1 },
    { type: 'leave', group: 'CHAT', status: 2 },
    { type: 'ping' },
    { type: 'ping-ok' },
    { type: 'elect', group: 'CHAT', challenger: 'A' },
    { type: 'leader', group: 'CHAT', leader: 'A' },
    { type: 'goodbye' },
  ] as const) {
    const [header] = encodeZre(command, 1)
    rejects(t, [toHex(header!), ''], 'zre.md 2.4')
  }
})

t.test('a content may have no frame, empty frames, many frames (zre.md 2.5)', async (t) => {
  const frame = Uint8Array.of(1, 2, 3)
  for (const content of [[], [new Uint8Array(0)], Array.from({ length: 64 }, () => frame)]) {
    const whisper = encodeZre({ type: 'whisper', content }, 2)
    const shout = encodeZre({ type: 'shout', group: 'CHAT', content }, 3)
    t.same(decodeZre(whisper), { type: 'whisper', content, sequence: 2 })
    t.same(decodeZre(shout), { type: 'shout', group: 'CHAT', content, sequence: 3 })
  }
  const whisper = encodeZre({ type: 'whisper', content: [frame] }, 2)
  t.equal(whisper[1], frame, 'not copied on its way out')
  const message = decodeZre(whisper)
  t.ok(message.type === 'whisper' && message.content[0] === frame, 'nor on its way in')
})

t.test('an id that is not known keeps its sequence, whatever it holds (zre.md 2.8)', async (t) => {
  for (const [id, rest] of [
    ['00', []],
    ['0b', []],
    ['0b', ['ffff', '']],
    ['ff', ['']],
  ] as const) {
    const frames = [`aaa1${id}02fffe`, ...rest].map(fromHex)
    t.same(decodeZre(frames), { type: 'unknown', id: Number.parseInt(id, 16), sequence: 65_534 })
    t.match(decodeZre([fromHex(`aaa1${id}02fffe0123`)]), { type: 'unknown' })
  }
})

t.test('a HELLO at its limits is read (zre.md 2.6)', async (t) => {
  const keys = Array.from({ length: HELLO_HEADERS_MAX }, (_, index) => `K${index}`)
  const full = (hello: Partial<Hello>) => {
    const message = decodeZre(encodeZre({ type: 'hello', ...HELLO, ...hello }, 1))
    return message.type === 'hello' ? message : undefined
  }
  const groups = Array.from({ length: HELLO_GROUPS_MAX }, (_, index) => `G${index}`)
  t.same(full({ groups })?.groups, groups)
  t.same(full({ groups: ['g'.repeat(TEXT_BYTES_MAX)] })?.groups[0]?.length, TEXT_BYTES_MAX)
  const headers = Object.fromEntries(keys.map((key) => [key, 'v']))
  t.same({ ...full({ headers })?.headers }, headers)
  const long = { K: 'v'.repeat(HEADER_VALUE_BYTES_MAX) }
  t.same({ ...full({ headers: long })?.headers }, long)
  t.ok(full(helloOf(HELLO_BYTES_MAX)), 'octets of all fields')
})

t.test('a HELLO above its limits is refused (zre.md 2.6)', async (t) => {
  const groups = Array.from({ length: HELLO_GROUPS_MAX + 1 }, () => '')
  const headers = Object.fromEntries(
    Array.from({ length: HELLO_HEADERS_MAX + 1 }, (_, index) => [`K${index}`, '']),
  )
  for (const [what, hello] of [
    ['groups', { ...HELLO, groups }],
    ['a group', { ...HELLO, groups: ['g'.repeat(TEXT_BYTES_MAX + 1)] }],
    ['headers', { ...HELLO, headers }],
    ['a value', { ...HELLO, headers: { K: 'v'.repeat(HEADER_VALUE_BYTES_MAX + 1) } }],
    ['octets', helloOf(HELLO_BYTES_MAX + 1)],
  ] as const) {
    const frames = encodeZre({ type: 'hello', ...hello }, 1)
    t.throws(() => decodeZre(frames), { name: 'WireError', rule: 'zre.md 2.6' }, what)
  }
  rejects(t, ['aaa101020001 00 ffffffff'], 'zre.md 2.6')
  rejects(t, ['aaa101020001 00 00000000 00 00 ffffffff'], 'zre.md 2.6')
})

/** A HELLO whose fields have `size` octets in all, by 16 headers that are as long as it takes. */
function helloOf(size: number): Hello {
  const keys = Array.from({ length: 16 }, (_, index) => index.toString(16))
  const empty = 1 + 4 + 1 + 1 + 4 + 16 * 6
  let left = size - empty
  const headers: Record<string, string> = {}
  for (const key of keys) {
    const value = 'v'.repeat(Math.min(left, HEADER_VALUE_BYTES_MAX))
    left -= value.length
    headers[key] = value
  }
  return { endpoint: '', groups: [], status: 0, name: 'n'.repeat(left), headers }
}

t.test('the first of two equal keys wins, and no key is magic (zre.md 2.9)', async (t) => {
  const twice = '00 00000000 00 00 00000002 014b 0000000131 014b 0000000132'
  const first = decodeZre([fromHex(`aaa101020001${twice}`)])
  t.same(first.type === 'hello' && { ...first.headers }, { K: '1' })
  const names = ['__proto__', 'constructor', 'toString']
  const headers: Headers = Object.fromEntries(names.map((name) => [name, 'v']))
  const second = decodeZre(encodeZre({ type: 'hello', ...HELLO, headers }, 1))
  t.same(second.type === 'hello' && Object.keys(second.headers), names)
  t.ok(second.type === 'hello' && Object.getPrototypeOf(second.headers) === null)
})

t.test('an identity is octet 1 and the uuid (zre.md 2.1)', async (t) => {
  const uuid = 'a80acafc25614273ac5f563a99620329'
  t.equal(toHex(encodeIdentity(uuid)), `01${uuid}`)
  t.equal(decodeIdentity(fromHex(`01${uuid}`)), uuid)
  for (const hex of ['', uuid, `00${uuid}`, `02${uuid}`, `01${uuid}00`, `01${uuid.slice(2)}`]) {
    t.equal(decodeIdentity(fromHex(hex)), undefined, hex)
  }
})

t.test('where a mailbox goes on from is two octets (zre.md 2.10)', async (t) => {
  for (const sequence of [0, 1, 65_535]) {
    t.equal(encodeSequence(sequence).length, 2)
    t.equal(decodeSequence(encodeSequence(sequence)), sequence)
  }
  for (const hex of ['', '01', '000001']) t.equal(decodeSequence(fromHex(hex)), undefined, hex)
  t.equal(decodeSequence(undefined), undefined)
})

t.test('whether a text fits is counted in octets', async (t) => {
  t.ok(fits('', 0))
  t.ok(fits('g'.repeat(85), 255), 'short enough whatever it holds')
  t.ok(fits('g'.repeat(255), 255))
  t.notOk(fits('g'.repeat(256), 255))
  t.ok(fits('\u2713'.repeat(85), 255))
  t.notOk(fits('\u2713'.repeat(86), 255))
  t.ok(fits('\u{1f3b5}', 255))
  t.notOk(fits('\ud83c', 255), 'half a character cannot be sent')
})

const text = fc.string({ unit: 'binary', maxLength: 60 })
const status = fc.nat(255)
const group = text
const content = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 5 })
const headers = fc
  .uniqueArray(fc.tuple(text, fc.string({ unit: 'binary', maxLength: 300 })), {
    maxLength: 8,
    selector: ([key]) => key,
  })
  .map((entries) => Object.assign(Object.create(null), Object.fromEntries(entries)) as Headers)
const commands: fc.Arbitrary<ZreCommand> = fc.oneof(
  fc.record({
    type: fc.constant('hello' as const),
    endpoint: text,
    groups: fc.array(text, { maxLength: 8 }),
    status,
    name: text,
    headers,
  }),
  fc.record({ type: fc.constant('whisper' as const), content }),
  fc.record({ type: fc.constant('shout' as const), group, content }),
  fc.record({ type: fc.constantFrom('join' as const, 'leave' as const), group, status }),
  fc.record({ type: fc.constantFrom('ping' as const, 'ping-ok' as const, 'goodbye' as const) }),
  fc.record({ type: fc.constant('elect' as const), group, challenger: text }),
  fc.record({ type: fc.constant('leader' as const), group, leader: text }),
)

/** The header of a message somewhere among other octets, and its content. */
function within([header, ...rest]: Frames, before: number) {
  const octets = concat(new Uint8Array(before).fill(0xaa), header as Uint8Array, fromHex('aaa1'))
  return { octets, start: before, end: octets.length - 2, rest }
}

t.test('a header is read where it came, and written where it goes', async (t) => {
  const content = [fromHex('01'), fromHex('')]
  for (const vector of MESSAGES.filter(({ name }) => name !== PYRE)) {
    const frames = framesOf(streamOf(vector))
    const { sequence, ...command } = decodeMessage(within(frames, 7))
    t.same(plain({ sequence, ...command } as ZreMessage), expected(vector), vector.name)
    const writer = writeHeader(command as ZreCommand, sequence)
    t.equal(digest(writer.octets.subarray(0, writer.size)), digest(frames[0] as Uint8Array))
    t.equal(contentOf(command as ZreCommand).length, frames.length - 1)
  }
  const long = { type: 'shout', group: 'g'.repeat(TEXT_BYTES_MAX), content } as const
  const writer = writeHeader(long, 7)
  t.equal(writer.size, 7 + TEXT_BYTES_MAX)
  const header = writer.octets.slice(0, writer.size)
  t.same(decodeMessage(within([header, ...content], 3)), { ...long, sequence: 7 })
  t.equal(writeHeader({ type: 'ping' }, 8), writer, 'one for all')
  t.equal(toHex(writer.octets.subarray(0, writer.size)), 'aaa106020008')
})

/** What reading comes to. */
function outcome(read: () => ZreMessage): string {
  try {
    return JSON.stringify(plain(read()))
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    return error.message
  }
}

t.test('messages keep their promises', async (t) => {
  const said = fc.tuple(commands, fc.nat(65_535))
  holds(t, 'what was encoded decodes to the same', said, ([command, sequence]) => {
    const message = decodeZre(encodeZre(command, sequence))
    return (
      JSON.stringify(sorted(plain(message))) ===
      JSON.stringify(sorted(plain({ ...command, sequence })))
    )
  })
  const spoilt = fc
    .tuple(said, fc.nat(), fc.nat(255), fc.array(fc.uint8Array({ maxLength: 9 }), { maxLength: 2 }))
    .map(([[command, sequence], place, octet, more]) => {
      const [header, ...rest] = encodeZre(command, sequence)
      header![place % header!.length] = octet
      return [header!, ...rest, ...more]
    })
  const any = fc.oneof(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 3 }), spoilt)
  holds(t, 'any frames give a message or a WireError', any, (frames) => {
    try {
      const { type, sequence } = decodeZre(frames)
      return type.length > 0 && sequence >= 0 && sequence <= 65_535
    } catch (error) {
      return error instanceof WireError
    }
  })
  const placed = fc.tuple(any, fc.nat(20))
  holds(t, 'a header is read alike wherever it is', placed, ([frames, before]) => {
    if (frames.length === 0) return true
    return outcome(() => decodeZre(frames)) === outcome(() => decodeMessage(within(frames, before)))
  })
  const whispers = fc.tuple(
    fc.constantFrom('aaa102020001', 'aaa1020200ff', 'aaa10202ffff', 'aaa1020200', 'aaa10202000100'),
    fc.option(fc.tuple(fc.nat(5), fc.nat(255))),
    content,
  )
  holds(t, 'what is nearly a WHISPER is none', whispers, ([hex, change, rest]) => {
    const header = fromHex(hex)
    if (change !== null && change[0] < header.length) header[change[0]] = change[1]
    const told = outcome(() => decodeMessage(within([header, ...rest], 2)))
    const [a, b, id, version, high = 0, low = 0] = header
    const isWhisper = a === 0xaa && b === 0xa1 && id === 2 && version === 2 && header.length === 6
    const sequence = 256 * high + low
    const wanted = JSON.stringify(plain({ type: 'whisper', sequence, content: rest }))
    return (told === wanted) === isWhisper
  })
})

/** Fields by name, headers too, since an object puts keys that are numbers first. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const entries = Object.entries(value).map(([key, field]) => [key, sorted(field)] as const)
  return entries.sort(([a], [b]) => (a < b ? -1 : 1))
}

t.test('a content without frames belongs to who gets it', async (t) => {
  const rest: Uint8Array[] = []
  for (const command of [
    { type: 'whisper', content: [] },
    { type: 'shout', group: 'CHAT', content: [] },
  ] as const) {
    const [octets] = encodeZre(command, 2) as [Uint8Array]
    const message = { octets, start: 0, end: octets.length, rest }
    const decoded = decodeMessage(message) as unknown as { content: Uint8Array[] }
    decoded.content.push(new Uint8Array(1))
    t.same(rest, [], 'not to whoever reads for all')
  }
})
