/**
 * Many nodes for many minutes: `npm run soak -- --minutes 5 --seed 7 --nodes 50 --cycles 10000`. First two processes of
 * many nodes, and a few of one node, are churned (churn.ts), then one node sees another come and go (cycles.ts). Its exit
 * code is 0 if nothing was wrong.
 */

import { parseArgs } from 'node:util'
import { Random } from '../fuzz/random.ts'
import { churn, type Outcome, type Phase } from './churn.ts'
import { type CyclesOutcome, cycles, grown } from './cycles.ts'

const MIB = 2 ** 20
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e6)) },
    nodes: { type: 'string', default: '50' },
    cycles: { type: 'string', default: '10000' },
    port: { type: 'string' },
  },
})
const seed = Number(values.seed)
// Below the ports that a system gives away by itself.
const beaconPort = Number(values.port ?? 12_000 + new Random().seed(seed, 0, 0).below(20_000))
const startedAt = performance.now()

function print(line: string): void {
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0)
  console.log(`${seconds.padStart(5)} s  ${line}`)
}

function mib(bytes: number | undefined): string {
  return `${((bytes ?? 0) / MIB).toFixed(1)} MiB`
}

function printPhase({ trouble, calmMs, counts, use }: Phase, index: number): void {
  const seen = ['enter', 'exit goodbye', 'exit link', 'exit expired', 'exit given up', 'evasive']
  const told = seen.map((type) => `${type} ${counts[type] ?? 0}`).join(', ')
  const used = `heap ${mib(use.heapUsed)}, rss ${mib(use.rss)}, ${use.descriptors} descriptors`
  print(`phase ${index + 1}: ${trouble}; ${told}; agreed after ${calmMs} ms; ${used}`)
}

function printFault(text: string): void {
  print(`FAULT: ${text}`)
}

function tableOfChurn({ phases, nodeCount }: Outcome): [string, string][] {
  const totals = new Map<string, number>()
  for (const { counts } of phases) {
    for (const [type, value] of Object.entries(counts)) {
      totals.set(type, (totals.get(type) ?? 0) + value)
    }
  }
  const uses = phases.map(({ use }) => use)
  const from = (kind: 'heapUsed' | 'rss' | 'arrayBuffers') =>
    uses.map((use) => mib(use[kind]).replace(' MiB', '')).join(' ')
  return [
    ['nodes', String(nodeCount)],
    ['phases', String(phases.length)],
    ...[...totals].sort().map(([type, value]): [string, string] => [type, String(value)]),
    ['longest calm', `${Math.max(...phases.map(({ calmMs }) => calmMs))} ms`],
    ['heap, MiB', from('heapUsed')],
    ['buffers, MiB', from('arrayBuffers')],
    ['rss, MiB', from('rss')],
    ['descriptors', uses.map(({ descriptors }) => descriptors).join(' ')],
  ]
}

function tableOfCycles({ samples, counts }: CyclesOutcome): [string, string][] {
  return [
    ['cycles', String(counts.exit)],
    ['heap, MiB', samples.map(({ heapUsed }) => (heapUsed / MIB).toFixed(2)).join(' ')],
    ['descriptors', samples.map(({ descriptors }) => descriptors).join(' ')],
  ]
}

function printTable(rows: readonly [string, string][]): void {
  for (const [name, value] of rows) console.log(`  ${name.padEnd(16)}${value}`)
}

async function main(): Promise<string[]> {
  const ends: (() => unknown)[] = []
  const end = () => Promise.all(ends.map((act) => act()))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => end().then(() => process.exit(1)))
  }
  const faults: string[] = []
  print(`seed ${seed}, beacon port ${beaconPort}, 2 processes of ${values.nodes} nodes`)
  try {
    const owner = { teardown: (act: () => unknown) => ends.push(act) }
    const outcome = await churn(
      owner as never,
      {
        script: new URL('./crowd.js', import.meta.url),
        seed,
        beaconPort,
        nodeCount: Number(values.nodes),
        lonerCount: 3,
        phasesMin: 1,
        minutes: Number(values.minutes),
        actionCount: 600,
      },
      { phase: printPhase, fault: printFault },
    )
    printTable(tableOfChurn(outcome))
    faults.push(...outcome.faults)
  } finally {
    await end()
  }
  const count = Number(values.cycles)
  if (count > 0) {
    print(`${count} times one node sees another come and go`)
    const outcome = await cycles({ count, beaconPort })
    printTable(tableOfCycles(outcome))
    for (const fault of grown(outcome, count)) {
      printFault(fault)
      faults.push(fault)
    }
  }
  return faults
}

const faults = await main().catch((error: unknown) => {
  printFault(String(error))
  return [String(error)]
})
print(faults.length === 0 ? 'nothing was wrong' : `${faults.length} faults`)
process.exitCode = faults.length === 0 ? 0 : 1
