// Gossip: who is where, told over TCP by hubs that nodes connect to, where nothing can be broadcast. The messages are those of
// czmq's zgossip; between Lyres each tuple is a lease besides, so that the dead are forgotten. GossipTable decides what to
// believe of whom, what to tell whom, and for how long; whoever holds it has the connections.
// Spec: gossip.md, after czmq's zgossip and what C Zyre says by it.

import { isUuid, Reader, type Uuid, Writer } from './bytes.ts'
import { formatEndpoint, parseEndpoint, publicEndpoint, reachable } from './endpoints.ts'
import { WireError } from './errors.ts'
import { Places } from './places.ts'
import { Queue } from './queue.ts'
import { fits, TEXT_BYTES_MAX } from './zre.ts'

/** What one side says to the other. `ttlMs` means something only where both understand leases (gossip.md 4.1). */
export type GossipMessage =
  | { readonly type: 'hello' | 'ping' | 'pong' | 'invalid' }
  | {
      readonly type: 'publish'
      readonly key: string
      readonly value: string
      readonly ttlMs: number
    }

/** The property of READY by which a side says that it understands leases (gossip.md 4.1). */
export const LEASE_PROPERTY = 'X-Gossip-Lease'
/** Octets of UTF-8 that a value may have to be read at all; a location has 296 at most (gossip.md 2.2). */
export const GOSSIP_VALUE_BYTES_MAX = 65_536
/** The longest lease (gossip.md 4.6). */
export const LEASE_MAX_MS = 600_000

const SIGNATURE = 0xaaa0
const VERSION = 1
const IDS = { hello: 1, publish: 2, ping: 3, pong: 4, invalid: 5 } as const
const TYPES = ['hello', 'publish', 'ping', 'pong', 'invalid'] as const
const VALUE_LIMIT = { bytesMax: GOSSIP_VALUE_BYTES_MAX, rule: 'gossip.md 2.2' }

/**
 * Reads the one frame of a message.
 * @throws WireError on anything but one of the five, whole and with nothing behind it (gossip.md 2.1, 2.2).
 */
export function decodeGossip(frames: readonly Uint8Array[]): GossipMessage {
  const [frame] = frames
  if (frame === undefined || frames.length > 1) {
    throw new WireError('gossip.md 2.1', `a message of ${frames.length} frames`)
  }
  const reader = new Reader(frame, 'gossip.md 2.1')
  const signature = reader.u16()
  const type = TYPES[reader.u8() - 1]
  if (signature !== SIGNATURE || type === undefined || reader.u8() !== VERSION) {
    throw new WireError('gossip.md 2.1', 'not a message of gossip, version 1')
  }
  if (type !== 'publish') {
    reader.end()
    return { type }
  }
  const message = { type, key: reader.text1(), value: reader.text4(VALUE_LIMIT) }
  const ttlMs = reader.u32()
  reader.end()
  return { ...message, ttlMs }
}

/** The one frame of a message. A key has 255 octets at most, a value GOSSIP_VALUE_BYTES_MAX, a ttl 32 bits. */
export function encodeGossip(message: GossipMessage): Uint8Array {
  const writer = new Writer().u16(SIGNATURE).u8(IDS[message.type]).u8(VERSION)
  if (message.type === 'publish') {
    writer.text1(message.key).text4(message.value).u32(message.ttlMs)
  }
  return writer.finish()
}

/** Where a node is: `tcp://host:port`, and its public key of CURVE where it told one. */
export interface Location {
  readonly endpoint: string
  /** 40 characters of Z85. */
  readonly publicKey: string | undefined
}

const Z85_KEY = /^[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]{40}$/

