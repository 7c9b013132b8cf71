/** What every verb has in common: help, and exit codes. */

import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import t from 'tap'
import { run, runWith, startCommand, startWithOutput } from '../../support/command.ts'
import { freePort } from '../../support/nodes.ts'

t.test('help has examples, and is no failure', async (t) => {
  const verbs = ['chat', 'peers', 'watch', 'send', 'pipe', 'bench', 'doctor', 'log', 'demo']
  const helps = await Promise.all(verbs.map((verb) => run(t, verb, '--help')))
  for (const [index, { code, text, errors }] of helps.entries()) {
    t.equal(code, 0)
    t.equal(errors, '')
    t.match(text, `Usage: lyre ${verbs[index]} [options]`)
    t.match(text, `Examples:\n  lyre ${verbs[index]}`)
    for (const flag of ['--name <name>', '--port <port>', '--json']) t.match(text, flag)
    t.match(text, /\(env:\s+LYRE_NAME\)/)
    t.notOk(
      text.split('\n').some((line) => line.length > 80),
      'in 80 columns',
    )
  }
  const { code, text } = await run(t, '--help')
  t.equal(code, 0)
  for (const verb of [...verbs, 'sim', 'completion']) t.match(text, `\n  ${verb} `)
  t.notMatch(text, 'companion', 'what the demonstration starts is for nobody else')
})

t.test('the version is that of the package', async (t) => {
  const file = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  const { code, text } = await run(t, '--version')
  t.equal(code, 0)
  t.equal(text, JSON.parse(file).version)
})

t.test('a reader who has gone before the help came is no failure', async (t) => {
  for (const flag of ['--help', '--version']) {
    const command = startCommand(t, [flag])
    command.process.stdout?.destroy()
    t.equal(await command.exited, 0, flag)
    t.equal(command.errors, '')
  }
})

t.test(
  'output that cannot be written is told in a sentence',
  { skip: !existsSync('/dev/full') && 'there is no /dev/full' },
  async (t) => {
    const full = openSync('/dev/full', 'w')
    t.teardown(() => closeSync(full))
    for (const flag of ['--help', '--version']) {
      const command = startWithOutput(t, [flag], full)
      t.equal(await command.exited, 1, flag)
      t.match(command.errors, /^lyre: standard output cannot be written: ENOSPC.*\n$/)
    }
  },
)

t.test('what is used wrongly ends with 2, and a sentence that helps', async (t) => {
  const wrong = [
    [['chat', '--prt', '5999'], /unknown option '--prt'\n\(Did you mean --port\?\)\nTry lyre chat/],
    [['pipe', '--port', 'x'], /'x' is invalid. A port is an integer from 1 to 65535/],
    [['pipe', '--port', '65536'], /A port is an integer from 1 to 65535/],
    [['pipe', '--header', 'x'], /A header is KEY=VALUE/],
    [
      ['pipe', '--interface', 'nix0'],
      /no interface to use with the name or address nix0; there are/,
    ],
    [['chat', '--group', ''], /a group is a text of 1 to 255 octets/],
    [['chat', '--name', 'x'.repeat(256)], /name has to be a text of at most 255 octets/],
    [['chat', 'CHAT'], /too many arguments/],
    [['pipe', '--mailbox-port', '9-8'], /It is a port from 1 to 65535, or a range such as/],
    [['pipe', '--advertise', 'x'], /advertise has to be tcp:\/\/host:port, not x/],
    [['pipe', '--beacon-interval', '1ms'], /It is a duration from 10ms to 60s/],
    [['pipe', '--gossip-bind', 'x'], /gossipBind has to be tcp:\/\/ADDRESS:PORT.* not x/],
    [['pipe', '--connect', 'tcp://a:1', '--connect', 'b'], /seeds has to be .* not b/],
    [
      ['pipe', '--gossip-connect', 'tcp://a:1', '--gossip-connect', 'b'],
      /gossipConnect has to be .* not b/,
    ],
    [['peers', '--count', '0'], /It is an integer from 1/],
    [['peers', '--wait', '5'], /A duration is a number with ms, s, m or h/],
    [['send', 'hello'], /say to whom: --to NAME for one peer, or --group GROUP/],
    [['send', '--to', 'ada', '--group', 'CHAT', 'hello'], /say to whom/],
    [['send', '--to', 'ada', '--count', '2', 'hello'], /--count goes with --group/],
    [['send', '--to', '', 'hi'], /It is a text of 1 to 255 octets/],
    [['peers', '--group', 'x'.repeat(256)], /It is a text of 1 to 255 octets/],
    [['peers', '--wait', '600h'], /It is 24 days at most/],
    [['send', '--to', 'ada'], /say what to send; - takes it from standard input/],
    [['bench', 'ada', '--serve'], /--serve answers whoever asks/],
    [['bench', '--size', '1,x'], /It is an integer from 1 to 16777216/],
    [['completion'], /missing required argument 'shell'/],
    [['completion', 'csh'], /Allowed choices are bash, zsh, fish/],
    [['demo', '--name'], /argument missing/],
    [['frobnicate'], /unknown command/],
    [[], /Usage: lyre/],
  ] as const
  const ends = await Promise.all(wrong.map(([args]) => run(t, ...args)))
  for (const [index, [args, message]] of wrong.entries()) {
    t.equal(ends[index]?.code, 2, args.join(' '))
    t.match(ends[index]?.errors, message)
  }
})

