/**
 * Rounds, and what becomes of them. In a round every contender is measured once, one after the other, and the next round
 * begins with another one: what a busy machine does to one of them it does to all. Hence ratios are taken within a round, and
 * of these the median: that of the medians would compare a quiet moment with a busy one.
 */

import { type Contest, type Goal, type Metric, OURS } from './cases.ts'
import type { Values } from './trials.ts'

/** All single values of a contest. */
export interface Outcome {
  readonly case: string
  readonly bytes?: number
  /** Of a curve: how many peers, nodes or groups. */
  readonly count?: number
  readonly contenders: readonly {
    readonly name: string
    /** A round each; who failed has fewer. */
    readonly values: readonly Values[]
    readonly failure?: string
  }[]
  readonly rows: readonly Row[]
}

/** A contender in one metric. */
export interface Row {
  readonly contender: string
  readonly unit: string
  readonly median: number
  /** How many times better Lyre is. */
  readonly ratio?: Spread
  readonly goal?: Goal
  readonly reached?: boolean
  /** Of a curve: how it differs from where there are fewest, and with which power of their number that is. */
  readonly growth?: { readonly times: number; readonly exponent: number }
}

/** The median of some numbers, and how far they are apart. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** Measures them all, `rounds` times. `earlier` is what was measured before: the curve may have begun there. */
export async function compete(
  contest: Contest,
  { rounds, earlier }: { readonly rounds: number; readonly earlier: readonly Outcome[] },
  progress: (text: string) => void,
): Promise<Outcome> {
  const names = [...contest.trials.keys()]
  const contenders = names.map((name) => ({ name, values: [] as Values[], failure: '' }))
  for (let round = 0; round < rounds; round++) {
    for (let place = 0; place < names.length; place++) {
      const one = contenders[(round + place) % names.length]
      if (one === undefined || one.failure !== '') continue
      progress(
        `${contest.case} ${contest.count ?? contest.bytes ?? ''}: round ${round + 1} of ${rounds}, ${one.name}`,
      )
      const trial = () => contest.trials.get(one.name)?.() ?? {}
      try {
        // A rival may hang now and then, and Lyre may not.
        const values = one.name === OURS ? trial() : Promise.resolve(trial()).catch(trial)
        one.values.push(await values)
      } catch (error) {
        one.failure = error instanceof Error ? error.message : String(error)
      }
    }
  }
  progress('')
  return {
    case: contest.case,
    ...(contest.bytes === undefined ? {} : { bytes: contest.bytes }),
    ...(contest.count === undefined ? {} : { count: contest.count }),
    contenders: contenders.map(({ failure, ...one }) => (failure ? { ...one, failure } : one)),
    rows: contest.metrics.flatMap((metric) =>
      contenders
        .filter(({ failure }) => failure === '')
        .map(({ name }) => grown(contest, row(contest, metric, name, contenders), earlier)),
    ),
  }
}

function grown(contest: Contest, row: Row, earlier: readonly Outcome[]): Row {
  const first = earlier.find((each) => each.case === contest.case)
  const isSame = (each: Row) => each.contender === row.contender && each.unit === row.unit
  const median = first?.rows.find(isSame)?.median
  if (first?.count === undefined || contest.count === undefined || median === undefined) return row
  const times = row.median / median
  const exponent = Math.log(times) / Math.log(contest.count / first.count)
  return { ...row, growth: { times, exponent } }
}

function row(
  { goals }: Contest,
  { unit, better }: Metric,
  contender: string,
  contenders: readonly { readonly name: string; readonly values: readonly Values[] }[],
): Row {
  const of = (wantedName: string) =>
    contenders.find(({ name }) => name === wantedName)?.values.map((each) => each[unit] ?? 0) ?? []
  const theirs = of(contender)
  const ours = of(OURS)
  const ratios = theirs
    .map((value, round) => {
      const own = ours[round] ?? Number.NaN
      return better === 'more' ? own / value : value / own
    })
    .filter(Number.isFinite)
  const median = spread(theirs).median
  const ratio = contender === OURS || ratios.length === 0 ? undefined : spread(ratios)
  const goal = goals.find((each) => each.unit === unit && each.contender === contender)
  return {
    contender,
    unit,
    median,
    ...(ratio === undefined ? {} : { ratio }),
    ...(goal === undefined ? {} : { goal, reached: isReached(goal, median, ratio) }),
  }
}

