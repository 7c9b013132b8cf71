#!/usr/bin/env node
// The `lyre` command: reads the command line, and ends with 0 (fine), 1 (it failed), 2 (it was used wrongly), or what
// `lyre sim` has more. All verbs use the public API only, and all of them leave politely: what ends them is one AbortSignal.

import { createRequire } from 'node:module'
import { Argument, type Command, CommanderError } from 'commander'
import { UsageError } from '../index.ts'
import { type BenchSettings, bench, parseSizes } from './bench.ts'
import { type ChatSettings, chat } from './chat.ts'
import { accompany } from './companion.ts'
import { completionOf, SHELLS, type Shell } from './completion.ts'
import { demonstrate } from './demo.ts'
import { doctor } from './doctor.ts'
import { ARGUMENTS, checkSwitches, Verb, withChoice } from './environment.ts'
import { collect, type LogSettings } from './log.ts'
import { type ImportSettings, importLogs, type QuerySettings, query } from './log-query.ts'
import { logOption, parseAge, parseSize, withNodes, withTimes, withTopics } from './log-settings.ts'
import { type StatsSettings, stats } from './log-stats.ts'
import { listPeers } from './peers.ts'
import { pipe } from './pipe.ts'
import { send } from './send.ts'
import {
  integer,
  type NodeSettings,
  parseDuration,
  parsePatience,
  parsePort,
  parseText,
  withGroups,
  withHeaders,
  withJson,
  withMetrics,
  withName,
  withNetwork,
  withPeers,
} from './settings.ts'
import { replay, simulate } from './sim.ts'
import { SIM_WORDS, type SimSettings, withPlan, withWatch } from './sim-settings.ts'
import { type ShowSettings, showTrace, type TraceSettings, trace } from './trace.ts'
import { watch } from './watch.ts'

/**
 * What a verb does: it ends with an exit code, and soon after `signal` is aborted, with the exit code of one that ends by a
 * signal as the reason.
 */
type Act<Settings> = (settings: Settings, signal: AbortSignal) => Promise<number>

const EXIT_USAGE = 2
/** What leaving may take after a signal; longer takes only output that nobody reads. */
const LEAVE_TIMEOUT_MS = 5_000

main(process.argv).catch((error: unknown) => {
  process.exitCode = report(error)
})

async function main(argv: readonly string[]): Promise<void> {
  process.stdout.on('error', handleOutputError)
  // A terminal that was closed takes this away too, and nobody is left to tell: no reason to leave impolitely.
  process.stderr.on('error', () => {})
  const { version } = createRequire(import.meta.url)('lyre/package.json') as { version: string }
  const program = new Verb('lyre')
    .description('A node of the local network: find others, form groups, talk; no server between.')
    .version(version)
    .showHelpAfterError('Try lyre --help.')
    .configureHelp({ showGlobalOptions: false })
    .enablePositionalOptions()
    .exitOverride()
    .hook('preAction', (_, verb) => checkSwitches(verb))
    .addHelpText(
      'after',
      `
Examples:
  lyre demo
  lyre chat --name ada
  lyre peers
  lyre send --to ada 'the soup is ready'
  lyre watch --json | jq
  lyre trace --peer ada
  lyre doctor
  lyre log --save logs
  eval "$(lyre completion bash)"

Each flag can be set by a variable too, which its verb's --help names.
NO_COLOR switches colours off.
Exit codes: 0 fine, 1 it failed, 2 it was used wrongly; lyre sim has more.`,
    )
  addChat(program)
  addPeers(program)
  addWatch(program)
  addTrace(program)
  addSend(program)
  addPipe(program)
  addBench(program)
  addDoctor(program)
  addLog(program)
  addSim(program)
  addDemo(program)
  addCompletion(program)
  addCompanion(program)
  await program.parseAsync(argv)
}

function addChat(program: Command): void {
  const command = program
    .command('chat')
    .showHelpAfterError('Try lyre chat --help.')
    .description('talk in groups, each a room; /help tells what can be typed')
  withJson(
    withMetrics(withHeaders(withGroups(withNetwork(withName(command))))),
    'lines of JSON come out, as of lyre pipe; lines go in as typed',
  )
    .option('--history <file>', 'keep what is typed in a file, for the next session')
    .option('--bell', 'ring for whispers, and when your name is said')
    .addHelpText(
      'after',
      `
The first --group is where your lines go; without one it is CHAT.

Examples:
  lyre chat --name ada
  lyre chat --name ada --group KITCHEN --group CHAT
  lyre chat --name ada --history ~/.lyre-history
  lyre chat --name ada --interface wlan0 --port 5999`,
    )
    .action(run<ChatSettings>(chat))
}

