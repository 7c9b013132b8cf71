/** Chance that can be had again, and streams of it that do not know of each other. */

import t from 'tap'
import { Random } from '../../sim/random.ts'

function draws(random: Random, count = 100): number[] {
  return Array.from({ length: count }, () => random.u32())
}

t.test('the same seed gives the same draws, another one others', async (t) => {
  t.same(draws(new Random(7)), draws(new Random(7)))
  t.notSame(draws(new Random(7)), draws(new Random(8)))
  t.notSame(draws(new Random(7)), draws(new Random(7 + 2 ** 32)), 'all of a seed counts')
})

t.test('a fork depends on its name, and not on what was drawn before or elsewhere', async (t) => {
  const fresh = new Random(7)
  const used = new Random(7)
  draws(used)
  draws(used.fork('other'))
  t.same(draws(used.fork('faults')), draws(fresh.fork('faults')))
  t.notSame(draws(fresh.fork('faults')), draws(fresh.fork('Faults')))
  t.notSame(draws(fresh.fork('a').fork('b')), draws(fresh.fork('ab')))
  t.notSame(draws(fresh.fork('a').fork('b')), draws(fresh.fork('b').fork('a')))
})

t.test('forks of many names are different', async (t) => {
  const random = new Random(0)
  const firsts = Array.from({ length: 10_000 }, (_, index) => random.fork(`node ${index}`).u32())
  // Of 10,000 numbers of 32 bits one pair in a hundred runs is equal by chance.
  t.ok(new Set(firsts).size >= 9_998)
})

t.test('draws keep to their bounds and come about as often as they should', async (t) => {
  const random = new Random(1)
  const counts = [0, 0, 0, 0, 0]
  for (let index = 0; index < 50_000; index++) {
    const drawn = random.between(3, 7) - 3
    counts[drawn] = (counts[drawn] as number) + 1
  }
  for (const count of counts) t.ok(count > 9_500 && count < 10_500, `${count} of 50,000`)
  let heads = 0
  for (let index = 0; index < 50_000; index++) if (random.chance(0.3)) heads++
  t.ok(heads > 14_500 && heads < 15_500, `${heads} of 50,000`)
  t.notOk(random.chance(0))
  t.ok(random.chance(1))
})

t.test('an exponential draw has its mean, and its median is ln 2 of that', async (t) => {
  const random = new Random(2)
  const drawn = Array.from({ length: 50_000 }, () => random.exponential(1_000)).sort(
    (one, other) => one - other,
  )
  const mean = drawn.reduce((sum, value) => sum + value, 0) / drawn.length
  t.ok(mean > 980 && mean < 1_020, `mean ${mean}`)
  const median = drawn[drawn.length / 2] as number
  t.ok(median > 675 && median < 711, `median ${median}`)
})

t.test('octets are as many as asked for, and a shuffle loses nothing', async (t) => {
  const random = new Random(3)
  for (const count of [0, 1, 3, 4, 17]) t.equal(random.bytes(count).length, count)
  const items = Array.from({ length: 50 }, (_, index) => index)
  const shuffled = random.shuffle(items)
  t.notSame(shuffled, items)
  t.same(
    [...shuffled].sort((one, other) => one - other),
    items,
  )
})
