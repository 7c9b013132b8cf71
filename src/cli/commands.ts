// What can be typed in a chat: the commands, whom a whisper is for, and how Tab goes on.

import type { Peer } from '../index.ts'
import type { Completion } from './editor.ts'

/** All commands: what follows each, and what it does. */
export const COMMANDS = {
  join: ['GROUP', 'go to the room of a group: join it, or come back to it'],
  leave: ['[GROUP]', 'leave this room, or another one'],
  next: ['', 'go to the next room with something unread; also Alt-A'],
  rooms: ['', 'your rooms, who is there, what is unread; Alt-1 goes to the first'],
  whisper: ['NAME TEXT', 'tell one peer alone, by its name, NAME#DIGITS or uuid'],
  reply: ['TEXT', 'whisper to who whispered to you last'],
  peers: ['', 'who is there, in which state, in which groups'],
  history: ['[N]', 'the last lines of this room, with their times'],
  nick: ['NAME', 'leave, and come again as a new node with another name'],
  help: ['', 'this'],
  quit: ['', 'leave; so do Ctrl-D, and Ctrl-C where nothing is typed'],
} as const satisfies Readonly<Record<string, readonly [string, string]>>

export type CommandName = keyof typeof COMMANDS

const NAMES = Object.keys(COMMANDS) as CommandName[]
const SHORT: Readonly<Record<string, CommandName>> = { r: 'reply', n: 'next', msg: 'whisper' }
const USAGE_WIDTH = 20

/** What /help says. */
export const HELP = [
  ...NAMES.map((name) => {
    const [rest, meaning] = COMMANDS[name]
    return `${`/${name} ${rest}`.padEnd(USAGE_WIDTH)} ${meaning}`
  }),
  `${'//TEXT'.padEnd(USAGE_WIDTH)} a line that begins with a slash`,
  'Commands can be cut short (/j, /w, /q), and /msg is /whisper.',
  'Tab completes commands, names and groups.',
  'What is pasted is one message; Alt-Enter begins a new line of one.',
].join('\n')

/** A line that begins with a slash: which commands it can mean, and what follows. */
export function parseCommand(line: string): {
  readonly verb: string
  readonly names: readonly CommandName[]
  readonly rest: string
} {
  const [, typed = '', rest = ''] = /^\/(\S*)\s*(.*)$/s.exec(line.trimEnd()) ?? []
  const verb = typed.toLowerCase()
  const exact = NAMES.find((name) => name === verb) ?? SHORT[verb]
  if (exact !== undefined) return { verb, names: [exact], rest }
  return { verb, names: verb === '' ? [] : NAMES.filter((name) => name.startsWith(verb)), rest }
}

/** How peers can be called in what is typed. */
export interface Addressee {
  readonly peer: Peer
  /** As it is shown: its name, or with some digits of its uuid. */
  readonly handle: string
}

/** Whom a line is for, and what is left of it. Several have the name, when there is more than one. */
export function findAddressees(
  line: string,
  addressees: readonly Addressee[],
): { readonly peers: readonly Peer[]; readonly text: string } {
  let peers: Peer[] = []
  let longest = ''
  for (const { peer, handle } of addressees) {
    for (const call of new Set([peer.uuid, peer.name, handle])) {
      const called = call !== '' && line.startsWith(call) && /^(\s|$)/.test(line.slice(call.length))
      if (!called || call.length < longest.length) continue
      if (call.length > longest.length) peers = []
      longest = call
      peers.push(peer)
    }
  }
  return { peers, text: peers.length === 0 ? line : line.slice(longest.length).trimStart() }
}

/** What there is that Tab could mean. */
export interface Vocabulary {
  readonly addressees: readonly Addressee[]
  readonly ownGroups: readonly string[]
  readonly groups: readonly string[]
}

/** How what stands before the cursor can go on. Capital letters do not matter. */
export function completeLine(before: string, vocabulary: Vocabulary): Completion {
  const { addressees, ownGroups, groups } = vocabulary
  if (/^\/\S*$/.test(before)) {
    return among(before, 0, { words: NAMES.map((name) => `/${name}`), suffix: ' ' })
  }
  const command = before.startsWith('//') ? undefined : parseCommand(before)
  const start = /^\S+\s+/.exec(before)?.[0].length ?? 0
  const [name] = command?.names.length === 1 ? command.names : []
  if (name === 'join' || name === 'leave') {
    const words = name === 'join' ? [...new Set([...ownGroups, ...groups])] : ownGroups
    return among(before, start, { words, suffix: '' })
  }
  if (before.startsWith('/') && name === 'whisper') {
    const handles = addressees.map(({ handle }) => handle)
    const named = among(before, start, { words: handles, suffix: ' ' })
    if (named.candidates.length > 0) return named
    const uuids = addressees.map(({ peer }) => peer.uuid)
    const identified = among(before, start, { words: uuids, suffix: ' ' })
    if (identified.candidates.length > 0) return identified
  }
  const wordStart = /\S+$/.exec(before)?.index
  if (wordStart === undefined) return { start: before.length, candidates: [], suffix: '' }
  const words = addressees.map(({ handle }) => handle)
  return among(before, wordStart, { words, suffix: wordStart === 0 ? ': ' : ' ' })
}

function among(
  before: string,
  start: number,
  { words, suffix }: { readonly words: readonly string[]; readonly suffix: string },
): Completion {
  const part = before.slice(start).toLowerCase()
  const candidates = words.filter((word) => word.toLowerCase().startsWith(part)).sort()
  return { start, candidates, suffix }
}
