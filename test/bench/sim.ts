/**
 * How fast the simulator is: `npm run bench:sim`, or `npm run bench:sim -- --nodes 100 --fidelity message --seconds 60`.
 * Each line is the median of some runs, with the digest on: virtual seconds in a second of real time, the same in a second of
 * processor time, which a busy machine changes less, and what happened in each. First whole runs, as `lyre sim --faults none`
 * plays them, with all checkers; with `--bare`, the core alone, and an observer that is told everything. Last, a full mesh.
 */

import { parseArgs } from 'node:util'
import type { Lyre } from 'lyre'
import { type Observer, planRun, type Random, run, Simulation } from 'lyre/sim'

const { values } = parseArgs({
  options: {
    nodes: { type: 'string' },
    fidelity: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    runs: { type: 'string', default: '5' },
    bare: { type: 'boolean', default: false },
    mesh: { type: 'boolean', default: false },
  },
})

interface Case {
  readonly nodes: number
  readonly fidelity: 'wire' | 'message'
  readonly seconds: number
}

const CASES: readonly Case[] = [
  { nodes: 10, fidelity: 'wire', seconds: 3_600 },
  { nodes: 10, fidelity: 'message', seconds: 3_600 },
  { nodes: 100, fidelity: 'wire', seconds: 30 },
  { nodes: 100, fidelity: 'message', seconds: 60 },
]

const JUDGED: readonly Case[] = [
  { nodes: 10, fidelity: 'wire', seconds: 3_600 },
  { nodes: 100, fidelity: 'wire', seconds: 120 },
  { nodes: 100, fidelity: 'message', seconds: 300 },
]

const GROUPS = Array.from({ length: 10 }, (_, index) => `GROUP${index}`)

/** Nodes that come, go, join, leave and talk, as in the tester of the ZeroMQ guide, and SHOUT as well. */
class Crowd {
  readonly #simulation: Simulation
  readonly #random: Random
  readonly #lyres: Lyre[]
  readonly #started = new Set<Lyre>()

  constructor(simulation: Simulation, count: number) {
    this.#simulation = simulation
    this.#random = simulation.random.fork('crowd')
    this.#lyres = Array.from({ length: count }, () => simulation.createLyre())
    this.#answer()
  }

  live(): void {
    this.#each(750, () => this.#toggle())
    // As in the guide: a join or a leave, of a group that it may be in or not, every other second.
    this.#each(1_000, () => {
      for (const lyre of this.#started) {
        const group = this.#random.pick(GROUPS)
        const throwOf = this.#random.below(4)
        if (throwOf === 0) lyre.join(group)
        else if (throwOf === 1) lyre.leave(group)
        if (this.#random.chance(0.1)) lyre.shout(this.#random.pick(GROUPS), 'hello 1')
      }
    })
  }

  #each(ms: number, act: () => void): void {
    this.#simulation.schedule(ms, () => {
      act()
      this.#each(ms, act)
    })
  }

  #toggle(): void {
    const lyre = this.#random.pick(this.#lyres)
    if (this.#started.delete(lyre)) {
      void lyre.stop()
    } else {
      this.#started.add(lyre)
      void lyre.start()
    }
  }

  #answer(): void {
    const random = this.#random
    this.#simulation.react(({ lyre }, event) => {
      if (event.type === 'enter') lyre?.whisper(event.peer, 'hello')
      else if (event.type === 'whisper' && random.chance(0.5)) lyre?.whisper(event.peer, 'again')
      else if (event.type === 'shout') {
        const { peer, group, content } = event
        const hops = (content[0]?.at(-1) ?? 0x30) - 0x30
        if (random.chance(1 / 3)) lyre?.whisper(peer, 'heard')
        if (hops > 0 && random.chance(1 / 3)) lyre?.shout(group, `hello ${hops - 1}`)
      }
    })
  }
}

/** As cheap as a checker could be, and told everything. */
function count(counts: Record<keyof Observer, number>): Observer {
  return {
    datagram: () => void counts.datagram++,
    octets: () => void counts.octets++,
    message: () => void counts.message++,
    connection: () => void counts.connection++,
    event: () => void counts.event++,
    action: () => void counts.action++,
    fault: () => void counts.fault++,
  }
}

async function measure({ nodes, fidelity, seconds }: Case, seed: number) {
  const simulation = new Simulation({ seed, fidelity })
  const counts = {
    datagram: 0,
    octets: 0,
    message: 0,
    connection: 0,
    event: 0,
    action: 0,
    fault: 0,
  }
  simulation.observe(count(counts))
  new Crowd(simulation, nodes).live()
  // About half of them are there after a while.
  await simulation.run(nodes * 750)
  const before = { ...counts, steps: simulation.statistics.steps }
  const startedAt = performance.now()
  const started = process.cpuUsage()
  await simulation.run(seconds * 1_000)
  const wallSeconds = (performance.now() - startedAt) / 1_000
  const speed = seconds / wallSeconds
  const power = seconds / secondsOf(started)
  const events = (counts.event - before.event) / seconds
  const steps = (simulation.statistics.steps - before.steps) / seconds
  const received = (counts.datagram - before.datagram) / seconds
  return { speed, power, events, steps, received, digest: simulation.digest() }
}

