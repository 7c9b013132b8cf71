/** Virtual time: what happens when, and in which order. */

import t from 'tap'
import { Alarm, VirtualClock } from '../../sim/clock.ts'
import { Random } from '../../sim/random.ts'

function runAll(clock: VirtualClock): void {
  while (clock.nextUs !== Number.POSITIVE_INFINITY) clock.step()
}

t.test('things happen by instant, and those of one instant as they came', async (t) => {
  const clock = new VirtualClock()
  const random = new Random(1)
  const wanted: { readonly at: number; readonly order: number }[] = []
  const happened: { readonly at: number; readonly order: number }[] = []
  for (let order = 0; order < 3_000; order++) {
    const item = { at: random.below(100), order }
    wanted.push(item)
    clock.after(item.at, () => {
      t.equal(clock.nowUs, item.at)
      happened.push(item)
    })
  }
  runAll(clock)
  t.same(
    happened,
    wanted.sort((one, other) => one.at - other.at || one.order - other.order),
  )
})

t.test('what is set again happens once, at the last instant it was set for', async (t) => {
  const clock = new VirtualClock()
  const heard: string[] = []
  const tell = (name: string) => new Alarm(() => heard.push(`${name} ${clock.nowUs}`))
  const [later, sooner, never, both] = [tell('later'), tell('sooner'), tell('never'), tell('both')]
  for (const alarm of [later, sooner, never, both]) clock.set(alarm, 50)
  clock.set(later, 80)
  clock.set(sooner, 20)
  clock.set(never, Number.POSITIVE_INFINITY)
  clock.set(both, 10)
  clock.set(both, 50)
  runAll(clock)
  t.same(heard, ['sooner 20', 'both 50', 'later 80'])
  clock.set(never, 100)
  clock.set(never, 10)
  runAll(clock)
  t.equal(heard.at(-1), 'never 80', 'an instant that has passed is now')
})

t.test('what is deferred comes after all that happens at the instant', async (t) => {
  const clock = new VirtualClock()
  const heard: string[] = []
  clock.after(5, () => {
    clock.defer(() => heard.push('deferred'))
    clock.after(0, () => heard.push('at once'))
  })
  clock.after(5, () => heard.push('also at 5'))
  clock.after(6, () => heard.push('at 6'))
  runAll(clock)
  t.same(heard, ['also at 5', 'at once', 'deferred', 'at 6'])
})
