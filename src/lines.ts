// Connections of a service beside the mesh, as gossip and logs have them: each a ZmtpConnection over a stream, accepted or
// dialled; places that are dialled again for as long as they are wanted; and none of them in the way of others. What is said
// over a line is its owner's matter.
// Spec: zmtp.md.

import {
  type Mechanism,
  Places,
  type SocketType,
  type WireError,
  ZmtpConnection,
  type ZmtpEvent,
  type ZmtpLimits,
} from '../protocol/index.ts'
import type { Host, Stream, StreamHandlers, Timer } from './host.ts'
import { LATE_MS, writeOutput } from './mesh.ts'

/** What these connections are, and what they may take. */
export interface LinesOptions {
  readonly limits: ZmtpLimits
  /** Lines that are accepted; of more, the address that most of them come from makes place. */
  readonly acceptedMax: number
  /** The reason under which a line that had to make place is counted. */
  readonly crowded: string
  /** Octets that may wait for one that does not read them: with more it is closed. Unless given, its owner says no more than fits. */
  readonly backlogBytesMax?: number
  /** What a line begins with. */
  begin(isDialled: boolean): { readonly socketType: SocketType; readonly mechanism: Mechanism }
  /** Begins to connect to a place. */
  connect(endpoint: string, handlers: StreamHandlers): Stream
}

/** What lines tell their owner. */
export interface LinesHandlers {
  /** Something was read; the line may be closed by the time its owner has heard of it. */
  event(line: Line, event: Exclude<ZmtpEvent, { type: 'closed' | 'passed' }>, now: number): void
  /** A line is over, whoever has ended it; nothing more is told of it. */
  closed(line: Line): void
  /**
   * What was written to it has left, after much had waited; or it is to be closed behind the last that there is for it.
   * @returns whether there is more than its stream has room for now: this is called again when it has.
   */
  drained(line: Line): boolean
  /** All that has happened at once was told: pollTimeout() may be another. */
  settle(now: number): void
}

/** A place that is dialled until it is dropped. */
export interface Target {
  readonly endpoint: string
  readonly state: 'waiting' | 'dialling' | 'connected'
  /** Our line to it, if there is one. */
  readonly line: Line | undefined
  /** Why the last line failed or was lost. */
  readonly lastError: string | null
}

/** One connection. */
export interface Line {
  readonly connection: number
  /** Undefined where it was accepted. */
  readonly target: Target | undefined
  readonly zmtp: ZmtpConnection
  readonly stream: Stream
  /** Whether it is one of ours: not closed, refused or lost. */
  readonly counts: boolean
}

const BACKOFF_MIN_MS = 100
const BACKOFF_MAX_MS = 5_000
/** A connection that lived so long was a good one: the next attempt begins with the shortest back-off. */
const STABLE_MS = 10_000
/** Messages of one connection in a row, before others have their turn. */
const MESSAGES_AT_ONCE = 128
const NEVER = Number.POSITIVE_INFINITY
const CLOSED_BY_US = 'closed by us'

class KeptTarget implements Target {
  readonly endpoint: string
  line: OwnLine | undefined = undefined
  lastError: string | null = null
  dialAt = NEVER
  upAt = 0
  failureCount = 0

  constructor(endpoint: string) {
    this.endpoint = endpoint
  }

  get state(): Target['state'] {
    if (this.line === undefined) return 'waiting'
    return this.line.zmtp.ready ? 'connected' : 'dialling'
  }
}

interface OwnLine extends Line {
  readonly target: KeptTarget | undefined
  stream: Stream
  counts: boolean
  isOpen: boolean
  resting: boolean
  /** By when it is closed whatever has not left, once it was dropped. */
  lingerTimer: Timer | undefined
}

/** The lines of one service; those that it has stopped are closed, and it may begin anew. */
export class Lines {
  readonly #host: Host
  readonly #options: LinesOptions
  readonly #handlers: LinesHandlers
  readonly #lines = new Map<number, OwnLine>()
  readonly #targets = new Map<string, KeptTarget>()
  /** Those that are closed behind what there is for them, until we have heard of their end. */
  readonly #leaving = new Set<OwnLine>()
  readonly #accepted: Places<number>
  readonly #counters = new Map<string, number>()
  /** No line and no target has anything to do before: to look at each whenever one is read would cost the square of their number. */
  #wakeAt = NEVER
  #lineCount = 0
  /** Streams whose end we have not heard of. */
  #streamCount = 0
  #allClosed: (() => void) | undefined

  constructor(host: Host, options: LinesOptions, handlers: LinesHandlers) {
    this.#host = host
    this.#options = options
    this.#handlers = handlers
    this.#accepted = new Places(options.acceptedMax)
  }

  /** Places that are dialled. */
  get targets(): readonly Target[] {
    return [...this.#targets.values()]
  }

  /** How many lines were accepted and live. */
  get acceptedCount(): number {
    return this.#accepted.count
  }

  /** How often a line was refused or closed, by reason. */
  get counters(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counters)
  }

