import { hostname } from 'node:os'
import pino from 'pino'
import t from 'tap'
import { logStream } from '../../../src/log/stream.ts'

type Said = readonly [level: string, text: string, fields?: object]

/** What a node is told to log. */
class Log {
  readonly said: Said[] = []

  log(...said: Said): void {
    this.said.push(said)
  }
}

t.test(
  'what a logger of pino says is logged, with its levels, its bindings and its errors',
  (t) => {
    const log = new Log()
    const logger = pino({ level: 'trace', base: { pid: 7 } }, logStream(log))
    logger.fatal('one')
    logger.error(new Error('two'))
    logger.warn({ celsius: 31, rooms: ['hall'] }, 'it is %s', 'hot')
    logger.info('four')
    logger.child({ module: 'door' }).debug({ open: true })
    logger.trace('six')
    t.match(log.said, [
      ['error', 'one', { pid: 7 }],
      ['error', 'two', { err: { type: 'Error', message: 'two', stack: /^Error: two/ } }],
      ['warning', 'it is hot', { pid: 7, celsius: 31, rooms: ['hall'] }],
      ['info', 'four', { pid: 7 }],
      ['debug', '', { pid: 7, module: 'door', open: true }],
      ['debug', 'six', { pid: 7 }],
    ])
    t.notOk(log.said.some(([, , fields]) => Object.hasOwn(fields ?? {}, 'time')))
    t.end()
  },
)

t.test('pino knows it for a destination where it is told nothing else', async (t) => {
  const log = new Log()
  pino(logStream(log)).info({ celsius: 180 }, 'the oven is on')
  t.match(log.said, [['info', 'the oven is on', { celsius: 180 }]])
})

t.test('beside other destinations, with levels as texts and another key of the message', (t) => {
  const log = new Log()
  const lines: string[] = []
  const both = pino.multistream([
    { stream: { write: (line: string) => void lines.push(line) } },
    { stream: logStream(log, { messageKey: 'message' }) },
  ])
  const formatters = { level: (label: string) => ({ level: label }) }
  const logger = pino({ level: 'info', messageKey: 'message', formatters }, both)
  logger.warn('one')
  logger.fatal('two')
  logger.debug('unheard')
  t.match(log.said, [
    ['warning', 'one', { hostname: hostname() }],
    ['error', 'two'],
  ])
  t.equal(lines.length, 2)
  t.end()
})

t.test('lines may come in pieces, as octets, and be no JSON', (t) => {
  const log = new Log()
  const stream = logStream(log)
  const octets = new TextEncoder().encode(
    '{"level":50,"msg":"grüß"}\nplain text\n\n[1]\n{"msg":7}\n{"le',
  )
  for (let index = 0; index < octets.length; index += 3) {
    t.ok(stream.write(octets.subarray(index, index + 3)))
  }
  stream.write('vel":"LOUD","msg":')
  stream.end()
  t.same(log.said, [
    ['error', 'grüß', undefined],
    ['info', 'plain text', undefined],
    ['info', '[1]', undefined],
    ['info', '7', undefined],
    ['info', '{"level":"LOUD","msg":', undefined],
  ])
  for (let count = 0; count < 1_000; count++) stream.write('x'.repeat(1_000))
  stream.end()
  t.equal(log.said.at(-1)?.[1].length, 262_144, 'what never ends takes no more memory than that')
  stream.end()
  t.equal(log.said.length, 6)
  t.end()
})
