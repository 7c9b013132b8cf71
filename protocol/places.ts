// A bounded number of places for connections of strangers, or for nodes that somebody told of. When all are taken, no address
// keeps more than its share of them: whoever opens or invents thousands does not keep others out.
// Spec: harmony.md 7.1, 7.4 and 7.10.

import { holderOf } from './addresses.ts'

/** Who has a place, and because of which address. */
export class Places<Key> {
  readonly #max: number
  /** Holders of the addresses of those that have a place, the oldest first; and how many each holder has. */
  readonly #holders = new Map<Key, string>()
  readonly #counts = new Map<string, number>()

  constructor(max: number) {
    this.#max = max
  }

  get count(): number {
    return this.#holders.size
  }

  /**
   * Takes a place.
   * @returns who has to go: nobody while there is room; else the oldest one from the address that has most, and no place any
   * more; or the newcomer itself, where that address has no more than its own would have.
   */
  take(newcomer: Key, address: string): Key | undefined {
    let evicted: Key | undefined
    if (this.count >= this.#max) {
      evicted = this.rival(address)
      if (evicted === undefined) return newcomer
      this.free(evicted)
    }
    const holder = holderOf(address)
    this.#holders.set(newcomer, holder)
    this.#counts.set(holder, (this.#counts.get(holder) ?? 0) + 1)
    return evicted
  }

  /** It needs its place no longer, if it has one. */
  free(key: Key): void {
    const holder = this.#holders.get(key)
    if (holder === undefined) return
    this.#holders.delete(key)
    const count = this.#counts.get(holder) as number
    if (count > 1) this.#counts.set(holder, count - 1)
    else this.#counts.delete(holder)
  }

  clear(): void {
    this.#holders.clear()
    this.#counts.clear()
  }

  /** Who has a place for longest. */
  oldest(): Key | undefined {
    for (const key of this.#holders.keys()) return key
    return undefined
  }

  /** Who has to make place for one more of an address, if anybody. */
  rival(address: string): Key | undefined {
    const ownCount = this.#counts.get(holderOf(address)) ?? 0
    // The usual flood, from one address, does not make us look through all places each time.
    if (ownCount * this.#counts.size >= this.count) return undefined
    let most = ''
    let mostCount = ownCount + 1
    for (const [other, count] of this.#counts) {
      if (count <= mostCount) continue
      most = other
      mostCount = count
    }
    for (const [key, other] of this.#holders) if (other === most) return key
    return undefined
  }
}
