// What a node runs on: time, datagrams, streams, randomness and the list of interfaces. Interfaces only. src/system is the
// real host, a simulation brings its own, and nothing between here and there can tell which it has.

// What the types of Lyre need of their surroundings comes with them: a project may have neither DOM nor @types/node.
/// <reference lib="esnext.disposable" preserve="true" />

import type { MdnsPacket } from '../protocol/index.ts'

declare global {
  /** Whole where DOM or @types/node is, this is merged with theirs. */
  interface AbortSignal {
    readonly aborted: boolean
  }
}

/** Everything that a node may use of the world. */
export interface Host {
  readonly clock: Clock
  readonly datagrams: Datagrams
  readonly streams: Streams
  readonly multicastDns: MulticastDns
  readonly storage: Storage
  readonly channels: Channels
  /**
   * Looks up the IPv4 addresses of a host by its name, the best first.
   * @throws NetworkError when it has none.
   */
  resolve(name: string): Promise<readonly string[]>
  /** The network interfaces as they are now. */
  interfaces(): readonly NetworkInterface[]
  /** Memory, whose octets may be anything until they are written. */
  allocate(bytes: number): Uint8Array
  /** Octets that nobody can guess; in a simulation, octets that its seed tells. */
  random(count: number): Uint8Array
  /** Takes what an application's own handler threw: it surfaces as an uncaught exception, after we are done. */
  surface(error: unknown): void
}

/** Time and timers; a machine's own, or a simulation's. */
export interface Clock {
  /** Milliseconds on a clock that never goes back, with any beginning. */
  now(): number
  /**
   * Whole milliseconds since 1970 by the clock on the wall, as far as it is known here: it goes on while the machine sleeps, and
   * may be wrong, and set to any time. What it does beside now() says something; the rest is for others to read.
   */
  wall(): number
  /** A timer that is not set. */
  timer(callback: () => void): Timer
  /** Calls back soon, once everything that is ready to be read has been. */
  defer(callback: () => void): void
  /**
   * The same, for what is the cheaper the more of it comes together: where such calls follow each other at once, it may be
   * some turns of the event loop later, as long as the amount grows with each.
   */
  gather(callback: () => void, amount: () => number): void
}

/** One timer, which can be set again and again. */
export interface Timer {
  /** Calls back once, at or soon after the instant `at`; replaces what was set. Infinity: never. */
  set(at: number): void
}

/** One address of one interface. */
export interface NetworkInterface {
  readonly name: string
  readonly family: 'IPv4' | 'IPv6'
  readonly address: string
  readonly netmask: string
  readonly loopback: boolean
  /** Whether its broadcast address reaches its network: loopback has none with some systems. */
  readonly broadcasts: boolean
}

/** An IPv4 address, and a UDP or TCP port; 0 is any port, where one is opened. */
export interface Address {
  readonly address: string
  readonly port: number
}

/** UDP over IPv4. */
export interface Datagrams {
  /**
   * Opens a socket.
   * @throws NetworkError when the address, the port or the membership cannot be had.
   */
  open(options: DatagramOptions, handlers: DatagramHandlers): Promise<DatagramSocket>
}

/** Where a UDP socket is, and what it may do; `port` 0 is any. */
export interface DatagramOptions extends Address {
  /** Others may be bound to the same port, and each gets what is broadcast. */
  readonly shared: boolean
  /** It may send to everybody. */
  readonly broadcast: boolean
  /**
   * A multicast group on loopback, where that has no broadcast: the socket hears what is sent to it on this machine, and
   * what it sends to it leaves by loopback, so that no network hears it.
   */
  readonly multicast?: string | null
}

/** What a datagram socket tells its owner. */
export interface DatagramHandlers {
  /** The octets are the receiver's. */
  receive(bytes: Uint8Array, from: Address): void
  /** A datagram could not be sent, or the socket has a problem. It stays open. */
  fail(error: Error): void
}

/** An open UDP socket. What it cannot send it tells to its handlers. */
export interface DatagramSocket {
  send(bytes: Uint8Array, to: Address): void
  /** Sends what was given to send(), then closes. */
  close(): Promise<void>
}

