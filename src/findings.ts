// Why a node hears nobody, or does not reach whom it hears, as far as its diagnostics tell: what was seen, why that matters, and
// what to do about it. Pure, so that a warning, a verb of the command and a test with a broken set-up all hear the same.
// Past 600 lines because it is one list of all that can be wrong, and most of it is what is said of that.

import { isLinkLocal, type PeerDiagnostics } from '../protocol/index.ts'
import type { BeaconDiagnostics, SendFailure } from './discovery/beacon.ts'
import type { GossipDiagnostics } from './discovery/gossip.ts'
import {
  type ChosenInterface,
  type InterfaceChoice,
  IPV6_OFF,
  isAskedFor,
  kindOf,
  networkOf,
} from './discovery/interfaces.ts'
import type { MdnsDiagnostics } from './discovery/mdns.ts'

/** How bad it is: `ok` works, `note` is good to know, `warning` may be why nobody is there, `problem` keeps somebody out. */
export type Severity = 'problem' | 'warning' | 'note' | 'ok'

/** What can be found. */
export type FindingCode =
  | 'interface-used'
  | 'interface-skipped'
  | 'inbox-failed'
  | 'only-virtual'
  | 'only-link-local'
  | 'only-loopback'
  | 'beacons-off'
  | 'send-failed'
  | 'own-beacons-missing'
  | 'only-own-beacons'
  | 'fell-silent'
  | 'beacons-heard'
  | 'curve-neighbours'
  | 'other-version'
  | 'foreign-network'
  | 'duplicate-uuid'
  | 'noise'
  | 'hub-unreachable'
  | 'hub-alone'
  | 'gossip-leads-nowhere'
  | 'hub-connected'
  | 'seed-unreachable'
  | 'state-unwritten'
  | 'mdns-closed'
  | 'mdns-own-missing'
  | 'mdns-other-network'
  | 'mdns-alone'
  | 'mdns-heard'
  | 'peer-unreachable'
  | 'inbound-blocked'
  | 'peers-there'

/** One thing that was found. */
export interface Finding {
  readonly code: FindingCode
  readonly severity: Severity
  /** What was seen; names in it are as others sent them. */
  readonly seen: string
  /** Why it matters, and what to do; empty where all is well. */
  readonly why: string
  readonly remedy: string
}

/** What of the diagnostics of a node it is found in. */
export interface Evidence {
  readonly endpoint: string | null
  readonly interface: InterfaceChoice | null
  readonly beacon: BeaconDiagnostics | null
  readonly gossip: GossipDiagnostics | null
  readonly mdns: readonly MdnsDiagnostics[] | null
  readonly peers: readonly PeerDiagnostics[]
  /** Where nodes are said to be; and where it is kept who we are, with what went wrong there. Both where a node has such. */
  readonly seeds?: readonly SeedEvidence[]
  readonly identity?: {
    readonly folder: string
    readonly problems: readonly string[]
  } | null
}

/** An endpoint that is dialled until somebody has entered there; `remembered` from an earlier start. */
export interface SeedEvidence {
  readonly endpoint: string
  readonly remembered: boolean
  readonly state: string
  readonly lastReason: string | null
}

/** How bad a finding is, the worst first. */
export const SEVERITIES: readonly Severity[] = ['problem', 'warning', 'note', 'ok']
/** How many of a list are named. */
const NAMED_MAX = 5
/** Beacons that were missed in a row, and the least time that takes, until nobody is taken to send any more. */
const MISSED_COUNT = 5
const MISSED_MIN_MS = 5_000

/**
 * All that the diagnostics of a started node tell about whether it can be found and reached, the worst first. A node should
 * have had some seconds to hear others.
 */
export function findingsOf(evidence: Evidence): Finding[] {
  const found = [
    ...ofInterfaces(evidence),
    ...ofPeers(evidence),
    ...(evidence.beacon === null ? ofNoBeacons(evidence) : ofBeacons(evidence, evidence.beacon)),
    ...ofGossip(evidence.gossip),
    ...(evidence.seeds ?? []).flatMap(ofSeed),
    ...(evidence.identity?.problems ?? []).map((problem) => ofState(evidence, problem)),
    ...(evidence.mdns ?? []).flatMap(ofMdns),
  ]
  return worstFirst(found)
}

/** What of it may be why nobody is there: the problems, then the warnings. */
export function causesOf(evidence: Evidence): Finding[] {
  return findingsOf(evidence).filter(
    ({ severity }) => severity === 'problem' || severity === 'warning',
  )
}

