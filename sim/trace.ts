// The digest of a run: SHA-256 over binary records of all that happened, so that two runs are the same or are not. The one
// file of sim/ that imports from node:*, for its hash. Records are gathered into 64 KiB, since a call to the hash costs a
// microsecond and a record a few nanoseconds: measured, hashing takes less than a twentieth of a run.

import { createHash } from 'node:crypto'

const BUFFER_BYTES = 65_536
/** Words of the longest record without content: its instant, its kind, and three numbers. */
const RECORD_WORDS = 8
/** Texts whose numbers are remembered: beyond, all are forgotten, and told again where they are used. */
const NAMES_MAX = 65_536

/** What has happened so far, as a hash. */
export class Trace {
  readonly #hash = createHash('sha256')
  readonly #words = new Uint32Array(BUFFER_BYTES / 4)
  readonly #bytes = new Uint8Array(this.#words.buffer)
  readonly #names = new Map<string, number>()
  #size = 0
  #atUs = -1
  /** How many records there are. */
  count = 0

  /** Adds a record: an instant in microseconds, a kind, and what it is about. */
  add(atUs: number, kind: number, one: number, other = 0, third = 0): void {
    if (this.#size + RECORD_WORDS > this.#words.length) this.#flush()
    this.count++
    const words = this.#words
    let size = this.#size
    if (atUs !== this.#atUs) {
      // Marked by a kind that no record has, and written once for all records of an instant.
      words[size++] = 0xffff
      words[size++] = atUs
      words[size++] = atUs / 0x1_0000_0000
      this.#atUs = atUs
    }
    words[size++] = kind
    words[size++] = one
    words[size++] = other
    words[size++] = third
    this.#size = size
  }

  /** Adds octets to the record before. */
  addBytes(bytes: Uint8Array): void {
    const { length } = bytes
    if (4 * this.#size + 8 + length > BUFFER_BYTES) this.#flush()
    this.#words[this.#size++] = length
    if (length + 8 > BUFFER_BYTES) {
      this.#flush()
      this.#hash.update(bytes)
      return
    }
    const words = (length + 3) >> 2
    const start = 4 * this.#size
    // What is left of an older record in the last word would be part of this one.
    if (words > 0) this.#words[this.#size + words - 1] = 0
    if (length > 32) this.#bytes.set(bytes, start)
    else {
      for (let index = 0; index < length; index++) {
        this.#bytes[start + index] = bytes[index] as number
      }
    }
    this.#size += words
  }

  /** The number of a text, which is itself part of the digest where it is used first. */
  name(text: string): number {
    const known = this.#names.get(text)
    if (known !== undefined) return known
    if (this.#names.size >= NAMES_MAX) this.#names.clear()
    const number = this.#names.size
    this.#names.set(text, number)
    const units = new Uint8Array(2 * text.length)
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index)
      units[2 * index] = unit >> 8
      units[2 * index + 1] = unit
    }
    this.add(this.#atUs, 0xfffe, number)
    this.addBytes(units)
    return number
  }

  /** 64 hexadecimal digits for all that was added until now. */
  digest(): string {
    this.#flush()
    return this.#hash.copy().digest('hex')
  }

  #flush(): void {
    this.#hash.update(this.#bytes.subarray(0, 4 * this.#size))
    this.#size = 0
  }
}
