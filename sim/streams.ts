// TCP between machines, as a program sees it: octets in order or not at all, a window, a kernel that goes on while its process
// sleeps, sides that learn late, or never, that the other is gone. It carries octets or, for sim/mesh.ts, whole messages.
// Past 600 lines because one side of a connection is one small object, of which there are millions.

import { NetworkError } from '../src/errors.ts'
import type { Address, Stream } from '../src/host.ts'
import type { Entry } from './clock.ts'
import type { SimulatedNode } from './history.ts'
import type { Path } from './links.ts'
import type { Card, Machine, Process } from './network.ts'

/** Connections that may wait to be accepted by a process that sleeps. */
const BACKLOG_MAX = 1_024
/** What is not acknowledged is sent again after so long, then twice as long, as Linux does; and then given up. */
const RETRY_MIN_US = 200_000
const RETRY_MAX_US = 120_000_000
const RETRIES_US = 924_600_000
/** The same for a connection that is not there yet. */
const DIAL_RETRY_US = 1_000_000
const DIAL_RETRIES_US = 127_000_000
/** In the place of an instant or a number that there is not: no infinity, which takes memory of its own in each object. */
const NEVER = -1
/** What is between two processes of one machine: it needs no card. */
const INSIDE = { connected: true, address: '' }

/** Octets, or one message as sim/mesh.ts has it. */
export type Load = Uint8Array | object

/** What an end tells its owner: StreamHandlers of src/host.ts, for loads of any kind. */
export interface EndHandlers {
  open(): void
  receive(load: Load, bytes: number): void
  drain(): void
  close(reason: string): void
}

/** What travels, in order. Closing is part of that order; a reset is not. */
interface Parcel {
  readonly type: 'dial' | 'accept' | 'load' | 'end' | 'reset'
  readonly load: Load | undefined
  readonly bytes: number
  readonly arrivesUs: number
  next: Parcel | undefined
}

/** Somebody who listens. */
export class Server {
  readonly process: Process
  readonly address: string
  readonly port: number
  readonly accept: (end: End) => EndHandlers
  /** Connections that wait until the process wakes up. */
  readonly waiting = new Set<End>()

  /** @throws NetworkError when the address or port cannot be had. */
  constructor(process: Process, { address, port }: Address, accept: (end: End) => EndHandlers) {
    const { machine } = process
    const isTaken = (wanted: number) => {
      for (const server of machine.servers) {
        const isSame = server.address === address || [server.address, address].includes('0.0.0.0')
        if (server.port === wanted && isSame) return true
      }
      return false
    }
    if (process.isFull()) throw portError(address, port, 'EMFILE')
    if (address !== '0.0.0.0' && !machine.has(address))
      throw portError(address, port, 'EADDRNOTAVAIL')
    if (port !== 0 && isTaken(port)) throw portError(address, port, 'EADDRINUSE')
    this.process = process
    this.address = address
    this.port = port === 0 ? machine.anyPort((free) => !isTaken(free)) : port
    this.accept = accept
    machine.servers.add(this)
    process.servers.add(this)
  }

  /** Its owner wants no more: connections that it has not seen yet are reset. */
  close(): void {
    this.vanish()
    for (const end of this.waiting) end.deny()
    this.waiting.clear()
  }

  /** Its process is gone. */
  vanish(): void {
    this.process.machine.servers.delete(this)
    this.process.servers.delete(this)
  }
}

/** One side of a connection; what it sends is in it until it arrives. As an entry of the heap, it is its own next arrival. */
export class End implements Entry, Stream {
  at = Number.POSITIVE_INFINITY
  queuedAt = Number.POSITIVE_INFINITY
  readonly process: Process
  readonly connection: number
  /** Where we are, and the other side is, or should be; empty as long as there is none. */
  localAddress = ''
  remoteAddress = ''
  /** What was given to it and has not left. */
  backlogBytes = 0
  readonly #path: Path
  readonly #to: Address
  /** The cards between which it leads. */
  readonly #near: Card | typeof INSIDE
  readonly #far: Card | typeof INSIDE
  #handlers: EndHandlers | undefined
  #other: End | undefined
  /** `ending`: no more comes from us; `over`: its owner was told so, or need not be. */
  #state: 'opening' | 'open' | 'ending' | 'over' = 'opening'
  #isPaused = false
  /** Given and not left; on the way; come and not read. */
  #backlog: Parcel | undefined
  #backlogLast: Parcel | undefined
  #flying: Parcel | undefined
  #flyingLast: Parcel | undefined
  #unread: Parcel | undefined
  #unreadLast: Parcel | undefined
  /** Octets on their way or unread by the other side, and when the line is free for more. */
  #unackedBytes = 0
  #freeUs = 0
  #hasGrown = false
  /** Octets that were read and are not acknowledged. */
  #readBytes = 0
  /** Since when what flies is not acknowledged. */
  #blockedUs = NEVER
  /** Its machine has another address since: nothing gets through any more. */
  #isStranded = false
  /** Octets after which it is reset. */
  #resetBytes = NEVER
  /** Whether who still speaks to us was told that nobody is here. */
  #isDenied = false
  /** Why it was reset, until its owner can be told. */
  #resetReason = ''

