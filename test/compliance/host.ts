/**
 * What every Host has to do, whatever it is made of: src/host.ts as a suite of tests. Who brings a new kind of Host runs
 * this on it, and what runs on Hosts cannot tell the difference. Past 600 lines because it is the whole of that contract.
 */

import type { Test } from 'tap'
import type {
  Address,
  DatagramHandlers,
  DatagramOptions,
  DatagramSocket,
  Host,
  Stream,
  StreamHandlers,
  StreamServer,
} from '../../src/host.ts'
import { Heard } from '../support/heard.ts'
import { concat, digest, pattern } from '../support/octets.ts'
import { multicastDnsCompliance } from './mdns.ts'

export interface HostUnderTest {
  readonly host: Host
  /** An address of the host that can be listened at and connected to. */
  readonly address: string
  /** One of IPv6, where the host has that, in its canonical text. */
  readonly ipv6?: string
  /** Where datagrams go that everybody bound to a port hears. */
  readonly broadcast: string
  /** A UDP port that nobody has. */
  freePort(): Promise<number>
  /** Gives back the error that surfaces next, as the host's process sees it. */
  surfaced(t: Test): Promise<unknown>
}

/** A host may read to where a receiver says, or give it what it has read itself. */
type Way = 'received' | 'filled'
const WAYS: readonly Way[] = ['received', 'filled']
type StreamsUnderTest = HostUnderTest & { readonly way?: Way }

const MIB = 2 ** 20

/** Runs the suite: `t` gets a subtest for each behaviour. */
export async function hostCompliance(t: Test, subject: HostUnderTest): Promise<void> {
  await t.test('clock', (t) => clock(t, subject))
  await t.test('clock: gathering', (t) => gathering(t, subject))
  await t.test('datagrams', (t) => datagrams(t, subject))
  await t.test('multicast DNS', (t) => multicastDnsCompliance(t, subject))
  await t.test('streams: beginning', (t) => beginnings(t, subject))
  for (const way of WAYS) {
    await t.test(`streams: octets, ${way}`, (t) => octets(t, { ...subject, way }))
    await t.test(`streams: back-pressure, ${way}`, (t) => backPressure(t, { ...subject, way }))
    await t.test(`streams: end, ${way}`, (t) => ends(t, { ...subject, way }))
  }
  await t.test('storage', (t) => storage(t, subject))
  const { ipv6 } = subject
  if (ipv6 !== undefined) await t.test('IPv6', (t) => families(t, { ...subject, address: ipv6 }))
  await t.test('the rest', (t) => rest(t, subject))
}

/** The same with an address of IPv6, and what it has to do with IPv4: nothing. */
async function families(t: Test, subject: HostUnderTest): Promise<void> {
  const { host, address } = subject
  await t.test('streams: beginning', (t) => beginnings(t, subject))
  await t.test('streams: octets', (t) => octets(t, { ...subject, way: 'filled' }))
  await t.test('streams: end', (t) => ends(t, { ...subject, way: 'received' }))

  t.test('who listens at :: hears nobody by IPv4, who may have the same port', async (t) => {
    // Of those that a system gives away by itself, another process may have the same one by IPv4.
    const port = await subject.freePort()
    await listen(t, { ...subject, address: '::' }, port)
    const dialled = dial(t, { ...subject, address: '127.0.0.1' }, port)
    t.not(await dialled.closed(), '')
    const other = await host.streams.listen({ address: '0.0.0.0', port }, () => new End().handlers)
    t.equal(other.port, port)
    other.close()
    t.equal(await dial(t, subject, port).heard.next('open'), 'open')
  })

  t.test('datagrams of the one family are none of the other, at the same port', async (t) => {
    const port = await subject.freePort()
    const options = { port, shared: true, broadcast: false }
    const ipv4 = await open(t, subject, { ...options, address: '0.0.0.0' })
    const ipv6 = await open(t, subject, { ...options, address: '::' })
    const sender = { port: 0, shared: false, broadcast: false }
    for (const [from, to] of [
      [address, ipv6],
      ['127.0.0.1', ipv4],
    ] as const) {
      const { socket } = await open(t, subject, { ...sender, address: from })
      socket.send(pattern(22), { address: from, port })
      const heard = await to.heard.next('22 octets')
      t.equal(heard.hex, digest(pattern(22)))
      t.equal(heard.from.address, from)
    }
    t.equal(ipv4.heard.items.length + ipv6.heard.items.length, 2)
  })

  t.test('a group on an interface that is not there is a NetworkError', async (t) => {
    const port = await subject.freePort()
    const options = { address: '::', port, shared: true, broadcast: false }
    const bad = open(t, subject, { ...options, multicast: 'ff02::1%no-such-link' })
    await t.rejects(bad, { name: 'NetworkError', message: new RegExp(`${port}`) })
  })
}

