/**
 * Holds the architecture: layers, banned words, orphans, rules and tests, links. First each check is
 * shown a sample that it must not let pass, then all of them read the whole tree.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path/posix'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import {
  checkDocstrings,
  checkGlobals,
  checkHosts,
  checkImports,
  checkLinks,
  checkOrphans,
  checkRules,
  checkScripts,
  checkText,
  type File,
} from './support/tidy.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const NOT_OURS =
  /^(node_modules|dist|dist-bench|dist-examples|dist-fuzz|dist-recording|dist-soak|\.git|\.tap|coverage)$/
// In pieces, or this page would be its own first offender.
const TO_DO = ['TO', 'DO'].join('')
const FIX_ME = ['FIX', 'ME'].join('')

function file(path: string, ...lines: string[]): File {
  return { path, text: `${lines.join('\n')}\n` }
}

function importing(path: string, name: string): string[] {
  return checkImports(file(path, `import { x } from '${name}'`))
}

t.test('imports that go the right way are let pass', async (t) => {
  for (const [path, name] of [
    ['protocol/zre.ts', './bytes.ts'],
    ['src/lyre.ts', '../protocol/zre.ts'],
    ['src/lyre.ts', 'eventemitter3'],
    ['src/discovery/beacon.ts', '../host.ts'],
    ['src/index.ts', './system/index.ts'],
    ['src/system/clock.ts', '../host.ts'],
    ['src/system/clock.ts', 'node:timers'],
    ['src/cli/main.ts', '../index.ts'],
    ['src/cli/main.ts', 'commander'],
    ['src/cli/exporter.ts', 'prom-client'],
    ['src/cli/sim.ts', '../../sim/index.ts'],
    ['src/cli/sim-player.ts', '../../sim/index.ts'],
    ['sim/mesh.ts', '../protocol/index.ts'],
    ['sim/mesh.ts', '../src/lyre.ts'],
    ['sim/trace.ts', 'node:crypto'],
    ['examples/minimal.ts', 'lyre'],
    ['examples/test-your-own-app.ts', 'lyre/sim'],
    ['test/protocol/zre.test.ts', '../support/feed.ts'],
    ['test/src/lyre.test.ts', '../../src/system/index.ts'],
  ] as const) {
    t.same(importing(path, name), [], `${path} may import ${name}`)
  }
})

t.test('imports that go the wrong way are found', async (t) => {
  for (const [path, name] of [
    ['protocol/zre.ts', '../src/lyre.ts'],
    ['protocol/zre.ts', 'node:buffer'],
    ['protocol/zre.ts', 'uuid'],
    ['src/lyre.ts', './system/index.ts'],
    ['src/lyre.ts', './index.ts'],
    ['src/lyre.ts', 'node:net'],
    ['src/lyre.ts', 'commander'],
    ['src/discovery/beacon.ts', '../system/index.ts'],
    ['src/index.ts', './cli/main.ts'],
    ['src/system/clock.ts', '../lyre.ts'],
    ['src/system/clock.ts', '../../protocol/zre.ts'],
    ['src/cli/main.ts', '../lyre.ts'],
    ['src/cli/main.ts', '../../sim/index.ts'],
    ['src/cli/sim.ts', '../../sim/run.ts'],
    ['src/cli/sim.ts', '../lyre.ts'],
    ['src/lyre.ts', '../sim/index.ts'],
    ['sim/host.ts', 'node:net'],
    ['sim/simulation.ts', '../src/index.ts'],
    ['sim/simulation.ts', '../src/system/index.ts'],
    ['sim/trace.ts', 'node:net'],
    ['examples/minimal.ts', '../src/index.ts'],
    ['test/protocol/zre.test.ts', '../../src/lyre.ts'],
  ] as const) {
    t.equal(importing(path, name).length, 1, `${path} may not import ${name}`)
  }
})

t.test('every form of import is seen', async (t) => {
  for (const line of [
    "import 'node:net'",
    "import type { Socket } from 'node:net'",
    "export { Socket } from 'node:net'",
    "export * from 'node:net'",
    "const net = await import('node:net')",
    "type Socket = import('node:net').Socket",
  ]) {
    t.equal(checkImports(file('src/lyre.ts', line)).length, 1, line)
  }
  t.same(
    checkImports(file('src/lyre.ts', '// import { x } from "node:net"')),
    [],
    'not in comments',
  )
})

t.test('banned globals are found, with what to use instead', async (t) => {
  for (const [line, instead] of [
    ['const at = Date.now()', 'clock.now()'],
    ['const at = performance.now()', 'clock.now()'],
    ['const n = Math.random()', 'host.random'],
    ['const id = crypto.randomUUID()', 'host.random'],
    ['const id = v4()', 'host.random(16)'],
    ['setTimeout(f, 10)', 'host.clock'],
    ['setInterval(f, 10)', 'host.clock'],
    ['setImmediate(f)', 'host.clock'],
    ['const signal = AbortSignal.timeout(10)', 'host.clock'],
    ['process.exit(1)', 'the Host'],
    ['globalThis.f()', 'the Host'],
    ["console.log('x')", 'options.trace'],
    ['const bytes = Buffer.alloc(1)', 'Uint8Array'],
    ['let bytes: Buffer', 'Uint8Array'],
  ] as const) {
    for (const path of [
      'protocol/zre.ts',
      'src/lyre.ts',
      'src/discovery/beacon.ts',
      'sim/host.ts',
    ]) {
      t.match(checkGlobals(file(path, line)).join(), instead, `${line} in ${path}`)
    }
    t.same(checkGlobals(file('src/system/clock.ts', line)), [], `${line} in src/system/`)
    t.same(checkGlobals(file('src/cli/main.ts', line)), [], `${line} in src/cli/`)
  }
})

t.test('what only looks like a banned global is let pass', async (t) => {
  for (const line of [
    'host.process.start()',
    'const options = { crypto: 1, Date: 2 }',
    'function f(process: number) { return process }',
    'const id = v4({ random })',
    "// Date.now() and 'Math.random()'",
    'const text = "process.exit(1)"',
  ]) {
    t.same(checkGlobals(file('src/lyre.ts', line)), [], line)
  }
})

t.test('speed may take an exception that it has measured', async (t) => {
  const line = 'const view = Buffer.from(bytes.buffer)'
  const measured = '/** Uses `Buffer`: 70 ns a call against 200, measured on Node.js 20. */'
  t.same(checkGlobals(file('src/mesh.ts', measured, line)), [])
  t.equal(checkGlobals(file('src/mesh.ts', '/** Uses `Buffer`. */', line)).length, 1)
})

