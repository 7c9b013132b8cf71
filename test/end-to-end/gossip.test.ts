/**
 * Whole nodes on loopback that no beacon reaches: they meet by gossip, while hubs come and go and clients lie. W9 to W23 are the
 * weaknesses of C Zyre's gossip, as in weaknesses.test.ts.
 */

import dns from 'node:dns'
import { connect, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { encodeGossip, type GossipMessage } from '../../protocol/gossip.ts'
import { type LyreOptions, text } from '../../src/index.ts'
import { eventually } from '../support/heard.ts'
import { dial, dialAs, type Link } from '../support/link.ts'
import { createNode, freePort, type Node, portOf } from '../support/nodes.ts'
import { headerOf, Inbox, serve, tellHello, uuidOf } from '../support/stranger.ts'

/** A started node without beacons. */
async function start(t: Test, name: string, options: LyreOptions): Promise<Node> {
  const node = createNode(t, { name, beacon: false, ...options })
  await node.lyre.start()
  return node
}

async function hubOf(t: Test, options: LyreOptions = {}): Promise<{ hub: Node; at: string }> {
  const hub = await start(t, 'hub', { gossipBind: 'tcp://127.0.0.1:*', ...options })
  return { hub, at: hub.lyre.diagnostics().gossip?.bind as string }
}

function met(nodes: readonly Node[]): Promise<unknown> {
  const patience = { timeoutMs: 20_000 }
  return Promise.all(nodes.map(({ lyre }) => lyre.waitForPeers(nodes.length - 1, patience)))
}

function stateOf({ lyre }: Node, uuid: string): string | undefined {
  return lyre.diagnostics().gossip?.tuples.find((tuple) => tuple.uuid === uuid)?.state
}

/** A client of bare sockets, which has said HELLO. */
async function client(t: Test, at: string): Promise<Link> {
  const link = dial(t, at, { socketType: 'DEALER', identity: new Uint8Array(0) })
  await link.ready()
  link.send([encodeGossip({ type: 'hello' })])
  return link
}

function publish(uuid: string, value: string): GossipMessage {
  return { type: 'publish', key: uuid.toUpperCase(), value, ttlMs: 0 }
}

t.test('nodes meet by a hub, and talk without it', async (t) => {
  const { hub, at } = await hubOf(t)
  const alice = await start(t, 'alice', { gossipConnect: at })
  const bob = await start(t, 'bob', { gossipConnect: at })
  await met([hub, alice, bob])
  t.equal(alice.lyre.diagnostics().beacon, null)
  await hub.lyre.stop()
  await alice.next('exit', 'hub')
  alice.lyre.whisper(bob.lyre.uuid, 'hello')
  t.equal(text((await bob.next('whisper', 'alice')).content), 'hello')
  t.same(bob.story.filter((line) => line.includes('alice')).slice(0, 1), ['enter alice'])
})

t.test('beacons and gossip find each other through a node that has both', async (t) => {
  const beaconPort = await freePort()
  const { hub, at } = await hubOf(t)
  const both = await start(t, 'both', { beacon: true, beaconPort, gossipConnect: at })
  const beacons = await start(t, 'beacons', { beacon: true, beaconPort })
  await both.lyre.waitForPeers(2, { timeoutMs: 20_000 })
  await Promise.all([hub.next('enter', 'both'), beacons.next('enter', 'both')])
  t.match(both.lyre.diagnostics(), { beacon: { heard: { alive: Number } }, gossip: { clients: 0 } })
  t.same([hub.lyre.peers().length, beacons.lyre.peers().length], [1, 1])
})

t.test('a hub that is restarted is found again, by its name too (W15)', async (t) => {
  const { hub, at } = await hubOf(t)
  const lookups = t.capture(dns, 'lookup', dns.lookup)
  const gossipConnect = at.replace('127.0.0.1', 'localhost')
  const alice = await start(t, 'alice', { gossipConnect })
  await met([hub, alice])
  const before = lookups().length
  t.ok(before >= 1)
  await hub.lyre.stop()
  await alice.next('exit', 'hub')
  const again = await start(t, 'again', { gossipBind: at })
  await met([again, alice])
  t.ok(lookups().length > before, 'the name is looked up anew')
  t.match(alice.lyre.diagnostics().gossip?.hubs, [{ endpoint: gossipConnect, state: 'connected' }])
})

t.test('behind a port that is forwarded, a node is where it advertises', async (t) => {
  const { hub, at } = await hubOf(t)
  const mailboxPort = await freePort()
  const port = await serve(t, (socket) => {
    const inside = connect({ host: '127.0.0.1', port: mailboxPort })
    inside.on('error', () => socket.destroy())
    socket.on('close', () => inside.destroy())
    socket.pipe(inside).pipe(socket)
  })
  const advertise = `tcp://127.0.0.1:${port}`
  const alice = await start(t, 'alice', { gossipConnect: at, mailboxPort, advertise })
  await met([hub, alice])
  t.equal(hub.lyre.peer(alice.lyre.uuid)?.endpoint, advertise)
  t.equal(hub.lyre.diagnostics().gossip?.tuples[0]?.endpoint, advertise)
})

t.test('one of several hubs is enough, and hubs tell each other', async (t) => {
  const { hub: one, at: atOne } = await hubOf(t)
  const { hub: two, at: atTwo } = await hubOf(t, { name: 'two', gossipConnect: atOne })
  const nowhere = `tcp://127.0.0.1:${await freePort()}`
  const alice = await start(t, 'alice', { gossipConnect: [nowhere, atOne] })
  const bob = await start(t, 'bob', { gossipConnect: [atTwo, nowhere] })
  await met([one, two, alice, bob])
  t.match(alice.lyre.diagnostics().gossip?.hubs, [
    { state: /waiting|dialling/ },
    { state: 'connected' },
  ])
})

t.test('the dead are gone within their time to live, and not dialled any more', async (t) => {
  const ttl = { gossipTtlMs: 1_000 }
  const { hub, at } = await hubOf(t, ttl)
  const alice = await start(t, 'alice', { gossipConnect: at, ...ttl })
  // A node that was there, told by a client that still is: nobody answers where it was.
  const dead = `tcp://127.0.0.1:${await freePort()}`
  const link = await client(t, at)
  link.send([encodeGossip(publish(uuidOf(7), dead))])
  for (const node of [hub, alice]) {
    await eventually('it is told', () => stateOf(node, uuidOf(7)) !== undefined)
  }
  for (const node of [hub, alice]) {
    await eventually('it is gone', () => stateOf(node, uuidOf(7)) === 'gone')
  }
  const late = await start(t, 'late', { gossipConnect: at, ...ttl })
  await met([hub, alice, late])
  t.equal(stateOf(late, uuidOf(7)), undefined)
})

t.test('what a client says wrong costs it its connection, and nobody else (W9, W10)', async (t) => {
  const { hub, at } = await hubOf(t)
  const alice = await start(t, 'alice', { gossipConnect: at })
  await met([hub, alice])
  const liar = await client(t, at)
  const long = `tcp://${'a'.repeat(2_000)}:1`
  const { uuid } = alice.lyre
  const lies = [publish(uuidOf(7), long), publish('no uuid', 'tcp://1.2.3.4:5'), publish(uuid, 'x')]
  for (const lie of lies) liar.send([encodeGossip(lie)])
  await eventually('all are heard', () => hub.lyre.diagnostics().gossip?.told.noise === 3)
  liar.send([encodeGossip(publish(uuid, 'tcp://127.0.0.1:9'))])
  await eventually('it is heard', () => hub.lyre.diagnostics().gossip?.told.outdated === 1)
  liar.send([Uint8Array.of(0xaa, 0xa1, 0xff)])
  await liar.gone
  t.match(hub.lyre.diagnostics().gossip, { clients: 1, counters: { 'refused: gossip.md 2.1': 1 } })
  const bob = await start(t, 'bob', { gossipConnect: at })
  await met([hub, alice, bob])
  t.same(
    alice.story.filter((line) => line.startsWith('exit')),
    [],
  )
})

t.test('who lies about where we are is answered', async (t) => {
  const { hub, at } = await hubOf(t)
  const alice = await start(t, 'alice', { gossipConnect: at })
  await met([hub, alice])
  const liar = await client(t, at)
  await liar.receive()
  liar.send([encodeGossip(publish(hub.lyre.uuid, 'tcp://127.0.0.1:9'))])
  await eventually('it is noticed', () => hub.lyre.diagnostics().gossip?.told.impostor === 1)
  const ours = encodeGossip(publish(hub.lyre.uuid, hub.lyre.endpoint as string))
  await liar.heard.next(
    'our own tuple',
    (event) => event.type === 'message' && Buffer.from(event.frames[0] ?? []).equals(ours),
  )
})

for (const [what, message, cause] of [
  ['loses count', { type: 'ping', sequence: 77 }, 'sequence'],
  ['says GOODBYE', { type: 'goodbye', sequence: 2 }, 'goodbye'],
] as const) {
  t.test(`a peer that ${what} comes back, though nothing tells of it again (W23)`, async (t) => {
    const { hub, at } = await hubOf(t, { gossipTtlMs: 1_000 })
    const inbox = await Inbox.open(t)
    const link = await client(t, at)
    link.send([encodeGossip(publish(uuidOf(1), inbox.endpoint))])
    await inbox.links.next('a mailbox')
    const greet = async () => {
      const mailbox = await dialAs(t, hub.lyre.endpoint as string, { uuid: uuidOf(1) })
      tellHello(mailbox, { endpoint: inbox.endpoint })
      await hub.next('enter', 'mallory')
      return mailbox
    }
    const mailbox = await greet()
    mailbox.send([headerOf({ type: message.type }, message.sequence)])
    t.match(await hub.next('exit', 'mallory'), { cause })
    await inbox.links.next('a mailbox, again')
    await greet()
    t.same(hub.story, ['enter mallory', `exit mallory ${cause}`, 'enter mallory'])
  })
}

t.test('a hub whose port is taken does not start', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => void server.close())
  const port = await new Promise<number>((resolve) => {
    server.on('listening', () => resolve((server.address() as { port: number }).port))
  })
  const node = createNode(t, { beacon: false, gossipBind: `tcp://127.0.0.1:${port}` })
  await t.rejects(node.lyre.start(), { name: 'NetworkError' })
  t.equal(node.lyre.diagnostics().state, 'stopped')
})

t.test('one that stops and starts is at its new endpoint at once', async (t) => {
  const { hub, at } = await hubOf(t)
  const alice = await start(t, 'alice', { gossipConnect: at })
  await met([hub, alice])
  const before = portOf(alice.lyre.endpoint)
  await alice.lyre.stop()
  await hub.next('exit', 'alice')
  await alice.lyre.start()
  await met([hub, alice])
  t.not(portOf(alice.lyre.endpoint), before)
  await eventually('it is leased', () => stateOf(hub, alice.lyre.uuid) === 'leased')
  t.equal(hub.lyre.peer(alice.lyre.uuid)?.endpoint, alice.lyre.endpoint)
})
