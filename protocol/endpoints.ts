// Where a node can be dialled: `tcp://host:port`.
// Spec: harmony.md 2.4, 2.5, 2.11 and 2.12.

import {
  canonicalIpv6,
  isAddress,
  isLinkLocal,
  isLoopback,
  isNear,
  withoutZone,
  zoneOf,
} from './addresses.ts'

/** Of IPv6 with brackets, as it should be, or without, as C Zyre writes it: the port is behind the last colon. */
const ENDPOINT = /^tcp:\/\/(?:\[([^\s/[\]]+)\]|([^\s/[\]]+)):([0-9]{1,5})$/

/** No address, and those of nobody alone: broadcast and multicast. */
const NOWHERE = /^([0.:]*|255\.255\.255\.255|(22[4-9]|23\d)\..*|ff[0-9a-f]{2}:.*)$/i

/**
 * A HELLO that names a host, or an address where no other machine can be, means the address that its connection came from:
 * it does not make us dial ourselves (harmony.md 2.5). One that means something on one link alone is on the link of that
 * connection, whatever its own machine calls that (harmony.md 2.12).
 */
export function reachable(endpoint: string, address: string): string {
  const { host, port } = parseEndpoint(endpoint) as { host: string; port: number }
  if (address === '') return endpoint
  const isOurs = isLoopback(host) && !isLoopback(address)
  const isElsewhere = isLinkLocal(host) && !isLinkLocal(address)
  if (!isAddress(host) || NOWHERE.test(host) || isOurs || isElsewhere) {
    return formatEndpoint(address, port)
  }
  const zone = zoneOf(address)
  const isHere = isLinkLocal(host) && zone !== ''
  return formatEndpoint(isHere ? `${withoutZone(host)}%${zone}` : withoutZone(host), port)
}

/** `tcp://host:port`, with brackets around an IPv6 address. */
export function formatEndpoint(host: string, port: number): string {
  return host.includes(':') ? `tcp://[${host}]:${port}` : `tcp://${host}:${port}`
}

/** An endpoint of ours as others may hear it: no zone, which is ours alone (harmony.md 2.12). */
export function publicEndpoint(endpoint: string): string {
  if (!endpoint.includes('%')) return endpoint
  const { host, port } = parseEndpoint(endpoint) as { host: string; port: number }
  return formatEndpoint(withoutZone(host), port)
}

/** The same as a HELLO has it: C Zyre only dials a link-local address that has no brackets (harmony.md 2.12). */
export function helloEndpoint(endpoint: string): string {
  return publicEndpoint(endpoint).replace(/[[\]]/g, '')
}

/**
 * The parts of an endpoint, or undefined where it is none; the port is 1 to 65535, an IPv6 address in its canonical text,
 * with its zone where it is link-local and has one.
 */
export function parseEndpoint(endpoint: string): { host: string; port: number } | undefined {
  const [, bracketed, plain, digits] = ENDPOINT.exec(endpoint) ?? []
  const text = bracketed ?? plain
  const port = Number(digits)
  if (text === undefined || !(port >= 1 && port <= 65_535)) return undefined
  // What only looks like an address may stand between brackets, and is read as none (harmony.md 2.5).
  const host = text.includes(':') ? (canonicalIpv6(text) ?? bracketed) : plain
  return host === undefined ? undefined : { host, port }
}

/** The one text of an endpoint, or undefined where it is none: two that differ in their text alone are one place. */
export function canonicalEndpoint(endpoint: string): string | undefined {
  const place = parseEndpoint(endpoint)
  return place === undefined ? undefined : formatEndpoint(place.host, place.port)
}

/** Where we can be dialled from a network: an address of ours there, and how many of its bits tell the network. */
export interface Home {
  /** With its zone where it is link-local: others are not told that. */
  readonly endpoint: string
  readonly bits: number
}

/**
 * Which of our endpoints somebody at an address is to be told: that of the smallest network that both are on; where there is
 * none, the first that is as much an address as theirs, of IPv4 or of IPv6 beyond one link (harmony.md 2.11).
 * @returns undefined where there is none of these either.
 */
export function homeFor(address: string, homes: readonly Home[]): string | undefined {
  let best: Home | undefined
  let first: Home | undefined
  for (const home of homes) {
    const { host } = parseEndpoint(home.endpoint) as { readonly host: string }
    if (isNear(address, host, home.bits) && home.bits >= (best?.bits ?? 0)) best = home
    const isAlike = host.includes(':') === address.includes(':') && !isLinkLocal(host)
    if (isAlike) first ??= home
  }
  return (best ?? first)?.endpoint
}
