/**
 * The processes of a run: each is told words, answers in lines of JSON, and is ended by its id, whatever happens. A program
 * that does not answer in time, says that it failed or exits is an error with a sentence, never a run that hangs.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** What a program answered: the event, and what belongs to it. */
export interface Line {
  readonly event: string
  readonly reason?: string
  readonly addresses?: readonly string[]
  readonly perSecond?: number
  readonly count?: number
  readonly p50Us?: number
  readonly p99Us?: number
  readonly ofOff?: number
  readonly heapBytes?: number
  readonly rssBytes?: number
  readonly share?: number
  readonly cpuMs?: number
  readonly values?: readonly number[]
}

/** Far longer than anything takes: who reaches it hangs. */
const HANG_MS = 60_000

const alive = new Set<ChildProcess>()

/** No process outlives this one. */
export function endAll(): void {
  for (const child of alive) child.kill('SIGKILL')
}

process.on('exit', endAll)
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.on(signal, () => process.exit(code))
}

/** A process of a contender. */
export class Program {
  readonly #child: ChildProcess
  readonly #name: string
  readonly #lines: Line[] = []
  readonly #closed: Promise<unknown>
  #wake: (() => void) | undefined
  #errors = ''
  #gone = false

  constructor(name: string, command: readonly string[]) {
    const [file = '', ...args] = command
    this.#name = name
    this.#child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    alive.add(this.#child)
    const { stdin, stdout, stderr } = this.#child
    if (stdout !== null) createInterface({ input: stdout }).on('line', (line) => this.#hear(line))
    stderr?.setEncoding('utf8').on('data', (text) => {
      this.#errors = `${this.#errors}${text}`.slice(-2_000)
    })
    // The pipe closes, or the process is gone before it reads: its exit says enough.
    stdin?.on('error', () => {})
    this.#child.on('error', (error) => {
      this.#errors += error.message
    })
    this.#closed = once(this.#child, 'close').then(
      () => this.#close(),
      () => this.#close(),
    )
  }

  /** Says a word, and a number where it takes one. */
  tell(word: string, argument?: number): void {
    this.#child.stdin?.write(argument === undefined ? `${word}\n` : `${word} ${argument}\n`)
  }

  /**
   * The next line of that event.
   * @throws Error when the program failed, is gone or does not tell it within `boundMs`.
   */
  async told(event: string, boundMs = HANG_MS): Promise<Line> {
    const deadline = performance.now() + boundMs
    for (;;) {
      const failed = this.#lines.find((line) => line.event === 'failed')
      if (failed !== undefined) throw new Error(`${this.#name}: ${failed.reason}`)
      const index = this.#lines.findIndex((line) => line.event === event)
      const [line] = index < 0 ? [] : this.#lines.splice(index, 1)
      if (line !== undefined) return line
      if (this.#gone) throw new Error(`${this.#name} ended by itself: ${this.#errors.trim()}`)
      const leftMs = deadline - performance.now()
      if (leftMs <= 0) {
        const seconds = Math.round(boundMs / 1_000)
        throw new Error(`${this.#name} did not tell ${event} in ${seconds} s ${this.#errors}`)
      }
      await this.#change(leftMs)
    }
  }

  /** Ends it at once, and waits until it is gone. */
  async end(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#closed
  }

  #hear(text: string): void {
    try {
      this.#lines.push(JSON.parse(text))
    } catch {
      // Something else that a library prints.
      this.#errors = `${this.#errors}${text}\n`.slice(-2_000)
    }
    this.#wake?.()
  }

  #close(): void {
    this.#gone = true
    alive.delete(this.#child)
    this.#wake?.()
  }

  #change(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** Runs `measure` with programs that are all gone when it is over. */
export async function withPrograms<Result>(
  measure: (start: (name: string, command: readonly string[]) => Program) => Promise<Result>,
): Promise<Result> {
  const programs: Program[] = []
  try {
    return await measure((name, command) => {
      const program = new Program(name, command)
      programs.push(program)
      return program
    })
  } finally {
    await Promise.all(programs.map((program) => program.end()))
  }
}
