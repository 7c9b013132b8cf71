import fc from 'fast-check'
import t from 'tap'
import { Heap } from '../../protocol/heap.ts'
import { holds } from '../support/holds.ts'

interface Item {
  readonly key: number
  place: number
}

holds(
  t,
  'the first is first, whoever was put in or taken out before',
  fc.array(fc.record({ key: fc.nat(20), remove: fc.boolean() }), { maxLength: 60 }),
  (steps) => {
    const heap = new Heap<Item>((one, other) => one.key < other.key)
    const items: Item[] = []
    for (const { key, remove } of steps) {
      const item = remove ? items.splice(key % (items.length + 1), 1)[0] : { key, place: -1 }
      if (remove && item !== undefined) heap.remove(item)
      else if (item !== undefined) {
        items.push(item)
        heap.push(item)
      }
      const keys = items.map((each) => each.key)
      if (heap.items.length !== items.length) return false
      if (heap.first?.key !== (items.length === 0 ? undefined : Math.min(...keys))) return false
    }
    return true
  },
)

t.test('who is not inside is not taken out', async (t) => {
  const heap = new Heap<Item>((one, other) => one.key < other.key)
  const [inside, outside] = [
    { key: 1, place: -1 },
    { key: 2, place: -1 },
  ]
  heap.push(inside)
  heap.remove(outside)
  t.equal(heap.first, inside)
  heap.remove(inside)
  heap.remove(inside)
  t.equal(heap.first, undefined)
  t.equal(inside.place, -1)
})
