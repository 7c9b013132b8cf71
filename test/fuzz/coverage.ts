/**
 * Which lines and blocks of a file V8 has run: its precise coverage counts blocks of the compiled file, and the source map
 * tells where they are in ours. It sees only what is loaded after startCoverage().
 */

import { readFileSync } from 'node:fs'
import { Session } from 'node:inspector'
import { SourceMap } from 'node:module'
import { fileURLToPath } from 'node:url'

export type FileCoverage = {
  readonly path: string
  readonly lines: Count
  readonly blocks: Count
  /** Where each block begins that was never run, with its first line. */
  readonly missing: readonly string[]
}

type Count = { readonly all: number; readonly reached: number }
type Range = { readonly startOffset: number; readonly endOffset: number; readonly count: number }
type Script = {
  readonly url: string
  readonly functions: readonly { readonly ranges: readonly Range[] }[]
}

const ROOT = new URL('../../', import.meta.url).href

export function startCoverage(): Session {
  const session = new Session()
  session.connect()
  session.post('Profiler.enable')
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  return session
}

/** Of all files whose path from the root is one of `paths`. */
export async function takeCoverage(session: Session, paths: RegExp): Promise<FileCoverage[]> {
  const scripts = await new Promise<readonly Script[]>((resolve, reject) => {
    session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error === null) resolve(answer.result)
      else reject(error)
    })
  })
  return scripts
    .filter(({ url }) => url.startsWith(ROOT) && paths.test(url.slice(ROOT.length)))
    .map(coverageOf)
    .sort((left, right) => (left.path < right.path ? -1 : 1))
}

function coverageOf({ url, functions }: Script): FileCoverage {
  const file = fileURLToPath(url)
  const text = readFileSync(file, 'utf8')
  const map = new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')))
  const ranges = functions
    .flatMap((given) => given.ranges)
    .sort((left, right) => left.startOffset - right.startOffset || right.endOffset - left.endOffset)
  // An inner range comes after the outer one that it is in, and says better what was run.
  const run = new Uint8Array(text.length).fill(1)
  for (const { startOffset, endOffset, count } of ranges) {
    run.fill(count > 0 ? 1 : 0, startOffset, endOffset)
  }
  const lines = linesOf(text, run)
  const missing = ranges
    .filter(({ startOffset, count }) => count === 0 && run[startOffset] === 0)
    .filter(({ startOffset, endOffset }) => /\w/.test(text.slice(startOffset, endOffset)))
    .map(({ startOffset, endOffset }) => {
      const head = text.slice(0, startOffset)
      const line = head.split('\n').length - 1
      const entry = map.findEntry(line, startOffset - head.lastIndexOf('\n') - 1)
      const words = text.slice(startOffset, endOffset).trim().replaceAll(/\s+/g, ' ').slice(0, 70)
      return `${'originalLine' in entry ? entry.originalLine + 1 : '?'}: ${words}`
    })
  const path = url.slice(ROOT.length).replace(/\.js$/, '.ts')
  const blocks = { all: ranges.length, reached: ranges.length - missing.length }
  return { path, lines, blocks, missing }
}

/** Lines with a word on them, and how many of those were run, at least in part. */
function linesOf(text: string, run: Uint8Array): Count {
  let [all, reached, offset] = [0, 0, 0]
  for (const line of text.split('\n')) {
    const start = offset
    offset += line.length + 1
    if (!/\w/.test(line) || /^\s*(\/\/|\*|\/\*)/.test(line)) continue
    all++
    if (run.subarray(start + line.search(/\S/), start + line.length).includes(1)) reached++
  }
  return { all, reached }
}