/** What the value of a tuple says, or undefined where that is no location (gossip.md 3.7). */
export function parseLocation(value: string): Location | undefined {
  const bar = value.indexOf('|')
  const text = bar < 0 ? value : value.slice(0, bar)
  const publicKey = bar < 0 ? undefined : value.slice(bar + 1)
  const place = parseEndpoint(text)
  if (place === undefined || !fits(text, TEXT_BYTES_MAX)) return undefined
  if (publicKey !== undefined && !Z85_KEY.test(publicKey)) return undefined
  // A zone that another machine tells is its own (harmony.md 2.12).
  return { endpoint: publicEndpoint(formatEndpoint(place.host, place.port)), publicKey }
}

/** Who is at the other end of a connection: its address, what it is for us, and whether both understand leases. */
export interface Contact {
  readonly role: 'hub' | 'client'
  readonly leases: boolean
  readonly address: string
}

/** What became of a tuple that we were told. Only the first leads to a peer, or to a new lease of one. */
export type GossipKind =
  | 'told'
  /** What we hold already, as czmq says it again and again; or our own, which comes back. */
  | 'known'
  /** Our uuid at another endpoint: a hub that has not forgotten where we were, or a copy of us. */
  | 'impostor'
  /** Not what somebody has leased. */
  | 'outdated'
  /** What is gone, and is not believed for now. */
  | 'gone'
  /** It names a host, or an address that cannot be dialled from here. */
  | 'unreachable'
  /** It has a public key: a node that talks CURVE only, which this version does not. */
  | 'secure'
  /** There is no room for it. */
  | 'full'
  /** Its key is no uuid, or its value no location. */
  | 'noise'

/** The last tuple of a kind. */
export interface HeardTuple {
  /** The address of whoever told it. */
  readonly address: string
  readonly msAgo: number
  /** Whom it named; null where that is no uuid. */
  readonly uuid: Uuid | null
  /** Why it leads nowhere; null where it does, or is known. */
  readonly reason: string | null
}

/** A tuple as it stands: `gone` ones are remembered so that they are not believed again. */
export interface TupleDiagnostics {
  readonly uuid: Uuid
  readonly endpoint: string
  readonly state: TupleState
  /** Until the lease ends, the hearsay is dropped, or what is gone is tried again. */
  readonly msLeft: number
}

/** How well a tuple is known: told by somebody, leased by somebody who knows, or not believed any more. */
export type TupleState = 'hearsay' | 'leased' | 'gone'

/** What to do, in order. `alive` is for harmony; `ask`, and `alive` too, want handleSeen() if its node has entered there. */
export type GossipEffect =
  | { readonly type: 'send'; readonly connection: number; readonly message: GossipMessage }
  | { readonly type: 'close'; readonly connection: number; readonly reason: string }
  | {
      readonly type: 'alive' | 'ask'
      readonly uuid: Uuid
      readonly endpoint: string
      readonly isNews: boolean
    }

/** Who we are, and what others can make the table hold. */
export interface GossipTableOptions {
  readonly uuid: Uuid
  /** For how long we lease: 1,000 to LEASE_MAX_MS. */
  readonly ttlMs: number
  readonly tuplesMax: number
}

interface Tuple extends Location {
  readonly uuid: Uuid
  readonly key: string
  readonly value: string
  /** Whether its endpoint is one that we would dial. */
  readonly dialable: boolean
  state: TupleState
  /** When the lease or the hearsay ends; of what is gone, when it is tried again, and since when it is gone. */
  until: number
  goneAt: number
  retryMs: number
}

/** A tuple that somebody tells. */
interface Told extends Location {
  readonly uuid: Uuid
  readonly key: string
  readonly value: string
  readonly ttlMs: number
}

interface Line extends Contact {
  readonly connection: number
  /** Whether it has said HELLO, or is to hear ours. */
  greeted: boolean
  /** It said INVALID, and hears HELLO at the next PING. */
  invalid: boolean
  pingAt: number
  pingCount: number
  /** Since when it owes us an answer; Infinity where it does not. */
  askedAt: number
  /** News that it may tell, as of then. */
  credit: number
  creditAt: number
  /** When it was last told better. */
  correctedAt: number
}

