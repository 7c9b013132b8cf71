// Events in words, for a person to read. Whatever a peer sent is shown without control characters: a name or a message must
// not move the cursor, change the colours or forge a line of somebody else.

import type { ExitCause, Lyre, LyreEvent, OverrunEvent, Peer } from '../index.ts'
import { text } from '../index.ts'

/** How long a name and a message can be before they are cut; a person reads no more at once. */
const NAME_LENGTH_MAX = 40
const MESSAGE_LENGTH_MAX = 10_000

/** Why a peer is gone. */
export const CAUSES: Readonly<Record<ExitCause, string>> = {
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

  constructor(lyre: Lyre, { coloured }: { readonly coloured: boolean }) {
    this.#lyre = lyre
    this.#coloured = coloured
  }

  /** One event as one or more lines. */
  describe(event: LyreEvent | OverrunEvent): string {
    switch (event.type) {
      case 'enter':
        return this.notice(`${this.nameOf(event.peer)} enters, from ${clean(event.peer.endpoint)}`)
      case 'exit':
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
      case 'overrun':
        return this.notice(`too much at once: ${event.count} events are not shown`)
      case 'stop':
        return this.notice('you have left')
    }
  }

  /** A line that is not from a peer. */
  notice(line: string): string {
    return this.#coloured ? dimmed(`* ${line}`) : `* ${line}`
  }

  /** How a peer is called here: by its name, with some digits of its uuid where the name is not enough. */
  nameOf({ uuid, name }: Peer): string {
    const shown = clean(name, NAME_LENGTH_MAX)
    const unique = shown !== '' && this.#lyre.peersByName(name).every((peer) => peer.uuid === uuid)
    return unique && name !== this.#lyre.name ? shown : `${shown}#${uuid.slice(0, 6)}`
  }

  /** The prompt for lines that go to `group`, if there is one. */
  prompt(group: string | undefined): string {
    const room = group === undefined ? '(no group)' : clean(group, NAME_LENGTH_MAX)
    return this.#coloured ? `\x1b[1m${room}>\x1b[22m ` : `${room}> `
  }

  /** Every line of a message begins with who said it where. */
  #message(peer: Peer, where: string, content: readonly Uint8Array[]): string {
    const name = this.nameOf(peer)
    const shown = this.#coloured ? painted(name, peer) : name
    return text(content)
      .slice(0, MESSAGE_LENGTH_MAX)
      .split(/\r?\n/)
      .map((line) => `${where} ${shown}: ${clean(line)}`)
      .join('\n')
  }
}

/** In the colour of a peer, the same wherever it is shown. */
export function painted(text: string, { uuid }: Peer): string {
  return `\x1b[${31 + (Number(`0x${uuid.slice(0, 4)}`) % 6)}m${text}\x1b[39m`
}

/** What is less worth reading. */
export function dimmed(text: string): string {
  return `\x1b[2m${text}\x1b[22m`
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
    .replaceAll(/[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, '')
  return printable.length > lengthMax ? `${printable.slice(0, lengthMax)}…` : printable
}
