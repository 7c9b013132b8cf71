// Columns for a person to read.

/** Rows of cells below their heads, each column as wide as it has to be; those in `right` stand to the right. */
export function tableOf(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const lines = [heads, ...rows]
  const widths = heads.map((_, column) =>
    Math.max(...lines.map((cells) => widthOf(cells[column] ?? ''))),
  )
  return lines
    .map((cells) =>
      widths
        .map((width, column) => fill(cells[column] ?? '', width, right.includes(column)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** A text and as many spaces as fill a column. */
export function fill(text: string, width: number, right = false): string {
  const spaces = ' '.repeat(Math.max(0, width - widthOf(text)))
  return right ? `${spaces}${text}` : `${text}${spaces}`
}

/** How many columns a terminal takes for a text without control characters: wide ones take two, marks none. */
export function widthOf(text: string): number {
  let width = 0
  for (const character of text) {
    if (MARK.test(character)) continue
    width += WIDE.test(character) ? 2 : 1
  }
  return width
}

const MARK = /\p{Mn}|\p{Me}|\u200b|\u200d|\ufe0f/u
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u