/** Leases are looked at so often, and peers that have not entered told again (gossip.md 5.1). */
const SWEEP_MS = 1_000
/** How often a hub is asked: czmq's forgets who is quiet for a second, Lyre's does not (gossip.md 3.4). */
const PING_CZMQ_MS = 300
const PING_LYRE_MS = 2_000
const PROBE_EACH = 4
const ANSWER_MS = 5_000
const CORRECT_MS = 1_000
/** A HELLO, which is answered by all that we hold, counts as much news as makes so many of them the limit. */
const HELLOS_MAX = 16
/** What is gone is tried again at the latest after so long, and not remembered for longer than that (gossip.md 4.7). */
const RETRY_MAX_MS = 600_000
const GONE_MAX_MS = 3_600_000
const NEVER = Number.POSITIVE_INFINITY

const NOTHING_TOLD: Readonly<Record<GossipKind, number>> = {
  told: 0,
  known: 0,
  impostor: 0,
  outdated: 0,
  gone: 0,
  unreachable: 0,
  secure: 0,
  full: 0,
  noise: 0,
}

/** What one node knows by gossip, and its side of each connection. */
export class GossipTable {
  readonly #options: GossipTableOptions
  readonly #lines = new Map<number, Line>()
  readonly #tuples = new Map<Uuid, Tuple>()
  readonly #places: Places<Uuid>
  readonly #told = { ...NOTHING_TOLD }
  readonly #last = new Map<GossipKind, Omit<HeardTuple, 'msAgo'> & { readonly at: number }>()
  readonly #effects = new Queue<GossipEffect>()
  /** Our own location, and when its lease is renewed; undefined before publish(). */
  #own: { readonly key: string; readonly value: string; renewAt: number } | undefined
  #sweepAt = NEVER

  constructor(options: GossipTableOptions) {
    this.#options = options
    this.#places = new Places(options.tuplesMax)
  }

  // Inputs and commands.

  /** From now on others are told that our inbox is at `endpoint`. */
  publish(endpoint: string, now: number): void {
    this.#own = { key: this.#options.uuid.toUpperCase(), value: endpoint, renewAt: now }
    this.#renewOwn(this.#own, now)
    this.#sweepAt = now + SWEEP_MS
  }

  /** A connection is there. Numbers are the caller's, and not used again. */
  handleOpen(connection: number, contact: Contact, now: number): void {
    const line: Line = {
      ...contact,
      connection,
      greeted: false,
      invalid: false,
      pingAt: NEVER,
      pingCount: 0,
      askedAt: NEVER,
      credit: this.#options.tuplesMax,
      creditAt: now,
      correctedAt: Number.NEGATIVE_INFINITY,
    }
    this.#lines.set(connection, line)
    if (line.role === 'hub') this.#greet(line, now)
  }

  /** A connection is over. What was told over it stays as long as its leases. */
  handleClose(connection: number): void {
    this.#lines.delete(connection)
  }

