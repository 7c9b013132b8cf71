// A collector on the wire: a SUB that nodes connect to with their logs. What comes of that, and in which order, is
// log-collector.ts's matter; here are the connections.
// Spec: log.md 6.

import {
  type CollectedEvent,
  decodeSource,
  formatEndpoint,
  LOG_HEADER,
  LOG_RECORD_BYTES_MAX,
  LogCollector,
  type LoggingNodeDiagnostics,
  type LogLevel,
  type LogRefusal,
  NullMechanism,
  ZMTP_LIMITS,
} from '../../protocol/index.ts'
import type { Address, Host, Stream, StreamServer } from '../host.ts'
import { Lines } from '../lines.ts'

/** What is collected. */
export interface LogReceiverOptions {
  /** This one and those above it. */
  readonly level: LogLevel
  /** How long a record waits for others that are older and come later: what is seen is that much late. */
  readonly holdMs: number
  /** Connections at one time. */
  readonly connectionsMax: number
}

/** What a collector tells. */
export interface LogReceiverHandlers {
  /** A record, or what is known about records that did not come. */
  event(event: CollectedEvent): void
  /** pollTimeout() may be sooner than it was. */
  sooner(): void
}

/** What a collector knows. */
export interface LogReceiverDiagnostics {
  /** Where it is. */
  readonly endpoints: readonly string[]
  readonly connections: number
  readonly nodes: readonly LoggingNodeDiagnostics[]
  /** Records that wait for those that are older. */
  readonly held: number
  /** Messages that were not taken, by reason. */
  readonly refused: Readonly<Record<LogRefusal, number>>
  /** How often a connection was refused or closed, by reason. */
  readonly counters: Readonly<Record<string, number>>
}

/** Records that wait for older ones, and nodes that are remembered. */
const HELD_MAX = 16_384
const NODES_MAX = 4_096
const LIMITS = { ...ZMTP_LIMITS, messageBytesMax: LOG_RECORD_BYTES_MAX, messageFramesMax: 2 }
const NO_CONTEXT = new Uint8Array(0)
const PROPERTY = LOG_HEADER.toLowerCase()

/** A collector of logs. */
export class LogReceiver {
  readonly #host: Host
  readonly #handlers: LogReceiverHandlers
  readonly #collector: LogCollector
  readonly #lines: Lines
  readonly #servers = new Map<string, StreamServer>()
  #isStopped = false

  constructor(host: Host, options: LogReceiverOptions, handlers: LogReceiverHandlers) {
    const { level, holdMs, connectionsMax } = options
    this.#host = host
    this.#handlers = handlers
    const limits = { heldMax: HELD_MAX, nodesMax: NODES_MAX }
    this.#collector = new LogCollector({ level, holdMs, ...limits })
    this.#lines = new Lines(
      host,
      {
        limits: LIMITS,
        acceptedMax: connectionsMax,
        crowded: 'too many connections',
        begin: () => ({
          socketType: 'SUB',
          mechanism: new NullMechanism({ socketType: 'SUB' }),
        }),
        connect: () => {
          throw new Error('a collector dials nobody')
        },
      },
      {
        event: ({ connection, stream }, event, now) => {
          const instant = { now, timeMs: host.clock.wall() }
          if (event.type === 'ready') {
            const source = decodeSource(event.metadata.get(PROPERTY))
            const answers = this.#lines.line(connection)?.zmtp.heartbeats === true
            const about = { source, address: stream.remoteAddress, answers }
            this.#collector.handleOpen(connection, about, instant)
            this.#drain()
          } else if (event.type === 'message') {
            this.#collector.handleMessage(connection, event.frames, instant)
          } else if (event.type === 'pong') {
            this.#collector.handleAnswer(connection, now)
          }
        },
        closed: ({ connection }) => this.#collector.handleClose(connection),
        drained: () => false,
        settle: (now) => this.#settle(now),
      },
    )
  }

  /**
   * Listens at one more address; port 0 is any.
   * @returns the endpoint, which belongs into the header X-ZRELOG.
   * @throws NetworkError when it cannot be had.
   */
  async listen(at: Address): Promise<string> {
    const server = await this.#host.streams.listen(at, (stream: Stream) =>
      this.#lines.accept(stream),
    )
    const endpoint = formatEndpoint(at.address, server.port)
    this.#servers.set(endpoint, server)
    return endpoint
  }

  /** From now on, this level and those above it are wanted. */
  setLevel(level: LogLevel): void {
    this.#collector.setLevel(level)
    this.#drain()
  }

  /** A timer may be early: then it has to be set again. */
  handleTimeout(now: number): void {
    const dueAt = this.pollTimeout()
    if (now < dueAt) {
      this.#handlers.sooner()
      return
    }
    this.#lines.handleTimeout(now, dueAt)
    this.#collector.handleTimeout(now)
    this.#drain()
    this.#settle(now)
  }

  pollTimeout(): number {
    return Math.min(this.#lines.pollTimeout(), this.#collector.pollTimeout())
  }

  /** Closes everything, and gives what was held. */
  async stop(): Promise<void> {
    this.#isStopped = true
    for (const server of this.#servers.values()) server.close()
    this.#servers.clear()
    this.#give(Number.POSITIVE_INFINITY)
    await this.#lines.stop()
  }

  /** What is known of each node, and what was not taken. */
  diagnostics(): LogReceiverDiagnostics {
    const { nodes, held, refused } = this.#collector.diagnostics(this.#host.clock.now())
    const endpoints = [...this.#servers.keys()]
    const { acceptedCount: connections, counters } = this.#lines
    return { endpoints, connections, nodes, held, refused, counters }
  }

  #drain(): void {
    for (let next = this.#collector.pollEffect(); next; next = this.#collector.pollEffect()) {
      const { connection } = next
      const zmtp = this.#lines.line(connection)?.zmtp
      switch (next.type) {
        case 'subscribe':
        case 'cancel':
          zmtp?.[next.type](next.topic)
          this.#lines.flush(connection)
          break
        case 'ping':
          zmtp?.ping(NO_CONTEXT)
          this.#lines.flush(connection)
          break
        case 'close':
          this.#lines.close(connection, 'does not answer')
          break
      }
    }
  }

  #settle(now: number): void {
    if (this.#isStopped) return
    this.#give(now)
    this.#handlers.sooner()
  }

  #give(now: number): void {
    for (let next = this.#collector.pollEvent(now); next; next = this.#collector.pollEvent(now)) {
      this.#handlers.event(next)
    }
  }
}
