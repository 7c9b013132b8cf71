/**
 * A world in memory to test src/ in, with as many hosts as a test wants: time is a number that it sets, octets move when it
 * says so. Only as true as these tests need; the suite in test/compliance/ says what a Host really has to do.
 */

import type { MdnsPacket } from '../../protocol/index.ts'
import type { Whereabouts } from '../../src/discovery/discovery.ts'
import { chooseInterfaces } from '../../src/discovery/interfaces.ts'
import { NetworkError, UsageError } from '../../src/errors.ts'
import type {
  Address,
  DatagramHandlers,
  Folder,
  Host,
  MulticastDnsHandlers,
  NetworkInterface,
  Stream,
  StreamHandlers,
  Timer,
} from '../../src/host.ts'
import { concat } from './octets.ts'

const LOOPBACK: NetworkInterface = {
  name: 'lo',
  family: 'IPv4',
  address: '127.0.0.1',
  netmask: '255.0.0.0',
  loopback: true,
  broadcasts: true,
}

const NOTHING = new Uint8Array(0)
/** When the time of a world begins, in milliseconds since 1970. */
export const EPOCH = 1_700_000_000_000
/** Octets that are read at once where a receiver has no room for them. */
const SHARED_BYTES = 65_536
/** What memory holds that nobody has written to, or that has left. */
const GARBAGE = 0xaa

class FakeTimer implements Timer {
  readonly callback: () => void
  at = Number.POSITIVE_INFINITY

  constructor(callback: () => void) {
    this.callback = callback
  }

  set(at: number): void {
    this.at = at
  }
}

export class FakeStream implements Stream {
  readonly localAddress = '127.0.0.1'
  readonly remoteAddress = '127.0.0.1'
  readonly #world: World
  handlers: StreamHandlers | undefined
  other: FakeStream | undefined
  /** What was written, write by write. */
  readonly written: Uint8Array[] = []
  /** What has come and waits while this side is paused: octets, or another event. */
  #waiting: (Uint8Array | (() => void))[] = []
  #paused = false
  #over = false
  /** Where the next octets are read to, as its receiver said when it was asked. */
  #room: Uint8Array | undefined
  /** Set it, and octets stay here, and end() waits, as towards a process that sleeps. */
  stalled = false
  backlogBytes = 0

  constructor(world: World) {
    this.#world = world
  }

  write(...parts: readonly Uint8Array[]): boolean {
    if (this.#over) throw new Error('written after the end')
    const copy = concat(...parts)
    this.written.push(copy)
    if (this.stalled) {
      this.backlogBytes += copy.length
      return false
    }
    if (this.backlogBytes > 0 || !this.#world.takes()) {
      // What is given is still where it was when it leaves, unless it was changed too early.
      this.backlogBytes += copy.length
      this.#world.do(() => this.#leave(concat(...parts)))
      return false
    }
    // What has left is its writer's again, who does not look at it any more. A content is its application's.
    for (const part of parts) if (part.length < part.buffer.byteLength) part.fill(GARBAGE)
    this.#world.do(() => this.other?.arrive(copy))
    return true
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#world.do(() => {
      while (!this.#paused && this.#waiting.length > 0) this.#come(this.#waiting.shift() ?? NOTHING)
    })
  }

  end(): void {
    if (this.stalled || this.#over) return
    this.#over = true
    this.#world.do(() => this.other?.arrive(() => this.other?.close('closed by the peer')))
    this.#world.do(() => this.close('closed by us'))
  }

  destroy(): void {
    this.#over = true
    this.#world.do(() => this.other?.close('closed by the peer'))
    this.#world.do(() => this.close('closed by us'))
  }

  close(reason: string): void {
    const { handlers } = this
    this.handlers = undefined
    this.#over = true
    handlers?.close(reason)
  }

  /** Something comes, which waits while this side is paused. */
  arrive(event: Uint8Array | (() => void)): void {
    if (this.#paused || this.#waiting.length > 0) this.#waiting.push(event)
    else this.#come(event)
  }

  /** As with a real host, a receiver is asked for room long before anything comes to it. */
  #ask(): void {
    const room = this.#world.pieceBytes === undefined ? undefined : this.handlers?.room?.()
    if (room?.length === 0) throw new Error('a receiver has no room')
    this.#room = room
  }

  #come(event: Uint8Array | (() => void)): void {
    if (event instanceof Uint8Array) this.#read(event)
    else event()
  }

