// What the applications of a run do: each workload starts and stops nodes, joins, leaves, whispers and shouts, between
// begin() and end(), and draws from streams of its own. Contents are unique, so that a message can be told from all others.

import type { LyreEvent } from '../src/events.ts'
import type { Lyre } from '../src/lyre.ts'
import type { LyreOptions } from '../src/options.ts'
import type { Cast, Seat } from './cast.ts'
import type { Random } from './random.ts'

/** The workloads there are. */
export type WorkloadName =
  | 'book'
  | 'flap'
  | 'flashcrowd'
  | 'rolling'
  | 'sleepers'
  | 'roam'
  | 'soak'
  | 'mesh'
  | 'flood'
  | 'hostile'

/** What each is, in a line. */
export const WORKLOADS: Readonly<Record<WorkloadName, string>> = {
  book: 'the tester of the ZeroMQ guide: random starts and stops, groups, whispers and shouts that are answered',
  flap: 'several hundred groups, joined and left in bursts, and mailboxes that hold ten messages',
  flashcrowd: 'all start within a second, talk, and stop within another',
  rolling: 'one after the other is stopped or killed and replaced by another node at the same port',
  sleepers: 'a fifth of the nodes sleep for minutes, like laptops',
  roam: 'all are on two subnets; cables are pulled, addresses change, laptops are closed and clocks are set',
  soak: 'all are there, and say little, for as long as it takes',
  mesh: 'all start within a second, and say nothing: a full mesh from nothing',
  flood:
    'a fifth of the nodes send far more than others take, a megabyte at once, and join a thousand groups',
  hostile: 'as book, among nodes that keep to no protocol',
}

/** The applications of a run. */
export interface Workload {
  /** How the node of a place is created, and on which subnets its machine is. */
  options(index: number): LyreOptions
  readonly subnets: readonly string[]
  /** A node was created. */
  birth(seat: Seat): void
  /** From now on they act. */
  begin(cast: Cast): void
  /** They only answer no more; nodes that run go on running. */
  end(): void
}

/** The first octets of each content: how often an answer may still be answered, and a number that no other has. */
const HEAD_BYTES = 9
/** Octets of frames that follow the first: the next size is encoded otherwise, or nothing is. */
const EDGES: readonly number[] = [0, 1, 255, 256, 246, 247, 3_000]
const HOPS_MAX = 3
const HOUR_MS = 3_600_000
/** As many as a run can have. */
const NODES_MAX = 10_000
/** Messages that a mailbox holds among those that are flooded. */
const FLOOD_MESSAGES_MAX = 20
const GROUPS = Array.from({ length: 10 }, (_, index) => `GROUP00${index}`)

/** Makes the applications of a run. */
export function createWorkload(name: WorkloadName, random: Random): Workload {
  switch (name) {
    case 'book':
    case 'hostile':
      return new Book(random)
    case 'flap':
      return new Flap(random)
    case 'flashcrowd':
      return new FlashCrowd(random)
    case 'rolling':
      return new Rolling(random)
    case 'sleepers':
      return new Sleepers(random)
    case 'roam':
      return new Roam(random)
    case 'soak':
      return new Soak(random)
    case 'mesh':
      return new FullMesh(random)
    case 'flood':
      return new Flood(random)
  }
}

/** Somebody who answers. */
interface Actor {
  readonly seat: Seat
  readonly random: Random
}

/** What all of them do: answer what they hear, and act now and then. */
abstract class Talk implements Workload {
  readonly subnets: readonly string[] = ['lan']
  protected readonly random: Random
  protected cast: Cast | undefined
  readonly #actors = new WeakMap<Lyre, Actor>()
  #isHeard = false
  #contentCount = 0
  #calls: (() => void)[] = []

  constructor(random: Random) {
    this.random = random
  }

  options(_index: number): LyreOptions {
    return {}
  }

  birth(seat: Seat): void {
    const { lyre } = seat
    this.#actors.set(lyre, { seat, random: this.random.fork(`answers of ${lyre.uuid}`) })
  }

  begin(cast: Cast): void {
    this.cast = cast
    if (!this.#isHeard) {
      cast.simulation.react(({ lyre }, event) => {
        const actor = lyre && this.#actors.get(lyre)
        if (actor !== undefined) this.#answer(actor, event)
      })
    }
    this.#isHeard = true
    this.act(cast)
  }

