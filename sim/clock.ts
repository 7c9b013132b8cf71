// Virtual time: integer microseconds, and one heap of what is to happen, ordered by instant, then by arrival. Nothing waits:
// time goes from one entry to the next.

/** Something that happens at an instant, again and again if it is set again. Its owner changes neither of its fields. */
export interface Entry {
  /** The instant that was asked for last, in microseconds; Infinity: never. */
  at: number
  /** The instant for which it is in the heap; Infinity when it is not. */
  queuedAt: number
  run(): void
}

/** An entry that is a function. */
export class Alarm implements Entry {
  at = Number.POSITIVE_INFINITY
  queuedAt = Number.POSITIVE_INFINITY
  readonly run: () => void

  constructor(run: () => void) {
    this.run = run
  }
}

/** The clock of a whole simulation. */
export class VirtualClock {
  /** Since the beginning, in microseconds. */
  nowUs = 0
  /** How many entries and deferred functions have run. */
  stepCount = 0
  #ats = new Float64Array(1_024)
  #orders = new Float64Array(1_024)
  #entries: (Entry | undefined)[] = []
  #size = 0
  #order = 0
  #deferred: (() => void)[] = []
  #deferredIndex = 0

  /** The same in milliseconds. */
  get now(): number {
    return this.nowUs / 1_000
  }

  /**
   * Sets an entry for an instant, in microseconds, in place of the one it had. One that is put off stays where it is in the
   * heap until that comes: timers are set anew all the time, and seldom run.
   */
  set(entry: Entry, atUs: number): void {
    const at = atUs < this.nowUs ? this.nowUs : atUs
    entry.at = at
    if (entry.queuedAt <= at) return
    entry.queuedAt = at
    this.#push(entry, at)
  }

  /** Calls a function once, after so many microseconds. */
  after(delayUs: number, run: () => void): Alarm {
    const alarm = new Alarm(run)
    this.set(alarm, this.nowUs + delayUs)
    return alarm
  }

  /** Calls a function once everything has happened that happens at this instant. */
  defer(run: () => void): void {
    this.#deferred.push(run)
  }

  /** The instant of the next step, in microseconds; Infinity when nothing will happen any more. */
  get nextUs(): number {
    if (this.#deferredIndex < this.#deferred.length) return this.nowUs
    return this.#size > 0 ? (this.#ats[0] as number) : Number.POSITIVE_INFINITY
  }

  /** Lets time pass in which nothing happens. */
  advance(toUs: number): void {
    if (toUs !== Number.POSITIVE_INFINITY && toUs > this.nowUs) this.nowUs = toUs
  }

  /** Does one thing, the next; time goes there. */
  step(): void {
    if (this.#size > 0 && (this.#ats[0] as number) <= this.nowUs) this.#runFirst()
    else if (this.#deferredIndex < this.#deferred.length) this.#runDeferred()
    else if (this.#size > 0) this.#runFirst()
  }

  #runDeferred(): void {
    const run = this.#deferred[this.#deferredIndex++] as () => void
    if (this.#deferredIndex === this.#deferred.length) {
      this.#deferred = []
      this.#deferredIndex = 0
    }
    this.stepCount++
    run()
  }

  #runFirst(): void {
    const at = this.#ats[0] as number
    const entry = this.#entries[0] as Entry
    this.#pop()
    // It is here a second time if it was set to an earlier instant since; that one has been.
    if (entry.queuedAt !== at) return
    entry.queuedAt = Number.POSITIVE_INFINITY
    if (entry.at > at) {
      if (entry.at !== Number.POSITIVE_INFINITY) this.set(entry, entry.at)
      return
    }
    this.nowUs = at
    entry.at = Number.POSITIVE_INFINITY
    this.stepCount++
    entry.run()
  }

  #push(entry: Entry, at: number): void {
    const order = ++this.#order
    let index = this.#size++
    if (index === this.#ats.length) this.#grow()
    const ats = this.#ats
    const orders = this.#orders
    const entries = this.#entries
    // It arrived last, so it stays behind all others of its instant.
    while (index > 0) {
      const parent = (index - 1) >> 1
      const parentAt = ats[parent] as number
      if (parentAt <= at) break
      ats[index] = parentAt
      orders[index] = orders[parent] as number
      entries[index] = entries[parent]
      index = parent
    }
    ats[index] = at
    orders[index] = order
    entries[index] = entry
  }

  #pop(): void {
    const size = --this.#size
    const ats = this.#ats
    const orders = this.#orders
    const entries = this.#entries
    const at = ats[size] as number
    const order = orders[size] as number
    const entry = entries[size]
    entries[size] = undefined
    if (size === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= size) break
      if (child + 1 < size && this.#isBefore(child + 1, child)) child++
      const childAt = ats[child] as number
      if (childAt > at || (childAt === at && (orders[child] as number) > order)) break
      ats[index] = childAt
      orders[index] = orders[child] as number
      entries[index] = entries[child]
      index = child
    }
    ats[index] = at
    orders[index] = order
    entries[index] = entry
  }

  #isBefore(one: number, other: number): boolean {
    const atOne = this.#ats[one] as number
    const atOther = this.#ats[other] as number
    return (
      atOne < atOther ||
      (atOne === atOther && (this.#orders[one] as number) < (this.#orders[other] as number))
    )
  }

  #grow(): void {
    const ats = new Float64Array(2 * this.#ats.length)
    const orders = new Float64Array(ats.length)
    ats.set(this.#ats)
    orders.set(this.#orders)
    this.#ats = ats
    this.#orders = orders
  }
}
