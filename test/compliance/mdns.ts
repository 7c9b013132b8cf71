/** What every Host has to do about multicast DNS; a part of the suite in host.ts. */

import type { Test } from 'tap'
import { utf8 } from '../../protocol/bytes.ts'
import { instanceOf, MDNS_SERVICE, type MdnsPacket, recordsOf } from '../../protocol/mdns.ts'
import type { Address, Host, MulticastDnsSocket } from '../../src/host.ts'
import { Heard } from '../support/heard.ts'

type Subject = {
  readonly host: Host
  readonly address: string
  freePort(): Promise<number>
}
type Came = { readonly packet: MdnsPacket; readonly from: Address }

const NODE = { uuid: 'ab'.repeat(16), name: 'Küche', network: 5670, address: '10.1.0.1', port: 7 }
const { services, pointer, srv, txt, address } = recordsOf(NODE, instanceOf(NODE, 8))
const NOTHING = { id: 0, questions: [], answers: [], additionals: [] }
const PACKETS: readonly MdnsPacket[] = [
  { ...NOTHING, type: 'query', questions: [{ name: MDNS_SERVICE, type: 'PTR' }] },
  {
    ...NOTHING,
    type: 'query',
    id: 7,
    questions: [{ name: srv.name, type: 'ANY' }],
    answers: [{ ...pointer, ttl: 0 }],
  },
  { ...NOTHING, type: 'response', answers: [services, pointer], additionals: [srv, txt, address] },
  {
    ...NOTHING,
    type: 'response',
    answers: [{ ...txt, texts: [utf8(''), utf8('x'.repeat(255))] } as typeof txt],
  },
]
const LAST: MdnsPacket = { ...NOTHING, type: 'response', answers: [services] }

async function open(t: Test, { host, ...subject }: Subject, port: number) {
  const heard = new Heard<Came>()
  const failures = new Heard<Error>()
  const options = { address: subject.address, port, labels: ['_zre', '_dns-sd'] }
  const socket: MulticastDnsSocket = await host.multicastDns.open(options, {
    receive: (packet, from) => heard.add({ packet, from }),
    fail: (error) => failures.add(error),
  })
  t.teardown(() => socket.close())
  return { socket, heard, failures }
}

/** Runs that part: `t` gets a subtest for each behaviour. */
export async function multicastDnsCompliance(t: Test, subject: Subject): Promise<void> {
  t.test('everybody hears a packet as it was given, whoever sends it', async (t) => {
    const port = await subject.freePort()
    const ends = [await open(t, subject, port), await open(t, subject, port)]
    for (const packet of PACKETS) {
      ends[0]?.socket.send(packet)
      for (const { heard } of ends) {
        const came = await heard.next(packet.type)
        t.same(plain(came.packet), plain(packet))
        t.same(came.from, { address: subject.address, port })
      }
    }
    for (const { heard, failures } of ends) {
      t.equal(heard.items.length, PACKETS.length, 'each once')
      t.same(failures.items, [])
    }
  })

  t.test('a packet to one alone is heard once', async (t) => {
    const port = await subject.freePort()
    const ends = [await open(t, subject, port), await open(t, subject, port)]
    ends[0]?.socket.send(PACKETS[0] as MdnsPacket, { address: subject.address, port })
    ends[0]?.socket.send(LAST)
    for (const { heard } of ends) {
      await heard.next('the last', ({ packet }) => packet.answers.length === 1)
    }
    const alone = ends.flatMap(({ heard }) =>
      heard.items.filter(({ packet }) => packet.type === 'query'),
    )
    t.equal(alone.length, 1)
  })

  t.test('what was given before close() is sent', async (t) => {
    const port = await subject.freePort()
    const { heard } = await open(t, subject, port)
    const options = { address: subject.address, port, labels: ['_zre'] }
    const socket = await subject.host.multicastDns.open(options, { receive() {}, fail() {} })
    socket.send(LAST)
    await socket.close()
    t.same(plain((await heard.next('it')).packet), plain(LAST))
  })

  t.test(
    'a port that somebody has for himself, and an address that nobody has, are NetworkErrors',
    async (t) => {
      const port = await subject.freePort()
      const alone = { address: '0.0.0.0', port, shared: false, broadcast: false }
      const socket = await subject.host.datagrams.open(alone, { receive() {}, fail() {} })
      const expected = { name: 'NetworkError', message: new RegExp(`${port}`) }
      await t.rejects(open(t, subject, port), expected)
      await socket.close()
      await t.rejects(open(t, { ...subject, address: '192.0.2.1' }, port), expected)
      await open(t, subject, port)
    },
  )
}

/** Octets are octets, whatever holds them. */
function plain(packet: MdnsPacket): unknown {
  return JSON.parse(
    JSON.stringify(packet, (key, value) =>
      key === 'texts' ? value.map((octets: object) => Object.values(octets)) : value,
    ),
  )
}
