/** Nodes that are told of at other addresses than before, or are on several networks, and which of them others are told. */

import t from 'tap'
import { endpointOf, helloOf, line, Machine, uuidOf } from '../support/harmony.ts'

const PING = { type: 'ping' } as const
const PING_OK = { type: 'ping-ok' } as const

t.test('a greeted peer that is told of elsewhere is tried there (harmony.md 5.5)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  machine.up(1)
  t.same(machine.discover(1, 'tcp://10.0.9.1:1'), ['send 1 ping 2'])
  t.same(machine.at(1_600), ['close 1', 'dial 2 tcp://10.0.9.1:1'])
})

t.test('a greeted peer that is asked, and greets, has answered (harmony.md 5.5)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  machine.up(1)
  machine.discover(1, 'tcp://10.0.9.1:1')
  machine.greet(-1, 1)
  t.same(machine.at(2_000), [])
  t.match(machine.diagnostics().peers, [{ state: 'entered' }])
})

t.test('an entered peer that is told of elsewhere is asked (harmony.md 5.5)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.at(900)
  t.same(machine.discover(1, 'tcp://10.0.9.1:1'), ['send 1 ping 2'])
  t.same(machine.discover(1, 'tcp://10.0.9.1:1'), [], 'once')
  t.match(machine.diagnostics().peers, [{ beaconMsAgo: 900 }], 'and that is no sign of life')
  t.same(machine.at(2_399), [])
  t.same(machine.at(2_400), ['exit p1 link', 'close 1', 'close -1'])
  t.same(machine.at(2_500), ['dial 2 tcp://10.0.9.1:1'], 'and followed')
})

t.test('an endpoint that was told before is nothing new (harmony.md 5.5)', async (t) => {
  const machine = new Machine()
  machine.discover(1, 'tcp://10.0.9.1:1')
  machine.up(1)
  machine.greet(-1, 1)
  machine.at(900)
  t.same(machine.discover(1), [])
  t.match(machine.diagnostics().peers, [{ beaconMsAgo: 0 }])
})

t.test(
  'a node on two networks is asked where it is when one is quiet (harmony.md 5.5)',
  async (t) => {
    const other = 'tcp://10.0.9.1:1'
    const machine = new Machine()
    machine.enter(1)
    machine.at(900)
    machine.discover(1, other)
    t.same(machine.say(-1, PING_OK), [], 'it answers, so it is there too')
    for (let second = 1; second <= 10; second++) {
      machine.at(900 + 1_000 * second)
      machine.discover(1)
      t.same(machine.discover(1, other), [], 'both are heard, and none is asked')
    }
    for (const at of [11_900, 12_900]) {
      machine.at(at)
      t.same(machine.discover(1, other), [])
    }
    machine.at(13_900)
    t.match(machine.discover(1, other), [/^send 1 ping/])
    machine.say(-1, PING_OK)
    for (const second of [16, 17, 18, 19]) {
      machine.at(900 + 1_000 * second)
      t.notMatch(machine.discover(1, other).join(), 'ping', 'that it is not heard at home is known')
    }
    machine.discover(1)
    for (const second of [20, 21, 22]) {
      machine.at(900 + 1_000 * second)
      const said = machine.discover(1, other).join()
      t.equal(/ping/.test(said), second === 22, 'since it was, it is asked anew')
    }
    machine.say(-1, PING_OK)
    for (let second = 23; second <= 40; second++) {
      machine.at(900 + 1_000 * second)
      machine.say(-1, PING)
      t.notMatch(machine.discover(1, other).join(), 'ping 3', 'whose octets come is not asked')
    }
  },
)

t.test('a node that is on its other network alone is followed (harmony.md 5.5)', async (t) => {
  const other = 'tcp://10.0.9.1:1'
  const machine = new Machine()
  machine.enter(1)
  machine.at(900)
  machine.discover(1, other)
  machine.say(-1, PING_OK)
  for (const at of [3_900, 4_900]) {
    machine.at(at)
    t.same(machine.discover(1, other), [])
  }
  machine.at(5_900)
  t.match(machine.discover(1, other), [/^send 1 ping/])
  t.same(machine.at(7_400), ['exit p1 link', 'close 1', 'close -1'])
  t.same(machine.at(7_500), [`dial 2 ${other}`])
  machine.up(2)
  machine.up(-2, uuidOf(1), { address: '10.0.9.1' })
  t.match(machine.say(-2, helloOf(1, { endpoint: other })), ['enter p1', 'resume -2'])
  for (const at of [10_500, 11_500, 12_500]) {
    machine.at(at)
    machine.discover(1)
  }
  t.match(machine.at(14_000), ['exit p1 link', 'close 2', 'close -2'], 'and back, however soon')
})

