// UDP between machines. One broadcast is one entry of the heap for all who hear it at the same time, which is everybody
// whose path is an ordinary one: there are as many receptions as pairs of nodes, and this is where a large crowd's time goes.

import { NetworkError } from '../src/errors.ts'
import type { Address, DatagramHandlers, DatagramOptions, DatagramSocket } from '../src/host.ts'
import type { Entry } from './clock.ts'
import type { SimulatedNode } from './history.ts'
import type { Link, Path } from './links.ts'
import type { Card, Machine, Process, Subnet } from './network.ts'

/** Octets of the largest datagram of UDP over IPv4. */
const DATAGRAM_BYTES_MAX = 65_507
/** What may wait in a socket whose process is asleep: each datagram counts with what a system keeps beside it. */
const WAITING_BYTES_MAX = 212_992
const WAITING_COST_BYTES = 576
/** A multicast group of IPv4: 224.0.0.0/4. */
const GROUP = /^2(2[4-9]|3\d)\./

/** A UDP socket of a process. */
export class VirtualSocket implements DatagramSocket {
  readonly process: Process
  readonly address: string
  readonly port: number
  readonly shared: boolean
  /** The group that it is in, on the loopback of its machine. */
  readonly multicast: string | null
  readonly handlers: DatagramHandlers
  readonly #broadcasts: boolean
  #isOpen = true
  #waiting: Flight[] = []
  #waitingBytes = 0

  /** @throws NetworkError when the address or port cannot be had. */
  constructor(process: Process, options: DatagramOptions, handlers: DatagramHandlers) {
    const { machine } = process
    const { address, shared } = options
    if (process.isFull()) throw portError(options, 'EMFILE')
    if (address !== '0.0.0.0' && !machine.has(address)) {
      throw portError(options, 'EADDRNOTAVAIL')
    }
    if (options.multicast != null && !GROUP.test(options.multicast))
      throw portError(options, 'EINVAL')
    const port =
      options.port === 0 ? machine.anyPort((free) => !machine.sockets.has(free)) : options.port
    const others = machine.sockets.get(port) ?? []
    if (others.some((other) => !shared || !other.shared)) throw portError(options, 'EADDRINUSE')
    this.process = process
    this.address = address
    this.port = port
    this.shared = shared
    this.multicast = options.multicast ?? null
    this.handlers = handlers
    this.#broadcasts = options.broadcast
    machine.sockets.set(port, [...others, this])
    process.sockets.add(this)
    for (const card of machine.cards) if (card.isUp) this.enter(card)
  }

