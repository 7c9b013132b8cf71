// What a node sees of itself and of its peers, and what its application says, as records: for collectors of the network, and for
// whoever in this process listens to a channel. Nothing is put into words unless somebody wants it. The connections of collectors
// are sender.ts's matter.
// Spec: log.md.

import {
  isUuid,
  LOG_EVENTS,
  LOG_HEADER,
  LOG_LEVELS,
  type LogEventName,
  type LogFields,
  type LogLevel,
  type PeerEvent,
  type Trace,
  type Uuid,
} from '../../protocol/index.ts'
import type { Whereabouts } from '../discovery/discovery.ts'
import { UsageError } from '../errors.ts'
import type { WarningEvent } from '../events.ts'
import type { Host } from '../host.ts'
import type { Status } from '../metrics.ts'
import { Traces } from '../traces.ts'
import { LogSender, type LogSenderDiagnostics } from './sender.ts'

/** Whose log it is, and how much of it there is. */
export interface ObserverOptions {
  readonly uuid: Uuid
  readonly name: string
  /** What it is called over all its starts, where it has a state folder. */
  readonly stableId?: string | undefined
  /** Where we collect logs ourselves, if we do. */
  readonly header: string | undefined
  readonly level: LogLevel | 'off'
  /** Whether collectors get it. */
  readonly publish: boolean
  /** What is kept for those that come later. */
  readonly recordsMax: number
  readonly bytesMax: number
}

/** What there is to an observer beside what it is told. */
export interface ObserverHandlers {
  /** pollTimeout() may be sooner than it was. */
  sooner(): void
  /** How the node is, and what became of it since this was asked last. */
  status(): Status
}

/** What a node logs, and what became of it. */
export interface LogDiagnostics extends LogSenderDiagnostics {
  readonly level: LogLevel | 'off'
  readonly publish: boolean
}

/** What a subscriber of a channel `lyre:EVENT` of `node:diagnostics_channel` gets: a record as it was observed. */
export interface Observation {
  /** Whose record it is. */
  readonly node: Uuid
  readonly name: string
  readonly level: LogLevel
  readonly event: LogEventName
  /** Whom it is about, if anybody; the endpoint is empty where it is not known. */
  readonly peer: { readonly uuid: Uuid; readonly endpoint: string } | undefined
  /** Empty where it is about none. */
  readonly group: string
  readonly text: string
  readonly fields: LogFields | undefined
}

/** What the level and the event do not say. */
type Rest = Partial<Pick<Observation, 'peer' | 'group' | 'text' | 'fields'>>

/** Events of peers that are recorded. */
export type PeerChange = Exclude<PeerEvent, { readonly type: 'whisper' | 'shout' }>

/** Causes of an exit that are a fault of what the peer said. */
const REFUSALS: readonly string[] = ['refused', 'sequence']

/** Traces that are more than a detail; the others are of level debug, and of event `trace`. */
const TRACES: Readonly<Record<string, readonly [LogLevel, LogEventName]>> = {
  refused: ['warning', 'refused'],
  'arrival-closed': ['warning', 'refused'],
  lost: ['warning', 'dropped'],
  unreachable: ['warning', 'trace'],
  'link-lost': ['info', 'epoch'],
  'went-on': ['info', 'epoch'],
  returned: ['info', 'epoch'],
  interfaces: ['info', 'trace'],
  'traces-left-out': ['warning', 'trace'],
}

/** How often a node tells how it is. */
const STATUS_INTERVAL_MS = 30_000
/** Who stood still for so long was perhaps missed by others. */
const LATE_MIN_MS = 1_000
const NEVER = Number.POSITIVE_INFINITY

const NOTHING: LogSenderDiagnostics = {
  records: 0,
  kept: 0,
  keptBytes: 0,
  collectors: [],
  counters: {},
}

/** A peer that wants records. */
interface Collecting {
  readonly header: string
  readonly addresses: readonly string[]
  /** Whether that its header is refused was counted. */
  isRefused: boolean
}

