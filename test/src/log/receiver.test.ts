import t from 'tap'
import { encodeLog } from '../../../protocol/index.ts'
import { NetworkError } from '../../../src/errors.ts'
import { LogReceiver } from '../../../src/log/receiver.ts'
import { EPOCH, type FakeStream, World } from '../../support/host.ts'
import { entryOf, NODE, PEER } from '../../support/log.ts'
import { AT, announce, nodeAt, PORT, receiverOf, senderOf } from '../../support/log-world.ts'
import { Raw } from '../../support/raw.ts'
import { findVector, fromHex, loadVectors, toHex } from '../../support/vectors.ts'
import { outputOf } from '../../support/zmtp.ts'

/** Who says it speaks again within 2.5 s. */
const PING_TTL_25 = fromHex('0407 0450494e47 0019')
const ENTER = findVector(loadVectors('log'), 'log-info-enter').bytes

t.test('records of two nodes come in one order', async (t) => {
  const world = new World()
  const { receiver, events, lines } = await receiverOf(world)
  const senders = [senderOf(world), senderOf(world, { uuid: PEER.uuid, name: 'hall' })]
  for (const [index, sender] of senders.entries()) {
    for (const count of [1, 2, 3]) {
      world.now += 1
      sender.log(entryOf(`${index} ${count}`))
    }
  }
  for (const sender of senders) announce(sender)
  await world.advance(60)
  t.same(lines(), ['0 1', '0 2', '0 3', '1 1', '1 2', '1 3'])
  t.match(events[0], {
    type: 'record',
    node: { uuid: NODE, name: 'kitchen', address: '127.0.0.1' },
    timeMs: EPOCH + 1,
    offsetMs: 0,
  })
  senders[1]?.log(entryOf('one'))
  world.now += 1
  senders[0]?.log(entryOf('other'))
  await world.advance(49)
  t.equal(lines().length, 6, 'they wait for others')
  await world.advance(2)
  t.same(lines().slice(6), ['one', 'other'])
  const { nodes, held, connections, endpoints } = receiver.diagnostics()
  t.match(nodes, [
    { name: 'kitchen', records: 4, lost: 0 },
    { name: 'hall', records: 4, lost: 0 },
  ])
  t.same({ held, connections, endpoints }, { held: 0, connections: 2, endpoints: [AT] })
  await Promise.all([world.settle(), receiver.stop(), ...senders.map((sender) => sender.stop())])
})

t.test('a timer that is early is set again', async (t) => {
  const world = new World()
  const host = world.host()
  let setCount = 0
  const options = { level: 'info', holdMs: 50, connectionsMax: 1 } as const
  const handlers = { event: () => t.fail('nothing came'), sooner: () => setCount++ }
  const receiver = new LogReceiver(host, options, handlers)
  receiver.handleTimeout(world.now)
  t.equal(setCount, 1)
  await receiver.stop()
})

t.test('a level that is changed holds for nodes that are connected', async (t) => {
  const world = new World()
  const { receiver, lines } = await receiverOf(world, { level: 'warning' })
  const sender = senderOf(world)
  announce(sender)
  const say = async (text: string) => {
    for (const level of [1, 2, 3, 4]) sender.log(entryOf(`${text} ${level}`, { level }))
    await world.advance(60)
  }
  await say('first')
  t.same(lines(), ['first 1', 'first 2'])
  receiver.setLevel('info')
  await world.advance(60)
  t.same(lines().slice(2), ['first 3'], 'what is in the ring comes as well')
  receiver.setLevel('error')
  await world.settle()
  await say('then')
  t.same(lines().slice(3), ['then 1'])
  await Promise.all([world.settle(), receiver.stop(), sender.stop()])
})

