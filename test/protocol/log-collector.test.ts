import fc from 'fast-check'
import t from 'tap'
import {
  encodeLog,
  type LogLevel,
  type LogRecordV1,
  type LogRecordV2,
  type LogSource,
} from '../../protocol/log.ts'
import type { LogCollector } from '../../protocol/log-collector.ts'
import { holds } from '../support/holds.ts'
import {
  collectedOf,
  collectorOf,
  EPOCH,
  effectsOf,
  entryOf,
  HOLD_MS,
  messagesOf,
  NODE,
  plain,
  publisherOf,
  SOURCE,
} from '../support/log.ts'
import { memory } from '../support/memory.ts'
import { toHex } from '../support/vectors.ts'

const ADDRESS = '10.0.0.1'
const OTHER = 'fedcba9876543210fedcba9876543210'
/** What is known of a PUB that is connected. */
const ABOUT = { source: SOURCE, address: ADDRESS, answers: false }

/** A collector that a PUB is connected to, at the instant 0, which is EPOCH by all clocks. */
function opened(source: LogSource | undefined = SOURCE, options = {}): LogCollector {
  const collector = collectorOf(options)
  collector.handleOpen(1, { ...ABOUT, source }, { now: 0, timeMs: EPOCH })
  return collector
}

/** The sequence, at info, of when it was sent; and when it came, at once unless told. */
type Sent = Partial<LogRecordV2> & { readonly sequence: number; readonly sentMs?: number }

function recordOf({ sentMs = 0, ...record }: Sent): LogRecordV2 {
  const rest = { version: 2, level: 3, event: 16, epoch: EPOCH, node: NODE, group: '' } as const
  const text = String(record.sequence)
  return { ...rest, peer: undefined, fields: undefined, timeMs: EPOCH + sentMs, text, ...record }
}

function come(collector: LogCollector, sent: Sent, at = sent.sentMs ?? 0, connection = 1): unknown {
  const instant = { now: at, timeMs: EPOCH + at }
  return collector.handleMessage(connection, [encodeLog(recordOf(sent))], instant)
}

function comeV1(collector: LogCollector, record: Partial<LogRecordV1>, at = 0): unknown {
  const rest = { version: 1, level: 3, event: 1, node: 7, peer: 0, text: 'one' } as const
  const whole = { ...rest, time: Math.floor((EPOCH + at) / 1_000), ...record }
  return collector.handleMessage(1, [encodeLog(whole)], { now: at, timeMs: EPOCH + at })
}

function askedOf(collector: LogCollector): string[] {
  const asked: string[] = []
  for (let next = collector.pollEffect(); next; next = collector.pollEffect()) {
    asked.push(`${next.type} ${'topic' in next ? toHex(next.topic) : next.connection}`)
  }
  return asked
}

function linesOf(collector: LogCollector, now = 1e9): string[] {
  return collectedOf(collector, now).map(plain)
}

t.test('each level is subscribed to, of version 2 or of both (log.md 6.1)', async (t) => {
  const level: LogLevel = 'warning'
  t.same(askedOf(opened(SOURCE, { level })), ['subscribe aaa20201', 'subscribe aaa20202'])
  const collector = collectorOf({ level })
  collector.handleOpen(1, { ...ABOUT, source: undefined }, { now: 0, timeMs: EPOCH })
  const [error, warning] = ['subscribe aaa20101', 'subscribe aaa20102']
  t.same(askedOf(collector), [error, 'subscribe aaa20201', warning, 'subscribe aaa20202'])
  collector.setLevel('info')
  t.same(askedOf(collector), ['subscribe aaa20103', 'subscribe aaa20203'])
  collector.setLevel('error')
  const less = ['cancel aaa20102', 'cancel aaa20202', 'cancel aaa20103', 'cancel aaa20203']
  t.same(askedOf(collector), less)
  collector.handleOpen(2, ABOUT, { now: 0, timeMs: EPOCH })
  t.same(askedOf(collector), ['subscribe aaa20201'])
})

t.test('version 1 beside version 2 is passed over (log.md 6.2)', async (t) => {
  const unsaid = collectorOf()
  unsaid.handleOpen(1, { ...ABOUT, source: undefined }, { now: 0, timeMs: EPOCH })
  t.equal(comeV1(unsaid, {}), undefined)
  t.equal(come(unsaid, { sequence: 1 }), undefined)
  t.equal(comeV1(unsaid, {}), 'doubled')
  t.equal(comeV1(opened(), {}), 'doubled', 'where it is known from the beginning, too')
  t.same(linesOf(unsaid), ['one', '1'])
  const { nodes } = unsaid.diagnostics(0)
  t.match(nodes, [
    { uuid: undefined, hash: 7, address: ADDRESS, name: '' },
    { uuid: NODE, hash: undefined, address: ADDRESS, name: '' },
  ])
})

