import fc from 'fast-check'
import t from 'tap'
import {
  bytesToUuid,
  fromUtf8,
  isUuid,
  Reader,
  utf8,
  uuidToBytes,
  Writer,
} from '../../protocol/bytes.ts'
import { holds } from '../support/holds.ts'
import { concat, pattern } from '../support/octets.ts'
import { fromHex, toHex } from '../support/vectors.ts'

const text = (maxLength: number) => fc.string({ unit: 'binary', maxLength })

t.test('a uuid is 32 lower-case digits and nothing else', async (t) => {
  t.ok(isUuid('5e046b7c39654633a13df01cc5a01512'))
  for (const wrong of [
    '5E046B7C39654633A13DF01CC5A01512',
    '5e046b7c-3965-4633-a13d-f01cc5a01512',
    '5e046b7c39654633a13df01cc5a0151',
    '5e046b7c39654633a13df01cc5a015123',
    '5e046b7c39654633a13df01cc5a01512\n',
    'ge046b7c39654633a13df01cc5a01512',
    '',
    42,
    undefined,
  ]) {
    t.notOk(isUuid(wrong), String(wrong))
  }
})

t.test('the text of a uuid has its octets in their order', async (t) => {
  const uuid = '5e046b7c39654633a13df01cc5a01512'
  t.equal(toHex(uuidToBytes(uuid)), uuid)
  t.equal(bytesToUuid(fromHex(uuid)), uuid)
})

t.test('texts survive the wire', async (t) => {
  holds(t, 'what was encoded as UTF-8 decodes to the same', text(80), (given) => {
    return fromUtf8(utf8(given)) === given
  })
  holds(t, 'any octets give a text', fc.uint8Array({ maxLength: 80 }), (octets) => {
    const reference = new TextDecoder('utf-8', { ignoreBOM: true })
    return fromUtf8(octets) === reference.decode(octets)
  })
})

t.test('a byte order mark stays, whatever the length of the text', async (t) => {
  for (const given of ['\uFEFFCHAT', `\uFEFF${'CHAT'.repeat(20)}`]) {
    t.equal(fromUtf8(utf8(given)), given)
  }
})

t.test('integers are big-endian', async (t) => {
  t.equal(
    toHex(new Writer().u8(0x01).u16(0x0203).u32(0xfffefdfc).finish()),
    '010203fffefdfc',
    'written',
  )
  const reader = new Reader(fromHex('010203fffefdfc'), 'zre.md 2.3')
  t.same([reader.u8(), reader.u16(), reader.u32(), reader.left], [0x01, 0x0203, 0xfffefdfc, 0])
})

t.test('what a reader gives is a view', async (t) => {
  const bytes = pattern(8)
  const reader = new Reader(bytes, 'zre.md 2.3')
  t.equal(reader.bytes(3).buffer, bytes.buffer)
  t.equal(toHex(reader.rest()), '0304050607')
  t.equal(reader.rest().length, 0)
})

t.test('a reader never reads past the end, and says which rule was broken', async (t) => {
  const expected = { name: 'WireError', rule: 'zre.md 2.3' }
  const read = (hex: string) => new Reader(fromHex(hex), 'zre.md 2.3')
  t.throws(() => read('').u8(), expected)
  t.throws(() => read('01').u16(), expected)
  t.throws(() => read('010203').u32(), expected)
  t.throws(() => read('0102').bytes(3), expected)
  t.throws(() => read('026f').text1(), expected)
  t.throws(() => read('000000026f').text4({ bytesMax: 9, rule: 'zre.md 2.6' }), expected)
})

t.test('a reader that must be at its end complains of octets too many', async (t) => {
  const reader = new Reader(fromHex('0102'), 'zre.md 2.3')
  reader.u8()
  t.throws(() => reader.end(), { name: 'WireError', message: '1 octets too many (zre.md 2.3)' })
  reader.u8()
  t.doesNotThrow(() => reader.end())
})

t.test('a text over its limit is refused before it is read', async (t) => {
  const reader = new Reader(fromHex('ffffffff'), 'zre.md 2.3')
  t.throws(() => reader.text4({ bytesMax: 255, rule: 'zre.md 2.6' }), {
    name: 'WireError',
    rule: 'zre.md 2.6',
    message: /4294967295 octets, limit 255/,
  })
})

t.test('what a writer wrote, a reader reads', async (t) => {
  const fields = fc.record({
    u8: fc.nat(0xff),
    u16: fc.nat(0xffff),
    u32: fc.nat(0xffffffff),
    text1: text(60),
    text4: text(200),
    bytes: fc.uint8Array({ maxLength: 300 }),
  })
  holds(t, 'fields of any value come back', fields, (given) => {
    const { u8, u16, u32, text1, text4, bytes } = given
    const writer = new Writer().u8(u8).u16(u16).u32(u32).text1(text1).text4(text4).bytes(bytes)
    const reader = new Reader(writer.finish(), 'zre.md 2.3')
    const read = {
      u8: reader.u8(),
      u16: reader.u16(),
      u32: reader.u32(),
      text1: reader.text1(),
      text4: reader.text4({ bytesMax: 1_000, rule: 'zre.md 2.6' }),
    }
    const same = u8 === read.u8 && u16 === read.u16 && u32 === read.u32
    const sameTexts = text1 === read.text1 && text4 === read.text4
    return same && sameTexts && toHex(reader.rest()) === toHex(bytes)
  })
})

t.test('a writer grows as far as it must', async (t) => {
  const writer = new Writer()
  for (let part = 0; part < 100; part++) writer.bytes(pattern(part))
  const expected = concat(...Array.from({ length: 100 }, (_, part) => pattern(part)))
  t.equal(toHex(writer.finish()), toHex(expected))
})

t.test('short texts come back as they were, in ASCII or not, first time or again', async (t) => {
  for (const text of ['', 'CHAT', 'Café', 'é', 'x'.repeat(33), 'CHAT']) {
    const octets = new Writer().text1(text).u8(7).finish()
    const reader = new Reader(octets, 'rule')
    t.equal(reader.text1(), text)
    t.equal(reader.u8(), 7)
    reader.end()
  }
})
