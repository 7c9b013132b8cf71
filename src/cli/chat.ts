// `lyre chat`: lines go to the room where we are, and what the others do and say comes back as lines. On a terminal what is
// said in other rooms waits there; where a program reads, everything is written at once.

import {
  createLyre,
  type Lyre,
  type LyreEvent,
  type OverrunEvent,
  type Peer,
  UsageError,
} from '../index.ts'
import {
  type Addressee,
  type CommandName,
  completeLine,
  findAddressees,
  HELP,
  parseCommand,
} from './commands.ts'
import { serveMetrics } from './exporter.ts'
import { History } from './history.ts'
import { eventToJson, formatLine, type JsonLine } from './json.ts'
import { Presence } from './presence.ts'
import { ROOM_LINES_MAX, Rooms } from './rooms.ts'
import { type NodeSettings, nodeOptions } from './settings.ts'
import { colourDepth, isInteractive, Terminal } from './terminal.ts'
import { clean, formatTime, Words } from './words.ts'

/** How many lines /history shows, unless it is told. */
const HISTORY_LINES = 20
/** How many names are listed of a room. */
const NAMES_MAX = 20
/** How long one who comes again waits for all who were there before it goes on. */
const RETURN_TIMEOUT_MS = 3_000
/** How often we look whether somebody who was quiet is heard again: there is no event for it. */
const PRESENCE_INTERVAL_MS = 1_000

/** What was said on the command line. */
export interface ChatSettings extends NodeSettings {
  /** A file that keeps what is typed. */
  readonly history?: string
  /** Rings for a whisper, and when our name is said. */
  readonly bell?: boolean
}

/** The verb: a node of its own, for as long as the conversation lasts. */
export async function chat(settings: ChatSettings, signal: AbortSignal): Promise<number> {
  let lyre: Lyre
  const create = (name = settings.name) => {
    lyre = createLyre(nodeOptions(name === undefined ? settings : { ...settings, name }))
    return lyre
  }
  await serveMetrics(settings.metrics, () => lyre)
  return converse(create, { ...settings, groups: settings.group ?? ['CHAT'], signal })
}

interface ChatOptions {
  readonly groups: readonly string[]
  readonly signal: AbortSignal
  readonly json?: boolean
  readonly history?: string
  readonly bell?: boolean
  readonly intro?: string
  readonly leave?: () => Promise<void>
}

/**
 * Starts a node, lets a person talk with it, and stops it.
 * @param create makes the node, and another one when the person takes another name.
 * @param options `groups` are joined, and lines go to the first; `intro` is printed once the node has started; `leave` is
 * what is done at the end, before the node is stopped.
 * @returns the exit code.
 * @throws UsageError when the history file cannot be used.
 */
export function converse(create: (name?: string) => Lyre, options: ChatOptions): Promise<number> {
  return new Chat(create, options).run()
}

type Event = LyreEvent | OverrunEvent

/** A conversation from its beginning to its end. */
class Chat {
  readonly #create: (name?: string) => Lyre
  readonly #options: ChatOptions
  readonly #json: boolean
  /** Whether a person reads: then only what is said where we are is shown, with its time. */
  readonly #interactive: boolean
  readonly #rooms = new Rooms()
  readonly #presence = new Presence()
  readonly #history: History | undefined
  readonly #left = new AbortController()
  #terminal: Terminal | undefined
  #lyre: Lyre
  #words: Words
  /** Settled when all events of our node are shown. */
  #shown: Promise<void> = Promise.resolve()
  /** While we come again with another name: settled when that is done. What is entered meanwhile waits. */
  #renaming: Promise<void> | undefined
  #held: string[] = []
  /** Who was there before, by uuid, and in which groups: that they are there again is no news. */
  readonly #returning = new Map<string, Set<string>>()
  #whisperer: string | undefined
  #failure: unknown

  constructor(create: (name?: string) => Lyre, options: ChatOptions) {
    this.#create = create
    this.#options = options
    this.#json = options.json === true
    this.#interactive = !this.#json && isInteractive()
    const { history: path } = options
    if (path !== undefined) this.#history = new History(path, (line) => this.#notice(line))
    this.#lyre = create()
    this.#words = this.#wordsOf(this.#lyre)
  }

