import t from 'tap'
import { tableOf } from '../../../src/cli/table.ts'

const HEADS = ['NAME', 'NODE', 'LOST']
const ROWS = [
  ['bob', '1111', '7'],
  ['居間', '22', '100'],
]

t.test('columns are as wide as they have to be', async (t) => {
  t.equal(
    tableOf(HEADS, ROWS, { right: [2] }),
    ['NAME  NODE  LOST', 'bob   1111     7', '居間  22     100'].join('\n'),
  )
})

t.test('what a terminal has no room for follows below, behind the first column', async (t) => {
  const whole = tableOf(HEADS, ROWS)
  t.equal(tableOf(HEADS, ROWS, { widthMax: 16 }), whole)
  const parts = [
    ['NAME  NODE', 'bob   1111', '居間  22'],
    ['NAME  LOST', 'bob      7', '居間   100'],
  ]
  const narrow = parts.map((lines) => lines.join('\n')).join('\n\n')
  for (const widthMax of [15, 10, 1]) {
    t.equal(tableOf(HEADS, ROWS, { right: [2], widthMax }), narrow, `${widthMax} columns`)
  }
})
