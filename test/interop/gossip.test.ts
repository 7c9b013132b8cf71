/** Our gossip against czmq's zgossip actor, in a small C program that is compiled here: both as a hub and as a client. */

import t, { type Test } from 'tap'
import { createLyre, type Lyre, type LyreOptions } from '../../dist/src/index.js'
import { type Child, startProgram } from '../support/child.ts'
import { compileGossip, NO_CZMQ } from '../support/czmq.ts'
import { eventually } from '../support/heard.ts'
import { serve } from '../support/stranger.ts'

const program = compileGossip(t)
const skip = program === undefined && NO_CZMQ

function czmq(t: Test, how: 'bind' | 'connect', endpoint: string): Child {
  return startProgram(t, program as string, [how, endpoint])
}

function node(t: Test, name: string, options: LyreOptions): Lyre {
  const lyre = createLyre({ name, interface: '127.0.0.1', beacon: false, ...options })
  t.teardown(() => lyre.stop({ lingerMs: 0 }))
  return lyre
}

function tuplesOf(lyre: Lyre): string[] {
  const { tuples = [] } = lyre.diagnostics().gossip ?? {}
  return tuples.map(({ uuid, endpoint, state }) => `${uuid.slice(0, 4)} ${endpoint} ${state}`)
}

/** A hub of czmq, at any port. */
async function hubOf(t: Test, at = 'tcp://127.0.0.1:*'): Promise<{ hub: Child; endpoint: string }> {
  const hub = czmq(t, 'bind', at)
  const { port } = await hub.next('ready')
  return { hub, endpoint: `tcp://127.0.0.1:${port}` }
}

const KEY = 'ABCD'.repeat(8)
const NOBODY = 'tcp://127.0.0.1:9'

t.test('two nodes meet at a hub of czmq, which hears of both', { skip }, async (t) => {
  const { hub, endpoint } = await hubOf(t)
  const alice = node(t, 'alice', { gossipConnect: endpoint })
  const bob = node(t, 'bob', { gossipConnect: endpoint })
  await alice.start()
  await bob.start()
  await Promise.all([alice, bob].map((lyre) => lyre.waitForPeers(1, { timeoutMs: 20_000 })))
  for (const { uuid, endpoint: value } of [alice, bob]) {
    const key = uuid.toUpperCase()
    // Which of them it hears of first is up to the machine.
    const told = () => hub.heard.items.find((line) => line.event === 'deliver' && line.key === key)
    await eventually('the hub has heard of both', () => told() !== undefined)
    t.match(told(), { value })
  }
  t.match(alice.diagnostics().gossip?.hubs, [{ state: 'connected', leases: false }])
})

t.test('a hub of czmq tells us also after idle seconds (W17)', { skip }, async (t) => {
  const { hub, endpoint } = await hubOf(t)
  const alice = node(t, 'alice', { gossipConnect: endpoint })
  await alice.start()
  await hub.next('deliver', { key: alice.uuid.toUpperCase() })
  // Our echo is the last that it had to tell: a client that is quiet for a second it forgets.
  const idleMs = () => alice.diagnostics().gossip?.last.known?.msAgo ?? 0
  await eventually('some seconds are idle', () => idleMs() >= 2_500)
  hub.type(`${KEY} ${NOBODY}`)
  await eventually('the tuple is told', () => tuplesOf(alice).length === 1)
  t.same(tuplesOf(alice), [`abcd ${NOBODY} hearsay`])
})

t.test('a hub of czmq that is killed and comes back hears all again', { skip }, async (t) => {
  const first = await hubOf(t)
  const alice = node(t, 'alice', { gossipConnect: first.endpoint })
  await alice.start()
  first.hub.type(`${KEY} ${NOBODY}`)
  await eventually('the tuple is told', () => tuplesOf(alice).length === 1)
  first.hub.kill('SIGKILL')
  await first.hub.exited
  await eventually('we know', () => alice.diagnostics().gossip?.hubs[0]?.state !== 'connected')
  const { hub } = await hubOf(t, first.endpoint)
  t.match(await hub.next('deliver', { key: alice.uuid.toUpperCase() }), { value: alice.endpoint })
  t.match(await hub.next('deliver', { key: KEY }), { value: NOBODY }, 'and what it told itself')
})

