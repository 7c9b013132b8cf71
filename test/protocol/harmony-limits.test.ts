// Harmony and its limits: what strangers, and peers that want much, can make it hold. Rule 7.

import t from 'tap'
import { deedsOf, endpointOf, harmonyOf, helloOf, Machine, uuidOf } from '../support/harmony.ts'

t.test('there are no more peers than peersMax (harmony.md 7.1, W13)', async (t) => {
  const machine = new Machine({ limits: { peersMax: 2 } })
  machine.discover(1)
  machine.discover(2)
  t.same(machine.discover(3), [])
  t.same(machine.greet(-3, 3), ['close 1', 'hold -3', 'dial 3 tcp://10.0.0.3:49152'])
  t.same(machine.greet(-4, 4), ['close 2', 'hold -4', 'dial 4 tcp://10.0.0.4:49152'])
  t.same(machine.greet(-5, 5), ['close -5'], 'who said HELLO keeps its place')
  t.same(machine.discover(1), [])
  t.match(machine.diagnostics(), {
    connections: 4,
    arrivals: 0,
    counters: { 'peers-limit': 3, 'stranger-evicted': 2 },
  })
})

t.test(
  'who tells of many nodes does not keep others out (harmony.md 7.1 and 7.3, W13)',
  async (t) => {
    const tell = (machine: Machine, peer: number, host: number) =>
      machine.discover(peer, `tcp://10.0.0.${host}:${peer}`).join()
    const full = new Machine({ limits: { peersMax: 8 } })
    for (let peer = 1; peer <= 20; peer++) tell(full, peer, 66)
    t.equal(full.count('peers-limit'), 12)
    t.match(tell(full, 21, 21), /^close 1,.*tcp:..10.0.0.21:21$/)
    const busy = new Machine({ limits: { dialsMax: 4 } })
    for (let peer = 1; peer <= 20; peer++) tell(busy, peer, 66 + (peer % 4))
    t.equal(busy.diagnostics().dials, 4)
    t.equal(tell(busy, 21, 21), '', 'all places are taken')
    t.match(busy.at(5_000).join(), /^close 1,dial 5 tcp:..10.0.0.21:21,/, 'it is the next')
  },
)

t.test('a peer is in no more groups than peerGroupsMax (harmony.md 7.2, W18)', async (t) => {
  const machine = new Machine({ limits: { peerGroupsMax: 2 } })
  machine.enter(1, { groups: ['A', 'B'] })
  t.same(machine.say(-1, { type: 'join', group: 'A', status: 3 }), [])
  t.same(machine.say(-1, { type: 'join', group: 'C', status: 4 }), [
    'exit p1 refused',
    'close 1',
    'close -1',
  ])
  t.same(machine.harmony.peerGroups(), [])
})

t.test('a burst of beacons costs no more than dialsMax dials (harmony.md 7.3, W13)', async (t) => {
  const machine = new Machine({ limits: { dialsMax: 2 } })
  for (let peer = 1; peer <= 250; peer++) machine.discover(peer)
  t.equal(machine.diagnostics().dials, 2)
  t.same(machine.up(1, uuidOf(1)), ['send 1 hello 1', 'dial 3 tcp://10.0.0.3:49152'])
  t.same(machine.lost(2), ['dial 4 tcp://10.0.0.4:49152'])
  t.same(machine.up(3, uuidOf(9)), ['close 3', 'dial 5 tcp://10.0.0.5:49152'])
  machine.harmony.handleGoodbyeHint(uuidOf(4), 0)
  t.same(machine.settle(), ['close 4', 'dial 6 tcp://10.0.0.6:49152'])
  machine.at(60_000)
  t.match(machine.diagnostics(), { peers: [], dials: 0, connections: 0, arrivals: 0 })
  t.equal(machine.harmony.pollTimeout(), Number.POSITIVE_INFINITY)
})

t.test(
  'two nodes of a crowd dial the same hundred in different orders (harmony.md 7.3)',
  async (t) => {
    const crowd = Array.from({ length: 100 }, (_, index) => ({
      uuid: uuidOf((index * 7_919) % 65_536),
      endpoint: endpointOf(index),
    }))
    const orders = [12_345, 54_321].map((node) => {
      const harmony = harmonyOf({ node, limits: { dialsMax: 100 } })
      harmony.start(endpointOf(200))
      for (const peer of crowd) harmony.handleDiscovered({ ...peer, source: 'beacon' }, 0)
      const dialled: string[] = []
      for (let now = 0; now <= 200; now++) {
        harmony.handleTimeout(now)
        for (const effect of deedsOf(harmony, { now: 0 })) {
          if (effect.type === 'dial') dialled.push(effect.endpoint)
        }
        if (now === 0) t.ok(dialled.length > 0, 'the first is dialled at once')
      }
      t.equal(new Set(dialled).size, 100, 'all are dialled within 200 ms')
      return dialled
    })
    const [first = [], second = []] = orders.map((order) => order.slice(0, 20))
    t.ok(
      first.filter((endpoint) => second.includes(endpoint)).length < 15,
      'not the same ones first',
    )
  },
)