  /** A message came. */
  handleMessage(connection: number, message: GossipMessage, now: number): void {
    const line = this.#lines.get(connection)
    if (line === undefined) return
    line.askedAt = NEVER
    if (line.role === 'client' && message.type === 'hello') {
      if (!this.#spend(line, { cost: this.#options.tuplesMax / HELLOS_MAX, now })) return
      line.greeted = true
      this.#tellAll(line, now)
    } else if (line.role === 'client' && message.type === 'ping') {
      this.#send(line, { type: 'pong' })
    } else if (message.type === 'publish' && line.greeted) {
      this.#handleTuple(line, message, now)
    } else if (!line.greeted) {
      this.#send(line, { type: 'invalid' })
    } else if (line.role === 'hub' && message.type === 'invalid') {
      line.invalid = true
    }
  }

  /** A node that has entered at the endpoint that its tuple tells was last heard of so long ago (gossip.md 4.3). */
  handleSeen(
    { uuid, quietMs }: { readonly uuid: Uuid; readonly quietMs: number },
    now: number,
  ): void {
    const tuple = this.#tuples.get(uuid)
    if (tuple === undefined) return
    const { ttlMs } = this.#options
    const wasGone = tuple.state === 'gone'
    if (!wasGone && tuple.until - now >= ttlMs / 2) return
    // It may have died since.
    const until = now - quietMs + ttlMs
    if (until - (wasGone ? now : tuple.until) < ttlMs / 4) return
    tuple.state = 'leased'
    tuple.until = until
    // Whoever knows no leases has heard of it, unless it was gone.
    this.#tell(tuple, { now, toAll: wasGone })
  }

  /** A node has said GOODBYE (gossip.md 4.8). */
  handleGoodbye(uuid: Uuid, now: number): void {
    const tuple = this.#tuples.get(uuid)
    if (tuple !== undefined && tuple.state !== 'gone') this.#bury(tuple, now)
  }

  /** The time has come for something; early, and nothing happens. */
  handleTimeout(now: number): void {
    for (const line of this.#lines.values()) if (now >= line.pingAt) this.#ask(line, now)
    if (now < this.#sweepAt) return
    this.#sweepAt = now + SWEEP_MS
    if (this.#own !== undefined && now >= this.#own.renewAt) this.#renewOwn(this.#own, now)
    for (const tuple of this.#tuples.values()) this.#sweep(tuple, now)
  }

  // Outputs.

  /** What to do next; undefined when all is done. */
  pollEffect(): GossipEffect | undefined {
    return this.#effects.shift()
  }

  /** When to call handleTimeout(). */
  pollTimeout(): number {
    let at = this.#sweepAt
    for (const { pingAt } of this.#lines.values()) at = Math.min(at, pingAt)
    return at
  }

  /** Whether both sides of a connection understand leases; null where there is none, or no handshake so far. */
  leases(connection: number): boolean | null {
    return this.#lines.get(connection)?.leases ?? null
  }

  /** What we hold, and what we made of what we were told. */
  diagnostics(now: number): {
    readonly tuples: readonly TupleDiagnostics[]
    readonly told: Readonly<Record<GossipKind, number>>
    readonly last: Readonly<Partial<Record<GossipKind, HeardTuple>>>
  } {
    const last: Partial<Record<GossipKind, HeardTuple>> = {}
    for (const [kind, { at, ...heard }] of this.#last) {
      last[kind] = { ...heard, msAgo: Math.round(now - at) }
    }
    const tuples = [...this.#tuples.values()].map(({ uuid, endpoint, state, until }) => {
      return { uuid, endpoint, state, msLeft: Math.max(0, Math.round(until - now)) }
    })
    return { tuples, told: { ...this.#told }, last }
  }

  // Believing.

  #handleTuple(line: Line, message: GossipMessage & { type: 'publish' }, now: number): void {
    const text = message.key.toLowerCase()
    const uuid = isUuid(text) ? text : null
    const location = parseLocation(message.value)
    const isTuple = uuid !== null && location !== undefined
    const kind = isTuple ? this.#judge(line, { ...message, ...location, uuid }, now) : 'noise'
    if (kind === undefined) return
    this.#told[kind]++
    this.#last.set(kind, { address: line.address, uuid, reason: REASONS[kind], at: now })
  }

  /** @returns what became of it; undefined when its connection is closed for it. */
  #judge(line: Line, told: Told, now: number): GossipKind | undefined {
    const { uuid, value } = told
    if (uuid === this.#options.uuid) {
      if (this.#own === undefined || value === this.#own.value) return 'known'
      // Who has leased that for long would be believed for as long.
      const leaseMs = Math.min(LEASE_MAX_MS, Math.max(this.#options.ttlMs, told.ttlMs + CORRECT_MS))
      if (this.#mayCorrect(line, now)) this.#tellOwn(line, leaseMs)
      return 'impostor'
    }
    const leaseMs = line.leases ? Math.min(told.ttlMs, LEASE_MAX_MS) : 0
    const known = this.#tuples.get(uuid)
    if (known?.value === value) {
      if (leaseMs === 0) return known.state === 'gone' ? 'gone' : 'known'
      this.#prolong(known, { line, leaseMs, now })
      return 'known'
    }
    // Of two values the one whose lease ends later is taken, and hearsay only in the place of hearsay (gossip.md 4.5).
    if (known?.state === 'leased' && known.until >= now + leaseMs) {
      if (!line.leases && this.#mayCorrect(line, now)) this.#tellOne(line, known, now)
      return 'outdated'
    }
    return this.#spend(line, { cost: 1, now })
      ? this.#learn(line, told, { leaseMs, now })
      : undefined
  }

  /** What we hold is leased for longer, perhaps. */
  #prolong(
    tuple: Tuple,
    { line, leaseMs, now }: { readonly line: Line; readonly leaseMs: number; readonly now: number },
  ): void {
    const wasGone = tuple.state === 'gone'
    const leftMs = tuple.state === 'leased' ? tuple.until - now : 0
    if (leaseMs <= leftMs) return
    tuple.state = 'leased'
    tuple.until = now + leaseMs
    // Less is an echo, which would go round in circles (gossip.md 4.4).
    if (leaseMs - leftMs >= leaseMs / 4) this.#tell(tuple, { now, toAll: wasGone, except: line })
    if (wasGone) this.#announce(tuple, true)
  }

  #learn(
    line: Line,
    { uuid, key, value, endpoint, publicKey }: Told,
    { leaseMs, now }: { readonly leaseMs: number; readonly now: number },
  ): GossipKind {
    const { ttlMs } = this.#options
    this.#places.free(uuid)
    const evicted = this.#places.take(uuid, line.address)
    if (evicted !== undefined) this.#tuples.delete(evicted)
    if (evicted === uuid) return 'full'
    const there = reachable(endpoint, line.address)
    const isReachable = publicEndpoint(there) === endpoint
    const isLeased = leaseMs > 0
    const tuple: Tuple = {
      uuid,
      key,
      value,
      endpoint: isReachable ? there : endpoint,
      publicKey,
      dialable: isReachable && publicKey === undefined,
      state: isLeased ? 'leased' : 'hearsay',
      until: now + (isLeased ? leaseMs : ttlMs),
      goneAt: NEVER,
      retryMs: ttlMs,
    }
    this.#tuples.set(uuid, tuple)
    this.#tell(tuple, { now, toAll: true, except: line })
    this.#announce(tuple, true)
    if (publicKey !== undefined) return 'secure'
    return isReachable ? 'told' : 'unreachable'
  }

  /** @returns false when it has told too much, and is closed (gossip.md 6.2). */
  #spend(line: Line, { cost, now }: { readonly cost: number; readonly now: number }): boolean {
    const { tuplesMax } = this.#options
    const earned = ((now - line.creditAt) / 1_000) * (tuplesMax / 100)
    line.credit = Math.min(tuplesMax, line.credit + earned) - cost
    line.creditAt = now
    if (line.credit >= 0) return true
    this.#close(line, 'it says too much that is news, or HELLO too often')
    return false
  }

  #sweep(tuple: Tuple, now: number): void {
    if (tuple.state !== 'gone') {
      if (now >= tuple.until) this.#bury(tuple, now)
      else this.#announce(tuple, false)
    } else if (now - tuple.goneAt >= GONE_MAX_MS) {
      this.#tuples.delete(tuple.uuid)
      this.#places.free(tuple.uuid)
    } else if (now >= tuple.until) {
      tuple.retryMs = Math.min(RETRY_MAX_MS, 2 * tuple.retryMs)
      tuple.until = now + tuple.retryMs
      this.#announce(tuple, true)
    } else {
      const { uuid, endpoint } = tuple
      this.#effects.push({ type: 'ask', uuid, endpoint, isNews: false })
    }
  }

  #bury(tuple: Tuple, now: number): void {
    tuple.state = 'gone'
    tuple.goneAt = now
    tuple.retryMs = this.#options.ttlMs
    tuple.until = now + tuple.retryMs
  }

  #announce({ uuid, endpoint, dialable }: Tuple, isNews: boolean): void {
    // Who cannot be dialled may enter all the same, by dialling us.
    this.#effects.push({ type: dialable ? 'alive' : 'ask', uuid, endpoint, isNews })
  }

  // Telling.

  #greet(line: Line, now: number): void {
    line.greeted = true
    line.invalid = false
    this.#send(line, { type: 'hello' })
    this.#tellAll(line, now)
    line.pingAt = now + pingMs(line)
  }

  #ask(line: Line, now: number): void {
    if (now - line.askedAt >= ANSWER_MS) {
      this.#close(line, 'the hub does not answer')
    } else if (line.invalid) {
      this.#greet(line, now)
    } else {
      if (line.askedAt === NEVER) line.askedAt = now
      // czmq answers PING to whom it has forgotten, too; to this it says INVALID then, and nothing otherwise.
      const isProbe = !line.leases && ++line.pingCount % PROBE_EACH === 0
      if (isProbe) this.#tellOwn(line)
      this.#send(line, { type: 'ping' })
      line.pingAt = now + pingMs(line)
    }
  }

  #renewOwn(own: { renewAt: number }, now: number): void {
    own.renewAt = now + this.#options.ttlMs / 3
    for (const line of this.#lines.values()) {
      if (line.greeted && line.leases) this.#tellOwn(line)
    }
  }

  #tellAll(line: Line, now: number): void {
    this.#tellOwn(line)
    for (const tuple of this.#tuples.values()) {
      if (tuple.state !== 'gone') this.#tellOne(line, tuple, now)
    }
  }

