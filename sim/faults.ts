// What can go wrong in a run, as plain numbers: read from a line (`loss=0.1,burst=3s,partition=halves,pause`), or drawn from
// a seed, each kind from a stream of its own, so that taking one away shifts no other. storm.ts does it.
// A swarm leaves out half the kinds each time: what everything at once hides, a few alone show.

import { UsageError } from '../src/errors.ts'
import { checkKeys } from './options.ts'
import type { Random } from './random.ts'

/** How a partition divides the machines; `bridge` leaves one that hears both halves, `oneway` cuts one direction. */
export type PartitionShape = 'halves' | 'coin' | 'isolate' | 'bridge' | 'oneway'

/** How a node crashes: its machine loses power and says nothing, or its process is killed and its system ends what it had. */
export type CrashKind = 'power' | 'kill'

/** How an application reads a stream of events: each only after a while, or none at all. */
export type ReaderKind = 'slow' | 'never'

/** Everything that goes wrong in a run, as plain JSON. A probability, mean or gap of 0 is never. */
export interface Faults {
  /** Probability that a datagram is lost. */
  readonly loss: number
  /** Mean length of bursts in which all datagrams are lost, and mean time between two. */
  readonly burstMs: number
  readonly burstGapMs: number
  readonly duplicate: number
  /** Probability that a datagram is late, and by how much at most. */
  readonly reorder: number
  readonly reorderMs: number
  readonly damage: number
  /** Share of the directed pairs of nodes between which broadcasts do not get through. */
  readonly deaf: number
  readonly latencyMs: number
  readonly jitterMs: number
  /** Octets a second of each connection; 0 is without a limit. */
  readonly bandwidthBytes: number
  readonly windowBytes: number
  /** Octets that come at once at most: 1 splits everything everywhere. */
  readonly chunkBytes: number
  /** Longest time for which nothing of a pair's connections arrives, and mean time between two. */
  readonly stallMs: number
  readonly stallGapMs: number
  /** Mean time between two resets of a pair's connections, and after how many octets more at most. */
  readonly resetGapMs: number
  readonly resetBytes: number
  readonly partitions: readonly PartitionShape[]
  readonly partitionMs: number
  readonly partitionGapMs: number
  /** Mean time between two swizzles: the links of some nodes are cut one by one, and come back in another order. */
  readonly swizzleGapMs: number
  /** Longest time that a process sleeps, and mean time between two. */
  readonly pauseMs: number
  readonly pauseGapMs: number
  readonly crashes: readonly CrashKind[]
  readonly crashGapMs: number
  /** Mean time until another node is in the place of one that crashed. */
  readonly downMs: number
  /** Whether that node takes the port of the one before, and whether it has its uuid. */
  readonly portReuse: boolean
  readonly sameUuid: boolean
  /** Mean time between two changes of a machine's address; the node is started again some seconds later. */
  readonly moveGapMs: number
  /** By how many millionths the clock of a machine goes fast or slow at most, also in the calm. */
  readonly driftPpm: number
  /** Sockets that a process may have while it storms; 0 is without a limit. */
  readonly descriptorsMax: number
  /** How long datagrams wait at most for half of the machines. */
  readonly powerSaveMs: number
  /** Longest time for which a quarter of the processes do nothing, again and again, and mean time between two. */
  readonly stutterMs: number
  readonly stutterGapMs: number
  /** Probability that a handler of an application throws when it is told an event. */
  readonly throws: number
  readonly readers: readonly ReaderKind[]
}

/** Nothing goes wrong. */
export const NO_FAULTS: Faults = {
  loss: 0,
  burstMs: 0,
  burstGapMs: 0,
  duplicate: 0,
  reorder: 0,
  reorderMs: 0,
  damage: 0,
  deaf: 0,
  latencyMs: 0.5,
  jitterMs: 0.2,
  bandwidthBytes: 0,
  windowBytes: 262_144,
  chunkBytes: 65_536,
  stallMs: 0,
  stallGapMs: 0,
  resetGapMs: 0,
  resetBytes: 0,
  partitions: [],
  partitionMs: 0,
  partitionGapMs: 0,
  swizzleGapMs: 0,
  pauseMs: 0,
  pauseGapMs: 0,
  crashes: [],
  crashGapMs: 0,
  downMs: 0,
  portReuse: false,
  sameUuid: false,
  moveGapMs: 0,
  driftPpm: 0,
  descriptorsMax: 0,
  powerSaveMs: 0,
  stutterMs: 0,
  stutterGapMs: 0,
  throws: 0,
  readers: [],
}

