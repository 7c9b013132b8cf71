// What came of a run, in words for a person and in JSON for a program.

import {
  describePlan,
  type Finding,
  type Plan,
  type Progress,
  type Verdict,
} from '../../sim/index.ts'
import type { JsonLine } from './json.ts'
import type { Order } from './sim-settings.ts'
import { clean } from './words.ts'

/** What became of an order. */
export type Outcome =
  | { readonly type: 'ended'; readonly verdict: Verdict; readonly twin?: Verdict }
  /** Ctrl-C, or the like. */
  | {
      readonly type: 'interrupted'
      readonly progress: Progress | undefined
      readonly wallMs: number
    }
  /** The thread that played it is no more: memory, or a bug of the simulator. */
  | { readonly type: 'died'; readonly reason: string }

/** How it ended, in a word. */
export type Ending = 'passed' | 'failed' | 'stopped' | 'nondeterministic' | 'interrupted' | 'died'

/** How many links of a chain are shown. */
const CHAIN_LENGTH_MAX = 30
const SEEN_LENGTH_MAX = 4_000

/** A run that was played twice, and was not the same, proves nothing else. */
export function endingOf(outcome: Outcome): Ending {
  if (outcome.type !== 'ended') return outcome.type
  const { verdict, twin } = outcome
  return twin === undefined || isSame(verdict, twin) ? verdict.verdict : 'nondeterministic'
}

/** Whether two runs were one. */
export function isSame(
  one: { readonly digest: string; readonly invariant?: string },
  other: { readonly digest: string; readonly invariant?: string },
): boolean {
  return one.digest === other.digest && one.invariant === other.invariant
}

/** The run that is to come, in a line. */
export function headline({ seed, nodes, workload, fidelity, ms }: Plan): string {
  const time = instant(ms, { withMs: false })
  return `seed ${seed}, ${nodes} nodes, ${workload}, ${fidelity}, ${time} of virtual time`
}

/** All that there is to say of one run. */
export function describeOutcome(order: Order, outcome: Outcome, repro: string | undefined): string {
  const { replay, plan } = order
  if (outcome.type === 'died') return `DIED  ${outcome.reason}\n  replay  ${replay}`
  if (outcome.type === 'interrupted') {
    const { progress, wallMs } = outcome
    const at = `${instant(progress?.virtualMs ?? 0)} of ${instant(plan.ms, { withMs: false })}`
    return `INTERRUPTED  at ${at}, after ${seconds(wallMs / 1_000)}\n  nothing was found until then\n  replay  ${replay}`
  }
  const { verdict, twin } = outcome
  const lines: string[] = []
  if (endingOf(outcome) === 'nondeterministic') {
    lines.push('NOT DETERMINISTIC  it ran twice, and was not the same')
    lines.push(...[verdict, twin ?? verdict].map((one) => `  ${one.digest}  ${endOf(one)}`))
    lines.push(`  replay  ${replay} --twice`)
    return lines.join('\n')
  }
  lines.push(...(verdict.finding === undefined ? [] : findingLines(verdict.finding)))
  if (verdict.verdict === 'failed') {
    lines.push('', 'all options:', ...describePlan(plan).map((line) => `  ${line}`), '')
  } else lines.push(endOf(verdict))
  lines.push(`  ${measures(verdict)}`, `  digest  ${verdict.digest}`)
  if (twin !== undefined) lines.push('  twice   the same')
  lines.push(...recordLines(order, verdict))
  if (verdict.verdict === 'failed') lines.push(`  replay  ${replay}`)
  if (repro !== undefined) lines.push(`  file    ${repro}`)
  return lines.join('\n')
}

/** One run of many, as much as a line or two can say. */
export function describeShortly(order: Order, outcome: Outcome, repro: string | undefined): string {
  const { seed } = order.plan
  const file = repro === undefined ? '' : `\n  file    ${repro}`
  const twice = endingOf(outcome) === 'nondeterministic' ? ' --twice' : ''
  const options = `\n  options ${JSON.stringify(order.options)}`
  const replay = `\n  replay  ${order.replay}${twice}${options}`
  if (outcome.type === 'died') return `DIED  seed ${seed}: ${outcome.reason}${replay}`
  if (outcome.type === 'interrupted') return `INTERRUPTED  seed ${seed}${replay}`
  if (twice !== '') return `NOT DETERMINISTIC  seed ${seed}${replay}`
  const { finding } = outcome.verdict
  if (finding === undefined) return `${endOf(outcome.verdict)}  seed ${seed}`
  const { invariant, at, expected, seen } = finding
  const [first = ''] = clean(seen, SEEN_LENGTH_MAX).split('\n')
  const what = `expected ${clean(expected)}; seen ${first}`
  return `FAILED  seed ${seed}: ${invariant} at ${instant(at)}${who(finding)}: ${what}${replay}${file}`
}

