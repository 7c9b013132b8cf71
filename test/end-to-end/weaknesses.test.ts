/**
 * What brings C Zyre down or astray, against whole nodes of ours on loopback: offenders are bare sockets, which are dropped or
 * ignored, and counted by reason, while alice and bob go on. W1 to W22 are the numbers of a list of such weaknesses; those
 * that are missing are of CURVE and elections; those of gossip are in gossip.test.ts and test/interop/gossip.test.ts.
 */

import dns from 'node:dns'
import { once } from 'node:events'
import { connect, isIP } from 'node:net'
import t, { type Test } from 'tap'
import { decodeZre, encodeIdentity } from '../../protocol/zre.ts'
import { createLyre, text } from '../../src/index.ts'
import { eventually } from '../support/heard.ts'
import { dialAs } from '../support/link.ts'
import { memory } from '../support/memory.ts'
import {
  createNode,
  createNodes,
  forgeBeacon,
  freePort,
  type Node,
  portOf,
} from '../support/nodes.ts'
import { concat, digest, pattern } from '../support/octets.ts'
import { enter, flood, headerOf, Inbox, serve, tellHello, uuidOf } from '../support/stranger.ts'
import { fromHex, toHex } from '../support/vectors.ts'

/** Where nobody listens. */
const NOWHERE = 'tcp://127.0.0.1:9'

/** What a node tells of a peer, except for what that peer says. */
function fate({ story }: Node, name: string): string[] {
  return story.filter((line) => line.split(' ')[1] === name && !/^(whisper|shout) /.test(line))
}

/** The two talk, both ways, and neither has ever left the other. */
async function undisturbed(t: Test, [alice, bob]: readonly [Node, Node]): Promise<void> {
  for (let round = 0; round < 3; round++) {
    t.equal(bob.lyre.whisper(alice.lyre.uuid, `still here ${round}`), 1)
    t.equal(text((await alice.next('whisper', 'bob')).content), `still here ${round}`)
    t.equal(alice.lyre.whisper(bob.lyre.uuid, `me too ${round}`), 1)
    t.equal(text((await bob.next('whisper', 'alice')).content), `me too ${round}`)
  }
  const contact = (lines: string[]) => lines.filter((line) => /^(enter|exit) /.test(line))
  t.same(
    [contact(fate(alice, 'bob')), contact(fate(bob, 'alice'))],
    [['enter bob'], ['enter alice']],
  )
}

function countersOf({ lyre }: Node): Readonly<Record<string, number>> {
  return lyre.diagnostics().counters
}

t.test('W1: a JOIN or LEAVE with a wrong status octet is counted and followed', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const [alice] = nodes
  const { mailbox, name } = await enter(t, alice, { index: 1 })
  mailbox.tell({ type: 'join', group: 'CHAT', status: 200 })
  mailbox.tell({ type: 'leave', group: 'CHAT', status: 7 })
  mailbox.tell({ type: 'leave', group: 'NEVER', status: 7 })
  mailbox.tell({ type: 'join', group: 'CHAT', status: 8 })
  await alice.next('leave', name)
  await alice.next('join', name)
  t.equal(countersOf(alice)['wrong-status'], 3)
  await undisturbed(t, nodes)
  t.same(
    fate(alice, name),
    ['enter', 'join', 'leave', 'join'].map((type) =>
      type === 'enter' ? `enter ${name}` : `${type} ${name} CHAT`,
    ),
  )
})

t.test('W2: a HELLO that ends behind its endpoint is refused', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const link = await dialAs(t, nodes[0].lyre.endpoint as string, { uuid: uuidOf(1) })
  const endpoint = Buffer.from(NOWHERE)
  link.send([concat(fromHex('aaa1 01 02 0001'), Uint8Array.of(endpoint.length), endpoint)])
  await link.gone
  t.equal(countersOf(nodes[0])['refused: zre.md 2.3'], 1)
  await undisturbed(t, nodes)
})

