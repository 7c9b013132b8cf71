/** The zgossip actor of czmq as a process: a small C program (test/interop/gossip.c), compiled where that can be done. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

const SOURCE = new URL('../interop/gossip.c', import.meta.url).pathname

/** Compiles it for the length of a test. @returns its path; undefined without a compiler or czmq. */
export function compileGossip(t: Pick<Test, 'teardown'>): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'lyre-gossip-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const program = join(folder, 'gossip')
  try {
    const libraries = execFileSync('pkg-config', ['--cflags', '--libs', 'libczmq', 'libzmq'])
    const flags = String(libraries).trim().split(/\s+/)
    execFileSync('cc', ['-o', program, SOURCE, ...flags], { stdio: 'pipe' })
    return program
  } catch {
    return undefined
  }
}

/** Why tests are skipped that need it. */
export const NO_CZMQ =
  'it needs cc and the headers of czmq, on Debian `apt-get install gcc pkg-config libczmq-dev`'
