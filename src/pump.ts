// What runs behind a Lyre: the pump between harmony.ts, which decides, and the mesh and the ways of discovery, which do, in each
// life of a node from start() to stop(). What happened goes into harmony, and what it answers is done, in order, one thing
// after the other. Everything between an octet and an event happens in one turn, without a promise.

import {
  type ConnectionId,
  type Effect,
  type Headers,
  type LinkChange,
  LOG_HEADER,
  type PeerDiagnostics,
  type SeedDiagnostics,
  type Tally,
  type Trace,
  type Uuid,
  ZMTP_LIMITS,
} from '../protocol/index.ts'
import type { BeaconDiagnostics } from './discovery/beacon.ts'
import { Discoveries, type Seeker } from './discovery/discoveries.ts'
import type { GossipDiagnostics } from './discovery/gossip.ts'
import type { InterfaceChoice } from './discovery/interfaces.ts'
import type { MdnsDiagnostics } from './discovery/mdns.ts'
import type { EventOf, LyreEvent } from './events.ts'
import { causesOf } from './findings.ts'
import type { Timer } from './host.ts'
import { type LogDiagnostics, Observer, type PeerChange } from './log/observer.ts'
import { Lookout } from './lookout.ts'
import { Mesh, type MeshHandlers, type MeshOptions } from './mesh.ts'
import { Meter, type Metrics } from './metrics.ts'
import type { Links, Stage } from './stage.ts'
import type { StateDiagnostics } from './state.ts'
import { Traces } from './traces.ts'
import type { Waiters } from './waiters.ts'
import { WireTeller } from './wire.ts'

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

/** What is there between start() and stop(). */
interface Session {
  readonly mesh: Links
  readonly discoveries: Discoveries
  readonly timer: Timer
  readonly lookout: Lookout
  armedAt: number
  /** The same, or when it was set, if that was too late already. */
  dueAt: number
  /** Whether the timer was late, and what has come meanwhile is read before anything is done about it. */
  isReading: boolean
}

/** How long to go on sending to those who do not take it. */
interface Linger {
  readonly lingerMs: number
  readonly signal: AbortSignal | undefined
}

/** Who has to do with what happens in a node. */
export interface Onlookers {
  readonly stage: Stage | undefined
  /** Those who wait for it. */
  readonly waiters: Waiters
  /** Tells an event to the application, which may call back in. */
  readonly emit: (event: LyreEvent) => void
}

/** The pump of one node, for all of its lives. Whoever gives harmony a command calls run() after it. */
export class Pump {
  /** What is told to collectors, and at which level. */
  readonly log: Observer
  readonly #node: Seeker
  readonly #stage: Stage | undefined
  readonly #waiters: Waiters
  readonly #emit: (event: LyreEvent) => void
  readonly #traces: Traces
  readonly #meter = new Meter()
  readonly #wire: WireTeller | undefined
  #session: Session | undefined
  #state: Diagnostics['state'] = 'stopped'
  /** What start() and stop() asked for last: each waits for the one before. */
  #last: Promise<void> = Promise.resolve()
  #draining = false
  /** When we have been without a peer for too long; Infinity once that was told. */
  #lonelyAt = Number.POSITIVE_INFINITY
  /** What time harmony was told last, and for how many more commands that will do. */
  #toldAt = Number.NEGATIVE_INFINITY
  #commandCount = 0

  constructor(node: Seeker, { stage, waiters, emit }: Onlookers) {
    this.#node = node
    this.#stage = stage
    this.#waiters = waiters
    this.#emit = emit
    this.#traces = new Traces((trace) => this.#tell(trace))
    this.log = this.#createLog()
    const { host, uuid, harmony, settings } = node
    const { wire } = settings
    if (wire !== undefined) {
      this.#wire = new WireTeller(host.clock, { uuid, harmony }, (event) => this.#call(wire, event))
    }
  }

  get state(): Diagnostics['state'] {
    return this.#state
  }

  /** What others are told in HELLO: what the application said, and what a state folder adds in this life of the node. */
  get headers(): Headers {
    const { settings, identity } = this.#node
    const { headers } = settings
    return identity === undefined ? headers : { ...headers, ...identity.headers }
  }

  /** Where our inbox is; undefined unless started. */
  get endpoint(): string | undefined {
    return this.#session?.lookout.situation.endpoint
  }

  /** Opens all, after what was asked for before is done. @throws UsageError or NetworkError where that cannot be. */
  start(): Promise<void> {
    return this.#inTurn(() => this.#open())
  }

