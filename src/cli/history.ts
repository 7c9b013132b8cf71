// What was typed in sessions before, in a file of one's own: a line of JSON for each entry, since an entry can have lines.

import {
  closeSync,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs'
import { UsageError } from '../index.ts'
import { HISTORY_LINES_MAX } from './editor.ts'

/** What a history file may have; one that is larger is none of ours. */
const FILE_BYTES_MAX = 64_000_000
/** How many lines more a file may get before it is written anew. */
const SPARE_LINES = 100

/** A file of what was typed; whoever opens it has to close() it. */
export class History {
  readonly #file: number
  readonly #path: string
  readonly #failed: (message: string) => void
  #lines: string[]
  /** Lines in the file. */
  #lineCount: number
  #broken = false

  /**
   * Opens the file, or makes it, for nobody else to read.
   * @param failed told once, when it cannot be written later: the conversation goes on.
   * @throws UsageError when it cannot be read and written, or is no such file: what is not ours is not touched.
   */
  constructor(path: string, failed: (message: string) => void) {
    this.#path = path
    this.#failed = failed
    let file: number | undefined
    try {
      file = openSync(path, 'a+', 0o600)
      const status = fstatSync(file)
      if (!status.isFile()) throw new Error('it is no file')
      if (status.size > FILE_BYTES_MAX) throw new Error('it is too large to be a history')
      const text = readFileSync(file, 'utf8')
      const lines = parse(text)
      fchmodSync(file, 0o600)
      this.#file = file
      this.#lines = lines.slice(-HISTORY_LINES_MAX)
      this.#lineCount = lines.length
      if (text.endsWith('\n') ? lines.length > HISTORY_LINES_MAX : text !== '') this.#rewrite()
    } catch (error) {
      if (file !== undefined) closeSync(file)
      const { message } = error as Error
      throw new UsageError(`the history file ${path} cannot be used: ${message}`)
    }
  }

  /** Oldest first. */
  get lines(): readonly string[] {
    return this.#lines
  }

  add(line: string): void {
    if (line.trim() === '' || this.#lines.at(-1) === line) return
    this.#lines.push(line)
    if (this.#lines.length > HISTORY_LINES_MAX) this.#lines.shift()
    this.#try(() => {
      writeSync(this.#file, format([line]))
      if (++this.#lineCount > HISTORY_LINES_MAX + SPARE_LINES) this.#trim()
    })
  }

  close(): void {
    this.#try(() => {
      if (this.#lineCount > HISTORY_LINES_MAX) this.#trim()
    })
    closeSync(this.#file)
  }

  #try(write: () => void): void {
    if (this.#broken) return
    try {
      write()
    } catch (error) {
      this.#broken = true
      this.#failed(`${this.#path} cannot be written any more: ${(error as Error).message}`)
    }
  }

  /** Leaves the newest lines only, those that other sessions have added meanwhile among them. */
  #trim(): void {
    this.#lines = parse(readFileSync(this.#path, 'utf8')).slice(-HISTORY_LINES_MAX)
    this.#rewrite()
  }

  #rewrite(): void {
    ftruncateSync(this.#file)
    writeSync(this.#file, format(this.#lines))
    this.#lineCount = this.#lines.length
  }
}

function format(lines: readonly string[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('')
}

/** @throws Error on what we have not written; a last line that was cut when a disk was full is left out. */
function parse(text: string): string[] {
  const lines = text.split('\n')
  const rest = lines.pop() ?? ''
  const entries = lines.map(parseLine)
  const bad = entries.indexOf(undefined)
  if (bad >= 0 || (rest !== '' && !rest.startsWith('"'))) {
    throw new Error(`its line ${(bad >= 0 ? bad : lines.length) + 1} is not of lyre chat`)
  }
  return entries.filter((entry) => entry !== undefined)
}

function parseLine(line: string): string | undefined {
  try {
    const entry: unknown = JSON.parse(line)
    return typeof entry === 'string' ? entry : undefined
  } catch {
    return undefined
  }
}
