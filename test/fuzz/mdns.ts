/** Packets of multicast DNS, through the codec of the real host, at the table of one node. */

import type { Socket } from 'node:dgram'
import { EventEmitter } from 'node:events'
import { isUuid } from '../../protocol/bytes.ts'
import { instanceOf, MDNS_PORT, recordsOf } from '../../protocol/mdns.ts'
import { MdnsTable } from '../../protocol/mdns-table.ts'
import { createMulticastDnsSocket } from '../../src/system/mdns.ts'
import { loadVectors } from '../support/vectors.ts'
import { Draft } from './draft.ts'
import type { Random } from './random.ts'
import { expect, hex, type Tally, type Target, type Trial } from './trial.ts'

const NODE = { uuid: 'ab'.repeat(16), name: 'fuzz', network: 21_677, address: '10.1.0.1', port: 7 }
const OWN = instanceOf(NODE, 8)
const SAMPLES = loadVectors('mdns').vectors.map(({ bytes }) => bytes)
const LABELS = ['_zre', '_dns-sd', NODE.uuid]
const NAMES = [
  ['_zre', '_tcp', 'local'],
  ['_services', '_dns-sd', '_udp', 'local'],
  [OWN.slice(0, OWN.indexOf('.')), '_zre', '_tcp', 'local'],
  ['kitchen (5e046b7c)', '_zre', '_tcp', 'local'],
  ['a.b', '_ZRE', '_tcp', 'local'],
  [`${NODE.uuid}`, 'local'],
  [],
]
/** A, PTR, TXT, SRV; OPT, NSEC, AAAA, NAPTR, any, none. */
const TYPES = [1, 12, 16, 33, 1, 12, 16, 33, 41, 47, 28, 35, 255, 0]
const TEXTS = [
  'txtvers=1',
  `uuid=${'5e'.repeat(16)}`,
  'network=21677',
  'network=1',
  `uuid=${NODE.uuid}`,
  'uuid=',
  '=',
  '',
]
const ADDRESSES = ['10.1.0.1', '10.1.0.2', '10.1.0.3']
/** What a table may hold and say, whatever it is told (mdns.md 5.2 and 6.1). */
const INSTANCES_MAX = 1_024
const RECORDS_MAX = 17
const draft = new Draft()

export const mdnsTarget: Target = {
  name: 'mdns',
  share: 2,
  stepsMax: 256,
  begin: (_random, tally) => MdnsTrial.begin(tally),
  async replay(octets) {
    const trial = await MdnsTrial.begin(undefined)
    trial.hear(octets, { address: '10.1.0.2', port: MDNS_PORT })
  },
}

class MdnsTrial implements Trial {
  readonly over = false
  readonly #tally: Tally | undefined
  readonly #table = new MdnsTable(NODE)
  readonly #socket = new EventEmitter()
  #now = 0
  #failure: unknown

  constructor(tally: Tally | undefined) {
    this.#tally = tally
  }

  static async begin(tally: Tally | undefined): Promise<MdnsTrial> {
    const trial = new MdnsTrial(tally)
    const options = { address: NODE.address, port: MDNS_PORT, labels: LABELS }
    await createMulticastDnsSocket(trial.#socket as unknown as Socket, options, {
      receive: (packet, from) => trial.#table.handlePacket(packet, from, trial.#now),
      fail: (error) => {
        trial.#failure = error
      },
    })
    trial.#table.start(0)
    return trial
  }

  step(random: Random): void {
    const kind = random.below(10)
    if (kind === 0) {
      this.#now += random.pick([0, 50, 1_000, 30_000, 200_000])
      this.#table.handleTimeout(this.#now)
    } else if (kind === 1) {
      this.#table.handleExit(random.pick(['5e'.repeat(16), NODE.uuid]), this.#now)
    } else {
      if (kind < 5) draft.clear().copy(random.pick(SAMPLES))
      else writePacket(random)
      if (random.once(2)) draft.mutate(random)
      const octets = draft.take()
      if (this.#tally !== undefined) {
        this.#tally.inputs++
        this.#tally.note?.(`packet ${hex(octets)}`)
      }
      const port = random.once(8) ? 40_000 : MDNS_PORT
      this.hear(octets, { address: random.pick(ADDRESSES), port })
    }
    this.#check()
  }

  hear(octets: Uint8Array, from: { readonly address: string; readonly port: number }): void {
    this.#socket.emit('message', Buffer.from(octets), from)
    this.#check()
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure
    for (let effect = this.#table.pollEffect(); effect; effect = this.#table.pollEffect()) {
      if (effect.type === 'alive') {
        const { uuid, address, port } = effect
        expect(isUuid(uuid) && uuid !== NODE.uuid, 'another uuid')
        expect(ADDRESSES.includes(address) && port > 0 && port < 65_536, 'where a packet came from')
      } else if (effect.type === 'goodbye') {
        expect(isUuid(effect.uuid), 'a uuid')
      } else {
        const { questions, answers, additionals } = effect.packet
        const count = Math.max(questions.length, answers.length, additionals.length)
        expect(count <= RECORDS_MAX, 'packets of a size')
      }
    }
    expect(this.#table.pollTimeout() > this.#now - 1, 'what was due was done')
  }

  end(): void {
    const { instances } = this.#table.diagnostics(this.#now)
    expect(instances.length <= INSTANCES_MAX, 'a limit')
    this.#table.stop()
    const { address } = recordsOf(NODE, OWN)
    const effect = this.#table.pollEffect()
    expect(
      effect?.type === 'send' && effect.packet.answers.at(-1)?.name === address.name,
      'last words',
    )
    expect(this.#table.pollTimeout() === Number.POSITIVE_INFINITY, 'an end')
  }
}

function writePacket(random: Random): void {
  const counts = [0, 1, 2, 3].map(() => random.below(4))
  draft
    .clear()
    .u16(0)
    .u16(random.pick([0, 0x8400, 0x8400, 0x0200]))
  for (const count of counts) draft.u16(count)
  const [questions = 0, ...records] = counts
  for (let index = 0; index < questions; index++) {
    writeName(random)
    draft.u16(random.pick(TYPES)).u16(random.pick([1, 0x8001, 255, 3]))
  }
  for (const count of records) for (let index = 0; index < count; index++) writeRecord(random)
}

function writeName(random: Random): void {
  if (random.once(4) && draft.size > 20) {
    draft.u16(0xc000 | random.below(draft.size))
    return
  }
  for (const label of random.pick(NAMES)) draft.text1(label)
  draft.u8(0)
}

function writeRecord(random: Random): void {
  writeName(random)
  const type = random.pick(TYPES)
  draft
    .u16(type)
    .u16(random.pick([1, 0x8001, 0x8001, 3]))
    .u32(random.pick([0, 1, 120, 4_500, 2 ** 32 - 1]))
  const start = draft.u16(0).size
  if (type === 1) draft.u8(10).u8(1).u8(0).u8(random.below(4))
  else if (type === 12) writeName(random)
  else if (type === 33) {
    draft.u32(0).u16(random.pick([0, 1, 49_152, 65_535]))
    writeName(random)
  } else if (type === 16) {
    for (let left = random.below(5); left > 0; left--) draft.text1(random.pick(TEXTS))
  } else draft.noise(random, random.below(40))
  const size = draft.size - start
  draft.octets[start - 2] = size >>> 8
  draft.octets[start - 1] = size
}
