/** Whole nodes on loopback: strangers say whatever they like to an inbox, and disturb nobody. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { encodeIdentity } from '../../protocol/index.ts'
import { text } from '../../src/index.ts'
import { eventually } from '../support/heard.ts'
import { dial, dialAs } from '../support/link.ts'
import {
  broadcast,
  createNode,
  createNodes,
  freePort,
  type Node,
  portOf,
} from '../support/nodes.ts'
import { tellHello, uuidOf } from '../support/stranger.ts'
import { fromHex } from '../support/vectors.ts'

const GREETING = fromHex(
  `ff0000000000000000 7f 03 01 4e554c4c${'00'.repeat(16)} 00 ${'00'.repeat(31)}`,
)
const ENDPOINT = 'tcp://127.0.0.1:9'

/** A bare connection to a node's inbox. */
async function knock(t: Test, { lyre }: Node): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: portOf(lyre.endpoint) })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.resume()
  await once(socket, 'connect')
  return socket
}

/** The two go on as if nothing had happened. */
async function undisturbed(t: Test, [alice, bob]: readonly [Node, Node]): Promise<void> {
  bob.lyre.whisper(alice.lyre.uuid, 'still here')
  t.equal(text((await alice.next('whisper')).content), 'still here')
  alice.lyre.whisper(bob.lyre.uuid, 'me too')
  t.equal(text((await bob.next('whisper')).content), 'me too')
  t.same(
    [alice.story, bob.story],
    [
      ['enter bob', 'whisper bob'],
      ['enter alice', 'whisper alice'],
    ],
  )
}

t.test('noise on the inbox ends its own connection', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  for (const noise of [
    Buffer.from('GET / HTTP/1.1\r\nHost: alice\r\n\r\n'),
    ...Array.from({ length: 20 }, () => randomBytes(500)),
  ]) {
    const socket = await knock(t, nodes[0])
    socket.write(noise)
    await once(socket, 'close')
  }
  await undisturbed(t, nodes)
})

t.test('what follows a good greeting has to be good as well', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  for (const octets of [
    fromHex('04 05 06 4e4f545244'), // Too short for its name.
    fromHex('00 03 616263'), // A message in the handshake.
    fromHex('06 0000001000000000 05'), // A command of 64 GiB.
    fromHex(
      '04 26 055245414459 0b536f636b65742d54797065 00000004 53555242 08 4964656e74697479 00000000',
    ),
    randomBytes(2_000).fill(0, 0, 1),
  ]) {
    const socket = await knock(t, nodes[0])
    socket.write(GREETING)
    socket.write(octets)
    await once(socket, 'close')
  }
  const { counters } = nodes[0].lyre.diagnostics()
  const refusals = Object.entries(counters).filter(([name]) => name.startsWith('refused'))
  t.equal(
    refusals.reduce((sum, [, count]) => sum + count, 0),
    5,
    JSON.stringify(counters),
  )
  await undisturbed(t, nodes)
})

t.test(
  'who is no ZRE node is closed: no identity, a foreign one, ours, or no ZRE message',
  async (t) => {
    const nodes = await createNodes(t, ['alice', 'bob'])
    const { endpoint, uuid } = nodes[0].lyre
    for (const identity of [new Uint8Array(0), Uint8Array.of(1, 2, 3), encodeIdentity(uuid)]) {
      const link = dial(t, endpoint as string, { socketType: 'DEALER', identity })
      await link.gone
    }
    const talker = await dialAs(t, endpoint as string, { uuid: uuidOf(2) })
    talker.send([Buffer.from('hello')])
    await talker.gone
    t.match(nodes[0].lyre.diagnostics().counters, {
      'arrival-identity': 3,
      'refused: zre.md 2.2': 1,
    })
    await undisturbed(t, nodes)
  },
)

t.test('who talks before its HELLO is ignored, and closed when it goes on', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const link = await dialAs(t, nodes[0].lyre.endpoint as string, { uuid: uuidOf(3) })
  for (let index = 0; index < 100; index++) link.tell({ type: 'whisper', content: [] })
  await link.gone
  await undisturbed(t, nodes)
})

t.test('a HELLO with a wrong sequence, no endpoint or too many groups is refused', async (t) => {
  const limits = { peerGroupsMax: 3 }
  const nodes = await createNodes(t, ['alice', 'bob'], { limits })
  const hello = {
    type: 'hello',
    endpoint: ENDPOINT,
    groups: [],
    status: 0,
    name: 'm',
    headers: {},
  } as const
  for (const [wrong, sequence] of [
    [hello, 2],
    [hello, 0],
    [{ ...hello, endpoint: 'ipc://somewhere' }, 1],
    [{ ...hello, endpoint: 'tcp://127.0.0.1:0' }, 1],
    [{ ...hello, groups: ['A', 'B', 'C', 'D'] }, 1],
  ] as const) {
    const link = await dialAs(t, nodes[0].lyre.endpoint as string, { uuid: uuidOf(4) })
    link.tell(wrong, sequence)
    await link.gone
  }
  t.equal(nodes[0].lyre.diagnostics().counters['hello-refused'], 5)
  await undisturbed(t, nodes)
})

