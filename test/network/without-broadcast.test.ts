/** Networks that pass no broadcast on: gossip and multicast DNS there, hubs that are killed, and nodes that die. */

import t from 'tap'
import { type Machine, Network, type Segment } from './network.ts'
import { hearEachOther, isPresent, meet, settle, type Talker, talk } from './talker.ts'

t.jobs = 3

/** So many machines on a segment, on which no broadcast gets through: `10.1.0.1` and so on. */
function quietMachines(network: Network, segment: Segment, count: number): Machine[] {
  return Array.from({ length: count }, (_, index) => {
    const machine = network.machine(`machine${index + 1}`)
    machine.plug(segment, { name: 'eth0', address: `10.1.0.${index + 1}/24` })
    machine.dropBroadcasts('eth0')
    return machine
  })
}

t.test('no beacon gets through, gossip and mDNS do', { buffered: true }, async (t) => {
  const network = new Network(t)
  const machines = quietMachines(network, network.segment('one'), 6)
  const gossip = { gossipConnect: 'tcp://10.1.0.4:5671' }
  const options = [
    { name: 'beacon1' },
    { name: 'beacon2' },
    { name: 'gossip1', ...gossip },
    { name: 'gossip2', gossipBind: 'tcp://*:5671' },
    { name: 'mdns1', mdns: true },
    { name: 'mdns2', mdns: true },
  ]
  const nodes = await Promise.all(machines.map((machine, i) => machine.node(options[i] ?? {})))
  const [beacon1, beacon2, gossip1, gossip2, mdns1, mdns2] = nodes as [
    Talker,
    Talker,
    Talker,
    Talker,
    Talker,
    Talker,
  ]
  await Promise.all([meet(gossip1, gossip2), meet(mdns1, mdns2)])
  await Promise.all(nodes.map((node) => node.beacons(5)))
  for (const node of [beacon1, beacon2]) {
    const { diagnostics } = await node.report()
    t.match(diagnostics, { peers: [], beacon: { heard: { alive: 0 }, sendErrors: 0 } })
    t.ok((diagnostics.beacon?.heard.own ?? 0) > 0, `${node.name} hears itself, and nobody else`)
  }
  t.same(await gossip1.peers(), ['gossip2'])
  t.same(await mdns1.peers(), ['mdns2'])
  await Promise.all([talk(gossip1, gossip2), talk(mdns1, mdns2)])
  t.equal(await settle(t, gossip1, gossip2), 0)
  t.equal(await settle(t, mdns1, mdns2), 0)
})

t.test(
  'gossip on one segment goes together with beacons on another',
  { buffered: true },
  async (t) => {
    const network = new Network(t)
    const [one, two] = [network.segment('one'), network.segment('two')]
    const [a, b] = quietMachines(network, one, 2) as [Machine, Machine]
    const c = network.machine('c')
    b.plug(two, { name: 'eth1', address: '10.2.0.2/24' })
    c.plug(two, { name: 'eth0', address: '10.2.0.3/24' })
    const bob = await b.node({ name: 'bob', gossipBind: 'tcp://10.1.0.2:5671' })
    const alice = await a.node({ name: 'alice', gossipConnect: 'tcp://10.1.0.2:5671' })
    const carol = await c.node({ name: 'carol' })
    await Promise.all([meet(alice, bob), meet(carol, bob)])
    await Promise.all([alice, bob, carol].map((node) => node.beacons(3)))
    const { diagnostics } = await bob.report()
    const sources = diagnostics.peers.map(({ name, source }) => `${name} by ${source}`).sort()
    t.same(sources, ['alice by gossip', 'carol by beacon'])
    t.same([alice.story(bob), carol.story(bob)], [['enter'], ['enter']])
  },
)

for (const { what, ofAlice, ofBob } of [
  {
    what: 'gossip',
    ofAlice: { gossipConnect: 'tcp://10.1.0.2:5671' },
    ofBob: { gossipBind: 'tcp://10.1.0.2:5671' },
  },
  { what: 'mDNS', ofAlice: { mdns: true }, ofBob: { mdns: true } },
]) {
  t.test(`${what} tells where a node is that has moved`, { buffered: true }, async (t) => {
    const network = new Network(t)
    const one = network.segment('one')
    const [a, b, c] = [network.machine('a'), network.machine('b'), network.machine('c')]
    const link = a.plug(one, { name: 'eth0', address: '10.1.0.1/24' })
    b.plug(one, { name: 'eth0', address: '10.1.0.2/24' })
    c.plug(one, { name: 'eth0', address: '10.1.0.3/24' })
    for (const machine of [a, b, c]) machine.dropBroadcasts('eth0')
    const alice = await a.node({ name: 'alice', ...ofAlice })
    const bob = await b.node({ name: 'bob', ...ofBob })
    await meet(alice, bob)
    await talk(alice, bob)
    const from = performance.now()
    link.address('10.1.0.77/24')
    await hearEachOther(alice, bob)
    t.comment(`${what}: they talk again after ${Math.round(performance.now() - from)} ms`)
    await alice.waits('it has moved', ({ diagnostics }) => {
      return diagnostics.endpoint?.startsWith('tcp://10.1.0.77:') === true
    })
    const carol = await c.node({ name: 'carol', ...ofAlice })
    await meet(alice, bob, carol)
    for (const node of [bob, carol]) {
      const enter = node.events(alice, 'enter').at(-1)
      t.match(enter?.endpoint, 'tcp://10.1.0.77:', `${node.name} has alice where she is now`)
    }
    await settle(t, alice, bob)
    t.ok(alice.story(bob).length <= 3, 'one exit at most')
    t.ok(bob.story(alice).length <= 3, 'here too')
  })
}

