// What waits for one peer, and what was written to it and may not have been read: the queue behind each connection that we
// dial. It outlives its connection, numbers messages as they leave, and counts every one of them exactly once.
// Spec: harmony.md 4.1, 5.7 to 5.10, 7.6 to 7.8.

import { COPY_BYTES_MAX } from './frames.ts'
import type { ZreCommand } from './zre.ts'

/**
 * A message that waits, in one mailbox or in those of a whole group: its content is there once. It is the command itself, as
 * each object more for a message is garbage (docs/adr/0007).
 */
export type Letter = ZreCommand & {
  /** Octets of its content; 0 for what is not an application's. */
  readonly bytes: number
  /** In how many mailboxes it waits. */
  holders: number
}

/**
 * The messages of a node's application, once for each peer they were meant for. At any moment
 * `sent = waiting + unconfirmed + confirmed + lost + dropped`.
 */
export interface Tally {
  /** Taken for a peer. */
  sent: number
  /** Not written yet. */
  waiting: number
  /** Written, and no answer says yet that the other side's ZMTP has read it. */
  unconfirmed: number
  /** Known to have been read by the other side's ZMTP. */
  confirmed: number
  /** In doubt, written before a link ended that did not confirm it; or it waited for a peer that was given up. */
  lost: number
  /** Left out by a group's own policy, drop-newest or drop-oldest. */
  dropped: number
  /** Octets of content that wait; a SHOUT counts once for all its peers. */
  waitingBytes: number
}

/** Where a mailbox is full, and where its sender had better wait: octets of content, and messages. */
export interface MailboxLimits {
  readonly queueBytesMax: number
  readonly queueMessagesMax: number
}

/** What a message is written to, which makes octets of it. */
export interface Wire {
  /** Octets that it has and that have not been taken from it. */
  readonly outputBytes: number
  /** Makes octets of a message, with that sequence. */
  send(command: ZreCommand, sequence: number): void
}

/** A place in what was ever written: how many messages, and how many of them were an application's. */
export interface Mark {
  readonly messages: number
  readonly contents: number
}

/** Letters that left are cleared away in large steps: to shift them one by one would move all the others each time. */
const GAPS_MAX = 1_024
/** What may be queued until it is asked a second time, within the same turn, that it be written: about what fits one chunk. */
const UNTOLD_BYTES_MAX = 60_000
/** What its wire may have that was not taken, for a message to be written at once: so much, or this share of a full mailbox. */
const WIRE_BYTES_MAX = 1_048_576
const WIRE_SHARE = 16
/** A content that is not copied costs little until it is written: of its octets, one in so many counts. */
const LARGE_SHARE = 32
/** Answers to PINGs that may wait. */
const ANSWERS_MAX = 64
/** What a message takes beside its content, about. */
const LETTER_BYTES = 32
/** A mailbox is congested at this share of its limits, and at no more octets and messages than this: more helps nobody. */
const CONGESTED_SHARE = 4
const CONGESTED_BYTES_MAX = 1_048_576
const CONGESTED_MESSAGES_MAX = 4_096
/** A list that is never changed: a mailbox in which nothing waits has none of its own. */
const NO_LETTERS: (Letter | undefined)[] = []
const START: Mark = { messages: 0, contents: 0 }

/** A tally of nothing. */
export function createTally(): Tally {
  return {
    sent: 0,
    waiting: 0,
    unconfirmed: 0,
    confirmed: 0,
    lost: 0,
    dropped: 0,
    waitingBytes: 0,
  }
}

/** The mailbox of one peer. What is done to it within an epoch is undone by nothing: begin() starts the next. */
export class Mailbox {
  readonly #tally: Tally
  readonly #limits: MailboxLimits
  /** What waits; undefined in the place of what left or was dropped. */
  #letters = NO_LETTERS
  #first = 0
  /** The HELLO that begins an epoch, until it leaves. */
  #hello: ZreCommand | undefined
  #open = false
  #sequence = 0
  /** What waits: messages, the application's among them, their octets, those of the largest since it was last empty. */
  #count = 0
  #contents = 0
  #bytes = 0
  #largestBytes = 0
  #congested = false
  /** Octets queued since the caller was told to write; at the limit, so that the next makes it so, while none were. */
  #untoldBytes = UNTOLD_BYTES_MAX
  /** What was written: messages, the application's among them; and how much of it is confirmed, or given up for lost. */
  #writtenMessages = 0
  #writtenContents = 0
  #known = START
  /** The PINGs of ZRE that were written in this epoch, how many are answered, and what was written before one that is not. */
  #pingCount = 0
  #answerCount = 0
  #pinged: { readonly number: number; readonly mark: Mark } | undefined
  /** PING-OKs of ours that wait. */
  #okCount = 0
  /** Where a message goes at once that has none before it. */
  #wire: Wire | undefined
  #wireBytesMax = 0
  /** Places in #letters of what left or was dropped. */
  #gaps = 0
  /** By group, where the search for its oldest message goes on. */
  #oldest: Map<string, number> | undefined

