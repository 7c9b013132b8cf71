// The machines of a simulation, the subnets they are on, and what keeps them apart. What moves between them is in
// datagrams.ts and streams.ts.

import { NetworkError, UsageError } from '../src/errors.ts'
import type { NetworkInterface } from '../src/host.ts'
import type { VirtualClock } from './clock.ts'
import type { VirtualSocket } from './datagrams.ts'
import type { History, SimulatedNode } from './history.ts'
import { type Link, LOOPBACK, Path } from './links.ts'
import { MACHINE_DEFAULTS, MachineClock, type MachineSettings } from './machines.ts'
import type { Random } from './random.ts'
import { Slab } from './slab.ts'
import type { End, Server } from './streams.ts'

/** Ports that are given away: those from here on, one after the other. */
const PORT_MIN = 32_768
const PORT_MAX = 60_999
const MACHINES_MAX = 65_000
const SUBNETS_MAX = 250
const TIMERS_MAX = 64
const CARDS_MAX = 8
const ORDINARY = { family: 'IPv4', broadcasts: true } as const

/** Machines that hear each other's broadcasts: 10.N.0.0/16. */
export interface Subnet {
  readonly name: string
  readonly index: number
  readonly broadcast: string
  /** Whoever is bound to a UDP port, by port; the lists are replaced, never changed. */
  readonly listeners: Map<number, readonly VirtualSocket[]>
  hostCount: number
  /** Whether its switch works: without, nothing gets from one machine on it to another. */
  isUp: boolean
}

/** What connects a machine to a subnet, by an address of its own there. */
export class Card {
  readonly name: string
  subnet: Subnet
  address: string
  /** Whether its cable is plugged in; without, its machine has it not among its interfaces, and keeps its address for it. */
  isUp = true

  constructor(name: string, subnet: Subnet, address: string) {
    this.name = name
    this.subnet = subnet
    this.address = address
  }

  /** Whether anything can come or go. */
  get connected(): boolean {
    return this.isUp && this.subnet.isUp
  }
}

/** A computer, with an address on each subnet that it is on, of IPv4: there is no IPv6 in a box. Processes on it share its ports. */
export class Machine {
  readonly index: number
  readonly name: string
  readonly random: Random
  readonly processes = new Set<Process>()
  readonly sockets = new Map<number, readonly VirtualSocket[]>()
  readonly servers = new Set<Server>()
  /** From here to others, by their number, as far as anything went there. */
  readonly paths: (Path | undefined)[] = []
  readonly clock = new MachineClock()
  /** What is on its disk, by folder and name, over all crashes; and which process has which folder. */
  readonly files = new Map<string, string>()
  readonly claims = new Map<string, Process>()
  settings: MachineSettings = MACHINE_DEFAULTS
  /** How long datagrams from others wait at most, in microseconds; all of them come at multiples of it. */
  powerSaveUs = 0
  /** Whether all of it sleeps: then nothing gets in, and its clock stands still. */
  isSuspended = false
  /** One for each subnet; the first is what `address` and `subnet` are about. */
  readonly cards: readonly [Card, ...Card[]]
  #port = PORT_MIN - 1
  #sleptAtMs = 0

  constructor(
    identity: { readonly index: number; readonly name: string },
    cards: readonly [Card, ...Card[]],
    random: Random,
  ) {
    this.index = identity.index
    this.name = identity.name
    this.cards = cards
    this.random = random
  }

  get address(): string {
    return this.cards[0].address
  }

  get subnet(): Subnet {
    return this.cards[0].subnet
  }

  /** Whether it is switched on, and awake: as long as a process on it runs, or sleeps alone. */
  get up(): boolean {
    return this.processes.size > 0 && !this.isSuspended
  }

  get interfaces(): NetworkInterface[] {
    const list: NetworkInterface[] = [
      { name: 'lo', address: '127.0.0.1', netmask: '255.0.0.0', loopback: true, ...ORDINARY },
    ]
    for (const { name, address, isUp } of this.cards) {
      if (isUp) list.push({ name, address, netmask: '255.255.0.0', loopback: false, ...ORDINARY })
    }
    return list
  }

  /** All of it sleeps from now on. */
  suspend(nowUs: number): void {
    this.isSuspended = true
    this.#sleptAtMs = this.clock.ms(nowUs)
  }

