// `lyre bench`: how fast the network is between this node and another, as a program would have it: round trips one after the
// other, and one way as fast as the other side takes it. The other side is `lyre bench --serve`; what both say to each
// other are whispers of two frames, a word and what it is about.

import { type Lyre, type Peer, TimeoutError, text, UsageError } from '../index.ts'
import { integer, type NodeSettings } from './settings.ts'
import { tableOf } from './table.ts'
import { find, peersOf, type Visit, visit } from './visit.ts'
import { clean } from './words.ts'

/** What `lyre bench` can be told. */
export interface BenchSettings extends NodeSettings {
  /** Answers others until it is asked to leave. */
  readonly serve?: true
  /** Octets of a content, by default 20, 100, 1,024, 10,240 and 102,400. */
  readonly size?: readonly number[]
  /** Milliseconds for each size and each way, by default 2,000. */
  readonly duration?: number
  /** How long to look for the other side: milliseconds, by default 5,000. */
  readonly wait?: number
}

/** Where those are that serve. */
const GROUP = 'LYRE-BENCH'
const SIZES = [20, 100, 1_024, 10_240, 102_400]
const SIZE_MAX = 16_777_216
const DURATION_MS = 2_000
const WAIT_MS = 5_000
/** Round trips of a size: more tell nothing new. */
const ROUND_TRIPS_MAX = 20_000
/** Messages between two looks at the clock, unless the queue is full before. */
const BATCH_COUNT = 64
/** What is not answered for so long, will not be. */
const ANSWER_TIMEOUT_MS = 60_000

/** The verb. @param to the peer to measure against, by name or uuid; any, if only one serves. */
export function bench(
  to: string | undefined,
  settings: BenchSettings,
  signal: AbortSignal,
): Promise<number> {
  if (settings.serve && to !== undefined) throw new UsageError('--serve answers whoever asks')
  return visit({ ...settings, group: [] }, signal, (visit) =>
    settings.serve ? serve(visit) : measure(visit, to, settings),
  )
}

/** Sizes between commas. @throws InvalidArgumentError, which Commander shows. */
export function parseSizes(text: string): number[] {
  return text.split(',').map(integer(1, SIZE_MAX))
}

/** What was sent to us by each peer since it said that it begins: messages and octets. */
interface Count {
  messages: number
  bytes: number
}

async function serve({ lyre, signal, say, tell }: Visit): Promise<number> {
  const counts = new Map<string, Count>()
  lyre.join(GROUP)
  lyre.on('whisper', ({ peer, content }) => {
    const [word, load] = content
    if (word === undefined || load === undefined || word.length !== 1) return
    switch (String.fromCharCode(word[0] ?? 0)) {
      case ECHO:
        lyre.whisper(peer, content)
        break
      case BEGIN:
        counts.set(peer.uuid, { messages: 0, bytes: 0 })
        break
      case DATA: {
        const count = counts.get(peer.uuid)
        if (count === undefined) break
        count.messages++
        count.bytes += load.length
        break
      }
      case END:
        lyre.whisper(peer, [END, JSON.stringify(counts.get(peer.uuid) ?? null)])
    }
  })
  lyre.on('exit', ({ peer }) => counts.delete(peer.uuid))
  lyre.on('enter', ({ peer }) => say(`${clean(peer.name)} enters, from ${clean(peer.endpoint)}`))
  await lyre.start({ signal })
  const { uuid, name, endpoint, headers } = lyre
  tell({ event: 'start', time: Date.now(), uuid, name, endpoint, headers })
  say(`${clean(name)} answers at ${endpoint}; on another machine: lyre bench`)
  await new Promise((resolve) => signal.addEventListener('abort', resolve))
  return 0
}

const ECHO = 'e'
const BEGIN = 'b'
const DATA = 'd'
const END = 'n'

/** What came of one size. Durations in microseconds. */
interface Result {
  readonly size: number
  readonly roundTrip: {
    readonly count: number
    readonly p50Us: number
    readonly p99Us: number
    readonly maxUs: number
  }
  readonly oneWay: {
    readonly messages: number
    readonly seconds: number
    readonly messagesPerSecond: number
    readonly bytesPerSecond: number
  }
}

async function measure(
  { lyre, signal, say, tell, complain }: Visit,
  to: string | undefined,
  { size: sizes = SIZES, duration = DURATION_MS, wait = WAIT_MS }: BenchSettings,
): Promise<number> {
  await lyre.start({ signal })
  const peer = await findServer(lyre, { to, signal, timeoutMs: wait }).catch((error: unknown) => {
    if (!(error instanceof TimeoutError)) throw error
    complain(
      `${to === undefined ? 'nobody answers' : `${clean(to)} answers not`}: start lyre bench --serve there`,
    )
  })
  if (peer === undefined) return 1
  say(`against ${clean(peer.name)} at ${clean(peer.endpoint)}, ${duration} ms for each figure`)
  const line = new Line(lyre, peer, signal)
  const results: Result[] = []
  for (const size of sizes) {
    const amount = { size, durationMs: duration }
    const roundTrip = await measureRoundTrips(line, amount)
    const oneWay = await measureOneWay(line, amount)
    const result = { size, roundTrip, oneWay }
    results.push(result)
    tell({ event: 'result', time: Date.now(), uuid: peer.uuid, name: peer.name, ...result })
  }
  say(tableOf(HEADS, results.map(cellsOf), { right: [0, 1, 2, 3, 4, 5] }))
  return 0
}

