import t from 'tap'
import { utf8 } from '../../protocol/bytes.ts'
import {
  isSame,
  MDNS_PORT,
  MDNS_SERVICE,
  type MdnsPacket,
  type MdnsRecord,
} from '../../protocol/mdns.ts'
import { NOTHING, nodeOf, recordsFrom, settled, Tested } from '../support/mdns.ts'
import { findVector, loadVectors } from '../support/vectors.ts'

const HOUR = 3_600_000

t.test(
  'a node announces all of itself, three times, each later than the last (mdns.md 4.1)',
  async (t) => {
    const tested = new Tested()
    tested.table.handleTimeout(0)
    t.equal(tested.table.pollTimeout(), Number.POSITIVE_INFINITY, 'not before it starts')
    const said = tested
      .start()
      .until(HOUR)
      .take()
      .filter(({ packet }) => packet.type === 'response')
    t.same(
      said.map(({ at }) => at),
      [0, 1_000, 3_000],
    )
    for (const { packet, to } of said) {
      t.same(packet, {
        ...NOTHING,
        type: 'response',
        answers: Object.values(recordsFrom(nodeOf(1))),
      })
      t.equal(to, undefined, 'to everybody')
    }
    t.match(tested.table.diagnostics(HOUR), {
      instance: 'n1 (01010101)',
      sent: { announcements: 3, answers: 0 },
      instances: [],
    })
  },
)

t.test('it asks for others, less and less often (mdns.md 5.1)', async (t) => {
  const asked = new Tested()
    .start()
    .until(4 * HOUR)
    .questions()
  const first = asked[0]?.at as number
  t.ok(first >= 20 && first <= 120, `first after ${first} ms`)
  t.same(new Set(asked.map((one) => one.asked)), new Set(['PTR _zre._tcp.local']))
  const gaps = asked.slice(1).map(({ at }, index) => Math.round(at - (asked[index]?.at as number)))
  const doubled = Array.from({ length: 12 }, (_, index) => 1_000 * 2 ** index)
  t.same(gaps.slice(0, 14), [...doubled, HOUR, HOUR])
})

t.test('it says what it knows already, and its own, 16 in all (mdns.md 5.2)', async (t) => {
  const tested = new Tested().start()
  for (let index = 2; index < 30; index++) tested.meet(nodeOf(index))
  tested.hear({ answers: [{ ...recordsFrom(nodeOf(30)).pointer, ttl: 0 }] })
  tested.hear({
    answers: [
      { name: MDNS_SERVICE, type: 'PTR', ttl: 4_500, flush: false, target: `a.b.${MDNS_SERVICE}` },
    ],
  })
  const [, query] = tested.until(200).take()
  const known = query?.packet.answers as MdnsRecord[]
  t.equal(known.length, 16)
  t.ok(isSame(known[0] as MdnsRecord, recordsFrom(nodeOf(1)).pointer))
  t.ok(isSame(known[1] as MdnsRecord, recordsFrom(nodeOf(2)).pointer))
  t.ok(
    known.slice(1).every(({ ttl }) => ttl === 4_499),
    'with the time that is left',
  )
})

t.test(
  'a pointer that is known for less than half of its time is asked for (mdns.md 5.2)',
  async (t) => {
    const tested = new Tested().start()
    const { services: _, pointer, ...host } = recordsFrom(nodeOf(2))
    tested.meet(nodeOf(2), { pointer: { ...pointer, ttl: 10 }, ...host })
    const queries = tested
      .until(10_000)
      .take()
      .filter(({ packet }) => packet.type === 'query')
    t.same(
      queries.map(({ packet }) => packet.answers.length),
      [2, 2, 2, 1],
      'after 0, 1, 3 and 7 s',
    )
  },
)

t.test('a node is told of when its records come, all at once or not (mdns.md 3.4)', async (t) => {
  const { pointer, srv, txt, address } = recordsFrom(nodeOf(2))
  const tested = settled()
  tested.hear({ answers: [pointer], additionals: [srv, txt, address] })
  t.same(tested.told, ['02 at 10.1.0.2:1002'])
  tested.hear({ answers: [pointer] }).hear({ answers: [txt] })
  t.same(tested.told.length, 1, 'nothing new')
  tested.hear({ answers: [srv] })
  t.same(tested.told.length, 2, 'it is still there')
  for (const order of [
    [pointer, srv, txt],
    [txt, srv],
    [srv, pointer, txt],
  ]) {
    const other = settled()
    for (const record of order) {
      t.same(other.told, [])
      other.hear({ answers: [record] })
    }
    t.same(other.told, ['02 at 10.1.0.2:1002'])
  }
})

