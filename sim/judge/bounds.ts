// Holds nodes to their limits: what they keep, what they do, and that nothing is left of them once they have stopped.
// (I12, I13, I17)
// Spec: harmony.md 7, 2.8, docs/guide/diagnostics.md.

import type { LyreEvent } from '../../src/events.ts'
import type { ConnectionRecord, DatagramRecord } from '../history.ts'
import type { Invariant, Report } from './findings.ts'
import { type Contact, type Line, NEVER, type Party } from './parties.ts'
import type { Checker, Truth } from './truth.ts'

/** Beacons of a node: so many at once, and so many in each interval. */
const BEACONS_MIN = 12
const BEACONS_PER_INTERVAL = 1.6
/** Dials of a node: for each other node so many at once, and so many a second. */
const DIALS_MIN = 12
const DIALS_PER_SECOND = 1
/** Dials of a node to one endpoint in so many milliseconds: it is hurried by each beacon, and otherwise waits ever longer. */
const DIALS_WINDOW_MS = 10_000
const DIALS_TO_ONE_MAX = 40
const NO_DESCRIPTOR = 'connect EMFILE '
/** A beacon is never later than so many intervals. */
const BEACON_GAP = 1.25
/** Dials in flight: 32 to those whose HELLO has come, and as many to others. */
const DIALS_IN_FLIGHT_MAX = 64
/** What a stranger gets before it says HELLO, beside as much as it gives. */
const STRANGER_BYTES = 256
/** When nobody connects any more once it is calm. */
const SETTLED_MS = 50_000
/** How long a peer that has gone is looked for: the expired timeout, a sweep, and what clocks differ by (harmony.md 6.3). */
const FORGOTTEN_MS = 33_000
/** Reasons that a node counts by: no neighbour can invent one. */
const COUNTERS_MAX = 128

interface Work {
  /** By the subnet that they were sent on. */
  readonly beacons: Map<string, number>
  dials: number
  inFlight: number
  /** When it last sent a beacon that says that it is there. */
  beaconAt: number
  /** Dials to each endpoint since the present window began. */
  readonly dialsTo: Map<string, number>
  windowAt: number
  /** When it began to count. */
  readonly since: number
}

/** Checks what nodes hold and do. */
export class Bounds implements Checker {
  readonly #truth: Truth
  readonly #report: Report
  readonly #beaconMs: number
  readonly #work = new Map<Party, Work>()
  /** How many connections were made since all had settled. */
  #calmDials = new Map<Party, number>()
  #calmAt = Number.POSITIVE_INFINITY

  /** @param options `beaconMs`: how often a node sends a beacon, by a clock that is as fast as one may be. */
  constructor(truth: Truth, report: Report, { beaconMs }: { readonly beaconMs: number }) {
    this.#truth = truth
    this.#report = report
    this.#beaconMs = beaconMs
  }

  event(party: Party, event: LyreEvent, _contact: Contact | undefined, id: number): void {
    // A collector goes on without its node, for what nodes still tell.
    if (event.type === 'stop' && party.node.logPort === undefined) this.#checkLeft(party, id)
    if (event.type === 'warning' && party.contacts.size > 0) {
      const seen = `${event.code}, and ${party.contacts.size} are there`
      this.#report('I3', { party, expected: 'a warning only of what is so', seen, id })
    }
  }

