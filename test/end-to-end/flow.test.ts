// A peer that does not read, and a sender that does not stop: what that costs the sender, and all the others.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type LyreOptions, text } from '../../src/index.ts'
import { type Child, startChild } from '../support/child.ts'
import { eventually } from '../support/heard.ts'
import { createNode, createNodes, freePort, type Node } from '../support/nodes.ts'

const SCRIPT = new URL('./flow.mjs', import.meta.url)
const NODE = new URL('./node.mjs', import.meta.url)
const MIB = 2 ** 20
/** As docs/guide/guarantees.md recommends for a Raspberry Pi, and the option of Node.js. */
const PI = {
  limits: {
    queueBytesMax: MIB,
    queueMessagesMax: 8_192,
    queueTotalBytesMax: 16 * MIB,
    messageBytesMax: MIB,
    peersMax: 128,
    arrivalsMax: 128,
    unreadBytesMax: 16 * MIB,
    eventBytesMax: 4 * MIB,
  },
}
const PI_ARGS = ['--max-semi-space-size=2']
const SEND_MS = 2_500

function start(t: Test, options: object, nodeArgs: readonly string[] = []): Child {
  return startChild(t, SCRIPT, [JSON.stringify(options)], nodeArgs)
}

async function sums(children: readonly Child[]): Promise<number[]> {
  for (const child of children) child.send({})
  const lines = await Promise.all(children.map((child) => child.next('heard')))
  return lines.flatMap(({ counts }) => counts)
}

for (const [bytes, waits] of [
  [1_024, false],
  [1_024, true],
  [65_536, false],
] as const) {
  const how = waits ? 'that waits' : 'that never waits'
  t.test(`30 peers, one stalled, shouts of ${bytes} octets, a sender ${how}`, async (t) => {
    const beaconPort = await freePort()
    const listeners = start(t, { listeners: 29, beaconPort })
    const stalled = start(t, { listeners: 1, beaconPort })
    await Promise.all([listeners.next('started'), stalled.next('started')])
    const sending = { sender: { peers: 30, bytes, waits }, beaconPort, options: PI }
    const sender = start(t, sending, PI_ARGS)
    await sender.next('ready')
    stalled.kill('SIGSTOP')
    // Who never waits goes on until the one that does not read has gone, as long as that takes on a busy machine.
    sender.send({ ms: SEND_MS, ...(!waits && { until: 'limit' }) })
    const { rssMax, exits, messages } = await sender.next('sent')
    t.comment(`${Math.round(rssMax / MIB)} MiB`, exits, messages)
    t.ok(rssMax < 150 * 10 ** 6, 'RSS stays below 150 MB')
    const { sent, waiting, unconfirmed, confirmed, lost, dropped } = messages
    t.equal(waiting + unconfirmed + confirmed + lost + dropped, sent, 'each message is counted')
    const counts = await sums([listeners])
    t.ok(Math.min(...counts) > 0, 'all others hear it')
    // Who waits lets nobody go but the one that does not read.
    const exitCount = Object.values(exits).reduce((sum: number, count) => sum + Number(count), 0)
    if (waits) t.ok(exitCount <= 1)
    else t.ok(exits.limit >= 1, 'the one that does not read has gone')
    stalled.kill('SIGCONT')
    const before = (await sums([stalled]))[0] as number
    let now = before
    for (let round = 0; round < 100 && now === before; round++) {
      sender.send({ ms: 100 })
      await sender.next('sent')
      now = (await sums([stalled]))[0] as number
    }
    t.ok(now > before, 'and it hears again once it goes on')
    for (const child of [sender, listeners, stalled]) child.end()
    for (const child of [sender, listeners, stalled]) {
      t.equal(await child.exited, 0)
      t.equal(child.errors, '')
    }
  })
}

t.test('100,000 whispers in one turn go through, and so do 32 MiB', async (t) => {
  const [alice, bob] = await createNodes(t, ['alice', 'bob'])
  let heard = 0
  let bytes = 0
  const done = new Promise<void>((resolve) => {
    bob.lyre.on('whisper', ({ content }) => {
      heard++
      bytes += content[0]?.length ?? 0
      if (text(content) === 'end') resolve()
    })
  })
  for (let count = 0; count < 100_000; count++) {
    if (alice.lyre.whisper(bob.lyre.uuid, `number ${count}`) !== 1) t.fail()
  }
  await alice.lyre.drained()
  const portion = new Uint8Array(2 ** 15)
  for (let count = 0; count < 1_024; count++) {
    if (alice.lyre.whisper(bob.lyre.uuid, portion) !== 1) t.fail()
  }
  t.ok(alice.lyre.congested({ peer: bob.lyre.uuid }))
  alice.lyre.whisper(bob.lyre.uuid, 'end')
  await done
  t.equal(heard, 101_025)
  t.ok(bytes > 2 ** 25)
  t.notOk(alice.lyre.congested())
  t.same(alice.story, ['enter bob'])
})