  end(): void {
    this.cast = undefined
    for (const call of this.#calls) call()
    this.#calls = []
  }

  /** Begins all that is done again and again. */
  protected abstract act(cast: Cast): void

  /** Does something with this time in between, as a mean, until the end. */
  protected again(name: string, gapMs: number, act: (random: Random, cast: Cast) => void): void {
    const { cast } = this
    if (cast === undefined) return
    const random = this.random.fork(`${name} from ${cast.simulation.now}`)
    const index = this.#calls.length
    const wait = () => {
      this.#calls[index] = cast.simulation.schedule(random.between(1, 2 * gapMs), () => {
        act(random, cast)
        wait()
      })
    }
    wait()
  }

  /** Somebody shouts to one of these groups, with this time in between, as a mean. */
  protected shouts(gapMs: number, groups: readonly string[]): void {
    this.again('shouts', gapMs, (random, cast) => {
      const seat = cast.pick(random)
      if (seat !== undefined) this.shout(seat, random.pick(groups), random)
    })
  }

  /** Does something once, unless the end comes first. */
  protected later(cast: Cast, ms: number, act: () => void): void {
    this.#calls.push(cast.simulation.schedule(ms, act))
  }

  /** One frame mostly; each sixteenth has more, of sizes at which encodings change. */
  protected content(random: Random, hops: number): Uint8Array[] {
    const bytes = new Uint8Array(HEAD_BYTES + sizeOf(random))
    const number = ++this.#contentCount
    bytes[0] = hops
    new DataView(bytes.buffer).setFloat64(1, number)
    if (number % 16 !== 0) return [bytes]
    const turn = number / 16
    const sizes = EDGES.slice(turn % EDGES.length).slice(0, 1 + (turn % 3))
    return [bytes, ...sizes.map((size) => new Uint8Array(size).fill(number))]
  }

  protected whisper(seat: Seat, uuid: string, random: Random): void {
    seat.lyre.whisper(uuid, this.content(random, HOPS_MAX))
  }

  protected shout(seat: Seat, group: string, random: Random, hops = HOPS_MAX): void {
    seat.lyre.shout(group, this.content(random, hops))
  }

  /** Joins a group, or leaves it. */
  protected toggle({ lyre }: Seat, group: string): void {
    if (!lyre.join(group)) lyre.leave(group)
  }

  /** As the tester of the guide does: whispers are answered half the time, shouts a third of it; within the event. */
  #answer({ seat, random }: Actor, event: LyreEvent): void {
    switch (event.type) {
      case 'enter':
        this.whisper(seat, event.peer.uuid, random)
        break
      case 'exit':
        if (event.cause !== 'stop') this.whisper(seat, event.peer.uuid, random)
        break
      case 'whisper':
        if (this.cast === undefined || random.chance(0.5)) break
        this.whisper(seat, event.peer.uuid, random)
        break
      case 'shout': {
        if (this.cast === undefined) break
        const { peer, group, content } = event
        const hops = content[0]?.[0] ?? 0
        if (random.chance(1 / 3)) this.whisper(seat, peer.uuid, random)
        // A third of a large group would be many times more each time: one of the group at most answers, on average.
        const members = Math.max(3, seat.lyre.peersInGroup(group).length)
        if (hops > 0 && random.below(members) === 0) this.shout(seat, group, random, hops - 1)
        break
      }
      default:
        break
    }
  }
}

/** Mostly small; now and then what takes several frames, and seldom much. */
function sizeOf(random: Random): number {
  const kind = random.below(1_000)
  if (kind < 900) return kind % 40
  return kind < 998 ? random.below(2_000) : random.below(100_000)
}

class Book extends Talk {
  protected act(cast: Cast): void {
    if (cast.awake.length === 0) {
      for (const seat of cast.seats) {
        if (seat.index % 2 === 0) cast.start(seat, { anew: false })
      }
    }
    this.again('start or stop', 750, (random) => {
      const seat = random.pick(cast.seats)
      const anew = random.chance(0.8)
      const lingerMs = random.chance(0.2) ? 0 : 1_000
      if (seat.state === 'started') cast.stop(seat, lingerMs)
      else if (seat.state === 'stopped') cast.start(seat, { anew })
    })
    // Each node each second; in a large network, ten changes a second in all, or there is nothing but JOINs.
    const gapMs = Math.max(1_000, 100 * cast.seats.length)
    for (const { index } of cast.seats) {
      this.again(`groups of ${index}`, gapMs, (random) => {
        const seat = cast.seats[index] as Seat
        const group = random.pick(GROUPS)
        const shouts = random.below(10) === 0
        if (seat.asleep || seat.state === 'crashed') return
        this.toggle(seat, group)
        if (shouts) this.shout(seat, random.pick(GROUPS), random)
      })
    }
  }
}

