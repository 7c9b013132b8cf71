// What truly happened in a run, put together from its history: who lives, who sleeps, who was cut off from whom, which
// connections there are and what was said over them, when anything was heard, and what applications were told.
// Nothing in here is a node's own word. Checkers look at it, and hear of each thing once it is in here.
// Past 600 lines because every kind of record is made part of it in one place.

import type { Uuid, ZreMessage } from '../../protocol/index.ts'
import type { LyreEvent } from '../../src/events.ts'
import type { Action } from '../../src/stage.ts'
import type {
  ActionRecord,
  ConnectionRecord,
  DatagramRecord,
  EventRecord,
  Fault,
  FaultRecord,
  MessageRecord,
  Observer,
  OctetsRecord,
  SimulatedNode,
} from '../history.ts'
import { Journal } from './journal.ts'
import { type Between, type Contact, Line, NEVER, Party } from './parties.ts'
import { Wiretap } from './wiretap.ts'

/** Changes of groups that are remembered for a node: eight rounds of the status octet. */
const CHANGES_MAX = 2_048

/** Who hears what happens, once it is part of the truth; an event just before. `id` is the number of its record. */
export interface Checker {
  event?(party: Party, event: LyreEvent, contact: Contact | undefined, id: number): void
  action?(party: Party, action: Action, id: number): void
  written?(line: Line, message: ZreMessage | undefined, id: number): void
  delivered?(line: Line, message: ZreMessage | undefined, id: number): void
  connection?(line: Line, record: ConnectionRecord, id: number): void
  datagram?(record: DatagramRecord, sender: Party, receiver: Party | undefined): void
  fault?(fault: Fault, party: Party | undefined, id: number): void
}

/** The truth about one run. */
export class Truth implements Observer {
  readonly journal: Journal
  readonly parties = new Map<number, Party>()
  /** The node that has a uuid, or had it last. */
  readonly byUuid = new Map<Uuid, Party>()
  readonly lines = new Map<number, Line>()
  /** Pairs whose connection lost its subnet lately, or got it back; the oldest first. */
  readonly rerouted: { readonly at: number; readonly one: Party; readonly other: Party }[] = []
  now = 0
  /** Whether some node is none of ours. */
  hostile = false
  eventCount = 0
  pairCount = 0
  readonly #checkers: Checker[] = []
  /** The same by their index, which is looked for twice with each beacon. */
  readonly #byIndex: (Party | undefined)[] = []
  /** Where collectors take logs, `address:port`: what goes there is no word of ZRE, and no matter of the mesh. */
  readonly #logs = new Set<string>()
  readonly #machines = new Map<string, number>()
  readonly #between = new Map<number, Between>()
  #partitions: { readonly sides: ReadonlyMap<number, number>; readonly key: string }[] = []

  constructor(tell: ((line: string) => void) | undefined) {
    this.journal = new Journal(tell)
  }

  /** Tells a checker from now on. */
  add(checker: Checker): void {
    this.#checkers.push(checker)
  }

  /** What lies between the machines of two nodes. */
  between(one: Party, other: Party): Between {
    return this.#betweenMachines(one.machine, other.machine)
  }

  // What the simulation tells.

