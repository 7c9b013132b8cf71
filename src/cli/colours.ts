// A colour for each person: the same for the same uuid, and another than those of all who are there, as long as there are
// enough of them. All can be read on black and on white: of 256 colours those with a contrast of 3.3 or more to both.

/** Of the 256: red, azure, green, ochre, magenta, teal, violet, orange, olive, pink, sea green, indigo, brown, mauve. */
export const PALETTE = [160, 33, 28, 136, 164, 31, 99, 166, 64, 198, 29, 62, 94, 132] as const
/** What a terminal of few colours has; how they look is up to its owner. */
const BASIC = [31, 32, 33, 34, 35, 36] as const

/** How many bits a terminal has for colours: 1 is none. */
export type ColourDepth = 1 | 4 | 8

export class Colours {
  readonly #codes: readonly string[]
  /** Which of them who has: an index of `#codes`. */
  readonly #taken = new Map<string, number>()

  constructor(depth: ColourDepth) {
    if (depth === 8) this.#codes = PALETTE.map((colour) => `38;5;${colour}`)
    else this.#codes = depth === 4 ? BASIC.map(String) : []
  }

  /** A text in the colour of whoever has this uuid. */
  paint(uuid: string, text: string): string {
    const code = this.#codes[this.#indexFor(uuid)]
    return code === undefined ? text : `\x1b[${code}m${text}\x1b[39m`
  }

  /** Whoever it was has gone, and others can have that colour. */
  release(uuid: string): void {
    this.#taken.delete(uuid)
  }

  #indexFor(uuid: string): number {
    const taken = this.#taken.get(uuid)
    if (taken !== undefined) return taken
    const { length } = this.#codes
    if (length === 0) return -1
    const wanted = Number.parseInt(uuid.slice(0, 8), 16) % length
    const used = new Set(this.#taken.values())
    let index = wanted
    while (used.size < length && used.has(index)) index = (index + 1) % length
    this.#taken.set(uuid, index)
    return index
  }
}
