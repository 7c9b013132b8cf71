// ZMTP frames out of octets that come in any pieces, and octets out of frames in as few pieces as is good for the network:
// the inner loop of the transport, and nothing else.
// Spec: zmtp.md 3, after 37/ZMTP "Framing".

import { WireError } from './errors.ts'

// The bits of a frame's first octet; the others are ignored, as libzmq does (zmtp.md 3.1).
/** Further frames of the same message follow. */
export const MORE = 1
/** The length of the body takes eight octets, not one. */
export const LONG = 2
/** The frame is a command of the connection, no part of a message. */
export const COMMAND = 4

/** Octets of a command; before the handshake it comes from a stranger, and later there is no longer one (zmtp.md 3.3). */
export const COMMAND_BYTES_MAX = 16_384

const SHORT_HEADER_BYTES = 2
const LONG_HEADER_BYTES = 9
/** Bodies up to here are copied behind their header, so that many small frames make one write (docs/adr/0003). */
export const COPY_BYTES_MAX = 4_096
/**
 * Memory for what waits to be written begins small, since most links have little to say and many of them may say it in one turn,
 * and the next chunk is twice as large, up to a few hundred small messages.
 */
const CHUNK_BYTES_MIN = 256
const CHUNK_BYTES_MAX = 65_536
/** Chunks whose octets have left, for the next who writes: a new one takes as long as ten messages, and each its garbage. */
const spares: Uint8Array[] = []
const SPARES_MAX = 32
const smallSpares: Uint8Array[] = []
const SMALL_SPARES_MAX = 1_024
/** Memory to read to: none as long as each read brings little, as on most links, then twice as much once a read has filled it. */
const WINDOW_BYTES_MIN = 4_096
const WINDOW_BYTES_MAX = 65_536
/** A link is quiet as long as it brings no more at once. */
const QUIET_BYTES_MAX = 512
/** A body that is not here yet is gathered from this size on; a smaller one is joined to its rest when that comes. */
const GATHER_BYTES_MIN = 512
/** Memory for a gathered body grows with what has come: a stranger's announcement alone allocates this much at most. */
const GATHER_BYTES_STEP = 65_536
/** So much of one whom we know: its octets are read to where they stay. */
const TRUSTED_BYTES_STEP = 1_048_576
/** A list of parts to write forgets those that were written from this many on, as a busy link is never quite empty. */
const WRITTEN_PARTS_MAX = 1_024
const EMPTY = new Uint8Array(0)
/** A list that is never changed: a quiet link has none of its own. */
const NOTHING: Uint8Array[] = []

/**
 * Makes memory with a buffer of its own, whose octets may be anything until they are written: where it was cleared first, messages
 * of 1 KiB to 1 MiB took 3 to 8 % longer.
 */
export type Allocate = (bytes: number) => Uint8Array
/** Memory as JavaScript makes it. */
export const allocateClear: Allocate = (bytes) => new Uint8Array(bytes)

interface Gathered {
  readonly flags: number
  readonly size: number
  body: Uint8Array
  have: number
}

/**
 * Octets in, frames out. It has memory of its own for the octets of a stream that can be told where to read to: then a small
 * body is a view of what was read, a large one is read to where it stays, and no chunk has to be joined to the rest of the one
 * before it (docs/adr/0007).
 */
export class FrameReader {
  /** The frame that next() has found: its flags, and where its body is, until next() is called again. */
  flags = 0
  octets: Uint8Array = EMPTY
  start = 0
  end = 0
  /** What is read from: of it, from #from to #to has come and was not read. */
  #memory: Uint8Array = EMPTY
  #from = 0
  #to = 0
  /** Whether it is ours, so that more can be read behind what has come; how large the next is, and the frame that waits. */
  #isWindow = false
  #windowBytes = 0
  #wantedBytes = 0
  #gathered: Gathered | undefined
  /** Whether room() was given, and the body that it was given in: frames can be read between room() and filled(). */
  #isLent = false
  #target: Gathered | undefined
  #isQuiet = false
  #bodyStart = 0
  #stepBytes = GATHER_BYTES_STEP
  #windowBytesMax = WINDOW_BYTES_MIN
  readonly #allocate: Allocate

