/**
 * How fast the simulator is: `npm run bench:sim`, or `npm run bench:sim -- --nodes 100 --fidelity message --seconds 60`.
 * Each line is the median of some runs, with the digest on and an observer that is told everything: virtual seconds in a
 * second of real time, the same in a second of processor time, which a busy machine changes less, and what happened in each.
 */

import { parseArgs } from 'node:util'
import type { Lyre } from 'lyre'
import { type Observer, type Random, Simulation } from 'lyre/sim'

const { values } = parseArgs({
  options: {
    nodes: { type: 'string' },
    fidelity: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    runs: { type: 'string', default: '5' },
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

async function bench(one: Case): Promise<void> {
  const runs: Awaited<ReturnType<typeof measure>>[] = []
  for (let run = 0; run < Number(values.runs); run++) runs.push(await measure(one, 1))
  const of = (key: 'speed' | 'power' | 'events' | 'steps' | 'received') =>
    Math.round(median(runs.map((run) => run[key])))
  const digests = new Set(runs.map(({ digest }) => digest))
  console.log(
    `${one.nodes} nodes, ${one.fidelity}: ${of('speed')}x real time, ${of('power')}x processor time; in a virtual second ` +
      `${of('events')} events, ${of('steps')} steps, ${of('received')} datagrams; ` +
      `${digests.size === 1 ? '' : 'NOT '}the same each time`,
  )
}

/** A full mesh from nothing. */
async function mesh(nodes: number): Promise<void> {
  const simulation = new Simulation({ seed: 1, fidelity: 'message' })
  const counts = {
    datagram: 0,
    octets: 0,
    message: 0,
    connection: 0,
    event: 0,
    action: 0,
    fault: 0,
  }
  let enters = 0
  simulation.observe({
    ...count(counts),
    event: ({ event }) => {
      if (event.type === 'enter') enters++
    },
  })
  const startedAt = performance.now()
  const started = process.cpuUsage()
  const limits = { peersMax: 2 * nodes }
  for (let index = 0; index < nodes; index++) await simulation.createLyre({ limits }).start()
  await simulation.runUntil(() => enters >= nodes * (nodes - 1), { timeoutMs: 120_000 })
  const coldSeconds = (performance.now() - startedAt) / 1_000
  const { now } = simulation
  const mib = Math.round(process.memoryUsage().rss / 2 ** 20)
  console.log(
    `${nodes} nodes, message: a full mesh, ${enters} enters, after ${now / 1_000} virtual seconds, ` +
      `${coldSeconds.toFixed(1)} s (${secondsOf(started).toFixed(1)} s of processors); ${mib} MiB`,
  )
  const quietAt = performance.now()
  await simulation.run(10_000)
  const speed = 10_000 / (performance.now() - quietAt)
  console.log(`${nodes} nodes, message: then ${speed.toFixed(2)}x real time`)
}

if (values.mesh) {
  await mesh(Number(values.nodes ?? 1_000))
} else if (values.nodes !== undefined) {
  const fidelity = values.fidelity === 'message' ? 'message' : 'wire'
  await bench({ nodes: Number(values.nodes), fidelity, seconds: Number(values.seconds) })
} else {
  for (const one of CASES) await bench(one)
}
