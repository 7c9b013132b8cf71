/** The dashboard and the alerts ask for metrics that there are, by labels that these have; promtool reads the rules. */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { METRICS, type MetricMeaning } from '../src/metrics.ts'

const FOLDER = fileURLToPath(new URL('../docs/monitoring/', import.meta.url))
const MEANINGS: Readonly<Record<string, MetricMeaning>> = METRICS
/** What Prometheus itself puts on what it asks for, and what is of a histogram. */
const LABELS = ['instance', 'job']

interface Dashboard {
  readonly title: string
  readonly panels: readonly {
    readonly id: number
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[]
  }[]
}

/** What is wrong with an expression: metrics and labels that there are not. */
function complaintsOf(expression: string): string[] {
  const complaints: string[] = []
  for (const [, name = '', matchers = ''] of expression.matchAll(/\b(lyre_\w+)(?:\{([^}]*)\})?/g)) {
    const base = name.replace(/_(bucket|sum|count)$/, '')
    const meaning = MEANINGS[name] ?? MEANINGS[base]
    if (meaning === undefined || (meaning.type === 'histogram') !== name.endsWith('_bucket')) {
      complaints.push(`there is no metric ${name}`)
      continue
    }
    for (const [, label = ''] of matchers.matchAll(/(\w+)\s*[!=]~?"/g)) {
      if (![...meaning.labels, ...LABELS].includes(label))
        complaints.push(`${name} has no ${label}`)
    }
    const isCounter = meaning.type !== 'gauge'
    const isRate = new RegExp(`(rate|increase)\\(${name}\\b`).test(expression)
    if (isCounter !== isRate) complaints.push(`${name} is a ${meaning.type}`)
  }
  return complaints
}

function read(name: string): string {
  return readFileSync(`${FOLDER}/${name}`, 'utf8')
}

t.test('a metric or label that there is not is found, and a counter without a rate', async (t) => {
  t.same(complaintsOf('lyre_peers{state="entered"} > 0'), [])
  t.same(complaintsOf('lyre_beers > 0'), ['there is no metric lyre_beers'])
  t.same(complaintsOf('lyre_peers{mood="bad"}'), ['lyre_peers has no mood'])
  t.same(complaintsOf('lyre_enters_total'), ['lyre_enters_total is a counter'])
  t.same(complaintsOf('rate(lyre_peers[5m])'), ['lyre_peers is a gauge'])
  t.same(complaintsOf('rate(lyre_round_trip_seconds[5m])').length, 1)
})

t.test('the dashboard asks for what there is', async (t) => {
  const { title, panels } = JSON.parse(read('grafana.json')) as Dashboard
  t.equal(title, 'Lyre')
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  const targets = panels.flatMap((panel) => panel.targets)
  t.ok(targets.length > 10)
  for (const { expr, legendFormat } of targets) {
    t.same(complaintsOf(expr), [], expr)
    const labels = [...expr.matchAll(/lyre_\w+/g)].flatMap(
      ([name]) => MEANINGS[name.replace('_bucket', '')]?.labels ?? [],
    )
    for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
      t.ok([...labels, ...LABELS].includes(label), `${label} of ${legendFormat}`)
    }
  }
})

t.test('the alerts ask for what there is', async (t) => {
  const expressions = [...read('alerts.yml').matchAll(/^ +expr: (.*)$/gm)].map(
    ([, one = '']) => one,
  )
  t.ok(expressions.length > 5)
  for (const expression of expressions) t.same(complaintsOf(expression), [], expression)
})

t.test('the guide has a line for each metric, with its type, labels and meaning', async (t) => {
  const guide = readFileSync(`${FOLDER}/../guide/metrics.md`, 'utf8')
  const rows = Object.entries(MEANINGS).map(([name, { type, labels, help }]) => {
    const told = labels.map((label) => `\`${label}\``).join(', ')
    return `| \`${name}\` | ${type} | ${told} | ${help} |`
  })
  t.same([...guide.matchAll(/^\| `lyre_.*$/gm)].flat(), rows)
})

const hasPromtool = spawnSync('promtool', ['--version']).status === 0
const skip = hasPromtool ? false : 'promtool is not installed: apt-get install prometheus'

t.test('promtool reads the rules, the example and each expression', { skip }, async (t) => {
  for (const args of [
    ['check', 'rules', `${FOLDER}/alerts.yml`],
    ['check', 'config', `${FOLDER}/prometheus.yml`],
  ]) {
    const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' })
    t.equal(status, 0, `${stdout}${stderr}`)
  }
  const { panels } = JSON.parse(read('grafana.json')) as Dashboard
  const rules = panels
    .flatMap(({ targets }) => targets)
    .map(({ expr }, index) => {
      const own = expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*')
      return `  - record: lyre:panel:${index}\n    expr: ${JSON.stringify(own)}\n`
    })
  const input = `groups:\n- name: panels\n  rules:\n${rules.join('')}`
  const folder = t.testdir({ 'rules.yml': input })
  const args = ['check', 'rules', `${folder}/rules.yml`]
  const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' })
  t.equal(status, 0, `${stdout}${stderr}`)
})
