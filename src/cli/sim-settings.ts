// The options of `lyre sim`, and the plans that they ask for.

import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  FAULT_KINDS,
  type Plan,
  planRun,
  type RunOptions,
  readRepro,
  UsageError,
  WORKLOADS,
  type WorkloadName,
} from '../../sim/index.ts'
import { LOG_LEVELS, type LogLevel } from '../index.ts'
import { integer, ownCommand, parseDuration, withJson } from './settings.ts'

/** What was said on the command line, of a run from a seed and of one from a file. */
export interface SimSettings {
  readonly nodes?: number
  readonly seed?: number
  readonly seeds?: Seeds
  readonly hours?: number
  readonly minutes?: number
  readonly workload?: WorkloadName
  readonly faults?: string
  readonly fidelity?: 'wire' | 'message'
  /** Milliseconds, as of `until` and `budget`. */
  readonly calm?: number
  readonly json?: true
  /** A file; true is standard output. */
  readonly trace?: string | true
  /** A file for what passes between nodes. */
  readonly traceZre?: string
  /** A folder for what nodes log, and up to which level they do; one of both is enough. */
  readonly log?: string
  readonly logLevel?: LogLevel
  readonly until?: number
  readonly twice?: true
  readonly jobs?: number
  readonly budget?: number
  /** The folder for repro files. */
  readonly repro: string
}

/** From the first to the last. */
export interface Seeds {
  readonly first: number
  readonly last: number
}

/** A run that was asked for. */
export interface Order {
  readonly plan: Plan
  /** What the plan is of; a file has a plan alone. */
  readonly options?: RunOptions
  /** What runs it again, and nothing else: a complete command line. */
  readonly replay: string
  /** What a file says that came of it. */
  readonly recorded?: { readonly invariant: string; readonly digest: string }
}

const NODES_MAX = 10_000
const JOBS_MAX = 1_024
const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000
const MS_MAX = 1e12

/** What --help says of workloads and faults. */
export const SIM_WORDS = `Workloads:
${Object.entries(WORKLOADS)
  .map(([name, what]) => wrapped(name, what))
  .join('\n')}

Faults, any of them, between commas:
${wrapped('swarm', 'each kind is there half the time, and how bad it is the seed tells')}
${wrapped('none', 'nothing goes wrong')}
${wrapped('kinds', FAULT_KINDS.join(', '))}
${wrapped('', 'with a value where it makes sense: loss=0.3, stall=20s, partition=halves+oneway; swarm,crash=0 is all but crashes')}`

/** Adds what tells a run. */
export function withPlan(command: Command): Command {
  return command
    .option('--seed <n>', 'what tells the run; drawn and shown, unless given', integer(0))
    .addOption(
      new Option('--seeds <a..b>', 'one run for each seed from A to B').argParser(parseSeeds),
    )
    .option('--nodes <n>', `how many nodes, from 2; 10, unless given`, integer(2, NODES_MAX))
    .option('--hours <n>', 'virtual time, with --minutes; 10 minutes, unless given', positive)
    .option('--minutes <n>', 'virtual time', positive)
    .addOption(
      new Option('--workload <name>', 'what the nodes do; book, unless given').choices(
        Object.keys(WORKLOADS),
      ),
    )
    .option('--faults <line>', 'what goes wrong, such as loss=0.1,burst=3s; swarm, unless given')
    .addOption(
      new Option(
        '--fidelity <kind>',
        'wire: octets through ZMTP; message: faster, for many nodes; wire, unless given',
      ).choices(['wire', 'message']),
    )
    .option('--calm <duration>', 'how long is calm before all have to agree; 50s', parseDuration)
    .option('--jobs <n>', 'with --seeds: runs at a time; all cores', integer(1, JOBS_MAX))
    .option('--budget <duration>', 'with --seeds: begins no seed later than this', parseDuration)
    .option('--repro <folder>', 'where the file of a run that failed goes', '.')
}

/** Adds what is done with a run, wherever it comes from. */
export function withWatch(command: Command): Command {
  return withJson(command, 'no words: the verdict is one object of JSON, the last line')
    .option('--until <time>', 'stops there: 13m, 90s or 00:13:08.5', parseInstant)
    .option(
      '--trace [file]',
      'the true history, as lines of JSON; to standard output, unless a file',
    )
    .option('--trace-zre <file>', 'all messages between nodes, for lyre trace show; a file')
    .option('--log <folder>', 'all nodes log, and a collector saves it there, for lyre log query')
    .addOption(
      new Option('--log-level <level>', 'what they log, saved or not; info with --log').choices(
        Object.keys(LOG_LEVELS),
      ),
    )
    .option('--twice', 'runs it twice, and ends with 3 unless both are the same')
}

/**
 * The run that a command line asks for.
 * @throws UsageError on what cannot be planned.
 */