const SHAPES: readonly PartitionShape[] = ['halves', 'coin', 'isolate', 'bridge', 'oneway']
const CRASHES: readonly CrashKind[] = ['power', 'kill']
const READERS: readonly ReaderKind[] = ['slow', 'never']

const SECOND_MS = 1_000
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

/** What a number may be; 0 is never, and may be each that is not needed. */
interface Limit {
  readonly min: number
  readonly max: number
  readonly isWhole?: boolean
  readonly isNeeded?: boolean
}

type NumberOf<T> = { [Key in keyof T]: T[Key] extends number ? Key : never }[keyof T]

const SHARE: Limit = { min: 0, max: 1 }
const SHORT_GAP: Limit = { min: 100, max: DAY_MS }
const GAP: Limit = { min: SECOND_MS, max: DAY_MS }

/** What a run can carry, and its judge stand behind. */
const LIMITS: Readonly<Record<NumberOf<Faults>, Limit>> = {
  loss: SHARE,
  burstMs: { min: 1, max: MINUTE_MS },
  burstGapMs: SHORT_GAP,
  duplicate: SHARE,
  reorder: SHARE,
  // A beacon that is later than this tells of nodes that have long been gone.
  reorderMs: { min: 1, max: 5 * SECOND_MS },
  damage: SHARE,
  deaf: SHARE,
  latencyMs: { min: 0, max: SECOND_MS },
  jitterMs: { min: 0, max: SECOND_MS },
  bandwidthBytes: { min: 1_000, max: 2 ** 30, isWhole: true },
  windowBytes: { min: 1, max: 2 ** 30, isWhole: true, isNeeded: true },
  chunkBytes: { min: 1, max: 2 ** 30, isWhole: true, isNeeded: true },
  // Who is quiet for longer expires.
  stallMs: { min: 1, max: 30 * SECOND_MS },
  stallGapMs: SHORT_GAP,
  resetGapMs: SHORT_GAP,
  resetBytes: { min: 0, max: 2 ** 30, isWhole: true },
  partitionMs: { min: 1, max: HOUR_MS },
  partitionGapMs: GAP,
  swizzleGapMs: GAP,
  pauseMs: { min: 100, max: HOUR_MS },
  pauseGapMs: GAP,
  crashGapMs: GAP,
  downMs: { min: 1, max: HOUR_MS },
  moveGapMs: GAP,
  driftPpm: { min: 1, max: 10_000, isWhole: true },
  descriptorsMax: { min: 1, max: 1_000_000, isWhole: true },
  powerSaveMs: { min: 1, max: MINUTE_MS },
  stutterMs: { min: 1, max: MINUTE_MS },
  stutterGapMs: GAP,
  throws: SHARE,
}
const WORDS: Readonly<Record<string, readonly string[]>> = {
  partitions: SHAPES,
  crashes: CRASHES,
  readers: READERS,
}

/** One kind of fault: what its value means, what it is without one, and what a swarm draws. */
interface Kind {
  /** @throws UsageError on a value that it cannot be. */
  read(value: string | undefined): Partial<Faults>
  draw(random: Random): Partial<Faults>
}

