/** The thread that does the work of fuzz.ts: so that the other one can tell when a case never ends. */

import { parentPort, workerData } from 'node:worker_threads'
import { startCoverage, takeCoverage } from './coverage.ts'

const { plan, covered, current } = workerData
const session = covered === undefined ? undefined : startCoverage()
// Only what is loaded from here on is covered.
const { runMany, withoutStacks } = await import('./targets.ts')
const tell = (type: string) => (value: unknown) => parentPort?.postMessage({ type, value })
const progress = await withoutStacks(() =>
  runMany({
    ...plan,
    begin: (number) => {
      current[0] = number
    },
    failed: tell('failed'),
    progress: tell('progress'),
  }),
)
if (session !== undefined) tell('covered')(await takeCoverage(session, covered))
tell('done')(progress)
