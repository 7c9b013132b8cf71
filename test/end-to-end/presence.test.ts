/** Whole nodes on loopback: who finds whom, who is in which group, and who is gone. */

import t from 'tap'
import { text } from '../../src/index.ts'
import { eventually } from '../support/heard.ts'
import { createNode, createNodes, forgeBeacon, freePort, portOf } from '../support/nodes.ts'

t.test(
  'a node is seen with its first beacon, and what is whispered from within enter arrives',
  async (t) => {
    const beaconPort = await freePort()
    const options = { beaconPort, beaconIntervalMs: 60_000 }
    const alice = createNode(t, { ...options, name: 'alice', headers: { 'X-ROLE': 'sensor' } })
    const bob = createNode(t, { ...options, name: 'bob' })
    alice.lyre.on('enter', ({ peer }) => alice.lyre.whisper(peer, 'welcome'))
    bob.lyre.on('enter', ({ peer }) => bob.lyre.whisper(peer.uuid, 'thank you'))
    await alice.lyre.start()
    await bob.lyre.start()
    t.equal(text((await alice.next('whisper')).content), 'thank you')
    t.equal(text((await bob.next('whisper')).content), 'welcome')
    t.same(alice.story, ['enter bob', 'whisper bob'])
    t.same(bob.story, ['enter alice', 'whisper alice'])
    t.same(bob.lyre.peers(), [
      {
        uuid: alice.lyre.uuid,
        name: 'alice',
        endpoint: alice.lyre.endpoint,
        headers: { 'X-ROLE': 'sensor' },
        groups: [],
        state: 'entered',
      },
    ])
  },
)

t.test('both enter where beacons go one way only', async (t) => {
  const [heard, deaf] = [await freePort(), await freePort()]
  const alice = createNode(t, { name: 'alice', beaconPort: heard })
  const bob = createNode(t, { name: 'bob', beaconPort: deaf })
  await Promise.all([alice.lyre.start(), bob.lyre.start()])
  await forgeBeacon(deaf, { uuid: alice.lyre.uuid, port: portOf(alice.lyre.endpoint) })
  await Promise.all([alice.next('enter', 'bob'), bob.next('enter', 'alice')])
  t.equal(alice.lyre.diagnostics().beacon?.heard.alive, 0)
})

t.test('a peer can be required, without any beacon', async (t) => {
  const alice = createNode(t, { name: 'alice', beaconPort: await freePort() })
  const bob = createNode(t, { name: 'bob', beaconPort: await freePort() })
  await Promise.all([alice.lyre.start(), bob.lyre.start()])
  bob.lyre.requirePeer({ uuid: alice.lyre.uuid, endpoint: alice.lyre.endpoint as string })
  await Promise.all([alice.next('enter', 'bob'), bob.next('enter', 'alice')])
})

t.test('another beacon port is another network', async (t) => {
  const [alice, bob] = await createNodes(t, ['alice', 'bob'])
  const [carol, dave] = await createNodes(t, ['carol', 'dave'])
  for (const [one, other] of [
    [alice, 'bob'],
    [bob, 'alice'],
    [carol, 'dave'],
    [dave, 'carol'],
  ] as const) {
    t.same(one.story, [`enter ${other}`])
  }
})

t.test('groups are seen as they are joined and left, before and after the start', async (t) => {
  const beaconPort = await freePort()
  const alice = createNode(t, { name: 'alice', beaconPort })
  const bob = createNode(t, { name: 'bob', beaconPort })
  t.equal(alice.lyre.join('EARLY'), true)
  t.equal(alice.lyre.join('EARLY'), false)
  await Promise.all([alice.lyre.start(), bob.lyre.start()])
  await Promise.all([alice.next('enter'), bob.next('join')])
  t.equal(alice.lyre.join('LATE'), true)
  t.match(await bob.next('join'), { group: 'LATE', peer: { groups: ['EARLY', 'LATE'] } })
  t.same(bob.lyre.peerGroups(), ['EARLY', 'LATE'])
  t.same(
    bob.lyre.peersInGroup('LATE').map(({ name }) => name),
    ['alice'],
  )
  t.equal(alice.lyre.leave('EARLY'), true)
  t.equal(alice.lyre.leave('EARLY'), false)
  t.match(await bob.next('leave'), { group: 'EARLY', peer: { groups: ['LATE'] } })
  t.same(bob.lyre.peersInGroup('EARLY'), [])
  t.same(alice.lyre.ownGroups(), ['LATE'])
  t.same(bob.story, ['enter alice', 'join alice EARLY', 'join alice LATE', 'leave alice EARLY'])
})

