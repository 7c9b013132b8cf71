// A logger that an application has already, as pino, tells its lines to collectors of the mesh as well: what it writes is lines
// of JSON, of which level, text and fields become a record.

import type { LogFields, LogLevel } from '../../protocol/index.ts'

/** What is written to: what pino, and others that write lines of JSON, take as a destination. */
export interface LogStream {
  /** By this pino knows a stream where it is told nothing else. */
  readonly writable: true
  /**
   * Takes lines, or parts of them.
   * @returns true: nothing ever waits here.
   */
  write(chunk: string | Uint8Array): boolean
  /** Takes what is left of a line without an end. */
  end(): void
}

/** Characters of a line that has not ended: who writes more of one has it cut. */
const LINE_CHARS_MAX = 262_144

/** From a level of pino up: those of a logger with levels of its own count as the next one below. */
const NUMBERS: readonly (readonly [from: number, level: LogLevel])[] = [
  [50, 'error'],
  [40, 'warning'],
  [30, 'info'],
]

/** Levels as texts: `formatters.level` of pino gives these, and winston and bunyan have most of them. */
const NAMES: ReadonlyMap<string, LogLevel> = new Map([
  ['fatal', 'error'],
  ['error', 'error'],
  ['warning', 'warning'],
  ['warn', 'warning'],
  ['info', 'info'],
])

/**
 * Makes a destination for a logger that writes lines of JSON: `pino(logStream(lyre))`. Its `level` and `msg` are those of the record,
 * and all else but `time` its fields. A line that is no object of JSON is a text of level info. Nothing is thrown.
 * @param options `messageKey`: what the text is called, if not `msg`.
 */
export function logStream(
  lyre: { log(level: LogLevel, text: string, fields?: LogFields): void },
  { messageKey = 'msg' }: { readonly messageKey?: string } = {},
): LogStream {
  const decoder = new TextDecoder()
  let begun = ''
  const tell = (line: string) => {
    if (line.trim() === '') return
    const { level, time, [messageKey]: message, ...fields } = parse(line, messageKey)
    const text = typeof message === 'string' ? message : (JSON.stringify(message) ?? '')
    const has = Object.keys(fields).length > 0
    lyre.log(levelOf(level), text, has ? fields : undefined)
  }
  return {
    writable: true,
    write(chunk) {
      begun += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
      const lines = begun.split('\n')
      begun = (lines.pop() as string).slice(0, LINE_CHARS_MAX)
      for (const line of lines) tell(line)
      return true
    },
    end() {
      tell(begun)
      begun = ''
    },
  }
}

function parse(line: string, messageKey: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (isObject) return value as Record<string, unknown>
  } catch {}
  return { level: 'info', [messageKey]: line }
}

function levelOf(level: unknown): LogLevel {
  if (level === undefined) return 'info'
  if (typeof level === 'string') return NAMES.get(level.toLowerCase()) ?? 'debug'
  return NUMBERS.find(([from]) => Number(level) >= from)?.[1] ?? 'debug'
}
