/** Octets into lines. */

import t from 'tap'
import { readLines } from '../../../src/cli/lines.ts'
import { UsageError } from '../../../src/index.ts'

async function linesOf(chunks: readonly Uint8Array[], lineBytesMax = 100): Promise<string[]> {
  const lines: string[] = []
  for await (const batch of readLines(feed(chunks), lineBytesMax)) {
    lines.push(...batch.map((line) => (line instanceof UsageError ? `! ${line.message}` : line)))
  }
  return lines
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

t.test('a line that is too long or no UTF-8 is an error, and the next is read', async (t) => {
  const long = Buffer.from(`${'x'.repeat(101)}\n${'y'.repeat(100)}\n`)
  const expected = ['! this line is too long: the limit is 100 octets', 'y'.repeat(100)]
  t.same(await linesOf([long]), expected)
  t.same(await linesOf([...long].map((octet) => Buffer.of(octet))), expected)
  t.same(await linesOf([Buffer.of(0xc3, 0x0a, 0x61)]), ['! this line is not UTF-8', 'a'])
})
