/** A folder of logs: what is in it stays in it, and what cannot be written is told. */

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Archive, filesOf, parseLine, readFiles, readingOf } from '../../../src/cli/log-archive.ts'
import { eventually } from '../../support/heard.ts'
import { holds } from '../../support/holds.ts'
import { logFolder, recordLine } from '../../support/log-lines.ts'

const NEVER = { bytesMax: Number.POSITIVE_INFINITY, ageMaxMs: Number.POSITIVE_INFINITY }

function archiveIn(t: Test, folder: string, rotation = NEVER) {
  const told: string[] = []
  const archive = new Archive(folder, rotation, {
    failed: ({ message }) => told.push(message),
    recovered: (count) => told.push(`${count} lost`),
  })
  t.teardown(() => {
    try {
      archive.close()
    } catch {}
  })
  return { archive, told }
}

async function textsOf(path: string): Promise<{ texts: string[]; unreadable: number }> {
  const files = filesOf(path)
  const reading = readingOf(files)
  const texts: string[] = []
  for await (const lines of readFiles(files, reading)) {
    for (const line of lines) if (line.event === 'record') texts.push(line.record.text)
  }
  t.equal(reading.bytes, reading.bytesTotal)
  return { texts, unreadable: reading.unreadable }
}

t.test('what was added is there at once, a line each', async (t) => {
  const folder = join(logFolder(t), 'a', 'b')
  const { archive } = archiveIn(t, folder)
  const lines = [1, 2, 3].map((sequence) => recordLine(sequence))
  archive.add(lines)
  const [name = ''] = readdirSync(folder)
  t.match(name, /^00000001-\d{8}T\d{6}Z\.ndjson$/)
  const text = readFileSync(join(folder, name), 'utf8')
  t.strictSame(text.trimEnd().split('\n').map(parseLine), lines, 'each is read as it was')
  t.same(await textsOf(folder), { texts: ['1', '2', '3'], unreadable: 0 })
  t.same(archive.counts, { saved: 3, lost: 0 })
})

t.test('a file that is large is followed by another, in order', async (t) => {
  const folder = logFolder(t)
  const { archive } = archiveIn(t, folder, { ...NEVER, bytesMax: 1_000 })
  const count = 40
  for (let sequence = 1; sequence <= count; sequence++) archive.add([recordLine(sequence)])
  const names = readdirSync(folder)
  t.ok(names.length > 5)
  t.same(
    names.map((name) => Number.parseInt(name, 10)),
    names.map((_, index) => index + 1),
  )
  const { texts } = await textsOf(folder)
  t.same(
    texts,
    Array.from({ length: count }, (_, index) => String(index + 1)),
  )
})

t.test('a file that is old is followed by another, unless nothing is in it', async (t) => {
  const folder = logFolder(t)
  const { archive } = archiveIn(t, folder, { ...NEVER, ageMaxMs: 0 })
  archive.add([])
  t.equal(readdirSync(folder).length, 1)
  archive.add([recordLine(1)])
  archive.add([recordLine(2)])
  t.equal(readdirSync(folder).length, 2)
})

t.test('each life has files of its own, behind all others, and leaves no empty one', async (t) => {
  const folder = logFolder(t)
  writeFileSync(join(folder, '99999999-20200101T000000Z.ndjson'), '')
  writeFileSync(join(folder, 'other.ndjson'), 'not ours')
  const { archive: first } = archiveIn(t, folder)
  first.add([recordLine(1)])
  const { archive: second } = archiveIn(t, folder)
  second.add([recordLine(2)])
  first.add([recordLine(3)])
  const { archive: third } = archiveIn(t, folder)
  third.close()
  const names = readdirSync(folder).filter((name) => /^1\d{8}-/.test(name))
  t.equal(names.length, 2)
  t.same((await textsOf(folder)).texts, ['1', '3', '2'], 'nine digits are behind eight')
})

t.test('a last line that is torn is passed over, wherever, and nothing else is', async (t) => {
  const folder = logFolder(t)
  const lines = [1, 2, 3].map((sequence) => recordLine(sequence, { text: `ä${sequence}` }))
  const { archive } = archiveIn(t, folder)
  archive.add(lines)
  archive.close()
  const [file = ''] = filesOf(folder)
  const whole = readFileSync(file)
  const last = whole.length - Buffer.byteLength(`${JSON.stringify(lines[2])}\n`)
  for (let size = whole.length; size >= last; size--) {
    truncateSync(file, size)
    const { texts, unreadable } = await textsOf(folder)
    // Without its line feed alone, it is whole.
    t.equal(texts.length, size >= whole.length - 1 ? 3 : 2)
    t.equal(unreadable, 0)
  }
  const { archive: next } = archiveIn(t, folder)
  truncateSync(file, last + 20)
  next.add([recordLine(4)])
  t.same(await textsOf(folder), { texts: ['ä1', 'ä2', '4'], unreadable: 0 })
})

