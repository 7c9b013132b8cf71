/**
 * Empty projects, as a newcomer has them, with the packed package installed. `npm run test:package` has built what is packed
 * here; the tools are those of package.json beside this file.
 */

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Test } from 'tap'

/** Where the checkout is. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Long enough for a processor that is emulated, on a machine that has other things to do. */
export const TIMEOUT_MS = 600_000

/** How a program ended, and what it said. */
export type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string }

/** A folder that is gone when the test is. */
export function temporaryFolder(t: Pick<Test, 'teardown'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'lyre-package-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Runs a program to its end. tap and npm hook into what they start by variables; ours goes without, as a newcomer's. */
export async function runProgram(
  folder: string,
  program: string,
  args: readonly string[],
): Promise<Ended> {
  const { NODE_OPTIONS: _, npm_config_local_prefix: __, ...env } = process.env
  const options = { cwd: folder, env, timeout: TIMEOUT_MS, maxBuffer: 2 ** 26 }
  return promisify(execFile)(program, args, options).then(
    (said) => ({ code: 0, ...said }),
    ({ code, stdout = '', stderr }) => ({ code, stdout, stderr }),
  )
}

/** The same, of what has to work; its standard output. */
export async function succeed(
  folder: string,
  program: string,
  args: readonly string[],
): Promise<string> {
  const { code, stdout, stderr } = await runProgram(folder, program, args)
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr}`)
  return stdout
}

/** Packs what is built; the path of the tarball. */
export async function pack(t: Pick<Test, 'teardown'>): Promise<string> {
  const folder = temporaryFolder(t)
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]
  // npm 12 names the package before what it says of it.
  const [packed] = Object.values(JSON.parse(await succeed(ROOT, 'npm', args))) as [
    { filename: string },
  ]
  return join(folder, packed.filename)
}

/** An empty project of that type, with these files, where the tarball was installed. */
export async function createProject(
  t: Pick<Test, 'teardown'>,
  type: 'commonjs' | 'module',
  files: Readonly<Record<string, string>>,
): Promise<string> {
  const tarball = await pack(t)
  const folder = temporaryFolder(t)
  write(folder, {
    'package.json': JSON.stringify({ name: 'empty', private: true, type }),
    ...files,
  })
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline']
  await succeed(folder, 'npm', ['install', '--ignore-scripts', ...quiet, tarball])
  return folder
}

/** Writes files below a folder. */
export function write(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
}

/** The path of a file of one of our tools. */
export function tool(path: string): string {
  const found = fileURLToPath(new URL(`node_modules/${path}`, import.meta.url))
  if (!existsSync(found)) throw new Error('npm ci --prefix test/package installs what this needs')
  return found
}
