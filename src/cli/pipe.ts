// `lyre pipe`: a node for any program that can read and write lines. Commands come in, events and replies go out, each a
// line of JSON. Nothing is read while what was said cannot be written, to our reader or to the network: then the writer
// of our commands waits, and the events that find no room are counted in an `overrun`.
// The format is documented in docs/guide/pipe.md.

import { createLyre, type Lyre, UsageError } from '../index.ts'
import { serveMetrics } from './exporter.ts'
import { contentFromJson, eventToJson, formatLine, type JsonLine } from './json.ts'
import { type BadLine, readLines } from './lines.ts'
import { Output } from './output.ts'
import { type NodeSettings, nodeOptions } from './settings.ts'
import { peersOf } from './visit.ts'

/** Longest line of commands, in octets: room for a content of 64 MiB as base64, its limit in a node. */
const LINE_BYTES_MAX = 100_000_000
/** How much of a bad line is quoted. */
const QUOTE_LENGTH_MAX = 200
/** How long the end of input waits for a peer that is slow to take what was queued to it. */
const LINGER_MS = 10_000

/** The verb. Ends with 0, or with 1 when nobody reads our lines any more. */
export async function pipe(settings: NodeSettings, signal: AbortSignal): Promise<number> {
  const lyre = createLyre(nodeOptions(settings))
  for (const group of settings.group ?? []) lyre.join(group)
  const leaving = new AbortController()
  const leave = () => leaving.abort()
  const output = new Output(process.stdout, leave)
  signal.addEventListener('abort', leave)
  await serveMetrics(settings.metrics, () => lyre)
  const events = lyre.events()
  await lyre.start()
  if (signal.aborted) leave()
  const { uuid, name, endpoint, headers } = lyre
  const start = { event: 'start', time: Date.now(), uuid, name, endpoint, headers }
  output.write(formatLine(start))
  const written = writeEvents(events, output)
  await obey(lyre, output, leaving.signal)
  await lyre.stop(leaving.signal.aborted ? {} : { lingerMs: LINGER_MS, signal })
  process.stdin.destroy()
  await written
  return output.broken ? 1 : 0
}

async function writeEvents(events: ReturnType<Lyre['events']>, output: Output): Promise<void> {
  for await (const event of events) {
    output.write(formatLine(eventToJson(event, Date.now())))
    await output.ready()
  }
}

/** Does what the lines of standard input say, until they end, say stop, or `signal` is aborted. */
async function obey(lyre: Lyre, output: Output, signal: AbortSignal): Promise<void> {
  const aborted = new Promise<'aborted'>((resolve) => {
    signal.addEventListener('abort', () => resolve('aborted'))
    if (signal.aborted) resolve('aborted')
  })
  const batches = readLines(process.stdin, LINE_BYTES_MAX)
  for (;;) {
    const batch = await Promise.race([batches.next(), aborted])
    if (batch === 'aborted' || batch.done) break
    for (const line of batch.value) {
      const reply = answer(lyre, line)
      if (reply === 'stop') return
      if (reply !== undefined) output.write(formatLine(reply))
      const ready = output.ready()
      if (ready !== undefined) await Promise.race([ready, aborted])
      if (signal.aborted) return
    }
    // Who does not take what waits for it exits after a while, and so ends this wait too.
    await Promise.race([lyre.drained(), aborted])
  }
}

/** One line: done, and what there is to say about it. */
function answer(lyre: Lyre, line: string | BadLine): JsonLine | 'stop' | undefined {
  try {
    if (typeof line !== 'string') throw line.error
    return line.trim() === '' ? undefined : execute(lyre, parse(line))
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    const quoted = typeof line === 'string' ? line : line.beginning
    const cut = quoted.length > QUOTE_LENGTH_MAX ? `${quoted.slice(0, QUOTE_LENGTH_MAX)}…` : quoted
    return { event: 'error', time: Date.now(), message: error.message, line: cut }
  }
}

/** The keys of each command. */
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  join: ['join'],
  leave: ['leave'],
  shout: ['shout', 'content'],
  whisper: ['whisper', 'content'],
  peers: ['peers'],
  diagnostics: ['diagnostics'],
  stop: ['stop'],
}

interface Command {
  readonly verb: string
  readonly object: string
  readonly content: unknown
}

/** @throws UsageError on what is no command. */
function parse(line: string): Command {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw new UsageError(`not JSON: ${(error as Error).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError('a command is a JSON object, such as {"join":"CHAT"}')
  }
  const command: JsonLine = { ...value }
  const keys = Object.keys(command)
  const verb = Object.keys(COMMANDS).find((name) => keys.includes(name))
  if (verb === undefined) {
    throw new UsageError(`there is no such command; there are ${Object.keys(COMMANDS).join(', ')}`)
  }
  const wanted = COMMANDS[verb] ?? []
  if (keys.length !== wanted.length || !wanted.every((key) => keys.includes(key))) {
    throw new UsageError(
      `the keys of this command are ${wanted.join(' and ')}, no more and no less`,
    )
  }
  const object = command[verb]
  if (verb === 'peers' || verb === 'diagnostics' || verb === 'stop') {
    if (object !== true) throw new UsageError(`this command is {"${verb}":true}`)
    return { verb, object: '', content: undefined }
  }
  if (typeof object !== 'string') throw new UsageError(`what follows "${verb}" has to be a text`)
  const { content } = command
  return { verb, object, content }
}

function execute(lyre: Lyre, { verb, object, content }: Command): JsonLine | 'stop' | undefined {
  switch (verb) {
    case 'join':
      lyre.join(object)
      return undefined
    case 'leave':
      lyre.leave(object)
      return undefined
    case 'shout':
      return { reply: verb, group: object, count: lyre.shout(object, contentFromJson(content)) }
    case 'whisper':
      return whisper(lyre, object, contentFromJson(content))
    case 'peers':
      return { reply: verb, peers: lyre.peers() }
    case 'diagnostics':
      return { reply: verb, diagnostics: lyre.diagnostics() }
    default:
      return 'stop'
  }
}

/** A peer that is not there (any more) is told 0 of it, as by the API; a name that several have is a mistake. */
function whisper(lyre: Lyre, to: string, content: (string | Uint8Array)[]): JsonLine {
  const peers = peersOf(lyre, to)
  const [peer, ...others] = peers
  if (others.length > 0) {
    const uuids = peers.map(({ uuid }) => uuid).join(', ')
    throw new UsageError(`${peers.length} peers have this name, take one of their uuids: ${uuids}`)
  }
  if (peer === undefined) return { reply: 'whisper', to, count: 0 }
  return { reply: 'whisper', to, uuid: peer.uuid, count: lyre.whisper(peer, content) }
}
