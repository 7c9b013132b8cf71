// What `lyre doctor` makes of all it saw: pure, from what the node knows and the facts of the machine to findings, the worst
// first. What the node alone can tell is in findingsOf(), which it tells others, too; here is what a machine adds to it.

import { type Evidence, type Finding, findingsOf, worstFirst } from '../index.ts'
import type { Facts, Firewall } from './machine.ts'

/** Why a node could not be started as it was asked for. */
export interface StartFailure {
  /** What could not be had. */
  readonly what: 'interface' | 'beacon-port' | 'mailbox-port' | 'gossip-port' | 'other'
  readonly message: string
  /** What the operating system said, such as EADDRINUSE; empty where it was not asked. */
  readonly code: string
  /** Who has the port, where that can be seen. */
  readonly holder?: string | undefined
}

/** All that was seen. */
export interface Examined {
  /** Undefined where no node could be started at all. */
  readonly node: Evidence | undefined
  readonly failures: readonly StartFailure[]
  readonly facts: Facts
  readonly beaconPort: number
  /** The ports of the inbox that were asked for, as a firewall is told. */
  readonly mailboxPorts: { readonly from: number; readonly to: number } | undefined
  /** By how much the longest turn of the event loop was late. */
  readonly lateMs: number
  /** By how much the clock on the wall went otherwise than the one that timers have. */
  readonly jumpedMs: number
}

/** One thing that was found, by the node or in the machine. */
export interface Diagnosis extends Omit<Finding, 'code'> {
  readonly code: string
}

const RULES_MAX = 4
/** Where the inbox is, if nobody said: the first ports that are for whoever wants them. */
const SUGGESTED = { from: 49_152, to: 49_160 }
/** Sockets and files of a node without peers, and those that each peer takes. */
const OWN_FILES = 64
const PEER_FILES = 2
/** Peers that a node knows, unless it is told otherwise. */
const PEERS_MAX = 1_024
const LATE_MS = 500
const JUMPED_MS = 500
/** No machine on which this runs is older; one without a battery for its clock begins in 1970. */
const YEAR_MIN = 2_024

/** All findings, the worst first. */
export function examine(examined: Examined): Diagnosis[] {
  const isPortless = examined.failures.some(({ what }) => what === 'beacon-port')
  const all = examined.node === undefined ? [] : findingsOf(examined.node)
  // Where the port cannot be had, a node without beacons was looked at, and nobody wanted that.
  const found = all.filter(({ code }) => code !== 'beacons-off' || !isPortless)
  const diagnoses: Diagnosis[] = [
    ...examined.failures.map((failure) => ofFailure(failure, examined)),
    ...found,
    ...ofFirewalls(examined, found),
    ...ofSurroundings(examined, found),
    ...ofWireless(examined),
    ...ofHardware(examined),
    ...ofLimits(examined),
    ...ofClocks(examined),
  ]
  return worstFirst(diagnoses)
}

function ofFailure(failure: StartFailure, { beaconPort }: Examined): Diagnosis {
  const { what, message, code, holder } = failure
  const seen = holder === undefined ? message : `${message}; it belongs to ${holder}`
  const problem = { severity: 'problem', seen } as const
  switch (what) {
    case 'interface':
      return {
        ...problem,
        code: 'no-interface',
        why: 'without an address nobody is found',
        remedy: 'look at ip address: the network is down, or gave this machine no address',
      }
    case 'beacon-port':
      return code === 'EACCES'
        ? {
            ...problem,
            code: 'beacon-port-forbidden',
            why: 'ports below 1024 are for root alone',
            remedy: 'take one above, at all nodes (beaconPort, --port)',
          }
        : {
            ...problem,
            code: 'beacon-port-taken',
            why: 'another program has the port for itself alone; nodes of ZRE share it with each other',
            remedy: `end that program (sudo ss -ulpn 'sport = :${beaconPort}' shows it), or take another port at all nodes (beaconPort, --port)`,
          }
    case 'mailbox-port':
      return {
        ...problem,
        code: 'mailbox-port-taken',
        why: 'without a TCP port nobody can connect to us; each node of a machine takes one',
        remedy:
          'give a range with room for all nodes of this machine (mailboxPort, --mailbox-port 49152-49250)',
      }
    case 'gossip-port':
      return {
        ...problem,
        code: 'gossip-port-taken',
        why: 'the hub that others are told of is not there',
        remedy: 'look who has the port: sudo ss -tlpn; another hub of this machine, mostly',
      }
    case 'other':
      return {
        ...problem,
        code: 'start-failed',
        why: 'no node can be started like that',
        remedy: 'look at the options, and at what the operating system said',
      }
  }
}

