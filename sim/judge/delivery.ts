// Holds what arrives to what was sent: in order, once, without a gap within a contact, to whom it was meant for; what is
// missing, exits have told; what was confirmed has arrived; the books balance; and who has nothing to do with a trouble is not
// delayed by it. (I4, I5, I15, I19)
// Spec: docs/guide/guarantees.md, harmony.md 5.8 to 5.10, 7.6 to 7.8.

import type { Frames, Uuid } from '../../protocol/index.ts'
import type { LyreEvent } from '../../src/events.ts'
import type { Action } from '../../src/stage.ts'
import type { Invariant, Report } from './findings.ts'
import type { Contact, Party } from './parties.ts'
import type { Checker, Truth } from './truth.ts'

/** A message that was sent to one peer. */
interface Item {
  readonly hash: number
  readonly at: number
  /** The group of a shout; empty for a whisper. */
  readonly group: string
  /** The contact of the sender with the peer in which it was sent; 0 where there was none. */
  readonly contact: number
  readonly sender: Party
  readonly id: number
  /** Octets of what was sent and had not come before it, its own among them. */
  readonly aheadBytes: number
  readonly bytes: number
}

/** What one uuid sends to another. */
class Lane {
  readonly to: Uuid
  readonly items: Item[] = []
  /** How many of the oldest are not in `items` any more; and how many, in all, have arrived or never will. */
  dropped = 0
  /** In `items`: the first that has not arrived and is behind all that have. */
  next = 0
  /** Octets of all that was sent, and of all that has arrived or never will. */
  sentBytes = 0
  doneBytes = 0
  /** What exits of it told as lost, since all before was settled; and whether more may be lost than they told. */
  told = 0
  open = false
  keptAt = Number.POSITIVE_INFINITY
  missing = 0
  /** The receiver's contact of the last one that arrived, and when that was. */
  contact: Contact | undefined
  deliveredAt = Number.NEGATIVE_INFINITY

  /** The node that sends: another may have had its uuid before. */
  sender: Party | undefined

  constructor(to: Uuid) {
    this.to = to
  }

  /** From now on another node sends. */
  begin(sender: Party): void {
    this.sender = sender
    this.told = 0
    this.missing = 0
    this.open = false
    this.keptAt = Number.POSITIVE_INFINITY
  }
}

/** What a node's application sent, and what became of it. */
interface Book {
  sent: number
  delivered: number
  /** What did not arrive though something behind it has; shouts that need not have been told; and what exits told as lost. */
  missing: number
  excused: number
  told: number
  /** Copies of shouts for which there was no room with somebody. */
  unsent: number
  /** To whom. */
  readonly lanes: Map<Uuid, Lane>
}

/** How much a message may take that nothing delays: a tick, and this. */
const TICK_MS = 1_000
/** Items that have arrived are let go in large steps. */
const GONE_MAX = 1_024
const SAMPLE_BYTES = 256
const AFTERMATH_MS = 60_000
/** For so long, what waits for a peer that has left is kept for certain. */
const KEPT_MS = 25_000

/** Checks every message of an application, from the sender's call to the receiver's handler. */
export class Delivery implements Checker {
  readonly #truth: Truth
  readonly #report: Report
  readonly #travelMs: number
  readonly #windowBytes: number
  /** Whether connections are so slow that a message may take any time; whether groups may have policies. */
  readonly #slow: boolean
  readonly #narrow: boolean
  readonly #books = new Map<Party, Book>()
  /** Of all that a uuid sends, by whom it goes to: nodes with the same uuid share it. */
  readonly #lanes = new Map<Uuid, Map<Uuid, Lane>>()

  constructor(
    truth: Truth,
    report: Report,
    {
      travelMs,
      windowBytes,
      slow,
      narrow,
    }: {
      readonly travelMs: number
      readonly windowBytes: number
      readonly slow: boolean
      readonly narrow: boolean
    },
  ) {
    this.#truth = truth
    this.#report = report
    this.#travelMs = travelMs
    this.#windowBytes = windowBytes
    this.#slow = slow
    this.#narrow = narrow
  }