  async run(): Promise<number> {
    const { groups, signal, intro, leave } = this.#options
    const end = () => this.#left.abort()
    const ended = new Promise<void>((resolve) => {
      this.#left.signal.addEventListener('abort', () => resolve())
    })
    const events = await this.#start(this.#lyre, groups)
    const terminal = this.#openTerminal()
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
    if (intro !== undefined && !this.#json) terminal.print(intro)
    this.#follow(events)
    this.#greet()
    const looking = setInterval(() => this.#welcomeBack(), PRESENCE_INTERVAL_MS)
    await ended
    clearInterval(looking)
    try {
      terminal.close()
      this.#history?.close()
    } finally {
      // Whatever becomes of the terminal, the others are told that we leave.
      await this.#renaming
      await leave?.()
      await this.#lyre.stop()
    }
    await this.#shown
    if (this.#failure !== undefined) throw this.#failure
    return terminal.broken ? 1 : 0
  }

  #openTerminal(): Terminal {
    const terminal = new Terminal(
      {
        line: (line) => {
          if (this.#left.signal.aborted) return
          if (this.#interactive) this.#history?.add(line)
          if (this.#renaming === undefined) this.#handleLine(line)
          else this.#held.push(line)
        },
        end: () => this.#end(),
        complete: (before) =>
          completeLine(before, {
            addressees: this.#addressees(),
            ownGroups: this.#lyre.ownGroups(),
            groups: this.#lyre.peerGroups(),
          }),
        shortcut: (key) => this.#handleShortcut(key),
        notice: (line) => this.#notice(line),
      },
      { interactive: this.#interactive, history: this.#history?.lines ?? [] },
    )
    this.#terminal = terminal
    return terminal
  }

  /** A person who leaves need not wait; what came before the end of a program's lines is done first. */
  #end(): void {
    const end = () => this.#left.abort()
    if (this.#interactive || this.#renaming === undefined) end()
    else this.#renaming.then(end, end)
  }

  // The node: started once, and another one for each other name.

  async #start(lyre: Lyre, groups: readonly string[]): Promise<AsyncIterableIterator<Event>> {
    for (const group of groups) lyre.join(group)
    const events = lyre.events()
    await lyre.start()
    this.#lyre = lyre
    this.#words = this.#wordsOf(lyre)
    for (const group of groups) this.#rooms.add(group)
    return events
  }

  /** Shows all events until the last; no faster than they are read. */
  #follow(events: AsyncIterableIterator<Event>): void {
    const { uuid, name, endpoint, headers } = this.#lyre
    if (this.#json) this.#write({ event: 'start', time: Date.now(), uuid, name, endpoint, headers })
    this.#prompt()
    const show = async () => {
      for await (const event of events) {
        this.#handleEvent(event)
        await this.#terminal?.ready()
      }
    }
    this.#shown = show()
  }

  #wordsOf(lyre: Lyre): Words {
    return new Words(lyre, { depth: this.#json ? 1 : colourDepth() })
  }

  /** A name is told in HELLO, and stays for the life of a node: another name is another node, in the same rooms. */
  async #rename(next: Lyre): Promise<void> {
    const before = this.#lyre
    const peers = before.peers()
    for (const { uuid, groups } of peers) this.#returning.set(uuid, new Set(groups))
    this.#notice(
      `you leave, and come again as ${clean(next.name)}; until the others have found you, you hear nothing`,
    )
    await before.stop()
    await this.#shown
    if (this.#left.signal.aborted) return
    this.#follow(await this.#start(next, before.ownGroups()))
    const { signal } = this.#left
    // Who is not back by then is named.
    await next
      .waitForPeers(peers.length, { timeoutMs: RETURN_TIMEOUT_MS, signal })
      .catch(() => undefined)
    const missing = peers.filter(({ uuid }) => next.peer(uuid) === undefined)
    const names = missing.map((peer) => this.#words.nameOf(peer)).join(', ')
    const others = missing.length === 0 ? 'all who were there have found you' : `not yet: ${names}`
    this.#notice(`you are ${clean(next.name)} now; ${others}`)
    for (const { uuid } of missing) this.#returning.delete(uuid)
  }

  #nick(name: string): void {
    if (name === '') {
      this.#notice(`you are ${clean(this.#lyre.name)}; /nick NAME takes another name`)
      return
    }
    if (name === this.#lyre.name) {
      this.#notice(`you are ${clean(name)} already`)
      return
    }
    const next = this.#create(name)
    const renaming = this.#rename(next).catch((error: unknown) => {
      this.#failure = error
      this.#left.abort()
    })
    this.#renaming = renaming.then(() => {
      this.#renaming = undefined
      const held = this.#held
      this.#held = []
      if (this.#left.signal.aborted) {
        if (held.length > 0) this.#notice(`not sent any more: ${held.length} of what you entered`)
        return
      }
      // One of them may be another /nick.
      for (const line of held) {
        if (this.#renaming === undefined) this.#handleLine(line)
        else this.#held.push(line)
      }
    })
  }

  // What happens.

  #handleEvent(event: Event): void {
    const now = Date.now()
    this.#presence.handleEvent(event, now)
    this.#welcomeBack()
    if (event.type === 'whisper') this.#whisperer = event.peer.uuid
    if (this.#json) {
      this.#write(eventToJson(event, now))
    } else if (this.#isExpected(event)) {
      // Colours are given back all the same.
      this.#words.describe(event)
      return
    }
    const group = 'group' in event ? event.group : undefined
    const message = event.type === 'shout' || event.type === 'whisper'
    const named = message && this.#words.isNamed(event.content)
    this.#post(this.#words.describe(event), { group, message, named })
    if (this.#options.bell === true && (named || event.type === 'whisper')) this.#terminal?.ring()
  }

  /** What is no news: that we stop, unless something is lost by it, and that others are there when we come again. */
  #isExpected(event: Event): boolean {
    if (event.type === 'exit') {
      // Should it come again, that is news.
      if (event.cause !== 'stop') this.#returning.delete(event.peer.uuid)
      return event.cause === 'stop' && event.lost === 0
    }
    if (event.type === 'stop') return this.#renaming !== undefined && !this.#left.signal.aborted
    if (event.type === 'enter') return this.#returning.has(event.peer.uuid)
    if (event.type !== 'join') return false
    const groups = this.#returning.get(event.peer.uuid)
    const expected = groups?.delete(event.group) === true
    if (groups?.size === 0) this.#returning.delete(event.peer.uuid)
    return expected
  }

  /** Keeps what belongs to a room, or to where we are, and shows it there. */
  #post(
    text: string,
    about: {
      readonly group?: string | undefined
      readonly message?: boolean
      readonly named?: boolean
    } = {},
  ): void {
    const line = { at: Date.now(), text }
    const group = about.group ?? this.#rooms.current
    const shown = !this.#interactive || about.group === undefined
    const here = group === undefined || this.#rooms.keep(group, line, { ...about, shown })
    if (this.#json) return
    if (here) this.#print(text, line.at)
    else this.#prompt()
  }

  #welcomeBack(): void {
    for (const peer of this.#presence.takeReturned(this.#lyre)) {
      const back = `${this.#words.nameOf(peer)} is back`
      if (this.#json) this.#notice(back)
      else this.#post(this.#words.notice(back))
    }
  }

  // What is entered.

  #handleLine(line: string): void {
    try {
      if (line.startsWith('//')) this.#shout(line.slice(1))
      else if (line.startsWith('/')) this.#command(line)
      else if (line.trim() !== '') this.#shout(line)
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      this.#notice(error.message)
    }
  }

