/** Lyre, as it ships, and zyre.js, an independent ZRE node that stands on libzmq: one network on loopback. */

import t, { type Test } from 'tap'
import { createLyre, type LyreEvent, type LyreOptions, text } from '../../dist/src/index.js'
import { type Child, startChild } from '../support/child.ts'
import { eventually, Heard } from '../support/heard.ts'
import { freePort } from '../support/nodes.ts'

const SCRIPT = new URL('./zyre-node.mjs', import.meta.url)
const EVENTS = ['enter', 'exit', 'join', 'leave', 'whisper', 'shout', 'evasive', 'silent'] as const

class Ours {
  readonly lyre
  readonly heard = new Heard<LyreEvent>()

  constructor(t: Test, options: LyreOptions) {
    this.lyre = createLyre({ interface: '127.0.0.1', name: 'lyre', ...options })
    for (const type of EVENTS) this.lyre.on(type, (event: LyreEvent) => this.heard.add(event))
    t.teardown(() => this.lyre.stop({ lingerMs: 0 }))
  }

  next<Type extends LyreEvent['type']>(type: Type): Promise<Extract<LyreEvent, { type: Type }>> {
    return this.heard.next(
      type,
      (event): event is Extract<LyreEvent, { type: Type }> => event.type === type,
    )
  }

  get story(): string[] {
    return this.heard.items.map(({ type }) => type)
  }
}

/** The two in one network, entered, in the order of their start. */
async function pair(
  t: Test,
  { first, groups = [] }: { readonly first: 'lyre' | 'zyre'; readonly groups?: readonly string[] },
): Promise<{ readonly ours: Ours; readonly theirs: Child; readonly uuid: string }> {
  const beaconPort = await freePort()
  const ours = new Ours(t, { beaconPort, headers: { 'X-ROLE': 'sensor' } })
  if (first === 'lyre') await ours.lyre.start()
  const theirs = startChild(t, SCRIPT, ['zyre', String(beaconPort), ...groups])
  const { uuid } = await theirs.next('start')
  if (first === 'zyre') await ours.lyre.start()
  await Promise.all([ours.next('enter'), theirs.next('enter', { name: 'lyre' })])
  return { ours, theirs, uuid }
}

for (const first of ['lyre', 'zyre'] as const) {
  t.test(`each finds the other, with name and headers; ${first} was there first`, async (t) => {
    const { ours, theirs, uuid } = await pair(t, { first })
    t.match(ours.lyre.peers(), [{ uuid, name: 'zyre', headers: { 'X-SOFTWARE': 'zyre.js' } }])
    const entered = theirs.heard.items.find(({ event }) => event === 'enter')
    t.match(entered, { uuid: ours.lyre.uuid, name: 'lyre', headers: { 'X-ROLE': 'sensor' } })
  })
}

t.test('groups are seen on both sides as they are joined and left', async (t) => {
  const { ours, theirs, uuid } = await pair(t, { first: 'lyre', groups: ['EARLY'] })
  t.match(await ours.next('join'), { group: 'EARLY', peer: { uuid } })
  theirs.send({ join: 'THEIRS' })
  t.match(await ours.next('join'), { group: 'THEIRS', peer: { groups: ['EARLY', 'THEIRS'] } })
  theirs.send({ leave: 'EARLY' })
  t.match(await ours.next('leave'), { group: 'EARLY', peer: { groups: ['THEIRS'] } })
  ours.lyre.join('OURS')
  await theirs.next('join', { group: 'OURS', name: 'lyre' })
  ours.lyre.leave('OURS')
  await theirs.next('leave', { group: 'OURS', name: 'lyre' })
  t.notOk(ours.lyre.diagnostics().counters['wrong-status'])
})

t.test('whispers and shouts arrive on both sides, octet by octet', async (t) => {
  const { ours, theirs, uuid } = await pair(t, { first: 'zyre' })
  ours.lyre.join('CHAT')
  theirs.send({ join: 'CHAT' })
  await Promise.all([ours.next('join'), theirs.next('join', { group: 'CHAT' })])
  const binary = Uint8Array.from({ length: 70_000 }, (_, index) => (index * 7) % 256)
  const base64 = Buffer.from(binary).toString('base64')
  for (const [content, json] of [
    ['hello ☂', 'hello ☂'],
    [binary, { base64 }],
    ['', ''],
  ] as const) {
    t.equal(ours.lyre.whisper(uuid, content), 1)
    t.same((await theirs.next('whisper')).content, [json])
    t.equal(ours.lyre.shout('CHAT', content), 1)
    t.match(await theirs.next('shout'), { group: 'CHAT', name: 'lyre', content: [json] })
    theirs.send({ whisper: ours.lyre.uuid, content: json })
    t.same((await ours.next('whisper')).content.map(String), [Buffer.from(content)].map(plain))
    theirs.send({ shout: 'CHAT', content: json })
    const { content: heard, group } = await ours.next('shout')
    t.equal(group, 'CHAT')
    t.same(heard.map(String), [Buffer.from(content)].map(plain))
  }
})

