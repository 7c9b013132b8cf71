/** Processes that a test talks to in lines of JSON, and that are gone when it is. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { Heard } from './heard.ts'

/** A line of JSON; each script has its own. */
// biome-ignore lint/suspicious/noExplicitAny: each test knows the lines of its own script.
export type Line = any

export class Child {
  readonly #process: ChildProcess
  /** Its lines on stdout. */
  readonly heard = new Heard<Line>()
  /** Its exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>
  errors = ''

  constructor(process: ChildProcess) {
    this.#process = process
    const { stdout, stderr } = process
    if (stdout !== null) {
      createInterface({ input: stdout }).on('line', (line) => this.heard.add(parse(line)))
    }
    stderr?.setEncoding('utf8').on('data', (text) => {
      this.errors += text
    })
    // The pipe closes, or the process is gone before it reads: its exit says enough.
    process.stdin?.on('error', () => {})
    this.exited = once(process, 'close').then(([code, signal]) => code ?? signal)
  }

  send(command: Line): void {
    this.type(JSON.stringify(command))
  }

  /** Writes a line that is no JSON. */
  type(line: string): void {
    this.#process.stdin?.write(`${line}\n`)
  }

  /** Ends its input. */
  end(): void {
    this.#process.stdin?.end()
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  /** The next line of that event, and with these fields. */
  next(event: string, fields: Readonly<Record<string, unknown>> = {}): Promise<Line> {
    const wanted = Object.entries(fields)
    return this.heard.next(
      `${event} ${JSON.stringify(fields)}`,
      (line) => line.event === event && wanted.every(([key, value]) => line[key] === value),
    )
  }
}

/**
 * Starts `node SCRIPT ARGUMENTS` for the length of a test. tap hooks into child processes through NODE_OPTIONS, which costs
 * a second each: ours go without.
 */
export function startChild(
  t: Pick<Test, 'teardown'>,
  script: URL | string,
  args: readonly string[],
  nodeArgs: readonly string[] = [],
): Child {
  const path = script instanceof URL ? script.pathname : script
  return startProgram(t, process.execPath, [...nodeArgs, path, ...args])
}

/** Starts any program likewise. */
export function startProgram(
  t: Pick<Test, 'teardown'>,
  command: string,
  args: readonly string[],
): Child {
  const { NODE_OPTIONS: _, ...env } = process.env
  const started = spawn(command, args, { env, stdio: 'pipe' })
  const child = new Child(started)
  t.teardown(async () => {
    started.kill('SIGCONT')
    started.kill('SIGKILL')
    await child.exited
  })
  return child
}

function parse(line: string): Line {
  try {
    return JSON.parse(line)
  } catch {
    return { text: line }
  }
}
