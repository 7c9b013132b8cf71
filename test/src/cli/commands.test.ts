/** What can be typed: commands, whom a whisper is for, completion. */

import t from 'tap'
import { completeLine, findAddressees, parseCommand } from '../../../src/cli/commands.ts'
import type { Peer } from '../../../src/index.ts'

const peer = (digit: string, name: string): Peer => ({
  uuid: digit.repeat(32),
  name,
  endpoint: 'tcp://127.0.0.1:1',
  headers: {},
  groups: [],
  state: 'entered',
})
const bob = peer('a', 'bob')
const two = peer('b', 'bob two')
const twins = [peer('c', 'eve'), peer('d', 'eve')]
const addressees = [
  { peer: bob, handle: 'bob' },
  { peer: two, handle: 'bob two' },
  ...twins.map((each) => ({ peer: each, handle: `eve#${each.uuid.slice(0, 6)}` })),
]

t.test('a command can be cut short where that is clear', async (t) => {
  t.same(parseCommand('/w bob  hi\nthere '), {
    verb: 'w',
    names: ['whisper'],
    rest: 'bob  hi\nthere',
  })
  t.same(parseCommand('/r thanks').names, ['reply'])
  t.same(parseCommand('/ne').names, ['next'])
  t.same(parseCommand('/h').names, ['history', 'help'])
  t.same(parseCommand('/dance').names, [])
  t.same(parseCommand('/').names, [])
})

t.test('a whisper is for the longest name that fits', async (t) => {
  t.same(findAddressees('bob hi', addressees), { peers: [bob], text: 'hi' })
  t.same(findAddressees('bob two hi', addressees), { peers: [two], text: 'hi' })
  t.same(findAddressees('bob', addressees), { peers: [bob], text: '' })
  t.same(findAddressees('bobby hi', addressees).peers, [])
  t.same(findAddressees('eve hi', addressees).peers, twins)
  t.same(findAddressees('eve#dddddd hi', addressees), { peers: [twins[1]], text: 'hi' })
  t.same(findAddressees(`${'c'.repeat(32)} hi`, addressees), { peers: [twins[0]], text: 'hi' })
})

t.test('Tab knows commands, names, uuids and groups', async (t) => {
  const words = { addressees, ownGroups: ['CHAT', 'OPS'], groups: ['CHAT', 'KITCHEN'] }
  const complete = (before: string) => completeLine(before, words)
  t.same(complete('/wh'), { start: 0, candidates: ['/whisper'], suffix: ' ' })
  t.same(complete('/w B').candidates, ['bob', 'bob two'])
  t.same(complete('/whisper bob t'), { start: 9, candidates: ['bob two'], suffix: ' ' })
  t.same(complete('/w ev').candidates, ['eve#cccccc', 'eve#dddddd'])
  t.same(complete('/w ccc').candidates, ['c'.repeat(32)])
  t.same(complete('/w bob tell EV').candidates, ['eve#cccccc', 'eve#dddddd'])
  t.same(complete('/j '), { start: 3, candidates: ['CHAT', 'KITCHEN', 'OPS'], suffix: '' })
  t.same(complete('/leave O').candidates, ['OPS'])
  t.same(complete('eve#d'), { start: 0, candidates: ['eve#dddddd'], suffix: ': ' })
  t.same(complete('hello eve#d'), { start: 6, candidates: ['eve#dddddd'], suffix: ' ' })
  t.same(complete('hello ').candidates, [])
})
