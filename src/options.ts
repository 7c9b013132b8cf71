// Every setting of a node: default, unit, range and price.

import {
  BEACON_PORT,
  canonicalEndpoint,
  fits,
  HEADER_VALUE_BYTES_MAX,
  HELLO_HEADERS_MAX,
  type Headers,
  isAddress,
  LEASE_MAX_MS,
  LOG_LEVELS,
  type LogLevel,
  type OverflowPolicy,
  parseEndpoint,
  TEXT_BYTES_MAX,
  type Trace,
} from '../protocol/index.ts'
import { UsageError } from './errors.ts'
import type { Address } from './host.ts'
import type { WireEvent } from './wire.ts'

/** What a node can be told; everything has a default. */
export interface LyreOptions {
  /** The public name, at most 255 octets of UTF-8; names need not be unique. Default: the first six digits of the uuid. */
  readonly name?: string
  /**
   * What the node tells about itself to each peer that enters: at most 64 headers; a key has 1 to 255 octets of UTF-8, a
   * value at most 4,096; keys that begin with `X-LYRE-` are Lyre's own. Default: none.
   */
  readonly headers?: Readonly<Record<string, string>>
  /**
   * Where nodes are, `tcp://HOST:PORT`: one, or up to 64. Whoever is there becomes a peer, on whatever network that is; a host
   * name is looked up anew at each attempt, and one that is not there is tried again for as long as the node runs, each 30
   * seconds at the latest. It takes nothing away from beacons and gossip. Default: none.
   */
  readonly seeds?: string | readonly string[]
  /**
   * A folder in which the node keeps who it is from one start to the next: an id, told to peers in the header `X-LYRE-ID`, and
   * the count of its starts, in `X-LYRE-INCARNATION`. It is made if need be, and is one node's alone. Default: nothing is kept.
   */
  readonly state?: string
  /**
   * Whether the uuid is the same at each start, too; needs `state`. Default: false: a new one each time, as in Zyre, which a
   * peer cannot take for the node that it knew before.
   */
  readonly keepUuid?: boolean
  /**
   * Whether to keep, in `state`, where the last 64 peers were, and to dial them at the next start as if they were `seeds`, each
   * until three attempts in a row have failed, and anew where the machine is on another network. Default: false.
   */
  readonly remember?: boolean
  /**
   * Whether to send beacons and listen to those of others. Default: true, together with any gossip. Without, nodes find each
   * other by seeds, by gossip and by `requirePeer()` alone.
   */
  readonly beacon?: boolean
  /** UDP port of the beacons, 1 to 65535; nodes with another port are another network. Default: 5670, which is ZRE's. */
  readonly beaconPort?: number
  /**
   * Longest time between two beacons in milliseconds, 10 to 60,000. Default: 1,000. A shorter one finds a peer sooner whose
   * first beacon was lost, and each beacon costs every node of the network about 40 microseconds and 64 octets.
   */
  readonly beaconIntervalMs?: number
  /**
   * Whether to find others by multicast DNS as well, as an instance of `_zre._tcp`. Default: false: it opens UDP port 5353
   * next to the system's own, and speaks to every device of the network. Say true where broadcasts do not get through, or for
   * nodes to show in browsers of DNS-SD. It costs some milliseconds at the first start, and 0.4 MB.
   */
  readonly mdns?: boolean
  /**
   * Whether to use IPv6, beside IPv4: beacons go to `ff02::1`, as those of C Zyre do with `ZSYS_IPV6=1`, from one address of each
   * interface, and there is an inbox there. Default: only on interfaces that have no IPv4 address, and where `interface` names an
   * IPv6 address or network: a second family doubles beacons and inboxes, and a global address may be reached from far away.
   * False: nowhere.
   */
  readonly ipv6?: boolean
  /**
   * The interfaces to use: a name (`eth0`), an address, a network (`10.0.0.0/8`, `fd00::/8`), or a pattern of these with `*` and
   * `?`; one, or several. `!docker*` leaves out what fits. `127.0.0.1` stays on this machine. Default: all that reach a network and
   * do not look like a container's or a tunnel's, or else what is worse, loopback last; `diagnostics()` says which, and why.
   */
  readonly interface?: string | readonly string[]
  /**
   * TCP port of the inbox, 1 to 65535, or a range of which the first free one is taken; a firewall needs to let them in.
   * Default: any that the system has free.
   */
  readonly mailboxPort?: number | { readonly from: number; readonly to: number }
  /** Endpoint that others are told to dial, `tcp://host:port`, where it is not the one we listen at. Default: that one. */
  readonly advertise?: string
  /**
   * Where to be a hub of gossip, `tcp://ADDRESS:PORT`: an address of this machine, or `*` for all of IPv4, and a port from 1
   * to 65535, or `*` for any that is free; or `inproc://NAME`, for nodes of this process alone. Default: nowhere.
   */
  readonly gossipBind?: string
  /**
   * Hubs of gossip to connect to, one or up to 16: `tcp://HOST:PORT`, or `inproc://NAME`. A host name is looked up anew at each attempt; a hub that is not
   * there is tried again for as long as the node runs. What others are told is `advertise`, or where we listen. Default: none.
   */
  readonly gossipConnect?: string | readonly string[]
  /**
   * For how long others are told that we are there, by gossip, in milliseconds, 1,000 to 600,000; said again each third of it. A
   * node that is gone is forgotten by all hubs of Lyre after so long. Default: 30,000.
   */
  readonly gossipTtlMs?: number
  /** Quiet for so long, a peer is evasive: milliseconds, from 10. Default: 5,000. */
  readonly evasiveTimeoutMs?: number
  /** Quiet for so long, and without an answer to our pings, it is silent: milliseconds, above evasive. Default: 6,000. */
  readonly silentTimeoutMs?: number
  /**
   * Quiet for so long, it is gone: milliseconds, above silent. Default: 30,000. A shorter one notices a crash sooner, and
   * takes a WiFi that drops out for a moment for one.
   */
  readonly expiredTimeoutMs?: number
  /**
   * Without a peer for so long, the node tells a `warning` with the likely causes, once until one has been there:
   * milliseconds, from 10 to a day, 0 or Infinity for never. Default: 10,000, ten beacons of everybody.
   */
  readonly lonelyAfterMs?: number
  /**
   * Whether content comes as copies. Default: false: it comes as views of what was read, which cost nothing, stay valid
   * for as long as they are held, and hold up to 64 KiB each while they are. Say true to keep many small messages.
   */
  readonly copy?: boolean
  /**
   * Hears what a developer may want to know, as data, at most 50 of a type in a second; it must not throw. Default: nobody.
   */
  readonly trace?: (trace: Trace) => void
  /**
   * What the node logs, for collectors of the network: what it sees of itself and its peers, and what `log()` says. Default:
   * nothing, since whoever is on the network can be a collector.
   */
  readonly log?: LogOptions
  /**
   * Is told all that passes between the node and its peers: each message with its connection and sequence, what becomes of
   * connections, what peers are known to have read. It is called in the middle of things, so it must not call the node, and what it
   * takes the node waits for. Default: nobody, which costs nothing.
   */
  readonly wire?: (event: WireEvent) => void
  /**
   * By group, what becomes of a shout to it for which there is no room: `drop-newest` leaves it out, `drop-oldest` leaves
   * out the oldest that still waits. It applies for each peer by itself, once its mailbox is half full; the peer stays.
   * At most 1,024 groups. Default: none: the peer whose mailbox is full is let go, with cause `limit`.
   */
  readonly overflow?: Readonly<Record<string, OverflowPolicy>>
  /** What others, or an application that is slow, can make grow. */
  readonly limits?: Partial<LyreLimits>
}

