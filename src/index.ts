// The public entry: joins a node to the machine it runs on.

import { Collector, type CollectorOptions } from './log/collector.ts'
import { Lyre } from './lyre.ts'
import type { LyreOptions } from './options.ts'
import { systemHost } from './system/index.ts'

export type {
  CollectedEvent,
  ExitCause,
  GossipKind,
  Headers,
  HeardTuple,
  LogEventName,
  LogFields,
  LoggingNode,
  LoggingNodeDiagnostics,
  LogLevel,
  LogRecord,
  LogRecordV1,
  LogRecordV2,
  LogRefusal,
  MdnsInstance,
  MdnsKind,
  Peer,
  PeerDiagnostics,
  PeerEvent,
  PeerState,
  SeedDiagnostics,
  Trace,
  TupleDiagnostics,
  TupleState,
  Uuid,
  ZreCommand,
  ZreMessage,
} from '../protocol/index.ts'
export { LOG_EVENTS, LOG_LEVELS, WireError } from '../protocol/index.ts'
export type {
  BeaconCounts,
  BeaconDiagnostics,
  BeaconKind,
  HeardBeacon,
  SendFailure,
} from './discovery/beacon.ts'
export type { GossipDiagnostics, HubDiagnostics } from './discovery/gossip.ts'
export type { ChosenInterface, InterfaceChoice } from './discovery/interfaces.ts'
export type { MdnsDiagnostics } from './discovery/mdns.ts'
export { NetworkError, TimeoutError, UsageError } from './errors.ts'
export {
  type EventOf,
  type LyreEvent,
  type LyreEvents,
  type OverrunEvent,
  text,
  type WarningEvent,
} from './events.ts'
export {
  causesOf,
  type Evidence,
  type Finding,
  type FindingCode,
  findingsOf,
  SEVERITIES,
  type SeedEvidence,
  type Severity,
  worstFirst,
} from './findings.ts'
export type { CollectorEvents, CollectorOptions } from './log/collector.ts'
export type { LogLine, LogLineNode, LogLineRecord } from './log/lines.ts'
export type { LogDiagnostics, Observation } from './log/observer.ts'
export type { LogReceiverDiagnostics } from './log/receiver.ts'
export type { LogSenderDiagnostics, LogTargetDiagnostics } from './log/sender.ts'
export { type LogStream, logStream } from './log/stream.ts'
export type { Content } from './lyre.ts'
export {
  type HistogramSample,
  METRICS,
  type Metric,
  type MetricLabels,
  type MetricMeaning,
  type MetricName,
  type MetricSample,
  type Metrics,
} from './metrics.ts'
export type { LogOptions, LyreLimits, LyreOptions } from './options.ts'
export { type PrometheusRegistry, registerMetrics } from './prometheus.ts'
export type { Diagnostics } from './pump.ts'
export type { RememberedPeer, StateDiagnostics } from './state.ts'
export type {
  WireConfirmation,
  WireEvent,
  WireLink,
  WireMessage,
  WireMoment,
} from './wire.ts'
export type { Collector, Lyre }

/**
 * Creates a node; start() brings it to life.
 * @throws UsageError on an option that cannot work.
 */
export function createLyre(options: LyreOptions = {}): Lyre {
  return new Lyre(options, systemHost)
}

/**
 * Creates a collector of logs, which is a node of the network; start() brings it to life.
 * @throws UsageError on an option that cannot work.
 */
export function createCollector(options: CollectorOptions = {}): Collector {
  return new Collector(options, systemHost, createLyre)
}
