// What an application hears, and the queue behind `for await (const event of lyre.events())`: bounded, since an application
// that is too slow must delay nobody else.

import type { Peer, PeerEvent } from '../protocol/index.ts'
import type { Finding } from './findings.ts'

/** Something is not as it should be, and nothing that the node does can mend it. Other codes may come. */
export interface WarningEvent {
  readonly type: 'warning'
  /** `nobody-heard`: no peer has been there for `lonelyAfterMs`; told once, and again only after one has been. */
  readonly code: 'nobody-heard'
  /** For a person to read. */
  readonly text: string
  /** What may be why, the likeliest first; there may be none that can be seen from here. */
  readonly causes: readonly Finding[]
}

/** What a Lyre tells: its peers' events, what is not as it should be, and that it has stopped. */
export type LyreEvent = PeerEvent | WarningEvent | { readonly type: 'stop' }

/** The types of all that a Lyre tells. */
export const EVENT_TYPES = [
  'enter',
  'join',
  'leave',
  'whisper',
  'shout',
  'evasive',
  'silent',
  'exit',
  'warning',
  'stop',
] as const satisfies readonly LyreEvent['type'][]

/** In an event stream: its reader was too slow, and `count` events were dropped here. */
export interface OverrunEvent {
  readonly type: 'overrun'
  readonly count: number
}

/** The arguments of each event's handlers, for `lyre.on(type, handler)`. */
export type LyreEvents = {
  [Type in LyreEvent['type']]: (event: EventOf<Type>) => void
}

/** The member of the union that has this type, also where it shares its shape with another, as 'join' does with 'leave'. */
export type EventOf<Type, Event = LyreEvent> = Event extends { readonly type: infer Types }
  ? Type extends Types
    ? Event
    : never
  : never

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * The text of what arrived: of one frame, or of all frames with a line feed between them. What is not UTF-8 becomes U+FFFD.
 */
export function text(content: Uint8Array | readonly Uint8Array[]): string {
  if (content instanceof Uint8Array) return decoder.decode(content)
  return content.map((frame) => decoder.decode(frame)).join('\n')
}

/**
 * What events that wait keep in memory beside octets and characters, measured with Node.js 20 and rounded up, so that
 * `eventBytesMax` bounds all of it: an event with its place in the queue; a frame; memory that is one frame's own; what events
 * share, with our note about it; a place in a list; an entry of headers; a text, whose characters count two octets each.
 */
const COSTS = { event: 96, frame: 112, memory: 120, shared: 320, item: 8, header: 64, text: 24 }

/** Something that events share, and how many of those that wait hold it. */
interface Shared {
  readonly bytes: number
  eventCount: number
}

/** One reader's events. It ends after 'stop', when its signal is aborted, or when the loop is left. */
export class EventStream implements AsyncIterableIterator<LyreEvent | OverrunEvent> {
  readonly #limits: { readonly eventsMax: number; readonly eventBytesMax: number }
  readonly #ended: (stream: EventStream) => void
  #events: LyreEvent[] = []
  #eventIndex = 0
  /** About what the events that wait keep in memory. */
  #bytes = 0
  /** Snapshots of peers, and memory that was read into: many events hold the same, which is counted once. */
  readonly #shared = new Map<Peer | ArrayBufferLike, Shared>()
  #overrunCount = 0
  #done = false
  #waiting: ((result: IteratorResult<LyreEvent | OverrunEvent>) => void)[] = []

  constructor(
    limits: { readonly eventsMax: number; readonly eventBytesMax: number },
    ended: (stream: EventStream) => void,
  ) {
    this.#limits = limits
    this.#ended = ended
  }

