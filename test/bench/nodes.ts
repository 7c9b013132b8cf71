/**
 * Whole nodes that have nothing to say: how soon they all know each other, what one of them costs in memory for each peer and
 * in processor time. Also, as the limit, a program that has two bare connections for each peer and nothing else. Who the
 * peers are is in crowd.ts.
 */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { pathToFileURL } from 'node:url'
import type { Lyre } from 'lyre'
import { fail, obey, sleep, tell } from './contender.ts'

/** What one program of nodes has to do. */
export interface NodesTask {
  /** Nodes that look for each other, one that rests, or one of bare connections. */
  readonly role: 'start' | 'rest' | 'bare'
  readonly count: number
  /** In all processes. */
  readonly total: number
  readonly port: number
  readonly lyre: string
}

const FOUND_MS = 110_000
/** What is over is forgotten first: what was received, and what the connections were made with. */
const SETTLE_MS = 2_000
const GC_COUNT = 4
const IDLE_MS = 10_000

const task: NodesTask = JSON.parse(process.argv[2] ?? '{}')
process.on('uncaughtException', fail)
if (task.role === 'start') await start()
else if (task.role === 'rest') await rest()
else await bare()

async function create(): Promise<Lyre> {
  const { createLyre }: typeof import('lyre') = await import(pathToFileURL(task.lyre).href)
  return createLyre({ interface: '127.0.0.1', beaconPort: task.port })
}

async function start(): Promise<void> {
  const lyres = await Promise.all(Array.from({ length: task.count }, create))
  obey({
    go: async () => {
      const options = { timeoutMs: FOUND_MS }
      const from = process.cpuUsage()
      try {
        await Promise.all(lyres.map((lyre) => lyre.start()))
        await Promise.all(lyres.map((lyre) => lyre.waitForPeers(task.total - 1, options)))
        const { user, system } = process.cpuUsage(from)
        tell('complete', { cpuMs: (user + system) / 1_000 })
      } catch (error) {
        fail(error)
      }
    },
  })
  tell('ready')
}

async function rest(): Promise<void> {
  const lyre = await create()
  await lyre.start()
  observe(
    () => lyre.peers().length,
    async (count) => void (await lyre.waitForPeers(count, { timeoutMs: FOUND_MS })),
  )
  tell('ready', { addresses: [`${lyre.uuid} ${lyre.endpoint}`] })
}

/** Each connection that is accepted says where another one is to be made. */
async function bare(): Promise<void> {
  const sockets: Socket[] = []
  const count = () => sockets.length / 2
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.push(socket)
    socket.once('data', (port) => {
      const back = connect({ host: '127.0.0.1', port: Number(port), noDelay: true })
      back.on('connect', () => sockets.push(back.on('data', () => {})))
    })
  })
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1_024 })
  await once(server, 'listening')
  observe(count, async (wanted) => {
    while (count() < wanted) await sleep(10)
  })
  tell('ready', { addresses: [` tcp://127.0.0.1:${(server.address() as AddressInfo).port}`] })
}

/** Answers how many peers there are, what memory is used, and how busy the process is. */
function observe(count: () => number, reached: (count: number) => Promise<void>): void {
  obey({
    wait: async (wanted) => {
      await reached(wanted).catch(fail)
      tell('reached')
    },
    memory: async () => {
      await sleep(SETTLE_MS)
      for (let round = 0; round < GC_COUNT; round++) {
        ;(globalThis as { gc?: () => void }).gc?.()
        await sleep(50)
      }
      const { heapUsed, rss } = process.memoryUsage()
      tell('memory', { heapBytes: heapUsed, rssBytes: rss, count: count() })
    },
    idle: async (wanted) => {
      await sleep(SETTLE_MS)
      const from = { at: performance.now(), cpu: process.cpuUsage(), count: count() }
      await sleep(IDLE_MS)
      const { user, system } = process.cpuUsage(from.cpu)
      const share = (user + system) / 1_000 / (performance.now() - from.at)
      if (from.count !== wanted || count() !== wanted) {
        fail(`there were ${from.count} peers, and ${count()} at the end, instead of ${wanted}`)
      }
      tell('idle', { share })
    },
  })
}
