// Whom harmony.ts dials when: who waits, who is being dialled, how long to wait after a failure, and that nobody can take the
// places of others.
// Spec: harmony.md 2.8, 2.14 and 7.3.

import { isLoopback } from './addresses.ts'
import type { Uuid } from './bytes.ts'
import { Heap, type Heaped } from './heap.ts'
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

/** A peer that waits: who waits for longer has the smaller number. */
interface Turn extends Heaped {
  readonly peer: PeerRecord
  readonly number: number
  /** Undefined before it waits for the first time. */
  line: Line | undefined
}

/**
 * Peers that have the same places. Who waits is in one of two heaps, so that a node that hears of a thousand others does not
 * look through all of them at each dial: in the simulator that was a quarter of a cold start of 500 nodes, and more of more.
 */
interface Line {
  /** In flight, the oldest first. */
  readonly dials: Set<PeerRecord>
  /** Those whose time has not come, the next one first; and those whose time has, whoever waits for longest first. */
  readonly later: Heap<Turn>
  readonly ripe: Heap<Turn>
}

/** An endpoint at which a peer was not, and when it was looked for there. */
interface Deserted {
  readonly peer: PeerRecord
  readonly at: number
}

/** The dials of one node. */
export class Dials {
  readonly #uuid: Uuid
  readonly #dialsMax: number
  readonly #waiting = new Map<PeerRecord, Turn>()
  #turnCount = 0
  /** Of peers whose HELLO was here before, and of others. */
  readonly #proven = createLine()
  readonly #strange = createLine()
  /** How many dials are in flight because of whom: the holders of the addresses that told of nodes that never entered. */
  readonly #byTeller = new Map<string, number>()
  readonly #deserted = new Map<string, Deserted>()

  constructor({ uuid, dialsMax }: { readonly uuid: Uuid; readonly dialsMax: number }) {
    this.#uuid = uuid
    this.#dialsMax = dialsMax
  }

  /** Dials in flight. */
  get count(): number {
    return this.#proven.dials.size + this.#strange.dials.size
  }

  isWaiting(peer: PeerRecord): boolean {
    return this.#waiting.has(peer)
  }

