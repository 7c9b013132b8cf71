// A line at the bottom of a terminal that says how far something has come. It goes to standard error, so that a pipe from
// standard output has the verdict alone.

import type { WriteStream } from 'node:tty'

const WIDTH_MAX = 30
const WIDTH_MIN = 8
/** What a terminal has that does not say; and what stays free for the `^C` that it shows. */
const COLUMNS = 80
const FREE = 3

/** Draws itself over what it was before; where there is no terminal, not at all. */
export class Bar {
  readonly #stream: WriteStream | undefined
  #isDrawn = false

  constructor({ shown }: { readonly shown: boolean }) {
    const { stderr, env } = process
    const { TERM } = env
    this.#stream = shown && stderr.isTTY && TERM !== 'dumb' ? stderr : undefined
  }

  /** Whether anybody sees it. */
  get shown(): boolean {
    return this.#stream !== undefined
  }

  /** Shows a share from 0 to 1, and as many of the facts as there is room for, the first first. */
  draw(share: number, facts: readonly string[]): void {
    if (this.#stream === undefined) return
    this.#isDrawn = true
    const line = lineOf(share, facts, (this.#stream.columns || COLUMNS) - FREE)
    this.#stream.write(`\r${line}\x1b[K`)
  }

  /** Takes it away. */
  clear(): void {
    if (this.#isDrawn) this.#stream?.write('\r\x1b[K')
    this.#isDrawn = false
  }
}

function lineOf(share: number, facts: readonly string[], columns: number): string {
  const percent = `${Math.floor(100 * Math.min(1, share))} %`.padStart(5)
  let text = percent
  for (const fact of facts) {
    if (`${text}  ${fact}`.length > columns) break
    text += `  ${fact}`
  }
  const width = Math.min(WIDTH_MAX, columns - text.length - 2)
  if (width < WIDTH_MIN) return text.slice(0, columns)
  const done = Math.round(width * Math.min(1, share))
  return `[${'#'.repeat(done)}${'-'.repeat(width - done)}]${text}`
}