  fault({ at, fault }: FaultRecord): void {
    this.now = at
    const party = 'node' in fault ? this.#party(fault.node) : undefined
    const id = this.journal.note({
      at,
      kind: fault.type,
      node: party?.index ?? -1,
      peer: -1,
      cause: 0,
      detail: 'node' in fault ? '' : JSON.stringify(fault),
    })
    this.#suffer(fault, party)
    for (const checker of this.#checkers) checker.fault?.(fault, party, id)
  }

  action({ at, node, action }: ActionRecord): void {
    this.now = at
    const party = this.#party(node)
    const id = this.journal.note({
      at,
      kind: 'action',
      node: party.index,
      peer: 'uuid' in action ? (this.byUuid.get(action.uuid)?.index ?? -1) : -1,
      cause: party.lastAt === at ? party.lastId : 0,
      command: action.type,
      detail: 'group' in action ? action.group : '',
    })
    this.#touch(party, id)
    this.#act(party, action)
    for (const checker of this.#checkers) checker.action?.(party, action, id)
  }

  event({ at, node, event }: EventRecord): void {
    this.now = at
    this.eventCount++
    const party = this.#party(node)
    const uuid = 'peer' in event ? event.peer.uuid : ''
    const id = this.journal.note({
      at,
      kind: 'event',
      node: party.index,
      peer: this.byUuid.get(uuid)?.index ?? -1,
      cause: party.lastAt === at ? party.lastId : 0,
      command: event.type,
      detail:
        event.type === 'exit'
          ? `${event.cause} lost ${event.lost}`
          : 'group' in event
            ? event.group
            : '',
    })
    party.eventAt = at
    this.#touch(party, id)
    const contact = party.contacts.get(uuid)
    for (const checker of this.#checkers) checker.event?.(party, event, contact, id)
    this.#hear(party, event, id)
  }

  datagram(record: DatagramRecord): void {
    const { type, bytes } = record
    if (type === 'dropped') return
    this.now = record.at
    const sender = this.#party(record.sender)
    const receiver = record.receiver === undefined ? undefined : this.#party(record.receiver)
    if (type === 'sent') sender.beacon = bytes
    if (type === 'delivered' && receiver !== undefined && receiver !== sender) {
      this.#hearBeacon(receiver, sender, bytes)
    }
    if (type === 'sent' || !sender.honest) {
      for (const checker of this.#checkers) checker.datagram?.(record, sender, receiver)
    }
  }

  octets({ at, type, connection, sender, bytes }: OctetsRecord): void {
    this.now = at
    const line = this.lines.get(connection)
    if (line === undefined) return
    if (sender !== line.dialler.node) {
      if (type === 'written') line.answerBytes += bytes.length
      return
    }
    line.tap ??= new Wiretap((message) => this.#written(line, message))
    if (type === 'written') {
      line.tap.write(bytes)
      return
    }
    line.tap.deliveredBytes += bytes.length
    this.#heardOctets(line)
    const { deliveredBytes } = line.tap
    for (let next = line.flying; next && next.ends <= deliveredBytes; next = line.flying) {
      line.land()
      this.#delivered(line, next.message, next.id)
    }
  }

  message({ at, type, connection, sender, message }: MessageRecord): void {
    this.now = at
    const line = this.lines.get(connection)
    if (line === undefined || sender !== line.dialler.node) return
    if (type === 'written') {
      this.#written(line, message)
      return
    }
    this.#heardOctets(line)
    const next = line.land()
    this.#delivered(line, message, next?.id ?? 0)
  }

  connection(record: ConnectionRecord): void {
    const { at, type, connection, node, other, reason } = record
    this.now = at
    const party = this.#party(node)
    let line = this.lines.get(connection)
    if (line === undefined) {
      if (type !== 'dialled' || this.#logs.has(reason)) return
      line = new Line(connection, party, at)
      line.subnet = Number(reason.split('.', 2)[1])
      this.lines.set(connection, line)
      party.dialLine(line)
    }
    const id = this.journal.note({
      at,
      kind: type,
      node: party.index,
      peer: other?.index ?? -1,
      cause: type === 'closed' ? line.closedId : party.lastAt === at ? party.lastId : 0,
      detail: `#${connection} ${reason}`,
    })
    if (type === 'closed') line.closedId = id
    if (type !== 'dialled') this.#touch(party, id)
    this.#connect(line, record, party)
    for (const checker of this.#checkers) checker.connection?.(line, record, id)
    if (isOver(line)) this.#forgetLine(line)
  }

  // What it makes of it.

  #party(node: SimulatedNode): Party {
    let party = this.#byIndex[node.index]
    if (party === undefined) {
      party = new Party(node, this.#machine(node.machine))
      this.parties.set(node.index, party)
      this.#byIndex[node.index] = party
      if (!party.honest) this.hostile ||= node.uuid === ''
    }
    return party
  }

  /** Lets go of a node of which nothing is left. */
  forget(party: Party): void {
    this.parties.delete(party.index)
    this.#byIndex[party.index] = undefined
    if (this.byUuid.get(party.uuid) === party) this.byUuid.delete(party.uuid)
    for (const other of this.parties.values()) {
      if (other.uuid === party.uuid) return
    }
    for (const other of this.parties.values()) {
      other.heard.delete(party.uuid)
      other.exits.delete(party.uuid)
    }
  }

  #machine(name: string): number {
    const known = this.#machines.get(name)
    if (known !== undefined) return known
    this.#machines.set(name, this.#machines.size)
    return this.#machines.size - 1
  }

  #betweenMachines(one: number, other: number): Between {
    const key = one < other ? one * 0x10000 + other : other * 0x10000 + one
    let between = this.#between.get(key)
    if (between === undefined) {
      between = { cuts: 0, cutAt: NEVER, quietUntil: NEVER, resetAt: NEVER, reroutedAt: NEVER }
      this.#between.set(key, between)
    }
    return between
  }

  #touch(party: Party, id: number): void {
    party.lastId = id
    party.lastAt = this.now
  }

  #suffer(fault: Fault, party: Party | undefined): void {
    const { now } = this
    switch (fault.type) {
      case 'create':
        // Its uuid is there from the start; one that a node had before goes over to it.
        if (party?.honest) {
          party.uuid = fault.node.lyre?.uuid ?? ''
          this.byUuid.set(party.uuid, party)
          const { addresses, logPort } = fault.node
          if (logPort === undefined) break
          for (const address of addresses) this.#logs.add(`${address}:${logPort}`)
        }
        break
      case 'crash':
        if (party === undefined) break
        party.state = 'crashed'
        party.crashedAt = now
        this.pairCount -= party.contacts.size
        this.#bury(party)
        break
      case 'pause':
        party?.sleep(now)
        if (party !== undefined && fault.isDeaf) this.#cutOff(party.machine, true)
        break
      case 'resume':
        party?.wake(now)
        if (party !== undefined && fault.isDeaf) this.#cutOff(party.machine, false)
        break
      case 'cable':
        this.#reroute(fault.index, this.#machine(fault.machine))
        break
      case 'switch':
        this.#reroute(fault.index, undefined)
        break
      case 'move':
        if (party !== undefined) party.movedAt = now
        break
      case 'partition':
        this.#part(fault.sides)
        break
      case 'heal':
        this.#heal(fault.sides)
        break
      case 'stall': {
        const between = this.#betweenMachines(this.#machine(fault.from), this.#machine(fault.to))
        between.quietUntil = Math.max(between.quietUntil, fault.untilAt)
        break
      }
      case 'reset':
        this.#betweenMachines(this.#machine(fault.from), this.#machine(fault.to)).resetAt = now
        break
      case 'links':
      case 'machine':
      case 'wall':
        break
    }
  }

  /** All of a machine sleeps, or is awake again: what others send it is not acknowledged. */
  #cutOff(machine: number, isCut: boolean): void {
    for (const other of this.#machines.values()) {
      if (other === machine) continue
      const between = this.#betweenMachines(machine, other)
      if (isCut) this.#cut(between)
      else this.#uncut(between)
    }
  }

  /** Connections on a subnet, of one machine or all, wait from now on, or go on. */
  #reroute(subnet: number, machine: number | undefined): void {
    for (const line of this.lines.values()) {
      const { dialler, acceptor } = line
      if (acceptor === undefined || line.subnet !== subnet) continue
      if (machine !== undefined && ![dialler.machine, acceptor.machine].includes(machine)) continue
      this.between(dialler, acceptor).reroutedAt = this.now
      this.rerouted.push({ at: this.now, one: dialler, other: acceptor })
    }
    for (const party of this.parties.values()) {
      if (machine === undefined || party.machine === machine) party.cableAt = this.now
    }
  }

  #part(sides: readonly (readonly string[])[]): void {
    const numbers = new Map<number, number>()
    sides.forEach((side, number) => {
      for (const name of side) numbers.set(this.#machine(name), number)
    })
    if (sides.length === 1) {
      for (const machine of this.#machines.values()) {
        if (!numbers.has(machine)) numbers.set(machine, 1)
      }
    }
    this.#partitions.push({ sides: numbers, key: JSON.stringify(sides) })
    this.#eachCut(numbers, (between) => this.#cut(between))
  }

  #heal(sides: readonly (readonly string[])[] | undefined): void {
    const key = sides && JSON.stringify(sides)
    const index = this.#partitions.findIndex((partition) => partition.key === key)
    const healed =
      sides === undefined ? this.#partitions.splice(0) : this.#partitions.splice(index, 1)
    for (const partition of healed) {
      this.#eachCut(partition.sides, (between) => this.#uncut(between))
    }
  }

