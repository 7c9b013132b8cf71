/** What a node counts and measures: in simulations, where each number can be known beforehand and had again. */

import t, { type Test } from 'tap'
import { Simulation, type SimulationOptions } from '../../sim/index.ts'
import { Lyre } from '../../src/lyre.ts'
import {
  type HistogramSample,
  METRICS,
  Meter,
  type Metric,
  type MetricLabels,
  type Metrics,
} from '../../src/metrics.ts'
import { World } from '../support/host.ts'

/** The value of the one sample that has these labels. */
function value({ samples }: Metric, labels: MetricLabels = {}): number | undefined {
  const wanted = Object.entries(labels)
  const [found, ...more] = samples.filter((sample) =>
    wanted.every(([key, label]) => sample.labels[key] === label),
  )
  if (more.length > 0) throw new Error('there are several')
  if (found === undefined) return undefined
  return 'value' in found ? found.value : found.count
}

/** The one sample of a histogram. */
function histogram({ samples }: Metric): HistogramSample {
  const [sample, ...more] = samples
  if (sample === undefined || !('buckets' in sample) || more.length > 0) throw new Error('not one')
  return sample
}

async function pair(
  t: Test,
  options: Partial<SimulationOptions> = {},
): Promise<{ readonly simulation: Simulation; readonly ada: Lyre; readonly bob: Lyre }> {
  const simulation = new Simulation({ seed: 7, ...options })
  t.teardown(() => simulation.stop())
  const [ada, bob] = [
    simulation.createLyre({ name: 'ada' }),
    simulation.createLyre({ name: 'bob' }),
  ]
  bob.join('CHAT')
  await Promise.all([ada.start(), bob.start()])
  await simulation.run(5_000)
  return { simulation, ada, bob }
}

for (const fidelity of ['wire', 'message'] as const) {
  t.test(`messages are counted by command where they pass, at fidelity ${fidelity}`, async (t) => {
    const { simulation, ada, bob } = await pair(t, { fidelity })
    const before = ada.metrics()
    t.equal(value(before.lyre_peers, { state: 'entered' }), 1)
    t.equal(value(before.lyre_enters_total), 1)
    t.equal(value(before.lyre_epochs_total, { direction: 'out' }), 1)
    for (let count = 0; count < 10; count++) ada.whisper(bob.uuid, 'hello')
    ada.shout('CHAT', ['a', 'bc'])
    await simulation.run(1_000)
    const [sent, received] = [ada.metrics(), bob.metrics()]
    for (const [metrics, direction] of [
      [sent, 'out'],
      [received, 'in'],
    ] as const) {
      const of = { direction, command: 'whisper' }
      t.equal(value(metrics.lyre_messages_total, of), 10)
      t.equal(value(metrics.lyre_messages_total, { direction, command: 'shout' }), 1)
      if (fidelity === 'message') continue
      // 6 octets of header and 5 of content; a SHOUT has its group too.
      t.equal(value(metrics.lyre_message_bytes_total, of), 110)
      t.equal(value(metrics.lyre_message_bytes_total, { direction, command: 'shout' }), 14)
    }
    t.equal(value(sent.lyre_contents_sent_total), 11)
    t.equal(value(sent.lyre_contents_total, { outcome: 'confirmed' }), 11)
    t.equal(value(sent.lyre_queue_messages), 0)
    t.equal(value(sent.lyre_links_total, { direction: 'out', outcome: 'up' }), 1)
    t.ok((value(sent.lyre_dials_total) ?? 0) >= 1)
  })
}

t.test('a node that was never started has all metrics, and they are plain JSON', async (t) => {
  const simulation = new Simulation({ seed: 1 })
  const metrics = simulation.createLyre({ name: 'ada' }).metrics()
  t.same(Object.keys(metrics), Object.keys(METRICS))
  t.same(JSON.parse(JSON.stringify(metrics)), metrics)
  t.equal(value(metrics.lyre_started), 0)
  t.equal(value(metrics.lyre_node_info, { name: 'ada' }), 1)
})

t.test(
  'each sample has just the labels that its metric says, and no two have the same',
  async (t) => {
    const { ada, bob, simulation } = await pair(t)
    ada.metrics()
    ada.whisper(bob.uuid, 'hello')
    await simulation.run(60_000)
    for (const [name, metric] of Object.entries(ada.metrics())) {
      const told = metric.samples.map(({ labels }) => labels)
      t.ok(told.length > 0 || name === 'lyre_refusals_total', `${name} has samples`)
      for (const labels of told) t.same(Object.keys(labels), metric.labels, name)
      t.equal(new Set(told.map((labels) => JSON.stringify(labels))).size, told.length, name)
    }
  },
)

t.test('round trips are measured, those of one peer once somebody has asked', async (t) => {
  const { simulation, ada, bob } = await pair(t, { links: { latencyMs: 20, jitterMs: 0 } })
  const peer = bob.uuid
  const before = ada.metrics()
  const first = value(before.lyre_round_trip_seconds) ?? 0
  t.equal(value(before.lyre_peer_round_trip_seconds, { peer }), undefined)
  ada.whisper(bob.uuid, 'hello')
  await simulation.run(1_000)
  const { lyre_round_trip_seconds: all, lyre_peer_round_trip_seconds: own } = ada.metrics()
  t.equal(value(all), first + 1)
  t.equal(value(own, { peer }), 1)
  const sample = histogram(own)
  t.match(sample, { labels: { peer, name: 'bob' }, count: 1 })
  const last = value(ada.metrics().lyre_peer_round_trip_last_seconds, { peer }) ?? 0
  t.ok(last >= 0.04 && last < 0.2, `${last} s`)
  for (const { le, count } of sample.buckets) t.equal(count, last <= le ? 1 : 0, `${le}`)
  t.equal(sample.sum, last)
})

