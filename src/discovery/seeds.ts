// Discovery by seeds: endpoints at which there are nodes, as the application says. When to dial which is seeds.ts's matter, whose
// a link is harmony.ts's; here names are looked up, and each is told what the other has to know.
// Spec: harmony.md 8.

import {
  type ExitCause,
  type Seed,
  type SeedDiagnostics,
  type SeedOutcome,
  Seeds,
  type Uuid,
} from '../../protocol/index.ts'
import type { Host } from '../host.ts'
import type { Discovery } from './discovery.ts'

/** What seeds ask and tell. */
export interface SeedHandlers {
  /** Whoever is at that endpoint is to be dialled. */
  dial(endpoint: string): void
  /** Whether that peer has entered. */
  isPresent(uuid: Uuid): boolean
  /** pollTimeout() may be sooner than it was. */
  sooner(): void
}

/** The seeds of one node; they are started and stopped once for each life of the node. */
export class SeedDiscovery implements Discovery {
  readonly #host: Host
  readonly #handlers: SeedHandlers
  readonly #list: readonly Seed[]
  readonly #seeds: Seeds
  #isStopped = true
  #draining = false

  constructor(
    host: Host,
    { uuid, seeds }: { readonly uuid: Uuid; readonly seeds: readonly Seed[] },
    handlers: SeedHandlers,
  ) {
    this.#host = host
    this.#handlers = handlers
    this.#list = seeds
    this.#seeds = new Seeds(uuid)
  }

  /** Begins to dial them, or again where the node is elsewhere now. */
  async start(): Promise<void> {
    const now = this.#host.clock.now()
    if (this.#isStopped) this.#seeds.start(this.#list, now)
    this.#isStopped = false
    await this.renew()
  }

  /** Those that wait are dialled soon. */
  async renew(): Promise<void> {
    if (this.#isStopped) return
    this.#seeds.move(this.#host.clock.now())
    this.#drain()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#seeds.stop()
  }

  /** What came of a dial. */
  handleOutcome(outcome: SeedOutcome): void {
    const { uuid } = outcome
    const present = uuid !== undefined && this.#handlers.isPresent(uuid)
    this.#seeds.handleOutcome({ ...outcome, present }, this.#host.clock.now())
    this.#drain()
  }

  handleEnter(uuid: Uuid): void {
    this.#seeds.handleEnter(uuid)
  }

  handleExit(
    { uuid, cause }: { readonly uuid: Uuid; readonly cause: ExitCause },
    now: number,
  ): void {
    this.#seeds.handleExit(uuid, cause, now)
  }

  handleTimeout(now: number): void {
    this.#seeds.handleTimeout(now)
    this.#drain()
  }

  pollTimeout(): number {
    return this.#seeds.pollTimeout()
  }

  diagnostics(): SeedDiagnostics[] {
    return this.#seeds.diagnostics(this.#host.clock.now())
  }

  #drain(): void {
    if (this.#draining) return
    this.#draining = true
    for (let effect = this.#seeds.pollEffect(); effect; effect = this.#seeds.pollEffect()) {
      if (effect.type === 'dial') this.#handlers.dial(effect.endpoint)
      else this.#resolve(effect.host)
    }
    this.#draining = false
    this.#handlers.sooner()
  }

  #resolve(host: string): void {
    const settle = (addresses: readonly string[], reason: string) => {
      if (this.#isStopped) return
      this.#seeds.handleResolved(host, { addresses, reason }, this.#host.clock.now())
      this.#drain()
    }
    this.#host.resolve(host).then(
      (addresses) => settle(addresses, `${host} has no address`),
      (error: Error) => settle([], error.message),
    )
  }
}
