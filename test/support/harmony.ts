/** What all tests of Harmony need: one machine, what happens to it, and what it says as lines of text. */

import type { Uuid } from '../../protocol/bytes.ts'
import { fromUtf8, utf8 } from '../../protocol/bytes.ts'
import {
  type Effect,
  HARMONY_LIMITS,
  Harmony,
  type HarmonyLimits,
  type HarmonyOptions,
  type LinkChange,
  type PeerEvent,
  type Trace,
} from '../../protocol/harmony.ts'
import type { ConnectionId, Source } from '../../protocol/peers.ts'
import type { Frames, Headers, Hello, ZreCommand, ZreMessage } from '../../protocol/zre.ts'

/** Peers have numbers: number 1 is `p1`, at 10.0.0.1. We are number 0. */
export function uuidOf(peer: number): Uuid {
  return peer.toString(16).padStart(4, '0').repeat(8)
}

export function endpointOf(peer: number): string {
  return `tcp://10.0.0.${peer}:49152`
}

export function helloOf(peer: number, hello: Partial<Hello> = {}): ZreCommand & { type: 'hello' } {
  const { groups = [] } = hello
  const told = { endpoint: endpointOf(peer), groups, status: groups.length, name: `p${peer}` }
  return { type: 'hello', ...told, headers: {}, ...hello }
}

/** A connection is up, its other side does not say who it is. */
export const UP: LinkChange & { type: 'up' } = {
  type: 'up',
  uuid: undefined,
  address: '',
  answers: true,
  sequence: undefined,
}

/** The headers of a node that has an identity, and was started so often (harmony.md 9.1). */
export function identityOf(id: number, incarnation: number): Headers {
  return { 'X-LYRE-ID': uuidOf(id), 'X-LYRE-INCARNATION': String(incarnation) }
}

export function content(...texts: readonly string[]): Frames {
  return texts.map(utf8)
}

export type MachineOptions = {
  readonly node?: number
  readonly limits?: Partial<HarmonyLimits>
  readonly overflow?: HarmonyOptions['overflow']
  readonly headers?: Headers
  readonly evasiveTimeoutMs?: number
  readonly silentTimeoutMs?: number
  readonly expiredTimeoutMs?: number
}

/** A Harmony with Zyre's timeouts that is not started. */
export function harmonyOf({
  node = 0,
  limits,
  overflow = new Map(),
  headers = { 'X-NODE': String(node) },
  ...timeouts
}: MachineOptions = {}): Harmony {
  return new Harmony({
    uuid: uuidOf(node),
    name: `p${node}`,
    headers,
    overflow,
    evasiveTimeoutMs: 5_000,
    silentTimeoutMs: 6_000,
    expiredTimeoutMs: 30_000,
    ...timeouts,
    limits: { ...HARMONY_LIMITS, ...limits },
  })
}

/** What a Harmony wants done, with the messages themselves in place of the word that there are some. */
export type Deed =
  | Exclude<Effect, { type: 'write' }>
  | {
      readonly type: 'send'
      readonly connection: ConnectionId
      readonly command: ZreCommand
      readonly sequence: number
    }

/** All that it wants done now. Nothing leaves over a connection that is `stalled`. */
export function deedsOf(
  harmony: Harmony,
  { now, stalled }: { readonly now: number; readonly stalled?: ReadonlySet<ConnectionId> },
): Deed[] {
  const deeds: Deed[] = []
  for (let effect = harmony.pollEffect(); effect; effect = harmony.pollEffect()) {
    if (effect.type !== 'write') {
      deeds.push(effect)
    } else if (!stalled?.has(effect.connection)) {
      const { connection } = effect
      const mailbox = harmony.mailbox(connection)
      for (let command = mailbox?.poll(); mailbox && command; command = mailbox.poll()) {
        deeds.push({ type: 'send', connection, command, sequence: mailbox.sequence })
      }
      harmony.handleWritten(connection, now)
    }
  }
  return deeds
}

/** An effect as one line: `dial 1 tcp://10.0.0.1:49152`, `send 1 hello 1`, `close -1`, `join p1 CHAT`. */
export function line(effect: Deed): string {
  switch (effect.type) {
    case 'dial':
      return `dial ${effect.connection} ${effect.endpoint}${goesOn(effect.sequence)}`
    case 'send':
      return `send ${effect.connection} ${command(effect.command)} ${effect.sequence}`
    case 'seed':
      return `seed ${effect.endpoint} ${effect.uuid?.slice(0, 4) ?? effect.reason}`
    case 'trace':
      return `trace ${effect.trace.type}`
    default:
      return isEvent(effect) ? event(effect) : `${effect.type} ${effect.connection}`
  }
}

/** Whether the application is told it: what is about a peer, not a connection. */
export function isEvent(effect: Deed): effect is PeerEvent {
  return 'peer' in effect
}

function goesOn(sequence: number | undefined): string {
  return sequence === undefined ? '' : ` after ${sequence}`
}

