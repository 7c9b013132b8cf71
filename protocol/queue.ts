// What waits in order. An array whose length is set to 0 gives up its memory, and takes room for 17 with the next push: where
// one thing at a time goes in and out, as with most inputs of a machine, that is more garbage than the things themselves.
// Where one is never empty, what has gone out in front of it is cut off once it is as long as what waits: no more are moved than
// have gone out.

/** Memory for so many is kept that do not wait any more. */
const KEPT_MAX = 1_024

/** First in, first out. */
export class Queue<Item> {
  #items: (Item | undefined)[] = []
  #first = 0
  #end = 0

  get length(): number {
    return this.#end - this.#first
  }

  push(item: Item): void {
    this.#items[this.#end++] = item
  }

  /** The one that waits longest; undefined when none does. */
  shift(): Item | undefined {
    if (this.#first === this.#end) return undefined
    const item = this.#items[this.#first]
    this.#items[this.#first++] = undefined
    if (this.#first < this.#end) {
      if (this.#first > KEPT_MAX && this.#first >= this.length) this.#cut()
      return item
    }
    this.#first = 0
    this.#end = 0
    return item
  }

  #cut(): void {
    this.#items = this.#items.slice(this.#first, this.#end)
    this.#end -= this.#first
    this.#first = 0
  }
}
