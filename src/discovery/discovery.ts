// What all ways of finding nodes have in common, so that a node can use several at once.

import type { ExitCause, Uuid } from '../../protocol/index.ts'

/** Says that we are here, and hears who else is; it is started and stopped once for each life of the node. */
export interface Discovery {
  /** Others can find us from now on. @param endpoint what we tell them to dial. */
  start(endpoint: string): Promise<void>
  /** Says goodbye, and closes. */
  stop(): Promise<void>
  handleTimeout(now: number): void
  pollTimeout(): number
  /** A peer exits: for those who remember where it was. */
  handleExit?(peer: { readonly uuid: Uuid; readonly cause: ExitCause }, now: number): void
}

/** What is found out about other nodes; anybody can say such things, so it is hearsay. */
export interface DiscoveryHandlers {
  /** A node said that its inbox is there. */
  alive(uuid: Uuid, endpoint: string): void
  /** Somebody said that a node is leaving. */
  goodbye(uuid: Uuid): void
  /** pollTimeout() may be sooner than it was. */
  sooner(): void
}
