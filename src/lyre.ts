// One node: the commands and questions of an application, its events, and the pump between harmony.ts, which decides, and
// the mesh and the beacons, which do. Everything between an octet and an event happens in one turn, without a promise.
// Past 600 lines because it is all that an application can call, and half of it says how.

import { EventEmitter } from 'eventemitter3'
import { v4 } from 'uuid'
import {
  type ConnectionId,
  canonicalEndpoint,
  type Effect,
  type Frames,
  fits,
  Harmony,
  HELLO_BYTES_MAX,
  type Headers,
  ID_HEADER,
  INCARNATION_HEADER,
  isUuid,
  type LinkChange,
  type LogFields,
  type LogLevel,
  type Peer,
  type PeerDiagnostics,
  type Seed,
  type SeedDiagnostics,
  type Source,
  type Tally,
  TEXT_BYTES_MAX,
  type Trace,
  type Uuid,
  utf8,
  ZMTP_LIMITS,
} from '../protocol/index.ts'
import { type BeaconDiagnostics, BeaconDiscovery } from './discovery/beacon.ts'
import type { Discovery, DiscoveryHandlers } from './discovery/discovery.ts'
import { type GossipDiagnostics, GossipDiscovery } from './discovery/gossip.ts'
import type { InterfaceChoice } from './discovery/interfaces.ts'
import { type MdnsDiagnostics, MdnsDiscovery } from './discovery/mdns.ts'
import { SeedDiscovery } from './discovery/seeds.ts'
import { UsageError } from './errors.ts'
import {
  type EventOf,
  EventStream,
  type LyreEvent,
  type LyreEvents,
  type OverrunEvent,
} from './events.ts'
import { causesOf } from './findings.ts'
import type { Host, Timer } from './host.ts'
import { type LogDiagnostics, Observer, type PeerChange } from './log/observer.ts'
import { Lookout } from './lookout.ts'
import { Mesh, type MeshHandlers, type MeshOptions } from './mesh.ts'
import { Meter, type Metrics } from './metrics.ts'
import { checkLogLevel, type LyreOptions, resolveOptions, type Settings } from './options.ts'
import { State, type StateDiagnostics } from './state.ts'
import { Traces } from './traces.ts'
import { checkSignal, Waiters } from './waiters.ts'
import { WireTeller } from './wire.ts'

/** What an application sends: one frame or several; a text goes as UTF-8. */
export type Content = string | Uint8Array | readonly (string | Uint8Array)[]

/** All that a node knows about itself, as plain JSON: what to look at first when two nodes do not talk. */
export interface Diagnostics {
  readonly uuid: Uuid
  readonly name: string
  readonly state: 'stopped' | 'starting' | 'started' | 'stopping'
  readonly endpoint: string | null
  readonly groups: readonly string[]
  readonly interface: InterfaceChoice | null
  /** Null unless started, and with `beacon: false`. */
  readonly beacon: BeaconDiagnostics | null
  /** Null unless started, and where neither `gossipBind` nor `gossipConnect` is set. */
  readonly gossip: GossipDiagnostics | null
  /** For each interface; null unless it was asked for. */
  readonly mdns: readonly MdnsDiagnostics[] | null
  /** Null where no state folder was asked for. */
  readonly identity: StateDiagnostics | null
  /** For each seed, how it is with it; none unless started. */
  readonly seeds: readonly SeedDiagnostics[]
  /** All that are known, entered or not; `backlogBytes` were written for one and have not left this machine. */
  readonly peers: readonly (PeerDiagnostics & { readonly backlogBytes: number })[]
  /** What is logged, and to whom it is told. */
  readonly log: LogDiagnostics
  /** What became of all that was sent: `sent` is the sum of the others but `waitingBytes`. */
  readonly messages: Tally
  /** Connections there are, being made, and accepted without a HELLO so far. */
  readonly connections: number
  readonly dials: number
  readonly arrivals: number
  /** How often something was refused, ignored, dropped or lost, by reason. */
  readonly counters: Readonly<Record<string, number>>
}

/** A mesh as a node needs it: ours, or that of a simulation, which carries messages without making octets of them. */
export type Links = Pick<Mesh, keyof Mesh>

/** What the application of a node did: it was started, it is about to stop, or one of its commands had an effect. */
export type Action =
  | { readonly type: 'start' | 'stop' }
  | { readonly type: 'join' | 'leave'; readonly group: string }
  | {
      readonly type: 'whisper'
      readonly uuid: Uuid
      readonly content: Frames
      readonly count: number
    }
  | {
      readonly type: 'shout'
      readonly group: string
      readonly content: Frames
      readonly count: number
    }

/** Where a node plays when it is not on its own: what a simulation replaces, and how it looks on (docs/adr/0005). */
export interface Stage {
  /** Makes the mesh, at each start; undefined where that of octets will do. */
  createMesh(options: MeshOptions, handlers: MeshHandlers): Links | undefined
  /** The application did something. */
  handleAction(action: Action): void
  /** The application is about to be told an event. */
  handleEvent(event: LyreEvent): void
  /** The application was told it. */
  handleTold(event: LyreEvent): void
  /** It listens for the event, or what it waited for has come. */
  handleWake(): void
}

