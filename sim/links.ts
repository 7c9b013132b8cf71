// What lies between two machines: how long things take from one to the other, and what may become of them on the way. Each
// direction is a path of its own, with streams of chance for each concern, so that taking away one fault shifts no other.

import { UsageError } from '../src/errors.ts'
import type { Random } from './random.ts'

/** What a path from one machine to another is like; everything has a default. */
export interface LinkSettings {
  /** What everything takes at least, in milliseconds, 0 to 60,000. Default: 0.5. */
  readonly latencyMs: number
  /** Mean of what is added to that, exponentially distributed, in milliseconds, 0 to 60,000. Default: 0.2. */
  readonly jitterMs: number
  /** Octets a second that a connection carries, from 1. Default: Infinity. */
  readonly bandwidthBytes: number
  /** Octets of a connection that are on their way or unread at most, from 1. Default: 262,144. */
  readonly windowBytes: number
  /** Octets that arrive at once at most, from 1; 1 splits everything everywhere. Default: 65,536. */
  readonly chunkBytes: number
  /** Probability that a datagram is lost, 0 to 1. Default: 0. */
  readonly loss: number
  /** Mean time between two bursts in which every datagram is lost, in milliseconds. Default: Infinity, which is never. */
  readonly burstGapMs: number
  /** Mean time that such a burst takes, in milliseconds, above 0. Default: 1,000. */
  readonly burstMs: number
  /** Probability that a datagram comes twice, 0 to 1. Default: 0. */
  readonly duplicate: number
  /** Probability that a datagram comes later than others, by up to `reorderMs`, 0 to 1. Default: 0. */
  readonly reorder: number
  /** Longest time by which such a datagram is late, in milliseconds, 0 to 60,000. Default: 1,000. */
  readonly reorderMs: number
  /** Probability that a bit of a datagram is turned, or its end is missing, 0 to 1. Default: 0. */
  readonly damage: number
  /** Whether broadcasts get through. Default: true. */
  readonly broadcast: boolean
}

/** A link as the network uses it: durations in microseconds. */
export interface Link extends LinkSettings {
  readonly latencyUs: number
  readonly jitterUs: number
  /** Whether nothing can become of a datagram but that it arrives. */
  readonly harmless: boolean
}

const DEFAULTS: LinkSettings = {
  latencyMs: 0.5,
  jitterMs: 0.2,
  bandwidthBytes: Number.POSITIVE_INFINITY,
  windowBytes: 262_144,
  chunkBytes: 65_536,
  loss: 0,
  burstGapMs: Number.POSITIVE_INFINITY,
  burstMs: 1_000,
  duplicate: 0,
  reorder: 0,
  reorderMs: 1_000,
  damage: 0,
  broadcast: true,
}

const INFINITY = Number.POSITIVE_INFINITY
/** What each number may be, and whether it has to be an integer. */
const RANGES: Readonly<Record<string, { min: number; max: number; whole?: boolean }>> = {
  latencyMs: { min: 0, max: 60_000 },
  jitterMs: { min: 0, max: 60_000 },
  bandwidthBytes: { min: 1, max: INFINITY },
  windowBytes: { min: 1, max: 2 ** 30, whole: true },
  chunkBytes: { min: 1, max: 2 ** 30, whole: true },
  loss: { min: 0, max: 1 },
  burstGapMs: { min: 1, max: INFINITY },
  burstMs: { min: 1, max: 86_400_000 },
  duplicate: { min: 0, max: 1 },
  reorder: { min: 0, max: 1 },
  reorderMs: { min: 0, max: 60_000 },
  damage: { min: 0, max: 1 },
}

/** What leads from a machine to itself. */
export const LOOPBACK: Link = resolveLink({ latencyMs: 0.02, jitterMs: 0 })

/** @throws UsageError that names the setting, what was given and what would be right. */
export function resolveLink(given: Partial<LinkSettings>, base: LinkSettings = DEFAULTS): Link {
  const settings: LinkSettings = { ...DEFAULTS, ...pick(base), ...given }
  for (const [key, value] of Object.entries(settings)) check(key, value)
  const { latencyMs, jitterMs, loss, burstGapMs, duplicate, reorder, damage, broadcast } = settings
  return Object.freeze({
    ...settings,
    latencyUs: Math.round(latencyMs * 1_000),
    jitterUs: Math.round(jitterMs * 1_000),
    harmless:
      loss + duplicate + reorder + damage === 0 && burstGapMs === INFINITY && broadcast === true,
  })
}

function pick(base: LinkSettings): Partial<LinkSettings> {
  return Object.fromEntries(Object.entries(base).filter(([key]) => key in DEFAULTS))
}

