// A capture of ZRE traffic: what nodes told of their wires, as lines of JSON that can be read again.
// The format is documented in docs/guide/tracing.md.

import { createReadStream } from 'node:fs'
import { UsageError, type WireEvent, type ZreMessage } from '../index.ts'
import { formatLine, type JsonFrame, type JsonLine, jsonFrame } from './json.ts'
import { readLines } from './lines.ts'

/** What stands in each line but the first. */
interface Moment {
  readonly time: number
  readonly node: string
  readonly peer: string | null
  readonly connection: number
}

/** A line of a capture. */
export type Captured =
  | (Moment & {
      readonly type: 'message'
      readonly direction: 'in' | 'out'
      readonly command: ZreMessage['type']
      readonly sequence: number
      /** Octets of all frames; of those behind the header, one by one. */
      readonly bytes: number
      readonly frames: readonly number[]
      /** Their beginnings, as many octets in all as were to be kept. */
      readonly content?: readonly JsonFrame[]
      readonly group?: string
      readonly status?: number
      /** Of a HELLO. */
      readonly name?: string
      readonly endpoint?: string
      readonly groups?: readonly string[]
      readonly headers?: Readonly<Record<string, string>>
    })
  | (Moment & { readonly type: 'link'; readonly change: string; readonly reason: string | null })
  | (Moment & { readonly type: 'confirmed'; readonly sequence: number })

/** Octets of a content that are kept, unless something else is said. */
export const CONTENT_BYTES = 256
const VERSION = 1
/** A HELLO with all that it may have, escaped. */
const LINE_BYTES_MAX = 4_194_304

/** The first line of a file. */
export function captureHead(contentBytes: number): string {
  return formatLine({ lyre: 'trace', version: VERSION, contentBytes })
}

/** @param contentBytes how many octets of a content are kept. */
export function captured(event: WireEvent, contentBytes: number): Captured {
  const { time, node, peer, connection } = event
  const moment = { time, node, peer, connection }
  if (event.type === 'link') {
    return { ...moment, type: 'link', change: event.change, reason: event.reason }
  }
  if (event.type === 'confirmed') return { ...moment, type: 'confirmed', sequence: event.sequence }
  const { direction, bytes, message } = event
  const { type: command, sequence } = message
  const frames = 'content' in message ? message.content.map(({ length }) => length) : []
  const head = { ...moment, type: 'message', direction, command, sequence, bytes, frames } as const
  switch (message.type) {
    case 'hello': {
      const { name, endpoint, groups, status, headers } = message
      return { ...head, name, endpoint, groups, status, headers: { ...headers } }
    }
    case 'whisper':
      return { ...head, content: cut(message.content, contentBytes) }
    case 'shout':
      return { ...head, group: message.group, content: cut(message.content, contentBytes) }
    case 'join':
    case 'leave':
      return { ...head, group: message.group, status: message.status }
    case 'elect':
    case 'leader':
      return { ...head, group: message.group }
    default:
      return head
  }
}

/** A line of a file. */
export function captureLine(line: Captured): string {
  return formatLine({ ...line } satisfies JsonLine)
}

/**
 * Reads a file, line by line. A last line that is not whole is passed over: whoever wrote it was ended.
 * @throws UsageError on what is no capture, or one of a version that this one does not know.
 */
export async function* readCapture(file: string): AsyncGenerator<Captured> {
  const input = createReadStream(file)
  let number = 0
  let broken: string | undefined
  try {
    for await (const batch of readLines(input, LINE_BYTES_MAX)) {
      for (const line of batch) {
        if (broken !== undefined) throw new UsageError(broken)
        number++
        const parsed = typeof line === 'string' ? parse(line) : undefined
        if (number === 1) checkHead(file, parsed)
        else if (isCaptured(parsed)) yield parsed
        else broken = `line ${number} of ${file} is none of a capture`
      }
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && 'syscall' in error)) throw error
    throw new UsageError(`${file} cannot be read: ${error.message}`)
  }
  if (number === 0) checkHead(file, undefined)
}

function checkHead(file: string, head: unknown): void {
  const { lyre, version } = (head ?? {}) as JsonLine
  if (lyre !== 'trace') throw new UsageError(`${file} is no capture of lyre trace`)
  if (version === VERSION) return
  throw new UsageError(`${file} is a capture of version ${String(version)}, this reads ${VERSION}`)
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** What is drawn has to be as it should; what else there is does no harm. */
function isCaptured(value: unknown): value is Captured {
  if (typeof value !== 'object' || value === null) return false
  const line = value as Record<string, unknown>
  const { type, time, node, peer, connection, sequence, change, reason } = line
  if (typeof time !== 'number' || Number.isNaN(new Date(time).getTime())) return false
  if (typeof node !== 'string') return false
  if (typeof connection !== 'number' || !(peer === null || typeof peer === 'string')) return false
  if (type === 'link') {
    return typeof change === 'string' && (reason === null || typeof reason === 'string')
  }
  if (typeof sequence !== 'number') return false
  return type === 'confirmed' || (type === 'message' && isMessage(line))
}

function isMessage(line: Readonly<Record<string, unknown>>): boolean {
  const { direction, command, bytes, frames, group = '', name = '', content = [] } = line
  return (
    (direction === 'in' || direction === 'out') &&
    [command, group, name].every((text) => typeof text === 'string') &&
    typeof bytes === 'number' &&
    Array.isArray(frames) &&
    Array.isArray(content)
  )
}

function cut(content: readonly Uint8Array[], bytesMax: number): JsonFrame[] {
  let left = bytesMax
  const kept: JsonFrame[] = []
  for (const frame of content) {
    if (left <= 0) break
    kept.push(jsonFrame(frame.subarray(0, left)))
    left -= frame.length
  }
  return kept
}