async function clock(t: Test, { host }: HostUnderTest): Promise<void> {
  const { clock } = host
  t.test('it knows what time it is, more or less', async (t) => {
    const from = clock.wall()
    const at = clock.now()
    t.ok(Number.isSafeInteger(from) && from >= Date.UTC(2000), `${from}`)
    const heard = new Heard<number>()
    clock.timer(() => heard.add(clock.wall())).set(at + 20)
    const passed = (await heard.next('the timer')) - from
    // A clock may be set at any time, though not in a test, and be slewed.
    t.ok(passed >= 15 && passed <= 60_000, `${passed} ms passed`)
  })
  t.test('it never goes back', async (t) => {
    let last = clock.now()
    for (let index = 0; index < 10_000; index++) {
      const now = clock.now()
      if (now < last) t.fail(`${now} after ${last}`)
      last = now
    }
    t.ok(Number.isFinite(last))
  })

  t.test('a timer calls once, at its instant or after', async (t) => {
    const heard = new Heard<number>()
    const timer = clock.timer(() => heard.add(clock.now()))
    const at = clock.now() + 20
    timer.set(at)
    const calledAt = await heard.next('a call')
    // A timer of a real host may be early by the fraction that its system rounds off.
    t.ok(calledAt >= at - 2, `${calledAt - at} ms late`)
    const later = clock.timer(() => heard.add(0))
    later.set(clock.now() + 50)
    await heard.next('another timer')
    t.equal(heard.items.length, 2)
  })

  t.test(
    'a timer that is set again forgets the instant before, and Infinity is never',
    async (t) => {
      const heard = new Heard<string>()
      const timer = clock.timer(() => heard.add('moved'))
      const never = clock.timer(() => heard.add('never'))
      const last = clock.timer(() => heard.add('last'))
      timer.set(clock.now() + 5)
      timer.set(clock.now() + 30)
      never.set(clock.now() + 5)
      never.set(Number.POSITIVE_INFINITY)
      last.set(clock.now() + 80)
      await heard.next('the last', (item) => item === 'last')
      t.same(heard.items, ['moved', 'last'])
    },
  )

  t.test('an instant that has passed is now, and not from within set()', async (t) => {
    const heard = new Heard<string>()
    clock.timer(() => heard.add('called')).set(clock.now() - 1_000)
    heard.add('set')
    await heard.next('a call', (item) => item === 'called')
    t.same(heard.items, ['set', 'called'])
  })

  t.test('a timer can set itself again', async (t) => {
    const heard = new Heard<number>()
    const timer = clock.timer(() => {
      heard.add(heard.items.length)
      if (heard.items.length < 3) timer.set(clock.now() + 1)
    })
    timer.set(clock.now())
    await heard.next('the third call', (item) => item === 2)
    t.same(heard.items, [0, 1, 2])
  })

  t.test('what is deferred comes later, in order, each once', async (t) => {
    const heard = new Heard<string>()
    clock.defer(() => heard.add('first'))
    clock.defer(() => heard.add('second'))
    heard.add('now')
    await heard.next('the second', (item) => item === 'second')
    t.same(heard.items, ['now', 'first', 'second'])
  })
}

