import t from 'tap'
import { decodeLog, type LogRecord, topicOf } from '../../../protocol/index.ts'
import type { LogSender } from '../../../src/log/sender.ts'
import { EPOCH, type FakeStream, World } from '../../support/host.ts'
import { entryOf, NODE } from '../../support/log.ts'
import { AT, announce, collectorAt, receiverOf, senderOf } from '../../support/log-world.ts'
import { checkWaits, type Raw, watchedHost } from '../../support/raw.ts'
import { fromHex } from '../../support/vectors.ts'

/** Who says it speaks again within 2.5 s. */
const PING_TTL_25 = fromHex('0407 0450494e47 0019')

function recordsOf(raw: Raw | undefined): LogRecord[] {
  return (raw?.messages ?? []).map((octets) => decodeLog([octets]) as LogRecord)
}

function textsOf(raw: Raw | undefined): string[] {
  return recordsOf(raw).map(({ text }) => text)
}

/** One more who is connected, and has subscribed to info of version 2. */
async function subscribe(world: World, raws: readonly Raw[]): Promise<Raw> {
  await world.settle()
  const raw = raws.at(-1) as Raw
  raw.zmtp.subscribe(topicOf(2, 3))
  raw.flush()
  await world.settle()
  return raw
}

/** A sender, and a collector that it has connected to and that wants level info. */
async function served() {
  const world = new World()
  const raws = await collectorAt(world)
  const sender = senderOf(world)
  announce(sender)
  return { world, raws, sender, raw: await subscribe(world, raws) }
}

async function stopped(world: World, sender: LogSender): Promise<void> {
  await Promise.all([world.settle(), sender.stop()])
}

t.test('a collector gets what there was, and then what comes', async (t) => {
  const world = new World()
  const raws = await collectorAt(world)
  const sender = senderOf(world)
  sender.log(entryOf('before'))
  t.ok(announce(sender))
  const raw = await subscribe(world, raws)
  sender.log(entryOf('after'))
  sender.log(entryOf('debug', { level: 4 }))
  await world.settle()
  t.match(recordsOf(raw), [
    { node: NODE, epoch: EPOCH, timeMs: EPOCH, sequence: 1, text: 'before' },
    { sequence: 2, text: 'after' },
  ])
  t.match(sender.diagnostics(), {
    records: 3,
    kept: 3,
    collectors: [{ endpoint: AT, state: 'connected', lastError: null, sent: 2, dropped: 0 }],
  })
  await stopped(world, sender)
  t.equal(sender.pollTimeout(), Number.POSITIVE_INFINITY)
  sender.log(entryOf('too late'))
  await world.settle()
  t.equal(recordsOf(raw).length, 2)
})

t.test('records of one turn are one write', async (t) => {
  const { world, sender, raw } = await served()
  const before = world.streams[0]?.written.length ?? 0
  for (let count = 0; count < 50; count++) sender.log(entryOf(String(count)))
  await world.settle()
  t.equal(world.streams[0]?.written.length, before + 1)
  t.equal(recordsOf(raw).length, 50)
  await stopped(world, sender)
})

t.test('the level may be changed, and be none', async (t) => {
  const world = new World()
  const raws = await collectorAt(world)
  const sender = senderOf(world, { level: 'off' })
  announce(sender)
  await world.settle()
  t.same(raws, [])
  sender.setLevel('warning')
  const raw = await subscribe(world, raws)
  for (const level of ['warning', 'info', 'off'] as const) {
    sender.setLevel(level)
    sender.log(entryOf(level))
  }
  await world.settle()
  t.same(textsOf(raw), ['info'], 'what was said at once before is not lost')
  t.equal(raw.over, 'closed by the peer')
  t.match(sender.diagnostics(), { kept: 1, collectors: [] })
  sender.setLevel('debug')
  await world.settle()
  t.equal(raws.length, 2)
  await stopped(world, sender)
})

t.test('a collector that takes nothing is closed a second after the level is off', async (t) => {
  const world = new World()
  await collectorAt(world)
  const sender = senderOf(world)
  announce(sender)
  await world.settle()
  const stream = world.streams[0] as FakeStream
  stream.stalled = true
  sender.setLevel('off')
  t.same(sender.diagnostics().collectors, [])
  await world.advance(999)
  t.ok(stream.handlers)
  await world.advance(1)
  t.notOk(stream.handlers)
  sender.forget(AT)
  announce(sender, 'tcp://127.0.0.1:9001')
  sender.setLevel('info')
  sender.setLevel('off')
  await world.settle()
  t.same(sender.diagnostics().collectors, [], 'also one that was being dialled')
  await stopped(world, sender)
})