function plain(bytes: Uint8Array): string {
  return String(Uint8Array.from(bytes))
}

t.test('each notices that the other stops', async (t) => {
  const { ours, theirs, uuid } = await pair(t, { first: 'lyre' })
  theirs.send({ stop: true })
  t.match(await ours.next('exit'), { peer: { uuid } })
  t.equal(await theirs.exited, 0)
  t.same(ours.story, ['enter', 'exit'])

  const other = await pair(t, { first: 'zyre' })
  await other.ours.lyre.stop()
  await other.theirs.next('exit', { name: 'lyre' })
  await other.ours.lyre.start()
  await Promise.all([other.ours.next('enter'), other.theirs.next('enter', { name: 'lyre' })])
  t.equal(other.ours.lyre.whisper(other.uuid, 'back again'), 1)
  t.same((await other.theirs.next('whisper')).content, ['back again'])
})

t.test('a zyre.js that is killed is an exit at once', async (t) => {
  const { ours, theirs } = await pair(t, { first: 'lyre' })
  theirs.kill('SIGKILL')
  t.match(await ours.next('exit'), { cause: 'link' })
  t.same(ours.story, ['enter', 'exit'])
})

t.test('a zyre.js that is named as a seed is met, once (harmony.md 8.2 and 8.5)', async (t) => {
  const theirs = startChild(t, SCRIPT, ['zyre', String(await freePort())])
  const { uuid, endpoint } = await theirs.next('start')
  // By its address, by a name, and twice: it is one peer, though its inbox does not say who it is.
  const seeds = [String(endpoint), String(endpoint).replace('127.0.0.1', 'localhost')]
  const ours = new Ours(t, { beacon: false, seeds })
  await ours.lyre.start()
  await Promise.all([ours.next('enter'), theirs.next('enter', { name: 'lyre' })])
  t.equal(ours.lyre.whisper(String(uuid), 'hello'), 1)
  t.same((await theirs.next('whisper')).content, ['hello'])
  theirs.send({ whisper: ours.lyre.uuid, content: 'here' })
  await ours.next('whisper')
  await eventually('both seeds are that peer', () => {
    const told = ours.lyre.diagnostics().seeds
    return told.every((seed) => seed.state === 'entered' && seed.uuid === uuid)
  })
  t.same(ours.story, ['enter', 'whisper'])
  t.equal(ours.lyre.diagnostics().connections, 2, 'a link each way')
  theirs.send({ stop: true })
  await ours.next('exit')
})

t.test('a network of both has one view of itself', async (t) => {
  const beaconPort = await freePort()
  const ours = [1, 2, 3].map((number) => new Ours(t, { beaconPort, name: `lyre ${number}` }))
  for (const { lyre } of ours) lyre.join('ALL')
  await Promise.all(ours.map(({ lyre }) => lyre.start()))
  const theirs = [1, 2].map((number) =>
    startChild(t, SCRIPT, [`zyre ${number}`, String(beaconPort), 'ALL']),
  )
  await Promise.all(
    ours.map(({ lyre }) => lyre.waitForPeers(4, { group: 'ALL', timeoutMs: 20_000 })),
  )
  for (const child of theirs) {
    const count = () => {
      const names = child.heard.items
        .filter(({ event }) => event === 'enter')
        .map(({ name }) => name)
      return new Set(names).size
    }
    await child.heard.until('four peers', () => count() === 4)
  }
  t.equal(ours[0]?.lyre.shout('ALL', 'who is there?'), 4)
  for (const child of theirs) await child.next('shout', { name: 'lyre 1' })
  for (const { lyre, story } of ours) {
    t.same(lyre.peersInGroup('ALL').length, 4)
    t.notOk(story.includes('exit'), 'nobody was thrown out')
  }
})

t.test('zyre.js counts modulo 65,535, and its link lives on', async (t) => {
  const { ours, theirs } = await pair(t, { first: 'lyre' })
  const total = 66_000
  let wrongCount = 0
  let wanted = 0
  const progress = new Heard<number>()
  ours.lyre.on('whisper', ({ content }) => {
    if (text(content) !== String(wanted++)) wrongCount++
    if (wanted % 500 === 0) progress.add(wanted)
  })
  // In steps, since libzmq drops what a DEALER has no room for.
  for (let sent = 0; sent < total; ) {
    for (const end = sent + 500; sent < end; sent++) {
      theirs.send({ whisper: ours.lyre.uuid, content: String(sent) })
    }
    await progress.next(`whisper ${sent}`, (count) => count === sent)
  }
  t.equal(wrongCount, 0)
  t.notOk(ours.story.includes('exit'))
  t.equal(ours.lyre.diagnostics().counters['wrong-sequence'], undefined)
})
