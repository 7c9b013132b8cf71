/**
 * Harmony among strangers, for longer than the properties of test/protocol/ do it and with less of a memory: whatever happens,
 * each peer's events keep to their grammar, nobody speaks of a connection that is closed, limits hold, and nothing is left.
 */

import { HARMONY_LIMITS, type PeerEvent } from '../../protocol/harmony.ts'
import type { Mailbox, Wire } from '../../protocol/mailbox.ts'
import type { ConnectionId } from '../../protocol/peers.ts'
import type { Frames, ZreCommand, ZreMessage } from '../../protocol/zre.ts'
import { endpointOf, harmonyOf, uuidOf } from '../support/harmony.ts'
import type { Random } from './random.ts'
import { expect, Grammar, type Tally, type Target, type Trial } from './trial.ts'

export const harmonyTarget: Target = {
  name: 'harmony',
  share: 20,
  stepsMax: 192,
  begin: (random, tally) => new HarmonyTrial(random, tally),
}

const LIMITS = {
  ...HARMONY_LIMITS,
  peersMax: 4,
  peerGroupsMax: 3,
  dialsMax: 2,
  arrivalsMax: 3,
  queueBytesMax: 40,
  queueMessagesMax: 12,
  queueTotalBytesMax: 60,
}
const OVERFLOW = new Map([
  ['B', 'drop-newest'],
  ['C', 'drop-oldest'],
])
const GROUPS = ['A', 'B', 'C', 'D']
/** The first is ourselves, the last more than peersMax. */
const PEERS = Array.from({ length: 7 }, (_, peer) => ({
  uuid: uuidOf(peer),
  endpoint: endpointOf(peer),
}))
const NEW = { up: false, stalled: false, heardSequence: 0, peer: undefined }
const CONTENT = [Uint8Array.of(1, 2, 3)]
const WAITS = [0, 1, 50, 100, 250, 500, 1_000, 1_500, 3_000, 7_000, 30_000]
const NEVER = Number.POSITIVE_INFINITY
const NO_WIRE: Wire = { outputBytes: 0, send() {} }
/** The state is looked at in full so often, which takes longer than a step. */
const CHECK_EACH = 16

/**
 * A Harmony as it is used here. In a type of its own, since this target is about what holds whatever else a Harmony learns:
 * what one version does not know yet is optional or passed over.
 */
type Machine = {
  start(endpoint: string): void
  stop(): void
  finish?(): void
  handleSeed(endpoint: string, now: number): void
  handleDiscovered(node: Peer & { readonly source: 'beacon' }, now: number): void
  handleGoodbyeHint(uuid: string, now: number): void
  handleLink(connection: ConnectionId, change: { readonly type: string }, now: number): void
  handleActivity(connection: ConnectionId, now: number): void
  handleMessage(connection: ConnectionId, message: ZreMessage, now: number): void
  handleTimeout(now: number): void
  join(group: string, now: number): boolean
  leave(group: string, now: number): boolean
  whisper(uuid: string, content: Frames, now: number): number
  shout(group: string, content: Frames, now: number): number
  peer(uuid: string): unknown
  peers(group?: string): readonly { readonly uuid: string; readonly groups: readonly string[] }[]
  peerCount(group?: string): number
  peerGroups(): readonly string[]
  diagnostics(now: number): {
    readonly peers: readonly {
      readonly uuid: string
      readonly groups: readonly string[]
      readonly wantSequence: number
      readonly connections: { readonly inbound: ConnectionId; readonly outbound: ConnectionId }
    }[]
    readonly connections: number
    readonly dials: number
    readonly arrivals: number
  }
  readonly idle: boolean
  pollEffect(): Effect | undefined
  mailbox(connection: ConnectionId): Mailbox | undefined
  handleWritten(connection: ConnectionId, now: number): void
  pollTimeout(): number
}

type Effect = {
  readonly type: string
  readonly connection?: ConnectionId
  readonly endpoint?: string
}

