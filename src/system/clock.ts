// Time as Node.js has it.

import type { Clock, Timer } from '../host.ts'

/** setTimeout() fires at once for anything longer; a timer that is early is set again by whoever set it. */
const DELAY_MAX_MS = 2 ** 31 - 1

/** The clock of this process: it counts from its start. */
export const systemClock: Clock = {
  now: () => performance.now(),
  utc: () => Date.now(),
  timer: (callback) => new SystemTimer(callback),
  defer: (callback) => void setImmediate(callback),
  gather(callback, amount) {
    gathering.push({ callback, amount })
    if (gathering.length === 1) setImmediate(endTurn)
  },
}

/**
 * As a network card gathers interrupts: where one turn of the event loop follows another at once, each with a little more to
 * write, system calls would take most of the time. So what follows the last write within GATHER_MS waits for another turn, and
 * for the next one as long as each follows within that time and brings more. Where a turn brings none, as with one message there
 * and one back, the next WAITLESS_COUNT times do not wait. Measured with a message of 100 octets a turn: twice as many in a second,
 * and round trips as short.
 */
const GATHER_MS = 0.02
const TURNS_MAX = 15
const WAITLESS_COUNT = 31
let gathering: { readonly callback: () => void; readonly amount: () => number }[] = []
let gatheredAmount = 0
let turnCount = 0
let waitlessCount = 0
let turnedAt = 0

function endTurn(): void {
  const now = performance.now()
  const isClose = now - turnedAt < GATHER_MS
  turnedAt = now
  if (isClose && (turnCount > 0 ? turnCount < TURNS_MAX && hasGrown() : isWorthWaiting())) {
    turnCount++
    setImmediate(endTurn)
    return
  }
  turnCount = 0
  gatheredAmount = 0
  const ended = gathering
  gathering = []
  let index = 0
  try {
    for (const { callback } of ended) {
      index++
      callback()
    }
  } finally {
    // Who throws does so to nobody's harm but its own.
    if (index < ended.length) {
      gathering.unshift(...ended.slice(index))
      setImmediate(endTurn)
    }
  }
  turnedAt = performance.now()
}

function isWorthWaiting(): boolean {
  if (waitlessCount > 0) {
    waitlessCount--
    return false
  }
  hasGrown()
  return true
}

function hasGrown(): boolean {
  let amount = 0
  for (const each of gathering) amount += each.amount()
  const isMore = amount > gatheredAmount
  gatheredAmount = amount
  if (!isMore) waitlessCount = WAITLESS_COUNT
  return isMore
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