async function gathering(t: Test, { host }: HostUnderTest): Promise<void> {
  const { clock } = host
  t.test('what is gathered comes later, in order, each once', async (t) => {
    const heard = new Heard<string>()
    clock.gather(
      () => heard.add('first'),
      () => 1,
    )
    clock.gather(
      () => heard.add('second'),
      () => 1,
    )
    heard.add('now')
    await heard.next('the second', (item) => item === 'second')
    t.same(heard.items, ['now', 'first', 'second'])
  })

  t.test('however often it is gathered, nothing waits for many turns', async (t) => {
    const done = new Heard<number>()
    const waits: number[] = []
    let turn = 0
    const next = () => {
      const begunAt = turn++
      clock.gather(
        () => {
          waits.push(turn - begunAt)
          if (waits.length === 500) done.add(turn)
        },
        () => turn,
      )
      if (turn < 500) clock.defer(next)
    }
    next()
    await done.next('the last')
    t.equal(waits.length, 500)
    t.ok(Math.max(...waits) <= 32, `${Math.max(...waits)} turns`)
  })

  t.test('what is gathered by what was gathered comes as well', async (t) => {
    const heard = new Heard<number>()
    const again = (count: number) => {
      heard.add(count)
      if (count < 100)
        clock.gather(
          () => again(count + 1),
          () => 0,
        )
    }
    clock.gather(
      () => again(1),
      () => 0,
    )
    await heard.next('the last', (count) => count === 100)
    t.equal(heard.items.length, 100)
  })
}

/** A socket and what it heard, closed with the test. */
async function open(
  t: Test,
  { host }: HostUnderTest,
  options: DatagramOptions,
): Promise<{
  readonly socket: DatagramSocket
  readonly heard: Heard<{ readonly hex: string; readonly from: Address }>
  readonly failures: Heard<Error>
}> {
  const heard = new Heard<{ readonly hex: string; readonly from: Address }>()
  const failures = new Heard<Error>()
  const handlers: DatagramHandlers = {
    receive: (bytes, from) => heard.add({ hex: digest(bytes), from }),
    fail: (error) => failures.add(error),
  }
  const socket = await host.datagrams.open(options, handlers)
  t.teardown(() => socket.close().catch(() => {}))
  return { socket, heard, failures }
}

async function datagrams(t: Test, subject: HostUnderTest): Promise<void> {
  const { address, broadcast } = subject
  const sender = { address, port: 0, shared: false, broadcast: true }

  t.test('everybody at a shared port hears what is broadcast, whoever sends it', async (t) => {
    const port = await subject.freePort()
    const options = { address: '0.0.0.0', port, shared: true, broadcast: false }
    const listeners = [await open(t, subject, options), await open(t, subject, options)]
    const { socket } = await open(t, subject, sender)
    for (const size of [0, 1, 22, 1_400]) {
      socket.send(pattern(size), { address: broadcast, port })
      for (const { heard } of listeners) {
        const { hex, from } = await heard.next(`${size} octets`)
        t.equal(hex, digest(pattern(size)))
        t.equal(from.address, address)
        t.ok(from.port > 0)
      }
    }
    for (const { heard } of listeners) t.equal(heard.items.length, 4, 'each once')
  })

  t.test('everybody in a multicast group on loopback hears what is sent to it', async (t) => {
    const port = await subject.freePort()
    const multicast = '239.255.22.38'
    const options = { address: '0.0.0.0', port, shared: true, broadcast: false, multicast }
    const listeners = [await open(t, subject, options), await open(t, subject, options)]
    const local = { ...sender, address: '127.0.0.1', broadcast: false }
    const { socket } = await open(t, subject, { ...local, multicast })
    for (const size of [0, 22, 1_400]) {
      socket.send(pattern(size), { address: multicast, port })
      for (const { heard } of listeners) {
        const { hex, from } = await heard.next(`${size} octets`)
        t.equal(hex, digest(pattern(size)))
        t.equal(from.address, '127.0.0.1')
      }
    }
    for (const { heard } of listeners) t.equal(heard.items.length, 3, 'each once')
    const bad = open(t, subject, { ...local, multicast: '127.0.0.1' })
    await t.rejects(bad, { name: 'NetworkError', cause: { code: 'EINVAL' } })
  })

  t.test('what was given before close() arrives', async (t) => {
    const port = await subject.freePort()
    const listener = await open(t, subject, { address, port, shared: true, broadcast: false })
    const socket = await subject.host.datagrams.open(sender, { receive() {}, fail() {} })
    for (const octet of [1, 2, 3]) socket.send(Uint8Array.of(octet), { address, port })
    await socket.close()
    for (const hex of ['01', '02', '03']) t.equal((await listener.heard.next(hex)).hex, hex)
  })

  t.test('a port that somebody has for himself is a NetworkError', async (t) => {
    const port = await subject.freePort()
    const options = { address: '0.0.0.0', port, shared: false, broadcast: false }
    await open(t, subject, options)
    await t.rejects(open(t, subject, options), {
      name: 'NetworkError',
      message: new RegExp(`${port}`),
      cause: { code: 'EADDRINUSE' },
    })
  })

  t.test('what cannot be sent fails, and the socket goes on', async (t) => {
    const port = await subject.freePort()
    const listener = await open(t, subject, { address, port, shared: true, broadcast: false })
    const { socket, failures } = await open(t, subject, { ...sender, broadcast: false })
    socket.send(new Uint8Array(100_000), { address, port })
    t.type(await failures.next('a failure'), Error)
    socket.send(Uint8Array.of(1), { address: broadcast, port })
    t.type(await failures.next('a failure: broadcasting was not asked for'), Error)
    socket.send(Uint8Array.of(7), { address, port })
    t.equal((await listener.heard.next('07')).hex, '07')
    t.equal(listener.heard.items.length, 1)
  })
}

