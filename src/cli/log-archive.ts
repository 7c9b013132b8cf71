// A folder of logs, as lines of JSON in files that are begun anew when they are large or old. A file is written by one process in
// one life of it and never touched again, so whatever is in it stays; who is killed loses a part of the last line at most, which
// is passed over.

import {
  closeSync,
  createReadStream,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { LogLine } from '../index.ts'
import { readLines } from './lines.ts'

/** When another file is begun. */
export interface Rotation {
  readonly bytesMax: number
  readonly ageMaxMs: number
}

/** When it is, unless somebody says otherwise. */
export const ROTATION: Rotation = { bytesMax: 64 * 1_048_576, ageMaxMs: 86_400_000 }

/** What a folder tells whoever fills it. */
export interface ArchiveHandlers {
  /** Lines could not be written, and are lost; told once until they can be again. */
  failed(error: Error): void
  /** They can be again; so many were lost since failed() was told. */
  recovered(count: number): void
}

/** Eight digits that go on, so that files sort in their order, whatever the clock says; and when they were begun. */
const NAME = /^(\d{8,})-\d{8}T\d{6}Z\.ndjson$/
/** How often it is looked whether somebody has taken the file away; and for how long all has to be written until it is well. */
const LOOK_MS = 1_000
/** More than any record can become. */
const LINE_BYTES_MAX = 1_048_576

/** The end of a folder that lines are added to. */
export class Archive {
  readonly #folder: string
  readonly #rotation: Rotation
  readonly #handlers: ArchiveHandlers
  #file: File
  #lookedAt = performance.now()
  #isGone = false
  #isFailing = false
  #failedAt = 0
  #lostCount = 0
  /** Of these, since it began to fail. */
  #failedCount = 0
  #lineCount = 0

  /** @throws Error that says why, where there is no such folder, and none can be made, or no file in it. */
  constructor(folder: string, rotation: Rotation, handlers: ArchiveHandlers) {
    this.#folder = folder
    this.#rotation = rotation
    this.#handlers = handlers
    try {
      makeFolder(folder)
      this.#file = begin(folder)
    } catch (cause) {
      throw new Error(`cannot save to ${folder}: ${(cause as Error).message}`, { cause })
    }
  }

  /** Lines that were written, and those that could not be. */
  get counts(): { readonly saved: number; readonly lost: number } {
    return { saved: this.#lineCount, lost: this.#lostCount }
  }

  /** Writes lines; when it returns, they are the system's, and stay if we are killed. */
  add(lines: readonly LogLine[]): void {
    this.addTexts(lines.map((line) => JSON.stringify(line)))
  }

  /** The same of lines that are text already, without what ends them. */
  addTexts(texts: readonly string[]): void {
    try {
      this.#rotate()
      this.#write(Buffer.from(texts.map((text) => `${text}\n`).join('')))
      this.#lineCount += texts.length
      // On a disk that is full, one line has room and the next has not.
      if (!this.#isFailing || performance.now() - this.#failedAt < LOOK_MS) return
      this.#isFailing = false
      const failedCount = this.#failedCount
      this.#failedCount = 0
      this.#handlers.recovered(failedCount)
    } catch (error) {
      this.#lostCount += texts.length
      this.#failedCount += texts.length
      this.#failedAt = performance.now()
      if (this.#isFailing) return
      this.#isFailing = true
      this.#handlers.failed(error as Error)
    }
  }

  /** Closes the file, and takes it away if there is nothing in it. */
  close(): void {
    closeSync(this.#file.descriptor)
    if (this.#file.bytes === 0) rmSync(this.#file.path, { force: true })
  }

  /** Begins another file where this one is large, old or gone; where none can be had, a large one has to do. */
  #rotate(): void {
    const { bytes, begunAt, descriptor } = this.#file
    const { bytesMax, ageMaxMs } = this.#rotation
    const now = performance.now()
    const isDone = bytes > 0 && (bytes >= bytesMax || now - begunAt >= ageMaxMs)
    if (now - this.#lookedAt >= LOOK_MS) {
      this.#lookedAt = now
      this.#isGone ||= fstatSync(descriptor).nlink === 0
    }
    if (!isDone && !this.#isGone) return
    try {
      if (this.#isGone) makeFolder(this.#folder)
      const next = begin(this.#folder)
      closeSync(descriptor)
      this.#file = next
      this.#isGone = false
    } catch (error) {
      if (this.#isGone) throw error
    }
  }

  /** All of it, or nothing: what a full disk has taken of it is taken back. */
  #write(octets: Uint8Array): void {
    const file = this.#file
    try {
      for (let done = 0; done < octets.length; ) {
        done += writeSync(file.descriptor, octets, done, octets.length - done)
      }
      file.bytes += octets.length
    } catch (error) {
      ftruncateSync(file.descriptor, file.bytes)
      throw error
    }
  }
}

interface File {
  readonly path: string
  readonly descriptor: number
  readonly begunAt: number
  bytes: number
}

/** A folder, with those that it is in: one after the other, as mkdirSync() itself never ends where none can be made, as in /proc. */
function makeFolder(folder: string): void {
  const parent = dirname(folder)
  if (!existsSync(folder) && parent !== folder && !existsSync(parent)) makeFolder(parent)
  try {
    mkdirSync(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EEXIST' || !statSync(folder).isDirectory()) throw error
  }
}

/** A new file behind all that are there; another process may begin one at the same time. */
function begin(folder: string): File {
  const numbers = namesIn(folder).map((name) => Number.parseInt(name, 10))
  for (let number = Math.max(0, ...numbers) + 1; ; number++) {
    const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')
    const path = join(folder, `${String(number).padStart(8, '0')}-${time}.ndjson`)
    try {
      const descriptor = openSync(path, 'ax', 0o640)
      return { path, descriptor, begunAt: performance.now(), bytes: 0 }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

function namesIn(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => NAME.test(name))
  const lead = (one: string, other: string) => Number.parseInt(one, 10) - Number.parseInt(other, 10)
  return names.sort().sort(lead)
}

/** How far reading has come, and what could not be read. */
export interface Reading {
  bytes: number
  readonly bytesTotal: number
  /** Lines that are none of a log; the last one of a file may be torn, and does not count. */
  unreadable: number
}

/** Files with lines of a log: those of a folder in their order, or the one. @throws Error where there is none. */
export function filesOf(path: string): string[] {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) throw new Error(`there is no ${path}`)
  if (!found.isDirectory()) return [path]
  const names = namesIn(path)
  if (names.length === 0) throw new Error(`there are no logs in ${path}`)
  return names.map((name) => join(path, name))
}

/** Whether there are logs in a folder. */
export function hasLogs(folder: string): boolean {
  const found = statSync(folder, { throwIfNoEntry: false })
  return found?.isDirectory() === true && namesIn(folder).length > 0
}

/** What begins to be read. */
export function readingOf(files: readonly string[]): Reading {
  const bytesTotal = files.reduce((sum, file) => sum + statSync(file).size, 0)
  return { bytes: 0, bytesTotal, unreadable: 0 }
}

/** The lines of files, some at a time, in the order in which they were written. */
export async function* readFiles(
  files: readonly string[],
  reading: Reading,
): AsyncGenerator<LogLine[], void> {
  for (const file of files) {
    const input = createReadStream(file, { highWaterMark: 262_144 })
    let isTorn = false
    for await (const texts of readLines(counted(input, reading), LINE_BYTES_MAX)) {
      // What could not be read was not the last line, if another one follows.
      if (isTorn) reading.unreadable++
      isTorn = false
      const lines: LogLine[] = []
      for (const [index, text] of texts.entries()) {
        const line = typeof text === 'string' ? parseLine(text) : undefined
        if (line !== undefined) lines.push(line)
        else if (text === '') continue
        else if (index === texts.length - 1) isTorn = true
        else reading.unreadable++
      }
      yield lines
    }
  }
}

async function* counted(
  input: AsyncIterable<Uint8Array>,
  reading: Reading,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of input) {
    reading.bytes += chunk.length
    yield chunk
  }
}

/** A line of a log, if it is one; files may come from anywhere. */
export function parseLine(text: string): LogLine | undefined {
  let line: unknown
  try {
    line = JSON.parse(text)
  } catch {
    return undefined
  }
  return isLine(line) ? line : undefined
}

type Loose = Readonly<Record<string, unknown>>

function isLine(line: unknown): line is LogLine {
  if (!isObject(line)) return false
  const { event, time, node, record, offsetMs, level, sequence, count, epoch } = line
  if (!isTime(time) || !isNode(node)) return false
  if (event === 'restart') return isCount(epoch)
  if (event === 'gap') return isText(level) && isCount(sequence) && isCount(count)
  return event === 'record' && isCount(offsetMs) && isRecord(record)
}

function isNode(node: unknown): boolean {
  if (!isObject(node)) return false
  const { uuid, hash, name, address } = node
  const isKnown = isText(uuid) ? /^[0-9a-f]{32}$/.test(uuid) : isCount(hash)
  return isKnown && isText(name) && isText(address)
}

function isRecord(record: unknown): boolean {
  if (!isObject(record)) return false
  const { version, level, event, time, text, peer, group, fields, epoch, sequence } = record
  const isCounted = version === 1 || (isCount(epoch) && isCount(sequence))
  const isWhole = isText(level) && isText(event) && isTime(time) && isText(text) && isCounted
  const isPeer = peer === undefined || isText(peer) || isCount(peer)
  const isGroup = group === undefined || isText(group)
  return isWhole && isPeer && isGroup && (fields === undefined || isObject(fields))
}

function isObject(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value)
}

/** What a Date can have. */
function isTime(value: unknown): boolean {
  return isCount(value) && !Number.isNaN(new Date(value).getTime())
}
