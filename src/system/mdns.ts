// Multicast DNS as Node.js has it, with the package multicast-dns for what is in the packets. The socket is ours: the package
// would send by whichever interface the system prefers, would not join in again on an interface that comes back, and reads
// whatever anybody sends (docs/adr/0009). It is loaded when it is needed first, so that nobody else pays for it.

import { createSocket, type Socket } from 'node:dgram'
import { EventEmitter, once } from 'node:events'
import type { Options } from 'multicast-dns'
import { NetworkError } from '../errors.ts'
import type {
  Address,
  MulticastDns,
  MulticastDnsHandlers,
  MulticastDnsOptions,
  MulticastDnsSocket,
} from '../host.ts'

/** The group that all speak to, whatever the port (RFC 6762). */
const GROUP = '224.0.0.251'
/** Octets of the largest packet that anybody may send, and records in it that we would read (RFC 6762, 17). */
const PACKET_BYTES_MAX = 9_000
const RECORDS_MAX = 256
/** Whose packets have another one come through a router, which must not be (RFC 6762, 11). */
const TTL = 255

/** A packet, a question and a record as a Host has them. */
type Packet = Parameters<MulticastDnsHandlers['receive']>[0]
type Question = Packet['questions'][number]
type Item = Packet['answers'][number]

/** The same as the package has them. */
interface Wire {
  readonly type: 'query' | 'response'
  readonly id: number
  readonly questions: readonly WireQuestion[]
  readonly answers: readonly WireRecord[]
  readonly additionals: readonly WireRecord[]
}
interface WireQuestion {
  readonly name: string
  readonly type: string
  readonly class: string
}
interface WireRecord extends WireQuestion {
  readonly ttl: number
  readonly flush: boolean
  readonly data: unknown
}

/** What we use of the package. */
interface Codec {
  on(event: 'packet', heard: (packet: Wire, from: Address) => void): void
  on(event: 'error' | 'warning', heard: (error: Error) => void): void
  send(packet: object, to: Address, sent: (error: Error | null | undefined) => void): void
}

/** Multicast DNS by sockets of node:dgram. */
export const systemMulticastDns: MulticastDns = {
  async open(options, handlers) {
    const { address, port } = options
    // Loaded before there is a socket, on which nothing must happen meanwhile.
    await import('multicast-dns')
    const socket = createSocket({ type: 'udp4', reuseAddr: true })
    try {
      socket.bind({ address: '0.0.0.0', port, exclusive: true })
      await once(socket, 'listening')
      socket.addMembership(GROUP, address)
      socket.setMulticastInterface(address)
      socket.setMulticastLoopback(true)
      socket.setMulticastTTL(TTL)
      socket.setTTL(TTL)
    } catch (cause) {
      socket.close()
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new NetworkError(`cannot join multicast DNS at port ${port} of ${address}: ${reason}`, {
        cause,
      })
    }
    return createMulticastDnsSocket(socket, options, handlers)
  },
}

/** A socket for multicast DNS out of one of UDP, which is where it has to be, and from now on the other's. */
export async function createMulticastDnsSocket(
  socket: Socket,
  options: MulticastDnsOptions,
  handlers: MulticastDnsHandlers,
): Promise<MulticastDnsSocket> {
  const { default: multicastDns } = await import('multicast-dns')
  const create = multicastDns as unknown as (options: Options) => Codec
  return new SystemMulticastDnsSocket(socket, { options, handlers, create })
}

class SystemMulticastDnsSocket implements MulticastDnsSocket {
  readonly #socket: Socket
  readonly #handlers: MulticastDnsHandlers
  readonly #codec: Codec
  readonly #group: Address
  #sendingCount = 0
  #sent: (() => void) | undefined