t.test('a flood of HELLOs from strangers stays within the limits', async (t) => {
  const limits = { peersMax: 20, arrivalsMax: 10 }
  const nodes = await createNodes(t, ['alice', 'bob'], { limits })
  const { lyre } = nodes[0]
  for (let index = 0; index < 60; index++) {
    const link = await dialAs(t, lyre.endpoint as string, { uuid: uuidOf(100 + index) })
    tellHello(link, { endpoint: ENDPOINT, groups: ['CHAT'] })
  }
  // One more is sent away, or takes the place of one who could not be dialled.
  await eventually('all were judged', () => {
    const { peers, counters } = lyre.diagnostics()
    const { 'peers-limit': refused = 0, 'stranger-evicted': evicted = 0 } = counters
    return peers.length === 20 && refused + evicted === 41
  })
  t.ok(lyre.diagnostics().connections <= 2 * 20 + 10)
  t.same(lyre.peerGroups(), [], 'nobody has entered')
  await undisturbed(t, nodes)
})

t.test('the same stranger again and again is one stranger', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const link = await dialAs(t, nodes[0].lyre.endpoint as string, { uuid: uuidOf(5) })
  for (let index = 0; index < 200; index++) {
    link.tell(
      { type: 'hello', endpoint: ENDPOINT, groups: [], status: 0, name: 'm', headers: {} },
      1,
    )
  }
  await eventually('it is known', () => nodes[0].lyre.diagnostics().peers.length === 2)
  await undisturbed(t, nodes)
})

t.test('connections that say nothing are limited, and closed in time', async (t) => {
  const limits = { arrivalsMax: 5 }
  // An hour between beacons, so that nothing else wakes the node up.
  const nodes = await createNodes(t, ['alice', 'bob'], { limits, beaconIntervalMs: 60_000 })
  const quiet = await Promise.all(Array.from({ length: 5 }, () => knock(t, nodes[0])))
  const closed = quiet.map((socket) => once(socket, 'close'))
  await eventually('they are there', () => nodes[0].lyre.diagnostics().connections === 7)
  const surplus = await knock(t, nodes[0])
  await once(surplus, 'close')
  await Promise.all(closed)
  t.match(nodes[0].lyre.diagnostics().counters, {
    'handshakes-limit': 1,
    'refused: zmtp.md 4.5': 5,
  })
  await undisturbed(t, nodes)
})

t.test('noise on the beacon port is counted by kind, and told where it came from', async (t) => {
  const beaconPort = await freePort()
  const nodes = await createNodes(t, ['alice', 'bob'], { beaconPort })
  const { lyre } = nodes[0]
  for (const datagram of [new Uint8Array(0), randomBytes(22), randomBytes(1_400)]) {
    await broadcast(beaconPort, datagram)
  }
  await broadcast(beaconPort, fromHex('5a524501'))
  const beacon = () => lyre.diagnostics().beacon
  await eventually('all were heard', () => {
    const { noise = 0, otherVersion = 0 } = beacon()?.heard ?? {}
    return noise === 3 && otherVersion === 1
  })
  t.match(beacon()?.last, {
    noise: { address: '127.0.0.1', reason: 'not a ZRE beacon' },
    otherVersion: { address: '127.0.0.1', reason: 'a beacon of version 1 with 4 octets' },
    alive: { uuid: nodes[1].lyre.uuid },
  })
  t.match(beacon()?.networks, { '127.0.0.0/8': { noise: 3, otherVersion: 1 } })
  await undisturbed(t, nodes)
})

t.test(
  'an endpoint where somebody else answers, or nobody, is unreachable and no event',
  async (t) => {
    const alice = createNode(t, { name: 'alice', beaconPort: await freePort() })
    await alice.lyre.start()
    const server = createServer((socket) => socket.end('SSH-2.0-hello\r\n')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const bound = server.address()
    const port = typeof bound === 'object' ? bound?.port : 0
    for (const [index, [endpoint, reason]] of [
      [`tcp://127.0.0.1:${port}`, /this is not ZMTP/],
      [ENDPOINT, /ECONNREFUSED/],
    ].entries() as IterableIterator<[number, [string, RegExp]]>) {
      const uuid = uuidOf(10 + index)
      alice.lyre.requirePeer({ uuid, endpoint })
      const found = () => alice.lyre.diagnostics().peers.find((peer) => peer.uuid === uuid)
      await eventually('it was tried', () => found()?.unreachable !== null)
      t.match(found(), { unreachable: reason, endpoint })
    }
    t.same(alice.story, [])
  },
)