t.test('who said who it is tells nothing of others (log.md 6.3)', async (t) => {
  const collector = opened()
  t.equal(come(collector, { sequence: 1, node: OTHER }), 'foreign')
  t.equal(come(collector, { sequence: 1 }), undefined)
  t.match(collector.diagnostics(0), { nodes: [{ uuid: NODE, name: 'kitchen', records: 1 }] })
})

t.test('what is no record is counted, and the connection goes on (log.md 2.1, 2.2)', async (t) => {
  const collector = opened()
  const hear = (...frames: Uint8Array[]) =>
    collector.handleMessage(1, frames, { now: 0, timeMs: EPOCH })
  t.equal(hear(Uint8Array.of(1, 2, 3)), 'malformed')
  t.equal(hear(Uint8Array.of(0xaa, 0xa2, 3, 1)), 'later')
  t.equal(come(collector, { sequence: 1 }), undefined)
  t.equal(come(collector, { sequence: 1 }), 'duplicate')
  const refused = { malformed: 1, later: 1, doubled: 0, foreign: 0, duplicate: 1 }
  t.same(collector.diagnostics(0).refused, refused)
  collector.handleClose(1)
  t.equal(come(collector, { sequence: 2 }), undefined)
  t.same(linesOf(collector), ['1'], 'nothing comes over what is closed')
})

t.test('what else is thrown is not taken for a fault of the wire', async (t) => {
  const broken = new Proxy([], { get: () => t.fail })
  const hear = () => opened().handleMessage(1, broken as never, { now: 0, timeMs: EPOCH })
  t.throws(hear, TypeError)
})

t.test('a gap is told before the record that shows it (log.md 6.4)', async (t) => {
  const collector = opened()
  come(collector, { sequence: 5 })
  come(collector, { sequence: 6 })
  come(collector, { sequence: 9, sentMs: 1 })
  come(collector, { sequence: 4, level: 1, text: 'another level' })
  t.same(linesOf(collector), ['5', '6', 'another level', 'gap 3: 7+2', '9'])
  t.match(collector.diagnostics(7), { nodes: [{ records: 4, lost: 2, msAgo: 7 }] })
})

t.test('what was missing is given when it comes, what came is not (log.md 6.5)', async (t) => {
  const collector = opened()
  come(collector, { sequence: 1 })
  come(collector, { sequence: 9 })
  for (const sequence of [5, 5, 2, 8, 9, 1, 4, 3]) come(collector, { sequence })
  t.same(linesOf(collector), ['1', 'gap 3: 2+7', '9', '5', '2', '8', '4', '3'])
  t.match(collector.diagnostics(0), { nodes: [{ lost: 2 }], refused: { duplicate: 3 } })
})

t.test('of many gaps the latest are remembered (log.md 6.5)', async (t) => {
  const collector = opened()
  for (let sequence = 1; sequence <= 161; sequence += 2) come(collector, { sequence })
  t.equal(come(collector, { sequence: 2 }), 'duplicate', 'the first gap is forgotten')
  t.equal(come(collector, { sequence: 160 }), undefined)
  come(collector, { sequence: 170 })
  come(collector, { sequence: 166 })
  t.equal(come(collector, { sequence: 162 }), undefined, 'both parts of one')
  t.equal(come(collector, { sequence: 169 }), undefined)
})

t.test('a node that begins anew is told of once (log.md 6.6)', async (t) => {
  const collector = opened()
  const again = EPOCH + 50
  come(collector, { sequence: 7 })
  come(collector, { sequence: 1, epoch: again, text: 'again', sentMs: 1 })
  come(collector, { sequence: 8, sentMs: 2 })
  come(collector, { sequence: 2, epoch: again, text: 'and on', sentMs: 3 })
  t.same(linesOf(collector), ['7', `restart ${again}`, 'again', '8', 'and on'])
  come(collector, { sequence: 1, epoch: EPOCH + 60, text: 'third', sentMs: 4 })
  come(collector, { sequence: 9, sentMs: 5 })
  t.same(linesOf(collector), [`restart ${EPOCH + 60}`, 'third', '9'])
  t.match(collector.diagnostics(0), { nodes: [{ restarts: 2, lost: 0 }] })
  for (let sequence = 1; sequence <= 12; sequence++) {
    come(collector, { sequence, epoch: EPOCH + 70 + (sequence % 3), sentMs: 6 })
  }
  const restarts = linesOf(collector).filter((line) => line.startsWith('restart'))
  t.same(
    restarts,
    [71, 72, 70].map((ms) => `restart ${EPOCH + ms}`),
    'in turn, also lower ones',
  )
})

