// What a developer hears of the inside of a node, so many times a second and no more: what a neighbour can cause without end
// must not cost an application as much.

import type { Trace } from '../protocol/index.ts'

/** Traces of one type that are told within a second. */
const TOLD_MAX = 50
const SECOND_MS = 1_000

interface Told {
  since: number
  count: number
}

/** Tells at most 50 traces of a type in each second, and with the next one how many were left out. */
export class Traces {
  readonly #tell: (trace: Trace) => void
  readonly #told = new Map<string, Told>()

  constructor(tell: (trace: Trace) => void) {
    this.#tell = tell
  }

  /** Tells it, unless there have been too many of its type. */
  add(trace: Trace, now: number): void {
    const told = this.#told.get(trace.type) ?? { since: now, count: 0 }
    this.#told.set(trace.type, told)
    if (now - told.since >= SECOND_MS) {
      const leftOut = told.count - TOLD_MAX
      if (leftOut > 0) {
        this.#tell({ type: 'traces-left-out', reason: `${leftOut} more of type ${trace.type}` })
      }
      told.since = now
      told.count = 0
    }
    if (++told.count <= TOLD_MAX) this.#tell(trace)
  }
}
