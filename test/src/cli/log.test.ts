/** `lyre log` between processes on loopback: what nodes tell is shown, saved, and found again; also where it is killed. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseLine } from '../../../src/cli/log-archive.ts'
import type { LogFields, LogLine } from '../../../src/index.ts'
import { startChild } from '../../support/child.ts'
import {
  ended,
  MAIN,
  network,
  run,
  runWith,
  startCommand,
  startPipe,
} from '../../support/command.ts'
import { eventually } from '../../support/heard.ts'
import { EPOCH, entryOf, PEER } from '../../support/log.ts'
import { logFolder, recordLine } from '../../support/log-lines.ts'
import { type Logger, startLogger } from '../../support/logger.ts'
import { createNode, freePort } from '../../support/nodes.ts'

/** Two nodes, and how the command finds them. */
async function village(t: Test) {
  const beaconPort = await freePort()
  const network = ['--interface', '127.0.0.1', '--port', String(beaconPort)]
  const start = (name: string) => startLogger(t, { name, beaconPort })
  const [kitchen, cellar] = await Promise.all([start('kitchen'), start('cellar')])
  return { network, kitchen, cellar }
}

/** All that was saved, without what is torn. */
function savedIn(folder: string): LogLine[] {
  return readdirSync(folder).flatMap((name) => {
    const texts = readFileSync(join(folder, name), 'utf8').split('\n')
    t.ok(texts.slice(0, -1).every(parseLine), `all but the last line of ${name} are whole`)
    return texts.slice(0, -1).map((text) => parseLine(text) as LogLine)
  })
}

function textsOf(lines: readonly LogLine[], { lyre }: Logger): string[] {
  return lines.flatMap((line) =>
    line.event === 'record' && line.node.uuid === lyre.uuid ? [line.record.text] : [],
  )
}

t.test('records are shown as they come, in columns, and nodes at the end', async (t) => {
  const { network, kitchen, cellar } = await village(t)
  const log = startCommand(t, ['log', ...network, '--name', 'eye'])
  await log.next('collecting as eye at tcp://127.0.0.1:')
  kitchen.say(1)
  await log.next('kitchen   info     text     kitchen 1')
  cellar.sender.log(
    entryOf('two\nlines', {
      level: 1,
      event: 4,
      group: 'CHAT',
      peer: { uuid: kitchen.lyre.uuid, endpoint: 'tcp://127.0.0.1:1' },
      fields: { cause: 'expired', seconds: 3, bad: '\x1b[2J' },
    }),
  )
  await log.next(
    'cellar    error    exit     kitchen  [CHAT]  two ⏎ lines  cause=expired  seconds=3  bad=[2J',
  )
  log.process.kill('SIGINT')
  const { code, errors, text } = await ended(log)
  t.equal(code, 0)
  t.equal(errors, '')
  t.match(text, /\nNAME +UUID +ADDRESS +RECORDS +LOST +RESTARTS +CLOCK\n/)
  t.match(text, new RegExp(`\nkitchen +${kitchen.lyre.uuid} +127\\.0\\.0\\.1 +1 +0 +0 `))
  t.notMatch(text, '\x1b')
})

t.test('what is not wanted is not shown, and saved all the same', async (t) => {
  const { network, kitchen, cellar } = await village(t)
  const folder = logFolder(t)
  const wishes = ['--node', 'kitchen', '--event', 'join', '--group', 'A', '--group', 'B']
  const log = startChild(t, MAIN, ['log', ...network, '--json', '--save', folder, ...wishes])
  const { endpoints, headers } = await log.next('start')
  t.equal(headers['X-ZRELOG'], endpoints[0])
  for (const group of ['A', 'C', 'B']) {
    cellar.sender.log(entryOf('no', { event: 1, group }))
    kitchen.sender.log(entryOf('no', { event: 2, group }))
    kitchen.sender.log(entryOf('', { event: 1, group }))
  }
  t.match(await log.next('record'), { node: { name: 'kitchen' }, record: { group: 'A' } })
  t.match(await log.next('record'), { node: { name: 'kitchen' }, record: { group: 'B' } })
  await eventually('all is saved', () => savedIn(folder).length === 9)
  log.kill('SIGTERM')
  const { nodes } = await log.next('stop')
  t.equal(nodes.length, 2)
  t.equal(await log.exited, 0)
})

