// Which interfaces a node uses, and why not the others. Nothing loses users like a wrong guess that nobody explains, so every
// answer comes with its reason.

import {
  BEACON_MULTICAST,
  BEACON_MULTICAST_IPV6,
  bitsOf,
  canonicalIpv6,
  formatNetwork,
  isLinkLocal,
  isNear,
  withoutZone,
} from '../../protocol/index.ts'
import { UsageError } from '../errors.ts'
import type { NetworkInterface } from '../host.ts'

/** An interface that is used, by one of its addresses of IPv4, or one of IPv6. */
export interface ChosenInterface extends NetworkInterface {
  /** The broadcast address of its network, or the multicast group of IPv6, or of a loopback that has no broadcast. */
  readonly beaconsTo: string
  readonly reason: string
  /** It has an inbox, for neighbours that have no other address of IPv6, and no beacon: that goes out by another address. */
  readonly quiet?: true
}

/** The choice, for diagnostics too; the first is the one that others are told of who are on none of these networks. */
export interface InterfaceChoice {
  readonly chosen: readonly ChosenInterface[]
  readonly skipped: readonly { name: string; address: string; reason: string }[]
}

/** What is wanted of IPv6, and which of its addresses are in use: of two as good the same is used again. */
export interface InterfaceWishes {
  /** Undefined: where an interface has no IPv4 address. */
  readonly ipv6?: boolean | undefined
  readonly held?: readonly string[]
}

/** Interfaces of containers, virtual machines and tunnels: their broadcasts reach nobody that a user means. */
const VIRTUAL =
  /^(docker|br-|veth|virbr|lxc|cni|flannel|cali|vmnet|vboxnet|tun|tap|utun|wg|zt|tailscale|ppp|awdl|llw|anpi)/

/**
 * Chooses all that fit what is wanted, by name, address, network (`10.0.0.0/8`, `fd00::/8`) or a pattern of these with `*` and
 * `?`; what begins with `!` is left out. Where only that is said, or nothing, all that reach a network, and what is worse,
 * loopback last, only where there is nothing better. Of an interface one address of IPv6 is used: a unique-local one before a
 * global one, which others may reach from far away, and a link-local one last.
 * @throws UsageError when nothing fits.
 */
export function chooseInterfaces(
  interfaces: readonly NetworkInterface[],
  wanted: readonly string[],
  { ipv6, held = [] }: InterfaceWishes = {},
): InterfaceChoice {
  const patterns = wanted.filter((pattern) => !pattern.startsWith('!')).map(patternOf)
  const excluded = wanted.filter((pattern) => pattern.startsWith('!')).map(patternOf)
  const withIpv4 = interfaces.filter(({ family }) => family === 'IPv4').map(({ name }) => name)
  const skipped: { name: string; address: string; reason: string }[] = []
  const fitting: Candidate[] = []
  for (const found of interfaces) {
    const { name, address } = found
    const wishes = { patterns, excluded, ipv6, hasIpv4: withIpv4.includes(name) }
    const verdict = judge(found, wishes)
    const order = 2 * orderOf(found) - (held.includes(address) ? 1 : 0)
    if ('refusal' in verdict) skipped.push({ name, address, reason: verdict.refusal })
    else fitting.push({ found, order, ...verdict })
  }
  fitting.sort((one, other) => one.rank - other.rank || one.order - other.order)
  const [best] = fitting
  if (best === undefined) throw new UsageError(nothingFits(interfaces, wanted))
  const chosen: ChosenInterface[] = []
  for (const { found, rank, reason } of fitting) {
    const { name, address } = found
    const isWorse = patterns.length === 0 && rank > best.rank
    const loud = chosen.find((other) => other.name === name && other.family === 'IPv6')
    if (found.family === 'IPv6' && loud !== undefined && isFirstLinkLocal(found, chosen)) {
      chosen.push({ ...choose(found, `beacons come from ${loud.address}`), quiet: true })
      continue
    }
    const taken = takenBy(chosen, found) ?? (isWorse ? RANKS[rank] : undefined)
    if (taken !== undefined) skipped.push({ name, address, reason: taken })
    else chosen.push(choose(found, reason))
  }
  return { chosen, skipped }
}

