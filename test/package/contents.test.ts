/** What is in the package, what comes with it, and what linters of packages say. */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path/posix'
import t from 'tap'
import { checkLinks } from '../support/tidy.ts'
import { createProject, pack, ROOT, runProgram, TIMEOUT_MS, tool } from './project.ts'

const INSTALLED_BYTES_MAX = 2_000_000
const PACKAGES_MAX = 10
const ALLOWED = [
  /^(package\.json|README\.md|CHANGELOG\.md|LICENSE)$/,
  /^docs\/recording\.svg$/,
  /^(docs\/guide|protocol)\/[a-z0-9-]+\.md$/,
  /^docs\/monitoring\/[a-z]+\.(json|yml)$/,
  /^examples\/[a-z-]+\.(ts|service)$/,
  /^dist\/(src|protocol|sim)\/([a-z]+\/)?[a-z-]+\.(js|d\.ts)$/,
  /^dist\/(src|protocol|sim)\/index\.(cjs|d\.cts)$/,
]

t.setTimeout(TIMEOUT_MS)
const project = await createProject(t, 'commonjs', {})
const modules = join(project, 'node_modules')
const lyre = join(modules, 'lyre')
const packed = files(lyre)
const manifest = JSON.parse(read('package.json'))
/** As npm has written down what it installed: all packages by their paths. */
const installed: Readonly<Record<string, { readonly hasInstallScript?: boolean }>> = JSON.parse(
  readFileSync(join(modules, '.package-lock.json'), 'utf8'),
).packages

/** All files below a folder, by their paths from there. */
function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
}

function read(path: string): string {
  return readFileSync(join(lyre, path), 'utf8')
}

t.test('nothing is packed but what a user has a use for, and nothing of it is stale', async (t) => {
  const strange = packed.filter((path) => !ALLOWED.some((pattern) => pattern.test(path)))
  t.same(strange, [])
  for (const path of ['README.md', 'CHANGELOG.md', 'LICENSE', 'docs/guide/getting-started.md']) {
    t.ok(packed.includes(path), path)
  }
  const sources = packed
    .filter((path) => /^dist\/.*\.(js|d\.ts)$/.test(path))
    .map((path) => path.replace(/^dist\/(.*?)\.(js|d\.ts)$/, '$1.ts'))
  t.same(
    sources.filter((path) => !existsSync(join(ROOT, path))),
    [],
    'each module has its source',
  )
})

t.test('no file tells where it was made', async (t) => {
  t.same(
    packed.filter((path) => read(path).includes(ROOT)),
    [],
  )
})

t.test('links between the pages lead to what is packed', async (t) => {
  const pages = packed.filter((path) => path.endsWith('.md'))
  t.ok(pages.length > 0)
  const exists = (path: string) => existsSync(join(lyre, path))
  t.same(
    pages.flatMap((path) => checkLinks({ path, text: read(path) }, exists)),
    [],
  )
})

t.test('whatever package.json names is there', async (t) => {
  const targets = (value: unknown): string[] =>
    typeof value === 'string' ? [value] : Object.values(value ?? {}).flatMap(targets)
  const { main, types, typesVersions, exports, bin } = manifest
  for (const path of targets([main, types, typesVersions, exports, bin])) {
    t.ok(packed.includes(join(path)), path)
  }
})

t.test(
  'nothing runs when it is installed, neither of ours nor of what comes with it',
  async (t) => {
    for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) {
      t.notOk(script in manifest.scripts, script)
    }
    for (const [path, { hasInstallScript = false }] of Object.entries(installed)) {
      t.notOk(hasInstallScript, path)
    }
    t.same(
      files(modules).filter((path) => /\.node$|binding\.gyp$/.test(path)),
      [],
      'nothing native',
    )
  },
)

t.test('it is small, with all that comes with it', async (t) => {
  const sizes = files(modules).map((path) => statSync(join(modules, path)).size)
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  const count = Object.keys(installed).length
  t.comment(`${bytes} octets in ${count} packages`)
  t.ok(bytes > 0 && bytes <= INSTALLED_BYTES_MAX, `${INSTALLED_BYTES_MAX} octets`)
  t.ok(count > 0 && count <= PACKAGES_MAX, `${PACKAGES_MAX} packages`)
  const told = `| packages, MiB installed | ${count}, ${(bytes / 2 ** 20).toFixed(1)} |`
  t.match(readFileSync(join(lyre, 'README.md'), 'utf8'), told, 'as the README says')
})

t.test('linters of packages find nothing', async (t) => {
  const tarball = await pack(t)
  for (const [path, args, praise] of [
    ['publint/src/cli.js', ['--strict'], /All good!/],
    ['@arethetypeswrong/cli/dist/index.js', ['--no-color'], /No problems found/],
  ] as const) {
    const ended = await runProgram(project, process.execPath, [tool(path), ...args, tarball])
    t.match(ended, { code: 0, stdout: praise }, path)
  }
})