/** By the name that a line of faults calls it. */
const KINDS: Readonly<Record<string, Kind>> = {
  loss: {
    read: (value) => ({ loss: share('loss', value, 0.1) }),
    draw: (random) => ({ loss: random.between(1, 50) / 100 }),
  },
  burst: {
    read: (value) => burst(duration('burst', value, { usual: 3_000, ...LIMITS.burstMs })),
    draw: (random) => burst(random.between(200, 10_000)),
  },
  duplicate: {
    read: (value) => ({ duplicate: share('duplicate', value, 0.1) }),
    draw: (random) => ({ duplicate: random.between(1, 50) / 100 }),
  },
  reorder: {
    read: (value) => late(duration('reorder', value, { usual: 1_000, ...LIMITS.reorderMs })),
    draw: (random) => late(random.between(10, 1_000)),
  },
  damage: {
    read: (value) => ({ damage: share('damage', value, 0.01) }),
    draw: (random) => ({ damage: random.between(1, 10) / 1_000 }),
  },
  deaf: {
    read: (value) => ({ deaf: share('deaf', value, 0.1) }),
    draw: (random) => ({ deaf: random.between(5, 30) / 100 }),
  },
  latency: {
    read: (value) => slow(duration('latency', value, { usual: 20, ...LIMITS.latencyMs })),
    draw: (random) => ({
      latencyMs: random.between(0, 300) / 10,
      jitterMs: 0.5 + random.exponential(10_000) / 1_000,
    }),
  },
  bandwidth: {
    read: (value) => ({
      bandwidthBytes: octets('bandwidth', value, { usual: 131_072, ...LIMITS.bandwidthBytes }),
    }),
    draw: (random) => ({ bandwidthBytes: 32_768 << random.between(0, 11) }),
  },
  window: {
    read: (value) => ({
      windowBytes: octets('window', value, { usual: 1_460, ...LIMITS.windowBytes }),
    }),
    draw: (random) => ({ windowBytes: 256 << random.between(0, 10) }),
  },
  split: {
    read: (value) => ({ chunkBytes: octets('split', value, { usual: 1, ...LIMITS.chunkBytes }) }),
    draw: (random) => ({ chunkBytes: random.chance(0.5) ? 1 : random.between(2, 200) }),
  },
  stall: {
    read: (value) => stall(duration('stall', value, { usual: 20_000, ...LIMITS.stallMs })),
    draw: (random) => stall(random.between(500, 20_000)),
  },
  reset: {
    read: (value) => reset(duration('reset', value, { usual: 10_000, ...LIMITS.resetGapMs })),
    draw: (random) => reset(random.between(500, 20_000)),
  },
  partition: {
    read: (value) => partition(list('partition', value, SHAPES), 20_000),
    draw: (random) => {
      const shapes = SHAPES.filter(() => random.chance(0.5))
      const some = shapes.length > 0 ? shapes : [random.pick(SHAPES)]
      return partition(some, random.between(500, 60_000))
    },
  },
  swizzle: {
    read: (value) => ({
      swizzleGapMs: duration('swizzle', value, { usual: 60_000, ...LIMITS.swizzleGapMs }),
    }),
    draw: (random) => ({ swizzleGapMs: random.between(10_000, 60_000) }),
  },
  pause: {
    read: (value) => pause(duration('pause', value, { usual: 60_000, ...LIMITS.pauseMs })),
    draw: (random) => pause(random.between(100, 120_000)),
  },
  crash: {
    read: (value) => crash(list('crash', value, CRASHES), 5_000),
    draw: (random) => {
      const kinds = CRASHES.filter(() => random.chance(0.6))
      return crash(kinds.length > 0 ? kinds : ['kill'], random.between(100, 20_000))
    },
  },
  portreuse: {
    read: (value) => ({ portReuse: bare('portreuse', value) }),
    draw: () => ({ portReuse: true }),
  },
  sameuuid: {
    read: (value) => ({ sameUuid: bare('sameuuid', value) }),
    draw: (random) => ({ sameUuid: random.chance(0.3) }),
  },
  move: {
    read: (value) => ({
      moveGapMs: duration('move', value, { usual: 60_000, ...LIMITS.moveGapMs }),
    }),
    draw: (random) => ({ moveGapMs: random.between(20_000, 120_000) }),
  },
  drift: {
    read: (value) => ({ driftPpm: integer('drift', value, { usual: 500, ...LIMITS.driftPpm }) }),
    draw: (random) => ({ driftPpm: random.between(10, 500) }),
  },
  descriptors: {
    read: (value) => ({
      descriptorsMax: integer('descriptors', value, { usual: 12, ...LIMITS.descriptorsMax }),
    }),
    draw: (random) => ({ descriptorsMax: random.between(3, 40) }),
  },
  powersave: {
    read: (value) => ({
      powerSaveMs: duration('powersave', value, { usual: 1_000, ...LIMITS.powerSaveMs }),
    }),
    draw: (random) => ({ powerSaveMs: random.between(100, 3_000) }),
  },
  stutter: {
    read: (value) => stutter(duration('stutter', value, { usual: 500, ...LIMITS.stutterMs })),
    draw: (random) =>
      stutter(random.chance(0.5) ? random.between(10, 500) : random.between(1_000, 10_000)),
  },
  throws: {
    read: (value) => ({ throws: share('throws', value, 0.1) }),
    draw: (random) => ({ throws: random.between(1, 50) / 100 }),
  },
  reader: {
    read: (value) => ({ readers: list('reader', value, READERS) }),
    draw: (random) => {
      const kinds = READERS.filter(() => random.chance(0.6))
      return { readers: kinds.length > 0 ? kinds : READERS }
    },
  },
}

