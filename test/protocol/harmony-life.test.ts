// Harmony and the life of a peer: events, what is said and counted, silence. Rules 3 and 4.

import t from 'tap'
import { FrameReader } from '../../protocol/frames.ts'
import { decodeIdentity, decodeZre, type ZreCommand } from '../../protocol/zre.ts'
import { content, endpointOf, helloOf, isEvent, Machine, UP, uuidOf } from '../support/harmony.ts'
import { findVector, fromHex, loadVectors } from '../support/vectors.ts'

const PING = { type: 'ping' } as const
const PING_OK = { type: 'ping-ok' } as const
const GOODBYE = { type: 'goodbye' } as const
const ELECT = { type: 'elect', group: 'G', challenger: '0'.repeat(32) } as const

function whisper(...texts: string[]): ZreCommand {
  return { type: 'whisper', content: content(...texts) }
}

function shout(group: string, ...texts: string[]): ZreCommand {
  return { type: 'shout', group, content: content(...texts) }
}

/** The state of peer 1, as far as anything is known of it. */
function state(machine: Machine): string | undefined {
  return machine.diagnostics().peers[0]?.state
}

t.test('a peer is discovered, dialling, greeted, entered, gone (harmony.md 3.1)', async (t) => {
  const machine = new Machine()
  machine.harmony.handleDiscovered(
    { uuid: uuidOf(1), endpoint: 'tcp://10.0.0.1:1', source: 'manual' },
    0,
  )
  t.match(machine.diagnostics().peers, [{ state: 'discovered', source: 'manual', name: '' }])
  machine.settle()
  t.equal(state(machine), 'dialling')
  machine.up(1)
  t.equal(state(machine), 'greeted')
  t.same(machine.harmony.peers(), [], 'nobody is there before it enters')
  t.equal(machine.harmony.peer(uuidOf(1)), undefined)
  machine.greet(-1, 1)
  t.equal(state(machine), 'entered')
  t.match(machine.harmony.peer(uuidOf(1)), { name: 'p1', state: 'entered' })
  t.same([machine.harmony.peerCount(), machine.harmony.peerCount('CHAT')], [1, 0])
  machine.harmony.handleMessage(-1, { type: 'goodbye', sequence: 2 }, 0)
  t.match(machine.effects().filter(isEvent), [{ type: 'exit', peer: { state: 'gone' } }])
  t.equal(state(machine), undefined)
})

t.test('enter is told when both directions are open (harmony.md 3.2)', async (t) => {
  const ours = new Machine()
  t.same(ours.discover(1), ['dial 1 tcp://10.0.0.1:49152'])
  t.same(ours.up(1), ['send 1 hello 1'])
  t.same(ours.greet(-1, 1), ['enter p1', 'resume -1'])
  const theirs = new Machine()
  t.same(theirs.greet(-1, 1), ['hold -1', 'dial 1 tcp://10.0.0.1:49152'])
  t.same(theirs.up(1), ['send 1 hello 1', 'enter p1', 'resume -1'])
  t.equal(
    theirs.harmony.whisper(uuidOf(1), content('hi'), theirs.now),
    1,
    'and a whisper comes behind HELLO',
  )
  t.same(theirs.lines(), ['send 1 whisper 2'])
})

t.test('what a handler of enter asks for joins the same drain (harmony.md 3.2)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  machine.up(1)
  machine.harmony.handleLink(-1, { ...UP, uuid: uuidOf(1) }, 0)
  machine.harmony.handleMessage(-1, { ...helloOf(1), sequence: 1 }, 0)
  const seen: string[] = []
  for (let effect = machine.harmony.pollEffect(); effect; effect = machine.harmony.pollEffect()) {
    seen.push(effect.type)
    if (seen.at(-1) === 'enter') machine.harmony.whisper(uuidOf(1), content('hi'), machine.now)
  }
  t.same(seen, ['enter', 'write', 'resume', 'write'])
})

