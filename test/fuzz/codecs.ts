/** Targets without a life of their own: datagrams, messages, and frames out of pieces. */

import { decodeBeacon, encodeBeacon, SECURE_BEACON_BYTES } from '../../protocol/beacon.ts'
import { isUuid } from '../../protocol/bytes.ts'
import {
  COMMAND,
  COMMAND_BYTES_MAX,
  FrameReader,
  FrameWriter,
  LONG,
  MORE,
} from '../../protocol/frames.ts'
import {
  decodeZre,
  encodeZre,
  type Frames,
  fits,
  HEADER_VALUE_BYTES_MAX,
  HELLO_GROUPS_MAX,
  HELLO_HEADERS_MAX,
  TEXT_BYTES_MAX,
  type ZreMessage,
} from '../../protocol/zre.ts'
import {
  BEACONS,
  Draft,
  SAMPLES,
  sizeOf,
  writeCommand,
  writeContent,
  writeHeader,
} from './draft.ts'
import type { Random } from './random.ts'
import { Digest, expect, hex, ruleOf, same, type Tally, type Target, type Trial } from './trial.ts'

const draft = new Draft()

// Beacons.

export const beaconTarget: Target = {
  name: 'beacon',
  share: 5,
  stepsMax: 256,
  begin: (_random, tally) => new BeaconTrial(tally),
  replay: checkBeacon,
}

class BeaconTrial implements Trial {
  readonly over = false
  readonly #tally: Tally

  constructor(tally: Tally) {
    this.#tally = tally
  }

  step(random: Random): void {
    const kind = random.below(8)
    if (kind < 3) draft.clear().u32(0x5a524501).noise(random, 18)
    else if (kind < 7) draft.clear().copy(random.pick(BEACONS))
    else draft.clear().noise(random, random.below(70))
    if (kind > 4) draft.mutate(random)
    const datagram = draft.octets.subarray(0, draft.size)
    this.#tally.inputs++
    this.#tally.note?.(`datagram ${hex(datagram)}`)
    checkBeacon(datagram)
  }

  end(): void {}
}

/** Sizes, signature and version are judged here once more; what is read has to be what is written. */
function checkBeacon(datagram: Uint8Array): void {
  const signed = datagram[0] === 0x5a && datagram[1] === 0x52 && datagram[2] === 0x45
  const plain = signed && datagram[3] === 1 && datagram.length === 22
  const secure = signed && datagram[3] === 3 && datagram.length === SECURE_BEACON_BYTES
  let read = false
  ruleOf(() => {
    const beacon = decodeBeacon(datagram)
    read = true
    expect(beacon.version === (secure ? 3 : 1) && isUuid(beacon.uuid), 'a version and a uuid')
    const octets = encodeBeacon(beacon)
    expect(same(octets.subarray(4), datagram.subarray(4, 22)), 'encode(decode(x)) is x')
    if (beacon.version === 3) expect(same(beacon.publicKey, datagram.subarray(22)), 'the key')
  })
  expect(read === (plain || secure), 'beacons are read, and nothing else')
}

// Messages.

export const zreTarget: Target = {
  name: 'zre',
  share: 15,
  stepsMax: 128,
  begin: (_random, tally) => new ZreTrial(tally),
  replay: (octets) => {
    // ZMTP frames, as in the vectors, or one bare header.
    checkZre(framesOf(octets) ?? [octets])
    checkZre([octets])
  },
}

const NO_CONTENT: Frames = []
const CONTENT: Frames = [new Uint8Array(0), Uint8Array.of(1, 2, 3)]
/** Header frames of foreign nodes. */
const HEADERS: readonly Uint8Array[] = SAMPLES.flatMap((octets) => framesOf(octets) ?? []).filter(
  (frame) => frame[0] === 0xaa && frame[1] === 0xa1,
)

class ZreTrial implements Trial {
  readonly over = false
  readonly #tally: Tally

  constructor(tally: Tally) {
    this.#tally = tally
  }

  step(random: Random): void {
    const kind = random.below(16)
    draft.clear()
    if (kind < 2) draft.copy(random.pick(HEADERS))
    else if (kind < 15) {
      const id = random.once(8) ? 1 : random.below(12)
      writeHeader(draft, random, { id, sequence: random.u32() & 0xffff })
    } else draft.noise(random, random.below(40))
    if (kind < 8) draft.mutate(random, random.once(4) ? 0 : 6)
    const header = draft.octets.subarray(0, draft.size)
    const content = kind % 3 === 0 || header[2] === 2 ? CONTENT : NO_CONTENT
    this.#tally.inputs++
    this.#tally.note?.(`header ${hex(header)}, ${content.length} frames of content`)
    checkZre([header, ...content])
  }

  end(): void {}
}

