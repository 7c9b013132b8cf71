// Holds what applications are told of their peers to who is truly there: the grammar of a contact, why and when peers exit,
// how soon they enter, and, once all is calm, that everybody sees everybody with its groups. (I3, I6, I8, I9, I10, I11, I17)
// Spec: harmony.md 3 to 6, docs/guide/events.md. What is silence is measured at the socket, not asked of the node.
// Past 600 lines because why two nodes part is one question, whatever parted them.

import type { Uuid, ZreMessage } from '../../protocol/index.ts'
import type { LyreEvent } from '../../src/events.ts'
import type { Action } from '../../src/stage.ts'
import type { Report } from './findings.ts'
import type { Contact, Line, Party } from './parties.ts'
import type { Checker, Truth } from './truth.ts'

/** What the nodes of a run are told to do when; all alike. */
export interface Timing {
  readonly evasiveMs: number
  readonly silentMs: number
  readonly expiredMs: number
  readonly beaconMs: number
  /** The longest that something takes from one node to another where nothing is wrong, about. */
  readonly travelMs: number
  /** By what part clocks go fast or slow at most, and how long datagrams may wait for a radio that sleeps. */
  readonly drift: number
  readonly waitMs: number
  /** Whether all octets are told of. */
  readonly exact: boolean
  /** Whether beacons are lost or late. */
  readonly lossy: boolean
  /** Whether connections carry so little that messages wait. */
  readonly slow: boolean
  /** Whether beacons are lost by chance alone, and at most three of ten. */
  readonly steady: boolean
  /** Whether limits are so small that peers may exceed them. */
  readonly narrow: boolean
  /** Of a crowd of this size, not all are dialled at once. */
  readonly nodes: number
}

const NEVER = Number.NEGATIVE_INFINITY
/** Deadlines are looked at once a second; and how much a timer, a turn and a clock's rounding take. */
const SWEEP_MS = 1_000
const TICK_MS = 50
/** A probe's time, less the last second in which any octet counts. */
const PROBE_MS = 1_500
const PROBE_SILENCE_MS = 990
/** How long what went wrong may still show: all that a node waits for, one after the other. */
const AFTERMATH_MS = 60_000
/** How long a stop may take to be seen (harmony.md 5.3). */
const GOODBYE_MS = 2_000
/** Until who has another subnet in common talks there. */
const REROUTE_MS = 15_000
/** Until a node has seen that its machine moved, and a link has not come back. */
const MOVING_MS = 9_000

/** Checks the events of honest nodes. */
export class Presence implements Checker {
  readonly #truth: Truth
  readonly #report: Report
  readonly #timing: Timing
  /** How long pairs took to enter at which nothing but loss went wrong, in milliseconds, for a percentile. */
  readonly delays: number[] = []

  /** Of nodes that stop, to whom they have not said goodbye. */
  readonly #leaving = new Map<Party, Set<Uuid>>()

  constructor(truth: Truth, report: Report, timing: Timing) {
    this.#truth = truth
    this.#report = report
    this.#timing = timing
  }

  action(party: Party, { type }: Action): void {
    if (type !== 'stop') return
    const { now } = this.#truth
    const reached = new Set<Uuid>()
    for (const { dialler, acceptor, openedAt, diallerClosedAt } of party.lines()) {
      const isOurs = dialler === party && diallerClosedAt === NEVER
      // One that is new may still be asked whether it goes on.
      if (!isOurs || acceptor === undefined || !(openedAt < now - SWEEP_MS)) continue
      if (openedAt !== NEVER && party.contacts.has(acceptor.uuid)) reached.add(acceptor.uuid)
    }
    this.#leaving.set(party, reached)
  }

  written({ dialler, acceptor }: Line, message: ZreMessage | undefined): void {
    if (message?.type !== 'goodbye' || acceptor === undefined) return
    this.#leaving.get(dialler)?.delete(acceptor.uuid)
  }

