// `lyre doctor`: is a node for some seconds, looks at the machine meanwhile, and says what is wrong and what can be done about it.

import {
  createLyre,
  type Lyre,
  type LyreOptions,
  NetworkError,
  SEVERITIES,
  type Severity,
  UsageError,
} from '../index.ts'
import { type Diagnosis, type Examined, examine, type StartFailure } from './examination.ts'
import { gatherFacts, hasInterface, holderOf, type Machine, systemMachine } from './machine.ts'
import { type NodeSettings, nodeOptions } from './settings.ts'
import { fill } from './table.ts'
import { colourDepth } from './terminal.ts'
import { pause, visit } from './visit.ts'
import { clean } from './words.ts'

/** What `lyre doctor` can be told. */
export interface DoctorSettings extends NodeSettings {
  /** How long to listen: milliseconds, by default 5,000. */
  readonly wait?: number
}

const WAIT_MS = 5_000
const BEACON_PORT = 5_670
/** Whom it cannot reach, it wants to know sooner than a node that stays. */
const IMPATIENT: LyreOptions = { evasiveTimeoutMs: 2_000, silentTimeoutMs: 2_500, lonelyAfterMs: 0 }
/** How often it is looked whether the process gets its turn. */
const TURN_MS = 100

/** The verb. Ends with 1 when there is a problem; warnings are none. */
export function doctor(
  given: DoctorSettings,
  signal: AbortSignal,
  machine: Machine = systemMachine,
): Promise<number> {
  // That folder is the node's, which may have it now, and whose starts are counted in it: nothing there is ours to change.
  const { state: _, remember: __, ...settings } = given
  const { port: beaconPort = BEACON_PORT, mailboxPort: mailboxPorts, wait = WAIT_MS } = settings
  return visit({ ...settings, options: IMPATIENT }, signal, async (visit) => {
    const { signal } = visit
    const { lyre, failures } = await open(visit.lyre, settings, { machine, signal })
    try {
      const facts = gatherFacts(machine)
      const course = await watchTurns(() => (lyre === undefined ? undefined : pause(wait, signal)))
      const node = lyre?.diagnostics()
      const ports = { beaconPort, mailboxPorts }
      const examined: Examined = { node, failures, facts: await facts, ...ports, ...course }
      const findings = examine(examined)
      const problems = findings.filter(({ severity }) => severity === 'problem').length
      const healthy = problems === 0
      visit.tell({ reply: 'doctor', healthy, findings, facts: examined.facts, diagnostics: node })
      visit.say(reportOf(findings, { waitMs: wait, beaconPort }))
      return healthy ? 0 : 1
    } finally {
      await lyre?.stop()
    }
  })
}

/** Starts the node; where something cannot be had, another one that does without. */
async function open(
  first: Lyre,
  settings: DoctorSettings,
  { machine, signal }: { readonly machine: Machine; readonly signal: AbortSignal },
): Promise<{ readonly lyre: Lyre | undefined; readonly failures: readonly StartFailure[] }> {
  const failures: StartFailure[] = []
  let options: LyreOptions | undefined = { ...nodeOptions(settings), ...IMPATIENT }
  let lyre = first
  while (options !== undefined) {
    try {
      await lyre.start({ signal })
      return { lyre, failures }
    } catch (error) {
      if (!(error instanceof NetworkError || error instanceof UsageError)) throw error
      // Who asks for what is not there made a mistake, and is told so as by any other verb.
      const wanted = [settings.interface ?? []].flat()
      const isThere = wanted.length === 0 || wanted.some((name) => hasInterface(machine, name))
      if (error instanceof UsageError && !isThere) throw error
      const failure = failureOf(error, options)
      const { port = BEACON_PORT } = settings
      const isTaken = failure.what === 'beacon-port' && failure.code === 'EADDRINUSE'
      const holder = isTaken ? await holderOf(machine, port) : undefined
      failures.push({ ...failure, holder })
      options = without(options, failure.what)
      if (options !== undefined) lyre = createLyre(options)
    }
  }
  return { lyre: undefined, failures }
}

function failureOf(error: Error, { gossipBind }: LyreOptions): StartFailure {
  const { message, cause } = error
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const about = { message, code }
  if (error instanceof UsageError) return { what: 'interface', ...about }
  if (/ UDP port /.test(message)) return { what: 'beacon-port', ...about }
  const [, port] = / TCP port (\d+) /.exec(message) ?? []
  if (port === undefined) return { what: 'other', ...about }
  const isHub = gossipBind?.endsWith(`:${port}`) === true
  return { what: isHub ? 'gossip-port' : 'mailbox-port', ...about }
}

/** What to try next; undefined where there is nothing more to leave out. */
function without(options: LyreOptions, what: StartFailure['what']): LyreOptions | undefined {
  const { mailboxPort, gossipBind, ...rest } = options
  switch (what) {
    case 'beacon-port':
      return options.beacon === false ? undefined : { ...options, beacon: false }
    case 'mailbox-port':
      if (mailboxPort === undefined) return undefined
      return { ...rest, ...(gossipBind !== undefined && { gossipBind }) }
    case 'gossip-port':
      return { ...rest, ...(mailboxPort !== undefined && { mailboxPort }) }
    case 'interface':
    case 'other':
      return undefined
  }
}

/** How late the process came to its turns while something took its time, and how differently the two clocks went. */
async function watchTurns(
  act: () => Promise<void> | undefined,
): Promise<Pick<Examined, 'lateMs' | 'jumpedMs'>> {
  const began = { wall: Date.now(), now: performance.now() }
  let lateMs = 0
  let dueAt = began.now + TURN_MS
  const timer = setInterval(() => {
    const now = performance.now()
    lateMs = Math.max(lateMs, now - dueAt)
    dueAt = now + TURN_MS
  }, TURN_MS)
  try {
    await act()
  } finally {
    clearInterval(timer)
  }
  const jumpedMs = Date.now() - began.wall - (performance.now() - began.now)
  return { lateMs, jumpedMs }
}

// Words.

const LABELS: Readonly<Record<Severity, string>> = {
  problem: 'PROBLEM',
  warning: 'WARNING',
  note: 'note',
  ok: 'ok',
}
/** Of the 16: red, yellow, cyan, green. */
const COLOURS: Readonly<Record<Severity, number>> = { problem: 31, warning: 33, note: 36, ok: 32 }
const LABEL_WIDTH = 9

function reportOf(
  findings: readonly Diagnosis[],
  { waitMs, beaconPort }: { readonly waitMs: number; readonly beaconPort: number },
): string {
  const isColoured = colourDepth() > 1
  const lines = findings.flatMap(({ severity, code, seen, why, remedy }) => {
    const label = fill(LABELS[severity], LABEL_WIDTH)
    const painted = isColoured ? `\x1b[${COLOURS[severity]}m${label}\x1b[39m` : label
    const indent = ' '.repeat(LABEL_WIDTH)
    const more = [`why: ${why}`, `do:  ${remedy}`].map((line) => indent + clean(line))
    return [`${painted}${clean(seen)} [${code}]`, ...(why === '' ? [] : more)]
  })
  const counts = SEVERITIES.map((severity) => {
    const count = findings.filter((found) => found.severity === severity).length
    return `${count} ${severity === 'ok' ? 'ok' : `${severity}${count === 1 ? '' : 's'}`}`
  })
  const head = `a node on beacon port ${beaconPort} looked around for ${waitMs / 1_000} s`
  return [head, '', ...lines, '', counts.join(', ')].join('\n')
}
