// What `lyre doctor` looks at beside the node: the files and tools of the machine, behind an interface that a test can fake. It
// only gathers facts, without root and without changing anything; examination.ts says what they mean.

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { release } from 'node:os'

/** The machine, as far as it is looked at. */
export interface Machine {
  readonly platform: NodeJS.Platform
  /** Of its kernel, as `uname -r` has it. */
  readonly release: string
  readonly variables: Readonly<Record<string, string | undefined>>
  /** Milliseconds since the epoch. */
  now(): number
  /** What is in a file; undefined where it is not there or not ours to read. */
  read(path: string): string | undefined
  /** What is in a folder; nothing where it is not there. */
  list(path: string): readonly string[]
  /** What a tool writes; undefined where it is not there, fails, or takes too long. */
  run(tool: string, args: readonly string[]): Promise<string | undefined>
}

/** A packet filter that is switched on, and what in its rules drops something, as far as it can be read. */
export interface Firewall {
  readonly kind: 'ufw' | 'firewalld' | 'iptables' | 'ip6tables' | 'nftables' | 'macOS'
  readonly rules: readonly string[]
}

/** A WiFi interface, and whether it sleeps between beacons of its access point; null where nobody says. */
export interface Wireless {
  readonly name: string
  readonly powerSave: boolean | null
}

/** What was found out about a machine. */
export interface Facts {
  readonly platform: NodeJS.Platform
  /** Which version of the Windows Subsystem for Linux this is. */
  readonly wsl: 1 | 2 | null
  /** What kind of container this is. */
  readonly container: string | null
  readonly firewalls: readonly Firewall[]
  readonly wireless: readonly Wireless[]
  /** Interfaces of real hardware, and their state, such as `up` or `down`. */
  readonly hardware: readonly { readonly name: string; readonly state: string }[]
  /** How many files and sockets the process may have open. */
  readonly openFilesMax: number | null
  /** Of the clock on the wall. */
  readonly year: number
}

/** Longer takes no tool of these, unless it waits for something. */
const TOOL_TIMEOUT_MS = 3_000
const TOOL_BYTES_MAX = 1_048_576
/** Folders in which tools are that need not be in the PATH of one who is not root. */
const TOOL_PATH = ':/usr/sbin:/sbin:/usr/local/sbin'
const INTERFACES = '/sys/class/net'

/** The machine that this process runs on. */
export const systemMachine: Machine = {
  platform: process.platform,
  release: release(),
  variables: process.env,
  now: Date.now,
  read(path) {
    try {
      return readFileSync(path, 'utf8')
    } catch {
      return undefined
    }
  },
  list(path) {
    try {
      return readdirSync(path)
    } catch {
      return []
    }
  },
  run(tool, args) {
    const { PATH = '' } = process.env
    const env = { ...process.env, LC_ALL: 'C', PATH: PATH + TOOL_PATH }
    const limits = { timeout: TOOL_TIMEOUT_MS, maxBuffer: TOOL_BYTES_MAX }
    return new Promise((resolve) => {
      execFile(tool, [...args], { env, ...limits }, (error, stdout) =>
        resolve(error === null ? stdout : undefined),
      )
    })
  },
}

/** Looks at all of it; takes as long as the slowest tool. */
export async function gatherFacts(machine: Machine): Promise<Facts> {
  const [firewalls, wireless] = await Promise.all([firewallsOf(machine), wirelessOf(machine)])
  return {
    platform: machine.platform,
    wsl: wslOf(machine),
    container: containerOf(machine),
    firewalls,
    wireless,
    hardware: hardwareOf(machine),
    openFilesMax: openFilesOf(machine),
    year: new Date(machine.now()).getUTCFullYear(),
  }
}

/** Who has a UDP port, in the words of `ss`; undefined where nobody says. */
export async function holderOf(machine: Machine, port: number): Promise<string | undefined> {
  const table = await machine.run('ss', ['-H', '-ulpn', `sport = :${port}`])
  const [, name, pid] = /users:\(\("([^"]+)",pid=(\d+)/.exec(table ?? '') ?? []
  if (name !== undefined) return `${name}, process ${pid}`
  // The table of the kernel has no names, and the user alone.
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const line = machine.read('/proc/net/udp')?.match(new RegExp(`: [0-9A-F]{8}:${hex} .*`))?.[0]
  const [user] = line?.split(/\s+/).slice(7) ?? []
  return user === undefined ? undefined : `a process of user ${user}`
}

function wslOf({ platform, release, read }: Machine): 1 | 2 | null {
  const version = `${release} ${read('/proc/version') ?? ''}`
  if (platform !== 'linux' || !/microsoft/i.test(version)) return null
  return /wsl2|microsoft-standard/i.test(version) ? 2 : 1
}

