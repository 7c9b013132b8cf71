/** What lies between two machines: octets arrive in order and whole, however they are split; datagrams do not. */

import t from 'tap'
import { type LinkSettings, Simulation } from '../../sim/index.ts'
import type { Host, Stream, StreamHandlers } from '../../src/host.ts'
import { concat, digest, pattern } from '../support/octets.ts'

/** One end of a connection, and all that it was told, with the times of it. */
class Side implements StreamHandlers {
  readonly chunks: Uint8Array[] = []
  readonly told: string[] = []
  readonly #simulation: Simulation
  stream: Stream | undefined

  constructor(simulation: Simulation) {
    this.#simulation = simulation
  }

  get bytes(): Uint8Array {
    return concat(...this.chunks)
  }

  open(): void {
    this.told.push('open')
  }

  receive(bytes: Uint8Array): void {
    this.chunks.push(bytes)
  }

  drain(): void {
    this.told.push('drain')
  }

  close(reason: string): void {
    this.told.push(`close ${reason} at ${Math.round(this.#simulation.now)}`)
  }
}

interface Pair {
  readonly simulation: Simulation
  readonly one: Host
  readonly other: Host
  readonly dialled: Side & { stream: Stream }
  readonly accepted: Side
}

const SERVER = { address: '10.0.0.2', port: 80 }

async function connect(links: Partial<LinkSettings> = {}): Promise<Pair> {
  const simulation = new Simulation({ seed: 1, links: { jitterMs: 0, latencyMs: 1, ...links } })
  const one = simulation.createHost({ machine: 'one' })
  const other = simulation.createHost({ machine: 'other' })
  const accepted = new Side(simulation)
  await other.streams.listen({ address: '0.0.0.0', port: 80 }, (stream) => {
    accepted.stream = stream
    return accepted
  })
  const side = new Side(simulation)
  const dialled = Object.assign(side, { stream: one.streams.connect(SERVER, side) })
  return { simulation, one, other, dialled, accepted }
}

t.test('octets arrive whole and in order, split anywhere', async (t) => {
  const all = pattern(5_000)
  const kinds: Partial<LinkSettings>[] = [
    {},
    { chunkBytes: 1 },
    { windowBytes: 1 },
    { chunkBytes: 7, windowBytes: 10, bandwidthBytes: 100_000, jitterMs: 1 },
  ]
  for (const links of kinds) {
    const { simulation, dialled, accepted } = await connect(links)
    dialled.stream.write(all.subarray(0, 1_234))
    dialled.stream.write(all.subarray(1_234))
    await simulation.run(20_000)
    dialled.stream.end()
    await simulation.run(100)
    t.equal(digest(accepted.bytes), digest(all))
    const { chunkBytes = 65_536 } = links
    t.ok(accepted.chunks.every(({ length }) => length <= chunkBytes))
    t.match(accepted.told, [/^close closed by the peer/])
    t.match(dialled.told.at(-1), /^close closed by/)
  }
})

t.test('a reset after so many octets delivers those, and tells both sides', async (t) => {
  for (const afterBytes of [1, 999, 1_000, 1_001, 2_500]) {
    const { simulation, dialled, accepted } = await connect()
    await simulation.run(10)
    simulation.reset('one', 'other', { afterBytes })
    for (let count = 0; count < 3; count++) {
      dialled.stream.write(pattern(1_000))
      await simulation.run(10)
    }
    t.equal(accepted.bytes.length, afterBytes)
    t.match(accepted.told, [/^close reset on the way/])
    t.match(dialled.told, ['open', /^close reset on the way/])
  }
})

t.test('a reset loses what is on its way', async (t) => {
  const { simulation, dialled, accepted } = await connect({ latencyMs: 100 })
  await simulation.run(1_000)
  dialled.stream.write(pattern(10))
  await simulation.run(50)
  simulation.reset('other', 'one')
  await simulation.run(1_000)
  t.equal(accepted.bytes.length, 0)
  t.match(accepted.told, [/^close reset/])
})

t.test('where nobody listens it is refused, and where nobody is it takes minutes', async (t) => {
  const { simulation, one } = await connect()
  const refused = new Side(simulation)
  const lost = new Side(simulation)
  one.streams.connect({ ...SERVER, port: 81 }, refused)
  one.streams.connect({ address: '10.0.9.9', port: 80 }, lost)
  await simulation.run(100)
  t.match(refused.told, [/^close ECONNREFUSED.* at 1$/])
  t.same(lost.told, [])
  await simulation.run(200_000)
  t.match(lost.told, [/^close ETIMEDOUT at 127/])
})

