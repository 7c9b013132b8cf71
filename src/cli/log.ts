// `lyre log`: collects the logs of all nodes that tell theirs, shows them as they come, and saves them, in this order: what was
// shown was saved.

import { createCollector, type LoggingNodeDiagnostics, type LogLine } from '../index.ts'
import { Archive, ROTATION } from './log-archive.ts'
import { LogDatabase } from './log-database.ts'
import { filterOf, type LogWishes } from './log-settings.ts'
import { clockOf, LogWords } from './log-words.ts'
import { type NodeSettings, nodeOptions } from './settings.ts'
import { tableOf } from './table.ts'
import { perform, type Stage } from './visit.ts'
import { clean, warningLines } from './words.ts'

/** What `lyre log` can be told. */
export interface LogSettings extends NodeSettings, LogWishes {
  readonly listen?: string
  /** Milliseconds. */
  readonly hold?: number
  /** A folder. */
  readonly save?: string
  /** Octets, and milliseconds. */
  readonly rotateSize?: number
  readonly rotateTime?: number
  /** A file. */
  readonly sqlite?: string
}

/** When nobody has come so long, it is said why, as far as it is known. */
const ALONE_MS = 5_000
/** Lines that wait for a reader who is slow; beyond, they are counted. They are saved in any case. */
const WAITING_MAX = 10_000
const NAME_LENGTH_MAX = 40

/** The verb. It ends with 0 when it is asked to leave, and with 1 when records could not be saved. */
export function collect(settings: LogSettings, signal: AbortSignal): Promise<number> {
  const { level, listen, hold } = settings
  const collector = createCollector({
    ...(level !== undefined && { level }),
    ...(listen !== undefined && { listen }),
    ...(hold !== undefined && { holdMs: hold }),
    node: { lonelyAfterMs: ALONE_MS, ...nodeOptions(settings) },
  })
  return perform(settings, signal, async (stage) => {
    const { say, tell, signal, complain } = stage
    const stores = await openStores(settings, complain)
    const board = new Board(stage, filterOf(settings))
    let batch: LogLine[] = []
    let known: ReturnType<typeof collector.diagnostics> = null
    const count = () => {
      known = collector.diagnostics() ?? known
    }
    const flush = () => {
      const lines = batch
      batch = []
      for (const store of stores) store.add(lines)
      for (const line of lines) board.show(line)
      // What comes while it stops counts, too; once it has, nobody can be asked.
      if (signal.aborted) count()
    }
    // All that comes at once is written at once.
    const take = (line: LogLine) => {
      if (batch.push(line) === 1) queueMicrotask(flush)
    }
    collector.on('record', take).on('gap', take).on('restart', take)
    try {
      await collector.start({ signal })
      const { lyre } = collector
      const { endpoints = [] } = collector.diagnostics() ?? {}
      const { uuid = '', name = '', headers = {} } = lyre ?? {}
      lyre?.on('warning', (warning) => {
        tell({ event: 'warning', time: Date.now(), code: warning.code, text: warning.text })
        for (const line of warningLines(warning)) say(board.notice(line))
      })
      tell({ event: 'start', time: Date.now(), uuid, name, headers, endpoints })
      say(board.notice(`collecting as ${clean(name)} at ${endpoints.join(', ')}`))
      await aborted(signal)
      count()
      await collector.stop()
      flush()
      const { nodes = [], refused = {}, counters = {} } = known ?? {}
      tell({ event: 'stop', time: Date.now(), nodes, refused, counters })
      if (nodes.length > 0) say(tableOf(HEADS, nodes.map(cellsOf), { right: RIGHT }))
      const strange = countsOf(refused, STRANGE)
      if (strange !== '') say(`messages that were not taken: ${strange}`)
      const closed = countsOf(counters)
      if (closed !== '') say(`connections that were refused or closed: ${closed}`)
    } finally {
      await collector.stop()
      for (const store of stores) store.close()
    }
    return stores.some((store) => store.isIncomplete) ? 1 : 0
  })
}

const HEADS = ['NAME', 'UUID', 'ADDRESS', 'RECORDS', 'LOST', 'RESTARTS', 'CLOCK']
const RIGHT = [3, 4, 5]