/** What a node logs. */
export interface LogOptions {
  /**
   * The highest level that is recorded: `error`, `warning`, `info`, `debug`, or `off`. `lyre.logLevel` changes it at any time.
   * Default: `off`, which costs nothing. With `info`, the latest records take up to `limits.logBytesMax` of memory.
   */
  readonly level?: LogLevel | 'off'
  /**
   * Whether records leave the node at all: at most four collectors are connected to, which peers name by the header `X-ZRELOG`,
   * and only at an address of that very peer. Default: true. Without, nothing is kept either; the channels of
   * `node:diagnostics_channel` have all of it, whatever the level is.
   */
  readonly publish?: boolean
}

/** Limits of a node; integers from 1. */
export interface LyreLimits {
  /**
   * Peers that are known, entered or not. Default: 1,024. Each costs about 2 KB, two TCP connections, and what its HELLO
   * tells: up to 64 KiB, twice that in memory where it is not Latin.
   */
  readonly peersMax: number
  /** Groups that one peer may be in, at most 1,024. Default: 1,024. Who joins more is sent away. */
  readonly peerGroupsMax: number
  /** Groups of all peers together, each counted once for each peer in it. Default: 131,072. Past it the peer in most goes. */
  readonly peerGroupsTotalMax: number
  /** Connections being made at one time to peers that have not said HELLO, and as many to those that have. Default: 32. */
  readonly dialsMax: number
  /**
   * Accepted connections that have not said who they are. Default: 1,024, for 5 seconds each. When all are taken, the
   * address that most of them come from makes place for others.
   */
  readonly arrivalsMax: number
  /** Octets of one message, all frames together, both ways. Default: 67,108,864 (64 MiB). */
  readonly messageBytesMax: number
  /** Frames of one message, both ways, at least 2: one is the header. Default: 1,024. */
  readonly messageFramesMax: number
  /**
   * Octets of content that may wait for one peer, each frame of a message but its first counted as 256 more, and the largest
   * message not at all: a legal message is never too much by itself. Default: 33,554,432 (32 MiB). Past it the peer counts as not responding: it exits with cause `limit`,
   * and what waited is dropped. What the operating system holds for it, and as much as a quarter of this, at most 1 MiB,
   * of what was given to it, and a quarter as much of what is about to be, is not counted.
   */
  readonly queueBytesMax: number
  /** Messages that may wait for one peer, likewise. Default: 131,072. */
  readonly queueMessagesMax: number
  /**
   * Octets of content that may wait for all peers together, counted likewise, a shout once. Default: 268,435,456 (256 MiB).
   * Before it is passed, the peer for which most waits exits with cause `limit`; a single message is never too much.
   */
  readonly queueTotalBytesMax: number
  /**
   * Nodes that are remembered by gossip, those that are gone too. Default: 4,096. Past it, who told of most loses the oldest; and
   * who tells more news than that at once is closed.
   */
  readonly gossipTuplesMax: number
  /** Connections to our hub of gossip. Default: 1,024. Past it the address that has most of them loses the oldest. */
  readonly gossipClientsMax: number
  /**
   * Octets of messages that have begun to arrive and are not whole, over all connections. Default: 268,435,456 (256 MiB).
   * Past it the connection is closed that has held most of them for longest.
   */
  readonly unreadBytesMax: number
  /** Records of the log that are kept for collectors that come later. Default: 4,096, at most 1,048,576. */
  readonly logRecordsMax: number
  /** Octets of those records; one is kept in any case. Default: 1,048,576 (1 MiB). */
  readonly logBytesMax: number
  /** Events that wait for the reader of one `events()`. Default: 10,000. Past it they are dropped and counted. */
  readonly eventsMax: number
  /** Octets of memory that those events take, about, for each stream. Default: 33,554,432 (32 MiB). */
  readonly eventBytesMax: number
}

