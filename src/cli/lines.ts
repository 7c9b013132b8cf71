// Octets into lines. Readline would read on while nobody takes its lines; here a chunk of input is asked for when the lines
// of the one before are done with, so that a writer who is too fast waits.

import { UsageError } from '../index.ts'

const LINE_FEED = 0x0a
/** What is kept of a bad line, in octets: of such text 256 characters at least. */
const BEGINNING_BYTES_MAX = 1_024

/** A line that cannot be read: why, and its beginning, where U+FFFD stands for what is not UTF-8. */
export interface BadLine {
  readonly error: UsageError
  readonly beginning: string
}

/**
 * The lines of an input, without their ends, as many at a time as came at a time. In place of a line that is longer than
 * `lineBytesMax` octets or no UTF-8 comes a bad line; a last line needs no end.
 */
export async function* readLines(
  input: AsyncIterable<Uint8Array>,
  lineBytesMax: number,
): AsyncGenerator<(string | BadLine)[], void> {
  let parts: Uint8Array[] = []
  let bytes = 0
  const take = (part: Uint8Array) => {
    const fitted = bytes <= lineBytesMax
    bytes += part.length
    // What is too long is counted; only its beginning is kept.
    if (bytes <= lineBytesMax) parts.push(part)
    else if (fitted) parts = [beginning([...parts, part])]
  }
  const finish = () => {
    const line = bytes > lineBytesMax ? tooLong(lineBytesMax, parts) : decode(parts)
    parts = []
    bytes = 0
    return line
  }
  for await (const chunk of input) {
    const lines: (string | BadLine)[] = []
    let start = 0
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, start)
      if (end < 0) break
      take(chunk.subarray(start, end))
      lines.push(finish())
      start = end + 1
    }
    take(chunk.subarray(start))
    if (lines.length > 0) yield lines
  }
  if (bytes > 0) yield [finish()]
}

const decoder = new TextDecoder('utf-8', { fatal: true })
const lenientDecoder = new TextDecoder('utf-8')

function decode(parts: readonly Uint8Array[]): string | BadLine {
  try {
    return withoutReturn(decoder.decode(Buffer.concat(parts)))
  } catch {
    return badLine('this line is not UTF-8', parts)
  }
}

function tooLong(lineBytesMax: number, parts: readonly Uint8Array[]): BadLine {
  return badLine(`this line is too long: the limit is ${lineBytesMax} octets`, parts)
}

function badLine(message: string, parts: readonly Uint8Array[]): BadLine {
  const text = lenientDecoder.decode(beginning(parts))
  return { error: new UsageError(message), beginning: withoutReturn(text) }
}

function beginning(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat(parts, Math.min(bytes, BEGINNING_BYTES_MAX))
}

function withoutReturn(line: string): string {
  return line.replace(/\r$/, '')
}
