/**
 * The house rules that a machine can hold, as pure functions: a path and its text in, complaints out,
 * each with the right alternative. test/tidy.test.ts shows that every one of them bites, and then lets
 * them loose on the whole tree.
 */

import { dirname, join, normalize } from 'node:path/posix'
import ts from 'typescript'

export type File = { readonly path: string; readonly text: string }

type Layer = {
  /** Which files it is about; the first layer that fits rules. */
  readonly files: RegExp
  /** What they may import: a path from the root of the project, or the name of a package. */
  readonly may: RegExp
  readonly says: string
}

// The import table of CONTRIBUTING.md.
const LAYERS: readonly Layer[] = [
  {
    files: /^protocol\//,
    may: /^protocol\//,
    says: 'protocol/ imports protocol/ and nothing else: take what you need as an argument',
  },
  {
    files: /^src\/system\//,
    may: /^(src\/(system\/.*|host\.ts|errors\.ts)|multicast-dns|node:.*)$/,
    says: 'src/system/ imports host.ts, errors.ts, multicast-dns and node:*: it does, and decides nothing',
  },
  {
    files: /^src\/cli\/sim[^/]*\.ts$/,
    may: /^(src\/cli\/.*|src\/index\.ts|sim\/index\.ts|commander|node:.*)$/,
    says: 'lyre sim uses the public API and that of lyre/sim: what it cannot do is a gap in them',
  },
  {
    files: /^src\/cli\/exporter\.ts$/,
    may: /^(src\/cli\/.*|src\/index\.ts|prom-client|node:.*)$/,
    says: 'prom-client is loaded for --metrics only, in exporter.ts',
  },
  {
    files: /^src\/cli\//,
    may: /^(src\/cli\/.*|src\/index\.ts|commander|node:.*)$/,
    says: 'the command uses the public API only: what it cannot do is a gap in src/index.ts',
  },
  {
    files: /^src\/index\.ts$/,
    may: /^(protocol\/.*|src\/(?!cli\/).*|eventemitter3|uuid)$/,
    says: 'index.ts joins a Lyre to src/system/; the command is above it',
  },
  {
    files: /^src\//,
    may: /^(protocol\/.*|src\/(?!cli\/|system\/|index\.ts$).*|eventemitter3|uuid)$/,
    says: 'src/ imports protocol/, src/, eventemitter3 and uuid; what it runs on is a Host from host.ts',
  },
  {
    files: /^sim\/trace\.ts$/,
    may: /^(sim\/.*|node:crypto)$/,
    says: 'trace.ts imports node:crypto for its hash, and nothing else of Node.js',
  },
  {
    files: /^sim\//,
    may: /^(sim\/.*|protocol\/.*|src\/(?!cli\/|system\/|index\.ts$).*)$/,
    says: 'sim/ imports protocol/ and src/: what it stands on is virtual',
  },
  {
    files: /^examples\//,
    may: /^(lyre|lyre\/protocol|lyre\/sim|node:.*)$/,
    says: "an example imports 'lyre', as its reader will",
  },
  {
    files: /^test\/protocol\//,
    may: /^(?!src\/|examples\/|dist\/)/,
    says: 'the tests of protocol/ need nothing but protocol/; others belong in test/src/',
  },
]

const WAIT = 'waiting belongs to host.clock; a protocol machine answers pollTimeout()'
const TIME = 'time comes from clock.now(), and into protocol/ as the argument `now`'
const RANDOM = 'randomness comes from host.random'

const BANNED: Readonly<Record<string, string>> = {
  Buffer: 'bytes are Uint8Array',
  Date: TIME,
  performance: TIME,
  crypto: RANDOM,
  'Math.random': RANDOM,
  console: 'what a developer should know goes to options.trace as data',
  process: 'what we run on is behind the Host',
  globalThis: 'name what you need; what we run on is behind the Host',
  'AbortSignal.timeout': WAIT,
  setTimeout: WAIT,
  setInterval: WAIT,
  setImmediate: WAIT,
  clearTimeout: WAIT,
  clearInterval: WAIT,
  clearImmediate: WAIT,
}

