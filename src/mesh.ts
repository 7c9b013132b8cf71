// The sockets of a node: one inbox (a ROUTER that others connect to) and a mailbox (a DEALER of ours) per peer. Streams of
// octets below, ZRE messages above. It has no opinion: harmony.ts says whom to dial, when to hold and what to close.
// Spec: harmony.md 2, zmtp.md.

import {
  type ConnectionId,
  decodeIdentity,
  decodeZre,
  encodeIdentity,
  encodeZre,
  HELLO_BYTES_MAX,
  type LinkChange,
  NullMechanism,
  parseEndpoint,
  type SocketType,
  type Uuid,
  WireError,
  ZmtpConnection,
  type ZmtpEvent,
  type ZmtpLimits,
  type ZreCommand,
  type ZreMessage,
} from '../protocol/index.ts'
import { NetworkError } from './errors.ts'
import type { Host, Stream, StreamHandlers, StreamServer } from './host.ts'

/** Who the node is, and what others can make its sockets hold. */
export interface MeshOptions {
  readonly uuid: Uuid
  readonly zmtp: ZmtpLimits
  /** Accepted connections whose handshake is not done. */
  readonly handshakesMax: number
  /** Octets that may wait in one mailbox before a further message is too much. */
  readonly queueBytesMax: number
  readonly queueMessagesMax: number
}

/** What the mesh tells; never from within a call to the mesh, except that a mailbox overflows and that it is `sooner`. */
export interface MeshHandlers {
  link(connection: ConnectionId, change: LinkChange): void
  activity(connection: ConnectionId): void
  message(connection: ConnectionId, message: ZreMessage): void
  /** A mailbox that was congested no longer is, or is gone. */
  drained(): void
  /** Something has to happen earlier than pollTimeout() has said so far. */
  sooner(): void
}

/** Ports to try for the inbox, both included; 0 lets the host choose. */
export interface PortRange {
  readonly from: number
  readonly to: number
}

/** Octets given to a stream that it has not sent: beyond, they wait here, where they are counted. */
const STREAM_BACKLOG_BYTES = 1_048_576
/** A mailbox is congested above this, until all of it has been given to its stream. */
const CONGESTED_BYTES = 2 * STREAM_BACKLOG_BYTES

/**
 * What a dial may take to the end of its handshake. Longer than what we grant those who dial us, whose octets are here: a
 * process of many nodes accepts one connection a turn for each, and who gives up and dials again makes it worse.
 */
const DIAL_TIMEOUT_MS = 15_000
/** What a connection may send while it is held, before we stop to read: so we still see that it closes. */
const HELD_BYTES_MAX = 16_384
/** Octets of a message before the HELLO, and of the HELLO: a stranger gets no more of our memory. */
const STRANGER_BYTES_MAX = HELLO_BYTES_MAX + 64
const NOTHING = new Uint8Array(0)

/** One connection, accepted or dialled. */
interface Link {
  readonly connection: ConnectionId
  readonly stream: Stream
  readonly zmtp: ZmtpConnection
  /** About how many messages wait here. */
  queuedCount: number
  /** Octets of the largest message since the mailbox was last empty. */
  largestBytes: number
  /** Whether the handshake is done. */
  up: boolean
  /** Whether there is a connection at all. */
  open: boolean
  held: boolean
  dirty: boolean
  /** Whether more than CONGESTED_BYTES wait in it: its sender had better wait too. */
  congested: boolean
  /** When the PING went out that waits for its PONG; NaN while none does. */
  pingedAt: number
}

/** The sockets of one node: all its connections by their numbers, those that we accept below 0, those that we dial above. */
export class Mesh {
  readonly #host: Host
  readonly #options: MeshOptions
  readonly #handlers: MeshHandlers
  readonly #identity: Uint8Array
  readonly #links = new Map<ConnectionId, Link>()
  /** Links with a deadline: a handshake, or the TTL that a peer set itself. */
  readonly #timed = new Set<Link>()
  readonly #counters = new Map<string, number>()
  #server: StreamServer | undefined
  #acceptedCount = 0
  #handshakeCount = 0
  #wakeAt = Number.POSITIVE_INFINITY
  #dirty: Link[] = []
  #stopped: (() => void) | undefined
  /** Streams whose end we have not heard of, those that we closed ourselves too. */
  #streamCount = 0
  #allClosed: (() => void) | undefined

  constructor(host: Host, options: MeshOptions, handlers: MeshHandlers) {
    this.#host = host
    this.#options = options
    this.#handlers = handlers
    this.#identity = encodeIdentity(options.uuid)
  }

