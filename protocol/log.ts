// Records of a log: what a node saw, or what its application says, as any collector on the network may have it. Version 1 is
// that of the book, small and coarse; version 2 tells who and when exactly, and counts, so that it shows what was lost.
// Spec: log.md, after zguide chapter 8 and 20/ZRELOG.

import { isAddress, withoutZone } from './addresses.ts'
import { bytesToUuid, cut, Reader, type Uuid, utf8, uuidToBytes, Writer } from './bytes.ts'
import { formatEndpoint, parseEndpoint } from './endpoints.ts'
import { WireError } from './errors.ts'
import { TEXT_BYTES_MAX } from './zre.ts'

/** How much a record matters; a collector that wants one level wants those above it, too. */
export const LOG_LEVELS = { error: 1, warning: 2, info: 3, debug: 4 } as const
/** The name of a level. */
export type LogLevel = keyof typeof LOG_LEVELS

/** What happened, as numbers on the wire: those of the book, those of 20/ZRELOG, and from 16 on ours. */
export const LOG_EVENTS = {
  join: 1,
  leave: 2,
  enter: 3,
  exit: 4,
  send: 5,
  recv: 6,
  text: 16,
  start: 17,
  stop: 18,
  evasive: 19,
  silent: 20,
  dropped: 21,
  refused: 22,
  epoch: 23,
  leader: 24,
  trace: 25,
  warning: 26,
  status: 27,
  late: 28,
} as const
/** The name of an event. */
export type LogEventName = keyof typeof LOG_EVENTS

/** What an application adds to a text: anything that JSON has. */
export type LogFields = Readonly<Record<string, unknown>>

/** A record of version 1. Who is who is told by hashes alone: hashOf() of their endpoints. */
export interface LogRecordV1 {
  readonly version: 1
  /** 1 to 255; those of LOG_LEVELS have names. */
  readonly level: number
  /** 1 to 255; those of LOG_EVENTS have names. */
  readonly event: number
  /** 16 bits each; a peer of 0 is none. */
  readonly node: number
  readonly peer: number
  /** As it is on the wire, mostly in seconds: timeMsOf() knows. */
  readonly time: number
  /** 255 octets of UTF-8 at most. */
  readonly text: string
}

/** A record of version 2. */
export interface LogRecordV2 {
  readonly version: 2
  readonly level: number
  readonly event: number
  /** When the node began to count, in milliseconds since 1970: another one is another life. */
  readonly epoch: number
  /** From 1 on, for each level by itself. */
  readonly sequence: number
  /** By the clock of the node, in milliseconds since 1970. */
  readonly timeMs: number
  readonly node: Uuid
  readonly peer: Uuid | undefined
  /** Empty: none. */
  readonly group: string
  /** 16,384 octets of UTF-8 at most. */
  readonly text: string
  readonly fields: LogFields | undefined
}

/** A record of either version. */
export type LogRecord = LogRecordV1 | LogRecordV2

/** What a PUB says in its READY about whose records it has, and what its clock says then. */
export interface LogSource {
  readonly node: Uuid
  readonly name: string
  readonly timeMs: number
}

/** The header by which a collector says where it is, and the property by which a PUB says who it is (log.md 5.2, 5.7). */
export const LOG_HEADER = 'X-ZRELOG'
/** Octets of UTF-8 that a text may have in version 2 (log.md 4.3). */
export const LOG_TEXT_BYTES_MAX = 16_384
/** Octets of JSON that fields may have, values in them, and objects and lists within each other (log.md 4.3). */
export const LOG_FIELDS_BYTES_MAX = 16_384
const FIELDS_VALUES_MAX = 256
const FIELDS_DEPTH_MAX = 8
/** Octets of the longest record. */
export const LOG_RECORD_BYTES_MAX =
  5 + 3 * 8 + 2 * 16 + 1 + TEXT_BYTES_MAX + 4 + LOG_TEXT_BYTES_MAX + 4 + LOG_FIELDS_BYTES_MAX

const SIGNATURE = 0xaaa2
/** A time from here on is in milliseconds (log.md 3.2). */
const MILLISECONDS_MIN = 100_000_000_000
/** In milliseconds, the end of the year 9999. */
const TIME_MAX = 253_402_300_799_999
const NOBODY = new Uint8Array(16)
const TEXT_LIMIT = { bytesMax: LOG_TEXT_BYTES_MAX, rule: 'log.md 4.3' }
const FIELDS_LIMIT = { bytesMax: LOG_FIELDS_BYTES_MAX, rule: 'log.md 4.3' }
const ELLIPSIS = '…'
const LEVEL_NAMES = namesOf(LOG_LEVELS)
const EVENT_NAMES = namesOf(LOG_EVENTS)