t.test('an address that floods us makes place for others (harmony.md 7.4)', async (t) => {
  const machine = new Machine({ limits: { arrivalsMax: 4 } })
  const arrive = (connection: number, address: string) =>
    machine.up(connection, uuidOf(-connection), { address })
  for (let connection = -1; connection >= -4; connection--) arrive(connection, '10.0.0.66')
  t.same(arrive(-5, '10.0.0.66'), ['close -5'])
  t.same(arrive(-6, '10.0.0.6'), ['close -1'])
  t.same(arrive(-7, '10.0.0.7'), ['close -2'])
  t.same(arrive(-8, '10.0.0.8'), ['close -3'])
  t.same(arrive(-9, '10.0.0.9'), ['close -9'], 'nobody has more than one')
  t.same(machine.say(-6, helloOf(6)), ['hold -6', 'dial 1 tcp://10.0.0.6:49152'])
  t.same(arrive(-10, '10.0.0.66'), [], 'there is room again')
  t.match(machine.diagnostics(), { arrivals: 4, counters: { 'arrivals-limit': 5 } })
})

t.test('who has one IPv6 network counts as one address (harmony.md 7.10)', async (t) => {
  const machine = new Machine({ limits: { arrivalsMax: 4, dialsMax: 4 } })
  const arrive = (connection: number, address: string) =>
    machine.up(connection, uuidOf(-connection), { address })
  for (let connection = -1; connection >= -4; connection--) {
    arrive(connection, `fd00:7::${-connection}:1`)
  }
  t.same(arrive(-5, 'fd00:7::5:1'), ['close -5'], 'it is the newcomer itself that has most')
  t.same(arrive(-6, 'fd00:8::6'), ['close -1'])
  t.same(arrive(-7, 'fe80::7%eth0'), ['close -2'])
  t.same(arrive(-8, 'fe80::7%eth1'), ['close -3'], 'another link is another network')
  t.same(arrive(-9, 'fe80::9%eth1'), ['close -9'])
  t.same(machine.discover(11, 'tcp://[fd00:7::11]:1'), ['dial 1 tcp://[fd00:7::11]:1'])
  t.same(machine.discover(12, 'tcp://[fd00:7::12]:1'), [], 'a quarter of the dials is taken')
  t.same(machine.discover(13, 'tcp://[fd00:9::13]:1'), ['dial 2 tcp://[fd00:9::13]:1'])
})

t.test(
  'of peers that are in too many groups together, the one in most goes (harmony.md 7.2)',
  async (t) => {
    const machine = new Machine({ limits: { peerGroupsTotalMax: 4 } })
    machine.enter(1, { groups: ['A', 'B', 'C'] })
    machine.enter(2, { groups: ['A'] })
    machine.enter(3)
    t.same(machine.say(-2, { type: 'join', group: 'B', status: 2 }), [
      'join p2 B',
      'exit p1 refused',
      'close 1',
      'close -1',
    ])
    t.same(machine.enter(4, { groups: ['A', 'B'] }).slice(-2), ['join p4 B', 'resume -4'])
    t.same(machine.enter(5, { groups: ['A', 'B', 'C'] }).slice(-3), [
      'exit p5 refused',
      'close 5',
      'close -5',
    ])
    t.equal(machine.count('peer-groups-limit'), 2)
  },
)

t.test('no more than arrivalsMax wait for their HELLO (harmony.md 7.4)', async (t) => {
  const machine = new Machine({ limits: { arrivalsMax: 2 } })
  machine.up(-1, uuidOf(1))
  machine.up(-2, uuidOf(2))
  t.same(machine.up(-3, uuidOf(3)), ['close -3'])
  machine.lost(-1)
  t.same(machine.up(-4, uuidOf(4)), [])
  t.same(machine.link(-2, { type: 'refused', reason: 'not ZRE' }), [])
  t.same(machine.up(-5, uuidOf(5)), [])
  t.match(machine.diagnostics().counters, {
    'arrivals-limit': 1,
    'arrival-lost': 1,
    'arrival-refused': 1,
  })
})

