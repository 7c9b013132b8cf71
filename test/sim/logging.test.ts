/** Collectors of logs in a box: what nodes log comes to them, whatever is done to either, and a run with them is a run like any. */

import t from 'tap'
import {
  type Collector,
  type LogLine,
  type LogLineRecord,
  planRun,
  readRepro,
  run,
  Simulation,
} from '../../sim/index.ts'
import type { Lyre } from '../../src/index.ts'
import { FIDELITIES } from '../support/simulation.ts'

type Fidelity = (typeof FIDELITIES)[number]

/** Two started nodes that log, a started collector, and what it tells. */
async function crew(options: { readonly seed: number; readonly fidelity: Fidelity }) {
  const simulation = new Simulation(options)
  const [ada, bob] = ['ada', 'bob'].map((name) =>
    simulation.createLyre({ name, log: { level: 'info' } }, { machine: name }),
  ) as [Lyre, Lyre]
  const collector = simulation.createCollector({ node: { name: 'ears' } }, { machine: 'ears' })
  const lines = linesOf(collector)
  for (const node of [ada, bob, collector]) await node.start()
  return { simulation, ada, bob, collector, lines }
}

function linesOf(collector: Collector): LogLine[] {
  const lines: LogLine[] = []
  const add = (line: LogLine) => lines.push(line)
  collector.on('record', add).on('gap', add).on('restart', add)
  return lines
}

/** What a node told, in the order in which it came. */
function recordsOf(lines: readonly LogLine[], { uuid }: Lyre): LogLineRecord[] {
  return lines.flatMap((line) =>
    line.event === 'record' && line.node.uuid === uuid ? [line.record] : [],
  )
}

function textsOf(lines: readonly LogLine[], node: Lyre): string[] {
  return recordsOf(lines, node).flatMap(({ event, text }) => (event === 'text' ? [text] : []))
}

