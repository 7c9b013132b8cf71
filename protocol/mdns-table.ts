// What one node says and hears by multicast DNS on one interface: it announces itself, answers who asks for it, asks for others,
// and remembers them for as long as they said. Packets go in and out as data.
// Spec: mdns.md, after RFC 6762. A little past 600 lines, of which a hundred are the types of what it does and tells.

import type { Uuid } from './bytes.ts'
import {
  hostOf,
  instanceOf,
  isAskable,
  isAsked,
  isAt,
  isInstance,
  isName,
  isSame,
  labelOf,
  MDNS_PORT,
  MDNS_SERVICE,
  type MdnsNode,
  type MdnsPacket,
  type MdnsQuestion,
  type MdnsRecord,
  type MdnsRecords,
  type MdnsText,
  readTexts,
  recordsOf,
} from './mdns.ts'
import { Queue } from './queue.ts'

/** Where a packet came from, or has to go. */
export interface MdnsSource {
  readonly address: string
  readonly port: number
}

/** What to do. */
export type MdnsEffect =
  /** Sends a packet: to everybody, or `to` one alone. */
  | { readonly type: 'send'; readonly packet: MdnsPacket; readonly to: MdnsSource | undefined }
  /** A node of our network has just said where its inbox is. */
  | {
      readonly type: 'alive'
      readonly uuid: Uuid
      readonly address: string
      readonly port: number
    }
  /** It took that back. */
  | { readonly type: 'goodbye'; readonly uuid: Uuid }

/** What packets were, as we see them; each of an instance in one counts. */
export type MdnsKind =
  /** A question that we answered. */
  | 'asked'
  | 'alive'
  | 'goodbye'
  /** Our own, which came back. */
  | 'own'
  /** Of a node of another network. */
  | 'otherNetwork'
  /** What says that it is a node, and is none, or not where it says. */
  | 'malformed'
  /** Somebody else had the name of our instance, so we took another. */
  | 'conflict'
  /** Had no place (mdns.md 6.1, 6.2). */
  | 'tooMany'

/** What is known of one that was heard of. */
export interface MdnsInstance {
  /** Its name, without the service. */
  readonly instance: string
  readonly uuid: Uuid | null
  /** Where its packets come from. */
  readonly address: string
  /** Of its inbox; null until it was told. */
  readonly port: number | null
  /** Whether it is of our network; null until it was told. */
  readonly ours: boolean | null
  readonly secondsLeft: number
}

/** All that is known. */
export interface MdnsTableDiagnostics {
  /** The name of our own instance. */
  readonly instance: string
  readonly sent: {
    readonly announcements: number
    readonly questions: number
    readonly answers: number
  }
  readonly heard: Readonly<Record<MdnsKind, number>>
  readonly instances: readonly MdnsInstance[]
}

/** One that was heard of; instants are Infinity where there is none. */
interface Instance {
  readonly name: string
  /** Where its records came from; its port is 0 until it was told. */
  address: string
  port: number
  text: MdnsText | undefined
  /** When its port came last, and how long that is good. */
  heardAt: number
  expiresAt: number
  /** When its pointer came, and for how long that is good: whoever is told that we know it does not say it again. */
  pointerAt: number
  pointerUntil: number
  /** When to ask for it, and how often that was done in vain. */
  askAt: number
  askCount: number
  /** A link to it broke, and it has not answered since. */
  isLost: boolean
}

/** What one packet says of an instance. */
interface Told {
  readonly name: string
  pointer: MdnsRecord | undefined
  srv: Extract<MdnsRecord, { type: 'SRV' }> | undefined
  txt: Extract<MdnsRecord, { type: 'TXT' }> | undefined
}

type RecordKind = keyof MdnsRecords
const NEVER = Number.POSITIVE_INFINITY
const KINDS: readonly RecordKind[] = ['services', 'pointer', 'srv', 'txt', 'address']

/** What is said along, as it would be asked for next (mdns.md 4.2). */
const FOLLOWERS: Readonly<Record<RecordKind, readonly RecordKind[]>> = {
  services: [],
  pointer: ['srv', 'txt', 'address'],
  srv: ['address'],
  txt: [],
  address: [],
}
/** Digits of the uuid in the name of our instance: more with each conflict; with all of them nobody else has it. */
const DIGITS = [8, 16, 32]
/** Instances that are remembered (mdns.md 6.1). */
const INSTANCES_MAX = 1_024
/** Questions and records of one packet that are looked at (mdns.md 6.2); and of one that we ask with. */
const RECORDS_MAX = 256
const QUESTIONS_MAX = 16
/** Longest time for which anybody is believed. */
const TTL_MAX_S = 4_500
const ANNOUNCE_COUNT = 3
const SECOND_MS = 1_000
const QUESTION_INTERVAL_MAX_MS = 3_600_000
/** What was taken back is forgotten so much later, and who does not answer when it is looked up. */
const GOODBYE_MS = 1_000
const LOOKUP_MS = 10_000
const LOOKUPS_MAX = 4
/** Of their time to live, when records are asked for again. */
const REFRESHES = [0.8, 0.85, 0.9, 0.95]
/** A resolver that knows only DNS must not keep what it hears. */
const LEGACY_TTL_S = 10

