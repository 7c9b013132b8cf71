// Nodes of which the application says nothing but where they are: when each of them is dialled, and when not. Whose a link to
// one of them is, is a matter of harmony.ts, which tells what came of it.
// Spec: harmony.md 8.

import { canonicalIpv6, isAddress } from './addresses.ts'
import type { Uuid } from './bytes.ts'
import { formatEndpoint, parseEndpoint } from './endpoints.ts'
import type { ExitCause } from './peers.ts'
import { Queue } from './queue.ts'

/** A place where a node may be. */
export interface Seed {
  /** `tcp://host:port`; a name is looked up anew at each attempt. */
  readonly endpoint: string
  /** Whether it is only remembered from before: then it is given up after some attempts. */
  readonly remembered: boolean
}

/** What came of a dial to a seed, at an address: whose it is, or why it came to nothing, and whether our HELLO went there. */
export interface SeedOutcome {
  readonly endpoint: string
  readonly uuid: Uuid | undefined
  readonly greeted: boolean
  readonly reason: string
}

/** What to do: look up a name, or dial an address. */
export type SeedEffect =
  | { readonly type: 'resolve'; readonly host: string }
  | { readonly type: 'dial'; readonly endpoint: string }

/** A snapshot of one seed. */
export interface SeedDiagnostics extends Seed {
  /**
   * `waiting` for the next attempt; `resolving` its name; `dialling`; `found`, and not entered yet; `entered`: its peer is
   * here; `self`: it is this node; `given-up`.
   */
  readonly state: Stage['type']
  /** Whose it turned out to be, last. */
  readonly uuid: Uuid | null
  readonly attemptCount: number
  /** Why the last attempt came to nothing, or the peer left. */
  readonly lastReason: string | null
  /** When the next attempt is, in milliseconds; null where none is planned. */
  readonly nextInMs: number | null
}

type Stage =
  | { readonly type: 'waiting' | 'found' | 'self'; readonly until: number }
  | { readonly type: 'resolving' | 'entered' | 'given-up' }
  | { readonly type: 'dialling'; readonly endpoint: string; readonly rest: readonly string[] }

/** A seed, and how it is with it. */
interface Plant extends Seed {
  readonly host: string
  readonly port: number
  stage: Stage
  uuid: Uuid | null
  attemptCount: number
  failureCount: number
  lastReason: string | null
}

const BACKOFF_MIN_MS = 250
const BACKOFF_MAX_MS = 30_000
/** Failures after which the back-off is the longest. */
const FAILURES_MAX = 7
/** What a node that was found may take to enter. */
const ENTER_TIMEOUT_MS = 10_000
/** When it is tried again whether a seed is still we ourselves, or one that lets our HELLO go unanswered. */
const REST_MS = 300_000
/** Attempts for a seed that is only remembered. */
const REMEMBERED_ATTEMPTS = 3
/** Addresses of one name that are tried. */
const ADDRESSES_MAX = 8
/** What may be otherwise where we are now. */
const MOVABLE: ReadonlySet<Stage['type']> = new Set(['waiting', 'self', 'given-up'])
const NEVER = Number.POSITIVE_INFINITY

/** The seeds of one node. */
export class Seeds {
  readonly #uuid: Uuid
  readonly #effects = new Queue<SeedEffect>()
  #plants: readonly Plant[] = []
  #wakeAt = NEVER

  constructor(uuid: Uuid) {
    this.#uuid = uuid
  }

