// `lyre log stats`: what the logs that were saved say of each node: how much it told and how fast, what is missing, whom it lost
// and why, and how long the way to others was.

import type { LogFields, LogLine } from '../index.ts'
import { Bar } from './bar.ts'
import { recall } from './log-history.ts'
import { filterOf, type LogWishes } from './log-settings.ts'
import { clockOf, durationOf, idOf } from './log-words.ts'
import { tableOf } from './table.ts'
import { perform } from './visit.ts'
import { clean, formatTime } from './words.ts'

type RecordLine = Extract<LogLine, { event: 'record' }>

const NAME_LENGTH_MAX = 40
/** Peers of a node of which it is remembered whether they are there. */
const PEERS_MAX = 4_096

/** What `lyre log stats` can be told: of what chooses lines, only that which leaves no gaps. */
export interface StatsSettings extends Pick<LogWishes, 'node' | 'level' | 'since' | 'until'> {
  readonly json?: true
}

/** The verb. */
export function stats(path: string, settings: StatsSettings, signal: AbortSignal): Promise<number> {
  return perform(settings, signal, async ({ say, tell, complain, signal }) => {
    const bar = new Bar({ shown: true })
    const isWanted = filterOf(settings)
    const nodes = new Map<string, NodeStats>()
    const stableIds = new Map<string, string>()
    for await (const lines of recall(path, { bar, complain, signal })) {
      for (const line of lines) {
        const id = idOf(line.node)
        // Who a node is counts wherever it says so.
        const stableId = stableIdOf(line)
        if (stableId !== undefined) stableIds.set(id, stableId)
        if (!isWanted(line)) continue
        const known = nodes.get(id) ?? new NodeStats(id)
        nodes.set(id, known)
        known.add(line)
      }
    }
    const all = joinLives(nodes.values(), stableIds)
    tell({ reply: 'stats', nodes: all.map((node) => node.toJson()) })
    say(reportOf(all))
    return 0
  })
}

/**
 * Lives with the same stable id that follow each other are one node that was started again. Where they overlap, they are two: a
 * disk was copied, or somebody lies.
 */
function joinLives(
  nodes: Iterable<NodeStats>,
  stableIds: ReadonlyMap<string, string>,
): NodeStats[] {
  const latest = new Map<string, NodeStats>()
  const joined: NodeStats[] = []
  for (const node of nodes) {
    const stableId = stableIds.get(node.id)
    const former = stableId === undefined ? undefined : latest.get(stableId)
    if (former !== undefined && former.toMs <= node.fromMs) {
      former.absorb(node)
    } else {
      joined.push(node)
      if (stableId !== undefined) latest.set(stableId, node)
    }
  }
  return joined
}

/** Lowest, highest and sum of durations. */
interface Durations {
  count: number
  sumMs: number
  minMs: number
  maxMs: number
}

/** What came of a level in one life of a node, in numbers that it counted. */
interface Span {
  readonly first: number
  readonly last: number
  readonly count: number
}

/** One node. */
class NodeStats {
  readonly id: string
  name = ''
  readonly events: Record<string, number> = {}
  readonly levels: Record<string, number> = {}
  readonly causes: Record<string, number> = {}
  records = 0
  restarts = 0
  flaps = 0
  fromMs = Number.POSITIVE_INFINITY
  toMs = Number.NEGATIVE_INFINITY
  peak = 0
  offsetMs = 0
  readonly roundTrips: Durations = {
    count: 0,
    sumMs: 0,
    minMs: Number.POSITIVE_INFINITY,
    maxMs: 0,
  }
  /** By how much its event loop was late at most; undefined where it told nothing of that. */
  lagMaxMs: number | undefined
  readonly #spans = new Map<string, Span>()
  /** Of each peer, whether it is there. */
  readonly #peers = new Map<string | number, boolean>()
  #second = 0
  #secondCount = 0

  constructor(id: string) {
    this.id = id
  }