t.test('and followed back when that network fails soon after (harmony.md 5.5)', async (t) => {
  const other = 'tcp://10.0.9.1:1'
  const machine = new Machine()
  machine.enter(1)
  machine.at(900)
  machine.discover(1, other)
  machine.say(-1, PING_OK)
  for (const at of [3_900, 4_900, 5_900]) {
    machine.at(at)
    machine.discover(1, other)
  }
  machine.say(-1, PING_OK)
  for (const at of [9_900, 10_900, 11_900]) {
    machine.at(at)
    t.same(machine.discover(1, other), [], 'it was there, and is not asked so soon again')
  }
  machine.say(-1, PING)
  machine.discover(1)
  for (const at of [14_900, 15_900]) {
    machine.at(at)
    machine.discover(1, other)
  }
  machine.at(16_900)
  t.match(machine.discover(1, other), [/^send 1 ping/], 'but it was heard where it was in between')
})

t.test('of many addresses that it has, none is asked about twice (harmony.md 5.5)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  const others = ['tcp://[fd00::1]:1', 'tcp://10.0.9.1:1', 'tcp://[fd00:9::1]:1']
  for (const other of others) {
    machine.at(machine.now + 1_000)
    t.match(machine.discover(1, other), [/^send 1 ping/], 'it is new')
    machine.say(-1, PING_OK)
  }
  for (let second = 5; second <= 10; second++) {
    machine.at(1_000 * second)
    machine.discover(1)
    for (const other of others) t.same(machine.discover(1, other), [], 'all are heard')
  }
  t.equal(machine.count('endpoint-changed'), others.length)
  for (const second of [11, 12]) {
    machine.at(1_000 * second)
    for (const other of others) t.same(machine.discover(1, other), [], 'at the others alone')
  }
  machine.at(13_000)
  t.match(machine.discover(1, 'tcp://10.0.9.1:1'), [/^send 1 ping/], 'and for long enough')
  t.same(machine.at(14_500), ['exit p1 link', 'close 1', 'close -1'])
  t.same(machine.at(14_600), ['dial 2 tcp://10.0.9.1:1'])
})

t.test('who has several addresses tells each peer its nearest (harmony.md 2.11)', async (t) => {
  const home = 'tcp://192.168.0.5:1'
  const machine = new Machine()
  machine.harmony.move(
    home,
    [
      { endpoint: home, bits: 24 },
      { endpoint: 'tcp://10.0.0.5:2', bits: 24 },
      { endpoint: 'tcp://10.9.0.5:3', bits: 8 },
      { endpoint: 'tcp://[fe80::5%eth0]:4', bits: 64 },
      { endpoint: 'tcp://[fe80::6%eth1]:5', bits: 64 },
      { endpoint: 'tcp://[fd00:7::5]:6', bits: 64 },
      { endpoint: 'tcp://[fd00:8::5]:7', bits: 64 },
    ],
    0,
  )
  const told = (peer: number, endpoint: string) => {
    machine.discover(peer, endpoint)
    machine.at(machine.now + 1_000)
    const up = { type: 'up', uuid: undefined, address: '', answers: true } as const
    machine.harmony.handleLink(peer, { ...up, sequence: undefined }, machine.now)
    for (const deed of machine.effects()) {
      if (deed.type === 'send' && deed.command.type === 'hello') return deed.command.endpoint
    }
    return undefined
  }
  t.equal(told(1, 'tcp://10.0.0.9:9'), 'tcp://10.0.0.5:2', 'the smallest network')
  t.equal(told(2, 'tcp://10.7.0.9:9'), 'tcp://10.9.0.5:3')
  t.equal(told(3, 'tcp://172.16.0.9:9'), home, 'the first where none is near')
  // As C Zyre writes it, and without the zone (harmony.md 2.12).
  t.equal(told(4, 'tcp://[fe80::9%eth1]:9'), 'tcp://fe80::6:5', 'of two links the one it is on')
  t.equal(told(5, 'tcp://[fd00:8::9]:9'), 'tcp://fd00:8::5:7')
  t.equal(told(6, 'tcp://[2001:db8::9]:9'), 'tcp://fd00:7::5:6', 'the first of its family')
  t.equal(told(7, 'tcp://[fe80::9%eth7]:9'), 'tcp://fd00:7::5:6', 'which is not link-local')
  t.equal(told(8, 'tcp://kitchen:9'), home)
})

