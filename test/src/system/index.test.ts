/** The real host does what every Host has to do. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { Socket } from 'node:net'
import t from 'tap'
import { systemHost } from '../../../src/system/index.ts'
import { type HostUnderTest, hostCompliance, pair } from '../../compliance/host.ts'
import { freePort } from '../../support/nodes.ts'
import { digest, pattern } from '../../support/octets.ts'

const HOST = {
  host: systemHost,
  address: '127.0.0.1',
  broadcast: '127.255.255.255',
  freePort,
}

t.test('the real host is a Host', (t) =>
  hostCompliance(t, {
    ...HOST,
    async surfaced(t) {
      // tap's own handlers would take it for a failure.
      const handlers = process.listeners('uncaughtException')
      process.removeAllListeners('uncaughtException')
      t.teardown(() => {
        for (const handler of handlers) process.on('uncaughtException', handler)
      })
      const [error] = await once(process, 'uncaughtException')
      return error
    },
  }),
)

t.test('loopback broadcasts, but not with macOS and the BSDs', async (t) => {
  const descriptor = Object.getOwnPropertyDescriptor(process, 'platform')
  t.teardown(() => Object.defineProperty(process, 'platform', descriptor ?? {}))
  for (const [platform, broadcasts] of [
    ['linux', true],
    ['android', true],
    ['win32', true],
    ['darwin', false],
    ['freebsd', false],
    ['netbsd', false],
    ['openbsd', false],
  ] as const) {
    Object.defineProperty(process, 'platform', { ...descriptor, value: platform })
    const found = systemHost.interfaces()
    t.ok(found.some(({ loopback }) => loopback))
    for (const one of found) t.equal(one.broadcasts, !one.loopback || broadcasts, platform)
  }
})

t.test('who subscribes to a channel hears what is published from then on', async (t) => {
  const { channels } = systemHost
  const heard: unknown[] = []
  const hear = (message: unknown) => void heard.push(message)
  t.notOk(channels.hasSubscribers('lyre:enter'))
  channels.publish('lyre:enter', 'unheard')
  subscribe('lyre:enter', hear)
  t.ok(channels.hasSubscribers('lyre:enter'))
  t.notOk(channels.hasSubscribers('lyre:exit'))
  channels.publish('lyre:enter', 'heard')
  unsubscribe('lyre:enter', hear)
  t.notOk(channels.hasSubscribers('lyre:enter'))
  t.same(heard, ['heard'])
})

t.test('both sides are read to where they say, as soon as they have heard something', async (t) => {
  const subject: HostUnderTest = { ...HOST, surfaced: () => Promise.reject(new Error('nothing')) }
  for (const way of ['filled', 'received'] as const) {
    const { dialled, accepted } = await pair(t, { ...subject, way })
    for (const [from, to] of [
      [dialled, accepted],
      [accepted, dialled],
    ] as const) {
      from.stream.write(Uint8Array.of(0))
      await to.received(1)
      from.stream.write(pattern(1_000_000).subarray(1))
      t.equal(digest(await to.received(1_000_000)), digest(pattern(1_000_000)), way)
      if (way === 'filled') t.ok(to.filledBytes > 800_000, `${to.filledBytes} octets`)
      else t.equal(to.filledBytes, 0)
    }
  }
})

t.test('no small write waits until the one before it was answered', async (t) => {
  const { setNoDelay } = Socket.prototype
  const told = new Set<Socket>()
  Socket.prototype.setNoDelay = function (this: Socket, isOff) {
    if (isOff === true) told.add(this)
    return setNoDelay.call(this, isOff)
  }
  t.teardown(() => {
    Socket.prototype.setNoDelay = setNoDelay
  })
  const subject: HostUnderTest = { ...HOST, surfaced: () => Promise.reject(new Error('nothing')) }
  await pair(t, { ...subject, way: 'filled' })
  t.equal(told.size, 2, 'who dials, and who accepts')
})

t.test('what is gathered waits for no turn that takes long', async (t) => {
  const { gather, now } = systemHost.clock
  let amount = 0
  let turnCount = 0
  const spin = (ms: number) => {
    for (const end = now() + ms; now() < end; );
  }
  const turnsOf = (ms: number) =>
    new Promise<number>((resolve) => {
      let isOver = false
      const turn = () => {
        if (isOver) return
        turnCount++
        amount++
        spin(ms)
        setImmediate(turn)
      }
      turnCount = 0
      gather(
        () => {
          isOver = true
          resolve(turnCount)
        },
        () => amount,
      )
      setImmediate(turn)
    })
  for (let round = 0; round < 50; round++) await turnsOf(0)
  for (let round = 0; round < 50; round++) {
    const count = await turnsOf(1)
    if (count > 2) t.fail(`it waited for ${count} turns of a millisecond`)
  }
  t.pass('each was called in the turn that came next, or one later')
})
