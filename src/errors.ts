// The errors that an application sees: its own mistakes, and what the host could not do. What a peer did wrong is a
// WireError, which stays inside.

/** The caller did something that cannot work; thrown at once, and nothing has changed. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly code = 'ERR_LYRE_USAGE'
}

/** The host could not do what was asked; `cause` holds what it said. */
export class NetworkError extends Error {
  override readonly name = 'NetworkError'
  readonly code = 'ERR_LYRE_NETWORK'
}

/** What was waited for did not happen in time, or the node stopped before. */
export class TimeoutError extends Error {
  override readonly name = 'TimeoutError'
  readonly code = 'ERR_LYRE_TIMEOUT'
}
