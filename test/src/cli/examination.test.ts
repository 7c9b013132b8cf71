/** What `lyre doctor` finds on machines that are broken in one way each, all of them made up. */

import t from 'tap'
import { type Examined, examine, type StartFailure } from '../../../src/cli/examination.ts'
import {
  type Facts,
  gatherFacts,
  hasInterface,
  holderOf,
  type Machine,
} from '../../../src/cli/machine.ts'
import { Lyre } from '../../../src/lyre.ts'
import { World } from '../../support/host.ts'

/** A machine that has just these files, folders and tools. */
function machine(
  has: {
    readonly files?: Readonly<Record<string, string>>
    readonly folders?: Readonly<Record<string, readonly string[]>>
    /** What they write, by their command line. */
    readonly tools?: Readonly<Record<string, string>>
  } & Partial<Pick<Machine, 'platform' | 'release' | 'variables' | 'now'>> = {},
): Machine {
  const { files = {}, folders = {}, tools = {}, ...more } = has
  return {
    platform: 'linux',
    release: '6.8.0-45-generic',
    variables: {},
    now: () => Date.UTC(2026, 10, 27),
    read: (path) => files[path],
    list: (path) => folders[path] ?? [],
    run: async (tool, args) => tools[[tool, ...args].join(' ')],
    ...more,
  }
}

/** What a node on eth0 and wlan0 knows, that is alone there, or with another one. */
async function node({ alone = true, loopback = false } = {}) {
  const world = new World()
  const [lo] = world.interfaces
  if (lo === undefined) throw new Error('the world has loopback')
  const eth0 = { ...lo, name: 'eth0', address: '10.1.0.1', netmask: '255.255.0.0', loopback: false }
  if (!loopback) world.interfaces = [eth0, { ...eth0, name: 'wlan0', address: '10.2.0.1' }]
  const lyre = new Lyre({}, world.host())
  await lyre.start()
  if (!alone) await new Lyre({}, world.host()).start()
  await world.advance(2_000)
  return lyre.diagnostics()
}

function seen(facts: Facts, more: Partial<Examined> = {}): Examined {
  const none = { node: undefined, failures: [], mailboxPorts: undefined, lateMs: 0, jumpedMs: 0 }
  return { ...none, beaconPort: 5_670, facts, ...more }
}

/** What is found on a machine with a code that begins so. */
async function found(of: Machine, code: string, more: Partial<Examined> = {}) {
  const all = examine(seen(await gatherFacts(of), more))
  return all.filter((finding) => finding.code.startsWith(code))
}

t.test('a machine of which nothing can be read has nothing wrong', async (t) => {
  t.same(examine(seen(await gatherFacts(machine()))), [])
  const windows = machine({ platform: 'win32', files: { '/.dockerenv': '' } })
  t.same(examine(seen(await gatherFacts(windows))), [])
})

t.test('firewalls are known, with the commands that let our ports in', async (t) => {
  const ufw = machine({ files: { '/etc/ufw/ufw.conf': 'LOGLEVEL=low\nENABLED=yes\n' } })
  const [closed] = await found(ufw, 'firewall')
  t.match(closed, { severity: 'note', seen: 'ufw is switched on' })
  t.match(closed?.remedy, 'sudo ufw allow 5670/udp && sudo ufw allow 49152:49160/tcp, and start')
  const [own] = await found(ufw, 'firewall', {
    beaconPort: 5_999,
    mailboxPorts: { from: 7_000, to: 7_000 },
  })
  t.match(own?.remedy, /allow 5999\/udp && sudo ufw allow 7000\/tcp$/)
  t.same(await found(machine({ files: { '/etc/ufw/ufw.conf': 'ENABLED=no' } }), 'firewall'), [])

  const firewalld = machine({
    tools: { 'firewall-cmd --state': 'running\n', 'firewall-cmd --list-ports': '22/tcp\n' },
  })
  t.match(await found(firewalld, 'firewall'), [
    { seen: 'firewalld is switched on: open ports: 22/tcp', remedy: /--add-port=49152-49160\/tcp/ },
  ])
  const mac = machine({
    platform: 'darwin',
    tools: {
      '/usr/libexec/ApplicationFirewall/socketfilterfw --getglobalstate':
        'Firewall is enabled. (State = 1)\n',
    },
  })
  t.match(await found(mac, 'firewall'), [{ seen: 'macOS is switched on', remedy: /for node/ }])
  t.same(await found(machine({ platform: 'darwin' }), 'firewall'), [])
})

