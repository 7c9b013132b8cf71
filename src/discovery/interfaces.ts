// Which interfaces a node uses, and why not the others. Nothing loses users like a wrong guess that nobody explains, so every
// answer comes with its reason.

import { BEACON_MULTICAST } from '../../protocol/index.ts'
import { UsageError } from '../errors.ts'
import type { NetworkInterface } from '../host.ts'

/** An interface that is used, by one of its addresses. */
export interface ChosenInterface extends NetworkInterface {
  /** The broadcast address of its network, or the multicast group of a loopback that has none. */
  readonly beaconsTo: string
  readonly reason: string
}

/** The choice, for diagnostics too; the first is the one that others are told of who are on none of these networks. */
export interface InterfaceChoice {
  readonly chosen: readonly ChosenInterface[]
  readonly skipped: readonly { name: string; address: string; reason: string }[]
}

/** Interfaces of containers, virtual machines and tunnels: their broadcasts reach nobody that a user means. */
const VIRTUAL =
  /^(docker|br-|veth|virbr|lxc|cni|flannel|cali|vmnet|vboxnet|tun|tap|utun|wg|zt|tailscale|ppp|awdl|llw|anpi)/

/**
 * Chooses all that fit what is wanted, by name, address, network (`10.0.0.0/8`) or a pattern of these with `*` and `?`; what
 * begins with `!` is left out. Where only that is said, or nothing, all that reach a network, and what is worse, loopback
 * last, only where there is nothing better.
 * @throws UsageError when nothing fits.
 */
export function chooseInterfaces(
  interfaces: readonly NetworkInterface[],
  wanted: readonly string[],
): InterfaceChoice {
  const patterns = wanted.filter((pattern) => !pattern.startsWith('!')).map(patternOf)
  const excluded = wanted.filter((pattern) => pattern.startsWith('!')).map(patternOf)
  const skipped: { name: string; address: string; reason: string }[] = []
  const fitting: { found: NetworkInterface; rank: number; reason: string }[] = []
  for (const found of interfaces) {
    const { name, address } = found
    const verdict = judge(found, patterns, excluded)
    if ('refusal' in verdict) skipped.push({ name, address, reason: verdict.refusal })
    else fitting.push({ found, ...verdict })
  }
  fitting.sort((one, other) => one.rank - other.rank)
  const [best] = fitting
  if (best === undefined) throw new UsageError(nothingFits(interfaces, wanted))
  const chosen: ChosenInterface[] = []
  for (const { found, rank, reason } of fitting) {
    const { name, address } = found
    const same = chosen.find((other) => networkOf(other) === networkOf(found))
    if (same !== undefined) {
      skipped.push({ name, address, reason: `${same.address} is on the same network` })
    } else if (patterns.length === 0 && rank > best.rank) {
      skipped.push({ name, address, reason: RANKS[rank] ?? '' })
    } else {
      chosen.push(choose(found, reason))
    }
  }
  return { chosen, skipped }
}

function choose(found: NetworkInterface, why: string): ChosenInterface {
  const reason = found.broadcasts ? why : `${why}; ${MULTICAST_REASON}`
  return { ...found, beaconsTo: found.broadcasts ? broadcastOf(found) : BEACON_MULTICAST, reason }
}

function nothingFits(interfaces: readonly NetworkInterface[], wanted: readonly string[]): string {
  const there = interfaces.map(({ name, address }) => `${name} (${address})`).join(', ')
  if (wanted.length === 0) return `there is no IPv4 interface: ${there || 'none at all'}`
  const what = wanted.join(', ')
  return `there is no IPv4 interface with the name or address ${what}; there are ${there}`
}

/** Says whether an interface is meant. */
interface Pattern {
  readonly text: string
  fits(found: NetworkInterface): boolean
}

function patternOf(wanted: string): Pattern {
  const text = wanted.replace(/^!/, '')
  const [, address, length] = /^(\d+\.\d+\.\d+\.\d+)\/(\d{1,2})$/.exec(text) ?? []
  if (address !== undefined) {
    const mask = maskOf(Number(length))
    const network = ipv4(address) & mask
    return {
      text,
      fits: (found) => found.family === 'IPv4' && (ipv4(found.address) & mask) === network,
    }
  }
  const escaped = text.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
  const regexp = new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`)
  return { text, fits: ({ name, address }) => regexp.test(name) || regexp.test(address) }
}

/** Of so many bits; a shift by 32 would be one by none. */
function maskOf(length: number): number {
  return length === 0 ? 0 : -1 << (32 - Math.min(32, length))
}

function judge(
  found: NetworkInterface,
  patterns: readonly Pattern[],
  excluded: readonly Pattern[],
): { readonly refusal: string } | { readonly rank: number; readonly reason: string } {
  if (found.family !== 'IPv4') return { refusal: 'beacons are IPv4 only in this version' }
  const out = excluded.find((pattern) => pattern.fits(found))
  if (out !== undefined) return { refusal: `!${out.text} leaves it out` }
  if (patterns.length === 0) {
    const rank = rankOf(found)
    return { rank, reason: RANKS[rank] ?? '' }
  }
  const index = patterns.findIndex((pattern) => pattern.fits(found))
  const rank = index * RANKS.length + rankOf(found)
  if (index >= 0) return { rank, reason: `${ASKED_FOR} ${patterns[index]?.text}` }
  return { refusal: `${patterns.map(({ text }) => text).join(', ')} was asked for` }
}

/** Whether an address is on the network of an interface; one that is not IPv4 is on none. */
export function onNetwork(address: string, { address: ours, netmask }: NetworkInterface): boolean {
  if (address.includes(':')) return false
  const mask = ipv4(netmask)
  return (ipv4(address) & mask) === (ipv4(ours) & mask)
}

/** Whether it is the same interface with the same address on the same network. */
export function isSame(one: ChosenInterface, other: ChosenInterface): boolean {
  return one.name === other.name && one.address === other.address && one.netmask === other.netmask
}

/** The network of an interface, as people write it: `10.1.0.0/20`. */
export function networkOf(found: NetworkInterface): string {
  return `${dotted(ipv4(found.address) & ipv4(found.netmask))}/${prefixOf(found)}`
}

/** How many bits of its address tell its network. */
export function prefixOf({ netmask }: NetworkInterface): number {
  return Math.clz32(~ipv4(netmask))
}

/** Of a loopback without broadcast (beacon.md 2.7). */
const MULTICAST_REASON = `it has no broadcast on this system, so beacons go to the multicast group ${BEACON_MULTICAST}`
const ASKED_FOR = 'asked for as'
const RANKS = [
  'it reaches a network',
  'it looks like a container, a virtual machine or a tunnel',
  'it has a link-local address',
  'loopback reaches this machine only',
]

const KINDS = ['network', 'virtual', 'link-local', 'loopback'] as const

/** Whom it reaches, as far as one can see: the network, others of a virtual kind, whoever has no address either, ourselves. */
export function kindOf(found: NetworkInterface): (typeof KINDS)[number] {
  return KINDS[rankOf(found)] ?? 'network'
}

/** Whether it was chosen since somebody said so, and not by what it looks like. */
export function isAskedFor({ reason }: ChosenInterface): boolean {
  return reason.startsWith(ASKED_FOR)
}

function rankOf({ name, address, loopback }: NetworkInterface): number {
  if (loopback) return 3
  if (address.startsWith('169.254.')) return 2
  return VIRTUAL.test(name) ? 1 : 0
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
