/** One node that stays, and another that comes, talks and goes, again and again: of none of it anything may be left. */

import { readdirSync } from 'node:fs'
import { createLyre, type Lyre } from 'lyre'
import { memory } from '../support/memory.ts'

export type CyclesOptions = {
  readonly count: number
  readonly beaconPort: number
}

/** What was in use after a cycle. */
export type Sample = {
  readonly cycle: number
  readonly heapUsed: number
  readonly arrayBuffers: number
  readonly descriptors: number
}

const HEARD = ['enter', 'join', 'whisper', 'shout', 'exit'] as const
type Heard = (typeof HEARD)[number]

export type CyclesOutcome = {
  /** After each tenth of the cycles. */
  readonly samples: readonly Sample[]
  /** What the one that stays heard. */
  readonly counts: Readonly<Record<Heard, number>>
  /** Peers and connections of all nodes when it was over. */
  readonly peersLeft: number
  readonly connectionsLeft: number
}

/** A cycle that takes longer has failed. */
const PATIENCE = { timeoutMs: 60_000 }

/** Enters and exits of real nodes on loopback. */
export async function cycles({ count, beaconPort }: CyclesOptions): Promise<CyclesOutcome> {
  const options = { interface: '127.0.0.1', beaconPort }
  const host = createLyre({ ...options, name: 'host' })
  const counts: Record<Heard, number> = { enter: 0, join: 0, whisper: 0, shout: 0, exit: 0 }
  for (const type of HEARD) host.on(type, () => counts[type]++)
  host.on('join', ({ peer }) => host.whisper(peer, 'welcome'))
  host.join('CYCLE')
  await host.start()
  const samples: Sample[] = []
  let guest = guestOf(options)
  let left = 0
  for (let cycle = 1; cycle <= count; cycle++) {
    await visit(guest, host)
    left += connectionsOf(guest)
    // The same node comes again, or another one.
    if (cycle % 2 === 0) guest = guestOf(options)
    if (cycle % Math.ceil(count / 10) === 0) samples.push(sampleOf(cycle))
  }
  const peersLeft = host.peers().length
  const connectionsLeft = left + connectionsOf(host)
  const known = host.diagnostics().peers.length
  await host.stop()
  return { samples, counts, peersLeft: peersLeft + known, connectionsLeft }
}

function guestOf(options: object): Lyre {
  const guest = createLyre({ ...options, name: 'guest' })
  guest.join('CYCLE')
  return guest
}

/** It comes, says something, is answered, says something to all, and goes. */
async function visit(guest: Lyre, host: Lyre): Promise<void> {
  const answered = new Promise<void>((resolve) => guest.once('whisper', () => resolve()))
  const gone = new Promise<void>((resolve) => host.once('exit', () => resolve()))
  await guest.start()
  await guest.waitForPeers(1, { group: 'CYCLE', ...PATIENCE })
  await answered
  guest.whisper(host.uuid, 'thank you')
  guest.shout('CYCLE', ['good bye', new Uint8Array(1_000)])
  await guest.stop()
  await gone
}

function connectionsOf(lyre: Lyre): number {
  return lyre.diagnostics().connections
}

function sampleOf(cycle: number): Sample {
  const heapUsed = memory('heapUsed')
  const { arrayBuffers } = process.memoryUsage()
  const descriptors = readdirSync('/proc/self/fd').length
  return { cycle, heapUsed, arrayBuffers, descriptors }
}

/** What is wrong after so many cycles; between a fifth of them and the last one, memory has to be flat. */
export function grown(outcome: CyclesOutcome, count: number): string[] {
  const { samples, counts, peersLeft, connectionsLeft } = outcome
  const faults: string[] = []
  const [, early] = samples
  const late = samples.at(-1)
  if (early === undefined || late === undefined) return ['nothing was sampled']
  for (const kind of ['heapUsed', 'arrayBuffers'] as const) {
    const bytes = late[kind] - early[kind]
    if (bytes > GROWTH_BYTES_MAX) faults.push(`${kind} grew by ${bytes} octets`)
  }
  if (late.descriptors > early.descriptors + 4) {
    faults.push(`${late.descriptors} descriptors, ${early.descriptors} before`)
  }
  for (const type of HEARD) {
    if (counts[type] !== count) faults.push(`${counts[type]} times ${type}, not ${count}`)
  }
  if (peersLeft > 0) faults.push(`${peersLeft} peers are left`)
  if (connectionsLeft > 0) faults.push(`${connectionsLeft} connections are left`)
  return faults
}

/** Far above what a collection leaves by chance, far below what 240 cycles that keep a record or a buffer would leave. */
const GROWTH_BYTES_MAX = 2 ** 21
