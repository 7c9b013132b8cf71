// What happened last, with what led to it: enough to tell, when something is found, how it came about. Lines are made only
// when somebody wants to read them.

import type { Link } from './findings.ts'

/** Records that are kept; a power of two. */
const KEPT = 0x8000
const CHAIN_MAX = 24
const CONTEXT_MAX = 40

/** A record: what kind, at which node, about which peer, and the rest, as a text that is made when it is read. */
export interface Entry {
  readonly at: number
  readonly kind: string
  /** Numbers of nodes; -1 is none. */
  readonly node: number
  readonly peer: number
  readonly cause: number
  readonly command?: string
  readonly sequence?: number
  readonly detail?: string
}

/** The newest records of a run, numbered from 1. */
export class Journal {
  readonly #entries: (Entry | undefined)[] = new Array(KEPT)
  readonly #tell: ((line: string) => void) | undefined
  #count = 0

  /** @param tell hears each record as a line of JSON. */
  constructor(tell: ((line: string) => void) | undefined) {
    this.#tell = tell
  }

  /** @returns its number. */
  note(entry: Entry): number {
    const id = ++this.#count
    this.#entries[id & (KEPT - 1)] = entry
    this.#tell?.(lineOf(id, entry))
    return id
  }

  /** What led to a record, then what else happened to these nodes before it, the newest first. */
  chain(id: number, nodes: readonly number[]): Link[] {
    const chain: Link[] = []
    const told = new Set<number>()
    for (let at = id; at > 0 && chain.length < CHAIN_MAX; at = this.#entry(at)?.cause ?? 0) {
      const entry = this.#entry(at)
      if (entry === undefined || told.has(at)) break
      told.add(at)
      chain.push(linkOf(at, entry))
    }
    const count = chain.length + CONTEXT_MAX
    for (let at = this.#count; at > 0 && chain.length < count; at--) {
      const entry = this.#entry(at)
      if (entry === undefined) break
      const isTheirs =
        nodes.includes(entry.node) &&
        (entry.peer < 0 || nodes.includes(entry.peer) || nodes.length === 1)
      if (isTheirs && !told.has(at)) chain.push(linkOf(at, entry))
    }
    return chain
  }

  #entry(id: number): Entry | undefined {
    return id > this.#count - KEPT ? this.#entries[id & (KEPT - 1)] : undefined
  }
}

function linkOf(id: number, entry: Entry): Link {
  const { at, kind, node, peer, cause, command, sequence, detail } = entry
  const parts = [kind]
  if (node >= 0) parts.push(`n${node}`)
  if (peer >= 0) parts.push(`n${peer}`)
  if (command !== undefined) parts.push(command)
  if (sequence !== undefined) parts.push(`seq ${sequence}`)
  if (detail !== undefined) parts.push(detail)
  return { id, at, text: parts.join(' '), cause }
}

function lineOf(id: number, entry: Entry): string {
  const { at, kind, node, peer, cause, command, sequence, detail } = entry
  return JSON.stringify({
    t: at,
    i: id,
    node: node < 0 ? undefined : `n${node}`,
    peer: peer < 0 ? undefined : `n${peer}`,
    kind,
    cmd: command,
    seq: sequence,
    text: detail,
    cause,
  })
}
