// The heart: one node's view of its peers and groups. It hears who was discovered, what became of connections and what
// came over them, and answers with effects: dial, write, hold, close, tell the application. Whoever carries them out has no
// opinion of its own. It has no clock, no randomness and no socket: the same inputs give the same effects.
// Past 600 lines because a peer's whole life, from discovered to gone, is one machine.
// Spec: harmony.md, after 36/ZRE and the Harmony pattern of the ZeroMQ guide, chapter 8.

import { isAddress, isLoopback } from './addresses.ts'
import type { Uuid } from './bytes.ts'
import { Dials } from './dials.ts'
import {
  formatEndpoint,
  type Home,
  helloEndpoint,
  homeFor,
  parseEndpoint,
  reachable,
} from './endpoints.ts'
import { createTally, type Letter, Mailbox, type MailboxLimits, type Tally } from './mailbox.ts'
import {
  type ConnectionId,
  diagnose,
  type ExitCause,
  type Peer,
  type PeerDiagnostics,
  PeerRecord,
  type PeerState,
  type Source,
} from './peers.ts'
import { Places } from './places.ts'
import { Queue } from './queue.ts'
import type { SeedOutcome } from './seeds.ts'
import {
  type Frames,
  type Headers,
  type Hello,
  ID_HEADER,
  INCARNATION_HEADER,
  type ZreMessage,
} from './zre.ts'

/** Settings of a Harmony; durations in milliseconds, evasive < silent < expired. */
export interface HarmonyOptions {
  readonly uuid: Uuid
  readonly name: string
  readonly headers: Headers
  readonly evasiveTimeoutMs: number
  readonly silentTimeoutMs: number
  readonly expiredTimeoutMs: number
  readonly limits: HarmonyLimits
  /** What becomes of SHOUTs to a group when the mailbox of one of its peers is half full; the peer goes when it is full. */
  readonly overflow: ReadonlyMap<string, OverflowPolicy>
}

/** Which message to leave out where there is no room: the one that comes, or the oldest of the same group. */
export type OverflowPolicy = 'drop-newest' | 'drop-oldest'

/** What a stranger, or a peer that does not read, can make grow (harmony.md 7). */
export interface HarmonyLimits extends MailboxLimits {
  /** Octets that may wait in all mailboxes together; what waits in several counts once. */
  readonly queueTotalBytesMax: number
  /** Peers that we know of, entered or not. */
  readonly peersMax: number
  /** Groups that one peer can be in, and those of all entered peers together, each counted once for each peer in it. */
  readonly peerGroupsMax: number
  readonly peerGroupsTotalMax: number
  /** Dials in flight to peers whose HELLO has not come, and as many again to those whose HELLO has. */
  readonly dialsMax: number
  /** Accepted connections whose HELLO has not come. */
  readonly arrivalsMax: number
}

/** The limits of a node that is told nothing else. */
export const HARMONY_LIMITS: HarmonyLimits = {
  peersMax: 1_024,
  peerGroupsMax: 1_024,
  peerGroupsTotalMax: 131_072,
  dialsMax: 32,
  arrivalsMax: 1_024,
  queueBytesMax: 33_554_432,
  queueMessagesMax: 131_072,
  queueTotalBytesMax: 268_435_456,
}

/**
 * What became of a connection. `uuid` is the identity that the other side named, where it did; `answers`, whether its ZMTP
 * answers a PING; `sequence`, of an accepted one, after which message its peer means to go on.
 */
export type LinkChange =
  | {
      readonly type: 'up'
      readonly uuid: Uuid | undefined
      readonly address: string
      readonly answers: boolean
      readonly sequence: number | undefined
    }
  | { readonly type: 'lost'; readonly reason: string }
  | { readonly type: 'refused'; readonly reason: string }
  | { readonly type: 'measured'; readonly roundTripMs: number }

/** What the application is told of its peers. */
export type PeerEvent =
  | { readonly type: 'enter'; readonly peer: Peer }
  | {
      readonly type: 'exit'
      readonly peer: Peer
      readonly cause: ExitCause
      /** Messages of ours to it that it may not have got, and that are not sent again (harmony.md 5.9). */
      readonly lost: number
    }
  | { readonly type: 'join' | 'leave'; readonly peer: Peer; readonly group: string }
  | { readonly type: 'whisper'; readonly peer: Peer; readonly content: Frames }
  | {
      readonly type: 'shout'
      readonly peer: Peer
      readonly group: string
      readonly content: Frames
    }
  | { readonly type: 'evasive' | 'silent'; readonly peer: Peer }

/** What a developer may want to know; as data, for `options.trace`. */
export interface Trace {
  readonly type: string
  readonly uuid?: Uuid
  readonly endpoint?: string
  readonly reason?: string
}

/**
 * What to do, in order. `write`: there is something in the mailbox, soon. `dial` with a sequence: the other side
 * is to be told in the handshake that we go on after that message. What the application is told is an effect as it is.
 */
export type Effect =
  | {
      readonly type: 'dial'
      readonly connection: ConnectionId
      readonly endpoint: string
      readonly sequence: number | undefined
    }
  | { readonly type: 'write' | 'hold' | 'resume' | 'measure'; readonly connection: ConnectionId }
  | { readonly type: 'close'; readonly connection: ConnectionId; readonly reason: string }
  | PeerEvent
  | ({ readonly type: 'seed' } & SeedOutcome)
  | { readonly type: 'trace'; readonly trace: Trace }

/** An accepted connection whose peer is not known yet, or waits for its turn. */
interface Arrival {
  readonly connection: ConnectionId
  readonly uuid: Uuid
  readonly address: string
  deadline: number
  ignoredCount: number
  /** Set while it waits for the connection that its peer has to fail. */
  claim: Claim | undefined
}

/** What an accepted connection says to be: a new beginning of its peer, or the rest of a link of it that broke. */
type Claim =
  | { readonly type: 'hello'; readonly hello: Hello }
  | { readonly type: 'rest'; readonly message: ZreMessage | undefined }

/** Deadlines of peers are looked at this often, not timed one by one (harmony.md 4.6). */
const SWEEP_INTERVAL_MS = 1_000
/** A quiet peer is pinged from this part of the evasive timeout on, and at least once before all of it (harmony.md 4.5). */
const PING_SHARE = 0.6
/** What an accepted connection may take for its HELLO, and what it may send before (harmony.md 2.2). */
const HELLO_TIMEOUT_MS = 5_000
const IGNORED_MAX = 64
/** What a peer may take to prove that it is alive, so that a goodbye is an exit within 2 s (harmony.md 5.3). */
const PROBE_TIMEOUT_MS = 1_500
/** What a closed link may take to give us the octets that were still on their way (harmony.md 5.2). */
const DRAIN_TIMEOUT_MS = 250
/** What a dial may take to the end of its handshake on a busy machine (harmony.md 6.3). */
const DIAL_TIMEOUT_MS = 15_000
/** What a link that broke may take to come back as if nothing had been (harmony.md 5.7). */
const RETURN_TIMEOUT_MS = 5_000
/** How soon after it was written the other side is asked whether it has read it (harmony.md 5.8). */
const CONFIRM_INTERVAL_MS = 100
/** A peer that is heard at other endpoints so often, and nowhere else for so long, is asked; then not for so many beacons. */
const ELSEWHERE_COUNT = 3
const ELSEWHERE_MS = 2_500
const ELSEWHERE_REST_COUNT = 27
const BURST_MS = 100
/** A dial that takes so long is begun anew when the peer's HELLO comes. */
const UNANSWERED_MS = 1_000
/** What a peer whose HELLO is here waits for our dial at most; and so many times that if it will have dialled us anew by then. */
const GREETED_WAIT_MS = 100
const CROSSED_WAITS = 4
/** A link that lived this long was a good one: its next loss begins with the shortest back-off again. */
const STABLE_MS = 10_000
const NO_HELLO = 'our link to it is up, but its HELLO never came: can it reach our inbox?'
const NEVER = Number.POSITIVE_INFINITY
/** What a frame of a message that waits takes beside its octets, about. */
const FRAME_COST_BYTES = 256
/** More than any message, so that who has more than one waiting comes before who has one. */
const ANY_BYTES = 2 ** 48
/** A group's own policy keeps to this share of the room, so that there is always some for everything else. */
const POLICY_SHARE = 0.5
/** The causes after which a peer may come back to what never left: the others drop it. */
const KEEPING: ReadonlySet<ExitCause> = new Set(['link', 'restart', 'sequence', 'stop'])

/** One node's view of its peers and groups. */
export class Harmony {
  readonly #options: HarmonyOptions
  readonly #peers = new Map<Uuid, PeerRecord>()
  /** How many of them have entered: who waits for some asks at each event. */
  #presentCount = 0
  readonly #connections = new Map<ConnectionId, PeerRecord | Arrival>()
  /** Entered peers by group; a group without peers has no entry. */
  readonly #groups = new Map<string, Set<PeerRecord>>()
  #membershipCount = 0
  /** Peers by the endpoint where our link to them is or will be: one each, as an inbox keeps one link of ours. */
  readonly #endpoints = new Map<string, PeerRecord>()
  readonly #ownGroups = new Set<string>()
  readonly #counters = new Map<string, number>()
  #ownStatus = 0
  #endpoint: string | undefined
  #homes: readonly Home[] = []
  #headers: Headers
  #connectionCount = 0
  readonly #dials: Dials
  readonly #arrivals: Places<ConnectionId>
  readonly #tally = createTally()
  /** Peers that never said HELLO, and those that never entered and were dialled in vain; the oldest first. */
  readonly #strangers = new Places<PeerRecord>(NEVER)
  readonly #unreached = new Set<PeerRecord>()
  /** Peers to which something was written since their ZMTP was last asked what it has read. */
  readonly #unasked = new Set<PeerRecord>()
  #askAt = NEVER
  /** Peers that have to prove something: few, and timed to the millisecond. */
  readonly #probed = new Set<PeerRecord>()
  #sweepAt = NEVER
  #wakeAt = NEVER
  readonly #effects = new Queue<Effect>()