/** One run as JSON. */
export function jsonOf(
  { plan, options, replay, recorded }: Order,
  outcome: Outcome,
  repro: string | undefined,
): JsonLine {
  const { seed, nodes, workload, fidelity } = plan
  const ending = endingOf(outcome)
  const head = { verdict: ending, seed, nodes, workload, fidelity }
  if (outcome.type === 'died') return { ...head, reason: outcome.reason, replay, plan }
  if (outcome.type === 'interrupted') {
    const { progress, wallMs } = outcome
    const virtualSeconds = (progress?.virtualMs ?? 0) / 1_000
    const wallSeconds = wallMs / 1_000
    const speed = virtualSeconds / wallSeconds
    const { events = 0 } = progress ?? {}
    return { ...head, virtualSeconds, wallSeconds, speed, events, replay, plan }
  }
  const { verdict, twin } = outcome
  const { plan: _, verdict: __, findings, finding, invariant, ...figures } = verdict
  const failed = ending === 'failed' || ending === 'nondeterministic'
  return {
    ...head,
    ...figures,
    ...(twin !== undefined && { digests: [verdict.digest, twin.digest] }),
    ...(recorded !== undefined && { recorded, same: isSame(recorded, verdict) }),
    ...(invariant !== undefined && { invariant }),
    ...(failed && { replay: ending === 'failed' ? replay : `${replay} --twice` }),
    ...(repro !== undefined && { repro }),
    ...(findings !== undefined && { finding, findings }),
    ...(failed && { options, plan }),
  }
}

/** Virtual time, as 00:13:07.412. */
export function instant(ms: number, { withMs = true } = {}): string {
  const [hours, minutes] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60]
  const rest = Math.floor(ms / 1_000) % 60
  const text = [hours, minutes, rest].map((number) => String(number).padStart(2, '0')).join(':')
  return withMs ? `${text}.${String(Math.floor(ms) % 1_000).padStart(3, '0')}` : text
}

/** A number with separators, as 1,234,567. */
export function figure(number: number): string {
  return number.toLocaleString('en-US')
}

/** How much faster than real time. */
export function speedOf(speed: number): string {
  return `${speed < 10 ? speed.toFixed(1) : figure(Math.round(speed))}x`
}

/** Real time. */
export function seconds(wallSeconds: number): string {
  return `${wallSeconds.toFixed(wallSeconds < 10 ? 1 : 0)} s`
}

function endOf({ verdict, invariant, virtualSeconds }: Verdict): string {
  if (verdict === 'failed') return `FAILED  ${invariant}`
  if (verdict === 'passed') return 'PASSED  no invariant broke'
  return `STOPPED  at ${instant(virtualSeconds * 1_000)}, no invariant broke until then`
}

function measures({ virtualSeconds, wallSeconds = 0, speed = 0, events, steps }: Verdict): string {
  const time = `${instant(virtualSeconds * 1_000, { withMs: false })} in ${seconds(wallSeconds)}`
  return `${time}, ${speedOf(speed)} real time; ${figure(events)} events, ${figure(steps)} steps`
}

function recordLines({ recorded }: Order, verdict: Verdict): string[] {
  if (recorded === undefined || verdict.verdict === 'stopped') return []
  if (isSame(recorded, verdict)) return ['  file    the same as it says']
  return [
    `  file    not the same: it says ${recorded.invariant}, digest ${recorded.digest};`,
    '          another version of Lyre may have written it',
  ]
}

function findingLines(finding: Finding): string[] {
  const { invariant, at, expected, seen, chain } = finding
  const lines = [
    `FAILED  ${invariant} at ${instant(at)}${who(finding)}`,
    `  expected  ${clean(expected)}`,
    `  seen      ${indented(seen)}`,
  ]
  if (chain.length > 0) lines.push('', 'what led to it, the newest first:')
  for (const { id, at: when, text, cause } of chain.slice(0, CHAIN_LENGTH_MAX)) {
    const because = cause === 0 ? '' : `  <- #${cause}`
    lines.push(`  ${instant(when)}  #${id}  ${clean(text)}${because}`)
  }
  const more = chain.length - CHAIN_LENGTH_MAX
  if (more > 0) lines.push(`  and ${more} more, which --json and the file have`)
  return lines
}

function who({ node, peer }: Finding): string {
  if (node === '') return ''
  return peer === '' ? `, ${node}` : `, ${node} and ${peer}`
}

function indented(text: string): string {
  return text
    .slice(0, SEEN_LENGTH_MAX)
    .split('\n')
    .map((line) => clean(line))
    .join(`\n${' '.repeat(12)}`)
}
