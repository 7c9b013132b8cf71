/** Waiting for what is told, never for time to pass: with a bound, so that who waits in vain learns what came instead. */

/**
 * Long enough for a busy machine; a test that reaches it has failed. Where 40 processes want two processors, one that starts needs
 * 20 s until it says something.
 */
const BOUND_MS = 60_000

/** All that was told, in order, and a place in it: next() goes on from there. */
export class Heard<T> {
  readonly items: T[] = []
  #index = 0
  #wake: (() => void) | undefined

  add(item: T): void {
    this.items.push(item)
    this.#wake?.()
  }

  /** The next item that fits, told already or not yet; what is before it is passed over. */
  async next<S extends T>(
    what: string,
    fits: ((item: T) => item is S) | ((item: T) => boolean) = () => true,
    boundMs = BOUND_MS,
  ): Promise<S> {
    const from = this.#index
    const deadline = performance.now() + boundMs
    for (;;) {
      while (this.#index < this.items.length) {
        const item = this.items[this.#index++] as T
        if (fits(item)) return item as S
      }
      if (!(await this.#more(deadline - performance.now()))) {
        const came = this.items.slice(from).map(plain).slice(-20)
        throw new Error(`waited in vain for ${what}; what came: ${came.join(', ') || 'nothing'}`)
      }
    }
  }

  /** Waits until `done` says that all there is fits. It reads nothing, so next() finds everything again. */
  async until(what: string, done: () => boolean, boundMs = BOUND_MS): Promise<void> {
    const deadline = performance.now() + boundMs
    while (!done()) {
      if (!(await this.#more(deadline - performance.now()))) {
        const came = this.items.map(plain).slice(-20)
        throw new Error(`waited in vain for ${what}; what came: ${came.join(', ') || 'nothing'}`)
      }
    }
  }

  #more(leftMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), Math.max(0, leftMs))
      this.#wake = () => {
        clearTimeout(timer)
        resolve(true)
      }
    })
  }
}

/** Asks again and again, a little apart, for what nobody tells. */
export async function eventually(
  what: string,
  done: () => boolean | Promise<boolean>,
  boundMs = BOUND_MS,
): Promise<void> {
  const deadline = performance.now() + boundMs
  while (!(await done())) {
    if (performance.now() > deadline) throw new Error(`it never came to this: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

function plain(item: unknown): string {
  const text = JSON.stringify(item, (_, value) =>
    value instanceof Uint8Array ? `${value.length} octets` : value,
  )
  return text === undefined ? String(item) : text.slice(0, 200)
}
