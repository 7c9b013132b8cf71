/**
 * A thousand nodes in one process, each with an inbox of its own that listens, made of the codecs of Lyre and no more: they
 * say HELLO, wait for that of the node that is measured, answer its pings, and beacon once a second, spread evenly over it.
 * Whole nodes would also talk to each other, which are half a million connections. For the limit, also peers of two bare
 * connections.
 */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { SocketType, ZmtpConnection, ZreCommand } from 'lyre/protocol'
import { fail, obey, tell } from './contender.ts'

/** What a crowd has to do. */
export interface CrowdTask {
  readonly role: 'nodes' | 'bare'
  /** UDP port of the beacons. */
  readonly port: number
  /** Whom to enter: its uuid and endpoint. */
  readonly address: string
  readonly lyre: string
}

/** Members that enter at one time: a node lets in so many, and has more to do than we. */
const ENTERING_MAX = 40
const BEACON_MS = 1_000
const BEACON_TICK_MS = 5

const task: CrowdTask = JSON.parse(process.argv[2] ?? '{}')
process.on('uncaughtException', fail)
let protocol: typeof import('lyre/protocol')
const [, endpoint = ''] = task.address.split(' ')
const nodePort = Number(new URL(endpoint).port)

/** One end of ZMTP over a socket. */
class Link {
  readonly #socket: Socket
  readonly #zmtp: ZmtpConnection

  constructor(
    socket: Socket,
    {
      type,
      uuid,
      ready,
      hear,
    }: {
      readonly type: SocketType
      readonly uuid: string
      readonly ready?: () => void
      readonly hear?: (command: ZreCommand['type'] | 'unknown') => void
    },
  ) {
    const mechanism = new protocol.NullMechanism({
      socketType: type,
      identity: protocol.encodeIdentity(uuid),
    })
    this.#socket = socket
    this.#zmtp = new protocol.ZmtpConnection(
      { socketType: type, mechanism, limits: protocol.ZMTP_LIMITS },
      performance.now(),
    )
    socket.on('error', fail)
    socket.on('close', () => fail('the node closed a connection'))
    socket.on('data', (bytes: Buffer) => {
      const now = performance.now()
      this.#zmtp.handleBytes(bytes, now)
      for (;;) {
        const event = this.#zmtp.pollEvent(now)
        if (event === undefined) break
        if (event.type === 'closed') fail(event.error)
        if (event.type === 'ready') ready?.()
        if (event.type === 'message') hear?.(protocol.decodeZre(event.frames).type)
      }
      this.#flush()
    })
    this.#flush()
  }

  tell(command: ZreCommand, sequence: number): void {
    this.#zmtp.send(protocol.encodeZre(command, sequence))
    this.#flush()
  }

  #flush(): void {
    for (let bytes = this.#zmtp.pollOutput(); bytes; bytes = this.#zmtp.pollOutput()) {
      this.#socket.write(bytes)
    }
  }
}

/** A node of the crowd. Resolves to its beacon once it has heard the HELLO of the node. */
async function enter(index: number): Promise<Uint8Array> {
  const uuid = index.toString(16).padStart(32, '0')
  const server = createServer({ noDelay: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let sequence = 0
  const hello: ZreCommand = {
    type: 'hello',
    endpoint: `tcp://127.0.0.1:${port}`,
    groups: [],
    status: 0,
    name: `member ${index}`,
    headers: {},
  }
  await new Promise<void>((resolve) => {
    const mailbox = new Link(dial(), {
      type: 'DEALER',
      uuid,
      ready: () => mailbox.tell(hello, ++sequence),
    })
    const hear = (type: string) => {
      if (type === 'hello') resolve()
      else if (type === 'ping') mailbox.tell({ type: 'ping-ok' }, ++sequence)
    }
    server.on('connection', (socket) => new Link(socket, { type: 'ROUTER', uuid, hear }))
  })
  return protocol.encodeBeacon({ uuid, port })
}

function dial(): Socket {
  return connect({ host: '127.0.0.1', port: nodePort, noDelay: true })
}

/** Beacons of all members once a second, none at the same time as another. */
async function beacon(members: readonly Uint8Array[]): Promise<void> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  socket.setBroadcast(true)
  let at = performance.now()
  let due = 0
  let next = 0
  setInterval(() => {
    const now = performance.now()
    due += ((now - at) / BEACON_MS) * members.length
    at = now
    for (; due >= 1; due--) {
      const datagram = members[next++ % members.length]
      if (datagram !== undefined) socket.send(datagram, task.port, '127.255.255.255')
    }
  }, BEACON_TICK_MS)
}

/** Two connections: one that we make, and one that comes back. */
async function connectTwice(server: Server): Promise<void> {
  const { port } = server.address() as AddressInfo
  const socket = dial()
  socket.write(String(port))
  socket.on('data', () => {})
  await once(socket, 'connect')
}

async function main(): Promise<void> {
  if (task.role === 'nodes') {
    protocol = await import(pathToFileURL(join(task.lyre, '../../protocol/index.js')).href)
  }
  const members: Uint8Array[] = []
  let index = 0
  const server = createServer({ noDelay: true }, (socket) => socket.on('data', () => {}))
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1_024 })
  await once(server, 'listening')
  /** One of several that bring members in, one after the other. */
  async function bring(until: number): Promise<void> {
    while (index < until) {
      const place = index++
      if (task.role === 'bare') await connectTwice(server)
      else members.push(await enter(place + 1))
    }
  }
  obey({
    enter: async (count) => {
      const until = index + count
      await Promise.all(Array.from({ length: ENTERING_MAX }, () => bring(until)))
      tell('entered')
    },
    beacon: () => void beacon(members),
  })
  tell('ready')
}

await main()