t.test(
  'a partition holds octets back, and TCP sends again the later, the longer it was',
  async (t) => {
    for (const [cutMs, latestMs] of [
      [100, 300],
      [1_000, 1_600],
      [20_000, 26_000],
    ] as const) {
      const { simulation, dialled, accepted } = await connect()
      await simulation.run(10)
      simulation.partition([['one'], ['other']])
      const cutAt = simulation.now
      dialled.stream.write(pattern(100))
      await simulation.run(cutMs)
      t.equal(accepted.bytes.length, 0)
      simulation.heal()
      await simulation.runUntil(() => accepted.bytes.length === 100)
      t.ok(simulation.now - cutAt <= latestMs, `${simulation.now - cutAt} ms`)
    }
  },
)

t.test('a partition without end is given up, by who has something to say', async (t) => {
  const { simulation, dialled, accepted } = await connect()
  await simulation.run(10)
  simulation.partition([['one']])
  dialled.stream.write(pattern(100))
  await simulation.run(1_000_000)
  t.match(dialled.told, ['open', /^close ETIMEDOUT at 92/])
  t.same(accepted.told, [], 'the other side is half open for ever')
})

t.test('a dial into a partition gets through once it heals', async (t) => {
  const { simulation, one } = await connect()
  simulation.partition([['one'], ['other']])
  const dialled = new Side(simulation)
  one.streams.connect(SERVER, dialled)
  await simulation.run(5_000)
  t.same(dialled.told, [])
  simulation.heal()
  await simulation.run(3_000)
  t.same(dialled.told, ['open'])
})

t.test('a window that cannot be acknowledged stays full, and opens when it can', async (t) => {
  const { simulation, dialled, accepted } = await connect({ windowBytes: 1_000 })
  await simulation.run(10)
  simulation.partition([['other'], ['one']], { oneWay: true })
  dialled.stream.write(pattern(5_000))
  await simulation.run(10_000)
  t.equal(accepted.bytes.length, 1_000)
  t.equal(dialled.stream.backlogBytes, 4_000)
  simulation.heal()
  await simulation.run(10_000)
  t.equal(digest(accepted.bytes), digest(pattern(5_000)))
  t.same(dialled.told, ['open', 'drain'])
})

t.test('a stall delays, and loses and mixes nothing', async (t) => {
  const { simulation, dialled, accepted } = await connect({ jitterMs: 5 })
  await simulation.run(100)
  simulation.stall('one', 'other', { ms: 5_000, oneWay: true })
  for (let octet = 0; octet < 50; octet++) {
    dialled.stream.write(Uint8Array.of(octet))
    await simulation.run(10)
  }
  accepted.stream?.write(Uint8Array.of(1))
  await simulation.run(100)
  t.equal(accepted.bytes.length, 0)
  t.equal(dialled.bytes.length, 1, 'the other direction goes on')
  await simulation.run(5_000)
  t.same(
    [...accepted.bytes],
    Array.from({ length: 50 }, (_, octet) => octet),
  )
})

t.test('octets to a process that is gone are answered by its machine, once it runs', async (t) => {
  const simulation = new Simulation({ seed: 1 })
  const lyre = simulation.createLyre({ mailboxPort: 99 }, { machine: 'other' })
  const one = simulation.createHost({ machine: 'one' })
  await lyre.start()
  const dialled = new Side(simulation)
  const stream = one.streams.connect({ address: '10.0.0.1', port: 99 }, dialled)
  await simulation.run(100)
  simulation.crash(lyre)
  stream.write(pattern(10))
  await simulation.run(3_000)
  t.same(dialled.told, ['open'])
  simulation.createLyre({}, { machine: 'other' })
  await simulation.run(10_000)
  t.match(dialled.told, ['open', /^close ECONNRESET/])
})

/** Sends datagrams from one machine to another, and gives back what came of them. */
async function send(links: Partial<LinkSettings>, count = 2_000): Promise<Uint8Array[]> {
  const { simulation, one, other } = await connect(links)
  const heard: Uint8Array[] = []
  await other.datagrams.open(
    { address: '0.0.0.0', port: 9, shared: true, broadcast: false },
    { receive: (bytes) => void heard.push(bytes), fail() {} },
  )
  const socket = await one.datagrams.open(
    { address: '10.0.0.1', port: 0, shared: false, broadcast: true },
    { receive() {}, fail() {} },
  )
  for (let number = 0; number < count; number++) {
    socket.send(Uint8Array.of(number >> 8, number, 7), { address: '10.0.255.255', port: 9 })
    await simulation.run(10)
  }
  await simulation.run(5_000)
  return heard
}

