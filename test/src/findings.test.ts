/** What is found in the diagnostics of a node: one broken set-up after the other, and what a node that is alone tells of it. */

import t from 'tap'
import type { PeerDiagnostics } from '../../protocol/index.ts'
import type { BeaconDiagnostics, BeaconKind, HeardBeacon } from '../../src/discovery/beacon.ts'
import type { GossipDiagnostics } from '../../src/discovery/gossip.ts'
import { chooseInterfaces } from '../../src/discovery/interfaces.ts'
import type { WarningEvent } from '../../src/events.ts'
import { causesOf, type Evidence, findingsOf } from '../../src/findings.ts'
import type { NetworkInterface } from '../../src/host.ts'
import { Lyre } from '../../src/lyre.ts'
import { World } from '../support/host.ts'

const LO = at('lo', '127.0.0.1', '255.0.0.0')
const ETH0 = at('eth0', '10.1.0.7')
const DOCKER0 = at('docker0', '172.17.0.1')
const V6 = { family: 'IPv6', netmask: 'ffff:ffff:ffff:ffff::' } as const
const GLOBAL = { ...at('eth0', 'fd00:7::7'), ...V6 }
const LINK = { ...at('eth0', 'fe80::7%eth0'), ...V6 }
const UUID = '0123456789abcdef0123456789abcdef'

function at(name: string, address: string, netmask = '255.255.0.0'): NetworkInterface {
  return { name, family: 'IPv4', address, netmask, loopback: name === 'lo', broadcasts: true }
}

function heard(address: string, msAgo = 200): HeardBeacon {
  return { address, port: 5_670, msAgo, uuid: null, reason: null }
}

/** Of a node on eth0 that hears itself, and so many beacons of other kinds from 10.1.0.9. */
function beacons(
  counts: Partial<Record<BeaconKind, number>> = {},
  more: Partial<BeaconDiagnostics> = {},
): BeaconDiagnostics {
  const none = { alive: 0, goodbye: 0, impostor: 0, secure: 0, foreign: 0, otherVersion: 0 }
  const all = { ...none, noise: 0, own: 10, ...counts }
  const kinds = Object.entries(all).filter(([, count]) => count > 0)
  return {
    port: 5_670,
    intervalMs: 1_000,
    to: ['10.1.255.255'],
    sent: 10,
    sendErrors: 0,
    expected: 0,
    arrived: 0,
    lastError: null,
    failures: [],
    heard: all,
    last: Object.fromEntries(kinds.map(([kind]) => [kind, heard('10.1.0.9')])),
    networks: { '10.1.0.0/16': Object.fromEntries(kinds) },
    ...more,
  }
}

function node(more: Partial<Evidence> = {}, interfaces = [LO, ETH0], wanted: string[] = []) {
  const evidence: Evidence = {
    endpoint: 'tcp://10.1.0.7:49152',
    interface: chooseInterfaces(interfaces, wanted),
    beacon: beacons(),
    gossip: null,
    mdns: null,
    peers: [],
    ...more,
  }
  return evidence
}

function peer(more: Partial<PeerDiagnostics>): PeerDiagnostics {
  const endpoint = 'tcp://10.1.0.9:49152'
  return { uuid: UUID, name: 'bob', endpoint, unreachable: null, ...more } as PeerDiagnostics
}

function gossip(more: Partial<GossipDiagnostics>): GossipDiagnostics {
  const told = { own: 0, told: 0, secure: 0, impostor: 0, noise: 0, unreachable: 0 }
  const none = {
    bind: null,
    ttlMs: 30_000,
    clients: 0,
    hubs: [],
    tuples: [],
    last: {},
    counters: {},
  }
  return { ...none, told, ...more } as unknown as GossipDiagnostics
}

function summary(evidence: Evidence): string[] {
  return findingsOf(evidence).map(({ severity, code }) => `${severity} ${code}`)
}

function failing(error: string, msAgo = 500, own = 0): BeaconDiagnostics {
  const at = { name: 'eth0', address: '10.1.0.7', to: '10.1.255.255' }
  const failures = [{ ...at, count: 10, error, msAgo }]
  return beacons({ own }, { sendErrors: 10, lastError: error, failures })
}

