/** Octets into lines. */

import t from 'tap'
import { type BadLine, readLines } from '../../../src/cli/lines.ts'

async function linesOf(chunks: readonly Uint8Array[], lineBytesMax = 100): Promise<string[]> {
  const lines: string[] = []
  for await (const batch of readLines(feed(chunks), lineBytesMax)) {
    lines.push(...batch.map(describe))
  }
  return lines
}

function describe(line: string | BadLine): string {
  return typeof line === 'string' ? line : `! ${line.error.message}: ${line.beginning}`
}

async function* feed(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  yield* chunks
}

t.test('lines are the same however the octets come', async (t) => {
  const octets = Buffer.from('one\n\ntwö €\r\n\u{1f600}\nlast')
  const expected = ['one', '', 'twö €', '\u{1f600}', 'last']
  t.same(await linesOf([octets]), expected, 'whole')
  t.same(await linesOf([...octets].map((octet) => Buffer.of(octet))), expected, 'one by one')
  for (let index = 0; index < octets.length; index++) {
    t.same(await linesOf([octets.subarray(0, index), octets.subarray(index)]), expected)
  }
})

t.test('an empty input has no lines, and a line feed at the end begins none', async (t) => {
  t.same(await linesOf([]), [])
  t.same(await linesOf([Buffer.from('one\n')]), ['one'])
})

t.test(
  'a line that is too long or no UTF-8 is an error with its beginning, and the next is read',
  async (t) => {
    const long = Buffer.from(`${'x'.repeat(101)}\r\n${'y'.repeat(100)}\n`)
    const tooLong = '! this line is too long: the limit is 100 octets: '
    const expected = [tooLong + 'x'.repeat(101), 'y'.repeat(100)]
    t.same(await linesOf([long]), expected)
    t.same(await linesOf([...long].map((octet) => Buffer.of(octet))), expected)
    t.same(await linesOf([Buffer.of(0x61, 0xc3, 0x0d, 0x0a, 0x61)]), [
      '! this line is not UTF-8: a\ufffd',
      'a',
    ])
  },
)

t.test('of a bad line no more is kept than its beginning', async (t) => {
  const long = Buffer.from('x'.repeat(5_000))
  const [line = ''] = await linesOf([long.subarray(0, 50), long])
  t.ok(line.endsWith(`: ${'x'.repeat(1_024)}`))
  const [foreign = ''] = await linesOf([Buffer.of(0xff, ...long, 0x0a)], 10_000)
  t.ok(foreign.endsWith(`: \ufffd${'x'.repeat(1_023)}`))
})