t.test('long files and loose ends are found', async (t) => {
  const long = Array.from({ length: 601 }, () => 'f()')
  t.equal(checkText(file('src/lyre.ts', ...long)).length, 1)
  t.same(checkText(file('src/lyre.ts', '// 601 lines, since it is one table.', ...long)), [])
  t.equal(checkText(file('src/lyre.ts', `f() // ${TO_DO}: later`)).length, 1)
  t.equal(checkText(file('src/lyre.ts', '/**', ` * ${TO_DO} later`, ' */')).length, 1)
  t.same(checkText(file('src/lyre.ts', `// ${TO_DO} #12: later`, `// ${TO_DO}(#12): later`)), [])
  t.equal(checkText(file('src/lyre.ts', `// ${FIX_ME} #12`)).length, 1)
})

t.test('registry hosts and resolved addresses are found', async (t) => {
  const host = ['registry', 'example', 'org'].join('.')
  t.equal(checkHosts(file('README.md', `npm install --registry ${host}`)).length, 1)
  t.equal(checkHosts(file('package-lock.json', '"resolved": "somewhere"')).length, 1)
  t.same(checkHosts(file('README.md', 'it is in the npm registry. Or not.')), [])
})

t.test('exports without a docstring are found', async (t) => {
  const bad = [
    '/** The idea of the file. */',
    '',
    'export const LIMIT = 1',
    '/** The first of two. */',
    'export const ONE = 1',
    'export const TWO = 2',
    '// No docstring.',
    'export class Bare {}',
    '/** Of the inside. */',
    'interface Inside {}',
    'export interface Outside {}',
  ]
  t.match(checkDocstrings(file('src/a.ts', ...bad)), [
    /^src\/a\.ts: export const LIMIT has no docstring/,
    /TWO/,
    /Bare/,
    /Outside/,
  ])
  t.equal(checkDocstrings(file('protocol/a.ts', ...bad)).length, 4)
  t.equal(checkDocstrings(file('sim/a.ts', ...bad)).length, 4)
  t.same(checkDocstrings(file('src/cli/a.ts', ...bad)), [], 'nobody imports the command')
  const good = ['/** Reads it. */', 'export function read() {}', "export { a } from './a.ts'"]
  t.same(checkDocstrings(file('src/a.ts', ...good, 'const inside = 1')), [])
})

