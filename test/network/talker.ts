/** A node that says numbers to each of its peers (node.mjs), and what became of them. */

import type { Test } from 'tap'
import type { Diagnostics, LyreEvent } from '../../src/index.ts'
import type { Child, Line } from '../support/child.ts'
import { eventually } from '../support/heard.ts'

/** What was heard of a peer: how many numbers, the highest, and how many came twice, or after a higher one. */
export interface Story {
  readonly count: number
  readonly last: number
  readonly doubled: number
  readonly late: number
  /** The longest time without any. */
  readonly pauseMs: number
}

/** Of one moment. By uuid: the last number that was said to whom, and what was heard. */
export interface Report {
  readonly said: Readonly<Record<string, number>>
  readonly heard: Readonly<Record<string, Story>>
  readonly diagnostics: Diagnostics
}

/** Long enough for all that a node may wait for by itself. */
const PATIENCE_MS = 60_000

/** Such a node, in a process of its own. */
export class Talker {
  readonly child: Child
  readonly uuid: string
  readonly name: string
  readonly endpoint: string
  /** One question after the other, so that each has its own answer. */
  #asked: Promise<unknown> = Promise.resolve()

  constructor(child: Child, { uuid, name, endpoint }: Pick<Talker, 'uuid' | 'name' | 'endpoint'>) {
    this.child = child
    this.uuid = uuid
    this.name = name
    this.endpoint = endpoint
  }

  call(call: string, ...args: readonly unknown[]): void {
    this.child.send({ call, args })
  }

  report(): Promise<Report> {
    const report = this.#asked.then(() => {
      this.call('report')
      return this.child.next('report')
    })
    this.#asked = report.catch(() => {})
    return report
  }

  /** The events of a peer so far, of these types. */
  events(of: Talker, ...types: readonly LyreEvent['type'][]): Line[] {
    const { items } = this.child.heard
    return items.filter(({ event, uuid }) => uuid === of.uuid && types.includes(event))
  }

  /** Enters and exits of a peer, as `enter`, `exit link`. */
  story(of: Talker): string[] {
    const events = this.events(of, 'enter', 'exit')
    return events.map(({ event, cause }) => (cause === undefined ? event : `${event} ${cause}`))
  }

  /** Resolves once the other is a peer. */
  meets(other: Talker): Promise<void> {
    return this.waits(`${this.name} meets ${other.name}`, ({ diagnostics }) =>
      diagnostics.peers.some(({ uuid, state }) => uuid === other.uuid && state === 'entered'),
    )
  }

  /** Resolves once it has sent so many more beacons: as many chances to be found. */
  async beacons(count: number): Promise<void> {
    const before = sentOf(await this.report())
    await this.waits('beacons', (report) => sentOf(report) >= before + count)
  }

  /** Asks again and again, not so often that the asking is what takes the time. */
  async waits(what: string, done: (report: Report) => boolean): Promise<void> {
    const look = async () => {
      if (done(await this.report())) return true
      await pass(50)
      return false
    }
    await eventually(`${this.name}: ${what}`, look, PATIENCE_MS)
  }

  /** The names of its peers, in order. */
  async peers(): Promise<string[]> {
    const { diagnostics } = await this.report()
    const there = diagnostics.peers.filter(({ state }) => isPresent(state))
    return there.map(({ name }) => name).sort()
  }
}

/** Whether an application sees a peer that is in this state. */
export function isPresent(state: string): boolean {
  return state === 'entered' || state === 'evasive' || state === 'silent'
}

function sentOf({ diagnostics }: Report): number {
  return diagnostics.beacon?.sent ?? 0
}

/** Lets time pass that is itself the matter: how long a machine sleeps, or a cable is out. */
export function pass(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs))
}

/** Resolves once all of them are peers of each other. */
export async function meet(...nodes: readonly Talker[]): Promise<void> {
  for (const node of nodes) {
    for (const other of nodes) if (other !== node) await node.meets(other)
  }
}

/** Both begin to talk; resolves once each hears the other. */
export async function talk(one: Talker, other: Talker): Promise<void> {
  for (const node of [one, other]) node.call('talk')
  await hearEachOther(one, other)
}

/** Resolves once each has heard what the other said after now. @returns how long the longest pause was since this was called. */
export async function hearEachOther(one: Talker, other: Talker): Promise<number> {
  for (const node of [one, other]) node.call('mark')
  const before = [await one.report(), await other.report()]
  for (const [index, node] of [one, other].entries()) {
    const from = index === 0 ? other : one
    const said = before[1 - index]?.said[node.uuid] ?? 0
    await node.waits(
      `${node.name} hears ${from.name}`,
      ({ heard }) => (heard[from.uuid]?.last ?? 0) > said,
    )
  }
  const after = [await one.report(), await other.report()]
  const pauses = [after[0]?.heard[other.uuid]?.pauseMs, after[1]?.heard[one.uuid]?.pauseMs]
  return Math.max(...pauses.map((pauseMs) => pauseMs ?? 0))
}

/**
 * Both fall silent, and wait until nothing is on its way: each number came once and in order, but for those that its sender was
 * told are lost.
 * @returns how many did not come, of both.
 */
export async function settle(t: Test, one: Talker, other: Talker): Promise<number> {
  for (const node of [one, other]) node.call('hush')
  for (const node of [one, other]) {
    await node.waits('all is said', ({ diagnostics: { messages } }) => {
      return messages.waiting === 0 && messages.unconfirmed === 0
    })
  }
  const reports = [await one.report(), await other.report()] as const
  const missing = [
    account(t, { from: one, to: other }, reports),
    account(t, { from: other, to: one }, [reports[1], reports[0]]),
  ]
  return missing.reduce((sum, count) => sum + count)
}

function account(
  t: Test,
  { from, to }: { readonly from: Talker; readonly to: Talker },
  [sender, receiver]: readonly [Report, Report],
): number {
  const said = sender.said[to.uuid] ?? 0
  const { count, doubled, late } = receiver.heard[from.uuid] ?? { count: 0, doubled: 0, late: 0 }
  const missing = said - (count - doubled)
  const told = from.events(to, 'exit').reduce((sum, exit) => sum + exit.lost, 0)
  const way = `${from.name} to ${to.name}`
  const story = from.story(to).join(', ')
  t.comment(`${way}: ${said} said, ${missing} did not come, ${told} told as lost; ${story}`)
  t.ok(count > 0, `${way}: something was said`)
  t.equal(doubled, 0, `${way}: nothing came twice`)
  t.equal(late, 0, `${way}: nothing came out of order`)
  t.ok(missing >= 0 && missing <= told, `${way}: what did not come was told as lost`)
  return missing
}
