// The options that the verbs share, and what they mean to a node; and how the command itself is called.

import { basename, relative } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { LogLevel, LyreOptions } from '../index.ts'
import { variableOf } from './environment.ts'
import type { MetricsPlace } from './exporter.ts'

/** What was said on the command line, or in the environment. */
export interface NodeSettings {
  readonly name?: string
  readonly interface?: string | readonly string[]
  /** The beacons' UDP port. */
  readonly port?: number
  readonly mailboxPort?: { readonly from: number; readonly to: number }
  readonly advertise?: string
  /** Seeds. */
  readonly connect?: readonly string[]
  readonly state?: string
  readonly remember?: boolean
  readonly gossipBind?: string
  readonly gossipConnect?: readonly string[]
  /** Milliseconds. */
  readonly beaconInterval?: number
  readonly mdns?: boolean
  readonly ipv6?: boolean
  readonly logLevel?: LogLevel | 'off'
  readonly group?: readonly string[]
  readonly header?: Readonly<Record<string, string>>
  readonly json?: true
  readonly metrics?: MetricsPlace
}

/** The options of the node that a command line asks for; what it does not say is left to the defaults. */
export function nodeOptions(settings: NodeSettings): LyreOptions {
  const { name, port, mailboxPort, advertise, beaconInterval, mdns, header } = settings
  const { connect, state, remember, gossipBind, gossipConnect, ipv6, logLevel } = settings
  return {
    ...(name !== undefined && { name }),
    ...(settings.interface !== undefined && { interface: settings.interface }),
    ...(port !== undefined && { beaconPort: port }),
    ...(mailboxPort !== undefined && { mailboxPort }),
    ...(advertise !== undefined && { advertise }),
    ...(connect !== undefined && { seeds: connect }),
    ...(state !== undefined && { state }),
    ...(remember !== undefined && { remember }),
    ...(gossipBind !== undefined && { gossipBind }),
    ...(gossipConnect !== undefined && { gossipConnect }),
    ...(beaconInterval !== undefined && { beaconIntervalMs: beaconInterval }),
    ...(mdns !== undefined && { mdns }),
    ...(ipv6 !== undefined && { ipv6 }),
    ...(logLevel !== undefined && { log: { level: logLevel } }),
    ...(header !== undefined && { headers: header }),
  }
}

/** Adds --name. */
export function withName(
  command: Command,
  what = 'public name; the first digits of its uuid, unless given',
): Command {
  return shared(command, '--name <name>', what)
}

/** Adds all that chooses the network. */
export function withNetwork(command: Command): Command {
  shared(
    command,
    '--interface <name>',
    'network interface, by name, address or pattern; can be given several times',
    listed,
  )
  shared(
    command,
    '--port <port>',
    'UDP port of the beacons; another port is another network',
    parsePort,
  )
  shared(
    command,
    '--mailbox-port <port>',
    'TCP port that peers connect to, or a range such as 49152-49160; any free one, unless given',
    parsePorts,
  )
  shared(
    command,
    '--advertise <endpoint>',
    'where peers are told to connect, tcp://host:port, if not where we listen',
  )
  shared(
    command,
    '--connect <endpoint>',
    'where a node is that no beacon may tell of, tcp://HOST:PORT; can be given several times',
    listed,
  )
  shared(
    command,
    '--state <folder>',
    'keeps who the node is from one start to the next: a folder for this node alone',
  )
  shared(command, '--remember', 'with --state: dials at the next start whom it has met')
  shared(
    command,
    '--gossip-bind <endpoint>',
    'be a hub for nodes that no beacon reaches, at tcp://ADDRESS:PORT or tcp://*:PORT',
  )
  shared(
    command,
    '--gossip-connect <endpoint>',
    'hub to find others by, tcp://HOST:PORT; can be given several times',
    listed,
  )
  shared(
    command,
    '--beacon-interval <duration>',
    'longest time between two beacons; 1s, unless given',
    parseInterval,
  )
  shared(command, '--mdns', 'finds others by multicast DNS as well, and shows there')
  shared(command, '--ipv6', 'uses IPv6 beside IPv4; otherwise where there is no IPv4')
  return shared(
    command,
    '--log-level <level>',
    'what collectors of logs are told: error, warning, info or debug; off, unless given',
    parseLogLevel,
  )
}

/** Adds --group, as a list of groups to join. */
export function withGroups(command: Command): Command {
  return shared(command, '--group <group>', 'group to join; can be given several times', listed)
}

/** Adds --header. */
export function withHeaders(command: Command): Command {
  return shared(
    command,
    '--header <key=value>',
    'header to tell peers; can be given several times',
    (header: string, headers: Readonly<Record<string, string>> = {}) => ({
      ...headers,
      ...parseHeader(header),
    }),
  )
}

