// `lyre sim`: real nodes on a virtual network in virtual time, told by a seed and judged from outside; one run, one for each
// of many seeds, or one again from a file. Runs are played in threads, so that a bar, lines and Ctrl-C need not wait for them.

import {
  createWriteStream,
  openSync,
  readFileSync,
  statSync,
  type WriteStream,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type Progress, reproOf, UsageError, type Verdict } from '../../sim/index.ts'
import { Bar } from './bar.ts'
import { CONTENT_BYTES, captureHead } from './capture.ts'
import { formatLine, type JsonLine } from './json.ts'
import { Archive, hasLogs, ROTATION } from './log-archive.ts'
import { Output } from './output.ts'
import { type Audience, CORES, Crew } from './sim-crew.ts'
import { Score, WORDS } from './sim-score.ts'
import {
  type Order,
  orderOf,
  orderOfFile,
  orderOfSeed,
  type Seeds,
  type SimSettings,
} from './sim-settings.ts'
import {
  describeOutcome,
  describeShortly,
  type Ending,
  endingOf,
  figure,
  headline,
  instant,
  jsonOf,
  type Outcome,
  speedOf,
} from './sim-words.ts'
import { isColoured } from './terminal.ts'

/** Exit codes; 2 is for UsageErrors, 128 and more for signals. */
const CODES: Readonly<Record<Exclude<Ending, 'interrupted'>, number>> = {
  passed: 0,
  stopped: 0,
  failed: 1,
  nondeterministic: 3,
  died: 4,
}
const UNWRITTEN = 4
/** Of so many seeds one is run twice, the first in any case. */
const TWICE_GAP = 50
/** Repro files of one seed and invariant; more are of one plan that was edited again and again. */
const REPROS_MAX = 1_000

