/**
 * Three feeds: a stream decoder must give the same answer however TCP slices the octets. Every chunk
 * is an array of its own, so that nothing is right only because two chunks share memory.
 */

export type ThreeFeeds<T> = {
  /** All octets in one chunk. */
  readonly whole: T
  /** A chunk for each octet. */
  readonly byOctet: T
  /** All octets, then the tail in the same chunk: what the next message on the stream begins with. */
  readonly withTail: T
}

/**
 * Reads `bytes` in the three ways and gives back the three answers, for comparing.
 * `read` is called three times, each time for a fresh decoder, with the chunks in order; it returns
 * what was decoded of `bytes`, leaving out what the tail alone gave.
 */
export function feedThree<T>(
  bytes: Uint8Array,
  tail: Uint8Array,
  read: (chunks: readonly Uint8Array[]) => T,
): ThreeFeeds<T> {
  const joined = new Uint8Array(bytes.length + tail.length)
  joined.set(bytes)
  joined.set(tail, bytes.length)
  return {
    whole: read([bytes.slice()]),
    byOctet: read(Array.from(bytes, (octet) => Uint8Array.of(octet))),
    withTail: read([joined]),
  }
}
