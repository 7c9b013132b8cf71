/**
 * A node as a process of its own: `node node.mjs '{"name":"bob","beaconPort":12345}'`, the options of createLyre() and
 * `throws`, the type of an event whose handler throws. It tells its events in lines of JSON and does what lines on stdin
 * say: {"call":"shout","args":["CHAT","hello"]}. It has no exit() of its own: it ends when nothing keeps it alive.
 */

import { createInterface } from 'node:readline'
import { createLyre, text } from '../../dist/src/index.js'

const { throws, ...options } = JSON.parse(process.argv[2])
const lyre = createLyre({ interface: '127.0.0.1', beaconIntervalMs: 100, ...options })

function tell(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

process.on('uncaughtException', ({ message }) => tell({ event: 'uncaught', message }))
if (throws !== undefined) {
  lyre.on(throws, () => {
    throw new Error('a handler threw')
  })
}

async function tellEvents() {
  for await (const { type, peer, content, ...rest } of lyre.events()) {
    const { uuid, name } = peer ?? {}
    tell({ event: type, uuid, name, content: content?.map((frame) => text(frame)), ...rest })
  }
  input.close()
}

const input = createInterface({ input: process.stdin })
input.on('line', (line) => {
  const { call, args = [] } = JSON.parse(line)
  lyre[call](...args)
})
tellEvents()
await lyre.start()
tell({ event: 'start', uuid: lyre.uuid, name: lyre.name, endpoint: lyre.endpoint })
