import t from 'tap'
import { EventStream, type LyreEvent, type OverrunEvent, text } from '../../src/events.ts'
import { memory } from '../support/memory.ts'

const PEER = {
  uuid: 'a'.repeat(32),
  name: 'alice',
  endpoint: 'tcp://127.0.0.1:9',
  headers: {},
  groups: [],
  state: 'entered',
} as const
const MIB = 2 ** 20
const LIMITS = { eventsMax: 3, eventBytesMax: MIB }

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
  stream.push(whisper(0.6 * MIB))
  stream.push(whisper(0.5 * MIB))
  stream.push(whisper(1))
  t.same(await read(stream, 2), ['whisper', 'overrun 2'])
  stream.push(whisper(10 * MIB))
  t.same(await read(stream, 1), ['whisper'])
  stream.push(whisper(0.4 * MIB))
  stream.push(whisper(0.4 * MIB))
  t.same(await read(stream, 2), ['whisper', 'whisper'], 'what was read no longer counts')
})

t.test('what events share is counted once, and as long as one of them waits', async (t) => {
  const stream = new EventStream({ eventsMax: 1_000, eventBytesMax: MIB }, () => {})
  const octets = new ArrayBuffer(0.6 * MIB)
  const part = (offset: number): LyreEvent => {
    const content = [new Uint8Array(octets, offset, 1), new Uint8Array(octets, offset + 1, 1)]
    return { type: 'whisper', peer: PEER, content }
  }
  for (const offset of [1, 3, 5]) stream.push(part(offset))
  t.same(await read(stream, 2), ['whisper', 'whisper'])
  stream.push(whisper(0.5 * MIB))
  t.same(await read(stream, 2), ['whisper', 'overrun 1'], 'the third part still held it')
  stream.push(whisper(0.5 * MIB))
  stream.push(whisper(0.4 * MIB))
  t.same(await read(stream, 2), ['whisper', 'whisper'])
})

t.test('what a handler gave away while it waited counts no longer once all is read', async (t) => {
  const stream = new EventStream(LIMITS, () => {})
  for (let round = 0; round < 5; round++) {
    const octets = new ArrayBuffer(0.6 * MIB)
    stream.push(withContent([new Uint8Array(octets, 8, 8)]))
    stream.push(join('A'))
    structuredClone(octets, { transfer: [octets] })
    t.same(await read(stream, 2), ['whisper', 'join A'])
  }
})

t.test('what a reader takes at once is never too much', async (t) => {
  const stream = new EventStream({ eventsMax: 1, eventBytesMax: 1 }, () => {})
  for (let index = 0; index < 10; index++) {
    const reading = read(stream, 1)
    stream.push(whisper(1_000))
    t.same(await reading, ['whisper'])
  }
})

/** Events of one kind, each with what it keeps in memory made anew, and how many of them are too much for 4 MiB. */
const KINDS: Record<string, { readonly count: number; make(index: number): LyreEvent }> = {
  'events without anything': { count: 50_000, make: () => ({ type: 'evasive', peer: PEER }) },
  'messages without frames': { count: 50_000, make: () => withContent([]) },
  'names of groups': {
    count: 40_000,
    make: (index) => ({ type: 'shout', peer: PEER, group: name(index), content: [] }),
  },
  'small copies': { count: 20_000, make: () => whisper(8) },
  'large copies': { count: 500, make: () => whisper(10_000) },
  'small reads': { count: 10_000, make: () => withContent([view(24)]) },
  'small messages of large reads': { count: 100, make: () => withContent([view(65_536)]) },
  'empty frames': {
    count: 50,
    make: () => withContent(Array.from({ length: 1_000 }, () => new Uint8Array(OCTETS, 8, 0))),
  },
  'new snapshots': {
    count: 10_000,
    make: (index) => ({ type: 'join', peer: { ...PEER, groups: [name(index)] }, group: 'A' }),
  },
  'snapshots of many groups': {
    count: 200,
    make: () => ({ type: 'join', peer: { ...PEER, groups: names(1_000) }, group: 'A' }),
  },
  'snapshots of many headers': {
    count: 500,
    make: () => {
      const headers = Object.fromEntries(names(64).map((key) => [key, name('value '.repeat(50))]))
      return { type: 'enter', peer: { ...PEER, headers } }
    },
  },
}
const OCTETS = new ArrayBuffer(8)

function withContent(content: readonly Uint8Array[]): LyreEvent {
  return { type: 'whisper', peer: PEER, content }
}

function view(bytes: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(bytes), 8, 8)
}

/** A text that nobody else has, as one that was read. */
function name(given: number | string): string {
  return Buffer.from(`name ${given}`).toString()
}

function names(length: number): string[] {
  return Array.from({ length }, (_, index) => name(index))
}

t.test('whatever waits unread, its memory keeps to eventBytesMax', async (t) => {
  const eventBytesMax = 4 * MIB
  const used = () => memory('heapUsed') + process.memoryUsage().arrayBuffers
  for (const [kind, { count, make }] of Object.entries(KINDS)) {
    const stream = new EventStream({ eventsMax: count, eventBytesMax }, () => {})
    const before = used()
    for (let index = 0; index < count; index++) stream.push(make(index))
    const grown = used() - before
    t.ok(grown < 1.1 * eventBytesMax, `${kind}: ${grown} octets`)
    stream.end()
    const events = await read(stream, count)
    t.match(events[events.indexOf('done') - 1], /^overrun/, kind)
  }
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
  const stream = new EventStream({ eventsMax: 10_000, eventBytesMax: 10 * MIB }, () => {})
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