t.test('each flag has a variable, which the command line goes before', async (t) => {
  const env = {
    LYRE_INTERFACE: '127.0.0.1',
    LYRE_PORT: String(await freePort()),
    LYRE_NAME: 'ada',
    LYRE_GROUP: 'A,B',
    LYRE_HEADER: 'kind=test,x=y=z',
    LYRE_MAILBOX_PORT: '',
  }
  const pipe = await runWith(t, env, 'pipe', '--name', 'bob')
  t.equal(pipe.code, 0)
  const [start = ''] = pipe.text.split('\n')
  t.match(JSON.parse(start), { name: 'bob', headers: { kind: 'test', x: 'y=z' } })
  const chat = await runWith(t, { ...env, LYRE_JSON: '1' }, 'chat')
  t.match(chat.text, /"event":"notice".*you are in A, B/, 'a list, and a switch')

  const sim = await runWith(t, { LYRE_SIM_NODES: '3', LYRE_SIM_SEED: '7', LYRE_JSON: 'yes' }, 'sim')
  t.match(JSON.parse(sim.text), { seed: 7, nodes: 3 }, 'one that a verb has alone')
  const off = await runWith(t, { LYRE_SIM_MINUTES: '0.1', LYRE_JSON: '0' }, 'sim')
  t.match(off.text, /^seed \d+, 10 nodes/)

  const demo = await runWith(t, { LYRE_MAILBOX_PORT: '1', LYRE_INTERFACE: 'nix0' }, 'demo')
  t.equal(demo.code, 0, 'the demonstration stays on this machine')

  const node = ['--wait', '1ms', 'hi']
  for (const [variables, args] of [
    [{ LYRE_SEND_TO: 'ada' }, ['send', '--group', 'CHAT', ...node]],
    [{ LYRE_SEND_GROUP: 'CHAT', LYRE_SEND_COUNT: '3' }, ['send', '--to', 'ada', ...node]],
    [{ LYRE_BENCH_SERVE: '1' }, ['bench', 'ada', '--wait', '1ms']],
  ] as const) {
    const { code } = await runWith(t, { ...env, ...variables }, ...args)
    t.equal(code, 1, `${args.slice(0, 2)}: nobody is there, and nothing was said wrongly`)
  }
  const seeds = ['sim', '--seeds', '1..2', '--minutes', '0.1']
  t.equal((await runWith(t, { LYRE_SIM_SEED: '1' }, ...seeds)).code, 0)

  const bad = await runWith(t, { LYRE_PORT: 'x' }, 'peers')
  t.equal(bad.code, 2)
  t.match(bad.errors, /'x' from env 'LYRE_PORT' is invalid. A port is/)
  const neither = await runWith(t, { LYRE_JSON: 'perhaps' }, 'peers')
  t.equal(neither.code, 2)
  t.match(neither.errors, 'LYRE_JSON is 1 or 0, not perhaps')
  t.equal((await runWith(t, { LYRE_JSON: 'perhaps' }, 'peers', '--help')).code, 0)
})
