// Harmony with its own kind: two and more machines back to back, what can go wrong between them, and that they agree again.

import fc from 'fast-check'
import t from 'tap'
import { endpointOf } from '../support/harmony.ts'
import { holds } from '../support/holds.ts'
import { type Notice, Village } from '../support/village.ts'

/** As long as it takes to find out that a silent peer is gone, to forget it, and to meet again. */
const QUIET_MS = 60_000
const who = fc.nat(9)
const group = fc.constantFrom('A', 'B')

function does<const D extends string, T extends object>(
  trouble: D,
  parts: { [K in keyof T]: fc.Arbitrary<T[K]> },
): fc.Arbitrary<{ readonly do: D } & T> {
  return fc.record(parts).map((made) => ({ do: trouble, ...(made as T) }))
}

const notice: fc.Arbitrary<Notice> = fc.constantFrom('both', 'dialler', 'inbox', 'nobody')
const trouble = fc.oneof(
  { weight: 8, arbitrary: does('whisper', { who, to: who, count: fc.nat(5) }) },
  { weight: 4, arbitrary: does('turn', { who, group }) },
  { weight: 6, arbitrary: does('pass', { ms: fc.constantFrom(1, 20, 100, 300, 2_000, 20_000) }) },
  { weight: 4, arbitrary: does('cut', { pipe: fc.nat(99), notice }) },
  { weight: 1, arbitrary: does('apart', { who, to: who }) },
  { weight: 1, arbitrary: does('together', {}) },
  { weight: 1, arbitrary: does('replace', { who, noticed: fc.boolean(), ms: fc.nat(3_000) }) },
  { weight: 1, arbitrary: does('restart', { who }) },
  { weight: 1, arbitrary: does('hint', { who, to: who }) },
  {
    weight: 2,
    arbitrary: does('seed', { who, at: fc.integer({ min: 1, max: 5 }), other: fc.boolean() }),
  },
  { weight: 1, arbitrary: does('lie', { who, to: who, at: fc.integer({ min: 1, max: 5 }) }) },
)

type Trouble = typeof trouble extends fc.Arbitrary<infer T> ? T : never

function make(village: Village, trouble: Trouble): void {
  const { living } = village
  const villager = (index: number) => living[index % living.length]!
  switch (trouble.do) {
    case 'whisper':
      for (let count = 0; count <= trouble.count; count++) {
        village.whisper(villager(trouble.who), villager(trouble.to))
      }
      break
    case 'turn':
      village.turn(villager(trouble.who), trouble.group)
      break
    case 'pass':
      village.pass(trouble.ms)
      break
    case 'cut': {
      const open = village.pipes.filter(({ fromOpen, toOpen }) => fromOpen || toOpen)
      const pipe = open[trouble.pipe % open.length]
      if (pipe !== undefined) village.cut(pipe, trouble.notice)
      break
    }
    case 'apart':
      village.apart(villager(trouble.who), villager(trouble.to), true)
      break
    case 'together':
      village.together()
      break
    case 'replace': {
      const old = villager(trouble.who)
      village.kill(old, trouble.noticed)
      village.pass(trouble.ms)
      village.settle(old.number)
      break
    }
    case 'restart':
      village.restart(villager(trouble.who))
      break
    case 'hint':
      village.hint(villager(trouble.who), villager(trouble.to))
      break
    case 'seed':
      village.seed(villager(trouble.who), trouble.at, trouble.other)
      break
    case 'lie':
      village.announce(villager(trouble.who), villager(trouble.to), endpointOf(trouble.at))
      break
  }
}

const past = fc.record({
  seed: fc.nat(),
  size: fc.integer({ min: 2, max: 4 }),
  beaconLoss: fc.nat(9),
  troubles: fc.array(trouble, { maxLength: 25, size: 'max' }),
})

type Past = typeof past extends fc.Arbitrary<infer T> ? T : never

function villageAfter({ seed, size, beaconLoss, troubles }: Past, quietMs: number): Village {
  const village = new Village(seed, size)
  village.beaconLoss = beaconLoss
  for (const trouble of troubles) make(village, trouble)
  village.beaconLoss = 0
  village.together()
  village.pass(quietMs)
  return village
}