t.test('what is missing is asked for, a few times, and then forgotten (mdns.md 5.3)', async (t) => {
  const { pointer, srv, txt } = recordsFrom(nodeOf(2))
  const tested = settled().hear({ answers: [pointer] })
  const nothing = { instance: 'n2 (02020202)', uuid: null, port: null, ours: null }
  t.match(tested.table.diagnostics(10_000).instances, [nothing])
  tested.until(60_000)
  const asked = tested.questions().filter(({ asked }) => asked.includes('n2'))
  t.same(
    asked.map(({ asked }) => asked),
    Array(4).fill('SRV n2, TXT n2'),
  )
  const ms = asked.map(({ at }) => Math.round(at - 10_000))
  t.ok(ms[0] && ms[0] >= 20 && ms[0] <= 120, `first after ${ms[0]} ms`)
  t.same(
    ms.slice(1).map((at) => at - (ms[0] ?? 0)),
    [1_000, 3_000, 7_000],
  )
  t.same(tested.table.diagnostics(60_000).instances, [])

  tested
    .hear({ answers: [pointer, txt] })
    .until(60_200)
    .hear({ answers: [srv] })
  t.same(
    tested.questions().map(({ asked }) => asked),
    ['SRV n2'],
  )
  t.same(tested.told, ['02 at 10.1.0.2:1002'])
  t.match(tested.table.diagnostics(60_200).instances, [
    { instance: 'n2 (02020202)', uuid: nodeOf(2).uuid, ours: true, secondsLeft: 120 },
  ])
})

t.test(
  'what is there is asked for again before its time is over (mdns.md 5.4 and 3.6)',
  async (t) => {
    const { srv } = recordsFrom(nodeOf(2))
    const tested = settled().meet(nodeOf(2))
    const asked = () => tested.questions().filter(({ asked }) => asked === 'SRV n2')
    tested.until(10_000 + 119_999)
    const refreshes = asked().map(({ at }) => (at - 10_000) / 120_000)
    t.equal(refreshes.length, 4)
    for (const [index, share] of [0.8, 0.85, 0.9, 0.95].entries()) {
      const was = refreshes[index] as number
      t.ok(was >= share && was <= share + 0.02, `${was}`)
    }
    t.match(tested.table.diagnostics(tested.now).instances, [{ secondsLeft: 0 }])
    tested.hear({ answers: [srv] })
    t.equal(tested.told.length, 2, 'it is alive')
    tested.until(tested.now + 119_999)
    t.equal(asked().length, 4, 'and so on')
    tested.until(tested.now + 1)
    t.same(tested.table.diagnostics(tested.now).instances, [], 'forgotten')
    t.equal(tested.told.length, 2, 'it is no event')
  },
)

t.test('nobody is believed for longer than an hour and a quarter (mdns.md 3.6)', async (t) => {
  const { srv, ...others } = recordsFrom(nodeOf(2))
  const tested = settled().meet(nodeOf(2), { ...others, srv: { ...srv, ttl: 2 ** 31 } })
  t.match(tested.table.diagnostics(tested.now).instances, [{ secondsLeft: 4_500 }])
  tested.until(tested.now + 4_500_000)
  t.same(tested.table.diagnostics(tested.now).instances, [])
})

t.test('questions for many go together, 16 in a packet', async (t) => {
  const tested = settled()
  for (let index = 2; index < 42; index++) {
    const { pointer, srv } = recordsFrom(nodeOf(index))
    tested.hear({ answers: [pointer, srv] }, { address: nodeOf(index).address })
  }
  tested.now += 1_000
  tested.table.handleTimeout(tested.now)
  const sizes = tested
    .drain()
    .take()
    .map(({ packet }) => packet.questions.length)
  t.same(sizes, [16, 16, 16, 16, 16])
})

t.test('another network is not told of (mdns.md 2.5)', async (t) => {
  const tested = settled().meet(nodeOf(2, 5671))
  t.match(tested.heard, { otherNetwork: 1, alive: 0 })
  t.match(tested.table.diagnostics(tested.now).instances, [{ ours: false }])
  const { pointer } = recordsFrom(nodeOf(2))
  tested.hear({ answers: [{ ...pointer, ttl: 0 }] }).until(tested.now + 200_000)
  t.same(tested.told, [], 'nor is its goodbye')
  t.notOk(
    tested.questions().some(({ asked }) => asked.includes('n2')),
    'nor asked for',
  )
})