  #read(octets: Uint8Array): void {
    let rest = octets
    while (rest.length > 0 && !this.#paused && this.handlers !== undefined) {
      const room = this.#room
      const bytesMax = Math.min(rest.length, room?.length ?? SHARED_BYTES)
      const piece = rest.subarray(0, this.#world.pieceBytes?.(bytesMax) ?? rest.length)
      rest = rest.subarray(piece.length)
      if (room === undefined) {
        this.handlers.receive(piece.slice())
      } else {
        room.set(piece)
        this.handlers.filled?.(piece.length)
      }
      this.#ask()
    }
    if (rest.length > 0) this.#waiting.unshift(rest)
  }

  #leave(octets: Uint8Array): void {
    this.other?.arrive(octets)
    this.backlogBytes -= octets.length
    if (this.backlogBytes === 0) this.handlers?.drain()
  }
}

interface Listening extends Address {
  readonly multicast: string | null
  readonly handlers: DatagramHandlers
}

/** Everything that the hosts of a test share. */
export class World {
  now = 0
  /** By how much the clock on the wall is ahead of the one that tells `now`. */
  wallAheadMs = 0
  /** All streams ever, in the order they were connected: the side that dialled, then the side that accepted. */
  readonly streams: FakeStream[] = []
  /** Every datagram ever. */
  readonly datagrams: { readonly bytes: Uint8Array; readonly to: Address }[] = []
  /** Every packet of multicast DNS ever, and whom it went to, if not to all. */
  readonly packets: { readonly packet: MdnsPacket; readonly to: Address | undefined }[] = []
  readonly surfaced: unknown[] = []
  /** What was published, by the channels that somebody listens to. */
  readonly channels = new Map<string, unknown[]>()
  /** Why multicast DNS cannot be had. */
  mdnsError: Error | undefined
  /** Addresses of hosts, by their names. */
  readonly names = new Map([['localhost', ['127.0.0.1']]])
  /** Texts by folder and name; the folders that somebody has. */
  readonly files = new Map<string, string>()
  readonly claimed = new Set<string>()
  /** Why nothing can be written. */
  storageError: Error | undefined
  /** TCP ports that nobody can have. */
  readonly taken = new Set<number>()
  interfaces: readonly NetworkInterface[] = [LOOPBACK]
  /** Set it, and streams are read to where their receivers want it, by pieces of so many octets, from 1 to those that there are. */
  pieceBytes: ((bytesMax: number) => number) | undefined
  readonly #servers = new Map<number, (stream: Stream) => StreamHandlers>()
  readonly #sockets = new Set<Listening>()
  readonly #resolvers = new Set<MulticastDnsHandlers>()
  readonly #timers = new Set<FakeTimer>()
  #tasks: (() => void)[] = []
  #deferred: (() => void)[] = []
  #port = 40_000
  #random = 0
  #writeCount = 0

  /** Whether what is written has left at once: in two of three cases. */
  takes(): boolean {
    return ++this.#writeCount % 3 > 0
  }

  do(task: () => void): void {
    this.#tasks.push(task)
  }

  /** Lets happen what can, until all is quiet; time stands still. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      while (this.#tasks.length > 0 || this.#deferred.length > 0) {
        quiet = 0
        this.step()
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** One turn of the event loop: all that is ready, then what was deferred until then. */
  step(): void {
    for (const queue of ['tasks', 'deferred'] as const) {
      const due = queue === 'tasks' ? this.#tasks : this.#deferred
      if (queue === 'tasks') this.#tasks = []
      else this.#deferred = []
      for (const task of due) task()
    }
  }

