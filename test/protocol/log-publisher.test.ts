import fc from 'fast-check'
import t from 'tap'
import {
  decodeLog,
  decodeSource,
  hashOf,
  LOG_EVENTS,
  LOG_LEVELS,
  type LogRecord,
  topicOf,
} from '../../protocol/log.ts'
import { type LogPublisher, TOPICS_MAX } from '../../protocol/log-publisher.ts'
import { holds } from '../support/holds.ts'
import { EPOCH, effectsOf, entryOf, messagesOf, NODE, PEER, publisherOf } from '../support/log.ts'
import { concat } from '../support/octets.ts'

const ALL = new Uint8Array(0)

function recordsOf(publisher: LogPublisher, connection = 1): LogRecord[] {
  return messagesOf(publisher, connection).map((octets) => decodeLog([octets]) as LogRecord)
}

/** What a connection gets: `2 text` is the text in version 2. */
function textsOf(publisher: LogPublisher, connection = 1): string[] {
  return recordsOf(publisher, connection).map(({ version, text }) => `${version} ${text}`)
}

/** Connection 1 has subscribed to these. */
function subscribed(publisher: LogPublisher, ...topics: readonly Uint8Array[]): LogPublisher {
  publisher.handleOpen(1)
  for (const topic of topics) publisher.handleSubscribe(1, topic)
  return publisher
}

t.test('a record is there in both versions (log.md 5.1)', async (t) => {
  const publisher = subscribed(publisherOf(), ALL)
  const fields = { cause: 'expired' }
  const what = { event: LOG_EVENTS.exit, peer: PEER, group: 'CHAT', fields }
  publisher.log(entryOf('a text', what), EPOCH + 1_234)
  const head = { level: 3, event: LOG_EVENTS.exit, text: 'a text' }
  const who = { node: NODE, peer: PEER.uuid, group: 'CHAT', fields }
  const hashes = { node: hashOf('tcp://10.0.0.1:49152'), peer: hashOf(PEER.endpoint) }
  t.same(recordsOf(publisher), [
    { version: 2, ...head, epoch: EPOCH, sequence: 1, timeMs: EPOCH + 1_234, ...who },
    { version: 1, ...head, ...hashes, time: 1_700_000_001 },
  ])
})

t.test('who wants one version gets that alone (log.md 5.1)', async (t) => {
  for (const [topic, told] of [
    [Uint8Array.of(0xaa, 0xa2), ['2 a', '1 a']],
    [Uint8Array.of(0xaa, 0xa2, 1), ['1 a']],
    [Uint8Array.of(0xaa, 0xa2, 2), ['2 a']],
    [Uint8Array.of(0xaa, 0xa2, 3), []],
    [topicOf(1, 3), ['1 a']],
    [topicOf(2, 3), ['2 a']],
    [topicOf(2, 2), []],
    [concat(topicOf(1, 3), Uint8Array.of(LOG_EVENTS.text)), ['1 a']],
    [concat(topicOf(2, 3), Uint8Array.of(LOG_EVENTS.join)), []],
    [Uint8Array.of(0xab), []],
    [new Uint8Array(255).fill(0xaa), []],
  ] as const) {
    const publisher = subscribed(publisherOf(), topic)
    publisher.log(entryOf('a'), EPOCH)
    t.same(textsOf(publisher), told, String(topic))
  }
})

t.test('version 1 tells the group where there is no text (log.md 3.3)', async (t) => {
  const publisher = subscribed(publisherOf(), topicOf(1, 3))
  publisher.log({ level: 3, event: LOG_EVENTS.join, group: 'CHAT' }, EPOCH)
  publisher.log(entryOf('ß'.repeat(200)), EPOCH)
  publisher.log({ level: 3, event: LOG_EVENTS.start }, EPOCH)
  t.same(textsOf(publisher), ['1 CHAT', `1 ${'ß'.repeat(127)}`, '1 '])
})

t.test('each level is counted by itself (log.md 4.1)', async (t) => {
  const publisher = subscribed(publisherOf(), topicOf(2, 1), topicOf(2, 4))
  for (const level of [1, 4, 3, 3, 4, 1, 2]) publisher.log(entryOf('', { level }), EPOCH)
  const told = recordsOf(publisher).map(
    (record) => record.version === 2 && [record.level, record.sequence],
  )
  t.same(told, [
    [1, 1],
    [4, 1],
    [4, 2],
    [1, 2],
  ])
})