t.test('a join is told for each group of the HELLO (harmony.md 3.3)', async (t) => {
  const machine = new Machine()
  machine.discover(1)
  machine.up(1)
  t.same(machine.greet(-1, 1, { groups: ['A', 'B', 'A'] }), [
    'enter p1',
    'join p1 A',
    'join p1 B',
    'resume -1',
  ])
  t.same(machine.harmony.peers('A').length, 1)
  t.equal(machine.harmony.peerCount('A'), 1)
  t.match(machine.harmony.peer(uuidOf(1)), { groups: ['A', 'B'] }, 'a group listed twice is one')
})

t.test('what is seen of a peer does not change, and can be kept', async (t) => {
  const machine = new Machine()
  machine.enter(1, { groups: ['A'], headers: { K: 'v' } })
  const before = machine.harmony.peer(uuidOf(1))
  t.equal(machine.harmony.peer(uuidOf(1)), before, 'no copy is made for nothing')
  machine.say(-1, { type: 'join', group: 'B', status: 2 })
  t.same(before, {
    uuid: uuidOf(1),
    name: 'p1',
    endpoint: 'tcp://10.0.0.1:49152',
    headers: { K: 'v' },
    groups: ['A'],
    state: 'entered',
  })
  t.ok(Object.isFrozen(before) && Object.isFrozen(before?.groups))
  t.match(machine.harmony.peer(uuidOf(1)), { groups: ['A', 'B'] })
  t.match(machine.harmony.peers('B'), [{ name: 'p1' }])
  t.same(machine.harmony.peers('C'), [])
})

t.test('nothing is told of a peer after its exit (harmony.md 3.4)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.harmony.handleMessage(-1, { type: 'goodbye', sequence: 2 }, 0)
  machine.harmony.handleMessage(-1, { type: 'goodbye', sequence: 3 }, 0)
  machine.harmony.handleLink(1, { type: 'lost', reason: '' }, 0)
  machine.harmony.handleActivity(-1, 0)
  t.same(machine.settle(), ['exit p1 goodbye', 'close 1', 'close -1'])
})

t.test('a shout is told to those in its group (harmony.md 3.5)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  t.same(machine.say(-1, shout('CHAT', 'hi')), [])
  t.equal(machine.count('shout-after-leave'), 1)
  machine.harmony.join('CHAT', machine.now)
  t.same(machine.say(-1, shout('CHAT', 'hi', 'there')).slice(1), ['shout p1 CHAT hi there'])
  machine.harmony.leave('CHAT', machine.now)
  t.same(machine.say(-1, shout('CHAT', 'hi')).slice(1), [])
})

t.test('an inbox has nothing to say (harmony.md 3.6)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.at(500)
  t.same(machine.say(1, whisper('hi')), [])
  t.same(machine.say(1, GOODBYE), [])
  machine.harmony.handleActivity(1, 500)
  t.equal(machine.count('message-from-inbox'), 2)
  t.match(machine.diagnostics().peers, [{ heardMsAgo: 500 }])
})

t.test('every message has the next sequence, 0 after 65535 (harmony.md 4.1)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  const sent: number[] = []
  for (let count = 2; count <= 65_538; count++) {
    machine.harmony.whisper(uuidOf(1), [], machine.now)
    for (const effect of machine.effects()) if (effect.type === 'send') sent.push(effect.sequence)
  }
  t.same([sent[0], ...sent.slice(-4)], [2, 65_535, 0, 1, 2])
  const seen = machine.say(-1, { type: 'unknown', id: 99, sequence: 2 })
  t.same(seen, [])
  t.same(machine.say(-1, whisper('counted')), ['whisper p1 counted'])
})