t.test('of many epochs the highest are remembered, the others are old (log.md 6.6)', async (t) => {
  const collector = opened()
  const restartsAt = (epoch: number) => {
    come(collector, { sequence: 1, epoch })
    return linesOf(collector).filter((line) => line.startsWith('restart')).length
  }
  for (let epoch = 1_000; epoch <= 1_064; epoch++) restartsAt(epoch)
  t.match(collector.diagnostics(0), { nodes: [{ restarts: 64 }] })
  const told = [1_000, 999, 1_001, 1_064, 1_065, 1_066, 1_001, 1_002, 1_003].map(restartsAt)
  t.same(told, [0, 0, 0, 0, 1, 1, 0, 0, 0])
})

t.test('a clock that is off is set right (log.md 6.7)', async (t) => {
  const collector = collectorOf()
  const source = { ...SOURCE, timeMs: EPOCH - 3_600_000 }
  collector.handleOpen(1, { ...ABOUT, source }, { now: 0, timeMs: EPOCH + 40 })
  // An hour behind, and 40 ms on its way; the ring tells what is an hour old.
  come(collector, { sequence: 1, sentMs: -7_200_000 }, 41)
  t.match(collectedOf(collector, 1e9), [{ timeMs: EPOCH - 3_600_000 + 40, offsetMs: 3_600_040 }])
  come(collector, { sequence: 2, sentMs: 100 - 3_600_000 }, 105)
  t.match(collectedOf(collector, 1e9), [{ timeMs: EPOCH + 105, offsetMs: 3_600_005 }])
  come(collector, { sequence: 3, sentMs: 200 - 3_600_000 }, 900)
  t.match(collectedOf(collector, 1e9), [{ timeMs: EPOCH + 205, offsetMs: 3_600_005 }], 'a late one')
})

t.test('a clock that is set is followed within two minutes (log.md 6.7)', async (t) => {
  const collector = opened()
  const offsets: number[] = []
  for (let sequence = 1; sequence <= 20; sequence++) {
    const at = sequence * 10_000
    // It is set back by a second at the fifth, and forward by two at the sixteenth.
    const off = sequence < 5 ? 0 : sequence < 16 ? -1_000 : 1_000
    come(collector, { sequence, sentMs: at + off }, at)
    for (const event of collectedOf(collector, 1e9)) {
      if (event.type === 'record') offsets.push(event.offsetMs)
    }
  }
  t.same(offsets.slice(0, 5), [0, 0, 0, 0, 0], 'at first it looks as if that took longer')
  t.same(offsets.slice(12, 15), [1_000, 1_000, 1_000])
  t.same(offsets.slice(15), [-1_000, -1_000, -1_000, -1_000, -1_000], 'nothing comes too early')
})

t.test('records of many come in one order (log.md 6.8)', async (t) => {
  const collector = opened()
  const source = { node: OTHER, name: 'hall', timeMs: EPOCH + 5_000 }
  collector.handleOpen(2, { ...ABOUT, source, address: '10.0.0.2' }, { now: 0, timeMs: EPOCH })
  come(collector, { sequence: 1, sentMs: 20 }, 25)
  come(collector, { sequence: 1, node: OTHER, sentMs: 5_010, text: 'hall 1' }, 30, 2)
  come(collector, { sequence: 2, node: OTHER, sentMs: 5_022, text: 'hall 2' }, 31, 2)
  come(collector, { sequence: 2, sentMs: 30 }, 32)
  t.equal(collector.pollTimeout(), 25 + HOLD_MS)
  t.same(linesOf(collector, 24 + HOLD_MS), [])
  t.same(linesOf(collector, 25 + HOLD_MS), ['hall 1', '1'], 'and what was before it')
  t.equal(collector.pollTimeout(), 31 + HOLD_MS)
  t.same(linesOf(collector, 31 + HOLD_MS), ['hall 2'])
  come(collector, { sequence: 3, node: OTHER, sentMs: 5_001, text: 'late' }, 140, 2)
  t.same(linesOf(collector), ['late', '2'], 'its node made it after hall 2')
  t.equal(collector.pollTimeout(), Number.POSITIVE_INFINITY)
})

