// Discovery by gossip: connections to hubs, which tell who is where, and a hub of our own, if it is wanted. What is believed and
// told on is gossip.ts's matter, whom to dial harmony.ts's, and connections are lines.ts's; here each is told what it has to know.
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
  parseEndpoint,
  type TupleDiagnostics,
  type Uuid,
  WireError,
  ZMTP_LIMITS,
  type ZmtpEvent,
} from '../../protocol/index.ts'
import type { Address, Host, Stream, StreamHandlers } from '../host.ts'
import { type Line, Lines } from '../lines.ts'
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

/** Octets for one that does not read: all that a full table is, and more. */
const BACKLOG_BYTES_MAX = 4_194_304
const INPROC = 'inproc://'
const LEASES = new Map([[LEASE_PROPERTY, Uint8Array.of(1)]])
/** A frame, and all that is around a value in it. */
const LIMITS = {
  ...ZMTP_LIMITS,
  messageBytesMax: GOSSIP_VALUE_BYTES_MAX + 1_024,
  messageFramesMax: 2,
}
const NEVER = Number.POSITIVE_INFINITY

/** The gossip of one node; it is started and stopped once for each life of the node. */
export class GossipDiscovery implements Discovery {
  readonly #host: Host
  readonly #options: GossipOptions
  readonly #handlers: GossipHandlers
  readonly #table: GossipTable
  readonly #lines: Lines
  /** Where our hub is, and what ends it. */
  #bound: string | null = null
  #unlisten: (() => void) | undefined
  #endpoint = ''
  #isStopped = true
  #wakeAt = NEVER
  #draining = false

  constructor(host: Host, options: GossipOptions, handlers: GossipHandlers) {
    this.#host = host
    this.#options = options
    this.#handlers = handlers
    this.#table = new GossipTable(options)
    this.#lines = new Lines(
      host,
      {
        limits: LIMITS,
        acceptedMax: options.clientsMax,
        crowded: 'clients-limit',
        backlogBytesMax: BACKLOG_BYTES_MAX,
        begin: (isDialled) => {
          const socketType = isDialled ? 'DEALER' : 'ROUTER'
          return { socketType, mechanism: new NullMechanism({ socketType, others: LEASES }) }
        },
        connect: (endpoint, handlers) => this.#connect(endpoint, handlers),
      },
      {
        event: (line, event, now) => this.#handle(line, event, now),
        closed: ({ connection }) => this.#table.handleClose(connection),
        drained: () => false,
        settle: (now) => this.#settle(now),
      },
    )
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
    if (isNew) for (const hub of this.#options.connect) this.#lines.keep(hub)
    this.#settle(now)
  }

  /** Says once more where we are, which a hub that is gone does not bear, and dials all others without waiting. */
  async renew(): Promise<void> {
    if (this.#isStopped) return
    // Whether those that are connected still answer, the table asks.
    const now = this.#host.clock.now()
    this.#lines.renew(now)
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
    await this.#lines.stop()
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
    this.#lines.handleTimeout(now, this.#wakeAt)
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
      clients: this.#lines.acceptedCount,
      hubs: this.#lines.targets.map(({ endpoint, state, line, lastError }) => ({
        endpoint,
        state,
        leases: line === undefined ? null : this.#table.leases(line.connection),
        lastError,
      })),
      ...this.#table.diagnostics(this.#host.clock.now()),
      counters: this.#lines.counters,
    }
  }

  #connect(endpoint: string, handlers: StreamHandlers): Stream {
    const to = parseEndpoint(endpoint)
    if (to === undefined) {
      return connectInproc(this.#host, { name: endpoint.slice(INPROC.length), handlers })
    }
    return this.#host.streams.connect({ address: to.host, port: to.port }, handlers)
  }

  async #listen(at: Address | { readonly name: string }): Promise<void> {
    const accept = (stream: Stream) => this.#lines.accept(stream)
    if ('name' in at) {
      this.#unlisten = listenInproc(this.#host, { name: at.name, accept })
      this.#bound = INPROC + at.name
      return
    }
    const server = await this.#host.streams.listen(at, accept)
    this.#unlisten = () => server.close()
    this.#bound = formatEndpoint(at.address, server.port)
  }

  #handle(line: Line, event: ZmtpEvent, now: number): void {
    switch (event.type) {
      case 'ready': {
        const { target, connection, stream } = line
        const contact: Contact = {
          role: target === undefined ? 'client' : 'hub',
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
          // That is the end of its connection, and of nothing else (gossip.md 2.1).
          this.#lines.refuse(line.connection, error)
        }
        break
      default:
        break
    }
    this.#drain(now)
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
        const zmtp = this.#lines.line(effect.connection)?.zmtp
        if (zmtp?.ready) zmtp.send([encodeGossip(effect.message)])
        break
      }
      case 'close':
        this.#lines.close(effect.connection, effect.reason)
        break
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
    this.#lines.flushAll()
    const at = Math.min(this.#table.pollTimeout(), this.#lines.pollTimeout())
    this.#wakeAt = this.#isStopped ? NEVER : at
    this.#handlers.sooner()
  }
}

/** Whether a node that has entered at `place` is where its tuple says: by name it is wherever its port is. */
function isSamePlace(place: string, endpoint: string): boolean {
  if (place === endpoint) return true
  const told = parseEndpoint(endpoint)
  if (told === undefined || isAddress(told.host)) return false
  return parseEndpoint(place)?.port === told.port
}
