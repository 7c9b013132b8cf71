// What an IP address is: its numbers and its text, the zone of one that means something on a single link only, and how much
// of it belongs to whoever has it.
// Spec: harmony.md 2.5, 2.11, 2.12 and 7.10, after RFC 4291, 4007 and 5952.

/** Four numbers from 0 to 255: what only looks like that would be looked up as a name. */
const IPV4 = /^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/
/** An address of IPv6, and the interface by which it is reached, as `fe80::1%eth0`. */
const ZONED = /^([^%]+)(?:%([^\s%:/[\]]+))?$/
/** The last 32 bits of an address of IPv6 may be written as those of IPv4. */
const DOTTED_TAIL = /^(.*:)([\d.]+)$/
const LOOPBACK = /^(|127\..*|::1|::ffff:127\..*)$/
const LINK_LOCAL = /^fe[89ab]/
/** `::ffff:10.0.0.1` is 10.0.0.1. */
const MAPPED = '::ffff:'
const GROUPS = 8
/** Of an address of IPv6: all behind them is its owner's to choose (RFC 4291, 2.5.4). */
const OWNED_BITS = 64

/** Whether it is four numbers from 0 to 255. */
export function isIpv4(host: string): boolean {
  return IPV4.test(host)
}

/** Whether it is an IP address in full, with or without a zone, which nobody has to look up. */
export function isAddress(host: string): boolean {
  return isIpv4(host) || canonicalIpv6(host) !== undefined
}

/** An address of this machine only, or none. */
export function isLoopback(address: string): boolean {
  return LOOPBACK.test(address)
}

/** Whether it means something on one link alone: fe80::/10. */
export function isLinkLocal(address: string): boolean {
  return address.includes(':') && LINK_LOCAL.test(address)
}

/** What stands behind the `%`: for us alone, as another machine has other names for the same link (RFC 4007, 6). */
export function zoneOf(address: string): string {
  const percent = address.indexOf('%')
  return percent < 0 ? '' : address.slice(percent + 1)
}

/** As it is told to others (harmony.md 2.12). */
export function withoutZone(address: string): string {
  const percent = address.indexOf('%')
  return percent < 0 ? address : address.slice(0, percent)
}

/**
 * The one text of an address of IPv6 (RFC 5952), with its zone where it is link-local; elsewhere a zone tells nothing.
 * @returns undefined where it is none.
 */
export function canonicalIpv6(text: string): string | undefined {
  const [, address, zone] = ZONED.exec(text) ?? []
  if (address === undefined || !address.includes(':')) return undefined
  const groups = ipv6Groups(address)
  if (groups === undefined) return undefined
  const canonical = formatIpv6(groups)
  return zone !== undefined && isLinkLocal(canonical) ? `${canonical}%${zone}` : canonical
}

/** Whether the first `bits` bits are the same; of link-local ones, on the same link. */
export function isNear(one: string, other: string, bits: number): boolean {
  if (isLinkLocal(one) && zoneOf(one) !== zoneOf(other)) return false
  const groups = groupsOf(one)
  const others = groupsOf(other)
  if (groups.length === 0 || groups.length !== others.length) return false
  return groups.every((group, index) => {
    const shift = 16 - Math.max(0, Math.min(16, bits - 16 * index))
    return group >> shift === (others[index] as number) >> shift
  })
}

/** The network that an address is on, by the first of its bits: `10.1.0.0/20`, `fd00:7::/64`, `fe80::%eth0/64`. */
export function formatNetwork(address: string, bits: number): string {
  const groups = groupsOf(address).map((group, index) => {
    const shift = 16 - Math.max(0, Math.min(16, bits - 16 * index))
    return (group >> shift) << shift
  })
  if (groups.length !== GROUPS) {
    const octets = groups.flatMap((group) => [group >> 8, group & 0xff])
    return `${octets.join('.')}/${bits}`
  }
  const zone = zoneOf(address)
  return `${formatIpv6(groups)}${zone === '' ? '' : `%${zone}`}/${bits}`
}

/** How many bits of a netmask are set: of `255.255.0.0` and `ffff::` it is 16. */
export function bitsOf(netmask: string): number {
  return groupsOf(netmask).reduce((bits, group) => bits + Math.min(16, Math.clz32(~group << 16)), 0)
}

/**
 * For whom somebody at an address counts where strangers share what there is (harmony.md 7.10): that address itself or, of
 * IPv6, the 64 bits that whoever has them can have 2^64 addresses in.
 */
export function holderOf(address: string): string {
  if (!address.includes(':') || isLoopback(address)) return address
  if (address.startsWith(MAPPED)) return address.slice(MAPPED.length)
  return formatNetwork(address, OWNED_BITS)
}

/** Two groups of 16 bits, or eight; none of what is no address. */
function groupsOf(address: string): readonly number[] {
  const text = withoutZone(address)
  return (text.includes(':') ? ipv6Groups(text) : ipv4Groups(text)) ?? []
}

function ipv4Groups(text: string): readonly number[] | undefined {
  if (!IPV4.test(text)) return undefined
  const [first = 0, second = 0, third = 0, fourth = 0] = text.split('.').map(Number)
  return [256 * first + second, 256 * third + fourth]
}

function ipv6Groups(given: string): readonly number[] | undefined {
  let text = given
  if (given.includes('.')) {
    const [, front, dotted = ''] = DOTTED_TAIL.exec(given) ?? []
    const last = ipv4Groups(dotted)
    if (last === undefined) return undefined
    text = `${front}${last.map((group) => group.toString(16)).join(':')}`
  }
  const [before = '', after, more] = text.split('::')
  if (more !== undefined) return undefined
  const head = before === '' ? [] : before.split(':')
  const tail = after === undefined || after === '' ? [] : after.split(':')
  const missing = GROUPS - head.length - tail.length
  if (after === undefined ? missing !== 0 : missing < 1) return undefined
  const groups = [...head, ...new Array<string>(missing).fill('0'), ...tail]
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined
  return groups.map((group) => Number.parseInt(group, 16))
}

/** Lower case, no leading zeros, and `::` for the longest run of zeros, the first of several, if it is two or more. */
function formatIpv6(groups: readonly number[]): string {
  const text = groups.map((group) => group.toString(16))
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    const octets = groups.slice(6).flatMap((group) => [group >> 8, group & 0xff])
    return `${MAPPED}${octets.join('.')}`
  }
  let start = 0
  let length = 1
  for (let from = 0; from < GROUPS; from++) {
    let to = from
    while (groups[to] === 0) to++
    if (to - from <= length) continue
    start = from
    length = to - from
  }
  if (length < 2) return text.join(':')
  return `${text.slice(0, start).join(':')}::${text.slice(start + length).join(':')}`
}