class Flap extends Talk {
  readonly #groups = Array.from({ length: 300 }, (_, index) => `FLAP${index}`)

  override options(_index: number): LyreOptions {
    return { limits: { queueMessagesMax: 10 } }
  }

  protected act(cast: Cast): void {
    for (const seat of cast.seats) cast.start(seat, { anew: false })
    for (const { index } of cast.seats) {
      this.again(`groups of ${index}`, 2_000, (random) => {
        const seat = cast.seats[index] as Seat
        const count = random.below(10) === 0 ? random.between(8, 30) : random.between(1, 6)
        if (seat.asleep || seat.state === 'crashed') return
        for (let toggle = 0; toggle < count; toggle++) {
          this.toggle(seat, random.pick(this.#groups))
        }
        this.shout(seat, random.pick(this.#groups), random)
      })
    }
  }
}

class Flood extends Talk {
  readonly #groups = Array.from({ length: 1_000 }, (_, index) => `FLOOD${index}`)

  override options(_index: number): LyreOptions {
    const queueMessagesMax = FLOOD_MESSAGES_MAX
    return { limits: { queueMessagesMax, queueBytesMax: 262_144, queueTotalBytesMax: 4_194_304 } }
  }

  override birth(seat: Seat): void {
    super.birth(seat)
    seat.lyre.join(GROUPS[seat.index % 3] as string)
  }

  protected act(cast: Cast): void {
    for (const seat of cast.seats) cast.start(seat, { anew: false })
    this.shouts(500, GROUPS.slice(0, 3))
    for (const { index } of cast.seats.filter((seat) => seat.index % 5 === 0)) {
      this.again(`floods of ${index}`, 10_000, (random) => {
        const seat = cast.seats[index] as Seat
        const kind = random.below(4)
        const group = random.pick(GROUPS.slice(0, 3))
        if (seat.asleep || seat.state !== 'started') return
        // Octet by octet, where links split all, a megabyte takes long to simulate: one sends it.
        if (kind === 0 && index === 0) this.#large(seat, group)
        else if (kind <= 1) for (const one of this.#groups) this.toggle(seat, one)
        else this.#many(seat, group, random)
      })
    }
  }

  /** Ten times what a mailbox holds. */
  #many(seat: Seat, group: string, random: Random): void {
    for (let count = 0; count < 10 * FLOOD_MESSAGES_MAX; count++) {
      this.shout(seat, group, random, 0)
    }
  }

  /** More than a mailbox holds, in one message, which is not too much by itself. */
  #large(seat: Seat, group: string): void {
    const [head] = this.content(this.random, 0)
    const bytes = new Uint8Array(1_048_576)
    if (head !== undefined) bytes.set(head.subarray(0, HEAD_BYTES))
    seat.lyre.shout(group, bytes)
  }
}

class FlashCrowd extends Talk {
  override birth(seat: Seat): void {
    super.birth(seat)
    seat.lyre.join(GROUPS[seat.index % 5] as string)
  }

  protected act(cast: Cast): void {
    const random = this.random.fork(`crowd at ${cast.simulation.now}`)
    for (const seat of cast.seats) {
      this.later(cast, random.below(1_000), () => cast.start(seat, { anew: random.chance(0.5) }))
    }
    this.shouts(500, GROUPS)
    this.again('goes', 20_000, (stream) => {
      for (const seat of cast.awake) this.later(cast, stream.below(1_000), () => cast.stop(seat))
      this.later(cast, 4_000, () => {
        for (const seat of cast.seats) {
          this.later(cast, stream.below(1_000), () => cast.start(seat, { anew: true }))
        }
      })
    })
  }

  override end(): void {
    const { cast } = this
    super.end()
    for (const seat of cast?.seats ?? []) cast?.start(seat, { anew: false })
  }
}

class Rolling extends Talk {
  #index = 0

  override birth(seat: Seat): void {
    super.birth(seat)
    seat.lyre.join(GROUPS[seat.index % 3] as string)
  }

  protected act(cast: Cast): void {
    for (const seat of cast.seats) cast.start(seat, { anew: false })
    this.again('restart', 1_000, (random) => {
      const seat = cast.seats[this.#index++ % cast.seats.length] as Seat
      const kills = random.chance(0.5)
      const backMs = random.below(3_000)
      if (kills) cast.crash(seat, 'kill')
      else cast.stop(seat, random.chance(0.5) ? 0 : 1_000)
      this.#comeBack(cast, seat, backMs)
    })
    this.shouts(300, GROUPS.slice(0, 3))
  }

  #comeBack(cast: Cast, seat: Seat, ms: number): void {
    cast.simulation.schedule(ms, () => {
      if (seat.state === 'moving') this.#comeBack(cast, seat, 500)
      else cast.start(seat, { anew: true, keepPort: true })
    })
  }
}

class Sleepers extends Talk {
  override birth(seat: Seat): void {
    super.birth(seat)
    seat.lyre.join(GROUPS[seat.index % 3] as string)
  }

  protected act(cast: Cast): void {
    for (const seat of cast.seats) cast.start(seat, { anew: false })
    this.again('sleep', 5_000, (random) => {
      const asleep = cast.seats.filter((seat) => seat.asleep)
      const seat = cast.pick(random)
      const ms = random.between(10_000, 300_000)
      if (seat === undefined || 5 * asleep.length >= cast.seats.length) return
      cast.sleep(seat)
      this.later(cast, ms, () => cast.wake(seat))
    })
    this.shouts(500, GROUPS.slice(0, 3))
  }
}

class Roam extends Talk {
  override readonly subnets = ['lan', 'wlan']

  override birth(seat: Seat): void {
    super.birth(seat)
    seat.lyre.join(GROUPS[seat.index % 3] as string)
  }

  protected act(cast: Cast): void {
    const { simulation } = cast
    for (const seat of cast.seats) cast.start(seat, { anew: false })
    this.again('cable', 10_000, (random) => {
      const seat = cast.pick(random)
      const subnet = random.pick(this.subnets)
      const ms = random.between(500, random.chance(0.5) ? 8_000 : 60_000)
      if (seat === undefined) return
      cast.unplug(seat, subnet)
      this.later(cast, ms, () => cast.plug(seat, subnet))
    })
    this.again('address', 30_000, (random) => {
      const seat = cast.pick(random)
      const number = random.below(this.subnets.length)
      const reset = random.chance(0.5)
      if (seat === undefined) return
      const { addresses } = simulation.node(seat.lyre)
      const from = addresses[number % addresses.length]
      if (from !== undefined) simulation.moveTo(seat.lyre, undefined, { from, reset })
    })
    this.again('lid', 30_000, (random) => {
      const seat = cast.pick(random)
      const ms = random.between(1_000, random.chance(0.5) ? 20_000 : 300_000)
      if (seat === undefined || !cast.sleep(seat, 'suspend')) return
      this.later(cast, ms, () => cast.wake(seat))
    })
    this.again('clock', 60_000, (random) => {
      const seat = random.pick(cast.seats)
      simulation.setWallClock(seat.lyre, random.between(-HOUR_MS, HOUR_MS))
    })
    this.shouts(500, GROUPS.slice(0, 3))
  }

  override end(): void {
    const { cast } = this
    super.end()
    for (const seat of cast?.seats ?? []) {
      for (const subnet of this.subnets) cast?.plug(seat, subnet)
      cast?.wake(seat)
    }
  }
}

class Soak extends Talk {
  override birth(seat: Seat): void {
    super.birth(seat)
    seat.lyre.join(GROUPS[seat.index % 10] as string)
  }

  protected act(cast: Cast): void {
    for (const seat of cast.seats) cast.start(seat, { anew: false })
    this.again('shouts', 30_000, (random) => {
      const seat = cast.pick(random)
      if (seat === undefined) return
      this.shout(seat, random.pick(GROUPS), random)
      this.toggle(seat, random.pick(GROUPS))
    })
  }
}

class FullMesh extends Talk {
  override options(_index: number): LyreOptions {
    return { limits: { peersMax: NODES_MAX } }
  }

  override birth(_seat: Seat): void {}

  protected act(cast: Cast): void {
    const random = this.random.fork(`mesh at ${cast.simulation.now}`)
    for (const seat of cast.seats) {
      this.later(cast, random.below(1_000), () => cast.start(seat, { anew: false }))
    }
  }
}
