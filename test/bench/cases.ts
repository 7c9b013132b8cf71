/**
 * The cases: what is measured, of whom, and what Lyre has to reach. Where it is compared, "better" is more messages in a
 * second, less time or less memory, so a ratio above 1 always means that Lyre wins.
 */

import { LOAD } from './contender.ts'
import {
  type Contestant,
  idleTrial,
  logTrial,
  memoryTrial,
  roundTripTrial,
  scaleTrial,
  startTrial,
  streamTrial,
  type Values,
} from './trials.ts'

/** What a case is measured in. */
export interface Metric {
  readonly unit: string
  readonly better: 'more' | 'less'
}

/** Lyre has to be so many times better than that contender, or itself at most so much. */
export interface Goal {
  readonly contender: string
  readonly unit: string
  readonly times?: number
  readonly most?: number
}

/** A case at one size. */
export interface Contest {
  readonly case: string
  /** Undefined where no content is sent. */
  readonly bytes: number | undefined
  /** Of a curve: how many peers, nodes or groups. */
  readonly count?: number
  readonly metrics: readonly Metric[]
  readonly goals: readonly Goal[]
  /** By contender: one trial. */
  readonly trials: ReadonlyMap<string, () => Promise<Values>>
}

interface Case {
  readonly about: string
  /** None where no content is sent. */
  readonly sizes: readonly number[]
  /** Of a curve: how many peers, nodes or groups, the fewest first; then they are what the trial is given. */
  readonly counts?: readonly number[]
  /** Who takes part beside Lyre. */
  readonly rivals: readonly string[]
  readonly metrics: readonly Metric[]
  readonly goals: (bytes: number) => readonly Goal[]
  readonly trial: (contestant: Contestant, bytes: number) => Promise<Values>
  /** Something else that Lyre does in each round, to be compared with. */
  readonly beside?: { readonly name: string; readonly trial: Case['trial'] }
}

/** Lyre itself, as all others are compared with. */
export const OURS = 'lyre'
const ONE_WAY = 'lyre whisper'
const RATE: Metric = { unit: 'messages/s', better: 'more' }
const P50: Metric = { unit: 'p50 us', better: 'less' }
const P99: Metric = { unit: 'p99 us', better: 'less' }
const ALL = ['net', 'zeromq', 'libzmq', 'zyre', 'mqtt']

const WHISPER: Readonly<Record<number, Readonly<Record<string, number>>>> = {
  20: { net: 0.6, zeromq: 25, libzmq: 1.2 },
  100: { net: 0.75, zeromq: 20, libzmq: 1.4, zyre: 60, mqtt: 60 },
  1024: { net: 1.1, zeromq: 8, libzmq: 2.2 },
  10240: { zeromq: 2.5, libzmq: 2 },
  102400: { zeromq: 1.3, libzmq: 1 },
  1048576: { zeromq: 1.1, libzmq: 1 },
}

function times({ unit }: Metric, ratios: Readonly<Record<string, number>> = {}): Goal[] {
  return Object.entries(ratios).map(([contender, ratio]) => ({ contender, unit, times: ratio }))
}

function most(values: Readonly<Record<string, number>>): Goal[] {
  return Object.entries(values).map(([unit, value]) => ({ contender: OURS, unit, most: value }))
}

const whisper: Case['trial'] = (contestant, bytes) =>
  streamTrial(contestant, { bytes, role: 'send' })

function shout(listeners: number, rivals: readonly string[]): Case {
  return {
    about: `one to a group of ${listeners} in one process; deliveries to all of them together`,
    sizes: [100, 1_024],
    rivals,
    metrics: [RATE],
    goals: () => (listeners < 100 ? times(RATE, { [ONE_WAY]: 0.8 }) : []),
    trial: (contestant, bytes) => streamTrial(contestant, { bytes, role: 'send', listeners }),
    beside: { name: ONE_WAY, trial: whisper },
  }
}

/** How something grows, of Lyre alone: no part of a run that names no cases. */
function curve(
  about: string,
  counts: readonly number[],
  { metrics, trial }: Pick<Case, 'metrics' | 'trial'>,
): Case {
  return { about, sizes: [], counts, rivals: [], metrics, goals: () => [], trial }
}

