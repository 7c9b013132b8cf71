// The true history of a run, as nobody inside it can know it: what was sent and what became of it, what applications did and
// were told, and what went wrong on purpose. All of it goes into the digest, and to those who observe.

import type { Uuid, ZreMessage } from '../protocol/index.ts'
import type { LyreEvent } from '../src/events.ts'
import type { Address } from '../src/host.ts'
import type { Lyre } from '../src/lyre.ts'
import type { Action } from '../src/stage.ts'
import { Trace } from './trace.ts'

/** A node of a simulation, and where it lives. */
export interface SimulatedNode {
  /** Counted from 0, in the order they were created; a node that was started again after a crash is another one. */
  readonly index: number
  /** Undefined for a bare host, which a test speaks for. */
  readonly lyre: Lyre | undefined
  readonly uuid: Uuid
  readonly machine: string
  /** The address of its machine at present: the first, where it is on several subnets. */
  readonly address: string
  /** All its addresses, without those whose cable is out. */
  readonly addresses: readonly string[]
  /** Where a collector takes logs: its process holds what is connected there, too. Undefined for all other nodes. */
  readonly logPort: number | undefined
  readonly state: 'running' | 'asleep' | 'crashed'
  /** What its process has of the world at present; a timer counts while it is set. */
  readonly holds: Readonly<Record<'sockets' | 'servers' | 'connections' | 'timers', number>>
}

/** A datagram, sent once, and delivered or dropped once for each who might have heard it. */
export interface DatagramRecord {
  /** Virtual milliseconds, as in all records. */
  readonly at: number
  readonly type: 'sent' | 'delivered' | 'dropped'
  /** The same for all that becomes of one datagram. */
  readonly datagram: number
  readonly sender: SimulatedNode
  /** Undefined while it is sent, and where nobody is there to hear it. */
  readonly receiver: SimulatedNode | undefined
  readonly from: Address
  readonly to: Address
  /** Not to be changed; to be kept only as a copy. */
  readonly bytes: Uint8Array
  /** Why it was dropped; empty otherwise. */
  readonly reason: string
}

/** Octets of a connection: given to it by one side, or to the other side by it. */
export interface OctetsRecord {
  readonly at: number
  readonly type: 'written' | 'delivered'
  readonly connection: number
  readonly sender: SimulatedNode
  readonly receiver: SimulatedNode | undefined
  /** Not to be changed; to be kept only as a copy. */
  readonly bytes: Uint8Array
}

/** A message of ZRE, where messages are carried without octets. */
export interface MessageRecord {
  readonly at: number
  readonly type: 'written' | 'delivered'
  readonly connection: number
  readonly sender: SimulatedNode
  readonly receiver: SimulatedNode | undefined
  readonly message: ZreMessage
}

/**
 * What becomes of a connection: `dialled`; `accepted`, and `opened` when the dialler knows; `refused`, before that;
 * `closed`, told to each side by itself, with its reason. The reason of one that is dialled is where it leads.
 */
export interface ConnectionRecord {
  readonly at: number
  readonly type: 'dialled' | 'accepted' | 'opened' | 'refused' | 'closed'
  readonly connection: number
  /** Whose side it is; the dialler's, where it is dialled, opened or refused. */
  readonly node: SimulatedNode
  readonly other: SimulatedNode | undefined
  readonly reason: string
}

/** What an application is about to be told. */
export interface EventRecord {
  readonly at: number
  readonly node: SimulatedNode
  readonly event: LyreEvent
}

/** What an application did: it was started, is about to stop, joined, left or sent. */
export interface ActionRecord {
  readonly at: number
  readonly node: SimulatedNode
  readonly action: Action
}

