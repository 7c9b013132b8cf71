// What harmony.ts knows of one peer, and what it shows of it to others. A peer is one small flat object: a node in a full
// mesh of a thousand holds a thousand of them, and a simulation of it a million (harmony.md 7).

import { holderOf } from './addresses.ts'
import type { Uuid } from './bytes.ts'
import type { Mailbox, Mark } from './mailbox.ts'
import { type Headers, NO_HEADERS } from './zre.ts'

/**
 * One of our connections, by number: those that we dial are 1, 2, 3, ... as harmony.ts counts them, those that we accept
 * are -1, -2, -3, ... as the mesh counts them. 0 is none.
 */
export type ConnectionId = number

/** How we came to know of a peer. */
export type Source = 'beacon' | 'gossip' | 'hello' | 'manual' | 'mdns' | 'seed'

/**
 * What is between us and a peer (harmony.md 3.1): nothing yet; a dial in flight; our link is up and our HELLO on it; both
 * directions are open, and it talks; it is quiet; it does not answer; it has left.
 */
export type PeerState =
  | 'discovered'
  | 'dialling'
  | 'greeted'
  | 'entered'
  | 'evasive'
  | 'silent'
  | 'gone'

/**
 * What our own link to a peer is: none; a dial in flight; connected, and asked whether it goes on from before; up, so that
 * what we say is on it.
 */
export type LinkState = 'down' | 'dialling' | 'asking' | 'up'

/** Another node as we see it at one instant: it does not change, and can be kept. */
export interface Peer {
  readonly uuid: Uuid
  readonly name: string
  /** Where its inbox is: `tcp://host:port`. */
  readonly endpoint: string
  readonly headers: Headers
  /** The groups it is in, in the order it joined them. */
  readonly groups: readonly string[]
  readonly state: PeerState
}

/** Why an entered peer has left (harmony.md 6.1). */
export type ExitCause =
  | 'goodbye'
  | 'expired'
  | 'restart'
  | 'link'
  | 'sequence'
  | 'limit'
  | 'refused'
  | 'stop'

/** A node on three networks, with two kinds of addresses on each, has four beside the two that we would dial. */
const MORE_ENDPOINTS_MAX = 6

const NO_GROUPS: readonly string[] = Object.freeze([])

/** The record of one peer. Only harmony.ts changes it; instants are Infinity where there is none. */
export class PeerRecord {
  /** Of a seed that has not said who it is, its endpoint (harmony.md 8.1). */
  uuid: Uuid
  readonly source: Source
  /** Where we dial it. */
  endpoint: string
  /** Where else it might be: its HELLO and its beacon do not always say the same. */
  otherEndpoint = ''
  /** Where it was said to be besides, and answered all the same; undefined while there are none, as with most. */
  moreEndpoints: string[] | undefined = undefined
  /** Where it is said to have moved to since it entered; empty once it answers where we know it. */
  newEndpoint = ''
  /** Beacons in a row that came from the other endpoint alone; below 0 it was asked about that, and has a rest. */
  elsewhereCount = 0
  name = ''
  headers: Headers = NO_HEADERS
  /** Undefined while it is in none: most peers of a large mesh are. */
  groups: Set<string> | undefined
  /** Its own count of its joins and leaves, modulo 256. */
  status = 0
  state: PeerState = 'discovered'
  /** What we have to say to it. */
  readonly mailbox: Mailbox
  /** How many HELLOs of ours began an epoch with it. */
  epoch = 0
  /** Our link to it, what that is at present, and its link to us once its HELLO came over it. */
  link: LinkState = 'down'
  outbound: ConnectionId = 0
  inbound: ConnectionId = 0
  /** Another connection that claims to be this peer, and waits for the one we have to fail. */
  rival: ConnectionId = 0
  /** Whether its inbox names the uuid that we know it by, as those of Lyre do, and whether it answers PING of ZMTP. */
  named = false
  answers = false
  /** What had been written when the PING of ZMTP went out that is not answered. */
  measured: Mark | undefined
  /** The sequence of its last message. */
  wantSequence = 0
  /** Whether it sent ids 8 to 10, as nodes that count modulo 65,535 never do. */
  extended = false
  /** When the present contact began: when it became known or, once entered, when it entered. */
  sinceAt: number
  /** When our HELLO went out; -Infinity when it no longer excuses that the peer starts anew. */
  greetedAt = Number.NEGATIVE_INFINITY
  /** Whether its own link was lost so soon after our HELLO that ours need not begin anew with it. */
  excused = false
  /** When octets last came over its link, and a beacon by UDP. */
  heardAt: number
  beaconAt: number
  /** When to dial next, when that was put off last, and how many attempts came to nothing. */
  dialAt = Number.POSITIVE_INFINITY
  failedAt = Number.NEGATIVE_INFINITY
  failureCount = 0
  /** The address from which we were told of it, whose that is, and for whom its dial in flight counts: empty is none. */
  teller = ''
  tellerHolder = ''
  dialTeller = ''
  /** When its last dial began. */
  dialledAt = Number.NEGATIVE_INFINITY
  /** Whether it has ever said HELLO: until then it may be one datagram of somebody's invention. */
  proven = false
  /** Whether it has ever entered: until then it may be a fraud that has a connection. */
  met = false
  /** Why it cannot be reached; empty as long as nothing says so. */
  unreachable = ''
  /** Until when it has to prove that it is alive, and what is believed otherwise. */
  probeAt = Number.POSITIVE_INFINITY
  probeCause: ExitCause = 'link'
  /** Whether another says to be the same node, started later; as long as it does not answer. */
  superseded = false
  /** Since when a connection of an entered peer is missing, which may come back. */
  lostAt = Number.POSITIVE_INFINITY
  /** The last round trip of its link, in milliseconds; NaN as long as none was measured. */
  roundTripMs = Number.NaN
  #view: Peer | undefined

