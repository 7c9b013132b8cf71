// A node that collects the logs of others: it listens for them, and says where by its header. Whoever has something to tell
// connects to it, and what comes is told in one order.
// Spec: log.md 5.7 and 6.

import { EventEmitter } from 'eventemitter3'
import { LOG_HEADER, LOG_LEVELS, type LogLevel, parseEndpoint } from '../../protocol/index.ts'
import { chooseInterfaces } from '../discovery/interfaces.ts'
import { UsageError } from '../errors.ts'
import type { Address, Host, Timer } from '../host.ts'
import type { Lyre } from '../lyre.ts'
import { bindOf, integer, type LyreOptions, resolveOptions } from '../options.ts'
import { checkSignal } from '../waiters.ts'
import { type LogLine, lineOf } from './lines.ts'
import { LogReceiver, type LogReceiverDiagnostics } from './receiver.ts'

/** What a collector can be told; everything has a default. */
export interface CollectorOptions {
  /** What is collected: this level and those above it, of `error`, `warning`, `info` and `debug`. Default: `info`. */
  readonly level?: LogLevel
  /**
   * Where to listen, `tcp://ADDRESS:PORT`: an IPv4 address of this machine, or `*` for all of them, and a port, or `*` for any that
   * is free. What nodes are told is the same; those that are not Lyre's need an address. Default: `tcp://*:*`, or where the
   * interfaces of the node are loopback alone, an address of that.
   */
  readonly listen?: string
  /**
   * How long a record waits for others that are older and come later, in milliseconds, 0 to 60,000: what is told is that much late.
   * Default: 200.
   */
  readonly holdMs?: number
  /** Nodes that can be connected at one time, from 1. Default: 1,024. */
  readonly connectionsMax?: number
  /** Options of the node that the collector is; with `log`, what that logs is collected as well. */
  readonly node?: LyreOptions
}

/** The arguments of each event's handlers, for `collector.on(type, handler)`. */
export type CollectorEvents = {
  [Type in LogLine['event']]: (line: Extract<LogLine, { event: Type }>) => void
}

/** What is there between start() and stop(). */
interface Session {
  readonly lyre: Lyre
  readonly receiver: LogReceiver
  readonly timer: Timer
}

const ANY = '0.0.0.0'
const KEYS: readonly string[] = ['level', 'listen', 'holdMs', 'connectionsMax', 'node']
const NEVER = Number.POSITIVE_INFINITY

/**
 * A collector of logs. Create it with createCollector(). Its events are lines of a log: `record`, and what is known of those that did
 * not come, `gap` and `restart`.
 */
export class Collector extends EventEmitter<CollectorEvents> {
  readonly #host: Host
  readonly #createLyre: (options: LyreOptions) => Lyre
  readonly #node: LyreOptions
  readonly #listen: string | undefined
  readonly #holdMs: number
  readonly #connectionsMax: number
  #level: LogLevel
  #session: Session | undefined
  /** What start() and stop() asked for last: each waits for the one before. */
  #last: Promise<void> = Promise.resolve()

  /**
   * @param createLyre makes its node, with the header that says where it listens.
   * @throws UsageError on an option that cannot work.
   */
  constructor(options: CollectorOptions, host: Host, createLyre: (options: LyreOptions) => Lyre) {
    super()
    const { level = 'info', listen, holdMs = 200, connectionsMax = 1_024, node = {} } = options
    const unknown = Object.keys(options).find((key) => !KEYS.includes(key))
    if (unknown !== undefined) {
      throw new UsageError(`there is no option ${unknown}; there are ${KEYS.join(', ')}`)
    }
    this.#host = host
    this.#createLyre = createLyre
    this.#level = checkLevel(level)
    this.#holdMs = integer('holdMs', holdMs, { min: 0, max: 60_000 })
    this.#connectionsMax = integer('connectionsMax', connectionsMax, { min: 1, max: 65_535 })
    this.#listen = listen
    if (listen !== undefined) addressOf(listen)
    const own = Object.keys(node.headers ?? {}).find((key) => key.toUpperCase() === LOG_HEADER)
    if (own !== undefined) throw new UsageError(`header ${own} is the collector's own`)
    resolveOptions(node)
    this.#node = node
  }

