/** A user's own program in virtual time: its awaits, its loops, its errors, and when they go on. */

import t from 'tap'
import { type Lyre, Simulation } from '../../sim/index.ts'
import { text } from '../../src/events.ts'
import { FIDELITIES } from '../support/simulation.ts'

async function pair(fidelity: 'wire' | 'message') {
  const simulation = new Simulation({ seed: 1, fidelity })
  const lyres = [simulation.createLyre({ name: 'ada' }), simulation.createLyre({ name: 'bob' })]
  const [ada, bob] = lyres as [Lyre, Lyre]
  return { simulation, ada, bob }
}

for (const fidelity of FIDELITIES) {
  t.test(
    `start() takes no virtual time, and waitForPeers() what it takes, ${fidelity}`,
    async (t) => {
      const { simulation, ada, bob } = await pair(fidelity)
      await Promise.all([ada.start(), bob.start()])
      t.equal(simulation.now, 0)
      const [peer] = (await simulation.runUntil(ada.waitForPeers(1))) ?? []
      t.equal(peer?.name, 'bob')
      t.ok(simulation.now > 0 && simulation.now < 100)
      await t.rejects(simulation.runUntil(ada.waitForPeers(2, { timeoutMs: 500 })), {
        name: 'TimeoutError',
        message: /1 of 2 peers/,
      })
      await simulation.stop()
    },
  )

  t.test(`a loop over events goes on at the instant of each, ${fidelity}`, async (t) => {
    const { simulation, ada, bob } = await pair(fidelity)
    const heard: string[] = []
    const loop = (async () => {
      for await (const event of bob.events()) {
        if (event.type === 'whisper') {
          // However many promises hang on each other, no time passes.
          for (let count = 0; count < 100; count++) await undefined
          heard.push(`${text(event.content)} at ${simulation.now}`)
          bob.whisper(event.peer, 'thanks')
        }
      }
    })()
    const thanked: number[] = []
    ada.on('whisper', () => thanked.push(simulation.now))
    await Promise.all([ada.start(), bob.start()])
    await simulation.runUntil(ada.waitForPeers(1))
    const sentAt: number[] = []
    for (let count = 0; count < 3; count++) {
      await simulation.run(1_000)
      sentAt.push(simulation.now)
      ada.whisper(bob.uuid, `number ${count}`)
    }
    await simulation.run(1_000)
    t.equal(heard.length, 3)
    for (const [index, at] of thanked.entries()) {
      const tookMs = at - (sentAt[index] as number)
      t.ok(tookMs > 1 && tookMs < 20, `${tookMs} ms there and back`)
    }
    await simulation.stop()
    await loop
  })

  t.test(`an async handler may sleep, in virtual time, ${fidelity}`, async (t) => {
    const { simulation, ada, bob } = await pair(fidelity)
    const at: number[] = []
    ada.on('enter', async ({ peer }) => {
      at.push(simulation.now)
      await simulation.sleep(3_600_000)
      at.push(simulation.now)
      ada.whisper(peer, 'an hour later')
    })
    await Promise.all([ada.start(), bob.start()])
    const whisper = new Promise((resolve) => bob.once('whisper', resolve))
    await simulation.runUntil(whisper, { timeoutMs: 3_700_000 })
    t.equal((at[1] as number) - (at[0] as number), 3_600_000)
    await simulation.stop()
  })

  t.test(`what a handler throws ends the run, ${fidelity}`, async (t) => {
    const { simulation, ada, bob } = await pair(fidelity)
    const error = new Error('of the application')
    ada.on('enter', () => {
      throw error
    })
    await Promise.all([ada.start(), bob.start()])
    await t.rejects(simulation.run(5_000), error)
    t.ok(simulation.now < 5_000)
    await simulation.run(1_000)
    await simulation.stop()
  })

  t.test(
    `stop() of a node takes part in time, and stop() of all leaves nothing, ${fidelity}`,
    async (t) => {
      const { simulation, ada, bob } = await pair(fidelity)
      const exits: string[] = []
      ada.on('exit', ({ cause }) => void exits.push(cause))
      await Promise.all([ada.start(), bob.start()])
      await simulation.runUntil(ada.waitForPeers(1))
      await simulation.runUntil(bob.stop())
      await simulation.run(100)
      t.same(exits, ['goodbye'])
      await bob.start()
      await simulation.run(3_000)
      await simulation.stop()
      t.equal(ada.diagnostics().state, 'stopped')
      t.same(exits, ['goodbye', 'stop'])
      t.throws(() => simulation.createLyre(), { name: 'UsageError' })
      await simulation.stop()
    },
  )

  t.test(`drained() waits for a slow link, ${fidelity}`, async (t) => {
    const { simulation, ada, bob } = await pair(fidelity)
    simulation.setLinks({ bandwidthBytes: 1_000_000, windowBytes: 65_536 })
    await Promise.all([ada.start(), bob.start()])
    await simulation.runUntil(ada.waitForPeers(1))
    let receivedBytes = 0
    bob.on('whisper', ({ content }) => {
      for (const { length } of content) receivedBytes += length
    })
    const startedAt = simulation.now
    const sending = (async () => {
      for (let count = 0; count < 100; count++) {
        ada.whisper(bob.uuid, new Uint8Array(100_000))
        await ada.drained()
      }
    })()
    await simulation.runUntil(sending)
    await simulation.run(2_500)
    t.equal(receivedBytes, 10_000_000)
    const tookMs = simulation.now - startedAt
    t.ok(tookMs > 9_000 && tookMs < 13_000, `10 MB at 1 MB/s took ${tookMs} ms`)
    await simulation.stop()
  })
}

