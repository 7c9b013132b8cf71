// Chance that can be had again: sfc32, seeded by a hash of a seed and of names. Every concern of a run has a stream of its
// own, told apart by its name, so that what one of them draws, or whether it is there at all, shifts no other.
// Integers only, and comparisons: no function of Math that engines may round differently.

/** A stream of numbers that look random, and are the same for the same seed and names. */
export class Random {
  readonly #key: number
  readonly #lock: number
  #a: number
  #b: number
  #c: number
  #count: number

  /** @param seed an integer from 0 to 2^53 - 1. */
  constructor(seed: number)
  /** @param key of the stream that this one is forked from, and the name by which it is told apart. */
  constructor(key: number, lock: number, name: string)
  constructor(seed: number, lock?: number, name = '') {
    const high = lock ?? Math.floor(seed / 0x1_0000_0000)
    let a = mix(0x9e3779b9, seed | 0)
    let b = mix(0x243f6a88, high | 0)
    for (let index = 0; index < name.length; index++) {
      const unit = name.charCodeAt(index)
      a = mix(a ^ b, unit)
      b = mix(b, unit ^ index)
    }
    this.#key = a
    this.#lock = b
    this.#a = mix(a, b)
    this.#b = mix(b, a)
    this.#c = mix(this.#a ^ this.#b, name.length)
    this.#count = 1
    for (let round = 0; round < 12; round++) this.u32()
  }

  /** A stream of its own; it depends on this one's seed and names, and not on what was drawn from it. */
  fork(name: string): Random {
    return new Random(this.#key, this.#lock, name)
  }

  /** 0 to 2^32 - 1. */
  u32(): number {
    const sum = (this.#a + this.#b + this.#count) | 0
    this.#count = (this.#count + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * count)
  }

  /** `min` to `max`, both included. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1)
  }

  /** True with this probability, 0 to 1. */
  chance(probability: number): boolean {
    return this.u32() < probability * 0x1_0000_0000
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }

  /** A copy in any order. */
  shuffle<T>(items: readonly T[]): T[] {
    const shuffled = [...items]
    for (let index = shuffled.length - 1; index > 0; index--) {
      const other = this.below(index + 1)
      const item = shuffled[index] as T
      shuffled[index] = shuffled[other] as T
      shuffled[other] = item
    }
    return shuffled
  }

  /**
   * An integer from an exponential distribution with this mean, rounded down. After von Neumann, who needs to compare only:
   * a run of falling numbers is even or odd, and its first is the fraction.
   */
  exponential(mean: number): number {
    for (let whole = 0; ; whole++) {
      const first = this.u32()
      let last = first
      let odd = true
      for (let next = this.u32(); next < last; next = this.u32()) {
        last = next
        odd = !odd
      }
      if (odd) return Math.floor((whole + first / 0x1_0000_0000) * mean)
    }
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    for (let index = 0; index < count; index += 4) {
      let word = this.u32()
      for (let end = Math.min(count, index + 4), octet = index; octet < end; octet++) {
        bytes[octet] = word
        word >>>= 8
      }
    }
    return bytes
  }
}

function mix(state: number, value: number): number {
  let hash = Math.imul(state ^ value, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  hash ^= hash >>> 16
  return (Math.imul(hash, 5) + 0x6b64e653) | 0
}