t.test('who speaks version 1 is understood, and asked for both', async (t) => {
  const world = new World()
  const { receiver, events, lines } = await receiverOf(world, { level: 'error' })
  const raw = nodeAt(world)
  await world.settle()
  t.same(
    raw.events.map((event) => event.type === 'subscribe' && toHex(event.topic)),
    [false, 'aaa20101', 'aaa20201'],
  )
  raw.send(ENTER, Uint8Array.of(1, 2, 3), ENTER)
  await world.advance(60)
  t.match(events, [{ node: { hash: 42_535, uuid: undefined } }, { type: 'record' }])
  t.same(lines(), ['', ''])
  t.match(receiver.diagnostics().refused, { malformed: 1 })
  t.equal(raw.over, '')
  await Promise.all([world.settle(), receiver.stop()])
  t.equal(raw.over, 'closed by the peer')
})

t.test('a collector that dies and comes back names what it missed', async (t) => {
  const world = new World()
  const sender = senderOf(world)
  const first = await receiverOf(world)
  announce(sender)
  await world.settle()
  for (const text of ['1', '2']) sender.log(entryOf(text))
  await Promise.all([world.settle(), first.receiver.stop()])
  t.same(first.lines(), ['1', '2'], 'what was held is given at the end')
  for (let count = 3; count <= 5_000; count++) sender.log(entryOf(String(count)))
  const second = await receiverOf(world)
  await world.advance(6_000)
  sender.log(entryOf('last'))
  await world.advance(60)
  t.equal(second.lines()[0], String(5_000 - 4_096 + 1), 'the ring has the latest')
  t.equal(second.lines().length, 4_097)
  t.match(second.receiver.diagnostics().nodes, [{ lost: 0 }])
  await Promise.all([world.settle(), second.receiver.stop(), sender.stop()])
})

t.test('whoever says what no PUB says is sent away, and no one else', async (t) => {
  const world = new World()
  const { receiver, lines } = await receiverOf(world, { connectionsMax: 2 })
  const [good, bad] = [nodeAt(world), nodeAt(world)]
  await world.settle()
  bad.send(new Uint8Array(40_000))
  await world.settle()
  t.equal(bad.over, 'closed by the peer')
  const wrong = nodeAt(world, 'SUB')
  await world.settle()
  t.equal(wrong.over, 'closed by the peer')
  t.equal(receiver.diagnostics().connections, 1)
  const more = [nodeAt(world), nodeAt(world)]
  await world.settle()
  t.equal(receiver.diagnostics().connections, 2)
  t.equal([good, ...more].filter(({ over }) => over !== '').length, 1)
  const last = more.find(({ over }) => over === '')
  last?.send(ENTER)
  await world.advance(60)
  t.same(lines(), [''])
  t.match(receiver.diagnostics().counters, {
    'refused: zmtp.md 3.3': 1,
    'refused: zmtp.md 4.2': 1,
    'too many connections': 1,
  })
  await Promise.all([world.settle(), receiver.stop()])
})

t.test('who never ends its handshake has to go', async (t) => {
  const world = new World()
  const { receiver } = await receiverOf(world)
  let reason = ''
  const silent = {
    open() {},
    receive() {},
    drain() {},
    close: (why: string) => {
      reason = why
    },
  }
  world.host().streams.connect({ address: '127.0.0.1', port: PORT }, silent)
  await world.advance(4_999)
  t.equal(reason, '')
  await world.advance(1)
  t.equal(reason, 'closed by the peer')
  t.match(receiver.diagnostics().counters, { 'refused: zmtp.md 4.5': 1 })
  await Promise.all([world.settle(), receiver.stop()])
})

t.test('who says very much lets others have their turn, and is heard to the end', async (t) => {
  const world = new World()
  const { receiver } = await receiverOf(world)
  const raw = nodeAt(world)
  await world.settle()
  const rest = {
    level: 3,
    event: 16,
    epoch: 1,
    timeMs: EPOCH,
    node: NODE,
    peer: undefined,
  } as const
  const records = Array.from({ length: 1_000 }, (_, index) =>
    encodeLog({ version: 2, ...rest, sequence: index + 1, group: '', text: '', fields: undefined }),
  )
  raw.send(...records)
  world.step()
  world.step()
  const { records: count = 0 } = receiver.diagnostics().nodes[0] ?? {}
  t.ok(count > 0 && count < 1_000, `${count} at first`)
  await world.settle()
  t.match(receiver.diagnostics().nodes, [{ records: 1_000 }])
  await Promise.all([world.settle(), receiver.stop()])
})

