/** examples/log-collector.ts as its user starts it, beside a node whose log is on. */

import t from 'tap'
import { ended, startExample } from '../support/command.ts'
import { entryOf, PEER } from '../support/log.ts'
import { startLogger } from '../support/logger.ts'
import { createNode, freePort } from '../support/nodes.ts'

t.test('the collector says what is wrong, and sums up', async (t) => {
  const beaconPort = await freePort()
  const example = startExample(t, 'log-collector', ['127.0.0.1', String(beaconPort)])
  await example.next('collecting at tcp://127.0.0.1:')
  const { lyre } = createNode(t, { name: 'kitchen', beaconPort, log: { level: 'info' } })
  lyre.log('info', 'all is well')
  lyre.log('warning', 'the soup boils over\x1b[2J')
  await lyre.start()
  await example.next('kitchen: warning: the soup boils over [2J')
  const { sender } = await startLogger(t, { name: 'cellar', beaconPort })
  for (const cause of ['expired', 'goodbye', 'link', 'expired']) {
    sender.log(entryOf(cause, { event: 4, peer: PEER, fields: { cause } }))
  }
  await example.next('cellar has lost 3 peers that did not say goodbye')
  example.process.kill('SIGINT')
  const { code, errors, text } = await ended(example)
  t.equal(code, 0)
  t.equal(errors, '')
  t.match(text, /^kitchen: [1-9]\d* records, 0 lost$/m)
  t.match(text, /^cellar: 4 records, 0 lost$/m)
  t.notMatch(text, 'all is well')
})