function command(given: ZreCommand): string {
  if ('group' in given) return `${given.type} ${given.group}`
  return given.type
}

function event(given: PeerEvent): string {
  const words = [given.type, given.peer.name]
  if ('cause' in given) words.push(given.cause)
  if ('lost' in given && given.lost > 0) words.push(`lost ${given.lost}`)
  if ('group' in given) words.push(given.group)
  if ('content' in given) words.push(...given.content.map(fromUtf8))
  return words.join(' ')
}

/** One Harmony, started, and the time: what happens to it happens now. Answers are lines, without traces and measures. */
export class Machine {
  now = 0
  readonly harmony: Harmony
  readonly traces: Trace[] = []
  /** Connections whose other side reads nothing. */
  readonly stalled = new Set<ConnectionId>()
  /** The sequence of the last message over each connection that was accepted. */
  readonly #sequences = new Map<ConnectionId, number>()

  constructor(options: MachineOptions = {}) {
    this.harmony = harmonyOf(options)
    this.harmony.start(endpointOf(options.node ?? 0))
  }

  effects(): Deed[] {
    const effects = deedsOf(this.harmony, this)
    for (const effect of effects) if (effect.type === 'trace') this.traces.push(effect.trace)
    return effects
  }

  lines(): string[] {
    return this.effects()
      .filter(({ type }) => type !== 'trace' && type !== 'measure')
      .map(line)
  }

  events(): string[] {
    return this.effects().filter(isEvent).map(line)
  }

  /** Goes on to an instant; what is due on the way happens when it is due. */
  at(now: number): string[] {
    const lines = this.lines()
    for (let due = this.harmony.pollTimeout(); due <= now; due = this.harmony.pollTimeout()) {
      this.now = Math.max(this.now, due)
      this.harmony.handleTimeout(this.now)
      if (this.harmony.pollTimeout() <= this.now) throw new Error(`busy at ${this.now}`)
      lines.push(...this.lines())
    }
    this.now = now
    return lines
  }

  /** Does what is due now. */
  settle(): string[] {
    return this.at(this.now)
  }

  discover(peer: number, endpoint = endpointOf(peer), source: Source = 'beacon'): string[] {
    this.harmony.handleDiscovered({ uuid: uuidOf(peer), endpoint, source }, this.now)
    return this.settle()
  }

  seed(endpoint: string): string[] {
    this.harmony.handleSeed(endpoint, this.now)
    return this.settle()
  }

  link(connection: ConnectionId, change: LinkChange): string[] {
    this.harmony.handleLink(connection, change, this.now)
    return this.settle()
  }

  up(
    connection: ConnectionId,
    uuid?: Uuid,
    { address = '10.0.0.9', answers = true, sequence }: Partial<LinkChange & { type: 'up' }> = {},
  ): string[] {
    this.#sequences.delete(connection)
    return this.link(connection, { type: 'up', uuid, address, answers, sequence })
  }

  /** Its ZMTP answers the PING of ours. */
  pong(connection: ConnectionId): string[] {
    return this.link(connection, { type: 'measured', roundTripMs: 1 })
  }

  lost(connection: ConnectionId): string[] {
    return this.link(connection, { type: 'lost', reason: 'closed' })
  }

  /** A message of a peer, with the next sequence unless told. */
  say(connection: ConnectionId, message: ZreCommand | ZreMessage, sequence?: number): string[] {
    const next = sequence ?? ((this.#sequences.get(connection) ?? 0) + 1) % 65_536
    this.#sequences.set(connection, next)
    this.harmony.handleMessage(connection, { ...message, sequence: next }, this.now)
    return this.settle()
  }

  /** A peer's connection is accepted, and its HELLO comes over it. */
  greet(connection: ConnectionId, peer: number, hello: Partial<Hello> = {}): string[] {
    const lines = this.up(connection, uuidOf(peer), { address: `10.0.0.${peer}` })
    return [...lines, ...this.say(connection, helloOf(peer, hello))]
  }

  /** Peer `n` is discovered, reached over connection n and heard over connection -n. */
  enter(peer: number, hello: Partial<Hello> = {}): string[] {
    const lines = this.discover(peer)
    lines.push(...this.up(peer), ...this.greet(-peer, peer, hello))
    return lines
  }

  join(group: string): string[] {
    this.harmony.join(group, this.now)
    return this.settle()
  }

  leave(group: string): string[] {
    this.harmony.leave(group, this.now)
    return this.settle()
  }

  whisper(peer: number, ...texts: readonly string[]): number {
    return this.harmony.whisper(uuidOf(peer), content(...texts), this.now)
  }

  shout(group: string, ...texts: readonly string[]): number {
    return this.harmony.shout(group, content(...texts), this.now)
  }

  diagnostics() {
    return this.harmony.diagnostics(this.now)
  }

  count(counter: string): number {
    return this.diagnostics().counters[counter] ?? 0
  }
}