/** One end of a connection, and all that was told of it. */
export class End {
  readonly heard = new Heard<string>()
  readonly chunks: Uint8Array[] = []
  receivedBytes = 0
  /** Octets that came to where we said. */
  filledBytes = 0
  receiving = () => {}
  #stream: Stream | undefined
  readonly #way: Way
  #room: Uint8Array | undefined
  #roomCount = 0

  constructor(way: Way = 'received') {
    this.#way = way
  }

  get stream(): Stream {
    if (this.#stream === undefined) throw new Error('there is no stream yet')
    return this.#stream
  }

  set stream(stream: Stream) {
    this.#stream = stream
  }

  get handlers(): StreamHandlers {
    const handlers: StreamHandlers = {
      open: () => this.heard.add('open'),
      receive: (bytes) => this.#receive(bytes),
      drain: () => this.heard.add('drain'),
      close: (reason) => this.heard.add(`close ${reason}`),
    }
    if (this.#way === 'received') return handlers
    return { ...handlers, room: () => this.#makeRoom(), filled: (count) => this.#filled(count) }
  }

  /** Memory of all sizes, and sometimes none. */
  #makeRoom(): Uint8Array | undefined {
    const count = this.#roomCount++
    if (count % 16 === 15) this.#room = undefined
    else if (count % 3 === 0) this.#room = new Uint8Array(1 + ((count * 97) % 300))
    else this.#room = new Uint8Array(10 + 65_536).subarray(5, 5 + 65_536)
    return this.#room
  }

  #filled(count: number): void {
    const room = this.#room
    if (room === undefined || count < 1 || count > room.length) {
      throw new Error(`${count} octets came to where there was room for ${room?.length}`)
    }
    // Nothing is to come there before it is asked again.
    this.#room = undefined
    this.filledBytes += count
    this.#receive(room.subarray(0, count))
  }

  #receive(bytes: Uint8Array): void {
    this.chunks.push(bytes)
    this.receivedBytes += bytes.length
    this.heard.add('receive')
    this.receiving()
  }

  async received(count: number): Promise<Uint8Array> {
    await this.heard.until(`${count} octets`, () => this.receivedBytes >= count)
    return concat(...this.chunks)
  }

  /** Waits for the end, and gives back its reason. */
  async closed(): Promise<string> {
    const told = await this.heard.next('the end', (item) => item.startsWith('close '))
    return told.slice('close '.length)
  }

  get closeCount(): number {
    return this.heard.items.filter((item) => item.startsWith('close ')).length
  }
}

async function listen(
  t: Test,
  { host, address, way }: StreamsUnderTest,
  port = 0,
): Promise<{ readonly server: StreamServer; readonly accepted: Heard<End> }> {
  const accepted = new Heard<End>()
  const server = await host.streams.listen({ address, port }, (stream) => {
    const end = new End(way)
    end.stream = stream
    accepted.add(end)
    return end.handlers
  })
  t.teardown(() => {
    server.close()
    for (const { stream } of accepted.items) stream.destroy()
  })
  return { server, accepted }
}