  #cut(between: Between): void {
    if (between.cuts++ === 0) between.cutAt = this.now
  }

  #uncut(between: Between): void {
    if (--between.cuts > 0) return
    // TCP sends again the later, the longer it was cut.
    const until = 2 * this.now - between.cutAt + 500
    between.quietUntil = Math.max(between.quietUntil, until)
  }

  #eachCut(sides: ReadonlyMap<number, number>, act: (between: Between) => void): void {
    const all = [...sides]
    for (const [one, side] of all) {
      for (const [other, otherSide] of all) {
        if (one < other && side !== otherSide) act(this.#betweenMachines(one, other))
      }
    }
  }

  /** It is gone, and so are the sides of connections that it had. */
  #bury(party: Party): void {
    party.contacts.clear()
    for (const line of [...party.lines()]) {
      if (line.dialler === party && line.diallerClosedAt === NEVER) line.diallerClosedAt = this.now
      if (line.acceptor === party && line.acceptorClosedAt === NEVER) {
        line.acceptorClosedAt = this.now
      }
      if (isOver(line)) this.#forgetLine(line)
    }
  }

  /** What was lost last of a pair is kept: it tells why they parted. */
  #forgetLine(line: Line): void {
    const { dialler, acceptor } = line
    this.lines.delete(line.connection)
    dialler.deleteLine(line, acceptor?.uuid ?? '')
    acceptor?.deleteLine(line, dialler.uuid)
  }

  #act(party: Party, action: Action): void {
    const { now } = this
    switch (action.type) {
      case 'start':
        party.state = 'started'
        party.startedAt = now
        party.contacts.clear()
        break
      case 'stop':
        party.state = 'stopping'
        party.stoppingAt = now
        break
      case 'join':
      case 'leave': {
        const { type, group } = action
        let membership = party.groups.get(group)
        if (membership === undefined) {
          membership = { isIn: false, joinedAt: NEVER, leftAt: NEVER }
          party.groups.set(group, membership)
        }
        membership.isIn = type === 'join'
        if (type === 'join') membership.joinedAt = now
        else membership.leftAt = now
        party.changeCount++
        party.changes.push({ type, group })
        if (party.changes.length > 2 * CHANGES_MAX) party.changes.splice(0, CHANGES_MAX)
        break
      }
      case 'whisper':
      case 'shout':
        break
    }
  }

  #hear(party: Party, event: LyreEvent, id: number): void {
    const { now } = this
    switch (event.type) {
      case 'stop':
        party.state = 'stopped'
        party.stoppedAt = now
        this.pairCount -= party.contacts.size
        party.contacts.clear()
        break
      case 'enter': {
        const { uuid } = event.peer
        const number = ++party.contactCount
        this.pairCount++
        party.contacts.set(uuid, {
          uuid,
          number,
          at: now,
          groups: undefined,
          evasiveAt: NEVER,
          silentAt: NEVER,
          left: false,
          forged: party.strangerAt > now - 30_000,
          id,
        })
        break
      }
      case 'exit':
        if (party.contacts.delete(event.peer.uuid)) this.pairCount--
        party.exits.set(event.peer.uuid, now)
        break
      case 'join': {
        const contact = party.contacts.get(event.peer.uuid)
        if (contact === undefined) break
        contact.groups ??= new Set()
        contact.groups.add(event.group)
        break
      }
      case 'leave':
        party.contacts.get(event.peer.uuid)?.groups?.delete(event.group)
        break
      case 'evasive':
      case 'silent': {
        const contact = party.contacts.get(event.peer.uuid)
        if (contact === undefined) break
        if (event.type === 'evasive') contact.evasiveAt = now
        else contact.silentAt = now
        break
      }
      case 'whisper':
      case 'shout':
        break
    }
  }

  #hearBeacon(receiver: Party, sender: Party, bytes: Uint8Array): void {
    if (sender.honest) {
      if (bytes.length !== 22) return
      const heard = receiver.hears(sender.uuid)
      if (bytes[20] === 0 && bytes[21] === 0) heard.troubled().goodbyeAt = this.now
      else heard.beaconAt = this.now
      // A bit of it was turned on the way, or it comes late, when another is where its sender was.
      if (bytes !== sender.beacon && !isEqual(bytes, sender.beacon))
        heard.troubled().doubtAt = this.now
      if (sender.state !== 'started') this.#doubt(receiver, sender)
      return
    }
    if (bytes.length !== 22 || bytes[0] !== 0x5a) return
    let uuid = ''
    for (let index = 4; index < 20; index++) {
      uuid += (bytes[index] as number).toString(16).padStart(2, '0')
    }
    if (!this.byUuid.has(uuid)) return
    // It is in its name, and from where it is not.
    const heard = receiver.hears(uuid)
    heard.troubled().doubtAt = this.now
    if (bytes[20] === 0 && bytes[21] === 0) heard.troubled().goodbyeAt = this.now
  }

  #doubt(receiver: Party, { machine }: Party): void {
    for (const uuid of receiver.contacts.keys()) {
      if (this.byUuid.get(uuid)?.machine === machine)
        receiver.hears(uuid).troubled().doubtAt = this.now
    }
  }

  /** Octets are life, unless they come over a connection that only says to be the peer's, beside the one that is. */
  #heardOctets(line: Line): void {
    const { dialler, acceptor } = line
    if (acceptor === undefined) return
    const contact = acceptor.contacts.get(dialler.uuid)
    const isTheirs = contact === undefined || line.helloAt <= contact.at || line.goesOn
    if (isTheirs) acceptor.hears(dialler.uuid).octetsAt = this.now
    else if (!this.#hasInbound(acceptor, contact))
      acceptor.hears(dialler.uuid).troubled().maybeAt = this.now
  }

  #hasInbound(acceptor: Party, { uuid, at }: Contact): boolean {
    for (const line of acceptor.linesWith(uuid)) {
      const isTheirs = line.acceptor === acceptor
      if (isTheirs && line.acceptorClosedAt === NEVER && (line.helloAt <= at || line.goesOn)) {
        return true
      }
    }
    return false
  }

  #written(line: Line, message: ZreMessage | undefined): void {
    line.messageCount++
    const { dialler } = line
    const id = this.journal.note({
      at: this.now,
      kind: 'written',
      node: dialler.index,
      peer: line.acceptor?.index ?? -1,
      cause: dialler.lastId,
      command: message?.type ?? 'noise',
      sequence: message?.sequence ?? -1,
      detail: `#${line.connection}${message !== undefined && 'group' in message ? ` ${message.group}` : ''}`,
    })
    for (const checker of this.#checkers) checker.written?.(line, message, id)
    line.launch(message, { ends: line.tap?.writtenBytes ?? 0, id })
  }

  #delivered(line: Line, message: ZreMessage | undefined, cause: number): void {
    if (++line.deliveredCount === 1 && message?.type !== 'hello') line.goesOn = true
    const { acceptor, dialler } = line
    if (acceptor === undefined) return
    const id = this.journal.note({
      at: this.now,
      kind: 'delivered',
      node: acceptor.index,
      peer: dialler.index,
      cause,
      command: message?.type ?? 'noise',
      sequence: message?.sequence ?? -1,
      detail: `#${line.connection}`,
    })
    this.#touch(acceptor, id)
    if (message?.type === 'hello' && !dialler.honest) acceptor.strangerAt = this.now
    if (message?.type === 'hello') {
      const heard = acceptor.hears(dialler.uuid)
      line.helloAt = this.now
      heard.helloAt = this.now
      heard.helloCount++
    }
    for (const checker of this.#checkers) checker.delivered?.(line, message, id)
  }

  #connect(line: Line, { type, reason }: ConnectionRecord, party: Party): void {
    const { now } = this
    switch (type) {
      case 'accepted':
        line.acceptor = party
        line.dialler.addLine(line, party.uuid)
        party.addLine(line, line.dialler.uuid)
        break
      case 'opened':
        line.openedAt = now
        break
      case 'refused':
        line.refused = true
        break
      case 'closed': {
        const isEnded = reason === 'closed by us' || reason === 'accept EMFILE'
        if (reason.includes('EMFILE')) party.shortAt = now
        const other = party === line.dialler ? line.acceptor : line.dialler
        if (reason === 'reset on the way' && other !== undefined) {
          this.between(party, other).resetAt = now
        }
        if (!isEnded && other !== undefined) {
          const trouble = party.hears(other.uuid).troubled()
          trouble.lostAt = now
          trouble.lostSince = line.at
        }
        if (party === line.dialler && line.diallerClosedAt === NEVER) {
          line.diallerClosedAt = now
          line.diallerEnded = isEnded
          if (isEnded && other !== undefined && !party.contacts.has(other.uuid)) {
            other.hears(party.uuid).troubled().gaveUpAt = now
          }
        } else {
          line.acceptorClosedAt = now
          line.acceptorEnded = isEnded
          // One that waits beside it goes on in its place, which is a sign of life.
          const { uuid } = line.dialler
          if (isEnded && party.isRivalled(line)) party.hears(uuid).troubled().maybeAt = now
        }
        break
      }
      case 'dialled':
        break
    }
  }
}

/** Whether both sides know that it is over, or there was only one. */
function isOver({ acceptor, diallerClosedAt, acceptorClosedAt }: Line): boolean {
  if (diallerClosedAt === NEVER) return false
  return acceptor === undefined || acceptorClosedAt !== NEVER
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  for (let index = 0; index < one.length; index++) if (one[index] !== other[index]) return false
  return one.length === other.length
}
