// One line being typed, and what keys do to it: those of Emacs, as in bash. It knows no terminal: keys come in, and there is
// a text with a cursor in it. A line feed in the text came out of a paste, or from Alt-Enter; it ends nothing.

import { graphemes } from './columns.ts'

/** How long a line can be: as much of one message as a chat shows. */
export const TEXT_LENGTH_MAX = 10_000
/** How many lines Up finds again. */
export const HISTORY_LINES_MAX = 1_000
const UNDO_COUNT_MAX = 200

/** A key, as node:readline names it. */
export interface Key {
  readonly name?: string | undefined
  readonly ctrl?: boolean | undefined
  readonly meta?: boolean | undefined
  readonly sequence?: string | undefined
}

/** What can stand in place of the text from `start` to the cursor. */
export interface Completion {
  readonly start: number
  readonly candidates: readonly string[]
  /** What follows the only one. */
  readonly suffix: string
}

/** What a key asks for, beside a change of the text. */
export type Action =
  | { readonly type: 'line'; readonly line: string }
  /** Tab, and there is more than one way to go on. */
  | { readonly type: 'candidates'; readonly candidates: readonly string[] }
  /** So many characters of a paste found no room. */
  | { readonly type: 'full'; readonly count: number }
  /** Ctrl-C: `cleared` says whether there was something to clear. */
  | { readonly type: 'cancel'; readonly cleared: boolean }
  /** Ctrl-D where nothing is typed; Ctrl-Z; Ctrl-L. */
  | { readonly type: 'end' | 'suspend' | 'redraw' }
  /** Alt and a digit or `a`. */
  | { readonly type: 'shortcut'; readonly key: string }

interface State {
  readonly text: string
  readonly cursor: number
}

export class Editor {
  readonly #complete: (before: string) => Completion
  /** The newest is last. */
  readonly #history: string[]
  #text = ''
  #cursor = 0
  /** What is pasted, until its end comes. */
  #paste: string | undefined
  /** Where we are in the history, and what was typed before we went there. */
  #historyIndex: number
  #draft: State = { text: '', cursor: 0 }
  #killed = ''
  #undo: State[] = []
  /** Characters that are typed one after the other are undone together. */
  #typing = false

  /** @param options `complete` says how what stands before the cursor can go on; `history` is oldest first. */
  constructor(
    options: {
      readonly complete?: (before: string) => Completion
      readonly history?: readonly string[]
    } = {},
  ) {
    this.#complete =
      options.complete ?? ((before) => ({ start: before.length, candidates: [], suffix: '' }))
    this.#history = [...(options.history ?? [])].slice(-HISTORY_LINES_MAX)
    this.#historyIndex = this.#history.length
  }

  get text(): string {
    return this.#text
  }

  /** Before which character of the text the cursor is. */
  get cursor(): number {
    return this.#cursor
  }