function addPeers(program: Command): void {
  const command = program
    .command('peers')
    .showHelpAfterError('Try lyre peers --help.')
    .description('who is there: waits a little, prints a table, ends')
  command
    .option('--wait <duration>', 'how long to look; 2s, unless given', parsePatience)
    .option('--count <n>', 'ends once so many are there, and with 1 if they never are', integer(1))
    .option('--group <group>', 'only those in this group', (group: string) => [parseText(group)])
  withJson(withNetwork(withName(command)))
    .addHelpText(
      'after',
      `
Examples:
  lyre peers
  lyre peers --group CHAT --interface wlan0
  lyre peers --count 3 --wait 30s > /dev/null && echo all three are there
  lyre peers --json | jq -r '.peers[].name'`,
    )
    .action(run(listPeers))
}

function addWatch(program: Command): void {
  const command = program
    .command('watch')
    .showHelpAfterError('Try lyre watch --help.')
    .description('all that happens, as it happens')
  withJson(withMetrics(withHeaders(withGroups(withNetwork(withName(command))))))
    .option('--trace', 'also what this node dials, refuses and loses')
    .addHelpText(
      'after',
      `
To hear what is said in a group it joins it: each that somebody is in, unless
--group tells which. Whispers between others are between them.

Examples:
  lyre watch
  lyre watch --group OPS --interface 127.0.0.1
  lyre watch --metrics 9464
  lyre watch --json | jq 'select(.event == "exit")'`,
    )
    .action(run(watch))
}

function addTrace(program: Command): void {
  const command = program
    .command('trace')
    .showHelpAfterError('Try lyre trace --help.')
    .description('all messages of ZRE to and from a node of its own, as a diagram')
    .usage('[options] | show [options] <file>')
  withJson(withMetrics(withHeaders(withGroups(withNetwork(withName(command))))))
  withPeers(command)
    .option('--save <file>', 'writes a capture, which lyre trace show reads; a new file')
    .option('--content <octets>', 'of each content that are kept; 256', integer(0, 1_048_576))
    .option('--count <n>', 'ends after so many messages', integer(1))
    .addHelpText(
      'after',
      `
It joins each group that somebody is in. With --group it joins these, and shows
what has to do with them alone. What others say to each other it cannot see.

Examples:
  lyre trace
  lyre trace --peer ada --save ada.ndjson
  lyre trace show ada.ndjson --group CHAT`,
    )
    .action(run<TraceSettings>(trace))
  const show = command
    .command('show <file>')
    .showHelpAfterError('Try lyre trace show --help.')
    .description('a capture as a diagram: what was confirmed, and how long things took')
  withJson(withPeers(withGroups(show)), 'lines of JSON, as they are in the file')
    .addHelpText(
      'after',
      `
Examples:
  lyre trace show ada.ndjson
  lyre trace show run.ndjson --peer node-1 --peer node-2`,
    )
    .action((file: string, settings: ShowSettings) =>
      run((settings: ShowSettings, signal) => showTrace(file, settings, signal))(settings),
    )
}

function addSend(program: Command): void {
  const command = program
    .command('send')
    .showHelpAfterError('Try lyre send --help.')
    .description('one message to a peer or a group; ends with 0 once it arrived')
    .argument('[text...]', 'what to send, with spaces between; - is standard input')
    .option('--to <peer>', 'whisper it to the peer of this name or uuid', parseText)
    .option('--group <group>', 'shout it to this group', (group: string) => [parseText(group)])
    .option('--count <n>', 'how many of the group have to be there; 1, unless given', integer(1))
    .option('--wait <duration>', 'how long to look for them; 5s, unless given', parsePatience)
  withChoice(command, ['to'], ['group', 'count'])
  withJson(withHeaders(withNetwork(withName(command))))
    .addHelpText(
      'after',
      `
It ends with 0 only when the message was written to the network for all, and
read by all that confirm it, as Lyre, Zyre and all of libzmq 4.2 do.

Examples:
  lyre send --to ada 'the soup is ready'
  lyre send --group CHAT --count 3 good morning
  uptime | lyre send --group OPS -`,
    )
    .action((words: string[], settings: NodeSettings) =>
      run((settings: NodeSettings, signal) => send(words, settings, signal))(settings),
    )
}

