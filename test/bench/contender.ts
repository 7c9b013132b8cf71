/**
 * What the programs of all contenders share, so that none is measured otherwise than the rest. A contender says how it opens
 * ends that listen, how it opens ends that call them, and how an end sends; the roles below say what is sent when, and what
 * is counted. A program is told its task as its argument and then words on stdin, and answers in lines of JSON on stdout. It
 * ends with its stdin, so that none is left when the one that started it is gone. libzmq.c does the same in C.
 */

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { setImmediate as turn } from 'node:timers/promises'

/** What one program has to do. */
export interface Task {
  /**
   * Who listens counts what it hears, or sends it back; who calls sends without end, one a turn, without end while it logs
   * every other moment, or waits for each answer.
   */
  readonly role: 'hear' | 'echo' | 'send' | 'turn' | 'log' | 'ping'
  readonly bytes: number
  /** Ends in this process. */
  readonly count: number
  /** Ends at the other side, in all its processes. */
  readonly others: number
  /** A private range of UDP ports, for those who beacon. */
  readonly port: number
  /** Whom to call, as their side told it. */
  readonly addresses: readonly string[]
  /** Where the broker is, for those who need one. */
  readonly broker: string
  /** Whether who echoes also sends `LOAD`. */
  readonly loaded: boolean
  /** Whether there is a collector of logs: of Lyre alone. */
  readonly logged: boolean
  /** The build of Lyre, where it is Lyre. */
  readonly lyre: string
}

/** One end, open. */
export interface End {
  /** Where it is found: of those that listen. */
  readonly address: string
  /** Sends to all at the other side. What it gives back is awaited before the next one, as the documentation advises. */
  send(content: Uint8Array): Promise<unknown> | undefined
  /** Begins to log, or ends it: of Lyre alone. */
  log?(isOn: boolean): void
}

/** Told each content, with the place of the end that it came to. */
export type Hear = (content: Uint8Array, index: number) => void

/** How it is done with this library. */
export interface Contender {
  listen(task: Task, hear: Hear): Promise<readonly End[]>
  /** Resolves once all at the other side can be sent to. */
  call(task: Task, hear: Hear): Promise<readonly End[]>
}

/** How long a receiver is left to warm up from its first message, and counts then. */
const WARM_MS = 500
const COUNT_MS = 1_000
/** Round trips before those that count, and how long these go on. */
const PING_WARM_MS = 500
const PING_MS = 1_500
/** A receiver that hears nothing for so long will not hear the rest either. */
const STALLED_MS = 20_000
/** Moments with a log and without, one after the other, so that a busy machine takes as much from both. */
const MOMENTS = 200
const MOMENT_MS = 25
const SETTLE_MS = 25
/** A sender that never had to wait lets the event loop turn after so long: it must hear when to stop. */
const BREATH_MS = 5

/** What is sent beside round trips, at a steady pace that all contenders can keep: ten messages in a millisecond. */
export const LOAD = { bytes: 1_024, perMs: 10 }
const LOAD_MARK = 0x4c
const MARK = 0x2a

/** The package of a rival; those are not installed with the project. */
export const rivals = createRequire(
  new URL('../../test/bench/rivals/package.json', import.meta.url),
)

/** Does what the argument of this program asks for. */
export async function serve(contender: Contender): Promise<void> {
  const task: Task = JSON.parse(process.argv[2] ?? '{}')
  process.on('uncaughtException', fail)
  if (task.role === 'hear') await hear(contender, task)
  else if (task.role === 'echo') await echo(contender, task)
  else if (task.role === 'ping') await ping(contender, task)
  else if (task.role === 'log') await logging(contender, task)
  else await send(contender, task)
}

