// Copies of octets, cut from large pieces of memory as those of a real socket are: whoever reads a message makes views of it,
// and a view of memory of its own, when that is small, costs ten times one of a large piece. Measured with Node.js 20: 400
// nanoseconds against 40.

const SLAB_BYTES = 65_536
/** What is larger gets memory of its own. */
const CUT_BYTES_MAX = 4_096

/** Gives out memory, and never takes it back: a piece goes when nobody holds any of it. */
export class Slab {
  #bytes = new Uint8Array(SLAB_BYTES)
  #size = 0

  /** A copy that is its receiver's. */
  copy(bytes: Uint8Array): Uint8Array {
    const { length } = bytes
    if (length > CUT_BYTES_MAX) return bytes.slice()
    if (this.#size + length > SLAB_BYTES) {
      this.#bytes = new Uint8Array(SLAB_BYTES)
      this.#size = 0
    }
    const start = this.#size
    this.#size += length
    this.#bytes.set(bytes, start)
    return this.#bytes.subarray(start, this.#size)
  }
}
