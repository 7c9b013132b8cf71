/** Nodes of which Harmony knows nothing but where they are. Rule 8. */

import t from 'tap'
import { endpointOf, helloOf, Machine, uuidOf } from '../support/harmony.ts'

const AT = endpointOf(1)
const FOUND = `seed ${AT} 0001`

/** A seed that is dialled over connection 1, and whose inbox does not name itself, as libzmq's. */
function greeted(): Machine {
  const machine = new Machine()
  machine.seed(AT)
  machine.up(1)
  return machine
}

t.test(
  'a seed is dialled without a uuid, and is no peer until it has one (harmony.md 8.1)',
  async (t) => {
    const machine = new Machine()
    t.same(machine.seed(AT), [`dial 1 ${AT}`])
    t.same(machine.seed(AT), [], 'only once')
    t.same(machine.diagnostics().peers, [])
    t.equal(machine.diagnostics().dials, 1)
    t.same(machine.up(1, uuidOf(1)), [FOUND, 'send 1 hello 1'])
    t.match(machine.diagnostics().peers, [{ uuid: uuidOf(1), endpoint: AT, source: 'seed' }])
    t.same(machine.greet(-1, 1, { groups: ['A'] }), ['enter p1', 'join p1 A', 'resume -1'])
    t.equal(machine.whisper(1, 'hi'), 1)
    t.same(machine.lines(), ['send 1 whisper 2'])
  },
)

t.test(
  'an inbox that names nobody is whoever says HELLO from there (harmony.md 8.2)',
  async (t) => {
    const machine = new Machine()
    machine.seed(AT)
    t.same(machine.up(1), ['send 1 hello 1'])
    machine.join('A')
    t.same(machine.diagnostics().peers, [])
    t.same(
      machine.greet(-2, 2, { endpoint: AT }),
      ['hold -2'],
      'it says it is there, and comes from elsewhere',
    )
    t.match(machine.greet(-1, 1), [FOUND, 'enter p1', 'resume -1'])
    t.match(machine.diagnostics().peers, [
      { uuid: uuidOf(2), state: 'discovered' },
      { uuid: uuidOf(1), state: 'entered', connections: { inbound: -1, outbound: 1 } },
    ])
    t.same(machine.say(-1, { type: 'whisper', content: [] }), ['whisper p1'])
  },
)

t.test('the HELLO of a seed may come from another of its addresses (harmony.md 8.2)', async (t) => {
  const seed = 'tcp://127.0.0.1:49152'
  const machine = new Machine()
  machine.harmony.move('tcp://10.0.0.7:1', [{ endpoint: 'tcp://10.0.0.7:1', bits: 24 }], 0)
  machine.seed(seed)
  machine.up(1)
  machine.up(-1, uuidOf(7), { address: '10.0.0.7' })
  const { status, groups, name, headers } = { status: 0, groups: [], name: 'p7', headers: {} }
  const hello = { type: 'hello', endpoint: endpointOf(7), status, groups, name, headers } as const
  t.match(machine.say(-1, hello), [`seed ${seed} 0007`, 'enter p7', 'resume -1'])
})

t.test('a seed may have an address of IPv6 (harmony.md 8.2)', async (t) => {
  const home = { endpoint: 'tcp://[fd00:7::7]:1', bits: 64 }
  for (const { seed, from } of [
    { seed: 'tcp://[::1]:49152', from: 'fd00:7::7' },
    { seed: 'tcp://[fd00:7::1]:49152', from: 'fd00:7::1' },
    { seed: 'tcp://[fe80::1%eth0]:49152', from: 'fe80::1%eth0' },
  ]) {
    const machine = new Machine()
    machine.harmony.move('tcp://[fd00:7::7]:1', [home], 0)
    machine.seed(seed)
    machine.up(1)
    // As C Zyre writes it: no brackets, and no zone.
    const endpoint = `tcp://${from.replace('%eth0', '')}:49152`
    machine.up(-1, uuidOf(7), { address: from })
    const lines = machine.say(-1, helloOf(7, { endpoint }))
    t.match(lines, [`seed ${seed} 0007`, 'enter p7', 'resume -1'])
  }
  const machine = new Machine()
  machine.harmony.move('tcp://[fd00:7::7]:1', [home], 0)
  t.match(machine.seed(home.endpoint), [`seed ${home.endpoint} 0000`], 'it is we ourselves')
})

t.test(
  'a HELLO that comes before the seed is reached says who it is (harmony.md 8.2)',
  async (t) => {
    const machine = new Machine()
    machine.seed(AT)
    t.same(machine.greet(-1, 1), [FOUND, 'hold -1'])
    t.same(machine.up(1, uuidOf(1)), ['send 1 hello 1', 'enter p1', 'resume -1'])
  },
)

t.test('of two links to one peer one is closed before a word (harmony.md 8.3)', async (t) => {
  const other = 'tcp://10.0.9.1:1'
  const machine = new Machine()
  machine.enter(1)
  t.same(machine.seed(AT), [FOUND], 'it is there, and is not dialled')
  t.same(machine.seed(other), [`dial 2 ${other}`])
  t.match(machine.up(2, uuidOf(1)), [`close 2`, `seed ${other} 0001`])
  t.same(machine.say(-1, { type: 'ping-ok' }), [])
  t.match(machine.diagnostics().peers, [{ endpoint: AT, state: 'entered' }])
  t.equal(machine.diagnostics().connections, 2)
})