t.test('no record is put before the one that its node made before it (log.md 6.8)', async (t) => {
  const collector = opened()
  come(collector, { sequence: 1, sentMs: 1_000 })
  come(collector, { sequence: 2, sentMs: 10 }, 1_010)
  come(collector, { sequence: 3, sentMs: 20 }, 1_020)
  t.same(linesOf(collector), ['1', '2', '3'])
  const unsaid = collectorOf()
  unsaid.handleOpen(1, { ...ABOUT, source: undefined }, { now: 0, timeMs: EPOCH })
  comeV1(unsaid, { text: 'first' }, 2_000)
  comeV1(unsaid, { text: 'second', time: EPOCH / 1_000 }, 2_001)
  t.same(linesOf(unsaid), ['first', 'second'])
})

t.test('what is held, and who is remembered, is bounded (log.md 6.9)', async (t) => {
  const collector = collectorOf({ heldMax: 3, nodesMax: 2 })
  collector.handleOpen(1, { ...ABOUT, source: undefined }, { now: 0, timeMs: EPOCH })
  for (const sequence of [1, 2, 3, 4, 5]) come(collector, { sequence, sentMs: sequence })
  t.same(linesOf(collector, 5), ['1', '2'])
  come(collector, { sequence: 1, node: OTHER, sentMs: 6 })
  come(collector, { sequence: 6, sentMs: 7 })
  come(collector, { sequence: 1, node: '1'.repeat(32), sentMs: 8 })
  const { nodes, held } = collector.diagnostics(8)
  t.same(nodes.map(({ uuid }) => uuid).sort(), [NODE, '1'.repeat(32)].sort())
  t.equal(held, 6)
  t.same(linesOf(collector, 8), ['3', '4', '5'])
})

t.test('what went out takes no memory, whoever waits before it (log.md 6.9)', async (t) => {
  const collector = collectorOf({ heldMax: 2, holdMs: 1e6 })
  collector.handleOpen(1, ABOUT, { now: 0, timeMs: EPOCH })
  // By its clock, it is the latest of all; a second one of its age lets the others out.
  for (const level of [1, 2]) come(collector, { sequence: 1, level, sentMs: 1e9 }, 0)
  const before = memory('heapUsed')
  for (let sequence = 1; sequence <= 100_000; sequence++) {
    come(collector, { sequence, text: '' }, 1)
    linesOf(collector, 1)
  }
  const grown = memory('heapUsed') - before
  t.ok(grown < 2_000_000, `${grown} octets`)
  t.equal(collector.diagnostics(1).held, 2)
  t.equal(collector.pollTimeout(), 1e6)
  t.equal(linesOf(collector, 1e6).length, 2)
  t.equal(collector.pollTimeout(), Number.POSITIVE_INFINITY)
})

t.test('a PUB that is quiet is asked, and closed where nothing comes (log.md 6.10)', async (t) => {
  const collector = collectorOf({ level: 'error' })
  const instant = { now: 500, timeMs: EPOCH }
  t.equal(collector.pollTimeout(), Number.POSITIVE_INFINITY)
  collector.handleOpen(9, ABOUT, instant)
  t.equal(collector.pollTimeout(), Number.POSITIVE_INFINITY, 'it does not know PING')
  for (const connection of [1, 2, 3]) {
    collector.handleOpen(connection, { ...ABOUT, answers: true }, instant)
  }
  askedOf(collector)
  /** Lets time go on to an instant, timer by timer. */
  const sweep = (to: number): string[] => {
    const asked: string[] = []
    for (let at = collector.pollTimeout(); at <= to; at = collector.pollTimeout()) {
      collector.handleTimeout(at)
      for (const each of askedOf(collector)) asked.push(`${at}: ${each}`)
    }
    return asked
  }
  collector.handleTimeout(1_499)
  t.equal(collector.pollTimeout(), 1_500, 'too early, nothing happens')
  t.same(sweep(5_000), [])
  come(collector, { sequence: 1 }, 5_000, 2)
  linesOf(collector)
  t.same(sweep(11_000), ['10500: ping 1', '10500: ping 3'])
  collector.handleAnswer(1, 12_000)
  collector.handleAnswer(7, 12_000)
  t.same(sweep(20_000), ['15500: ping 2'])
  come(collector, { sequence: 2 }, 20_000, 2)
  linesOf(collector)
  t.same(sweep(21_000), ['20500: close 3'])
  collector.handleClose(3)
  // It did not run meanwhile, and cannot know what came.
  t.same(sweep(23_000), ['22500: ping 1'])
  collector.handleTimeout(60_000)
  t.same(askedOf(collector).sort(), ['ping 1', 'ping 2'])
  t.same(sweep(70_000), ['70000: close 1', '70000: close 2'])
  for (const connection of [1, 2]) collector.handleClose(connection)
  collector.handleTimeout(71_000)
  t.equal(collector.pollTimeout(), Number.POSITIVE_INFINITY, 'there is nobody to ask')
})

