// Events and contents as JSON, one line each: what `lyre pipe` writes, and whoever wants to be read by a program.
// The format is documented in docs/guide/pipe.md.

import { type LyreEvent, type OverrunEvent, type Peer, UsageError } from '../index.ts'

/** A frame in JSON: a text where it is UTF-8, else its octets. */
export type JsonFrame = string | { readonly base64: string }

/** One line. */
export type JsonLine = Readonly<Record<string, unknown>>

// A byte order mark is part of what was sent.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** An event at `time`, in milliseconds since the epoch. */
export function eventToJson(event: LyreEvent | OverrunEvent, time: number): JsonLine {
  const head = { event: event.type, time }
  switch (event.type) {
    case 'enter': {
      const { endpoint, headers } = event.peer
      return { ...head, ...identityOf(event.peer), endpoint, headers }
    }
    case 'exit':
      return { ...head, ...identityOf(event.peer), cause: event.cause, lost: event.lost }
    case 'join':
    case 'leave':
      return { ...head, ...identityOf(event.peer), group: event.group }
    case 'shout': {
      const { peer, group, content } = event
      return { ...head, ...identityOf(peer), group, content: content.map(jsonFrame) }
    }
    case 'whisper':
      return { ...head, ...identityOf(event.peer), content: event.content.map(jsonFrame) }
    case 'evasive':
    case 'silent':
      return { ...head, ...identityOf(event.peer) }
    case 'warning': {
      const { code, text, causes } = event
      return { ...head, code, text, causes }
    }
    case 'overrun':
      return { ...head, count: event.count }
    case 'stop':
      return head
  }
}

/** One line of JSON, with its line feed. What a terminal could take for a command is escaped. */
export function formatLine(line: JsonLine): string {
  const json = JSON.stringify(line)
  return `${json.replaceAll(/[\u007f-\u009f\u2028\u2029]/g, escaped)}\n`
}

/**
 * A content as it stands in a command: a text, an array of texts, or octets in place of any text.
 * @throws UsageError on anything else.
 */
export function contentFromJson(content: unknown): (string | Uint8Array)[] {
  return Array.isArray(content) ? content.map(frameFromJson) : [frameFromJson(content)]
}

function identityOf({ uuid, name }: Peer): JsonLine {
  return { uuid, name }
}

/** A frame as it stands in a line. */
export function jsonFrame(frame: Uint8Array): JsonFrame {
  try {
    return decoder.decode(frame)
  } catch {
    const { buffer, byteOffset, byteLength } = frame
    return { base64: Buffer.from(buffer, byteOffset, byteLength).toString('base64') }
  }
}

function frameFromJson(frame: unknown): string | Uint8Array {
  if (typeof frame === 'string') return frame
  if (typeof frame === 'object' && frame !== null && 'base64' in frame) {
    const { base64, ...others } = frame
    const bytes = typeof base64 === 'string' ? Buffer.from(base64, 'base64') : undefined
    // Buffer skips what is no base64; what does not come back the same was none.
    const same = bytes !== undefined && unpadded(bytes.toString('base64')) === unpadded(base64)
    if (same && Object.keys(others).length === 0) return bytes
  }
  throw new UsageError('content is a text, an array of texts, or {"base64":"..."} in place of one')
}

function unpadded(base64: unknown): string {
  return String(base64).replace(/=+$/, '')
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
