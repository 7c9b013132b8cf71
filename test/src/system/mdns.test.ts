/** The octets of multicast DNS: those of others are read, and what nobody should send does no harm. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Test } from 'tap'
import t from 'tap'
import { fromUtf8 } from '../../../protocol/bytes.ts'
import type { MdnsPacket } from '../../../protocol/mdns.ts'
import { systemMulticastDns } from '../../../src/system/mdns.ts'
import { Heard } from '../../support/heard.ts'
import { freePort } from '../../support/nodes.ts'
import { concat } from '../../support/octets.ts'
import { findVector, fromHex, loadVectors, toHex } from '../../support/vectors.ts'

const LOOPBACK = '127.0.0.1'
const LABELS = ['_zre', '_dns-sd']
const VECTORS = loadVectors('mdns')
/** A question for the service, by hand after RFC 1035. */
const QUESTION = '045f7a7265045f746370056c6f63616c00000c0001'
const HEADER = '000000000001000000000000'

async function opened(t: Test) {
  const port = await freePort()
  const heard = new Heard<MdnsPacket>()
  const failures: Error[] = []
  const socket = await systemMulticastDns.open(
    { address: LOOPBACK, port, labels: LABELS },
    { receive: (packet) => heard.add(packet), fail: (error) => failures.push(error) },
  )
  t.teardown(() => socket.close())
  const raw = createSocket({ type: 'udp4', reuseAddr: true }).bind(port)
  t.teardown(() => void raw.close())
  await once(raw, 'listening')
  raw.addMembership('224.0.0.251', LOOPBACK)
  raw.setMulticastInterface(LOOPBACK)
  const seen = new Heard<string>()
  raw.on('message', (octets) => seen.add(toHex(octets)))
  const say = (bytes: Uint8Array) =>
    new Promise((resolve) => raw.send(bytes, port, '224.0.0.251', resolve))
  /** Tells that all before it was read. */
  const last = async () => {
    await say(fromHex(`0063${HEADER.slice(4)}${QUESTION}`))
    await heard.next('the last', ({ id }) => id === 0x63)
  }
  return { socket, heard, failures, seen, say, last }
}

t.test('the packets of avahi are read, octet for octet', async (t) => {
  const { heard, say } = await opened(t)
  for (const { name, bytes, decoded } of VECTORS.vectors) {
    await say(bytes)
    const { questions, answers, additionals, ...packet } = await heard.next(name)
    const texts = (records: MdnsPacket['answers']) =>
      records.map((record) =>
        record.type === 'TXT' ? { ...record, texts: record.texts.map(fromUtf8) } : record,
      )
    const read = { ...packet, questions, answers: texts(answers), additionals: texts(additionals) }
    t.same(read, decoded, name)
  }
})

t.test('what is sent is what RFC 1035 says', async (t) => {
  const { socket, seen } = await opened(t)
  const nothing = { id: 0, questions: [], answers: [], additionals: [] }
  const name = 'k._zre._tcp.local'
  const label = '016b045f7a7265045f746370056c6f63616c00'
  const host = '0161056c6f63616c00'
  for (const [packet, hex] of [
    [
      { ...nothing, type: 'query', questions: [{ name: '_zre._tcp.local', type: 'PTR' }] },
      `${HEADER}${QUESTION}`,
    ],
    [
      {
        ...nothing,
        type: 'response',
        answers: [{ name, type: 'SRV', ttl: 120, flush: true, port: 49_152, target: 'a.local' }],
        additionals: [{ name: 'a.local', type: 'A', ttl: 120, flush: true, address: '10.1.0.1' }],
      },
      `000084000000000100000001${label}00218001000000780 00f00000000c000${host}${host}00018001000000780004 0a010001`,
    ],
    [
      {
        ...nothing,
        type: 'response',
        id: 0x1234,
        questions: [{ name: '_zre._tcp.local', type: 'PTR' }],
        answers: [
          { name, type: 'TXT', ttl: 0, flush: false, texts: [fromHex('613d31'), fromHex('')] },
        ],
      },
      `123484000001000100000000${QUESTION}${label}0010000100000000000503613d3100`,
    ],
  ] as const) {
    socket.send(packet)
    t.equal(await seen.next('it'), toHex(fromHex(hex)))
  }
})

