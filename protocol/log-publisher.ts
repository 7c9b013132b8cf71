// The node's side of a log: it numbers records, keeps the latest in a ring, and gives each collector those that it has subscribed
// to. A record is made into octets once, for all of them, and those of one turn together: a few of them among thousands of
// messages cost half of what they did when each was made at once. What waits for a collector is no more than its place in the
// ring: one that does not read loses the oldest and costs nothing.
// Spec: log.md 4 and 5, zmtp.md 7.

import { cut, type Uuid } from './bytes.ts'
import { WireError } from './errors.ts'
import {
  collectorOf,
  encodeLog,
  encodeSource,
  hashOf,
  jsonFor,
  type LogFields,
  textFor,
} from './log.ts'
import { Queue } from './queue.ts'
import { TEXT_BYTES_MAX } from './zre.ts'

/** What is to be told: no more than what there is to it has to be given. */
export interface LogEntry {
  /** 1 to 255, of LOG_LEVELS. */
  readonly level: number
  /** 1 to 255, of LOG_EVENTS. */
  readonly event: number
  readonly peer?: { readonly uuid: Uuid; readonly endpoint: string } | undefined
  /** Its name has 255 octets of UTF-8 at most. */
  readonly group?: string | undefined
  /** Cut where it is too long. */
  readonly text?: string | undefined
  /** Told as they are now; left out where they are too much. */
  readonly fields?: LogFields | undefined
}

/** Who tells, and how much of it is kept. */
export interface LogPublisherOptions {
  readonly node: Uuid
  readonly name: string
  /** When we began to count, in milliseconds since 1970; never the same twice. */
  readonly epoch: number
  /** The highest that is told: those above are not made at all. 0: none. */
  readonly level: number
  /** Records that are kept, and their octets; one is kept in any case. */
  readonly recordsMax: number
  readonly bytesMax: number
  /** Collectors that are connected to at one time. */
  readonly collectorsMax: number
}

/** What to do: connect to a collector or not any more, write to one, once, until poll() is empty; or close what broke a rule. */
export type LogPublisherEffect =
  | { readonly type: 'dial' | 'hangup'; readonly endpoint: string }
  | { readonly type: 'write'; readonly connection: number }
  | { readonly type: 'close'; readonly connection: number; readonly error: WireError }

/** What became of the records. */
export interface LogPublisherDiagnostics {
  /** Made since the beginning, and kept. */
  readonly records: number
  readonly kept: number
  readonly keptBytes: number
  readonly connections: readonly {
    readonly connection: number
    readonly topics: number
    /** Messages: a record is two for who wants both versions. */
    readonly sent: number
    /** Of these, those whose record left the ring before they were sent. */
    readonly dropped: number
  }[]
}

/** Topics of one connection (zmtp.md 7.6). */
export const TOPICS_MAX = 64

/** A record that is numbered, and will be made into octets when somebody asks for what there is. */
interface Fresh {
  readonly entry: LogEntry
  readonly sequence: number
  readonly timeMs: number
  readonly text: string
  /** Its fields, as they were when it was told. */
  readonly json: string
}

/** A record in the ring: its octets in version 2, and what makes those of version 1 once somebody wants them. */
interface Kept {
  readonly octets: Uint8Array
  readonly entry: { readonly level: number; readonly event: number }
  readonly peer: number
  readonly time: number
  readonly text: string
  octetsV1: Uint8Array | undefined
}

interface Subscription {
  readonly topic: Uint8Array
  count: number
  /** The place of the next record that is to be looked at for it. */
  next: number
}

interface Connection {
  readonly connection: number
  readonly subscriptions: Map<string, Subscription>
  /** The other form of the record that was given last. */
  second: Uint8Array | undefined
  /** Whether 'write' was said, and poll() has not been empty since. */
  told: boolean
  sent: number
  dropped: number
}

/** What records share; it goes when the last of them does. */
const MEMORY_BYTES = 16_384
const FRESH_MAX = 64
const V1 = 1
const V2 = 2

/** The log of one node, for as long as it counts. */
export class LogPublisher {
  #level: number
  readonly #options: LogPublisherOptions
  /** Of our endpoint, by which collectors of version 1 know us. */
  #hash = 0
  readonly #sequences = new Map<number, number>()
  #fresh: Fresh[] = []
  /** The record at a place is at that place modulo the length. */
  readonly #ring: (Kept | undefined)[]
  #first = 0
  #end = 0
  #bytes = 0
  /** Where the next records are put: memory of its own for each of them took more time than all the rest. */
  #memory = new Uint8Array(0)
  #memoryBytes = 0
  readonly #connections = new Map<number, Connection>()
  /** Peers that want records, and where: those that came first are served. */
  readonly #announced = new Map<Uuid, string>()
  readonly #served = new Set<string>()
  readonly #effects = new Queue<LogPublisherEffect>()