t.test('a seed that is we ourselves is left alone (harmony.md 8.3)', async (t) => {
  const machine = new Machine()
  t.same(machine.seed(endpointOf(0)), [`seed ${endpointOf(0)} 0000`], 'it need not be asked')
  machine.seed(AT)
  t.same(machine.up(1, uuidOf(0)), ['close 1', `seed ${AT} 0000`], 'but a way back to us can')
  machine.harmony.move(AT, [{ endpoint: endpointOf(7), bits: 8 }], 0)
  t.same(machine.seed(endpointOf(7)), [`seed ${endpointOf(7)} 0000`])
  t.same(machine.diagnostics().peers, [])
})

t.test('a seed is not dialled where another node is (harmony.md 8.3)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  machine.seed(AT)
  t.same(machine.at(10), [`seed ${AT} another node is dialled there`])
  machine.up(1, uuidOf(1))
  machine.greet(-1, 1)
  t.same(machine.seed(AT), [FOUND])
})

t.test('who was told of where the seed is dialled gives way (harmony.md 8.3)', async (t) => {
  const machine = new Machine()
  machine.seed(AT)
  t.same(machine.discover(1), [], 'one link to each place')
  t.same(machine.up(1, uuidOf(1)), [FOUND, 'send 1 hello 1'])
  t.same(machine.greet(-1, 1), ['enter p1', 'resume -1'])
  t.equal(machine.diagnostics().peers.length, 1)

  const slow = greeted()
  slow.discover(1)
  t.match(slow.greet(-1, 1), [FOUND, 'enter p1', 'resume -1'])
  t.equal(slow.diagnostics().peers.length, 1)
})

t.test('who has said HELLO is dialled where the seed was reached (harmony.md 8.3)', async (t) => {
  const inside = 'tcp://172.17.0.2:49152'
  const machine = new Machine()
  t.same(machine.greet(-1, 1, { endpoint: inside }), ['hold -1', `dial 1 ${inside}`])
  machine.seed(AT)
  t.same(machine.at(10), [`dial 2 ${AT}`])
  t.same(machine.up(2, uuidOf(1)), ['close 2', FOUND, 'close 1', `dial 3 ${AT}`])
  t.same(machine.up(3, uuidOf(1)), ['send 3 hello 1', 'enter p1', 'resume -1'])
  t.match(machine.diagnostics().peers, [{ endpoint: AT, state: 'entered' }])
})

t.test('a seed that nobody claims is closed (harmony.md 8.4)', async (t) => {
  const machine = greeted()
  t.same(machine.at(4_999), [])
  t.match(machine.at(5_000), ['close 1', /^seed .* its HELLO never came/])
  t.equal(machine.diagnostics().connections, 0)
  t.equal(machine.harmony.pollTimeout() < 10_000, true)
  machine.at(100_000)
  t.equal(machine.harmony.pollTimeout(), Number.POSITIVE_INFINITY, 'nothing is left behind')
})

t.test('a seed that cannot be reached is no peer, and is forgotten (harmony.md 8.4)', async (t) => {
  const machine = new Machine()
  machine.seed(AT)
  t.same(machine.lost(1), [`seed ${AT} closed`])
  t.equal(machine.diagnostics().dials, 0)
  machine.seed(AT)
  const silent = machine.at(60_000)
  t.match(silent, ['close 2', `seed ${AT} no answer from its inbox`])
})

t.test('a place for a seed is not taken from others (harmony.md 7.1)', async (t) => {
  const machine = new Machine({ limits: { peersMax: 1 } })
  machine.enter(1)
  t.same(machine.seed(endpointOf(2)), [`seed ${endpointOf(2)} we know too many peers`])
  machine.harmony.stop()
  machine.lines()
  t.same(machine.seed(endpointOf(2)), [])
})

t.test('who waits at the place of a seed that fails is dialled (harmony.md 8.3)', async (t) => {
  const machine = greeted()
  machine.discover(1)
  const lines = machine.at(8_000)
  t.match(lines, ['close 1', /^seed .* never came/, `dial 2 ${AT}`])
})

t.test('when we stop, a seed that got our HELLO gets GOODBYE (harmony.md 6.4)', async (t) => {
  const machine = greeted()
  machine.harmony.stop()
  t.same(machine.lines(), ['send 1 goodbye 2'])
})

t.test(
  'a Zyre that begins anew over the link of a seed is met over that (harmony.md 8.3)',
  async (t) => {
    // A libzmq inbox gave our second link its place, and its node begins anew with us.
    const machine = new Machine()
    machine.enter(1)
    machine.seed('tcp://10.0.9.1:49152')
    machine.up(2)
    machine.at(100)
    machine.lost(-1)
    machine.lost(1)
    machine.at(400)
    machine.up(-2, uuidOf(1), { address: '10.0.9.1' })
    const { groups, name, headers } = { groups: [], name: 'p1', headers: {} }
    const hello = { type: 'hello', endpoint: AT, status: 0, groups, name, headers } as const
    t.match(machine.say(-2, hello), [
      'close 3',
      'seed tcp://10.0.9.1:49152 0001',
      'enter p1',
      'resume -2',
    ])
    t.equal(machine.diagnostics().connections, 2)
  },
)