t.test('who is nobody we may connect to is not dialled', async (t) => {
  const world = new World()
  const sender = senderOf(world)
  t.notOk(sender.announce('1', 'tcp://10.0.0.9:9000', ['127.0.0.1']))
  t.notOk(sender.announce('1', 'tcp://localhost:9000', ['127.0.0.1']))
  await world.settle()
  t.same(world.streams, [])
})

t.test('four collectors are served, and the next when one has gone', async (t) => {
  const world = new World()
  const ports = [1, 2, 3, 4, 5].map((index) => 9_000 + index)
  const raws = await Promise.all(ports.map((port) => collectorAt(world, port)))
  const sender = senderOf(world)
  for (const port of ports) announce(sender, `tcp://127.0.0.1:${port}`)
  await world.settle()
  t.same(
    raws.map(({ length }) => length),
    [1, 1, 1, 1, 0],
  )
  sender.forget(`tcp://127.0.0.1:${ports[1]}`)
  await world.settle()
  t.equal(raws[1]?.[0]?.over, 'closed by the peer')
  t.equal(raws[4]?.length, 1)
  await stopped(world, sender)
})

t.test('a collector that is not there is dialled less and less often', async (t) => {
  const world = new World()
  const { host, dials } = watchedHost(world)
  const sender = senderOf(world, {}, host)
  sender.log(entryOf('before'))
  announce(sender)
  await world.advance(60_000)
  checkWaits(t, dials)
  t.match(sender.diagnostics().collectors, [{ state: 'waiting', lastError: /nobody listens/ }])
  const { lines } = await receiverOf(world)
  await world.advance(5_100)
  t.same(lines(), ['before'])
  sender.forget(AT)
  const count = dials.length
  await world.advance(60_000)
  t.equal(dials.length, count, 'who is gone is not dialled')
  await stopped(world, sender)
})

t.test('who slept blames no collector for the time (zmtp.md 5.4)', async (t) => {
  for (const wakes of [false, true]) {
    const { world, sender, raw } = await served()
    raw.stream.write(PING_TTL_25)
    await world.settle()
    ;(raw.stream as FakeStream).stalled = true
    // It may be less than a second beyond the time of a collector, if a long sleep ends just then.
    world.now += wakes ? 3_000 : 3_600_000
    if (wakes) sender.handleWake(world.now)
    await world.advance(2_499)
    t.same(sender.diagnostics().counters, {})
    await world.advance(1)
    t.match(sender.diagnostics().counters, { 'refused: zmtp.md 5.4': 1 })
    await stopped(world, sender)
    sender.handleWake(world.now)
    t.equal(sender.pollTimeout(), Number.POSITIVE_INFINITY, 'who is stopped wakes to nothing')
  }
})

t.test('a collector that does not read takes no memory, and says what it missed', async (t) => {
  const { world, sender, raw } = await served()
  const ours = world.streams[0]
  if (ours === undefined) throw new Error('there is no stream')
  ours.stalled = true
  const text = 'x'.repeat(1_000)
  for (let count = 0; count < 20_000; count++) {
    sender.log(entryOf(text))
    if (count % 100 === 0) await world.settle()
  }
  await world.settle()
  const { kept, keptBytes, collectors, records } = sender.diagnostics()
  t.ok(ours.backlogBytes < 400_000, `${ours.backlogBytes} octets wait`)
  t.ok(keptBytes <= 1_048_576 && kept <= 4_096)
  const { sent = 0, dropped = 0 } = collectors[0] ?? {}
  t.ok(dropped > 15_000, `${dropped} records were dropped`)
  t.equal(sent + dropped + kept, records)
  ours.stalled = false
  ours.backlogBytes = 0
  ours.handlers?.drain()
  await world.settle()
  // What had been written while it was stalled never came, as it only seemed to leave.
  const sequences = recordsOf(raw).map((record) => record.version === 2 && record.sequence)
  t.equal(sequences.at(-1), records)
  t.equal(sequences.length, kept)
  await stopped(world, sender)
})

