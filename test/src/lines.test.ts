import t from 'tap'
import { NullMechanism, ZMTP_LIMITS, ZmtpConnection } from '../../protocol/index.ts'
import { type Line, Lines } from '../../src/lines.ts'
import { type FakeStream, World } from '../support/host.ts'
import { Raw } from '../support/raw.ts'
import { fromHex } from '../support/vectors.ts'

const PORT = 9_000
const AT = `tcp://127.0.0.1:${PORT}`
const MESSAGE = Uint8Array.of(7)

/** Lines whose owner says one message at a time, whenever the one before has left. */
class Owner {
  readonly lines: Lines
  /** What was told of lines: messages that came, and ends. */
  readonly told: string[] = []
  /** How many messages there still are to say. */
  left = 0

  constructor(world: World, acceptedMax = 2) {
    const host = world.host()
    this.lines = new Lines(
      host,
      {
        limits: ZMTP_LIMITS,
        acceptedMax,
        crowded: 'no place',
        begin: (isDialled) => {
          const socketType = isDialled ? 'DEALER' : 'ROUTER'
          return { socketType, mechanism: new NullMechanism({ socketType }) }
        },
        connect: (_, handlers) =>
          host.streams.connect({ address: '127.0.0.1', port: PORT }, handlers),
      },
      {
        event: ({ connection }, { type }) => {
          if (type === 'message') this.told.push(`${connection} ${type}`)
        },
        closed: ({ connection }) => this.told.push(`${connection} closed`),
        drained: (line) => this.#say(line),
        settle: () => void this.lines.pollTimeout(),
      },
    )
  }

  #say({ connection, zmtp, stream }: Line): boolean {
    while (this.left > 0) {
      if (stream.backlogBytes > 0) return true
      this.left--
      zmtp.send([MESSAGE])
      this.lines.flush(connection)
    }
    return false
  }
}

/** An owner that is connected to an end of bare octets. */
async function connected() {
  const world = new World()
  const raws = await Raw.listen(world, { socketType: 'ROUTER', port: PORT })
  const owner = new Owner(world)
  owner.lines.keep(AT)
  await world.settle()
  const [raw, stream] = [raws[0] as Raw, world.streams[0] as FakeStream]
  return { world, owner, raw, raws, stream, lines: owner.lines }
}

/** Stops them, and notes when that was done. */
function stopping({ world, lines }: { world: World; lines: Lines }, lingerMs: number) {
  const stop = { at: Number.NaN, done: Promise.resolve() }
  stop.done = lines.stop(lingerMs).then(() => {
    stop.at = world.now
  })
  return stop
}

t.test('all that its owner has for a line leaves before it is closed', async (t) => {
  for (const way of ['stop', 'drop'] as const) {
    const { world, owner, raw, lines } = await connected()
    owner.left = 20
    if (way === 'stop') await Promise.all([lines.stop(1_000), world.settle()])
    else lines.drop(AT, 1_000)
    await world.settle()
    t.equal(owner.left, 0)
    t.equal(raw.messages.length, 20)
    t.equal(raw.over, 'closed by the peer')
    t.equal(world.now, 0)
    t.same(owner.told, ['1 closed'])
    t.equal(world.nextAt, Number.POSITIVE_INFINITY, 'no timer is left')
    t.same(lines.targets, [])
  }
})

t.test('what does not fit a stream leaves once it does, also while we stop', async (t) => {
  const { world, owner, raw, stream, lines } = await connected()
  owner.left = 3
  stream.stalled = true
  stream.backlogBytes = 1
  const stop = stopping({ world, lines }, 1_000)
  await world.advance(500)
  t.equal(owner.left, 3)
  t.same(owner.told, [])
  stream.stalled = false
  stream.backlogBytes = 0
  stream.handlers?.drain()
  await world.settle()
  await stop.done
  t.equal(stop.at, 500)
  t.equal(raw.messages.length, 3)
})

t.test('who does not take it is closed when its time is over', async (t) => {
  const { world, owner, raw, stream, lines } = await connected()
  owner.left = 3
  stream.stalled = true
  stream.backlogBytes = 1
  const stop = stopping({ world, lines }, 1_000)
  await world.advance(999)
  t.same(owner.told, [])
  await world.advance(1)
  await stop.done
  t.equal(stop.at, 1_000)
  t.equal(owner.left, 3)
  t.same(owner.told, ['1 closed'])
  t.equal(raw.over, 'closed by the peer')
})

t.test('to stop ends the time of those that were dropped before', async (t) => {
  for (const [droppedMs, stoppedMs, overAt] of [
    [1_000, 0, 0],
    [1_000, 300, 300],
    [100, 1_000, 100],
  ] as const) {
    const { world, stream, lines } = await connected()
    stream.stalled = true
    lines.drop(AT, droppedMs)
    const stop = stopping({ world, lines }, stoppedMs)
    await world.advance(2_000)
    await stop.done
    t.equal(stop.at, overAt)
  }
})

