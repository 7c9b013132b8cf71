/** `lyre send`, whose exit code says whether the message arrived. */

import t, { type Test } from 'tap'
import { encodeIdentity } from '../../../protocol/zre.ts'
import { startChild } from '../../support/child.ts'
import { ended, network, run, startCommand, startPipe } from '../../support/command.ts'
import { eventually } from '../../support/heard.ts'
import { dial, Link } from '../../support/link.ts'
import { createNode, freePort } from '../../support/nodes.ts'
import { serve, tellHello, uuidOf } from '../../support/stranger.ts'

// Mostly they wait, each in a network of its own.
t.jobs = 6
const test = (name: string, run: (t: Test) => Promise<void>) =>
  t.test(name, { buffered: true }, run)

test('send ends with 0 once its message was read', async (t) => {
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

test('send ends with 1, and says why, when it cannot be', async (t) => {
  const node = await network()
  const { child: ada } = await startPipe(t, node, 'ada')
  // In one process: on a busy machine another one may be found so late that the first is taken to be the only one.
  const twins = Array.from({ length: 2 }, () => {
    return createNode(t, { name: 'twin', beaconPort: Number(node[3]) }).lyre
  })
  await Promise.all(twins.map((lyre) => lyre.start()))
  // Long enough for a busy machine to find those who are there; others of these tests take longer.
  const missing = await run(t, 'send', ...node, '--wait', '8s', '--to', 'carol', 'hello')
  t.equal(missing.code, 1)
  t.match(missing.errors, /^lyre: carol is not there; there are .*twin/)
  const empty = await run(t, 'send', ...node, '--wait', '2s', '--group', 'CHAT', 'hello')
  t.equal(empty.code, 1)
  t.match(empty.errors, 'in CHAT 0 of 1 peers were there')
  await ada.next('exit')
  const both = await run(t, 'send', ...node, '--to', 'twin', 'hello')
  t.equal(both.code, 2)
  t.match(both.errors, /2 peers have this name, take one of their uuids/)
  for (const { uuid } of twins) t.match(both.errors, uuid)
})

for (const event of ['enter', 'whisper']) {
  test(`send takes nothing for read by a peer that stands still from ${event} on`, async (t) => {
    const node = await network()
    const script = new URL('../../support/standstill.mjs', import.meta.url)
    const peer = startChild(t, script, [...node, event])
    await peer.next('start')
    const { code, errors } = await run(t, 'send', ...node, '--wait', '20s', '--to', 'rock', 'hello')
    t.equal(code, 1)
    t.match(errors, /only 0 of 1 are known to have read it: rock|rock is not there/)
  })
}

test('send names those that it was sent to, and no others', async (t) => {
  const node = await network()
  const { child: ada } = await startPipe(t, node, 'ada', '--group', 'CHAT')
  const { child: bob } = await startPipe(t, node, 'bob', '--group', 'CHAT')
  await Promise.all([ada.next('join', { name: 'bob' }), bob.next('join', { name: 'ada' })])
  const args = [
    'send',
    ...node,
    '--wait',
    '3s',
    '--group',
    'CHAT',
    '--count',
    '2',
    'hi',
    '--name',
    'x',
  ]
  const send = startCommand(t, args)
  await bob.next('enter', { name: 'x' })
  bob.send({ stop: true })
  const { code, text } = await ended(send)
  const heard = bob.heard.items.some((line) => line.event === 'shout')
  if (code === 0) t.ok(heard, 'bob took it before it left')
  else t.notMatch(text, 'have read it')
})

test('send is content with what was written, to a peer that confirms nothing', async (t) => {
  const node = await network()
  const inboxPort = await serve(t, (socket) => {
    const write = socket.write.bind(socket)
    // ZMTP 3.0 has no PING: of the greeting, the twelfth octet is the minor version.
    socket.write = (bytes: Uint8Array) => {
      if (bytes[0] === 0xff) bytes[11] = 0
      return write(bytes)
    }
    new Link(socket, 'ROUTER')
  })
  const port = await freePort()
  const listening = ['--mailbox-port', String(port)]
  const send = startCommand(t, ['send', ...node, ...listening, '--wait', '20s', '--to', 'x', 'hi'])
  const mailbox = await connected(t, port)
  tellHello(mailbox, { endpoint: `tcp://127.0.0.1:${inboxPort}`, name: 'x' })
  const alive = setInterval(() => mailbox.tell({ type: 'ping' }), 500)
  t.teardown(() => clearInterval(alive))
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
