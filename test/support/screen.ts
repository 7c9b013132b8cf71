/** What a terminal shows: as much of one as readline and our chat make use of. */

const ESCAPE = '\\u001b'
const TOKEN = new RegExp(`${ESCAPE}\\[([0-9;?]*)([A-Za-z])|[^]`, 'gu')
/** What takes two columns, as far as our tests go. */
const WIDE = /[\u1100-\u115f\u2e80-\u9fff\uac00-\ud7a3\uff01-\uff60]|\p{Emoji_Presentation}/u
/** A sequence that is not there to its end yet. */
const UNFINISHED = new RegExp(`${ESCAPE}(\\[[0-9;?]*)?$`)

export class Screen {
  #columns: number
  #rows: string[][] = [[]]
  #row = 0
  #column = 0
  #rest = ''

  constructor(columns: number) {
    this.#columns = columns
  }

  /** All rows from the top, without what is empty at the end of each. */
  get text(): string {
    return this.#rows
      .map((row) =>
        Array.from(row, (character) => character ?? ' ')
          .join('')
          .trimEnd(),
      )
      .join('\n')
  }

  /** Becomes so wide. As in most terminals, rows that are too wide then go on in the next. */
  resize(columns: number): void {
    this.#columns = columns
    let cursorRow = 0
    const rows = this.#rows.flatMap((row, index) => {
      const count = Math.max(1, Math.ceil(row.length / columns))
      if (index < this.#row) cursorRow += count
      return Array.from({ length: count }, (_, part) =>
        row.slice(part * columns, (part + 1) * columns),
      )
    })
    this.#rows = rows
    this.#row = cursorRow + Math.floor(this.#column / columns)
    this.#column %= columns
  }

  write(output: string): void {
    const text = this.#rest + output
    const cut = UNFINISHED.exec(text)?.index ?? text.length
    this.#rest = text.slice(cut)
    for (const [token, argument, command] of text.slice(0, cut).matchAll(TOKEN)) {
      if (command !== undefined) this.#control(command, Number.parseInt(argument ?? '', 10))
      else this.#character(token)
    }
  }

  #character(character: string): void {
    if (character === '\r') this.#column = 0
    else if (character === '\n') this.#row++
    else if (character === '\b') this.#column = Math.max(0, this.#column - 1)
    else if (character >= ' ') {
      const width = WIDE.test(character) ? 2 : 1
      // The column after the last is kept until there is something to put in it.
      if (this.#column + width > this.#columns) {
        this.#row++
        this.#column = 0
      }
      this.#at(this.#row)[this.#column++] = character
      if (width === 2) this.#at(this.#row)[this.#column++] = ''
    }
    this.#at(this.#row)
  }

  #control(command: string, argument: number): void {
    const count = Number.isNaN(argument) ? 1 : argument
    if (command === 'A') this.#row = Math.max(0, this.#row - count)
    else if (command === 'B') this.#row += count
    else if (command === 'C') this.#column = Math.min(this.#columns - 1, this.#column + count)
    else if (command === 'D') this.#column = Math.max(0, this.#column - count)
    else if (command === 'G') this.#column = count - 1
    else if (command === 'K') this.#at(this.#row).length = Math.min(this.#column, this.#columns)
    else if (command === 'J') {
      this.#at(this.#row).length = Math.min(this.#column, this.#at(this.#row).length)
      this.#rows.length = this.#row + 1
    }
  }

  #at(index: number): string[] {
    while (this.#rows.length <= index) this.#rows.push([])
    return this.#rows[index] ?? []
  }
}
