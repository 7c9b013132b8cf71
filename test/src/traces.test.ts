import t from 'tap'
import type { Trace } from '../../protocol/index.ts'
import { Traces } from '../../src/traces.ts'

t.test('fifty of a type are told in a second, then how many were not', async (t) => {
  const told: Trace[] = []
  const traces = new Traces((trace) => told.push(trace))
  for (let count = 0; count < 80; count++) traces.add({ type: 'dial' }, 10)
  traces.add({ type: 'drop' }, 10)
  t.equal(told.length, 51)
  traces.add({ type: 'dial' }, 1_009)
  t.equal(told.length, 51)
  traces.add({ type: 'dial' }, 1_010)
  t.same(told.slice(51), [
    { type: 'traces-left-out', reason: '31 more of type dial' },
    { type: 'dial' },
  ])
  traces.add({ type: 'dial' }, 5_000)
  t.equal(told.length, 54, 'nothing was left out since')
})