t.test('two nodes meet within a moment, and what they say arrives', async (t) => {
  const village = new Village(1, 2)
  village.pass(100)
  t.same(village.complaints(), [])
  const [one, other] = village.living
  for (let count = 0; count < 10; count++) village.whisper(one!, other!)
  village.turn(other!, 'CHAT')
  village.pass(200)
  t.same(village.complaints(), [])
  t.same(village.pipes.map(({ received }) => received.length).sort(), [0, 10])
  t.same(one!.harmony.peers('CHAT').length, 1)
})

t.test('a seed is enough for both, and for all that have the same one', async (t) => {
  for (let seed = 1; seed <= 50; seed++) {
    const village = new Village(seed, 3)
    village.beaconLoss = 10
    const [one, other, third] = village.living
    village.pass(3_000)
    village.seed(one!, 2)
    if (seed % 2 === 0) village.seed(other!, 1)
    village.seed(third!, 1)
    village.seed(third!, 2)
    village.pass(1_000)
    t.same(village.complaints(), [])
    t.equal(village.comings(), 6, `seed ${seed}`)
  }
})

t.test('one beacon, one way, is enough for both', async (t) => {
  const village = new Village(2, 2)
  village.beaconLoss = 10
  const [one, other] = village.living
  village.pass(3_000)
  village.announce(one!, other!)
  village.pass(200)
  t.same(village.complaints(), [])
})

t.test(
  'nodes that dial each other at different addresses meet, once (harmony.md 2.6 and 2.13)',
  async (t) => {
    for (let seed = 0; seed < 100; seed++) {
      const village = new Village(seed, 2, { isDual: true })
      const [one, other] = village.living
      const [ipv4, ipv6] = [undefined, 'tcp://[fd00::1]:49152']
      village.announce(one!, other!, seed % 2 ? ipv6 : ipv4)
      village.announce(one!, other!, seed % 2 ? ipv4 : ipv6)
      village.pass(1_500)
      t.same(village.complaints(), [], `seed ${seed}`)
      village.pass(60_000)
      t.equal(village.comings(), 2, `seed ${seed}: both enter once`)
      t.ok(village.pipes.length <= 4, `seed ${seed}: ${village.pipes.length} dials`)
    }
  },
)

t.test('twelve nodes with two addresses each do so, too (harmony.md 5.5)', async (t) => {
  const village = new Village(4, 12, { isDual: true })
  village.pass(60_000)
  t.same(village.complaints(), [])
  t.equal(village.comings(), 12 * 11)
  for (const { harmony } of village.living) {
    const { counters } = harmony.diagnostics(village.now)
    t.ok(
      (counters['endpoint-changed'] ?? 0) <= 2 * 11,
      'each is asked once or twice, not each second',
    )
  }
})

t.test('twelve nodes see each other for a minute, without a single exit', async (t) => {
  const village = new Village(3, 12)
  village.pass(60_000)
  t.same(village.complaints(), [])
  t.equal(village.pipes.length, 12 * 11)
  const bad = village.living.flatMap(({ log }) =>
    log.filter((text) => / (exit|evasive|silent) /.test(text)),
  )
  t.same(bad, [])
})

t.test(
  'a node that takes the port of a dead one is met, and stays (harmony.md 2.10)',
  async (t) => {
    for (const noticed of [true, false]) {
      for (let seed = 1; seed <= 20; seed++) {
        const village = new Village(seed, 3)
        village.pass(2_000)
        const [, , last] = village.living
        village.kill(last!, noticed)
        village.pass(1 + village.random(500))
        village.settle(3)
        village.pass(6_000)
        t.same(village.complaints(), [], `seed ${seed}`)
        village.pass(60_000)
        const enters = village.living[0]!.log.filter((text) => / enter /.test(text))
        // One more where the new one was greeted in the name of the dead one, which it could not know.
        t.ok(enters.length === 3 || enters.length === 4, `seed ${seed}: ${enters.length} times`)
      }
    }
  },
)

holds(t, 'all agree again after any trouble, and nothing is doubled or lost', past, (past) => {
  const village = villageAfter(past, QUIET_MS)
  const told = village.comings()
  village.pass(30_000)
  const complaints = village.complaints()
  if (complaints.length > 0) throw new Error(complaints.join('\n'))
  return village.comings() === told
})

holds(t, 'the same past gives the same village', past, (past) => {
  const [one, other] = [villageAfter(past, 2_000), villageAfter(past, 2_000)]
  const logs = ({ villagers }: Village) => villagers.flatMap(({ log }) => log).join('\n')
  return logs(one) === logs(other)
})
