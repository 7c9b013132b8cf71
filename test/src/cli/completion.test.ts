/** The scripts that complete `lyre`, in the shells that are there. */

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import t, { type Test } from 'tap'
import { startCommand } from '../../support/command.ts'
import { eventually } from '../../support/heard.ts'

/** Lines typed so far, and some of what has to be offered; a word with a minus before it must not. */
const CASES = [
  ['lyre ', ['chat', 'peers', 'watch', 'send', 'completion', '!companion']],
  ['lyre p', ['peers', 'pipe', '!chat']],
  ['lyre doctor --w', ['--wait', '!--count']],
  ['lyre send --', ['--to', '--group', '--json', '--help', '!--seed']],
  ['lyre chat --inter', ['--interface']],
  ['lyre sim --workload fl', ['flap', 'flashcrowd', '!book']],
  ['lyre sim --fidelity ', ['wire', 'message']],
  ['lyre sim re', ['replay']],
  ['lyre sim replay --u', ['--until', '!--nodes']],
  ['lyre log ', ['query', 'stats', 'import']],
  ['lyre log query --', ['--since', '--text', '--node', '!--save']],
  ['lyre log --level w', ['warning', '!error']],
  ['lyre sim --seed 3 replay --u', ['--until', '!--nodes']],
  ['lyre send --to sim --se', ['!--seed', '!--seeds']],
  ['lyre completion ', ['bash', 'zsh', 'fish']],
] as const

function missing(shell: string, args: readonly string[] = ['-c', 'true']): string | false {
  return spawnSync(shell, args).status !== 0 && `there is no ${shell} here`
}

async function scriptFor(t: Test, shell: string): Promise<string> {
  const command = startCommand(t, ['completion', shell])
  t.equal(await command.exited, 0)
  t.equal(command.errors, '')
  const folder = mkdtempSync(join(tmpdir(), 'lyre-completion-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, `lyre.${shell}`)
  writeFileSync(file, command.lines.items.join('\n'))
  return file
}

function check(t: Test, line: string, offered: readonly string[], wanted: readonly string[]): void {
  for (const word of wanted) {
    if (word.startsWith('!')) t.notOk(offered.includes(word.slice(1)), `${line}: not ${word}`)
    else t.ok(offered.includes(word), `${line}: ${word}`)
  }
}

t.test('bash completes', { skip: missing('bash') }, async (t) => {
  const file = await scriptFor(t, 'bash')
  for (const [line, wanted] of [
    ...CASES,
    ['lyre sim --workload = fl', ['flap', '!book']] as const,
  ]) {
    const program = `source ${file}
read -ra COMP_WORDS <<<"$1"; [[ $1 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _lyre; printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', program, 'bash', line], {
      encoding: 'utf8',
    })
    t.equal(stderr, '')
    check(t, line, stdout.split('\n'), wanted)
  }
})

t.test('fish completes', { skip: missing('fish') }, async (t) => {
  const file = await scriptFor(t, 'fish')
  for (const [line, wanted] of CASES) {
    const program = `source ${file}; complete -C '${line}'`
    const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', program], {
      encoding: 'utf8',
    })
    t.equal(stderr, '')
    const offered = stdout.split('\n').map((row) => row.split('\t')[0] ?? '')
    check(t, line, offered, wanted)
  }
})

const noZsh = missing('zsh') || missing('script', ['-qfec', 'true', '/dev/null'])

t.test('zsh completes', { skip: noZsh }, async (t) => {
  const file = await scriptFor(t, 'zsh')
  const terminal = spawn('script', ['-qfec', 'stty rows 50 cols 200; exec zsh -f', '/dev/null'], {
    env: { ...process.env, TERM: 'xterm', SHELL: '/bin/sh' },
  })
  t.teardown(() => terminal.kill('SIGKILL'))
  let output = ''
  terminal.stdout.setEncoding('utf8').on('data', (text) => {
    output += stripVTControlCharacters(text)
  })
  terminal.stdin.write("PS1='ready''> '; autoload -Uz compinit; compinit -u -D\n")
  terminal.stdin.write(`LISTMAX=1000; source ${file}; echo com''plete\n`)
  await eventually('it is there', () => output.includes('complete'))
  for (const [index, [line, wanted]] of CASES.entries()) {
    output = ''
    // Ctrl-D lists all that the line could become, Ctrl-U throws it away, and what comes of the next one says that all was listed.
    terminal.stdin.write(`\x15${line}\x04\x15echo li''sted ${index}\n`)
    await eventually(`what ${line} could become`, () => output.includes(`listed ${index}`))
    check(t, line, output.split(/\s+/), wanted)
  }
})
