/**
 * Lyre as users have it: the packed build, its public API, default limits. Each node has a network of its own on loopback and
 * is told where the others are, so that a hundred that listen in one process do not also talk to each other.
 */

import { pathToFileURL } from 'node:url'
import type { Lyre, Peer } from 'lyre'
import { type Contender, type End, fail, type Hear, serve, type Task } from './contender.ts'

const GROUP = 'BENCH'
const FOUND_MS = 60_000

async function open({ lyre: folder, port }: Task, index: number, hear: Hear): Promise<Lyre> {
  const { createLyre }: typeof import('lyre') = await import(pathToFileURL(folder).href)
  const lyre = createLyre({ interface: '127.0.0.1', beaconPort: port + index })
  lyre.on('whisper', ({ content }) => hear(content[0] as Uint8Array, index))
  lyre.on('shout', ({ content }) => hear(content[0] as Uint8Array, index))
  await lyre.start()
  return lyre
}

function whisperer(lyre: Lyre, peer: Peer): End['send'] {
  return (content) => {
    if (lyre.whisper(peer, content) !== 1) fail('a whisper was queued to nobody')
    return lyre.congested({ peer }) ? lyre.drained({ peer }) : undefined
  }
}

function shouter(lyre: Lyre, count: number): End['send'] {
  const options = { group: GROUP }
  return (content) => {
    const reached = lyre.shout(GROUP, content)
    if (reached !== count) fail(`a shout was queued to ${reached} of ${count}`)
    return lyre.congested(options) ? lyre.drained(options) : undefined
  }
}

const contender: Contender = {
  listen: (task, hear) =>
    Promise.all(
      Array.from({ length: task.count }, async (_, index) => {
        const lyre = await open(task, index, hear)
        lyre.join(GROUP)
        let send: End['send'] | undefined
        lyre.on('enter', ({ peer }) => {
          send = whisperer(lyre, peer)
        })
        return {
          address: `${lyre.uuid} ${lyre.endpoint}`,
          send: (content: Uint8Array) => send?.(content),
        }
      }),
    ),
  call: (task, hear) =>
    Promise.all(
      Array.from({ length: task.count }, async (_, index) => {
        const lyre = await open(task, index, hear)
        for (const address of task.addresses) {
          const [uuid = '', endpoint = ''] = address.split(' ')
          lyre.requirePeer({ uuid, endpoint })
        }
        const { length } = task.addresses
        const [peer] = await lyre.waitForPeers(length, { group: GROUP, timeoutMs: FOUND_MS })
        const send = length === 1 && peer ? whisperer(lyre, peer) : shouter(lyre, length)
        return { address: '', send }
      }),
    ),
}

await serve(contender)
