// What is true of nodes and connections in a run, as records that truth.ts keeps: flat, and changed by nobody else.

import type { Uuid, ZreMessage } from '../../protocol/index.ts'
import type { SimulatedNode } from '../history.ts'
import type { Wiretap } from './wiretap.ts'

/** The instant of what has not happened. */
export const NEVER = Number.NEGATIVE_INFINITY
/** Times of sleep that are remembered, whenever they were; and how long all others are. */
const SLEEPS_MAX = 16
const SLEEPS_MS = 180_000
const NOTHING: Uint8Array = new Uint8Array(0)
const NO_LINES: readonly Line[] = []

/** A time in which a process did not run. */
interface Sleep {
  readonly from: number
  to: number
}

/** What one node heard of another that most never do. */
export interface Trouble {
  /** When octets came over a connection that may go on with one that was lost; -Infinity before, as in all. */
  maybeAt: number
  /** When a datagram last said that it leaves. */
  goodbyeAt: number
  /** When a datagram last said something false: of where it is, or of another where it is. */
  doubtAt: number
  /** When a connection with it was last lost: because of somebody else than the node that heard it. */
  lostAt: number
  /** When that one was dialled. */
  lostSince: number
  /** When it last closed a connection to it without having entered: it had waited for an answer in vain. */
  gaveUpAt: number
}

const NO_TROUBLE: Readonly<Trouble> = Object.freeze({
  maybeAt: NEVER,
  goodbyeAt: NEVER,
  doubtAt: NEVER,
  lostAt: NEVER,
  lostSince: NEVER,
  gaveUpAt: NEVER,
})

/** What one node heard of another, by uuid, and said to it. A mesh of a thousand nodes has a million, so each is small. */
export class Heard {
  /** When octets last came over the connection of that uuid to it, and a beacon; -Infinity before. */
  octetsAt = NEVER
  beaconAt = NEVER
  /** When its HELLO last came, how many of them did, and how many enters were told. */
  helloAt = NEVER
  helloCount = 0
  enterCount = 0
  /** What was said last to it in an epoch, which may go on over another connection; -1 before. */
  saidSequence = -1
  saidStatus = -1
  trouble: Readonly<Trouble> = NO_TROUBLE

  /** To be written to. */
  troubled(): Trouble {
    if (this.trouble === NO_TROUBLE) this.trouble = { ...NO_TROUBLE }
    return this.trouble
  }
}

/** What an application was told of a peer, from enter to exit. */
export interface Contact {
  readonly uuid: Uuid
  /** Counted for each node from 1. */
  readonly number: number
  readonly at: number
  /** Undefined until it joins one, which most peers of a large mesh never do. */
  groups: Set<string> | undefined
  /** When it was last told to be evasive, and silent. */
  evasiveAt: number
  silentAt: number
  /** Whether its GOODBYE came. */
  left: boolean
  /** Whether somebody else said HELLO in its name. */
  readonly forged: boolean
  /** Number of the record of its enter. */
  readonly id: number
}

/** Whether a node is in a group, and since when it is, or was, not. */
export interface Membership {
  isIn: boolean
  joinedAt: number
  leftAt: number
}

/** A node, as it truly is. */
export class Party {
  readonly node: SimulatedNode
  readonly index: number
  readonly machine: number
  uuid: Uuid
  state: 'created' | 'started' | 'stopping' | 'stopped' | 'crashed' = 'created'
  startedAt = NEVER
  stoppingAt = NEVER
  stoppedAt = NEVER
  crashedAt = NEVER
  movedAt = NEVER
  /** When one of its cables was last pulled or plugged in, or a switch failed or worked again. */
  cableAt = NEVER
  /** When it last had no socket for a connection, begun by itself or by another. */
  shortAt = NEVER
  /** When a bare host last said HELLO to it, in whoever's name. */
  strangerAt = NEVER
  readonly sleeps: Sleep[] = []
  readonly contacts = new Map<Uuid, Contact>()
  /** Its connections: those that it dialled and nobody has accepted, and all others by the uuid of the other side. */
  readonly #unanswered = new Set<Line>()
  readonly #linesWith = new Map<Uuid, readonly Line[]>()
  /** When its application was last told an exit of a uuid. */
  readonly exits = new Map<Uuid, number>()
  readonly heard = new Map<Uuid, Heard>()
  readonly groups = new Map<string, Membership>()
  /** Its joins and leaves, the newest last, and how many there ever were. */
  readonly changes: { readonly type: 'join' | 'leave'; readonly group: string }[] = []
  changeCount = 0
  contactCount = 0
  /** The last datagram that it sent. */
  beacon = NOTHING
  /** What it was last told or did, and when. */
  lastId = 0
  lastAt = NEVER
  eventAt = NEVER
  /** Before then, nobody of its contacts can have been quiet for too long. */
  lookAt = NEVER

  constructor(node: SimulatedNode, machine: number) {
    this.node = node
    this.index = node.index
    this.machine = machine
    this.uuid = node.uuid
  }

  /** Whether it is a Lyre, and not a bare host. */
  get honest(): boolean {
    return this.node.lyre !== undefined
  }

  get asleep(): boolean {
    const last = this.sleeps.at(-1)
    return last !== undefined && last.to === Number.POSITIVE_INFINITY
  }