function containerOf({ platform, read, variables }: Machine): string | null {
  if (platform !== 'linux') return null
  const { KUBERNETES_SERVICE_HOST } = variables
  if (KUBERNETES_SERVICE_HOST !== undefined) return 'Kubernetes'
  if (read('/.dockerenv') !== undefined) return 'Docker'
  if (read('/run/.containerenv') !== undefined) return 'Podman'
  const [, named] =
    /^(lxc|systemd-nspawn|oci|docker|podman)/.exec(read('/run/systemd/container') ?? '') ?? []
  const [, group] =
    /[/:](docker|lxc|kubepods|containerd)\b/.exec(read('/proc/1/cgroup') ?? '') ?? []
  return named ?? group ?? null
}

async function firewallsOf(machine: Machine): Promise<Firewall[]> {
  const { platform, read, run } = machine
  if (platform === 'darwin') {
    const tool = '/usr/libexec/ApplicationFirewall/socketfilterfw'
    const state = await run(tool, ['--getglobalstate'])
    return /enabled/i.test(state ?? '') ? [{ kind: 'macOS', rules: [] }] : []
  }
  if (platform !== 'linux') return []
  const [state, ports, tables, tables6, ruleset] = await Promise.all([
    run('firewall-cmd', ['--state']),
    run('firewall-cmd', ['--list-ports']),
    run('iptables', ['-S']),
    run('ip6tables', ['-S']),
    run('nft', ['list', 'ruleset']),
  ])
  const found: Firewall[] = []
  if (/^ENABLED=yes/m.test(read('/etc/ufw/ufw.conf') ?? '')) found.push({ kind: 'ufw', rules: [] })
  if (state?.trim() === 'running') {
    const open = ports?.trim() || 'none'
    found.push({ kind: 'firewalld', rules: [`open ports: ${open}`] })
  }
  // Both of these are theirs, and a list of all they do would say little.
  if (found.length > 0) return found
  const dropping = (tables ?? '').split('\n').filter(isDropping)
  const dropping6 = (tables6 ?? '').split('\n').filter(isDropping)
  if (dropping.length > 0) found.push({ kind: 'iptables', rules: dropping })
  if (dropping6.length > 0) found.push({ kind: 'ip6tables', rules: dropping6 })
  if (found.length > 0) return found
  const rules = droppingRules(ruleset ?? '')
  return rules.length > 0 ? [{ kind: 'nftables', rules }] : []
}

/** A line of `iptables -S`, or of `ip6tables -S`, by which something is not let in or out. */
function isDropping(line: string): boolean {
  if (/^-P (INPUT|OUTPUT) DROP$/.test(line)) return true
  return /^-A /.test(line) && / -j (DROP|REJECT)\b/.test(line) && !/^-A (FORWARD|DOCKER)/.test(line)
}

/** What drops or rejects in the chains of `nft list ruleset` that are for what comes to this machine or leaves it. */
function droppingRules(ruleset: string): string[] {
  const rules: string[] = []
  let isOurs = false
  for (const line of ruleset.split('\n').map((each) => each.trim())) {
    const [, hook, policy] = /hook (\w+) .*policy (\w+);/.exec(line) ?? []
    if (/^chain /.test(line)) isOurs = !/forward|docker/i.test(line)
    if (hook !== undefined) isOurs = hook === 'input' || hook === 'output'
    if (isOurs && policy === 'drop') rules.push(`${hook}: policy drop`)
    else if (isOurs && hook === undefined && /\b(drop|reject)\b/.test(line)) rules.push(line)
  }
  return rules
}

async function wirelessOf(machine: Machine): Promise<Wireless[]> {
  const { read, list, run } = machine
  const table = read('/proc/net/wireless') ?? ''
  const told = [...table.matchAll(/^\s*([^\s:|]+):/gm)].map(([, name = '']) => name)
  const seen = list(INTERFACES).filter((name) => list(`${INTERFACES}/${name}/phy80211`).length > 0)
  const names = [...new Set([...told, ...seen])]
  return Promise.all(
    names.map(async (name) => {
      const said = await run('iw', ['dev', name, 'get', 'power_save'])
      const [, state] = /power save: (on|off)/i.exec(said ?? '') ?? []
      return { name, powerSave: state === undefined ? null : state === 'on' }
    }),
  )
}

/** Whether there is an interface of that name, with an address or without, as far as it can be seen. */
export function hasInterface({ list }: Machine, name: string): boolean {
  return list(INTERFACES).includes(name)
}

function hardwareOf({ read, list }: Machine): Facts['hardware'] {
  return list(INTERFACES)
    .filter((name) => list(`${INTERFACES}/${name}/device`).length > 0)
    .map((name) => ({ name, state: read(`${INTERFACES}/${name}/operstate`)?.trim() ?? 'unknown' }))
}

function openFilesOf({ read }: Machine): number | null {
  const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(read('/proc/self/limits') ?? '') ?? []
  if (soft === undefined) return null
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft)
}
