/** Whole nodes on loopback: starting, waiting, stopping, and what is left when it is over. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import t from 'tap'
import { createLyre, NetworkError, TimeoutError, UsageError } from '../../src/index.ts'
import { startChild } from '../support/child.ts'
import { createNode, createNodes, freePort, portOf } from '../support/nodes.ts'

const SCRIPT = new URL('./node.mjs', import.meta.url)

t.test('start and stop can be asked for twice, and at the same time', async (t) => {
  const node = createNode(t, { beaconPort: await freePort() })
  const { lyre } = node
  await lyre.stop()
  t.equal(lyre.endpoint, undefined)
  await Promise.all([lyre.start(), lyre.start()])
  await lyre.start()
  t.match(lyre.endpoint, /^tcp:\/\/127\.0\.0\.1:\d+$/)
  await Promise.all([lyre.stop(), lyre.stop(), lyre.start()])
  t.equal(lyre.diagnostics().state, 'started')
  const starting = lyre.start()
  await lyre.stop()
  await starting
  t.equal(lyre.diagnostics().state, 'stopped')
  t.equal(lyre.endpoint, undefined)
  t.same(node.story, ['stop', 'stop'])
})

t.test('a node stops at the end of its block', async (t) => {
  const beaconPort = await freePort()
  const { lyre: witness } = createNode(t, { beaconPort })
  await witness.start()
  {
    await using lyre = createLyre({ interface: '127.0.0.1', beaconPort })
    await lyre.start()
    await lyre.waitForPeers(1, { timeoutMs: 20_000 })
    await witness.waitForPeers(1, { timeoutMs: 20_000 })
  }
  t.same(witness.peers(), [])
})

t.test('an aborted start leaves a stopped node', async (t) => {
  const node = createNode(t, { beaconPort: await freePort() })
  const { lyre } = node
  await t.rejects(lyre.start({ signal: AbortSignal.abort(new Error('too late')) }), {
    message: 'too late',
  })
  const controller = new AbortController()
  const starting = lyre.start({ signal: controller.signal })
  controller.abort(new Error('never mind'))
  await t.rejects(starting, { message: 'never mind' })
  t.equal(lyre.diagnostics().state, 'stopped')
  t.same(node.story, ['stop'])
  await lyre.start()
  t.equal(lyre.diagnostics().state, 'started')
})

t.test('a start that fails leaves nothing behind, and can be tried again', async (t) => {
  const beaconPort = await freePort()
  const taken = createSocket('udp4').bind(beaconPort, '0.0.0.0')
  await once(taken, 'listening')
  const { lyre, heard } = createNode(t, { beaconPort })
  const error = await lyre.start().catch((reason: unknown) => reason)
  t.type(error, NetworkError)
  t.match(error, {
    message: new RegExp(`cannot open UDP port ${beaconPort}`),
    cause: { code: 'EADDRINUSE' },
  })
  t.match(lyre.diagnostics(), { state: 'stopped', endpoint: null, connections: 0 })
  taken.close()
  await once(taken, 'close')
  await lyre.start()
  t.equal(lyre.diagnostics().state, 'started')
  t.same(heard.items, [])
})

t.test('a taken mailbox port is a NetworkError, and a range goes on to the next', async (t) => {
  const beaconPort = await freePort()
  const { lyre: first } = createNode(t, { beaconPort })
  await first.start()
  const from = portOf(first.endpoint)
  const { lyre: second } = createNode(t, { beaconPort, mailboxPort: from })
  await t.rejects(second.start(), { name: 'NetworkError', cause: { code: 'EADDRINUSE' } })
  const { lyre: third } = createNode(t, {
    beaconPort,
    mailboxPort: { from, to: Math.min(from + 50, 65_535) },
  })
  await third.start()
  t.ok(portOf(third.endpoint) > from)
})

t.test('an interface that is not there is named, with those that are', async (t) => {
  const lyre = createLyre({ interface: 'nowhere7' })
  const error = await lyre.start().catch((reason: unknown) => reason)
  t.type(error, UsageError)
  t.match(error, {
    message: /no interface to use with the name or address nowhere7; there are .*127\.0\.0\.1/,
  })
})

t.test('who waits for peers is told how many there were', async (t) => {
  const { lyre } = createNode(t, { beaconPort: await freePort() })
  await lyre.start()
  const error = await lyre
    .waitForPeers(2, { timeoutMs: 20, group: 'CHAT' })
    .catch((reason) => reason)
  t.type(error, TimeoutError)
  t.match(error.message, /^0 of 2 peers were there in group CHAT after 20 ms; diagnostics\(\)/)
  const controller = new AbortController()
  const waiting = lyre.waitForPeers(1, { signal: controller.signal })
  controller.abort(new Error('enough'))
  await t.rejects(waiting, { message: 'enough' })
  const forgotten = lyre.waitForPeers(1)
  const told = t.rejects(forgotten, { name: 'TimeoutError', message: /stopped/ })
  await lyre.stop()
  await told
  t.same(await lyre.waitForPeers(0), [])
})

t.test('peers are waited for by group as well', async (t) => {
  const [alice, bob] = await createNodes(t, ['alice', 'bob'])
  const waiting = alice.lyre.waitForPeers(1, { group: 'CHAT', timeoutMs: 20_000 })
  bob.lyre.join('CHAT')
  t.match(await waiting, [{ name: 'bob', groups: ['CHAT'] }])
})

t.test('a loop over events ends with the node, or with its signal', async (t) => {
  const [alice, bob] = await createNodes(t, ['alice', 'bob'])
  const controller = new AbortController()
  const types: string[] = []
  const all = (async () => {
    for await (const event of alice.lyre.events()) types.push(event.type)
  })()
  const some = (async () => {
    for await (const event of alice.lyre.events({ signal: controller.signal })) return event.type
    return 'nothing'
  })()
  controller.abort()
  t.equal(await some, 'nothing')
  for await (const event of alice.lyre.events({ signal: controller.signal })) t.fail(event.type)
  bob.lyre.whisper(alice.lyre.uuid, 'hello')
  await alice.next('whisper')
  await alice.lyre.stop()
  await all
  t.same(types, ['whisper', 'exit', 'stop'])
})

t.test('a loop that is slow is told how much it missed, and nobody waits for it', async (t) => {
  const limits = { eventsMax: 5 }
  const [alice, bob] = await createNodes(t, ['alice', 'bob'], { limits })
  const events = alice.lyre.events()
  for (let index = 0; index < 20; index++) bob.lyre.whisper(alice.lyre.uuid, String(index))
  for (let index = 0; index < 20; index++) await alice.next('whisper')
  await alice.lyre.stop()
  const types: string[] = []
  for await (const event of events)
    types.push(event.type === 'overrun' ? `overrun ${event.count}` : event.type)
  t.same(types, [...Array(5).fill('whisper'), 'overrun 17'])
})

t.test('diagnostics are plain JSON', async (t) => {
  const [alice, bob] = await createNodes(t, ['alice', 'bob'])
  for (const lyre of [alice.lyre, bob.lyre, createLyre()]) {
    const found = lyre.diagnostics()
    t.same(JSON.parse(JSON.stringify(found)), found)
  }
  t.match(alice.lyre.diagnostics(), {
    uuid: alice.lyre.uuid,
    name: 'alice',
    state: 'started',
    interface: { chosen: [{ address: '127.0.0.1', beaconsTo: '127.255.255.255' }] },
    peers: [{ name: 'bob', unreachable: null }],
    connections: 2,
  })
})

t.test('nothing keeps a process alive after stop()', async (t) => {
  const beaconPort = await freePort()
  const { lyre } = createNode(t, { name: 'alice', beaconPort })
  await lyre.start()
  const child = startChild(t, SCRIPT, [JSON.stringify({ name: 'bob', beaconPort })])
  await child.next('enter', { name: 'alice' })
  child.send({ call: 'stop' })
  await child.next('stop')
  t.equal(await child.exited, 0, 'it ended by itself')
  t.equal(child.errors, '')
})

t.test('what a handler throws surfaces, and the next event comes', async (t) => {
  const beaconPort = await freePort()
  const { lyre } = createNode(t, { name: 'alice', beaconPort })
  await lyre.start()
  const child = startChild(t, SCRIPT, [
    JSON.stringify({ name: 'bob', beaconPort, throws: 'whisper' }),
  ])
  const { uuid } = await child.next('start')
  await lyre.waitForPeers(1, { timeoutMs: 20_000 })
  lyre.whisper(uuid, 'one')
  lyre.whisper(uuid, 'two')
  const lines = []
  for (let count = 0; count < 4; count++) {
    lines.push(
      await child.heard.next('a line', ({ event }) => event === 'whisper' || event === 'uncaught'),
    )
  }
  t.match(lines.map(({ event, content, message }) => content ?? `${event}: ${message}`).sort(), [
    ['one'],
    ['two'],
    'uncaught: a handler threw',
    'uncaught: a handler threw',
  ])
  t.equal(lines[0].event, 'whisper', 'it surfaces when the event is done with')
  child.send({ call: 'stop' })
  t.equal(await child.exited, 0)
})