  delivered({ dialler, acceptor, helloAt }: Line, message: ZreMessage | undefined): void {
    if (message?.type !== 'goodbye' || acceptor === undefined) return
    const contact = acceptor.contacts.get(dialler.uuid)
    // What another connection says beside the peer's own is not heard; nor what is held when it closes.
    if (contact === undefined || contact.at === this.#truth.now) return
    if (helloAt > contact.at) return
    let count = 0
    for (const line of acceptor.linesWith(contact.uuid)) {
      const isTheirs = line.acceptor === acceptor
      if (isTheirs && line.acceptorClosedAt === NEVER && line.helloAt <= this.#truth.now) count++
    }
    if (count === 1) contact.left = true
  }

  event(party: Party, event: LyreEvent, contact: Contact | undefined, id: number): void {
    if (event.type === 'stop') {
      this.#checkFarewell(party, id)
      if (party.contacts.size > 0) {
        const expected = 'an exit of each peer before stop'
        this.#report('I3', { party, expected, seen: `${party.contacts.size} had none`, id })
      }
      return
    }
    if (event.type === 'warning') return
    const { uuid } = event.peer
    const peer = this.#truth.byUuid.get(uuid)
    const complain = (expected: string) =>
      this.#report('I3', { party, peer, expected, seen: event.type, id })
    if (event.type === 'enter') {
      if (contact !== undefined) complain('no second enter without an exit')
      if (uuid === party.uuid) complain('no event about itself')
      this.#checkDiscovery(party, peer, id)
      return
    }
    if (contact === undefined) complain(`no ${event.type} but between enter and exit`)
    else this.#checkGrammar(party, { event, contact, complain, id })
    if (contact !== undefined && event.type === 'exit')
      this.#checkExit(party, { peer, event, contact, id })
  }

  #checkGrammar(
    party: Party,
    {
      event,
      contact,
      complain,
      id,
    }: {
      readonly event: Exclude<LyreEvent, { type: 'stop' | 'warning' | 'enter' }>
      readonly contact: Contact
      readonly complain: (expected: string) => void
      readonly id: number
    },
  ): void {
    switch (event.type) {
      case 'join':
        if (contact.groups?.has(event.group)) complain('one join of a group')
        if (!event.peer.groups.includes(event.group)) complain('a peer that is in the group')
        break
      case 'leave':
        if (!contact.groups?.has(event.group)) complain('a leave after a join')
        if (event.peer.groups.includes(event.group)) complain('a peer that is not in the group')
        break
      case 'shout':
        if (!party.groups.get(event.group)?.isIn) complain('no shout to a group that it is not in')
        break
      case 'evasive':
      case 'silent':
        this.#checkQuiet(party, { event, contact, id })
        break
      case 'whisper':
      case 'exit':
        break
    }
  }

  /** How long a peer is quiet as the rules count it, and how long no octets came; less what the node slept (harmony.md 4.4). */
  #quiet(
    party: Party,
    { uuid, at }: Contact,
  ): { readonly ms: number; readonly octetsMs: number; readonly awake: boolean } {
    const { now } = this.#truth
    const { octetsAt, beaconAt, trouble } = party.hears(uuid)
    const heardAt = Math.max(octetsAt, at)
    const perhapsAt = Math.max(heardAt, trouble.maybeAt)
    const creditMs = this.#timing.expiredMs / 2
    const lifeAt = Math.max(perhapsAt, Math.min(beaconAt, perhapsAt + creditMs))
    const slept = party.slept(heardAt - SWEEP_MS, now)
    // A sweep that is late by a second counts: so does a pause of up to two (harmony.md 4.7).
    const sleptMs = Math.max(0, slept.ms - 2 * SWEEP_MS * slept.count)
    return { ms: now - lifeAt, octetsMs: now - heardAt - sleptMs, awake: slept.count === 0 }
  }