t.test(
  'of the rules of a packet filter those are told that drop what comes or leaves',
  async (t) => {
    const rules = [
      '-P INPUT DROP',
      '-P FORWARD DROP',
      '-P OUTPUT ACCEPT',
      '-A INPUT -i lo -j ACCEPT',
      '-A INPUT -p udp -m udp --dport 5670 -j DROP',
      '-A OUTPUT -p udp -j REJECT --reject-with icmp-port-unreachable',
      '-A DOCKER -j DROP',
    ]
    const [iptables] = await found(
      machine({ tools: { 'iptables -S': rules.join('\n') } }),
      'firewall',
    )
    t.equal(iptables?.seen, `iptables is switched on: ${[rules[0], rules[4], rules[5]].join('; ')}`)
    t.match(iptables?.remedy, /-I INPUT -p udp --dport 5670 -j ACCEPT.*-I OUTPUT -p udp/)
    const harmless = '-P INPUT ACCEPT\n-P FORWARD DROP\n-A FORWARD -j DROP\n'
    t.same(await found(machine({ tools: { 'iptables -S': harmless } }), 'firewall'), [])

    const ruleset = `table inet filter {
    chain input {
      type filter hook input priority filter; policy drop;
      iif "lo" accept
      tcp dport 22 accept
      udp dport 5670 drop
    }
    chain forward {
      type filter hook forward priority filter; policy drop;
      counter drop
    }
  }`
    t.match(await found(machine({ tools: { 'nft list ruleset': ruleset } }), 'firewall'), [
      { seen: 'nftables is switched on: input: policy drop; udp dport 5670 drop' },
    ])
    const many = Array.from({ length: 7 }, (_, port) => `-A INPUT -p tcp --dport ${port} -j DROP`)
    const [long] = await found(machine({ tools: { 'iptables -S': many.join('\n') } }), 'firewall')
    t.match(long?.seen, /--dport 3 -j DROP; and 3 more$/)
  },
)

t.test('the rules for IPv6 are told to who has that', async (t) => {
  const rules = '-P INPUT DROP\n-A OUTPUT -p udp -j DROP'
  const both = machine({ tools: { 'iptables -S': rules, 'ip6tables -S': rules } })
  const kinds = async (more: Partial<Examined>) =>
    (await found(both, 'firewall', more)).map(({ seen }) => seen.split(' ')[0])
  t.same(await kinds({}), ['iptables', 'ip6tables'], 'nobody knows what the node would have')
  const { interface: choice, ...rest } = await node()
  t.same(await kinds({ node: { interface: choice, ...rest } }), ['iptables'])
  const [eth0] = choice?.chosen ?? []
  if (eth0 === undefined) throw new Error('it is on eth0')
  const ipv6 = { chosen: [{ ...eth0, family: 'IPv6', address: 'fd00:7::1' } as const], skipped: [] }
  const only = { node: { interface: ipv6, ...rest } }
  t.same(await kinds(only), ['ip6tables'])
  const [remedy] = (await found(both, 'firewall', only)).map(({ remedy }) => remedy)
  t.match(remedy, /sudo ip6tables -I INPUT .* sudo ip6tables -I OUTPUT -p udp/)
})

