// What we did wrong ourselves.

/**
 * Stops a program whose own logic is broken. Never used on anything that came from the wire or from the caller.
 * @throws Error when `condition` is false.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`Lyre is broken, please report this: ${message}`)
}