t.test('a node that begins anew tells another epoch (log.md 4.2)', async (t) => {
  const publisher = subscribed(publisherOf({ epoch: EPOCH + 1 }), topicOf(2, 3))
  publisher.log(entryOf(''), EPOCH)
  t.match(recordsOf(publisher), [{ epoch: EPOCH + 1, sequence: 1 }])
})

t.test('once each, to who subscribed, for as long as it does (zmtp.md 7.5)', async (t) => {
  const publisher = subscribed(publisherOf(), topicOf(2, 3), topicOf(2, 3), ALL)
  publisher.log(entryOf('a'), EPOCH)
  t.same(textsOf(publisher), ['2 a', '1 a'], 'several subscriptions to it are one')
  publisher.handleCancel(1, ALL)
  publisher.handleCancel(1, topicOf(2, 3))
  publisher.log(entryOf('b'), EPOCH)
  t.same(textsOf(publisher), ['2 b'], 'one of two was cancelled')
  publisher.handleCancel(1, topicOf(2, 3))
  publisher.handleCancel(1, topicOf(2, 3))
  publisher.log(entryOf('c'), EPOCH)
  t.same(textsOf(publisher), [], 'and to cancel once more is no mistake')
  publisher.handleClose(1)
  publisher.handleSubscribe(1, ALL)
  publisher.handleCancel(1, ALL)
  t.same(textsOf(publisher), [], 'nor is to speak after the end')
})

t.test('more than 64 topics close a connection (zmtp.md 7.6)', async (t) => {
  const publisher = publisherOf()
  publisher.handleOpen(1)
  for (let index = 0; index < TOPICS_MAX; index++) {
    publisher.handleSubscribe(1, Uint8Array.of(index))
    publisher.handleSubscribe(1, Uint8Array.of(index))
  }
  t.same(effectsOf(publisher), ['write 1'])
  publisher.handleSubscribe(1, Uint8Array.of(TOPICS_MAX))
  t.same(effectsOf(publisher), ['close 1 zmtp.md 7.6'])
})

t.test('who comes later gets the latest, each once (log.md 5.3)', async (t) => {
  const publisher = publisherOf({ recordsMax: 3 })
  for (const text of ['a', 'b', 'c', 'd']) publisher.log(entryOf(text), EPOCH)
  publisher.log(entryOf('e', { level: 2 }), EPOCH)
  subscribed(publisher, topicOf(2, 3))
  t.same(textsOf(publisher), ['2 c', '2 d'])
  publisher.handleSubscribe(1, topicOf(2, 2))
  t.same(textsOf(publisher), ['2 e'])
  publisher.handleSubscribe(1, Uint8Array.of(0xaa))
  t.same(textsOf(publisher), ['1 c', '1 d', '1 e'], 'what it had is not told again')
  publisher.log(entryOf('f'), EPOCH)
  t.same(textsOf(publisher), ['2 f', '1 f'])
  t.match(publisher.diagnostics(), {
    records: 6,
    kept: 3,
    connections: [{ connection: 1, topics: 3, sent: 8, dropped: 0 }],
  })
})

t.test('the ring is bounded in octets as well, and keeps one (log.md 5.3)', async (t) => {
  const publisher = publisherOf({ bytesMax: 1_000 })
  for (let count = 0; count < 100; count++) publisher.log(entryOf('x'.repeat(100)), EPOCH)
  const { kept, keptBytes } = publisher.diagnostics()
  t.ok(kept > 3 && keptBytes <= 1_000, `${kept} records of ${keptBytes} octets`)
  publisher.log(entryOf('y'.repeat(2_000)), EPOCH)
  t.match(publisher.diagnostics(), { kept: 1 })
  subscribed(publisher, topicOf(2, 3))
  t.same(textsOf(publisher), [`2 ${'y'.repeat(2_000)}`])
})

t.test('who does not read loses the oldest, and is told of once (log.md 5.4)', async (t) => {
  const publisher = subscribed(publisherOf({ recordsMax: 10 }), topicOf(2, 3))
  t.same(effectsOf(publisher), ['write 1'])
  for (let count = 1; count <= 25; count++) {
    publisher.log(entryOf(String(count)), EPOCH)
    publisher.log(entryOf('', { level: 1 }), EPOCH)
  }
  t.same(effectsOf(publisher), [])
  t.same(textsOf(publisher), ['2 21', '2 22', '2 23', '2 24', '2 25'])
  t.match(publisher.diagnostics().connections, [{ sent: 5, dropped: 20 }], 'not those of level 1')
  publisher.log(entryOf('26'), EPOCH)
  t.same(effectsOf(publisher), ['write 1'])
  t.same(textsOf(publisher), ['2 26'])
})