t.test('a firewall is blamed where something is kept out', async (t) => {
  const ufw = machine({ files: { '/etc/ufw/ufw.conf': 'ENABLED=yes' } })
  const { beacon, ...rest } = await node()
  if (beacon === null) throw new Error('it beacons')
  const deaf = { ...beacon, networks: {}, last: {} }
  t.match(await found(ufw, 'firewall', { node: { ...rest, beacon } }), [{ severity: 'note' }])
  t.match(await found(ufw, 'firewall', { node: { ...rest, beacon: deaf } }), [
    { severity: 'warning', why: /keeps datagrams or connections out/ },
  ])
})

t.test('WSL and containers are known, and blamed by one who is alone on a network', async (t) => {
  const wsl2 = machine({ release: '5.15.153.1-microsoft-standard-WSL2' })
  const wsl1 = machine({ files: { '/proc/version': 'Linux version 4.4.0-19041-Microsoft' } })
  t.match(await found(wsl2, 'wsl', { node: await node() }), [
    {
      severity: 'warning',
      seen: 'this is WSL 2',
      remedy: /networkingMode=mirrored.*gossip-connect/,
    },
  ])
  t.match(await found(wsl1, 'wsl', { node: await node({ alone: false }) }), [
    { severity: 'note', seen: 'this is WSL 1', remedy: /firewall of Windows/ },
  ])
  for (const [kind, has] of [
    ['Docker', { files: { '/.dockerenv': '' } }],
    ['Podman', { files: { '/run/.containerenv': '' } }],
    ['Kubernetes', { variables: { KUBERNETES_SERVICE_HOST: '10.0.0.1' } }],
    ['systemd-nspawn', { files: { '/run/systemd/container': 'systemd-nspawn' } }],
    ['lxc', { files: { '/proc/1/cgroup': '1:name=systemd:/lxc/web\n' } }],
  ] as const) {
    const all = await found(machine(has), 'container', { node: await node() })
    t.match(all, [{ severity: 'warning', seen: `this is a container (${kind})` }])
  }
  const local = { node: await node({ loopback: true }) }
  t.match(await found(wsl2, 'wsl', local), [{ severity: 'note' }], 'not on loopback')
})

t.test('WiFi that saves power is told, where a node uses it', async (t) => {
  const wireless =
    'Inter-| sta-|   Quality        |   Discarded packets\n face | tus | link level noise |\n wlan0: 0000   54.  -56.  -256\n'
  const files = { '/proc/net/wireless': wireless }
  const tool = (state: string) => ({ 'iw dev wlan0 get power_save': `Power save: ${state}\n` })
  const used = { node: await node() }
  t.match(await found(machine({ files, tools: tool('on') }), 'wifi', used), [
    { code: 'wifi-power-save', severity: 'warning', remedy: /iw dev wlan0 set power_save off/ },
  ])
  t.match(await found(machine({ files, tools: tool('off') }), 'wifi', used), [{ severity: 'ok' }])
  t.match(await found(machine({ files }), 'wifi', used), [
    { severity: 'note', remedy: /apt install iw/ },
  ])
  const folders = {
    '/sys/class/net': ['lo', 'wlan0'],
    '/sys/class/net/wlan0/phy80211': ['name'],
    '/sys/class/net/wlan0/device': ['vendor'],
  }
  t.match(await found(machine({ folders, tools: tool('on') }), 'wifi', used), [
    { severity: 'warning' },
  ])
  t.same(await found(machine({ folders, tools: tool('on') }), 'wifi'), [], 'nobody uses it')
})

t.test('hardware without an address is told', async (t) => {
  const folders = {
    '/sys/class/net': ['lo', 'eth0', 'eth1', 'docker0'],
    '/sys/class/net/eth0/device': ['vendor'],
    '/sys/class/net/eth1/device': ['vendor'],
  }
  const down = machine({ folders, files: { '/sys/class/net/eth1/operstate': 'down\n' } })
  t.match(await found(down, 'interface-idle', { node: await node() }), [
    { severity: 'note', seen: 'eth1 has no address, and its state is down', remedy: /cable/ },
  ])
  t.ok(hasInterface(down, 'eth1'), 'which has no address, but is no mistake')
  t.notOk(hasInterface(down, 'nix0'))
  const up = machine({ folders, files: { '/sys/class/net/eth1/operstate': 'up\n' } })
  t.match(await found(up, 'interface-idle', { node: await node() }), [{ remedy: /DHCP/ }])
})

