// Carries the faults of a run out, between begin() and end(), and then makes everything whole again. Each kind has its own
// stream of chance and its own clock.

import type { Cast, Seat } from './cast.ts'
import type { Faults } from './faults.ts'
import type { LinkSettings } from './links.ts'
import type { Random } from './random.ts'
import type { Simulation } from './simulation.ts'

/** How links are in a run: what is always so, and what only while it storms. */
export function linksOf(faults: Faults, storms: boolean): Partial<LinkSettings> {
  const { latencyMs, jitterMs, chunkBytes, windowBytes, bandwidthBytes } = faults
  const always = { latencyMs, jitterMs, chunkBytes, windowBytes }
  const limited = bandwidthBytes > 0 ? { ...always, bandwidthBytes } : always
  if (!storms) return limited
  const { loss, burstMs, burstGapMs, duplicate, reorder, reorderMs, damage } = faults
  const bursts = burstMs > 0 && burstGapMs > 0 ? { burstMs, burstGapMs } : {}
  return { ...limited, ...bursts, loss, duplicate, reorder, reorderMs, damage }
}

/** The bad weather of a run. */
export class Storm {
  readonly #simulation: Simulation
  readonly #cast: Cast
  readonly #faults: Faults
  readonly #random: Random
  #isOn = false
  #ends: (() => void)[] = []
  /** Pairs whose connections are to be reset after some octets more. */
  #armed: [Seat, Seat][] = []
  /** Until when what was begun goes on by itself. */
  #stillAt = 0

  constructor(cast: Cast, faults: Faults, random: Random) {
    this.#simulation = cast.simulation
    this.#cast = cast
    this.#faults = faults
    this.#random = random
    this.#setMachines(false)
  }

