/** A node's log over sockets of this machine: a collector that stops to read, and goes on, or dies. */

import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { decodeLog, topicOf } from '../../protocol/index.ts'
import { LogReceiver } from '../../src/log/receiver.ts'
import { LogSender } from '../../src/log/sender.ts'
import { systemHost } from '../../src/system/index.ts'
import { eventually, Heard } from '../support/heard.ts'
import { Link } from '../support/link.ts'
import { entryOf, NODE, plain, RING } from '../support/log.ts'
import { serve } from '../support/stranger.ts'

const ADDRESSES = ['127.0.0.1']
const { clock } = systemHost

function senderOf(t: Test, endpoint: string): LogSender {
  const timer = clock.timer(() => sender.handleTimeout(clock.now()))
  const sender: LogSender = new LogSender(
    systemHost,
    { uuid: NODE, name: 'kitchen', level: 'info', ...RING },
    { sooner: () => timer.set(sender.pollTimeout()) },
  )
  t.teardown(() => sender.stop())
  sender.start('tcp://127.0.0.1:1')
  t.ok(sender.announce('1'.repeat(32), endpoint, ADDRESSES))
  return sender
}

/** Logs so many records, with turns in between. */
async function burst(sender: LogSender, count: number): Promise<void> {
  const text = 'x'.repeat(500)
  for (let index = 0; index < count; index++) {
    sender.log(entryOf(text))
    if (index % 200 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

/** What a collector of bare sockets got: sequences, in order. */
class Collector {
  readonly sequences: number[] = []
  readonly link: Link
  readonly socket: Socket

  constructor(socket: Socket) {
    this.socket = socket
    this.link = new Link(socket, 'SUB')
    const { heard } = this.link
    heard.add = (event) => {
      if (event.type === 'ready') {
        this.link.zmtp.subscribe(topicOf(2, 3))
      } else if (event.type === 'message') {
        const record = decodeLog(event.frames)
        if (record?.version === 2) this.sequences.push(record.sequence)
      }
    }
  }
}

async function collectorsOf(t: Test) {
  const heard = new Heard<Collector>()
  const port = await serve(t, (socket) => heard.add(new Collector(socket)))
  return { heard, endpoint: `tcp://127.0.0.1:${port}` }
}

t.test(
  'what a collector that stops to read has missed is counted to the last record',
  async (t) => {
    const { heard, endpoint } = await collectorsOf(t)
    const sender = senderOf(t, endpoint)
    const { sequences, socket } = await heard.next<Collector>('a connection')
    await burst(sender, 100)
    await eventually('all is there', () => sequences.length === 100)
    socket.pause()
    await burst(sender, 60_000)
    const { kept, keptBytes, collectors } = sender.diagnostics()
    const { sent = 0, dropped = 0 } = collectors[0] ?? {}
    t.ok(dropped > 20_000, `${dropped} were dropped`)
    t.ok(keptBytes <= 1_048_576)
    t.equal(sent + dropped + kept, 60_100)
    socket.resume()
    await eventually('it has the last', () => sequences.at(-1) === 60_100)
    t.equal(sequences.length, 60_100 - dropped)
    t.ok(sequences.every((sequence, index) => sequence > (sequences[index - 1] ?? 0)))
  },
)

t.test('a collector that dies is dialled until it is back, and names what it missed', async (t) => {
  const { heard, endpoint } = await collectorsOf(t)
  const sender = senderOf(t, endpoint)
  const first = await heard.next<Collector>('a connection')
  await burst(sender, 100)
  await eventually('all is there', () => first.sequences.length === 100)
  first.socket.resetAndDestroy()
  await burst(sender, 5_000)
  const second = await heard.next<Collector>('another connection')
  await eventually('it has the last', () => second.sequences.at(-1) === 5_100)
  // It may have come while there was more to come.
  const [oldest = 0] = second.sequences
  t.ok(second.sequences.length >= sender.diagnostics().kept, 'what there still was')
  t.equal(second.sequences.length, 5_100 - oldest + 1, 'without a gap')
})

t.test('a node that is a collector hears the log of another', async (t) => {
  const events = new Heard<string>()
  const timer = clock.timer(() => receiver.handleTimeout(clock.now()))
  const receiver: LogReceiver = new LogReceiver(
    systemHost,
    { level: 'info', holdMs: 10, connectionsMax: 10 },
    {
      event: (event) => events.add(plain(event)),
      sooner: () => timer.set(receiver.pollTimeout()),
    },
  )
  t.teardown(() => receiver.stop())
  const sender = senderOf(t, await receiver.listen({ address: '127.0.0.1', port: 0 }))
  sender.log(entryOf('one'))
  t.equal(await events.next('a record'), 'one')
  sender.log(entryOf('last words'))
  await sender.stop(5_000)
  t.equal(await events.next('a record'), 'last words')
  const [node] = receiver.diagnostics().nodes
  t.ok(node && node.offsetMs >= 0, 'nothing arrives before it was sent')
})
