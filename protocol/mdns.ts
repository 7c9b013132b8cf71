// The DNS-SD records by which a node shows as an instance of the service _zre._tcp, as plain data: what stands in them, and what
// can be read of those of others. Octets are made of them elsewhere, by a DNS codec; who says them when, and what is believed,
// is decided in mdns-table.ts.
// Spec: mdns.md, after RFC 6762 and RFC 6763.

import { fromUtf8, isUuid, type Uuid, utf8 } from './bytes.ts'
import { WireError } from './errors.ts'

/** The UDP port of multicast DNS. */
export const MDNS_PORT = 5353
/** The group of multicast DNS over IPv4; no router passes it on. */
export const MDNS_MULTICAST = '224.0.0.251'
/** The service that every ZRE node is an instance of (mdns.md 2.1). */
export const MDNS_SERVICE = '_zre._tcp.local'
/** Who asks for this is told which services there are. */
export const MDNS_SERVICES = '_services._dns-sd._udp.local'

/** Octets of a label, of a whole name, and of one text of a TXT record. */
const LABEL_BYTES_MAX = 63
const NAME_BYTES_MAX = 255
const TXT_BYTES_MAX = 255
/** Seconds for which others may keep a record: one that has a host's address or port in it, and all others (mdns.md 2.6). */
const HOST_TTL = 120
const OTHER_TTL = 4_500

/** A question for all records of a type that a name has. */
export interface MdnsQuestion {
  /** Labels and dots, without one at the end; a dot within a label is not told from others. */
  readonly name: string
  /** `PTR`, `SRV`, `TXT`, `A`, `ANY`, or another that we have nothing to say to. */
  readonly type: string
}

/** One record; `ttl` is in seconds, 0 takes it back; `flush` says that there is no other of its name and type. */
export type MdnsRecord = {
  readonly name: string
  readonly ttl: number
  readonly flush: boolean
} & (
  | { readonly type: 'PTR'; readonly target: string }
  | { readonly type: 'SRV'; readonly target: string; readonly port: number }
  | { readonly type: 'TXT'; readonly texts: readonly Uint8Array[] }
  | { readonly type: 'A'; readonly address: string }
)

/** One packet, without the records that nobody here looks at. */
export interface MdnsPacket {
  readonly type: 'query' | 'response'
  /** 0, but where a resolver that knows only DNS asked, whose number is repeated (mdns.md 4.6). */
  readonly id: number
  readonly questions: readonly MdnsQuestion[]
  /** In a query, what its sender knows already. */
  readonly answers: readonly MdnsRecord[]
  /** What its receiver will ask for next. */
  readonly additionals: readonly MdnsRecord[]
}

/** What a node says of itself. */
export interface MdnsNode {
  readonly uuid: Uuid
  readonly name: string
  /** The UDP port of its beacons, which is the name of its network (mdns.md 2.5). */
  readonly network: number
  /** Of its inbox. */
  readonly address: string
  readonly port: number
}

/** All records of a node. */
export interface MdnsRecords {
  readonly services: MdnsRecord
  readonly pointer: MdnsRecord
  readonly srv: MdnsRecord
  readonly txt: MdnsRecord
  readonly address: MdnsRecord
}

/** What the TXT record of a node tells. */
export interface MdnsText {
  readonly uuid: Uuid
  readonly network: number
}

/**
 * The name of a node's instance: its own, as far as a label has room, and so many digits of its uuid, so that no two are the
 * same (mdns.md 2.2).
 */
export function instanceOf(
  { uuid, name }: { readonly uuid: Uuid; readonly name: string },
  digits: number,
): string {
  const suffix = ` (${uuid.slice(0, digits)})`
  // The codec takes each dot for the end of a label, and browsers show what is in one as it is.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what must not be in it.
  const plain = name.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').replaceAll('.', '-')
  const start = clip(plain.trim(), LABEL_BYTES_MAX - suffix.length)
  return `${start === '' ? 'node' : start}${suffix}.${MDNS_SERVICE}`
}

/** The name of a node's host: its uuid, so that nobody else has it (mdns.md 2.3). */
export function hostOf(uuid: Uuid): string {
  return `${uuid}.local`
}

