// Harmony and its connections: whom to dial and when, and what to believe of those who come. Rules 2 and 5.3 to 5.6.

import t from 'tap'
import { formatEndpoint, parseEndpoint } from '../../protocol/endpoints.ts'
import { decodeZre } from '../../protocol/zre.ts'
import { content, endpointOf, helloOf, line, Machine, UP, uuidOf } from '../support/harmony.ts'
import { findVector, framesOf, loadVectors } from '../support/vectors.ts'

const PING = { type: 'ping' } as const
const PING_OK = { type: 'ping-ok' } as const

t.test('who is discovered is dialled, and HELLO goes first (harmony.md 2.1 and 2.6)', async (t) => {
  const machine = new Machine()
  machine.harmony.join('CHAT', machine.now)
  t.same(machine.discover(1), ['dial 1 tcp://10.0.0.1:49152'])
  t.same(machine.discover(1), [], 'only once')
  machine.harmony.join('NEWS', machine.now)
  t.equal(machine.harmony.whisper(uuidOf(1), content('hi'), machine.now), 0)
  t.same(machine.up(1, uuidOf(1)), ['send 1 hello 1'])
  t.same(machine.up(1, uuidOf(1)), [], 'an inbox is up only once')
  machine.harmony.leave('NEWS', machine.now)
  t.same(machine.lines(), ['send 1 leave NEWS 2'], 'who has our HELLO counts on from there')
})

t.test('our HELLO says who we are', async (t) => {
  const machine = new Machine()
  machine.harmony.join('CHAT', machine.now)
  machine.harmony.join('NEWS', machine.now)
  machine.harmony.leave('CHAT', machine.now)
  machine.discover(1)
  machine.harmony.handleLink(1, UP, 0)
  const [effect] = machine.effects()
  t.same(effect?.type === 'send' && effect.command, {
    type: 'hello',
    endpoint: 'tcp://10.0.0.0:49152',
    groups: ['NEWS'],
    status: 3,
    name: 'p0',
    headers: { 'X-NODE': '0' },
  })
})

t.test('nobody dials itself, and nothing is heard unless started', async (t) => {
  const machine = new Machine()
  t.same(machine.discover(0), [])
  t.same(machine.up(-1, uuidOf(0)), ['close -1'])
  machine.harmony.stop()
  t.same(machine.discover(1), [])
  t.same(machine.up(-2, uuidOf(1)), ['close -2'])
  t.equal(machine.harmony.pollTimeout(), Number.POSITIVE_INFINITY)
})

t.test('a connection has 5 s for its HELLO (harmony.md 2.2)', async (t) => {
  const machine = new Machine()
  machine.up(-1, uuidOf(1))
  t.same(machine.at(4_999), [])
  t.same(machine.at(5_000), ['close -1'])
  t.equal(machine.count('hello-timeout'), 1)
  t.equal(machine.diagnostics().arrivals, 0)
  t.equal(machine.harmony.pollTimeout(), Number.POSITIVE_INFINITY)
})

t.test('a connection may say 64 things before its HELLO (harmony.md 2.2)', async (t) => {
  const machine = new Machine()
  machine.up(-1, uuidOf(1))
  for (let count = 1; count <= 64; count++) t.same(machine.say(-1, PING), [])
  t.same(machine.say(-1, PING), ['close -1'])
  t.same(machine.say(-1, PING), [], 'and is nobody from then on')
  t.equal(machine.count('before-hello'), 65)
  machine.up(-2, uuidOf(1))
  machine.say(-2, PING)
  t.same(machine.say(-2, helloOf(1), 1), ['hold -2', 'dial 1 tcp://10.0.0.1:49152'])
})

t.test('who has no identity of ZRE is closed (harmony.md 2.3)', async (t) => {
  const machine = new Machine()
  t.same(machine.up(-1, undefined), ['close -1'])
  t.equal(machine.count('arrival-identity'), 1)
  t.equal(machine.diagnostics().connections, 0)
})

