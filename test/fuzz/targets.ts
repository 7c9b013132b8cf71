/** All targets, how one case of a target is run, and how one that fails is made smaller. */

import { beaconTarget, framesTarget, zreTarget } from './codecs.ts'
import { gossipTarget } from './gossip.ts'
import { harmonyTarget } from './harmony.ts'
import { logTarget } from './log.ts'
import { mdnsTarget } from './mdns.ts'
import { nodeTarget } from './node.ts'
import { Random } from './random.ts'
import { newTally, type Tally, type Target } from './trial.ts'
import { zmtpTarget } from './zmtp.ts'

export const TARGETS: readonly Target[] = [
  beaconTarget,
  zreTarget,
  framesTarget,
  zmtpTarget,
  harmonyTarget,
  mdnsTarget,
  nodeTarget,
  gossipTarget,
  logTarget,
]

/** Runs that making a failure smaller may take. */
const SHRINK_RUNS_MAX = 400
/** The draws of a case's beginning and of its end are those of steps that no case has. */
const BEGINNING = -1
const END = -2

/** One case: `number` says which target it is of, unless a target of another kind is tried. */
export type Case = { readonly seed: number; readonly number: number; readonly target?: Target }

export type Failure = {
  readonly number: number
  readonly target: string
  readonly error: string
  /** The steps that are needed, of those that were done. */
  readonly steps: readonly number[]
}

/** The number of a target's case among all cases: it says which target it is of. */
export function numberOf(target: Target, index: number): number {
  return index * TARGETS.length + TARGETS.indexOf(target)
}

export function targetOf(number: number): Target {
  return TARGETS[number % TARGETS.length] as Target
}

const random = new Random()

/** WireErrors come by the million, and a stack costs more than the rest of them: without, unless it is looked at. */
export async function withoutStacks<T>(act: () => Promise<T>): Promise<T> {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return await act()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** Runs one case; what does not hold is thrown. `steps`: only these, in order. @returns the steps that were done. */
export async function runCase(
  { seed, number, target = targetOf(number) }: Case,
  { tally, steps }: { readonly tally: Tally; readonly steps?: readonly number[] | undefined },
  done: number[] = [],
): Promise<void> {
  const trial = await target.begin(random.seed(seed, number, BEGINNING), tally)
  const count = steps?.length ?? target.stepsMax
  for (let index = 0; index < count && !trial.over; index++) {
    const step = steps === undefined ? index : (steps[index] as number)
    done.push(step)
    trial.step(random.seed(seed, number, step))
  }
  await trial.end(random.seed(seed, number, END))
}

/** Runs a case that has failed again, without this and without that, for as long as it fails in the same way. */
export async function shrink(at: Case, first: unknown): Promise<Failure> {
  const { number, target = targetOf(number) } = at
  const fails = async (steps: readonly number[] | undefined, done: number[]) => {
    try {
      await runCase(at, { tally: newTally(), steps }, done)
      return false
    } catch (error) {
      return kind(error) === kind(first)
    }
  }
  let steps: number[] = []
  let runs = 0
  if (await fails(undefined, steps)) {
    for (let size = Math.ceil(steps.length / 2); size >= 1; size = size > 1 ? size >> 1 : 0) {
      for (let start = 0; start < steps.length && runs < SHRINK_RUNS_MAX; runs++) {
        const rest = [...steps.slice(0, start), ...steps.slice(start + size)]
        if (await fails(rest, [])) steps = rest
        else start += size
      }
    }
  }
  return { number, target: target.name, error: String(first), steps }
}

/** How much of what was done for one target. */
export type Progress = Tally & { readonly name: string; cases: number; cpuMs: number }

/** What a long run may take, and whom it tells. */
export type Plan = {
  readonly seed: number
  readonly inputs: number
  readonly seconds: number
  /** One target alone; all of them where there is none. */
  readonly target: string | undefined
  /** Hears the number of each case before it is run, so that one without end can be told. */
  readonly begin?: (number: number) => void
  readonly failed?: (failure: Failure) => void
  readonly progress?: (progress: readonly Progress[]) => void
}

/** Targets take turns of so many inputs together. */
const TURN_INPUTS = 100_000
/** A target that fails so often in so many ways has told enough. */
const FAILURES_MAX = 3

/** Runs case after case of each target, each its share, until there were enough inputs or the time is over. */
export async function runMany(plan: Plan): Promise<readonly Progress[]> {
  const targets = TARGETS.filter(({ name }) => (plan.target ?? name) === name)
  const shares = targets.reduce((sum, { share }) => sum + share, 0)
  const progress = targets.map(({ name }) => ({ name, cases: 0, cpuMs: 0, ...newTally() }))
  const failures = targets.map(() => new Map<string, Failure>())
  const endAt = performance.now() + plan.seconds * 1_000
  for (let goal = 0; goal < plan.inputs && performance.now() < endAt; ) {
    goal = Math.min(plan.inputs, goal + TURN_INPUTS)
    for (const [index, target] of targets.entries()) {
      const tally = progress[index] as Progress
      const failed = failures[index] as Map<string, Failure>
      const share = (goal * target.share) / shares
      const before = process.cpuUsage()
      while (tally.inputs < share && performance.now() < endAt && failed.size < FAILURES_MAX) {
        const at = { seed: plan.seed, number: numberOf(target, tally.cases++) }
        plan.begin?.(at.number)
        await runCase(at, { tally }).catch(async (error) => {
          if (failed.has(kind(error))) return
          const failure = await shrink(at, error)
          failed.set(kind(error), failure)
          plan.failed?.(failure)
        })
      }
      const { user, system } = process.cpuUsage(before)
      tally.cpuMs += (user + system) / 1_000
    }
    plan.progress?.(progress)
  }
  return progress
}

/** Numbers in a message differ from run to run. */
function kind(error: unknown): string {
  return String(error).replaceAll(/[0-9a-f]{32}|\d+/g, '#')
}