t.test('who subscribes to too much is told so, and tried again', async (t) => {
  const world = new World()
  const raws = await collectorAt(world)
  const sender = senderOf(world)
  announce(sender)
  await world.settle()
  for (let index = 0; index <= 64; index++) raws[0]?.zmtp.subscribe(Uint8Array.of(index))
  raws[0]?.flush()
  await world.settle()
  t.equal(raws[0]?.over, 'closed by the peer')
  const { counters, collectors } = sender.diagnostics()
  t.same(counters, { 'refused: zmtp.md 7.6': 1 })
  t.match(collectors, [{ state: 'waiting', lastError: 'more than 64 topics (zmtp.md 7.6)' }])
  await world.advance(1_000)
  t.equal(raws.length, 2)
  raws[1]?.stream.write(Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 1, 1))
  await world.settle()
  t.match(sender.diagnostics().counters, { 'refused: zmtp.md 3.3': 1 })
  await stopped(world, sender)
})

t.test('what was cancelled is not told', async (t) => {
  const { world, sender, raw } = await served()
  raw.zmtp.cancel(topicOf(2, 3))
  raw.flush()
  await world.settle()
  sender.log(entryOf('unheard'))
  await world.settle()
  t.same(textsOf(raw), [])
  await stopped(world, sender)
})

t.test('who stops says its last words first', async (t) => {
  const world = new World()
  const { lines } = await receiverOf(world)
  const sender = senderOf(world)
  announce(sender)
  await world.settle()
  sender.log(entryOf('last words'))
  await Promise.all([world.settle(), sender.stop(1_000)])
  await world.advance(100)
  t.same(lines(), ['last words'])
})

/** More than a stream is given at once, and less than the ring has. */
const MANY = 600
const LONG = 'x'.repeat(1_500)

t.test('who has much to say still says all of it, when it stops or is silenced', async (t) => {
  for (const way of ['stop', 'off'] as const) {
    const { world, sender, raw } = await served()
    for (let count = 0; count < MANY; count++) sender.log(entryOf(LONG))
    sender.log(entryOf('last words'))
    if (way === 'stop') await Promise.all([world.settle(), sender.stop(1_000)])
    else sender.setLevel('off')
    await world.settle()
    t.equal(raw.messages.length, MANY + 1)
    t.equal(textsOf(raw).at(-1), 'last words')
    t.equal(raw.over, 'closed by the peer', 'as soon as all has left')
    t.equal(world.now, 0)
    await stopped(world, sender)
  }
})

t.test('who was silenced tells only what was wanted before (log.md 5.8)', async (t) => {
  const { world, sender, raw } = await served()
  sender.log(entryOf('a detail', { level: 4 }))
  for (let count = 0; count < MANY; count++) sender.log(entryOf(LONG))
  const ours = world.streams[0] as FakeStream
  ours.stalled = true
  sender.setLevel('off')
  raw.zmtp.subscribe(topicOf(2, 4))
  raw.flush()
  await world.settle()
  ours.stalled = false
  ours.backlogBytes = 0
  ours.handlers?.drain()
  await world.settle()
  t.ok(raw.messages.length > 100)
  t.same(new Set(textsOf(raw)), new Set([LONG]))
  t.equal(raw.over, 'closed by the peer')
  await stopped(world, sender)
})

t.test('who stops after it was silenced waits for nobody longer than that', async (t) => {
  for (const lingerMs of [0, 300]) {
    const world = new World()
    await collectorAt(world)
    const sender = senderOf(world)
    announce(sender)
    await world.settle()
    const stream = world.streams[0] as FakeStream
    stream.stalled = true
    sender.setLevel('off')
    let isOver = false
    const over = sender.stop(lingerMs).then(() => {
      isOver = true
    })
    await world.settle()
    t.equal(isOver, lingerMs === 0)
    await world.advance(lingerMs)
    await over
    t.equal(world.now, lingerMs)
  }
})

t.test('who stops does not wait for one that does not read', async (t) => {
  const world = new World()
  const raws = await collectorAt(world)
  const sender = senderOf(world)
  announce(sender)
  await subscribe(world, raws)
  const ours = world.streams[0]
  if (ours !== undefined) ours.stalled = true
  let isOver = false
  const over = sender.stop(1_000).then(() => {
    isOver = true
  })
  await world.advance(999)
  t.notOk(isOver)
  await world.advance(1)
  await over
  t.equal(raws[0]?.over, 'closed by the peer')
})
