// The sockets of a node: one inbox (a ROUTER that others connect to) and a mailbox (a DEALER of ours) per peer. Streams of
// octets below, ZRE messages above. It has no opinion: harmony.ts says whom to dial, when to hold and what to close.
// Past 600 lines because whatever a connection is held to, in octets and turns, is decided where its octets come and go.
// Spec: harmony.md 2, zmtp.md.

import {
  type ConnectionId,
  contentOf,
  decodeIdentity,
  decodeMessage,
  decodeSequence,
  encodeIdentity,
  encodeSequence,
  HELLO_BYTES_MAX,
  type LinkChange,
  type Mailbox,
  NullMechanism,
  Places,
  parseEndpoint,
  SEQUENCE_PROPERTY,
  type Uuid,
  type Wire,
  WireError,
  writeHeader,
  ZmtpConnection,
  type ZmtpEvent,
  type ZmtpLimits,
  type ZmtpMessage,
  type ZreCommand,
  type ZreMessage,
} from '../protocol/index.ts'
import { NetworkError } from './errors.ts'
import type { Host, Stream, StreamHandlers, StreamServer } from './host.ts'
import { bytesWith, type Counts, type Tap, type Traffic } from './traffic.ts'

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
  /** Where messages are counted. */
  readonly traffic: Traffic
  /** Whoever is shown each of them, if anybody. */
  readonly tap?: Tap | undefined
}

/** What the mesh tells and asks; never from within a call to the mesh, except for `mailbox`, `written` and `sooner`. */
export interface MeshHandlers {
  link(connection: ConnectionId, change: LinkChange): void
  /** Octets came over a connection; what they are follows, all at the same time `now`, and then heard(). */
  activity(connection: ConnectionId, now: number): void
  message(connection: ConnectionId, message: ZreMessage, now: number): void
  heard(): void
  /** What is to be written over a connection that we dialled. */
  mailbox(connection: ConnectionId): Mailbox | undefined
  /** All was written to a connection that could be. */
  written(connection: ConnectionId): void
  /** Something has to happen earlier than pollTimeout() has said so far. */
  sooner(): void
}

/** Ports to try for the inbox, both included; 0 lets the host choose. */
export interface PortRange {
  readonly from: number
  readonly to: number
}

/**
 * What a dial may take to the end of its handshake. Longer than what we grant those who dial us, whose octets are here: a
 * process of many nodes accepts one connection a turn for each, and who gives up and dials again makes it worse.
 */
export const DIAL_TIMEOUT_MS = 15_000
/** Who looks at a deadline so late did not run meanwhile, and has not read what may have come in time. */
export const LATE_MS = 1_000
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
const MESSAGE_COST = 512
const NOTHING = new Uint8Array(0)

/** What becomes of a stream, told to its mesh. */
interface LinkHandlers {
  open(link: Link): void
  receive(link: Link, bytes: Uint8Array): void
  filled(link: Link, count: number): void
  drain(link: Link): void
  close(link: Link, reason: string): void
  readonly sent: Counts
  readonly tap: Tap | undefined
}

/**
 * One connection, accepted or dialled. A class, so that each is made in one go, without a closure: an object put together from
 * others took 7 % of the time of a crowd that comes and goes.
 */
class Link implements StreamHandlers, Wire {
  readonly connection: ConnectionId
  readonly zmtp: ZmtpConnection
  /** Set before anything is told about it. */
  stream!: Stream
  /** Whether it is one of its mesh: not closed, refused or lost. Whoever has a link need not look for it to know. */
  counts = false
  /** What waits in it unread, as counted in the sum of all. */
  unreadBytes = 0
  /** Since when something has waited in it unread, without a message that became whole. */
  unreadSince: number | undefined = undefined
  /** Whether its peer has said HELLO, or goes on with what it said before. */
  known = false
  /** Whether we stop: its stream ends behind what its mailbox still gives; and whether it has, so that nothing can follow. */
  ending = false
  ended = false
  /** Whether the handshake is done. */
  up = false
  /** Whether there is a connection at all. */
  isOpen: boolean
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
  /** When the PING went out that waits for its PONG, if one does; and how many went out so far. */
  pingedAt: number | undefined = undefined
  pingCount = 0

