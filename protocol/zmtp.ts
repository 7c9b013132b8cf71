// ZMTP 3.1, the transport under every link: a greeting, a handshake by which a mechanism lets the other side in, then
// messages of frames and a few commands. One ZmtpConnection is one end of one byte stream. It reads only when asked
// (pollEvent), so whoever holds it can stop between two messages; it talks to 3.0 peers as well.
// Spec: zmtp.md, after 37/ZMTP and 23/ZMTP.

import { assert } from './assert.ts'
import { fromUtf8, Reader, utf8, Writer } from './bytes.ts'
import { WireError } from './errors.ts'
import {
  type Allocate,
  COMMAND,
  COMMAND_BYTES_MAX,
  FrameReader,
  FrameWriter,
  MORE,
} from './frames.ts'
import {
  type Command,
  commandName,
  IDENTITY_BYTES_MAX,
  type Mechanism,
  type Metadata,
  printable,
  type SocketType,
} from './mechanism.ts'

export {
  type Command,
  IDENTITY_BYTES_MAX,
  type Mechanism,
  type Metadata,
  NullMechanism,
  type SocketType,
} from './mechanism.ts'

/** Whom each of what we can be may talk to (zmtp.md 4.2). */
const PARTNERS: Readonly<Record<SocketType, readonly string[]>> = {
  ROUTER: ['REQ', 'DEALER', 'ROUTER'],
  DEALER: ['REP', 'DEALER', 'ROUTER'],
  PUB: ['SUB', 'XSUB'],
  SUB: ['PUB', 'XPUB'],
}

/** The limits of one connection, all checked before anything is allocated. */
export interface ZmtpLimits {
  /** From the beginning to the end of the handshake, in milliseconds. */
  readonly handshakeTimeoutMs: number
  /** Octets of all frames of a message. */
  readonly messageBytesMax: number
  /** Frames of a message. */
  readonly messageFramesMax: number
}

/** The limits of a connection that is told nothing else: 5 s, 64 MiB, 1,024 frames. */
export const ZMTP_LIMITS: ZmtpLimits = {
  handshakeTimeoutMs: 5_000,
  messageBytesMax: 67_108_864,
  messageFramesMax: 1_024,
}

/** Octets of a PING's context that come back in its PONG (zmtp.md 5.2). */
export const PING_CONTEXT_BYTES_MAX = 16
/** Octets of a topic, by which messages are subscribed to (zmtp.md 7.3). */
export const TOPIC_BYTES_MAX = 255

/** What a connection found out; `error` says in `message` what a person should know. */
export type ZmtpEvent =
  | { readonly type: 'ready'; readonly identity: Uint8Array; readonly metadata: Metadata }
  | ZmtpMessage
  | { readonly type: 'pong'; readonly context: Uint8Array }
  /** A PUB is asked for messages that begin with the topic, a view of what came, or not any more; each counts. */
  | { readonly type: 'subscribe' | 'cancel'; readonly topic: Uint8Array }
  /** So many frames came that tell nothing yet; there may be more, but others may have their turn first. */
  | { readonly type: 'passed' }
  | { readonly type: 'closed'; readonly error: WireError }

const GREETING_BYTES = 64
/** Frames and commands that are read in a row without anything to tell (zmtp.md 3.10). */
const FRAMES_AT_ONCE = 8
/** Answers that may wait to be written. Who asks faster than it reads gets no more of them (zmtp.md 5.3). */
const PONGS_MAX = 16
/** What a frame of an unfinished message takes beside its octets, about. */
const FRAME_COST_BYTES = 256
/** The rule by which the other side's own ERROR ends a connection. */
const REFUSED = 'zmtp.md 4.6'
const EMPTY = new Uint8Array(0)
/** Never changed: a frame is put into a list of its own. */
const NO_FRAMES: Uint8Array[] = []
// What never changes is written once: a crowd says PING and PONG more often than anything else.
const GREETINGS = new Map<string, Uint8Array>()
const ERROR = commandName('ERROR')
const PING = commandName('PING')
/** With a TTL of 0 (zmtp.md 5.1). */
const OUR_PING = new Writer().bytes(PING).u16(0).finish()
const PONG = commandName('PONG')
/** By which octet each is said to, and by, a peer that speaks 3.0; and the command of those that speak 3.1 (zmtp.md 7.1). */
const CANCELS = 0
const SUBSCRIBES = 1
const CANCEL = commandName('CANCEL')
const SUBSCRIBE = commandName('SUBSCRIBE')

