// What Harmony makes of a link that is lost: it goes on where nothing is in doubt, and begins anew where something is.

import t from 'tap'
import type { Hello } from '../../protocol/index.ts'
import { endpointOf, helloOf, Machine, uuidOf } from '../support/harmony.ts'

const PING_OK = { type: 'ping-ok' } as const

/** Peer 1 has entered by connections 1 and -1, names itself as Lyre does, and has confirmed all that we wrote. */
function machineWithPeer(hello: Partial<Hello> = { groups: ['A'] }): Machine {
  const machine = new Machine()
  machine.discover(1)
  machine.up(1, uuidOf(1))
  machine.greet(-1, 1, hello)
  machine.at(100)
  machine.pong(1)
  return machine
}

/** The same, and three whispers of which the first is confirmed, the second written, the third not. */
function machineInDoubt(): Machine {
  const machine = machineWithPeer()
  machine.whisper(1, 'one')
  machine.at(200)
  machine.pong(1)
  machine.whisper(1, 'two')
  machine.settle()
  machine.stalled.add(1)
  machine.whisper(1, 'three')
  machine.settle()
  return machine
}

t.test('a lost link goes on, and nobody notices (harmony.md 5.7)', async (t) => {
  const machine = machineWithPeer()
  t.same(machine.lost(1), [])
  t.equal(machine.whisper(1, 'meanwhile'), 1)
  t.same(machine.at(200), ['dial 2 tcp://10.0.0.1:49152 after 1'])
  t.same(machine.up(2, uuidOf(1)), [], 'nothing leaves before it answers')
  t.same(machine.pong(2), ['send 2 whisper 2'])
  t.same(
    machine.at(20_000).filter((text) => /exit|enter|close/.test(text)),
    [],
  )
})

t.test('its own link goes on as well, with or without a word (harmony.md 5.7)', async (t) => {
  for (const sequence of [3, undefined]) {
    const machine = machineWithPeer()
    machine.say(-1, PING_OK)
    machine.say(-1, PING_OK)
    t.same(machine.lost(-1), [])
    t.same(machine.up(-2, uuidOf(1), { sequence }), sequence === 3 ? ['hold -2', 'resume -2'] : [])
    const whisper = { type: 'whisper', content: [] } as const
    const told = machine.say(-2, whisper, 4)
    t.same(told.slice(-1), ['whisper p1'])
    t.same(
      machine.at(20_000).filter((text) => /exit|enter|close/.test(text)),
      [],
    )
  }
})

t.test('it is known who is at a connection, and how far it has read', async (t) => {
  const machine = machineWithPeer()
  const { harmony } = machine
  t.equal(harmony.uuidAt(1), uuidOf(1))
  t.equal(harmony.uuidAt(-1), uuidOf(1))
  t.equal(harmony.uuidAt(9), undefined)
  t.same(harmony.readTo(1), { connection: 1, sequence: 1 }, 'our HELLO')
  machine.whisper(1, 'one')
  machine.at(200)
  t.same(harmony.readTo(-1), { connection: 1, sequence: 1 }, 'and no more, so far')
  machine.pong(1)
  t.same(harmony.readTo(1), { connection: 1, sequence: 2 })
  t.equal(harmony.readTo(9), undefined)
  machine.lost(1)
  t.equal(harmony.readTo(-1), undefined, 'our link is lost')
})

t.test('both links are lost and both go on, in either order (harmony.md 5.7)', async (t) => {
  const back = (machine: Machine) => {
    t.same(machine.up(-2, uuidOf(1), { sequence: 1 }), ['hold -2', 'resume -2'])
  }
  for (const isTheirsFirst of [true, false]) {
    const machine = machineWithPeer()
    t.same([...machine.lost(1), ...machine.lost(-1)], [])
    if (isTheirsFirst) back(machine)
    machine.at(200)
    machine.up(2, uuidOf(1))
    t.same(machine.pong(2), [])
    if (!isTheirsFirst) back(machine)
    t.match(machine.diagnostics().peers, [{ state: 'entered', link: 'up', epoch: 1 }])
    t.same(
      machine.at(6_000).filter((text) => /exit/.test(text)),
      [],
    )
  }
})

