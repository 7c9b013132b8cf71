/**
 * Terminals over time, as one SVG that moves by itself: CSS keyframes, no script, no font but the reader's own. Each row of a
 * terminal is a strip of all that it showed, one below the other, of which a window shows one at a time. Who asked for less motion
 * is shown the last picture, and so is who draws the file without animating it.
 */

/** Letters of one look that stand together. */
export interface Run {
  readonly column: number
  readonly text: string
  /** A colour, or undefined for that of the terminal. */
  readonly colour?: string | undefined
  readonly ground?: string | undefined
  readonly bold?: boolean
  readonly dim?: boolean
}

/** What a row shows. */
export type Row = readonly Run[]

/** What all rows of a terminal show, from `at` on, in milliseconds from the beginning. */
export interface Picture {
  readonly at: number
  readonly rows: readonly Row[]
}

/** A terminal and all that it showed. */
export interface Reel {
  readonly title: string
  readonly pictures: readonly Picture[]
}

const CELL = { width: 8, height: 18 }
const EDGE = 12
const BAR = 26
const STYLE = [
  'text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#d8dee9;white-space:pre}',
  '.b{font-weight:700}',
  '.d{opacity:.65}',
  '.t{fill:#9aa5b5;text-anchor:middle}',
  '@media (prefers-reduced-motion:reduce){g{animation:none!important}}',
]

/**
 * Draws terminals side by side.
 * @param options `columns` and `rows` of each; `ms`: when it begins again; `text`: what it shows, for those who cannot see it.
 */
export function film(
  reels: readonly Reel[],
  options: {
    readonly columns: number
    readonly rows: number
    readonly ms: number
    readonly text: string
  },
): string {
  const { columns, rows, ms, text } = options
  const pane = { width: columns * CELL.width + 2 * EDGE, height: BAR + rows * CELL.height + EDGE }
  const width = reels.length * (pane.width + EDGE) + EDGE
  const height = pane.height + 2 * EDGE
  const styles = [...STYLE]
  const drawn = reels.map(({ title, pictures }, index) => {
    const strips = Array.from({ length: rows }, (_, row) => {
      const strip = stripOf(pictures, row)
      const name = `s${index}r${row}`
      const moves = strip.map(({ at }, step) => move((at / ms) * 100, step))
      if (strip.length > 1) styles.push(keyframes(name, { moves, last: strip.length - 1, ms }))
      const letters = strip.flatMap(({ runs }, step) => runs.map((run) => draw(run, step)))
      if (letters.length === 0) return ''
      const place = `y="${BAR + row * CELL.height}" width="${columns * CELL.width}" height="${CELL.height}"`
      return `<svg x="${EDGE}" ${place}><g class="${name}">${letters.join('')}</g></svg>`
    })
    const x = EDGE + index * (pane.width + EDGE)
    const box = `<rect width="${pane.width}" height="${pane.height}" rx="8" fill="#1b2028" stroke="#4c566a"/>`
    const head = `<text class="t" x="${pane.width / 2}" y="18">${escaped(title)}</text>`
    return `<svg x="${x}" y="${EDGE}" width="${pane.width}" height="${pane.height}">${box}${head}${strips.join('')}</svg>`
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(text)}</title>`,
    `<style>${styles.join('\n')}</style>`,
    ...drawn,
    '</svg>',
    '',
  ].join('\n')
}

/** The different things that a row showed, and since when. */
function stripOf(pictures: readonly Picture[], row: number): { at: number; runs: Row }[] {
  const strip: { at: number; runs: Row; key: string }[] = []
  for (const { at, rows } of pictures) {
    const runs = rows[row] ?? []
    const key = JSON.stringify(runs)
    if (strip.at(-1)?.key !== key) strip.push({ at: strip.length === 0 ? 0 : at, runs, key })
  }
  return strip
}

function move(percent: number, step: number): string {
  return `${Number(percent.toFixed(2))}%{transform:translateY(${-step * CELL.height}px)}`
}

function keyframes(
  name: string,
  {
    moves,
    last,
    ms,
  }: { readonly moves: readonly string[]; readonly last: number; readonly ms: number },
): string {
  const still = `.${name}{transform:translateY(${-last * CELL.height}px);animation:${name} ${ms}ms step-end infinite}`
  return `${still}\n@keyframes ${name}{${moves.join('')}}`
}

function draw({ column, text, colour, ground, bold, dim }: Run, step: number): string {
  const x = column * CELL.width
  const width = text.length * CELL.width
  const y = step * CELL.height
  const box =
    ground === undefined
      ? ''
      : `<rect x="${x}" y="${y}" width="${width}" height="${CELL.height}" fill="${ground}"/>`
  if (text.trim() === '') return box
  const looks = [bold ? 'b' : '', dim ? 'd' : ''].filter((look) => look !== '').join(' ')
  const look = looks === '' ? '' : ` class="${looks}"`
  // Fonts differ in how wide a letter is; a terminal does not.
  const fixed = text.length > 1 ? ` textLength="${width}" lengthAdjust="spacingAndGlyphs"` : ''
  const fill = colour === undefined ? '' : ` style="fill:${colour}"`
  return `${box}<text${look} x="${x}" y="${y + 13}"${fixed}${fill}>${escaped(text)}</text>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
