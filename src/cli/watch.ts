// `lyre watch`: all that happens on the network, as it happens, a line each. To hear what is said in a group it joins it: each
// group that somebody is in, unless it is told which.

import { type Lyre, type LyreEvent, type OverrunEvent, type Trace, text } from '../index.ts'
import { eventToJson } from './json.ts'
import type { NodeSettings } from './settings.ts'
import { Sheet } from './sheet.ts'
import { fill } from './table.ts'
import { follow, visit } from './visit.ts'
import { clean, Words, warningLines } from './words.ts'

/** What `lyre watch` can be told. */
export interface WatchSettings extends NodeSettings {
  /** Also what the node dials, refuses and loses. */
  readonly trace?: true
}

/** When nobody has come so long, it is said why, as far as it is known: whoever watches waits for nothing else. */
const ALONE_MS = 5_000
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

/** Events in columns: when, who, what, and what there is to say about it. */
class Lines {
  readonly #words: Words
  readonly #sheet = new Sheet()

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
    const { uuid } = event.peer
    const who = { id: uuid, name: this.#words.nameOf(event.peer) }
    const what = `${fill(event.type, TYPE_WIDTH)}  ${this.#detailOf(event)}`
    const row = this.#sheet.row(who, what, Date.now())
    if (event.type === 'exit') this.#sheet.release(uuid)
    return row
  }

  trace({ type, uuid, endpoint, reason }: Trace): string {
    const parts = [uuid?.slice(0, 6), endpoint, reason].filter((part) => part !== undefined)
    return this.#sheet.aside('trace', `${type}  ${clean(parts.join('  '))}`, Date.now())
  }

  notice(text: string): string {
    return this.#sheet.notice(text, Date.now())
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
