import fc from 'fast-check'
import t from 'tap'
import { type GossipEffect, type GossipMessage, GossipTable } from '../../protocol/gossip.ts'
import { Circle, endpointOf, TTL_MS, uuidOf } from '../support/gossip.ts'
import { holds } from '../support/holds.ts'

const KEY = '2obo%N]DxN-)WU$s+pRk>1ly}DE%[mM7A2RD#fmp'
const CLIENT = { role: 'client', leases: false, address: '10.0.0.9' } as const
const HUB = { ...CLIENT, role: 'hub' } as const

/** Node 1 alone, whose effects are looked at. */
function alone(tuplesMax = 1_000) {
  const table = new GossipTable({ uuid: uuidOf(1), ttlMs: TTL_MS, tuplesMax })
  table.publish(endpointOf(1), 0)
  return table
}

function drain(table: GossipTable): GossipEffect[] {
  const effects: GossipEffect[] = []
  for (let effect = table.pollEffect(); effect; effect = table.pollEffect()) effects.push(effect)
  return effects
}

/** In words: `2 publish 3 0` is that connection 2 is told of node 3 without a lease. */
function words(table: GossipTable): string[] {
  return drain(table).map((effect) => {
    if (effect.type === 'close') return `${effect.connection} close ${effect.reason}`
    if (effect.type !== 'send') return `${effect.type} ${Number.parseInt(effect.uuid, 16)}`
    const { connection, message } = effect
    if (message.type !== 'publish') return `${connection} ${message.type}`
    return `${connection} publish ${Number.parseInt(message.key, 16)} ${message.ttlMs}`
  })
}

function publish(index: number, ttlMs = 0, value = endpointOf(index)): GossipMessage {
  return { type: 'publish', key: uuidOf(index).toUpperCase(), value, ttlMs }
}

t.test('a client says HELLO, then all that it knows (gossip.md 3.1)', async (t) => {
  const table = alone()
  table.handleOpen(1, HUB, 0)
  t.same(words(table), ['1 hello', '1 publish 1 0'])
  table.handleMessage(1, publish(2), 0)
  drain(table)
  table.handleOpen(2, HUB, 0)
  t.same(words(table), ['2 hello', '2 publish 1 0', '2 publish 2 0'])
})

t.test('a hub answers as czmq does (gossip.md 3.2)', async (t) => {
  const table = alone()
  table.handleOpen(1, CLIENT, 0)
  table.handleMessage(1, { type: 'ping' }, 0)
  t.same(words(table), ['1 pong'])
  for (const message of [publish(2), { type: 'pong' }, { type: 'invalid' }] as const) {
    table.handleMessage(1, message, 0)
    t.same(words(table), ['1 invalid'], message.type)
  }
  for (const time of ['first', 'second']) {
    table.handleMessage(1, { type: 'hello' }, 0)
    t.same(words(table), ['1 publish 1 0'], `${time} HELLO`)
  }
  table.handleMessage(1, { type: 'pong' }, 0)
  table.handleMessage(1, { type: 'invalid' }, 0)
  t.same(words(table), [])
})

t.test('what a hub, or somebody unknown, says besides is nothing', async (t) => {
  const table = alone()
  table.handleOpen(1, HUB, 0)
  drain(table)
  table.handleMessage(1, { type: 'hello' }, 0)
  table.handleMessage(1, { type: 'ping' }, 0)
  table.handleMessage(7, { type: 'hello' }, 0)
  t.same(words(table), [])
  t.equal(table.leases(1), false)
  t.equal(table.leases(7), null)
})

t.test('what is new is told to all others, once (gossip.md 3.3)', async (t) => {
  const table = alone()
  table.handleOpen(1, HUB, 0)
  for (const connection of [2, 3, 4]) table.handleOpen(connection, CLIENT, 0)
  for (const connection of [2, 3]) table.handleMessage(connection, { type: 'hello' }, 0)
  drain(table)
  table.handleMessage(2, publish(5), 0)
  t.same(words(table), ['1 publish 5 0', '3 publish 5 0', 'alive 5'])
  table.handleMessage(1, publish(5), 0)
  t.same(words(table), [], 'an echo')
  table.handleMessage(1, publish(5, 0, 'tcp://10.0.0.5:99'), 0)
  t.same(words(table), ['2 publish 5 0', '3 publish 5 0', 'alive 5'], 'it has moved')
})

