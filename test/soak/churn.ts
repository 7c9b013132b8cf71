/**
 * Directs processes full of nodes through phases of trouble and calm. In each phase nodes start, stop, join, leave, shout
 * and whisper by a seed, while processes are killed, paused or asked to end, and started anew. Then all is calm until all
 * living nodes agree on who is there, and have heard each other in a roll call. Nothing here waits for time to pass.
 */

import type { Test } from 'tap'
import { Random } from '../fuzz/random.ts'
import { type Child, type Line, startChild } from '../support/child.ts'
import { eventually } from '../support/heard.ts'
import type { CrowdOptions, Resident } from './crowd.ts'

export type ChurnOptions = {
  /** The compiled crowd.js. */
  readonly script: URL
  readonly seed: number
  readonly beaconPort: number
  /** In each of the two crowds; and processes of one node, besides. */
  readonly nodeCount: number
  readonly lonerCount: number
  /** Phases are begun until both are reached. */
  readonly phasesMin: number
  readonly minutes: number
  /** Things that happen to the nodes of each process in a phase, beside what happens to the process. */
  readonly actionCount: number
}

/** What a long-living process used when all was calm. */
export type Use = {
  readonly heapUsed: number
  readonly rss: number
  readonly arrayBuffers: number
  readonly descriptors: number
}

export type Phase = {
  /** What was done to processes: `restless kill, loner-1 doze`. */
  readonly trouble: string
  /** From the begin of the calm until everybody had agreed. */
  readonly calmMs: number
  readonly counts: Readonly<Record<string, number>>
  readonly use: Use
}

export type Outcome = {
  readonly phases: readonly Phase[]
  readonly nodeCount: number
  readonly faults: readonly string[]
}

/** What happens to a process: killed; paused for longer than evasive; than expired; killed while paused; asked to end. */
const TROUBLES = ['kill', 'doze', 'sleep', 'die asleep', 'end'] as const
type Trouble = (typeof TROUBLES)[number]

/**
 * Shorter than the defaults, so that each comes often. Who is not reached within the last is given up, so it has to be
 * longer than what a crowd that starts at once needs on a machine that others keep busy.
 */
function timeoutsOf(nodeCount: number) {
  const expiredTimeoutMs = nodeCount > 50 ? 15_000 : 8_000
  return { evasiveTimeoutMs: 2_500, silentTimeoutMs: 3_500, expiredTimeoutMs }
}

/** Far above all that was ever seen, on a machine that others keep busy: who reaches it waits in vain. */
const BOUND_MS = 100_000

/** One process, and what it told so far. */
class Crowd {
  readonly role: string
  /** The role, and how often it was filled: `restless.2`. */
  readonly name: string
  readonly #child: Child
  readonly #hear: (line: Line) => void
  readonly #last = new Map<string, Line>()
  #lineIndex = 0
  /** How it ended. */
  ended: number | string | undefined

  constructor(role: string, name: string, child: Child, hear: (line: Line) => void) {
    this.role = role
    this.name = name
    this.#child = child
    this.#hear = hear
    child.exited.then((ended) => {
      this.ended = ended
    })
  }

  get errors(): string {
    return this.#child.errors
  }

