/** A session of C Zyre, as it was captured, replayed to a node that lives. */

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import t from 'tap'
import { Heard } from '../support/heard.ts'
import { Link } from '../support/link.ts'
import { createNode, freePort, portOf } from '../support/nodes.ts'
import { findVector, loadVectors } from '../support/vectors.ts'

const BOB = 'a80acafc25614273ac5f563a99620329'

/** Bob's inbox at a port of four digits, as in the capture. */
async function openInbox(heard: Heard<Link>): Promise<{ readonly port: number; close(): void }> {
  const sockets: Socket[] = []
  for (let port = 6_001; ; port++) {
    const server = createServer((socket) => {
      sockets.push(socket)
      heard.add(new Link(socket, 'ROUTER', new Uint8Array(0)))
    }).listen(port, '127.0.0.1')
    const opened = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (!opened) continue
    return {
      port,
      close: () => {
        for (const socket of sockets) socket.destroy()
        server.close()
      },
    }
  }
}

t.test(
  'the life of a C Zyre node is told as it was: it enters, joins, leaves and says goodbye',
  async (t) => {
    const alice = createNode(t, { name: 'alice', beaconPort: await freePort() })
    await alice.lyre.start()
    const links = new Heard<Link>()
    const inbox = await openInbox(links)
    t.teardown(() => inbox.close())
    const captured = Buffer.from(findVector(loadVectors('zre'), 'stream-bob-to-alice').bytes)
    // Only its endpoint is another one, of the same length: bob was at another machine.
    const endpoint = captured.indexOf('tcp://')
    const length = captured[endpoint - 1] as number
    const replayed = Buffer.from(captured)
    replayed.write(`tcp://127.0.0.1:${inbox.port}`.padEnd(length), endpoint)
    t.equal(length, `tcp://127.0.0.1:${inbox.port}`.length, 'nothing else has moved')

    const socket = connect(portOf(alice.lyre.endpoint), '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.resume()
    socket.write(replayed)
    const link = await links.next('a dial to bob')
    await link.ready()
    t.match(await alice.next('enter'), { peer: { uuid: BOB, name: 'bob', groups: [] } })
    t.match(await alice.next('exit'), { peer: { uuid: BOB }, cause: 'goodbye' })
    t.same(alice.story, ['enter bob', 'join bob VOTE', 'leave bob VOTE', 'exit bob goodbye'])
    t.match(alice.lyre.diagnostics().counters, { 'ignored-elect': 2, 'ignored-leader': 1 })
    t.equal(alice.lyre.diagnostics().counters['wrong-sequence'], undefined)
    await once(socket, 'close')
  },
)