t.test('beacons that lead nowhere, and come no more, are no cause of what is now', async (t) => {
  for (const [kind, code] of [
    ['impostor', 'duplicate-uuid'],
    ['secure', 'curve-neighbours'],
    ['foreign', 'foreign-network'],
    ['otherVersion', 'other-version'],
  ] as const) {
    const beacon = beacons({ [kind]: 3 }, { last: { [kind]: heard('10.1.0.9', 60_000) } })
    const [found] = findingsOf(node({ beacon })).filter((each) => each.code === code)
    t.match(found, { severity: 'note', seen: /60\.0 s ago/ }, kind)
    t.notOk(causesOf(node({ beacon })).some((each) => each.code === code))
  }
})

t.test('a node among others has nothing to complain of', async (t) => {
  const well = node({ beacon: beacons({ alive: 20 }), peers: [peer({ state: 'entered' })] })
  t.same(summary(well), [
    'ok interface-used',
    'ok interface-skipped',
    'ok peers-there',
    'ok beacons-heard',
  ])
  t.same(causesOf(well), [])
  for (const { severity, seen, why, remedy } of findingsOf(well)) {
    t.equal(severity === 'ok', why === '' && remedy === '', seen)
  }
})

t.test('beacons that could not be sent for a while are no problem once they can', async (t) => {
  const over = failing('send ENETUNREACH x', 60_000, 10)
  const [found] = findingsOf(node({ beacon: over })).filter(({ code }) => code === 'send-failed')
  t.match(found, { severity: 'note', seen: /the last 60.0 s ago: send ENETUNREACH/ })
  const deaf = summary(node({ beacon: failing('send ENETUNREACH x', 60_000) }))
  t.ok(deaf.includes('problem own-beacons-missing'), 'and what was sent since may be missed')
})

const secure = beacons({ secure: 9 })
const silent = { alive: heard('10.1.0.9', 60_000), own: heard('10.1.0.7') }
/** What is broken, what is seen of it, what is found, and what its words have to say. */
const SET_UPS: readonly [string, Evidence, string, RegExp][] = [
  ['nobody', node(), 'warning only-own-beacons', /come back on eth0 .*gossip-connect tcp/],
  [
    'UDP in',
    node({ beacon: beacons({ own: 0 }) }),
    'problem own-beacons-missing',
    /ufw allow 5670\/udp/,
  ],
  [
    'UDP in, since lately',
    node({ beacon: beacons({}, { last: { own: heard('10.1.0.7', 60_000) } }) }),
    'problem own-beacons-missing',
    /firewall/,
  ],
  [
    'own beacons are kept out, those of others are not',
    node({ beacon: beacons({ own: 0, alive: 5 }) }),
    'warning own-beacons-missing',
    /eth0/,
  ],
  [
    'UDP out',
    node({ beacon: failing('send EPERM 10.1.255.255:5670') }),
    'problem send-failed',
    /packet filter/,
  ],
  [
    'macOS',
    node({ beacon: failing('send EHOSTUNREACH x') }),
    'problem send-failed',
    /Local Network/,
  ],
  [
    'sandbox',
    node({ beacon: failing('send EACCES x') }),
    'problem send-failed',
    /may not broadcast/,
  ],
  ['no route', node({ beacon: failing('send ENETUNREACH x') }), 'problem send-failed', /ip route/],
  ['new', node({ beacon: failing('send ESOMETHING x') }), 'problem send-failed', /ESOMETHING/],
  [
    'CURVE',
    node({ beacon: secure }),
    'problem curve-neighbours',
    /9 .*from 10\.1\.0\.9.*CURVE off/,
  ],
  [
    'CURVE beside us',
    node({ beacon: secure, peers: [peer({ state: 'entered' })] }),
    'note curve-neighbours',
    /CURVE/,
  ],
  ['subnet', node({ beacon: beacons({ foreign: 3 }) }), 'warning foreign-network', /netmask/],
  ['copy', node({ beacon: beacons({ impostor: 3 }) }), 'problem duplicate-uuid', /copy/],
  ['version', node({ beacon: beacons({ otherVersion: 3 }) }), 'warning other-version', /version 1/],
  ['noise', node({ beacon: beacons({ noise: 3 }) }), 'note noise', /another port/],
  [
    'gone quiet',
    node({ beacon: beacons({ alive: 5 }, { last: silent }) }),
    'warning fell-silent',
    /60\.0 s ago/,
  ],
  ['no beacons', node({ beacon: null }), 'warning beacons-off', /requirePeer/],
  [
    'no beacons, but gossip',
    node({ beacon: null, gossip: gossip({}) }),
    'note beacons-off',
    /beacon: false/,
  ],
  [
    'their TCP',
    node({ peers: [peer({ state: 'dialling', unreachable: 'no answer from its inbox' })] }),
    'problem peer-unreachable',
    /bob at tcp:\/\/10\.1\.0\.9:49152 .no answer.*firewall of the other/,
  ],
  [
    'nobody listens there',
    node({
      peers: [peer({ state: 'discovered', unreachable: 'connect ECONNREFUSED', name: '' })],
    }),
    'problem peer-unreachable',
    /012345 at .*advertise/,
  ],
  [
    'no node listens there',
    node({ peers: [peer({ state: 'discovered', unreachable: 'closed before the handshake' })] }),
    'problem peer-unreachable',
    /CURVE/,
  ],
  [
    'our TCP',
    node({ peers: [peer({ state: 'greeted', unreachable: 'no HELLO from it' })] }),
    'problem inbound-blocked',
    /our TCP port in, now 49152.*ufw allow/,
  ],
]