t.test('levels are asked of the nodes', async (t) => {
  const { network, kitchen } = await village(t)
  const log = startChild(t, MAIN, ['log', ...network, '--json', '--level', 'warning'])
  await log.next('start')
  for (const level of [4, 3, 2, 1]) kitchen.sender.log(entryOf(`level ${level}`, { level }))
  await log.next('record', {})
  await eventually('both came', () => log.heard.items.length === 3)
  const texts = log.heard.items.slice(1).map(({ record }) => record.text)
  t.same(texts.sort(), ['level 1', 'level 2'])
})

t.test(
  'what nodes see of each other is collected, and tells afterwards what happened',
  async (t) => {
    const beaconPort = await freePort()
    const folder = logFolder(t)
    const network = ['--interface', '127.0.0.1', '--port', String(beaconPort)]
    const log = startChild(t, MAIN, ['log', ...network, '--json', '--save', folder])
    await log.next('start')
    const kitchen = createNode(t, { name: 'kitchen', beaconPort, log: { level: 'info' } })
    await kitchen.lyre.start()
    const pipe = startChild(t, MAIN, ['pipe', ...network, '--name', 'ada', '--group', 'CHAT'])
    await kitchen.next('join', 'ada')
    kitchen.lyre.log('warning', 'the soup boils over', { degrees: 100 })
    pipe.end()
    await kitchen.next('exit', 'ada')
    await kitchen.lyre.stop()
    await log.heard.next('the last word', ({ record }) => record?.event === 'stop')
    log.kill('SIGTERM')
    t.equal(await log.exited, 0)
    const { lines } = await run(t, 'log', 'query', folder, '--json')
    const told = lines.map((line) => JSON.parse(line))
    const story = told
      .filter(({ record: { peer } }) => peer === undefined)
      .map(({ record: { event } }) => event)
    // A machine that is busy for long has more to tell.
    const life = story.filter((event) => event !== 'late' && event !== 'status')
    t.same(life, ['start', 'text', 'stop'])
    const { text } = await run(t, 'log', 'stats', folder, '--json')
    t.match(JSON.parse(text).nodes, [
      { name: 'kitchen', events: { enter: 2, join: 1, exit: 1 }, exits: { goodbye: 1 }, lost: 0 },
    ])
  },
)

t.test('all verbs tell their own log where they are asked to, by flag or variable', async (t) => {
  const node = await network()
  const log = startChild(t, MAIN, [
    'log',
    ...node,
    '--json',
    '--name',
    'eye',
    '--log-level',
    'info',
  ])
  await log.next('start')
  // What one tells may come before what another does, which happened after it.
  const came = (name: string, event: string, text = '') =>
    log.heard.until(`${event} of ${name}`, () =>
      log.heard.items.some(
        ({ node, record }) =>
          node?.name === name && record?.event === event && record.text.includes(text),
      ),
    )
  await came('eye', 'start')
  const { child: ada } = await startPipe(t, node, 'ada', '--log-level', 'info', '--group', 'CHAT')
  await came('ada', 'start')
  await came('ada', 'enter', 'eye')
  const variables = { LYRE_LOG_LEVEL: 'warning' }
  const ben = startCommand(t, ['pipe', ...node, '--name', 'ben'], [], variables)
  await came('ada', 'enter', 'ben')
  await came('eye', 'enter', 'ben')
  ada.end()
  await came('ada', 'stop')
  t.equal(await ada.exited, 0)
  ben.end()
  t.equal(await ben.exited, 0)
  await log.heard.until('both are gone', () => {
    const exits = log.heard.items.filter(
      ({ node, record }) => node?.name === 'eye' && record?.event === 'exit',
    )
    return exits.length === 2
  })
  log.kill('SIGTERM')
  const { nodes, refused, counters } = await log.next('stop')
  t.same([refused.malformed, refused.foreign, counters], [0, 0, {}])
  t.equal(await log.exited, 0)
  const counts = (nodes as { name: string; records: number }[]).map(({ name, records }) => {
    return `${name} ${records}`
  })
  const shown = (name: string) =>
    log.heard.items.filter((line) => line.record && line.node.name === name)
  t.match(shown('eye').at(-1), { record: { event: 'stop' } }, 'it comes while the collector stops')
  t.same(
    counts.sort(),
    ['ada', 'ben', 'eye'].map((name) => `${name} ${shown(name).length}`),
  )
  const levels = log.heard.items
    .filter(({ node }) => node?.name === 'ben')
    .map(({ record }) => record.level)
  t.notOk(levels.includes('info'), 'ben was told to tell warnings alone')
  const wrong = await run(t, 'pipe', ...node, '--log-level', 'loud')
  t.equal(wrong.code, 2)
  const alsoWrong = await runWith(t, { LYRE_LOG_LEVEL: 'loud' }, 'pipe', ...node)
  t.equal(alsoWrong.code, 2)
})