t.test('a hub of czmq hears PING each 300 ms, one of Lyre each 2 s (gossip.md 3.4)', async (t) => {
  const table = alone()
  table.handleOpen(1, HUB, 0)
  table.handleOpen(2, { ...HUB, leases: true }, 0)
  drain(table)
  const pings: string[] = []
  while (table.pollTimeout() <= 2_000) {
    const at = table.pollTimeout()
    table.handleTimeout(at - 1)
    t.same(drain(table), [], 'not before')
    table.handleTimeout(at)
    for (const word of words(table)) pings.push(`${at} ${word}`)
    table.handleMessage(1, { type: 'pong' }, at)
  }
  const first = [300, 600, 900, 1_200, 1_500, 1_800].map((at) => `${at} 1 ping`)
  t.same(pings, [...first.slice(0, 3), '1200 1 publish 1 0', ...first.slice(3), '2000 2 ping'])
})

t.test('after INVALID a client tells all again, at its next PING (gossip.md 3.5)', async (t) => {
  const table = alone()
  table.handleOpen(1, HUB, 0)
  table.handleMessage(1, publish(2), 0)
  drain(table)
  for (let count = 0; count < 3; count++) table.handleMessage(1, { type: 'invalid' }, 10)
  t.same(words(table), [])
  table.handleTimeout(300)
  t.same(words(table), ['1 hello', '1 publish 1 0', '1 publish 2 0'])
  table.handleTimeout(600)
  t.same(words(table), ['1 ping'])
})

t.test('a hub that does not answer for 5 s is closed (gossip.md 3.6)', async (t) => {
  const table = alone()
  table.handleOpen(1, HUB, 0)
  for (let now = 300; now < 5_300; now += 300) {
    table.handleTimeout(now)
    t.notMatch(words(table).join(), 'close', `${now}`)
  }
  table.handleTimeout(5_400)
  t.same(words(table), ['1 close the hub does not answer'])
})

t.test('what is no tuple of ZRE goes no further (gossip.md 3.7)', async (t) => {
  const table = alone()
  table.handleOpen(1, HUB, 0)
  table.handleOpen(2, CLIENT, 0)
  table.handleMessage(2, { type: 'hello' }, 0)
  drain(table)
  const { type } = publish(2)
  const wrong = [
    { type, key: 'base-key-1', value: endpointOf(2), ttlMs: 0 },
    { type, key: uuidOf(2), value: '', ttlMs: 0 },
    { type, key: uuidOf(2), value: `tcp://${'a'.repeat(1_000)}:1`, ttlMs: 0 },
  ] as GossipMessage[]
  for (const message of wrong) table.handleMessage(2, message, 5)
  t.same(words(table), [])
  const { told, last, tuples } = table.diagnostics(15)
  t.equal(told.noise, 3)
  t.same(tuples, [])
  t.match(last.noise, {
    address: '10.0.0.9',
    msAgo: 10,
    uuid: uuidOf(2),
    reason: /no location|value/,
  })
})

t.test(
  'names, keys and addresses of nobody are passed on, not dialled (gossip.md 3.8)',
  async (t) => {
    const values = {
      unreachable: ['tcp://vm:49152', 'tcp://127.0.0.1:22', 'tcp://255.255.255.255:1'],
      secure: [`${endpointOf(2)}|${KEY}`],
    }
    for (const [kind, list] of Object.entries(values)) {
      for (const value of list) {
        const table = alone()
        table.handleOpen(1, HUB, 0)
        table.handleOpen(2, CLIENT, 0)
        table.handleMessage(2, { type: 'hello' }, 0)
        drain(table)
        table.handleMessage(1, publish(2, 0, value), 0)
        t.same(words(table), ['2 publish 2 0', 'ask 2'], value)
        t.match(table.diagnostics(0), { told: { [kind]: 1 } })
      }
    }
    const table = alone()
    table.handleOpen(1, { ...HUB, address: '127.0.0.1' }, 0)
    drain(table)
    table.handleMessage(1, publish(2, 0, 'tcp://127.0.0.1:22'), 0)
    t.same(words(table), ['alive 2'], 'on this machine')
  },
)