  #handleShortcut(key: string): void {
    const room = this.#rooms.list()[(Number(key) + 9) % 10]
    if (key === 'a') this.#next()
    else if (room !== undefined) this.#go(room.group)
  }

  #command(line: string): void {
    const { verb, names, rest } = parseCommand(line)
    const [name, ...others] = names
    if (name === undefined) {
      this.#notice(`there is no /${clean(verb)}; /help tells what there is`)
    } else if (others.length > 0) {
      this.#notice(`/${clean(verb)} can be ${names.map((each) => `/${each}`).join(' or ')}`)
    } else {
      this.#execute(name, rest)
    }
  }

  #execute(name: CommandName, rest: string): void {
    const acts: Readonly<Record<CommandName, () => void>> = {
      join: () => this.#join(rest),
      leave: () => this.#leave(rest),
      next: () => this.#next(),
      rooms: () => this.#listRooms(),
      whisper: () => this.#whisperTo(rest),
      reply: () => this.#reply(rest),
      peers: () => this.#listPeers(),
      history: () => this.#showHistory(rest),
      nick: () => this.#nick(rest),
      help: () => (this.#json ? this.#notice(HELP) : this.#terminal?.print(HELP)),
      quit: () => this.#left.abort(),
    }
    acts[name]()
  }

  #shout(said: string): void {
    const group = this.#rooms.current
    if (group === undefined) {
      this.#notice('you are in no group: /join one')
      return
    }
    const count = this.#lyre.shout(group, said)
    this.#echo(this.#words.own(said, { group }), group)
    if (count === 0) this.#notice(`nobody else is in ${clean(group)}`)
  }

  #join(group: string): void {
    if (!this.#lyre.join(group)) {
      this.#go(group)
      return
    }
    this.#rooms.add(group)
    this.#rooms.enter(group)
    this.#prompt()
    this.#notice(`you join ${clean(group)}; others there: ${this.#othersIn(group)}`)
  }

  /** Goes to a room that there is, and shows what was missed there. */
  #go(group: string): void {
    const { lines, droppedCount } = this.#rooms.enter(group)
    this.#prompt()
    this.#notice(`you are back in ${clean(group)}; others there: ${this.#othersIn(group)}`)
    if (droppedCount > 0) this.#notice(`${droppedCount} lines before these are not kept`)
    for (const { at, text } of lines) this.#print(text, at)
  }

  #next(): void {
    const group = this.#rooms.nextUnread()
    if (group === undefined) this.#notice('there is nothing unread')
    else this.#go(group)
  }

  #leave(rest: string): void {
    const group = rest === '' ? (this.#rooms.current ?? '') : rest
    if (!this.#lyre.leave(group)) {
      this.#notice(`you are not in ${clean(group)}`)
      return
    }
    const before = this.#rooms.current
    this.#rooms.remove(group)
    const { current } = this.#rooms
    this.#notice(
      `you leave ${clean(group)}; your lines go to ${current === undefined ? 'no group' : clean(current)}`,
    )
    if (current !== undefined && current !== before && this.#interactive) this.#go(current)
    this.#prompt()
  }

  #whisperTo(rest: string): void {
    const { peers, text } = findAddressees(rest, this.#addressees())
    const [peer, ...others] = peers
    if (peer === undefined) {
      const gone = this.#presence.gone(rest)
      if (gone === undefined) {
        this.#notice('nobody of that name is there: /whisper NAME TEXT, and /peers tells the names')
      } else {
        const time = formatTime({ at: gone.at, now: Date.now() })
        this.#notice(`${clean(gone.name)} has gone, at ${time}: ${this.#words.causeOf(gone.cause)}`)
      }
    } else if (others.length > 0) {
      const names = peers.map((each) => this.#words.nameOf(each)).join(' ')
      this.#notice(`several have that name, take one of these: ${names}`)
    } else if (text === '') {
      this.#notice('tell it what? /whisper NAME TEXT')
    } else {
      this.#whisper(peer, text)
    }
  }

  #reply(text: string): void {
    const peer = this.#lyre.peer(this.#whisperer ?? '')
    if (this.#whisperer === undefined) this.#notice('nobody has whispered to you yet')
    else if (peer === undefined) this.#notice('who whispered to you last has gone')
    else if (text === '') this.#notice(`tell ${this.#words.nameOf(peer)} what? /reply TEXT`)
    else this.#whisper(peer, text)
  }

  #whisper(peer: Peer, text: string): void {
    const name = this.#words.nameOf(peer)
    if (this.#lyre.whisper(peer, text) === 0) {
      this.#notice(`${name} has just left: it was not told`)
      return
    }
    this.#echo(this.#words.own(text, { peer }))
    if (peer.state !== 'entered') {
      this.#notice(`${name} is ${peer.state}: it may not hear this, or hear it later`)
    }
  }

  #listPeers(): void {
    const peers = this.#lyre.peers()
    if (peers.length === 0) this.#notice('nobody else is there')
    for (const peer of peers) {
      const groups = peer.groups.map((group) => clean(group)).join(', ') || 'no group'
      const since = this.#presence.quietSince(peer.uuid)
      const quiet =
        since === undefined ? '' : `, not heard since ${formatTime({ at: since, now: Date.now() })}`
      const name = this.#words.nameOf(peer)
      const where = clean(peer.endpoint)
      this.#notice(`${name}: ${peer.state}${quiet}, in ${groups}, ${where}, ${peer.uuid}`)
    }
  }

  #listRooms(): void {
    const rooms = this.#rooms.list()
    if (rooms.length === 0) this.#notice('you are in no group: /join one')
    for (const [index, { group, unreadCount, named }] of rooms.entries()) {
      const peers = this.#lyre.peersInGroup(group)
      const names = peers.slice(0, NAMES_MAX).map((peer) => this.#words.nameOf(peer))
      if (peers.length > names.length) names.push(`${peers.length - names.length} more`)
      const here = group === this.#rooms.current ? ' (here)' : ''
      const unread =
        unreadCount === 0 ? '' : `, ${unreadCount} unread${named ? ', you are named' : ''}`
      const who = names.length === 0 ? 'nobody else' : names.join(', ')
      this.#notice(`${index + 1} ${clean(group)}${here}${unread}: ${who}`)
    }
    const others = this.#lyre.peerGroups().filter((group) => !this.#rooms.has(group))
    const shown = others.slice(0, NAMES_MAX).map((group) => clean(group))
    if (others.length > shown.length) shown.push(`${others.length - shown.length} more`)
    if (others.length > 0) this.#notice(`others are in ${shown.join(', ')}`)
  }

  #showHistory(rest: string): void {
    const count = rest === '' ? HISTORY_LINES : /^\d{1,6}$/.test(rest) ? Number(rest) : 0
    const group = this.#rooms.current
    if (count === 0) {
      this.#notice(`/history N shows N lines, up to ${ROOM_LINES_MAX}`)
      return
    }
    const lines = group === undefined ? [] : this.#rooms.newest(group, count)
    if (lines.length === 0) this.#notice('nothing was said here yet')
    const now = Date.now()
    for (const { at, text } of lines) {
      if (this.#json) this.#notice(`${formatTime({ at, now })} ${text}`)
      else this.#terminal?.print(this.#words.timed(text, { at, now }))
    }
  }

  // What is shown.

  #greet(): void {
    const { name, endpoint } = this.#lyre
    const { interface: choice, beacon } = this.#lyre.diagnostics()
    const where = choice?.chosen.map(({ name, reason }) => `${name} (${reason})`).join(', ')
    this.#notice(`you are ${clean(name)} at ${endpoint}, beacon port ${beacon?.port}, on ${where}`)
    const groups = this.#lyre.ownGroups().map((group) => clean(group))
    this.#notice(`you are in ${groups.join(', ')}; /help tells more`)
  }

  /** What we said ourselves: a person reads it where it belongs, a program knows it. */
  #echo(text: string, group = this.#rooms.current): void {
    const at = Date.now()
    if (group !== undefined) this.#rooms.keep(group, { at, text }, { shown: true })
    if (this.#interactive) this.#print(text, at)
  }

  #notice(line: string): void {
    if (this.#json) this.#write({ event: 'notice', time: Date.now(), text: line })
    else this.#print(this.#words.notice(line), Date.now())
  }

  #print(text: string, at: number): void {
    const shown = this.#interactive ? this.#words.timed(text, { at, now: Date.now() }) : text
    this.#terminal?.print(shown)
  }

  #write(line: JsonLine): void {
    this.#terminal?.print(formatLine(line).trimEnd())
  }

  #prompt(): void {
    const { current } = this.#rooms
    this.#terminal?.prompt(this.#words.prompt(current, this.#rooms.list()))
  }

  #addressees(): Addressee[] {
    return this.#lyre.peers().map((peer) => ({ peer, handle: this.#words.nameOf(peer) }))
  }

  #othersIn(group: string): number {
    return this.#lyre.peersInGroup(group).length
  }
}
