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

/**
 * By whatever the system asks, as for a dial: a hosts file, DNS, or multicast DNS. Of `localhost`, whose two addresses are one
 * machine, it is that of IPv4 where there are both.
 */
function resolve(name: string): Promise<readonly string[]> {
  return new Promise((found, failed) => {
    lookup(name, { all: true, order: 'ipv4first' }, (cause, addresses) => {
      if (cause === null) {
        const all = addresses.map(({ address }) => address)
        const isLocal = all.some((address) => address.startsWith('127.'))
        found(all.filter((address) => address !== '::1' || !isLocal))
      } else failed(new NetworkError(`cannot look up ${name}: ${cause.message}`, { cause }))
    })
  })
}

/** Where loopback has no broadcast: what is sent to 127.255.255.255 is refused, or reaches nobody. */
const WITHOUT_LOOPBACK_BROADCAST: readonly string[] = ['darwin', 'freebsd', 'netbsd', 'openbsd']
/** Where loopback has no multicast of IPv6, for lack of a route; and where the newest address of IPv6 is listed first. */
const LINUX: readonly string[] = ['linux', 'android']

function listInterfaces(): NetworkInterface[] {
  const { platform } = process
  const loopbackHas = {
    IPv4: !WITHOUT_LOOPBACK_BROADCAST.includes(platform),
    IPv6: !LINUX.includes(platform),
  }
  const list: NetworkInterface[] = []
  for (const [name, found = []] of Object.entries(networkInterfaces())) {
    // Windows numbers its zones, and tells the number with link-local addresses alone.
    const scopes = found.map((one) => (one.family === 'IPv6' ? one.scopeid : 0))
    const zone = platform === 'win32' ? String(Math.max(...scopes)) : name
    const listed = found.map(({ family, address, netmask, internal: loopback }) => {
      const broadcasts = !loopback || loopbackHas[family]
      const one = { name, family, address, netmask, loopback, broadcasts }
      if (family === 'IPv4') return one
      return { ...one, address: address.startsWith('fe80:') ? `${address}%${zone}` : address, zone }
    })
    const ipv6 = listed.filter(({ family }) => family === 'IPv6')
    // The oldest first: of several of one kind it is the one that is meant to stay (RFC 8981 has others that do not).
    if (LINUX.includes(platform)) ipv6.reverse()
    list.push(...listed.filter(({ family }) => family === 'IPv4'), ...ipv6)
  }
  return list
}
