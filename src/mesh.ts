// The sockets of a node: one inbox (a ROUTER that others connect to) and a mailbox (a DEALER of ours) per peer. Streams of
// octets below, ZRE messages above. It has no opinion: harmony.ts says whom to dial, when to hold and what to close.
// Past 600 lines because whatever a connection is held to, in octets and turns, is decided where its octets come and go.
// Spec: harmony.md 2, zmtp.md.

import {
  type ConnectionId,
  decodeIdentity,
  decodeSequence,
  decodeZre,
  encodeIdentity,
  encodeSequence,
  encodeZre,
  HELLO_BYTES_MAX,
  type LinkChange,
  NullMechanism,
  Places,
  parseEndpoint,
  SEQUENCE_PROPERTY,
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
  /** Octets given to a stream that it has not sent: beyond, messages stay where they are counted. */
  readonly backlogBytesMax: number
  /** Octets of unfinished messages, and of what waits unread, over all connections. */
  readonly unreadBytesMax: number
}

/** What the mesh tells and asks; never from within a call to the mesh, except for `poll`, `written` and `sooner`. */
export interface MeshHandlers {
  link(connection: ConnectionId, change: LinkChange): void
  activity(connection: ConnectionId): void
  message(connection: ConnectionId, message: ZreMessage): void
  /** The next message to write over a connection that we dialled. */
  poll(connection: ConnectionId): { command: ZreCommand; sequence: number } | undefined
  /** Messages were taken by poll(), or there were none. */
  written(): void
  /** Something has to happen earlier than pollTimeout() has said so far. */
  sooner(): void
}

/** Ports to try for the inbox, both included; 0 lets the host choose. */
export interface PortRange {
  readonly from: number
  readonly to: number
}

/** Messages are made into octets in portions of about this size, each a few writes (docs/adr/0003). */
const PORTION_BYTES = 262_144
/**
 * What a dial may take to the end of its handshake. Longer than what we grant those who dial us, whose octets are here: a
 * process of many nodes accepts one connection a turn for each, and who gives up and dials again makes it worse.
 */
export const DIAL_TIMEOUT_MS = 15_000
/** What a connection may send while it is held, before we stop to read: so we still see that it closes. */
export const HELD_BYTES_MAX = 16_384
/** Octets of a message before the HELLO, and of the HELLO: a stranger gets no more of our memory. */
export const STRANGER_BYTES_MAX = HELLO_BYTES_MAX + 64
/**
 * What all connections together may have us do in one turn of the event loop, in equal shares, and each of them however many
 * they are: octets, and a number for each message beside them. libuv reads up to 2 MiB from one socket in a row, and so many
 * small messages can take a second; of large messages a connection that is alone never reaches its share.
 */
const TURN_COST_MAX = 4_194_304
const TURN_COST_MIN = 131_072
const MESSAGE_COST = 4_096
const NOTHING = new Uint8Array(0)

/**
 * One connection, accepted or dialled. A class, so that each is made in one go: an object put together from others took 7 % of
 * the time of a crowd that comes and goes.
 */
class Link {
  readonly connection: ConnectionId
  readonly zmtp: ZmtpConnection
  /** Set before anything is told about it. */
  stream!: Stream
  /** Whether it is one of its mesh: not closed, refused or lost. Whoever has a link need not look for it to know. */
  counts = false
  /** What waits in it unread, as counted in the sum of all. */
  unreadBytes = 0
  /** Since when something has waited in it unread, without a message that became whole. */
  unreadSince = 0
  /** Whether its peer has said HELLO, or goes on with what it said before. */
  known = false
  /** Whether we stop: its stream ends behind what its mailbox still gives; and whether it has, so that nothing can follow. */
  ending = false
  ended = false
  /** Whether the handshake is done. */
  up = false
  /** Whether there is a connection at all. */
  open: boolean
  held = false
  /** Whether it is to be read on in a moment. */
  resuming = false
  /** What it had us do in which turn; whether it lets others go first. */
  cost = 0
  turn = 0
  resting = false
  dirty = false
  /** Whether write() was called since the last flush. */
  told = false
  /** When the PING went out that waits for its PONG, NaN while none does; and how many went out so far. */
  pingedAt = Number.NaN
  pingCount = 0

  constructor(connection: ConnectionId, zmtp: ZmtpConnection) {
    this.connection = connection
    this.zmtp = zmtp
    this.open = connection < 0
  }
}