const LIMITS: LyreLimits = {
  peersMax: 1_024,
  peerGroupsMax: 1_024,
  peerGroupsTotalMax: 131_072,
  dialsMax: 32,
  arrivalsMax: 1_024,
  messageBytesMax: 67_108_864,
  messageFramesMax: 1_024,
  queueBytesMax: 33_554_432,
  queueMessagesMax: 131_072,
  queueTotalBytesMax: 268_435_456,
  gossipTuplesMax: 4_096,
  gossipClientsMax: 1_024,
  unreadBytesMax: 268_435_456,
  logRecordsMax: 4_096,
  logBytesMax: 1_048_576,
  eventsMax: 10_000,
  eventBytesMax: 33_554_432,
}

/** The options with all defaults in place, and checked. */
export interface Settings {
  readonly name: string | undefined
  readonly headers: Headers
  readonly seeds: readonly string[]
  readonly state: string | undefined
  readonly keepUuid: boolean
  readonly remember: boolean
  readonly beacon: boolean
  readonly beaconPort: number
  readonly beaconIntervalMs: number
  readonly mdns: boolean
  /** Undefined: where an interface has no IPv4 address. */
  readonly ipv6: boolean | undefined
  readonly interfaces: readonly string[]
  readonly mailboxPorts: { readonly from: number; readonly to: number }
  readonly advertise: string | undefined
  readonly gossipBind: Address | { readonly name: string } | undefined
  readonly gossipConnect: readonly string[]
  readonly gossipTtlMs: number
  readonly evasiveTimeoutMs: number
  readonly silentTimeoutMs: number
  readonly expiredTimeoutMs: number
  /** Infinity is never. */
  readonly lonelyAfterMs: number
  readonly copy: boolean
  readonly trace: ((trace: Trace) => void) | undefined
  readonly log: Required<LogOptions>
  readonly wire: ((event: WireEvent) => void) | undefined
  readonly overflow: ReadonlyMap<string, OverflowPolicy>
  readonly limits: LyreLimits
}

