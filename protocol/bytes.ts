// Reader and Writer over one Uint8Array, and the text form of a uuid. All integers are big-endian, as on every wire that
// Lyre speaks. Lengths are checked here and nowhere else: a read past the end is a WireError and never a short answer.

import { WireError } from './errors.ts'

/** A node's identity as text: 32 lower-case hexadecimal digits without dashes, for 16 octets. */
export type Uuid = string

const encoder = new TextEncoder()
// A byte order mark is a character of a name like any other: to swallow it would make two groups one.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const UUID_TEXT = /^[0-9a-f]{32}$/
/** What a Writer begins with: as much as V8 keeps in its own heap. */
const START_BYTES = 64
/** Texts up to here are looked at character by character, which is faster than to call an encoder or a decoder. */
const SHORT_TEXT = 32

/** Whether `text` is a uuid as Lyre writes it. */
export function isUuid(text: unknown): text is Uuid {
  return typeof text === 'string' && UUID_TEXT.test(text)
}

/** The 16 octets of a uuid. */
export function uuidToBytes(uuid: Uuid): Uint8Array {
  const bytes = new Uint8Array(16)
  for (let index = 0; index < 16; index++) {
    bytes[index] = Number.parseInt(uuid.slice(2 * index, 2 * index + 2), 16)
  }
  return bytes
}

/** The text of 16 octets. */
export function bytesToUuid(bytes: Uint8Array): Uuid {
  const units = new Array<number>(32)
  for (let index = 0; index < 16; index++) {
    const octet = bytes[index] as number
    units[2 * index] = hexDigit(octet >> 4)
    units[2 * index + 1] = hexDigit(octet & 0xf)
  }
  // Made in one piece: one put together from many is put together again when it is looked up, for each beacon.
  return String.fromCharCode(...units)
}

/** Whether the 16 octets from `start` on are those of this uuid. */
export function isUuidOf(bytes: Uint8Array, start: number, uuid: Uuid): boolean {
  for (let index = 0; index < 16; index++) {
    const octet = bytes[start + index] as number
    if (hexDigit(octet >> 4) !== uuid.charCodeAt(2 * index)) return false
    if (hexDigit(octet & 0xf) !== uuid.charCodeAt(2 * index + 1)) return false
  }
  return true
}

/** UTF-8 octets of a text. */
export function utf8(text: string): Uint8Array {
  if (text.length > SHORT_TEXT) return encoder.encode(text)
  const bytes = new Uint8Array(text.length)
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit > 0x7f) return encoder.encode(text)
    bytes[index] = unit
  }
  return bytes
}

/** The text of UTF-8 octets; what is not UTF-8 becomes U+FFFD, since some peers cut a character in two. */
export function fromUtf8(bytes: Uint8Array): string {
  // Names on this wire are short and nearly always ASCII, where a TextDecoder costs more than the whole message.
  if (bytes.length > SHORT_TEXT) return decoder.decode(bytes)
  let text = ''
  for (const octet of bytes) {
    if (octet > 0x7f) return decoder.decode(bytes)
    text += String.fromCharCode(octet)
  }
  return text
}

/** As much of the beginning of a text as has so many octets of UTF-8, and no half of a character. */
export function cut(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text
  const bytes = utf8(text)
  if (bytes.length <= bytesMax) return text
  let end = bytesMax
  while (((bytes[end] as number) & 0xc0) === 0x80) end--
  return fromUtf8(bytes.subarray(0, end))
}

// Names of groups are read again and again, and each text made of octets is looked up in maps, which hash it anew: the one
// that was read before is hashed already. Measured: half a microsecond of a JOIN, and 300 octets of garbage.
const TEXTS = 256
const texts: string[] = new Array(TEXTS).fill('')

/** The text of these octets, the same as last time where it is still remembered; undefined where it is not short ASCII. */
function knownText(octets: Uint8Array, start: number, size: number): string | undefined {
  if (size > SHORT_TEXT) return undefined
  let hash = size
  for (let index = start; index < start + size; index++) {
    const octet = octets[index] as number
    if (octet > 0x7f) return undefined
    hash = (31 * hash + octet) | 0
  }
  const slot = (hash ^ (hash >>> 8)) & (TEXTS - 1)
  const text = texts[slot] as string
  if (text.length === size && isText(octets, start, text)) return text
  let made = ''
  for (let index = start; index < start + size; index++) {
    made += String.fromCharCode(octets[index] as number)
  }
  texts[slot] = made
  return made
}

function isText(octets: Uint8Array, start: number, text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    if (octets[start + index] !== text.charCodeAt(index)) return false
  }
  return true
}

function hexDigit(value: number): number {
  return value < 10 ? 0x30 + value : 0x57 + value
}

/** Reads one Uint8Array from its start to its end. What it gives as octets are views, not copies. */
export class Reader {
  readonly #bytes: Uint8Array
  readonly #rule: string
  #offset: number
  readonly #end: number