t.test('a collector that is killed under load loses a part of its last line at most', async (t) => {
  const { network, kitchen, cellar } = await village(t)
  const folder = logFolder(t)
  const args = ['log', ...network, '--save', folder, '--rotate-size', '4k', '--json']
  let isOver = false
  // Of each level, no more than have a place in the ring until there is another collector, however long that takes.
  const load = (async () => {
    while (!isOver) {
      if (cellar.sender.diagnostics().records < 3_500) {
        kitchen.say(1)
        cellar.say(2)
      }
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })()
  for (const count of [300, 600, 900]) {
    const log = startChild(t, MAIN, args)
    await eventually('it has saved much', () => log.heard.items.length > count)
    log.kill('SIGKILL')
    await log.exited
    const saved = new Set(savedIn(folder).map((line) => JSON.stringify(line)))
    const shown = log.heard.items.filter(({ event }) => event === 'record')
    const lost = shown.filter((line) => !saved.has(JSON.stringify(line)))
    t.ok(shown.length > count / 2)
    t.same(lost, [], 'what was shown was saved')
  }
  isOver = true
  await load
  kitchen.say(1)
  cellar.say(1)
  const last = startChild(t, MAIN, args)
  const counts = [kitchen, cellar].map(({ sender }) => sender.diagnostics().records)
  await eventually('all is there', () => {
    const lines = savedIn(folder)
    return [kitchen, cellar].every(
      (logger, index) => new Set(textsOf(lines, logger)).size === counts[index],
    )
  })
  last.kill('SIGTERM')
  t.equal(await last.exited, 0)
  t.ok(readdirSync(folder).length > 5, 'in many files')
  const { code, lines, errors } = await run(t, 'log', 'query', folder, '--json')
  t.equal(code, 0)
  t.equal(errors, '')
  const told = lines.map((line) => JSON.parse(line) as LogLine)
  for (const [index, logger] of [kitchen, cellar].entries()) {
    const { name } = logger.lyre
    const all = Array.from({ length: counts[index] ?? 0 }, (_, index) => `${name} ${index + 1}`)
    t.strictSame(textsOf(told, logger), all, 'each record once, in order')
  }
  t.same(
    told.filter(({ event }) => event !== 'record'),
    [],
    'and nothing is missing',
  )
})

t.test('what cannot be saved is told, and collecting goes on', async (t) => {
  const { network, kitchen } = await village(t)
  const folder = logFolder(t)
  writeFileSync(join(folder, 'file'), '')
  const never = await run(t, 'log', ...network, '--save', join(folder, 'file'))
  t.equal(never.code, 1)
  t.match(never.errors, /^lyre: cannot save to .*: (EEXIST|ENOTDIR).*\n$/)
  t.equal(never.text, '', 'before it joins anything')
  const wrong = await run(t, 'log', ...network, '--listen', 'tcp://x')
  t.equal(wrong.code, 2)
  t.match(wrong.errors, /listen has to be tcp:\/\/ADDRESS:PORT/)
  kitchen.say(1)
})

/** A folder with a day of two nodes. */
function past(t: Test): string {
  const folder = logFolder(t)
  const cellar = { node: { uuid: PEER.uuid, name: 'cellar', address: '127.0.0.1' } }
  const at = (minutes: number) => ({ time: EPOCH + 60_000 * minutes })
  const peer = PEER.uuid
  const lines = [
    recordLine(1, { event: 'enter', peer, text: '' }, at(0)),
    recordLine(1, { text: 'the SOUP is ready', group: 'CHAT' }, { ...cellar, ...at(1) }),
    recordLine(2, { event: 'exit', peer, text: '', fields: { cause: 'expired' } }, at(2)),
    recordLine(3, { event: 'enter', peer, text: '', fields: { roundTripMs: 4 } }, at(3)),
    recordLine(1, { level: 'error', text: 'too hot' }, { ...at(4), offsetMs: 3_000 }),
    recordLine(6, { text: 'late', fields: { roundTripMs: 2 } }, at(5)),
    recordLine(1, { text: 'anew', epoch: EPOCH + 1 }, at(6)),
  ]
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
  writeFileSync(join(folder, '00000001-20231114T221320Z.ndjson'), text)
  return folder
}

t.test('what was saved can be looked up', async (t) => {
  const folder = past(t)
  const time = (minutes: number) => new Date(EPOCH + 60_000 * minutes).toISOString()
  for (const [args, wanted] of [
    [[], ['enter', 'text', 'exit', 'enter', 'text', 'gap', 'text', 'restart', 'text']],
    [
      ['--event', 'exit', '--node', 'kitchen'],
      ['exit', 'gap', 'restart'],
    ],
    [['--node', 'cellar'], ['text']],
    [['--node', PEER.uuid.slice(0, 6)], ['text']],
    [['--node', PEER.uuid.slice(0, 5)], []],
    [['--text', 'soup', '--node', 'cellar'], ['text']],
    [['--group', 'CHAT', '--until', time(2)], ['text']],
    [
      ['--level', 'error'],
      ['text', 'restart'],
    ],
    [
      ['--since', time(2), '--until', time(3)],
      ['exit', 'enter'],
    ],
    [['--since', '1h'], []],
  ] as const) {
    const { code, lines, errors } = await run(t, 'log', 'query', ...args, '--json', folder)
    const told = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as LogLine)
    const types = told.map((line) => (line.event === 'record' ? line.record.event : line.event))
    t.same({ code, errors, types }, { code: 0, errors: '', types: wanted }, args.join(' '))
  }
  // That of --log-level is about nodes.
  const variables = { LYRE_LOG_COLLECT_LEVEL: 'error', LYRE_LOG_LEVEL: 'off' }
  const own = { ...variables, LYRE_LOG_NODE: 'attic,kitchen' }
  const errors = await runWith(t, own, 'log', 'query', '--json', folder)
  t.equal(errors.lines.length, 2, 'by variables, too')
  const { text } = await run(t, 'log', 'query', folder)
  t.match(text, /^2023-11-1\d \d\d:\d\d:20\.000 {2}kitchen {3}info {5}enter {4}fedcba$/m)
  t.match(text, /kitchen: its clock is 3\.0 s behind/)
  t.match(text, /kitchen: 2 records are missing of info, from 4 on/)
  t.match(text, /kitchen: it was started again, and counts anew/)
})