t.test('a link-local location is on the link that it was told by (gossip.md 3.8)', async (t) => {
  for (const [value, address, endpoint] of [
    ['tcp://[fe80::2]:7', 'fe80::9%eth0', 'tcp://[fe80::2%eth0]:7'],
    ['tcp://fe80::2%wlan7:7', 'fe80::9%eth0', 'tcp://[fe80::2%eth0]:7'],
    ['tcp://fd00::2:7', '10.0.0.9', 'tcp://[fd00::2]:7'],
    ['tcp://[fe80::2%eth0]:7', 'fd00::9', undefined],
    ['tcp://[fe80::2]:7', '10.0.0.9', undefined],
  ] as const) {
    const table = alone()
    table.handleOpen(1, { ...HUB, address }, 0)
    drain(table)
    table.handleMessage(1, publish(2, 0, value), 0)
    const [told] = drain(table)
    if (endpoint === undefined) t.match(told, { type: 'ask' }, value)
    else t.match(told, { type: 'alive', endpoint }, value)
  }
})

t.test('our uuid elsewhere is answered by our own tuple (gossip.md 3.9)', async (t) => {
  const table = alone()
  table.handleOpen(1, HUB, 0)
  drain(table)
  table.handleMessage(1, publish(1), 5_000)
  t.same(words(table), [], 'our echo')
  const false_ = publish(1, 0, 'tcp://10.0.0.66:1')
  for (const now of [5_000, 5_999, 6_000]) table.handleMessage(1, false_, now)
  t.same(words(table), ['1 publish 1 0', '1 publish 1 0'])
  t.match(table.diagnostics(6_000).told, { known: 1, impostor: 3, told: 0 })
  table.handleOpen(2, { ...HUB, leases: true }, 6_000)
  drain(table)
  const leases: [number, number][] = [
    [20_000, TTL_MS],
    [90_000, 91_000],
    [600_000, 600_000],
  ]
  for (const [index, [theirs, ours]] of leases.entries()) {
    table.handleMessage(2, publish(1, theirs, 'tcp://10.0.0.66:1'), 7_000 + 1_000 * index)
    t.same(words(table), [`2 publish 1 ${ours}`], `leased for ${theirs}`)
  }
  const early = new GossipTable({ uuid: uuidOf(1), ttlMs: TTL_MS, tuplesMax: 5 })
  early.handleOpen(1, HUB, 0)
  drain(early)
  early.handleMessage(1, publish(1), 0)
  for (let now = 300; now <= 1_200; now += 300) early.handleTimeout(now)
  t.same(words(early), Array(4).fill('1 ping'), 'we have not published')
})

t.test(
  'who leases a false endpoint for long is believed until we hear of it (gossip.md 3.9)',
  async (t) => {
    const circle = new Circle()
    const [hub, victim, other] = [circle.node(1), circle.node(2), circle.node(3)]
    for (const node of [victim, other]) circle.connect(node, hub)
    const liar = circle.node(4)
    const connection = circle.connect(liar, hub)
    circle.carry(connection, liar, publish(2, 500_000, 'tcp://10.0.0.66:1'))
    circle.advance(1_000)
    for (const node of [hub, other]) {
      const { tuples } = node.table.diagnostics(circle.now)
      t.match(
        tuples.find(({ uuid }) => uuid === uuidOf(2)),
        { endpoint: endpointOf(2), state: 'leased' },
      )
    }
  },
)

