/** Whole nodes in processes of their own, on loopback: one is killed, one sleeps, and the others notice in time. */

import t, { type Test } from 'tap'
import type { LyreOptions } from '../../src/index.ts'
import { type Child, startChild } from '../support/child.ts'
import { eventually } from '../support/heard.ts'
import { createNode, forgeBeacon, freePort, type Node } from '../support/nodes.ts'

const SCRIPT = new URL('./node.mjs', import.meta.url)
const QUICK = { evasiveTimeoutMs: 1_000, silentTimeoutMs: 1_500, expiredTimeoutMs: 3_000 }

/** Alice here, with these options, and Bob in a process of his own; they have entered each other. */
async function aliceAndBob(
  t: Test,
  options: LyreOptions = {},
): Promise<{
  readonly alice: Node
  readonly bob: Child
  readonly uuid: string
  readonly beaconPort: number
}> {
  const beaconPort = await freePort()
  const alice = createNode(t, { name: 'alice', beaconPort, ...options })
  const bob = startChild(t, SCRIPT, [JSON.stringify({ name: 'bob', beaconPort })])
  const { uuid } = await bob.next('start')
  await alice.lyre.start()
  await Promise.all([alice.next('enter', 'bob'), bob.next('enter', { name: 'alice' })])
  return { alice, bob, uuid, beaconPort }
}

t.test('a process that is killed is an exit at once, since its links close', async (t) => {
  const { alice, bob } = await aliceAndBob(t)
  bob.kill('SIGKILL')
  t.match(await alice.next('exit', 'bob'), { cause: 'link' })
  t.equal(await bob.exited, 'SIGKILL')
  t.same(alice.story, ['enter bob', 'exit bob link'])
})

t.test(
  'a process that sleeps is evasive, silent and expired in turn, and enters when it wakes up',
  async (t) => {
    const { alice, bob } = await aliceAndBob(t, QUICK)
    const at = new Map<string, number>()
    for (const type of ['evasive', 'silent', 'exit'] as const) {
      alice.lyre.on(type, () => at.set(type, performance.now()))
    }
    const stoppedAt = performance.now()
    bob.kill('SIGSTOP')
    t.match(await alice.next('evasive', 'bob'), { peer: { state: 'evasive' } })
    t.match(await alice.next('silent', 'bob'), { peer: { state: 'silent' } })
    t.match(await alice.next('exit', 'bob'), { cause: 'expired' })
    // Lower bounds only: how late a busy machine is says nothing about us.
    const after = (type: string) => (at.get(type) ?? 0) - stoppedAt
    t.ok(after('exit') >= 1_500, `expired after ${after('exit')} ms`)
    t.ok(after('silent') >= 400 && after('evasive') > 0)
    bob.kill('SIGCONT')
    await alice.next('enter', 'bob')
    await eventually('both talk again', async () => {
      const [peer] = alice.lyre.peers()
      return peer !== undefined && alice.lyre.whisper(peer, 'awake?') === 1
    })
    await bob.next('whisper', { name: 'alice' })
    const story = alice.story.filter((line, index, all) => line !== all[index - 1])
    t.same(story.slice(0, 5), [
      'enter bob',
      'evasive bob',
      'silent bob',
      'exit bob expired',
      'enter bob',
    ])
  },
)

t.test(
  'a process that sleeps is found out by a goodbye that somebody else said for it',
  async (t) => {
    const { alice, bob, uuid, beaconPort } = await aliceAndBob(t)
    bob.kill('SIGSTOP')
    await forgeBeacon(beaconPort, { uuid, port: 0 })
    t.match(await alice.next('exit', 'bob'), { cause: 'goodbye' })
    t.same(alice.story, ['enter bob', 'exit bob goodbye'])
  },
)

t.test('a sleeper that takes nothing is dropped when too much waits for it', async (t) => {
  const { alice, bob, uuid } = await aliceAndBob(t, { limits: { queueBytesMax: 2 ** 20 } })
  bob.kill('SIGSTOP')
  const content = new Uint8Array(2 ** 18)
  let count = 0
  while (alice.lyre.whisper(uuid, content) === 1) {
    if (++count % 4 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  t.match(await alice.next('exit', 'bob'), { cause: 'limit' })
})

t.test('a process stops politely when its input says so', async (t) => {
  const { alice, bob } = await aliceAndBob(t)
  bob.send({ call: 'stop' })
  t.match(await alice.next('exit', 'bob'), { cause: 'goodbye' })
  t.equal(await bob.exited, 0)
  t.equal(bob.errors, '')
})
