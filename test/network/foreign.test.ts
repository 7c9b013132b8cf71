/** Nodes and browsers that nobody here wrote, on one network with ours. */

import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Child } from '../support/child.ts'
import { compileGossip, NO_CZMQ } from '../support/czmq.ts'
import { eventually } from '../support/heard.ts'
import { type Machine, Network } from './network.ts'
import { meet, type Talker } from './talker.ts'

t.jobs = 2

const ZYRE = new URL('../interop/zyre-node.mjs', import.meta.url).pathname
const gossip = compileGossip(t)

function withoutZyre(): string | false {
  if (gossip === undefined) return NO_CZMQ
  if (existsSync(new URL('../interop/node_modules/zyre.js', import.meta.url))) return false
  return 'it needs zyre.js: `npm ci --prefix test/interop`'
}

/** A node of zyre.js at an address of a machine. */
async function zyre(
  machine: Machine,
  { name, address, beaconPort }: { name: string; address: string; beaconPort: number },
): Promise<{ readonly child: Child; readonly uuid: string; readonly endpoint: string }> {
  const variable = `ZYRE_INTERFACE=${address}`
  const script = [process.execPath, ZYRE, name, String(beaconPort), 'CHAT']
  const child = machine.start('env', variable, ...script)
  const { uuid, firstPort } = await child.next('start')
  // Nobody else on that machine has taken it.
  return { child, uuid, endpoint: `tcp://${address}:${firstPort}` }
}

/** Each says something to the group, and all others hear it. */
async function shoutAround({
  ours,
  theirs,
}: {
  readonly ours: readonly Talker[]
  readonly theirs: readonly Child[]
}): Promise<void> {
  for (const node of ours) node.call('shout', 'CHAT', `from ${node.name}`)
  for (const child of theirs) {
    for (const { name } of ours) await hears(child, name)
    child.send({ shout: 'CHAT', content: 'from a foreigner' })
  }
  for (const node of ours) {
    for (const other of ours) if (other !== node) await hears(node.child, other.name)
    await node.waits('both foreigners are heard', () => {
      const shouts = node.child.heard.items.filter(({ event }) => event === 'shout')
      return shouts.filter(({ content }) => content[0] === 'from a foreigner').length === 2
    })
  }
}

function hears(child: Child, name: string): Promise<void> {
  return eventually(`${name} is heard`, () =>
    child.heard.items.some(
      ({ event, content }) => event === 'shout' && content[0] === `from ${name}`,
    ),
  )
}

// C Zyre does either beacons or gossip. Debian has no package of it, but czmq, whose zgossip it gossips by, and npm has zyre.js:
// one that beacons, and one whose beacons nobody hears and of which czmq tells.
t.test(
  'those who beacon and those who gossip are peers at the same time',
  { buffered: true, skip: withoutZyre() },
  async (t) => {
    const network = new Network(t)
    const one = network.segment('one')
    const [m1, m2, m3, m4] = ['m1', 'm2', 'm3', 'm4'].map((name, index) => {
      const machine = network.machine(name)
      machine.plug(one, { name: 'eth0', address: `10.1.0.${index + 1}/24` })
      return machine
    }) as [Machine, Machine, Machine, Machine]
    const hub = 'tcp://10.1.0.1:5671'
    const alice = await m1.node({ name: 'alice', gossipBind: hub })
    const bob = await m2.node({ name: 'bob', gossipConnect: hub })
    for (const node of [alice, bob]) node.call('join', 'CHAT')
    const beacons = await zyre(m3, { name: 'beacons', address: '10.1.0.3', beaconPort: 5670 })
    const gossips = await zyre(m4, { name: 'gossips', address: '10.1.0.4', beaconPort: 5999 })
    const actor = m4.start(gossip as string, 'connect', hub)
    await actor.next('ready')
    actor.type(`${gossips.uuid.toUpperCase()} ${gossips.endpoint}`)
    await meet(alice, bob)
    for (const node of [alice, bob]) {
      for (const [name, source] of [
        ['beacons', 'beacon'],
        ['gossips', 'gossip'],
      ] as const) {
        await node.waits(`${name} is a peer by ${source}, and in its group`, ({ diagnostics }) =>
          diagnostics.peers.some(
            (peer) =>
              peer.name === name &&
              peer.source === source &&
              peer.state === 'entered' &&
              peer.groups.includes('CHAT'),
          ),
        )
      }
    }
    await shoutAround({ ours: [alice, bob], theirs: [beacons.child, gossips.child] })
    t.pass('each hears what each says, but for the two foreigners, who cannot find each other')
    for (const node of [alice, bob]) {
      const enters = node.child.heard.items.filter(({ event }) => event === 'enter')
      t.equal(enters.length, 3, `to ${node.name} each entered once`)
    }
    alice.call('stop')
    await beacons.child.next('exit', { name: 'alice' })
    t.pass('and is told when one of ours leaves')
  },
)

const AVAHI = ['avahi-daemon', 'avahi-browse', 'dbus-daemon']

function withoutAvahi(): string | false {
  try {
    execFileSync('which', AVAHI)
    return false
  } catch {
    return 'it needs avahi, on Debian `apt-get install avahi-daemon avahi-utils dbus`'
  }
}

/** A bus for avahi and whoever asks it, in place of that of the system: anybody may do anything. */
function busConfig(address: string): string {
  return `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>${address}</listen>
  <policy context="default">
    <allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
  </policy>
</busconfig>`
}

t.test(
  'a node shows in avahi-browse while it is there',
  { buffered: true, skip: withoutAvahi() },
  async (t) => {
    const network = new Network(t)
    const one = network.segment('one')
    const [a, b] = [network.machine('a'), network.machine('b')]
    a.plug(one, { name: 'eth0', address: '10.1.0.1/24' })
    b.plug(one, { name: 'eth0', address: '10.1.0.2/24' })
    const folder = mkdtempSync(join(tmpdir(), 'lyre-avahi-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const address = `unix:path=${folder}/bus`
    const [bus, avahi] = [join(folder, 'bus.conf'), join(folder, 'avahi.conf')]
    writeFileSync(bus, busConfig(address))
    writeFileSync(avahi, '[server]\nuse-ipv6=no\n')
    b.start('dbus-daemon', '--nofork', `--config-file=${bus}`)
    await eventually('there is a bus', () => existsSync(join(folder, 'bus')))
    const variable = `DBUS_SYSTEM_BUS_ADDRESS=${address}`
    const plain = ['--no-drop-root', '--no-chroot', '--no-rlimits', '--debug']
    const daemon = b.start('env', variable, 'avahi-daemon', ...plain, '-f', avahi)
    await eventually('avahi is up', () => daemon.errors.includes('Server startup complete'))
    const browser = b.start('env', variable, 'avahi-browse', '-pr', '_zre._tcp')
    const alice = await a.node({ name: 'alice', mdns: true })
    const line = (beginning: string) => {
      const lines: string[] = browser.heard.items.map(({ text }) => text)
      return lines.find((text) => text.startsWith(`${beginning};eth0;IPv4;alice`))
    }
    await eventually('it is resolved', () => line('=') !== undefined)
    const port = new URL(alice.endpoint).port
    t.match(line('='), `;10.1.0.1;${port};`, 'with where its inbox is')
    t.match(line('='), alice.uuid, 'and its uuid')
    t.equal(line('-'), undefined)
    alice.call('stop')
    await eventually('it is gone', () => line('-') !== undefined)
    t.pass('and it is gone once it stops')
  },
)
