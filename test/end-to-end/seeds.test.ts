/** Whole nodes on loopback that know of each other nothing but an endpoint: no beacons, no gossip. */

import dns from 'node:dns'
import t, { type Test } from 'tap'
import { type LyreOptions, text } from '../../src/index.ts'
import { eventually } from '../support/heard.ts'
import { createNode, freePort, type Node } from '../support/nodes.ts'

async function start(t: Test, name: string, options: LyreOptions): Promise<Node> {
  const node = createNode(t, { name, beacon: false, ...options })
  await node.lyre.start()
  return node
}

/** A port that stays the same over restarts. */
async function place(): Promise<{ readonly mailboxPort: number; readonly at: string }> {
  const mailboxPort = await freePort()
  return { mailboxPort, at: `tcp://127.0.0.1:${mailboxPort}` }
}

function linksOf({ lyre }: Node): number {
  return lyre.diagnostics().connections
}

t.test('three nodes meet by the endpoint of one, whoever is there first', async (t) => {
  const { mailboxPort, at } = await place()
  const alice = await start(t, 'alice', { seeds: at })
  const hub = await start(t, 'hub', { mailboxPort, seeds: at })
  const bob = await start(t, 'bob', { seeds: at })
  await Promise.all([alice.next('enter', 'hub'), bob.next('enter', 'hub')])
  await hub.lyre.waitForPeers(2, { timeoutMs: 20_000 })
  alice.lyre.whisper(hub.lyre.uuid, 'hello')
  t.equal(text((await hub.next('whisper', 'alice')).content), 'hello')
  await eventually('it knows itself', () => hub.lyre.diagnostics().seeds[0]?.state === 'self')
  t.same([linksOf(alice), linksOf(hub), linksOf(bob)], [2, 4, 2])
})

t.test('a peer that is named twice, by name and by address, and beacons, is one', async (t) => {
  const beaconPort = await freePort()
  const { mailboxPort, at } = await place()
  const lookups = t.capture(dns, 'lookup', dns.lookup)
  const hub = await start(t, 'hub', { mailboxPort, beacon: true, beaconPort })
  const seeds = [at, at.replace('127.0.0.1', 'localhost')]
  const alice = await start(t, 'alice', { beacon: true, beaconPort, seeds })
  await eventually('both are that peer', () =>
    alice.lyre.diagnostics().seeds.every(({ state }) => state === 'entered'),
  )
  t.ok(lookups().length >= 1)
  await eventually('what was too much is gone', () => linksOf(hub) === 2)
  t.same(alice.story, ['enter hub'])
  t.same([linksOf(alice), linksOf(hub)], [2, 2])
})

t.test('a seed that is killed and comes back is met again', async (t) => {
  const { mailboxPort, at } = await place()
  const hub = await start(t, 'hub', { mailboxPort })
  const alice = await start(t, 'alice', { seeds: at })
  await alice.next('enter', 'hub')
  await hub.lyre.stop()
  t.equal((await alice.next('exit', 'hub')).cause, 'goodbye')
  t.match(alice.lyre.diagnostics().seeds, [{ state: 'waiting' }])
  const other = await start(t, 'other', { mailboxPort, seeds: String(alice.lyre.endpoint) })
  await Promise.all([alice.next('enter', 'other'), other.next('enter', 'alice')])
  t.equal(alice.lyre.diagnostics().peers.length, 1)
})