  /** Adds an event, or counts it when there is no room. */
  push(event: LyreEvent): void {
    // Nothing is queued while somebody waits, and what is handed on is never counted.
    const resolve = this.#waiting.shift()
    if (resolve !== undefined) resolve({ done: false, value: event })
    else if (this.#overrunCount > 0 || !this.#queue(event)) this.#overrunCount++
  }

  /** Nothing more will come; what is queued can still be read. */
  end(): void {
    if (this.#done) return
    this.#done = true
    this.#ended(this)
    this.#settle()
  }

  next(): Promise<IteratorResult<LyreEvent | OverrunEvent>> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#settle()
    })
  }

  return(): Promise<IteratorResult<LyreEvent | OverrunEvent>> {
    this.#clear()
    this.#overrunCount = 0
    this.end()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #settle(): void {
    while (this.#waiting.length > 0) {
      const event = this.#shift()
      if (event === undefined && !this.#done) return
      const resolve = this.#waiting.shift()
      resolve?.(
        event === undefined ? { done: true, value: undefined } : { done: false, value: event },
      )
    }
  }

  /** @returns false when there is no room. One event always has room: it may be as large as a message. */
  #queue(event: LyreEvent): boolean {
    const count = this.#events.length - this.#eventIndex
    if (count >= this.#limits.eventsMax) return false
    this.#weigh(event, 1)
    if (count > 0 && this.#bytes > this.#limits.eventBytesMax) {
      this.#weigh(event, -1)
      return false
    }
    this.#events.push(event)
    return true
  }

  /** Nothing waits, so nothing counts: not even what weighed more when it came, as an application may give content away. */
  #clear(): void {
    this.#events = []
    this.#eventIndex = 0
    this.#bytes = 0
    this.#shared.clear()
  }

  /** Counts what an event keeps in memory when it is queued, and no longer when it is read. */
  #weigh(event: LyreEvent, step: 1 | -1): void {
    let bytes = COSTS.event
    if ('peer' in event) this.#share(event.peer, step)
    if ('group' in event) bytes += bytesOfText(event.group)
    if ('causes' in event) bytes += bytesOfWarning(event)
    if ('content' in event) {
      bytes += COSTS.frame * event.content.length
      for (const frame of event.content) {
        // What begins with its memory is alone there. A view further on keeps all that was read with it.
        if (frame.byteOffset === 0) bytes += COSTS.memory + frame.length
        else this.#share(frame.buffer, step)
      }
    }
    this.#bytes += step * bytes
  }

  #share(held: Peer | ArrayBufferLike, step: 1 | -1): void {
    let shared = this.#shared.get(held)
    if (shared === undefined) {
      const bytes = 'uuid' in held ? bytesOfPeer(held) : held.byteLength
      shared = { bytes: COSTS.shared + bytes, eventCount: 0 }
      this.#shared.set(held, shared)
      this.#bytes += shared.bytes
    }
    shared.eventCount += step
    if (shared.eventCount > 0) return
    this.#shared.delete(held)
    this.#bytes -= shared.bytes
  }

  #shift(): LyreEvent | OverrunEvent | undefined {
    const first = this.#events[this.#eventIndex]
    if (first !== undefined) {
      this.#weigh(first, -1)
      // Read events are let go in large steps: to shift them out one by one would move all the others each time.
      if (++this.#eventIndex === this.#events.length) this.#clear()
      else if (this.#eventIndex >= 1_024) {
        this.#events.splice(0, this.#eventIndex)
        this.#eventIndex = 0
      }
      return first
    }
    if (this.#overrunCount === 0) return undefined
    const count = this.#overrunCount
    this.#overrunCount = 0
    return { type: 'overrun', count }
  }
}

/** A text may be held by many snapshots of one peer; it is counted in each, as nobody knows who will be the last. */
function bytesOfPeer({ name, endpoint, headers, groups }: Peer): number {
  let bytes = bytesOfText(name) + bytesOfText(endpoint)
  for (const group of groups) bytes += COSTS.item + bytesOfText(group)
  for (const [key, value] of Object.entries(headers)) {
    bytes += COSTS.header + bytesOfText(key) + bytesOfText(value)
  }
  return bytes
}

function bytesOfWarning({ text, causes }: WarningEvent): number {
  let bytes = bytesOfText(text)
  for (const { seen, why, remedy } of causes) {
    bytes += COSTS.event + bytesOfText(seen) + bytesOfText(why) + bytesOfText(remedy)
  }
  return bytes
}

function bytesOfText(text: string): number {
  return COSTS.text + 2 * text.length
}
