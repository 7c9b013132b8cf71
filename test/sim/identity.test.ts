/** Subnets that no broadcast joins, and machines that come back elsewhere, in virtual time: seeds, stable ids, what is remembered. */

import t from 'tap'
import { Simulation } from '../../sim/index.ts'
import type { Lyre, LyreEvent } from '../../src/index.ts'
import { FIDELITIES } from '../support/simulation.ts'

function storyOf(lyre: Lyre): string[] {
  const story: string[] = []
  for (const type of ['enter', 'exit'] as const) {
    lyre.on(type, (event: LyreEvent) => {
      if (event.type === 'exit') story.push(`exit ${event.peer.name} ${event.cause}`)
      else if (event.type === 'enter') story.push(`enter ${event.peer.name}`)
    })
  }
  return story
}

for (const fidelity of FIDELITIES) {
  t.test(
    `subnets meet by seeds, through loss, by the names of machines, ${fidelity}`,
    async (t) => {
      const play = async () => {
        const simulation = new Simulation({ seed: 21, fidelity, links: { loss: 0.2, jitterMs: 5 } })
        const fixed = { mailboxPort: 5_681 }
        const seeds = ['tcp://hall:5681', 'tcp://nobody:5681', 'tcp://localhost:9']
        const hall = simulation.createLyre({ name: 'hall', ...fixed, seeds }, { machine: 'hall' })
        const ada = simulation.createLyre({ name: 'ada', seeds }, { subnet: 'left' })
        const bob = simulation.createLyre({ name: 'bob', seeds }, { subnet: 'right' })
        const story = storyOf(ada)
        for (const node of [ada, bob, hall]) await node.start()
        await simulation.run(60_000)
        t.same(
          [hall, ada, bob].map((node) => node.peers().length),
          [2, 1, 1],
        )
        t.match(ada.diagnostics().seeds, [
          { state: 'entered', uuid: hall.uuid },
          { lastReason: 'cannot look up nobody: no machine has that name' },
          { lastReason: String },
        ])
        t.match(hall.diagnostics().seeds[0], { state: 'self' })
        simulation.crash(hall)
        await simulation.run(5_000)
        const again = simulation.restart(hall)
        await again.start()
        await simulation.run(60_000)
        t.equal(again.peers().length, 2)
        t.match(story, ['enter hall', /^exit hall/, 'enter hall'])
        await simulation.stop()
        return simulation.digest()
      }
      t.equal(await play(), await play(), 'each time the same')
    },
  )

  t.test(`who comes back elsewhere replaces what it was before, ${fidelity}`, async (t) => {
    for (const keepUuid of [false, true]) {
      const simulation = new Simulation({ seed: 22, fidelity })
      const ada = simulation.createLyre({ name: 'ada' })
      const bob = simulation.createLyre({ name: 'bob', state: 'bob', keepUuid }, { machine: 'pi' })
      const story = storyOf(ada)
      await ada.start()
      await bob.start()
      await simulation.run(5_000)
      t.match(ada.peers(), [{ headers: { 'X-LYRE-ID': bob.stableId, 'X-LYRE-INCARNATION': '1' } }])
      simulation.crash(bob)
      const again = simulation.restart(bob)
      simulation.moveTo(again)
      await again.start()
      t.equal(again.uuid === bob.uuid, keepUuid)
      await simulation.run(3_000)
      // With a new uuid it is another peer, which is met before it is clear that the old one does not answer.
      const wanted = keepUuid
        ? ['enter bob', /^exit bob (link|restart)$/, 'enter bob']
        : ['enter bob', 'enter bob', 'exit bob restart']
      t.match(story, wanted)
      t.equal(story.length, 3)
      t.match(ada.peerByStableId(bob.stableId ?? ''), {
        uuid: again.uuid,
        endpoint: again.endpoint,
        headers: { 'X-LYRE-INCARNATION': '2' },
      })
      t.equal(ada.peersByName('bob').length, 1)
      await simulation.stop()
    }
  })

  t.test(`who was met is found again without a beacon, ${fidelity}`, async (t) => {
    const simulation = new Simulation({ seed: 23, fidelity })
    const bob = simulation.createLyre({ name: 'bob', mailboxPort: 5_681 })
    const options = { name: 'ada', state: 'ada', remember: true }
    const ada = simulation.createLyre(options, { machine: 'pi' })
    await ada.start()
    await bob.start()
    await simulation.run(10_000)
    simulation.crash(ada)
    const again = simulation.restart(ada)
    await again.start()
    t.match(again.diagnostics().seeds, [{ endpoint: bob.endpoint, remembered: true }])
    await simulation.run(5_000)
    t.match(again.diagnostics().seeds, [{ state: 'entered' }])
    await simulation.stop()
  })
}
