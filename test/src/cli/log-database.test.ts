/** A database of logs, with each Node.js that has SQLite; the others say so. */

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { lineOf } from '../../../src/log/lines.ts'
import { MAIN, run } from '../../support/command.ts'
import { EPOCH } from '../../support/log.ts'
import { logFolder, recordLine } from '../../support/log-lines.ts'

const { NODE_OPTIONS: _, LYRE_OTHER_NODEJS = '', ...env } = process.env
/** Of what LYRE_OTHER_NODEJS names, those that run here at once, and have SQLite without being asked. */
const commands = [process.execPath, ...LYRE_OTHER_NODEJS.split('\n')]
  .map((command) => command.trim())
  .filter((command) => command !== '' && !command.includes(' '))
  .filter((node) => spawnSync(node, ['-e', 'require("node:sqlite")'], { env }).status === 0)

/** Runs `lyre log ...` with some Node.js. */
function log(node: string, ...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(node, [MAIN, 'log', ...args], {
    env,
    encoding: 'utf8',
  })
  return { code: status, text: stdout, errors: stderr }
}

/** A folder with these lines, and a place for a database. */
function saved(t: Test, lines: readonly unknown[]): { folder: string; file: string } {
  const folder = logFolder(t)
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
  writeFileSync(join(folder, '00000001-20231114T221320Z.ndjson'), text)
  return { folder, file: join(folder, 'logs.db') }
}

const V1 = lineOf({
  type: 'record',
  node: { uuid: undefined, hash: 0x1234, name: '', address: '127.0.0.1' },
  timeMs: EPOCH + 2,
  offsetMs: 2,
  record: { version: 1, level: 3, event: 1, node: 0x1234, peer: 7, time: EPOCH / 1_000, text: 'A' },
})
const LINES = [
  recordLine(1, { group: 'CHAT', peer: 'f'.repeat(32), fields: { cause: 'expired', list: [1] } }),
  V1,
  V1,
  recordLine(4, { text: "it's ä" }, { offsetMs: -3 }),
]

const isHere = commands.includes(process.execPath) && 'this one has it'

t.test('a Node.js without SQLite says so', { skip: isHere }, async (t) => {
  const { folder, file } = saved(t, LINES)
  for (const args of [
    ['import', folder, '--sqlite', file],
    ['--sqlite', file, '--interface', '127.0.0.1'],
  ]) {
    const { code, errors } = await run(t, 'log', ...args)
    t.equal(code, 1)
    t.match(errors, /^lyre: this Node\.js, v\d.*, has no SQLite: take 22\.13 or later, or --save/)
  }
})

for (const node of commands) {
  const { stdout: version } = spawnSync(node, ['--version'], { encoding: 'utf8', env })
  t.test(`with Node.js ${version.trim()}, what was saved is in a database once`, async (t) => {
    const { folder, file } = saved(t, LINES)
    const first = log(node, 'import', folder, '--sqlite', file)
    t.same(first, { code: 0, text: `4 records, of which 4 were not in ${file}\n`, errors: '' })
    const again = log(node, 'import', folder, '--sqlite', file, '--json')
    t.same(JSON.parse(again.text), { reply: 'import', records: 4, added: 0 })

    const [one, other] = [folder, file].map((path) => {
      const lines = log(node, 'query', path, '--json').text.trimEnd().split('\n')
      return lines.map((line) => JSON.parse(line))
    })
    t.strictSame(one, other, 'a query of either gives the same')
    t.same(
      one?.map(({ event }) => event),
      ['record', 'record', 'record', 'gap', 'record'],
    )
    const texts = [folder, file].map((path) => log(node, 'stats', path).text)
    t.equal(texts[0], texts[1])

    const sql = `new (require('node:sqlite').DatabaseSync)(${JSON.stringify(file)})
      .prepare('SELECT level, sequence, count FROM gaps').all()`
    const script = `console.log(JSON.stringify(${sql}))`
    const { stdout } = spawnSync(node, ['-e', script], { encoding: 'utf8', env })
    t.same(JSON.parse(stdout), [{ level: 'info', sequence: 2, count: 2 }])
  })

  t.test(`with Node.js ${version.trim()}, what is asked is left as it is`, async (t) => {
    const { folder, file } = saved(t, LINES)
    t.equal(log(node, 'import', folder, '--sqlite', file).code, 0)
    const foreign = join(folder, 'foreign.db')
    const script = `new (require('node:sqlite').DatabaseSync)(${JSON.stringify(foreign)})
      .exec('CREATE TABLE songs (title)')`
    t.equal(spawnSync(node, ['-e', script], { env }).status, 0)
    const before = [file, foreign].map((path) => readFileSync(path))
    for (const verb of ['query', 'stats']) {
      t.match(log(node, verb, file), { code: 0, errors: '' })
      const { code, errors } = log(node, verb, foreign)
      t.equal(code, 1)
      t.match(errors, /^lyre: cannot use .*foreign\.db as a database: it has no table records/)
    }
    t.strictSame(
      [file, foreign].map((path) => readFileSync(path)),
      before,
    )
  })

  t.test(`with Node.js ${version.trim()}, what is no database is told`, async (t) => {
    const { folder } = saved(t, LINES)
    const file = join(folder, 'no.db')
    writeFileSync(file, 'x'.repeat(5_000))
    const { code, errors } = log(node, 'import', folder, '--sqlite', file)
    t.equal(code, 1)
    t.match(errors, /^lyre: cannot use .*no\.db as a database: .+\n$/)
  })
}