type Peer = { readonly uuid: string; readonly endpoint: string }
type Connection = {
  readonly id: ConnectionId
  readonly endpoint: string
  up: boolean
  /** Whether nothing that is written to it leaves. */
  stalled: boolean
  heardSequence: number
  peer: Peer | undefined
}

const ID = '1'.repeat(32)

type From = { readonly sequence?: number; readonly address?: string | undefined }

class HarmonyTrial implements Trial {
  readonly over = false
  readonly #tally: Tally
  readonly #harmony: Machine
  readonly #grammar = new Grammar()
  readonly #connections = new Map<ConnectionId, Connection>()
  #now = 0
  #acceptedCount = 0
  #checkIn = CHECK_EACH

  constructor(random: Random, tally: Tally) {
    this.#tally = tally
    const timeouts = random.once(4)
      ? { evasiveTimeoutMs: 50, silentTimeoutMs: 100, expiredTimeoutMs: 400 }
      : {}
    const options: object = { limits: LIMITS, overflow: OVERFLOW, ...timeouts }
    this.#harmony = harmonyOf(options) as unknown as Machine
    this.#harmony.start(endpointOf(0))
  }

  step(random: Random): void {
    const kind = random.below(64)
    if (kind < 34) this.#hear(random, random.once(16) ? 1 : -1)
    else if (kind < 42) this.#meet(random)
    else if (kind < 43) this.#discover(random.pick(PEERS), random.pick(PEERS))
    else if (kind < 44) this.#seed(random.pick(PEERS), random)
    else if (kind < 45) this.#hint(random.pick(PEERS))
    else if (kind < 47) this.#accept(random.once(4) ? undefined : random.pick(PEERS))
    else if (kind < 49) this.#reach(random)
    else if (kind < 51) this.#activity(random)
    else if (kind < 53) this.#end(random)
    else if (kind < 57) this.#wait(random.pick(WAITS))
    else if (kind < 59) this.#answer(random)
    else if (kind < 60) this.#sleep(random.below(20_000))
    else if (kind < 63) this.#tell(random)
    else if (random.once(4)) this.#restart()
    else this.#return(random)
    this.#wait(0)
    if (random.once(8)) this.#hearNobody(random)
    if (--this.#checkIn === 0) this.#check()
  }

  end(): void {
    this.#note('all are quiet')
    this.#wait(100_000)
    this.#check()
    const { peers, connections, dials, arrivals } = this.#harmony.diagnostics(this.#now)
    expect(peers.length + connections + dials + arrivals === 0, 'nothing is left behind')
    expect(this.#harmony.peerGroups().length === 0, 'no group is left behind')
    expect(this.#grammar.present.size + this.#connections.size === 0, 'all have left')
    expect(this.#harmony.pollTimeout() === NEVER, 'there is nothing to wait for')
  }

  // What happens.

  #hear(random: Random, sign: number): void {
    const connection = this.#pick(random, sign)
    if (connection === undefined) return
    const message = this.#message(random, connection.peer ?? random.pick(PEERS))
    const next = (connection.heardSequence + 1) & 0xffff
    const sequence = random.once(40) ? random.pick([0, 1, 2, 65_535]) : next
    this.#say(connection, { ...message, sequence })
  }

  /** What comes over a connection that is closed is nobody's. */
  #hearNobody(random: Random): void {
    const id = -1 - random.below(this.#acceptedCount + 1)
    if (this.#connections.has(id)) return
    this.#note(`nobody over ${id}`)
    const at = this.#harmony.pollTimeout()
    this.#harmony.handleActivity(id, this.#now)
    const sequence = 1 + random.below(8)
    this.#harmony.handleMessage(id, { type: 'whisper', content: CONTENT, sequence }, this.#now)
    expect(this.#harmony.idle && this.#harmony.pollTimeout() === at, 'nobody is not heard')
  }

  #say(connection: Connection, message: ZreMessage): void {
    connection.heardSequence = message.sequence
    this.#input(connection, `${message.type} ${message.sequence} over ${connection.id}`)
    this.#harmony.handleMessage(connection.id, message, this.#now)
    this.#drain()
  }

  #message(random: Random, from: Peer): ZreCommand | { type: 'unknown'; id: number } {
    const group = random.pick(GROUPS)
    const kind = random.below(32)
    if (kind < 6) return { type: 'whisper', content: CONTENT }
    if (kind < 12) return { type: 'shout', group, content: CONTENT }
    if (kind < 17) return { type: 'join', group, status: random.below(4) }
    if (kind < 21) return { type: 'leave', group, status: random.below(4) }
    if (kind < 23) return { type: 'ping' }
    if (kind < 27) return { type: 'ping-ok' }
    if (kind < 28) return { type: 'elect', group, challenger: '' }
    if (kind < 29) return { type: 'leader', group, leader: '' }
    if (kind < 30) return { type: 'unknown', id: 99 }
    if (kind < 31) return { type: 'goodbye' }
    return this.#hello(random, from)
  }

  #hello(random: Random, from: Peer): ZreCommand {
    const drawn = random.u32()
    const groups = GROUPS.filter((_, index) => (drawn & (1 << index)) !== 0)
    const endpoint = random.once(12) ? random.pick(PEERS).endpoint : from.endpoint
    const named = random.once(40) ? 'nowhere' : endpoint
    const { length: status } = groups
    const headers = { 'X-LYRE-ID': ID, 'X-LYRE-INCARNATION': String(random.below(4)) }
    const rest = { name: from.uuid, headers: random.once(4) ? headers : {} }
    return { type: 'hello', endpoint: named, groups, status, ...rest }
  }

  /** A peer is discovered, and all goes well. */
  #meet(random: Random): void {
    const peer = random.pick(PEERS)
    this.#discover(peer, peer)
    this.#wait(random.pick([0, 1, 100, 1_000]))
    for (const connection of this.#connections.values()) {
      if (connection.up || connection.endpoint !== peer.endpoint) continue
      this.#up(connection, peer)
      break
    }
    const theirs = this.#accept(peer)
    if (this.#connections.has(theirs.id)) {
      this.#say(theirs, { ...this.#hello(random, peer), sequence: 1 })
    }
  }

  #discover({ uuid }: Peer, { endpoint }: Peer): void {
    this.#input(undefined, `discovered ${uuid} at ${endpoint}`)
    this.#harmony.handleDiscovered({ uuid, endpoint, source: 'beacon' }, this.#now)
    this.#wait(0)
  }

