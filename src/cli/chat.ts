// `lyre chat`: lines go to a group, and what the others do and say comes back as lines.

import { createLyre, type Lyre, type Peer, UsageError } from '../index.ts'
import { type NodeSettings, nodeOptions } from './settings.ts'
import { isColoured, Terminal } from './terminal.ts'
import { clean, Words } from './words.ts'

const HELP = `/join GROUP          join a group; your lines go there from now on
/leave GROUP         leave a group
/whisper NAME TEXT   tell one peer alone, by its name or uuid
/peers               who is there
/quit                leave; so do Ctrl-C and Ctrl-D
//TEXT               a line that begins with a slash`

/** The verb: a node of its own, for as long as the conversation lasts. */
export async function chat(settings: NodeSettings, signal: AbortSignal): Promise<number> {
  const lyre = createLyre(nodeOptions(settings))
  return converse(lyre, { groups: settings.group ?? ['CHAT'], signal })
}

/**
 * Starts a node, lets a person talk with it, and stops it.
 * @param options `groups` are joined, and lines go to the first; `intro` is printed once the node has started; `leave` is
 * what is done at the end, to stop the node unless it says otherwise.
 * @returns the exit code.
 */
export async function converse(
  lyre: Lyre,
  options: {
    readonly groups: readonly string[]
    readonly signal: AbortSignal
    readonly intro?: string
    readonly leave?: () => Promise<void>
  },
): Promise<number> {
  const { groups, signal, intro, leave = () => lyre.stop() } = options
  for (const group of groups) lyre.join(group)
  const events = lyre.events()
  await lyre.start()
  const left = new AbortController()
  const ended = new Promise<void>((resolve) => {
    left.signal.addEventListener('abort', () => resolve())
  })
  const end = () => left.abort()
  const line = (line: string) => {
    if (!left.signal.aborted) room.handleLine(line)
  }
  const terminal = new Terminal({ line, end })
  const room = new Room(lyre, { terminal, group: groups[0], end })
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  if (intro !== undefined) terminal.print(intro)
  room.greet()
  const shown = room.show(events)
  await ended
  try {
    terminal.close()
  } finally {
    // Whatever becomes of the terminal, the others are told that we leave.
    await leave()
  }
  await shown
  return terminal.broken ? 1 : 0
}

/** What can be typed, and what is shown; lines go to one group at a time. */
class Room {
  readonly #lyre: Lyre
  readonly #terminal: Terminal
  readonly #words: Words
  readonly #end: () => void
  #group: string | undefined

  constructor(
    lyre: Lyre,
    options: {
      readonly terminal: Terminal
      readonly group: string | undefined
      readonly end: () => void
    },
  ) {
    this.#lyre = lyre
    this.#terminal = options.terminal
    this.#group = options.group
    this.#end = options.end
    this.#words = new Words(lyre, { coloured: isColoured() })
  }

  greet(): void {
    const { name, endpoint } = this.#lyre
    const { interface: choice, beacon } = this.#lyre.diagnostics()
    const where = `${choice?.chosen.name} (${choice?.chosen.reason})`
    this.#notice(`you are ${clean(name)} at ${endpoint}, beacon port ${beacon?.port}, on ${where}`)
    this.#notice(
      `you are in ${this.#lyre
        .ownGroups()
        .map((group) => clean(group))
        .join(', ')}; /help tells more`,
    )
    this.#prompt()
  }

  /** Shows all events until the last; no faster than they are read. */
  async show(events: ReturnType<Lyre['events']>): Promise<void> {
    for await (const event of events) {
      this.#terminal.print(this.#words.describe(event))
      await this.#terminal.ready()
    }
  }

  handleLine(line: string): void {
    try {
      if (line.startsWith('//')) this.#shout(line.slice(1))
      else if (line.startsWith('/')) this.#command(line)
      else if (line.trim() !== '') this.#shout(line)
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      this.#notice(error.message)
    }
  }

  #command(line: string): void {
    const [, verb = '', rest = ''] = /^\/(\S*)\s*(.*?)\s*$/.exec(line) ?? []
    if (verb === 'join') this.#join(rest)
    else if (verb === 'leave') this.#leave(rest)
    else if (verb === 'whisper') this.#whisper(rest)
    else if (verb === 'peers') this.#peers()
    else if (verb === 'quit') this.#end()
    else if (verb === 'help') this.#terminal.print(HELP)
    else this.#notice(`there is no /${clean(verb)}; /help tells what there is`)
  }

  #shout(line: string): void {
    if (this.#group === undefined) {
      this.#notice('you are in no group: /join one')
    } else if (this.#lyre.shout(this.#group, line) === 0) {
      this.#notice(`nobody else is in ${clean(this.#group)}`)
    }
  }

  #join(group: string): void {
    const joined = this.#lyre.join(group)
    this.#group = group
    this.#prompt()
    const others = this.#lyre.peersInGroup(group).length
    const verb = joined ? 'you join' : 'you are back in'
    this.#notice(`${verb} ${clean(group)}; others there: ${others}`)
  }

  #leave(group: string): void {
    if (!this.#lyre.leave(group)) {
      this.#notice(`you are not in ${clean(group)}`)
      return
    }
    if (this.#group === group) this.#group = this.#lyre.ownGroups().at(-1)
    this.#prompt()
    const next = this.#group === undefined ? 'no group' : clean(this.#group)
    this.#notice(`you leave ${clean(group)}; your lines go to ${next}`)
  }

  #whisper(rest: string): void {
    const [peer, ...others] = findPeers(this.#lyre, rest)
    if (peer === undefined) {
      this.#notice('nobody of that name is there: /whisper NAME TEXT, and /peers tells the names')
    } else if (others.length > 0) {
      const uuids = [peer, ...others].map(({ uuid }) => uuid).join(' ')
      this.#notice(`several have that name, take one of their uuids: ${uuids}`)
    } else {
      const { uuid, name } = peer
      const text = rest.slice(rest.startsWith(uuid) ? uuid.length : name.length).trimStart()
      if (text === '') this.#notice('tell it what? /whisper NAME TEXT')
      else if (this.#lyre.whisper(peer, text) === 0) this.#notice('it has just left')
    }
  }

  #peers(): void {
    const peers = this.#lyre.peers()
    if (peers.length === 0) this.#notice('nobody else is there')
    for (const peer of peers) {
      const groups = peer.groups.map((group) => clean(group)).join(', ') || 'no group'
      const name = this.#words.nameOf(peer)
      this.#notice(`${name}: ${peer.state}, in ${groups}, ${clean(peer.endpoint)}, ${peer.uuid}`)
    }
  }

  #notice(line: string): void {
    this.#terminal.print(this.#words.notice(line))
  }

  #prompt(): void {
    this.#terminal.prompt(this.#words.prompt(this.#group))
  }
}

/** The peers whom `line` begins with: by uuid, or by the longest name that fits, which may have spaces. */
function findPeers(lyre: Lyre, line: string): Peer[] {
  const [first = ''] = line.split(' ', 1)
  const byUuid = lyre.peer(first)
  if (byUuid !== undefined) return [byUuid]
  const named = lyre.peers().filter(({ name }) => name !== '' && `${line} `.startsWith(`${name} `))
  const longest = Math.max(...named.map(({ name }) => name.length))
  return named.filter(({ name }) => name.length === longest)
}
