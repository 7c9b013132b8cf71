// What 'lyre/protocol' exports: the codecs and machines, for those who build something else on the same wire.

export {
  bitsOf,
  canonicalIpv6,
  formatNetwork,
  isAddress,
  isIpv4,
  isLinkLocal,
  isNear,
  withoutZone,
} from './addresses.ts'
export * from './beacon.ts'
export { isUuid, type Uuid, utf8, uuidToBytes, type Writer } from './bytes.ts'
export {
  canonicalEndpoint,
  formatEndpoint,
  type Home,
  parseEndpoint,
  publicEndpoint,
} from './endpoints.ts'
export { WireError } from './errors.ts'
export type { Allocate } from './frames.ts'
export * from './gossip.ts'
export * from './harmony.ts'
export * from './log.ts'
export * from './log-collector.ts'
export * from './log-publisher.ts'
export type { Letter, Mailbox, Mark, Tally, Wire } from './mailbox.ts'
export * from './mdns.ts'
export * from './mdns-table.ts'
export type {
  ConnectionId,
  ExitCause,
  LinkState,
  Peer,
  PeerDiagnostics,
  PeerState,
  Source,
} from './peers.ts'
export { Places } from './places.ts'
export * from './seeds.ts'
export * from './zmtp.ts'
export * from './zre.ts'