function simulated(role: 'mesh' | 'groups', units: readonly string[]) {
  const metrics = units.map((unit): Metric => ({ unit, better: 'less' }))
  const trial: Case['trial'] = (contestant, count) => scaleTrial(contestant, { role, count, units })
  return { metrics, trial }
}

const CURVES: Readonly<Record<string, Case>> = {
  'scale-mesh': curve(
    'a full mesh of so many nodes in the simulator: processor time for each peer of each node',
    [10, 30, 100, 300, 1_000],
    simulated('mesh', ['start us', 'idle us/s']),
  ),
  'scale-groups': curve(
    'a node in so many groups in the simulator: for each join and each of 100 peers, each shout to 2',
    [10, 100, 1_000],
    simulated('groups', ['join us', 'shout us']),
  ),
  'scale-start': curve('so many nodes in two processes, as start', [10, 25, 50, 100], {
    metrics: [
      { unit: 'seconds', better: 'less' },
      { unit: 'cpu ms/link', better: 'less' },
    ],
    trial: startTrial,
  }),
  'scale-shout': curve('one to so many peers in one process, 100 octets', [10, 25, 50, 100], {
    metrics: [RATE],
    trial: (contestant, listeners) =>
      streamTrial(contestant, { bytes: 100, role: 'send', listeners }),
  }),
  'scale-memory': curve('of one node, for each of so many idle peers', [100, 400, 900], {
    metrics: [{ unit: 'heap KiB', better: 'less' }],
    trial: memoryTrial,
  }),
}

/** All cases, by name. */
export const CASES: Readonly<Record<string, Case>> = {
  whisper: {
    about: 'one to one, one way, as fast as it goes',
    sizes: Object.keys(WHISPER).map(Number),
    rivals: ALL,
    metrics: [RATE],
    goals: (bytes) => times(RATE, WHISPER[bytes]),
    trial: whisper,
  },
  roundtrip: {
    about: 'there and back, one message on its way at a time, nothing else going on',
    sizes: [20, 100, 1_024],
    rivals: ALL,
    metrics: [P50, P99],
    goals: (bytes) => (bytes === 100 ? times(P50, { net: 0.8, zeromq: 1.7, libzmq: 1 }) : []),
    trial: (contestant, bytes) => roundTripTrial(contestant, { bytes, role: 'ping' }),
  },
  'roundtrip-loaded': {
    about: `the same, while who answers also sends ${LOAD.perMs} messages of ${LOAD.bytes} octets each ms, to the same`,
    sizes: [20, 100, 1_024],
    rivals: ALL,
    metrics: [P50, P99],
    goals: () => [],
    trial: (contestant, bytes) => roundTripTrial(contestant, { bytes, role: 'ping', loaded: true }),
  },
  turn: {
    about: 'one message in each turn of the event loop',
    sizes: [100],
    rivals: ['net', 'zeromq'],
    metrics: [RATE],
    goals: (bytes) => (bytes === 100 ? times(RATE, { zeromq: 2 }) : []),
    trial: (contestant, bytes) => streamTrial(contestant, { bytes, role: 'turn' }),
  },
  'shout-8': shout(8, ['zyre', 'mqtt']),
  'shout-25': shout(25, ['zyre', 'mqtt']),
  // A hundred nodes of zyre.js in one process would need ten thousand sockets of libzmq.
  'shout-100': shout(100, ['mqtt']),
  log: {
    about:
      'whisper: how much longer a message takes at level info than at off, with 100 records a second, and a collector that stops to read',
    sizes: [100, 1_024],
    rivals: [],
    metrics: [{ unit: 'of off', better: 'less' }],
    goals: () => most({ 'of off': 1.05 }),
    trial: logTrial,
  },
  gather: {
    about: '25 nodes in one process to one',
    sizes: [100],
    rivals: ['net', 'zeromq', 'mqtt'],
    metrics: [RATE],
    goals: () => [],
    trial: (contestant, bytes) => streamTrial(contestant, { bytes, role: 'send', callers: 25 }),
  },
  start: {
    about: '100 nodes in two processes: seconds from none of them to each knowing all others',
    sizes: [],
    rivals: [],
    metrics: [{ unit: 'seconds', better: 'less' }],
    goals: () => [],
    trial: (contestant) => startTrial(contestant, 100),
  },
  memory: {
    about:
      'of one node, for each of 500 idle peers with a connection either way; net: two bare ones',
    sizes: [],
    rivals: ['net'],
    metrics: [
      { unit: 'heap KiB', better: 'less' },
      { unit: 'rss KiB', better: 'less' },
    ],
    goals: () => most({ 'heap KiB': 4, 'rss KiB': 20 }),
    trial: (contestant) => memoryTrial(contestant, 500),
  },
  idle: {
    about: 'processor time of a node with 1,000 idle peers, each of which beacons once a second',
    sizes: [],
    rivals: [],
    metrics: [{ unit: '% of a core', better: 'less' }],
    goals: () => most({ '% of a core': 5 }),
    trial: (contestant) => idleTrial(contestant, 1_000),
  },
  ...CURVES,
}