/** In the order of their severity, and otherwise as they were. */
export function worstFirst<Found extends { readonly severity: Severity }>(
  findings: readonly Found[],
): Found[] {
  return SEVERITIES.flatMap((severity) => findings.filter((found) => found.severity === severity))
}

// Interfaces.

const WORSE = {
  virtual: {
    code: 'only-virtual',
    why: 'beacons on it reach containers, virtual machines or a tunnel, and nobody on the network',
    remedy:
      'connect this machine to a network, or say which interface leads there (interface, --interface)',
  },
  'link-local': {
    code: 'only-link-local',
    why: 'no router and no DHCP server gave this machine an address: it finds only who is on the same link, and has such an address, too',
    remedy: 'look at the cable or the WiFi, and whether the router gives addresses',
  },
  loopback: {
    code: 'only-loopback',
    why: 'beacons on it stay on this machine',
    remedy: 'connect this machine to a network; the node goes there by itself once it is up',
  },
} as const

function ofInterfaces({ interface: choice }: Evidence): Finding[] {
  if (choice === null) return []
  const used = choice.chosen.map((chosen) => ofChosen(chosen, choice))
  const skipped = new Map<string, Skipped[]>()
  for (const each of choice.skipped) {
    skipped.set(each.reason, [...(skipped.get(each.reason) ?? []), each])
  }
  const names = choice.chosen.map(({ name }) => name)
  return [...used, ...[...skipped].map(([reason, all]) => ofSkipped(reason, { all, names }))]
}

function ofChosen(chosen: ChosenInterface, choice: InterfaceChoice): Finding {
  const { beaconsTo, reason, quiet } = chosen
  if (quiet) return fine('interface-used', `${nameOf(chosen)} can be dialled: ${reason}`)
  const seen = `beacons leave by ${nameOf(chosen)} to ${beaconsTo}: ${reason}`
  const kind = kindOf(chosen)
  // One of IPv6 is there beside those that a network gives.
  const isBeside = isLinkLocal(chosen.address) && choice.chosen.some(isNetwork)
  if (kind === 'network' || isBeside || isAskedFor(chosen)) return fine('interface-used', seen)
  return { severity: 'warning', seen, ...WORSE[kind] }
}

function isNetwork(chosen: ChosenInterface): boolean {
  return kindOf(chosen) === 'network'
}

type Skipped = InterfaceChoice['skipped'][number]

/** @param names of the interfaces that are used, by another of their addresses. */
function ofSkipped(
  reason: string,
  { all, names }: { readonly all: readonly Skipped[]; readonly names: readonly string[] },
): Finding {
  const seen = `${listOf(all.map(nameOf))} not used: ${reason}`
  const isNeeded = all.some(({ name, address }) => !names.includes(name) && !isLoopback(address))
  if (reason.startsWith('cannot listen')) {
    return {
      code: 'inbox-failed',
      severity: 'warning',
      seen,
      why: 'nobody can connect to us there',
      remedy: 'choose another mailboxPort (--mailbox-port), or a wider range',
    }
  }
  if (!isNeeded) return fine('interface-skipped', seen)
  return {
    code: 'interface-skipped',
    severity: 'note',
    seen,
    why: 'nodes that can be reached by it alone are not found',
    remedy:
      reason === IPV6_OFF
        ? 'if they are there, leave out ipv6: false'
        : 'if they are there, ask for it by name, address or pattern (interface, --interface)',
  }
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}

// Beacons.

function ofNoBeacons({ gossip, mdns, peers, seeds = [] }: Evidence): Finding[] {
  const hasOthers = gossip !== null || mdns !== null || seeds.length > 0
  const isBlind = !hasOthers && !peers.some(isThere)
  return [
    {
      code: 'beacons-off',
      severity: isBlind ? 'warning' : 'note',
      seen: 'no beacons are sent or heard: the node was told so',
      why: isBlind
        ? 'nodes find each other by requirePeer() alone then'
        : 'nodes that have beacons alone are not found',
      remedy: 'leave out beacon: false, or connect to a hub of gossip (gossipConnect)',
    },
  ]
}