t.test('who leaves is counted by cause, and is no label any more', async (t) => {
  const { simulation, ada, bob } = await pair(t)
  ada.metrics()
  await Promise.all([bob.stop(), simulation.run(3_000)])
  const metrics = ada.metrics()
  t.equal(value(metrics.lyre_exits_total, { cause: 'goodbye' }), 1)
  t.equal(value(metrics.lyre_exits_total, { cause: 'expired' }), 0)
  t.same(metrics.lyre_peer_queue_messages.samples, [])
  t.same(metrics.lyre_peer_round_trip_seconds.samples, [])
})

t.test('how many beacons are lost is estimated, also where none is', async (t) => {
  for (const loss of [0, 0.1, 0.3]) {
    const { simulation, ada } = await pair(t, { links: { loss } })
    await simulation.run(1_200_000)
    const metrics = ada.metrics()
    const told = value(metrics.lyre_beacon_loss_ratio) ?? Number.NaN
    t.comment(`${loss} is told as ${told}`)
    t.ok(Math.abs(told - loss) < 0.04, `${told} for ${loss}`)
    t.ok((value(metrics.lyre_beacons_expected_total) ?? 0) > 1_000)
  }
})

t.test('beacons that a process heard late, all at once, are none that were lost', async (t) => {
  const { simulation, ada, bob } = await pair(t)
  await simulation.run(60_000)
  for (let count = 0; count < 10; count++) {
    simulation.pause(ada)
    await simulation.run(6_000)
    simulation.resume(ada)
    await simulation.run(20_000)
  }
  const metrics: Metrics = ada.metrics()
  const told = value(metrics.lyre_beacon_loss_ratio) ?? 1
  t.ok(told < 0.03, `${told}`)
  const lag = histogram(metrics.lyre_event_loop_lag_seconds)
  t.ok(lag.sum > 10 * 4, 'the timer of one who did not run was late')
  const other = histogram(bob.metrics().lyre_event_loop_lag_seconds)
  t.ok(other.sum < 0.001, 'in virtual time nobody else is late')
})

t.test('a status is of the time since the last one, and metrics are of all time', async (t) => {
  const meter = new Meter()
  const none = { peers: 0, evasive: 0, lost: 0, dropped: 0 }
  const nothing = { roundTrips: 0, lagMaxMs: 0, sent: 0, received: 0, dropped: 0 }
  t.strictSame(meter.status(none), { peers: 0, evasive: 0, ...nothing })
  for (const roundTripMs of [4, 1, 1.00049]) {
    meter.handleLink(1, { type: 'measured', roundTripMs }, undefined)
  }
  for (const ms of [-0.5, 1_500, 3]) meter.handleLag(ms)
  meter.traffic.sent.whisper.messages = 2
  meter.traffic.sent.shout.messages = 3
  meter.traffic.sent.ping.messages = 100
  meter.traffic.received.shout.messages = 7
  t.strictSame(meter.status({ peers: 3, evasive: 2, lost: 1, dropped: 2 }), {
    ...{ peers: 3, evasive: 2, roundTrips: 3 },
    ...{ roundTripMinMs: 1, roundTripMs: 2, roundTripMaxMs: 4 },
    ...{ lagMaxMs: 1_500, sent: 5, received: 7, dropped: 3 },
  })
  meter.handleLink(1, { type: 'measured', roundTripMs: 2 }, undefined)
  meter.traffic.sent.shout.messages = 4
  t.strictSame(meter.status({ ...none, lost: 1, dropped: 2 }), {
    ...{ peers: 0, evasive: 0, ...nothing, roundTrips: 1, sent: 1 },
    ...{ roundTripMinMs: 2, roundTripMs: 2, roundTripMaxMs: 2 },
  })
  const lyre = new Simulation({ seed: 1 }).createLyre({ name: 'ada' })
  const { count, sum } = histogram(meter.metrics(lyre.diagnostics()).lyre_round_trip_seconds)
  t.equal(count, 4)
  t.ok(Math.abs(sum - 0.00800049) < 1e-9)
})

t.test('a node that stood still is late, whatever else came before its timer', async (t) => {
  const world = new World()
  const [alice, bob] = [new Lyre({}, world.host()), new Lyre({}, world.host())]
  await Promise.all([alice.start(), bob.start()])
  await world.advance(3_000)
  const before = histogram(alice.metrics().lyre_event_loop_lag_seconds).sum
  t.ok(before < 0.001)
  world.now += 4_000
  bob.whisper(alice.uuid, 'hello')
  await world.settle()
  t.equal(histogram(alice.metrics().lyre_event_loop_lag_seconds).sum, before)
  await world.advance(100)
  t.ok(histogram(alice.metrics().lyre_event_loop_lag_seconds).sum > 3)
  await Promise.all([alice.stop(), bob.stop(), world.advance(2_000)])
})

t.test('the same seed gives the same metrics', async (t) => {
  const runs: Metrics[] = []
  for (let count = 0; count < 2; count++) {
    const { simulation, ada } = await pair(t, { links: { loss: 0.2 } })
    for (let second = 0; second < 30; second++) {
      ada.shout('CHAT', `${second}`)
      await simulation.run(1_000)
    }
    runs.push(ada.metrics())
  }
  t.same(runs[0], runs[1])
})