t.test(
  'a sequence wraps both ways, but not for who knows ids 8 to 10 (harmony.md 4.2)',
  async (t) => {
    for (const [first, sequences, last] of [
      [PING_OK, [65_535, 0, 1], 'counts modulo 65536'],
      [PING_OK, [0, 1], 'counts modulo 65535'],
      [ELECT, [65_535, 0, 1], 'counts modulo 65536'],
      [ELECT, [0], undefined],
      [{ type: 'leader', group: 'G', leader: '0'.repeat(32) }, [0], undefined],
    ] as const) {
      const machine = new Machine()
      machine.enter(1)
      machine.say(-1, first)
      for (let sequence = 3; sequence <= 65_534; sequence++) machine.say(-1, PING_OK)
      const lines = sequences.flatMap((sequence) => machine.say(-1, PING_OK, sequence))
      if (last === undefined) t.same(lines, ['exit p1 sequence', 'close 1', 'close -1'])
      else t.same([...lines, ...machine.say(-1, whisper(last))], [`whisper p1 ${last}`])
    }
  },
)

t.test('who loses count is sent away and dialled again (harmony.md 4.2 and 6.2)', async (t) => {
  for (const sequence of [0, 1, 3, 65_535]) {
    const machine = new Machine()
    machine.enter(1)
    t.same(machine.say(-1, whisper('hi'), sequence), ['exit p1 sequence', 'close 1', 'close -1'])
    t.same(machine.at(50), ['dial 2 tcp://10.0.0.1:49152'])
    t.same(machine.up(2), ['send 2 hello 1'], 'our count begins anew')
    t.same(machine.greet(-2, 1), ['enter p1', 'resume -2'], 'and so does its own')
    t.same(machine.say(-2, whisper('hi')), ['whisper p1 hi'])
  }
})

t.test('a wrong status is counted and followed (harmony.md 4.3, W1)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  t.same(machine.say(-1, { type: 'join', group: 'GM', status: 77 }), ['join p1 GM'])
  t.equal(machine.count('wrong-status'), 1)
  t.same(machine.say(-1, { type: 'leave', group: 'GM', status: 78 }), ['leave p1 GM'])
  t.equal(machine.count('wrong-status'), 1, 'it counts on from there')
})

t.test('status modulo 256 is ours, modulo 255 that of zyre.js (harmony.md 4.3)', async (t) => {
  for (const [modulus, wrong] of [
    [256, 0],
    [255, 2],
  ] as const) {
    const machine = new Machine()
    machine.enter(1)
    for (let change = 1; change <= 512; change++) {
      const type = change % 2 === 1 ? 'join' : 'leave'
      machine.say(-1, { type, group: 'A', status: change % modulus })
    }
    t.equal(machine.count('wrong-status'), wrong)
    t.equal(state(machine), 'entered')
  }
  const machine = new Machine()
  machine.enter(1)
  const told: number[] = []
  for (let change = 1; change <= 257; change++) {
    if (change % 2 === 1) machine.harmony.join('A', machine.now)
    else machine.harmony.leave('A', machine.now)
    const [effect] = machine.effects()
    if (effect?.type === 'send' && 'status' in effect.command) told.push(effect.command.status)
  }
  t.same(told.slice(-3), [255, 0, 1])
})

t.test('zyre.js joins a group again and again (harmony.md 4.9)', async (t) => {
  const machine = new Machine()
  machine.enter(1, { groups: ['CHAT'] })
  t.same(machine.say(-1, { type: 'join', group: 'CHAT', status: 2 }), [])
  t.same(machine.say(-1, { type: 'leave', group: 'NEWS', status: 3 }), [])
  t.same(machine.say(-1, { type: 'leave', group: 'CHAT', status: 4 }), ['leave p1 CHAT'])
  t.same(machine.say(-1, { type: 'leave', group: 'CHAT', status: 5 }), [])
  t.equal(machine.count('wrong-status'), 0)
})