t.test('a ttl means something between Lyres alone (gossip.md 4.1)', async (t) => {
  const table = alone()
  table.handleOpen(1, HUB, 0)
  table.handleOpen(2, { ...HUB, leases: true }, 0)
  t.same(words(table), ['1 hello', '1 publish 1 0', '2 hello', `2 publish 1 ${TTL_MS}`])
  table.handleMessage(1, publish(5, 5_000), 0)
  t.same(words(table), ['2 publish 5 0', 'alive 5'], 'czmq has left it over')
  table.handleMessage(2, publish(6, 5_000), 0)
  t.same(words(table), ['1 publish 6 0', 'alive 6'])
  const { tuples } = table.diagnostics(1_000)
  t.match(tuples, [
    { uuid: uuidOf(5), state: 'hearsay', msLeft: TTL_MS - 1_000 },
    { uuid: uuidOf(6), state: 'leased', msLeft: 4_000 },
  ])
})

t.test('each third of its life our own lease is renewed (gossip.md 4.2)', async (t) => {
  const table = alone()
  table.handleOpen(1, { ...CLIENT, leases: true }, 0)
  table.handleOpen(2, CLIENT, 0)
  for (const connection of [1, 2]) table.handleMessage(connection, { type: 'hello' }, 0)
  drain(table)
  const renewals: number[] = []
  for (let now = 0; now <= 60_000; now += 100) {
    table.handleTimeout(now)
    for (const word of words(table)) if (word === `1 publish 1 ${TTL_MS}`) renewals.push(now)
  }
  t.same(renewals, [10_000, 20_000, 30_000, 40_000, 50_000, 60_000])
})

t.test('who has entered a node vouches for it in the end (gossip.md 4.3)', async (t) => {
  const circle = new Circle()
  const hub = circle.node(1)
  const other = circle.node(2)
  circle.connect(other, hub)
  const zyre = circle.czmq()
  zyre.tuples.set(uuidOf(3), endpointOf(3))
  circle.alive.add(3)
  circle.connect(zyre, hub)
  t.same(hub.held, ['2 leased', '3 hearsay'])
  circle.advance(TTL_MS / 2 + 1_100)
  t.equal(hub.stateOf(3), 'leased')
  t.equal(other.stateOf(3), 'leased')
  circle.advance(10 * TTL_MS)
  t.equal(hub.stateOf(3), 'leased', 'for as long as it is there')
  t.equal(other.stateOf(3), 'leased')
})

t.test('who vouches does so from when it last heard of the node (gossip.md 4.3)', async (t) => {
  const table = alone()
  table.handleOpen(1, { ...HUB, leases: true }, 0)
  table.handleMessage(1, publish(5), 0)
  drain(table)
  const seen = (quietMs: number, now: number) => {
    table.handleSeen({ uuid: uuidOf(5), quietMs }, now)
    const [tuple] = table.diagnostics(now).tuples
    return `${tuple?.state} ${tuple?.msLeft} ${words(table)}`
  }
  t.equal(seen(0, 14_999), 'hearsay 15001 ', 'it is not time')
  t.equal(seen(9_000, 16_000), 'hearsay 14000 ', 'it would not be for much longer')
  t.equal(seen(5_000, 16_000), 'leased 25000 1 publish 5 25000')
  table.handleGoodbye(uuidOf(5), 20_000)
  t.equal(seen(25_000, 20_000), 'gone 30000 ')
  t.equal(seen(1_000, 20_000), 'leased 29000 1 publish 5 29000')
})

t.test('in a ring of hubs an echo comes to an end (gossip.md 4.4)', async (t) => {
  const circle = new Circle()
  const ring = [1, 2, 3, 4].map((index) => circle.node(index))
  ring.forEach((node, index) => {
    circle.connect(node, ring[(index + 1) % 4] as typeof node)
  })
  circle.advance(5_000)
  for (const node of ring) t.equal(node.held.filter((word) => word.endsWith('leased')).length, 3)
  const before = circle.messageCount
  circle.advance(10 * TTL_MS)
  // Of each node 3 renewals a TTL over 8 ends at most, and PING with PONG each 2 s on each connection.
  const most = 4 * 30 * 8 + 4 * 150 * 2
  t.ok(circle.messageCount - before <= most, `${circle.messageCount - before} of ${most}`)
  t.ok(circle.messageCount - before > 4 * 30)
})