t.test(
  'datagrams are lost, doubled, late, damaged or kept back as often as they are told to',
  async (t) => {
    const about = (count: number, expected: number) =>
      t.ok(Math.abs(count - expected) < 100, `${count}, expected about ${expected}`)
    const numbers = (heard: Uint8Array[]) => heard.map(([high = 0, low = 0]) => (high << 8) | low)
    const isSorted = (list: number[]) =>
      list.every((value, index) => value >= (list[index - 1] ?? 0))
    t.equal((await send({})).length, 2_000)
    about((await send({ loss: 0.3 })).length, 1_400)
    about((await send({ duplicate: 0.2 })).length, 2_400)
    t.equal((await send({ broadcast: false })).length, 0)
    const late = numbers(await send({ reorder: 0.1, reorderMs: 100 }))
    t.equal(new Set(late).size, 2_000)
    t.notOk(isSorted(late))
    t.ok(isSorted(numbers(await send({}))))
    const damaged = await send({ damage: 0.5 })
    about(damaged.filter((bytes) => bytes.length < 3 || bytes[2] !== 7).length, 660)
  },
)

t.test('a burst loses all datagrams of some time', async (t) => {
  const heard = await send({ burstGapMs: 1_000, burstMs: 500 })
  t.ok(heard.length > 900 && heard.length < 1_700, `${heard.length} of 2,000`)
  let gaps = 0
  let longest = 0
  for (const [index, bytes] of heard.entries()) {
    const [before, now] = [heard[index - 1], bytes].map(
      (one) => ((one?.[0] ?? 0) << 8) | (one?.[1] ?? 0),
    )
    const gap = (now as number) - (before as number) - 1
    if (gap > 0) gaps++
    longest = Math.max(longest, gap)
  }
  t.ok(gaps < 40 && longest > 20, `${gaps} gaps, the longest of ${longest}`)
})

t.test('a pair may have a link of its own, one way or both', async (t) => {
  const { simulation, dialled, accepted } = await connect()
  await simulation.run(10)
  simulation.setLink('one', 'other', { latencyMs: 500 }, { oneWay: true })
  dialled.stream.write(pattern(1))
  accepted.stream?.write(pattern(1))
  await simulation.run(100)
  t.same([accepted.bytes.length, dialled.bytes.length], [0, 1])
  await simulation.run(500)
  t.equal(accepted.bytes.length, 1)
  simulation.setLink('one', 'other', undefined)
  dialled.stream.write(pattern(1))
  await simulation.run(10)
  t.equal(accepted.bytes.length, 2)
})

t.test('subnets are routed unless they are not', async (t) => {
  for (const routed of [true, false]) {
    const simulation = new Simulation({ seed: 1, routed })
    const ada = simulation.createLyre({ name: 'ada' })
    const bob = simulation.createLyre({ name: 'bob' }, { subnet: 'other' })
    await Promise.all([ada.start(), bob.start()])
    t.match(bob.endpoint, /^tcp:\/\/10\.1\./)
    ada.requirePeer({ uuid: bob.uuid, endpoint: bob.endpoint as string })
    await simulation.run(5_000)
    t.equal(ada.peers().length, routed ? 1 : 0)
    t.equal(bob.peers().length, routed ? 1 : 0)
    await simulation.stop()
  }
})

t.test('what comes for a sleeper waits as far as there is room', async (t) => {
  const simulation = new Simulation({ seed: 1 })
  const ada = simulation.createLyre({ name: 'ada' })
  const host = simulation.createHost()
  await ada.start()
  const socket = await host.datagrams.open(
    { address: '10.0.0.2', port: 0, shared: false, broadcast: true },
    { receive() {}, fail() {} },
  )
  let dropped = 0
  simulation.observe({
    datagram: ({ type, reason, sender }) => {
      if (type === 'dropped' && reason === 'asleep' && sender.lyre === undefined) dropped++
    },
  })
  simulation.pause(ada)
  for (let count = 0; count < 1_000; count++) {
    socket.send(new Uint8Array(22), { address: '10.0.255.255', port: 5_670 })
  }
  await simulation.run(1_000)
  simulation.resume(ada)
  await simulation.run(1_000)
  const heard = ada.diagnostics().beacon?.heard.noise ?? 0
  t.equal(heard + dropped, 1_000)
  t.ok(heard > 200 && heard < 500, `${heard} were kept`)
  await simulation.stop()
})