t.test('what is forgotten leaves nothing behind (harmony.md 7.5, W18)', async (t) => {
  const machine = new Machine()
  machine.enter(1, { groups: ['A'] })
  machine.say(-1, { type: 'join', group: 'B', status: 2 })
  t.same(machine.harmony.peerGroups(), ['A', 'B'])
  machine.say(-1, { type: 'leave', group: 'A', status: 3 })
  t.same(machine.harmony.peerGroups(), ['B'])
  machine.say(-1, { type: 'goodbye' })
  t.same(machine.harmony.peerGroups(), [])
  t.match(machine.diagnostics(), { peers: [], connections: 0, dials: 0, arrivals: 0 })
  machine.at(1_000)
  t.equal(machine.harmony.pollTimeout(), Number.POSITIVE_INFINITY)
})

t.test('a peer that does not read exits with its queue (harmony.md 7.6 and 7.7)', async (t) => {
  const machine = new Machine({ limits: { queueBytesMax: 10, queueTotalBytesMax: 25 } })
  for (const peer of [1, 2, 3]) machine.enter(peer, { groups: ['A'] })
  for (const connection of [1, 2, 3]) machine.stalled.add(connection)
  t.equal(machine.whisper(1, '12345'), 1)
  t.equal(machine.whisper(1, '12345'), 1)
  t.equal(machine.whisper(1, '12345'), 1)
  t.equal(machine.whisper(1, '1'), 1, 'the largest does not count')
  t.equal(machine.whisper(1, '2'), 0)
  t.same(machine.settle().slice(0, 3), ['exit p1 limit lost 4', 'close 1', 'close -1'])
  t.equal(machine.shout('A', '1234567890'), 2)
  t.equal(machine.whisper(2, '1234567'), 1, 'a shout counts once')
  t.equal(machine.whisper(3, '12345678'), 1)
  t.equal(machine.whisper(3, '1'), 0, 'the fullest goes')
  t.same(
    machine.settle().filter((text) => text.startsWith('exit')),
    ['exit p3 limit lost 2'],
  )
  t.match(machine.diagnostics().messages, { sent: 8, waiting: 2, waitingBytes: 17 })
  t.equal(machine.count('mailbox-overflow'), 2)
})

t.test('a frame that waits costs more than its octets (harmony.md 7.6)', async (t) => {
  const machine = new Machine({ limits: { queueBytesMax: 1_000 } })
  machine.enter(1)
  machine.stalled.add(1)
  t.equal(machine.whisper(1, ...'12345678'), 1)
  t.equal(machine.whisper(1, '1', '2', '3', '4'), 1)
  t.equal(machine.whisper(1, '1', '2'), 1)
  t.equal(machine.diagnostics().messages.waitingBytes, 14 + 11 * 256)
  t.equal(machine.whisper(1, '1'), 0)
})

t.test('one large message for each is too much for all (harmony.md 7.7)', async (t) => {
  const machine = new Machine({ limits: { queueTotalBytesMax: 25 } })
  for (const peer of [1, 2, 3]) machine.enter(peer, { groups: ['A'] })
  for (const connection of [1, 2, 3]) machine.stalled.add(connection)
  t.equal(machine.shout('A', '1'.repeat(30)), 3, 'what is alone is nobody’s fault')
  t.same(machine.settle(), [])
  t.equal(machine.whisper(2, '12'), 1)
  t.same(machine.settle(), [])
  t.equal(machine.whisper(2, '3'), 0)
  t.same(machine.settle().slice(0, 1), ['exit p2 limit lost 2'])
  const other = new Machine({ limits: { queueTotalBytesMax: 25 } })
  for (const peer of [1, 2, 3]) other.enter(peer)
  for (const connection of [1, 2, 3]) other.stalled.add(connection)
  t.equal(other.whisper(1, '1'.repeat(10)), 1)
  t.equal(other.whisper(2, '1'.repeat(11)), 1)
  t.equal(other.whisper(3, '1'.repeat(10)), 1)
  t.same(other.settle().slice(0, 1), ['exit p2 limit lost 1'])
  t.match(other.diagnostics().messages, { waiting: 2, waitingBytes: 20 })
})

