// Harmony among strangers: whatever happens to it, in whatever order, its promises hold.

import fc from 'fast-check'
import t from 'tap'
import type { ConnectionId } from '../../protocol/peers.ts'
import type { ZreCommand } from '../../protocol/zre.ts'
import {
  content,
  deedsOf,
  endpointOf,
  harmonyOf,
  helloOf,
  identityOf,
  line,
  uuidOf,
} from '../support/harmony.ts'
import { holds } from '../support/holds.ts'
import { expect, Witness } from '../support/witness.ts'

const LIMITS = {
  peersMax: 3,
  peerGroupsMax: 2,
  dialsMax: 2,
  arrivalsMax: 2,
  queueBytesMax: 20,
  queueMessagesMax: 12,
  queueTotalBytesMax: 30,
}
const OVERFLOW = new Map([
  ['B', 'drop-newest'],
  ['C', 'drop-oldest'],
] as const)
const SOMEBODY = 4

const peer = fc.integer({ min: 0, max: SOMEBODY })
/** Which of the open connections is meant. */
const pick = fc.nat(9)
const group = fc.constantFrom('A', 'B', 'C')
const groups = fc.array(group, { maxLength: 3 })
const status = fc.nat(3)
const sequence = fc.oneof(
  { weight: 20, arbitrary: fc.constant('next' as const) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 2, 65_535) },
)

type Said = ZreCommand | { readonly type: 'unknown'; readonly id: number }

const said: fc.Arbitrary<Said> = fc.oneof(
  fc
    .record({ at: peer, groups, id: fc.nat(2), incarnation: fc.nat(3) })
    .map(({ at, groups, id, incarnation }) =>
      helloOf(at, { groups, headers: identityOf(id, incarnation) }),
    ),
  fc.record({ type: fc.constant('whisper' as const), content: fc.constant(content('hi')) }),
  fc.record({ type: fc.constant('shout' as const), group, content: fc.constant(content('hi')) }),
  fc.record({ type: fc.constantFrom('join' as const, 'leave' as const), group, status }),
  fc.record({ type: fc.constantFrom('ping' as const, 'ping-ok' as const, 'goodbye' as const) }),
  fc.record({ type: fc.constant('elect' as const), group, challenger: fc.constant('') }),
  fc.record({ type: fc.constant('leader' as const), group, leader: fc.constant('') }),
  fc.constant({ type: 'unknown' as const, id: 99 }),
)

function does<const D extends string, T extends object>(
  happening: D,
  parts: { [K in keyof T]: fc.Arbitrary<T[K]> },
): fc.Arbitrary<{ readonly do: D } & T> {
  return fc.record(parts).map((made) => ({ do: happening, ...(made as T) }))
}

/** What can happen. Peers have to enter often, or it would all be about strangers. */
const happening = fc.oneof(
  { weight: 6, arbitrary: does('met', { peer, groups, incarnation: fc.nat(3) }) },
  { weight: 12, arbitrary: does('heard', { pick, said, sequence }) },
  { weight: 1, arbitrary: does('answered', { pick, said }) },
  { weight: 2, arbitrary: does('discovered', { peer, at: peer }) },
  { weight: 2, arbitrary: does('seeded', { at: peer, peer: fc.option(peer, { nil: undefined }) }) },
  { weight: 2, arbitrary: does('hinted', { peer }) },
  { weight: 2, arbitrary: does('accepted', { peer: fc.option(peer, { nil: undefined }) }) },
  { weight: 2, arbitrary: does('reached', { pick, peer: fc.option(peer, { nil: undefined }) }) },
  { weight: 2, arbitrary: does('active', { pick }) },
  {
    weight: 3,
    arbitrary: does('ended', { pick, how: fc.constantFrom('lost', 'lost', 'refused') }),
  },
  {
    weight: 6,
    arbitrary: does('waited', { ms: fc.constantFrom(0, 50, 250, 1_500, 7_000, 30_000) }),
  },
  { weight: 1, arbitrary: does('slept', { ms: fc.nat(20_000) }) },
  { weight: 4, arbitrary: does('told', { peer, group }) },
  { weight: 4, arbitrary: does('answers', { pick }) },
  { weight: 2, arbitrary: does('returned', { peer, groups }) },
  { weight: 1, arbitrary: does('stalled', { pick }) },
  { weight: 1, arbitrary: does('restarted', {}) },
)