t.test('W2: a SHOUT cut in its group, or one octet alone, ends its sender only', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const [alice, bob] = nodes
  alice.lyre.join('CHAT')
  await bob.next('join', 'alice')
  for (const [index, header, rule] of [
    [1, 'aaa1 03 02 0002 05 4348', '2.3'],
    [2, 'aa', '2.3'],
    [3, '', '2.3'],
    [4, 'aaa2 03 02 0002 04 43484154', '2.2'],
  ] as const) {
    const before = countersOf(alice)[`refused: zre.md ${rule}`] ?? 0
    const { mailbox, name } = await enter(t, alice, { index })
    mailbox.send([fromHex(header), Buffer.from('its content')])
    t.match(await alice.next('exit', name), { cause: 'refused' })
    await mailbox.gone
    t.equal(countersOf(alice)[`refused: zre.md ${rule}`], before + 1, header)
    // In C Zyre a SHOUT that was cut swallows the next event.
    bob.lyre.shout('CHAT', ['whole', 'message'])
    t.equal(text((await alice.next('shout')).content), 'whole\nmessage')
  }
  await undisturbed(t, nodes)
})

t.test('W3: frames behind a JOIN or PING are never a message of somebody else', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const [alice, bob] = nodes
  const smuggled = [
    encodeIdentity(bob.lyre.uuid),
    headerOf({ type: 'whisper', content: [] }, 2),
    Buffer.from('I am bob'),
  ]
  for (const [index, command] of [
    { type: 'join', group: 'CHAT', status: 1 } as const,
    { type: 'ping' } as const,
    { type: 'goodbye' } as const,
  ].entries()) {
    const { mailbox, name } = await enter(t, alice, { index: index + 1 })
    mailbox.send([headerOf(command, 2), ...smuggled])
    t.match(await alice.next('exit', name), { cause: 'refused' })
    await mailbox.gone
  }
  t.equal(countersOf(alice)['refused: zre.md 2.4'], 3)
  await undisturbed(t, nodes)
  t.same(
    alice.story.filter((line) => /^(whisper|join) (?!bob)/.test(line)),
    [],
  )
})

t.test("W4: who connects in a peer's name gets nothing, and the peer stays", async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const [alice, bob] = nodes
  const { uuid } = bob.lyre
  const trap = await Inbox.open(t)
  const impostors = await Promise.all(
    Array.from({ length: 3 }, () => dialAs(t, alice.lyre.endpoint as string, { uuid })),
  )
  for (const link of impostors) {
    tellHello(link, { endpoint: trap.endpoint })
    link.tell({ type: 'whisper', content: [Buffer.from('I am bob')] })
    link.tell({ type: 'goodbye' })
  }
  alice.lyre.whisper(uuid, 'for bob alone')
  t.equal(text((await bob.next('whisper', 'alice')).content), 'for bob alone')
  await Promise.all(impostors.map(({ gone }) => gone))
  t.equal(countersOf(alice)['second-connection'], 3)
  await undisturbed(t, nodes)
  t.same(trap.links.items, [], 'nobody was dialled')
  t.same(
    alice.lyre.peers().map(({ endpoint }) => endpoint),
    [bob.lyre.endpoint],
  )
})

t.test('W5: goodbye beacons in the name of others are no exit', async (t) => {
  const beaconPort = await freePort()
  const nodes = await createNodes(t, ['alice', 'bob'], { beaconPort })
  const [alice, bob] = nodes
  const goodbye = () => forgeBeacon(beaconPort, { uuid: bob.lyre.uuid, port: 0 })
  const heard = () => alice.lyre.diagnostics().beacon?.heard.goodbye ?? 0
  const known = () => alice.lyre.diagnostics().peers[0]
  await goodbye()
  await eventually('it is counted', () => heard() === 1)
  await eventually('bob was asked', () => Number(known()?.sentSequence) > 1)
  await eventually('bob has answered', () => Number(known()?.wantSequence) > 1)
  for (let round = 2; round <= 20; round++) {
    await goodbye()
    await undisturbed(t, nodes)
  }
  await eventually('all are counted', () => heard() === 20)
  await undisturbed(t, nodes)
})