function ofBeacons({ interface: choice, peers }: Evidence, beacon: BeaconDiagnostics): Finding[] {
  // Who is quiet sends none that could come back.
  const chosen = choice?.chosen.filter(({ quiet }) => quiet === undefined) ?? []
  const { alive, secure, foreign, otherVersion, impostor } = beacon.heard
  const isAlone = !peers.some(isThere)
  const failing = beacon.failures.map((failure) => ofFailure(beacon, failure))
  const lately = beacon.failures.filter(({ msAgo }) => !isOver(beacon, msAgo))
  const hearing = chosen.filter((each) => isHeardBack(beacon, each))
  // What was not sent cannot come back.
  const unsent = lately.map(({ address }) => address)
  const deaf = chosen.filter((each) => !hearing.includes(each) && !unsent.includes(each.address))
  const found = [...failing, ...deaf.map((each) => ofDeafness(beacon, each))]
  if (alive > 0) found.push(ofNeighbours(beacon, isAlone))
  // Who is heard at all shows that the network carries broadcasts.
  else if (hearing.length > 0 && secure + foreign + otherVersion + impostor === 0) {
    found.push(ofSolitude(beacon, hearing, isAlone))
  }
  return [...found, ...ofStrangers(beacon, isAlone)]
}

/** What the operating system says by these codes when a datagram to everybody does not leave. */
const SEND_CODES: Readonly<Record<string, { readonly why: string; readonly remedy: string }>> = {
  EPERM: {
    why: 'a packet filter of this machine drops what we send',
    remedy:
      'let UDP out to this port: sudo iptables -S OUTPUT, or sudo nft list ruleset, shows the rule',
  },
  EACCES: {
    why: 'this process may not broadcast: a sandbox, a container or a packet filter forbids it',
    remedy:
      'run it outside of the sandbox, or use a hub of gossip (gossipConnect, --gossip-connect)',
  },
  EHOSTUNREACH: {
    why: 'macOS 15 and later say this where a program may not use the local network; elsewhere no route leads there',
    remedy:
      'on macOS: System Settings, Privacy & Security, Local Network, and allow the program that runs this one, such as the terminal or the editor; elsewhere look at ip route',
  },
  ENETUNREACH: {
    why: 'no route leads to that network: the interface is down, or a VPN took its routes away',
    remedy: 'look at ip route and ip link, or choose another interface (interface, --interface)',
  },
  ENETDOWN: {
    why: 'the interface is down',
    remedy: 'bring it up: sudo ip link set NAME up; the node goes on by itself',
  },
  EADDRNOTAVAIL: {
    why: 'the machine does not have that address any more',
    remedy: 'wait some seconds: the node looks for new addresses by itself',
  },
  ENOBUFS: {
    why: 'the queue of the interface is full',
    remedy: 'look for what else sends by it, or beacon less often (beaconIntervalMs)',
  },
}

function ofFailure(beacon: BeaconDiagnostics, failure: SendFailure): Finding {
  const { name, address, to, count, error, msAgo } = failure
  const [code = ''] = /\bE[A-Z]{3,}\b/.exec(error) ?? []
  const { why, remedy } = SEND_CODES[code] ?? {
    why: 'others are not told that we are here',
    remedy: 'look at the packet filter and the routes of this machine',
  }
  return {
    code: 'send-failed',
    // A cable that was out for a moment is nothing to look for any more.
    severity: isOver(beacon, msAgo) ? 'note' : 'problem',
    seen: `${count} beacons by ${name} (${address}) to ${to}, port ${beacon.port}, could not be sent, the last ${secondsOf(msAgo)} ago: ${error}`,
    why,
    remedy,
  }
}

/** Whether a beacon of ours has come back on an interface, and one has lately on any. */
function isHeardBack(beacon: BeaconDiagnostics, chosen: ChosenInterface): boolean {
  const { own } = beacon.last
  const count = beacon.networks[networkOf(chosen)]?.own ?? 0
  return count > 0 && own !== undefined && !isOver(beacon, own.msAgo)
}

function isOver({ intervalMs }: BeaconDiagnostics, msAgo: number): boolean {
  return msAgo > Math.max(MISSED_MIN_MS, MISSED_COUNT * intervalMs)
}

function ofDeafness(beacon: BeaconDiagnostics, chosen: ChosenInterface): Finding {
  const { port, networks } = beacon
  const others = networks[networkOf(chosen)]?.alive ?? 0
  const code = 'own-beacons-missing'
  const seen = `not even our own beacons to ${chosen.beaconsTo}, port ${port}, come back on ${nameOf(chosen)}`
  if (chosen.family === 'IPv6' && !chosen.broadcasts) {
    return {
      code,
      severity: 'warning',
      seen,
      why: 'loopback has no multicast of IPv6 on this system, unless a route says so',
      remedy: `use 127.0.0.1, too, or sudo ip -6 route add local ff02::1 dev ${chosen.name} table local`,
    }
  }
  return {
    code,
    severity: others > 0 ? 'warning' : 'problem',
    seen,
    why:
      others > 0
        ? 'others are heard there; whether they hear us is not known'
        : 'a machine hears what it sends to everybody itself, so something on this machine keeps UDP out: a firewall, mostly',
    remedy: `let UDP port ${port} in: sudo ufw allow ${port}/udp, or sudo firewall-cmd --add-port=${port}/udp`,
  }
}

