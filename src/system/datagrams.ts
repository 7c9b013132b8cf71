// UDP as Node.js has it.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { NetworkError } from '../errors.ts'
import type { Address, DatagramHandlers, DatagramSocket, Datagrams } from '../host.ts'

/** The address of loopback with every system, by which a multicast socket names it. */
const LOOPBACK = '127.0.0.1'

/** UDP sockets of node:dgram. */
export const systemDatagrams: Datagrams = {
  async open({ address, port, shared, broadcast, multicast = null }, handlers) {
    const socket = createSocket({ type: 'udp4', reuseAddr: shared })
    try {
      socket.bind({ address, port, exclusive: true })
      await once(socket, 'listening')
      if (broadcast) socket.setBroadcast(true)
      if (multicast !== null) joinOnLoopback(socket, multicast)
    } catch (cause) {
      socket.close()
      throw new NetworkError(`cannot open UDP port ${port} at ${address}: ${textOf(cause)}`, {
        cause,
      })
    }
    return new SystemDatagramSocket(socket, handlers)
  },
}

class SystemDatagramSocket implements DatagramSocket {
  readonly #socket: Socket
  readonly #handlers: DatagramHandlers
  #sendingCount = 0
  #sent: (() => void) | undefined

  constructor(socket: Socket, handlers: DatagramHandlers) {
    this.#socket = socket
    this.#handlers = handlers
    socket.on('message', ({ buffer, byteOffset, length }, { address, port }) =>
      handlers.receive(new Uint8Array(buffer, byteOffset, length), { address, port }),
    )
    socket.on('error', (error) => handlers.fail(error))
  }

  send(bytes: Uint8Array, to: Address): void {
    this.#sendingCount++
    this.#socket.send(bytes, to.port, to.address, (error) => {
      if (error !== null) this.#handlers.fail(error)
      if (--this.#sendingCount === 0) this.#sent?.()
    })
  }

  async close(): Promise<void> {
    if (this.#sendingCount > 0) await new Promise<void>((resolve) => (this.#sent = resolve))
    await new Promise<void>((resolve) => this.#socket.close(resolve))
  }
}

/**
 * The interface has to be named for both directions: the route of a multicast address leads to a network, where 127.0.0.1 must
 * not be a source. A time to live of 0 is for this machine alone, whatever interface it would leave by.
 */
function joinOnLoopback(socket: Socket, group: string): void {
  socket.addMembership(group, LOOPBACK)
  socket.setMulticastInterface(LOOPBACK)
  socket.setMulticastLoopback(true)
  socket.setMulticastTTL(0)
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
