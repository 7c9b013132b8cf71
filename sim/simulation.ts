// A network in a box: real nodes on virtual machines, under a virtual clock, and everything that happens told by a seed.
// What an application does with its nodes, it does here as it does anywhere; only time passes when run() says so.
// Past 600 lines because it is all that a test can do to a network, and half of it says how.

import { LOG_HEADER, parseEndpoint, type Uuid, uuidToBytes } from '../protocol/index.ts'
import { TimeoutError, UsageError } from '../src/errors.ts'
import type { LyreEvent } from '../src/events.ts'
import type { Host } from '../src/host.ts'
import { Collector, type CollectorOptions } from '../src/log/collector.ts'
import { Lyre } from '../src/lyre.ts'
import type { LyreOptions } from '../src/options.ts'
import { VirtualClock } from './clock.ts'
import { type Fault, History, type Observer, type SimulatedNode } from './history.ts'
import { createHost } from './host.ts'
import { type LinkSettings, resolveLink } from './links.ts'
import { type MachineSettings, resolveMachine } from './machines.ts'
import { MessageMesh } from './mesh.ts'
import { type Machine, Network, Process } from './network.ts'
import {
  checkKeys,
  checkOptions,
  microseconds,
  type Place,
  type SimulationOptions,
} from './options.ts'
import { Random } from './random.ts'
import { Resident } from './resident.ts'
import type { End } from './streams.ts'
import { turn } from './turn.ts'

/** A node, which stands for its machine, or the name of a machine. */
export type Whereabouts = Lyre | string

/** What a run has cost so far. */
export interface Statistics {
  /** Whatever happened: arrivals, timers, deferred work. */
  readonly steps: number
  readonly datagrams: number
  readonly connections: number
  /** What the digest covers. */
  readonly records: number
}

/** Between two turns of the real event loop, so that a process that simulates still hears signals. */
const STEPS_MAX = 20_000
/** What happens at one instant is never so much, unless somebody waits for nothing. */
const INSTANT_STEPS_MAX = 5_000_000
const STOP_TIMEOUT_MS = 60_000
/** What nodes have for their last words, where somebody collects them. */
const LAST_WORDS_MS = 1_000

/**
 * A network of nodes in virtual time. The same version, seed, options and program give the same run, to the last octet.
 * Create nodes with createLyre(), let time pass with run() or runUntil(), and break things in between.
 */
export class Simulation {
  /** The seed it was created with. */
  readonly seed: number
  /** What connections carry. */
  readonly fidelity: 'wire' | 'message'
  /** Chance for an application's own use, from the same seed: fork a stream of your own from it. */
  readonly random: Random
  readonly #clock = new VirtualClock()
  readonly #history = new History(this.#clock)
  readonly #network: Network
  readonly #nodes = new Map<Lyre, Resident>()
  /** Collectors, and the process of each. */
  readonly #collectors = new Map<Collector, Process>()
  readonly #nodeRandom: Random
  #programs: readonly ((node: SimulatedNode, event: LyreEvent) => void)[] = []
  #nodeCount = 0
  #isRunning = false
  #isStopped = false
  /** Whether somebody who awaits something may go on. */
  #isWoken = false
  /** What handlers of applications threw, until run() throws it. */
  #failures: { readonly error: unknown }[] = []