  /** The node that the collector is, which finds the others; another one after each start(), undefined unless started. */
  get lyre(): Lyre | undefined {
    return this.#session?.lyre
  }

  /** This level is collected, and those above it; it may be changed at any time. */
  get level(): LogLevel {
    return this.#level
  }
  set level(level: LogLevel) {
    this.#level = checkLevel(level)
    this.#session?.receiver.setLevel(level)
  }

  /**
   * Listens, and joins the network; nodes connect from now on. Does nothing when started already.
   * @param options an aborted `signal` stops it again and rejects with the signal's reason.
   * @throws UsageError when the wanted interface is not there, NetworkError when a port cannot be had.
   */
  async start({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    checkSignal(signal)
    await this.#inTurn(() => this.#open())
    if (!signal?.aborted) return
    await this.stop()
    signal.throwIfAborted()
  }

  /** Leaves the network, tells what was held for its turn, and closes everything. Does nothing when stopped already. */
  async stop(): Promise<void> {
    await this.#inTurn(async () => {
      const session = this.#session
      if (session === undefined) return
      await session.lyre.stop()
      await close(session)
      this.#session = undefined
    })
  }

  /** `await using collector = createCollector()` stops it at the end of the block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** Where it listens, what is known of each node, and what was not taken; null unless started. */
  diagnostics(): LogReceiverDiagnostics | null {
    return this.#session?.receiver.diagnostics() ?? null
  }

  #inTurn(act: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(act)
    this.#last = turn.catch(() => {})
    return turn
  }

  async #open(): Promise<void> {
    if (this.#session !== undefined) return
    const { clock } = this.#host
    const options = { holdMs: this.#holdMs, connectionsMax: this.#connectionsMax }
    const timer = clock.timer(() => receiver.handleTimeout(clock.now()))
    const receiver: LogReceiver = new LogReceiver(
      this.#host,
      { level: this.#level, ...options },
      {
        event: (collected) => this.#emit(lineOf(collected)),
        sooner: () => timer.set(receiver.pollTimeout()),
      },
    )
    const at = this.#listen === undefined ? this.#place() : addressOf(this.#listen)
    const bound = parseEndpoint(await receiver.listen(at))
    const told = `tcp://${at.address === ANY ? '*' : at.address}:${bound?.port}`
    // A header is the same for as long as a node lives, so it is made only now that the port is known.
    const headers = { ...this.#node.headers, [LOG_HEADER]: told }
    try {
      const lyre = this.#createLyre({ ...this.#node, headers })
      this.#session = { lyre, receiver, timer }
      await lyre.start()
    } catch (error) {
      this.#session = undefined
      await close({ receiver, timer })
      throw error
    }
  }

  /** All addresses, as they come and go, unless its node is on this machine alone: nobody else is let in then. */
  #place(): Address {
    const { interfaces } = resolveOptions(this.#node)
    const { chosen } = chooseInterfaces(this.#host.interfaces(), interfaces)
    const [best] = chosen
    const isLocal = best !== undefined && chosen.every(({ loopback }) => loopback)
    return { address: isLocal ? best.address : ANY, port: 0 }
  }

  #emit(line: LogLine): void {
    try {
      // The types of emit() pair each name with its own line, which a union cannot show.
      this.emit(line.event, line as never)
    } catch (error) {
      this.#host.surface(error)
    }
  }
}

async function close({ receiver, timer }: Pick<Session, 'receiver' | 'timer'>): Promise<void> {
  await receiver.stop()
  timer.set(NEVER)
}

function checkLevel(level: LogLevel): LogLevel {
  if (Object.hasOwn(LOG_LEVELS, level)) return level
  throw new UsageError(`level has to be one of ${Object.keys(LOG_LEVELS).join(', ')}, not ${level}`)
}

function addressOf(listen: string): Address {
  const at = bindOf(listen)
  if (at !== undefined) return at
  throw new UsageError(`listen has to be tcp://ADDRESS:PORT, an IPv4 address or *, not ${listen}`)
}
