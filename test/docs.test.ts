/**
 * Holds the pages for users: their programs compile and print what they say, and all that can be called, set, heard or thrown is
 * on the page about the API.
 *
 * A `ts` block with an import begins a program, and the blocks below it go on with it. Blocks with no program above them are each
 * one by itself, which is given what is in GIVEN. A program in which `//> text` stands behind a line is run, in networks of its
 * own, and has to print those texts, in that order, and nothing else.
 */

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import ts from 'typescript'
import { EVENT_TYPES } from '../src/events.ts'
import { freePort } from './support/nodes.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const GIVEN = [
  "import { createLyre, text, type Lyre, type Peer } from 'lyre'",
  'declare const lyre: Lyre, peer: Peer, signal: AbortSignal, uuid: string, endpoint: string',
  'declare const frames: Uint8Array[], readings: string[]',
  '{',
].join('; ')

type Program = { readonly path: string; readonly text: string }

function read(path: string): string {
  return readFileSync(`${ROOT}/${path}`, 'utf8')
}

/** The programs of a page, each with its lines where they are on the page, so that a complaint leads there. */
function programsOf(path: string, page: string): Program[] {
  const programs: string[][] = []
  let block: string[] | undefined
  let begun = false
  for (const [index, line] of page.split('\n').entries()) {
    if (/^ *```/.test(line)) {
      block = block === undefined && /^ *```ts$/.test(line) ? [] : undefined
      const opening = page.split('\n')[index + 1] ?? ''
      if (block !== undefined && (!begun || opening.startsWith('import '))) {
        begun = opening.startsWith('import ')
        programs.push(begun ? [] : [GIVEN])
      }
    } else if (block !== undefined) {
      const program = programs.at(-1) ?? []
      while (program.length < index) program.push('')
      program.push(line)
    }
  }
  const closed = programs.map((lines) => (lines[0] === GIVEN ? [...lines, '}'] : lines))
  return closed.map((lines, index) => ({
    path: path.replace(/md$/, `${index}.ts`),
    text: lines.join('\n'),
  }))
}

