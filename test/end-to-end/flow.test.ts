// A peer that does not read, and a sender that does not stop: what that costs the sender, and all the others.

import t, { type Test } from 'tap'
import { text } from '../../src/index.ts'
import { type Child, startChild } from '../support/child.ts'
import { createNode, createNodes, freePort } from '../support/nodes.ts'

const SCRIPT = new URL('./flow.mjs', import.meta.url)
const MIB = 2 ** 20
/** As docs/guide/guarantees.md recommends for a Raspberry Pi. */
const PI = {
  limits: {
    queueBytesMax: MIB,
    queueMessagesMax: 8_192,
    queueTotalBytesMax: 16 * MIB,
    messageBytesMax: MIB,
    unreadBytesMax: 16 * MIB,
    eventBytesMax: 4 * MIB,
  },
}
const SEND_MS = 2_500

function start(t: Test, options: object): Child {
  return startChild(t, SCRIPT, [JSON.stringify(options)])
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
    const sender = start(t, { sender: { peers: 30, bytes, waits }, beaconPort, options: PI })
    await sender.next('ready')
    stalled.kill('SIGSTOP')
    sender.send({ ms: SEND_MS })
    const { rssMax, exits, messages } = await sender.next('sent')
    t.comment(`${Math.round(rssMax / MIB)} MiB`, exits, messages)
    t.ok(rssMax < 150 * 10 ** 6, 'RSS stays below 150 MB')
    const { sent, waiting, unconfirmed, confirmed, lost, dropped } = messages
    t.equal(waiting + unconfirmed + confirmed + lost + dropped, sent, 'each message is counted')
    const counts = await sums([listeners])
    t.ok(Math.min(...counts) > 0, 'all others hear it')
    // Who waits lets nobody go but the one that does not read.
    if (waits)
      t.ok(Object.values(exits).reduce((sum: number, count) => sum + Number(count), 0) <= 1)
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
  const bob = startChild(t, new URL('./node.mjs', import.meta.url), [
    JSON.stringify({ name: 'bob', beaconPort }),
  ])
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