async function findServer(
  lyre: Lyre,
  {
    to,
    ...options
  }: {
    readonly to: string | undefined
    readonly signal: AbortSignal
    readonly timeoutMs: number
  },
): Promise<Peer> {
  const poll = () => {
    const serving = lyre.peersInGroup(GROUP)
    const named = to === undefined ? serving : peersOf(lyre, to)
    const fits = serving.filter(({ uuid }) => named.some((peer) => peer.uuid === uuid))
    return fits.length > 0 ? fits : undefined
  }
  const [peer, ...others] = await find(lyre, { ...options, poll })
  if (others.length === 0) return peer as Peer
  const all = [peer as Peer, ...others].map(({ name, uuid }) => `${clean(name)} (${uuid})`)
  throw new UsageError(`several answer, take the uuid of one of them: ${all.join(', ')}`)
}

/** The other side, as something that is asked and answers. */
class Line {
  readonly #lyre: Lyre
  readonly #peer: Peer
  readonly #signal: AbortSignal
  #answer: ((load: Uint8Array) => void) | undefined
  #fail: ((error: unknown) => void) | undefined

  constructor(lyre: Lyre, peer: Peer, signal: AbortSignal) {
    this.#lyre = lyre
    this.#peer = peer
    this.#signal = signal
    lyre.on('whisper', ({ peer: from, content }) => {
      if (from.uuid === peer.uuid) this.#answer?.(content[1] ?? new Uint8Array())
    })
    lyre.on('exit', ({ peer: from, cause }) => {
      if (from.uuid === peer.uuid) this.#fail?.(new Error(`${clean(peer.name)} exits: ${cause}`))
    })
    signal.addEventListener('abort', () => this.#fail?.(signal.reason))
  }

  say(word: string, load: Uint8Array): void {
    if (this.#lyre.whisper(this.#peer, [word, load]) > 0) return
    throw new Error(`${clean(this.#peer.name)} is not there any more`)
  }

  /** Says it, and waits for the answer. */
  async ask(word: string, load: Uint8Array): Promise<Uint8Array> {
    let late: NodeJS.Timeout | undefined
    try {
      return await new Promise((resolve, reject) => {
        this.#answer = resolve
        this.#fail = reject
        late = setTimeout(() => reject(new Error('no answer came')), ANSWER_TIMEOUT_MS)
        this.say(word, load)
      })
    } finally {
      clearTimeout(late)
    }
  }

  /** Whether more is queued than the network takes. */
  get congested(): boolean {
    return this.#lyre.congested({ peer: this.#peer })
  }

  /** Waits while more is queued than the network takes. */
  async drained(): Promise<void> {
    await this.#lyre.drained({ peer: this.#peer, signal: this.#signal })
  }
}

/** Octets of a content, and for how long it is sent. */
interface Amount {
  readonly size: number
  readonly durationMs: number
}

async function measureRoundTrips(
  line: Line,
  { size, durationMs }: Amount,
): Promise<Result['roundTrip']> {
  const load = new Uint8Array(size)
  const times: number[] = []
  await line.ask(ECHO, load)
  const beganAt = performance.now()
  do {
    const askedAt = performance.now()
    const echo = await line.ask(ECHO, load)
    times.push((performance.now() - askedAt) * 1_000)
    if (echo.length !== size) throw new Error(`${echo.length} of ${size} octets came back`)
  } while (performance.now() - beganAt < durationMs && times.length < ROUND_TRIPS_MAX)
  times.sort((one, other) => one - other)
  const at = (share: number) => Math.round(times[Math.floor(share * (times.length - 1))] ?? 0)
  return { count: times.length, p50Us: at(0.5), p99Us: at(0.99), maxUs: at(1) }
}

/** From the first message until the other side says that it has counted the last. */
async function measureOneWay(line: Line, { size, durationMs }: Amount): Promise<Result['oneWay']> {
  const load = new Uint8Array(size)
  line.say(BEGIN, load.subarray(0, 0))
  const beganAt = performance.now()
  let messages = 0
  do {
    for (let index = 0; index < BATCH_COUNT && !line.congested; index++) {
      line.say(DATA, load)
      messages++
    }
    await line.drained()
  } while (performance.now() - beganAt < durationMs)
  const counted = JSON.parse(text(await line.ask(END, load.subarray(0, 0)))) as Count | null
  const seconds = (performance.now() - beganAt) / 1_000
  if (counted?.messages !== messages || counted.bytes !== messages * size) {
    throw new Error(`${counted?.messages ?? 0} of ${messages} messages arrived`)
  }
  return {
    messages,
    seconds,
    messagesPerSecond: Math.round(messages / seconds),
    bytesPerSecond: Math.round((messages * size) / seconds),
  }
}

const HEADS = ['OCTETS', 'ROUND TRIP P50', 'P99', 'MAX', 'ONE WAY /S', 'MB/S']

function cellsOf({ size, roundTrip, oneWay }: Result): string[] {
  const { p50Us, p99Us, maxUs } = roundTrip
  const times = [p50Us, p99Us, maxUs].map((us) =>
    us < 10_000 ? `${us} us` : `${Math.round(us / 1_000)} ms`,
  )
  const rate = oneWay.messagesPerSecond.toLocaleString('en')
  return [size.toLocaleString('en'), ...times, rate, (oneWay.bytesPerSecond / 1e6).toFixed(1)]
}
