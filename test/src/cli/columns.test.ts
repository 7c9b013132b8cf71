/** How wide texts are, and where they break. */

import t from 'tap'
import { breakRows, textWidth } from '../../../src/cli/columns.ts'

t.test('East Asian characters and emoji take two columns, what combines none', async (t) => {
  for (const [text, width] of [
    ['hello', 5],
    ['日本語', 6],
    ['한글', 4],
    ['😀', 2],
    ['👩‍👩‍👧', 2],
    ['e\u0301', 1],
    ['❤\ufe0f', 2],
    ['⏎⇥…', 3],
  ] as const) {
    t.equal(textWidth(text), width, text)
  }
})

t.test('no row is wider than it may be, and the cursor is before its character', async (t) => {
  const broken = breakRows('ab日本c', { columns: 3, cursor: 3 })
  t.same(
    broken.rows.map(({ text }) => text),
    ['ab', '日', '本c'],
  )
  t.match(broken, { row: 2, column: 0 })
  t.match(breakRows('abc', { columns: 3, cursor: 3 }), { row: 1, column: 0 })
  t.match(breakRows('', { columns: 3, cursor: 0 }), { row: 0, column: 0 })
})