t.test('abort() ends the time of all', async (t) => {
  const { world, stream, lines } = await connected()
  stream.stalled = true
  const stop = stopping({ world, lines }, 1_000)
  await world.advance(10)
  lines.abort()
  await world.settle()
  await stop.done
  t.equal(stop.at, 10)
  lines.abort()
})

t.test('they begin anew after a stop, and a place may be kept again', async (t) => {
  const { world, owner, raws, stream, lines } = await connected()
  stream.stalled = true
  lines.drop(AT, 1_000)
  lines.keep(AT)
  await world.settle()
  t.match(lines.targets, [{ endpoint: AT, state: 'connected' }])
  await world.advance(1_000)
  t.same(owner.told, ['1 closed'])
  t.match(lines.targets, [{ endpoint: AT, state: 'connected' }], 'that of the new line')
  await Promise.all([lines.stop(), world.settle()])
  t.equal(raws.length, 2)
  lines.keep(AT)
  await world.settle()
  t.equal(raws.length, 3)
  await Promise.all([lines.stop(), world.settle()])
})

t.test('a line that says much lets others go first, and may be dropped meanwhile', async (t) => {
  const { world, owner, raw, lines } = await connected()
  const many = Array.from({ length: 300 }, () => MESSAGE)
  raw.send(...many)
  world.step()
  t.equal(owner.told.length, 256, 'what a read and a turn may have')
  await world.settle()
  t.equal(owner.told.length, 300)
  owner.told.length = 0
  raw.send(...many)
  world.step()
  lines.drop(AT)
  await world.settle()
  t.equal(owner.told.length, 257)
  t.equal(owner.told.at(-1), '1 closed')
  t.equal(raw.over, 'closed by the peer')
})

t.test('where all places are taken, one makes place, and why is counted', async (t) => {
  const world = new World()
  const { lines } = new Owner(world, 2)
  await world
    .host()
    .streams.listen({ address: '127.0.0.1', port: PORT }, (stream) => lines.accept(stream))
  const raws = [1, 2, 3].map(() => Raw.connect(world, { socketType: 'DEALER', port: PORT }))
  await world.settle()
  t.equal(lines.acceptedCount, 2)
  t.same(lines.counters, { 'no place': 1 })
  t.same(
    raws.map(({ over }) => over).filter((over) => over !== ''),
    ['closed by the peer'],
  )
  await Promise.all([lines.stop(), world.settle()])
})

/** So many lines that were accepted, and the other end of each. */
async function accepted(count: number) {
  const world = new World()
  const { lines } = new Owner(world, count)
  await world
    .host()
    .streams.listen({ address: '127.0.0.1', port: PORT }, (stream) => lines.accept(stream))
  const raws = Array.from({ length: count }, () =>
    Raw.connect(world, { socketType: 'DEALER', port: PORT }),
  )
  await world.settle()
  return { world, lines, raws }
}

t.test('what is read of one line does not cost a look at all others', async (t) => {
  const { world, lines, raws } = await accepted(100)
  let lookCount = 0
  const { pollTimeout } = ZmtpConnection.prototype
  t.teardown(() => Object.assign(ZmtpConnection.prototype, { pollTimeout }))
  ZmtpConnection.prototype.pollTimeout = function () {
    lookCount++
    return pollTimeout.call(this)
  }
  for (const raw of raws) raw.send(MESSAGE)
  await world.settle()
  t.equal(lookCount, 100, 'once for each that was read')
  lines.handleTimeout(lines.pollTimeout() - 1, world.now)
  t.equal(lookCount, 100)
})

t.test('nothing that a line or a place has to do is too late', async (t) => {
  const { world, lines, raws } = await accepted(3)
  t.equal(lines.pollTimeout(), 5_000, 'of the handshakes')
  lines.handleTimeout(5_000, 5_000)
  t.equal(lines.pollTimeout(), Number.POSITIVE_INFINITY, 'which are done')
  // Who says it speaks again within 2.5 s, and who within 0.5.
  raws[0]?.stream.write(fromHex('0407 0450494e47 0019'))
  raws[1]?.stream.write(fromHex('0407 0450494e47 0005'))
  await world.settle()
  t.equal(lines.pollTimeout(), 500)
  world.now = 400
  raws[1]?.send(MESSAGE)
  await world.settle()
  lines.handleTimeout(500, 500)
  t.equal(lines.acceptedCount, 3)
  t.equal(lines.pollTimeout(), 900)
  lines.handleTimeout(900, 900)
  t.same([lines.acceptedCount, lines.pollTimeout()], [2, 2_500])
  await Promise.all([lines.stop(), world.settle()])
})

t.test('a place is dialled again when it is time, whatever else there is', async (t) => {
  const world = new World()
  const { lines } = new Owner(world)
  lines.keep(AT)
  t.equal(lines.pollTimeout(), 5_000)
  await world.settle()
  const at = lines.pollTimeout()
  t.ok(at >= 50 && at <= 100, `${at} ms`)
  lines.handleTimeout(at, at)
  t.match(lines.targets, [{ state: 'dialling' }])
  await Promise.all([lines.stop(), world.settle()])
})
