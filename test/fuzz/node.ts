/**
 * A whole node on a host in memory, with an honest peer that is a Lyre as well, and attackers who are let in: they pass the
 * handshake, say HELLO, enter, and send what they like over both connections of theirs. The honest peer must stay, and all
 * that it and the node say to each other must arrive, once, in order, unharmed.
 */

import { encodeBeacon } from '../../protocol/beacon.ts'
import { uuidToBytes } from '../../protocol/bytes.ts'
import { NullMechanism, ZMTP_LIMITS, ZmtpConnection } from '../../protocol/zmtp.ts'
import { decodeZre } from '../../protocol/zre.ts'
import { EVENT_TYPES, type LyreEvent } from '../../src/events.ts'
import type { StreamHandlers } from '../../src/host.ts'
import { Lyre } from '../../src/lyre.ts'
import type { LyreLimits } from '../../src/options.ts'
import { uuidOf } from '../support/harmony.ts'
import type { FakeStream } from '../support/host.ts'
import {
  BEACONS,
  Draft,
  GROUPS,
  SAMPLES,
  sizeOf,
  writeCommand,
  writeContent,
  writeGreeting,
  writeHeader,
  writeReady,
} from './draft.ts'
import type { Random } from './random.ts'
import { expect, Grammar, hex, newTally, type Tally, type Target, type Trial } from './trial.ts'
import { QuickWorld } from './world.ts'

export const nodeTarget: Target = {
  name: 'node',
  share: 20,
  stepsMax: 2_048,
  begin: (random, tally) => NodeTrial.begin(random, tally),
  replay: async (octets) => {
    const trial = await NodeTrial.begin(undefined, newTally())
    trial.hearAll(octets)
    await trial.end()
  },
}

const BEACON_PORT = 5_670
/** Small enough to be reached, large enough for the honest peer, who must never be the one who is too many. */
const LIMITS: Partial<LyreLimits> = {
  peersMax: 8,
  peerGroupsMax: 8,
  dialsMax: 4,
  arrivalsMax: 8,
  messageBytesMax: 100_000,
  messageFramesMax: 64,
  queueBytesMax: 200_000,
  queueMessagesMax: 1_000,
  queueTotalBytesMax: 400_000,
  unreadBytesMax: 400_000,
}
const ATTACKERS = 7
/** When all attackers have gone, and nobody has said a word since, they are forgotten. */
const QUIET_MS = 60_000

/** More than `arrivalsMax`. */
const CROWD = 10
const NO_HANDLERS: StreamHandlers = { open() {}, receive() {}, drain() {}, close() {} }
const LARGE = new Uint8Array(60_000)

const draft = new Draft()

/** One who is not honest, with an inbox that the node dials, and a mailbox to it. */
class Attacker {
  readonly uuid: string
  readonly identity: Uint8Array
  readonly impostor: boolean
  /** What its HELLO says, and its beacon. */
  port = 0
  mailbox: FakeStream | undefined
  /** Where the node's mailbox to it arrives; it is `up` once greeting and READY came. */
  inbox: FakeStream | undefined
  inboxZmtp: ZmtpConnection | undefined
  /** Whether the handshake was sent whole and right. */
  greeted = false
  sequence = 0
  status = 0
  /** What is left of a message that was begun. */
  rest: Uint8Array | undefined

  constructor(uuid: string, impostor: boolean) {
    this.uuid = uuid
    this.impostor = impostor
    this.identity = Uint8Array.of(1, ...uuidToBytes(uuid))
  }
}

/** What two who are honest say to each other, in one direction: it is counted, and each count has its content. */
class Talk {
  #saidCount = 0
  #heardCount = 0