/** What was done to the world on purpose. */
export type Fault =
  | { readonly type: 'crash'; readonly node: SimulatedNode }
  /** Deaf: all of its machine sleeps. */
  | { readonly type: 'pause' | 'resume'; readonly node: SimulatedNode; readonly isDeaf: boolean }
  | { readonly type: 'create'; readonly node: SimulatedNode }
  | {
      readonly type: 'move'
      readonly node: SimulatedNode
      readonly from: string
      readonly to: string
    }
  | {
      readonly type: 'partition'
      readonly sides: readonly (readonly string[])[]
      readonly oneWay: boolean
    }
  /** All partitions end, or the one with these sides. */
  | { readonly type: 'heal'; readonly sides?: readonly (readonly string[])[] }
  | {
      readonly type: 'stall'
      readonly from: string
      readonly to: string
      readonly untilAt: number
    }
  | { readonly type: 'reset'; readonly from: string; readonly to: string }
  | {
      readonly type: 'links'
      readonly from: string
      readonly to: string
      readonly settings: object
    }
  | { readonly type: 'machine'; readonly machine: string; readonly settings: object }
  | { readonly type: 'wall'; readonly machine: string; readonly byMs: number }
  | {
      readonly type: 'cable'
      readonly machine: string
      readonly subnet: string
      /** Addresses on that subnet begin with `10.index.`. */
      readonly index: number
      readonly isUp: boolean
    }
  | {
      readonly type: 'switch'
      readonly subnet: string
      readonly index: number
      readonly isUp: boolean
    }

/** A fault, and when it began. */
export interface FaultRecord {
  readonly at: number
  readonly fault: Fault
}

/**
 * Who wants to know what truly happens; each method is optional, and what nobody asks for costs nothing. It is called while
 * things happen: it may look at everything, and must change nothing. What it throws ends the run.
 */
export interface Observer {
  datagram?(record: DatagramRecord): void
  octets?(record: OctetsRecord): void
  message?(record: MessageRecord): void
  connection?(record: ConnectionRecord): void
  event?(record: EventRecord): void
  action?(record: ActionRecord): void
  fault?(record: FaultRecord): void
}

type Kind = keyof Observer

// What a record begins with in the digest. A new version of Lyre may change all digests; two runs of one version never.
const DATAGRAM = { sent: 1, delivered: 2, dropped: 3 } as const
const OCTETS = { written: 4, delivered: 5 } as const
const MESSAGE = { written: 6, delivered: 7 } as const
const CONNECTION = { dialled: 8, accepted: 9, opened: 10, refused: 11, closed: 12 } as const
const EVENT = 13
const ACTION = 14
const FAULT = 15

/** Writes the digest, and tells the observers. */
export class History {
  readonly trace = new Trace()
  readonly #clock: { readonly nowUs: number; readonly now: number }
  #observers: readonly Observer[] = []
  #datagram: readonly Observer[] = []
  #octets: readonly Observer[] = []
  #message: readonly Observer[] = []
  #connection: readonly Observer[] = []

  constructor(clock: { readonly nowUs: number; readonly now: number }) {
    this.#clock = clock
  }

  /** Tells an observer from now on. @returns what ends that. */
  observe(observer: Observer): () => void {
    this.#setObservers([...this.#observers, observer])
    return () => this.#setObservers(this.#observers.filter((other) => other !== observer))
  }

