// Time as Node.js has it.

import type { Clock, Timer } from '../host.ts'

/** setTimeout() fires at once for anything longer; a timer that is early is set again by whoever set it. */
const DELAY_MAX_MS = 2 ** 31 - 1

/** The clock of this process: it counts from its start. */
export const systemClock: Clock = {
  now: () => performance.now(),
  timer: (callback) => new SystemTimer(callback),
  defer: (callback) => void setImmediate(callback),
}

class SystemTimer implements Timer {
  readonly #callback: () => void
  #handle: NodeJS.Timeout | undefined

  constructor(callback: () => void) {
    this.#callback = callback
  }

  set(at: number): void {
    clearTimeout(this.#handle)
    this.#handle = undefined
    if (at === Number.POSITIVE_INFINITY) return
    // Rounded up, since a timer that is a fraction early would be set again for that fraction.
    const delayMs = Math.min(DELAY_MAX_MS, Math.max(0, Math.ceil(at - performance.now())))
    this.#handle = setTimeout(this.#callback, delayMs)
  }
}
