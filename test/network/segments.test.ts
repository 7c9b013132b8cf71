/** Machines on several segments: which of them a node is on, whom it meets there, and where it talks when one is cut. */

import t from 'tap'
import { Network } from './network.ts'
import { hearEachOther, meet, settle, type Talker, talk } from './talker.ts'

t.jobs = 3

/** Whether beacons of others come on this network again: so many more than there were. */
async function hearsOn(node: Talker, network: string, count: number): Promise<void> {
  const heard = async () => (await node.report()).diagnostics.beacon?.networks[network]?.alive ?? 0
  const before = await heard()
  await node.waits(`beacons on ${network}`, ({ diagnostics }) => {
    return (diagnostics.beacon?.networks[network]?.alive ?? 0) >= before + count
  })
}

t.test(
  'on two segments they meet once, and talk on whichever is left',
  { buffered: true },
  async (t) => {
    const network = new Network(t)
    const [one, two] = [network.segment('one'), network.segment('two')]
    const [a, b] = [network.machine('a'), network.machine('b')]
    const first = a.plug(one, { name: 'eth0', address: '10.1.0.1/24' })
    const second = a.plug(two, { name: 'eth1', address: '10.2.0.1/24' })
    b.plug(one, { name: 'eth0', address: '10.1.0.2/24' })
    b.plug(two, { name: 'eth1', address: '10.2.0.2/24' })
    const alice = await a.node({ name: 'alice' })
    const bob = await b.node({ name: 'bob' })
    await meet(alice, bob)
    await talk(alice, bob)
    for (const [node, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      await hearsOn(node, '10.1.0.0/24', 2)
      await hearsOn(node, '10.2.0.0/24', 2)
      const { diagnostics } = await node.report()
      t.equal(diagnostics.interface?.chosen.length, 2, `${node.name} is on both segments`)
      t.equal(diagnostics.peers.length, 1, 'where it sees one peer')
      t.equal(diagnostics.connections, 2, 'with one connection each way')
      t.same(node.story(other), ['enter'], 'which entered once')
    }
    for (const { link, name, left, back } of [
      { link: first, name: 'first', left: '10.2.0', back: '10.1.0.0/24' },
      { link: second, name: 'second', left: '10.1.0', back: '10.2.0.0/24' },
    ]) {
      link.cut()
      const pauseMs = await hearEachOther(alice, bob)
      t.comment(`the ${name} segment is cut: silence for ${pauseMs} ms`)
      t.ok(pauseMs < 30_000, 'sooner than a peer expires, which is when C Zyre would follow it')
      for (const node of [alice, bob]) {
        const [peer] = (await node.report()).diagnostics.peers
        t.match(peer?.endpoint, `tcp://${left}.`, `${node.name} talks on the other segment`)
      }
      link.heal()
      await Promise.all([alice, bob].map((node) => hearsOn(node, back, 3)))
    }
    await settle(t, alice, bob)
    for (const story of [alice.story(bob), bob.story(alice)]) {
      t.ok(story.filter((line) => line === 'enter').length <= 3, 'each cut is an exit at most')
    }
  },
)

t.test(
  'a machine in the middle is told to each segment by its address there',
  { buffered: true },
  async (t) => {
    const network = new Network(t)
    const [one, two] = [network.segment('one'), network.segment('two')]
    const [a, b, c] = [network.machine('a'), network.machine('b'), network.machine('c')]
    a.plug(one, { name: 'eth0', address: '10.1.0.1/24' })
    b.plug(one, { name: 'eth0', address: '10.1.0.2/24' })
    b.plug(two, { name: 'eth1', address: '10.2.0.2/24' })
    c.plug(two, { name: 'eth0', address: '10.2.0.3/24' })
    // By gossip through the middle, the ends hear of each other, and there is no way.
    const bob = await b.node({ name: 'bob', gossipBind: 'tcp://*:5671' })
    const alice = await a.node({ name: 'alice', gossipConnect: 'tcp://10.1.0.2:5671' })
    const carol = await c.node({ name: 'carol', gossipConnect: 'tcp://10.2.0.2:5671' })
    await Promise.all([meet(alice, bob), meet(carol, bob)])
    for (const [node, endpoint] of [
      [alice, 'tcp://10.1.0.2:'],
      [carol, 'tcp://10.2.0.2:'],
    ] as const) {
      const [enter] = node.events(bob, 'enter')
      t.match(enter?.endpoint, endpoint, `${node.name} is told where the middle is for it`)
    }
    await Promise.all([talk(alice, bob), talk(carol, bob)])
    await Promise.all([alice, bob, carol].map((node) => node.beacons(5)))
    t.same(await alice.peers(), ['bob'])
    t.same(await carol.peers(), ['bob'])
    t.same(await bob.peers(), ['alice', 'carol'])
    for (const [node, other] of [
      [alice, carol],
      [carol, alice],
    ] as const) {
      await node.waits('the other end is told of', ({ diagnostics }) =>
        diagnostics.peers.some(
          ({ uuid, unreachable }) => uuid === other.uuid && unreachable !== null,
        ),
      )
    }
    t.equal(await settle(t, alice, bob), 0, 'nothing is lost')
    t.equal(await settle(t, carol, bob), 0, 'nor here')
    t.same([alice.story(bob), carol.story(bob)], [['enter'], ['enter']])
  },
)

t.test(
  'what looks like a network and is none is left out, with the reason',
  { buffered: true },
  async (t) => {
    const network = new Network(t)
    const [real, docker] = [network.segment('real'), network.segment('docker')]
    const [a, b, box] = [network.machine('a'), network.machine('b'), network.machine('box')]
    // All of them are there before the real one, and before it in any order of names or addresses.
    a.bridge('br-1234567890ab', '10.18.0.1/16')
    a.plug(docker, { name: 'docker0', address: '10.0.0.1/16' })
    for (const [index, name] of ['br-0123456789ab', 'tun0', 'veth12ab', 'virbr0'].entries()) {
      a.plug(network.segment(name), { name, address: `10.8.${index}.1/24` })
    }
    a.plug(network.segment('none'), { name: 'eth1', address: '169.254.7.7/16' })
    a.plug(real, { name: 'wlan0', address: '192.168.1.1/24' })
    b.plug(real, { name: 'wlan0', address: '192.168.1.2/24' })
    box.plug(docker, { name: 'eth0', address: '10.0.0.2/16' })
    const alice = await a.node({ name: 'alice' })
    const bob = await b.node({ name: 'bob' })
    const boxed = await box.node({ name: 'boxed' })
    await meet(alice, bob)
    await Promise.all([alice.beacons(5), boxed.beacons(5)])
    t.same(await alice.peers(), ['bob'])
    t.match(alice.endpoint, 'tcp://192.168.1.1:')
    t.match(bob.events(alice, 'enter')[0]?.endpoint, 'tcp://192.168.1.1:', 'which is what it tells')
    const { diagnostics } = await alice.report()
    const { chosen = [], skipped = [] } = diagnostics.interface ?? {}
    t.match(chosen, [{ name: 'wlan0', reason: 'it reaches a network' }])
    const reasons = Object.fromEntries(skipped.map(({ name, reason }) => [name, reason]))
    const virtual = /container, a virtual machine or a tunnel/
    t.match(reasons, {
      docker0: virtual,
      'br-0123456789ab': virtual,
      tun0: virtual,
      veth12ab: virtual,
      virbr0: virtual,
      eth1: /link-local/,
      lo: /loopback/,
    })
    t.notMatch(diagnostics.beacon?.to.join(' '), /\b(10|169\.254)\./, 'where nothing is beaconed')
    t.equal((await boxed.report()).diagnostics.beacon?.heard.alive, 0, 'nor heard')
  },
)

t.test('who asks for it is on the network of containers too', { buffered: true }, async (t) => {
  const network = new Network(t)
  const [real, docker] = [network.segment('real'), network.segment('docker')]
  const [a, b, box] = [network.machine('a'), network.machine('b'), network.machine('box')]
  a.plug(docker, { name: 'docker0', address: '172.17.0.1/16' })
  a.plug(real, { name: 'wlan0', address: '192.168.1.1/24' })
  b.plug(real, { name: 'wlan0', address: '192.168.1.2/24' })
  box.plug(docker, { name: 'eth0', address: '172.17.0.2/16' })
  const alice = await a.node({ name: 'alice', interface: ['wlan*', 'docker0'] })
  const bob = await b.node({ name: 'bob' })
  const boxed = await box.node({ name: 'boxed' })
  await Promise.all([meet(alice, bob), meet(alice, boxed)])
  t.match(bob.events(alice, 'enter')[0]?.endpoint, 'tcp://192.168.1.1:')
  t.match(boxed.events(alice, 'enter')[0]?.endpoint, 'tcp://172.17.0.1:')
})

t.test(
  'on a machine with no network up, nodes find each other by loopback',
  { buffered: true },
  async (t) => {
    const machine = new Network(t).machine('alone')
    const alice = await machine.node({ name: 'alice' })
    const bob = await machine.node({ name: 'bob' })
    await meet(alice, bob)
    await talk(alice, bob)
    const { diagnostics } = await alice.report()
    t.match(diagnostics.interface?.chosen, [{ name: 'lo', address: '127.0.0.1' }])
    t.match(alice.endpoint, 'tcp://127.0.0.1:')
    t.equal(await settle(t, alice, bob), 0, 'nothing is lost')
  },
)