function namesOf(numbers: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(numbers).map(([name, number]) => [number, name]))
}

/** The name of a level, or its number where it has none. */
export function nameOfLevel(level: number): string {
  return LEVEL_NAMES.get(level) ?? String(level)
}

/** The name of an event, or its number where it has none. */
export function nameOfEvent(event: number): string {
  return EVENT_NAMES.get(event) ?? String(event)
}

/** What to subscribe to for one level of one version (log.md 2.4). */
export function topicOf(version: 1 | 2, level: number): Uint8Array {
  return new Writer().u16(SIGNATURE).u8(version).u8(level).finish()
}

/** The modified Bernstein hash of an endpoint, 16 bits (log.md 3.1). */
export function hashOf(endpoint: string): number {
  let hash = 0
  for (const octet of utf8(endpoint)) hash = ((33 * hash) ^ octet) & 0xffff
  return hash
}

/** When a record was made by the clock of its node, in milliseconds since 1970 (log.md 3.2). */
export function timeMsOf(record: LogRecord): number {
  if (record.version === 2) return record.timeMs
  return record.time >= MILLISECONDS_MIN ? record.time : record.time * 1_000
}

/**
 * Reads one message.
 * @returns undefined where it is of a version that we do not know (log.md 2.2).
 * @throws WireError on anything but one whole record (log.md 2.1, 2.3, 2.5, 4.3).
 */
export function decodeLog(frames: readonly Uint8Array[]): LogRecord | undefined {
  const [frame] = frames
  if (frame === undefined || frames.length > 1) {
    throw new WireError('log.md 2.1', `a message of ${frames.length} frames`)
  }
  const reader = new Reader(frame, 'log.md 2.1')
  if (reader.u16() !== SIGNATURE) throw new WireError('log.md 2.1', 'not a record of a log')
  const version = reader.u8()
  if (version !== 1 && version !== 2) return undefined
  const level = reader.u8()
  const event = reader.u8()
  if (level === 0 || event === 0) throw new WireError('log.md 2.3', 'a level or event of 0')
  const record = version === 1 ? decodeV1(reader, level, event) : decodeV2(reader, level, event)
  reader.end()
  return record
}

function decodeV1(reader: Reader, level: number, event: number): LogRecordV1 {
  const node = reader.u16()
  const peer = reader.u16()
  const time = timeFrom(reader)
  return { version: 1, level, event, node, peer, time, text: reader.text1() }
}

function decodeV2(reader: Reader, level: number, event: number): LogRecordV2 {
  const epoch = reader.u64()
  const sequence = reader.u64()
  if (sequence === 0) throw new WireError('log.md 2.1', 'a sequence of 0')
  const timeMs = timeFrom(reader)
  const node = bytesToUuid(reader.bytes(16))
  const octets = reader.bytes(16)
  const peer = octets.every((octet) => octet === 0) ? undefined : bytesToUuid(octets)
  const group = reader.text1()
  const text = reader.text4(TEXT_LIMIT)
  const fields = decodeFields(reader.text4(FIELDS_LIMIT))
  return { version: 2, level, event, epoch, sequence, timeMs, node, peer, group, text, fields }
}

/** @throws WireError where no clock shows it. */
function timeFrom(reader: Reader): number {
  const time = reader.u64()
  if (time > TIME_MAX) throw new WireError('log.md 2.5', 'a time after the year 9999')
  return time
}

function decodeFields(json: string): LogFields | undefined {
  if (json === '') return undefined
  let fields: unknown
  try {
    fields = JSON.parse(json)
  } catch {
    throw new WireError('log.md 4.3', 'fields that are no JSON')
  }
  const fault = faultOf(fields)
  if (fault !== undefined) throw new WireError('log.md 4.3', `fields with ${fault}`)
  return fields as LogFields
}

/** Why they cannot be told, if so. */
function faultOf(fields: unknown): string | undefined {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    return 'something in place of an object'
  }
  let valuesCount = 0
  const fault = (value: unknown, depth: number): string | undefined => {
    if (++valuesCount > FIELDS_VALUES_MAX) return `more than ${FIELDS_VALUES_MAX} values`
    if (typeof value === 'number' && !Number.isFinite(value)) return 'a number that is too large'
    if (typeof value !== 'object' || value === null) return undefined
    if (depth > FIELDS_DEPTH_MAX) return `more than ${FIELDS_DEPTH_MAX} within each other`
    for (const each of Object.values(value)) {
      const found = fault(each, depth + 1)
      if (found !== undefined) return found
    }
    return undefined
  }
  for (const value of Object.values(fields)) {
    const found = fault(value, 2)
    if (found !== undefined) return found
  }
  return undefined
}

