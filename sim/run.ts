// One run: a plan, which a seed tells, is played to its end, and judged from outside. Rounds of bad weather, in which only
// what is always true is asked for, alternate with calm, after which everybody has to agree.
// A plan is plain JSON: whoever has it has the run.

import { LOG_LEVELS, type LogLevel } from '../protocol/index.ts'
import { UsageError } from '../src/errors.ts'
import type { Collector } from '../src/log/collector.ts'
import type { LogLine } from '../src/log/lines.ts'
import type { LyreOptions } from '../src/options.ts'
import type { WireEvent } from '../src/wire.ts'
import { Cast, machineOf } from './cast.ts'
import { checkFaults, type Faults, NO_FAULTS, readFaults } from './faults.ts'
import { Habits } from './habits.ts'
import { Hostile } from './hostile.ts'
import type { Finding } from './judge/findings.ts'
import { Judge } from './judge/judge.ts'
import { checkKeys } from './options.ts'
import { Random } from './random.ts'
import { Simulation } from './simulation.ts'
import { linksOf, Storm } from './storm.ts'
import { createWorkload, WORKLOADS, type WorkloadName } from './workloads.ts'

/** What a run can be told; only the seed has to be. */
export interface RunOptions {
  /** An integer from 0 to 2^53 - 1. */
  readonly seed: number
  /** From 2; default: 10. */
  readonly nodes?: number
  /** Default: `book`. */
  readonly workload?: WorkloadName
  /** A line of faults, as readFaults() takes it: `swarm`, `none`, `loss=0.1,burst=3s,pause`. Default: `swarm`. */
  readonly faults?: string
  /** Default: `wire`. */
  readonly fidelity?: 'wire' | 'message'
  /** Virtual time, in milliseconds, from 1,000. Default: 600,000. */
  readonly ms?: number
  /** How long it is calm before all have to agree; less than the default, 50,000, asks for more than a node promises. */
  readonly calmMs?: number
  /**
   * What all nodes log, to a collector on a machine of its own that no fault befalls. It is one node more, so that a run is
   * another one with a log than without. Default: nothing, and there is no collector.
   */
  readonly log?: LogLevel
}

/** A run with everything that its seed tells, as plain JSON: the same plan is the same run. */
export interface Plan {
  readonly seed: number
  readonly nodes: number
  readonly workload: WorkloadName
  readonly fidelity: 'wire' | 'message'
  readonly ms: number
  /** How long the weather is bad, and then good, in each round. */
  readonly stormMs: number
  readonly calmMs: number
  /** How many nodes beside the others keep to no protocol. */
  readonly hostiles: number
  readonly faults: Faults
  /** Only there where nodes log. */
  readonly log?: LogLevel
}

/** How far a run has come. */
export interface Progress {
  readonly virtualMs: number
  readonly ofMs: number
  readonly steps: number
  /** Events that nodes told, enters that had no exit since, and nodes that are started. */
  readonly events: number
  readonly pairs: number
  readonly nodes: number
}

/** Who watches a run; it changes nothing. */
export interface Watch {
  /** Called after each virtual second. */
  progress?(progress: Progress): void
  /** Wall-clock time in milliseconds, which a simulation knows nothing of: for `wallSeconds` and `speed`. */
  wallMs?(): number
  /** One line of JSON for each record of the true history that is more than a beacon: `{t,i,node,peer,kind,...,cause}`. */
  trace?(line: string): void
  /** What passes between nodes, as each of them tells it by its option `wire`. */
  wire?(event: WireEvent): void
  /** What the collector tells, where nodes log: what `lyre log` would save. */
  log?(line: LogLine): void
}

/** What came of a run. */
export interface Verdict {
  /** `stopped` where nothing was found before it was told to stop. */
  readonly verdict: 'passed' | 'failed' | 'stopped'
  readonly seed: number
  readonly nodes: number
  readonly workload: WorkloadName
  readonly fidelity: 'wire' | 'message'
  readonly virtualSeconds: number
  /** Where somebody measured it. */
  readonly wallSeconds?: number
  readonly speed?: number
  /** Events that nodes told; all that happened; and what the digest is of. */
  readonly events: number
  readonly steps: number
  readonly records: number
  readonly digest: string
  /** Where an invariant broke: which first, and all that was found until then. */
  readonly invariant?: string
  readonly finding?: Finding
  readonly findings?: readonly Finding[]
  readonly plan: Plan
}

type Figures = Pick<Verdict, 'virtualSeconds' | 'events' | 'steps' | 'records' | 'digest'>