t.test('what is in doubt begins a new epoch (harmony.md 5.9 and 5.10)', async (t) => {
  const machine = machineInDoubt()
  t.same(machine.lost(1), [])
  const again = machine.at(600)
  t.same(again, ['exit p1 link lost 1', 'close -1', 'dial 2 tcp://10.0.0.1:49152'])
  t.same(machine.up(2, uuidOf(1)), ['send 2 hello 1'], 'and not yet what waits')
  t.same(machine.join('B'), [], 'nor what comes behind it')
  t.same(machine.greet(-2, 1), ['enter p1', 'send 2 whisper 2', 'send 2 join B 3', 'resume -2'])
  t.match(machine.diagnostics().messages, { sent: 3, confirmed: 1, lost: 1, unconfirmed: 1 })
})

t.test('a peer that does not answer PINGs, or name itself, begins anew', async (t) => {
  for (const [uuid, answers] of [
    [undefined, true],
    [uuidOf(1), false],
  ] as const) {
    const machine = new Machine()
    machine.discover(1)
    machine.up(1, uuid, { answers })
    machine.greet(-1, 1)
    machine.at(100)
    if (answers) machine.pong(1)
    machine.lost(1)
    t.same(machine.at(350).slice(0, 1), ['exit p1 link'], `${uuid} ${answers}`)
  }
})

t.test('who has the port now gets nothing (harmony.md 5.10)', async (t) => {
  for (const owner of [uuidOf(2), undefined]) {
    const machine = machineWithPeer()
    machine.lost(-1)
    machine.lost(1)
    machine.whisper(1, 'secret')
    machine.at(200)
    const lines = [...machine.up(2, owner), ...machine.at(250)]
    t.same(lines.slice(0, 2), ['close 2', 'exit p1 link'])
    t.notMatch([...lines, ...machine.at(2_000)].join(), 'whisper')
  }
})

t.test('it is over when the other side does not go on (harmony.md 5.7)', async (t) => {
  const mute = machineWithPeer()
  mute.lost(1)
  mute.at(200)
  t.same(mute.up(2, uuidOf(1), { answers: false }), ['exit p1 link', 'close 2', 'close -1'])
  const machine = machineWithPeer()
  machine.lost(1)
  machine.at(200)
  machine.up(2, uuidOf(1))
  t.same(machine.lost(2), ['exit p1 link', 'close -1'])
  t.same(machine.at(600).slice(0, 1), ['dial 3 tcp://10.0.0.1:49152'])
  t.same(machine.up(3, uuidOf(1)), ['send 3 hello 1'])
})

t.test('it is over when neither link comes back (harmony.md 5.7)', async (t) => {
  const machine = machineWithPeer()
  machine.lost(1)
  machine.lost(-1)
  machine.at(200)
  t.same(machine.lost(2), ['exit p1 link'], 'a dial failed, and its own link is gone')
  const other = machineWithPeer()
  other.lost(1)
  t.same(other.at(200), ['dial 2 tcp://10.0.0.1:49152 after 1'])
  t.same(other.lost(2), [], 'it still talks to us')
  t.same(other.at(400), ['dial 3 tcp://10.0.0.1:49152 after 1'])
  t.same(other.at(5_099), ['evasive p1'])
  t.same(other.at(5_100), ['exit p1 link', 'close 3', 'close -1'])
  const third = machineWithPeer()
  third.lost(-1)
  t.same(
    third.at(5_000).filter((text) => !/ping|evasive/.test(text)),
    [],
  )
  t.same(third.at(5_100), ['exit p1 link', 'close 1'])
})

t.test(
  'it has 5 s from the first loss on, however often it is lost (harmony.md 5.7)',
  async (t) => {
    const machine = machineWithPeer()
    machine.lost(1)
    for (const [now, connection] of [
      [2_000, -2],
      [4_000, -3],
    ] as const) {
      machine.at(now)
      machine.lost(connection + 1)
      machine.up(connection, uuidOf(1), { sequence: 1 })
    }
    t.match(machine.diagnostics().peers, [{ state: 'entered', connections: { inbound: -3 } }])
    t.same(
      machine.at(5_099).filter((text) => text.startsWith('exit')),
      [],
    )
    t.same(machine.at(5_100).slice(0, 1), ['exit p1 link'])
  },
)

