/** What a node tells of its wire: who said what over which connection, and what is known to have been read. */

import t, { type Test } from 'tap'
import { planRun, run, Simulation } from '../../sim/index.ts'
import type { Lyre } from '../../src/lyre.ts'
import type { WireEvent } from '../../src/wire.ts'
import { FIDELITIES } from '../support/simulation.ts'

/** In a few words: `out hello 1`, `link up`, `confirmed 3`. */
function tell(event: WireEvent): string {
  if (event.type === 'link') return `link ${event.change}`
  if (event.type === 'confirmed') return `confirmed ${event.sequence}`
  const { direction, message } = event
  return `${direction} ${message.type} ${message.sequence}`
}

async function pair(t: Test, fidelity: 'wire' | 'message' = 'wire') {
  const simulation = new Simulation({ seed: 5, fidelity })
  t.teardown(() => simulation.stop())
  const told: WireEvent[] = []
  const wire = (event: WireEvent) => void told.push(event)
  const ada: Lyre = simulation.createLyre({ name: 'ada', wire })
  const bob: Lyre = simulation.createLyre({ name: 'bob' })
  await Promise.all([ada.start(), bob.start()])
  await simulation.run(5_000)
  return { simulation, ada, bob, told }
}

for (const fidelity of FIDELITIES) {
  t.test(
    `each message is told with its connection and sequence, at fidelity ${fidelity}`,
    async (t) => {
      const { simulation, ada, bob, told } = await pair(t, fidelity)
      const greeting = told.splice(0)
      t.ok(greeting.every(({ node, peer }) => node === ada.uuid && peer === bob.uuid))
      const words = greeting.map(tell)
      for (const word of ['link dial', 'link up', 'out hello 1', 'in hello 1', 'confirmed 1']) {
        t.ok(words.includes(word), word)
      }
      ada.whisper(bob.uuid, ['hello', 'bob'])
      bob.join('CHAT')
      bob.whisper(ada.uuid, 'hello ada')
      await simulation.run(1_000)
      const talk = told.splice(0)
      t.same(talk.map(tell).sort(), ['confirmed 2', 'in join 2', 'in whisper 3', 'out whisper 2'])
      const out = talk.find((event) => tell(event) === 'out whisper 2')
      t.match(out, { type: 'message', message: { type: 'whisper' }, connection: 1 })
      if (out?.type === 'message' && out.message.type === 'whisper') {
        t.same(Object.keys(out.message).sort(), ['content', 'sequence', 'type'])
        t.same(
          out.message.content.map((frame) => new TextDecoder().decode(frame)),
          ['hello', 'bob'],
        )
        if (fidelity === 'wire') t.equal(out.bytes, 6 + 5 + 3)
      }
      const times = talk.map(({ time }) => time)
      t.same(times, [...times].sort())
      await Promise.all([ada.stop(), simulation.run(3_000)])
      const goodbye = told.find((event) => tell(event) === 'out goodbye 3')
      t.equal(goodbye?.peer, bob.uuid, 'it is known who is told goodbye')
    },
  )
}

t.test('a link that is lost is told, and what nobody has confirmed is not', async (t) => {
  const { simulation, ada, bob, told } = await pair(t)
  simulation.partition([[ada], [bob]])
  told.length = 0
  ada.whisper(bob.uuid, 'hello?')
  await simulation.run(40_000)
  t.match(told.map(tell)[0], 'out whisper 2')
  t.notOk(told.some(({ type }) => type === 'confirmed'))
  const ends = told.filter((event) => event.type === 'link' && event.reason !== null)
  t.ok(ends.length > 0)
  t.ok(ends.every(({ peer }) => peer === bob.uuid))
})

t.test('a listener that throws surfaces, and harms nothing', async (t) => {
  const simulation = new Simulation({ seed: 5 })
  t.teardown(() => simulation.stop())
  let left = 5
  const wire = () => {
    if (left-- > 0) throw new Error('mine')
  }
  const ada = simulation.createLyre({ name: 'ada', wire })
  const bob = simulation.createLyre({ name: 'bob' })
  await Promise.all([ada.start(), bob.start()])
  let thrown = 0
  for (let count = 0; count < 500; count++) {
    await simulation.run(10).catch((error: Error) => {
      t.equal(error.message, 'mine')
      thrown++
    })
  }
  t.equal(thrown, 5)
  t.equal(ada.peers().length, 1)
})

t.test('whoever looks on at a run changes nothing of it', async (t) => {
  const plan = planRun({ seed: 11, nodes: 4, ms: 120_000, workload: 'book' })
  let count = 0
  const wire = () => void count++
  const [seen, unseen] = [await run(plan, { wire }), await run(plan)]
  t.ok(count > 100)
  t.equal(seen.digest, unseen.digest)
  t.equal(seen.steps, unseen.steps)
})
