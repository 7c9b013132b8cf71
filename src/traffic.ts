// What passes between a node and its peers: every message of ZRE is counted where its octets are known, and shown to whoever
// looks on. A count is two numbers, since a million messages a second are counted.

import type { ConnectionId, Frames, ZreMessage } from '../protocol/index.ts'

/** The commands of ZRE, as metrics name them; `unknown` is one that came and that this version does not know. */
export const COMMANDS = [
  'hello',
  'whisper',
  'shout',
  'join',
  'leave',
  'ping',
  'ping-ok',
  'elect',
  'leader',
  'goodbye',
  'unknown',
] as const satisfies readonly ZreMessage['type'][]

/** Messages, and the octets of their frames without what ZMTP puts around them. */
export interface Count {
  messages: number
  bytes: number
}

/** A count for each command. */
export type Counts = { readonly [Command in ZreMessage['type']]: Count }

/** All messages of one node, in each direction; from the first start on. */
export interface Traffic {
  readonly received: Counts
  readonly sent: Counts
}

/** A message as it came, or as it left. */
export interface Passage {
  readonly direction: 'in' | 'out'
  readonly connection: ConnectionId
  readonly message: ZreMessage
  /** Octets of its frames; in a simulation that carries messages, about. */
  readonly bytes: number
}

/** Is shown a message before anybody acts on it. It changes nothing. */
export type Tap = (passage: Passage) => void

/** Nothing has passed. */
export function createTraffic(): Traffic {
  return { received: createCounts(), sent: createCounts() }
}

/** Octets of frames, in addition to so many. */
export function bytesWith(bytes: number, frames: Frames): number {
  let sum = bytes
  for (let index = 0; index < frames.length; index++) sum += (frames[index] as Uint8Array).length
  return sum
}

function createCounts(): Counts {
  const none = (): Count => ({ messages: 0, bytes: 0 })
  return {
    hello: none(),
    whisper: none(),
    shout: none(),
    join: none(),
    leave: none(),
    ping: none(),
    'ping-ok': none(),
    elect: none(),
    leader: none(),
    goodbye: none(),
    unknown: none(),
  }
}