function addBench(program: Command): void {
  const command = program
    .command('bench')
    .showHelpAfterError('Try lyre bench --help.')
    .description('how fast the network is, to a peer that runs lyre bench --serve')
    .argument('[peer]', 'its name or uuid; whoever serves, unless given')
    .option('--serve', 'answers others until Ctrl-C')
    .option('--size <octets>', 'of a content; several between commas', parseSizes)
    .option('--duration <duration>', 'for each figure; 2s, unless given', parsePatience)
    .option('--wait <duration>', 'how long to look for the peer; 5s, unless given', parsePatience)
  withChoice(command, ['serve'], [ARGUMENTS])
  withJson(withMetrics(withNetwork(withName(command))))
    .addHelpText(
      'after',
      `
Examples:
  lyre bench --serve --name kitchen
  lyre bench kitchen
  lyre bench --size 20,1024 --duration 500ms --json`,
    )
    .action((peer: string | undefined, settings: BenchSettings) =>
      run((settings: BenchSettings, signal) => bench(peer, settings, signal))(settings),
    )
}

function addCompletion(program: Command): void {
  program
    .command('completion')
    .showHelpAfterError('Try lyre completion --help.')
    .description('a script that completes lyre in a shell')
    .addArgument(new Argument('<shell>', 'which').choices(SHELLS))
    .addHelpText(
      'after',
      `
Examples:
  eval "$(lyre completion bash)"                 # in ~/.bashrc
  eval "$(lyre completion zsh)"                  # in ~/.zshrc, after compinit
  lyre completion fish > ~/.config/fish/completions/lyre.fish`,
    )
    .action((shell: Shell) => {
      process.stdout.write(completionOf(program, shell))
    })
}

function addPipe(program: Command): void {
  const command = program
    .command('pipe')
    .showHelpAfterError('Try lyre pipe --help.')
    .description('make a node of any program: lines of JSON in and out')
  withJson(
    withMetrics(withHeaders(withGroups(withNetwork(withName(command))))),
    'says what is so anyway',
  )
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
  withJson(withName(command, 'public name; guest, unless given'))
    .option('--port <port>', 'UDP port of the beacons; any free one, unless given', parsePort)
    .addHelpText(
      'after',
      `
Without a terminal it plays a conversation, as it does with --json, and ends
with 1 unless every line arrived.

Examples:
  lyre demo
  lyre demo --name ada
  lyre demo < /dev/null`,
    )
    .action(run(demonstrate))
}

function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .showHelpAfterError('Try lyre doctor --help.')
    .description('why peers do not see each other, and what to do about it')
    .option('--wait <duration>', 'how long to listen; 5s, unless given', parsePatience)
  withJson(withNetwork(withName(command)))
    .addHelpText(
      'after',
      `
It is a node for a while, and looks at interfaces, beacons, hubs, peers, and at
firewalls, WiFi and limits of the machine. It changes nothing. Give it the flags
that your node has. As root it sees the rules of packet filters, too.

Examples:
  lyre doctor
  lyre doctor --interface wlan0 --mailbox-port 49152-49160
  lyre doctor --gossip-connect tcp://10.0.0.5:5671 --mdns --wait 10s
  lyre doctor --json | jq -r '.findings[].remedy'

Exit codes: 0 no problem, though warnings perhaps, 1 a problem, 2 wrongly used.`,
    )
    .action(run(doctor))
}

function addLog(program: Command): void {
  const command = program
    .command('log')
    .showHelpAfterError('Try lyre log --help.')
    .description('collects the logs of all nodes, live and in files')
    .usage('[options] | query|stats|import [options] <file>')
  withTopics(withNodes(command, 'info'))
  logOption(command, '--save <folder>', 'keeps all of it there, as lines of JSON in files')
  logOption(command, '--rotate-size <size>', 'of a file; 64M, unless given', parseSize)
  logOption(command, '--rotate-time <duration>', 'of a file; 24h, unless given', parseAge)
  logOption(command, '--sqlite <file>', 'keeps all of it in a database, with Node.js 22.13 on')
  const listen = 'tcp://ADDRESS:PORT, for nodes that are not of Lyre; tcp://*:*, unless given'
  logOption(command, '--listen <endpoint>', `where nodes connect to: ${listen}`)
  const hold = 'how long a record waits for older ones; 200ms, unless given'
  logOption(command, '--hold <duration>', hold, parseDuration)
  withJson(withNetwork(withName(command)), 'for programs: lines of JSON, as they are saved')
    .addHelpText(
      'after',
      `
What a node tells of itself is up to it. Of what comes, --level is asked for;
--node, --event and --group choose what is shown, and all is saved.

Examples:
  lyre log
  lyre log --level debug --node kitchen --event text
  lyre log --save logs --rotate-size 16M > /dev/null
  lyre log --json | jq 'select(.record.event == "exit")'
  lyre log query logs --since 10m --level warning
  lyre log stats logs
  lyre log import logs --sqlite logs.db`,
    )
    .action(run<LogSettings>(collect))
  addLogVerbs(command)
}

