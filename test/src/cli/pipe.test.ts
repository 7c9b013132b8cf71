/** `lyre pipe` as a program sees it: lines of JSON, both ways, between processes on loopback. */

import t, { type Test } from 'tap'
import { type Child, type Line, startChild } from '../../support/child.ts'
import { MAIN, startCommand } from '../../support/command.ts'
import { freePort } from '../../support/nodes.ts'

const LOOPBACK = ['--interface', '127.0.0.1']

async function startPipe(t: Test, port: number, ...args: readonly string[]): Promise<Child> {
  const child = startChild(t, MAIN, ['pipe', ...LOOPBACK, '--port', String(port), ...args])
  await child.next('start')
  return child
}

/** Two pipes in group CHAT that have entered each other. */
async function startPair(t: Test): Promise<[Child, Child]> {
  const port = await freePort()
  const pair = await Promise.all([
    startPipe(t, port, '--name', 'ada', '--group', 'CHAT', '--header', 'kind=test'),
    startPipe(t, port, '--name', 'bob', '--group', 'CHAT'),
  ])
  const [ada, bob] = pair
  await Promise.all([ada.next('join', { name: 'bob' }), bob.next('join', { name: 'ada' })])
  return pair
}

function reply(child: Child, type: string): Promise<Line> {
  return child.heard.next(`reply ${type}`, (line: Line) => line.reply === type)
}

function events(child: Child): string[] {
  return child.heard.items.map((line: Line) => line.event ?? `reply ${line.reply}`)
}

t.test('two programs find each other and talk', async (t) => {
  const port = await freePort()
  const before = Date.now()
  const ada = startChild(t, MAIN, [
    ...['pipe', ...LOOPBACK, '--port', String(port), '--name', 'ada'],
    ...['--group', 'CHAT', '--group', 'OPS', '--header', 'kind=test', '--header', 'x=a=b'],
  ])
  const start = await ada.next('start')
  t.match(start, { name: 'ada', headers: { kind: 'test', x: 'a=b' } })
  t.match(start.uuid, /^[0-9a-f]{32}$/)
  t.match(start.endpoint, /^tcp:\/\/127\.0\.0\.1:\d+$/)
  t.ok(start.time >= before && start.time <= Date.now(), 'time is in milliseconds since the epoch')

  const bob = await startPipe(t, port, '--name', 'bob')
  const enter = await bob.next('enter')
  t.same(enter, { ...start, event: 'enter', time: enter.time })
  t.match(await bob.next('join'), { uuid: start.uuid, name: 'ada', group: 'CHAT' })
  t.match(await bob.next('join'), { uuid: start.uuid, name: 'ada', group: 'OPS' })
  await ada.next('enter', { name: 'bob' })

  bob.send({ shout: 'CHAT', content: 'hello' })
  t.same(await reply(bob, 'shout'), { reply: 'shout', group: 'CHAT', count: 1 })
  t.match(await ada.next('shout'), { name: 'bob', group: 'CHAT', content: ['hello'] })
  ada.send({ whisper: 'bob', content: ['one', '', 'three'] })
  t.match(await reply(ada, 'whisper'), { to: 'bob', uuid: /^[0-9a-f]{32}$/, count: 1 })
  t.match(await bob.next('whisper'), { name: 'ada', content: ['one', '', 'three'] })
  bob.send({ whisper: start.uuid, content: 'by uuid' })
  t.match(await ada.next('whisper'), { content: ['by uuid'] })

  bob.send({ join: 'CHAT' })
  t.match(await ada.next('join'), { name: 'bob', group: 'CHAT' })
  bob.send({ leave: 'CHAT' })
  t.match(await ada.next('leave'), { name: 'bob', group: 'CHAT' })

  bob.send({ peers: true })
  const { uuid, name, endpoint, headers } = start
  const peer = { uuid, name, endpoint, headers, groups: ['CHAT', 'OPS'], state: 'entered' }
  t.same(await reply(bob, 'peers'), { reply: 'peers', peers: [peer] })
  bob.send({ diagnostics: true })
  t.match((await reply(bob, 'diagnostics')).diagnostics, { name: 'bob', beacon: { port } })

  bob.send({ stop: true })
  await bob.next('stop')
  t.equal(await bob.exited, 0)
  t.equal(bob.errors, '')
  t.match(await ada.next('exit'), { name: 'bob', cause: 'goodbye' })
})