/** What is there between start() and stop(). */
interface Session {
  readonly mesh: Links
  readonly beacon: BeaconDiscovery | undefined
  readonly gossip: GossipDiscovery | undefined
  readonly mdns: MdnsDiscovery | undefined
  readonly seeds: SeedDiscovery | undefined
  /** All of them that are used. */
  readonly discoveries: readonly Discovery[]
  readonly timer: Timer
  readonly lookout: Lookout
  armedAt: number
}

/**
 * A node of a local network. Create it with createLyre(); in a simulation, the simulation creates it.
 * Events are those of {@link LyreEvents}: `lyre.on('shout', ({ peer, group, content }) => ...)`.
 */
export class Lyre extends EventEmitter<LyreEvents> {
  readonly #host: Host
  readonly #stage: Stage | undefined
  readonly #settings: Settings
  readonly #uuid: Uuid
  readonly #identity: State | undefined
  readonly #name: string
  readonly #harmony: Harmony
  readonly #streams = new Set<EventStream>()
  readonly #waiters: Waiters
  readonly #traces: Traces
  readonly #log: Observer
  readonly #meter = new Meter()
  readonly #wire: WireTeller | undefined
  #session: Session | undefined
  #state: Diagnostics['state'] = 'stopped'
  /** What start() and stop() asked for last: each waits for the one before. */
  #last: Promise<void> = Promise.resolve()
  #draining = false
  /** When we have been without a peer for too long; Infinity once that was told. */
  #lonelyAt = Number.POSITIVE_INFINITY
  /** What our groups take in a HELLO. */
  #groupBytes = 0
  /** Octets of a content of one frame. */
  readonly #plainBytesMax: number
  /** What time harmony was told last, and for how many more commands that will do. */
  #toldAt = Number.NEGATIVE_INFINITY
  #commandCount = 0

