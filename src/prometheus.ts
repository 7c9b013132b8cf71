// Metrics of nodes in a registry of the package `prom-client`, which is the application's own: it is given to us, so that who does
// not want it need not have it. What is asked for is made when it is asked for.

import { UsageError } from './errors.ts'
import type { Lyre } from './lyre.ts'
import {
  METRICS,
  type Metric,
  type MetricLabels,
  type MetricMeaning,
  type MetricName,
  type MetricSample,
  type Metrics,
} from './metrics.ts'

/** As much of a `Registry` of `prom-client` as is used: `register` of that package is one. */
export interface PrometheusRegistry {
  // A method, so that a registry fits that wants a metric of its own making, of which it uses no more than ours have.
  registerMetric(metric: never): void
  removeSingleMetric(name: string): void
}

/** A node in a registry. */
class Registered {
  readonly labels: MetricLabels
  readonly #lyre: Lyre
  #seen: Metrics | undefined

  constructor(lyre: Lyre, labels: MetricLabels) {
    this.#lyre = lyre
    this.labels = labels
  }

  /** A registry asks for one metric after the other, all in one turn: they are made once, and of one moment. */
  look(): Metrics {
    if (this.#seen !== undefined) return this.#seen
    this.#seen = this.#lyre.metrics()
    void Promise.resolve().then(() => {
      this.#seen = undefined
    })
    return this.#seen
  }
}

/** A metric as a registry asks for it. */
class Collector {
  readonly name: string
  readonly type: MetricMeaning['type']
  readonly #metric: MetricName
  readonly #nodes: ReadonlyMap<Lyre, Registered>

  constructor(name: MetricName, nodes: ReadonlyMap<Lyre, Registered>) {
    this.name = name
    this.type = METRICS[name].type
    this.#metric = name
    this.#nodes = nodes
  }

  /** A registry of OpenMetrics has given us a name without `_total`. */
  get() {
    const { help } = METRICS[this.#metric]
    const values = [...this.#nodes.values()].flatMap((node) =>
      valuesOf(this.#metric, node.look()[this.#metric]).map((value) => ({
        ...value,
        labels: { ...node.labels, ...value.labels },
      })),
    )
    return { name: this.name, type: this.type, help, values, aggregator: 'sum' }
  }

  /** What nodes count goes on, whatever becomes of a registry. */
  reset(): void {}
}

/** The nodes in each registry. */
const registered = new WeakMap<PrometheusRegistry, Map<Lyre, Registered>>()

/**
 * Adds the metrics of a node to a registry of `prom-client`: `registerMetrics(lyre, register)`.
 * @param options `labels` stand at each sample of this node: they tell several nodes of one registry apart.
 * @returns a function that takes them away again.
 * @throws UsageError where the node is in the registry already, or another one with the same labels.
 */
export function registerMetrics(
  lyre: Lyre,
  registry: PrometheusRegistry,
  { labels = {} }: { readonly labels?: MetricLabels } = {},
): () => void {
  const nodes = registered.get(registry) ?? new Map<Lyre, Registered>()
  if (nodes.has(lyre)) throw new UsageError('the metrics of this node are in this registry already')
  const told = ({ labels }: Pick<Registered, 'labels'>) =>
    JSON.stringify(Object.entries(labels).sort())
  if ([...nodes.values()].some((other) => told(other) === told({ labels }))) {
    throw new UsageError(
      'another node of this registry has the same labels: nobody could tell both apart',
    )
  }
  const names = Object.keys(METRICS) as MetricName[]
  if (nodes.size === 0) {
    for (const name of names) registry.registerMetric(new Collector(name, nodes) as never)
  }
  registered.set(registry, nodes.set(lyre, new Registered(lyre, labels)))
  return () => {
    if (!nodes.delete(lyre) || nodes.size > 0) return
    for (const name of names) registry.removeSingleMetric(name)
  }
}

type Value = MetricSample & { readonly metricName?: string }

function valuesOf(name: MetricName, metric: Metric): Value[] {
  if (metric.type !== 'histogram') return [...metric.samples]
  return metric.samples.flatMap(({ labels, buckets, count, sum }) => [
    ...[...buckets, { le: '+Inf', count }].map(({ le, count }) => ({
      metricName: `${name}_bucket`,
      labels: { ...labels, le: String(le) },
      value: count,
    })),
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ])
}
