/**
 * After tsc: gives each entry of package.json what `require()` needs, beside its ES module. `index.cjs` hands on that very
 * module, so that a process has one Lyre, however often and in whichever way it is loaded; `index.d.cts` says the same to
 * TypeScript, which does not let a CommonJS file take values from an ES module (docs/adr/0008). What to declare is asked of
 * the module itself, so that nothing is forgotten.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const { exports } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'))
const entries = Object.values(exports)
  .filter((entry) => entry.require !== undefined)
  .map((entry) => ({ module: path(entry), commonjs: path(entry.require) }))
const program = ts.createProgram(
  entries.map(({ module }) => module.types),
  { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2023, types: ['node'] },
)
const checker = program.getTypeChecker()

for (const { module, commonjs } of entries) {
  const values = Object.keys(await import(module.default))
  const symbol = checker.getSymbolAtLocation(program.getSourceFile(module.types))
  const symbols = new Map(
    checker.getExportsOfModule(symbol).map((one) => [one.name, original(one)]),
  )
  const from = `'./${basename(module.default)}'`
  writeFileSync(commonjs.default, `module.exports = require(${from})\n`)
  const types = `${from} with { 'resolution-mode': 'import' };`
  writeFileSync(
    commonjs.types,
    [
      `import type * as lyre from ${types}`,
      `export type * from ${types}`,
      ...values.flatMap((name) => declare(name, symbols.get(name))),
      '',
    ].join('\n'),
  )
}

function path(entry) {
  return {
    default: fileURLToPath(new URL(entry.default, import.meta.url)),
    types: fileURLToPath(new URL(entry.types, import.meta.url)),
  }
}

/** What a name that is exported from elsewhere stands for. */
function original(symbol) {
  return (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol)
}

/** A value with its comment, which an editor shows; a class is a type as well. */
function declare(name, { declarations: [declaration], flags }) {
  const owner = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration
  const comments = ts.getJSDocCommentsAndTags(owner).map((comment) => comment.getText())
  const value = `export declare const ${name}: typeof lyre.${name};`
  if ((flags & ts.SymbolFlags.Type) === 0) return [...comments, value]
  const parameters = declaration.typeParameters ?? []
  const declared = parameters.map((parameter) => parameter.getText()).join(', ')
  const given = parameters.map((parameter) => parameter.name.text).join(', ')
  const type =
    parameters.length === 0
      ? `export type ${name} = lyre.${name};`
      : `export type ${name}<${declared}> = lyre.${name}<${given}>;`
  return [...comments, value, type]
}
