import t from 'tap'
import type { Observation } from '../../src/log/observer.ts'
import { Lyre } from '../../src/lyre.ts'
import type { LyreOptions } from '../../src/options.ts'
import { World } from '../support/host.ts'

const PATH = '/var/lib/robot'

function node(world: World, options: LyreOptions = {}): Lyre {
  return new Lyre({ name: 'robot', state: PATH, ...options }, world.host())
}

async function stopped(world: World, ...nodes: readonly Lyre[]): Promise<void> {
  await Promise.all([...nodes.map((lyre) => lyre.stop()), world.advance(10)])
}

t.test('the id stays, the uuid is another, and starts are counted (harmony.md 9.1)', async (t) => {
  const world = new World()
  const first = node(world)
  t.match(first.stableId, /^[0-9a-f]{32}$/)
  t.equal(first.headers['X-LYRE-INCARNATION'], '0')
  await first.start()
  t.same(first.headers, { 'X-LYRE-ID': first.stableId, 'X-LYRE-INCARNATION': '1' })
  await stopped(world, first)
  await first.start()
  t.equal(first.headers['X-LYRE-INCARNATION'], '2', 'each start of the same object, too')
  await stopped(world, first)
  const second = node(world, { headers: { KIND: 'arm' } })
  t.equal(second.stableId, first.stableId)
  t.not(second.uuid, first.uuid)
  await second.start()
  t.same(second.headers, { KIND: 'arm', 'X-LYRE-ID': first.stableId, 'X-LYRE-INCARNATION': '3' })
  t.match(second.diagnostics().identity, {
    folder: PATH,
    id: first.stableId,
    incarnation: 3,
    remembered: null,
    problems: [],
  })
  const other = new Lyre({ state: '/else' }, world.host())
  t.not(other.stableId, first.stableId)
  const none = new Lyre({}, world.host())
  t.same([none.stableId, none.headers, none.diagnostics().identity], [undefined, {}, null])
})

t.test('the uuid stays as well, where that is asked for', async (t) => {
  const world = new World()
  const [first, second] = [node(world, { keepUuid: true }), node(world, { keepUuid: true })]
  t.equal(second.uuid, first.uuid)
  t.not(node(world).uuid, first.uuid)
})

t.test('a folder is one node’s, from start to stop', async (t) => {
  const world = new World()
  const [first, second] = [node(world), node(world)]
  await first.start()
  await t.rejects(second.start(), { name: 'UsageError', message: /in use/ })
  await stopped(world, first)
  await second.start()
  t.equal(second.headers['X-LYRE-INCARNATION'], '2')
  await t.rejects(first.start())
  await stopped(world, second)
  t.same([...world.claimed], [])
})

t.test('whoever looks on is told the id at each start', async (t) => {
  const world = new World()
  const said: Observation[] = []
  world.channels.set('lyre:start', said)
  const [first, none] = [node(world), new Lyre({}, world.host())]
  for (const lyre of [first, none]) {
    await lyre.start()
    await stopped(world, lyre)
  }
  t.match(said[0]?.fields, { stableId: first.stableId })
  t.notOk('stableId' in (said[1]?.fields ?? {}))
})

t.test('a start that fails gives the folder back', async (t) => {
  const world = new World()
  const alice = node(world)
  world.storageError = new Error('no space left')
  t.throws(() => node(world, { state: '/new' }), /no space left/)
  await t.rejects(alice.start(), /no space left/)
  t.same([...world.claimed], [])
  world.storageError = undefined
  world.taken.add(4_000)
  const bob = node(world, { mailboxPort: 4_000 })
  await t.rejects(bob.start(), /cannot listen/)
  t.same([...world.claimed], [])
  await alice.start()
})

t.test('what is not as Lyre writes it is told, and begins anew', async (t) => {
  for (const broken of [
    '',
    '{',
    'null',
    '[]',
    '{"lyre":"other"}',
    '{"lyre":"identity","id":"x"}',
    '7',
  ]) {
    const world = new World()
    for (const name of ['identity', 'starts', 'peers']) {
      world.files.set(`${PATH}/lyre-${name}.json`, broken)
    }
    const lyre = node(world, { remember: true })
    await lyre.start()
    t.match(lyre.diagnostics().identity, { incarnation: 1, remembered: [] })
    const problems = lyre.diagnostics().identity?.problems ?? []
    t.match(
      problems.join(),
      /lyre-identity.json is not as.*lyre-starts.json is.*lyre-peers.json is/,
      broken,
    )
    await stopped(world, lyre)
    const again = node(world)
    t.equal(again.stableId, lyre.stableId)
    t.same(again.diagnostics().identity?.problems, [])
  }
  const peers = [
    { endpoint: 'tcp://a:1', name: 'a', id: '', seenAt: 'today' },
    { endpoint: 'a', name: 'a', id: '', seenAt: 1 },
    7,
  ]
  for (const peer of peers) {
    const world = new World()
    world.files.set(`${PATH}/lyre-peers.json`, JSON.stringify({ lyre: 'peers', peers: [peer] }))
    t.same(node(world, { remember: true }).diagnostics().identity?.remembered, [])
  }
})

