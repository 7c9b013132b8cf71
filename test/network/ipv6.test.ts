/** Machines that have IPv6 alone, or beside IPv4, which they lose while they talk. */

import t from 'tap'
import { Network } from './network.ts'
import { hearEachOther, meet, settle, talk } from './talker.ts'

t.jobs = 2

t.test('machines with IPv6 alone find each other and talk', { buffered: true }, async (t) => {
  const network = new Network(t)
  const one = network.segment('one')
  const [a, b] = [network.machine('a'), network.machine('b')]
  a.plug(one, { name: 'eth0', address: 'fd00:7::1/64' })
  b.plug(one, { name: 'eth0', address: 'fd00:7::2/64' })
  const alice = await a.node({ name: 'alice' })
  const bob = await b.node({ name: 'bob' })
  t.match(alice.endpoint, 'tcp://[fd00:7::1]:')
  await meet(alice, bob)
  t.match(alice.events(bob, 'enter')[0]?.endpoint, 'tcp://[fd00:7::2]:')
  await talk(alice, bob)
  t.equal(await settle(t, alice, bob), 0, 'nothing is lost')
  t.same([alice.story(bob), bob.story(alice)], [['enter'], ['enter']])
})

t.test('by a seed, where no beacon is', { buffered: true }, async (t) => {
  const network = new Network(t)
  const one = network.segment('one')
  const [a, b] = [network.machine('a'), network.machine('b')]
  a.plug(one, { name: 'eth0', address: 'fd00:7::1/64' })
  b.plug(one, { name: 'eth0', address: 'fd00:7::2/64' })
  const bob = await b.node({ name: 'bob', beacon: false, mailboxPort: 5_681 })
  const seeds = 'tcp://[FD00:7:0::2]:5681'
  const alice = await a.node({ name: 'alice', beacon: false, seeds })
  await meet(alice, bob)
  t.equal(alice.events(bob, 'enter')[0]?.endpoint, 'tcp://[fd00:7::2]:5681')
  await talk(alice, bob)
  t.equal(await settle(t, alice, bob), 0, 'nothing is lost')
  t.same([alice.story(bob), bob.story(alice)], [['enter'], ['enter']])
})

t.test('who loses IPv4 talks on by IPv6', { buffered: true }, async (t) => {
  const network = new Network(t)
  const one = network.segment('one')
  const [a, b] = [network.machine('a'), network.machine('b')]
  const links = [
    a.plug(one, { name: 'eth0', address: '10.1.0.1/24' }),
    b.plug(one, { name: 'eth0', address: '10.1.0.2/24' }),
  ]
  const alice = await a.node({ name: 'alice', ipv6: true })
  const bob = await b.node({ name: 'bob', ipv6: true })
  await meet(alice, bob)
  await talk(alice, bob)
  for (const [index, link] of links.entries()) link.add(`fd00:7::${index + 1}/64`)
  for (const node of [alice, bob]) {
    await node.waits('it hears the other by IPv6', ({ diagnostics }) => {
      return (diagnostics.beacon?.networks['fd00:7::/64']?.alive ?? 0) >= 2
    })
    const [peer] = (await node.report()).diagnostics.peers
    t.match(peer?.endpoint, 'tcp://10.1.0.', 'which is no reason to leave IPv4')
  }
  t.same([alice.story(bob), bob.story(alice)], [['enter'], ['enter']])
  links[0]?.withdraw('IPv4')
  const pauseMs = await hearEachOther(alice, bob)
  t.comment(`IPv4 is gone: silence for ${pauseMs} ms`)
  t.ok(pauseMs < 30_000, 'sooner than a peer expires')
  for (const node of [alice, bob]) {
    const [peer] = (await node.report()).diagnostics.peers
    t.match(peer?.endpoint, 'tcp://[fd00:7::', `${node.name} talks by IPv6`)
  }
  t.match((await alice.report()).diagnostics.endpoint, 'tcp://[fd00:7::1]:', 'and tells so')
  await settle(t, alice, bob)
  for (const story of [alice.story(bob), bob.story(alice)]) {
    t.ok(story.length <= 3, 'one exit at most')
  }
})