t.test('each broken set-up is known by its finding, with what can be done', async (t) => {
  for (const [title, evidence, expected, words] of SET_UPS) {
    t.ok(summary(evidence).includes(expected), `${title}: ${summary(evidence)}`)
    const found = findingsOf(evidence).find(({ code }) => expected.endsWith(code))
    t.match(`${found?.seen} ${found?.why} ${found?.remedy}`, words, title)
  }
  for (const [title, evidence] of SET_UPS) {
    const order = findingsOf(evidence).map(({ severity }) => severity)
    const sorted = ['problem', 'warning', 'note', 'ok'].flatMap((each) =>
      order.filter((severity) => severity === each),
    )
    t.same(order, sorted, `${title}: the worst first`)
  }
})

t.test('an interface that reaches nobody is told, unless it was asked for', async (t) => {
  const link = at('eth1', '169.254.7.7')
  t.ok(summary(node({}, [LO, DOCKER0])).includes('warning only-virtual'))
  t.ok(summary(node({}, [LO, link])).includes('warning only-link-local'))
  t.ok(summary(node({}, [LO])).includes('warning only-loopback'))
  t.notMatch(summary(node({}, [LO, DOCKER0], ['docker0'])).join(), 'only-virtual')
  const skipped = findingsOf(node({}, [LO, ETH0, DOCKER0, at('br-1', '172.18.0.1')]))
  t.match(
    skipped.find(({ seen }) => seen.includes('br-1')),
    {
      code: 'interface-skipped',
      seen: /^docker0 \(172\.17\.0\.1\), br-1 .* not used: it looks like/,
    },
  )
  const choice = chooseInterfaces([ETH0], [])
  const reason = 'cannot listen at 10.2.0.1:49152: EADDRINUSE'
  const failed = [{ name: 'wlan0', address: '10.2.0.1', reason }]
  const found = findingsOf(node({ interface: { ...choice, skipped: failed } }))
  t.match(found, [{ code: 'inbox-failed', seen: /EADDRINUSE/, remedy: /mailbox-port/ }])
  t.same(summary(node({ interface: null, beacon: null, gossip: gossip({}) })), ['note beacons-off'])
})

t.test('each interface is judged by itself', async (t) => {
  const wlan0 = at('wlan0', '10.2.0.7')
  const found = findingsOf(node({}, [ETH0, wlan0]))
  t.match(found[0], { code: 'own-beacons-missing', seen: /on wlan0 \(10\.2\.0\.7\)$/ })
  t.notMatch(found.map(({ seen }) => seen).join(), /come back on eth0 \(10.1.0.7\), wlan0.*missing/)
})

t.test('many peers are counted, and some are named', async (t) => {
  const lost = { state: 'discovered', unreachable: 'timeout' } as const
  const peers = Array.from({ length: 9 }, (_, index) => peer({ ...lost, name: `n${index}` }))
  const [found] = findingsOf(node({ peers }))
  t.match(found?.seen, /^9 nodes .*n4 at \S+ \(timeout\) and 4 more$/)
})