/** One that speaks ZMTP 3.0, in which nobody knows PING. */
class Old extends Raw {
  readonly #greeting = outputOf(this.zmtp).with(11, 0)

  override open(): void {
    super.open()
    this.stream.write(this.#greeting)
  }
}

t.test('a node that is gone without a word is asked, and let go (log.md 6.10)', async (t) => {
  const world = new World()
  const { receiver, lines } = await receiverOf(world)
  const [quiet, dead, old] = [nodeAt(world), nodeAt(world), new Old('PUB')]
  old.stream = world.host().streams.connect({ address: '127.0.0.1', port: PORT }, old)
  await world.settle()
  t.equal(receiver.diagnostics().connections, 3)
  const from = dead.stream as FakeStream
  from.stalled = true
  await world.advance(9_000)
  quiet.send(ENTER)
  dead.send(ENTER)
  const written = (raw: Raw) => (raw.stream as FakeStream).written.length
  const before = [written(quiet), written(old)]
  await world.advance(1_000)
  t.same(lines(), [''], 'what was on its way when it died is lost')
  t.equal(receiver.diagnostics().connections, 3)
  await world.advance(9_999)
  t.equal(receiver.diagnostics().connections, 3)
  t.same([written(quiet), written(old)], [(before[0] ?? 0) + 1, before[1]], 'a PONG, and nothing')
  await world.advance(1)
  t.equal(receiver.diagnostics().connections, 2)
  t.match(receiver.diagnostics().counters, { 'does not answer': 1 })
  await world.advance(100_000)
  t.same([quiet.over, old.over], ['', ''])
  t.equal(receiver.diagnostics().connections, 2)
  await Promise.all([world.settle(), receiver.stop()])
})

t.test('who did not run itself asks again before it gives anybody up (log.md 6.10)', async (t) => {
  const world = new World()
  const { receiver } = await receiverOf(world)
  const raw = nodeAt(world)
  await world.settle()
  const stream = raw.stream as FakeStream
  stream.stalled = true
  await world.advance(10_000)
  world.now += 60_000
  await world.advance(9_999)
  t.equal(receiver.diagnostics().connections, 1)
  await world.advance(1)
  t.equal(receiver.diagnostics().connections, 0)
  await Promise.all([world.settle(), receiver.stop()])
})

t.test('who did not run blames nobody for the time (log.md 6.10)', async (t) => {
  const world = new World()
  const { receiver } = await receiverOf(world)
  const raw = nodeAt(world)
  await world.settle()
  raw.stream.write(PING_TTL_25)
  const silent = new Raw('PUB')
  silent.stream = world.host().streams.connect({ address: '127.0.0.1', port: PORT }, silent)
  ;(silent.stream as FakeStream).stalled = true
  await world.settle()
  for (const one of [raw, silent]) (one.stream as FakeStream).stalled = true
  world.now += 3_600_000
  await world.advance(2_499)
  t.equal(receiver.diagnostics().connections, 2)
  await world.advance(1)
  t.same(receiver.diagnostics().counters, { 'refused: zmtp.md 5.4': 1 })
  await world.advance(2_500)
  t.match(receiver.diagnostics(), { connections: 0, counters: { 'refused: zmtp.md 4.5': 1 } })
  await Promise.all([world.settle(), receiver.stop()])
})

t.test('a port that is taken is a NetworkError', async (t) => {
  const world = new World()
  world.taken.add(PORT)
  await t.rejects(receiverOf(world), NetworkError)
})
