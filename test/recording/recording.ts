/**
 * Films two people who chat, for the README: `npm run recording` writes docs/recording.svg. Both are real: a shell each on a
 * terminal of its own, the `lyre` that ships, and a network in which there is nobody else, which `unshare` makes. Only the
 * typing is ours; what is seen, and when, is what the terminals were given.
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import xterm from '@xterm/headless'
import { film, type Picture, type Run } from './film.ts'

const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
const FILE = fileURLToPath(new URL('../../docs/recording.svg', import.meta.url))
const SIZE = { columns: 54, rows: 18 }
const KEY_MS = 55
const THINKING_MS = 500
/** Nothing new for so long: all has been said. */
const QUIET_MS = 700
const QUIET_MAX_MS = 15_000
const END_MS = 4_000
/** Keys that come closer than that are one picture. */
const PICTURE_MS = 40
/** The sixteen that a terminal has by name. */
const COLOURS = [
  '#4c566a #e06c75 #98c379 #e5c07b #61afef #c678dd #56b6c2 #d8dee9',
  '#7f8998 #ff8a93 #b5e890 #ffdf8e #8cc8ff #e29bf5 #7fdbe6 #ffffff',
].flatMap((line) => line.split(' '))
const CURSOR = '#81a1c1'

/** A person at a terminal. */
class Seat {
  readonly pictures: Picture[] = []
  readonly #terminal = new xterm.Terminal({
    cols: SIZE.columns,
    rows: SIZE.rows,
    allowProposedApi: true,
  })
  readonly #process: ChildProcess
  readonly #since: number
  #changedAt = 0

  constructor(home: string, since: number) {
    const line = `stty rows ${SIZE.rows} cols ${SIZE.columns}; exec sh`
    const { NODE_OPTIONS: _, NO_COLOR: __, PATH, ...rest } = process.env
    const path = `${home}:${PATH}`
    const env = {
      ...rest,
      PATH: path,
      HOME: home,
      PS1: '$ ',
      TERM: 'xterm-256color',
      SHELL: '/bin/sh',
    }
    this.#since = since
    this.#process = spawn('script', ['-qfec', line, '/dev/null'], { env, stdio: 'pipe', cwd: home })
    this.#process.stdout?.on('data', (bytes: Uint8Array) => {
      this.#terminal.write(bytes, () => this.#look())
    })
  }

  /** Types a line as a person does: a moment, key by key, and Enter. */
  async type(line: string): Promise<void> {
    await sleep(THINKING_MS)
    for (const key of `${line}\r`) {
      this.#process.stdin?.write(key)
      await sleep(KEY_MS)
    }
  }

  /** Resolves once nothing new has been seen for a while. */
  async quiet(): Promise<void> {
    const bound = performance.now() + QUIET_MAX_MS
    while (performance.now() - this.#changedAt < QUIET_MS && performance.now() < bound) {
      await sleep(QUIET_MS / 4)
    }
  }

  /** Everything that was seen, as text. */
  get seen(): string {
    return this.pictures
      .map(({ rows }) => rows.map((row) => row.map(({ text }) => text).join(' ')).join('\n'))
      .join('\n')
  }

  end(): void {
    this.#process.kill('SIGKILL')
  }

  #look(): void {
    this.#changedAt = performance.now()
    const rows = Array.from({ length: SIZE.rows }, (_, row) => this.#row(row))
    const at = Math.round(this.#changedAt - this.#since)
    const last = this.pictures.at(-1)
    if (last !== undefined && at - last.at < PICTURE_MS) this.pictures.pop()
    this.pictures.push({ at: last !== undefined && at - last.at < PICTURE_MS ? last.at : at, rows })
  }

  #row(index: number): Run[] {
    const { active } = this.#terminal.buffer
    const line = active.getLine(active.baseY + index)
    const runs: (Run & { readonly look: string })[] = []
    for (let column = 0; column < SIZE.columns; column++) {
      const cell = line?.getCell(column)
      if (cell === undefined || cell.getWidth() === 0) continue
      const under = active.cursorY === index && active.cursorX === column
      const run = { column, text: cell.getChars() || ' ', ...lookOf(cell, under) }
      const look = JSON.stringify([run.colour, run.ground, run.bold, run.dim])
      const before = runs.at(-1)
      if (before?.look !== look) runs.push({ ...run, look })
      else runs[runs.length - 1] = { ...before, text: before.text + run.text }
    }
    const shown = runs.filter(({ text, ground }) => ground !== undefined || text.trim() !== '')
    return shown.map(({ look: _, ...run }) => trim(run))
  }
}

