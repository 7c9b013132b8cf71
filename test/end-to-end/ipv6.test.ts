/**
 * Whole nodes with IPv6, in a network namespace of their own: the loopback of Linux has no multicast of IPv6 unless a route says
 * so, and none is to be set on the machine of whoever runs this. What needs several machines is tried by hand.
 */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { LyreOptions } from '../../src/index.ts'
import { type Child, type Line, startProgram } from '../support/child.ts'

const SCRIPT = fileURLToPath(new URL('./ipv6.mjs', import.meta.url))
const UNSHARE = ['--map-root-user', '--net']
const LOOPBACK = 'ip link set lo up && ip -6 route add local ff02::1 dev lo table local'
const CABLE =
  'ip link set lo up && ip link add eth0 type veth peer name eth1 && ip link set eth0 up && ip link set eth1 up'
/** Until an address is usable, which takes a second or two after its interface comes up. */
const SETTLED =
  'while ip -6 -o addr show tentative | grep -q . || ! ip -6 -o addr show dev eth0 | grep -q .; do :; done'

const { status } = spawnSync('unshare', [...UNSHARE, 'sh', '-c', `${LOOPBACK} && ${CABLE}`])
const skip = status === 0 ? false : 'no network namespace can be made here'

/** Alice and Bob in a network that this has set up. */
function startNodes(t: Test, setup: string, options: LyreOptions): Child {
  const nodes = ['alice', 'bob'].map((name) => JSON.stringify({ name, ...options }))
  const program = [process.execPath, SCRIPT, ...nodes]
  const shell = ['sh', '-c', `${setup} && exec "$@"`, 'sh', ...program]
  return startProgram(t, 'unshare', [...UNSHARE, ...shell])
}

/** What they told of an event by one of them, whenever that was. */
async function told(nodes: Child, event: string, by: string): Promise<Line> {
  const find = () => nodes.heard.items.find((line) => line.event === event && line.by === by)
  await nodes.heard.until(`${event} by ${by}`, () => find() !== undefined)
  return find()
}

/** What all of them do, whatever their addresses. */
async function talk(t: Test, nodes: Child): Promise<void> {
  for (const [by, name] of [
    ['alice', 'bob'],
    ['bob', 'alice'],
  ] as const) {
    const { beacon, counters } = await told(nodes, 'diagnostics', by)
    t.match(beacon, { sendErrors: 0, lastError: null })
    t.ok(beacon.heard.own >= 10)
    t.ok((counters['endpoint-changed'] ?? 0) <= 2, 'nobody is asked again and again')
    t.match(await told(nodes, 'shout', by), { name, content: [`hello from ${name}`] })
  }
  nodes.end()
  t.equal(await nodes.exited, 0)
  const comings = nodes.heard.items.filter(({ event }) => event === 'enter' || event === 'exit')
  t.equal(comings.length, 4, 'each enters and leaves once')
  t.match(await told(nodes, 'exit', 'bob'), { cause: 'goodbye' })
}

t.test('two nodes find each other by multicast on ::1', { skip }, async (t) => {
  const nodes = startNodes(t, LOOPBACK, { interface: '::1' })
  t.match((await told(nodes, 'started', 'alice')).endpoint, /^tcp:\/\/\[::1\]:\d+$/)
  const diagnostics = await told(nodes, 'diagnostics', 'alice')
  t.match(diagnostics.interface.chosen, [{ address: '::1', beaconsTo: 'ff02::1%lo' }])
  t.match(diagnostics.beacon, { to: ['ff02::1%lo'], last: { alive: { address: '::1' } } })
  await talk(t, nodes)
})

t.test('with IPv4 and IPv6 each is one peer, who stays where it was found', { skip }, async (t) => {
  const nodes = startNodes(t, LOOPBACK, { interface: ['127.0.0.1', '::1'] })
  const { beacon, peers } = await told(nodes, 'diagnostics', 'alice')
  t.match(beacon.networks, { '127.0.0.0/8': { alive: Number }, '::1/128': { alive: Number } })
  t.equal(peers.length, 1)
  t.match(peers[0], { epoch: 1, state: 'entered', endpoint: /^tcp:\/\/(127\.0\.0\.1|\[::1\]):/ })
  await talk(t, nodes)
})

t.test('where there is nothing but link-local addresses, they are used', { skip }, async (t) => {
  const nodes = startNodes(t, `${CABLE} && ${SETTLED}`, { interface: 'eth0' })
  const { endpoint } = await told(nodes, 'started', 'alice')
  t.match(endpoint, /^tcp:\/\/\[fe80::[\da-f:]+\]:\d+$/, 'others are told no zone')
  const entered = await told(nodes, 'enter', 'bob')
  t.equal(entered.endpoint, endpoint.replace(']', '%eth0]'), 'who dial with their own')
  await talk(t, nodes)
})
