// Holds a run to what must be true, from outside.

import type { Finding } from './findings.ts'
import type { Simulation } from './simulation.ts'

/** Watches a simulation. */
export class Judge {
  readonly findings: Finding[] = []
  eventCount = 0
  pairCount = 0
  readonly #simulation: Simulation

  constructor(simulation: Simulation) {
    this.#simulation = simulation
    simulation.observe({
      event: ({ event }) => {
        this.eventCount++
        if (event.type === 'enter') this.pairCount++
        if (event.type === 'exit') this.pairCount--
      },
    })
  }

  get failed(): boolean {
    return this.findings.length > 0
  }

  judgeSecond(): void {}
  judgeCalm(): void {}
  judgeEnd(): void {}

  handleThrown(error: unknown): void {
    const seen = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const at = this.#simulation.now
    const expected = 'nothing is thrown'
    this.findings.push({ invariant: 'I14', at, node: '', peer: '', expected, seen, chain: [] })
  }
}