t.test(
  'where neither direction is left, the next dial does not wait long (harmony.md 2.8)',
  async (t) => {
    const machine = machineWithPeer()
    const live = (seconds: number) => {
      for (let second = 0; second < seconds; second++) {
        machine.at(machine.now + 1_000)
        machine.harmony.handleActivity(-1, machine.now)
      }
    }
    for (let connection = 1; connection <= 4; connection++) {
      live(3)
      machine.lost(connection)
      live(2)
      machine.up(connection + 1, uuidOf(1))
      machine.pong(connection + 1)
    }
    t.match(machine.diagnostics().peers, [{ state: 'entered', failureCount: 4 }], 'none held')
    machine.lost(5)
    machine.lost(-1)
    t.same(machine.at(machine.now + 100), ['dial 6 tcp://10.0.0.1:49152 after 1'])
    const doubtful = machineInDoubt()
    doubtful.lost(-1)
    t.same(doubtful.lost(1), ['exit p1 link lost 1'], 'nothing is left to come (harmony.md 5.2)')
  },
)

t.test('who cannot go on with us is refused before it is answered (harmony.md 5.7)', async (t) => {
  const machine = machineWithPeer()
  machine.lost(-1)
  t.same(machine.up(-2, uuidOf(1), { sequence: 7 }), ['close -2'])
  t.same(machine.up(-3, uuidOf(3), { sequence: 7 }), ['close -3'])
  t.equal(machine.count('return-refused'), 2)
})

t.test('a HELLO in place of the rest is a new epoch (harmony.md 5.9)', async (t) => {
  const machine = machineWithPeer()
  machine.at(2_000)
  machine.lost(-1)
  t.same(machine.greet(-2, 1), ['exit p1 link', 'close 1', 'hold -2'])
  t.same(machine.at(2_100), ['dial 2 tcp://10.0.0.1:49152'])
  t.same(machine.up(2, uuidOf(1)), ['send 2 hello 1', 'enter p1', 'resume -2'])
})

t.test('one that our own new HELLO made start anew keeps our link (harmony.md 5.2)', async (t) => {
  const machine = machineWithPeer()
  machine.say(-1, PING_OK)
  machine.lost(-1)
  t.same(machine.greet(-2, 1), ['exit p1 link', 'enter p1', 'resume -2'])
})

t.test('one that greets again before it has entered us goes on (harmony.md 5.2)', async (t) => {
  const machine = machineWithPeer({ groups: ['A', 'B'], headers: { X: '1', Y: '2' } })
  machine.lost(-1)
  const same = { groups: ['B', 'A'], headers: { Y: '2', X: '1' } }
  t.same(machine.greet(-2, 1, same), ['resume -2'], 'its last link was of an address that it left')
  t.same(machine.say(-2, { type: 'leave', group: 'A', status: 1 }), ['leave p1 A'])
  t.same(machine.at(6_000).slice(0, 1), ['send 1 ping 2'], 'and nothing is awaited')
  for (const { what, hello } of [
    { what: 'a group more', hello: { ...same, groups: ['A', 'B', 'C'] } },
    { what: 'another group', hello: { ...same, groups: ['A', 'C'] } },
    { what: 'another header', hello: { ...same, headers: { X: '1', Y: '3' } } },
    { what: 'a header less', hello: { ...same, headers: { X: '1' } } },
    { what: 'another name', hello: { ...same, name: 'p2' } },
  ]) {
    const other = machineWithPeer({ groups: ['A', 'B'], headers: { X: '1', Y: '2' } })
    other.lost(-1)
    t.match(other.greet(-2, 1, hello)[0], 'exit p1 link', what)
  }
  const elsewhere = machineWithPeer()
  elsewhere.lost(-1)
  elsewhere.up(-2, uuidOf(1), { address: '10.0.0.9' })
  t.match(elsewhere.say(-2, helloOf(1, { groups: ['A'] }))[0], 'exit p1 link', 'another place')
})

