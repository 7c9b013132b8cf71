// Lines in, lines out. On a terminal there is a prompt below, and what somebody is typing there survives the lines that
// arrive meanwhile; without one, lines are all there is.

import { createInterface, emitKeypressEvents, type Interface } from 'node:readline'
import type { ReadStream, WriteStream } from 'node:tty'
import type { ColourDepth } from './colours.ts'
import { breakRows, textWidth } from './columns.ts'
import { type Action, type Completion, Editor, type Key } from './editor.ts'
import { Output } from './output.ts'

/** What a terminal tells of who sits at it. */
export interface TerminalHandlers {
  /** A line was entered; what was pasted can have line feeds. */
  line(line: string): void
  /** No more will come: end of input, Ctrl-C, Ctrl-D, the terminal is gone, or nobody reads our lines any more. */
  end(): void
  /** How what is typed before the cursor can go on. */
  complete?(before: string): Completion
  /** Alt and a digit or `a` was pressed. */
  shortcut?(key: string): void
  /** What the person should know of what it typed. */
  notice?(line: string): void
}

/** A prompt without and with escape sequences. */
export interface Prompt {
  readonly plain: string
  readonly styled: string
}

const CLEAR_DOWN = '\x1b[J'
const PASTE_ON = '\x1b[?2004h'
const PASTE_OFF = '\x1b[?2004l'
/** What is typed takes no more rows than this, nor more than half of the screen; a longer text is seen around the cursor. */
const INPUT_ROWS_MAX = 8
/** What is printed is drawn once a turn, unless so many characters have come together. */
const PENDING_LENGTH_MAX = 65_536
/** More candidates than these are counted. */
const CANDIDATES_MAX = 60

/** Whether a person sits at both ends; a `dumb` terminal cannot move its cursor. */
export function isInteractive(): boolean {
  const { stdin, stdout, env } = process
  const { TERM } = env
  return stdin.isTTY === true && stdout.isTTY === true && TERM !== 'dumb'
}

/** Whether colours are wanted. */
export function isColoured(): boolean {
  return colourDepth() > 1
}

/** Which colours are wanted, and can be had: https://no-color.org. */
export function colourDepth(): ColourDepth {
  const { NO_COLOR, TERM } = process.env
  if (process.stdout.isTTY !== true || NO_COLOR || TERM === 'dumb') return 1
  const depth = process.stdout.getColorDepth()
  return depth >= 8 ? 8 : depth >= 4 ? 4 : 1
}

/** Standard input and output as lines; one at a time, since both are the process's own. */
export class Terminal {
  readonly #output: Output
  readonly #readline: Interface | undefined
  readonly #screen: Screen | undefined

  /** @param options `interactive`: not unless both ends are a terminal; `history`: what was typed before, oldest first. */
  constructor(
    handlers: TerminalHandlers,
    options: { readonly interactive?: boolean; readonly history?: readonly string[] } = {},
  ) {
    const { interactive = isInteractive(), history = [] } = options
    this.#output = new Output(process.stdout, () => handlers.end())
    if (interactive) {
      this.#screen = new Screen(this.#output, handlers, history)
      return
    }
    const input: ReadStream = process.stdin
    this.#readline = createInterface({ input, terminal: false })
    this.#readline.on('line', (line) => handlers.line(line))
    for (const event of ['SIGINT', 'close', 'error']) {
      this.#readline.on(event, () => handlers.end())
    }
    input.on('error', () => handlers.end())
  }

  /** Whether a person sits at it, as far as it was told. */
  get interactive(): boolean {
    return this.#screen !== undefined
  }

  /** Shows a prompt from now on, where there is a person to read it. */
  prompt(prompt: Prompt): void {
    this.#screen?.prompt(prompt)
  }

  /** Writes lines above the prompt. */
  print(lines: string): void {
    if (this.#screen === undefined) this.#output.write(`${lines}\n`)
    else this.#screen.print(lines)
  }

  /** Rings, where there is somebody to hear it. */
  ring(): void {
    if (this.interactive) this.#output.write('\x07')
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
    this.#screen?.close()
    this.#readline?.close()
  }
}

/** What was drawn last, from the row of the prompt on: how wide each row is, and where the cursor was put. */
interface Drawn {
  readonly widths: readonly number[]
  readonly row: number
  readonly column: number
}

/** The prompt and what is typed, in the last rows; what is printed goes above. It draws once a turn. */
class Screen {
  readonly #input: ReadStream = process.stdin
  readonly #stdout: WriteStream = process.stdout
  readonly #output: Output
  readonly #handlers: TerminalHandlers
  readonly #editor: Editor
  readonly #key = (text: string | undefined, key: Key) => this.#handleKey(text, key)
  readonly #resize = () => this.#draw()
  readonly #continue = () => this.#resume()
  readonly #restore = () => this.#stdout.write(PASTE_OFF)
  #prompt: Prompt | undefined
  #drawn: Drawn | undefined
  #pending = ''
  #scheduled = false
  #closed = false

