// The conversation of the demonstration, for when nobody types: it says its lines, shows what arrives, and knows what has
// to. What is shown as heard came out of an event, always; what is missing is named.

import { setTimeout as pause } from 'node:timers/promises'
import { type Lyre, type LyreEvent, type OverrunEvent, text } from '../index.ts'
import { COMPANIONS, STAGE } from './companion.ts'
import { eventToJson, formatLine, type JsonLine } from './json.ts'
import { Output } from './output.ts'
import { colourDepth } from './terminal.ts'
import type { Troupe } from './troupe.ts'
import { hintsOf, Words } from './words.ts'

/** How long it may take; with the leaving of all it is to end within 15 s. */
const CONVERSATION_TIMEOUT_MS = 11_000
/** Before each line of ours, so that a person can follow. */
const PAUSE_MS = 700

interface Stage {
  readonly lyre: Lyre
  readonly troupe: Troupe
  readonly port: number
  readonly signal: AbortSignal
  /** For a program: events and a verdict as lines of JSON, and no words. */
  readonly json: boolean
}

/** @returns 0 when every line arrived, else 1. */
export async function perform({ lyre, troupe, port, signal, json }: Stage): Promise<number> {
  const stopped = new AbortController()
  const stop = (reason: string) => stopped.abort(new Error(reason))
  signal.addEventListener('abort', () => stop('it was interrupted'))
  troupe.watch(stop)
  const output = new Output(process.stdout, () => stop('nobody reads what is written here'))
  const words = new Words(lyre, { depth: colourDepth() })
  const say = (line: string) => json || output.write(`${line}\n`)
  const tell = (line: JsonLine) => json && output.write(formatLine(line))
  const script = new Script(lyre, { say, signal: stopped.signal })
  say(words.notice(`three nodes on this machine, beacon port ${port}:`))
  say(words.notice(`${lyre.name} (process ${process.pid}), ${troupe.names}`))
  lyre.join(STAGE)
  const shown = show(lyre, (event) => {
    say(words.describe(event))
    tell(eventToJson(event, Date.now()))
    script.handleEvent(event)
  })
  await lyre.start()
  const timer = setTimeout(() => stop('it took too long'), CONVERSATION_TIMEOUT_MS)
  const failure = await script.play()
  clearTimeout(timer)
  const diagnostics = lyre.diagnostics()
  await troupe.end()
  await lyre.stop()
  await shown
  const { missing, count } = script
  const passed = failure === undefined && missing.length === 0 && !output.broken
  const why = [failure, troupe.errors, ...hintsOf(diagnostics)].filter((line) => line)
  tell({ reply: 'demo', passed, lines: count, missing, ...(!passed && { why }) })
  if (passed) {
    say(words.notice(`all ${count} lines of this conversation arrived`))
    return 0
  }
  const lines = missing.map((line) => `missing: ${line}`)
  for (const line of [...lines, ...why]) say(words.notice(String(line)))
  return 1
}

async function show(lyre: Lyre, handle: (event: Event) => void): Promise<void> {
  for await (const event of lyre.events()) handle(event)
}

type Event = LyreEvent | OverrunEvent

/** A line that has to arrive. */
interface Line {
  readonly title: string
  readonly matches: (event: Event) => boolean
}

/** What we say, to one companion or to all, and what has to arrive before we go on. */
interface Act {
  readonly to?: string
  readonly text?: string
  readonly lines: readonly Line[]
}