function dial(t: Test, { host, address, way }: StreamsUnderTest, port: number): End {
  const end = new End(way)
  end.stream = host.streams.connect({ address, port }, end.handlers)
  t.teardown(() => end.stream.destroy())
  return end
}

/** Two ends of one connection. */
export async function pair(
  t: Test,
  subject: StreamsUnderTest,
): Promise<{ readonly dialled: End; readonly accepted: End; readonly server: StreamServer }> {
  const { server, accepted } = await listen(t, subject)
  const dialled = dial(t, subject, server.port)
  await dialled.heard.next('open')
  return { dialled, accepted: await accepted.next('a connection'), server }
}

async function beginnings(t: Test, subject: HostUnderTest): Promise<void> {
  const { host, address } = subject

  t.test('port 0 is any that is free, and both sides learn of a connection', async (t) => {
    const { server, accepted } = await listen(t, subject)
    t.ok(Number.isInteger(server.port) && server.port > 0)
    const dialled = dial(t, subject, server.port)
    t.same(dialled.heard.items, [], 'nothing is told before connect() returns')
    t.equal(dialled.stream.remoteAddress, '')
    t.equal(await dialled.heard.next('open'), 'open')
    t.equal(dialled.stream.remoteAddress, address)
    const { stream, heard } = await accepted.next('a connection')
    t.equal(stream.remoteAddress, address)
    stream.write(Uint8Array.of(1))
    await dialled.received(1)
    t.same(heard.items, [], 'who accepts is told no open')
  })

  t.test('a taken port is a NetworkError that says so', async (t) => {
    const { server } = await listen(t, subject)
    const again = host.streams.listen({ address, port: server.port }, () => new End().handlers)
    await t.rejects(again, {
      name: 'NetworkError',
      message: new RegExp(`${server.port}`),
      cause: { code: 'EADDRINUSE' },
    })
  })

  t.test('where nobody listens the connection closes, with a reason, once', async (t) => {
    const { server } = await listen(t, subject)
    server.close()
    const dialled = dial(t, subject, server.port)
    t.not(await dialled.closed(), '')
    t.same(dialled.heard.items.length, 1)
  })

  t.test('a server that closes leaves its connections', async (t) => {
    const { server, dialled, accepted } = await pair(t, subject)
    server.close()
    const next = { address, port: server.port }
    const second = await host.streams.listen(next, () => new End().handlers)
    t.equal(second.port, server.port, 'the port is free again')
    second.close()
    dialled.stream.write(Uint8Array.of(1))
    await accepted.received(1)
    accepted.stream.write(Uint8Array.of(2))
    await dialled.received(1)
    t.equal(dialled.closeCount + accepted.closeCount, 0)
  })
}