  constructor(options: LogPublisherOptions) {
    this.#options = options
    this.#level = options.level
    this.#ring = new Array(options.recordsMax).fill(undefined)
  }

  /** The highest level that is told; it may be changed at any time (log.md 5.5). At 0, no collector is served (log.md 5.8). */
  get level(): number {
    return this.#level
  }
  set level(level: number) {
    this.#level = level
    if (level === 0) {
      for (const endpoint of this.#served) this.#effects.push({ type: 'hangup', endpoint })
      this.#served.clear()
    }
    this.#serve()
  }

  // Inputs and commands.

  /** Our endpoint, from now on: it is known once a node is started, and may change. */
  handleEndpoint(endpoint: string): void {
    this.#hash = hashOf(endpoint)
  }

  /** Tells what happened at an instant of the clock that others have, in milliseconds since 1970. */
  log(entry: LogEntry, timeMs: number): void {
    const { level, text = '', fields } = entry
    if (level > this.#level) return
    const sequence = (this.#sequences.get(level) ?? 0) + 1
    this.#sequences.set(level, sequence)
    this.#fresh.push({ entry, sequence, timeMs, text: textFor(text), json: jsonFor(fields) })
    if (this.#fresh.length === FRESH_MAX) this.#keepFresh()
    for (const connection of this.#connections.values()) this.#tell(connection)
  }

  /**
   * A peer has such a header, or we have it ourselves, and is at these addresses for certain.
   * @returns whether it may be told records there (log.md 5.7).
   */
  announce(uuid: Uuid, header: string, addresses: readonly string[]): boolean {
    const endpoint = collectorOf(header, addresses, uuid === this.#options.node)
    if (endpoint !== this.#announced.get(uuid)) this.forget(uuid)
    if (endpoint === undefined) return false
    this.#announced.set(uuid, endpoint)
    this.#serve()
    return true
  }

  /** A peer is gone, or wants no records any more. */
  forget(uuid: Uuid): void {
    const endpoint = this.#announced.get(uuid)
    if (endpoint === undefined) return
    this.#announced.delete(uuid)
    // Nodes of one machine may have a collector in common.
    for (const other of this.#announced.values()) if (other === endpoint) return
    if (!this.#served.delete(endpoint)) return
    this.#effects.push({ type: 'hangup', endpoint })
    this.#serve()
  }

  /** We stop: all peers are forgotten, and the caller closes what there is. What is kept stays, for those that come later. */
  handleStop(): void {
    this.#announced.clear()
    this.#served.clear()
  }

  /** A collector is connected. Numbers are the caller's, and not used again. */
  handleOpen(connection: number): void {
    const subscriptions = new Map<string, Subscription>()
    const rest = { second: undefined, told: false, sent: 0, dropped: 0 }
    this.#connections.set(connection, { connection, subscriptions, ...rest })
  }

  /** It is not any more. */
  handleClose(connection: number): void {
    this.#connections.delete(connection)
  }

  /** It wants what begins so, from the oldest that is kept on. */
  handleSubscribe(connection: number, topic: Uint8Array): void {
    const to = this.#connections.get(connection)
    if (to === undefined) return
    const key = String(topic)
    const known = to.subscriptions.get(key)
    if (known !== undefined) {
      known.count++
      return
    }
    if (to.subscriptions.size >= TOPICS_MAX) {
      const error = new WireError('zmtp.md 7.6', `more than ${TOPICS_MAX} topics`)
      this.#effects.push({ type: 'close', connection, error })
      return
    }
    this.#keepFresh()
    to.subscriptions.set(key, { topic: topic.slice(), count: 1, next: this.#first })
    this.#tell(to)
  }

  /** It takes one such wish back. */
  handleCancel(connection: number, topic: Uint8Array): void {
    const subscriptions = this.#connections.get(connection)?.subscriptions
    const known = subscriptions?.get(String(topic))
    if (known !== undefined && --known.count === 0) subscriptions?.delete(String(topic))
  }

  // Outputs.

  /** What to do next; undefined when all is done. */
  pollEffect(): LogPublisherEffect | undefined {
    return this.#effects.shift()
  }

  /** The next message for a connection; undefined when there is none until the next 'write'. */
  poll(connection: number): Uint8Array | undefined {
    const to = this.#connections.get(connection)
    if (to === undefined) return undefined
    this.#keepFresh()
    const { second } = to
    to.second = undefined
    const octets = second ?? this.#next(to)
    if (octets === undefined) to.told = false
    else to.sent++
    return octets
  }

  /** The value of the property X-ZRELOG, as of now, in milliseconds since 1970 (log.md 5.2). */
  source(timeMs: number): Uint8Array {
    const { node, name } = this.#options
    return encodeSource({ node, name, timeMs })
  }

  /** What became of the records. */
  diagnostics(): LogPublisherDiagnostics {
    this.#keepFresh()
    let records = 0
    for (const sequence of this.#sequences.values()) records += sequence
    const connections = [...this.#connections.values()].map(
      ({ connection, subscriptions, sent, dropped }) => {
        return { connection, topics: subscriptions.size, sent, dropped }
      },
    )
    return { records, kept: this.#end - this.#first, keptBytes: this.#bytes, connections }
  }

  #keepFresh(): void {
    if (this.#fresh.length === 0) return
    const fresh = this.#fresh
    this.#fresh = []
    const { node, epoch } = this.#options
    for (const { entry, sequence, timeMs, text, json } of fresh) {
      const { level, event, peer, group = '' } = entry
      const who = { node, peer: peer?.uuid, group, text, fields: undefined }
      const record = { version: V2, level, event, epoch, sequence, timeMs, ...who } as const
      this.#keep({
        octets: this.#place(encodeLog(record, json)),
        entry: { level, event },
        peer: peer === undefined ? 0 : hashOf(peer.endpoint),
        time: Math.floor(timeMs / 1_000),
        text: cut(text === '' ? group : text, TEXT_BYTES_MAX),
        octetsV1: undefined,
      })
    }
  }

  #place(octets: Uint8Array): Uint8Array {
    const start = this.#memoryBytes
    if (start + octets.length > this.#memory.length) {
      this.#memory = new Uint8Array(Math.max(MEMORY_BYTES, octets.length))
      this.#memoryBytes = 0
      return this.#place(octets)
    }
    this.#memory.set(octets, start)
    this.#memoryBytes += octets.length
    return this.#memory.subarray(start, this.#memoryBytes)
  }

  #keep(kept: Kept): void {
    const { recordsMax, bytesMax } = this.#options
    if (this.#end - this.#first === recordsMax) this.#drop()
    this.#ring[this.#end++ % recordsMax] = kept
    this.#bytes += kept.octets.length
    while (this.#bytes > bytesMax && this.#end - this.#first > 1) this.#drop()
  }

  /** The oldest leaves, and whoever was still to get it never will. */
  #drop(): void {
    const place = this.#first++
    const kept = this.#at(place)
    this.#ring[place % this.#ring.length] = undefined
    this.#bytes -= kept.octets.length
    for (const to of this.#connections.values()) {
      const wanted = this.#wanted(to, place, kept)
      if (wanted !== 0) to.dropped += wanted === (V1 | V2) ? 2 : 1
    }
  }

  #at(place: number): Kept {
    return this.#ring[place % this.#ring.length] as Kept
  }

  #tell(to: Connection): void {
    if (to.told || to.subscriptions.size === 0) return
    to.told = true
    this.#effects.push({ type: 'write', connection: to.connection })
  }

  #next(to: Connection): Uint8Array | undefined {
    for (;;) {
      let place = this.#end
      for (const { next } of to.subscriptions.values()) place = Math.min(place, next)
      if (place === this.#end) return undefined
      const kept = this.#at(place)
      const wanted = this.#wanted(to, place, kept)
      if (wanted === V1) return this.#octetsV1(kept)
      if (wanted === 0) continue
      if (wanted !== V2) to.second = this.#octetsV1(kept)
      return kept.octets
    }
  }

  /** Which forms of a record a connection wants and has not had; those subscriptions that were at its place go on (log.md 5.3). */
  #wanted({ subscriptions }: Connection, place: number, kept: Kept): number {
    let wanted = 0
    let had = 0
    for (const subscription of subscriptions.values()) {
      const isNew = subscription.next === place
      if (isNew) subscription.next++
      const forms = this.#formsOf(kept, subscription.topic)
      if (isNew) wanted |= forms
      else had |= forms
    }
    return wanted & ~had
  }

  #formsOf(kept: Kept, topic: Uint8Array): number {
    const form = topic[2]
    const isV2 = form !== V1 && begins(kept.octets, topic)
    const isV1 = form !== V2 && begins(this.#octetsV1(kept), topic)
    return (isV2 ? V2 : 0) | (isV1 ? V1 : 0)
  }

  #octetsV1(kept: Kept): Uint8Array {
    const { entry, peer, time, text } = kept
    kept.octetsV1 ??= encodeLog({ version: V1, ...entry, node: this.#hash, peer, time, text })
    return kept.octetsV1
  }

  #serve(): void {
    if (this.#level === 0) return
    for (const endpoint of this.#announced.values()) {
      if (this.#served.size >= this.#options.collectorsMax) return
      if (this.#served.has(endpoint)) continue
      this.#served.add(endpoint)
      this.#effects.push({ type: 'dial', endpoint })
    }
  }
}

function begins(octets: Uint8Array, topic: Uint8Array): boolean {
  if (topic.length > octets.length) return false
  for (let index = 0; index < topic.length; index++) {
    if (topic[index] !== octets[index]) return false
  }
  return true
}
