// A node of a simulation as the simulation itself has it, which is also what everybody else is told of it.

import type { Uuid } from '../protocol/index.ts'
import type { Lyre } from '../src/lyre.ts'
import type { LyreOptions } from '../src/options.ts'
import type { SimulatedNode } from './history.ts'
import type { Process } from './network.ts'

/** A node, its process, and what it was made with. */
export class Resident implements SimulatedNode {
  readonly index: number
  readonly process: Process
  readonly options: LyreOptions
  readonly logPort: number | undefined
  lyre: Lyre | undefined
  /** Whether it is between start() and stop(). */
  isStarted = false
  /** Of its inbox, once it was started. */
  port: number | undefined

  constructor(
    about: { readonly index: number; readonly logPort?: number | undefined },
    process: Process,
    options: LyreOptions,
  ) {
    this.index = about.index
    this.logPort = about.logPort
    this.process = process
    this.options = options
    process.node = this
  }

  /** Who stops a node that logs, or a collector, waits for the end of those connections, which are no part of the mesh. */
  await(change: 'start' | 'stop'): void {
    if (this.options.log === undefined && this.logPort === undefined) return
    this.process.awaited = change === 'stop' ? 'end' : 'nothing'
  }

  get uuid(): Uuid {
    return this.lyre?.uuid ?? ''
  }

  get machine(): string {
    return this.process.machine.name
  }

  get address(): string {
    return this.process.machine.address
  }

  get addresses(): string[] {
    const { cards } = this.process.machine
    return cards.filter(({ isUp }) => isUp).map(({ address }) => address)
  }

  get state(): SimulatedNode['state'] {
    return this.process.state
  }

  get holds(): SimulatedNode['holds'] {
    const { sockets, servers, ends, timers } = this.process
    let set = 0
    for (const { at } of timers) if (at !== Number.POSITIVE_INFINITY) set++
    return {
      sockets: sockets.size,
      servers: servers.size,
      connections: ends.size,
      timers: set,
    }
  }
}
