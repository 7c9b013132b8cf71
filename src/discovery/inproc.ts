// Streams within a process, for `inproc://name`: hubs of gossip that only nodes of the same program find, without a port. Nodes
// find each other by it; what they say goes over TCP all the same.

import { NetworkError } from '../errors.ts'
import type { Host, Stream, StreamHandlers } from '../host.ts'

type Accept = (stream: Stream) => StreamHandlers

/** Who listens where, for each host: nodes of one have one. */
const listening = new WeakMap<Host, Map<string, Accept>>()

/** Listens under a name. @throws NetworkError when it is taken. @returns what ends it. */
export function listenInproc(
  host: Host,
  { name, accept }: { readonly name: string; readonly accept: Accept },
): () => void {
  const names = listening.get(host) ?? new Map<string, Accept>()
  listening.set(host, names)
  if (names.has(name)) throw new NetworkError(`cannot listen at inproc://${name}: it is taken`)
  names.set(name, accept)
  return () => void names.delete(name)
}

/** Begins to connect to a name; what becomes of it is told to the handlers, never before this returns. */
export function connectInproc(
  host: Host,
  { name, handlers }: { readonly name: string; readonly handlers: StreamHandlers },
): Stream {
  const near = new Pipe(host)
  near.handlers = handlers
  near.push(() => {
    const accept = listening.get(host)?.get(name)
    if (accept === undefined) {
      near.finish(`nobody listens at inproc://${name}`)
      return
    }
    const far = new Pipe(host)
    far.other = near
    near.other = far
    far.handlers = accept(far)
    near.handlers?.open()
  })
  return near
}

/** One end. What it is given waits, in order, until the next turn, and until its owner reads. */
class Pipe implements Stream {
  readonly localAddress = ''
  readonly remoteAddress = ''
  readonly #host: Host
  #waiting: (() => void)[] = []
  #isPaused = false
  #isDue = false
  other: Pipe | undefined
  /** Undefined once it is over. */
  handlers: StreamHandlers | undefined
  /** What it wrote and the other end has not read. */
  backlogBytes = 0

  constructor(host: Host) {
    this.#host = host
  }

  /** Something is to happen at this end, after all that waits. */
  push(happening: () => void): void {
    this.#waiting.push(happening)
    this.#arm()
  }

  write(...parts: readonly Uint8Array[]): boolean {
    for (const part of parts) {
      const copy = part.slice()
      this.backlogBytes += copy.length
      this.other?.push(() => this.#deliver(copy))
    }
    return true
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#arm()
  }

  end(): void {
    this.other?.push(() => this.other?.finish('closed by the peer'))
  }

  destroy(): void {
    const { other } = this
    this.#waiting = []
    this.#isPaused = false
    other?.push(() => other.finish('closed by the peer'))
    this.push(() => this.finish('closed by us'))
  }

  /** It is over, and so is the other end: that was the last. */
  finish(reason: string): void {
    const { handlers } = this
    this.handlers = undefined
    handlers?.close(reason)
  }

  #deliver(octets: Uint8Array): void {
    this.backlogBytes -= octets.length
    this.other?.handlers?.receive(octets)
    if (this.backlogBytes === 0) this.handlers?.drain()
  }

  #arm(): void {
    if (this.#isDue) return
    this.#isDue = true
    this.#host.clock.defer(() => {
      this.#isDue = false
      // What is pushed meanwhile is for the next turn.
      for (let left = this.#waiting.length; left > 0 && !this.#isPaused; left--) {
        this.#waiting.shift()?.()
      }
      if (this.#waiting.length > 0 && !this.#isPaused) this.#arm()
    })
  }
}
