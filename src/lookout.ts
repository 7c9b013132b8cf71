// Where a node is: on which interfaces, with an inbox on each; and that this changes while it runs. Every two seconds it looks
// whether the machine has other addresses, and whether the machine or this process has slept, which no system tells.
// An address that is gone may be back in a moment: what goes on there is kept as long. One that another has replaced is not.

import {
  formatEndpoint,
  type Home,
  isLinkLocal,
  parseEndpoint,
  publicEndpoint,
} from '../protocol/index.ts'
import type { Place, Whereabouts } from './discovery/discovery.ts'
import { chooseInterfaces, type InterfaceChoice, isSame, prefixOf } from './discovery/interfaces.ts'
import { NetworkError, UsageError } from './errors.ts'
import type { Host, NetworkInterface } from './host.ts'
import type { PortRange } from './mesh.ts'

/** Where a node is. */
export interface Situation extends Whereabouts {
  readonly choice: InterfaceChoice
  /** Which of our addresses each network is told in HELLO. */
  readonly homes: readonly Home[]
}

/** Where it may be, and what others are told. */
export interface LookoutOptions {
  readonly interfaces: readonly string[]
  readonly ipv6: boolean | undefined
  readonly mailboxPorts: PortRange
  readonly advertise: string | undefined
}

/** Who has the inboxes. */
export interface Inboxes {
  listen(address: string, ports: PortRange): Promise<number>
  unlisten(address: string): void
  leave(address: string): void
}

/** What it sees when it looks. */
export interface Glimpse {
  /** For how long the machine or this process has slept, in milliseconds; 0 if not, or not for long enough to matter. */
  readonly sleptMs: number
  /** Whether follow() has something to do. */
  readonly isNews: boolean
}

/** What came of it when it followed. */
export interface Move {
  /** Whether we are elsewhere, or on more or fewer networks. */
  readonly isElsewhere: boolean
  /** Whether an address is back: sockets that were there may have gone deaf. */
  readonly isBack: boolean
  /** Why it stays as it was; empty where nothing is wrong. */
  readonly failure: string
}

/** How often it looks: an address changes seldom, and to list them takes a tenth of a millisecond. */
const LOOK_INTERVAL_MS = 2_000
/** What is shorter is no sleep, but a process that was busy. */
const SLEEP_MIN_MS = 5_000
/** How long an address may be gone: a cable that is put in again, a station that goes from one access point to another. */
const GRACE_MS = 10_000

/** Where one node is, for one life of it. */
export class Lookout {
  readonly #host: Host
  readonly #options: LookoutOptions
  readonly #inboxes: Inboxes
  #situation: Situation | undefined
  /** The interfaces as they were when it looked, and when that was, by both clocks. */
  #seen = ''
  #lookedAt = 0
  #wallAt = 0
  /** Addresses that were ours and are gone, and since when. */
  readonly #gone = new Map<string, number>()
  /** Whether there is an interface on which we should be, and are not. */
  #isPartial = false

  constructor(host: Host, options: LookoutOptions, inboxes: Inboxes) {
    this.#host = host
    this.#options = options
    this.#inboxes = inboxes
  }

  /** Where we are. Not to be asked before open(). */
  get situation(): Situation {
    return this.#situation as Situation
  }

  /**
   * Opens an inbox on each interface.
   * @throws UsageError when no interface fits, NetworkError when no inbox can be had.
   */
  async open(): Promise<Situation> {
    const interfaces = this.#host.interfaces()
    this.#note(interfaces)
    this.#situation = await this.#listen(this.#choose(interfaces, []))
    return this.#situation
  }

