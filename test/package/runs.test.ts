/**
 * The package runs, in an empty CommonJS project and in an empty ESM one, without a warning. `LYRE_OTHER_NODEJS` names other
 * versions and processors, one command to a line, as for test/sim/digest.test.ts; `.ci/run` gets them where it can.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { freePort } from '../support/nodes.ts'
import {
  createProject,
  type Ended,
  ROOT,
  runProgram,
  TIMEOUT_MS,
  temporaryFolder,
  tool,
  write,
} from './project.ts'

const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
const FILES = {
  'conversation.cjs': readFileSync(new URL('conversation.cjs', import.meta.url), 'utf8'),
  'import.mjs': `import * as lyre from 'lyre'
    import { converse } from './conversation.cjs'
    await converse(lyre)`,
  'require.cjs': `require('./conversation.cjs').converse(require('lyre'))`,
  'dynamic.cjs': `import('lyre').then(require('./conversation.cjs').converse)`,
  'both.mjs': `import { createRequire } from 'node:module'
    const require = createRequire(import.meta.url)
    for (const name of ['lyre', 'lyre/protocol', 'lyre/sim']) {
      const [imported, required] = [await import(name), require(name)]
      const names = Object.keys(imported)
      console.log(names.length > 0 && names.every((key) => imported[key] === required[key]))
    }`,
  'sim.cjs': `const { Simulation } = require('lyre/sim')
    const { encodeBeacon } = require('lyre/protocol')
    console.log(typeof Simulation, typeof encodeBeacon)`,
}
const SPOKEN = '{"said":["hello","hello yourself"],"mdns":true,"error":true}\n'
const { LYRE_OTHER_NODEJS = '' } = process.env

t.setTimeout(TIMEOUT_MS)
// The demonstration mostly waits, so that its reader can follow: others go on meanwhile.
t.jobs = 2
const projects = {
  commonjs: await createProject(t, 'commonjs', { ...FILES, 'index.js': FILES['require.cjs'] }),
  module: await createProject(t, 'module', { ...FILES, 'index.js': FILES['import.mjs'] }),
}

/** Each Node.js: the last word of a command is its binary, and what stands before emulates its processor. */
const commands = [process.execPath, ...LYRE_OTHER_NODEJS.split('\n')]
  .map((line) => line.trim())
  .filter((line) => line !== '')
  .map((line) => line.split(/\s+/))

async function run(folder: string, command: readonly string[], args: readonly string[]) {
  const [program = '', ...options] = command
  return runProgram(folder, program, [...options, ...args])
}

/** Has two nodes talk through a program that is in a folder. */
async function talk(folder: string, command: readonly string[], file: string): Promise<Ended> {
  return run(folder, command, [file, String(await freePort())])
}

function quiet(t: Test, ended: Ended, stdout: string, name: string): void {
  t.same(ended, { code: 0, stdout, stderr: '' }, name)
}

for (const command of commands) {
  const { stdout } = await run(ROOT, command, [
    '-p',
    'JSON.stringify([process.version, process.arch, process.features.require_module === true])',
  ])
  const [version_, processor, requires] = JSON.parse(stdout) as [string, string, boolean]
  const name = `Node.js ${version_} on ${processor}`
  const emulated = command.length > 1

  t.test(`two nodes talk on ${name}, however Lyre is loaded`, { buffered: true }, async (t) => {
    const { commonjs, module } = projects
    quiet(t, await talk(module, command, 'index.js'), SPOKEN, 'import in an ESM project')
    const required = await talk(commonjs, command, 'index.js')
    if (requires) quiet(t, required, SPOKEN, 'require() in a CommonJS project')
    else t.match(required, { code: 1, stderr: /ERR_REQUIRE_ESM/ }, 'too old to require() Lyre')
    // Where a processor is emulated, each takes half a minute.
    if (emulated) return
    quiet(t, await talk(commonjs, command, 'dynamic.cjs'), SPOKEN, 'import() in CommonJS')
    quiet(t, await talk(commonjs, command, 'import.mjs'), SPOKEN, 'import in a CommonJS project')
    quiet(t, await talk(module, command, 'require.cjs'), SPOKEN, 'require() in an ESM project')
    quiet(t, await run(commonjs, command, ['sim.cjs']), 'function function\n', 'other entries')
    const both = await run(module, command, ['both.mjs'])
    quiet(t, both, 'true\ntrue\ntrue\n', 'import and require() give the same module')
  })

  t.test(`the command works on ${name}`, { buffered: true }, async (t) => {
    const main = 'node_modules/lyre/dist/src/cli/main.js'
    quiet(
      t,
      await run(projects.commonjs, command, [main, '--version']),
      `${version}\n`,
      '--version',
    )
    // It starts companions as processes of its own binary, which an emulator does not reach.
    if (emulated) return
    const demo = await run(projects.commonjs, command, [main, 'demo'])
    t.match(demo, { code: 0, stderr: '' }, 'the demonstration, without a terminal')
  })
}

t.test('npx finds the command', async (t) => {
  for (const folder of Object.values(projects)) {
    quiet(t, await runProgram(folder, 'npx', ['lyre', '--version']), `${version}\n`, 'npx lyre')
  }
})

t.test('a bundler makes one file of a program, which needs nothing else', async (t) => {
  const esbuild = tool('esbuild/bin/esbuild')
  const folder = temporaryFolder(t)
  write(folder, { 'package.json': '{}' })
  // The package for multicast DNS is CommonJS, whose require() an ES module of esbuild has to be given.
  const requires = `import{createRequire}from'node:module';const require=createRequire(import.meta.url);`
  const withoutMdns = SPOKEN.replace('"mdns":true', '"mdns":false')
  for (const [source, format, banner, spoken] of [
    ['import.mjs', 'esm', [], withoutMdns],
    ['import.mjs', 'esm', [`--banner:js=${requires}`], SPOKEN],
    ['require.cjs', 'cjs', [], SPOKEN],
  ] as const) {
    const file = join(folder, `${source}.${format === 'esm' ? 'mjs' : 'cjs'}`)
    const kind = ['--bundle', '--platform=node', `--format=${format}`, ...banner]
    await run(
      projects.commonjs,
      [process.execPath, esbuild],
      [source, ...kind, `--outfile=${file}`],
    )
    quiet(t, await talk(folder, [process.execPath], file), spoken, format)
  }
})