  #checkQuiet(
    party: Party,
    {
      event,
      contact,
      id,
    }: {
      readonly event: { readonly type: 'evasive' | 'silent' }
      readonly contact: Contact
      readonly id: number
    },
  ): void {
    const { type } = event
    const peer = this.#truth.byUuid.get(contact.uuid)
    const dueMs = type === 'evasive' ? this.#timing.evasiveMs : this.#timing.silentMs
    const { octetsAt, beaconAt, trouble } = party.hears(contact.uuid)
    const lifeAt = Math.max(octetsAt, trouble.maybeAt, beaconAt, contact.at)
    const { ms, octetsMs, awake } = this.#quiet(party, contact)
    const about = { party, peer, id }
    if (octetsMs < this.#early(dueMs)) {
      const expected = `${type} after ${dueMs} ms of silence`
      this.#report('I10', { ...about, expected, seen: `${Math.round(octetsMs)} ms` })
    }
    const isLate = ms > this.#late(dueMs + SWEEP_MS) && awake
    // One that was heard for a moment, between two sweeps, is evasive again when it is quiet for as long again.
    const before = type === 'evasive' ? contact.evasiveAt : contact.silentAt
    if (isLate && before < lifeAt) {
      const expected = `${type} by ${dueMs + SWEEP_MS} ms of silence`
      this.#report('I10', { ...about, expected, seen: `${Math.round(ms)} ms` })
    }
    if (before > lifeAt && this.#timing.exact) {
      this.#report('I3', { ...about, expected: `${type} once, until it is heard`, seen: 'twice' })
    }
    if (type === 'silent' && contact.evasiveAt === NEVER) {
      this.#report('I3', { ...about, expected: 'evasive before silent', seen: 'silent' })
    }
  }

  /** When a clock that is fast may show that so much time has passed. */
  #early(ms: number): number {
    return ms * (1 - this.#timing.drift) - TICK_MS
  }

  /** When one that is slow shows it at the latest, and it was acted upon. */
  #late(ms: number): number {
    return ms * (1 + this.#timing.drift) + this.#slackMs
  }

  /** At message fidelity the history does not tell of handshakes and of PINGs of ZMTP, which are signs of life, too. */
  get #slackMs(): number {
    return this.#timing.exact ? 250 + TICK_MS : 60_000
  }

  // Exits.

  #checkExit(
    party: Party,
    {
      peer,
      event,
      contact,
      id,
    }: {
      readonly peer: Party | undefined
      readonly event: Extract<LyreEvent, { type: 'exit' }>
      readonly contact: Contact
      readonly id: number
    },
  ): void {
    const { cause } = event
    if (cause === 'stop') {
      if (party.state === 'stopping') return
      this.#report('I9', { party, peer, expected: 'cause stop at stop() only', seen: cause, id })
      return
    }
    // Who is none of ours may have to go for any reason.
    if (peer === undefined || !peer.honest || contact.forged) return
    const why = this.#missingReason(party, { peer, cause, contact })
    if (why === undefined) return
    const seen = `exit with cause ${cause}, lost ${event.lost}`
    this.#report('I9', { party, peer, expected: why, seen, id })
  }

  /** @returns what should have been there, in vain, for an exit with this cause. */
  #missingReason(
    party: Party,
    {
      peer,
      cause,
      contact,
    }: { readonly peer: Party; readonly cause: string; readonly contact: Contact },
  ): string | undefined {
    const { now } = this.#truth
    const heard = party.hears(peer.uuid)
    const { octetsMs, ms, awake } = this.#quiet(party, contact)
    const { expiredMs } = this.#timing
    if (contact.left && cause !== 'goodbye') return 'cause goodbye, since it said so'
    // It is not where it was, or a datagram said so, or something is left of who was there before it.
    const isAway =
      peer.state !== 'started' ||
      // It may not have seen it by then.
      peer.movedAt + MOVING_MS > contact.at ||
      Math.max(peer.startedAt, this.#reroutedAt(party, peer)) > contact.at ||
      heard.trouble.doubtAt > contact.at ||
      this.#hasGhost(peer, contact)
    // Whose machine has another address closes what it had at the one before, whatever it asked just then.
    const movedSince = (cause === 'link' ? contact.at : now) - MOVING_MS
    if (party.movedAt > movedSince && !/limit|sequence|refused/.test(cause)) return undefined
    switch (cause) {
      case 'expired': {
        if (octetsMs >= this.#early(expiredMs)) {
          const isLate = ms > this.#late(expiredMs + SWEEP_MS)
          if (isLate && awake) return `an exit by ${expiredMs + SWEEP_MS} ms of silence, not ${ms}`
          // Who is asked because of a doubt, or because a connection was just lost, has 1.5 s, evasive or not.
          const isAsked =
            heard.trouble.doubtAt > contact.at ||
            heard.trouble.lostAt > now - 2 * PROBE_MS ||
            this.#hasSuccessor(peer, contact)
          // Octets make it an entered peer again, which is evasive first when it is quiet anew.
          const wasTold = contact.evasiveAt >= Math.max(heard.octetsAt, contact.at)
          if (!wasTold && awake && !isAsked) return 'evasive before expired'
          return undefined
        }
        // It did not answer when there was doubt, such as of another node where it was (harmony.md 2.10).
        if (isAway && (octetsMs >= PROBE_SILENCE_MS || heard.trouble.lostAt >= contact.at))
          return undefined
        return `silence of ${expiredMs} ms, not ${Math.round(octetsMs)}`
      }
      case 'goodbye': {
        if (contact.left || peer.stoppingAt > contact.at - AFTERMATH_MS) return undefined
        // Another node has its uuid since.
        if (peer.startedAt > contact.at) return undefined
        if (peer.crashedAt > contact.at - AFTERMATH_MS) return undefined
        if (heard.trouble.goodbyeAt > contact.at - PROBE_MS && octetsMs >= PROBE_SILENCE_MS)
          return undefined
        if (heard.trouble.goodbyeAt > now - 2 * PROBE_MS && heard.trouble.lostAt > contact.at)
          return undefined
        return 'a peer that stopped'
      }
      case 'limit':
        return this.#timing.narrow ? undefined : 'a mailbox that is full'
      case 'sequence':
      case 'refused':
        return 'a peer that breaks a rule'
      case 'restart':
        // It may have come before, over a connection that waited for this one to fail (harmony.md 5.4).
        if (heard.helloAt < contact.at - AFTERMATH_MS) return 'a HELLO that was new'
        return this.#parted(party, peer, contact)
      case 'link':
        // It is said to be elsewhere, and does not answer where it was (harmony.md 5.5).
        if (octetsMs >= PROBE_SILENCE_MS && (isAway || this.#isHeardElsewhere(party, peer))) {
          return undefined
        }
        if (
          heard.trouble.lostAt < contact.at - TICK_MS &&
          !this.#isSilenced(party, peer, contact)
        ) {
          return 'a connection that was lost, and not by the node itself'
        }
        return this.#parted(party, peer, contact)
      default:
        return `a cause that there is, not ${cause}`
    }
  }

  #reroutedAt(party: Party, peer: Party): number {
    return this.#truth.between(party, peer).reroutedAt
  }

  /** Whether another node was at its machine not long before, whose connections nobody may have ended. */
  #hasGhost({ machine }: Party, contact: { readonly at: number }): boolean {
    for (const other of this.#truth.parties.values()) {
      const goneAt = Math.max(other.crashedAt, other.stoppedAt)
      if (other.machine === machine && goneAt > contact.at - AFTERMATH_MS) return true
    }
    return false
  }

  /** Whether another node is at its machine since, which says that it is where the peer was. */
  #hasSuccessor({ machine }: Party, contact: { readonly at: number }): boolean {
    for (const other of this.#truth.parties.values()) {
      if (other.machine === machine && other.startedAt > contact.at) return true
    }
    return false
  }

  /** @returns what is missing, when nothing has happened to either side, or between them, that could part them. */
  #parted(party: Party, peer: Party, contact: Contact): string | undefined {
    if (this.#timing.narrow) return undefined
    const since = Math.min(contact.at - 10_000, this.#truth.now - AFTERMATH_MS)
    const from = Math.max(since, contact.at - AFTERMATH_MS)
    for (const one of [party, peer]) {
      const { startedAt, stoppingAt, crashedAt, movedAt, shortAt } = one
      if (Math.max(startedAt, stoppingAt, crashedAt, movedAt, shortAt) > from) return undefined
      if (one.slept(from, this.#truth.now).ms > PROBE_SILENCE_MS) return undefined
    }
    // It came back under the same uuid.
    if (peer.startedAt > contact.at) return undefined
    const between = this.#truth.between(party, peer)
    if (Math.max(between.resetAt, between.reroutedAt) > from) return undefined
    // It has ended a connection of the contact before, and we were not told until now, or are not yet.
    const { lostAt, lostSince } = party.hears(peer.uuid).trouble
    if (lostAt === this.#truth.now && lostSince < contact.at - 10_000) return undefined
    for (const line of party.linesWith(peer.uuid)) {
      const isTheirs = line.acceptor === party
      if (isTheirs && line.diallerClosedAt !== NEVER && line.at < contact.at) return undefined
    }
    // It gave up on us while we still asked whoever was there before it: both wait for 1.5 s.
    if (party.hears(peer.uuid).trouble.gaveUpAt > contact.at - 10_000) return undefined
    // It parted from us, for a reason that it was held to itself.
    const exitAt = peer.exits.get(party.uuid) ?? NEVER
    if (exitAt > contact.at - 10_000) return undefined
    if (!peer.contacts.has(party.uuid) && this.#isSilenced(party, peer, contact)) return undefined
    return 'something that went wrong with either, or between them'
  }

  /** Whether nothing came through between two nodes for a while, lately. */
  #isSilenced(party: Party, peer: Party, contact: Contact): boolean {
    const { cuts, quietUntil, reroutedAt } = this.#truth.between(party, peer)
    return cuts > 0 || Math.max(quietUntil, reroutedAt) > contact.at - 10_000
  }

  /** Whether its beacons may come on another subnet than its link, and it cannot answer over that, or only later. */
  #isHeardElsewhere(party: Party, peer: Party): boolean {
    const { now } = this.#truth
    const { cuts, quietUntil } = this.#truth.between(party, peer)
    const isQuiet = cuts > 0 || quietUntil > now
    const wasAway = peer.slept(now - PROBE_MS, now).ms >= PROBE_SILENCE_MS
    return (isQuiet || wasAway) && sharedSubnets(party, peer).length > 1
  }

  // Entering.

  /** @returns from when on two nodes could find each other; undefined when anything went wrong since. */
  #readySince(party: Party, peer: Party): number | undefined {
    const since = Math.max(party.startedAt, peer.startedAt)
    const { now } = this.#truth
    if (party.state !== 'started' || peer.state !== 'started') return undefined
    for (const one of [party, peer]) {
      if (one.slept(since, now).count > 0 || one.movedAt > since - AFTERMATH_MS) return undefined
      if (one.shortAt > since) return undefined
    }
    const { cuts, quietUntil, resetAt, reroutedAt } = this.#truth.between(party, peer)
    if (cuts > 0 || Math.max(quietUntil, resetAt, reroutedAt) > since) return undefined
    return since
  }

  #checkDiscovery(party: Party, peer: Party | undefined, id: number): void {
    if (peer === undefined || !peer.honest || this.#truth.hostile) return
    const since = this.#readySince(party, peer)
    if (since === undefined || (party.exits.get(peer.uuid) ?? NEVER) > since) return
    const delayMs = this.#truth.now - since
    const { lossy, steady } = this.#timing
    if (lossy) {
      if (steady && this.delays.length < 100_000) this.delays.push(delayMs)
      return
    }
    this.#checkDelay(party, { peer, delayMs, id })
  }

  #checkDelay(
    party: Party,
    { peer, delayMs, id }: { readonly peer: Party; readonly delayMs: number; readonly id?: number },
  ): void {
    const { beaconMs, travelMs, nodes, drift, waitMs } = this.#timing
    // The first dials of a crowd are spread, and there are so many at once; a port with a new owner takes a round more.
    const crowdMs = 700 + 20 * Math.max(0, nodes - 30)
    const { now } = this.#truth
    const ghost = { at: now - AFTERMATH_MS / 2 }
    const reuseMs = this.#hasGhost(peer, ghost) || this.#hasGhost(party, ghost) ? 3_000 : 0
    const boundMs = 2 * beaconMs * (1 + drift) + waitMs + 3 * travelMs + crowdMs + reuseMs
    if (delayMs <= boundMs) return
    const expected = `enter within ${Math.round(boundMs)} ms`
    const seen = `${Math.round(delayMs)} ms`
    this.#report('I11', { party, peer, expected, seen, ...(id !== undefined && { id }) })
  }

  // From time to time.

  /** What should have happened by now. */
  judgeSecond(): void {
    const { now } = this.#truth
    const stopped: Party[] = []
    for (const party of this.#truth.parties.values()) {
      if (party.state === 'stopped' && party.stoppedAt > now - AFTERMATH_MS) stopped.push(party)
    }
    for (const party of this.#truth.parties.values()) {
      if (!party.honest || party.state !== 'started' || party.asleep) continue
      if (now >= party.lookAt) this.#checkSilences(party)
      for (const { uuid } of stopped) {
        const contact = party.contacts.get(uuid)
        if (contact !== undefined) this.#checkGoodbye(party, contact)
      }
    }
    this.#checkRerouted()
  }

  /** Where a subnet is gone, and there is another way, nobody is missed for long. */
  #checkRerouted(): void {
    const { rerouted, now } = this.#truth
    const index = rerouted.findIndex(({ at }) => now - at < REROUTE_MS)
    for (const { at, one, other } of rerouted.splice(0, index < 0 ? rerouted.length : index)) {
      if (this.#timing.lossy || this.#timing.slow || this.#timing.narrow) return
      if (Math.max(one.cableAt, other.cableAt) > at || one.state !== 'started') continue
      if (this.#isDisturbed(one, other, at - REROUTE_MS, at)) continue
      const subnets = sharedSubnets(one, other)
      for (const [party, peer] of [
        [one, other],
        [other, one],
      ] as const) {
        if (subnets.length === 0 || isLinked(party, peer, subnets)) continue
        const expected = `a link to it ${REROUTE_MS} ms after one subnet of several was gone`
        this.#report('I11', { party, peer, expected, seen: 'none' })
      }
    }
  }

  /** This is asked of all pairs: who was heard last the longest ago says when it has to be asked again. */
  #checkSilences(party: Party): void {
    const { now } = this.#truth
    const { expiredMs } = this.#timing
    party.lookAt = now + expiredMs
    for (const contact of party.contacts.values()) {
      const heardAt = Math.max(party.heard.get(contact.uuid)?.octetsAt ?? NEVER, contact.at)
      if (now - heardAt >= expiredMs) this.#checkSilence(party, contact)
      party.lookAt = Math.min(party.lookAt, Math.max(now, heardAt + expiredMs))
    }
  }

  #checkSilence(party: Party, contact: Contact): void {
    const { ms, awake } = this.#quiet(party, contact)
    const boundMs = this.#timing.expiredMs + SWEEP_MS
    if (ms <= this.#late(boundMs) || !awake) return
    const peer = this.#truth.byUuid.get(contact.uuid)
    const expected = `an exit by ${boundMs} ms of silence`
    this.#report('I10', { party, peer, expected, seen: `${Math.round(ms)} ms and no exit` })
  }

  /** A node that stops says so to everybody who is there and can hear it. */
  #checkFarewell(party: Party, id: number): void {
    for (const uuid of this.#leaving.get(party) ?? []) {
      const peer = this.#truth.byUuid.get(uuid)
      if (peer === undefined || !peer.honest || this.#timing.slow) continue
      if (this.#truth.hostile) continue
      const since = party.stoppingAt - AFTERMATH_MS
      if (this.#isDisturbed(party, peer, since)) continue
      this.#report('I17', { party, peer, expected: 'GOODBYE before stop', seen: 'none', id })
    }
    this.#leaving.delete(party)
  }

  /** Whether anything went wrong with either, or between them, since then. */
  #isDisturbed(party: Party, peer: Party, since: number, reroutedSince = since): boolean {
    const { cuts, quietUntil, resetAt, reroutedAt } = this.#truth.between(party, peer)
    if (cuts > 0 || Math.max(quietUntil, resetAt) > since || reroutedAt > reroutedSince) return true
    for (const one of [party, peer]) {
      if (one.slept(since, this.#truth.now).count > 0) return true
      if (one.movedAt > since || one.shortAt > since) return true
    }
    return peer.state !== 'started'
  }

  /** A node that stopped has been seen to leave. */
  #checkGoodbye(party: Party, contact: Contact): void {
    const peer = this.#truth.byUuid.get(contact.uuid)
    if (peer === undefined || peer.state !== 'stopped' || this.#timing.lossy) return
    const { now } = this.#truth
    const boundMs = GOODBYE_MS + SWEEP_MS + 3 * this.#timing.travelMs
    if (now - peer.stoppedAt < boundMs || contact.at > peer.stoppingAt - boundMs) return
    const since = peer.stoppingAt - AFTERMATH_MS
    const { cuts, quietUntil, resetAt, reroutedAt } = this.#truth.between(party, peer)
    if (cuts > 0 || quietUntil > peer.stoppingAt || Math.max(resetAt, reroutedAt) > since) return
    if (party.slept(since, now).count > 0 || peer.slept(since, now).count > 0) return
    if (peer.movedAt > since || party.movedAt > since) return
    if (peer.shortAt > since || party.shortAt > since) return
    const seen = `none ${Math.round(now - peer.stoppedAt)} ms after it`
    this.#report('I17', { party, peer, expected: 'an exit soon after stop()', seen })
  }

  /** All is well for long enough: everybody sees everybody, and what they are in. */
  judgeCalm(): void {
    const living = [...this.#truth.parties.values()].filter(
      ({ honest, state, asleep }) => honest && state === 'started' && !asleep,
    )
    const uuids = new Set(living.map(({ uuid }) => uuid))
    for (const party of living) {
      for (const peer of living) if (peer !== party) this.#checkPair(party, peer)
      for (const { uuid } of party.contacts.values()) {
        const peer = this.#truth.byUuid.get(uuid)
        if (uuids.has(uuid) || peer === undefined) continue
        const expected = 'no peer but those that are there'
        this.#report('I8', { party, peer, expected, seen: `${peer.state} and no exit` })
      }
      this.#checkAnswers(party)
    }
    this.#checkDelays()
  }

  #checkPair(party: Party, peer: Party): void {
    const contact = party.contacts.get(peer.uuid)
    if (contact === undefined) {
      // Who started a moment ago has its time.
      const since = Math.max(party.startedAt, peer.startedAt)
      const isNew = since > this.#truth.now - 10_000
      if (isNew) return
      this.#report('I8', { party, peer, expected: 'it sees the peer', seen: 'it does not' })
      return
    }
    const own = peer.ownGroups().sort().join(' ')
    const held = [...(contact.groups ?? [])].sort().join(' ')
    if (own === held) return
    this.#report('I6', { party, peer, expected: `groups ${own}`, seen: `groups ${held}` })
  }

  /** What a node answers when it is asked is what it told. */
  #checkAnswers(party: Party): void {
    const { lyre } = party.node
    if (lyre === undefined) return
    const told = [...party.contacts.keys()].sort().join(' ')
    const answered = lyre
      .peers()
      .map(({ uuid }) => uuid)
      .sort()
      .join(' ')
    if (told !== answered) {
      this.#report('I8', { party, expected: `peers() ${told}`, seen: answered })
    }
    const byGroup = new Map<string, Uuid[]>()
    for (const { uuid, groups } of party.contacts.values()) {
      for (const group of groups ?? []) {
        const members = byGroup.get(group) ?? []
        members.push(uuid)
        byGroup.set(group, members)
      }
    }
    const groups = [...byGroup.keys()].sort().join(' ')
    const seen = lyre.peerGroups().sort().join(' ')
    if (groups !== seen) this.#report('I6', { party, expected: `peerGroups() ${groups}`, seen })
    for (const [group, members] of byGroup) {
      const found = lyre.peersInGroup(group).map(({ uuid }) => uuid)
      if (found.sort().join(' ') === members.sort().join(' ')) continue
      const expected = `peersInGroup(${group}) ${members.join(' ')}`
      this.#report('I6', { party, expected, seen: found.join(' ') })
    }
  }

  /** At up to 30 % loss, 999 of 1,000 are there within 8 s. */
  #checkDelays(): void {
    if (this.delays.length < 2_000) return
    const sorted = [...this.delays].sort((one, other) => one - other)
    const delay = sorted[Math.ceil(0.999 * sorted.length) - 1] as number
    const boundMs = 8_000 * (1 + this.#timing.drift) + this.#timing.waitMs
    if (delay <= boundMs) return
    this.#report('I11', {
      expected: `999 of 1,000 enter within ${boundMs} ms`,
      seen: `${delay} ms`,
    })
  }
}

/** The numbers of the subnets that both are on. */
function sharedSubnets(one: Party, other: Party): number[] {
  const subnetOf = (address: string) => Number(address.split('.', 2)[1])
  const subnets = one.node.addresses.map(subnetOf)
  return other.node.addresses.map(subnetOf).filter((subnet) => subnets.includes(subnet))
}

/** Whether one has entered the other, and a connection to it on one of these subnets. */
function isLinked(party: Party, peer: Party, subnets: readonly number[]): boolean {
  if (!party.contacts.has(peer.uuid)) return false
  return party
    .linesWith(peer.uuid)
    .some((line) => line.dialler === party && line.open && subnets.includes(line.subnet))
}