  /** @throws UsageError on an option that cannot work. */
  constructor(options: LyreOptions, host: Host, stage?: Stage) {
    super()
    this.#host = host
    this.#stage = stage
    this.#waiters = new Waiters(host.clock, () => stage?.handleWake())
    this.#traces = new Traces((trace) => this.#tell(trace))
    this.#settings = resolveOptions(options)
    this.#plainBytesMax = this.#settings.limits.messageBytesMax - HEADER_BYTES_MAX
    const drawUuid = () => v4({ random: host.random(16) }).replaceAll('-', '')
    const drawn = drawUuid()
    const { state: path, keepUuid, remember } = this.#settings
    if (path !== undefined) {
      const fresh = { id: drawUuid(), uuid: drawn }
      this.#identity = new State(host.storage, { path, remember, fresh })
    }
    this.#uuid = keepUuid ? (this.#identity?.uuid ?? drawn) : drawn
    this.#name = this.#settings.name ?? this.#uuid.slice(0, 6)
    this.#harmony = new Harmony({ ...this.#settings, uuid: this.#uuid, name: this.#name })
    this.#log = this.#createLog()
    const { wire } = this.#settings
    if (wire !== undefined) {
      const node = { uuid: this.#uuid, harmony: this.#harmony }
      this.#wire = new WireTeller(host.clock, node, (event) => this.#call(wire, event))
    }
  }

  /** Our identity: 32 lower-case hexadecimal digits, random, the same for as long as this object lives. */
  get uuid(): Uuid {
    return this.#uuid
  }

  /** Our public name, as others are told in HELLO: up to 255 octets of UTF-8, by default the first six digits of the uuid. */
  get name(): string {
    return this.#name
  }

  /**
   * Our headers, as others are told in HELLO; they cannot be changed once the node is created. With option `state` there are
   * two of Lyre's own among them, with our stable id and, in each life of the node, how often it was started.
   */
  get headers(): Headers {
    const { headers } = this.#settings
    return this.#identity === undefined ? headers : { ...headers, ...this.#identity.headers }
  }

  /** What we are called over all starts with the same `state` folder: 32 hexadecimal digits; undefined without that option. */
  get stableId(): string | undefined {
    return this.#identity?.id
  }

  /** Where our inbox is, as others are told: `tcp://host:port`; undefined unless started. */
  get endpoint(): string | undefined {
    return this.#session?.lookout.situation.endpoint
  }

  /**
   * Opens the inbox and begins to beacon; resolves once others can find us. Does nothing when started already.
   * @param options an aborted `signal` stops the node again and rejects with the signal's reason.
   * @throws UsageError when the wanted interface is not there, NetworkError when a port cannot be had.
   */
  async start({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    checkSignal(signal)
    await this.#inTurn(() => this.#open())
    if (!signal?.aborted) return
    await this.stop()
    signal.throwIfAborted()
  }

  /**
   * Says goodbye, sends what is queued, closes everything; then `stop` is emitted, and nothing of ours keeps the process
   * alive. Our groups stay ours for the next start(). Does nothing when stopped already.
   * @param options `lingerMs`: how long to go on sending to a peer that does not take it, 1,000 by default; an aborted
   * `signal` ends that at once.
   */
  async stop({
    lingerMs = 1_000,
    signal,
  }: {
    readonly lingerMs?: number
    readonly signal?: AbortSignal
  } = {}): Promise<void> {
    if (!(lingerMs >= 0)) throw new UsageError(`lingerMs has to be 0 or more, not ${lingerMs}`)
    await this.#inTurn(async () => {
      if (this.#session !== undefined) await this.#close(this.#session, { lingerMs, signal })
    })
  }

  /** `await using lyre = createLyre()` stops it at the end of the block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /**
   * Joins a group, started or not; peers see us join it.
   * @returns false when we are in it already.
   * @throws UsageError unless `group` has 1 to 255 octets of UTF-8, or when we are in so many that a HELLO has no room.
   */
  join(group: string): boolean {
    checkGroup(group)
    if (this.#harmony.isIn(group)) return false
    const { ownGroupCount } = this.#harmony
    const isFull = ownGroupCount >= this.#settings.limits.peerGroupsMax
    if (isFull || this.#groupBytes > HELLO_BYTES_MAX / 2) {
      throw new UsageError(`we are in ${ownGroupCount} groups, there is no room for one more`)
    }
    this.#harmony.join(group, this.#now())
    this.#groupBytes += groupBytes(group)
    this.#stage?.handleAction({ type: 'join', group })
    this.#log.handleGroup('join', group)
    this.#pump()
    return true
  }

  /** @returns false when we are not in the group. @throws UsageError as join() does. */
  leave(group: string): boolean {
    checkGroup(group)
    const changed = this.#harmony.leave(group, this.#now())
    if (!changed) return false
    this.#groupBytes -= groupBytes(group)
    this.#stage?.handleAction({ type: 'leave', group })
    this.#log.handleGroup('leave', group)
    this.#pump()
    return true
  }

  /**
   * Sends a message to one peer. Do not change a Uint8Array that you gave: it is sent from where it is.
   * @param peer its uuid, or the peer itself.
   * @returns to how many peers it was queued: 1, or 0 when that peer is not there (any more), or when so much waited for it
   * that it has to go (`limits.queueBytesMax`): an exit with cause `limit` follows.
   * @throws UsageError on a malformed uuid or a content above `limits.messageBytesMax` or `messageFramesMax`.
   */
  whisper(peer: Uuid | Peer, content: Content): number {
    const uuid = typeof peer === 'string' ? peer : peer?.uuid
    const frames = this.#frames(content)
    const count = this.#harmony.whisper(uuid, frames, this.#commandTime())
    // To look at its digits took as long as all the rest: who has a peer of that uuid knows that it is one.
    if (count === 0 && !isUuid(uuid)) {
      throw new UsageError(
        `${String(uuid)} is no uuid: 32 lower-case hexadecimal digits, no dashes`,
      )
    }
    this.#stage?.handleAction({ type: 'whisper', uuid, content: frames, count })
    if (!this.#harmony.idle) this.#pump()
    return count
  }

  /**
   * Sends a message to all peers in a group; we need not be in it. The same rules as for whisper().
   * @returns to how many peers it was queued; 0 when nobody else is in the group. Where `overflow` has a policy for the
   * group, peers for whom it was left out do not count.
   */
  shout(group: string, content: Content): number {
    const frames = this.#frames(content)
    // A name that peers gave a group is read as UTF-8, which only makes it too long where it is long, or leaves it empty.
    if (group === '' || group?.length > TEXT_BYTES_MAX / 3) checkGroup(group)
    const count = this.#harmony.shout(group, frames, this.#commandTime())
    if (count === 0) checkGroup(group)
    this.#stage?.handleAction({ type: 'shout', group, content: frames, count })
    if (!this.#harmony.idle) this.#pump()
    return count
  }

  /**
   * Dials a node that no beacon may tell of, and goes on until it is there or `expiredTimeoutMs` have passed.
   * @throws UsageError on a malformed uuid or endpoint, or when we are not started.
   */
  requirePeer({ uuid, endpoint: given }: { readonly uuid: Uuid; readonly endpoint: string }): void {
    if (!isUuid(uuid)) throw new UsageError(`${String(uuid)} is no uuid`)
    const endpoint = canonicalEndpoint(given)
    if (endpoint === undefined) throw new UsageError(`${given} is no endpoint: tcp://host:port`)
    if (this.#state !== 'started')
      throw new UsageError('requirePeer() needs a node that is started')
    this.#harmony.handleDiscovered({ uuid, endpoint, source: 'manual' }, this.#now())
    this.#pump()
  }

  /** The peers that have entered and not left. */
  peers(): Peer[] {
    return this.#harmony.peers()
  }

  /** One of them, or undefined. */
  peer(uuid: Uuid): Peer | undefined {
    return this.#harmony.peer(uuid)
  }

  /** All of them that have this name: names need not be unique. */
  peersByName(name: string): Peer[] {
    return this.#harmony.peers().filter((peer) => peer.name === name)
  }

  /** All of them that tell this header, with this value if one is given. Keys are as they were told, also in their case. */
  peersByHeader(key: string, value?: string): Peer[] {
    const has = ({ headers }: Peer) =>
      Object.hasOwn(headers, key) && (value === undefined || headers[key] === value)
    return this.#harmony.peers().filter(has)
  }

  /**
   * The peer with this stable id, whatever its uuid is in this life: `lyre.whisper(lyre.peerByStableId(id) ?? ..., content)`. Where
   * several tell the same, the one that was started last. Anybody can tell any id: it is no proof.
   */
  peerByStableId(id: string): Peer | undefined {
    const startsOf = ({ headers }: Peer) => Number(headers[INCARNATION_HEADER]) || 0
    const [last] = this.peersByHeader(ID_HEADER, id).sort((a, b) => startsOf(b) - startsOf(a))
    return last
  }

  /** All entered peers that are in this group, whether we are or not; a group that nobody is in has none. */
  peersInGroup(group: string): Peer[] {
    return this.#harmony.peers(group)
  }

  /** The groups that we are in. */
  ownGroups(): string[] {
    return this.#harmony.ownGroups()
  }

  /** The groups that at least one peer is in. */
  peerGroups(): string[] {
    return this.#harmony.peerGroups()
  }

  /**
   * Waits until at least `count` peers are there, in `group` if one is named.
   * @returns those that are there then.
   * @throws TimeoutError after `timeoutMs`, or when the node stops; the signal's reason when it is aborted.
   */
  async waitForPeers(
    count: number,
    options: {
      readonly group?: string
      readonly signal?: AbortSignal
      readonly timeoutMs?: number
    } = {},
  ): Promise<Peer[]> {
    const { group, signal, timeoutMs = Number.POSITIVE_INFINITY } = options
    if (!Number.isInteger(count) || count < 0) {
      throw new UsageError(`a number of peers is an integer from 0, not ${String(count)}`)
    }
    return this.#waiters.wait(
      { signal, timeoutMs },
      {
        poll: () =>
          this.#harmony.peerCount(group) >= count ? this.#harmony.peers(group) : undefined,
        late: () => {
          const found = this.#harmony.peerCount(group)
          const where = group === undefined ? '' : ` in group ${group}`
          const text = `${found} of ${count} peers were there${where} after ${timeoutMs} ms`
          return `${text}; diagnostics() tells what was heard`
        },
      },
    )
  }

  /**
   * Whether so much waits for a peer, for one of a group, or for any, that it is time to await drained(): a quarter of
   * `limits.queueBytesMax` (at most 1 MiB) or of `queueMessagesMax` (at most 4,096). Cheap enough to ask after each message. A peer that
   * is evasive or silent does not count: it holds nobody up.
   */
  congested(options: { readonly peer?: Uuid | Peer; readonly group?: string } = {}): boolean {
    const { peer, group } = options
    return this.#harmony.congested(typeof peer === 'object' ? peer.uuid : peer, group)
  }

  /**
   * Waits until what was sent to a peer, to all peers of a group, or to everybody, is on its way: a sender in a loop that
   * awaits this after each few messages never runs into `limits.queueBytesMax`. Resolves at once unless congested(), and
   * when a peer that was waited for exits or the node stops.
   * @throws TimeoutError after `timeoutMs`; the signal's reason when it is aborted.
   */
  async drained(
    options: {
      readonly peer?: Uuid | Peer
      readonly group?: string
      readonly signal?: AbortSignal
      readonly timeoutMs?: number
    } = {},
  ): Promise<void> {
    const { signal, timeoutMs = Number.POSITIVE_INFINITY } = options
    await this.#waiters.wait(
      { signal, timeoutMs },
      {
        poll: () => (this.congested(options) ? undefined : true),
        late: () => `messages still wait to be sent after ${timeoutMs} ms`,
      },
    )
  }

  /**
   * All events from now on, in one order: `for await (const event of lyre.events({ signal }))`. The loop ends after `stop`,
   * or when the signal is aborted. A reader that is too slow misses events, and is told how many by an `overrun`.
   */
  events({
    signal,
  }: {
    readonly signal?: AbortSignal
  } = {}): AsyncIterableIterator<LyreEvent | OverrunEvent> {
    if (!signal?.aborted) checkSignal(signal)
    const end = () => stream.end()
    const stream = new EventStream(this.#settings.limits, () => {
      this.#streams.delete(stream)
      signal?.removeEventListener('abort', end)
    })
    if (signal?.aborted) {
      stream.end()
    } else {
      this.#streams.add(stream)
      signal?.addEventListener('abort', end)
    }
    return stream
  }

  /**
   * Says something to whoever collects logs, at any time: what is said before start(), or after stop(), is kept like the rest
   * and told once we are started.
   * @param fields anything that JSON has, up to 16,384 octets; told as they are now, left out where they are too much.
   * @throws UsageError on anything but a level, a text and an object.
   */
  log(level: LogLevel, text: string, fields?: LogFields): void {
    this.#log.say(level, text, fields)
  }

  /** The highest level that is logged, `off` by default; set it at any time. @throws UsageError, when set, on anything else. */
  get logLevel(): LogLevel | 'off' {
    return this.#log.level
  }
  set logLevel(level: LogLevel | 'off') {
    this.#log.level = checkLogLevel(level)
  }

  /** All that this node knows, at this moment. */
  diagnostics(): Diagnostics {
    const session = this.#session
    const { peers, ...harmony } = this.#harmony.diagnostics(this.#now())
    const mesh = session?.mesh.diagnostics()
    return {
      uuid: this.#uuid,
      name: this.#name,
      state: this.#state,
      endpoint: session?.lookout.situation.endpoint ?? null,
      groups: this.#harmony.ownGroups(),
      interface: session?.lookout.situation.choice ?? null,
      beacon: session?.beacon?.diagnostics() ?? null,
      gossip: session?.gossip?.diagnostics() ?? null,
      mdns: session?.mdns?.diagnostics() ?? null,
      identity: this.#identity?.diagnostics() ?? null,
      seeds: session?.seeds?.diagnostics() ?? [],
      peers: peers.map((peer) => {
        const backlogBytes = session?.mesh.backlogBytes(peer.connections.outbound) ?? 0
        return { ...peer, backlogBytes }
      }),
      log: this.#log.diagnostics(),
      messages: harmony.messages,
      connections: mesh?.connections ?? 0,
      dials: harmony.dials,
      arrivals: harmony.arrivals,
      counters: { ...harmony.counters, ...mesh?.counters },
    }
  }

  /**
   * Counters, gauges and histograms of this node, at this moment, as plain JSON: by their names, each with what it means, its unit
   * and its labels. Histograms of single peers begin with the first call.
   */
  metrics(): Metrics {
    return this.#meter.metrics(this.diagnostics())
  }

  // Starting and stopping.

  #inTurn(act: () => Promise<void>): Promise<void> {
    const done = this.#last.then(act)
    this.#last = done.catch(() => {})
    return done
  }

  async #open(): Promise<void> {
    if (this.#session !== undefined) return
    this.#state = 'starting'
    const { clock } = this.#host
    let mesh: Links | undefined
    let discoveries: readonly Discovery[] = []
    try {
      this.#identity?.begin()
      mesh = this.#createMesh()
      const found = this.#createDiscoveries()
      discoveries = found.discoveries
      const lookout = new Lookout(this.#host, this.#settings, mesh)
      const situation = await lookout.open()
      const timer = clock.timer(() => this.#timeout())
      this.#harmony.start(situation.endpoint, situation.homes, this.headers)
      const armedAt = Number.POSITIVE_INFINITY
      this.#session = { mesh, ...found, timer, lookout, armedAt }
      for (const discovery of discoveries) await discovery.start(situation)
      this.#state = 'started'
      this.#lonelyAt = clock.now() + this.#settings.lonelyAfterMs
      this.#stage?.handleAction({ type: 'start' })
      this.#log.start(situation.endpoint)
      this.#pump()
    } catch (error) {
      this.#session?.timer.set(Number.POSITIVE_INFINITY)
      this.#session = undefined
      this.#harmony.stop()
      this.#pump()
      this.#state = 'stopped'
      await Promise.all([mesh?.stop(0), ...discoveries.map((discovery) => discovery.stop())])
      this.#harmony.finish()
      this.#identity?.end()
      this.#log.fail(error)
      throw error
    }
  }

  /** We slept, or our machine has other addresses: the node is there from now on, and whatever may be deaf is begun anew. */
  async #follow(session: Session, sleptMs: number): Promise<void> {
    if (this.#session !== session || this.#state !== 'started') return
    const { lookout, discoveries } = session
    const { isElsewhere, isBack, failure } = await lookout.follow()
    const { situation } = lookout
    const { endpoint, homes } = situation
    if (isElsewhere) {
      const reason = 'the addresses of this machine changed'
      this.#harmony.move(endpoint, homes, this.#now())
      this.#log.move(endpoint)
      this.#trace({ type: 'interfaces', endpoint, reason })
    }
    if (failure !== '') this.#trace({ type: 'interfaces', reason: failure })
    for (const discovery of discoveries) {
      if (isElsewhere || discovery.isPartial) await discovery.start(situation)
      if (isBack || sleptMs > 0) await discovery.renew()
    }
    this.#pump()
  }

  /** What became of our machine since we looked. @returns for how long it slept. */
  #look(session: Session, now: number): number {
    const glimpse = session.lookout.look(now)
    if (glimpse === undefined) return 0
    const { sleptMs, isNews } = glimpse
    if (sleptMs > 0) this.#trace({ type: 'woke', reason: `slept ${Math.round(sleptMs)} ms` })
    const isPartial = session.discoveries.some((discovery) => discovery.isPartial)
    if (sleptMs === 0 && !isNews && !isPartial) return 0
    this.#inTurn(() => this.#follow(session, sleptMs)).catch((error: unknown) => {
      this.#host.surface(error)
    })
    this.#stage?.handleWake()
    return sleptMs
  }