/** The verb. @throws UsageError */
export async function simulate(settings: SimSettings, signal: AbortSignal): Promise<number> {
  const { seeds, repro } = settings
  const alone = (['seed', 'trace', 'traceZre', 'log', 'until'] as const).find(
    (name) => settings[name] !== undefined,
  )
  if (seeds !== undefined && alone !== undefined) {
    const flag = alone === 'traceZre' ? 'trace-zre' : alone
    throw new UsageError(`--seeds cannot be used with --${flag}, which is for one run`)
  }
  if (statSync(repro, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new UsageError(`there is no folder ${repro} to write repro files to`)
  }
  return seeds === undefined
    ? await new Stage(settings, signal).playOne(orderOf(settings), repro)
    : await new Stage(settings, signal).playMany(seeds, repro)
}

/** The verb that runs a repro file. @throws UsageError */
export function replay(file: string, settings: SimSettings, signal: AbortSignal): Promise<number> {
  return new Stage(settings, signal).playOne(orderOfFile(file, settings), undefined)
}

/** Where runs are played, told of and judged, for the length of one command. */
class Stage {
  readonly #settings: SimSettings
  readonly #json: boolean
  readonly #output: Output
  readonly #trace: Output | undefined
  readonly #capture: Output | undefined
  readonly #archive: Archive | undefined
  readonly #files: WriteStream[] = []
  readonly #bar: Bar
  /** Aborted by a signal, and when nobody takes what we write. */
  readonly #leaving = new AbortController()
  readonly #aborted: Promise<undefined>
  readonly #beganAt = performance.now()
  #crew: Crew | undefined

  constructor(settings: SimSettings, signal: AbortSignal) {
    const { trace, traceZre, log, json = false } = settings
    this.#settings = settings
    this.#json = json
    const leave = () => this.#leaving.abort(signal.reason)
    this.#aborted = new Promise((resolve) => {
      this.#leaving.signal.addEventListener('abort', () => resolve(undefined))
    })
    signal.addEventListener('abort', leave)
    this.#output = new Output(process.stdout, leave)
    const open = (path: string) => {
      const file = openTrace(path)
      this.#files.push(file)
      return new Output(file, leave)
    }
    this.#trace = typeof trace === 'string' ? open(trace) : undefined
    this.#capture = traceZre === undefined ? undefined : open(traceZre)
    this.#capture?.write(captureHead(CONTENT_BYTES))
    this.#archive = log === undefined ? undefined : openArchive(log)
    if (trace === true) this.#trace = this.#output
    this.#bar = new Bar({ shown: !json && trace !== true })
  }

  /** Plays one, twice if that is wanted. @returns the exit code. */
  async playOne(order: Order, folder: string | undefined): Promise<number> {
    const { until: untilMs = Number.POSITIVE_INFINITY, twice = false } = this.#settings
    const { plan } = order
    this.#crew = new Crew(1)
    this.#say(headline(plan))
    const endMs = Math.min(plan.ms, untilMs)
    const outcome = await this.#play(order, twice, (progress) => {
      const speed = progress.virtualMs / (performance.now() - this.#beganAt)
      this.#bar.draw(progress.virtualMs / endMs, [
        instant(progress.virtualMs, { withMs: false }),
        speedOf(speed),
        `${figure(progress.events)} events`,
        `${progress.nodes} nodes, ${figure(progress.pairs)} peers`,
      ])
    })
    this.#bar.clear()
    await this.#crew.end()
    const repro = this.#keep(order, outcome, folder)
    this.#say(coloured(describeOutcome(order, outcome, repro)))
    this.#tell({ ...jsonOf(order, outcome, repro), rssBytesMax: rssBytesMax() })
    await this.#written()
    return this.#code([endingOf(outcome)])
  }

  /** Plays one for each seed, so many at a time. @returns the exit code. */
  async playMany(seeds: Seeds, folder: string): Promise<number> {
    const { jobs = CORES, budget = Number.POSITIVE_INFINITY, twice = false } = this.#settings
    const score = new Score(seeds)
    const lanes = Math.min(jobs, score.of)
    this.#crew = new Crew(lanes)
    let next = seeds.first
    const { plan } = orderOfSeed(this.#settings, next)
    const { first, last } = seeds
    this.#say(headline(plan).replace(/^seed \d+/, `seeds ${first}..${last}`))
    const play = async () => {
      while (next <= last && !this.#leaving.signal.aborted) {
        const isLate = performance.now() - this.#beganAt >= budget
        if (isLate && next > first) break
        const seed = next++
        const order = orderOfSeed(this.#settings, seed)
        const isTwice = twice || (seed - first) % TWICE_GAP === 0
        score.run(seed)
        const outcome = await this.#play(order, isTwice, (progress) => {
          score.run(seed, progress)
          this.#bar.draw(...score.bar(performance.now() - this.#beganAt, budget))
        })
        if (outcome.type !== 'interrupted') this.#told(score, order, outcome, folder)
        await this.#output.ready()
      }
    }
    await Promise.all(Array.from({ length: lanes }, play))
    this.#bar.clear()
    await this.#crew.end()
    const isInterrupted = this.#leaving.signal.aborted
    const wallSeconds = (performance.now() - this.#beganAt) / 1_000
    this.#say(coloured(score.describe({ isInterrupted, wallSeconds })))
    this.#tell({ ...score.json({ isInterrupted, wallSeconds, plan }), rssBytesMax: rssBytesMax() })
    await this.#written()
    return this.#code([...score.endings.keys(), ...(isInterrupted ? ['interrupted' as const] : [])])
  }

  #told(score: Score, order: Order, outcome: Outcome, folder: string): void {
    const repro = this.#keep(order, outcome, folder)
    const ending = endingOf(outcome)
    score.end(order.plan.seed, ending, outcome)
    this.#bar.clear()
    if (ending !== 'passed') this.#say(coloured(describeShortly(order, outcome, repro)))
    this.#tell(jsonOf(order, outcome, repro))
  }

  async #play(
    { plan }: Order,
    twice: boolean,
    show: (progress: Progress) => void,
  ): Promise<Outcome> {
    const { until: untilMs = Number.POSITIVE_INFINITY } = this.#settings
    const beganAt = performance.now()
    let progress: Progress | undefined
    const watch = (seen: Progress) => {
      progress = seen
      show(seen)
    }
    const trace = this.#trace
    const to = (output: Output | undefined) => async (text: string) => {
      output?.write(text)
      await output?.ready()
    }
    const wired = this.#capture !== undefined
    const archive = this.#archive
    const audience = {
      progress: watch,
      lines: to(trace),
      capture: to(this.#capture),
      log: async (text: string) => {
        archive?.addTexts(text.trimEnd().split('\n'))
      },
    }
    const play = (audience: Audience, first: boolean): Promise<Verdict> | undefined => {
      const logged = first && archive !== undefined
      const told = { traced: first && trace !== undefined, wired: first && wired, logged }
      return this.#crew?.play({ plan, untilMs, ...told }, audience)
    }
    try {
      const verdict = await Promise.race([play(audience, true), this.#aborted])
      const twin = twice
        ? await Promise.race([play({ progress: show }, false), this.#aborted])
        : verdict
      if (verdict === undefined || twin === undefined) {
        return { type: 'interrupted', progress, wallMs: performance.now() - beganAt }
      }
      return twice ? { type: 'ended', verdict, twin } : { type: 'ended', verdict }
    } catch (error) {
      return { type: 'died', reason: reasonOf(error) }
    }
  }

  /** Writes what runs a failed run again. @returns where to. */
  #keep(
    { replay, options }: Order,
    outcome: Outcome,
    folder: string | undefined,
  ): string | undefined {
    if (outcome.type !== 'ended' || folder === undefined) return undefined
    const { verdict } = outcome
    const repro = reproOf(verdict)
    if (repro === undefined) return undefined
    const text = `${JSON.stringify({ ...repro, options, replay, finding: verdict.finding }, undefined, 2)}\n`
    try {
      return writeRepro(join(folder, `repro-${verdict.seed}-${repro.invariant}`), text)
    } catch (error) {
      process.stderr.write(`lyre: the repro file cannot be written: ${(error as Error).message}\n`)
      return undefined
    }
  }

  #say(text: string): void {
    if (this.#json) return
    if (this.#trace === this.#output) process.stderr.write(`${text}\n`)
    else this.#output.write(`${text}\n`)
  }

  #tell(line: JsonLine): void {
    if (this.#json) this.#output.write(formatLine(line))
  }

  /** When all that was written is out. */
  async #written(): Promise<void> {
    await this.#output.ready()
    await Promise.all(this.#files.map((file) => new Promise((resolve) => file.end(resolve))))
    this.#archive?.close()
  }

  #code(endings: readonly Ending[]): number {
    const isLost = this.#archive !== undefined && this.#archive.counts.lost > 0
    if (isLost || this.#output.broken || this.#trace?.broken || this.#capture?.broken) {
      return UNWRITTEN
    }
    if (endings.includes('interrupted')) return Number(this.#leaving.signal.reason)
    // What was not the same twice is not to be had again, whatever it was.
    for (const ending of ['nondeterministic', 'failed', 'died'] as const) {
      if (endings.includes(ending)) return CODES[ending]
    }
    return CODES.passed
  }
}

function openTrace(file: string): WriteStream {
  try {
    return createWriteStream('', { fd: openSync(file, 'w') })
  } catch (error) {
    throw new UsageError(`the trace cannot be written: ${(error as Error).message}`)
  }
}

function openArchive(folder: string): Archive {
  const complain = (what: string) => process.stderr.write(`lyre: ${what}\n`)
  if (hasLogs(folder)) {
    throw new UsageError(`${folder} has logs already: those of two runs are of the same time`)
  }
  try {
    return new Archive(folder, ROTATION, {
      failed: ({ message }) => complain(`the log cannot be saved to ${folder}: ${message}`),
      recovered: (count) => complain(`saving to ${folder} works again; ${count} lines were lost`),
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/** Beside what is there already, unless it says the same. @returns where to. */
function writeRepro(base: string, text: string): string {
  for (let number = 1; number < REPROS_MAX; number++) {
    const file = `${base}${number === 1 ? '' : `-${number}`}.json`
    try {
      writeFileSync(file, text, { flag: 'wx' })
      return file
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      if (readFileSync(file, 'utf8') === text) return file
    }
  }
  throw new Error(`there are ${REPROS_MAX} such files already`)
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') return 'it took more memory than there is for it'
  return error.stack ?? error.message
}

/** The first word of a report shows at a glance what it is. */
function coloured(text: string): string {
  if (!isColoured()) return text
  const word = Object.values(WORDS).find((one) => text.startsWith(one)) ?? ''
  return `\x1b[${word === WORDS.passed ? 32 : 31}m${word}\x1b[39m${text.slice(word.length)}`
}

/** Most memory that the process, with all its threads, had at once. */
function rssBytesMax(): number {
  return process.resourceUsage().maxRSS * 1_024
}
