// Which interface a node uses, and why not the others. Nothing loses users like a wrong guess that nobody explains, so every
// answer comes with its reason.

import { BEACON_MULTICAST } from '../../protocol/index.ts'
import { UsageError } from '../errors.ts'
import type { NetworkInterface } from '../host.ts'

/** The choice, for diagnostics too. */
export interface InterfaceChoice {
  readonly chosen: NetworkInterface & {
    /** The broadcast address of its network, or the multicast group of a loopback that has none. */
    readonly beaconsTo: string
    readonly reason: string
  }
  readonly skipped: readonly { name: string; address: string; reason: string }[]
}

/** Interfaces of containers, virtual machines and tunnels: their broadcasts reach nobody that a user means. */
const VIRTUAL =
  /^(docker|br-|veth|virbr|lxc|cni|flannel|cali|vmnet|vboxnet|tun|tap|utun|wg|zt|tailscale|ppp|awdl|llw|anpi)/

/**
 * Chooses by name or address, or without one the first that reaches a network, loopback last.
 * @throws UsageError when the one that is wanted is not there.
 */
export function chooseInterface(
  interfaces: readonly NetworkInterface[],
  wanted: string | undefined,
): InterfaceChoice {
  const skipped: { name: string; address: string; reason: string }[] = []
  const ranked: { found: NetworkInterface; rank: number }[] = []
  for (const found of interfaces) {
    const reason = refusal(found, wanted)
    if (reason === undefined) ranked.push({ found, rank: rankOf(found) })
    else skipped.push({ name: found.name, address: found.address, reason })
  }
  ranked.sort((one, other) => one.rank - other.rank)
  const [best, ...others] = ranked
  if (best === undefined) {
    const there = interfaces.map(({ name, address }) => `${name} (${address})`).join(', ')
    throw new UsageError(
      wanted === undefined
        ? `there is no IPv4 interface: ${there || 'none at all'}`
        : `there is no IPv4 interface with the name or address ${wanted}; there are ${there}`,
    )
  }
  for (const { found, rank } of others) {
    const reason = rank === best.rank ? 'it comes after the chosen one' : RANKS[rank]
    skipped.push({ name: found.name, address: found.address, reason: reason ?? '' })
  }
  const { found } = best
  const why = wanted === undefined ? (RANKS[best.rank] ?? '') : `asked for as ${wanted}`
  const reason = found.broadcasts ? why : `${why}; ${MULTICAST_REASON}`
  const beaconsTo = found.broadcasts ? broadcastOf(found) : BEACON_MULTICAST
  return { chosen: { ...found, beaconsTo, reason }, skipped }
}

/** Whether an address is on the network of an interface; one that is not IPv4 is on none. */
export function onNetwork(address: string, { address: ours, netmask }: NetworkInterface): boolean {
  if (address.includes(':')) return false
  const mask = ipv4(netmask)
  return (ipv4(address) & mask) === (ipv4(ours) & mask)
}

/** The network of an interface, as people write it: `10.1.0.0/20`. */
export function networkOf({ address, netmask }: NetworkInterface): string {
  const mask = ipv4(netmask)
  return `${dotted(ipv4(address) & mask)}/${Math.clz32(~mask)}`
}

/** Of a loopback without broadcast (beacon.md 2.7). */
const MULTICAST_REASON = `it has no broadcast on this system, so beacons go to the multicast group ${BEACON_MULTICAST}`
const RANKS = [
  'the first that reaches a network',
  'it looks like a container, a virtual machine or a tunnel',
  'it has a link-local address',
  'loopback reaches this machine only',
]

function rankOf({ name, address, loopback }: NetworkInterface): number {
  if (loopback) return 3
  if (address.startsWith('169.254.')) return 2
  return VIRTUAL.test(name) ? 1 : 0
}

function refusal(found: NetworkInterface, wanted: string | undefined): string | undefined {
  if (found.family !== 'IPv4') return 'beacons are IPv4 only in this version'
  if (wanted === undefined || wanted === found.name || wanted === found.address) return undefined
  return `${wanted} was asked for`
}

/** The directed broadcast address: all bits of the host's part set. */
function broadcastOf({ address, netmask }: NetworkInterface): string {
  return dotted(ipv4(address) | ~ipv4(netmask))
}

function dotted(bits: number): string {
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join('.')
}

/** Digit by digit, without parts: it is done several times for each beacon that comes. */
function ipv4(text: string): number {
  let bits = 0
  let part = 0
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit === DOT) {
      bits = (bits << 8) | part
      part = 0
    } else {
      part = 10 * part + unit - ZERO
    }
  }
  return (bits << 8) | part
}

const DOT = 0x2e
const ZERO = 0x30
