/**
 * Hears all that one node tells, and holds it against what docs/guide/events.md promises: the grammar of a contact, and
 * that contents come in order, each once, without a gap. It numbers what its own node says, so that others can do the same.
 */

import { type Lyre, type LyreEvent, type Peer, text } from 'lyre'

/** The group that every node joins before it starts and never leaves: shouts in it have no gap. */
export const EVERYBODY = 'EVERYBODY'

/** What is known of a peer from its `enter` to its `exit`. */
type Contact = {
  readonly name: string
  readonly groups: Set<string>
  /** How the whispers that we send in this contact are told from those of earlier ones. */
  readonly index: number
  /** The number of the first whisper that we sent in this contact. */
  firstNumber: number | undefined
  /** Which of its contacts with us its last whisper was sent in; 0 before the first. */
  theirIndex: number
  /** The last number that we heard on each road: `whisper`, or a group. */
  readonly heard: Map<string, number>
  /** The number of the last roll call that it answered. */
  roll: number
}

/** The first frame of each content. */
type Head = {
  /** Counts the whispers to that uuid, or the shouts to that group, in all contacts. */
  readonly number: number
  /** Of whispers: the index of the contact in which it was sent, and the number of the first one that was. */
  readonly contact: number
  readonly first: number
  /** Of whispers: how many messages to that uuid its exits said were lost; null when nobody knows. */
  readonly lost: number | null
  readonly size: number
  /** Of shouts: which roll call they answer. */
  readonly roll: number
}

/** What never happens among nodes that keep to the protocol, whatever is done to them. */
const NEVER = new Set(['sequence', 'refused', 'limit'])

export class Observer {
  readonly contacts = new Map<string, Contact>()
  /** Events so far by type, an exit with its cause. */
  readonly counts = new Map<string, number>()
  /** Exits so far: `NAME CAUSE`, but those of our own stop. */
  readonly exits = new Map<string, number>()
  readonly #lyre: Pick<Lyre, 'shout' | 'whisper'>
  readonly #fault: (text: string) => void
  /** The highest number that was ever heard of a uuid on each road: nothing comes again in a later contact. */
  readonly #highest = new Map<string, Map<string, number>>()
  /** How often we whispered to a uuid, or shouted to a group. */
  readonly #sent = new Map<string, number>()
  /** What the exits of a uuid said was lost of ours; and how many of its whispers to us never came. */
  readonly #lost = new Map<string, number | null>()
  readonly #missing = new Map<string, number>()
  /** The newest contact of a uuid with us that it whispered in. */
  readonly #newest = new Map<string, number>()
  #contactCount = 0

  constructor(lyre: Pick<Lyre, 'shout' | 'whisper'>, fault: (text: string) => void) {
    this.#lyre = lyre
    this.#fault = fault
  }

  see(event: LyreEvent): void {
    count(this.counts, event.type === 'exit' ? `exit ${event.cause}` : event.type)
    if (event.type === 'stop') {
      if (this.contacts.size > 0) this.#fault(`stop, and ${this.contacts.size} had no exit`)
      this.contacts.clear()
      return
    }
    if (event.type === 'warning') {
      if (this.contacts.size > 0) this.#fault(`${event.code}, and ${this.contacts.size} are here`)
      return
    }
    const { type, peer } = event
    const contact = this.contacts.get(peer.uuid)
    if (type === 'enter') {
      if (contact !== undefined) this.#fault(`enter of ${peer.name}, which is here`)
      this.#enter(peer)
      return
    }
    if (contact === undefined) {
      this.#fault(`${type} of ${peer.name}, which is not here`)
      return
    }
    if (contact.name !== peer.name) this.#fault(`${contact.name} became ${peer.name}`)
    this.#during(event, contact)
  }

