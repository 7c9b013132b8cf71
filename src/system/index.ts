// The real host: Node.js on some machine. Apart from the command, only this folder touches node:*.

import { randomFillSync } from 'node:crypto'
import { channel, hasSubscribers } from 'node:diagnostics_channel'
import { lookup } from 'node:dns'
import { networkInterfaces } from 'node:os'
import { NetworkError } from '../errors.ts'
import type { Host, NetworkInterface } from '../host.ts'
import { systemClock } from './clock.ts'
import { systemDatagrams } from './datagrams.ts'
import { systemMulticastDns } from './mdns.ts'
import { systemStorage } from './storage.ts'
import { systemStreams } from './streams.ts'

/** The machine that this process runs on. */
export const systemHost: Host = {
  clock: systemClock,
  datagrams: systemDatagrams,
  streams: systemStreams,
  multicastDns: systemMulticastDns,
  storage: systemStorage,
  channels: { hasSubscribers, publish: (name, message) => channel(name).publish(message) },
  resolve,
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

/** By whatever the system asks, as for a dial: a hosts file, DNS, or multicast DNS. */
function resolve(name: string): Promise<readonly string[]> {
  return new Promise((found, failed) => {
    lookup(name, { all: true, family: 4 }, (cause, addresses) => {
      if (cause === null) found(addresses.map(({ address }) => address))
      else failed(new NetworkError(`cannot look up ${name}: ${cause.message}`, { cause }))
    })
  })
}

/** Where loopback has no broadcast: what is sent to 127.255.255.255 is refused, or reaches nobody. */
const WITHOUT_LOOPBACK_BROADCAST: readonly string[] = ['darwin', 'freebsd', 'netbsd', 'openbsd']

function listInterfaces(): NetworkInterface[] {
  const loopbackBroadcasts = !WITHOUT_LOOPBACK_BROADCAST.includes(process.platform)
  const list: NetworkInterface[] = []
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { family, address, netmask, internal } of addresses ?? []) {
      const broadcasts = !internal || loopbackBroadcasts
      list.push({ name, family, address, netmask, loopback: internal, broadcasts })
    }
  }
  return list
}