t.test('a bad line is an error that quotes it, and the node goes on', async (t) => {
  const node = startCommand(t, ['pipe', ...LOOPBACK, '--port', String(await freePort())])
  await node.next('"event":"start"')
  for (const [line, message] of [
    ['{', /not JSON/],
    ['"join"', /a command is a JSON object/],
    ['null', /a command is a JSON object/],
    ['[{"join":"A"}]', /a command is a JSON object/],
    ['{}', /no such command; there are join, leave, shout/],
    ['{"joyn":"A"}', /no such command/],
    ['{"join":"A","leave":"B"}', /the keys of this command are join, no more/],
    ['{"shout":"A"}', /the keys of this command are shout and content/],
    ['{"join":7}', /what follows "join" has to be a text/],
    ['{"join":""}', /a group is a text of 1 to 255 octets/],
    ['{"peers":1}', /this command is \{"peers":true\}/],
    ['{"shout":"A","content":7}', /content is a text/],
    ['{"shout":"A","content":[["x"]]}', /content is a text/],
    ['{"shout":"A","content":{"base64":"?"}}', /content is a text/],
    ['{"shout":"A","content":{"base64":"AA==","x":1}}', /content is a text/],
    [`{"join":"${'x'.repeat(256)}"}`, /a group is a text/],
  ] as const) {
    node.type(line)
    const error = JSON.parse(await node.next('"event":"error"'))
    t.match(error.message, message, line)
    t.type(error.time, 'number')
    const quoted = line.length > 200 ? `${line.slice(0, 200)}…` : line
    t.equal(error.line, quoted)
  }
  const foreign = { message: /not UTF-8/, line: '"\ufffd"' }
  node.process.stdin?.write(Uint8Array.of(0x22, 0xff, 0x22, 0x0a))
  t.match(JSON.parse(await node.next('"event":"error"')), foreign)
  node.process.stdin?.write(
    Buffer.concat([Buffer.of(0xff), Buffer.from('x'.repeat(300)), Buffer.of(0x0a)]),
  )
  const long = { line: `\ufffd${'x'.repeat(199)}…` }
  t.match(JSON.parse(await node.next('"event":"error"')), long)
  node.type('')
  node.type('{"join":"A"}\r')
  node.type('{"diagnostics":true}')
  t.match(JSON.parse(await node.next('')), { reply: 'diagnostics', diagnostics: { groups: ['A'] } })
})

t.test('octets that are no text go as base64, both ways', async (t) => {
  const [ada, bob] = await startPair(t)
  const octets = { base64: '/wD+' }
  ada.send({ shout: 'CHAT', content: ['text', octets, { base64: 'aGVsbG8=' }, '\ufeffbom'] })
  t.same((await bob.next('shout')).content, ['text', octets, 'hello', '\ufeffbom'])
  bob.send({ whisper: 'ada', content: octets })
  t.same((await ada.next('whisper')).content, [octets])
  bob.send({ whisper: 'ada', content: [] })
  t.same((await ada.next('whisper')).content, [])
})

t.test('who is not there is told of by a count, a name of several by an error', async (t) => {
  const [ada, bob] = await startPair(t)
  const nobody = 'f'.repeat(32)
  for (const to of [nobody, 'carol']) {
    ada.send({ whisper: to, content: 'x' })
    t.same(await reply(ada, 'whisper'), { reply: 'whisper', to, count: 0 })
  }
  ada.send({ shout: 'EMPTY', content: 'x' })
  t.same(await reply(ada, 'shout'), { reply: 'shout', group: 'EMPTY', count: 0 })
  bob.send({ diagnostics: true })
  const { port } = (await reply(bob, 'diagnostics')).diagnostics.beacon
  const twin = await startPipe(t, port, '--name', 'bob')
  await Promise.all([twin.next('enter', { name: 'ada' }), ada.next('enter')])
  ada.send({ whisper: 'bob', content: 'x' })
  t.match(await ada.next('error'), {
    message: /2 peers have this name.*[0-9a-f]{32}, [0-9a-f]{32}/,
  })
})

