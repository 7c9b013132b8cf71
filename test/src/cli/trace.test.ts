/** `lyre trace`: what it draws of live traffic, what it saves, and what it makes of a capture. */

import { existsSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { type Command, startCommand } from '../../support/command.ts'
import { createNode, freePort } from '../../support/nodes.ts'

const [ADA, BOB, EVE] = ['a', 'b', 'c'].map((digit) => digit.repeat(32)) as [string, string, string]
const HEAD = '{"lyre":"trace","version":1,"contentBytes":256}'

/** Lines of a capture of two nodes, who both told. */
function capture(): string[] {
  const line = (node: string, peer: string | null, rest: object) =>
    JSON.stringify({ time: 1_000_000, node, peer, connection: 1, ...rest })
  const message = { type: 'message', bytes: 10, frames: [] }
  const hello = { ...message, command: 'hello', sequence: 1, name: 'ada' }
  const shout = { ...message, command: 'shout', sequence: 2, group: 'CHAT', frames: [2] }
  return [
    HEAD,
    line(ADA, BOB, { type: 'link', change: 'dial', reason: 'tcp://127.0.0.1:1' }),
    line(ADA, BOB, { ...hello, direction: 'out' }),
    line(BOB, ADA, { ...hello, direction: 'in', connection: -1, time: 1_000_001.5 }),
    line(ADA, BOB, { ...shout, direction: 'out', content: ['hi'] }),
    line(ADA, BOB, { ...shout, direction: 'out', sequence: 3, content: [{ base64: '/w==' }] }),
    line(BOB, ADA, { ...shout, direction: 'in', connection: -1, sequence: 3, time: 1_000_004 }),
    line(ADA, BOB, { type: 'confirmed', sequence: 2 }),
    line(ADA, EVE, { ...hello, direction: 'out', connection: 2 }),
    line(ADA, null, { ...message, command: 'goodbye', sequence: 2, direction: 'in' }),
  ]
}

async function show(
  t: Test,
  lines: readonly string[],
  ...args: string[]
): Promise<{
  readonly lines: readonly string[]
  readonly code: number | string
  readonly errors: string
}> {
  const folder = t.testdir({ 'it.ndjson': lines.join('\n') })
  const command = startCommand(t, ['trace', 'show', `${folder}/it.ndjson`, ...args])
  const code = await command.exited
  return { lines: command.lines.items, code, errors: command.errors }
}

async function start(t: Test, port: number, ...args: string[]): Promise<Command> {
  return startCommand(t, [
    ...['trace', '--interface', '127.0.0.1', '--port', String(port), '--name', 'eye'],
    ...args,
  ])
}

t.test('what both sides told is one arrow, with what became of it', async (t) => {
  const { lines, code } = await show(t, capture())
  t.equal(code, 0)
  const told = lines.map((line) => line.replace(/^[\d:.]+ +/, '').replaceAll(/ {2,}/g, '  '))
  t.same(told, [
    '  ada  bbbbbb',
    '|..............>|  link dial  c1  tcp://127.0.0.1:1',
    '|-------------->|  hello #1  10 octets  c1  1.5 ms  confirmed  as ada',
    '|-------------->|  shout #2  [CHAT]  10 octets  c1  never came  confirmed  "hi"',
    '|-------------->|  shout #3  [CHAT]  10 octets  c1  4.0 ms  unconfirmed  "(octets)"',
    '  ada  bbbbbb  cccccc',
    '|------------------------------>|  hello #1  10 octets  c2  unconfirmed  as ada',
    '|  |  |  ? -> ada: goodbye #2  10 octets  c1',
  ])
})

t.test('a pair, a group or a peer alone is shown where that is asked for', async (t) => {
  const count = async (...args: string[]) => {
    const { lines } = await show(t, capture(), '--json', ...args)
    for (const line of lines) JSON.parse(line)
    return lines.length
  }
  t.equal(await count('--peer', 'ada'), 6)
  t.equal(await count('--peer', 'ada', '--peer', BOB), 4)
  t.equal(await count('--peer', 'cccc'), 1)
  t.equal(await count('--peer', 'nobody'), 0)
  t.equal(await count('--group', 'CHAT'), 2)
  t.equal(await count('--group', 'OPS'), 0)
})

t.test('a capture whose writer was ended is read to its last whole line', async (t) => {
  const lines = [...capture(), '{"time":1000000,"node":"aaa']
  t.equal((await show(t, lines)).code, 0)
  const { code, errors } = await show(t, [HEAD, 'nonsense', ...capture().slice(1)])
  t.equal(code, 2)
  t.match(errors, /line 2 of .* is none of a capture/)
})

t.test('what is no capture, or of another version, is said', async (t) => {
  for (const [lines, says] of [
    [[], /is no capture/],
    [['{}'], /is no capture/],
    [['{"lyre":"trace","version":2}'], /of version 2, this reads 1/],
  ] as const) {
    const { code, errors } = await show(t, lines)
    t.equal(code, 2)
    t.match(errors, says)
  }
  const missing = startCommand(t, ['trace', 'show', 'no-such-file'])
  t.equal(await missing.exited, 2)
  t.match(missing.errors, /no-such-file cannot be read/)
  const three = ['--peer', 'a', '--peer', 'b', '--peer', 'c']
  const many = startCommand(t, ['trace', 'show', 'no-such-file', ...three])
  t.equal(await many.exited, 2)
  t.match(many.errors, /--peer is given once or twice/)
})

t.test('live traffic is drawn, saved, and shown again', async (t) => {
  const beaconPort = await freePort()
  const ada = createNode(t, { name: 'ada', beaconPort })
  ada.lyre.join('CHAT')
  await ada.lyre.start()
  const file = `${t.testdir()}/live.ndjson`
  const command = await start(t, beaconPort, '--save', file, '--content', '3')
  await ada.next('join', 'eye')
  ada.lyre.shout('CHAT', 'hello')
  t.match(
    await command.next('shout #'),
    /\| {2,}shout #\d+ {2}\[CHAT\] {2}16 octets {2}c-1 {2}"hel"$/,
  )
  command.process.kill('SIGINT')
  t.equal(await command.exited, 0)
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  t.equal(lines[0], HEAD.replace('256', '3'))
  const shown = startCommand(t, ['trace', 'show', file, '--peer', 'ada'])
  t.equal(await shown.exited, 0)
  const said = shown.lines.items.join('\n')
  for (const part of [/hello #1 .* as eye/, /hello #1 .* as ada/, /"hel"/, /goodbye #/]) {
    t.match(said, part)
  }
  const again = await start(t, beaconPort, '--save', file)
  t.equal(await again.exited, 2, 'a capture is not written over')
  t.match(again.errors, /EEXIST/)
})

t.test('it ends by itself after so many messages', async (t) => {
  const beaconPort = await freePort()
  const ada = createNode(t, { name: 'ada', beaconPort })
  await ada.lyre.start()
  const command = await start(t, beaconPort, '--count', '2', '--json')
  t.equal(await command.exited, 0)
  const lines = command.lines.items.map((line) => JSON.parse(line))
  t.equal(lines.filter(({ type }) => type === 'message').length, 2)
})

t.test('however often it waits, it waits for one signal', async (t) => {
  const beaconPort = await freePort()
  const ada = createNode(t, { name: 'ada', beaconPort })
  ada.lyre.join('CHAT')
  await ada.lyre.start()
  const hook = `
    const { addEventListener } = EventTarget.prototype
    let count = 0
    EventTarget.prototype.addEventListener = function (type, ...rest) {
      if (type === 'abort') count++
      return addEventListener.call(this, type, ...rest)
    }
    process.on('exit', () => console.error('listeners: ' + count))`
  const command = startCommand(
    t,
    ['trace', '--interface', '127.0.0.1', '--port', String(beaconPort), '--group', 'CHAT'],
    ['--import', `data:text/javascript,${encodeURIComponent(hook)}`],
  )
  await ada.next('join')
  for (let count = 0; count < 50; count++) {
    ada.lyre.shout('CHAT', `hello ${count}`)
    await command.next(`hello ${count}`)
  }
  command.process.kill('SIGINT')
  t.equal(await command.exited, 0)
  const [, listeners = ''] = /listeners: (\d+)/.exec(command.errors) ?? []
  t.ok(Number(listeners) > 0 && Number(listeners) < 20, `${listeners} listeners`)
})

t.test('a run of the simulator leaves the same, for one node after the other', async (t) => {
  const file = `${t.testdir()}/run.ndjson`
  const words = ['sim', '--seed', '7', '--nodes', '3', '--minutes', '1', '--trace-zre', file]
  const command = startCommand(t, [...words, '--twice'])
  t.equal(await command.exited, 0, command.errors)
  t.ok(existsSync(file))
  const nodes = readFileSync(file, 'utf8').trimEnd().split('\n').slice(1)
  t.ok(new Set(nodes.map((line) => JSON.parse(line).node)).size >= 3)
  const shown = startCommand(t, ['trace', 'show', file])
  t.equal(await shown.exited, 0)
  t.match(shown.lines.items.join('\n'), /-->\|.*hello #1 .* ms {2}confirmed/)
  const seeds = startCommand(t, ['sim', '--seeds', '1..2', '--trace-zre', `${file}2`])
  t.equal(await seeds.exited, 2)
  t.match(seeds.errors, /--trace-zre, which is for one run/)
})