export function orderOf(settings: SimSettings): Order {
  if (settings.jobs !== undefined || settings.budget !== undefined) {
    throw new UsageError('--jobs and --budget are for many runs: give --seeds A..B, too')
  }
  return orderOfSeed(settings, settings.seed ?? randomInt(2 ** 32))
}

/** As orderOf(), of one seed of many. */
export function orderOfSeed(settings: SimSettings, seed: number): Order {
  const { nodes, workload, faults = 'swarm', fidelity, calm } = settings
  const log = levelOf(settings)
  const plan = planRun({
    seed,
    faults,
    ...timeOf(settings),
    ...(nodes !== undefined && { nodes }),
    ...(workload !== undefined && { workload }),
    ...(fidelity !== undefined && { fidelity }),
    ...(calm !== undefined && { calmMs: calm }),
    ...(log !== undefined && { log }),
  })
  // All of them, with what was left to defaults.
  const options: RunOptions = {
    seed,
    nodes: plan.nodes,
    workload: plan.workload,
    faults,
    fidelity: plan.fidelity,
    ms: plan.ms,
    ...(calm !== undefined && { calmMs: calm }),
    ...(log !== undefined && { log }),
  }
  const words = [
    ...['--seed', plan.seed, '--nodes', plan.nodes, '--workload', plan.workload],
    ...['--faults', faults, '--fidelity', plan.fidelity, '--minutes', plan.ms / MINUTE_MS],
    ...(calm === undefined ? [] : ['--calm', `${calm}ms`]),
    ...(log === undefined ? [] : ['--log-level', log]),
  ]
  return { plan, options, replay: commandLine(words) }
}

/**
 * The run that a file tells; with a log that it does not tell of, it is another one.
 * @throws UsageError on what is no repro file.
 */
export function orderOfFile(file: string, settings: SimSettings): Order {
  let json: unknown
  try {
    json = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new UsageError(`${file} cannot be read as a repro file: ${(error as Error).message}`)
  }
  const told = readRepro(json)
  const log = settings.logLevel ?? told.log ?? levelOf(settings)
  const plan = log === undefined ? told : { ...told, log }
  const { invariant, digest } = json as Record<string, unknown>
  const isOther = log !== told.log
  const replay = commandLine(['replay', file, ...(isOther ? ['--log-level', String(log)] : [])])
  if (isOther || typeof invariant !== 'string' || typeof digest !== 'string') {
    return { plan, replay }
  }
  return { plan, replay, recorded: { invariant, digest } }
}

function levelOf({ log, logLevel }: SimSettings): LogLevel | undefined {
  return logLevel ?? (log === undefined ? undefined : 'info')
}

function timeOf({ hours, minutes }: SimSettings): { readonly ms?: number } {
  if (hours === undefined && minutes === undefined) return {}
  const ms = Math.round((hours ?? 0) * HOUR_MS + (minutes ?? 0) * MINUTE_MS)
  if (ms >= 1_000 && ms <= MS_MAX) return { ms }
  throw new UsageError('--hours and --minutes are a second at least, and 30 years at most')
}

/** A line for a shell, which calls this command as we were called. */
function commandLine(words: readonly (string | number)[]): string {
  const quoted = words.map((word) => {
    const text = String(word)
    return /^[\w.,:=+/@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
  })
  return [ownCommand(), 'sim', ...quoted].join(' ')
}

function positive(text: string): number {
  const number = /^\d*\.?\d+$/.test(text) ? Number(text) : 0
  if (number > 0) return number
  throw new InvalidArgumentError('It is a number above 0, such as 24 or 0.5.')
}

function parseSeeds(text: string): Seeds {
  const [, from = '', to = ''] = /^(\d+)\.\.(\d+)$/.exec(text) ?? []
  const [first, last] = [Number(from), Number(to)]
  if (from !== '' && first <= last && last <= Number.MAX_SAFE_INTEGER) return { first, last }
  throw new InvalidArgumentError('Seeds are FIRST..LAST, such as 1..500.')
}

function parseInstant(text: string): number {
  const [, hours, minutes, seconds] = /^(\d+):(\d{2}):(\d{2}(?:\.\d+)?)$/.exec(text) ?? []
  if (hours === undefined) return parseDuration(text)
  const ms = Number(hours) * HOUR_MS + Number(minutes) * MINUTE_MS + Number(seconds) * 1_000
  return Math.ceil(ms)
}

/** A name and what it is, in lines of 80 columns at most. */
function wrapped(name: string, what: string): string {
  const indent = ' '.repeat(14)
  const lines: string[] = []
  let line = `  ${name}`.padEnd(indent.length - 1)
  for (const word of what.split(' ')) {
    if (line.length + 1 + word.length > 79) {
      lines.push(line)
      line = indent.slice(1)
    }
    line += ` ${word}`
  }
  return [...lines, line].join('\n')
}
