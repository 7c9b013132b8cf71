// What 'lyre/sim' exports: a network in a box, to test programs that use Lyre in.

export { TimeoutError, UsageError } from '../src/errors.ts'
export type { Action, Lyre } from '../src/lyre.ts'
export type {
  ActionRecord,
  ConnectionRecord,
  DatagramRecord,
  EventRecord,
  Fault,
  FaultRecord,
  MessageRecord,
  Observer,
  OctetsRecord,
  SimulatedNode,
} from './history.ts'
export type { LinkSettings } from './links.ts'
export type { Place, SimulationOptions } from './options.ts'
export { Random } from './random.ts'
export { Simulation, type Statistics, type Whereabouts } from './simulation.ts'
