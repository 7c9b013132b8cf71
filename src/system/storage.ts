// Files that outlive the process, as Node.js has them. Each is replaced as a whole, so that whoever loses power has the old one or
// the new one.

import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { UsageError } from '../errors.ts'
import type { Folder, Storage } from '../host.ts'

const LOCK = 'lyre.lock'
/** No process takes so long to take away a lock. */
const CLEAR_MS = 10_000
/** More than any file of ours. */
const FILE_BYTES_MAX = 1_048_576
/** What a file system says that has no second names for a file, such as FAT. */
const LINKLESS: ReadonlySet<unknown> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

/** Folders of this machine. */
export const systemStorage: Storage = {
  folder: (path) => new SystemFolder(path),
  date: () => Date.now(),
}

class SystemFolder implements Folder {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  read(name: string): string | undefined {
    const path = join(this.#path, name)
    return attempt(`cannot read ${path}`, () => {
      try {
        return statSync(path).size > FILE_BYTES_MAX ? '' : readFileSync(path, 'utf8')
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return undefined
        throw error
      }
    })
  }

  write(name: string, text: string): void {
    const path = join(this.#path, name)
    const draft = `${path}.${process.pid}`
    attempt(`cannot write ${path}`, () => {
      makeFolder(this.#path)
      const file = openSync(draft, 'w', 0o600)
      try {
        writeSync(file, text)
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
      renameSync(draft, path)
    })
  }

  claim(): () => void {
    const path = join(this.#path, LOCK)
    return attempt(`cannot write ${path}`, () => {
      makeFolder(this.#path)
      while (!lock(path)) {
        const holder = this.#holder()
        if (holder?.isRunning) {
          const rest = 'each node has a state folder of its own'
          throw new UsageError(`${this.#path} is in use by process ${holder.pid}: ${rest}`)
        }
        if (holder !== undefined) this.#clear(path)
      }
      return () => rmSync(path, { force: true })
    })
  }

  /** The process that has the folder, or had it when it died. */
  #holder(): { readonly pid: string; readonly isRunning: boolean } | undefined {
    const text = this.read(LOCK)
    if (text === undefined) return undefined
    const [pid = '', start] = text.split(' ')
    return { pid, isRunning: isRunning(Number(pid), start) }
  }

  /**
   * Takes away the lock of a dead process, and no other: that is for one process at a time, which looks once more. As long as
   * that lock is there nobody can have another.
   */
  #clear(path: string): void {
    const turn = `${path}.clear`
    if (lock(turn)) {
      try {
        if (this.#holder()?.isRunning === false) rmSync(path, { force: true })
      } finally {
        rmSync(turn, { force: true })
      }
    } else if (ageOf(turn) > CLEAR_MS) {
      // Who had the turn has died in it.
      rmSync(turn, { force: true })
    }
  }
}

function attempt<Result>(what: string, act: () => Result): Result {
  try {
    return act()
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`${what}: ${(error as Error).message}`)
  }
}

/** With those that it is in: one after the other, as mkdirSync() itself never ends where none can be made, as in /proc. */
function makeFolder(path: string): void {
  const parent = dirname(path)
  if (!existsSync(path) && parent !== path && !existsSync(parent)) makeFolder(parent)
  try {
    mkdirSync(path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
}

/**
 * The file is there whole or not at all: one that is empty yet would be taken for that of a dead process.
 * @returns false when it is there already.
 */
function lock(path: string): boolean {
  const draft = `${path}.${process.pid}`
  const text = `${process.pid} ${startOf(process.pid)}`
  try {
    writeFileSync(draft, text, { mode: 0o600 })
    linkSync(draft, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    if (!LINKLESS.has(codeOf(error))) throw error
  } finally {
    rmSync(draft, { force: true })
  }
  try {
    writeFileSync(path, text, { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Whether a process runs, and is not another one with the same number: in a container, all of them have the same. */
function isRunning(pid: number, start: string | undefined): boolean {
  if (!Number.isInteger(pid) || pid < 1) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (codeOf(error) !== 'EPERM') return false
  }
  return startOf(pid) === start
}

/** When a process began, in ticks since its machine did, and which start of the machine that was; empty where none can tell. */
function startOf(pid: number): string {
  try {
    const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(/\) (?=[^)]*$)/)
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${rest.split(' ')[19]}@${boot}`
  } catch {
    return ''
  }
}

/** Milliseconds since a file was written; 0 where there is none. */
function ageOf(path: string): number {
  return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