  constructor(
    socket: Socket,
    {
      options,
      handlers,
      create,
    }: {
      readonly options: MulticastDnsOptions
      readonly handlers: MulticastDnsHandlers
      readonly create: (options: Options) => Codec
    },
  ) {
    this.#socket = socket
    this.#handlers = handlers
    this.#group = { address: GROUP, port: options.port }
    // All that the package sees of the socket: it neither binds nor closes it, and reads only what we let through.
    const gate = Object.assign(new EventEmitter(), {
      // What it cannot even try, it throws, and the package would let it, when nobody is there to catch it.
      send(...given: Parameters<Socket['send']>) {
        try {
          socket.send(...given)
        } catch (error) {
          const sent = given.at(-1) as unknown as (error: unknown) => void
          sent(error)
        }
      },
    })
    this.#codec = create({
      socket: gate as unknown as Socket,
      port: options.port,
      bind: false,
      multicast: false,
    })
    const fail = (error: Error) => handlers.fail(error)
    this.#codec.on('error', fail)
    // What cannot be read is somebody else's: nothing is wrong with the socket.
    this.#codec.on('warning', () => {})
    this.#codec.on('packet', (packet, { address, port }) =>
      handlers.receive(fromWire(packet), { address, port }),
    )
    socket.on('error', fail)
    socket.on('message', (octets, from) => {
      // A port of 0 can be forged, and not be answered.
      if (from.port > 0 && admits(octets, options.labels)) gate.emit('message', octets, from)
    })
  }

  send(packet: Packet, to: Address = this.#group): void {
    this.#sendingCount++
    this.#codec.send(toWire(packet), to, (error) => {
      if (error) this.#handlers.fail(error)
      if (--this.#sendingCount === 0) this.#sent?.()
    })
  }

  async close(): Promise<void> {
    if (this.#sendingCount > 0) await new Promise<void>((resolve) => (this.#sent = resolve))
    await new Promise<void>((resolve) => this.#socket.close(resolve))
  }
}

/** Types of records that are read: A, PTR, TXT and SRV; and where in the data of two of them there is a name. */
const READ_TYPES: readonly number[] = [1, 12, 16, 33]
const NAMES_AT: ReadonlyMap<number, number> = new Map([
  [12, 0],
  [33, 6],
])
/** A type that nobody has: the package takes its octets as they are. */
const UNREAD_TYPE = 0xff00

/**
 * Whether to read a packet: one that is whole, not too much, and about what is wanted. What is in it beside that is made
 * unreadable: a few octets of some types keep the package busy for milliseconds.
 */
function admits(octets: Buffer, labels: readonly string[]): boolean {
  const { length } = octets
  if (length < 12 || length > PACKET_BYTES_MAX) return false
  // Neither an operation other than a query, nor the report of an error (RFC 6762, 18.3 and 18.11).
  if ((octets.readUInt8(2) & 0x78) !== 0 || (octets.readUInt8(3) & 0x0f) !== 0) return false
  const questionCount = octets.readUInt16BE(4)
  const recordCount = octets.readUInt16BE(6) + octets.readUInt16BE(8) + octets.readUInt16BE(10)
  if (questionCount + recordCount > RECORDS_MAX) return false
  const text = octets.toString('latin1').toLowerCase()
  if (!labels.some((label) => text.includes(label))) return false
  let offset = 12
  for (let index = 0; index < questionCount; index++) offset = endOfName(octets, offset) + 4
  for (let index = 0; index < recordCount; index++) {
    const start = endOfName(octets, offset)
    if (start + 10 > length) return false
    const type = octets.readUInt16BE(start)
    const nameAt = NAMES_AT.get(type)
    if (!READ_TYPES.includes(type)) octets.writeUInt16BE(UNREAD_TYPE, start)
    if (nameAt !== undefined && endOfName(octets, start + 10 + nameAt) > length) return false
    offset = start + 10 + octets.readUInt16BE(start + 8)
  }
  return offset <= length
}

/** Labels and pointers of a name: ours have five, and a thousand pointers to pointers keep the package busy. */
const NAME_PARTS_MAX = 32

/** Where a name ends; past all ends where it has none, or too many parts. */
function endOfName(octets: Buffer, start: number): number {
  let offset = start
  let end = 0
  for (let count = 0; count < NAME_PARTS_MAX; count++) {
    const size = octets[offset] ?? 0x40
    if (size === 0) return end || offset + 1
    if (size < 0x40) {
      offset += 1 + size
      continue
    }
    if (size < 0xc0) break
    end ||= offset + 2
    offset = ((size & 0x3f) << 8) | (octets[offset + 1] ?? 0)
  }
  return Number.POSITIVE_INFINITY
}

function fromWire({ type, id, questions, answers, additionals }: Wire): Packet {
  return {
    type,
    id,
    questions: questions.filter(isInternet).map(({ name, type }): Question => ({ name, type })),
    answers: answers.flatMap(fromRecord),
    additionals: additionals.flatMap(fromRecord),
  }
}

/** The class Internet or any; with its highest bit it asks for a unicast answer, which the package does not tell. */
function isInternet(question: WireQuestion): boolean {
  return ['IN', 'ANY', 'UNKNOWN_32769', 'UNKNOWN_33023'].includes(question.class)
}

function fromRecord(record: WireRecord): Item[] {
  const { name, type, ttl, flush, data } = record
  if (record.class !== 'IN') return []
  const about = { name, ttl, flush }
  switch (type) {
    case 'A':
      return [{ ...about, type, address: data as string }]
    case 'PTR':
      return [{ ...about, type, target: data as string }]
    case 'SRV': {
      const { target, port } = data as { readonly target: string; readonly port: number }
      return [{ ...about, type, target, port }]
    }
    case 'TXT':
      return [{ ...about, type, texts: data as readonly Buffer[] }]
    default:
      return []
  }
}

function toWire({ type, id, questions, answers, additionals }: Packet): object {
  return {
    type,
    id,
    // An answer is always ours to give.
    flags: type === 'response' ? 0x0400 : 0,
    questions: questions.map(({ name, type }) => ({ name, type })),
    answers: answers.map(toRecord),
    additionals: additionals.map(toRecord),
  }
}

function toRecord(record: Item): object {
  const { name, type, ttl, flush } = record
  const about = { name, type, ttl, flush, class: 'IN' }
  switch (record.type) {
    case 'A':
      return { ...about, data: record.address }
    case 'PTR':
      return { ...about, data: record.target }
    case 'SRV':
      return { ...about, data: { target: record.target, port: record.port } }
    case 'TXT':
      return { ...about, data: record.texts.map((text) => Buffer.from(text)) }
  }
}
