// The mesh that skips ZMTP: the same connections, back-pressure and endings as src/mesh.ts has, but each message is carried
// as it is. What a ZMTP connection would say is said in a few objects; content is there once, however many get it. A message
// is whole or not there, and a turn takes no time, so what bounds unfinished ones (`unreadBytesMax`) and shares out a turn has
// nothing to do.
// Spec: harmony.md 2, zmtp.md, as far as a node can tell the difference.

import {
  type ConnectionId,
  type LinkChange,
  Places,
  parseEndpoint,
  type Uuid,
  WireError,
  type ZreCommand,
  type ZreMessage,
} from '../protocol/index.ts'
import {
  DIAL_TIMEOUT_MS,
  HELD_BYTES_MAX,
  InboxPorts,
  LATE_MS,
  type MeshHandlers,
  type MeshOptions,
  type PortRange,
  STRANGER_BYTES_MAX,
} from '../src/mesh.ts'
import type { Links } from '../src/stage.ts'
import type { Passage } from '../src/traffic.ts'
import { Alarm } from './clock.ts'
import type { Process } from './network.ts'
import { End, type EndHandlers, type Load, Server } from './streams.ts'

/** What one side of a connection says to the other. */
type Saying =
  | { readonly type: 'ready'; readonly uuid: Uuid; readonly sequence: number | undefined }
  | { readonly type: 'message'; readonly message: ZreMessage }
  | { readonly type: 'ping' | 'pong'; readonly number: number }

/** What a greeting and READY take on the wire, a PING, and the header of a message, about. */
const READY_BYTES = 130
const PING_BYTES = 11
const HEADER_BYTES = 8
const FRAME_BYTES = 2

/** One connection, accepted or dialled: what its end tells it tells its mesh. It owns no closure, as there are millions. */
class Link implements EndHandlers {
  readonly connection: ConnectionId
  readonly end: End
  readonly #mesh: MessageMesh
  /** Whether the other side has said who it is, and whether it has said HELLO. */
  up = false
  greeted: boolean
  isOpen: boolean
  /** Whether it is one of its mesh: not closed, refused or lost. */
  counts = true
  held = false
  resuming = false
  dirty = false
  told = false
  /** Whether we stop, so that its end comes behind what its mailbox still gives; and whether it has come. */
  ending = false
  ended = false
  /** When the PING went out that waits for its PONG, -1 while none does; and how many went out so far. */
  pingedAt = -1
  pingCount = 0
  /** What came while it was held. */
  unread: { readonly saying: Saying; readonly bytes: number }[] | undefined = undefined
  unreadBytes = 0

  constructor(mesh: MessageMesh, connection: ConnectionId, end: End) {
    this.#mesh = mesh
    this.connection = connection
    this.end = end
    this.isOpen = connection < 0
    this.greeted = connection > 0
  }

  open(): void {
    this.isOpen = true
  }

  receive(load: Load, bytes: number): void {
    this.#mesh.receive(this, load, bytes)
  }

  drain(): void {
    this.#mesh.drain(this)
  }

  close(reason: string): void {
    this.#mesh.lose(this, reason)
  }
}

/** The sockets of one node, for messages. */
export class MessageMesh implements Links {
  readonly #process: Process
  readonly #options: MeshOptions
  readonly #handlers: MeshHandlers
  readonly #links = new Map<ConnectionId, Link>()
  /** Links whose handshake is not done. */
  /** Those whose handshake is not done, and until when it has to be. */
  readonly #timed = new Map<Link, number>()
  readonly #counters = new Map<string, number>()
  readonly #handshakes: Places<ConnectionId>
  readonly #servers = new Map<string, Server>()
  readonly #ports = new InboxPorts()
  #acceptedCount = 0
  #wakeAt = Number.POSITIVE_INFINITY
  #dirty: Link[] = []
  #stopped: (() => void) | undefined
  /** Ends whose close we have not heard of. */
  #endCount = 0
  #allClosed: (() => void) | undefined

  constructor(process: Process, options: MeshOptions, handlers: MeshHandlers) {
    this.#process = process
    this.#options = options
    this.#handlers = handlers
    this.#handshakes = new Places(options.handshakesMax)
  }

