/** What tests of the simulator look at: who heard what from whom, in the order it was told. */

import type { SimulatedNode, Simulation } from '../../sim/index.ts'
import type { LyreEvent } from '../../src/events.ts'
import { text } from '../../src/events.ts'

export const FIDELITIES = ['wire', 'message'] as const

/** One event in a few words, without its peer. */
export function tell(event: LyreEvent): string {
  switch (event.type) {
    case 'exit':
      return `exit ${event.cause}`
    case 'join':
    case 'leave':
      return `${event.type} ${event.group}`
    case 'whisper':
      return `whisper ${text(event.content)}`
    case 'shout':
      return `shout ${event.group} ${text(event.content)}`
    default:
      return event.type
  }
}

/** All that nodes were told, by `node < peer`, both by their names. */
export class Told {
  readonly all: string[] = []
  readonly #simulation: Simulation
  readonly #byPair = new Map<string, string[]>()

  constructor(simulation: Simulation) {
    this.#simulation = simulation
    simulation.observe({ event: ({ node, event }) => this.#add(node, event) })
  }

  /** What one node was told of another, by their names, and forgets it. */
  take(name: string, peer: string): string[] {
    const told = this.#byPair.get(`${name} < ${peer}`) ?? []
    this.#byPair.delete(`${name} < ${peer}`)
    return told
  }

  /** All of it, sorted by pair. */
  get pairs(): [string, string[]][] {
    return [...this.#byPair].sort(([one], [other]) => (one < other ? -1 : 1))
  }

  #add(node: SimulatedNode, event: LyreEvent): void {
    const peer = 'peer' in event ? event.peer.name : '-'
    const pair = `${node.lyre?.name} < ${peer}`
    const told = this.#byPair.get(pair) ?? []
    told.push(tell(event))
    this.#byPair.set(pair, told)
    this.all.push(`${this.#simulation.now} ${pair} ${tell(event)}`)
  }
}
