/** When a seed is dialled, and when not. */

import fc from 'fast-check'
import t from 'tap'
import type { ExitCause } from '../../protocol/peers.ts'
import { type SeedEffect, type SeedOutcome, Seeds } from '../../protocol/seeds.ts'
import { endpointOf, uuidOf } from '../support/harmony.ts'
import { holds } from '../support/holds.ts'
import { expect } from '../support/witness.ts'

const NAME = 'tcp://kitchen.example:49152'
const OWN = '3f9a0b6c4dd71e2895c0ab7712e46f08'

class Garden {
  now = 0
  readonly seeds = new Seeds(OWN)

  start(...endpoints: readonly string[]): string[] {
    this.seeds.start(
      endpoints.map((endpoint) => ({ endpoint, remembered: false })),
      this.now,
    )
    return this.lines()
  }

  lines(): string[] {
    const lines: string[] = []
    const line = (effect: SeedEffect) =>
      effect.type === 'dial' ? `dial ${effect.endpoint}` : `resolve ${effect.host}`
    for (let effect = this.seeds.pollEffect(); effect; effect = this.seeds.pollEffect()) {
      lines.push(line(effect))
    }
    return lines
  }

  /** Goes on to when something is due. @returns how long that took. */
  next(): number {
    const before = this.now
    this.now = this.seeds.pollTimeout()
    this.seeds.handleTimeout(this.now)
    return this.now - before
  }

  outcome(endpoint: string, told: Partial<SeedOutcome> & { readonly present?: boolean }): string[] {
    const nothing = { uuid: undefined, greeted: false, reason: 'refused', present: false }
    this.seeds.handleOutcome({ endpoint, ...nothing, ...told }, this.now)
    return this.lines()
  }

  resolved(...addresses: readonly string[]): string[] {
    const reason = addresses.length === 0 ? 'no such name' : ''
    this.seeds.handleResolved('kitchen.example', { addresses, reason }, this.now)
    return this.lines()
  }

  exit(cause: ExitCause): void {
    this.seeds.handleExit(uuidOf(1), cause, this.now)
  }

  get state(): string | undefined {
    return this.seeds.diagnostics(this.now)[0]?.state
  }
}

t.test('a seed is tried again for as long as it takes (harmony.md 8.5)', async (t) => {
  const garden = new Garden()
  t.same(garden.start(endpointOf(1)), [`dial ${endpointOf(1)}`])
  t.equal(garden.seeds.pollTimeout(), Number.POSITIVE_INFINITY, 'one dial at a time')
  const waits: number[] = []
  for (let attempt = 1; attempt <= 20; attempt++) {
    t.same(garden.outcome(endpointOf(1), {}), [])
    waits.push(garden.next())
    t.same(garden.lines(), [`dial ${endpointOf(1)}`])
  }
  for (const [index, wait] of waits.entries()) {
    const longest = Math.min(30_000, 250 * 2 ** (index + 1))
    t.ok(wait >= longest / 2 && wait <= longest, `${wait} of ${longest} ms`)
  }
  t.ok(new Set(waits.slice(-8)).size > 3, 'each wait has a length of its own')
  t.match(garden.seeds.diagnostics(garden.now), [
    {
      endpoint: endpointOf(1),
      state: 'dialling',
      uuid: null,
      attemptCount: 21,
      lastReason: 'refused',
    },
  ])
})

t.test('it is not dialled while its peer is there, and soon after (harmony.md 8.5)', async (t) => {
  const garden = new Garden()
  garden.start(endpointOf(1))
  garden.outcome(endpointOf(1), { uuid: uuidOf(1) })
  t.equal(garden.state, 'found')
  garden.seeds.handleEnter(uuidOf(2))
  t.equal(garden.state, 'found')
  garden.seeds.handleEnter(uuidOf(1))
  t.match(garden.seeds.diagnostics(0), [{ state: 'entered', uuid: uuidOf(1), nextInMs: null }])
  t.equal(garden.seeds.pollTimeout(), Number.POSITIVE_INFINITY)
  garden.seeds.handleExit(uuidOf(2), 'link', 0)
  t.equal(garden.state, 'entered')
  garden.exit('expired')
  t.ok(garden.seeds.pollTimeout() <= 250)
  garden.next()
  garden.seeds.handleEnter(uuidOf(1))
  t.equal(garden.state, 'dialling', 'what comes of the dial is still to be told')
  garden.outcome(endpointOf(1), { uuid: uuidOf(1), present: true })
  t.equal(garden.state, 'entered')
  garden.exit('goodbye')
  t.ok(garden.seeds.pollTimeout() >= garden.now + 15_000, 'who said goodbye need not be back soon')
  garden.seeds.handleEnter(uuidOf(1))
  t.equal(garden.state, 'entered', 'however it came')
})

