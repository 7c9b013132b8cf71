// Discovery by UDP beacon: says once an interval that we are here, and hears who else is. It only tells what it heard: what
// to believe of it is harmony.ts's matter.

import {
  type Beacon,
  decodeBeacon,
  encodeBeacon,
  formatEndpoint,
  formatNetwork,
  isBeaconOf,
  isLinkLocal,
  type Uuid,
  WireError,
} from '../../protocol/index.ts'
import { NetworkError } from '../errors.ts'
import type { Address, DatagramHandlers, DatagramSocket, Host } from '../host.ts'
import type { Discovery, Place, Whereabouts } from './discovery.ts'
import { type ChosenInterface, isSame, networkOf, onNetwork } from './interfaces.ts'

/** Who the node is, and how often its beacon says so. */
export interface BeaconOptions {
  readonly uuid: Uuid
  /** The UDP port: another port is another network. */
  readonly port: number
  readonly intervalMs: number
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

/** Beacons that could not be sent by one interface: how many, and what the operating system said of the last. */
export interface SendFailure {
  readonly name: string
  readonly address: string
  readonly to: string
  readonly count: number
  readonly error: string
  /** Since the last of them. */
  readonly msAgo: number
}

/** What was sent and what came: one look tells a firewall from a neighbour with CURVE. */
export interface BeaconDiagnostics {
  readonly port: number
  /** Longest time between two of them. */
  readonly intervalMs: number
  /** Where beacons go: an address for each interface. */
  readonly to: readonly string[]
  readonly sent: number
  readonly sendErrors: number
  readonly lastError: string | null
  /** The same by interface, of those where it is so. */
  readonly failures: readonly SendFailure[]
  /**
   * How many beacons of neighbours should have come since each was first heard, by how often it beacons, and how many of these
   * did: an estimate of what is lost on the way.
   */
  readonly expected: number
  readonly arrived: number
  readonly heard: Readonly<Record<BeaconKind, number>>
  /** Who was heard last, for each kind that was. */
  readonly last: Readonly<Partial<Record<BeaconKind, HeardBeacon>>>
  /**
   * The same by network: ours, which are there from the start, and others by the first three octets of where they came from,
   * or the first 64 bits of IPv6; `other` beyond 32 of them.
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
  /** When it came last, -1 at first, and how long it takes from one to the next: whole milliseconds, which take no memory. */
  heardAt: number
  gapMs: number
}

/** The datagrams of a kind that came from a network: how many, and the last. */
interface Tally {
  count: number
  verdict: Verdict | undefined
  port: number
  at: number
}

/** What beacons on an interface. */
interface Voice extends Place {
  readonly socket: DatagramSocket
  /** What hears there, with IPv6; all places of IPv4 have one ear. */
  readonly ear: DatagramSocket | undefined
  readonly beacon: Uint8Array
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
/** Who was not heard for more beacons than these was away: that none came says nothing about the way. */
const GAPS_MAX = 10
const NETWORKS_MAX = 32
/** However many neighbours are new. */
const ANSWER_INTERVAL_MS = 100
/** Beacons that are known again, so that they need not be judged anew; past it all are forgotten, and judged once more. */
const VERDICTS_MAX = 4_096

/** The beacons of one node, ours and those that we hear; it is started and stopped once for each life of the node. */
export class BeaconDiscovery implements Discovery {
  readonly #host: Host
  readonly #options: BeaconOptions
  readonly #handlers: BeaconHandlers
  /**
   * What came before and will come again, each second, from each neighbour: by the first octets of its uuid. To compare takes a
   * fifth of what it takes to read and judge, and the uuid is a text that maps have hashed before.
   */
  readonly #verdicts = new Map<number, Verdict>()
  readonly #networks = new Map<string, Map<BeaconKind, Tally>>()
  #listener: { readonly socket: DatagramSocket; readonly multicast: string | null } | undefined
  #places: readonly Place[] = []
  #voices: readonly Voice[] = []
  #beaconAt = Number.POSITIVE_INFINITY
  #answeredAt = Number.NEGATIVE_INFINITY
  #sentCount = 0
  #errorCount = 0
  #expectedCount = 0
  #arrivedCount = 0
  #lastError: string | null = null
  /** By our address there. */
  readonly #failures = new Map<string, Omit<SendFailure, 'msAgo'> & { readonly at: number }>()
  /** Why a place could not be used, the last time. */
  #failure: NetworkError | undefined

