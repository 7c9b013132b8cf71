// The ten commands of ZRE version 2: what one node says to another over its mailbox. A message is a header frame, and for
// WHISPER and SHOUT the frames of its content behind it. Nothing here knows who talks: harmony.ts does.
// Spec: zre.md, after 36/ZRE "Protocol Grammar" and what C Zyre sends.

import { bytesToUuid, Reader, type Uuid, utf8, uuidToBytes, Writer } from './bytes.ts'
import { WireError } from './errors.ts'

/** Octets of UTF-8 that a name, a group, a header's key or an endpoint can have: its length is one octet. */
export const TEXT_BYTES_MAX = 255
/** What a HELLO may hold in its fields: more is a WireError, since a stranger may send it (zre.md 2.6). */
export const HELLO_BYTES_MAX = 65_536
/** Groups that a HELLO may name (zre.md 2.6). */
export const HELLO_GROUPS_MAX = 1_024
/** Headers that a HELLO may hold (zre.md 2.6). */
export const HELLO_HEADERS_MAX = 64
/** The header with what a node is called over all its starts (harmony.md 9.1). */
export const ID_HEADER = 'X-LYRE-ID'
/** The header with the count of its starts (harmony.md 9.1). */
export const INCARNATION_HEADER = 'X-LYRE-INCARNATION'
/** Octets of UTF-8 that the value of a header may have (zre.md 2.6). */
export const HEADER_VALUE_BYTES_MAX = 4_096

/** Text keys and values that a node tells about itself in its HELLO. It has no prototype: any key is just a key. */
export type Headers = Readonly<Record<string, string>>

/** What a HELLO tells of its node. `status` is 0 to 255, the count of its joins and leaves. */
export interface Hello {
  readonly endpoint: string
  readonly groups: readonly string[]
  readonly status: number
  readonly name: string
  readonly headers: Headers
}

/** The frames of a content: any number of them, none included, each of any size. */
export type Frames = readonly Uint8Array[]

/** What is said. The sequence, 0 to 65535, is not part of it: every mailbox counts for itself. */
export type ZreCommand =
  | ({ readonly type: 'hello' } & Hello)
  | { readonly type: 'whisper'; readonly content: Frames }
  | { readonly type: 'shout'; readonly group: string; readonly content: Frames }
  | { readonly type: 'join' | 'leave'; readonly group: string; readonly status: number }
  | { readonly type: 'ping' | 'ping-ok' | 'goodbye' }
  | { readonly type: 'elect'; readonly group: string; readonly challenger: string }
  | { readonly type: 'leader'; readonly group: string; readonly leader: string }

/** What came: a command, or one that this version does not know, whose sequence still counts (zre.md 2.8). */
export type ZreMessage = (ZreCommand | { readonly type: 'unknown'; readonly id: number }) & {
  readonly sequence: number
}

const SIGNATURE = 0xaaa1
const VERSION = 2
const IDS = {
  hello: 1,
  whisper: 2,
  shout: 3,
  join: 4,
  leave: 5,
  ping: 6,
  'ping-ok': 7,
  elect: 8,
  leader: 9,
  goodbye: 10,
} as const
/** Octets of the header of a WHISPER: it has no fields of its own. */
const WHISPER_BYTES = 6
const NO_CONTENT: Frames = []
/** One for all, as each object without a prototype takes more than a hundred octets. */
export const NO_HEADERS: Headers = Object.freeze(Object.create(null))
/** One for all: a small message takes no memory but its own octets. */
const writer = new Writer()
const GROUP_LIMIT = { bytesMax: TEXT_BYTES_MAX, rule: 'zre.md 2.6' }
const VALUE_LIMIT = { bytesMax: HEADER_VALUE_BYTES_MAX, rule: 'zre.md 2.6' }

/** The property of READY by which a mailbox of Lyre says that it goes on after a link was lost (zre.md 2.10). */
export const SEQUENCE_PROPERTY = 'X-ZRE-Sequence'

