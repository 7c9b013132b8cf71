import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { WireError } from '../../protocol/errors.ts'
import {
  COMMAND,
  COMMAND_BYTES_MAX,
  FrameReader,
  FrameWriter,
  LONG,
  MORE,
} from '../../protocol/frames.ts'
import { feedThree } from '../support/feed.ts'
import { holds } from '../support/holds.ts'
import { memory } from '../support/memory.ts'
import { concat, digest, pattern, slice } from '../support/octets.ts'
import { fromHex } from '../support/vectors.ts'

const LIMIT = 2 ** 26
const MIB = 2 ** 20
const SIZES = [0, 1, 255, 256, 511, 512, 4_096, 4_097, 65_535, 65_536, 65_537, 200_000]

/** A frame by the grammar, worked out apart from our encoder. */
function octetsOf(flags: number, body: Uint8Array): Uint8Array {
  const size = body.length.toString(16)
  const header =
    body.length < 256 ? [flags, body.length] : [flags | 2, ...fromHex(size.padStart(16, '0'))]
  return concat(Uint8Array.from(header), body)
}

/** What a reader makes of the chunks: each frame as text, then 'starved' or the rule that was broken. */
function read(chunks: readonly Uint8Array[], bytesMax = LIMIT): string[] {
  const reader = new FrameReader()
  const frames: string[] = []
  try {
    for (const chunk of chunks) {
      reader.add(chunk)
      while (reader.next(bytesMax)) frames.push(found(reader))
    }
    return frames
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    return [...frames, error.rule]
  }
}

/** The frame that a reader has found, as text. */
function found(reader: FrameReader): string {
  return `${reader.flags & ~LONG} ${digest(reader.body())}`
}

function written(writer: FrameWriter): Uint8Array {
  const parts: Uint8Array[] = []
  for (let part = writer.poll(); part; part = writer.poll()) parts.push(part)
  return concat(...parts)
}

t.test('bodies of all sizes are written as the grammar says (zmtp.md 3.2)', async (t) => {
  for (const size of SIZES) {
    const writer = new FrameWriter()
    const expected = octetsOf(MORE, pattern(size))
    writer.frame(MORE, pattern(size))
    t.equal(writer.size, expected.length, `${size}: announced`)
    t.equal(digest(written(writer)), digest(expected), `${size}: written`)
    t.equal(writer.size, 0)
  }
})

t.test('bodies of all sizes are read, in all three feeds (zmtp.md 3.7)', async (t) => {
  for (const size of SIZES) {
    const body = pattern(size)
    const tail = Uint8Array.of(0, 9, 9)
    const expected = [`${MORE} ${digest(body)}`]
    const feeds = feedThree(octetsOf(MORE, body), tail, (chunks) => read(chunks))
    for (const [feed, frames] of Object.entries(feeds)) {
      t.ok(frames.join() === expected.join(), `${size}, ${feed}`)
    }
  }
})

t.test('a body in the long form may be small (zmtp.md 3.5)', async (t) => {
  t.same(read([fromHex('020000000000000003616263')]), ['0 616263'])
})

t.test('memory for what is announced grows with what came (zmtp.md 3.8)', async (t) => {
  const readers: FrameReader[] = []
  const before = memory('arrayBuffers')
  for (let count = 0; count < 8; count++) {
    const reader = new FrameReader()
    reader.add(fromHex('0200000000 04000000'))
    t.notOk(reader.next(LIMIT))
    readers.push(reader)
  }
  t.ok(memory('arrayBuffers') - before < MIB, 'eight times 64 MiB were announced')
  const chunk = new Uint8Array(16_384)
  for (let count = 0; count < 64; count++) {
    readers[0]?.add(chunk)
    readers[0]?.next(LIMIT)
  }
  t.ok(memory('arrayBuffers') - before < 4 * MIB, 'one MiB has come')
})

t.test('a frame above the limit is refused by its header alone (zmtp.md 3.3)', async (t) => {
  const before = memory('arrayBuffers')
  for (const [what, hex] of [
    ['a short one', '0065'],
    ['a long one', '020000000000000065'],
    ['4 GiB', '020000000100000000'],
    ['2^63', '028000000000000000'],
    ['all ones', '03ffffffffffffffff'],
  ] as const) {
    t.same(read([fromHex(hex)], 100), ['zmtp.md 3.3'], what)
  }
  t.ok(memory('arrayBuffers') - before < MIB)
  t.same(read([fromHex('0064')], 100), [], 'the limit itself is allowed')
  t.same(read([fromHex('00')], 0), [], 'half a header says nothing')
  t.same(read([fromHex('02ffffffffffffff')], 0), [], 'nor does half of a long one')
})

t.test('a command has a limit of its own (zmtp.md 3.3)', async (t) => {
  const largest = octetsOf(COMMAND, pattern(COMMAND_BYTES_MAX))
  t.equal(read([largest], 0).length, 1, 'which is not that of the message')
  t.same(read([octetsOf(COMMAND, pattern(COMMAND_BYTES_MAX + 1)).subarray(0, 9)]), ['zmtp.md 3.3'])
})