async function octets(t: Test, subject: StreamsUnderTest): Promise<void> {
  t.test('octets come in order and unchanged, however they were sliced', async (t) => {
    const { dialled, accepted } = await pair(t, subject)
    const all = pattern(3 * MIB)
    for (const [from, to] of [
      [dialled, accepted],
      [accepted, dialled],
    ] as const) {
      for (
        let offset = 0, size = 1;
        offset < all.length;
        offset += size, size = (size * 3) % 100_003
      ) {
        from.stream.write(all.subarray(offset, offset + size))
      }
      t.equal(digest(await to.received(all.length)), digest(all))
      t.equal(to.receivedBytes, all.length)
    }
  })

  t.test('octets come in order in parts, too, and what has left need not be kept', async (t) => {
    const { dialled, accepted } = await pair(t, subject)
    const all = pattern(2 * MIB)
    const memory = new Uint8Array(100_000)
    let takenCount = 0
    for (let offset = 0, turn = 1; offset < all.length; turn++) {
      const part = all.subarray(offset, offset + ((turn * 7_919) % 50_000))
      offset += part.length
      memory.set(part)
      const half = part.length >> 1
      const parts = [
        memory.slice(0, 0),
        memory.subarray(0, half),
        memory.subarray(half, part.length),
      ]
      if (dialled.stream.write(...parts)) {
        t.equal(dialled.stream.backlogBytes, 0)
        takenCount++
        memory.fill(0xee)
      } else {
        await accepted.received(offset)
        await new Promise((resolve) => subject.host.clock.defer(() => resolve(undefined)))
      }
    }
    t.equal(digest(await accepted.received(all.length)), digest(all))
    t.comment(`${takenCount} times all had left at once`)
  })

  t.test("what came is the receiver's, to keep and to change", async (t) => {
    const { dialled, accepted } = await pair(t, subject)
    for (let octet = 0; octet < 50; octet++) {
      dialled.stream.write(new Uint8Array(1_000).fill(octet))
      await accepted.received((octet + 1) * 1_000)
      for (const chunk of accepted.chunks.slice(0, -1)) chunk.fill(0xff)
    }
    const last = accepted.chunks.at(-1)
    t.equal(last?.at(-1), 49)
    t.equal(last?.constructor.name, 'Uint8Array', 'a plain one: slice() copies')
  })

  t.test('what is deferred by one receiver comes after what others can receive', async (t) => {
    const pairs = [await pair(t, subject), await pair(t, subject), await pair(t, subject)]
    const order = new Heard<string>()
    for (const { accepted } of pairs) {
      accepted.receiving = () => {
        order.add('receive')
        subject.host.clock.defer(() => order.add('deferred'))
      }
    }
    for (const { dialled } of pairs) dialled.stream.write(Uint8Array.of(1))
    await order.until('all', () => order.items.length === 6)
    t.same(order.items, [...Array(3).fill('receive'), ...Array(3).fill('deferred')])
  })

  t.test('what is written before the connection is there arrives', async (t) => {
    const { server, accepted } = await listen(t, subject)
    const dialled = dial(t, subject, server.port)
    dialled.stream.write(pattern(100_000))
    const end = await accepted.next('a connection')
    t.equal(digest(await end.received(100_000)), digest(pattern(100_000)))
  })
}

async function backPressure(t: Test, subject: StreamsUnderTest): Promise<void> {
  t.test(
    'a receiver that pauses lets the backlog grow, and drain follows when it reads on',
    async (t) => {
      const { dialled, accepted } = await pair(t, subject)
      accepted.stream.pause()
      t.equal(dialled.stream.backlogBytes, 0)
      let writtenBytes = 0
      // More than any system keeps between two sockets.
      while (writtenBytes < 32 * MIB) {
        dialled.stream.write(new Uint8Array(MIB))
        writtenBytes += MIB
      }
      const backlogBytes = dialled.stream.backlogBytes
      t.ok(backlogBytes > MIB && backlogBytes <= writtenBytes, `${backlogBytes} octets wait`)
      const before = accepted.receivedBytes
      t.ok(before < writtenBytes)
      t.notOk(dialled.heard.items.includes('drain'))
      accepted.stream.resume()
      await accepted.received(writtenBytes)
      await dialled.heard.next('drain', (item) => item === 'drain')
      t.equal(dialled.stream.backlogBytes, 0)
      t.equal(accepted.receivedBytes, writtenBytes)
    },
  )

  t.test('who has paused hears nothing until it resumes, not even the end', async (t) => {
    const { dialled, accepted } = await pair(t, subject)
    accepted.stream.pause()
    dialled.stream.write(Uint8Array.of(1, 2, 3))
    dialled.stream.end()
    const other = await pair(t, subject)
    other.dialled.stream.write(Uint8Array.of(1))
    await other.accepted.received(1)
    t.same(accepted.heard.items, [], 'others were heard meanwhile')
    accepted.stream.resume()
    t.same([...(await accepted.received(3))], [1, 2, 3])
    await accepted.closed()
  })
}

