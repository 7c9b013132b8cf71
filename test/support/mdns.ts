/** A table of multicast DNS whose time is a number, and records for it to hear. */

import {
  instanceOf,
  MDNS_PORT,
  type MdnsNode,
  type MdnsPacket,
  type MdnsRecord,
  type MdnsRecords,
  recordsOf,
} from '../../protocol/mdns.ts'
import { type MdnsEffect, type MdnsSource, MdnsTable } from '../../protocol/mdns-table.ts'

/** What a packet has unless told. */
export const NOTHING = { id: 0, questions: [], answers: [], additionals: [] } as const

/** One of 99 nodes at `10.1.0.1` and so on, with ports from 1001 on. */
export function nodeOf(index: number, network = 5670): MdnsNode {
  const uuid = index.toString(16).padStart(2, '0').repeat(16)
  return { uuid, name: `n${index}`, network, address: `10.1.0.${index}`, port: 1_000 + index }
}

/** Its records, with so many digits in the name of its instance. */
export function recordsFrom(node: MdnsNode, digits = 8): MdnsRecords {
  return recordsOf(node, instanceOf(node, digits))
}

/** One node, and all that it did, with its time. */
export class Tested {
  readonly node: MdnsNode
  readonly table: MdnsTable
  now = 0
  sent: { at: number; packet: MdnsPacket; to: MdnsSource | undefined }[] = []
  told: string[] = []

  constructor(node = nodeOf(1)) {
    this.node = node
    this.table = new MdnsTable(node)
  }

  start(): this {
    this.table.start(this.now)
    return this.drain()
  }

  drain(): this {
    for (;;) {
      const effect = this.table.pollEffect()
      if (effect === undefined) return this
      this.#note(effect)
    }
  }

  #note(effect: MdnsEffect): void {
    if (effect.type === 'send') {
      this.sent.push({ at: this.now, packet: effect.packet, to: effect.to })
    } else if (effect.type === 'goodbye') this.told.push(`goodbye ${effect.uuid.slice(0, 2)}`)
    else this.told.push(`${effect.uuid.slice(0, 2)} at ${effect.address}:${effect.port}`)
  }

  /** Lets time pass, deadline by deadline. */
  until(end: number): this {
    for (let at = this.table.pollTimeout(); at <= end; at = this.table.pollTimeout()) {
      this.now = Math.max(this.now, at)
      this.table.handleTimeout(this.now)
      this.drain()
    }
    this.now = end
    return this
  }

  hear(packet: Partial<MdnsPacket>, from: Partial<MdnsSource> = {}): this {
    const source = { address: '10.1.0.2', port: MDNS_PORT, ...from }
    this.table.handlePacket({ type: 'response', ...NOTHING, ...packet }, source, this.now)
    return this.drain()
  }

  /** All records of another node. */
  meet(node: MdnsNode, records: Partial<MdnsRecords> = recordsFrom(node)): this {
    return this.hear({ answers: Object.values(records) }, { address: node.address })
  }

  ask(type: string, name: string, known: readonly MdnsRecord[] = [], from = {}): this {
    return this.hear({ type: 'query', id: 7, questions: [{ name, type }], answers: known }, from)
  }

  take(): typeof this.sent {
    const { sent } = this
    this.sent = []
    return sent
  }

  /** What was asked for, and when. */
  questions(): { at: number; asked: string }[] {
    return this.take()
      .filter(({ packet }) => packet.type === 'query')
      .map(({ at, packet }) => {
        const asked = packet.questions.map(({ type, name }) => `${type} ${name.split(' ', 1)}`)
        return { at, asked: asked.join(', ') }
      })
  }

  get heard() {
    return this.table.diagnostics(this.now).heard
  }
}

/** Past its announcements and first questions. */
export function settled(): Tested {
  const tested = new Tested().start().until(10_000)
  tested.take()
  return tested
}
