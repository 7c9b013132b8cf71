// Multicast DNS between machines: packets as text in datagrams that all on the subnet hear, as those of the group would be. What
// became of one on its way is what becomes of any datagram; one that was damaged is dropped, as by whoever cannot read it.

import { fromUtf8, utf8, Writer } from '../protocol/bytes.ts'
import type { MdnsPacket } from '../protocol/index.ts'
import type {
  Address,
  MulticastDnsHandlers,
  MulticastDnsOptions,
  MulticastDnsSocket,
} from '../src/host.ts'
import { VirtualSocket } from './datagrams.ts'
import type { Process } from './network.ts'

/** A socket for multicast DNS of a process. */
export class VirtualMulticastDnsSocket implements MulticastDnsSocket {
  readonly #process: Process
  readonly #address: Address
  readonly #listener: VirtualSocket
  /** Says by which interface, and fails when that is gone. */
  readonly #sender: VirtualSocket

  /** @throws NetworkError when the address or port cannot be had. */
  constructor(
    process: Process,
    { address, port }: MulticastDnsOptions,
    handlers: MulticastDnsHandlers,
  ) {
    const shared = { port, shared: true, broadcast: true }
    const each = {
      receive: (bytes: Uint8Array, from: Address) => {
        const packet = decode(bytes)
        if (packet !== undefined) handlers.receive(packet, from)
      },
      fail: (error: Error) => handlers.fail(error),
    }
    this.#process = process
    this.#address = { address, port }
    this.#sender = new VirtualSocket(process, { address, ...shared }, each)
    this.#listener = new VirtualSocket(process, { address: '0.0.0.0', ...shared }, each)
  }

  send(packet: MdnsPacket, to?: Address): void {
    const { address, port } = this.#address
    const card = this.#process.machine.cards.find((one) => one.address === address)
    const all = { address: card?.subnet.broadcast ?? '127.255.255.255', port }
    this.#sender.send(encode(packet), to ?? all)
  }

  async close(): Promise<void> {
    this.#process.network.woke()
    await Promise.all([this.#sender.close(), this.#listener.close()])
  }
}

/** As JSON, after a sum that tells what was damaged. */
function encode(packet: MdnsPacket): Uint8Array {
  const text = JSON.stringify(packet, (_, value) =>
    value instanceof Uint8Array ? { octets: [...value] } : value,
  )
  const bytes = utf8(text)
  return new Writer().u32(sumOf(bytes)).bytes(bytes).finish()
}

function decode(bytes: Uint8Array): MdnsPacket | undefined {
  const [body, sum] = [bytes.subarray(4), new Writer().u32(sumOf(bytes.subarray(4))).finish()]
  if (bytes.length < 4 || sum.some((octet, index) => octet !== bytes[index])) return undefined
  return JSON.parse(fromUtf8(body), (_, value) =>
    Array.isArray(value?.octets) ? Uint8Array.from(value.octets) : value,
  )
}

/** FNV-1a. */
function sumOf(bytes: Uint8Array): number {
  let sum = 0x811c9dc5
  for (const octet of bytes) sum = Math.imul(sum ^ octet, 0x01000193) >>> 0
  return sum
}