t.test('what gossip and its hubs say', async (t) => {
  const hub = { endpoint: 'tcp://10.1.0.5:5671', leases: null } as const
  const of = (more: Partial<GossipDiagnostics>) =>
    node({ interface: null, beacon: null, gossip: gossip(more) })
  const lost = of({ hubs: [{ ...hub, state: 'waiting', lastError: 'connect ECONNREFUSED' }] })
  t.match(findingsOf(lost)[0], {
    code: 'hub-unreachable',
    severity: 'problem',
    seen: 'the hub tcp://10.1.0.5:5671 is not there: connect ECONNREFUSED',
  })
  const early = of({ hubs: [{ ...hub, state: 'dialling', lastError: null }] })
  t.match(findingsOf(early)[0]?.seen, /it has not answered so far$/)
  const connected = [{ ...hub, state: 'connected', leases: true, lastError: null } as const]
  t.same(summary(of({ hubs: connected })), [
    'warning hub-alone',
    'note beacons-off',
    'ok hub-connected',
  ])
  const { told } = gossip({})
  const curve = {
    hubs: connected,
    told: { ...told, secure: 2 },
    last: { secure: { reason: 'it talks CURVE' } },
  } as unknown as GossipDiagnostics
  t.match(findingsOf(of(curve))[0], { code: 'gossip-leads-nowhere', seen: /it talks CURVE/ })
  t.same(summary(of({ hubs: connected, told: { ...told, told: 1 } })), [
    'note beacons-off',
    'ok hub-connected',
  ])
})

t.test('what seeds and the folder of a node say, where it has them', async (t) => {
  const seed = { endpoint: 'tcp://10.1.0.5:49152', remembered: false, lastReason: null }
  const of = (...seeds: NonNullable<Evidence['seeds']>) => node({ beacon: null, seeds })
  const dialling = { ...seed, state: 'dialling' }
  t.match(findingsOf(of(dialling))[0], {
    code: 'seed-unreachable',
    severity: 'problem',
    seen: 'nobody has entered at tcp://10.1.0.5:49152: it has not answered so far',
  })
  const refused = { ...dialling, remembered: true, lastReason: 'refused' }
  const seeds = findingsOf(of(refused)).filter(({ code }) => code === 'seed-unreachable')
  t.match(seeds, [{ severity: 'note', seen: /: refused$/ }])
  for (const state of ['entered', 'found', 'self', 'given-up']) {
    t.notMatch(summary(of({ ...seed, state })).join(), 'seed-unreachable', state)
  }
  t.ok(summary(of(dialling)).includes('note beacons-off'), 'seeds find others without beacons')
  const identity = { folder: '/var/lib/x', problems: ['no space left'] }
  const kept = findingsOf(node({ identity })).filter(({ code }) => code === 'state-unwritten')
  t.match(kept, [{ severity: 'warning', seen: 'in /var/lib/x: no space left' }])
})

/** What a node finds in itself about multicast DNS, alone or with others. */
async function mdnsOf(world: World, others: readonly Lyre[] = []): Promise<string> {
  const lyre = new Lyre({ mdns: true }, world.host())
  for (const other of others) await other.start()
  await lyre.start()
  await world.advance(2_000)
  return findingsOf(lyre.diagnostics())
    .filter(({ code }) => code.startsWith('mdns'))
    .map(({ severity, code, seen }) => `${severity} ${code}: ${seen}`)
    .join()
}

t.test('what multicast DNS says', async (t) => {
  t.match(await mdnsOf(new World()), /^note mdns-alone: no node shows .* port 5353$/)
  const blocked = new World()
  blocked.mdnsError = new Error('bind EADDRINUSE 0.0.0.0:5353')
  t.match(await mdnsOf(blocked), /^warning mdns-closed: .*bind EADDRINUSE/)
  const world = new World()
  const stranger = new Lyre({ mdns: true, beaconPort: 5_671 }, world.host())
  t.match(await mdnsOf(world, [stranger]), /^warning mdns-other-network: .* 1 beacon at another/)
  const peers = new World()
  const bob = new Lyre({ mdns: true }, peers.host())
  t.match(await mdnsOf(peers, [bob]), /^ok mdns-heard: 1 node shows/)
  const deaf = new World()
  const lyre = new Lyre({ mdns: true }, deaf.host())
  await lyre.start()
  deaf.silence()
  await deaf.advance(2_000)
  t.match(summary(lyre.diagnostics()).join(), 'warning mdns-own-missing')
})

