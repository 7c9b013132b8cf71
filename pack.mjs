/**
 * Before the package is packed: takes out of dist what nobody who installs it has a use for, as it has to stay small. Types that
 * no entry of package.json leads to go; lines begin with tabs, but for those within a text of several lines.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import ts from 'typescript'

const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
const entries = Object.values(exports).flatMap((entry) => entry.types ?? [])
const options = { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2023, types: [] }
const reached = ts.createProgram(entries, options).getSourceFiles()
const wanted = new Set(reached.map(({ fileName }) => resolve(fileName)))
for (const path of ts.sys.readDirectory('dist', ['.d.ts'])) {
  if (!wanted.has(resolve(path))) rmSync(path)
}
for (const path of ts.sys.readDirectory('dist', ['.js'])) {
  writeFileSync(path, indentByTabs(readFileSync(path, 'utf8')))
}

function indentByTabs(text) {
  const source = ts.createSourceFile('module.js', text, ts.ScriptTarget.ES2023, true)
  const lineOf = (position) => source.getLineAndCharacterOfPosition(position).line
  const kept = new Set()
  const visit = (node) => {
    if (ts.isTemplateLiteralToken(node)) {
      const last = lineOf(node.end)
      for (let line = lineOf(node.getStart(source)) + 1; line <= last; line++) kept.add(line)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  const indent = (line) => line.replace(/^( {4})+/, (spaces) => '\t'.repeat(spaces.length / 4))
  return text
    .split('\n')
    .map((line, index) => (kept.has(index) ? line : indent(line)))
    .join('\n')
}
