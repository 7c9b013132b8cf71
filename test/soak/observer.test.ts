/** What the soak holds nodes to: first it is shown what it must not let pass. */

import t from 'tap'
import { utf8 } from '../../protocol/bytes.ts'
import type { ExitCause, LyreEvent, Peer } from '../../src/index.ts'
import { judge, type Phase } from './churn.ts'
import { grown } from './cycles.ts'
import { EVERYBODY, Observer } from './observer.ts'

const UUID = 'b'.repeat(32)
const BOB: Peer = {
  uuid: UUID,
  name: 'bob',
  endpoint: 'tcp://127.0.0.1:1',
  headers: {},
  groups: [],
  state: 'entered',
}
const ENTER: LyreEvent = { type: 'enter', peer: BOB }
const JOIN: LyreEvent = { type: 'join', peer: BOB, group: 'BASS' }
const LINK = exit('link')

function exit(cause: string): LyreEvent {
  return { type: 'exit', peer: BOB, cause: cause as ExitCause, lost: 0 }
}

function contentOf(head: object, filler = new Uint8Array(0)): Uint8Array[] {
  return [utf8(JSON.stringify({ size: 0, roll: 0, ...head })), filler]
}

function whisper(
  number: number,
  contact: number,
  lost: number | null = 0,
  first = number,
): LyreEvent {
  return { type: 'whisper', peer: BOB, content: contentOf({ number, contact, first, lost }) }
}

function shout(number: number, group = EVERYBODY): LyreEvent {
  const content = contentOf({ number, contact: 0, lost: null })
  return { type: 'shout', peer: BOB, group, content }
}

/** What it complains of when a node tells this. */
function faultsOf(...events: readonly LyreEvent[]): string[] {
  const faults: string[] = []
  const nobody = { shout: () => 0, whisper: () => 0 }
  const observer = new Observer(nobody, (text) => faults.push(text))
  for (const event of events) observer.see(event)
  return faults
}

t.test('a life without a fault is let pass', async (t) => {
  const first = [ENTER, JOIN, whisper(1, 1), shout(4), shout(5), whisper(2, 1)]
  const quiet: LyreEvent[] = [
    { type: 'evasive', peer: BOB },
    { type: 'silent', peer: BOB },
  ]
  const second = [ENTER, whisper(4, 2, 1), shout(9), JOIN, { ...JOIN, type: 'leave' } as LyreEvent]
  t.same(faultsOf(...first, ...quiet, LINK, ...second, exit('stop'), { type: 'stop' }), [])
  // Its contact with us ended and began anew, ours with it did not.
  t.same(faultsOf(ENTER, whisper(1, 1), shout(1), whisper(2, 2), shout(7)), [])
  // What waited for us in its first contact follows in its second, though something before it is lost.
  t.same(faultsOf(ENTER, whisper(1, 1), LINK, ENTER, whisper(4, 1), whisper(5, 2, 2)), [])
  t.same(faultsOf(ENTER, whisper(1, 1), LINK, ENTER, whisper(9, 2, null)), [])
  // The first that we hear at all was kept, and what was sent before it is lost.
  t.same(faultsOf(ENTER, whisper(2, 1, 0, 1), whisper(3, 2, 1)), [])
  // We left a group, and are in it again.
  t.same(faultsOf(ENTER, shout(1, 'BASS'), shout(7, 'BASS')), [])
})