/** What a run that failed leaves behind, to be run again: plain JSON. */
export interface Repro {
  readonly lyre: 'repro'
  readonly invariant: string
  readonly digest: string
  readonly plan: Plan
}

const NODES_MAX = 10_000
/**
 * What all may need to agree once nothing is wrong, with the defaults of a node: beacons count as life for half the expired
 * timeout longer than octets (harmony.md 4.4), then that timeout, a sweep, the longest back-off, two beacons; 50 s.
 */
const CALM_MS = 50_000
/** How much longer it takes until whoever is gone is forgotten, and no dial to it is left. */
const SETTLE_MS = 12_000
const SLICE_MS = 1_000
/** Nodes that log, and peers, that a collector has room for at least; and how many times as many as there are at one time. */
const COLLECTED_MIN = 1_024
const COLLECTED_PER_NODE = 2
const PORTS = 65_535
/** When a collector has to have stopped. */
const STOP_MS = 60_000

/**
 * Everything that a seed tells about a run.
 * @throws UsageError that names the option, what was given and what would be right.
 */
export function planRun(options: RunOptions): Plan {
  checkKeys('a run', options, KEYS)
  const { seed, nodes = 10, workload = 'book', faults = 'swarm', fidelity = 'wire' } = options
  const { ms = 600_000, calmMs = CALM_MS, log } = options
  integer('seed', seed, { min: 0, max: Number.MAX_SAFE_INTEGER })
  integer('nodes', nodes, { min: 2, max: NODES_MAX })
  integer('ms', ms, { min: 1_000, max: 1e12 })
  integer('calmMs', calmMs, { min: 0, max: 1e12 })
  if (!Object.hasOwn(WORKLOADS, workload)) {
    const names = Object.keys(WORKLOADS).join(', ')
    throw new UsageError(`there is no workload ${workload}; there are ${names}`)
  }
  if (fidelity !== 'wire' && fidelity !== 'message') {
    throw new UsageError(`fidelity has to be wire or message, not ${String(fidelity)}`)
  }
  if (log !== undefined && !Object.hasOwn(LOG_LEVELS, log)) {
    const levels = Object.keys(LOG_LEVELS).join(', ')
    throw new UsageError(`log has to be one of ${levels}, not ${String(log)}`)
  }
  const random = new Random(seed).fork('plan')
  const stormMs = random.fork('rounds').between(20_000, 300_000)
  const share = random.fork('hostiles').between(1, 10) / 100
  return {
    seed,
    nodes,
    workload,
    fidelity,
    ms,
    stormMs: Math.max(1_000, Math.min(stormMs, ms - calmMs)),
    calmMs,
    hostiles: workload === 'hostile' ? Math.max(1, Math.round(nodes * share)) : 0,
    faults: readFaults(faults, random.fork('faults')),
    ...(log !== undefined && { log }),
  }
}

const KEYS = ['seed', 'nodes', 'workload', 'faults', 'fidelity', 'ms', 'calmMs', 'log']

/** The expanded options of a plan, one a line. */
export function describePlan(plan: Plan): string[] {
  const { faults, ...rest } = plan
  const lines = Object.entries(rest).map(([key, value]) => `${key}=${value}`)
  for (const [key, value] of Object.entries(faults)) lines.push(`faults.${key}=${value}`)
  return lines
}

/** What to keep of a run that failed; undefined of one that passed. */
export function reproOf({ plan, invariant, digest }: Verdict): Repro | undefined {
  return invariant === undefined ? undefined : { lyre: 'repro', invariant, digest, plan }
}

/** Reads what reproOf() made, or a plan alone, back from JSON. @throws UsageError on anything else. */
export function readRepro(json: unknown): Plan {
  const given =
    typeof json === 'object' && json !== null ? (json as { readonly plan?: unknown }) : {}
  const plan = ('plan' in given ? given.plan : given) as Partial<Plan> | null
  if (typeof plan !== 'object' || plan === null || typeof plan.faults !== 'object') {
    throw new UsageError('this is no repro file: it has no plan')
  }
  const { seed = -1, nodes = -1, workload = 'book', fidelity = 'wire', ms = -1, log } = plan
  const logged = log === undefined ? {} : { log }
  const sound = planRun({ seed, nodes, workload, fidelity, ms, faults: 'none', ...logged })
  const { stormMs = sound.stormMs, calmMs = CALM_MS, hostiles = 0 } = plan
  const faults: unknown = plan.faults
  checkFaults(faults)
  integer('stormMs', stormMs, { min: 1, max: 1e12 })
  integer('calmMs', calmMs, { min: 0, max: 1e12 })
  integer('hostiles', hostiles, { min: 0, max: NODES_MAX })
  return { ...sound, stormMs, calmMs, hostiles, faults: { ...NO_FAULTS, ...faults } }
}

