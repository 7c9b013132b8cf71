/** Logs: records of strangers, as they are read and written, and what a collector makes of them; a publisher among collectors. */

import {
  decodeLog,
  encodeLog,
  LOG_RECORD_BYTES_MAX,
  type LogRecord,
  topicOf,
} from '../../protocol/log.ts'
import type { LogCollector } from '../../protocol/log-collector.ts'
import type { LogPublisher } from '../../protocol/log-publisher.ts'
import { collectedOf, collectorOf, EPOCH, messagesOf, NODE, publisherOf } from '../support/log.ts'
import { loadVectors } from '../support/vectors.ts'
import { Draft } from './draft.ts'
import type { Random } from './random.ts'
import { expect, hex, ruleOf, same, type Tally, type Target, type Trial } from './trial.ts'

const HELD_MAX = 50
const NODES_MAX = 5
const RECORDS_MAX = 20
const CONNECTIONS = 4
const draft = new Draft()
const { vectors } = loadVectors('log')
const FRAMES = vectors.map(({ bytes }) => bytes).filter(({ length }) => length > 0)
const JSONS = ['', '{}', '{"a":1}', '{"a":{"b":[1,null]}}', '[]', '{', '{"a":1e999}', '"a"']

export const logTarget: Target = {
  name: 'log',
  share: 8,
  stepsMax: 200,
  begin: (_random, tally) => new LogTrial(tally),
  replay: (octets) => {
    for (const frame of [octets, octets.subarray(2)]) checkFrame(frame)
  },
}

/** What can be read is written as it came, unless its text was no UTF-8 or its JSON written otherwise. */
function checkFrame(frame: Uint8Array): LogRecord | undefined {
  let record: LogRecord | undefined
  ruleOf(() => {
    record = decodeLog([frame])
  })
  if (record === undefined) return undefined
  expect(record.level > 0 && record.event > 0, 'a level and an event')
  const restored = JSON.stringify(record).includes('\ufffd')
  if (restored) return record
  const octets = encodeLog(record)
  if (record.version === 1) {
    expect(same(octets, frame), 'encode(decode(x)) is x')
  } else {
    const again = decodeLog([octets])
    expect(JSON.stringify(again) === JSON.stringify(record), 'decode(encode(x)) is x')
  }
  return record
}

class LogTrial implements Trial {
  readonly over = false
  readonly #tally: Tally
  readonly #collector: LogCollector = collectorOf({ heldMax: HELD_MAX, nodesMax: NODES_MAX })
  readonly #publisher: LogPublisher = publisherOf({ recordsMax: RECORDS_MAX, bytesMax: 3_000 })
  readonly #open = new Set<number>()
  #now = 0
  /** Of the records that came in, and of what went out. */
  #took = 0
  #gave = 0

  constructor(tally: Tally) {
    this.#tally = tally
  }

  step(random: Random): void {
    const connection = random.below(CONNECTIONS)
    const kind = random.below(16)
    if (kind === 0) this.#toggle(random, connection)
    else if (kind === 1) this.#now += random.below(random.once(8) ? 200_000 : 100)
    else if (kind === 2) this.#collector.setLevel(random.pick(['error', 'info', 'debug']))
    else if (kind < 6) this.#publish(random, connection)
    else this.#say(random, connection)
    if (random.once(4)) this.#drain(this.#now)
    const { nodes, held } = this.#collector.diagnostics(this.#now)
    expect(nodes.length <= NODES_MAX, 'nodes are limited')
    expect(held <= HELD_MAX + 1_000, 'what is held is limited')
    expect(
      nodes.every(({ lost }) => lost >= 0),
      'nobody has lost less than nothing',
    )
  }