/** @throws UsageError that names the option, what was given and what would be right. */
export function resolveOptions(options: LyreOptions): Settings {
  for (const key of Object.keys(options)) {
    if (!KEYS.has(key)) {
      throw new UsageError(`there is no option ${key}; there are ${[...KEYS].join(', ')}`)
    }
  }
  const { mailboxPort = 0 } = options
  const ports =
    typeof mailboxPort === 'object' ? mailboxPort : { from: mailboxPort, to: mailboxPort }
  const portMin = options.mailboxPort === undefined ? 0 : 1
  const from = integer('mailboxPort', ports.from, { min: portMin, max: 65_535 })
  const timeouts = resolveTimeouts(options)
  return {
    name: options.name === undefined ? undefined : textOption('name', options.name),
    headers: resolveHeaders(options),
    seeds: resolveSeeds(options.seeds),
    ...resolveState(options),
    beacon: typed('beacon', options.beacon, 'boolean') ?? true,
    beaconPort: integer('beaconPort', options.beaconPort ?? BEACON_PORT, { min: 1, max: 65_535 }),
    beaconIntervalMs: integer('beaconIntervalMs', options.beaconIntervalMs ?? 1_000, {
      min: 10,
      max: 60_000,
    }),
    mdns: typed('mdns', options.mdns, 'boolean') ?? false,
    ipv6: typed('ipv6', options.ipv6, 'boolean'),
    interfaces: resolveInterfaces(options.interface ?? []),
    mailboxPorts: { from, to: integer('mailboxPort', ports.to, { min: from, max: 65_535 }) },
    advertise: resolveAdvertise(options.advertise),
    gossipBind: resolveGossipBind(options.gossipBind),
    gossipConnect: resolveGossipConnect(options.gossipConnect),
    gossipTtlMs: integer('gossipTtlMs', options.gossipTtlMs ?? 30_000, {
      min: 1_000,
      max: LEASE_MAX_MS,
    }),
    ...timeouts,
    lonelyAfterMs: resolveLonely(options.lonelyAfterMs ?? 10_000),
    copy: typed('copy', options.copy, 'boolean') ?? false,
    trace: typed('trace', options.trace, 'function'),
    log: resolveLog(options.log ?? {}),
    wire: typed('wire', options.wire, 'function'),
    overflow: resolveOverflow(options.overflow ?? {}),
    limits: resolveLimits(options.limits ?? {}),
  }
}