/** Messages that are nobody's second copy. */
const STRANGE = ['malformed', 'foreign', 'later']

/** `malformed 3, later 1`; empty where there were none. */
function countsOf(counts: Readonly<Record<string, number>>, names = Object.keys(counts)): string {
  const told = names.filter((name) => (counts[name] ?? 0) > 0)
  return told.map((name) => `${name} ${counts[name]}`).join(', ')
}

function cellsOf(node: LoggingNodeDiagnostics): string[] {
  const { name, uuid, hash, address, records, lost, restarts, offsetMs } = node
  const counts = [records, lost, restarts].map(String)
  const id = uuid ?? hash?.toString(16).padStart(4, '0') ?? ''
  const clock = Number.isFinite(offsetMs) ? clockOf(offsetMs) : ''
  return [clean(name, NAME_LENGTH_MAX), id, address, ...counts, clock]
}

/** Where records are kept. It throws nothing: whoever collects goes on. */
interface Store {
  add(lines: readonly LogLine[]): void
  /** Whether something was lost. */
  readonly isIncomplete: boolean
  close(): void
}

/** @throws Error that says why one cannot be had. */
async function openStores(
  settings: LogSettings,
  complain: (why: string) => void,
): Promise<Store[]> {
  const { save, sqlite, rotateSize = ROTATION.bytesMax, rotateTime = ROTATION.ageMaxMs } = settings
  const stores: Store[] = []
  // Before the folder, as it may not be there at all.
  if (sqlite !== undefined) stores.push(databaseOf(await LogDatabase.open(sqlite), complain))
  if (save === undefined) return stores
  const rotation = { bytesMax: rotateSize, ageMaxMs: rotateTime }
  const archive = new Archive(save, rotation, {
    failed: ({ message }) => {
      complain(`cannot save to ${save}: ${message}; collecting goes on, and so do attempts to save`)
    },
    recovered: (count) => complain(`saving to ${save} works again; ${count} lines were lost`),
  })
  // First: it is the record, the database may be filled from it later.
  stores.unshift({
    add: (lines) => archive.add(lines),
    get isIncomplete() {
      return archive.counts.lost > 0
    },
    close: () => archive.close(),
  })
  return stores
}

function databaseOf(database: LogDatabase, complain: (why: string) => void): Store {
  let isIncomplete = false
  let isFailing = false
  return {
    add(lines) {
      try {
        database.add(lines)
        isFailing = false
      } catch (error) {
        if (!isFailing) complain(`the database cannot be written: ${(error as Error).message}`)
        isFailing = true
        isIncomplete = true
      }
    },
    get isIncomplete() {
      return isIncomplete
    },
    close: () => database.close(),
  }
}

/** Shows lines as fast as they are read. */
class Board {
  readonly #stage: Stage
  readonly #isWanted: (line: LogLine) => boolean
  readonly #words = new LogWords()
  #waiting: LogLine[] = []
  #overrunCount = 0
  #isBusy = false

  constructor(stage: Stage, isWanted: (line: LogLine) => boolean) {
    this.#stage = stage
    this.#isWanted = isWanted
  }

  show(line: LogLine): void {
    // Whoever is not shown may be somebody's peer.
    this.#words.nameOf(line.node)
    if (!this.#isWanted(line)) return
    if (!this.#isBusy) this.#write(line)
    else if (this.#waiting.length < WAITING_MAX) this.#waiting.push(line)
    else this.#overrunCount++
  }

  notice(text: string): string {
    return this.#words.notice(text, Date.now())
  }

  #write(line: LogLine): void {
    const { say, tell, output } = this.#stage
    say(this.#words.describe(line))
    tell(line)
    const ready = output.ready()
    if (ready === undefined) return
    this.#isBusy = true
    ready.then(() => this.#goOn()).catch(() => {})
  }

  #goOn(): void {
    this.#isBusy = false
    const lines = this.#waiting
    const count = this.#overrunCount
    this.#waiting = []
    this.#overrunCount = 0
    for (const line of lines) this.show(line)
    if (count === 0) return
    const { say, tell } = this.#stage
    say(this.notice(`too much at once: ${count} not shown`))
    tell({ event: 'overrun', count })
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