t.test(
  'a goodbye is told at once, and the node forgotten a second later (mdns.md 3.5)',
  async (t) => {
    const { pointer, srv, txt } = recordsFrom(nodeOf(2))
    for (const [what, gone] of [
      ['its pointer', [{ ...pointer, ttl: 0 }]],
      ['its port', [{ ...srv, ttl: 0 }]],
      ['its text', [{ ...txt, ttl: 0 }]],
      ['all', [pointer, srv, txt].map((record) => ({ ...record, ttl: 0 }))],
    ] as const) {
      const tested = settled().meet(nodeOf(2))
      tested.hear({ answers: gone }, { address: '10.1.0.3' })
      t.equal(tested.told.length, 1, 'nobody else can say it')
      tested.hear({ answers: gone })
      t.same(tested.told[1], 'goodbye 02', what)
      t.equal(tested.until(tested.now + 999).table.diagnostics(tested.now).instances.length, 1)
      t.equal(tested.until(tested.now + 1).table.diagnostics(tested.now).instances.length, 0)
      tested.hear({ answers: gone })
      t.equal(tested.told.length, 2, 'nobody is not there twice')
    }
    const back = settled()
      .meet(nodeOf(2))
      .hear({ answers: [{ ...srv, ttl: 0 }] })
      .meet(nodeOf(2))
    back.until(back.now + 5_000)
    t.equal(back.table.diagnostics(back.now).instances.length, 1, 'it was rescued')
  },
)

t.test(
  'a peer that is lost is asked for, and forgotten if it does not answer (mdns.md 5.5)',
  async (t) => {
    const tested = settled().meet(nodeOf(2)).meet(nodeOf(3))
    tested.table.handleExit(nodeOf(2).uuid, tested.now)
    const until = tested.now + 9_999
    const asked = tested.until(until).questions()
    t.equal(asked.filter(({ asked }) => asked === 'SRV n2').length, 4)
    const all = asked.filter(({ asked }) => asked === 'PTR _zre._tcp.local')
    t.equal(all.length, 4, 'and so are all, as at the beginning')
    t.ok((all[0]?.at as number) <= 10_120)
    t.equal(tested.table.diagnostics(tested.now).instances.length, 2)
    t.equal(tested.until(until + 1).table.diagnostics(tested.now).instances.length, 1)

    tested.meet(nodeOf(2))
    tested.table.handleExit(nodeOf(2).uuid, tested.now)
    tested.until(tested.now + 500).hear({ answers: [recordsFrom(nodeOf(2)).srv] })
    tested.take()
    t.equal(tested.told.length, 4, 'it answers')
    tested.until(tested.now + 20_000)
    t.equal(tested.questions().filter(({ asked }) => asked.includes('n2')).length, 0)
    t.equal(tested.table.diagnostics(tested.now).instances.length, 2)
  },
)

t.test('losing many at once asks for all no more than once a second (mdns.md 5.5)', async (t) => {
  const tested = new Tested().start().until(150)
  tested.take()
  for (let count = 0; count < 50; count++) tested.table.handleExit(nodeOf(9).uuid, tested.now)
  const asked = tested.until(2_300).questions()
  t.ok(asked.length <= 2, `${asked.length} questions`)
  t.ok((asked[0]?.at as number) >= 1_020)
})

t.test('what is asked for is answered, with what comes next (mdns.md 4.2)', async (t) => {
  const { services, pointer, srv, txt, address } = recordsFrom(nodeOf(1))
  for (const [type, name, answers, additionals] of [
    ['PTR', services.name, [services], []],
    ['PTR', MDNS_SERVICE, [pointer], [srv, txt, address]],
    ['ANY', '_ZRE._tcp.LOCAL', [pointer], [srv, txt, address]],
    ['SRV', srv.name, [srv], [address]],
    ['TXT', srv.name, [txt], []],
    ['ANY', srv.name.toUpperCase(), [srv, txt], [address]],
    ['A', address.name, [address], []],
  ] as const) {
    const said = settled().ask(type, name).until(10_120).take()
    const packet = { ...NOTHING, type: 'response', answers, additionals }
    t.same(
      said.map(({ packet, to }) => ({ packet, to })),
      [{ packet, to: undefined }],
      name,
    )
  }
  for (const [type, name] of [
    ['A', srv.name],
    ['AAAA', address.name],
    ['PTR', '_http._tcp.local'],
    ['SRV', recordsFrom(nodeOf(2)).srv.name],
  ] as const) {
    t.same(settled().ask(type, name).until(10_200).take(), [], `${type} ${name}`)
  }
})

