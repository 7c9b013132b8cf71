// A database of logs, by the SQLite that newer versions of Node.js have. A record is in it once, however often it is added: what a
// node counts tells them apart. What is missing is seen from the numbers alone, so gaps are a view.

import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import type { LogLine } from '../index.ts'

/** What we use of node:sqlite, whose types came with Node.js 22. */
interface Database {
  exec(sql: string): void
  prepare(sql: string): Statement
  close(): void
}

interface Statement {
  run(...values: readonly Value[]): { readonly changes: number | bigint }
  all(...values: readonly Value[]): Readonly<Record<string, Value>>[]
}

type Value = string | number | null

type Sqlite = {
  readonly DatabaseSync: new (path: string, options: { readonly readOnly: boolean }) => Database
}
type RecordLine = Extract<LogLine, { event: 'record' }>

const MAGIC = 'SQLite format 3\0'
/** Records that are read at a time. */
const PAGE_COUNT = 2_000
const PATIENCE = 'PRAGMA busy_timeout = 5000;'
const SCHEMA = `
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS records (
  id INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,       -- by the clock of the collector, in milliseconds since 1970
  node TEXT NOT NULL,          -- uuid; of version 1, hash@address
  name TEXT NOT NULL,
  address TEXT NOT NULL,
  version INTEGER NOT NULL,
  level TEXT NOT NULL,
  event TEXT NOT NULL,
  epoch INTEGER NOT NULL,      -- of version 1, its time
  sequence INTEGER NOT NULL,   -- of version 1, which one of that time
  sent INTEGER NOT NULL,       -- by the clock of the node
  offset_ms INTEGER NOT NULL,
  peer,
  group_name TEXT,
  text TEXT NOT NULL,
  fields TEXT,
  UNIQUE (node, epoch, level, sequence)
);
CREATE INDEX IF NOT EXISTS records_by_time ON records (time, id);
CREATE VIEW IF NOT EXISTS gaps AS
SELECT node, name, level, epoch, before + 1 AS sequence, sequence - before - 1 AS count, time
FROM (
  SELECT *, lag(sequence) OVER (PARTITION BY node, epoch, level ORDER BY sequence) AS before
  FROM records WHERE version = 2
)
WHERE sequence - before > 1;`
const FIND_TABLE = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'records'"
const COLUMNS = [
  ...['time', 'node', 'name', 'address', 'version', 'level', 'event', 'epoch', 'sequence', 'sent'],
  ...['offset_ms', 'peer', 'group_name', 'text', 'fields'],
]

/** Whether a file is a database. */
export function isDatabase(path: string): boolean {
  if (!existsSync(path)) return false
  const octets = new Uint8Array(MAGIC.length)
  const file = openSync(path, 'r')
  try {
    readSync(file, octets, 0, octets.length, 0)
  } catch {
    // A folder.
    return false
  } finally {
    closeSync(file)
  }
  return Buffer.from(octets).toString('latin1') === MAGIC
}

/** Records in a file. */
export class LogDatabase {
  readonly #database: Database
  readonly #insert: Statement
  /** Of version 1, how many records of a node and level had the same time. */
  readonly #alike = new Map<string, { time: number; count: number }>()