  constructor(options: HarmonyOptions) {
    this.#options = options
    this.#headers = options.headers
    this.#dials = new Dials({ uuid: options.uuid, dialsMax: options.limits.dialsMax })
    this.#arrivals = new Places(options.limits.arrivalsMax)
  }

  /**
   * From now on we can be dialled at `endpoint`, and from some networks at one of our other homes; and dial others.
   * @param headers where they are not those of the options any more.
   */
  start(endpoint: string, homes: readonly Home[] = [], headers = this.#headers): void {
    this.#headers = headers
    this.#connections.clear()
    this.#endpoint = endpoint
    this.#homes = homes
  }

  /**
   * We can be dialled elsewhere from now on: who is greeted next, is told so, and so is anew who was greeted and has not
   * entered, since it may dial us where we were (harmony.md 2.11). Others hear it by our beacons.
   */
  move(endpoint: string, homes: readonly Home[], now: number): void {
    const before = [...this.#peers.values()].map((peer) => this.#homeFor(peer))
    this.#endpoint = endpoint
    this.#homes = homes
    for (const [index, peer] of [...this.#peers.values()].entries()) {
      if (peer.state !== 'greeted' || this.#homeFor(peer) === before[index]) continue
      this.#takeBack(peer, 'it was told where we are not any more')
      this.#wait(peer, this.#dials.soonest(peer, now))
    }
  }

  /**
   * We slept, however short that was by our clock: what was under way may lead nowhere by now. Who is there is asked, and
   * whoever waits to be dialled is dialled (harmony.md 4.10).
   */
  handleWake(now: number): void {
    this.#excuse(now)
    for (const peer of this.#peers.values()) {
      if (peer.link === 'up' && !peer.answers) this.#ping(peer, now)
      else if (peer.link === 'up') this.#measure(peer)
      else if (peer.link === 'dialling') {
        this.#closeOutbound(peer, 'we slept, and what TCP sends again comes late')
        if (!peer.present) peer.state = 'discovered'
        this.#wait(peer, this.#dials.soonest(peer, now))
      } else if (peer.link === 'down') {
        this.#dials.hurry(peer, now)
        this.#wake(peer.dialAt)
      }
    }
  }

  /**
   * Says GOODBYE to everybody and forgets all peers, not our groups. The caller writes what mailboxes still give, then
   * closes all connections and calls finish().
   */
  stop(): void {
    this.#endpoint = undefined
    // Nobody hears what others say from now on, so no PONG may tell them that it was read (harmony.md 6.5).
    for (const connection of this.#connections.keys()) {
      if (connection < 0) this.#effects.push({ type: 'hold', connection })
    }
    this.#connections.clear()
    for (const peer of this.#peers.values()) {
      if (peer.link === 'up') {
        // Who has not said who it is gets none of what waits.
        if (!peer.present) peer.mailbox.clear()
        peer.mailbox.push({ type: 'goodbye', bytes: 0, holders: 0 })
        this.#connections.set(peer.outbound, peer)
        this.#effects.push({ type: 'write', connection: peer.outbound })
      } else {
        this.#abandon(peer)
      }
      if (peer.present) this.#leave(peer, 'stop')
    }
    this.#peers.clear()
    this.#endpoints.clear()
    this.#probed.clear()
    this.#strangers.clear()
    this.#unreached.clear()
    this.#unasked.clear()
    this.#arrivals.clear()
    this.#dials.clear()
    this.#sweepAt = NEVER
    this.#askAt = NEVER
    this.#wakeAt = NEVER
  }

  /** All connections are closed after a stop(): what did not leave is lost. */
  finish(): void {
    for (const owner of this.#connections.values()) {
      if (owner instanceof PeerRecord) this.#abandon(owner)
    }
    this.#connections.clear()
  }

  // Inputs: what happened.

  /** Somebody says that a node is at an endpoint. A beacon is also a sign of life. */
  handleDiscovered(
    node: { readonly uuid: Uuid; readonly endpoint: string; readonly source: Source },
    now: number,
  ): void {
    if (this.#endpoint === undefined || node.uuid === this.#options.uuid) return
    const peer = this.#peers.get(node.uuid)
    if (peer === undefined) {
      this.#create(node, now)
    } else if (peer.isKnownAt(node.endpoint)) {
      // Who tells it by gossip has perhaps not heard of it for long (gossip.md 5.2).
      if (node.source === 'gossip') return
      if (this.#isElsewhere(peer, node.endpoint, now)) {
        this.#handleMoved(peer, node.endpoint, now)
        return
      }
      peer.beaconAt = now
      this.#revive(peer, now)
      if (peer.link === 'dialling' && peer.inbound !== 0 && node.endpoint !== peer.endpoint) {
        if (!peer.present) this.#comeAfter(peer, node.endpoint, now)
      }
      if (peer.failureCount === 0) return
      this.#dials.hurry(peer, now)
      this.#wake(peer.dialAt)
    } else {
      this.#handleMoved(peer, node.endpoint, now)
    }
  }

  /** A seed is to be dialled: nothing is known of its node but where it is. What comes of it is told by a `seed`. */
  handleSeed(endpoint: string, now: number): void {
    if (this.#endpoint === undefined || this.#peers.has(endpoint)) return
    const isOurs = [this.#endpoint, ...this.#homes.map((home) => home.endpoint)].includes(endpoint)
    if (!isOurs && this.#create({ uuid: endpoint, endpoint, source: 'seed' }, now)) return
    const uuid = isOurs ? this.#options.uuid : undefined
    const reason = 'we know too many peers'
    this.#effects.push({ type: 'seed', endpoint, uuid, greeted: false, reason })
  }

  /** A node's beacon says goodbye: a hint, since anybody can send it (harmony.md 5.3). */
  handleGoodbyeHint(uuid: Uuid, now: number): void {
    const peer = this.#peers.get(uuid)
    if (peer === undefined) return
    if (peer.present) this.#probe(peer, { cause: 'goodbye', now })
    // What waits for one that is coming back is not given up for a datagram.
    else if (peer.inbound === 0 && peer.mailbox.waiting.messages === 0) {
      this.#forget(peer, 'said goodbye')
    }
  }

  /** Something became of a connection. */
  handleLink(connection: ConnectionId, change: LinkChange, now: number): void {
    if (this.#endpoint === undefined) {
      if (change.type === 'up' && connection < 0) this.#close(connection, 'we stop')
      return
    }
    const owner = this.#connections.get(connection)
    if (change.type === 'up') {
      if (connection < 0) this.#handleArrival(connection, change, now)
      else if (owner instanceof PeerRecord) this.#handleReached(owner, change, now)
      return
    }
    if (owner === undefined) {
      if (change.type === 'refused') this.#trace({ type: 'refused', reason: change.reason })
      return
    }
    if (change.type === 'measured') {
      if (owner instanceof PeerRecord && connection === owner.outbound) {
        this.#handleMeasured(owner, change.roundTripMs, now)
      }
    } else if (!(owner instanceof PeerRecord)) {
      this.#count(`arrival-${change.type}`)
      this.#trace({ type: 'arrival-ended', uuid: owner.uuid, reason: change.reason })
      this.#endArrival(owner)
    } else {
      this.#connections.delete(connection)
      if (connection === owner.outbound) this.#handleOutboundLost(owner, change, now)
      else this.#handleInboundLost(owner, change, now)
    }
  }

  /** Octets came over a connection, not yet a whole message perhaps: they are life. */
  handleActivity(connection: ConnectionId, now: number): void {
    const peer = this.#connections.get(connection)
    if (!(peer instanceof PeerRecord) || connection !== peer.inbound) return
    peer.heardAt = now
    this.#revive(peer, now)
  }

  /** A whole message came over a connection. */
  handleMessage(connection: ConnectionId, message: ZreMessage, now: number): void {
    const owner = this.#connections.get(connection)
    if (owner === undefined) return
    if (!(owner instanceof PeerRecord)) this.#handleStranger(owner, message, now)
    else if (connection === owner.inbound) this.#handlePeer(owner, message, now)
    else this.#count('message-from-inbox') // A ROUTER has nothing to say in ZRE.
  }

  #handlePeer(peer: PeerRecord, message: ZreMessage, now: number): void {
    peer.heardAt = now
    this.#revive(peer, now)
    if (message.type === 'hello') this.#handleRestart(peer, message, now)
    else if (this.#inSequence(peer, message)) this.#handleCommand(peer, message, now)
    else this.#dropOutOfSequence(peer, message.sequence, now)
  }

  /** All was written to a connection that could be, if anything was. */
  handleWritten(connection: ConnectionId, now: number): void {
    const peer = this.#connections.get(connection)
    if (!(peer instanceof PeerRecord) || this.#endpoint === undefined) return
    // A greeting was written too, by a link that is not up yet and answers nothing.
    if (connection !== peer.outbound || peer.link !== 'up' || peer.mailbox.settled) return
    this.#askLater(peer, now)
  }

  /** The time has come for something; early, and nothing happens. */
  handleTimeout(now: number): void {
    if (now < this.#wakeAt) return
    if (now >= this.#sweepAt) this.#sweep(now)
    if (this.#probed.size > 0) {
      for (const peer of [...this.#probed]) if (now >= peer.probeAt) this.#judge(peer, now)
    }
    // One after the other, since a dial can make place for somebody who came before.
    for (let peer = this.#dials.due(now); peer; peer = this.#dials.due(now)) this.#dial(peer, now)
    if (now >= this.#askAt) this.#askAll()
    this.#wakeAt = Math.min(this.#sweepAt, this.#askAt, this.#dials.pollTimeout())
    for (const peer of this.#probed) this.#wakeAt = Math.min(this.#wakeAt, peer.probeAt)
  }

  // Commands: what our application wants.

  /** @returns false when we are in the group already. `group` has at most 255 octets of UTF-8. */
  join(group: string, now: number): boolean {
    if (this.#ownGroups.has(group)) return false
    this.#ownGroups.add(group)
    this.#tellStatus('join', { group, now })
    return true
  }

  /** @returns false when we are not in the group. */
  leave(group: string, now: number): boolean {
    if (!this.#ownGroups.delete(group)) return false
    this.#tellStatus('leave', { group, now })
    return true
  }

  /** @returns to how many peers it was queued: 1, or 0 if there is no such peer, or no room in its mailbox. */
  whisper(uuid: Uuid, content: Frames, now: number): number {
    const peer = this.#peers.get(uuid)
    if (peer === undefined || !peer.present) return 0
    const letter: Letter = { type: 'whisper', content, bytes: sizeOf(content), holders: 0 }
    return this.#post(peer, letter, now)
  }

  /** @returns to how many peers it was queued; we need not be in the group ourselves. */
  shout(group: string, content: Frames, now: number): number {
    const peers = this.#groups.get(group)
    if (peers === undefined) return 0
    const letter: Letter = { type: 'shout', group, content, bytes: sizeOf(content), holders: 0 }
    const policy = this.#options.overflow.get(group)
    let count = 0
    for (const peer of peers) {
      if (policy === undefined || this.#makeRoom(peer, { group, policy })) {
        count += this.#post(peer, letter, now)
      }
    }
    return count
  }

  // Questions.

  /** Whether we are in the group. */
  isIn(group: string): boolean {
    return this.#ownGroups.has(group)
  }

  /** How many groups we are in. */
  get ownGroupCount(): number {
    return this.#ownGroups.size
  }

  /** Our groups, in the order we joined them. */
  ownGroups(): string[] {
    return [...this.#ownGroups]
  }

  /** The groups that entered peers are in. */
  peerGroups(): string[] {
    return [...this.#groups.keys()]
  }

  /** An entered peer. */
  peer(uuid: Uuid): Peer | undefined {
    const peer = this.#peers.get(uuid)
    return peer?.present ? peer.view() : undefined
  }

  /**
   * Addresses at which an entered peer is for certain, the best one first: where our link to it leads, if it was told there
   * who it is, and that from which its own came (log.md 5.7).
   */
  addresses(uuid: Uuid): string[] {
    const peer = this.#peers.get(uuid)
    if (!peer?.present) return []
    const { host } = parseEndpoint(peer.endpoint) as { readonly host: string }
    const reached = peer.named && isAddress(host) ? [host] : []
    return [...reached, peer.teller].filter((address) => address !== '')
  }

  /** How long nothing has come from an entered peer; Infinity where it has not entered. */
  quietMs(uuid: Uuid, now: number): number {
    const peer = this.#peers.get(uuid)
    return peer?.present ? this.#quietMs(peer, now) : NEVER
  }

  /** The entered peers, of one group or all, in the order they became known or joined. */
  peers(group?: string): Peer[] {
    const peers = group === undefined ? this.#peers.values() : (this.#groups.get(group) ?? [])
    const views: Peer[] = []
    for (const peer of peers) if (peer.present) views.push(peer.view())
    return views
  }

  /** How many entered peers there are, in one group or all. */
  peerCount(group?: string): number {
    return group === undefined ? this.#presentCount : (this.#groups.get(group)?.size ?? 0)
  }

  /** How many of them are evasive or silent. */
  quietCount(): number {
    let count = 0
    for (const peer of this.#peers.values()) {
      if (peer.present && peer.state !== 'entered') count++
    }
    return count
  }

  /** What became of all messages so far. */
  messages(): Tally {
    return { ...this.#tally }
  }

  /**
   * Whether so much waits for an entered peer, for one of a group, or for any, that its sender had better wait. Who is
   * evasive or silent holds nobody up.
   */
  congested(uuid: Uuid | undefined, group: string | undefined): boolean {
    if (uuid !== undefined) return isCongested(this.#peers.get(uuid))
    for (const peer of group === undefined
      ? this.#peers.values()
      : (this.#groups.get(group) ?? [])) {
      if (isCongested(peer)) return true
    }
    return false
  }

  /** All that is known of peers, entered or not; what is bound by a limit; how often what was refused or ignored. */
  diagnostics(now: number): {
    readonly peers: readonly PeerDiagnostics[]
    readonly connections: number
    readonly dials: number
    readonly arrivals: number
    readonly messages: Tally
    readonly counters: Readonly<Record<string, number>>
  } {
    return {
      peers: [...this.#peers.values()]
        .filter((peer) => !peer.nameless)
        .map((peer) => diagnose(peer, now)),
      connections: this.#connections.size,
      dials: this.#dials.count,
      arrivals: this.#arrivals.count,
      messages: this.messages(),
      counters: Object.fromEntries(this.#counters),
    }
  }

  /** Who is at the other end of a connection, as far as that is known. */
  uuidAt(connection: ConnectionId): Uuid | undefined {
    return this.#connections.get(connection)?.uuid
  }

  /** Up to which sequence the peer at a connection is known to have read what we wrote, and over which connection that was. */
  readTo(
    connection: ConnectionId,
  ): { readonly connection: ConnectionId; readonly sequence: number } | undefined {
    const peer = this.#connections.get(connection)
    if (!(peer instanceof PeerRecord) || peer.link !== 'up') return undefined
    return { connection: peer.outbound, sequence: peer.mailbox.readSequence }
  }

  // Outputs.

  /** Whether pollEffect() has nothing to give. */
  get idle(): boolean {
    return this.#effects.length === 0
  }

  /** What to do next; undefined when all is done. */
  pollEffect(): Effect | undefined {
    return this.#effects.shift()
  }

  /** What is to be written over a connection that we dialled; undefined where nothing may be. */
  mailbox(connection: ConnectionId): Mailbox | undefined {
    const peer = this.#connections.get(connection)
    if (!(peer instanceof PeerRecord) || connection !== peer.outbound || peer.link !== 'up') {
      return undefined
    }
    return peer.mailbox
  }

  /** When to call handleTimeout(); Infinity when there is nothing to wait for. */
  pollTimeout(): number {
    return this.#wakeAt
  }

  // Becoming known.

  #create(
    node: { readonly uuid: Uuid; readonly endpoint: string; readonly source: Source },
    now: number,
  ): PeerRecord | undefined {
    const teller = parseEndpoint(node.endpoint)?.host ?? ''
    const isFull = this.#peers.size >= this.#options.limits.peersMax
    if (isFull && !this.#makePlace(node.source, teller)) {
      this.#count('peers-limit')
      return undefined
    }
    const mailbox = new Mailbox(this.#tally, this.#options.limits)
    const peer = new PeerRecord(node, mailbox, now)
    peer.toldFrom(teller)
    this.#peers.set(node.uuid, peer)
    if (isHearsay(node.source)) this.#strangers.take(peer, peer.teller)
    this.#watchFrom(now)
    this.#dials.waitFirst(peer, now)
    this.#wake(peer.dialAt)
    this.#trace({
      type: 'discovered',
      uuid: node.uuid,
      endpoint: node.endpoint,
      reason: node.source,
    })
    return peer
  }

  /** Anybody can invent a node: one that never entered makes place for others (harmony.md 7.1). */
  #makePlace(source: Source, teller: string): boolean {
    const rival = this.#strangers.rival(teller)
    const [unreached] = this.#unreached
    const evicted = rival ?? unreached ?? (isHearsay(source) ? undefined : this.#strangers.oldest())
    if (evicted === undefined) return false
    this.#count('stranger-evicted')
    this.#forget(evicted, 'others need its place, and it never entered')
    return true
  }

  #wait(peer: PeerRecord, dialAt: number): void {
    this.#dials.wait(peer, dialAt)
    this.#wake(dialAt)
  }

  #waitLonger(peer: PeerRecord, now: number): void {
    this.#dials.waitLonger(peer, now)
    this.#wake(peer.dialAt)
  }

  #dial(peer: PeerRecord, now: number): void {
    const owner = this.#endpoints.get(peer.endpoint)
    if (owner !== undefined && !this.#gaveWay(owner, peer, now)) {
      if (!peer.nameless) this.#waitForEndpoint(peer, { owner, now })
      else if (owner.present) this.#forget(peer, 'its node is a peer', owner.uuid)
      else this.#forget(peer, 'another node is dialled there')
      return
    }
    const until = this.#dials.desertedUntil(peer)
    if (now < until && !peer.nameless && !peer.present) {
      this.#wait(peer, until)
      return
    }
    const late = this.#dials.begin(peer, now)
    if (late !== undefined) {
      const reason = 'its inbox did not answer, and others wait to be dialled'
      this.#closeOutbound(late, reason)
      this.#handleFailedDial(late, reason, now)
    }
    peer.link = 'dialling'
    if (!peer.present) peer.state = 'dialling'
    peer.outbound = ++this.#connectionCount
    this.#connections.set(peer.outbound, peer)
    this.#endpoints.set(peer.endpoint, peer)
    const { outbound: connection, endpoint, uuid } = peer
    const sequence = peer.present ? peer.mailbox.sequence : undefined
    this.#effects.push({ type: 'dial', connection, endpoint, sequence })
    this.#trace({ type: 'dial', uuid, endpoint })
  }

  /**
   * One that never entered is hearsay beside a peer whose HELLO came from the endpoint's own host, and one whose dial nobody
   * answers is not there any more, whatever it said before (harmony.md 2.10).
   */
  #gaveWay(owner: PeerRecord, peer: PeerRecord, now: number): boolean {
    const isAtHome = peer.inbound !== 0 && peer.teller === parseEndpoint(peer.endpoint)?.host
    const isHearsay = !owner.met && owner.inbound === 0
    if (!isAtHome || owner.present || !(isHearsay || this.#isUnanswered(owner, now))) return false
    const reason = 'another peer says HELLO from its endpoint'
    this.#closeOutbound(owner, reason)
    this.#handleFailedDial(owner, reason, now)
    return true
  }

  /** Whether nobody has answered its dial for so long that it is most likely not there. */
  #isUnanswered({ link, dialledAt }: PeerRecord, now: number): boolean {
    return link === 'dialling' && now - dialledAt >= UNANSWERED_MS
  }

  /** A second link of ours would end the first one in that inbox, so its owner is asked before (harmony.md 2.10). */
  #waitForEndpoint(
    peer: PeerRecord,
    { owner, now }: { readonly owner: PeerRecord; readonly now: number },
  ): void {
    this.#count('endpoint-taken')
    this.#markUnreachable(peer, 'another peer is at its endpoint')
    peer.swapEndpoints()
    // One that nobody has told of since the owner entered is what was there before, and of which nobody has since the owner
    // spoke, is not there: no reason to doubt the owner.
    const isNews = peer.inbound !== 0 || peer.beaconAt >= Math.max(owner.sinceAt, owner.heardAt)
    if (isNews || !owner.present) this.#probe(owner, { cause: 'expired', now })
    if (owner.probeAt === NEVER) this.#waitLonger(peer, now)
    else this.#wait(peer, owner.probeAt)
  }

  #endDial(peer: PeerRecord): void {
    // Who waits for a place has its turn at the next timeout, which is now.
    if (this.#dials.end(peer)) this.#wake(0)
  }

  /** We are connected, to it or to whoever has its port now. */
  #handleReached(peer: PeerRecord, change: LinkChange & { type: 'up' }, now: number): void {
    if (peer.link !== 'dialling') return
    const { uuid, answers } = change
    if (peer.nameless && uuid !== undefined && !this.#identify(peer, uuid, now)) return
    if (uuid !== peer.uuid && (uuid !== undefined || peer.named)) {
      // The port has a new owner, who must not get what is meant for the old one.
      const reason = 'another node is at its endpoint'
      this.#count('wrong-owner')
      this.#closeOutbound(peer, reason)
      this.#handleFailedDial(peer, reason, now)
      return
    }
    this.#endDial(peer)
    peer.named = uuid !== undefined
    peer.answers = answers
    if (!peer.present) {
      this.#greet(peer, now)
      return
    }
    peer.link = 'asking'
    // It closes a link that it cannot go on with before it answers this (harmony.md 5.7).
    if (answers) this.#measure(peer)
    else this.#drop(peer, { cause: 'link', reason: 'it does not answer PING any more', now })
  }

  /** HELLO goes first (harmony.md 2.1). */
  #greet(peer: PeerRecord, now: number): void {
    peer.link = 'up'
    peer.state = 'greeted'
    peer.greetedAt = now
    peer.excused = false
    peer.epoch++
    peer.mailbox.begin({
      type: 'hello',
      endpoint: this.#homeFor(peer),
      groups: [...this.#ownGroups],
      status: this.#ownStatus,
      name: this.#options.name,
      headers: this.#headers,
    })
    this.#effects.push({ type: 'write', connection: peer.outbound })
    if (peer.inbound !== 0) this.#enter(peer, now)
    else if (peer.nameless) this.#expect(peer, { cause: 'link', deadline: now + HELLO_TIMEOUT_MS })
  }

  /**
   * A seed says who it is: its link, and the HELLO on it, are that peer's from now on (harmony.md 8.2).
   * @returns false when that is we ourselves, or a peer between whom and us there is more: the seed's link is closed, and a
   * peer that we have not reached is dialled there.
   */
  #identify(seed: PeerRecord, uuid: Uuid, now: number): boolean {
    const { endpoint } = seed
    const peer = this.#peers.get(uuid)
    const isReached = peer !== undefined && (peer.present || peer.link === 'up')
    const isHeard = peer !== undefined && (peer.inbound !== 0 || peer.mailbox.waiting.messages > 0)
    if (uuid === this.#options.uuid || isReached || isHeard) {
      this.#forget(seed, 'its node is known already', uuid)
      if (isHeard && !isReached) {
        this.#takeBack(peer, 'it is reached elsewhere')
        peer.newEndpoint = endpoint
        this.#follow(peer, now)
      } else {
        this.handleDiscovered({ uuid, endpoint, source: 'seed' }, now)
      }
      return false
    }
    if (peer !== undefined) this.#forget(peer, 'it is reached as a seed')
    this.#peers.delete(seed.uuid)
    this.#peers.set(uuid, seed)
    seed.uuid = uuid
    seed.changed()
    this.#trace({ type: 'discovered', uuid, endpoint, reason: 'seed' })
    this.#effects.push({ type: 'seed', endpoint, uuid, greeted: seed.link === 'up', reason: '' })
    return true
  }

  /** The seed whose HELLO this is: it comes from where our link to it leads, so nobody else can claim it (harmony.md 8.2). */
  #seedOf({ address }: Arrival, { endpoint }: Hello): PeerRecord | undefined {
    const { port } = parseEndpoint(endpoint) as { readonly port: number }
    for (const host of [address, '127.0.0.1', '::1']) {
      const owner = this.#endpoints.get(formatEndpoint(host, port))
      if (owner?.nameless && this.#leadsTo(address, owner)) return owner
    }
    return undefined
  }

  /** Whether a peer is dialled at this address; by loopback, where that is ours. */
  #leadsTo(address: string, { endpoint }: PeerRecord): boolean {
    const { host } = parseEndpoint(endpoint) as { readonly host: string }
    const isOurs = (home: Home) => parseEndpoint(home.endpoint)?.host === address
    return host === address || (isLoopback(host) && this.#homes.some(isOurs))
  }

  /** Which of our endpoints a peer is told, as a HELLO has it (harmony.md 2.11, 2.12). */
  #homeFor({ endpoint }: PeerRecord): string {
    const { host } = parseEndpoint(endpoint) as { readonly host: string }
    return helloEndpoint(homeFor(host, this.#homes) ?? (this.#endpoint as string))
  }

  /** Its ZMTP has read all that we had written when it was asked. */
  #handleMeasured(peer: PeerRecord, roundTripMs: number, now: number): void {
    peer.roundTripMs = roundTripMs
    if (peer.link === 'asking') {
      this.#trace({ type: 'returned', uuid: peer.uuid, endpoint: peer.endpoint })
      peer.link = 'up'
      peer.measured = undefined
      peer.mailbox.open()
      this.#effects.push({ type: 'write', connection: peer.outbound })
      if (!peer.whole) return
      if (peer.probeCause === 'link') this.#settle(peer)
      peer.lostAt = NEVER
      return
    }
    if (peer.measured !== undefined) peer.mailbox.confirm(peer.measured)
    peer.measured = undefined
    if (!peer.mailbox.settled) this.#askLater(peer, now)
    if (peer.probeAt !== NEVER && peer.probeCause === 'link') this.#clear(peer)
  }

  /**
   * Whether an entered peer of several endpoints is heard at the others alone: some beacons in a row came from there, and nothing
   * from where our link leads. Where that is as it should be, it is asked so often and no more (harmony.md 5.5).
   */
  #isElsewhere(peer: PeerRecord, endpoint: string, now: number): boolean {
    if (endpoint === peer.endpoint || !peer.present) {
      peer.elsewhereCount = 0
      return false
    }
    if (now - peer.heardAt < ELSEWHERE_MS) {
      peer.elsewhereCount = Math.min(0, peer.elsewhereCount)
      return false
    }
    // What comes at once has waited somewhere, while we slept perhaps, or is of all its other addresses.
    if (now - peer.beaconAt < BURST_MS || ++peer.elsewhereCount < ELSEWHERE_COUNT) return false
    peer.elsewhereCount = -ELSEWHERE_REST_COUNT
    return true
  }

  /** It is said to be elsewhere: it is asked where we know it, and followed once that fails (harmony.md 5.5). */
  #handleMoved(peer: PeerRecord, endpoint: string, now: number): void {
    this.#count('endpoint-changed')
    if (!peer.present) {
      // Hearsay does not overwrite what its own HELLO says, unless it comes from where that came from.
      if (peer.inbound === 0 || isTellers(peer, endpoint)) peer.otherEndpoint = endpoint
      if (peer.inbound === 0) this.#probe(peer, { cause: 'expired', now })
      else this.#comeAfter(peer, endpoint, now)
      return
    }
    // Hearsay: no link goes on there. It is dialled there, with a HELLO, once this contact is over.
    peer.newEndpoint = endpoint
    this.#probe(peer, { cause: 'link', now })
  }

  /** It has moved since its HELLO: nobody answers where that says, and it is said to be where that came from (harmony.md 2.6). */
  #comeAfter(peer: PeerRecord, endpoint: string, now: number): void {
    if (!this.#isUnanswered(peer, now) || !isTellers(peer, endpoint)) return
    this.#takeBack(peer, 'nobody answers where its HELLO says')
    peer.swapEndpoints()
    this.#wait(peer, this.#dials.soonest(peer, now))
  }

  /** It is dialled where it is said to be now, and its old endpoint is the second choice. */
  #follow(peer: PeerRecord, now: number): void {
    peer.otherEndpoint = peer.endpoint
    peer.endpoint = peer.newEndpoint
    peer.newEndpoint = ''
    peer.changed()
    this.#wait(peer, this.#dials.soonest(peer, now))
  }

  // Confirmation: ZRE acknowledges nothing, but the other side's ZMTP answers a PING once it has read all before it.

  /** To be asked soon, together with all others, what it has read (harmony.md 5.8). */
  #askLater(peer: PeerRecord, now: number): void {
    if (peer.measured !== undefined || !peer.answers) return
    this.#unasked.add(peer)
    if (this.#askAt !== NEVER) return
    this.#askAt = now + CONFIRM_INTERVAL_MS
    this.#wake(this.#askAt)
  }

  #askAll(): void {
    this.#askAt = NEVER
    for (const peer of this.#unasked) this.#measure(peer)
    this.#unasked.clear()
  }

  #measure(peer: PeerRecord): void {
    if (peer.measured !== undefined || !peer.answers) return
    peer.measured = peer.mailbox.mark()
    this.#effects.push({ type: 'measure', connection: peer.outbound })
  }

  #handleArrival(connection: ConnectionId, change: LinkChange & { type: 'up' }, now: number): void {
    const { uuid, address, sequence } = change
    if (uuid === undefined || uuid === this.#options.uuid) {
      this.#count('arrival-identity')
      this.#close(connection, 'its identity is not that of another ZRE node')
      return
    }
    const evicted = this.#arrivals.take(connection, address)
    if (evicted !== undefined) {
      const reason = 'too many connections without a HELLO, and most come from its address'
      this.#count('arrivals-limit')
      if (evicted === connection) {
        this.#close(connection, reason)
        return
      }
      this.#closeArrival(this.#connections.get(evicted) as Arrival, reason)
    }
    const deadline = now + HELLO_TIMEOUT_MS
    const arrival = { connection, uuid, address, deadline, ignoredCount: 0, claim: undefined }
    this.#connections.set(connection, arrival)
    this.#watchFrom(now)
    if (sequence !== undefined) this.#handleReturn(arrival, sequence, now)
  }

  /** A peer goes on, over a new connection, after the message with that sequence (harmony.md 5.7). */
  #handleReturn(arrival: Arrival, sequence: number, now: number): void {
    const peer = this.#peers.get(arrival.uuid)
    if (peer?.present && peer.wantSequence === sequence) {
      this.#handleClaim(peer, arrival, { claim: { type: 'rest', message: undefined }, now })
      return
    }
    this.#count('return-refused')
    this.#closeArrival(arrival, 'we know nothing that it could go on with')
  }

  /** A message before the HELLO changes nothing; its peer may still think that we know it. */
  #handleStranger(arrival: Arrival, message: ZreMessage, now: number): void {
    if (arrival.claim !== undefined) {
      this.#count('message-while-held')
      return
    }
    const peer = this.#peers.get(arrival.uuid)
    if (message.type !== 'hello') {
      // The mailbox of libzmq connects again by itself, and goes on as if nothing had been.
      const next = peer?.present && message.sequence === ((peer.wantSequence + 1) & 0xffff)
      if (next && arrival.ignoredCount === 0) {
        this.#handleClaim(peer, arrival, { claim: { type: 'rest', message }, now })
        return
      }
      this.#count('before-hello')
      // It goes on as if we knew it, since it has not noticed a loss: another HELLO of ours will make it start anew.
      if (peer?.state === 'greeted' && peer.probeAt === NEVER) {
        this.#expect(peer, { cause: 'link', deadline: now + PROBE_TIMEOUT_MS })
      }
      if (++arrival.ignoredCount > IGNORED_MAX) this.#closeArrival(arrival, 'no HELLO came first')
      return
    }
    const refusal = this.#refusal(message)
    if (refusal !== undefined) {
      this.#count('hello-refused')
      this.#closeArrival(arrival, refusal)
      return
    }
    const seed = this.#seedOf(arrival, message)
    if (seed !== undefined) this.#identify(seed, arrival.uuid, now)
    if (peer !== undefined && peer.inbound !== 0) {
      this.#handleClaim(peer, arrival, { claim: { type: 'hello', hello: message }, now })
    } else {
      this.#adopt(arrival, message, now)
    }
  }

  #refusal(hello: ZreMessage & { type: 'hello' }): string | undefined {
    if (hello.sequence !== 1) return `its HELLO has sequence ${hello.sequence}`
    if (parseEndpoint(hello.endpoint) === undefined) return 'its HELLO names no tcp endpoint'
    if (hello.groups.length > this.#options.limits.peerGroupsMax) return 'it is in too many groups'
    return undefined
  }

  /** The connection belongs to its peer from now on, which waits unread until our own link is up. */
  #adopt(arrival: Arrival, hello: Hello, now: number): void {
    const { connection, uuid } = arrival
    const endpoint = reachable(hello.endpoint, arrival.address)
    this.#endArrival(arrival)
    let peer = this.#peers.get(uuid)
    if (peer === undefined) {
      peer = this.#create({ uuid, endpoint, source: 'hello' }, now)
      if (peer === undefined) {
        this.#close(connection, 'we know too many peers')
        return
      }
    }
    if (peer.present) {
      if (peer.excused && this.#greetsAgain(peer, { arrival, hello, now })) return
      this.#handleNewEpoch(peer, now)
    }
    this.#connections.set(connection, peer)
    peer.inbound = connection
    peer.heardAt = now
    peer.toldFrom(arrival.address)
    let waitMs = GREETED_WAIT_MS
    if (endpoint !== peer.endpoint) {
      peer.otherEndpoint = endpoint
      const isElsewhere = !this.#leadsTo(arrival.address, peer)
      const isDoubtful = isElsewhere || (!peer.named && peer.mailbox.waiting.messages > 0)
      if (peer.link !== 'down' && isDoubtful) {
        // We are with whoever hearsay named, and its HELLO comes from elsewhere: anybody can name any uuid.
        this.#count('greeted-elsewhere')
        this.#takeBack(peer, 'its HELLO names another endpoint')
        // It may be one that has dialled us at another address than we it: only one of us changes its mind (harmony.md 2.13).
        if (isElsewhere && this.#options.uuid < uuid) waitMs *= CROSSED_WAITS
      }
    }
    if (this.#isUnanswered(peer, now)) {
      // It was not there, or elsewhere, when that began, and what TCP sends again comes later and later.
      this.#takeBack(peer, 'nobody answers, and its HELLO is here')
    }
    if (endpoint !== peer.endpoint && peer.state === 'discovered') peer.swapEndpoints()
    this.#learn(peer, hello)
    this.#supersede(peer, now)
    if (peer.state === 'greeted') {
      this.#enter(peer, now)
      return
    }
    this.#effects.push({ type: 'hold', connection })
    // It is there, so its dial need not wait for long, but never so little that a peer could keep us busy.
    const dialAt = Math.min(peer.dialAt, now + waitMs)
    if (peer.state === 'discovered') this.#wait(peer, dialAt)
  }

  /** It is dialled anew. */
  #takeBack(peer: PeerRecord, reason: string): void {
    this.#closeOutbound(peer, reason)
    this.#settle(peer)
    peer.state = 'discovered'
  }

  /** Its link was lost, and now it begins anew in place of going on. */
  #handleNewEpoch(peer: PeerRecord, now: number): void {
    if (!peer.excused || peer.link !== 'up') {
      this.#startAnew(peer, { cause: 'link', now })
      return
    }
    this.#leave(peer, 'link')
    this.#settle(peer)
    peer.state = 'greeted'
    peer.greetedAt = -NEVER
    peer.sinceAt = now
  }

  /**
   * The HELLO again, of a peer that has not entered us and so has not noticed that we entered it: it said nothing but that
   * HELLO so far, and our link to it is up.
   * @returns false where it is another contact than that (harmony.md 5.2).
   */
  #greetsAgain(
    peer: PeerRecord,
    {
      arrival,
      hello,
      now,
    }: { readonly arrival: Arrival; readonly hello: Hello; readonly now: number },
  ): boolean {
    const groups = new Set(hello.groups)
    const isIt =
      peer.link === 'up' &&
      peer.wantSequence === 1 &&
      this.#leadsTo(arrival.address, peer) &&
      hello.name === peer.name &&
      isSame(hello.headers, peer.headers) &&
      groups.size === sizeOfGroups(peer) &&
      hello.groups.every((group) => peer.groups?.has(group))
    if (!isIt) return false
    this.#learn(peer, hello)
    peer.toldFrom(arrival.address)
    // Once for each link: who does it again has noticed.
    peer.excused = false
    peer.greetedAt = -NEVER
    this.#goOn(peer, arrival, now)
    if (peer.rival !== 0) this.#probe(peer, { cause: 'restart', now })
    return true
  }

  #learn(peer: PeerRecord, hello: Hello): void {
    peer.proven = true
    this.#strangers.free(peer)
    peer.name = hello.name
    peer.headers = hello.headers
    peer.groups = hello.groups.length > 0 ? new Set(hello.groups) : undefined
    peer.status = hello.status
    peer.wantSequence = 1
    peer.extended = false
    peer.changed()
  }

  /** Both directions are open. */
  #enter(peer: PeerRecord, now: number): void {
    this.#settle(peer)
    peer.lostAt = NEVER
    this.#unreached.delete(peer)
    peer.met = true
    // It may move on soon.
    peer.elsewhereCount = 0
    peer.state = 'entered'
    this.#presentCount++
    peer.unreachable = ''
    peer.sinceAt = now
    peer.heardAt = now
    this.#event({ type: 'enter', peer: peer.view() })
    for (const group of peer.groups ?? []) {
      this.#index(peer, group)
      this.#event({ type: 'join', peer: peer.view(), group })
    }
    peer.mailbox.open()
    this.#effects.push({ type: 'write', connection: peer.outbound })
    this.#effects.push({ type: 'resume', connection: peer.inbound })
    if (peer.rival !== 0) this.#probe(peer, { cause: 'restart', now })
    this.#limitGroups(peer, now)
  }

  // Talking.

  #handleCommand(peer: PeerRecord, message: ZreMessage, now: number): void {
    if (!peer.present) {
      this.#count('message-while-held')
      return
    }
    switch (message.type) {
      case 'whisper':
        this.#event({ type: 'whisper', peer: peer.view(), content: message.content })
        break
      case 'shout':
        if (this.#ownGroups.has(message.group)) {
          const { group, content } = message
          this.#event({ type: 'shout', peer: peer.view(), group, content })
        } else {
          this.#count('shout-after-leave')
        }
        break
      case 'join':
        this.#handleJoin(peer, message, now)
        break
      case 'leave':
        this.#handleLeave(peer, message)
        break
      case 'ping':
        if (peer.mailbox.answered) this.#count('ping-unanswered')
        else this.#send(peer, 'ping-ok', now)
        break
      case 'ping-ok':
        peer.mailbox.confirmPing()
        this.#clear(peer)
        break
      case 'goodbye':
        this.#drop(peer, { cause: 'goodbye', reason: 'it said GOODBYE', now })
        break
      case 'elect':
      case 'leader':
      case 'unknown':
        this.#count(`ignored-${message.type}`)
        break
    }
  }

  #handleJoin(
    peer: PeerRecord,
    { group, status }: { readonly group: string; readonly status: number },
    now: number,
  ): void {
    this.#checkStatus(peer, status)
    peer.groups ??= new Set()
    if (peer.groups.has(group)) return
    if (peer.groups.size >= this.#options.limits.peerGroupsMax) {
      this.#count('peer-groups-limit')
      this.#drop(peer, { cause: 'refused', reason: 'it is in too many groups', now })
      return
    }
    peer.groups.add(group)
    peer.changed()
    this.#index(peer, group)
    this.#event({ type: 'join', peer: peer.view(), group })
    this.#limitGroups(peer, now)
  }

  /** Peers together are in too many groups: the one that is in most goes (harmony.md 7.2). */
  #limitGroups(newest: PeerRecord, now: number): void {
    if (this.#membershipCount <= this.#options.limits.peerGroupsTotalMax) return
    let fullest = newest
    for (const peer of this.#peers.values()) {
      if (peer.present && sizeOfGroups(peer) > sizeOfGroups(fullest)) fullest = peer
    }
    this.#count('peer-groups-limit')
    const reason = 'peers are in too many groups, and it is in most'
    this.#drop(fullest, { cause: 'refused', reason, now })
  }

  #handleLeave(
    peer: PeerRecord,
    { group, status }: { readonly group: string; readonly status: number },
  ): void {
    this.#checkStatus(peer, status)
    if (!peer.groups?.delete(group)) return
    peer.changed()
    this.#unindex(peer, group)
    this.#event({ type: 'leave', peer: peer.view(), group })
  }

  /** A wrong status is counted and taken over: some peers count modulo 255 (harmony.md 4.3). */
  #checkStatus(peer: PeerRecord, status: number): void {
    if (status !== ((peer.status + 1) & 0xff)) {
      this.#count('wrong-status')
      this.#trace({ type: 'wrong-status', uuid: peer.uuid, reason: `${peer.status} to ${status}` })
    }
    peer.status = status
  }

  /** We count modulo 65,536, as C Zyre does, and accept those that count modulo 65,535 (harmony.md 4.2). */
  #inSequence(peer: PeerRecord, message: ZreMessage): boolean {
    const { sequence, type } = message
    const next = (peer.wantSequence + 1) & 0xffff
    const skips = next === 0xffff && sequence === 0 && !peer.extended
    if (sequence !== next && !skips) return false
    peer.wantSequence = sequence
    if (type === 'elect' || type === 'leader' || type === 'goodbye') peer.extended = true
    return true
  }

  #dropOutOfSequence(peer: PeerRecord, sequence: number, now: number): void {
    this.#count('wrong-sequence')
    const reason = `sequence ${sequence} came after ${peer.wantSequence}`
    this.#drop(peer, { cause: 'sequence', reason, now })
  }

