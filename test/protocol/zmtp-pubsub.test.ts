import fc from 'fast-check'
import t from 'tap'
import { TOPIC_BYTES_MAX, type ZmtpConnection } from '../../protocol/zmtp.ts'
import { feedThree } from '../support/feed.ts'
import { holds } from '../support/holds.ts'
import { concat, pattern } from '../support/octets.ts'
import { findVector, fromHex, toHex } from '../support/vectors.ts'
import { connectionOf, exchange, feed, loadZmtpVectors, outputOf, plain } from '../support/zmtp.ts'

const VECTORS = loadZmtpVectors()
const GREETING = vector('greeting-null-no-identity')
/** Of a peer that speaks 3.0. */
const OLD_GREETING = GREETING.with(11, 0)
const TOPIC = fromHex('aaa20101')

function vector(name: string): Uint8Array {
  return findVector(VECTORS, name).bytes
}

/** One of ours that has said and heard all of its handshake. */
function readyOf(socketType: 'PUB' | 'SUB', greeting = GREETING): ZmtpConnection {
  const connection = connectionOf({ socketType })
  feed(connection, concat(greeting, vector(socketType === 'PUB' ? 'ready-sub' : 'ready-pub')))
  outputOf(connection)
  return connection
}

t.test('our READY is that of libzmq, without an identity (zmtp.md 4.3)', async (t) => {
  for (const [name, socketType] of [
    ['ready-pub', 'PUB'],
    ['ready-sub', 'SUB'],
  ] as const) {
    const connection = connectionOf({ socketType })
    feed(connection, GREETING)
    t.equal(toHex(outputOf(connection).subarray(64)), toHex(vector(name)), name)
  }
})

t.test('a PUB talks to SUB and XSUB, a SUB to PUB and XPUB (zmtp.md 4.2)', async (t) => {
  const partners = { PUB: ['sub', 'xsub'], SUB: ['pub', 'xpub'] }
  for (const socketType of ['PUB', 'SUB'] as const) {
    for (const other of ['pub', 'sub', 'xpub', 'xsub', 'dealer-empty-identity', 'router']) {
      const connection = connectionOf({ socketType })
      const expected = partners[socketType].includes(other) ? 'ready -' : 'closed zmtp.md 4.2'
      const ready = vector(`ready-${other}`)
      t.same(feed(connection, concat(GREETING, ready)), [expected], `${socketType} and ${other}`)
    }
  }
})

t.test(
  'subscriptions of libzmq are read in three feeds, in both forms (zmtp.md 7.1)',
  async (t) => {
    for (const name of [
      'subscribe-command',
      'subscribe-command-empty-topic',
      'cancel-command',
      'subscribe-message',
      'subscribe-message-empty-topic',
      'cancel-message',
      'xsub-subscribe-message',
    ]) {
      const { bytes, decoded } = findVector(VECTORS, name)
      const type = name.includes('cancel') ? 'cancel' : 'subscribe'
      const expected = [`${type} ${decoded.topic || '-'}`]
      for (const greeting of [GREETING, OLD_GREETING]) {
        const feeds = feedThree(bytes, Uint8Array.of(0), (chunks) => {
          const connection = readyOf('PUB', greeting)
          return chunks.flatMap((chunk) => feed(connection, chunk))
        })
        t.same(feeds, { whole: expected, byOctet: expected, withTail: expected }, name)
      }
    }
  },
)

t.test('we subscribe and cancel in the octets of libzmq (zmtp.md 7.1)', async (t) => {
  for (const [greeting, form] of [
    [GREETING, 'command'],
    [OLD_GREETING, 'message'],
  ] as const) {
    const connection = readyOf('SUB', greeting)
    const said = (act: () => void) => {
      act()
      return toHex(outputOf(connection))
    }
    t.equal(
      said(() => connection.subscribe(TOPIC)),
      toHex(vector(`subscribe-${form}`)),
    )
    t.equal(
      said(() => connection.subscribe(new Uint8Array(0))),
      toHex(vector(`subscribe-${form}-empty-topic`)),
    )
    t.equal(
      said(() => connection.cancel(TOPIC)),
      toHex(vector(`cancel-${form}`)),
    )
  }
})

