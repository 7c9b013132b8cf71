/** Whole nodes on loopback: what is sent is what arrives, in order, however much it is. */

import t from 'tap'
import { text } from '../../src/index.ts'
import { createNodes } from '../support/nodes.ts'
import { digest, pattern } from '../support/octets.ts'

t.test('contents of all shapes arrive as they were sent, whispered and shouted', async (t) => {
  const [alice, bob] = await createNodes(t, ['alice', 'bob'])
  bob.lyre.join('CHAT')
  await alice.next('join')
  for (const content of [
    'text ☂',
    '',
    [],
    [''],
    ['one', '', pattern(255), 'four'],
    new Uint8Array(0),
    pattern(256),
    pattern(4_097),
    pattern(2 ** 20),
    Array.from({ length: 64 }, (_, index) => pattern(index * 100)),
    [pattern(70_000), 'in between', pattern(2 ** 20 + 1)],
  ]) {
    const frames =
      typeof content === 'string' || content instanceof Uint8Array ? [content] : content
    const octets = frames.map((frame) => Uint8Array.from(Buffer.from(frame)))
    const name = `frames of ${octets.map(({ length }) => length).join(' ') || 'nothing'}`
    t.equal(alice.lyre.whisper(bob.lyre.uuid, content), 1)
    t.same((await bob.next('whisper')).content.map(digest), octets.map(digest), name)
    t.equal(alice.lyre.shout('CHAT', content), 1)
    t.same((await bob.next('shout')).content.map(digest), octets.map(digest), name)
  }
})

t.test('messages larger than the limit of a mailbox arrive, and what follows them', async (t) => {
  const [alice, bob] = await createNodes(t, ['alice', 'bob'], {
    limits: { queueBytesMax: 100_000 },
  })
  for (const [octets, digit] of [
    [10_000_000, 1],
    [3_000_000, 2],
    [20_000_000, 3],
  ] as const) {
    const large = new Uint8Array(octets).fill(digit)
    t.equal(alice.lyre.whisper(bob.lyre.uuid, large), 1)
    t.equal(alice.lyre.whisper(bob.lyre.uuid, 'and one behind it'), 1)
    await alice.lyre.drained({ peer: bob.lyre.uuid })
  }
  for (const [octets, digit] of [
    [10_000_000, 1],
    [3_000_000, 2],
    [20_000_000, 3],
  ] as const) {
    const [frame] = (await bob.next('whisper')).content
    t.equal(frame?.length, octets)
    t.equal(frame?.at(-1), digit)
    t.equal(text((await bob.next('whisper')).content), 'and one behind it')
  }
})

t.test('what arrives is a plain Uint8Array, and a text where one is wanted', async (t) => {
  const [alice, bob] = await createNodes(t, ['alice', 'bob'])
  alice.lyre.whisper(bob.lyre.uuid, ['\ufeffmark', 'ö', Uint8Array.of(0xff)])
  const { content } = await bob.next('whisper')
  for (const frame of content) t.equal(frame.constructor.name, 'Uint8Array')
  t.equal(text(content), '\ufeffmark\nö\n\ufffd')
  t.equal(text(content[1] as Uint8Array), 'ö')
})

t.test('what arrives stays as it is, and with `copy` holds nothing else', async (t) => {
  for (const copy of [false, true]) {
    const [alice, bob] = await createNodes(t, ['alice', 'bob'], { copy })
    const texts = Array.from({ length: 2_000 }, (_, index) => `number ${index}`)
    for (const each of texts) alice.lyre.whisper(bob.lyre.uuid, [each, pattern(1_000)])
    const contents: (readonly Uint8Array[])[] = []
    while (contents.length < texts.length) contents.push((await bob.next('whisper')).content)
    t.same(
      contents.map(([first]) => text(first as Uint8Array)),
      texts,
    )
    t.equal(
      contents.every(([, second]) => digest(second as Uint8Array) === digest(pattern(1_000))),
      true,
    )
    const alone = contents.flat().filter(({ buffer, length }) => buffer.byteLength === length)
    t.ok(copy ? alone.length === 2 * texts.length : alone.length < 100, `${alone.length} alone`)
  }
})

t.test('a hundred thousand whispers of one turn arrive, each once and in order', async (t) => {
  const [alice, bob] = await createNodes(t, ['alice', 'bob'])
  const count = 100_000
  let wanted = 0
  let wrong = 0
  const done = new Promise<void>((resolve) => {
    bob.lyre.on('whisper', ({ content }) => {
      if (text(content) !== String(wanted++)) wrong++
      if (wanted === count) resolve()
    })
  })
  let queued = 0
  for (let index = 0; index < count; index++) {
    queued += alice.lyre.whisper(bob.lyre.uuid, String(index))
  }
  t.equal(queued, count)
  await done
  t.equal(wrong, 0)
  t.equal(alice.lyre.diagnostics().peers[0]?.backlogBytes, 0)
})

t.test('both sides send at once, more than a socket takes', async (t) => {
  const nodes = await createNodes(t, ['alice', 'bob'])
  const [alice, bob] = nodes
  const content = pattern(100_000)
  for (let index = 0; index < 200; index++) {
    alice.lyre.whisper(bob.lyre.uuid, content)
    bob.lyre.whisper(alice.lyre.uuid, content)
  }
  for (const node of nodes) {
    for (let index = 0; index < 200; index++) {
      if (digest((await node.next('whisper')).content[0] as Uint8Array) !== digest(content))
        t.fail()
    }
  }
  t.same(alice.story.length, 201)
})

t.test('a sender that awaits drained() never overflows', async (t) => {
  const limits = { queueBytesMax: 4 * 2 ** 20 }
  const [alice, bob] = await createNodes(t, ['alice', 'bob'], { limits })
  const content = pattern(2 ** 19)
  for (let index = 0; index < 100; index++) {
    t.equal(alice.lyre.whisper(bob.lyre.uuid, content), 1)
    await alice.lyre.drained({ peer: bob.lyre.uuid })
  }
  for (let index = 0; index < 100; index++) await bob.next('whisper')
  t.same(alice.story, ['enter bob'])
})

t.test('a sender that does not wait loses the peer, which comes back', async (t) => {
  const limits = { queueBytesMax: 4 * 2 ** 20 }
  const [alice, bob] = await createNodes(t, ['alice', 'bob'], { limits })
  const content = pattern(2 ** 20)
  let queued = 0
  for (let index = 0; index < 40; index++) queued += alice.lyre.whisper(bob.lyre.uuid, content)
  t.ok(queued > 3 && queued < 40, `${queued} of 40 were queued`)
  t.match(await alice.next('exit'), { cause: 'limit' })
  await alice.next('enter')
  t.equal(alice.lyre.diagnostics().counters['mailbox-overflow'], 1)
  t.equal(alice.lyre.whisper(bob.lyre.uuid, 'again'), 1)
  await bob.heard.next(
    'the last',
    (event) => event.type === 'whisper' && text(event.content) === 'again',
  )
})
