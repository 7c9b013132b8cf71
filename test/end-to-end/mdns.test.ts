/** Real nodes that hear no beacon: they meet by multicast DNS, on loopback. */

import type { Test } from 'tap'
import t from 'tap'
import type { Host } from '../../src/host.ts'
import { Lyre } from '../../src/lyre.ts'
import type { LyreOptions } from '../../src/options.ts'
import { systemHost } from '../../src/system/index.ts'
import { eventually } from '../support/heard.ts'
import { freePort, Node } from '../support/nodes.ts'

/** A machine on whose network no broadcast gets through. */
const WITHOUT_BROADCAST: Host = {
  ...systemHost,
  datagrams: { open: async () => ({ send() {}, async close() {} }) },
}

async function createNode(t: Test, options: LyreOptions, host = WITHOUT_BROADCAST): Promise<Node> {
  const lyre = new Lyre({ interface: '127.0.0.1', mdns: true, ...options }, host)
  t.teardown(() => lyre.stop({ lingerMs: 0 }))
  return new Node(lyre)
}

const PATIENCE = { timeoutMs: 20_000 }

t.test('nodes meet by multicast DNS alone, talk, and take their leave', async (t) => {
  const beaconPort = await freePort()
  const [alice, bob] = [
    await createNode(t, { name: 'alice', beaconPort }),
    await createNode(t, { name: 'bob', beaconPort }),
  ]
  await alice.lyre.start()
  await bob.lyre.start()
  await Promise.all([alice, bob].map(({ lyre }) => lyre.waitForPeers(1, PATIENCE)))
  t.match(alice.lyre.diagnostics(), {
    beacon: { heard: { alive: 0 } },
    mdns: [{ open: true, port: 5353, instance: `alice (${alice.lyre.uuid.slice(0, 8)})` }],
    peers: [{ name: 'bob', state: 'entered' }],
  })
  t.equal(bob.lyre.whisper(alice.lyre.uuid, 'hello'), 1)
  await alice.next('whisper', 'bob')
  await bob.lyre.stop()
  t.equal((await alice.next('exit', 'bob')).cause, 'goodbye')

  await bob.lyre.start()
  await alice.next('enter', 'bob')
  t.pass('it came back, with its name')
})

t.test('a goodbye by multicast DNS is a hint, which harmony follows', async (t) => {
  const beaconPort = await freePort()
  const [alice, bob] = [
    await createNode(t, { name: 'alice', beaconPort }),
    await createNode(t, { name: 'bob', beaconPort }),
  ]
  await Promise.all([alice, bob].map(({ lyre }) => lyre.start()))
  await Promise.all([alice, bob].map(({ lyre }) => lyre.waitForPeers(1, PATIENCE)))
  await eventually('both are known', () =>
    [alice, bob].every(({ lyre }) => lyre.diagnostics().mdns?.[0]?.instances.length === 1),
  )
  const heard = alice.lyre.diagnostics().mdns?.[0]?.heard
  await bob.lyre.stop()
  await eventually('the goodbye was heard', () => {
    return alice.lyre.diagnostics().mdns?.[0]?.heard.goodbye === (heard?.goodbye ?? 0) + 1
  })
})

t.test('nodes that beacon at different ports do not meet', async (t) => {
  const alice = await createNode(t, { name: 'alice', beaconPort: await freePort() })
  const bob = await createNode(t, { name: 'bob', beaconPort: await freePort() })
  await Promise.all([alice, bob].map(({ lyre }) => lyre.start()))
  await eventually('each has heard the other', () =>
    [alice, bob].every(({ lyre }) => (lyre.diagnostics().mdns?.[0]?.heard.otherNetwork ?? 0) > 0),
  )
  t.same(
    [alice, bob].map(({ lyre }) => lyre.peers()),
    [[], []],
  )
})

t.test('by several ways at once, a peer enters once', async (t) => {
  const beaconPort = await freePort()
  const nodes = [
    await createNode(t, { name: 'alice', beaconPort, beaconIntervalMs: 50 }, systemHost),
    await createNode(t, { name: 'bob', beaconPort, beaconIntervalMs: 50 }, systemHost),
  ]
  await Promise.all(nodes.map(({ lyre }) => lyre.start()))
  await Promise.all(nodes.map(({ lyre }) => lyre.waitForPeers(1, PATIENCE)))
  await eventually('both ways have told', () =>
    nodes.every(({ lyre }) => {
      const { beacon, mdns } = lyre.diagnostics()
      return (beacon?.heard.alive ?? 0) > 3 && (mdns?.[0]?.heard.alive ?? 0) > 0
    }),
  )
  for (const { heard } of nodes) {
    t.equal(heard.items.filter(({ type }) => type === 'enter').length, 1)
    t.equal(heard.items.filter(({ type }) => type === 'exit').length, 0)
  }
})

t.test('a node works where the port of multicast DNS cannot be had, and says so', async (t) => {
  const multicastDns = { open: () => Promise.reject(new Error('bind EADDRINUSE 0.0.0.0:5353')) }
  const beaconPort = await freePort()
  const nodes = [
    await createNode(t, { name: 'alice', beaconPort }, { ...systemHost, multicastDns }),
    await createNode(t, { name: 'bob', beaconPort, mdns: false }, systemHost),
  ]
  await Promise.all(nodes.map(({ lyre }) => lyre.start()))
  await Promise.all(nodes.map(({ lyre }) => lyre.waitForPeers(1, PATIENCE)))
  const [alice, bob] = nodes.map(({ lyre }) => lyre.diagnostics().mdns?.[0])
  t.match(alice, { open: false, errors: 1, lastError: /EADDRINUSE/ })
  t.equal(bob, undefined, 'nobody asked for it')
})