t.test('a body that came whole is a view of what came', async (t) => {
  const octets = octetsOf(0, pattern(1_000))
  const reader = new FrameReader()
  reader.add(octets)
  t.ok(reader.next(LIMIT))
  t.equal(reader.body().buffer, octets.buffer)
})

t.test('a reader gives what was not read, and skips it', async (t) => {
  const reader = new FrameReader()
  reader.add(fromHex('010203'))
  reader.skip(1)
  t.equal(digest(reader.unread), '0203')
  reader.add(fromHex('04'))
  t.equal(digest(reader.unread), '020304')
  reader.skip(3)
  t.equal(reader.unread.length, 0)
})

t.test('a long body is not copied, a short one may be changed at once', async (t) => {
  const short = pattern(4_096)
  const long = pattern(4_097)
  const writer = new FrameWriter()
  writer.frame(MORE, short)
  writer.frame(0, long)
  short.fill(0)
  const parts: Uint8Array[] = []
  for (let part = writer.poll(); part; part = writer.poll()) parts.push(part)
  t.equal(parts.at(-1), long)
  const expected = concat(octetsOf(MORE, pattern(4_096)), octetsOf(0, long))
  t.equal(digest(concat(...parts)), digest(expected))
})

t.test('many small frames make few writes', async (t) => {
  const writer = new FrameWriter()
  for (let count = 0; count < 1_000; count++) writer.frame(0, pattern(100))
  let writes = 0
  while (writer.poll()) writes++
  t.ok(writes < 16, `${writes} writes`)
})

t.test('a quiet writer keeps no memory, a busy one no list', async (t) => {
  const body = pattern(5_000)
  const writers = Array.from({ length: 200 }, () => new FrameWriter())
  const write = (writer: FrameWriter) => {
    for (let count = 0; count < 20; count++) writer.frame(0, pattern(4_000))
    while (writer.poll());
    writer.release(true)
  }
  // Chunks that can be used again are kept for all.
  for (const writer of writers.slice(0, 10)) write(writer)
  const before = { heap: memory('heapUsed'), buffers: memory('arrayBuffers') }
  for (const writer of writers) write(writer)
  t.ok(memory('arrayBuffers') - before.buffers < MIB, 'quiet')
  const [busy] = writers as [FrameWriter]
  busy.frame(0, body)
  for (let count = 0; count < 1_000_000; count++) {
    busy.frame(0, body)
    busy.poll()
    busy.poll()
  }
  t.equal(busy.size, 5_009)
  t.ok(memory('heapUsed') - before.heap < 2 * MIB, 'busy')
})

const frames = fc.array(
  fc.record({
    flags: fc.constantFrom(0, MORE, COMMAND),
    size: fc.oneof(
      fc.nat(300),
      fc.nat(9_000),
      fc.constantFrom(...SIZES.filter((size) => size < 65_535)),
    ),
  }),
  { maxLength: 30 },
)
const places = fc.array(fc.nat(), { maxLength: 30 })

t.test('frames keep their promises', async (t) => {
  const fitting = frames.map((list) =>
    list.filter(({ flags, size }) => flags !== COMMAND || size <= COMMAND_BYTES_MAX),
  )
  const sliced = fc.tuple(fitting, places)
  holds(
    t,
    'what was written is read, whatever the slicing (zmtp.md 3.7)',
    sliced,
    ([list, cuts]) => {
      const writer = new FrameWriter()
      for (const { flags, size } of list) writer.frame(flags, pattern(size))
      const expected = list.map(({ flags, size }) => `${flags} ${digest(pattern(size))}`)
      return read(slice(written(writer), cuts)).join() === expected.join()
    },
  )
  const stream = fc.tuple(fc.uint8Array({ maxLength: 2_000 }), places)
  holds(
    t,
    'any octets give frames or a WireError, whatever the slicing',
    stream,
    ([octets, cuts]) => {
      return read(slice(octets, cuts), 1_000).join() === read([octets], 1_000).join()
    },
  )
  const turns = fc.array(fc.tuple(frames, fc.nat(40)), { maxLength: 10 })
  holds(t, 'octets come out in order, however they are asked for', turns, (list) => {
    const writer = new FrameWriter()
    const given = createHash('sha256')
    const taken = createHash('sha256')
    const raw = fromHex('ff7f')
    let left = 0
    const take = (part: Uint8Array) => {
      taken.update(part)
      left -= part.length
      return writer.size === left
    }
    for (const [some, polls] of list) {
      writer.raw(raw)
      const expected = concat(raw, ...some.map(({ flags, size }) => octetsOf(flags, pattern(size))))
      for (const { flags, size } of some) writer.frame(flags, pattern(size))
      given.update(expected)
      left += expected.length
      for (let poll = 0; poll < polls; poll++) {
        const part = writer.poll()
        if (part && !take(part)) return false
      }
    }
    for (let part = writer.poll(); part; part = writer.poll()) if (!take(part)) return false
    return left === 0 && given.digest('hex') === taken.digest('hex')
  })
})