t.test("W6: a HELLO that names another's endpoint takes nothing from it", async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const [alice, bob] = nodes
  const link = await dialAs(t, alice.lyre.endpoint as string, { uuid: uuidOf(1) })
  tellHello(link, { endpoint: bob.lyre.endpoint as string })
  await eventually('it is counted', () => Number(countersOf(alice)['endpoint-taken']) >= 1)
  await undisturbed(t, nodes)
  t.same(fate(alice, 'mallory'), [])
  t.same(fate(bob, 'mallory'), [])
})

/** While a flood goes on: all of it was heard, then carol starts, enters and talks; alice and bob go on. */
async function newcomerEnters(t: Test, nodes: readonly [Node, Node], beaconPort: number) {
  const [alice] = nodes
  const heard = () => alice.lyre.diagnostics().beacon?.heard.alive ?? 0
  await eventually('the flood was heard', () => heard() > 3_000)
  await undisturbed(t, nodes)
  const carol = createNode(t, { name: 'carol', beaconPort })
  await carol.lyre.start()
  for (const node of nodes) await node.next('enter', 'carol')
  await carol.lyre.waitForPeers(2, { timeoutMs: 20_000 })
  carol.lyre.whisper(alice.lyre.uuid, 'hello')
  t.equal(text((await alice.next('whisper', 'carol')).content), 'hello')
  alice.lyre.whisper(carol.lyre.uuid, 'welcome')
  t.equal(text((await carol.next('whisper', 'alice')).content), 'welcome')
  await undisturbed(t, nodes)
  t.same([fate(alice, 'carol'), fate(carol, 'alice')], [['enter carol'], ['enter alice']])
}

t.test('W13: 3,000 forged beacons keep no newcomer out, nor anybody busy', async (t) => {
  const beaconPort = await freePort()
  const nodes = await createNodes(t, ['alice', 'bob'], { beaconPort })
  const { end } = await flood(t, beaconPort, { port: 9 })
  await newcomerEnters(t, nodes, beaconPort)
  await end()
  for (const { lyre } of nodes) {
    const { peers, connections } = lyre.diagnostics()
    t.ok(peers.length <= 1_024, `${peers.length} peers are known`)
    t.ok(connections < 100, `${connections} connections`)
  }
})

t.test('W13: HELLOs of many who cannot be reached keep no newcomer out', async (t) => {
  const beaconPort = await freePort()
  const limits = { peersMax: 100 }
  const [alice, bob] = await createNodes(t, ['alice', 'bob'], { beaconPort, limits })
  for (let index = 1; index <= 150; index++) {
    const link = await dialAs(t, alice.lyre.endpoint as string, { uuid: uuidOf(index) })
    tellHello(link, { endpoint: NOWHERE })
  }
  const carol = createNode(t, { name: 'carol', beaconPort })
  await carol.lyre.start()
  await alice.next('enter', 'carol')
  t.ok(alice.lyre.diagnostics().peers.length <= 100)
  await undisturbed(t, [alice, bob])
})

t.test('W13: forged beacons that lead to where nobody answers keep no newcomer out', async (t) => {
  const beaconPort = await freePort()
  const limits = { dialsMax: 4 }
  const nodes = await createNodes(t, ['alice', 'bob'], { beaconPort, limits })
  // Each of these takes a dial, and keeps it until its handshake is too late.
  const swamps = Array.from({ length: 24 }, (_, index) => `127.0.1.${index + 1}`)
  const port = await serve(t, () => {}, { host: swamps[0] as string })
  for (const address of swamps.slice(1)) await serve(t, () => {}, { host: address, port })
  const { end } = await flood(t, beaconPort, { from: swamps, port, count: 240 })
  await newcomerEnters(t, nodes, beaconPort)
  await end()
})

