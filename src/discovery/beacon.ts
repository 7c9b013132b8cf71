// Discovery by UDP beacon: says once an interval that we are here, and hears who else is. It only tells what it heard: what
// to believe of it is harmony.ts's matter.

import {
  BEACON_BYTES,
  decodeBeacon,
  encodeBeacon,
  type Uuid,
  WireError,
} from '../../protocol/index.ts'
import type { Address, DatagramSocket, Datagrams, Host } from '../host.ts'
import { type InterfaceChoice, onNetwork } from './interfaces.ts'

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
  /** A node said that its inbox is at this port of the address that its beacon came from. */
  alive(uuid: Uuid, inbox: Address): void
  /** Somebody said that a node is leaving. */
  goodbye(uuid: Uuid): void
}

/** How many beacons of each kind came: one look tells a firewall from a neighbour with CURVE. */
export interface BeaconDiagnostics {
  readonly port: number
  readonly to: string
  readonly sent: number
  readonly sendErrors: number
  readonly lastError: string | null
  readonly heard: {
    readonly alive: number
    readonly goodbye: number
    readonly own: number
    /** Version 3: nodes that talk CURVE only, which this version does not. */
    readonly secure: number
    readonly malformed: number
    /** From another network than that of our interface. */
    readonly foreign: number
  }
  /** Beacons by the first three octets of where they came from; `other` beyond 32 of them. */
  readonly networks: Readonly<Record<string, number>>
}

const NETWORKS_MAX = 32

/** The beacons of one node, ours and those that we hear; it is started and stopped once for each life of the node. */
export class BeaconDiscovery {
  readonly #host: Host
  readonly #options: BeaconOptions
  readonly #handlers: BeaconHandlers
  readonly #heard = { alive: 0, goodbye: 0, own: 0, secure: 0, malformed: 0, foreign: 0 }
  readonly #networks = new Map<string, number>()
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
  }

  /**
   * Hears from now on, and sends its first beacon at once.
   * @param inboxPort what we tell others to dial.
   * @throws NetworkError when the port cannot be had.
   */
  async start(inboxPort: number): Promise<void> {
    const { port, choice, uuid } = this.#options
    const datagrams: Datagrams = this.#host.datagrams
    const fail = (error: Error) => this.#fail(error)
    this.#listener = await datagrams.open(
      { address: '0.0.0.0', port, shared: true, broadcast: false },
      { receive: (bytes, from) => this.#receive(bytes, from), fail },
    )
    // A second socket sends, so that the first is bound to no address; nobody answers a beacon by UDP.
    this.#sender = await datagrams.open(
      { address: choice.chosen.address, port: 0, shared: false, broadcast: true },
      { receive: () => {}, fail },
    )
    this.#beacon = encodeBeacon({ uuid, port: inboxPort })
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
    return {
      port: this.#options.port,
      to: this.#options.choice.chosen.broadcast,
      sent: this.#sentCount,
      sendErrors: this.#errorCount,
      lastError: this.#lastError,
      heard: { ...this.#heard },
      networks: Object.fromEntries(this.#networks),
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
    sender.send(this.#beacon, {
      address: this.#options.choice.chosen.broadcast,
      port: this.#options.port,
    })
  }

  #receive(bytes: Uint8Array, from: Address): void {
    this.#note(from.address)
    if (!onNetwork(from.address, this.#options.choice.chosen)) {
      this.#heard.foreign++
      return
    }
    try {
      const { version, uuid, port } = decodeBeacon(bytes)
      if (uuid === this.#options.uuid) {
        this.#heard.own++
      } else if (version === 3) {
        this.#heard.secure++
      } else if (port === 0) {
        this.#heard.goodbye++
        this.#handlers.goodbye(uuid)
      } else {
        this.#heard.alive++
        this.#handlers.alive(uuid, { address: from.address, port })
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.#heard.malformed++
    }
  }

  #note(address: string): void {
    const network = `${address.slice(0, address.lastIndexOf('.'))}.0/24`
    const known = this.#networks.has(network) || this.#networks.size < NETWORKS_MAX
    const name = known ? network : 'other'
    this.#networks.set(name, (this.#networks.get(name) ?? 0) + 1)
  }

  #fail(error: Error): void {
    this.#errorCount++
    this.#lastError = error.message
  }
}
