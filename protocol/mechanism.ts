// How the two sides of a connection let each other in: what a mechanism is, and the one that lets everybody in.
// Spec: zmtp.md 4, after 37/ZMTP "The NULL Security Mechanism".

import { assert } from './assert.ts'
import { Reader, Writer } from './bytes.ts'
import { WireError } from './errors.ts'

/** What we can be. */
export type SocketType = 'ROUTER' | 'DEALER' | 'PUB' | 'SUB'

/** Properties that a side tells in its handshake; keys are lower case, the last of two equal ones wins. */
export type Metadata = ReadonlyMap<string, Uint8Array>

/** Octets of an identity (zmtp.md 4.4). */
export const IDENTITY_BYTES_MAX = 255

/** Properties of a handshake: nobody needs so many, and each takes much more memory than octets. */
const PROPERTIES_MAX = 64
const READY = commandName('READY')
const NO_IDENTITY = new Uint8Array(0)

/**
 * How the two sides let each other in: NULL here; CURVE has the same shape. It gets each command of the other side and
 * says what to send; `peer` is there once the handshake is done.
 */
export interface Mechanism {
  /** As in the greeting: at most 20 upper-case ASCII characters. */
  readonly name: string
  /** The other side's properties, once it is let in. */
  readonly peer: Metadata | undefined
  /** @throws WireError on what the handshake does not allow. */
  handleCommand(command: Command): void
  /** The next command of ours; undefined when it is the other side's turn. */
  pollCommand(): Uint8Array | undefined
}

/** A command: its name, and the octets behind it as a view. */
export interface Command {
  readonly name: string
  readonly data: Uint8Array
}

/** The mechanism that lets everybody in: each side says READY, with its properties (zmtp.md 4.3). */
export class NullMechanism implements Mechanism {
  readonly name = 'NULL'
  #ready: Uint8Array | undefined
  #peer: Metadata | undefined

  /**
   * @param properties what we tell about ourselves: `Socket-Type`, of a ROUTER and a DEALER `Identity` of 0 to 255 octets,
   * and what an application adds, with names that begin with `X-`.
   */
  constructor(properties: {
    readonly socketType: SocketType
    readonly identity?: Uint8Array
    readonly others?: Metadata
  }) {
    const { socketType, identity = NO_IDENTITY, others = [] } = properties
    assert(identity.length <= IDENTITY_BYTES_MAX, 'our identity is too long')
    const writer = new Writer().bytes(READY).text1('Socket-Type').text4(socketType)
    if (socketType === 'ROUTER' || socketType === 'DEALER') {
      writer.text1('Identity').u32(identity.length).bytes(identity)
    }
    for (const [name, value] of others) writer.text1(name).u32(value.length).bytes(value)
    this.#ready = writer.finish()
  }

  get peer(): Metadata | undefined {
    return this.#peer
  }

  handleCommand(command: Command): void {
    if (command.name !== 'READY') {
      throw new WireError('zmtp.md 4.3', `a command ${printable(command.name)} in place of READY`)
    }
    this.#peer = decodeMetadata(command.data)
  }

  pollCommand(): Uint8Array | undefined {
    const ready = this.#ready
    this.#ready = undefined
    return ready
  }
}

/** Names are compared without case (zmtp.md 4.8). @throws WireError when the octets are not properties to the end. */
function decodeMetadata(data: Uint8Array): Metadata {
  const reader = new Reader(data, 'zmtp.md 4.3')
  const metadata = new Map<string, Uint8Array>()
  while (reader.left > 0) {
    if (metadata.size >= PROPERTIES_MAX) throw new WireError('zmtp.md 4.3', 'too many properties')
    const name = reader.text1().toLowerCase()
    metadata.set(name, reader.bytes(reader.u32()))
  }
  return metadata
}

/** The beginning of a command: its name. */
export function commandName(name: string): Uint8Array {
  return new Writer().text1(name).finish()
}

/** A peer's text as a person may read it in a log: cut, and nothing in it that a terminal obeys. */
export function printable(text: string): string {
  return JSON.stringify(text.slice(0, 64)).replace(/[^\x20-\x7e]/g, '?')
}
