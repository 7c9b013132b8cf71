/**
 * One trial of one contender: fresh processes, a value for each thing that is measured, and nothing left behind. Sender and
 * receiver are different processes. A rate counts only if the receiver got exactly what the sender says that it sent.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Task } from './contender.ts'
import type { CrowdTask } from './crowd.ts'
import type { NodesTask } from './nodes.ts'
import { type Line, type Program, withPrograms } from './program.ts'
import type { ScaleTask } from './scale.ts'

/** Who takes part. */
export interface Contestant {
  readonly name: string
  /** Of its packages, or of the library itself. */
  readonly versions: Readonly<Record<string, string>>
  /** What starts a program of it with this task. */
  command(task: Task): readonly string[]
  /** The build, where it is Lyre. */
  readonly lyre?: string
  /** What starts a process that passes all messages on, where there is one. */
  readonly broker?: readonly string[]
}

/** What was measured, by the name of its unit. */
export type Values = Readonly<Record<string, number>>

const HERE = dirname(fileURLToPath(import.meta.url))
const ROOT = resolve(HERE, '../..')
const RIVALS = join(ROOT, 'test/bench/rivals')
const INSTALL = 'npm ci --prefix test/bench/rivals'

/** The rivals, and the packages that they need. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  net: [],
  zeromq: ['zeromq'],
  libzmq: [],
  zyre: ['zeromq', 'zyre.js'],
  mqtt: ['mqtt', 'aedes'],
}

/** All names that `--rival` takes. */
export const RIVAL_NAMES: readonly string[] = [...Object.keys(PACKAGES)]

/** Lyre, in the build in that folder: a package, or its dist/. @throws Error when there is none. */
export function lyreIn(folder: string, name: string): Contestant {
  const entries = ['dist/src/index.js', 'src/index.js'].map((path) => resolve(folder, path))
  const entry = entries.find(existsSync)
  if (entry === undefined) throw new Error(`there is no build of Lyre in ${folder}`)
  return {
    name,
    versions: existsSync(join(folder, 'package.json')) ? { [name]: versionIn(folder) } : {},
    lyre: entry,
    command: (task) => node('lyre', { ...task, lyre: entry }),
  }
}

/** A name for the build in a folder: that of the folder, or of the one around a dist/. */
export function nameOfLyre(folder: string): string {
  const path = resolve(folder)
  return `lyre:${basename(basename(path) === 'dist' ? dirname(path) : path)}`
}

/** A rival that can be measured here, or a sentence why it cannot. @throws Error when there is no such rival. */
export function rival(name: string): Contestant | string {
  const packages = PACKAGES[name]
  if (packages === undefined) {
    throw new Error(`there is no rival ${name}; there are ${RIVAL_NAMES.join(', ')}`)
  }
  const folderOf = (each: string) => join(RIVALS, 'node_modules', each)
  const missing = packages.filter((each) => !existsSync(folderOf(each)))
  if (missing.length > 0) {
    return `${name} is left out: ${missing.join(', ')} is not installed; \`${INSTALL}\` does that`
  }
  if (name === 'libzmq') return compileLibzmq()
  const versions = Object.fromEntries(packages.map((each) => [each, versionIn(folderOf(each))]))
  const contestant = { name, versions, command: (task: Task) => node(name, task) }
  if (name !== 'mqtt') return contestant
  return { ...contestant, broker: [process.execPath, join(HERE, 'mqtt.js'), 'broker'] }
}

/** In C, where there is a compiler and what it needs. */
function compileLibzmq(): Contestant | string {
  const binary = join(HERE, 'libzmq')
  const source = join(ROOT, 'test/bench/libzmq.c')
  const { status } = spawnSync('cc', ['-O2', '-o', binary, source, '-lzmq'])
  if (status !== 0) {
    return 'libzmq is left out: it needs cc and the headers of libzmq, on Debian `apt-get install gcc libzmq3-dev`'
  }
  return {
    name: 'libzmq',
    versions: { libzmq: spawnSync(binary, ['version'], { encoding: 'utf8' }).stdout.trim() },
    command: ({ role, bytes, loaded, addresses }) => [
      binary,
      role,
      String(bytes),
      loaded ? '1' : '0',
      ...addresses,
    ],
  }
}

