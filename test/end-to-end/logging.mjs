/**
 * A node that logs and shouts without end, as a process of its own: `node logging.mjs '{"name":"ada","peers":2}'`, the options of
 * createLyre(), how many peers to wait for and how long texts are. A line `go` on stdin begins; `stop` ends it, and has it say what it has sent and
 * logged; `ask`, how many shouts came from each peer, and what became of its log so far.
 */

import { createInterface } from 'node:readline'
import { setImmediate as turn } from 'node:timers/promises'
import { createLyre } from '../../dist/src/index.js'

const GROUP = 'LOAD'
/** More than anybody should log. */
const RECORDS_PER_SHOUT = 20

const { peers, textBytes, ...options } = JSON.parse(process.argv[2])
const lyre = createLyre({ interface: '127.0.0.1', beaconIntervalMs: 100, ...options })
const heard = {}
const text = 'x'.repeat(textBytes)
let stopped = false

function tell(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

async function load() {
  let shouts = 0
  while (!stopped) {
    for (let index = 0; index < RECORDS_PER_SHOUT; index++) lyre.log('info', text, { index })
    lyre.shout(GROUP, String(shouts++))
    if (lyre.congested()) await lyre.drained()
    await turn()
  }
  // A level is known to miss something once something comes after it.
  for (const level of ['error', 'warning', 'info']) lyre.log(level, 'the last')
  tell({ event: 'stopped', shouts, records: lyre.diagnostics().log.records })
}

createInterface({ input: process.stdin }).on('line', (word) => {
  if (word === 'go') load()
  else if (word === 'stop') stopped = true
  else tell({ event: 'answer', heard, collectors: lyre.diagnostics().log.collectors })
})
lyre.on('shout', ({ peer }) => {
  heard[peer.name] = (heard[peer.name] ?? 0) + 1
})
lyre.join(GROUP)
await lyre.start()
await lyre.waitForPeers(peers, { group: GROUP })
tell({ event: 'ready', uuid: lyre.uuid })
