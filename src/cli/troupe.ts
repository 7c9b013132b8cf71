// The companions' processes: started with this same command, ended without fail.

import { type ChildProcess, spawn } from 'node:child_process'
import { text } from '../index.ts'
import { COMPANIONS } from './companion.ts'
import { clean } from './words.ts'

/** How long a companion may take to leave by itself. */
const LEAVE_TIMEOUT_MS = 1_500
/** How much of what they write to standard error is kept. */
const ERRORS_LENGTH_MAX = 4_000

/** The processes of all companions; whoever creates it has to end() it. */
export class Troupe {
  readonly #children: readonly ChildProcess[]
  readonly #ended: readonly Promise<void>[]
  #errors = ''
  #failed: ((reason: string) => void) | undefined

  /** They join the network of this beacon port on this interface. */
  constructor(network: { readonly address: string; readonly port: number }) {
    this.#children = COMPANIONS.map((name) => this.#start(name, network))
    this.#ended = this.#children.map(
      (child) => new Promise((resolve) => child.once('close', () => resolve())),
    )
  }

  /** Who they are, and which processes. */
  get names(): string {
    return this.#children
      .map(({ pid }, index) => `${COMPANIONS[index]} (process ${pid})`)
      .join(' and ')
  }

  /** What they wrote to standard error: nothing, where all is well. */
  get errors(): string {
    return this.#errors
  }

  /** Calls `failed` when a process ends otherwise than by leaving. */
  watch(failed: (reason: string) => void): void {
    this.#failed = failed
  }

  /** Lets them leave by themselves, which the end of their standard input tells them; then ends those that did not. */
  async end(): Promise<void> {
    this.#failed = undefined
    for (const { stdin } of this.#children) stdin?.end()
    const timer = setTimeout(() => {
      for (const child of this.#children) child.kill('SIGKILL')
    }, LEAVE_TIMEOUT_MS)
    await Promise.all(this.#ended)
    clearTimeout(timer)
  }

  #start(name: string, network: { readonly address: string; readonly port: number }): ChildProcess {
    const [, main = ''] = process.argv
    const { address, port } = network
    const node = ['--name', name, '--interface', address, '--port', String(port)]
    // What the environment says of a node is about ours.
    const env = Object.entries(process.env).filter(([variable]) => !variable.startsWith('LYRE_'))
    const child = spawn(process.execPath, [...process.execArgv, main, 'companion', ...node], {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: Object.fromEntries(env),
    })
    // One that has died does not read what would end it.
    child.stdin?.on('error', () => {})
    child.stderr?.on('data', (chunk: Uint8Array) => {
      if (this.#errors.length < ERRORS_LENGTH_MAX) this.#errors += clean(text(chunk))
    })
    child.once('error', ({ message }) => this.#failed?.(`${name} did not start: ${message}`))
    child.once('exit', (code, signal) => {
      if (code !== 0) this.#failed?.(`the process of ${name} ended with ${signal ?? code}`)
    })
    return child
  }
}