  constructor(output: Output, handlers: TerminalHandlers, history: readonly string[]) {
    this.#output = output
    this.#handlers = handlers
    const complete = handlers.complete?.bind(handlers)
    this.#editor = new Editor({ history, ...(complete === undefined ? {} : { complete }) })
    const end = () => handlers.end()
    // A terminal that was closed fails to be read, and to leave raw mode: an error, not an exception.
    for (const event of ['end', 'close', 'error']) this.#input.on(event, end)
    emitKeypressEvents(this.#input)
    this.#input.on('keypress', this.#key)
    this.#stdout.on('resize', this.#resize)
    process.on('SIGCONT', this.#continue)
    // However the process ends, the next program shall not be told of pastes.
    process.on('exit', this.#restore)
    this.#input.setRawMode(true)
    this.#input.resume()
    this.#output.write(PASTE_ON)
  }

  prompt(prompt: Prompt): void {
    this.#prompt = prompt
    this.#schedule()
  }

  print(lines: string): void {
    this.#pending += `${lines}\n`
    if (this.#closed || this.#pending.length > PENDING_LENGTH_MAX) this.#draw()
    else this.#schedule()
  }

  close(): void {
    if (this.#closed) return
    this.#prompt = undefined
    this.#draw()
    this.#closed = true
    this.#input.off('keypress', this.#key)
    this.#stdout.off('resize', this.#resize)
    process.off('SIGCONT', this.#continue)
    process.off('exit', this.#restore)
    this.#output.write(PASTE_OFF)
    this.#input.setRawMode(false)
    this.#input.pause()
  }

  #handleKey(text: string | undefined, key: Key): void {
    if (this.#closed) return
    const action = this.#editor.handleKey(text, key)
    this.#schedule()
    if (action !== undefined) this.#handleAction(action)
  }

  #handleAction(action: Action): void {
    const handlers = this.#handlers
    if (action.type === 'line') handlers.line(action.line)
    else if (action.type === 'end') handlers.end()
    else if (action.type === 'cancel' && !action.cleared) handlers.end()
    else if (action.type === 'cancel') handlers.notice?.('Ctrl-C once more leaves')
    else if (action.type === 'candidates') this.#list(action.candidates)
    else if (action.type === 'shortcut') handlers.shortcut?.(action.key)
    else if (action.type === 'suspend') this.#suspend()
    else if (action.type === 'redraw') this.#clear()
    else if (action.type === 'full') {
      handlers.notice?.(
        `a message has no room for more: the last ${action.count} characters are left out`,
      )
    }
  }

  /** An empty screen, with the prompt at its top. */
  #clear(): void {
    this.#output.write('\x1b[2J\x1b[H')
    this.#drawn = undefined
  }

  /** Candidates in columns, as shells show them. */
  #list(candidates: readonly string[]): void {
    const shown = candidates.slice(0, CANDIDATES_MAX)
    const width = Math.max(...shown.map(textWidth)) + 2
    const count = Math.max(1, Math.floor(this.#columns / width))
    const rows: string[] = []
    for (let index = 0; index < shown.length; index += count) {
      const row = shown.slice(index, index + count)
      rows.push(
        row
          .map((word) => word + ' '.repeat(width - textWidth(word)))
          .join('')
          .trimEnd(),
      )
    }
    if (candidates.length > shown.length) {
      rows.push(`and ${candidates.length - shown.length} more`)
    }
    this.print(rows.join('\n'))
  }

  #suspend(): void {
    this.#output.write(this.#eraseDrawn() + PASTE_OFF)
    this.#drawn = undefined
    this.#input.setRawMode(false)
    // Nothing happens where no shell could have us go on; either way we go on from here.
    process.kill(process.pid, 'SIGTSTP')
    this.#resume()
  }

  /** Whoever had the terminal meanwhile may have left it otherwise. */
  #resume(): void {
    this.#input.setRawMode(false)
    this.#input.setRawMode(true)
    this.#output.write(PASTE_ON)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      if (!this.#closed) this.#draw()
    })
  }

  #draw(): void {
    const above = this.#eraseDrawn() + this.#pending
    this.#pending = ''
    this.#drawn = undefined
    this.#output.write(above + (this.#prompt === undefined ? '' : this.#drawInput(this.#prompt)))
  }

  get #columns(): number {
    return this.#stdout.columns || 80
  }

  /** Goes to the first column of the row of the prompt, and clears all from there. */
  #eraseDrawn(): string {
    if (this.#drawn === undefined) return ''
    const { widths, row, column } = this.#drawn
    const columns = this.#columns
    // After the window has become narrower, a row that was wider takes several.
    const taken = (width: number) => (reflows() ? Math.max(1, Math.ceil(width / columns)) : 1)
    const above = widths.slice(0, row).reduce((sum, width) => sum + taken(width), 0)
    const within = reflows() ? Math.floor(column / columns) : 0
    const up = above + within
    return `${up === 0 ? '' : `\x1b[${up}A`}\r${CLEAR_DOWN}`
  }

  #drawInput({ plain, styled }: Prompt): string {
    // The last column stays free: a terminal that has another mind of how wide an emoji is does not break the row.
    const columns = Math.max(2, this.#columns - 1)
    const { text, cursor } = this.#editor
    const typed = plain + text.replaceAll('\n', '⏎').replaceAll('\t', '⇥')
    const { rows, row, column } = breakRows(typed, { columns, cursor: plain.length + cursor })
    const half = Math.floor((this.#stdout.rows || 24) / 2)
    const count = Math.max(1, Math.min(INPUT_ROWS_MAX, half))
    const first = Math.max(0, Math.min(row - Math.floor(count / 2), rows.length - count))
    const shown = rows.slice(first, first + count)
    const lines = shown.map((shownRow) => shownRow.text)
    const [top = ''] = lines
    if (first === 0 && top.startsWith(plain)) lines[0] = styled + top.slice(plain.length)
    this.#drawn = { widths: shown.map(({ width }) => width), row: row - first, column }
    const up = shown.length - 1 - this.#drawn.row
    const right = column === 0 ? '' : `\x1b[${column}C`
    return `${lines.join('\n')}${up === 0 ? '' : `\x1b[${up}A`}\r${right}`
  }
}

/** Whether rows that have become too wide go on in the next row, as in most terminals; xterm and GNU screen cut them. */
function reflows(): boolean {
  const { TMUX, XTERM_VERSION, STY } = process.env
  return TMUX !== undefined || (XTERM_VERSION === undefined && STY === undefined)
}