/** A message that can be read is written as it came, unless its text was no UTF-8 or a header came twice. */
function checkZre(frames: Frames): void {
  let message: ZreMessage | undefined
  ruleOf(() => {
    message = decodeZre(frames)
  })
  if (message === undefined) return
  expect(message.sequence >= 0 && message.sequence <= 0xffff, 'a sequence')
  if (message.type === 'unknown') {
    expect(message.id === 0 || message.id > 10, 'what is unknown is not known')
    return
  }
  const texts = textsOf(message)
  const restored = texts.some((text) => text.includes('\ufffd'))
  // Text that was no UTF-8 is longer when it is written, perhaps too long.
  if (restored && !texts.every((text) => fits(text, TEXT_BYTES_MAX))) return
  const written = encodeZre(message, message.sequence)
  const again = decodeZre(written)
  expect(equal(again, message), 'decode(encode(x)) is x')
  if (restored) return
  const [header, ...content] = written
  const came = frames[0] as Uint8Array
  const doubled = message.type === 'hello' && (header?.length ?? 0) < came.length
  const reordered = message.type === 'hello' && Object.keys(message.headers).some(isIndex)
  if (!doubled && !reordered) expect(same(header as Uint8Array, came), 'encode(decode(x)) is x')
  expect(content.length === frames.length - 1, 'frames of content')
  expect(
    content.every((frame, index) => frame === frames[index + 1]),
    'content is handed on',
  )
}

/** Keys that are numbers come first in an object, whatever their order on the wire, which has no meaning. */
function isIndex(key: string): boolean {
  return /^\d{1,10}$/.test(key)
}

function textsOf(message: ZreMessage): readonly string[] {
  switch (message.type) {
    case 'hello': {
      const { groups, headers, endpoint, name } = message
      expect(groups.length <= HELLO_GROUPS_MAX, 'groups of a HELLO')
      const keys = Object.keys(headers)
      expect(keys.length <= HELLO_HEADERS_MAX, 'headers of a HELLO')
      const values = Object.values(headers)
      for (const value of values) expect(value.length <= HEADER_VALUE_BYTES_MAX, 'a value')
      return [endpoint, name, ...groups, ...keys, ...values]
    }
    case 'join':
    case 'leave':
    case 'shout':
      return [message.group]
    case 'elect':
      return [message.group, message.challenger]
    case 'leader':
      return [message.group, message.leader]
    default:
      return []
  }
}

function equal(left: unknown, right: unknown): boolean {
  if (left === right) return true
  if (typeof left !== 'object' || typeof right !== 'object' || !left || !right) return false
  if (left instanceof Uint8Array) return right instanceof Uint8Array && same(left, right)
  const keys = Object.keys(left)
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => equal(left[key as keyof typeof left], right[key as keyof typeof right]))
  )
}

// Frames.

export const framesTarget: Target = {
  name: 'frames',
  share: 12,
  stepsMax: 48,
  begin: (random, tally) => new FramesTrial(random, tally),
  replay: (octets) => {
    for (const bytesMax of [100, 70_000]) {
      const [whole, each] = [new Reading(bytesMax), new Reading(bytesMax)]
      whole.add(octets)
      const filled = new Reading(bytesMax)
      for (const octet of octets) each.add(Uint8Array.of(octet))
      for (let rest = octets; rest.length > 0; ) rest = rest.subarray(filled.fill(rest))
      expect(whole.digest.equals(each.digest), 'the same frames however they are cut')
      expect(whole.digest.equals(filled.digest), 'the same frames however they are read')
    }
  },
}

const NOTHING = new Uint8Array(0)
/** Once in so many cases all allocations are watched, which takes time. */
const WATCHED_EACH = 32

class FramesTrial implements Trial {
  readonly #tally: Tally
  readonly #whole: Reading
  readonly #cut: Reading
  readonly #watched: boolean
  /** What the second reader has still to get. */
  #held: Uint8Array = NOTHING

  constructor(random: Random, tally: Tally) {
    this.#tally = tally
    const bytesMax = random.pick([0, 100, 600, 70_000, 300_000])
    this.#whole = new Reading(bytesMax)
    this.#cut = new Reading(bytesMax)
    this.#watched = random.once(WATCHED_EACH)
  }

  get over(): boolean {
    return this.#whole.over
  }

  step(random: Random): void {
    draft.clear()
    const kind = random.below(64)
    if (kind < 40) writeContent(draft, random, 1 + random.below(3))
    else if (kind < 50) writeCommand(draft, random)
    else if (kind < 58) draft.copy(random.pick(SAMPLES))
    else if (kind < 60) {
      const size = sizeOf(random)
      draft
        .u8(random.u32())
        .u8(size)
        .noise(random, size & 0xff)
    } else if (kind < 61) draft.u8(random.u32() | 2).noise(random, 10)
    else if (kind < 63) {
      writeContent(draft, random, 2)
      if (draft.size < 2_000) draft.mutate(random)
    } else this.#writeBack(random)
    const octets = draft.take()
    this.#tally.inputs++
    this.#tally.note?.(`octets ${hex(octets)}`)
    this.#feed(random, octets)
  }