t.test('dead links and missing scripts are found', async (t) => {
  const exists = (path: string) => path === 'docs/guide' || path === 'README.md'
  const links =
    '[a](guide) [b](../README.md#top) [c](#d) [d](https://e.f/g) [e](gone.md) ![f](h.png)'
  t.match(checkLinks(file('docs/index.md', links), exists), [/gone\.md/, /h\.png/])
  t.equal(checkLinks(file('docs/index.md', links), exists).length, 2)
  const text = '`npm test`, `npm start`, `npm run check` and `npm run test:gone`'
  const scripts = { test: '', start: '', check: '' }
  t.match(checkScripts(file('README.md', text), scripts), [/test:gone/])
  t.equal(checkScripts(file('README.md', text), scripts).length, 1)
})

t.test('files that nobody imports are found', async (t) => {
  const tree = [
    file('protocol/index.ts', "export { a } from './a.ts'", "export { b } from './b.ts'"),
    file('protocol/a.ts', ''),
    file('protocol/b.ts', ''),
    file('protocol/lonely.ts', ''),
    file('src/index.ts', "new URL('./companion.js', import.meta.url)"),
    file('src/companion.ts', ''),
    file('src/lonely.ts', ''),
    file('sim/index.ts', "export { a } from './a.ts'"),
    file('sim/a.ts', ''),
    file('sim/lonely.ts', ''),
    file('test/protocol/a.test.ts', "import '../../protocol/a.ts'", "import './../support/a.ts'"),
    file('test/src/lonely.test.ts', "import '../../src/lonely.ts'", "import '../../protocol/b.ts'"),
    file('test/support/a.ts', ''),
    file('test/support/lonely.ts', ''),
  ]
  t.match(checkOrphans(tree), [
    /^protocol\/b\.ts: no test in test\/protocol/,
    /^protocol\/lonely\.ts/,
    /^src\/lonely\.ts/,
    /^sim\/lonely\.ts/,
    /^test\/support\/lonely\.ts/,
  ])
  t.equal(checkOrphans(tree).length, 5)
})

t.test('rules without a test, and citations without a rule, are found', async (t) => {
  const page = file('protocol/a.md', '- **1.1** MUST x.', '- **1.2** MUST y.', '- **2.1** MUST z.')
  const code = file('protocol/a.ts', '// Spec: a.md 1.1')
  const tests = file('test/protocol/a.test.ts', '// a.md 1.1 and 2.1', "t.test('y (a.md 1.2)')")
  t.same(checkRules([page, code, tests]), [])
  t.match(checkRules([page, code]), [/a\.md 1\.1 is cited/, /a\.md 1\.2/, /a\.md 2\.1/])
  t.match(checkRules([page, tests]), [/no code beside it/])
  const wrong = file('protocol/a.ts', "throw new WireError('a.md 1.3')")
  t.match(checkRules([page, wrong, tests]), [/protocol\/a\.ts cites a\.md 1\.3/])
})

t.test('the tree is tidy', async (t) => {
  const files = readTree('')
  const code = files.filter(({ path }) => /\.(ts|mjs)$/.test(path))
  const pages = files.filter(({ path }) => path.endsWith('.md'))
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  t.ok(code.length > 0 && pages.length > 0, 'there is a tree to read')
  t.same(code.flatMap(checkImports), [], 'imports go one way')
  t.same(code.flatMap(checkGlobals), [], 'nobody goes past the Host')
  t.same(code.flatMap(checkText), [], 'files are short and finished')
  t.same(code.flatMap(checkDocstrings), [], 'exports have docstrings')
  t.same(files.flatMap(checkHosts), [], 'no registry is named')
  t.same(checkOrphans(code), [], 'every file is used')
  t.same(checkRules(files), [], 'rules have tests, and citations have rules')
  t.same(
    pages.flatMap((page) => checkLinks(page, (path) => existsSync(join(ROOT, path)))),
    [],
    'links lead somewhere',
  )
  t.same(
    pages.flatMap((page) => checkScripts(page, scripts)),
    [],
    'pages name scripts that exist',
  )
})

/** All text files of ours, with their paths from the root. */
function readTree(folder: string): File[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (NOT_OURS.test(entry.name)) return []
    if (entry.isDirectory()) return readTree(path)
    const ours = entry.isFile() && /\.(ts|mjs|md|json)$|(^|\/)\.[a-z]+(rc)?$|^\.ci\//.test(path)
    return ours ? [{ path, text: readFileSync(join(ROOT, path), 'utf8') }] : []
  })
}
