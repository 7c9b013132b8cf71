// Octets into lines. Readline would read on while nobody takes its lines; here a chunk of input is asked for when the lines
// of the one before are done with, so that a writer who is too fast waits.

import { UsageError } from '../index.ts'

const LINE_FEED = 0x0a

/**
 * The lines of an input, without their ends, as many at a time as came at a time. In place of a line that is too long or
 * no UTF-8 comes an error; a last line needs no end.
 */
export async function* readLines(
  input: AsyncIterable<Uint8Array>,
  lineBytesMax: number,
): AsyncGenerator<(string | UsageError)[], void> {
  let parts: Uint8Array[] = []
  let bytes = 0
  const take = (part: Uint8Array) => {
    bytes += part.length
    // What is too long is counted, not kept.
    if (bytes <= lineBytesMax) parts.push(part)
    else parts = []
  }
  const finish = () => {
    const line = bytes > lineBytesMax ? tooLong(lineBytesMax) : decode(parts)
    parts = []
    bytes = 0
    return line
  }
  for await (const chunk of input) {
    const lines: (string | UsageError)[] = []
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

function decode(parts: readonly Uint8Array[]): string | UsageError {
  try {
    return decoder.decode(Buffer.concat(parts)).replace(/\r$/, '')
  } catch {
    return new UsageError('this line is not UTF-8')
  }
}

function tooLong(lineBytesMax: number): UsageError {
  return new UsageError(`this line is too long: the limit is ${lineBytesMax} octets`)
}
