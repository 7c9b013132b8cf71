// What was saved, as one history: records of many nodes and of several lives of their collector in the order of their time, each
// once, with what is missing between them. It is read a little at a time, however long it is.

import type { LogLine } from '../index.ts'
import type { Bar } from './bar.ts'
import { filesOf, readFiles, readingOf } from './log-archive.ts'
import { isDatabase, LogDatabase } from './log-database.ts'

type RecordLine = Extract<LogLine, { event: 'record' }>

/** Lines that are put in order at a time: what is no further from its place than half of them comes out in order. */
const SORTED_COUNT = 32_768
/** Gaps of one level that are remembered, so that what fills one is known. */
const GAPS_MAX = 65_536

/** What came of one level in one life of a node. */
interface Track {
  first: number
  last: number
  timeMs: number
  gaps: { from: number; to: number }[]
  /** Up to here, nobody knows any more what was missing. */
  forgotten: number
  /** The last one that was given. */
  given: number | undefined
}

interface Entry {
  readonly line: RecordLine
  readonly track: Track | undefined
  /** When it has its turn: never before what its node recorded before it. */
  readonly timeMs: number
}

/** What is read, and how far it has come, from 0 to 1. */
interface Source {
  lines(): AsyncIterable<LogLine[]> | Iterable<LogLine[]>
  share(count: number): number
  /** Lines that could not be read. */
  unreadable(): number
  close(): void
}

/**
 * Reads a folder of logs, a file of one, or a database.
 * @param options `complain` hears of lines that could not be read.
 * @throws Error where there is nothing to read; the signal's reason.
 */
export async function* recall(
  path: string,
  options: {
    readonly signal: AbortSignal
    readonly bar: Bar
    readonly complain: (why: string) => void
  },
): AsyncGenerator<LogLine[], void> {
  const { signal, bar, complain } = options
  const source = await open(path)
  const past = new Past()
  let count = 0
  try {
    for await (const lines of source.lines()) {
      signal.throwIfAborted()
      count += lines.length
      bar.draw(source.share(count), [`${count} records`])
      const given = past.take(lines)
      if (given.length > 0) yield given
    }
    bar.clear()
    yield past.end()
    const unreadable = source.unreadable()
    if (unreadable > 0 && count === 0) throw new Error(`${path} is no log`)
    if (unreadable > 0) complain(`lines in ${path} that are not of a log: ${unreadable}`)
  } finally {
    bar.clear()
    source.close()
  }
}

async function open(path: string): Promise<Source> {
  if (isDatabase(path)) {
    const database = await LogDatabase.read(path)
    const total = Math.max(1, database.count)
    return {
      lines: () => database.lines(),
      share: (count) => count / total,
      unreadable: () => 0,
      close: () => database.close(),
    }
  }
  const files = filesOf(path)
  const reading = readingOf(files)
  return {
    lines: () => readFiles(files, reading),
    share: () => reading.bytes / Math.max(1, reading.bytesTotal),
    unreadable: () => reading.unreadable,
    close: () => {},
  }
}

/** Puts lines in order. What their collector knew of gaps is left out: here, more is known. */
class Past {
  readonly #tracks = new Map<string, Track>()
  /** Lives of each node, as far as they were given. */
  readonly #lives = new Map<string, Set<number>>()
  #entries: Entry[] = []

  /** Takes more of them. @returns what has its turn. */
  take(lines: readonly LogLine[]): LogLine[] {
    for (const line of lines) if (line.event === 'record') this.#add(line)
    if (this.#entries.length < SORTED_COUNT) return []
    this.#sort()
    return this.#give(this.#entries.splice(0, SORTED_COUNT / 2))
  }

  /** No more come. @returns the rest. */
  end(): LogLine[] {
    this.#sort()
    return this.#give(this.#entries.splice(0))
  }

  #add(line: RecordLine): void {
    const { node, record, time } = line
    const { epoch, sequence, level } = record
    if (node.uuid === undefined || epoch === undefined || sequence === undefined) {
      this.#entries.push({ line, track: undefined, timeMs: time })
      return
    }
    const key = `${node.uuid} ${epoch} ${level}`
    let track = this.#tracks.get(key)
    if (track === undefined) {
      const rest = { gaps: [], forgotten: Number.NEGATIVE_INFINITY, given: undefined }
      track = { first: sequence, last: sequence - 1, timeMs: time, ...rest }
      this.#tracks.set(key, track)
    }
    const timeMs = place(track, sequence, time)
    if (timeMs !== undefined) this.#entries.push({ line, track, timeMs })
  }

  /** It is stable: what came first goes first. */
  #sort(): void {
    this.#entries.sort((one, other) => one.timeMs - other.timeMs)
  }

  #give(entries: readonly Entry[]): LogLine[] {
    const lines: LogLine[] = []
    for (const { line, track, timeMs } of entries) {
      const { node, record } = line
      const { epoch, sequence, level } = record
      if (track !== undefined && epoch !== undefined && sequence !== undefined) {
        const head = { time: timeMs, node }
        if (this.#isNew(String(node.uuid), epoch)) lines.push({ event: 'restart', ...head, epoch })
        // What is before the first that is given is no gap: nobody knows since when it was collected.
        const from = (track.given ?? sequence - 1) + 1
        const count = sequence - from
        if (count > 0) lines.push({ event: 'gap', ...head, level, sequence: from, count })
        track.given = Math.max(from - 1, sequence)
      }
      lines.push(timeMs === line.time ? line : { ...line, time: timeMs })
    }
    return lines
  }

  /** Whether this is another life of a node than those before. */
  #isNew(uuid: string, epoch: number): boolean {
    const lives = this.#lives.get(uuid)
    if (lives === undefined) {
      this.#lives.set(uuid, new Set([epoch]))
      return false
    }
    return !lives.has(epoch) && lives.add(epoch).size > 1
  }
}

/** When a record has its turn; undefined where it came before. */
function place(track: Track, sequence: number, time: number): number | undefined {
  const { gaps } = track
  if (sequence > track.last) {
    if (sequence > track.last + 1) gaps.push({ from: track.last + 1, to: sequence - 1 })
    forget(track)
    track.last = sequence
    // From one life of the collector to the next, a clock may be estimated otherwise.
    track.timeMs = Math.max(track.timeMs, time)
    return track.timeMs
  }
  if (sequence < track.first) {
    if (sequence + 1 < track.first) gaps.unshift({ from: sequence + 1, to: track.first - 1 })
    forget(track)
    track.first = sequence
    return time
  }
  const index = gaps.findLastIndex(({ from, to }) => from <= sequence && sequence <= to)
  const gap = gaps[index]
  if (gap === undefined) return sequence <= track.forgotten ? time : undefined
  const parts = [
    { from: gap.from, to: sequence - 1 },
    { from: sequence + 1, to: gap.to },
  ]
  gaps.splice(index, 1, ...parts.filter(({ from, to }) => from <= to))
  forget(track)
  return time
}

/** Of too many gaps the oldest goes; what may fill it is given, also where that came before. */
function forget(track: Track): void {
  if (track.gaps.length <= GAPS_MAX) return
  const gap = track.gaps.shift()
  track.forgotten = Math.max(track.forgotten, gap?.to ?? track.forgotten)
}
