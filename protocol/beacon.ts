// The UDP beacon: a datagram by which a node says "I am here, and my inbox is at this port". The address is not in it: it
// is where the datagram came from.
// Spec: beacon.md, after 36/ZRE "Discovery" and what C Zyre sends.

import { bytesToUuid, isUuidOf, Reader, type Uuid, uuidToBytes, Writer } from './bytes.ts'
import { WireError } from './errors.ts'

/** The UDP port that is registered for ZRE discovery; another port is another network. */
export const BEACON_PORT = 5670
/** Where a beacon goes on a loopback interface that has no broadcast, as macOS and the BSDs have it (beacon.md 2.7). */
export const BEACON_MULTICAST = '239.255.22.38'
/** Where a beacon goes with IPv6: all nodes of a link, as those of C Zyre (beacon.md 2.8). */
export const BEACON_MULTICAST_IPV6 = 'ff02::1'
/** Octets of a beacon of version 1: a node that talks in the clear. */
export const BEACON_BYTES = 22
/** Octets of a beacon of version 3: a node that talks CURVE only, with its public key. */
export const SECURE_BEACON_BYTES = 54

/**
 * One beacon. `port` is that of the inbox, 1 to 65535; 0 says goodbye. `version` 3 carries the node's long-term CURVE key
 * of 32 octets.
 */
export type Beacon =
  | { readonly version: 1; readonly uuid: Uuid; readonly port: number }
  | {
      readonly version: 3
      readonly uuid: Uuid
      readonly port: number
      readonly publicKey: Uint8Array
    }

/**
 * Reads one datagram. Sizes are exact: an octet too many means that another protocol is talking.
 * The `publicKey` given back is a view of `datagram`, not a copy.
 * @throws WireError on a wrong signature, version or size (beacon.md 2.1, 2.2).
 */
export function decodeBeacon(datagram: Uint8Array): Beacon {
  // 'ZRE' is compared octet by octet: this runs for whatever anybody broadcasts to the port.
  if (datagram[0] !== 0x5a || datagram[1] !== 0x52 || datagram[2] !== 0x45) {
    throw new WireError('beacon.md 2.1', 'not a ZRE beacon')
  }
  const version = datagram[3]
  if (version === 1 && datagram.length === BEACON_BYTES) {
    return { version, ...decodeNode(datagram) }
  }
  if (version === 3 && datagram.length === SECURE_BEACON_BYTES) {
    return { version, ...decodeNode(datagram), publicKey: datagram.subarray(BEACON_BYTES) }
  }
  throw new WireError(
    'beacon.md 2.2',
    `a beacon of version ${version} with ${datagram.length} octets`,
  )
}

/** Whether a datagram is, octet for octet, a beacon of version 1 with this uuid and port: nothing is made of it to know. */
export function isBeaconOf(
  datagram: Uint8Array,
  { uuid, port }: { readonly uuid: Uuid; readonly port: number },
): boolean {
  const isOurKind =
    datagram.length === BEACON_BYTES &&
    datagram[0] === 0x5a &&
    datagram[1] === 0x52 &&
    datagram[2] === 0x45 &&
    datagram[3] === 1
  if (!isOurKind || datagram[20] !== port >>> 8 || datagram[21] !== (port & 0xff)) return false
  return isUuidOf(datagram, 4, uuid)
}

/** The 22 octets of a beacon of version 1. `port` is 0 to 65535; 0 says goodbye (beacon.md 2.4). */
export function encodeBeacon(beacon: { readonly uuid: Uuid; readonly port: number }): Uint8Array {
  return new Writer().u32(0x5a524501).bytes(uuidToBytes(beacon.uuid)).u16(beacon.port).finish()
}

function decodeNode(datagram: Uint8Array): { uuid: Uuid; port: number } {
  const reader = new Reader(datagram, 'beacon.md 2.2')
  reader.skip(4)
  return { uuid: bytesToUuid(reader.bytes(16)), port: reader.u16() }
}