  /** Sends the next whisper to a peer that is here; it counts if it was queued. */
  whisper(uuid: string, size: number): void {
    const contact = this.contacts.get(uuid)
    if (contact === undefined) return
    const number = (this.#sent.get(uuid) ?? 0) + 1
    const lost = this.#lostOf(uuid)
    contact.firstNumber ??= number
    const { index, firstNumber: first } = contact
    const content = contentOf({ number, contact: index, first, lost, size, roll: 0 })
    if (this.#lyre.whisper(uuid, content) === 1) this.#sent.set(uuid, number)
  }

  /** Sends the next shout to a group. */
  shout(group: string, size: number, roll = 0): void {
    const number = (this.#sent.get(group) ?? 0) + 1
    this.#sent.set(group, number)
    this.#lyre.shout(group, contentOf({ number, contact: 0, first: 0, lost: null, size, roll }))
  }

  /** Lets go what is known of nodes that are no more, so that a long run does not grow by our own doing. */
  forget(living: ReadonlySet<string>): void {
    const known = [this.#highest, this.#sent, this.#lost, this.#missing, this.#newest]
    for (const map of known) {
      for (const key of map.keys()) if (isUuid(key) && !living.has(key)) map.delete(key)
    }
  }

  #enter({ uuid, name }: Peer): void {
    const index = ++this.#contactCount
    const began = { firstNumber: undefined, theirIndex: 0, heard: new Map(), roll: 0 }
    this.contacts.set(uuid, { name, groups: new Set(), index, ...began })
  }

  #during(
    event: Exclude<LyreEvent, { type: 'enter' | 'stop' | 'warning' }>,
    contact: Contact,
  ): void {
    const { peer } = event
    switch (event.type) {
      case 'join':
        if (contact.groups.has(event.group)) this.#fault(`second join of ${peer.name}`)
        contact.groups.add(event.group)
        break
      case 'leave':
        if (!contact.groups.delete(event.group)) this.#fault(`second leave of ${peer.name}`)
        break
      case 'whisper':
      case 'shout':
        this.#content(event, contact)
        break
      case 'exit':
        this.contacts.delete(peer.uuid)
        this.#lose(event)
        if (event.cause !== 'stop') count(this.exits, `${peer.name} ${event.cause}`)
        if (NEVER.has(event.cause)) this.#fault(`exit of ${peer.name}, cause ${event.cause}`)
        break
      case 'evasive':
      case 'silent':
        break
    }
  }

  #content(event: Extract<LyreEvent, { type: 'whisper' | 'shout' }>, contact: Contact): void {
    const { peer, content } = event
    const head = headOf(content)
    if (head === undefined) {
      this.#fault(`a damaged ${event.type} of ${peer.name}`)
      return
    }
    if (head.roll > 0) contact.roll = head.roll
    const { number } = head
    const road = event.type === 'shout' ? event.group : 'whisper'
    const told = `${event.type} ${number} (in ${head.contact}) of ${peer.name} on ${road}`
    const highest = this.#highest.get(peer.uuid) ?? new Map<string, number>()
    this.#highest.set(peer.uuid, highest)
    const last = contact.heard.get(road)
    if (number <= (highest.get(road) ?? 0)) {
      this.#fault(`${told} after ${highest.get(road)}: twice, or out of order`)
    }
    // Who leaves a group and joins it again misses what was said in between; nobody leaves EVERYBODY.
    const whole = road === 'whisper' || road === EVERYBODY
    if (whole && last !== undefined && number !== last + 1) {
      this.#fault(`${told} after ${last}: a gap`)
    }
    if (event.type === 'whisper') this.#whispered(event, { head, contact, told })
    contact.heard.set(road, number)
    highest.set(road, number)
  }

  /**
   * Each node whispers first thing when it tells enter. While ours with it goes on, its contact with us may end and begin
   * anew (harmony.md 5.2), and it shouts to us in neither. What is missing by then, an exit has told it.
   */
  #whispered(
    { peer }: { readonly peer: Peer },
    {
      head,
      contact,
      told,
    }: { readonly head: Head; readonly contact: Contact; readonly told: string },
  ): void {
    const { number, contact: index, first, lost } = head
    const highest = this.#highest.get(peer.uuid)?.get('whisper') ?? 0
    const missed = this.#missing.get(peer.uuid) ?? 0
    this.#missing.set(peer.uuid, missed + Math.max(0, number - highest - 1))
    if (index === contact.theirIndex) return
    if (index < contact.theirIndex) this.#fault(`${told} after contact ${contact.theirIndex}`)
    contact.theirIndex = index
    contact.heard.delete(EVERYBODY)
    const newest = this.#newest.get(peer.uuid) ?? 0
    if (index <= newest) return
    this.#newest.set(peer.uuid, index)
    // What was kept may follow without what was sent before it in its own contact, whose exit was not told by then.
    const missing = missed + Math.max(0, first - highest - 1)
    if (lost !== null && missing > lost) {
      this.#fault(`${told}: ${missing} are missing, and exits told of ${lost}`)
    }
  }

  #lostOf(uuid: string): number | null {
    const lost = this.#lost.get(uuid)
    return lost === undefined ? 0 : lost
  }

  /** So many messages of ours to that uuid are lost; null when nobody knows how many. */
  lose(uuid: string, count: number | null): void {
    const before = this.#lostOf(uuid)
    this.#lost.set(uuid, before === null || count === null ? null : before + count)
  }

  /** The exit of our own stop does not tell what was not confirmed by then. */
  #lose({ peer, cause, lost }: Extract<LyreEvent, { type: 'exit' }>): void {
    this.lose(peer.uuid, cause === 'stop' ? null : lost)
  }
}

function isUuid(key: string): boolean {
  return /^[0-9a-f]{32}$/.test(key)
}

function contentOf(head: Head): [string, Uint8Array] {
  return [JSON.stringify(head), new Uint8Array(head.size).fill(head.number)]
}

/** Undefined when the content is not what was sent. */
function headOf([first, filler, ...rest]: readonly Uint8Array[]): Head | undefined {
  if (first === undefined || filler === undefined || rest.length > 0) return undefined
  const head: Head = JSON.parse(text(first))
  const octet = head.number % 256
  return filler.length === head.size && filler.every((found) => found === octet) ? head : undefined
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