/** The one frame of a record that keeps to the limits. @param json its fields, where they are text already. */
export function encodeLog(
  record: LogRecord,
  json = record.version === 2 && record.fields !== undefined ? JSON.stringify(record.fields) : '',
): Uint8Array {
  const { version, level, event } = record
  const writer = new Writer().u16(SIGNATURE).u8(version).u8(level).u8(event)
  if (version === 1) {
    const { node, peer, time, text } = record
    return writer.u16(node).u16(peer).u64(time).text1(text).finish()
  }
  const { epoch, sequence, timeMs, node, peer, group, text } = record
  writer.u64(epoch).u64(sequence).u64(timeMs).bytes(uuidToBytes(node))
  writer.bytes(peer === undefined ? NOBODY : uuidToBytes(peer))
  return writer.text1(group).text4(text).text4(json).finish()
}

/** A text that fits into a record of version 2 (log.md 4.4). */
export function textFor(text: string): string {
  const whole = cut(text, LOG_TEXT_BYTES_MAX)
  return whole === text ? text : cut(text, LOG_TEXT_BYTES_MAX - 3) + ELLIPSIS
}

/** Fields as the text that a record of version 2 has; those that cannot be told say why instead (log.md 4.4). */
export function jsonFor(fields: LogFields | undefined): string {
  if (fields === undefined) return ''
  let json = ''
  let fault: string | undefined
  try {
    // What has a toJSON() of its own may have nothing to say.
    json = JSON.stringify(fields) ?? 'null'
    const isLong = cut(json, LOG_FIELDS_BYTES_MAX) !== json
    if (!isLong && isPlain(fields)) return json
    // As it is written, and not as it was given: numbers that are none have become null by then, dates a text.
    fault = isLong ? `more than ${LOG_FIELDS_BYTES_MAX} octets` : faultOf(JSON.parse(json))
  } catch (error) {
    fault = String(error)
  }
  return fault === undefined ? json : JSON.stringify({ omitted: cut(fault, TEXT_BYTES_MAX) })
}

/** Whether they are so few and simple that nothing can be wrong with what JSON makes of them: nearly all fields are. */
function isPlain(fields: LogFields): boolean {
  const values = Object.values(fields)
  return (
    values.length <= FIELDS_VALUES_MAX &&
    !('toJSON' in fields) &&
    values.every((value) => value === null || !['object', 'function'].includes(typeof value))
  )
}

/** The value of the property that a PUB has in its READY (log.md 5.2). */
export function encodeSource({ node, name, timeMs }: LogSource): Uint8Array {
  const writer = new Writer().u8(2).bytes(uuidToBytes(node)).u64(timeMs)
  return writer.text1(cut(name, TEXT_BYTES_MAX)).finish()
}

/** What such a value says: undefined where there is none, or where it says nothing that we know. What is behind it is ignored. */
export function decodeSource(value: Uint8Array | undefined): LogSource | undefined {
  if (value === undefined || (value[0] as number) < 2) return undefined
  const reader = new Reader(value, 'log.md 5.2')
  try {
    reader.skip(1)
    const node = bytesToUuid(reader.bytes(16))
    const timeMs = timeFrom(reader)
    return { node, timeMs, name: reader.text1() }
  } catch {
    return undefined
  }
}

/**
 * Where a peer that has such a header wants to have records: undefined where that is no endpoint, or at an address that is
 * none of its own (log.md 5.7).
 * @param addresses where the peer is for certain, as we are connected to it there, or it to us from there; the best one first.
 * @param isOwn whether it is no peer, but we ourselves: then any address will do (log.md 5.9).
 */
export function collectorOf(
  header: string,
  addresses: readonly string[],
  isOwn = false,
): string | undefined {
  const at = parseEndpoint(header)
  const [best] = addresses
  if (at === undefined || best === undefined) return undefined
  if (at.host === '*') return formatEndpoint(best, at.port)
  if (isOwn) return isAddress(at.host) ? formatEndpoint(at.host, at.port) : undefined
  // A zone of theirs tells us nothing (harmony.md 2.12); ours is in the address by which we know them.
  const told = withoutZone(at.host)
  const own = addresses.find((address) => withoutZone(address) === told)
  return own === undefined ? undefined : formatEndpoint(own, at.port)
}
