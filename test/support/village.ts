/**
 * A network in a test: some nodes, each a Harmony, and pipes between them instead of sockets. Octets take a while that a
 * seed decides, a pipe can break so that one side, both or nobody notices, and time passes when the test says so.
 */

import type { Uuid } from '../../protocol/bytes.ts'
import type { Home } from '../../protocol/endpoints.ts'
import type { Harmony, LinkChange } from '../../protocol/harmony.ts'
import type { ConnectionId } from '../../protocol/peers.ts'
import { decodeZre, encodeZre, type Frames } from '../../protocol/zre.ts'
import {
  content,
  type Deed,
  deedsOf,
  endpointOf,
  harmonyOf,
  identityOf,
  line,
  uuidOf,
} from './harmony.ts'
import { expect, Witness } from './witness.ts'

/** One connection: `from` dialled `to`. A side is open until it closed the pipe or was told that it is lost. */
type Pipe = {
  readonly from: Villager
  readonly to: Villager
  readonly dialled: ConnectionId
  readonly accepted: ConnectionId
  fromOpen: boolean
  toOpen: boolean
  /** Nothing passes any more, whether anybody knows it or not. */
  broken: boolean
  held: boolean
  /** What has arrived and is not read: messages, and at last the end. */
  readonly inbox: (Frames | 'ping' | 'end')[]
  arrivesAt: number
  /** The one before, whose rest this is. */
  readonly before: Pipe | undefined
  /** The whispers that went in and those that came out. */
  readonly sent: string[]
  readonly received: string[]
}

type Villager = {
  readonly number: number
  readonly uuid: Uuid
  readonly harmony: Harmony
  readonly witness: Witness
  readonly pipes: Map<ConnectionId, Pipe>
  readonly log: string[]
  acceptedCount: number
  alive: boolean
  /** How many of its messages it told to be lost. */
  lostCount: number
}

export type Notice = 'both' | 'dialler' | 'inbox' | 'nobody'

export class Village {
  now = 0
  readonly villagers: Villager[] = []
  readonly pipes: Pipe[] = []
  /** Of ten beacons so many are lost. */
  beaconLoss = 0
  readonly #identities: boolean
  #whispers = 0
  #seed: number
  readonly #plans: { readonly at: number; readonly run: () => void }[] = []
  readonly #apart = new Set<string>()
  #reading: Pipe | undefined
  /** Whether all have IPv6 beside IPv4. */
  readonly #isDual: boolean

  constructor(seed: number, size: number, { isDual = false } = {}) {
    this.#seed = seed
    this.#identities = seed % 2 === 0
    this.#isDual = isDual
    for (let number = 1; number <= size; number++) this.settle(number)
  }

  /** A number below `limit`. */
  random(limit: number): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#seed ^ (this.#seed >>> 15), 1 | this.#seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }

  get living(): Villager[] {
    return this.villagers.filter(({ alive }) => alive)
  }

