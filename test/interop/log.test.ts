/**
 * Our logs against libzmq: its SUB as collector of a node's log, its PUB as source of ours. Each with the libzmq of the package
 * zeromq, and with that of the system by a small C program; at the end, octets of one that speaks 3.0.
 */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Socket, Subscriber, XPublisher, XSubscriber } from 'zeromq'
import {
  decodeLog,
  encodeLog,
  hashOf,
  LOG_EVENTS,
  type LogLevel,
  type LogRecord,
  type LogRecordV2,
  topicOf,
} from '../../dist/protocol/index.js'
import { createLyre } from '../../dist/src/index.js'
import { LogReceiver } from '../../dist/src/log/receiver.js'
import { LogSender } from '../../dist/src/log/sender.js'
import { systemHost } from '../../dist/src/system/index.js'
import { type Child, startProgram } from '../support/child.ts'
import { eventually, Heard } from '../support/heard.ts'
import { entryOf, NODE, plain, RING } from '../support/log.ts'
import { freePort } from '../support/nodes.ts'
import { serve } from '../support/stranger.ts'
import { findVector, fromHex, loadVectors, toHex } from '../support/vectors.ts'
import { loadZmtpVectors } from '../support/zmtp.ts'

const SOURCE = new URL('./log.c', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'lyre-log-'))
t.teardown(() => rmSync(folder, { recursive: true }))

/** Why there is no program, or false. */
function compile(): string | false {
  try {
    const libraries = execFileSync('pkg-config', ['--cflags', '--libs', 'libzmq'])
    const flags = String(libraries).trim().split(/\s+/)
    execFileSync('cc', ['-o', join(folder, 'log'), SOURCE, ...flags], { stdio: 'pipe' })
    return false
  } catch {
    return 'it needs cc and the headers of libzmq, on Debian `apt-get install gcc pkg-config libczmq-dev`'
  }
}

const skip = compile()
const ANY = 'tcp://127.0.0.1:*'
const ADDRESSES = ['127.0.0.1']
const LEVELS: Readonly<Record<LogLevel, number>> = { error: 1, warning: 2, info: 3, debug: 4 }

// The foreign side, by either libzmq.

interface Foreign {
  readonly endpoint: string
  /** What it got: records, or subscriptions. */
  readonly heard: Heard<Uint8Array>
  subscribe(topic: Uint8Array): void
  cancel(topic: Uint8Array): void
  send(octets: Uint8Array): void
}

function receiveAll(t: Test, socket: Socket & AsyncIterable<Buffer[]>): Heard<Uint8Array> {
  const heard = new Heard<Uint8Array>()
  t.teardown(() => socket.close())
  const receive = async () => {
    for await (const [frame] of socket) heard.add(new Uint8Array(frame as Buffer))
  }
  receive().catch(() => {}) // It is closed.
  return heard
}

async function packaged(t: Test, type: 'sub' | 'xpub', endpoint?: string): Promise<Foreign> {
  const options = { linger: 0, receiveHighWaterMark: 0 }
  const sub = type === 'sub' ? new Subscriber(options) : undefined
  const xpub =
    type === 'xpub' ? new XPublisher({ linger: 0, verbosity: 'allSubsUnsubs' }) : undefined
  const socket = (sub ?? xpub) as Subscriber | XPublisher
  // One after the other, as it wants them.
  let sent: Promise<unknown> = Promise.resolve()
  if (endpoint === undefined) await socket.bind(ANY)
  else socket.connect(endpoint)
  return {
    endpoint: socket.lastEndpoint as string,
    heard: receiveAll(t, socket),
    subscribe: (topic) => sub?.subscribe(Buffer.from(topic)),
    cancel: (topic) => sub?.unsubscribe(Buffer.from(topic)),
    send: (octets) => {
      sent = sent.then(() => xpub?.send(Buffer.from(octets)))
    },
  }
}

