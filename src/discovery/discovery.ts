// What all ways of finding nodes have in common, so that a node can use several at once.

import type { ExitCause, Uuid } from '../../protocol/index.ts'
import type { ChosenInterface } from './interfaces.ts'

/** An interface that we are on, and the port of our inbox there, as others are told it. */
export interface Place {
  readonly chosen: ChosenInterface
  readonly inboxPort: number
}

/** Where we are. */
export interface Whereabouts {
  /** What those are told to dial who are on none of our networks. */
  readonly endpoint: string
  readonly places: readonly Place[]
}

/** Says that we are here, and hears who else is; it is started for each life of the node, and again where that moves. */
export interface Discovery {
  /** Others can find us there from now on, and nowhere else. */
  start(at: Whereabouts): Promise<void>
  /** What may have gone deaf is opened anew, or asked, and others hear of us at once: we slept, or our network was away. */
  renew(): Promise<void>
  /** Whether start() did not do all of it, and is to be called again in a moment. */
  readonly isPartial?: boolean
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
