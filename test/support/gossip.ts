/** Nodes that gossip in memory: tables of ours, and hubs that do what czmq's was seen to do. Time is a number. */

import {
  type Contact,
  decodeGossip,
  encodeGossip,
  type GossipMessage,
  GossipTable,
  type TupleState,
} from '../../protocol/gossip.ts'

export const TTL_MS = 30_000

/** The uuid, and the endpoint, of a node by its number. */
export function uuidOf(index: number): string {
  return index.toString(16).padStart(32, '0')
}
export function endpointOf(index: number): string {
  return `tcp://10.0.0.${index}:${49_152 + index}`
}

/** What a node of a circle can be connected to. */
interface Member {
  open(connection: number, contact: Contact, now: number): void
  hear(connection: number, message: GossipMessage, now: number): void
  closed(connection: number): void
  tick(now: number): void
}

/** A table of ours, and whom harmony would have entered: whoever is alive, unless it is out of reach. */
export class TableMember implements Member {
  readonly table: GossipTable
  readonly index: number
  readonly #circle: Circle
  /** Told to harmony, in order: `3 news` or `3`. */
  readonly told: string[] = []

  constructor(circle: Circle, index: number, tuplesMax = 1_000) {
    this.#circle = circle
    this.index = index
    this.table = new GossipTable({ uuid: uuidOf(index), ttlMs: TTL_MS, tuplesMax })
    this.table.publish(endpointOf(index), circle.now)
  }

  open(connection: number, contact: Contact, now: number): void {
    this.table.handleOpen(connection, contact, now)
    this.drain(now)
  }

  hear(connection: number, message: GossipMessage, now: number): void {
    this.table.handleMessage(connection, message, now)
    this.drain(now)
  }

  closed(connection: number): void {
    this.table.handleClose(connection)
  }

  tick(now: number): void {
    this.table.handleTimeout(now)
    this.drain(now)
  }

  drain(now: number): void {
    for (let effect = this.table.pollEffect(); effect; effect = this.table.pollEffect()) {
      if (effect.type === 'send') this.#circle.carry(effect.connection, this, effect.message)
      else if (effect.type === 'close') this.#circle.cut(effect.connection)
      else {
        const index = Number.parseInt(effect.uuid, 16)
        const isThere = this.#circle.alive.has(index) && effect.endpoint === endpointOf(index)
        if (isThere && !this.#circle.hidden.has(index)) {
          this.table.handleSeen({ uuid: effect.uuid, quietMs: 0 }, now)
        }
        if (effect.type === 'alive') this.told.push(`${index}${effect.isNews ? ' news' : ''}`)
      }
    }
  }

