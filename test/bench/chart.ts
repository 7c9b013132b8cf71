/**
 * A run as a picture: bars on a logarithmic scale, a panel each for one way, for other streams and for round trips, a group of
 * bars for each case and size. Over each bar stands how many times better Lyre is. Colours and text can be read on white
 * and on black, so the page around it may be either.
 */

import { OURS } from './cases.ts'
import type { Outcome, Row } from './report.ts'

interface Panel {
  readonly title: string
  readonly unit: string
  readonly cases: RegExp
}

const PANELS: readonly Panel[] = [
  { title: 'One way, messages in a second', unit: 'messages/s', cases: /^whisper$/ },
  {
    title: 'One a turn, many to one, one to many: messages heard in a second',
    unit: 'messages/s',
    cases: /^(turn|gather|shout-)/,
  },
  {
    title: 'There and back, microseconds, median: less is better',
    unit: 'p50 us',
    cases: /^roundtrip/,
  },
]

const COLOURS: Readonly<Record<string, string>> = {
  [OURS]: '#d55e00',
  'lyre whisper': '#e69f00',
  net: '#8c8c8c',
  libzmq: '#0072b2',
  zeromq: '#56b4e9',
  zyre: '#009e73',
  mqtt: '#cc79a7',
}
/** Of another build of Lyre. */
const OTHER_COLOUR = '#b8860b'

const BAR = 22
const STEP = BAR + 3
const GROUP_GAP = 30
const LEFT = 72
const TOP = 64
const HEIGHT = 240
const PANEL_HEIGHT = TOP + HEIGHT + 60
const LEGEND_STEP = 120
/** Of a decade: the ratio over the highest bar needs it. */
const HEADROOM = 0.4
const CAPTION =
  'Over each bar: how many times better Lyre is, as the median of the ratios within each round.'

interface Group {
  readonly label: readonly string[]
  readonly rows: readonly Row[]
}

/** The whole picture, as SVG; cases that have no panel are left out. */
export function drawChart(outcomes: readonly Outcome[]): string {
  const panels = PANELS.map((panel) => ({ panel, groups: groupsOf(panel, outcomes) })).filter(
    ({ groups }) => groups.length > 0,
  )
  const width = Math.max(480, ...panels.map(({ groups }) => LEFT + widthOf(groups)))
  const height = panels.length * PANEL_HEIGHT + 24
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    '<style>',
    'text { font: 12px system-ui, sans-serif; fill: #7d8590 }',
    '.title { font-size: 15px; font-weight: 600 }',
    '.ratio { font-size: 11px }',
    'line { stroke: #8c959f; stroke-opacity: 0.35 }',
    '</style>',
    ...panels.flatMap(({ panel, groups }, index) => [
      `<g transform="translate(0 ${index * PANEL_HEIGHT})">`,
      ...drawPanel(panel, groups, width),
      '</g>',
    ]),
    text({ x: 8, y: height - 10 }, CAPTION),
    '</svg>',
    '',
  ].join('\n')
}

function groupsOf({ cases, unit }: Panel, outcomes: readonly Outcome[]): Group[] {
  return outcomes
    .filter((outcome) => cases.test(outcome.case))
    .map((outcome) => ({
      label: [outcome.case, bytesText(outcome.bytes)],
      rows: outcome.rows.filter((row) => row.unit === unit && row.median > 0),
    }))
    .filter(({ rows }) => rows.length > 0)
}

function widthOf(groups: readonly Group[]): number {
  return groups.reduce((sum, { rows }) => sum + rows.length * STEP + GROUP_GAP, 0)
}

function drawPanel(panel: Panel, groups: readonly Group[], width: number): string[] {
  const values = groups.flatMap(({ rows }) => rows.map(({ median }) => median))
  const low = Math.floor(Math.log10(Math.min(...values)) - 0.01)
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values)) + HEADROOM))
  const heightOf = (value: number) => ((Math.log10(value) - low) / (high - low)) * HEIGHT
  const decades = Array.from({ length: high - low + 1 }, (_, index) => low + index)
  const names = new Set(groups.flatMap(({ rows }) => rows.map(({ contender }) => contender)))
  let x = LEFT + GROUP_GAP / 2
  return [
    text({ x: 8, y: 20, kind: 'title' }, panel.title),
    ...[...names].flatMap((name, index) => [
      `<rect x="${LEFT + index * LEGEND_STEP}" y="32" width="12" height="12" fill="${colourOf(name)}"/>`,
      text({ x: LEFT + 18 + index * LEGEND_STEP, y: 42 }, name),
    ]),
    ...decades.flatMap((decade) => {
      const y = TOP + HEIGHT - heightOf(10 ** decade)
      return [
        `<line x1="${LEFT}" x2="${width}" y1="${y}" y2="${y}"/>`,
        text({ x: LEFT - 8, y: y + 4, anchor: 'end' }, scaleText(decade)),
      ]
    }),
    ...groups.flatMap((group) => {
      const drawn = drawGroup(group, x, heightOf)
      x += group.rows.length * STEP + GROUP_GAP
      return drawn
    }),
  ]
}

function drawGroup(
  { label, rows }: Group,
  x: number,
  heightOf: (value: number) => number,
): string[] {
  const middle = x + (rows.length * STEP) / 2
  return [
    ...rows.flatMap(({ contender, median, ratio }, index) => {
      const left = x + index * STEP
      const height = Math.max(1, heightOf(median))
      const top = TOP + HEIGHT - height
      const times = ratio === undefined ? '' : `${short(ratio.median)}x`
      return [
        `<rect x="${left}" y="${top}" width="${BAR}" height="${height}" fill="${colourOf(contender)}"/>`,
        `<text class="ratio" transform="translate(${left + BAR / 2 + 4} ${top - 4}) rotate(-90)">${times}</text>`,
      ]
    }),
    ...label.map((part, index) =>
      text({ x: middle, y: TOP + HEIGHT + 18 + index * 15, anchor: 'middle' }, part),
    ),
  ]
}

function text(
  place: {
    readonly x: number
    readonly y: number
    readonly anchor?: string
    readonly kind?: string
  },
  content: string,
): string {
  const { x, y, anchor = 'start', kind = 'label' } = place
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text class="${kind}" x="${x}" y="${y}" text-anchor="${anchor}">${escaped}</text>`
}

function colourOf(name: string): string {
  return COLOURS[name] ?? OTHER_COLOUR
}

function bytesText(bytes = 0): string {
  if (bytes >= 2 ** 20) return `${bytes / 2 ** 20} MiB`
  return bytes >= 1_024 ? `${bytes / 1_024} KiB` : `${bytes} octets`
}

function scaleText(decade: number): string {
  if (decade >= 6) return `${10 ** (decade - 6)} M`
  return decade >= 3 ? `${10 ** (decade - 3)} k` : String(10 ** decade)
}

function short(ratio: number): string {
  return ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(ratio >= 1 ? 1 : 2)
}
