/** The world of test/support/host.ts, without its promises and its memory: so that a million things can happen in it. */

import type { Host, Timer } from '../../src/host.ts'
import { World } from '../support/host.ts'
import { expect } from './trial.ts'

const NEVER = Number.POSITIVE_INFINITY
/** Turns without rest after which there will be none. */
const TURNS_MAX = 10_000

export class QuickWorld extends World {
  #busy = false
  readonly #quickTimers: { at: number; readonly callback: () => void }[] = []

  override do(task: () => void): void {
    this.#busy = true
    super.do(task)
  }

  override step(): void {
    this.#busy = false
    super.step()
  }

  /** Lets happen what can; time stands still. */
  run(): void {
    for (let turns = 0; this.#busy; turns++) {
      expect(turns < TURNS_MAX, 'it comes to rest')
      this.step()
    }
  }

  pass(ms: number): void {
    const end = this.now + ms
    this.run()
    for (let at = this.#nextAt(); at <= end; at = this.#nextAt()) {
      this.now = Math.max(this.now, at)
      for (const timer of this.#quickTimers) {
        if (timer.at > this.now) continue
        timer.at = NEVER
        timer.callback()
      }
      this.run()
    }
    this.now = end
  }

  override host(): Host {
    const host = super.host()
    const clock = {
      now: host.clock.now,
      utc: host.clock.utc,
      timer: (callback: () => void): Timer => {
        const timer = { at: NEVER, callback }
        this.#quickTimers.push(timer)
        return {
          set: (at) => {
            timer.at = at
          },
        }
      },
      defer: (callback: () => void) => {
        this.#busy = true
        host.clock.defer(callback)
      },
      gather: (callback: () => void, amount: () => number) => {
        this.#busy = true
        host.clock.gather(callback, amount)
      },
    }
    return { ...host, clock }
  }

  /** Timers that are set. */
  get timerCount(): number {
    return this.#quickTimers.filter(({ at }) => at !== NEVER).length
  }

  /** Forgets what a world remembers for tests of another kind. */
  forget(): void {
    this.datagrams.length = 0
    let kept = 0
    for (const stream of this.streams) {
      stream.written.length = 0
      if (stream.handlers !== undefined) this.streams[kept++] = stream
    }
    this.streams.length = kept
  }

  /** Does what `act` promises, and lets time pass until that is done. */
  async finish(act: Promise<void>): Promise<void> {
    let done = false
    const ended = act.finally(() => {
      done = true
    })
    for (let turns = 0; !done; turns++) {
      expect(turns < TURNS_MAX, 'it ends')
      this.run()
      for (let count = 0; count < 8 && !done; count++) await Promise.resolve()
      if (!done && turns > 8) this.pass(10)
    }
    await ended
  }

  #nextAt(): number {
    let next = NEVER
    for (const { at } of this.#quickTimers) if (at < next) next = at
    return next
  }
}
