/** The verbs that come, do one thing and leave: peers, watch, send and bench, between processes on loopback. */

import t, { type Test } from 'tap'
import { encodeIdentity } from '../../../protocol/zre.ts'
import { startChild } from '../../support/child.ts'
import { type Command, MAIN, startCommand } from '../../support/command.ts'
import { eventually } from '../../support/heard.ts'
import { dial, Link } from '../../support/link.ts'
import { freePort } from '../../support/nodes.ts'
import { serve, tellHello, uuidOf } from '../../support/stranger.ts'

async function network(): Promise<string[]> {
  return ['--interface', '127.0.0.1', '--port', String(await freePort())]
}

async function startPipe(t: Test, node: readonly string[], name: string, ...more: string[]) {
  const child = startChild(t, MAIN, ['pipe', ...node, '--name', name, ...more])
  const { uuid } = await child.next('start')
  return { child, uuid: uuid as string }
}

/** Runs a verb to its end. */
async function run(t: Test, ...args: readonly string[]) {
  const command = startCommand(t, args)
  command.end()
  return ended(command)
}

async function ended(command: Command) {
  const code = await command.exited
  const lines = command.lines.items
  return { code, lines, text: lines.join('\n'), errors: command.errors }
}

t.test('peers shows who is there', async (t) => {
  const node = await network()
  const ada = await startPipe(t, node, 'ada', '--group', 'CHAT', '--header', 'kind=cook')
  const bad = '\x1b[2Jeve'
  const eve = await startPipe(t, node, bad)
  const wait = ['--count', '2', '--wait', '20s']
  const table = await run(t, 'peers', ...node, ...wait)
  t.equal(table.code, 0)
  t.equal(table.errors, '')
  t.match(table.lines[0], /^NAME +UUID +STATE +ENDPOINT +GROUPS +HEADERS$/)
  t.match(table.text, new RegExp(`ada +${ada.uuid} +entered +tcp://127\\S+ +CHAT +kind=cook`))
  t.match(table.text, `[2Jeve  ${eve.uuid}`, 'without control characters')
  t.notMatch(table.text, '\x1b')

  const json = await run(t, 'peers', ...node, ...wait, '--json')
  const { reply, peers } = JSON.parse(json.text)
  t.equal(reply, 'peers')
  t.strictSame(peers.map(({ name }: { name: string }) => name).sort(), [bad, 'ada'])

  const group = await run(t, 'peers', ...node, '--group', 'CHAT', '--count', '1', '--wait', '20s')
  t.equal(group.code, 0)
  t.notMatch(group.text, 'eve')
})

t.test('peers says why it found nobody, and ends with 1 if they had to be there', async (t) => {
  const node = await network()
  const nobody = await run(t, 'peers', ...node, '--wait', '500ms')
  t.equal(nobody.code, 0)
  t.equal(nobody.text, '')
  t.match(nobody.errors, /nobody was found in 500 ms\n {2}the interface is lo.*\n.* came back, and/)
  await startPipe(t, node, 'ada')
  const few = await run(t, 'peers', ...node, '--count', '2', '--wait', '3s')
  t.equal(few.code, 1)
  t.match(few.text, 'ada')
  t.match(few.errors, '1 of 2 peers were found')
})