/** The DNS-SD of one node on one interface, from start() to stop(). */
export class MdnsTable {
  readonly #node: MdnsNode
  readonly #port: number
  readonly #effects = new Queue<MdnsEffect>()
  readonly #instances = new Map<string, Instance>()
  readonly #heard: Record<MdnsKind, number> = {
    asked: 0,
    alive: 0,
    goodbye: 0,
    own: 0,
    otherNetwork: 0,
    malformed: 0,
    conflict: 0,
    tooMany: 0,
  }
  readonly #sent = { announcements: 0, questions: 0, answers: 0 }
  /** When to say what was asked for, and when each record was said to everybody last. */
  readonly #dueAt = new Map<RecordKind, number>()
  readonly #saidAt = new Map<RecordKind, number>()
  #renameCount = 0
  #records: MdnsRecords
  #seed: number
  #running = false
  #announceCount = 0
  #announceAt = NEVER
  #askAt = NEVER
  #askedAt = Number.NEGATIVE_INFINITY
  #askIntervalMs = SECOND_MS
  #wakeAt = NEVER

  /** @param port where all speak and listen; another than 5353 only where nobody else is to hear. */
  constructor(node: MdnsNode, port = MDNS_PORT) {
    this.#node = node
    this.#port = port
    this.#records = recordsOf(node, instanceOf(node, DIGITS[0] as number))
    // Nobody can guess a uuid, and two nodes that start together do not have the same.
    this.#seed = Number.parseInt(node.uuid.slice(-8), 16)
  }

  // Inputs: what happened.

  /** Announces our node at once, and begins to ask for others (mdns.md 4.1, 5.1). */
  start(now: number): void {
    this.#running = true
    this.#announce(now)
    this.#askSoon(now)
    this.handleTimeout(now)
  }

  /** A packet came from somebody on the network of our interface. */
  handlePacket(packet: MdnsPacket, from: MdnsSource, now: number): void {
    const { questions, answers, additionals } = packet
    if (!this.#running) return
    if (questions.length + answers.length + additionals.length > RECORDS_MAX) {
      this.#heard.tooMany++
    } else if (packet.type === 'query') {
      this.#handleQuery(packet, from, now)
    } else if (from.port === this.#port) {
      this.#handleResponse([...answers, ...additionals], from.address, now)
    }
  }

  /** The link to a peer is gone: is it still there, and where (mdns.md 5.5)? */
  handleExit(uuid: Uuid, now: number): void {
    if (!this.#running) return
    for (const instance of this.#instances.values()) {
      if (instance.text?.uuid !== uuid) continue
      instance.isLost = true
      instance.expiresAt = Math.min(instance.expiresAt, now + LOOKUP_MS)
      this.#lookUp(instance, now)
    }
    this.#askSoon(now)
  }

  handleTimeout(now: number): void {
    if (!this.#running) return
    this.#wakeAt = NEVER
    if (now >= this.#announceAt) this.#sayAll(now)
    this.#answer(now)
    if (now >= this.#askAt) this.#askForAll(now)
    this.#sweep(now)
    this.#wake(Math.min(this.#announceAt, this.#askAt, ...this.#dueAt.values()))
  }

  /** Takes back what was said, and is quiet from now on (mdns.md 4.7). */
  stop(): void {
    if (!this.#running) return
    this.#running = false
    this.#wakeAt = NEVER
    this.#instances.clear()
    const { pointer, srv, txt, address } = this.#records
    this.#say([pointer, srv, txt, address].map((record) => ({ ...record, ttl: 0 })))
  }

  // Outputs: what to do about it, in order.

  pollEffect(): MdnsEffect | undefined {
    return this.#effects.shift()
  }

  /** When to call handleTimeout(); Infinity when there is nothing to wait for. */
  pollTimeout(): number {
    return this.#wakeAt
  }

  diagnostics(now: number): MdnsTableDiagnostics {
    const instances = [...this.#instances.values()].map((instance) => ({
      instance: labelOf(instance.name),
      uuid: instance.text?.uuid ?? null,
      address: instance.address,
      port: instance.port || null,
      ours: instance.text === undefined ? null : instance.text.network === this.#node.network,
      secondsLeft: Math.max(0, Math.round((instance.expiresAt - now) / SECOND_MS)),
    }))
    return {
      instance: labelOf(this.#records.srv.name),
      sent: { ...this.#sent },
      heard: { ...this.#heard },
      instances,
    }
  }

  // What we say.

  #announce(now: number): void {
    this.#announceCount = 0
    this.#announceAt = now
    this.#wake(now)
  }

  /** An announcement: all records, without being asked; the next one twice as much later. */
  #sayAll(now: number): void {
    const afterMs = SECOND_MS * 2 ** this.#announceCount++
    this.#announceAt = this.#announceCount < ANNOUNCE_COUNT ? now + afterMs : NEVER
    this.#sent.announcements++
    this.#dueAt.clear()
    for (const kind of KINDS) this.#saidAt.set(kind, now)
    this.#say(KINDS.map((kind) => this.#records[kind]))
  }

  #handleQuery(query: MdnsPacket, from: MdnsSource, now: number): void {
    const asked = KINDS.filter((kind) => {
      const record = this.#records[kind]
      // Who knows it for at least half of its time need not hear it again (mdns.md 4.4).
      const isKnown = query.answers.some(
        (known) => known.ttl >= record.ttl / 2 && isSame(known, record),
      )
      return !isKnown && query.questions.some((question) => isAsked(question, record))
    })
    if (asked.length === 0) return
    this.#heard.asked++
    if (from.port !== this.#port) {
      this.#answerLegacy(query, { asked, from })
      return
    }
    // Many have an answer to a question for the service, one alone to all others (mdns.md 4.3).
    const isShared = asked.some((kind) => !this.#records[kind].flush)
    const readyAt = now + (isShared ? this.#jitter(20, 120) : 0)
    for (const kind of asked) {
      const at = Math.max(readyAt, this.#quietUntil(kind))
      this.#dueAt.set(kind, Math.min(at, this.#dueAt.get(kind) ?? at))
      this.#wake(at)
    }
    this.#answer(now)
  }

  /** Says what is due, and what would be asked for next. */
  #answer(now: number): void {
    const asked = KINDS.filter((kind) => now >= (this.#dueAt.get(kind) ?? NEVER))
    if (asked.length === 0) return
    const others = followersOf(asked).filter((kind) => now >= this.#quietUntil(kind))
    this.#sent.answers++
    for (const kind of [...asked, ...others]) {
      this.#dueAt.delete(kind)
      this.#saidAt.set(kind, now)
    }
    this.#say(
      asked.map((kind) => this.#records[kind]),
      others.map((kind) => this.#records[kind]),
    )
  }

  /** No record is said to everybody twice in a second. */
  #quietUntil(kind: RecordKind): number {
    return (this.#saidAt.get(kind) as number) + SECOND_MS
  }

  /** A resolver that knows only DNS hears it alone, with its own number and question (mdns.md 4.6). */
  #answerLegacy(
    { id, questions }: MdnsPacket,
    { asked, from }: { readonly asked: readonly RecordKind[]; readonly from: MdnsSource },
  ): void {
    const brief = (kind: RecordKind): MdnsRecord => ({
      ...this.#records[kind],
      ttl: LEGACY_TTL_S,
      flush: false,
    })
    const isAnswered = (question: MdnsQuestion) =>
      asked.some((kind) => isAsked(question, this.#records[kind]))
    this.#sent.answers++
    const packet: MdnsPacket = {
      type: 'response',
      id,
      questions: questions.filter(isAnswered).slice(0, 1),
      answers: asked.map(brief),
      additionals: followersOf(asked).map(brief),
    }
    this.#effects.push({ type: 'send', packet, to: from })
  }

  #say(answers: readonly MdnsRecord[], additionals: readonly MdnsRecord[] = []): void {
    const packet: MdnsPacket = { type: 'response', id: 0, questions: [], answers, additionals }
    this.#effects.push({ type: 'send', packet, to: undefined })
  }

  // What we ask.

  /** For all nodes, as at the beginning: soon, and from then on less and less often (mdns.md 5.1). */
  #askSoon(now: number): void {
    this.#askIntervalMs = SECOND_MS
    this.#askAt = Math.max(now + this.#jitter(20, 120), this.#askedAt + SECOND_MS)
    this.#wake(this.#askAt)
  }

  #askForAll(now: number): void {
    this.#askedAt = now
    this.#askAt = now + this.#askIntervalMs
    this.#askIntervalMs = Math.min(2 * this.#askIntervalMs, QUESTION_INTERVAL_MAX_MS)
    // What we ask comes back to us: our own is known, so that we do not answer ourselves.
    const known: MdnsRecord[] = [this.#records.pointer]
    for (const { name, pointerAt, pointerUntil, isLost } of this.#instances.values()) {
      const leftMs = pointerUntil - now
      const isKnown = !isLost && isAskable(name) && leftMs > (pointerUntil - pointerAt) / 2
      if (!isKnown || known.length === QUESTIONS_MAX) continue
      const ttl = Math.floor(leftMs / SECOND_MS)
      known.push({ name: MDNS_SERVICE, type: 'PTR', target: name, ttl, flush: false })
    }
    this.#ask([{ name: MDNS_SERVICE, type: 'PTR' }], known)
  }

  #ask(questions: readonly MdnsQuestion[], answers: readonly MdnsRecord[] = []): void {
    this.#sent.questions++
    const packet: MdnsPacket = { type: 'query', id: 0, questions, answers, additionals: [] }
    this.#effects.push({ type: 'send', packet, to: undefined })
  }

  /** Asks for one, soon and then a few times more (mdns.md 5.3). */
  #lookUp(instance: Instance, now: number): void {
    instance.askCount = 0
    instance.askAt = isAskable(instance.name) ? now + this.#jitter(20, 120) : NEVER
    this.#wake(instance.askAt)
  }

  /** Forgets whose time is over, and asks for whom it soon will be. */
  #sweep(now: number): void {
    let questions: MdnsQuestion[] = []
    for (const [key, instance] of this.#instances) {
      const { name, text } = instance
      if (now >= instance.expiresAt) {
        this.#instances.delete(key)
        continue
      }
      if (now >= instance.askAt) {
        questions.push({ name, type: 'SRV' })
        if (text === undefined) questions.push({ name, type: 'TXT' })
        this.#planQuestion(instance, now)
      }
      if (questions.length >= QUESTIONS_MAX) {
        this.#ask(questions)
        questions = []
      }
      this.#wake(Math.min(instance.askAt, instance.expiresAt))
    }
    if (questions.length > 0) this.#ask(questions)
  }

  /** When to ask for it next: for what is not there, a few times; for what is, before it ends (mdns.md 5.3 and 5.4). */
  #planQuestion(instance: Instance, now: number): void {
    const { heardAt, expiresAt } = instance
    if (instance.isLost || !isComplete(instance)) {
      const afterMs = SECOND_MS * 2 ** instance.askCount++
      instance.askAt = instance.askCount < LOOKUPS_MAX ? now + afterMs : NEVER
      return
    }
    // What was missing may have come late.
    do {
      const share = REFRESHES[instance.askCount++] ?? NEVER
      instance.askAt = heardAt + (expiresAt - heardAt) * (share + this.#jitter(0, 0.02))
    } while (instance.askAt <= now)
  }

  // What we hear.

  #handleResponse(records: readonly MdnsRecord[], from: string, now: number): void {
    const told = new Map<string, Told>()
    for (const record of records) {
      const isPointer = record.type === 'PTR' && isName(record.name, MDNS_SERVICE)
      const name = isPointer ? record.target : record.name
      if (!isInstance(name)) continue
      const key = name.toLowerCase()
      const about = told.get(key) ?? { name, pointer: undefined, srv: undefined, txt: undefined }
      told.set(key, about)
      if (isPointer) about.pointer = record
      else if (record.type === 'SRV') about.srv = record
      else if (record.type === 'TXT') about.txt = record
    }
    for (const [key, about] of told) {
      const { name, pointer, srv, txt } = about
      if (isName(name, this.#records.srv.name)) this.#handleOwn(srv, now)
      else if ((srv ?? pointer ?? txt)?.ttl === 0) this.#handleGone(key, from, now)
      else if (srv !== undefined && !isAt(from, srv, records)) this.#heard.malformed++
      else this.#learn(key, { about, from }, now)
    }
  }

  /** The name of our instance: said by us, or by somebody who has it too (mdns.md 2.7). */
  #handleOwn(srv: Told['srv'], now: number): void {
    if (srv === undefined || srv.ttl === 0 || isName(srv.target, hostOf(this.#node.uuid))) {
      this.#heard.own++
      return
    }
    this.#heard.conflict++
    const digits = DIGITS[this.#renameCount + 1]
    if (digits === undefined) return
    this.#renameCount++
    this.#records = recordsOf(this.#node, instanceOf(this.#node, digits))
    this.#announce(now)
  }

  /** It takes its records back, which only who said them can (mdns.md 3.5). */
  #handleGone(key: string, from: string, now: number): void {
    const instance = this.#instances.get(key)
    if (instance === undefined || instance.address !== from) return
    instance.expiresAt = Math.min(instance.expiresAt, now + GOODBYE_MS)
    instance.askAt = NEVER
    instance.isLost = true
    this.#wake(instance.expiresAt)
    if (instance.text?.network !== this.#node.network) return
    this.#heard.goodbye++
    this.#effects.push({ type: 'goodbye', uuid: instance.text.uuid })
  }

  #learn(
    key: string,
    { about, from }: { readonly about: Told; readonly from: string },
    now: number,
  ): void {
    const { pointer, srv, txt } = about
    const text = txt === undefined ? undefined : this.#read(txt)
    if (txt !== undefined && text === undefined) return
    if (text?.uuid === this.#node.uuid) {
      this.#heard.own++
      return
    }
    const instance = this.#instances.get(key) ?? this.#create(key, { name: about.name, from, now })
    const wasComplete = isComplete(instance)
    if (pointer !== undefined) {
      instance.pointerAt = now
      instance.pointerUntil = now + lifeOf(pointer)
    }
    if (srv !== undefined) {
      // Whoever has moved says all of it anew: what came from another address is not mixed with it.
      if (instance.address !== from) instance.text = undefined
      instance.address = from
      instance.port = srv.port
      instance.heardAt = now
      instance.expiresAt = now + lifeOf(srv)
      instance.isLost = false
    }
    if (text !== undefined && instance.address === from) instance.text = text
    this.#conclude(instance, { isNews: srv !== undefined || !wasComplete, now })
  }

  /** Tells of it, if all of it is there; else asks for what is not. */
  #conclude(
    instance: Instance,
    { isNews, now }: { readonly isNews: boolean; readonly now: number },
  ): void {
    const { text, port, address } = instance
    if (text === undefined || port === 0) {
      if (instance.askAt === NEVER && instance.askCount === 0) this.#lookUp(instance, now)
    } else if (text.network !== this.#node.network) {
      this.#heard.otherNetwork++
      instance.askAt = NEVER
    } else if (isNews) {
      this.#heard.alive++
      instance.askCount = 0
      this.#planQuestion(instance, now)
      if (!isAskable(instance.name)) instance.askAt = NEVER
      this.#effects.push({ type: 'alive', uuid: text.uuid, address, port })
    }
    this.#wake(Math.min(instance.askAt, instance.expiresAt))
  }

  #read({ texts }: NonNullable<Told['txt']>): MdnsText | undefined {
    try {
      return readTexts(texts)
    } catch {
      this.#heard.malformed++
      return undefined
    }
  }

  /** A new one has some seconds to tell all of itself. */
  #create(
    key: string,
    { name, from, now }: { readonly name: string; readonly from: string; readonly now: number },
  ): Instance {
    if (this.#instances.size === INSTANCES_MAX) this.#makePlace()
    const instance: Instance = {
      name,
      address: from,
      port: 0,
      text: undefined,
      heardAt: now,
      expiresAt: now + LOOKUP_MS,
      pointerAt: now,
      pointerUntil: now,
      askAt: NEVER,
      askCount: 0,
      isLost: false,
    }
    this.#instances.set(key, instance)
    return instance
  }

  /** Of the address that has most of all places, the one whose time is over first (mdns.md 6.1). */
  #makePlace(): void {
    const counts = new Map<string, number>()
    for (const { address } of this.#instances.values()) {
      counts.set(address, (counts.get(address) ?? 0) + 1)
    }
    const most = Math.max(...counts.values())
    let first: [string, Instance] | undefined
    for (const entry of this.#instances) {
      if (counts.get(entry[1].address) !== most) continue
      if (first === undefined || entry[1].expiresAt < first[1].expiresAt) first = entry
    }
    if (first !== undefined) this.#instances.delete(first[0])
    this.#heard.tooMany++
  }

  #wake(at: number): void {
    if (at < this.#wakeAt) this.#wakeAt = at
  }

  #jitter(min: number, max: number): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0
    return min + ((max - min) * this.#seed) / 2 ** 32
  }
}

function followersOf(asked: readonly RecordKind[]): RecordKind[] {
  const followers = new Set(asked.flatMap((kind) => FOLLOWERS[kind]))
  return [...followers].filter((kind) => !asked.includes(kind))
}

function isComplete({ text, port }: Instance): boolean {
  return text !== undefined && port !== 0
}

/** For how long a record is believed. */
function lifeOf({ ttl }: MdnsRecord): number {
  return SECOND_MS * Math.min(ttl, TTL_MAX_S)
}
