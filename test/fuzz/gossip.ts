/** Gossip: frames of strangers, as they are read and written, and what a table makes of them. */

import { WireError } from '../../protocol/errors.ts'
import {
  decodeGossip,
  encodeGossip,
  type GossipEffect,
  type GossipMessage,
  GossipTable,
  LEASE_MAX_MS,
} from '../../protocol/gossip.ts'
import { endpointOf, TTL_MS, uuidOf } from '../support/gossip.ts'
import { framesOf, loadVectors } from '../support/vectors.ts'
import { Draft } from './draft.ts'
import type { Random } from './random.ts'
import { expect, hex, ruleOf, same, type Tally, type Target, type Trial } from './trial.ts'

const TUPLES_MAX = 12
const CONNECTIONS = 6
const draft = new Draft()
const { vectors, behaviours } = loadVectors('gossip')
const FRAMES = [...vectors, ...behaviours].flatMap(({ bytes }) => framesOf(bytes))
const VALUES = ['', '|', 'tcp://vm:1', 'tcp://127.0.0.1:22', 'tcp://10.0.0.1:0', 'inproc://a']

export const gossipTarget: Target = {
  name: 'gossip',
  share: 10,
  stepsMax: 200,
  begin: (_random, tally) => new GossipTrial(tally),
  replay: (octets) => {
    for (const frame of [octets, octets.subarray(2)]) checkFrame(frame)
  },
}

/** What can be read is written as it came, unless its text was no UTF-8. */
function checkFrame(frame: Uint8Array): GossipMessage | undefined {
  let message: GossipMessage | undefined
  ruleOf(() => {
    message = decodeGossip([frame])
  })
  if (message === undefined) return undefined
  const restored = message.type === 'publish' && `${message.key}${message.value}`.includes('\ufffd')
  if (!restored) expect(same(encodeGossip(message), frame), 'encode(decode(x)) is x')
  return message
}

class GossipTrial implements Trial {
  readonly over = false
  readonly #tally: Tally
  readonly #table = new GossipTable({ uuid: uuidOf(1), ttlMs: TTL_MS, tuplesMax: TUPLES_MAX })
  /** Whether both ends of a connection understand leases, of those that are open. */
  readonly #lines = new Map<number, boolean>()
  #now = 0

  constructor(tally: Tally) {
    this.#tally = tally
    this.#table.publish(endpointOf(1), 0)
  }

  step(random: Random): void {
    const connection = 1 + random.below(CONNECTIONS)
    const kind = random.below(16)
    if (kind === 0) this.#toggle(random, connection)
    else if (kind === 1) {
      this.#now += random.below(random.once(8) ? 700_000 : 2_000)
      this.#table.handleTimeout(this.#now)
    } else if (kind === 2) this.#see(random)
    else if (kind === 3) this.#table.handleGoodbye(uuidOf(random.below(20)), this.#now)
    else this.#say(random, connection)
    this.#drain()
    this.#check()
  }

  /** All connections close, and time passes: nothing is believed any more. */
  end(): void {
    for (const connection of this.#lines.keys()) this.#table.handleClose(connection)
    this.#lines.clear()
    this.#now += LEASE_MAX_MS
    this.#table.handleTimeout(this.#now)
    this.#drain()
    const { tuples } = this.#table.diagnostics(this.#now)
    expect(
      tuples.every(({ state }) => state === 'gone'),
      'what nobody renews is gone',
    )
  }

  #see(random: Random): void {
    const quietMs = random.below(40_000)
    this.#table.handleSeen({ uuid: uuidOf(random.below(20)), quietMs }, this.#now)
  }

  #toggle(random: Random, connection: number): void {
    if (this.#lines.delete(connection)) {
      this.#table.handleClose(connection)
      return
    }
    const leases = random.once(2)
    const role = random.once(2) ? 'hub' : 'client'
    this.#lines.set(connection, leases)
    this.#table.handleOpen(connection, { role, leases, address: `10.0.1.${connection}` }, this.#now)
  }

  #say(random: Random, connection: number): void {
    const kind = random.below(8)
    if (kind < 2) draft.clear().copy(random.pick(FRAMES))
    else if (kind === 2) draft.clear().noise(random, random.below(60))
    else {
      const index = random.below(20)
      const isRight = random.below(4) > 0
      draft.clear().u32(0xaaa00201)
      draft.text1(random.once(10) ? 'no uuid' : uuidOf(index))
      draft.text4(isRight ? `tcp://10.0.0.${index}:${1 + random.below(3)}` : random.pick(VALUES))
      draft.u32(random.once(3) ? random.u32() : random.below(60_000))
    }
    if (kind > 5) draft.mutate(random)
    const frame = draft.take()
    this.#tally.inputs++
    this.#tally.note?.(`${connection}: ${hex(frame)}`)
    const message = checkFrame(frame)
    if (message !== undefined) this.#table.handleMessage(connection, message, this.#now)
  }

  #drain(): void {
    let count = 0
    for (let effect = this.#table.pollEffect(); effect; effect = this.#table.pollEffect()) {
      expect(++count <= 4 * CONNECTIONS * (TUPLES_MAX + 4), 'one input is not answered without end')
      this.#hear(effect)
    }
  }

  #hear(effect: GossipEffect): void {
    if (effect.type === 'close') {
      expect(this.#lines.delete(effect.connection), 'what is closed was open')
    } else if (effect.type === 'send') {
      const leases = this.#lines.get(effect.connection)
      expect(leases !== undefined, 'who is told something is there')
      const { message } = effect
      if (message.type !== 'publish') return
      expect(message.ttlMs <= (leases ? LEASE_MAX_MS : 0), 'a lease is for those who know it')
      try {
        decodeGossip([encodeGossip(message)])
      } catch (error) {
        expect(!(error instanceof WireError), 'what we say can be read')
        throw error
      }
    } else expect(effect.uuid !== uuidOf(1), 'nobody tells us of ourselves')
  }

  #check(): void {
    expect(this.#table.diagnostics(this.#now).tuples.length <= TUPLES_MAX, 'tuples are limited')
    const at = this.#table.pollTimeout()
    expect(Number.isFinite(at), 'there is always a next sweep')
  }
}