t.test('a HELLO that cannot be is refused (harmony.md 2.4)', async (t) => {
  const machine = new Machine({ limits: { peerGroupsMax: 2 } })
  const refused = [
    { sequence: 2 },
    { endpoint: 'ipc:///tmp/p1' },
    { endpoint: 'tcp://10.0.0.1' },
    { endpoint: 'tcp://10.0.0.1:0' },
    { endpoint: 'tcp://10.0.0.1:65536' },
    { endpoint: '' },
    { groups: ['A', 'B', 'C'] },
  ]
  for (const [index, { sequence = 1, ...hello }] of refused.entries()) {
    const connection = -1 - index
    machine.up(connection, uuidOf(1))
    t.same(machine.say(connection, helloOf(1, hello), sequence), [`close ${connection}`])
  }
  t.equal(machine.count('hello-refused'), refused.length)
  t.equal(machine.diagnostics().arrivals, 0, 'each gives back its place')
  t.same(machine.diagnostics().peers, [])
})

t.test('a HELLO without an address means where it comes from (harmony.md 2.5)', async (t) => {
  for (const [endpoint, address, expected] of [
    ['tcp://10.0.0.1:49153', '10.0.0.9', 'tcp://10.0.0.1:49153'],
    ['tcp://kitchen:49153', '10.0.0.9', 'tcp://10.0.0.9:49153'],
    ['tcp://999.1.1.1:49153', '10.0.0.9', 'tcp://10.0.0.9:49153'],
    ['tcp://10.1:49153', '10.0.0.9', 'tcp://10.0.0.9:49153'],
    ['tcp://1.2.3.4.5:49153', '10.0.0.9', 'tcp://10.0.0.9:49153'],
    ['tcp://0.0.0.0:49153', '10.0.0.9', 'tcp://10.0.0.9:49153'],
    ['tcp://[::]:49153', 'fe80::9', 'tcp://[fe80::9]:49153'],
    ['tcp://[1:2:3]:49153', 'fe80::9', 'tcp://[fe80::9]:49153'],
    ['tcp://127.0.0.1:49153', '10.0.0.9', 'tcp://10.0.0.9:49153'],
    ['tcp://127.0.0.1:49153', '127.0.0.2', 'tcp://127.0.0.1:49153'],
    ['tcp://[::ffff:127.0.0.1]:49153', '10.0.0.9', 'tcp://10.0.0.9:49153'],
    ['tcp://255.255.255.255:49153', '127.0.0.1', 'tcp://127.0.0.1:49153'],
    ['tcp://239.1.1.1:49153', '10.0.0.9', 'tcp://10.0.0.9:49153'],
    ['tcp://[ff02::1]:49153', 'fe80::9', 'tcp://[fe80::9]:49153'],
    ['tcp://[fe80::1]:49153', 'fe80::9', 'tcp://[fe80::1]:49153'],
    ['tcp://kitchen:49153', '', 'tcp://kitchen:49153'],
  ] as const) {
    const machine = new Machine()
    machine.up(-1, uuidOf(1), { address })
    t.same(machine.say(-1, helloOf(1, { endpoint })), ['hold -1', `dial 1 ${expected}`], endpoint)
  }
})

t.test(
  'a HELLO of C Zyre with IPv6 is dialled by the link it came by (harmony.md 2.12)',
  async (t) => {
    const { bytes } = findVector(loadVectors('zre'), 'hello-ipv6-link-local')
    const hello = decodeZre(framesOf(bytes))
    const machine = new Machine()
    const cecil = 'tcp://[fe80::98cb:5bff:fe51:d871%eth0]:49152'
    machine.discover(1, cecil)
    machine.up(-1, uuidOf(1), { address: 'fe80::98cb:5bff:fe51:d871%eth0' })
    t.same(machine.say(-1, hello), ['hold -1'], 'it is where its beacon came from')
    machine.up(-2, uuidOf(2), { address: 'fe80::98cb:5bff:fe51:d871%eth1' })
    const other = cecil.replace('eth0', 'eth1')
    t.same(
      machine.say(-2, hello),
      ['hold -2', `dial 2 ${other}`],
      'that of another link is another',
    )
  },
)