interface Candidate {
  readonly found: NetworkInterface
  readonly rank: number
  readonly order: number
  readonly reason: string
}

/** Why an address is not used beside those that are. */
function takenBy(chosen: readonly ChosenInterface[], found: NetworkInterface): string | undefined {
  const same = chosen.find((other) => networkOf(other) === networkOf(found))
  if (same !== undefined) return `${same.address} is on the same network`
  if (found.family === 'IPv4') return undefined
  const other = chosen.find(({ name, family }) => name === found.name && family === 'IPv6')
  return other === undefined ? undefined : `${other.address} is used there`
}

/** Whether it is what a neighbour can dial that has no other address of IPv6. */
function isFirstLinkLocal(
  { name, address }: NetworkInterface,
  chosen: readonly ChosenInterface[],
): boolean {
  const isThere = chosen.some((other) => other.name === name && isLinkLocal(other.address))
  return isLinkLocal(address) && !isThere
}

function choose(found: NetworkInterface, reason: string): ChosenInterface {
  if (found.family === 'IPv4') {
    return found.broadcasts
      ? { ...found, beaconsTo: broadcastOf(found), reason }
      : { ...found, beaconsTo: BEACON_MULTICAST, reason: `${reason}; ${MULTICAST_REASON}` }
  }
  const { name, zone = name } = found
  const beaconsTo = `${BEACON_MULTICAST_IPV6}%${zone}`
  const why = found.broadcasts ? reason : `${reason}; ${NO_MULTICAST_REASON}`
  return { ...found, beaconsTo, reason: why }
}

function nothingFits(interfaces: readonly NetworkInterface[], wanted: readonly string[]): string {
  const there = interfaces.map(({ name, address }) => `${name} (${address})`).join(', ')
  if (wanted.length === 0)
    return `there is no interface that can be used: ${there || 'none at all'}`
  const what = wanted.join(', ')
  return `there is no interface to use with the name or address ${what}; there are ${there}`
}

/** Says whether an interface is meant, and by what. */
interface Pattern {
  readonly text: string
  fits(found: NetworkInterface): 'name' | 'address' | undefined
}