  /** The first dial to a peer; all nodes of a crowd hear of each other in the same order, and would dial the same few at once. */
  waitFirst(peer: PeerRecord, now: number): void {
    const crowd = Math.min(1, (this.#waiting.size + this.count) / 100)
    this.wait(peer, now + Math.floor(CROWD_SPREAD_MS * crowd * this.#share(peer)))
  }

  /** It is to be dialled then. To be called anew for one that waits when it has said HELLO, or its teller is another one. */
  wait(peer: PeerRecord, dialAt: number): void {
    const turn = this.#waiting.get(peer) ?? this.#enqueue(peer)
    takeOut(turn)
    peer.dialAt = dialAt
    turn.line = this.#lineOf(peer)
    turn.line.later.push(turn)
  }

  #enqueue(peer: PeerRecord): Turn {
    const turn = { peer, number: ++this.#turnCount, line: undefined, place: -1 }
    this.#waiting.set(peer, turn)
    return turn
  }

  /** After a failure, or a loss: both sides of a lost link come back at once, so each pair has a time of its own. */
  waitLonger(peer: PeerRecord, now: number): void {
    const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** peer.failureCount)
    peer.failureCount++
    peer.failedAt = now
    this.wait(peer, now + Math.round(backoffMs * (0.5 + this.#share(peer) / 2)))
  }

  /** A peer is not at an endpoint: whoever else is said to be there is not looked for before it is (harmony.md 2.14). */
  desert(endpoint: string, peer: PeerRecord, now: number): void {
    if (this.isWaiting(peer)) this.#deserted.set(endpoint, { peer, at: now })
  }

  /** Until when another is not looked for where a peer is said to be, of which nothing was heard since; -Infinity if it may be. */
  desertedUntil(peer: PeerRecord): number {
    const { endpoint, inbound, beaconAt } = peer
    const deserted = this.#deserted.get(endpoint)
    if (deserted === undefined || deserted.peer === peer) return -NEVER
    const isHeard = inbound !== 0 || beaconAt >= deserted.at
    return isHeard || !this.isWaiting(deserted.peer) ? -NEVER : deserted.peer.dialAt
  }

  /** Lets go of endpoints that nobody waits for any more. */
  sweep(): void {
    for (const [endpoint, { peer }] of this.#deserted) {
      if (!this.isWaiting(peer)) this.#deserted.delete(endpoint)
    }
  }

  /** It is there, so its next dial need not wait longer, but never so little that a peer could keep us busy. */
  hurry(peer: PeerRecord, now: number): void {
    if (!this.#waiting.has(peer) || peer.failureCount === 0) return
    const soonest = this.soonest(peer, now)
    if (soonest < peer.dialAt) this.wait(peer, soonest)
  }

  /** When it may be dialled at the earliest. */
  soonest(peer: PeerRecord, now: number): number {
    return Math.max(now, peer.failedAt + BACKOFF_MIN_MS)
  }

  /** The next peer whose time has come and for whom there is a place: of an address that has fewest dials in flight. */
  due(now: number): PeerRecord | undefined {
    const one = this.#dueIn(this.#proven, now)
    const other = this.#dueIn(this.#strange, now)
    const next = one && other && this.#isBefore(other, one) ? other : (one ?? other)
    return next === undefined || this.#isHeldUp(next) ? undefined : next.peer
  }

  /** When somebody will be due; a moment that nobody is due at after all is one of them at most for each who waits. */
  pollTimeout(): number {
    return Math.min(this.#wakeAt(this.#proven), this.#wakeAt(this.#strange))
  }

  /** It is dialled. @returns the dial that has had its time, and has to end for it. */
  begin(peer: PeerRecord, now: number): PeerRecord | undefined {
    this.remove(peer)
    const { dials } = this.#lineOf(peer)
    const [oldest] = dials
    const isFull = dials.size >= this.#dialsMax
    dials.add(peer)
    peer.dialAt = NEVER
    peer.dialledAt = now
    peer.dialTeller = peer.met || isLoopback(peer.teller) ? '' : peer.tellerHolder
    if (peer.dialTeller !== '') {
      this.#byTeller.set(peer.dialTeller, (this.#byTeller.get(peer.dialTeller) ?? 0) + 1)
    }
    return isFull ? oldest : undefined
  }

  /** Its dial came to an end, good or bad. @returns whether somebody waited for a place. */
  end(peer: PeerRecord): boolean {
    const told = this.#byTeller.get(peer.dialTeller) ?? 0
    const proven = this.#proven.dials
    const strange = this.#strange.dials
    const fullest = Math.max(proven.size, strange.size, told * TELLER_SHARE)
    proven.delete(peer)
    strange.delete(peer)
    if (told > 1) this.#byTeller.set(peer.dialTeller, told - 1)
    else this.#byTeller.delete(peer.dialTeller)
    return fullest >= this.#dialsMax && this.#waiting.size > 0
  }

  /** It is not to be dialled any more. */
  remove(peer: PeerRecord): void {
    const turn = this.#waiting.get(peer)
    if (turn === undefined) return
    takeOut(turn)
    this.#waiting.delete(peer)
  }

  clear(): void {
    for (const peer of this.#waiting.keys()) this.remove(peer)
    this.#proven.dials.clear()
    this.#strange.dials.clear()
    this.#byTeller.clear()
    this.#deserted.clear()
  }

  /** Who has the next turn in a line in which there is a place, if anybody's time has come. */
  #dueIn(line: Line, now: number): Turn | undefined {
    const { later, ripe } = line
    for (let turn = later.first; turn && now >= turn.peer.dialAt; turn = later.first) {
      later.remove(turn)
      ripe.push(turn)
    }
    let next = ripe.first
    if (next === undefined || now < this.#placeAt(line)) return undefined
    // Mostly nobody is being dialled because of whoever told of it, and none can come before it.
    if (this.#told(next.peer) > 0) {
      for (const turn of ripe.items) if (this.#isBefore(turn, next)) next = turn
    }
    return next
  }

  #wakeAt(line: Line): number {
    const { later, ripe } = line
    const isRipe = ripe.items.some((turn) => !this.#isHeldUp(turn))
    const dialAt = isRipe ? -NEVER : (later.first?.peer.dialAt ?? NEVER)
    return Math.max(dialAt, this.#placeAt(line))
  }

  /** When there is a place for a dial: one is free, or the oldest dial has had its time. Strangers have places of their own. */
  #placeAt({ dials }: Line): number {
    if (dials.size < this.#dialsMax) return -NEVER
    const [oldest] = dials
    return (oldest as PeerRecord).dialledAt + PATIENCE_MS
  }

  #isBefore(one: Turn, other: Turn): boolean {
    const more = this.#told(one.peer) - this.#told(other.peer)
    return more < 0 || (more === 0 && one.number < other.number)
  }

  /** Whoever tells of many nodes that never entered does not take the places of all others. */
  #isHeldUp({ peer }: Turn): boolean {
    const told = this.#told(peer)
    return told > 0 && told * TELLER_SHARE >= this.#dialsMax
  }

  /** Dials in flight because of the same address; 0 for whoever entered once. */
  #told({ met, tellerHolder }: PeerRecord): number {
    return met ? 0 : (this.#byTeller.get(tellerHolder) ?? 0)
  }

  #lineOf({ proven }: PeerRecord): Line {
    return proven ? this.#proven : this.#strange
  }

  /** From 0 to 1, different for each pair of nodes: what keeps a crowd from doing the same thing at the same time. */
  #share(peer: PeerRecord): number {
    return (tail(this.#uuid) ^ tail(peer.uuid)) / 0x10000
  }
}

function createLine(): Line {
  const isFirst = (one: Turn, other: Turn) => one.number < other.number
  const isSooner = (one: Turn, other: Turn) => {
    const gapMs = one.peer.dialAt - other.peer.dialAt
    return gapMs < 0 || (gapMs === 0 && isFirst(one, other))
  }
  return { dials: new Set(), later: new Heap(isSooner), ripe: new Heap(isFirst) }
}

function takeOut(turn: Turn): void {
  turn.line?.later.remove(turn)
  turn.line?.ripe.remove(turn)
}

/** The last 16 bits of a uuid, as a number. */
function tail(uuid: Uuid): number {
  return Number.parseInt(uuid.slice(-4), 16)
}