t.test('what is no packet, or none for us, is not told, and nothing fails', async (t) => {
  const { heard, failures, say, last } = await opened(t)
  const announcement = findVector(VECTORS, 'avahi-announcement').bytes
  const record = (type: string, data: string) =>
    `045f7a7265056c6f63616c00${type}000100000000${(data.length / 2).toString(16).padStart(4, '0')}${data}`
  const response = (records: string, count = '0001') =>
    fromHex(`00008400000000000000${count}${records}`)
  for (let size = 0; size < announcement.length; size++) {
    await say(announcement.subarray(0, size))
    // A socket has room for some hundred.
    if (size % 64 === 0) await last()
  }
  for (const octets of [
    fromHex(`${HEADER}055f68747470045f746370056c6f63616c00000c0001`),
    fromHex(`00000800${HEADER.slice(8)}${QUESTION}`),
    fromHex(`00000003${HEADER.slice(8)}${QUESTION}`),
    fromHex(`00000000ffffffffffffffff${QUESTION}`),
    fromHex(`00000000010100000000 0000${QUESTION.repeat(257)}`),
    fromHex(`${HEADER}045f7a7265c00c000c0001`),
    fromHex(`${HEADER}045f7a7265c0ff000c0001`),
    fromHex(`${HEADER}${'017a'.repeat(30)}${QUESTION}`),
    fromHex(`${HEADER}045f7a7265c011000c0001`),
    fromHex(`${HEADER}045f7a726580000c0001`),
    response(record('0010', '05')),
    response(record('0021', '0000')),
    response(`045f7a7265056c6f63616c0000100001000000000100`),
    concat(fromHex(`${HEADER}${QUESTION}`), new Uint8Array(9_000)),
  ]) {
    await say(octets)
  }
  await last()
  t.ok(
    heard.items.every(({ id }) => id === 0x63),
    JSON.stringify(heard.items),
  )
  t.same(failures, [])
})

t.test('what is not read costs nothing, and what stands beside it is read', async (t) => {
  const { heard, say, last } = await opened(t)
  // An OPT of 64 KiB that the package would go through again and again, an NSEC, a class that is not IN.
  const opt = `0000290001000000000004${'ffff0000'}`
  const nsec = '045f7a7265056c6f63616c00002f80010000007800050004000000'
  const chaos = '045f7a7265056c6f63616c00000100030000007800040a010001'
  const a = '045f7a7265056c6f63616c00000180010000007800040a010001'
  await say(fromHex(`000084000000000400000000${opt}${nsec}${chaos}${a}`))
  t.same((await heard.next('it')).answers, [
    { name: '_zre.local', type: 'A', ttl: 120, flush: true, address: '10.1.0.1' },
  ])
  await say(
    fromHex(
      `000000000003000000000000${QUESTION.slice(0, -4)}8001${QUESTION.slice(0, -4)}00ff${QUESTION.slice(0, -4)}0003`,
    ),
  )
  t.equal((await heard.next('it')).questions.length, 2, 'for a unicast answer, and of any class')
  await last()
})

t.test('what cannot even be tried is told, and nothing is thrown', async (t) => {
  const { socket, failures, heard } = await opened(t)
  const packet: MdnsPacket = {
    type: 'query',
    id: 0,
    questions: [{ name: '_zre._tcp.local', type: 'PTR' }],
    answers: [],
    additionals: [],
  }
  socket.send(packet, { address: LOOPBACK, port: 0 })
  socket.send(packet)
  await heard.next('the next one')
  t.match(failures, [{ code: 'ERR_SOCKET_BAD_PORT' }])
})