t.test('watch shows all that happens, also in groups that come up later', async (t) => {
  const node = await network()
  const watch = startCommand(t, ['watch', ...node, '--name', 'eye', '--trace'])
  await watch.next('watching as eye')
  const { child: ada, uuid } = await startPipe(t, node, 'ada', '--group', 'CHAT')
  await watch.next(uuid)
  await watch.next('join      CHAT')
  await ada.next('join', { name: 'eye' })
  ada.send({ shout: 'CHAT', content: ['one\ntwo', 'three\x1b[31m'] })
  t.match(
    await watch.next('one'),
    /^\d\d:\d\d:\d\d\.\d\d\d {2}ada {7}shout {5}\[CHAT\] one ⏎ two \| three\[31m$/,
  )
  ada.send({ join: 'LATER' })
  await watch.next('join      LATER')
  ada.send({ whisper: 'eye', content: 'psst' })
  await watch.next('whisper   psst')
  ada.send({ stop: true })
  await watch.next('exit      goodbye: it left')
  watch.process.kill('SIGINT')
  const { code, text, errors } = await ended(watch)
  t.equal(code, 0)
  t.equal(errors, '')
  t.match(text, /\* stopped$/)
  t.match(text, /trace +dial/, 'what it does is told, too')
})

t.test('watch says it in JSON as pipe does, and joins what it is told to', async (t) => {
  const node = await network()
  const watch = startChild(t, MAIN, ['watch', ...node, '--json', '--group', 'OPS'])
  const start = await watch.next('start')
  const { child: ada, uuid } = await startPipe(t, node, 'ada', '--group', 'CHAT')
  const join = await ada.next('join', { uuid: start.uuid })
  t.equal(join.group, 'OPS')
  t.match(await watch.next('enter'), { uuid, name: 'ada' })
  ada.send({ shout: 'OPS', content: 'hello' })
  t.match(await watch.next('shout'), { group: 'OPS', content: ['hello'] })
  watch.kill('SIGTERM')
  await watch.next('stop')
  t.equal(await watch.exited, 0)
  t.notOk(ada.heard.items.some((line) => line.event === 'join' && line.group === 'CHAT'))
})

t.test('send ends with 0 once its message was read', async (t) => {
  const node = await network()
  const { child: ada, uuid } = await startPipe(t, node, 'ada', '--group', 'CHAT')
  const { child: bob } = await startPipe(t, node, 'bob', '--group', 'CHAT')
  const wait = ['--wait', '20s']
  const whisper = await run(t, 'send', ...node, ...wait, '--to', 'ada', 'good', 'morning')
  t.same(whisper, { code: 0, lines: ['ada has read it'], text: 'ada has read it', errors: '' })
  t.match(await ada.next('whisper'), { content: ['good morning'] })

  const json = await run(t, 'send', ...node, ...wait, '--to', uuid, '--json', '--', '--x')
  t.same(JSON.parse(json.text), {
    ...{ reply: 'whisper', to: uuid, uuid },
    ...{ count: 1, confirmed: 1, lost: 0 },
  })
  t.match(await ada.next('whisper'), { content: ['--x'] })

  const shout = startCommand(t, ['send', ...node, ...wait, '--group', 'CHAT', '--count', '2', '-'])
  shout.process.stdin?.end(Buffer.from([0xff, 0x0a]))
  t.match(await ended(shout), { code: 0, text: /(ada, bob|bob, ada) have read it/ })
  for (const child of [ada, bob]) {
    t.same((await child.next('shout')).content, [{ base64: '/wo=' }], 'octets as they are')
  }
})

t.test('send ends with 1, and says why, when it cannot be', async (t) => {
  const node = await network()
  const { child: ada } = await startPipe(t, node, 'ada')
  const { uuid } = await startPipe(t, node, 'twin')
  await startPipe(t, node, 'twin')
  const missing = await run(t, 'send', ...node, '--wait', '2s', '--to', 'carol', 'hello')
  t.equal(missing.code, 1)
  t.match(missing.errors, /^lyre: carol is not there; there are .*twin/)
  const empty = await run(t, 'send', ...node, '--wait', '2s', '--group', 'CHAT', 'hello')
  t.equal(empty.code, 1)
  t.match(empty.errors, 'in CHAT 0 of 1 peers were there')
  await ada.next('exit')
  const twins = await run(t, 'send', ...node, '--to', 'twin', 'hello')
  t.equal(twins.code, 2)
  t.match(twins.errors, /2 peers have this name, take one of their uuids/)
  t.match(twins.errors, uuid)
})

t.test('send does not take for read what a peer that stands still has not', async (t) => {
  const node = await network()
  const peer = startChild(t, new URL('../../support/standstill.mjs', import.meta.url), node)
  await peer.next('start')
  const { code, errors } = await run(t, 'send', ...node, '--wait', '20s', '--to', 'rock', 'hello')
  t.equal(code, 1)
  t.match(errors, 'only 0 of 1 peers are known to have read it')
})

t.test('send is content with what was written, to a peer that confirms nothing', async (t) => {
  const node = await network()
  const inboxPort = await serve(t, (socket) => {
    const link = new Link(socket, 'ROUTER')
    // After its part of the handshake it never says a word, not even to PINGs.
    link.ready().then(() => {
      link.flush = () => {}
    })
  })
  const port = await freePort()
  const listening = ['--mailbox-port', String(port)]
  const send = startCommand(t, ['send', ...node, ...listening, '--wait', '20s', '--to', 'x', 'hi'])
  const mailbox = await connected(t, port)
  tellHello(mailbox, { endpoint: `tcp://127.0.0.1:${inboxPort}`, name: 'x' })
  t.match(await ended(send), { code: 0, text: 'it was written to x; 1 of 1 do not confirm' })
})

/** Connects as a peer to a node that may not listen yet. */
async function connected(t: Test, port: number): Promise<Link> {
  const identity = encodeIdentity(uuidOf(7))
  let link: Link | undefined
  await eventually('it listens', async () => {
    link = dial(t, `tcp://127.0.0.1:${port}`, { socketType: 'DEALER', identity })
    return Promise.race([link.ready().then(() => true), link.gone.then(() => false)])
  })
  return link as Link
}

t.test('Ctrl-C ends whoever waits, and not with success', async (t) => {
  const node = await network()
  for (const verb of [['send', '--to', 'x', 'hi'], ['bench'], ['peers', '--wait', '1h']]) {
    const command = startChild(t, MAIN, [...verb, ...node, '--name', verb[0] as string, '--json'])
    const { child: ada } = await startPipe(t, node, 'ada')
    await ada.next('enter', { name: verb[0] })
    command.kill('SIGINT')
    t.match(await ada.next('exit', { name: verb[0] }), { cause: 'goodbye' })
    t.equal(await command.exited, 130)
    t.equal(command.errors, '')
    ada.kill('SIGKILL')
  }
})

t.test('bench measures against a peer that serves', async (t) => {
  const node = await network()
  const serving = startCommand(t, ['bench', '--serve', ...node, '--name', 'kitchen'])
  await serving.next('kitchen answers at')
  const short = ['--duration', '50ms', '--wait', '20s']
  const table = await run(t, 'bench', ...node, ...short, '--size', '1,70000')
  t.equal(table.errors, '')
  t.equal(table.code, 0)
  t.match(table.lines[0], /^against kitchen at tcp/)
  t.match(table.lines[1], /OCTETS +ROUND TRIP P50 +P99 +MAX +ONE WAY \/S +MB\/S/)
  t.match(table.lines[3], /^70,000( +[\d,.]+( us| ms)?){5}$/)
  const json = await run(t, 'bench', 'kitchen', ...node, ...short, '--size', '100', '--json')
  const result = JSON.parse(json.text)
  t.match(result, { event: 'result', name: 'kitchen', size: 100 })
  t.ok(result.roundTrip.count > 0 && result.roundTrip.p50Us <= result.roundTrip.p99Us)
  t.ok(result.oneWay.messages >= 64 && result.oneWay.messagesPerSecond > 0)

  const nobody = await run(t, 'bench', 'bob', ...node, '--wait', '1s')
  t.equal(nobody.code, 1)
  t.match(nobody.errors, 'bob answers not: start lyre bench --serve there')
  const other = startCommand(t, ['bench', '--serve', ...node, '--name', 'cellar'])
  await other.next('kitchen enters')
  const several = await run(t, 'bench', ...node, '--wait', '20s')
  t.equal(several.code, 2)
  t.match(several.errors, /several answer, name one of them: .*kitchen/)

  const long = startCommand(t, ['bench', 'kitchen', ...node, '--wait', '20s', '--json'])
  await long.next('"size":20')
  serving.process.kill('SIGINT')
  t.equal((await ended(serving)).code, 0)
  const broken = await ended(long)
  t.equal(broken.code, 1)
  t.match(broken.errors, /kitchen (exits: goodbye|is not there any more)/)
})