  /** A new node, at the endpoint of that number; its uuid is new as well. */
  settle(number: number): void {
    const node = 16 * number + this.villagers.length
    // In half of all villages, a node in the place of another one says that it was that.
    const headers = this.#identities ? identityOf(number, this.villagers.length) : {}
    const harmony = harmonyOf({ node, headers })
    const villager: Villager = {
      number,
      uuid: uuidOf(node),
      harmony,
      witness: new Witness(),
      pipes: new Map(),
      log: [],
      acceptedCount: 0,
      alive: true,
      lostCount: 0,
    }
    this.villagers.push(villager)
    harmony.start(endpointOf(number), this.#homesOf(number))
    this.#beacon(villager)
  }

  /** Lets time pass. */
  pass(ms: number): void {
    const end = this.now + ms
    for (;;) {
      const plan = this.#plans[0]
      let at = plan?.at ?? Number.POSITIVE_INFINITY
      for (const { alive, harmony } of this.villagers) {
        if (alive) at = Math.min(at, harmony.pollTimeout())
      }
      if (at > end) break
      this.now = Math.max(this.now, at)
      if (plan !== undefined && plan.at <= this.now) {
        this.#plans.shift()
        plan.run()
      }
      for (const villager of this.villagers) {
        if (!villager.alive || villager.harmony.pollTimeout() > this.now) continue
        villager.harmony.handleTimeout(this.now)
        expect(villager.harmony.pollTimeout() > this.now, 'nothing more is due')
        this.#drain(villager)
      }
    }
    this.now = end
  }

  whisper(from: Villager, to: Villager): void {
    from.harmony.whisper(to.uuid, content(`${++this.#whispers}`), this.now)
    this.#drain(from)
  }

  /** In if it is out, out if it is in. */
  turn(villager: Villager, group: string): void {
    if (!villager.harmony.join(group, this.now)) villager.harmony.leave(group, this.now)
    this.#drain(villager)
  }

  /** What is on its way is gone. Who notices, does so soon; who does not, hopes. */
  cut(pipe: Pipe, notice: Notice): void {
    pipe.broken = true
    if (notice === 'both' || notice === 'dialler') this.#tell(pipe, 'from')
    if (notice === 'both' || notice === 'inbox') this.#tell(pipe, 'to')
  }

  /** Two can reach each other no more, or again. */
  apart(one: Villager, other: Villager, apart: boolean): void {
    for (const key of [pair(one, other), pair(other, one)]) {
      if (apart) this.#apart.add(key)
      else this.#apart.delete(key)
    }
    if (!apart) return
    for (const pipe of this.pipes) {
      if (pair(pipe.from, pipe.to) === pair(one, other)) this.cut(pipe, 'nobody')
      if (pair(pipe.from, pipe.to) === pair(other, one)) this.cut(pipe, 'nobody')
    }
  }

  together(): void {
    this.#apart.clear()
  }

  /** The process is gone; the others may be told by their TCP. */
  kill(villager: Villager, notice: boolean): void {
    villager.alive = false
    for (const pipe of this.pipes) {
      if (pipe.from === villager) this.cut(pipe, notice ? 'inbox' : 'nobody')
      if (pipe.to === villager) this.cut(pipe, notice ? 'dialler' : 'nobody')
    }
  }

  /** It stops politely, and starts again as the same node. */
  restart(villager: Villager): void {
    villager.harmony.stop()
    this.#drain(villager)
    for (const connection of [...villager.pipes.keys()]) this.#close(villager, connection)
    villager.harmony.finish()
    villager.pipes.clear()
    villager.witness.connections.clear()
    for (const other of this.living) if (this.random(2) === 0) this.hint(villager, other)
    villager.harmony.start(endpointOf(villager.number), this.#homesOf(villager.number))
  }

  /** A beacon with port 0, true or forged. */
  hint(about: Villager, to: Villager): void {
    this.#later(this.random(20), () => {
      to.harmony.handleGoodbyeHint(about.uuid, this.now)
      this.#drain(to)
    })
  }

  /** It is told that there is a node, at the endpoint of that number, which may be its own, or at its other address. */
  seed(villager: Villager, number: number, isOther = false): void {
    const endpoint = isOther ? otherOf(number) : endpointOf(number)
    villager.harmony.handleSeed(endpoint, this.now)
    this.#drain(villager)
  }

