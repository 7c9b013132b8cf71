/**
 * Lyre as users have it: the packed build, its public API, default limits. Each node has a network of its own on loopback and
 * is told where the others are, so that a hundred that listen in one process do not also talk to each other.
 */

import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { pathToFileURL } from 'node:url'
import type { Lyre, Peer } from 'lyre'
import { type Contender, type End, fail, type Hear, serve, type Task } from './contender.ts'

const GROUP = 'BENCH'
const FOUND_MS = 60_000

async function open(task: Task, index: number, hear: Hear): Promise<Lyre> {
  const { lyre: folder, port, role, logged } = task
  const { createLyre }: typeof import('lyre') = await import(pathToFileURL(folder).href)
  const lyre = createLyre({
    interface: '127.0.0.1',
    beaconPort: port + index,
    ...(logged && role === 'hear' && { headers: { 'X-ZRELOG': await collect() } }),
  })
  lyre.on('whisper', ({ content }) => hear(content[0] as Uint8Array, index))
  lyre.on('shout', ({ content }) => hear(content[0] as Uint8Array, index))
  await lyre.start()
  return lyre
}

/** A SUB that speaks ZMTP 3.0: its greeting, its READY, and that it wants info of version 2. */
const SUBSCRIPTION =
  'ff00000000000000007f03004e554c4c00000000000000000000000000000000' +
  `${'00'.repeat(32)}04190552454144590b536f636b65742d5479706500000003535542` +
  '000501aaa20203'

/** A collector that says what it wants, and reads nothing. @returns where it is. */
async function collect(): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.write(Buffer.from(SUBSCRIPTION, 'hex'))
    socket.pause()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An application that says much: a hundred records a second. The clock is not asked for each message. */
const RECORD_MS = 10
const MESSAGES_PER_LOOK = 500

/** The same end with a record now and then, of which nothing is made while its level is off. */
function logger(lyre: Lyre, { address, send }: End): End {
  let count = 0
  let onCount = 0
  let saidAt = 0
  return {
    address,
    send(content) {
      if (++count % MESSAGES_PER_LOOK === 0 && performance.now() - saidAt >= RECORD_MS) {
        saidAt = performance.now()
        lyre.log('info', 'the temperature has changed', { room: 'kitchen', celsius: 21.5 })
      }
      return send(content)
    },
    log(isOn) {
      lyre.logLevel = isOn ? 'info' : 'off'
      const [collector] = lyre.diagnostics().log.collectors
      if (isOn && ++onCount === 20 && !collector?.sent) fail('nothing was collected')
    },
  }
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
        const end = { address: '', send }
        return task.logged ? logger(lyre, end) : end
      }),
    ),
}

await serve(contender)