t.test('limits and clocks', async (t) => {
  const limits = (count: string) =>
    machine({
      files: { '/proc/self/limits': `Max open files            ${count}   4096   files\n` },
    })
  t.match(await found(limits('1048576'), 'file-limit'), [{ severity: 'ok' }])
  t.match(await found(limits('unlimited'), 'file-limit'), [{ severity: 'ok' }])
  t.match(await found(limits('1024'), 'file-limit'), [
    { severity: 'note', seen: /about 480 peers/ },
  ])
  t.match(await found(limits('128'), 'file-limit'), [
    { severity: 'warning', seen: /about 32 peers/ },
  ])
  const crowd = { node: await node({ alone: false }) }
  t.match(await found(limits('65'), 'file-limit', crowd), [
    { severity: 'problem', remedy: /ulimit/ },
  ])
  t.match(await found(machine({ now: () => 0 }), 'clock-low'), [{ seen: /it is 1970/ }])
  t.match(await found(machine(), '', { lateMs: 2_000, jumpedMs: -90_000 }), [
    { code: 'machine-busy', severity: 'warning', seen: /2000 ms/ },
    { code: 'clock-jumped', severity: 'note', seen: /by -90000 ms/ },
  ])
})

t.test('what a node could not start with is a problem, each with its remedy', async (t) => {
  const failures: readonly [StartFailure, string, RegExp][] = [
    [
      { what: 'beacon-port', message: 'in use', code: 'EADDRINUSE', holder: 'python3, process 7' },
      'beacon-port-taken',
      /in use; it belongs to python3, process 7.*sport = :5670/,
    ],
    [{ what: 'beacon-port', message: 'no', code: 'EACCES' }, 'beacon-port-forbidden', /1024/],
    [{ what: 'mailbox-port', message: 'no', code: 'EADDRINUSE' }, 'mailbox-port-taken', /range/],
    [{ what: 'gossip-port', message: 'no', code: 'EADDRINUSE' }, 'gossip-port-taken', /ss -tlpn/],
    [{ what: 'interface', message: 'none at all', code: '' }, 'no-interface', /ip address/],
    [{ what: 'other', message: 'no', code: 'EMFILE' }, 'start-failed', /options/],
  ]
  for (const [failure, code, words] of failures) {
    const [first] = await found(machine(), '', { failures: [failure] })
    t.match(first, { code, severity: 'problem' })
    t.match(`${first?.seen} ${first?.why} ${first?.remedy}`, words)
  }
  const [failure] = failures[0] ?? []
  const without = { ...(await node()), beacon: null }
  const failed = { failures: failure === undefined ? [] : [failure], node: without }
  t.same(await found(machine(), 'beacons-off', failed), [], 'nobody asked for no beacons')
})

t.test('who has a port is told by ss, or by the table of the kernel', async (t) => {
  const ss =
    'UNCONN 0 0 0.0.0.0:5670 0.0.0.0:* users:(("python3",pid=4711,fd=3),("sh",pid=1,fd=3))\n'
  const told = machine({ tools: { 'ss -H -ulpn sport = :5670': ss } })
  t.equal(await holderOf(told, 5_670), 'python3, process 4711')
  const line =
    ' 2051: 00000000:1626 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 91829'
  const table = machine({ files: { '/proc/net/udp': `  sl  local_address\n${line} 2 0 0\n` } })
  t.equal(await holderOf(table, 5_670), 'a process of user 1000')
  t.equal(await holderOf(table, 5_671), undefined)
  t.equal(await holderOf(machine(), 5_670), undefined)
})