t.test('an endpoint is put together and taken apart', async (t) => {
  t.same(parseEndpoint(formatEndpoint('fe80::1', 1)), { host: 'fe80::1', port: 1 })
  t.same(parseEndpoint('tcp://kitchen:65535'), { host: 'kitchen', port: 65_535 })
  t.equal(parseEndpoint('udp://kitchen:1'), undefined)
})

t.test('of two endpoints the other one is tried after a failure (harmony.md 2.6)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  machine.discover(1, 'tcp://10.0.9.1:1')
  machine.lost(1)
  t.same(machine.at(100), ['dial 2 tcp://10.0.9.1:1'])
  t.match(machine.diagnostics().peers, [{ endpoint: 'tcp://10.0.9.1:1', failureCount: 1 }])
  machine.lost(2)
  t.same(machine.at(300), ['dial 3 tcp://10.0.0.1:49152'])
})

t.test(
  'where a HELLO says that it is, is where a waiting dial goes (harmony.md 2.6)',
  async (t) => {
    const machine = new Machine()
    machine.discover(1, 'tcp://10.0.0.1:1')
    t.same(machine.greet(-1, 1), ['hold -1'], 'not while it is being dialled')
    machine.lost(1)
    t.same(machine.at(100), ['dial 2 tcp://10.0.0.1:49152'])
    machine.lost(-1)
    machine.lost(2)
    const hello = { endpoint: 'tcp://10.0.7.1:7' }
    t.same(machine.greet(-2, 1, hello), ['hold -2'])
    t.same(machine.at(200), ['dial 3 tcp://10.0.7.1:7'])
  },
)

t.test('a dial that nobody answers is begun anew for a HELLO (harmony.md 2.6)', async (t) => {
  for (const was of ['tcp://10.0.0.1:1', 'tcp://10.0.0.1:49152']) {
    for (const ms of [999, 1_000]) {
      const machine = new Machine()
      machine.discover(1, was)
      machine.at(ms)
      const effects = machine.greet(-1, 1)
      if (ms < 1_000) {
        t.same(effects, ['hold -1'], `${was}: it may be answered yet`)
        continue
      }
      t.same(effects, ['close 1', 'hold -1'], `${was}: it was not there before`)
      t.same(machine.at(ms + 100), ['dial 2 tcp://10.0.0.1:49152'])
      t.same(machine.up(2, uuidOf(1)), ['send 2 hello 1', 'enter p1', 'resume -1'])
    }
  }
})

t.test(
  'its own HELLO from another host goes before what a beacon told (harmony.md 2.6)',
  async (t) => {
    // Whose uuid is the greater one changes its mind, the other waits for that (harmony.md 2.13).
    for (const [reached, node] of [
      [false, 0],
      [true, 0],
      [true, 9],
    ] as const) {
      const machine = new Machine({ node })
      machine.discover(1, 'tcp://10.0.9.1:1')
      if (reached) machine.up(1, uuidOf(1))
      t.same(
        machine.greet(-1, 1),
        ['close 1', 'hold -1'],
        'whoever is there names its uuid, or not',
      )
      t.same(machine.discover(1, 'tcp://10.0.9.1:2'), [], 'and no beacon changes it')
      const waitMs = node === 9 ? 100 : 400
      t.same(machine.at(waitMs - 1), [])
      t.same(machine.at(waitMs), ['dial 2 tcp://10.0.0.1:49152'])
      t.same(machine.up(2, uuidOf(1)), ['send 2 hello 1', 'enter p1', 'resume -1'])
      t.equal(machine.count('greeted-elsewhere'), 1)
    }
  },
)

