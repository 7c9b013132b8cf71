/** The same seed tells the same story; whoever looks on changes nothing; one octet less is another story. */

import t from 'tap'
import { type Observer, Simulation } from '../../sim/index.ts'
import { FIDELITIES, Told } from '../support/simulation.ts'

interface Story {
  readonly seed?: number
  readonly content?: Uint8Array
  readonly observer?: Observer
}

async function tellStory(
  fidelity: 'wire' | 'message',
  { seed = 1, content = Uint8Array.of(1, 2, 3), observer }: Story = {},
): Promise<string> {
  const links = { loss: 0.2, duplicate: 0.1, reorder: 0.1, damage: 0.05, jitterMs: 2 }
  const simulation = new Simulation({ seed, fidelity, links })
  if (observer !== undefined) simulation.observe(observer)
  const lyres = ['ada', 'bob', 'eve'].map((name) => simulation.createLyre({ name }))
  for (const lyre of lyres) {
    lyre.join('CHAT')
    await lyre.start()
  }
  const [ada, bob, eve] = lyres as [(typeof lyres)[0], (typeof lyres)[0], (typeof lyres)[0]]
  bob.on('shout', async ({ peer }) => {
    await simulation.sleep(10)
    bob.whisper(peer, 'heard')
  })
  await simulation.runUntil(ada.waitForPeers(2))
  ada.shout('CHAT', content)
  await simulation.run(2_000)
  simulation.crash(eve)
  await simulation.run(40_000)
  await simulation.stop()
  return simulation.digest()
}

for (const fidelity of FIDELITIES) {
  t.test(`the same seed is the same run, another one another, ${fidelity}`, async (t) => {
    const digest = await tellStory(fidelity)
    t.match(digest, /^[0-9a-f]{64}$/)
    t.equal(await tellStory(fidelity), digest)
    t.not(await tellStory(fidelity, { seed: 2 }), digest)
  })

  t.test(`whoever looks on changes nothing, ${fidelity}`, async (t) => {
    const counts = new Map<string, number>()
    const count = (kind: string) => () => void counts.set(kind, (counts.get(kind) ?? 0) + 1)
    const observer = {
      datagram: count('datagram'),
      octets: count('octets'),
      message: count('message'),
      connection: count('connection'),
      event: count('event'),
      action: count('action'),
      fault: count('fault'),
    }
    t.equal(await tellStory(fidelity, { observer }), await tellStory(fidelity))
    const carried = fidelity === 'wire' ? 'octets' : 'message'
    const kinds = ['action', 'connection', 'datagram', 'event', 'fault', carried].sort()
    t.same([...counts.keys()].sort(), kinds)
  })

  t.test(`one octet that is another makes another digest, ${fidelity}`, async (t) => {
    const digest = await tellStory(fidelity)
    t.not(await tellStory(fidelity, { content: Uint8Array.of(1, 2, 2) }), digest)
    t.equal(await tellStory(fidelity, { content: Uint8Array.of(1, 2, 3) }), digest)
  })
}

t.test(
  'one story at both fidelities: the same events in the same order for each pair',
  async (t) => {
    const told = []
    for (const fidelity of FIDELITIES) {
      const simulation = new Simulation({ seed: 5, fidelity })
      const heard = new Told(simulation)
      const options = { headers: { kind: 'test' } }
      const [ada, bob, eve] = ['ada', 'bob', 'eve'].map((name) =>
        simulation.createLyre({ ...options, name }),
      ) as [
        ReturnType<Simulation['createLyre']>,
        ReturnType<Simulation['createLyre']>,
        ReturnType<Simulation['createLyre']>,
      ]
      ada.join('A')
      ada.join('B')
      await ada.start()
      await bob.start()
      await simulation.run(3_000)
      bob.join('A')
      await simulation.run(50)
      for (let index = 0; index < 5; index++) bob.shout('A', `number ${index}`)
      ada.whisper(bob.uuid, ['two', 'frames'])
      await eve.start()
      await simulation.run(3_000)
      ada.leave('A')
      eve.join('B')
      await simulation.run(50)
      ada.shout('B', 'to eve')
      bob.shout('A', 'to nobody')
      ada.whisper(eve.uuid, 'x'.repeat(300_000))
      await simulation.run(1_000)
      simulation.pause(bob)
      await simulation.run(10_000)
      simulation.resume(bob)
      await simulation.run(5_000)
      simulation.crash(eve)
      await simulation.run(40_000)
      const again = simulation.restart(eve)
      await again.start()
      await simulation.run(5_000)
      await simulation.runUntil(bob.stop())
      await simulation.run(1_000)
      await bob.start()
      await simulation.run(5_000)
      simulation.reset(ada, bob)
      await simulation.run(10_000)
      told.push(heard.pairs)
      await simulation.stop()
    }
    t.ok(told[0]?.every(([, events]) => events.length > 0) && (told[0]?.length ?? 0) >= 6)
    t.same(told[1], told[0])
  },
)

for (const fidelity of FIDELITIES) {
  t.test(`who is alone is told so at the same instant in each run, ${fidelity}`, async (t) => {
    const lonely = async () => {
      const simulation = new Simulation({ seed: 9, fidelity })
      const told = new Told(simulation)
      const [ada, bob] = ['ada', 'bob'].map((name) => simulation.createLyre({ name }))
      if (ada === undefined || bob === undefined) throw new Error('there are two')
      simulation.partition([[ada], [bob]])
      const codes: string[] = []
      ada.on('warning', ({ causes }) => codes.push(...causes.map(({ code }) => code)))
      await ada.start()
      await bob.start()
      await simulation.run(60_000)
      simulation.heal()
      await simulation.run(20_000)
      await simulation.runUntil(bob.stop())
      await simulation.run(9_000)
      const warnings = told.all.filter((line) => line.endsWith('ada < - warning'))
      await simulation.run(60_000)
      await simulation.stop()
      return { early: warnings, all: told.all.filter((line) => /ada .*warning/.test(line)), codes }
    }
    const { early, all, codes } = await lonely()
    t.match(early, [/^1000\d\.?\d* ada/], 'once while it is alone')
    t.equal(all.length, 2, 'and again after somebody had been there')
    t.ok(codes.includes('only-own-beacons') && codes.includes('fell-silent'), codes.join())
    t.same(await lonely(), { early, all, codes })
  })
}
