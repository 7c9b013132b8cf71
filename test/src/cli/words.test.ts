/** What a person is shown of peers, whatever they call themselves. */

import t from 'tap'
import { Words } from '../../../src/cli/words.ts'
import { createNodes } from '../../support/nodes.ts'

t.test('no peer looks like another, or like us', async (t) => {
  const long = 'x'.repeat(40)
  const names = [
    ...['ada', 'ada\u0001', 'ada\u200b', 'ad\u200ca', ' ada', 'bob', `${long}1`, `${long}2`],
    ...['   ', 'bob#0123ab', 'eve', 'me\u2060'],
  ] as const
  const nodes = await createNodes(t, ['me', ...names])
  const { lyre } = nodes[0]
  const words = new Words(lyre, { depth: 1 })
  const shown = new Map(lyre.peers().map((peer) => [peer.name, words.nameOf(peer)]))
  t.equal(shown.get('bob'), 'bob', 'who is like nobody is shown by name')
  t.equal(shown.get('eve'), 'eve')
  const told = names.filter((name) => name !== 'bob' && name !== 'eve')
  for (const name of told) t.match(shown.get(name), /#[0-9a-f]{6}$/, JSON.stringify(name))
})