t.test('at the end of input what was queued is sent, and then goodbye', async (t) => {
  const [ada, bob] = await startPair(t)
  const big = 'x'.repeat(1_000_000)
  for (let index = 0; index < 20; index++) ada.send({ shout: 'CHAT', content: [`${index}`, big] })
  ada.end()
  for (let index = 0; index < 20; index++) {
    const { content } = await bob.next('shout')
    t.equal(content[0], `${index}`)
    t.equal(content[1].length, big.length)
  }
  t.match(await bob.next('exit'), { name: 'ada', cause: 'goodbye' })
  t.equal(await ada.exited, 0)
  t.equal(events(ada).filter((event) => event === 'reply shout').length, 20)
  t.equal(events(ada).at(-1), 'stop')
})

t.test('a last line needs no line feed', async (t) => {
  const node = startCommand(t, ['pipe', ...LOOPBACK, '--port', String(await freePort())])
  node.process.stdin?.end('{"peers":true}')
  t.match(JSON.parse(await node.next('reply')), { reply: 'peers', peers: [] })
  t.equal(await node.exited, 0)
})

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  t.test(`${signal} says goodbye`, async (t) => {
    const [ada, bob] = await startPair(t)
    ada.kill(signal)
    t.match(await bob.next('exit'), { name: 'ada', cause: 'goodbye' })
    t.equal(await ada.exited, 0)
    t.equal(ada.errors, '')
    t.same(events(ada).slice(-2), ['exit', 'stop'])
  })
}

t.test('a reader that is too slow misses events and is told how many', async (t) => {
  const port = await freePort()
  const slow = startCommand(t, ['pipe', ...LOOPBACK, '--port', String(port), '--group', 'CHAT'])
  await slow.next('"event":"start"')
  const bob = await startPipe(t, port, '--name', 'bob')
  await bob.next('join')
  await slow.next('"event":"enter"')
  slow.process.stdout?.pause()
  const count = 25_000
  for (let index = 0; index < count; index++) bob.send({ shout: 'CHAT', content: `${index}` })
  bob.send({ leave: 'CHAT' })
  bob.send({ diagnostics: true })
  const { diagnostics } = await reply(bob, 'diagnostics')
  t.match(diagnostics.peers, [{ state: 'entered' }], 'the peer of the slow reader is alive')
  bob.send({ stop: true })
  t.equal(await bob.exited, 0)
  slow.process.stdout?.resume()
  await slow.next('"event":"overrun"')
  slow.end()
  t.equal(await slow.exited, 0)
  const lines: Line[] = slow.lines.items.map((line) => JSON.parse(line))
  const heard = lines.filter(({ event }) => event === 'shout').length
  const missed = lines.reduce((sum, line) => sum + (line.event === 'overrun' ? line.count : 0), 0)
  t.ok(heard >= 10_000, `${heard} events were kept`)
  t.ok(missed > 0 && heard + missed >= count, `${missed} were dropped`)
})

t.test('a reader that has gone ends the node, politely and with 1', async (t) => {
  const port = await freePort()
  const node = startCommand(t, ['pipe', ...LOOPBACK, '--port', String(port), '--name', 'ada'])
  const bob = await startPipe(t, port)
  await bob.next('enter')
  await node.next('"event":"enter"')
  node.process.stdout?.destroy()
  node.type('{"peers":true}')
  t.match(await bob.next('exit'), { name: 'ada', cause: 'goodbye' })
  t.equal(await node.exited, 1)
})
