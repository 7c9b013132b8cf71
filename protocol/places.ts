// A bounded number of places for connections of strangers. When all are taken, no address keeps more than its share of them:
// whoever opens thousands does not keep others out.
// Spec: harmony.md 7.4.

import type { ConnectionId } from './peers.ts'

/** Who has a place, and from where. */
export class Places {
  readonly #max: number
  /** Addresses by connection, the oldest first; and how many connections each address has. */
  readonly #addresses = new Map<ConnectionId, string>()
  readonly #counts = new Map<string, number>()

  constructor(max: number) {
    this.#max = max
  }

  get count(): number {
    return this.#addresses.size
  }

  /**
   * Takes a place for a connection.
   * @returns who has to go: nobody while there is room; else the oldest one from the address that has most, and no place any
   * more; or the connection itself, where that address has no more than it would have.
   */
  take(connection: ConnectionId, address: string): ConnectionId | undefined {
    let evicted: ConnectionId | undefined
    if (this.count >= this.#max) {
      evicted = this.#evict(this.#counts.get(address) ?? 0)
      if (evicted === undefined) return connection
      this.free(evicted)
    }
    this.#addresses.set(connection, address)
    this.#counts.set(address, (this.#counts.get(address) ?? 0) + 1)
    return evicted
  }

  /** It needs its place no longer, if it has one. */
  free(connection: ConnectionId): void {
    const address = this.#addresses.get(connection)
    if (address === undefined) return
    this.#addresses.delete(connection)
    const count = this.#counts.get(address) as number
    if (count > 1) this.#counts.set(address, count - 1)
    else this.#counts.delete(address)
  }

  clear(): void {
    this.#addresses.clear()
    this.#counts.clear()
  }

  /** Who makes place for somebody whose address has so many. */
  #evict(ownCount: number): ConnectionId | undefined {
    // The usual flood, from one address, does not make us look through all places each time.
    if (ownCount * this.#counts.size >= this.#max) return undefined
    let most = ''
    let mostCount = ownCount + 1
    for (const [address, count] of this.#counts) {
      if (count <= mostCount) continue
      most = address
      mostCount = count
    }
    for (const [connection, address] of this.#addresses) if (address === most) return connection
    return undefined
  }
}
