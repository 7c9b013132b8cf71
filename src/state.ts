// What a node keeps in its state folder from one start to the next: who it is, how often it was started, and, where it is told
// to, whom it met. What cannot be read is a problem that is told, and begins anew; only a folder that cannot be had is an error.

import {
  ID_HEADER,
  INCARNATION_HEADER,
  isUuid,
  type Peer,
  parseEndpoint,
  type Seed,
  type Uuid,
} from '../protocol/index.ts'
import type { Folder, Storage } from './host.ts'

/** A node's own state, for diagnostics. */
export interface StateDiagnostics {
  readonly folder: string
  /** The same for as long as the folder is: 32 hexadecimal digits. */
  readonly id: string
  /** How often a node was started with this folder; 0 before the first time. */
  readonly incarnation: number
  /** Peers that are remembered; null unless that was asked for. */
  readonly remembered: readonly RememberedPeer[] | null
  /** What could not be read or written, in sentences. */
  readonly problems: readonly string[]
}

/** Where a peer was. */
export interface RememberedPeer {
  readonly endpoint: string
  readonly name: string
  /** Its stable id; empty where it told none. */
  readonly id: string
  /** When it entered or left last, in milliseconds since 1970, by the clock of this machine. */
  readonly seenAt: number
}

const IDENTITY = 'lyre-identity.json'
const STARTS = 'lyre-starts.json'
const PEERS = 'lyre-peers.json'
/** The last ones that were seen. */
const PEERS_MAX = 64
/** Peers come in crowds: what changed is written so long after the first change. */
const WRITE_AFTER_MS = 5_000
const PROBLEMS_MAX = 16
const NEVER = Number.POSITIVE_INFINITY

/** The state folder of one node. */
export class State {
  readonly id: string
  /** The uuid of the first node of this folder, for those that keep it. */
  readonly uuid: Uuid
  readonly #path: string
  readonly #folder: Folder
  readonly #storage: Storage
  readonly #problems: string[] = []
  /** By stable id, or by endpoint; the last one that was seen is the last. Undefined where none is to be remembered. */
  readonly #peers: Map<string, RememberedPeer> | undefined
  #incarnation: number
  #release: (() => void) | undefined
  #writeAt = NEVER

  /**
   * Reads what there is, and makes the identity if there is none.
   * @param fresh an id and a uuid for that. @throws UsageError where the folder cannot be had.
   */
  constructor(
    storage: Storage,
    options: {
      readonly path: string
      readonly remember: boolean
      readonly fresh: { readonly id: string; readonly uuid: Uuid }
    },
  ) {
    this.#storage = storage
    this.#path = options.path
    this.#folder = storage.folder(options.path)
    const { id, uuid } = this.#read(IDENTITY, asIdentity) ?? this.#found(options.fresh)
    this.id = id
    this.uuid = uuid
    this.#incarnation = this.#read(STARTS, asCount) ?? 0
    if (options.remember) {
      const peers = this.#read(PEERS, asPeers) ?? []
      this.#peers = new Map(peers.map((peer) => [keyOf(peer), peer]))
    }
  }