t.test(
  'peers that were met are dialled at the next start, and given up (harmony.md 8.7)',
  async (t) => {
    const world = new World()
    const options = { beacon: false, remember: true }
    const bob = new Lyre({ name: 'bob', beacon: false, mailboxPort: 4_000 }, world.host())
    await bob.start()
    const alice = node(world, { ...options, seeds: 'tcp://127.0.0.1:4000' })
    await alice.start()
    await world.advance(1_000)
    t.equal(world.files.has(`${PATH}/lyre-peers.json`), false, 'peers come in crowds')
    await world.advance(5_000)
    t.equal(world.files.has(`${PATH}/lyre-peers.json`), true)
    t.match(alice.diagnostics().identity?.remembered, [
      { endpoint: 'tcp://127.0.0.1:4000', name: 'bob', id: '', seenAt: Number },
    ])
    t.equal(alice.diagnostics().seeds.length, 1)
    await stopped(world, alice)

    const again = node(world, options)
    await again.start()
    await world.advance(1_000)
    t.match(again.diagnostics().seeds, [{ remembered: true, state: 'entered' }])
    await stopped(world, again, bob)

    const last = node(world, options)
    await last.start()
    await world.advance(60_000)
    t.match(last.diagnostics().seeds, [{ state: 'given-up', attemptCount: 3 }])
    await stopped(world, last)
    t.equal(node(world, { seeds: [] }).diagnostics().identity?.remembered, null)
  },
)

t.test('a peer with an identity is remembered once, where it was last', async (t) => {
  const world = new World()
  const alice = node(world, { remember: true })
  await alice.start()
  for (const port of [4_000, 4_001]) {
    const bob = new Lyre({ name: 'bob', state: '/bob', mailboxPort: port }, world.host())
    await bob.start()
    await world.advance(2_000)
    t.match(alice.peerByStableId(bob.stableId ?? ''), { uuid: bob.uuid })
    await stopped(world, bob)
    const endpoint = `tcp://127.0.0.1:${port}`
    t.match(alice.diagnostics().identity?.remembered, [{ endpoint, id: bob.stableId }])
    t.equal(alice.diagnostics().identity?.remembered?.length, 1)
  }
})

t.test('no more than 64 are remembered, those that were seen last', async (t) => {
  const world = new World()
  const peers = Array.from({ length: 64 }, (_, index) => {
    return { endpoint: `tcp://10.0.0.1:${index + 1}`, name: `p${index}`, id: '', seenAt: index }
  })
  world.files.set(`${PATH}/lyre-peers.json`, JSON.stringify({ lyre: 'peers', peers }))
  const alice = node(world, { remember: true })
  const bob = new Lyre({ name: 'bob' }, world.host())
  await Promise.all([alice.start(), bob.start()])
  await world.advance(2_000)
  const names = alice.diagnostics().identity?.remembered?.map(({ name }) => name)
  t.same([names?.length, names?.[0], names?.at(-1)], [64, 'bob', 'p1'])
})

t.test('a disk that is full is a problem, and no more', async (t) => {
  const world = new World()
  const alice = node(world, { remember: true })
  const bob = new Lyre({ name: 'bob' }, world.host())
  await Promise.all([alice.start(), bob.start()])
  world.storageError = new Error('no space left')
  await world.advance(10_000)
  t.same(alice.diagnostics().identity?.problems, ['no space left'])
  await stopped(world, alice, bob)
})

t.test('peers are found by what they tell of themselves', async (t) => {
  const world = new World()
  const alice = new Lyre({ headers: { KIND: 'arm' } }, world.host())
  const bob = node(world, { headers: { KIND: 'leg', LEFT: '' } })
  await Promise.all([alice.start(), bob.start()])
  await world.advance(2_000)
  t.same(alice.peersByHeader('KIND').length, 1)
  t.same(alice.peersByHeader('KIND', 'leg').length, 1)
  t.same(alice.peersByHeader('KIND', 'arm'), [])
  t.same(alice.peersByHeader('LEFT', '').length, 1)
  t.same(alice.peersByHeader('toString'), [])
  t.same(alice.peerByStableId('x'), undefined)
})

t.test('of two that tell the same id the one that was started last is meant', async (t) => {
  const world = new World()
  const alice = new Lyre({}, world.host())
  const one = node(world)
  await Promise.all([alice.start(), one.start()])
  await world.advance(2_000)
  // A copy of its folder, as of a disk.
  for (const name of ['identity', 'starts']) {
    const text = world.files.get(`${PATH}/lyre-${name}.json`) ?? ''
    world.files.set(`/copy/lyre-${name}.json`, text)
  }
  const copy = node(world, { state: '/copy' })
  await copy.start()
  await world.advance(4_000)
  t.equal(alice.peersByHeader('X-LYRE-ID', one.stableId).length, 2, 'both answer, so both stay')
  t.equal(alice.peerByStableId(one.stableId ?? '')?.uuid, copy.uuid)
})