t.test('clients of czmq meet at our hub, also when it comes back', { skip }, async (t) => {
  const hub = node(t, 'hub', { gossipBind: 'tcp://127.0.0.1:*' })
  await hub.start()
  const at = hub.diagnostics().gossip?.bind as string
  const one = czmq(t, 'connect', at)
  const two = czmq(t, 'connect', at)
  for (const client of [one, two]) {
    t.match(await client.next('deliver', { key: hub.uuid.toUpperCase() }), { value: hub.endpoint })
  }
  one.type(`${KEY} ${NOBODY}`)
  await two.next('deliver', { key: KEY, value: NOBODY })
  t.same(tuplesOf(hub), [`abcd ${NOBODY} hearsay`])
  await hub.stop()
  const again = node(t, 'hub', { gossipBind: at })
  await again.start()
  const key = again.uuid.toUpperCase()
  for (const client of [one, two]) await client.next('deliver', { key, value: again.endpoint })
  await eventually('they have told what they know', () => tuplesOf(again).length === 2)
})

t.test(
  'a hub of czmq goes on telling of the dead, and we do not believe it',
  { skip },
  async (t) => {
    const { hub, endpoint } = await hubOf(t)
    hub.type(`${KEY} ${NOBODY}`)
    const alice = node(t, 'alice', { gossipConnect: endpoint, gossipTtlMs: 1_000 })
    await alice.start()
    await eventually('it is told', () => tuplesOf(alice).length === 1)
    t.same(tuplesOf(alice), [`abcd ${NOBODY} hearsay`])
    await eventually('it is gone', () => tuplesOf(alice)[0] === `abcd ${NOBODY} gone`)
    const bob = node(t, 'bob', { gossipConnect: endpoint, gossipTtlMs: 1_000 })
    await bob.start()
    await bob.waitForPeers(1, { timeoutMs: 20_000 })
    await eventually('it is gone there', () => tuplesOf(bob).some((line) => line.endsWith('gone')))
    t.ok(tuplesOf(alice).includes(`abcd ${NOBODY} gone`))
  },
)

t.test('what we say never ends an actor of czmq (W10)', { skip }, async (t) => {
  const { hub, endpoint } = await hubOf(t)
  const ours = node(t, 'ours', { gossipConnect: endpoint, gossipBind: 'tcp://127.0.0.1:*' })
  await ours.start()
  const client = czmq(t, 'connect', ours.diagnostics().gossip?.bind as string)
  // A value that kills C Zyre, from an actor of czmq that knows no better (W9).
  hub.type(`${KEY} tcp://${'a'.repeat(2_000)}:1`)
  hub.type(`${KEY.replaceAll('A', '0')} ${NOBODY}`)
  t.match(await client.next('deliver', { value: NOBODY }), { key: KEY.replaceAll('A', '0') })
  t.equal(client.heard.items.filter(({ key }) => key === KEY).length, 0)
  t.equal(ours.diagnostics().gossip?.told.noise, 1)
  client.type(`${KEY} tcp://127.0.0.1:10`)
  await hub.next('deliver', { key: KEY, value: 'tcp://127.0.0.1:10' })
  // Nor does a hub that sends nonsense end us.
  const port = await serve(t, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  const bob = node(t, 'bob', { gossipConnect: [`tcp://127.0.0.1:${port}`, endpoint] })
  await bob.start()
  await bob.waitForPeers(1, { timeoutMs: 20_000 })
  const { counters, hubs } = bob.diagnostics().gossip ?? {}
  t.ok((counters?.['refused: zmtp.md 2.1'] ?? 0) >= 1)
  t.match(hubs?.[0]?.lastError, /this is not ZMTP/)
})