t.test('a port that has a new owner is left before a word is said (harmony.md 2.7)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  t.same(machine.up(1, uuidOf(2)), ['close 1'])
  t.match(machine.diagnostics(), {
    dials: 0,
    connections: 0,
    peers: [{ state: 'discovered', unreachable: 'another node is at its endpoint' }],
  })
})

t.test('dials wait twice as long each time, up to 2 s (harmony.md 2.8)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  const waits: number[] = []
  for (let dial = 1; dial <= 7; dial++) {
    const before = machine.now
    machine.lost(dial)
    waits.push(machine.harmony.pollTimeout() - before)
    const dialled = () => machine.diagnostics().peers[0]?.state === 'dialling'
    while (!dialled()) machine.at(machine.harmony.pollTimeout())
    waits[dial - 1] = machine.now - before
  }
  t.same(waits, [50, 100, 200, 400, 800, 1_000, 1_000], 'half of it between 0000 and 0001')
  const far = new Machine({ node: 0xfffe })
  far.discover(1)
  far.lost(1)
  t.equal(far.harmony.pollTimeout(), 100, 'all of it between fffe and 0001')
})

t.test('a link that held for 10 s begins with the shortest wait (harmony.md 2.8)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  machine.lost(1)
  machine.at(50)
  machine.lost(2)
  machine.at(150)
  machine.up(3)
  machine.greet(-1, 1)
  t.match(machine.diagnostics().peers, [{ failureCount: 2 }])
  for (let now = 1_000; now <= 11_000; now += 1_000) {
    machine.at(now)
    machine.say(-1, PING)
  }
  t.match(machine.diagnostics().peers, [{ failureCount: 0 }])
})

t.test('a HELLO shortens the wait, but not to nothing (harmony.md 2.8)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  for (const [connection, now] of [
    [1, 50],
    [2, 150],
    [3, 350],
    [4, 750],
  ] as const) {
    machine.lost(connection)
    machine.at(now)
  }
  machine.lost(5)
  t.same(machine.greet(-1, 1), ['hold -1'])
  t.same(machine.at(849), [])
  t.same(machine.at(850), ['dial 6 tcp://10.0.0.1:49152'])
})

t.test('what a peer says waits until our own link is up (harmony.md 2.9)', async (t) => {
  const machine = new Machine()
  t.same(machine.greet(-1, 1), ['hold -1', 'dial 1 tcp://10.0.0.1:49152'])
  t.same(machine.say(-1, { type: 'whisper', content: content('hi') }), [])
  t.equal(machine.count('message-while-held'), 1)
  t.same(machine.up(1, uuidOf(1)), ['send 1 hello 1', 'enter p1', 'resume -1'])
  t.same(machine.say(-1, { type: 'whisper', content: content('hi') }), ['whisper p1 hi'])
})

t.test('an inbound connection that closes before we are up is no matter', async (t) => {
  const machine = new Machine()
  machine.greet(-1, 1)
  machine.greet(-2, 1)
  t.same(machine.lost(-1), ['hold -2'], 'who waited is heard instead')
  t.same(machine.lost(-2), [])
  t.same(machine.up(1), ['send 1 hello 1'], 'our dial goes on')
  t.same(machine.greet(-3, 1), ['enter p1', 'resume -3'])
})

t.test(
  'an endpoint has one link of ours, and its owner is asked (harmony.md 2.10 and 5.5)',
  async (t) => {
    const machine = new Machine()
    machine.enter(1)
    t.same(machine.discover(2, endpointOf(1)), ['send 1 ping 2'])
    t.match(machine.diagnostics().peers[1], { unreachable: 'another peer is at its endpoint' })
    machine.say(-1, PING_OK)
    t.same(machine.at(1_500), ['send 1 ping 3'], 'it answered, and is asked again')
    t.same(machine.at(2_999), [])
    t.same(machine.at(3_000).slice(-4), [
      'exit p1 expired',
      'close 1',
      'close -1',
      'dial 2 tcp://10.0.0.1:49152',
    ])
  },
)

