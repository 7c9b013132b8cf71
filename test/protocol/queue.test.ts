import fc from 'fast-check'
import t from 'tap'
import { Queue } from '../../protocol/queue.ts'
import { holds } from '../support/holds.ts'
import { memory } from '../support/memory.ts'

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

t.test('one that is never empty takes no more memory for all that went through it', async (t) => {
  const queue = new Queue<number>()
  queue.push(0)
  const before = memory('heapUsed')
  for (let count = 0; count < 1_000_000; count++) {
    queue.push(count % 1_000)
    queue.shift()
  }
  const grownBytes = memory('heapUsed') - before
  t.ok(grownBytes < 1_000_000, `${grownBytes} octets`)
  t.equal(queue.length, 1)
})

t.test('whatever goes in and out, it is as an array would have it', async (t) => {
  const turns = fc.array(fc.tuple(fc.nat(3_000), fc.nat(3_000)), { maxLength: 8 })
  holds(t, 'in order, each once', turns, (counts) => {
    const queue = new Queue<number>()
    let [pushed, shifted] = [0, 0]
    for (const [pushCount, shiftCount] of counts) {
      for (let count = 0; count < pushCount; count++) queue.push(pushed++)
      for (let count = 0; count < shiftCount && shifted < pushed; count++) {
        if (queue.shift() !== shifted++) return false
      }
      if (queue.length !== pushed - shifted) return false
      if (queue.length === 0 && queue.shift() !== undefined) return false
    }
    return true
  })
})