  /** All of them are dialled, now. */
  start(seeds: readonly Seed[], now: number): void {
    this.#plants = seeds.map((seed) => {
      const { host, port } = parseEndpoint(seed.endpoint) as { host: string; port: number }
      const nothing = { uuid: null, attemptCount: 0, failureCount: 0, lastReason: null }
      return { ...seed, host, port, ...nothing, stage: { type: 'waiting', until: now } }
    })
    this.#settle()
    this.handleTimeout(now)
  }

  /** We are elsewhere, so what led nowhere may lead somewhere now: those that wait, or were given up, are dialled soon. */
  move(now: number): void {
    for (const plant of this.#plants) if (MOVABLE.has(plant.stage.type)) this.#hurry(plant, now)
    this.#settle()
  }

  stop(): void {
    this.#plants = []
    this.#wakeAt = NEVER
    while (this.#effects.shift() !== undefined);
  }

  /** A name was looked up: to these addresses, or to none, with the reason. */
  handleResolved(
    host: string,
    { addresses, reason }: { readonly addresses: readonly string[]; readonly reason: string },
    now: number,
  ): void {
    for (const plant of this.#plants) {
      if (plant.stage.type !== 'resolving' || plant.host !== host) continue
      const endpoints = addresses.map((address) =>
        formatEndpoint(canonicalIpv6(address) ?? address, plant.port),
      )
      plant.lastReason = reason
      this.#dial(plant, endpoints.slice(0, ADDRESSES_MAX), now)
    }
    this.#settle()
  }

  /** What came of a dial; `present`, whether the peer whose it is has entered. */
  handleOutcome(outcome: SeedOutcome & { readonly present: boolean }, now: number): void {
    const { endpoint, uuid, greeted, reason, present } = outcome
    for (const plant of this.#plants) {
      const { stage } = plant
      if (stage.type !== 'dialling' || stage.endpoint !== endpoint) continue
      if (uuid !== undefined && uuid !== this.#uuid) {
        plant.uuid = uuid
        if (present) this.#enter(plant)
        else plant.stage = { type: 'found', until: now + ENTER_TIMEOUT_MS }
        continue
      }
      plant.lastReason = uuid === undefined ? reason : 'it is this node itself'
      if (stage.rest.length > 0) this.#dial(plant, stage.rest, now)
      else if (uuid !== undefined) plant.stage = { type: 'self', until: now + REST_MS }
      // Each HELLO may have a Zyre begin anew with us, whom it knows at another of its addresses.
      else if (greeted) this.#fail(plant, now, REST_MS)
      else this.#fail(plant, now)
    }
    this.#settle()
  }

  /** A peer enters, however it was found. */
  handleEnter(uuid: Uuid): void {
    for (const plant of this.#plants) {
      if (plant.uuid === uuid && plant.stage.type !== 'dialling') this.#enter(plant)
    }
    this.#settle()
  }

  /** A peer leaves: who said goodbye need not be back soon. */
  handleExit(uuid: Uuid, cause: ExitCause, now: number): void {
    for (const plant of this.#plants) {
      if (plant.uuid !== uuid || plant.stage.type !== 'entered') continue
      plant.lastReason = `its peer left: ${cause}`
      if (cause === 'goodbye') plant.failureCount = FAILURES_MAX
      this.#wait(plant, now)
    }
    this.#settle()
  }

  handleTimeout(now: number): void {
    if (now < this.#wakeAt) return
    for (const plant of this.#plants) {
      if (now < dueAt(plant)) continue
      if (plant.stage.type === 'found') {
        plant.lastReason = 'it was found, and did not enter'
        this.#fail(plant, now)
        continue
      }
      plant.attemptCount++
      if (isAddress(plant.host)) {
        this.#dial(plant, [formatEndpoint(plant.host, plant.port)], now)
      } else {
        plant.stage = { type: 'resolving' }
        this.#effects.push({ type: 'resolve', host: plant.host })
      }
    }
    this.#settle()
  }

  pollEffect(): SeedEffect | undefined {
    return this.#effects.shift()
  }

  pollTimeout(): number {
    return this.#wakeAt
  }

  diagnostics(now: number): SeedDiagnostics[] {
    return this.#plants.map((plant) => {
      const { endpoint, remembered, stage, uuid, attemptCount, lastReason } = plant
      const at = dueAt(plant)
      const nextInMs = at === NEVER ? null : Math.max(0, at - now)
      const { type: state } = stage
      return { endpoint, remembered, state, uuid, attemptCount, lastReason, nextInMs }
    })
  }

  /** At the first of some addresses; the others have their turn if that fails. */
  #dial(plant: Plant, [endpoint, ...rest]: readonly string[], now: number): void {
    if (endpoint === undefined) {
      this.#fail(plant, now)
      return
    }
    plant.stage = { type: 'dialling', endpoint, rest }
    this.#effects.push({ type: 'dial', endpoint })
  }

  #enter(plant: Plant): void {
    plant.stage = { type: 'entered' }
    plant.failureCount = 0
  }

  #fail(plant: Plant, now: number, restMs = 0): void {
    plant.failureCount++
    if (plant.remembered && plant.failureCount >= REMEMBERED_ATTEMPTS) {
      plant.stage = { type: 'given-up' }
    } else {
      this.#wait(plant, now + restMs)
    }
  }

  #hurry(plant: Plant, now: number): void {
    plant.failureCount = 0
    this.#wait(plant, now)
  }

  /** Each attempt of each node has a time of its own, so that not all of them come at once when a seed is back. */
  #wait(plant: Plant, now: number): void {
    const { failureCount, attemptCount } = plant
    const backoffMs = Math.min(
      BACKOFF_MAX_MS,
      BACKOFF_MIN_MS * 2 ** Math.min(failureCount, FAILURES_MAX),
    )
    const at = (4 * attemptCount) % 32
    const share = Number.parseInt(this.#uuid.slice(at, at + 4), 16) / 0x10000
    plant.stage = { type: 'waiting', until: now + Math.round(backoffMs * (0.5 + share / 2)) }
  }

  #settle(): void {
    this.#wakeAt = Math.min(NEVER, ...this.#plants.map(dueAt))
  }
}

function dueAt({ stage }: Plant): number {
  return 'until' in stage ? stage.until : NEVER
}