/** Seconds of processor time since then. */
function secondsOf(started: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(started)
  return (user + system) / 1_000_000
}

function median(numbers: number[]): number {
  return numbers.sort((one, other) => one - other)[numbers.length >> 1] ?? 0
}

/** A run with nothing wrong, in which everything is judged. */
async function judged({ nodes, fidelity, seconds }: Case, seed: number) {
  const startedAt = performance.now()
  const started = process.cpuUsage()
  const plan = planRun({ seed, nodes, fidelity, ms: seconds * 1_000, faults: 'none' })
  const { virtualSeconds, digest, verdict, ...counts } = await run(plan)
  if (verdict !== 'passed') console.log(`seed ${seed} ${verdict}: ${counts.invariant}`)
  const speed = virtualSeconds / ((performance.now() - startedAt) / 1_000)
  const power = virtualSeconds / secondsOf(started)
  const of = (count: number) => count / virtualSeconds
  const { events, steps, records } = counts
  return { speed, power, events: of(events), steps: of(steps), records: of(records), digest }
}

async function benchJudged(one: Case): Promise<void> {
  const runs: Awaited<ReturnType<typeof judged>>[] = []
  for (let count = 0; count < Number(values.runs); count++) runs.push(await judged(one, 1))
  const of = (key: 'speed' | 'power' | 'events' | 'steps' | 'records') =>
    Math.round(median(runs.map((each) => each[key])))
  const digests = new Set(runs.map(({ digest }) => digest))
  console.log(
    `${one.nodes} nodes, ${one.fidelity}, book, judged: ${of('speed')}x real time, ` +
      `${of('power')}x processor time; in a virtual second ${of('events')} events, ` +
      `${of('steps')} steps, ${of('records')} records; ` +
      `${digests.size === 1 ? '' : 'NOT '}the same each time`,
  )
}

async function bench(one: Case): Promise<void> {
  const runs: Awaited<ReturnType<typeof measure>>[] = []
  for (let count = 0; count < Number(values.runs); count++) runs.push(await measure(one, 1))
  const of = (key: 'speed' | 'power' | 'events' | 'steps' | 'received') =>
    Math.round(median(runs.map((each) => each[key])))
  const digests = new Set(runs.map(({ digest }) => digest))
  console.log(
    `${one.nodes} nodes, ${one.fidelity}: ${of('speed')}x real time, ${of('power')}x processor time; in a virtual second ` +
      `${of('events')} events, ${of('steps')} steps, ${of('received')} datagrams; ` +
      `${digests.size === 1 ? '' : 'NOT '}the same each time`,
  )
}

/** A full mesh from nothing, judged, and then ten virtual seconds in which nobody says anything. */
async function mesh(nodes: number): Promise<void> {
  const startedAt = performance.now()
  const started = process.cpuUsage()
  const plan = planRun({ seed: 1, nodes, workload: 'mesh', fidelity: 'message', faults: 'none' })
  let told = { at: 0, seconds: 0 }
  const wanted = nodes * (nodes - 1)
  const watch = {
    progress: ({ pairs, virtualMs }: { readonly pairs: number; readonly virtualMs: number }) => {
      if (told.at > 0 || pairs < wanted) return
      told = { at: virtualMs, seconds: (performance.now() - startedAt) / 1_000 }
      console.log(
        `${nodes} nodes, message, judged: a full mesh, ${pairs} enters, within ${virtualMs / 1_000} virtual seconds, ` +
          `${told.seconds.toFixed(1)} s (${secondsOf(started).toFixed(1)} s of processors); ${mib()} MiB`,
      )
    },
  }
  const { virtualSeconds } = await run(plan, watch, { untilMs: 20_000 })
  const quietSeconds = (performance.now() - startedAt) / 1_000 - told.seconds
  const speed = (virtualSeconds - told.at / 1_000) / quietSeconds
  console.log(`${nodes} nodes, message, judged: then ${speed.toFixed(2)}x real time; ${mib()} MiB`)
}

/** Most memory so far. */
function mib(): number {
  return Math.round(process.resourceUsage().maxRSS / 1_024)
}

const { nodes, fidelity, seconds } = values
if (values.mesh) {
  await mesh(Number(nodes ?? 1_000))
} else if (nodes !== undefined) {
  const one: Case = {
    nodes: Number(nodes),
    fidelity: fidelity === 'message' ? 'message' : 'wire',
    seconds: Number(seconds),
  }
  await (values.bare ? bench(one) : benchJudged(one))
} else if (values.bare) {
  for (const one of CASES) await bench(one)
} else {
  for (const one of JUDGED) await benchJudged(one)
  await mesh(1_000)
}
