/**
 * The types of the package work for each kind of file, way to resolve modules and compiler that we promise, all with
 * `strict`, with our declarations checked as well, and with neither DOM nor `@types/node`.
 */

import { join } from 'node:path'
import t from 'tap'
import { createProject, ROOT, runProgram, succeed, TIMEOUT_MS, tool, write } from './project.ts'

/** What a program may do with Lyre; where an error is expected, none would tell that something has become `any`. */
const PROGRAM = `
import { createLyre, text, TimeoutError, UsageError, WireError, type Lyre, type LyreEvents } from 'lyre'
import { encodeBeacon, Harmony, Places, type Uuid } from 'lyre/protocol'
import { planRun, run, Simulation, type Verdict } from 'lyre/sim'

export const lyre: Lyre = createLyre({ name: 'ada' })
lyre.on('whisper', ({ peer, content }) => {
  const whispered: string = text(content)
  const uuid: Uuid = peer.uuid
  lyre.whisper(uuid, whispered)
})
export class Late extends TimeoutError {}
export function blame(error: unknown): UsageError | string {
  return error instanceof UsageError ? error : error instanceof WireError ? error.message : ''
}
export async function live(): Promise<void> {
  await lyre.start()
  await lyre.waitForPeers(1, { group: 'CHAT', timeoutMs: 5 })
  await lyre[Symbol.asyncDispose]()
}
export const places: Places<string> | undefined = undefined
export const harmony: Harmony | undefined = undefined
export const simulation = new Simulation({ seed: 1 })
export const simulated: Lyre = simulation.createLyre({ name: 'bob' })
export const others = { encodeBeacon, planRun, run }
export type Others = { readonly verdict: Verdict; readonly events: LyreEvents }
// @ts-expect-error
export const wrong: number = createLyre()
// @ts-expect-error
lyre.on('whisper', ({ nothing }) => nothing)
// @ts-expect-error
createLyre({ nothing: 1 })
`
/** A Lyre has private members: that of another declaration would not do. */
const MEETING = `
import { lyre as theirs } from './required.cjs'
import { UsageError, type Lyre } from 'lyre'
export const ours: Lyre = theirs
export const refusal: UsageError = new (await import('./required.cjs')).UsageError('no')
`
const FILES = {
  'imported.mts': PROGRAM,
  'required.cts': `${PROGRAM}\nexport { UsageError }\n`,
  'commonjs/package.json': '{ "type": "commonjs" }',
  'commonjs/program.ts': PROGRAM,
  'module/package.json': '{ "type": "module" }',
  'module/program.ts': PROGRAM,
}
const BARE = { lib: ['es2022'], types: [] }

const TYPESCRIPT = join(ROOT, 'node_modules/typescript/lib/tsc.js')
const COMPILERS = [
  {
    name: 'the TypeScript of this project',
    path: TYPESCRIPT,
    modes: [
      { module: 'node16' },
      { module: 'node18' },
      { module: 'node20' },
      { module: 'nodenext' },
      { module: 'esnext', moduleResolution: 'bundler' },
      { module: 'preserve', moduleResolution: 'bundler' },
      { module: 'commonjs', moduleResolution: 'bundler' },
      { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0' },
    ],
  },
  {
    name: 'TypeScript 7.0',
    path: tool('typescript-7.0/lib/tsc.js'),
    modes: [
      { module: 'node16' },
      { module: 'nodenext' },
      { module: 'esnext', moduleResolution: 'bundler' },
      { module: 'preserve', moduleResolution: 'bundler' },
    ],
  },
  {
    name: 'TypeScript 5.9',
    path: tool('typescript-5.9/lib/tsc.js'),
    modes: [
      { module: 'node16' },
      { module: 'nodenext' },
      { module: 'preserve', moduleResolution: 'bundler' },
      { module: 'commonjs', moduleResolution: 'node10' },
    ],
  },
  {
    name: 'TypeScript 5.3',
    path: tool('typescript-5.3/lib/tsc.js'),
    modes: [
      { module: 'node16' },
      { module: 'esnext', moduleResolution: 'bundler' },
      { module: 'commonjs', moduleResolution: 'node10' },
    ],
  },
]

t.setTimeout(TIMEOUT_MS)
const project = await createProject(t, 'commonjs', FILES)

async function compile(compiler: string, options: object, files: readonly string[]) {
  const compilerOptions = { noEmit: true, strict: true, skipLibCheck: false, target: 'es2022' }
  write(project, {
    'tsconfig.json': JSON.stringify({ files, compilerOptions: { ...compilerOptions, ...options } }),
  })
  const { code, stdout } = await runProgram(project, process.execPath, [compiler])
  return { code, stdout }
}

for (const { name, path, modes } of COMPILERS) {
  t.test(`${name} takes the types`, async (t) => {
    const files = Object.keys(FILES).filter((file) => file.endsWith('ts'))
    for (const mode of modes) {
      const { code, stdout } = await compile(path, { ...BARE, ...mode }, files)
      t.same({ code, stdout }, { code: 0, stdout: '' }, JSON.stringify(mode))
    }
  })
}

t.test(
  'what an ES module imports and what a CommonJS file requires is of the same type',
  async (t) => {
    write(project, { 'meeting.mts': MEETING })
    t.same(await compile(TYPESCRIPT, { ...BARE, module: 'node16' }, ['meeting.mts']), {
      code: 0,
      stdout: '',
    })
  },
)

t.test(
  'a project as tsc --init makes it, in CommonJS, takes the whole of it by its name',
  async (t) => {
    write(project, {
      'whole.cts': `import lyre = require('lyre')
      const node: lyre.Lyre = lyre.createLyre()
      const refusal: lyre.UsageError = new lyre.UsageError('no')
      export = { node, refusal }`,
    })
    const options = { ...BARE, module: 'nodenext', verbatimModuleSyntax: true }
    t.same(await compile(TYPESCRIPT, options, ['whole.cts']), { code: 0, stdout: '' })
  },
)

t.test('with DOM or with @types/node an AbortSignal is theirs, whole', async (t) => {
  const signalled = `import { createLyre } from 'lyre'
    const controller = new AbortController()
    export const waiting = createLyre().waitForPeers(1, { signal: controller.signal })
    controller.signal.addEventListener('abort', () => controller.signal.throwIfAborted())
    // @ts-expect-error
    createLyre().waitForPeers(1, { signal: {} })`
  write(project, { 'signalled.mts': signalled, 'signalled.cts': signalled })
  const files = ['signalled.mts', 'signalled.cts']
  for (const options of [
    { lib: ['es2022', 'dom'], types: [] },
    { lib: ['es2022'], types: ['node'], typeRoots: [join(ROOT, 'node_modules/@types')] },
  ]) {
    t.same(
      await compile(TYPESCRIPT, { ...options, module: 'node16' }, files),
      { code: 0, stdout: '' },
      options.types.join() || 'DOM',
    )
  }
})

t.test('every value that require() gives has a type', async (t) => {
  for (const entry of ['lyre', 'lyre/protocol', 'lyre/sim']) {
    const keys = `console.log(JSON.stringify(Object.keys(require('${entry}'))))`
    const names: string[] = JSON.parse(await succeed(project, process.execPath, ['-e', keys]))
    t.ok(names.length > 0)
    const program = `import { ${names.join(', ')} } from '${entry}'
      export const values = [${names.join(', ')}]`
    write(project, { 'all.cts': program, 'all.mts': program })
    const { stdout } = await compile(TYPESCRIPT, { ...BARE, module: 'node16' }, [
      'all.cts',
      'all.mts',
    ])
    t.equal(stdout, '', entry)
  }
})
