// Reads the messages of ZRE out of the octets of a connection, however they are split: once, as they are written; what was
// delivered follows from how many octets were. It knows frames and their sizes, and skips content.
// Spec: zmtp.md 2 and 3; zre.md.

import { decodeZre, type ZreMessage } from '../../protocol/index.ts'

const GREETING_BYTES = 64
const MORE = 1
const LONG = 2
const COMMAND = 4
/** Frames that are read; what is longer is content, or somebody's joke. */
const READ_BYTES_MAX = 70_000
const NOTHING = new Uint8Array(0)

/** One direction of one connection. */
export class Wiretap {
  /** Octets written and delivered so far. */
  writtenBytes = 0
  deliveredBytes = 0
  readonly #told: (message: ZreMessage | undefined) => void
  /** Octets of the greeting that are missing; of the frame that is skipped. */
  #skips = GREETING_BYTES
  /** The octets of a header, or of a frame that is read, that came so far. */
  #kept: Uint8Array = NOTHING
  #isHeader = true
  #needs = 1
  #flags = 0
  /** Whether the next frame is the first of a message. */
  #isFirst = true
  #isFirstFrame = true
  #pending: ZreMessage | undefined

  /** @param told hears each message once it is written whole; undefined where it cannot be read. */
  constructor(told: (message: ZreMessage | undefined) => void) {
    this.#told = told
  }

  /** More octets were written. */
  write(bytes: Uint8Array): void {
    let at = 0
    while (at < bytes.length) {
      if (this.#skips > 0) {
        const skipped = Math.min(this.#skips, bytes.length - at)
        this.#skips -= skipped
        at += skipped
        this.writtenBytes += skipped
        if (this.#skips === 0) this.#endFrame()
        continue
      }
      const missing = this.#needs - this.#kept.length
      const part = bytes.subarray(at, at + missing)
      at += part.length
      this.writtenBytes += part.length
      const whole = this.#kept.length === 0 ? part : joined(this.#kept, part)
      if (whole.length < this.#needs) {
        this.#kept = this.#kept.length === 0 ? part.slice() : whole
        return
      }
      this.#kept = NOTHING
      if (this.#isHeader) this.#readHeader(whole)
      else {
        this.#readFrame(whole)
        this.#endFrame()
      }
    }
  }

  #readHeader(header: Uint8Array): void {
    const flags = header[0] as number
    const sizeBytes = (flags & LONG) === 0 ? 1 : 8
    if (header.length < 1 + sizeBytes) {
      this.#kept = header.slice()
      this.#needs = 1 + sizeBytes
      return
    }
    let size = 0
    for (let index = 1; index <= sizeBytes; index++) size = size * 256 + (header[index] as number)
    this.#flags = flags
    const isRead = (flags & COMMAND) === 0 && this.#isFirst
    if (size === 0) this.#endFrame()
    else if (isRead && size <= READ_BYTES_MAX) {
      this.#isHeader = false
      this.#needs = size
    } else {
      this.#skips = size
    }
  }

  #readFrame(frame: Uint8Array): void {
    try {
      // The header of a message says all but its content.
      this.#pending = decodeZre([frame])
    } catch {
      this.#pending = undefined
    }
  }

  #endFrame(): void {
    this.#isHeader = true
    this.#needs = 1
    if (this.#isFirstFrame) {
      this.#isFirstFrame = false
      return
    }
    if ((this.#flags & COMMAND) !== 0) return
    this.#isFirst = (this.#flags & MORE) === 0
    if (!this.#isFirst) return
    const message = this.#pending
    this.#pending = undefined
    this.#told(message)
  }
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(one.length + other.length)
  bytes.set(one)
  bytes.set(other, one.length)
  return bytes
}
