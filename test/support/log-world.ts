/** Logs over the streams of a world in memory: senders and receivers, each with a timer of its own, and ends of bare octets. */

import type { CollectedEvent } from '../../protocol/index.ts'
import type { Host } from '../../src/host.ts'
import { LogReceiver, type LogReceiverOptions } from '../../src/log/receiver.ts'
import { LogSender, type LogSenderOptions } from '../../src/log/sender.ts'
import type { World } from './host.ts'
import { NODE, plain, RING } from './log.ts'
import { Raw } from './raw.ts'

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

/** A node of bare octets at the collector at PORT. */
export function nodeAt(world: World, socketType: 'PUB' | 'SUB' = 'PUB'): Raw {
  return Raw.connect(world, { socketType, port: PORT })
}

/** A collector of bare octets, for each node that comes. */
export function collectorAt(world: World, port = PORT): Promise<Raw[]> {
  return Raw.listen(world, { socketType: 'SUB', port })
}