  /** Its last line of that event, since ask() or ever. */
  last(event: string): Line | undefined {
    const { items } = this.#child.heard
    for (; this.#lineIndex < items.length; this.#lineIndex++) {
      const line = items[this.#lineIndex]
      this.#last.set(line.event, line)
      this.#hear(line)
    }
    return this.#last.get(event)
  }

  /** Asks for something, which is done when it tells that event. */
  ask(call: string, event: string, rest: object = {}): void {
    this.last(event)
    this.#last.delete(event)
    this.#child.send({ call, ...rest })
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }
}

/** Directs one run. What it starts is gone when its owner is. */
export async function churn(
  owner: Pick<Test, 'teardown'>,
  options: ChurnOptions,
  tell: {
    readonly phase?: (phase: Phase, index: number) => void
    readonly fault?: (text: string) => void
  } = {},
): Promise<Outcome> {
  const faults: string[] = []
  const fault = (text: string) => {
    faults.push(text)
    tell.fault?.(text)
  }
  const run = new Run(owner, options, fault)
  await run.start()
  const beganAt = performance.now()
  const phases: Phase[] = []
  while (
    phases.length < options.phasesMin ||
    performance.now() - beganAt < options.minutes * 60_000
  ) {
    const phase = await run.phase(phases.length)
    tell.phase?.(phase, phases.length)
    phases.push(phase)
  }
  await run.end()
  for (const text of judge(phases)) fault(text)
  return { phases, nodeCount: run.nodeCount, faults }
}

class Run {
  readonly #owner: Pick<Test, 'teardown'>
  readonly #fault: (text: string) => void
  readonly #options: ChurnOptions
  readonly #random: Random
  readonly #crowds = new Map<string, Crowd>()
  /** What the observer, the first node of the process that nothing happens to, told last of each peer. */
  readonly #observed = new Map<string, string>()
  /** Processes and nodes that something happened to in this phase. */
  readonly #disturbed = new Set<string>()
  /** Who lived when it was last calm. */
  #nodes: readonly Resident[] = []
  #spawnedCount = 0
  #rollCount = 0

  constructor(owner: Pick<Test, 'teardown'>, options: ChurnOptions, fault: (text: string) => void) {
    this.#owner = owner
    this.#fault = fault
    this.#options = options
    this.#random = new Random().seed(options.seed, 0, 0)
  }

  get nodeCount(): number {
    return 2 * this.#options.nodeCount + this.#options.lonerCount
  }

