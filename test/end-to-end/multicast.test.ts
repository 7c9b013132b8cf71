/** Whole nodes on a loopback that is said to have no broadcast, as that of macOS and the BSDs: they use a multicast group. */

import type { Test } from 'tap'
import t from 'tap'
import type { Host } from '../../src/host.ts'
import { type LyreOptions, text } from '../../src/index.ts'
import { Lyre } from '../../src/lyre.ts'
import { systemHost } from '../../src/system/index.ts'
import { eventually } from '../support/heard.ts'
import { freePort, Node } from '../support/nodes.ts'

const GROUP = '239.255.22.38'
/** Where datagrams were sent to. */
const addresses = new Set<string>()
const HOST: Host = {
  ...systemHost,
  datagrams: {
    async open(options, handlers) {
      const socket = await systemHost.datagrams.open(options, handlers)
      return {
        send(bytes, to) {
          addresses.add(to.address)
          socket.send(bytes, to)
        },
        close: () => socket.close(),
      }
    },
  },
  interfaces: () =>
    systemHost.interfaces().map((one) => ({ ...one, broadcasts: !one.loopback && one.broadcasts })),
}

function createMulticastNode(t: Test, options: LyreOptions): Node {
  const lyre = new Lyre({ interface: '127.0.0.1', beaconIntervalMs: 100, ...options }, HOST)
  t.teardown(() => lyre.stop({ lingerMs: 0 }))
  return new Node(lyre)
}

t.test('they find each other, talk, and say by which way', async (t) => {
  const beaconPort = await freePort()
  const names = ['alice', 'bob', 'carol']
  const nodes = names.map((name) => createMulticastNode(t, { name, beaconPort }))
  const [alice, bob, carol] = nodes as [Node, Node, Node]
  for (const { lyre } of nodes) lyre.join('CHAT')
  await Promise.all(nodes.map(({ lyre }) => lyre.start()))
  await Promise.all(nodes.map(({ lyre }) => lyre.waitForPeers(2, { group: 'CHAT' })))
  alice.lyre.shout('CHAT', 'hello')
  for (const node of [bob, carol]) t.equal(text((await node.next('shout')).content), 'hello')

  await eventually('alice hears the beacons of all', () => {
    const { own = 0, alive = 0 } = alice.lyre.diagnostics().beacon?.heard ?? {}
    return own > 1 && alive > 2
  })
  const { interface: choice, beacon } = alice.lyre.diagnostics()
  t.match(choice?.chosen[0], { address: '127.0.0.1', broadcasts: false, beaconsTo: GROUP })
  t.equal(
    choice?.chosen[0]?.reason,
    'asked for as 127.0.0.1; it has no broadcast on this system, ' +
      `so beacons go to the multicast group ${GROUP}`,
  )
  t.match(beacon, { to: [GROUP], port: beaconPort, sendErrors: 0, lastError: null })
  t.match(beacon?.last.alive, { address: '127.0.0.1', reason: null })

  await bob.lyre.stop()
  t.equal((await alice.next('exit', 'bob')).cause, 'goodbye')
  t.same([...addresses], [GROUP], 'the goodbye as well')
})
