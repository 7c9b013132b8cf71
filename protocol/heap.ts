// Who is first among many, by an order that the owner names and that no two share: to put one in, or to take any of them out,
// takes the logarithm of their number. What decides about the order of one does not change while it is inside.

/** Something that is in one heap at most: `place` is the heap's own affair, -1 outside. */
export interface Heaped {
  place: number
}

/** A binary heap. */
export class Heap<Item extends Heaped> {
  readonly #isBefore: (one: Item, other: Item) => boolean
  readonly #items: Item[] = []

  constructor(isBefore: (one: Item, other: Item) => boolean) {
    this.#isBefore = isBefore
  }

  get first(): Item | undefined {
    return this.#items[0]
  }

  /** All of them, the first one first, the others in no order that means anything. */
  get items(): readonly Item[] {
    return this.#items
  }

  push(item: Item): void {
    this.#rise(item, this.#items.length)
  }

  /** Takes one out, if it is inside. */
  remove(item: Item): void {
    const { place } = item
    if (this.#items[place] !== item) return
    item.place = -1
    const last = this.#items.pop() as Item
    if (last === item) return
    this.#rise(last, place)
    this.#sink(last)
  }

  /** Puts it there, or at the place of one that comes later and is on the way to the first. */
  #rise(item: Item, from: number): void {
    let place = from
    while (place > 0) {
      const parentPlace = (place - 1) >> 1
      const parent = this.#items[parentPlace] as Item
      if (!this.#isBefore(item, parent)) break
      this.#put(parent, place)
      place = parentPlace
    }
    this.#put(item, place)
  }

  #sink(item: Item): void {
    for (;;) {
      const { place } = item
      const left = this.#items[2 * place + 1]
      const right = this.#items[2 * place + 2]
      const child = left && right && this.#isBefore(right, left) ? right : left
      if (child === undefined || !this.#isBefore(child, item)) return
      this.#put(item, child.place)
      this.#put(child, place)
    }
  }

  #put(item: Item, place: number): void {
    this.#items[place] = item
    item.place = place
  }
}