/** Looks on, for all lives of a node. */
export class Observer {
  readonly #host: Host
  readonly #options: ObserverOptions
  readonly #handlers: ObserverHandlers
  #level: LogLevel | 'off'
  /** Undefined until something is to be recorded for the first time, and where nothing is to leave this process. */
  #sender: LogSender | undefined
  /** Where our inbox is; undefined while we are stopped. */
  #endpoint: string | undefined
  /** Connected to while we are started, once there is a sender. */
  readonly #collectors = new Map<Uuid, Collecting>()
  /** What a neighbour can cause without end is told so many times a second, and no more. */
  readonly #traces = new Traces((trace) => this.#handleTold(trace))
  /** Why a peer is about to exit. */
  #drop: Trace | undefined
  #refusedCount = 0
  /** When to tell how we are; never while nobody wants to know. */
  #statusAt = NEVER

  constructor(host: Host, options: ObserverOptions, handlers: ObserverHandlers) {
    this.#host = host
    this.#options = options
    this.#handlers = handlers
    this.#level = options.level
    this.#begin()
  }

  /** The highest level that is recorded; it may be changed at any time. */
  get level(): LogLevel | 'off' {
    return this.#level
  }
  set level(level: LogLevel | 'off') {
    this.#level = level
    if (this.#sender !== undefined) this.#sender.setLevel(level)
    else this.#begin()
  }

  /** We are there: collectors are connected to from now on. */
  start(at: Whereabouts): void {
    const { endpoint } = at
    this.#handleOwn(at)
    this.#endpoint = endpoint
    this.#connect()
    const { name, stableId } = this.#options
    if (!this.#isWanted('info', 'start')) return
    const fields = { name, endpoint, ...(stableId !== undefined && { stableId }) }
    this.#tell('info', 'start', { text: endpoint, fields })
  }

  /** It came to nothing: told to who collects from the next start. */
  fail(error: unknown): void {
    this.#collectors.clear()
    if (!this.#isWanted('error', 'start')) return
    this.#tell('error', 'start', { text: `cannot start: ${String(error)}` })
  }

  /** Our inbox is elsewhere. */
  move(at: Whereabouts): void {
    this.#endpoint = at.endpoint
    this.#sender?.move(at.endpoint)
    this.#handleOwn(at)
  }

  /** Has the last word, and closes all connections once that has left, or `lingerMs` are over. */
  async stop(lingerMs: number): Promise<void> {
    if (this.#isWanted('info', 'stop')) this.#tell('info', 'stop', {})
    this.#endpoint = undefined
    this.#statusAt = NEVER
    this.#collectors.clear()
    await this.#sender?.stop(lingerMs)
  }

  /** Ends the lingering of stop(). */
  abort(): void {
    this.#sender?.abort()
  }

  /** The application says something. @throws UsageError on anything but a level, a text and an object. */
  say(level: LogLevel, text: string, fields: LogFields | undefined): void {
    if (!Object.hasOwn(LOG_LEVELS, level)) {
      const levels = Object.keys(LOG_LEVELS).join(', ')
      throw new UsageError(`a record has one of the levels ${levels}, not ${String(level)}`)
    }
    if (typeof text !== 'string') {
      throw new UsageError(`a record has a text, not ${String(text)}`)
    }
    const isObject = typeof fields === 'object' && fields !== null && !Array.isArray(fields)
    if (fields !== undefined && !isObject) {
      throw new UsageError('the fields of a record are an object of names and values')
    }
    this.#tell(level, 'text', { text, fields })
  }

  /** We have joined or left a group. */
  handleGroup(type: 'join' | 'leave', group: string): void {
    if (this.#isWanted('info', type)) this.#tell('info', type, { group })
  }

  /** Something became of an entered peer. @param addresses at which it is for certain: asked of one that collects. */
  handlePeer(event: PeerChange, addresses: (uuid: Uuid) => readonly string[]): void {
    const { type, peer } = event
    switch (type) {
      case 'enter': {
        const header = peer.headers[LOG_HEADER]
        if (header !== undefined) this.#handleCollector(peer.uuid, header, addresses(peer.uuid))
        if (!this.#isWanted('info', type)) return
        const { name, endpoint } = peer
        this.#tell('info', type, { peer, text: name, fields: { name, endpoint } })
        break
      }
      case 'exit':
        this.#handleExit(event)
        break
      case 'join':
      case 'leave':
        if (this.#isWanted('info', type)) this.#tell('info', type, { peer, group: event.group })
        break
      case 'evasive':
      case 'silent': {
        const level = type === 'silent' ? 'warning' : 'info'
        if (!this.#isWanted(level, type)) return
        this.#tell(level, type, { peer, text: peer.name, fields: { name: peer.name } })
        break
      }
    }
  }

  /** Something is not as it should be. */
  handleWarning({ code, text, causes }: WarningEvent): void {
    if (!this.#isWanted('warning', 'warning')) return
    const fields = { code, causes: causes.map((cause) => cause.code) }
    this.#tell('warning', 'warning', { text, fields })
  }

  /** We slept: collectors that are not connected are dialled at once. */
  handleWake(now: number): void {
    this.#sender?.handleWake(now)
  }

  /** We were called so late, or our machine or process slept for so long, or both, which is told once. */
  handleLate({ lateMs, sleptMs }: { readonly lateMs: number; readonly sleptMs: number }): void {
    const ms = Math.round(Math.max(lateMs, sleptMs))
    if (ms <= LATE_MIN_MS || !this.#isWanted('warning', 'late')) return
    const text = `${sleptMs > 0 ? 'slept' : 'stood still'} for ${ms} ms`
    this.#tell('warning', 'late', { text, fields: { lateMs: ms } })
  }

  /** What a developer may want to know. */
  handleTrace(trace: Trace, now: number): void {
    // The exit that follows tells it, or it is told as the detail that it is.
    this.#drop = trace.type === 'drop' ? trace : undefined
    // handleLate() tells it.
    if (trace.type === 'woke') return
    const [level, event] = TRACES[trace.type] ?? DETAIL
    if (this.#isWanted(level, event)) this.#traces.add(trace, now)
  }

  /** Called whenever the node does something in its time: who listens to a channel has said so to nobody. */
  handleTimeout(now: number): void {
    this.#sender?.handleTimeout(now)
    if (this.#endpoint === undefined || !this.#isWanted('info', 'status')) {
      this.#statusAt = NEVER
    } else if (this.#statusAt === NEVER) {
      // What was before is nobody's period.
      this.#handlers.status()
      this.#statusAt = now + STATUS_INTERVAL_MS
    } else if (now >= this.#statusAt) {
      this.#statusAt = now + STATUS_INTERVAL_MS
      const fields = { ...this.#handlers.status() }
      this.#tell('info', 'status', { text: `peers: ${fields.peers}`, fields })
    }
  }

  pollTimeout(): number {
    return Math.min(this.#statusAt, this.#sender?.pollTimeout() ?? NEVER)
  }

  /** What became of it all. */
  diagnostics(): LogDiagnostics {
    const { publish } = this.#options
    const { counters, ...rest } = this.#sender?.diagnostics() ?? NOTHING
    const refused = this.#refusedCount > 0 ? { 'header-refused': this.#refusedCount } : {}
    return { level: this.#level, publish, ...rest, counters: { ...counters, ...refused } }
  }

  #begin(): void {
    const { uuid, name, publish, recordsMax, bytesMax } = this.#options
    const level = this.#level
    // What never leaves this process is for those who listen to its channels, and none of it is kept.
    if (level === 'off' || !publish) return
    const limits = { recordsMax, bytesMax }
    this.#sender = new LogSender(this.#host, { uuid, name, level, ...limits }, this.#handlers)
    this.#connect()
  }

  /** Those too that came while we were starting, or logged nothing. */
  #connect(): void {
    if (this.#endpoint === undefined) return
    this.#sender?.start(this.#endpoint)
    for (const [peer, collecting] of this.#collectors) this.#announce(peer, collecting)
  }

  /** Where we collect ourselves, that is a collector like those of others (log.md 5.9). */
  #handleOwn({ places }: Whereabouts): void {
    const { uuid, header } = this.#options
    if (header === undefined) return
    const addresses = places.map(({ chosen }) => chosen.address)
    this.#handleCollector(uuid, header, addresses)
  }

  #handleCollector(uuid: Uuid, header: string, addresses: readonly string[]): void {
    if (!this.#options.publish) return
    const before = this.#collectors.get(uuid)
    const isRefused = before?.header === header && before.isRefused
    const collecting = { header, addresses, isRefused }
    this.#collectors.set(uuid, collecting)
    if (this.#endpoint !== undefined) this.#announce(uuid, collecting)
  }

  #announce(uuid: Uuid, collecting: Collecting): void {
    const { header, addresses, isRefused } = collecting
    if (this.#sender?.announce(uuid, header, addresses) !== false || isRefused) return
    collecting.isRefused = true
    this.#refusedCount++
  }

  #handleExit({ peer, cause, lost }: PeerEvent & { readonly type: 'exit' }): void {
    const { uuid, name } = peer
    const reason = this.#drop?.uuid === uuid ? this.#drop.reason : undefined
    this.#drop = undefined
    // That we stop is news of ours alone, and told to collectors among them, too.
    if (cause === 'stop') {
      if (this.#isWanted('debug', 'exit')) this.#tell('debug', 'exit', { peer, text: cause })
      return
    }
    const why = reason === undefined ? cause : `${cause}: ${reason}`
    if (this.#isWanted('info', 'exit')) {
      const fields = { name, cause, lost, ...(reason !== undefined && { reason }) }
      this.#tell('info', 'exit', { peer, text: why, fields })
    }
    if (cause === 'restart' && this.#isWanted('info', 'epoch')) {
      this.#tell('info', 'epoch', { peer, text: 'started anew', fields: { type: cause } })
    }
    if (REFUSALS.includes(cause) && this.#isWanted('warning', 'refused')) {
      this.#tell('warning', 'refused', { peer, text: why, fields: { name, cause } })
    }
    if (lost > 0 && this.#isWanted('warning', 'dropped')) {
      const text = `${lost} messages to it may not have been read`
      this.#tell('warning', 'dropped', { peer, text, fields: { name, cause, lost } })
    }
    // Not before it has the records of what became of it.
    if (this.#collectors.delete(uuid)) this.#sender?.forget(uuid)
  }

  #handleTold(trace: Trace): void {
    const { type, uuid, endpoint, reason } = trace
    const [level, event] = TRACES[type] ?? DETAIL
    // That of a seed which has not said who it is, is its endpoint.
    const peer = isUuid(uuid) ? { uuid, endpoint: endpoint ?? '' } : undefined
    const text = reason === undefined ? type : `${type}: ${reason}`
    const fields = { type, ...(endpoint !== undefined && { endpoint }) }
    this.#tell(level, event, { peer, text, fields })
  }

  #isWanted(level: LogLevel, event: LogEventName): boolean {
    return this.#isRecorded(level) || this.#host.channels.hasSubscribers(CHANNELS[event])
  }

  #isRecorded(level: LogLevel): boolean {
    if (this.#sender === undefined || this.#level === 'off') return false
    return LOG_LEVELS[level] <= LOG_LEVELS[this.#level]
  }

  /** Tells whoever wants it; what has first to be put into words asks #isWanted() before. */
  #tell(level: LogLevel, event: LogEventName, rest: Rest): void {
    const { peer, group = '', text = '', fields } = rest
    if (this.#isRecorded(level)) {
      const [number, what] = [LOG_LEVELS[level], LOG_EVENTS[event]]
      this.#sender?.log({ level: number, event: what, peer, group, text, fields })
    }
    const channel = CHANNELS[event]
    if (!this.#host.channels.hasSubscribers(channel)) return
    const { uuid: node, name } = this.#options
    const whom = peer && { uuid: peer.uuid, endpoint: peer.endpoint }
    const observation: Observation = { node, name, level, event, peer: whom, group, text, fields }
    this.#host.channels.publish(channel, observation)
  }
}

const DETAIL: readonly [LogLevel, LogEventName] = ['debug', 'trace']

const CHANNELS = Object.fromEntries(
  Object.keys(LOG_EVENTS).map((event) => [event, `lyre:${event}`]),
) as Readonly<Record<LogEventName, string>>