t.test('W14: an application that never reads its events delays nobody', async (t) => {
  const limits = { eventsMax: 1_000 }
  const nodes = await createNodes(t, ['alice', 'bob'], { limits })
  const [alice] = nodes
  const unread = alice.lyre.events()
  const { mailbox, inbox, name } = await enter(t, alice, { index: 1 })
  // C Zyre blocks once 2,000 events are unread: it answers no PING, and its own commands hang.
  for (let index = 0; index < 20_000; index++) mailbox.tell({ type: 'whisper', content: [] })
  mailbox.tell({ type: 'ping' })
  await inbox.heard.next(
    'the answer to a ping',
    (event) => event.type === 'message' && decodeZre(event.frames).type === 'ping-ok',
  )
  await undisturbed(t, nodes)
  t.same(fate(alice, name), [`enter ${name}`])
  await alice.lyre.stop()
  const read: string[] = []
  for await (const event of unread) {
    read.push(event.type === 'overrun' ? `${event.count} missed` : event.type)
  }
  t.equal(read.length, 1_001)
  t.match(read.at(-1), /^19\d{3} missed$/, 'and the reader is told in the end')
})

t.test('W16: a node that stops and starts beacons again and is found', async (t) => {
  const beaconPort = await freePort()
  const nodes = await createNodes(t, ['alice', 'bob'], { beaconPort })
  const carol = createNode(t, { name: 'carol', beaconPort })
  const { lyre } = carol
  for (let round = 0; round < 3; round++) {
    await lyre.start()
    for (const node of nodes) await node.next('enter', 'carol')
    await eventually('it beacons on', () => Number(lyre.diagnostics().beacon?.sent) >= 3)
    await lyre.stop()
    for (const node of nodes) t.match(await node.next('exit', 'carol'), { cause: 'goodbye' })
  }
  // Nobody beacons but carol, so that it is found by its own beacons alone.
  await lyre.start()
  const dave = createNode(t, { name: 'dave', beaconPort, beaconIntervalMs: 60_000 })
  await dave.lyre.start()
  await Promise.all([dave.next('enter', 'carol'), carol.next('enter', 'dave')])
  await undisturbed(t, nodes)
})

t.test('W18: a frame that announces terabytes is refused before it comes', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const [alice] = nodes
  const before = memory('arrayBuffers')
  const headers = ['02 0000ffffffffffff', '03 00000000 04000001', '02 ffffffffffffffff']
  for (const header of headers) {
    const link = await dialAs(t, alice.lyre.endpoint as string, { uuid: uuidOf(1) })
    link.write(fromHex(header))
    await link.gone
  }
  // Who has entered may send 64 MiB, which cost what has come of them, and no more.
  const strangers = await Promise.all([1, 2, 3].map((index) => enter(t, alice, { index })))
  for (const { mailbox } of strangers) mailbox.write(fromHex('02 0000000004000000 aaa1'))
  const { mailbox, name } = await enter(t, alice, { index: 4 })
  mailbox.write(fromHex('02 0000000004000001'))
  t.match(await alice.next('exit', name), { cause: 'refused' })
  t.equal(countersOf(alice)['refused: zmtp.md 3.3'], headers.length + 1)
  t.ok(memory('arrayBuffers') - before < 8 * 2 ** 20)
  await undisturbed(t, nodes)
})