t.test('a group can have a policy of its own (harmony.md 7.8)', async (t) => {
  const overflow = new Map([
    ['NEW', 'drop-newest'],
    ['OLD', 'drop-oldest'],
  ] as const)
  const machine = new Machine({ overflow, limits: { queueMessagesMax: 8 } })
  machine.enter(1, { groups: ['NEW', 'OLD'] })
  machine.stalled.add(1)
  const shout = (group: string, count: number) =>
    Array.from({ length: count }, (_, index) => machine.shout(group, `${group} ${index}`))
  t.same(shout('NEW', 6), [1, 1, 1, 1, 0, 0])
  t.same(shout('OLD', 2), [0, 0], 'none of its own to leave out')
  machine.stalled.clear()
  machine.harmony.handleLink(1, { type: 'lost', reason: '' }, machine.now)
  machine.now += 1_000
  const other = new Machine({ overflow, limits: { queueMessagesMax: 8 } })
  other.enter(1, { groups: ['NEW', 'OLD'] })
  other.stalled.add(1)
  for (let index = 0; index < 9; index++) t.equal(other.shout('OLD', `${index}`), 1)
  t.same(other.settle(), [], 'nobody exits')
  t.match(other.diagnostics().messages, { sent: 9, waiting: 4, dropped: 5 })
  t.match(other.diagnostics().counters, { 'drop-oldest': 5 })
  other.stalled.clear()
  other.whisper(1, 'behind')
  const polled: (string | undefined)[] = []
  const mailbox = other.harmony.mailbox(1)
  for (let command = mailbox?.poll(); command; command = mailbox?.poll()) polled.push(command.type)
  t.same(polled, ['shout', 'shout', 'shout', 'shout', 'whisper'])
})

t.test('a sender can see that its mailbox is congested (harmony.md 7.6)', async (t) => {
  const machine = new Machine({ limits: { queueMessagesMax: 8 } })
  machine.enter(1, { groups: ['A'] })
  machine.enter(2)
  machine.stalled.add(1)
  const { harmony } = machine
  const seen = () => [
    harmony.congested(undefined, undefined),
    harmony.congested(uuidOf(1), undefined),
    harmony.congested(uuidOf(2), undefined),
    harmony.congested(undefined, 'A'),
    harmony.congested(undefined, 'B'),
  ]
  for (let count = 0; count < 2; count++) machine.whisper(1, '')
  t.same(seen(), [false, false, false, false, false])
  machine.whisper(1, '')
  t.same(seen(), [true, true, false, true, false])
  machine.at(5_000)
  t.same(seen(), [false, false, false, false, false], 'who is evasive holds nobody up')
})

t.test('a peer that has not entered can have a full mailbox, too (harmony.md 7.6)', async (t) => {
  const machine = new Machine({ limits: { queueMessagesMax: 3 } })
  machine.discover(1)
  machine.stalled.add(1)
  machine.up(1)
  for (const group of ['A', 'B', 'C']) t.same(machine.join(group), [])
  t.same(machine.join('D'), ['close 1'])
  t.same(machine.at(100), ['dial 2 tcp://10.0.0.1:49152'])
  const other = new Machine({ limits: { queueTotalBytesMax: 10 } })
  other.enter(1)
  other.enter(2)
  for (const connection of [1, 2, 3]) other.stalled.add(connection)
  for (let count = 0; count < 5; count++) other.whisper(1, 'ab')
  other.lost(1)
  t.same(other.at(350), ['exit p1 link', 'close -1', 'dial 3 tcp://10.0.0.1:49152'])
  t.equal(other.whisper(2, 'c'), 1)
  t.match(other.diagnostics().messages, { sent: 6, waiting: 1, lost: 5 })
})

t.test(
  'who came while we slept has no longer for its HELLO than others (harmony.md 2.2)',
  async (t) => {
    const machine = new Machine()
    machine.discover(1)
    // What came is read before it is seen how late we are.
    machine.now = 600_000
    machine.up(-2, uuidOf(2))
    machine.at(600_000)
    const closed = [601_000, 602_000, 603_000, 604_000, 605_000, 606_000].flatMap((at) =>
      machine.at(at),
    )
    t.ok(closed.includes('close -2'), closed.join())
  },
)

t.test(
  'where one was dialled in vain, others are not dialled sooner (harmony.md 2.14)',
  async (t) => {
    const machine = new Machine()
    // A node that failed and started again at its port, ten times: of each uuid a beacon came.
    for (let peer = 1; peer <= 10; peer++) machine.discover(peer, endpointOf(1))
    let dials = 1
    for (let at = 0; at < 20_000; at += 50) {
      dials += machine.at(at).filter((line) => line.startsWith('dial')).length
      machine.lost(dials)
    }
    t.ok(dials >= 15 && dials <= 25, `${dials} dials in 20 s`)
    const dialled = machine.traces.flatMap((trace) => (trace.type === 'dial' ? [trace.uuid] : []))
    t.equal(new Set(dialled).size, 10, 'each has its turn')
    t.match(machine.discover(11, endpointOf(1)), [/^dial /], 'who has just told of itself is there')
    machine.lost(++dials)
    t.match(machine.discover(3, endpointOf(1)), [/^dial /], 'who was known before is as well')
    machine.lost(++dials)
    const greeted = machine.greet(-12, 12, { endpoint: endpointOf(1) })
    t.match(greeted, ['hold -12', /^dial /], 'and so is who says HELLO')
  },
)
