// What a program hears of its own node's wire, for `options.wire`: each message as it passes, what becomes of connections, and what
// peers are known to have read. A node that is not asked has none of this.

import type { ConnectionId, Harmony, LinkChange, Uuid, ZreMessage } from '../protocol/index.ts'
import type { Clock } from './host.ts'
import type { Passage } from './traffic.ts'

/** What stands at each of them. */
export interface WireMoment {
  /**
   * Milliseconds since 1970, to the microsecond as far as the machine knows; it never goes back, and does not follow when the
   * clock on the wall is set.
   */
  readonly time: number
  /** Whose wire it is: us. */
  readonly node: Uuid
  /** Above 0 those that we dialled, over which we speak; below those that we accepted, over which we are spoken to. */
  readonly connection: ConnectionId
  /** Who is at the other end; null where nobody knows yet. */
  readonly peer: Uuid | null
}

/** A message passed, not yet acted upon; its content is not copied: it must not be changed. */
export interface WireMessage extends WireMoment {
  readonly type: 'message'
  readonly direction: 'in' | 'out'
  /** Octets of its frames; in a simulation that carries messages, about. */
  readonly bytes: number
  readonly message: ZreMessage
}

/**
 * Something became of a connection: a dial began; it is up, with its handshake done; it broke; one side broke the protocol; we closed
 * it.
 */
export interface WireLink extends WireMoment {
  readonly type: 'link'
  readonly change: 'dial' | 'up' | 'lost' | 'refused' | 'closed'
  /** Where a dial goes; why a link ended. */
  readonly reason: string | null
}

/** All that we wrote over a connection up to this sequence is known to have been read by the other side's ZMTP. */
export interface WireConfirmation extends WireMoment {
  readonly type: 'confirmed'
  readonly sequence: number
}

/** What `options.wire` is told. */
export type WireEvent = WireMessage | WireLink | WireConfirmation

/** One node's wire, told to whoever asked. */
export class WireTeller {
  readonly #clock: Clock
  readonly #originMs: number
  readonly #uuid: Uuid
  readonly #harmony: Harmony
  readonly #tell: (event: WireEvent) => void
  /** Up to where what we wrote over a connection was read, as told last. */
  readonly #read = new Map<ConnectionId, number>()
  /** Who is at the other end: a node that stops has forgotten it when it says goodbye. */
  readonly #peers = new Map<ConnectionId, Uuid>()

  constructor(
    clock: Clock,
    { uuid, harmony }: { readonly uuid: Uuid; readonly harmony: Harmony },
    tell: (event: WireEvent) => void,
  ) {
    this.#clock = clock
    this.#originMs = clock.wall() - clock.now()
    this.#uuid = uuid
    this.#harmony = harmony
    this.#tell = tell
  }

  readonly tap = ({ direction, connection, message, bytes }: Passage): void => {
    const moment = this.#moment(connection)
    this.#tell({ type: 'message', ...moment, direction, bytes, message: plain(message) })
  }

  handleDial(connection: ConnectionId, endpoint: string): void {
    this.#tell({ type: 'link', ...this.#moment(connection), change: 'dial', reason: endpoint })
  }

  /** Before anybody else hears of it, who may forget the connection. */
  handleLink(connection: ConnectionId, change: LinkChange): void {
    if (change.type === 'measured') return
    if (change.type !== 'up') {
      this.#end(connection, change.type, change.reason)
      return
    }
    this.#read.delete(connection)
    // Who calls is known by what it says of itself.
    if (change.uuid !== undefined) this.#peers.set(connection, change.uuid)
    this.#tell({ type: 'link', ...this.#moment(connection), change: 'up', reason: null })
  }

  /** We let go of a connection. */
  handleClose(connection: ConnectionId, reason: string): void {
    this.#end(connection, 'closed', reason)
  }

  /** Somebody has answered: it may have read more than was known. */
  handleAnswer(connection: ConnectionId): void {
    const read = this.#harmony.readTo(connection)
    if (read === undefined || this.#read.get(read.connection) === read.sequence) return
    this.#read.set(read.connection, read.sequence)
    const { sequence } = read
    this.#tell({ type: 'confirmed', ...this.#moment(read.connection), sequence })
  }

  #moment(connection: ConnectionId): WireMoment {
    const time = Math.round((this.#originMs + this.#clock.now()) * 1_000) / 1_000
    const known = this.#harmony.uuidAt(connection)
    if (known !== undefined) this.#peers.set(connection, known)
    const peer = known ?? this.#peers.get(connection) ?? null
    return { time, node: this.#uuid, connection, peer }
  }

  #end(connection: ConnectionId, change: WireLink['change'], reason: string): void {
    this.#tell({ type: 'link', ...this.#moment(connection), change, reason })
    this.#read.delete(connection)
    this.#peers.delete(connection)
  }
}

/** Without what a message has with it as long as it waits. */
function plain(message: ZreMessage): ZreMessage {
  if (!('holders' in message)) return message
  const { holders: _, bytes: __, ...rest } = message as ZreMessage & Record<string, unknown>
  return rest as ZreMessage
}