  constructor(host: Host, options: BeaconOptions, handlers: BeaconHandlers) {
    this.#host = host
    this.#options = options
    this.#handlers = handlers
  }

  /**
   * Hears and beacons at these places from now on, and no longer at others; beacons at once.
   * @throws NetworkError when the port cannot be had; with IPv6 alone, when no place has it. A place where none can be sent from
   * is told in the errors alone.
   */
  async start({ places }: Whereabouts): Promise<void> {
    const isFirst = this.#isNew
    const loud = places.filter(({ chosen }) => chosen.quiet === undefined)
    await this.#follow(loud.filter(isIpv4))
    this.#places = loud
    for (const { chosen } of loud) this.#networkFor(networkOf(chosen))
    // What was from elsewhere may be from here now.
    this.#verdicts.clear()
    await this.#speak(this.#voices)
    const isDeaf = this.#listener === undefined && this.#voices.length === 0
    if (isFirst && isDeaf && this.#failure !== undefined) throw this.#failure
  }

  /** Whether there is a place where we should beacon, and cannot so far. */
  get isPartial(): boolean {
    const isDeaf = this.#listener === undefined && this.#places.some(isIpv4)
    return isDeaf || this.#voices.length < this.#places.length
  }

  /** Hears and beacons by new sockets, since old ones may have lost what they were members of; beacons at once. */
  async renew(): Promise<void> {
    if (this.#places.length === 0) return
    if (this.#listener !== undefined) await this.#listen(this.#listener.multicast)
    await this.#speak([])
  }

  /** Whether nothing was sent yet. */
  get #isNew(): boolean {
    return this.#beaconAt === Number.POSITIVE_INFINITY
  }

  /** One socket hears all that is of IPv4, where anything is. */
  async #follow(places: readonly Place[]): Promise<void> {
    const multicast = places.find(({ chosen }) => !chosen.broadcasts)?.chosen.beaconsTo ?? null
    const there = this.#listener
    if (places.length > 0) {
      if (there?.multicast !== multicast) await this.#listen(multicast)
      return
    }
    this.#listener = undefined
    await there?.socket.close()
  }

  /** Opens what hears. One that is there already is better than none, and a node that runs goes on without. */
  async #listen(multicast: string | null): Promise<void> {
    const before = this.#listener
    const { port } = this.#options
    try {
      const socket = await this.#host.datagrams.open(
        { address: '0.0.0.0', port, shared: true, broadcast: false, multicast },
        this.#ear(undefined),
      )
      this.#listener = { socket, multicast }
    } catch (error) {
      if (this.#isNew || !(error instanceof NetworkError)) throw error
      this.#fail(error)
      return
    }
    await before?.socket.close()
  }

  /** @param at by which interface it hears, where it hears by no other. */
  #ear(at: ChosenInterface | undefined): DatagramHandlers {
    return {
      receive: (bytes, from) => this.#receive(bytes, from, at),
      fail: (error) => this.#fail(error),
    }
  }

  /** Beacons at all places, by sockets that are there or by new ones. */
  async #speak(there: readonly Voice[]): Promise<void> {
    const voices = await Promise.all(this.#places.map((place) => this.#speakAt(place, there)))
    const quiet = this.#voices.filter((voice) => !voices.includes(voice))
    this.#voices = voices.filter((voice) => voice !== undefined)
    const addresses = this.#places.map(({ chosen }) => chosen.address)
    for (const address of this.#failures.keys()) {
      if (!addresses.includes(address)) this.#failures.delete(address)
    }
    this.#send()
    await Promise.all(quiet.flatMap(({ socket, ear }) => [socket.close(), ear?.close()]))
  }