  /** What it holds: `3 leased`. */
  get held(): string[] {
    const { tuples } = this.table.diagnostics(this.#circle.now)
    return tuples.map(({ uuid, state }) => `${Number.parseInt(uuid, 16)} ${state}`)
  }

  stateOf(index: number): TupleState | undefined {
    const { tuples } = this.table.diagnostics(this.#circle.now)
    return tuples.find(({ uuid }) => uuid === uuidOf(index))?.state
  }
}

/** czmq's: no lease, nothing is ever forgotten, a client that is quiet for a second is, and the last word counts. */
export class CzmqMember implements Member {
  readonly tuples = new Map<string, string>()
  readonly #circle: Circle
  readonly #clients = new Map<number, number>()
  readonly #hubs = new Set<number>()

  constructor(circle: Circle) {
    this.#circle = circle
  }

  open(connection: number, { role }: Contact): void {
    if (role === 'client') return
    this.#hubs.add(connection)
    this.#circle.carry(connection, this, { type: 'hello' })
    for (const [key, value] of this.tuples) this.#publish(connection, key, value)
  }

  hear(connection: number, message: GossipMessage, now: number): void {
    const isClient = !this.#hubs.has(connection)
    const isKnown = now - (this.#clients.get(connection) ?? Number.NEGATIVE_INFINITY) < 1_000
    if (isClient && message.type === 'ping') {
      if (isKnown) this.#clients.set(connection, now)
      this.#circle.carry(connection, this, { type: 'pong' })
    } else if (isClient && message.type === 'hello' && !isKnown) {
      this.#clients.set(connection, now)
      for (const [key, value] of this.tuples) this.#publish(connection, key, value)
    } else if (message.type === 'publish' && (isKnown || !isClient)) {
      if (isClient) this.#clients.set(connection, now)
      this.accept(message.key, message.value, now)
    } else if (isClient) {
      this.#clients.delete(connection)
      this.#circle.carry(connection, this, { type: 'invalid' })
    } else if (message.type === 'invalid') {
      this.#circle.carry(connection, this, { type: 'hello' })
    }
  }

  closed(connection: number): void {
    this.#clients.delete(connection)
    this.#hubs.delete(connection)
  }

  tick(): void {}

  accept(key: string, value: string, now: number): void {
    if (this.tuples.get(key) === value) return
    this.tuples.set(key, value)
    for (const [client, heardAt] of this.#clients) {
      if (now - heardAt < 1_000) this.#publish(client, key, value)
    }
    for (const hub of this.#hubs) this.#publish(hub, key, value)
  }

  #publish(connection: number, key: string, value: string): void {
    this.#circle.carry(connection, this, { type: 'publish', key, value, ttlMs: 5_000 })
  }
}

/** Members, and the connections between them. What one says the other hears at once, octet by octet. */
export class Circle {
  now = 0
  /** Nodes that can be entered; and those of them that cannot be reached from anywhere. */
  readonly alive = new Set<number>()
  readonly hidden = new Set<number>()
  readonly members: Member[] = []
  readonly tables: TableMember[] = []
  /** How many messages went over all connections. */
  messageCount = 0
  readonly #links = new Map<number, { readonly client: Member; readonly hub: Member }>()
  #count = 0
  #waiting: (() => void)[] = []
  #isMoving = false

  node(index: number, tuplesMax?: number): TableMember {
    const member = new TableMember(this, index, tuplesMax)
    this.alive.add(index)
    this.members.push(member)
    this.tables.push(member)
    return member
  }

  czmq(): CzmqMember {
    const member = new CzmqMember(this)
    this.members.push(member)
    return member
  }

  /** A client connects to a hub. */
  connect(client: Member, hub: Member, address = '10.0.0.200'): number {
    const connection = ++this.#count
    const leases = client instanceof TableMember && hub instanceof TableMember
    this.#links.set(connection, { client, hub })
    hub.open(connection, { role: 'client', leases, address }, this.now)
    client.open(connection, { role: 'hub', leases, address }, this.now)
    this.#move()
    return connection
  }

  carry(connection: number, from: Member, message: GossipMessage): void {
    const octets = encodeGossip(message)
    this.messageCount++
    this.#waiting.push(() => {
      const link = this.#links.get(connection)
      const to = link?.client === from ? link.hub : link?.client
      to?.hear(connection, decodeGossip([octets]), this.now)
    })
  }

  cut(connection: number): void {
    const link = this.#links.get(connection)
    this.#links.delete(connection)
    link?.client.closed(connection)
    link?.hub.closed(connection)
  }

  /** It is no more, and nobody was told. */
  kill(member: Member): void {
    for (const [connection, { client, hub }] of [...this.#links]) {
      if (client === member || hub === member) this.cut(connection)
    }
    this.members.splice(this.members.indexOf(member), 1)
    if (!(member instanceof TableMember)) return
    this.alive.delete(member.index)
    this.tables.splice(this.tables.indexOf(member), 1)
  }

  advance(ms: number): void {
    for (const end = this.now + ms; this.now < end; ) {
      this.now = Math.min(end, this.now + 100)
      for (const member of this.members) member.tick(this.now)
      this.#move()
    }
  }

  #move(): void {
    if (this.#isMoving) return
    this.#isMoving = true
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) next()
    this.#isMoving = false
  }
}
