/**
 * The logs of whole nodes under load: collectors and nodes are killed, and stall. What the mesh says arrives as if nothing had
 * been, and what a collector is told, with what it is told that it misses, is all that was recorded.
 */

import t, { type Test } from 'tap'
import { type CollectedEvent, topicOf } from '../../protocol/index.ts'
import type { Stream } from '../../src/host.ts'
import { LogReceiver } from '../../src/log/receiver.ts'
import { systemHost } from '../../src/system/index.ts'
import { type Child, startChild } from '../support/child.ts'
import { eventually } from '../support/heard.ts'
import { Link } from '../support/link.ts'
import { createNode, freePort } from '../support/nodes.ts'
import { serve } from '../support/stranger.ts'

const SCRIPT = new URL('./logging.mjs', import.meta.url)
const MANY = 5_000
const { clock, streams } = systemHost

/** The records of one level of a node. */
interface Account {
  readonly sequences: Set<number>
  readonly missing: Set<number>
  doubled: number
  last: number
}

/** A collector that keeps account of each level of each node. */
class Collector {
  readonly accounts = new Map<string, Account>()
  /** Connections of nodes, each of which can be made to wait. */
  readonly streams: Stream[] = []
  readonly receiver: LogReceiver
  readonly #timer = clock.timer(() => this.receiver.handleTimeout(clock.now()))

  constructor(t: Test) {
    this.receiver = new LogReceiver(
      { ...systemHost, streams: { ...streams, listen: (at, accept) => this.#listen(at, accept) } },
      { level: 'debug', holdMs: 20, connectionsMax: 10 },
      {
        event: (event) => this.#add(event),
        sooner: () => this.#timer.set(this.receiver.pollTimeout()),
      },
    )
    t.teardown(() => this.stop())
  }

  /** How many are named as missing. */
  get missingCount(): number {
    let count = 0
    for (const { missing } of this.accounts.values()) count += missing.size
    return count
  }

  async stop(): Promise<void> {
    await this.receiver.stop()
    this.#timer.set(Number.POSITIVE_INFINITY)
  }

  /** The last sequences of all levels of a node together. */
  recordsOf(uuid: string): number {
    let records = 0
    for (const [key, { last }] of this.accounts) if (key.startsWith(uuid)) records += last
    return records
  }

  /** How many came of a node. */
  countOf(uuid: string): number {
    let count = 0
    for (const [key, { sequences }] of this.accounts) {
      if (key.startsWith(uuid)) count += sequences.size
    }
    return count
  }

  #listen(...[at, accept]: Parameters<typeof streams.listen>) {
    return streams.listen(at, (stream) => {
      this.streams.push(stream)
      return accept(stream)
    })
  }

  #add(event: CollectedEvent): void {
    if (event.type === 'restart') return
    const at = event.type === 'gap' ? event : event.record
    if ('version' in at && at.version === 1) throw new Error('version 1 was not asked for')
    const { level, sequence } = at as { readonly level: number; readonly sequence: number }
    const key = `${event.node.uuid} ${level}`
    const fresh = { sequences: new Set<number>(), missing: new Set<number>(), doubled: 0, last: 0 }
    const account: Account = this.accounts.get(key) ?? fresh
    this.accounts.set(key, account)
    if (event.type === 'gap') {
      for (let index = 0; index < event.count; index++) account.missing.add(sequence + index)
      return
    }
    if (account.sequences.has(sequence)) account.doubled++
    account.sequences.add(sequence)
    account.missing.delete(sequence)
    account.last = Math.max(account.last, sequence)
  }
}

/** Each record from the first to the last came once, or is named as missing. */
function checkAccounts(t: Test, { accounts }: Collector, what: string): void {
  let came = 0
  let missing = 0
  for (const account of accounts.values()) {
    const first = Math.min(...[...account.sequences].slice(0, 1))
    came += account.sequences.size
    missing += account.missing.size
    t.equal(account.doubled, 0, `${what}: nothing came twice`)
    const total = account.sequences.size + account.missing.size
    t.equal(total, account.last - first + 1, `${what}: nothing is missing without a word`)
  }
  t.comment(`${what}: ${came} records came, ${missing} were named as missing`)
}

async function startLoad(
  t: Test,
  names: readonly string[],
  { header, textBytes }: { readonly header: string; readonly textBytes: number },
) {
  const beaconPort = await freePort()
  const headers = { 'X-ZRELOG': header }
  const hub = createNode(t, { name: 'hub', headers, beaconPort })
  await hub.lyre.start()
  const peers = names.length - 1
  const options = { beaconPort, log: { level: 'info' }, peers, textBytes }
  const children = names.map((name) =>
    startChild(t, SCRIPT, [JSON.stringify({ ...options, name })]),
  )
  const uuids: string[] = []
  for (const child of children) uuids.push((await child.next('ready')).uuid)
  await hub.lyre.waitForPeers(names.length, { timeoutMs: 20_000 })
  const counts = new Map<string, number>()
  hub.lyre.join('LOAD')
  hub.lyre.on('shout', ({ peer }) => counts.set(peer.name, (counts.get(peer.name) ?? 0) + 1))
  for (const child of children) child.type('go')
  return { hub, children, uuids, counts }
}

