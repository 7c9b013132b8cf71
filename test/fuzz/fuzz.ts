/**
 * `npm run fuzz`: throws inputs at decoders, machines and whole nodes, for as long as it is told, on one core and without a
 * socket. What does not hold is printed with what runs it again. At the end: how much of what there was, how fast, how much
 * of it got past READY, and what of the code it never reached.
 */

import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import type { FileCoverage } from './coverage.ts'
import { type Failure, type Progress, runCase, shrink, TARGETS, targetOf } from './targets.ts'
import { newTally } from './trial.ts'

const HELP = `npm run fuzz -- [options]
  --inputs N    stop after so many inputs, 100000000 for example
  --seconds N   stop after so many seconds; 60 unless one of the two is given
  --seed S      what to begin with, 0 to 4294967295; drawn unless given
  --target T    one of ${TARGETS.map(({ name }) => name).join(', ')}
  --cover N     inputs of the second, shorter run that counts what is reached; 300000 unless given
  --case N      run one case of a seed again, and tell what happens in it
  --steps A,B   of that case only these steps`

/** A case takes milliseconds; one that takes so long never ends. */
const CASE_MAX_MS = 60_000
const COVERED = /^(protocol\/(?!index).*|src\/(lyre|mesh|discovery\/beacon|system\/mdns))\.js$/
const HANGS = 'it never ends'
const LINE_MAX = 400

type Plan = {
  readonly seed: number
  readonly inputs: number
  readonly seconds: number
  readonly target: string | undefined
}

async function main(): Promise<boolean> {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    options: {
      inputs: text,
      seconds: text,
      seed: text,
      target: text,
      cover: text,
      case: text,
      steps: text,
      help: { type: 'boolean' },
    },
  })
  if (values.help) {
    console.log(HELP)
    return true
  }
  const seed = whole(values.seed) ?? Math.floor(Math.random() * 0x1_0000_0000)
  const number = whole(values.case)
  if (number !== undefined) return replay({ seed, number }, values.steps)
  const inputs = whole(values.inputs) ?? Number.POSITIVE_INFINITY
  const limited = inputs < Number.POSITIVE_INFINITY
  const seconds = whole(values.seconds) ?? (limited ? Number.POSITIVE_INFINITY : 60)
  const plan = { seed, inputs, seconds, target: values.target }
  if (plan.target !== undefined && !TARGETS.some(({ name }) => name === plan.target)) {
    throw new Error(`there is no target ${plan.target}\n${HELP}`)
  }
  console.log(`seed ${seed}`)
  const ran = await work(plan, undefined)
  report(ran.progress)
  if (ran.failures.some(({ error }) => error === HANGS)) return false
  const cover = Math.min(whole(values.cover) ?? 300_000, total(ran.progress, 'inputs'))
  const covered = await work({ ...plan, inputs: cover, seconds: 300 }, COVERED)
  reportCoverage(covered.coverage, cover)
  const failures = [...ran.failures, ...covered.failures]
  console.log(`${failures.length} failures, seed ${seed}`)
  return failures.length === 0
}

function whole(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`'${text}' is no whole number`)
  return number
}