  /** Whether another connection to it says to be of who dialled this one. */
  isRivalled(line: Line): boolean {
    for (const one of this.linesWith(line.dialler.uuid)) {
      if (one !== line && one.acceptor === this && one.acceptorClosedAt === NEVER) return true
    }
    return false
  }

  /** Connections with a uuid: of a thousand nodes each has two thousand, and one or two with each other. */
  linesWith(uuid: Uuid): readonly Line[] {
    return this.#linesWith.get(uuid) ?? NO_LINES
  }

  /** All its connections. */
  *lines(): Iterable<Line> {
    yield* this.#unanswered
    for (const lines of this.#linesWith.values()) yield* lines
  }

  /** Whether it has any. */
  get connected(): boolean {
    return this.#unanswered.size > 0 || this.#linesWith.size > 0
  }

  dialLine(line: Line): void {
    this.#unanswered.add(line)
  }

  addLine(line: Line, uuid: Uuid): void {
    this.#unanswered.delete(line)
    const lines = this.#linesWith.get(uuid)
    // Spread, it would have room for sixteen more.
    this.#linesWith.set(uuid, lines === undefined ? [line] : lines.concat([line]))
  }

  deleteLine(line: Line, uuid: Uuid): void {
    this.#unanswered.delete(line)
    const lines = this.linesWith(uuid).filter((other) => other !== line)
    if (lines.length === 0) this.#linesWith.delete(uuid)
    else this.#linesWith.set(uuid, lines)
  }

  hears(uuid: Uuid): Heard {
    let heard = this.heard.get(uuid)
    if (heard === undefined) {
      heard = new Heard()
      this.heard.set(uuid, heard)
    }
    return heard
  }

  /** It does not run from now on. */
  sleep(now: number): void {
    this.sleeps.push({ from: now, to: Number.POSITIVE_INFINITY })
    // Who stutters sleeps a hundred times in a minute.
    if (this.sleeps.length <= SLEEPS_MAX || now - (this.sleeps[0]?.to ?? now) < SLEEPS_MS) return
    this.sleeps.shift()
  }

  /** It does again. */
  wake(now: number): void {
    const last = this.sleeps.at(-1)
    if (last !== undefined) last.to = now
  }

  /** How long it slept since then, and in how many pieces. */
  slept(since: number, now: number): { readonly ms: number; readonly count: number } {
    let ms = 0
    let count = 0
    for (const { from, to } of this.sleeps) {
      const part = Math.min(to, now) - Math.max(from, since)
      if (part < 0) continue
      ms += part
      count++
    }
    return { ms, count }
  }

  /** The groups that it is in. */
  ownGroups(): string[] {
    return [...this.groups].filter(([, { isIn }]) => isIn).map(([group]) => group)
  }
}

/** What lies between two machines, either way. */
export interface Between {
  /** How many partitions cut it now, and since when. */
  cuts: number
  cutAt: number
  /** Until when silence may have been its doing, stalls and what TCP needs to go on included. */
  quietUntil: number
  /** When connections over it were last reset. */
  resetAt: number
  /** When a cable or a switch by which a connection of theirs went last failed, or worked again. */
  reroutedAt: number
}

/** A message on its way: with the octet behind it, and the number of its record. */
export interface Flying {
  readonly message: ZreMessage | undefined
  readonly ends: number
  readonly id: number
  next: Flying | undefined
}

/** A connection. */
export class Line {
  readonly connection: number
  readonly dialler: Party
  readonly at: number
  acceptor: Party | undefined
  openedAt = NEVER
  /** When each side was told that it is over, and whether it ended it itself. */
  diallerClosedAt = NEVER
  acceptorClosedAt = NEVER
  diallerEnded = false
  acceptorEnded = false
  refused = false
  closedId = 0
  /** Octets from the one who accepted, and those to it before its dialler's HELLO was delivered. */
  answerBytes = 0
  messageCount = 0
  deliveredCount = 0
  /** Whether it is the rest of one that was lost. */
  goesOn = false
  /** The number of the subnet on which it leads to where it was dialled; NaN where that is none. */
  subnet = Number.NaN
  /** When its dialler's HELLO was delivered; Infinity before. */
  helloAt = Number.POSITIVE_INFINITY
  lastSequence = -1
  lastStatus = -1
  pingCount = 0
  tap: Wiretap | undefined
  /** Written, and not delivered, the oldest first. */
  #flying: Flying | undefined
  #flyingLast: Flying | undefined

  constructor(connection: number, dialler: Party, at: number) {
    this.connection = connection
    this.dialler = dialler
    this.at = at
  }

  /** What was written first and is not delivered. */
  get flying(): Flying | undefined {
    return this.#flying
  }

  /** A list of its own: most lines carry one message at a time, and an array that is pushed to takes room for 17. */
  launch(message: ZreMessage | undefined, { ends, id }: { ends: number; id: number }): void {
    const flying: Flying = { message, ends, id, next: undefined }
    if (this.#flyingLast === undefined) this.#flying = flying
    else this.#flyingLast.next = flying
    this.#flyingLast = flying
  }

  /** The first of them is delivered. */
  land(): Flying | undefined {
    const first = this.#flying
    this.#flying = first?.next
    if (this.#flying === undefined) this.#flyingLast = undefined
    return first
  }

  /** Whether both sides have it, as far as they were told. */
  get open(): boolean {
    return (
      this.acceptor !== undefined &&
      this.diallerClosedAt === NEVER &&
      this.acceptorClosedAt === NEVER
    )
  }
}