type Cell = NonNullable<ReturnType<NonNullable<ReturnType<xterm.IBuffer['getLine']>>['getCell']>>

function lookOf(cell: Cell, isUnderCursor: boolean): Omit<Run, 'column' | 'text'> {
  const front = colourOf(cell.getFgColor(), { palette: cell.isFgPalette(), rgb: cell.isFgRGB() })
  const back = colourOf(cell.getBgColor(), { palette: cell.isBgPalette(), rgb: cell.isBgRGB() })
  const inverse = cell.isInverse() !== 0
  const colour = inverse || isUnderCursor ? (back ?? '#1b2028') : front
  const ground = isUnderCursor ? CURSOR : inverse ? (front ?? '#d8dee9') : back
  return { colour, ground, bold: cell.isBold() !== 0, dim: cell.isDim() !== 0 }
}

/** One of 16 by name, of a cube of 216, of 24 greys, or any. */
function colourOf(
  value: number,
  { palette, rgb }: { readonly palette: boolean; readonly rgb: boolean },
): string | undefined {
  if (rgb) return `#${value.toString(16).padStart(6, '0')}`
  if (!palette) return undefined
  if (value < 16) return COLOURS[value]
  if (value >= 232) return `#${(8 + 10 * (value - 232)).toString(16).padStart(2, '0').repeat(3)}`
  const parts = [36, 6, 1].map((weight) => Math.floor((value - 16) / weight) % 6)
  return `#${parts.map((part) => (part === 0 ? 0 : 55 + 40 * part).toString(16).padStart(2, '0')).join('')}`
}

/** Without the blanks around it, which take room in the file and none on the screen. */
function trim(run: Run): Run {
  if (run.ground !== undefined) return run
  const text = run.text.trimStart()
  return { ...run, column: run.column + run.text.length - text.length, text: text.trimEnd() }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

const LINES = [
  ['ada', 'lyre chat --name ada'],
  ['bob', 'lyre chat --name bob'],
  ['ada', 'hello bob! where is the server?'],
  ['bob', 'there is none: we found each other'],
  ['ada', '/whisper bob this is for you alone'],
  ['bob', '/peers'],
  ['bob', 'bye'],
  ['bob', '/quit'],
] as const

/** What has to be seen at the other's, or it is no film of a chat. */
const HEARD = {
  ada: ['there is none: we found each other', 'bye'],
  bob: ['where is the server?', 'this is for you alone'],
}

// In a network of its own, which is down at first.
execFileSync('ip', ['link', 'set', 'lo', 'up'])
const home = mkdtempSync(`${tmpdir()}/lyre-recording-`)
// As npm does when it installs a command.
chmodSync(MAIN, 0o755)
symlinkSync(MAIN, `${home}/lyre`)
const since = performance.now()
const seats = { ada: new Seat(home, since), bob: new Seat(home, since) }
try {
  for (const [who, line] of LINES) {
    await seats[who].type(line)
    await Promise.all([seats.ada.quiet(), seats.bob.quiet()])
  }
} finally {
  for (const seat of Object.values(seats)) seat.end()
  rmSync(home, { recursive: true })
}
for (const who of ['ada', 'bob'] as const) {
  for (const line of HEARD[who]) {
    if (!seats[who].seen.includes(line))
      throw new Error(`${who} never saw: ${line}\n${seats[who].seen}`)
  }
}
const ms = Math.round(performance.now() - since) + END_MS
const text =
  'Two terminals: ada and bob start lyre chat, find each other without a server, talk, and bob leaves.'
const reels = Object.entries(seats).map(([title, { pictures }]) => ({ title, pictures }))
const svg = film(reels, { ...SIZE, ms, text })
writeFileSync(FILE, svg)
console.log(`docs/recording.svg: ${svg.length} octets, ${Math.round(ms / 1_000)} seconds`)
