/** Nodes on several networks, and which of their addresses others are told. */

import t from 'tap'
import { Machine } from '../support/harmony.ts'

const PING = { type: 'ping' } as const
const PING_OK = { type: 'ping-ok' } as const

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
    machine.at(11_900)
    t.same(machine.discover(1, other), [])
    machine.at(12_900)
    t.match(machine.discover(1, other), [/^send 1 ping/])
    machine.say(-1, PING_OK)
    for (let second = 14; second <= 40; second++) {
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
  machine.at(11_000)
  t.same(machine.discover(1, 'tcp://10.0.9.1:1'), [], 'it is at one of the others alone')
  machine.at(12_000)
  t.match(machine.discover(1, 'tcp://10.0.9.1:1'), [/^send 1 ping/], 'and for long enough')
  t.same(machine.at(13_500), ['exit p1 link', 'close 1', 'close -1'])
  t.same(machine.at(13_600), ['dial 2 tcp://10.0.9.1:1'])
})

t.test('who has several addresses tells each peer its nearest (harmony.md 2.11)', async (t) => {
  const home = 'tcp://192.168.0.5:1'
  const machine = new Machine()
  machine.harmony.move(home, [
    { endpoint: home, bits: 24 },
    { endpoint: 'tcp://10.0.0.5:2', bits: 24 },
    { endpoint: 'tcp://10.9.0.5:3', bits: 8 },
    { endpoint: 'tcp://[fe80::5%eth0]:4', bits: 64 },
    { endpoint: 'tcp://[fe80::6%eth1]:5', bits: 64 },
    { endpoint: 'tcp://[fd00:7::5]:6', bits: 64 },
    { endpoint: 'tcp://[fd00:8::5]:7', bits: 64 },
  ])
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
