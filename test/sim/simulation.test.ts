/** Nodes in a box: they find each other, and the same seed tells the same story. */

import t from 'tap'
import { Simulation } from '../../sim/index.ts'

async function story(seed: number, fidelity: 'wire' | 'message'): Promise<string> {
  const simulation = new Simulation({ seed, fidelity })
  const [ada, bob] = [simulation.createLyre({ name: 'ada' }), simulation.createLyre()]
  ada.join('CHAT')
  await Promise.all([ada.start(), bob.start()])
  await simulation.runUntil(ada.waitForPeers(1))
  bob.shout('CHAT', 'hello')
  await simulation.run(2_000)
  await simulation.stop()
  return simulation.digest()
}

for (const fidelity of ['wire', 'message'] as const) {
  t.test(
    `the same seed is the same run, another is another, at ${fidelity} fidelity`,
    async (t) => {
      const digest = await story(1, fidelity)
      t.match(digest, /^[0-9a-f]{64}$/)
      t.equal(await story(1, fidelity), digest)
      t.not(await story(2, fidelity), digest)
    },
  )
}