  async listen(address: string, ports: PortRange): Promise<number> {
    const there = this.#servers.get(address)
    if (there !== undefined) return there.port
    const server = await this.#ports.listen(
      address,
      ports,
      (port) => new Server(this.#process, { address, port }, (end) => this.#accept(end)),
    )
    this.#servers.set(address, server)
    return server.port
  }

  unlisten(address: string): void {
    this.#servers.get(address)?.close()
    this.#servers.delete(address)
  }

  leave(address: string): void {
    this.unlisten(address)
    for (const link of [...this.#links.values()]) {
      if (link.end.localAddress === address) link.end.destroy()
    }
  }

  dial(connection: ConnectionId, endpoint: string, sequence?: number): void {
    const to = parseEndpoint(endpoint)
    if (to === undefined) {
      const reason = `${endpoint} is no tcp endpoint`
      this.#defer(() => this.#handlers.link(connection, { type: 'refused', reason }))
      return
    }
    const end = End.dial(this.#process, { address: to.host, port: to.port })
    const link = this.#add(connection, end)
    end.tell(link)
    end.send({ type: 'ready', uuid: this.#options.uuid, sequence } satisfies Saying, READY_BYTES)
    this.#time(link, this.#now() + DIAL_TIMEOUT_MS)
  }

  write(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (link === undefined) return
    if (link.told) {
      this.#flush(link)
    } else {
      link.told = true
      this.#schedule(link)
    }
  }

  measure(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (!link?.up || link.pingedAt >= 0) return
    link.pingedAt = this.#now()
    link.end.send({ type: 'ping', number: ++link.pingCount } satisfies Saying, PING_BYTES)
  }

  hold(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (link === undefined) return
    link.held = true
    link.resuming = false
  }

  resume(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (!link?.held) return
    link.greeted = true
    link.resuming = true
    this.#defer(() => {
      if (!link.counts || !link.resuming) return
      link.resuming = false
      link.held = false
      link.end.resume()
      this.#readOn(link)
    })
  }

  close(connection: ConnectionId): void {
    const link = this.#links.get(connection)
    if (link === undefined) return
    this.#remove(link)
    link.end.destroy()
  }

  handleTimeout(now: number): void {
    if (now < this.#wakeAt) return
    const isLate = now - this.#wakeAt > LATE_MS
    this.#wakeAt = Number.POSITIVE_INFINITY
    for (const [link, until] of [...this.#timed]) {
      const { handshakeTimeoutMs } = this.#options.zmtp
      const wholeMs = link.connection > 0 ? DIAL_TIMEOUT_MS : handshakeTimeoutMs
      const deadline = isLate ? now + wholeMs : until
      this.#timed.set(link, deadline)
      if (now >= deadline) {
        this.#refuse(link, new WireError('zmtp.md 4.5', 'no handshake in time'))
      } else {
        this.#wakeAt = Math.min(this.#wakeAt, deadline)
      }
    }
  }

  pollTimeout(): number {
    return this.#wakeAt
  }

  async stop(lingerMs: number): Promise<void> {
    for (const server of this.#servers.values()) server.close()
    this.#servers.clear()
    for (const link of this.#links.values()) {
      if (link.connection < 0) continue
      if (!link.up) {
        this.close(link.connection)
        continue
      }
      link.ending = true
      this.#flush(link)
    }
    await this.#mailboxesClosed(lingerMs)
    for (const link of [...this.#links.values()]) {
      this.#remove(link)
      link.end.destroy()
    }
    if (this.#endCount > 0) await new Promise<void>((resolve) => (this.#allClosed = resolve))
  }

  abort(): void {
    this.#stopped?.()
  }

  diagnostics(): {
    readonly connections: number
    readonly counters: Readonly<Record<string, number>>
  } {
    return { connections: this.#links.size, counters: Object.fromEntries(this.#counters) }
  }

  backlogBytes(connection: ConnectionId): number {
    return this.#links.get(connection)?.end.backlogBytes ?? 0
  }

  /** A link has ended by itself. */
  lose(link: Link, reason: string): void {
    if (--this.#endCount === 0 && this.#allClosed !== undefined) {
      this.#allClosed()
      this.#process.network.woke()
    }
    if (!link.counts) return
    this.#remove(link)
    if (link.isOpen && !link.up) this.#count('handshake-lost')
    this.#handlers.link(link.connection, { type: 'lost', reason })
  }

  /** A link has room again. */
  drain(link: Link): void {
    if (link.counts) this.#flush(link)
  }

  #accept(end: End): EndHandlers {
    const connection = -++this.#acceptedCount
    const link = this.#add(connection, end)
    const evicted = this.#handshakes.take(connection, end.remoteAddress)
    if (evicted !== undefined) {
      this.#count('handshakes-limit')
      this.close(evicted)
      if (evicted === connection) return link
    }
    this.#time(link, this.#now() + this.#options.zmtp.handshakeTimeoutMs)
    const { uuid } = this.#options
    end.send({ type: 'ready', uuid, sequence: undefined } satisfies Saying, READY_BYTES)
    return link
  }

  #add(connection: ConnectionId, end: End): Link {
    const link = new Link(this, connection, end)
    this.#endCount++
    this.#links.set(connection, link)
    return link
  }

  /** Something came over a link. */
  receive(link: Link, load: Load, bytes: number): void {
    if (!link.counts) return
    const now = this.#now()
    this.#handlers.activity(link.connection, now)
    if (load instanceof Uint8Array) {
      // Whoever writes octets is no node of ours.
      this.#refuse(link, new WireError('zmtp.md 2.1', 'this is not ZMTP'))
      return
    }
    const saying = load as Saying
    if (link.held) {
      link.unread ??= []
      link.unread.push({ saying, bytes })
      link.unreadBytes += bytes
      if (link.unreadBytes > HELD_BYTES_MAX) link.end.pause()
      return
    }
    this.#handle(link, saying, bytes)
    this.#handlers.heard()
  }

  #readOn(link: Link): void {
    while (link.unread !== undefined && !link.held && link.counts) {
      const [next] = link.unread.splice(0, 1)
      if (next === undefined) {
        link.unread = undefined
        break
      }
      link.unreadBytes -= next.bytes
      this.#handle(link, next.saying, next.bytes)
    }
    this.#handlers.heard()
  }

  #handle(link: Link, saying: Saying, bytes: number): void {
    const { connection } = link
    switch (saying.type) {
      case 'ready': {
        link.up = true
        this.#handshakes.free(connection)
        this.#timed.delete(link)
        const { uuid, sequence } = saying
        const address = link.end.remoteAddress
        const change: LinkChange = { type: 'up', uuid, address, answers: true, sequence }
        this.#handlers.link(connection, change)
        if (connection > 0 && link.counts) this.#schedule(link)
        break
      }
      case 'message':
        this.#handleMessage(link, saying.message, bytes)
        break
      case 'ping':
        link.end.send({ type: 'pong', number: saying.number } satisfies Saying, PING_BYTES)
        break
      case 'pong': {
        const roundTripMs = this.#now() - link.pingedAt
        if (link.pingedAt < 0 || saying.number !== link.pingCount) break
        link.pingedAt = -1
        this.#handlers.link(connection, { type: 'measured', roundTripMs })
        break
      }
    }
  }

  #handleMessage(link: Link, message: ZreMessage, bytes: number): void {
    const { messageBytesMax, messageFramesMax } = this.#options.zmtp
    const bytesMax = link.greeted ? messageBytesMax : Math.min(STRANGER_BYTES_MAX, messageBytesMax)
    if (bytes > bytesMax) {
      this.#refuse(link, new WireError('zmtp.md 3.3', `a message of ${bytes} octets`))
      return
    }
    if ('content' in message && message.content.length >= messageFramesMax) {
      this.#refuse(link, new WireError('zmtp.md 3.4', 'a message of too many frames'))
      return
    }
    if (message.type === 'hello') link.greeted = true
    const { history } = this.#process.network
    history.message('delivered', link.end.incoming, message)
    this.#pass({ direction: 'in', connection: link.connection, message, bytes })
    this.#handlers.message(link.connection, message, this.#now())
  }

  #refuse(link: Link, error: WireError): void {
    this.#count(`refused: ${error.rule}`)
    this.#remove(link)
    link.end.end()
    this.#defer(() => link.end.destroy())
    this.#handlers.link(link.connection, { type: 'refused', reason: error.message })
  }

  #remove(link: Link): void {
    link.counts = false
    this.#links.delete(link.connection)
    this.#timed.delete(link)
    this.#handshakes.free(link.connection)
    if (this.#stopped !== undefined && !this.#hasMailboxes()) this.#stopped()
  }

  #time(link: Link, deadline: number): void {
    this.#timed.set(link, deadline)
    if (deadline >= this.#wakeAt) return
    this.#wakeAt = deadline
    this.#handlers.sooner()
  }

  #schedule(link: Link): void {
    if (link.dirty) return
    link.dirty = true
    if (this.#dirty.push(link) > 1) return
    this.#defer(() => {
      const links = this.#dirty
      this.#dirty = []
      for (const dirty of links) this.#flush(dirty)
    })
  }