t.test('what was saved is summed up', async (t) => {
  const folder = past(t)
  const { code, text } = await run(t, 'log', 'stats', folder, '--json')
  t.equal(code, 0)
  const { reply, nodes } = JSON.parse(text)
  t.equal(reply, 'stats')
  t.match(nodes, [
    {
      name: 'kitchen',
      records: 6,
      levels: { info: 5, error: 1 },
      events: { enter: 2, exit: 1, text: 3 },
      lost: 2,
      restarts: 1,
      flaps: 1,
      exits: { expired: 1 },
      roundTrips: { count: 2, minMs: 2, meanMs: 3, maxMs: 4 },
    },
    { name: 'cellar', records: 1, lost: 0, restarts: 0, flaps: 0, exits: {}, roundTrips: null },
  ])
  const words = await run(t, 'log', 'stats', folder, '--node', 'kitchen')
  t.match(words.text, /^NAME +NODE +FROM +TO +RECORDS +PER S +MOST +ERRORS +WARNINGS +LOST/)
  t.match(
    words.text,
    '  exits: expired 1\n  round trips: 2 ms, 3 ms, 4 ms (lowest, mean, highest of 2)',
  )
  t.notMatch(words.text, 'cellar')
})

t.test('a node that starts again under another uuid is one that was restarted', async (t) => {
  const folder = logFolder(t)
  const start = (stableId: string) => ({ event: 'start', fields: { stableId } })
  const as = (digit: string) => ({
    node: { uuid: digit.repeat(32), name: 'bob', address: '127.0.0.1' },
  })
  const lines = [
    recordLine(1, start('one'), as('1')),
    recordLine(2, {}, as('1')),
    // As with a chat, which joins its groups before it starts.
    recordLine(3, { event: 'join' }, as('2')),
    recordLine(4, start('one'), as('2')),
    recordLine(5, start('other'), as('3')),
    recordLine(6, { level: 'warning' }, as('2')),
    recordLine(7, start('one'), as('4')),
    // A copy of its disk: both are there.
    recordLine(8, start('one'), as('5')),
    recordLine(9, { level: 'warning' }, as('4')),
  ]
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
  writeFileSync(join(folder, '00000001-20231114T221320Z.ndjson'), text)
  const json = await run(t, 'log', 'stats', folder, '--json')
  t.match(JSON.parse(json.text).nodes, [
    { id: '1'.repeat(32), records: 7, restarts: 2, events: { start: 3, join: 1 } },
    { id: '3'.repeat(32), records: 1, restarts: 0 },
    { id: '5'.repeat(32), records: 1, restarts: 0 },
  ])
  const few = await run(t, 'log', 'stats', folder, '--json', '--level', 'warning')
  t.match(JSON.parse(few.text).nodes, [{ id: '2'.repeat(32), records: 2, restarts: 1 }])
})

