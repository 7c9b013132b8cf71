// One node, as an application has it: its commands and questions, which harmony.ts answers, and its events. What the node does
// behind that is pump.ts's matter.

import { EventEmitter } from 'eventemitter3'
import { v4 } from 'uuid'
import {
  canonicalEndpoint,
  type Frames,
  fits,
  Harmony,
  HELLO_BYTES_MAX,
  type Headers,
  ID_HEADER,
  INCARNATION_HEADER,
  isUuid,
  type LogFields,
  type LogLevel,
  type Peer,
  TEXT_BYTES_MAX,
  type Uuid,
  utf8,
} from '../protocol/index.ts'
import { UsageError } from './errors.ts'
import { EventStream, type LyreEvent, type LyreEvents, type OverrunEvent } from './events.ts'
import type { Host } from './host.ts'
import type { Metrics } from './metrics.ts'
import { checkLogLevel, type LyreOptions, resolveOptions, type Settings } from './options.ts'
import { type Diagnostics, Pump } from './pump.ts'
import type { Stage } from './stage.ts'
import { State } from './state.ts'
import { checkSignal, Waiters } from './waiters.ts'

/** What an application sends: one frame or several; a text goes as UTF-8. */
export type Content = string | Uint8Array | readonly (string | Uint8Array)[]

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
  readonly #pump: Pump
  readonly #streams = new Set<EventStream>()
  readonly #waiters: Waiters
  /** What our groups take in a HELLO. */
  #groupBytes = 0
  /** Octets of a content of one frame. */
  readonly #plainBytesMax: number

  /** @throws UsageError on an option that cannot work. */
  constructor(options: LyreOptions, host: Host, stage?: Stage) {
    super()
    this.#host = host
    this.#stage = stage
    this.#waiters = new Waiters(host.clock, () => stage?.handleWake())
    const settings = resolveOptions(options)
    this.#settings = settings
    this.#plainBytesMax = settings.limits.messageBytesMax - HEADER_BYTES_MAX
    const drawUuid = () => v4({ random: host.random(16) }).replaceAll('-', '')
    const drawn = drawUuid()
    const { state: path, keepUuid, remember } = settings
    if (path !== undefined) {
      const fresh = { id: drawUuid(), uuid: drawn }
      this.#identity = new State(host.storage, { path, remember, fresh })
    }
    const identity = this.#identity
    const uuid = keepUuid ? (identity?.uuid ?? drawn) : drawn
    const name = settings.name ?? uuid.slice(0, 6)
    const harmony = new Harmony({ ...settings, uuid, name })
    this.#uuid = uuid
    this.#name = name
    this.#harmony = harmony
    const waiters = this.#waiters
    const node = { host, settings, uuid, name, identity, harmony }
    this.#pump = new Pump(node, { stage, waiters, emit: (event) => this.#emit(event) })
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
    return this.#pump.headers
  }

  /** What we are called over all starts with the same `state` folder: 32 hexadecimal digits; undefined without that option. */
  get stableId(): string | undefined {
    return this.#identity?.id
  }

  /** Where our inbox is, as others are told: `tcp://host:port`; undefined unless started. */
  get endpoint(): string | undefined {
    return this.#pump.endpoint
  }

  /**
   * Opens the inbox and begins to beacon; resolves once others can find us. Does nothing when started already.
   * @param options an aborted `signal` stops the node again and rejects with the signal's reason.
   * @throws UsageError when the wanted interface is not there, NetworkError when a port cannot be had.
   */
  async start({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    checkSignal(signal)
    await this.#pump.start()
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
    await this.#pump.stop({ lingerMs, signal })
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
    this.#harmony.join(group, this.#pump.now())
    this.#groupBytes += groupBytes(group)
    this.#stage?.handleAction({ type: 'join', group })
    this.#pump.log.handleGroup('join', group)
    this.#pump.run()
    return true
  }

  /** @returns false when we are not in the group. @throws UsageError as join() does. */
  leave(group: string): boolean {
    checkGroup(group)
    const changed = this.#harmony.leave(group, this.#pump.now())
    if (!changed) return false
    this.#groupBytes -= groupBytes(group)
    this.#stage?.handleAction({ type: 'leave', group })
    this.#pump.log.handleGroup('leave', group)
    this.#pump.run()
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
    const count = this.#harmony.whisper(uuid, frames, this.#pump.commandTime())
    // To look at its digits took as long as all the rest: who has a peer of that uuid knows that it is one.
    if (count === 0 && !isUuid(uuid)) {
      throw new UsageError(
        `${String(uuid)} is no uuid: 32 lower-case hexadecimal digits, no dashes`,
      )
    }
    this.#stage?.handleAction({ type: 'whisper', uuid, content: frames, count })
    if (!this.#harmony.idle) this.#pump.run()
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
    const count = this.#harmony.shout(group, frames, this.#pump.commandTime())
    if (count === 0) checkGroup(group)
    this.#stage?.handleAction({ type: 'shout', group, content: frames, count })
    if (!this.#harmony.idle) this.#pump.run()
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
    if (this.#pump.state !== 'started')
      throw new UsageError('requirePeer() needs a node that is started')
    this.#harmony.handleDiscovered({ uuid, endpoint, source: 'manual' }, this.#pump.now())
    this.#pump.run()
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
    this.#pump.log.say(level, text, fields)
  }

  /** The highest level that is logged, `off` by default; set it at any time. @throws UsageError, when set, on anything else. */
  get logLevel(): LogLevel | 'off' {
    return this.#pump.log.level
  }
  set logLevel(level: LogLevel | 'off') {
    this.#pump.log.level = checkLogLevel(level)
  }

  /** All that this node knows, at this moment. */
  diagnostics(): Diagnostics {
    return this.#pump.diagnostics()
  }

  /**
   * Counters, gauges and histograms of this node, at this moment, as plain JSON: by their names, each with what it means, its unit
   * and its labels. Histograms of single peers begin with the first call.
   */
  metrics(): Metrics {
    return this.#pump.metrics()
  }

  #emit(event: LyreEvent): void {
    this.#stage?.handleEvent(event)
    // Whoever begins to read in a handler of `stop`, reads what comes after it.
    const ending = event.type === 'stop' ? [...this.#streams] : undefined
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
    if (ending !== undefined) for (const stream of ending) stream.end()
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

/** The header of a SHOUT with the longest group: content and header together keep to the limit of a message. */
const HEADER_BYTES_MAX = 7 + TEXT_BYTES_MAX

function groupBytes(group: string): number {
  return 4 + utf8(group).length
}

function checkGroup(group: string): void {
  if (typeof group === 'string' && group !== '' && fits(group, TEXT_BYTES_MAX)) return
  throw new UsageError(`a group is a text of 1 to ${TEXT_BYTES_MAX} octets of UTF-8`)
}
