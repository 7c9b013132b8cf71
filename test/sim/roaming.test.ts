/** Machines with several interfaces, cables that are pulled, laptops that sleep, and datagrams that lie about where a node is. */

import t from 'tap'
import { encodeBeacon, type Peer, parseEndpoint } from '../../protocol/index.ts'
import { type Lyre, Simulation } from '../../sim/index.ts'
import { FIDELITIES, Told } from '../support/simulation.ts'

type Options = Omit<ConstructorParameters<typeof Simulation>[0], 'seed' | 'fidelity'>

/** Nodes that see each other, each on its subnets, and what they were told since. */
async function village(
  fidelity: 'wire' | 'message',
  places: Readonly<Record<string, readonly string[]>>,
  options: Options = {},
): Promise<{
  simulation: Simulation
  told: Told
  lyres: Lyre[]
  sleep(ms: number): Promise<void>
}> {
  const simulation = new Simulation({ seed: 11, fidelity, routed: false, ...options })
  const lyres = Object.entries(places).map(([name, subnet]) =>
    simulation.createLyre({ name }, { machine: name, subnet }),
  )
  for (const lyre of lyres) await lyre.start()
  await simulation.run(15_000)
  const told = new Told(simulation)
  return { simulation, told, lyres, sleep: (ms) => simulation.run(ms) }
}

/** Which of the told lines say that somebody left. */
function exitsOf(told: Told): string[] {
  return told.all.filter((line) => line.includes('exit'))
}

/** Each says something to each, and hears it. */
async function talk(simulation: Simulation, told: Told, lyres: readonly Lyre[]): Promise<string[]> {
  told.all.length = 0
  for (const from of lyres) {
    for (const to of lyres) if (to !== from) from.whisper(to.uuid, `${from.name}`)
  }
  await simulation.run(2_000)
  return told.all.map((line) => line.replace(/^\S+ /, '')).sort()
}

const BOTH = ['left', 'right']

// A link that tells of an address is closed as the address changes; whoever had just entered by it heard of two exits.
for (const { seed, beforeMs, outMs } of [
  { seed: 367, beforeMs: 2_460, outMs: 10_580 },
  { seed: 762, beforeMs: 1_400, outMs: 13_200 },
  { seed: 1_086, beforeMs: 2_560, outMs: 13_200 },
  { seed: 1_099, beforeMs: 1_260, outMs: 13_680 },
]) {
  t.test(`a cable that is out for ${outMs} ms is one exit, seed ${seed}`, async (t) => {
    const simulation = new Simulation({ seed, links: { latencyMs: 30, jitterMs: 150 } })
    const [ada, bob] = ['alice', 'bob'].map((name) => simulation.createLyre({ name }))
    if (ada === undefined || bob === undefined) throw new Error('there are two')
    await Promise.all([ada.start(), bob.start()])
    await simulation.runUntil(() => ada.peers().length === 1 && bob.peers().length === 1)
    const told = new Told(simulation)
    const talkFor = async (ms: number) => {
      for (let at = 0; at < ms; at += 20) {
        for (const node of [ada, bob]) for (const peer of node.peers()) node.whisper(peer, 'x')
        await simulation.run(20)
      }
    }
    await talkFor(beforeMs)
    simulation.unplug(ada)
    await talkFor(outMs)
    simulation.plug(ada)
    await talkFor(8_000)
    t.equal(
      exitsOf(told).length,
      2,
      told.all.filter((line) => !line.includes('whisper')).join('\n'),
    )
    t.match([ada.peers(), bob.peers()], [[{ name: 'bob' }], [{ name: 'alice' }]])
    await simulation.stop()
  })
}

