/** The line that is being typed: keys in, a text with a cursor out. */

import t from 'tap'
import { type Action, Editor, HISTORY_LINES_MAX, TEXT_LENGTH_MAX } from '../../../src/cli/editor.ts'

const CANDIDATES = ['ada', 'adam', 'bob']

function startEditor(history: readonly string[] = []) {
  const complete = (before: string) => {
    const start = /\S*$/.exec(before)?.index ?? 0
    const candidates = CANDIDATES.filter((word) => word.startsWith(before.slice(start)))
    return { start, candidates, suffix: ': ' }
  }
  const editor = new Editor({ complete, history })
  const type = (text: string) => {
    for (const character of text) editor.handleKey(character, { name: character.toLowerCase() })
  }
  const press = (...names: string[]): Action | undefined =>
    names
      .map((each) => {
        const [name, modifier] = each.split('-').reverse()
        const sequence = name === '_' ? '\x1f' : ''
        return editor.handleKey(undefined, {
          name: name === '_' ? undefined : name,
          ctrl: modifier === 'C' && name !== '_',
          meta: modifier === 'M',
          sequence,
        })
      })
      .at(-1)
  return { editor, type, press }
}

/** A paste, as node:readline tells of it. */
function paste(editor: Editor, text: string): Action | undefined {
  editor.handleKey(undefined, { name: 'paste-start' })
  for (const character of text) {
    const name = { '\r': 'return', '\n': 'enter', '\t': 'tab' }[character] ?? character
    editor.handleKey(character, { name, sequence: character })
  }
  return editor.handleKey(undefined, { name: 'paste-end' })
}

t.test('keys move and change what is typed', async (t) => {
  const { editor, type, press } = startEditor()
  type('hello big world')
  press('M-b', 'M-b', 'M-d')
  t.equal(editor.text, 'hello  world')
  press('C-a', 'C-y')
  t.same([editor.text, editor.cursor], ['bighello  world', 3])
  press('C-k')
  t.equal(editor.text, 'big')
  press('C-_', 'C-_')
  t.equal(editor.text, 'hello  world', 'what was last is taken back')
  press('C-e', 'C-w', 'backspace', 'backspace', 'left', 'delete')
  t.equal(editor.text, 'hell')
  press('C-u')
  t.same([editor.text, editor.cursor], ['', 0])
})

t.test('a character of several code points is one', async (t) => {
  const { editor, press } = startEditor()
  paste(editor, 'a👩‍👩‍👧é')
  press('left', 'left', 'delete')
  t.equal(editor.text, 'aé')
  press('right', 'backspace')
  t.equal(editor.text, 'a')
})

t.test(
  'Enter gives the line, Ctrl-C clears before it asks to leave, Ctrl-D only leaves',
  async (t) => {
    const { editor, type, press } = startEditor()
    type('one')
    t.same(press('return'), { type: 'line', line: 'one' })
    type('two')
    t.equal(press('C-d'), undefined)
    t.same(press('C-c'), { type: 'cancel', cleared: true })
    t.equal(editor.text, '')
    t.same(press('C-c'), { type: 'cancel', cleared: false })
    t.same(press('C-d'), { type: 'end' })
  },
)

t.test('a paste ends nothing, and does no harm', async (t) => {
  const { editor, press } = startEditor()
  t.equal(paste(editor, 'one\r\ntwo\rthree\n\tfour\x07\x9b\n\n'), undefined)
  t.equal(editor.text, 'one\ntwo\nthree\n\tfour')
  press('M-return')
  t.same(press('return'), { type: 'line', line: 'one\ntwo\nthree\n\tfour\n' })
  t.same(paste(editor, `${'x'.repeat(TEXT_LENGTH_MAX - 1)}😀y`), { type: 'full', count: 3 })
  t.equal(editor.text, 'x'.repeat(TEXT_LENGTH_MAX - 1), 'no half of a character')
})

t.test('Up finds what begins with what is typed, Down comes back to it', async (t) => {
  const { editor, type, press } = startEditor(['alpha', 'beta', 'atom'])
  type('a')
  press('up')
  t.equal(editor.text, 'atom')
  press('up', 'up')
  t.equal(editor.text, 'alpha', 'there is none before')
  press('down', 'down')
  t.equal(editor.text, 'a')
  const lines = Array.from({ length: HISTORY_LINES_MAX + 5 }, (_, index) => `line ${index}`)
  const long = startEditor(lines)
  for (const _ of lines) long.press('up')
  t.equal(long.editor.text, 'line 5', 'the oldest are forgotten')
})

t.test('Tab goes as far as is clear, and then tells what there is', async (t) => {
  const { editor, type, press } = startEditor()
  type('b')
  press('tab')
  t.equal(editor.text, 'bob: ')
  press('C-u')
  type('a')
  t.equal(press('tab'), undefined)
  t.equal(editor.text, 'ada')
  t.same(press('tab'), { type: 'candidates', candidates: ['ada', 'adam'] })
  type('x')
  t.equal(press('tab'), undefined, 'nothing fits')
  t.equal(editor.text, 'adax')
})
