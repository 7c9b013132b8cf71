import t from 'tap'
import { EventStream, type LyreEvent, type OverrunEvent, text } from '../../src/events.ts'

const PEER = {
  uuid: 'a'.repeat(32),
  name: 'alice',
  endpoint: 'tcp://127.0.0.1:9',
  headers: {},
  groups: [],
  state: 'entered',
} as const
const LIMITS = { eventsMax: 3, eventBytesMax: 100 }

function whisper(size: number): LyreEvent {
  return { type: 'whisper', peer: PEER, content: [new Uint8Array(size)] }
}

function join(group: string): LyreEvent {
  return { type: 'join', peer: PEER, group }
}

function plain(event: LyreEvent | OverrunEvent): string {
  if (event.type === 'overrun') return `overrun ${event.count}`
  if ('group' in event) return `${event.type} ${event.group}`
  return event.type
}

/** Reads as many as there should be. */
async function read(stream: EventStream, count: number): Promise<string[]> {
  const events: string[] = []
  for (let index = 0; index < count; index++) {
    const { done, value } = await stream.next()
    events.push(done ? 'done' : plain(value))
  }
  return events
}

t.test('events come in order, read before or after they happen', async (t) => {
  const stream = new EventStream(LIMITS, () => {})
  stream.push(join('A'))
  stream.push(join('B'))
  const reading = read(stream, 4)
  await Promise.resolve()
  stream.push(join('C'))
  stream.push(join('D'))
  t.same(await reading, ['join A', 'join B', 'join C', 'join D'])
})

t.test('several may wait at once, and each gets its own', async (t) => {
  const stream = new EventStream(LIMITS, () => {})
  const waiting = [stream.next(), stream.next(), stream.next()]
  for (const group of ['A', 'B']) stream.push(join(group))
  stream.end()
  const results = await Promise.all(waiting)
  t.same(
    results.map(({ done, value }) => (done ? 'done' : plain(value))),
    ['join A', 'join B', 'done'],
  )
})

t.test('what is too much is counted, and told where it is missing', async (t) => {
  const stream = new EventStream(LIMITS, () => {})
  for (const group of ['A', 'B', 'C', 'D', 'E']) stream.push(join(group))
  t.same(await read(stream, 2), ['join A', 'join B'])
  stream.push(join('F')) // There would be room, but it would come before the gap.
  t.same(await read(stream, 2), ['join C', 'overrun 3'])
  stream.push(join('G'))
  t.same(await read(stream, 1), ['join G'])
})

t.test('octets of content count, but one message always has room', async (t) => {
  const stream = new EventStream(LIMITS, () => {})
  stream.push(whisper(60))
  stream.push(whisper(41))
  stream.push(whisper(1))
  t.same(await read(stream, 2), ['whisper', 'overrun 2'])
  stream.push(whisper(1_000))
  t.same(await read(stream, 1), ['whisper'])
  stream.push(whisper(50))
  stream.push(whisper(50))
  t.same(await read(stream, 2), ['whisper', 'whisper'], 'what was read no longer counts')
})

t.test('after the end what is queued can still be read, the overrun too', async (t) => {
  let endCount = 0
  const stream = new EventStream(LIMITS, () => endCount++)
  for (const group of ['A', 'B', 'C', 'D']) stream.push(join(group))
  stream.end()
  stream.end()
  t.equal(endCount, 1)
  t.same(await read(stream, 6), ['join A', 'join B', 'join C', 'overrun 1', 'done', 'done'])
})

t.test('a loop that is left ends its stream', async (t) => {
  let endCount = 0
  const stream = new EventStream(LIMITS, () => endCount++)
  stream.push(join('A'))
  stream.push(join('B'))
  for await (const event of stream) {
    t.equal(plain(event), 'join A')
    break
  }
  t.equal(endCount, 1)
  t.same(await read(stream, 1), ['done'])
  const waiting = new EventStream(LIMITS, () => {})
  const next = waiting.next()
  await waiting.return()
  t.equal((await next).done, true, 'who waits is released')
})

t.test('a long queue is read to its end', async (t) => {
  const stream = new EventStream({ eventsMax: 10_000, eventBytesMax: 1 }, () => {})
  const groups = Array.from({ length: 5_000 }, (_, index) => `join ${index}`)
  for (let index = 0; index < 5_000; index++) stream.push(join(String(index)))
  t.same(await read(stream, 5_000), groups)
})

t.test('text() reads UTF-8, of one frame or of all', async (t) => {
  const bytes = (content: string) => new TextEncoder().encode(content)
  t.equal(text(bytes('ö☂')), 'ö☂')
  t.equal(text([bytes('one'), bytes(''), bytes('three')]), 'one\n\nthree')
  t.equal(text([]), '')
  t.equal(text(Uint8Array.of(0x61, 0xff)), 'a\ufffd')
  t.equal(text(bytes('\ufeffx')), '\ufeffx', 'a byte order mark is text')
})
