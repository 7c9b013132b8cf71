// A node's log on the wire: a PUB that connects to each collector that it is told of, and writes to it as fast as it reads.
// What is recorded and kept is log-publisher.ts's matter; here are the connections.
// Spec: log.md 5.

import {
  LOG_HEADER,
  LOG_LEVELS,
  type LogEntry,
  type LogLevel,
  LogPublisher,
  NullMechanism,
  parseEndpoint,
  TOPIC_BYTES_MAX,
  type Uuid,
  ZMTP_LIMITS,
} from '../../protocol/index.ts'
import type { Host } from '../host.ts'
import { type Line, Lines } from '../lines.ts'

/** Whose log it is. */
export interface LogSenderOptions {
  readonly uuid: Uuid
  readonly name: string
  /** The highest level that is told. */
  readonly level: LogLevel | 'off'
  /** What is kept for collectors that come later: records, and octets. */
  readonly recordsMax: number
  readonly bytesMax: number
}

/** A collector that we connect to. */
export interface LogTargetDiagnostics {
  readonly endpoint: string
  readonly state: 'waiting' | 'dialling' | 'connected'
  /** Why the last connection failed or was lost. */
  readonly lastError: string | null
  /** Messages to it, and those that were gone before it had room for them; of this connection. */
  readonly sent: number
  readonly dropped: number
}

/** What became of a node's log. */
export interface LogSenderDiagnostics {
  /** Made since the beginning; kept for collectors that come later, and their octets. */
  readonly records: number
  readonly kept: number
  readonly keptBytes: number
  readonly collectors: readonly LogTargetDiagnostics[]
  /** How often a connection was refused or closed, by reason. */
  readonly counters: Readonly<Record<string, number>>
}

/** Each costs what it writes; there is one mostly, and another while somebody looks. */
const COLLECTORS_MAX = 4
/** Octets that a stream has not sent: beyond, records wait in the ring, where they cost nothing more. */
const BACKLOG_BYTES_MAX = 262_144
/** What of it is written at once. */
const CHUNK_BYTES = 65_536
/** A subscription has one frame: its first octet, and the topic. */
const LIMITS = { ...ZMTP_LIMITS, messageBytesMax: 1 + TOPIC_BYTES_MAX, messageFramesMax: 2 }
/** How long a collector may take what is left when the level becomes off. */
const LINGER_MS = 1_000
const NEVER = Number.POSITIVE_INFINITY

/** The log of a node, for all its lives: what is said between two of them is kept, and told in the next. */
export class LogSender {
  readonly #host: Host
  readonly #publisher: LogPublisher
  readonly #lines: Lines
  readonly #handlers: { sooner(): void }
  #draining = false
  #isStarted = false

