import t from 'tap'
import { hintsOf } from '../../../src/cli/hints.ts'
import { Lyre } from '../../../src/lyre.ts'
import { World } from '../../support/host.ts'
import { createNode } from '../../support/nodes.ts'

/** What a node that is alone, or nearly, says about multicast DNS. */
async function hints(world: World, others: readonly Lyre[] = []): Promise<string> {
  const lyre = new Lyre({ mdns: true }, world.host())
  for (const other of others) await other.start()
  await lyre.start()
  await world.advance(2_000)
  return hintsOf(lyre.diagnostics()).join('\n')
}

t.test('who waits in vain is told what multicast DNS knows', async (t) => {
  t.match(await hints(new World()), /no node shows in multicast DNS, at port 5353/)
  const blocked = new World()
  blocked.mdnsError = new Error('bind EADDRINUSE 0.0.0.0:5353')
  t.match(await hints(blocked), /we take no part in multicast DNS: bind EADDRINUSE/)
  const world = new World()
  const stranger = new Lyre({ mdns: true, beaconPort: 5_671 }, world.host())
  t.match(await hints(world, [stranger]), /of the nodes in multicast DNS, 1 beacon at another port/)
  const peers = new World()
  const peer = new Lyre({ mdns: true }, peers.host())
  t.notMatch(await hints(peers, [peer]), /multicast DNS/)
})

t.test('a node without multicast DNS has nothing to say of it', async (t) => {
  const world = new World()
  const lyre = new Lyre({}, world.host())
  await lyre.start()
  await world.advance(2_000)
  t.notMatch(hintsOf(lyre.diagnostics()).join('\n'), /multicast DNS/)
  t.equal(lyre.diagnostics().mdns, null)
})

t.test('who waits in vain hears of a hub that is not there', async (t) => {
  const { lyre } = createNode(t, { beacon: false, gossipConnect: 'tcp://127.0.0.1:9' })
  await lyre.start()
  const diagnostics = lyre.diagnostics()
  t.same(hintsOf(diagnostics), [
    'the hub tcp://127.0.0.1:9 is not there: it has not answered so far',
  ])
  const gossip = diagnostics.gossip && {
    ...diagnostics.gossip,
    hubs: [
      { endpoint: 'tcp://a:1', state: 'waiting', leases: null, lastError: 'refused' } as const,
      { endpoint: 'tcp://b:1', state: 'connected', leases: true, lastError: 'refused' } as const,
    ],
  }
  t.same(hintsOf({ ...diagnostics, gossip }), ['the hub tcp://a:1 is not there: refused'])
})

t.test('a seed that is not there is named, with the reason', async (t) => {
  const { lyre } = createNode(t, { beacon: false, seeds: 'tcp://127.0.0.1:9' })
  await lyre.start()
  const diagnostics = lyre.diagnostics()
  t.same(hintsOf(diagnostics), [
    'nobody has entered at tcp://127.0.0.1:9: it has not answered so far',
  ])
  const [seed] = diagnostics.seeds
  const seeds = [
    { ...seed!, state: 'entered' as const },
    { ...seed!, lastReason: 'refused' },
  ]
  t.same(hintsOf({ ...diagnostics, seeds }), ['nobody has entered at tcp://127.0.0.1:9: refused'])
})
