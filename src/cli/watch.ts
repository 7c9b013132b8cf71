// `lyre watch`: all that happens on the network, as it happens, a line each. To hear what is said in a group it joins it: each
// group that somebody is in, unless it is told which.

import {
  type Lyre,
  type LyreEvent,
  type OverrunEvent,
  type Trace,
  text,
  UsageError,
} from '../index.ts'
import { Colours } from './colours.ts'
import { textWidth } from './columns.ts'
import { eventToJson } from './json.ts'
import type { NodeSettings } from './settings.ts'
import { fill } from './table.ts'
import { colourDepth } from './terminal.ts'
import { visit } from './visit.ts'
import { clean, Words, warningLines } from './words.ts'

/** What `lyre watch` can be told. */
export interface WatchSettings extends NodeSettings {
  /** Also what the node dials, refuses and loses. */
  readonly trace?: true
}

/** When nobody has come so long, it is said why, as far as it is known: whoever watches waits for nothing else. */
const ALONE_MS = 5_000
/** The column of names is at least, and at most, so wide. */
const NAME_WIDTH = { min: 8, max: 24 }
const TYPE_WIDTH = 8
/** A group that a peer is in, or a content, is no longer than this in its line. */
const DETAIL_LENGTH_MAX = 1_000

/** The verb. It ends with 0 when it is asked to leave. */
export function watch(settings: WatchSettings, signal: AbortSignal): Promise<number> {
  const isAll = settings.group === undefined
  let trace: ((trace: Trace) => void) | undefined
  const options = {
    lonelyAfterMs: ALONE_MS,
    ...(settings.trace && { trace: (told: Trace) => trace?.(told) }),
  }
  return visit({ ...settings, options }, signal, async ({ lyre, output, signal, say, tell }) => {
    const lines = new Lines(lyre)
    trace = (told) => {
      say(lines.trace(told))
      tell({ event: 'trace', time: Date.now(), ...told })
    }
    const events = lyre.events({ signal })
    await lyre.start({ signal })
    const { uuid, name, endpoint, headers } = lyre
    tell({ event: 'start', time: Date.now(), uuid, name, endpoint, headers })
    // With IPv6 an interface is there by several addresses.
    const names = new Set(lyre.diagnostics().interface?.chosen.map((chosen) => chosen.name))
    say(lines.notice(`watching as ${clean(name)} at ${endpoint}, on ${[...names].join(', ')}`))
    for await (const event of events) {
      if (isAll && event.type === 'join') follow(lyre, event.group)
      say(lines.event(event))
      tell(eventToJson(event, Date.now()))
      await output.ready()
    }
    await lyre.stop()
    say(lines.event({ type: 'stop' }))
    tell(eventToJson({ type: 'stop' }, Date.now()))
    return 0
  })
}

/** Joins a group that a peer is in; there is a limit to how many a node can be in. */
function follow(lyre: Lyre, group: string): void {
  try {
    lyre.join(group)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
  }
}

/** Events in columns: when, who, what, and what there is to say about it. */
class Lines {
  readonly #words: Words
  readonly #depth = colourDepth()
  readonly #colours = new Colours(this.#depth)
  #nameWidth = NAME_WIDTH.min

  constructor(lyre: Lyre) {
    this.#words = new Words(lyre, { depth: 1 })
  }

  event(event: LyreEvent | OverrunEvent): string {
    if (event.type === 'overrun') return this.notice(`too much at once: ${event.count} not shown`)
    if (event.type === 'stop') return this.notice('stopped')
    if (event.type === 'warning') {
      return warningLines(event)
        .map((line) => this.notice(line))
        .join('\n')
    }
    const name = clean(this.#words.nameOf(event.peer), NAME_WIDTH.max)
    this.#nameWidth = Math.min(NAME_WIDTH.max, Math.max(this.#nameWidth, textWidth(name)))
    const filled = fill(name, this.#nameWidth)
    const who = this.#colours.paint(event.peer.uuid, filled)
    if (event.type === 'exit') this.#colours.release(event.peer.uuid)
    const detail = this.#detailOf(event)
    return `${this.#time()}  ${who}  ${fill(event.type, TYPE_WIDTH)}  ${detail}`.trimEnd()
  }

  trace({ type, uuid, endpoint, reason }: Trace): string {
    const parts = [uuid?.slice(0, 6), endpoint, reason].filter((part) => part !== undefined)
    const line = `${fill('trace', this.#nameWidth)}  ${type}  ${clean(parts.join('  '))}`
    return `${this.#time()}  ${this.#dim(line)}`
  }

  notice(text: string): string {
    return this.#dim(`${this.#time()}  * ${text}`)
  }

  #detailOf(event: Exclude<LyreEvent, { type: 'stop' | 'warning' }>): string {
    switch (event.type) {
      case 'enter': {
        const { uuid, endpoint, headers } = event.peer
        const told = Object.entries(headers).map(([key, value]) => `${key}=${value}`)
        return clean([endpoint, uuid, ...told].join('  '), DETAIL_LENGTH_MAX)
      }
      case 'exit':
        return `${event.cause}: ${this.#words.causeOf(event.cause)}${event.lost > 0 ? `, lost ${event.lost}` : ''}`
      case 'join':
      case 'leave':
        return clean(event.group)
      case 'shout':
        return `[${clean(event.group)}] ${contentOf(event.content)}`
      case 'whisper':
        return contentOf(event.content)
      case 'evasive':
        return 'nothing heard for a while'
      case 'silent':
        return 'it does not answer'
    }
  }

  #dim(line: string): string {
    return this.#depth === 1 ? line : `\x1b[2m${line}\x1b[22m`
  }

  #time(): string {
    const now = new Date()
    const part = (value: number, digits = 2) => String(value).padStart(digits, '0')
    const clock = [now.getHours(), now.getMinutes(), now.getSeconds()].map((value) => part(value))
    return `${clock.join(':')}.${part(now.getMilliseconds(), 3)}`
  }
}

/** In one line, whatever it is; what is not shown of it is counted. */
function contentOf(content: readonly Uint8Array[]): string {
  const bytes = content.reduce((sum, frame) => sum + frame.length, 0)
  const said = content
    .map((frame) => text(frame.subarray(0, 4 * DETAIL_LENGTH_MAX)).replaceAll(/\r?\n/g, ' ⏎ '))
    .join(' | ')
  const shown = clean(said, DETAIL_LENGTH_MAX)
  return shown.endsWith('…') ? `${shown} (${bytes} octets)` : shown
}
