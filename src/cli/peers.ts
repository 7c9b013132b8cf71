// `lyre peers`: who is there, as a table; then it leaves.

import { type Peer, TimeoutError } from '../index.ts'
import type { NodeSettings } from './settings.ts'
import { tableOf } from './table.ts'
import { pause, visit } from './visit.ts'
import { clean } from './words.ts'

/** What `lyre peers` can be told. */
export interface PeersSettings extends NodeSettings {
  /** Milliseconds, by default 2,000. */
  readonly wait?: number
  /** How many there have to be; it waits no longer than until they are. */
  readonly count?: number
}

const WAIT_MS = 2_000
/** How much of a name, of what a peer is in and of what it says about itself is shown. */
const CELL_LENGTH_MAX = 40

/** The verb. Ends with 1 when there are fewer peers than `count`. */
export function listPeers(settings: PeersSettings, signal: AbortSignal): Promise<number> {
  const { wait = WAIT_MS, count } = settings
  const [group] = settings.group ?? []
  // Whoever only looks joins nothing.
  return visit({ ...settings, group: [] }, signal, async ({ lyre, signal, ...visit }) => {
    await lyre.start({ signal })
    if (count === undefined) {
      await pause(wait, signal)
    } else {
      const patience = { signal, timeoutMs: wait, ...(group !== undefined && { group }) }
      await lyre.waitForPeers(count, patience).catch(ignoreLate)
    }
    const peers = group === undefined ? lyre.peers() : lyre.peersInGroup(group)
    visit.tell({ reply: 'peers', peers })
    if (peers.length > 0) visit.say(tableOf(HEADS, peers.map(cellsOf)))
    if (peers.length >= (count ?? 1)) return 0
    const found = peers.length === 0 ? 'nobody was' : `${peers.length} of ${count} peers were`
    visit.complain(`${found} found in ${wait} ms`)
    return count === undefined ? 0 : 1
  })
}

const HEADS = ['NAME', 'UUID', 'STATE', 'ENDPOINT', 'GROUPS', 'HEADERS']

function cellsOf({ name, uuid, state, endpoint, groups, headers }: Peer): string[] {
  const told = Object.entries(headers).map(([key, value]) => `${key}=${value}`)
  const shown = [groups.join(', '), told.join(', ')].map((cell) => clean(cell, CELL_LENGTH_MAX))
  return [clean(name, CELL_LENGTH_MAX), uuid, state, clean(endpoint), ...shown]
}

function ignoreLate(error: unknown): void {
  if (!(error instanceof TimeoutError)) throw error
}
