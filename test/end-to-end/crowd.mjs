/**
 * Many nodes in one process: `node crowd.mjs '{"count":50,"total":100,"beaconPort":12345}'`, of `total` in the network.
 * Tells {"event":"entered"} when each of its nodes sees all others in the group; after a line on stdin each node shouts
 * once, and {"event":"heard"} says what came; after another one all stop, and the process ends by itself.
 */

import { createInterface } from 'node:readline'
import { createLyre, text } from '../../dist/src/index.js'

const { count, total, beaconPort } = JSON.parse(process.argv[2])
const GROUP = 'CROWD'
const startedAt = performance.now()

function tell(event, rest = {}) {
  const { rss, heapUsed } = process.memoryUsage()
  const ms = Math.round(performance.now() - startedAt)
  process.stdout.write(`${JSON.stringify({ event, ms, rss, heapUsed, ...rest })}\n`)
}

const nodes = Array.from({ length: count }, () =>
  createLyre({ interface: '127.0.0.1', beaconPort }),
)
let heardCount = 0
let exitCount = 0
const heard = new Map()
let allHeard
const hearing = new Promise((resolve) => {
  allHeard = resolve
})
let stopping = false
for (const node of nodes) {
  node.join(GROUP)
  node.on('exit', ({ cause }) => {
    if (!stopping && cause !== 'goodbye') exitCount++
  })
  node.on('shout', ({ peer, content }) => {
    const key = `${node.uuid} ${peer.uuid} ${text(content)}`
    heard.set(key, (heard.get(key) ?? 0) + 1)
    if (++heardCount === count * (total - 1)) allHeard()
  })
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
await Promise.all(nodes.map((node) => node.start()))
await Promise.all(
  nodes.map((node) => node.waitForPeers(total - 1, { group: GROUP, timeoutMs: 100_000 })),
)
tell('entered')
await lines.next()
let queuedCount = 0
for (const node of nodes) queuedCount += node.shout(GROUP, `from ${node.uuid}`)
await hearing
const twiceCount = [...heard.values()].filter((times) => times !== 1).length
const distinct = new Set([...heard.keys()].map((key) => key.split(' ').at(-1))).size
const counters = {}
for (const node of nodes) {
  for (const [name, value] of Object.entries(node.diagnostics().counters)) {
    counters[name] = (counters[name] ?? 0) + value
  }
}
tell('heard', { queuedCount, heardCount, twiceCount, distinct, exitCount, counters })
await lines.next()
stopping = true
const stoppedAt = performance.now()
await Promise.all(nodes.map((node) => node.stop()))
tell('stopped', { stopMs: Math.round(performance.now() - stoppedAt) })
process.stdin.destroy()