  /** @param scope `toAll`: also those that know no leases; `except`: who told it. */
  #tell(
    tuple: Tuple,
    {
      now,
      toAll,
      except,
    }: { readonly now: number; readonly toAll: boolean; readonly except?: Line },
  ): void {
    for (const line of this.#lines.values()) {
      if (line !== except && line.greeted && (toAll || line.leases)) this.#tellOne(line, tuple, now)
    }
  }

  #tellOne(line: Line, tuple: Tuple, now: number): void {
    this.#publish(line, tuple, tuple.state === 'leased' ? tuple.until - now : 0)
  }

  /** Tells one where we are, if we have said so. */
  #tellOwn(line: Line, leaseMs = this.#options.ttlMs): void {
    if (this.#own !== undefined) this.#publish(line, this.#own, leaseMs)
  }

  #publish(
    line: Line,
    { key, value }: { readonly key: string; readonly value: string },
    leftMs: number,
  ): void {
    const ttlMs = line.leases ? Math.max(0, Math.floor(leftMs)) : 0
    this.#send(line, { type: 'publish', key, value, ttlMs })
  }

  /** Whether somebody who is wrong may be told so: not again and again. */
  #mayCorrect(line: Line, now: number): boolean {
    if (now - line.correctedAt < CORRECT_MS) return false
    line.correctedAt = now
    return true
  }

  #send({ connection }: Line, message: GossipMessage): void {
    this.#effects.push({ type: 'send', connection, message })
  }

  #close({ connection }: Line, reason: string): void {
    this.#lines.delete(connection)
    this.#effects.push({ type: 'close', connection, reason })
  }
}

const REASONS: Readonly<Record<GossipKind, string | null>> = {
  told: null,
  known: null,
  impostor: 'it has our uuid, and another endpoint',
  outdated: 'somebody who knows has leased another endpoint',
  gone: 'its node is gone, and nobody who knows says otherwise',
  unreachable: 'its endpoint has a host name, or an address that is not reached from here',
  secure: 'it talks CURVE, which we do not',
  full: 'there is no room for more tuples',
  noise: 'its key is no uuid, or its value is not tcp://host:port',
}

function pingMs({ leases }: Contact): number {
  return leases ? PING_LYRE_MS : PING_CZMQ_MS
}
