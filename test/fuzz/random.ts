/**
 * Chance that can be had again: xoroshiro64** over 64 bits of state, begun anew at each step of a case, so that a step draws
 * the same whatever the steps before it drew, and can be left out when a failure is made smaller.
 */

export class Random {
  #a = 1
  #b = 1

  /** The same three numbers give the same draws. */
  seed(seed: number, number: number, step: number): this {
    const low = number >>> 0
    const high = Math.floor(number / 0x1_0000_0000)
    this.#a = mix(mix(mix(seed | 0, low), high), step) | 1
    this.#b = mix(mix(mix(~seed, step), low), high)
    return this
  }

  /** 0 to 2^32 - 1. */
  u32(): number {
    const a = this.#a
    const b = this.#b ^ a
    const product = Math.imul(a, 0x9e3779bb)
    this.#a = ((a << 26) | (a >>> 6)) ^ b ^ (b << 9)
    this.#b = (b << 13) | (b >>> 19)
    return Math.imul((product << 5) | (product >>> 27), 5) >>> 0
  }

  /** 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * count)
  }

  /** True once in `count` times. */
  once(count: number): boolean {
    return this.below(count) === 0
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }
}

function mix(state: number, value: number): number {
  let hash = Math.imul(state ^ value, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  hash ^= hash >>> 16
  return (Math.imul(hash, 5) + 0x6b64e653) | 0
}
