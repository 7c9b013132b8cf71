/** Subnets that no broadcast joins, in virtual time: a hub of gossip does, through loss, crashes and partitions. */

import t from 'tap'
import { Simulation } from '../../sim/index.ts'
import type { Lyre, LyreOptions } from '../../src/index.ts'
import { FIDELITIES } from '../support/simulation.ts'

const HUB_PORT = 5_671
const TTL_MS = 30_000

/** A started hub in a subnet of its own, and where it is. */
async function hubOf(simulation: Simulation): Promise<{ hub: Lyre; gossipConnect: string }> {
  const gossipBind = `tcp://*:${HUB_PORT}`
  const hub = simulation.createLyre({ name: 'hub', gossipBind }, { subnet: 'hubs', machine: 'hub' })
  await hub.start()
  const { hostname } = new URL(hub.endpoint ?? '')
  return { hub, gossipConnect: `tcp://${hostname}:${HUB_PORT}` }
}

/** Started nodes in two subnets. */
async function nodesOf(
  simulation: Simulation,
  names: readonly string[],
  options: LyreOptions,
): Promise<Lyre[]> {
  const nodes = names.map((name, index) =>
    simulation.createLyre({ name, ...options }, { subnet: index % 2 === 0 ? 'left' : 'right' }),
  )
  for (const node of nodes) await node.start()
  return nodes
}

function stateOf(lyre: Lyre, uuid: string): string | undefined {
  return lyre.diagnostics().gossip?.tuples.find((tuple) => tuple.uuid === uuid)?.state
}

for (const fidelity of FIDELITIES) {
  t.test(`subnets meet by a hub, through loss and its restart, ${fidelity}`, async (t) => {
    const simulation = new Simulation({ seed: 11, fidelity, links: { loss: 0.2, jitterMs: 5 } })
    const { hub, gossipConnect } = await hubOf(simulation)
    const nodes = await nodesOf(simulation, ['ada', 'bob', 'eve'], { gossipConnect })
    await simulation.run(20_000)
    for (const node of [hub, ...nodes]) t.equal(node.peers().length, 3, node.name)
    simulation.crash(hub, { by: 'kill' })
    await simulation.run(10_000)
    for (const node of nodes) t.equal(node.peers().length, 2, `${node.name} without the hub`)
    const late = simulation.createLyre({ name: 'late', gossipConnect }, { subnet: 'late' })
    await late.start()
    await simulation.run(5_000)
    t.equal(late.peers().length, 0, 'nobody tells it')
    const again = simulation.restart(hub)
    await again.start()
    await simulation.run(30_000)
    for (const node of [again, ...nodes, late]) t.equal(node.peers().length, 4, node.name)
    await simulation.stop()
  })

  t.test(`who dies without a word is forgotten within its time to live, ${fidelity}`, async (t) => {
    const simulation = new Simulation({ seed: 12, fidelity })
    const { hub, gossipConnect } = await hubOf(simulation)
    const [ada, bob] = (await nodesOf(simulation, ['ada', 'bob'], { gossipConnect })) as [
      Lyre,
      Lyre,
    ]
    await simulation.run(5_000)
    t.equal(stateOf(ada, bob.uuid), 'leased')
    simulation.crash(bob)
    await simulation.run(TTL_MS + 1_000)
    t.same([stateOf(ada, bob.uuid), stateOf(hub, bob.uuid)], ['gone', 'gone'])
    const late = simulation.createLyre({ name: 'late', gossipConnect }, { subnet: 'late' })
    await late.start()
    await simulation.run(10_000)
    t.equal(stateOf(late, bob.uuid), undefined)
    t.equal(late.peers().length, 2)
    await simulation.stop()
  })

  t.test(`a partition that is longer than any lease heals, ${fidelity}`, async (t) => {
    const simulation = new Simulation({ seed: 13, fidelity })
    const { hub, gossipConnect } = await hubOf(simulation)
    const [ada, bob] = (await nodesOf(simulation, ['ada', 'bob'], { gossipConnect })) as [
      Lyre,
      Lyre,
    ]
    await simulation.run(5_000)
    simulation.partition([[hub, ada], [bob]])
    await simulation.run(300_000)
    t.equal(ada.peers().length, 1)
    t.equal(stateOf(ada, bob.uuid), 'gone')
    simulation.heal()
    await simulation.run(30_000)
    for (const node of [hub, ada, bob]) t.equal(node.peers().length, 2, node.name)
    await simulation.stop()
  })
}

t.test('the same seed is the same run, with gossip too', async (t) => {
  const story = async () => {
    const simulation = new Simulation({ seed: 14, links: { loss: 0.1, jitterMs: 2 } })
    const { hub, gossipConnect } = await hubOf(simulation)
    await nodesOf(simulation, ['ada', 'bob', 'eve'], { gossipConnect })
    await simulation.run(5_000)
    simulation.crash(hub)
    await simulation.run(60_000)
    await simulation.stop()
    return simulation.digest()
  }
  t.equal(await story(), await story())
})
