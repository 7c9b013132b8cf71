/**
 * A process full of nodes that churn: `node crowd.js '{"process":"restless.1","count":50,...}'`. It does what lines on
 * stdin say and tells in lines of JSON what came of it; what breaks a promise is a line {"event":"fault"}. It has no exit()
 * of its own but for when its parent is gone: it ends when nothing keeps it alive.
 */

import { readdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createLyre, type Lyre, type LyreEvent, type LyreOptions, type Trace } from 'lyre'
import { Random } from '../fuzz/random.ts'
import { memory } from '../support/memory.ts'
import { EVERYBODY, Observer } from './observer.ts'

/** What a crowd is told on its command line. */
export type CrowdOptions = {
  /** Its name and how often it was started anew: no two processes of a run share it. */
  readonly process: string
  readonly count: number
  /** So many nodes are never stopped: the first ones. */
  readonly observerCount: number
  /** Whether the first node's events about peers are told as they happen. */
  readonly tells: boolean
  readonly seed: number
  readonly options: LyreOptions
}

/** A node that has to be in a full mesh. */
export type Resident = {
  readonly uuid: string
  readonly name: string
  readonly groups: readonly string[]
}

/** A place for one node after the other: sometimes the same one again, sometimes a new one. */
type Seat = {
  readonly index: number
  generation: number
  lyre: Lyre
  observer: Observer
  /** Wanted up or down; what was asked for is done in turn. */
  up: boolean
  turn: Promise<void>
}

/** What is waited for, and what is still missing, in words: as many as one asks for, since to look for all takes long. */
type Goal = { readonly event: string; readonly missing: () => Iterable<string> }

const EVENTS = [
  'enter',
  'exit',
  'join',
  'leave',
  'whisper',
  'shout',
  'evasive',
  'silent',
  'warning',
  'stop',
] as const
const GROUPS = ['ALTO', 'BASS', 'TENOR', 'TREBLE']
const TICK_MS = 10
const ACTIONS_TOLD = 10
/** Sockets of the process that are no node's: stdio, the loop and what opens for a moment. */
const DESCRIPTORS_SPARE = 16

const told: CrowdOptions = JSON.parse(process.argv[2] ?? '{}')
const random = new Random().seed(told.seed, 0, 0)
const baseDescriptors = descriptors()
const stopped = new Set<string>()
/** Who gave up whom since the last report. */
const forgotten: [observer: string, uuid: string][] = []
const seats: Seat[] = Array.from({ length: told.count }, (_, index) => seatOf(index))
const input = createInterface({ input: process.stdin })
let goal: Goal | undefined
let ending = false
let churning = false
let actionCount = 0

