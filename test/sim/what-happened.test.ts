/**
 * What happened is found from saved logs alone, by the rules of docs/guide/logging.md, "What happened?": runs in which one thing
 * goes wrong are logged, saved as `lyre log --save` does, read again, and classified by who knows nothing else.
 */

import t, { type Test } from 'tap'
import { type LogLine, planRun, type RunOptions, run, Simulation } from '../../sim/index.ts'
import { Archive, filesOf, ROTATION, readFiles, readingOf } from '../../src/cli/log-archive.ts'
import type { Lyre } from '../../src/index.ts'
import { logFolder } from '../support/log-lines.ts'
import { FIDELITIES } from '../support/simulation.ts'

type RecordLine = Extract<LogLine, { event: 'record' }>
type Happened = 'slow' | 'clock' | 'killed' | 'power' | 'asleep' | 'partition' | 'link' | 'reset'

// The rules.

/** Further behind than any way over a network in order is long. */
const FAR_MS = 50
/** More than a clock goes wrong by itself from one record to the next. */
const SET_MS = 1_000
/** What happened to several pairs at once: each node looks once a second who is silent. */
const ONCE_MS = 1_500

/** What one node told. */
interface Told {
  readonly uuid: string
  readonly name: string
  readonly lines: RecordLine[]
}

/** The rules of the guide, in its order; the first says more than those behind it. */
function whatHappened(lines: readonly LogLine[]): Happened[] {
  const records = lines
    .filter((line) => line.event === 'record')
    .sort((one, other) => one.time - other.time)
  const nodes = nodesOf(records)
  // 1: all clocks are behind alike: it is the way that is long.
  const far = nodes.filter(({ lines }) => lines.every(({ offsetMs }) => offsetMs > FAR_MS))
  if (2 * far.length > nodes.length) return ['slow']
  const happened = new Set<Happened>()
  const explained = new Set<string>()
  const explain = ({ uuid }: Told, what: Happened) => {
    happened.add(what)
    explained.add(uuid)
  }
  for (const node of nodes) {
    // 2 to 4.
    if (isSet(node)) explain(node, 'clock')
    else if (isGone(node, records)) explain(node, isKilled(node, records) ? 'killed' : 'power')
    else if (node.lines.some(({ record }) => record.event === 'late')) explain(node, 'asleep')
  }
  // 5: who is quiet until it is silent, and neither gone nor asleep, is cut off.
  const quiet = records.filter(
    ({ node, record: { event, peer } }) =>
      ['evasive', 'silent'].includes(event) &&
      !explained.has(node.uuid ?? '') &&
      !explained.has(String(peer)),
  )
  const cut = cutOf(quiet, new Set(nodes.map(({ name }) => name)).size)
  if (cut !== undefined) happened.add(cut)
  // 6: links were lost, and nobody missed anybody.
  const isReset = records.some((line) => fieldOf(line, 'type') === 'link-lost')
  if (happened.size === 0 && isReset) happened.add('reset')
  return [...happened]
}

function nodesOf(records: readonly RecordLine[]): Told[] {
  const nodes = new Map<string, Told>()
  for (const line of records) {
    const { uuid = '', name } = line.node
    const told = nodes.get(uuid) ?? { uuid, name, lines: [] }
    nodes.set(uuid, told)
    told.lines.push(line)
  }
  return [...nodes.values()]
}

function fieldOf({ record }: RecordLine, name: string): unknown {
  return record.fields?.[name]
}

/** Its sequence goes on and its time goes back; or it is ahead of ours by more, from one record to the next. */
function isSet({ lines }: Told): boolean {
  const before = new Map<string, RecordLine>()
  const inTurn = [...lines].sort(
    ({ record: one }, { record: other }) => (one.sequence ?? 0) - (other.sequence ?? 0),
  )
  return inTurn.some((line) => {
    const { level, epoch, time } = line.record
    const last = before.get(`${level} ${epoch}`)
    before.set(`${level} ${epoch}`, line)
    if (last === undefined) return false
    return time < last.record.time - SET_MS || line.offsetMs < last.offsetMs - SET_MS
  })
}

/** Others lost it, though it did not say that it stops, and nothing came of it since. */
function isGone(node: Told, records: readonly RecordLine[]): boolean {
  if (node.lines.some(({ record }) => record.event === 'stop')) return false
  return about(node, records, 'exit').some((line) => fieldOf(line, 'cause') !== 'goodbye')
}

/** Those who lost it lost its connections first: its system was there to close them. */
function isKilled(node: Told, records: readonly RecordLine[]): boolean {
  const losers = (lines: readonly RecordLine[]) => new Set(lines.map((line) => line.node.uuid)).size
  const lost = about(node, records, 'epoch').filter((line) => fieldOf(line, 'type') === 'link-lost')
  return 2 * losers(lost) >= losers(about(node, records, 'exit'))
}

/** What others told of a node after it told its last. */
function about({ uuid, lines }: Told, records: readonly RecordLine[], event: string): RecordLine[] {
  const lastAt = Math.max(...lines.map(({ time }) => time))
  return records.filter(
    ({ time, record }) => record.event === event && record.peer === uuid && time > lastAt,
  )
}