/** The identity of a mailbox, and in Lyre of an inbox too: octet 1, then the uuid (zre.md 2.1). */
export function encodeIdentity(uuid: Uuid): Uint8Array {
  return new Writer().u8(1).bytes(uuidToBytes(uuid)).finish()
}

/** The uuid in an identity, or undefined where it is not that of a ZRE node. */
export function decodeIdentity(identity: Uint8Array): Uuid | undefined {
  return identity.length === 17 && identity[0] === 1 ? bytesToUuid(identity.subarray(1)) : undefined
}

/** The value of SEQUENCE_PROPERTY: two octets. */
export function encodeSequence(sequence: number): Uint8Array {
  const value = new Uint8Array(2)
  value[0] = sequence >>> 8
  value[1] = sequence
  return value
}

/** The sequence that a mailbox goes on after, or undefined where it does not say. */
export function decodeSequence(value: Uint8Array | undefined): number | undefined {
  if (value?.length !== 2) return undefined
  return (value[0] as number) * 0x100 + (value[1] as number)
}

/**
 * The frames of one message; the content's frames are those given, not copies.
 * Fields keep to the limits above: who builds a command has checked them.
 */
export function encodeZre(command: ZreCommand, sequence: number): Frames {
  return [writeHeader(command, sequence).finish(), ...contentOf(command)]
}

/**
 * The header frame of a message, in memory that the next call writes anew; its content follows as it is. Most of them are 6
 * octets: to make memory for them took as long as all else that is done for a small message.
 */
export function writeHeader(command: ZreCommand, sequence: number): Writer {
  writer.clear().u16(SIGNATURE).u8(IDS[command.type]).u8(VERSION).u16(sequence)
  switch (command.type) {
    case 'whisper':
    case 'ping':
    case 'ping-ok':
    case 'goodbye':
      break
    case 'shout':
      writer.text1(command.group)
      break
    case 'hello':
      encodeHello(command)
      break
    case 'join':
    case 'leave':
      writer.text1(command.group).u8(command.status)
      break
    case 'elect':
      writer.text1(command.group).text1(command.challenger)
      break
    case 'leader':
      writer.text1(command.group).text1(command.leader)
      break
  }
  return writer
}

/** The frames that go behind the header. */
export function contentOf(command: ZreCommand): Frames {
  return command.type === 'whisper' || command.type === 'shout' ? command.content : NO_CONTENT
}

/**
 * Reads one whole message. Content frames are handed on as they are.
 * @throws WireError on anything but a message of version 2 with exactly its fields and frames (zre.md 2.2, 2.3, 2.4, 2.6).
 */
export function decodeZre(frames: Frames): ZreMessage {
  const octets = frames[0]
  if (octets === undefined) throw new WireError('zre.md 2.2', 'a message without frames')
  return decodeMessage({ octets, start: 0, end: octets.length, rest: frames.slice(1) })
}

/** The same, of a message whose header is where it came: in these octets, from `start` to before `end`. */
export function decodeMessage(message: {
  readonly octets: Uint8Array
  readonly start: number
  readonly end: number
  readonly rest: Frames
}): ZreMessage {
  const { octets, start, end, rest: content } = message
  if (end - start === WHISPER_BYTES && isWhisper(octets, start)) {
    const sequence = (octets[start + 4] as number) * 0x100 + (octets[start + 5] as number)
    return { type: 'whisper', sequence, content: ownOf(content) }
  }
  const reader = new Reader(octets, 'zre.md 2.3', message)
  if (reader.u16() !== SIGNATURE) throw new WireError('zre.md 2.2', 'not a ZRE message')
  const id = reader.u8()
  const version = reader.u8()
  if (version !== VERSION) throw new WireError('zre.md 2.2', `ZRE version ${version}`)
  const sequence = reader.u16()
  if (id === IDS.shout) {
    const group = reader.text1()
    reader.end()
    return { type: 'shout', sequence, group, content: ownOf(content) }
  }
  if (id < IDS.hello || id > IDS.goodbye) return { type: 'unknown', id, sequence }
  if (id !== IDS.whisper && content.length > 0) {
    throw new WireError('zre.md 2.4', `${content.length} frames behind a command that has none`)
  }
  const decoded = decodeFields(id, { reader, sequence })
  reader.end()
  return decoded
}

