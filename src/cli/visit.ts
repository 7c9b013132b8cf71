// A node that comes to do one thing, and leaves: what `lyre peers`, `send`, `watch` and `bench` are.

import {
  createLyre,
  type Lyre,
  type LyreOptions,
  type Peer,
  TimeoutError,
  UsageError,
} from '../index.ts'
import { serveMetrics } from './exporter.ts'
import { formatLine, type JsonLine } from './json.ts'
import { Output } from './output.ts'
import { type NodeSettings, nodeOptions } from './settings.ts'
import { hintsOf } from './words.ts'

/** What an act has. */
export interface Stage {
  readonly output: Output
  /** Aborted by a signal, whose exit code is the reason, and when nobody reads our lines any more. */
  readonly signal: AbortSignal
  /** Writes a line for a person, unless `--json` was asked for. */
  say(line: string): void
  /** Writes a line for a program, if `--json` was asked for. */
  tell(line: JsonLine): void
  /** Says to standard error why it came to nothing, and what may help. */
  complain(why: string, hints?: readonly string[]): void
}

/** What the act of a node has. */
export interface Visit extends Stage {
  /** In its groups, and not started yet. */
  readonly lyre: Lyre
}

/** How long nobody new has to come until all that are there are taken to have been found. */
const QUIET_MS = 300

/**
 * Creates a node, lets it act, and stops it, whatever comes of it.
 * @param settings `options` are those of the node that no command line tells.
 * @returns as perform() does.
 */
export async function visit(
  settings: NodeSettings & { readonly options?: LyreOptions },
  signal: AbortSignal,
  act: (visit: Visit) => Promise<number>,
): Promise<number> {
  const lyre = createLyre({ ...nodeOptions(settings), ...settings.options })
  for (const group of settings.group ?? []) lyre.join(group)
  try {
    return await perform(settings, signal, async (stage) => {
      await serveMetrics(settings.metrics, () => lyre)
      const complain = (why: string) => stage.complain(why, hintsOf(lyre.diagnostics()))
      return act({ ...stage, lyre, complain })
    })
  } finally {
    await lyre.stop()
  }
}

/**
 * Lets something act that writes lines.
 * @returns the exit code of the act, that of the signal that ended it, or 1 when nobody reads our lines any more.
 */
export async function perform(
  settings: { readonly json?: true },
  signal: AbortSignal,
  act: (stage: Stage) => Promise<number>,
): Promise<number> {
  const leaving = new AbortController()
  const output = new Output(process.stdout, () => leaving.abort(1))
  const leave = () => leaving.abort(signal.reason)
  signal.addEventListener('abort', leave)
  if (signal.aborted) leave()
  const json = settings.json === true
  try {
    const code = await act({
      output,
      signal: leaving.signal,
      say: (line) => json || output.write(`${line}\n`),
      tell: (line) => json && output.write(formatLine(line)),
      complain: (why, hints = []) => {
        if (json) output.write(formatLine({ event: 'error', time: Date.now(), message: why }))
        const lines = [`lyre: ${why}`, ...hints.map((hint) => `  ${hint}`)]
        process.stderr.write(`${lines.join('\n')}\n`)
      },
    })
    // What was asked for is done; a reader who goes only now has read enough.
    if (output.broken) return 1
    await output.ready()
    return code
  } catch (error) {
    // Whatever was waited for rejects with the reason for which we leave.
    if (!leaving.signal.aborted || error !== leaving.signal.reason) throw error
    return Number(leaving.signal.reason)
  }
}

/**
 * Asks `poll` again whenever a peer enters or joins a group, until it finds something, and nobody new came for a moment: who
 * is there answers our first beacon, all within that.
 * @returns what it finds then.
 * @throws TimeoutError after `timeoutMs`; the signal's reason.
 */
export function find<Found>(
  lyre: Lyre,
  options: {
    readonly signal: AbortSignal
    readonly timeoutMs: number
    readonly poll: () => Found | undefined
  },
): Promise<Found> {
  const { signal, timeoutMs, poll } = options
  return new Promise((resolve, reject) => {
    let quiet: NodeJS.Timeout | undefined
    const settle = (act: () => void) => {
      clearTimeout(quiet)
      clearTimeout(late)
      lyre.off('enter', look).off('join', look)
      signal.removeEventListener('abort', abort)
      act()
    }
    const abort = () => settle(() => reject(signal.reason))
    const look = () => {
      clearTimeout(quiet)
      if (poll() === undefined) return
      quiet = setTimeout(() => {
        const found = poll()
        if (found !== undefined) settle(() => resolve(found))
      }, QUIET_MS)
    }
    const late = setTimeout(() => {
      const found = poll()
      if (found !== undefined) settle(() => resolve(found))
      else settle(() => reject(new TimeoutError(`nobody was found in ${timeoutMs} ms`)))
    }, timeoutMs)
    lyre.on('enter', look).on('join', look)
    signal.addEventListener('abort', abort)
    if (signal.aborted) abort()
    else look()
  })
}

/** Joins a group that a peer is in; there is a limit to how many a node can be in. */
export function follow(lyre: Lyre, group: string): void {
  try {
    lyre.join(group)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
  }
}

/** By uuid or stable id, or all of that name. */
export function peersOf(lyre: Lyre, to: string): Peer[] {
  const known = lyre.peer(to) ?? lyre.peerByStableId(to)
  return known === undefined ? lyre.peersByName(to) : [known]
}

/** Resolves after so long, or rejects with the signal's reason. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const abort = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    }, ms)
    signal.addEventListener('abort', abort)
  })
}