  private constructor(database: Database) {
    this.#database = database
    const marks = COLUMNS.map(() => '?').join(', ')
    this.#insert = database.prepare(
      `INSERT OR IGNORE INTO records (${COLUMNS.join(', ')}) VALUES (${marks})`,
    )
  }

  /**
   * A database to add to, which is made where there is none.
   * @throws Error that says why, where this Node.js has no SQLite, or the file is no database of logs and cannot become one.
   */
  static open(path: string): Promise<LogDatabase> {
    return LogDatabase.#open(path, SCHEMA)
  }

  /** A database to read from, which is left as it is. @throws Error as open() does. */
  static read(path: string): Promise<LogDatabase> {
    return LogDatabase.#open(path, undefined)
  }

  static async #open(path: string, schema: string | undefined): Promise<LogDatabase> {
    const { DatabaseSync } = await sqlite()
    let database: Database | undefined
    try {
      database = new DatabaseSync(path, { readOnly: schema === undefined })
      database.exec(PATIENCE)
      if (schema !== undefined) database.exec(schema)
      const [table] = database.prepare(FIND_TABLE).all()
      if (table === undefined) throw new Error('it has no table records, so it is none of logs')
      return new LogDatabase(database)
    } catch (cause) {
      database?.close()
      throw new Error(`cannot use ${path} as a database: ${(cause as Error).message}`, { cause })
    }
  }

  /** Adds records; lines about those that did not come are left out. @returns how many were not there. */
  add(lines: readonly LogLine[]): number {
    let added = 0
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      for (const line of lines) {
        if (line.event !== 'record') continue
        added += Number(this.#insert.run(...this.#valuesOf(line)).changes)
      }
      this.#database.exec('COMMIT')
    } catch (error) {
      this.#undo()
      throw error
    }
    return added
  }

  /** How many records there are. */
  get count(): number {
    const [row] = this.#database.prepare('SELECT count(*) AS count FROM records').all()
    const { count } = row ?? {}
    return Number(count)
  }

  /** All records in the order of their time, some at a time. */
  *lines(): Generator<LogLine[], void> {
    const page = this.#database.prepare(
      `SELECT id, ${COLUMNS.join(', ')} FROM records WHERE (time, id) > (?, ?)
       ORDER BY time, id LIMIT ${PAGE_COUNT}`,
    )
    let place: readonly [Value, Value] = [Number.MIN_SAFE_INTEGER, 0]
    for (;;) {
      const rows = page.all(...place)
      const { time, id } = rows.at(-1) ?? {}
      if (time === undefined || id === undefined) return
      place = [time, id]
      yield rows.map(lineOf)
    }
  }

  close(): void {
    this.#database.close()
  }

  /** A disk that is full has undone it already. */
  #undo(): void {
    try {
      this.#database.exec('ROLLBACK')
    } catch {}
  }

  #valuesOf({ time, offsetMs, node, record }: RecordLine): Value[] {
    const { version, level, event, peer = null, group = null, text, fields } = record
    const id = node.uuid ?? `${node.hash}@${node.address}`
    const { epoch, sequence } = version === 2 ? record : this.#count(`${id} ${level}`, record.time)
    return [
      ...[time, id, node.name, node.address, version, level, event, epoch ?? 0, sequence ?? 0],
      ...[record.time, offsetMs, peer, group, text],
      fields === undefined ? null : JSON.stringify(fields),
    ]
  }

  /** Nothing counts records of version 1: which one it is of those with the same time has to do. */
  #count(key: string, time: number): { readonly epoch: number; readonly sequence: number } {
    let alike = this.#alike.get(key)
    if (alike?.time !== time) {
      alike = { time, count: 0 }
      this.#alike.set(key, alike)
    }
    return { epoch: time, sequence: ++alike.count }
  }
}

/** Experimental in some versions of Node.js, which each say so on standard error; that is no news for who uses the command. */
async function sqlite(): Promise<Sqlite> {
  // Not a literal: the types of Node.js 20 do not have it.
  const name: string = 'node:sqlite'
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return (await import(name)) as Sqlite
  } catch {
    throw new Error(
      `this Node.js, ${process.version}, has no SQLite: take 22.13 or later, or --save a folder ` +
        'now, and fill a database from it with lyre log import later',
    )
  } finally {
    process.emitWarning = emitWarning
  }
}

function lineOf(row: Readonly<Record<string, Value>>): LogLine {
  const { time, node, name, address, version, level, event, epoch, sequence, sent } = row
  const { offset_ms: offsetMs, peer, group_name: group, text, fields } = row
  const [hash = ''] = String(node).split('@')
  const who = version === 2 ? { uuid: String(node) } : { hash: Number(hash) }
  return {
    event: 'record',
    time: Number(time),
    offsetMs: Number(offsetMs),
    node: { ...who, name: String(name), address: String(address) },
    record: {
      version: version === 2 ? 2 : 1,
      level: String(level),
      event: String(event),
      time: Number(sent),
      ...(version === 2 && { epoch: Number(epoch), sequence: Number(sequence) }),
      ...(peer !== null && peer !== undefined && { peer }),
      ...(typeof group === 'string' && { group }),
      text: String(text),
      ...(typeof fields === 'string' && { fields: JSON.parse(fields) }),
    },
  }
}
