/** What was saved, as one history: in order, each once, with what is missing. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { Bar } from '../../../src/cli/bar.ts'
import { recall } from '../../../src/cli/log-history.ts'
import type { LogLine } from '../../../src/index.ts'
import { EPOCH, PEER } from '../../support/log.ts'
import { logFolder, recordLine } from '../../support/log-lines.ts'

const bar = new Bar({ shown: false })

/** Saves lines, and recalls them. */
async function recalled(lines: readonly LogLine[], complaints: string[] = []): Promise<LogLine[]> {
  const folder = logFolder(t)
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
  writeFileSync(join(folder, '00000001-20231114T221320Z.ndjson'), text)
  const { signal } = new AbortController()
  const all: LogLine[] = []
  const complain = (why: string) => complaints.push(why)
  for await (const some of recall(folder, { signal, bar, complain })) all.push(...some)
  return all
}

/** `1`, `gap 2+3`, `restart`. */
function plain(line: LogLine): string {
  if (line.event === 'record') return line.record.text
  return line.event === 'gap'
    ? `gap ${line.sequence}+${line.count}`
    : `restart ${line.epoch - EPOCH}`
}

t.test('records of many nodes come in the order of their time', async (t) => {
  const other = { node: { uuid: PEER.uuid, name: 'cellar', address: '127.0.0.1' } }
  const lines = [
    recordLine(1),
    recordLine(2),
    recordLine(3),
    recordLine(1, { text: 'a' }, { ...other, time: EPOCH + 1 }),
    recordLine(2, { text: 'b' }, { ...other, time: EPOCH + 2 }),
  ]
  t.same((await recalled(lines)).map(plain), ['1', 'a', '2', 'b', '3'])
})

t.test(
  'a record that was saved again, as by another life of the collector, comes once',
  async (t) => {
    const lines = [1, 2, 3, 1, 2, 3, 4].map((sequence) => recordLine(sequence))
    t.same((await recalled(lines)).map(plain), ['1', '2', '3', '4'])
  },
)

t.test('what is missing is named where it is, and not what came late', async (t) => {
  const lines = [1, 3, 2, 7, 9].map((sequence) => recordLine(sequence))
  t.same((await recalled(lines)).map(plain), ['1', '2', '3', 'gap 4+3', '7', 'gap 8+1', '9'])
})

t.test('levels, and lives of a node, each count by themselves', async (t) => {
  const lines = [
    recordLine(5),
    recordLine(1, { level: 'error', text: 'e1' }, { time: EPOCH + 6 }),
    recordLine(3, { level: 'error', text: 'e3' }, { time: EPOCH + 7 }),
    recordLine(1, { epoch: EPOCH + 8, text: 'new' }, { time: EPOCH + 8 }),
    recordLine(6, {}, { time: EPOCH + 9 }),
  ]
  const wanted = ['5', 'e1', 'gap 2+1', 'e3', 'restart 8', 'new', '6']
  t.same((await recalled(lines)).map(plain), wanted)
})

t.test('a clock that is estimated otherwise changes no order within a node', async (t) => {
  const lines = [recordLine(1), recordLine(2, {}, { time: EPOCH - 50 }), recordLine(3)]
  const all = await recalled(lines)
  t.same(all.map(plain), ['1', '2', '3'])
  t.same(
    all.map(({ time }) => time - EPOCH),
    [1, 1, 3],
  )
})

t.test('what the collector knew of gaps is replaced by what is known now', async (t) => {
  const { node } = recordLine(1)
  const gap: LogLine = { event: 'gap', time: EPOCH, node, level: 'info', sequence: 2, count: 1 }
  t.same((await recalled([recordLine(1), gap, recordLine(3), recordLine(2)])).map(plain), [
    ...['1', '2', '3'],
  ])
})

t.test('records of version 1 come as they are', async (t) => {
  const node = { hash: 0x1234, name: '', address: '127.0.0.1' }
  const { epoch: _, sequence: __, ...record } = recordLine(1).record
  const line: LogLine = { ...recordLine(1), node, record: { ...record, version: 1, peer: 7 } }
  t.strictSame(await recalled([line, line]), [line, line])
})

t.test('whatever is saved in whatever order comes once and in order', async (t) => {
  const some = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 80 })
  await fc.assert(
    fc.asyncProperty(some, async (sequences) => {
      const all = await recalled(sequences.map((sequence) => recordLine(sequence)))
      const came = [...new Set(sequences)].sort((one, other) => one - other)
      const records = all.filter(({ event }) => event === 'record').map(plain)
      const lost = all.reduce((sum, line) => sum + (line.event === 'gap' ? line.count : 0), 0)
      t.same(records, came.map(String))
      t.equal(lost, (came.at(-1) ?? 0) - (came[0] ?? 0) + 1 - came.length)
    }),
    { numRuns: 50 },
  )
})

t.test('a long history is read a little at a time', async (t) => {
  const count = 100_000
  const lines = Array.from({ length: count }, (_, index) => recordLine(index + 1))
  // Some came late.
  for (let index = 0; index < count; index += 5_000) {
    lines.splice(index + 2_000, 0, ...lines.splice(index, 1_000))
  }
  const folder = logFolder(t)
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
  writeFileSync(join(folder, '00000001-20231114T221320Z.ndjson'), text)
  const { signal } = new AbortController()
  const complain = () => t.fail('nothing is wrong')
  let [next, most] = [1, 0]
  for await (const some of recall(folder, { signal, bar, complain })) {
    most = Math.max(most, some.length)
    for (const line of some) if (plain(line) !== String(next++)) t.fail(plain(line))
  }
  t.equal(next, count + 1)
  t.ok(most < count / 2, `${most} at a time`)
})

t.test('of more gaps than are remembered, what fills a forgotten one is given', async (t) => {
  const count = 65_540
  const odd = Array.from({ length: count }, (_, index) => recordLine(2 * index + 1))
  const forwards = await recalled([...odd, recordLine(2), recordLine(2 * count - 2)])
  const seen = (lines: readonly LogLine[], sequence: number) =>
    lines.filter((line) => plain(line) === String(sequence)).length
  t.equal(seen(forwards, 2), 1)
  t.equal(seen(forwards, 2 * count - 2), 1)
  odd.reverse()
  const late = [2, 2, 2 * count - 2, 2 * count - 2].map((sequence) => recordLine(sequence))
  const backwards = await recalled([...odd, ...late])
  t.equal(seen(backwards, 2), 2, 'nobody knows that it came before')
  t.equal(seen(backwards, 2 * count - 2), 1)
})

t.test('what cannot be read is told at the end', async (t) => {
  const complaints: string[] = []
  await recalled([{ ...recordLine(1), time: 1.5 }, recordLine(2)], complaints)
  t.match(complaints, [/^lines in .* that are not of a log: 1$/])
})
