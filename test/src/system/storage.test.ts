/** What only files can do: fail, be left behind by the dead, and be somebody else's. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { systemStorage } from '../../../src/system/storage.ts'

/** A process that waits, as a node would. */
async function stranger(): Promise<{ readonly pid: number; readonly kill: () => Promise<void> }> {
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], {
    env: {},
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  await once(child, 'spawn')
  const kill = async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return { pid: child.pid as number, kill }
}

t.test('nothing is left beside what was written', async (t) => {
  const path = t.testdir({})
  systemStorage.folder(path).write('a.json', 'text')
  t.same(readdirSync(path), ['a.json'])
  t.equal(readFileSync(join(path, 'a.json'), 'utf8'), 'text')
})

t.test('a folder that cannot be had is a UsageError, with what the system says', async (t) => {
  const path = join(t.testdir({ file: 'text' }), 'file')
  const folder = systemStorage.folder(path)
  const wrong = (what: string) => ({
    name: 'UsageError',
    message: new RegExp(`cannot ${what} .*file`),
  })
  t.throws(() => folder.read('a.json'), wrong('read'))
  t.throws(() => folder.write('a.json', ''), wrong('write'))
  t.throws(() => folder.claim(), wrong('write'))
})

t.test('a folder that can never be made is a UsageError, and others are made', async (t) => {
  const path = join(t.testdir({}), 'of', 'today')
  systemStorage.folder(path).claim()()
  systemStorage.folder(path).write('a.json', 'text')
  t.same(readdirSync(path), ['a.json'])
  // Such as a disk that is not there.
  const link = join(t.testdir({}), 'disk')
  symlinkSync('nowhere', link)
  t.throws(() => systemStorage.folder(join(link, 'state')).claim(), { message: /ENOENT/ })
  // Where Node.js itself would look for a folder above, for ever.
  if (!existsSync('/proc/self')) return
  for (const never of ['/proc/lyre', '/proc/lyre/of/today']) {
    const folder = systemStorage.folder(never)
    const wrong = { name: 'UsageError', message: /^cannot write \/proc\/lyre.*ENOENT/ }
    t.throws(() => folder.claim(), wrong)
    t.throws(() => folder.write('a.json', ''), wrong)
  }
})

t.test('a file that is larger than any of ours is one with nothing in it', async (t) => {
  const path = t.testdir({ large: 'x'.repeat(1_048_577) })
  t.equal(systemStorage.folder(path).read('large'), '')
})

t.test('a folder is free again when its process has died', async (t) => {
  const path = t.testdir({})
  const { pid, kill } = await stranger()
  writeFileSync(join(path, 'lyre.lock'), `${pid} ${startOf(pid)}`)
  const folder = systemStorage.folder(path)
  t.throws(() => folder.claim(), { message: new RegExp(`in use by process ${pid}`) })
  await kill()
  folder.claim()()
  t.same(readdirSync(path), [])
})

t.test('who has the number of a dead process is not that one', async (t) => {
  const path = t.testdir({})
  for (const lock of [`${process.pid} 7@another-start`, '', 'x', '0 ', '-1 ']) {
    mkdirSync(path, { recursive: true })
    writeFileSync(join(path, 'lyre.lock'), lock)
    systemStorage.folder(path).claim()()
  }
  t.end()
})

const CONTENDER = `
  const { systemStorage } = await import(process.argv[1])
  const { closeSync, openSync, unlinkSync, writeFileSync } = await import('node:fs')
  const folder = systemStorage.folder(process.argv[2])
  const witness = process.argv[2] + '/witness'
  let hadCount = 0, sharedCount = 0
  for (const end = Date.now() + 1_500; Date.now() < end || hadCount === 0; ) {
    let release
    try { release = folder.claim() } catch { continue }
    hadCount++
    try { closeSync(openSync(witness, 'wx')) } catch { sharedCount++ }
    for (const until = performance.now() + 1; performance.now() < until; );
    try { unlinkSync(witness) } catch {}
    release()
    // Every other time somebody dies with it.
    if (hadCount % 2) try { writeFileSync(process.argv[2] + '/lyre.lock', '1 x', { flag: 'wx' }) } catch {}
  }
  console.log(JSON.stringify({ hadCount, sharedCount }))`

t.test('processes that want a folder at the same moment have it one at a time', async (t) => {
  const path = t.testdir({})
  const built = new URL('../../../dist/src/system/storage.js', import.meta.url).href
  const contend = async () => {
    const args = ['--input-type=module', '-e', CONTENDER, built, path]
    const child = spawn(process.execPath, args, { env: {}, stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', (bytes) => (text += bytes))
    await once(child, 'close')
    return JSON.parse(text) as { readonly hadCount: number; readonly sharedCount: number }
  }
  for (const { hadCount, sharedCount } of await Promise.all([contend(), contend(), contend()])) {
    t.ok(hadCount > 0, 'it had it')
    t.equal(sharedCount, 0, `and shared it none of ${hadCount} times`)
  }
})

/** As the lock has it: one of our own tells. */
function startOf(pid: number): string {
  try {
    const ticks = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop()?.split(' ')[19]
    return `${ticks}@${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`
  } catch {
    return ''
  }
}