/** The records of a node whose instance has this name (mdns.md 2.1 to 2.6). */
export function recordsOf(node: MdnsNode, instance: string): MdnsRecords {
  const host = hostOf(node.uuid)
  const shared = { ttl: OTHER_TTL, flush: false } as const
  const own = { name: instance, flush: true } as const
  return {
    services: { name: MDNS_SERVICES, type: 'PTR', target: MDNS_SERVICE, ...shared },
    pointer: { name: MDNS_SERVICE, type: 'PTR', target: instance, ...shared },
    srv: { ...own, type: 'SRV', ttl: HOST_TTL, target: host, port: node.port },
    txt: { ...own, type: 'TXT', ttl: OTHER_TTL, texts: textsOf(node) },
    address: { name: host, type: 'A', ttl: HOST_TTL, flush: true, address: node.address },
  }
}

/**
 * Reads the TXT record of a node (mdns.md 2.4, 2.5).
 * @throws WireError where there is no uuid or no network in it, or what is no such thing.
 */
export function readTexts(texts: readonly Uint8Array[]): MdnsText {
  const values = new Map<string, string>()
  for (const octets of texts) {
    const text = fromUtf8(octets)
    const at = text.indexOf('=')
    const key = text.slice(0, Math.max(0, at)).toLowerCase()
    // The first of a key counts, and what has none is nothing (RFC 6763, 6.4).
    if (at > 0 && !values.has(key)) values.set(key, text.slice(at + 1))
  }
  const uuid = values.get('uuid')?.toLowerCase()
  const network = values.get('network') ?? ''
  if (!isUuid(uuid)) throw new WireError('mdns.md 2.4', 'a TXT record without a uuid')
  if (!/^[1-9]\d{0,4}$/.test(network) || Number(network) > 65_535) {
    throw new WireError('mdns.md 2.5', 'a TXT record without a network')
  }
  return { uuid, network: Number(network) }
}

/** Whether it is the name of an instance of our service, of a length that DNS has room for (mdns.md 3.2). */
export function isInstance(name: string): boolean {
  const end = name.length - MDNS_SERVICE.length - 1
  if (end < 1 || name[end] !== '.' || !isName(name.slice(end + 1), MDNS_SERVICE)) return false
  return name.length < NAME_BYTES_MAX && utf8(name.slice(0, end)).length <= LABEL_BYTES_MAX
}

/** Whether two names are the same: DNS does not tell capital letters from small ones. */
export function isName(one: string, other: string): boolean {
  return one === other || (one.length === other.length && one.toLowerCase() === other.toLowerCase())
}

/** Whether two records say the same, whatever their time to live. */
export function isSame(one: MdnsRecord, other: MdnsRecord): boolean {
  if (!isName(one.name, other.name)) return false
  if (one.type === 'PTR') return other.type === 'PTR' && isName(one.target, other.target)
  if (one.type === 'A') return other.type === 'A' && one.address === other.address
  if (one.type === 'SRV') {
    return other.type === 'SRV' && one.port === other.port && isName(one.target, other.target)
  }
  return other.type === 'TXT' && one.texts.join('|') === other.texts.join('|')
}

/** Whether a record answers a question. */
export function isAsked({ name, type }: MdnsQuestion, record: MdnsRecord): boolean {
  return (type === record.type || type === 'ANY') && isName(name, record.name)
}

/** A node is where it says so from: a packet that names addresses of its host names that one, too (mdns.md 3.3). */
export function isAt(
  from: string,
  { target, port }: Extract<MdnsRecord, { type: 'SRV' }>,
  records: readonly MdnsRecord[],
): boolean {
  if (!(Number.isInteger(port) && port >= 1 && port <= 65_535)) return false
  const addresses = records.filter((record) => record.type === 'A' && isName(record.name, target))
  return (
    addresses.length === 0 ||
    addresses.some((record) => record.type === 'A' && record.address === from)
  )
}

/** The name of an instance, without that of the service. */
export function labelOf(name: string): string {
  return name.slice(0, -MDNS_SERVICE.length - 1)
}

/** A name whose label has a dot in it cannot be written again. */
export function isAskable(name: string): boolean {
  return !labelOf(name).includes('.')
}

function textsOf({ uuid, name, network }: MdnsNode): Uint8Array[] {
  const texts = [
    'txtvers=1',
    `uuid=${uuid}`,
    `network=${network}`,
    clip(`name=${name}`, TXT_BYTES_MAX),
  ]
  return texts.map(utf8)
}

/** As much of a text as fits into so many octets of UTF-8, by whole characters. */
function clip(text: string, bytesMax: number): string {
  let clipped = ''
  let left = bytesMax
  for (const character of text) {
    left -= utf8(character).length
    if (left < 0) break
    clipped += character
  }
  return clipped.trimEnd()
}
