// UDP as Node.js has it.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { NetworkError } from '../errors.ts'
import type { Address, DatagramHandlers, DatagramSocket, Datagrams } from '../host.ts'

/** The address of loopback with every system, by which a multicast socket names it. */
const LOOPBACK = '127.0.0.1'
const ANY_IPV6 = '::'

/** UDP sockets of node:dgram. */
export const systemDatagrams: Datagrams = {
  async open({ address, port, shared, broadcast, multicast = null }, handlers) {
    const isIpv6 = address.includes(':')
    const isEar = address === ANY_IPV6 && multicast !== null
    const socket = isIpv6
      ? createSocket({ type: 'udp6', reuseAddr: shared, ipv6Only: true })
      : createSocket({ type: 'udp4', reuseAddr: shared })
    try {
      socket.bind({ address: isEar ? earOf(multicast) : address, port, exclusive: true })
      await once(socket, 'listening')
      if (broadcast) socket.setBroadcast(true)
      if (multicast !== null && isIpv6) useLink(socket, { group: multicast, isEar })
      else if (multicast !== null) joinOnLoopback(socket, multicast)
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

/**
 * Bound to the group, with its zone, a socket hears what comes by that interface and no other: nothing else tells by which one
 * a datagram came. Windows has no such thing, and there a socket hears no group that it has not joined.
 */
function earOf(group: string): string {
  return process.platform === 'win32' ? ANY_IPV6 : group
}

/** `ff02::1%eth0`, of the link of eth0 and no other. */
function useLink(
  socket: Socket,
  { group, isEar }: { readonly group: string; readonly isEar: boolean },
): void {
  const [address = '', zone = ''] = group.split('%')
  const link = `${ANY_IPV6}%${zone}`
  if (isEar) {
    socket.addMembership(address, link)
    return
  }
  socket.setMulticastInterface(link)
  socket.setMulticastLoopback(true)
  socket.setMulticastTTL(1)
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