  /** Says goodbye, and closes. */
  async stop(): Promise<void> {
    this.#beaconAt = Number.POSITIVE_INFINITY
    const beacon = encodeBeacon({ uuid: this.#options.uuid, port: 0 })
    for (const voice of this.#voices) this.#transmit({ ...voice, beacon })
    const sockets = this.#voices.flatMap(({ socket, ear }) => [socket, ear])
    sockets.push(this.#listener?.socket)
    this.#voices = []
    this.#places = []
    this.#listener = undefined
    await Promise.all(sockets.map((socket) => socket?.close()))
  }

  /** What beacons there, which may be there already. */
  async #speakAt(
    { chosen, inboxPort }: Place,
    there: readonly Voice[],
  ): Promise<Voice | undefined> {
    const isThere = (voice: Voice) => isSame(voice.chosen, chosen) && voice.inboxPort === inboxPort
    const same = there.find(isThere)
    if (same !== undefined) return same
    const { address, family, broadcasts, beaconsTo } = chosen
    const { datagrams } = this.#host
    const broadcast = family === 'IPv4' && broadcasts
    const multicast = broadcast ? null : beaconsTo
    const { port, uuid } = this.#options
    let ear: DatagramSocket | undefined
    try {
      if (family === 'IPv6') {
        const options = { address: '::', port, shared: true, broadcast: false, multicast }
        ear = await datagrams.open(options, this.#ear(chosen))
      }
      // A socket of its own sends, so that the one that hears is bound to no address; nobody answers a beacon by UDP.
      const socket = await datagrams.open(
        { address, port: 0, shared: false, broadcast, multicast },
        { receive: () => {}, fail: (error) => this.#fail(error, chosen) },
      )
      const beacon = encodeBeacon({ uuid, port: inboxPort })
      return { socket, ear, chosen, inboxPort, beacon }
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error
      await ear?.close()
      this.#failure = error
      this.#fail(error, chosen)
      // An old one is better than none.
      return this.#voices.find(isThere)
    }
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
    const failures = [...this.#failures.values()].map(({ at, ...failure }) => {
      return { ...failure, msAgo: Math.round(now - at) }
    })
    return {
      port: this.#options.port,
      intervalMs: this.#options.intervalMs,
      to: this.#voices.map(({ chosen }) => chosen.beaconsTo),
      sent: this.#sentCount,
      sendErrors: this.#errorCount,
      lastError: this.#lastError,
      failures,
      expected: this.#expectedCount,
      arrived: this.#arrivedCount,
      heard,
      last,
      networks,
    }
  }

  #send(): void {
    for (const voice of this.#voices) this.#transmit(voice)
    // Up to a tenth early, so that nodes that were started together do not send together for ever.
    const jitter = ((this.#host.random(1)[0] ?? 0) / 0xff) * 0.1
    this.#beaconAt = this.#host.clock.now() + this.#options.intervalMs * (1 - jitter)
  }

  #transmit({ socket, beacon, chosen }: Voice): void {
    this.#sentCount++
    socket.send(beacon, { address: chosen.beaconsTo, port: this.#options.port })
  }

  #receive(bytes: Uint8Array, { address, port }: Address, at: ChosenInterface | undefined): void {
    const verdict = this.#recall(bytes, address) ?? this.#judge(bytes, address, at)
    this.#note(verdict, port)
    const { kind, uuid, tally } = verdict
    if (uuid === null) return
    if (kind === 'alive') {
      this.#expect(verdict, tally.at)
      this.#handlers.alive(uuid, verdict.endpoint)
    } else if (kind === 'goodbye') this.#handlers.goodbye(uuid)
  }

  /**
   * What should have come from a neighbour since it was heard last. How often it beacons nobody tells: as often as we do at first,
   * then a gap that few are shorter than, which a lost beacon hardly moves. Beacons that waited somewhere and come together make
   * up for those that were missed meanwhile.
   */
  #expect(verdict: Verdict, now: number): void {
    // The last 24 days are enough, and a small integer takes no memory.
    const at = now & 0x7fffffff
    const { heardAt, gapMs } = verdict
    const ms = at - heardAt
    verdict.heardAt = at
    if (heardAt < 0 || ms < 0) return
    if (ms >= gapMs) verdict.gapMs = gapMs + 1 + (gapMs >> 8)
    else verdict.gapMs = Math.max(1, gapMs - 1 - (ms < gapMs >> 2 ? 0 : gapMs >> 5))
    if (ms > GAPS_MAX * gapMs) return
    this.#expectedCount += Math.round(ms / gapMs)
    this.#arrivedCount++
  }

  /** What we made of the same octets from the same address before. */
  #recall(bytes: Uint8Array, address: string): Verdict | undefined {
    const verdict = this.#verdicts.get(keyOf(bytes, address))
    if (verdict === undefined || verdict.address !== address || verdict.uuid === null) {
      return undefined
    }
    const { uuid, port } = verdict
    return isBeaconOf(bytes, { uuid, port }) ? verdict : undefined
  }

  #judge(bytes: Uint8Array, address: string, at: ChosenInterface | undefined): Verdict {
    const heardAt = -1
    const { intervalMs: gapMs } = this.#options
    let beacon: Beacon
    try {
      beacon = decodeBeacon(bytes)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      const kind = error.rule === 'beacon.md 2.1' ? 'noise' : 'otherVersion'
      const reason = error.message
      const tally = this.#tallyOf(address, kind)
      return { kind, uuid: null, reason, port: 0, address, endpoint: '', tally, heardAt, gapMs }
    }
    const { version, uuid, port } = beacon
    const as = (kind: BeaconKind, reason: string | null = null): Verdict => {
      const endpoint = kind === 'alive' ? formatEndpoint(address, port) : ''
      const tally = this.#tallyOf(address, kind)
      return { kind, uuid, reason, port, address, endpoint, tally, heardAt, gapMs }
    }
    if (uuid === this.#options.uuid) {
      const ours = this.#voices.map(({ chosen }) => chosen.address)
      if (ours.includes(address)) return this.#remember(bytes, as('own'))
      return as('impostor', `it has our uuid, and our address is ${ours.join(', ')}`)
    }
    // What came by one of our interfaces with IPv6 is from its link, whatever network its sender is on.
    if (at === undefined && this.#voiceFor(address) === undefined) {
      const ours = this.#voices.map(({ chosen }) => networkOf(chosen)).join(', ')
      return as('foreign', `it is not on ${ours}, as we are`)
    }
    if (version === 3) return as('secure', 'it talks CURVE, which we do not')
    if (port === 0) return as('goodbye')
    if (at !== undefined && isLinkLocal(address)) this.#answer(at)
    return this.#remember(bytes, as('alive'))
  }

  /**
   * To a neighbour that was not heard before: C Zyre dials a link-local address if it comes with a beacon, and cannot if our
   * HELLO comes first (beacon.md, Deviations).
   */
  #answer(at: ChosenInterface): void {
    const now = this.#host.clock.now()
    if (now - this.#answeredAt < ANSWER_INTERVAL_MS) return
    this.#answeredAt = now
    for (const voice of this.#voices) if (voice.chosen === at) this.#transmit(voice)
  }

  #remember(bytes: Uint8Array, verdict: Verdict): Verdict {
    if (verdict.port === 0) return verdict
    if (this.#verdicts.size >= VERDICTS_MAX) this.#verdicts.clear()
    this.#verdicts.set(keyOf(bytes, verdict.address), verdict)
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
    const tallies = this.#networkFor(isKnown ? network : 'other')
    let tally = tallies.get(kind)
    if (tally === undefined) {
      tally = { count: 0, verdict: undefined, port: 0, at: 0 }
      tallies.set(kind, tally)
    }
    return tally
  }

  #networkFor(name: string): Map<BeaconKind, Tally> {
    const tallies = this.#networks.get(name) ?? new Map<BeaconKind, Tally>()
    this.#networks.set(name, tallies)
    return tallies
  }

  /** That of the network that an address is on. */
  #voiceFor(address: string): Voice | undefined {
    return this.#voices.find(({ chosen }) => onNetwork(address, chosen))
  }

  #nameOf(address: string): string {
    const voice = this.#voiceFor(address)
    if (voice !== undefined) return networkOf(voice.chosen)
    return formatNetwork(address, address.includes(':') ? 64 : 24)
  }

  #fail(error: Error, chosen?: ChosenInterface): void {
    this.#errorCount++
    this.#lastError = error.message
    if (chosen === undefined) return
    const { name, address, beaconsTo: to } = chosen
    const count = (this.#failures.get(address)?.count ?? 0) + 1
    const at = this.#host.clock.now()
    this.#failures.set(address, { name, address, to, count, error: error.message, at })
  }
}

function isIpv4({ chosen }: Place): boolean {
  return chosen.family === 'IPv4'
}

/**
 * Of a beacon, by its uuid: 30 bits, which V8 keeps without memory of their own. One that comes from two addresses of a node, as
 * of IPv4 and of IPv6, mostly has two.
 */
function keyOf(bytes: Uint8Array, address: string): number {
  const octet = (index: number) => bytes[index] ?? 0
  const key = ((octet(4) & 0x3f) << 24) | (octet(5) << 16) | (octet(6) << 8) | octet(7)
  return key ^ ((address.length << 8) | address.charCodeAt(address.length - 1))
}