  add(line: LogLine): void {
    if (line.node.name !== '') this.name = line.node.name
    if (line.event === 'restart') {
      this.restarts++
      // Whom it knew before, it has to find again: that is nobody's flapping.
      this.#peers.clear()
    }
    if (line.event === 'record') this.#add(line)
  }

  /** Its next life, under another uuid. */
  absorb(next: NodeStats): void {
    if (next.name !== '') this.name = next.name
    this.records += next.records
    this.restarts += 1 + next.restarts
    this.flaps += next.flaps
    this.fromMs = Math.min(this.fromMs, next.fromMs)
    this.toMs = Math.max(this.toMs, next.toMs)
    this.peak = Math.max(this.peak, next.peak)
    this.offsetMs = next.offsetMs
    if (next.lagMaxMs !== undefined) this.lagMaxMs = Math.max(this.lagMaxMs ?? 0, next.lagMaxMs)
    for (const kind of ['events', 'levels', 'causes'] as const) {
      for (const [key, count] of Object.entries(next[kind])) add(this[kind], key, count)
    }
    for (const [key, span] of next.#spans) this.#spans.set(`${next.id} ${key}`, span)
    const { roundTrips } = this
    roundTrips.count += next.roundTrips.count
    roundTrips.sumMs += next.roundTrips.sumMs
    roundTrips.minMs = Math.min(roundTrips.minMs, next.roundTrips.minMs)
    roundTrips.maxMs = Math.max(roundTrips.maxMs, next.roundTrips.maxMs)
  }

  /** Records that are missing, between those that came. */
  get lost(): number {
    let lost = 0
    for (const { first, last, count } of this.#spans.values()) lost += last - first + 1 - count
    return lost
  }

  /** Records in a second. */
  get rate(): number {
    return this.records / Math.max(1, (this.toMs - this.fromMs) / 1_000)
  }

  toJson() {
    const { name, fromMs, toMs, records, rate, peak, levels, events, lost, restarts } = this
    const { flaps, causes, offsetMs, id, roundTrips, lagMaxMs = null } = this
    const { count, sumMs, minMs, maxMs } = roundTrips
    const measured = { count, minMs, meanMs: sumMs / Math.max(1, count), maxMs }
    const shares = { records, perSecond: Math.round(100 * rate) / 100, perSecondMax: peak }
    return {
      ...{ id, name, fromMs, toMs, ...shares, levels, events },
      ...{ lost, restarts, flaps, exits: causes, offsetMs },
      roundTrips: count === 0 ? null : measured,
      lagMaxMs,
    }
  }

  #add({ time, offsetMs, record }: RecordLine): void {
    const { level, event, epoch, sequence, peer, fields = {} } = record
    this.records++
    this.offsetMs = offsetMs
    this.fromMs = Math.min(this.fromMs, time)
    this.toMs = Math.max(this.toMs, time)
    this.#beat(time)
    add(this.levels, level)
    add(this.events, event)
    if (epoch !== undefined && sequence !== undefined) this.#count(`${epoch} ${level}`, sequence)
    const { cause } = fields
    if (event === 'exit') add(this.causes, typeof cause === 'string' ? cause : 'unknown')
    this.#measure(fields, event)
    if (peer !== undefined && (event === 'enter' || event === 'exit')) this.#see(peer, event)
  }

  #beat(time: number): void {
    const second = Math.floor(time / 1_000)
    if (second !== this.#second) this.#secondCount = 0
    this.#second = second
    this.peak = Math.max(this.peak, ++this.#secondCount)
  }

  #count(key: string, sequence: number): void {
    const { first, last, count } = this.#spans.get(key) ?? {
      first: sequence,
      last: sequence,
      count: 0,
    }
    this.#spans.set(key, {
      first: Math.min(first, sequence),
      last: Math.max(last, sequence),
      count: count + 1,
    })
  }

  /** A status tells of all that was measured since the last one, any other record of one round trip. */
  #measure(fields: LogFields, event: string): void {
    const { roundTrips } = this
    const ofSome = (key: string) => (typeof fields[key] === 'number' ? fields[key] : undefined)
    const lateMs = ofSome(event === 'late' ? 'lateMs' : 'lagMaxMs')
    const isOwn = event === 'status' || event === 'late'
    if (isOwn && lateMs !== undefined) this.lagMaxMs = Math.max(this.lagMaxMs ?? 0, lateMs)
    const meanMs = ofSome('roundTripMs')
    const count = event === 'status' ? (ofSome('roundTrips') ?? 0) : 1
    if (meanMs === undefined || !(count > 0)) return
    const [minMs, maxMs] =
      event === 'status' ? [ofSome('roundTripMinMs'), ofSome('roundTripMaxMs')] : []
    roundTrips.count += count
    roundTrips.sumMs += meanMs * count
    roundTrips.minMs = Math.min(roundTrips.minMs, minMs ?? meanMs)
    roundTrips.maxMs = Math.max(roundTrips.maxMs, maxMs ?? meanMs)
  }

  /** A peer that was there, went, and is there again, has flapped. */
  #see(peer: string | number, event: 'enter' | 'exit'): void {
    if (event === 'enter' && this.#peers.get(peer) === false) this.flaps++
    this.#peers.delete(peer)
    this.#peers.set(peer, event === 'enter')
    const [oldest] = this.#peers.keys()
    if (this.#peers.size > PEERS_MAX && oldest !== undefined) this.#peers.delete(oldest)
  }
}

