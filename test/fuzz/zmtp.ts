/**
 * ZmtpConnection, accepting and dialling. Two of them get the same octets, one as they come, the other in pieces, and have to
 * tell the same; a third, of the other kind, reads what the first one answers.
 */

import { COMMAND_BYTES_MAX } from '../../protocol/frames.ts'
import {
  NullMechanism,
  PING_CONTEXT_BYTES_MAX,
  type SocketType,
  TOPIC_BYTES_MAX,
  ZmtpConnection,
  type ZmtpEvent,
  type ZmtpLimits,
} from '../../protocol/zmtp.ts'
import { joined, pieceOf } from './codecs.ts'
import {
  Draft,
  SAMPLES,
  sizeOf,
  writeCommand,
  writeContent,
  writeGreeting,
  writeHeader,
  writeReady,
} from './draft.ts'
import type { Random } from './random.ts'
import { Digest, expect, hex, type Tally, type Target, type Trial } from './trial.ts'

export const zmtpTarget: Target = {
  name: 'zmtp',
  share: 28,
  stepsMax: 96,
  begin: (random, tally) => new ZmtpTrial(random, tally),
  replay,
}

const draft = new Draft()
const NOTHING = new Uint8Array(0)
const IDENTITY = Uint8Array.from({ length: 17 }, (_, index) => index + 1)
const LIMITS: readonly ZmtpLimits[] = [
  { handshakeTimeoutMs: 5_000, messageBytesMax: 67_108_864, messageFramesMax: 1_024 },
  { handshakeTimeoutMs: 5_000, messageBytesMax: 65_600, messageFramesMax: 1_024 },
  { handshakeTimeoutMs: 100, messageBytesMax: 1_000, messageFramesMax: 8 },
]
/** Who talks to each. */
const OTHERS = { ROUTER: 'DEALER', DEALER: 'ROUTER', PUB: 'SUB', SUB: 'PUB' } as const
/** A greeting, READY and ERROR of ours, and 16 PONGs: what may wait without a word of our own. */
const OUTPUT_BYTES_MAX = 64 + 2 * 300 + 16 * (2 + 5 + PING_CONTEXT_BYTES_MAX)
/** What a frame of an unfinished message counts beside its octets (harmony.md 7.9). */
const FRAME_COST_BYTES = 256
/** Further steps for a connection that is closed: it has to stay quiet. */
const AFTERMATH = 3

class Told extends Digest {
  closed = false
}

class ZmtpTrial implements Trial {
  readonly #tally: Tally
  readonly #socketType: SocketType
  #limits: ZmtpLimits
  readonly #whole: ZmtpConnection
  readonly #cut: ZmtpConnection
  readonly #other: ZmtpConnection
  readonly #told = { whole: new Told(), cut: new Told() }
  /** The largest limit so far: a frame that has begun is judged by the one of then. */
  #bytesMax: number
  #held: Uint8Array = NOTHING
  /** Whether all that came so far was right: then it must not be closed. */
  #faultless: boolean
  #now = 0
  #phase: 'greeting' | 'handshake' | 'traffic' = 'greeting'
  #ready = false
  #aftermath = AFTERMATH
  /** Octets of our own that may wait. */
  #ownBytes = 0
  #drained = true