/** The kinds of faults there are, as readFaults() takes them. */
export const FAULT_KINDS: readonly string[] = Object.keys(KINDS)

/**
 * Reads a line of faults: kinds with or without a value, between commas; `none`, and `swarm`, which draws from the seed.
 * What stands later wins, and `=0` takes one away: `swarm,crash=0,loss=0.3`. Durations are `250ms`, `3s`, `1m`, `1h`.
 * @throws UsageError that names the kind, its range, and what was given.
 */
export function readFaults(line: string, random: Random): Faults {
  let faults = NO_FAULTS
  for (const word of line.split(',').map((part) => part.trim())) {
    if (word === '' || word === 'none') continue
    if (word === 'swarm') {
      faults = { ...faults, ...drawFaults(random) }
      continue
    }
    const [name = '', ...rest] = word.split('=')
    const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined
    if (kind === undefined) {
      throw new UsageError(
        `there is no fault ${name}; there are swarm, none, ${FAULT_KINDS.join(', ')}`,
      )
    }
    const value = rest.length > 0 ? rest.join('=') : undefined
    faults = { ...faults, ...(value === '0' ? without(kind) : kind.read(value)) }
  }
  return faults
}

/** What goes wrong in the run of a seed: each kind is there half the time. */
export function drawFaults(random: Random): Faults {
  let faults = NO_FAULTS
  for (const [name, kind] of Object.entries(KINDS)) {
    const stream = random.fork(name)
    if (stream.chance(0.5)) faults = { ...faults, ...kind.draw(stream) }
  }
  return faults
}

/**
 * Checks faults that come from a file.
 * @throws UsageError that names the fault, what was given and what would be right.
 */
export function checkFaults(given: unknown): asserts given is Partial<Faults> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new UsageError('faults has to be an object')
  }
  checkKeys('faults', given, Object.keys(NO_FAULTS))
  for (const [key, value] of Object.entries(given)) {
    const right = expectedOf(key, value)
    if (right === undefined) continue
    throw new UsageError(`faults.${key} has to be ${right}, not ${JSON.stringify(value)}`)
  }
}

/** What a fault would have to be; undefined where it is. */
function expectedOf(key: string, value: unknown): string | undefined {
  const words = WORDS[key]
  if (words !== undefined) {
    const isList = Array.isArray(value) && value.every((word) => words.includes(word))
    return isList ? undefined : `a list of some of ${words.join(', ')}`
  }
  const limit = (LIMITS as Readonly<Record<string, Limit>>)[key]
  if (limit === undefined) return typeof value === 'boolean' ? undefined : 'a boolean'
  const { min, max, isWhole = false, isNeeded = false } = limit
  if (value === 0 && !isNeeded) return undefined
  const isNumber = typeof value === 'number' && value >= min && value <= max
  if (isNumber && (!isWhole || Number.isInteger(value))) return undefined
  const kind = isWhole ? 'an integer' : 'a number'
  return `${kind} from ${min} to ${max}${isNeeded || min === 0 ? '' : ', or 0'}`
}