/** Adds --peer, as a list of names or uuids. */
export function withPeers(command: Command): Command {
  return command.option(
    '--peer <peer>',
    'what a peer of this name or uuid has to do with; given twice, what is between these two',
    listed,
  )
}

/** Adds --metrics. */
export function withMetrics(command: Command): Command {
  return shared(
    command,
    '--metrics <place>',
    'serves metrics for Prometheus at [HOST:]PORT, on 127.0.0.1 unless told; needs prom-client',
    parseMetrics,
  )
}

/** Adds --json. */
export function withJson(
  command: Command,
  what = 'for programs: lines of JSON, as lyre pipe has them',
): Command {
  return shared(command, '--json', what)
}

/** Adds a flag that means the same for each verb that has it, so that they share a variable of the environment. */
function shared<Value>(
  command: Command,
  flag: string,
  what: string,
  parse?: (text: string, previous: Value | undefined) => Value,
): Command {
  const option = new Option(flag, what)
  if (parse !== undefined) option.argParser(parse)
  return command.addOption(option.env(variableOf([option.name()])))
}

/** For a flag that can be given several times. */
function listed(text: string, others: readonly string[] = []): readonly string[] {
  return [...others, text]
}

/** @throws InvalidArgumentError, which Commander shows; so do all of these. */
export function parsePort(port: string): number {
  const number = /^[0-9]{1,5}$/.test(port) ? Number(port) : 0
  if (number >= 1 && number <= 65_535) return number
  throw new InvalidArgumentError('A port is an integer from 1 to 65535; ZRE has 5670.')
}

/** A duration in milliseconds. */
export function parseDuration(text: string): number {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? []
  if (digits !== undefined) return Math.round(Number(digits) * (UNITS[unit] as number))
  throw new InvalidArgumentError('A duration is a number with ms, s, m or h, such as 8m.')
}

/** How long to wait: as much as a timer can. */
export function parsePatience(text: string): number {
  const ms = parseDuration(text)
  if (ms <= PATIENCE_MAX_MS) return ms
  throw new InvalidArgumentError('It is 24 days at most: 576h.')
}

const PATIENCE_MAX_MS = 24 * 24 * 3_600_000

/** A group, or a name: 1 to 255 octets of UTF-8. */
export function parseText(text: string): string {
  const { length } = new TextEncoder().encode(text)
  if (length >= 1 && length <= 255) return text
  throw new InvalidArgumentError('It is a text of 1 to 255 octets of UTF-8.')
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** A parser of integers in a range. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const number = /^\d+$/.test(text) ? Number(text) : -1
    if (number >= min && number <= max) return number
    throw new InvalidArgumentError(`It is an integer from ${min} to ${max}.`)
  }
}

/** How this command is called from where we are: npx finds it where it is installed, not in a checkout. */
export function ownCommand(): string {
  const [, main = ''] = process.argv
  if (/[\\/]node_modules[\\/]/.test(main)) return 'npx lyre'
  return basename(main) === 'lyre' ? 'lyre' : `node ${relative(process.cwd(), main)}`
}

function parseInterval(text: string): number {
  const ms = parseDuration(text)
  if (ms >= 10 && ms <= 60_000) return ms
  throw new InvalidArgumentError('It is a duration from 10ms to 60s.')
}

const LOG_LEVELS: readonly string[] = ['off', 'error', 'warning', 'info', 'debug']

function parseLogLevel(text: string): string {
  if (LOG_LEVELS.includes(text)) return text
  throw new InvalidArgumentError(`A level is ${LOG_LEVELS.join(', ')}.`)
}

function parsePorts(text: string): { readonly from: number; readonly to: number } {
  const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? []
  const from = Number(first ?? 0)
  const to = last === undefined ? from : Number(last)
  if (from >= 1 && from <= to && to <= 65_535) return { from, to }
  throw new InvalidArgumentError('It is a port from 1 to 65535, or a range such as 49152-49160.')
}

function parseMetrics(text: string): MetricsPlace {
  const [, bracketed, host = bracketed ?? '127.0.0.1', digits = ''] =
    /^(?:(?:\[([0-9a-f:.%]+)\]|([^:[\]]+)):)?(\d{1,5})$/i.exec(text) ?? []
  const port = Number(digits)
  if (digits !== '' && port <= 65_535) return { host, port }
  throw new InvalidArgumentError('It is PORT or HOST:PORT, such as 9464 or 0.0.0.0:9464.')
}

function parseHeader(header: string): Record<string, string> {
  const at = header.indexOf('=')
  if (at > 0) return { [header.slice(0, at)]: header.slice(at + 1) }
  throw new InvalidArgumentError('A header is KEY=VALUE, such as kind=thermometer.')
}
