import t from 'tap'
import { Queue } from '../../protocol/queue.ts'

t.test('what goes in first comes out first, however much waits', async (t) => {
  const queue = new Queue<number>()
  t.equal(queue.shift(), undefined)
  for (const count of [1, 2, 3_000, 1]) {
    for (let item = 0; item < count; item++) queue.push(item)
    const items: number[] = []
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) items.push(item)
    t.same(items, [...Array(count).keys()], `${count}`)
  }
})

t.test('what is put in while others are taken out is last', async (t) => {
  const queue = new Queue<string>()
  queue.push('one')
  queue.push('two')
  t.equal(queue.shift(), 'one')
  queue.push('three')
  t.same([queue.shift(), queue.shift(), queue.shift()], ['two', 'three', undefined])
})
