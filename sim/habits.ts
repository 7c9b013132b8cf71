// Bad habits of applications, which a node has to bear: handlers that throw, and readers of lyre.events() that are slow, or never
// read at all. What is thrown on purpose is known, so that who plays the run can tell it from what is not.

import { EVENT_TYPES, type LyreEvent, type OverrunEvent } from '../src/events.ts'
import type { Lyre } from '../src/lyre.ts'
import type { LyreOptions } from '../src/options.ts'
import type { Faults } from './faults.ts'
import type { SimulatedNode } from './history.ts'
import type { Random } from './random.ts'
import type { Simulation } from './simulation.ts'

/** What a handler throws on purpose. */
export class HabitError extends Error {
  override readonly name = 'HabitError'
}

/** Takes what a reader found that is not as the guide promises. */
export type Blame = (
  node: SimulatedNode,
  about: { readonly expected: string; readonly seen: string },
) => void

/** Events of a stream that may wait, where its reader is slow. */
const EVENTS_MAX = 50

/** A stream of events, and how far it was read. */
interface Reading {
  readonly stream: AsyncIterableIterator<LyreEvent | OverrunEvent>
  readonly node: SimulatedNode
  /** How many events were told to its node before it began, and how many were read or counted as missed since. */
  readonly from: number
  readCount: number
}

/** What the applications of a run do to their own nodes. */
export class Habits {
  readonly #simulation: Simulation
  readonly #faults: Faults
  readonly #random: Random
  readonly #blame: Blame
  readonly #readings: Reading[] = []
  /** How many events each node was told, and which of them each was. */
  readonly #counts = new WeakMap<Lyre, number>()
  readonly #numbers = new WeakMap<LyreEvent, number>()
  /** Of nodes that have stopped, the number of that event, with which their streams end. */
  readonly #ends = new WeakMap<Lyre, number>()
  #overrunCount = 0
  #throws = false
  /** Errors that were thrown and have not surfaced. */
  readonly #thrown = new Set<unknown>()

  constructor(
    simulation: Simulation,
    {
      faults,
      random,
      blame,
    }: { readonly faults: Faults; readonly random: Random; readonly blame: Blame },
  ) {
    this.#simulation = simulation
    this.#faults = faults
    this.#random = random
    this.#blame = blame
    if (faults.readers.length > 0) {
      simulation.observe({ event: ({ node, event }) => this.#count(node, event) })
    }
  }

  /** Options of a node with what its reader needs. */
  options(options: LyreOptions): LyreOptions {
    if (this.#faults.readers.length === 0) return options
    return { ...options, limits: { ...options.limits, eventsMax: EVENTS_MAX } }
  }

  /** A node was created. */
  birth(lyre: Lyre): void {
    if (this.#faults.throws > 0) this.#throwAt(lyre)
    if (this.#faults.readers.length > 0) this.#readFrom(lyre)
  }

  /** From now on, until end(), handlers throw. */
  begin(): void {
    this.#throws = true
  }

  end(): void {
    this.#throws = false
  }

  /** Whether an error was thrown on purpose, and had not surfaced before. */
  takes(error: unknown): boolean {
    return this.#thrown.delete(error)
  }

  /** How many errors were thrown that have not surfaced. */
  get hiddenCount(): number {
    return this.#thrown.size
  }

  /** All nodes have stopped: reads what still waits in their streams. @returns how many times a reader was told that it had missed something. */
  async finish(): Promise<number> {
    for (const reading of this.#readings) {
      const { node, from } = reading
      const endedBy = node.lyre && this.#ends.get(node.lyre)
      // Of one that has crashed, no stream ends.
      if (endedBy === undefined) continue
      for (;;) {
        const { done, value } = await reading.stream.next()
        if (done === true) break
        this.#read(reading, value)
      }
      const missing = endedBy - from - reading.readCount
      if (missing === 0) continue
      this.#blame(node, { expected: 'all events, read or counted', seen: `${missing} missing` })
    }
    return this.#overrunCount
  }

  #throwAt(lyre: Lyre): void {
    const random = this.#random.fork(`throws of ${lyre.uuid}`)
    for (const type of EVENT_TYPES) {
      lyre.on(type, () => {
        if (!this.#throws || !random.chance(this.#faults.throws)) return
        const error = new HabitError(`a handler of ${type} throws, as it was told to`)
        this.#thrown.add(error)
        throw error
      })
    }
  }

  #readFrom(lyre: Lyre): void {
    const random = this.#random.fork(`reader of ${lyre.uuid}`)
    const kind = random.pick(this.#faults.readers)
    const node = this.#simulation.node(lyre)
    const from = this.#counts.get(lyre) ?? 0
    const reading = { stream: lyre.events(), node, from, readCount: 0 }
    this.#readings.push(reading)
    if (kind === 'slow') void this.#readSlowly(reading, random)
  }

  async #readSlowly(reading: Reading, random: Random): Promise<void> {
    for await (const event of reading.stream) {
      this.#read(reading, event)
      await this.#simulation.sleep(random.below(4_000))
    }
  }

  #count({ lyre }: SimulatedNode, event: LyreEvent): void {
    if (lyre === undefined) return
    const number = (this.#counts.get(lyre) ?? 0) + 1
    this.#counts.set(lyre, number)
    this.#numbers.set(event, number)
    if (event.type === 'stop' && !this.#ends.has(lyre)) this.#ends.set(lyre, number)
  }

  /** What is read is what was told, one after the other; what is missing was counted. */
  #read(reading: Reading, event: LyreEvent | OverrunEvent): void {
    const { node, from } = reading
    const toldCount = (node.lyre && this.#counts.get(node.lyre)) ?? 0
    if (event.type === 'overrun') {
      reading.readCount += event.count
      this.#overrunCount++
      return
    }
    const wanted = from + ++reading.readCount
    const number = this.#numbers.get(event)
    if (number !== wanted) {
      const expected = `event ${wanted} of ${toldCount} of its stream`
      this.#blame(node, { expected, seen: `event ${number}` })
    }
  }
}
