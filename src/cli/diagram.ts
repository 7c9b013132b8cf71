// ZRE traffic as a sequence diagram of text: a column for each node, an arrow for each message, one line each, and behind it what
// the message is. It grows to the right as nodes come; past a width, who is told in words alone.

import type { Captured } from './capture.ts'
import { textWidth } from './columns.ts'
import { fill } from './table.ts'
import { clean } from './words.ts'

type Message = Extract<Captured, { readonly type: 'message' }>

/** Nodes that have a column, and how wide that is. */
const COLUMNS_MAX = 5
const COLUMN_WIDTH = 16
const NAME_WIDTH = COLUMN_WIDTH - 2
const TEXT_LENGTH_MAX = 60
const NAMES_MAX = 10_000

/** Whose messages are shown. */
export interface Choice {
  /** Names, uuids or beginnings of these: one has to do with it, or two have it between them. */
  readonly peer?: readonly string[]
  readonly group?: readonly string[]
}

/** Nodes by what they said of themselves. */
export class Cast {
  readonly #names = new Map<string, string>()

  /** Learns names; to be told of all messages, shown or not. */
  learn(line: Captured): void {
    if (line.type !== 'message' || line.name === undefined) return
    const uuid = line.direction === 'out' ? line.node : line.peer
    if (uuid !== null) this.name(uuid, line.name)
  }

  name(uuid: string, name: string): void {
    if (this.#names.size < NAMES_MAX) this.#names.set(uuid, name)
  }

  nameOf(uuid: string | null): string {
    if (uuid === null) return '?'
    return clean(this.#names.get(uuid) || uuid.slice(0, 6), NAME_WIDTH)
  }

  /** Whether a line is among those that were asked for. */
  isChosen(line: Captured, { peer: who = [], group: where = [] }: Choice): boolean {
    const { node, peer } = line
    const isCalled = (uuid: string | null, call: string) =>
      uuid !== null &&
      (this.#names.get(uuid) === call || (call.length >= 4 && uuid.startsWith(call)))
    if (!who.every((call) => isCalled(node, call) || isCalled(peer, call))) return false
    if (where.length === 0) return true
    return line.type === 'message' && line.group !== undefined && where.includes(line.group)
  }
}

/** What became of a message, where that is known: from what both sides told, and what was confirmed. */
export interface Fate {
  readonly confirmed?: boolean
  /** From one side to the other; null where the other side never had it. */
  readonly tookMs?: number | null
}

/** Draws one line after the other. */
export class Diagram {
  readonly #cast: Cast
  readonly #columns: string[] = []
  #head = ''

  constructor(cast: Cast) {
    this.#cast = cast
  }

  /** The lines for one of the capture; before it, the names of the columns where they are new. */
  draw(line: Captured, fate: Fate = {}): string[] {
    const isOut = line.type !== 'message' || line.direction === 'out'
    const [from, to] = isOut ? [line.node, line.peer] : [line.peer, line.node]
    this.#enter(from)
    this.#enter(to)
    const about = line.type === 'message' ? messageText(line, fate) : otherText(line)
    const arrow = line.type === 'message' ? '-' : '.'
    const lifelines = this.#lifelines({ from, to, arrow })
    const isDrawn = this.#columnOf(from) >= 0 && this.#columnOf(to) >= 0
    const who = isDrawn ? '' : `${this.#cast.nameOf(from)} -> ${this.#cast.nameOf(to)}: `
    const drawn = `${clockOf(line.time)} ${lifelines}  ${who}${about}`.trimEnd()
    const head = this.#columns.map((uuid) => centred(this.#cast.nameOf(uuid))).join('')
    if (head === this.#head) return [drawn]
    this.#head = head
    return [`${' '.repeat(clockOf(0).length + 1)}${head}`.trimEnd(), drawn]
  }

  #enter(uuid: string | null): void {
    if (uuid === null || this.#columns.includes(uuid)) return
    if (this.#columns.length < COLUMNS_MAX) this.#columns.push(uuid)
  }

  #columnOf(uuid: string | null): number {
    return uuid === null ? -1 : this.#columns.indexOf(uuid)
  }

  #lifelines(of: {
    readonly from: string | null
    readonly to: string | null
    readonly arrow: string
  }): string {
    const cells = [...' '.repeat(COLUMN_WIDTH * this.#columns.length)]
    const middle = (column: number) => column * COLUMN_WIDTH + COLUMN_WIDTH / 2
    for (const column of this.#columns.keys()) cells[middle(column)] = '|'
    const [from, to] = [this.#columnOf(of.from), this.#columnOf(of.to)]
    if (from >= 0 && to >= 0 && from !== to) {
      const [left, right] = [middle(Math.min(from, to)) + 1, middle(Math.max(from, to)) - 1]
      cells.fill(of.arrow, left, right + 1)
      if (from < to) cells[right] = '>'
      else cells[left] = '<'
    }
    return cells.join('')
  }
}

function messageText(line: Message, { confirmed, tookMs }: Fate): string {
  const { command, sequence, group, bytes, frames, connection, name, content } = line
  const parts = [`${command} #${sequence}`]
  if (group !== undefined) parts.push(`[${clean(group)}]`)
  parts.push(`${bytes} octets`)
  if (frames.length > 1) parts.push(`${frames.length} frames`)
  parts.push(`c${connection}`)
  if (tookMs === null) parts.push('never came')
  else if (tookMs !== undefined) parts.push(`${tookMs.toFixed(1)} ms`)
  if (confirmed !== undefined) parts.push(confirmed ? 'confirmed' : 'unconfirmed')
  if (command === 'hello') parts.push(`as ${clean(name ?? '', NAME_WIDTH)}`)
  if (content !== undefined && content.length > 0) {
    const said = content
      .map((frame) => (typeof frame === 'string' ? frame : '(octets)'))
      .join(' | ')
    parts.push(`"${clean(said.replaceAll(/\r?\n/g, ' ⏎ '), TEXT_LENGTH_MAX)}"`)
  }
  return parts.join('  ')
}

function otherText(line: Exclude<Captured, { readonly type: 'message' }>): string {
  if (line.type === 'confirmed') {
    return `confirmed up to #${line.sequence}  c${line.connection}`
  }
  const reason = line.reason === null ? '' : `  ${clean(line.reason, TEXT_LENGTH_MAX)}`
  return `link ${line.change}  c${line.connection}${reason}`
}

/** In the middle of its column, as far as it can be. */
function centred(name: string): string {
  const before = Math.max(0, COLUMN_WIDTH / 2 - Math.floor(textWidth(name) / 2))
  return fill(`${' '.repeat(before)}${name}`, COLUMN_WIDTH)
}

function clockOf(time: number): string {
  const at = new Date(time)
  const part = (value: number, digits = 2) => String(value).padStart(digits, '0')
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map((value) => part(value))
  return `${clock.join(':')}.${part(at.getMilliseconds(), 3)}`
}
