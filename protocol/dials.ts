// Whom harmony.ts dials when: who waits, who is being dialled, how long to wait after a failure, and that nobody can take the
// places of others.
// Spec: harmony.md 2.8 and 7.3.

import type { Uuid } from './bytes.ts'
import { isLoopback } from './endpoints.ts'
import type { PeerRecord } from './peers.ts'

const BACKOFF_MIN_MS = 100
const BACKOFF_MAX_MS = 2_000
/** What the first dials are spread over when a hundred nodes or more come at once. */
const CROWD_SPREAD_MS = 200
/** What a dial may take while others wait for its place. */
const PATIENCE_MS = 5_000
/** Of the dials in flight, one address can cause this part by nodes that never entered. */
const TELLER_SHARE = 4
const NEVER = Number.POSITIVE_INFINITY

/** The dials of one node. */
export class Dials {
  readonly #uuid: Uuid
  readonly #dialsMax: number
  /** In the order they came. */
  readonly #waiting = new Set<PeerRecord>()
  /** In flight, the oldest first: to peers whose HELLO was here before, and to others. */
  readonly #proven = new Set<PeerRecord>()
  readonly #strange = new Set<PeerRecord>()
  /** How many of them because of whom: the addresses that told of nodes that never entered. */
  readonly #byTeller = new Map<string, number>()

  constructor({ uuid, dialsMax }: { readonly uuid: Uuid; readonly dialsMax: number }) {
    this.#uuid = uuid
    this.#dialsMax = dialsMax
  }

  /** Dials in flight. */
  get count(): number {
    return this.#proven.size + this.#strange.size
  }

  isWaiting(peer: PeerRecord): boolean {
    return this.#waiting.has(peer)
  }

  /** The first dial to a peer; all nodes of a crowd hear of each other in the same order, and would dial the same few at once. */
  waitFirst(peer: PeerRecord, now: number): void {
    const crowd = Math.min(1, (this.#waiting.size + this.count) / 100)
    this.wait(peer, now + Math.floor(CROWD_SPREAD_MS * crowd * this.#share(peer)))
  }

  wait(peer: PeerRecord, dialAt: number): void {
    peer.dialAt = dialAt
    this.#waiting.add(peer)
  }

  /** After a failure, or a loss: both sides of a lost link come back at once, so each pair has a time of its own. */
  waitLonger(peer: PeerRecord, now: number): void {
    const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** peer.failureCount)
    peer.failureCount++
    peer.failedAt = now
    this.wait(peer, now + Math.round(backoffMs * (0.5 + this.#share(peer) / 2)))
  }

  /** It is there, so its next dial need not wait longer, but never so little that a peer could keep us busy. */
  hurry(peer: PeerRecord, now: number): void {
    if (!this.#waiting.has(peer) || peer.failureCount === 0) return
    peer.dialAt = Math.min(peer.dialAt, this.soonest(peer, now))
  }

  /** When it may be dialled at the earliest. */
  soonest(peer: PeerRecord, now: number): number {
    return Math.max(now, peer.failedAt + BACKOFF_MIN_MS)
  }

  /** The next peer whose time has come and for whom there is a place: of an address that has fewest dials in flight. */
  due(now: number): PeerRecord | undefined {
    let next: PeerRecord | undefined
    let fewest = NEVER
    for (const peer of this.#waiting) {
      if (now < peer.dialAt || now < this.#placeAt(peer)) continue
      const told = this.#told(peer)
      if (told === 0) return peer
      if (told >= fewest) continue
      next = peer
      fewest = told
    }
    return next
  }

  /** When somebody will be due. */
  pollTimeout(): number {
    let at = NEVER
    for (const peer of this.#waiting) at = Math.min(at, Math.max(peer.dialAt, this.#placeAt(peer)))
    return at
  }

  /** It is dialled. @returns the dial that has had its time, and has to end for it. */
  begin(peer: PeerRecord, now: number): PeerRecord | undefined {
    this.#waiting.delete(peer)
    const dials = this.#dialsLike(peer)
    const [oldest] = dials
    const isFull = dials.size >= this.#dialsMax
    dials.add(peer)
    peer.dialAt = NEVER
    peer.dialledAt = now
    peer.dialTeller = peer.met || isLoopback(peer.teller) ? '' : peer.teller
    if (peer.dialTeller !== '') {
      this.#byTeller.set(peer.teller, (this.#byTeller.get(peer.teller) ?? 0) + 1)
    }
    return isFull ? oldest : undefined
  }

  /** Its dial came to an end, good or bad. @returns whether somebody waited for a place. */
  end(peer: PeerRecord): boolean {
    const told = this.#byTeller.get(peer.dialTeller) ?? 0
    const fullest = Math.max(this.#proven.size, this.#strange.size, told * TELLER_SHARE)
    this.#proven.delete(peer)
    this.#strange.delete(peer)
    if (told > 1) this.#byTeller.set(peer.dialTeller, told - 1)
    else this.#byTeller.delete(peer.dialTeller)
    return fullest >= this.#dialsMax && this.#waiting.size > 0
  }

  /** It is not to be dialled any more. */
  remove(peer: PeerRecord): void {
    this.#waiting.delete(peer)
  }

  clear(): void {
    this.#waiting.clear()
    this.#proven.clear()
    this.#strange.clear()
    this.#byTeller.clear()
  }

  /**
   * When there is a place for a dial: one is free, or the oldest dial has had its time. Strangers cannot take the places of
   * those whose HELLO is here, nor who tells of many those of all others.
   */
  #placeAt(peer: PeerRecord): number {
    const told = this.#told(peer)
    if (told > 0 && told * TELLER_SHARE >= this.#dialsMax) return NEVER
    const dials = this.#dialsLike(peer)
    if (dials.size < this.#dialsMax) return -NEVER
    const [oldest] = dials
    return (oldest as PeerRecord).dialledAt + PATIENCE_MS
  }

  /** Dials in flight because of the same address; 0 for whoever entered once. */
  #told({ met, teller }: PeerRecord): number {
    return met ? 0 : (this.#byTeller.get(teller) ?? 0)
  }

  #dialsLike({ proven }: PeerRecord): Set<PeerRecord> {
    return proven ? this.#proven : this.#strange
  }

  /** From 0 to 1, different for each pair of nodes: what keeps a crowd from doing the same thing at the same time. */
  #share(peer: PeerRecord): number {
    return (tail(this.#uuid) ^ tail(peer.uuid)) / 0x10000
  }
}

/** The last 16 bits of a uuid, as a number. */
function tail(uuid: Uuid): number {
  return Number.parseInt(uuid.slice(-4), 16)
}