t.test('who was told where we are not any more is told anew (harmony.md 2.11)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  t.match(machine.up(1), [/^send 1 hello/])
  machine.enter(2)
  machine.discover(3)
  machine.harmony.move('tcp://10.0.7.7:1', [], machine.now)
  t.same(machine.settle(), ['close 1', `dial 4 ${endpointOf(1)}`], 'not who entered, or is dialled')
  const homes = ['tcp://10.0.7.7:1', 'tcp://10.0.9.7:1'].map((endpoint) => ({ endpoint, bits: 24 }))
  machine.harmony.move('tcp://10.0.7.7:1', homes, 0)
  t.same(machine.settle(), [], 'no link that is not up')
  machine.up(4)
  machine.harmony.move('tcp://10.0.7.7:1', [], machine.now)
  t.same(machine.settle(), [], 'and none to whom nothing changes')
})

t.test(
  'a beacon from where its HELLO came from tells of a peer that moved since (harmony.md 2.6)',
  async (t) => {
    const [there, elsewhere] = ['tcp://10.0.9.1:1', 'tcp://10.0.8.1:1']
    const machine = new Machine()
    machine.discover(1)
    machine.up(-1, uuidOf(1), { address: '10.0.9.1' })
    t.same(machine.say(-1, helloOf(1)), ['hold -1'])
    machine.at(999)
    t.same(machine.discover(1, there), [], 'its dial has a second')
    machine.at(1_100)
    t.same(machine.discover(1, elsewhere), [], 'and anybody else may tell anything')
    t.same(machine.discover(1, there), ['close 1', `dial 2 ${there}`])
    machine.up(2, uuidOf(1))
    t.equal(machine.harmony.peer(uuidOf(1))?.endpoint, there)
  },
)

t.test('who has slept asks who is there, and dials anew (harmony.md 4.10)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.enter(2)
  machine.lost(2)
  machine.discover(3)
  machine.discover(4)
  machine.up(4, undefined, { answers: false })
  machine.discover(5)
  machine.lost(5)
  machine.lines()
  machine.harmony.handleWake(machine.now)
  const wanted = machine.effects().filter(({ type }) => type !== 'trace')
  t.match(wanted.map(line), ['measure 1', 'close 3', 'send 4 ping 2'])
  t.match(machine.at(100), [`dial 6 ${endpointOf(3)}`])
})

t.test('a doubt that was there before a sleep has its time again (harmony.md 4.7)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.at(900)
  machine.discover(1, 'tcp://10.0.9.1:1')
  machine.at(2_300)
  machine.harmony.handleWake(machine.now)
  t.notMatch(machine.at(3_700).join(), 'exit', 'its clock stood still, and the network was away')
  t.match(machine.at(3_800), ['exit p1 link', 'close 1', 'close -1'])
})

t.test(
  'who was heard by its beacons alone is not blamed for our sleep (harmony.md 4.7)',
  async (t) => {
    const machine = new Machine()
    machine.enter(1)
    for (let second = 1; second <= 10; second++) {
      machine.at(1_000 * second)
      machine.discover(1)
    }
    // Nothing is due before its time: it is called once, late.
    machine.now = 3_600_000
    machine.harmony.handleTimeout(machine.now)
    t.same(machine.lines(), [])
    t.same(machine.at(3_603_500), ['send 1 ping 2', 'send 1 ping 3'])
    t.same(machine.at(3_604_500), ['send 1 ping 4', 'evasive p1'])
  },
)

t.test(
  'beacons that have waited for us come at once, and count as one (harmony.md 5.5)',
  async (t) => {
    const other = 'tcp://10.0.9.1:1'
    const machine = new Machine()
    machine.enter(1)
    machine.at(900)
    machine.discover(1, other)
    machine.say(-1, PING_OK)
    machine.at(4_900)
    machine.lines()
    for (let count = 0; count < 10; count++) t.same(machine.discover(1, other), [])
    t.equal(machine.diagnostics().counters['endpoint-changed'], 1, 'it is not asked')
  },
)