function ofSolitude(
  { port }: BeaconDiagnostics,
  hearing: readonly ChosenInterface[],
  isAlone: boolean,
): Finding {
  const isLocal = hearing.every(({ loopback }) => loopback)
  const hasIpv4 = hearing.some(({ family }) => family === 'IPv4')
  const hasIpv6 = hearing.some(({ family }) => family === 'IPv6')
  const other = hasIpv4 && hasIpv6 ? '' : `or on ${hasIpv4 ? 'IPv6' : 'IPv4'} alone, `
  const [all, one] = hasIpv4 ? ['*', 'ITS-ADDRESS'] : ['[::]', '[ITS-ADDRESS]']
  return {
    code: 'only-own-beacons',
    severity: isAlone ? 'warning' : 'note',
    seen: `our own beacons come back on ${listOf(hearing.map(nameOf))}, port ${port}, and nobody else's`,
    why: isLocal
      ? 'no other node of this machine uses this beacon port'
      : `either nobody else is there, or they are on another subnet or port, ${other}or the network does not carry broadcasts and multicasts: an access point that keeps its clients apart, a guest network, a VPN, a cloud`,
    remedy: isLocal
      ? `start one with beaconPort ${port} (--port ${port}), on an interface that this one is on, too`
      : `compare network and port with those of the others; where broadcasts are not carried, let one node be a hub and name it to all: --gossip-bind tcp://${all}:5671 there, --gossip-connect tcp://${one}:5671 here`,
  }
}

function ofNeighbours(beacon: BeaconDiagnostics, isAlone: boolean): Finding {
  const { heard, last } = beacon
  const { address = '', msAgo = 0 } = last.alive ?? {}
  const seen = `${heard.alive} beacons of other nodes were heard, the last from ${address}, ${secondsOf(msAgo)} ago`
  if (!isAlone || !isOver(beacon, msAgo)) return fine('beacons-heard', seen)
  return {
    code: 'fell-silent',
    severity: 'warning',
    seen,
    why: 'others were there, and are not heard any more: they left, or the network between does not carry broadcasts now',
    remedy: 'look at the WiFi or the cable, here and there, and whether the others still run',
  }
}

/** Beacons that lead nowhere. */
function ofStrangers(beacon: BeaconDiagnostics, isAlone: boolean): Finding[] {
  const { heard, last, port } = beacon
  const found: Finding[] = []
  // What has come for a while no more is no cause of what is now.
  const graded = (kind: keyof typeof last, severity: Severity): Severity =>
    isOver(beacon, last[kind]?.msAgo ?? 0) ? 'note' : severity
  const of = (kind: 'secure' | 'foreign' | 'otherVersion' | 'impostor' | 'noise') => {
    const { address = '', msAgo = 0 } = last[kind] ?? {}
    return `the last from ${address}, ${secondsOf(msAgo)} ago`
  }
  if (heard.impostor > 0) {
    found.push({
      code: 'duplicate-uuid',
      severity: graded('impostor', 'problem'),
      seen: `${heard.impostor} beacons have our uuid and another address, ${of('impostor')}`,
      why: 'a copy of this process runs elsewhere, or something sends our beacons back: others take both for one',
      remedy:
        'start the copy anew, so that it draws a uuid of its own, or find the relay, bridge or VPN that repeats broadcasts',
    })
  }
  if (heard.secure > 0) {
    found.push({
      code: 'curve-neighbours',
      severity: graded('secure', isAlone ? 'problem' : 'note'),
      seen: `${heard.secure} beacons are of nodes that talk CURVE only, ${of('secure')}`,
      why: 'nodes with encryption and nodes without never meet; this version has none',
      remedy:
        'switch CURVE off at the others (zyre_set_zcert), or give each kind a port of its own (beaconPort, --port)',
    })
  }
  if (heard.foreign > 0) {
    found.push({
      code: 'foreign-network',
      severity: graded('foreign', isAlone ? 'warning' : 'note'),
      seen: `${heard.foreign} beacons come from another network than ours, ${of('foreign')}`,
      why: 'a node of another subnet is on the same cable: it is not dialled, as it mostly cannot be reached',
      remedy:
        'give both addresses of one network and one netmask, or use another interface (interface, --interface)',
    })
  }
  if (heard.otherVersion > 0) {
    found.push({
      code: 'other-version',
      severity: graded('otherVersion', isAlone ? 'warning' : 'note'),
      seen: `${heard.otherVersion} beacons have a version or a size that we do not know, ${of('otherVersion')}`,
      why: 'whoever sends them cannot be talked with',
      remedy:
        'look what runs there: Lyre talks to what has beacons of version 1, as Zyre has without CURVE',
    })
  }
  if (heard.noise > 0) {
    found.push({
      code: 'noise',
      severity: 'note',
      seen: `${heard.noise} datagrams at port ${port} are no beacons, ${of('noise')}`,
      why: 'another program uses the port; it does no harm unless it is much',
      remedy: 'choose another port for all nodes (beaconPort, --port)',
    })
  }
  return found
}

