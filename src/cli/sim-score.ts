// What came of many seeds, so far and in the end.

import { createHash } from 'node:crypto'
import type { Plan, Progress } from '../../sim/index.ts'
import type { JsonLine } from './json.ts'
import type { Seeds } from './sim-settings.ts'
import { type Ending, figure, instant, type Outcome, seconds, speedOf } from './sim-words.ts'

/** How it ended, apart from the seeds. */
interface End {
  readonly isInterrupted: boolean
  readonly wallSeconds: number
}

/** What was not run to its end. */
const SHOWN_MAX = 20

/** The score of one command. */
export class Score {
  /** How many seeds there are in all. */
  readonly of: number
  /** Seeds by how they ended. */
  readonly endings = new Map<Ending, number[]>()
  readonly #seeds: Seeds
  readonly #running = new Map<number, Progress | undefined>()
  readonly #digests: [seed: number, digest: string][] = []
  #twice = 0
  #virtualMs = 0
  #events = 0
  #steps = 0

  constructor(seeds: Seeds) {
    this.#seeds = seeds
    this.of = seeds.last - seeds.first + 1
  }

  /** How many have ended. */
  get ran(): number {
    let count = 0
    for (const seeds of this.endings.values()) count += seeds.length
    return count
  }

  /** A seed is played, and has come so far. */
  run(seed: number, progress?: Progress): void {
    this.#running.set(seed, progress)
  }

  /** A seed has ended. */
  end(seed: number, ending: Ending, outcome: Outcome): void {
    this.#running.delete(seed)
    this.endings.set(ending, [...(this.endings.get(ending) ?? []), seed])
    if (outcome.type !== 'ended') return
    const { verdict, twin } = outcome
    if (twin !== undefined) this.#twice++
    this.#digests.push([seed, verdict.digest])
    this.#virtualMs += Math.round(1_000 * verdict.virtualSeconds)
    this.#events += verdict.events
    this.#steps += verdict.steps
  }

  /** What a bar shows of it. */
  bar(wallMs: number, budgetMs: number): [share: number, facts: string[]] {
    const { ran, of } = this
    const virtualMs = [...this.#running.values()].map((progress) => progress?.virtualMs ?? 0)
    const sum = virtualMs.reduce((one, other) => one + other, this.#virtualMs)
    const bad = ran - this.#count('passed')
    const isLimited = budgetMs < Number.POSITIVE_INFINITY
    const budget = isLimited ? ` of ${seconds(budgetMs / 1_000)}` : ''
    const facts = [
      `${figure(ran)} of ${figure(of)} seeds`,
      ...(bad > 0 ? [`${bad} failed`] : []),
      speedOf(sum / wallMs),
      `${seconds(wallMs / 1_000)}${budget}`,
      `${figure(this.#events)} events`,
    ]
    return [isLimited ? Math.max(ran / of, wallMs / budgetMs) : ran / of, facts]
  }

  /** How it ended, in a word; 'passed' is of all that ran. */
  verdict({ isInterrupted }: End): Ending {
    if (isInterrupted) return 'interrupted'
    const worst = (['nondeterministic', 'failed', 'died'] as const).find((ending) =>
      this.endings.has(ending),
    )
    return worst ?? 'passed'
  }

  /** In words. */
  describe(end: End): string {
    const { ran, of } = this
    const word = WORDS[this.verdict(end)]
    const counts = [`${figure(this.#count('passed'))} passed`]
    for (const ending of ['failed', 'nondeterministic', 'died'] as const) {
      const seeds = this.endings.get(ending) ?? []
      if (seeds.length > 0) counts.push(`${seeds.length} ${WORDS[ending].toLowerCase()}`)
    }
    const bad = [...this.endings].flatMap(([ending, seeds]) => (ending === 'passed' ? [] : seeds))
    const time = `${instant(this.#virtualMs, { withMs: false })} of virtual time`
    const speed = speedOf(this.#virtualMs / 1_000 / end.wallSeconds)
    const lines = [
      `${word}  ${figure(ran)} of ${figure(of)} seeds ran: ${counts.join(', ')}`,
      ...(bad.length > 0 ? [`  seeds   ${bad.sort(upwards).join(' ')}`] : []),
      `  ${time} in ${seconds(end.wallSeconds)}, ${speed} real time; ${figure(this.#events)} events`,
      `  ${this.#twice} of them ran twice, to see whether they are the same`,
      `  digest  ${this.#digest()}`,
    ]
    if (ran < of && !end.isInterrupted) lines.splice(1, 0, `  the budget was spent before the rest`)
    const running = [...this.#running].slice(0, SHOWN_MAX)
    for (const [seed, progress] of running) {
      lines.push(`  seed ${seed} was at ${instant(progress?.virtualMs ?? 0)}`)
    }
    return lines.join('\n')
  }

  /** As JSON: the keys of one run where they make sense, and counts. */
  json({ plan, ...end }: End & { readonly plan: Plan }): JsonLine {
    const { nodes, workload, fidelity } = plan
    const { first, last } = this.#seeds
    const virtualSeconds = this.#virtualMs / 1_000
    const list = (ending: Ending) => [...(this.endings.get(ending) ?? [])].sort(upwards)
    return {
      verdict: this.verdict(end),
      seeds: [first, last],
      nodes,
      workload,
      fidelity,
      virtualSeconds,
      wallSeconds: end.wallSeconds,
      speed: virtualSeconds / end.wallSeconds,
      events: this.#events,
      steps: this.#steps,
      digest: this.#digest(),
      of: this.of,
      ran: this.ran,
      twice: this.#twice,
      passed: this.#count('passed'),
      failed: list('failed'),
      nondeterministic: list('nondeterministic'),
      died: list('died'),
      running: [...this.#running.keys()],
    }
  }

  #count(ending: Ending): number {
    return this.endings.get(ending)?.length ?? 0
  }

  /** Of all digests, in the order of their seeds: two machines that agree in it agree in all. */
  #digest(): string {
    const hash = createHash('sha256')
    for (const [seed, digest] of this.#digests.sort(([one], [other]) => one - other)) {
      hash.update(`${seed} ${digest}\n`)
    }
    return hash.digest('hex')
  }
}

/** Endings in the words that a line begins with. */
export const WORDS: Readonly<Record<Ending, string>> = {
  passed: 'PASSED',
  stopped: 'STOPPED',
  failed: 'FAILED',
  nondeterministic: 'NOT DETERMINISTIC',
  interrupted: 'INTERRUPTED',
  died: 'DIED',
}

function upwards(one: number, other: number): number {
  return one - other
}
