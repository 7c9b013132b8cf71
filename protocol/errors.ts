// What a peer did wrong. The other classes of errors, for what our caller or the host did, are in src/errors.ts;
// what we did wrong ourselves is an assert().

/**
 * A peer, or whatever else spoke to us, broke the protocol. Whoever catches it drops the datagram or the connection,
 * counts it, and goes on: it never reaches the application.
 */
export class WireError extends Error {
  override readonly name = 'WireError'
  /** The rule that was broken, as page and number: `zre.md 2.3`. */
  readonly rule: string

  /** @param rule page and number of the rule; @param message what came, for people; it never holds content. */
  constructor(rule: string, message: string) {
    super(`${message} (${rule})`)
    this.rule = rule
  }
}