  /** @throws UsageError on an option that cannot work. */
  constructor(options: SimulationOptions) {
    checkOptions(options)
    const { seed, fidelity = 'wire', links = {}, routed = true } = options
    const random = new Random(seed)
    this.seed = seed
    this.fidelity = fidelity
    this.random = random.fork('application')
    this.#nodeRandom = random.fork('nodes')
    this.#network = new Network({
      clock: this.#clock,
      history: this.#history,
      random: random.fork('network'),
      link: resolveLink(links),
      routed,
      woke: () => {
        this.#isWoken = true
      },
    })
  }

  /** Virtual milliseconds since the simulation was created, to the microsecond. */
  get now(): number {
    return this.#clock.now
  }

  /** All nodes that have not crashed, in the order they were created. */
  get nodes(): SimulatedNode[] {
    return [...this.#nodes.values()].filter(({ state }) => state !== 'crashed')
  }

  /** A node as it is known in the history. @throws UsageError when it is not of this simulation. */
  node(lyre: Lyre): SimulatedNode {
    return this.#resident(lyre)
  }

  /** What the run has cost so far. */
  get statistics(): Statistics {
    return {
      steps: this.#clock.stepCount,
      datagrams: this.#network.datagramCount,
      connections: this.#network.connectionCount,
      records: this.#history.trace.count,
    }
  }

  /**
   * SHA-256 of all that has happened so far, as 64 hexadecimal digits: datagrams, octets or messages of connections, what
   * applications did and were told, with their times. Two runs with the same digest were the same.
   */
  digest(): string {
    return this.#history.trace.digest()
  }

  /** Tells an observer all that truly happens from now on. @returns a function that ends this. */
  observe(observer: Observer): () => void {
    return this.#history.observe(observer)
  }

  /**
   * Calls back after each event of any node, once its own listeners were told: for programs that answer at once and await
   * nothing, which are run much faster than handlers of `lyre.on()`, since nobody has to look whether they go on.
   * @returns a function that ends this.
   */
  react(program: (node: SimulatedNode, event: LyreEvent) => void): () => void {
    this.#programs = [...this.#programs, program]
    return () => {
      this.#programs = this.#programs.filter((other) => other !== program)
    }
  }

  // Nodes.

  /**
   * Creates a node, as createLyre() of `lyre` does; start() brings it to life, and takes no virtual time.
   * @throws UsageError on an option that cannot work, when its machine is on another subnet, or after stop().
   */
  createLyre(options: LyreOptions = {}, place: Place = {}): Lyre {
    checkKeys('place', place, ['machine', 'subnet'])
    const machine = this.#network.machine(place.machine, place.subnet)
    return this.#create(options, machine)
  }

  /**
   * Creates a collector of logs, as createCollector() of `lyre` does, on a machine of the simulation; its node is one of the
   * simulation as well, once it is started. A collector that has crashed stays so: create another one on its machine.
   * @throws UsageError on an option that cannot work, when its machine is on another subnet, or after stop().
   */
  createCollector(options: CollectorOptions = {}, place: Place = {}): Collector {
    checkKeys('place', place, ['machine', 'subnet'])
    const process = this.#process(this.#network.machine(place.machine, place.subnet))
    const random = this.#nodeRandom.fork(`collector ${this.#collectors.size}`)
    const host = createHost(process, { random, surface: (error) => this.#fail(error) })
    let last: Lyre | undefined
    try {
      const collector = new Collector(options, host, (nodeOptions) => {
        // Each start has a node of its own, in the place of the one before.
        if (last !== undefined) this.#nodes.delete(last)
        const logPort = parseEndpoint(nodeOptions.headers?.[LOG_HEADER] ?? '')?.port
        const resident = new Resident({ index: this.#nodeCount++, logPort }, process, nodeOptions)
        last = this.#inhabit(resident, host)
        return last
      })
      this.#collectors.set(collector, process)
      return collector
    } catch (error) {
      process.vanish()
      throw error
    }
  }

  /**
   * A bare host on a machine: for what is no Lyre, a stranger or a foreign program, that a test speaks for. What happens to
   * it is in the history as that of a node without a `lyre`. @throws UsageError as createLyre() does.
   */
  createHost(place: Place = {}): Host {
    checkKeys('place', place, ['machine', 'subnet'])
    const process = this.#process(this.#network.machine(place.machine, place.subnet))
    const node = new Resident({ index: this.#nodeCount++ }, process, {})
    process.awaited = 'all'
    this.#fault({ type: 'create', node })
    return createHost(process, {
      random: this.#nodeRandom.fork(`host ${node.index}`),
      surface: (error) => this.#fail(error),
    })
  }

  /**
   * Ends a node without a goodbye. What its application awaits of it never comes.
   * @param options `by`: `power` (the default), its machine is dead from one instant to the next, and says nothing; unless
   * others run on it, which then answer who still speaks to it. `kill`, only the process is, and its system ends all its
   * connections.
   */
  crash(lyre: Lyre, { by = 'power' }: { readonly by?: 'power' | 'kill' } = {}): void {
    if (by !== 'power' && by !== 'kill') {
      throw new UsageError(`by has to be power or kill, not ${String(by)}`)
    }
    const resident = this.#resident(lyre)
    const { process } = resident
    if (process.state === 'crashed') throw new UsageError('this node has crashed already')
    this.#fault({ type: 'crash', node: resident })
    if (by === 'kill') for (const end of [...process.ends]) end.destroy()
    process.vanish()
    resident.isStarted = false
  }

  /**
   * Another node in the place of one that has crashed or stopped: with the same options, on the same machine, not started.
   * @param options `keepUuid`: with its uuid, as no real node has it, `keepPort`: with its mailbox port. Default: neither.
   */
  restart(
    lyre: Lyre,
    options: { readonly keepUuid?: boolean; readonly keepPort?: boolean } = {},
  ): Lyre {
    checkKeys('restart', options, ['keepUuid', 'keepPort'])
    const resident = this.#resident(lyre)
    if (resident.isStarted) throw new UsageError('this node has neither crashed nor stopped')
    if (resident.logPort !== undefined) {
      throw new UsageError("this node is a collector's: start() that, or create another one")
    }
    const { machine, state } = resident.process
    const { port } = resident
    if (state !== 'crashed') resident.process.vanish()
    this.#nodes.delete(lyre)
    const mailboxPort = options.keepPort && port !== undefined ? { mailboxPort: port } : {}
    const uuid = options.keepUuid ? lyre.uuid : undefined
    return this.#create({ ...resident.options, ...mailboxPort }, machine, uuid)
  }

  /**
   * The process of a node sleeps: nothing of it runs, what comes waits as far as its system has room, timers are late.
   * @param options `by`: `stop` (the default), only the process does, as by SIGSTOP. `suspend`, all of its machine does, as a
   * laptop that is closed: what comes is lost, connections wait, and its clock stands still but for the one on its wall.
   */
  pause(lyre: Lyre, { by = 'stop' }: { readonly by?: 'stop' | 'suspend' } = {}): void {
    if (by !== 'stop' && by !== 'suspend') {
      throw new UsageError(`by has to be stop or suspend, not ${String(by)}`)
    }
    const node = this.#resident(lyre)
    if (node.state !== 'running') throw new UsageError(`this node is ${node.state}`)
    const { machine } = node.process
    if (by === 'suspend') machine.suspend(this.#clock.nowUs)
    for (const other of by === 'suspend' ? this.nodes : [node]) {
      const { process } = other as Resident
      if (process.machine !== machine || process.state !== 'running') continue
      this.#fault({ type: 'pause', node: other, isDeaf: by === 'suspend' })
      process.state = 'asleep'
    }
  }

  /** It goes on, with all that it has missed; and so does all of its machine, if that was asleep. */
  resume(lyre: Lyre): void {
    const node = this.#resident(lyre)
    if (node.state !== 'asleep') throw new UsageError(`this node is ${node.state}`)
    const { machine } = node.process
    const wasSuspended = machine.resume(this.#clock.nowUs)
    if (wasSuspended) this.#network.retry()
    for (const other of wasSuspended ? this.nodes : [node]) {
      const { process } = other as Resident
      if (process.machine !== machine || process.state !== 'asleep') continue
      this.#fault({ type: 'resume', node: other, isDeaf: wasSuspended })
      this.#clock.after(0, () => {
        if (process.state === 'asleep') process.wake()
      })
    }
  }

  /** Sets the clock on the wall of a machine ahead by so many milliseconds, or back, as people and NTP do. */
  setWallClock(place: Whereabouts, byMs: number): void {
    const machine = this.#machine(place)
    if (!Number.isFinite(byMs)) throw new UsageError(`byMs has to be a number, not ${byMs}`)
    machine.clock.wrongMs += byMs
    this.#fault({ type: 'wall', machine: machine.name, byMs })
  }

  /**
   * Gives the machine of a node another address, as DHCP or another network does. Its connections lead nowhere from then
   * on, and neither side is told, unless `reset`. The node sees it within some seconds, and is there from then on.
   * @param address on one of the subnets; `undefined` is a free one on the same.
   * @param options `from`: the address that it takes the place of, where the machine has several; by default the first.
   */
  moveTo(
    lyre: Lyre,
    address?: string,
    { reset = false, from: which }: { readonly reset?: boolean; readonly from?: string } = {},
  ): string {
    const node = this.#resident(lyre)
    const { machine } = node.process
    const card = machine.cards.find((one) => which === undefined || one.address === which)
    if (card === undefined) throw new UsageError(`${machine.name} has no address ${which}`)
    const { address: from } = card
    const to = address ?? this.#network.freeAddress(card.subnet.name)
    const ends = [...machine.processes].flatMap((process) => {
      return [...process.ends].filter((end) => end.leadsBy(card))
    })
    this.#network.move(machine, card, to)
    this.#fault({ type: 'move', node, from, to })
    if (reset) for (const end of ends) end.reset()
    return to
  }

  /**
   * Pulls the cable by which a machine is on a subnet, or takes its radio out of reach: it has that address no more, until it is
   * plugged in again, and connections that go by it wait, as TCP does.
   * @throws UsageError when it is not on that subnet.
   */
  unplug(place: Whereabouts, subnet?: string): void {
    this.#plug(place, subnet, false)
  }

  /** Plugs the cable in again, with the address that it had. */
  plug(place: Whereabouts, subnet?: string): void {
    this.#plug(place, subnet, true)
  }

  /** The switch of a subnet fails, or works again: all cables stay in it, and nothing gets through. */
  switch(subnet: string, isUp: boolean): void {
    const known = this.#network.subnets.get(subnet)
    if (known === undefined) throw new UsageError(`there is no subnet ${subnet}`)
    this.#network.switch(known, isUp)
    this.#fault({ type: 'switch', subnet, index: known.index, isUp })
  }

  /**
   * Changes what a machine is like by itself: how its clock goes, whether its radio sleeps, how many sockets a process may
   * have. What is not named is as at the beginning. What is asked of it next finds it so: a timer that is set stays set for
   * the instant at which the clock that it was set by would have been there.
   * @throws UsageError on a setting that cannot be.
   */
  setMachine(place: Whereabouts, settings: Partial<MachineSettings>): void {
    const machine = this.#machine(place)
    machine.set(resolveMachine(settings), this.#clock.nowUs)
    this.#fault({ type: 'machine', machine: machine.name, settings })
  }

  // The network.

  /**
   * Keeps sides apart: what a machine on one side sends to one on another is lost; connections wait, as TCP does. Machines
   * that are on no side hear everybody; with one side alone, it is kept from all others. Partitions add up.
   * @param options `oneWay`: only what goes from an earlier side to a later one is lost.
   * @returns a function that ends this one, as heal() ends all.
   */
  partition(
    sides: readonly (readonly Whereabouts[])[],
    { oneWay = false }: { readonly oneWay?: boolean } = {},
  ): () => void {
    if (!Array.isArray(sides) || sides.length === 0) {
      throw new UsageError('a partition has at least one side: partition([[ada, bob], [eve]])')
    }
    const numbers = new Map<number, number>()
    const names = sides.map((side, number) =>
      side.map((place: Whereabouts) => {
        const machine = this.#machine(place)
        numbers.set(machine.index, number)
        return machine.name
      }),
    )
    const partition = { sides: numbers, rest: sides.length === 1 ? 1 : undefined, oneWay }
    this.#network.part(partition)
    this.#fault({ type: 'partition', sides: names, oneWay })
    return () => {
      if (this.#network.unite(partition)) this.#fault({ type: 'heal', sides: names })
    }
  }

  /** Ends all partitions. A connection goes on when TCP sends again: the longer it was cut, the later. */
  heal(): void {
    this.#fault({ type: 'heal' })
    this.#network.heal()
  }

  /** Changes what lies between all machines that have no link of their own; what is not named is as at the beginning. */
  setLinks(settings: Partial<LinkSettings>): void {
    this.#network.setLink(resolveLink(settings))
    this.#fault({ type: 'links', from: '', to: '', settings })
  }

  /**
   * Gives two machines a link of their own; what is not named is as between all others.
   * @param settings undefined takes it away again. @param options `oneWay`: only from the first to the second.
   */
  setLink(
    from: Whereabouts,
    to: Whereabouts,
    settings: Partial<LinkSettings> | undefined,
    { oneWay = false }: { readonly oneWay?: boolean } = {},
  ): void {
    const [one, other] = this.#pair(from, to)
    const link = settings && resolveLink(settings, this.#network.link)
    this.#network.setPath(one, other, link)
    if (!oneWay) this.#network.setPath(other, one, link)
    this.#fault({ type: 'links', from: one.name, to: other.name, settings: settings ?? {} })
  }

  /**
   * Nothing of a connection arrives for so long; then all of it does, in order. Datagrams are not stalled.
   * @param options `ms`, from 0; `oneWay`: only from the first to the second.
   */
  stall(
    from: Whereabouts,
    to: Whereabouts,
    { ms, oneWay = false }: { readonly ms: number; readonly oneWay?: boolean },
  ): void {
    const [one, other] = this.#pair(from, to)
    const untilUs = this.#clock.nowUs + microseconds('ms', ms)
    const ways = oneWay ? [[one, other] as const] : [[one, other] as const, [other, one] as const]
    for (const [a, b] of ways) {
      const path = this.#network.path(a, b)
      path.stalledUntilUs = Math.max(path.stalledUntilUs, untilUs)
    }
    this.#fault({ type: 'stall', from: one.name, to: other.name, untilAt: untilUs / 1_000 })
  }

  /**
   * Breaks all connections between two machines: both sides are told, and what is on its way is lost.
   * @param options `afterBytes`: each only after so many octets more that go from the first to the second.
   */
  reset(
    from: Whereabouts,
    to: Whereabouts,
    { afterBytes = 0 }: { readonly afterBytes?: number } = {},
  ): void {
    const [one, other] = this.#pair(from, to)
    if (!Number.isInteger(afterBytes) || afterBytes < 0) {
      throw new UsageError(`afterBytes has to be an integer from 0, not ${String(afterBytes)}`)
    }
    this.#fault({ type: 'reset', from: one.name, to: other.name })
    const ends: End[] = []
    for (const { ends: all } of one.processes) {
      for (const end of all) if (end.path.to === other.index) ends.push(end)
    }
    for (const end of ends) end.reset(afterBytes)
  }

  // Time.

  /**
   * Lets so much time pass, and everything that belongs to it happen; handlers, `await` and `for await` of an application
   * go on in between.
   * @throws what a handler of an application threw; UsageError while another run() is under way.
   */
  async run(ms: number): Promise<void> {
    await this.#drive(this.#clock.nowUs + microseconds('ms', ms), undefined)
  }

  /**
   * Lets time pass until a condition is true, which is asked after each instant at which anything happened; or until a
   * promise settles.
   * @returns what the promise resolves with. @throws TimeoutError after `timeoutMs` of virtual time, by default 60,000; what
   * the promise rejects with; and as run() does.
   */
  async runUntil<Result>(
    condition: (() => boolean) | Promise<Result>,
    { timeoutMs = 60_000 }: { readonly timeoutMs?: number } = {},
  ): Promise<Result | undefined> {
    const endUs = this.#clock.nowUs + microseconds('timeoutMs', timeoutMs)
    const late = () => new TimeoutError(`it did not come to it within ${timeoutMs} virtual ms`)
    if (typeof condition === 'function') {
      if (!(await this.#drive(endUs, condition))) throw late()
      return undefined
    }
    let isSettled = false
    const settle = () => {
      isSettled = true
    }
    condition.then(settle, settle)
    if (!(await this.#drive(endUs, () => isSettled))) throw late()
    return condition
  }

  /** Resolves after so much virtual time: somebody has to let it pass, by run() or runUntil(). */
  sleep(ms: number): Promise<void> {
    const delayUs = microseconds('ms', ms)
    return new Promise((resolve) => {
      this.#clock.after(delayUs, () => {
        this.#isWoken = true
        resolve()
      })
    })
  }

  /** Calls back after so much virtual time, without a promise. @returns a function that calls it off. */
  schedule(ms: number, callback: () => void): () => void {
    const alarm = this.#clock.after(microseconds('ms', ms), () => {
      callback()
      this.#isWoken = true
    })
    return () => this.#clock.set(alarm, Number.POSITIVE_INFINITY)
  }

  /**
   * Stops all nodes, with a goodbye from those that are awake, then all collectors, and lets the time pass that this takes.
   */
  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    const running = [...this.#nodes].filter(
      ([, { state, logPort }]) => state === 'running' && logPort === undefined,
    )
    const collectors = [...this.#collectors].filter(([, { state }]) => state === 'running')
    const lingerMs = collectors.length > 0 ? LAST_WORDS_MS : 0
    const stops = Promise.all(running.map(([lyre]) => lyre.stop({ lingerMs })))
    try {
      await this.runUntil(stops, { timeoutMs: STOP_TIMEOUT_MS })
      if (collectors.length === 0) return
      const ends = Promise.all(collectors.map(([collector]) => collector.stop()))
      await this.runUntil(ends, { timeoutMs: STOP_TIMEOUT_MS })
    } finally {
      const residents = [...this.#nodes.values()].map(({ process }) => process)
      for (const process of [...residents, ...this.#collectors.values()]) {
        if (process.state !== 'crashed') process.vanish()
      }
    }
  }

  /** `await using simulation = new Simulation({ seed })` stops it at the end of the block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** @returns whether it came to `done`, before `endUs`. */
  async #drive(endUs: number, done: (() => boolean) | undefined): Promise<boolean> {
    if (this.#isRunning) throw new UsageError('run() is under way: await sleep() in its place')
    this.#isRunning = true
    const clock = this.#clock
    try {
      // What was begun before, and only awaits promises, goes first.
      await turn()
      let instantSteps = 0
      for (let steps = 0; ; steps++) {
        this.#throwFailure()
        const nextUs = clock.nextUs
        if (nextUs > clock.nowUs) {
          if (done?.()) return true
          if (nextUs > endUs) break
          instantSteps = 0
        } else if (++instantSteps > INSTANT_STEPS_MAX) {
          throw new Error(`time stands still at ${clock.now} ms: something asks to be called again`)
        }
        clock.step()
        if (!this.#isWoken && steps < STEPS_MAX) continue
        this.#isWoken = false
        steps = 0
        await turn()
      }
      clock.advance(endUs)
      return false
    } finally {
      this.#isRunning = false
    }
  }

  #throwFailure(): void {
    // Asked before each step, where to shift nothing takes as long as a step.
    if (this.#failures.length > 0) throw (this.#failures.shift() as { error: unknown }).error
  }

  #fail(error: unknown): void {
    this.#failures.push({ error })
  }

  #create(options: LyreOptions, machine: Machine, uuid?: Uuid): Lyre {
    const process = this.#process(machine)
    const resident = new Resident({ index: this.#nodeCount++ }, process, options)
    const random = this.#nodeRandom.fork(`node ${resident.index}`)
    const host = createHost(process, { random, surface: (error) => this.#fail(error) })
    const born = uuid === undefined ? host : { ...host, random: reborn(host, uuid) }
    try {
      return this.#inhabit(resident, born)
    } catch (error) {
      process.vanish()
      throw error
    }
  }

  /** Makes the node of a process. */
  #inhabit(resident: Resident, host: Host): Lyre {
    const { process, options } = resident
    const history = this.#history
    const lyre = new Lyre(options, host, {
      createMesh: (meshOptions, handlers) => {
        if (this.fidelity === 'wire') return undefined
        return new MessageMesh(process, meshOptions, handlers)
      },
      handleAction: (action) => {
        if (action.type === 'start') {
          resident.isStarted = true
          resident.port = portOf(lyre)
        }
        if (action.type === 'start' || action.type === 'stop') resident.await(action.type)
        if (process.state !== 'crashed') history.action(resident, action)
      },
      handleEvent: (event) => {
        if (event.type === 'stop') resident.isStarted = false
        if (process.state !== 'crashed') history.event(resident, event)
      },
      handleTold: (event) => {
        if (process.state === 'crashed') return
        for (const program of this.#programs) program(resident, event)
      },
      handleWake: () => {
        this.#isWoken = true
      },
    })
    resident.lyre = lyre
    this.#nodes.set(lyre, resident)
    this.#fault({ type: 'create', node: resident })
    return lyre
  }

  /** A new process; where its machine was dead, it is reached again. */
  #process(machine: Machine): Process {
    if (this.#isStopped) throw new UsageError('the simulation has stopped')
    const wasUp = machine.up
    machine.resume(this.#clock.nowUs)
    const process = new Process(machine, this.#network)
    if (!wasUp) this.#network.retry()
    return process
  }

  #resident(lyre: Lyre): Resident {
    const resident = this.#nodes.get(lyre)
    if (resident === undefined) throw new UsageError('this node is not of this simulation')
    return resident
  }

  #machine(place: Whereabouts): Machine {
    if (typeof place !== 'string') return this.#resident(place).process.machine
    const machine = this.#network.known(place)
    if (machine === undefined) throw new UsageError(`there is no machine ${place}`)
    return machine
  }

  #plug(place: Whereabouts, subnet: string | undefined, isUp: boolean): void {
    const machine = this.#machine(place)
    const card = machine.cards.find(
      (one) => subnet === undefined || one.subnet === this.#network.subnets.get(subnet),
    )
    if (card === undefined) throw new UsageError(`${machine.name} is not on subnet ${subnet}`)
    if (!this.#network.plug(machine, card, isUp)) return
    const { name, index } = card.subnet
    this.#fault({ type: 'cable', machine: machine.name, subnet: name, index, isUp })
  }

  #pair(from: Whereabouts, to: Whereabouts): [Machine, Machine] {
    const pair: [Machine, Machine] = [this.#machine(from), this.#machine(to)]
    if (pair[0] === pair[1]) throw new UsageError(`both are on machine ${pair[0].name}`)
    return pair
  }

  #fault(fault: Fault): void {
    this.#history.fault(fault)
  }
}

function portOf(lyre: Lyre): number | undefined {
  return lyre.endpoint === undefined ? undefined : parseEndpoint(lyre.endpoint)?.port
}

/** The chance of a node that was there before: its uuid is what a node draws first. */
function reborn({ random }: Host, uuid: Uuid): Host['random'] {
  let isBorn = false
  return (count) => {
    if (isBorn) return random(count)
    isBorn = true
    return uuidToBytes(uuid)
  }
}