  constructor(
    identity: { readonly uuid: Uuid; readonly endpoint: string; readonly source: Source },
    mailbox: Mailbox,
    now: number,
  ) {
    this.mailbox = mailbox
    this.uuid = identity.uuid
    this.endpoint = identity.endpoint
    this.source = identity.source
    this.sinceAt = now
    this.heardAt = now
    this.beaconAt = now
  }

  /** Whether all we know of it is where it is. */
  get nameless(): boolean {
    return this.uuid === this.endpoint
  }

  /** Whether the application was told that it is here: from `enter` until `exit`. */
  get present(): boolean {
    return this.state === 'entered' || this.state === 'evasive' || this.state === 'silent'
  }

  /** Whether both directions are open at this moment. */
  get whole(): boolean {
    return this.link === 'up' && this.inbound !== 0
  }

  /** What others see of it now. */
  view(): Peer {
    const view = this.#view
    if (view !== undefined && view.state === this.state) return view
    this.#view = Object.freeze({
      uuid: this.uuid,
      name: this.name,
      endpoint: this.endpoint,
      headers: this.headers,
      groups: this.groups === undefined ? NO_GROUPS : Object.freeze([...this.groups]),
      state: this.state,
    })
    return this.#view
  }

  /** Somebody at that address told us of it. */
  toldFrom(address: string): void {
    this.teller = address
    this.tellerHolder = holderOf(address)
  }

  /** To be called when anything but `state` has changed. */
  changed(): void {
    this.#view = undefined
  }

  /** The other endpoint is the next to be tried, if there is one. */
  swapEndpoints(): void {
    if (this.otherEndpoint === '') return
    const { endpoint } = this
    this.endpoint = this.otherEndpoint
    this.otherEndpoint = endpoint
    this.changed()
  }

  /** Whether it is told of there already. */
  isKnownAt(endpoint: string): boolean {
    const isOneOfTwo = endpoint === this.endpoint || endpoint === this.otherEndpoint
    return isOneOfTwo || this.moreEndpoints?.includes(endpoint) === true
  }

  /** It is said to be there too, and is where we know it: a node on several networks is (harmony.md 5.5). */
  knowAlso(endpoint: string): void {
    this.newEndpoint = ''
    const known = this.moreEndpoints ?? []
    const others = [this.otherEndpoint, ...known].filter(
      (other) => other !== endpoint && other !== '',
    )
    this.otherEndpoint = endpoint
    if (others.length > 0) this.moreEndpoints = others.slice(0, MORE_ENDPOINTS_MAX)
  }

  /** Forgets what its HELLO told: the next one tells all of it again. */
  reset(): void {
    this.groups = undefined
    this.status = 0
    this.wantSequence = 0
    this.superseded = false
    this.roundTripMs = Number.NaN
    this.#view = undefined
  }
}

/** A snapshot of one peer for diagnostics; ages are in milliseconds, null where nothing was heard or measured. */
export interface PeerDiagnostics extends Peer {
  readonly source: Source
  readonly unreachable: string | null
  /** How many HELLOs we have said to it. */
  readonly epoch: number
  readonly link: LinkState
  /** Messages of ours that wait, their octets, and messages that were written and are not confirmed. */
  readonly waiting: number
  readonly waitingBytes: number
  readonly unconfirmed: number
  /** Whether its ZMTP says what it has read; false as long as there is no link to it. */
  readonly confirms: boolean
  readonly sentSequence: number
  readonly wantSequence: number
  readonly heardMsAgo: number
  readonly beaconMsAgo: number
  readonly roundTripMs: number | null
  readonly failureCount: number
  readonly connections: { readonly inbound: ConnectionId; readonly outbound: ConnectionId }
}

/** What there is to see of a peer. */
export function diagnose(peer: PeerRecord, now: number): PeerDiagnostics {
  return {
    ...peer.view(),
    source: peer.source,
    unreachable: peer.unreachable === '' ? null : peer.unreachable,
    epoch: peer.epoch,
    link: peer.link,
    waiting: peer.mailbox.waiting.messages,
    waitingBytes: peer.mailbox.waiting.bytes,
    unconfirmed: peer.mailbox.unconfirmed,
    confirms: peer.answers,
    sentSequence: peer.mailbox.sequence,
    wantSequence: peer.wantSequence,
    heardMsAgo: now - peer.heardAt,
    beaconMsAgo: now - peer.beaconAt,
    roundTripMs: Number.isNaN(peer.roundTripMs) ? null : peer.roundTripMs,
    failureCount: peer.failureCount,
    connections: { inbound: peer.inbound, outbound: peer.outbound },
  }
}