async function compiled(t: Test, type: 'sub' | 'xpub', endpoint?: string): Promise<Foreign> {
  const how = endpoint === undefined ? 'bind' : 'connect'
  const child: Child = startProgram(t, join(folder, 'log'), [type, how, endpoint ?? ANY])
  const heard = new Heard<Uint8Array>()
  const { add } = child.heard
  child.heard.add = (line) => {
    add.call(child.heard, line)
    if (line.event === 'message') heard.add(fromHex(line.hex))
  }
  const ready = await child.next('ready')
  return {
    endpoint: ready.endpoint,
    heard,
    subscribe: (topic) => child.type(`+${toHex(topic)}`),
    cancel: (topic) => child.type(`-${toHex(topic)}`),
    send: (octets) => child.type(toHex(octets)),
  }
}

// Ours.

function senderOf(t: Test, endpoint: string): LogSender {
  const timer = systemHost.clock.timer(() => sender.handleTimeout(systemHost.clock.now()))
  const sender: LogSender = new LogSender(
    systemHost,
    { uuid: NODE, name: 'kitchen', level: 'debug', ...RING },
    { sooner: () => timer.set(sender.pollTimeout()) },
  )
  t.teardown(() => sender.stop())
  sender.start('tcp://127.0.0.1:1')
  t.ok(sender.announce('1'.repeat(32), endpoint, ADDRESSES))
  return sender
}

async function receiverOf(t: Test, level: LogLevel) {
  const heard = new Heard<string>()
  const timer = systemHost.clock.timer(() => receiver.handleTimeout(systemHost.clock.now()))
  const receiver: LogReceiver = new LogReceiver(
    systemHost,
    { level, holdMs: 5, connectionsMax: 10 },
    {
      event: (event) => heard.add(plain(event)),
      sooner: () => timer.set(receiver.pollTimeout()),
    },
  )
  t.teardown(() => receiver.stop())
  const endpoint = await receiver.listen({ address: '127.0.0.1', port: 0 })
  return { receiver, heard, endpoint }
}

function say(sender: LogSender, text: string): void {
  for (const level of Object.values(LEVELS)) sender.log(entryOf(text, { level }))
}

/** `2.3 text` is the text, at info in version 2. */
function lineOf(octets: Uint8Array): string {
  const { version, level, text } = decodeLog([octets]) as LogRecord
  return `${version}.${level} ${text}`
}

/** All lines up to the first with that text. */
async function linesTo(heard: Heard<Uint8Array>, last: string): Promise<string[]> {
  const from = heard.items.length
  await heard.until(last, () => heard.items.some((octets) => lineOf(octets).endsWith(last)))
  await heard.next(last, (octets) => lineOf(octets).endsWith(last))
  t.ok(from <= heard.items.length)
  return heard.items.map(lineOf)
}

const SIDES = [
  ['the package', packaged, false],
  ['the system', compiled, skip],
] as const