t.test('our joins go to all who have our HELLO (harmony.md 4.9)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.discover(2)
  machine.up(2)
  machine.discover(3)
  t.ok(machine.harmony.join('CHAT', machine.now))
  t.notOk(machine.harmony.join('CHAT', machine.now))
  t.same(machine.lines(), ['send 1 join CHAT 2', 'send 2 join CHAT 2'])
  t.same(machine.harmony.ownGroups(), ['CHAT'])
  t.equal(machine.harmony.ownGroupCount, 1)
  t.ok(machine.harmony.isIn('CHAT'))
  t.notOk(machine.harmony.isIn('NOBODY'))
  t.ok(machine.harmony.leave('CHAT', machine.now))
  t.notOk(machine.harmony.leave('CHAT', machine.now))
  t.same(machine.lines(), ['send 1 leave CHAT 3', 'send 2 leave CHAT 3'])
})

t.test('a shout goes to the peers of its group, a whisper to one', async (t) => {
  const machine = new Machine()
  machine.enter(1, { groups: ['CHAT'] })
  machine.enter(2, { groups: ['CHAT', 'NEWS'] })
  t.equal(machine.harmony.shout('CHAT', content('hi'), machine.now), 2)
  t.equal(machine.harmony.shout('NEWS', content('hi'), machine.now), 1)
  t.equal(machine.harmony.shout('NONE', content('hi'), machine.now), 0)
  t.equal(machine.harmony.whisper(uuidOf(2), content('hi'), machine.now), 1)
  t.equal(machine.harmony.whisper(uuidOf(3), content('hi'), machine.now), 0)
  t.same(machine.lines(), [
    'send 1 shout CHAT 2',
    'send 2 shout CHAT 2',
    'send 2 shout NEWS 3',
    'send 2 whisper 4',
  ])
})

t.test('octets over TCP are life, a beacon for half the time (harmony.md 4.4)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  const told: string[] = []
  for (let now = 500; now <= 46_500; now += 1_000) {
    for (const text of machine.at(now)) {
      if (!text.startsWith('send') && machine.now > 0) told.push(`${text} before ${now}`)
    }
    machine.discover(1)
  }
  t.same(told.slice(0, 3), [
    'evasive p1 before 20500',
    'silent p1 before 21500',
    'exit p1 expired before 45500',
  ])
  machine.harmony.stop()
  const busy = new Machine()
  busy.enter(1)
  for (let now = 500; now <= 60_500; now += 1_000) {
    t.same(busy.at(now), [])
    busy.harmony.handleActivity(-1, now)
  }
})

t.test('a quiet peer is pinged, evasive, silent, expired (harmony.md 4.5 and 4.6)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  const quietCounts: number[] = []
  const told = Object.fromEntries(
    Array.from({ length: 31 }, (_, second) => {
      const lines = machine.at(second * 1_000)
      quietCounts.push(machine.harmony.quietCount())
      return [second, lines] as const
    }).filter(([, lines]) => lines.length > 0),
  )
  t.match(told, {
    3: ['send 1 ping 2'],
    4: ['send 1 ping 3'],
    5: ['send 1 ping 4', 'evasive p1'],
    6: ['send 1 ping 5', 'silent p1'],
    7: ['send 1 ping 6'],
    29: ['send 1 ping 28'],
    30: ['exit p1 expired', 'close 1', 'close -1'],
  })
  t.same(quietCounts, [...Array(5).fill(0), ...Array(25).fill(1), 0])
  t.same(machine.diagnostics().peers, [])
})

t.test('a sign of life ends the silence, without an event (harmony.md 4.5)', async (t) => {
  for (const sign of ['octets', 'message', 'beacon']) {
    for (const [now, before] of [
      [5_000, 'evasive'],
      [7_000, 'silent'],
    ] as const) {
      const machine = new Machine()
      machine.enter(1)
      machine.at(now)
      t.equal(state(machine), before)
      if (sign === 'octets') machine.harmony.handleActivity(-1, now)
      else if (sign === 'message') t.same(machine.say(-1, PING_OK), [])
      else t.same(machine.discover(1), [])
      t.equal(state(machine), 'entered', sign)
    }
  }
  const late = new Machine()
  late.enter(1)
  late.at(21_000)
  late.discover(1)
  t.equal(state(late), 'silent', 'a beacon counts for so long only')
})