function without(kind: Kind): Partial<Faults> {
  const keys = Object.keys(kind.read(undefined)) as (keyof Faults)[]
  return Object.fromEntries(keys.map((key) => [key, NO_FAULTS[key]]))
}

function burst(burstMs: number): Partial<Faults> {
  return { burstMs, burstGapMs: 10_000 + 5 * burstMs }
}

function late(reorderMs: number): Partial<Faults> {
  return { reorder: 0.1, reorderMs }
}

function slow(latencyMs: number): Partial<Faults> {
  return { latencyMs, jitterMs: latencyMs / 4 }
}

function stall(stallMs: number): Partial<Faults> {
  return { stallMs, stallGapMs: stallMs > 0 ? 5_000 : 0 }
}

function reset(resetGapMs: number): Partial<Faults> {
  return { resetGapMs, resetBytes: 4_096 }
}

function partition(partitions: readonly PartitionShape[], partitionMs: number): Partial<Faults> {
  return { partitions, partitionMs, partitionGapMs: 30_000 }
}

function pause(pauseMs: number): Partial<Faults> {
  return { pauseMs, pauseGapMs: pauseMs > 0 ? 20_000 : 0 }
}

function crash(crashes: readonly CrashKind[], downMs: number): Partial<Faults> {
  return { crashes, crashGapMs: 10_000, downMs }
}

function stutter(stutterMs: number): Partial<Faults> {
  return { stutterMs, stutterGapMs: 1_000 + stutterMs }
}

const MILLISECONDS: Readonly<Record<string, number>> = {
  ms: 1,
  s: SECOND_MS,
  m: MINUTE_MS,
  h: HOUR_MS,
}

/** A limit, and what it is without a value. */
interface Usual extends Limit {
  readonly usual: number
}

function duration(name: string, value: string | undefined, { usual, min, max }: Usual): number {
  if (value === undefined) return usual
  const [, digits, unit = 'ms'] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(value) ?? []
  const exactMs = Number(digits ?? Number.NaN) * (MILLISECONDS[unit] as number)
  const ms = Math.round(exactMs)
  if (exactMs === 0 || (ms >= min && ms <= max)) return ms
  const range = `from ${spoken(min)} to ${spoken(max)}`
  throw new UsageError(
    `${name} takes a duration ${range}, or 0, such as ${spoken(usual)}, not ${value}`,
  )
}

/** A duration in the largest unit of which it is a whole number. */
function spoken(ms: number): string {
  const units = Object.entries(MILLISECONDS).filter(
    ([, unitMs]) => ms >= unitMs && ms % unitMs === 0,
  )
  const [unit, unitMs] = units.at(-1) ?? ['ms', 1]
  return `${ms / unitMs}${unit}`
}

function share(name: string, value: string | undefined, usual: number): number {
  const number = value === undefined ? usual : Number(value)
  if (number >= 0 && number <= 1 && value !== '') return number
  throw new UsageError(`${name} takes a share from 0 to 1, such as ${usual}, not ${value}`)
}

function octets(name: string, value: string | undefined, usual: Usual): number {
  return whole(name, value, { ...usual, what: 'a number of octets' })
}

function integer(name: string, value: string | undefined, usual: Usual): number {
  return whole(name, value, { ...usual, what: 'an integer' })
}

function whole(
  name: string,
  value: string | undefined,
  { usual, min, max, what }: Usual & { readonly what: string },
): number {
  const number = value === undefined ? usual : Number(value)
  if (Number.isInteger(number) && number >= min && number <= max) return number
  throw new UsageError(
    `${name} takes ${what} from ${min} to ${max}, such as ${usual}, not ${value}`,
  )
}

function bare(name: string, value: string | undefined): boolean {
  if (value === undefined) return true
  throw new UsageError(`${name} takes no value, or 0, not ${value}`)
}

function list<Word extends string>(
  name: string,
  value: string | undefined,
  words: readonly Word[],
): readonly Word[] {
  if (value === undefined) return words
  const given = value.split('+')
  for (const word of given) {
    if (words.includes(word as Word)) continue
    throw new UsageError(`${name} takes some of ${words.join('+')}, not ${word}`)
  }
  return given as Word[]
}