function patternOf(wanted: string): Pattern {
  const text = wanted.replace(/^!/, '')
  const [, network = '', bits] = /^([\da-fA-F:.]+)\/(\d{1,3})$/.exec(text) ?? []
  if (bits !== undefined) {
    const isInside = (inside: string) => isNear(inside, network, Number(bits))
    return { text, fits: ({ address }) => (isInside(withoutZone(address)) ? 'address' : undefined) }
  }
  const escaped = (canonicalIpv6(text) ?? text).replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
  const regexp = new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`)
  return {
    text,
    fits({ name, address }) {
      if (regexp.test(name)) return 'name'
      return regexp.test(address) || regexp.test(withoutZone(address)) ? 'address' : undefined
    },
  }
}

function judge(
  found: NetworkInterface,
  {
    patterns,
    excluded,
    ...wishes
  }: {
    readonly patterns: readonly Pattern[]
    readonly excluded: readonly Pattern[]
    readonly ipv6: boolean | undefined
    readonly hasIpv4: boolean
  },
): { readonly refusal: string } | { readonly rank: number; readonly reason: string } {
  const out = excluded.find((pattern) => pattern.fits(found))
  if (out !== undefined) return { refusal: `!${out.text} leaves it out` }
  const index = patterns.findIndex((pattern) => pattern.fits(found))
  const pattern = patterns[index]
  if (pattern === undefined && patterns.length > 0) {
    return { refusal: `${patterns.map(({ text }) => text).join(', ')} was asked for` }
  }
  const isNamed = pattern?.fits(found) === 'address'
  const refusal = found.family === 'IPv6' ? refuseIpv6(found, { ...wishes, isNamed }) : undefined
  if (refusal !== undefined) return { refusal }
  const rank = rankOf(found, wishes.ipv6 === true)
  if (pattern === undefined) return { rank, reason: RANKS[rank] ?? '' }
  return { rank: index * RANKS.length + rank, reason: `${ASKED_FOR} ${pattern.text}` }
}

/** IPv6 is used where somebody wants it, or where there is nothing else. */
function refuseIpv6(
  { loopback, broadcasts }: NetworkInterface,
  {
    ipv6,
    hasIpv4,
    isNamed,
  }: {
    readonly ipv6: boolean | undefined
    readonly hasIpv4: boolean
    /** Whether it was asked for by its address or network. */
    readonly isNamed: boolean
  },
): string | undefined {
  if (ipv6 === false) return IPV6_OFF
  if (isNamed) return undefined
  if (loopback && !broadcasts) return NO_MULTICAST_REASON
  return hasIpv4 && ipv6 === undefined ? 'it has IPv4, and IPv6 was not asked for' : undefined
}

/** Whether an address is on the network of an interface. */
export function onNetwork(address: string, found: NetworkInterface): boolean {
  const { address: ours, netmask } = found
  if (address.includes(':') || ours.includes(':')) return isNear(address, ours, prefixOf(found))
  const mask = ipv4(netmask)
  return (ipv4(address) & mask) === (ipv4(ours) & mask)
}

/** Whether it is the same interface with the same address on the same network. */
export function isSame(one: ChosenInterface, other: ChosenInterface): boolean {
  return one.name === other.name && one.address === other.address && one.netmask === other.netmask
}

/** The network of an interface, as people write it: `10.1.0.0/20`, `fd00:7::/64`, `fe80::%eth0/64`. */
export function networkOf(found: NetworkInterface): string {
  return formatNetwork(found.address, prefixOf(found))
}

/** How many bits of its address tell its network. */
export function prefixOf({ netmask }: NetworkInterface): number {
  return bitsOf(netmask)
}

/** Of a loopback without broadcast (beacon.md 2.7). */
const MULTICAST_REASON = `it has no broadcast on this system, so beacons go to the multicast group ${BEACON_MULTICAST}`
const ASKED_FOR = 'asked for as'
/** Of a loopback without multicast, as that of Linux has no route for it. */
const NO_MULTICAST_REASON =
  'loopback has no multicast of IPv6 on this system, so no beacon is heard there'
/** Why an address of IPv6 is not used where nobody wants any. */
export const IPV6_OFF = 'IPv6 is switched off'
const RANKS = [
  'it reaches a network',
  'it looks like a container, a virtual machine or a tunnel',
  'it has a link-local address',
  'loopback reaches this machine only',
]

const KINDS = ['network', 'virtual', 'link-local', 'loopback'] as const

/** Whom it reaches, as far as one can see: the network, others of a virtual kind, whoever has no address either, ourselves. */
export function kindOf(found: NetworkInterface): (typeof KINDS)[number] {
  return KINDS[rankOf(found, false)] ?? 'network'
}

/** Whether it was chosen since somebody said so, and not by what it looks like. */
export function isAskedFor({ reason }: ChosenInterface): boolean {
  return reason.startsWith(ASKED_FOR)
}

/** A link-local address of IPv6 is always there, and as good as any for whoever wants IPv6; else it is a last resort. */
function rankOf({ name, address, loopback }: NetworkInterface, isIpv6Wanted: boolean): number {
  if (loopback) return 3
  if (address.startsWith('169.254.') || (isLinkLocal(address) && !isIpv6Wanted)) return 2
  return VIRTUAL.test(name) ? 1 : 0
}

/** Of addresses of the same rank: IPv4 first, as every node has that, and then those that stay where they are. */
function orderOf({ family, address }: NetworkInterface): number {
  if (family === 'IPv4') return 0
  if (isLinkLocal(address)) return 3
  return /^f[cd]/.test(address) ? 1 : 2
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