  /** It goes on; its clock stood still. @returns whether it was asleep. */
  resume(nowUs: number): boolean {
    if (!this.isSuspended) return false
    this.isSuspended = false
    this.clock.standStill(this.#sleptAtMs, nowUs)
    return true
  }

  /** Changes what it is like, from now on. */
  set(settings: MachineSettings, nowUs: number): void {
    if (settings.driftPpm !== this.settings.driftPpm) this.clock.drift(settings.driftPpm, nowUs)
    this.settings = settings
    this.powerSaveUs = Math.round(settings.powerSaveMs * 1_000)
  }

  /** Whether an address is one of its own. */
  has(address: string): boolean {
    return this.cards.some((card) => card.address === address) || address.startsWith('127.')
  }

  /** A port that `isFree` says nobody has. @throws NetworkError when there is none. */
  anyPort(isFree: (port: number) => boolean): number {
    for (let count = PORT_MIN; count <= PORT_MAX; count++) {
      this.#port = this.#port === PORT_MAX ? PORT_MIN : this.#port + 1
      if (isFree(this.#port)) return this.#port
    }
    throw new NetworkError(`${this.name} has no port left`)
  }
}

/** What a node runs in: it can sleep, and it can die. */
export class Process {
  readonly machine: Machine
  readonly network: Network
  /** As everybody else knows it; set by who made it, before anything happens. */
  node!: SimulatedNode
  state: SimulatedNode['state'] = 'running'
  readonly ends = new Set<End>()
  readonly sockets = new Set<VirtualSocket>()
  readonly servers = new Set<Server>()
  /** The timers that were made for it; of those that are not set, the newest. */
  timers: { readonly at: number }[] = []
  /**
   * Who may be waiting for what it is told: `all`, for anything, as on a bare host; `end`, for the end of connections and
   * for timers, as a node that stops.
   */
  awaited: 'all' | 'end' | 'nothing' = 'nothing'
  /** What it has missed while it was asleep, in order. */
  #missed: (() => void)[] = []

  constructor(machine: Machine, network: Network) {
    this.machine = machine
    this.network = network
    machine.processes.add(this)
  }

  /** What the clock of its machine shows, in milliseconds. */
  get now(): number {
    return this.machine.clock.ms(this.network.clock.nowUs)
  }

  /** Whether it has as many sockets as its system lets it have, or more; those count that it knows of. */
  isFull(besides = 0): boolean {
    const { descriptorsMax } = this.machine.settings
    if (descriptorsMax === Number.POSITIVE_INFINITY) return false
    let count = this.sockets.size + this.servers.size + this.ends.size - besides
    for (const { waiting } of this.servers) count -= waiting.size
    return count >= descriptorsMax
  }

  /** Does something of this process: now, when it wakes up, or never. */
  run(act: () => void): void {
    if (this.state === 'asleep') this.#missed.push(act)
    else if (this.state === 'running') {
      act()
      if (this.awaited !== 'nothing') this.network.woke()
    }
  }

  /** A timer was made for it. */
  addTimer(timer: { readonly at: number }): void {
    if (this.timers.length >= TIMERS_MAX) {
      this.timers = this.timers.filter(({ at }) => at !== Number.POSITIVE_INFINITY)
    }
    this.timers.push(timer)
  }

  /** It was told something that comes from others. */
  touch(): void {
    if (this.awaited === 'all') this.network.woke()
  }

  /** It goes on: first with what it has missed, timers mostly, then with what came for it. */
  wake(): void {
    this.state = 'running'
    const missed = this.#missed
    this.#missed = []
    for (const act of missed) this.run(act)
    for (const socket of this.sockets) socket.wake()
    for (const end of this.ends) end.wake()
    this.touch()
  }

  /** Its sockets are gone, and nobody is told; its machine, if it runs on, answers who still speaks to them. */
  vanish(): void {
    this.state = 'crashed'
    this.machine.processes.delete(this)
    this.#missed = []
    for (const socket of this.sockets) socket.vanish()
    for (const server of this.servers) server.vanish()
    for (const end of this.ends) end.vanish()
    this.ends.clear()
  }
}

/** What keeps machines apart. */
export interface Partition {
  /** By the number of a machine, the side it is on. */
  readonly sides: ReadonlyMap<number, number>
  /** The side of all others; undefined where they are on none, and hear everybody. */
  readonly rest: number | undefined
  /** Whether only what goes from an earlier side to a later one is kept back. */
  readonly oneWay: boolean
}

/** All machines, and what is between them. */
export class Network {
  readonly clock: VirtualClock
  readonly history: History
  /** Called when somebody who awaits something may go on. */
  readonly woke: () => void
  readonly machines: Machine[] = []
  readonly slab = new Slab()
  readonly subnets = new Map<string, Subnet>()
  /** Whether every datagram arrives: then nobody looks at paths. */
  harmless: boolean
  /** Whether some pair has a link of its own. */
  mixed = false
  connectionCount = 0
  datagramCount = 0
  readonly #random: Random
  readonly #routed: boolean
  readonly #byName = new Map<string, Machine>()
  readonly #byAddress = new Map<string, { readonly machine: Machine; readonly card: Card }>()
  readonly #blocked = new Set<End>()
  readonly #fork = (path: Path, concern: string): Random => {
    const [from, to] = [this.machines[path.from], this.machines[path.to]]
    return this.#random.fork(`${concern} from ${from?.name} to ${to?.name}`)
  }
  #link: Link
  #partitions: Partition[] = []

  constructor(options: {
    readonly clock: VirtualClock
    readonly history: History
    readonly random: Random
    readonly link: Link
    readonly routed: boolean
    readonly woke: () => void
  }) {
    this.clock = options.clock
    this.history = options.history
    this.woke = options.woke
    this.#random = options.random
    this.#routed = options.routed
    this.#link = options.link
    this.harmless = options.link.harmless
  }

  /** The machine of that name, if there is one. */
  known(name: string): Machine | undefined {
    return this.#byName.get(name)
  }

  /**
   * The machine of that name, created where there is none, with a card on each of these subnets.
   * @throws UsageError when it is on other subnets.
   */
  machine(name: string | undefined, subnets: string | readonly string[] | undefined): Machine {
    const known = name === undefined ? undefined : this.#byName.get(name)
    const wanted = typeof subnets === 'string' ? [subnets] : (subnets ?? ['lan'])
    if (known !== undefined) {
      const there = known.cards.map(({ subnet }) => subnet.name).join(' and ')
      if (subnets === undefined || there === wanted.join(' and ')) return known
      throw new UsageError(`machine ${name} is on subnet ${there}, not ${wanted.join(' and ')}`)
    }
    const isListed = Array.isArray(wanted) && wanted.every((subnet) => typeof subnet === 'string')
    const isSound = isListed && new Set(wanted).size === wanted.length
    if (!isSound || wanted.length === 0 || wanted.length > CARDS_MAX) {
      throw new UsageError(`subnet has to be a name, or 1 to ${CARDS_MAX} different ones`)
    }
    if (this.machines.length >= MACHINES_MAX) throw new UsageError('there are too many machines')
    const cards = wanted.map((subnetName, number) => {
      const subnet = this.#subnet(subnetName)
      return new Card(`eth${number}`, subnet, this.#freeAddress(subnet))
    })
    const index = this.machines.length
    const unnamed = name ?? `machine-${index + 1}`
    const random = this.#random.fork(`machine ${unnamed}`)
    const machine = new Machine({ index, name: unnamed }, cards as [Card, ...Card[]], random)
    this.machines.push(machine)
    this.#byName.set(unnamed, machine)
    for (const card of cards) this.#byAddress.set(card.address, { machine, card })
    return machine
  }

  /** The machine at an address, as another one sees it; undefined where there is none, or no way to it. */
  machineAt(address: string, from: Machine): Machine | undefined {
    if (from.has(address)) return from
    const found = this.#byAddress.get(address)
    if (found === undefined) return undefined
    const { machine, card } = found
    if (this.#routed) return machine
    return from.cards.some(({ subnet }) => subnet === card.subnet) ? machine : undefined
  }

  /** The card that has an address. */
  cardAt(address: string): Card | undefined {
    return this.#byAddress.get(address)?.card
  }

  /** By which card things leave a machine for another: one on the same subnet, else, where there are routers, any. */
  cardTo({ cards }: Machine, far: Card | undefined): Card {
    const [first] = cards
    if (cards.length === 1) return first
    const near = cards.filter(({ subnet }) => subnet === far?.subnet)
    const any = this.#routed ? [...near, ...cards] : near
    return any.find(({ isUp }) => isUp) ?? near[0] ?? first
  }

  /** Gives a card another address. @throws UsageError when it is on no subnet, or another machine's. */
  move(machine: Machine, card: Card, address: string): void {
    const subnet = [...this.subnets.values()].find(({ index }) =>
      address.startsWith(`10.${index}.`),
    )
    if (subnet === undefined || !/^10\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address)) {
      const names = [...this.subnets.values()].map(({ index }) => `10.${index}.0.0/16`).join(', ')
      throw new UsageError(`the address ${address} is on no subnet; there are ${names}`)
    }
    if (this.#byAddress.has(address)) throw new UsageError(`${address} is another machine's`)
    for (const process of machine.processes) {
      for (const end of process.ends) if (end.leadsBy(card)) end.strand()
      if (card.isUp) for (const socket of process.sockets) socket.leave(card)
    }
    this.#byAddress.delete(card.address)
    card.address = address
    card.subnet = subnet
    this.#byAddress.set(address, { machine, card })
    if (!card.isUp) return
    for (const process of machine.processes) {
      for (const socket of process.sockets) socket.enter(card)
    }
  }

  /** Pulls the cable of a card out, or plugs it in. @returns whether that changes anything. */
  plug(machine: Machine, card: Card, isUp: boolean): boolean {
    if (card.isUp === isUp) return false
    for (const process of machine.processes) {
      for (const socket of process.sockets) {
        if (isUp) socket.enter(card)
        else socket.leave(card)
      }
    }
    card.isUp = isUp
    this.retry()
    return true
  }

  /** The switch of a subnet works from now on, or does not. */
  switch(subnet: Subnet, isUp: boolean): void {
    subnet.isUp = isUp
    this.retry()
  }

  /** An address that nobody has, on a subnet that is created where there is none of that name. */
  freeAddress(subnetName: string): string {
    return this.#freeAddress(this.#subnet(subnetName))
  }

  path(from: Machine, to: Machine): Path {
    const known = from.paths[to.index]
    if (known !== undefined) return known
    const link = from === to ? LOOPBACK : this.#link
    const path = new Path({ from: from.index, to: to.index }, link, this.#fork)
    from.paths[to.index] = path
    return path
  }

  /** Changes what all paths are like that have no link of their own. */
  setLink(link: Link): void {
    const before = this.#link
    this.#link = link
    for (const path of this.#allPaths()) if (path.link === before) path.link = link
    this.#judge()
  }

  /** Gives one path a link of its own; undefined takes that away. */
  setPath(from: Machine, to: Machine, link: Link | undefined): void {
    this.path(from, to).link = link ?? this.#link
    this.#judge()
  }

  /** The link that most paths have. */
  get link(): Link {
    return this.#link
  }

  /** Whether nothing gets from one machine to another at present. */
  isBlocked(from: number, to: number): boolean {
    if (from === to) return false
    for (const { sides, rest, oneWay } of this.#partitions) {
      const one = sides.get(from) ?? rest
      const other = sides.get(to) ?? rest
      if (one === undefined || other === undefined || one === other) continue
      if (!oneWay || one < other) return true
    }
    return !(this.machines[to] as Machine).up || (this.machines[from] as Machine).isSuspended
  }

  /** Whether there is any partition. */
  get parted(): boolean {
    return this.#partitions.length > 0
  }

  part(partition: Partition): void {
    this.#partitions.push(partition)
  }

  /** Ends one partition. @returns false when it has ended before. */
  unite(partition: Partition): boolean {
    const others = this.#partitions.filter((other) => other !== partition)
    if (others.length === this.#partitions.length) return false
    this.#partitions = others
    this.retry()
    return true
  }

  /** Ends all partitions; what waits to be sent again is, when its time comes. */
  heal(): void {
    this.#partitions = []
    this.retry()
  }

  /** A connection cannot go on at present. */
  block(end: End): void {
    this.#blocked.add(end)
  }

  unblock(end: End): void {
    this.#blocked.delete(end)
  }

  /** Something has changed for the better: what is blocked may not be any more. */
  retry(): void {
    for (const end of [...this.#blocked]) end.retry()
  }

  #subnet(name: string): Subnet {
    const known = this.subnets.get(name)
    if (known !== undefined) return known
    const index = this.subnets.size
    if (index >= SUBNETS_MAX) throw new UsageError('there are too many subnets')
    const broadcast = `10.${index}.255.255`
    const listeners = new Map()
    const subnet: Subnet = { name, index, broadcast, listeners, hostCount: 0, isUp: true }
    this.subnets.set(name, subnet)
    return subnet
  }

  #freeAddress(subnet: Subnet): string {
    for (;;) {
      const host = ++subnet.hostCount
      const address = `10.${subnet.index}.${host >> 8}.${host & 0xff}`
      if (!this.#byAddress.has(address)) return address
    }
  }

  *#allPaths(): Iterable<Path> {
    for (const { paths } of this.machines) {
      for (const path of paths) if (path !== undefined) yield path
    }
  }

  #judge(): void {
    this.mixed = false
    this.harmless = this.#link.harmless
    for (const { link, from, to } of this.#allPaths()) {
      if (link === this.#link || from === to) continue
      this.mixed = true
      if (!link.harmless) this.harmless = false
    }
  }
}