  async start(): Promise<void> {
    const loners = Array.from({ length: this.#options.lonerCount }, (_, index) => `loner-${index}`)
    await Promise.all(['steady', 'restless', ...loners].map((role) => this.#spawn(role)))
  }

  /** Trouble, then calm. */
  async phase(index: number): Promise<Phase> {
    this.#disturbed.clear()
    const troubled = [...this.#crowds.values()].filter(({ role }) => role !== 'steady')
    // In turn, so that two phases have seen all, and no two processes have the same at a time.
    const troubles = troubled.map(({ role }, place) => {
      const trouble = TROUBLES[(3 * index + place + this.#options.seed) % TROUBLES.length] ?? 'kill'
      return { role, trouble }
    })
    for (const crowd of this.#crowds.values()) crowd.ask('churn', 'acted')
    await Promise.all(troubles.map(({ role, trouble }) => this.#disturb(role, trouble)))
    await this.#each((crowd) => this.#acted(crowd, 1))
    const calmAt = performance.now()
    await this.#settle()
    const calmMs = Math.round(performance.now() - calmAt)
    const counts = await this.#report()
    const use = await this.#answer(this.#crowd('steady'), 'measure', 'measured')
    const trouble = troubles.map(({ role, trouble }) => `${role} ${trouble}`).join(', ')
    return { trouble, calmMs, counts, use }
  }

  async end(): Promise<void> {
    await this.#each((crowd) => this.#end(crowd))
  }

  async #spawn(role: string): Promise<Crowd> {
    const { nodeCount, seed, beaconPort, script } = this.#options
    const name = `${role}.${++this.#spawnedCount}`
    const total = this.nodeCount
    const options: CrowdOptions = {
      process: name,
      count: role.startsWith('loner') ? 1 : nodeCount,
      observerCount: role === 'steady' ? Math.ceil(nodeCount / 5) : 1,
      tells: role === 'steady',
      seed: seed + this.#spawnedCount,
      options: {
        ...timeoutsOf(total),
        beaconPort,
        beaconIntervalMs: Math.min(1_000, Math.max(100, 10 * total)),
      },
    }
    const child = startChild(this.#owner, script, [JSON.stringify(options)])
    const crowd = new Crowd(role, name, child, (line) => this.#hear(line))
    this.#crowds.set(role, crowd)
    await this.#until(crowd, 'ready')
    return crowd
  }

  #crowd(role: string): Crowd {
    const crowd = this.#crowds.get(role)
    if (crowd === undefined) throw new Error(`there is no ${role}`)
    return crowd
  }

  #each<T>(act: (crowd: Crowd) => Promise<T>): Promise<T[]> {
    return Promise.all([...this.#crowds.values()].map(act))
  }

  #hear(line: Line): void {
    if (line.event === 'fault') this.#fault(line.text)
    else if (line.event === 'told') this.#observed.set(line.peer, line.type)
  }

  /** Waits for a line of that event; who ends instead will never tell it. */
  async #until(crowd: Crowd, event: string, fits = (_: Line) => true): Promise<Line> {
    await this.#eventually(`${crowd.name} tells ${event}`, () => {
      const line = crowd.last(event)
      if (line !== undefined) return fits(line)
      if (crowd.ended === undefined) return false
      throw new Error(`${crowd.name} ended by itself: ${crowd.ended} ${crowd.errors}`)
    })
    return crowd.last(event)
  }

  #eventually(what: string, done: () => boolean): Promise<void> {
    return eventually(what, done, BOUND_MS)
  }

  #answer(crowd: Crowd, call: string, event: string, rest: object = {}): Promise<Line> {
    crowd.ask(call, event, rest)
    return this.#until(crowd, event)
  }

  /** Waits until a share of what happens to its nodes in this phase has happened. */
  async #acted(crowd: Crowd, share: number): Promise<void> {
    await this.#until(crowd, 'acted', ({ count }) => count >= share * this.#options.actionCount)
  }

  async #disturb(role: string, trouble: Trouble): Promise<void> {
    const crowd = this.#crowd(role)
    await this.#acted(crowd, this.#random.below(50) / 100)
    this.#disturbed.add(crowd.name)
    switch (trouble) {
      case 'doze':
        await this.#pause(crowd, ['evasive', 'silent', 'exit'])
        return
      case 'sleep':
        await this.#pause(crowd, ['exit'])
        return
      case 'end':
        await this.#end(crowd)
        break
      case 'die asleep':
        await this.#stopped(crowd, ['evasive', 'silent', 'exit'])
        await this.#kill(crowd)
        break
      case 'kill':
        await this.#kill(crowd)
    }
    const next = await this.#spawn(role)
    next.ask('churn', 'acted')
  }

  async #pause(crowd: Crowd, types: readonly string[]): Promise<void> {
    await this.#stopped(crowd, types)
    crowd.kill('SIGCONT')
  }

  /** Stops a process, and waits until the observer has told one of these events of its first node, which never stops. */
  async #stopped(crowd: Crowd, types: readonly string[]): Promise<void> {
    const steady = this.#crowd('steady')
    const first = `${crowd.name}/0.1`
    const told = () => {
      steady.last('told')
      return this.#observed.get(first) ?? 'nothing'
    }
    await this.#eventually(`${first} has entered`, () => !['nothing', 'exit'].includes(told()))
    this.#observed.set(first, 'enter')
    crowd.kill('SIGSTOP')
    await this.#eventually(`${first} is ${types.join(' or ')}`, () => types.includes(told()))
  }

  async #kill(crowd: Crowd): Promise<void> {
    crowd.kill('SIGKILL')
    await this.#eventually(`${crowd.name} is gone`, () => crowd.ended !== undefined)
    this.#look(crowd, 'SIGKILL')
  }

  async #end(crowd: Crowd): Promise<void> {
    await this.#answer(crowd, 'end', 'ended')
    await this.#eventually(`${crowd.name} ends by itself`, () => crowd.ended !== undefined)
    this.#look(crowd, 0)
  }