/** The sockets of one node: all its connections by their numbers, those that we accept below 0, those that we dial above. */
export class Mesh {
  readonly #host: Host
  readonly #options: MeshOptions
  readonly #handlers: MeshHandlers
  readonly #identity: Uint8Array
  /** What a connection of each type is held to. */
  readonly #limits: Readonly<Record<SocketType, ZmtpLimits>>
  readonly #links = new Map<ConnectionId, Link>()
  /** Links with a deadline: a handshake, or the TTL that a peer set itself. */
  readonly #timed = new Set<Link>()
  readonly #counters = new Map<string, number>()
  readonly #handshakes: Places<ConnectionId>
  #server: StreamServer | undefined
  #acceptedCount = 0
  #unreadBytes = 0
  #wakeAt = Number.POSITIVE_INFINITY
  #dirty: Link[] = []
  /** The turn, what it has cost so far, and whether its end is awaited; those that had their share of it; and what that is. */
  #turn = 0
  #turnCost = 0
  #turning = false
  #resting: Link[] = []
  #share = TURN_COST_MAX
  #stopped: (() => void) | undefined
  /** Streams whose end we have not heard of, those that we closed ourselves too. */
  #streamCount = 0
  #allClosed: (() => void) | undefined

  constructor(host: Host, options: MeshOptions, handlers: MeshHandlers) {
    this.#host = host
    this.#options = options
    this.#handlers = handlers
    this.#identity = encodeIdentity(options.uuid)
    this.#handshakes = new Places(options.handshakesMax)
    // Until it says HELLO; an inbox has nothing to say at all.
    const messageBytesMax = Math.min(STRANGER_BYTES_MAX, options.zmtp.messageBytesMax)
    const limits = { ...options.zmtp, messageBytesMax }
    this.#limits = { ROUTER: limits, DEALER: { ...limits, handshakeTimeoutMs: DIAL_TIMEOUT_MS } }
  }