/**
 * One whole message, until pollEvent() is called again: a connection has one such object for all. The first frame mostly is a
 * few octets that are read at once and kept by nobody, so it stays where it came, and only who asks for all frames has a view
 * made of it. Both save a third of what a small message leaves to be cleared away.
 */
export class ZmtpMessage {
  readonly type = 'message'
  /** The first frame: these octets, from `start` to before `end`. */
  octets: Uint8Array = EMPTY
  start = 0
  end = 0
  /** The frames behind it. */
  rest: Uint8Array[] = NO_FRAMES

  /** All its frames, one at least. */
  get frames(): readonly Uint8Array[] {
    return [this.octets.subarray(this.start, this.end), ...this.rest]
  }
}

type State =
  | { readonly type: 'greeting' | 'handshake'; readonly mechanism: Mechanism }
  | { readonly type: 'ready' }
  | { readonly type: 'closed'; readonly error: WireError }

const READY_STATE: State = { type: 'ready' }

/** For the next connection that reads a message: those that are quiet have none. */
let spareMessage: ZmtpMessage | undefined

/** One end of a connection, without the connection. What it needs for a handshake or while it reads is only there as long. */
export class ZmtpConnection {
  readonly #socketType: SocketType
  readonly #limits: ZmtpLimits
  #messageBytesMax: number
  #isTrusted = false
  readonly #allocate: Allocate | undefined
  #input: FrameReader | undefined
  #output: FrameWriter | undefined
  #state: State
  #reported = false
  #minor = 0
  /** The message that comes; how many of its frames and octets have. */
  #message: ZmtpMessage | undefined
  #framesCount = 0
  #framesBytes = 0
  #pongs = 0
  /** What the other side promises, and until when; undefined, not infinite, as each number that is no integer takes memory. */
  #ttlMs: number | undefined
  #deadline: number | undefined

  /**
   * Begins with our greeting, which pollOutput() gives.
   * @param options what we are: the mechanism tells our own properties to the other side; `allocate` gives memory to read to.
   */
  constructor(
    options: {
      readonly socketType: SocketType
      readonly mechanism: Mechanism
      readonly limits: ZmtpLimits
      readonly allocate?: Allocate
    },
    now: number,
  ) {
    this.#socketType = options.socketType
    this.#state = { type: 'greeting', mechanism: options.mechanism }
    this.#limits = options.limits
    this.#messageBytesMax = options.limits.messageBytesMax
    this.#allocate = options.allocate
    this.#deadline = now + options.limits.handshakeTimeoutMs
    this.#writer().raw(greetingOf(options.mechanism.name))
  }

  /** Whether messages can be sent. */
  get ready(): boolean {
    return this.#state.type === 'ready'
  }

  /** Whether the other side knows PING, which came with 3.1. */
  get heartbeats(): boolean {
    return this.ready && this.#minor >= 1
  }

