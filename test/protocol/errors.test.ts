import t from 'tap'
import { WireError } from '../../protocol/errors.ts'

t.test('a WireError says what came and which rule it broke', async (t) => {
  const error = new WireError('zre.md 2.2', 'not a ZRE message')
  t.equal(error.name, 'WireError')
  t.equal(error.rule, 'zre.md 2.2')
  t.equal(error.message, 'not a ZRE message (zre.md 2.2)')
  t.ok(error instanceof Error)
})
