/** What a machine is like by itself: its clock, its radio, and what its system lets a process have. */

import t from 'tap'
import { type Lyre, planRun, run, Simulation } from '../../sim/index.ts'
import { MachineClock } from '../../sim/machines.ts'
import { FIDELITIES, Told } from '../support/simulation.ts'

t.test('a clock that is fast shows more, and is never early for who waits for it', async (t) => {
  const clock = new MachineClock()
  t.equal(clock.ms(1_500), 1.5)
  t.equal(clock.us(1.5), 1_500)
  clock.drift(500, 1_000_000)
  t.equal(clock.ms(1_000_000), 1_000)
  t.ok(Math.abs(clock.ms(3_601_000_000) - 3_602_800) < 1e-6)
  clock.drift(-500, 3_601_000_000)
  t.ok(Math.abs(clock.ms(7_201_000_000) - 7_201_000) < 1e-6)
  for (let ms = 7_201_000; ms < 7_201_100; ms += 0.37) {
    const us = clock.us(ms)
    t.ok(clock.ms(us) >= ms && clock.ms(us - 2) < ms, `${ms}`)
  }
  t.equal(clock.us(Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY)
})

for (const fidelity of FIDELITIES) {
  t.test(`a node whose clock is a tenth fast is impatient by a tenth, ${fidelity}`, async (t) => {
    const simulation = new Simulation({ seed: 3, fidelity })
    const lyres = ['ada', 'bob', 'eve'].map((name) => simulation.createLyre({ name }))
    const [ada, bob, eve] = lyres as [Lyre, Lyre, Lyre]
    simulation.setMachine(ada, { driftPpm: 100_000 })
    simulation.setMachine(bob, { driftPpm: -100_000 })
    const exits = new Map<string, number>()
    for (const lyre of [ada, bob]) lyre.on('exit', () => exits.set(lyre.name, simulation.now))
    for (const lyre of lyres) await lyre.start()
    await simulation.run(20_000)
    const crashedAt = simulation.now
    simulation.crash(eve)
    await simulation.run(60_000)
    const [adaMs, bobMs] = ['ada', 'bob'].map((name) => (exits.get(name) as number) - crashedAt)
    t.ok((adaMs as number) > 26_000 && (adaMs as number) < 28_500, `${adaMs} ms`)
    t.ok((bobMs as number) > 32_000 && (bobMs as number) < 35_000, `${bobMs} ms`)
    await simulation.stop()
  })

  t.test(
    `who saves power hears all that waited at once, and from itself directly, ${fidelity}`,
    async (t) => {
      const simulation = new Simulation({ seed: 3, fidelity })
      const [ada, bob] = ['ada', 'bob'].map((name) => simulation.createLyre({ name })) as [
        Lyre,
        Lyre,
      ]
      simulation.setMachine(bob, { powerSaveMs: 3_000 })
      const heard: number[] = []
      simulation.observe({
        datagram: ({ at, type, receiver, sender }) => {
          if (type !== 'delivered' || receiver?.lyre !== bob) return
          if (sender.lyre === ada) heard.push(at)
          else if (at % 3_000 === 0) t.fail('what it says to itself does not wait')
        },
      })
      await ada.start()
      await bob.start()
      await simulation.run(30_500)
      t.ok(heard.length > 25, `${heard.length} beacons`)
      t.same([...new Set(heard)].length, 10)
      for (const at of heard) t.equal(at % 3_000, 0)
      t.equal(bob.peers().length, 1)
      simulation.setMachine(bob, {})
      heard.length = 0
      await simulation.run(10_000)
      t.ok(new Set(heard).size >= 8, 'they come one by one again')
      await simulation.stop()
    },
  )

  t.test(
    `a process that has no socket left lets nobody in, and cannot get out, ${fidelity}`,
    async (t) => {
      const simulation = new Simulation({ seed: 3, fidelity })
      const told = new Told(simulation)
      const [ada, bob, eve] = ['ada', 'bob', 'eve'].map((name) =>
        simulation.createLyre({ name }),
      ) as [Lyre, Lyre, Lyre]
      const reasons = new Set<string>()
      let most = 0
      simulation.observe({
        connection: ({ type, reason }) => {
          if (type === 'closed') reasons.add(reason.split(' 10.')[0] as string)
          const { sockets, servers, connections } = simulation.node(ada).holds
          most = Math.max(most, sockets + servers + connections)
        },
      })
      await ada.start()
      await bob.start()
      await simulation.run(3_000)
      const { sockets, servers, connections } = simulation.node(ada).holds
      const descriptorsMax = sockets + servers + connections
      simulation.setMachine(ada, { descriptorsMax })
      await eve.start()
      await simulation.run(20_000)
      t.same(told.take('ada', 'eve'), [])
      t.same(told.take('ada', 'bob'), ['enter'], 'who was there stays')
      t.same(told.take('eve', 'ada'), [])
      t.same(told.take('eve', 'bob'), ['enter'])
      t.ok(reasons.has('connect EMFILE') && reasons.has('accept EMFILE'), [...reasons].join())
      t.ok(reasons.has('closed by the peer'), 'as on a real system: let in, and closed')
      t.ok(most <= descriptorsMax + 1, `${most} of ${descriptorsMax}`)
      simulation.setMachine(ada, {})
      await simulation.run(10_000)
      t.same(told.take('ada', 'eve'), ['enter'])
      t.same(told.take('eve', 'ada'), ['enter'])
      await simulation.stop()
    },
  )

  for (const faults of ['drift', 'descriptors', 'powersave=3s', 'stutter=10s', 'stutter=100ms']) {
    t.test(`a run with ${faults} passes, ${fidelity}`, async (t) => {
      const plan = planRun({ seed: 2, nodes: 8, ms: 150_000, faults, fidelity })
      const { verdict, finding } = await run(plan)
      t.equal(verdict, 'passed', `${finding?.expected}`)
    })
  }

  t.test(`where a quarter stalls for 1 to 10 s, nobody exits, ${fidelity}`, async (t) => {
    const simulation = new Simulation({ seed: 5, fidelity })
    const told = new Told(simulation)
    const lyres = Array.from({ length: 8 }, (_, index) =>
      simulation.createLyre({ name: `n${index}` }),
    )
    for (const lyre of lyres) await lyre.start()
    await simulation.run(5_000)
    const random = simulation.random.fork('stalls')
    for (const lyre of lyres.slice(0, 2)) {
      const stall = () => {
        simulation.pause(lyre)
        simulation.schedule(random.between(1_000, 10_000), () => {
          simulation.resume(lyre)
          simulation.schedule(random.between(500, 5_000), stall)
        })
      }
      stall()
    }
    await simulation.run(1_800_000)
    t.same(
      told.all.filter((line) => line.includes('exit')),
      [],
    )
    await simulation.stop()
  })
}

t.test('a process that may have no socket does not start', async (t) => {
  const simulation = new Simulation({ seed: 1 })
  const ada = simulation.createLyre({ name: 'ada' })
  simulation.setMachine(ada, { descriptorsMax: 1 })
  await t.rejects(ada.start(), { name: 'NetworkError', cause: { code: 'EMFILE' } })
  simulation.setMachine(ada, {})
  await ada.start()
  await simulation.stop()
})

t.test('a machine that cannot be is refused with what could', async (t) => {
  const simulation = new Simulation({ seed: 1 })
  const ada = simulation.createLyre()
  for (const [settings, says] of [
    [{ driftPpm: Number.NaN }, /driftPpm has to be a number from -100000/],
    [{ powerSaveMs: -1 }, /powerSaveMs has to be a number from 0 to 60000/],
    [{ descriptorsMax: 'few' }, /descriptorsMax has to be a number from 0/],
    [{ fans: 2 }, /there is no setting fans of a machine; there are driftPpm/],
    [null, /the settings of a machine have to be an object/],
  ] as const) {
    t.throws(() => simulation.setMachine(ada, settings as never), says)
  }
})

t.test('a node is where its machine is, and talks on from there', async (t) => {
  const simulation = new Simulation({ seed: 3 })
  const [ada, bob] = ['ada', 'bob'].map((name) => simulation.createLyre({ name }))
  if (ada === undefined || bob === undefined) throw new Error('there are two')
  await Promise.all([ada.start(), bob.start()])
  await simulation.run(3_000)
  simulation.moveTo(ada, '10.0.200.1')
  await simulation.run(10_000)
  t.match(ada.endpoint, /^tcp:\/\/10\.0\.200\.1:/)
  t.match(ada.diagnostics().interface?.chosen, [{ address: '10.0.200.1' }])
  t.match(bob.peers(), [{ name: 'ada', endpoint: ada.endpoint, state: 'entered' }])
  const heard: string[] = []
  ada.on('whisper', ({ peer }) => heard.push(peer.name))
  t.equal(bob.whisper(ada.uuid, 'hello'), 1)
  await simulation.run(1_000)
  t.same(heard, ['bob'])
  await simulation.stop()
})
