// `lyre trace`: what passes between a node of its own and all others, message by message, as a sequence diagram, and as a file that
// `lyre trace show` reads again.

import { createWriteStream, openSync } from 'node:fs'
import { UsageError, type WireEvent } from '../index.ts'
import {
  type Captured,
  CONTENT_BYTES,
  captured,
  captureHead,
  captureLine,
  readCapture,
} from './capture.ts'
import { Cast, type Choice, Diagram, type Fate } from './diagram.ts'
import { Output } from './output.ts'
import type { NodeSettings } from './settings.ts'
import { follow, visit } from './visit.ts'
import { clean } from './words.ts'

/** What `lyre trace` can be told. */
export interface TraceSettings extends NodeSettings {
  readonly peer?: readonly string[]
  readonly save?: string
  /** Octets of each content that are kept. */
  readonly content?: number
  /** Ends after so many messages. */
  readonly count?: number
}

/** What `lyre trace show` can be told. */
export interface ShowSettings extends Choice {
  readonly json?: true
}

/** Lines that wait for a reader: beyond, they are counted, as a node must not wait for a terminal. */
const WAITING_MAX = 10_000

/** The verb. It ends with 0 when it is asked to leave, or has seen what it was to see. */
export async function trace(settings: TraceSettings, signal: AbortSignal): Promise<number> {
  checkChoice(settings)
  const done = new AbortController()
  const events: WireEvent[] = []
  let leftOut = 0
  let wake = () => {}
  const wire = (event: WireEvent) => {
    if (events.length < WAITING_MAX) events.push(event)
    else leftOut++
    wake()
  }
  const file = settings.save === undefined ? undefined : openCapture(settings.save)
  const ended = AbortSignal.any([signal, done.signal])
  return visit({ ...settings, options: { wire } }, ended, async (visited) => {
    const { lyre, output, say } = visited
    const { content = CONTENT_BYTES, count: countMax = Number.POSITIVE_INFINITY } = settings
    const saved = file && new Output(file, () => done.abort(1))
    saved?.write(captureHead(content))
    const cast = new Cast()
    cast.name(lyre.uuid, lyre.name)
    const diagram = new Diagram(cast)
    let count = 0
    const show = async () => {
      for (let event = events.shift(); event && count < countMax; event = events.shift()) {
        const line = captured(event, content)
        cast.learn(line)
        if (!cast.isChosen(line, settings)) continue
        if (line.type === 'message') count++
        saved?.write(captureLine(line))
        if (settings.json) output.write(captureLine(line))
        else for (const drawn of diagram.draw(line)) output.write(`${drawn}\n`)
        await saved?.ready()
        await output.ready()
      }
      if (leftOut > 0) say(`* too much at once: ${leftOut} not shown`)
      leftOut = 0
    }
    if (settings.group === undefined) lyre.on('join', ({ group }) => follow(lyre, group))
    await lyre.start({ signal: visited.signal })
    say(`* tracing as ${clean(lyre.name)} at ${lyre.endpoint}`)
    const { signal } = visited
    signal.addEventListener('abort', () => wake(), { once: true })
    while (!signal.aborted && count < countMax) {
      await show()
      // It may have been aborted meanwhile, when there was nobody to wake.
      if (events.length > 0 || count >= countMax || signal.aborted) continue
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    // Its goodbyes are part of it.
    await lyre.stop()
    await show()
    if (file !== undefined) await new Promise<void>((resolve) => file.end(resolve))
    return saved?.broken ? 1 : 0
  })
}

function checkChoice({ peer = [] }: Choice): void {
  if (peer.length > 2) throw new UsageError('--peer is given once or twice: a message has two ends')
}

/** The verb that shows a capture. @throws UsageError on what is none. */
export async function showTrace(
  file: string,
  settings: ShowSettings,
  signal: AbortSignal,
): Promise<number> {
  checkChoice(settings)
  const output = new Output(process.stdout, () => {})
  const cast = new Cast()
  const fates = await fatesOf(file, cast)
  const diagram = new Diagram(cast)
  let index = -1
  for await (const line of readCapture(file)) {
    index++
    const fate = fates.get(index)
    if (signal.aborted || output.broken) break
    if (fate === 'told' || !cast.isChosen(line, settings)) continue
    if (settings.json) output.write(captureLine(line))
    else for (const drawn of diagram.draw(line, fate)) output.write(`${drawn}\n`)
    await output.ready()
  }
  if (signal.aborted) return Number(signal.reason)
  return output.broken ? 1 : 0
}

type Sent = { readonly index: number; readonly line: Extract<Captured, { type: 'message' }> }

/**
 * What became of each message, by the number of its line: a capture of several nodes tells of one at both ends, which is one
 * arrow; and `told` of what is said with another one.
 */
async function fatesOf(file: string, cast: Cast): Promise<Map<number, Fate | 'told'>> {
  const fates = new Map<number, Fate | 'told'>()
  const nodes = new Set<string>()
  const unread = new Map<string, Sent[]>()
  const underway = new Map<string, Sent[]>()
  let index = -1
  for await (const line of readCapture(file)) {
    index++
    cast.learn(line)
    nodes.add(line.node)
    const mailbox = `${line.node} ${line.connection}`
    if (line.type === 'message' && line.direction === 'out') {
      fates.set(index, { confirmed: false })
      listIn(unread, mailbox).push({ index, line })
      listIn(underway, `${line.node} ${line.peer}`).push({ index, line })
    } else if (line.type === 'message') {
      const sent = take(listIn(underway, `${line.peer} ${line.node}`), line)
      if (sent === undefined) continue
      fates.set(index, 'told')
      fates.set(sent.index, { ...fateAt(fates, sent.index), tookMs: line.time - sent.line.time })
    } else if (line.type === 'confirmed') {
      const waiting = listIn(unread, mailbox)
      const last = waiting.findLastIndex((sent) => sent.line.sequence === line.sequence)
      for (const sent of waiting.splice(0, last + 1)) {
        fates.set(sent.index, { ...fateAt(fates, sent.index), confirmed: true })
      }
      fates.set(index, 'told')
    }
  }
  for (const sent of [...underway.values()].flat()) {
    if (sent.line.peer === null || !nodes.has(sent.line.peer)) continue
    fates.set(sent.index, { ...fateAt(fates, sent.index), tookMs: null })
  }
  return fates
}

function fateAt(fates: ReadonlyMap<number, Fate | 'told'>, index: number): Fate {
  return fates.get(index) as Fate
}

function listIn(lists: Map<string, Sent[]>, key: string): Sent[] {
  const list = lists.get(key) ?? []
  lists.set(key, list)
  return list
}

/** What came is the next of those that are on their way: those before it were lost. */
function take(sent: Sent[], { command, sequence }: Sent['line']): Sent | undefined {
  const at = sent.findIndex(({ line }) => line.command === command && line.sequence === sequence)
  if (at < 0) return undefined
  const [found] = sent.splice(at, 1)
  return found
}

/** A new file: a capture is not written over. */
function openCapture(file: string): ReturnType<typeof createWriteStream> {
  try {
    return createWriteStream('', { fd: openSync(file, 'wx') })
  } catch (error) {
    throw new UsageError(`the capture cannot be written: ${(error as Error).message}`)
  }
}