  #flush(link: Link): void {
    link.dirty = false
    link.told = false
    if (!link.counts || link.ended) return
    const { history } = this.#process.network
    const isMailbox = link.connection > 0 && link.up
    const mailbox = isMailbox ? this.#handlers.mailbox(link.connection) : undefined
    let more = mailbox !== undefined
    while (mailbox !== undefined && link.end.backlogBytes < this.#options.backlogBytesMax) {
      const command = mailbox.poll()
      more = command !== undefined
      if (command === undefined) break
      const message = messageOf(command, mailbox.sequence)
      history.message('written', link.end, message)
      const bytes = bytesOf(message)
      link.end.send({ type: 'message', message } satisfies Saying, bytes)
      this.#pass({ direction: 'out', connection: link.connection, message, bytes })
    }
    if (link.ending && !more) {
      link.ended = true
      link.end.end()
    }
    this.#handlers.written(link.connection)
  }

  #pass(passage: Passage): void {
    const { traffic, tap } = this.#options
    const counts = passage.direction === 'in' ? traffic.received : traffic.sent
    const count = counts[passage.message.type]
    count.messages++
    count.bytes += passage.bytes
    tap?.(passage)
  }

  #hasMailboxes(): boolean {
    for (const { connection, up } of this.#links.values()) {
      if (connection > 0 && up) return true
    }
    return false
  }

  #mailboxesClosed(lingerMs: number): Promise<void> {
    const { clock } = this.#process.network
    return new Promise((resolve) => {
      const alarm = new Alarm(() => this.#process.run(() => this.#stopped?.()))
      this.#stopped = () => {
        this.#stopped = undefined
        clock.set(alarm, Number.POSITIVE_INFINITY)
        resolve()
        this.#process.network.woke()
      }
      clock.set(alarm, clock.nowUs + Math.ceil(lingerMs * 1_000))
      if (!this.#hasMailboxes()) this.#stopped()
    })
  }

  #now(): number {
    return this.#process.now
  }

  #defer(act: () => void): void {
    this.#process.network.clock.defer(() => this.#process.run(act))
  }

  #count(reason: string): void {
    this.#counters.set(reason, (this.#counters.get(reason) ?? 0) + 1)
  }
}