  /** What our HELLO tells of it. */
  get headers(): Readonly<Record<string, string>> {
    return { [ID_HEADER]: this.id, [INCARNATION_HEADER]: String(this.#incarnation) }
  }

  /** Where peers were, whoever was seen last first. */
  get seeds(): Seed[] {
    const peers = [...(this.#peers?.values() ?? [])].reverse()
    return peers.map(({ endpoint }) => ({ endpoint, remembered: true }))
  }

  /** The node is started: nobody else is with this folder. @throws UsageError when somebody is. */
  begin(): void {
    this.#release = this.#folder.claim()
    // Somebody else may have had the folder since.
    const count = this.#read(STARTS, asCount) ?? 0
    this.#incarnation = Math.max(count, this.#incarnation) + 1
    try {
      this.#folder.write(STARTS, fileOf('starts', { count: this.#incarnation }))
    } catch (error) {
      this.end()
      throw error
    }
  }

  /** The node is stopped. */
  end(): void {
    this.#write()
    this.#release?.()
    this.#release = undefined
  }

  /** A peer has entered, or left. */
  handleSeen({ endpoint, name, headers }: Peer, now: number): void {
    if (this.#peers === undefined) return
    const id = headers[ID_HEADER] ?? ''
    const peer = { endpoint, name, id: isUuid(id) ? id : '', seenAt: this.#storage.date() }
    const key = keyOf(peer)
    this.#peers.delete(key)
    this.#peers.set(key, peer)
    const [oldest] = this.#peers.keys()
    if (this.#peers.size > PEERS_MAX && oldest !== undefined) this.#peers.delete(oldest)
    if (this.#writeAt === NEVER) this.#writeAt = now + WRITE_AFTER_MS
  }

  handleTimeout(now: number): void {
    if (now >= this.#writeAt) this.#write()
  }

  pollTimeout(): number {
    return this.#writeAt
  }

  diagnostics(): StateDiagnostics {
    return {
      folder: this.#path,
      id: this.id,
      incarnation: this.#incarnation,
      remembered: this.#peers === undefined ? null : [...this.#peers.values()].reverse(),
      problems: [...this.#problems],
    }
  }

  /** Made once, while nobody else makes one. */
  #found(fresh: { readonly id: string; readonly uuid: Uuid }): typeof fresh {
    const release = this.#folder.claim()
    try {
      const made = this.#folder.read(IDENTITY)
      const other = made === undefined ? undefined : parse(made, asIdentity)
      if (other !== undefined) return other
      this.#folder.write(IDENTITY, fileOf('identity', fresh))
      return fresh
    } finally {
      release()
    }
  }

  #read<Content>(name: string, as: (content: unknown) => Content | undefined): Content | undefined {
    const text = this.#folder.read(name)
    if (text === undefined) return undefined
    const content = parse(text, as)
    if (content === undefined) this.#complain(`${name} is not as Lyre writes it, and begins anew`)
    return content
  }

  #write(): void {
    if (this.#writeAt === NEVER) return
    this.#writeAt = NEVER
    try {
      this.#folder.write(PEERS, fileOf('peers', { peers: [...(this.#peers?.values() ?? [])] }))
    } catch (error) {
      this.#complain((error as Error).message)
    }
  }

  #complain(problem: string): void {
    if (this.#problems.includes(problem) || this.#problems.length >= PROBLEMS_MAX) return
    this.#problems.push(problem)
  }
}

function keyOf({ id, endpoint }: RememberedPeer): string {
  return id === '' ? endpoint : id
}

function fileOf(lyre: string, content: object): string {
  return `${JSON.stringify({ lyre, ...content }, undefined, 2)}\n`
}

function parse<Content>(
  text: string,
  as: (content: unknown) => Content | undefined,
): Content | undefined {
  try {
    return as(JSON.parse(text))
  } catch {
    return undefined
  }
}

function asIdentity(content: unknown): { readonly id: string; readonly uuid: Uuid } | undefined {
  const { lyre, id, uuid } = content as Record<string, unknown>
  if (lyre !== 'identity' || typeof id !== 'string' || typeof uuid !== 'string') return undefined
  return isUuid(id) && isUuid(uuid) ? { id, uuid } : undefined
}

function asCount(content: unknown): number | undefined {
  const { lyre, count } = content as Record<string, unknown>
  return lyre === 'starts' && Number.isSafeInteger(count) ? Math.max(0, Number(count)) : undefined
}

function asPeers(content: unknown): RememberedPeer[] | undefined {
  const { lyre, peers } = content as Record<string, unknown>
  if (lyre !== 'peers' || !Array.isArray(peers)) return undefined
  return peers.every(isRemembered) ? peers.slice(-PEERS_MAX) : undefined
}

function isRemembered(peer: unknown): peer is RememberedPeer {
  const { endpoint, name, id, seenAt } = peer as Record<string, unknown>
  const isPlace = typeof endpoint === 'string' && parseEndpoint(endpoint) !== undefined
  return isPlace && typeof name === 'string' && typeof id === 'string' && Number.isFinite(seenAt)
}
