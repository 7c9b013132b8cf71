/**
 * Properties, by fast-check, as one TAP line each. A failure says how to see it again: the seed, the
 * path and the smallest counterexample. `LYRE_SEED=7 npm test` repeats a run, `LYRE_RUNS=10000` looks
 * longer.
 */

import { type Arbitrary, check, property, type RunDetails, stringify } from 'fast-check'
import type { Test } from 'tap'

const RUNS_DEFAULT = 200

/**
 * Asserts that `holder` is content with whatever `arbitrary` makes: it returns false or throws when it
 * is not, and any other answer will do. `name` is a sentence, as of any other test.
 */
export function holds<T>(
  t: Pick<Test, 'pass' | 'fail'>,
  name: string,
  arbitrary: Arbitrary<T>,
  holder: (value: T) => unknown,
): void {
  const seed = numberFrom('LYRE_SEED')
  const details = check(
    property(arbitrary, (value) => holder(value) !== false),
    {
      numRuns: numberFrom('LYRE_RUNS') ?? RUNS_DEFAULT,
      ...(seed === undefined ? {} : { seed }),
    },
  )
  if (details.failed) t.fail(`${name}: ${describeFailure(details)}`)
  else t.pass(name)
}

function describeFailure<T>(details: RunDetails<[T]>): string {
  const [value] = details.counterexample ?? []
  return [
    `fails with ${stringify(value)}`,
    String(details.errorInstance ?? 'returned false').replaceAll(/\s+/g, ' '),
    `LYRE_SEED=${details.seed}`,
    `path ${details.counterexamplePath}`,
    `run ${details.numRuns}, ${details.numShrinks} times made smaller`,
  ].join('; ')
}

function numberFrom(variable: string): number | undefined {
  const text = process.env[variable]
  if (text === undefined || text === '') return undefined
  const number = Number(text)
  if (!Number.isSafeInteger(number)) throw new Error(`${variable} is not a whole number: '${text}'`)
  return number
}