t.test(
  'the rest of a link that seems whole waits, and the peer is asked (harmony.md 5.4)',
  async (t) => {
    const machine = machineWithPeer()
    t.same(machine.up(-2, uuidOf(1), { sequence: 1 }), ['hold -2', 'send 1 ping 2'])
    t.same(machine.say(-2, PING_OK, 2), [], 'what is held is not read')
    t.same(machine.at(1_600), ['close -1', 'resume -2'])
    t.same(machine.say(-2, { type: 'whisper', content: [] }, 2), ['whisper p1'])
    const alive = machineWithPeer()
    alive.up(-2, uuidOf(1), { sequence: 1 })
    t.same(alive.say(-1, PING_OK), ['close -2'])
    const lost = machineWithPeer()
    lost.up(-2, uuidOf(1), { sequence: 1 })
    t.same(lost.lost(-1), ['resume -2'])
    const rest = machineWithPeer()
    rest.up(-2, uuidOf(1))
    t.same(rest.say(-2, { type: 'whisper', content: [] }, 2), ['hold -2', 'send 1 ping 2'])
    t.same(rest.lost(-1), ['resume -2', 'whisper p1'], 'what it began with is not lost')
    const wrong = machineWithPeer()
    wrong.up(-2, uuidOf(1), { sequence: 1 })
    t.same(wrong.say(-1, PING_OK, 9), ['exit p1 sequence', 'close 1', 'close -1', 'close -2'])
    t.same([...wrong.pong(-1), ...wrong.pong(-2)], [])
    const both = machineWithPeer()
    both.up(-2, uuidOf(1), { sequence: 1 })
    both.lost(1)
    t.same(both.at(350).slice(0, 2), ['close -1', 'resume -2'])
  },
)

t.test('where our own link is lost, nobody is left to ask', async (t) => {
  const machine = machineWithPeer()
  machine.lost(1)
  t.same(machine.up(-2, uuidOf(1), { sequence: 1 }), ['hold -2', 'close -1', 'resume -2'])
  t.same(machine.at(200), ['dial 2 tcp://10.0.0.1:49152 after 1'])
})

t.test('a peer that moved is followed, and begins anew (harmony.md 5.5)', async (t) => {
  const moved = endpointOf(9)
  const machine = machineWithPeer()
  t.same(machine.discover(1, moved), [], 'asked by a PING of ZMTP, which takes no sequence')
  t.same(machine.at(1_600), ['exit p1 link', 'close 1', 'close -1'])
  t.same(machine.at(1_700), [`dial 2 ${moved}`])
  const liar = machineWithPeer()
  liar.discover(1, moved)
  t.same(liar.pong(1), [])
  t.same(liar.at(2_900), [], 'it is where it was')
  const waiting = machineWithPeer()
  waiting.lost(1)
  waiting.discover(1, moved)
  t.same(waiting.at(200), ['dial 2 tcp://10.0.0.1:49152 after 1'], 'hearsay: it goes on at home')
  waiting.lost(-1)
  t.same(waiting.lost(2), ['exit p1 link'])
  t.same(waiting.at(300), [`dial 3 ${moved}`])
})

t.test('a peer that moved while something was in doubt begins anew there', async (t) => {
  const machine = machineInDoubt()
  const moved = endpointOf(9)
  machine.discover(1, moved)
  t.same(machine.at(1_700), ['exit p1 link lost 1', 'close 1', 'close -1'])
  t.same(machine.at(1_850), [`dial 2 ${moved}`])
})

t.test('a beacon ends the wait for the next dial (harmony.md 2.8)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  for (let connection = 1; connection <= 4; connection++) {
    machine.lost(connection)
    machine.at(machine.now + 2_000)
  }
  machine.lost(5)
  const failedAt = machine.now
  machine.at(failedAt + 50)
  t.same(machine.discover(1), [])
  t.same(machine.at(failedAt + 99), [])
  t.same(machine.at(failedAt + 100), ['dial 6 tcp://10.0.0.1:49152'])
})

t.test(
  'what waited for a peer that never comes back is lost, and counted (harmony.md 5.9)',
  async (t) => {
    const machine = machineInDoubt()
    machine.lost(1)
    machine.at(600)
    machine.lost(2)
    t.match(machine.diagnostics().messages, { sent: 3, confirmed: 1, lost: 1, waiting: 1 })
    machine.at(60_000)
    t.match(machine.diagnostics().messages, { sent: 3, confirmed: 1, lost: 2, waiting: 0 })
    t.match(
      machine.traces.find(({ type }) => type === 'lost'),
      { reason: '1 messages' },
    )
  },
)