  send(bytes: Uint8Array, to: Address): void {
    const { process } = this
    if (!this.#isOpen || process.state === 'crashed') return
    const { machine, network } = process
    const isBroadcast = to.address.endsWith('.255.255')
    if (bytes.length > DATAGRAM_BYTES_MAX) this.#fail('EMSGSIZE: it is too large')
    else if (isBroadcast && !this.#broadcasts) this.#fail('EACCES: broadcasting was not asked for')
    else if (this.address !== '0.0.0.0' && !machine.has(this.address)) {
      this.#fail(`ENETUNREACH: ${this.address} is no address of this machine any more`)
    } else {
      const isMulticast = to.address === this.multicast
      const isLocal = isMulticast || to.address.startsWith('127.')
      const card = this.#cardTo(to.address)
      if (!card.isUp && !isLocal) {
        this.#fail(`ENETUNREACH: ${card.name} has no cable`)
        return
      }
      const bound = this.address === '0.0.0.0' ? card.address : this.address
      const address = isLocal ? '127.0.0.1' : bound
      const from = { address, port: this.port }
      const flight = new Flight(this, { bytes: bytes.slice(), from, to, card })
      network.history.datagram('sent', flight)
      if (isMulticast) flight.toItself()
      else if (!isBroadcast) flight.toOne()
      else if (isLocal) flight.toItself()
      else if (to.address === card.subnet.broadcast || to.address === '255.255.255.255') {
        flight.toAll()
      } else flight.drop(undefined, 'unreachable')
    }
  }

  async close(): Promise<void> {
    this.vanish()
    this.process.sockets.delete(this)
  }

  /** It is closed, from one instant to the next. */
  vanish(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    const { sockets } = this.process.machine
    const others = sockets.get(this.port)?.filter((other) => other !== this) ?? []
    if (others.length > 0) sockets.set(this.port, others)
    else sockets.delete(this.port)
    for (const card of this.process.machine.cards) if (card.isUp) this.leave(card)
  }

  /** Is heard of on the subnet of a card. */
  enter({ subnet: { listeners } }: Card): void {
    listeners.set(this.port, [...(listeners.get(this.port) ?? []), this])
  }

  /** Is not, any more. */
  leave({ subnet: { listeners } }: Card): void {
    const others = listeners.get(this.port)?.filter((other) => other !== this) ?? []
    if (others.length > 0) listeners.set(this.port, others)
    else listeners.delete(this.port)
  }

  /** Takes a datagram that has come. */
  receive(flight: Flight): void {
    const { process } = this
    if (!this.#isOpen) return
    if (process.machine.isSuspended) {
      flight.drop(process.node, 'asleep')
      return
    }
    if (process.state === 'asleep') {
      const bytes = flight.bytes.length + WAITING_COST_BYTES
      if (this.#waitingBytes + bytes > WAITING_BYTES_MAX) {
        flight.drop(process.node, 'asleep')
        return
      }
      this.#waitingBytes += bytes
      this.#waiting.push(flight)
      return
    }
    process.network.history.datagram('delivered', flight, process.node)
    // A node only reads what it is given; who speaks for a bare host may do anything with it.
    const isBare = process.awaited === 'all'
    this.handlers.receive(isBare ? flight.bytes.slice() : flight.bytes, flight.from)
    if (isBare) process.network.woke()
  }

  /** Its process is awake again, and reads what came meanwhile. */
  wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    for (const flight of waiting) this.receive(flight)
  }

  /** By which card it sends to an address. */
  #cardTo(address: string): Card {
    const { machine, network } = this.process
    const [first] = machine.cards
    if (machine.cards.length === 1) return first
    if (address === '255.255.255.255') {
      return machine.cards.find((card) => card.address === this.address) ?? first
    }
    const wide = machine.cards.find(({ subnet }) => subnet.broadcast === address)
    return wide ?? network.cardTo(machine, network.cardAt(address))
  }

  #fail(reason: string): void {
    const { clock } = this.process.network
    const fail = () => this.handlers.fail(new NetworkError(reason))
    clock.after(0, () => this.process.run(fail))
  }
}

/** A datagram on its way. */
class Flight implements Entry {
  at = Number.POSITIVE_INFINITY
  queuedAt = Number.POSITIVE_INFINITY
  readonly socket: VirtualSocket
  readonly datagram: number
  readonly sender: SimulatedNode
  readonly from: Address
  readonly to: Address
  readonly bytes: Uint8Array
  readonly #machine: Machine
  /** Where it was sent: its machine may have moved since. */
  readonly card: Card
  readonly #subnet: Subnet
  /** For all on that subnet whose path has this link, or for one machine. */
  #link: Link | undefined
  #receiver: Machine | undefined

  constructor(
    socket: VirtualSocket,
    about: {
      readonly bytes: Uint8Array
      readonly from: Address
      readonly to: Address
      readonly card: Card
    },
    datagram?: number,
  ) {
    this.socket = socket
    this.datagram = datagram ?? ++socket.process.network.datagramCount
    this.sender = socket.process.node
    this.from = about.from
    this.to = about.to
    this.bytes = about.bytes
    this.#machine = socket.process.machine
    this.card = about.card
    this.#subnet = about.card.subnet
  }

