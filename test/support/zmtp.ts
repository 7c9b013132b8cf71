/** What all tests of ZMTP need: connections, what comes out of them, and two of them back to back. */

import { readFileSync } from 'node:fs'
import {
  NullMechanism,
  type SocketType,
  ZMTP_LIMITS,
  ZmtpConnection,
  type ZmtpEvent,
  type ZmtpLimits,
} from '../../protocol/zmtp.ts'
import { concat, digest } from './octets.ts'
import { fromHex, toHex, type Vector, type Vectors } from './vectors.ts'

/** The vectors of zmtp.json. One hex in it ends in dots: the test that wants it makes the octets itself. */
export function loadZmtpVectors(): Vectors {
  const url = new URL('../vectors/zmtp.json', import.meta.url)
  const file = JSON.parse(readFileSync(url, 'utf8'))
  const withBytes = (vector: Omit<Vector, 'bytes'>) => {
    const bytes = vector.hex.endsWith('...') ? new Uint8Array(0) : fromHex(vector.hex)
    return { ...vector, bytes }
  }
  return { vectors: file.vectors.map(withBytes), behaviours: file.behaviours.map(withBytes) }
}

export type ConnectionOptions = {
  readonly socketType?: SocketType
  readonly identity?: Uint8Array
  readonly limits?: Partial<ZmtpLimits>
}

/** A connection that begins at 0, by NULL; a ROUTER without identity unless told. */
export function connectionOf(options: ConnectionOptions = {}): ZmtpConnection {
  const { socketType = 'ROUTER', identity = new Uint8Array(0), limits } = options
  const mechanism = new NullMechanism({ socketType, identity })
  return new ZmtpConnection({ socketType, mechanism, limits: { ...ZMTP_LIMITS, ...limits } }, 0)
}

/** An event as it can be kept: a message is only there until the next. */
export type KeptEvent =
  | Exclude<ZmtpEvent, { type: 'passed' } | { type: 'message' }>
  | { readonly type: 'message'; readonly frames: readonly Uint8Array[] }

/** All that it has to tell. */
export function eventsOf(connection: ZmtpConnection, now = 0): KeptEvent[] {
  const events: KeptEvent[] = []
  for (let event = connection.pollEvent(now); event; event = connection.pollEvent(now)) {
    if (event.type === 'message') events.push({ type: 'message', frames: event.frames })
    else if (event.type !== 'passed') events.push(event)
  }
  return events
}

/** All that waits to be written. */
export function outputOf(connection: ZmtpConnection): Uint8Array {
  const parts: Uint8Array[] = []
  for (let part = connection.pollOutput(); part; part = connection.pollOutput()) parts.push(part)
  return concat(...parts)
}

/** Gives octets, and back come the events in the words of plain(). */
export function feed(connection: ZmtpConnection, octets: Uint8Array, now = 0): string[] {
  connection.handleBytes(octets.slice(), now)
  return eventsOf(connection, now).map(plain)
}

/** The same, but they are read to where the connection wants them, where it does: as many at a time as it has room for. */
export function fill(connection: ZmtpConnection, octets: Uint8Array, now = 0): string[] {
  const told: string[] = []
  for (let start = 0; start < octets.length; ) {
    const room = connection.room()
    const piece = octets.subarray(start, start + (room?.length ?? octets.length))
    if (piece.length === 0) throw new Error('there is no room')
    start += piece.length
    if (room === undefined) {
      connection.handleBytes(piece.slice(), now)
    } else {
      room.set(piece)
      connection.filled(piece.length, now)
    }
    told.push(...eventsOf(connection, now).map(plain))
  }
  return told
}

/** An event as one line: `ready 01`, `message 6162 - 63`, `pong 78`, `subscribe aa`, `closed zmtp.md 2.1`. */
export function plain(event: KeptEvent | ZmtpEvent): string {
  switch (event.type) {
    case 'ready':
      return `ready ${toHex(event.identity) || '-'}`
    case 'message':
      return `message ${event.frames.map((frame) => digest(frame) || '-').join(' ')}`
    case 'pong':
      return `pong ${toHex(event.context) || '-'}`
    case 'subscribe':
    case 'cancel':
      return `${event.type} ${toHex(event.topic) || '-'}`
    case 'passed':
      return 'passed'
    case 'closed':
      return `closed ${event.error.rule}`
  }
}

/** What one side says for as long as it takes the other to be done with it: both ways, until both are quiet. */
export function exchange(
  [left, right]: readonly [ZmtpConnection, ZmtpConnection],
  now = 0,
): { readonly left: KeptEvent[]; readonly right: KeptEvent[] } {
  const seen = { left: [] as KeptEvent[], right: [] as KeptEvent[] }
  for (let moved = true; moved; ) {
    moved = false
    for (const [from, to, events] of [
      [left, right, seen.right],
      [right, left, seen.left],
    ] as const) {
      for (let part = from.pollOutput(); part; part = from.pollOutput()) {
        to.handleBytes(part.slice(), now)
        moved = true
      }
      events.push(...eventsOf(to, now))
    }
  }
  return seen
}