  /**
   * Opens the inbox.
   * @returns its port.
   * @throws NetworkError when no port of the range can be had.
   */
  async listen(address: string, ports: PortRange): Promise<number> {
    this.#server = await listenAt(ports, (port) =>
      this.#host.streams.listen({ address, port }, (stream) => this.#accept(stream)),
    )
    return this.#server.port
  }

  /** Begins a mailbox's connection. What becomes of it is told to `link`. @param sequence told in the handshake, if any. */
  dial(connection: ConnectionId, endpoint: string, sequence?: number): void {
    const to = parseEndpoint(endpoint)
    if (to === undefined) {
      const reason = `${endpoint} is no tcp endpoint`
      this.#host.clock.defer(() => this.#handlers.link(connection, { type: 'refused', reason }))
      return
    }
    const link = new Link(connection, this.#zmtp('DEALER', sequence))
    const address = { address: to.host, port: to.port }
    link.stream = this.#host.streams.connect(address, this.#streamHandlers(link))
    this.#add(link)
  }

  /** There is something for poll() to give; it leaves soon, together with what else there is until then. */
  write(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (link === undefined) return
    // Told a second time in one turn, it is much.
    if (link.told) {
      this.#flush(link)
    } else {
      link.told = true
      this.#schedule(link)
    }
  }

  /** Asks the other side's ZMTP for an answer, to measure the way there and back; not every peer knows how. */
  measure(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (link === undefined || !link.zmtp.heartbeats || !Number.isNaN(link.pingedAt)) return
    link.pingedAt = this.#host.clock.now()
    link.zmtp.ping(encodeSequence(++link.pingCount & 0xffff))
    this.#schedule(link)
  }

  /** Hands on nothing more of what a connection sends, so that its peer soon has to wait. */
  hold(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (link === undefined) return
    link.held = true
    link.resuming = false
  }

  /** Reads on, not before the caller is done. */
  resume(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (!link?.held) return
    // Whose connection it is, is known now, also where it goes on with an epoch and says no HELLO (harmony.md 5.7).
    this.#know(link)
    link.resuming = true
    this.#host.clock.defer(() => {
      // It may have been closed, or held again, before its turn came.
      if (!link.counts || !link.resuming) return
      link.resuming = false
      link.held = false
      link.zmtp.handleBytes(NOTHING, this.#host.clock.now())
      this.#readOn(link)
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
      // What does not fit now follows as the stream takes it: one that does not read takes no memory for all its mailbox.
      link.ending = true
      this.#flush(link)
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

  /** Octets that were written to a connection and have not left. */
  backlogBytes(connection: ConnectionId): number {
    const link = this.#links.get(connection)
    return link === undefined ? 0 : link.zmtp.outputBytes + link.stream.backlogBytes
  }

  #accept(stream: Stream): StreamHandlers {
    const connection = -++this.#acceptedCount
    const link = new Link(connection, this.#zmtp('ROUTER'))
    link.stream = stream
    const evicted = this.#handshakes.take(connection, stream.remoteAddress)
    if (evicted !== undefined) this.#count('handshakes-limit')
    if (evicted === connection) {
      stream.destroy()
    } else {
      if (evicted !== undefined) this.close(evicted)
      this.#add(link)
      this.#flush(link)
    }
    return this.#streamHandlers(link)
  }

  #zmtp(socketType: SocketType, sequence?: number): ZmtpConnection {
    // The inbox names itself too, which Zyre's does not: so a Lyre peer sees whom it has reached.
    const others = new Map<string, Uint8Array>()
    if (sequence !== undefined) others.set(SEQUENCE_PROPERTY, encodeSequence(sequence))
    const mechanism = new NullMechanism({ socketType, identity: this.#identity, others })
    const limits = this.#limits[socketType]
    return new ZmtpConnection({ socketType, mechanism, limits }, this.#host.clock.now())
  }

  #add(link: Link): void {
    link.counts = true
    this.#links.set(link.connection, link)
    this.#time(link)
  }

  #streamHandlers(link: Link): StreamHandlers {
    this.#streamCount++
    return {
      open: () => {
        if (!link.counts) return
        link.open = true
        this.#flush(link)
      },
      receive: (bytes) => {
        if (!link.counts) return
        this.#handlers.activity(link.connection)
        link.zmtp.handleBytes(bytes, this.#host.clock.now())
        this.#spend(link, bytes.length)
        if (link.held && link.zmtp.unreadBytes > HELD_BYTES_MAX) this.#pause(link)
        this.#read(link)
        this.#account(link)
      },
      drain: () => {
        if (link.counts) this.#flush(link)
      },
      close: (reason) => {
        if (--this.#streamCount === 0) this.#allClosed?.()
        if (!link.counts) return
        this.#remove(link)
        const early = link.open && !link.up
        if (early) this.#count('handshake-lost')
        const told = early ? explain(reason) : reason
        this.#handlers.link(link.connection, { type: 'lost', reason: told })
      },
    }
  }

  /** Counts what a connection has us do. A quiet node pays nothing for that: only what is worth a share begins a turn. */
  #spend(link: Link, cost: number): void {
    if (link.turn !== this.#turn) {
      link.turn = this.#turn
      link.cost = 0
    }
    link.cost += cost
    this.#turnCost += cost
    if (this.#turning || this.#turnCost < TURN_COST_MIN) return
    this.#turning = true
    this.#host.clock.defer(() => this.#endTurn())
  }

  #hadItsShare({ turn, cost }: Link): boolean {
    return (
      turn === this.#turn && cost >= (this.#turnCost < TURN_COST_MAX ? this.#share : TURN_COST_MIN)
    )
  }

  /** All had their turn: those that wanted more have the next one in equal shares. */
  #endTurn(): void {
    const links = this.#resting
    this.#resting = []
    this.#turn++
    this.#turnCost = 0
    this.#turning = false
    this.#share = Math.max(TURN_COST_MIN, TURN_COST_MAX / Math.max(1, links.length))
    for (const link of links) {
      link.resting = false
      if (link.counts) this.#readOn(link)
    }
  }

  /** What waits in it first, then what comes. */
  #readOn(link: Link): void {
    this.#read(link)
    this.#account(link)
    const isFull = link.held && link.zmtp.unreadBytes > HELD_BYTES_MAX
    if (!isFull && !link.resting && link.counts) link.stream.resume()
  }

  /** Nothing will come, because we do not read: the TTL that the peer may have set says nothing as long. */
  #pause(link: Link): void {
    link.stream.pause()
    this.#timed.delete(link)
  }

  /** Hands on what can be read, one message after the other, until it is held or closed, or it is the others' turn. */
  #read(link: Link): void {
    while (!link.held && !link.resting && link.counts) {
      if (this.#hadItsShare(link)) {
        // It is read on once all others had their turn.
        link.resting = true
        link.stream.pause()
        this.#resting.push(link)
        break
      }
      const event = link.zmtp.pollEvent(this.#host.clock.now())
      if (event === undefined) break
      this.#spend(link, MESSAGE_COST)
      this.#handle(link, event)
    }
    if (!link.counts) return
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
        this.#handshakes.free(connection)
        const uuid = decodeIdentity(event.identity)
        const sequence = decodeSequence(event.metadata.get(SEQUENCE_PROPERTY.toLowerCase()))
        const { remoteAddress: address } = stream
        const answers = link.zmtp.heartbeats
        this.#handlers.link(connection, { type: 'up', uuid, address, answers, sequence })
        break
      }
      case 'message':
        this.#handleMessage(link, event.frames)
        break
      case 'pong': {
        const roundTripMs = this.#host.clock.now() - link.pingedAt
        if (Number.isNaN(roundTripMs)) break
        // Who answers what it was not asked, has confirmed nothing.
        if (decodeSequence(event.context) !== (link.pingCount & 0xffff)) break
        link.pingedAt = Number.NaN
        this.#handlers.link(connection, { type: 'measured', roundTripMs })
        break
      }
      case 'passed':
        this.#count('frames-passed-over')
        break
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
    // What waits from now on is the beginning of another message.
    link.unreadSince = this.#host.clock.now()
    if (message.type === 'hello' && link.connection < 0) this.#know(link)
    this.#handlers.message(link.connection, message)
  }

  /** It is no stranger's connection any more. */
  #know(link: Link): void {
    link.known = true
    link.zmtp.allowMessages(this.#options.zmtp.messageBytesMax)
  }

  /** The other side broke the protocol: it is told so where ZMTP can, then it is gone. */
  #refuse(link: Link, error: WireError): void {
    this.#count(`refused: ${error.rule}`)
    this.#remove(link)
    this.#output(link)
    link.stream.end()
    this.#host.clock.defer(() => link.stream.destroy())
    this.#handlers.link(link.connection, { type: 'refused', reason: error.message })
  }

  #remove(link: Link): void {
    link.counts = false
    this.#links.delete(link.connection)
    this.#timed.delete(link)
    this.#handshakes.free(link.connection)
    this.#unreadBytes -= link.unreadBytes
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
    link.told = false
    if (!link.counts || link.ended) return
    const { backlogBytesMax } = this.#options
    let more = true
    while (more && link.stream.backlogBytes < backlogBytesMax) {
      more = this.#encode(link)
      this.#output(link)
    }
    if (link.ending && !more) {
      link.ended = true
      link.stream.end()
    }
    this.#handlers.written()
  }

  /** Makes the next messages of a mailbox into octets. @returns whether there may be more. */
  #encode({ connection, zmtp }: Link): boolean {
    if (connection < 0 || !zmtp.ready) return false
    while (zmtp.outputBytes < PORTION_BYTES) {
      const message = this.#handlers.poll(connection)
      if (message === undefined) return false
      zmtp.send(encodeZre(message.command, message.sequence))
    }
    return true
  }

  #output({ zmtp, stream }: Link): void {
    for (let bytes = zmtp.pollOutput(); bytes !== undefined; bytes = zmtp.pollOutput()) {
      stream.write(bytes)
    }
  }

  /**
   * What all connections together have sent and not finished is bounded: the one that has kept the most for the longest goes,
   * a stranger's before any peer's. Who sends a large message in one go is not the one, however many others hold a little less.
   */
  #account(link: Link): void {
    if (!link.counts) return
    const { unreadBytes } = link.zmtp
    const now = this.#host.clock.now()
    if (link.unreadBytes === 0) link.unreadSince = now
    this.#unreadBytes += unreadBytes - link.unreadBytes
    link.unreadBytes = unreadBytes
    if (this.#unreadBytes <= this.#options.unreadBytesMax) return
    const weight = (it: Link) => it.unreadBytes * (1 + now - it.unreadSince)
    let largest = link
    for (const other of this.#links.values()) {
      if (other.unreadBytes === 0) continue
      const isStranger = largest.known && !other.known
      if (isStranger || (largest.known === other.known && weight(other) > weight(largest))) {
        largest = other
      }
    }
    const text = `${largest.unreadBytes} octets of unfinished messages, more than we have room for`
    this.#refuse(largest, new WireError('harmony.md 7.9', text))
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

/**
 * Opens an inbox at the first port that can be had.
 * @throws what `open` threw for the last one, or for another reason than that the port is taken.
 */
export async function listenAt<Server>(
  { from, to }: PortRange,
  open: (port: number) => Server | Promise<Server>,
): Promise<Server> {
  for (let port = from; port < to; port++) {
    try {
      return await open(port)
    } catch (error) {
      if (!isPortTaken(error)) throw error
    }
  }
  return open(to)
}

function isPortTaken(error: unknown): boolean {
  const cause = error instanceof NetworkError ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE'
}