t.test('lines that are not of a log are counted', async (t) => {
  const folder = logFolder(t)
  const file = join(folder, 'some.ndjson')
  const bad = [
    'x',
    '{}',
    '[1]',
    JSON.stringify({ ...recordLine(1), node: { name: 'x' } }),
    JSON.stringify({ ...recordLine(1), time: '1' }),
    JSON.stringify(recordLine(1, { sequence: 1.5 })),
    JSON.stringify(recordLine(1, { fields: [] as never })),
    JSON.stringify({ event: 'gap', time: 1, node: recordLine(1).node, level: 3 }),
    '\xff',
  ]
  writeFileSync(file, `${bad.join('\n')}\n\n`, 'latin1')
  appendFileSync(file, `${JSON.stringify(recordLine(2))}\n`)
  t.same(await textsOf(file), { texts: ['2'], unreadable: bad.length })
})

t.test('whoever cannot save is told why, once, and when it can again', async (t) => {
  const folder = join(logFolder(t), 'logs')
  const { archive, told } = archiveIn(t, folder)
  archive.add([recordLine(1)])
  rmSync(folder, { recursive: true })
  writeFileSync(folder, 'no folder')
  await eventually('it is noticed', () => {
    archive.add([recordLine(2)])
    return told.length > 0
  })
  archive.add([recordLine(3)])
  t.match(told, [/EEXIST/])
  const { lost } = archive.counts
  rmSync(folder)
  mkdirSync(folder)
  await eventually('it goes on', () => {
    archive.add([recordLine(4)])
    return told.length > 1
  })
  t.match(told, [/EEXIST/, /^\d+ lost$/])
  t.ok(archive.counts.lost >= lost)
  t.same(new Set((await textsOf(folder)).texts), new Set(['4']))
})

t.test('each time that it can again, what was lost since it could not is told', async (t) => {
  const folder = join(logFolder(t), 'logs')
  const { archive, told } = archiveIn(t, folder)
  const lostBefore: number[] = []
  for (const outage of [1, 2]) {
    const { lost } = archive.counts
    rmSync(folder, { recursive: true })
    writeFileSync(folder, 'no folder')
    await eventually('it is noticed', () => {
      archive.add([recordLine(1)])
      return told.length === 2 * outage - 1
    })
    rmSync(folder)
    await eventually('it goes on', () => {
      archive.add([recordLine(2)])
      return told.length === 2 * outage
    })
    lostBefore.push(archive.counts.lost - lost)
  }
  t.same(
    told.filter((text) => text.endsWith('lost')),
    lostBefore.map((count) => `${count} lost`),
  )
})

t.test('lines that are text already are saved as they are', async (t) => {
  const folder = logFolder(t)
  const { archive } = archiveIn(t, folder)
  const texts = [1, 2].map((sequence) => JSON.stringify(recordLine(sequence)))
  archive.addTexts([...texts, 'of a later version'])
  t.same(archive.counts, { saved: 3, lost: 0 })
  const [file = ''] = filesOf(folder)
  t.equal(readFileSync(file, 'utf8'), `${texts.join('\n')}\nof a later version\n`)
})

t.test('a folder that cannot be had is told at once', async (t) => {
  const folder = logFolder(t)
  writeFileSync(join(folder, 'file'), '')
  const handlers = { failed: () => {}, recovered: () => {} }
  t.throws(() => new Archive(join(folder, 'file', 'logs'), NEVER, handlers), {
    message: /^cannot save to .*: ENOTDIR/,
  })
  // Where Node.js itself would look for a folder above, for ever.
  if (existsSync('/proc/self')) {
    for (const path of ['/proc/logs', '/proc/logs/of/today']) {
      t.throws(() => new Archive(path, NEVER, handlers), { message: /^cannot save to \/proc/ })
    }
  }
  t.throws(() => filesOf(join(folder, 'nothing')), { message: /there is no .*nothing/ })
  t.throws(() => filesOf(folder), { message: /there are no logs in/ })
})

holds(t, 'any text is a line of a log or none', fc.string(), (text) => {
  parseLine(text)
  return true
})
