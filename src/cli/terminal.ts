// Lines in, lines out. On a terminal there is a prompt below, and what somebody is typing there survives the lines that
// arrive meanwhile; without one, lines are all there is.

import {
  clearScreenDown,
  createInterface,
  cursorTo,
  type Interface,
  moveCursor,
} from 'node:readline'
import type { ReadStream, WriteStream } from 'node:tty'
import { Output } from './output.ts'

/** What a terminal tells of who sits at it. */
export interface TerminalHandlers {
  /** A line was entered. */
  line(line: string): void
  /** No more will come: end of input, Ctrl-C, Ctrl-D, the terminal is gone, or nobody reads our lines any more. */
  end(): void
}

/** Whether a person sits at both ends; a `dumb` terminal cannot move its cursor. */
export function isInteractive(): boolean {
  const { stdin, stdout, env } = process
  const { TERM } = env
  return stdin.isTTY === true && stdout.isTTY === true && TERM !== 'dumb'
}

/** Whether colours are wanted: https://no-color.org. */
export function isColoured(): boolean {
  const { NO_COLOR, TERM } = process.env
  return process.stdout.isTTY === true && !NO_COLOR && TERM !== 'dumb'
}

/** Standard input and output as lines; one at a time, since both are the process's own. */
export class Terminal {
  readonly #interactive = isInteractive()
  readonly #stdout: WriteStream = process.stdout
  readonly #output: Output
  readonly #readline: Interface
  #prompting = false

  constructor(handlers: TerminalHandlers) {
    const input: ReadStream = process.stdin
    this.#output = new Output(this.#stdout, () => handlers.end())
    this.#readline = this.#interactive
      ? createInterface({ input, output: this.#stdout, historySize: 1_000 })
      : createInterface({ input, terminal: false })
    this.#readline.on('line', (line) => {
      handlers.line(line)
      if (this.#prompting) this.#readline.prompt()
    })
    this.#readline.on('SIGINT', () => handlers.end())
    this.#readline.on('close', () => handlers.end())
    // A terminal that was closed fails to be read, and to leave raw mode. Readline tells of it, and lets go of the input
    // when it is closed itself.
    this.#readline.on('error', () => handlers.end())
    input.on('error', () => handlers.end())
  }

  /** Shows a prompt from now on, where there is a person to read it. */
  prompt(prompt: string): void {
    if (!this.#interactive) return
    this.#readline.setPrompt(prompt)
    if (this.#prompting) return
    this.#prompting = true
    this.#readline.prompt()
  }

  /** Writes lines above the prompt. */
  print(lines: string): void {
    if (!this.#prompting) {
      this.#output.write(`${lines}\n`)
      return
    }
    // What is typed may take several rows. Readline redraws it from as many rows above the cursor as it believes that it
    // takes: after a paste, when it draws no row of its own, that is not what it does take.
    const { prevRows } = this.#readline as Interface & { readonly prevRows?: number }
    const { rows } = this.#readline.getCursorPos()
    this.#clear()
    this.#output.write(`${lines}\n${'\n'.repeat(prevRows ?? rows)}`)
    this.#readline.prompt(true)
  }

  /** When what was printed is out; undefined when it is. */
  ready(): Promise<void> | undefined {
    return this.#output.ready()
  }

  /** Whether nobody reads our lines any more. */
  get broken(): boolean {
    return this.#output.broken
  }

  /** Reads no more, and takes the prompt away; print() still works. */
  close(): void {
    if (this.#prompting) this.#clear()
    this.#prompting = false
    this.#readline.close()
  }

  #clear(): void {
    const { rows } = this.#readline.getCursorPos()
    moveCursor(this.#stdout, 0, -rows)
    cursorTo(this.#stdout, 0)
    clearScreenDown(this.#stdout)
  }
}
