// Events in words, for a person to read. Whatever a peer sent is shown without control characters: a name or a message must
// not move the cursor, change the colours or forge a line of somebody else.

import {
  causesOf,
  type Evidence,
  type ExitCause,
  type Finding,
  type Lyre,
  type LyreEvent,
  type OverrunEvent,
  type Peer,
  text,
  type WarningEvent,
} from '../index.ts'
import { type ColourDepth, Colours } from './colours.ts'
import type { RoomSummary } from './rooms.ts'
import type { Prompt } from './terminal.ts'

/** How long a name and a message can be before they are cut; a person reads no more at once. */
const NAME_LENGTH_MAX = 40
const MESSAGE_LENGTH_MAX = 10_000
/** How many rooms with something unread are in the prompt, and how much of their names. */
const PROMPT_ROOMS_MAX = 3
const PROMPT_NAME_LENGTH_MAX = 20
/** Of so many names it is remembered how they look. */
const LOOKS_MAX = 4_096

const CAUSES: Readonly<Record<ExitCause, string>> = {
  goodbye: 'it left',
  expired: 'nothing was heard of it for too long',
  restart: 'it was started again',
  link: 'the link to it broke',
  sequence: 'messages of it were lost',
  limit: 'it did not take what we sent',
  refused: 'it broke the rules',
  stop: 'we stopped',
}

/** What is said to a person about events, peers and the node; all that came from others is cleaned first. */
export class Words {
  readonly #lyre: Lyre
  readonly #coloured: boolean
  readonly #colours: Colours
  readonly #ownName: RegExp
  readonly #looks = new Map<string, string>()

  constructor(lyre: Lyre, { depth }: { readonly depth: ColourDepth }) {
    this.#lyre = lyre
    this.#coloured = depth > 1
    this.#colours = new Colours(depth)
    const escaped = clean(lyre.name).replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
    const pattern = escaped.trim() === '' ? '[]' : escaped
    this.#ownName = new RegExp(`(?<![\\p{L}\\p{N}_])${pattern}(?![\\p{L}\\p{N}_])`, 'giu')
  }

  /** One event as one or more lines. */
  describe(event: LyreEvent | OverrunEvent): string {
    switch (event.type) {
      case 'enter':
        return this.notice(`${this.nameOf(event.peer)} enters, from ${clean(event.peer.endpoint)}`)
      case 'exit':
        this.#colours.release(event.peer.uuid)
        return this.notice(
          `${this.nameOf(event.peer)} exits (${event.cause}): ${CAUSES[event.cause]}${lost(event.lost)}`,
        )
      case 'join':
        return this.notice(`${this.nameOf(event.peer)} joins ${clean(event.group)}`)
      case 'leave':
        return this.notice(`${this.nameOf(event.peer)} leaves ${clean(event.group)}`)
      case 'evasive':
        return this.notice(`${this.nameOf(event.peer)} is evasive: nothing heard for a while`)
      case 'silent':
        return this.notice(`${this.nameOf(event.peer)} is silent: it does not answer`)
      case 'shout':
        return this.#message(event.peer, `[${clean(event.group)}]`, event.content)
      case 'whisper':
        return this.#message(event.peer, '(whisper)', event.content)
      case 'warning':
        return warningLines(event)
          .map((line) => this.notice(line))
          .join('\n')
      case 'overrun':
        return this.notice(`too much at once: ${event.count} events are not shown`)
      case 'stop':
        return this.notice('you have left')
    }
  }

  /** Why a peer has left. */
  causeOf(cause: ExitCause): string {
    return CAUSES[cause]
  }

  /** A line that is not from a peer. */
  notice(line: string): string {
    return this.#dim(`* ${line}`)
  }

