/** Metrics as Prometheus reads them: through prom-client, a parser of its text format, and promtool where that is installed. */

import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { Simulation } from '../../sim/index.ts'
import { UsageError } from '../../src/errors.ts'
import type { Lyre } from '../../src/lyre.ts'
import { METRICS, type MetricLabels } from '../../src/metrics.ts'
import { registerMetrics } from '../../src/prometheus.ts'

/** What the parser makes of a metric; it comes without types. */
interface Family {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly metrics: readonly {
    readonly labels?: MetricLabels
    readonly value?: string
    readonly buckets?: Readonly<Record<string, string>>
  }[]
}

const parsePrometheusTextFormat: (text: string) => Family[] = createRequire(import.meta.url)(
  'parse-prometheus-text-format',
)

async function talk(t: Test): Promise<{ readonly ada: Lyre; readonly bob: Lyre }> {
  const simulation = new Simulation({ seed: 3 })
  t.teardown(() => simulation.stop())
  // A name may be anything that has to be escaped.
  const [ada, bob] = [
    simulation.createLyre({ name: 'ada' }),
    simulation.createLyre({ name: 'b"o\\b\n' }),
  ]
  ada.metrics()
  await Promise.all([ada.start(), bob.start()])
  await simulation.run(10_000)
  for (let count = 0; count < 3; count++) ada.whisper(bob.uuid, 'hello')
  await simulation.run(60_000)
  return { ada, bob }
}

t.test('what a registry prints, a parser reads back as it is in metrics()', async (t) => {
  const { ada, bob } = await talk(t)
  const registry = new Registry()
  registerMetrics(ada, registry)
  const families = parsePrometheusTextFormat(await registry.metrics())
  const metrics = ada.metrics()
  t.same(families.map(({ name }) => name).sort(), Object.keys(METRICS).sort())
  for (const family of families) {
    const metric = metrics[family.name as keyof typeof METRICS]
    t.match(family, { help: metric.help, type: metric.type.toUpperCase() })
    const read = family.metrics.map(({ labels = {}, ...rest }) => ({ labels, ...rest }))
    if (metric.type === 'histogram') {
      // Of a histogram with labels the parser keeps the buckets alone.
      const told = metric.samples.map(({ labels, buckets, count, sum }) => ({
        labels: {},
        buckets: Object.fromEntries(
          [...buckets, { le: '+Inf', count }].map(({ le, count }) => [le, String(count)]),
        ),
        ...(Object.keys(labels).length === 0 && { count: String(count), sum: String(sum) }),
      }))
      t.same(read, told, family.name)
    } else {
      const told = metric.samples.map(({ labels, value }) => ({ labels, value: String(value) }))
      t.same(read, told, family.name)
    }
  }
  const peers = families.find(({ name }) => name === 'lyre_peer_quiet_seconds')
  t.match(peers?.metrics, [{ labels: { peer: bob.uuid, name: bob.name } }])
})

const hasPromtool = spawnSync('promtool', ['--version']).status === 0
const skip = hasPromtool ? false : 'promtool is not installed: apt-get install prometheus'

t.test('promtool finds nothing to complain of', { skip }, async (t) => {
  const { ada } = await talk(t)
  const registry = new Registry()
  registerMetrics(ada, registry)
  const input = await registry.metrics()
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input })
  t.equal(status, 0)
  t.equal(`${stdout}${stderr}`, '')
})

t.test('a registry of OpenMetrics names counters as it wants them', async (t) => {
  const { ada } = await talk(t)
  const registry = new Registry<typeof Registry.OPENMETRICS_CONTENT_TYPE>()
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  const end = registerMetrics(ada, registry)
  const text = await registry.metrics()
  t.match(text, /^# TYPE lyre_enters counter\nlyre_enters_total 1$/m)
  t.notMatch(text, /_total_total/)
  t.match(text, /# EOF\n$/)
  end()
  t.equal(await registry.metrics(), '\n# EOF\n')
})

t.test('several nodes of a registry are told apart by labels, and each can go', async (t) => {
  const { ada, bob } = await talk(t)
  const registry = new Registry()
  const [endAda, endBob] = [
    registerMetrics(ada, registry, { labels: { node: 'ada' } }),
    registerMetrics(bob, registry, { labels: { node: 'bob' } }),
  ]
  t.throws(() => registerMetrics(ada, registry), UsageError)
  const other = new Simulation({ seed: 1 }).createLyre()
  const same = { message: /another node of this registry has the same labels/ }
  t.throws(() => registerMetrics(other, registry, { labels: { node: 'bob' } }), same)
  const both = await registry.getSingleMetricAsString('lyre_started')
  t.match(both, /lyre_started\{node="ada"\} 1\nlyre_started\{node="bob"\} 1$/)
  endAda()
  endAda()
  t.notMatch(await registry.metrics(), /node="ada"/)
  endBob()
  t.same(registry.getMetricsAsArray(), [])
  registerMetrics(bob, registry)
  t.match(await registry.metrics(), /^lyre_started 1$/m)
  registry.resetMetrics()
  t.match(await registry.metrics(), /^lyre_enters_total 1$/m, 'what a node counts goes on')
})