  constructor(random: Random, tally: Tally) {
    this.#tally = tally
    this.#socketType = random.pick(['ROUTER', 'ROUTER', 'ROUTER', 'DEALER', 'DEALER', 'PUB', 'SUB'])
    // What looks like a subscription to a topic that is too long, is one.
    this.#faultless = this.#socketType !== 'PUB'
    this.#limits = random.pick(LIMITS)
    this.#bytesMax = this.#limits.messageBytesMax
    this.#whole = connection(this.#socketType, this.#limits)
    this.#cut = connection(this.#socketType, this.#limits)
    const [lenient = this.#limits] = LIMITS
    this.#other = connection(OTHERS[this.#socketType], { ...lenient, handshakeTimeoutMs: 1e15 })
  }

  get over(): boolean {
    return this.#aftermath === 0
  }

  step(random: Random): void {
    if (this.#closed) this.#aftermath--
    if (this.#phase !== 'traffic') this.#greet(random)
    else this.#go(random, random.below(12))
  }

  #go(random: Random, kind: number): void {
    if (kind === 0) this.#pass(random)
    else if (kind === 1 && this.#ready) this.#act(random)
    else this.#hear(random)
  }

  end(random: Random): void {
    this.#flush(random)
    this.#compare()
    const at = this.#whole.pollTimeout()
    if (at !== Number.POSITIVE_INFINITY) {
      this.#timeout(at)
      expect(this.#closed, 'a deadline closes')
    }
    if (!this.#closed) return
    expect(this.#whole.pollTimeout() === Number.POSITIVE_INFINITY, 'nothing is due after the end')
    expect(this.#whole.unreadBytes === 0, 'nothing is kept after the end')
    expect(this.#whole.pollEvent(this.#now) === undefined, 'nothing is told after the end')
  }

  get #closed(): boolean {
    return this.#whole.pollTimeout() === Number.POSITIVE_INFINITY && !this.#whole.ready
  }

  /** Nine in ten get past READY. */
  #greet(random: Random): void {
    draft.clear()
    if (this.#phase === 'greeting') {
      writeGreeting(draft, random.once(8) ? 0 : 1)
      if (random.once(4)) draft.octets[8] = 18
      this.#phase = 'handshake'
    } else {
      const isRouter = this.#socketType === 'ROUTER' && random.once(2)
      const socketType = isRouter ? 'REQ' : OTHERS[this.#socketType]
      const identity = random.once(3) ? NOTHING : IDENTITY
      const other = random.once(8)
      if (other) {
        this.#faultless = false
        if (random.once(8)) writeRefusal(random)
        else writeOtherReady(random)
      } else writeReady(draft, { socketType, identity })
      this.#phase = 'traffic'
    }
    if (random.once(20)) {
      draft.mutate(random)
      this.#faultless = false
    }
    this.#feed(random, draft.take())
  }

  #hear(random: Random): void {
    draft.clear()
    const kind = random.below(64)
    if (kind < 30) {
      const frameCount = random.below(4)
      const start = draft.open(frameCount > 0 ? 1 : 0, kind < 2)
      const id = random.below(12)
      writeHeader(draft, random, { id: id === 1 ? 2 : id, sequence: random.u32() & 0xffff })
      draft.close(start, kind < 2)
      writeContent(draft, random, frameCount)
    } else if (kind < 38) writeContent(draft, random, 1 + random.below(3))
    else if (kind < 41) draft.u8(1).u8(3).noise(random, 3)
    else if (kind < 54) writeCommand(draft, random)
    else if (kind < 59) draft.copy(random.pick(SAMPLES))
    else if (kind < 61) {
      writeContent(draft, random, 2)
      if (draft.size < 2_000) draft.mutate(random)
    } else if (kind < 62) draft.noise(random, random.below(30))
    else if (kind < 63) this.#writeLarge(random)
    else if (random.once(2)) draft.u8(4).u8(9).u8(5).ascii('ERROR').u8(2).ascii('no')
    else {
      for (let count = 60; count > 0; count--) {
        draft.u8(4).u8(23).u8(4).ascii('PING').u16(0).run(16, count)
      }
    }
    const begun = kind >= 38 && kind < 41
    const small = draft.size <= this.#limits.messageBytesMax / 2
    if (kind >= 54 || !small || (begun && this.#bytesMax < 65_000)) this.#faultless = false
    this.#feed(random, draft.take())
  }

  /** A size at, near or far above a limit; its body comes, or does not. */
  #writeLarge(random: Random): void {
    const { messageBytesMax } = this.#limits
    const sizes = [messageBytesMax, messageBytesMax + 1, COMMAND_BYTES_MAX, COMMAND_BYTES_MAX + 1]
    const size = random.once(4) ? random.u32() : random.pick(sizes)
    draft
      .u8(random.pick([2, 3, 6]))
      .u32(random.once(8) ? random.u32() : 0)
      .u32(size)
    draft.run(random.once(2) ? Math.min(size, 70_000) : random.below(600), 0x55)
  }

  #feed(random: Random, octets: Uint8Array): void {
    if (octets.length === 0) return
    this.#tally.inputs++
    if (this.#ready && !this.#closed) this.#tally.ready++
    this.#tally.note?.(`octets ${hex(octets)}`)
    this.#whole.handleBytes(octets, this.#now)
    this.#tell(this.#whole, this.#told.whole)
    let rest = this.#held.length === 0 ? octets : joined(this.#held, octets)
    while (rest.length > 0 && !random.once(4)) rest = this.#feedCut(random, rest)
    this.#held = rest
    if (rest.length === 0) this.#compare()
    this.#check()
    expect(!this.#closed || !this.#faultless, 'who does nothing wrong is not closed')
    this.#drained = !random.once(4)
    if (this.#drained) this.#drain()
  }

  #feedCut(random: Random, octets: Uint8Array): Uint8Array {
    const piece = octets.subarray(0, pieceOf(random, octets))
    const count = random.once(2) ? this.#fill(random, piece) : this.#give(piece)
    this.#tell(this.#cut, this.#told.cut)
    return octets.subarray(count)
  }

  #give(octets: Uint8Array): number {
    this.#cut.handleBytes(octets, this.#now)
    return octets.length
  }

  /** The same, read to where the connection wants it, where it does; it may be read on in between. */
  #fill(random: Random, octets: Uint8Array): number {
    const room = this.#cut.room()
    if (room === undefined) return this.#give(octets)
    if (random.once(8)) this.#tell(this.#cut, this.#told.cut)
    const count = Math.min(octets.length, room.length)
    expect(count > 0, 'there is room')
    room.set(octets.subarray(0, count))
    this.#cut.filled(count, this.#now)
    return count
  }

  #flush(random: Random): void {
    while (this.#held.length > 0) this.#held = this.#feedCut(random, this.#held)
  }

  #compare(): void {
    const { whole, cut } = this.#told
    expect(whole.equals(cut), 'the same is told however the octets are cut (zmtp.md 3.7)')
    expect(this.#whole.ready === this.#cut.ready, 'ready')
  }

  #tell(connection: ZmtpConnection, told: Told): void {
    const now = this.#now
    for (let event = connection.pollEvent(now); event; event = connection.pollEvent(now)) {
      expect(!told.closed, 'nothing is told after the end')
      told.closed = event.type === 'closed'
      // How often others may go first depends on how the octets are cut.
      if (event.type !== 'passed') this.#digest(event, told)
    }
    this.#ready = this.#whole.ready
  }

  #digest(event: ZmtpEvent, digest: Digest): void {
    digest.word(event.type)
    switch (event.type) {
      case 'ready':
        digest.octets(event.identity)
        digest.number(event.metadata.size)
        break
      case 'message': {
        let bytes = 0
        for (const frame of event.frames) {
          bytes += frame.length
          digest.octets(frame)
        }
        expect(bytes <= this.#bytesMax, 'octets of a message')
        expect(event.frames.length <= this.#limits.messageFramesMax, 'frames of a message')
        break
      }
      case 'pong':
        digest.octets(event.context)
        break
      case 'subscribe':
      case 'cancel':
        expect(this.#socketType === 'PUB', 'nobody but a PUB is subscribed to')
        expect(event.topic.length <= TOPIC_BYTES_MAX, 'octets of a topic')
        digest.octets(event.topic)
        break
      case 'closed':
        digest.word(event.error.message)
        break
      default:
        break
    }
  }

  #check(): void {
    const { unreadBytes, outputBytes } = this.#whole
    // A message that is not whole, what its frames cost, and a command in between that is not whole either.
    const costBytes = this.#limits.messageFramesMax * FRAME_COST_BYTES
    const unreadMax = this.#bytesMax + costBytes + COMMAND_BYTES_MAX + 600
    expect(unreadBytes <= unreadMax, `${unreadBytes} octets are unread`)
    expect(!this.#closed || unreadBytes === 0, 'nothing is kept after the end')
    expect(outputBytes <= OUTPUT_BYTES_MAX + this.#ownBytes, `${outputBytes} octets wait`)
  }

  /** What we answer is right: the other side reads it, and finds no fault but in our ERROR. */
  #drain(): void {
    for (const connection of [this.#whole, this.#cut]) {
      for (let part = connection.pollOutput(); part; part = connection.pollOutput()) {
        if (connection === this.#whole) this.#other.handleBytes(part, 0)
      }
      expect(connection.outputBytes === 0, 'nothing waits once it is polled')
    }
    this.#ownBytes = 0
    for (let event = this.#other.pollEvent(0); event; event = this.#other.pollEvent(0)) {
      if (event.type === 'closed') expect(event.error.rule === 'zmtp.md 4.6', event.error.message)
    }
    for (let part = this.#other.pollOutput(); part; part = this.#other.pollOutput());
  }

  /** Time goes on for both alike. */
  #pass(random: Random): void {
    this.#flush(random)
    this.#compare()
    const deadline = this.#whole.pollTimeout()
    expect(deadline === this.#cut.pollTimeout(), 'the same deadline however the octets are cut')
    const passed = random.pick([0, 1, 50, 99, 100, 1_000, 6_000])
    // Most connections are to live on.
    this.#timeout(random.once(3) ? this.#now + passed : Math.min(this.#now + passed, deadline - 1))
  }

  #timeout(now: number): void {
    this.#tally.inputs++
    if (this.#ready && !this.#closed) this.#tally.ready++
    const due = now >= this.#whole.pollTimeout()
    if (due) this.#faultless = false
    this.#now = Math.max(this.#now, now)
    this.#tally.note?.(`time ${this.#now}`)
    for (const connection of [this.#whole, this.#cut]) connection.handleTimeout(this.#now)
    this.#tell(this.#whole, this.#told.whole)
    this.#tell(this.#cut, this.#told.cut)
    this.#compare()
    expect(this.#closed || !due, 'what is due closes')
  }

  /** Our own words. */
  #act(random: Random): void {
    const kind = random.below(4)
    if (kind === 0) {
      // What is read by now may be cut off differently, so both are brought to the same place.
      this.#flush(random)
      if (this.#closed) return
      const messageBytesMax = random.pick([1_000, 70_000])
      this.#limits = { ...this.#limits, messageBytesMax }
      this.#bytesMax = Math.max(this.#bytesMax, messageBytesMax)
      for (const connection of [this.#whole, this.#cut]) connection.allowMessages(messageBytesMax)
      this.#tally.note?.(`messages of ${messageBytesMax} octets are allowed`)
      return
    }
    const frames = Array.from({ length: 1 + random.below(3) }, () => new Uint8Array(sizeOf(random)))
    const context = new Uint8Array(random.below(PING_CONTEXT_BYTES_MAX + 1))
    this.#tally.note?.(kind === 1 ? 'a PING of ours' : `a message of ours, ${frames.length} frames`)
    for (const connection of [this.#whole, this.#cut]) {
      if (!connection.ready) continue
      const before = connection.outputBytes
      if (this.#socketType === 'SUB') connection.subscribe(context)
      else if (kind > 1) connection.send(frames)
      else if (connection.heartbeats) connection.ping(context)
      if (connection === this.#whole) this.#ownBytes += connection.outputBytes - before
    }
    if (this.#drained) this.#drain()
  }
}

function writeOtherReady(random: Random): void {
  const start = draft.open(4, true)
  draft.u8(5).ascii('READY')
  if (random.once(8)) {
    const size = random.pick([255, 256])
    draft.text1('Identity').u32(size).run(size, 1).close(start, true)
    return
  }
  for (let count = random.below(4); count > 0; count--) {
    const name = random.pick(['socket-type', 'IDENTITY', 'X-Fuzz', ''])
    draft.text1(name).text4(random.pick(['ROUTER', 'DEALER', 'REP', 'x', '']))
  }
  draft.close(start, true)
}

/** ERROR in place of READY, or libzmq's garbled one (zmtp.md 6.2). */
function writeRefusal(random: Random): void {
  const start = draft.open(4, false)
  if (random.once(2)) draft.u8(0x5e).ascii('RROR')
  else draft.u8(5).ascii('ERROR')
  draft.text1(random.pick(['no', '', 'Invalid mechanism'])).close(start, false)
}

function connection(socketType: SocketType, limits: ZmtpLimits): ZmtpConnection {
  const mechanism = new NullMechanism({ socketType, identity: IDENTITY })
  return new ZmtpConnection({ socketType, mechanism, limits }, 0)
}

/** A whole stream, from its greeting on, at once and octet by octet, to a socket of each type. */
function replay(octets: Uint8Array): void {
  for (const socketType of ['ROUTER', 'DEALER', 'PUB', 'SUB'] as const) {
    for (const limits of LIMITS) {
      const texts = [[octets], Array.from(octets, (octet) => Uint8Array.of(octet))].map((parts) => {
        const zmtp = connection(socketType, limits)
        const events: string[] = []
        for (const part of parts) {
          zmtp.handleBytes(part.slice(), 0)
          for (let event = zmtp.pollEvent(0); event; event = zmtp.pollEvent(0)) {
            if (event.type === 'closed') events.push(event.error.message)
            else if (event.type !== 'passed') events.push(event.type)
          }
        }
        zmtp.handleTimeout(1e9)
        return events.join()
      })
      expect(texts[0] === texts[1], 'the same is told however the octets are cut')
    }
  }
}
