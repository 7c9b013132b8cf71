// Discovery by gossip: connections to hubs, which tell who is where, and a hub of our own, if it is wanted. What is believed and
// told on is gossip.ts's matter, whom to dial harmony.ts's; here are the connections.
// Spec: gossip.md.

import {
  type Contact,
  decodeGossip,
  type ExitCause,
  encodeGossip,
  formatEndpoint,
  GOSSIP_VALUE_BYTES_MAX,
  type GossipEffect,
  type GossipKind,
  GossipTable,
  type HeardTuple,
  isAddress,
  LEASE_PROPERTY,
  NullMechanism,
  Places,
  parseEndpoint,
  type TupleDiagnostics,
  type Uuid,
  WireError,
  ZMTP_LIMITS,
  ZmtpConnection,
  type ZmtpEvent,
} from '../../protocol/index.ts'
import type { Address, Host, Stream, StreamHandlers } from '../host.ts'
import { LATE_MS, writeOutput } from '../mesh.ts'
import type { Discovery, DiscoveryHandlers, Whereabouts } from './discovery.ts'
import { connectInproc, listenInproc } from './inproc.ts'

/** Where there is gossip, and how much of it. */
export interface GossipOptions {
  readonly uuid: Uuid
  /** Where to be a hub, or under which name within this process; undefined: nowhere. */
  readonly bind: Address | { readonly name: string } | undefined
  /** Hubs to connect to: endpoints, in which names are looked up anew at each attempt, or `inproc://name`. */
  readonly connect: readonly string[]
  readonly ttlMs: number
  readonly tuplesMax: number
  readonly clientsMax: number
}

/** What gossip tells and asks. */
export interface GossipHandlers extends Omit<DiscoveryHandlers, 'goodbye'> {
  /** A node that has entered: where, and for how long nothing has come from it. */
  peer(uuid: Uuid, now: number): { readonly endpoint: string; readonly quietMs: number } | undefined
}

/** A hub that we were told to connect to. */
export interface HubDiagnostics {
  readonly endpoint: string
  readonly state: 'waiting' | 'dialling' | 'connected'
  /** Whether it forgets the dead: those of Lyre do, those of czmq do not. Null unless connected. */
  readonly leases: boolean | null
  /** Why the last connection failed or was lost. */
  readonly lastError: string | null
}

/** What is known by gossip, and from whom. */
export interface GossipDiagnostics {
  /** Where our hub is: `tcp://host:port`, or `inproc://name`; null where we have none. */
  readonly bind: string | null
  readonly ttlMs: number
  readonly clients: number
  readonly hubs: readonly HubDiagnostics[]
  readonly tuples: readonly TupleDiagnostics[]
  /** What became of each tuple that we were told; and the last one of each kind, with the reason. */
  readonly told: Readonly<Record<GossipKind, number>>
  readonly last: Readonly<Partial<Record<GossipKind, HeardTuple>>>
  /** How often a connection was refused or closed, by reason. */
  readonly counters: Readonly<Record<string, number>>
}

const BACKOFF_MIN_MS = 100
const BACKOFF_MAX_MS = 5_000
/** A connection that lived so long was a good one: the next attempt begins with the shortest back-off. */
const STABLE_MS = 10_000
/** Octets for one that does not read: all that a full table is, and more. */
const BACKLOG_BYTES_MAX = 4_194_304
/** Messages of one connection in a row, before others have their turn. */
const MESSAGES_AT_ONCE = 128
const INPROC = 'inproc://'
const NOTHING = new Uint8Array(0)
const LEASES = new Map([[LEASE_PROPERTY, Uint8Array.of(1)]])
/** A frame, and all that is around a value in it. */
const LIMITS = {
  ...ZMTP_LIMITS,
  messageBytesMax: GOSSIP_VALUE_BYTES_MAX + 1_024,
  messageFramesMax: 2,
}
const NEVER = Number.POSITIVE_INFINITY

/** A hub of others, and our connection to it. */
interface Hub {
  readonly endpoint: string
  line: Line | undefined
  dialAt: number
  upAt: number
  failureCount: number
  lastError: string | null
}

