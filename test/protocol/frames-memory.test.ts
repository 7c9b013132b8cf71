// Whose memory it is: octets that FrameReader reads to where it wants them, and chunks that FrameWriter uses again.

import { createHash, type Hash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { WireError } from '../../protocol/errors.ts'
import { COMMAND, FrameReader, FrameWriter, LONG, MORE } from '../../protocol/frames.ts'
import { feedThree } from '../support/feed.ts'
import { holds } from '../support/holds.ts'
import { memory } from '../support/memory.ts'
import { concat, digest, pattern } from '../support/octets.ts'
import { fromHex } from '../support/vectors.ts'

const LIMIT = 2 ** 26
const MIB = 2 ** 20
const WINDOW_BYTES_MIN = 4_096
const WINDOW_BYTES_MAX = 65_536
const SIZES = [0, 1, 255, 256, 2_047, 2_048, 4_096, 32_767, 32_768, 65_535, 65_536, 200_000]

/** Memory that nobody has cleared. */
const allocate = (bytes: number) => new Uint8Array(bytes).fill(0xaa)

function written(writer: FrameWriter): Uint8Array {
  const parts: Uint8Array[] = []
  for (let part = writer.poll(); part; part = writer.poll()) parts.push(part)
  return concat(...parts)
}

function octetsOf(frames: readonly { readonly flags: number; readonly size: number }[]) {
  const writer = new FrameWriter()
  for (const { flags, size } of frames) writer.frame(flags, pattern(size))
  return written(writer)
}

/** Puts octets to where the reader wants them, where it does. @returns how many: as many as there is room for. */
function put(reader: FrameReader, octets: Uint8Array, room = reader.room()): number {
  if (room === undefined) {
    reader.add(octets.slice())
    return octets.length
  }
  const count = Math.min(room.length, octets.length)
  if (count === 0) throw new Error('there is no room')
  room.set(octets.subarray(0, count))
  reader.filled(count)
  return count
}

/** Lets a reader have octets, so many at a time at most, and `heard` look at it each time. */
function fill(
  reader: FrameReader,
  octets: Uint8Array,
  heard: () => void,
  pieceBytes = octets.length,
): void {
  for (let start = 0; start < octets.length; heard()) {
    start += put(reader, octets.subarray(start, start + pieceBytes))
  }
}

/** What a reader makes of the chunks: each frame as text, then the rule that was broken, if any. */
function read(chunks: readonly Uint8Array[], bytesMax = LIMIT): string[] {
  const reader = new FrameReader(allocate)
  const frames: string[] = []
  const heard = () => {
    while (reader.next(bytesMax)) frames.push(`${reader.flags & ~LONG} ${digest(reader.body())}`)
  }
  try {
    for (const chunk of chunks) fill(reader, chunk, heard)
    return frames
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    return [...frames, error.rule]
  }
}

t.test('bodies of all sizes are read to where they stay, in all three feeds', async (t) => {
  for (const size of SIZES) {
    const octets = octetsOf([{ flags: MORE, size }])
    const expected = `${MORE} ${digest(pattern(size))}`
    const feeds = feedThree(octets, Uint8Array.of(0, 9, 9), (chunks) => read(chunks).join())
    t.same(feeds, { whole: expected, byOctet: expected, withTail: expected }, `${size}`)
  }
})

t.test(
  'what is announced above a limit is refused before there is room (zmtp.md 3.3)',
  async (t) => {
    const before = memory('arrayBuffers')
    for (const hex of ['0065', '020000000000000065', '020000000100000000', '03ffffffffffffffff']) {
      t.same(read([fromHex(hex)], 100), ['zmtp.md 3.3'], hex)
    }
    t.same(read([fromHex('060000000000004001')]), ['zmtp.md 3.3'], 'a command')
    t.ok(memory('arrayBuffers') - before < MIB)
  },
)

t.test(
  'an announcement is worth 65,536 octets, one of who is known a MiB (zmtp.md 3.8)',
  async (t) => {
    for (const [isTrusted, bytes] of [
      [false, WINDOW_BYTES_MAX],
      [true, MIB],
    ] as const) {
      const reader = new FrameReader(allocate)
      if (isTrusted) reader.trust()
      fill(reader, fromHex('0200000000 04000000'), () => t.notOk(reader.next(LIMIT)))
      t.equal(reader.size, bytes)
      t.equal(reader.room()?.length, bytes, 'which is where its octets are read to')
      fill(reader, pattern(bytes), () => t.notOk(reader.next(LIMIT)), bytes)
      t.equal(reader.room()?.length, bytes + 2, 'and then as much as came, and one octet')
      t.equal(reader.size, 2 * (bytes + 1))
    }
  },
)

t.test('a large body is read to where it stays, a small one is a view of a window', async (t) => {
  const reader = new FrameReader(allocate)
  const octets = octetsOf([{ flags: 0, size: 60_000 }])
  fill(reader, octets.subarray(0, 100), () => t.notOk(reader.next(LIMIT)))
  const room = reader.room()
  t.equal(room?.length, 60_000 + 9 - 100, 'and no more of it than there is to come')
  fill(reader, octets.subarray(100), () => t.ok(reader.next(LIMIT)))
  t.equal(reader.body().buffer, room?.buffer)
  t.equal(reader.body().length, reader.body().buffer.byteLength, 'it keeps nothing else')
  t.equal(digest(reader.body()), digest(pattern(60_000)))
  reader.add(octetsOf([{ flags: 0, size: 1_000 }]))
  t.ok(reader.next(LIMIT))
  const window = reader.room()
  fill(reader, octetsOf([{ flags: 0, size: 100 }]), () => t.ok(reader.next(LIMIT)))
  t.equal(reader.body().buffer, window?.buffer)
})

t.test('a window grows with what comes at once, and shrinks where little does', async (t) => {
  const reader = new FrameReader(allocate)
  const sizes: number[] = []
  const octets = octetsOf(Array.from({ length: 10_000 }, () => ({ flags: 0, size: 98 })))
  const heard = () => {
    while (reader.next(LIMIT));
    sizes.push(reader.room()?.buffer.byteLength ?? 0)
  }
  t.equal(reader.room(), undefined, 'who has said nothing has none')
  fill(reader, octets.subarray(0, 600), heard)
  t.equal(sizes.at(-1), WINDOW_BYTES_MIN)
  fill(reader, octets.subarray(600), heard)
  t.equal(Math.max(...sizes), WINDOW_BYTES_MIN, 'a stranger has no more')
  reader.trust()
  fill(reader, octets, heard)
  t.equal(
    sizes.at(-1),
    WINDOW_BYTES_MAX,
    'a million octets, as many at a time as there is room for',
  )
  t.equal(Math.max(...sizes), WINDOW_BYTES_MAX)
  sizes.length = 0
  fill(reader, octets, heard, 1_000)
  t.equal(sizes.at(-1), WINDOW_BYTES_MIN, 'a million octets, ten messages at a time')
  t.ok(sizes.every((size) => size <= WINDOW_BYTES_MAX))
  fill(reader, octets, heard, 100)
  t.equal(sizes.at(-1), 0, 'a million octets, a message at a time')
  t.ok(reader.idle)
})

t.test('an idle reader keeps nothing of what was, but a window', async (t) => {
  const octets = octetsOf([
    { flags: MORE, size: 6 },
    { flags: 0, size: MIB },
  ])
  const readers = Array.from({ length: 16 }, () => new FrameReader(allocate))
  const before = memory('arrayBuffers')
  for (const reader of readers) {
    fill(reader, octets, () => {
      while (reader.next(LIMIT));
    })
    t.equal(reader.size, 0)
    reader.room()
    t.notOk(reader.idle, 'somebody may read to it')
  }
  t.ok(memory('arrayBuffers') - before <= 16 * WINDOW_BYTES_MAX, '16 MiB came')
  for (const reader of readers) {
    // A short message is the sign that it is quiet.
    fill(reader, octets.subarray(0, 8), () => t.ok(reader.next(LIMIT)))
    t.notOk(reader.next(LIMIT))
    t.equal(reader.room(), undefined)
    t.ok(reader.idle)
  }
  t.ok(memory('arrayBuffers') - before < WINDOW_BYTES_MAX, 'a quiet one has none')
})

t.test('two frames are read at once where both are here, and in no other case', async (t) => {
  const pairOf = (octets: Uint8Array, bytesMax = LIMIT) => {
    const reader = new FrameReader(allocate)
    reader.add(octets)
    if (!reader.pair(bytesMax)) return undefined
    const first = reader.octets.subarray(reader.start, reader.end)
    return [digest(first), digest(reader.second()), reader.size]
  }
  for (const [first, second] of [
    [0, 0],
    [6, 100],
    [255, 255],
    [6, 256],
    [6, 70_000],
  ] as const) {
    const octets = octetsOf([
      { flags: MORE, size: first },
      { flags: 0, size: second },
    ])
    const expected = [digest(pattern(first)), digest(pattern(second))]
    t.same(pairOf(octets), [...expected, 0], `${first} and ${second}`)
    t.same(pairOf(concat(octets, octets)), [...expected, octets.length], 'and no further')
    for (const size of [0, 1, 2, 3, first + 1, first + 3, first + 6, octets.length - 1]) {
      t.equal(pairOf(octets.subarray(0, Math.min(size, octets.length - 1))), undefined)
    }
    t.same(pairOf(octets, first + second), [...expected, 0], 'at the limit')
    if (first + second > 0) t.equal(pairOf(octets, first + second - 1), undefined, 'above it')
  }
  for (const [what, frames] of [
    ['one frame', [{ flags: 0, size: 6 }]],
    ['three', [MORE, MORE, 0].map((flags) => ({ flags, size: 6 }))],
    ['a command in between', [MORE, COMMAND, 0].map((flags) => ({ flags, size: 6 }))],
    ['a command', [COMMAND, 0].map((flags) => ({ flags, size: 6 }))],
    ['a long header', [MORE, 0].map((flags) => ({ flags, size: 256 }))],
  ] as const) {
    t.equal(pairOf(octetsOf(frames)), undefined, what)
  }
  for (const hex of ['f9010000 00', '0101 61 80 01 62', '0100 02ffffffffffffffff 00']) {
    t.equal(pairOf(fromHex(hex)), undefined, hex)
  }
})

const frames = fc.array(
  fc.record({
    flags: fc.constantFrom(0, MORE, MORE),
    size: fc.oneof(
      { weight: 6, arbitrary: fc.nat(300) },
      { weight: 2, arbitrary: fc.nat(9_000) },
      { weight: 1, arbitrary: fc.nat(200_000) },
      { weight: 1, arbitrary: fc.constantFrom(...SIZES) },
    ),
  }),
  { maxLength: 24 },
)
/** How many octets come, and what is done before, in between and after. */
const reads = fc.array(
  fc.record({
    bytes: fc.oneof(fc.nat(12), fc.nat(3_000), fc.nat(70_000)),
    how: fc.constantFrom('filled', 'filled', 'filled', 'added'),
    between: fc.constantFrom('nothing', 'read', 'add nothing', 'ask again'),
    rests: fc.boolean(),
    pairs: fc.boolean(),
  }),
  { minLength: 1, maxLength: 40 },
)

t.test('however octets are read, they are the same frames (zmtp.md 3.7)', async (t) => {
  holds(t, 'for every split', fc.tuple(frames, reads), ([list, turns]) => {
    const octets = octetsOf(list)
    const reader = new FrameReader(allocate)
    const found: Uint8Array[] = []
    const readOn = (pairs: boolean) => {
      for (;;) {
        if (pairs && reader.pair(LIMIT)) {
          found.push(reader.octets.subarray(reader.start, reader.end), reader.second())
        } else if (reader.next(LIMIT)) found.push(reader.body())
        else return
      }
    }
    for (let start = 0, turn = 0; start < octets.length; turn++) {
      const { bytes, how, between, rests, pairs } = turns[turn % turns.length] as (typeof turns)[0]
      const piece = octets.subarray(start, start + Math.max(1, bytes))
      if (how === 'added') {
        reader.add(piece.slice())
        start += piece.length
      } else {
        let room = reader.room()
        if (between === 'read') readOn(pairs)
        else if (between === 'add nothing') reader.add(new Uint8Array(0))
        else if (between === 'ask again') room = reader.room()
        start += put(reader, piece, room)
      }
      if (!rests) readOn(pairs)
    }
    readOn(true)
    // Looked at when all is over: nothing that was given is written to again.
    const expected = list.map(({ size }) => digest(pattern(size)))
    return found.map(digest).join() === expected.join() && reader.size === 0
  })
  const any = fc.tuple(fc.uint8Array({ maxLength: 2_000 }), reads)
  holds(t, 'any octets give frames or a WireError', any, ([octets, turns]) => {
    const chunks: Uint8Array[] = []
    for (let start = 0, turn = 0; start < octets.length; turn++) {
      const { bytes } = turns[turn % turns.length] as (typeof turns)[0]
      chunks.push(octets.subarray(start, start + Math.max(1, bytes)))
      start += Math.max(1, bytes)
    }
    return read(chunks, 1_000).join() === read([octets], 1_000).join()
  })
})

t.test('a copied frame is what its octets were, short or long', async (t) => {
  for (const size of [0, 1, 6, 255, 256, 300]) {
    const octets = concat(pattern(size), Uint8Array.of(1, 2, 3))
    const [copied, framed] = [new FrameWriter(), new FrameWriter()]
    copied.copy(MORE, octets, size)
    octets.fill(0)
    framed.frame(MORE, pattern(size))
    t.equal(copied.size, framed.size)
    t.equal(digest(written(copied)), digest(written(framed)), `${size}`)
  }
})

/** A writer as its stream sees it: parts that it was given and that have not left, and all that has. */
class Stream {
  readonly writer = new FrameWriter()
  readonly #said = createHash('sha256')
  readonly #left = createHash('sha256')
  #parts: Uint8Array[] = []

  say(flags: number, size: number): void {
    const body = pattern(size)
    if (size <= 255 && flags === MORE) this.writer.copy(flags, body, size)
    else this.writer.frame(flags, body)
    this.#said.update(octetsOf([{ flags, size }]))
  }

  /** It is given all there is, and has no more to do with it at once, or keeps it. */
  take(isTaken: boolean): void {
    for (let part = this.writer.poll(); part; part = this.writer.poll()) this.#parts.push(part)
    if (isTaken) this.#leave()
    this.writer.release(isTaken)
  }

  drain(): void {
    this.#leave()
    this.writer.drained()
  }

  get isUnharmed(): boolean {
    this.take(true)
    const hex = (hash: Hash) => hash.digest('hex')
    return hex(this.#said) === hex(this.#left) && this.writer.size === 0
  }

  /** Looked at no sooner than when it leaves; then it is anybody's. */
  #leave(): void {
    for (const part of this.#parts) {
      this.#left.update(part)
      if (part.length < part.buffer.byteLength) part.fill(0xee)
    }
    this.#parts = []
  }
}

const deeds = fc.array(
  fc.record({
    stream: fc.nat(2),
    does: fc.constantFrom('say', 'say', 'say much', 'take', 'keep', 'drain'),
    flags: fc.constantFrom(0, MORE),
    size: fc.oneof(fc.nat(300), fc.nat(5_000)),
  }),
  { maxLength: 60, size: 'max' },
)

holds(t, 'memory that is lent is never written to again', deeds, (list) => {
  const streams = [new Stream(), new Stream(), new Stream()]
  for (const { stream: index, does, flags, size } of list) {
    const stream = streams[index] as Stream
    if (does === 'say') stream.say(flags, size)
    else if (does === 'say much') for (let count = 0; count < 40; count++) stream.say(0, size)
    else if (does === 'drain') stream.drain()
    else stream.take(does === 'take')
  }
  return streams.every(({ isUnharmed }) => isUnharmed)
})

t.test('a writer that is told to drain keeps what it was not asked for', async (t) => {
  const [slow, quick] = [new Stream(), new Stream()]
  for (const isTaken of [false, false, true]) {
    for (let count = 0; count < 40; count++) slow.say(0, 4_000)
    slow.take(isTaken)
  }
  for (let count = 0; count < 40; count++) slow.say(0, 4_000)
  slow.drain()
  quick.take(true)
  for (let count = 0; count < 40; count++) quick.say(0, 3_000)
  t.ok(slow.isUnharmed && quick.isUnharmed)
})

t.test('a chunk that has left is used again, one that is lent is not', async (t) => {
  const writer = new FrameWriter()
  const chunkOf = () => {
    writer.frame(0, pattern(100))
    const part = writer.poll()
    writer.poll()
    return part?.buffer
  }
  writer.release(true)
  const first = chunkOf()
  t.equal(first?.byteLength, 256)
  writer.release(true)
  t.equal(chunkOf(), first)
  writer.release(false)
  const second = chunkOf()
  t.not(second, first, 'it has not left')
  writer.release(false)
  writer.drained()
  writer.release(true)
  const third = chunkOf()
  t.ok(third === first || third === second, 'now they have')
})

t.test('many who say a little in one turn take little', async (t) => {
  const writers = Array.from({ length: 500 }, () => new FrameWriter())
  const say = () => {
    for (const writer of writers) writer.frame(0, pattern(20))
    const bytes = memory('arrayBuffers')
    for (const writer of writers) {
      while (writer.poll());
      writer.release(true)
    }
    return bytes
  }
  say()
  const before = memory('arrayBuffers')
  t.ok(say() - before < MIB, 'though all they said before was taken at once')
})
