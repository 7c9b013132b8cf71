// Where a node can be dialled: `tcp://host:port`.
// Spec: harmony.md 2.4 and 2.5.

const ENDPOINT = /^tcp:\/\/(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):([0-9]{1,5})$/
/** Four numbers from 0 to 255: what only looks like that would be looked up as a name. */
const IPV4 = /^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/

/** An address of this machine only, or none. */
export function isLoopback(address: string): boolean {
  return address === '' || address === '::1' || address.startsWith('127.')
}

/** A HELLO that names a host, or no address at all, means the address that its connection came from (harmony.md 2.5). */
export function reachable(endpoint: string, address: string): string {
  const { host, port } = parseEndpoint(endpoint) as { host: string; port: number }
  const nowhere = /^[0.:]*$/.test(host)
  if ((isAddress(host) && !nowhere) || address === '') return endpoint
  return formatEndpoint(address, port)
}

/** Whether it is an IP address in full, which nobody has to look up. */
function isAddress(host: string): boolean {
  return host.includes(':') ? URL.canParse(`tcp://[${host}]`) : IPV4.test(host)
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
