/**
 * A crowd in two processes on loopback: a full mesh, in which everybody hears everybody once, and of which nothing is left.
 * `LYRE_NODES=50 npm test -- test/end-to-end/crowd.test.ts` makes it 50 nodes in each process, 10 by default.
 */

import t from 'tap'
import { startChild } from '../support/child.ts'
import { freePort } from '../support/nodes.ts'

const SCRIPT = new URL('./crowd.mjs', import.meta.url)
const MIB = 2 ** 20

t.test(
  'everybody in a crowd enters, hears each shout once, and leaves without a trace',
  async (t) => {
    const { LYRE_NODES = '10' } = process.env
    const count = Number(LYRE_NODES)
    const total = 2 * count
    const beaconPort = await freePort()
    const options = JSON.stringify({ count, total, beaconPort })
    const children = [startChild(t, SCRIPT, [options]), startChild(t, SCRIPT, [options])]
    const next = (event: string) =>
      Promise.all(
        children.map((child) => child.heard.next(event, (line) => line.event === event, 110_000)),
      )
    const entered = await next('entered')
    t.comment(`${total} nodes entered after ${entered.map(({ ms }) => ms).join(' and ')} ms`)
    for (const child of children) child.send({})
    for (const line of await next('heard')) {
      t.match(line, {
        queuedCount: count * (total - 1),
        heardCount: count * (total - 1),
        twiceCount: 0,
        distinct: total,
        exitCount: 0,
      })
      t.comment(`${Math.round(line.rss / MIB)} MiB, heap ${Math.round(line.heapUsed / MIB)} MiB`)
      t.comment(JSON.stringify(line.counters))
    }
    for (const child of children) child.send({})
    for (const { stopMs } of await next('stopped')) t.comment(`stopped within ${stopMs} ms`)
    for (const child of children) {
      t.equal(await child.exited, 0, 'it ended by itself')
      t.equal(child.errors, '', 'and had nothing to complain about')
    }
  },
)