  end(random: Random): void {
    this.#feed(random, NOTHING, true)
    expect(this.#whole.digest.equals(this.#cut.digest), 'the same frames however they are cut')
  }

  /** What our own writer writes is read like anything else. */
  #writeBack(random: Random): void {
    const writer = new FrameWriter()
    for (let count = 1 + random.below(3); count > 0; count--) {
      writer.frame(random.below(2), new Uint8Array(sizeOf(random) % 9_000))
    }
    for (let part = writer.poll(); part; part = writer.poll()) draft.copy(part)
    expect(writer.size === 0, 'nothing waits once it is written')
  }

  #feed(random: Random, octets: Uint8Array, last = false): void {
    const feed = () => {
      this.#whole.add(octets)
      let rest = this.#held.length === 0 ? octets : joined(this.#held, octets)
      while (rest.length > 0 && (last || !random.once(4))) {
        const piece = rest.subarray(0, pieceOf(random, rest))
        if (random.once(2)) {
          this.#cut.add(piece)
          rest = rest.subarray(piece.length)
        } else {
          // It may be read in between, and not each time that something came.
          const rests = random.once(8)
          rest = rest.subarray(this.#cut.fill(piece, { early: random.once(8), rests }))
        }
      }
      if (last) this.#cut.read()
      this.#held = rest
    }
    if (!this.#watched) feed()
    else watchAllocations(feed, Math.max(65_536, 2 * (this.#whole.fed + octets.length)))
  }
}

/** One reader, and a digest of what it read. */
class Reading {
  readonly #reader = new FrameReader()
  readonly #bytesMax: number
  readonly digest = new Digest()
  over = false
  fed = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  add(octets: Uint8Array): void {
    this.fed += octets.length
    if (this.over) return
    this.#reader.add(octets)
    this.read()
  }

  /** What comes is read to where the reader wants it, where it does. @returns how much of it was. */
  fill(octets: Uint8Array, { early = false, rests = false } = {}): number {
    const room = this.over ? undefined : this.#reader.room()
    if (room === undefined) {
      this.add(octets)
      return octets.length
    }
    if (early) this.read()
    if (this.over) return octets.length
    const count = Math.min(octets.length, room.length)
    expect(count > 0, 'there is room')
    room.set(octets.subarray(0, count))
    this.fed += count
    this.#reader.filled(count)
    if (!rests) this.read()
    return count
  }

  read(): void {
    if (this.over) return
    const reader = this.#reader
    const rule = ruleOf(() => {
      for (;;) {
        if (reader.pair(this.#bytesMax)) {
          this.#found(MORE, reader.octets.subarray(reader.start, reader.end))
          this.#found(0, reader.second())
        } else if (reader.next(this.#bytesMax)) this.#found(reader.flags, reader.body())
        else break
      }
    })
    // Room for a frame that is not whole grows with what came of it, and begins with so much (zmtp.md 3.8).
    const sizeMax = Math.max(65_536, 2 * this.fed) + this.fed
    if (reader.size > sizeMax) throw new Error('more waits than came')
    if (rule === undefined) return
    this.digest.word(rule)
    this.over = true
  }

  #found(flags: number, body: Uint8Array): void {
    const bytesMax = (flags & COMMAND) !== 0 ? COMMAND_BYTES_MAX : this.#bytesMax
    if (body.length > bytesMax) throw new Error(`a frame of ${body.length} octets`)
    // Whether a size is told in one octet or in eight is no part of a message.
    this.digest.number(flags & ~LONG)
    this.digest.octets(body)
  }
}

/** Nobody allocates more than twice what came, or 65,536 octets (zmtp.md 3.3 and 3.8). */
function watchAllocations(act: () => void, bytesMax: number): void {
  const Plain = globalThis.Uint8Array
  let largest = 0
  globalThis.Uint8Array = new Proxy(Plain, {
    construct(target, given) {
      if (typeof given[0] === 'number') largest = Math.max(largest, given[0])
      return Reflect.construct(target, given)
    },
  })
  try {
    act()
  } finally {
    globalThis.Uint8Array = Plain
  }
  expect(largest <= bytesMax, `${largest} octets were allocated, limit ${bytesMax}`)
}

/** How many octets come in the next piece: few, but not of what is large. */
export function pieceOf(random: Random, { length }: Uint8Array): number {
  return Math.min(length, 1 + sizeOf(random) + random.below(1 + (length >>> 3)))
}

export function joined(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const octets = new Uint8Array(head.length + tail.length)
  octets.set(head)
  octets.set(tail, head.length)
  return octets
}

/** The bodies of the frames that these octets are, or undefined where they are something else. */
function framesOf(octets: Uint8Array): Uint8Array[] | undefined {
  const reader = new FrameReader()
  const frames: Uint8Array[] = []
  reader.add(octets)
  const rule = ruleOf(() => {
    while (reader.next(1 << 20)) frames.push(reader.body())
  })
  return rule === undefined && reader.size === 0 ? frames : undefined
}