t.test(
  'what many answer waits a little, what one answers does not (mdns.md 4.3, 4.5)',
  async (t) => {
    const delays = Array.from({ length: 20 }, (_, index) => {
      const tested = new Tested(nodeOf(index + 1)).start().until(10_000)
      tested.take()
      return (tested.ask('PTR', MDNS_SERVICE).until(11_000).take()[0]?.at as number) - 10_000
    })
    t.ok(Math.min(...delays) >= 20 && Math.max(...delays) <= 120, String(delays))
    t.ok(new Set(delays).size > 10, 'not all at once')
    const tested = settled().ask('SRV', recordsFrom(nodeOf(1)).srv.name)
    t.equal(tested.take().length, 1, 'at once')
  },
)

t.test('no record goes to everybody twice in a second (mdns.md 4.3)', async (t) => {
  const tested = settled()
  const { srv, address } = recordsFrom(nodeOf(1))
  tested.ask('SRV', srv.name).ask('SRV', srv.name).ask('A', address.name)
  t.same(
    tested.take().map(({ at }) => at),
    [10_000],
  )
  const later = tested.until(12_000).take()
  t.same(
    later.map(({ at, packet }) => [at, packet.answers.length]),
    [[11_000, 2]],
  )
  tested.ask('TXT', srv.name).until(12_500).ask('PTR', MDNS_SERVICE)
  const [, answer] = tested.until(12_700).take()
  t.same(answer?.packet.additionals, [srv, address], 'the text was just said')
  const restless = new Tested().start().ask('SRV', srv.name)
  t.same(
    restless
      .until(1_000)
      .take()
      .map(({ at, packet }) => [at, packet.type])
      .filter(([, type]) => type === 'response'),
    [
      [0, 'response'],
      [1_000, 'response'],
    ],
    'the announcement is the answer',
  )
})

t.test('who knows the answer is not told it (mdns.md 4.4)', async (t) => {
  const { pointer, srv, txt, address } = recordsFrom(nodeOf(1))
  const known = { ...pointer, ttl: 2_250 }
  t.same(settled().ask('PTR', MDNS_SERVICE, [known]).until(10_200).take(), [])
  for (const other of [
    { ...known, ttl: 2_249 },
    { ...known, target: 'x._zre._tcp.local' } as MdnsRecord,
  ]) {
    t.equal(settled().ask('PTR', MDNS_SERVICE, [other]).until(10_200).take().length, 1)
  }
  t.same(settled().ask('ANY', srv.name, [srv, txt]).take(), [])
  t.same(settled().ask('A', address.name, [address]).take(), [])
})

t.test('its own question is no question to a node', async (t) => {
  const tested = new Tested().start().until(150)
  const { packet } = tested.take().at(-1) as { packet: MdnsPacket }
  tested.hear(packet, { address: '10.1.0.1' }).until(900)
  t.same(tested.take(), [])
  t.equal(tested.heard.asked, 0)
})

t.test('who knows only DNS is answered alone, and told to forget it (mdns.md 4.6)', async (t) => {
  const from = { address: '10.1.0.9', port: 40_000 }
  const [reply, ...others] = settled().ask('PTR', MDNS_SERVICE, [], from).take()
  t.same(others, [])
  t.same(reply?.to, from)
  const other = { name: '_http._tcp.local', type: 'PTR' }
  const both = [other, { name: MDNS_SERVICE, type: 'PTR' }]
  const [second] = settled().hear({ type: 'query', id: 7, questions: both }, from).take()
  t.same(second, reply, 'what we have nothing to say to is not repeated')
  const brief = (record: MdnsRecord) => ({ ...record, ttl: 10, flush: false })
  const { pointer, srv, txt, address } = recordsFrom(nodeOf(1))
  t.same(reply?.packet, {
    type: 'response',
    id: 7,
    questions: [{ name: MDNS_SERVICE, type: 'PTR' }],
    answers: [brief(pointer)],
    additionals: [srv, txt, address].map(brief),
  })
})