t.test('peers whose HELLO is here have dials of their own (harmony.md 7.3)', async (t) => {
  const machine = new Machine({ limits: { dialsMax: 1 } })
  machine.discover(1)
  t.same(machine.discover(2), [])
  t.same(machine.greet(-3, 3), ['hold -3', 'dial 2 tcp://10.0.0.3:49152'])
  t.same(machine.greet(-2, 2), ['hold -2'])
  t.same(machine.up(2), ['send 2 hello 1', 'enter p3', 'resume -3', 'dial 3 tcp://10.0.0.2:49152'])
  t.equal(machine.diagnostics().dials, 2)
})

t.test('who was dialled in vain makes place for anybody (harmony.md 7.1, W13)', async (t) => {
  const machine = new Machine({ limits: { peersMax: 2 } })
  machine.discover(1)
  machine.discover(2)
  t.same(machine.discover(3), [])
  machine.lost(2)
  t.same(machine.discover(3), ['dial 3 tcp://10.0.0.3:49152'])
  t.same(machine.discover(2), [])
  t.match(machine.diagnostics().counters, { 'stranger-evicted': 1, 'peers-limit': 2 })
  t.same(machine.greet(-1, 1), ['hold -1'])
  t.same(machine.lost(1), [])
  t.same(machine.discover(2), ['close -1', 'dial 4 tcp://10.0.0.2:49152'], 'a HELLO is no proof')
  machine.up(4)
  machine.greet(-2, 2)
  machine.say(-2, PING_OK, 9)
  t.same(machine.lost(3), [])
  machine.discover(4)
  machine.lost(5)
  t.same(machine.greet(-5, 5).slice(0, 1), ['hold -5'])
  t.match(
    machine.diagnostics().peers.map(({ name }) => name),
    ['p2', 'p5'],
    'who has entered once stays',
  )
})

t.test('a dial that takes long makes place when another waits (harmony.md 7.3)', async (t) => {
  const machine = new Machine({ limits: { dialsMax: 2 } })
  for (const peer of [1, 2]) t.match(machine.greet(-peer, peer), [/hold/, /dial/])
  machine.at(4_000)
  t.same(machine.greet(-3, 3), ['hold -3'])
  t.same(machine.at(4_999), [])
  t.same(machine.at(5_000), ['close 1', 'dial 3 tcp://10.0.0.3:49152'])
  t.same(machine.up(3), ['send 3 hello 1', 'enter p3', 'resume -3'])
})

t.test('one address cannot take all dials, except on loopback (harmony.md 7.3)', async (t) => {
  const machine = new Machine({ limits: { dialsMax: 8 } })
  for (let port = 1; port <= 5; port++) machine.discover(port, `tcp://10.0.0.9:${port}`)
  t.equal(machine.diagnostics().dials, 2)
  t.same(machine.discover(6), ['dial 3 tcp://10.0.0.6:49152'])
  t.same(machine.lost(1), ['dial 4 tcp://10.0.0.9:3'])
  t.same(machine.greet(-7, 7), ['hold -7', 'dial 5 tcp://10.0.0.7:49152'])
  const local = new Machine({ limits: { dialsMax: 8 } })
  for (let port = 1; port <= 9; port++) local.discover(port, `tcp://127.0.0.9:${port}`)
  t.equal(local.diagnostics().dials, 8)
})

t.test('nobody is forgotten while a dial to it is young (harmony.md 6.3)', async (t) => {
  const machine = new Machine({ expiredTimeoutMs: 8_000 })
  machine.discover(1)
  t.same(machine.at(14_999), [])
  t.same(machine.at(15_000), ['close 1'])
  t.match(machine.diagnostics(), { peers: [], dials: 0 })
})

t.test('who floods us with PINGs and does not read is not answered (harmony.md 4.8)', async (t) => {
  const machine = machineWithPeer()
  machine.stalled.add(1)
  for (let count = 0; count < 100; count++) machine.say(-1, { type: 'ping' })
  t.equal(machine.count('ping-unanswered'), 36)
})

