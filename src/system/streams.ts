// TCP as Node.js has it.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { NetworkError } from '../errors.ts'
import type { Stream, StreamHandlers, Streams } from '../host.ts'

/** Connections that may wait to be accepted: a whole network may greet a new node at once. */
const BACKLOG = 1_024

/** TCP connections of node:net. */
export const systemStreams: Streams = {
  async listen({ address, port }, accept) {
    const server = createServer({ noDelay: true }, (socket) => {
      const stream = new SystemStream(socket)
      stream.listen(accept(stream))
    })
    try {
      server.listen({ host: address, port, backlog: BACKLOG, exclusive: true })
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
    const stream = new SystemStream(connect({ host: address, port, noDelay: true }))
    stream.listen(handlers)
    return stream
  },
}

class SystemStream implements Stream {
  readonly #socket: Socket
  readonly #acceptedFrom: string
  #reason = 'closed by the peer'

  constructor(socket: Socket) {
    this.#socket = socket
    this.#acceptedFrom = socket.remoteAddress ?? ''
  }

  listen(handlers: StreamHandlers): void {
    const socket = this.#socket
    socket.on('connect', () => handlers.open())
    // A plain view of the same octets: a Buffer's slice() would not copy, and who gets content must not care what made it.
    socket.on('data', ({ buffer, byteOffset, length }: Buffer) =>
      handlers.receive(new Uint8Array(buffer, byteOffset, length)),
    )
    socket.on('drain', () => handlers.drain())
    socket.on('error', (error) => {
      this.#reason = error.message
    })
    socket.on('close', () => handlers.close(this.#reason))
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? this.#acceptedFrom
  }

  get backlogBytes(): number {
    return this.#socket.writableLength
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
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
