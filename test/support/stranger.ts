/** A ZRE node made of bare sockets, which says whatever a test wants to a node that it has entered, and does nothing else. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'
import { encodeBeacon } from '../../protocol/beacon.ts'
import { encodeZre, type Hello } from '../../protocol/zre.ts'
import type { Lyre } from '../../src/index.ts'
import { eventually, Heard } from './heard.ts'
import { dialAs, Link } from './link.ts'

/** The uuid of a stranger by its number. */
export function uuidOf(index: number): string {
  return index.toString(16).padStart(32, '0')
}

/** Listens on loopback until the test is over, and closes what was accepted. */
export async function serve(
  t: Pick<Test, 'teardown'>,
  accept: (socket: Socket) => void,
  { host = '127.0.0.1', port = 0 }: { readonly host?: string; readonly port?: number } = {},
): Promise<number> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    accept(socket)
  }).listen(port, host)
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return (server.address() as AddressInfo).port
}

/** An inbox of bare sockets, and whoever connected to it. */
export class Inbox {
  readonly endpoint: string
  readonly links: Heard<{ readonly link: Link; readonly socket: Socket }>

  private constructor(port: number, links: Inbox['links']) {
    this.endpoint = `tcp://127.0.0.1:${port}`
    this.links = links
  }

  static async open(t: Pick<Test, 'teardown'>): Promise<Inbox> {
    const links: Inbox['links'] = new Heard()
    const port = await serve(t, (socket) => {
      links.add({ link: new Link(socket, 'ROUTER'), socket })
    })
    return new Inbox(port, links)
  }
}

/** Both directions between a stranger and a node: what it says goes by `mailbox`, what it hears comes by `inbox`. */
export interface Stranger {
  readonly uuid: string
  readonly name: string
  readonly endpoint: string
  readonly mailbox: Link
  readonly inbox: Link
  readonly inboxSocket: Socket
}

/** Says HELLO over a link, with sequence 1. */
export function tellHello(link: Link, hello: Partial<Hello> & { readonly endpoint: string }): void {
  const { groups = [] } = hello
  const rest = { groups, status: groups.length, name: 'mallory', headers: {} }
  link.tell({ type: 'hello', ...rest, ...hello })
}

/** A stranger that has entered the node, by its HELLO alone. */
export async function enter(
  t: Pick<Test, 'teardown'>,
  { lyre }: { readonly lyre: Lyre },
  { index, ...hello }: Partial<Hello> & { readonly index: number },
): Promise<Stranger> {
  const { name = `mallory${index}` } = hello
  const uuid = uuidOf(index)
  const opened = await Inbox.open(t)
  const mailbox = await dialAs(t, lyre.endpoint as string, { uuid })
  tellHello(mailbox, { endpoint: opened.endpoint, ...hello, name })
  await eventually(`${name} has entered`, () => lyre.peer(uuid) !== undefined)
  const { link, socket } = await opened.links.next('its mailbox')
  return { uuid, name, endpoint: opened.endpoint, mailbox, inbox: link, inboxSocket: socket }
}

/** The one frame of a message that has no content. */
export function headerOf(...message: Parameters<typeof encodeZre>): Uint8Array {
  return encodeZre(...message)[0] as Uint8Array
}

/**
 * Beacons of `count` strangers, again and again until the test or its caller ends it. They say that the inbox of each is at
 * `port` of one of the addresses `from`.
 */
export async function flood(
  t: Pick<Test, 'teardown'>,
  beaconPort: number,
  options: { readonly port: number; readonly from?: readonly string[]; readonly count?: number },
): Promise<{ end(): Promise<void> }> {
  const { port, from = ['127.0.0.1'], count = 3_000 } = options
  const sockets = await Promise.all(
    from.map(async (address) => {
      const socket = createSocket('udp4').bind(0, address)
      await once(socket, 'listening')
      socket.setBroadcast(true)
      return socket
    }),
  )
  let over = false
  const send = (index: number) => {
    const beacon = encodeBeacon({ uuid: uuidOf(1_000 + (index % count)), port })
    const socket = sockets[index % sockets.length]
    return new Promise((sent) => socket?.send(beacon, beaconPort, '127.255.255.255', sent))
  }
  const flooding = (async () => {
    for (let index = 0; !over; index += 20) {
      // So many a turn as whoever listens reads in one: more would be lost, and the beacons of others with them.
      await Promise.all(Array.from({ length: 20 }, (_, next) => send(index + next)))
      await new Promise((resolve) => setImmediate(resolve))
    }
    for (const socket of sockets) socket.close()
  })()
  const end = async () => {
    over = true
    await flooding
  }
  t.teardown(end)
  return { end }
}