function isReached({ times = 0, most }: Goal, median: number, ratio: Spread | undefined): boolean {
  return most === undefined ? ratio !== undefined && ratio.median >= times : median <= most
}

/** @returns NaN for no numbers. */
export function spread(numbers: readonly number[]): Spread {
  const sorted = [...numbers].sort((one, other) => one - other)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2
  return { median, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN }
}

const COLUMNS: readonly (readonly [title: string, width: number])[] = [
  ['case', -16],
  ['size', 9],
  ['contender', -14],
  ['median', 12],
  ['', -11],
  ['Lyre is', 9],
  ['', -16],
  ['wanted', 8],
]

/** What stands above the table. */
export function tableHead(): string {
  return line(COLUMNS.map(([title]) => title))
}

/** The lines of an outcome in the table. */
export function tableLines({ case: name, rows, contenders, ...outcome }: Outcome): string[] {
  const amount = outcome.count ?? outcome.bytes
  const size = amount === undefined ? '' : count(amount)
  const lines = rows.map(({ contender, unit, median, ratio, goal, reached, growth }) => {
    const times = ratio === undefined ? '' : `${number(ratio.median)}x`
    const spreads = ratio === undefined ? '' : `${number(ratio.min)}..${number(ratio.max)}`
    const range = growth === undefined ? spreads : growthText(growth)
    const wanted = goal?.most === undefined ? `${goal?.times}x` : `<= ${goal.most}`
    const verdict = goal === undefined ? [] : [wanted, reached ? 'reached' : 'NOT reached']
    return line([name, size, contender, number(median), unit, times, range, ...verdict])
  })
  const failures = contenders
    .filter(({ failure }) => failure !== undefined)
    .map((each) => line([name, size, each.name, 'failed:', firstLine(each.failure)]))
  return [...lines, ...failures]
}

/** `2.00x, n^0.30`: for ten times as many it is twice as much. */
function growthText({ times, exponent }: NonNullable<Row['growth']>): string {
  return `${number(times)}x, n^${number(exponent)}`
}

/** Whether it was measured and all goals were reached. */
export function isPassed(outcome: Outcome | undefined): boolean {
  const { rows = [], contenders = [] } = outcome ?? {}
  return (
    rows.some(({ goal }) => goal !== undefined) &&
    rows.every(({ reached }) => reached !== false) &&
    contenders.every(({ failure }) => failure === undefined)
  )
}

/** A check of the gate, and what came of it. */
export function gateLine(outcome: Outcome): string {
  const { case: name, bytes = 0, rows, contenders } = outcome
  const failure = contenders.find((each) => each.failure !== undefined)?.failure
  const found = rows
    .filter(({ goal }) => goal !== undefined)
    .map(
      ({ contender, unit, ratio, goal }) =>
        `${number(ratio?.median ?? 0)}x ${contender} in ${unit}, at least ${goal?.times}x`,
    )
  const verdict = isPassed(outcome) ? 'passed' : 'FAILED'
  return `${verdict}: ${name} ${count(bytes)}: ${failure ? firstLine(failure) : found.join('; ')}`
}

/** Without the stack behind it. */
function firstLine(failure = ''): string {
  return failure.split('\n', 1)[0] ?? ''
}

function line(cells: readonly string[]): string {
  return cells
    .map((cell, index) => {
      const width = COLUMNS[index]?.[1] ?? 0
      return width < 0 ? cell.padEnd(-width) : cell.padStart(width)
    })
    .join('  ')
    .trimEnd()
}

/** Three digits that matter, or all before the point; thousands apart. */
export function number(value: number): string {
  return digits(value, value >= 100 ? 0 : value >= 10 ? 1 : 2)
}

/** A whole number, thousands apart. */
export function count(value: number): string {
  return digits(value, 0)
}

function digits(value: number, fraction: number): string {
  return value.toLocaleString('en-US', {
    minimumFractionDigits: fraction,
    maximumFractionDigits: fraction,
  })
}