// Gossip, seeds and multicast DNS.

function ofGossip(gossip: GossipDiagnostics | null): Finding[] {
  if (gossip === null) return []
  const found = gossip.hubs.map(({ endpoint, state, lastError }): Finding => {
    if (state === 'connected') return fine('hub-connected', `the hub ${endpoint} is there`)
    return {
      code: 'hub-unreachable',
      severity: 'problem',
      seen: `the hub ${endpoint} is not there: ${lastError ?? 'it has not answered so far'}`,
      why: 'nobody is found by it; it is tried again for as long as the node runs',
      remedy:
        'look whether it runs, at this address and port, and whether its firewall lets TCP in',
    }
  })
  const { told, secure, impostor, noise } = gossip.told
  const isConnected = gossip.clients > 0 || gossip.hubs.some(({ state }) => state === 'connected')
  if (told === 0 && secure + impostor + noise > 0) {
    const reasons = Object.values(gossip.last).map(({ reason }) => reason ?? '')
    found.push({
      code: 'gossip-leads-nowhere',
      severity: 'warning',
      seen: `what hubs tell leads nowhere: ${listOf(reasons.filter((reason) => reason !== ''))}`,
      why: 'nodes that talk CURVE, and what is no node, cannot be joined',
      remedy: 'look who else is connected to the hub',
    })
  } else if (told === 0 && isConnected) {
    found.push({
      code: 'hub-alone',
      severity: 'warning',
      seen: 'hubs of gossip are there, and tell of no other node',
      why: 'nobody else is connected to them',
      remedy: 'connect the others to the same hub (gossipConnect, --gossip-connect)',
    })
  }
  return found
}

/** What a seed is like that needs no word: its peer has come, or is about to, it is ourselves, or one that had its time. */
const QUIET_SEEDS: readonly string[] = ['entered', 'found', 'self', 'given-up']

function ofSeed({ endpoint, remembered, state, lastReason }: SeedEvidence): Finding[] {
  if (QUIET_SEEDS.includes(state)) return []
  return [
    {
      code: 'seed-unreachable',
      severity: remembered ? 'note' : 'problem',
      seen: `nobody has entered at ${endpoint}: ${lastReason ?? 'it has not answered so far'}`,
      why: remembered ? 'somebody was there before' : 'the node that was named is not found by it',
      remedy:
        'look whether it runs, at this address and port, and whether its firewall lets TCP in',
    },
  ]
}

function ofState({ identity }: Evidence, problem: string): Finding {
  return {
    code: 'state-unwritten',
    severity: 'warning',
    seen: `in ${identity?.folder}: ${problem}`,
    why: 'what was in that file is lost to this start or the next: peers take it for another node, or are not remembered',
    remedy:
      'look who owns the folder, whether there is room on its disk, and whether the disk is sound',
  }
}