  /** Says goodbye and closes all, after what was asked for before is done. An aborted `signal` ends `lingerMs` at once. */
  stop(linger: Linger): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#session !== undefined) await this.#close(this.#session, linger)
    })
  }

  /** What happened went into harmony: does what it answers, and sets the timer. */
  run(): void {
    if (this.#draining) return
    this.#drain()
    this.#arm()
  }

  /** The time, which is told to harmony. */
  now(): number {
    this.#toldAt = this.#node.host.clock.now()
    return this.#toldAt
  }

  /**
   * The time for a whisper or a shout, which matters only when a mailbox is too full: to ask the clock takes as long as all
   * that is done for a small message, so it is asked once for some of them.
   */
  commandTime(): number {
    if (this.#commandCount-- > 0) return this.#toldAt
    this.#commandCount = COMMANDS_AT_ONCE - 1
    return this.now()
  }

  /** All that this node knows, at this moment. */
  diagnostics(): Diagnostics {
    const session = this.#session
    const { peers, ...harmony } = this.#node.harmony.diagnostics(this.now())
    const mesh = session?.mesh.diagnostics()
    const discoveries = session?.discoveries.diagnostics()
    return {
      uuid: this.#node.uuid,
      name: this.#node.name,
      state: this.#state,
      endpoint: session?.lookout.situation.endpoint ?? null,
      groups: this.#node.harmony.ownGroups(),
      interface: session?.lookout.situation.choice ?? null,
      beacon: discoveries?.beacon ?? null,
      gossip: discoveries?.gossip ?? null,
      mdns: discoveries?.mdns ?? null,
      identity: this.#node.identity?.diagnostics() ?? null,
      seeds: discoveries?.seeds ?? [],
      peers: peers.map((peer) => {
        const backlogBytes = session?.mesh.backlogBytes(peer.connections.outbound) ?? 0
        return { ...peer, backlogBytes }
      }),
      log: this.log.diagnostics(),
      messages: harmony.messages,
      connections: mesh?.connections ?? 0,
      dials: harmony.dials,
      arrivals: harmony.arrivals,
      counters: { ...harmony.counters, ...mesh?.counters },
    }
  }

  /** What is counted and measured, at this moment. */
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
    const { clock } = this.#node.host
    let mesh: Links | undefined
    let discoveries: Discoveries | undefined
    try {
      this.#node.identity?.begin()
      mesh = this.#createMesh()
      discoveries = this.#createDiscoveries()
      const lookout = new Lookout(this.#node.host, this.#node.settings, mesh)
      const situation = await lookout.open()
      const timer = clock.timer(() => this.#wake())
      this.#node.harmony.start(situation.endpoint, situation.homes, this.headers)
      const never = { armedAt: Number.POSITIVE_INFINITY, dueAt: Number.POSITIVE_INFINITY }
      this.#session = { mesh, discoveries, timer, lookout, ...never, isReading: false }
      await discoveries.start(situation)
      this.#state = 'started'
      this.#lonelyAt = this.now() + this.#node.settings.lonelyAfterMs
      this.#stage?.handleAction({ type: 'start' })
      this.log.start(situation)
      this.run()
    } catch (error) {
      this.#session?.timer.set(Number.POSITIVE_INFINITY)
      this.#session = undefined
      this.#node.harmony.stop()
      this.run()
      this.#state = 'stopped'
      await Promise.all([mesh?.stop(0), discoveries?.stop()])
      this.#node.harmony.finish()
      this.#node.identity?.end()
      this.log.fail(error)
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
      this.#node.harmony.move(endpoint, homes, this.now())
      this.log.move(situation)
      this.#trace({ type: 'interfaces', endpoint, reason })
    }
    if (failure !== '') this.#trace({ type: 'interfaces', reason: failure })
    await discoveries.follow(situation, { isElsewhere, isBack: isBack || sleptMs > 0 })
    this.run()
  }

  /** What became of our machine since we looked. @returns for how long it slept. */
  #look(session: Session, now: number): number {
    const glimpse = session.lookout.look(now)
    if (glimpse === undefined) return 0
    const { sleptMs, isNews } = glimpse
    if (sleptMs > 0) this.#trace({ type: 'woke', reason: `slept ${Math.round(sleptMs)} ms` })
    if (sleptMs === 0 && !isNews && !session.discoveries.isPartial) return 0
    this.#inTurn(() => this.#follow(session, sleptMs)).catch((error: unknown) => {
      this.#node.host.surface(error)
    })
    this.#stage?.handleWake()
    return sleptMs
  }

  #createMesh(): Links {
    const { host, uuid, settings } = this.#node
    const { limits } = settings
    const { messageBytesMax, messageFramesMax, arrivalsMax, queueBytesMax, unreadBytesMax } = limits
    const options: MeshOptions = {
      uuid,
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
        this.#node.harmony.handleActivity(connection, this.#since(readAt)),
      message: (connection, message, readAt) => {
        this.#node.harmony.handleMessage(connection, message, this.#since(readAt))
        if (message.type === 'ping-ok') this.#wire?.handleAnswer(connection)
        this.#drain()
      },
      heard: () => this.#arm(),
      mailbox: (connection) => this.#node.harmony.mailbox(connection),
      written: (connection) => {
        this.#commandCount = 0
        this.#node.harmony.handleWritten(connection, this.now())
        this.#waiters.settle()
        this.#arm()
      },
      sooner: () => this.#arm(),
    }
    return this.#stage?.createMesh(options, handlers) ?? new Mesh(host, options, handlers)
  }

  #createLog(): Observer {
    const { host, uuid, name, settings, harmony, identity } = this.#node
    const { log, limits, headers } = settings
    const { logRecordsMax: recordsMax, logBytesMax: bytesMax } = limits
    const who = { uuid, name, stableId: identity?.id, header: headers[LOG_HEADER] }
    return new Observer(
      host,
      { ...log, ...who, recordsMax, bytesMax },
      {
        sooner: () => this.#arm(),
        status: () => {
          const { lost, dropped } = harmony.messages()
          const [peers, evasive] = [harmony.peerCount(), harmony.quietCount()]
          return this.#meter.status({ peers, evasive, lost, dropped })
        },
      },
    )
  }

  #createDiscoveries(): Discoveries {
    return new Discoveries(this.#node, {
      now: () => this.now(),
      run: () => this.run(),
      sooner: () => this.#arm(),
    })
  }

  async #close({ mesh, discoveries, timer }: Session, { lingerMs, signal }: Linger): Promise<void> {
    this.#state = 'stopping'
    const beganAt = this.now()
    this.#stage?.handleAction({ type: 'stop' })
    const goodbyes = discoveries.stop()
    this.#node.harmony.stop()
    this.run()
    timer.set(Number.POSITIVE_INFINITY)
    const abort = () => {
      mesh.abort()
      this.log.abort()
    }
    signal?.addEventListener('abort', abort)
    await Promise.all([goodbyes, mesh.stop(signal?.aborted ? 0 : lingerMs)])
    this.#node.harmony.finish()
    this.run()
    // A peer that took all the time there was does not cost collectors the last words.
    const leftMs = Math.max(lingerMs - (this.now() - beganAt), lingerMs / 10)
    await this.log.stop(signal?.aborted ? 0 : Math.min(leftMs, LOG_LINGER_MS))
    signal?.removeEventListener('abort', abort)
    this.#node.identity?.end()
    this.#session = undefined
    this.#state = 'stopped'
    this.#waiters.reject('the node stopped before what was waited for')
    this.#emit({ type: 'stop' })
  }

  // The pump.

  #handleLink(connection: ConnectionId, change: LinkChange): void {
    // Of who is there: whoever never enters has no exit that would end what is kept of it.
    const uuid = this.#node.harmony.uuidAt(connection)
    const isThere = uuid !== undefined && this.#node.harmony.peer(uuid) !== undefined
    this.#meter.handleLink(connection, change, isThere ? uuid : undefined)
    this.#wire?.handleLink(connection, change)
    this.#node.harmony.handleLink(connection, change, this.now())
    if (change.type === 'measured') this.#wire?.handleAnswer(connection)
    this.run()
  }

  /** When a read began, or what was told since: time does not go back while handlers take some. */
  #since(readAt: number): number {
    if (readAt > this.#toldAt) this.#toldAt = readAt
    return this.#toldAt
  }

  /** The timer. Timers come before what there is to read: who stood still would take what it has not read for silence. */
  #wake(): void {
    const session = this.#session
    if (session === undefined || session.isReading) return
    const lateMs = this.now() - session.dueAt
    if (lateMs < STANDSTILL_MS) {
      this.#timeout(session, lateMs)
      return
    }
    session.isReading = true
    this.#node.host.clock.defer(() => {
      session.isReading = false
      if (this.#session === session && this.#state !== 'stopping') this.#timeout(session, lateMs)
    })
  }

  #timeout(session: Session, lateMs: number): void {
    session.armedAt = Number.POSITIVE_INFINITY
    const now = this.now()
    this.#meter.handleLag(lateMs)
    const sleptMs = this.#look(session, now)
    this.log.handleLate({ lateMs, sleptMs })
    session.discoveries.handleTimeout(now)
    this.#node.identity?.handleTimeout(now)
    session.mesh.handleTimeout(now)
    this.log.handleTimeout(now)
    this.#node.harmony.handleTimeout(now)
    if (sleptMs > 0) {
      this.log.handleWake(now)
      this.#node.harmony.handleWake(now)
    }
    this.#drain()
    if (now >= this.#lonelyAt) this.#warn()
    this.run()
  }

  /** Nobody has been there for a while. */
  #warn(): void {
    this.#lonelyAt = Number.POSITIVE_INFINITY
    if (this.#node.harmony.peerCount() > 0) return
    const causes = causesOf(this.diagnostics())
    const seconds = this.#node.settings.lonelyAfterMs / 1_000
    const [cause] = causes
    const text = `nobody has been there for ${seconds} s${cause === undefined ? '' : `: ${cause.seen}`}`
    const warning = { type: 'warning', code: 'nobody-heard', text, causes } as const
    this.log.handleWarning(warning)
    this.#emit(warning)
  }

  /** What a handler asks for while this runs joins the same queue. */
  #drain(): void {
    if (this.#draining) return
    this.#draining = true
    for (;;) {
      const effect = this.#node.harmony.pollEffect()
      if (effect === undefined) break
      this.#execute(effect)
    }
    this.#draining = false
  }

  #arm(): void {
    const session = this.#session
    if (session === undefined || this.#state === 'stopping') return
    const { mesh, discoveries, lookout } = session
    let at = Math.min(this.#node.harmony.pollTimeout(), mesh.pollTimeout(), lookout.pollTimeout())
    if (this.#node.identity !== undefined) at = Math.min(at, this.#node.identity.pollTimeout())
    at = Math.min(at, discoveries.pollTimeout(), this.#lonelyAt, this.log.pollTimeout())
    if (at === session.armedAt) return
    session.armedAt = at
    session.dueAt = at > this.#toldAt ? at : this.#node.host.clock.now()
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
        this.#session?.discoveries.handleOutcome(effect)
        break
      case 'enter':
        this.#lonelyAt = Number.POSITIVE_INFINITY
        this.#session?.discoveries.handleEnter(effect.peer.uuid)
        this.#node.identity?.handleSeen(effect.peer, this.now())
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
        this.#emit(this.#node.settings.copy ? copied(effect) : effect)
    }
  }

  #handleExit({ peer, cause }: EventOf<'exit'>): void {
    if (this.#node.harmony.peerCount() === 0)
      this.#lonelyAt = this.now() + this.#node.settings.lonelyAfterMs
    this.#node.identity?.handleSeen(peer, this.now())
    this.#meter.handleExit(peer.uuid, cause)
    this.#session?.discoveries.handleExit({ uuid: peer.uuid, cause })
  }

  /** What became of a peer, told to whoever collects logs before our application acts on it. */
  #tellOf(event: PeerChange): void {
    this.log.handlePeer(event, (uuid) => this.#node.harmony.addresses(uuid))
    this.#emit(event)
  }

  #trace(trace: Trace): void {
    this.log.handleTrace(trace, this.#toldAt)
    if (this.#node.settings.trace !== undefined) this.#traces.add(trace, this.now())
  }

  #tell(trace: Trace): void {
    if (this.#node.settings.trace !== undefined) this.#call(this.#node.settings.trace, trace)
  }

  #call<Told>(hear: (told: Told) => void, told: Told): void {
    try {
      hear(told)
    } catch (error) {
      this.#node.host.surface(error)
    }
  }
}

/** A timer that is so late has been kept from its turn, and so has what came; less than that is no silence to anybody. */
const STANDSTILL_MS = 100

/** Commands for which the clock is asked once. */
const COMMANDS_AT_ONCE = 32

/** Longer no collector holds up a stop(). */
const LOG_LINGER_MS = 1_000

/** What may be given to the operating system that it has not sent: enough to keep a fast network busy. */
const BACKLOG_BYTES_MAX = 1_048_576

function copied(event: LyreEvent): LyreEvent {
  if (!('content' in event)) return event
  return { ...event, content: event.content.map((frame) => frame.slice()) }
}