type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never

/** A node to which such things happen, one that keeps to the order in which connections come and go. */
class Life {
  readonly harmony = harmonyOf({ limits: LIMITS, overflow: OVERFLOW })
  readonly witness = new Witness()
  readonly log: string[] = []
  readonly #heard = new Map<ConnectionId, number>()
  readonly #stalled = new Set<ConnectionId>()
  #now = 0
  #acceptedCount = 0

  constructor() {
    this.harmony.start(endpointOf(0))
  }

  live(happening: Happening): void {
    switch (happening.do) {
      case 'discovered':
        this.#discover(happening.peer, happening.at)
        break
      case 'seeded':
        this.#seed(happening)
        break
      case 'met':
        this.#meet(happening)
        break
      case 'hinted':
        this.harmony.handleGoodbyeHint(uuidOf(happening.peer), this.#now)
        break
      case 'accepted':
        this.#accept(happening.peer)
        break
      case 'reached': {
        const dialled = [...this.witness.connections].filter(([, { up }]) => !up)
        const found = dialled[happening.pick % dialled.length]
        if (found !== undefined) this.#up(found[0], { peer: happening.peer })
        break
      }
      case 'answers':
        this.#measured(this.#pick(happening.pick, 1))
        break
      case 'returned':
        this.#return(happening)
        break
      case 'stalled':
        this.#stalled.add(this.#pick(happening.pick, 1))
        break
      case 'heard':
        this.#hear(this.#pick(happening.pick, -1), happening.said, happening.sequence)
        break
      case 'answered':
        this.#hear(this.#pick(happening.pick, 1), happening.said, 'next')
        break
      case 'active':
        this.harmony.handleActivity(this.#pick(happening.pick), this.#now)
        break
      case 'ended':
        this.#end(this.#pick(happening.pick), happening.how)
        break
      case 'waited':
        this.wait(happening.ms)
        break
      case 'slept':
        this.#now += happening.ms
        break
      case 'told':
        this.harmony.shout(happening.group, content('hi'), this.#now)
        this.harmony.whisper(uuidOf(happening.peer), content('hi'), this.#now)
        if (!this.harmony.join(happening.group, this.#now))
          this.harmony.leave(happening.group, this.#now)
        break
      case 'restarted':
        this.harmony.stop()
        this.#drain()
        this.witness.connections.clear()
        this.harmony.finish()
        this.harmony.start(endpointOf(0))
        break
    }
    this.wait(0)
    this.#check()
  }

  /** Goes on, doing what is due when it is due. */
  wait(ms: number): void {
    const end = this.#now + ms
    this.#drain()
    for (let due = this.harmony.pollTimeout(); due <= end; due = this.harmony.pollTimeout()) {
      this.#now = Math.max(this.#now, due)
      this.harmony.handleTimeout(this.#now)
      expect(this.harmony.pollTimeout() > this.#now, `nothing more is due at ${this.#now}`)
      this.#drain()
      this.#check()
    }
    this.#now = end
  }

  get over(): boolean {
    const { peers, messages, ...left } = this.harmony.diagnostics(this.#now)
    const { connections, dials, arrivals } = left
    expect(peers.length + connections + dials + arrivals === 0, 'nothing is left behind')
    expect(messages.waiting + messages.unconfirmed === 0, 'no message is left behind')
    expect(this.harmony.peerGroups().length === 0, 'no group is left behind')
    expect(this.witness.present.size + this.witness.connections.size === 0, 'all have left')
    return this.harmony.pollTimeout() === Number.POSITIVE_INFINITY
  }

  #discover(peer: number, at: number): void {
    const node = { uuid: uuidOf(peer), endpoint: endpointOf(at), source: 'beacon' as const }
    this.harmony.handleDiscovered(node, this.#now)
    this.wait(0)
  }

  /** A seed is reached, and says who it is, or is heard from its address. */
  #seed({ at, peer }: { readonly at: number; readonly peer: number | undefined }): void {
    this.harmony.handleSeed(endpointOf(at), this.#now)
    this.wait(10)
    const ours = [...this.witness.connections].find(
      ([, { up, endpoint }]) => !up && endpoint === endpointOf(at),
    )
    if (ours === undefined) return
    this.#up(ours[0], { peer })
    const theirs = this.#accept(peer ?? at, { address: `10.0.0.${at}` })
    this.#hear(theirs, helloOf(at), 'next')
  }

  /** A peer is discovered, and all goes well. */
  #meet({
    peer,
    groups,
    incarnation = 0,
  }: {
    readonly peer: number
    readonly groups: readonly string[]
    readonly incarnation?: number
  }): void {
    this.#discover(peer, peer)
    const ours = [...this.witness.connections].find(
      ([, { up, endpoint }]) => !up && endpoint === endpointOf(peer),
    )
    if (ours !== undefined) this.#up(ours[0], { peer })
    const theirs = this.#accept(peer)
    const headers = identityOf(peer % 2, incarnation)
    this.#hear(theirs, helloOf(peer, { groups, headers }), 'next')
  }

  /** A peer comes in, its links are lost when it has read all, and both come back as if nothing had been. */
  #return({ peer, groups }: { readonly peer: number; readonly groups: readonly string[] }): void {
    this.#meet({ peer, groups })
    const met = this.harmony.diagnostics(this.#now).peers.find(({ uuid }) => uuid === uuidOf(peer))
    if (met === undefined) return
    const { inbound, outbound } = met.connections
    this.wait(100)
    if (this.witness.connections.has(outbound)) {
      this.#measured(outbound)
      this.#end(outbound, 'lost')
    }
    if (this.witness.connections.has(inbound)) this.#end(inbound, 'lost')
    this.wait(100)
    const again = this.#accept(peer, { sequence: met.wantSequence })
    this.#heard.set(again, met.wantSequence)
    const ours = [...this.witness.connections].find(([, { up }]) => !up)?.[0]
    if (ours === undefined) return
    this.#up(ours, { peer })
    this.#measured(ours)
  }

  #measured(connection: ConnectionId): void {
    this.harmony.handleLink(connection, { type: 'measured', roundTripMs: 1 }, this.#now)
    this.wait(0)
  }

  #accept(
    peer: number | undefined,
    from: { readonly sequence?: number; readonly address?: string } = {},
  ): ConnectionId {
    const connection = -++this.#acceptedCount
    this.#up(connection, { peer, ...from })
    return connection
  }

  #up(
    connection: ConnectionId,
    {
      peer,
      sequence,
      address = '10.0.0.9',
    }: {
      readonly peer: number | undefined
      readonly sequence?: number | undefined
      readonly address?: string
    },
  ): void {
    const uuid = peer === undefined ? undefined : uuidOf(peer)
    this.witness.up(connection)
    const up = { type: 'up', uuid, address, answers: peer !== 3, sequence } as const
    this.harmony.handleLink(connection, up, this.#now)
    this.wait(0)
  }

  #hear(connection: ConnectionId, said: Said, given: number | 'next'): void {
    const next = ((this.#heard.get(connection) ?? 0) + 1) & 0xffff
    const sequence = given === 'next' ? next : given
    this.#heard.set(connection, sequence)
    this.harmony.handleMessage(connection, { ...said, sequence }, this.#now)
  }

  #end(connection: ConnectionId, type: 'lost' | 'refused'): void {
    this.witness.connections.delete(connection)
    this.harmony.handleLink(connection, { type, reason: type }, this.#now)
    this.wait(0)
  }

  #pick(pick: number, sign = 0): ConnectionId {
    const open = [...this.witness.connections.keys()].filter((connection) => connection * sign >= 0)
    return open[pick % open.length] ?? 0
  }

  #drain(): void {
    for (const effect of deedsOf(this.harmony, { now: this.#now, stalled: this.#stalled })) {
      this.log.push(line(effect))
      this.witness.see(effect)
    }
  }

  #check(): void {
    const { peers, connections, dials, arrivals, messages } = this.harmony.diagnostics(this.#now)
    expect(peers.length <= LIMITS.peersMax, 'peersMax')
    expect(arrivals <= LIMITS.arrivalsMax, 'arrivalsMax')
    expect(dials <= 2 * LIMITS.dialsMax, 'dialsMax')
    const { sent, waiting, unconfirmed, confirmed, lost, dropped, waitingBytes } = messages
    expect(sent === waiting + unconfirmed + confirmed + lost + dropped, 'each message is counted')
    expect(Math.min(sent, waiting, unconfirmed, confirmed, lost, dropped) >= 0, 'no count below 0')
    // The largest message of each mailbox is not counted.
    expect(waitingBytes <= LIMITS.queueTotalBytesMax + 2 * LIMITS.peersMax, 'queueTotalBytesMax')
    for (const { waiting, waitingBytes } of peers) {
      expect(waiting <= LIMITS.queueMessagesMax, 'queueMessagesMax')
      expect(waitingBytes <= LIMITS.queueBytesMax + 2 * 2, 'queueBytesMax')
    }
    expect(dials === this.witness.dials, 'dials are those in flight')
    expect(connections === this.witness.connections.size, 'connections are those that are open')
    for (const { groups } of peers) expect(groups.length <= LIMITS.peerGroupsMax, 'peerGroupsMax')
    const present = peers.filter(({ state }) => /entered|evasive|silent/.test(state))
    expect(present.length === this.witness.present.size, 'who is there has entered')
    for (const { uuid, groups } of present) {
      const told = this.witness.present.get(uuid) ?? new Set()
      expect(groups.join() === [...told].join(), 'groups are those that were told')
    }
    this.log.push(`${this.#now} ${this.harmony.pollTimeout()}`)
  }
}

const story = fc.array(happening, { maxLength: 60, size: 'max' })

function lifeOf(happenings: readonly Happening[]): Life {
  const life = new Life()
  for (const happening of happenings) life.live(happening)
  return life
}

holds(t, 'its promises hold whatever happens (harmony.md 3.4 and 7.1 to 7.5)', story, (story) => {
  const life = lifeOf(story)
  life.wait(100_000)
  return life.over
})

holds(t, 'a replay gives the same effects', story, (story) => {
  const [first, second] = [lifeOf(story), lifeOf(story)]
  return first.log.join('\n') === second.log.join('\n')
})

t.test('the stories are not all about strangers', async (t) => {
  const lives = fc.sample(story, { numRuns: 200, seed: 1 }).map(lifeOf)
  const told = new Set(
    lives.flatMap(({ log }) =>
      log.map((text) => text.replace(/p\d/, 'p').replace(/ lost \d+/, '')),
    ),
  )
  for (const text of ['enter p', 'evasive p', 'silent p', 'whisper p hi', 'shout p A hi']) {
    t.ok(told.has(text), text)
  }
  for (const type of ['returned', 'went-on', 'link-lost', 'lost']) {
    t.ok(told.has(`trace ${type}`), type)
  }
  for (const cause of ['goodbye', 'expired', 'restart', 'link', 'sequence', 'limit', 'refused']) {
    t.ok(told.has(`exit p ${cause}`), cause)
  }
  t.ok(told.has('exit p stop'))
})