function actsFor(guest: string): Act[] {
  const [leader, singer] = COMPANIONS
  const greeting = 'good evening, everybody'
  return [
    {
      lines: [
        ...COMPANIONS.flatMap((name) => [
          line(`${name} enters`, (event) => isBy(event, 'enter', name)),
          line(`${name} joins`, (event) => isBy(event, 'join', name) && event.group === STAGE),
          line(`${name} welcomes us`, shouts(name, `welcome, ${guest}`)),
        ]),
        line(`${leader} asks ${singer}`, shouts(leader, singer)),
        line(`${singer} answers ${leader}`, shouts(singer, leader)),
      ],
    },
    {
      text: greeting,
      lines: COMPANIONS.map((name) => line(`${name} answers our shout`, shouts(name, greeting))),
    },
    ...COMPANIONS.map((name) => {
      const secret = `a secret for ${name}`
      return {
        to: name,
        text: secret,
        lines: [line(`${name} answers our whisper`, whispers(name, secret))],
      }
    }),
    ...COMPANIONS.map((name) => ({
      to: name,
      text: 'goodbye',
      lines: [
        line(`${name} says farewell`, whispers(name, 'farewell')),
        line(`${name} leaves`, (event) => isBy(event, 'leave', name) && event.group === STAGE),
        line(`${name} exits`, (event) => isBy(event, 'exit', name) && event.cause === 'goodbye'),
      ],
    })),
  ]
}

class Script {
  readonly #lyre: Lyre
  readonly #say: (line: string) => void
  readonly #signal: AbortSignal
  readonly #acts: readonly Act[]
  readonly #missing: Set<Line>
  #arrived: () => void = () => {}

  constructor(
    lyre: Lyre,
    options: { readonly say: (line: string) => void; readonly signal: AbortSignal },
  ) {
    this.#lyre = lyre
    this.#say = options.say
    this.#signal = options.signal
    this.#acts = actsFor(lyre.name)
    this.#missing = new Set(this.#acts.flatMap(({ lines }) => lines))
    this.#signal.addEventListener('abort', () => this.#arrived())
  }

  /** How many lines there are. */
  get count(): number {
    return this.#acts.flatMap(({ lines }) => lines).length
  }

  /** What has not arrived. */
  get missing(): string[] {
    return [...this.#missing].map(({ title }) => title)
  }

  handleEvent(event: Event): void {
    for (const line of this.#missing) {
      if (line.matches(event)) this.#missing.delete(line)
    }
    this.#arrived()
  }

  /** @returns why it ended before its end, if it did. */
  async play(): Promise<string | undefined> {
    try {
      for (const act of this.#acts) {
        await this.#speak(act)
        await this.#arrival(act)
      }
      return undefined
    } catch (error) {
      // A delay that is aborted has a reason of its own, which is not the one that we want.
      const reason: unknown = this.#signal.aborted ? this.#signal.reason : error
      return reason instanceof Error ? reason.message : String(reason)
    }
  }

  async #speak({ to, text }: Act): Promise<void> {
    if (text === undefined) return
    await pause(PAUSE_MS, undefined, { signal: this.#signal })
    const name = this.#lyre.name
    this.#say(
      to === undefined ? `[${STAGE}] ${name}: ${text}` : `(whisper to ${to}) ${name}: ${text}`,
    )
    const [peer] = to === undefined ? [] : this.#lyre.peersByName(to)
    if (to === undefined) this.#lyre.shout(STAGE, text)
    else if (peer !== undefined) this.#lyre.whisper(peer, text)
  }

  /** Waits until all lines of an act are there. */
  async #arrival({ lines }: Act): Promise<void> {
    while (lines.some((line) => this.#missing.has(line))) {
      this.#signal.throwIfAborted()
      await new Promise<void>((resolve) => {
        this.#arrived = resolve
      })
    }
  }
}

function line(title: string, matches: Line['matches']): Line {
  return { title, matches }
}

function isBy<Type extends Event['type']>(
  event: Event,
  type: Type,
  name: string,
): event is Event & { readonly type: Type } {
  return event.type === type && 'peer' in event && event.peer.name === name
}

function shouts(name: string, part: string): Line['matches'] {
  return (event) =>
    isBy(event, 'shout', name) && event.group === STAGE && text(event.content).includes(part)
}

function whispers(name: string, part: string): Line['matches'] {
  return (event) => isBy(event, 'whisper', name) && text(event.content).includes(part)
}
