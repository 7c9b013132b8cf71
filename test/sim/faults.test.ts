/** What goes wrong on purpose, each shown by what peers are told of it. */

import t from 'tap'
import { type Lyre, Simulation } from '../../sim/index.ts'
import { FIDELITIES, Told } from '../support/simulation.ts'

type Options = Omit<ConstructorParameters<typeof Simulation>[0], 'seed' | 'fidelity'>

/** Some nodes that see each other. */
async function village(
  fidelity: 'wire' | 'message',
  names: readonly string[],
  options: Options = {},
): Promise<{ simulation: Simulation; told: Told; lyres: Lyre[] }> {
  const simulation = new Simulation({ seed: 3, fidelity, ...options })
  const told = new Told(simulation)
  const lyres = names.map((name) => simulation.createLyre({ name }))
  for (const lyre of lyres) await lyre.start()
  for (const lyre of lyres) {
    await simulation.runUntil(() => lyre.peers().length === lyres.length - 1)
    for (const name of names)
      t.same(told.take(lyre.name, name).slice(0, 1), name === lyre.name ? [] : ['enter'])
  }
  return { simulation, told, lyres }
}

for (const fidelity of FIDELITIES) {
  t.test(`who crashes without a word expires, ${fidelity}`, async (t) => {
    const { simulation, told, lyres } = await village(fidelity, ['ada', 'bob', 'eve'])
    const [, bob] = lyres as [Lyre, Lyre, Lyre]
    const crashedAt = simulation.now
    simulation.crash(bob)
    await simulation.runUntil(() => told.all.at(-1)?.endsWith('exit expired') ?? false)
    const tookMs = simulation.now - crashedAt
    t.ok(tookMs >= 29_000 && tookMs <= 32_000, `${tookMs} ms`)
    await simulation.run(1_000)
    t.same(told.take('ada', 'bob'), ['evasive', 'silent', 'exit expired'])
    t.same(told.take('eve', 'bob'), ['evasive', 'silent', 'exit expired'])
    t.same(told.take('ada', 'eve'), [])
    await simulation.stop()
  })

  t.test(`who is killed is missed at once, since its system closes, ${fidelity}`, async (t) => {
    const { simulation, told, lyres } = await village(fidelity, ['ada', 'bob'])
    simulation.crash(lyres[1] as Lyre, { by: 'kill' })
    await simulation.run(6_000)
    t.same(told.take('ada', 'bob'), ['exit link'])
    await simulation.stop()
  })

  t.test(
    `a machine that is back says that its old connections are gone, ${fidelity}`,
    async (t) => {
      const { simulation, told, lyres } = await village(fidelity, ['ada', 'bob'])
      const [ada, bob] = lyres as [Lyre, Lyre]
      simulation.crash(bob)
      await simulation.run(2_000)
      const again = simulation.restart(bob)
      t.not(again.uuid, bob.uuid)
      await again.start()
      await simulation.run(12_000)
      const heard = told.take('ada', 'bob')
      t.same(heard.filter((event) => event === 'enter').length, 1)
      t.same(heard.filter((event) => event.startsWith('exit')).length, 1)
      t.same(
        ada.peers().map(({ uuid }) => uuid),
        [again.uuid],
      )
      await simulation.stop()
    },
  )

  t.test(`who comes back with its uuid and its port is a restart, ${fidelity}`, async (t) => {
    const { simulation, told, lyres } = await village(fidelity, ['ada', 'bob'])
    const [ada, bob] = lyres as [Lyre, Lyre]
    const { endpoint } = ada.peer(bob.uuid) as { endpoint: string }
    simulation.crash(bob)
    await simulation.run(2_000)
    const again = simulation.restart(bob, { keepUuid: true, keepPort: true })
    t.equal(again.uuid, bob.uuid)
    await again.start()
    t.equal(again.endpoint, endpoint)
    await simulation.run(12_000)
    t.match(told.take('ada', 'bob'), [/^exit (link|restart)$/, 'enter'])
    t.equal(told.take('ada', 'bob').length, 0)
    await simulation.stop()
  })

  t.test(`another node can take the port of one that has crashed, ${fidelity}`, async (t) => {
    const simulation = new Simulation({ seed: 4, fidelity })
    const told = new Told(simulation)
    const ada = simulation.createLyre({ name: 'ada' })
    const bob = simulation.createLyre({ name: 'bob', mailboxPort: 7_000 }, { machine: 'shared' })
    await ada.start()
    await bob.start()
    await simulation.runUntil(() => ada.peers().length === 1)
    const eve = simulation.createLyre({ name: 'eve', mailboxPort: 7_000 }, { machine: 'shared' })
    await t.rejects(eve.start(), { name: 'NetworkError', cause: { code: 'EADDRINUSE' } })
    simulation.crash(bob)
    await eve.start()
    t.match(eve.endpoint, /:7000$/)
    await simulation.run(60_000)
    t.match(told.take('ada', 'bob'), /^enter,(evasive,)?(silent,)?exit (link|expired|goodbye)$/)
    t.same(told.take('ada', 'eve'), ['enter'])
    await simulation.stop()
  })

  t.test(`a sleeper is evasive, not gone, and hears all that was said, ${fidelity}`, async (t) => {
    const { simulation, told, lyres } = await village(fidelity, ['ada', 'bob'])
    const [ada, bob] = lyres as [Lyre, Lyre]
    simulation.pause(bob)
    t.equal(simulation.node(bob).state, 'asleep')
    await simulation.run(1_000)
    ada.whisper(bob.uuid, 'good night')
    await simulation.run(24_000)
    t.same(told.take('bob', 'ada'), [])
    t.same(told.take('ada', 'bob'), ['evasive', 'silent'])
    simulation.resume(bob)
    await simulation.run(5_000)
    t.same(told.take('bob', 'ada'), ['whisper good night'])
    t.same(told.take('ada', 'bob'), [])
    t.equal(ada.peer(bob.uuid)?.state, 'entered')
    await simulation.stop()
  })

  t.test(`who sleeps too long expires, and enters again, ${fidelity}`, async (t) => {
    const { simulation, told, lyres } = await village(fidelity, ['ada', 'bob'])
    const bob = lyres[1] as Lyre
    simulation.pause(bob)
    await simulation.run(600_000)
    t.same(told.take('ada', 'bob'), ['evasive', 'silent', 'exit expired'])
    simulation.resume(bob)
    await simulation.run(10_000)
    t.same(told.take('ada', 'bob'), ['enter'])
    t.match(told.take('bob', 'ada'), [/^exit /, 'enter'])
    await simulation.stop()
  })

  t.test(`a partition expires, and heals, ${fidelity}`, async (t) => {
    const { simulation, told, lyres } = await village(fidelity, ['ada', 'bob', 'eve'])
    const [ada, bob, eve] = lyres as [Lyre, Lyre, Lyre]
    simulation.partition([[ada, bob], [eve]])
    await simulation.run(45_000)
    for (const [name, peer] of [
      ['ada', 'eve'],
      ['bob', 'eve'],
      ['eve', 'ada'],
      ['eve', 'bob'],
    ] as const) {
      t.same(told.take(name, peer), ['evasive', 'silent', 'exit expired'], `${name} of ${peer}`)
    }
    t.same(told.take('ada', 'bob'), [])
    simulation.heal()
    await simulation.run(10_000)
    t.same(told.take('ada', 'eve'), ['enter'])
    t.same(told.take('eve', 'bob'), ['enter'])
    await simulation.stop()
  })

  t.test(`a short partition is not noticed but by who asks, ${fidelity}`, async (t) => {
    const { simulation, told, lyres } = await village(fidelity, ['ada', 'bob'])
    const [ada, bob] = lyres as [Lyre, Lyre]
    simulation.partition([[ada]])
    ada.whisper(bob.uuid, 'through')
    await simulation.run(4_000)
    t.same(told.take('bob', 'ada'), [])
    simulation.heal()
    await simulation.run(10_000)
    t.same(told.take('bob', 'ada'), ['whisper through'])
    t.same(told.take('ada', 'bob'), [])
    await simulation.stop()
  })

  t.test(
    `a partition of one way ends both, since nothing is acknowledged, ${fidelity}`,
    async (t) => {
      const { simulation, told, lyres } = await village(fidelity, ['ada', 'bob'])
      const [ada, bob] = lyres as [Lyre, Lyre]
      simulation.partition([[ada], [bob]], { oneWay: true })
      await simulation.run(60_000)
      t.match(told.take('bob', 'ada').at(-1), /^exit/)
      t.match(told.take('ada', 'bob').at(-1), /^exit/)
      simulation.heal()
      await simulation.run(40_000)
      t.equal(told.take('bob', 'ada').at(-1), 'enter')
      t.equal(told.take('ada', 'bob').at(-1), 'enter')
      await simulation.stop()
    },
  )

  for (const reset of [false, true]) {
    t.test(`who moves is followed, without a restart, reset ${reset}, ${fidelity}`, async (t) => {
      const { simulation, told, lyres } = await village(fidelity, ['ada', 'bob'])
      const [ada, bob] = lyres as [Lyre, Lyre]
      const address = simulation.moveTo(bob, undefined, { reset })
      t.equal(simulation.node(bob).address, address)
      // Two seconds until it looks, a beacon, and five for a link that might have come back.
      await simulation.run(8_000)
      t.same(told.take('ada', 'bob'), ['exit link', 'enter'])
      t.same(told.take('bob', 'ada'), ['exit link', 'enter'])
      t.ok(bob.endpoint?.startsWith(`tcp://${address}:`))
      t.equal(ada.peer(bob.uuid)?.endpoint, bob.endpoint)
      ada.whisper(bob.uuid, 'there you are')
      bob.whisper(ada.uuid, 'here I am')
      await simulation.run(60_000)
      t.same(told.take('bob', 'ada'), ['whisper there you are'])
      t.same(told.take('ada', 'bob'), ['whisper here I am'])
      await simulation.stop()
    })

    t.test(`who moves and is started anew is found, reset ${reset}, ${fidelity}`, async (t) => {
      const { simulation, told, lyres } = await village(fidelity, ['ada', 'bob'])
      const [ada, bob] = lyres as [Lyre, Lyre]
      const address = simulation.moveTo(bob, undefined, { reset })
      await simulation.run(500)
      await simulation.runUntil(bob.stop())
      await bob.start()
      await simulation.run(8_000)
      const heard = told.take('ada', 'bob')
      t.match(heard[0], /^exit/)
      t.same(heard.slice(1), ['enter'])
      t.ok(bob.endpoint?.startsWith(`tcp://${address}:`))
      t.equal(ada.peer(bob.uuid)?.endpoint, bob.endpoint)
      await simulation.stop()
    })
  }

  t.test(`who moves to another subnet hears its beacons, ${fidelity}`, async (t) => {
    const { simulation, lyres } = await village(fidelity, ['ada', 'bob'])
    const bob = lyres[1] as Lyre
    const far = simulation.createLyre({ name: 'far' }, { subnet: 'other' })
    await far.start()
    await simulation.run(3_000)
    t.equal(far.peers().length, 0, 'beacons stay on their subnet')
    simulation.moveTo(bob, '10.1.0.99')
    await simulation.runUntil(bob.stop())
    await bob.start()
    await simulation.run(5_000)
    t.same(
      far.peers().map(({ name }) => name),
      ['bob'],
    )
    await simulation.stop()
  })

  t.test(`stalls of 20 s, one after the other, are no exit, ${fidelity}`, async (t) => {
    const { simulation, told, lyres } = await village(fidelity, ['ada', 'bob'])
    const [ada, bob] = lyres as [Lyre, Lyre]
    for (let count = 0; count < 50; count++) {
      simulation.stall(ada, bob, { ms: 20_000 })
      ada.whisper(bob.uuid, `number ${count}`)
      await simulation.run(25_000)
    }
    const exits = told.all.filter((line) => line.includes('exit'))
    t.same(exits, [])
    t.same(
      told.take('bob', 'ada').filter((event) => event.startsWith('whisper')),
      Array.from({ length: 50 }, (_, count) => `whisper number ${count}`),
    )
    await simulation.stop()
  })

  t.test(`a third of all datagrams lost is no exit in hours, ${fidelity}`, async (t) => {
    const names = ['ada', 'bob', 'eve', 'joe', 'kim']
    const { simulation, told } = await village(fidelity, names, { links: { loss: 0.3 } })
    await simulation.run(4 * 3_600_000)
    t.same(
      told.all.filter((line) => line.includes('exit')),
      [],
    )
    await simulation.stop()
  })
}

t.test('chance of one kind does not shift that of another', async (t) => {
  const lost = async (links: object) => {
    const simulation = new Simulation({ seed: 9, links: { loss: 0.2, ...links } })
    const dropped: number[] = []
    simulation.observe({
      datagram: ({ type, datagram, reason }) => {
        if (type === 'dropped' && reason === 'loss') dropped.push(datagram)
      },
    })
    const [one, other] = [simulation.createHost(), simulation.createHost()]
    const options = { address: '0.0.0.0', port: 9, shared: true, broadcast: false }
    const socket = await one.datagrams.open(options, { receive() {}, fail() {} })
    await other.datagrams.open(options, { receive() {}, fail() {} })
    for (let count = 0; count < 500; count++) {
      socket.send(Uint8Array.of(1), { address: '10.0.0.2', port: 9 })
      await simulation.run(10)
    }
    return dropped
  }
  const alone = await lost({})
  t.ok(alone.length > 60 && alone.length < 140, `${alone.length} of 500`)
  t.same(await lost({ duplicate: 0.5 }), alone)
  t.same(await lost({ reorder: 0.5, damage: 0.5 }), alone)
})
