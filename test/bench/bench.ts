/**
 * How fast Lyre is, side by side with others in the same minutes: `npm run bench`, or `npm run bench -- --help`. Only ratios
 * mean something: a machine with neighbours is a third faster or slower an hour later, and so is everybody on it. The exit
 * code is 0 if all went well: nothing was lost, and with `--gate` all checks passed.
 */

import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, platform, totalmem } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { CASES, type Contest, contestsOf, gateContests, OURS, USUAL } from './cases.ts'
import { drawChart } from './chart.ts'
import { compete, gateLine, isPassed, type Outcome, tableHead, tableLines } from './report.ts'
import { type Contestant, lyreIn, nameOfLyre, RIVAL_NAMES, rival } from './trials.ts'

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const GATE_ROUNDS = 3

const HELP = `npm run bench -- [options]

  --case NAME[,NAME]    what to measure, see below; default: all but scale, the curves
  --size N[,N]          octets of content, and how many of what a curve counts; default: those of each case
  --rounds N            how often each contender is measured; default: 5
  --rival NAME[,NAME]   ${RIVAL_NAMES.join(', ')}, or none; default: all that are installed
  --lyre DIR            another build of Lyre beside ours, a package or its dist/; may be given again
  --json FILE           all single values, and what they were measured with
  --svg FILE            the rates and round trips as a chart
  --gate                the small set that a commit has to pass, against net alone
  --help                this

Cases:
${Object.entries(CASES)
  .map(([name, { about }]) => `  ${name.padEnd(17)} ${about}`)
  .join('\n')}`

/** @throws Error on what is no option. */
function readOptions() {
  const { values } = parseArgs({
    options: {
      case: { type: 'string', default: USUAL.join(',') },
      size: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      rival: { type: 'string', default: RIVAL_NAMES.join(',') },
      lyre: { type: 'string', multiple: true, default: [] },
      json: { type: 'string' },
      svg: { type: 'string' },
      gate: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const list = (text: string) => text.split(',').map((each) => each.trim())
  return {
    ...values,
    cases: list(values.case),
    sizes: values.size === undefined ? undefined : list(values.size).map(positive),
    rounds: positive(values.rounds),
    rivals: list(values.rival).filter((name) => name !== 'none'),
  }
}

function positive(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`${text} is no positive integer`)
}

/** The packed build, unpacked where its dependencies are those of the project. */
function packLyre(): string {
  const folder = join(ROOT, 'dist-bench/node_modules/lyre')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  // The script that runs us has built it.
  const args = ['pack', '--silent', '--ignore-scripts', '--pack-destination', 'dist-bench']
  const file = execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8' }).trim()
  execFileSync('tar', ['-xzf', join('dist-bench', file), '-C', folder, '--strip-components=1'], {
    cwd: ROOT,
  })
  return folder
}

/** Who takes part; who cannot is told with a sentence. */
function invite(rivals: readonly string[], lyres: readonly string[]): Contestant[] {
  const found = rivals.map(rival)
  for (const each of found) if (typeof each === 'string') console.log(each)
  return [
    lyreIn(packLyre(), OURS),
    ...lyres.map((folder) => lyreIn(folder, nameOfLyre(folder))),
    ...found.filter((each) => typeof each !== 'string'),
  ]
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

async function measure(contests: readonly Contest[], rounds: number): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  console.log(tableHead())
  for (const contest of contests) {
    const outcome = await compete(contest, { rounds, earlier: outcomes }, progress)
    outcomes.push(outcome)
    console.log(tableLines(outcome).join('\n'))
  }
  return outcomes
}

/** A check that fails once has met a bad moment; one that fails twice has failed. */
async function gate(contestants: readonly Contestant[]): Promise<Outcome[]> {
  const contests = gateContests(contestants)
  const first = await measure(contests, GATE_ROUNDS)
  const doubtful = contests.filter((_, index) => !isPassed(first[index]))
  const second = doubtful.length === 0 ? [] : await measure(doubtful, GATE_ROUNDS)
  const outcomes = contests.flatMap((contest, index) => {
    const again = doubtful.indexOf(contest)
    return (again < 0 ? first[index] : second[again]) ?? []
  })
  console.log('')
  for (const outcome of outcomes) console.log(gateLine(outcome))
  if (!outcomes.every(isPassed)) process.exitCode = 1
  return outcomes
}

function writeJson(
  file: string,
  contestants: readonly Contestant[],
  about: { readonly date: Date; readonly rounds: number; readonly outcomes: readonly Outcome[] },
): void {
  const machine = {
    system: `${platform()} ${arch()}`,
    processor: cpus()[0]?.model,
    cores: availableParallelism(),
    memoryBytes: totalmem(),
  }
  const versions = Object.assign(
    { node: process.version },
    ...contestants.map((each) => each.versions),
  )
  writeFileSync(file, `${JSON.stringify({ machine, versions, ...about }, undefined, 2)}\n`)
}

async function main(): Promise<void> {
  const options = readOptions()
  if (options.help) return console.log(HELP)
  const date = new Date()
  const contestants = options.gate ? invite(['net'], []) : invite(options.rivals, options.lyre)
  const outcomes = options.gate
    ? await gate(contestants)
    : await measure(
        options.cases.flatMap((name) => contestsOf(name, contestants, options.sizes)),
        options.rounds,
      )
  const rounds = options.gate ? GATE_ROUNDS : options.rounds
  if (options.json !== undefined) {
    writeJson(options.json, contestants, { date, rounds, outcomes })
  }
  if (options.svg !== undefined) writeFileSync(options.svg, drawChart(outcomes))
  if (outcomes.some(({ contenders }) => contenders.some((each) => each.failure !== undefined))) {
    process.exitCode = 1
  }
}

try {
  await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
}
