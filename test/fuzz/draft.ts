/**
 * Octets that a stranger might send: right ones out of grammar and vectors, and ways to make them wrong. A Draft is written
 * over and over; what is taken from it is an array of its own, since machines keep views of what they are given.
 */

import { loadVectors } from '../support/vectors.ts'
import { loadZmtpVectors } from '../support/zmtp.ts'
import type { Random } from './random.ts'

const DRAFT_BYTES = 1 << 18
/** Values at which things change. */
const EDGES = [0, 1, 2, 3, 4, 5, 6, 7, 10, 0x0f, 0x10, 0x7f, 0x80, 0xa1, 0xaa, 0xfe, 0xff]
const SIZES = [0, 0, 1, 2, 5, 16, 17, 60, 254, 255, 256, 257]

export const GROUPS = ['A', 'B', 'CHAT', 'a group with a name that is longer than others', 'ß', '']

/** Whole octets that foreign nodes sent, each up to 400 of them. */
export const SAMPLES: readonly Uint8Array[] = [loadVectors('zre'), loadZmtpVectors()]
  .flatMap(({ vectors, behaviours }) => [...vectors, ...behaviours])
  .map(({ bytes }) => bytes)
  .filter(({ length }) => length > 0 && length <= 400)

export const BEACONS: readonly Uint8Array[] = loadVectors('beacon').vectors.map(
  ({ bytes }) => bytes,
)

export class Draft {
  readonly octets = new Uint8Array(DRAFT_BYTES)
  size = 0

  clear(): this {
    this.size = 0
    return this
  }

  /** What was written, in memory of its own. */
  take(): Uint8Array {
    return this.octets.slice(0, this.size)
  }

  u8(value: number): this {
    this.octets[this.size++] = value
    return this
  }

  u16(value: number): this {
    return this.u8(value >>> 8).u8(value)
  }

  u32(value: number): this {
    return this.u16(value >>> 16).u16(value)
  }

  copy(octets: Uint8Array): this {
    if (octets.length > 64) {
      this.octets.set(octets, this.size)
      this.size += octets.length
    } else {
      for (let index = 0; index < octets.length; index++) this.u8(octets[index] as number)
    }
    return this
  }

  ascii(text: string): this {
    for (let index = 0; index < text.length; index++) this.u8(text.charCodeAt(index))
    return this
  }

  text1(text: string): this {
    const start = this.u8(0).size
    this.utf8(text)
    this.octets[start - 1] = this.size - start
    return this
  }

  text4(text: string): this {
    const start = this.u32(0).size
    this.utf8(text)
    return this.patch32(start - 4, this.size - start)
  }

  utf8(text: string): this {
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index)
      if (unit < 0x80) this.u8(unit)
      else if (unit < 0x800) this.u8(0xc0 | (unit >>> 6)).u8(0x80 | (unit & 0x3f))
      else
        this.u8(0xe0 | (unit >>> 12))
          .u8(0x80 | ((unit >>> 6) & 0x3f))
          .u8(0x80 | (unit & 0x3f))
    }
    return this
  }

  noise(random: Random, count: number): this {
    for (let left = count; left > 0; left -= 4) {
      const drawn = random.u32()
      this.u8(drawn)
      if (left > 1) this.u8(drawn >>> 8)
      if (left > 2) this.u8(drawn >>> 16)
      if (left > 3) this.u8(drawn >>> 24)
    }
    return this
  }

  /** A run that costs next to nothing: large bodies are about their size. */
  run(count: number, value: number): this {
    this.octets.fill(value, this.size, this.size + count)
    this.size += count
    return this
  }

  patch32(at: number, value: number): this {
    const { octets } = this
    octets[at] = value >>> 24
    octets[at + 1] = value >>> 16
    octets[at + 2] = value >>> 8
    octets[at + 3] = value
    return this
  }

  /** Opens a ZMTP frame whose body is what is written until close(). */
  open(flags: number, long: boolean): number {
    this.u8(long ? flags | 2 : flags)
    if (long) this.u32(0).u32(0)
    else this.u8(0)
    return this.size
  }

  /** Closes the frame that open() gave; a body that is too long for the short form gets the long one. */
  close(start: number, long: boolean): this {
    const { octets } = this
    const size = this.size - start
    if (!long && size <= 255) {
      octets[start - 1] = size
      return this
    }
    if (long) return this.patch32(start - 4, size)
    octets.copyWithin(start + 7, start, this.size)
    octets[start - 2] = (octets[start - 2] as number) | 2
    this.size += 7
    return this.patch32(start - 1, 0).patch32(start + 3, size)
  }

  /** Cuts, flips, doubles, forgets: what a broken or a hostile node would send. */
  mutate(random: Random, from = 0): this {
    for (let count = 1 + random.below(4); count > 0; count--) this.#mutateOnce(random, from)
    return this
  }

  #mutateOnce(random: Random, from: number): void {
    const { octets, size } = this
    const left = size - from
    if (left === 0) {
      this.noise(random, 1 + random.below(8))
      return
    }
    const at = from + random.below(left)
    const count = Math.min(1 + random.below(random.once(4) ? left : 4), size - at)
    switch (random.below(9)) {
      case 0:
      case 1:
        octets[at] = (octets[at] as number) ^ (1 << random.below(8))
        break
      case 2:
      case 3:
        octets[at] = random.pick(EDGES)
        break
      case 4:
        octets[at] = random.u32()
        break
      case 5: // Forgotten.
        octets.copyWithin(at, at + count, size)
        this.size -= count
        break
      case 6: // Said twice.
        if (size + count > 4_096) break
        octets.copyWithin(at + count, at, size)
        this.size += count
        break
      case 7:
        this.size = at
        break
      case 8: // Broken off, and something else follows.
        this.size = at
        if (at < 4_096) this.copy(random.pick(SAMPLES))
        break
    }
  }
}