  readonly #handlers: LinkHandlers

  constructor(connection: ConnectionId, zmtp: ZmtpConnection, handlers: LinkHandlers) {
    this.connection = connection
    this.zmtp = zmtp
    this.isOpen = connection < 0
    this.#handlers = handlers
  }

  get outputBytes(): number {
    return this.zmtp.outputBytes
  }

  send(command: ZreCommand, sequence: number): void {
    const head = writeHeader(command, sequence)
    const content = contentOf(command)
    const { connection } = this
    const { sent, tap } = this.#handlers
    const bytes = bytesWith(head.size, content)
    this.zmtp.send(content, head)
    // Most messages are these, and a name that is known beforehand is found the sooner.
    const count = command.type === 'whisper' ? sent.whisper : sent[command.type]
    count.messages++
    count.bytes += bytes
    tap?.({ direction: 'out', connection, message: { ...command, sequence }, bytes })
  }

  open(): void {
    this.#handlers.open(this)
  }

  receive(bytes: Uint8Array): void {
    this.#handlers.receive(this, bytes)
  }

  room(): Uint8Array | undefined {
    return this.zmtp.room()
  }

  filled(count: number): void {
    this.#handlers.filled(this, count)
  }

  drain(): void {
    this.#handlers.drain(this)
  }

  close(reason: string): void {
    this.#handlers.close(this, reason)
  }
}

