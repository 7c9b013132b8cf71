/** Whole runs: those that found something once, that they can be had again, and what a run can be told. */

import t from 'tap'
import {
  describePlan,
  NO_FAULTS,
  planRun,
  Random,
  readFaults,
  readRepro,
  reproOf,
  run,
} from '../../sim/index.ts'
import { SEEDS } from './seeds.ts'

for (const { found, ...options } of SEEDS) {
  const { seed, workload = 'book', fidelity } = options
  t.test(`${workload}, seed ${seed}, ${fidelity}, passes: ${found}`, async (t) => {
    const { verdict, finding } = await run(planRun(options))
    t.equal(verdict, 'passed', `${finding?.invariant ?? 'nothing'}: ${finding?.expected ?? ''}`)
  })
}

for (const fidelity of ['wire', 'message'] as const) {
  t.test(`a run is the same again, from its plan as JSON, at ${fidelity} fidelity`, async (t) => {
    const plan = planRun({ seed: 5, nodes: 5, ms: 60_000, fidelity })
    const first = await run(plan)
    const again = await run(readRepro(JSON.parse(JSON.stringify({ plan }))))
    t.equal(again.digest, first.digest)
    t.equal(again.records, first.records)
    const other = await run(planRun({ seed: 6, nodes: 5, ms: 60_000, fidelity }))
    t.not(other.digest, first.digest)
  })
}

t.test('who watches a run changes nothing, and is told how far it is', async (t) => {
  const plan = planRun({ seed: 7, nodes: 4, ms: 30_000, fidelity: 'message', workload: 'rolling' })
  const lines: string[] = []
  let virtualMs = 0
  let wallMs = 0
  const watched = await run(plan, {
    progress: (progress) => {
      virtualMs = progress.virtualMs
    },
    wallMs: () => (wallMs += 500),
    trace: (line) => lines.push(line),
  })
  t.equal(watched.digest, (await run(plan)).digest)
  t.ok(virtualMs >= 30_000)
  t.equal(watched.wallSeconds, 0.5)
  t.ok(lines.length > 100)
  for (const line of lines.slice(0, 100)) t.type(JSON.parse(line).i, 'number')
})

t.test('a run that passed leaves nothing to be run again', async (t) => {
  const plan = planRun({ seed: 1, nodes: 2, ms: 2_000, faults: 'none', fidelity: 'message' })
  const verdict = await run(plan)
  t.equal(reproOf(verdict), undefined)
  const failed = { ...verdict, verdict: 'failed', invariant: 'I3' } as const
  t.same(readRepro(reproOf(failed)), plan)
  t.ok(describePlan(plan).includes('faults.loss=0'))
})

t.test('a line of faults is read, and says what it does not understand', async (t) => {
  const random = new Random(1)
  t.same(readFaults('none', random), NO_FAULTS)
  t.match(
    readFaults('loss=0.3,burst=3s,partition=halves+oneway,pause=1m,crash=kill,portreuse', random),
    {
      loss: 0.3,
      burstMs: 3_000,
      partitions: ['halves', 'oneway'],
      pauseMs: 60_000,
      crashes: ['kill'],
      portReuse: true,
    },
  )
  t.match(readFaults('drift,descriptors=9,powersave=3s,stutter=10s,throws,reader=never', random), {
    driftPpm: 500,
    descriptorsMax: 9,
    powerSaveMs: 3_000,
    stutterMs: 10_000,
    throws: 0.1,
    readers: ['never'],
  })
  t.equal(readFaults('loss,loss=0', random).loss, 0)
  for (const [line, says] of [
    ['lost=1', /there is no fault lost; there are swarm, none, loss/],
    ['loss=2', /loss takes a share from 0 to 1/],
    ['burst=3 s', /burst takes a duration/],
    ['partition=thirds', /partition takes some of halves\+coin/],
    ['split=0.5', /split takes a number of octets/],
    ['drift=fast', /drift takes an integer from 1 to 10000, such as 500/],
    ['descriptors=1.5', /descriptors takes an integer/],
    ['reader=lazy', /reader takes some of slow\+never/],
    ['portreuse=1', /portreuse takes no value/],
  ] as const) {
    t.throws(() => readFaults(line, random), says)
  }
})

t.test('one fault more or less shifts no other', async (t) => {
  const all = planRun({ seed: 3, faults: 'swarm' }).faults
  const without = planRun({ seed: 3, faults: 'swarm,loss=0' }).faults
  t.same({ ...without, loss: all.loss }, all)
  const seeds = Array.from({ length: 200 }, (_, seed) => planRun({ seed }).faults)
  const half = seeds.filter(({ loss }) => loss > 0).length
  t.ok(half > 70 && half < 130, `${half} of 200 seeds have loss`)
})

t.test('a run that cannot be is refused with what could', async (t) => {
  t.throws(() => planRun({ seed: -1 }), /seed has to be an integer from 0/)
  t.throws(() => planRun({ seed: 1, nodes: 1 }), /nodes has to be an integer from 2/)
  t.throws(() => planRun({ seed: 1, workload: 'none' as 'book' }), /there are book, flap/)
  t.throws(() => planRun({ seed: 1, fidelity: 'air' as 'wire' }), /wire or message/)
  t.throws(() => planRun({ seed: 1, minutes: 3 } as never), /there is no option minutes/)
  t.throws(() => readRepro({}), /no repro file/)
})