  #send(peer: PeerRecord, type: 'ping' | 'ping-ok', now: number): number {
    return this.#post(peer, { type, bytes: 0, holders: 0 }, now)
  }

  /** @returns how many peers it was queued to: none where our HELLO is not, nor when there is no room. */
  #post(peer: PeerRecord, letter: Letter, now: number): number {
    const { mailbox } = peer
    if (peer.link !== 'up' && !peer.present) return 0
    if (mailbox.full()) {
      this.#dropUnread(peer, now)
      return 0
    }
    if (!this.#hasRoom(letter) && this.#dropFullest(now) === peer) return 0
    if (mailbox.push(letter) && peer.link === 'up') {
      this.#effects.push({ type: 'write', connection: peer.outbound })
    }
    return 1
  }

  /** Whether all mailboxes together can hold it as well; what waits in one already costs nothing in another. */
  #hasRoom({ bytes, holders }: Letter): boolean {
    if (holders > 0 || bytes === 0) return true
    return this.#tally.waitingBytes + bytes <= this.#options.limits.queueTotalBytesMax
  }

  /**
   * All mailboxes together hold too much: the fullest is that of a peer that does not read (harmony.md 7.7). What is in one
   * alone, and no more than one message, is nobody's fault.
   */
  #dropFullest(now: number): PeerRecord | undefined {
    let fullest: PeerRecord | undefined
    let mostBytes = 0
    for (const peer of this.#peers.values()) {
      const { excessBytes, waiting } = peer.mailbox
      const isAlone = waiting.bytes >= this.#tally.waitingBytes
      const bytes = excessBytes > 0 ? excessBytes + ANY_BYTES : isAlone ? 0 : waiting.bytes
      if (bytes <= mostBytes) continue
      fullest = peer
      mostBytes = bytes
    }
    if (fullest !== undefined) this.#dropUnread(fullest, now)
    return fullest
  }

  #dropUnread(peer: PeerRecord, now: number): void {
    this.#count('mailbox-overflow')
    const { messages, bytes } = peer.mailbox.waiting
    const reason = `${messages} messages with ${bytes} octets wait for it`
    if (peer.present) {
      this.#drop(peer, { cause: 'limit', reason, now })
    } else {
      this.#abandon(peer)
      this.#closeOutbound(peer, reason)
      this.#handleFailedDial(peer, reason, now)
    }
  }

  /** @returns false when a SHOUT has to be left out (harmony.md 7.8). */
  #makeRoom(
    { mailbox }: PeerRecord,
    { group, policy }: { readonly group: string; readonly policy: OverflowPolicy },
  ): boolean {
    const isShort = () => {
      const { queueTotalBytesMax } = this.#options.limits
      return (
        mailbox.full(POLICY_SHARE) || this.#tally.waitingBytes > queueTotalBytesMax * POLICY_SHARE
      )
    }
    while (isShort()) {
      const dropped = policy === 'drop-oldest' && mailbox.dropOldest(group)
      this.#count(policy)
      if (dropped) continue
      mailbox.refuse()
      return false
    }
    return true
  }

  #tellStatus(
    type: 'join' | 'leave',
    { group, now }: { readonly group: string; readonly now: number },
  ): void {
    this.#ownStatus = (this.#ownStatus + 1) & 0xff
    const letter: Letter = { type, group, status: this.#ownStatus, bytes: 0, holders: 0 }
    // Whoever has our HELLO, entered or not, counts on from there.
    for (const peer of this.#peers.values()) this.#post(peer, letter, now)
  }

  // Staying alive.

  #sweepInterval(): number {
    return Math.min(SWEEP_INTERVAL_MS, this.#options.evasiveTimeoutMs * (1 - PING_SHARE))
  }

  /** There is somebody to look at from now on. */
  #watchFrom(now: number): void {
    if (this.#sweepAt !== NEVER) return
    this.#sweepAt = now + this.#sweepInterval()
    this.#wake(this.#sweepAt)
  }

  #sweep(now: number): void {
    const lateMs = now - this.#sweepAt
    // Whoever stopped for a while (a laptop that slept) has heard nobody, which says nothing about them.
    const pausedMs = lateMs > SWEEP_INTERVAL_MS ? lateMs : 0
    for (const owner of this.#connections.values()) {
      if (owner instanceof PeerRecord || owner.claim !== undefined) continue
      // One that was read at once after a pause was not here during it.
      owner.deadline = Math.min(owner.deadline + pausedMs, now + HELLO_TIMEOUT_MS)
      if (now < owner.deadline) continue
      this.#count('hello-timeout')
      this.#closeArrival(owner, `no HELLO within ${HELLO_TIMEOUT_MS} ms`)
    }
    if (pausedMs > 0) this.#excuse(now)
    this.#dials.sweep()
    for (const peer of this.#peers.values()) {
      if (pausedMs > 0) {
        peer.heardAt = Math.min(now, peer.heardAt + pausedMs)
        peer.beaconAt = Math.min(now, peer.beaconAt + pausedMs)
        peer.sinceAt = Math.min(now, peer.sinceAt + pausedMs)
        peer.dialledAt = Math.min(now, peer.dialledAt + pausedMs)
      }
      if (peer.present) this.#watch(peer, now)
      else this.#watchAbsent(peer, now)
    }
    const idle = this.#peers.size === 0 && this.#arrivals.count === 0
    this.#sweepAt = idle ? NEVER : now + this.#sweepInterval()
  }

  /** Who had to answer something has its time again. */
  #excuse(now: number): void {
    for (const peer of this.#probed) {
      peer.probeAt = now + (peer.whole ? PROBE_TIMEOUT_MS : RETURN_TIMEOUT_MS)
      if (peer.lostAt !== NEVER) peer.lostAt = now
    }
  }

  /** How long it is quiet. A beacon is life too, but only so long after the last octet (harmony.md 4.4). */
  #quietMs(peer: PeerRecord, now: number): number {
    const creditMs = this.#options.expiredTimeoutMs / 2
    const beaconAt = Math.min(peer.beaconAt, peer.heardAt + creditMs)
    return now - Math.max(peer.heardAt, beaconAt)
  }

  #watch(peer: PeerRecord, now: number): void {
    const { evasiveTimeoutMs, silentTimeoutMs, expiredTimeoutMs } = this.#options
    const quietMs = this.#quietMs(peer, now)
    const isStable = peer.failureCount > 0 && peer.link === 'up'
    if (isStable && now - peer.dialledAt >= STABLE_MS) peer.failureCount = 0
    // Most are heard each second: nothing more is looked at.
    if (quietMs < evasiveTimeoutMs * PING_SHARE) return
    if (quietMs >= expiredTimeoutMs) {
      const reason = `nothing came for ${Math.round(quietMs)} ms`
      this.#drop(peer, { cause: 'expired', reason, now })
      return
    }
    // The ping goes out before its peer counts as evasive, so that a healthy peer that has nothing to say never does.
    this.#ping(peer, now)
    if (!peer.present) return
    if (quietMs >= evasiveTimeoutMs && peer.state === 'entered') this.#become(peer, 'evasive')
    if (quietMs >= silentTimeoutMs && peer.state === 'evasive') this.#become(peer, 'silent')
  }

  #become(peer: PeerRecord, state: PeerState & ('evasive' | 'silent')): void {
    peer.state = state
    this.#event({ type: state, peer: peer.view() })
  }

  #revive(peer: PeerRecord, now: number): void {
    if (peer.state !== 'evasive' && peer.state !== 'silent') return
    if (this.#quietMs(peer, now) < this.#options.evasiveTimeoutMs) peer.state = 'entered'
  }

  /** @returns false when there is no link to it. */
  #ping(peer: PeerRecord, now: number): boolean {
    return peer.link === 'up' && this.#send(peer, 'ping', now) > 0
  }

  /** A peer that has not entered is unreachable after a while, and forgotten after a longer one. */
  #watchAbsent(peer: PeerRecord, now: number): void {
    const ageMs = now - peer.sinceAt
    if (ageMs >= this.#options.evasiveTimeoutMs && peer.unreachable === '') {
      const reason = peer.state === 'greeted' ? NO_HELLO : 'no answer from its inbox'
      this.#markUnreachable(peer, reason)
    }
    // A dial that is not late may still succeed, and the other side may see us enter by it.
    const isDialled = peer.link === 'dialling' && now - peer.dialledAt < DIAL_TIMEOUT_MS
    if (ageMs >= this.#options.expiredTimeoutMs && !isDialled) this.#forget(peer, peer.unreachable)
  }

  #markUnreachable(peer: PeerRecord, reason: string): void {
    if (peer.unreachable === '') {
      const { uuid, endpoint } = peer
      this.#trace({ type: 'unreachable', uuid, endpoint, reason })
      const isWanted = peer.source === 'manual' || peer.source === 'seed'
      if (!peer.met && !isWanted) this.#unreached.add(peer)
    }
    peer.unreachable = reason
  }

  // Doubt: a peer is asked, and has a short while to answer (harmony.md 5.3).

  #probe(peer: PeerRecord, { cause, now }: { cause: ExitCause; now: number }): void {
    if (peer.probeAt !== NEVER) return
    if (cause === 'link' && peer.named && peer.answers) {
      // It takes no sequence, so that a link that does not answer can still come back elsewhere.
      this.#measure(peer)
    } else if (!this.#ping(peer, now)) {
      return
    }
    this.#trace({ type: 'probe', uuid: peer.uuid, reason: cause })
    this.#expect(peer, { cause, deadline: now + PROBE_TIMEOUT_MS })
  }

  #expect(peer: PeerRecord, { cause, deadline }: { cause: ExitCause; deadline: number }): void {
    peer.probeAt = deadline
    peer.probeCause = cause
    this.#probed.add(peer)
    this.#wake(deadline)
  }

  #settle(peer: PeerRecord): void {
    peer.probeAt = NEVER
    this.#probed.delete(peer)
  }

  /** It answered. Whoever else claimed to be it is sent away. */
  #clear(peer: PeerRecord): void {
    if (!peer.whole) return // A lost link is no question that a late answer settles.
    peer.superseded = false
    this.#settle(peer)
    // It answers where we know it, and is said to be there too: a node on two networks, or of two kinds of addresses.
    if (peer.newEndpoint !== '') peer.knowAlso(peer.newEndpoint)
    const rival = this.#rivalOf(peer)
    if (rival === undefined) return
    this.#count('second-connection')
    this.#closeArrival(rival, 'the peer it claims to be is alive')
  }

  #judge(peer: PeerRecord, now: number): void {
    if (peer.state === 'greeted') {
      this.#closeOutbound(peer, NO_HELLO)
      this.#handleFailedDial(peer, NO_HELLO, now)
    } else if (peer.whole && now - peer.heardAt < 1_000) {
      this.#clear(peer) // A large message may stand before the answer: octets in the last second will do.
    } else if (!this.#letRivalGoOn(peer, now)) {
      const reason = peer.whole ? 'it did not answer in time' : 'its link did not come back'
      this.#drop(peer, { cause: peer.probeCause, reason, now })
    }
  }

  /** Another connection says to be of this peer: it waits until the one we have is lost, or fails to answer. */
  #handleClaim(
    peer: PeerRecord,
    arrival: Arrival,
    { claim, now }: { readonly claim: Claim; readonly now: number },
  ): void {
    if (peer.rival !== 0) {
      this.#count('second-connection')
      this.#closeArrival(arrival, 'another connection claims to be this peer already')
      return
    }
    peer.rival = arrival.connection
    arrival.claim = claim
    this.#effects.push({ type: 'hold', connection: arrival.connection })
    // Where its link to us is lost, or ours to it is, nobody is left to ask.
    if (claim.type === 'rest' && !peer.whole && this.#letRivalGoOn(peer, now)) return
    if (claim.type === 'hello') {
      const endpoint = reachable(claim.hello.endpoint, arrival.address)
      if (!peer.present && endpoint !== peer.endpoint) peer.otherEndpoint = endpoint
    }
    const isLater = claim.type === 'hello' && isSuccessor(claim.hello.headers, peer.headers)
    if (isLater && isLost(peer)) this.#dropSuperseded(peer, now)
    else this.#probe(peer, { cause: 'restart', now })
  }

  /**
   * Who was the same node before its last start, at another endpoint and under another uuid, is gone. Anybody can tell any
   * id, so it is asked, unless there is nobody left to ask (harmony.md 9.2).
   */
  #supersede(successor: PeerRecord, now: number): void {
    if (successor.headers[ID_HEADER] === undefined) return
    for (const peer of this.#peers.values()) {
      const isFormer = peer !== successor && isSuccessor(successor.headers, peer.headers)
      if (!isFormer || !peer.present) continue
      this.#count('superseded')
      peer.superseded = true
      if (isLost(peer)) this.#dropSuperseded(peer, now)
      else this.#probe(peer, { cause: 'restart', now })
    }
  }

  #dropSuperseded(peer: PeerRecord, now: number): void {
    this.#drop(peer, { cause: 'restart', reason: 'it has started anew, and was lost before', now })
  }

  /** @returns false unless another connection has the rest of what the peer was saying: then it takes the lost one's place. */
  #letRivalGoOn(peer: PeerRecord, now: number): boolean {
    const rival = this.#rivalOf(peer)
    if (rival?.claim?.type !== 'rest') return false
    const { message } = rival.claim
    this.#goOn(peer, rival, now)
    if (message !== undefined) this.handleMessage(rival.connection, message, now)
    if (!peer.present || peer.link === 'up') return true
    if (peer.link !== 'down' || this.#dials.isWaiting(peer)) this.#expectReturn(peer, now)
    else this.#makeAnew(peer, 'our link to it was lost', now)
    return true
  }

  /** A connection takes the place of the peer's own, without an event. */
  #goOn(peer: PeerRecord, arrival: Arrival, now: number): void {
    const { connection } = arrival
    this.#endArrival(arrival)
    if (peer.inbound !== 0) this.#close(peer.inbound, 'its peer goes on over another connection')
    this.#trace({ type: 'went-on', uuid: peer.uuid, endpoint: peer.endpoint })
    this.#connections.set(connection, peer)
    peer.inbound = connection
    peer.heardAt = now
    this.#settle(peer)
    this.#effects.push({ type: 'resume', connection })
    if (peer.link === 'up') peer.lostAt = NEVER
  }

  /** Our link is lost: it is made anew, from where it was if nothing is in doubt. */
  #makeAnew(peer: PeerRecord, reason: string, now: number): void {
    if (this.#canReturn(peer)) {
      this.#trace({ type: 'link-lost', uuid: peer.uuid, reason })
      this.#waitLonger(peer, now)
      this.#expectReturn(peer, now)
      return
    }
    const cause = peer.probeAt === NEVER ? 'link' : peer.probeCause
    // What it said before may still be on its way to us, its GOODBYE too.
    if (peer.inbound !== 0) this.#expect(peer, { cause, deadline: now + DRAIN_TIMEOUT_MS })
    else this.#drop(peer, { cause, reason, now })
  }

  #rivalOf(peer: PeerRecord): Arrival | undefined {
    return this.#connections.get(peer.rival) as Arrival | undefined
  }

  // Leaving.

  /** Its HELLO again, on its own connection: it has started anew, and so do we. */
  #handleRestart(peer: PeerRecord, hello: ZreMessage & { type: 'hello' }, now: number): void {
    const refusal = this.#refusal(hello)
    if (refusal !== undefined) {
      this.#count('hello-refused')
      const cause = hello.sequence === 1 ? 'refused' : 'sequence'
      this.#drop(peer, { cause, reason: refusal, now })
      return
    }
    const { inbound } = peer
    this.#startAnew(peer, { cause: 'restart', now })
    this.#learn(peer, hello)
    this.#effects.push({ type: 'hold', connection: inbound })
  }

  /** It has forgotten us: our own link is dialled again, and begins with HELLO. */
  #startAnew(
    peer: PeerRecord,
    { cause, now }: { readonly cause: ExitCause; readonly now: number },
  ): void {
    if (peer.present) this.#leave(peer, cause)
    this.#closeOutbound(peer, 'its peer has started anew')
    this.#settle(peer)
    peer.reset()
    peer.state = 'discovered'
    peer.sinceAt = now
    this.#waitLonger(peer, now)
  }

  #handleOutboundLost(
    peer: PeerRecord,
    change: { readonly type: string; readonly reason: string },
    now: number,
  ): void {
    const { link, endpoint } = peer
    this.#unlink(peer)
    if (!peer.present || link === 'dialling') {
      this.#handleFailedDial(peer, change.reason, now)
      if (link === 'dialling') this.#dials.desert(endpoint, peer, now)
    } else if (change.type === 'refused') {
      this.#drop(peer, { cause: 'refused', reason: change.reason, now })
    } else if (link === 'asking') {
      const reason = 'it does not go on with the link that was lost'
      this.#drop(peer, { cause: 'link', reason, now })
    } else {
      this.#makeAnew(peer, change.reason, now)
    }
  }

  /** Whether our link to it can be made anew without a loss: it knows itself, and read all we wrote (harmony.md 5.7). */
  #canReturn(peer: PeerRecord): boolean {
    return !this.#isAsked(peer) && peer.named && peer.mailbox.settled
  }

  /** It has a while to come back from when the first of its connections was lost, however many are lost meanwhile. */
  #expectReturn(peer: PeerRecord, now: number): void {
    if (peer.lostAt === NEVER) peer.lostAt = now
    this.#expect(peer, { cause: 'link', deadline: peer.lostAt + RETURN_TIMEOUT_MS })
    // With neither direction left, the next dial tells whether anybody is there: it need not wait for long.
    if (peer.inbound !== 0 || peer.link !== 'down') return
    this.#dials.hurry(peer, now)
    this.#wake(peer.dialAt)
  }

  #handleFailedDial(peer: PeerRecord, reason: string, now: number): void {
    this.#count('dial-failed')
    this.#trace({ type: 'dial-failed', uuid: peer.uuid, endpoint: peer.endpoint, reason })
    if (peer.present) {
      if (peer.inbound === 0) this.#drop(peer, { cause: 'link', reason, now })
      else this.#waitLonger(peer, now)
      return
    }
    if (peer.nameless) {
      this.#forget(peer, reason)
      return
    }
    this.#markUnreachable(peer, reason)
    this.#settle(peer)
    peer.state = 'discovered'
    // Its time was over before, but for a dial that might still have succeeded (harmony.md 6.3).
    if (now - peer.sinceAt >= this.#options.expiredTimeoutMs) {
      this.#forget(peer, reason)
      return
    }
    peer.swapEndpoints()
    this.#waitLonger(peer, now)
  }

  #handleInboundLost(
    peer: PeerRecord,
    change: { readonly type: string; readonly reason: string },
    now: number,
  ): void {
    peer.inbound = 0
    if (change.type === 'refused') this.#count('peer-refused')
    else if (this.#letRivalGoOn(peer, now)) return
    else if (this.#mayBeBack(peer)) {
      // It may come back and go on, or with a HELLO, which our own may be the reason of.
      peer.excused = peer.link === 'up' && now - peer.greetedAt < PROBE_TIMEOUT_MS
      this.#trace({ type: 'link-lost', uuid: peer.uuid, reason: change.reason })
      this.#expectReturn(peer, now)
      return
    } else if (this.#mayGreetAgain(peer, now)) {
      this.#awaitHello(peer, now)
      return
    }
    const proven = peer.probeAt !== NEVER && change.type === 'lost'
    const cause = change.type === 'refused' ? 'refused' : proven ? peer.probeCause : 'link'
    this.#drop(peer, { cause, reason: change.reason, now })
  }

  /** Whether it is a peer that can go on from before, while we can as well. */
  #mayBeBack(peer: PeerRecord): boolean {
    const isGoing = peer.link !== 'down' || this.#dials.isWaiting(peer)
    return peer.present && peer.named && isGoing && !this.#isAsked(peer)
  }

  /** Our HELLO may be what made it start anew: to close our link now would make it start anew for ever. */
  #mayGreetAgain(peer: PeerRecord, now: number): boolean {
    if (!peer.present) return true
    const asked = this.#isAsked(peer) && peer.probeCause !== 'restart'
    return peer.link === 'up' && !asked && now - peer.greetedAt < PROBE_TIMEOUT_MS
  }

  /** Whether there was doubt about it before a link of it was lost: then the loss is the answer. */
  #isAsked(peer: PeerRecord): boolean {
    return peer.probeAt !== NEVER && peer.probeCause !== 'link'
  }

  /** Our link or dial stays, once, and whoever waits to be this peer is heard. */
  #awaitHello(peer: PeerRecord, now: number): void {
    const rival = this.#rivalOf(peer)
    if (peer.present) {
      const hello = rival?.claim?.type === 'hello' ? rival.claim.hello : undefined
      if (rival && hello && this.#greetsAgain(peer, { arrival: rival, hello, now })) return
      this.#leave(peer, rival === undefined ? 'link' : 'restart')
      peer.state = 'greeted'
      peer.greetedAt = -NEVER
      peer.sinceAt = now
      this.#expect(peer, { cause: 'link', deadline: now + PROBE_TIMEOUT_MS })
    }
    if (rival?.claim?.type === 'hello') this.#adopt(rival, rival.claim.hello, now)
  }

  /** Ends what is between us and a peer, then begins anew, lets a rival in, or forgets it. */
  #drop(
    peer: PeerRecord,
    { cause, reason, now }: { cause: ExitCause; reason: string; now: number },
  ): void {
    this.#trace({ type: 'drop', uuid: peer.uuid, endpoint: peer.endpoint, reason })
    const { present: wasPresent, superseded } = peer
    if (wasPresent) this.#leave(peer, cause)
    this.#closeOutbound(peer, reason)
    if (peer.inbound !== 0) this.#close(peer.inbound, reason)
    peer.inbound = 0
    this.#settle(peer)
    peer.reset()
    peer.state = 'discovered'
    if (wasPresent) peer.sinceAt = now
    const rival = this.#rivalOf(peer)
    if (rival?.claim?.type === 'hello') {
      this.#adopt(rival, rival.claim.hello, now)
      return
    }
    if (rival !== undefined) this.#closeArrival(rival, reason)
    if (cause === 'goodbye' || cause === 'expired' || superseded) {
      this.#forget(peer, reason)
    } else {
      this.#waitLonger(peer, now)
      if (peer.newEndpoint !== '') this.#follow(peer, now)
    }
  }

  /** Tells the application, once. What never left is kept for those that come back (harmony.md 5.9). */
  #leave(peer: PeerRecord, cause: ExitCause): void {
    for (const group of peer.groups ?? []) this.#unindex(peer, group)
    peer.state = 'gone'
    this.#presentCount--
    let lost = 0
    if (cause !== 'stop') lost += peer.mailbox.forsake()
    if (!KEEPING.has(cause) || peer.superseded) lost += peer.mailbox.clear()
    this.#event({ type: 'exit', peer: peer.view(), cause, lost })
  }

  /** What waits for it, and what was written to it in doubt, is lost: nobody is left to be told but who counts. */
  #abandon(peer: PeerRecord): void {
    const lost = peer.mailbox.forsake() + peer.mailbox.clear()
    if (lost > 0) this.#trace({ type: 'lost', uuid: peer.uuid, reason: `${lost} messages` })
  }

  /** @param uuid of a seed, whose it turned out to be. */
  #forget(peer: PeerRecord, reason: string, uuid?: Uuid): void {
    const { endpoint, nameless, state } = peer
    this.#closeOutbound(peer, reason)
    if (peer.inbound !== 0) this.#close(peer.inbound, reason)
    const rival = this.#rivalOf(peer)
    if (rival !== undefined) this.#closeArrival(rival, reason)
    this.#dials.remove(peer)
    this.#strangers.free(peer)
    this.#unreached.delete(peer)
    this.#settle(peer)
    this.#abandon(peer)
    this.#peers.delete(peer.uuid)
    this.#trace({ type: 'forgotten', uuid: peer.uuid, endpoint, reason })
    const greeted = state === 'greeted'
    if (nameless) this.#effects.push({ type: 'seed', endpoint, uuid, greeted, reason })
  }

  #closeOutbound(peer: PeerRecord, reason: string): void {
    if (peer.outbound === 0) return
    this.#close(peer.outbound, reason)
    this.#unlink(peer)
  }

  #unlink(peer: PeerRecord): void {
    if (peer.link === 'dialling') this.#endDial(peer)
    this.#endpoints.delete(peer.endpoint)
    this.#unasked.delete(peer)
    peer.link = 'down'
    peer.outbound = 0
    peer.measured = undefined
    peer.mailbox.detach()
  }

  #close(connection: ConnectionId, reason: string): void {
    this.#connections.delete(connection)
    this.#effects.push({ type: 'close', connection, reason })
  }

  #closeArrival(arrival: Arrival, reason: string): void {
    this.#trace({ type: 'arrival-closed', uuid: arrival.uuid, reason })
    this.#endArrival(arrival)
    this.#close(arrival.connection, reason)
  }

  /** It is no arrival any more: lost, about to be closed, or its peer's own connection. */
  #endArrival(arrival: Arrival): void {
    this.#connections.delete(arrival.connection)
    this.#arrivals.free(arrival.connection)
    const peer = this.#peers.get(arrival.uuid)
    if (peer?.rival === arrival.connection) peer.rival = 0
  }

  // Bookkeeping.

  #index(peer: PeerRecord, group: string): void {
    this.#membershipCount++
    const peers = this.#groups.get(group)
    if (peers === undefined) this.#groups.set(group, new Set([peer]))
    else peers.add(peer)
  }

  #unindex(peer: PeerRecord, group: string): void {
    const peers = this.#groups.get(group)
    this.#membershipCount--
    if (peers?.delete(peer) && peers.size === 0) this.#groups.delete(group)
  }

  #wake(at: number): void {
    if (at < this.#wakeAt) this.#wakeAt = at
  }

  #count(reason: string): void {
    this.#counters.set(reason, (this.#counters.get(reason) ?? 0) + 1)
  }

  #event(event: PeerEvent): void {
    this.#effects.push(event)
  }

  #trace(trace: Trace): void {
    this.#effects.push({ type: 'trace', trace })
  }
}