  /** A seed is dialled, and reached; perhaps it says HELLO from there. */
  #seed(peer: Peer, random: Random): void {
    this.#input(undefined, `seed at ${peer.endpoint}`)
    this.#harmony.handleSeed(peer.endpoint, this.#now)
    this.#wait(random.pick([0, 10, 1_000]))
    for (const connection of this.#connections.values()) {
      if (connection.up || connection.endpoint !== peer.endpoint) continue
      this.#up(connection, random.once(2) ? undefined : random.pick(PEERS))
      break
    }
    const address = /[\d.]+/.exec(peer.endpoint)?.[0]
    const theirs = this.#accept(random.once(8) ? random.pick(PEERS) : peer, { address })
    if (this.#connections.has(theirs.id)) {
      this.#say(theirs, { ...this.#hello(random, peer), sequence: 1 })
    }
  }

  #hint({ uuid }: Peer): void {
    this.#input(undefined, `goodbye hint ${uuid}`)
    this.#harmony.handleGoodbyeHint(uuid, this.#now)
  }

  #accept(peer: Peer | undefined, from: From = {}): Connection {
    const id = -++this.#acceptedCount
    const connection: Connection = {
      id,
      endpoint: '',
      up: false,
      stalled: false,
      heardSequence: 0,
      peer,
    }
    this.#connections.set(id, connection)
    this.#up(connection, peer, from)
    return connection
  }

  #up(
    connection: Connection,
    peer: Peer | undefined,
    { sequence, address = '10.0.0.9' }: From = {},
  ): void {
    connection.up = true
    connection.peer = peer
    this.#input(undefined, `up ${connection.id} ${peer?.uuid}`)
    const answers = peer !== PEERS[3]
    const change = { type: 'up', uuid: peer?.uuid, address, answers, sequence }
    this.#harmony.handleLink(connection.id, change, this.#now)
    this.#wait(0)
  }

  #reach(random: Random): void {
    for (const connection of this.#connections.values()) {
      if (connection.up || random.once(2)) continue
      const [, host = '0'] = /10\.0\.0\.(\d+)/.exec(connection.endpoint) ?? []
      const right = PEERS[Number(host)]
      this.#up(connection, random.once(4) ? random.pick([undefined, ...PEERS]) : right)
      return
    }
  }

  #activity(random: Random): void {
    const connection = this.#pick(random, 0)
    if (connection === undefined) return
    this.#input(connection, `activity ${connection.id}`)
    this.#harmony.handleActivity(connection.id, this.#now)
  }

  #end(random: Random): void {
    const connection = this.#pick(random, 0)
    if (connection !== undefined) this.#lose(connection, random.pick(['lost', 'lost', 'refused']))
  }

  #lose(connection: Connection, type: string): void {
    this.#connections.delete(connection.id)
    this.#input(undefined, `${type} ${connection.id}`)
    this.#harmony.handleLink(connection.id, { type, reason: type } as { type: string }, this.#now)
    this.#wait(0)
  }

  /** Its ZMTP has answered, or it stops to read. */
  #answer(random: Random): void {
    const connection = this.#pick(random, 1)
    if (connection?.up !== true) return
    if (random.once(8)) connection.stalled = true
    else this.#measured(connection)
  }

  #measured({ id }: Connection): void {
    this.#input(undefined, `measured ${id}`)
    const change = { type: 'measured', roundTripMs: 1 }
    this.#harmony.handleLink(id, change, this.#now)
    this.#wait(0)
  }

  /** The links to a peer are lost, and both come back as if nothing had been. */
  #return(random: Random): void {
    const { peers } = this.#harmony.diagnostics(this.#now)
    const met = peers[random.below(peers.length)]
    if (met === undefined) return
    const { inbound, outbound } = met.connections
    const ours = this.#connections.get(outbound)
    if (ours?.up && random.once(2)) this.#measured(ours)
    for (const id of [outbound, inbound]) {
      const connection = this.#connections.get(id)
      if (connection !== undefined && !random.once(8)) this.#lose(connection, 'lost')
    }
    this.#wait(random.pick([0, 100, 1_000]))
    const peer = PEERS.find(({ uuid }) => uuid === met.uuid)
    const again = this.#accept(peer, {
      sequence: random.once(8) ? random.below(9) : met.wantSequence,
    })
    again.heardSequence = met.wantSequence
    for (const connection of [...this.#connections.values()]) {
      if (connection.up || connection.endpoint !== peer?.endpoint) continue
      this.#up(connection, peer)
      if (this.#connections.has(connection.id)) this.#measured(connection)
    }
  }

  #tell(random: Random): void {
    const group = random.pick(GROUPS)
    this.#note(`we: ${group}`)
    const now = this.#now
    this.#harmony.shout(group, CONTENT, now)
    this.#harmony.whisper(random.pick(PEERS).uuid, CONTENT, now)
    if (!this.#harmony.join(group, now)) this.#harmony.leave(group, now)
    this.#drain()
    const { uuid } = random.pick(PEERS)
    const present = this.#grammar.present.has(uuid)
    expect((this.#harmony.peer(uuid) !== undefined) === present, 'who is there has entered')
    expect(this.#harmony.peerCount(group) === this.#harmony.peers(group).length, 'a count')
  }

  #restart(): void {
    this.#note('stop and start')
    this.#harmony.stop()
    this.#drain()
    this.#connections.clear()
    this.#harmony.finish?.()
    this.#harmony.start(endpointOf(0))
  }

  #sleep(ms: number): void {
    this.#note(`slept ${ms}`)
    this.#now += ms
  }

  /** Goes on, doing what is due when it is due. */
  #wait(ms: number): void {
    const end = this.#now + ms
    if (ms > 0) this.#input(undefined, `waited ${ms}`)
    this.#drain()
    for (let due = this.#harmony.pollTimeout(); due <= end; due = this.#harmony.pollTimeout()) {
      this.#now = Math.max(this.#now, due)
      this.#harmony.handleTimeout(this.#now)
      expect(this.#harmony.pollTimeout() > this.#now, `nothing more is due at ${this.#now}`)
      this.#drain()
    }
    this.#now = end
  }

  // What it asks for.

  #drain(): void {
    const harmony = this.#harmony
    for (let effect = harmony.pollEffect(); effect; effect = harmony.pollEffect()) this.#see(effect)
    expect(harmony.idle, 'nothing is left to do')
  }

  #see(effect: Effect): void {
    const { type, connection: id = 0, endpoint = '' } = effect
    switch (type) {
      case 'dial':
        expect(id > 0 && !this.#connections.has(id), 'each dial has a number of its own')
        this.#connections.set(id, { id, endpoint, ...NEW })
        break
      case 'send':
        expect(id > 0, 'mailboxes are written to, and nothing else')
        expect(this.#connections.get(id)?.up === true, 'who is written to is up')
        break
      case 'write': {
        // There may be nothing left to write by now, and nobody to write it to.
        const connection = this.#connections.get(id)
        if (connection?.up !== true || connection.stalled) break
        const mailbox = this.#harmony.mailbox(id)
        while (mailbox?.poll() !== undefined);
        // As long as its stream takes what there is, nothing has to wait.
        if (mailbox !== undefined && id % 2 === 0) mailbox.attach(NO_WIRE)
        this.#harmony.handleWritten(id, this.#now)
        break
      }
      case 'close':
        expect(this.#connections.delete(id), 'who is closed is open')
        break
      case 'hold':
      case 'resume':
        expect(id < 0, 'who is held is an accepted connection')
        expect(this.#connections.has(id), 'who is held is open')
        break
      default:
        if ('peer' in effect) this.#grammar.hear(effect as unknown as PeerEvent)
    }
  }

  #check(): void {
    this.#checkIn = CHECK_EACH
    const { peers, connections, dials, arrivals } = this.#harmony.diagnostics(this.#now)
    expect(peers.length <= LIMITS.peersMax, 'peersMax')
    expect(arrivals <= LIMITS.arrivalsMax, 'arrivalsMax')
    // As many to strangers as to those who have said HELLO.
    expect(dials <= 2 * LIMITS.dialsMax, 'dialsMax')
    expect(connections === this.#connections.size, 'connections are those that are open')
    for (const { groups } of peers) expect(groups.length <= LIMITS.peerGroupsMax, 'peerGroupsMax')
    const { present } = this.#grammar
    expect(this.#harmony.peerCount() === present.size, 'who is there has entered')
    for (const { uuid, groups } of this.#harmony.peers()) {
      const told = present.get(uuid)
      expect(told?.size === groups.length, 'groups are those that were told')
      for (const group of groups) expect(told?.has(group) === true, 'a group that was told')
    }
  }

  // Bookkeeping.

  /** One that is open: accepted (-1), dialled (1) or any. */
  #pick(random: Random, sign: number): Connection | undefined {
    let found: Connection | undefined
    let count = 0
    for (const connection of this.#connections.values()) {
      if (connection.id * sign < 0) continue
      if (random.below(++count) === 0) found = connection
    }
    return found
  }

  #input(connection: Connection | undefined, line: string): void {
    this.#tally.inputs++
    if (connection?.up) this.#tally.ready++
    const uuid = connection?.peer?.uuid
    if (uuid !== undefined && this.#grammar.present.has(uuid)) this.#tally.entered++
    this.#note(line)
  }

  #note(line: string): void {
    this.#tally.note?.(`${this.#now}: ${line}`)
  }
}
