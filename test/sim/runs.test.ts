/** Whole runs: those that found something once, that they can be had again, and what a run can be told. */

import t from 'tap'
import {
  describePlan,
  FAULT_KINDS,
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

t.test('a fault that a run cannot carry is refused with its range', async (t) => {
  const random = new Random(1)
  for (const [most, beyond, range] of [
    ['burst=1m', 'burst=61s', /^burst takes a duration from 1ms to 1m, or 0, such as 3s, not 61s$/],
    ['reorder=5s', 'reorder=6s', /^reorder takes a duration from 1ms to 5s/],
    ['latency=1s', 'latency=1001', /^latency takes a duration from 0ms to 1s, .* not 1001$/],
    ['stall=30s', 'stall=1h', /^stall takes a duration from 1ms to 30s/],
    ['pause=1h', 'pause=2h', /^pause takes a duration from 100ms to 1h/],
    ['pause=100ms', 'pause=99ms', /^pause takes .* not 99ms$/],
    ['reset=100ms', 'reset=1ms', /^reset takes a duration from 100ms to 24h/],
    ['swizzle=1s', 'swizzle=999ms', /^swizzle takes a duration from 1s to 24h/],
    ['move=1s', 'move=0.9s', /^move takes a duration from 1s to 24h/],
    ['powersave=60s', 'powersave=2m', /^powersave takes a duration from 1ms to 1m/],
    ['stutter=1m', `stutter=${'9'.repeat(400)}h`, /^stutter takes a duration from 1ms to 1m/],
    ['bandwidth=1000', 'bandwidth=999', /^bandwidth takes a number of octets from 1000 to/],
    ['window=1', 'window=0.5', /^window takes a number of octets from 1 to/],
    ['split=1073741824', 'split=1e10', /^split takes a number of octets from 1 to 1073741824/],
    ['drift=10000', 'drift=10001', /^drift takes an integer from 1 to 10000/],
    ['deaf=1', 'deaf=-1', /^deaf takes a share from 0 to 1/],
  ] as const) {
    const faults = readFaults(most, random)
    const plan = { ...planRun({ seed: 1 }), faults }
    t.same(readRepro(JSON.parse(JSON.stringify({ plan }))), plan, most)
    t.throws(() => readFaults(beyond, random), { name: 'UsageError', message: range }, beyond)
  }
})

t.test('0 takes each kind away, and a duration of 0 is never', async (t) => {
  const random = new Random(1)
  for (const kind of FAULT_KINDS) t.same(readFaults(`${kind},${kind}=0`, random), NO_FAULTS, kind)
  t.match(readFaults('stall=0s,pause=0ms,reset=0m', random), {
    stallGapMs: 0,
    pauseGapMs: 0,
    resetGapMs: 0,
  })
})

t.test('each plan that a seed tells is read back', async (t) => {
  const plans = Array.from({ length: 501 }, (_, seed) => planRun({ seed }))
  t.same(
    plans.map((plan) => readRepro(JSON.parse(JSON.stringify({ plan })))),
    plans,
  )
})

t.test('a file with a fault that a run cannot carry is refused', async (t) => {
  for (const [faults, message] of [
    [{ loss: 'x' }, /^faults.loss has to be a number from 0 to 1, not "x"$/],
    [{ loss: null }, /^faults.loss has to be/],
    [{ crashes: 5 }, /^faults.crashes has to be a list of some of power, kill, not 5$/],
    [{ crashes: ['fire'] }, /^faults.crashes has to be/],
    [{ partitions: 'halves' }, /^faults.partitions has to be/],
    [{ readers: [['slow']] }, /^faults.readers has to be/],
    [{ portReuse: 1 }, /^faults.portReuse has to be a boolean, not 1$/],
    [{ stallMs: 30_001 }, /^faults.stallMs has to be a number from 1 to 30000, or 0, not 30001$/],
    [{ stallGapMs: 1 }, /^faults.stallGapMs has to be/],
    [{ chunkBytes: 0 }, /^faults.chunkBytes has to be an integer from 1 to 1073741824, not 0$/],
    [{ driftPpm: 0.5 }, /^faults.driftPpm has to be an integer/],
    [{ jitterMs: -1 }, /^faults.jitterMs has to be a number from 0 to 1000, not -1$/],
    [{ lost: 1 }, /there is no option lost of faults/],
    [[], /^faults has to be an object$/],
    [5, /it has no plan/],
  ] as const) {
    const json = { lyre: 'repro', plan: { seed: 1, nodes: 3, ms: 60_000, faults } }
    t.throws(() => readRepro(json), { name: 'UsageError', message }, JSON.stringify(faults))
  }
})

t.test('a fault without its other half is never', async (t) => {
  const faults = { burstMs: 1_000, crashGapMs: 1_000, partitionGapMs: 1_000, stallMs: 1_000 }
  const plan = readRepro({ plan: { seed: 1, nodes: 3, ms: 60_000, faults } })
  t.equal((await run(plan)).verdict, 'passed')
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
