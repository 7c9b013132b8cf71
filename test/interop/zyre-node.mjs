/**
 * One zyre.js node as a process of its own, on loopback or what ZYRE_INTERFACE names, spoken to like `lyre pipe`: a JSON command a
 * line on stdin, a JSON event a line on stdout. So a test can drive both with the same few lines.
 *
 *   node zyre-node.mjs NAME BEACON_PORT [GROUP...]
 *
 * Commands: {"join":"G"} {"leave":"G"} {"shout":"G","content":C} {"whisper":"UUID or name","content":C}
 * {"peers":true} {"stop":true}, where C is a string or {"base64":"..."}; the end of input stops too.
 * Events: start, enter, exit, expired, join, leave, whisper, shout, stop, error; replies: peers.
 *
 * What zyre.js 1.3.0 does otherwise, and a test has to know: a message has one content frame; `join`
 * for the groups of a HELLO is told before `enter`; `expired` is told and then `exit`; it counts
 * sequences modulo 65,535; on stop it sends the port-0 beacon and no GOODBYE.
 */

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

// zyre.js asks for zeromq 5, which has no binaries for Node.js 20; zeromq 6 brings an imitation of
// it, so we hand that out under the name that zyre.js requires.
const require = createRequire(import.meta.url)
const zeromq5 = require('zeromq/v5-compat')
require.cache[require.resolve('zeromq')].exports = zeromq5

// The imitation goes on to receive while a socket unbinds, is told that it is busy, and asks again in the same turn of the
// event loop, for ever: who unbinds reads no more.
const { unbind } = zeromq5.Socket.prototype
zeromq5.Socket.prototype.unbind = function (...args) {
  this.pause()
  return unbind.apply(this, args)
}

const Zyre = require('zyre.js')

const [name, beaconPort, ...groups] = process.argv.slice(2)
if (name === undefined || !(Number(beaconPort) > 0)) {
  console.error('usage: node zyre-node.mjs NAME BEACON_PORT [GROUP...]')
  process.exit(2)
}

const firstPort = 10_000 + (process.pid % 20_000)
const node = new Zyre({
  name,
  iface: process.env.ZYRE_INTERFACE ?? '127.0.0.1',
  bport: Number(beaconPort),
  // zyre.js looks for a free port upwards from here and binds later; apart, two nodes that start
  // at the same time do not take the same one. Below the range of ephemeral ports.
  port: firstPort,
  binterval: 250,
  headers: { 'X-SOFTWARE': 'zyre.js' },
})
node.setEncoding(null)

function tell(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function event(type, uuid, peerName, rest = {}) {
  tell({ event: type, time: Date.now(), uuid, name: peerName, ...rest })
}

/** Text where it is UTF-8, and base64 where it is not. */
function toJson(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return { base64: bytes.toString('base64') }
  }
}

function fromJson(content) {
  return typeof content === 'string' ? content : Buffer.from(content.base64, 'base64')
}

function uuidOf(wanted) {
  const peers = Object.entries(node.getPeers())
  return peers.find(([uuid, peer]) => uuid === wanted || peer.name === wanted)?.[0] ?? wanted
}

node.on('connect', (uuid, peer, headers) => event('enter', uuid, peer, { headers }))
node.on('disconnect', (uuid, peer) => event('exit', uuid, peer))
node.on('expired', (uuid, peer) => event('expired', uuid, peer))
node.on('join', (uuid, peer, group) => event('join', uuid, peer, { group }))
node.on('leave', (uuid, peer, group) => event('leave', uuid, peer, { group }))
node.on('whisper', (uuid, peer, bytes) =>
  event('whisper', uuid, peer, { content: [toJson(bytes)] }),
)
node.on('shout', (uuid, peer, bytes, group) =>
  event('shout', uuid, peer, { group, content: [toJson(bytes)] }),
)

let stopping = false
async function stop() {
  if (stopping) return
  stopping = true
  await node.stop()
  event('stop', node.getIdentity(), name)
  // The sockets of peers that vanished keep libzmq alive; nothing is left to wait for.
  process.exit(0)
}

function obey(line) {
  const command = JSON.parse(line)
  if ('join' in command) node.join(command.join)
  else if ('leave' in command) node.leave(command.leave)
  else if ('shout' in command) node.shout(command.shout, fromJson(command.content))
  else if ('whisper' in command) node.whisper(uuidOf(command.whisper), fromJson(command.content))
  else if ('peers' in command) tell({ reply: 'peers', peers: node.getPeers() })
  else if ('stop' in command) stop()
  else throw new Error('no such command')
}

await node.start()
for (const group of groups) node.join(group)
event('start', node.getIdentity(), name, { firstPort, endpoint: node._zyreNode._endpoint })

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  try {
    obey(line)
  } catch (error) {
    tell({ event: 'error', time: Date.now(), message: String(error), line })
  }
})
lines.on('close', stop)
process.on('SIGTERM', stop)
