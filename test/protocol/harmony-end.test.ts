// Harmony and the end of what is between two nodes: restart, lost links, causes, our own stop. Rules 5.1, 5.2 and 6.

import t from 'tap'
import type { ZreCommand } from '../../protocol/zre.ts'
import { content, helloOf, Machine, UP, uuidOf } from '../support/harmony.ts'

const PING = { type: 'ping' } as const
const PING_OK = { type: 'ping-ok' } as const
const GOODBYE = { type: 'goodbye' } as const
const ELECT = { type: 'elect', group: 'G', challenger: '0'.repeat(32) } as const

function whisper(...texts: string[]): ZreCommand {
  return { type: 'whisper', content: content(...texts) }
}

t.test('HELLO again over its own connection is a restart (harmony.md 5.1)', async (t) => {
  const machine = new Machine()
  machine.enter(1, { groups: ['A'] })
  machine.say(-1, PING)
  const anew = helloOf(1, { name: 'anew', groups: ['B'] })
  t.same(machine.say(-1, anew, 1), ['exit p1 restart', 'close 1', 'hold -1'])
  t.same(machine.harmony.peerGroups(), [])
  t.same(machine.at(50), ['dial 2 tcp://10.0.0.1:49152'])
  t.same(machine.up(2), ['send 2 hello 1', 'enter anew', 'join anew B', 'resume -1'])
  t.same(machine.say(-1, whisper('hi')), ['whisper anew hi'])
})

t.test('a restart with a HELLO that cannot be is an exit', async (t) => {
  for (const [hello, sequence, cause] of [
    [{}, 2, 'sequence'],
    [{ endpoint: 'nowhere' }, 1, 'refused'],
  ] as const) {
    const machine = new Machine()
    machine.enter(1)
    const lines = machine.say(-1, helloOf(1, hello), sequence)
    t.same(lines, [`exit p1 ${cause}`, 'close 1', 'close -1'])
  }
})

t.test('a peer that starts anew while it is dialled is dialled again', async (t) => {
  const machine = new Machine()
  machine.greet(-1, 1)
  t.same(machine.say(-1, helloOf(1), 1), ['close 1', 'hold -1'])
  t.equal(machine.diagnostics().dials, 0)
  t.same(machine.at(50), ['dial 2 tcp://10.0.0.1:49152'])
})

t.test('a closed inbound connection is an exit at once (harmony.md 5.2)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.at(1_500)
  t.same(machine.lost(-1), ['exit p1 link', 'close 1'])
  t.same(machine.at(1_549), [])
  t.same(machine.at(1_550), ['dial 2 tcp://10.0.0.1:49152'])
})

t.test('who starts anew at our HELLO is not made to do so again (harmony.md 5.2)', async (t) => {
  const machine = new Machine()
  machine.enter(1, { groups: ['A'] })
  machine.at(500)
  t.same(machine.lost(-1), ['exit p1 link'])
  t.same(machine.harmony.peers(), [])
  t.same(machine.harmony.peerGroups(), [])
  t.same(machine.at(1_000), [])
  t.same(machine.greet(-2, 1), ['enter p1', 'resume -2'], 'our HELLO and our link still hold')
  t.equal(machine.harmony.whisper(uuidOf(1), content('hi'), machine.now), 1)
  t.same(machine.lines(), ['send 1 whisper 2'])
  t.same(machine.lost(-2), ['exit p1 link lost 1', 'close 1'], 'but once')
  t.same(machine.at(1_050), ['dial 2 tcp://10.0.0.1:49152'])
  machine.up(2)
  machine.greet(-3, 1)
  t.same(machine.lost(-3), ['exit p1 link'])
  t.same(machine.at(2_549), [])
  t.same(machine.at(2_550), ['close 2'], 'who does not greet is dialled again')
  t.same(machine.at(2_650), ['dial 3 tcp://10.0.0.1:49152'])
})

t.test('what a HELLO tells is all that counts of what was told (harmony.md 4.2)', async (t) => {
  const machine = new Machine()
  machine.enter(1, { groups: ['A'], status: 200 })
  machine.say(-1, ELECT)
  machine.lost(-1)
  machine.greet(-2, 1)
  t.match(machine.harmony.peers(), [{ groups: [] }])
  t.same(machine.say(-2, { type: 'join', group: 'B', status: 1 }), ['join p1 B'])
  t.equal(machine.count('wrong-status'), 0)
  for (let sequence = 3; sequence <= 65_534; sequence++) machine.say(-2, PING_OK)
  t.same(machine.say(-2, whisper('counts modulo 65535'), 0), ['whisper p1 counts modulo 65535'])
})

t.test('a closed outbound one leaves 250 ms for what was said (harmony.md 5.2)', async (t) => {
  const machine = new Machine()
  machine.enter(1, { groups: ['A'] })
  t.same(machine.lost(1), [])
  t.same(machine.say(-1, whisper('last words')), ['whisper p1 last words'])
  t.same(machine.say(-1, PING), [], 'there is no way to answer')
  t.same(machine.say(-1, PING_OK), [], 'and no answer that helps')
  t.equal(machine.whisper(1, 'waits'), 1)
  t.equal(machine.shout('A', 'waits too'), 1)
  machine.harmony.join('B', machine.now)
  machine.harmony.handleGoodbyeHint(uuidOf(1), 0)
  t.same(machine.discover(1, 'tcp://10.0.9.1:1'), [])
  t.same(machine.greet(-2, 1), ['hold -2'])
  t.same(machine.at(249), [])
  t.same(machine.at(250), ['exit p1 link', 'close -1', 'hold -2'])
  t.same(machine.at(350), ['dial 2 tcp://10.0.0.1:49152'])
  t.same(machine.up(2), [
    'send 2 hello 1',
    'send 2 whisper 2',
    'send 2 shout A 3',
    'enter p1',
    'resume -2',
  ])
})