t.test('round trips of a status count as many times as they were measured', async (t) => {
  const folder = logFolder(t)
  const status = (fields: LogFields) => ({ event: 'status', text: 'peers: 1', fields })
  const trips = (roundTrips: number, [min, mean, max]: readonly number[]) => ({
    ...{ roundTrips, roundTripMinMs: min, roundTripMs: mean, roundTripMaxMs: max },
  })
  const lines = [
    recordLine(1, status({ ...trips(9, [1, 2, 8]), lagMaxMs: 12.5 })),
    recordLine(2, status({ roundTrips: 0, lagMaxMs: 3 })),
    recordLine(3, { text: 'mine', fields: { roundTripMs: 13, roundTrips: 7, lagMaxMs: 1e6 } }),
    recordLine(4, status({ roundTrips: 'many', roundTripMs: 1, lagMaxMs: null })),
    recordLine(1, { event: 'late', level: 'warning', fields: { lateMs: 1_500 } }),
  ]
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
  writeFileSync(join(folder, '00000001-20231114T221320Z.ndjson'), text)
  const json = await run(t, 'log', 'stats', folder, '--json')
  const [node] = JSON.parse(json.text).nodes
  t.same(node.roundTrips, { count: 10, minMs: 1, meanMs: 3.1, maxMs: 13 })
  t.equal(node.lagMaxMs, 1_500)
  const words = await run(t, 'log', 'stats', folder)
  t.match(words.text, 'round trips: 1 ms, 3.1 ms, 13 ms (lowest, mean, highest of 10)')
  t.match(words.text, '  it was late by 1.5 s at most')
})

t.test('what is used wrongly is told', async (t) => {
  const folder = past(t)
  for (const [args, code, message] of [
    [['query', join(folder, 'no')], 1, /there is no /],
    [['stats'], 2, /missing required argument 'file'/],
    [['query', folder, '--since', 'soon'], 2, /A time is such as/],
    [['query', folder, '--event', 'party'], 2, /Events are join, leave/],
    [['query', folder, '--level', 'loud'], 2, /Allowed choices are error/],
    [['query', folder, '--since', '10m', '--until', '20m'], 2, /--since is after --until/],
    [['query', process.execPath], 1, /is no log/],
    [['--rotate-size', '5'], 2, /A size is a number of octets/],
    [['--rotate-time', '0s'], 2, /after 1s at the least/],
    [['--level', 'info', 'query', folder], 2, /options stand behind the verb/],
    [['import', folder], 2, /say into which database/],
  ] as const) {
    const ended = await run(t, 'log', ...args)
    t.equal(ended.code, code, args.join(' '))
    t.match(ended.errors, message)
  }
})