t.test(
  'a greeted peer makes room for another at its endpoint (harmony.md 2.10 and 5.5)',
  async (t) => {
    const machine = new Machine()
    machine.discover(1)
    machine.discover(2, endpointOf(1))
    t.same(machine.at(200), [], 'while it is dialled, the other waits')
    t.same(machine.up(1), ['send 1 hello 1'])
    t.same(machine.at(349), [])
    t.same(machine.at(350), ['send 1 ping 2'])
    t.same(machine.at(1_850), ['close 1', 'dial 2 tcp://10.0.0.1:49152'])
    t.match(machine.diagnostics().peers[0], { state: 'discovered', unreachable: /never came/ })
  },
)

t.test(
  'whoever is told of at an endpoint gives way to who says HELLO from there (harmony.md 2.10)',
  async (t) => {
    for (const greeted of [false, true]) {
      const machine = new Machine()
      for (let peer = 2; peer < 40; peer++) machine.discover(peer, endpointOf(1))
      if (greeted) t.same(machine.up(1), ['send 1 hello 1'])
      t.same(machine.greet(-1, 1), ['hold -1', 'close 1', 'dial 2 tcp://10.0.0.1:49152'])
      t.same(machine.up(2, uuidOf(1)), ['send 2 hello 1', 'enter p1', 'resume -1'])
    }
    const machine = new Machine()
    machine.discover(2, endpointOf(1))
    machine.greet(-1, 9, { endpoint: endpointOf(1) })
    t.same(machine.at(100), [], 'from elsewhere it is hearsay, too')
  },
)

t.test(
  'a dial that nobody answers, to one that is not here, gives way to who is there (harmony.md 2.10)',
  async (t) => {
    for (const lateMs of [800, 1_000]) {
      const machine = new Machine()
      machine.enter(1)
      machine.lost(1)
      machine.lost(-1)
      while (machine.diagnostics().dials === 0) machine.at(machine.now + 100)
      machine.at(machine.now + lateMs)
      machine.up(-2, uuidOf(2), { address: '10.0.0.1' })
      const done = machine.say(-2, helloOf(2, { endpoint: endpointOf(1) }))
      const expected = ['close 2', 'dial 3 tcp://10.0.0.1:49152']
      t.same(done, ['hold -2', ...(lateMs < 1_000 ? [] : expected)], `after ${lateMs} ms`)
      if (lateMs < 1_000) continue
      t.same(machine.up(3, uuidOf(2)).slice(0, 2), ['send 3 hello 1', 'enter p2'])
    }
    // It said HELLO, and then its machine was off.
    const machine = new Machine()
    machine.discover(1)
    machine.greet(-1, 1)
    machine.at(1_100)
    machine.up(-2, uuidOf(2), { address: '10.0.0.1' })
    t.same(machine.say(-2, helloOf(2, { endpoint: endpointOf(1) })), [
      'hold -2',
      'close 1',
      'dial 2 tcp://10.0.0.1:49152',
    ])
  },
)

t.test('a goodbye by beacon is a hint (harmony.md 5.3, W5)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.at(900)
  const hint = () => {
    machine.harmony.handleGoodbyeHint(uuidOf(1), machine.now)
    return machine.settle()
  }
  t.same(hint(), ['send 1 ping 2'])
  t.same(hint(), [], 'once')
  t.same(machine.say(-1, PING_OK), [])
  t.same(machine.at(1_400), [])
  t.same(hint(), ['send 1 ping 3'], 'who answered can be asked again')
  t.same(machine.at(2_899), [])
  t.same(machine.at(2_900), ['exit p1 goodbye', 'close 1', 'close -1'])
  t.same(hint(), [])
})

t.test('a connection that closes after the hint is a goodbye (harmony.md 5.3)', async (t) => {
  for (const connection of [1, -1]) {
    const machine = new Machine()
    machine.enter(1)
    machine.harmony.handleGoodbyeHint(uuidOf(1), 0)
    const lines = [...machine.lost(connection), ...machine.at(250)]
    t.same(lines, ['exit p1 goodbye', `close ${-connection}`])
    t.same(machine.diagnostics().peers, [])
  }
})

