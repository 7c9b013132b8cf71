// Discovery by multicast DNS, on each interface by itself: carries out what mdns-table.ts decides. Nothing here can fail a node:
// where the port cannot be had, or an interface goes away, that is told in the diagnostics, and tried again.

import {
  type ExitCause,
  formatEndpoint,
  hostOf,
  MDNS_PORT,
  type MdnsPacket,
  MdnsTable,
  type MdnsTableDiagnostics,
  type Uuid,
} from '../../protocol/index.ts'
import type { Address, Host, MulticastDnsHandlers, MulticastDnsSocket } from '../host.ts'
import type { Discovery, DiscoveryHandlers, Place, Whereabouts } from './discovery.ts'
import { isSame, onNetwork } from './interfaces.ts'

/** Who the node is, and where it says so. */
export interface MdnsOptions {
  readonly uuid: Uuid
  readonly name: string
  /** The UDP port of its beacons, by which networks are told apart. */
  readonly network: number
  /** Of multicast DNS: 5353, unless nobody else is to hear. */
  readonly port?: number
}

/** What was said and heard by multicast DNS, on one interface. */
export interface MdnsDiagnostics extends MdnsTableDiagnostics {
  /** Our address there. */
  readonly address: string
  readonly port: number
  /** Whether we take part; if not, `lastError` says why, and it is tried again. */
  readonly open: boolean
  /** How often that was begun. */
  readonly opened: number
  readonly errors: number
  readonly lastError: string | null
  /** Packets that came from another network than that of our interface. */
  readonly foreign: number
}

/** How often it is looked whether the interface still has its address, and how long after a failure it is tried again. */
const CHECK_MS = 5_000
const RETRY_MIN_MS = 1_000
const RETRY_MAX_MS = 60_000

/** The multicast DNS of one node. */
export class MdnsDiscovery implements Discovery {
  readonly #host: Host
  readonly #options: MdnsOptions
  readonly #handlers: DiscoveryHandlers
  #lines: readonly MdnsLine[] = []

  constructor(host: Host, options: MdnsOptions, handlers: DiscoveryHandlers) {
    this.#host = host
    this.#options = options
    this.#handlers = handlers
  }