t.test('a group with a policy keeps a peer that does not read', async (t) => {
  const beaconPort = await freePort()
  const alice = createNode(t, {
    name: 'alice',
    beaconPort,
    overflow: { NEWS: 'drop-newest', STATE: 'drop-oldest' },
    limits: { queueBytesMax: MIB },
  })
  await alice.lyre.start()
  const bob = startChild(t, NODE, [JSON.stringify({ name: 'bob', beaconPort })])
  const { uuid } = await bob.next('start')
  bob.send({ call: 'join', args: ['NEWS'] })
  bob.send({ call: 'join', args: ['STATE'] })
  await alice.next('join', 'bob')
  await alice.next('join', 'bob')
  bob.kill('SIGSTOP')
  const filler = new Uint8Array(2 ** 14)
  // Past what the two operating systems take, and the half of the mailbox.
  for (let count = 0; count < 2_000; count++) {
    alice.lyre.shout('NEWS', filler)
    if (count % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  const { dropped } = alice.lyre.diagnostics().messages
  t.ok(dropped > 0, `${dropped} were left out`)
  t.equal(alice.lyre.shout('NEWS', 'late'), 0, 'the newest is')
  t.equal(alice.lyre.whisper(uuid, 'there is room for others'), 1)
  t.same(
    alice.story.filter((line) => line.startsWith('exit')),
    [],
  )
  bob.kill('SIGCONT')
  t.same((await bob.next('whisper')).content, ['there is room for others'])
  const messages = () => alice.lyre.diagnostics().messages
  while (messages().waiting + messages().unconfirmed > 0) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  t.match(messages(), { lost: 0, sent: messages().confirmed + messages().dropped })
})

/** Alice here, and nodes of these names in processes of their own, which are in group FLOW. */
async function aliceAnd(
  t: Test,
  names: readonly string[],
  options: LyreOptions,
): Promise<{ readonly alice: Node; readonly others: readonly Child[] }> {
  const beaconPort = await freePort()
  const alice = createNode(t, { name: 'alice', beaconPort, ...options })
  await alice.lyre.start()
  const others = names.map((name) => startChild(t, NODE, [JSON.stringify({ name, beaconPort })]))
  for (const other of others) {
    await other.next('start')
    other.send({ call: 'join', args: ['FLOW'] })
  }
  await alice.lyre.waitForPeers(names.length, { group: 'FLOW', timeoutMs: 20_000 })
  return { alice, others }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

t.test(
  'with drop-oldest a peer that slept hears what came last, and misses the middle',
  async (t) => {
    const { alice, others } = await aliceAnd(t, ['bob'], {
      overflow: { FLOW: 'drop-oldest' },
      limits: { queueBytesMax: MIB },
    })
    const [bob] = others as [Child]
    bob.kill('SIGSTOP')
    const filler = new Uint8Array(2 ** 14)
    const last = 1_999
    for (let count = 0; count <= last; count++) {
      if (alice.lyre.shout('FLOW', [String(count), filler]) !== 1) t.fail()
      if (count % 50 === 0) await turn()
    }
    const { dropped } = alice.lyre.diagnostics().messages
    t.ok(dropped > 0, `${dropped} were left out`)
    alice.lyre.whisper(alice.lyre.peers()[0] ?? '', 'all')
    bob.kill('SIGCONT')
    await bob.next('whisper')
    const heard = bob.heard.items
      .filter(({ event }) => event === 'shout')
      .map(({ content }) => Number(content[0]))
    t.same(
      heard,
      heard.toSorted((one, other) => one - other),
      'in order',
    )
    t.equal(heard[0], 0)
    t.equal(heard.at(-1), last)
    t.equal(heard.length, last + 1 - dropped, 'each is heard, or counted as left out')
    t.notOk(alice.story.some((line) => line.startsWith('exit')))
  },
)

t.test('drained() waits for one that stops until it is evasive, and no longer', async (t) => {
  const { alice, others } = await aliceAnd(t, ['bob', 'carol'], {
    evasiveTimeoutMs: 2_000,
    silentTimeoutMs: 10_000,
  })
  const { lyre } = alice
  const [bob, carol] = ['bob', 'carol'].map((name) => lyre.peersByName(name)[0]?.uuid ?? '')
  others[1]?.kill('SIGSTOP')
  // In one turn, so that no deadline passes: more than two operating systems take, and less than the limit.
  for (let count = 0; count < 24; count++) lyre.whisper(carol ?? '', new Uint8Array(MIB))
  t.ok(lyre.congested({ peer: carol ?? '' }))
  await lyre.drained({ peer: bob ?? '' })
  t.ok(lyre.congested() && lyre.congested({ group: 'FLOW' }))
  t.notOk(lyre.congested({ group: 'OTHER' }))
  await t.rejects(lyre.drained({ group: 'FLOW', timeoutMs: 1 }), { name: 'TimeoutError' })
  const abort = new AbortController()
  const aborted = lyre.drained({ signal: abort.signal })
  abort.abort(new Error('enough'))
  await t.rejects(aborted, { message: 'enough' })
  t.notOk(alice.story.includes('evasive carol'))
  await lyre.drained({ group: 'FLOW' })
  t.equal(alice.story.at(-1), 'evasive carol')
  t.equal(lyre.shout('FLOW', 'still to both'), 2)
  await others[0]?.heard.next('it', ({ content: [first] = [] }) => first === 'still to both')
})

t.test('a stop ends the wait for a peer that does not read', async (t) => {
  const { alice, others } = await aliceAnd(t, ['bob'], {})
  others[0]?.kill('SIGSTOP')
  while (!alice.lyre.congested()) alice.lyre.shout('FLOW', new Uint8Array(2 ** 16))
  const drained = alice.lyre.drained()
  await alice.lyre.stop({ lingerMs: 0 })
  await drained
  t.notOk(alice.lyre.congested())
})

t.test('several that do not read share one limit, and cost the others nothing', async (t) => {
  const queueTotalBytesMax = 4 * MIB
  const { alice, others } = await aliceAnd(t, ['bob', 'carol', 'dave', 'erin'], {
    limits: { queueBytesMax: 3 * MIB, queueTotalBytesMax },
  })
  const { lyre } = alice
  const [, ...sleepers] = others
  for (const sleeper of sleepers) sleeper.kill('SIGSTOP')
  const uuids = lyre.peers().map(({ uuid }) => uuid)
  const bob = lyre.peersByName('bob')[0]?.uuid ?? ''
  const exits = () => alice.heard.items.filter(({ type }) => type === 'exit')
  let most = 0
  let toBob = 0
  while (exits().length < 3) {
    // Each gets its own octets: those of a shout would count once.
    for (const uuid of uuids) {
      const queued = lyre.whisper(uuid, ['.', new Uint8Array(2 ** 14)])
      if (uuid === bob) toBob += queued
    }
    most = Math.max(most, lyre.diagnostics().messages.waitingBytes)
    await lyre.drained({ peer: bob })
    await turn()
  }
  t.ok(most <= queueTotalBytesMax, `${most} octets waited at most`)
  for (const exit of exits()) t.match(exit, { cause: 'limit' })
  lyre.whisper(bob, 'end')
  await others[0]?.heard.next('the end', ({ content: [first] = [] }) => first === 'end')
  const heard = others[0]?.heard.items.filter(({ event }) => event === 'whisper').length
  t.equal(heard, toBob + 1, 'bob hears all')
  for (const sleeper of sleepers) sleeper.kill('SIGCONT')
  await lyre.waitForPeers(4, { timeoutMs: 20_000 })
})

t.test('an application that blocks or does not read its events delays nobody else', async (t) => {
  const beaconPort = await freePort()
  const blocksUntil = join(t.testdir(), 'go')
  const well = start(t, { listeners: 1, beaconPort })
  const unread = start(t, { listeners: 1, unread: true, beaconPort, options: PI })
  const blocked = start(t, { listeners: 1, blocksUntil, beaconPort })
  await Promise.all([well, unread, blocked].map((child) => child.next('started')))
  const alice = createNode(t, { name: 'alice', beaconPort })
  await alice.lyre.start()
  await alice.lyre.waitForPeers(3, { group: 'FLOW', timeoutMs: 20_000 })
  const count = 3_000
  for (let index = 0; index < count; index++) alice.lyre.shout('FLOW', new Uint8Array(1_000))
  const heardAll = (child: Child) => async () => (await sums([child]))[0] === count
  await eventually('who is well hears all', heardAll(well))
  await eventually('who does not read its events, too', heardAll(unread))
  t.same(blocked.heard.items.length, 1, 'while the third one still blocks')
  writeFileSync(blocksUntil, '')
  await eventually('which then hears all, late', heardAll(blocked))
  t.notOk(alice.story.some((line) => line.startsWith('exit')))
})