const KEYS = new Set([
  'name',
  'headers',
  'seeds',
  'state',
  'keepUuid',
  'remember',
  'beacon',
  'beaconPort',
  'beaconIntervalMs',
  'mdns',
  'ipv6',
  'interface',
  'mailboxPort',
  'advertise',
  'gossipBind',
  'gossipConnect',
  'gossipTtlMs',
  'evasiveTimeoutMs',
  'silentTimeoutMs',
  'expiredTimeoutMs',
  'lonelyAfterMs',
  'copy',
  'trace',
  'log',
  'wire',
  'overflow',
  'limits',
])

/** The longest a timeout can be: a day. */
const TIMEOUT_MAX_MS = 86_400_000

function resolveTimeouts(
  options: LyreOptions,
): Pick<Settings, 'evasiveTimeoutMs' | 'silentTimeoutMs' | 'expiredTimeoutMs'> {
  const { evasiveTimeoutMs = 5_000, silentTimeoutMs = 6_000, expiredTimeoutMs = 30_000 } = options
  const range = { min: 10, max: TIMEOUT_MAX_MS }
  integer('evasiveTimeoutMs', evasiveTimeoutMs, range)
  integer('silentTimeoutMs', silentTimeoutMs, range)
  integer('expiredTimeoutMs', expiredTimeoutMs, range)
  if (evasiveTimeoutMs >= silentTimeoutMs || silentTimeoutMs >= expiredTimeoutMs) {
    throw new UsageError(
      `evasiveTimeoutMs (${evasiveTimeoutMs}), silentTimeoutMs (${silentTimeoutMs}) and ` +
        `expiredTimeoutMs (${expiredTimeoutMs}) have to be in this order, each above the one before`,
    )
  }
  return { evasiveTimeoutMs, silentTimeoutMs, expiredTimeoutMs }
}

function resolveLonely(lonelyAfterMs: number): number {
  if (lonelyAfterMs === 0 || lonelyAfterMs === Number.POSITIVE_INFINITY) {
    return Number.POSITIVE_INFINITY
  }
  return integer('lonelyAfterMs', lonelyAfterMs, { min: 10, max: TIMEOUT_MAX_MS })
}

function resolveHeaders({ headers: given = {}, state }: LyreOptions): Headers {
  const headersMax = HELLO_HEADERS_MAX - (state === undefined ? 0 : OWN_HEADERS)
  const headers: Record<string, string> = Object.create(null)
  const entries = Object.entries(given)
  if (entries.length > headersMax) {
    throw new UsageError(`${entries.length} headers are too many, the limit is ${headersMax}`)
  }
  for (const [key, value] of entries) {
    if (key === '') throw new UsageError('a header has an empty key')
    if (/^x-lyre-/i.test(key)) throw new UsageError(`header ${key} is one of Lyre's own: X-LYRE-`)
    textOption('the key of a header', key)
    if (typeof value !== 'string' || !fits(value, HEADER_VALUE_BYTES_MAX)) {
      throw new UsageError(
        `header ${key} has to be a text of at most ${HEADER_VALUE_BYTES_MAX} octets`,
      )
    }
    headers[key] = value
  }
  return Object.freeze(headers)
}

/** Those that tell an identity. */
const OWN_HEADERS = 2

function resolveState(options: LyreOptions): Pick<Settings, 'state' | 'keepUuid' | 'remember'> {
  const { state } = options
  const keepUuid = typed('keepUuid', options.keepUuid, 'boolean') ?? false
  const remember = typed('remember', options.remember, 'boolean') ?? false
  if (state !== undefined && (typeof state !== 'string' || state === '' || state.includes('\0'))) {
    throw new UsageError(`state has to be a folder, not ${String(state)}`)
  }
  if (state === undefined && (keepUuid || remember)) {
    throw new UsageError(`${keepUuid ? 'keepUuid' : 'remember'} needs a folder: option state`)
  }
  return { state, keepUuid, remember }
}