  /** Says where we are, and hears who else is, once the port can be had: it never rejects. */
  async start({ places }: Whereabouts): Promise<void> {
    const before = this.#lines
    // With IPv4 alone: there are no AAAA records, and nobody is asked at ff02::fb (mdns.md, Deviations).
    this.#lines = places
      .filter(({ chosen }) => chosen.family === 'IPv4')
      .map(
        (place) =>
          before.find((line) => line.isAt(place)) ??
          new MdnsLine(this.#host, { ...this.#options, place }, this.#handlers),
      )
    const left = before.filter((line) => !this.#lines.includes(line))
    const added = this.#lines.filter((line) => !before.includes(line))
    await Promise.all([...left.map((line) => line.stop()), ...added.map((line) => line.start())])
  }

  /** Begins anew on each interface: a socket may be deaf after a sleep, and caches of others have forgotten us. */
  async renew(): Promise<void> {
    await Promise.all(this.#lines.map((line) => line.renew()))
  }

  async stop(): Promise<void> {
    const lines = this.#lines
    this.#lines = []
    await Promise.all(lines.map((line) => line.stop()))
  }

  /** One that did not take its leave is asked for again. */
  handleExit(
    { uuid, cause }: { readonly uuid: Uuid; readonly cause: ExitCause },
    now: number,
  ): void {
    if (cause === 'stop' || cause === 'goodbye') return
    for (const line of this.#lines) line.handleExit(uuid, now)
  }

  handleTimeout(now: number): void {
    for (const line of this.#lines) line.handleTimeout(now)
  }

  pollTimeout(): number {
    return Math.min(...this.#lines.map((line) => line.pollTimeout()))
  }

  /** For each interface. */
  diagnostics(): MdnsDiagnostics[] {
    return this.#lines.map((line) => line.diagnostics())
  }
}

/** What goes on on one interface. */
class MdnsLine {
  readonly #host: Host
  readonly #options: MdnsOptions & { readonly place: Place }
  readonly #handlers: DiscoveryHandlers
  readonly #port: number
  readonly #table: MdnsTable
  #socket: MulticastDnsSocket | undefined
  #running = false
  /** The opening or closing that goes on. */
  #busy: Promise<void> | undefined
  #isSuspect = false
  #checkAt = Number.POSITIVE_INFINITY
  #retryMs = RETRY_MIN_MS
  #openedCount = 0
  #errorCount = 0
  #foreignCount = 0
  #lastError: string | null = null

  constructor(
    host: Host,
    options: MdnsOptions & { readonly place: Place },
    handlers: DiscoveryHandlers,
  ) {
    this.#host = host
    this.#options = options
    this.#handlers = handlers
    this.#port = options.port ?? MDNS_PORT
    const { uuid, name, network, place } = options
    const { address } = place.chosen
    this.#table = new MdnsTable({ uuid, name, network, address, port: place.inboxPort }, this.#port)
  }

  isAt({ chosen, inboxPort }: Place): boolean {
    const { place } = this.#options
    return isSame(place.chosen, chosen) && place.inboxPort === inboxPort
  }

  async start(): Promise<void> {
    this.#running = true
    await this.#do(() => this.#open())
  }

  async renew(): Promise<void> {
    await this.#busy
    this.#retryMs = RETRY_MIN_MS
    if (this.#running) await this.#do(() => this.#reopen(true))
  }

  async stop(): Promise<void> {
    this.#running = false
    this.#checkAt = Number.POSITIVE_INFINITY
    await this.#busy
    this.#table.stop()
    this.#perform()
    const socket = this.#socket
    this.#socket = undefined
    await socket?.close()
  }

  handleExit(uuid: Uuid, now: number): void {
    if (this.#socket === undefined) return
    this.#table.handleExit(uuid, now)
    this.#perform()
  }

  handleTimeout(now: number): void {
    if (now >= this.#checkAt) this.#check(now)
    if (this.#socket === undefined) return
    this.#table.handleTimeout(now)
    this.#perform()
  }

  pollTimeout(): number {
    const tableAt = this.#socket === undefined ? this.#checkAt : this.#table.pollTimeout()
    return Math.min(this.#checkAt, tableAt)
  }

  diagnostics(): MdnsDiagnostics {
    return {
      address: this.#options.place.chosen.address,
      port: this.#port,
      open: this.#socket !== undefined,
      opened: this.#openedCount,
      errors: this.#errorCount,
      lastError: this.#lastError,
      foreign: this.#foreignCount,
      ...this.#table.diagnostics(this.#host.clock.now()),
    }
  }

  /** A socket that had a problem, or whose address went away, is of no use any more: the next one is begun with. */
  #check(now: number): void {
    this.#checkAt = now + CHECK_MS
    if (this.#busy !== undefined) return
    const { address } = this.#options.place.chosen
    const isThere = this.#host.interfaces().some((found) => found.address === address)
    if (this.#socket === undefined) {
      if (isThere) void this.#do(() => this.#open())
    } else if (isThere && !this.#isSuspect) {
      this.#retryMs = RETRY_MIN_MS
    } else {
      if (!isThere) this.#note(new Error(`the interface has lost its address ${address}`))
      void this.#do(() => this.#reopen(isThere))
    }
  }

  /** One thing after the other; none of them rejects. */
  async #do(act: () => Promise<void>): Promise<void> {
    this.#busy = act()
    await this.#busy
    this.#busy = undefined
    if (this.#running) this.#handlers.sooner()
  }

  async #reopen(isThere: boolean): Promise<void> {
    const socket = this.#socket
    this.#socket = undefined
    await socket?.close()
    if (isThere && this.#running) await this.#open()
  }

  async #open(): Promise<void> {
    const { multicastDns, clock } = this.#host
    const { uuid, place } = this.#options
    const labels = ['_zre', '_dns-sd', hostOf(uuid).split('.', 1)[0] as string]
    const { address } = place.chosen
    const handlers: MulticastDnsHandlers = {
      receive: (packet, from) => this.#receive(packet, from),
      fail: (error) => {
        this.#isSuspect = true
        this.#note(error)
      },
    }
    try {
      this.#socket = await multicastDns.open({ address, port: this.#port, labels }, handlers)
    } catch (error) {
      this.#note(error)
      this.#checkAt = clock.now() + this.#retryMs
      this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS)
      return
    }
    this.#openedCount++
    this.#isSuspect = false
    if (!this.#running) return
    // One that has a problem again and again is opened less and less often.
    const now = clock.now()
    this.#checkAt = now + Math.max(CHECK_MS, this.#retryMs)
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS)
    this.#table.start(now)
    this.#perform()
  }

  #receive(packet: MdnsPacket, from: Address): void {
    if (this.#socket === undefined || !this.#running) return
    if (!onNetwork(from.address, this.#options.place.chosen)) {
      this.#foreignCount++
      return
    }
    const now = this.#host.clock.now()
    this.#table.handlePacket(packet, from, now)
    this.#perform()
    this.#handlers.sooner()
  }

  #perform(): void {
    for (;;) {
      const effect = this.#table.pollEffect()
      if (effect === undefined) return
      if (effect.type === 'send') this.#socket?.send(effect.packet, effect.to)
      else if (effect.type === 'goodbye') this.#handlers.goodbye(effect.uuid)
      else this.#handlers.alive(effect.uuid, formatEndpoint(effect.address, effect.port))
    }
  }

  #note(error: unknown): void {
    this.#errorCount++
    this.#lastError = error instanceof Error ? error.message : String(error)
  }
}
