/** What every verb has in common: help, and exit codes. */

import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { startCommand, startWithOutput } from '../../support/command.ts'

async function run(t: Test, ...args: readonly string[]) {
  const command = startCommand(t, args)
  command.end()
  const code = await command.exited
  return { code, text: command.lines.items.join('\n'), errors: command.errors }
}

t.test('help has examples, and is no failure', async (t) => {
  const verbs = ['chat', 'pipe', 'demo']
  const helps = await Promise.all(verbs.map((verb) => run(t, verb, '--help')))
  for (const [index, { code, text, errors }] of helps.entries()) {
    t.equal(code, 0)
    t.equal(errors, '')
    t.match(text, `Usage: lyre ${verbs[index]} [options]`)
    t.match(text, `Examples:\n  lyre ${verbs[index]}`)
    t.match(text, '--name <name>')
    t.match(text, '--port <port>')
  }
  const { code, text } = await run(t, '--help')
  t.equal(code, 0)
  t.match(text, /chat .*\n\s+pipe .*\n\s+demo /)
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
    [['pipe', '--interface', 'nix0'], /no IPv4 interface with the name or address nix0; there are/],
    [['chat', '--group', ''], /a group is a text of 1 to 255 octets/],
    [['chat', '--name', 'x'.repeat(256)], /name has to be a text of at most 255 octets/],
    [['chat', 'CHAT'], /too many arguments/],
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