t.test('what gossip repeats is no sign of life, and hurries no dial (gossip.md 5.2)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.at(5_000)
  t.same(machine.discover(1, endpointOf(1), 'gossip'), [])
  t.equal(state(machine), 'evasive')
  t.equal(machine.harmony.quietMs(uuidOf(1), 5_000), 5_000)
  t.equal(machine.harmony.quietMs(uuidOf(2), 5_000), Number.POSITIVE_INFINITY)
  const lost = new Machine()
  lost.discover(1, endpointOf(1), 'gossip')
  const dials: number[] = []
  for (let connection = 1; connection <= 6; connection++) {
    lost.lost(connection)
    while (lost.diagnostics().dials === 0) {
      lost.at(lost.now + 100)
      lost.discover(1, endpointOf(1), 'gossip')
    }
    dials.push(lost.now)
  }
  const waits = dials.map((at, index) => at - (dials[index - 1] ?? 0))
  t.ok((waits.at(-1) ?? 0) >= 1_000, `they come after ${waits} ms`)
})

t.test('sweeps are as frequent as the evasive timeout asks (harmony.md 4.6)', async (t) => {
  const timeouts = { evasiveTimeoutMs: 100, silentTimeoutMs: 101, expiredTimeoutMs: 170 }
  const machine = new Machine(timeouts)
  machine.enter(1)
  t.equal(machine.harmony.pollTimeout(), 40)
  t.same(machine.at(80), ['send 1 ping 2'], 'asked before it is evasive')
  t.same(machine.at(120), ['send 1 ping 3', 'evasive p1', 'silent p1'])
  t.same(machine.at(200).slice(1), ['exit p1 expired', 'close 1', 'close -1'])
})

t.test('a timeout that comes early is no timeout', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  for (let now = 0; now < 1_000; now += 100) machine.harmony.handleTimeout(now)
  t.same(machine.lines(), [])
  t.equal(machine.harmony.pollTimeout(), 1_000)
})

t.test('who slept does not blame the others (harmony.md 4.7)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.greet(-2, 1)
  machine.discover(3)
  machine.up(-4, uuidOf(4))
  machine.at(900)
  machine.lines()
  machine.harmony.handleTimeout(100_000)
  machine.now = 100_000
  t.same(machine.lines(), [], 'neither the quiet, nor the asked, nor the awaited')
  t.equal(state(machine), 'entered')
  t.match(machine.diagnostics(), { arrivals: 2, dials: 1 })
  t.same(machine.at(101_499).slice(-1), [])
  t.same(machine.at(101_500), ['exit p1 restart', 'close 1', 'close -1', 'hold -2'])
  t.ok(machine.at(104_000).includes('close -4'), 'its time goes on from there')
})

t.test('nor does a dial end for the time that we slept (harmony.md 4.7)', async (t) => {
  const machine = new Machine({ limits: { dialsMax: 1 } })
  machine.discover(1)
  machine.discover(2)
  machine.harmony.handleTimeout(6_000)
  t.same(machine.lines(), [])
  machine.now = 6_000
  t.same(machine.at(9_999), [])
  t.same(machine.at(10_000), ['close 1', 'dial 2 tcp://10.0.0.2:49152'])
})

t.test('a sweep that is a little late counts all the time', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  machine.at(3_000)
  machine.harmony.handleTimeout(5_000)
  t.same(machine.lines(), ['send 1 ping 3', 'evasive p1'])
})