  /** What we said ourselves: to a group, or to a peer alone. */
  own(said: string, to: { readonly group: string } | { readonly peer: Peer }): string {
    const where = 'group' in to ? `[${clean(to.group)}]` : `(whisper to ${this.nameOf(to.peer)})`
    const name = clean(this.#lyre.name, NAME_LENGTH_MAX)
    return lines(said)
      .map((line) => `${where} ${this.#bold(name)}: ${clean(line)}`)
      .join('\n')
  }

  /** Whether a message has our name in it, as a word. */
  isNamed(content: readonly Uint8Array[]): boolean {
    return text(content).slice(0, MESSAGE_LENGTH_MAX).search(this.#ownName) >= 0
  }

  /** How a peer is called here: by its name, with some digits of its uuid where the name is not enough. */
  nameOf({ uuid, name }: Peer): string {
    const shown = clean(name, NAME_LENGTH_MAX)
    const looks = this.#looksOf(name)
    const isLike = (other: string) => other === name || this.#looksOf(other) === looks
    // A name that ends as ours do with digits would pass for one of those.
    const unique =
      looks !== '' &&
      !/#[0-9a-f]{6}$/.test(looks) &&
      !isLike(this.#lyre.name) &&
      this.#lyre.peers().every((peer) => peer.uuid === uuid || !isLike(peer.name))
    return unique ? shown : `${shown}#${uuid.slice(0, 6)}`
  }

  /** Lines with the time at which they came, in milliseconds since the epoch; and the day, unless it is that of `now`. */
  timed(shown: string, { at, now }: { readonly at: number; readonly now: number }): string {
    const time = this.#dim(formatTime({ at, now }))
    return lines(shown)
      .map((line) => `${time} ${line}`)
      .join('\n')
  }

  /** What a person sees of a name: two that look the same are told apart, whatever else is in them. */
  #looksOf(name: string): string {
    let looks = this.#looks.get(name)
    if (looks === undefined) {
      const seen = clean(name, NAME_LENGTH_MAX).replaceAll(/\p{Cf}/gu, '')
      looks = seen.replaceAll(/\s+/g, ' ').trim().normalize()
      if (this.#looks.size >= LOOKS_MAX) this.#looks.clear()
      this.#looks.set(name, looks)
    }
    return looks
  }

  /** The prompt for lines that go to `group`, if there is one; with what is unread in other rooms. */
  prompt(group: string | undefined, rooms: readonly RoomSummary[]): Prompt {
    const here = group === undefined ? '(no group)' : clean(group, NAME_LENGTH_MAX)
    const unread = rooms.filter((room) => room.unreadCount > 0)
    const counts = unread.slice(0, PROMPT_ROOMS_MAX).map((room) => ({
      text: `${clean(room.group, PROMPT_NAME_LENGTH_MAX)} ${room.unreadCount}${room.named ? '!' : ''}`,
      named: room.named,
    }))
    const more = unread.length > counts.length ? [`+${unread.length - counts.length}`] : []
    const others = (paint: (text: string) => string) => {
      const texts = counts.map((count) => (count.named ? paint(count.text) : count.text))
      return counts.length === 0 ? '' : ` (${[...texts, ...more].join(', ')})`
    }
    return {
      plain: `${here}${others(String)}> `,
      styled: `${this.#bold(here)}${others((count) => this.#bold(count))}${this.#bold('>')} `,
    }
  }

  /** Every line of a message begins with who said it where. */
  #message(peer: Peer, where: string, content: readonly Uint8Array[]): string {
    const shown = this.#colours.paint(peer.uuid, this.nameOf(peer))
    return lines(text(content).slice(0, MESSAGE_LENGTH_MAX))
      .map((line) => `${where} ${shown}: ${this.#named(clean(line))}`)
      .join('\n')
  }

  #named(line: string): string {
    return line.replaceAll(this.#ownName, (name) => this.#bold(name))
  }

  #bold(part: string): string {
    return this.#coloured ? `\x1b[1m${part}\x1b[22m` : part
  }

  #dim(part: string): string {
    return this.#coloured ? `\x1b[2m${part}\x1b[22m` : part
  }
}

/** Hours and minutes of a time, and its day, unless it is that of `now`; both in milliseconds since the epoch. */
export function formatTime({ at, now }: { readonly at: number; readonly now: number }): string {
  const date = new Date(at)
  const two = (number: number) => String(number).padStart(2, '0')
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`
  if (date.toDateString() === new Date(now).toDateString()) return time
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`
}

/** What a node knows of why it hears nobody, or cannot reach whom it hears, each with its remedy; the likeliest first. */
export function hintsOf(evidence: Evidence): string[] {
  return causesOf(evidence).flatMap((cause) => [clean(cause.seen), remedyOf(cause)])
}

/** A warning with its causes; what its text says already is not said again. */
export function warningLines({ text, causes }: WarningEvent): string[] {
  const [likeliest, ...others] = causes
  const told = [clean(text)]
  if (likeliest !== undefined) told.push(remedyOf(likeliest))
  for (const cause of others) told.push(clean(cause.seen), remedyOf(cause))
  return told
}

function remedyOf({ remedy }: Finding): string {
  return `  ${clean(remedy)}`
}

function lines(text: string): string[] {
  return text.split(/\r?\n/)
}

function lost(count: number): string {
  if (count === 0) return ''
  return `; ${count} ${count === 1 ? 'message' : 'messages'} of ours may not have arrived`
}

/** Without control characters and those that turn the direction of writing, and cut when it is too long. */
export function clean(text: string, lengthMax = MESSAGE_LENGTH_MAX): string {
  const printable = text
    .slice(0, lengthMax + 1)
    .replaceAll('\t', ' ')
    .replaceAll(/[\p{Cc}\u2028\u2029]|(?![\u200c\u200d])\p{Cf}/gu, '')
  return printable.length > lengthMax ? `${printable.slice(0, lengthMax)}…` : printable
}
