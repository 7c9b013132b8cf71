// Promises for what an application waits for: that peers are there, that what it sent is on its way. Whoever changes such a
// thing calls settle(); nobody polls by time.

import { TimeoutError, UsageError } from './errors.ts'
import type { Clock } from './host.ts'

/** Somebody who waits: `attempt` resolves the promise if what is waited for is so by now. */
interface Waiter {
  readonly attempt: () => boolean
  readonly reject: (error: unknown) => void
}

/** @throws UsageError on what is no AbortSignal; the signal's reason when it is aborted by now. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined) return
  if (typeof signal?.addEventListener !== 'function') {
    throw new UsageError('signal has to be an AbortSignal')
  }
  signal.throwIfAborted()
}

/** How long to wait at most: `timeoutMs` may be Infinity. */
export interface Patience {
  readonly signal: AbortSignal | undefined
  readonly timeoutMs: number
}

/** All who wait for something of one node. */
export class Waiters {
  readonly #clock: Clock
  readonly #woke: () => void
  readonly #waiters = new Set<Waiter>()

  /** @param woke called whenever one of the promises is resolved or rejected. */
  constructor(clock: Clock, woke: () => void) {
    this.#clock = clock
    this.#woke = woke
  }

  /**
   * Resolves with what `poll` finds, now or at one of the next calls of settle(); undefined is nothing.
   * @throws UsageError on a bad timeout or signal, TimeoutError with the text of `late`, or the signal's reason.
   */
  wait<Found>(
    { signal, timeoutMs }: Patience,
    { poll, late }: { readonly poll: () => Found | undefined; readonly late: () => string },
  ): Promise<Found> {
    checkSignal(signal)
    if (!(timeoutMs >= 0)) {
      throw new UsageError(`timeoutMs has to be a number from 0, not ${String(timeoutMs)}`)
    }
    return new Promise((resolve, reject) => {
      const timer = this.#clock.timer(() => waiter.reject(new TimeoutError(late())))
      const abort = () => waiter.reject(signal?.reason)
      const settled = () => {
        timer.set(Number.POSITIVE_INFINITY)
        signal?.removeEventListener('abort', abort)
        this.#waiters.delete(waiter)
        this.#woke()
      }
      const waiter: Waiter = {
        attempt: () => {
          const found = poll()
          if (found === undefined) return false
          settled()
          resolve(found)
          return true
        },
        reject: (error) => {
          settled()
          reject(error)
        },
      }
      if (waiter.attempt()) return
      this.#waiters.add(waiter)
      signal?.addEventListener('abort', abort)
      timer.set(this.#clock.now() + timeoutMs)
    })
  }

  /** Something has changed. */
  settle(): void {
    if (this.#waiters.size === 0) return
    for (const waiter of this.#waiters) waiter.attempt()
  }

  /** Nothing will change any more. Errors are made only for those who wait: the stack of one takes longer than most stops. */
  reject(reason: string): void {
    for (const waiter of this.#waiters) waiter.reject(new TimeoutError(reason))
  }
}
