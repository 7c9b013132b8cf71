// What there is to a node that plays in a simulation: what that replaces, and how it looks on (docs/adr/0005). Interfaces only.

import type { Frames, Uuid } from '../protocol/index.ts'
import type { LyreEvent } from './events.ts'
import type { Mesh, MeshHandlers, MeshOptions } from './mesh.ts'

/** A mesh as a node needs it: ours, or that of a simulation, which carries messages without making octets of them. */
export type Links = Pick<Mesh, keyof Mesh>

/** What the application of a node did: it was started, it is about to stop, or one of its commands had an effect. */
export type Action =
  | { readonly type: 'start' | 'stop' }
  | { readonly type: 'join' | 'leave'; readonly group: string }
  | {
      readonly type: 'whisper'
      readonly uuid: Uuid
      readonly content: Frames
      readonly count: number
    }
  | {
      readonly type: 'shout'
      readonly group: string
      readonly content: Frames
      readonly count: number
    }

/** Where a node plays when it is not on its own. */
export interface Stage {
  /** Makes the mesh, at each start; undefined where that of octets will do. */
  createMesh(options: MeshOptions, handlers: MeshHandlers): Links | undefined
  /** The application did something. */
  handleAction(action: Action): void
  /** The application is about to be told an event. */
  handleEvent(event: LyreEvent): void
  /** The application was told it. */
  handleTold(event: LyreEvent): void
  /** It listens for the event, or what it waited for has come. */
  handleWake(): void
}
