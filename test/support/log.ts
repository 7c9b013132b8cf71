/** Logs in memory: a publisher, a collector, and what both of them say. Time is a number. */

import { LOG_EVENTS, LOG_LEVELS, type LogSource } from '../../protocol/log.ts'
import {
  type CollectedEvent,
  LogCollector,
  type LogCollectorOptions,
} from '../../protocol/log-collector.ts'
import {
  type LogEntry,
  LogPublisher,
  type LogPublisherEffect,
  type LogPublisherOptions,
} from '../../protocol/log-publisher.ts'

/** When all of this happens, in milliseconds since 1970. */
export const EPOCH = 1_700_000_000_000
export const NODE = '0123456789abcdef0123456789abcdef'
export const PEER = { uuid: 'fedcba9876543210fedcba9876543210', endpoint: 'tcp://10.0.0.2:49152' }
/** The most that anything is measured by. */
export const HOLD_MS = 100

export function publisherOf(options: Partial<LogPublisherOptions> = {}): LogPublisher {
  const who = { node: NODE, name: 'kitchen', epoch: EPOCH }
  const limits = { recordsMax: 100, bytesMax: 1_000_000, collectorsMax: 4 }
  const publisher = new LogPublisher({ ...who, level: LOG_LEVELS.debug, ...limits, ...options })
  publisher.handleEndpoint('tcp://10.0.0.1:49152')
  return publisher
}

export function collectorOf(options: Partial<LogCollectorOptions> = {}): LogCollector {
  const limits = { heldMax: 1_000, nodesMax: 10 }
  return new LogCollector({ level: 'debug', holdMs: HOLD_MS, ...limits, ...options })
}

export const SOURCE: LogSource = { node: NODE, name: 'kitchen', timeMs: EPOCH }

/** What is kept of a node's log. */
export const RING = { recordsMax: 4_096, bytesMax: 1_048_576 }

/** What an application says, at info unless told. */
export function entryOf(text: string, rest: Partial<LogEntry> = {}): LogEntry {
  return { level: LOG_LEVELS.info, event: LOG_EVENTS.text, text, ...rest }
}

/** All that there is for a connection. */
export function messagesOf(publisher: LogPublisher, connection: number): Uint8Array[] {
  const messages: Uint8Array[] = []
  for (let next = publisher.poll(connection); next; next = publisher.poll(connection)) {
    messages.push(next)
  }
  return messages
}

/** What it wants to be done: `write 1`, `dial tcp://...`, `close 1 zmtp.md 7.6`. */
export function effectsOf(publisher: LogPublisher): string[] {
  const told: string[] = []
  for (let next = publisher.pollEffect(); next; next = publisher.pollEffect()) told.push(said(next))
  return told
}

function said(effect: LogPublisherEffect): string {
  if (effect.type === 'write') return `write ${effect.connection}`
  if (effect.type === 'close') return `close ${effect.connection} ${effect.error.rule}`
  return `${effect.type} ${effect.endpoint}`
}

/** All that it gives. */
export function collectedOf(collector: LogCollector, now: number): CollectedEvent[] {
  const events: CollectedEvent[] = []
  for (let next = collector.pollEvent(now); next; next = collector.pollEvent(now)) {
    events.push(next)
  }
  return events
}

/** An event as one line: `a text`, `gap 3: 4+2`, `restart 1`. */
export function plain(event: CollectedEvent): string {
  if (event.type === 'record') return event.record.text
  if (event.type === 'restart') return `restart ${event.epoch}`
  return `gap ${event.level}: ${event.sequence}+${event.count}`
}