  /**
   * Opens the inbox.
   * @returns its port.
   * @throws NetworkError when no port of the range can be had.
   */
  async listen(address: string, ports: PortRange): Promise<number> {
    for (let port = ports.from; port <= ports.to; port++) {
      try {
        this.#server = await this.#host.streams.listen({ address, port }, (stream) =>
          this.#accept(stream),
        )
        return this.#server.port
      } catch (error) {
        if (port === ports.to || !isPortTaken(error)) throw error
      }
    }
    throw new NetworkError(`no TCP port between ${ports.from} and ${ports.to}`)
  }

  /** Begins a mailbox. What becomes of it is told to `link`. */
  dial(connection: ConnectionId, endpoint: string): void {
    const to = parseEndpoint(endpoint)
    if (to === undefined) {
      const reason = `${endpoint} is no tcp endpoint`
      this.#host.clock.defer(() => this.#handlers.link(connection, { type: 'refused', reason }))
      return
    }
    const address = { address: to.host, port: to.port }
    const zmtp = this.#zmtp('DEALER')
    const stream = this.#host.streams.connect(address, {
      ...this.#streamHandlers(connection),
      open: () => {
        const link = this.#links.get(connection)
        if (link === undefined) return
        link.open = true
        this.#flush(link)
      },
    })
    this.#add({ connection, stream, zmtp })
  }

  /** Queues one message; it leaves soon, together with what else is queued until then. */
  send(connection: ConnectionId, command: ZreCommand, sequence: number): void {
    const link = this.#links.get(connection)
    if (link === undefined || !link.zmtp.ready) return
    const { queueBytesMax, queueMessagesMax } = this.#options
    const { outputBytes } = link.zmtp
    const queuedBytes = outputBytes + link.stream.backlogBytes
    // The largest message is not counted: by itself, or with a PING-OK behind it, it is not too much.
    if (queuedBytes > queueBytesMax + link.largestBytes || link.queuedCount >= queueMessagesMax) {
      this.#count('mailbox-overflow')
      const reason = `${link.queuedCount} messages and ${queuedBytes} octets wait for it`
      this.#handlers.link(connection, { type: 'overflow', reason })
      return
    }
    link.zmtp.send(encodeZre(command, sequence))
    const messageBytes = link.zmtp.outputBytes - outputBytes
    link.queuedCount++
    link.largestBytes = Math.max(link.largestBytes, messageBytes)
    if (queuedBytes + messageBytes > CONGESTED_BYTES) link.congested = true
    if (link.zmtp.outputBytes >= STREAM_BACKLOG_BYTES) this.#flush(link)
    else this.#schedule(link)
  }

  /** Asks the other side's ZMTP for an answer, to measure the way there and back; not every peer knows how. */
  measure(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (link === undefined || !link.zmtp.heartbeats || !Number.isNaN(link.pingedAt)) return
    link.pingedAt = this.#host.clock.now()
    link.zmtp.ping(new Uint8Array(0))
    this.#schedule(link)
  }

  /** Hands on nothing more of what a connection sends, so that its peer soon has to wait. */
  hold(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (link !== undefined) link.held = true
  }

  /** Reads on, not before the caller is done. */
  resume(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (!link?.held) return
    this.#host.clock.defer(() => {
      if (this.#links.get(connection) !== link || !link.held) return
      link.held = false
      link.zmtp.handleBytes(NOTHING, this.#host.clock.now())
      link.stream.resume()
      this.#read(link)
    })
  }

  /** Closes at once; nothing more is told about this connection. */
  close(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (link === undefined) return
    this.#remove(link)
    link.stream.destroy()
  }

  handleTimeout(now: number): void {
    if (now < this.#wakeAt) return
    this.#wakeAt = Number.POSITIVE_INFINITY
    for (const link of [...this.#timed]) {
      link.zmtp.handleTimeout(now)
      this.#read(link)
      if (this.#timed.has(link)) this.#wakeAt = Math.min(this.#wakeAt, link.zmtp.pollTimeout())
    }
  }

  pollTimeout(): number {
    return this.#wakeAt
  }

  /** Accepts no more, sends what is queued, and closes every connection after `lingerMs` at the latest. */
  async stop(lingerMs: number): Promise<void> {
    this.#server?.close()
    this.#server = undefined
    for (const link of this.#links.values()) {
      if (link.connection < 0) continue
      if (!link.up) {
        this.close(link.connection)
        continue
      }
      // Everything goes to the stream now, however much it is: no more will follow.
      for (
        let bytes = link.zmtp.pollOutput();
        bytes !== undefined;
        bytes = link.zmtp.pollOutput()
      ) {
        link.stream.write(bytes)
      }
      link.stream.end()
    }
    await this.#mailboxesClosed(lingerMs)
    for (const link of [...this.#links.values()]) {
      this.#remove(link)
      link.stream.destroy()
    }
    if (this.#streamCount > 0) await new Promise<void>((resolve) => (this.#allClosed = resolve))
  }

  /** Ends the lingering of stop(). */
  abort(): void {
    this.#stopped?.()
  }

  /** What was refused or closed, and how often. */
  diagnostics(): {
    readonly connections: number
    readonly counters: Readonly<Record<string, number>>
  } {
    return { connections: this.#links.size, counters: Object.fromEntries(this.#counters) }
  }

  /** Whether so much waits in a mailbox that its sender had better wait. */
  congested(connection: ConnectionId): boolean {
    return this.#links.get(connection)?.congested ?? false
  }

  /** Octets that wait to be sent over a connection. */
  queuedBytes(connection: ConnectionId): number {
    const link = this.#links.get(connection)
    return link === undefined ? 0 : link.zmtp.outputBytes + link.stream.backlogBytes
  }

  #accept(stream: Stream): StreamHandlers {
    const connection = -++this.#acceptedCount
    if (this.#handshakeCount >= this.#options.handshakesMax) {
      this.#count('handshakes-limit')
      stream.destroy()
    } else {
      this.#add({ connection, stream, zmtp: this.#zmtp('ROUTER') })
      this.#touch(connection)
    }
    return this.#streamHandlers(connection)
  }

  #zmtp(socketType: SocketType): ZmtpConnection {
    // The inbox names itself too, which Zyre's does not: so a Lyre peer sees whom it has reached.
    const mechanism = new NullMechanism({ socketType, identity: this.#identity })
    const { zmtp } = this.#options
    const limits =
      socketType === 'ROUTER'
        ? { ...zmtp, messageBytesMax: Math.min(STRANGER_BYTES_MAX, zmtp.messageBytesMax) }
        : { ...zmtp, handshakeTimeoutMs: DIAL_TIMEOUT_MS }
    return new ZmtpConnection({ socketType, mechanism, limits }, this.#host.clock.now())
  }

  #add(parts: Pick<Link, 'connection' | 'stream' | 'zmtp'>): void {
    const link: Link = {
      ...parts,
      queuedCount: 0,
      largestBytes: 0,
      up: false,
      open: parts.connection < 0,
      held: false,
      dirty: false,
      congested: false,
      pingedAt: Number.NaN,
    }
    this.#links.set(link.connection, link)
    if (link.connection < 0) this.#handshakeCount++
    this.#time(link)
  }

  #streamHandlers(connection: ConnectionId): StreamHandlers {
    this.#streamCount++
    return {
      open: () => {},
      receive: (bytes) => {
        const link = this.#links.get(connection)
        if (link === undefined) return
        this.#handlers.activity(connection)
        link.zmtp.handleBytes(bytes, this.#host.clock.now())
        if (link.held && link.zmtp.unreadBytes > HELD_BYTES_MAX) this.#pause(link)
        this.#read(link)
      },
      drain: () => this.#touch(connection),
      close: (reason) => {
        if (--this.#streamCount === 0) this.#allClosed?.()
        const link = this.#links.get(connection)
        if (link === undefined) return
        this.#remove(link)
        const early = link.open && !link.up
        if (early) this.#count('handshake-lost')
        this.#handlers.link(connection, { type: 'lost', reason: early ? explain(reason) : reason })
      },
    }
  }

  #touch(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (link !== undefined) this.#flush(link)
  }

  /** Nothing will come, because we do not read: the TTL that the peer may have set says nothing as long. */
  #pause(link: Link): void {
    link.stream.pause()
    this.#timed.delete(link)
  }

  /** Hands on what can be read, one message after the other, until it is held or closed. */
  #read(link: Link): void {
    while (!link.held && this.#links.get(link.connection) === link) {
      const event = link.zmtp.pollEvent(this.#host.clock.now())
      if (event === undefined) break
      this.#handle(link, event)
    }
    if (this.#links.get(link.connection) !== link) return
    if (link.zmtp.outputBytes > 0) this.#schedule(link)
    if (link.held) return
    if (link.zmtp.pollTimeout() !== Number.POSITIVE_INFINITY) this.#time(link)
    else this.#timed.delete(link)
  }

  #handle(link: Link, event: ZmtpEvent): void {
    const { connection, stream } = link
    switch (event.type) {
      case 'ready': {
        link.up = true
        if (connection < 0) this.#handshakeCount--
        const uuid = decodeIdentity(event.identity)
        this.#handlers.link(connection, { type: 'up', uuid, address: stream.remoteAddress })
        break
      }
      case 'message':
        this.#handleMessage(link, event.frames)
        break
      case 'pong': {
        const roundTripMs = this.#host.clock.now() - link.pingedAt
        if (Number.isNaN(roundTripMs)) break
        link.pingedAt = Number.NaN
        this.#handlers.link(connection, { type: 'measured', roundTripMs })
        break
      }
      case 'closed':
        this.#refuse(link, event.error)
        break
    }
  }

  #handleMessage(link: Link, frames: readonly Uint8Array[]): void {
    let message: ZreMessage
    try {
      message = decodeZre(frames)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.#refuse(link, error)
      return
    }
    if (message.type === 'hello') link.zmtp.allowMessages(this.#options.zmtp.messageBytesMax)
    this.#handlers.message(link.connection, message)
  }

  /** The other side broke the protocol: it is told so where ZMTP can, then it is gone. */
  #refuse(link: Link, error: WireError): void {
    this.#count(`refused: ${error.rule}`)
    this.#remove(link)
    for (let bytes = link.zmtp.pollOutput(); bytes !== undefined; bytes = link.zmtp.pollOutput()) {
      link.stream.write(bytes)
    }
    link.stream.end()
    this.#host.clock.defer(() => link.stream.destroy())
    this.#handlers.link(link.connection, { type: 'refused', reason: error.message })
  }

  #remove(link: Link): void {
    this.#links.delete(link.connection)
    this.#timed.delete(link)
    if (link.connection < 0 && !link.up) this.#handshakeCount--
    this.#relieve(link)
    if (this.#stopped !== undefined && !this.#hasMailboxes()) this.#stopped()
  }

  #time(link: Link): void {
    this.#timed.add(link)
    const at = link.zmtp.pollTimeout()
    if (at >= this.#wakeAt) return
    this.#wakeAt = at
    this.#handlers.sooner()
  }

  /** One write for all that is queued in one turn of the event loop: the largest single gain in speed (docs/adr/0003). */
  #schedule(link: Link): void {
    if (link.dirty) return
    link.dirty = true
    if (this.#dirty.push(link) > 1) return
    this.#host.clock.defer(() => {
      const links = this.#dirty
      this.#dirty = []
      for (const dirty of links) this.#flush(dirty)
    })
  }

  #flush(link: Link): void {
    link.dirty = false
    if (this.#links.get(link.connection) !== link) return
    const { zmtp, stream } = link
    const before = zmtp.outputBytes
    while (stream.backlogBytes < STREAM_BACKLOG_BYTES) {
      const bytes = zmtp.pollOutput()
      if (bytes === undefined) break
      stream.write(bytes)
    }
    if (before > 0) link.queuedCount = Math.ceil((link.queuedCount * zmtp.outputBytes) / before)
    if (stream.backlogBytes >= STREAM_BACKLOG_BYTES) return
    if (stream.backlogBytes === 0) link.largestBytes = 0
    this.#relieve(link)
  }

  #relieve(link: Link): void {
    if (!link.congested) return
    link.congested = false
    this.#handlers.drained()
  }

  #hasMailboxes(): boolean {
    for (const { connection, up } of this.#links.values()) {
      if (connection > 0 && up) return true
    }
    return false
  }

  #mailboxesClosed(lingerMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#host.clock.timer(() => this.#stopped?.())
      this.#stopped = () => {
        this.#stopped = undefined
        timer.set(Number.POSITIVE_INFINITY)
        resolve()
      }
      timer.set(this.#host.clock.now() + lingerMs)
      if (!this.#hasMailboxes()) this.#stopped()
    })
  }

  #count(reason: string): void {
    this.#counters.set(reason, (this.#counters.get(reason) ?? 0) + 1)
  }
}

/** libzmq says nothing when it does not like our greeting, not even what it would have liked (zmtp.md 2.4). */
function explain(reason: string): string {
  return `${reason} before the handshake was done: it may be no ZRE node, or want another security mechanism`
}

function isPortTaken(error: unknown): boolean {
  const cause = error instanceof NetworkError ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE'
}