const LINES_MAX = 600

/** Whether a file is bound to the Host for time, randomness and all that is outside. */
export function isPure(path: string): boolean {
  return /^(protocol|src|sim)\//.test(path) && !/^src\/(system|cli)\//.test(path)
}

/** Imports that go the wrong way. */
export function checkImports({ path, text }: File): string[] {
  const layer = LAYERS.find(({ files }) => files.test(path))
  if (layer === undefined) return []
  return importsOf({ path, text })
    .map((name) => resolve(path, name))
    .filter((target) => !layer.may.test(target))
    .map((target) => `${path} imports ${target}: ${layer.says}`)
}

/** What the simulator could not replay: clocks, chance, timers and the surroundings. */
export function checkGlobals({ path, text }: File): string[] {
  if (!isPure(path)) return []
  const tree = parse({ path, text })
  const declared = new Set<string>()
  const used = new Set<string>()
  walk(tree, (node) => {
    if (isDeclaredName(node)) declared.add(node.text)
    else if (ts.isPropertyAccessExpression(node)) used.add(node.getText(tree).replaceAll(/\s/g, ''))
    else if (ts.isIdentifier(node) && !isMemberName(node)) used.add(node.text)
    if (isCallWithoutArguments(node, 'v4')) used.add('v4()')
  })
  const opening = firstComment(text)
  const complaints = Object.entries({
    ...BANNED,
    'v4()': `uuid draws its own; ${RANDOM}: v4({ random: host.random(16) })`,
  })
    .filter(([name]) => used.has(name) && !declared.has(name))
    .filter(([name]) => !(opening.includes(`\`${name}\``) && opening.includes('measured')))
  return complaints.map(([name, says]) => `${path} uses ${name}: ${says}`)
}