function ofMdns(line: MdnsDiagnostics): Finding[] {
  const { open, lastError, port, instances, address, heard } = line
  const where = `at ${address}, port ${port}`
  if (!open) {
    return [
      {
        code: 'mdns-closed',
        severity: 'warning',
        seen: `we take no part in multicast DNS ${where}: ${lastError ?? 'not yet'}`,
        why: 'nobody is found by it there; it is tried again',
        remedy: `look who has the port for itself alone: sudo ss -ulpn 'sport = :${port}'`,
      },
    ]
  }
  const others = instances.filter(({ ours }) => ours === false)
  const found: Finding[] = []
  if (heard.own === 0) {
    found.push({
      code: 'mdns-own-missing',
      severity: 'warning',
      seen: `not even our own packets of multicast DNS come back ${where}`,
      why: 'multicast is kept out on this machine',
      remedy: `let UDP port ${port} in, to 224.0.0.251`,
    })
  } else if (instances.length === 0) {
    found.push({
      code: 'mdns-alone',
      severity: 'note',
      seen: `no node shows in multicast DNS ${where}`,
      why: 'nobody else says that it is there, or the network does not carry multicast',
      remedy: 'switch it on at the others, too (mdns, --mdns)',
    })
  } else if (others.length < instances.length) {
    const ours = instances.filter(({ ours }) => ours !== false)
    const count = countOf(ours, 'node shows', 'nodes show')
    found.push(fine('mdns-heard', `${count} in multicast DNS ${where}`))
  }
  if (others.length > 0) {
    found.push({
      code: 'mdns-other-network',
      severity: 'warning',
      seen: `of the nodes in multicast DNS ${where}, ${others.length} beacon at another port`,
      why: 'another beacon port is another network',
      remedy: 'give all nodes the same (beaconPort, --port)',
    })
  }
  return found
}

// Peers.

function ofPeers({ peers, endpoint }: Evidence): Finding[] {
  const lost = peers.filter(({ unreachable }) => unreachable !== null)
  const oneWay = lost.filter(({ state }) => state === 'greeted')
  const unreachable = lost.filter(({ state }) => state !== 'greeted')
  const there = peers.filter(isThere)
  const found: Finding[] = []
  if (unreachable.length > 0) found.push(ofUnreachable(unreachable))
  if (oneWay.length > 0) {
    const [, port = ''] = /:(\d+)$/.exec(endpoint ?? '') ?? []
    found.push({
      code: 'inbound-blocked',
      severity: 'problem',
      seen: `we reach ${listOf(oneWay.map(peerName))}, and nothing comes back by TCP`,
      why: 'each node connects to the other, and mostly a firewall of this machine keeps theirs out; or they do not let us be one of theirs',
      remedy: `let our TCP port in, now ${port}: choose it with mailboxPort (--mailbox-port 49152-49160), and sudo ufw allow 49152:49160/tcp, or sudo firewall-cmd --add-port=49152-49160/tcp`,
    })
  }
  if (there.length > 0) {
    found.push(
      fine(
        'peers-there',
        `${countOf(there, 'peer is', 'peers are')} there: ${listOf(there.map(peerName))}`,
      ),
    )
  }
  return found
}

function ofUnreachable(peers: readonly PeerDiagnostics[]): Finding {
  const reasons = peers.map((peer) => `${peerName(peer)} (${peer.unreachable})`)
  const all = reasons.join()
  const isRefused = all.includes('ECONNREFUSED')
  const isOther = all.includes('handshake')
  const remedy = isRefused
    ? 'its firewall refuses connections: let its TCP port in there, which a fixed mailboxPort (--mailbox-port) makes easy; or a NAT or a container is between, and it has to say where to dial it (advertise, --advertise)'
    : isOther
      ? 'something else listens there, or it wants CURVE: look what runs at that port'
      : 'let its TCP port in at the firewall of the other machine: a fixed mailboxPort (--mailbox-port) there makes that easy; also look for a route to it'
  return {
    code: 'peer-unreachable',
    severity: 'problem',
    seen: `${countOf(peers, 'node is', 'nodes are')} heard and cannot be reached by TCP: ${listOf(reasons)}`,
    why: 'messages go by TCP, from each node to the other; beacons alone bring nobody together',
    remedy,
  }
}

function isThere({ state }: PeerDiagnostics): boolean {
  return state === 'entered' || state === 'evasive' || state === 'silent'
}

// Words.

function fine(code: FindingCode, seen: string): Finding {
  return { code, severity: 'ok', seen, why: '', remedy: '' }
}

function nameOf({ name, address }: { readonly name: string; readonly address: string }): string {
  return `${name} (${address})`
}

function peerName({ name, uuid, endpoint }: PeerDiagnostics): string {
  return `${name || uuid.slice(0, 6)} at ${endpoint}`
}

function listOf(names: readonly string[]): string {
  const shown = names.slice(0, NAMED_MAX).join(', ')
  return names.length > NAMED_MAX ? `${shown} and ${names.length - NAMED_MAX} more` : shown
}

function countOf(list: readonly unknown[], one: string, several: string): string {
  return `${list.length} ${list.length === 1 ? one : several}`
}

function secondsOf(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}