t.test('W18: groups and headers have limits, in a HELLO and after it', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const [alice] = nodes
  const names = (count: number) => Array.from({ length: count }, (_, index) => `G${index}`)
  const rest = { endpoint: NOWHERE, status: 0, name: 'mallory' }
  const headers = Object.fromEntries(names(65).map((key) => [key, '']))
  const long = Object.fromEntries([['key', 'v'.repeat(4_097)]])
  for (const hello of [
    { ...rest, groups: names(1_025), headers: {} },
    { ...rest, groups: [], headers },
    { ...rest, groups: [], headers: long },
    { ...rest, groups: ['g'.repeat(256)], headers: {} },
  ]) {
    const link = await dialAs(t, alice.lyre.endpoint as string, { uuid: uuidOf(1) })
    link.tell({ type: 'hello', ...hello })
    await link.gone
  }
  const refusals = countersOf(alice)
  t.equal((refusals['refused: zre.md 2.6'] ?? 0) + (refusals['refused: zre.md 2.3'] ?? 0), 4)
  const { mailbox, name } = await enter(t, alice, { index: 2 })
  for (const [index, group] of names(1_025).entries()) {
    mailbox.tell({ type: 'join', group, status: (index + 1) & 0xff })
  }
  t.match(await alice.next('exit', name), { cause: 'refused' })
  t.equal(countersOf(alice)['peer-groups-limit'], 1)
  t.same(alice.lyre.peerGroups(), [])
  await undisturbed(t, nodes)
})

t.test('W18: groups that everybody has left leave nothing behind', async (t) => {
  // A node that nobody listens to, so that all memory is its own.
  const lyre = createLyre({ interface: '127.0.0.1', beaconPort: await freePort() })
  t.teardown(() => lyre.stop({ lingerMs: 0 }))
  await lyre.start()
  const { mailbox, uuid } = await enter(t, { lyre }, { index: 1 })
  let leftCount = 0
  lyre.on('leave', () => void leftCount++)
  const round = async (count: number) => {
    const from = leftCount
    for (let index = from; index < from + count; index++) {
      const group = `${'g'.repeat(200)}${index}`
      mailbox.tell({ type: 'join', group, status: (2 * index + 1) & 0xff })
      mailbox.tell({ type: 'leave', group, status: (2 * index + 2) & 0xff })
    }
    await eventually('all were left', () => leftCount === from + count)
  }
  await round(2_048)
  const before = memory('heapUsed')
  for (let burst = 0; burst < 10; burst++) await round(2_048)
  const grown = memory('heapUsed') - before
  t.ok(grown < 2 * 2 ** 20, `${grown} octets for 20,480 groups`)
  t.same(lyre.peerGroups(), [])
  t.same(lyre.peer(uuid)?.groups, [])
})

t.test('W19: what a peer gets that does not read is whole messages, in order', async (t) => {
  const limits = { queueBytesMax: 2 ** 20 }
  const nodes = await createNodes(t, ['alice', 'bob'], { limits })
  const [alice] = nodes
  const { uuid, name, inbox, inboxSocket } = await enter(t, alice, { index: 1 })
  inboxSocket.pause()
  const body = pattern(40_000)
  let sentCount = 0
  while (alice.lyre.whisper(uuid, [String(sentCount), body, 'end']) === 1) {
    // Some at a time, so that the socket and the queue behind it are full when it is too much.
    if (++sentCount % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
    if (sentCount % 100 === 0) await undisturbed(t, nodes)
  }
  t.match(await alice.next('exit', name), { cause: 'limit' })
  t.equal(countersOf(alice)['mailbox-overflow'], 1)
  inboxSocket.resume()
  await inbox.gone
  let count = 0
  for (const event of inbox.heard.items) {
    if (event.type !== 'message') continue
    const message = decodeZre(event.frames)
    if (message.type !== 'whisper') continue
    const [index, whole, end] = message.content as [Uint8Array, Uint8Array, Uint8Array]
    const wanted = [String(count++), digest(body), 'end']
    if (message.content.length !== 3) t.fail(`${message.content.length} frames`)
    const [first, last] = [text(index), text(end)]
    if (String([first, digest(whole), last]) !== String(wanted)) t.fail(`message ${first}`)
  }
  t.ok(count > 0 && count < sentCount, `${count} of ${sentCount} arrived`)
  await undisturbed(t, nodes)
})

t.test('W20: a HELLO whose endpoint is no address of TCP is refused', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const wrong = [
    'ipc:///tmp/socket',
    'inproc://node',
    'udp://127.0.0.1:9',
    'tcp://127.0.0.1:*',
    'tcp://127.0.0.1:0',
    'tcp://127.0.0.1:65536',
    'tcp://127.0.0.1:9;127.0.0.1:10',
    '',
  ]
  for (const endpoint of wrong) {
    const link = await dialAs(t, nodes[0].lyre.endpoint as string, { uuid: uuidOf(1) })
    tellHello(link, { endpoint })
    await link.gone
  }
  t.equal(countersOf(nodes[0])['hello-refused'], wrong.length)
  await undisturbed(t, nodes)
})

