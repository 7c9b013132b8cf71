// What 'lyre/sim' exports: a network in a box, to test programs that use Lyre in.

export type { LogLevel } from '../protocol/index.ts'
export { TimeoutError, UsageError } from '../src/errors.ts'
export type {
  Address,
  Channels,
  Clock,
  DatagramHandlers,
  DatagramOptions,
  DatagramSocket,
  Datagrams,
  Folder,
  Host,
  MulticastDns,
  MulticastDnsHandlers,
  MulticastDnsOptions,
  MulticastDnsSocket,
  NetworkInterface,
  Storage,
  Stream,
  StreamHandlers,
  StreamServer,
  Streams,
  Timer,
} from '../src/host.ts'
export type { Collector, CollectorEvents, CollectorOptions } from '../src/log/collector.ts'
export type { LogLine, LogLineNode, LogLineRecord } from '../src/log/lines.ts'
export type { Lyre } from '../src/lyre.ts'
export type { Action } from '../src/stage.ts'
export type { WireEvent } from '../src/wire.ts'
export {
  type CrashKind,
  FAULT_KINDS,
  type Faults,
  NO_FAULTS,
  type PartitionShape,
  type ReaderKind,
  readFaults,
} from './faults.ts'
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
export type { Finding, Invariant, Link } from './judge/findings.ts'
export type { LinkSettings } from './links.ts'
export type { MachineSettings } from './machines.ts'
export type { Place, SimulationOptions } from './options.ts'
export { Random } from './random.ts'
export {
  describePlan,
  type Plan,
  type Progress,
  planRun,
  type Repro,
  type RunOptions,
  readRepro,
  reproOf,
  run,
  type Verdict,
  type Watch,
} from './run.ts'
export { Simulation, type Statistics, type Whereabouts } from './simulation.ts'
export { WORKLOADS, type WorkloadName } from './workloads.ts'
