/** Our ZMTP against libzmq's, over TCP: each socket type of ours with its counterpart, whoever connects. */

import t, { type Test } from 'tap'
import { curveKeyPair, Dealer, Publisher, Router, type Socket, Subscriber } from 'zeromq'
import { createLyre } from '../../dist/src/index.js'
import { eventually } from '../support/heard.ts'
import { dial, type Link, listen } from '../support/link.ts'
import { freePort } from '../support/nodes.ts'
import { digest, pattern } from '../support/octets.ts'

type Foreign = { readonly socket: Dealer | Router; readonly link: Link }

const MIB = 2 ** 20
const SIZES = [0, 1, 255, 256, 65_536, MIB, 16 * MIB]
const OPTIONS = { linger: 0, sendHighWaterMark: 0, receiveHighWaterMark: 0 }

function closing<S extends Socket>(t: Test, socket: S): S {
  t.teardown(() => socket.close())
  return socket
}

/** A linked pair: ours is what libzmq's `socket` is not. */
async function pair(t: Test, socket: Dealer | Router, connects: 'we' | 'they'): Promise<Foreign> {
  closing(t, socket)
  const ours = socket instanceof Dealer ? 'ROUTER' : 'DEALER'
  if (connects === 'we') {
    await socket.bind('tcp://127.0.0.1:*')
    const link = dial(t, socket.lastEndpoint as string, { socketType: ours })
    await link.ready()
    return { socket, link }
  }
  const { endpoint, heard } = await listen(t, ours)
  socket.connect(endpoint)
  const link = await heard.next<Link>('a connection')
  await link.ready()
  return { socket, link }
}

/** A ROUTER of libzmq puts the sender before each message, and wants the receiver there: ours is 010203. */
async function receiveFrom(socket: Dealer | Router): Promise<readonly Uint8Array[]> {
  const frames = await socket.receive()
  return socket instanceof Router ? frames.slice(1) : frames
}

async function sendThrough(socket: Dealer | Router, frames: readonly Uint8Array[]): Promise<void> {
  const to = socket instanceof Router ? [Buffer.of(1, 2, 3)] : []
  await socket.send([...to, ...frames.map((frame) => Buffer.from(frame))])
}

async function exchange(t: Test, { socket, link }: Foreign): Promise<void> {
  const messages = [
    ...SIZES.map((size) => [pattern(size)]),
    ...Array.from({ length: 64 }, (_, count) =>
      Array.from({ length: count + 1 }, (_, index) => pattern((index * 37) % 300)),
    ),
  ]
  for (const message of messages) {
    const sizes = message.map(({ length }) => length).join(' ')
    link.send(message)
    t.same((await receiveFrom(socket)).map(digest), message.map(digest), `to libzmq: ${sizes}`)
    await sendThrough(socket, message)
    t.same((await link.receive()).map(digest), message.map(digest), `from libzmq: ${sizes}`)
  }
}

for (const connects of ['we', 'they'] as const) {
  t.test(
    `our ROUTER and a DEALER of libzmq understand each other, ${connects} connect`,
    async (t) => {
      await exchange(t, await pair(t, new Dealer({ ...OPTIONS, routingId: 'them' }), connects))
    },
  )

  t.test(
    `our DEALER and a ROUTER of libzmq understand each other, ${connects} connect`,
    async (t) => {
      await exchange(t, await pair(t, new Router(OPTIONS), connects))
    },
  )
}

t.test('a thousand messages in one turn arrive in order', async (t) => {
  const { socket, link } = await pair(t, new Dealer(OPTIONS), 'they')
  const numbers = Array.from({ length: 1_000 }, (_, index) => String(index))
  for (const number of numbers) link.send([Buffer.from(number)])
  const received: string[] = []
  while (received.length < numbers.length) received.push(String((await socket.receive())[0]))
  t.same(received, numbers)
})

t.test('libzmq is content with our PONGs, and promises to say something itself', async (t) => {
  const { endpoint, heard } = await listen(t, 'ROUTER')
  const heartbeats = { heartbeatInterval: 50, heartbeatTimeout: 500, heartbeatTimeToLive: 5_000 }
  const socket = closing(t, new Dealer({ ...OPTIONS, ...heartbeats }))
  socket.connect(endpoint)
  const link = await heard.next<Link>('a connection')
  await link.ready()
  t.ok(link.zmtp.pollTimeout() > 4_000, 'no deadline but what it will promise')
  while (link.pongCount < 30) {
    const before = link.pongCount
    await socket.send('so that something happens')
    await link.receive()
    if (link.pongCount === before) await new Promise((resolve) => setTimeout(resolve, 10))
  }
  t.equal(link.zmtp.pollTimeout(), 5_000, 'its TTL is our deadline')
  t.equal(heard.items.length, 1, 'it never connected again')
  await socket.send('still here')
  t.same((await link.receive()).map(digest), [digest(Buffer.from('still here'))])
})

t.test('libzmq answers our PING with its context', async (t) => {
  for (const socket of [new Dealer(OPTIONS), new Router(OPTIONS)]) {
    const { link } = await pair(t, socket, 'they')
    t.ok(link.zmtp.heartbeats)
    for (const context of [new Uint8Array(0), pattern(16)]) {
      link.zmtp.ping(context)
      link.flush()
      const pong = await link.heard.next('a PONG', ({ type }) => type === 'pong')
      t.match(pong, { type: 'pong' })
      t.equal(pong.type === 'pong' && digest(pong.context), digest(context))
    }
  }
})

t.test('another security mechanism ends with words that a person understands', async (t) => {
  const lyre = createLyre({ interface: '127.0.0.1', beaconPort: await freePort() })
  t.teardown(() => lyre.stop())
  await lyre.start()
  const { publicKey, secretKey } = curveKeyPair()
  const keys = { curvePublicKey: publicKey, curveSecretKey: secretKey }
  for (const [index, options] of [
    { plainServer: true },
    { ...keys, curveServer: true },
  ].entries()) {
    const uuid = String(index).padStart(32, '0')
    const server = closing(t, new Router({ ...OPTIONS, ...options }))
    await server.bind('tcp://127.0.0.1:*')
    lyre.requirePeer({ uuid, endpoint: server.lastEndpoint as string })
    const found = () => lyre.diagnostics().peers.find((peer) => peer.uuid === uuid)
    await eventually('it was tried', () => found()?.unreachable !== null)
    t.match(found()?.unreachable, /before the handshake was done.*another security mechanism/)
  }
  const losses = () => lyre.diagnostics().counters['handshake-lost'] ?? 0
  for (const options of [
    { plainUsername: 'user', plainPassword: 'secret' },
    { ...keys, curveServerKey: publicKey },
  ]) {
    const before = losses()
    closing(t, new Dealer({ ...OPTIONS, ...options })).connect(lyre.endpoint as string)
    await eventually('it was counted', () => losses() > before)
  }
})

t.test('another kind of socket ends with words that a person understands', async (t) => {
  for (const [socket, type] of [
    [new Publisher({ linger: 0 }), 'PUB'],
    [new Subscriber({ linger: 0 }), 'SUB'],
  ] as const) {
    const { endpoint, heard } = await listen(t, 'ROUTER')
    closing(t, socket).connect(endpoint)
    const link = await heard.next<Link>('a connection')
    t.equal(await link.closed(), `a "${type}" socket cannot talk to a ROUTER (zmtp.md 4.2)`)
  }
})
