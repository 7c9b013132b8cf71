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

/** One frame; its body is a view of the octets that came, or memory of its own where they came in pieces. */
export interface Frame {
  readonly flags: number
  readonly body: Uint8Array
}

const SHORT_HEADER_BYTES = 2
const LONG_HEADER_BYTES = 9
/** Bodies up to here are copied behind their header, so that many small frames make one write (docs/adr/0003). */
const COPY_BYTES_MAX = 4_096
/** Memory for what waits to be written begins small, since most links are quiet, and doubles up to a TCP buffer's size. */
const CHUNK_BYTES_MIN = 256
const CHUNK_BYTES_MAX = 65_536
/**
 * What V8 keeps in its own heap: most turns of most links write less. Memory outside takes 300 ns and a finalizer, this 25 ns;
 * a copy of it 40 ns, and a view 500 ns, since it has to move out first.
 */
const HEAP_BYTES = 64
/** Such chunks whose octets were copied, for the next who writes: it saves 200 octets of garbage for each write. */
const spares: Uint8Array[] = []
const SPARES_MAX = 64
/** A body that is not here yet is gathered from this size on; a smaller one is joined to its rest when that comes. */
const GATHER_BYTES_MIN = 512
/** Memory for a gathered body grows with what has come: a stranger's announcement alone allocates this much at most. */
const GATHER_BYTES_STEP = 65_536
/** A list of parts to write forgets those that were written from this many on, as a busy link is never quite empty. */
const WRITTEN_PARTS_MAX = 1_024
const EMPTY = new Uint8Array(0)

interface Gathered {
  readonly flags: number
  readonly size: number
  body: Uint8Array
  have: number
}

/** Octets in, frames out. */
export class FrameReader {
  #octets: Uint8Array = EMPTY
  #offset = 0
  #gathered: Gathered | undefined

  /** Takes octets, which belong to the reader from now on. */
  add(octets: Uint8Array): void {
    const left = this.#octets.length - this.#offset
    if (left === 0) {
      this.#octets = octets
    } else {
      const joined = new Uint8Array(left + octets.length)
      joined.set(this.#octets.subarray(this.#offset))
      joined.set(octets, left)
      this.#octets = joined
    }
    this.#offset = 0
  }

  /** What came and was not read: for the greeting, which has no frames. */
  get unread(): Uint8Array {
    return this.#octets.subarray(this.#offset)
  }

  /** Memory of what waits here to be read on: octets, and room for those of a frame that is not whole. */
  get size(): number {
    return this.#octets.length - this.#offset + (this.#gathered?.body.length ?? 0)
  }

  skip(count: number): void {
    this.#offset += count
  }

  /** Forgets everything. */
  clear(): void {
    this.#drop()
    this.#gathered = undefined
  }

  #drop(): void {
    this.#octets = EMPTY
    this.#offset = 0
  }

