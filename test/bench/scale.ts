/**
 * What a node costs as there are more peers or more groups, in the simulator: whole nodes, and messages in place of octets, so
 * that a thousand of them fit into one process and nothing but their own work is counted. All is processor time, which a
 * busy machine changes least.
 */

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Lyre } from 'lyre'
import type { Simulation } from 'lyre/sim'
import { fail, obey, tell } from './contender.ts'

/** What the program has to do, once. */
export interface ScaleTask {
  /** A full mesh of so many nodes, or one node in so many groups. */
  readonly role: 'mesh' | 'groups'
  readonly count: number
  readonly lyre: string
}

const STEP_MS = 100
const FOUND_MS = 60_000
/** What is over is forgotten first. */
const SETTLE_MS = 2_000
const IDLE_SECONDS = 5
const WARM_COUNT = 100
/** Few nodes, or few groups, are measured again and again until they were so many pairs, or so many joins. */
const PAIRS = 10_000
const JOINS = 1_000
/** Who is told of each join; two of them are in all the groups as well. */
const PEERS = 100
const SHOUTS = 10_000
const SHOUTS_AT_ONCE = 100

const task: ScaleTask = JSON.parse(process.argv[2] ?? '{}')
process.on('uncaughtException', fail)

/** So many nodes that all know each other, and the microseconds that took. */
async function meshOf(
  count: number,
): Promise<{ readonly simulation: Simulation; readonly lyres: readonly Lyre[]; us: number }> {
  const entry = join(task.lyre, '../../sim/index.js')
  const sim: typeof import('lyre/sim') = await import(pathToFileURL(entry).href)
  const simulation = new sim.Simulation({ seed: 1, fidelity: 'message' })
  const lyres = Array.from({ length: count }, () => simulation.createLyre())
  let entered = 0
  const stop = simulation.react((_, event) => {
    if (event.type === 'enter') entered++
  })
  const from = process.cpuUsage()
  for (const lyre of lyres) void lyre.start().catch(fail)
  for (let ms = 0; entered < count * (count - 1); ms += STEP_MS) {
    if (ms >= FOUND_MS) fail(`${entered} enters among ${count} nodes in ${ms} virtual ms`)
    await simulation.run(STEP_MS)
  }
  const us = usSince(from)
  stop()
  return { simulation, lyres, us }
}

/** For each peer of each node: to enter, and to be there for a second with nothing to say. */
async function mesh(count: number): Promise<readonly number[]> {
  const pairs = count * (count - 1)
  const rounds = Math.ceil(PAIRS / pairs)
  let startUs = 0
  let idleUs = 0
  for (let round = 0; round < rounds; round++) {
    const { simulation, us } = await meshOf(count)
    startUs += us
    await simulation.run(SETTLE_MS)
    const from = process.cpuUsage()
    await simulation.run(IDLE_SECONDS * 1_000)
    idleUs += usSince(from)
  }
  return [startUs / pairs / rounds, idleUs / pairs / rounds / IDLE_SECONDS]
}

/** For each group and each peer that is told of it: to join; and then, for each SHOUT to the two who are in the same group. */
async function groups(count: number): Promise<readonly number[]> {
  const { simulation, lyres } = await meshOf(1 + PEERS)
  const [one, ...members] = lyres.slice(0, 3) as [Lyre, ...Lyre[]]
  const names = Array.from({ length: count }, (_, index) => `group ${index}`)
  for (const member of members) for (const name of names) member.join(name)
  await simulation.run(SETTLE_MS)
  const rounds = Math.ceil(JOINS / count)
  let joinUs = 0
  for (let round = 0; round < rounds; round++) {
    for (const name of names) one.leave(name)
    await simulation.run(STEP_MS)
    const from = process.cpuUsage()
    for (const name of names) one.join(name)
    await simulation.run(STEP_MS)
    joinUs += usSince(from)
  }
  if (lyres.at(-1)?.peer(one.uuid)?.groups.length !== count) fail('a join was not heard')
  return [joinUs / count / PEERS / rounds, (await shout(simulation, one, names)) / SHOUTS]
}

/** The microseconds of all shouts, each to the two who are in its group. */
async function shout(simulation: Simulation, one: Lyre, names: readonly string[]): Promise<number> {
  let heard = 0
  simulation.react((_, event) => {
    if (event.type === 'shout') heard++
  })
  const from = process.cpuUsage()
  for (let sent = 0; sent < SHOUTS; ) {
    for (const until = sent + SHOUTS_AT_ONCE; sent < until; sent++) {
      one.shout(names[sent % names.length] as string, 'x')
    }
    await simulation.run(1)
  }
  await simulation.run(STEP_MS)
  if (heard !== 2 * SHOUTS) fail(`${heard} of ${2 * SHOUTS} shouts were heard`)
  return usSince(from)
}

function usSince(from: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(from)
  return user + system
}

/** Once at a size of which all is warm afterwards, and then at that which is asked for. */
async function measure(): Promise<void> {
  const measured = task.role === 'mesh' ? mesh : groups
  await measured(WARM_COUNT)
  globalThis.gc?.()
  tell('measured', { values: await measured(task.count) })
}

obey({ go: () => void measure().catch(fail) })
tell('ready')