t.test('a GOODBYE that was on its way is the cause (harmony.md 5.2 and 6.1)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.lost(1)
  t.same(machine.say(-1, GOODBYE), ['exit p1 goodbye', 'close -1'])
  t.same(machine.at(40_000), [])
})

t.test('each cause of an exit has its reason (harmony.md 6.1 and 6.2)', async (t) => {
  const link = (connection: number, type: 'lost' | 'refused') => (machine: Machine) =>
    machine.link(connection, { type, reason: 'because' })
  const overflow = (machine: Machine) => {
    machine.stalled.add(1)
    while (machine.whisper(1, 'hi') > 0);
    return machine.settle()
  }
  for (const [cause, again, happens] of [
    ['goodbye', false, (machine) => machine.say(-1, GOODBYE)],
    ['expired', false, (machine) => machine.at(30_000)],
    ['link', true, link(-1, 'lost')],
    ['link', true, (machine) => [...machine.lost(1), ...machine.at(2_250)]],
    ['sequence', true, (machine) => machine.say(-1, PING, 9)],
    ['limit', true, overflow],
    ['refused', true, link(1, 'refused')],
    ['refused', true, link(-1, 'refused')],
  ] as [string, boolean, (machine: Machine) => string[]][]) {
    const machine = new Machine()
    machine.enter(1)
    machine.at(2_000)
    const lines = happens(machine).filter((text) => text.startsWith('exit'))
    t.same(lines, [cause === 'limit' ? 'exit p1 limit lost 131072' : `exit p1 ${cause}`])
    const dials = machine.at(machine.now + 100).filter((text) => text.startsWith('dial'))
    t.equal(dials.length, again ? 1 : 0, `${cause}: dialled again or forgotten`)
    t.equal(machine.diagnostics().peers.length, again ? 1 : 0)
  }
})

t.test(
  'an endpoint that swallows each dial is forgotten at the end of the last (harmony.md 6.3)',
  async (t) => {
    const machine = new Machine()
    machine.discover(1)
    machine.at(15_000)
    machine.lost(1)
    machine.at(30_050)
    t.match(machine.diagnostics(), { peers: [{ uuid: uuidOf(1), failureCount: 1 }], dials: 1 })
    t.same(machine.lost(2), [])
    t.match(machine.diagnostics(), { peers: [], dials: 0 })
  },
)

t.test('who never enters is unreachable, then forgotten (harmony.md 6.3)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  machine.discover(2)
  machine.up(2)
  machine.discover(3)
  machine.link(3, { type: 'lost', reason: 'connection refused' })
  const unreachable = () => machine.diagnostics().peers.map(({ unreachable }) => unreachable)
  t.same(unreachable(), [null, null, 'connection refused'])
  machine.at(4_999)
  t.match(unreachable(), [null, null])
  machine.at(5_000)
  t.match(unreachable(), ['no answer from its inbox', /its HELLO never came/])
  t.equal(machine.traces.filter(({ type }) => type === 'unreachable').length, 3)
  machine.at(29_999)
  t.equal(machine.diagnostics().peers.length, 3)
  const lines = machine.at(30_000).filter((text) => !text.startsWith('dial'))
  t.same(lines.slice(0, 2), ['close 1', 'close 2'])
  t.match(machine.diagnostics(), { peers: [], connections: 0, dials: 0 })
})

t.test('what nobody will hear is not read, so not confirmed either (harmony.md 6.5)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.up(-2, uuidOf(2))
  machine.harmony.stop()
  t.same(machine.lines(), ['hold -1', 'hold -2', 'send 1 goodbye 2', 'exit p1 stop'])
  t.same(machine.up(-3, uuidOf(1), { sequence: 1 }), ['close -3'], 'nor does a link go on')
  t.same(machine.up(3), [], 'what we dialled is closed by who carries out the stop')
})

t.test('when we stop, all are told, and our groups stay ours (harmony.md 6.4)', async (t) => {
  const machine = new Machine()
  machine.harmony.join('CHAT', machine.now)
  machine.enter(1, { groups: ['A'] })
  machine.discover(2)
  machine.up(2)
  machine.discover(3)
  machine.greet(-9, 1)
  machine.harmony.stop()
  t.same(machine.lines().slice(2), ['send 1 goodbye 3', 'exit p1 stop', 'send 2 goodbye 2'])
  machine.harmony.finish()
  t.match(machine.diagnostics(), { peers: [], connections: 0, dials: 0, arrivals: 0 })
  t.same(machine.harmony.peerGroups(), [])
  t.equal(machine.harmony.pollTimeout(), Number.POSITIVE_INFINITY)
  machine.harmony.handleTimeout(1)
  t.same(machine.say(-1, GOODBYE), [])
  machine.harmony.start('tcp://10.0.0.0:49999')
  t.same(machine.discover(1), ['dial 4 tcp://10.0.0.1:49152'])
  machine.harmony.handleLink(4, UP, 0)
  t.match(machine.effects(), [
    { command: { endpoint: 'tcp://10.0.0.0:49999', groups: ['CHAT'], status: 1 }, sequence: 1 },
  ])
  t.same(machine.greet(-1, 1), ['enter p1', 'resume -1'])
})