  action(party: Party, action: Action, id: number): void {
    if (action.type === 'stop') {
      // What still waits, for those that are here and those that are not, may be lost, and no exit tells of it.
      for (const lane of this.#bookOf(party).lanes.values()) lane.open = true
    }
    if (action.type === 'whisper') {
      if (action.count > 0) this.#send(party, { ...action, group: '', hash: 0 }, id)
    } else if (action.type === 'shout') {
      this.#shout(party, action, id)
    }
  }

  event(party: Party, event: LyreEvent, contact: Contact | undefined, id: number): void {
    if (event.type === 'exit') {
      const book = this.#bookOf(party)
      book.told += event.lost
      const lane = book.lanes.get(event.peer.uuid)
      if (lane === undefined) return
      lane.told += event.lost
      // What is kept for one that is forgotten meanwhile is lost untold.
      lane.keptAt = this.#truth.now
    } else if (event.type === 'enter') {
      const lane = this.#bookOf(party).lanes.get(event.peer.uuid)
      if (lane !== undefined) lane.open ||= this.#truth.now - lane.keptAt > KEPT_MS
    } else if (event.type === 'whisper' || event.type === 'shout') {
      const group = event.type === 'shout' ? event.group : ''
      this.#receive(party, { uuid: event.peer.uuid, group, content: event.content, contact, id })
    }
  }

  /** Lets go of what is known of a node. */
  forget(party: Party): void {
    this.#books.delete(party)
    this.#lanes.delete(party.uuid)
    for (const [other, book] of this.#books) {
      const lane = book.lanes.get(party.uuid)
      if (lane === undefined) continue
      const { missing, excused } = this.#checkLane(other, lane)
      book.missing += missing
      book.excused += excused
      book.lanes.delete(party.uuid)
    }
    for (const lanes of this.#lanes.values()) lanes.delete(party.uuid)
  }

  // Sending.

  #shout(party: Party, action: Extract<Action, { type: 'shout' }>, id: number): void {
    const { group, content, count } = action
    const hash = hashOf(group, content)
    const members: Uuid[] = []
    for (const { uuid, groups } of party.contacts.values())
      if (groups?.has(group)) members.push(uuid)
    // Where events wait to be told, the node knows more than its application: it has to say whom it means.
    const isAhead = party.eventAt === this.#truth.now
    const meant = isAhead
      ? (party.node.lyre?.peersInGroup(group) ?? []).map(({ uuid }) => uuid)
      : members
    for (const uuid of meant) this.#send(party, { uuid, content, group, hash }, id)
    const book = this.#bookOf(party)
    book.sent += count - meant.length
    book.unsent += Math.max(0, meant.length - count)
    if (count === meant.length || (this.#narrow && count < meant.length) || isAhead) return
    const expected = `a shout to the ${meant.length} members of ${group}`
    this.#report('I6', { party, expected, seen: `it went to ${count}`, id })
  }

  #send(
    party: Party,
    {
      uuid,
      content,
      group,
      hash,
    }: {
      readonly uuid: Uuid
      readonly content: Frames
      readonly group: string
      readonly hash: number
    },
    id: number,
  ): void {
    const lane = this.#laneOf(party, uuid)
    const contact = party.contacts.get(uuid)?.number ?? 0
    let bytes = 0
    for (const frame of content) bytes += frame.length
    lane.sentBytes += bytes
    lane.items.push({
      aheadBytes: lane.sentBytes - lane.doneBytes,
      hash: hash === 0 ? hashOf(group, content) : hash,
      at: this.#truth.now,
      group,
      contact,
      sender: party,
      id,
      bytes,
    })
    this.#bookOf(party).sent++
  }

  // Receiving.

  #receive(
    party: Party,
    {
      uuid,
      group,
      content,
      contact,
      id,
    }: {
      readonly uuid: Uuid
      readonly group: string
      readonly content: Frames
      readonly contact: Contact | undefined
      readonly id: number
    },
  ): void {
    const peer = this.#truth.byUuid.get(uuid)
    if (peer === undefined || !peer.honest) return
    const lane = this.#lanes.get(uuid)?.get(party.uuid)
    const hash = hashOf(group, content)
    const { items, next } = lane ?? { items: [], next: 0 }
    let index = next
    while (index < items.length && items[index]?.hash !== hash) index++
    const item = items[index]
    if (lane === undefined || item === undefined) {
      const wasThere = items.slice(0, next).some((older) => older.hash === hash)
      const expected = wasThere ? 'each message once, and in order' : 'what the peer sent to it'
      const seen = wasThere ? 'one that came before, or stood before it' : 'something else'
      if (!this.#truth.hostile) this.#report('I4', { party, peer, expected, seen, id })
      return
    }
    const isSame = contact !== undefined && lane.contact === contact
    for (let done = next; done <= index; done++) lane.doneBytes += (items[done] as Item).bytes
    for (let skipped = next; skipped < index; skipped++) {
      this.#skip(lane, items[skipped] as Item, { party, peer, isSame, id })
    }
    this.#bookOf(item.sender).delivered++
    this.#checkDelay(party, { item, first: index === next, id })
    lane.next = index + 1
    lane.contact = contact
    lane.deliveredAt = this.#truth.now
    if (lane.next < GONE_MAX) return
    lane.items.splice(0, lane.next)
    lane.dropped += lane.next
    lane.next = 0
  }

  /** A message did not come, and one behind it did. */
  #skip(
    lane: Lane,
    item: Item,
    {
      party,
      peer,
      isSame,
      id,
    }: {
      readonly party: Party
      readonly peer: Party
      readonly isSame: boolean
      readonly id: number
    },
  ): void {
    if (this.#isExcused(lane, item, party)) {
      this.#bookOf(item.sender).excused++
      return
    }
    this.#bookOf(item.sender).missing++
    if (item.sender === lane.sender) lane.missing++
    if (!isSame || this.#narrow) return
    const expected = `no gap in a contact: ${item.group === '' ? 'a whisper' : `a shout to ${item.group}`} sent at ${item.at} ms`
    this.#report('I4', { party, peer, expected, seen: 'what was sent after it', id })
  }

  /** A shout is not told to who was not in its group when it came, which was after the message before it. */
  #isExcused(lane: Lane, item: Item, party: Party): boolean {
    if (item.group === '') return false
    const membership = party.groups.get(item.group)
    if (membership === undefined || !membership.isIn) return true
    return membership.joinedAt >= Math.min(lane.deliveredAt, item.at)
  }

  #checkDelay(
    party: Party,
    {
      item,
      first,
      id,
    }: {
      readonly item: Item
      readonly first: boolean
      readonly id: number
    },
  ): void {
    const { now } = this.#truth
    const { sender } = item
    const delayMs = now - item.at
    // A window for each round trip, where more is sent than fits into one.
    const windows = Math.floor(item.aheadBytes / this.#windowBytes)
    const boundMs = TICK_MS + (4 + 2 * windows) * this.#travelMs
    if (delayMs <= boundMs || this.#slow || !first) return
    const since = item.at - AFTERMATH_MS
    const contact = party.contacts.get(sender.uuid)
    // What waited for an enter, or for a link that was lost and came back.
    if (contact === undefined || contact.at > item.at || item.contact === 0) return
    if ((sender.exits.get(party.uuid) ?? since) > since) return
    for (const one of [party, sender]) {
      if (one.slept(since, now).count > 0 || one.movedAt > since || one.state !== 'started') return
      if (one.shortAt > since) return
    }
    const { cuts, quietUntil, resetAt, reroutedAt } = this.#truth.between(party, sender)
    if (cuts > 0 || Math.max(quietUntil, resetAt, reroutedAt) > since) return
    const expected = `a message within ${Math.round(boundMs)} ms`
    this.#report('I15', { party, peer: sender, expected, seen: `${Math.round(delayMs)} ms`, id })
  }

  // From time to time.

  /** All is well for long enough: what was sent has arrived, or somebody was told that it has not. */
  judgeCalm(): void {
    for (const party of this.#truth.parties.values()) {
      if (!party.honest || party.state === 'crashed' || party.asleep) continue
      const book = this.#books.get(party)
      if (book === undefined || party.node.lyre === undefined) continue
      if (party.state !== 'started' && party.state !== 'stopped') continue
      this.#audit(party, book)
    }
  }

  #audit(party: Party, book: Book): void {
    const { messages } = party.node.lyre?.diagnostics() ?? {}
    if (messages === undefined) return
    const { sent, waiting, unconfirmed, confirmed, lost, dropped } = messages
    const complain = (invariant: Invariant, expected: string, seen: string) =>
      this.#report(invariant, { party, expected, seen })
    const sum = waiting + unconfirmed + confirmed + lost + dropped
    if (sent !== sum) complain('I19', `sent ${sent} = the sum of what became of it`, `${sum}`)
    if (!this.#narrow && sent !== book.sent) {
      complain('I19', `sent ${book.sent}, as its application did`, `sent ${sent}`)
    }
    let { missing, excused } = book
    for (const lane of book.lanes.values()) {
      const left = this.#checkLane(party, lane)
      missing += left.missing
      excused += left.excused
      this.#checkTold(party, lane, left.missing)
    }
    const { told } = book
    if (told > lost) complain('I19', `lost of all exits, ${told}, within that of all`, `${lost}`)
    if (missing > lost + waiting + dropped + book.unsent) {
      complain('I5', `${missing} that never came, told as lost`, `${lost} lost, ${waiting} waiting`)
    }
    const { delivered } = book
    if (confirmed > delivered + excused) {
      complain('I19', `confirmed within the ${delivered} that came`, `${confirmed} confirmed`)
    }
    if (delivered > confirmed + lost + unconfirmed) {
      complain(
        'I19',
        `the ${delivered} that came within confirmed and lost`,
        `${confirmed}, ${lost}`,
      )
    }
    if (party.state !== 'started') return
    if (waiting > 0) complain('I5', 'nothing that waits', `${waiting} wait`)
    if (unconfirmed > 0) complain('I5', 'nothing unconfirmed', `${unconfirmed} are`)
  }

  /** What did not come to a peer that is here, its exits have told: nothing waits for it any more. */
  #checkTold(party: Party, lane: Lane, left: number): void {
    const contact = party.contacts.get(lane.to)
    const peer = this.#truth.byUuid.get(lane.to)
    const missing = lane.missing + left
    if (lane.open || this.#narrow || contact === undefined || missing <= lane.told) return
    if (peer === undefined || !peer.honest || peer.state !== 'started') return
    const expected = `${missing} that did not come, told as lost by its exits`
    this.#report('I19', { party, peer, expected, seen: `${lane.told}` })
  }

  /** @returns what did not arrive of this lane, and what need not have. */
  #checkLane(party: Party, lane: Lane): { readonly missing: number; readonly excused: number } {
    let missing = 0
    let excused = 0
    const receiver = this.#truth.byUuid.get(lane.to)
    const ours = party.contacts.get(lane.to)
    const theirs = receiver?.contacts.get(party.uuid)
    for (let index = lane.next; index < lane.items.length; index++) {
      const item = lane.items[index] as Item
      if (item.sender !== party) continue
      // What a node makes of it that is none of ours, nobody knows.
      if (receiver === undefined || this.#isExcused(lane, item, receiver)) {
        excused++
        continue
      }
      missing++
      const isOpen = ours !== undefined && theirs !== undefined && item.contact === ours.number
      if (!isOpen || item.at < theirs.at || this.#narrow || receiver.asleep) continue
      const what = item.group === '' ? 'a whisper' : `a shout to ${item.group}`
      const expected = `${what} sent at ${item.at} ms, since the contact goes on`
      this.#report('I5', { party, peer: receiver, expected, seen: 'it did not come', id: item.id })
    }
    return { missing, excused }
  }

  #bookOf(party: Party): Book {
    let book = this.#books.get(party)
    if (book === undefined) {
      book = { sent: 0, delivered: 0, missing: 0, excused: 0, told: 0, unsent: 0, lanes: new Map() }
      this.#books.set(party, book)
    }
    return book
  }