t.test('who is found and does not enter is tried again (harmony.md 8.5)', async (t) => {
  const garden = new Garden()
  garden.start(endpointOf(1))
  garden.outcome(endpointOf(1), { uuid: uuidOf(1) })
  t.equal(garden.next(), 10_000)
  t.match(garden.seeds.diagnostics(garden.now), [
    { state: 'waiting', lastReason: 'it was found, and did not enter' },
  ])
})

t.test('we ourselves, and who leaves our HELLO unanswered, rest (harmony.md 8.5)', async (t) => {
  const garden = new Garden()
  garden.start(endpointOf(1), endpointOf(2))
  garden.outcome(endpointOf(1), { uuid: OWN })
  t.match(garden.seeds.diagnostics(0)[0], { state: 'self', lastReason: /itself/, uuid: null })
  garden.outcome(endpointOf(2), { greeted: true })
  t.equal(garden.next(), 300_000)
  t.same(garden.lines(), [`dial ${endpointOf(1)}`])
  garden.next()
  t.same(garden.lines(), [`dial ${endpointOf(2)}`])
})

t.test('a name is looked up anew, and its addresses tried in turn (harmony.md 8.6)', async (t) => {
  const garden = new Garden()
  t.same(garden.start(NAME), ['resolve kitchen.example'])
  t.same(garden.resolved(), [])
  t.match(garden.seeds.diagnostics(0), [{ state: 'waiting', lastReason: 'no such name' }])
  t.same(garden.resolved('10.0.0.1'), [], 'an answer that nobody waits for')
  garden.next()
  t.same(garden.lines(), ['resolve kitchen.example'])
  t.same(garden.resolved('10.0.0.1', '10.0.0.2', '10.0.0.3'), [`dial ${endpointOf(1)}`])
  t.same(garden.outcome(endpointOf(1), {}), [`dial ${endpointOf(2)}`])
  t.same(garden.outcome(endpointOf(1), {}), [], 'an outcome that nobody waits for')
  t.same(garden.outcome(endpointOf(2), { uuid: OWN }), [`dial ${endpointOf(3)}`])
  t.same(garden.outcome(endpointOf(3), { uuid: uuidOf(3), present: true }), [])
  t.equal(garden.state, 'entered')
})

t.test('an address of IPv6 is dialled by its one text (harmony.md 2.12, 8.6)', async (t) => {
  const garden = new Garden()
  t.same(garden.start('tcp://[FD00:7::0:1]:1'), ['dial tcp://[fd00:7::1]:1'])
  const named = new Garden()
  named.start(NAME)
  const [dial = ''] = named.resolved('FD00:7::0:1', '10.0.0.1')
  t.match(dial, /^dial tcp:\/\/\[fd00:7::1\]:/)
  t.same(named.outcome(dial.slice(5), {}), [`dial ${endpointOf(1)}`])
})

t.test('what is only remembered is given up (harmony.md 8.7)', async (t) => {
  const garden = new Garden()
  garden.seeds.start([{ endpoint: endpointOf(1), remembered: true }], 0)
  for (const state of ['waiting', 'waiting', 'given-up']) {
    t.same(garden.lines(), [`dial ${endpointOf(1)}`])
    garden.outcome(endpointOf(1), {})
    t.equal(garden.state, state)
    if (state === 'waiting') garden.next()
  }
  t.equal(garden.seeds.pollTimeout(), Number.POSITIVE_INFINITY)
})