  /** A beacon that says that a node is somewhere. */
  announce(about: Villager, to: Villager, endpoint = endpointOf(about.number)): void {
    this.#later(this.random(20), () => {
      if (!to.alive) return
      to.harmony.handleDiscovered({ uuid: about.uuid, endpoint, source: 'beacon' }, this.now)
      this.#drain(to)
    })
  }

  /** How many enters and exits there have been. */
  comings(): number {
    const lines = this.villagers.flatMap(({ log }) => log)
    return lines.filter((text) => / (enter|exit) /.test(text)).length
  }

  /** What is wrong with it: nothing, when all see each other and each whisper came as it should. */
  complaints(): string[] {
    const complaints: string[] = []
    const living = this.living.sort((one, other) => (one.uuid < other.uuid ? -1 : 1))
    const expected = (villager: Villager) =>
      living
        .filter((other) => other !== villager)
        .map(({ uuid, harmony }) => `${uuid.slice(0, 4)} ${harmony.ownGroups().sort()}`)
    for (const villager of living) {
      const seen = villager.harmony
        .peers()
        .sort((one, other) => (one.uuid < other.uuid ? -1 : 1))
        .map(({ uuid, groups }) => `${uuid.slice(0, 4)} ${[...groups].sort()}`)
      const wanted = expected(villager)
      if (seen.join() !== wanted.join()) {
        complaints.push(`${villager.uuid.slice(0, 4)} sees ${seen.join('; ')}, not ${wanted}`)
      }
      const { counters } = villager.harmony.diagnostics(this.now)
      if ('message-while-held' in counters) complaints.push('what was held was read')
    }
    for (const { before, sent } of this.pipes) {
      // A link that goes on has lost nothing.
      if (sent.length === 0 || before === undefined) continue
      if (before.sent.join() !== before.received.join()) complaints.push(`${before.sent} has gaps`)
    }
    for (const { harmony, lostCount } of this.living) {
      const { sent, waiting, unconfirmed, confirmed, lost } = harmony.diagnostics(this.now).messages
      const sum = waiting + unconfirmed + confirmed + lost
      if (sent !== sum) complaints.push(`${sent} messages became ${sum}`)
      if (lost !== lostCount) complaints.push(`${lost} are lost, told were ${lostCount}`)
    }
    const links = this.pipes.filter((pipe) => !pipe.broken && pipe.fromOpen && pipe.toOpen)
    for (const [index, { from, to }] of links.entries()) {
      const isSecond = links.slice(0, index).some((link) => link.from === from && link.to === to)
      if (isSecond) complaints.push(`${from.number} has two links to ${to.number}`)
    }
    for (const { sent, received, broken, fromOpen, toOpen } of this.pipes) {
      const whole = !broken && fromOpen && toOpen
      const wanted = whole ? sent : sent.slice(0, received.length)
      if (received.join() !== wanted.join()) complaints.push(`${sent} came as ${received}`)
    }
    return complaints
  }

  #beacon(villager: Villager): void {
    if (!villager.alive) return
    for (const other of this.living) {
      const cut = this.#apart.has(pair(villager, other)) || this.random(10) < this.beaconLoss
      if (other === villager || cut) continue
      for (const { endpoint } of this.#homesOf(villager.number)) {
        if (!this.#isDual || this.random(10) >= this.beaconLoss)
          this.announce(villager, other, endpoint)
      }
    }
    this.#later(1_000, () => this.#beacon(villager))
  }

  #homesOf(number: number): Home[] {
    const ipv4 = { endpoint: endpointOf(number), bits: 24 }
    return this.#isDual ? [ipv4, { endpoint: `tcp://[fd00::${number}]:49152`, bits: 64 }] : [ipv4]
  }

  /** What is planned for the same instant happens in the order in which it was planned. */
  #later(ms: number, run: () => void): void {
    const at = this.now + ms
    const before = this.#plans.findLastIndex((plan) => plan.at <= at)
    this.#plans.splice(before + 1, 0, { at, run })
  }

  #drain(villager: Villager): void {
    for (const effect of deedsOf(villager.harmony, this)) {
      if (effect.type !== 'trace') villager.log.push(`${this.now} ${line(effect)}`)
      villager.witness.see(effect)
      if (effect.type === 'exit') {
        villager.lostCount += effect.lost
      } else if (effect.type === 'trace' && effect.trace.type === 'lost') {
        villager.lostCount += Number.parseInt(effect.trace.reason ?? '', 10)
      }
      this.#execute(villager, effect)
    }
  }

  #execute(villager: Villager, effect: Deed): void {
    switch (effect.type) {
      case 'dial':
        this.#later(1 + this.random(20), () => this.#reach(villager, effect))
        break
      case 'send': {
        const pipe = villager.pipes.get(effect.connection)
        if (pipe === undefined) return
        if (effect.command.type === 'whisper') pipe.sent.push(decodeText(effect.command.content))
        this.#carry(pipe, encodeZre(effect.command, effect.sequence))
        break
      }
      case 'close':
        this.#close(villager, effect.connection)
        break
      case 'hold':
      case 'resume': {
        const pipe = villager.pipes.get(effect.connection)
        if (pipe === undefined) return
        pipe.held = effect.type === 'hold'
        this.#later(0, () => this.#read(pipe))
        break
      }
      case 'whisper':
        this.#reading?.received.push(decodeText(effect.content))
        break
      case 'measure': {
        const pipe = villager.pipes.get(effect.connection)
        if (pipe !== undefined) this.#carry(pipe, 'ping')
        break
      }
    }
  }

  #reach(from: Villager, { connection, endpoint, sequence }: Deed & { type: 'dial' }): void {
    if (!from.alive || !from.witness.connections.has(connection)) return
    const isThere = (number: number) =>
      otherOf(number) === endpoint ||
      this.#homesOf(number).some((home) => home.endpoint === endpoint)
    const to = this.living.find(({ number }) => isThere(number))
    if (to === undefined || this.#apart.has(pair(from, to))) {
      this.#link(from, connection, { type: 'lost', reason: 'nobody is there' })
      return
    }
    const accepted = -++to.acceptedCount
    const pipe: Pipe = {
      from,
      to,
      dialled: connection,
      accepted,
      fromOpen: true,
      toOpen: true,
      broken: false,
      held: false,
      inbox: [],
      arrivesAt: 0,
      before: sequence === undefined ? undefined : this.#lastPipe(from, to),
      sent: [],
      received: [],
    }
    this.pipes.push(pipe)
    from.pipes.set(connection, pipe)
    to.pipes.set(accepted, pipe)
    // Every other inbox says who it is, as those of Lyre do.
    const uuid = to.number % 2 === 0 ? to.uuid : undefined
    const up = { type: 'up', answers: true } as const
    const network = endpoint.includes('[') ? 'fd00::' : '10.0.0.'
    const [here, there] = [`${network}${from.number}`, `${network}${to.number}`]
    this.#link(to, accepted, { ...up, uuid: from.uuid, address: here, sequence })
    this.#link(from, connection, { ...up, uuid, address: there, sequence: undefined })
  }

  #lastPipe(from: Villager, to: Villager): Pipe | undefined {
    return this.pipes.findLast((pipe) => pipe.from === from && pipe.to === to)
  }

  #link(villager: Villager, connection: ConnectionId, change: LinkChange): void {
    if (!villager.alive) return
    if (change.type === 'up') {
      villager.witness.up(connection)
    } else if (change.type !== 'measured') {
      villager.witness.connections.delete(connection)
      villager.pipes.delete(connection)
    }
    villager.harmony.handleLink(connection, change, this.now)
    this.#drain(villager)
  }

  #carry(pipe: Pipe, item: Frames | 'ping' | 'end'): void {
    pipe.arrivesAt = Math.max(pipe.arrivesAt, this.now + this.random(20))
    this.#later(pipe.arrivesAt - this.now, () => {
      if (pipe.broken && item !== 'end') return
      pipe.inbox.push(item)
      if (!pipe.toOpen || !pipe.to.alive) return
      pipe.to.harmony.handleActivity(pipe.accepted, this.now)
      this.#drain(pipe.to)
      this.#read(pipe)
    })
  }

  #read(pipe: Pipe): void {
    // Of one that is held, a mesh sees that it closed. With one address each, it may as well see that late.
    const isOver = pipe.held && pipe.inbox.at(-1) === 'end' && this.#isDual
    if (isOver) pipe.inbox.splice(0, pipe.inbox.length - 1)
    while ((!pipe.held || isOver) && pipe.toOpen && pipe.to.alive) {
      const item = pipe.inbox.shift()
      if (item === undefined) return
      if (item === 'ping') {
        this.#later(this.random(20), () => this.#answer(pipe))
        continue
      }
      if (item === 'end') {
        pipe.toOpen = false
        this.#link(pipe.to, pipe.accepted, { type: 'lost', reason: 'end of stream' })
        return
      }
      pipe.to.harmony.handleMessage(pipe.accepted, decodeZre(item), this.now)
      this.#reading = pipe
      this.#drain(pipe.to)
      this.#reading = undefined
    }
  }

  #answer(pipe: Pipe): void {
    if (pipe.broken || !pipe.fromOpen || !pipe.toOpen) return
    this.#link(pipe.from, pipe.dialled, { type: 'measured', roundTripMs: 20 })
  }

  #close(villager: Villager, connection: ConnectionId): void {
    const pipe = villager.pipes.get(connection)
    if (pipe === undefined) return
    villager.pipes.delete(connection)
    if (connection > 0) {
      pipe.fromOpen = false
      if (!pipe.broken) this.#carry(pipe, 'end')
    } else {
      pipe.toOpen = false
      if (!pipe.broken) this.#tell(pipe, 'from')
    }
  }

  #tell(pipe: Pipe, side: 'from' | 'to'): void {
    if (side === 'to') {
      this.#carry(pipe, 'end')
      return
    }
    this.#later(this.random(100), () => {
      if (!pipe.fromOpen) return
      pipe.fromOpen = false
      this.#link(pipe.from, pipe.dialled, { type: 'lost', reason: 'reset' })
    })
  }
}

/** Where a node can be reached as well, though nobody is told. */
function otherOf(number: number): string {
  return `tcp://10.0.1.${number}:49152`
}

function pair(from: Villager, to: Villager): string {
  return `${from.number} ${to.number}`
}

function decodeText(frames: Frames): string {
  return frames.map((frame) => new TextDecoder().decode(frame)).join()
}