function tell(event: string, rest: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...rest })}\n`)
}

function seatOf(index: number): Seat {
  const generation = 1
  return { index, generation, ...nodeOf(index, generation), up: true, turn: Promise.resolve() }
}

function nodeOf(index: number, generation: number): Pick<Seat, 'lyre' | 'observer'> {
  const name = `${told.process}/${index}.${generation}`
  const trace = ({ type, uuid, reason = '' }: Trace) => {
    if (type === 'forgotten' && uuid !== undefined) forgotten.push([name, uuid])
    // What was kept beyond an exit and could not follow: no event tells of it.
    if (type === 'lost' && uuid !== undefined) observer.lose(uuid, Number.parseInt(reason, 10))
  }
  const lyre = createLyre({ ...told.options, interface: '127.0.0.1', name, trace })
  const observer = new Observer(lyre, (text) => tell('fault', { text: `${name}: ${text}` }))
  const tells = told.tells && index === 0
  for (const type of EVENTS) {
    lyre.on(type, (event: LyreEvent) => {
      observer.see(event)
      if (tells && 'peer' in event && !('content' in event) && !('group' in event)) {
        tell('told', { type, peer: event.peer.name })
      }
    })
  }
  // From within the handler of `enter` a whisper arrives, too.
  lyre.on('enter', ({ peer }) => observer.whisper(peer.uuid, 10))
  lyre.join(EVERYBODY)
  return { lyre, observer }
}

function start(seat: Seat): void {
  seat.up = true
  seat.turn = seat.turn.then(() => seat.lyre.start())
}

function stop(seat: Seat, options: { readonly lingerMs?: number } = {}): void {
  seat.up = false
  seat.turn = seat.turn.then(async () => {
    stopped.add(seat.lyre.name)
    await seat.lyre.stop(options)
    const { peers, connections } = seat.lyre.diagnostics()
    if (peers.length > 0 || connections > 0) {
      const left = `${peers.length} peers and ${connections} connections`
      tell('fault', { text: `${seat.lyre.name} is stopped, and has ${left}` })
    }
  })
}

/** A new node takes the seat of one that is stopped. */
function replace(seat: Seat): void {
  seat.turn = seat.turn.then(() => {
    Object.assign(seat, nodeOf(seat.index, ++seat.generation))
  })
}

/** One thing that happens in the life of a crowd. */
function act(): void {
  const stopShare = Math.min(0.05, 1 / told.count)
  const what = random.u32() / 2 ** 32
  const firstIndex = what < 2 * stopShare ? told.observerCount : 0
  const seat = seats[firstIndex + random.below(told.count - firstIndex)]
  if (seat === undefined) return
  if (what < 2 * stopShare) {
    if (!seat.up) {
      if (random.once(2)) replace(seat)
      start(seat)
    } else {
      stop(seat, random.once(10) ? { lingerMs: 0 } : {})
      if (random.once(5)) start(seat)
    }
    return
  }
  const group = random.pick(GROUPS)
  const size = random.once(100) ? 100_000 : random.below(400)
  if (what < 0.2) {
    if (!seat.lyre.join(group)) seat.lyre.leave(group)
  } else if (what < 0.4) {
    seat.observer.shout(group, size)
  } else if (what < 0.45) {
    seat.observer.shout(EVERYBODY, random.below(400))
  } else {
    const uuids = [...seat.observer.contacts.keys()]
    if (uuids.length > 0) seat.observer.whisper(random.pick(uuids), size)
  }
}

function tick(): void {
  if (!churning) return
  act()
  if (++actionCount % ACTIONS_TOLD === 0) tell('acted', { count: actionCount })
  setTimeout(tick, TICK_MS)
}

async function calm(): Promise<void> {
  churning = false
  await Promise.all(seats.map((seat) => seat.turn))
  for (const seat of seats) if (!seat.up) start(seat)
  await Promise.all(seats.map((seat) => seat.turn))
  const nodes = seats.map(({ lyre }): Resident => {
    return { uuid: lyre.uuid, name: lyre.name, groups: lyre.ownGroups() }
  })
  tell('calm', { nodes, stopped: [...stopped] })
  stopped.clear()
}

/** What keeps one node from agreeing that these, and nobody else, are there. */
function* disagreement({ lyre, observer }: Seat, nodes: readonly Resident[]): Iterable<string> {
  const { name: own } = lyre
  const others = nodes.length - 1
  const found = lyre.peers().length
  if (found !== others) yield `${own}: ${found} peers, not ${others}`
  if (observer.contacts.size !== found) yield `${own}: ${observer.contacts.size} are here by events`
  for (const { uuid, name, groups } of nodes) {
    if (uuid === lyre.uuid) continue
    const peer = lyre.peer(uuid)
    const contact = observer.contacts.get(uuid)
    if (peer === undefined || contact === undefined) yield `${own}: ${name} is not there`
    else if (!same(peer.groups, groups)) yield `${own}: ${name} is in ${peer.groups}, not ${groups}`
    else if (!same([...contact.groups], groups)) {
      yield `${own}: ${name} is in ${[...contact.groups]} by events, not ${groups}`
    }
  }
  const { connections } = lyre.diagnostics()
  if (connections !== 2 * others) yield `${own}: ${connections} connections, not ${2 * others}`
}

function same(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((group) => right.includes(group))
}

function agree(nodes: readonly Resident[]): void {
  const living = new Set(nodes.map(({ uuid }) => uuid))
  for (const { observer } of seats) observer.forget(living)
  // For each node: beacons in, the inbox, and a connection each way to each other node.
  const most = baseDescriptors + DESCRIPTORS_SPARE + seats.length * (3 + 2 * nodes.length)
  function* missing(): Iterable<string> {
    for (const seat of seats) yield* disagreement(seat, nodes)
    if (descriptors() > most) yield `${told.process}: ${descriptors()} descriptors, not ${most}`
  }
  goal = { event: 'agreed', missing }
}

/** Each node shouts once, and hears each other once: what a full mesh is good for. */
function callTheRoll(number: number): void {
  for (const { observer } of seats) observer.shout(EVERYBODY, 10, number)
  goal = { event: 'rolled', missing: () => rolled(number) }
}

function* rolled(number: number): Iterable<string> {
  for (const { lyre, observer } of seats) {
    for (const { name, roll } of observer.contacts.values()) {
      if (roll !== number) yield `${lyre.name} did not hear ${name} in roll call ${number}`
    }
  }
}

/** Takes what was counted since the last report. */
function report(): object {
  const counts: Record<string, number> = {}
  const exits: [observer: string, peer: string, cause: string][] = []
  for (const { lyre, observer } of seats) {
    for (const [key, value] of observer.counts) counts[key] = (counts[key] ?? 0) + value
    for (const key of observer.exits.keys()) {
      const [peer = '', cause = ''] = key.split(' ')
      exits.push([lyre.name, peer, cause])
    }
    observer.counts.clear()
    observer.exits.clear()
  }
  return { counts, exits, forgotten: forgotten.splice(0) }
}

function measure(): void {
  const heapUsed = memory('heapUsed')
  const { rss, arrayBuffers } = process.memoryUsage()
  tell('measured', { heapUsed, rss, arrayBuffers, descriptors: descriptors() })
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length
}

async function end(): Promise<void> {
  ending = true
  churning = false
  for (const seat of seats) if (seat.up) stop(seat)
  await Promise.all(seats.map((seat) => seat.turn))
  const most = baseDescriptors + DESCRIPTORS_SPARE
  function* missing(): Iterable<string> {
    if (descriptors() > most) yield `${told.process}: ${descriptors()} descriptors are left`
  }
  goal = { event: 'ended', missing }
}

/** What a line on stdin can ask for. */
type Call =
  | { readonly call: 'churn' | 'calm' | 'report' | 'measure' | 'end' | 'explain' }
  | { readonly call: 'agree'; readonly nodes: readonly Resident[] }
  | { readonly call: 'roll'; readonly number: number }

function perform(call: Call): unknown {
  switch (call.call) {
    case 'churn':
      churning = true
      actionCount = 0
      return tick()
    case 'calm':
      return calm()
    case 'agree':
      return agree(call.nodes)
    case 'roll':
      return callTheRoll(call.number)
    case 'report':
      return tell('reported', report())
    case 'measure':
      return measure()
    case 'explain':
      return tell('explained', { differences: [...(goal?.missing() ?? [])] })
    case 'end':
      return end()
  }
}

input.on('line', (line) => perform(JSON.parse(line)))
// Whoever started us is gone: nobody will ever ask us to end.
input.on('close', () => {
  if (!ending) process.exit(2)
})

/** Looks whether what is waited for has come. */
const looking = setInterval(() => {
  if (goal === undefined) return
  for (const _ of goal.missing()) return
  const { event } = goal
  goal = undefined
  tell(event)
  if (event !== 'ended') return
  clearInterval(looking)
  process.stdin.destroy()
}, 50)

for (const seat of seats) start(seat)
await Promise.all(seats.map((seat) => seat.turn))
tell('ready')