  say(): Uint8Array[] {
    return contentOf(this.#saidCount++)
  }

  hear(content: readonly Uint8Array[]): void {
    const wanted = contentOf(this.#heardCount++)
    expect(content.length === wanted.length, `message ${this.#heardCount} has all its frames`)
    for (let index = 0; index < wanted.length; index++) {
      const [came, said] = [content[index], wanted[index]] as [Uint8Array, Uint8Array]
      if (came.length !== said.length || came[0] !== said[0] || came.at(-1) !== said.at(-1)) {
        throw new Error(`does not hold: message ${this.#heardCount} came as it was said`)
      }
      for (let at = 0; at < said.length; at++) {
        if (came[at] !== said[at]) throw new Error(`does not hold: octet ${at} is as it was said`)
      }
    }
  }

  end(): void {
    expect(this.#heardCount === this.#saidCount, 'all that was said has arrived')
  }
}

/** A count, and up to two frames more, some of them large. */
function contentOf(count: number): Uint8Array[] {
  const first = new Uint8Array(4)
  for (let index = 0; index < 4; index++) first[index] = count >>> (8 * index)
  const frames = [first]
  for (let index = 0; index < count % 3; index++) {
    const large = count % 97 === 2
    frames.push(new Uint8Array(large ? 10_000 + count : count % 50).fill(count + index))
  }
  return frames
}

class NodeTrial implements Trial {
  readonly over = false
  readonly #tally: Tally
  readonly #world = new QuickWorld()
  readonly #victim: Lyre
  readonly #honest: Lyre
  readonly #grammar = new Grammar()
  readonly #toVictim = new Talk()
  readonly #toHonest = new Talk()
  readonly #attackers: Attacker[] = []
  readonly #servers: { close(): void }[] = []
  #port = 0
  #random: Random | undefined
  #trimIn = 64
  #ending = false

  static async begin(random: Random | undefined, tally: Tally): Promise<NodeTrial> {
    const trial = new NodeTrial(random, tally)
    await trial.#begin()
    return trial
  }

  private constructor(random: Random | undefined, tally: Tally) {
    this.#tally = tally
    this.#random = random
    const copy = random?.once(2) === true
    if (random?.once(2) !== false) {
      // Few octets at a time, but not of what is large.
      this.#world.pieceBytes = (max) =>
        Math.min(max, 1 + (this.#random?.below(99 + (max >>> 2)) ?? 0))
    }
    const base = { interface: '127.0.0.1', limits: LIMITS, copy, trace: () => {} }
    // The attackers' beacons are for the victim alone.
    const host = () => this.#world.host()
    this.#victim = new Lyre({ ...base, name: 'victim', beaconPort: BEACON_PORT }, host())
    const honest = { ...base, limits: {}, name: 'honest', beaconPort: BEACON_PORT + 1 }
    this.#honest = new Lyre(honest, host())
  }

  async #begin(): Promise<void> {
    const [victim, honest] = [this.#victim, this.#honest]
    for (const type of EVENT_TYPES) victim.on(type, (event: LyreEvent) => this.#hear(event))
    for (const type of ['whisper', 'shout'] as const) {
      honest.on(type, ({ content }) => this.#toHonest.hear(content))
    }
    honest.on('exit', ({ cause }) => expect(this.#ending, `the node stays, exit by ${cause}`))
    for (const group of GROUPS) if (group !== '') honest.join(group)
    for (const group of GROUPS.slice(0, 2)) victim.join(group)
    await this.#world.finish(victim.start())
    await this.#world.finish(honest.start())
    const { uuid, endpoint = '' } = victim
    this.#port = Number(endpoint.slice(endpoint.lastIndexOf(':') + 1))
    honest.requirePeer({ uuid, endpoint })
    this.#world.pass(1_000)
    expect(victim.peers().length === 1 && honest.peers().length === 1, 'the honest enter')
    const host = this.#world.host()
    for (let index = 1; index <= ATTACKERS; index++) {
      // One claims to be the honest peer, one to be the node itself.
      const names = [uuidOf(index), honest.uuid, uuid]
      const name = Math.max(0, index - ATTACKERS + 2)
      const attacker = new Attacker(names[name] as string, name > 0)
      this.#attackers.push(attacker)
      const at = { address: '127.0.0.1', port: 0 }
      const server = await host.streams.listen(at, (stream) =>
        this.#accept(attacker, stream as FakeStream),
      )
      attacker.port = server.port
      this.#servers.push(server)
    }
  }

  step(random: Random): void {
    this.#random = random
    const kind = random.below(128)
    if (kind < 104) this.#attack(random, this.#pick(random))
    else if (kind < 109) this.#answer(random, random.pick(this.#attackers))
    else if (kind < 112) this.#beacon(random)
    else if (kind < 118) this.#talk(random)
    else if (kind < 121) this.#command(random)
    else this.#pass(random.pick(random.once(48) ? [4_000, 7_000, 35_000] : [1, 50, 100, 200]))
    if (!random.once(4)) this.#world.run()
    this.#surface()
    if (--this.#trimIn > 0) return
    this.#trimIn = 64
    this.#world.forget()
  }

  /** All but the honest leave, are forgotten, and what is left works. */
  async end(): Promise<void> {
    this.#note('the attackers leave')
    for (const server of this.#servers) server.close()
    for (const { mailbox, inbox } of this.#attackers) {
      mailbox?.destroy()
      inbox?.destroy()
    }
    this.#world.pass(QUIET_MS)
    const [victim, honest] = [this.#victim, this.#honest]
    this.#talkBoth()
    this.#world.run()
    this.#toVictim.end()
    this.#toHonest.end()
    const { peers, connections } = victim.diagnostics()
    expect(peers.length === 1 && peers[0]?.uuid === honest.uuid, 'nobody else is known')
    expect(connections === 2, `${connections} connections are left, not 2`)
    this.#ending = true
    await this.#world.finish(victim.stop())
    await this.#world.finish(honest.stop())
    this.#world.run()
    this.#world.forget()
    expect(this.#grammar.present.size === 0, 'all have left')
    expect(this.#world.streams.length === 0, 'all streams are closed')
    expect(this.#world.timerCount === 0, 'no timer is set')
    this.#surface()
  }

  /** What our own handlers threw. */
  #surface(): void {
    const [surfaced] = this.#world.surfaced
    if (surfaced !== undefined) throw surfaced
  }

  /** One attacker with these octets, from its greeting on. */
  hearAll(octets: Uint8Array): void {
    const [attacker] = this.#attackers
    if (attacker === undefined) return
    this.#connect(attacker)
    for (const size of [octets.length, 1]) {
      this.#connect(attacker)
      for (let at = 0; at < octets.length; at += size) {
        attacker.mailbox?.write(octets.slice(at, at + size))
      }
      this.#world.pass(1_000)
    }
  }

  // What the honest do.

  #hear(event: LyreEvent): void {
    if (event.type === 'stop' || event.type === 'warning') return
    this.#grammar.hear(event)
    if (event.peer.uuid !== this.#honest.uuid) return
    if (event.type === 'exit') expect(this.#ending, `the honest peer stays, exit by ${event.cause}`)
    if (event.type === 'whisper' || event.type === 'shout') this.#toVictim.hear(event.content)
  }

  #talk(random: Random): void {
    if (random.once(2)) {
      this.#talkBoth()
      return
    }
    const group = random.pick(this.#victim.ownGroups().slice(0, 2))
    if (group !== undefined) this.#honest.shout(group, this.#toVictim.say())
  }

  #talkBoth(): void {
    const [victim, honest] = [this.#victim, this.#honest]
    expect(honest.whisper(victim.uuid, this.#toVictim.say()) === 1, 'the node is there')
    expect(victim.whisper(honest.uuid, this.#toHonest.say()) === 1, 'the honest peer is there')
  }

  #command(random: Random): void {
    const group = random.pick(GROUPS.slice(2, 4))
    const attacker = random.pick(this.#attackers)
    this.#note(`the node joins or leaves, and talks to ${attacker.uuid}`)
    if (!this.#victim.join(group)) this.#victim.leave(group)
    if (attacker.impostor) return
    // Whoever does not read is sent away for what waits for it.
    const many = random.once(8)
    for (let count = many ? 5 : 1; count > 0; count--) {
      const frame = many ? LARGE : new Uint8Array(sizeOf(random))
      this.#victim.whisper(attacker.uuid, [frame, new Uint8Array(3)])
    }
    if (random.once(8)) this.#victim.shout(random.pick(GROUPS.slice(0, 4)), this.#toHonest.say())
  }

  #pass(ms: number): void {
    this.#note(`${ms} ms pass`)
    this.#world.pass(ms)
  }

  // What the others do.

  /** Whoever claims to be somebody else is soon sent away, so that is tried less often. */
  #pick(random: Random): Attacker {
    const attacker = random.pick(this.#attackers)
    return attacker.impostor && !random.once(16) ? this.#pick(random) : attacker
  }

  #attack(random: Random, attacker: Attacker): void {
    if (attacker.mailbox === undefined) this.#greet(random, attacker)
    else if (!attacker.greeted || random.once(400)) this.#garble(random, attacker)
    else if (attacker.sequence === 0 && !random.once(50)) this.#hello(random, attacker)
    else this.#say(random, attacker)
  }

  #greet(random: Random, attacker: Attacker): void {
    const last = attacker.sequence
    this.#connect(attacker)
    draft.clear()
    writeGreeting(draft, random.once(16) ? 0 : 1)
    // Who was here before may go on where it was, say that it does, or say something else.
    const goesOn = last > 0 && random.once(4)
    if (goesOn) attacker.sequence = random.once(8) ? random.below(20) : last
    const sequence = goesOn && !random.once(4) ? attacker.sequence : undefined
    writeReady(draft, { socketType: 'DEALER', identity: attacker.identity, sequence })
    attacker.greeted = !random.once(30)
    if (!attacker.greeted) draft.mutate(random)
    this.#write(attacker, 'handshake')
    this.#world.run()
  }

  #connect(attacker: Attacker): void {
    attacker.sequence = 0
    attacker.status = 0
    attacker.rest = undefined
    const handlers: StreamHandlers = {
      open: () => {},
      receive: () => {},
      drain: () => {},
      close: () => {
        if (attacker.mailbox === stream) attacker.mailbox = undefined
      },
    }
    const at = { address: '127.0.0.1', port: this.#port }
    const stream = this.#world.host().streams.connect(at, handlers) as FakeStream
    attacker.mailbox = stream
    this.#world.run()
  }

  #hello(random: Random, attacker: Attacker): void {
    // Some name another's inbox, or none.
    const other = random.once(10) ? random.pick(this.#attackers) : attacker
    const port = random.once(60) ? random.pick([0, 1, this.#port, 99_999]) : other.port
    draft.clear()
    const start = draft.open(0, false)
    draft
      .u16(0xaaa1)
      .u8(1)
      .u8(2)
      .u16(++attacker.sequence)
      .text1(`tcp://127.0.0.1:${port}`)
    const groups = GROUPS.slice(0, random.below(4))
    draft.u32(groups.length)
    for (const group of groups) draft.text4(group)
    draft.u8(0).text1('attacker').u32(1).text1('X').text4('y')
    draft.close(start, false)
    if (random.once(60)) draft.mutate(random)
    this.#write(attacker, 'hello')
  }

  /** Right messages mostly, so that whoever sends them is still there for the wrong ones. */
  #say(random: Random, attacker: Attacker): void {
    draft.clear()
    const kind = random.below(128)
    if (attacker.rest !== undefined) {
      draft.copy(attacker.rest)
      attacker.rest = undefined
    } else if (kind < 90) this.#message(random, attacker, kind)
    else if (kind < 108) writeCommand(draft, random)
    else if (kind < 114) this.#sayHalf(random, attacker)
    else if (kind < 116)
      for (let count = 20; count > 0; count--) this.#message(random, attacker, 30)
    else if (kind < 118) this.#message(random, attacker, 30, 0)
    else if (kind < 120) this.#mutant(random, attacker)
    else if (kind < 121) draft.copy(random.pick(SAMPLES))
    else if (kind < 122) this.#header(random, attacker, 10)
    else if (kind < 123) {
      attacker.sequence = 0
      this.#hello(random, attacker)
      return
    } else if (kind < 124)
      draft
        .u8(random.pick([0, 1, 2, 3]))
        .u32(random.u32())
        .u32(random.u32())
    else if (kind < 125) this.#leave(random, attacker)
    else this.#message(random, attacker, 30)
    if (draft.size > 0) this.#write(attacker, 'says')
  }

  #message(random: Random, attacker: Attacker, kind: number, skip = 1): void {
    attacker.sequence = (attacker.sequence + skip) & 0xffff
    if (kind < 50) {
      const frameCount = random.below(4)
      const start = draft.open(frameCount > 0 ? 1 : 0, false)
      draft
        .u16(0xaaa1)
        .u8(kind < 25 ? 2 : 3)
        .u8(2)
        .u16(attacker.sequence)
      if (kind >= 25) draft.text1(random.pick(GROUPS))
      draft.close(start, false)
      writeContent(draft, random, frameCount)
    } else if (kind < 70) {
      const start = draft.open(0, false)
      attacker.status = random.once(8) ? random.below(256) : attacker.status + 1
      draft
        .u16(0xaaa1)
        .u8(random.pick([4, 5]))
        .u8(2)
        .u16(attacker.sequence)
      draft.text1(random.once(8) ? String(random.below(100)) : random.pick(GROUPS))
      draft.u8(attacker.status).close(start, false)
    } else {
      this.#frame(random, attacker, random.pick([4, 5, 6, 7, 7, 7, 8, 9, 200]))
    }
  }

  #header(random: Random, attacker: Attacker, id: number): void {
    attacker.sequence = (attacker.sequence + 1) & 0xffff
    this.#frame(random, attacker, id)
  }

  #frame(random: Random, attacker: Attacker, id: number): void {
    const start = draft.open(0, true)
    writeHeader(draft, random, { id, sequence: attacker.sequence })
    draft.close(start, true)
  }

  /** The right sequence, and anything behind it. */
  #mutant(random: Random, attacker: Attacker): void {
    this.#header(random, attacker, random.below(12))
    draft.mutate(random, random.once(3) ? 0 : 15)
    if (random.once(2) && draft.size > 9) draft.close(9, true)
  }

  /** Half a message: the rest comes with what is said next. */
  #sayHalf(random: Random, attacker: Attacker): void {
    this.#message(random, attacker, 30)
    const octets = draft.take()
    draft.size = random.below(draft.size)
    attacker.rest = octets.subarray(draft.size)
  }

  #leave(random: Random, attacker: Attacker): void {
    this.#note(`${attacker.uuid} goes`)
    const stream = random.once(4) ? attacker.inbox : attacker.mailbox
    if (random.once(2)) stream?.end()
    else stream?.destroy()
    if (stream === attacker.mailbox) attacker.mailbox = undefined
    else attacker.inbox = undefined
  }

  #garble(random: Random, attacker: Attacker): void {
    draft.clear()
    if (random.once(2)) draft.copy(random.pick(SAMPLES)).mutate(random)
    else draft.noise(random, 1 + random.below(80))
    this.#write(attacker, 'garbles')
    if (random.once(16)) this.#crowd()
    if (!random.once(8)) return
    attacker.mailbox?.destroy()
    attacker.mailbox = undefined
  }

  /** More than may wait for their handshake, who then say nothing and go. */
  #crowd(): void {
    this.#note('a crowd connects')
    const streams = Array.from({ length: CROWD }, () =>
      this.#world.host().streams.connect({ address: '127.0.0.1', port: this.#port }, NO_HANDLERS),
    )
    this.#world.run()
    for (const stream of streams) stream.destroy()
  }

  #beacon(random: Random): void {
    const uuid = random.pick(this.#attackers).uuid
    const { port } = random.pick(this.#attackers)
    draft.clear()
    if (random.once(4)) draft.copy(random.pick(BEACONS))
    else draft.copy(encodeBeacon({ uuid, port: random.once(3) ? 0 : port }))
    if (random.once(4)) draft.mutate(random)
    this.#tally.inputs++
    this.#tally.note?.(`${this.#world.now}: beacon ${hex(draft.take())}`)
    const from = { address: random.once(8) ? '10.1.2.3' : '127.0.0.1', port: BEACON_PORT }
    this.#world.broadcast(draft.take(), { port: BEACON_PORT }, from)
  }

  /** The node dials an attacker: it answers as ZMTP wants it, mostly. */
  #accept(attacker: Attacker, stream: FakeStream): StreamHandlers {
    const mechanism = new NullMechanism({ socketType: 'ROUTER', identity: attacker.identity })
    const options = { socketType: 'ROUTER', mechanism, limits: ZMTP_LIMITS } as const
    const zmtp = new ZmtpConnection(options, 0)
    const deaf = this.#random?.once(40) === true
    attacker.inbox = stream
    attacker.inboxZmtp = zmtp
    if (stream.other !== undefined) stream.other.stalled = this.#random?.once(20) === true
    const flush = () => {
      if (attacker.inbox !== stream) return
      for (let part = zmtp.pollOutput(); part; part = zmtp.pollOutput()) stream.write(part)
    }
    if (!deaf) this.#world.do(flush)
    return {
      open: () => {},
      receive: (octets) => {
        if (deaf) return
        zmtp.handleBytes(octets, 0)
        for (let event = zmtp.pollEvent(0); event; event = zmtp.pollEvent(0)) {
          // What the node says is right, whatever it hears.
          if (event.type === 'message') decodeZre(event.frames)
          if (event.type === 'closed') expect(event.error.rule === 'zmtp.md 4.6', 'it speaks ZMTP')
        }
        flush()
      },
      drain: () => {},
      close: () => {
        if (attacker.inbox === stream) attacker.inbox = undefined
      },
    }
  }

  /** Over the connection that the node has dialled, where nobody has anything to say. */
  #answer(random: Random, attacker: Attacker): void {
    const { inbox, inboxZmtp } = attacker
    if (inbox === undefined || inboxZmtp === undefined) return
    draft.clear()
    const kind = random.below(16)
    if (kind < 8) writeCommand(draft, random)
    else if (kind < 14) {
      const start = draft.open(0, true)
      writeHeader(draft, random, { id: random.below(12), sequence: random.below(4) })
      draft.close(start, true)
    } else draft.copy(random.pick(SAMPLES)).mutate(random)
    this.#tally.inputs++
    if (inboxZmtp.ready) this.#tally.ready++
    const octets = draft.take()
    this.#tally.note?.(`${this.#world.now}: ${attacker.uuid} answers ${hex(octets)}`)
    inbox.write(octets)
  }

  #write(attacker: Attacker, what: string): void {
    const stream = attacker.mailbox
    if (stream === undefined) return
    this.#tally.inputs++
    if (attacker.greeted && what !== 'handshake') {
      this.#tally.ready++
      const present = this.#grammar.present.has(attacker.uuid)
      if (present && !attacker.impostor) this.#tally.entered++
    }
    const octets = draft.take()
    this.#tally.note?.(`${this.#world.now}: ${attacker.uuid} ${what} ${hex(octets)}`)
    stream.write(octets)
  }

  #note(line: string): void {
    this.#tally.note?.(`${this.#world.now}: ${line}`)
  }
}