t.test('of two values the longer lease counts, and hearsay least (gossip.md 4.5)', async (t) => {
  const table = alone()
  table.handleOpen(1, { ...HUB, leases: true }, 0)
  table.handleOpen(2, HUB, 0)
  drain(table)
  const at = () => table.diagnostics(0).tuples[0]?.endpoint
  table.handleMessage(2, publish(5, 0, 'tcp://10.0.0.5:1'), 0)
  table.handleMessage(2, publish(5, 0, 'tcp://10.0.0.5:2'), 0)
  t.equal(at(), 'tcp://10.0.0.5:2', 'hearsay by hearsay')
  table.handleMessage(1, publish(5, 9_000, 'tcp://10.0.0.5:3'), 0)
  t.equal(at(), 'tcp://10.0.0.5:3', 'hearsay by a lease')
  table.handleMessage(1, publish(5, 9_000, 'tcp://10.0.0.5:4'), 0)
  t.equal(at(), 'tcp://10.0.0.5:3', 'a lease by none that is as long')
  drain(table)
  table.handleMessage(1, publish(5, 0, 'tcp://10.0.0.5:4'), 0)
  t.same(words(table), [], 'a lease by no hearsay of a Lyre')
  table.handleMessage(2, publish(5, 0, 'tcp://10.0.0.5:4'), 0)
  t.same(words(table), ['2 publish 5 0'], 'nor of others, who are told better (gossip.md 3.9)')
  table.handleMessage(1, publish(5, 9_001, 'tcp://10.0.0.5:5'), 0)
  t.equal(at(), 'tcp://10.0.0.5:5', 'a lease by a longer one')
  t.equal(table.diagnostics(0).told.outdated, 3)
})

t.test('what nobody renews is gone with its lease, everywhere (gossip.md 4.6)', async (t) => {
  const circle = new Circle()
  const [first, second, third] = [circle.node(1), circle.node(2), circle.node(3)]
  const dead = circle.node(4)
  circle.connect(second, first)
  circle.connect(third, second)
  circle.connect(first, third)
  circle.connect(dead, second)
  circle.advance(7_000)
  circle.kill(dead)
  circle.advance(TTL_MS - 8_000)
  for (const { index, told } of circle.tables) t.ok(told.length > 0, `${index} was told`)
  circle.advance(9_100)
  for (const node of circle.tables) t.equal(node.stateOf(4), 'gone', `${node.index}`)
  const late = circle.node(5)
  circle.connect(late, first)
  t.equal(late.stateOf(4), undefined, 'nobody tells of it')
  circle.advance(10 * TTL_MS)
  t.equal(late.stateOf(4), undefined)
})

t.test('no lease is longer than 10 minutes (gossip.md 4.6)', async (t) => {
  const table = alone()
  table.handleOpen(1, { ...HUB, leases: true }, 0)
  table.handleMessage(1, publish(5, 0xffffffff), 0)
  t.equal(table.diagnostics(0).tuples[0]?.msLeft, 600_000)
})

t.test(
  'what a hub of czmq goes on telling of the dead is not believed (gossip.md 4.7)',
  async (t) => {
    const circle = new Circle()
    const zyre = circle.czmq()
    zyre.tuples.set(uuidOf(9), endpointOf(9))
    const lyre = circle.node(1)
    let connection = circle.connect(lyre, zyre)
    t.equal(lyre.stateOf(9), 'hearsay')
    circle.advance(TTL_MS + 1_000)
    t.equal(lyre.stateOf(9), 'gone')
    lyre.told.length = 0
    for (let minute = 0; minute < 50; minute++) {
      circle.cut(connection)
      connection = circle.connect(lyre, zyre)
      circle.advance(60_000)
      t.equal(lyre.stateOf(9), 'gone')
    }
    // After 30 s, 1, 2, 4, 8, 10, 10, 10 minutes.
    t.same(lyre.told, Array(8).fill('9 news'))
    t.equal(lyre.table.diagnostics(0).told.gone, 50)
    circle.cut(connection)
    circle.advance(11 * 60_000)
    t.equal(lyre.stateOf(9), undefined, 'forgotten after an hour')
  },
)

