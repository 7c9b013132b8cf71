/** Ends of bare octets over the streams of a world in memory, which say what a test wants; and what is seen of who dials them. */

import type { Test } from 'tap'
import type { SocketType } from '../../protocol/index.ts'
import type { Address, Host, Stream, StreamHandlers } from '../../src/host.ts'
import type { World } from './host.ts'
import { connectionOf, eventsOf, type KeptEvent, outputOf } from './zmtp.ts'

/** What an end is, and at which port of 127.0.0.1 it is, or finds the other. */
export interface RawOptions {
  readonly socketType: SocketType
  readonly port: number
}

/** One end that says what a test wants. */
export class Raw implements StreamHandlers {
  readonly zmtp
  readonly events: KeptEvent[] = []
  stream!: Stream
  over = ''
  #isOpen = false

  constructor(socketType: SocketType) {
    this.zmtp = connectionOf({ socketType })
  }

  static connect(world: World, { socketType, port }: RawOptions): Raw {
    const raw = new Raw(socketType)
    raw.stream = world.host().streams.connect({ address: '127.0.0.1', port }, raw)
    return raw
  }

  /** Whoever connects, each as it comes. */
  static async listen(world: World, { socketType, port }: RawOptions): Promise<Raw[]> {
    const raws: Raw[] = []
    await world.host().streams.listen({ address: '127.0.0.1', port }, (stream) => {
      const raw = new Raw(socketType)
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

  /** Messages of one frame. */
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

/** A host that notes when it dials. */
export function watchedHost(world: World): { readonly host: Host; readonly dials: number[] } {
  const dials: number[] = []
  const host = world.host()
  const connect = (to: Address, handlers: StreamHandlers) => {
    dials.push(world.now)
    return host.streams.connect(to, handlers)
  }
  return { host: { ...host, streams: { ...host.streams, connect } }, dials }
}

/** Between two dials is twice the time, up to five seconds; somewhat less, since others dial the same place. */
export function checkWaits(t: Test, dials: readonly number[]): void {
  const waits = dials.slice(1).map((at, index) => at - (dials[index] as number))
  t.ok(waits.length > 6, 'it comes to the longest')
  for (const [index, waitMs] of waits.entries()) {
    const most = Math.min(5_000, 100 * 2 ** index)
    t.ok(waitMs >= most / 2 && waitMs <= most, `${waitMs} of ${most} ms`)
  }
}
