import fc from 'fast-check'
import t from 'tap'
import { utf8 } from '../../protocol/bytes.ts'
import { WireError } from '../../protocol/errors.ts'
import {
  hostOf,
  instanceOf,
  isAskable,
  isAsked,
  isAt,
  isInstance,
  isName,
  isSame,
  labelOf,
  MDNS_SERVICE,
  type MdnsRecord,
  readTexts,
  recordsOf,
} from '../../protocol/mdns.ts'
import { holds } from '../support/holds.ts'
import { toHex } from '../support/vectors.ts'

const UUID = '5e046b7c39654633a13df01cc5a01512'
const NODE = { uuid: UUID, name: 'kitchen', network: 5670, address: '10.1.0.1', port: 49_152 }
const KITCHEN = 'kitchen (5e046b7c)._zre._tcp.local'
const uuids = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(toHex)
const texts = (...given: string[]) => given.map(utf8)

t.test('the records of a node are those of DNS-SD (mdns.md 2.1, 2.3 and 2.6)', async (t) => {
  const host = `${UUID}.local`
  t.same(recordsOf(NODE, KITCHEN), {
    services: {
      name: '_services._dns-sd._udp.local',
      type: 'PTR',
      target: '_zre._tcp.local',
      ttl: 4_500,
      flush: false,
    },
    pointer: { name: '_zre._tcp.local', type: 'PTR', target: KITCHEN, ttl: 4_500, flush: false },
    srv: { name: KITCHEN, type: 'SRV', target: host, port: 49_152, ttl: 120, flush: true },
    txt: {
      name: KITCHEN,
      type: 'TXT',
      texts: texts('txtvers=1', `uuid=${UUID}`, 'network=5670', 'name=kitchen'),
      ttl: 4_500,
      flush: true,
    },
    address: { name: host, type: 'A', address: '10.1.0.1', ttl: 120, flush: true },
  })
  t.equal(hostOf(UUID), host)
})

t.test(
  'an instance is called by name and uuid, as far as a label has room (mdns.md 2.2)',
  async (t) => {
    const named = (name: string, digits = 8) => labelOf(instanceOf({ uuid: UUID, name }, digits))
    t.equal(named('kitchen'), 'kitchen (5e046b7c)')
    t.equal(named('kitchen', 16), 'kitchen (5e046b7c39654633)')
    t.equal(named('Küche 1.2'), 'Küche 1-2 (5e046b7c)')
    t.equal(named('a\n\tb\u009f'), 'a b (5e046b7c)')
    t.equal(named(''), 'node (5e046b7c)')
    t.equal(named('.'), '- (5e046b7c)')
    t.equal(named('x'.repeat(255)), `${'x'.repeat(52)} (5e046b7c)`)
    t.equal(named('x'.repeat(255), 32), `${'x'.repeat(28)} (${UUID})`)
    t.equal(named(`${'x'.repeat(51)}ü`), `${'x'.repeat(51)} (5e046b7c)`, 'no half of a character')
  },
)

t.test('a TXT record has a uuid and a network (mdns.md 2.4 and 2.5)', async (t) => {
  const good = { uuid: UUID, network: 5670 }
  t.same(readTexts(texts('txtvers=1', `uuid=${UUID}`, 'network=5670')), good)
  t.same(readTexts(texts(`UUID=${UUID.toUpperCase()}`, 'Network=5670', '=x', 'flag')), good)
  t.same(readTexts(texts(`uuid=${UUID}`, 'uuid=x', 'network=5670', 'network=7')), good)
  for (const uuid of [[], ['uuid'], ['uuid='], ['uuid=5e046b7c'], [`uuid=${UUID}0`]]) {
    const rule = { name: 'WireError', rule: 'mdns.md 2.4' }
    t.throws(() => readTexts(texts(...uuid, 'network=5670')), rule, String(uuid))
  }
  for (const network of ['', '0', '65536', '5670x', '-1', '05670', '1e3']) {
    const rule = { name: 'WireError', rule: 'mdns.md 2.5' }
    t.throws(() => readTexts(texts(`uuid=${UUID}`, `network=${network}`)), rule, network)
  }
  t.throws(() => readTexts(texts(`uuid=${UUID}`)), { name: 'WireError', rule: 'mdns.md 2.5' })
})

t.test('a long name is clipped in the TXT record, where a text has 255 octets', async (t) => {
  const { txt } = recordsOf({ ...NODE, name: 'ü'.repeat(127) }, KITCHEN)
  t.equal(txt.type === 'TXT' && txt.texts[3]?.length, 5 + 250)
})

