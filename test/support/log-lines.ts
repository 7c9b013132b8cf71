/** Lines of logs as a collector has them, and folders for them. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { LogLine, LogLineRecord } from '../../src/index.ts'
import { EPOCH, NODE } from './log.ts'

type RecordLine = Extract<LogLine, { event: 'record' }>

/** A record with this sequence, which is also when it was, in milliseconds after EPOCH, and its text. */
export function recordLine(
  sequence: number,
  record: Partial<LogLineRecord> = {},
  rest: Partial<Omit<RecordLine, 'event' | 'record'>> = {},
): RecordLine {
  const time = EPOCH + sequence
  const node = { uuid: NODE, name: 'kitchen', address: '127.0.0.1' }
  const head = { version: 2, level: 'info', event: 'text', time, epoch: EPOCH, sequence } as const
  const whole = { ...head, text: String(sequence), ...record }
  return { event: 'record', time, offsetMs: 0, node, ...rest, record: whole }
}

/** A folder that is gone when the test is. */
export function logFolder(t: Pick<Test, 'teardown'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'lyre-log-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
