// What a simulation can be told, checked at once: what cannot work is said before anything happens.

import { UsageError } from '../src/errors.ts'
import type { LinkSettings } from './links.ts'

/** What a simulation can be told; only the seed has to be. */
export interface SimulationOptions {
  /** Everything that is left to chance comes from it: an integer from 0 to 2^53 - 1. */
  readonly seed: number
  /**
   * What connections carry: `wire`, octets through ZMTP as on a real network, for about a hundred nodes; `message`, whole
   * messages of ZRE, for a thousand and more. Default: `wire`.
   */
  readonly fidelity?: 'wire' | 'message'
  /** What lies between machines, unless setLink() says otherwise. Default: half a millisecond, and no trouble. */
  readonly links?: Partial<LinkSettings>
  /** Whether datagrams to one machine, and connections, go from one subnet to another. Default: true. */
  readonly routed?: boolean
}

/** Where a node lives. */
export interface Place {
  /** Name of its machine, created where there is none; nodes on one machine share its address. Default: one of its own. */
  readonly machine?: string
  /**
   * Name of the subnet of a new machine, created where there is none: broadcasts stay within it. Or several, in which case it
   * has an interface on each. Default: `lan`.
   */
  readonly subnet?: string | readonly string[]
}

/** @throws UsageError that names the option, what was given and what would be right. */
export function checkOptions(options: SimulationOptions): void {
  checkKeys('Simulation', options, ['seed', 'fidelity', 'links', 'routed'])
  const { seed, fidelity = 'wire', links = {}, routed = true } = options
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new UsageError(`seed has to be an integer from 0 to 2^53 - 1, not ${String(seed)}`)
  }
  if (fidelity !== 'wire' && fidelity !== 'message') {
    throw new UsageError(`fidelity has to be wire or message, not ${String(fidelity)}`)
  }
  if (typeof links !== 'object' || links === null) throw new UsageError('links has to be an object')
  if (typeof routed !== 'boolean') {
    throw new UsageError(`routed has to be a boolean, not ${String(routed)}`)
  }
}

/** @throws UsageError on an option that there is not. */
export function checkKeys(what: string, given: object, keys: readonly string[]): void {
  if (typeof given !== 'object' || given === null) {
    throw new UsageError(`the options of ${what} have to be an object`)
  }
  for (const key of Object.keys(given)) {
    if (keys.includes(key)) continue
    throw new UsageError(`there is no option ${key} of ${what}; there are ${keys.join(', ')}`)
  }
}

/** @throws UsageError on what is no duration. */
export function microseconds(option: string, ms: number): number {
  if (typeof ms === 'number' && ms >= 0) return Math.round(ms * 1_000)
  throw new UsageError(`${option} has to be a number from 0, not ${String(ms)}`)
}
