/** Nodes that start again under another uuid, and say so. Rule 9. */

import t from 'tap'
import type { Headers } from '../../protocol/zre.ts'
import { ID_HEADER, INCARNATION_HEADER } from '../../protocol/zre.ts'
import { endpointOf, Machine, uuidOf } from '../support/harmony.ts'

const ID = 'c0ffee'.padEnd(32, '0')

function headersOf(incarnation: number | string, id = ID): Headers {
  return { [ID_HEADER]: id, [INCARNATION_HEADER]: String(incarnation) }
}

/** Peer 1 is there, which was started so often. */
function met(headers = headersOf(3)): Machine {
  const machine = new Machine()
  machine.discover(1)
  machine.up(1, uuidOf(1))
  machine.greet(-1, 1, { headers })
  machine.at(2_500)
  return machine
}

/** Peer 2 greets us, and is reached. */
function greet(machine: Machine, headers: Headers): string[] {
  machine.discover(2)
  machine.at(machine.now + 10)
  const lines = machine.up(2, uuidOf(2))
  return [...lines, ...machine.greet(-2, 2, { headers })]
}

t.test('who does not answer was the same node before, and leaves (harmony.md 9.2)', async (t) => {
  const machine = met()
  t.equal(machine.whisper(1, 'one'), 1)
  machine.stalled.add(1)
  machine.lines()
  t.equal(machine.whisper(1, 'two'), 1)
  t.same(greet(machine, headersOf(4)), ['send 2 hello 1', 'enter p2', 'resume -2'])
  t.equal(machine.count('superseded'), 1)
  const [exit, ...rest] = machine.at(machine.now + 1_500)
  t.same([exit, ...rest], ['exit p1 restart lost 2', 'close 1', 'close -1'])
  t.match(machine.diagnostics().peers, [{ uuid: uuidOf(2) }], 'it is not dialled any more')
  t.same(machine.diagnostics().messages.waiting, 0, 'and nothing of it goes to the newcomer')
})

t.test('who answers stays, whatever others say (harmony.md 9.2)', async (t) => {
  const machine = met()
  t.same(greet(machine, headersOf(4)), ['send 2 hello 1', 'send 1 ping 2', 'enter p2', 'resume -2'])
  machine.say(-1, { type: 'ping-ok' })
  t.same(
    machine.at(machine.now + 4_000).filter((line) => line.startsWith('exit')),
    [],
  )
  t.equal(machine.diagnostics().peers.length, 2)
  machine.lost(-1)
  const lines = [...machine.lost(1), ...machine.at(machine.now + 10_000)]
  t.ok(lines.includes('exit p1 link'), 'what it is told later has causes of its own')
})

t.test('who is lost already leaves before the other enters (harmony.md 9.2)', async (t) => {
  const machine = met()
  t.same(machine.lost(-1), [], 'it may come back')
  t.same(greet(machine, headersOf(4)), [
    'send 2 hello 1',
    'exit p1 restart',
    'close 1',
    'enter p2',
    'resume -2',
  ])
})

t.test('who is silent leaves at once (harmony.md 9.2)', async (t) => {
  const machine = met()
  const lines = machine.at(9_500)
  t.ok(lines.includes('silent p1'))
  t.match(greet(machine, headersOf(4)).slice(1, 2), ['exit p1 restart'])
})

t.test('others are left alone (harmony.md 9.1)', async (t) => {
  for (const [former, later] of [
    [headersOf(3), headersOf(3)],
    [headersOf(3), headersOf(2)],
    [headersOf(3), headersOf(4, uuidOf(9))],
    [headersOf(3), headersOf('many')],
    [headersOf(3), headersOf(`1${'0'.repeat(15)}`)],
    [headersOf(3), { [INCARNATION_HEADER]: '4' }],
    [{}, headersOf(4)],
    [headersOf(0), { [ID_HEADER]: ID }],
  ] as const) {
    const machine = met(former)
    machine.lost(-1)
    t.notMatch(greet(machine, later).join(), 'exit', JSON.stringify(later))
    t.equal(machine.count('superseded'), 0)
  }
  const machine = met({ [ID_HEADER]: ID })
  machine.lost(-1)
  t.match(greet(machine, headersOf(1)).join(), 'exit p1 restart', 'no count is a count of 0')
})

t.test(
  'the same uuid, started later, takes the place of one that is lost (harmony.md 9.3)',
  async (t) => {
    const elsewhere = 'tcp://10.0.9.1:1'
    for (const [incarnation, isLater] of [
      [4, true],
      [3, false],
    ] as const) {
      const machine = met()
      t.same(machine.lost(1), [], 'it may come back')
      const hello = { endpoint: elsewhere, headers: headersOf(incarnation) }
      const lines = machine.greet(-2, 1, hello)
      t.equal(lines.includes('exit p1 restart'), isLater)
      if (!isLater) continue
      t.match(machine.diagnostics().peers, [{ uuid: uuidOf(1), endpoint: elsewhere }])
      t.match(machine.at(machine.now + 200), [/^dial . tcp:..10.0.9.1:1$/])
    }
  },
)

t.test('one that has not entered is not asked (harmony.md 9.2)', async (t) => {
  const machine = new Machine()
  machine.greet(-1, 1, { headers: headersOf(3), endpoint: endpointOf(1) })
  t.notMatch(greet(machine, headersOf(4)).join(), 'exit')
  t.equal(machine.count('superseded'), 0)
})

t.test('what our HELLO tells can change from start to start (harmony.md 9.1)', async (t) => {
  const machine = new Machine()
  machine.harmony.stop()
  machine.harmony.start(endpointOf(0), [], headersOf(5))
  machine.discover(1)
  machine.harmony.handleLink(
    1,
    { type: 'up', uuid: uuidOf(1), address: '', answers: true, sequence: undefined },
    machine.now,
  )
  const told = machine.effects().find((deed) => deed.type === 'send')
  t.same(
    told?.type === 'send' && told.command.type === 'hello' && told.command.headers,
    headersOf(5),
  )
})
