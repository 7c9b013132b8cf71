/** `lyre chat`, as a person types and reads it, and as a program does. */

import { spawnSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
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

t.test(
  'with --json events come out as of lyre pipe, and what a person would be told as notices',
  async (t) => {
    const port = await freePort()
    const node = ['--interface', '127.0.0.1', '--port', String(port)]
    const chat = startChild(t, MAIN, ['chat', ...node, '--name', 'ada', '--json'])
    t.match(await chat.next('start'), { name: 'ada', endpoint: /^tcp:/ })
    const bob = startChild(t, MAIN, ['pipe', ...node, '--name', 'bob', '--group', 'CHAT'])
    await Promise.all([chat.next('join', { name: 'bob' }), bob.next('join')])
    bob.send({ shout: 'CHAT', content: 'hi' })
    t.match(await chat.next('shout'), { name: 'bob', group: 'CHAT', content: ['hi'] })
    chat.type('/whisper carol hi')
    await chat.heard.next('a notice', (line) => /nobody of that name/.test(line.text))
    chat.type('/nick grace')
    chat.type('said by another')
    await chat.next('stop')
    t.match(await chat.next('start'), { name: 'grace' })
    t.match(await bob.next('shout'), { name: 'grace', content: ['said by another'] })
    chat.end()
    await chat.next('stop')
    t.equal(await chat.exited, 0)
  },
)

t.test('a history file that cannot be used is told at the start', async (t) => {
  const folder = t.testdir({ other: 'something else\n' })
  for (const [path, why] of [
    [folder, 'cannot be used'],
    [`${folder}/none/there`, 'cannot be used'],
    [`${folder}/other`, 'its line 1 is not of lyre chat'],
  ] as const) {
    const chat = startCommand(t, ['chat', '--interface', '127.0.0.1', '--history', path])
    t.equal(await chat.exited, 2)
    t.match(chat.errors, why)
  }
  t.equal(readFileSync(`${folder}/other`, 'utf8'), 'something else\n', 'it is as it was')
})

const noScript = spawnSync('script', ['-qfec', 'true', '/dev/null']).status !== 0
const skip = noScript && 'there is no `script` of util-linux to make a terminal with'

/** A chat on a terminal, and what is seen there; and a pipe to talk to it, in its group and in OPS. */
async function startSession(t: Test, args: readonly string[] = [], columns = 80) {
  const node = ['--interface', '127.0.0.1', '--port', String(await freePort())]
  const chat = startOnTerminal(t, ['chat', ...node, '--name', 'ada', ...args], columns)
  const screen = new Screen(columns)
  chat.process.stdout?.setEncoding('utf8').on('data', (text) => {
    screen.write(text)
    chat.lines.add(text)
  })
  const shows = (part: string) => chat.lines.until(part, () => screen.text.includes(part))
  /** What is on the screen from the last prompt on. */
  const ends = (part: string) => chat.lines.until(part, () => screen.text.endsWith(part))
  const keys = (text: string) => chat.process.stdin?.write(text)
  await ends('CHAT>')
  const groups = ['--group', 'CHAT', '--group', 'OPS']
  const bob = startChild(t, MAIN, ['pipe', ...node, '--name', 'bob two', ...groups])
  await Promise.all([shows('bob two joins CHAT'), bob.next('join')])
  return { chat, screen, shows, ends, keys, bob, node }
}

t.test('on a terminal, what is typed survives the lines that arrive', { skip }, async (t) => {
  const { chat, screen, shows, ends, keys, bob } = await startSession(t, [], 40)
  const typed = 'a line of so many words that it takes two rows of this'
  keys(typed)
  const rows = 'CHAT> a line of so many words that it t\nakes two rows of this'
  await ends(rows)
  for (const said of ['one', 'two']) {
    bob.send({ shout: 'CHAT', content: said })
    await ends(`[CHAT] bob two: ${said}\n${rows}`)
  }
  t.equal(screen.text.split('CHAT> a line').length, 2, 'it is there once')
  keys(' terminal\r')
  t.match(await bob.next('shout'), { content: [`${typed} terminal`] })
  await shows('[CHAT] ada: a line of')
  keys('\x03')
  t.match(await bob.next('exit'), { cause: 'goodbye' }, 'Ctrl-C says goodbye')
  t.equal(await chat.exited, 0)
  t.match(screen.text, /you have left$/m)
  const output = chat.lines.items.join('')
  t.ok(
    output.lastIndexOf('\x1b[?2004l') > output.lastIndexOf('\x1b[?2004h'),
    'pastes are as before',
  )
})

t.test('on a terminal, what is said in another room waits there, counted', { skip }, async (t) => {
  const { screen, ends, keys, bob } = await startSession(t, ['--group', 'CHAT', '--group', 'OPS'])
  bob.send({ shout: 'OPS', content: 'first' })
  bob.send({ shout: 'OPS', content: 'second' })
  await ends('CHAT (OPS 2)>')
  bob.send({ shout: 'OPS', content: 'where is ada?' })
  await ends('CHAT (OPS 3!)>')
  t.notMatch(screen.text, 'first', 'it is not shown')
  keys('\x1ba')
  await ends('bob two: where is ada?\nOPS>')
  t.match(screen.text, /\[OPS\] bob two: first\n.{5} \[OPS\] bob two: second/)
  keys('/next\r')
  await ends('there is nothing unread\nOPS>')
  keys('\x1b1')
  await ends('you are back in CHAT; others there: 1\nCHAT>')
  keys('/leave\r')
  await ends('\nOPS>')
  keys('/rooms\r')
  await ends('others are in CHAT\nOPS>')
  bob.send({ whisper: 'ada', content: 'psst' })
  await ends('(whisper) bob two: psst\nOPS>')
  keys('/reply what?\r')
  t.match(await bob.next('whisper'), { content: ['what?'] })
  await ends('(whisper to bob two) ada: what?\nOPS>')
})

t.test('on a terminal, Tab completes, and Ctrl-C clears before it leaves', { skip }, async (t) => {
  const { screen, chat, shows, ends, keys, bob, node } = await startSession(t)
  keys('/wh\tB\t')
  await ends('CHAT> /whisper bob two')
  keys('psst\r')
  t.match(await bob.next('whisper'), { content: ['psst'] })
  const twin = startChild(t, MAIN, ['pipe', ...node, '--name', 'bob two'])
  const { uuid } = await twin.next('start')
  await twin.next('enter', { name: 'ada' })
  await shows(`bob two#${uuid.slice(0, 6)} enters`)
  keys(`/w bob two#${uuid.slice(0, 6)}\thello\r`)
  t.match(await twin.next('whisper'), { content: ['hello'] }, 'by some digits of its uuid')
  keys('/w bob\t\t')
  // And the digits that both uuids begin with.
  await chat.lines.until('both', () => /CHAT> \/w bob two#[0-9a-f]*$/.test(screen.text))
  keys('\x03')
  await ends('Ctrl-C once more leaves\nCHAT>')
  keys('\x03')
  t.equal(await chat.exited, 0)
})

t.test('on a terminal, a paste is one message, sent by Enter', { skip }, async (t) => {
  const { ends, keys, bob } = await startSession(t)
  keys('so: \x1b[200~one\r\ntwo\t\x1b[31m\x07日本\nthree\n\x1b[201~')
  await ends('CHAT> so: one⏎two⇥日本⏎three')
  bob.send({ shout: 'CHAT', content: 'meanwhile' })
  await ends('bob two: meanwhile\nCHAT> so: one⏎two⇥日本⏎three')
  keys('\r')
  t.match(await bob.next('shout'), { content: ['so: one\ntwo\t日本\nthree'] })
  await ends('ada: three\nCHAT>')
  keys(`\x1b[200~${'x'.repeat(10_005)}\x1b[201~`)
  await ends('xxx')
  keys('\r')
  t.equal((await bob.next('shout')).content[0].length, 10_000, 'what is too long is cut')
})

t.test('on a terminal that is resized, what is typed is drawn anew', { skip }, async (t) => {
  const { screen, shows, ends, keys, bob } = await startSession(t)
  const [path = ''] = /^\/dev\/\S+/.exec(screen.text) ?? []
  const resize = (columns: number) => {
    screen.resize(columns)
    t.equal(spawnSync('stty', ['-F', path, 'cols', String(columns)]).status, 0)
  }
  keys('日本語 and some words that take a row and more of thirty columns')
  await ends('of thirty columns')
  resize(30)
  await ends('CHAT> 日本語 and some words t\nhat take a row and more of th\nirty columns')
  bob.send({ shout: 'CHAT', content: 'narrow' })
  await shows('[CHAT] bob two: narrow\nCHAT> 日本語')
  resize(100)
  await ends('CHAT> 日本語 and some words that take a row and more of thirty columns')
  t.equal(screen.text.split('CHAT> ').length, 2, 'it is there once')
  keys('\r')
  t.match(await bob.next('shout'), {
    content: ['日本語 and some words that take a row and more of thirty columns'],
  })
})

t.test('on a terminal, another name is another node in the same rooms', { skip }, async (t) => {
  const { screen, ends, keys, bob } = await startSession(t, ['--group', 'CHAT', '--group', 'OPS'])
  keys('/nick grace\rwho am I?\r')
  t.match(await bob.next('exit'), { name: 'ada', cause: 'goodbye' })
  t.match(await bob.next('enter'), { name: 'grace' })
  t.match(await bob.next('shout'), { name: 'grace', group: 'CHAT', content: ['who am I?'] })
  await ends('grace: who am I?\nCHAT>')
  t.match(screen.text, 'you are grace now; all who were there have found you')
  t.notMatch(screen.text, /bob two (exits|leaves)/, 'that the others are there is no news')
})

t.test('what is entered is found again in the next session', { skip }, async (t) => {
  const path = `${t.testdir({})}/history`
  const first = await startSession(t, ['--history', path])
  first.keys('one\r\x1b[200~two\nlines\x1b[201~\r')
  await first.ends('ada: lines\nCHAT>')
  first.keys('\x04')
  t.equal(await first.chat.exited, 0)
  t.equal(statSync(path).mode & 0o777, 0o600)
  const second = await startSession(t, ['--history', path])
  second.keys('\x1b[A')
  await second.ends('CHAT> two⏎lines')
  second.keys('\x1b[A\r')
  t.match(await second.bob.next('shout'), { content: ['one'] })
})

t.test('a terminal that is closed ends the chat, politely', { skip }, async (t) => {
  const node = ['--interface', '127.0.0.1', '--port', String(await freePort())]
  const bob = startChild(t, MAIN, ['pipe', ...node, '--name', 'bob'])
  const chat = startOnTerminal(t, ['chat', ...node, '--name', 'ada'], 80)
  await bob.next('join', { name: 'ada' })
  chat.process.kill('SIGKILL')
  t.match(await bob.next('exit'), { name: 'ada', cause: 'goodbye' })
})

t.test('one that is gone without a word ends a command as politely', { skip }, async (t) => {
  const node = ['--interface', '127.0.0.1', '--port', String(await freePort())]
  const bob = startChild(t, MAIN, ['pipe', ...node, '--name', 'bob'])
  const watch = startOnTerminal(t, ['watch', ...node, '--name', 'ada'], 80, { told: false })
  await bob.next('enter', { name: 'ada' })
  watch.process.kill('SIGKILL')
  // What is to be shown finds neither an output nor one for errors.
  bob.send({ join: 'CHAT' })
  t.match(await bob.next('exit'), { name: 'ada', cause: 'goodbye' })
})
