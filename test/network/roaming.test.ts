/** Machines that change their address, lose their link for a while, or sleep, while they talk. */

import t, { type Test } from 'tap'
import { type Link, Network, type Segment } from './network.ts'
import { hearEachOther, meet, pass, settle, type Talker, talk } from './talker.ts'

t.jobs = 4

interface Pair {
  readonly alice: Talker
  readonly bob: Talker
  /** Of the machine of alice. */
  readonly link: Link
  /** Where both are, and another one where bob's machine is as well. */
  readonly one: Segment
  readonly two: Segment
}

/** Two that talk; the machine of bob is on two segments, that of alice on the first one. */
async function createPair(t: Test): Promise<Pair> {
  const network = new Network(t)
  const [one, two] = [network.segment('one'), network.segment('two')]
  const [a, b] = [network.machine('a'), network.machine('b')]
  const link = a.plug(one, { name: 'eth0', address: '10.1.0.1/24' })
  b.plug(one, { name: 'eth0', address: '10.1.0.2/24' })
  b.plug(two, { name: 'eth1', address: '10.2.0.2/24' })
  const alice = await a.node({ name: 'alice' })
  const bob = await b.node({ name: 'bob' })
  await meet(alice, bob)
  await talk(alice, bob)
  return { alice, bob, link, one, two }
}

/**
 * What happened is over, or will be followed: they talk again, and nothing is unaccounted for.
 * @returns how many numbers are lost.
 */
async function recover(
  t: Test,
  { alice, bob }: Pair,
  { what, from }: { readonly what: string; readonly from: number },
): Promise<number> {
  await hearEachOther(alice, bob)
  t.comment(`${what}: they talk again after ${Math.round(performance.now() - from)} ms`)
  t.equal(alice.events(bob, 'enter').at(-1)?.uuid, bob.uuid, 'the same peer')
  return settle(t, alice, bob)
}

/** The same peer goes on, or leaves once and comes again. */
function oneExitAtMost(t: Test, { alice, bob }: Pair): void {
  for (const story of [alice.story(bob), bob.story(alice)]) {
    t.equal(story.filter((line) => line === 'enter').length, story.length === 1 ? 1 : 2)
    t.ok(story.length <= 3, 'one exit at most')
  }
}

for (const { what, change, at } of [
  {
    what: 'a new address on the same network',
    change: ({ link }: Pair) => link.address('10.1.0.77/24'),
    at: 'tcp://10.1.0.77:',
  },
  {
    what: 'another network',
    change: ({ link, two }: Pair) => {
      link.move(two)
      link.address('10.2.0.77/24')
    },
    at: 'tcp://10.2.0.77:',
  },
]) {
  t.test(`${what} is followed`, { buffered: true }, async (t) => {
    const pair = await createPair(t)
    const { alice, bob } = pair
    const from = performance.now()
    change(pair)
    await alice.waits(
      'it knows',
      ({ diagnostics }) => diagnostics.endpoint?.startsWith(at) === true,
    )
    t.comment(`${what}: the node itself knows after ${Math.round(performance.now() - from)} ms`)
    await bob.waits('it is known there', ({ diagnostics }) =>
      diagnostics.peers.some(
        ({ uuid, endpoint }) => uuid === alice.uuid && endpoint.startsWith(at),
      ),
    )
    await recover(t, pair, { what, from })
    t.ok(performance.now() - from < 30_000, 'sooner than C Zyre believes in a new address')
    oneExitAtMost(t, pair)
    t.same([await alice.peers(), await bob.peers()], [['bob'], ['alice']], 'and nobody twice')
  })
}

t.test(
  'a cable that is out for long costs no more than one exit',
  { buffered: true },
  async (t) => {
    const pair = await createPair(t)
    pair.link.unplug()
    await pass(12_000)
    pair.link.unplug(false)
    await recover(t, pair, { what: 'a cable out for 12 s', from: performance.now() })
    oneExitAtMost(t, pair)
  },
)

for (const { what, begin, end, durationMs } of [
  {
    what: 'an interface that is switched off and on',
    begin: ({ link }: Pair) => link.fall(),
    end: ({ link }: Pair) => link.rise(),
    durationMs: 3_000,
  },
  {
    what: 'a cable that is pulled and plugged in',
    begin: ({ link }: Pair) => link.unplug(),
    end: ({ link }: Pair) => link.unplug(false),
    durationMs: 3_000,
  },
  {
    what: 'a cut that neither end can see',
    begin: ({ link }: Pair) => link.cut(),
    end: ({ link }: Pair) => link.heal(),
    durationMs: 3_000,
  },
  {
    what: 'a node that sleeps',
    begin: ({ alice }: Pair) => alice.child.kill('SIGSTOP'),
    end: ({ alice }: Pair) => alice.child.kill('SIGCONT'),
    durationMs: 15_000,
  },
]) {
  t.test(`${what} goes unnoticed`, { buffered: true }, async (t) => {
    const pair = await createPair(t)
    begin(pair)
    await pass(durationMs)
    end(pair)
    const lost = await recover(t, pair, { what, from: performance.now() })
    t.equal(lost, 0, 'nothing is lost')
    const stories = [pair.alice.story(pair.bob), pair.bob.story(pair.alice)]
    t.same(stories, [['enter'], ['enter']], 'and neither is told that the other is gone')
  })
}

t.test('a network that comes up is used, and loopback no more', { buffered: true }, async (t) => {
  const network = new Network(t)
  const one = network.segment('one')
  const [a, b] = [network.machine('a'), network.machine('b')]
  b.plug(one, { name: 'eth0', address: '10.1.0.2/24' })
  const alice = await a.node({ name: 'alice' })
  const carol = await a.node({ name: 'carol' })
  const bob = await b.node({ name: 'bob' })
  await meet(alice, carol)
  t.match(alice.endpoint, 'tcp://127.0.0.1:')
  await talk(alice, carol)
  a.plug(one, { name: 'eth0', address: '10.1.0.1/24' })
  await meet(alice, bob)
  await meet(carol, bob)
  for (const node of [alice, carol]) {
    const { diagnostics } = await node.report()
    t.match(diagnostics.endpoint, 'tcp://10.1.0.1:', `${node.name} is on the network`)
    t.match(bob.events(node, 'enter')[0]?.endpoint, 'tcp://10.1.0.1:', 'and tells so')
  }
  await hearEachOther(alice, carol)
  t.equal(await settle(t, alice, carol), 0, 'nothing is lost')
  t.same(
    [alice.story(carol), carol.story(alice)],
    [['enter'], ['enter']],
    'loopback is still there',
  )
})

t.test('two on one machine talk on when its cable is pulled', { buffered: true }, async (t) => {
  const network = new Network(t)
  const machine = network.machine('a')
  const link = machine.plug(network.segment('one'), { name: 'eth0', address: '10.1.0.1/24' })
  const alice = await machine.node({ name: 'alice' })
  const carol = await machine.node({ name: 'carol' })
  await meet(alice, carol)
  await talk(alice, carol)
  link.unplug()
  for (const node of [alice, carol]) {
    await node.waits('it sees that', ({ diagnostics }) => {
      return diagnostics.interface?.chosen.some(({ name }) => name === 'lo') === true
    })
  }
  await hearEachOther(alice, carol)
  t.equal(await settle(t, alice, carol), 0, 'nothing is lost')
  t.same([alice.story(carol), carol.story(alice)], [['enter'], ['enter']])
})