t.test('an instance is told by the end of its name (mdns.md 3.2)', async (t) => {
  for (const name of [KITCHEN, 'a.b._zre._tcp.local', 'x._ZRE._Tcp.Local']) {
    t.ok(isInstance(name), name)
  }
  t.ok(isInstance(`${'x'.repeat(63)}.${MDNS_SERVICE}`))
  for (const name of [
    '',
    '.',
    MDNS_SERVICE,
    `.${MDNS_SERVICE}`,
    `x${MDNS_SERVICE}`,
    'x._http._tcp.local',
    'x._zre._udp.local',
    `${'x'.repeat(64)}.${MDNS_SERVICE}`,
    `${'ü'.repeat(32)}.${MDNS_SERVICE}`,
  ]) {
    t.notOk(isInstance(name), name)
  }
})

t.test('a label with a dot cannot be asked for', async (t) => {
  t.ok(isAskable(KITCHEN))
  t.notOk(isAskable('a.b._zre._tcp.local'))
})

t.test('names are the same in capital letters', async (t) => {
  t.ok(isName('A.local', 'a.LOCAL'))
  t.notOk(isName('a.local', 'b.local'))
  t.notOk(isName('a.local', 'aa.local'))
})

t.test('a question is for a type, or for any', async (t) => {
  const { srv, pointer } = recordsOf(NODE, KITCHEN)
  t.ok(isAsked({ name: KITCHEN, type: 'SRV' }, srv))
  t.ok(isAsked({ name: KITCHEN.toUpperCase(), type: 'ANY' }, srv))
  t.notOk(isAsked({ name: KITCHEN, type: 'TXT' }, srv))
  t.notOk(isAsked({ name: KITCHEN, type: 'PTR' }, pointer))
})

t.test('records are the same whatever their time to live', async (t) => {
  const records: readonly MdnsRecord[] = Object.values(recordsOf(NODE, KITCHEN))
  const others: readonly MdnsRecord[] = Object.values(
    recordsOf({ ...NODE, name: 'x', address: '10.1.0.2', port: 1 }, KITCHEN),
  )
  for (const [index, record] of records.entries()) {
    for (const [place, other] of records.entries()) {
      t.equal(isSame(record, { ...other, ttl: 1 }), index === place, `${index} and ${place}`)
    }
  }
  const named = others.map((other, index) => isSame(other, records[index] as MdnsRecord))
  t.same(named, [true, true, false, false, false])
  const [pointer, srv] = [records[1] as MdnsRecord, records[2] as MdnsRecord]
  t.notOk(isSame(pointer, { ...srv, name: pointer.name }))
  t.notOk(isSame(srv, { ...(records[3] as MdnsRecord) }))
  t.notOk(isSame({ ...(records[4] as MdnsRecord), name: KITCHEN }, srv))
  t.notOk(isSame({ ...srv, name: 'x' }, srv))
})

t.test('an inbox is where its packet came from, at a port (mdns.md 3.3)', async (t) => {
  const { srv, address } = recordsOf(NODE, KITCHEN)
  if (srv.type !== 'SRV') return
  t.ok(isAt('10.1.0.1', srv, [srv]), 'without an address')
  t.ok(isAt('10.1.0.1', srv, [srv, address]))
  t.notOk(isAt('10.1.0.2', srv, [srv, address]), 'an address of another')
  t.ok(isAt('10.1.0.2', srv, [srv, address, { ...address, address: '10.1.0.2' } as MdnsRecord]))
  t.ok(isAt('10.1.0.2', srv, [srv, { ...address, name: 'x.local' }]), 'of another host')
  for (const port of [0, 65_536, 1.5, Number.NaN, -1]) {
    t.notOk(isAt('10.1.0.1', { ...srv, port }, [srv]), String(port))
  }
})

t.test('records keep their promises', async (t) => {
  const names = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ maxLength: 300 }))
  const nodes = fc.tuple(uuids, names, fc.constantFrom(8, 16, 32))
  holds(t, 'whatever a node is called, its instance is one', nodes, ([uuid, name, digits]) => {
    const instance = instanceOf({ uuid, name }, digits)
    return isInstance(instance) && isAskable(instance) && instance.includes(uuid.slice(0, digits))
  })
  const networks = fc.integer({ min: 1, max: 65_535 })
  holds(
    t,
    'what was written reads the same',
    fc.tuple(nodes, networks),
    ([[uuid, name], network]) => {
      const { txt } = recordsOf({ ...NODE, uuid, name, network }, KITCHEN)
      if (txt.type !== 'TXT' || txt.texts.some(({ length }) => length > 255)) return false
      const read = readTexts(txt.texts)
      return read.uuid === uuid && read.network === network
    },
  )
  const given = fc.array(fc.oneof(fc.uint8Array({ maxLength: 60 }), names.map(utf8)))
  holds(t, 'any texts give a node or a WireError', given, (octets) => {
    try {
      return readTexts(octets).network > 0
    } catch (error) {
      return error instanceof WireError
    }
  })
})
