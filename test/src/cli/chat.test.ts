/** `lyre chat`, as a person types and reads it, and as a program does. */

import { spawnSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { startChild } from '../../support/child.ts'
import { MAIN, startCommand, startOnTerminal } from '../../support/command.ts'
import { freePort } from '../../support/nodes.ts'
import { Screen } from '../../support/screen.ts'

/** A chat without a terminal, and a pipe to talk to it, in one group. */
async function startChat(t: Test) {
  const port = await freePort()
  const node = ['--interface', '127.0.0.1', '--port', String(port)]
  const chat = startCommand(t, ['chat', ...node, '--name', 'ada'])
  const bob = startChild(t, MAIN, ['pipe', ...node, '--name', 'bob', '--group', 'CHAT'])
  await Promise.all([chat.next('bob joins CHAT'), bob.next('join')])
  return { chat, bob, node }
}

t.test('without a terminal lines go in and lines come out', async (t) => {
  const { chat, bob } = await startChat(t)
  chat.type('hello')
  t.match(await bob.next('shout'), { name: 'ada', group: 'CHAT', content: ['hello'] })
  bob.send({ shout: 'CHAT', content: 'hi' })
  t.equal(await chat.next('hi'), '[CHAT] bob: hi')
  bob.send({ whisper: 'ada', content: 'psst' })
  t.equal(await chat.next('psst'), '(whisper) bob: psst')
  chat.type('/whisper bob what is it?')
  t.match(await bob.next('whisper'), { content: ['what is it?'] })
  chat.type('//slash')
  t.match(await bob.next('shout'), { content: ['/slash'] })
  chat.type('')
  chat.end()
  t.match(await bob.next('exit'), { cause: 'goodbye' })
  await chat.next('you have left')
  t.equal(await chat.exited, 0)
  t.equal(chat.errors, '')
  const text = chat.lines.items.join('\n')
  t.notOk(text.includes('\x1b') || text.includes('> '), 'neither colours nor a prompt')
})

t.test('groups are rooms', async (t) => {
  const { chat, bob } = await startChat(t)
  chat.type('/join OPS')
  t.match(await bob.next('join'), { group: 'OPS' })
  chat.type('nobody hears this')
  await chat.next('nobody else is in OPS')
  bob.send({ join: 'OPS' })
  await chat.next('bob joins OPS')
  chat.type('in OPS')
  t.match(await bob.next('shout'), { group: 'OPS', content: ['in OPS'] })
  chat.type('/leave OPS')
  await chat.next('your lines go to CHAT')
  chat.type('in CHAT')
  t.match(await bob.next('shout'), { group: 'CHAT', content: ['in CHAT'] })
  chat.type('/leave CHAT')
  chat.type('lost')
  await chat.next('you are in no group')
  bob.send({ leave: 'OPS' })
  await chat.next('bob leaves OPS')
})

t.test('commands answer', async (t) => {
  const { chat, bob, node } = await startChat(t)
  for (const [line, answer] of [
    ['/help', '/whisper NAME TEXT'],
    ['/peers', 'bob: entered, in CHAT, tcp://127.0.0.1:'],
    ['/whisper carol hi', 'nobody of that name is there'],
    ['/whisper bob', 'tell it what?'],
    ['/whisper bobby hi', 'nobody of that name is there'],
    ['/join', 'a group is a text of 1 to 255 octets'],
    ['/leave OPS', 'you are not in OPS'],
    ['/dance', 'there is no /dance'],
  ] as const) {
    chat.type(line)
    await chat.next(answer)
  }
  const two = startChild(t, MAIN, ['pipe', ...node, '--name', 'bob two'])
  await chat.next('bob two enters')
  chat.type('/whisper bob two hi')
  t.match(await two.next('whisper'), { content: ['hi'] }, 'the longest name that fits')
  const twin = startChild(t, MAIN, ['pipe', ...node, '--name', 'bob'])
  const { uuid } = await twin.next('start')
  await chat.next(`bob#${uuid.slice(0, 6)} enters`)
  chat.type('/whisper bob hi')
  await chat.next('several have that name')
  chat.type(`/whisper ${uuid} hi`)
  t.match(await twin.next('whisper'), { content: ['hi'] })
  bob.kill('SIGKILL')
  await chat.next('exits (link)')
  chat.type('/quit')
  chat.type('not said any more')
  t.equal(await chat.exited, 0)
  t.notMatch(chat.lines.items.join('\n'), 'nobody else is in')
})

t.test('what peers send cannot move the cursor, nor speak for others', async (t) => {
  const port = await freePort()
  const node = ['--interface', '127.0.0.1', '--port', String(port)]
  const chat = startCommand(t, ['chat', ...node])
  await chat.next('you are in CHAT')
  const bad = '\x1b[2J\x07bad\u202e\u009b'
  const bob = startChild(t, MAIN, ['pipe', ...node, '--name', bad, '--group', 'CHAT'])
  await chat.next('joins CHAT')
  await bob.next('enter')
  bob.send({ shout: 'CHAT', content: ['\x1b[31mred\r', 'one\n[CHAT] eve: forged'] })
  await chat.next('forged')
  const said = chat.lines.items.filter((line) => line.startsWith('[CHAT]'))
  t.same(
    said,
    ['[2Jbad: [31mred', '[2Jbad: one', '[2Jbad: [CHAT] eve: forged'].map(
      (line) => `[CHAT] ${line}`,
    ),
  )
})

const noScript = spawnSync('script', ['-qfec', 'true', '/dev/null']).status !== 0

t.test(
  'on a terminal, what is typed survives the lines that arrive',
  { skip: noScript && 'there is no `script` of util-linux to make a terminal with' },
  async (t) => {
    const columns = 40
    const port = await freePort()
    const node = ['--interface', '127.0.0.1', '--port', String(port)]
    const chat = startOnTerminal(t, ['chat', ...node, '--name', 'ada'], columns)
    const screen = new Screen(columns)
    chat.process.stdout?.setEncoding('utf8').on('data', (text) => {
      screen.write(text)
      chat.lines.add(text)
    })
    const shows = (part: string) => chat.lines.until(part, () => screen.text.includes(part))
    const bob = startChild(t, MAIN, ['pipe', ...node, '--name', 'bob', '--group', 'CHAT'])
    await shows('bob joins CHAT\nCHAT>')
    const typed = 'a line of so many words that it takes two rows of this'
    chat.process.stdin?.write(typed)
    await shows('two rows of this')
    const rows = 'CHAT> a line of so many words that it t\nakes two rows of this'
    t.ok(screen.text.endsWith(rows), 'it is typed')
    await bob.next('join')
    for (const said of ['one', 'two']) {
      bob.send({ shout: 'CHAT', content: said })
      await shows(`[CHAT] bob: ${said}\n${rows}`)
    }
    t.equal(screen.text.split('CHAT> a line').length, 2, 'it is there once')
    t.match(screen.text, /bob joins CHAT\n.{5} \[CHAT\] bob: one\n.{5} \[CHAT\] bob: two\nCHAT> /)
    chat.process.stdin?.write(' terminal\r')
    t.match(await bob.next('shout'), { content: [`${typed} terminal`] })
    chat.process.stdin?.write('\x03')
    t.match(await bob.next('exit'), { cause: 'goodbye' }, 'Ctrl-C says goodbye')
    t.equal(await chat.exited, 0)
    t.match(screen.text, /you have left$/m)
  },
)

t.test(
  'a terminal that is closed ends the chat, politely',
  { skip: noScript && 'there is no `script` of util-linux to make a terminal with' },
  async (t) => {
    const node = ['--interface', '127.0.0.1', '--port', String(await freePort())]
    const bob = startChild(t, MAIN, ['pipe', ...node, '--name', 'bob'])
    const chat = startOnTerminal(t, ['chat', ...node, '--name', 'ada'], 80)
    await bob.next('join', { name: 'ada' })
    chat.process.kill('SIGKILL')
    t.match(await bob.next('exit'), { name: 'ada', cause: 'goodbye' })
  },
)