  /** @param handlers `sooner`: pollTimeout() may be sooner than it was. */
  constructor(host: Host, options: LogSenderOptions, handlers: { sooner(): void }) {
    const { uuid: node, name, level, recordsMax, bytesMax } = options
    this.#host = host
    this.#handlers = handlers
    this.#publisher = new LogPublisher({
      ...{ node, name, level: numberOf(level), epoch: host.clock.wall() },
      ...{ recordsMax, bytesMax, collectorsMax: COLLECTORS_MAX },
    })
    this.#lines = new Lines(
      host,
      {
        limits: LIMITS,
        acceptedMax: 0,
        crowded: 'it only dials',
        begin: () => {
          const others = new Map([[LOG_HEADER, this.#publisher.source(host.clock.wall())]])
          return { socketType: 'PUB', mechanism: new NullMechanism({ socketType: 'PUB', others }) }
        },
        connect: (endpoint, handlers) => {
          const to = parseEndpoint(endpoint) as { readonly host: string; readonly port: number }
          return host.streams.connect({ address: to.host, port: to.port }, handlers)
        },
      },
      {
        event: (line, event) => {
          const { connection } = line
          if (event.type === 'ready') this.#publisher.handleOpen(connection)
          // While a line lingers for what was wanted before, nobody is to want more (log.md 5.8).
          const isOff = this.#publisher.level === 0
          if (event.type === 'subscribe' && !isOff) {
            this.#publisher.handleSubscribe(connection, event.topic)
          }
          if (event.type === 'cancel') this.#publisher.handleCancel(connection, event.topic)
        },
        closed: ({ connection }) => this.#publisher.handleClose(connection),
        drained: (line) => this.#write(line),
        settle: () => this.#settle(),
      },
    )
  }

  /** From now on, this level and those above it are told. */
  setLevel(level: LogLevel | 'off'): void {
    // What was said before leaves, also where nothing does from now on.
    this.#settle()
    this.#publisher.level = numberOf(level)
    this.#settle()
  }

  /** From now on collectors are connected to, once they are announced. */
  start(endpoint: string): void {
    this.#isStarted = true
    this.move(endpoint)
  }

  /** Our inbox is there now: collectors of version 1 know us by it. */
  move(endpoint: string): void {
    this.#publisher.handleEndpoint(endpoint)
  }

  /** Tells what has happened just now. It is written soon, together with what else there is until then. */
  log(entry: LogEntry): void {
    if (entry.level > this.#publisher.level) return
    this.#publisher.log(entry, this.#host.clock.wall())
    this.#drainSoon()
  }

  /**
   * A peer has a header X-ZRELOG, and is at these addresses for certain.
   * @returns whether it may have records there; false where the header names an address of somebody else (log.md 5.7).
   */
  announce(uuid: Uuid, header: string, addresses: readonly string[]): boolean {
    const isServed = this.#publisher.announce(uuid, header, addresses)
    this.#settle()
    return isServed
  }

  /** A peer is gone. */
  forget(uuid: Uuid): void {
    this.#publisher.forget(uuid)
    this.#settle()
  }

  /** We slept: collectors are dialled at once, and none has been silent for that long (log.md 5.6). */
  handleWake(now: number): void {
    if (!this.#isStarted) return
    this.#lines.renew(now)
    this.#settle()
  }

  handleTimeout(now: number): void {
    const dueAt = this.pollTimeout()
    if (now < dueAt) return
    this.#lines.handleTimeout(now, dueAt)
    this.#settle()
  }

  pollTimeout(): number {
    return this.#isStarted ? this.#lines.pollTimeout() : NEVER
  }

  /** Closes everything, once what was logged has left, or `lingerMs` are over. All peers are forgotten. */
  async stop(lingerMs = 0): Promise<void> {
    this.#drain()
    this.#isStarted = false
    this.#publisher.handleStop()
    await this.#lines.stop(lingerMs)
  }

  /** Ends the lingering of stop(). */
  abort(): void {
    this.#lines.abort()
  }

  /** What became of it. */
  diagnostics(): LogSenderDiagnostics {
    const { connections, records, kept, keptBytes } = this.#publisher.diagnostics()
    const collectors = this.#lines.targets.map(({ endpoint, state, line, lastError }) => {
      const told = connections.find(({ connection }) => connection === line?.connection)
      return { endpoint, state, lastError, sent: told?.sent ?? 0, dropped: told?.dropped ?? 0 }
    })
    return { records, kept, keptBytes, collectors, counters: this.#lines.counters }
  }

  #drainSoon(): void {
    if (this.#draining || !this.#isStarted) return
    this.#draining = true
    this.#host.clock.defer(() => {
      this.#draining = false
      this.#settle()
    })
  }

  #settle(): void {
    if (!this.#isStarted) return
    this.#drain()
    this.#handlers.sooner()
  }

  #drain(): void {
    for (let next = this.#publisher.pollEffect(); next; next = this.#publisher.pollEffect()) {
      switch (next.type) {
        case 'dial':
          this.#lines.keep(next.endpoint)
          break
        case 'hangup':
          this.#lines.drop(next.endpoint, this.#publisher.level === 0 ? LINGER_MS : 0)
          break
        case 'write': {
          const line = this.#lines.line(next.connection)
          if (line !== undefined) this.#write(line)
          break
        }
        case 'close':
          this.#lines.refuse(next.connection, next.error)
          break
      }
    }
  }

  /** As much as its stream has room for. @returns whether there is more, for when that says that it has more. */
  #write({ connection, zmtp, stream }: Line): boolean {
    for (let backlogBytes = stream.backlogBytes; backlogBytes < BACKLOG_BYTES_MAX; ) {
      while (zmtp.outputBytes < CHUNK_BYTES) {
        const octets = this.#publisher.poll(connection)
        if (octets === undefined) {
          this.#lines.flush(connection)
          return false
        }
        zmtp.send([octets])
      }
      backlogBytes = this.#lines.flush(connection)
    }
    return true
  }
}

function numberOf(level: LogLevel | 'off'): number {
  return level === 'off' ? 0 : LOG_LEVELS[level]
}
