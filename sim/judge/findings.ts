// What a judge finds: which invariant broke, when, between whom, what should have been, what was, and what led there.

/** The invariants that a run is judged by; docs/guide/simulation.md says what each means. */
export type Invariant =
  | 'I1'
  | 'I2'
  | 'I3'
  | 'I4'
  | 'I5'
  | 'I6'
  | 'I7'
  | 'I8'
  | 'I9'
  | 'I10'
  | 'I11'
  | 'I12'
  | 'I13'
  | 'I14'
  | 'I15'
  | 'I17'
  | 'I19'
  | 'I20'

/** A record of the true history, as a line; `cause` is the number of the one that led to it, 0 where nobody knows. */
export interface Link {
  readonly id: number
  readonly at: number
  readonly text: string
  readonly cause: number
}

/** Something that must not be. */
export interface Finding {
  readonly invariant: Invariant
  /** Virtual milliseconds. */
  readonly at: number
  /** Names of nodes, as in the chain. */
  readonly node: string
  readonly peer: string
  readonly expected: string
  readonly seen: string
  /** What led to it, the newest first: first what caused what, then what else happened to the two. */
  readonly chain: readonly Link[]
}

/** What a checker tells when something must not be. */
export type Report = (
  invariant: Invariant,
  about: {
    readonly party?: { readonly index: number } | undefined
    readonly peer?: { readonly index: number } | undefined
    readonly expected: string
    readonly seen: string
    /** Number of the record with which it was noticed. */
    readonly id?: number
  },
) => void