  datagram(
    type: DatagramRecord['type'],
    about: Omit<DatagramRecord, 'at' | 'type' | 'receiver' | 'reason'>,
    receiver?: SimulatedNode,
    reason = '',
  ): void {
    const { trace } = this
    // The receiver's own instant and number say all of a datagram that is delivered as it was sent.
    trace.add(this.#clock.nowUs, DATAGRAM[type], about.datagram, receiver?.index ?? -1)
    if (type === 'sent') trace.addBytes(about.bytes)
    if (this.#datagram.length === 0) return
    const { datagram, sender, from, to, bytes } = about
    const at = this.#clock.now
    const record = { at, type, datagram, sender, receiver, from, to, bytes, reason }
    for (const observer of this.#datagram) observer.datagram?.(record)
  }

  /** What a link has done to a datagram on its way: octets of it are others now. */
  damaged(bytes: Uint8Array): void {
    this.trace.addBytes(bytes)
  }

  octets(
    type: OctetsRecord['type'],
    about: Omit<OctetsRecord, 'at' | 'type' | 'bytes'>,
    bytes: Uint8Array,
  ): void {
    this.trace.add(this.#clock.nowUs, OCTETS[type], about.connection, about.sender.index)
    this.trace.addBytes(bytes)
    if (this.#octets.length === 0) return
    const { connection, sender, receiver } = about
    const record = { at: this.#clock.now, type, connection, sender, receiver, bytes }
    for (const observer of this.#octets) observer.octets?.(record)
  }

  message(
    type: MessageRecord['type'],
    about: Omit<MessageRecord, 'at' | 'type' | 'message'>,
    message: ZreMessage,
  ): void {
    const { trace } = this
    const at = this.#clock.nowUs
    const kind = MESSAGE[type] | (message.sequence << 8)
    if (type === 'written') {
      const name = trace.name(textOf(message))
      trace.add(at, kind, about.connection, about.sender.index, name)
      if ('content' in message) for (const frame of message.content) trace.addBytes(frame)
    } else {
      trace.add(at, kind, about.connection, about.sender.index)
    }
    if (this.#message.length === 0) return
    const { connection, sender, receiver } = about
    const record = { at: this.#clock.now, type, connection, sender, receiver, message }
    for (const observer of this.#message) observer.message?.(record)
  }

  connection(
    type: ConnectionRecord['type'],
    about: Omit<ConnectionRecord, 'at' | 'type' | 'reason'>,
    reason = '',
  ): void {
    this.trace.add(this.#clock.nowUs, CONNECTION[type], about.connection, about.node.index)
    if (this.#connection.length === 0) return
    const { connection, node, other } = about
    const record = { at: this.#clock.now, type, connection, node, other, reason }
    for (const observer of this.#connection) observer.connection?.(record)
  }

  event(node: SimulatedNode, event: LyreEvent): void {
    const { trace } = this
    const uuid = 'peer' in event ? trace.name(event.peer.uuid) : 0
    const more =
      'group' in event
        ? event.group
        : 'cause' in event
          ? event.cause
          : 'code' in event
            ? event.code
            : ''
    const name = trace.name(`${event.type} ${more}`)
    trace.add(this.#clock.nowUs, EVENT, node.index, uuid, name)
    if ('content' in event) for (const frame of event.content) trace.addBytes(frame)
    if (this.#observers.length === 0) return
    const record = { at: this.#clock.now, node, event }
    for (const observer of this.#observers) observer.event?.(record)
  }

  action(node: SimulatedNode, action: Action): void {
    const { trace } = this
    const about = 'group' in action ? action.group : 'uuid' in action ? action.uuid : ''
    const name = trace.name(`${action.type} ${about}`)
    trace.add(this.#clock.nowUs, ACTION, node.index, name, 'count' in action ? action.count : 0)
    if ('content' in action) for (const frame of action.content) trace.addBytes(frame)
    if (this.#observers.length === 0) return
    const record = { at: this.#clock.now, node, action }
    for (const observer of this.#observers) observer.action?.(record)
  }

  fault(fault: Fault): void {
    const node = 'node' in fault ? fault.node.index : -1
    const { node: _, ...rest } = { node: undefined, ...fault }
    this.trace.add(this.#clock.nowUs, FAULT, node, this.trace.name(JSON.stringify(rest, plain)))
    const record = { at: this.#clock.now, fault }
    for (const observer of this.#observers) observer.fault?.(record)
  }

  #setObservers(observers: readonly Observer[]): void {
    const who = (kind: Kind) => observers.filter((observer) => observer[kind] !== undefined)
    this.#observers = observers
    this.#datagram = who('datagram')
    this.#octets = who('octets')
    this.#message = who('message')
    this.#connection = who('connection')
  }
}

/** JSON has no Infinity, and would make null of it. */
function plain(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? String(value) : value
}

function textOf(message: ZreMessage): string {
  switch (message.type) {
    case 'hello': {
      const { type, endpoint, groups, status, name, headers } = message
      return `${type} ${JSON.stringify([endpoint, groups, status, name, headers])}`
    }
    case 'shout':
      return `shout ${message.group}`
    case 'join':
    case 'leave':
      return `${message.type} ${message.status} ${message.group}`
    case 'elect':
      return `elect ${message.group} ${message.challenger}`
    case 'leader':
      return `leader ${message.group} ${message.leader}`
    case 'unknown':
      return `unknown ${message.id}`
    default:
      return message.type
  }
}