/** A list that its receiver may change: where there are no frames, it was one for all. */
function ownOf(content: Frames): Frames {
  return content.length === 0 ? [] : content
}

/** The first four octets of a WHISPER, which most messages are. */
function isWhisper(octets: Uint8Array, start: number): boolean {
  return (
    octets[start] === SIGNATURE >>> 8 &&
    octets[start + 1] === (SIGNATURE & 0xff) &&
    octets[start + 2] === IDS.whisper &&
    octets[start + 3] === VERSION
  )
}

/** Whether `text` can be sent in a field of at most `bytesMax` octets: half a surrogate pair has no octets of UTF-8. */
export function fits(text: string, bytesMax: number): boolean {
  // A character is at most three octets for each of its UTF-16 units, so short texts need no encoding.
  return (
    (text.length * 3 <= bytesMax || utf8(text).length <= bytesMax) && !/\p{Surrogate}/u.test(text)
  )
}

function decodeFields(
  id: number,
  { reader, sequence }: { reader: Reader; sequence: number },
): ZreMessage {
  switch (id) {
    case IDS.hello:
      return { type: 'hello', sequence, ...decodeHello(reader) }
    case IDS.join:
    case IDS.leave: {
      const type = id === IDS.join ? 'join' : 'leave'
      return { type, sequence, group: reader.text1(), status: reader.u8() }
    }
    case IDS.elect:
      return { type: 'elect', sequence, group: reader.text1(), challenger: reader.text1() }
    case IDS.leader:
      return { type: 'leader', sequence, group: reader.text1(), leader: reader.text1() }
    case IDS.whisper: // It has octets too many: those that have not were read before.
      return { type: 'whisper', sequence, content: NO_CONTENT }
    case IDS.ping:
      return { type: 'ping', sequence }
    case IDS['ping-ok']:
      return { type: 'ping-ok', sequence }
    default:
      return { type: 'goodbye', sequence }
  }
}

function encodeHello(hello: Hello): void {
  writer.text1(hello.endpoint).u32(hello.groups.length)
  for (const group of hello.groups) writer.text4(group)
  const keys = Object.keys(hello.headers)
  writer.u8(hello.status).text1(hello.name).u32(keys.length)
  for (const key of keys) writer.text1(key).text4(hello.headers[key] as string)
}

function decodeHello(reader: Reader): Hello {
  limit(reader.left, { max: HELLO_BYTES_MAX, what: 'octets' })
  const endpoint = reader.text1()
  const groups: string[] = []
  const groupCount = limit(reader.u32(), { max: HELLO_GROUPS_MAX, what: 'groups' })
  for (let index = 0; index < groupCount; index++) {
    groups.push(reader.text4(GROUP_LIMIT))
  }
  const status = reader.u8()
  const name = reader.text1()
  const headerCount = limit(reader.u32(), { max: HELLO_HEADERS_MAX, what: 'headers' })
  if (headerCount === 0) return { endpoint, groups, status, name, headers: NO_HEADERS }
  const headers: Record<string, string> = Object.create(null)
  for (let index = 0; index < headerCount; index++) {
    const key = reader.text1()
    const value = reader.text4(VALUE_LIMIT)
    headers[key] ??= value // The first of two equal keys wins, as in C Zyre (zre.md 2.9).
  }
  return { endpoint, groups, status, name, headers: Object.freeze(headers) }
}

function limit(count: number, { max, what }: { max: number; what: string }): number {
  if (count > max) throw new WireError('zre.md 2.6', `a HELLO with ${count} ${what}, limit ${max}`)
  return count
}