  /** Looks, if it is time to. */
  look(now: number): Glimpse | undefined {
    if (now < this.pollTimeout()) return undefined
    const elapsedMs = now - this.#lookedAt
    // A machine that sleeps stops the one clock and not the other; a process that does not run is late by both.
    const lateMs = elapsedMs - LOOK_INTERVAL_MS
    const jumpMs = this.#host.clock.wall() - this.#wallAt - elapsedMs
    const restMs = Math.max(lateMs, jumpMs)
    const sleptMs = restMs >= SLEEP_MIN_MS ? restMs : 0
    const seen = this.#seen
    this.#note(this.#host.interfaces())
    const isOver = [...this.#gone.values()].some((since) => now - since >= GRACE_MS)
    return { sleptMs, isNews: seen !== this.#seen || this.#isPartial || isOver }
  }

  /** When to look next. */
  pollTimeout(): number {
    return this.#lookedAt + LOOK_INTERVAL_MS
  }

  /** Is where the machine is now. Where it is nowhere, everything stays as it was. */
  async follow(): Promise<Move> {
    const interfaces = this.#host.interfaces()
    const before = this.situation
    let isBack = false
    for (const address of this.#gone.keys()) {
      if (!interfaces.some((found) => found.address === address)) continue
      isBack = true
      this.#gone.delete(address)
    }
    let failure = ''
    try {
      this.#situation = await this.#listen(this.#choose(interfaces, before.places))
    } catch (error) {
      if (!(error instanceof NetworkError || error instanceof UsageError)) throw error
      failure = error.message
      this.#isPartial = error instanceof NetworkError
    }
    this.#leave(before.places, interfaces)
    return { isElsewhere: !isSamePlace(before, this.situation), isBack, failure }
  }

  #note(interfaces: readonly NetworkInterface[]): void {
    const { clock } = this.#host
    this.#lookedAt = clock.now()
    this.#wallAt = clock.wall()
    this.#seen = interfaces
      .map(({ name, address, netmask }) => `${name} ${address} ${netmask}`)
      .join()
  }

  /** Of several addresses that are as good, one that is in use stays in use. */
  #choose(interfaces: readonly NetworkInterface[], places: readonly Place[]): InterfaceChoice {
    const { interfaces: wanted, ipv6 } = this.#options
    const held = places.map(({ chosen }) => chosen.address)
    return chooseInterfaces(interfaces, wanted, { ipv6, held })
  }

  async #listen({ chosen, skipped }: InterfaceChoice): Promise<Situation> {
    const { advertise, mailboxPorts } = this.#options
    const places: Place[] = []
    const homes: Home[] = []
    const failed: { name: string; address: string; reason: string }[] = []
    let failure: unknown
    for (const found of chosen) {
      const { name, address } = found
      try {
        const port = await this.#inboxes.listen(address, mailboxPorts)
        const endpoint = advertise ?? formatEndpoint(address, port)
        places.push({ chosen: found, inboxPort: parseEndpoint(endpoint)?.port ?? port })
        homes.push({ endpoint, bits: advertise === undefined ? prefixOf(found) : 0 })
      } catch (error) {
        if (!(error instanceof NetworkError)) throw error
        failure ??= error
        failed.push({ name, address, reason: error.message })
      }
    }
    const [home] = homes
    if (home === undefined) throw failure
    // An address that has just come may not be usable for a moment: it is tried again.
    this.#isPartial = failed.length > 0
    const choice = { chosen: places.map((place) => place.chosen), skipped: [...skipped, ...failed] }
    return { choice, places, homes, endpoint: publicEndpoint(home.endpoint) }
  }

  /** Ends what there is at addresses that are not ours any more. */
  #leave(before: readonly Place[], interfaces: readonly NetworkInterface[]): void {
    const now = this.#host.clock.now()
    const { places } = this.situation
    for (const { chosen } of before) {
      const { address } = chosen
      if (interfaces.some((found) => found.address === address)) {
        // It is there, and something better is: what goes on there may go on.
        if (!places.some((place) => place.chosen.address === address)) {
          this.#inboxes.unlisten(address)
        }
      } else if (interfaces.some((found) => isInPlaceOf(found, chosen))) {
        this.#inboxes.leave(address)
        this.#gone.delete(address)
      } else if (!this.#gone.has(address)) {
        this.#gone.set(address, now)
      }
    }
    for (const [address, since] of [...this.#gone]) {
      if (now - since < GRACE_MS) continue
      // Where we are nowhere else, it is ours for as long as nothing comes in its place.
      if (places.some((place) => place.chosen.address === address)) {
        this.#gone.set(address, now)
      } else {
        this.#inboxes.leave(address)
        this.#gone.delete(address)
      }
    }
  }
}

/** Whether an address may have replaced another. A link-local one replaces no other: it is there beside it, and before it. */
function isInPlaceOf(found: NetworkInterface, gone: NetworkInterface): boolean {
  const isAlike = found.name === gone.name && found.family === gone.family
  return isAlike && isLinkLocal(found.address) === isLinkLocal(gone.address)
}

function isSamePlace(one: Situation, other: Situation): boolean {
  if (one.endpoint !== other.endpoint || one.places.length !== other.places.length) return false
  return one.places.every(({ chosen, inboxPort }, index) => {
    const place = other.places[index] as Place
    return isSame(chosen, place.chosen) && inboxPort === place.inboxPort
  })
}
