// Holds what nodes say to each other over connections to what they did: HELLO first, numbers in a row, the status of groups,
// no more pings and answers than there may be, and nothing after a node has stopped. (I1, I2, I4, I7, I13, I17)
// Spec: harmony.md 2.1, 4.1, 4.3, 4.8, 5.7.

import type { Peer, ZreMessage } from '../../protocol/index.ts'
import type { LyreEvent } from '../../src/events.ts'
import type { Report } from './findings.ts'
import type { Contact, Line, Party } from './parties.ts'
import type { Checker, Truth } from './truth.ts'

/** Pings on a connection: so many at once, for probes, and so many a second. */
const PINGS_MIN = 5
const PINGS_PER_SECOND = 1.7

/** Checks every message that an honest node writes. */
export class Talk implements Checker {
  readonly #truth: Truth
  readonly #report: Report
  /** Pings that came and were not answered, by who heard them and whose they were. */
  readonly #pings = new Map<Party, Map<string, number>>()

  constructor(truth: Truth, report: Report) {
    this.#truth = truth
    this.#report = report
  }

  event(party: Party, event: LyreEvent, _contact: Contact | undefined, id: number): void {
    if (event.type !== 'enter') return
    this.#entered(party, event.peer.uuid, id)
    this.#checkPortrait(party, event.peer, id)
  }

  written(line: Line, message: ZreMessage | undefined, id: number): void {
    const { dialler, acceptor } = line
    if (!dialler.honest || acceptor === undefined) return
    const complain = (invariant: 'I1' | 'I4' | 'I7' | 'I13' | 'I17', expected: string) => {
      const seen = message === undefined ? 'noise' : describe(message)
      this.#report(invariant, { party: dialler, peer: acceptor, expected, seen, id })
    }
    if (message === undefined) {
      complain('I4', 'a message that can be read')
      return
    }
    if (dialler.state === 'stopped') complain('I17', 'nothing after stop()')
    const heard = dialler.hears(acceptor.uuid)
    const isHello = message.type === 'hello'
    if (line.messageCount === 1) {
      const { saidSequence } = heard
      const goesOn = saidSequence >= 0 && message.sequence === ((saidSequence + 1) & 0xffff)
      if (isHello ? message.sequence !== 1 : !goesOn) {
        complain('I1', 'HELLO with sequence 1 first, or what follows the link before')
      }
      if (!isHello && goesOn) line.lastStatus = heard.saidStatus
    } else if (isHello) {
      complain('I1', 'one HELLO on a connection')
    } else if (message.sequence !== ((line.lastSequence + 1) & 0xffff)) {
      complain('I4', `sequence ${(line.lastSequence + 1) & 0xffff}`)
    }
    line.lastSequence = message.sequence
    this.#checkStatus(line, message, (expected) => complain('I7', expected))
    if (acceptor.honest) this.#checkPings(line, message, (expected) => complain('I13', expected))
    heard.saidSequence = line.lastSequence
    heard.saidStatus = line.lastStatus
  }

  delivered({ dialler, acceptor }: Line, message: ZreMessage | undefined): void {
    if (message?.type !== 'ping' || acceptor === undefined) return
    let pings = this.#pings.get(acceptor)
    if (pings === undefined) {
      pings = new Map()
      this.#pings.set(acceptor, pings)
    }
    pings.set(dialler.uuid, (pings.get(dialler.uuid) ?? 0) + 1)
  }