const SEEDS_MAX = 64

function resolveSeeds(given: string | readonly string[] | undefined): readonly string[] {
  const seeds = typeof given === 'string' ? [given] : (given ?? [])
  if (!Array.isArray(seeds) || seeds.length > SEEDS_MAX) {
    throw new UsageError(`seeds has to be one endpoint, or a list of up to ${SEEDS_MAX}`)
  }
  return [...new Set(seeds.map(resolveSeed))]
}

function resolveSeed(seed: unknown): string {
  const endpoint = typeof seed === 'string' ? canonicalEndpoint(seed) : undefined
  if (endpoint === undefined) {
    throw new UsageError(`seeds has to be tcp://HOST:PORT, or a list of these, not ${String(seed)}`)
  }
  if (endpoint.startsWith('tcp://[fe80:') && !endpoint.includes('%')) {
    const example = endpoint.replace(']', '%eth0]')
    throw new UsageError(`a seed with a link-local address needs its interface, as in ${example}`)
  }
  if (/^tcp:\/\/(0\.0\.0\.0|\[::\]):/.test(endpoint)) {
    throw new UsageError(`a seed has to be where another node is, which ${endpoint} is not`)
  }
  return endpoint
}

function resolveInterfaces(given: string | readonly string[]): readonly string[] {
  const wanted: unknown = typeof given === 'string' ? [given] : given
  if (Array.isArray(wanted) && wanted.every(isPattern)) return wanted
  throw new UsageError('interface has to be a name, an address, a network, or a list of these')
}

function isPattern(pattern: unknown): boolean {
  if (typeof pattern !== 'string' || !fits(pattern, TEXT_BYTES_MAX)) return false
  const [, address = '', bits = '0'] = /^!?([\d.]+|[\da-f]*:[\da-f:.]*)\/(.*)$/i.exec(pattern) ?? []
  const bitsMax = address.includes(':') ? 128 : 32
  return /^!?[^!\s]/.test(pattern) && /^\d+$/.test(bits) && Number(bits) <= bitsMax
}

function resolveAdvertise(advertise: string | undefined): string | undefined {
  if (advertise === undefined) return undefined
  if (typeof advertise !== 'string' || parseEndpoint(advertise) === undefined) {
    throw new UsageError(`advertise has to be tcp://host:port, not ${advertise}`)
  }
  return textOption('advertise', advertise)
}

const INPROC = /^inproc:\/\/(\S{1,255})$/
const BIND = /^tcp:\/\/(\*|[0-9.]+|\[[^\]]+\]):(\*|[0-9]{1,5})$/
const GOSSIP_HUBS_MAX = 16

function resolveGossipBind(given: string | undefined): Settings['gossipBind'] {
  if (given === undefined) return undefined
  const [, name] = INPROC.exec(String(given)) ?? []
  if (name !== undefined) return { name }
  const at = bindOf(given)
  if (at !== undefined) return at
  throw new UsageError(
    `gossipBind has to be tcp://ADDRESS:PORT, an IP address or *, or inproc://NAME, not ${given}`,
  )
}

/** Where to listen: `tcp://ADDRESS:PORT`, with `*` for all addresses, or any port; undefined where it is none of that. */
export function bindOf(given: string): Address | undefined {
  const [, host = '', digits] = BIND.exec(given) ?? []
  const address = host === '*' ? '0.0.0.0' : host.replace(/[[\]]/g, '')
  const port = digits === '*' ? 0 : Number(digits)
  const isPort = port <= 65_535 && (port > 0 || digits === '*')
  return isAddress(address) && isPort ? { address, port } : undefined
}

