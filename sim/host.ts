// The virtual Host: what a node of a simulation runs on. Everything but time belongs to its process, which can sleep or die
// without the node being asked.

import type { Clock, Host, Stream, StreamHandlers, Timer } from '../src/host.ts'
import { Alarm, type VirtualClock } from './clock.ts'
import { VirtualSocket } from './datagrams.ts'
import { VirtualMulticastDnsSocket } from './mdns.ts'
import type { Machine, Process } from './network.ts'
import type { Random } from './random.ts'
import { End, type EndHandlers, Server } from './streams.ts'

/** When simulations take place: the first of January 2000. */
const BEGINNING = 946_684_800_000

/**
 * Makes the host of a process.
 * @param random what its node draws from. @param surface takes what a handler of the application threw.
 */
export function createHost(
  process: Process,
  { random, surface }: { readonly random: Random; readonly surface: (error: unknown) => void },
): Host {
  return {
    clock: createClock(process),
    datagrams: {
      open: async (options, handlers) => new VirtualSocket(process, options, handlers),
    },
    streams: {
      async listen(at, accept) {
        const server = new Server(process, at, accept as (end: Stream) => EndHandlers)
        if (process.awaited !== 'all') process.awaited = 'nothing'
        return {
          port: server.port,
          close() {
            // Whoever stops awaits the end of what there is.
            if (process.awaited !== 'all') process.awaited = 'end'
            server.close()
          },
        }
      },
      connect: (to, handlers: StreamHandlers) =>
        End.dial(process, to).tell(handlers as EndHandlers),
    },
    multicastDns: {
      async open(options, handlers) {
        // At whatever time, a node goes on with what it has opened or closed.
        process.network.woke()
        return new VirtualMulticastDnsSocket(process, options, handlers)
      },
    },
    interfaces: () => process.machine.interfaces,
    allocate: (bytes) => new Uint8Array(bytes),
    random: (count) => random.bytes(count),
    surface,
  }
}

function createClock(process: Process): Clock {
  const { clock } = process.network
  const defer = (callback: () => void) => clock.defer(() => process.run(callback))
  return {
    now: () => process.now,
    utc: () => BEGINNING + Math.floor(process.now),
    timer: (callback) => new VirtualTimer(process, clock, callback),
    defer,
    // A turn takes no time here, so there is none to be saved.
    gather: defer,
  }
}

class VirtualTimer implements Timer {
  readonly #clock: VirtualClock
  readonly #machine: Machine
  readonly #alarm: Alarm

  constructor(process: Process, clock: VirtualClock, callback: () => void) {
    this.#clock = clock
    this.#machine = process.machine
    this.#alarm = new Alarm(() => process.run(callback))
    process.addTimer(this.#alarm)
  }

  set(at: number): void {
    this.#clock.set(this.#alarm, this.#machine.clock.us(at))
  }
}