// Firewalls.

/** Those that are about one kind of addresses alone. */
const FAMILIES: Readonly<Partial<Record<Firewall['kind'], 'IPv4' | 'IPv6'>>> = {
  iptables: 'IPv4',
  ip6tables: 'IPv6',
}

function ofFirewalls(examined: Examined, found: readonly Finding[]): Diagnosis[] {
  const isBlamed = found.some(
    ({ code, severity }) =>
      (code === 'own-beacons-missing' && severity === 'problem') ||
      code === 'inbound-blocked' ||
      code === 'send-failed',
  )
  const families = examined.node?.interface?.chosen.map(({ family }) => family) ?? []
  const firewalls = examined.facts.firewalls.filter(({ kind }) => {
    const family = FAMILIES[kind]
    return family === undefined || families.length === 0 || families.includes(family)
  })
  return firewalls.map((firewall): Diagnosis => {
    const { kind, rules } = firewall
    const shown = rules.slice(0, RULES_MAX).join('; ')
    const more = rules.length > RULES_MAX ? `; and ${rules.length - RULES_MAX} more` : ''
    const ports = examined.mailboxPorts
    const isOut = rules.some((rule) => /output/i.test(rule))
    const isTables = kind === 'iptables' || kind === 'ip6tables'
    const out = isTables && isOut ? ` && ${commandOut(kind, examined)}` : ''
    const fixed =
      ports === undefined ? ', and start nodes with --mailbox-port 49152-49160 (mailboxPort)' : ''
    return {
      code: 'firewall',
      severity: isBlamed ? 'warning' : 'note',
      seen: `${kind} is switched on${shown === '' ? '' : `: ${shown}${more}`}`,
      why: isBlamed
        ? 'it may be what keeps datagrams or connections out'
        : 'our own beacons pass; whether TCP from others does, shows only when they come',
      remedy: `let in UDP ${examined.beaconPort} and TCP ${rangeOf(examined, '-')}: ${commandsOf(kind, examined)}${out}${fixed}`,
    }
  })
}

function rangeOf({ mailboxPorts: { from, to } = SUGGESTED }: Examined, between: string): string {
  return from === to ? String(from) : `${from}${between}${to}`
}

/** What lets our beacons out. */
function commandOut(tool: 'iptables' | 'ip6tables', { beaconPort }: Examined): string {
  return `sudo ${tool} -I OUTPUT -p udp --dport ${beaconPort} -j ACCEPT`
}

/** What lets our ports in. */
function commandsOf(kind: Firewall['kind'], examined: Examined): string {
  const { beaconPort: udp } = examined
  switch (kind) {
    case 'ufw':
      return `sudo ufw allow ${udp}/udp && sudo ufw allow ${rangeOf(examined, ':')}/tcp`
    case 'firewalld':
      return `sudo firewall-cmd --permanent --add-port=${udp}/udp --add-port=${rangeOf(examined, '-')}/tcp && sudo firewall-cmd --reload`
    case 'iptables':
    case 'ip6tables':
      return `sudo ${kind} -I INPUT -p udp --dport ${udp} -j ACCEPT && sudo ${kind} -I INPUT -p tcp --dport ${rangeOf(examined, ':')} -j ACCEPT`
    case 'nftables':
      return `sudo nft insert rule inet filter input udp dport ${udp} accept && sudo nft insert rule inet filter input tcp dport ${rangeOf(examined, '-')} accept, with the names of your table and chain`
    case 'macOS':
      return 'System Settings, Network, Firewall, Options: allow incoming connections for node'
  }
}

// Where the machine is.

function ofSurroundings(
  { facts, beaconPort, node }: Examined,
  found: readonly Finding[],
): Diagnosis[] {
  const isAlone = !found.some(({ code }) => code === 'peers-there')
  // Who stays on loopback asks nothing of the network.
  const isLocal = node?.interface?.chosen.every(({ loopback }) => loopback) === true
  const severity = isAlone && !isLocal ? 'warning' : 'note'
  const hub =
    'let one node that all can reach be a hub (--gossip-bind tcp://*:5671), and name it here (--gossip-connect)'
  const all: Diagnosis[] = []
  if (facts.wsl !== null) {
    all.push({
      code: 'wsl',
      severity,
      seen: `this is WSL ${facts.wsl}`,
      why:
        facts.wsl === 2
          ? 'it is behind a NAT of Windows, and broadcasts do not get through; mirrored networking passes some of them'
          : 'Windows itself does the networking, and its firewall decides',
      remedy:
        facts.wsl === 2
          ? `networkingMode=mirrored below [wsl2] in .wslconfig, then wsl --shutdown, and UDP ${beaconPort} in the firewall of Windows; where that is not enough, ${hub}`
          : `let node.exe or UDP ${beaconPort} in at the firewall of Windows`,
    })
  }
  if (facts.container !== null) {
    all.push({
      code: 'container',
      severity,
      seen: `this is a container (${facts.container})`,
      why: 'on a bridge of its own it hears other containers at most, and not the network of its host',
      remedy: `give it the network of its host (docker run --network host), or ${hub}`,
    })
  }
  return all
}