t.test('its last words take back all that is its own (mdns.md 4.7)', async (t) => {
  const tested = settled()
  tested.table.stop()
  const { pointer, srv, txt, address } = recordsFrom(nodeOf(1))
  const answers = [pointer, srv, txt, address].map((record) => ({ ...record, ttl: 0 }))
  t.same(
    tested
      .drain()
      .take()
      .map(({ packet }) => packet),
    [{ ...NOTHING, type: 'response', answers }],
  )
  t.equal(tested.table.pollTimeout(), Number.POSITIVE_INFINITY)
  tested.table.stop()
  tested.table.handleTimeout(20_000)
  tested.table.handleExit(nodeOf(2).uuid, 20_000)
  tested.meet(nodeOf(2)).ask('PTR', MDNS_SERVICE)
  t.same([tested.take(), tested.told], [[], []], 'then it is quiet')
  t.equal(tested.start().take().length, 1, 'and can start again')
})

t.test(
  'whose name another has takes more of its uuid, and then it stays (mdns.md 2.7)',
  async (t) => {
    const tested = settled()
    const name = () => tested.table.diagnostics(tested.now).instance
    const { srv } = recordsFrom(nodeOf(1))
    tested.hear({ answers: [{ ...srv, port: 9 } as MdnsRecord] })
    tested.hear({ answers: [{ ...srv, ttl: 0, target: 'x.local' } as MdnsRecord] })
    tested.hear({ answers: [recordsFrom(nodeOf(1)).txt] })
    t.match(tested.heard, { own: 3, conflict: 0 }, 'what was ours, or is over, is no conflict')
    for (const digits of [16, 32, 32]) {
      const rival = { ...srv, name: `${name()}.${MDNS_SERVICE}`, target: 'x.local' } as MdnsRecord
      tested.hear({ answers: [rival] })
      t.equal(name(), `n1 (${nodeOf(1).uuid.slice(0, digits)})`)
      tested.until(tested.now + 10_000)
    }
    t.equal(tested.heard.conflict, 3)
    const announced = tested.take().filter(({ packet }) => packet.answers.length === 5)
    t.equal(announced.length, 6, 'both new ones three times')
    t.same(announced[5]?.packet.answers, Object.values(recordsFrom(nodeOf(1), 32)))
  },
)

t.test('our own packets come back, and our uuid under another name is not us', async (t) => {
  const tested = settled()
    .meet(nodeOf(1))
    .meet(nodeOf(1), recordsFrom(nodeOf(1), 16))
  t.match(tested.heard, { own: 2, alive: 0 })
  t.same(tested.told, [])
})

t.test('a response from another port than that of mDNS is none (mdns.md 3.1)', async (t) => {
  const tested = settled().hear(
    { answers: Object.values(recordsFrom(nodeOf(2))) },
    { port: 40_000 },
  )
  t.same([tested.told, tested.heard.alive], [[], 0])
})

t.test('what is malformed is counted, and leads nowhere (mdns.md 3.2, 3.3)', async (t) => {
  const tested = settled()
  const records = recordsFrom(nodeOf(2))
  tested.meet(nodeOf(2), {
    ...records,
    txt: { ...records.txt, texts: [utf8('uuid=x')] } as MdnsRecord,
  })
  tested.meet(nodeOf(2), { ...records, srv: { ...records.srv, port: 0 } as MdnsRecord })
  tested.meet({ ...nodeOf(2), address: '10.1.0.3' }, records)
  tested.hear({ answers: [{ ...records.pointer, target: '_http._tcp.local' } as MdnsRecord] })
  tested.hear({ answers: [{ ...records.srv, name: 'x._http._tcp.local' }] })
  t.match(tested.heard, { malformed: 3, alive: 0 })
  t.same([tested.told, tested.table.diagnostics(tested.now).instances], [[], []])
})

t.test('a node that has moved says all of it anew (mdns.md 3.4)', async (t) => {
  const moved = { ...nodeOf(2), address: '10.1.0.77', port: 7 }
  const tested = settled().meet(nodeOf(2))
  const { txt, srv } = recordsFrom(moved)
  const forged = {
    ...txt,
    texts: [utf8(`uuid=${nodeOf(3).uuid}`), utf8('network=5670')],
  } as MdnsRecord
  tested.hear({ answers: [forged] }, { address: '10.1.0.66' })
  tested.hear({ answers: [recordsFrom(nodeOf(2)).srv] })
  t.same(tested.told, Array(2).fill('02 at 10.1.0.2:1002'), "another's text is not its own")
  tested.hear({ answers: [srv] }, { address: '10.1.0.77' })
  t.equal(tested.told.length, 2, 'its port alone will not do')
  tested.hear({ answers: [txt] }, { address: '10.1.0.77' })
  t.equal(tested.told[2], '02 at 10.1.0.77:7')
})