/** One worker, from its beginning to its end. */
function work(plan: Plan, covered: RegExp | undefined) {
  const current = new Float64Array(new SharedArrayBuffer(8))
  const failures: Failure[] = []
  let progress: readonly Progress[] = []
  let coverage: readonly FileCoverage[] = []
  const worker = new Worker(new URL('./worker.js', import.meta.url), {
    workerData: { plan, covered, current },
    resourceLimits: { maxYoungGenerationSizeMb: 96 },
  })
  const watched = { number: -1, at: performance.now(), toldAt: performance.now() }
  return new Promise<{
    readonly failures: readonly Failure[]
    readonly progress: readonly Progress[]
    readonly coverage: readonly FileCoverage[]
  }>((resolve, reject) => {
    const timer = setInterval(() => {
      const now = performance.now()
      const number = current[0] as number
      if (number !== watched.number) Object.assign(watched, { number, at: now })
      if (now - watched.at < CASE_MAX_MS) return
      const name = targetOf(number).name
      console.log(`HANGS ${name}: npm run fuzz -- --seed ${plan.seed} --case ${number}`)
      failures.push({ number, target: name, error: HANGS, steps: [] })
      void worker.terminate()
    }, 1_000)
    worker.on('message', ({ type, value }) => {
      if (type === 'failed') {
        failures.push(value)
        tellFailure(value, plan.seed)
      } else if (type === 'covered') coverage = value
      else progress = value
      if (performance.now() - watched.toldAt < 10_000 || type !== 'progress') return
      watched.toldAt = performance.now()
      console.log(`${total(progress, 'inputs')} inputs`)
    })
    worker.on('error', reject)
    worker.on('exit', () => {
      clearInterval(timer)
      resolve({ failures, progress, coverage })
    })
  })
}

function tellFailure({ target, number, error, steps }: Failure, seed: number): void {
  console.log(`FAILED ${target}: ${error}`)
  console.log(`  npm run fuzz -- --seed ${seed} --case ${number}`)
  if (steps.length > 0) console.log(`  its steps that matter: --steps ${steps.join(',')}`)
}

function total(progress: readonly Progress[], key: 'inputs' | 'ready' | 'cpuMs'): number {
  return progress.reduce((sum, one) => sum + one[key], 0)
}

function report(progress: readonly Progress[]): void {
  const rows = [['target', 'cases', 'inputs', 'inputs/s of CPU', 'past READY', 'past enter']]
  const sum = { name: 'all', cases: 0, inputs: 0, ready: 0, entered: 0, cpuMs: 0 }
  for (const one of progress) {
    for (const key of ['cases', 'inputs', 'ready', 'entered', 'cpuMs'] as const) {
      sum[key] += one[key]
    }
  }
  for (const { name, cases, inputs, ready, entered, cpuMs } of [...progress, sum]) {
    const rate = Math.round((inputs * 1_000) / cpuMs)
    rows.push([
      name,
      `${cases}`,
      `${inputs}`,
      `${rate}`,
      part(ready, inputs),
      part(entered, inputs),
    ])
  }
  for (const row of rows) console.log(row.map((cell) => cell.padStart(16)).join(''))
  console.log(`memory at most ${Math.round(process.resourceUsage().maxRSS / 1_024)} MiB`)
}

function part(count: number, all: number): string {
  return all === 0 ? '-' : `${((100 * count) / all).toFixed(1)} %`
}

function reportCoverage(coverage: readonly FileCoverage[], inputs: number): void {
  console.log(`reached by ${inputs} inputs:`)
  for (const { path, lines, blocks, missing } of coverage) {
    const counts = `${lines.reached} of ${lines.all} lines, ${blocks.reached} of ${blocks.all} blocks`
    console.log(`  ${path}: ${counts}`)
    for (const block of missing) console.log(`      not ${block}`)
  }
}

/** Tells all that happens in one case, and what of it is needed for it to fail. */
async function replay(
  at: { readonly seed: number; readonly number: number },
  given: string | undefined,
): Promise<boolean> {
  let steps: readonly number[] | undefined = given?.split(',').map(Number)
  const tally = newTally()
  try {
    await runCase(at, { tally, steps })
    console.log(`${targetOf(at.number).name} case ${at.number} of seed ${at.seed} holds`)
    return true
  } catch (error) {
    if (steps === undefined) ({ steps } = await shrink(at, error))
    tally.note = (line) => console.log(`  ${line.slice(0, LINE_MAX)}`)
    await runCase(at, { tally, steps }).catch(console.log)
    console.log(`FAILED ${targetOf(at.number).name}: --steps ${steps?.join(',')}`)
    return false
  }
}

main().then(
  (passed) => {
    process.exitCode = passed ? 0 : 1
  },
  (error) => {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 2
  },
)
