// The other side of a log: records of many nodes come over many connections, and go out in one order. It counts what is missing
// by the sequences of each node, knows a node that has begun anew, and estimates by how much each clock is off.
// Spec: log.md 6.

import type { Uuid } from './bytes.ts'
import { WireError } from './errors.ts'
import { Heap, type Heaped } from './heap.ts'
import {
  decodeLog,
  LOG_LEVELS,
  type LogLevel,
  type LogRecord,
  type LogRecordV1,
  type LogRecordV2,
  type LogSource,
  timeMsOf,
  topicOf,
} from './log.ts'
import { Queue } from './queue.ts'

/** What is collected, and how much of it may be held. */
export interface LogCollectorOptions {
  /** This one and those above it. */
  readonly level: LogLevel
  /** How long a record waits for others that are older and come later. */
  readonly holdMs: number
  /** Records that wait; beyond, the oldest goes out at once. */
  readonly heldMax: number
  /** Nodes that are remembered; beyond, the one goes of which nothing was heard for longest. */
  readonly nodesMax: number
}

/** Whose records these are, as far as it is known. */
export interface LoggingNode {
  /** Undefined where it speaks version 1. */
  readonly uuid: Uuid | undefined
  /** hashOf() its endpoint; undefined where it speaks version 2. */
  readonly hash: number | undefined
  /** Empty where it did not say. */
  readonly name: string
  /** Of the connection. */
  readonly address: string
}

/** What comes out, in order of `timeMs`, which is by our clock, in milliseconds since 1970, as well as it can be known. */
export type CollectedEvent =
  | {
      readonly type: 'record'
      readonly node: LoggingNode
      readonly timeMs: number
      readonly record: LogRecord
      /** What we take the clock of the node to be behind ours: added to its own time, it gives `timeMs`. */
      readonly offsetMs: number
    }
  /** So many records of a level, from this sequence on, have not come. Those that still do, come as records. */
  | {
      readonly type: 'gap'
      readonly node: LoggingNode
      readonly timeMs: number
      readonly level: number
      readonly sequence: number
      readonly count: number
    }
  /** The node has begun to count anew: nobody knows how much came after its last record. */
  | {
      readonly type: 'restart'
      readonly node: LoggingNode
      readonly timeMs: number
      readonly epoch: number
    }

/** What to do: subscribe or cancel; send a PING, whose PONG is an answer; or close what does not answer. */
export type LogCollectorEffect =
  | {
      readonly type: 'subscribe' | 'cancel'
      readonly connection: number
      readonly topic: Uint8Array
    }
  | { readonly type: 'ping' | 'close'; readonly connection: number }

/** What is known of a node, and what came of it since it was heard first, or again after it was forgotten. */
export interface LoggingNodeDiagnostics extends LoggingNode {
  /** That came, each once. */
  readonly records: number
  /** Have not come so far, though later ones of their level and epoch have; of version 1, nobody knows. */
  readonly lost: number
  /** How often it has begun to count anew; of version 1, nobody knows. */
  readonly restarts: number
  /** What we take its clock to be behind ours now, in milliseconds; below 0, it is ahead (log.md 6.7). */
  readonly offsetMs: number
  /** How long ago it connected or one of its records came, in whole milliseconds. */
  readonly msAgo: number
}

/** Why a message was not taken: it is a WireError, of a later version, the same in version 1, somebody else's, or came before. */
export type LogRefusal = 'malformed' | 'later' | 'doubled' | 'foreign' | 'duplicate'

/** A clock is looked at by the lowest of its samples of one to two times as long (log.md 6.7). */
const WINDOW_MS = 60_000
/** Gaps that are remembered of one level, so that what still comes is known not to have come before. */
const GAPS_MAX = 64
/** Lives of a node that are known at one time: records of the last one may still be on their way. */
const LIVES_MAX = 2
/** Epochs of a node that are remembered, so that each is told of once; those up to the highest that is forgotten are old. */
const EPOCHS_MAX = 64
/** How long a PUB may be quiet before it is asked, and then have for its answer (log.md 6.10). */
const QUIET_MAX_MS = 10_000
/** How often those that are quiet are looked for; and who does so that much later than he wanted to did not run. */
const SWEEP_MS = 1_000
/** Node and epoch of version 1, which has neither. */
const NO_EPOCH = -1

interface Connection {
  readonly connection: number
  readonly address: string
  readonly source: LogSource | undefined
  /** Whether records of version 2 come over it. */
  isV2: boolean
  /** Whether it can be asked; when it was last heard, and when it was asked since, if it was. */
  readonly answers: boolean
  heardAt: number
  askedAt: number | undefined
}

interface Gap {
  from: number
  to: number
}

/** What came of one level in one life. */
interface Track {
  last: number
  /** A record is never put before the one that its node made before it. */
  timeMs: number
  gaps: Gap[]
}