/** What a child knows now. */
function ask(child: Child) {
  child.type('ask')
  return child.next('answer')
}

/** Two that are left have heard all of each other, whatever became of the rest. */
async function checkTalk(t: Test, children: readonly Child[], names: readonly string[]) {
  const said: { readonly shouts: number; readonly records: number }[] = []
  for (const child of children) child.type('stop')
  for (const child of children) said.push(await child.next('stopped'))
  for (const [index, child] of children.entries()) {
    const other = 1 - index
    const name = names[other] as string
    const shouts = said[other]?.shouts
    await eventually(`${names[index]} has heard all of ${name}`, async () => {
      return (await ask(child)).heard[name] === shouts
    })
    t.pass(`${names[index]} has heard ${shouts} shouts of ${name}`)
  }
  return said
}

t.test('collectors and nodes that are killed under load', async (t) => {
  const first = new Collector(t)
  const endpoint = await first.receiver.listen({ address: '127.0.0.1', port: 0 })
  const names = ['ada', 'ben', 'carl']
  const { children, uuids } = await startLoad(t, names, { header: endpoint, textBytes: 200 })
  const [ada, ben, carl] = uuids as [string, string, string]
  const grown = async (collector: Collector, nodes: readonly string[]) => {
    const before = new Map(nodes.map((uuid) => [uuid, collector.countOf(uuid)]))
    await eventually('much more is recorded', () =>
      nodes.every((uuid) => collector.countOf(uuid) >= (before.get(uuid) ?? 0) + MANY),
    )
  }
  await grown(first, uuids)
  await first.stop()
  const told = first.recordsOf(ada)

  const second = new Collector(t)
  await second.receiver.listen({ address: '127.0.0.1', port: Number(new URL(endpoint).port) })
  await grown(second, uuids)
  for (const stream of second.streams) stream.pause()
  await eventually('ada has records that are lost to it', async () => {
    return (await ask(children[0] as Child)).collectors[0].dropped > 0
  })
  for (const stream of second.streams) stream.resume()
  await eventually('it knows that they are missing', () => second.missingCount > 0)
  children[2]?.kill('SIGKILL')
  await children[2]?.exited
  await grown(second, [ada, ben])
  const said = await checkTalk(t, children.slice(0, 2), names)
  for (const [index, { records }] of said.entries()) {
    const uuid = [ada, ben][index] as string
    // It goes on to tell how it is, and perhaps who has gone.
    await eventually('the last record has come', () => second.recordsOf(uuid) >= records)
    t.pass(`the last of ${records} records has come`)
  }
  checkAccounts(t, first, 'the first collector')
  checkAccounts(t, second, 'the second collector')
  t.ok(told < second.recordsOf(ada))
  t.ok(second.countOf(carl) >= MANY, 'what came of the killed one counts, too')
})

t.test('a collector that stops to read, and one that ends all it accepts', async (t) => {
  let stalledCount = 0
  const stalled = await serve(t, (socket) => {
    const { heard, zmtp } = new Link(socket, 'SUB')
    heard.add = ({ type }) => {
      if (type === 'ready') zmtp.subscribe(topicOf(2, 3))
      if (type !== 'message' || socket.isPaused()) return
      stalledCount++
      socket.pause()
    }
  })
  const { hub, children, counts } = await startLoad(t, ['ada', 'ben'], {
    header: `tcp://127.0.0.1:${stalled}`,
    textBytes: 1_000,
  })
  let endedCount = 0
  const rude = await serve(t, (socket) => {
    endedCount++
    socket.destroy()
  })
  const headers = { 'X-ZRELOG': `tcp://127.0.0.1:${rude}` }
  const beaconPort = hub.lyre.diagnostics().beacon?.port as number
  const other = createNode(t, { name: 'other', headers, beaconPort })
  await other.lyre.start()
  await other.lyre.waitForPeers(3, { timeoutMs: 20_000 })
  await eventually('both have tried both', () => endedCount >= 4 && stalledCount === 2)
  const before = new Map(counts)
  await eventually('they go on to talk', () =>
    [...before].every(([name, count]) => (counts.get(name) ?? 0) > count + 1_000),
  )
  for (const child of children) {
    await eventually('records are lost to who does not read', async () => {
      const { collectors } = await ask(child)
      return collectors.length === 2 && collectors[0].dropped > 0
    })
  }
  await checkTalk(t, children, ['ada', 'ben'])
})
