/** Seeds that are played again and again, those that found something before all. */

import { tmpdir } from 'node:os'
import t from 'tap'
import { startCommand } from '../support/command.ts'
import { SEEDS } from './seeds.ts'

t.setTimeout(300_000)

for (const [run, why] of SEEDS) {
  t.test(`${run}: ${why}`, async (t) => {
    const words = run.replace(/^.* sim /, '').split(' ')
    const command = startCommand(t, ['sim', ...words, '--repro', tmpdir()])
    const code = await command.exited
    t.equal(code, 0)
    t.equal(command.errors, '')
    if (code !== 0) t.comment(command.lines.items.join('\n'))
  })
}