  /** Looks at a process that is over. */
  #look(crowd: Crowd, ended: number | string): void {
    crowd.last('')
    if (crowd.ended !== ended) this.#fault(`${crowd.name} ended by ${crowd.ended}`)
    if (crowd.errors !== '') this.#fault(`${crowd.name} complained: ${crowd.errors}`)
  }

  /** All nodes are started; then all agree, and hear each other. A roll call may be cut short by what was done before. */
  async #settle(): Promise<void> {
    const calm = await this.#each((crowd) => this.#answer(crowd, 'calm', 'calm'))
    for (const { stopped } of calm) for (const name of stopped) this.#disturbed.add(name)
    this.#nodes = calm.flatMap((line) => line.nodes)
    if (this.#nodes.length !== this.nodeCount) this.#fault(`${this.#nodes.length} nodes live`)
    await this.#reached('agree', 'agreed', { nodes: this.#nodes })
    await this.#reached('roll', 'rolled', { number: ++this.#rollCount })
  }

  async #reached(call: string, event: string, rest: object): Promise<void> {
    try {
      await this.#each((crowd) => this.#answer(crowd, call, event, rest))
    } catch (error) {
      const lines = await this.#each((crowd) => this.#answer(crowd, 'explain', 'explained'))
      const differences: string[] = lines.flatMap((line) => line.differences)
      const some = differences.slice(0, 10).join('; ')
      this.#fault(`${String(error)}; ${differences.length} differences: ${some}`)
    }
  }

  async #report(): Promise<Record<string, number>> {
    const counts: Record<string, number> = {}
    const lines = await this.#each((crowd) => this.#answer(crowd, 'report', 'reported'))
    // `A B`: A gave B up, since it did not get through to it in time, when B had entered already and found A gone.
    const gaveUp = new Set<string>()
    const names = new Map(this.#nodes.map(({ uuid, name }) => [uuid, name]))
    for (const line of lines) {
      for (const [key, value] of Object.entries<number>(line.counts)) {
        counts[key] = (counts[key] ?? 0) + value
      }
      for (const [observer, uuid] of line.forgotten) {
        gaveUp.add(`${observer} ${names.get(uuid)}`)
      }
    }
    for (const { exits } of lines) {
      for (const [observer, peer, cause] of exits) {
        const fault = this.#unexplained(observer, peer, cause)
        if (fault === undefined) continue
        if (cause === 'link' && gaveUp.has(`${peer} ${observer}`)) count(counts, 'exit given up')
        else this.#fault(fault)
      }
    }
    return counts
  }

  /** An exit needs a reason: something happened to one of the two, or to the process it is in. */
  #unexplained(observer: string, peer: string, cause: string): string | undefined {
    const names = [observer, peer].flatMap((name) => [name, name.split('/')[0] ?? ''])
    if (names.some((name) => this.#disturbed.has(name))) return undefined
    return `${observer}: exit of ${peer}, cause ${cause}, and nothing had happened to either`
  }
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1
}

const MIB = 2 ** 20
/** What has to be seen, or the run has shown nothing. */
const SEEN = [
  'enter',
  'join',
  'leave',
  'whisper',
  'shout',
  'evasive',
  'silent',
  'exit goodbye',
  'exit link',
  'exit expired',
]

/** What is wrong with a run as a whole: memory that grows from phase to phase, and what never happened. */
export function judge(phases: readonly Phase[]): string[] {
  const faults: string[] = []
  for (const [kind, share, spareBytes] of [
    ['heapUsed', 1.25, 16 * MIB],
    ['arrayBuffers', 1.25, 16 * MIB],
    ['rss', 1.3, 64 * MIB],
  ] as const) {
    const bytes = phases.map(({ use }) => use[kind])
    const early = Math.max(...bytes.slice(0, 2))
    const late = Math.min(...bytes.slice(-2))
    if (late > early * share + spareBytes) faults.push(`${kind} grows: ${bytes.join(', ')}`)
  }
  const unseen = SEEN.filter((type) => !phases.some(({ counts }) => (counts[type] ?? 0) > 0))
  if (phases.length >= 2) faults.push(...unseen.map((type) => `no ${type} was seen`))
  return faults
}
