// Lines of a log in words, for a person to read: in columns, each node in its colour; what is missing, and which clocks are off.

import type { LogLine, LogLineNode } from '../index.ts'
import { Sheet } from './sheet.ts'
import { fill } from './table.ts'
import { clean } from './words.ts'

/** A clock that is off by less is told nowhere: in what was estimated are the way over the network, and the seconds of version 1. */
const OFFSET_MIN_MS = 50
const OFFSET_V1_MIN_MS = 2_000
const LEVEL_WIDTH = 7
const EVENT_WIDTH = 7
const NAME_LENGTH_MAX = 40
const DETAIL_LENGTH_MAX = 1_000
/** Of the 16: red and yellow. */
const COLOURS: Readonly<Record<string, number>> = { error: 31, warning: 33 }

/** Says lines of a log. */
export class LogWords {
  readonly #sheet: Sheet
  /** How nodes are called, by what tells them apart, and who has a name. */
  readonly #names = new Map<string, string>()
  readonly #owners = new Map<string, string>()
  /** What was said of the clock of a node. */
  readonly #offsets = new Map<string, number>()

  constructor(options: { readonly dated?: boolean } = {}) {
    this.#sheet = new Sheet(options)
  }

  /** One or more lines for one of a log. */
  describe(line: LogLine): string {
    const id = idOf(line.node)
    const name = this.nameOf(line.node)
    const { time } = line
    switch (line.event) {
      case 'record': {
        const clock = this.#clockOf(id, line)
        const row = this.#sheet.row({ id, name }, this.#whatOf(line.record), time)
        return clock === undefined
          ? row
          : `${this.notice(`${clean(name)}: ${clock}`, time)}\n${row}`
      }
      case 'gap': {
        const { count, level, sequence } = line
        const what = count === 1 ? `one record is` : `${count} records are`
        return this.notice(`${clean(name)}: ${what} missing of ${level}, from ${sequence} on`, time)
      }
      case 'restart':
        return this.notice(`${clean(name)}: it was started again, and counts anew`, time)
    }
  }

  /** A line that is not of a node. */
  notice(text: string, at: number): string {
    return this.#sheet.notice(text, at)
  }

  /** How a node is called: with some digits where others have that name, too. */
  nameOf(node: LogLineNode): string {
    const id = idOf(node)
    const shown = clean(node.name, NAME_LENGTH_MAX)
    if (shown === '')
      return node.uuid === undefined ? `${id.slice(4, 8)}@${node.address}` : id.slice(0, 6)
    this.#names.set(id, shown)
    const owner = this.#owners.get(shown)
    if (owner === undefined) this.#owners.set(shown, id)
    return owner === undefined || owner === id ? shown : `${shown}#${id.slice(0, 6)}`
  }

  #whatOf({ level, event, peer, group, text, fields }: RecordLine['record']): string {
    const parts: string[] = []
    if (peer !== undefined) parts.push(this.#peerOf(peer))
    if (group !== undefined) parts.push(`[${clean(group)}]`)
    if (text !== '') parts.push(clean(text.replaceAll(/\r?\n/g, ' ⏎ '), DETAIL_LENGTH_MAX))
    for (const [key, value] of Object.entries(fields ?? {})) {
      parts.push(this.#sheet.dim(clean(`${key}=${plain(value)}`, DETAIL_LENGTH_MAX)))
    }
    const colour = COLOURS[level]
    const label = fill(level, LEVEL_WIDTH)
    const shown = colour === undefined ? label : this.#sheet.paint(colour, label)
    return `${shown}  ${fill(event, EVENT_WIDTH)}  ${parts.join('  ')}`
  }

  #peerOf(peer: string | number): string {
    if (typeof peer === 'number') return peer.toString(16).padStart(4, '0')
    return this.#names.get(peer) ?? clean(peer.slice(0, 6))
  }

  /** What is new about a clock. */
  #clockOf(id: string, { offsetMs, record }: RecordLine): string | undefined {
    const told = this.#offsets.get(id) ?? 0
    const minMs = record.version === 1 ? OFFSET_V1_MIN_MS : OFFSET_MIN_MS
    if (Math.abs(offsetMs - told) < minMs) return undefined
    this.#offsets.set(id, offsetMs)
    return clockOf(offsetMs)
  }
}

type RecordLine = Extract<LogLine, { event: 'record' }>

/** How a clock is off; an offset is what has to be added to it. */
export function clockOf(offsetMs: number): string {
  if (Math.abs(offsetMs) < OFFSET_MIN_MS) return 'its clock is right'
  return `its clock is ${durationOf(Math.abs(offsetMs))} ${offsetMs > 0 ? 'behind' : 'ahead'}`
}

/** What tells a node from others; it begins with hexadecimal digits. */
export function idOf({ uuid, hash = 0, address }: LogLineNode): string {
  return uuid ?? `${hash.toString(16).padStart(8, '0')}@${address}`
}

/** Milliseconds in the unit that suits them. */
export function durationOf(ms: number): string {
  if (ms < 1_000) return `${ms < 10 ? Number(ms.toFixed(2)) : Math.round(ms)} ms`
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`
  if (ms < 7_200_000) return `${(ms / 60_000).toFixed(1)} min`
  return `${(ms / 3_600_000).toFixed(1)} h`
}

function plain(value: unknown): string {
  return typeof value === 'string' && /^[^\s"]+$/.test(value) ? value : JSON.stringify(value)
}
