// Holds a run to what must be true, from outside: it observes the true history, keeps it, and lets the checkers look. While
// the weather is bad, only what is always true; once it was calm for as long as everybody may need, that all agree.

import type { Faults } from '../faults.ts'
import type { SimulatedNode } from '../history.ts'
import type { Simulation } from '../simulation.ts'
import { Bounds } from './bounds.ts'
import { Delivery } from './delivery.ts'
import type { Finding, Invariant, Report } from './findings.ts'
import type { Party } from './parties.ts'
import { Presence } from './presence.ts'
import { Talk } from './talk.ts'
import { Truth } from './truth.ts'

/** What a judge has to know of the run beside its history. */
export interface Case {
  readonly faults: Faults
  readonly nodes: number
  /** Whether limits are so small that a peer may exceed them without being to blame. */
  readonly narrow: boolean
  /** Hears each record of the history that is more than a beacon, as a line of JSON. */
  readonly trace?: ((line: string) => void) | undefined
}

/** Findings that are kept: the first says it, the others may say why. */
const FINDINGS_MAX = 8
/** How long what is known of a node that is gone is kept. */
const KEEP_MS = 150_000
/** What a stream is too slow for messages to be in time. */
const WINDOW_BYTES_MIN = 65_536

/** Watches a simulation from its beginning. */
export class Judge {
  readonly findings: Finding[] = []
  readonly #simulation: Simulation
  readonly #truth: Truth
  readonly #talk: Talk
  readonly #presence: Presence
  readonly #delivery: Delivery
  readonly #bounds: Bounds

  constructor(simulation: Simulation, { faults, nodes, narrow, trace }: Case) {
    this.#simulation = simulation
    this.#truth = new Truth(trace)
    const report: Report = (invariant, about) => this.#find(invariant, about)
    const { latencyMs, jitterMs, windowBytes, bandwidthBytes, chunkBytes } = faults
    const { loss, burstMs, reorder, damage, deaf, powerSaveMs: waitMs } = faults
    const drift = faults.driftPpm / 1_000_000
    const slow = windowBytes < WINDOW_BYTES_MIN || bandwidthBytes > 0 || chunkBytes < 16
    // An exponential distribution goes beyond 16 times its mean once in ten million.
    const travelMs = latencyMs + 16 * jitterMs
    this.#talk = new Talk(this.#truth, report)
    this.#presence = new Presence(this.#truth, report, {
      evasiveMs: 5_000,
      silentMs: 6_000,
      expiredMs: 30_000,
      beaconMs: 1_000,
      travelMs,
      drift,
      waitMs,
      slow,
      exact: simulation.fidelity === 'wire',
      lossy: loss + burstMs + reorder + damage + deaf > 0 || slow,
      steady: loss <= 0.3 && burstMs + damage + deaf === 0 && !slow,
      narrow,
      nodes,
    })
    this.#delivery = new Delivery(this.#truth, report, { travelMs, windowBytes, slow, narrow })
    this.#bounds = new Bounds(this.#truth, report, { beaconMs: 1_000 * (1 - drift) })
    for (const checker of [this.#talk, this.#presence, this.#delivery, this.#bounds]) {
      this.#truth.add(checker)
    }
    const truth = this.#truth
    simulation.observe({
      datagram: (record) => truth.datagram(record),
      octets: (record) => truth.octets(record),
      message: (record) => truth.message(record),
      connection: (record) => truth.connection(record),
      event: (record) => truth.event(record),
      action: (record) => truth.action(record),
      fault: (record) => truth.fault(record),
    })
  }

  /** Whether anything was found. */
  get failed(): boolean {
    return this.findings.length > 0
  }

  /** Events that nodes told so far. */
  get eventCount(): number {
    return this.#truth.eventCount
  }

  /** Enters that had no exit. */
  get pairCount(): number {
    return this.#truth.pairCount
  }

  /** To be called after each virtual second: what should have happened by now. */
  judgeSecond(): void {
    this.#truth.now = this.#simulation.now
    this.#presence.judgeSecond()
  }

  /** From now on nothing goes wrong. */
  beginCalm(): void {
    this.#truth.now = this.#simulation.now
    this.#bounds.beginCalm()
  }

  /** It has been calm for as long as everybody may need. */
  judgeCalm(): void {
    this.#truth.now = this.#simulation.now
    this.#presence.judgeCalm()
    this.#delivery.judgeCalm()
  }

  /** It has been calm until whoever is gone is forgotten. */
  judgeSettled(): void {
    this.#truth.now = this.#simulation.now
    this.#bounds.judgeSettled()
    this.#forget()
  }

  /** All nodes have stopped. */
  judgeEnd(): void {
    this.#truth.now = this.#simulation.now
    this.#delivery.judgeCalm()
  }

  /** An application found something that is not as it was promised. */
  blame(node: SimulatedNode, about: { readonly expected: string; readonly seen: string }): void {
    this.#truth.now = this.#simulation.now
    this.#find('I12', { party: this.#truth.parties.get(node.index), ...about })
  }

  /** Something was thrown, by a node or a handler of its application. */
  handleThrown(error: unknown): void {
    this.#truth.now = this.#simulation.now
    const seen = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#find('I14', { expected: 'nothing is thrown', seen })
  }

  #find(invariant: Invariant, about: Parameters<Report>[1]): void {
    if (this.findings.length >= FINDINGS_MAX) return
    const { party, peer, expected, seen, id } = about
    const nodes = [party, peer].filter((node) => node !== undefined).map(({ index }) => index)
    this.findings.push({
      invariant,
      at: this.#truth.now,
      node: party === undefined ? '' : `n${party.index}`,
      peer: peer === undefined ? '' : `n${peer.index}`,
      expected,
      seen,
      chain: this.#truth.journal.chain(id ?? 0, nodes),
    })
  }

  #forget(): void {
    const before = this.#simulation.now - KEEP_MS
    const gone: Party[] = []
    for (const party of this.#truth.parties.values()) {
      const isGone = party.state === 'crashed' || party.state === 'stopped'
      const goneAt = Math.max(party.crashedAt, party.stoppedAt)
      if (isGone && goneAt < before && !party.connected) gone.push(party)
    }
    const alive = new Set(this.#simulation.nodes.map(({ index }) => index))
    for (const party of gone) {
      // One that has stopped may start again.
      if (alive.has(party.index) && party.state === 'stopped') continue
      this.#talk.forget(party)
      this.#delivery.forget(party)
      this.#bounds.forget(party)
      this.#truth.forget(party)
    }
  }
}