t.test('what is lost is counted as what is sent, in messages (log.md 5.4)', async (t) => {
  const publisher = subscribed(publisherOf({ recordsMax: 2 }), Uint8Array.of(0xaa, 0xa2))
  for (const text of ['a', 'b', 'c', 'd', 'e']) publisher.log(entryOf(text), EPOCH)
  t.same(textsOf(publisher), ['2 d', '1 d', '2 e', '1 e'])
  t.match(publisher.diagnostics().connections, [{ sent: 4, dropped: 6 }], 'of both versions')
})

t.test('what is above the level is not made, nor counted (log.md 5.5)', async (t) => {
  const publisher = subscribed(publisherOf({ level: 0 }), Uint8Array.of(0xaa, 0xa2, 2))
  for (const level of [0, 2, 3, 1]) {
    publisher.level = level
    for (const [name, each] of Object.entries(LOG_LEVELS)) {
      publisher.log(entryOf(`${name} at ${level}`, { level: each }), EPOCH)
    }
  }
  const told = recordsOf(publisher).map(
    (record) => record.version === 2 && `${record.text}: ${record.sequence}`,
  )
  t.same(told, [
    'error at 2: 1',
    'warning at 2: 1',
    'error at 3: 2',
    'warning at 3: 2',
    'info at 3: 1',
    'error at 1: 3',
  ])
})

const at = (index: number) => `tcp://10.0.0.${index}:9000`

t.test('those that came first are served, and then others (log.md 5.6)', async (t) => {
  const publisher = publisherOf({ collectorsMax: 2 })
  for (const index of [1, 2, 3, 4]) {
    t.ok(publisher.announce(`${index}`, at(index), [`10.0.0.${index}`]))
  }
  t.same(effectsOf(publisher), [`dial ${at(1)}`, `dial ${at(2)}`])
  t.ok(publisher.announce('2', at(2), ['10.0.0.2']))
  t.same(effectsOf(publisher), [], 'what is known is not said twice')
  publisher.forget('3')
  publisher.forget('3')
  t.same(effectsOf(publisher), [])
  publisher.forget('1')
  t.same(effectsOf(publisher), [`hangup ${at(1)}`, `dial ${at(4)}`])
  t.ok(publisher.announce('5', at(2), ['10.0.0.2']), 'the same one')
  publisher.forget('2')
  t.same(effectsOf(publisher), [], 'somebody still names it')
  t.ok(publisher.announce('5', at(5), ['10.0.0.5']), 'it has moved')
  t.same(effectsOf(publisher), [`hangup ${at(2)}`, `dial ${at(5)}`])
})

t.test('at level 0 no collector is served, and all are again (log.md 5.8)', async (t) => {
  const publisher = publisherOf({ level: 3, collectorsMax: 2 })
  publisher.log(entryOf('before'), EPOCH)
  const announce = (index: number) => publisher.announce(`${index}`, at(index), [`10.0.0.${index}`])
  for (const index of [1, 2, 3]) announce(index)
  t.same(effectsOf(publisher), [`dial ${at(1)}`, `dial ${at(2)}`])
  publisher.level = 0
  t.equal(publisher.level, 0)
  t.same(effectsOf(publisher), [`hangup ${at(1)}`, `hangup ${at(2)}`])
  publisher.forget('1')
  t.ok(announce(4))
  publisher.level = 0
  t.same(effectsOf(publisher), [])
  publisher.level = 1
  t.same(effectsOf(publisher), [`dial ${at(2)}`, `dial ${at(3)}`])
  publisher.level = 4
  t.same(effectsOf(publisher), [])
  t.equal(publisher.diagnostics().kept, 1)
})

t.test('our own collector is served, wherever it is (log.md 5.9)', async (t) => {
  const publisher = publisherOf()
  const announce = (header: string, address = '10.0.0.1') =>
    publisher.announce(NODE, header, [address])
  t.ok(announce('tcp://*:9000'))
  t.same(effectsOf(publisher), [`dial ${at(1)}`])
  t.ok(announce('tcp://*:9000', '10.0.0.2'), 'we have moved')
  t.same(effectsOf(publisher), [`hangup ${at(1)}`, `dial ${at(2)}`])
  t.ok(announce('tcp://127.0.0.1:9000'))
  t.same(effectsOf(publisher), [`hangup ${at(2)}`, 'dial tcp://127.0.0.1:9000'])
  t.notOk(announce('tcp://collector:9000'), 'no name is looked up')
  t.notOk(announce('here'))
  t.same(effectsOf(publisher), ['hangup tcp://127.0.0.1:9000'])
})