/**
 * Plays a plan to its end, or until something is found.
 * @param untilMs where to stop, in virtual milliseconds; until then it is the same run as without.
 */
export async function run(
  plan: Plan,
  watch: Watch = {},
  { untilMs = Number.POSITIVE_INFINITY }: { readonly untilMs?: number } = {},
): Promise<Verdict> {
  const beganMs = watch.wallMs?.()
  const play = new Play(plan, watch, untilMs)
  await play.play()
  const figures = play.figures()
  await play.collectRest()
  const verdict = play.verdict(figures)
  if (beganMs === undefined || watch.wallMs === undefined) return verdict
  const wallSeconds = (watch.wallMs() - beganMs) / 1_000
  return { ...verdict, wallSeconds, speed: verdict.virtualSeconds / Math.max(wallSeconds, 1e-3) }
}

/** One run, while it goes on. */
class Play {
  readonly #plan: Plan
  readonly #watch: Watch
  readonly #simulation: Simulation
  readonly #judge: Judge
  readonly #habits: Habits
  readonly #cast: Cast
  readonly #workload: ReturnType<typeof createWorkload>
  readonly #storm: Storm
  readonly #untilMs: number
  /** Undefined where nothing is logged. */
  readonly #collector: Collector | undefined
  #isStopped = false
  /** Whether it has come to its end: what comes then is no part of it. */
  #isDone = false
  readonly #hostiles: readonly Hostile[]

