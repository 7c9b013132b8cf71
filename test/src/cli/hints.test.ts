import t from 'tap'
import { hintsOf } from '../../../src/cli/hints.ts'
import { createNode } from '../../support/nodes.ts'

t.test('who waits in vain hears of a hub that is not there', async (t) => {
  const { lyre } = createNode(t, { beacon: false, gossipConnect: 'tcp://127.0.0.1:9' })
  await lyre.start()
  const diagnostics = lyre.diagnostics()
  t.same(hintsOf(diagnostics), [
    'the hub tcp://127.0.0.1:9 is not there: it has not answered so far',
  ])
  const gossip = diagnostics.gossip && {
    ...diagnostics.gossip,
    hubs: [
      { endpoint: 'tcp://a:1', state: 'waiting', leases: null, lastError: 'refused' } as const,
      { endpoint: 'tcp://b:1', state: 'connected', leases: true, lastError: 'refused' } as const,
    ],
  }
  t.same(hintsOf({ ...diagnostics, gossip }), ['the hub tcp://a:1 is not there: refused'])
})
