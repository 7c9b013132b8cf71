/** `lyre demo`: what a newcomer sees first has to be true. */

import t, { type Test } from 'tap'
import { startCommand } from '../../support/command.ts'
import { eventually } from '../../support/heard.ts'

/** The demonstration without a terminal, and the processes of its companions. */
async function startDemo(t: Test) {
  const demo = startCommand(t, ['demo'])
  const line = await demo.next('* guest (process ')
  const [guest = 0, orpheus = 0, sappho = 0] = Array.from(line.matchAll(/\d+/g), Number)
  t.equal(
    line,
    `* guest (process ${guest}), orpheus (process ${orpheus}) and sappho (process ${sappho})`,
  )
  return { demo, pids: { orpheus, sappho } }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

t.test('with no terminal it plays a conversation, all of which arrives', async (t) => {
  const { demo, pids } = await startDemo(t)
  t.ok(isAlive(pids.orpheus) && isAlive(pids.sappho), 'companions are processes')
  t.equal(await demo.exited, 0)
  const text = demo.lines.items.join('\n')
  for (const name of ['orpheus', 'sappho'] as const) {
    for (const line of [
      `* ${name} enters, from tcp://127.0.0.1:`,
      `* ${name} joins CHAT`,
      `[CHAT] ${name}: welcome, guest!`,
      `[CHAT] ${name}: "good evening, everybody"`,
      `(whisper) ${name}: "a secret for ${name}"`,
      `(whisper) ${name}: farewell, guest`,
      `* ${name} leaves CHAT`,
      `* ${name} exits (goodbye)`,
    ]) {
      t.equal(text.split(line).length, 2, line)
    }
    t.notOk(isAlive(pids[name]), `${name} has ended`)
  }
  t.match(text, /all \d+ lines of this conversation arrived$/)
  t.equal(demo.errors, '')
})

t.test('with a companion killed half-way it fails, and says what is missing', async (t) => {
  const { demo, pids } = await startDemo(t)
  await demo.next('[CHAT] sappho: "good evening')
  process.kill(pids.sappho, 'SIGKILL')
  t.equal(await demo.exited, 1)
  const text = demo.lines.items.join('\n')
  t.match(text, '* missing: sappho says farewell')
  t.match(text, '* missing: sappho exits')
  t.notMatch(text, 'missing: sappho answers our shout', 'that had arrived')
  t.match(text, 'the process of sappho ended with SIGKILL')
  t.notMatch(text, 'of this conversation arrived')
  t.notOk(isAlive(pids.orpheus), 'the other companion has ended')
})

t.test('Ctrl-C ends it, and its companions with it', async (t) => {
  const { demo, pids } = await startDemo(t)
  await demo.next('orpheus enters')
  demo.process.kill('SIGINT')
  t.equal(await demo.exited, 1, 'not all lines arrived')
  t.match(demo.lines.items.join('\n'), 'it was interrupted')
  t.notOk(isAlive(pids.orpheus) || isAlive(pids.sappho))
})

t.test('companions do not outlive a demonstration that is killed', async (t) => {
  const { demo, pids } = await startDemo(t)
  await demo.next('sappho enters')
  demo.process.kill('SIGKILL')
  t.equal(await demo.exited, 'SIGKILL')
  await eventually('both have ended', () => !isAlive(pids.orpheus) && !isAlive(pids.sappho))
})