/** What is done with what was saved. */
function addLogVerbs(command: Command): void {
  const what = 'a folder of logs, a file in it, or a database'
  const verb = (name: string, description: string) =>
    command
      .command(`${name} <file>`)
      .showHelpAfterError(`Try lyre log ${name} --help.`)
      .description(`${description}: ${what}`)
  const act =
    <Settings>(act: (file: string, settings: Settings, signal: AbortSignal) => Promise<number>) =>
    (file: string, settings: Settings) => {
      const given = Object.keys(command.opts())
      if (given.some((name) => command.getOptionValueSource(name) === 'cli')) {
        throw new UsageError('options stand behind the verb: lyre log query --level info logs')
      }
      return run((settings: Settings, signal) => act(file, settings, signal))(settings)
    }
  const lookUp = withTimes(withTopics(withNodes(verb('query', 'shows what was saved'))))
  logOption(lookUp, '--text <text>', 'only with this in the text, small letters or not')
  withJson(lookUp, 'for programs: lines of JSON, as they are saved')
    .addHelpText(
      'after',
      `
Examples:
  lyre log query logs
  lyre log query logs --since 10m --level warning --node kitchen
  lyre log query logs --event exit --json | jq -r .record.fields.cause`,
    )
    .action(act<QuerySettings>(query))
  withJson(withTimes(withNodes(verb('stats', 'rates, gaps, flaps and exits of each node'))))
    .addHelpText('after', '\nExamples:\n  lyre log stats logs\n  lyre log stats logs --since 24h')
    .action(act<StatsSettings>(stats))
  const fill = verb('import', 'fills a database; what is in it is not added again')
  logOption(fill, '--sqlite <file>', 'the database; made if need be')
  withJson(fill)
    .addHelpText('after', '\nExamples:\n  lyre log import logs --sqlite logs.db')
    .action(act<ImportSettings>(importLogs))
}

function addSim(program: Command): void {
  const command = program
    .command('sim')
    .showHelpAfterError('Try lyre sim --help.')
    .description('real nodes in a virtual network, judged; the seed tells the run')
  withChoice(command, ['seeds'], ['seed', 'trace', 'traceZre', 'log', 'until'])
  withWatch(withPlan(command))
    .usage('[options] | replay [options] <file>')
    .addHelpText(
      'after',
      `
${SIM_WORDS}

Examples:
  lyre sim
  lyre sim --nodes 100 --seed 42 --hours 24 --faults loss=0.1,pause,crash
  lyre sim --seeds 1..500 --jobs 2 --budget 8m --json
  lyre sim --seed 7 --faults pause --log logs && lyre log stats logs
  lyre sim replay repro-42-I6.json --trace history.ndjson

Exit codes: 0 nothing was found, 1 an invariant broke, 2 it was used wrongly,
3 it was not the same twice, 4 it could not be finished, 130 Ctrl-C.`,
    )
    .action(run(simulate))
  withWatch(command.command('replay <file>'))
    .showHelpAfterError('Try lyre sim replay --help.')
    .description('run the file that a failed run left')
    .addHelpText(
      'after',
      `
Examples:
  lyre sim replay repro-42-I6.json
  lyre sim replay repro-42-I6.json --until 00:13:08 --trace history.ndjson`,
    )
    .action((file: string, settings: SimSettings) => {
      const given = Object.keys(command.opts())
      if (given.some((name) => command.getOptionValueSource(name) === 'cli')) {
        throw new UsageError('a repro file tells the run: options of replay stand behind it')
      }
      return run((_: SimSettings, signal) => replay(file, settings, signal))(settings)
    })
}

/** What the demonstration starts; nobody else has a use for it. */
function addCompanion(program: Command): void {
  withNetwork(withName(program.command('companion', { hidden: true }))).action(run(accompany))
}

/** The first signal asks to leave, the second ends the process at once. */
function run<Settings = NodeSettings>(act: Act<Settings>): (settings: Settings) => Promise<void> {
  return async (settings) => {
    // From here on the verb minds its output itself.
    process.stdout.off('error', handleOutputError)
    const leaving = new AbortController()
    for (const [name, number] of Object.entries({ SIGINT: 2, SIGTERM: 15, SIGHUP: 1 })) {
      process.on(name, () => {
        if (leaving.signal.aborted) process.exit(128 + number)
        leaving.abort(128 + number)
        // Unreferenced: it is there for the case that something else keeps us here.
        setTimeout(() => process.exit(1), LEAVE_TIMEOUT_MS).unref()
      })
    }
    process.exitCode = await act(settings, leaving.signal)
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