/** What is measured when nobody says what: all but the curves, which take longer than the rest. */
export const USUAL: readonly string[] = Object.keys(CASES).filter((name) => !(name in CURVES))

/**
 * What a commit has to reach, compared with the limit in the same run and nothing else, so that a busy machine fails nobody.
 * All margins are here.
 */
const GATE: readonly {
  readonly name: string
  readonly bytes: number
  readonly metric: Metric
  readonly times: number
}[] = [
  { name: 'whisper', bytes: 20, metric: RATE, times: 0.2 },
  { name: 'whisper', bytes: 100, metric: RATE, times: 0.25 },
  { name: 'whisper', bytes: 1_024, metric: RATE, times: 0.4 },
  { name: 'whisper', bytes: 102_400, metric: RATE, times: 0.4 },
  { name: 'turn', bytes: 100, metric: RATE, times: 0.8 },
  { name: 'roundtrip', bytes: 100, metric: P50, times: 0.4 },
]

/** The contests of the gate. */
export function gateContests(contestants: readonly Contestant[]): Contest[] {
  return GATE.flatMap(({ name, bytes, metric, times: ratio }) =>
    [contest(name, CASES[name] as Case, contestants, bytes)].map((each) => ({
      ...each,
      metrics: [metric],
      goals: times(metric, { net: ratio }),
    })),
  )
}

/** The case of that name, or those whose names begin with it, each at all its sizes or at those given. */
export function contestsOf(
  wanted: string,
  contestants: readonly Contestant[],
  sizes: readonly number[] | undefined,
): Contest[] {
  const named = Object.entries(CASES)
  const exact = named.filter(([name]) => name === wanted)
  const found = exact.length > 0 ? exact : named.filter(([name]) => name.startsWith(`${wanted}-`))
  if (found.length === 0) {
    throw new Error(`there is no case ${wanted}; there are ${Object.keys(CASES).join(', ')}`)
  }
  return found.flatMap(([name, one]) => {
    const all = one.counts ?? one.sizes
    return all.length === 0
      ? [contest(name, one, contestants, undefined)]
      : (sizes ?? all).map((size) => contest(name, one, contestants, size))
  })
}

function contest(
  name: string,
  { rivals, metrics, goals, trial, beside, counts }: Case,
  contestants: readonly Contestant[],
  size: number | undefined,
): Contest {
  const invited = contestants.filter(
    (each) => each.lyre !== undefined || rivals.includes(each.name),
  )
  const trials = new Map(invited.map((each) => [each.name, () => trial(each, size ?? 0)]))
  const ours = contestants.find((each) => each.name === OURS)
  if (beside !== undefined && ours !== undefined) {
    trials.set(beside.name, () => beside.trial(ours, size ?? 0))
  }
  const common = { case: name, metrics, goals: goals(size ?? 0), trials }
  if (counts === undefined || size === undefined) return { ...common, bytes: size }
  return { ...common, bytes: undefined, count: size }
}