t.test('a node that is alone warns once, and again only after somebody was there', async (t) => {
  const world = new World()
  const ada = new Lyre({ lonelyAfterMs: 6_000 }, world.host())
  const warnings: WarningEvent[] = []
  ada.on('warning', (warning) => warnings.push(warning))
  const stream = ada.events()
  await ada.start()
  await world.advance(5_999)
  t.equal(warnings.length, 0)
  await world.advance(60_000)
  t.match(warnings, [
    {
      code: 'nobody-heard',
      text: /^nobody has been there for 6 s: beacons leave by lo/,
      causes: [{ code: 'only-loopback' }, { code: 'only-own-beacons' }],
    },
  ])
  t.match(await stream.next(), { value: { type: 'warning' } })

  const bob = new Lyre({}, world.host())
  await bob.start()
  await world.advance(30_000)
  t.equal(warnings.length, 1, 'nor while somebody is there')
  const stopped = bob.stop()
  await world.advance(2_000)
  await stopped
  t.equal(ada.peers().length, 0)
  await world.advance(60_000)
  t.equal(warnings.length, 2)
  t.match(
    warnings[1]?.causes.map(({ code }) => code),
    ['only-loopback', 'fell-silent'],
  )
  const end = ada.stop()
  await world.advance(2_000)
  await end
  await world.advance(60_000)
  t.equal(warnings.length, 2, 'one that has stopped is not lonely')
  t.equal(world.nextAt, Number.POSITIVE_INFINITY, 'and has no timer')
})

t.test(
  'a node without beacons is told by a timer of its own, and one that does not want to, never',
  async (t) => {
    for (const [lonelyAfterMs, count] of [
      [10_000, 1],
      [0, 0],
      [Number.POSITIVE_INFINITY, 0],
    ] as const) {
      const world = new World()
      const lyre = new Lyre({ beacon: false, lonelyAfterMs }, world.host())
      const codes: string[] = []
      lyre.on('warning', ({ causes }) => codes.push(...causes.map(({ code }) => code)))
      await lyre.start()
      await world.advance(100_000)
      t.equal(codes.filter((code) => code === 'beacons-off').length, count, `${lonelyAfterMs}`)
    }
  },
)

t.test('of IPv6, an address of the link is there beside others, and sends no beacon', async (t) => {
  const own = { own: 10 }
  const beacon = beacons({}, { networks: { 'fd00:7::/64': own }, to: ['ff02::1%eth0'] })
  const found = findingsOf(node({ beacon }, [LO, GLOBAL, LINK]))
  const used = found.filter(({ code }) => code === 'interface-used')
  t.match(
    used.map(({ severity, seen }) => [severity, seen]),
    [
      ['ok', /^beacons leave by eth0 \(fd00:7::7\) to ff02::1%eth0/],
      ['ok', /^eth0 \(fe80::7%eth0\) can be dialled: beacons come from fd00:7::7/],
    ],
  )
  t.notOk(
    found.some(({ code }) => code === 'own-beacons-missing'),
    'it sends none',
  )
  const [alone] = found.filter(({ code }) => code === 'only-own-beacons')
  t.match(alone, { why: /or on IPv4 alone/, remedy: /tcp:\/\/\[::\]:5671/ })
})

t.test('where there is nothing but addresses of the link, that is said', async (t) => {
  const networks = { 'fe80::%eth0/64': { own: 10 } }
  const [cause] = causesOf(node({ beacon: beacons({}, { networks }) }, [LO, LINK]))
  t.match(cause, { code: 'only-link-local', seen: /fe80::7%eth0/ })
  const both = node({}, [LO, ETH0, LINK])
  const chosen = chooseInterfaces([LO, ETH0, LINK], [], { ipv6: true })
  const found = findingsOf({ ...both, interface: chosen })
  t.notOk(
    found.some(({ code }) => code === 'only-link-local'),
    'but not beside IPv4',
  )
  t.match(found.find(({ code }) => code === 'own-beacons-missing')?.seen, /ff02::1%eth0/)
})

t.test('who has IPv6 switched off, or is at ::1, is told what that means', async (t) => {
  const off = chooseInterfaces([ETH0, { ...GLOBAL, name: 'eth1' }], [], { ipv6: false })
  const skipped = findingsOf(node({ interface: off })).find(
    ({ code }) => code === 'interface-skipped',
  )
  t.match(skipped, { severity: 'note', remedy: /leave out ipv6: false/ })
  const one = { ...LO, ...V6, address: '::1', broadcasts: false }
  const beacon = beacons({ own: 0 }, { networks: {} })
  const found = findingsOf(node({ beacon }, [LO, one], ['::1']))
  t.match(
    found.find(({ code }) => code === 'own-beacons-missing'),
    { severity: 'warning', remedy: /ip -6 route add local ff02::1 dev lo/ },
  )
})
