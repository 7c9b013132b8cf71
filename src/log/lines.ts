// What was collected as plain data, a line of JSON each: levels and events by their names, and nothing in it that is empty.
// `lyre log --save` writes just that, and so can any program.
// Spec: log.md 6.

import {
  type CollectedEvent,
  type LogFields,
  type LoggingNode,
  type LogRecord,
  nameOfEvent,
  nameOfLevel,
  timeMsOf,
  type Uuid,
} from '../../protocol/index.ts'

/** Whose records these are. */
export interface LogLineNode {
  /** Not there where it speaks version 1, in which a `hash` of its endpoint has to do. */
  readonly uuid?: Uuid
  readonly hash?: number
  /** Empty where it did not say. */
  readonly name: string
  /** Of the connection by which its records come. */
  readonly address: string
}

/** What a node recorded. */
export interface LogLineRecord {
  readonly version: 1 | 2
  /** The name of its level or event, or its number where it has none. */
  readonly level: string
  readonly event: string
  /** By the clock of the node, in milliseconds since 1970. */
  readonly time: number
  /** When the node began to count, and what it counted, for each level by itself: of version 2. */
  readonly epoch?: number
  readonly sequence?: number
  /** Its uuid; in version 1 a hash of its endpoint. */
  readonly peer?: Uuid | number
  readonly group?: string
  readonly text: string
  readonly fields?: LogFields
}

/** What a collector tells; `time` is by its own clock, in milliseconds since 1970. */
export type LogLine =
  | {
      readonly event: 'record'
      readonly time: number
      /** How far the clock of the node is taken to be behind: what was added to its own time. */
      readonly offsetMs: number
      readonly node: LogLineNode
      readonly record: LogLineRecord
    }
  /** So many records of a level, from this sequence on, have not come. Those that still do, come as records. */
  | {
      readonly event: 'gap'
      readonly time: number
      readonly node: LogLineNode
      readonly level: string
      readonly sequence: number
      readonly count: number
    }
  /** The node counts anew: nobody knows how much came after its last record. */
  | {
      readonly event: 'restart'
      readonly time: number
      readonly node: LogLineNode
      readonly epoch: number
    }

/** What was collected, as such a line. */
export function lineOf(collected: CollectedEvent): LogLine {
  const node = nodeOf(collected.node)
  const head = { time: collected.timeMs, node }
  switch (collected.type) {
    case 'record': {
      const { offsetMs, record } = collected
      return { event: 'record', time: head.time, offsetMs, node, record: recordOf(record) }
    }
    case 'gap': {
      const { level, sequence, count } = collected
      return { event: 'gap', ...head, level: nameOfLevel(level), sequence, count }
    }
    case 'restart':
      return { event: 'restart', ...head, epoch: collected.epoch }
  }
}

function nodeOf({ uuid, hash, name, address }: LoggingNode): LogLineNode {
  return { ...(uuid !== undefined && { uuid }), ...(hash !== undefined && { hash }), name, address }
}

function recordOf(record: LogRecord): LogLineRecord {
  const { version, text } = record
  const [level, event] = [nameOfLevel(record.level), nameOfEvent(record.event)]
  const head = { version, level, event, time: timeMsOf(record) }
  if (version === 1) return { ...head, ...(record.peer !== 0 && { peer: record.peer }), text }
  const { epoch, sequence, peer, group, fields } = record
  return {
    ...head,
    epoch,
    sequence,
    ...(peer !== undefined && { peer }),
    ...(group !== '' && { group }),
    text,
    ...(fields !== undefined && { fields }),
  }
}
