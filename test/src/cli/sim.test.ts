/**
 * `lyre sim`: what it prints, what it leaves behind and how it ends. What cannot go wrong with nodes that are right is made
 * to: by a calm that is too short for all to agree in (`--calm 10ms`), and by a hash that has chance in it.
 */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { planRun, run } from '../../../sim/index.ts'
import { type Command, startCommand, startOnTerminal } from '../../support/command.ts'
import { Screen } from '../../support/screen.ts'

/** Short, and of few nodes. */
const SMALL = ['--nodes', '3', '--minutes', '0.5'] as const
/** A run in which all should agree at once. */
const HASTY = ['--nodes', '6', '--minutes', '1', '--calm', '10ms'] as const
/** Of these seeds at least one is caught, and at least one is not; found by trying. */
const HASTY_SEEDS = '6..9'

interface End {
  readonly code: number | string
  readonly lines: readonly string[]
  readonly text: string
  readonly errors: string
  /** The last line, read as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for.
  readonly json: any
}

async function endOf(command: Command): Promise<End> {
  const code = await command.exited
  const { items } = command.lines
  const last = items.at(-1) ?? ''
  const json = last.startsWith('{') ? JSON.parse(last) : undefined
  return { code, lines: [...items], text: items.join('\n'), errors: command.errors, json }
}

function sim(t: Test, ...args: readonly string[]): Promise<End> {
  return endOf(startCommand(t, ['sim', ...args]))
}

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'lyre-sim-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** What a shell makes of the replay line, after the name of the command. */
function wordsOf(replay: string): string[] {
  const [, words = ''] = / sim (.*)$/.exec(replay) ?? []
  return words.split(' ')
}

/** A seed that fails in haste, and what came of it. */
async function failed(t: Test) {
  const repro = folder(t)
  const { json, lines } = await sim(
    t,
    ...HASTY,
    ...['--seeds', HASTY_SEEDS, '--json', '--repro', repro],
  )
  t.ok(json.failed.length > 0, 'one of them fails')
  const line = lines.map((text) => JSON.parse(text)).find(({ seed }) => seed === json.failed[0])
  return { repro, failure: line, all: lines.map((text) => JSON.parse(text)) }
}

t.test('help says what there is, in 80 columns', async (t) => {
  for (const args of [['--help'], ['replay', '--help']]) {
    const { code, text, lines, errors } = await sim(t, ...args)
    t.equal(code, 0)
    t.equal(errors, '')
    t.ok(lines.every((line) => line.length <= 80))
    t.match(text, 'Examples:\n  lyre sim')
    t.match(text, '--trace [file]')
  }
  const { text } = await sim(t, '--help')
  for (const word of ['--budget', 'flashcrowd', 'portreuse', 'swarm', '3 it was not the same']) {
    t.match(text, word)
  }
})

t.test('one run ends with a verdict, and the same seed with the same', async (t) => {
  const [words, json, drawn, other] = await Promise.all([
    sim(t, ...SMALL, '--seed', '7'),
    sim(t, ...SMALL, '--seed', '7', '--json'),
    sim(t, ...SMALL),
    sim(t, ...SMALL, '--seed', '8', '--json'),
  ])
  t.same([words.code, json.code, drawn.code], [0, 0, 0])
  t.equal(words.errors, '', 'no bar where there is no terminal')
  t.match(words.text, 'seed 7, 3 nodes, book, wire, 00:00:30 of virtual time')
  t.match(words.text, 'PASSED  no invariant broke')
  t.match(words.text, `digest  ${json.json.digest}`)
  t.not(other.json.digest, json.json.digest)
  const [, seed] = /seed (\d+), 3 nodes/.exec(drawn.text) ?? []
  t.ok(Number(seed) >= 0, 'a seed that was drawn is told')
  t.match(json.json, {
    verdict: 'passed',
    seed: 7,
    nodes: 3,
    workload: 'book',
    fidelity: 'wire',
    digest: /^[0-9a-f]{64}$/,
  })
  for (const key of ['virtualSeconds', 'wallSeconds', 'speed', 'events', 'steps', 'records']) {
    t.ok(json.json[key] > 0, key)
  }
  t.ok(json.json.virtualSeconds >= 30)
})

t.test('what nodes log is saved, as a log that can be asked', async (t) => {
  const logs = folder(t)
  const base = [...SMALL, '--workload', 'soak', '--seed', '7', '--json'] as const
  const [saved, level, none, many] = await Promise.all([
    sim(t, ...base, '--log', logs, '--twice'),
    sim(t, ...base, '--log-level', 'info'),
    sim(t, ...base),
    sim(t, ...SMALL, '--seeds', '1..2', '--log', logs),
  ])
  t.same([saved.code, level.code, none.code], [0, 0, 0], saved.errors)
  t.equal(level.json.digest, saved.json.digest, 'whether it is saved or not')
  t.not(none.json.digest, saved.json.digest, 'a node more is another run')
  t.match([many.code, many.errors], [2, /--seeds cannot be used with --log,/])
  t.equal(readdirSync(logs).length, 1, 'of two runs that are the same, one is saved')
  const asked = (verb: string, ...args: readonly string[]) =>
    endOf(startCommand(t, ['log', verb, logs, ...args]))
  const [query, stats] = await Promise.all([
    asked('query', '--event', 'start', '--json'),
    asked('stats', '--json'),
  ])
  const starts = query.lines.map((line) => JSON.parse(line))
  t.ok(starts.length >= 3)
  for (const { event, node, record } of starts) {
    t.match([event, node.name, record.event], ['record', /^seat-[0-2]$/, 'start'])
  }
  const { nodes } = stats.json
  t.ok(nodes.length >= 3 && nodes.every(({ lost }: { lost: number }) => lost === 0))
})

t.test(
  'a file is run again with what its nodes log, and without a log of its own as another run',
  async (t) => {
    const options = { seed: 7, nodes: 3, ms: 30_000, fidelity: 'message' } as const
    const [plain, logged] = [planRun(options), planRun({ ...options, log: 'warning' })]
    const files = await Promise.all(
      [plain, logged].map(async (plan) => {
        const file = join(folder(t), 'repro.json')
        const { digest } = await run(plan)
        writeFileSync(file, JSON.stringify({ lyre: 'repro', invariant: 'I8', digest, plan }))
        return file
      }),
    )
    const [one = '', other = ''] = files
    const logs = folder(t)
    const [same, more, kept] = await Promise.all([
      sim(t, 'replay', one, '--json'),
      sim(t, 'replay', one, '--json', '--log', logs),
      sim(t, 'replay', other, '--json', '--log', folder(t)),
    ])
    t.equal(same.json.digest, same.json.recorded.digest)
    t.equal(more.json.recorded, undefined, 'what the file says is of another run')
    t.not(more.json.digest, same.json.digest)
    t.equal(readdirSync(logs).length, 1)
    t.equal(kept.json.digest, kept.json.recorded.digest, 'a plan that has a level keeps it')
  },
)

t.test('a folder that cannot be written is told before anything is run', async (t) => {
  const file = join(folder(t), 'file')
  writeFileSync(file, '')
  const { code, errors } = await sim(t, ...SMALL, '--log', file)
  t.match([code, errors], [2, /cannot save to .*file: /])
  const taken = folder(t)
  writeFileSync(join(taken, '00000001-20261127T164454Z.ndjson'), '')
  const second = await sim(t, ...SMALL, '--log', taken)
  t.match([second.code, second.errors], [2, /has logs already/])
  const level = await sim(t, ...SMALL, '--log-level', 'all')
  t.match([level.code, level.errors], [2, /error, warning, info, debug/])
})

t.test('each option of a run does something', async (t) => {
  const base = ['--seed', '3', ...SMALL, '--json'] as const
  const ends = await Promise.all([
    sim(t, ...base),
    sim(t, ...base, '--nodes', '4'),
    sim(t, ...base, '--hours', '0.01'),
    sim(t, ...base, '--workload', 'soak'),
    sim(t, ...base, '--faults', 'none'),
    sim(t, ...base, '--faults', 'loss=0.5,stall=1s,partition=halves+oneway'),
    sim(t, ...base, '--fidelity', 'message'),
    sim(t, ...base, '--until', '10s'),
    sim(t, ...base, '--until', '00:00:12.5'),
  ])
  t.same(new Set(ends.map(({ code }) => code)), new Set([0]))
  const digests = ends.map(({ json }) => json.digest)
  t.equal(new Set(digests).size, ends.length, 'all of them are other runs')
  const [first, nodes, hours, workload, , , fidelity, until, instant] = ends
  t.equal(nodes?.json.nodes, 4)
  t.ok(hours?.json.virtualSeconds >= 66)
  t.equal(workload?.json.workload, 'soak')
  t.equal(fidelity?.json.fidelity, 'message')
  t.same([until?.json.verdict, until?.json.virtualSeconds], ['stopped', 10])
  t.equal(instant?.json.virtualSeconds, 12.5)
  t.equal(first?.json.verdict, 'passed')
})

t.test('twice is the same twice', async (t) => {
  const [words, json] = await Promise.all([
    sim(t, ...SMALL, '--seed', '7', '--twice'),
    sim(t, ...SMALL, '--seed', '7', '--twice', '--json'),
  ])
  t.same([words.code, json.code], [0, 0])
  t.match(words.text, 'twice   the same')
  const [one, other] = json.json.digests
  t.equal(one, other)
  t.equal(one, json.json.digest)
})

t.test('what is not the same twice ends with 3', async (t) => {
  // A hash that has chance in it: the threads of the command load it, too.
  const chance = `import crypto from 'node:crypto'
    import { syncBuiltinESMExports } from 'node:module'
    const { createHash } = crypto
    crypto.createHash = (name) => createHash(name).update(String(Math.random()))
    syncBuiltinESMExports()`
  const imported = `--import=data:text/javascript,${encodeURIComponent(chance)}`
  const one = await endOf(
    startCommand(t, ['sim', ...SMALL, '--seed', '7', '--twice', '--json'], [imported]),
  )
  t.equal(one.code, 3)
  t.equal(one.json.verdict, 'nondeterministic')
  t.equal(new Set(one.json.digests).size, 2)
  t.match(one.json.replay, / sim --seed 7 .* --twice$/)
  const many = await endOf(startCommand(t, ['sim', ...SMALL, '--seeds', '7..8'], [imported]))
  t.equal(many.code, 3)
  t.match(many.text, /^NOT DETERMINISTIC {2}seed 7$/m)
  t.notMatch(many.text, 'seed 8', 'which ran once')
})

t.test('a failure is told with all that is needed, and can be had again', async (t) => {
  const { failure, repro } = await failed(t)
  t.equal(failure.verdict, 'failed')
  t.match(failure.invariant, /^I\d+$/)
  t.equal(failure.finding.invariant, failure.invariant)
  t.equal(failure.plan.calmMs, 10)
  t.ok(existsSync(failure.repro))
  const words = wordsOf(failure.replay)
  const again = folder(t)
  const [line, file, spoken] = await Promise.all([
    sim(t, ...words, '--json', '--repro', again),
    sim(t, 'replay', failure.repro, '--json'),
    sim(t, ...words, '--repro', repro),
  ])
  for (const { code, json } of [line, file]) {
    t.equal(code, 1)
    t.same([json.invariant, json.digest], [failure.invariant, failure.digest])
  }
  t.equal(readdirSync(again).length, 1, 'a run leaves a file, a file leaves none')
  t.equal(file.json.same, true)
  t.match(file.json.replay, `sim replay ${failure.repro}`)
  t.equal(spoken.code, 1)
  t.match(spoken.text, new RegExp(`^FAILED {2}${failure.invariant} at 00:`, 'm'))
  for (const part of ['  expected  ', '  seen      ', '  faults.loss=', '  calmMs=10']) {
    t.match(spoken.text, part)
  }
  t.match(spoken.text, `\n  seed=${failure.seed}\n  nodes=6\n`, 'options, one a line')
  t.match(spoken.text, `  replay  ${failure.replay}\n`)
  t.match(spoken.text, `  file    ${failure.repro}`, 'which is there already, and says the same')
})

t.test('a file that no longer fails says so', async (t) => {
  const { failure } = await failed(t)
  const repro = JSON.parse(readFileSync(failure.repro, 'utf8'))
  writeFileSync(
    failure.repro,
    JSON.stringify({ ...repro, plan: { ...repro.plan, calmMs: 38_000 } }),
  )
  const { code, text } = await sim(t, 'replay', failure.repro)
  t.equal(code, 0)
  t.match(text, 'PASSED')
  t.match(text, `not the same: it says ${failure.invariant}, digest ${failure.digest}`)
})

t.test('many seeds give the same verdicts, whatever the jobs', async (t) => {
  const args = [...HASTY, '--seeds', HASTY_SEEDS, '--repro', folder(t)] as const
  const [one, two] = await Promise.all([
    sim(t, ...args, '--json', '--jobs', '1'),
    sim(t, ...args, '--json', '--jobs', '3'),
  ])
  const verdicts = ({ lines }: End) =>
    lines
      .slice(0, -1)
      .map((line) => JSON.parse(line))
      .sort((left, right) => left.seed - right.seed)
      .map(({ seed, verdict, digest, invariant }) => [seed, verdict, digest, invariant])
  t.equal(one.code, 1)
  t.equal(verdicts(one).length, 4)
  t.same(verdicts(one), verdicts(two))
  t.equal(one.json.digest, two.json.digest)
  t.match(one.json, { verdict: 'failed', seeds: [6, 9], nodes: 6, of: 4, ran: 4, twice: 1 })
  t.equal(one.json.passed + one.json.failed.length, 4)
  t.ok(one.json.passed > 0)
  const words = await sim(t, ...args)
  t.equal(words.code, 1)
  t.equal(words.lines.filter((line) => /^FAILED {2}seed/.test(line)).length, one.json.failed.length)
  t.match(
    words.text,
    `4 of 4 seeds ran: ${one.json.passed} passed, ${one.json.failed.length} failed`,
  )
  t.match(words.text, `digest  ${one.json.digest}`)
})

t.test('a budget that is spent begins no more, but one', async (t) => {
  const [words, json] = await Promise.all([
    sim(t, ...SMALL, '--seeds', '1..1000000', '--budget', '1ms', '--jobs', '1'),
    sim(t, ...SMALL, '--seeds', '1..1000000', '--budget', '1ms', '--jobs', '1', '--json'),
  ])
  t.same([words.code, json.code], [0, 0])
  t.match(words.text, 'PASSED  1 of 1,000,000 seeds ran: 1 passed\n  the budget was spent')
  t.match(json.json, { verdict: 'passed', ran: 1, of: 1_000_000, failed: [] })
})

t.test('the true history goes to a file, or to standard output', async (t) => {
  const file = join(folder(t), 'history.ndjson')
  const [toFile, both, alone, plain] = await Promise.all([
    sim(t, ...SMALL, '--seed', '7', '--trace', file),
    sim(t, ...SMALL, '--seed', '7', '--trace', '--json'),
    sim(t, ...SMALL, '--seed', '7', '--trace'),
    sim(t, ...SMALL, '--seed', '7', '--json'),
  ])
  const history = readFileSync(file, 'utf8').trimEnd().split('\n')
  t.match(toFile.text, 'PASSED')
  t.ok(history.length > 20)
  t.ok(history.every((line) => typeof JSON.parse(line).kind === 'string'))
  t.same(both.lines.slice(0, -1), history)
  t.same(alone.lines, history)
  t.match(alone.errors, 'PASSED')
  t.equal(both.json.digest, plain.json.digest, 'who looks on changes nothing')
})

t.test('Ctrl-C says how far it came', async (t) => {
  const long = ['--nodes', '10', '--hours', '1000'] as const
  const one = startCommand(t, ['sim', ...long, '--seed', '7', '--trace', '--json'])
  await one.lines.next('a line', () => true)
  one.process.kill('SIGINT')
  const { code, json } = await endOf(one)
  t.equal(code, 130)
  t.match(json, { verdict: 'interrupted', seed: 7, replay: / sim --seed 7 --nodes 10 / })
  const many = startCommand(t, ['sim', ...long, '--seeds', '1..9', '--jobs', '2'])
  await many.next('seeds 1..9')
  many.process.kill('SIGTERM')
  const { code: ended, text } = await endOf(many)
  t.equal(ended, 143)
  t.match(text, /INTERRUPTED {2}0 of 9 seeds ran/)
})

t.test('a reader who has had enough is no invariant that broke', async (t) => {
  const command = startCommand(t, ['sim', '--hours', '1000', '--trace'])
  await command.lines.next('a line', () => true)
  command.process.stdout?.destroy()
  t.equal(await command.exited, 4)
})

t.test('a terminal has a bar that fits, and none is left in the end', async (t) => {
  for (const columns of [80, 30]) {
    const command = startOnTerminal(t, ['sim', ...HASTY, '--seed', '7', '--calm', '38s'], columns)
    const screen = new Screen(columns)
    const bars: string[] = []
    command.process.stdout?.on('data', (chunk) => {
      // A busy machine has a bar, and what takes its place, at once.
      for (const part of String(chunk).split(/(?=\r)/)) {
        screen.write(part)
        const last = screen.text.trimEnd().split('\n').at(-1) ?? ''
        if (last.includes(' %')) bars.push(last)
      }
    })
    t.equal(await command.exited, 0)
    t.ok(bars.length > 0, 'there was a bar')
    t.ok(bars.every((bar) => bar.length < columns))
    t.notMatch(screen.text, ' %')
    t.match(screen.text, 'PASSED')
  }
})

t.test('what is used wrongly ends with 2, and a sentence that helps', async (t) => {
  const file = join(folder(t), 'repro.json')
  writeFileSync(file, '{"plan":{"seed":1}}')
  const wrong = [
    [['--sed', '1'], /unknown option '--sed'\n\(Did you mean --seed\?\)\nTry lyre sim --help/],
    [['--seed', '-1'], /argument missing|integer from 0/],
    [['--seed', 'x'], /'x' is invalid. It is an integer from 0 to 9007199254740991/],
    [['--seeds', '5'], /Seeds are FIRST..LAST, such as 1..500/],
    [['--seeds', '5..1'], /Seeds are FIRST..LAST/],
    [['--seeds', '1..2', '--seed', '1'], /--seeds cannot be used with --seed/],
    [['--seeds', '1..2', '--trace'], /--seeds cannot be used with --trace/],
    [['--nodes', '1'], /integer from 2 to 10000/],
    [['--hours', '0'], /It is a number above 0/],
    [['--minutes', '0.001'], /a second at least/],
    [['--workload', 'x'], /'x' is invalid. Allowed choices are book, flap,/],
    [['--faults', 'x'], /there is no fault x; there are swarm, none, loss,/],
    [['--faults', 'loss=2'], /loss takes a share from 0 to 1, such as 0.1, not 2/],
    [['--fidelity', 'x'], /'x' is invalid. Allowed choices are wire, message/],
    [['--calm', '5'], /A duration is a number with ms, s, m or h, such as 8m/],
    [['--until', '1:2'], /A duration is/],
    [['--jobs', '2'], /--jobs and --budget are for many runs: give --seeds A..B/],
    [['--budget', '1m'], /--jobs and --budget are for many runs/],
    [['--seeds', '1..2', '--jobs', '0'], /integer from 1 to/],
    [['--repro', '/nix/nowhere'], /there is no folder \/nix\/nowhere to write repro files to/],
    [['--trace', '/nix/nowhere/file'], /the trace cannot be written: ENOENT/],
    [['replay'], /missing required argument 'file'/],
    [['replay', '/nix/nowhere'], /\/nix\/nowhere cannot be read as a repro file: ENOENT/],
    [['replay', file], /this is no repro file: it has no plan/],
    [['replay', file, '--seed', '1'], /unknown option '--seed'/],
    [['--seed', '1', 'replay', file], /options of replay stand behind it/],
    [['frobnicate'], /too many arguments|unknown command/],
  ] as const
  for (const [args, message] of wrong) {
    const { code, errors } = await sim(t, ...args)
    t.equal(code, 2, args.join(' '))
    t.match(errors, message)
  }
})