  toOne(): void {
    const { network } = this.socket.process
    const receiver = network.machineAt(this.to.address, this.#machine)
    if (receiver === undefined) {
      this.drop(undefined, 'unreachable')
      return
    }
    this.#receiver = receiver
    this.#schedule(network.path(this.#machine, receiver).delayUs())
  }

  /** A broadcast on 127.0.0.0/8, or to a group there. */
  toItself(): void {
    this.#receiver = this.#machine
    this.#schedule(this.socket.process.network.path(this.#machine, this.#machine).delayUs())
  }

  /** Goes out once for each kind of link: all whose paths have the same one hear it at the same time. */
  toAll(): void {
    const { network } = this.socket.process
    const links = new Set([network.link])
    const listeners = this.#subnet.listeners.get(this.to.port) ?? []
    if (network.mixed) {
      for (const { process } of listeners) {
        if (process.machine !== this.#machine) links.add(this.#linkTo(process.machine))
      }
    }
    for (const link of links) {
      const flight = links.size === 1 ? this : new Flight(this.socket, this, this.datagram)
      flight.#link = link
      const { jitterUs } = link
      const jitter = jitterUs === 0 ? 0 : this.#machine.random.exponential(jitterUs)
      flight.#schedule(link.latencyUs + jitter)
    }
  }

  drop(receiver: SimulatedNode | undefined, reason: string): void {
    this.socket.process.network.history.datagram('dropped', this, receiver, reason)
  }

  run(): void {
    const { port, address } = this.to
    const isOurs = this.#receiver === this.#machine
    const far = isOurs ? undefined : this.socket.process.network.cardAt(address)
    if (!isOurs && (!this.#subnet.isUp || far?.connected === false)) {
      this.drop(undefined, 'no cable')
      return
    }
    if (this.#receiver !== undefined) {
      // Whoever has been bound to a shared port last gets what is for this machine alone.
      const isMulticast = address === this.socket.multicast
      const sockets = this.#receiver.sockets.get(port) ?? []
      const hears = sockets.filter((socket) =>
        isMulticast
          ? socket.multicast === address
          : socket.address === '0.0.0.0' || socket.address === address,
      )
      const all = isMulticast || address.endsWith('.255.255') ? hears : hears.slice(-1)
      if (all.length === 0) this.drop(undefined, 'nobody listens')
      for (const socket of all) this.#arrive(socket)
      return
    }
    const { network } = this.socket.process
    for (const socket of this.#subnet.listeners.get(port) ?? []) {
      const { machine } = socket.process
      if (socket.address !== '0.0.0.0') continue
      const isOurs = !network.mixed || machine === this.#machine
      if (isOurs ? this.#link !== network.link : this.#linkTo(machine) !== this.#link) continue
      this.#arrive(socket)
    }
  }

  #linkTo(machine: Machine): Link {
    return this.socket.process.network.path(this.#machine, machine).link
  }

  #schedule(delayUs: number): void {
    const { clock } = this.socket.process.network
    clock.set(this, clock.nowUs + delayUs)
  }

  /** It is at a machine, or at the access point of one whose radio sleeps, which has it until that wakes up. */
  #arrive(socket: VirtualSocket): void {
    const { network, machine } = socket.process
    if (machine.powerSaveUs === 0 || machine === this.#machine) {
      this.#reach(socket)
      return
    }
    const waitUs = machine.powerSaveUs - (network.clock.nowUs % machine.powerSaveUs)
    network.clock.after(waitUs, () => this.#reach(socket))
  }

  /** It is heard, or lost just before. */
  #reach(socket: VirtualSocket): void {
    const { network, machine, node } = socket.process
    if (machine === this.#machine || (network.harmless && !network.parted)) {
      socket.receive(this)
      return
    }
    if (network.isBlocked(this.#machine.index, machine.index)) {
      this.drop(node, 'partition')
      return
    }
    if (network.harmless) {
      socket.receive(this)
      return
    }
    this.#suffer(socket, network.path(this.#machine, machine))
  }

  /** Whatever a path does to a datagram. */
  #suffer(socket: VirtualSocket, path: Path): void {
    const { network, node } = socket.process
    if (this.#link !== undefined && !path.link.broadcast) {
      this.drop(node, 'broadcast')
      return
    }
    const { weather } = path
    const doubles = weather.doubles()
    const loses = weather.loses(network.clock.nowUs)
    const lateUs = weather.lateUs()
    const damaged = weather.damage(this.bytes)
    if (loses !== undefined) {
      this.drop(node, loses)
      return
    }
    let flight: Flight = this
    if (damaged !== undefined) {
      const { from, to, card } = this
      flight = new Flight(this.socket, { bytes: damaged, from, to, card }, this.datagram)
      network.history.damaged(damaged)
    }
    if (lateUs > 0) flight.#later(socket, lateUs)
    else socket.receive(flight)
    if (doubles) flight.#later(socket, 1 + path.delayUs())
  }

  /** It comes to this one socket, then and as it is. */
  #later(socket: VirtualSocket, delayUs: number): void {
    const { network, machine, node } = socket.process
    network.clock.after(delayUs, () => {
      if (!network.isBlocked(this.#machine.index, machine.index)) socket.receive(this)
      else this.drop(node, 'partition')
    })
  }
}

function portError({ address, port }: Address, code: string): NetworkError {
  const cause = Object.assign(new Error(code), { code })
  return new NetworkError(`cannot open UDP port ${port} at ${address}: ${code}`, { cause })
}
