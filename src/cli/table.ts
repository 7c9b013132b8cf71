// Columns for a person to read.

import { textWidth } from './columns.ts'

const GAP = '  '

/**
 * Rows of cells below their heads, each column as wide as it has to be; those in `right` stand to the right. Where all columns
 * are wider than `widthMax`, as of a terminal, the rest follows below, again behind the first column.
 */
export function tableOf(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  { right = [], widthMax = terminalWidth() }: TableOptions = {},
): string {
  const lines = [heads, ...rows]
  const widths = heads.map((_, column) =>
    Math.max(...lines.map((cells) => textWidth(cells[column] ?? ''))),
  )
  return partsOf(widths, widthMax)
    .map((columns) =>
      lines
        .map((cells) =>
          columns
            .map((column) => fill(cells[column] ?? '', widths[column] ?? 0, right.includes(column)))
            .join(GAP)
            .trimEnd(),
        )
        .join('\n'),
    )
    .join('\n\n')
}

/** How a table is laid out. */
export interface TableOptions {
  /** Columns that stand to the right. */
  readonly right?: readonly number[]
  readonly widthMax?: number
}

/** Which columns stand side by side: at least one behind the first, however little room there is. */
function partsOf(widths: readonly number[], widthMax: number): number[][] {
  const [first = 0, ...others] = widths
  let part = [0]
  let taken = first
  const parts = [part]
  for (const [index, width] of others.entries()) {
    taken += GAP.length + width
    if (taken > widthMax && part.length > 1) {
      part = [0]
      taken = first + GAP.length + width
      parts.push(part)
    }
    part.push(index + 1)
  }
  return parts
}

/** Whoever reads from a pipe wants lines, however long. */
function terminalWidth(): number {
  return process.stdout.columns || Number.POSITIVE_INFINITY
}

/** A text and as many spaces as fill a column. */
export function fill(text: string, width: number, right = false): string {
  const spaces = ' '.repeat(Math.max(0, width - textWidth(text)))
  return right ? `${spaces}${text}` : `${text}${spaces}`
}