/** Answers who started us. */
export function tell(event: string, line: Readonly<Record<string, unknown>> = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...line })}\n`)
}

/** Hears the words of who started us, and ends with it. */
export function obey(handlers: Readonly<Record<string, (argument: number) => void>>): void {
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    const [word = '', argument] = line.split(' ')
    handlers[word]?.(Number(argument))
  })
  lines.on('close', () => process.exit(0))
}

/** Says why, and ends: what is not exact counts for nothing. */
export function fail(reason: unknown): never {
  tell('failed', { reason: reason instanceof Error ? (reason.stack ?? reason.message) : reason })
  process.exit(1)
}

async function hear(contender: Contender, task: Task): Promise<void> {
  const counts = Array.from({ length: task.count }, () => 0)
  let total = 0
  const { bytes } = task
  const ends = await contender.listen(task, (content, index) => {
    if (content.length !== bytes) fail(`${content.length} octets arrived instead of ${bytes}`)
    counts[index] = (counts[index] ?? 0) + 1
    if (total++ === 0) void rate()
  })
  /** The rate is that of what the handler was given, between two looks at the clock. */
  async function rate(): Promise<void> {
    await sleep(WARM_MS)
    const from = { total, at: performance.now() }
    await sleep(COUNT_MS)
    const seconds = (performance.now() - from.at) / 1_000
    tell('rate', { perSecond: (total - from.total) / seconds })
  }
  obey({ expect: (sentCount) => void settle(counts, sentCount) })
  tell('ready', { addresses: ends.map(({ address }) => address) })
}

/** Every end hears all that was sent, and nothing twice. */
async function settle(counts: readonly number[], sentCount: number): Promise<void> {
  let before = -1
  let changedAt = performance.now()
  while (counts.some((count) => count !== sentCount)) {
    const total = counts.reduce((sum, count) => sum + count, 0)
    const now = performance.now()
    if (total !== before) changedAt = now
    before = total
    if (counts.some((count) => count > sentCount) || now - changedAt > STALLED_MS) {
      fail(`of ${sentCount} messages that were sent, arrived at its ends: ${counts.join(', ')}`)
    }
    await sleep(2)
  }
  tell('settled')
}

async function send(contender: Contender, task: Task): Promise<void> {
  const payload = Buffer.alloc(task.bytes, MARK)
  const ends = await contender.call(task, () => {})
  let stopped = false
  obey({
    go: async () => {
      const counts = await Promise.all(ends.map((end) => stream(end, payload, () => stopped)))
      tell('sent', { count: counts.reduce((sum, count) => sum + count, 0) })
    },
    stop: () => {
      stopped = true
    },
  })
  const stream = task.role === 'turn' ? onePerTurn : withoutEnd
  tell('ready')
}

async function withoutEnd(end: End, payload: Uint8Array, stopped: () => boolean): Promise<number> {
  // The clock costs as much as a small message.
  const every = payload.length > 4_096 ? 1 : 64
  let count = 0
  let turnedAt = performance.now()
  while (!stopped()) {
    const wait = end.send(payload)
    if (wait !== undefined) await wait
    if (++count % every === 0 && performance.now() - turnedAt > BREATH_MS) {
      await turn()
      turnedAt = performance.now()
    }
  }
  return count
}

/** How much longer a message takes while its sender logs. */
async function logging(contender: Contender, task: Task): Promise<void> {
  const payload = Buffer.alloc(task.bytes, MARK)
  const [end] = await contender.call(task, () => {})
  if (end?.log === undefined) fail('this contender has no log')
  obey({
    go: async () => {
      const rates: [number[], number[]] = [[], []]
      let count = 0
      for (let index = 0; index < MOMENTS; index++) {
        // One way round and then the other, so that none always comes first.
        const isOn = index % 4 === 1 || index % 4 === 2
        end.log?.(isOn)
        // The collector connects anew, and is sent what was kept for it: who switches pays for that, not who logs.
        await sleep(SETTLE_MS)
        const from = performance.now()
        const sent = await withoutEnd(end, payload, () => performance.now() - from > MOMENT_MS)
        rates[isOn ? 1 : 0].push(sent / (performance.now() - from))
        count += sent
      }
      const [off, on] = rates.map((each) => each.sort((one, two) => one - two)[each.length / 2])
      tell('sent', { count, ofOff: Number(off) / Number(on) })
    },
  })
  tell('ready')
}

async function onePerTurn(end: End, payload: Uint8Array, stopped: () => boolean): Promise<number> {
  let count = 0
  while (!stopped()) {
    const wait = end.send(payload)
    count++
    if (wait !== undefined) await wait
    await turn()
  }
  return count
}

/** Sends back what it hears; with `loaded` also what nobody answers. One by one, since not all of them can do it otherwise. */
async function echo(contender: Contender, task: Task): Promise<void> {
  const load = Buffer.alloc(LOAD.bytes, LOAD_MARK)
  const waiting: Uint8Array[] = []
  let busy = false
  const ends = await contender.listen(task, (content) => {
    if (content.length !== task.bytes) fail(`${content.length} octets instead of ${task.bytes}`)
    waiting.push(content)
    if (!busy) void pump()
  })
  async function pump(): Promise<void> {
    busy = true
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const wait = ends[0]?.send(next)
      if (wait !== undefined) await wait
    }
    busy = false
  }
  obey({
    go: () => {
      let loadedAt = performance.now()
      if (!task.loaded) return
      setInterval(() => {
        const due = Math.floor((performance.now() - loadedAt) * LOAD.perMs)
        loadedAt += due / LOAD.perMs
        for (let count = 0; count < due; count++) waiting.push(load)
        if (!busy) void pump()
      }, 1)
    },
  })
  tell('ready', { addresses: ends.map(({ address }) => address) })
}

async function ping(contender: Contender, task: Task): Promise<void> {
  const payload = Buffer.alloc(task.bytes, MARK)
  const samples: number[] = []
  let from = 0
  let sentAt = 0
  const ends = await contender.call(task, (content) => {
    if (content[0] === LOAD_MARK) return
    const now = performance.now()
    if (now - from > PING_WARM_MS) samples.push((now - sentAt) * 1_000)
    if (now - from < PING_WARM_MS + PING_MS) next()
    else done()
  })
  function next(): void {
    sentAt = performance.now()
    void ends[0]?.send(payload)
  }
  function done(): void {
    samples.sort((one, other) => one - other)
    const at = (share: number) => samples[Math.floor((samples.length - 1) * share)]
    tell('trips', { p50Us: at(0.5), p99Us: at(0.99), count: samples.length })
  }
  obey({
    go: () => {
      from = performance.now()
      next()
    },
  })
  tell('ready')
}

/** Waits, and keeps the process alive meanwhile. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
