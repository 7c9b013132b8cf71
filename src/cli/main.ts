#!/usr/bin/env node
// The `lyre` command: reads the command line, and ends with 0 (fine), 1 (it failed) or 2 (it was used wrongly). All verbs
// use the public API only, and all of them leave politely: what ends them is one AbortSignal.

import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import { UsageError } from '../index.ts'
import { chat } from './chat.ts'
import { accompany } from './companion.ts'
import { demonstrate } from './demo.ts'
import { pipe } from './pipe.ts'
import {
  type NodeSettings,
  parsePort,
  withGroups,
  withHeaders,
  withName,
  withNetwork,
} from './settings.ts'

/** What a verb does: it ends with an exit code, and soon after `signal` is aborted. */
type Verb = (settings: NodeSettings, signal: AbortSignal) => Promise<number>

const EXIT_USAGE = 2
/** What leaving may take after a signal; longer takes only output that nobody reads. */
const LEAVE_TIMEOUT_MS = 5_000

main(process.argv).catch((error: unknown) => {
  process.exitCode = report(error)
})

async function main(argv: readonly string[]): Promise<void> {
  process.stdout.on('error', handleOutputError)
  const { version } = createRequire(import.meta.url)('lyre/package.json') as { version: string }
  const program = new Command('lyre')
    .description('A node of the local network: find others, form groups, talk; no server between.')
    .version(version)
    .showHelpAfterError('Try lyre --help.')
    .configureHelp({ showGlobalOptions: false })
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  lyre demo
  lyre chat --name ada
  lyre pipe --help

Exit codes: 0 fine, 1 it failed, 2 it was used wrongly.`,
    )
  addChat(program)
  addPipe(program)
  addDemo(program)
  addCompanion(program)
  await program.parseAsync(argv)
}

function addChat(program: Command): void {
  const command = program
    .command('chat')
    .showHelpAfterError('Try lyre chat --help.')
    .description('talk in groups; /help tells what can be typed')
  withHeaders(withGroups(withNetwork(withName(command))))
    .addHelpText(
      'after',
      `
The first --group is where your lines go; without one it is CHAT.

Examples:
  lyre chat --name ada
  lyre chat --name ada --group KITCHEN --group CHAT
  lyre chat --name ada --interface wlan0 --port 5999`,
    )
    .action(run(chat))
}

function addPipe(program: Command): void {
  const command = program
    .command('pipe')
    .showHelpAfterError('Try lyre pipe --help.')
    .description('make a node of any program: lines of JSON in and out')
  withHeaders(withGroups(withNetwork(withName(command))))
    .addHelpText(
      'after',
      `
Commands: {"join":"G"}  {"leave":"G"}  {"shout":"G","content":C}
          {"whisper":"uuid or unique name","content":C}
          {"peers":true}  {"diagnostics":true}  {"stop":true}
C is a text, an array of texts, or {"base64":"..."} in place of a text.
The end of input stops the node too, after what was queued is sent.

Examples:
  lyre pipe --group CHAT
  lyre pipe --interface 127.0.0.1 --port 5999 < commands | tee events
  my-program | lyre pipe --name sensor-7 --header kind=thermometer | my-reader`,
    )
    .action(run(pipe))
}

function addDemo(program: Command): void {
  const command = program
    .command('demo')
    .showHelpAfterError('Try lyre demo --help.')
    .description('see it work, on this machine alone')
  withName(command)
    .option('--port <port>', 'UDP port of the beacons; any free one, unless given', parsePort)
    .addHelpText(
      'after',
      `
Without a terminal it plays a conversation, and ends with 1 unless every line arrived.

Examples:
  lyre demo
  lyre demo --name ada
  lyre demo < /dev/null`,
    )
    .action(run(demonstrate))
}

/** What the demonstration starts; nobody else has a use for it. */
function addCompanion(program: Command): void {
  withNetwork(withName(program.command('companion', { hidden: true }))).action(run(accompany))
}

/** The first signal asks to leave, the second ends the process at once. */
function run(verb: Verb): (settings: NodeSettings) => Promise<void> {
  return async (settings) => {
    // From here on the verb minds its output itself.
    process.stdout.off('error', handleOutputError)
    const leaving = new AbortController()
    for (const [name, number] of Object.entries({ SIGINT: 2, SIGTERM: 15, SIGHUP: 1 })) {
      process.on(name, () => {
        if (leaving.signal.aborted) process.exit(128 + number)
        leaving.abort()
        // Unreferenced: it is there for the case that something else keeps us here.
        setTimeout(() => process.exit(1), LEAVE_TIMEOUT_MS).unref()
      })
    }
    process.exitCode = await verb(settings, leaving.signal)
  }
}

/** The help or the version cannot be written. Who closed the pipe has read enough; anything else is told. */
function handleOutputError(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') return
  process.exit(report(new Error(`standard output cannot be written: ${error.message}`)))
}

/** @returns the exit code. */
function report(error: unknown): number {
  // Commander has written its message, or the help that was asked for, already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE
  const usage = error instanceof UsageError
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : ''
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`lyre: ${message}${message.includes(cause) ? '' : ` (${cause})`}\n`)
  return usage ? EXIT_USAGE : 1
}
