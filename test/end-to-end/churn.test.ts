/**
 * The soak in small: two crowds and two loners that are churned, killed and put to sleep, and one node that sees another
 * come and go. `npm run soak` is the same for minutes. `LYRE_SEED=7` repeats what is done, though not what comes of it.
 */

import t from 'tap'
import { churn } from '../soak/churn.ts'
import { cycles, grown } from '../soak/cycles.ts'
import { freePort } from '../support/nodes.ts'

t.test('a mesh that is churned heals, forgets nothing and doubles nothing', async (t) => {
  const { LYRE_SEED = String(Math.floor(Math.random() * 1_000)) } = process.env
  const seed = Math.abs(Number(LYRE_SEED))
  t.comment(`LYRE_SEED=${seed}`)
  const options = {
    script: new URL('../../dist-soak/soak/crowd.js', import.meta.url),
    seed,
    beaconPort: await freePort(),
    nodeCount: 6,
    lonerCount: 2,
    phasesMin: 2,
    minutes: 0,
    actionCount: 150,
  }
  const { faults } = await churn(t, options, {
    phase: ({ trouble, calmMs, counts }) => {
      t.comment(`${trouble}; agreed after ${calmMs} ms; ${JSON.stringify(counts)}`)
    },
  })
  t.same(faults, [])
})

t.test('of hundreds of guests nothing is left', async (t) => {
  const count = 300
  const outcome = await cycles({ count, beaconPort: await freePort() })
  t.comment(outcome.samples.map(({ heapUsed }) => heapUsed).join(' '))
  t.same(grown(outcome, count), [])
})