function ofWireless({ facts, node }: Examined): Diagnosis[] {
  const used = node?.interface?.chosen.map(({ name }) => name) ?? []
  return facts.wireless
    .filter(({ name }) => used.includes(name))
    .map(({ name, powerSave }): Diagnosis => {
      if (powerSave === false) {
        const seen = `${name} is WiFi, and does not save power`
        return { code: 'wifi', severity: 'ok', seen, why: '', remedy: '' }
      }
      const isOn = powerSave === true
      return {
        code: isOn ? 'wifi-power-save' : 'wifi',
        severity: isOn ? 'warning' : 'note',
        seen: isOn
          ? `${name} is WiFi, and saves power`
          : `${name} is WiFi; iw is not there to say whether it saves power`,
        why: 'a radio that sleeps hears broadcasts late or not at all: nodes are found slowly, and look evasive',
        remedy: isOn
          ? `sudo iw dev ${name} set power_save off; for good, with NetworkManager: nmcli connection modify NAME 802-11-wireless.powersave 2`
          : `sudo apt install iw, then iw dev ${name} get power_save`,
      }
    })
}

function ofHardware({ facts, node }: Examined): Diagnosis[] {
  const choice = node?.interface
  if (choice === undefined || choice === null) return []
  const known = [...choice.chosen, ...choice.skipped].map(({ name }) => name)
  return facts.hardware
    .filter(({ name }) => !known.includes(name))
    .map(({ name, state }) => ({
      code: 'interface-idle',
      severity: 'note',
      seen: `${name} has no address, and its state is ${state}`,
      why: 'nodes that can be reached by it alone are not found',
      remedy:
        state === 'up'
          ? 'it waits for an address: look at DHCP'
          : 'look at its cable, or at the WiFi',
    }))
}

// The process.

function ofLimits({ facts: { openFilesMax }, node }: Examined): Diagnosis[] {
  if (openFilesMax === null) return []
  const peersMax = Math.max(0, Math.floor((openFilesMax - OWN_FILES) / PEER_FILES))
  const peers = node?.peers.length ?? 0
  if (peersMax >= PEERS_MAX) {
    const seen = `${openFilesMax} files may be open, enough for ${PEERS_MAX} peers`
    return [{ code: 'file-limit', severity: 'ok', seen, why: '', remedy: '' }]
  }
  return [
    {
      code: 'file-limit',
      severity: peersMax <= peers ? 'problem' : peersMax < 100 ? 'warning' : 'note',
      seen: `${openFilesMax} files may be open, enough for about ${peersMax} peers`,
      why: 'each peer takes two sockets; beyond the limit connections fail, with EMFILE',
      remedy: 'ulimit -n 4096 before it starts, or LimitNOFILE=4096 in its systemd unit',
    },
  ]
}

function ofClocks({ facts: { year }, lateMs, jumpedMs }: Examined): Diagnosis[] {
  const all: Diagnosis[] = []
  if (year < YEAR_MIN) {
    all.push({
      code: 'clock-low',
      severity: 'note',
      seen: `the clock says that it is ${year}`,
      why: 'Lyre does not need it, logs do; certificates of others are not valid yet',
      remedy: 'let it be set: timedatectl set-ntp true',
    })
  }
  if (Math.abs(jumpedMs) > JUMPED_MS) {
    all.push({
      code: 'clock-jumped',
      severity: 'note',
      seen: `the clock was set by ${Math.round(jumpedMs)} ms meanwhile`,
      why: 'the machine slept, or its clock is being corrected; peers that slept are silent and come back',
      remedy: 'look again in a while',
    })
  }
  if (lateMs > LATE_MS) {
    all.push({
      code: 'machine-busy',
      severity: 'warning',
      seen: `this process had to wait ${Math.round(lateMs)} ms for its turn`,
      why: 'where a node does not get its turn for seconds, others take it for evasive, and it takes others for that',
      remedy: 'look at what takes the processor: top',
    })
  }
  return all
}
