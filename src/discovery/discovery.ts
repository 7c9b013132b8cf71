// What all ways of finding nodes have in common, so that a node can use several at once.

import type { Uuid } from '../../protocol/index.ts'

/** Says that we are here, and hears who else is; it is started and stopped once for each life of the node. */
export interface Discovery {
  /** Others can find us from now on. @param inboxPort what we tell them to dial. */
  start(inboxPort: number): Promise<void>
  /** Says goodbye, and closes. */
  stop(): Promise<void>
  handleTimeout(now: number): void
  pollTimeout(): number
  /** The link to a peer is gone, without a goodbye: for those who remember where it was. */
  handleLost?(uuid: Uuid, now: number): void
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