t.test('a name that cannot be written is never asked for', async (t) => {
  const name = 'a.b._zre._tcp.local'
  const { pointer, srv, txt } = recordsFrom(nodeOf(2))
  const tested = settled().hear({ answers: [{ ...pointer, target: name } as MdnsRecord] })
  tested.until(tested.now + 15_000)
  tested.hear({ answers: [srv, txt].map((record) => ({ ...record, name })) })
  t.same(tested.told, ['02 at 10.1.0.2:1002'], 'and found all the same')
  tested.until(tested.now + 150_000)
  t.notOk(tested.questions().some(({ asked }) => asked.includes('a.b')))
})

t.test('who tells of many nodes gives up its own for others (mdns.md 6.1)', async (t) => {
  const tested = settled()
  const liar = (index: number) => ({
    ...nodeOf(2),
    uuid: index.toString(16).padStart(8, '0').repeat(4),
  })
  for (let index = 1; index <= 1_030; index++) tested.meet(liar(index))
  for (let index = 3; index <= 9; index++) tested.meet(nodeOf(index))
  const { instances } = tested.table.diagnostics(tested.now)
  t.equal(instances.length, 1_024)
  t.equal(instances.filter(({ address }) => address !== '10.1.0.2').length, 7)
  t.equal(tested.heard.tooMany, 13)
})

t.test('a packet with more than 256 records is ignored (mdns.md 6.2)', async (t) => {
  const records = Object.values(recordsFrom(nodeOf(2)))
  const many = (count: number) => Array.from({ length: count }, () => records[4] as MdnsRecord)
  const tested = settled()
  tested.hear({ answers: records, additionals: many(252) })
  t.match([tested.told, tested.heard.tooMany], [[], 1])
  tested.hear({ answers: records, additionals: many(251) })
  t.equal(tested.told.length, 1)
})

t.test('avahi is understood (mdns.md 2.5, 3.5, 4.4 and 4.6)', async (t) => {
  const vectors = loadVectors('mdns')
  const tested = settled()
  const hear = (name: string, port = MDNS_PORT) => {
    const { decoded } = findVector(vectors, name)
    const records = (given: readonly (MdnsRecord & { texts?: string[] })[]) =>
      given.map((record) => ({ ...record, ...(record.texts && { texts: record.texts.map(utf8) }) }))
    const { answers, additionals } = decoded
    const packet = { ...decoded, answers: records(answers), additionals: records(additionals) }
    tested.hear(packet, { address: '10.91.0.1', port }).until(tested.now + 2_000)
    return tested.take().filter(({ packet }) => packet.type === 'response')
  }
  t.same(
    hear('avahi-browse-question').map(({ packet }) => packet.answers),
    [[recordsFrom(nodeOf(1)).pointer]],
  )
  t.same(
    hear('avahi-services-question').map(({ packet }) => packet.answers),
    [[recordsFrom(nodeOf(1)).pointer]],
  )
  t.same(hear('avahi-probe'), [], 'it is not our name')
  t.match(hear('legacy-question', 57_745), [{ to: { port: 57_745 }, packet: { id: 0x1234 } }])
  hear('avahi-announcement')
  hear('avahi-goodbye')
  t.match(tested.heard, { otherNetwork: 1, malformed: 0 }, 'it is of network 21677')
  const other = new Tested(nodeOf(1, 21_677)).start()
  const source = { address: '10.91.0.1', port: MDNS_PORT }
  for (const name of ['avahi-announcement', 'avahi-goodbye']) {
    const { decoded } = findVector(vectors, name)
    const answers = decoded.answers.map((record: MdnsRecord & { texts?: string[] }) => ({
      ...record,
      ...(record.texts && { texts: record.texts.map(utf8) }),
    }))
    other.hear({ ...decoded, answers }, source)
  }
  t.same(other.told, ['5e at 10.91.0.1:49152', 'goodbye 5e'])
})