/** What a node is called over all its starts, where its line tells that. */
function stableIdOf(line: LogLine): string | undefined {
  if (line.event !== 'record' || line.record.event !== 'start') return undefined
  const { stableId } = line.record.fields ?? {}
  return typeof stableId === 'string' ? stableId : undefined
}

function add(counts: Record<string, number>, key: string, count = 1): void {
  counts[key] = (Object.hasOwn(counts, key) ? (counts[key] ?? 0) : 0) + count
}

// Words.

const HEADS = [
  ...['NAME', 'NODE', 'FROM', 'TO', 'RECORDS', 'PER S', 'MOST', 'ERRORS', 'WARNINGS'],
  ...['LOST', 'RESTARTS', 'FLAPS'],
]
const RIGHT = [4, 5, 6, 7, 8, 9, 10, 11]

function reportOf(nodes: readonly NodeStats[]): string {
  const now = Date.now()
  const rows = nodes.map((node) => {
    const { name, id, fromMs, toMs, records, rate, peak, levels, lost, restarts, flaps } = node
    const times = [fromMs, toMs].map((at) => (Number.isFinite(at) ? formatTime({ at, now }) : ''))
    const { error = 0, warning = 0 } = levels
    const counts = [peak, error, warning, lost, restarts, flaps].map(String)
    return [labelOf(name) || shortOf(id), id, ...times, String(records), rate.toFixed(1), ...counts]
  })
  const details = nodes.flatMap((node) => {
    const { name, id, events, causes, roundTrips, lagMaxMs, offsetMs } = node
    const lines = [`events: ${countsOf(events)}`]
    if (Object.keys(causes).length > 0) lines.push(`exits: ${countsOf(causes)}`)
    const { count, sumMs, minMs, maxMs } = roundTrips
    if (count > 0) {
      const figures = [minMs, sumMs / count, maxMs].map((ms) => durationOf(ms))
      lines.push(`round trips: ${figures.join(', ')} (lowest, mean, highest of ${count})`)
    }
    if (lagMaxMs !== undefined) lines.push(`it was late by ${durationOf(lagMaxMs)} at most`)
    lines.push(clockOf(offsetMs))
    return [`${labelOf(name) || shortOf(id)}:`, ...lines.map((line) => `  ${line}`)]
  })
  return [tableOf(HEADS, rows, { right: RIGHT }), '', ...details].join('\n')
}

function labelOf(name: string): string {
  return clean(name, NAME_LENGTH_MAX)
}

/** How a node without a name is called. */
function shortOf(id: string): string {
  return id.includes('@') ? id : id.slice(0, 6)
}

function countsOf(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts).sort(([, one], [, other]) => other - one)
  return entries.map(([name, count]) => `${clean(name, NAME_LENGTH_MAX)} ${count}`).join(', ')
}
