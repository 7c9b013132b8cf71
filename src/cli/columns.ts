// How many columns of a terminal a text takes, and where it breaks into rows. East Asian characters and emoji take two;
// what combines with the character before takes none.

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' })

/** The first and last code points of East Asian characters that take two columns, after UAX 11. */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x4dbf],
  [0x4e00, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x17000, 0x18dff],
  [0x1b000, 0x1b2ff],
  [0x1f200, 0x1f2ff],
  [0x20000, 0x3fffd],
]

/** What a person sees as one character: where it is in its text, and how many columns it takes. */
export interface Grapheme {
  readonly text: string
  readonly index: number
  readonly width: number
}

/** The characters of a text, one after the other. */
export function graphemes(text: string): Grapheme[] {
  // To find them takes a while, and most of what is typed needs no search.
  if (/^[\x20-\x7e]*$/.test(text)) {
    return Array.from(text, (character, index) => ({ text: character, index, width: 1 }))
  }
  return Array.from(segmenter.segment(text), ({ segment, index }) => ({
    text: segment,
    index,
    width: graphemeWidth(segment),
  }))
}

/** The columns that a text takes, were it in one row; without escape sequences. */
export function textWidth(text: string): number {
  return graphemes(text).reduce((sum, { width }) => sum + width, 0)
}

function graphemeWidth(grapheme: string): number {
  if (/^[\p{Cc}\p{Mn}\p{Me}\p{Cf}]+$/u.test(grapheme)) return 0
  if (/^\p{Emoji_Presentation}|\ufe0f/u.test(grapheme)) return 2
  const code = grapheme.codePointAt(0) ?? 0
  return WIDE.some(([first, last]) => code >= first && code <= last) ? 2 : 1
}

/** A text in rows. */
export interface Rows {
  readonly rows: readonly { readonly text: string; readonly width: number }[]
  /** Where the cursor is: before the character at the index that was asked for. */
  readonly row: number
  readonly column: number
}

/** Breaks a text into rows of at most `columns`; where a row is full, the cursor has a place in the next. */
export function breakRows(
  text: string,
  { columns, cursor }: { readonly columns: number; readonly cursor: number },
): Rows {
  const rows = [{ text: '', width: 0 }]
  let last = rows[0] as { text: string; width: number }
  let place: { readonly row: number; readonly column: number } | undefined
  const next = () => {
    last = { text: '', width: 0 }
    rows.push(last)
  }
  for (const { text: character, index, width } of graphemes(text)) {
    if (last.width + width > columns && last.width > 0) next()
    if (place === undefined && index + character.length > cursor) {
      place = { row: rows.length - 1, column: last.width }
    }
    last.text += character
    last.width += width
  }
  if (place === undefined) {
    if (last.width >= columns) next()
    place = { row: rows.length - 1, column: last.width }
  }
  return { rows, ...place }
}
