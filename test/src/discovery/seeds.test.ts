import t from 'tap'
import type { SeedDiagnostics } from '../../../protocol/index.ts'
import { Lyre } from '../../../src/lyre.ts'
import type { LyreOptions } from '../../../src/options.ts'
import { World } from '../../support/host.ts'

function node(world: World, options: LyreOptions): Lyre {
  return new Lyre({ beacon: false, ...options }, world.host())
}

/** A seed target at a port of its own. */
async function target(world: World, options: LyreOptions = {}): Promise<Lyre> {
  const lyre = node(world, { name: 'target', mailboxPort: 4_000, ...options })
  await lyre.start()
  return lyre
}

function seedsOf(lyre: Lyre): [string, SeedDiagnostics['state']][] {
  return lyre.diagnostics().seeds.map(({ endpoint, state }) => [endpoint, state])
}

t.test('a node is met by its endpoint alone, and its uuid is known then', async (t) => {
  const world = new World()
  const bob = await target(world)
  const alice = node(world, { seeds: 'tcp://127.0.0.1:4000' })
  t.same(alice.diagnostics().seeds, [])
  await alice.start()
  await world.advance(1_000)
  t.same([alice.peers().length, bob.peers().length], [1, 1])
  t.match(alice.diagnostics().seeds, [
    { endpoint: 'tcp://127.0.0.1:4000', state: 'entered', uuid: bob.uuid, attemptCount: 1 },
  ])
  await Promise.all([alice.stop(), bob.stop(), world.advance(10)])
  t.same(alice.diagnostics().seeds, [])
})

t.test('names are looked up anew at each attempt (harmony.md 8.6)', async (t) => {
  const world = new World()
  const bob = await target(world)
  const seeds = ['tcp://bob.example:4000', 'tcp://127.0.0.1:4000']
  const alice = node(world, { seeds })
  await alice.start()
  await world.advance(1_000)
  t.match(alice.diagnostics().seeds[0], { lastReason: /cannot look up bob.example/, uuid: null })
  world.names.set('bob.example', [])
  await world.advance(20_000)
  t.match(alice.diagnostics().seeds[0], { lastReason: 'bob.example has no address' })
  world.names.set('bob.example', ['127.0.0.1'])
  await world.advance(60_000)
  t.same(seedsOf(alice), [
    [seeds[0], 'entered'],
    [seeds[1], 'entered'],
  ])
  t.equal(alice.diagnostics().connections, 2, 'one peer, with a link each way')
  t.equal(bob.diagnostics().connections, 2)
})

t.test('an answer that comes when the node has stopped is nobody’s', async (t) => {
  const world = new World()
  await target(world)
  const host = world.host()
  let answer: (addresses: readonly string[]) => void = () => {}
  const resolve = () => new Promise<readonly string[]>((found) => (answer = found))
  const alice = new Lyre({ beacon: false, seeds: 'tcp://bob:4000' }, { ...host, resolve })
  await alice.start()
  await world.settle()
  await Promise.all([alice.stop(), world.advance(10)])
  answer(['127.0.0.1'])
  await world.advance(1_000)
  t.same(alice.peers(), [])
})

t.test('a seed that is we ourselves is left alone', async (t) => {
  const world = new World()
  const alice = await target(world, { seeds: 'tcp://127.0.0.1:4000' })
  await world.advance(1_000)
  t.match(alice.diagnostics().seeds, [{ state: 'self' }])
  t.equal(alice.diagnostics().connections, 0)
  t.same(alice.diagnostics().peers, [])
})

t.test(
  'a seed is dialled again when its peer is gone, and not before (harmony.md 8.5)',
  async (t) => {
    const world = new World()
    const bob = await target(world)
    const alice = node(world, { seeds: 'tcp://127.0.0.1:4000' })
    await alice.start()
    await world.advance(100_000)
    t.match(alice.diagnostics().seeds, [{ state: 'entered', attemptCount: 1 }])
    await Promise.all([bob.stop(), world.advance(10)])
    t.match(alice.diagnostics().seeds, [{ lastReason: 'its peer left: goodbye' }])
    await world.advance(90_000)
    t.match(alice.diagnostics().seeds, [{ state: 'waiting', lastReason: 'nobody listens' }])
    const late = await target(world)
    await world.advance(31_000)
    t.match(alice.diagnostics().seeds, [{ state: 'entered', uuid: late.uuid }])
  },
)

t.test('beacons go on beside seeds', async (t) => {
  const world = new World()
  const bob = await target(world, { beacon: true })
  const carol = node(world, { name: 'carol', beacon: true })
  const alice = node(world, { name: 'alice', beacon: true, seeds: 'tcp://127.0.0.1:4000' })
  await Promise.all([carol.start(), alice.start()])
  await world.advance(3_000)
  t.equal(alice.peers().length, 2)
  t.match(alice.diagnostics().seeds, [{ state: 'entered', uuid: bob.uuid }])
  t.equal(alice.diagnostics().connections, 4)
})

t.test('where the addresses change, seeds that wait are dialled soon', async (t) => {
  const world = new World()
  const alice = node(world, { seeds: 'tcp://127.0.0.1:4000' })
  await alice.start()
  await world.advance(200_000)
  const before = alice.diagnostics().seeds[0]?.attemptCount ?? 0
  const [lo] = world.interfaces
  world.interfaces = [{ ...lo!, netmask: '255.255.0.0' }]
  await world.advance(31_000)
  t.ok((alice.diagnostics().seeds[0]?.attemptCount ?? 0) >= before + 4)
})