  /** From now on things go wrong. */
  begin(): void {
    this.#isOn = true
    const { stallGapMs, resetGapMs, partitionGapMs, pauseGapMs, crashGapMs } = this.#faults
    const { moveGapMs, swizzleGapMs, partitions, crashes } = this.#faults
    this.#simulation.setLinks(linksOf(this.#faults, true))
    this.#setMachines(true)
    this.#deafen()
    this.#stutter()
    this.#again('stall', stallGapMs, (random) => this.#stall(random))
    this.#again('reset', resetGapMs, (random) => this.#reset(random))
    this.#again('partition', partitions.length && partitionGapMs, (random) =>
      this.#partition(random),
    )
    this.#again('swizzle', swizzleGapMs, (random) => this.#swizzle(random))
    this.#again('pause', pauseGapMs, (random) => this.#pause(random))
    this.#again('crash', crashes.length && crashGapMs, (random) => this.#crash(random))
    this.#again('move', moveGapMs, (random) => this.#move(random))
  }

  /** Heals everything. @returns the instant from which on nothing is wrong any more. */
  end(): number {
    this.#isOn = false
    for (const end of this.#ends) end()
    this.#ends = []
    for (const [one, other] of this.#armed) this.#simulation.reset(one.lyre, other.lyre)
    this.#armed = []
    const { seats } = this.#cast
    for (const seat of seats) this.#cast.wake(seat)
    for (const seat of seats) if (seat.state === 'crashed') this.#comeBack(seat)
    this.#simulation.setLinks(linksOf(this.#faults, false))
    this.#setMachines(false)
    this.#simulation.heal()
    return Math.max(this.#stillAt, this.#simulation.now)
  }

  /** Does something again and again, with this time in between as a mean. */
  #again(name: string, gapMs: number, act: (random: Random) => void): void {
    if (gapMs <= 0) return
    const random = this.#random.fork(`${name} from ${this.#simulation.now}`)
    const wait = () => {
      const alarm = this.#simulation.schedule(1 + random.exponential(gapMs), () => {
        act(random)
        wait()
      })
      this.#ends[index] = alarm
    }
    const index = this.#ends.length
    wait()
  }

  /** Does something later, or when the storm is over. */
  #later(ms: number, act: () => void): void {
    let isDone = false
    const once = () => {
      if (!isDone) act()
      isDone = true
    }
    const cancel = this.#simulation.schedule(ms, once)
    this.#ends.push(() => {
      cancel()
      once()
    })
  }

  #pair(random: Random): [Seat, Seat] | undefined {
    const [one, other] = random.shuffle(this.#cast.seats)
    return one !== undefined && other !== undefined ? [one, other] : undefined
  }

  /** How machines are: clocks go as they go, and only while it storms do radios sleep and systems run short. */
  #setMachines(storms: boolean): void {
    const { driftPpm, powerSaveMs, descriptorsMax } = this.#faults
    if (driftPpm + powerSaveMs + descriptorsMax === 0) return
    const drifts = this.#random.fork('drift')
    const radios = this.#random.fork('power save')
    if (!storms) this.#stillAt = Math.max(this.#stillAt, this.#simulation.now + powerSaveMs)
    for (const { lyre } of this.#cast.seats) {
      const drift = drifts.between(-driftPpm, driftPpm)
      const saves = radios.chance(0.5)
      this.#simulation.setMachine(lyre, {
        driftPpm: drift,
        ...(storms && saves && { powerSaveMs }),
        ...(storms && descriptorsMax > 0 && { descriptorsMax }),
      })
    }
  }

  /** The processors of a quarter of the machines have something else to do, again and again. */
  #stutter(): void {
    const { stutterMs, stutterGapMs } = this.#faults
    if (stutterMs <= 0) return
    const { seats } = this.#cast
    const some = this.#random.fork('stutter').shuffle(seats)
    for (const { index } of some.slice(0, Math.ceil(seats.length / 4))) {
      this.#again(`stutter of ${index}`, stutterGapMs, (random) => {
        const seat = seats[index] as Seat
        const ms = random.between(Math.min(10, stutterMs), stutterMs)
        this.#sleep(seat, ms)
      })
    }
  }

  #deafen(): void {
    const { deaf } = this.#faults
    if (deaf <= 0) return
    const random = this.#random.fork('deaf')
    for (const from of this.#cast.seats) {
      for (const to of this.#cast.seats) {
        // Where neither hears the other, nothing can be expected of them.
        if (from.index >= to.index || !random.chance(deaf)) continue
        const [one, other] = random.chance(0.5) ? [from, to] : [to, from]
        const settings = { ...linksOf(this.#faults, true), broadcast: false }
        this.#simulation.setLink(one.lyre, other.lyre, settings, { oneWay: true })
        this.#ends.push(() =>
          this.#simulation.setLink(one.lyre, other.lyre, undefined, { oneWay: true }),
        )
      }
    }
  }

  #stall(random: Random): void {
    const pair = this.#pair(random)
    const ms = random.between(1, this.#faults.stallMs)
    const oneWay = random.chance(0.5)
    if (pair === undefined) return
    this.#stillAt = Math.max(this.#stillAt, this.#simulation.now + ms)
    this.#simulation.stall(pair[0].lyre, pair[1].lyre, { ms, oneWay })
  }

  #reset(random: Random): void {
    const pair = this.#pair(random)
    const afterBytes = random.chance(0.5) ? random.between(0, this.#faults.resetBytes) : 0
    if (pair === undefined) return
    this.#simulation.reset(pair[0].lyre, pair[1].lyre, { afterBytes })
    // One that is still to come is not to come in the calm.
    if (afterBytes > 0) this.#armed.push(pair)
  }

  #partition(random: Random): void {
    const { partitions, partitionMs } = this.#faults
    const shape = random.pick(partitions)
    const seats = random.shuffle(this.#cast.seats)
    const ms = random.between(Math.ceil(partitionMs / 20), 2 * partitionMs)
    if (seats.length < 2) return
    const half = Math.ceil(seats.length / 2)
    const bridge = shape === 'bridge' ? 1 : 0
    const one =
      shape === 'isolate'
        ? seats.slice(0, 1)
        : shape === 'coin'
          ? seats.filter(() => random.chance(0.5))
          : seats.slice(bridge, half)
    const other = seats.filter((seat, at) => !one.includes(seat) && at >= bridge)
    const sides = [one, other].map((side) => side.map(({ lyre }) => lyre))
    const oneWay = shape === 'oneway' || random.chance(0.2)
    const heal = this.#simulation.partition(sides, { oneWay })
    this.#later(ms, heal)
  }

  /** Cuts some nodes off, one after the other, and lets them back in another order. */
  #swizzle(random: Random): void {
    const seats = random.shuffle(this.#cast.seats)
    const some = seats.slice(0, 1 + random.below(Math.ceil(seats.length / 2)))
    for (const seat of some) {
      const cutMs = random.below(5_000)
      const backMs = 5_000 + random.below(15_000)
      this.#later(cutMs, () => {
        if (!this.#isOn) return
        this.#later(backMs - cutMs, this.#simulation.partition([[seat.lyre]]))
      })
    }
  }

  #pause(random: Random): void {
    const seat = this.#cast.pick(random)
    const ms = random.between(100, Math.max(100, this.#faults.pauseMs))
    if (seat !== undefined) this.#sleep(seat, ms)
  }

  /** It does nothing for so long, unless it sleeps as it is: then that goes on as long as it was meant to. */
  #sleep(seat: Seat, ms: number): void {
    if (!this.#cast.sleep(seat)) return
    const { lyre } = seat
    this.#later(ms, () => {
      if (seat.lyre === lyre) this.#cast.wake(seat)
    })
  }

  #crash(random: Random): void {
    const { crashes, downMs } = this.#faults
    const seat = this.#cast.pick(random)
    const by = random.pick(crashes)
    const backMs = 1 + random.exponential(Math.max(1, downMs))
    if (seat === undefined) return
    this.#cast.crash(seat, by)
    const { lyre } = seat
    this.#later(backMs, () => {
      if (seat.lyre === lyre) this.#comeBack(seat)
    })
  }

  #comeBack(seat: Seat): void {
    const { portReuse: keepPort, sameUuid: keepUuid } = this.#faults
    this.#cast.start(seat, { anew: true, keepPort, keepUuid })
  }

  /** An address changes; the node is stopped and started again once its user has noticed. */
  #move(random: Random): void {
    const seat = this.#cast.pick(random)
    const noticedMs = random.between(1_000, 20_000)
    const isReset = random.chance(0.5)
    if (seat === undefined) return
    this.#simulation.moveTo(seat.lyre, undefined, { reset: isReset })
    const { lyre } = seat
    this.#later(noticedMs, () => {
      if (seat.lyre !== lyre) return
      this.#cast.wake(seat)
      this.#cast.stop(seat, 0)
      this.#startAgain(seat)
    })
  }

  #startAgain(seat: Seat): void {
    const { lyre } = seat
    this.#simulation.schedule(1_500, () => {
      if (seat.lyre !== lyre) return
      if (seat.state === 'stopped') this.#cast.start(seat, { anew: false })
      else if (seat.state !== 'crashed') this.#startAgain(seat)
    })
  }
}
