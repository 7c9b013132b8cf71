// Lines in columns, as they come: when, who, and what. Whoever it is has a colour, and the column of names grows with them.

import { Colours } from './colours.ts'
import { textWidth } from './columns.ts'
import { fill } from './table.ts'
import { colourDepth } from './terminal.ts'
import { clean } from './words.ts'

/** The column of names is at least, and at most, so wide. */
const NAME_WIDTH = { min: 8, max: 24 }

/** Lines that are read one below the other. */
export class Sheet {
  readonly #depth = colourDepth()
  readonly #colours = new Colours(this.#depth)
  readonly #dated: boolean
  #nameWidth = NAME_WIDTH.min

  /** @param options `dated`: each line has its day, too. */
  constructor({ dated = false }: { readonly dated?: boolean } = {}) {
    this.#dated = dated
  }

  /** A line about somebody; `id` begins with hexadecimal digits, and tells the colour. All times are milliseconds since 1970. */
  row({ id, name }: { readonly id: string; readonly name: string }, what: string, at: number) {
    const shown = clean(name, NAME_WIDTH.max)
    this.#nameWidth = Math.min(NAME_WIDTH.max, Math.max(this.#nameWidth, textWidth(shown)))
    const who = this.#colours.paint(id, fill(shown, this.#nameWidth))
    return `${this.#time(at)}  ${who}  ${what}`.trimEnd()
  }

  /** A line in the same columns that is not about anybody. */
  aside(label: string, what: string, at: number): string {
    return `${this.#time(at)}  ${this.dim(`${fill(label, this.#nameWidth)}  ${what}`)}`
  }

  /** A line that is not in the columns. */
  notice(text: string, at: number): string {
    return this.dim(`${this.#time(at)}  * ${text}`)
  }

  /** Whoever it was has gone, and others can have that colour. */
  release(id: string): void {
    this.#colours.release(id)
  }

  dim(text: string): string {
    return this.#depth === 1 ? text : `\x1b[2m${text}\x1b[22m`
  }

  /** In one of the 16 colours. */
  paint(colour: number, text: string): string {
    return this.#depth === 1 ? text : `\x1b[${colour}m${text}\x1b[39m`
  }

  #time(at: number): string {
    const date = new Date(at)
    const part = (value: number, digits = 2) => String(value).padStart(digits, '0')
    const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map((value) =>
      part(value),
    )
    const time = `${clock.join(':')}.${part(date.getMilliseconds(), 3)}`
    if (!this.#dated) return time
    return `${date.getFullYear()}-${part(date.getMonth() + 1)}-${part(date.getDate())} ${time}`
  }
}
