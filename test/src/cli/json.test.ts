/** Events and contents as lines of JSON. */

import t from 'tap'
import { contentFromJson, eventToJson, formatLine } from '../../../src/cli/json.ts'
import { type LyreEvent, type OverrunEvent, type Peer, UsageError } from '../../../src/index.ts'

const uuid = '0123456789abcdef0123456789abcdef'
const endpoint = 'tcp://192.0.2.1:49152'
const headers = { kind: 'test' }
const peer: Peer = { uuid, name: 'ada', endpoint, headers, groups: ['CHAT'], state: 'entered' }
const octets = (...bytes: number[]) => Uint8Array.from(bytes)

t.test('each event has its fields, and no others', async (t) => {
  const group = 'CHAT'
  for (const [event, json] of [
    [
      { type: 'enter', peer },
      { event: 'enter', time: 7, uuid, name: 'ada', endpoint, headers },
    ],
    [
      { type: 'exit', peer, cause: 'link', lost: 2 },
      { event: 'exit', time: 7, uuid, name: 'ada', cause: 'link', lost: 2 },
    ],
    [
      { type: 'join', peer, group },
      { event: 'join', time: 7, uuid, name: 'ada', group },
    ],
    [
      { type: 'leave', peer, group },
      { event: 'leave', time: 7, uuid, name: 'ada', group },
    ],
    [
      { type: 'shout', peer, group, content: [octets(104, 105), octets(255)] },
      { event: 'shout', time: 7, uuid, name: 'ada', group, content: ['hi', { base64: '/w==' }] },
    ],
    [
      { type: 'whisper', peer, content: [octets()] },
      { event: 'whisper', time: 7, uuid, name: 'ada', content: [''] },
    ],
    [
      { type: 'evasive', peer },
      { event: 'evasive', time: 7, uuid, name: 'ada' },
    ],
    [
      { type: 'silent', peer },
      { event: 'silent', time: 7, uuid, name: 'ada' },
    ],
    [
      { type: 'warning', code: 'nobody-heard', text: 'nobody', causes: [] },
      { event: 'warning', time: 7, code: 'nobody-heard', text: 'nobody', causes: [] },
    ],
    [
      { type: 'overrun', count: 3 },
      { event: 'overrun', time: 7, count: 3 },
    ],
    [{ type: 'stop' }, { event: 'stop', time: 7 }],
  ] satisfies [LyreEvent | OverrunEvent, object][]) {
    t.strictSame(eventToJson(event, 7), json, event.type)
  }
})

t.test('a line is one line, and safe to show', async (t) => {
  const line = { event: 'x', text: 'a\nb\u0007\u001b\u007f\u009b\u2028\u2029é' }
  const text = formatLine(line)
  t.equal(text, '{"event":"x","text":"a\\nb\\u0007\\u001b\\u007f\\u009b\\u2028\\u2029é"}\n')
  t.strictSame(JSON.parse(text), line)
})

t.test('content is a text, an array, or octets', async (t) => {
  t.strictSame(contentFromJson('hi'), ['hi'])
  t.strictSame(contentFromJson([]), [])
  t.same(contentFromJson(['hi', { base64: '/w==' }]), ['hi', Buffer.of(255)])
  t.same(contentFromJson({ base64: '/w' }), [Buffer.of(255)], 'padding may be left out')
  t.same(contentFromJson({ base64: '' }), [Buffer.alloc(0)])
  for (const wrong of [7, null, undefined, true, {}, [null], { base64: 7 }, { base64: 'a b' }]) {
    t.throws(() => contentFromJson(wrong), UsageError, JSON.stringify(wrong) ?? 'nothing')
  }
})
