// `lyre send`: one whisper or one shout, and then it leaves; its exit code says whether it arrived.

import { type Diagnostics, type Lyre, type Peer, TimeoutError, UsageError } from '../index.ts'
import type { JsonLine } from './json.ts'
import type { NodeSettings } from './settings.ts'
import { find, pause, peersOf, type Visit, visit } from './visit.ts'
import { clean } from './words.ts'

/** What `lyre send` can be told. */
export interface SendSettings extends NodeSettings {
  /** Name or uuid of whom to whisper to; else it is a shout to the group. */
  readonly to?: string
  /** How many peers of the group there have to be, by default 1. */
  readonly count?: number
  /** How long to look for them: milliseconds, by default 5,000. */
  readonly wait?: number
}

const WAIT_MS = 5_000
/** Nothing moved for so long: no more will. A peer that confirms does so within 0.1 s, one of ZMTP 3.0 within some seconds. */
const STUCK_MS = 10_000
const POLL_MS = 20
/** A peer that confirms has done so for our HELLO by then. */
const ACQUAINTANCE_MS = 2_000
/** The limit of a node for a content, with its header. */
const CONTENT_BYTES_MAX = 67_108_864 - 262

/** The verb. Ends with 0 only when the message was written for all and, by all that confirm, read. */
export async function send(
  words: readonly string[],
  settings: SendSettings,
  signal: AbortSignal,
): Promise<number> {
  const { to, group: groups = [], count } = settings
  const [group, ...others] = groups
  if ((to === undefined) === (group === undefined) || others.length > 0) {
    throw new UsageError('say to whom: --to NAME for one peer, or --group GROUP for one group')
  }
  if (to !== undefined && count !== undefined) throw new UsageError('--count goes with --group')
  if (words.length === 0) throw new UsageError('say what to send; - takes it from standard input')
  const content = words.length === 1 && words[0] === '-' ? await readInput(signal) : words.join(' ')
  // Whoever shouts need not be in the group.
  return visit({ ...settings, group: [] }, signal, async (visit) => {
    const { lyre, signal, tell, say, complain } = visit
    await lyre.start({ signal })
    const peers = await recipients(visit, settings)
    if (peers === undefined) return 1
    await acquaintance(lyre, peers, signal)
    const said = deliver(lyre, { to, group, peers, content })
    const { confirmed, lost, stuck } = await arrival(lyre, said.count, signal)
    tell({ ...said, confirmed, lost })
    const names = peers.map(({ name, uuid }) => clean(name) || uuid).join(', ')
    if (confirmed === said.count && said.count > 0) {
      say(`${names} ${said.count === 1 ? 'has' : 'have'} read it`)
      return 0
    }
    if (said.count === peers.length && lost === 0 && stuck.length === 0) {
      say(`it was written to ${names}; ${said.count - confirmed} of ${said.count} do not confirm`)
      return 0
    }
    complain(`only ${confirmed} of ${peers.length} peers are known to have read it`)
    return 1
  })
}

/** Whom it is for; undefined, and said why, when they are not there. */
async function recipients(
  { lyre, signal, complain }: Visit,
  { to, group = [], count = 1, wait = WAIT_MS }: SendSettings,
): Promise<Peer[] | undefined> {
  const [room = ''] = group
  const fitting = () => (to === undefined ? lyre.peersInGroup(room) : peersOf(lyre, to))
  const poll = () => (fitting().length >= count ? fitting() : undefined)
  try {
    const peers = await find(lyre, { signal, timeoutMs: wait, poll })
    if (to === undefined || peers.length === 1) return peers
    const uuids = peers.map(({ uuid }) => uuid).join(', ')
    throw new UsageError(`${peers.length} peers have this name, take one of their uuids: ${uuids}`)
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error
    const found = `${fitting().length} of ${count} peers were there`
    const others = lyre.peers().map(({ name }) => clean(name))
    const there = others.length === 0 ? 'nobody is' : `there are ${others.slice(0, 20).join(', ')}`
    complain(
      to === undefined ? `in ${clean(room)} ${found}` : `${clean(to)} is not there; ${there}`,
    )
    return undefined
  }
}

function deliver(
  lyre: Lyre,
  message: {
    readonly to: string | undefined
    readonly group: string | undefined
    readonly peers: readonly Peer[]
    readonly content: string | Uint8Array
  },
): JsonLine & { readonly count: number } {
  const { to, group = '', peers, content } = message
  const [peer] = peers
  if (to === undefined || peer === undefined) {
    return { reply: 'shout', group, count: lyre.shout(group, content) }
  }
  return { reply: 'whisper', to, uuid: peer.uuid, count: lyre.whisper(peer, content) }
}

/** Waits until all have confirmed something, and so are known to do that; who has not by then, does not. */
async function acquaintance(
  lyre: Lyre,
  peers: readonly Peer[],
  signal: AbortSignal,
): Promise<void> {
  const beganAt = performance.now()
  const uuids = new Set(peers.map(({ uuid }) => uuid))
  const isOpen = () =>
    lyre.diagnostics().peers.some((peer) => uuids.has(peer.uuid) && peer.roundTripMs === null)
  while (isOpen() && performance.now() - beganAt < ACQUAINTANCE_MS) await pause(POLL_MS, signal)
}

/**
 * Waits until what was sent is known to have been read or lost, or nothing moves any more.
 * @returns `stuck`: the peers that hold it up, which confirm and have not, or for whom it was not even written.
 */
async function arrival(
  lyre: Lyre,
  count: number,
  signal: AbortSignal,
): Promise<{ readonly confirmed: number; readonly lost: number; readonly stuck: unknown[] }> {
  let openMin = Number.POSITIVE_INFINITY
  let movedAt = performance.now()
  for (;;) {
    const { messages, peers } = lyre.diagnostics()
    const { confirmed, lost } = messages
    const open = peers.filter((peer) => peer.waiting > 0 || peer.unconfirmed > 0)
    if (confirmed + lost >= count) return { confirmed, lost, stuck: [] }
    const bytes = open.reduce((sum, { backlogBytes }) => sum + backlogBytes, messages.waitingBytes)
    // Messages count before octets: those may grow by a PING and shrink again, which moves nothing.
    const left = (count - confirmed - lost) * 2 ** 40 + bytes
    if (left < openMin) movedAt = performance.now()
    openMin = Math.min(openMin, left)
    if (performance.now() - movedAt > STUCK_MS) {
      return { confirmed, lost, stuck: open.filter(isStuck) }
    }
    await pause(POLL_MS, signal)
  }
}

/** Whether a peer keeps us waiting: to be written to, or for what it has confirmed before. */
function isStuck({ waiting, backlogBytes, roundTripMs }: Diagnostics['peers'][number]): boolean {
  return waiting > 0 || backlogBytes > 0 || roundTripMs !== null
}

/** All of standard input; a signal cuts it short. */
async function readInput(signal: AbortSignal): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let bytes = 0
  const leave = () => process.stdin.destroy()
  signal.addEventListener('abort', leave)
  try {
    for await (const part of process.stdin) {
      bytes += part.length
      if (bytes > CONTENT_BYTES_MAX) {
        throw new UsageError(`standard input is too long: the limit is ${CONTENT_BYTES_MAX} octets`)
      }
      parts.push(part)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  signal.removeEventListener('abort', leave)
  return Buffer.concat(parts)
}