t.test('a PING is answered, ids 8 and 9 and unknown ones are not (harmony.md 4.8)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  t.same(machine.say(-1, PING), ['send 1 ping-ok 2'])
  t.same(machine.say(-1, ELECT), [])
  t.same(machine.say(-1, { type: 'leader', group: 'G', leader: '' }), [])
  t.same(machine.say(-1, { type: 'unknown', id: 11, sequence: 5 }), [])
  t.match(machine.diagnostics().counters, {
    'ignored-elect': 1,
    'ignored-leader': 1,
    'ignored-unknown': 1,
  })
})

t.test('what was written is asked after within 100 ms (harmony.md 5.8)', async (t) => {
  const machine = new Machine()
  machine.enter(1)
  t.match(machine.diagnostics().peers, [{ roundTripMs: null, unconfirmed: 0 }])
  const asked = () => machine.effects().filter(({ type }) => type === 'measure').length
  const wait = (ms: number) => {
    machine.now += ms
    machine.harmony.handleTimeout(machine.now)
    return asked()
  }
  t.equal(wait(99), 0)
  t.equal(wait(1), 1, 'its HELLO')
  t.equal(machine.whisper(1, 'a'), 1)
  t.equal(machine.whisper(1, 'b'), 1)
  t.equal(asked(), 0)
  t.equal(wait(100), 0, 'one question at a time')
  machine.link(1, { type: 'measured', roundTripMs: 0.4 })
  t.match(machine.diagnostics().peers, [{ roundTripMs: 0.4, unconfirmed: 2 }])
  t.equal(wait(100), 1, 'the next one is about the rest')
  machine.pong(1)
  t.match(machine.diagnostics(), { peers: [{ unconfirmed: 0 }], messages: { confirmed: 2 } })
  t.equal(wait(2_000), 0, 'and then there is nothing to ask')
})

t.test('the captured life of a C Zyre node is lived again (harmony.md 4.1 and 4.8)', async (t) => {
  const { hex } = findVector(loadVectors('zre'), 'stream-bob-to-alice')
  const identity = fromHex(hex.slice(hex.indexOf('01a80a'), hex.indexOf('01a80a') + 34))
  const reader = new FrameReader()
  reader.add(fromHex(hex.slice(hex.indexOf('0028aaa101'))))
  const machine = new Machine()
  const lines = machine.up(-1, decodeIdentity(identity), { address: '10.78.0.2' })
  while (reader.next(1_000)) {
    const message = decodeZre([reader.body()])
    lines.push(...machine.say(-1, message, message.sequence))
    if (message.type === 'hello') lines.push(...machine.up(1))
  }
  t.same(lines, [
    'hold -1',
    'dial 1 tcp://10.78.0.2:6001',
    'send 1 hello 1',
    'enter bob',
    'resume -1',
    'join bob VOTE',
    'leave bob VOTE',
    'exit bob goodbye',
    'close 1',
    'close -1',
  ])
  t.same(machine.diagnostics().counters, { 'ignored-elect': 2, 'ignored-leader': 1 })
})

t.test('frames behind a JOIN are never another message (W3)', async (t) => {
  const { hex } = findVector(loadVectors('zre'), 'join-with-extra-frames')
  const reader = new FrameReader()
  reader.add(fromHex(hex))
  const frames: Uint8Array[] = []
  while (reader.next(1_000)) frames.push(reader.body())
  t.throws(() => decodeZre(frames), { name: 'WireError' })
  const machine = new Machine()
  machine.enter(1)
  t.same(machine.link(-1, { type: 'refused', reason: 'zre.md 2.4' }), [
    'exit p1 refused',
    'close 1',
  ])
})

t.test('who has nothing to do is idle, until something has happened', async (t) => {
  const machine = new Machine()
  t.ok(machine.harmony.idle)
  machine.harmony.handleDiscovered(
    { uuid: uuidOf(1), endpoint: 'tcp://10.0.0.1:49152', source: 'beacon' },
    0,
  )
  t.notOk(machine.harmony.idle, 'there is a trace')
  while (machine.harmony.pollEffect());
  t.ok(machine.harmony.idle)
})
