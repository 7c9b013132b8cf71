/** Whole nodes find each other by multicast DNS in virtual time; a beacon a minute leaves it the time to. */

import t from 'tap'
import { Simulation } from '../../sim/index.ts'
import { FIDELITIES } from '../support/simulation.ts'

const OPTIONS = { mdns: true, beaconIntervalMs: 60_000 } as const

for (const fidelity of FIDELITIES) {
  t.test(`nodes that a partition kept apart are soon back, ${fidelity}`, async (t) => {
    const simulation = new Simulation({ seed: 1, fidelity })
    const [ada, bob] = ['ada', 'bob'].map((name) => simulation.createLyre({ name, ...OPTIONS }))
    if (ada === undefined || bob === undefined) return
    await Promise.all([ada.start(), bob.start()])
    await simulation.runUntil(Promise.all([ada, bob].map((lyre) => lyre.waitForPeers(1))))
    await simulation.run(5_000)
    t.match(ada.diagnostics().mdns, [{ open: true, instances: [{ uuid: bob.uuid, ours: true }] }])

    simulation.partition([[ada], [bob]])
    await simulation.run(50_000)
    t.same([ada.peers(), bob.peers()], [[], []])
    t.same(ada.diagnostics().mdns?.[0]?.instances, [], 'who does not answer is forgotten')
    simulation.heal()
    const heardBefore = ada.diagnostics().mdns?.[0]?.heard.alive ?? 0
    await simulation.run(35_000)
    t.equal(ada.peers().length, 1, 'long before its time to live, and the next hour, are over')
    t.ok((ada.diagnostics().mdns?.[0]?.heard.alive ?? 0) > heardBefore)
    await simulation.stop()
  })
}

t.test('the same seed is the same run, with packets that are lost and damaged', async (t) => {
  const play = async () => {
    const links = { loss: 0.3, duplicate: 0.1, damage: 0.2, jitterMs: 2 }
    const simulation = new Simulation({ seed: 7, links })
    const lyres = ['ada', 'bob', 'eve'].map((name) => simulation.createLyre({ name, ...OPTIONS }))
    for (const lyre of lyres) await lyre.start()
    await simulation.run(200_000)
    const found = lyres.map((lyre) => lyre.diagnostics().mdns?.[0]?.instances.length)
    await simulation.stop()
    return { digest: simulation.digest(), found }
  }
  const one = await play()
  t.same(await play(), one)
  t.same(one.found, [2, 2, 2])
})

t.test('a node whose machine moves to another network shows there', async (t) => {
  const simulation = new Simulation({ seed: 1 })
  const ada = simulation.createLyre({ name: 'ada', ...OPTIONS })
  await ada.start()
  await simulation.run(1_000)
  simulation.moveTo(ada, '10.0.200.1')
  await simulation.run(10_000)
  t.match(ada.diagnostics().mdns, [{ open: true, address: '10.0.200.1' }])
  await simulation.stop()
})
