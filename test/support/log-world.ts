/** Logs over the streams of a world in memory: senders and receivers, each with a timer of its own, and ends of bare octets. */

import type { CollectedEvent } from '../../protocol/index.ts'
import type { Host, Stream, StreamHandlers } from '../../src/host.ts'
import { LogReceiver, type LogReceiverOptions } from '../../src/log/receiver.ts'
import { LogSender, type LogSenderOptions } from '../../src/log/sender.ts'
import type { World } from './host.ts'
import { NODE, plain, RING } from './log.ts'
import { connectionOf, eventsOf, type KeptEvent, outputOf } from './zmtp.ts'

export const PORT = 9_000
export const AT = `tcp://127.0.0.1:${PORT}`
const ADDRESSES = ['127.0.0.1']

export function senderOf(
  world: World,
  options: Partial<LogSenderOptions> = {},
  host: Host = world.host(),
): LogSender {
  const timer = host.clock.timer(() => sender.handleTimeout(world.now))
  const sender: LogSender = new LogSender(
    host,
    { uuid: NODE, name: 'kitchen', level: 'debug', ...RING, ...options },
    { sooner: () => timer.set(sender.pollTimeout()) },
  )
  sender.start('tcp://127.0.0.1:1')
  return sender
}

/** Announces a collector by the uuid of whoever has it. */
export function announce(sender: LogSender, endpoint = AT, uuid = endpoint): boolean {
  return sender.announce(uuid, endpoint, ADDRESSES)
}

/** A receiver at PORT, and what came out of it. */
export async function receiverOf(
  world: World,
  options: Partial<LogReceiverOptions> = {},
): Promise<{ receiver: LogReceiver; events: CollectedEvent[]; lines: () => string[] }> {
  const host = world.host()
  const events: CollectedEvent[] = []
  const timer = host.clock.timer(() => receiver.handleTimeout(world.now))
  const receiver: LogReceiver = new LogReceiver(
    host,
    { level: 'debug', holdMs: 50, connectionsMax: 10, ...options },
    {
      event: (event) => events.push(event),
      sooner: () => timer.set(receiver.pollTimeout()),
    },
  )
  await receiver.listen({ address: '127.0.0.1', port: PORT })
  return { receiver, events, lines: () => events.map(plain) }
}

/** One end that says what a test wants. */
export class Raw implements StreamHandlers {
  readonly zmtp
  readonly events: KeptEvent[] = []
  stream!: Stream
  over = ''
  #isOpen = false

  constructor(socketType: 'PUB' | 'SUB') {
    this.zmtp = connectionOf({ socketType })
  }

  static connect(world: World, socketType: 'PUB' | 'SUB' = 'PUB'): Raw {
    const raw = new Raw(socketType)
    raw.stream = world.host().streams.connect({ address: '127.0.0.1', port: PORT }, raw)
    return raw
  }

  /** Whoever connects to PORT, each as it comes. */
  static async listen(world: World, port = PORT): Promise<Raw[]> {
    const raws: Raw[] = []
    await world.host().streams.listen({ address: '127.0.0.1', port }, (stream) => {
      const raw = new Raw('SUB')
      raw.stream = stream
      raws.push(raw)
      world.do(() => raw.open())
      return raw
    })
    return raws
  }

  open(): void {
    this.#isOpen = true
    this.flush()
  }

  receive(bytes: Uint8Array): void {
    this.zmtp.handleBytes(bytes.slice(), 0)
    this.events.push(...eventsOf(this.zmtp))
    this.flush()
  }

  drain(): void {}

  close(reason: string): void {
    this.over = reason
  }

  send(...messages: readonly Uint8Array[]): void {
    for (const message of messages) this.zmtp.send([message])
    this.flush()
  }

  /** The messages that came. */
  get messages(): Uint8Array[] {
    return this.events.flatMap((event) => (event.type === 'message' ? event.frames : []))
  }

  flush(): void {
    const octets = this.#isOpen ? outputOf(this.zmtp) : new Uint8Array(0)
    if (octets.length > 0) this.stream.write(octets)
  }
}