t.test(
  'who was greeted without saying who it is gets nothing that waits (harmony.md 5.10)',
  async (t) => {
    const machine = new Machine()
    machine.enter(1)
    machine.stalled.add(1)
    machine.whisper(1, 'secret')
    machine.settle()
    machine.lost(1)
    t.same(machine.at(350), ['exit p1 link', 'close -1', 'dial 2 tcp://10.0.0.1:49152'])
    machine.up(2)
    t.same(machine.greet(-2, 1, { endpoint: endpointOf(5) }), ['close 2', 'hold -2'])
    t.same(machine.at(450), [`dial 3 ${endpointOf(5)}`])
    t.same(machine.up(3), ['send 3 hello 1', 'send 3 whisper 2', 'enter p1', 'resume -2'])
  },
)

t.test(
  'a dial that ends makes place for one who came before, at once (harmony.md 7.3)',
  async (t) => {
    const machine = new Machine({ limits: { dialsMax: 2 } })
    machine.discover(1, 'tcp://10.0.0.9:1')
    machine.discover(2, 'tcp://10.0.0.8:1')
    machine.discover(3, 'tcp://10.0.0.9:2')
    machine.discover(4, 'tcp://10.0.0.7:1')
    t.same(machine.at(5_000), [
      'close 1',
      'dial 3 tcp://10.0.0.7:1',
      'close 2',
      'dial 4 tcp://10.0.0.9:2',
    ])
  },
)

t.test('who goes on as if we knew it is greeted again (harmony.md 5.5)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  machine.up(1)
  machine.up(-1, uuidOf(1))
  t.same(machine.say(-1, { type: 'ping' }, 700), [])
  t.same(machine.say(-1, { type: 'ping' }, 701), [])
  t.same(machine.at(1_600), ['close 1', 'dial 2 tcp://10.0.0.1:49152'])
  t.same(machine.up(2), ['send 2 hello 1'])
  t.same(machine.greet(-2, 1), ['enter p1', 'resume -2'])
})

t.test(
  'after an exit nothing leaves before the next enter (harmony.md 5.9 and 5.10)',
  async (t) => {
    const machine = new Machine()
    machine.enter(1)
    machine.stalled.add(1)
    machine.whisper(1, 'kept')
    machine.settle()
    machine.stalled.clear()
    t.same(machine.lost(-1), ['exit p1 link'], 'its link is kept, since our HELLO is new')
    t.same(machine.join('B'), [])
    machine.lost(1)
    t.same(machine.at(100), ['dial 2 tcp://10.0.0.1:49152'])
    t.same(machine.up(2), ['send 2 hello 1'])
    t.same(machine.greet(-2, 1), ['enter p1', 'send 2 whisper 2', 'resume -2'])
    t.match(machine.diagnostics().messages, { sent: 1, unconfirmed: 1, lost: 0 })
  },
)

t.test(
  'what was at an endpoint before is no reason to doubt who is there (harmony.md 2.10)',
  async (t) => {
    const machine = new Machine()
    machine.enter(1)
    machine.lost(-1)
    machine.lost(1)
    machine.at(1_000)
    machine.greet(-2, 2, { endpoint: endpointOf(1) })
    const again = machine.diagnostics().peers
    for (const { uuid, connections } of again) {
      if (uuid === uuidOf(1) && connections.outbound !== 0) machine.lost(connections.outbound)
    }
    const dialled = [...machine.at(1_200), ...machine.at(1_300)].find((text) => /^dial/.test(text))
    const connection = Number(dialled?.split(' ')[1])
    machine.up(connection, uuidOf(2))
    const lines = machine.at(20_000)
    t.notMatch(lines.join(), /exit p2/)
    machine.discover(1)
    t.match(machine.at(21_000).join(), /ping/, 'but a beacon of it is')
    machine.at(21_100)
    machine.say(-2, { type: 'ping-ok' })
    t.notMatch(machine.at(24_000).join(), /ping/, 'until who is there has spoken')
  },
)

t.test('a hint does not give up what waits for a peer (harmony.md 5.3)', async (t) => {
  const machine = machineInDoubt()
  machine.lost(1)
  machine.at(600)
  machine.harmony.handleGoodbyeHint(uuidOf(1), machine.now)
  t.same(machine.settle(), [])
  machine.up(2, uuidOf(1))
  t.match(machine.greet(-2, 1), ['enter p1', 'send 2 whisper 2', 'resume -2'])
})
