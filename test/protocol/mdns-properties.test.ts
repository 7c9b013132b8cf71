import fc from 'fast-check'
import t from 'tap'
import { MDNS_PORT, MDNS_SERVICE, type MdnsPacket, type MdnsRecord } from '../../protocol/mdns.ts'
import type { MdnsSource } from '../../protocol/mdns-table.ts'
import { holds } from '../support/holds.ts'
import { nodeOf, recordsFrom, Tested } from '../support/mdns.ts'

// Anything in any order, from others who follow no rule.

const names = fc.oneof(
  fc.integer({ min: 1, max: 4 }).map((index) => recordsFrom(nodeOf(index)).srv.name),
  fc.constantFrom(MDNS_SERVICE, 'a.b._zre._tcp.local', `${nodeOf(1).uuid}.local`, '', '.'),
  fc.string({ maxLength: 70 }).map((label) => `${label}.${MDNS_SERVICE}`),
)
const about = {
  name: names,
  ttl: fc.constantFrom(0, 1, 120, 4_500, 2 ** 32 - 1),
  flush: fc.boolean(),
}
const texts = fc.oneof(
  fc.integer({ min: 1, max: 4 }).map((index) => {
    const { txt } = recordsFrom(nodeOf(index))
    return txt.type === 'TXT' ? txt.texts : []
  }),
  fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 3 }),
)
const records: fc.Arbitrary<MdnsRecord> = fc.oneof(
  fc.record({ ...about, type: fc.constant('PTR' as const), target: names }),
  fc.record({ ...about, type: fc.constant('SRV' as const), target: names, port: fc.nat(65_536) }),
  fc.record({ ...about, type: fc.constant('TXT' as const), texts }),
  fc.record({
    ...about,
    type: fc.constant('A' as const),
    address: fc.constantFrom('10.1.0.2', 'x'),
  }),
)
const packets: fc.Arbitrary<MdnsPacket> = fc.record({
  type: fc.constantFrom('query', 'response'),
  id: fc.nat(65_535),
  questions: fc.array(
    fc.record({ name: names, type: fc.constantFrom('PTR', 'SRV', 'TXT', 'A', 'ANY', 'NSEC') }),
    { maxLength: 4 },
  ),
  answers: fc.array(records, { maxLength: 6 }),
  additionals: fc.array(records, { maxLength: 6 }),
})
const sources = fc.record({
  address: fc.constantFrom('10.1.0.1', '10.1.0.2', '10.1.0.3'),
  port: fc.constantFrom(MDNS_PORT, 40_000),
})
type Input =
  | { readonly type: 'packet'; readonly packet: MdnsPacket; readonly source: MdnsSource }
  | { readonly type: 'wait'; readonly waitMs: number }
  | { readonly type: 'exit'; readonly index: number }
  | { readonly type: 'start' | 'stop' }
const inputs: fc.Arbitrary<Input[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('packet' as const),
        packet: packets,
        source: sources,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant('wait' as const),
        waitMs: fc.constantFrom(0, 50, 999, 30_000, 4_000_000),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('exit' as const),
        index: fc.integer({ min: 1, max: 4 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constantFrom('start' as const, 'stop' as const) }),
    },
  ),
  { maxLength: 40 },
)

function play(list: readonly Input[]): Tested {
  const tested = new Tested().start()
  for (const input of list) {
    if (input.type === 'packet') tested.hear(input.packet, input.source)
    else if (input.type === 'wait') tested.until(tested.now + input.waitMs)
    else if (input.type === 'exit') tested.table.handleExit(nodeOf(input.index).uuid, tested.now)
    else if (input.type === 'stop') tested.table.stop()
    else tested.start()
    tested.drain()
  }
  return tested
}

t.test('a table keeps its promises', async (t) => {
  holds(t, 'a replay gives the same effects', inputs, (list) => {
    const [one, other] = [play(list), play(list)].map(({ sent, told }) =>
      JSON.stringify([sent, told]),
    )
    return one === other
  })
  holds(t, 'limits hold after any sequence of inputs', inputs, (list) => {
    const tested = play(list)
    const at = tested.table.pollTimeout()
    const isTooMuch = tested.sent.some(({ packet }) => {
      const { questions, answers, additionals } = packet
      return questions.length > 17 || answers.length > 16 || additionals.length > 3
    })
    const isTold = tested.told.every((told) =>
      /^(goodbye [0-9a-f]{2}|[0-9a-f]{2} at [0-9.]+:[1-9][0-9]*)$/.test(told),
    )
    return !isTooMuch && isTold && at > tested.now - 1
  })
})
