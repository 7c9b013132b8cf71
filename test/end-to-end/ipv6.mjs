/**
 * Nodes in a network of this process's own: `node ipv6.mjs OPTIONS...`, each the options of createLyre(). They tell in lines of
 * JSON what happens, `by` whom, and what they know of each other once they have heard 50 beacons of others. They stop when stdin
 * ends.
 */

import { createLyre, text } from '../../dist/src/index.js'

const nodes = process.argv.slice(2).map((options) => {
  return createLyre({ beaconIntervalMs: 100, ...JSON.parse(options) })
})

function tell(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

async function tellEvents(lyre) {
  const by = lyre.name
  for await (const { type, peer, content, cause } of lyre.events()) {
    const { name, endpoint } = peer ?? {}
    tell({ event: type, by, name, endpoint, cause, content: content?.map((frame) => text(frame)) })
  }
}

async function tellDiagnostics(lyre) {
  const { beacon, ...diagnostics } = lyre.diagnostics()
  if ((beacon?.heard.alive ?? 0) < 50) setTimeout(() => tellDiagnostics(lyre), 20)
  else tell({ event: 'diagnostics', by: lyre.name, beacon, ...diagnostics })
}

for (const lyre of nodes) {
  tellEvents(lyre)
  lyre.join('CHAT')
  lyre.on('join', () => lyre.shout('CHAT', `hello from ${lyre.name}`))
  await lyre.start()
  tell({ event: 'started', by: lyre.name, endpoint: lyre.endpoint })
  tellDiagnostics(lyre)
}

process.stdin.on('end', async () => {
  for (const lyre of nodes) await lyre.stop()
  process.exit()
})
process.stdin.resume()
