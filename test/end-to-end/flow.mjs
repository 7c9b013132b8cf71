/**
 * Two roles, each a process of its own, for flow.test.ts:
 * `node flow.mjs '{"listeners":29,"beaconPort":12345}'`: nodes in group FLOW that count what they hear; after each line on
 * stdin they tell {"event":"heard","counts":[...]}. With "unread" each has a stream of events that nobody reads; with
 * "blocksUntil":"/a/file" the handler of each shout blocks its whole process until there is such a file.
 * `node flow.mjs '{"sender":{"peers":30,"bytes":1024,"waits":false},"beaconPort":12345,"options":{...}}'`: one node that
 * shouts to them for as long as stdin says ({"ms":3000}), and with {"until":"limit"} until somebody has exited by that cause,
 * as fast as it can, and tells {"event":"sent"} with what it used.
 */

import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createLyre } from '../../dist/src/index.js'

const {
  listeners = 0,
  unread,
  blocksUntil,
  sender,
  beaconPort,
  options = {},
} = JSON.parse(process.argv[2])
const GROUP = 'FLOW'
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const input = createInterface({ input: process.stdin })
const base = { interface: '127.0.0.1', beaconPort, beaconIntervalMs: 200 }
const turn = () => new Promise((resolve) => setImmediate(resolve))
const asleep = new Int32Array(new SharedArrayBuffer(4))

function block() {
  while (blocksUntil !== undefined && !existsSync(blocksUntil)) Atomics.wait(asleep, 0, 0, 10)
}

const nodes = Array.from({ length: listeners }, () => createLyre(base))
const counts = nodes.map(() => 0)
for (const [index, node] of nodes.entries()) {
  node.join(GROUP)
  node.on('shout', () => {
    counts[index]++
    block()
  })
  if (unread) node.events()
  await node.start()
}
if (listeners > 0) {
  tell({ event: 'started' })
  input.on('line', () => tell({ event: 'heard', counts }))
  input.on('close', () => {
    for (const node of nodes) node.stop()
  })
}

if (sender !== undefined) {
  const lyre = createLyre({ ...base, ...options })
  const exits = {}
  lyre.on('exit', ({ cause }) => {
    exits[cause] = (exits[cause] ?? 0) + 1
  })
  await lyre.start()
  await lyre.waitForPeers(sender.peers, { group: GROUP, timeoutMs: 60_000 })
  tell({ event: 'ready' })
  const content = new Uint8Array(sender.bytes)
  let rssMax = 0
  for await (const line of input) {
    const { ms, until } = JSON.parse(line)
    const end = performance.now() + ms
    const isDue = () => performance.now() < end || (until !== undefined && !(exits[until] >= 1))
    for (let count = 0; isDue(); count++) {
      lyre.shout(GROUP, content)
      if (sender.waits && lyre.congested({ group: GROUP })) await lyre.drained({ group: GROUP })
      if (count % 50 === 0) {
        rssMax = Math.max(rssMax, process.memoryUsage.rss())
        await turn()
      }
    }
    const { messages } = lyre.diagnostics()
    tell({ event: 'sent', rssMax, exits, messages })
  }
  await lyre.stop()
}