function versionIn(folder: string): string {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version
}

function node(file: string, task: object, flags: readonly string[] = []): readonly string[] {
  return [process.execPath, ...flags, join(HERE, `${file}.js`), JSON.stringify(task)]
}

/** Which ends, and what they do. */
export interface Scene {
  readonly bytes: number
  readonly role: 'send' | 'turn' | 'log' | 'ping'
  readonly listeners?: number
  readonly callers?: number
  readonly loaded?: boolean
}

/** Messages in a second, as all receivers together hear them. */
export function streamTrial(contestant: Contestant, scene: Scene): Promise<Values> {
  return withPrograms(async (start) => {
    const { listener, caller } = await open(contestant, scene, start)
    caller.tell('go')
    const { perSecond } = await listener.told('rate')
    caller.tell('stop')
    const { count } = await caller.told('sent')
    listener.tell('expect', Number(count))
    await listener.told('settled')
    return { 'messages/s': Number(perSecond) }
  })
}

/** How much longer a message takes while its sender logs. */
export function logTrial(contestant: Contestant, bytes: number): Promise<Values> {
  return withPrograms(async (start) => {
    const { listener, caller } = await open(contestant, { bytes, role: 'log' }, start)
    caller.tell('go')
    const { count, ofOff } = await caller.told('sent')
    listener.tell('expect', Number(count))
    await listener.told('settled')
    return { 'of off': Number(ofOff) }
  })
}

/** Microseconds there and back, with one message on its way at a time. */
export function roundTripTrial(contestant: Contestant, scene: Scene): Promise<Values> {
  return withPrograms(async (start) => {
    const { listener, caller } = await open(contestant, scene, start)
    listener.tell('go')
    caller.tell('go')
    const { p50Us, p99Us } = await caller.told('trips')
    return { 'p50 us': Number(p50Us), 'p99 us': Number(p99Us) }
  })
}

/**
 * Seconds from the start of the first node until each has been told of all others, half of them in each of two processes; and
 * what both processes worked for each peer of each node.
 */
export function startTrial({ lyre = '' }: Contestant, total: number): Promise<Values> {
  return withPrograms(async (start) => {
    const task = { role: 'start', total, port: freePorts(), lyre } as const
    const halves = [Math.floor(total / 2), Math.ceil(total / 2)].map((count, half) => {
      const own: NodesTask = { ...task, count }
      return start(`half ${half + 1} of the nodes`, node('nodes', own))
    })
    await Promise.all(halves.map((half) => half.told('ready')))
    const startedAt = performance.now()
    for (const half of halves) half.tell('go')
    const lines = await Promise.all(halves.map((half) => half.told('complete')))
    const seconds = (performance.now() - startedAt) / 1_000
    const cpuMs = lines.reduce((sum, line) => sum + Number(line.cpuMs), 0)
    return { seconds, 'cpu ms/link': cpuMs / total / (total - 1) }
  })
}

/** What is measured in the simulator, by these units: a full mesh of so many nodes, or a node in so many groups. */
export function scaleTrial(
  { lyre = '' }: Contestant,
  { units, ...own }: Omit<ScaleTask, 'lyre'> & { readonly units: readonly string[] },
): Promise<Values> {
  return withPrograms(async (start) => {
    const task: ScaleTask = { ...own, lyre }
    const program = start('the simulator', node('scale', task, SCALE_FLAGS))
    await program.told('ready')
    program.tell('go')
    const { values = [] } = await program.told('measured', SCALE_MS)
    return Object.fromEntries(units.map((unit, index) => [unit, values[index] ?? Number.NaN]))
  })
}

