/** A collector as a program has it: a node whose header leads others to it. */

import t, { type Test } from 'tap'
import {
  type Collector,
  type CollectorOptions,
  createCollector,
  type LogLine,
} from '../../../src/index.ts'
import { lineOf } from '../../../src/log/lines.ts'
import { Heard } from '../../support/heard.ts'
import { EPOCH, entryOf, NODE } from '../../support/log.ts'
import { startLogger } from '../../support/logger.ts'
import { freePort } from '../../support/nodes.ts'

function collectorOf(t: Test, beaconPort: number, options: CollectorOptions = {}) {
  const heard = new Heard<LogLine>()
  const node = { interface: '127.0.0.1', beaconPort, ...options.node }
  const collector = createCollector({ holdMs: 20, ...options, node })
  for (const type of ['record', 'gap', 'restart'] as const) {
    collector.on(type, (line: LogLine) => heard.add(line))
  }
  t.teardown(() => collector.stop())
  return { collector, heard }
}

function headerOf(collector: Collector): string | undefined {
  return collector.lyre?.headers['X-ZRELOG']
}

t.test('nodes find a collector by themselves, and it tells what they say', async (t) => {
  const port = await freePort()
  const { collector, heard } = collectorOf(t, port)
  const kitchen = await startLogger(t, { name: 'kitchen', beaconPort: port })
  kitchen.say(1)
  await collector.start()
  const cellar = await startLogger(t, { name: 'cellar', beaconPort: port })
  cellar.say(1)
  const texts = new Set<string>()
  for (const _ of [1, 2]) {
    const line = await heard.next('a record')
    t.equal(line.event, 'record')
    if (line.event === 'record') texts.add(line.record.text)
  }
  t.same(texts, new Set(['kitchen 1', 'cellar 1']), 'also what was said before')
  const nodes = collector.diagnostics()?.nodes.map(({ name }) => name)
  t.same(nodes?.sort(), ['cellar', 'kitchen'])
  await collector.stop()
  t.equal(collector.diagnostics(), null)
  t.equal(collector.lyre, undefined)
})

t.test('what is collected can be changed while it is', async (t) => {
  const port = await freePort()
  const { collector, heard } = collectorOf(t, port, { level: 'error' })
  await collector.start()
  const { sender } = await startLogger(t, { name: 'kitchen', beaconPort: port })
  sender.log(entryOf('no'))
  sender.log(entryOf('yes', { level: 1 }))
  t.match(await heard.next('an error'), { record: { level: 'error', text: 'yes' } })
  collector.level = 'info'
  t.equal(collector.level, 'info')
  t.match(await heard.next('what there was of it'), { record: { level: 'info', text: 'no' } })
})

t.test('what its own node logs is collected like the rest, from first to last', async (t) => {
  const port = await freePort()
  const own = { name: 'eye', log: { level: 'info' } } as const
  const { collector, heard } = collectorOf(t, port, { node: { ...own, beaconPort: port } })
  await collector.start()
  t.match(await heard.next('its start'), { node: { name: 'eye' }, record: { event: 'start' } })
  collector.lyre?.log('warning', 'it is dark')
  t.match(await heard.next('what it says'), { record: { text: 'it is dark' } })
  await collector.stop()
  t.match(await heard.next('its stop'), { node: { name: 'eye' }, record: { event: 'stop' } })
})

t.test('it listens where it is told, and says so', async (t) => {
  const port = await freePort()
  const { collector } = collectorOf(t, port)
  await collector.start()
  t.match(headerOf(collector), /^tcp:\/\/127\.0\.0\.1:\d+$/, 'of loopback alone, nowhere else')
  await collector.start()
  await collector.stop()
  await collector.stop()

  const { collector: all } = collectorOf(t, port, { listen: 'tcp://*:*' })
  await all.start()
  t.match(headerOf(all), /^tcp:\/\/\*:\d+$/, 'each node by the address at which it knows us')
  const taken = headerOf(all)?.replace('*', '127.0.0.1') ?? ''
  const { collector: late } = collectorOf(t, port, { listen: taken })
  await t.rejects(late.start(), { code: 'ERR_LYRE_NETWORK' })
  t.equal(late.lyre, undefined)
  await all.stop()
  await late.start()
  t.equal(headerOf(late), taken, 'it can be tried again')
})

t.test('a start that fails, or is given up, leaves nothing open', async (t) => {
  const port = await freePort()
  const { collector } = collectorOf(t, port, { node: { interface: 'nix0' } })
  await t.rejects(collector.start(), { code: 'ERR_LYRE_USAGE' })
  const { collector: other } = collectorOf(t, port)
  const leaving = new AbortController()
  const started = other.start({ signal: leaving.signal })
  leaving.abort(new Error('never mind'))
  await t.rejects(started, { message: 'never mind' })
  t.equal(other.lyre, undefined)
})

t.test('options that cannot work are refused', async (t) => {
  const wrong = [
    [{ lisen: 'x' }, /there is no option lisen; there are level, listen/],
    [{ level: 'loud' }, /level has to be one of error, warning, info, debug, not loud/],
    [{ listen: 'tcp://kitchen:1' }, /listen has to be tcp:\/\/ADDRESS:PORT/],
    [{ holdMs: -1 }, /holdMs has to be an integer from 0 to 60000/],
    [{ connectionsMax: 0 }, /connectionsMax has to be an integer from 1/],
    [{ node: { nmae: 'x' } }, /there is no option nmae/],
    [{ node: { headers: { 'x-zrelog': '' } } }, /header x-zrelog is the collector's own/],
  ] as const
  for (const [options, message] of wrong) {
    t.throws(() => createCollector(options as CollectorOptions), {
      code: 'ERR_LYRE_USAGE',
      message,
    })
  }
  const collector = createCollector()
  t.throws(() => {
    collector.level = 'x' as never
  }, /level has to be/)
})

t.test('what was collected is plain data, with nothing empty in it', async (t) => {
  const node = { uuid: NODE, hash: undefined, name: 'kitchen', address: '10.0.0.1' }
  const head = { version: 2, level: 3, event: 4, epoch: EPOCH, sequence: 7, timeMs: EPOCH } as const
  const empty = { peer: undefined, group: '', text: '', fields: undefined, node: NODE }
  const record = { ...head, ...empty }
  const who = { uuid: NODE, name: 'kitchen', address: '10.0.0.1' }
  const told = { version: 2, level: 'info', event: 'exit', time: EPOCH, epoch: EPOCH, sequence: 7 }
  t.strictSame(lineOf({ type: 'record', node, timeMs: EPOCH + 1, offsetMs: 1, record }), {
    event: 'record',
    time: EPOCH + 1,
    offsetMs: 1,
    node: who,
    record: { ...told, text: '' },
  })
  t.strictSame(lineOf({ type: 'restart', node, timeMs: 1, epoch: 2 }), {
    event: 'restart',
    time: 1,
    node: who,
    epoch: 2,
  })
  const gap = { level: 200, sequence: 3, count: 2 }
  t.strictSame(lineOf({ type: 'gap', node, timeMs: 1, ...gap }), {
    event: 'gap',
    time: 1,
    node: who,
    ...gap,
    level: '200',
  })
})
