// The virtual Host: what a node of a simulation runs on. Everything but time belongs to its process, which can sleep or die
// without the node being asked.

import { NetworkError, UsageError } from '../src/errors.ts'
import type { Clock, Folder, Host, Stream, StreamHandlers, Timer } from '../src/host.ts'
import { Alarm, type VirtualClock } from './clock.ts'
import { VirtualSocket } from './datagrams.ts'
import { VirtualMulticastDnsSocket } from './mdns.ts'
import type { Machine, Process } from './network.ts'
import type { Random } from './random.ts'
import { End, type EndHandlers, Server } from './streams.ts'

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
    storage: { folder: (path) => folderOf(process, path), date: () => DATE + process.now },
    channels: NOBODY,
    resolve: (name) =>
      new Promise((found, failed) => {
        process.network.clock.defer(() =>
          process.run(() => {
            process.network.woke()
            const address = addressOf(process, name)
            if (address !== undefined) found([address])
            else failed(new NetworkError(`cannot look up ${name}: no machine has that name`))
          }),
        )
      }),
    interfaces: () => process.machine.interfaces,
    allocate: (bytes) => new Uint8Array(bytes),
    random: (count) => random.bytes(count),
    surface,
  }
}

/** What listens to a process is outside of the simulation. */
const NOBODY: Host['channels'] = { hasSubscribers: () => false, publish() {} }

/** Begins in 2026, in all simulations. */
const DATE = 1_767_225_600_000

/** A folder on the disk of its machine: what was written is there, whatever becomes of the process. */
function folderOf(process: Process, path: string): Folder {
  const { files, claims } = process.machine
  return {
    read: (name) => files.get(`${path}/${name}`),
    write: (name, text) => void files.set(`${path}/${name}`, text),
    claim() {
      const holder = claims.get(path)
      if (holder !== undefined && holder.state !== 'crashed') {
        throw new UsageError(`${path} is in use: each node has a state folder of its own`)
      }
      claims.set(path, process)
      return () => void claims.delete(path)
    },
  }
}

/** Machines find each other by their names, wherever they are. */
function addressOf({ network }: Process, name: string): string | undefined {
  if (name === 'localhost') return '127.0.0.1'
  return network.machines.find((machine) => machine.name === name)?.address
}

function createClock(process: Process): Clock {
  const { clock } = process.network
  const defer = (callback: () => void) => clock.defer(() => process.run(callback))
  return {
    now: () => process.now,
    wall: () => process.machine.clock.wallMs(clock.nowUs),
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
  #at = Number.POSITIVE_INFINITY
  #stopCount = 0

  constructor(process: Process, clock: VirtualClock, callback: () => void) {
    this.#clock = clock
    this.#machine = process.machine
    this.#alarm = new Alarm(() =>
      process.run(() => {
        const { stopCount } = process.machine.clock
        // The clock of a machine that slept stood still, and it may not be time yet.
        if (stopCount > this.#stopCount && process.now < this.#at) this.set(this.#at)
        else callback()
      }),
    )
    process.addTimer(this.#alarm)
  }

  set(at: number): void {
    this.#at = at
    this.#stopCount = this.#machine.clock.stopCount
    this.#clock.set(this.#alarm, this.#machine.clock.us(at))
  }
}