/** A size that is at an edge more often than not, and rarely a large one. */
export function sizeOf(random: Random): number {
  const drawn = random.u32()
  if ((drawn & 0x3ff) === 0) return 1 + random.below(80_000)
  if ((drawn & 0xf) === 0) return random.pick(SIZES)
  return random.below((drawn & 0x10) === 0 ? 8 : 40)
}

/** Text of any octets, or of characters alone. */
function text(draft: Draft, random: Random, bytesMax: number): void {
  const drawn = random.u32()
  if ((drawn & 7) === 0) draft.noise(random, drawn % (bytesMax + 1))
  else if ((drawn & 8) === 0) draft.ascii('0123456789abcdef'.slice(0, (drawn >>> 8) & 0xf))
  else draft.utf8(random.pick(GROUPS))
}

function text1(draft: Draft, random: Random, bytesMax = 20): void {
  const start = draft.u8(0).size
  text(draft, random, bytesMax)
  draft.octets[start - 1] = draft.size - start
}

function text4(draft: Draft, random: Random, bytesMax = 20): void {
  const start = draft.u32(0).size
  text(draft, random, bytesMax)
  draft.patch32(start - 4, draft.size - start)
}

/** What a HELLO names as its inbox. */
const ENDPOINTS = [
  'tcp://127.0.0.1:49152',
  'tcp://0.0.0.0:1',
  'tcp://[::]:65535',
  'tcp://host:70000',
  'ipc://x',
  'tcp://1.2.3.4',
  '',
]

/** The header frame of a message: the fields of its id, with any values. */
export function writeHeader(
  draft: Draft,
  random: Random,
  { id, sequence }: { readonly id: number; readonly sequence: number },
): void {
  draft.u16(0xaaa1).u8(id).u8(2).u16(sequence)
  switch (id) {
    case 1:
      writeHello(draft, random)
      break
    case 3:
      text1(draft, random, 255)
      break
    case 4:
    case 5:
      text1(draft, random, 255)
      draft.u8(random.u32())
      break
    case 8:
    case 9:
      text1(draft, random)
      text1(draft, random)
      break
    default:
      break
  }
}

function writeHello(draft: Draft, random: Random): void {
  const large = random.once(256)
  draft.text1(random.pick(ENDPOINTS))
  const groupCount = random.below(large ? 1_100 : 4)
  draft.u32(groupCount)
  for (let count = groupCount; count > 0; count--) text4(draft, random, large ? 30 : 260)
  draft.u8(random.u32())
  text1(draft, random)
  const headerCount = random.below(large ? 70 : 4)
  draft.u32(headerCount)
  for (let count = headerCount; count > 0; count--) {
    text1(draft, random)
    text4(draft, random, random.once(64) ? 4_200 : 20)
  }
}

/** The frames behind a header: as many as `count`, on the stream. */
export function writeContent(draft: Draft, random: Random, count: number): void {
  for (let left = count; left > 0; left--) {
    const size = sizeOf(random)
    const long = size > 255 || random.once(32)
    const start = draft.open(left > 1 ? 1 : 0, long)
    if (size > 300) draft.run(size, size)
    else draft.noise(random, size)
    draft.close(start, long)
  }
}

/** A command of ZMTP that a peer may send at any time after its READY. */
export function writeCommand(draft: Draft, random: Random): void {
  const drawn = random.below(16)
  const long = random.once(8)
  const start = draft.open(4, long)
  if (drawn < 7) {
    draft.u8(4).ascii('PING')
    draft.u16(random.once(4) ? random.below(300) : 0).noise(random, random.below(20))
  } else if (drawn < 11) draft.u8(4).ascii('PONG').noise(random, random.below(20))
  else if (drawn < 14) {
    draft.text1(random.pick(['FOO', 'SUBSCRIBE', 'CANCEL'])).noise(random, random.below(9))
  } else if (drawn < 15) draft.u8(random.below(9)).noise(random, random.below(9))
  else draft.noise(random, random.below(3))
  draft.close(start, long)
}

/** A greeting of ZMTP 3.1, or 3.0. */
export function writeGreeting(draft: Draft, minor = 1): void {
  draft.u8(0xff).run(8, 0).u8(0x7f).u8(3).u8(minor).ascii('NULL').run(48, 0)
}

/** `sequence`: of the last message over a link that was lost, with which a mailbox of Lyre means to go on. */
export function writeReady(
  draft: Draft,
  {
    socketType,
    identity,
    sequence,
  }: {
    readonly socketType: string
    readonly identity: Uint8Array
    readonly sequence?: number | undefined
  },
): void {
  const start = draft.open(4, false)
  draft.u8(5).ascii('READY').text1('Socket-Type').text4(socketType)
  draft.text1('Identity').u32(identity.length).copy(identity)
  if (sequence !== undefined) draft.text1('X-ZRE-Sequence').u32(2).u16(sequence)
  draft.close(start, false)
}
