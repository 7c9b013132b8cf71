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
/** Nothing more is to be expected of a peer that has been silent for so long, or has been sent all and confirms nothing. */
const PATIENCE_MS = 10_000
const POLL_MS = 20
/** The limit of a node for a content, with its header. */
const CONTENT_BYTES_MAX = 67_108_864 - 262

/** The verb. Ends with 0 only when the message was written for all and, by all that confirm, read. */
export async function send(
  words: readonly string[],
  settings: SendSettings,
  signal: AbortSignal,
): Promise<number> {
  const { to, group: groups = [], count = 1 } = settings
  const [group, ...others] = groups
  if ((to === undefined) === (group === undefined) || others.length > 0) {
    throw new UsageError('say to whom: --to NAME for one peer, or --group GROUP for one group')
  }
  if (to !== undefined && settings.count !== undefined) {
    throw new UsageError('--count goes with --group')
  }
  if (words.length === 0) throw new UsageError('say what to send; - takes it from standard input')
  const content = words.length === 1 && words[0] === '-' ? await readInput(signal) : words.join(' ')
  // Whoever shouts need not be in the group.
  return visit({ ...settings, group: [] }, signal, async (visit) => {
    const { lyre, signal, tell, say, complain } = visit
    await lyre.start({ signal })
    const peers = await recipients(visit, settings)
    if (peers.length < count) return 1
    // In the same turn as they were looked up.
    const said = deliver(lyre, { to, group, peers, content })
    const { confirmed, lost, missing } = await arrival(lyre, said.count, signal)
    tell({ ...said, confirmed, lost })
    const names = peers.map(({ name, uuid }) => clean(name) || uuid).join(', ')
    if (said.count < peers.length || lost > 0 || missing) {
      complain(`only ${confirmed} of ${peers.length} are known to have read it: ${names}`)
      return 1
    }
    const open = said.count - confirmed
    if (open === 0) say(`${names} ${said.count === 1 ? 'has' : 'have'} read it`)
    else say(`it was written to ${names}; ${open} of ${said.count} do not confirm`)
    return 0
  })
}

/** Whom it is for; fewer than there have to be, and said why, when they are not there. */
async function recipients(
  { lyre, signal, complain }: Visit,
  { to, group = [], count = 1, wait = WAIT_MS }: SendSettings,
): Promise<Peer[]> {
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
    return []
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

/**
 * Waits until what was sent is known to have been read or lost, or nothing more is to be expected. A link may be so slow that
 * nothing is seen to move for long: whoever still gives a sign of life is waited for.
 * @returns `missing`: whether it was not written for all, or not read by one that confirms or is not there any more.
 */
async function arrival(
  lyre: Lyre,
  count: number,
  signal: AbortSignal,
): Promise<{ readonly confirmed: number; readonly lost: number; readonly missing: boolean }> {
  let hopelessAt = Number.POSITIVE_INFINITY
  for (;;) {
    const { messages, peers } = lyre.diagnostics()
    const { confirmed, lost } = messages
    if (confirmed + lost >= count) return { confirmed, lost, missing: false }
    const open = peers.filter((peer) => peer.waiting > 0 || peer.unconfirmed > 0)
    const missing = open.some((peer) => isOwed(peer) || peer.state !== 'entered')
    const hopeful = open.some((peer) => isOwed(peer) && peer.state !== 'silent')
    hopelessAt = hopeful ? Number.POSITIVE_INFINITY : Math.min(hopelessAt, performance.now())
    if (performance.now() - hopelessAt > PATIENCE_MS) return { confirmed, lost, missing }
    await pause(POLL_MS, signal)
  }
}

/** Whether it is to be written to a peer, or that peer to confirm it. */
function isOwed({ waiting, backlogBytes, confirms }: Diagnostics['peers'][number]): boolean {
  return waiting > 0 || backlogBytes > 0 || confirms
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