/** A peer that dies without a word is expired soon, and so is a lease. */
const IMPATIENT = {
  beacon: false,
  gossipTtlMs: 3_000,
  evasiveTimeoutMs: 1_000,
  silentTimeoutMs: 2_000,
  expiredTimeoutMs: 4_000,
}

t.test('hubs may be killed, one after the other', { buffered: true }, async (t) => {
  const network = new Network(t)
  const machines = quietMachines(network, network.segment('one'), 6)
  const [m1, m2, m3, m4, m5, m6] = machines as [
    Machine,
    Machine,
    Machine,
    Machine,
    Machine,
    Machine,
  ]
  const hubs = ['tcp://10.1.0.1:5671', 'tcp://10.1.0.2:5671']
  const hub = (machine: Machine, name: string) =>
    machine.node({ ...IMPATIENT, name, gossipBind: 'tcp://*:5671', gossipConnect: hubs })
  const client = (machine: Machine, name: string) =>
    machine.node({ ...IMPATIENT, name, gossipConnect: hubs })
  const first = await hub(m1, 'first')
  const second = await hub(m2, 'second')
  const alice = await client(m3, 'alice')
  const bob = await client(m4, 'bob')
  await meet(alice, bob, first, second)
  await talk(alice, bob)

  first.child.kill('SIGKILL')
  const carol = await client(m5, 'carol')
  await meet(carol, alice, bob, second)
  t.pass('who comes while the first hub is gone is told of by the second')
  const again = await hub(m1, 'first again')
  second.child.kill('SIGKILL')
  await meet(again, alice, bob, carol)
  const dave = await client(m6, 'dave')
  await meet(dave, again, alice, bob, carol)
  t.pass('and while the second is gone, by the first, which is there again')

  const left = [again, alice, bob, carol, dave]
  const from = performance.now()
  for (const node of left) await node.waits('the dead are forgotten', forgets(first, second))
  t.comment(`all have forgotten both after ${Math.round(performance.now() - from)} ms`)
  for (const node of left) t.notOk(node.story(second).at(-1) === 'enter', 'no peer is dead')
  t.equal(await settle(t, alice, bob), 0, 'and who talked was not disturbed')
  t.same([alice.story(bob), bob.story(alice)], [['enter'], ['enter']])
})

/**
 * Whether none of them is a peer, or believed to be there by gossip. That it is gone is remembered for a while, and once or
 * twice it is tried whether it still is.
 */
function forgets(...gone: readonly Talker[]): Parameters<Talker['waits']>[1] {
  return ({ diagnostics: { peers, gossip } }) =>
    gone.every(
      (node) =>
        peers.every(({ uuid, state }) => uuid !== node.uuid || !isPresent(state)) &&
        gossip?.tuples.every(({ uuid, state }) => uuid !== node.uuid || state === 'gone') === true,
    )
}

t.test('a machine that loses its power is forgotten everywhere', { buffered: true }, async (t) => {
  const network = new Network(t)
  const segment = network.segment('one')
  const [m1, m2, m3, m4] = quietMachines(network, segment, 4) as [
    Machine,
    Machine,
    Machine,
    Machine,
  ]
  const dying = network.machine('dying')
  const link = dying.plug(segment, { name: 'eth0', address: '10.1.0.9/24' })
  const gossipConnect = ['tcp://10.1.0.1:5671', 'tcp://10.1.0.2:5671']
  const hubs = [
    await m1.node({ ...IMPATIENT, name: 'first', gossipBind: 'tcp://*:5671', gossipConnect }),
    await m2.node({ ...IMPATIENT, name: 'second', gossipBind: 'tcp://*:5671', gossipConnect }),
  ]
  const alice = await m3.node({ ...IMPATIENT, name: 'alice', gossipConnect })
  const bob = await dying.node({ ...IMPATIENT, name: 'bob', gossipConnect })
  await meet(...hubs, alice, bob)
  // Nothing of its end gets out.
  link.cut()
  bob.child.kill('SIGKILL')
  const from = performance.now()
  for (const node of [...hubs, alice]) await node.waits('bob is forgotten', forgets(bob))
  t.comment(`a node without power is forgotten after ${Math.round(performance.now() - from)} ms`)
  t.same(alice.story(bob), ['enter', 'exit expired'])
  const carol = await m4.node({ ...IMPATIENT, name: 'carol', gossipConnect })
  await meet(...hubs, alice, carol)
  t.same(carol.events(bob, 'enter'), [], 'and who comes later does not meet it')
  t.ok(forgets(bob)(await carol.report()), 'nor does anybody tell of it')
})