t.test('what else comes to a PUB is passed over (zmtp.md 7.2)', async (t) => {
  for (const octets of [
    vector('xsub-user-message'),
    vector('message-empty'),
    fromHex('000102'),
    fromHex('01020161 000162'), // Two frames, the first of which looks like a subscription.
    fromHex('01020161 01020162 000163'),
  ]) {
    const connection = readyOf('PUB')
    t.same(feed(connection, octets), [])
    t.same(feed(connection, vector('subscribe-message')), ['subscribe aaa20101'], 'and goes on')
  }
  const busy = readyOf('PUB')
  busy.handleBytes(fromHex('000102'.repeat(9)), 0)
  t.equal(plain(busy.pollEvent(0) as never), 'passed', 'others may have their turn')
})

t.test('a topic has 255 octets at most (zmtp.md 7.3)', async (t) => {
  const long = pattern(TOPIC_BYTES_MAX + 1)
  const size = (octets: Uint8Array) =>
    Uint8Array.of(0, 0, 0, 0, 0, 0, octets.length >> 8, octets.length)
  for (const [topic, told] of [
    [long.subarray(1), [`subscribe ${toHex(long.subarray(1))}`]],
    [long, ['closed zmtp.md 7.3']],
  ] as const) {
    const message = concat(Uint8Array.of(1), topic)
    t.same(feed(readyOf('PUB'), concat(Uint8Array.of(2), size(message), message)), told)
    const command = concat(Buffer.from('\x09SUBSCRIBE'), topic)
    t.same(feed(readyOf('PUB'), concat(Uint8Array.of(6), size(command), command)), told)
  }
  t.throws(() => readyOf('SUB').subscribe(long), /a topic is too long/)
})

t.test(
  'nobody but a PUB is subscribed to, and nobody but a SUB subscribes (zmtp.md 7.4)',
  async (t) => {
    for (const name of ['subscribe-command', 'cancel-command']) {
      t.same(feed(readyOf('SUB'), vector(name)), [], name)
    }
    t.same(feed(readyOf('SUB'), vector('subscribe-message')), ['message 01aaa20101'], 'a message')
    const assertion = /who subscribes is a SUB after its handshake/
    t.throws(() => readyOf('PUB').subscribe(TOPIC), assertion)
    t.throws(() => connectionOf({ socketType: 'SUB' }).cancel(TOPIC), assertion)
  },
)

t.test('a PUB and a SUB of ours understand each other', async (t) => {
  const [pub, sub] = [connectionOf({ socketType: 'PUB' }), connectionOf({ socketType: 'SUB' })]
  exchange([pub, sub])
  sub.subscribe(TOPIC)
  sub.cancel(TOPIC)
  t.same(exchange([pub, sub]).left.map(plain), ['subscribe aaa20101', 'cancel aaa20101'])
  pub.send([pattern(300)])
  t.match(exchange([pub, sub]).right, [{ type: 'message', frames: [pattern(300)] }])
})

const topic = fc.uint8Array({ maxLength: TOPIC_BYTES_MAX })
const asked = fc.array(fc.tuple(fc.boolean(), topic), { maxLength: 20 })

for (const greeting of [GREETING, OLD_GREETING]) {
  holds(t, `what is subscribed to is read as such, by 3.${greeting[11]}`, asked, (asked) => {
    const [pub, sub] = [readyOf('PUB'), readyOf('SUB', greeting)]
    for (const [isMore, topic] of asked) {
      if (isMore) sub.subscribe(topic)
      else sub.cancel(topic)
    }
    const told = feed(pub, outputOf(sub))
    t.same(
      told,
      asked.map(([isMore, topic]) => `${isMore ? 'subscribe' : 'cancel'} ${toHex(topic) || '-'}`),
    )
  })
}
