// What a machine is like by itself, whatever lies between it and others: how its clock goes, whether its radio sleeps, and
// how much its system lets a process have.

import { UsageError } from '../src/errors.ts'

/** What a machine is like; everything has a default. */
export interface MachineSettings {
  /** How much faster its clock goes than true time, in millionths, -100,000 to 100,000. Default: 0. */
  readonly driftPpm: number
  /**
   * A station of a wireless network that saves power: datagrams from others wait for it, and come all at once each time that
   * so many milliseconds have passed, 0 to 60,000. Default: 0, which is at once.
   */
  readonly powerSaveMs: number
  /**
   * Sockets that each of its processes may have, from 0: datagram sockets, what listens, and connections. A dial beyond fails with
   * `EMFILE`; a connection that comes is closed again, and nobody is told. Default: Infinity.
   */
  readonly descriptorsMax: number
}

/** A machine like most. */
export const MACHINE_DEFAULTS: MachineSettings = {
  driftPpm: 0,
  powerSaveMs: 0,
  descriptorsMax: Number.POSITIVE_INFINITY,
}

const RANGES: Readonly<Record<keyof MachineSettings, { min: number; max: number }>> = {
  driftPpm: { min: -100_000, max: 100_000 },
  powerSaveMs: { min: 0, max: 60_000 },
  descriptorsMax: { min: 0, max: Number.POSITIVE_INFINITY },
}

/** @throws UsageError that names the setting, what was given and what would be right. */
export function resolveMachine(given: Partial<MachineSettings>): MachineSettings {
  if (typeof given !== 'object' || given === null) {
    throw new UsageError('the settings of a machine have to be an object')
  }
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(RANGES, key)) {
      const keys = Object.keys(RANGES).join(', ')
      throw new UsageError(`there is no setting ${key} of a machine; there are ${keys}`)
    }
    const { min, max } = RANGES[key as keyof MachineSettings]
    if (typeof value === 'number' && value >= min && value <= max) continue
    throw new UsageError(`${key} has to be a number from ${min} to ${max}, not ${String(value)}`)
  }
  return { ...MACHINE_DEFAULTS, ...given }
}

/** What clocks on the wall show when a simulation begins: a winter's night in 2026. */
const EPOCH_MS = 1_767_225_600_000

/** The clock of a machine: it may be fast or slow, and never goes back; and the one on its wall, which may be set. */
export class MachineClock {
  /** By how much the one on the wall is wrong, and how often this one stood still. */
  wrongMs = 0
  stopCount = 0
  #rate = 1
  /** From when on it goes at this rate, in true microseconds, and what it showed then, in its own milliseconds. */
  #sinceUs = 0
  #shownMs = 0

  /** From now on it goes by so many millionths faster than true time. */
  drift(ppm: number, nowUs: number): void {
    const shownMs = this.ms(nowUs)
    this.#rate = 1 + ppm / 1_000_000
    this.#sinceUs = nowUs
    this.#shownMs = shownMs
  }

  /** What it shows, in milliseconds, at a true instant, in microseconds. */
  ms(nowUs: number): number {
    // Most clocks are true ones, and are read for each datagram.
    if (this.#rate === 1 && this.#sinceUs === 0) return nowUs / 1_000
    return this.#shownMs + ((nowUs - this.#sinceUs) * this.#rate) / 1_000
  }

  /** What the one on the wall shows, in milliseconds, at a true instant, in microseconds. */
  wallMs(nowUs: number): number {
    return EPOCH_MS + Math.floor(nowUs / 1_000 + this.wrongMs)
  }

  /** It stood still since it showed `ms`, as that of a machine that sleeps. */
  standStill(ms: number, nowUs: number): void {
    this.stopCount++
    this.#sinceUs = nowUs
    this.#shownMs = ms
  }

  /** The first true instant, in microseconds, at which it shows so many milliseconds or more; Infinity stays that. */
  us(ms: number): number {
    if (ms === Number.POSITIVE_INFINITY) return ms
    let atUs =
      this.#rate === 1 && this.#sinceUs === 0
        ? Math.ceil(ms * 1_000)
        : this.#sinceUs + Math.ceil(((ms - this.#shownMs) * 1_000) / this.#rate)
    // Never early, not by the last bit either: whoever is called too early sets it again for the same instant.
    while (this.ms(atUs) < ms) atUs++
    return atUs
  }
}