for (const fidelity of FIDELITIES) {
  t.test(`who is on two subnets is found on either, ${fidelity}`, async (t) => {
    const places = { ada: BOTH, bob: ['left'], eve: ['right'] }
    const { simulation, told, lyres } = await village(fidelity, places)
    const [ada, bob, eve] = lyres as [Lyre, Lyre, Lyre]
    t.match(ada.diagnostics().interface?.chosen, [{ name: 'eth0' }, { name: 'eth1' }])
    t.same(
      ada
        .peers()
        .map(({ name }) => name)
        .sort(),
      ['bob', 'eve'],
    )
    t.match(bob.peers(), [{ name: 'ada', endpoint: /10\.0\./ }])
    t.match(eve.peers(), [{ name: 'ada', endpoint: /10\.1\./ }], 'each is told what it can reach')
    await simulation.run(60_000)
    t.same(told.all, [])
    await simulation.stop()
  })

  for (const [how, fail] of [
    ['switch fails', (simulation: Simulation, used: string) => simulation.switch(used, false)],
    ['cable is pulled', (simulation: Simulation, used: string) => simulation.unplug('ada', used)],
  ] as const) {
    t.test(`whose ${how} is talked to on the other subnet, ${fidelity}`, async (t) => {
      const places = { ada: BOTH, bob: BOTH, lea: ['left'], rae: ['right'] }
      const { simulation, told, lyres } = await village(fidelity, places)
      const [ada, bob] = lyres as [Lyre, Lyre]
      const subnetOf = (peer: Peer | undefined) =>
        peer && (peer.endpoint.startsWith('tcp://10.0.') ? 'left' : 'right')
      const used = subnetOf(ada.peer(bob.uuid)) as string
      const other = lyres[used === 'left' ? 3 : 2] as Lyre
      const failedAt = simulation.now
      fail(simulation, used)
      const isMoved = (peer: Peer | undefined) =>
        peer?.state === 'entered' && subnetOf(peer) !== used
      await simulation.runUntil(() => isMoved(ada.peer(bob.uuid)) && isMoved(bob.peer(ada.uuid)))
      t.ok(simulation.now - failedAt < 8_000, `${simulation.now - failedAt} ms`)
      await simulation.run(20_000)
      t.same(
        exitsOf(told).filter((line) => line.includes(other.name)),
        [],
        'nobody who is on the other one alone notices',
      )
      t.equal((await talk(simulation, told, [ada, bob, other])).length, 6)
      simulation.switch(used, true)
      simulation.plug(ada, used)
      await simulation.run(60_000)
      // Who was on the one that failed alone may have been missed, and begins anew.
      const cut = lyres[used === 'left' ? 2 : 3] as Lyre
      const exits = exitsOf(told).filter((line) => !line.includes(cut.name))
      t.same(exits, [], 'nor does anybody when it is back')
      t.same(
        lyres.map((lyre) => lyre.peers().length),
        [3, 3, 2, 2],
      )
      await simulation.stop()
    })
  }

  t.test(`a cable that is pulled for some seconds is no exit, ${fidelity}`, async (t) => {
    const { simulation, told, lyres } = await village(fidelity, { ada: ['left'], bob: ['left'] })
    const [ada, bob] = lyres as [Lyre, Lyre]
    for (const ms of [1_000, 4_000, 7_000]) {
      simulation.unplug(ada)
      await simulation.run(ms / 2)
      ada.whisper(bob.uuid, 'out')
      bob.whisper(ada.uuid, 'in')
      await simulation.run(ms / 2)
      simulation.plug(ada)
      // TCP sends again the later, the longer it was cut.
      await simulation.run(15_000)
      t.same(
        told.take('bob', 'ada').filter((line) => line.includes('whisper')),
        ['whisper out'],
      )
      t.same(
        told.take('ada', 'bob').filter((line) => line.includes('whisper')),
        ['whisper in'],
      )
    }
    t.same(exitsOf(told), [])
    await simulation.stop()
  })

  t.test(
    `an address that changes costs nobody on another subnet a link, ${fidelity}`,
    async (t) => {
      const places = { ada: BOTH, bob: ['left'], eve: ['right'] }
      const { simulation, told, lyres } = await village(fidelity, places)
      const [ada, bob] = lyres as [Lyre, Lyre]
      const port = parseEndpoint(`${ada.endpoint}`)?.port
      const left = simulation.node(ada).address
      const to = simulation.moveTo(ada, undefined, { from: left })
      await simulation.run(10_000)
      t.same(
        exitsOf(told).filter((line) => line.includes('eve')),
        [],
      )
      t.equal(bob.peer(ada.uuid)?.endpoint, `tcp://${to}:${port}`, 'at the port that it had')
      t.equal((await talk(simulation, told, [ada, bob])).length, 2)
      await simulation.stop()
    },
  )

  t.test(`who roams from one subnet to another talks on there, ${fidelity}`, async (t) => {
    const places = { ada: BOTH, bob: BOTH, cat: BOTH }
    const { simulation, told, lyres } = await village(fidelity, places)
    const [ada] = lyres as [Lyre]
    for (const [from, to] of [
      ['right', 'left'],
      ['left', 'right'],
      ['right', 'left'],
    ] as const) {
      simulation.plug(ada, to)
      simulation.unplug(ada, from)
      await simulation.run(10_000)
      const heard = await talk(simulation, told, lyres)
      t.equal(heard.length, 6, `${from} to ${to}: ${heard.join()}`)
      await simulation.run(20_000)
    }
    await simulation.stop()
  })

  for (const seconds of [5, 25]) {
    t.test(`a laptop that sleeps for ${seconds} s is missed by nobody, ${fidelity}`, async (t) => {
      const places = { ada: ['left'], bob: ['left'], eve: ['left'] }
      const { simulation, told, lyres } = await village(fidelity, places)
      const [ada] = lyres as [Lyre]
      simulation.pause(ada, { by: 'suspend' })
      await simulation.run(seconds * 1_000)
      simulation.resume(ada)
      await simulation.run(40_000)
      t.same(exitsOf(told), [])
      t.same(told.take('ada', 'bob'), [], 'and it blames nobody')
      t.equal((await talk(simulation, told, lyres)).length, 6)
      await simulation.stop()
    })
  }

  for (const by of ['suspend', 'stop'] as const) {
    t.test(`who slept for an hour talks within seconds, ${by}, ${fidelity}`, async (t) => {
      const places = { ada: ['left'], bob: ['left'], eve: ['left'] }
      const { simulation, told, lyres } = await village(fidelity, places)
      const [ada, bob, eve] = lyres as [Lyre, Lyre, Lyre]
      const traces: string[] = []
      simulation.pause(ada, { by })
      await simulation.run(60_000)
      simulation.crash(eve)
      await simulation.run(3_540_000)
      t.match(told.take('bob', 'ada'), ['evasive', 'silent', 'exit expired'])
      told.take('ada', 'bob')
      simulation.resume(ada)
      const wokeAt = simulation.now
      const isWhole = () =>
        bob.peer(ada.uuid)?.state === 'entered' &&
        ada.peer(bob.uuid)?.state === 'entered' &&
        told.take('ada', 'bob').includes('enter')
      await simulation.runUntil(isWhole)
      t.ok(simulation.now - wokeAt < 5_000, `${simulation.now - wokeAt} ms`)
      await simulation.run(34_000)
      t.match(told.take('ada', 'eve').at(-1), /^exit/, 'who died meanwhile leaves in its time')
      t.same(traces, [])
      t.equal((await talk(simulation, told, [ada, bob])).length, 2)
      await simulation.stop()
    })
  }

  t.test(`a clock on the wall that is set does no harm, ${fidelity}`, async (t) => {
    const { simulation, told, lyres } = await village(fidelity, { ada: BOTH, bob: BOTH })
    const [ada] = lyres as [Lyre]
    for (const byMs of [3_600_000, -7_200_000, 86_400_000, 30_000]) {
      simulation.setWallClock(ada, byMs)
      await simulation.run(20_000)
    }
    t.same(told.all, [])
    t.equal((await talk(simulation, told, lyres)).length, 2)
    await simulation.stop()
  })
}