  end(): void {
    for (const connection of [...this.#open]) this.#close(connection)
    this.#now += 2_000
    this.#drain(Number.POSITIVE_INFINITY)
    expect(this.#collector.pollTimeout() === Number.POSITIVE_INFINITY, 'nothing waits')
    expect(this.#gave === this.#took, `${this.#took} records came, ${this.#gave} went out`)
  }

  #toggle(random: Random, connection: number): void {
    if (this.#close(connection)) return
    this.#open.add(connection)
    this.#publisher.handleOpen(connection)
    const timeMs = EPOCH + this.#now - random.below(1_000_000)
    const source = random.once(2) ? { node: NODE, name: 'n', timeMs } : undefined
    const address = `10.0.0.${connection}`
    const about = { source, address, answers: random.once(2) }
    this.#collector.handleOpen(connection, about, this.#instant)
  }

  #close(connection: number): boolean {
    if (!this.#open.delete(connection)) return false
    this.#collector.handleClose(connection)
    this.#publisher.handleClose(connection)
    return true
  }

  get #instant() {
    return { now: this.#now, timeMs: EPOCH + this.#now }
  }

  #publish(random: Random, connection: number): void {
    const level = random.below(5)
    const topic = random.once(4) ? draft.clear().noise(random, random.below(9)).take() : undefined
    switch (random.below(4)) {
      case 0:
        this.#publisher.handleSubscribe(connection, topic ?? topicOf(2, level))
        break
      case 1:
        this.#publisher.handleCancel(connection, topic ?? topicOf(2, level))
        break
      default:
        this.#publisher.log({ level: 1 + level, event: 16, text: 'x'.repeat(level * 40) }, EPOCH)
        break
    }
    const { kept, keptBytes } = this.#publisher.diagnostics()
    expect(kept <= RECORDS_MAX && (keptBytes <= 3_000 || kept === 1), 'the ring is limited')
    if (random.once(2)) return
    const messages = messagesOf(this.#publisher, connection)
    expect(messages.length <= 2 * RECORDS_MAX, 'no more is told than there is')
    for (const octets of messages) expect(decodeLog([octets]) !== undefined, 'it can be read')
    while (this.#publisher.pollEffect() !== undefined);
  }

  #say(random: Random, connection: number): void {
    const kind = random.below(16)
    draft.clear()
    if (kind < 2) draft.copy(random.pick(FRAMES))
    else if (kind < 3) draft.noise(random, random.below(70))
    else if (kind < 6) {
      draft
        .u32(0xaaa20100 | random.below(5))
        .u8(random.below(4))
        .noise(random, 4)
      draft
        .u32(random.once(8) ? random.u32() : 0)
        .u32(random.u32())
        .text1('text')
    } else this.#writeV2(random)
    if (kind > 13) draft.mutate(random)
    const frame = draft.take()
    this.#tally.inputs++
    this.#tally.note?.(`${connection}: ${hex(frame)}`)
    const record = checkFrame(frame)
    expect(record === undefined || frame.length <= LOG_RECORD_BYTES_MAX, 'octets of a record')
    const isOpen = this.#open.has(connection)
    const refusal = this.#collector.handleMessage(connection, [frame], this.#instant)
    if (isOpen && refusal === undefined) {
      expect(record !== undefined, 'what cannot be read is not taken')
      this.#took++
    }
  }

  #writeV2(random: Random): void {
    draft.u32(0xaaa20200 | random.below(6)).u8(random.below(4))
    draft.u32(0).u32(random.below(3))
    draft.u32(random.once(30) ? random.u32() : 0).u32(random.below(30))
    draft.u32(random.once(8) ? random.u32() & 0x1fffff : 395).u32(random.u32())
    draft.run(15, 1).u8(random.below(7)).run(16, random.below(2))
    draft.text1(random.pick(['', 'CHAT', 'ß'])).text4(random.pick(['', 'a text']))
    draft.text4(random.pick(JSONS))
  }

  #drain(now: number): void {
    this.#collector.handleTimeout(this.#now)
    for (let next = this.#collector.pollEffect(); next; next = this.#collector.pollEffect()) {
      if ('topic' in next) expect(next.topic.length === 4, 'a topic')
      else if (next.type === 'close') this.#close(next.connection)
    }
    for (const event of collectedOf(this.#collector, now)) {
      expect(Number.isFinite(event.timeMs), 'a time')
      if (event.type === 'record') this.#gave++
      else if (event.type === 'gap') expect(event.count > 0, 'a gap is one')
    }
  }
}
