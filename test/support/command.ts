/** The `lyre` command as a process: what is typed, what it says, how it ends. It is gone when the test is. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { type Child, startChild } from './child.ts'
import { Heard } from './heard.ts'
import { freePort } from './nodes.ts'

/** What `npm test` has built. */
export const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))

/** Where `npm test` has built the examples. */
const EXAMPLES = new URL('../../dist-examples/', import.meta.url)

export class Command {
  readonly process: ChildProcess
  /** Its lines on stdout. */
  readonly lines = new Heard<string>()
  /** Its exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>
  errors = ''

  constructor(process: ChildProcess) {
    this.process = process
    if (process.stdout !== null) {
      createInterface({ input: process.stdout }).on('line', (line) => this.lines.add(line))
    }
    process.stderr?.setEncoding('utf8').on('data', (text) => {
      this.errors += text
    })
    process.stdin?.on('error', () => {})
    this.exited = once(process, 'close').then(([code, signal]) => code ?? signal)
  }

  /** Types a line. */
  type(line: string): void {
    this.process.stdin?.write(`${line}\n`)
  }

  /** Ends its input. */
  end(): void {
    this.process.stdin?.end()
  }

  /** The next line that has this in it. */
  next(part: string): Promise<string> {
    return this.lines.next(part, (line) => line.includes(part))
  }
}

/**
 * Starts `lyre ARGUMENTS`. tap hooks into child processes through NODE_OPTIONS; ours go without.
 * @param options of Node.js itself.
 * @param variables of the environment, beside ours.
 */
export function startCommand(
  t: Pick<Test, 'teardown'>,
  args: readonly string[],
  options: readonly string[] = [],
  variables: Readonly<Record<string, string>> = {},
): Command {
  return start(t, [...options, MAIN, ...args], variables)
}

/** Starts an example, by its name. */
export function startExample(
  t: Pick<Test, 'teardown'>,
  name: string,
  args: readonly string[],
): Command {
  return start(t, [fileURLToPath(new URL(`${name}.js`, EXAMPLES)), ...args])
}

/** Starts `lyre ARGUMENTS` with its standard output on a file descriptor of ours. */
export function startWithOutput(
  t: Pick<Test, 'teardown'>,
  args: readonly string[],
  output: number,
): Command {
  const { NODE_OPTIONS: _, ...env } = process.env
  return own(t, spawn(process.execPath, [MAIN, ...args], { env, stdio: ['pipe', output, 'pipe'] }))
}

/**
 * Starts `lyre ARGUMENTS` on a terminal of so many columns; `script` of util-linux makes one. What comes first on it is the
 * path of the terminal.
 * @param options `told`: whether the system sends it a SIGHUP when its terminal is gone, as it does to whoever leads there.
 */
export function startOnTerminal(
  t: Pick<Test, 'teardown'>,
  args: readonly string[],
  columns: number,
  { told = true }: { readonly told?: boolean } = {},
): Command {
  const { NODE_OPTIONS: _, NO_COLOR: __, XTERM_VERSION: ___, STY: ____, ...env } = process.env
  const lyre = [process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(' ')
  const run = told ? `exec ${lyre}` : `trap : HUP; ${lyre}; :`
  const line = `stty rows 24 cols ${columns}; tty; ${run}`
  const terminal = { ...env, TERM: 'xterm', SHELL: '/bin/sh' }
  return own(t, spawn('script', ['-qfec', line, '/dev/null'], { env: terminal, stdio: 'pipe' }))
}

function start(
  t: Pick<Test, 'teardown'>,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Command {
  const { NODE_OPTIONS: _, ...env } = { ...process.env, ...variables }
  return own(t, spawn(process.execPath, args, { env, stdio: 'pipe' }))
}

function own(t: Pick<Test, 'teardown'>, process: ChildProcess): Command {
  const command = new Command(process)
  t.teardown(async () => {
    process.kill('SIGKILL')
    await command.exited
  })
  return command
}

/** A network of a test's own, as the command is told of it. */
export async function network(): Promise<string[]> {
  return ['--interface', '127.0.0.1', '--port', String(await freePort())]
}

/** A `lyre pipe` in that network, once it is there. */
export async function startPipe(
  t: Pick<Test, 'teardown'>,
  node: readonly string[],
  name: string,
  ...more: readonly string[]
): Promise<{ readonly child: Child; readonly uuid: string }> {
  const child = startChild(t, MAIN, ['pipe', ...node, '--name', name, ...more])
  const { uuid } = await child.next('start')
  return { child, uuid }
}

/** Runs a verb without input, to its end. */
export function run(t: Pick<Test, 'teardown'>, ...args: readonly string[]): Promise<Ended> {
  return runWith(t, {}, ...args)
}

/** The same, with variables of the environment beside ours. */
export function runWith(
  t: Pick<Test, 'teardown'>,
  variables: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<Ended> {
  const command = startCommand(t, args, [], variables)
  command.end()
  return ended(command)
}

/** What became of a command. */
export interface Ended {
  readonly code: number | string
  readonly lines: readonly string[]
  readonly text: string
  readonly errors: string
}

/** Waits for its end. */
export async function ended(command: Command): Promise<Ended> {
  const code = await command.exited
  const lines = command.lines.items
  return { code, lines, text: lines.join('\n'), errors: command.errors }
}