interface Life {
  readonly epoch: number
  readonly levels: Map<number, Track>
}

/** A clock may be set back, so that an epoch is lower than the one before and still a new one. */
interface Epochs {
  known: number[]
  forgotten: number
}

interface NodeRecord {
  view: LoggingNode
  readonly lives: Life[]
  readonly epochs: Epochs
  records: number
  lost: number
  restarts: number
  heardAt: number
  /** The lowest samples of this window of time and of the one before it. */
  lowestMs: number
  formerMs: number
  windowAt: number
}

interface Held extends Heaped {
  /** Undefined once it went out. */
  event: CollectedEvent | undefined
  readonly timeMs: number
  readonly order: number
  readonly dueAt: number
}

/** When a message came: on the clock that never goes back, and on the one that others have, in milliseconds since 1970. */
export interface Instant {
  readonly now: number
  readonly timeMs: number
}

/** The records of many nodes. */
export class LogCollector {
  readonly #options: LogCollectorOptions
  #level: number
  readonly #connections = new Map<number, Connection>()
  readonly #nodes = new Map<string, NodeRecord>()
  readonly #held = new Heap<Held>(isBefore)
  /** The same in the order in which they came; what went out before its turn is still in it. */
  #arrivals = new Queue<Held>()
  /** How many were put in since it was last rid of what has gone out. */
  #arrivedCount = 0
  #arrival: Held | undefined
  #order = 0
  readonly #effects = new Queue<LogCollectorEffect>()
  /** When to look for those that are quiet; never while nobody can be asked. */
  #sweepAt = Number.POSITIVE_INFINITY
  readonly #refused: Record<LogRefusal, number> = {
    malformed: 0,
    later: 0,
    doubled: 0,
    foreign: 0,
    duplicate: 0,
  }

  constructor(options: LogCollectorOptions) {
    this.#options = options
    this.#level = LOG_LEVELS[options.level]
  }

  // Inputs and commands.

  /** A PUB is connected, and said who it is, or not; it `answers` where it knows PING (log.md 6.10). */
  handleOpen(
    connection: number,
    {
      source,
      address,
      answers,
    }: {
      readonly source: LogSource | undefined
      readonly address: string
      readonly answers: boolean
    },
    { now, timeMs }: Instant,
  ): void {
    const quiet = { answers, heardAt: now, askedAt: undefined }
    const to = { connection, address, source, isV2: source !== undefined, ...quiet }
    this.#connections.set(connection, to)
    if (answers) this.#sweepAt = Math.min(this.#sweepAt, now + SWEEP_MS)
    if (source !== undefined) {
      const node = this.#node(source.node, to, now)
      // What is in the ring of a publisher is old, and says little about its clock; this is of now.
      sample(node, { now, offsetMs: timeMs - source.timeMs })
    }
    for (let level = 1; level <= this.#level; level++) this.#want('subscribe', to, level)
  }

  /** It is not any more. */
  handleClose(connection: number): void {
    this.#connections.delete(connection)
  }

  /** It has answered what it was asked. */
  handleAnswer(connection: number, now: number): void {
    const from = this.#connections.get(connection)
    if (from !== undefined) hear(from, now)
  }

  /** Looks for those that are quiet, if it is time to (log.md 6.10). */
  handleTimeout(now: number): void {
    if (now < this.#sweepAt) return
    const isLate = now - this.#sweepAt > SWEEP_MS
    this.#sweepAt = Number.POSITIVE_INFINITY
    for (const to of this.#connections.values()) {
      if (!to.answers) continue
      this.#sweepAt = now + SWEEP_MS
      if (now - (to.askedAt ?? to.heardAt) < QUIET_MAX_MS) continue
      const { connection } = to
      const type = to.askedAt === undefined || isLate ? 'ping' : 'close'
      this.#effects.push({ type, connection })
      to.askedAt = now
    }
  }

  /** From now on, this level and those above it are wanted. */
  setLevel(name: LogLevel): void {
    const level = LOG_LEVELS[name]
    for (const to of this.#connections.values()) {
      for (let more = this.#level + 1; more <= level; more++) this.#want('subscribe', to, more)
      for (let less = level + 1; less <= this.#level; less++) this.#want('cancel', to, less)
    }
    this.#level = level
  }

  /** A message came. @returns why it is no record to us, if so (log.md 2.1, 2.2, 6.2, 6.3, 6.5). */
  handleMessage(
    connection: number,
    frames: readonly Uint8Array[],
    instant: Instant,
  ): LogRefusal | undefined {
    const from = this.#connections.get(connection)
    if (from === undefined) return undefined
    hear(from, instant.now)
    const refusal = this.#take(from, frames, instant)
    if (refusal !== undefined) this.#refused[refusal]++
    return refusal
  }

  // Outputs.

  /** Whom to ask for what; undefined when all was asked. */
  pollEffect(): LogCollectorEffect | undefined {
    return this.#effects.shift()
  }

  /** What comes next, if its time has come. */
  pollEvent(now: number): CollectedEvent | undefined {
    if (this.#held.items.length > this.#options.heldMax) return this.#release()
    const arrival = this.#oldest()
    // All that is before it in time goes out first, also what came later.
    return arrival !== undefined && arrival.dueAt <= now ? this.#release() : undefined
  }

  /** When to call handleTimeout() and pollEvent() again; Infinity when nothing waits. */
  pollTimeout(): number {
    return Math.min(this.#sweepAt, this.#oldest()?.dueAt ?? Number.POSITIVE_INFINITY)
  }

  /** What is known of each node, and what was not taken. */
  diagnostics(now: number): {
    readonly nodes: readonly LoggingNodeDiagnostics[]
    readonly held: number
    readonly refused: Readonly<Record<LogRefusal, number>>
  } {
    const nodes = [...this.#nodes.values()].map((node) => {
      const { view, records, lost, restarts, heardAt } = node
      const rest = { offsetMs: offsetOf(node), msAgo: Math.round(now - heardAt) }
      return { ...view, records, lost, restarts, ...rest }
    })
    return { nodes, held: this.#held.items.length, refused: { ...this.#refused } }
  }

  #want(type: 'subscribe' | 'cancel', { connection, source }: Connection, level: number): void {
    if (source === undefined) {
      this.#effects.push({ type, connection, topic: topicOf(1, level) })
    }
    this.#effects.push({ type, connection, topic: topicOf(2, level) })
  }

  #take(from: Connection, frames: readonly Uint8Array[], instant: Instant): LogRefusal | undefined {
    let record: LogRecord | undefined
    try {
      record = decodeLog(frames)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      return 'malformed'
    }
    if (record === undefined) return 'later'
    if (record.version === 2) return this.#takeV2(from, record, instant)
    return from.isV2 ? 'doubled' : this.#takeV1(from, record, instant)
  }

  #takeV1(from: Connection, record: LogRecordV1, instant: Instant): undefined {
    const node = this.#node(record.node, from, instant.now)
    const life = node.lives[0] ?? { epoch: NO_EPOCH, levels: new Map() }
    node.lives[0] = life
    const track = trackOf(life, record.level)
    const timeMs = place(node, record, instant)
    track.timeMs = Math.max(track.timeMs, timeMs)
    this.#record(node, { record, timeMs: track.timeMs }, instant.now)
  }

  #takeV2(from: Connection, record: LogRecordV2, instant: Instant): LogRefusal | undefined {
    if (from.source !== undefined && from.source.node !== record.node) return 'foreign'
    from.isV2 = true
    const { now } = instant
    const { epoch, level, sequence } = record
    const node = this.#node(record.node, from, now)
    const known = node.lives.find((life) => life.epoch === epoch)
    const isRestart = known === undefined && isNew(node.epochs, epoch) && node.lives.length > 0
    const life = known ?? { epoch, levels: new Map() }
    if (known === undefined && node.lives.push(life) > LIVES_MAX) node.lives.shift()
    const track = trackOf(life, level)
    const missing = track.last === 0 ? 0 : sequence - track.last - 1
    if (missing < 0) {
      if (!fill(track, sequence)) return 'duplicate'
      node.lost--
      this.#record(node, { record, timeMs: place(node, record, instant) }, now)
      return undefined
    }
    track.timeMs = Math.max(track.timeMs, place(node, record, instant))
    const { timeMs } = track
    if (isRestart) {
      node.restarts++
      this.#hold({ type: 'restart', node: node.view, timeMs, epoch }, now)
    }
    if (missing > 0) {
      node.lost += missing
      const gap = { sequence: track.last + 1, count: missing }
      open(track, { from: gap.sequence, to: sequence - 1 })
      this.#hold({ type: 'gap', node: node.view, timeMs, level, ...gap }, now)
    }
    track.last = sequence
    this.#record(node, { record, timeMs }, now)
    return undefined
  }

  #record(
    node: NodeRecord,
    { record, timeMs }: { readonly record: LogRecord; readonly timeMs: number },
    now: number,
  ): void {
    node.records++
    this.#hold({ type: 'record', node: node.view, timeMs, record, offsetMs: offsetOf(node) }, now)
  }

  /** Of version 1, a node is known by its hash at an address; where it told its name, that is remembered. */
  #node(who: Uuid | number, { address, source }: Connection, now: number): NodeRecord {
    const isV2 = typeof who === 'string'
    const key = isV2 ? who : `${who} ${address}`
    const known = this.#nodes.get(key)
    const name = source?.name ?? known?.view.name ?? ''
    if (known !== undefined) {
      known.heardAt = now
      const { view } = known
      if (view.name !== name || view.address !== address) known.view = { ...view, name, address }
      return known
    }
    if (this.#nodes.size >= this.#options.nodesMax) this.#forget()
    const ids = isV2 ? { uuid: who, hash: undefined } : { uuid: undefined, hash: who }
    const node: NodeRecord = {
      view: { ...ids, name, address },
      lives: [],
      epochs: { known: [], forgotten: Number.NEGATIVE_INFINITY },
      records: 0,
      lost: 0,
      restarts: 0,
      heardAt: now,
      lowestMs: Number.POSITIVE_INFINITY,
      formerMs: Number.POSITIVE_INFINITY,
      windowAt: now,
    }
    this.#nodes.set(key, node)
    return node
  }

  #forget(): void {
    let quietest: string | undefined
    let heardAt = Number.POSITIVE_INFINITY
    for (const [key, node] of this.#nodes) {
      if (node.heardAt >= heardAt) continue
      quietest = key
      heardAt = node.heardAt
    }
    if (quietest !== undefined) this.#nodes.delete(quietest)
  }

  #hold(event: CollectedEvent, now: number): void {
    const dueAt = now + this.#options.holdMs
    const held = { event, timeMs: event.timeMs, order: this.#order++, dueAt, place: -1 }
    this.#held.push(held)
    this.#arrivals.push(held)
    // While the oldest waits, any number of others may come and go out before it.
    if (++this.#arrivedCount <= 2 * Math.max(this.#options.heldMax, this.#held.items.length)) return
    const former = this.#arrivals
    this.#arrivals = new Queue()
    for (let next = former.shift(); next; next = former.shift()) {
      if (next.place >= 0) this.#arrivals.push(next)
    }
    this.#arrivedCount = this.#arrivals.length
  }

  /** The one of all that wait which came first. */
  #oldest(): Held | undefined {
    while (this.#arrival === undefined || this.#arrival.place < 0) {
      this.#arrival = this.#arrivals.shift()
      if (this.#arrival === undefined) return undefined
    }
    return this.#arrival
  }

  #release(): CollectedEvent | undefined {
    const first = this.#held.first as Held
    const { event } = first
    this.#held.remove(first)
    first.event = undefined
    return event
  }
}