  constructor(plan: Plan, watch: Watch, untilMs: number) {
    const { seed, fidelity, faults, nodes } = plan
    const random = new Random(seed)
    this.#plan = plan
    this.#watch = watch
    this.#untilMs = untilMs
    this.#workload = createWorkload(plan.workload, random.fork('workload'))
    // Nothing but the nodes joins two subnets that all are on.
    const routed = this.#workload.subnets.length === 1
    this.#simulation = new Simulation({ seed, fidelity, links: linksOf(faults, false), routed })
    const narrow = plan.workload === 'flap' || plan.workload === 'flood'
    const { trace, wire } = this.#told()
    this.#judge = new Judge(this.#simulation, { faults, nodes, narrow, trace })
    this.#habits = new Habits(this.#simulation, {
      faults,
      random: random.fork('habits'),
      blame: (node, about) => this.#judge.blame(node, about),
    })
    this.#cast = new Cast(this.#simulation, {
      count: nodes,
      subnets: this.#workload.subnets,
      options: (index) => ({
        ...this.#habits.options(this.#workload.options(index)),
        ...(wire !== undefined && { wire }),
        ...this.#logOptions(index),
      }),
      birth: (seat) => {
        this.#workload.birth(seat)
        this.#habits.birth(seat.lyre)
      },
    })
    this.#collector = this.#createCollector()
    this.#storm = new Storm(this.#cast, faults, random.fork('storm'))
    this.#hostiles = Array.from({ length: plan.hostiles }, (_, index) => {
      const machine = `hostile-${index}`
      return new Hostile(this.#simulation, { machine, random: random.fork(machine) })
    })
  }

  async play(): Promise<void> {
    const { ms, stormMs, calmMs, faults } = this.#plan
    try {
      await this.#collector?.start()
      for (const hostile of this.#hostiles) await hostile.open()
      while (this.#simulation.now < ms && !this.#isOver) {
        this.#workload.begin(this.#cast)
        this.#storm.begin()
        this.#habits.begin()
        for (const hostile of this.#hostiles) hostile.begin()
        await this.#pass(this.#simulation.now + stormMs)
        this.#workload.end()
        this.#habits.end()
        for (const hostile of this.#hostiles) hostile.end()
        await this.#pass(this.#storm.end())
        this.#judge.beginCalm()
        // Whose clock is slow needs the longer for it.
        await this.#pass(this.#simulation.now + Math.ceil(calmMs * (1 + faults.driftPpm / 1e6)))
        if (!this.#isOver) this.#judge.judgeCalm()
        await this.#pass(this.#simulation.now + SETTLE_MS)
        if (!this.#isOver) this.#judge.judgeSettled()
      }
      if (!this.#isOver) await this.#simulation.stop()
      if (!this.#isOver) await this.#habits.finish()
      if (!this.#isOver) this.#judge.judgeEnd()
    } catch (error) {
      this.#judge.handleThrown(error)
    }
  }

  /** What came of it so far. */
  figures(): Figures {
    const { steps, records } = this.#simulation.statistics
    return {
      virtualSeconds: this.#simulation.now / 1_000,
      events: this.#judge.eventCount,
      steps,
      records,
      digest: this.#simulation.digest(),
    }
  }

  verdict(figures: Figures): Verdict {
    const { seed, nodes, workload, fidelity } = this.#plan
    const { findings } = this.#judge
    const [finding] = findings
    return {
      verdict: finding !== undefined ? 'failed' : this.#isStopped ? 'stopped' : 'passed',
      seed,
      nodes,
      workload,
      fidelity,
      ...figures,
      ...(finding !== undefined && {
        invariant: finding.invariant,
        finding,
        findings: [...findings],
      }),
      plan: this.#plan,
    }
  }

  /** Lets a collector tell what it still holds, where a run has not come to its end. */
  async collectRest(): Promise<void> {
    this.#isDone = true
    const stopped = this.#collector?.stop()
    for (let isDone = stopped === undefined; !isDone; ) {
      try {
        await this.#simulation.runUntil(stopped as Promise<void>, { timeoutMs: STOP_MS })
        isDone = true
      } catch (error) {
        isDone = !this.#habits.takes(error)
        if (isDone) this.#judge.handleThrown(error)
      }
    }
  }

  /** Those who are told more than how far it is, until it is done. */
  #told(): Pick<Watch, 'trace' | 'wire'> {
    const { trace, wire } = this.#watch
    const until =
      <Told>(tell: (told: Told) => void) =>
      (told: Told) => {
        if (!this.#isDone) tell(told)
      }
    return {
      ...(trace !== undefined && { trace: until((line: string) => trace.call(this.#watch, line)) }),
      ...(wire !== undefined && {
        wire: until((event: WireEvent) => wire.call(this.#watch, event)),
      }),
    }
  }

  /** Who is started anew has the name that it had, as a machine has. */
  #logOptions(index: number): LyreOptions {
    const { log } = this.#plan
    return log === undefined ? {} : { name: machineOf(index), log: { level: log } }
  }

  /** On all subnets, and on no side of a partition: it hears everybody. */
  #createCollector(): Collector | undefined {
    const { log, nodes } = this.#plan
    if (log === undefined) return undefined
    const peersMax = Math.max(COLLECTED_MIN, COLLECTED_PER_NODE * nodes)
    const collector = this.#simulation.createCollector(
      {
        level: log,
        connectionsMax: Math.min(PORTS, peersMax),
        node: { name: 'collector', limits: { peersMax } },
      },
      { machine: 'collector', subnet: this.#workload.subnets },
    )
    const tell = (line: LogLine) => this.#watch.log?.(line)
    return collector.on('record', tell).on('gap', tell).on('restart', tell)
  }

  get #isOver(): boolean {
    return this.#isStopped || this.#judge.failed
  }

  /** Lets time pass until then, second by second, or until something is found. */
  async #pass(passedAt: number): Promise<void> {
    const endAt = Math.min(passedAt, this.#untilMs)
    while (this.#simulation.now < endAt && !this.#isOver) {
      await this.#slice(Math.min(this.#simulation.now + SLICE_MS, endAt))
      this.#judge.judgeSecond()
      this.#tell()
    }
    if (endAt === this.#untilMs) this.#isStopped = true
  }

  /** Lets time pass until then; what applications throw on purpose has to surface, and ends nothing. */
  async #slice(endAt: number): Promise<void> {
    for (let isDone = false; !isDone; ) {
      try {
        await this.#simulation.run(Math.max(0, endAt - this.#simulation.now))
        isDone = true
      } catch (error) {
        if (!this.#habits.takes(error)) throw error
      }
    }
    const { hiddenCount } = this.#habits
    if (hiddenCount > 0) throw new Error(`${hiddenCount} errors of handlers did not surface`)
  }

  #tell(): void {
    const { progress } = this.#watch
    if (progress === undefined) return
    progress({
      virtualMs: this.#simulation.now,
      ofMs: this.#plan.ms,
      steps: this.#simulation.statistics.steps,
      events: this.#judge.eventCount,
      pairs: this.#judge.pairCount,
      nodes: this.#cast.seats.filter(({ state }) => state === 'started').length,
    })
  }
}

function integer(
  option: string,
  value: number,
  { min, max }: { readonly min: number; readonly max: number },
): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new UsageError(`${option} has to be an integer from ${min} to ${max}, not ${String(value)}`)
}
