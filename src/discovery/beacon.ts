// Discovery by UDP beacon: says once an interval that we are here, and hears who else is. It only tells what it heard: what
// to believe of it is harmony.ts's matter.

import {
  BEACON_BYTES,
  type Beacon,
  decodeBeacon,
  encodeBeacon,
  formatEndpoint,
  isBeaconOf,
  parseEndpoint,
  type Uuid,
  WireError,
} from '../../protocol/index.ts'
import type { Address, DatagramSocket, Datagrams, Host } from '../host.ts'
import { type InterfaceChoice, networkOf, onNetwork } from './interfaces.ts'

/** Who the node is, and where and how often its beacon says so. */
export interface BeaconOptions {
  readonly uuid: Uuid
  /** The UDP port: another port is another network. */
  readonly port: number
  readonly intervalMs: number
  readonly choice: InterfaceChoice
}

/** What beacons of other nodes tell; anybody can send one, so it is hearsay. */
export interface BeaconHandlers {
  /** A node said that its inbox is at a port of the address that its beacon came from. */
  alive(uuid: Uuid, endpoint: string): void
  /** Somebody said that a node is leaving. */
  goodbye(uuid: Uuid): void
}

/** What a datagram at our port is, as we see it; only the first two lead anywhere. */
export type BeaconKind =
  | 'alive'
  | 'goodbye'
  /** Ours, which come back to us: UDP works on this machine. */
  | 'own'
  /** Our uuid, but not our address: a copy of us, or something that sends our beacons back. */
  | 'impostor'
  /** Version 3: nodes that talk CURVE only, which this version does not. */
  | 'secure'
  /** From another network than that of our interface. */
  | 'foreign'
  /** ZRE, but no version that we know, or not of its size. */
  | 'otherVersion'
  /** Not ZRE at all. */
  | 'noise'

/** The last datagram of a kind. */
export interface HeardBeacon {
  readonly address: string
  /** The UDP port that it came from. */
  readonly port: number
  readonly msAgo: number
  /** Whom it named; null where it could not be read. */
  readonly uuid: Uuid | null
  /** Why it leads nowhere; null where it does, or is ours. */
  readonly reason: string | null
}

/** What was sent and what came: one look tells a firewall from a neighbour with CURVE. */
export interface BeaconDiagnostics {
  readonly port: number
  readonly to: string
  readonly sent: number
  readonly sendErrors: number
  readonly lastError: string | null
  readonly heard: Readonly<Record<BeaconKind, number>>
  /** Who was heard last, for each kind that was. */
  readonly last: Readonly<Partial<Record<BeaconKind, HeardBeacon>>>
  /**
   * The same by network: ours, which is there from the start, and others by the first three octets of where they came from;
   * `other` beyond 32 of them, `not IPv4` for what that is.
   */
  readonly networks: Readonly<Record<string, BeaconCounts>>
}

/** How many of each kind came, without those of which none did. */
export type BeaconCounts = Readonly<Partial<Record<BeaconKind, number>>>

/** What we make of a datagram. */
interface Verdict {
  readonly kind: BeaconKind
  readonly uuid: Uuid | null
  readonly reason: string | null
  /** Of the inbox. */
  readonly port: number
  /** Where it came from, and the inbox there. */
  readonly address: string
  readonly endpoint: string
  /** Where it is counted. */
  readonly tally: Tally
}

/** The datagrams of a kind that came from a network: how many, and the last. */
interface Tally {
  count: number
  verdict: Verdict | undefined
  port: number
  at: number
}

const NOTHING_HEARD: Readonly<Record<BeaconKind, number>> = {
  alive: 0,
  goodbye: 0,
  own: 0,
  impostor: 0,
  secure: 0,
  foreign: 0,
  otherVersion: 0,
  noise: 0,
}
const NETWORKS_MAX = 32
/** Beacons that are known again, so that they need not be judged anew; past it all are forgotten, and judged once more. */
const VERDICTS_MAX = 4_096