  datagram({ type, bytes, to }: DatagramRecord, sender: Party): void {
    if (type !== 'sent' || !sender.honest) return
    const work = this.#workOf(sender)
    const seconds = (this.#truth.now - work.since) / this.#beaconMs
    const beacons = 1 + (work.beacons.get(to.address) ?? 0)
    work.beacons.set(to.address, beacons)
    if (beacons > BEACONS_MIN + BEACONS_PER_INTERVAL * seconds) {
      const seen = `${beacons} in ${seconds} intervals`
      this.#complain('I13', { party: sender, expected: 'a beacon in each interval', seen })
    }
    this.#checkRhythm(sender, work, bytes)
    if (bytes.length !== 22) {
      const seen = `${bytes.length} octets`
      this.#complain('I13', { party: sender, expected: 'beacons of 22 octets', seen })
    }
  }

  connection(line: Line, { type, reason }: ConnectionRecord): void {
    const { dialler } = line
    if (!dialler.honest) {
      if (type === 'closed') this.#checkStranger(line)
      return
    }
    const work = this.#workOf(dialler)
    if (type === 'dialled') {
      work.inFlight++
      this.#checkDials(dialler, work, reason)
    }
    // What its own system refuses never leaves the machine, and is nobody's burden.
    if (type === 'closed' && reason.startsWith(NO_DESCRIPTOR)) {
      const endpoint = reason.slice(NO_DESCRIPTOR.length)
      work.dials--
      work.dialsTo.set(endpoint, (work.dialsTo.get(endpoint) ?? 0) - 1)
    }
    if (type === 'opened' && this.#truth.now > this.#calmAt + SETTLED_MS) {
      this.#calmDials.set(dialler, (this.#calmDials.get(dialler) ?? 0) + 1)
    }
    if (type === 'opened' || (type === 'closed' && line.openedAt === Number.NEGATIVE_INFINITY)) {
      if (work.inFlight > 0 && line.acceptor !== dialler) work.inFlight--
    }
  }

  /** It is calm from now on. */
  beginCalm(): void {
    this.#calmAt = this.#truth.now
    this.#calmDials = new Map()
  }

  /** All has settled: nobody holds more than what there is. */
  judgeSettled(): void {
    for (const party of this.#truth.parties.values()) {
      const { lyre } = party.node
      if (lyre === undefined || party.state !== 'started' || party.asleep) continue
      const { peers, connections, dials, arrivals, counters, messages } = lyre.diagnostics()
      const complain = (expected: string, seen: number) =>
        this.#complain('I12', { party, expected, seen: `${seen}` })
      // What TCP sends again at last may have ended the contact with one that died long before.
      const since = this.#truth.now - FORGOTTEN_MS
      const sought = [...party.exits].filter(
        ([uuid, at]) => at > since && !party.contacts.has(uuid),
      )
      const count = party.contacts.size + sought.length
      if (Object.keys(counters).length > COUNTERS_MAX) {
        complain('a few counters', Object.keys(counters).length)
      }
      if (messages.waitingBytes !== 0 && messages.waiting === 0) {
        complain('no octets that wait where no message does', messages.waitingBytes)
      }
      let open = 0
      for (const line of party.lines()) {
        const isOurs = line.dialler === party
        const closedAt = isOurs ? line.diallerClosedAt : line.acceptorClosedAt
        if (closedAt === Number.NEGATIVE_INFINITY) open++
      }
      if (this.#truth.hostile) continue
      if (peers.length > count)
        complain(`${count} peers known, as are there or sought`, peers.length)
      if (connections > 2 * count) complain(`two connections to each of ${count}`, connections)
      if (open > 2 * count) complain(`two open sockets for each of ${count}`, open)
      if (dials > sought.length) complain(`${sought.length} dials in flight at most`, dials)
      if (arrivals > 0) complain('no connection that has not said HELLO', arrivals)
      const recent = this.#calmDials.get(party) ?? 0
      if (recent > 0) {
        const expected = 'no new connection when everybody is here'
        this.#complain('I13', { party, expected, seen: `${recent} in the last seconds` })
      }
    }
  }

  /** Lets go of what is known of a node. */
  forget(party: Party): void {
    this.#work.delete(party)
  }

  #workOf(party: Party): Work {
    let work = this.#work.get(party)
    if (work === undefined) {
      const { now } = this.#truth
      work = {
        beacons: new Map(),
        dials: 0,
        inFlight: 0,
        beaconAt: NEVER,
        dialsTo: new Map(),
        windowAt: now,
        since: now,
      }
      this.#work.set(party, work)
    }
    return work
  }

  /** Others wait for the next beacon of who is awake, and was neither moved nor started anew since. */
  #checkRhythm(party: Party, work: Work, bytes: Uint8Array): void {
    const { now } = this.#truth
    const since = work.beaconAt
    work.beaconAt = bytes[20] === 0 && bytes[21] === 0 ? NEVER : now
    const changedAt = Math.max(party.movedAt, party.cableAt)
    if (work.beaconAt === NEVER || since === NEVER || changedAt > since) return
    if (party.startedAt > since || party.slept(since, now).count > 0) return
    if (now - since <= BEACON_GAP * this.#beaconMs) return
    const seen = `none in ${Math.round(now - since)} ms`
    this.#complain('I13', { party, expected: 'a beacon in each interval', seen })
  }

  #checkDials(party: Party, work: Work, endpoint: string): void {
    const { now } = this.#truth
    if (now - work.windowAt >= DIALS_WINDOW_MS) {
      work.windowAt = now
      work.dialsTo.clear()
    }
    const count = (work.dialsTo.get(endpoint) ?? 0) + 1
    work.dialsTo.set(endpoint, count)
    // Who invents nodes at one place, each of which is dialled, is bounded by the dials in flight.
    if (count > DIALS_TO_ONE_MAX && !this.#truth.hostile) {
      const seen = `${count} in ${Math.round(now - work.windowAt)} ms`
      this.#complain('I13', { party, expected: `few dials to ${endpoint}`, seen })
    }
    const others = this.#truth.parties.size
    const seconds = (now - work.since) / 1_000
    if (++work.dials > others * (DIALS_MIN + DIALS_PER_SECOND * seconds)) {
      const seen = `${work.dials} in ${seconds} s`
      this.#complain('I13', { party, expected: `few dials to ${others} others`, seen })
    }
    if (work.inFlight > DIALS_IN_FLIGHT_MAX) {
      const expected = `at most ${DIALS_IN_FLIGHT_MAX} dials in flight`
      this.#complain('I13', { party, expected, seen: `${work.inFlight}` })
    }
  }

  /** Who never said HELLO got no more than it gave, and a little. */
  #checkStranger(line: Line): void {
    const { acceptor, tap, answerBytes } = line
    if (acceptor === undefined || !acceptor.honest || line.messageCount > 0) return
    const givenBytes = tap?.writtenBytes ?? 0
    if (answerBytes <= givenBytes + STRANGER_BYTES) return
    const expected = `at most ${givenBytes + STRANGER_BYTES} octets to a stranger`
    this.#complain('I13', { party: acceptor, expected, seen: `${answerBytes}` })
  }

  #checkLeft(party: Party, id: number): void {
    const { holds } = party.node
    const left = Object.entries(holds).filter(([, count]) => count > 0)
    if (left.length === 0) return
    const seen = left.map(([what, count]) => `${count} ${what}`).join(', ')
    this.#report('I17', { party, expected: 'nothing left after stop()', seen, id })
  }

  #complain(
    invariant: Invariant,
    { party, expected, seen }: { party: Party; expected: string; seen: string },
  ): void {
    this.#report(invariant, { party, expected, seen })
  }
}
