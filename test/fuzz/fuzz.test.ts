// A short run of the fuzzer, always the same, and what once broke. `npm run fuzz` is the long one.

import t from 'tap'
import { fromHex, loadVectors } from '../support/vectors.ts'
import { loadZmtpVectors } from '../support/zmtp.ts'
import { REGRESSIONS } from './regressions.ts'
import {
  type Case,
  type Failure,
  numberOf,
  type Progress,
  runCase,
  runMany,
  shrink,
  TARGETS,
  withoutStacks,
} from './targets.ts'
import { Grammar, newTally, type Target } from './trial.ts'

const INPUTS = 10_000

for (const target of TARGETS) {
  t.test(`${target.name}: ${INPUTS} inputs break nothing`, async (t) => {
    const failures: string[] = []
    const failed = ({ number, error }: Failure) => {
      failures.push(`${error}: npm run fuzz -- --seed 1 --case ${number}`)
    }
    const seconds = Number.POSITIVE_INFINITY
    const plan = { seed: 1, inputs: INPUTS, seconds, target: target.name, failed }
    const [progress] = await withoutStacks(() => runMany(plan))
    t.same(failures, [])
    const { inputs, ready, entered } = progress as Progress
    t.ok(inputs >= INPUTS)
    if (/zmtp|node/.test(target.name)) t.ok(ready > inputs / 2, `${ready} past READY`)
    if (/harmony|node/.test(target.name)) t.ok(entered > inputs / 10, `${entered} past enter`)
  })
}

t.test('what once broke, and what foreign nodes say, breaks nothing', async (t) => {
  const targets = new Map(TARGETS.map((target) => [target.name, target]))
  for (const { target, about, hex } of REGRESSIONS) {
    await targets.get(target)?.replay?.(fromHex(hex))
    t.pass(`${target}: ${about}`)
  }
  const files = [
    loadVectors('beacon'),
    loadVectors('zre'),
    loadVectors('gossip'),
    loadVectors('log'),
    loadVectors('mdns'),
    loadZmtpVectors(),
  ]
  for (const { bytes } of files.flatMap((file) => [...file.vectors, ...file.behaviours])) {
    for (const { replay } of TARGETS) await replay?.(bytes)
  }
})

/** Breaks if a step drew an even number and a later one a number that three divides. */
const fragile: Target = {
  name: 'fragile',
  share: 1,
  stepsMax: 100,
  begin: () => {
    let even = false
    return {
      over: false,
      step: (random) => {
        const drawn = random.u32()
        if (even && drawn % 3 === 0) throw new Error(`broken by ${drawn}`)
        even ||= drawn % 2 === 0
      },
      end: () => {},
    }
  },
}

t.test('what breaks is made smaller, and breaks again', async (t) => {
  const at: Case = { seed: 7, number: 0, target: fragile }
  const error = await runCase(at, { tally: newTally() }).catch((error) => error)
  t.match(error, { message: /broken by/ })
  const failure = await shrink(at, error)
  t.equal(failure.steps.length, 2)
  await t.rejects(runCase(at, { tally: newTally(), steps: failure.steps }), /broken by/)
})

t.test('a case is the same each time it is run', async (t) => {
  for (const target of TARGETS) {
    const at = { seed: 3, number: numberOf(target, 1) }
    const [first, second] = [await storyOf(at), await storyOf(at)]
    t.ok(first.length > 0)
    t.same(first, second, target.name)
    t.not((await storyOf({ ...at, seed: 4 })).join(), first.join(), `${target.name}, another seed`)
  }
})

t.test('events that break their grammar are found', async (t) => {
  const peer = {
    uuid: 'a',
    name: 'a',
    endpoint: '',
    headers: {},
    groups: [],
    state: 'gone',
  } as const
  const grammar = new Grammar()
  t.throws(() => grammar.hear({ type: 'silent', peer }), /between/)
  grammar.hear({ type: 'enter', peer })
  t.throws(() => grammar.hear({ type: 'enter', peer }), /between/)
  grammar.hear({ type: 'join', peer, group: 'A' })
  t.throws(() => grammar.hear({ type: 'join', peer, group: 'A' }), /once/)
  t.throws(() => grammar.hear({ type: 'leave', peer, group: 'B' }), /was in it/)
})

async function storyOf(at: Case): Promise<string[]> {
  const story: string[] = []
  await runCase(at, { tally: { ...newTally(), note: (line) => story.push(line) } })
  return story
}