/** What a peer that says nothing but its beacons costs, after a first hundred, by which all has been used once. */
export function memoryTrial(contestant: Contestant, count: number): Promise<Values> {
  return withPrograms(async (start) => {
    const { one, crowd } = await openCrowd(contestant, start)
    crowd.tell('beacon')
    const before = await grow(one, crowd, { by: WARM_COUNT, to: WARM_COUNT })
    const after = await grow(one, crowd, { by: count, to: WARM_COUNT + count })
    const perPeer = (key: 'heapBytes' | 'rssBytes') =>
      ((after[key] ?? 0) - (before[key] ?? 0)) / count / 1_024
    return { 'heap KiB': perPeer('heapBytes'), 'rss KiB': perPeer('rssBytes') }
  })
}

/** How busy a node is that has nothing to do but to hear the beacons of so many peers: percent of a core. */
export function idleTrial(contestant: Contestant, count: number): Promise<Values> {
  return withPrograms(async (start) => {
    const { one, crowd } = await openCrowd(contestant, start)
    crowd.tell('enter', count)
    await crowd.told('entered')
    crowd.tell('beacon')
    one.tell('idle', count)
    const { share = Number.NaN } = await one.told('idle')
    return { '% of a core': share * 100 }
  })
}

/** Peers before those that are measured: so many that code is compiled and tables have grown, which is no peer's memory. */
const WARM_COUNT = 400
/** A thousand nodes are a million pairs, in some minutes and gigabytes. */
const SCALE_MS = 600_000
const SCALE_FLAGS = ['--max-old-space-size=8192', '--max-semi-space-size=64', '--expose-gc']

async function openCrowd(
  { name, lyre }: Contestant,
  start: Start,
): Promise<{ readonly one: Program; readonly crowd: Program }> {
  const task = { port: freePorts(), lyre: lyre ?? '' }
  const resting: NodesTask = {
    ...task,
    role: lyre === undefined ? 'bare' : 'rest',
    count: 1,
    total: 1,
  }
  const one = start(`the node of ${name}`, node('nodes', resting, ['--expose-gc']))
  const { addresses: [address = ''] = [] } = await one.told('ready')
  const crowded: CrowdTask = { ...task, role: lyre === undefined ? 'bare' : 'nodes', address }
  const crowd = start(`the peers of ${name}`, node('crowd', crowded))
  await crowd.told('ready')
  return { one, crowd }
}

async function grow(
  one: Program,
  crowd: Program,
  { by, to }: { readonly by: number; readonly to: number },
): Promise<Line> {
  crowd.tell('enter', by)
  await crowd.told('entered')
  one.tell('wait', to)
  await one.told('reached')
  one.tell('memory')
  return one.told('memory')
}

type Start = (name: string, command: readonly string[]) => Program

async function open(
  contestant: Contestant,
  { bytes, role, listeners = 1, callers = 1, loaded = false }: Scene,
  start: Start,
): Promise<{ readonly listener: Program; readonly caller: Program }> {
  const { name } = contestant
  const broker = await openBroker(contestant, start)
  const logged = role === 'log'
  const common = { bytes, loaded, logged, broker, lyre: '', addresses: [] }
  const port = freePorts()
  const listener = start(
    `the receiver of ${name}`,
    contestant.command({
      ...common,
      role: role === 'ping' ? 'echo' : 'hear',
      port,
      count: listeners,
      others: callers,
    }),
  )
  const { addresses = [] } = await listener.told('ready')
  const caller = start(
    `the sender of ${name}`,
    contestant.command({
      ...common,
      role,
      port: port + listeners,
      count: callers,
      others: listeners,
      addresses,
    }),
  )
  await caller.told('ready')
  return { listener, caller }
}

async function openBroker({ name, broker }: Contestant, start: Start): Promise<string> {
  if (broker === undefined) return ''
  const { addresses = [] } = await start(`the broker of ${name}`, broker).told('ready')
  return addresses[0] ?? ''
}

/** The first of some hundred UDP ports that nobody else is likely to have: below those that a system gives away by itself. */
function freePorts(): number {
  return 12_000 + Math.floor(Math.random() * 20_000)
}
