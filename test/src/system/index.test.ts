/** The real host does what every Host has to do. */

import { once } from 'node:events'
import t from 'tap'
import { systemHost } from '../../../src/system/index.ts'
import { hostCompliance } from '../../compliance/host.ts'
import { freePort } from '../../support/nodes.ts'

t.test('the real host is a Host', (t) =>
  hostCompliance(t, {
    host: systemHost,
    address: '127.0.0.1',
    broadcast: '127.255.255.255',
    freePort,
    async surfaced(t) {
      // tap's own handlers would take it for a failure.
      const handlers = process.listeners('uncaughtException')
      process.removeAllListeners('uncaughtException')
      t.teardown(() => {
        for (const handler of handlers) process.on('uncaughtException', handler)
      })
      const [error] = await once(process, 'uncaughtException')
      return error
    },
  }),
)
