/** Real nodes on loopback, each test with a beacon port of its own, and gone when the test is. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Test } from 'tap'
import { encodeBeacon } from '../../protocol/beacon.ts'
import { EVENT_TYPES } from '../../src/events.ts'
import {
  createLyre,
  type Lyre,
  type LyreEvent,
  type LyreOptions,
  type Peer,
} from '../../src/index.ts'
import { Heard } from './heard.ts'

/** A node and all that it told, in order. */
export class Node {
  readonly lyre: Lyre
  readonly heard = new Heard<LyreEvent>()

  constructor(lyre: Lyre) {
    this.lyre = lyre
    for (const type of EVENT_TYPES) lyre.on(type, (event: LyreEvent) => this.heard.add(event))
  }

  /** The next event of that type, about the peer of that name if one is given. */
  next<Type extends LyreEvent['type']>(
    type: Type,
    name?: string,
  ): Promise<Extract<LyreEvent, { type: Type }>> {
    return this.heard.next(
      `${type} ${name ?? ''}`,
      (event): event is Extract<LyreEvent, { type: Type }> =>
        event.type === type &&
        (name === undefined || ('peer' in event && event.peer.name === name)),
    )
  }

  /** The types of all events so far, with what tells them apart: `enter bob`, `exit bob goodbye`, `join bob CHAT`. */
  get story(): string[] {
    return this.heard.items.map((event) => {
      const { type, peer, group, cause } = event as {
        type: string
        peer?: Peer
        group?: string
        cause?: string
      }
      return [type, peer?.name, group, cause].filter((word) => word !== undefined).join(' ')
    })
  }
}

/** A node that is not started. It beacons ten times a second, so that a lost beacon costs a test no time. */
export function createNode(t: Pick<Test, 'teardown'>, options: LyreOptions): Node {
  const lyre = createLyre({ interface: '127.0.0.1', beaconIntervalMs: 100, ...options })
  t.teardown(() => lyre.stop({ lingerMs: 0 }))
  return new Node(lyre)
}

/** Started nodes with these names, which have all entered each other. */
export async function createNodes<const Names extends readonly string[]>(
  t: Pick<Test, 'teardown'>,
  names: Names,
  options: LyreOptions = {},
): Promise<{ [Index in keyof Names]: Node }> {
  const beaconPort = options.beaconPort ?? (await freePort())
  const nodes = names.map((name) => createNode(t, { ...options, name, beaconPort }))
  await Promise.all(nodes.map(({ lyre }) => lyre.start()))
  const patience = { timeoutMs: 20_000 }
  await Promise.all(nodes.map(({ lyre }) => lyre.waitForPeers(names.length - 1, patience)))
  return nodes as unknown as { [Index in keyof Names]: Node }
}

/** A UDP port that nobody has. It is below those that a system gives away by itself, so that nobody gets it in between. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000)
    const socket = createSocket('udp4').bind(port, '0.0.0.0')
    const free = await once(socket, 'listening').then(
      () => true,
      () => false,
    )
    await new Promise<void>((resolve) => socket.close(() => resolve()))
    if (free) return port
  }
}

/** Sends one datagram to everybody at a beacon port of loopback. */
export async function broadcast(port: number, bytes: Uint8Array): Promise<void> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  socket.setBroadcast(true)
  await new Promise((resolve) => socket.send(bytes, port, '127.255.255.255', resolve))
  socket.close()
}

/** Says in another's name that it is at a port; 0 is its goodbye. */
export function forgeBeacon(
  beaconPort: number,
  beacon: { readonly uuid: string; readonly port: number },
): Promise<void> {
  return broadcast(beaconPort, encodeBeacon(beacon))
}

/** The port in `tcp://127.0.0.1:PORT`. */
export function portOf(endpoint: string | undefined): number {
  return Number(new URL(endpoint ?? '').port)
}
