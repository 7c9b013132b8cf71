// The options that the verbs share, and what they mean to a node; and how the command itself is called.

import { basename, relative } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import type { LyreOptions } from '../index.ts'

/** What was said on the command line. */
export interface NodeSettings {
  readonly name?: string
  readonly interface?: string
  /** The beacons' UDP port. */
  readonly port?: number
  readonly group?: readonly string[]
  readonly header?: Readonly<Record<string, string>>
}

/** The options of the node that a command line asks for; what it does not say is left to the defaults. */
export function nodeOptions(settings: NodeSettings): LyreOptions {
  return {
    ...(settings.name === undefined ? {} : { name: settings.name }),
    ...(settings.interface === undefined ? {} : { interface: settings.interface }),
    ...(settings.port === undefined ? {} : { beaconPort: settings.port }),
    ...(settings.header === undefined ? {} : { headers: settings.header }),
  }
}

/** Adds --name. */
export function withName(command: Command): Command {
  return command.option('--name <name>', 'public name; the first digits of its uuid, unless given')
}

/** Adds --interface and --port. */
export function withNetwork(command: Command): Command {
  return command
    .option(
      '--interface <name>',
      'network interface, by name or IPv4 address; 127.0.0.1 is this machine alone',
    )
    .option('--port <port>', 'UDP port of the beacons; another port is another network', parsePort)
}

/** Adds --group. */
export function withGroups(command: Command): Command {
  return command.option(
    '--group <group>',
    'group to join; can be given several times',
    (group: string, groups: readonly string[] = []) => [...groups, group],
  )
}

/** Adds --header. */
export function withHeaders(command: Command): Command {
  return command.option(
    '--header <key=value>',
    'header to tell peers; can be given several times',
    (header: string, headers: Readonly<Record<string, string>> = {}) => ({
      ...headers,
      ...parseHeader(header),
    }),
  )
}

/** @throws InvalidArgumentError, which Commander shows. */
export function parsePort(port: string): number {
  const number = /^[0-9]{1,5}$/.test(port) ? Number(port) : 0
  if (number >= 1 && number <= 65_535) return number
  throw new InvalidArgumentError('A port is an integer from 1 to 65535; ZRE has 5670.')
}

/** How this command is called from where we are: npx finds it where it is installed, not in a checkout. */
export function ownCommand(): string {
  const [, main = ''] = process.argv
  if (/[\\/]node_modules[\\/]/.test(main)) return 'npx lyre'
  return basename(main) === 'lyre' ? 'lyre' : `node ${relative(process.cwd(), main)}`
}

function parseHeader(header: string): Record<string, string> {
  const at = header.indexOf('=')
  if (at > 0) return { [header.slice(0, at)]: header.slice(at + 1) }
  throw new InvalidArgumentError('A header is KEY=VALUE, such as kind=thermometer.')
}
