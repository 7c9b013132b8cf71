/**
 * zyre.js 1.3, a ZRE node on libzmq, with beacons on loopback. It does not say how much waits for a peer, and what it cannot
 * send yet it keeps without limit; so who hears acknowledges now and then, and who sends is never more than a window ahead,
 * as an application would have to do it.
 */

import { type Contender, type End, fail, type Hear, rivals, serve, type Task } from './contender.ts'

/** What we use of the package, which a plain install does not have. */
interface Zyre {
  start(): Promise<unknown>
  setEncoding(encoding: null): void
  getIdentity(): string
  join(group: string): void
  whisper(uuid: string, content: Uint8Array): void
  shout(group: string, content: Uint8Array): void
  on(event: 'join', handler: (uuid: string, name: string, group: string) => void): void
  on(
    event: 'whisper' | 'shout',
    handler: (uuid: string, name: string, content: Buffer) => void,
  ): void
}
type ZyreClass = new (options: {
  readonly name: string
  readonly iface: string
  readonly bport: number
  readonly binterval: number
  readonly port: number
}) => Zyre

// zyre.js asks for zeromq 5, which has no binaries for a Node.js of today; zeromq 6 brings an imitation, which we hand out
// under the name that zyre.js requires.
const zeromq5: unknown = rivals('zeromq/v5-compat')
const cached = rivals.cache[rivals.resolve('zeromq')]
if (cached !== undefined) cached.exports = zeromq5
const Zyre = rivals('zyre.js') as ZyreClass

const GROUP = 'BENCH'
const ACKNOWLEDGEMENT = Buffer.from('ok')
const WINDOW_MESSAGES = 4_000
const WINDOW_BYTES = 16 * 2 ** 20
const FOUND_MS = 60_000
/** zyre.js looks for a free port from one on, and binds it later: nodes that start together begin apart. */
const INBOX_OFFSET = 200

/** How far ahead of the slowest receiver a sender may be, in messages, and how often each acknowledges. */
function windowOf(bytes: number): { readonly size: number; readonly every: number } {
  const every = Math.ceil(Math.min(WINDOW_MESSAGES, WINDOW_BYTES / bytes) / 4)
  return { size: 4 * every, every }
}

async function open(network: number, port: number, index: number): Promise<Zyre> {
  const node = new Zyre({
    name: `node ${port} ${index}`,
    iface: '127.0.0.1',
    bport: network,
    binterval: 250,
    port: port + INBOX_OFFSET + 4 * index,
  })
  node.setEncoding(null)
  return node
}

async function listen({ port, role, bytes }: Task, index: number, hear: Hear): Promise<End> {
  const node = await open(port, port, index)
  const { every } = windowOf(bytes)
  let heardCount = 0
  let caller = ''
  for (const event of ['whisper', 'shout'] as const) {
    node.on(event, (uuid, _name, content) => {
      caller = uuid
      hear(content, index)
      if (role === 'hear' && ++heardCount % every === 0) node.whisper(uuid, ACKNOWLEDGEMENT)
    })
  }
  await node.start()
  node.join(GROUP)
  return {
    address: `${port}`,
    send: (content) => {
      node.whisper(caller, content)
      return undefined
    },
  }
}

async function call(task: Task, index: number, hear: Hear): Promise<End> {
  const node = await open(Number(task.addresses[0]), task.port, index)
  const { size, every } = windowOf(task.bytes)
  const acknowledged = new Map<string, number>()
  let sentCount = 0
  let wake: (() => void) | undefined
  const behind = () => sentCount - Math.min(...acknowledged.values())
  const found = new Promise<void>((resolve) => {
    const late = () => fail(`${acknowledged.size} of ${task.others} nodes of zyre.js were found`)
    const timer = setTimeout(late, FOUND_MS)
    node.on('join', (uuid) => {
      acknowledged.set(uuid, 0)
      if (acknowledged.size < task.others) return
      clearTimeout(timer)
      resolve()
    })
  })
  node.on('whisper', (uuid, _name, content) => {
    if (task.role === 'ping') return hear(content, index)
    acknowledged.set(uuid, (acknowledged.get(uuid) ?? 0) + every)
    if (behind() < size) wake?.()
  })
  await node.start()
  await found
  const [peer = ''] = acknowledged.keys()
  return {
    address: '',
    send: (content) => {
      if (task.others > 1) node.shout(GROUP, content)
      else node.whisper(peer, content)
      sentCount++
      if (task.role === 'ping' || sentCount % every !== 0 || behind() < size) return undefined
      return new Promise<void>((resolve) => {
        wake = resolve
      })
    },
  }
}

/** One by one, see INBOX_OFFSET. */
async function each(count: number, start: (index: number) => Promise<End>): Promise<End[]> {
  const ends: End[] = []
  for (let index = 0; index < count; index++) ends.push(await start(index))
  return ends
}

const contender: Contender = {
  listen: (task, hear) => each(task.count, (index) => listen(task, index, hear)),
  call: (task, hear) => each(task.count, (index) => call(task, index, hear)),
}

await serve(contender)