/** Whoever splits a network of so many nodes cuts one pair fewer at least, all at once. */
function cutOf(quiet: readonly RecordLine[], nodeCount: number): 'partition' | 'link' | undefined {
  const episodes: RecordLine[][] = []
  for (const line of quiet) {
    const episode = episodes.at(-1)
    const last = episode?.at(-1)
    if (last !== undefined && line.time - last.time < ONCE_MS) episode?.push(line)
    else episodes.push([line])
  }
  const counts = episodes
    .filter((episode) => episode.some(({ record }) => record.event === 'silent'))
    .map((episode) => {
      return new Set(episode.map(({ node, record }) => [node.uuid, record.peer].sort().join())).size
    })
  if (counts.length === 0) return undefined
  return counts.some((count) => count >= nodeCount - 1) ? 'partition' : 'link'
}

// What is found by them.

/** Saves lines, and reads them back. */
async function saved(t: Test, lines: readonly LogLine[]): Promise<LogLine[]> {
  const folder = logFolder(t)
  const fail = (what: unknown) => t.fail(String(what))
  const archive = new Archive(folder, ROTATION, { failed: fail, recovered: fail })
  for (const line of lines) archive.add([line])
  archive.close()
  const files = filesOf(folder)
  const read: LogLine[] = []
  for await (const some of readFiles(files, readingOf(files))) read.push(...some)
  return read
}

async function logOf(t: Test, options: RunOptions): Promise<LogLine[]> {
  const lines: LogLine[] = []
  const { verdict, finding } = await run(
    planRun({ workload: 'soak', nodes: 6, ms: 200_000, log: 'info', ...options }),
    { log: (line) => lines.push(line) },
  )
  t.equal(verdict, 'passed', `${finding?.invariant} was not broken`)
  return saved(t, lines)
}

for (const [faults, ...expected] of [
  ['none'],
  // Lost datagrams alone leave no trace once all are linked: connections repair it.
  ['loss=0.3'],
  ['latency=1s', 'slow'],
  ['crash=kill', 'killed'],
  ['crash=power', 'power'],
  ['pause=60s', 'asleep'],
  ['partition=halves', 'partition'],
  ['partition=isolate', 'partition'],
  ['partition=oneway', 'partition'],
  ['stall=20s', 'link'],
  ['reset=10s', 'reset'],
] as const) {
  t.test(`${faults} is found to be ${expected.join() || 'nothing'}`, async (t) => {
    for (const seed of [1, 2, 3, 4]) {
      const fidelity = seed === 1 ? 'wire' : 'message'
      const lines = await logOf(t, { seed, faults, fidelity })
      t.same(whatHappened(lines), expected, `seed ${seed}`)
    }
  })
}

/** What happens to the first of four nodes, 20 s after all have started. */
type Act = (simulation: Simulation, node: Lyre, others: readonly Lyre[]) => Promise<void>

const ACTS: readonly (readonly [string, Happened | undefined, Act])[] = [
  [
    'a laptop that is closed for 50 s',
    'asleep',
    async (simulation, ada) => {
      simulation.pause(ada, { by: 'suspend' })
      await simulation.run(50_000)
      simulation.resume(ada)
    },
  ],
  [
    'a process that is stopped for 12 s',
    'asleep',
    async (simulation, ada) => {
      simulation.pause(ada)
      await simulation.run(12_000)
      simulation.resume(ada)
    },
  ],
  [
    'a clock that is set ahead',
    'clock',
    async (simulation, ada) => simulation.setWallClock(ada, 600_000),
  ],
  [
    'a clock that is set back',
    'clock',
    async (simulation, ada) => simulation.setWallClock(ada, -600_000),
  ],
  [
    'a cable that is out for 8 s',
    'partition',
    async (simulation, ada) => {
      simulation.unplug(ada)
      await simulation.run(8_000)
      simulation.plug(ada)
    },
  ],
  [
    'two sides, with the collector on one of them',
    'partition',
    async (simulation, ada, [bob, ...others]) => {
      simulation.partition([
        [ada, bob as Lyre],
        [...others, 'collector'],
      ])
      await simulation.run(60_000)
      simulation.heal()
    },
  ],
  [
    'a link that is cut for 8 s',
    'link',
    async (simulation, ada, [bob]) => {
      const heal = simulation.partition([[ada], [bob as Lyre]])
      await simulation.run(8_000)
      heal()
    },
  ],
  [
    'a process that is killed',
    'killed',
    async (simulation, ada) => simulation.crash(ada, { by: 'kill' }),
  ],
  ['a machine without power', 'power', async (simulation, ada) => simulation.crash(ada)],
  ['a node that stops', undefined, async (simulation, ada) => simulation.runUntil(ada.stop())],
]

for (const [what, happened, act] of ACTS) {
  for (const fidelity of FIDELITIES) {
    t.test(`${what} is found to be ${happened ?? 'nothing'}, ${fidelity}`, async (t) => {
      const simulation = new Simulation({ seed: 1, fidelity })
      const nodes = ['ada', 'bob', 'eve', 'joe'].map((name) =>
        simulation.createLyre({ name, log: { level: 'info' } }, { machine: name }),
      )
      const collector = simulation.createCollector({}, { machine: 'collector' })
      const lines: LogLine[] = []
      const add = (line: LogLine) => lines.push(line)
      collector.on('record', add).on('gap', add).on('restart', add)
      for (const node of [collector, ...nodes]) await node.start()
      await simulation.run(20_000)
      const [ada, ...others] = nodes as [Lyre, ...Lyre[]]
      await act(simulation, ada, others)
      await simulation.run(60_000)
      await simulation.stop()
      t.same(whatHappened(await saved(t, lines)), happened === undefined ? [] : [happened])
    })
  }
}