t.test('react() answers at once, schedule() calls once, and both can be called off', async (t) => {
  const { simulation, ada, bob } = await pair('message')
  const heard: string[] = []
  const end = simulation.react(({ lyre }, event) => {
    if (event.type === 'enter') lyre?.whisper(event.peer, 'welcome')
    else if (event.type === 'whisper') heard.push(`${lyre?.name} ${text(event.content)}`)
  })
  await Promise.all([ada.start(), bob.start()])
  await simulation.run(1_000)
  t.same(heard.sort(), ['ada welcome', 'bob welcome'])
  end()
  const cancel = simulation.schedule(100, () => heard.push('never'))
  simulation.schedule(100, () => heard.push(`at ${simulation.now}`))
  cancel()
  ada.whisper(bob.uuid, 'to nobody')
  await simulation.run(1_000)
  t.equal(heard.at(-1), 'at 1100')
  await simulation.stop()
})

t.test('runUntil() asks for a condition, waits for a promise, and gives up', async (t) => {
  const simulation = new Simulation({ seed: 1 })
  let isTrue = false
  simulation.schedule(250, () => {
    isTrue = true
  })
  await simulation.runUntil(() => isTrue)
  t.equal(simulation.now, 250)
  await simulation.runUntil(simulation.sleep(50))
  t.equal(simulation.now, 300)
  await t.rejects(
    simulation.runUntil(() => false, { timeoutMs: 1_000 }),
    { name: 'TimeoutError' },
  )
  t.equal(simulation.now, 1_300)
  await t.rejects(simulation.runUntil(Promise.reject(new Error('mine'))), { message: 'mine' })
  t.equal(await simulation.runUntil(Promise.resolve(7)), 7)
  const run = simulation.run(10)
  await t.rejects(simulation.run(10), { name: 'UsageError', message: /under way/ })
  await run
})

t.test('what cannot work is a UsageError that names it', async (t) => {
  const bad = (options: object, message: RegExp) =>
    t.throws(() => new Simulation(options as never), { name: 'UsageError', message })
  bad({}, /seed/)
  bad({ seed: -1 }, /seed/)
  bad({ seed: 1.5 }, /seed/)
  bad({ seed: 1, fidelity: 'high' }, /fidelity/)
  bad({ seed: 1, routed: 1 }, /routed/)
  bad({ seed: 1, speed: 3 }, /no option speed/)
  bad({ seed: 1, links: 7 }, /links/)
  bad({ seed: 1, links: { loss: 2 } }, /links\.loss/)
  bad({ seed: 1, links: { latencyMs: -1 } }, /links\.latencyMs/)
  bad({ seed: 1, links: { windowBytes: 1.5 } }, /links\.windowBytes/)
  bad({ seed: 1, links: { broadcast: 'no' } }, /links\.broadcast/)
  bad({ seed: 1, links: { colour: 1 } }, /links\.colour/)
  const simulation = new Simulation({ seed: 1 })
  const lyre = simulation.createLyre()
  const stranger = new Simulation({ seed: 1 }).createLyre()
  for (const [act, message] of [
    [() => simulation.createLyre({ beaconPort: 0 }), /beaconPort/],
    [() => simulation.createLyre({}, { subnets: 'x' } as never), /no option subnets/],
    [() => simulation.crash(stranger), /not of this simulation/],
    [() => simulation.crash(lyre, { by: 'fire' as never }), /power or kill/],
    [() => simulation.resume(lyre), /is running/],
    [() => simulation.moveTo(lyre, '192.168.0.1'), /on no subnet/],
    [() => simulation.moveTo(lyre, '10.0.0.1'), /another machine's/],
    [() => simulation.partition([]), /at least one side/],
    [() => simulation.partition([['nowhere']]), /no machine nowhere/],
    [() => simulation.setLink(lyre, lyre, {}), /both are on machine/],
    [() => simulation.setLinks({ loss: -1 }), /links\.loss/],
    [() => simulation.schedule(-1, () => {}), /ms/],
  ] as const) {
    t.throws(act, { name: 'UsageError', message })
  }
  await lyre.start()
  t.throws(() => simulation.restart(lyre), { name: 'UsageError', message: /neither crashed/ })
  t.throws(() => simulation.restart(lyre, { keepName: true } as never), /keepName/)
  simulation.createLyre({}, { machine: 'one', subnet: 'lan' })
  t.throws(() => simulation.createLyre({}, { machine: 'one', subnet: 'wan' }), /on subnet lan/)
  await t.rejects(simulation.run(Number.NaN), /ms has to be/)
  await simulation.stop()
})
