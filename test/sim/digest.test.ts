/**
 * The same seed is the same run on other versions of Node.js and other processors. `LYRE_OTHER_NODEJS` names them, one command to
 * a line, such as `/opt/node-24/bin/node`, or `qemu-aarch64-static -L /usr/aarch64-linux-gnu /opt/arm64/bin/node`; `.ci/run`
 * gets them where it can.
 */

import { execFile } from 'node:child_process'
import { tmpdir } from 'node:os'
import { promisify } from 'node:util'
import t from 'tap'
import { MAIN } from '../support/command.ts'

/** Of each workload and fidelity something. */
const RUNS = [
  '--seed 1 --nodes 5 --minutes 2',
  '--seed 2 --nodes 6 --minutes 1 --workload hostile',
  '--seed 3 --nodes 4 --minutes 1 --workload flap --fidelity message',
  '--seed 4 --nodes 4 --minutes 1 --workload rolling --faults swarm,loss=0.3,split',
]
/** A processor that is emulated takes much longer, so it has these alone: one of each fidelity. */
const SHORT_RUNS = RUNS.slice(1, 3)
const TIMEOUT_MS = 600_000

const { LYRE_OTHER_NODEJS } = process.env
const others = (LYRE_OTHER_NODEJS ?? '')
  .split('\n')
  .map((line) => line.trim())
  .filter((line) => line !== '')

/** What stands before the binary of a Node.js emulates its processor. */
function isEmulated(command: string): boolean {
  return /\s/.test(command)
}

/** The digest of a run, and what is said of it. */
async function digestOf(command: string, run: string): Promise<string> {
  const [program = '', ...options] = command.split(/\s+/)
  const { NODE_OPTIONS: _, ...env } = process.env
  const args = [...options, MAIN, 'sim', ...run.split(' '), '--json', '--repro', tmpdir()]
  // What fails is the business of other tests: here it has to fail in the same way.
  const { stdout } = await promisify(execFile)(program, args, { env }).catch((error) => error)
  const { digest, verdict } = JSON.parse(String(stdout).trimEnd().split('\n').at(-1) ?? '')
  return `${verdict} ${digest}`
}

t.setTimeout(TIMEOUT_MS)

t.test('another process has the same digests', async (t) => {
  for (const run of RUNS) {
    const [one, other] = await Promise.all([
      digestOf(process.execPath, run),
      digestOf(process.execPath, run),
    ])
    t.equal(one, other, run)
  }
})

t.test(
  'other versions of Node.js and other processors have the same digests',
  { skip: others.length === 0 && 'LYRE_OTHER_NODEJS names no other Node.js' },
  async (t) => {
    for (const run of RUNS) {
      const here = await digestOf(process.execPath, run)
      const able = others.filter((command) => !isEmulated(command) || SHORT_RUNS.includes(run))
      const there = await Promise.all(able.map((command) => digestOf(command, run)))
      for (const [index, command] of able.entries()) {
        t.equal(there[index], here, `${command}: ${run}`)
      }
    }
  },
)
