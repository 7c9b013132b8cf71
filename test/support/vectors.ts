/**
 * The golden vectors of test/vectors/: octets captured from foreign nodes, with the source of each.
 * They are evidence: added, never edited, and never written by our own encoder.
 */

import { readFileSync } from 'node:fs'
import { FrameReader } from '../../protocol/frames.ts'

export type Vector = {
  readonly name: string
  /** Which software sent it, with its version, or how it was worked out by hand. */
  readonly source: string
  /** Who sent it to whom. */
  readonly direction: string
  readonly hex: string
  readonly bytes: Uint8Array
  /** What the octets mean: its fields differ from file to file. */
  // biome-ignore lint/suspicious/noExplicitAny: each test knows the fields of its own vectors.
  readonly decoded: any
}

export type Vectors = {
  readonly vectors: readonly Vector[]
  /** What a foreign node was seen to do when it was sent these octets. */
  readonly behaviours: readonly Vector[]
}

/** Loads `test/vectors/NAME.json`. */
export function loadVectors(name: string): Vectors {
  const url = new URL(`../vectors/${name}.json`, import.meta.url)
  const file = JSON.parse(readFileSync(url, 'utf8'))
  const withBytes = (vector: Omit<Vector, 'bytes'>) => ({ ...vector, bytes: fromHex(vector.hex) })
  return { vectors: file.vectors.map(withBytes), behaviours: file.behaviours.map(withBytes) }
}

/** The one vector of that name; throws when there is none, so that a typing error is no passing test. */
export function findVector({ vectors, behaviours }: Vectors, name: string): Vector {
  const found = [...vectors, ...behaviours].find((vector) => vector.name === name)
  if (found === undefined) throw new Error(`there is no vector '${name}'`)
  return found
}

/** Octets from hexadecimal digits; spaces are for the reader. Throws on anything else. */
export function fromHex(hex: string): Uint8Array {
  const digits = hex.replaceAll(/\s/g, '')
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`not hexadecimal: '${hex}'`)
  return Uint8Array.from(digits.match(/../g) ?? [], (octet) => Number.parseInt(octet, 16))
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, '0')).join('')
}

/** The frames of ZMTP in these octets, whatever messages they are of. */
export function framesOf(octets: Uint8Array): Uint8Array[] {
  const reader = new FrameReader()
  reader.add(octets)
  const frames: Uint8Array[] = []
  while (reader.next(100_000)) frames.push(reader.body())
  return frames
}