t.test('who is not entered is forgotten at the hint, unless it said HELLO', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  machine.harmony.handleGoodbyeHint(uuidOf(1), 0)
  t.same(machine.settle(), ['close 1'])
  t.match(machine.diagnostics(), { peers: [], dials: 0, connections: 0 })
  machine.greet(-1, 1)
  machine.harmony.handleGoodbyeHint(uuidOf(1), 0)
  t.same(machine.settle(), [])
})

t.test(
  'who takes the identity of a peer waits while that is asked (harmony.md 5.4, W4)',
  async (t) => {
    const machine = new Machine()
    machine.enter(1)
    t.same(machine.greet(-2, 1), ['hold -2', 'send 1 ping 2'])
    t.same(machine.greet(-3, 1), ['close -3'], 'only one can wait')
    t.same(machine.say(-2, PING), [], 'unread')
    t.same(machine.say(-1, PING_OK), ['close -2'])
    t.equal(machine.diagnostics().arrivals, 0)
    t.same(machine.at(1_000), [])
    t.same(machine.greet(-4, 1), ['hold -4', 'send 1 ping 3'], 'the next one can wait again')
    t.same(machine.at(2_499), [])
    t.same(machine.at(2_500), ['exit p1 restart', 'close 1', 'close -1', 'hold -4'])
    t.same(machine.at(2_600), ['dial 2 tcp://10.0.0.1:49152'])
    t.same(machine.up(2), ['send 2 hello 1', 'enter p1', 'resume -4'])
    t.same(machine.greet(-5, 1), ['hold -5', 'send 2 ping 2'], 'and it can be asked as well')
  },
)

t.test('a newcomer that goes away leaves its place to the next (harmony.md 5.4)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.say(-1, PING_OK)
  machine.greet(-2, 1)
  t.same(machine.lost(-2), [])
  t.same(machine.greet(-3, 1), ['hold -3'])
  machine.at(1_400)
  t.same(machine.lost(-1), ['exit p1 restart', 'enter p1', 'resume -3'], 'our HELLO is new')
  machine.at(1_500)
  t.same(machine.greet(-4, 1), ['hold -4', 'send 1 ping 3'])
  t.same(machine.lost(-3), ['exit p1 restart', 'close 1', 'hold -4'], 'and is so only once')
})

t.test('who waits while a peer greets again is answered in time (harmony.md 5.4)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  machine.up(1, uuidOf(1))
  machine.greet(-1, 1)
  machine.at(100)
  machine.pong(1)
  machine.discover(1, endpointOf(9))
  t.same(machine.greet(-2, 1), ['hold -2'])
  t.same(machine.lost(-1), [])
  t.same(machine.greet(-3, 1), ['resume -3', 'send 1 ping 2'], 'it is asked, as others wait')
  t.same(machine.say(-3, PING_OK), ['close -2'])
})

t.test('a newcomer that says the same HELLO is no other contact (harmony.md 5.2)', async (t) => {
  const machine = new Machine()
  machine.enter(1, { groups: ['A'] })
  machine.greet(-2, 1, { groups: ['A'] })
  t.same(machine.lost(-1), ['resume -2'], 'it has not entered us yet')
  t.same(machine.say(-2, { type: 'join', group: 'B', status: 2 }), ['join p1 B'])
})

t.test('a newcomer waits for a peer that has not entered, too (harmony.md 5.4)', async (t) => {
  const machine = new Machine()
  machine.greet(-1, 1)
  t.same(machine.greet(-2, 1, { endpoint: 'tcp://10.0.9.1:1' }), ['hold -2'])
  machine.lost(1)
  t.same(machine.at(100), ['dial 2 tcp://10.0.9.1:1'], 'where it says it is, is tried')
  t.same(machine.up(2), ['send 2 hello 1', 'send 2 ping 2', 'enter p1', 'resume -1'])
  t.same(machine.at(1_600).slice(0, 1), ['exit p1 restart'])
})

