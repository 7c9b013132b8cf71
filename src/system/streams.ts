// TCP as Node.js has it. What comes is read to where its receiver wants it; a `Buffer` is only what Node.js itself gives where
// that cannot be.

import { once } from 'node:events'
import { createServer, isIP, Socket, type SocketConstructorOpts } from 'node:net'
import { NetworkError } from '../errors.ts'
import type { Stream, StreamHandlers, Streams } from '../host.ts'

/** Connections that may wait to be accepted: a whole network may greet a new node at once. */
const BACKLOG = 1_024
/** Where octets are read to whose receiver has no memory for them; they are copied at once, so one will do. */
const shared = new Uint8Array(65_536)

/** TCP connections of node:net. */
export const systemStreams: Streams = {
  async listen({ address, port }, accept) {
    // Paused, so that nothing is read before it is known where to.
    const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
      const stream = new SystemStream()
      stream.own(takeOver(socket, stream) ?? socket)
      stream.tell(accept(stream))
    })
    try {
      server.listen({ host: address, port, backlog: BACKLOG, exclusive: true, ipv6Only: true })
      await once(server, 'listening')
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new NetworkError(`cannot listen at TCP port ${port} of ${address}: ${reason}`, {
        cause,
      })
    }
    // A connection that broke before it was accepted is its peer's matter: it dials again.
    server.on('error', () => {})
    const bound = server.address()
    return {
      port: typeof bound === 'object' && bound !== null ? bound.port : port,
      close: () => void server.close(),
    }
  },

  connect({ address, port }, handlers) {
    const stream = new SystemStream(address)
    const socket = new Tcp(stream, {})
    stream.own(socket)
    stream.tell(handlers)
    socket.connect({ host: address, port })
    return stream
  },
}

class SystemStream implements Stream {
  #socket!: Socket
  #handlers: StreamHandlers | undefined
  /** The other side's address, once there is one: Node.js itself keeps all it knows of it when it is asked. */
  #remoteAddress = ''
  #reason = 'closed by the peer'
  /** Whether the next octets go to `shared`. */
  #isShared = true
  readonly #dialled: string

  /** @param dialled the address to which it is begun; empty for one that is accepted. */
  constructor(dialled = '') {
    this.#dialled = dialled
  }

  own(socket: Socket): void {
    this.#socket = socket
    this.#remoteAddress = socket.remoteAddress ?? ''
    if (socket instanceof Tcp) return
    for (const event of ['connect', 'drain', 'data', 'error', 'close'] as const) {
      socket.on(event, (about?: unknown) => this.hear(event, about))
    }
  }

  /** Begins to read. */
  tell(handlers: StreamHandlers): void {
    this.#handlers = handlers
    this.#socket.resume()
  }

  /** What its socket tells. */
  hear(event: string, about: unknown): void {
    switch (event) {
      case 'connect':
        this.#remoteAddress =
          isIP(this.#dialled) > 0 ? this.#dialled : (this.#socket.remoteAddress ?? '')
        this.#handlers?.open()
        break
      case 'drain':
        this.#handlers?.drain()
        break
      case 'data': {
        // A plain view of the same octets: a Buffer's slice() would not copy, and who gets content must not care what made it.
        const { buffer, byteOffset, length } = about as Buffer
        this.#handlers?.receive(new Uint8Array(buffer, byteOffset, length))
        break
      }
      case 'error':
        this.#reason = (about as Error).message
        break
      case 'close':
        this.#handlers?.close(this.#reason)
        break
    }
  }

  /** Where to read to. */
  room(): Uint8Array {
    const room = this.#handlers?.room?.()
    this.#isShared = room === undefined
    return room ?? shared
  }

  /** So many octets were read to where room() said. */
  filled(count: number): void {
    if (this.#isShared) this.#handlers?.receive(shared.slice(0, count))
    else this.#handlers?.filled?.(count)
  }

  get localAddress(): string {
    return this.#socket.localAddress ?? ''
  }

  get remoteAddress(): string {
    return this.#remoteAddress
  }

  get backlogBytes(): number {
    return this.#socket.writableLength
  }

  write(...parts: readonly Uint8Array[]): boolean {
    const socket = this.#socket
    if (parts.length === 1) {
      socket.write(parts[0] as Uint8Array)
    } else {
      socket.cork()
      for (const part of parts) socket.write(part)
      socket.uncork()
    }
    return socket.writableLength === 0
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#reason = 'closed by us'
    this.#socket.destroy()
  }
}

/** Who has just read, and is asked next where to read to. */
let reader: SystemStream | undefined

/** For all sockets: a closure for each took 200 octets of a peer. Node.js calls back as a method of the socket that has read. */
const onread = {
  buffer(): Uint8Array {
    const room = reader?.room() ?? shared
    reader = undefined
    return room
  },
  callback(this: unknown, count: number): boolean {
    const { stream } = this as Tcp
    stream.filled(count)
    // Last of all, as others may be made meanwhile, which ask first, and begin with `shared`.
    reader = stream
    return true
  },
}

/** A socket that tells its stream what it would tell its listeners: without them, an idle one takes 1 KiB less. */
class Tcp extends Socket {
  readonly stream: SystemStream

  constructor(stream: SystemStream, options: SocketConstructorOpts) {
    super({ ...options, onread } as SocketConstructorOpts)
    this.stream = stream
    // Two small writes in a row would wait 40 ms for each other.
    this.setNoDelay(true)
  }

  override emit(event: string | symbol, ...about: unknown[]): boolean {
    // One that nobody listens for is thrown.
    const isHeard = event === 'error' || super.emit(event as string, ...about)
    // Nothing is told from within the constructor of a socket that matters.
    this.stream?.hear(event as string, about[0])
    return isHeard
  }
}

/**
 * The same connection as a socket that reads to where it is told, which Node.js only offers for those that we begin: the handle is
 * no part of its public interface. Without it a receiver takes a tenth longer up to 100 KiB, and twice as long at 1 MiB.
 * @returns undefined where it cannot be done: then it is read as any other.
 */
function takeOver(socket: Socket, stream: SystemStream): Tcp | undefined {
  const owner = socket as unknown as { _handle?: { readonly useUserBuffer?: unknown } | null }
  const handle = owner._handle
  if (typeof handle?.useUserBuffer !== 'function') return undefined
  owner._handle = null
  return new Tcp(stream, { handle } as SocketConstructorOpts)
}