/** Multicast DNS over IPv4: packets go in and out as data. */
export interface MulticastDns {
  /**
   * Joins in on one interface, next to all others on this machine that do.
   * @throws NetworkError when the port, the interface or the membership cannot be had.
   */
  open(options: MulticastDnsOptions, handlers: MulticastDnsHandlers): Promise<MulticastDnsSocket>
}

/** Where to join in: the address of the interface, and the port, which is 5353 unless nobody else is to hear. */
export interface MulticastDnsOptions extends Address {
  /** Parts of names, in small letters: a packet in which none of them is may be dropped unread. */
  readonly labels: readonly string[]
}

/** What a socket for multicast DNS tells its owner. */
export interface MulticastDnsHandlers {
  /** A packet came, from whatever interface; our own come too. What is no packet of DNS is not told. */
  receive(packet: MdnsPacket, from: Address): void
  /** A packet could not be sent, or the socket has a problem. It stays open, though it may be of no use any more. */
  fail(error: Error): void
}

/** An open socket for multicast DNS. What it cannot send it tells to its handlers. */
export interface MulticastDnsSocket {
  /** Sends a packet by its interface: to everybody, or `to` one alone. */
  send(packet: MdnsPacket, to?: Address): void
  /** Sends what was given to send(), then closes. */
  close(): Promise<void>
}

/** What others in this process may listen to, by its name, without knowing a node. */
export interface Channels {
  /** Whether anybody listens: to be asked before a message is made. */
  hasSubscribers(name: string): boolean
  publish(name: string, message: unknown): void
}

/** Small files that outlive a process. Few are read, when a node is created or started, so nobody has to wait for a promise. */
export interface Storage {
  /** A folder, which need not be there yet. */
  folder(path: string): Folder
  /** Milliseconds since 1970, as far as the machine knows: it may be wrong, and go back. */
  date(): number
}

/** A folder of small texts. All of it throws UsageError where the folder cannot be had, with what the system says. */
export interface Folder {
  /** @returns undefined where there is no such file; a text in which nothing is where it is larger than 1 MiB. */
  read(name: string): string | undefined
  /** Replaces a file as a whole, and makes the folder if need be: who loses power has the old text or the new one. */
  write(name: string, text: string): void
  /**
   * Takes the folder for oneself; it is free again when the process dies.
   * @returns what gives it back.
   * @throws UsageError when somebody has it.
   */
  claim(): () => void
}

/** TCP over IPv4. */
export interface Streams {
  /**
   * Listens; `accept` gets each new connection and gives its handlers.
   * @throws NetworkError when the address or port cannot be had; its `cause` has the code `EADDRINUSE` if it is taken.
   */
  listen(at: Address, accept: (stream: Stream) => StreamHandlers): Promise<StreamServer>
  /** Begins to connect; what becomes of it is told to the handlers, never before this returns. */
  connect(to: Address, handlers: StreamHandlers): Stream
}

/** What listens, at a port from 1 to 65535. */
export interface StreamServer {
  readonly port: number
  /** Accepts no more. Connections stay. */
  close(): void
}

/** What a connection tells, to its owner alone. */
export interface StreamHandlers {
  /** A connection that we began is there. */
  open(): void
  /** Octets came; they are the receiver's. */
  receive(bytes: Uint8Array): void
  /**
   * Where the next octets are to be read to, and that so many came to its beginning: asked before each read by a host that can
   * tell its network so, which saves to copy them. Undefined: receive() will do.
   */
  room?(): Uint8Array | undefined
  filled?(count: number): void
  /** What was written has left, after `backlogBytes` had grown to more than some packets. */
  drain(): void
  /** It is over, once: closed by either side, or never there. */
  close(reason: string): void
}

/** One TCP connection, accepted or begun. Whatever goes wrong with it is told to its handlers by close(). */
export interface Stream {
  /** Our own address and the other side's, without their ports; empty as long as there is none. */
  readonly localAddress: string
  readonly remoteAddress: string
  /** Octets that were written and have not left. */
  readonly backlogBytes: number
  /**
   * Takes octets, one part or several, which must not change until they have left.
   * @returns whether all have left already, so that their memory can be used again.
   */
  write(...parts: readonly Uint8Array[]): boolean
  /** Stops and restarts reading, so that the other side has to wait. */
  pause(): void
  resume(): void
  /** Sends what was written, then says that no more comes. */
  end(): void
  /** Closes at once; what was not sent is lost. */
  destroy(): void
}