t.test('a newcomer goes with the peer that is forgotten', async (t) => {
  const machine = new Machine()
  machine.greet(-1, 1)
  machine.greet(-2, 1)
  t.same(machine.at(40_000), ['close 1', 'close -1', 'close -2'])
  t.match(machine.diagnostics(), { peers: [], dials: 0, arrivals: 0, connections: 0 })
})

t.test('a peer that starts anew while another claims to be it is asked again', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.greet(-2, 1)
  t.same(machine.say(-1, helloOf(1), 1), ['exit p1 restart', 'close 1', 'hold -1'])
  t.same(machine.at(50), ['dial 2 tcp://10.0.0.1:49152'])
  t.same(machine.up(2), ['send 2 hello 1', 'send 2 ping 2', 'enter p1', 'resume -1'])
  t.same(machine.say(-1, PING_OK), ['close -2'])
})

t.test('octets in the last second are an answer (harmony.md 5.6)', async (t) => {
  for (const [heardAt, expected] of [
    [500, ['exit p1 goodbye', 'close 1', 'close -1']],
    [501, []],
  ] as const) {
    const machine = new Machine()
    machine.enter(1)
    machine.harmony.handleGoodbyeHint(uuidOf(1), 0)
    machine.at(heardAt)
    machine.harmony.handleActivity(-1, heardAt)
    t.same(machine.at(1_500), expected)
  }
})

t.test("a HELLO with another peer's endpoint harms nobody (harmony.md 2.10, W6)", async (t) => {
  const machine = new Machine()
  machine.enter(1)
  t.same(machine.greet(-2, 2, { endpoint: endpointOf(1) }), ['hold -2', 'send 1 ping 2'])
  machine.say(-1, PING_OK)
  t.equal(machine.harmony.whisper(uuidOf(1), content('still there'), machine.now), 1)
  t.same(machine.lines(), ['send 1 whisper 3'])
})

t.test(
  'a peer is for certain where we reach it, and where it comes from (log.md 5.7)',
  async (t) => {
    const machine = new Machine()
    t.same(machine.harmony.addresses(uuidOf(1)), [])
    machine.discover(1)
    t.same(machine.harmony.addresses(uuidOf(1)), [], 'it may be anybody')
    machine.up(1)
    machine.greet(-1, 1)
    t.same(machine.harmony.addresses(uuidOf(1)), ['10.0.0.1'], 'whose inbox does not say who it is')
    machine.discover(2, 'tcp://10.1.0.2:49152')
    machine.up(2, uuidOf(2))
    machine.greet(-2, 2, { endpoint: 'tcp://10.1.0.2:49152' })
    t.same(machine.harmony.addresses(uuidOf(2)), ['10.1.0.2', '10.0.0.2'])
  },
)

t.test('who is refused is told of', async (t) => {
  const machine = new Machine()
  machine.up(-1, uuidOf(1))
  machine.say(-1, helloOf(1, { endpoint: 'nowhere' }))
  machine.link(-2, { type: 'refused', reason: 'not the greeting of ZMTP' })
  machine.link(-3, { type: 'lost', reason: 'closed' })
  machine.effects()
  t.same(
    machine.traces.map(({ type, reason }) => `${type}: ${reason}`),
    ['arrival-closed: its HELLO names no tcp endpoint', 'refused: not the greeting of ZMTP'],
  )
})

t.test('a trace tells what is done, and why', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.at(2_000)
  machine.lost(-1)
  t.same(
    machine.traces.map(({ type }) => type),
    ['discovered', 'dial', 'drop'],
  )
  machine.harmony.handleDiscovered({ uuid: uuidOf(2), endpoint: 'x', source: 'manual' }, 0)
  t.same(machine.effects().map(line), ['trace discovered'])
})
