/** One end of ZMTP alone: our ZmtpConnection over a socket, with what it found out for a test to read, and to misuse. */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'
import { NullMechanism, type SocketType, ZMTP_LIMITS, ZmtpConnection } from '../../protocol/zmtp.ts'
import { encodeIdentity, encodeZre, type ZreCommand } from '../../protocol/zre.ts'
import { Heard } from './heard.ts'
import { eventsOf, type KeptEvent } from './zmtp.ts'

/** Who the Link is: told in its READY. */
const IDENTITY = Uint8Array.of(1, 2, 3)

export class Link {
  readonly #socket: Socket
  readonly zmtp: ZmtpConnection
  readonly heard = new Heard<KeptEvent>()
  /** Resolves when the stream is over. */
  readonly gone: Promise<void>
  #sentSequence = 0
  /** How many PONGs went out. */
  pongCount = 0

  constructor(socket: Socket, socketType: SocketType, identity: Uint8Array = IDENTITY) {
    const mechanism = new NullMechanism({ socketType, identity })
    this.#socket = socket
    this.zmtp = new ZmtpConnection({ socketType, mechanism, limits: ZMTP_LIMITS }, 0)
    socket.on('data', (bytes: Buffer) => this.#receive(bytes))
    socket.on('error', () => {})
    this.gone = new Promise((resolve) => socket.on('close', () => resolve()))
    this.flush()
  }

  async ready(): Promise<void> {
    const event = await this.heard.next('the handshake')
    if (event.type === 'closed') throw event.error
  }

  send(frames: readonly Uint8Array[]): void {
    this.zmtp.send(frames)
    this.flush()
  }

  /** Sends one message of ZRE; by its own count unless told otherwise. */
  tell(command: ZreCommand, sequence = ++this.#sentSequence): void {
    this.send(encodeZre(command, sequence))
  }

  /** Octets past the protocol. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  end(): void {
    this.#socket.end()
  }

  /** The next message. */
  async receive(): Promise<readonly Uint8Array[]> {
    const event = await this.heard.next('a message', ({ type }) => type !== 'pong')
    if (event.type === 'message') return event.frames
    throw event.type === 'closed' ? event.error : new Error(`a second ${event.type}`)
  }

  /** Why it was closed. */
  async closed(): Promise<string> {
    const event = await this.heard.next('the end', ({ type }) => type === 'closed')
    return event.type === 'closed' ? event.error.message : ''
  }

  flush(): void {
    for (let bytes = this.zmtp.pollOutput(); bytes; bytes = this.zmtp.pollOutput()) {
      if (bytes.length < 1_000 && Buffer.from(bytes).includes('\x04PONG')) this.pongCount++
      this.#socket.write(bytes)
    }
  }

  #receive(bytes: Buffer): void {
    this.zmtp.handleBytes(new Uint8Array(bytes), 0)
    for (const event of eventsOf(this.zmtp)) {
      this.heard.add(event)
      if (event.type === 'closed') this.#socket.end()
    }
    this.flush()
  }
}

/** Listens on loopback; each connection that comes is a Link in `heard`. */
export async function listen(
  t: Pick<Test, 'teardown'>,
  socketType: SocketType,
): Promise<{ readonly endpoint: string; readonly heard: Heard<Link> }> {
  const heard = new Heard<Link>()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    heard.add(new Link(socket, socketType))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  const { port } = server.address() as AddressInfo
  return { endpoint: `tcp://127.0.0.1:${port}`, heard }
}

/** Connects to `tcp://127.0.0.1:PORT`. */
export function dial(
  t: Pick<Test, 'teardown'>,
  endpoint: string,
  { socketType, identity }: { readonly socketType: SocketType; readonly identity?: Uint8Array },
): Link {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(endpoint).port) })
  t.teardown(() => socket.destroy())
  return new Link(socket, socketType, identity)
}

/** Connects as the mailbox of a ZRE node, up to the handshake. */
export async function dialAs(
  t: Pick<Test, 'teardown'>,
  endpoint: string,
  { uuid }: { readonly uuid: string },
): Promise<Link> {
  const link = dial(t, endpoint, { socketType: 'DEALER', identity: encodeIdentity(uuid) })
  await link.ready()
  return link
}