for (const fidelity of FIDELITIES) {
  t.test(`a collector hears all that nodes log, to their last words, ${fidelity}`, async (t) => {
    const { simulation, ada, bob, lines } = await crew({ seed: 1, fidelity })
    await simulation.run(5_000)
    ada.log('warning', 'hot', { celsius: 31 })
    await simulation.run(5_000)
    t.same(textsOf(lines, ada), ['hot'])
    await simulation.stop()
    for (const node of [ada, bob]) {
      const events = recordsOf(lines, node).map(({ event }) => event)
      t.match(events.join(' '), /^start .*enter.* stop$/, node.name)
    }
    t.notOk(
      lines.some(({ event }) => event !== 'record'),
      'nothing is missing',
    )
  })

  t.test(`once it has stopped, its process holds nothing, ${fidelity}`, async (t) => {
    const { simulation, collector } = await crew({ seed: 2, fidelity })
    await simulation.run(5_000)
    const node = simulation.node(collector.lyre as Lyre)
    t.ok(node.holds.connections > 0)
    t.ok(node.logPort)
    await simulation.runUntil(collector.stop())
    t.same(node.holds, { sockets: 0, servers: 0, connections: 0, timers: 0 })
    await simulation.stop()
  })

  t.test(`the same seed has the same digest, and the same lines, ${fidelity}`, async (t) => {
    const story = async (seed: number) => {
      const { simulation, ada, bob, lines } = await crew({ seed, fidelity })
      await simulation.run(3_000)
      simulation.pause(ada, { by: 'suspend' })
      bob.log('info', 'where is she?')
      await simulation.run(60_000)
      simulation.resume(ada)
      await simulation.run(30_000)
      await simulation.stop()
      return { digest: simulation.digest(), lines }
    }
    const first = await story(3)
    t.strictSame(await story(3), first)
    t.not((await story(4)).digest, first.digest)
  })

  t.test(`one that has crashed is told nothing, and the next one all, ${fidelity}`, async (t) => {
    const { simulation, ada, collector, lines } = await crew({ seed: 5, fidelity })
    ada.log('info', 'one')
    await simulation.run(5_000)
    const dead = collector.lyre as Lyre
    simulation.crash(dead)
    ada.log('info', 'two')
    await simulation.run(60_000)
    t.same(textsOf(lines, ada), ['one'])
    t.throws(() => simulation.restart(dead), /this node is a collector's/)
    const next = simulation.createCollector({}, { machine: 'ears' })
    const heard = linesOf(next)
    await next.start()
    await simulation.run(10_000)
    t.same(textsOf(heard, ada), ['one', 'two'])
    await simulation.stop()
  })

  t.test(`it may stop and start again, as another node, ${fidelity}`, async (t) => {
    const { simulation, ada, bob, collector, lines } = await crew({ seed: 6, fidelity })
    await simulation.run(5_000)
    const before = collector.lyre as Lyre
    await simulation.runUntil(collector.stop())
    t.equal(collector.lyre, undefined)
    ada.log('info', 'in between')
    await collector.start()
    await simulation.run(10_000)
    t.not(collector.lyre?.uuid, before.uuid)
    t.throws(() => simulation.node(before), /not of this simulation/)
    t.same(
      ada
        .peers()
        .map(({ name }) => name)
        .sort(),
      ['bob', 'ears'],
    )
    t.ok(textsOf(lines, ada).includes('in between'))
    t.equal(collector.diagnostics()?.connections, 2)
    await simulation.stop()
    t.equal(recordsOf(lines, bob).at(-1)?.event, 'stop')
  })

  t.test(
    `whoever listens changes nothing, and until then it is the same, ${fidelity}`,
    async (t) => {
      const plan = planRun({ seed: 7, nodes: 4, ms: 30_000, fidelity, log: 'info' })
      const lines: LogLine[] = []
      const heard = await run(plan, { log: (line) => lines.push(line) })
      t.equal(heard.verdict, 'passed')
      t.equal((await run(plan)).digest, heard.digest)
      const early: LogLine[] = []
      const traced: string[] = []
      const watch = {
        log: (line: LogLine) => early.push(line),
        trace: (line: string) => traced.push(line),
      }
      const stopped = await run(plan, watch, { untilMs: 20_000 })
      t.equal(stopped.verdict, 'stopped')
      t.equal(stopped.virtualSeconds, 20)
      t.ok(
        traced.every((line) => JSON.parse(line).t <= 20_000),
        'what comes later is not traced',
      )
      // What was logged until then has come; what nodes say as the collector leaves comes behind it.
      const until = (all: readonly LogLine[]) =>
        all.filter((line) => line.event === 'record' && line.record.time < EPOCH + 20_000)
      t.strictSame(until(early), until(lines))
    },
  )
}

/** When simulations begin, by the clocks on the wall. */
const EPOCH = 1_767_225_600_000

for (const [seed, workload] of [
  [1, 'book'],
  [2, 'rolling'],
  [3, 'sleepers'],
  [4, 'roam'],
  [5, 'flap'],
  [6, 'hostile'],
] as const) {
  for (const fidelity of FIDELITIES) {
    t.test(`a run of ${workload} with a log passes the judge, ${fidelity}`, async (t) => {
      const lines: LogLine[] = []
      const plan = planRun({ seed, workload, fidelity, nodes: 6, ms: 100_000, log: 'debug' })
      const { verdict, finding } = await run(plan, { log: (line) => lines.push(line) })
      t.equal(verdict, 'passed', `${finding?.invariant}: ${finding?.expected}, ${finding?.seen}`)
      const names = new Set(lines.map(({ node }) => node.name))
      t.same([...names].sort(), ['seat-0', 'seat-1', 'seat-2', 'seat-3', 'seat-4', 'seat-5'])
    })
  }
}

t.test('a plan has a log only where one is asked for', async (t) => {
  const options = { seed: 1, nodes: 2, ms: 2_000, faults: 'none' } as const
  t.notOk('log' in planRun(options))
  const plan = planRun({ ...options, log: 'warning' })
  t.equal(plan.log, 'warning')
  t.same(readRepro(JSON.parse(JSON.stringify({ plan }))), plan)
  t.throws(
    () => planRun({ ...options, log: 'all' as 'info' }),
    /error, warning, info, debug, not all/,
  )
  const broken = { plan: { ...plan, log: 'all' } }
  t.throws(() => readRepro(broken), /log has to be one of/)
  t.notOk('log' in readRepro({ plan: planRun(options) }))
})

t.test('what is thrown while a collector tells the rest is found', async (t) => {
  const plan = planRun({ seed: 7, nodes: 4, ms: 30_000, fidelity: 'message', log: 'info' })
  const untilMs = 20_000
  const stopped = await run(plan, {}, { untilMs })
  const log = ({ time }: LogLine) => {
    if (time >= EPOCH + untilMs) throw new Error('the disk is full')
  }
  const { finding, ...failed } = await run(plan, { log }, { untilMs })
  t.match(finding, { invariant: 'I14', seen: /the disk is full/ })
  t.match(failed, { ...stopped, verdict: 'failed' }, 'the rest is no part of the run')
})

t.test('a simulation that has stopped takes nobody in', async (t) => {
  const simulation = new Simulation({ seed: 1 })
  await simulation.stop()
  for (const create of ['createLyre', 'createCollector', 'createHost'] as const) {
    t.throws(() => simulation[create](), /the simulation has stopped/, create)
  }
  t.same(simulation.nodes, [])
})

t.test('what a collector cannot be is refused', async (t) => {
  await using simulation = new Simulation({ seed: 1 })
  t.throws(() => simulation.createCollector({ holdMs: -1 }), /holdMs/)
  t.throws(() => simulation.createCollector({}, { room: 1 } as never), /no option room of place/)
  const collector = simulation.createCollector({ listen: 'tcp://10.9.9.9:5680' })
  await t.rejects(collector.start(), /EADDRNOTAVAIL/)
})
