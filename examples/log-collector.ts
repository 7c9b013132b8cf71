// Collects the logs of all nodes that tell theirs, and says when something is wrong: a node that loses peers again and again, one
// whose records are missing, one whose clock is off.
// npm run example -- log-collector [interface] [port]. Ctrl-C sums up. To have something to collect, in another terminal:
// npx lyre chat --log-level info --interface 127.0.0.1.

import { createCollector, type LogLine } from 'lyre'

const FLAPS_MAX = 3
const CLOCK_MAX_MS = 1_000
const [, , address = '127.0.0.1', port = '5670'] = process.argv

const collector = createCollector({
  level: 'info',
  node: { name: 'log-collector', interface: address, beaconPort: Number(port) },
})

/** What nodes tell may be anything: what could move the cursor is not for a terminal. */
function show(line: string): void {
  console.log(line.replaceAll(/\p{Cc}/gu, ' '))
}

function nameOf({ name, uuid, hash }: LogLine['node']): string {
  return name || uuid?.slice(0, 6) || String(hash)
}

const exits = new Map<string, number>()
const offsets = new Map<string, number>()

collector.on('record', ({ node, record, offsetMs }) => {
  const name = nameOf(node)
  if (record.level === 'error' || record.level === 'warning') {
    show(`${name}: ${record.level}: ${record.text}`)
  }
  const { cause } = record.fields ?? {}
  if (record.event === 'exit' && cause !== 'goodbye') {
    const count = (exits.get(name) ?? 0) + 1
    exits.set(name, count)
    if (count === FLAPS_MAX) show(`${name} has lost ${count} peers that did not say goodbye`)
  }
  if (Math.abs(offsetMs) > CLOCK_MAX_MS && !offsets.has(name)) {
    offsets.set(name, offsetMs)
    show(`${name}: its clock is off by ${offsetMs} ms`)
  }
})
collector.on('gap', ({ node, level, count }) => {
  show(`${nameOf(node)}: ${count} records of level ${level} did not come`)
})
collector.on('restart', ({ node }) => show(`${nameOf(node)} was started again`))

await collector.start()
show(`collecting at ${collector.diagnostics()?.endpoints.join(', ')}`)

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)

async function stop(): Promise<void> {
  for (const { name, records, lost } of collector.diagnostics()?.nodes ?? []) {
    show(`${name}: ${records} records, ${lost} lost`)
  }
  await collector.stop()
}
