/** Applications that behave badly: their node goes on, and what is promised of errors and slow readers holds. */

import t from 'tap'
import { NO_FAULTS } from '../../sim/faults.ts'
import { HabitError, Habits } from '../../sim/habits.ts'
import { planRun, type RunOptions, run, Simulation } from '../../sim/index.ts'
import { Random } from '../../sim/random.ts'
import { FIDELITIES } from '../support/simulation.ts'

for (const fidelity of FIDELITIES) {
  const options: RunOptions = { seed: 4, nodes: 6, ms: 120_000, fidelity }
  t.test(
    `applications that throw, or do not read, change nothing of a run, ${fidelity}`,
    async (t) => {
      const quiet = await run(planRun({ ...options, faults: 'loss' }))
      t.equal(quiet.verdict, 'passed')
      for (const faults of ['throws=0.5', 'throws=1', 'reader', 'reader=slow', 'reader=never']) {
        const bad = await run(planRun({ ...options, faults: `loss,${faults}` }))
        t.equal(bad.verdict, 'passed', `${faults}: ${bad.finding?.expected}`)
        t.equal(bad.digest, quiet.digest, faults)
      }
    },
  )

  t.test(`a flood passes, and peers are let go by it, ${fidelity}`, async (t) => {
    const trace: string[] = []
    // Octets wait for a link that is slow, and in no mailbox where it is not.
    const faults = fidelity === 'wire' ? 'bandwidth=20000' : 'none'
    const plan = planRun({ ...options, workload: 'flood', faults })
    const { verdict, finding } = await run(plan, { trace: (line) => trace.push(line) })
    t.equal(verdict, 'passed', `${finding?.expected}`)
    t.ok(
      trace.some((line) => line.includes('"limit lost')),
      'a mailbox was full',
    )
    t.ok(
      trace.some((line) => line.includes('FLOOD999')),
      'a thousand groups were joined',
    )
  })
}

function village(faults: Partial<typeof NO_FAULTS>): {
  simulation: Simulation
  habits: Habits
  blamed: string[]
} {
  const simulation = new Simulation({ seed: 7 })
  const blamed: string[] = []
  const habits = new Habits(simulation, {
    faults: { ...NO_FAULTS, ...faults },
    random: new Random(7),
    blame: (_node, { expected, seen }) => blamed.push(`${expected}: ${seen}`),
  })
  return { simulation, habits, blamed }
}

t.test('what is thrown on purpose surfaces once, and is told from what is not', async (t) => {
  const { simulation, habits } = village({ throws: 1 })
  const [ada, bob] = [simulation.createLyre(), simulation.createLyre()]
  habits.birth(ada)
  await ada.start()
  await bob.start()
  await simulation.run(500)
  habits.begin()
  bob.join('CHAT')
  await bob.start()
  const errors: unknown[] = []
  for (let count = 0; count < 20; count++) {
    await simulation.run(500).catch((error) => errors.push(error))
  }
  t.ok(errors.length > 0)
  for (const error of errors) {
    t.type(error, HabitError)
    t.ok(habits.takes(error))
    t.notOk(habits.takes(error), 'only once')
  }
  t.equal(habits.hiddenCount, 0)
  t.notOk(habits.takes(new HabitError('of somebody else')))
  t.equal(ada.peers().length, 1)
  habits.end()
  await simulation.stop()
})

t.test('a reader that misses what nobody counted is found', async (t) => {
  const { simulation, habits, blamed } = village({ readers: ['never'] })
  const [ada, bob] = [simulation.createLyre(habits.options({})), simulation.createLyre()]
  const events = ada.events
  // It drops each third event without a word.
  ada.events = () => {
    const stream = events.call(ada)
    let count = 0
    const next = stream.next.bind(stream)
    stream.next = async () => {
      if (++count % 3 === 0) await next()
      return next()
    }
    return stream
  }
  habits.birth(ada)
  await ada.start()
  await bob.start()
  await simulation.run(2_000)
  for (let count = 0; count < 200; count++) bob.whisper(ada.uuid, `${count}`)
  await simulation.run(2_000)
  await simulation.stop()
  await habits.finish()
  t.match(blamed[0], /^event 3 of 20\d of its stream: event 4$/)
})

t.test('a reader that is honest about what it dropped is not', async (t) => {
  const { simulation, habits, blamed } = village({ readers: ['never'] })
  const [ada, bob] = [simulation.createLyre(habits.options({})), simulation.createLyre()]
  habits.birth(ada)
  await ada.start()
  await bob.start()
  await simulation.run(2_000)
  for (let count = 0; count < 200; count++) bob.whisper(ada.uuid, `${count}`)
  await simulation.run(2_000)
  await simulation.stop()
  t.equal(await habits.finish(), 1, 'overruns that were read')
  t.same(blamed, [])
})