t.test('a shout reaches those in the group, and nobody else', async (t) => {
  const [alice, bob, carol, dave] = await createNodes(t, ['alice', 'bob', 'carol', 'dave'])
  for (const node of [alice, bob, carol]) node.lyre.join('CHAT')
  await eventually('all see the group', () =>
    [alice, bob, carol, dave].every(
      ({ lyre }) => lyre.peersInGroup('CHAT').length === (lyre === dave.lyre ? 3 : 2),
    ),
  )
  t.equal(dave.lyre.shout('CHAT', 'from outside'), 3)
  t.equal(alice.lyre.shout('CHAT', 'from inside'), 2)
  for (const node of [bob, carol]) {
    const said = [await node.next('shout'), await node.next('shout')]
    t.same(said.map(({ content }) => text(content)).sort(), ['from inside', 'from outside'])
  }
  t.equal(text((await alice.next('shout')).content), 'from outside')
  t.equal(alice.lyre.shout('NOBODY', 'hello'), 0)
  t.equal(alice.lyre.whisper('0'.repeat(32), 'hello'), 0)
  t.notOk(dave.story.includes('shout alice CHAT'))
})

t.test('who stops is gone at once, and comes back when it starts again', async (t) => {
  const [alice, bob] = await createNodes(t, ['alice', 'bob'], { beaconIntervalMs: 60_000 })
  for (let round = 0; round < 2; round++) {
    await bob.lyre.stop()
    t.match(await alice.next('exit', 'bob'), { cause: 'goodbye' })
    t.equal(alice.lyre.peer(bob.lyre.uuid), undefined)
    await bob.lyre.start()
    await Promise.all([alice.next('enter', 'bob'), bob.next('enter', 'alice')])
  }
  t.same(alice.story, [
    'enter bob',
    'exit bob goodbye',
    'enter bob',
    'exit bob goodbye',
    'enter bob',
  ])
  t.same(bob.story, [
    'enter alice',
    'exit alice stop',
    'stop',
    'enter alice',
    'exit alice stop',
    'stop',
    'enter alice',
  ])
})

t.test('what is sent right before the end arrives', async (t) => {
  const [alice, bob] = await createNodes(t, ['alice', 'bob'])
  const megabytes = new Uint8Array(8 * 2 ** 20).fill(7)
  alice.lyre.whisper(bob.lyre.uuid, megabytes)
  alice.lyre.whisper(bob.lyre.uuid, 'last words')
  await alice.lyre.stop({ lingerMs: 20_000 })
  t.equal((await bob.next('whisper')).content[0]?.length, megabytes.length)
  t.equal(text((await bob.next('whisper')).content), 'last words')
  t.match(await bob.next('exit'), { cause: 'goodbye' })
})

t.test('a port that another node has now never mixes the two', async (t) => {
  const beaconPort = await freePort()
  const [alice, bob] = await createNodes(t, ['alice', 'bob'], { beaconPort })
  const mailboxPort = portOf(bob.lyre.endpoint)
  await bob.lyre.stop()
  const carol = createNode(t, { name: 'carol', beaconPort, mailboxPort })
  await carol.lyre.start()
  await Promise.all([alice.next('enter', 'carol'), carol.next('enter', 'alice')])
  // Somebody still says that bob is there.
  await forgeBeacon(beaconPort, { uuid: bob.lyre.uuid, port: mailboxPort })
  const peers = () => alice.lyre.diagnostics().peers
  await eventually('bob is looked for, and not found', () =>
    peers().some(({ uuid, unreachable }) => uuid === bob.lyre.uuid && unreachable !== null),
  )
  t.match(peers().find(({ uuid }) => uuid === bob.lyre.uuid)?.unreachable, /^another /)
  alice.lyre.whisper(carol.lyre.uuid, 'for carol')
  t.equal(text((await carol.next('whisper')).content), 'for carol')
  t.same(alice.story, ['enter bob', 'exit bob goodbye', 'enter carol'])
})

t.test('nine nodes in one process all find each other', async (t) => {
  const names = ['1', '2', '3', '4', '5', '6', '7', '8', '9'] as const
  const nodes = await createNodes(t, names)
  for (const { lyre, story } of nodes) {
    t.same(
      story.sort(),
      names.filter((name) => name !== lyre.name).map((name) => `enter ${name}`),
    )
  }
})