  /** @param text what the key types, if it types anything. */
  handleKey(text: string | undefined, key: Key): Action | undefined {
    if (key.name === 'paste-start') {
      this.#paste = ''
      return undefined
    }
    if (this.#paste !== undefined) return this.#handlePaste(text, key)
    const typing = this.#typing
    this.#typing = false
    if (key.meta) return this.#handleMeta(key.name ?? '')
    if (key.ctrl) return this.#handleControl(key.name ?? '')
    switch (key.name) {
      case 'return':
      case 'enter':
        return this.#enter()
      case 'tab':
        return this.#tab()
      case 'backspace':
        return this.#replace(this.#before(), this.#cursor)
      case 'delete':
        return this.#replace(this.#cursor, this.#after())
      case 'left':
        return this.#move(this.#before())
      case 'right':
        return this.#move(this.#after())
      case 'home':
        return this.#move(0)
      case 'end':
        return this.#move(this.#text.length)
      case 'up':
        return this.#recall(-1)
      case 'down':
        return this.#recall(1)
    }
    if (key.sequence === '\x1f') return this.#revert()
    if (text === undefined || /\p{Cc}/u.test(text)) return undefined
    if (this.#text.length + text.length > TEXT_LENGTH_MAX) return { type: 'full', count: 1 }
    if (!typing || text === ' ') this.#remember()
    this.#put(this.#cursor, this.#cursor, text)
    this.#typing = true
    return undefined
  }

  #handleControl(name: string): Action | undefined {
    switch (name) {
      case 'a':
        return this.#move(0)
      case 'e':
        return this.#move(this.#text.length)
      case 'b':
        return this.#move(this.#before())
      case 'f':
        return this.#move(this.#after())
      case 'left':
        return this.#move(this.#wordBefore())
      case 'right':
        return this.#move(this.#wordAfter())
      case 'p':
        return this.#recall(-1)
      case 'n':
        return this.#recall(1)
      case 'h':
        return this.#replace(this.#before(), this.#cursor)
      case 'w': {
        const blank = /\S*\s*$/.exec(this.#text.slice(0, this.#cursor))?.index ?? 0
        return this.#kill(blank, this.#cursor)
      }
      case 'u':
        return this.#kill(0, this.#cursor)
      case 'k':
        return this.#kill(this.#cursor, this.#text.length)
      case 'y':
        return this.#insert(this.#killed)
      case 'd':
        if (this.#text === '') return { type: 'end' }
        return this.#replace(this.#cursor, this.#after())
      case 'c': {
        const cleared = this.#text !== ''
        this.#reset()
        return { type: 'cancel', cleared }
      }
      case 'l':
        return { type: 'redraw' }
      case 'z':
        return { type: 'suspend' }
    }
    return undefined
  }

  #handleMeta(name: string): Action | undefined {
    switch (name) {
      case 'b':
      case 'left':
        return this.#move(this.#wordBefore())
      case 'f':
      case 'right':
        return this.#move(this.#wordAfter())
      case 'd':
        return this.#kill(this.#cursor, this.#wordAfter())
      case 'backspace':
        return this.#kill(this.#wordBefore(), this.#cursor)
      case 'return':
      case 'enter':
        return this.#insert('\n')
    }
    return /^[0-9a]$/.test(name) ? { type: 'shortcut', key: name } : undefined
  }

  /** Keeps what can be shown; a key with a sequence of its own, such as an arrow, is no text. */
  #handlePaste(text: string | undefined, key: Key): Action | undefined {
    if (key.name !== 'paste-end') {
      // A paste that never ends keeps no more than what shows that it was too long.
      if (this.#paste !== undefined && this.#paste.length < 100 * TEXT_LENGTH_MAX) {
        this.#paste += text ?? ''
      }
      return undefined
    }
    const pasted = (this.#paste ?? '')
      .replaceAll(/\r\n?/g, '\n')
      .replaceAll(/[^\P{Cc}\n\t]/gu, '')
      .replace(/\n+$/, '')
    this.#paste = undefined
    return this.#insert(pasted)
  }

  #enter(): Action {
    const line = this.#text
    this.#reset()
    if (line.trim() !== '' && this.#history.at(-1) !== line) this.#history.push(line)
    if (this.#history.length > HISTORY_LINES_MAX) this.#history.shift()
    this.#historyIndex = this.#history.length
    return { type: 'line', line }
  }

  #tab(): Action | undefined {
    const before = this.#text.slice(0, this.#cursor)
    const { start, candidates, suffix } = this.#complete(before)
    const [only, ...others] = candidates
    if (only === undefined) return undefined
    if (others.length === 0) {
      this.#replace(start, this.#cursor, only + suffix)
      return undefined
    }
    const common = commonBeginning(candidates)
    if (common.length > before.length - start) {
      this.#replace(start, this.#cursor, common)
      return undefined
    }
    return { type: 'candidates', candidates }
  }

  /** The entry before or after that begins with what was typed. */
  #recall(step: -1 | 1): undefined {
    const newest = this.#history.length
    if (this.#historyIndex === newest) this.#draft = { text: this.#text, cursor: this.#cursor }
    for (let index = this.#historyIndex + step; index >= 0 && index <= newest; index += step) {
      const entry = index === newest ? this.#draft.text : (this.#history[index] ?? '')
      if (index < newest && (!entry.startsWith(this.#draft.text) || entry === this.#text)) continue
      this.#historyIndex = index
      this.#text = entry
      this.#cursor = entry.length
      return
    }
  }

  #insert(text: string): Action | undefined {
    const room = TEXT_LENGTH_MAX - this.#text.length
    // Half a surrogate pair is no character.
    const fitted = text.length <= room ? text : text.slice(0, room).replace(/[\ud800-\udbff]$/, '')
    this.#replace(this.#cursor, this.#cursor, fitted)
    const count = text.length - fitted.length
    return count === 0 ? undefined : { type: 'full', count }
  }

  #kill(start: number, end: number): undefined {
    if (end > start) this.#killed = this.#text.slice(start, end)
    this.#replace(start, end)
  }

  #replace(start: number, end: number, text = ''): undefined {
    if (start === end && text === '') return
    this.#remember()
    this.#put(start, end, text)
  }

  #put(start: number, end: number, text: string): void {
    this.#text = this.#text.slice(0, start) + text + this.#text.slice(end)
    this.#cursor = start + text.length
  }

  #remember(): void {
    this.#undo.push({ text: this.#text, cursor: this.#cursor })
    if (this.#undo.length > UNDO_COUNT_MAX) this.#undo.shift()
  }

  #revert(): undefined {
    const state = this.#undo.pop()
    if (state === undefined) return
    this.#text = state.text
    this.#cursor = state.cursor
  }

  #reset(): void {
    this.#text = ''
    this.#cursor = 0
    this.#undo = []
    this.#historyIndex = this.#history.length
  }

  #move(to: number): undefined {
    this.#cursor = to
  }

  #before(): number {
    return graphemes(this.#text.slice(0, this.#cursor)).at(-1)?.index ?? 0
  }

  #after(): number {
    const [first] = graphemes(this.#text.slice(this.#cursor, this.#cursor + 100))
    return this.#cursor + (first?.text.length ?? 0)
  }

  #wordBefore(): number {
    const before = this.#text.slice(0, this.#cursor)
    return /[\p{L}\p{N}\p{M}_]*[^\p{L}\p{N}\p{M}_]*$/u.exec(before)?.index ?? 0
  }

  #wordAfter(): number {
    const after = this.#text.slice(this.#cursor)
    const [skipped = ''] = /^[^\p{L}\p{N}\p{M}_]*[\p{L}\p{N}\p{M}_]*/u.exec(after) ?? []
    return this.#cursor + skipped.length
  }
}

/** Whether they differ in small and capital letters does not matter; those of the first are taken. */
function commonBeginning(candidates: readonly string[]): string {
  const [first = '', ...others] = candidates
  let length = first.length
  for (const other of others) {
    while (!other.toLowerCase().startsWith(first.slice(0, length).toLowerCase())) length--
  }
  return first.slice(0, length)
}
