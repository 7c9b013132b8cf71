/** The file of what was typed. */

import { readFileSync, statSync } from 'node:fs'
import t from 'tap'
import { HISTORY_LINES_MAX } from '../../../src/cli/editor.ts'
import { History } from '../../../src/cli/history.ts'

const never = (message: string) => {
  throw new Error(message)
}

t.test('it keeps the newest lines of several sessions, for nobody else to read', async (t) => {
  const path = `${t.testdir({})}/history`
  const one = new History(path, never)
  const two = new History(path, never)
  one.add('one\nwith lines')
  two.add('two')
  two.add('two')
  two.add(' ')
  for (let count = 0; count < HISTORY_LINES_MAX; count++) one.add(`line ${count}`)
  one.close()
  two.close()
  t.equal(statSync(path).mode & 0o777, 0o600)
  const again = new History(path, never)
  t.equal(again.lines.length, HISTORY_LINES_MAX)
  t.equal(again.lines.at(-1), `line ${HISTORY_LINES_MAX - 1}`)
  again.close()
})

t.test('a last line that was cut is left out', async (t) => {
  const path = `${t.testdir({ history: '"one"\n"tw' })}/history`
  const history = new History(path, never)
  t.same(history.lines, ['one'])
  history.add('three')
  history.close()
  t.equal(readFileSync(path, 'utf8'), '"one"\n"three"\n')
})