t.test('W20: the name of a host in a HELLO is looked up by nobody', async (t) => {
  const lookups = t.capture(dns, 'lookup', dns.lookup)
  const nodes = await createNodes(t, ['alice', 'bob'])
  const [alice] = nodes
  for (const [index, host] of ['lyre.invalid', '*', 'localhost', '127.1', '0.0.0.0'].entries()) {
    const inbox = await Inbox.open(t)
    const uuid = uuidOf(index + 1)
    const link = await dialAs(t, alice.lyre.endpoint as string, { uuid })
    const name = `mallory${index}`
    tellHello(link, { endpoint: `tcp://${host}:${portOf(inbox.endpoint)}`, name })
    // The address is the one that its connection came from.
    t.match(await alice.next('enter', name), { peer: { endpoint: inbox.endpoint } })
  }
  const names = lookups().map(({ args }) => args[0])
  t.same(
    names.filter((name) => isIP(name) === 0),
    [],
  )
  await undisturbed(t, nodes)
})

t.test('W20: whoever a HELLO points at hears no word of ours but who we are', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const [alice] = nodes
  const heard: Buffer[] = []
  let dialCount = 0
  const port = await serve(t, (socket) => {
    dialCount++
    socket.on('data', (bytes) => void heard.push(bytes))
  })
  const link = await dialAs(t, alice.lyre.endpoint as string, { uuid: uuidOf(1) })
  tellHello(link, { endpoint: `tcp://127.0.0.1:${port}` })
  await eventually('it was dialled', () => Buffer.concat(heard).length >= 64)
  link.tell({ type: 'join', group: 'CHAT', status: 1 })
  t.equal(alice.lyre.whisper(uuidOf(1), 'secret'), 0)
  await undisturbed(t, nodes)
  t.equal(Buffer.concat(heard).length, 64 * dialCount, 'a greeting each time, and nothing else')
  t.same(fate(alice, 'mallory'), [])
})

t.test(
  'W21: one of many peers that goes quiet is evasive in time, whatever the load',
  async (t) => {
    const timeouts = { evasiveTimeoutMs: 1_000, silentTimeoutMs: 1_500, expiredTimeoutMs: 60_000 }
    const nodes = await createNodes(t, ['alice', 'bob'], timeouts)
    const [alice] = nodes
    const indexes = Array.from({ length: 30 }, (_, index) => index + 1)
    const talkers = await Promise.all(indexes.map((index) => enter(t, alice, { index })))
    const quiet = await enter(t, alice, { index: 99 })
    let slowestMs = 0
    let [over, sentCount] = [false, 0]
    // The event loop always has something to do, so that who waits for an idle moment waits for ever.
    const loading = (async () => {
      for (let from = performance.now(); !over; ) {
        for (const { mailbox } of talkers) {
          for (let index = 0; index < 20; index++) mailbox.tell({ type: 'whisper', content: [] })
        }
        sentCount += 20 * talkers.length
        await new Promise((resolve) => setImmediate(resolve))
        slowestMs = Math.max(slowestMs, performance.now() - from)
        from = performance.now()
      }
    })()
    const quietMs: number[] = []
    alice.lyre.on('evasive', ({ peer }) => {
      const { peers } = alice.lyre.diagnostics()
      if (peer.name !== quiet.name) return
      quietMs.push(...peers.filter(({ uuid }) => uuid === quiet.uuid).map((it) => it.heardMsAgo))
    })
    await alice.next('evasive', quiet.name)
    await alice.next('silent', quiet.name)
    over = true
    await loading
    // A sweep later at most; and the slowest turn of this process may stand before it, whoever else made it slow.
    const [ms = Number.POSITIVE_INFINITY] = quietMs
    const lateMs = ms - timeouts.evasiveTimeoutMs
    t.ok(lateMs >= 0 && lateMs <= 1_000 + 2 * slowestMs, `${lateMs} ms late, turn ${slowestMs} ms`)
    t.comment(`${sentCount} messages; ${lateMs} ms late`)
    t.same(
      alice.story.filter((line) => line.startsWith('exit')),
      [],
    )
  },
)