  #createMesh(): Links {
    const { limits } = this.#settings
    const { messageBytesMax, messageFramesMax, arrivalsMax, queueBytesMax, unreadBytesMax } = limits
    const options: MeshOptions = {
      uuid: this.#uuid,
      zmtp: { ...ZMTP_LIMITS, messageBytesMax, messageFramesMax },
      handshakesMax: arrivalsMax,
      backlogBytesMax: Math.min(BACKLOG_BYTES_MAX, queueBytesMax / 4),
      unreadBytesMax,
      traffic: this.#meter.traffic,
      tap: this.#wire?.tap,
    }
    const handlers: MeshHandlers = {
      link: (connection, change) => this.#handleLink(connection, change),
      activity: (connection, readAt) =>
        this.#harmony.handleActivity(connection, this.#since(readAt)),
      message: (connection, message, readAt) => {
        this.#harmony.handleMessage(connection, message, this.#since(readAt))
        if (message.type === 'ping-ok') this.#wire?.handleAnswer(connection)
        this.#drain()
      },
      heard: () => this.#arm(),
      mailbox: (connection) => this.#harmony.mailbox(connection),
      written: (connection) => {
        this.#commandCount = 0
        this.#harmony.handleWritten(connection, this.#now())
        this.#waiters.settle()
        this.#arm()
      },
      sooner: () => this.#arm(),
    }
    return this.#stage?.createMesh(options, handlers) ?? new Mesh(this.#host, options, handlers)
  }

  #createLog(): Observer {
    const { log, limits } = this.#settings
    const { logRecordsMax: recordsMax, logBytesMax: bytesMax } = limits
    const options = { ...log, uuid: this.#uuid, name: this.#name, recordsMax, bytesMax }
    return new Observer(this.#host, options, { sooner: () => this.#arm() })
  }

  #createDiscoveries(): Pick<Session, 'beacon' | 'gossip' | 'mdns' | 'seeds' | 'discoveries'> {
    const beacon = this.#settings.beacon ? this.#createBeacon() : undefined
    const mdns = this.#settings.mdns ? this.#createMdns() : undefined
    const gossip = this.#createGossip()
    const seeds = this.#createSeeds()
    const all = [beacon, mdns, gossip, seeds]
    const discoveries = all.filter((discovery) => discovery !== undefined)
    return { beacon, gossip, mdns, seeds, discoveries }
  }

  #createSeeds(): SeedDiscovery | undefined {
    const told = this.#settings.seeds.map((endpoint) => ({ endpoint, remembered: false }))
    const before = this.#identity?.seeds ?? []
    const isTold = ({ endpoint }: Seed) => this.#settings.seeds.includes(endpoint)
    const seeds = [...told, ...before.filter((seed) => !isTold(seed))]
    if (seeds.length === 0) return undefined
    const options = { uuid: this.#uuid, seeds }
    return new SeedDiscovery(this.#host, options, {
      dial: (endpoint) => {
        this.#harmony.handleSeed(endpoint, this.#now())
        this.#pump()
      },
      isPresent: (uuid) => this.#harmony.peer(uuid) !== undefined,
      sooner: () => this.#arm(),
    })
  }

  #createGossip(): GossipDiscovery | undefined {
    const { gossipBind: bind, gossipConnect: connect, gossipTtlMs: ttlMs, limits } = this.#settings
    if (bind === undefined && connect.length === 0) return undefined
    const { gossipTuplesMax: tuplesMax, gossipClientsMax: clientsMax } = limits
    return new GossipDiscovery(
      this.#host,
      { uuid: this.#uuid, bind, connect, ttlMs, tuplesMax, clientsMax },
      {
        ...this.#discoveryHandlers('gossip'),
        peer: (uuid, now) => {
          const endpoint = this.#harmony.peer(uuid)?.endpoint
          if (endpoint === undefined) return undefined
          return { endpoint, quietMs: this.#harmony.quietMs(uuid, now) }
        },
      },
    )
  }

  #createBeacon(): BeaconDiscovery {
    const { beaconPort: port, beaconIntervalMs: intervalMs } = this.#settings
    const options = { uuid: this.#uuid, port, intervalMs }
    return new BeaconDiscovery(this.#host, options, this.#discoveryHandlers('beacon'))
  }

  #createMdns(): MdnsDiscovery {
    const { beaconPort: network } = this.#settings
    const options = { uuid: this.#uuid, name: this.#name, network }
    return new MdnsDiscovery(this.#host, options, this.#discoveryHandlers('mdns'))
  }

  #discoveryHandlers(source: Source): DiscoveryHandlers {
    return {
      alive: (uuid, endpoint) => {
        this.#harmony.handleDiscovered({ uuid, endpoint, source }, this.#now())
        this.#pump()
      },
      goodbye: (uuid) => {
        this.#harmony.handleGoodbyeHint(uuid, this.#now())
        this.#pump()
      },
      sooner: () => this.#arm(),
    }
  }

  async #close(
    { mesh, discoveries, timer }: Session,
    { lingerMs, signal }: { readonly lingerMs: number; readonly signal: AbortSignal | undefined },
  ): Promise<void> {
    this.#state = 'stopping'
    const beganAt = this.#now()
    this.#stage?.handleAction({ type: 'stop' })
    const goodbyes = discoveries.map((discovery) => discovery.stop())
    this.#harmony.stop()
    this.#pump()
    timer.set(Number.POSITIVE_INFINITY)
    const abort = () => mesh.abort()
    signal?.addEventListener('abort', abort)
    await Promise.all([...goodbyes, mesh.stop(signal?.aborted ? 0 : lingerMs)])
    signal?.removeEventListener('abort', abort)
    this.#harmony.finish()
    this.#pump()
    const leftMs = Math.max(lingerMs - (this.#now() - beganAt), lingerMs / 10)
    await this.#log.stop(signal?.aborted ? 0 : Math.min(leftMs, LOG_LINGER_MS))
    this.#identity?.end()
    this.#session = undefined
    this.#state = 'stopped'
    this.#waiters.reject('the node stopped before what was waited for')
    // Whoever begins to read in a handler of this event, reads what comes after it.
    const streams = [...this.#streams]
    this.#emit({ type: 'stop' })
    for (const stream of streams) stream.end()
  }

  // The pump: what happened goes into harmony, and what it answers is done, in order, one thing after the other.

  #handleLink(connection: ConnectionId, change: LinkChange): void {
    // Of who is there: whoever never enters has no exit that would end what is kept of it.
    const uuid = this.#harmony.uuidAt(connection)
    const isThere = uuid !== undefined && this.#harmony.peer(uuid) !== undefined
    this.#meter.handleLink(connection, change, isThere ? uuid : undefined)
    this.#wire?.handleLink(connection, change)
    this.#harmony.handleLink(connection, change, this.#now())
    if (change.type === 'measured') this.#wire?.handleAnswer(connection)
    this.#pump()
  }

  /**
   * The time for a whisper or a shout, which matters only when a mailbox is too full: to ask the clock takes as long as all
   * that is done for a small message, so it is asked once for some of them.
   */
  #commandTime(): number {
    if (this.#commandCount-- > 0) return this.#toldAt
    this.#commandCount = COMMANDS_AT_ONCE - 1
    return this.#now()
  }

  /** The time, which is told to harmony. */
  #now(): number {
    this.#toldAt = this.#host.clock.now()
    return this.#toldAt
  }

  /** When a read began, or what was told since: time does not go back while handlers take some. */
  #since(readAt: number): number {
    if (readAt > this.#toldAt) this.#toldAt = readAt
    return this.#toldAt
  }

  #timeout(): void {
    const session = this.#session
    if (session === undefined) return
    const dueAt = Math.max(session.armedAt, this.#toldAt)
    session.armedAt = Number.POSITIVE_INFINITY
    const now = this.#now()
    this.#meter.handleLag(now - dueAt)
    const sleptMs = this.#look(session, now)
    for (const discovery of session.discoveries) discovery.handleTimeout(now)
    this.#identity?.handleTimeout(now)
    session.mesh.handleTimeout(now)
    this.#log.handleTimeout(now)
    this.#harmony.handleTimeout(now)
    if (sleptMs > 0) this.#harmony.handleWake(now)
    this.#drain()
    if (now >= this.#lonelyAt) this.#warn()
    this.#pump()
  }

  /** Nobody has been there for a while. */
  #warn(): void {
    this.#lonelyAt = Number.POSITIVE_INFINITY
    if (this.#harmony.peerCount() > 0) return
    const causes = causesOf(this.diagnostics())
    const seconds = this.#settings.lonelyAfterMs / 1_000
    const [cause] = causes
    const text = `nobody has been there for ${seconds} s${cause === undefined ? '' : `: ${cause.seen}`}`
    const warning = { type: 'warning', code: 'nobody-heard', text, causes } as const
    this.#log.handleWarning(warning)
    this.#emit(warning)
  }

  #pump(): void {
    if (this.#draining) return
    this.#drain()
    this.#arm()
  }

  /** What a handler asks for while this runs joins the same queue. */
  #drain(): void {
    if (this.#draining) return
    this.#draining = true
    for (;;) {
      const effect = this.#harmony.pollEffect()
      if (effect === undefined) break
      this.#execute(effect)
    }
    this.#draining = false
  }

  #arm(): void {
    const session = this.#session
    if (session === undefined || this.#state === 'stopping') return
    const { mesh, discoveries, lookout } = session
    let at = Math.min(this.#harmony.pollTimeout(), mesh.pollTimeout(), lookout.pollTimeout())
    if (this.#identity !== undefined) at = Math.min(at, this.#identity.pollTimeout())
    for (const discovery of discoveries) at = Math.min(at, discovery.pollTimeout())
    at = Math.min(at, this.#lonelyAt, this.#log.pollTimeout())
    if (at === session.armedAt) return
    session.armedAt = at
    session.timer.set(at)
  }

  #execute(effect: Effect): void {
    const mesh = this.#session?.mesh
    switch (effect.type) {
      case 'trace':
        this.#trace(effect.trace)
        break
      case 'dial':
        this.#meter.dials++
        this.#wire?.handleDial(effect.connection, effect.endpoint)
        mesh?.dial(effect.connection, effect.endpoint, effect.sequence)
        break
      case 'write':
      case 'measure':
      case 'hold':
      case 'resume':
      case 'close':
        if (effect.type === 'close') this.#wire?.handleClose(effect.connection, effect.reason)
        mesh?.[effect.type](effect.connection)
        break
      case 'seed':
        this.#session?.seeds?.handleOutcome(effect)
        break
      case 'enter':
        this.#lonelyAt = Number.POSITIVE_INFINITY
        this.#session?.seeds?.handleEnter(effect.peer.uuid)
        this.#identity?.handleSeen(effect.peer, this.#now())
        this.#meter.enters++
        this.#tellOf(effect)
        break
      case 'exit':
        this.#handleExit(effect)
        this.#tellOf(effect)
        break
      case 'join':
      case 'leave':
      case 'evasive':
      case 'silent':
        this.#tellOf(effect)
        break
      default:
        this.#emit(this.#settings.copy ? copied(effect) : effect)
    }
  }

  /** Whoever remembers where a peer was learns that it is not there any more, and why. */
  #handleExit({ peer, cause }: EventOf<'exit'>): void {
    if (this.#harmony.peerCount() === 0) this.#lonelyAt = this.#now() + this.#settings.lonelyAfterMs
    this.#identity?.handleSeen(peer, this.#now())
    this.#meter.handleExit(peer.uuid, cause)
    for (const discovery of this.#session?.discoveries ?? []) {
      discovery.handleExit?.({ uuid: peer.uuid, cause }, this.#now())
    }
  }

  /** What became of a peer, told to whoever collects logs before our application acts on it. */
  #tellOf(event: PeerChange): void {
    this.#log.handlePeer(event, (uuid) => this.#harmony.addresses(uuid))
    this.#emit(event)
  }

  #emit(event: LyreEvent): void {
    this.#stage?.handleEvent(event)
    if (this.#streams.size > 0) for (const stream of this.#streams) stream.push(event)
    let heard = this.#streams.size > 0
    try {
      // The types of emit() pair each name with its own event, which a union cannot show.
      if (this.emit(event.type, event as never)) heard = true
    } catch (error) {
      this.#host.surface(error)
    }
    if (heard) this.#stage?.handleWake()
    this.#stage?.handleTold(event)
    this.#waiters.settle()
  }

  #trace(trace: Trace): void {
    this.#log.handleTrace(trace, this.#toldAt)
    if (this.#settings.trace !== undefined) this.#traces.add(trace, this.#now())
  }

  #tell(trace: Trace): void {
    if (this.#settings.trace !== undefined) this.#call(this.#settings.trace, trace)
  }

  #call<Told>(hear: (told: Told) => void, told: Told): void {
    try {
      hear(told)
    } catch (error) {
      this.#host.surface(error)
    }
  }

  #frames(content: Content): Frames {
    // Mostly it is one frame of octets.
    if (content instanceof Uint8Array && content.length <= this.#plainBytesMax) return [content]
    const parts = typeof content === 'string' || content instanceof Uint8Array ? [content] : content
    if (!Array.isArray(parts)) {
      throw new UsageError('content has to be a string, a Uint8Array, or an array of these')
    }
    const { messageBytesMax, messageFramesMax } = this.#settings.limits
    if (parts.length >= messageFramesMax) {
      throw new UsageError(`${parts.length} frames are too many, limit ${messageFramesMax - 1}`)
    }
    let bytes = HEADER_BYTES_MAX
    const frames = parts.map((part: unknown) => {
      const frame = typeof part === 'string' ? utf8(part) : part
      if (!(frame instanceof Uint8Array)) {
        throw new UsageError('content has to be a string, a Uint8Array, or an array of these')
      }
      bytes += frame.length
      return frame
    })
    if (bytes > messageBytesMax) {
      throw new UsageError(`a content of ${bytes} octets is too large, limit ${messageBytesMax}`)
    }
    return frames
  }
}

/** Commands for which the clock is asked once. */
const COMMANDS_AT_ONCE = 32

/** Longer no collector holds up a stop(). */
const LOG_LINGER_MS = 1_000

/** What may be given to the operating system that it has not sent: enough to keep a fast network busy. */
const BACKLOG_BYTES_MAX = 1_048_576

/** The header of a SHOUT with the longest group: content and header together keep to the limit of a message. */
const HEADER_BYTES_MAX = 7 + TEXT_BYTES_MAX

function groupBytes(group: string): number {
  return 4 + utf8(group).length
}

function checkGroup(group: string): void {
  if (typeof group === 'string' && group !== '' && fits(group, TEXT_BYTES_MAX)) return
  throw new UsageError(`a group is a text of 1 to ${TEXT_BYTES_MAX} octets of UTF-8`)
}

function copied(event: LyreEvent): LyreEvent {
  if (!('content' in event)) return event
  return { ...event, content: event.content.map((frame) => frame.slice()) }
}
