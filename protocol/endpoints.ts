// Where a node can be dialled: `tcp://host:port`.
// Spec: harmony.md 2.4 and 2.5.

const ENDPOINT = /^tcp:\/\/(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):([0-9]{1,5})$/
/** Four numbers from 0 to 255: what only looks like that would be looked up as a name. */
const IPV4 = /^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/

/** No address, and those of nobody alone: broadcast and multicast. */
const NOWHERE = /^([0.:]*|255\.255\.255\.255|(22[4-9]|23\d)\..*|ff[0-9a-f]{2}:.*)$/i
const LOOPBACK = /^(|127\..*|::1|::ffff:(127\..*|7f[0-9a-f]{2}:.*))$/i

/** An address of this machine only, or none. */
export function isLoopback(address: string): boolean {
  return LOOPBACK.test(address)
}

/**
 * A HELLO that names a host, or an address where no other machine can be, means the address that its connection came from:
 * it does not make us dial ourselves (harmony.md 2.5).
 */
export function reachable(endpoint: string, address: string): string {
  const { host, port } = parseEndpoint(endpoint) as { host: string; port: number }
  const isReachable = isAddress(host) && !NOWHERE.test(host)
  const isOurs = isLoopback(host) && !isLoopback(address)
  return address === '' || (isReachable && !isOurs) ? endpoint : formatEndpoint(address, port)
}

/** Whether it is an IP address in full, which nobody has to look up. */
export function isAddress(host: string): boolean {
  return host.includes(':') ? URL.canParse(`tcp://[${host}]`) : isIpv4(host)
}

/** Whether it is four numbers from 0 to 255. */
export function isIpv4(host: string): boolean {
  return IPV4.test(host)
}

/** `tcp://host:port`, with brackets around an IPv6 address. */
export function formatEndpoint(host: string, port: number): string {
  return host.includes(':') ? `tcp://[${host}]:${port}` : `tcp://${host}:${port}`
}

/** The parts of an endpoint, or undefined where it is none; the port is 1 to 65535. */
export function parseEndpoint(endpoint: string): { host: string; port: number } | undefined {
  const [, host, digits] = ENDPOINT.exec(endpoint) ?? []
  const port = Number(digits)
  if (host === undefined || !(port >= 1 && port <= 65_535)) return undefined
  return { host: host.replace(/^\[|\]$/g, ''), port }
}

/** Where we can be dialled from a network: an address of ours there, and how many of its bits tell the network. */
export interface Home {
  readonly endpoint: string
  readonly bits: number
}

/**
 * Which of our endpoints somebody at an address is to be told: that of the smallest network that both are on
 * (harmony.md 2.11).
 * @returns undefined where there is none.
 */
export function homeFor(address: string, homes: readonly Home[]): string | undefined {
  let best: Home | undefined
  for (const home of homes) {
    const isNear = isOnNetwork(address, home) && home.bits >= (best?.bits ?? 0)
    if (isNear) best = home
  }
  return best?.endpoint
}

function isOnNetwork(address: string, { endpoint, bits }: Home): boolean {
  const { host } = parseEndpoint(endpoint) as { readonly host: string }
  if (!IPV4.test(address) || !IPV4.test(host)) return false
  // Of numbers, as a shift by 32 bits would be one by none.
  const size = 2 ** (32 - bits)
  return Math.floor(numberOf(address) / size) === Math.floor(numberOf(host) / size)
}

function numberOf(address: string): number {
  return address.split('.').reduce((number, part) => 256 * number + Number(part), 0)
}
