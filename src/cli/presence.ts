// Who is quiet, since when, and who has gone: what a node tells once, for those who ask later.

import type { ExitCause, Lyre, LyreEvent, OverrunEvent, Peer } from '../index.ts'

/** How many names of those who have gone are kept. */
const GONE_MAX = 100

/** When somebody left, and why. */
export interface Gone {
  readonly at: number
  readonly cause: ExitCause
}

export class Presence {
  /** Since when, in milliseconds since the epoch, by uuid. */
  readonly #quiet = new Map<string, number>()
  /** By name; the newest is last. */
  readonly #gone = new Map<string, Gone>()

  /** @param at milliseconds since the epoch. */
  handleEvent(event: LyreEvent | OverrunEvent, at: number): void {
    if (event.type === 'evasive' || event.type === 'silent') {
      const { uuid } = event.peer
      this.#quiet.set(uuid, this.#quiet.get(uuid) ?? at)
    } else if (event.type === 'exit') {
      const { uuid, name } = event.peer
      this.#quiet.delete(uuid)
      this.#gone.delete(name)
      if (event.cause !== 'stop') this.#gone.set(name, { at, cause: event.cause })
      const [oldest] = this.#gone.keys()
      if (this.#gone.size > GONE_MAX && oldest !== undefined) this.#gone.delete(oldest)
    }
  }

  /** Since when a peer is quiet; undefined when it is not. */
  quietSince(uuid: string): number | undefined {
    return this.#quiet.get(uuid)
  }

  /** Those who were quiet and are heard again, each told once. */
  takeReturned(lyre: Lyre): Peer[] {
    const returned: Peer[] = []
    for (const uuid of this.#quiet.keys()) {
      const peer = lyre.peer(uuid)
      if (peer?.state === 'entered') returned.push(peer)
      if (peer === undefined || peer.state === 'entered') this.#quiet.delete(uuid)
    }
    return returned
  }

  /** The last one that has left of those whose name a line begins with: the longest that fits, as it may have spaces. */
  gone(line: string): (Gone & { readonly name: string }) | undefined {
    const names = [...this.#gone.keys()].filter((name) => `${line} `.startsWith(`${name} `))
    const name = names.sort((one, other) => other.length - one.length)[0]
    const gone = name === undefined ? undefined : this.#gone.get(name)
    return name === undefined || gone === undefined ? undefined : { ...gone, name }
  }
}