async function ends(t: Test, subject: StreamsUnderTest): Promise<void> {
  t.test('end() delivers all that was written, then both sides are told, once', async (t) => {
    const { dialled, accepted } = await pair(t, subject)
    dialled.stream.write(pattern(5 * MIB))
    dialled.stream.end()
    t.equal(digest(await accepted.received(5 * MIB)), digest(pattern(5 * MIB)))
    t.not(await accepted.closed(), '')
    t.not(await dialled.closed(), '')
    t.equal(dialled.closeCount + accepted.closeCount, 2)
  })

  t.test('destroy() ends both sides, once; the one that did it as well', async (t) => {
    const { dialled, accepted } = await pair(t, subject)
    accepted.stream.destroy()
    accepted.stream.destroy()
    t.same([dialled.closeCount, accepted.closeCount], [0, 0], 'not from within destroy()')
    t.not(await dialled.closed(), '')
    t.not(await accepted.closed(), '')
    // Whatever is done to it now is nothing.
    for (const { stream } of [dialled, accepted]) {
      stream.write(Uint8Array.of(1))
      stream.pause()
      stream.resume()
      stream.end()
      stream.destroy()
      t.type(stream.remoteAddress, 'string')
    }
    const other = await pair(t, subject)
    other.dialled.stream.destroy()
    await other.accepted.closed()
    t.same([dialled.closeCount, accepted.closeCount], [1, 1])
  })

  t.test('destroy() before the connection is there is an end as well', async (t) => {
    const { server } = await listen(t, subject)
    const dialled = dial(t, subject, server.port)
    dialled.stream.destroy()
    t.not(await dialled.closed(), '')
    t.same(dialled.heard.items.length, 1)
  })
}

async function storage(t: Test, { host }: HostUnderTest): Promise<void> {
  const path = `${t.testdir({})}/of/a node`

  t.test('what was written is read, as the last one wrote it, by whoever opens it', async (t) => {
    const folder = host.storage.folder(path)
    t.equal(folder.read('a.json'), undefined)
    folder.write('a.json', 'one')
    folder.write('a.json', 'two ☂')
    folder.write('b.json', '')
    const other = host.storage.folder(path)
    t.same([other.read('a.json'), other.read('b.json')], ['two ☂', ''])
    t.equal(host.storage.folder(`${path}/else`).read('a.json'), undefined)
  })

  t.test('a folder is had by one at a time', async (t) => {
    const folder = host.storage.folder(`${path}/claimed`)
    const release = folder.claim()
    const busy = { name: 'UsageError', message: /claimed is in use.*a state folder of its own/ }
    t.throws(() => host.storage.folder(`${path}/claimed`).claim(), busy)
    release()
    folder.claim()()
  })

  t.test('there is a date', async (t) => {
    t.ok(host.storage.date() > 1_700_000_000_000)
  })
}

async function rest(t: Test, { host, address, surfaced }: HostUnderTest): Promise<void> {
  t.test('a name is looked up, and one that nobody has is a NetworkError', async (t) => {
    t.ok((await host.resolve('localhost')).includes('127.0.0.1'))
    await t.rejects(host.resolve('nobody.invalid'), { name: 'NetworkError', message: /nobody/ })
  })

  t.test('random octets are as many as asked for, and others each time', async (t) => {
    for (const count of [0, 1, 16, 1_000]) t.equal(host.random(count).length, count)
    t.not(digest(host.random(32)), digest(host.random(32)))
    t.equal(host.random(16).constructor.name, 'Uint8Array')
  })

  t.test('memory is as much as asked for, and for nobody else', async (t) => {
    for (const count of [0, 1, 16, 4_096, 1_000_000]) {
      const [one, other] = [host.allocate(count), host.allocate(count)]
      t.same([one.length, one.byteOffset, one.buffer.byteLength], [count, 0, count])
      t.equal(one.constructor.name, 'Uint8Array')
      t.not(one.buffer, other.buffer)
    }
  })

  t.test('its interfaces have the address that is listened at', async (t) => {
    const found = host.interfaces().filter(({ family }) => family === 'IPv4')
    t.ok(found.some((one) => one.address === address))
    for (const { name, netmask } of found) {
      t.not(name, '')
      t.match(netmask, /^\d+\.\d+\.\d+\.\d+$/)
    }
  })

  t.test('what is surfaced is thrown where nobody catches it, and not at once', async (t) => {
    const error = new Error('of an application')
    const next = surfaced(t)
    host.surface(error)
    t.pass('the caller goes on')
    t.equal(await next, error)
  })
}
