/**
 * What once broke, as octets: a datagram for `beacon`, a message as ZMTP frames for `zre`, a frame for `gossip`, frames for `frames`, and a whole
 * stream from its greeting on for `zmtp` and `node`. What broke `harmony` by itself becomes a test in test/protocol/. Seeds
 * are no regression cases: what they draw changes with the fuzzer.
 */

export type Regression = {
  readonly target: 'beacon' | 'zre' | 'frames' | 'zmtp' | 'node' | 'gossip'
  /** What it did. */
  readonly about: string
  readonly hex: string
}

export const REGRESSIONS: readonly Regression[] = []