  private constructor(
    process: Process,
    about: {
      readonly connection: number
      readonly path: Path
      readonly to: Address
      readonly near: Card | typeof INSIDE
      readonly far: Card | typeof INSIDE
    },
  ) {
    this.process = process
    this.#near = about.near
    this.#far = about.far
    this.connection = about.connection
    this.#path = about.path
    this.#to = about.to
    process.ends.add(this)
  }

  /** Begins a connection. */
  static dial(process: Process, to: Address): End {
    const { network, machine } = process
    const target = network.machineAt(to.address, machine)
    const connection = ++network.connectionCount
    // The machine's own text: each dialler has another, read from an endpoint.
    const address = network.cardAt(to.address)?.address ?? to.address
    // Where there is no such address, the path is one that leads nowhere.
    const path = network.path(machine, target ?? machine)
    const isInside = target === machine
    const found = isInside ? INSIDE : network.cardAt(to.address)
    const near = isInside ? INSIDE : network.cardTo(machine, found as Card | undefined)
    const leads = { connection, path, near, far: found ?? INSIDE }
    const end = new End(process, { ...leads, to: { address, port: to.port } })
    end.localAddress = isInside ? address : near.address
    if (target === undefined) end.#isStranded = true
    const dial = { connection, node: process.node, other: undefined }
    network.history.connection('dialled', dial, `${to.address}:${to.port}`)
    if (process.isFull(1)) {
      process.ends.delete(end)
      end.#abort(`connect EMFILE ${to.address}:${to.port}`)
    } else if (process.state !== 'crashed') end.#launch('dial', undefined, 0)
    return end
  }

  // As the history knows it.
  get sender(): SimulatedNode {
    return this.process.node
  }

  get receiver(): SimulatedNode | undefined {
    return this.#other?.process.node
  }

  get node(): SimulatedNode {
    return this.process.node
  }

  get other(): SimulatedNode | undefined {
    return this.#other?.process.node
  }

  /** The numbers of the machines that it leads from and to. */
  get path(): { readonly from: number; readonly to: number } {
    return this.#path
  }

  /** The other side, whose messages come here; itself as long as there is none. */
  get incoming(): End {
    return this.#other ?? this
  }

  // What its owner does.

  /** Tells its owner from now on. */
  tell(handlers: EndHandlers): this {
    this.#handlers = handlers
    return this
  }

  /** Takes octets, which are copied when they leave. */
  write(...parts: readonly Uint8Array[]): boolean {
    for (const part of parts) if (part.length > 0) this.send(part, part.length)
    return this.#backlog === undefined
  }