function resolveGossipConnect(given: string | readonly string[] | undefined): readonly string[] {
  const hubs = typeof given === 'string' ? [given] : (given ?? [])
  if (!Array.isArray(hubs) || hubs.length > GOSSIP_HUBS_MAX) {
    throw new UsageError(`gossipConnect has to be one hub, or a list of up to ${GOSSIP_HUBS_MAX}`)
  }
  for (const hub of hubs) {
    if (typeof hub === 'string' && (INPROC.test(hub) || parseEndpoint(hub) !== undefined)) continue
    throw new UsageError(
      `gossipConnect has to be tcp://HOST:PORT, or inproc://NAME, not ${String(hub)}`,
    )
  }
  return [...new Set(hubs)]
}

const POLICIES: readonly string[] = ['drop-newest', 'drop-oldest']
const OVERFLOW_GROUPS_MAX = 1_024

function resolveOverflow(
  given: Readonly<Record<string, OverflowPolicy>>,
): ReadonlyMap<string, OverflowPolicy> {
  const policies = new Map(Object.entries(given))
  if (policies.size > OVERFLOW_GROUPS_MAX) {
    throw new UsageError(`overflow names ${policies.size} groups, limit ${OVERFLOW_GROUPS_MAX}`)
  }
  for (const [group, policy] of policies) {
    textOption('a group of overflow', group)
    if (!POLICIES.includes(policy)) {
      throw new UsageError(`overflow.${group} has to be ${POLICIES.join(' or ')}, not ${policy}`)
    }
  }
  return policies
}

const LEVELS: readonly string[] = ['off', ...Object.keys(LOG_LEVELS)]

function resolveLog(given: LogOptions): Required<LogOptions> {
  if (typeof given !== 'object' || given === null) {
    throw new UsageError(`log has to be an object, such as { level: 'info' }, not ${String(given)}`)
  }
  for (const key of Object.keys(given)) {
    if (key === 'level' || key === 'publish') continue
    throw new UsageError(`there is no option log.${key}; there are level, publish`)
  }
  const publish = typed('log.publish', given.publish, 'boolean') ?? true
  return { level: checkLogLevel(given.level ?? 'off'), publish }
}

/** @throws UsageError on anything but the name of a level, or `off`. */
export function checkLogLevel(level: LogLevel | 'off'): LogLevel | 'off' {
  if (LEVELS.includes(level)) return level
  throw new UsageError(`the level of a log is ${LEVELS.join(', ')}, not ${String(level)}`)
}

/** Limits that must not be as high as one likes: a ring has its places from the beginning. */
const MOST: Readonly<Record<string, number>> = {
  peerGroupsMax: LIMITS.peerGroupsMax,
  logRecordsMax: 1_048_576,
}

function resolveLimits(given: Partial<LyreLimits>): LyreLimits {
  const limits = { ...LIMITS }
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(LIMITS, key)) {
      throw new UsageError(`there is no limit ${key}; there are ${Object.keys(LIMITS).join(', ')}`)
    }
    const min = key === 'messageFramesMax' ? 2 : 1
    const max = MOST[key] ?? Number.MAX_SAFE_INTEGER
    ;(limits as Record<string, number>)[key] = integer(`limits.${key}`, value, { min, max })
  }
  return limits
}

function typed<Value>(
  option: string,
  value: Value,
  type: 'string' | 'boolean' | 'function',
): Value {
  if (value === undefined || typeof value === type) return value
  throw new UsageError(`${option} has to be a ${type}, not ${String(value)}`)
}

function textOption(option: string, value: string): string {
  if (typeof value === 'string' && fits(value, TEXT_BYTES_MAX)) return value
  throw new UsageError(`${option} has to be a text of at most ${TEXT_BYTES_MAX} octets of UTF-8`)
}

/** An option that is an integer in a range. @throws UsageError */
export function integer(
  option: string,
  value: number,
  { min, max }: { readonly min: number; readonly max: number },
): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new UsageError(`${option} has to be an integer from ${min} to ${max}, not ${value}`)
}