/** What the other side hears: written out by type, since a spread costs more than all the rest of a small message. */
function messageOf(command: ZreCommand, sequence: number): ZreMessage {
  switch (command.type) {
    case 'whisper':
      return { type: 'whisper', sequence, content: Object.freeze(command.content) }
    case 'shout': {
      const { group, content } = command
      return { type: 'shout', sequence, group, content: Object.freeze(content) }
    }
    case 'join':
    case 'leave': {
      const { type, group, status } = command
      return { type, sequence, group, status }
    }
    case 'ping':
    case 'ping-ok':
    case 'goodbye':
      return { type: command.type, sequence }
    default:
      return { ...command, sequence }
  }
}

/** About what it takes on the wire. */
function bytesOf(message: ZreMessage): number {
  let bytes = HEADER_BYTES
  switch (message.type) {
    case 'hello':
      bytes += 11 + message.endpoint.length + message.name.length
      for (const group of message.groups) bytes += 4 + group.length
      for (const key of Object.keys(message.headers)) {
        bytes += 5 + key.length + (message.headers[key] as string).length
      }
      break
    case 'shout':
      bytes += 1 + message.group.length
      for (const frame of message.content) bytes += FRAME_BYTES + frame.length
      break
    case 'whisper':
      for (const frame of message.content) bytes += FRAME_BYTES + frame.length
      break
    case 'join':
    case 'leave':
      bytes += 2 + message.group.length
      break
    default:
      break
  }
  return bytes
}