/** The beacons of one node, ours and those that we hear; it is started and stopped once for each life of the node. */
export class BeaconDiscovery {
  readonly #host: Host
  readonly #options: BeaconOptions
  readonly #handlers: BeaconHandlers
  /**
   * What came before and will come again, each second, from each neighbour: by the first octets of its uuid. To compare takes a
   * fifth of what it takes to read and judge, and the uuid is a text that maps have hashed before.
   */
  readonly #verdicts = new Map<number, Verdict>()
  readonly #network: string
  readonly #networks = new Map<string, Map<BeaconKind, Tally>>()
  #listener: DatagramSocket | undefined
  #sender: DatagramSocket | undefined
  #beacon: Uint8Array = new Uint8Array(BEACON_BYTES)
  #beaconAt = Number.POSITIVE_INFINITY
  #sentCount = 0
  #errorCount = 0
  #lastError: string | null = null

  constructor(host: Host, options: BeaconOptions, handlers: BeaconHandlers) {
    this.#host = host
    this.#options = options
    this.#handlers = handlers
    this.#network = networkOf(options.choice.chosen)
    this.#networks.set(this.#network, new Map())
  }

  /**
   * Hears from now on, and sends its first beacon at once.
   * @param endpoint what we tell others to dial.
   * @throws NetworkError when the port cannot be had.
   */
  async start(endpoint: string): Promise<void> {
    const { port, choice, uuid } = this.#options
    const { address, broadcasts: broadcast, beaconsTo } = choice.chosen
    const multicast = broadcast ? null : beaconsTo
    const datagrams: Datagrams = this.#host.datagrams
    const fail = (error: Error) => this.#fail(error)
    this.#listener = await datagrams.open(
      { address: '0.0.0.0', port, shared: true, broadcast: false, multicast },
      { receive: (bytes, from) => this.#receive(bytes, from), fail },
    )
    // A second socket sends, so that the first is bound to no address; nobody answers a beacon by UDP.
    this.#sender = await datagrams.open(
      { address, port: 0, shared: false, broadcast, multicast },
      { receive: () => {}, fail },
    )
    this.#beacon = encodeBeacon({ uuid, port: parseEndpoint(endpoint)?.port ?? 0 })
    this.#send()
  }

  /** Says goodbye, and closes. */
  async stop(): Promise<void> {
    this.#beaconAt = Number.POSITIVE_INFINITY
    this.#beacon = encodeBeacon({ uuid: this.#options.uuid, port: 0 })
    if (this.#sender !== undefined) this.#transmit(this.#sender)
    const sockets = [this.#sender, this.#listener]
    this.#sender = undefined
    this.#listener = undefined
    await Promise.all(sockets.map((socket) => socket?.close()))
  }

  handleTimeout(now: number): void {
    if (now >= this.#beaconAt) this.#send()
  }

  pollTimeout(): number {
    return this.#beaconAt
  }

  diagnostics(): BeaconDiagnostics {
    const now = this.#host.clock.now()
    const heard = { ...NOTHING_HEARD }
    const latest = new Map<BeaconKind, Tally>()
    const networks: Record<string, BeaconCounts> = {}
    for (const [network, tallies] of this.#networks) {
      const counts: Partial<Record<BeaconKind, number>> = {}
      for (const [kind, tally] of tallies) {
        counts[kind] = tally.count
        heard[kind] += tally.count
        if (tally.at >= (latest.get(kind)?.at ?? Number.NEGATIVE_INFINITY)) latest.set(kind, tally)
      }
      networks[network] = counts
    }
    const last: Partial<Record<BeaconKind, HeardBeacon>> = {}
    for (const [kind, { verdict, port, at }] of latest) {
      if (verdict === undefined) continue
      const { address, uuid, reason } = verdict
      last[kind] = { address, port, uuid, reason, msAgo: Math.round(now - at) }
    }
    return {
      port: this.#options.port,
      to: this.#options.choice.chosen.beaconsTo,
      sent: this.#sentCount,
      sendErrors: this.#errorCount,
      lastError: this.#lastError,
      heard,
      last,
      networks,
    }
  }

  #send(): void {
    if (this.#sender === undefined) return
    this.#transmit(this.#sender)
    // Up to a tenth early, so that nodes that were started together do not send together for ever.
    const jitter = ((this.#host.random(1)[0] ?? 0) / 0xff) * 0.1
    this.#beaconAt = this.#host.clock.now() + this.#options.intervalMs * (1 - jitter)
  }

  #transmit(sender: DatagramSocket): void {
    this.#sentCount++
    const { port, choice } = this.#options
    sender.send(this.#beacon, { address: choice.chosen.beaconsTo, port })
  }

  #receive(bytes: Uint8Array, { address, port }: Address): void {
    const verdict = this.#recall(bytes, address) ?? this.#judge(bytes, address)
    this.#note(verdict, port)
    const { kind, uuid } = verdict
    if (uuid === null) return
    if (kind === 'alive') this.#handlers.alive(uuid, verdict.endpoint)
    else if (kind === 'goodbye') this.#handlers.goodbye(uuid)
  }

  /** What we made of the same octets from the same address before. */
  #recall(bytes: Uint8Array, address: string): Verdict | undefined {
    const verdict = this.#verdicts.get(keyOf(bytes))
    if (verdict === undefined || verdict.address !== address || verdict.uuid === null) {
      return undefined
    }
    const { uuid, port } = verdict
    return isBeaconOf(bytes, { uuid, port }) ? verdict : undefined
  }

  #judge(bytes: Uint8Array, address: string): Verdict {
    let beacon: Beacon
    try {
      beacon = decodeBeacon(bytes)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      const kind = error.rule === 'beacon.md 2.1' ? 'noise' : 'otherVersion'
      const reason = error.message
      const tally = this.#tallyOf(address, kind)
      return { kind, uuid: null, reason, port: 0, address, endpoint: '', tally }
    }
    const { version, uuid, port } = beacon
    const { chosen } = this.#options.choice
    const as = (kind: BeaconKind, reason: string | null = null): Verdict => {
      const endpoint = kind === 'alive' ? formatEndpoint(address, port) : ''
      return { kind, uuid, reason, port, address, endpoint, tally: this.#tallyOf(address, kind) }
    }
    if (uuid === this.#options.uuid) {
      if (address === chosen.address) return this.#remember(bytes, as('own'))
      return as('impostor', `it has our uuid, and our address is ${chosen.address}`)
    }
    if (!onNetwork(address, chosen))
      return as('foreign', `it is not on ${this.#network}, as we are`)
    if (version === 3) return as('secure', 'it talks CURVE, which we do not')
    return port === 0 ? as('goodbye') : this.#remember(bytes, as('alive'))
  }

  #remember(bytes: Uint8Array, verdict: Verdict): Verdict {
    if (verdict.port === 0) return verdict
    if (this.#verdicts.size >= VERDICTS_MAX) this.#verdicts.clear()
    this.#verdicts.set(keyOf(bytes), verdict)
    return verdict
  }

  /** It comes once a second from each neighbour: no more is done than to write down that it did. */
  #note(verdict: Verdict, port: number): void {
    const { tally } = verdict
    tally.count++
    tally.verdict = verdict
    tally.port = port
    tally.at = this.#host.clock.now()
  }

  #tallyOf(address: string, kind: BeaconKind): Tally {
    const network = this.#nameOf(address)
    const isKnown = this.#networks.has(network) || this.#networks.size < NETWORKS_MAX
    const name = isKnown ? network : 'other'
    const tallies = this.#networks.get(name) ?? new Map<BeaconKind, Tally>()
    this.#networks.set(name, tallies)
    let tally = tallies.get(kind)
    if (tally === undefined) {
      tally = { count: 0, verdict: undefined, port: 0, at: 0 }
      tallies.set(kind, tally)
    }
    return tally
  }

  #nameOf(address: string): string {
    if (address.includes(':')) return 'not IPv4'
    if (onNetwork(address, this.#options.choice.chosen)) return this.#network
    return `${address.slice(0, address.lastIndexOf('.'))}.0/24`
  }

  #fail(error: Error): void {
    this.#errorCount++
    this.#lastError = error.message
  }
}

/** Of a beacon, by its uuid: 30 bits, which V8 keeps without memory of their own. */
function keyOf(bytes: Uint8Array): number {
  const octet = (index: number) => bytes[index] ?? 0
  return ((octet(4) & 0x3f) << 24) | (octet(5) << 16) | (octet(6) << 8) | octet(7)
}