  constructor(tally: Tally, limits: MailboxLimits) {
    this.#tally = tally
    this.#limits = limits
  }

  /** The sequence of the last message that left in this epoch; 0 before its HELLO. */
  get sequence(): number {
    return this.#sequence
  }

  /** The application's messages that wait, and their octets. */
  get waiting(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#contents, bytes: this.#bytes }
  }

  /** The sequence up to which all of this epoch is known to have been read; while it is open. */
  get readSequence(): number {
    return (this.#sequence - this.#writtenMessages + this.#known.messages) & 0xffff
  }

  /** The application's messages that were written in this epoch and are not known to have been read. */
  get unconfirmed(): number {
    return this.#writtenContents - this.#known.contents
  }

  /** Whether all that was written is known to have been read: then nothing is in doubt when the connection ends. */
  get settled(): boolean {
    return this.#hello === undefined && this.#writtenMessages === this.#known.messages
  }

  /** Whether so many answers to PINGs wait that the peer does not read them, and needs no more (harmony.md 4.8). */
  get answered(): boolean {
    return this.#okCount >= ANSWERS_MAX
  }

  /** Whether its sender had better wait; true from a quarter of its limits, at most 1 MiB, until it is empty. */
  get congested(): boolean {
    return this.#congested
  }

  /** Octets that make it too full: the largest message is not counted, since no legal message is too much by itself. */
  get excessBytes(): number {
    return this.#bytes - this.#largestBytes
  }

  /** Whether it holds so much that one message more is too much, or more than a share of that. */
  full(share = 1): boolean {
    const { queueBytesMax, queueMessagesMax } = this.#limits
    return this.excessBytes > queueBytesMax * share || this.#count >= queueMessagesMax * share
  }

  /**
   * Begins an epoch: this HELLO leaves next, with sequence 1, and what the application sent and never left follows once it
   * is open. What of ours was to tell of pings and groups is void: HELLO tells all of it.
   */
  begin(hello: ZreCommand): void {
    this.forsake()
    this.#hello = hello
    const letters = this.#letters.filter((letter) => letter && isContent(letter))
    this.#letters = letters.length > 0 ? letters : NO_LETTERS
    this.#first = 0
    this.#gaps = 0
    this.#oldest = undefined
    this.#count = letters.length
    this.#okCount = 0
  }

  /** We know who reads: what the application sent may leave. */
  open(): void {
    this.#open = true
  }

  /** Messages need not wait for poll() any more, as long as none does: this wire takes them. */
  attach(wire: Wire): void {
    this.#wire = wire
    this.#wireBytesMax = Math.min(WIRE_BYTES_MAX, this.#limits.queueBytesMax / WIRE_SHARE)
  }

  /** They have to wait again. */
  detach(): void {
    this.#wire = undefined
  }

  /** @returns whether the caller has to see to it that poll() is called, and what the wire has is taken. */
  push(letter: Letter): boolean {
    const wire = this.#wire
    const isNext = this.#count === 0 && this.#open && this.#hello === undefined
    if (isNext && wire !== undefined && wire.outputBytes < this.#wireBytesMax) {
      if (isContent(letter)) this.#tally.sent++
      this.#number(letter)
      wire.send(letter, this.#sequence)
    } else {
      this.#keep(letter)
    }
    this.#untoldBytes += weightOf(letter)
    if (this.#untoldBytes < UNTOLD_BYTES_MAX) return false
    this.#untoldBytes = 0
    return true
  }

  #keep(letter: Letter): void {
    const { queueBytesMax, queueMessagesMax } = this.#limits
    if (this.#letters === NO_LETTERS) this.#letters = [letter]
    else this.#letters.push(letter)
    this.#count++
    if (letter.type === 'ping-ok') this.#okCount++
    if (isContent(letter)) {
      this.#contents++
      this.#bytes += letter.bytes
      this.#largestBytes = Math.max(this.#largestBytes, letter.bytes)
      this.#tally.sent++
      this.#tally.waiting++
      if (letter.holders++ === 0) this.#tally.waitingBytes += letter.bytes
      const bytesMax = Math.min(CONGESTED_BYTES_MAX, queueBytesMax / CONGESTED_SHARE)
      const messagesMax = Math.min(CONGESTED_MESSAGES_MAX, queueMessagesMax / CONGESTED_SHARE)
      if (this.#bytes > bytesMax || this.#count > messagesMax) {
        this.#congested = true
      }
    }
  }

  /** The next message to write, with the sequence it has now; undefined when there is none, or none may leave yet. */
  poll(): ZreCommand | undefined {
    const command = this.#hello ?? this.#shift()
    if (command === undefined) {
      this.#untoldBytes = UNTOLD_BYTES_MAX
      if (this.#contents === 0) this.#congested = false
      return undefined
    }
    if (command === this.#hello) {
      this.#hello = undefined
      this.#sequence = 0
    }
    this.#number(command)
    return command
  }

  /** It leaves now, and its sequence is the next. */
  #number(command: ZreCommand): void {
    this.#sequence = (this.#sequence + 1) & 0xffff
    this.#writtenMessages++
    if (isContent(command)) {
      this.#writtenContents++
      this.#tally.unconfirmed++
    } else if (command.type === 'ping') {
      this.#pingCount++
      this.#pinged ??= { number: this.#pingCount, mark: this.mark() }
    }
  }

  /** What has been written by now; to be given to confirm() once the other side says that it has read that far. */
  mark(): Mark {
    return { messages: this.#writtenMessages, contents: this.#writtenContents }
  }

  /** All up to a mark was read. */
  confirm(mark: Mark): void {
    if (mark.messages <= this.#known.messages) return
    const contents = mark.contents - this.#known.contents
    this.#tally.unconfirmed -= contents
    this.#tally.confirmed += contents
    this.#known = mark
  }

  /** A PING of ZRE was answered, the first that was not before: all that was written before it was read. */
  confirmPing(): void {
    this.#answerCount++
    if (this.#pinged === undefined || this.#answerCount < this.#pinged.number) return
    this.confirm(this.#pinged.mark)
    this.#pinged = undefined
  }

  /**
   * The contact is over: what was written without being confirmed is in doubt, and nothing more of the application's leaves
   * until the next open().
   * @returns how many of the application's messages that are.
   */
  forsake(): number {
    const count = this.unconfirmed
    this.#tally.unconfirmed -= count
    this.#tally.lost += count
    this.#known = this.mark()
    this.#open = false
    this.#wire = undefined
    this.#pingCount = 0
    this.#answerCount = 0
    this.#pinged = undefined
    this.#untoldBytes = UNTOLD_BYTES_MAX
    return count
  }

  /** Drops what waits. @returns how many of the application's messages that were. */
  clear(): number {
    const count = this.#contents
    for (const letter of this.#letters) if (letter !== undefined) this.#release(letter)
    this.#tally.lost += count
    this.#letters = NO_LETTERS
    this.#first = 0
    this.#gaps = 0
    this.#count = 0
    this.#largestBytes = 0
    this.#congested = false
    this.#oldest = undefined
    return count
  }

  /** Drops the SHOUT to that group that waits longest. @returns false when none does. */
  dropOldest(group: string): boolean {
    this.#oldest ??= new Map()
    let index = Math.max(this.#oldest.get(group) ?? 0, this.#first)
    for (; index < this.#letters.length; index++) {
      const letter = this.#letters[index]
      if (letter?.type === 'shout' && letter.group === group) break
    }
    this.#oldest.set(group, index)
    const letter = this.#letters[index]
    if (letter === undefined) return false
    this.#letters[index] = undefined
    this.#release(letter)
    this.#tally.dropped++
    this.#gap()
    return true
  }

  /** One message is not even taken. */
  refuse(): void {
    this.#tally.sent++
    this.#tally.dropped++
  }

  #shift(): ZreCommand | undefined {
    while (this.#first < this.#letters.length) {
      const letter = this.#letters[this.#first]
      if (letter !== undefined && !this.#open && isContent(letter)) return undefined
      this.#letters[this.#first++] = undefined
      if (letter === undefined) continue
      this.#gap()
      this.#release(letter)
      return letter
    }
    this.#compact()
    this.#largestBytes = 0
    return undefined
  }

  #gap(): void {
    if (++this.#gaps >= GAPS_MAX && 2 * this.#gaps >= this.#letters.length) this.#compact()
  }

  #compact(): void {
    const isEmpty = this.#count === 0
    this.#letters = isEmpty ? NO_LETTERS : this.#letters.filter((letter) => letter !== undefined)
    this.#first = 0
    this.#gaps = 0
    this.#oldest = undefined
  }

  /** It waits here no longer. */
  #release(letter: Letter): void {
    this.#count--
    if (letter.type === 'ping-ok') this.#okCount--
    if (!isContent(letter)) return
    this.#contents--
    this.#bytes -= letter.bytes
    this.#tally.waiting--
    if (--letter.holders === 0) this.#tally.waitingBytes -= letter.bytes
  }
}

/** What it counts on the way to the next write. */
function weightOf({ bytes }: Letter): number {
  return LETTER_BYTES + (bytes > COPY_BYTES_MAX ? Math.ceil(bytes / LARGE_SHARE) : bytes)
}

function isContent({ type }: ZreCommand): boolean {
  return type === 'whisper' || type === 'shout'
}
