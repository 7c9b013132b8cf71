// The flags that the verbs of `lyre log` share, and what is wanted of a log by them.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { LOG_EVENTS, LOG_LEVELS, type LogLevel, type LogLine, UsageError } from '../index.ts'
import { variableOf } from './environment.ts'
import { parseDuration, parseText } from './settings.ts'

/** Which lines are wanted. */
export interface LogWishes {
  readonly node?: readonly string[]
  readonly group?: readonly string[]
  readonly level?: LogLevel
  /** Names of events. */
  readonly event?: readonly string[]
  readonly text?: string
  /** Milliseconds since 1970. */
  readonly since?: number
  readonly until?: number
}

const LEVELS = Object.keys(LOG_LEVELS)
const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }
/** Digits of a uuid that are enough to mean a node. */
const UUID_DIGITS_MIN = 6

/** A flag of `lyre log`, which its verbs share, and so the variable. */
export function logOption<Value>(
  command: Command,
  flags: string,
  what: string,
  parse?: (text: string, previous: Value | undefined) => Value,
): Command {
  const option = new Option(flags, what)
  if (parse !== undefined) option.argParser(parse)
  return command.addOption(option.env(variableOf(['log', option.name()])))
}

/** Adds --node and --level. */
export function withNodes(command: Command, unless = 'all'): Command {
  const what = `this level and those above it; ${unless}, unless given`
  const level = new Option('--level <level>', what).choices(LEVELS)
  logOption(command, '--node <node>', 'only nodes of this name or uuid; several times', listed)
  // LYRE_LOG_LEVEL is what a node logs itself: --log-level of all verbs.
  return command.addOption(level.env(variableOf(['log', 'collect', 'level'])))
}

/** Adds --since and --until. */
export function withTimes(command: Command): Command {
  const time = 'such as 2026-11-27T16:00, or 10m for so long ago'
  logOption(command, '--since <time>', `only from then on: ${time}`, parseTime)
  return logOption(command, '--until <time>', 'only until then', parseTime)
}

/** Adds --event and --group. */
export function withTopics(command: Command): Command {
  const event = 'only this event, such as exit or text; several times'
  logOption(command, '--event <event>', event, listedEvents)
  return logOption(command, '--group <group>', 'only about this group; several times', listed)
}

/**
 * Says whether a line is wanted. What is missing is told whatever is wanted of the rest: it may have been that.
 * @throws UsageError where nothing can be.
 */
export function filterOf(wishes: LogWishes): (line: LogLine) => boolean {
  const { node: nodes, group: groups, level, event: events, text, since, until } = wishes
  if (since !== undefined && until !== undefined && since > until) {
    throw new UsageError('--since is after --until: nothing can be between them')
  }
  const wanted = text?.toLowerCase()
  const levelMax = level === undefined ? Number.POSITIVE_INFINITY : LOG_LEVELS[level]
  return (line) => {
    const { node, time } = line
    if (since !== undefined && time < since) return false
    if (until !== undefined && time > until) return false
    if (nodes?.some((called) => isCalled(node, called)) === false) return false
    if (line.event === 'restart') return true
    if (line.event === 'gap') return levelOf(line.level) <= levelMax
    const { record } = line
    if (levelOf(record.level) > levelMax) return false
    if (events?.includes(record.event) === false) return false
    if (groups !== undefined && !groups.includes(record.group ?? '')) return false
    return wanted === undefined || record.text.toLowerCase().includes(wanted)
  }
}

/** One without a name is its number. */
function levelOf(level: string): number {
  return Object.hasOwn(LOG_LEVELS, level) ? LOG_LEVELS[level as LogLevel] : Number(level)
}

function isCalled({ name, uuid, hash }: LogLine['node'], called: string): boolean {
  if (name === called || uuid === called) return true
  if (uuid !== undefined) return called.length >= UUID_DIGITS_MIN && uuid.startsWith(called)
  return hash?.toString(16).padStart(4, '0') === called
}

/** A size in octets. */
export function parseSize(text: string): number {
  const [, digits, unit = ''] = /^(\d+)([kMG]?)$/.exec(text) ?? []
  const size = Number(digits) * (SIZE_UNITS[unit] as number)
  if (size >= 1_024 && Number.isSafeInteger(size)) return size
  throw new InvalidArgumentError('A size is a number of octets, with k, M or G, from 1k on.')
}

/** How old a file may become, in milliseconds. */
export function parseAge(text: string): number {
  const ms = parseDuration(text)
  if (ms >= 1_000) return ms
  throw new InvalidArgumentError('A file is begun anew after 1s at the least.')
}

function parseTime(text: string): number {
  if (/^[\d.]+(ms|s|m|h)$/.test(text)) return Date.now() - parseDuration(text)
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(time)) return time
  throw new InvalidArgumentError('A time is such as 2026-11-27T16:00, or 10m for so long ago.')
}

function listed(text: string, others: readonly string[] = []): readonly string[] {
  return [...others, parseText(text)]
}

function listedEvents(text: string, others: readonly string[] = []): readonly string[] {
  if (Object.hasOwn(LOG_EVENTS, text) || /^\d{1,3}$/.test(text)) return [...others, text]
  throw new InvalidArgumentError(`Events are ${Object.keys(LOG_EVENTS).join(', ')}, or a number.`)
}