t.test('events that no contact has are found', async (t) => {
  const evasive: LyreEvent = { type: 'evasive', peer: BOB }
  t.match(faultsOf(JOIN), [/join of bob, which is not here/])
  t.match(faultsOf(ENTER, LINK, LINK), [/exit of bob, which is not here/])
  t.match(faultsOf(ENTER, LINK, evasive), [/evasive of bob, which is not here/])
  t.match(faultsOf(ENTER, ENTER), [/enter of bob, which is here/])
  t.match(faultsOf(ENTER, JOIN, JOIN), [/second join of bob/])
  t.match(faultsOf(ENTER, { ...JOIN, type: 'leave' } as LyreEvent), [/second leave of bob/])
  t.match(faultsOf(ENTER, { type: 'stop' }), [/1 had no exit/])
  t.match(faultsOf(ENTER, { ...LINK, peer: { ...BOB, name: 'eve' } } as LyreEvent), [/became eve/])
  for (const cause of ['sequence', 'refused', 'limit']) {
    t.match(faultsOf(ENTER, exit(cause)), [/exit of bob, cause/], cause)
  }
})

t.test('contents that are lost, doubled, swapped or damaged are found', async (t) => {
  t.match(faultsOf(ENTER, whisper(2, 1)), [/1 are missing, and exits told of 0/])
  t.match(faultsOf(ENTER, whisper(1, 1), LINK, ENTER, whisper(4, 2, 1)), [/2 are missing/])
  t.match(faultsOf(ENTER, whisper(2, 1, 0, 1), whisper(3, 2)), [/1 are missing/])
  t.match(faultsOf(ENTER, whisper(1, 2), whisper(2, 1)), [/after contact 2/])
  t.match(faultsOf(ENTER, whisper(1, 1), whisper(3, 1)), [/a gap/])
  t.match(faultsOf(ENTER, shout(1), shout(3)), [/a gap/])
  t.match(faultsOf(ENTER, shout(1), shout(1)), [/twice, or out of order/, /a gap/])
  t.match(faultsOf(ENTER, shout(2, 'BASS'), shout(1, 'BASS')), [/twice, or out of order/])
  const again = [ENTER, whisper(1, 1), LINK, ENTER, whisper(1, 1)]
  t.match(faultsOf(...again), [/twice, or out of order/])
  const damaged = contentOf({ number: 1, contact: 1, lost: 0, size: 2 }, Uint8Array.of(1, 2))
  t.match(faultsOf(ENTER, { type: 'whisper', peer: BOB, content: damaged }), [/damaged whisper/])
})

t.test('memory that grows, and a run that has shown nothing, are found', async (t) => {
  const phase = (heapUsed: number, counts: Record<string, number>): Phase => {
    const use = { heapUsed, rss: 2 ** 28, arrayBuffers: 0, descriptors: 100 }
    return { trouble: '', calmMs: 0, counts, use }
  }
  const seen = ['goodbye', 'link', 'expired'].map((cause) => `exit ${cause}`)
  const types = ['enter', 'join', 'leave', 'whisper', 'shout', 'evasive', 'silent', ...seen]
  const all = Object.fromEntries(types.map((type) => [type, 1]))
  const flat = [50, 52, 49, 53].map((mib) => phase(mib * 2 ** 20, all))
  t.same(judge(flat), [])
  const growing = [50, 60, 90, 110].map((mib) => phase(mib * 2 ** 20, all))
  t.match(judge([...growing, phase(2 ** 27, all)]), [/heapUsed grows/])
  t.match(judge([phase(0, {}), phase(0, {})]), [/no enter was seen/])
})

t.test('a node that keeps something of each guest is found', async (t) => {
  const sample = { cycle: 1, heapUsed: 2 ** 23, arrayBuffers: 0, descriptors: 24 }
  const counts = { enter: 10, join: 10, whisper: 10, shout: 10, exit: 10 }
  const outcome = { samples: [sample, sample, sample], counts, peersLeft: 0, connectionsLeft: 0 }
  t.same(grown(outcome, 10), [])
  const late = { ...sample, heapUsed: 2 ** 24, descriptors: 40 }
  const leaky = { ...outcome, samples: [sample, sample, late], peersLeft: 1, connectionsLeft: 2 }
  t.match(grown(leaky, 10), [/heapUsed grew/, /descriptors/, /peers are left/, /connections/])
  t.match(grown(outcome, 11), [/10 times enter, not 11/])
})
