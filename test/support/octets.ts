/** Octets for tests: joined, cut, compared, and made up so that each place differs from its neighbours. */

import { createHash } from 'node:crypto'

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}

/** `size` octets: octet i is i modulo 251, a prime, so that no power of two hides a shift. */
export function pattern(size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let index = 0; index < size; index++) bytes[index] = index % 251
  return bytes
}

/** Text that is equal for equal octets: hexadecimal digits, or the SHA-256 of what is long. */
export function digest(bytes: Uint8Array): string {
  const long = bytes.length > 64
  return long
    ? createHash('sha256').update(bytes).digest('hex')
    : Buffer.from(bytes).toString('hex')
}

/** Cuts `bytes` behind each of `places`, taken modulo its length, into arrays of their own. */
export function slice(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const cuts = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b)
  return [0, ...cuts].map((start, index) => bytes.slice(start, cuts[index] ?? bytes.length))
}
