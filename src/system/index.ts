// The real host: Node.js on some machine. Apart from the command, only this folder touches node:*.

import { randomFillSync } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import type { Host, NetworkInterface } from '../host.ts'
import { systemClock } from './clock.ts'
import { systemDatagrams } from './datagrams.ts'
import { systemStreams } from './streams.ts'

/** The machine that this process runs on. */
export const systemHost: Host = {
  clock: systemClock,
  datagrams: systemDatagrams,
  streams: systemStreams,
  interfaces: listInterfaces,
  // A `Buffer` only for its memory, which is not cleared first: see protocol/frames.ts for what that saves.
  allocate: (bytes) => new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer),
  random: (count) => randomFillSync(new Uint8Array(count)),
  surface(error) {
    setImmediate(() => {
      throw error
    })
  },
}

function listInterfaces(): NetworkInterface[] {
  const list: NetworkInterface[] = []
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { family, address, netmask, internal } of addresses ?? []) {
      list.push({ name, family, address, netmask, loopback: internal })
    }
  }
  return list
}