  /** The line of that number, if it lives. */
  line(connection: number): Line | undefined {
    return this.#lines.get(connection)
  }

  /** Dials a place, now and whenever the line to it is lost. */
  keep(endpoint: string): void {
    if (this.#targets.has(endpoint)) return
    const target = new KeptTarget(endpoint)
    this.#targets.set(endpoint, target)
    this.#dial(target)
  }

  /** Closes the line to a place, once all that there is for it has left or `lingerMs` are over, and dials it no more. */
  drop(endpoint: string, lingerMs = 0): void {
    const target = this.#targets.get(endpoint)
    if (target === undefined) return
    this.#targets.delete(endpoint)
    const { line } = target
    if (line === undefined) return
    this.#leave(line, lingerMs)
    if (!this.#leaving.has(line)) return
    const { clock } = this.#host
    line.lingerTimer = clock.timer(() => this.#close(line, CLOSED_BY_US))
    line.lingerTimer.set(clock.now() + lingerMs)
  }

  /** Takes a connection that somebody else has begun. */
  accept(stream: Stream): StreamHandlers {
    const line = this.#create(undefined)
    line.stream = stream
    line.isOpen = true
    const evicted = this.#accepted.take(line.connection, stream.remoteAddress)
    const last = evicted === undefined ? undefined : this.#lines.get(evicted)
    if (last !== undefined) this.close(last.connection, this.#options.crowded)
    if (line.counts) this.#write(line)
    this.#handlers.settle(this.#host.clock.now())
    return this.#handlersOf(line)
  }

  /** Closes a line for something that is its other side's fault, and counts that. */
  close(connection: number, reason: string): void {
    const line = this.#lines.get(connection)
    if (line === undefined) return
    this.#count(reason)
    this.#close(line, reason)
  }

  /** Closes a line whose other side broke the protocol: it is told so where ZMTP can. */
  refuse(connection: number, error: WireError): void {
    const line = this.#lines.get(connection)
    if (line === undefined) return
    this.#count(`refused: ${error.rule}`)
    this.#remove(line, error.message)
    writeOutput(line)
    line.stream.end()
    this.#host.clock.defer(() => line.stream.destroy())
  }

  /** Gives a line's stream what there is for it. @returns octets that have not left. */
  flush(connection: number): number {
    const line = this.#lines.get(connection)
    if (line === undefined) return 0
    this.#write(line)
    return line.stream.backlogBytes
  }

  /** Gives all streams what there is for them. */
  flushAll(): void {
    for (const line of this.#lines.values()) if (line.zmtp.outputBytes > 0) this.#write(line)
  }

  /** We slept, or our network was away: places that are not connected are dialled anew, without waiting, and nobody is late. */
  renew(now: number): void {
    this.#excuse(now)
    for (const target of this.#targets.values()) {
      const { line } = target
      target.failureCount = 0
      if (line?.zmtp.ready) continue
      if (line !== undefined) this.#close(line, 'we slept while it was dialled')
      this.#dial(target)
    }
  }

  /** @param dueAt when its owner wanted to call: long ago, we did not run ourselves, and what did not come in time may have come. */
  handleTimeout(now: number, dueAt: number): void {
    if (now - dueAt > LATE_MS) this.#excuse(now)
    if (now < this.#wakeAt) return
    for (const line of [...this.#lines.values()]) {
      if (now < line.zmtp.pollTimeout()) continue
      line.zmtp.handleTimeout(now)
      this.#read(line, now)
    }
    for (const target of this.#targets.values()) if (now >= target.dialAt) this.#dial(target)
    this.#wakeAt = NEVER
    for (const { zmtp } of this.#lines.values()) this.#wakeBy(zmtp.pollTimeout())
    for (const { dialAt } of this.#targets.values()) this.#wakeBy(dialAt)
  }

  /** It may be sooner than there is something to do. */
  pollTimeout(): number {
    return this.#wakeAt
  }

  /** Closes everything, once all that there is has left or `lingerMs` are over, and waits for the end of each. */
  async stop(lingerMs = 0): Promise<void> {
    this.#targets.clear()
    for (const line of [...this.#lines.values()]) {
      if (!this.#leaving.has(line)) this.#leave(line, lingerMs)
    }
    if (this.#streamCount === 0) return
    const { clock } = this.#host
    const timer = clock.timer(() => this.abort())
    if (lingerMs > 0) timer.set(clock.now() + lingerMs)
    else this.abort()
    await new Promise<void>((resolve) => (this.#allClosed = resolve))
    timer.set(NEVER)
  }

  /** Ends the lingering of drop() and stop(). */
  abort(): void {
    for (const line of [...this.#leaving]) this.#close(line, CLOSED_BY_US)
  }

  #excuse(now: number): void {
    for (const { zmtp } of this.#lines.values()) zmtp.excuse(now)
  }

  #leave(line: OwnLine, lingerMs: number): void {
    if (lingerMs === 0 || !line.zmtp.ready) {
      this.#close(line, CLOSED_BY_US)
      return
    }
    this.#leaving.add(line)
    this.#finish(line)
  }

  /** Its stream ends behind the last that its owner has for it. */
  #finish(line: OwnLine): void {
    if (this.#handlers.drained(line) || !line.counts) return
    this.#remove(line, CLOSED_BY_US)
    line.stream.end()
  }

  #dial(target: KeptTarget): void {
    target.dialAt = NEVER
    const line = this.#create(target)
    target.line = line
    line.stream = this.#options.connect(target.endpoint, this.#handlersOf(line))
  }

  /** Its stream is set before anything else is done with it. */
  #create(target: KeptTarget | undefined): OwnLine {
    const { limits } = this.#options
    const begun = this.#options.begin(target !== undefined)
    const zmtp = new ZmtpConnection({ ...begun, limits }, this.#host.clock.now())
    const connection = ++this.#lineCount
    const stream = undefined as unknown as Stream
    const state = { counts: true, isOpen: false, resting: false, lingerTimer: undefined }
    const line: OwnLine = { connection, target, zmtp, stream, ...state }
    this.#lines.set(connection, line)
    this.#wakeBy(zmtp.pollTimeout())
    this.#streamCount++
    return line
  }

  #handlersOf(line: OwnLine): StreamHandlers {
    const { clock } = this.#host
    return {
      open: () => {
        line.isOpen = true
        if (line.counts) this.#write(line)
      },
      receive: (bytes) => {
        if (!line.counts) return
        const now = clock.now()
        line.zmtp.handleBytes(bytes, now)
        if (!line.resting) this.#read(line, now)
        this.#handlers.settle(now)
      },
      drain: () => {
        line.zmtp.drained()
        if (!line.counts) return
        if (this.#leaving.has(line)) this.#finish(line)
        else this.#handlers.drained(line)
        this.#handlers.settle(clock.now())
      },
      close: (reason) => {
        line.lingerTimer?.set(NEVER)
        this.#leaving.delete(line)
        if (--this.#streamCount === 0) this.#allClosed?.()
        if (!line.counts) return
        this.#remove(line, line.zmtp.ready ? reason : `${reason} before the handshake was done`)
        this.#handlers.settle(clock.now())
      },
    }
  }

  #read(line: OwnLine, now: number): void {
    for (let count = 0; line.counts; count++) {
      if (count === MESSAGES_AT_ONCE) {
        this.#rest(line)
        return
      }
      const event = line.zmtp.pollEvent(now)
      if (event === undefined) break
      if (event.type === 'closed') this.refuse(line.connection, event.error)
      else if (event.type !== 'passed') {
        if (event.type === 'ready' && line.target !== undefined) line.target.upAt = now
        this.#handlers.event(line, event, now)
      }
    }
    if (!line.counts) return
    this.#wakeBy(line.zmtp.pollTimeout())
    this.#write(line)
  }

  /** It goes on once others had their turn. */
  #rest(line: OwnLine): void {
    line.resting = true
    line.stream.pause()
    this.#write(line)
    this.#host.clock.defer(() => {
      line.resting = false
      if (!line.counts) return
      line.stream.resume()
      const now = this.#host.clock.now()
      this.#read(line, now)
      this.#handlers.settle(now)
    })
  }

  #write(line: OwnLine): void {
    if (!line.isOpen) return
    writeOutput(line)
    if (line.stream.backlogBytes <= (this.#options.backlogBytesMax ?? NEVER)) return
    this.#count('it does not read')
    this.#close(line, 'it does not read what we tell it')
  }

  #close(line: OwnLine, reason: string): void {
    if (line.counts) this.#remove(line, reason)
    line.stream.destroy()
  }

  #remove(line: OwnLine, reason: string): void {
    const { connection, target } = line
    line.counts = false
    this.#lines.delete(connection)
    this.#accepted.free(connection)
    this.#handlers.closed(line)
    if (target === undefined) return
    target.line = undefined
    target.lastError = reason
    if (this.#targets.get(target.endpoint) !== target) return
    const now = this.#host.clock.now()
    if (line.zmtp.ready && now - target.upAt >= STABLE_MS) target.failureCount = 0
    // All that were connected to one place lose it together, and need not come back together.
    const share = 0.5 + (this.#host.random(1)[0] ?? 0) / 0x1ff
    const waitMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** target.failureCount++)
    target.dialAt = now + waitMs * share
    this.#wakeBy(target.dialAt)
  }

  #wakeBy(at: number): void {
    this.#wakeAt = Math.min(this.#wakeAt, at)
  }

  #count(reason: string): void {
    this.#counters.set(reason, (this.#counters.get(reason) ?? 0) + 1)
  }
}