  /** Lets time pass, timer by timer. */
  async advance(ms: number): Promise<void> {
    const end = this.now + ms
    await this.settle()
    for (;;) {
      const at = Math.min(...[...this.#timers].map((timer) => timer.at))
      if (!(at <= end)) break
      this.now = Math.max(this.now, at)
      this.#ring()
      await this.settle()
    }
    this.now = end
  }

  /** Nobody runs for so long. Then timers come first, as in Node.js, and what there is to read after them. */
  async standStill(ms: number): Promise<void> {
    this.now += ms
    this.#ring()
    await this.settle()
  }

  #ring(): void {
    for (const timer of this.#timers) {
      if (timer.at > this.now) continue
      timer.at = Number.POSITIVE_INFINITY
      timer.callback()
    }
  }

  /** When the next timer is due. */
  get nextAt(): number {
    return Math.min(...[...this.#timers].map(({ at }) => at))
  }

  /** Everybody bound to the port hears it; where it goes to a multicast group, those that are in it. */
  broadcast(
    bytes: Uint8Array,
    to: { readonly port: number; readonly address?: string },
    from: Address,
  ): void {
    const { address: there = '' } = to
    const group = /^(239\.|ff02:)/.test(there) ? there : undefined
    for (const { address, port, multicast, handlers } of this.#sockets) {
      const hears = group === undefined ? address !== '::' : multicast === group
      if (port !== to.port || !hears) continue
      handlers.receive(bytes.slice(), from)
    }
  }

  /** Everybody who speaks multicast DNS hears it. */
  multicast(packet: MdnsPacket, from: Address): void {
    for (const { receive } of [...this.#resolvers]) receive(structuredClone(packet), from)
  }

  /** Whoever speaks multicast DNS is not heard any more. */
  silence(): void {
    this.#resolvers.clear()
  }

  /** Every socket for multicast DNS has this problem. */
  troubleMdns(error: Error): void {
    for (const { fail } of [...this.#resolvers]) fail(error)
  }

  host(): Host {
    return {
      clock: {
        now: () => this.now,
        wall: () => EPOCH + Math.floor(this.now + this.wallAheadMs),
        timer: (callback) => {
          const timer = new FakeTimer(callback)
          this.#timers.add(timer)
          return timer
        },
        defer: (callback) => void this.#deferred.push(callback),
        gather: (callback) => void this.#deferred.push(callback),
      },
      datagrams: {
        open: async ({ address, port, multicast = null }, handlers) => {
          const socket = { address, port, multicast, handlers }
          this.#sockets.add(socket)
          return {
            send: (bytes, to) => {
              this.datagrams.push({ bytes, to })
              this.do(() => this.broadcast(bytes, to, { address, port }))
            },
            close: async () => void this.#sockets.delete(socket),
          }
        },
      },
      multicastDns: {
        open: async (from, handlers) => {
          if (this.mdnsError !== undefined) throw this.mdnsError
          this.#resolvers.add(handlers)
          return {
            send: (packet, to) => {
              this.packets.push({ packet, to })
              if (to === undefined) this.do(() => this.multicast(packet, from))
            },
            close: async () => void this.#resolvers.delete(handlers),
          }
        },
      },
      streams: {
        listen: async ({ port }, accept) => this.#listen(port, accept),
        connect: ({ port }, handlers) => this.#connect(port, handlers),
      },
      channels: {
        hasSubscribers: (name) => this.channels.has(name),
        publish: (name, message) => void this.channels.get(name)?.push(message),
      },
      storage: { folder: (path) => this.#folder(path), date: () => 1_000_000 + this.now },
      resolve: async (name) => {
        const addresses = this.names.get(name)
        if (addresses === undefined) throw new NetworkError(`cannot look up ${name}`)
        return addresses
      },
      interfaces: () => this.interfaces,
      allocate: (bytes) => new Uint8Array(bytes).fill(GARBAGE),
      random: (count) => Uint8Array.from({ length: count }, () => ++this.#random % 256),
      surface: (error) => void this.surfaced.push(error),
    }
  }

  #folder(path: string): Folder {
    return {
      read: (name) => this.files.get(`${path}/${name}`),
      write: (name, text) => {
        if (this.storageError !== undefined) throw this.storageError
        this.files.set(`${path}/${name}`, text)
      },
      claim: () => {
        if (this.claimed.has(path)) throw new UsageError(`${path} is in use`)
        this.claimed.add(path)
        return () => void this.claimed.delete(path)
      },
    }
  }

  #listen(wanted: number, accept: (stream: Stream) => StreamHandlers) {
    const port = wanted === 0 ? ++this.#port : wanted
    if (this.taken.has(port) || this.#servers.has(port)) {
      const cause = Object.assign(new Error('taken'), { code: 'EADDRINUSE' })
      throw new NetworkError(`cannot listen at ${port}`, { cause })
    }
    this.#servers.set(port, accept)
    return { port, close: () => void this.#servers.delete(port) }
  }

  #connect(port: number, handlers: StreamHandlers): Stream {
    const [dialled, accepted] = [new FakeStream(this), new FakeStream(this)]
    dialled.handlers = handlers
    this.streams.push(dialled, accepted)
    this.do(() => {
      const accept = this.#servers.get(port)
      if (accept === undefined) {
        dialled.close('nobody listens')
        return
      }
      dialled.other = accepted
      accepted.other = dialled
      accepted.handlers = accept(accepted)
      dialled.handlers?.open()
    })
    return dialled
  }
}

/** Where a node of this world is: on all its interfaces, of IPv6 as well, or at an address that others are told. */
export function whereabouts(
  { interfaces }: Pick<World, 'interfaces'>,
  inboxPort: number,
  endpoint = `tcp://127.0.0.1:${inboxPort}`,
): Whereabouts {
  const { chosen } = chooseInterfaces(interfaces, [], { ipv6: true })
  return { endpoint, places: chosen.map((chosen) => ({ chosen, inboxPort })) }
}