t.test('what was gone and enters, or is leased again, is there (gossip.md 4.7)', async (t) => {
  const circle = new Circle()
  const zyre = circle.czmq()
  zyre.tuples.set(uuidOf(9), endpointOf(9))
  const [lyre, other] = [circle.node(1), circle.node(2)]
  circle.connect(lyre, zyre)
  circle.connect(other, lyre)
  const plain = circle.czmq()
  circle.connect(plain, lyre)
  circle.advance(TTL_MS + 1_000)
  t.same([lyre.stateOf(9), other.stateOf(9)], ['gone', 'gone'])
  plain.tuples.delete(uuidOf(9))
  circle.alive.add(9)
  circle.hidden.add(9)
  lyre.table.handleSeen({ uuid: uuidOf(9), quietMs: 0 }, circle.now)
  lyre.drain(circle.now)
  circle.advance(100)
  t.same([lyre.stateOf(9), other.stateOf(9)], ['leased', 'leased'])
  t.equal(plain.tuples.get(uuidOf(9)), endpointOf(9), 'others are told as of something new')
})

t.test('who says GOODBYE is gone at once (gossip.md 4.8)', async (t) => {
  const table = alone()
  table.handleOpen(1, { ...HUB, leases: true }, 0)
  table.handleMessage(1, publish(5, 20_000), 0)
  table.handleGoodbye(uuidOf(5), 10)
  table.handleGoodbye(uuidOf(5), 20)
  table.handleGoodbye(uuidOf(6), 20)
  t.match(table.diagnostics(10).tuples, [{ state: 'gone', msLeft: TTL_MS }])
  table.handleMessage(1, publish(5, 20_000), 30)
  t.match(table.diagnostics(30).tuples, [{ state: 'leased' }], 'it has started again')
  table.handleSeen({ uuid: uuidOf(6), quietMs: 0 }, 0)
})

t.test('who has not entered is told again each second (gossip.md 5.1)', async (t) => {
  const circle = new Circle()
  const zyre = circle.czmq()
  zyre.tuples.set(uuidOf(9), endpointOf(9))
  const lyre = circle.node(1)
  circle.connect(lyre, zyre)
  circle.advance(5_000)
  t.same(lyre.told, ['9 news', ...Array(5).fill('9')])
})

t.test(
  'a czmq hub loses nothing that we say, nor we what it says (gossip.md 3.4, 3.5)',
  async (t) => {
    const circle = new Circle()
    const hub = circle.czmq()
    const lyre = circle.node(1)
    circle.connect(lyre, hub)
    circle.advance(10_000)
    hub.accept(uuidOf(7), endpointOf(7), circle.now)
    circle.advance(100)
    t.ok(lyre.stateOf(7), 'after ten idle seconds')
    circle.now += 5_000
    circle.advance(1_000)
    hub.accept(uuidOf(8), endpointOf(8), circle.now)
    circle.advance(100)
    t.ok(lyre.stateOf(8), 'after we were stopped for five')
  },
)

t.test('who tells of most has to make room (gossip.md 6.1)', async (t) => {
  const table = alone(4)
  table.handleOpen(1, HUB, 0)
  table.handleOpen(2, { ...HUB, address: '10.0.0.10' }, 0)
  drain(table)
  const held = () => table.diagnostics(0).tuples.map(({ uuid }) => Number.parseInt(uuid, 16))
  for (const index of [2, 3, 4]) table.handleMessage(1, publish(index), 0)
  table.handleMessage(2, publish(5), 100_000_000)
  table.handleMessage(2, publish(6), 200_000_000)
  t.same(held(), [3, 4, 5, 6])
  table.handleMessage(1, publish(7), 300_000_000)
  t.same(held(), [3, 4, 5, 6])
  t.equal(table.diagnostics(0).told.full, 1)
})