/** What the compiler says of them, as it does of the project, but that a program may leave something unused. */
function complaintsOf(programs: readonly Program[]): string[] {
  const { config } = ts.readConfigFile(`${ROOT}/tsconfig.json`, ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT)
  Object.assign(options, { noUnusedLocals: false, noPropertyAccessFromIndexSignature: false })
  const texts = new Map(programs.map(({ path, text }) => [`${ROOT}${path}`, text]))
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = (path) => texts.has(path) || fileExists(path)
  host.readFile = (path) => texts.get(path) ?? readFile(path)
  host.getSourceFile = (path, version, ...rest) => {
    const text = texts.get(path)
    if (text === undefined) return getSourceFile(path, version, ...rest)
    return ts.createSourceFile(path, text, version)
  }
  const program = ts.createProgram([...texts.keys()], options, host)
  return [...texts.keys()].flatMap((path) => {
    const source = program.getSourceFile(path)
    const found = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ]
    return found.map(({ start = 0, messageText }) => {
      const line = (source?.getLineAndCharacterOfPosition(start).line ?? 0) + 1
      return `${path.replace(ROOT, '')} line ${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
    })
  })
}

/** What a program says that it prints. */
function promisesOf({ text }: Program): string[] {
  return [...text.matchAll(/\/\/> (.*)$/gm)].map(([, promise = '']) => promise)
}

/** Runs it as a user of the package would, and gives what it printed. */
async function run({ text }: Program): Promise<string[]> {
  const networks = new Map<string, number>()
  for (const [, port = ''] of text.matchAll(/beaconPort: (567\d)/g)) {
    if (!networks.has(port)) networks.set(port, await freePort())
  }
  const own = text.replaceAll(/(?<=beaconPort: )567\d/g, (port) => String(networks.get(port)))
  const options = { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext }
  const { outputText } = ts.transpileModule(own, { compilerOptions: options })
  const { NODE_OPTIONS: _, ...env } = process.env
  const args = ['--input-type=module', '--eval', outputText]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, env })
  return stdout.trimEnd().split('\n')
}

/** The names of the public members of a class or interface. */
function membersOf(path: string, name: string): string[] {
  const source = ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest)
  const found = source.statements.find(
    (node): node is ts.ClassDeclaration | ts.InterfaceDeclaration =>
      (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node)) && node.name?.text === name,
  )
  const names = (found?.members ?? []).flatMap(({ name }) => (name === undefined ? [] : [name]))
  return names.filter(ts.isIdentifier).map(({ text }) => text)
}

t.test('programs of a page are found, and go on below', async (t) => {
  const page = ['```ts', 'lyre.peers()', '```', 'x', '```sh', 'ls', '```', '```ts']
  page.push("import { a } from 'b'", '```', '```js', 'no', '```', '  ```ts', '  a() //> 1', '  ```')
  const [alone, program, ...rest] = programsOf('docs/guide/a.md', page.join('\n'))
  t.same(rest, [])
  t.match(alone, { path: 'docs/guide/a.0.ts', text: /^import .*\nlyre\.peers\(\)\n\}$/ })
  t.equal(program?.text.trim().replaceAll(/\n+/g, '\n'), "import { a } from 'b'\n  a() //> 1")
  t.equal(program?.text.split('\n').length, 15, 'its lines are where they are on the page')
  t.same(programsOf('a.md', page.join('\n')).map(promisesOf), [[], ['1']])
})

t.test('a program that does not fit the API is found', async (t) => {
  const wrong = [
    'lyre.shoot()',
    "lyre.shout('CHAT', 7)",
    "lyre.on('enter', ({ content }) => content)",
    "createLyre({ nmae: 'ada' })",
  ]
  const page = ['```ts', ...wrong, '```'].join('\n')
  const complaints = complaintsOf(programsOf('docs/guide/a.md', page))
  t.match(complaints, [/line 2: .*shoot/, /line 3: /, /line 4: .*content/, /line 5: .*nmae/])
})

const pages = [
  'README.md',
  ...readdirSync(`${ROOT}/docs/guide`).map((name) => `docs/guide/${name}`),
]
const programs = pages
  .filter((path) => path.endsWith('.md'))
  .flatMap((path) => programsOf(path, read(path)))

t.test('the programs of all pages compile', async (t) => {
  t.ok(programs.length > 5, 'there are programs')
  t.same(complaintsOf(programs), [])
})

for (const program of programs.filter((program) => promisesOf(program).length > 0)) {
  t.test(`${program.path} prints what it says`, async (t) => {
    t.same(await run(program), promisesOf(program))
  })
}

t.test('all that there is to call, set, hear and throw is on the page about the API', async (t) => {
  const page = read('docs/guide/api.md')
  const methods = membersOf('src/lyre.ts', 'Lyre').filter((name) => name !== 'constructor')
  const errors = read('src/errors.ts').matchAll(/export class (\w+)/g)
  const named = [...methods, ...EVENT_TYPES, ...Array.from(errors, ([, name = '']) => name)]
  const rows = [
    ...membersOf('src/options.ts', 'LyreOptions'),
    ...membersOf('src/options.ts', 'LyreLimits'),
  ]
  t.ok(methods.length > 15 && rows.length > 20, 'there is something to look for')
  t.same(
    named.filter((name) => !new RegExp(`\`(\\w+\\.)?${name}\\b`).test(page)),
    [],
    'members, events and errors are named',
  )
  t.same(
    rows.filter((name) => !page.includes(`\n| \`${name}\` |`)),
    [],
    'options and limits have a row each',
  )
})

t.test('all that can be found is on the page about peers that do not see each other', async (t) => {
  const page = read('docs/guide/when-peers-do-not-see-each-other.md')
  const [, union = ''] = /type FindingCode =(.*?)\n\n/s.exec(read('src/findings.ts')) ?? []
  const lines = read('src/cli/examination.ts').match(/\bcode: .*'/g) ?? []
  // A finding in one line has its severity there, too.
  const severities = ['problem', 'warning', 'note', 'ok']
  const codes = Array.from(`${union}${lines}`.matchAll(/'([a-z-]+)'/g), ([, code = '']) => code)
  t.ok(codes.length > 40, 'there is something to look for')
  const rows = page.slice(page.indexOf('## All findings'))
  t.same(
    codes.filter(
      (code) =>
        !severities.includes(code) && !new RegExp(`^\\| .*\`${code}\`.* \\|`, 'm').test(rows),
    ),
    [],
  )
})

t.test('the defaults on the page about the API are those of the code', async (t) => {
  const source = read('src/options.ts')
  const rows = [...read('docs/guide/api.md').matchAll(/^\| `(\w+)` \| ([\d,]+) \|/gm)]
  t.ok(rows.length > 15)
  for (const [, name = '', shown = ''] of rows) {
    const value = new RegExp(
      `^  ${name}: ([\\d_]+),$|\\b${name} (?:=|\\?\\?) ([\\d_]+|BEACON_PORT)`,
      'm',
    )
    const [, limit, option] = value.exec(source) ?? []
    const found = (limit ?? option)?.replace('BEACON_PORT', '5670').replaceAll('_', '')
    t.equal(shown.replaceAll(',', ''), found, name)
  }
})