/** The sockets of one node: all its connections by their numbers, those that we accept below 0, those that we dial above. */
export class Mesh {
  readonly #host: Host
  readonly #options: MeshOptions
  readonly #handlers: MeshHandlers
  readonly #identity: Uint8Array
  /** What a connection of each type is held to. */
  readonly #limits: Readonly<Record<'ROUTER' | 'DEALER', ZmtpLimits>>
  readonly #links = new Map<ConnectionId, Link>()
  /** Links with a deadline: a handshake, or the TTL that a peer set itself. */
  readonly #timed = new Set<Link>()
  readonly #counters = new Map<string, number>()
  readonly #handshakes: Places<ConnectionId>
  /** Inboxes, by their address. */
  readonly #servers = new Map<string, StreamServer>()
  readonly #ports = new InboxPorts()
  #acceptedCount = 0
  #unreadBytes = 0
  #wakeAt = Number.POSITIVE_INFINITY
  #dirty: Link[] = []
  readonly #linkHandlers: LinkHandlers
  readonly #received: Counts
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
    this.#received = options.traffic.received
    this.#linkHandlers = this.#createLinkHandlers()
  }

  /**
   * Opens an inbox at one of our addresses, unless there is one: at the port that it had there before, or one had elsewhere,
   * if it is to be had.
   * @returns its port.
   * @throws NetworkError when no port of the range can be had.
   */
  async listen(address: string, ports: PortRange): Promise<number> {
    const there = this.#servers.get(address)
    if (there !== undefined) return there.port
    const server = await this.#ports.listen(address, ports, (port) =>
      this.#host.streams.listen({ address, port }, (stream) => this.#accept(stream)),
    )
    this.#servers.set(address, server)
    return server.port
  }

  /** An inbox closes; connections stay. */
  unlisten(address: string): void {
    this.#servers.get(address)?.close()
    this.#servers.delete(address)
  }

  /** An address is no longer ours: its inbox closes, and so do all connections that have it at our end. */
  leave(address: string): void {
    this.unlisten(address)
    for (const link of [...this.#links.values()]) {
      if (link.stream.localAddress === address) link.stream.destroy()
    }
  }

  /** Begins a mailbox's connection. What becomes of it is told to `link`. @param sequence told in the handshake, if any. */
  dial(connection: ConnectionId, endpoint: string, sequence?: number): void {
    const to = parseEndpoint(endpoint)
    if (to === undefined) {
      const reason = `${endpoint} is no tcp endpoint`
      this.#host.clock.defer(() => this.#handlers.link(connection, { type: 'refused', reason }))
      return
    }
    const link = new Link(connection, this.#zmtp('DEALER', sequence), this.#linkHandlers)
    const address = { address: to.host, port: to.port }
    this.#streamCount++
    link.stream = this.#host.streams.connect(address, link)
    this.#add(link)
  }

  /** There is something to be written to it; it leaves soon, together with what else there is until then. */
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
    if (link === undefined || !link.zmtp.heartbeats || link.pingedAt !== undefined) return
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
      const now = this.#host.clock.now()
      link.zmtp.handleBytes(NOTHING, now)
      this.#readOn(link, now)
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
    const isLate = now - this.#wakeAt > LATE_MS
    this.#wakeAt = Number.POSITIVE_INFINITY
    for (const link of [...this.#timed]) {
      if (isLate) link.zmtp.excuse(now)
      link.zmtp.handleTimeout(now)
      this.#read(link, now)
      if (this.#timed.has(link)) this.#wakeAt = Math.min(this.#wakeAt, link.zmtp.pollTimeout())
    }
  }

  pollTimeout(): number {
    return this.#wakeAt
  }

  /** Accepts no more, sends what is queued, and closes every connection after `lingerMs` at the latest. */
  async stop(lingerMs: number): Promise<void> {
    for (const server of this.#servers.values()) server.close()
    this.#servers.clear()
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

  #createLinkHandlers(): LinkHandlers {
    const { traffic, tap } = this.#options
    return {
      sent: traffic.sent,
      tap,
      open: (link) => {
        if (!link.counts) return
        link.isOpen = true
        this.#flush(link)
      },
      receive: (link, bytes) => {
        if (!link.counts) return
        const now = this.#host.clock.now()
        this.#handlers.activity(link.connection, now)
        link.zmtp.handleBytes(bytes, now)
        this.#hear(link, bytes.length, now)
      },
      filled: (link, count) => {
        if (!link.counts) return
        const now = this.#host.clock.now()
        this.#handlers.activity(link.connection, now)
        link.zmtp.filled(count, now)
        this.#hear(link, count, now)
      },
      drain: (link) => {
        link.zmtp.drained()
        if (link.counts) this.#flush(link)
      },
      close: (link, reason) => this.#lose(link, reason),
    }
  }

  #accept(stream: Stream): StreamHandlers {
    const connection = -++this.#acceptedCount
    const link = new Link(connection, this.#zmtp('ROUTER'), this.#linkHandlers)
    this.#streamCount++
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
    return link
  }

  #zmtp(socketType: 'ROUTER' | 'DEALER', sequence?: number): ZmtpConnection {
    // The inbox names itself too, which Zyre's does not: so a Lyre peer sees whom it has reached.
    const others = new Map<string, Uint8Array>()
    if (sequence !== undefined) others.set(SEQUENCE_PROPERTY, encodeSequence(sequence))
    const mechanism = new NullMechanism({ socketType, identity: this.#identity, others })
    const limits = this.#limits[socketType]
    const { allocate } = this.#host
    const options = { socketType, mechanism, limits, allocate }
    return new ZmtpConnection(options, this.#host.clock.now())
  }

  #add(link: Link): void {
    link.counts = true
    this.#links.set(link.connection, link)
    this.#time(link)
  }

  /** Octets came over a link, which now has them. */
  #hear(link: Link, bytes: number, now: number): void {
    this.#spend(link, bytes)
    if (link.held && link.zmtp.unreadBytes > HELD_BYTES_MAX) this.#pause(link)
    this.#read(link, now)
    this.#account(link, now)
    this.#handlers.heard()
  }

  #lose(link: Link, reason: string): void {
    if (--this.#streamCount === 0) this.#allClosed?.()
    if (!link.counts) return
    this.#remove(link)
    const early = link.isOpen && !link.up
    if (early) this.#count('handshake-lost')
    const told = early ? explain(reason) : reason
    this.#handlers.link(link.connection, { type: 'lost', reason: told })
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

  /** What it may still have us do in this turn: its share or, once all have had much, the least that each has. */
  #leftOf({ turn, cost }: Link): number {
    const own = turn === this.#turn ? cost : 0
    const left = Math.max(TURN_COST_MAX - this.#turnCost, TURN_COST_MIN - own)
    return Math.min(this.#share - own, left)
  }

  /** All had their turn: those that wanted more have the next one in equal shares. */
  #endTurn(): void {
    const links = this.#resting
    this.#resting = []
    this.#turn++
    this.#turnCost = 0
    this.#turning = false
    this.#share = Math.max(TURN_COST_MIN, TURN_COST_MAX / Math.max(1, links.length))
    if (links.length === 0) return
    const now = this.#host.clock.now()
    for (const link of links) {
      link.resting = false
      if (link.counts) this.#readOn(link, now)
    }
  }

  /** What waits in it first, then what comes. */
  #readOn(link: Link, now: number): void {
    this.#read(link, now)
    this.#account(link, now)
    this.#handlers.heard()
    const isFull = link.held && link.zmtp.unreadBytes > HELD_BYTES_MAX
    if (!isFull && !link.resting && link.counts) link.stream.resume()
  }

  /** Nothing will come, because we do not read: the TTL that the peer may have set says nothing as long. */
  #pause(link: Link): void {
    link.stream.pause()
    this.#timed.delete(link)
  }

  /** Hands on what can be read, one message after the other, until it is held or closed, or it is the others' turn. */
  #read(link: Link, now: number): void {
    const costMax = this.#leftOf(link)
    let cost = 0
    while (!link.held && !link.resting && link.counts) {
      if (cost >= costMax) {
        // It is read on once all others had their turn.
        link.resting = true
        link.stream.pause()
        this.#resting.push(link)
        break
      }
      const event = link.zmtp.pollEvent(now)
      if (event === undefined) break
      cost += MESSAGE_COST
      if (event.type === 'message') this.#handleMessage(link, event, now)
      else this.#handle(link, event, now)
    }
    if (cost > 0) this.#spend(link, cost)
    if (!link.counts) return
    if (link.zmtp.outputBytes > 0) this.#schedule(link)
    if (link.held) return
    if (link.zmtp.pollTimeout() !== Number.POSITIVE_INFINITY) this.#time(link)
    else this.#timed.delete(link)
  }

  #handle(link: Link, event: Exclude<ZmtpEvent, ZmtpMessage>, now: number): void {
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
      case 'pong': {
        const { pingedAt } = link
        if (pingedAt === undefined) break
        // Who answers what it was not asked, has confirmed nothing.
        if (decodeSequence(event.context) !== (link.pingCount & 0xffff)) break
        link.pingedAt = undefined
        // All that one read brought has come at its beginning, also the answer to what was asked meanwhile.
        const roundTripMs = Math.max(0, now - pingedAt)
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

  #handleMessage(link: Link, event: ZmtpMessage, now: number): void {
    let message: ZreMessage
    try {
      message = decodeMessage(event)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.#refuse(link, error)
      return
    }
    // What waits from now on is the beginning of another message.
    link.unreadSince = undefined
    if (message.type === 'hello' && link.connection < 0) this.#know(link)
    const bytes = bytesWith(event.end - event.start, event.rest)
    const { type } = message
    const count = type === 'whisper' ? this.#received.whisper : this.#received[type]
    count.messages++
    count.bytes += bytes
    this.#options.tap?.({ direction: 'in', connection: link.connection, message, bytes })
    this.#handlers.message(link.connection, message, now)
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
    writeOutput(link)
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
    if (this.#dirty.push(link) === 1) this.#host.clock.gather(this.#flushAll, this.#dirtyBytes)
  }

  readonly #flushAll = () => {
    const links = this.#dirty
    this.#dirty = []
    for (const link of links) this.#flush(link)
  }

  readonly #dirtyBytes = () => {
    let bytes = 0
    for (const { zmtp } of this.#dirty) bytes += zmtp.outputBytes
    return bytes
  }

  #flush(link: Link): void {
    link.dirty = false
    link.told = false
    if (!link.counts || link.ended) return
    const { connection, zmtp, stream } = link
    const { backlogBytesMax } = this.#options
    const mailbox = connection > 0 && zmtp.ready ? this.#handlers.mailbox(connection) : undefined
    let more = true
    // What went straight to the wire leaves first.
    writeOutput(link)
    while (more && stream.backlogBytes < backlogBytesMax) {
      more = false
      // As much as there is room for is one write, however many messages that are.
      const roomBytes = backlogBytesMax - stream.backlogBytes
      while (mailbox !== undefined && zmtp.outputBytes < roomBytes) {
        const command = mailbox.poll()
        more = command !== undefined
        if (command === undefined) break
        link.send(command, mailbox.sequence)
      }
      writeOutput(link)
    }
    if (stream.backlogBytes >= backlogBytesMax) mailbox?.detach()
    else mailbox?.attach(link)
    if (link.ending && !more) {
      link.ended = true
      stream.end()
    }
    this.#handlers.written(connection)
  }

  /**
   * What all connections together have sent and not finished is bounded: the one that has kept the most for the longest goes,
   * a stranger's before any peer's. Who sends a large message in one go is not the one, however many others hold a little less.
   */
  #account(link: Link, now: number): void {
    if (!link.counts) return
    const { unreadBytes } = link.zmtp
    if (unreadBytes === 0) link.unreadSince = undefined
    else link.unreadSince ??= now
    this.#unreadBytes += unreadBytes - link.unreadBytes
    link.unreadBytes = unreadBytes
    if (this.#unreadBytes <= this.#options.unreadBytesMax) return
    const weight = (it: Link) => it.unreadBytes * (1 + now - (it.unreadSince ?? now))
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

/** Gives a stream all octets that its connection has for it, in one go. */
export function writeOutput({
  zmtp,
  stream,
}: {
  readonly zmtp: ZmtpConnection
  readonly stream: Stream
}): void {
  const part = zmtp.pollOutput()
  if (part === undefined) return
  let next = zmtp.pollOutput()
  if (next === undefined) {
    zmtp.release(stream.write(part))
    return
  }
  const parts = [part]
  for (; next !== undefined; next = zmtp.pollOutput()) parts.push(next)
  zmtp.release(stream.write(...parts))
}

/** libzmq says nothing when it does not like our greeting, not even what it would have liked (zmtp.md 2.4). */
function explain(reason: string): string {
  return `${reason} before the handshake was done: it may be no ZRE node, or want another security mechanism`
}

/** Addresses whose port is remembered. */
const PORTS_MAX = 32

/**
 * At which ports a node has had its inboxes: peers, firewalls and C Zyre remember them, so they stay the same as long as they
 * can be had.
 */
export class InboxPorts {
  readonly #byAddress = new Map<string, number>()

  /**
   * Opens an inbox at the first port that can be had.
   * @throws what `open` threw for the last one, or for another reason than that the port is taken.
   */
  async listen<Server extends { readonly port: number }>(
    address: string,
    range: PortRange,
    open: (port: number) => Server | Promise<Server>,
  ): Promise<Server> {
    const [first = 0] = this.#byAddress.values()
    const wanted = [this.#byAddress.get(address) ?? first, first].filter((port) => port > 0)
    const server = await listenAt(range, [...new Set(wanted)], open)
    // The newest is the last to be forgotten, but for the first of all.
    if (!this.#byAddress.has(address) && this.#byAddress.size >= PORTS_MAX) {
      const [, oldest] = this.#byAddress.keys()
      this.#byAddress.delete(oldest as string)
    }
    this.#byAddress.set(address, server.port)
    return server
  }
}

async function listenAt<Server>(
  { from, to }: PortRange,
  wanted: readonly number[],
  open: (port: number) => Server | Promise<Server>,
): Promise<Server> {
  const ports = wanted.filter((port) => to === 0 || (port >= from && port <= to))
  for (let port = from; port < to; port++) if (!ports.includes(port)) ports.push(port)
  for (const port of ports) {
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