  /**
   * @param rule what a WireError says when the octets end too early or too late.
   * @param range which of the octets to read; all of them unless told.
   */
  constructor(
    bytes: Uint8Array,
    rule: string,
    { start, end }: { readonly start: number; readonly end: number } = {
      start: 0,
      end: bytes.length,
    },
  ) {
    this.#bytes = bytes
    this.#rule = rule
    this.#offset = start
    this.#end = end
  }

  /** How many octets are left. */
  get left(): number {
    return this.#end - this.#offset
  }

  /** @throws WireError when there are fewer than `count` octets left; so do all the readers below. */
  bytes(count: number): Uint8Array {
    const start = this.#take(count)
    return this.#bytes.subarray(start, this.#offset)
  }

  u8(): number {
    return this.#bytes[this.#take(1)] as number
  }

  u16(): number {
    return this.u8() * 0x100 + this.u8()
  }

  u32(): number {
    return this.u16() * 0x10000 + this.u16()
  }

  /** @throws WireError above 2^53 - 1, too: nothing counts so far. */
  u64(): number {
    const value = this.u32() * 0x100000000 + this.u32()
    if (!Number.isSafeInteger(value)) throw new WireError(this.#rule, 'a number above 2^53 - 1')
    return value
  }

  skip(count: number): void {
    this.#take(count)
  }

  /** A text with a 1-octet length. */
  text1(): string {
    const size = this.u8()
    const start = this.#take(size)
    return (
      knownText(this.#bytes, start, size) ?? fromUtf8(this.#bytes.subarray(start, start + size))
    )
  }

  /** A text with a 4-octet length. @throws WireError that cites `rule` when it is longer than `bytesMax`, too. */
  text4({ bytesMax, rule }: { readonly bytesMax: number; readonly rule: string }): string {
    const size = this.u32()
    if (size > bytesMax) throw new WireError(rule, `a text of ${size} octets, limit ${bytesMax}`)
    return fromUtf8(this.bytes(size))
  }

  /** All that is left. */
  rest(): Uint8Array {
    return this.bytes(this.left)
  }

  /** @throws WireError unless everything was read: an octet too many means that another protocol is talking. */
  end(): void {
    if (this.left > 0) throw new WireError(this.#rule, `${this.left} octets too many`)
  }

  #take(count: number): number {
    if (count > this.left) {
      throw new WireError(this.#rule, `${count} octets are announced, ${this.left} are there`)
    }
    const start = this.#offset
    this.#offset = start + count
    return start
  }
}

/** Writes octets into memory that grows. The caller keeps to the limits of the fields: they are asserted upstream. */
export class Writer {
  #bytes = new Uint8Array(START_BYTES)
  #size = 0

  /** The memory that is written to, the writer's own, until it grows, and how much of it was written. */
  get octets(): Uint8Array {
    return this.#bytes
  }

  get size(): number {
    return this.#size
  }

  bytes(bytes: Uint8Array): this {
    const start = this.#grow(bytes.length)
    this.#bytes.set(bytes, start)
    return this
  }

  u8(value: number): this {
    const start = this.#grow(1)
    this.#bytes[start] = value
    return this
  }

  u16(value: number): this {
    const start = this.#grow(2)
    this.#bytes[start] = value >>> 8
    this.#bytes[start + 1] = value
    return this
  }

  u32(value: number): this {
    return this.u16(value >>> 16).u16(value & 0xffff)
  }

  /** A whole number from 0 to 2^53 - 1. */
  u64(value: number): this {
    return this.u32(Math.floor(value / 0x100000000)).u32(value % 0x100000000)
  }

  /** A text with a 1-octet length; at most 255 octets of UTF-8. */
  text1(text: string): this {
    const { length } = text
    if (length > SHORT_TEXT) {
      const bytes = utf8(text)
      return this.u8(bytes.length).bytes(bytes)
    }
    const start = this.#grow(1 + length)
    const octets = this.#bytes
    octets[start] = length
    for (let index = 0; index < length; index++) {
      const unit = text.charCodeAt(index)
      if (unit > 0x7f) {
        this.#size = start
        const bytes = utf8(text)
        return this.u8(bytes.length).bytes(bytes)
      }
      octets[start + 1 + index] = unit
    }
    return this
  }

  /** A text with a 4-octet length. */
  text4(text: string): this {
    const bytes = utf8(text)
    return this.u32(bytes.length).bytes(bytes)
  }

  /** Forgets what was written. */
  clear(): this {
    this.#size = 0
    return this
  }

  /** What was written, as memory that the writer gives up; after clear() it can be used again. */
  finish(): Uint8Array {
    const size = this.#size
    // A view of so little memory costs several times what a copy does: V8 has to move it out of its heap first.
    if (this.#bytes.length === START_BYTES) return this.#bytes.slice(0, size)
    const bytes = this.#bytes.subarray(0, size)
    this.#bytes = new Uint8Array(START_BYTES)
    return bytes
  }

  #grow(count: number): number {
    const start = this.#size
    this.#size = start + count
    if (this.#size > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#size, 2 * this.#bytes.length))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    return start
  }
}