t.test('a node that comes back under another name or address is the same', async (t) => {
  const collector = opened()
  come(collector, { sequence: 1 })
  const source = { ...SOURCE, name: 'cellar' }
  collector.handleOpen(2, { ...ABOUT, source, address: '10.0.0.9' }, { now: 1, timeMs: EPOCH })
  come(collector, { sequence: 2 }, 2, 2)
  const names = collectedOf(collector, 1e9).map(({ node }) => `${node.name} ${node.address}`)
  t.same(names, [`kitchen ${ADDRESS}`, 'cellar 10.0.0.9'])
  t.equal(collector.diagnostics(2).nodes.length, 1)
})

/** What a publisher has for a collector. */
function carry(publisher: ReturnType<typeof publisherOf>, collector: LogCollector, at = 0): void {
  for (let next = collector.pollEffect(); next; next = collector.pollEffect()) {
    if ('topic' in next) publisher.handleSubscribe(1, next.topic)
  }
  for (const octets of messagesOf(publisher, 1)) {
    collector.handleMessage(1, [octets], { now: at, timeMs: EPOCH + at })
  }
  effectsOf(publisher)
}

t.test(
  'a collector that comes back misses what is no longer in the ring, and says so',
  async (t) => {
    const publisher = publisherOf({ recordsMax: 4 })
    const collector = collectorOf({ level: 'info' })
    const open = (at: number) => {
      publisher.handleOpen(1)
      const source = { ...SOURCE, timeMs: EPOCH + at }
      collector.handleOpen(1, { ...ABOUT, source }, { now: at, timeMs: EPOCH + at })
      carry(publisher, collector, at)
    }
    open(0)
    for (const text of ['1', '2']) publisher.log(entryOf(text), EPOCH)
    carry(publisher, collector)
    publisher.handleClose(1)
    collector.handleClose(1)
    for (let count = 3; count <= 8; count++) publisher.log(entryOf(String(count)), EPOCH + count)
    open(10)
    t.same(linesOf(collector), ['1', '2', 'gap 3: 3+2', '5', '6', '7', '8'])
  },
)

const sent = fc.record({
  sequence: fc.integer({ min: 1, max: 12 }),
  level: fc.integer({ min: 1, max: 4 }),
  epoch: fc.integer({ min: 1, max: 3 }),
  node: fc.constantFrom(NODE, OTHER, '1'.repeat(32), '2'.repeat(32)),
  sentMs: fc.nat(1_000),
})
const steps = fc.array(fc.tuple(sent, fc.nat(100), fc.boolean()), { maxLength: 80 })

function play(steps: readonly [Sent, number, boolean][]): string[] {
  const collector = collectorOf({ heldMax: 5, nodesMax: 2 })
  collector.handleOpen(1, { ...ABOUT, source: undefined }, { now: 0, timeMs: EPOCH })
  const told: string[] = []
  let now = 0
  for (const [sent, ms, isPolled] of steps) {
    now += ms
    come(collector, sent, now)
    if (isPolled) told.push(...linesOf(collector, now))
    const { nodes, held } = collector.diagnostics(now)
    if (nodes.length > 2 || (isPolled && held > 5)) throw new Error('more than there may be')
  }
  told.push(...linesOf(collector))
  if (collector.pollTimeout() !== Number.POSITIVE_INFINITY) throw new Error('something waits')
  return told
}

holds(t, 'whatever comes, limits hold, and a replay is the same', steps, (steps) => {
  t.same(play(steps), play(steps))
})

const shuffled = fc.shuffledSubarray(
  Array.from({ length: 20 }, (_, index) => index + 1),
  { minLength: 1 },
)

holds(t, 'in whatever order they come, what is lost is what has not come', shuffled, (shuffled) => {
  const collector = opened()
  come(collector, { sequence: 1 })
  for (const sequence of shuffled) come(collector, { sequence })
  const came = new Set([1, ...shuffled])
  const lost = Math.max(...came) - came.size
  t.match(collector.diagnostics(0).nodes, [{ records: came.size, lost }])
})