  constructor(allocate = allocateClear) {
    this.#allocate = allocate
  }

  /** Takes octets, which belong to the reader from now on. */
  add(octets: Uint8Array): void {
    if (octets.length === 0) return
    this.#isQuiet = octets.length <= QUIET_BYTES_MAX
    if (!this.#isQuiet) this.#windowBytes = Math.max(this.#windowBytes, WINDOW_BYTES_MIN)
    const left = this.#to - this.#from
    if (left === 0) {
      this.#memory = octets
    } else {
      const joined = new Uint8Array(left + octets.length)
      joined.set(this.#memory.subarray(this.#from, this.#to))
      joined.set(octets, left)
      this.#memory = joined
    }
    this.#isWindow = false
    this.#from = 0
    this.#to = this.#memory.length
  }

  /**
   * Memory for the next octets, which come to its beginning, and are then told to filled(); undefined where so little comes
   * that it is cheaper to be given it by add().
   */
  room(): Uint8Array | undefined {
    const gathered = this.#gathered
    // What has come and was not read belongs before what comes.
    if (gathered !== undefined && gathered.have < gathered.size && this.#from === this.#to) {
      this.#target = gathered
      this.#isLent = true
      const { body, have } = this.#reach(gathered, 1)
      return new Uint8Array(body.buffer, have)
    }
    this.#target = undefined
    const left = this.#to - this.#from
    const free = this.#isWindow ? this.#memory.length - this.#to : 0
    if (this.#windowBytes === 0 && free < QUIET_BYTES_MAX) return undefined
    this.#isLent = true
    if (free < this.#windowBytes / 4 || left + free < this.#wantedBytes) {
      // What is left in the old one is moved; the old one lives on as long as somebody has a view of it.
      const bytes = Math.max(this.#windowBytes, this.#wantedBytes, 2 * left)
      const window = this.#allocate(bytes)
      window.set(this.#memory.subarray(this.#from, this.#to))
      this.#memory = window
      this.#isWindow = true
      this.#from = 0
      this.#to = left
      // A link that is quiet again needs less, and then nothing.
      this.#windowBytes = this.#windowBytes > WINDOW_BYTES_MIN ? this.#windowBytes / 2 : 0
    }
    return new Uint8Array(this.#memory.buffer, this.#to)
  }

  /** So many octets came to where room() said. */
  filled(count: number): void {
    this.#isLent = false
    this.#isQuiet = count <= QUIET_BYTES_MAX
    if (this.#target !== undefined) {
      this.#target.have += count
      return
    }
    this.#to += count
    // Half a window in one read: there is much to be read.
    if (2 * count > this.#memory.length) {
      this.#windowBytes = Math.min(this.#windowBytesMax, 2 * this.#memory.length)
    }
  }

  /** What came and was not read: for the greeting, which has no frames. */
  get unread(): Uint8Array {
    return this.#memory.subarray(this.#from, this.#to)
  }

  /** Memory of what waits here to be read on: octets, and room for those of a frame that is not whole. */
  get size(): number {
    return this.#to - this.#from + (this.#gathered?.body.length ?? 0)
  }

  /** Whether there is nothing in it, nobody reads to it, and what came last was little. */
  get idle(): boolean {
    const hasNothing = this.#memory.length === 0 && this.#gathered === undefined
    return hasNothing && this.#windowBytes === 0 && !this.#isLent
  }

  skip(count: number): void {
    this.#from += count
  }

  /** Its peer is known: memory for a large body may be made for what was announced. */
  trust(): void {
    this.#stepBytes = TRUSTED_BYTES_STEP
    this.#windowBytesMax = WINDOW_BYTES_MAX
  }

  /** The body of the frame that was found: a view of what came, or memory of its own where it came in pieces. */
  body(): Uint8Array {
    const { octets, start, end } = this
    if (end - start === octets.length) return octets
    return new Uint8Array(octets.buffer, octets.byteOffset + start, end - start)
  }

  /**
   * Finds the next frame. @returns false until more octets come.
   * @throws WireError when its announced size is above `bytesMax`, or for a command above COMMAND_BYTES_MAX; nothing has
   * been allocated for it then (zmtp.md 3.3).
   */
  next(bytesMax: number): boolean {
    if (this.#gathered !== undefined) return this.#gather(this.#gathered)
    const memory = this.#memory
    const start = this.#from
    const left = this.#to - start
    if (left < SHORT_HEADER_BYTES) return this.#rest()
    const flags = memory[start] as number
    let size = memory[start + 1] as number
    let headerBytes = SHORT_HEADER_BYTES
    if ((flags & LONG) !== 0) {
      if (left < LONG_HEADER_BYTES) return this.#rest()
      size = longSize(memory, start + 1)
      headerBytes = LONG_HEADER_BYTES
    }
    const sizeMax = (flags & COMMAND) !== 0 ? COMMAND_BYTES_MAX : bytesMax
    if (size > sizeMax) {
      throw new WireError('zmtp.md 3.3', `a frame of ${size} octets, limit ${sizeMax}`)
    }
    if (left - headerBytes >= size) {
      this.flags = flags
      this.octets = memory
      this.start = start + headerBytes
      this.end = this.start + size
      this.#from = this.end
      this.#wantedBytes = 0
      return true
    }
    const waitsBytes = this.#isWindow ? this.#memory.length / 2 : GATHER_BYTES_MIN
    if (size < waitsBytes) {
      this.#wantedBytes = headerBytes + size
      return this.#rest()
    }
    const body = this.#allocate(Math.min(size, this.#stepBytes))
    this.#gathered = { flags, size, body, have: 0 }
    this.#from = start + headerBytes
    return this.#gather(this.#gathered)
  }

  /**
   * Finds a whole message of two frames whose first is short: nearly all are. Read one by one, they took a fifth longer.
   * `start` and `end` are those of its first frame then, and second() is the other.
   * @returns false where there is none: next() reads whatever there is.
   */
  pair(bytesMax: number): boolean {
    const memory = this.#memory
    const start = this.#from + SHORT_HEADER_BYTES
    if (start >= this.#to || memory[start - 2] !== MORE) return false
    const end = start + (memory[start - 1] as number)
    let bodyStart = end + SHORT_HEADER_BYTES
    if (bodyStart > this.#to) return false
    let size = memory[end + 1] as number
    const flags = memory[end] as number
    if (flags === LONG) {
      bodyStart = end + LONG_HEADER_BYTES
      if (bodyStart > this.#to) return false
      size = longSize(memory, end + 1)
    } else if (flags !== 0) {
      return false
    }
    const bodyEnd = bodyStart + size
    if (bodyEnd > this.#to || end - start + size > bytesMax || this.#gathered !== undefined) {
      return false
    }
    // To store what is there already takes longer than to look.
    if (this.octets !== memory) this.octets = memory
    this.start = start
    this.end = end
    this.#bodyStart = bodyStart
    this.#from = bodyEnd
    this.#wantedBytes = 0
    return true
  }

  /** The second frame of what pair() has found. */
  second(): Uint8Array {
    const memory = this.#memory
    const start = this.#bodyStart
    return new Uint8Array(memory.buffer, memory.byteOffset + start, this.#from - start)
  }

  /** Nothing more can be read: a link that is quiet keeps nothing of what was. */
  #rest(): boolean {
    this.octets = EMPTY
    if (this.#from === this.#to && !this.#isLent && (this.#isQuiet || !this.#isWindow)) {
      if (this.#isQuiet) this.#windowBytes = 0
      this.#memory = EMPTY
      this.#isWindow = false
      this.#from = 0
      this.#to = 0
    }
    return false
  }

  #gather(gathered: Gathered): boolean {
    const { flags, size } = gathered
    const count = Math.min(size - gathered.have, this.#to - this.#from)
    if (count > 0) {
      const { body, have } = this.#reach(gathered, count)
      body.set(this.#memory.subarray(this.#from, this.#from + count), have)
      gathered.have += count
      this.#from += count
    }
    if (gathered.have < size) {
      // Now, and not when room() is asked for, so that it is counted in what waits here.
      this.#reach(gathered, 1)
      return this.#rest()
    }
    this.#gathered = undefined
    this.flags = flags
    this.octets = gathered.body
    this.start = 0
    this.end = size
    return true
  }

  /** It has room for so many octets more, of those that it needs. */
  #reach(gathered: Gathered, count: number): Gathered {
    const { size, have, body } = gathered
    if (have + count > body.length) {
      const larger = this.#allocate(Math.min(size, 2 * (have + count)))
      larger.set(body.subarray(0, have))
      gathered.body = larger
    }
    return gathered
  }
}

/** Frames in, octets out. */
export class FrameWriter {
  #parts = NOTHING
  #partIndex = 0
  #chunk: Uint8Array = EMPTY
  #start = 0
  #end = 0
  /** How large the next chunk is, and how much the caller was given of those before. */
  #chunkBytes = CHUNK_BYTES_MIN
  #givenBytes = 0
  /** Chunks that can be used again; of the first so many the caller has all. */
  #lent = NOTHING
  #lentCount = 0
  #size = 0

  /** Whether there is nothing in it, nobody has a chunk of it, and what was written last was little. */
  get idle(): boolean {
    return this.#size === 0 && this.#lent === NOTHING && this.#chunkBytes === CHUNK_BYTES_MIN
  }

  /** Octets that poll() has still to give. */
  get size(): number {
    return this.#size
  }

  /** Queues octets that are not a frame. */
  raw(octets: Uint8Array): void {
    this.#room(octets.length)
    this.#chunk.set(octets, this.#end)
    this.#end += octets.length
    this.#size += octets.length
  }

  /** Queues one frame. A body above 4,096 octets is kept by reference until poll() gives it. */
  frame(flags: number, body: Uint8Array): void {
    const size = body.length
    const headerBytes = size > 0xff ? LONG_HEADER_BYTES : SHORT_HEADER_BYTES
    const copied = size <= COPY_BYTES_MAX
    this.#room(copied ? headerBytes + size : headerBytes)
    const chunk = this.#chunk
    const start = this.#end
    if (size > 0xff) {
      chunk[start] = flags | LONG
      writeLongSize(chunk, { start: start + 1, size })
    } else {
      chunk[start] = flags
      chunk[start + 1] = size
    }
    this.#end = start + headerBytes
    this.#size += headerBytes + size
    if (copied) {
      chunk.set(body, this.#end)
      this.#end += size
    } else {
      this.#cut()
      this.#add(body)
    }
  }

  /** Queues one frame: the first `size` of these octets, which are free to change at once. */
  copy(flags: number, octets: Uint8Array, size: number): void {
    if (size > 0xff) {
      this.frame(flags, octets.slice(0, size))
      return
    }
    this.#open(flags, size)
    this.#put(octets, size)
  }

  /** Queues a command, 255 octets at most: its head, which is its name and what is always the same, and its data. */
  command(head: Uint8Array, data: Uint8Array): void {
    this.#open(COMMAND, head.length + data.length)
    this.#put(head, head.length)
    this.#put(data, data.length)
  }

  /** The next octets to write, the caller's until it calls release(); undefined when there are none. */
  poll(): Uint8Array | undefined {
    if (this.#partIndex === this.#parts.length) {
      // Mostly there is one part, which needs no list.
      if (this.#end > this.#start) return this.#take()
      this.#parts = NOTHING
      this.#partIndex = 0
      return undefined
    }
    const part = this.#parts[this.#partIndex] as Uint8Array
    this.#parts[this.#partIndex++] = EMPTY
    this.#size -= part.length
    if (this.#partIndex >= WRITTEN_PARTS_MAX && 2 * this.#partIndex >= this.#parts.length) {
      this.#parts.splice(0, this.#partIndex)
      this.#partIndex = 0
    }
    return part
  }

  /**
   * poll() has given all there is, and its caller keeps it until it has left, or, where `isTaken`, does not need it any more: a
   * quiet link keeps no memory. New chunks each time took a fifth longer at 1 KiB.
   */
  release(isTaken: boolean): void {
    this.#lend()
    this.#lentCount = this.#lent.length
    if (isTaken) this.drained()
    this.#chunk = EMPTY
    this.#start = 0
    this.#end = 0
    // The next is as large as these were together.
    const bytes = this.#chunkBytes
    this.#chunkBytes = this.#givenBytes > bytes / 2 ? bytes : Math.max(CHUNK_BYTES_MIN, bytes / 2)
    this.#givenBytes = 0
  }

  /** All that poll() gave until release() has left: its chunks are free, not those that it has still to give some of. */
  drained(): void {
    if (this.#lentCount === 0) return
    for (let index = 0; index < this.#lentCount; index++) {
      const chunk = this.#lent[index] as Uint8Array
      const isSmall = chunk.length === CHUNK_BYTES_MIN
      if (isSmall && smallSpares.length < SMALL_SPARES_MAX) smallSpares.push(chunk)
      else if (!isSmall && spares.length < SPARES_MAX) spares.push(chunk)
    }
    this.#lent = this.#lent.length > this.#lentCount ? this.#lent.slice(this.#lentCount) : NOTHING
    this.#lentCount = 0
  }

  /** Begins a frame of 255 octets at most, for which there is room then. */
  #open(flags: number, size: number): void {
    this.#room(SHORT_HEADER_BYTES + size)
    this.#chunk[this.#end++] = flags
    this.#chunk[this.#end++] = size
    this.#size += SHORT_HEADER_BYTES + size
  }

  /** Octet by octet: there are a dozen, and to call set() takes longer. */
  #put(octets: Uint8Array, size: number): void {
    const chunk = this.#chunk
    const end = this.#end
    for (let index = 0; index < size; index++) chunk[end + index] = octets[index] as number
    this.#end = end + size
  }

  #room(count: number): void {
    if (this.#chunk.length - this.#end >= count) return
    this.#cut()
    this.#lend()
    this.#chunk =
      spareOf(this.#chunkBytes, count) ?? new Uint8Array(Math.max(count, this.#chunkBytes))
    this.#chunkBytes = Math.min(CHUNK_BYTES_MAX, 2 * this.#chunkBytes)
    this.#start = 0
    this.#end = 0
  }

  /** The smallest chunks and the largest are used again: most links need the one or the other. */
  #lend(): void {
    const { length } = this.#chunk
    if (length !== CHUNK_BYTES_MIN && length !== CHUNK_BYTES_MAX) return
    if (this.#lent === NOTHING) this.#lent = [this.#chunk]
    else this.#lent.push(this.#chunk)
  }

  #take(): Uint8Array {
    const part = new Uint8Array(this.#chunk.buffer, this.#start, this.#end - this.#start)
    this.#start = this.#end
    this.#size -= part.length
    this.#givenBytes += part.length
    return part
  }

  #cut(): void {
    if (this.#end === this.#start) return
    const part = this.#take()
    this.#add(part)
    this.#size += part.length
  }

  #add(part: Uint8Array): void {
    if (this.#parts === NOTHING) this.#parts = [part]
    else this.#parts.push(part)
  }
}

/** A chunk of that size that somebody has used, if it has room for so much. */
function spareOf(bytes: number, count: number): Uint8Array | undefined {
  if (count > bytes) return undefined
  if (bytes === CHUNK_BYTES_MIN) return smallSpares.pop()
  return bytes === CHUNK_BYTES_MAX ? spares.pop() : undefined
}

function longSize(octets: Uint8Array, start: number): number {
  let size = 0
  for (let index = start; index < start + 8; index++)
    size = size * 0x100 + (octets[index] as number)
  return size
}

function writeLongSize(octets: Uint8Array, { start, size }: { start: number; size: number }): void {
  let rest = size
  for (let index = start + 7; index >= start; index--) {
    octets[index] = rest % 0x100
    rest = Math.floor(rest / 0x100)
  }
}