t.test('who names an address of others is not served (log.md 5.7)', async (t) => {
  const publisher = publisherOf()
  t.notOk(publisher.announce('1', at(2), ['10.0.0.1']))
  t.same(effectsOf(publisher), [])
  t.ok(publisher.announce('1', at(1), ['10.0.0.1']))
  t.notOk(publisher.announce('1', at(2), ['10.0.0.1']), 'nor any more')
  t.same(effectsOf(publisher), [`dial ${at(1)}`, `hangup ${at(1)}`])
})

t.test('who stops forgets all collectors, and keeps its records (log.md 5.3)', async (t) => {
  const publisher = publisherOf({ collectorsMax: 1 })
  publisher.log(entryOf('before'), EPOCH)
  publisher.announce('1', at(1), ['10.0.0.1'])
  publisher.announce('2', at(2), ['10.0.0.2'])
  t.same(effectsOf(publisher), [`dial ${at(1)}`])
  publisher.handleStop()
  publisher.forget('1')
  t.same(effectsOf(publisher), [])
  publisher.announce('2', at(2), ['10.0.0.2'])
  t.same(effectsOf(publisher), [`dial ${at(2)}`])
  publisher.handleEndpoint('tcp://10.0.0.7:1')
  t.match(recordsOf(subscribed(publisher, topicOf(1, 3))), [
    { node: hashOf('tcp://10.0.0.7:1'), text: 'before' },
  ])
})

t.test('it says whose records it has (log.md 5.2)', async (t) => {
  const source = decodeSource(publisherOf().source(EPOCH + 5))
  t.same(source, { node: NODE, name: 'kitchen', timeMs: EPOCH + 5 })
})

t.test('an application that changes what it gave changes nothing', async (t) => {
  const publisher = subscribed(publisherOf(), topicOf(2, 3))
  const fields = { count: 1 }
  publisher.log(entryOf('', { fields }), EPOCH)
  fields.count = 2
  t.match(recordsOf(publisher), [{ fields: { count: 1 } }])
})

t.test('octets are made once for all collectors', async (t) => {
  const publisher = subscribed(publisherOf(), ALL)
  publisher.handleOpen(2)
  publisher.handleSubscribe(2, ALL)
  publisher.log(entryOf('a'), EPOCH)
  const [one, other] = [messagesOf(publisher, 1), messagesOf(publisher, 2)]
  t.equal(one.length, 2)
  for (const [index, octets] of one.entries()) t.equal(octets, other[index])
})

type Step = { readonly kind: number; readonly level: number; readonly connection: number }
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({ kind: fc.nat(9), level: fc.integer({ min: 1, max: 4 }), connection: fc.nat(2) }),
  { maxLength: 120 },
)

/** @returns what each connection got: level and sequence. */
function play(publisher: LogPublisher, steps: readonly Step[]): string[][] {
  const got: string[][] = [[], [], []]
  for (const connection of [0, 1, 2]) publisher.handleOpen(connection)
  for (const { kind, level, connection } of steps) {
    if (kind < 5) publisher.log(entryOf('', { level }), EPOCH)
    else if (kind === 5) publisher.handleSubscribe(connection, topicOf(2, level))
    else if (kind === 6) publisher.handleCancel(connection, topicOf(2, level))
    else if (kind === 7) publisher.level = level
    else {
      for (const record of recordsOf(publisher, connection)) {
        if (record.version === 2) got[connection]?.push(`${record.level} ${record.sequence}`)
      }
    }
  }
  return got
}

holds(t, 'whatever is subscribed to, limits hold, and a replay is the same', steps, (steps) => {
  const publisher = publisherOf({ recordsMax: 7, bytesMax: 700 })
  const got = play(publisher, steps)
  const { kept, keptBytes } = publisher.diagnostics()
  t.ok(kept <= 7 && keptBytes <= 700)
  t.same(play(publisherOf({ recordsMax: 7, bytesMax: 700 }), steps), got)
})

const once = steps.map((steps) => steps.filter(({ kind }) => kind !== 6))

holds(t, 'who never cancels gets each record once, and each level in order', once, (once) => {
  for (const got of play(publisherOf({ recordsMax: 7 }), once)) {
    t.equal(new Set(got).size, got.length)
    for (const level of [1, 2, 3, 4]) {
      const sequences = got
        .filter((record) => record.startsWith(`${level} `))
        .map((record) => Number(record.slice(2)))
      t.same(
        sequences,
        sequences.toSorted((one, other) => one - other),
      )
    }
  }
})