/** Whether anybody can tell of any number of nodes so. */
function isHearsay(source: Source): boolean {
  return source === 'beacon' || source === 'gossip' || source === 'mdns'
}

/** Whether an endpoint is at the host that told of a peer: by its HELLO, if that has come. */
function isTellers({ teller }: PeerRecord, endpoint: string): boolean {
  return teller === parseEndpoint(endpoint)?.host
}

/** Whether a HELLO with these headers is of the same node, after a later start: it tells so itself (harmony.md 9.1). */
function isSuccessor(later: Headers, former: Headers): boolean {
  const id = later[ID_HEADER]
  return (
    id !== undefined && id === former[ID_HEADER] && incarnationOf(later) > incarnationOf(former)
  )
}

function incarnationOf(headers: Headers): number {
  const text = headers[INCARNATION_HEADER] ?? ''
  return /^\d{1,15}$/.test(text) ? Number(text) : 0
}

/** Whether a peer has shown already that it does not answer, or cannot. */
function isLost(peer: PeerRecord): boolean {
  return !peer.whole || peer.state === 'silent'
}

function isCongested(peer: PeerRecord | undefined): boolean {
  return peer?.state === 'entered' && peer.mailbox.congested
}

function isSame(one: Headers, other: Headers): boolean {
  const names = Object.keys(one)
  return (
    names.length === Object.keys(other).length && names.every((name) => one[name] === other[name])
  )
}

function sizeOfGroups({ groups }: PeerRecord): number {
  return groups?.size ?? 0
}

/** Memory that a content takes, about: the first frame is what each message costs anyway (harmony.md 7.6). */
function sizeOf(content: Frames): number {
  if (content.length === 1) return (content[0] as Uint8Array).length
  let bytes = Math.max(0, content.length - 1) * FRAME_COST_BYTES
  for (const frame of content) bytes += frame.length
  return bytes
}