  /** Takes a message that counts as so many octets. */
  send(load: Load, bytes: number): void {
    if (this.#state !== 'opening' && this.#state !== 'open') return
    const parcel: Parcel = { type: 'load', load, bytes, arrivesUs: 0, next: undefined }
    if (this.#backlogLast === undefined) this.#backlog = parcel
    else this.#backlogLast.next = parcel
    this.#backlogLast = parcel
    this.backlogBytes += bytes
    this.#send()
    if (this.#backlog !== undefined) this.#hasGrown = true
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    if (this.#unread === undefined && this.#resetReason === '') return
    this.#soon(() => this.#read())
  }

  /** Sends what was given, then says that no more comes. */
  end(): void {
    if (this.#state !== 'opening' && this.#state !== 'open') return
    if (this.#state === 'opening') {
      this.destroy()
      return
    }
    this.#state = 'ending'
    if (this.#backlog === undefined) this.#launch('end', undefined, 0)
  }

  /** Closes at once; what has not left is lost. */
  destroy(): void {
    if (this.#state === 'over') return
    const isSaid = this.#state === 'ending' && this.#backlog === undefined
    this.#dropBacklog()
    if (this.#other === undefined) this.#dropFlying()
    else if (!isSaid) this.#launch('end', undefined, 0)
    this.#close('closed by us')
  }

  /** Nobody wants it any more: the other side is told so at once. */
  deny(): void {
    if (this.#state === 'over') return
    this.#launch('reset', undefined, 0)
    this.#close('closed by us')
  }

  // What becomes of it.

  /** Both sides are told that it is reset, once so many octets more have arrived; what else is on its way is lost. */
  reset(afterBytes = 0): void {
    if (afterBytes > 0) {
      this.#resetBytes = afterBytes
      return
    }
    const other = this.#other
    this.#abort('reset on the way')
    if (other !== undefined) other.#abort('reset on the way')
  }

  /** Whether it comes or goes by a card. */
  leadsBy(card: Card): boolean {
    return this.#near === card
  }

  /** Neither side hears of the other any more, nor is told why. */
  strand(): void {
    this.#isStranded = true
    if (this.#other !== undefined) this.#other.#isStranded = true
  }

  /** Its process is gone, and so is this side of it, unsaid. */
  vanish(): void {
    this.#state = 'over'
    this.#handlers = undefined
    this.#dropBacklog()
    this.#dropFlying()
    this.#unread = undefined
    this.#unreadLast = undefined
  }

  /** Its process is awake again. */
  wake(): void {
    if (this.#unread !== undefined || this.#resetReason !== '') this.#read()
  }

  /** What was blocked may go through: it is sent again when its time comes, which is late if it was blocked for long. */
  retry(): void {
    const { clock } = this.process.network
    if (this.#isBlocked()) return
    this.process.network.unblock(this)
    this.#acknowledge()
    if (this.#blockedUs === NEVER) return
    let at = this.#blockedUs
    let stepUs = this.#other === undefined ? DIAL_RETRY_US : RETRY_MIN_US
    for (; at < clock.nowUs; stepUs = Math.min(RETRY_MAX_US, 2 * stepUs)) at += stepUs
    this.#blockedUs = NEVER
    clock.set(this, at)
  }

  /** Something of this side arrives at the other. */
  run(): void {
    const { network } = this.process
    const nowUs = network.clock.nowUs
    if (nowUs < this.#path.stalledUntilUs) {
      network.clock.set(this, this.#path.stalledUntilUs)
      return
    }
    for (let parcel = this.#flying; parcel !== undefined; parcel = this.#flying) {
      if (parcel.arrivesUs > nowUs) break
      if (this.#isBlocked() || (parcel.type === 'dial' && this.#isCrowded())) {
        this.#wait(nowUs)
        return
      }
      this.#flying = parcel.next
      if (parcel.next === undefined) this.#flyingLast = undefined
      parcel.next = undefined
      if (parcel.type === 'dial') this.#arrive()
      else if (this.#other !== undefined) this.#other.#take(parcel)
    }
    if (this.#flying !== undefined) network.clock.set(this, this.#flying.arrivesUs)
  }

  /** Puts something on its way. */
  #launch(type: Parcel['type'], load: Load | undefined, bytes: number): void {
    const { clock } = this.process.network
    const { bandwidthBytes } = this.#path.link
    let leavesUs = clock.nowUs
    if (bandwidthBytes !== Number.POSITIVE_INFINITY) {
      leavesUs = Math.max(leavesUs, this.#freeUs) + Math.ceil((bytes * 1_000_000) / bandwidthBytes)
      this.#freeUs = leavesUs
    }
    const last = this.#flyingLast
    const arrivesUs = Math.max(last?.arrivesUs ?? 0, leavesUs + this.#path.delayUs())
    const parcel: Parcel = { type, load, bytes, arrivesUs, next: undefined }
    this.#flyingLast = parcel
    if (last !== undefined) {
      last.next = parcel
      return
    }
    this.#flying = parcel
    if (this.#blockedUs === NEVER) clock.set(this, arrivesUs)
  }

  /** Sends as much of the backlog as there is room for. */
  #send(): void {
    if (this.#state === 'opening' || this.#state === 'over') return
    const { windowBytes, chunkBytes } = this.#path.link
    for (let parcel = this.#backlog; parcel !== undefined; parcel = this.#backlog) {
      const room = windowBytes - this.#unackedBytes
      if (room <= 0) return
      let { load } = parcel
      let { bytes } = parcel
      if (load instanceof Uint8Array) {
        bytes = Math.min(load.length, room, chunkBytes)
        const rest = load.length - bytes
        if (rest > 0) {
          this.#backlog = { ...parcel, load: load.subarray(bytes), bytes: rest }
          if (this.#backlogLast === parcel) this.#backlogLast = this.#backlog
        } else this.#backlog = parcel.next
        load = this.process.network.slab.copy(rest > 0 ? load.subarray(0, bytes) : load)
        this.process.network.history.octets('written', this, load as Uint8Array)
      } else {
        this.#backlog = parcel.next
      }
      if (this.#backlog === undefined) this.#backlogLast = undefined
      this.backlogBytes -= bytes
      this.#unackedBytes += bytes
      this.#launch('load', load, bytes)
    }
    if (this.#state === 'ending') this.#launch('end', undefined, 0)
    if (!this.#hasGrown) return
    this.#hasGrown = false
    this.#soon(() => this.#handlers?.drain())
  }

  /** A dial has come to where it was meant to. */
  #arrive(): void {
    const { network, machine } = this.process
    const target = network.machines[this.#path.to] as Machine
    let found: Server | undefined
    for (const server of target.servers) {
      const hears = server.address === '0.0.0.0' || server.address === this.#to.address
      if (server.port === this.#to.port && hears) found = server
    }
    if (found === undefined) {
      network.history.connection('refused', this)
      this.#abort(`ECONNREFUSED: nobody listens at ${this.#to.address}:${this.#to.port}`)
      return
    }
    const server = found
    const path = network.path(target, machine)
    const leads = { connection: this.connection, path, near: this.#far, far: this.#near }
    const end = new End(server.process, { ...leads, to: this.#to })
    end.#other = this
    end.#state = 'open'
    end.localAddress = this.#to.address
    end.remoteAddress = this.#to.address.startsWith('127.') ? '127.0.0.1' : this.localAddress
    this.#other = end
    network.history.connection('accepted', end)
    end.#launch('accept', undefined, 0)
    if (server.process.state === 'asleep') server.waiting.add(end)
    server.process.run(() => {
      server.waiting.delete(end)
      if (end.#state === 'over') return
      if (server.process.isFull(1)) end.#turnAway()
      else end.#handlers = server.accept(end)
      end.wake()
    })
  }

  /** The system took it, and has no socket to give to its process, which is told nothing: it is closed again. */
  #turnAway(): void {
    this.#launch(this.#unread === undefined ? 'end' : 'reset', undefined, 0)
    this.#close('accept EMFILE')
  }

  #isCrowded(): boolean {
    const target = this.process.network.machines[this.#path.to] as Machine
    for (const { port, waiting } of target.servers) {
      if (port === this.#to.port && waiting.size >= BACKLOG_MAX) return true
    }
    return false
  }

  /** Something from the other side has come. */
  #take(parcel: Parcel): void {
    const { type } = parcel
    if (this.#resetReason !== '') return
    if (this.#state === 'over') {
      // Nobody is here any more: who speaks to us is told so, behind what we said before.
      if (type === 'load' && !this.#isDenied) this.#launch('reset', undefined, 0)
      if (type === 'load') this.#isDenied = true
      return
    }
    if (type === 'reset') {
      this.#abort('ECONNRESET')
      return
    }
    const resetBytes = (this.#other as End).#resetBytes
    if (type === 'load' && resetBytes !== NEVER && parcel.bytes > resetBytes) {
      this.#takePart(parcel)
      return
    }
    if (this.#unreadLast === undefined) this.#unread = parcel
    else this.#unreadLast.next = parcel
    this.#unreadLast = parcel
    if (!this.#isPaused && this.process.state === 'running') this.#read()
  }

  #takePart(parcel: Parcel): void {
    const other = this.#other as End
    const bytes = other.#resetBytes
    other.#resetBytes = NEVER
    if (parcel.load instanceof Uint8Array && bytes > 0) {
      this.#take({ ...parcel, load: parcel.load.slice(0, bytes), bytes, next: undefined })
    }
    other.reset()
  }

  /** Tells the owner what has come, until it has enough. */
  #read(): void {
    const { process } = this
    while (!this.#isPaused && process.state === 'running' && this.#state !== 'over') {
      const parcel = this.#unread
      if (parcel === undefined) break
      if (this.#handlers === undefined) return
      this.#unread = parcel.next
      if (parcel.next === undefined) this.#unreadLast = undefined
      this.#tell(parcel)
      process.touch()
    }
    if (this.#resetReason !== '' && !this.#isPaused && process.state === 'running') {
      this.#close(this.#resetReason)
    }
  }

  #tell(parcel: Parcel): void {
    const { network } = this.process
    const other = this.#other as End
    switch (parcel.type) {
      case 'accept':
        if (this.#state === 'opening') this.#state = 'open'
        this.remoteAddress = this.#to.address
        network.history.connection('opened', this)
        this.#handlers?.open()
        if (this.#backlog !== undefined) this.#send()
        break
      case 'load': {
        const load = parcel.load as Load
        if (load instanceof Uint8Array) network.history.octets('delivered', other, load)
        if (other.#resetBytes !== NEVER) other.#resetBytes -= parcel.bytes
        this.#readBytes += parcel.bytes
        this.#acknowledge()
        this.#handlers?.receive(load, parcel.bytes)
        break
      }
      case 'end':
        this.#finish()
        break
      case 'dial':
      case 'reset':
        break
    }
  }

  /** The other side has room for what was read, once it hears that: which is at once, where anything gets through. */
  #acknowledge(): void {
    const other = this.#other
    if (other === undefined || this.#readBytes === 0) return
    if (this.#isBlocked()) {
      this.process.network.block(this)
      return
    }
    other.#unackedBytes -= this.#readBytes
    this.#readBytes = 0
    if (other.#backlog !== undefined) other.#send()
  }

  /** The other side will send no more: nor do we, once what was given to us has left. */
  #finish(): void {
    if (this.#state === 'open') {
      this.#state = 'ending'
      if (this.#backlog !== undefined) return
      this.#launch('end', undefined, 0)
    } else if (this.#backlog !== undefined) {
      return
    }
    this.#close('closed by the peer')
  }

  /** All that is here or on its way is lost, and the owner is told why as soon as it can be. */
  #abort(reason: string): void {
    // What a side has sent before it closed is on its way still, and is lost as well.
    if (this.#state === 'over') this.#dropFlying()
    if (this.#state === 'over') return
    this.#dropBacklog()
    this.#dropFlying()
    this.#unread = undefined
    this.#unreadLast = undefined
    this.#resetReason = reason
    this.#soon(() => this.#read())
  }

  #dropBacklog(): void {
    this.#backlog = undefined
    this.#backlogLast = undefined
    this.#hasGrown = false
    this.backlogBytes = 0
  }

  #dropFlying(): void {
    this.#flying = undefined
    this.#flyingLast = undefined
    this.#blockedUs = NEVER
    this.process.network.unblock(this)
  }

  /** It is over, and its owner is told, not from within a call of its own. */
  #close(reason: string): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    const { network, ends } = this.process
    this.#unread = undefined
    this.#unreadLast = undefined
    ends.delete(this)
    network.clock.after(0, () =>
      this.process.run(() => {
        network.history.connection('closed', this, reason)
        this.#handlers?.close(reason)
      }),
    )
  }

  #soon(act: () => void): void {
    this.process.network.clock.after(0, () => this.process.run(act))
  }

  #isBlocked(): boolean {
    if (this.#isStranded || !this.#near.connected || !this.#far.connected) return true
    return this.process.network.isBlocked(this.#path.from, this.#path.to)
  }

  /** It is sent again and again, until it gets through or that has been in vain for too long. */
  #wait(nowUs: number): void {
    const { network } = this.process
    if (this.#blockedUs === NEVER) {
      this.#blockedUs = nowUs
      network.block(this)
    }
    const isDial = this.#other === undefined
    const endsUs = this.#blockedUs + (isDial ? DIAL_RETRIES_US : RETRIES_US)
    if (nowUs >= endsUs) {
      this.#dropFlying()
      this.#abort('ETIMEDOUT')
    } else network.clock.set(this, endsUs)
  }
}

function portError(address: string, port: number, code: string): NetworkError {
  const cause = Object.assign(new Error(code), { code })
  return new NetworkError(`cannot listen at TCP port ${port} of ${address}: ${code}`, { cause })
}
