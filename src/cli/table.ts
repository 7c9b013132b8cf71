// Columns for a person to read.

import { textWidth } from './columns.ts'

/** Rows of cells below their heads, each column as wide as it has to be; those in `right` stand to the right. */
export function tableOf(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const lines = [heads, ...rows]
  const widths = heads.map((_, column) =>
    Math.max(...lines.map((cells) => textWidth(cells[column] ?? ''))),
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
  const spaces = ' '.repeat(Math.max(0, width - textWidth(text)))
  return right ? `${spaces}${text}` : `${text}${spaces}`
}
