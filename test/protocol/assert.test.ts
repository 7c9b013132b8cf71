import t from 'tap'
import { assert } from '../../protocol/assert.ts'

t.test('an assertion that holds is silent', async (t) => {
  t.doesNotThrow(() => assert(true, 'one is one'))
})

t.test('an assertion that fails is a bug of ours and says so', async (t) => {
  t.throws(() => assert(false, 'one is two'), {
    name: 'Error',
    message: 'Lyre is broken, please report this: one is two',
  })
})
