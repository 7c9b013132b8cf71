// Standard output as something that can be full or gone, and that a verb can wait for: what a reader does not take must
// not pile up here.

import type { Writable } from 'node:stream'

/** One stream of text to whoever reads us. */
export class Output {
  readonly #stream: Writable
  #blocked: Promise<void> | undefined
  #broken = false

  /**
   * @param broken called once when nothing can be written any more. That a reader has gone, as after `lyre pipe | head -1`, is
   * no news for whoever started both; any other reason is said to standard error.
   */
  constructor(stream: Writable, broken: () => void) {
    this.#stream = stream
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#broken) return
      this.#broken = true
      if (error.code !== 'EPIPE') {
        process.stderr.write(`lyre: the output cannot be written: ${error.message}\n`)
      }
      broken()
    })
  }

  /** Whether the reader has gone away. */
  get broken(): boolean {
    return this.#broken
  }

  /** Writes at once, or queues behind what is not written yet. */
  write(text: string): void {
    if (this.#broken) return
    if (this.#stream.write(text) || this.#blocked !== undefined) return
    this.#blocked = new Promise((resolve) => {
      const settle = () => {
        this.#blocked = undefined
        this.#stream.off('drain', settle)
        this.#stream.off('error', settle)
        resolve()
      }
      this.#stream.on('drain', settle)
      this.#stream.on('error', settle)
    })
  }

  /** Resolves when what was written is out, or never will be; undefined when there is nothing to wait for. */
  ready(): Promise<void> | undefined {
    return this.#broken ? undefined : this.#blocked
  }
}