t.test('who tells too much news, or HELLO too often, is closed (gossip.md 6.2)', async (t) => {
  const table = alone(16)
  table.handleOpen(1, HUB, 0)
  table.handleOpen(2, CLIENT, 0)
  drain(table)
  for (let count = 0; count < 20; count++) table.handleMessage(2, { type: 'hello' }, 0)
  t.equal(words(table).filter((word) => word === '2 publish 1 0').length, 16)
  t.equal(table.leases(2), null)
  const flood = (now: number) => {
    for (let port = 1; port <= 40; port++) {
      table.handleMessage(1, publish(5, 0, `tcp://10.0.0.5:${now + port}`), now)
    }
    return words(table)
  }
  t.match(flood(0).at(-1), /1 close/)
  table.handleOpen(3, HUB, 0)
  for (let second = 0; second < 100; second += 10) {
    table.handleMessage(3, publish(6, 0, `tcp://10.0.0.6:${second + 1}`), second * 1_000)
  }
  t.equal(table.leases(3), false, 'who moves now and then does not')
})

// Properties.

const steps = fc.array(
  fc.record({
    what: fc.constantFrom('open', 'close', 'say', 'seen', 'goodbye', 'time'),
    connection: fc.integer({ min: 1, max: 5 }),
    role: fc.constantFrom('hub' as const, 'client' as const),
    leases: fc.boolean(),
    message: fc.oneof(
      fc.record({ type: fc.constantFrom('hello', 'ping', 'pong', 'invalid') }),
      fc
        .tuple(fc.integer({ min: 1, max: 12 }), fc.nat(60_000), fc.integer({ min: 1, max: 3 }))
        .map(([index, ttlMs, port]) => publish(index, ttlMs, `tcp://10.0.0.${index}:${port}`)),
    ) as fc.Arbitrary<GossipMessage>,
    index: fc.integer({ min: 1, max: 12 }),
    waitMs: fc.nat(8_000),
  }),
  { maxLength: 80 },
)

function play(table: GossipTable, list: typeof steps extends fc.Arbitrary<infer T> ? T : never) {
  const effects: GossipEffect[] = []
  const open = new Set<number>()
  let now = 0
  for (const { what, connection, role, leases, message, index, waitMs } of list) {
    if (what === 'open' && !open.has(connection)) {
      open.add(connection)
      table.handleOpen(connection, { role, leases, address: `10.0.1.${connection}` }, now)
    } else if (what === 'close') {
      open.delete(connection)
      table.handleClose(connection)
    } else if (what === 'say') table.handleMessage(connection, message, now)
    else if (what === 'seen') table.handleSeen({ uuid: uuidOf(index), quietMs: waitMs }, now)
    else if (what === 'goodbye') table.handleGoodbye(uuidOf(index), now)
    else if (what === 'time') {
      now += waitMs
      table.handleTimeout(now)
    }
    for (const effect of drain(table)) {
      if (effect.type === 'close') open.delete(effect.connection)
      if (effect.type === 'send' && !open.has(effect.connection)) throw new Error('nobody is there')
      effects.push(effect)
    }
  }
  return effects
}

holds(t, 'limits hold after any sequence of inputs', steps, (list) => {
  const table = alone(6)
  for (const effect of play(table, list)) {
    if (effect.type !== 'send' || effect.message.type !== 'publish') continue
    if (effect.message.ttlMs > 600_000) return false
  }
  return table.diagnostics(0).tuples.length <= 6 && table.pollTimeout() < Number.POSITIVE_INFINITY
})

holds(t, 'a replay gives the same effects', steps, (list) => {
  t.same(play(alone(6), list), play(alone(6), list))
})

holds(t, 'who is told nothing any more holds nothing after the longest lease', steps, (list) => {
  const table = alone(50)
  play(table, list)
  const end = list.reduce((sum, { waitMs }) => sum + waitMs, 0) + 600_000
  table.handleTimeout(end)
  return table.diagnostics(end).tuples.every(({ state }) => state === 'gone')
})