/** Length, and notes to ourselves. */
export function checkText({ path, text }: File): string[] {
  const complaints: string[] = []
  const count = text.trimEnd().split('\n').length
  if (count > LINES_MAX && !/\blines\b/.test(firstComment(text))) {
    complaints.push(
      `${path} has ${count} lines: split it, or say in its first comment why so many lines`,
    )
  }
  for (const [, comment = ''] of text.matchAll(/(?:\/\/|\/\*|^\s*\*|^#)(.*)$/gm)) {
    if (/\bTODO\b(?! ?\(?#\d)/.test(comment)) {
      complaints.push(`${path}: a TODO carries an issue number, TODO #12:${comment}`)
    }
    if (/\bFIXME\b/.test(comment)) {
      complaints.push(`${path}: a FIXME never reaches main; mend it or file an issue:${comment}`)
    }
  }
  return complaints
}

/** What is exported, from the library, without a docstring of its own above it. */
export function checkDocstrings({ path, text }: File): string[] {
  if (!/^(protocol|src|sim)\//.test(path) || path.startsWith('src/cli/')) return []
  const tree = parse({ path, text })
  return tree.statements
    .filter((statement) => isExported(statement) && !hasDocstring(statement, text))
    .map((statement) => {
      const [head = ''] = statement.getText(tree).split(/ *[{(=\n]/, 1)
      return `${path}: ${head} has no docstring: say in a sentence above it what it is for`
    })
}

function isExported(node: ts.Statement): boolean {
  return (
    ts.canHaveModifiers(node) &&
    ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true
  )
}

function hasDocstring(node: ts.Statement, text: string): boolean {
  const comment = ts.getLeadingCommentRanges(text, node.pos)?.at(-1)
  return (
    comment !== undefined &&
    text.startsWith('/**', comment.pos) &&
    !/\n\s*\n/.test(text.slice(comment.end, node.getStart()))
  )
}

/** Where a package comes from is the reader's own affair. */
export function checkHosts({ path, text }: File): string[] {
  const hosts = text.match(/\bregistry\.[a-z0-9-]+\.[a-z]+|\bnpmjs\.(?:org|com)\b|yarnpkg\.com/gi)
  const complaints = (hosts ?? []).map(
    (host) => `${path} names the registry host ${host}: leave it`,
  )
  if (path.endsWith('package-lock.json') && /"resolved":/.test(text)) {
    complaints.push(`${path} has resolved addresses: npm install with our .npmrc leaves them out`)
  }
  return complaints
}

/** Links in a page that lead nowhere; `exists` knows files and folders by their path from the root. */
export function checkLinks({ path, text }: File, exists: (path: string) => boolean): string[] {
  const prose = text.replaceAll(/^```[\s\S]*?^```/gm, '')
  return [...prose.matchAll(/\]\(([^)\s]+)[^)]*\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^([a-z]+:|#)/.test(target))
    .filter((target) => !exists(normalize(join(dirname(path), target.replace(/[#?].*/, '')))))
    .map((target) => `${path} links to ${target}, which is not there`)
}

/** Scripts that a page tells the reader to run and package.json does not have. */
export function checkScripts(
  { path, text }: File,
  scripts: Readonly<Record<string, string>>,
): string[] {
  return [...text.matchAll(/\bnpm (?:run ([a-z:-]+)|(start|test))(?![\w-])/g)]
    .map(([, run, short]) => run ?? short ?? '')
    .filter((name) => !(name in scripts))
    .map((name) => `${path} says npm run ${name}, which package.json does not have`)
}

/** Source files that nothing we ship imports, and protocol files that no test of protocol/ loads. */
export function checkOrphans(files: readonly File[]): string[] {
  const sources = files.filter(({ path }) =>
    /^(protocol|src|sim|test\/support)\/.*\.ts$/.test(path),
  )
  const entries = files.filter(({ path }) =>
    /^(protocol\/index|sim\/index|src\/index|src\/cli\/main)\.ts$/.test(path),
  )
  const tests = files.filter(({ path }) => /^test\/.*\.test\.ts$/.test(path))
  const shipped = reachable(entries, files)
  const tested = reachable(tests, files)
  const covered = reachable(
    tests.filter(({ path }) => path.startsWith('test/protocol/')),
    files,
  )
  return sources.flatMap(({ path }) => {
    if (path.startsWith('test/')) return tested.has(path) ? [] : [`${path}: no test imports it`]
    if (!shipped.has(path)) return [`${path}: nothing that we ship imports it; use it or remove it`]
    if (path.startsWith('protocol/') && path !== 'protocol/index.ts' && !covered.has(path)) {
      return [`${path}: no test in test/protocol/ imports it, so its coverage is not seen`]
    }
    return []
  })
}

/**
 * Spec pages and code hold each other: a page has its code, a rule (`- **2.1** ...`) its test, and
 * who cites a rule (`beacon.md 2.1`, `beacon.md 2.1, 2.3 and 4.1`) cites one that is there.
 */
export function checkRules(files: readonly File[]): string[] {
  const pages = files.filter(({ path }) => /^protocol\/[^/]+\.md$/.test(path))
  const rules = new Set(pages.flatMap(rulesOf))
  const cited = (folder: RegExp) =>
    files
      .filter(({ path }) => folder.test(path) && path.endsWith('.ts'))
      .flatMap(({ path, text }) => citationsOf(text).map((rule) => ({ path, rule })))
  const tested = new Set(cited(/^test\/protocol\//).map(({ rule }) => rule))
  return [
    ...pages
      .filter((page) => !files.some(({ path }) => path === page.path.replace(/\.md$/, '.ts')))
      .map((page) => `${page.path} has no code beside it`),
    ...[...rules]
      .filter((rule) => !tested.has(rule))
      .map(
        (rule) => `${rule} is cited by no test in test/protocol/: a rule without a test is a draft`,
      ),
    ...cited(/^(protocol|src|sim|test\/protocol)\//)
      .filter(({ rule }) => !rules.has(rule))
      .map(({ path, rule }) => `${path} cites ${rule}, which the page does not have`),
  ]
}

function rulesOf({ path, text }: File): string[] {
  const page = path.replace('protocol/', '')
  return [...text.matchAll(/^- \*\*(\d+\.\d+)\*\*/gm)].map(([, rule]) => `${page} ${rule}`)
}

function citationsOf(text: string): string[] {
  const matches = text.matchAll(/\b([a-z-]+\.md) (\d+\.\d+(?:(?:,| and|, and) \d+\.\d+)*)/g)
  return [...matches].flatMap(([, page, rules = '']) =>
    (rules.match(/\d+\.\d+/g) ?? []).map((rule) => `${page} ${rule}`),
  )
}

function reachable(entries: readonly File[], files: readonly File[]): Set<string> {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const seen = new Set<string>()
  const open = [...entries]
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (seen.has(file.path)) continue
    seen.add(file.path)
    for (const name of referencesOf(file)) {
      const next = byPath.get(resolve(file.path, name))
      if (next !== undefined) open.push(next)
    }
  }
  return seen
}

/** A specifier as a path from the root of the project, or as it is when it names a package. */
function resolve(path: string, name: string): string {
  return name.startsWith('.') ? normalize(join(dirname(path), name)) : name
}

function importsOf(file: File): string[] {
  const names: string[] = []
  walk(parse(file), (node) => {
    const name =
      ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
        ? node.moduleSpecifier
        : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
          ? node.arguments[0]
          : ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)
            ? node.argument.literal
            : undefined
    if (name !== undefined && ts.isStringLiteralLike(name)) names.push(name.text)
  })
  return names
}

/** Imports, and files that are started or loaded by their name: new URL('./worker.js', ...). */
function referencesOf(file: File): string[] {
  const names: string[] = []
  walk(parse(file), (node) => {
    if (ts.isStringLiteralLike(node) && /^\.\.?\/.*\.[jt]s$/.test(node.text)) {
      names.push(node.text.replace(/\.js$/, '.ts'))
    }
  })
  return names
}

function parse({ path, text }: File): ts.SourceFile {
  return ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
}

function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node)
  ts.forEachChild(node, (child) => walk(child, visit))
}

function isDeclaredName(node: ts.Node): node is ts.Identifier {
  const { parent } = node
  return (
    ts.isIdentifier(node) &&
    (ts.isVariableDeclaration(parent) ||
      ts.isParameter(parent) ||
      ts.isBindingElement(parent) ||
      ts.isFunctionDeclaration(parent) ||
      ts.isImportSpecifier(parent)) &&
    parent.name === node
  )
}

/** The `now` of `clock.now`, of `{ now: 1 }` and of a method: a name that reaches for no global. */
function isMemberName(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node
  if (ts.isQualifiedName(parent)) return parent.right === node
  return (
    (ts.isPropertyAssignment(parent) ||
      ts.isPropertySignature(parent) ||
      ts.isPropertyDeclaration(parent) ||
      ts.isMethodDeclaration(parent) ||
      ts.isMethodSignature(parent) ||
      ts.isGetAccessorDeclaration(parent)) &&
    parent.name === node
  )
}

function isCallWithoutArguments(node: ts.Node, name: string): boolean {
  return (
    ts.isCallExpression(node) &&
    ts.isIdentifier(node.expression) &&
    node.expression.text === name &&
    node.arguments.length === 0
  )
}

function firstComment(text: string): string {
  return /^(?:#!.*\n)?\s*(\/\*[\s\S]*?\*\/|(?:\/\/.*\n)+)/.exec(text)?.[1] ?? ''
}