  #laneOf(party: Party, to: Uuid): Lane {
    let lanes = this.#lanes.get(party.uuid)
    if (lanes === undefined) {
      lanes = new Map()
      this.#lanes.set(party.uuid, lanes)
    }
    let lane = lanes.get(to)
    if (lane === undefined) {
      lane = new Lane(to)
      lanes.set(to, lane)
    }
    if (lane.sender !== party) lane.begin(party)
    this.#bookOf(party).lanes.set(to, lane)
    return lane
  }
}

/** A number for a message: all of what is short, and of what is long its beginning, its end and its size. */
function hashOf(group: string, content: Frames): number {
  let hash = 0x811c9dc5 ^ content.length
  for (let index = 0; index < group.length; index++) {
    hash = Math.imul(hash ^ group.charCodeAt(index), 0x01000193)
  }
  for (const frame of content) {
    const { length } = frame
    hash = Math.imul(hash ^ length, 0x01000193)
    const head = Math.min(length, SAMPLE_BYTES)
    for (let index = 0; index < head; index++) {
      hash = Math.imul(hash ^ (frame[index] as number), 0x01000193)
    }
    for (let index = Math.max(head, length - SAMPLE_BYTES); index < length; index++) {
      hash = Math.imul(hash ^ (frame[index] as number), 0x01000193)
    }
  }
  return hash | 1
}