  /** Lets go of what is known of a node. */
  forget(party: Party): void {
    this.#pings.delete(party)
    for (const pings of this.#pings.values()) pings.delete(party.uuid)
  }

  /** It is shown as it is. */
  #checkPortrait(party: Party, { uuid, name, headers }: Peer, id: number): void {
    const peer = this.#truth.byUuid.get(uuid)
    const lyre = peer?.node.lyre
    if (lyre === undefined || this.#truth.hostile) return
    const expected = JSON.stringify([lyre.name, lyre.headers])
    const seen = JSON.stringify([name, headers])
    if (seen !== expected) this.#report('I2', { party, peer, expected, seen, id })
  }

  /** Both directions are open, and its HELLO has been read (harmony.md 3.2). */
  #entered(party: Party, uuid: string, id: number): void {
    const peer = this.#truth.byUuid.get(uuid)
    if (peer === undefined || !peer.honest || this.#truth.hostile) return
    let hasLink = false
    for (const line of party.linesWith(uuid)) {
      hasLink ||=
        line.dialler === party &&
        line.openedAt > Number.NEGATIVE_INFINITY &&
        line.diallerClosedAt === Number.NEGATIVE_INFINITY
    }
    const about = { party, peer, id }
    if (!hasLink) {
      const expected = 'a connection of its own to the peer before enter'
      this.#report('I2', { ...about, expected, seen: 'none' })
    }
    const heard = party.hears(uuid)
    heard.enterCount++
    if (heard.helloCount >= heard.enterCount) return
    const expected = 'a HELLO of the peer before each enter'
    const seen = `enter ${heard.enterCount} after ${heard.helloCount} of them`
    this.#report('I1', { ...about, expected, seen })
  }

  /** The status tells the number of the change, modulo 256, and the groups are those after it (harmony.md 4.3). */
  #checkStatus(line: Line, message: ZreMessage, complain: (expected: string) => void): void {
    const { dialler } = line
    const { type } = message
    if (type === 'hello') {
      line.lastStatus = message.status
      const { groups: said } = message
      const isSame = backs(dialler, message.status).some((back) => {
        const groups = groupsBefore(dialler, back)
        return groups?.size === said.length && said.every((group) => groups.has(group))
      })
      if (!isSame) complain(`status ${message.status} with the groups that it had then`)
    } else if (type === 'join' || type === 'leave') {
      const wanted = (line.lastStatus + 1) & 0xff
      line.lastStatus = message.status
      if (message.status !== wanted) {
        complain(`status ${wanted}`)
        return
      }
      const { changes } = dialler
      const isOurs = backs(dialler, message.status).some((back) => {
        const change = changes[changes.length - 1 - back]
        return change?.type === type && change.group === message.group
      })
      if (!isOurs) complain('a change of groups that its application made')
    }
  }

  #checkPings(line: Line, { type }: ZreMessage, complain: (expected: string) => void): void {
    const { dialler, acceptor } = line
    if (type === 'ping') {
      const seconds = (this.#truth.now - line.at) / 1_000
      if (++line.pingCount > PINGS_MIN + PINGS_PER_SECOND * seconds) {
        complain(`no more than a PING a second; this is number ${line.pingCount} in ${seconds} s`)
      }
    } else if (type === 'ping-ok') {
      const pings = this.#pings.get(dialler)
      const count = pings?.get((acceptor as Party).uuid) ?? 0
      pings?.set((acceptor as Party).uuid, count - 1)
      if (count <= 0) complain('one answer for each PING')
    }
  }
}

/** How many changes ago a status may have been: one in 256 has it. */
function backs({ changeCount, changes }: Party, status: number): number[] {
  const all: number[] = []
  for (let back = (changeCount - status) & 0xff; back <= changes.length; back += 256) all.push(back)
  return all
}

/** The groups that a node was in so many changes ago; undefined where nobody remembers. */
function groupsBefore(party: Party, count: number): Set<string> | undefined {
  const groups = new Set(party.ownGroups())
  const { changes } = party
  if (count > changes.length) return undefined
  for (let back = 0; back < count; back++) {
    const change = changes[changes.length - 1 - back]
    if (change?.type === 'join') groups.delete(change.group)
    else if (change !== undefined) groups.add(change.group)
  }
  return groups
}

function describe(message: ZreMessage): string {
  const { type, sequence } = message
  const status = 'status' in message ? ` status ${message.status}` : ''
  const groups = 'groups' in message ? ` groups ${message.groups.join(' ')}` : ''
  const group = 'group' in message ? ` ${message.group}` : ''
  return `${type}${group} sequence ${sequence}${status}${groups}`
}