  /** Takes octets of the stream, in pieces of any size. They are ours from now on: frames are views of them. */
  handleBytes(bytes: Uint8Array, now: number): void {
    if (this.#state.type === 'closed') return
    this.#reader().add(bytes)
    if (this.#ttlMs !== undefined) this.#deadline = now + this.#ttlMs
  }

  /** Where the next octets may be read to, and filled() says how many came; undefined as long as there is little to read. */
  room(): Uint8Array | undefined {
    return this.#input?.room()
  }

  /** So many octets of the stream came, to where room() said. */
  filled(count: number, now: number): void {
    if (this.#state.type === 'closed') return
    this.#reader().filled(count)
    if (this.#ttlMs !== undefined) this.#deadline = now + this.#ttlMs
  }

  /** Whoever owns it did not run for a while, and has not read what may have come: that has its time again (zmtp.md 5.4). */
  excuse(now: number): void {
    if (this.#deadline !== undefined)
      this.#deadline = now + (this.#ttlMs ?? this.#limits.handshakeTimeoutMs)
  }

  /** Closes a connection whose handshake, or whose next octet within the other side's own TTL, is late. */
  handleTimeout(now: number): void {
    if (now < this.pollTimeout()) return
    this.#close(
      this.ready
        ? new WireError('zmtp.md 5.4', 'nothing came for as long as the peer itself had promised')
        : new WireError('zmtp.md 4.5', `no handshake within ${this.#limits.handshakeTimeoutMs} ms`),
    )
  }

  /** When handleTimeout() has something to do; Infinity if never. */
  pollTimeout(): number {
    if (this.#state.type === 'closed') return Number.POSITIVE_INFINITY
    return this.#deadline ?? Number.POSITIVE_INFINITY
  }

  /**
   * Reads on until there is something to say; undefined when more octets are needed. After 'closed' nothing follows, and
   * the caller closes the stream once it has written pollOutput().
   */
  pollEvent(now: number): ZmtpEvent | undefined {
    try {
      for (let count = 0; this.#state.type !== 'closed'; count++) {
        if (count === FRAMES_AT_ONCE) return { type: 'passed' }
        const state: State = this.#state
        const event = 'mechanism' in state ? this.#readHandshake(state) : this.#readTraffic(now)
        if (event === 'starved') {
          if (this.#framesCount === 0) this.#forget()
          if (this.#input?.idle) this.#input = undefined
          break
        }
        if (event === undefined) continue
        if (event.type !== 'message' || this.#socketType !== 'PUB') return event
        const subscription = readSubscription(event)
        if (subscription !== undefined) return subscription
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      if (this.#state.type === 'handshake' && error.rule !== REFUSED) this.#sendError(error)
      this.#close(error)
    }
    if (this.#state.type !== 'closed' || this.#reported) return undefined
    this.#reported = true
    return { type: 'closed', error: this.#state.error }
  }

  /**
   * Queues one message. Bodies up to 4,096 octets are copied, longer ones must not change until they are written.
   * Only when ready; at least one frame.
   * @param head a frame before the others: what was written to it, which is copied.
   */
  send(frames: readonly Uint8Array[], head?: Writer): void {
    assert(this.ready, 'a message was sent before the handshake')
    const output = this.#writer()
    if (head !== undefined) {
      output.copy(frames.length > 0 ? MORE : 0, head.octets, head.size)
    }
    const last = frames.length - 1
    for (let index = 0; index <= last; index++) {
      output.frame(index < last ? MORE : 0, frames[index] as Uint8Array)
    }
  }

  /**
   * Queues a PING; its PONG comes as an event with the same context, 0 to 16 octets. It promises nothing about when we
   * speak next: its TTL is 0 (zmtp.md 5.1). Only where `heartbeats`.
   */
  ping(context: Uint8Array): void {
    assert(this.heartbeats, 'a PING was sent to a peer that does not know it')
    assert(context.length <= PING_CONTEXT_BYTES_MAX, 'the context of a PING is too long')
    this.#writer().command(OUR_PING, context)
  }

  /** Asks for the messages that begin with these octets, 255 at most; only as a SUB that is ready. */
  subscribe(topic: Uint8Array): void {
    this.#tell(SUBSCRIBE, topic)
  }

  /** Takes one subscribe() back. */
  cancel(topic: Uint8Array): void {
    this.#tell(CANCEL, topic)
  }

  /** The next octets to write to the stream, which must not change until release(); undefined when there are none. */
  pollOutput(): Uint8Array | undefined {
    const bytes = this.#output?.poll()
    if (bytes === undefined) this.#pongs = 0
    return bytes
  }

  /** All that pollOutput() gave was written. @param isTaken whether nobody needs that memory any more. */
  release(isTaken: boolean): void {
    if (this.#output === undefined) return
    this.#output.release(isTaken)
    // One that has nothing left, and nothing to get back, need not be there.
    if (this.#output.idle) this.#output = undefined
  }

  /** Nobody needs any memory any more that pollOutput() ever gave. */
  drained(): void {
    this.#output?.drained()
  }

  /** Messages may have so many octets from now on: more than a stranger's (zmtp.md 3.8). */
  allowMessages(messageBytesMax: number): void {
    this.#messageBytesMax = messageBytesMax
    this.#isTrusted = true
    this.#input?.trust()
  }

  /** Memory that what came and pollEvent() has not given yet takes, about: its octets, and each frame of a message. */
  get unreadBytes(): number {
    return (this.#input?.size ?? 0) + this.#framesBytes + this.#framesCount * FRAME_COST_BYTES
  }

  /** Octets that pollOutput() has still to give. */
  get outputBytes(): number {
    return this.#output?.size ?? 0
  }

  /** As libzmq does: by a command where the other side knows it, which came with 3.1, and else by a message. */
  #tell(command: Uint8Array, topic: Uint8Array): void {
    assert(this.#socketType === 'SUB' && this.ready, 'who subscribes is a SUB after its handshake')
    assert(topic.length <= TOPIC_BYTES_MAX, 'a topic is too long')
    const isOld = this.#minor === 0
    const head = isOld ? [command === SUBSCRIBE ? SUBSCRIBES : CANCELS] : command
    const body = new Uint8Array(head.length + topic.length)
    body.set(head)
    body.set(topic, head.length)
    this.#writer().frame(isOld ? 0 : COMMAND, body)
  }

  #writer(): FrameWriter {
    this.#output ??= new FrameWriter()
    return this.#output
  }

  #reader(): FrameReader {
    if (this.#input !== undefined) return this.#input
    this.#input = new FrameReader(this.#allocate)
    if (this.#isTrusted) this.#input.trust()
    return this.#input
  }

  #readHandshake(state: State & { mechanism: Mechanism }): ZmtpEvent | 'starved' | undefined {
    const { mechanism } = state
    const input = this.#reader()
    if (state.type === 'greeting') {
      if (!this.#readGreeting(input, mechanism)) return 'starved'
      this.#state = { type: 'handshake', mechanism }
      this.#sendCommands(mechanism)
    }
    if (!input.next(COMMAND_BYTES_MAX)) return 'starved'
    if ((input.flags & COMMAND) === 0) {
      throw new WireError('zmtp.md 4.1', 'a message came before the handshake was done')
    }
    const command = decodeHandshakeCommand(input.body())
    if (command.name === 'ERROR') throw refusal(command.data)
    mechanism.handleCommand(command)
    this.#sendCommands(mechanism)
    const metadata = mechanism.peer
    return metadata === undefined ? undefined : this.#finishHandshake(metadata)
  }

  /** Judges each octet as soon as it is here: who talks another protocol may never send the 64th. */
  #readGreeting(input: FrameReader, { name }: Mechanism): boolean {
    const octets = input.unread
    if ((octets[0] ?? 0xff) !== 0xff || (octets[9] ?? 0x7f) !== 0x7f) {
      throw new WireError('zmtp.md 2.1', 'this is not ZMTP')
    }
    const major = octets[10] ?? 3
    if (major < 3) {
      throw new WireError('zmtp.md 2.3', `the peer speaks ZMTP ${major === 0 ? 1 : 2}, we need 3.0`)
    }
    if (octets.length >= 32 && !isMechanism(octets, name)) {
      const mechanism = fromUtf8(octets.subarray(12, 32)).replace(/\0+$/, '')
      throw new WireError(
        'zmtp.md 2.4',
        `the peer wants security mechanism ${printable(mechanism)}, we ${name}`,
      )
    }
    if (octets.length < GREETING_BYTES) return false
    this.#minor = major > 3 ? 1 : (octets[11] as number)
    input.skip(GREETING_BYTES)
    return true
  }

  #finishHandshake(metadata: Metadata): ZmtpEvent {
    const type = metadata.get('socket-type')
    // libzmq lets a peer in that does not say what it is; so do we.
    if (type !== undefined && !PARTNERS[this.#socketType].includes(fromUtf8(type))) {
      throw new WireError(
        'zmtp.md 4.2',
        `a ${printable(fromUtf8(type))} socket cannot talk to a ${this.#socketType}`,
      )
    }
    const identity = metadata.get('identity') ?? EMPTY
    if (identity.length > IDENTITY_BYTES_MAX) {
      throw new WireError('zmtp.md 4.4', `an identity of ${identity.length} octets`)
    }
    this.#state = READY_STATE
    this.#deadline = undefined
    return { type: 'ready', identity, metadata }
  }

  #sendCommands(mechanism: Mechanism): void {
    for (;;) {
      const command = mechanism.pollCommand()
      if (command === undefined) return
      this.#writer().frame(COMMAND, command)
    }
  }

  #readTraffic(now: number): ZmtpEvent | 'starved' | undefined {
    const input = this.#reader()
    const message = this.#writeTo()
    if (this.#framesCount === 0 && input.pair(this.#messageBytesMax)) {
      if (message.octets !== input.octets) message.octets = input.octets
      message.start = input.start
      message.end = input.end
      message.rest = [input.second()]
      return message
    }
    if (!input.next(this.#messageBytesMax - this.#framesBytes)) return 'starved'
    if ((input.flags & COMMAND) !== 0) return this.#handleTraffic(input.body(), now)
    if (this.#framesCount === 0) {
      message.octets = input.octets
      message.start = input.start
      message.end = input.end
      message.rest = NO_FRAMES
    } else if (this.#framesCount === 1) {
      // A list that is pushed to takes room for 17, and most messages have one frame behind the first.
      message.rest = [input.body()]
    } else {
      message.rest.push(input.body())
    }
    if ((input.flags & MORE) === 0) {
      this.#framesCount = 0
      this.#framesBytes = 0
      return message
    }
    this.#framesBytes += input.end - input.start
    const { messageFramesMax } = this.#limits
    if (++this.#framesCount >= messageFramesMax) {
      throw new WireError('zmtp.md 3.4', `a message of more than ${messageFramesMax} frames`)
    }
    return undefined
  }

  /** The message that comes. */
  #writeTo(): ZmtpMessage {
    if (this.#message !== undefined) return this.#message
    this.#message = spareMessage ?? new ZmtpMessage()
    spareMessage = undefined
    return this.#message
  }

  /** No message is on its way, and none that came is kept. */
  #forget(): void {
    this.#framesCount = 0
    this.#framesBytes = 0
    const message = this.#message
    if (message === undefined) return
    message.octets = EMPTY
    message.rest = NO_FRAMES
    spareMessage = message
    this.#message = undefined
  }

  /** Commands that we do not know, or whose name cannot be read, are passed over, as by libzmq (zmtp.md 5.5). */
  #handleTraffic(body: Uint8Array, now: number): ZmtpEvent | undefined {
    if (begins(body, PONG)) return { type: 'pong', context: body.subarray(PONG.length) }
    if (begins(body, PING)) {
      this.#handlePing(body, now)
    } else if (begins(body, ERROR)) {
      throw refusal(body.subarray(ERROR.length))
    } else if (this.#socketType === 'PUB') {
      if (begins(body, SUBSCRIBE)) return subscription('subscribe', body.subarray(SUBSCRIBE.length))
      if (begins(body, CANCEL)) return subscription('cancel', body.subarray(CANCEL.length))
    }
    return undefined
  }

  #handlePing(body: Uint8Array, now: number): void {
    const reader = new Reader(body, 'zmtp.md 5.2')
    reader.skip(PING.length)
    const ttlDeciseconds = reader.u16()
    const context = reader.bytes(Math.min(reader.left, PING_CONTEXT_BYTES_MAX))
    this.#ttlMs = ttlDeciseconds === 0 ? undefined : ttlDeciseconds * 100
    this.#deadline = this.#ttlMs === undefined ? undefined : now + this.#ttlMs
    if (this.#pongs++ < PONGS_MAX) this.#writer().command(PONG, context)
  }

  /** Tells a peer that can read a command why it is not let in: a person may be looking at its log (zmtp.md 4.9). */
  #sendError(error: WireError): void {
    const reason = utf8(error.message).subarray(0, 255)
    const command = new Writer().bytes(ERROR).u8(reason.length).bytes(reason)
    this.#writer().frame(COMMAND, command.finish())
  }

  /** Without an ERROR, after which libzmq would never try again: a late peer may have been slow (zmtp.md 6.1). */
  #close(error: WireError): void {
    this.#state = { type: 'closed', error }
    this.#input = undefined
    this.#forget()
  }
}

/** What a message to a PUB says: undefined where it says nothing to it (zmtp.md 7.1, 7.2). */
function readSubscription({ octets, start, end, rest }: ZmtpMessage): ZmtpEvent | undefined {
  if (rest.length > 0 || start === end) return undefined
  const topic = octets.subarray(start + 1, end)
  if (octets[start] === SUBSCRIBES) return subscription('subscribe', topic)
  return octets[start] === CANCELS ? subscription('cancel', topic) : undefined
}

function subscription(type: 'subscribe' | 'cancel', topic: Uint8Array): ZmtpEvent {
  if (topic.length > TOPIC_BYTES_MAX) {
    throw new WireError('zmtp.md 7.3', `a topic of ${topic.length} octets`)
  }
  return { type, topic }
}

/** The 64 octets that each side begins with, once for each mechanism. */
function greetingOf(name: string): Uint8Array {
  const known = GREETINGS.get(name)
  if (known !== undefined) return known
  const mechanism = new Uint8Array(20)
  mechanism.set(utf8(name))
  const writer = new Writer().u8(0xff).bytes(new Uint8Array(8)).u8(0x7f).u8(3).u8(1)
  const greeting = writer.bytes(mechanism).bytes(new Uint8Array(32)).finish()
  GREETINGS.set(name, greeting)
  return greeting
}

/** Whether a greeting names this mechanism, with all its 20 octets. */
function isMechanism(octets: Uint8Array, name: string): boolean {
  const greeting = greetingOf(name)
  for (let index = 12; index < 32; index++) if (octets[index] !== greeting[index]) return false
  return true
}

/** Whether the body of a command begins with this name, and has it whole. */
function begins(body: Uint8Array, name: Uint8Array): boolean {
  for (let index = 0; index < name.length; index++) if (body[index] !== name[index]) return false
  return true
}

function decodeCommand(body: Uint8Array): Command | undefined {
  const size = body[0]
  if (size === undefined || size >= body.length) return undefined
  return { name: fromUtf8(body.subarray(1, 1 + size)), data: body.subarray(1 + size) }
}

function decodeHandshakeCommand(body: Uint8Array): Command {
  // libzmq's PLAIN refusal begins with 5E 'RROR': an escape in its source swallows the length and the E (zmtp.md 6.2).
  if (body[0] === 0x5e && fromUtf8(body.subarray(1, 5)) === 'RROR') {
    return { name: 'ERROR', data: body.subarray(5) }
  }
  const command = decodeCommand(body)
  if (command === undefined || command.name === '') {
    throw new WireError('zmtp.md 4.1', 'a handshake command without a name')
  }
  return command
}

/** What the peer says in its ERROR. */
function refusal(data: Uint8Array): WireError {
  const reason = new Reader(data, REFUSED).text1()
  return new WireError(REFUSED, `the peer refused the connection: ${printable(reason)}`)
}