for (const [name, open, skip] of SIDES) {
  t.test(`a SUB of libzmq, of ${name}, gets the levels that it wants`, { skip }, async (t) => {
    const collector = await open(t, 'sub')
    collector.subscribe(topicOf(1, 1))
    collector.subscribe(topicOf(2, 3))
    const sender = senderOf(t, collector.endpoint)
    say(sender, 'before')
    const first = await linesTo(collector.heard, '2.3 before')
    t.same(first, ['1.1 before', '2.3 before'], 'what there was, of both versions')
    collector.subscribe(topicOf(2, 4))
    await linesTo(collector.heard, '2.4 before')
    collector.cancel(topicOf(1, 1))
    collector.cancel(topicOf(2, 3))
    // Subscriptions come in order: once this one is there, so are those before it.
    collector.subscribe(topicOf(1, 2))
    await linesTo(collector.heard, '1.2 before')
    const count = collector.heard.items.length
    say(sender, 'after')
    await linesTo(collector.heard, '2.4 after')
    t.same(collector.heard.items.slice(count).map(lineOf), ['1.2 after', '2.4 after'])
    t.match(sender.diagnostics().collectors, [{ state: 'connected', dropped: 0 }])
  })

  t.test(`a SUB of libzmq, of ${name}, that wants all gets both versions`, { skip }, async (t) => {
    const collector = await open(t, 'sub')
    collector.subscribe(new Uint8Array(0))
    const sender = senderOf(t, collector.endpoint)
    for (let count = 1; count <= 2_000; count++) sender.log(entryOf(String(count)))
    await linesTo(collector.heard, '1.3 2000')
    const records = collector.heard.items.map((octets) => decodeLog([octets]) as LogRecord)
    const sequences = records.flatMap((record) => (record.version === 2 ? [record.sequence] : []))
    t.same(
      sequences,
      Array.from({ length: 2_000 }, (_, index) => index + 1),
    )
    t.equal(records.length, 4_000)
  })

  t.test(`a SUB of libzmq, of ${name}, is found by a header of a peer`, { skip }, async (t) => {
    const collector = await open(t, 'sub')
    collector.subscribe(topicOf(1, LEVELS.info))
    collector.subscribe(topicOf(2, LEVELS.info))
    collector.subscribe(topicOf(2, LEVELS.warning))
    const network = { interface: '127.0.0.1', beaconPort: await freePort(), beaconIntervalMs: 100 }
    const headers = { 'X-ZRELOG': collector.endpoint }
    const hub = createLyre({ ...network, name: 'hub', headers })
    const kitchen = createLyre({ ...network, name: 'kitchen', log: { level: 'info' } })
    t.teardown(() => Promise.all([hub.stop({ lingerMs: 0 }), kitchen.stop({ lingerMs: 0 })]))
    await Promise.all([hub.start(), kitchen.start()])
    await kitchen.waitForPeers(1, { timeoutMs: 20_000 })
    kitchen.join('CHAT')
    kitchen.log('warning', 'it is hot', { celsius: 31 })
    const { endpoint } = kitchen
    await linesTo(collector.heard, '2.2 it is hot')
    await kitchen.stop()
    const records = () => collector.heard.items.map((octets) => decodeLog([octets]) as LogRecord)
    const isLast = ({ version, event }: LogRecord) => version === 2 && event === 18
    await collector.heard.until('its last word', () => records().some(isLast))
    // A machine that is busy for long has more to tell.
    const isOfBusy = ({ event }: LogRecord) =>
      event === LOG_EVENTS.late || event === LOG_EVENTS.status
    const told = records().flatMap((record) =>
      record.version === 2 && !isOfBusy(record) ? [record] : [],
    )
    t.same(new Set(told.map(({ node }) => node)), new Set([kitchen.uuid]))
    t.same(told.map(({ event, peer, group, text }) => [event, peer, group, text]).sort(), [
      [1, undefined, 'CHAT', ''],
      [16, undefined, '', 'it is hot'],
      [17, undefined, '', endpoint],
      [18, undefined, '', ''],
      [3, hub.uuid, '', 'hub'],
    ])
    const [first] = records().filter(({ version }) => version === 1)
    t.match(first, { node: hashOf(endpoint as string), text: (endpoint as string).slice(0, 255) })
  })

  t.test(`a PUB of libzmq, of ${name}, is heard, at the levels we want`, { skip }, async (t) => {
    const { receiver, heard, endpoint } = await receiverOf(t, 'warning')
    const source = await open(t, 'xpub', endpoint)
    const asked = ['01aaa20101', '01aaa20201', '01aaa20102', '01aaa20202']
    const subscriptions = () => source.heard.items.map(toHex)
    await source.heard.until('four subscriptions', () => subscriptions().length >= 4)
    t.same(subscriptions(), asked)
    const send = (version: 1 | 2, text: string) => {
      for (const level of Object.values(LEVELS)) {
        source.send(
          version === 1
            ? encodeLog({ version, level, event: 1, node: 7, peer: 0, time: 1_700_000_000, text })
            : encodeLog({ ...record(level), text }),
        )
      }
    }
    send(1, 'one')
    await heard.until('two records', () => heard.items.length >= 2)
    receiver.setLevel('info')
    await source.heard.until('two more', () => subscriptions().length >= 6)
    t.same(subscriptions().slice(4), ['01aaa20103', '01aaa20203'])
    send(1, 'more')
    await heard.until('three more', () => heard.items.length >= 5)
    receiver.setLevel('error')
    await source.heard.until('four cancelled', () => subscriptions().length >= 10)
    const cancelled = ['00aaa20102', '00aaa20202', '00aaa20103', '00aaa20203']
    t.same(subscriptions().slice(6), cancelled)
    send(2, 'two')
    await heard.until('one more', () => heard.items.length >= 6)
    t.same(heard.items, ['one', 'one', 'more', 'more', 'more', 'two'])
    t.match(receiver.diagnostics().refused, { malformed: 0, later: 0, doubled: 0 })
  })
}

