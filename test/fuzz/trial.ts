/** What a target of the fuzzer is, and what more than one of them needs. */

import { WireError } from '../../protocol/errors.ts'
import type { PeerEvent } from '../../protocol/harmony.ts'
import type { Random } from './random.ts'

/** What was thrown at machines so far. An input is one message or one sequence of octets, or else one thing that happened. */
export type Tally = {
  inputs: number
  /** Of those, the ones that came over a connection whose handshake was done. */
  ready: number
  /** Of those, the ones whose sender had entered. */
  entered: number
  /** Hears each input of a case that is looked at again; undefined in the hot loop. */
  note: ((line: string) => unknown) | undefined
}

export function newTally(): Tally {
  return { inputs: 0, ready: 0, entered: 0, note: undefined }
}

/** One case: a machine from its beginning to its end. Whatever does not hold is thrown. */
export interface Trial {
  /** Whether there is nothing more to be learned from it. */
  readonly over: boolean
  /** Lets one thing happen, an input mostly. */
  step(random: Random): void
  /** Brings it to its end, and looks at what is left. */
  end(random: Random): void | Promise<void>
}

export interface Target {
  readonly name: string
  /** Its part of all inputs. */
  readonly share: number
  readonly stepsMax: number
  begin(random: Random, tally: Tally): Trial | Promise<Trial>
  /** Gives a fresh machine octets that once broke one: a datagram, a stream, or the frames of a message on a stream. */
  replay?(octets: Uint8Array): void | Promise<void>
}

/** Throws where a promise does not hold. */
export function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(`does not hold: ${what}`)
}

/** The rule that `read` found broken; any other error is a failure. */
export function ruleOf(read: () => void): string | undefined {
  try {
    read()
    return undefined
  } catch (error) {
    if (error instanceof WireError) return error.rule
    throw error
  }
}

export function same(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false
  return true
}

export function hex(octets: Uint8Array): string {
  const text = Buffer.from(octets).toString('hex')
  return octets.length > 0 ? text : '-'
}

/** What tells a long row of events from another, without keeping it: FNV-1a over what is added, and a count. */
export class Digest {
  #hash = 0x811c9dc5
  #count = 0

  equals(other: Digest): boolean {
    return this.#hash === other.#hash && this.#count === other.#count
  }

  number(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193)
    this.#count++
  }

  word(text: string): void {
    for (let index = 0; index < text.length; index++) this.number(text.charCodeAt(index))
  }

  octets(octets: Uint8Array): void {
    let hash = Math.imul(this.#hash ^ octets.length, 0x01000193)
    for (let index = 0; index < octets.length; index++) {
      hash = Math.imul(hash ^ (octets[index] as number), 0x01000193)
    }
    this.#hash = hash
    this.#count++
  }
}

/** `enter *event exit` of each peer, each join and leave once (harmony.md 3.4). */
export class Grammar {
  /** Who has entered, with the groups that it was told to be in. */
  readonly present = new Map<string, Set<string>>()

  hear(event: PeerEvent): void {
    const { peer, type } = event
    const groups = this.present.get(peer.uuid)
    if ((groups === undefined) !== (type === 'enter')) {
      throw new Error(`does not hold: ${type} of ${peer.uuid} between its enter and its exit`)
    }
    if (type === 'enter') this.present.set(peer.uuid, new Set())
    else if (type === 'exit') this.present.delete(peer.uuid)
    else if (type === 'join') {
      expect(groups?.has(event.group) === false, 'a group is joined once')
      groups?.add(event.group)
    } else if (type === 'leave') {
      expect(groups?.delete(event.group) === true, 'who leaves a group was in it')
    }
  }
}