function hear(from: Connection, now: number): void {
  from.heardAt = now
  from.askedAt = undefined
}

function isBefore(one: Held, other: Held): boolean {
  const lead = one.timeMs - other.timeMs
  return lead === 0 ? one.order < other.order : lead < 0
}

/** Whether an epoch was not there before; it is from now on. */
function isNew(epochs: Epochs, epoch: number): boolean {
  const { known } = epochs
  if (epoch <= epochs.forgotten || known.includes(epoch)) return false
  if (known.push(epoch) <= EPOCHS_MAX) return true
  epochs.forgotten = Math.min(...known)
  epochs.known = known.filter((each) => each > epochs.forgotten)
  return true
}

function trackOf({ levels }: Life, level: number): Track {
  let track = levels.get(level)
  if (track === undefined) {
    track = { last: 0, timeMs: Number.NEGATIVE_INFINITY, gaps: [] }
    levels.set(level, track)
  }
  return track
}

function open({ gaps }: Track, gap: Gap): void {
  if (gaps.push(gap) > GAPS_MAX) gaps.shift()
}

/** What came late is missing no more. @returns false where it was not missing. */
function fill({ gaps }: Track, sequence: number): boolean {
  const index = gaps.findIndex(({ from, to }) => from <= sequence && sequence <= to)
  const gap = gaps[index]
  if (gap === undefined) return false
  const parts = [
    { from: gap.from, to: sequence - 1 },
    { from: sequence + 1, to: gap.to },
  ]
  gaps.splice(index, 1, ...parts.filter(({ from, to }) => from <= to))
  if (gaps.length > GAPS_MAX) gaps.shift()
  return true
}

/** When a record was made by our clock, after what it says about the other (log.md 6.7). */
function place(node: NodeRecord, record: LogRecord, { now, timeMs }: Instant): number {
  const sentMs = timeMsOf(record)
  sample(node, { now, offsetMs: timeMs - sentMs })
  return sentMs + offsetOf(node)
}

/** Nothing arrives before it was sent: of all differences, the lowest has the least of the way in it. */
function sample(
  node: NodeRecord,
  { now, offsetMs }: { readonly now: number; readonly offsetMs: number },
): void {
  if (now - node.windowAt >= WINDOW_MS) {
    node.formerMs = node.lowestMs
    node.lowestMs = Number.POSITIVE_INFINITY
    node.windowAt = now
  }
  node.lowestMs = Math.min(node.lowestMs, offsetMs)
}

function offsetOf({ lowestMs, formerMs }: NodeRecord): number {
  return Math.min(lowestMs, formerMs)
}