t.test('datagrams that lie about where a node is cost it no link', async (t) => {
  const links = { latencyMs: 150, jitterMs: 50, loss: 0.2 }
  const { simulation, told, lyres } = await village('wire', { ada: BOTH, bob: BOTH }, { links })
  const [ada, bob] = lyres as [Lyre, Lyre]
  const stranger = simulation.createHost({ machine: 'mallory', subnet: BOTH })
  const interfaces = stranger.interfaces().filter(({ loopback }) => !loopback)
  // Somebody who answers nothing, and one port at which nobody listens.
  const handlers = { open() {}, receive() {}, drain() {}, close() {} }
  const deaf = await stranger.streams.listen({ address: '0.0.0.0', port: 9_000 }, () => handlers)
  const random = simulation.random.fork('lies')
  for (const { address } of interfaces) {
    const broadcast = address.replace(/\.\d+\.\d+$/, '.255.255')
    const options = { address, port: 0, shared: false, broadcast: true }
    const socket = await stranger.datagrams.open(options, { receive() {}, fail() {} })
    const lie = () => {
      const { uuid } = random.pick([ada, bob])
      const port = random.pick([deaf.port, 9_001, 1 + random.below(65_535)])
      socket.send(encodeBeacon({ uuid, port }), { address: broadcast, port: 5_670 })
      simulation.schedule(random.between(1, 2_000), lie)
    }
    lie()
  }
  let heard = 0
  for (const lyre of lyres) lyre.on('whisper', () => heard++)
  for (let second = 0; second < 600; second++) {
    ada.whisper(bob.uuid, 'still there?')
    bob.whisper(ada.uuid, 'still there?')
    await simulation.run(1_000)
  }
  await simulation.run(5_000)
  t.same(exitsOf(told), [])
  t.equal(heard, 1_200)
  t.ok((ada.diagnostics().counters['endpoint-changed'] ?? 0) > 100, 'they were heard')
  await simulation.stop()
})

t.test('what cannot be is refused', async (t) => {
  const simulation = new Simulation({ seed: 1 })
  const ada = simulation.createLyre({}, { machine: 'ada', subnet: BOTH })
  t.throws(() => simulation.createLyre({}, { machine: 'ada', subnet: 'left' }), /left and right/)
  t.throws(() => simulation.createLyre({}, { subnet: [] }), /1 to 8 different/)
  t.throws(() => simulation.createLyre({}, { subnet: ['a', 'a'] }), /1 to 8 different/)
  t.throws(() => simulation.createLyre({}, { subnet: 7 as never }), /1 to 8 different/)
  t.throws(() => simulation.unplug(ada, 'middle'), /ada is not on subnet middle/)
  t.throws(() => simulation.switch('middle', false), /there is no subnet middle/)
  t.throws(() => simulation.moveTo(ada, undefined, { from: '10.9.9.9' }), /has no address/)
  t.throws(() => simulation.pause(ada, { by: 'magic' as never }), /stop or suspend/)
  t.throws(() => simulation.setWallClock(ada, Number.NaN), /byMs has to be a number/)
})