function record(level: number): LogRecordV2 {
  const rest = { version: 2, event: 16, epoch: 1, sequence: 1, timeMs: 1_700_000_000_000 } as const
  return { ...rest, level, node: NODE, peer: undefined, group: '', text: '', fields: undefined }
}

t.test('an XSUB of libzmq, which says all as messages, is understood', async (t) => {
  const socket = new XSubscriber({ linger: 0 })
  await socket.bind(ANY)
  const heard = receiveAll(t, socket)
  const sender = senderOf(t, socket.lastEndpoint as string)
  sender.log(entryOf('before'))
  await eventually('it is connected', () => {
    return sender.diagnostics().collectors[0]?.state === 'connected'
  })
  await socket.send(Buffer.from('nothing to a PUB'))
  await socket.send(Buffer.of(1, ...topicOf(2, 3)))
  t.same(await linesTo(heard, 'before'), ['2.3 before'])
  await socket.send(Buffer.of(0, ...topicOf(2, 3)))
  await socket.send(Buffer.of(1, ...topicOf(2, 2)))
  sender.log(entryOf('unheard'))
  sender.log(entryOf('after', { level: 2 }))
  await linesTo(heard, 'after')
  t.same(
    heard.items.map(lineOf).filter((line) => line !== '2.3 unheard'),
    ['2.3 before', '2.2 after'],
  )
})

const ZMTP = loadZmtpVectors()
const OLD_GREETING = findVector(ZMTP, 'greeting-null-no-identity').bytes.with(11, 0)

/** The octets that come to a socket, as text. */
function hexOf(came: Heard<Buffer>): string {
  return Buffer.concat(came.items).toString('hex')
}

t.test('a SUB that speaks 3.0 has its records', async (t) => {
  const came = new Heard<Buffer>()
  let subscribe = () => {}
  const port = await serve(t, (socket) => {
    socket.write(OLD_GREETING)
    socket.write(findVector(ZMTP, 'ready-sub').bytes)
    socket.on('data', (octets) => came.add(octets))
    subscribe = () => void socket.write(findVector(ZMTP, 'subscribe-message').bytes)
  })
  const sender = senderOf(t, `tcp://127.0.0.1:${port}`)
  sender.log(entryOf('first', { level: 1 }))
  await came.until('its READY', () => hexOf(came).includes(toHex(Buffer.from('X-ZRELOG'))))
  subscribe()
  const text = toHex(Buffer.from('first'))
  await came.until('a record', () => hexOf(came).endsWith(text))
  t.match(hexOf(came), new RegExp(`0017aaa2010110[0-9a-f]{24}05${text}$`))
})

t.test('a PUB that speaks 3.0 is subscribed to by messages', async (t) => {
  const { heard, endpoint } = await receiverOf(t, 'error')
  const came = new Heard<Buffer>()
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(endpoint).port) })
  t.teardown(() => socket.destroy())
  socket.on('data', (octets) => came.add(octets))
  socket.write(OLD_GREETING)
  socket.write(findVector(ZMTP, 'ready-pub').bytes)
  await came.until('subscriptions', () => hexOf(came).endsWith('000501aaa20101000501aaa20201'))
  const octets = findVector(loadVectors('log'), 'log-error-join-utf8').bytes
  socket.write(Buffer.of(0, octets.length, ...octets))
  t.equal(await heard.next('a record'), 'grüppé')
})