/** A bare connection to an inbox, up to its READY: what comes from here on are frames, given as hex each. */
async function greeted(t: Test, { lyre }: Node) {
  const socket = connect({ host: '127.0.0.1', port: portOf(lyre.endpoint) })
  t.teardown(() => socket.destroy())
  let octets: Uint8Array = new Uint8Array(0)
  socket.on('data', (bytes) => {
    octets = Buffer.concat([octets, bytes])
  })
  socket.on('error', () => {})
  const gone = once(socket, 'close')
  socket.write(
    fromHex(`ff0000000000000000 7f 03 01 4e554c4c${'00'.repeat(16)} 00 ${'00'.repeat(31)}`),
  )
  const [type, identity] = [Buffer.from('DEALER'), encodeIdentity(uuidOf(1))]
  const ready = concat(
    fromHex('05 5245414459 0b 536f636b65742d54797065 00000006'),
    type,
    fromHex('08 4964656e74697479 00000011'),
    identity,
  )
  socket.write(concat(Uint8Array.of(4, ready.length), ready))
  const frames = () => framesOf(octets.subarray(64))
  await eventually('its READY', () => frames().length === 1)
  return { socket, gone, frames: () => frames().slice(1) }
}

/** Whole frames of less than 256 octets. */
function framesOf(octets: Uint8Array): string[] {
  const frames: string[] = []
  for (let start = 0; start + 1 < octets.length; ) {
    const end = start + 2 + (octets[start + 1] as number)
    if (end > octets.length) break
    frames.push(toHex(octets.subarray(start, end)))
    start = end
  }
  return frames
}

/** A PING of ZMTP with a TTL of 0, unless it is told otherwise. */
function pingOf(context: Uint8Array, ttl: Uint8Array = Uint8Array.of(0, 0)): Uint8Array {
  const body = concat(fromHex('04 50494e47'), ttl, context)
  const size = body.length
  return concat(
    size > 255
      ? fromHex(`06 000000000000 ${size.toString(16).padStart(4, '0')}`)
      : Uint8Array.of(4, size),
    body,
  )
}

t.test('W22: a PONG has nothing that was not in the PING', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const { socket, frames } = await greeted(t, nodes[0])
  const wanted: string[] = []
  for (const size of [0, 1, 2, 15, 16, 17, 100, 255, 1_000, 0]) {
    const context = pattern(size).map((octet) => octet ^ 0xa5)
    socket.write(pingOf(context))
    const pong = concat(fromHex('04 504f4e47'), context.subarray(0, 16))
    wanted.push(toHex(concat(Uint8Array.of(4, pong.length), pong)))
    await eventually('its PONG', () => frames().length === wanted.length)
  }
  t.same(frames(), wanted)
  await undisturbed(t, nodes)
})

t.test('W22: a PING without a whole TTL gets no PONG, and ends its connection', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  for (const ttl of ['', '00', '01']) {
    const { socket, gone, frames } = await greeted(t, nodes[0])
    socket.write(pingOf(new Uint8Array(0), fromHex(ttl)))
    await gone
    t.notMatch(String(frames()), '504f4e47')
  }
  t.equal(countersOf(nodes[0])['refused: zmtp.md 5.2'], 3)
  await undisturbed(t, nodes)
})