/** One connection. */
interface Line {
  readonly connection: number
  readonly hub: Hub | undefined
  readonly zmtp: ZmtpConnection
  stream: Stream
  /** Whether it is one of ours: not closed, refused or lost. */
  counts: boolean
  isOpen: boolean
  resting: boolean
}

/** The gossip of one node; it is started and stopped once for each life of the node. */
export class GossipDiscovery implements Discovery {
  readonly #host: Host
  readonly #options: GossipOptions
  readonly #handlers: GossipHandlers
  readonly #table: GossipTable
  readonly #hubs: readonly Hub[]
  readonly #lines = new Map<number, Line>()
  readonly #clients: Places<number>
  readonly #counters = new Map<string, number>()
  /** Where our hub is, and what ends it. */
  #bound: string | null = null
  #endpoint = ''
  #unlisten: (() => void) | undefined
  #isStopped = true
  #lineCount = 0
  #wakeAt = NEVER
  #draining = false
  /** Streams whose end we have not heard of. */
  #streamCount = 0
  #allClosed: (() => void) | undefined

  constructor(host: Host, options: GossipOptions, handlers: GossipHandlers) {
    this.#host = host
    this.#options = options
    this.#handlers = handlers
    this.#table = new GossipTable(options)
    this.#clients = new Places(options.clientsMax)
    this.#hubs = options.connect.map((endpoint) => {
      return {
        endpoint,
        line: undefined,
        dialAt: NEVER,
        upAt: 0,
        failureCount: 0,
        lastError: null,
      }
    })
  }

  /**
   * Opens our hub, and begins to connect to those of others.
   * @throws NetworkError when the hub's port cannot be had.
   */
  async start({ endpoint }: Whereabouts): Promise<void> {
    const { bind } = this.#options
    const isNew = this.#isStopped
    if (isNew && bind !== undefined) await this.#listen(bind)
    this.#isStopped = false
    this.#endpoint = endpoint
    const now = this.#host.clock.now()
    this.#table.publish(endpoint, now)
    if (isNew) for (const hub of this.#hubs) this.#dial(hub)
    this.#settle(now)
  }

  /** Says once more where we are, which a hub that is gone does not bear, and dials all others without waiting. */
  async renew(): Promise<void> {
    if (this.#isStopped) return
    const now = this.#host.clock.now()
    for (const hub of this.#hubs) {
      const { line } = hub
      hub.failureCount = 0
      // Whether it still answers, the table asks.
      if (line?.zmtp.ready) continue
      if (line !== undefined) this.#close(line, 'we slept while it was dialled')
      this.#dial(hub)
    }
    this.#table.publish(this.#endpoint, now)
    this.#settle(now)
  }

  /** Closes everything. Who is gone is no matter of gossip: peers hear GOODBYE. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#unlisten?.()
    this.#unlisten = undefined
    this.#bound = null
    this.#wakeAt = NEVER
    for (const line of [...this.#lines.values()]) this.#close(line)
    if (this.#streamCount > 0) await new Promise<void>((resolve) => (this.#allClosed = resolve))
  }

  /** A peer that has said GOODBYE is not dialled because a hub still tells of it. */
  handleExit(
    { uuid, cause }: { readonly uuid: Uuid; readonly cause: ExitCause },
    now: number,
  ): void {
    if (cause === 'goodbye') this.#table.handleGoodbye(uuid, now)
  }

  handleTimeout(now: number): void {
    if (now < this.#wakeAt || this.#isStopped) return
    const isLate = now - this.#wakeAt > LATE_MS
    for (const line of [...this.#lines.values()]) {
      if (isLate) line.zmtp.excuse(now)
      if (now < line.zmtp.pollTimeout()) continue
      line.zmtp.handleTimeout(now)
      this.#read(line, now)
    }
    for (const hub of this.#hubs) if (now >= hub.dialAt) this.#dial(hub)
    this.#table.handleTimeout(now)
    this.#settle(now)
  }

  pollTimeout(): number {
    return this.#wakeAt
  }

  diagnostics(): GossipDiagnostics {
    return {
      bind: this.#bound,
      ttlMs: this.#options.ttlMs,
      clients: [...this.#lines.values()].filter(({ hub }) => hub === undefined).length,
      hubs: this.#hubs.map(({ endpoint, line, lastError }) => ({
        endpoint,
        state: line === undefined ? 'waiting' : line.zmtp.ready ? 'connected' : 'dialling',
        leases: line === undefined ? null : this.#table.leases(line.connection),
        lastError,
      })),
      ...this.#table.diagnostics(this.#host.clock.now()),
      counters: Object.fromEntries(this.#counters),
    }
  }

  // Connections.

  #dial(hub: Hub): void {
    hub.dialAt = NEVER
    const line = this.#createLine(hub)
    hub.line = line
    this.#streamCount++
    line.stream = this.#connect(hub.endpoint, this.#handlersOf(line))
    this.#lines.set(line.connection, line)
  }

  #connect(endpoint: string, handlers: StreamHandlers): Stream {
    const to = parseEndpoint(endpoint)
    if (to === undefined) {
      return connectInproc(this.#host, { name: endpoint.slice(INPROC.length), handlers })
    }
    return this.#host.streams.connect({ address: to.host, port: to.port }, handlers)
  }

  async #listen(at: Address | { readonly name: string }): Promise<void> {
    const accept = (stream: Stream) => this.#accept(stream)
    if ('name' in at) {
      this.#unlisten = listenInproc(this.#host, { name: at.name, accept })
      this.#bound = INPROC + at.name
      return
    }
    const server = await this.#host.streams.listen(at, accept)
    this.#unlisten = () => server.close()
    this.#bound = formatEndpoint(at.address, server.port)
  }

  #accept(stream: Stream): StreamHandlers {
    const line = this.#createLine(undefined)
    line.stream = stream
    line.isOpen = true
    this.#streamCount++
    this.#lines.set(line.connection, line)
    const evicted = this.#clients.take(line.connection, stream.remoteAddress)
    const last = evicted === undefined ? undefined : this.#lines.get(evicted)
    if (last !== undefined) {
      this.#count('clients-limit')
      this.#close(last)
    }
    if (line.counts) this.#flush(line)
    this.#settle(this.#host.clock.now())
    return this.#handlersOf(line)
  }

  #createLine(hub: Hub | undefined): Line {
    const socketType = hub === undefined ? 'ROUTER' : 'DEALER'
    const mechanism = new NullMechanism({ socketType, identity: NOTHING, others: LEASES })
    const now = this.#host.clock.now()
    const zmtp = new ZmtpConnection({ socketType, mechanism, limits: LIMITS }, now)
    const connection = ++this.#lineCount
    const stream = undefined as unknown as Stream
    return { connection, hub, zmtp, stream, counts: true, isOpen: false, resting: false }
  }

  #handlersOf(line: Line): StreamHandlers {
    return {
      open: () => {
        line.isOpen = true
        if (line.counts) this.#flush(line)
      },
      receive: (bytes) => {
        if (!line.counts) return
        const now = this.#host.clock.now()
        line.zmtp.handleBytes(bytes, now)
        if (!line.resting) this.#read(line, now)
        this.#settle(now)
      },
      drain: () => line.zmtp.drained(),
      close: (reason) => {
        if (--this.#streamCount === 0) this.#allClosed?.()
        if (!line.counts) return
        this.#remove(line, line.zmtp.ready ? reason : `${reason} before the handshake was done`)
        this.#settle(this.#host.clock.now())
      },
    }
  }

  #read(line: Line, now: number): void {
    for (let count = 0; line.counts; count++) {
      if (count === MESSAGES_AT_ONCE) {
        this.#rest(line)
        return
      }
      const event = line.zmtp.pollEvent(now)
      if (event === undefined) break
      this.#handle(line, event, now)
      this.#drain(now)
    }
    if (line.counts) this.#flush(line)
  }

  /** It goes on once others had their turn. */
  #rest(line: Line): void {
    line.resting = true
    line.stream.pause()
    this.#flush(line)
    this.#host.clock.defer(() => {
      line.resting = false
      if (!line.counts) return
      line.stream.resume()
      const now = this.#host.clock.now()
      this.#read(line, now)
      this.#settle(now)
    })
  }

  #handle(line: Line, event: ZmtpEvent, now: number): void {
    switch (event.type) {
      case 'ready': {
        const { hub, connection, stream } = line
        if (hub !== undefined) hub.upAt = now
        const contact: Contact = {
          role: hub === undefined ? 'client' : 'hub',
          leases: event.metadata.has(LEASE_PROPERTY.toLowerCase()),
          address: stream.remoteAddress,
        }
        this.#table.handleOpen(connection, contact, now)
        break
      }
      case 'message':
        try {
          this.#table.handleMessage(line.connection, decodeGossip(event.frames), now)
        } catch (error) {
          if (!(error instanceof WireError)) throw error
          this.#refuse(line, error)
        }
        break
      case 'closed':
        this.#refuse(line, event.error)
        break
      case 'pong':
      case 'passed':
        break
    }
  }

  /** The other side broke the protocol: that is the end of its connection, and of nothing else (gossip.md 2.1). */
  #refuse(line: Line, error: WireError): void {
    this.#count(`refused: ${error.rule}`)
    this.#remove(line, error.message)
    writeOutput(line)
    line.stream.end()
    this.#host.clock.defer(() => line.stream.destroy())
  }

  #close(line: Line, reason = 'closed by us'): void {
    this.#remove(line, reason)
    line.stream.destroy()
  }

  #remove(line: Line, reason: string): void {
    const { hub, connection } = line
    line.counts = false
    this.#lines.delete(connection)
    this.#clients.free(connection)
    this.#table.handleClose(connection)
    if (hub === undefined) return
    const now = this.#host.clock.now()
    if (line.zmtp.ready && now - hub.upAt >= STABLE_MS) hub.failureCount = 0
    hub.line = undefined
    hub.lastError = reason
    if (this.#isStopped) return
    // All clients of a hub lose it together, and need not come back together.
    const share = 0.5 + (this.#host.random(1)[0] ?? 0) / 0x1ff
    hub.dialAt = now + Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** hub.failureCount++) * share
  }

  // What the table answers is done at once, and told to those who wait for our time.

  #drain(now: number): void {
    if (this.#draining) return
    this.#draining = true
    for (;;) {
      const effect = this.#table.pollEffect()
      if (effect === undefined) break
      if (!this.#isStopped) this.#execute(effect, now)
    }
    this.#draining = false
  }

  #execute(effect: GossipEffect, now: number): void {
    switch (effect.type) {
      case 'send': {
        const line = this.#lines.get(effect.connection)
        if (line?.zmtp.ready) line.zmtp.send([encodeGossip(effect.message)])
        break
      }
      case 'close': {
        const line = this.#lines.get(effect.connection)
        this.#count(effect.reason)
        if (line !== undefined) this.#close(line, effect.reason)
        break
      }
      case 'alive':
      case 'ask': {
        const { uuid, endpoint, isNews } = effect
        const peer = this.#handlers.peer(uuid, now)
        if (peer !== undefined && isSamePlace(peer.endpoint, endpoint)) {
          this.#table.handleSeen({ uuid, quietMs: peer.quietMs }, now)
        } else if (effect.type === 'alive' && (isNews || peer === undefined)) {
          this.#handlers.alive(uuid, endpoint)
        }
        break
      }
    }
  }

  #settle(now: number): void {
    this.#drain(now)
    for (const line of this.#lines.values()) if (line.zmtp.outputBytes > 0) this.#flush(line)
    let at = this.#table.pollTimeout()
    for (const { zmtp } of this.#lines.values()) at = Math.min(at, zmtp.pollTimeout())
    for (const { dialAt } of this.#hubs) at = Math.min(at, dialAt)
    this.#wakeAt = this.#isStopped ? NEVER : at
    this.#handlers.sooner()
  }

  #flush(line: Line): void {
    if (!line.isOpen) return
    writeOutput(line)
    if (line.stream.backlogBytes <= BACKLOG_BYTES_MAX) return
    this.#count('it does not read')
    this.#close(line, 'it does not read what we tell it')
  }

  #count(reason: string): void {
    this.#counters.set(reason, (this.#counters.get(reason) ?? 0) + 1)
  }
}

/** Whether a node that has entered at `place` is where its tuple says: by name it is wherever its port is. */
function isSamePlace(place: string, endpoint: string): boolean {
  if (place === endpoint) return true
  const told = parseEndpoint(endpoint)
  if (told === undefined || isAddress(told.host)) return false
  return parseEndpoint(place)?.port === told.port
}
