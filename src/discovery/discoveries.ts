// All the ways in which one node finds others, as one: which of them are used, what each is told of the node, and where it says
// what it found.

import type {
  ExitCause,
  Harmony,
  Seed,
  SeedDiagnostics,
  SeedOutcome,
  Source,
  Uuid,
} from '../../protocol/index.ts'
import type { Host } from '../host.ts'
import type { Settings } from '../options.ts'
import type { State } from '../state.ts'
import { type BeaconDiagnostics, BeaconDiscovery } from './beacon.ts'
import type { Discovery, DiscoveryHandlers, Whereabouts } from './discovery.ts'
import { type GossipDiagnostics, GossipDiscovery } from './gossip.ts'
import { type MdnsDiagnostics, MdnsDiscovery } from './mdns.ts'
import { SeedDiscovery } from './seeds.ts'

/** The node that looks for others. */
export interface Seeker {
  readonly host: Host
  readonly settings: Settings
  readonly uuid: Uuid
  readonly name: string
  /** Remembers where others were; undefined where no state folder was asked for. */
  readonly identity: State | undefined
  /** Is told what is found. */
  readonly harmony: Harmony
}

/** What they need of the pump. */
export interface DiscoveriesHandlers {
  /** The time, which is told to harmony. */
  readonly now: () => number
  /** Harmony was told something. */
  readonly run: () => void
  /** pollTimeout() may be sooner than it was. */
  readonly sooner: () => void
}

/** What each of them knows. */
export interface DiscoveriesDiagnostics {
  readonly beacon: BeaconDiagnostics | null
  readonly gossip: GossipDiagnostics | null
  readonly mdns: readonly MdnsDiagnostics[] | null
  readonly seeds: readonly SeedDiagnostics[]
}

/** Those that the settings of a node ask for, for one life of it. */
export class Discoveries {
  readonly #seeker: Seeker
  readonly #handlers: DiscoveriesHandlers
  readonly #beacon: BeaconDiscovery | undefined
  readonly #gossip: GossipDiscovery | undefined
  readonly #mdns: MdnsDiscovery | undefined
  readonly #seeds: SeedDiscovery | undefined
  /** All of them that are used. */
  readonly #used: readonly Discovery[]

  constructor(seeker: Seeker, handlers: DiscoveriesHandlers) {
    const { settings } = seeker
    this.#seeker = seeker
    this.#handlers = handlers
    this.#beacon = settings.beacon ? this.#createBeacon() : undefined
    this.#mdns = settings.mdns ? this.#createMdns() : undefined
    this.#gossip = this.#createGossip()
    this.#seeds = this.#createSeeds()
    const all = [this.#beacon, this.#mdns, this.#gossip, this.#seeds]
    this.#used = all.filter((discovery) => discovery !== undefined)
  }

  /** Whether start() did not do all of it, and follow() is to be called in a moment. */
  get isPartial(): boolean {
    return this.#used.some((discovery) => discovery.isPartial)
  }

  /** Others can find us there from now on. */
  async start(at: Whereabouts): Promise<void> {
    for (const discovery of this.#used) await discovery.start(at)
  }

  /** We are there now, and where `isBack` our network was away, or we were: whatever may be deaf is begun anew. */
  async follow(
    at: Whereabouts,
    { isElsewhere, isBack }: { readonly isElsewhere: boolean; readonly isBack: boolean },
  ): Promise<void> {
    for (const discovery of this.#used) {
      if (isElsewhere || discovery.isPartial) await discovery.start(at)
      if (isBack) await discovery.renew()
    }
  }

  /** Says goodbye, and closes. */
  async stop(): Promise<void> {
    await Promise.all(this.#used.map((discovery) => discovery.stop()))
  }

  handleTimeout(now: number): void {
    for (const discovery of this.#used) discovery.handleTimeout(now)
  }

  pollTimeout(): number {
    let at = Number.POSITIVE_INFINITY
    for (const discovery of this.#used) at = Math.min(at, discovery.pollTimeout())
    return at
  }

  /** What came of the dial of a seed. */
  handleOutcome(outcome: SeedOutcome): void {
    this.#seeds?.handleOutcome(outcome)
  }

  handleEnter(uuid: Uuid): void {
    this.#seeds?.handleEnter(uuid)
  }

  /** Whoever remembers where a peer was learns that it is not there any more, and why. */
  handleExit(peer: { readonly uuid: Uuid; readonly cause: ExitCause }): void {
    for (const discovery of this.#used) discovery.handleExit?.(peer, this.#handlers.now())
  }

  diagnostics(): DiscoveriesDiagnostics {
    return {
      beacon: this.#beacon?.diagnostics() ?? null,
      gossip: this.#gossip?.diagnostics() ?? null,
      mdns: this.#mdns?.diagnostics() ?? null,
      seeds: this.#seeds?.diagnostics() ?? [],
    }
  }

  #createBeacon(): BeaconDiscovery {
    const { host, settings, uuid } = this.#seeker
    const { beaconPort: port, beaconIntervalMs: intervalMs } = settings
    return new BeaconDiscovery(host, { uuid, port, intervalMs }, this.#handlersOf('beacon'))
  }

  #createMdns(): MdnsDiscovery {
    const { host, settings, uuid, name } = this.#seeker
    const options = { uuid, name, network: settings.beaconPort }
    return new MdnsDiscovery(host, options, this.#handlersOf('mdns'))
  }

  #createGossip(): GossipDiscovery | undefined {
    const { host, settings, uuid, harmony } = this.#seeker
    const { gossipBind: bind, gossipConnect: connect, gossipTtlMs: ttlMs, limits } = settings
    if (bind === undefined && connect.length === 0) return undefined
    const { gossipTuplesMax: tuplesMax, gossipClientsMax: clientsMax } = limits
    return new GossipDiscovery(
      host,
      { uuid, bind, connect, ttlMs, tuplesMax, clientsMax },
      {
        ...this.#handlersOf('gossip'),
        peer: (uuid, now) => {
          const endpoint = harmony.peer(uuid)?.endpoint
          if (endpoint === undefined) return undefined
          return { endpoint, quietMs: harmony.quietMs(uuid, now) }
        },
      },
    )
  }

  #createSeeds(): SeedDiscovery | undefined {
    const { host, settings, uuid, identity, harmony } = this.#seeker
    const told = settings.seeds.map((endpoint) => ({ endpoint, remembered: false }))
    const before = identity?.seeds ?? []
    const isTold = ({ endpoint }: Seed) => settings.seeds.includes(endpoint)
    const seeds = [...told, ...before.filter((seed) => !isTold(seed))]
    if (seeds.length === 0) return undefined
    const { now, run, sooner } = this.#handlers
    return new SeedDiscovery(
      host,
      { uuid, seeds },
      {
        dial: (endpoint) => {
          harmony.handleSeed(endpoint, now())
          run()
        },
        isPresent: (uuid) => harmony.peer(uuid) !== undefined,
        sooner,
      },
    )
  }

  #handlersOf(source: Source): DiscoveryHandlers {
    const { harmony } = this.#seeker
    const { now, run, sooner } = this.#handlers
    return {
      alive: (uuid, endpoint) => {
        harmony.handleDiscovered({ uuid, endpoint, source }, now())
        run()
      },
      goodbye: (uuid) => {
        harmony.handleGoodbyeHint(uuid, now())
        run()
      },
      sooner,
    }
  }
}
