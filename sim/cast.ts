// The nodes of a run: so many places, each with a machine of its own, and in each one node after the other. Workloads start
// and stop them, faults crash them and put them to sleep; neither has to know of the other.

import type { Lyre } from '../src/lyre.ts'
import type { LyreOptions } from '../src/options.ts'
import type { Random } from './random.ts'
import type { Simulation } from './simulation.ts'

/** A place for a node. */
export interface Seat {
  /** From 0. */
  readonly index: number
  /** The node that is here, or was here last. */
  lyre: Lyre
  /** `moving` while it starts or stops. */
  state: 'stopped' | 'moving' | 'started' | 'crashed'
  asleep: boolean
}

/** What a workload does with a node before it starts for the first time. */
export type Birth = (seat: Seat) => void

/** All places of a run. */
export class Cast {
  readonly simulation: Simulation
  readonly seats: readonly Seat[]
  readonly #birth: Birth

  constructor(
    simulation: Simulation,
    {
      count,
      subnets,
      options,
      birth,
    }: {
      readonly count: number
      /** An interface of each machine is on each of them. */
      readonly subnets: readonly string[]
      readonly options: (index: number) => LyreOptions
      readonly birth: Birth
    },
  ) {
    this.simulation = simulation
    this.#birth = birth
    const seats: Seat[] = []
    for (let index = 0; index < count; index++) {
      const headers = { 'X-SEAT': `${index}` }
      const place = { machine: machineOf(index), subnet: subnets }
      const lyre = simulation.createLyre({ headers, ...options(index) }, place)
      const seat: Seat = { index, lyre, state: 'stopped', asleep: false }
      seats.push(seat)
      birth(seat)
    }
    this.seats = seats
  }

  /** Those that are started and awake. */
  get awake(): Seat[] {
    return this.seats.filter(({ state, asleep }) => state === 'started' && !asleep)
  }

  /** Starts the node of a place that has stopped, or another one in its place. */
  start(seat: Seat, { anew, keepPort = false, keepUuid = false }: Return): void {
    const { simulation } = this
    if (seat.state !== 'stopped' && seat.state !== 'crashed') return
    if (anew || seat.state === 'crashed') {
      seat.lyre = simulation.restart(seat.lyre, { keepPort, keepUuid })
      this.#birth(seat)
    }
    seat.state = 'moving'
    this.#settle(seat, seat.lyre.start(), 'started')
  }

  /** Stops the node of a place; what it still has to send, it sends for so long. */
  stop(seat: Seat, lingerMs = 1_000): void {
    if (seat.state !== 'started' || seat.asleep) return
    seat.state = 'moving'
    this.#settle(seat, seat.lyre.stop({ lingerMs }), 'stopped')
  }

  /** Ends the node of a place without a goodbye. */
  crash(seat: Seat, by: 'power' | 'kill'): void {
    if (seat.state !== 'started') return
    this.simulation.crash(seat.lyre, { by })
    seat.state = 'crashed'
    seat.asleep = false
  }

  /** The process of a place sleeps until wake(), or all of its machine does. @returns whether it does so from now on. */
  sleep(seat: Seat, by: 'stop' | 'suspend' = 'stop'): boolean {
    if (seat.state !== 'started' || seat.asleep) return false
    // It is woken at this very instant, and has not yet gone on.
    if (this.simulation.node(seat.lyre).state !== 'running') return false
    this.simulation.pause(seat.lyre, { by })
    seat.asleep = true
    return true
  }

  wake(seat: Seat): void {
    if (!seat.asleep) return
    seat.asleep = false
    this.simulation.resume(seat.lyre)
  }

  /** Pulls the cable by which the machine of a place is on a subnet, and plugs it in again. */
  unplug({ index }: Seat, subnet: string): void {
    this.simulation.unplug(machineOf(index), subnet)
  }

  plug({ index }: Seat, subnet: string): void {
    this.simulation.plug(machineOf(index), subnet)
  }

  /** One place of those that are started and awake. */
  pick(random: Random): Seat | undefined {
    // The first from a place that is drawn whoever is there: so that one who is not changes no other's turn.
    const { seats } = this
    const first = random.below(seats.length)
    for (let step = 0; step < seats.length; step++) {
      const seat = seats[(first + step) % seats.length] as Seat
      if (seat.state === 'started' && !seat.asleep) return seat
    }
    return undefined
  }

  #settle(seat: Seat, done: Promise<void>, state: 'started' | 'stopped'): void {
    const { lyre } = seat
    const settle = () => {
      if (seat.lyre === lyre && seat.state === 'moving') seat.state = state
    }
    // A port that somebody has taken meanwhile: it is not there, and may be started again.
    done.then(settle, () => {
      if (seat.lyre === lyre) seat.state = 'stopped'
    })
  }
}

/** The name of the machine of a place. */
export function machineOf(index: number): string {
  return `seat-${index}`
}

/** How a node comes back: as another one, with the port, or even the uuid, of the one before. */
export interface Return {
  readonly anew: boolean
  readonly keepPort?: boolean
  readonly keepUuid?: boolean
}