  /**
   * The next frame, or undefined until more octets come.
   * @throws WireError when its announced size is above `bytesMax`, or for a command above COMMAND_BYTES_MAX; nothing has
   * been allocated for it then (zmtp.md 3.3).
   */
  frame(bytesMax: number): Frame | undefined {
    if (this.#gathered !== undefined) return this.#gather(this.#gathered)
    const octets = this.#octets
    const start = this.#offset
    const left = octets.length - start
    if (left < SHORT_HEADER_BYTES) return undefined
    const flags = octets[start] as number
    let size = octets[start + 1] as number
    let headerBytes = SHORT_HEADER_BYTES
    if ((flags & LONG) !== 0) {
      if (left < LONG_HEADER_BYTES) return undefined
      size = longSize(octets, start + 1)
      headerBytes = LONG_HEADER_BYTES
    }
    const sizeMax = (flags & COMMAND) !== 0 ? COMMAND_BYTES_MAX : bytesMax
    if (size > sizeMax) {
      throw new WireError('zmtp.md 3.3', `a frame of ${size} octets, limit ${sizeMax}`)
    }
    const bodyStart = start + headerBytes
    if (left - headerBytes >= size) {
      this.#offset = bodyStart + size
      const body = octets.subarray(bodyStart, this.#offset)
      // An idle connection keeps nothing of what was read.
      if (this.#offset === octets.length) this.#drop()
      return { flags, body }
    }
    if (size < GATHER_BYTES_MIN) return undefined
    const body = new Uint8Array(Math.min(size, GATHER_BYTES_STEP))
    this.#gathered = { flags, size, body, have: 0 }
    this.#offset = bodyStart
    return this.#gather(this.#gathered)
  }

  #gather(gathered: Gathered): Frame | undefined {
    const { flags, size } = gathered
    const count = Math.min(size - gathered.have, this.#octets.length - this.#offset)
    if (gathered.have + count > gathered.body.length) {
      const larger = new Uint8Array(Math.min(size, 2 * (gathered.have + count)))
      larger.set(gathered.body.subarray(0, gathered.have))
      gathered.body = larger
    }
    const end = this.#offset + count
    gathered.body.set(this.#octets.subarray(this.#offset, end), gathered.have)
    gathered.have += count
    this.#offset = end
    if (end === this.#octets.length) this.#drop()
    if (gathered.have < size) return undefined
    this.#gathered = undefined
    return { flags, body: gathered.body }
  }
}

/** Frames in, octets out. */
export class FrameWriter {
  #parts: Uint8Array[] = []
  #partIndex = 0
  #chunk: Uint8Array = EMPTY
  #start = 0
  #end = 0
  /** Where the chunk is full: it may begin smaller than that. */
  #chunkEnd = 0
  #chunkBytes = CHUNK_BYTES_MIN
  #size = 0

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
      this.#parts.push(body)
    }
  }

  /** Queues a command, 255 octets at most: its head, which is its name and what is always the same, and its data. */
  command(head: Uint8Array, data: Uint8Array): void {
    const size = head.length + data.length
    this.#room(SHORT_HEADER_BYTES + size)
    const chunk = this.#chunk
    let end = this.#end
    chunk[end++] = COMMAND
    chunk[end++] = size
    // Octet by octet: there are a dozen, and to call set() takes longer.
    for (let index = 0; index < head.length; index++) chunk[end++] = head[index] as number
    for (let index = 0; index < data.length; index++) chunk[end++] = data[index] as number
    this.#end = end
    this.#size += SHORT_HEADER_BYTES + size
  }

  /** The next octets to write, the caller's from now on; undefined when there are none. */
  poll(): Uint8Array | undefined {
    if (this.#partIndex === this.#parts.length) {
      // Mostly there is one part, which needs no list.
      if (this.#end > this.#start) return this.#take()
      this.#rest()
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

  #room(count: number): void {
    if (this.#chunkEnd - this.#end >= count) {
      if (this.#chunk.length - this.#end < count) this.#extend()
      return
    }
    this.#cut()
    this.#chunkEnd = Math.max(count, this.#chunkBytes)
    this.#chunkBytes = clampChunk(2 * this.#chunkBytes)
    if (count > HEAP_BYTES) this.#chunk = new Uint8Array(this.#chunkEnd)
    else if (this.#chunk.length !== HEAP_BYTES) {
      this.#chunk = spares.pop() ?? new Uint8Array(HEAP_BYTES)
    }
    this.#start = 0
    this.#end = 0
  }

  /** It was begun small, and is more than that now. */
  #extend(): void {
    const chunk = new Uint8Array(this.#chunkEnd)
    chunk.set(this.#chunk)
    this.#spare()
    this.#chunk = chunk
  }

  /** Nothing waits, so a quiet link keeps no memory; the next chunk is about as large as this turn's were together. */
  #rest(): void {
    this.#chunkBytes = clampChunk(this.#chunkBytes / 2)
    if (this.#parts.length > 0) this.#parts = []
    this.#partIndex = 0
    this.#spare()
    this.#chunk = EMPTY
    this.#start = 0
    this.#end = 0
    this.#chunkEnd = 0
  }

  #spare(): void {
    if (this.#chunk.length === HEAP_BYTES && spares.length < SPARES_MAX) spares.push(this.#chunk)
  }

  /** What is written of the chunk, as its receiver's. */
  #take(): Uint8Array {
    const chunk = this.#chunk
    const start = this.#start
    this.#start = this.#end
    this.#size -= this.#end - start
    const isCopied = chunk.length === HEAP_BYTES
    return isCopied ? chunk.slice(start, this.#end) : chunk.subarray(start, this.#end)
  }

  #cut(): void {
    if (this.#end === this.#start) return
    const part = this.#take()
    this.#parts.push(part)
    this.#size += part.length
  }
}

function clampChunk(bytes: number): number {
  return Math.max(CHUNK_BYTES_MIN, Math.min(CHUNK_BYTES_MAX, bytes))
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