function check(key: string, value: unknown): void {
  if (key === 'broadcast') {
    if (typeof value !== 'boolean') {
      throw new UsageError(`links.broadcast has to be a boolean, not ${String(value)}`)
    }
    return
  }
  const range = RANGES[key]
  if (range === undefined) {
    const keys = Object.keys(DEFAULTS).join(', ')
    throw new UsageError(`there is no setting links.${key}; there are ${keys}`)
  }
  const { min, max, whole = false } = range
  const isNumber = typeof value === 'number' && value >= min && value <= max
  if (isNumber && (!whole || Number.isInteger(value))) return
  const kind = whole ? 'an integer' : 'a number'
  throw new UsageError(`links.${key} has to be ${kind} from ${min} to ${max}, not ${String(value)}`)
}

/** One direction between two machines. */
export class Path {
  /** As numbers of machines. */
  readonly from: number
  readonly to: number
  link: Link
  /** Until when nothing of a connection arrives, in microseconds; it comes then, in order. */
  stalledUntilUs = 0
  readonly #fork: (path: Path, concern: string) => Random
  #delays: Random | undefined
  #weather: Weather | undefined

  /** @param fork makes a stream for a concern of a path: most paths need one or none. */
  constructor(
    ends: { readonly from: number; readonly to: number },
    link: Link,
    fork: (path: Path, concern: string) => Random,
  ) {
    this.from = ends.from
    this.to = ends.to
    this.link = link
    this.#fork = fork
  }

  /** What the next thing takes that is sent over it, in microseconds. */
  delayUs(): number {
    const { latencyUs, jitterUs } = this.link
    if (jitterUs === 0) return latencyUs
    this.#delays ??= this.#fork(this, 'delay')
    return latencyUs + this.#delays.exponential(jitterUs)
  }

  /** What it does to datagrams. */
  get weather(): Weather {
    this.#weather ??= new Weather(this, this.#fork)
    return this.#weather
  }
}

/** What a path does to datagrams: of its own, since a mesh of a thousand nodes has a million paths that do nothing. */
class Weather {
  readonly #path: Path
  readonly #fork: (path: Path, concern: string) => Random
  #losses: Random | undefined
  #bursts: Random | undefined
  #copies: Random | undefined
  #lates: Random | undefined
  #damages: Random | undefined
  /** Whether there is a burst, and until when that stays so. */
  #isBurst = true
  #changesAtUs = 0

  constructor(path: Path, fork: (path: Path, concern: string) => Random) {
    this.#path = path
    this.#fork = fork
  }

  /** Why a datagram is lost, or nothing. */
  loses(nowUs: number): 'loss' | 'burst' | undefined {
    const { loss, burstGapMs } = this.#path.link
    if (burstGapMs !== INFINITY && this.#burst(nowUs)) return 'burst'
    if (loss === 0) return undefined
    this.#losses ??= this.#fork(this.#path, 'loss')
    return this.#losses.chance(loss) ? 'loss' : undefined
  }

  doubles(): boolean {
    if (this.#path.link.duplicate === 0) return false
    this.#copies ??= this.#fork(this.#path, 'duplicate')
    return this.#copies.chance(this.#path.link.duplicate)
  }

  /** By how much a datagram is late, in microseconds; 0 for most. */
  lateUs(): number {
    const { reorder, reorderMs } = this.#path.link
    if (reorder === 0) return 0
    this.#lates ??= this.#fork(this.#path, 'reorder')
    const isLate = this.#lates.chance(reorder)
    const byUs = this.#lates.below(Math.round(reorderMs * 1_000) + 1)
    return isLate ? byUs : 0
  }

  /** What comes of a datagram that is damaged on the way; undefined for most. */
  damage(bytes: Uint8Array): Uint8Array | undefined {
    if (this.#path.link.damage === 0) return undefined
    this.#damages ??= this.#fork(this.#path, 'damage')
    if (!this.#damages.chance(this.#path.link.damage) || bytes.length === 0) return undefined
    const bit = this.#damages.below(8 * bytes.length)
    if (this.#damages.chance(0.5)) return bytes.slice(0, bit >> 3)
    const damaged = bytes.slice()
    damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7))
    return damaged
  }

  #burst(nowUs: number): boolean {
    this.#bursts ??= this.#fork(this.#path, 'burst')
    while (this.#changesAtUs <= nowUs) {
      this.#isBurst = !this.#isBurst
      const meanMs = this.#isBurst ? this.#path.link.burstMs : this.#path.link.burstGapMs
      this.#changesAtUs += 1 + this.#bursts.exponential(Math.round(meanMs * 1_000))
    }
    return this.#isBurst
  }
}
