/** The program of the README is the example, which is compiled and can be run. */

import { readFileSync } from 'node:fs'
import t from 'tap'

t.test('the README shows examples/minimal.ts as it is', async (t) => {
  const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
  const program = read('examples/minimal.ts').replace(/^(\/\/.*\n)+\n/, '')
  t.ok(read('README.md').includes(`\`\`\`ts\n${program}\`\`\``))
})
