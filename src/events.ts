// What an application hears, and the queue behind `for await (const event of lyre.events())`: bounded, since an application
// that is too slow must delay nobody else.

import type { PeerEvent } from '../protocol/index.ts'

/** What a Lyre tells: its peers' events, and that it has stopped. */
export type LyreEvent = PeerEvent | { readonly type: 'stop' }

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
type EventOf<Type, Event = LyreEvent> = Event extends { readonly type: infer Types }
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

/** One reader's events. It ends after 'stop', when its signal is aborted, or when the loop is left. */
export class EventStream implements AsyncIterableIterator<LyreEvent | OverrunEvent> {
  readonly #limits: { readonly eventsMax: number; readonly eventBytesMax: number }
  readonly #ended: (stream: EventStream) => void
  #events: { readonly event: LyreEvent; readonly bytes: number }[] = []
  #eventIndex = 0
  #bytes = 0
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
    const bytes = 'content' in event ? sizeOf(event.content) : 0
    const { eventsMax, eventBytesMax } = this.#limits
    const count = this.#events.length - this.#eventIndex
    const full =
      this.#overrunCount > 0 ||
      count >= eventsMax ||
      (this.#bytes + bytes > eventBytesMax && count > 0)
    if (full && this.#waiting.length === 0) {
      this.#overrunCount++
    } else {
      this.#events.push({ event, bytes })
      this.#bytes += bytes
    }
    this.#settle()
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
    this.#events = []
    this.#eventIndex = 0
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

  #shift(): LyreEvent | OverrunEvent | undefined {
    const first = this.#events[this.#eventIndex]
    if (first !== undefined) {
      this.#bytes -= first.bytes
      // Read events are let go in large steps: to shift them out one by one would move all the others each time.
      if (++this.#eventIndex >= 1_024 || this.#eventIndex === this.#events.length) {
        this.#events.splice(0, this.#eventIndex)
        this.#eventIndex = 0
      }
      return first.event
    }
    if (this.#overrunCount === 0) return undefined
    const count = this.#overrunCount
    this.#overrunCount = 0
    return { type: 'overrun', count }
  }
}

function sizeOf(content: readonly Uint8Array[]): number {
  let bytes = 0
  for (const frame of content) bytes += frame.length
  return bytes
}