t.test(
  'and tried again where we are elsewhere: before, there was no network perhaps',
  async (t) => {
    const garden = new Garden()
    garden.seeds.start([{ endpoint: endpointOf(1), remembered: true }], 0)
    for (let move = 0; move < 2; move++) {
      for (let attempt = 0; attempt < 3; attempt++) {
        t.same(garden.lines(), [`dial ${endpointOf(1)}`])
        garden.outcome(endpointOf(1), {})
        if (garden.state === 'waiting') garden.next()
      }
      t.equal(garden.state, 'given-up')
      garden.seeds.move(garden.now)
      t.equal(garden.state, 'waiting')
      garden.next()
    }
  },
)

t.test('who is elsewhere tries all that wait again, and who stops none', async (t) => {
  const garden = new Garden()
  garden.start(endpointOf(1), endpointOf(2))
  for (let attempt = 0; attempt < 6; attempt++) {
    garden.outcome(endpointOf(1), {})
    garden.next()
    garden.lines()
  }
  garden.outcome(endpointOf(1), {})
  garden.seeds.move(garden.now)
  t.ok(garden.seeds.pollTimeout() <= garden.now + 250)
  garden.seeds.handleTimeout(garden.now)
  t.same(garden.lines(), [], 'not before its time')
  garden.seeds.start([{ endpoint: endpointOf(3), remembered: false }], garden.now)
  garden.seeds.stop()
  t.same(garden.lines(), [])
  t.same(garden.seeds.diagnostics(0), [])
  t.equal(garden.seeds.pollTimeout(), Number.POSITIVE_INFINITY)
})

const endpoint = fc.constantFrom(NAME, endpointOf(1), endpointOf(2))
const uuid = fc.constantFrom(OWN, uuidOf(1), uuidOf(2))
const happening = fc.oneof(
  fc.record({
    do: fc.constant('outcome' as const),
    endpoint,
    uuid: fc.option(uuid, { nil: undefined }),
    greeted: fc.boolean(),
    present: fc.boolean(),
  }),
  fc.record({ do: fc.constant('resolved' as const), count: fc.nat(3) }),
  fc.record({ do: fc.constant('enter' as const), uuid }),
  fc.record({
    do: fc.constant('exit' as const),
    uuid,
    cause: fc.constantFrom<ExitCause>('goodbye', 'link', 'expired'),
  }),
  fc.record({ do: fc.constant('move' as const) }),
  fc.record({ do: fc.constant('waited' as const), ms: fc.nat(60_000) }),
)

holds(
  t,
  'whatever happens, each seed has one dial at most, and is tried again (harmony.md 8.5)',
  fc.array(happening, { maxLength: 60, size: 'max' }),
  (story) => {
    const garden = new Garden()
    garden.start(NAME, endpointOf(1), endpointOf(2))
    for (const it of story) {
      if (it.do === 'outcome') garden.outcome(it.endpoint, it)
      else if (it.do === 'resolved')
        garden.resolved(...['10.0.0.1', '10.0.0.2', '10.0.0.9'].slice(0, it.count))
      else if (it.do === 'enter') garden.seeds.handleEnter(it.uuid)
      else if (it.do === 'exit') garden.seeds.handleExit(it.uuid, it.cause, garden.now)
      else if (it.do === 'move') garden.seeds.move(garden.now)
      else {
        const end = garden.now + it.ms
        while (garden.seeds.pollTimeout() <= end) {
          garden.next()
          expect(garden.seeds.pollTimeout() > garden.now, 'nothing more is due')
        }
        garden.now = end
      }
      const told = garden.seeds.diagnostics(garden.now)
      for (const { state, nextInMs } of told) {
        const isBusy = state === 'dialling' || state === 'resolving' || state === 'entered'
        expect(isBusy === (nextInMs === null), `${state} in ${nextInMs} ms`)
        expect((nextInMs ?? 0) <= 330_000, 'it is tried again')
      }
      const dials = told.filter(({ state }) => state === 'dialling' || state === 'resolving')
      expect(dials.length <= 3, 'one dial for each')
      garden.lines()
    }
    return true
  },
)
