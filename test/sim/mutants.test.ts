/**
 * The test of the tests: each way to break a node is found by the judge, as one of the invariants that it breaks, and a node
 * that is not broken passes the same run.
 */

import t from 'tap'
import { planRun, type RunOptions, run } from '../../sim/index.ts'
import { MUTANTS, type Mutant } from './mutants.ts'

/** A mutant need not show in every run. */
const SEEDS = [1, 2, 3, 4]

function optionsOf(mutant: Mutant, seed: number): RunOptions {
  const { faults = 'none', workload = 'soak', fidelity = 'message' } = mutant
  return { seed, nodes: 6, workload, faults, fidelity, ms: 150_000 }
}

const passed = new Map<string, Promise<boolean>>()

/** Whether unbroken nodes pass a run; asked once for each run. */
function passes(options: RunOptions): Promise<boolean> {
  const key = JSON.stringify(options)
  const known = passed.get(key) ?? run(planRun(options)).then(({ verdict }) => verdict === 'passed')
  passed.set(key, known)
  return known
}

for (const mutant of MUTANTS) {
  t.test(`a node that ${mutant.name} is found`, async (t) => {
    for (const seed of SEEDS) t.ok(await passes(optionsOf(mutant, seed)), `unbroken, seed ${seed}`)
    const found: string[] = []
    for (const seed of SEEDS) {
      const restore = mutant.make()
      const { findings = [] } = await run(planRun(optionsOf(mutant, seed))).finally(restore)
      found.push(...findings.map(({ invariant }) => invariant))
      if (findings.length > 0) break
    }
    const isFound = mutant.breaks.some((wanted) => found.includes(wanted))
    t.ok(isFound, `one of ${mutant.breaks} is among ${found}`)
  })
}
