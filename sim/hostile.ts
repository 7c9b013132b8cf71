// Nodes that keep to no protocol, on bare hosts: octets at random, sequences that begin well, beacons and uuids of others,
// floods, and connections that are held open. They hear beacons, as everybody does, and so know whom to trouble.
// Where connections carry whole messages, whoever writes octets is sent away at once: there, datagrams and connections remain.

import {
  BEACON_PORT,
  decodeBeacon,
  encodeBeacon,
  encodeIdentity,
  encodeZre,
  type Frames,
  NullMechanism,
  type Uuid,
  ZMTP_LIMITS,
  type ZmtpConnection as Zmtp,
  ZmtpConnection,
  type ZreCommand,
} from '../protocol/index.ts'
import type { DatagramSocket, Host, Stream } from '../src/host.ts'
import type { Random } from './random.ts'
import type { Simulation } from './simulation.ts'

/** Somebody whose beacon was heard. */
interface Target {
  readonly uuid: Uuid
  readonly address: string
  readonly port: number
}

/** Connections that one of them holds at most, and targets that it remembers. */
const STREAMS_MAX = 24
const TARGETS_MAX = 64
/** Mean time between two of its deeds. */
const GAP_MS = 400
const BROADCAST = '255.255.255.255'

/** One node that keeps to no protocol. */
export class Hostile {
  readonly #simulation: Simulation
  readonly #random: Random
  readonly #host: Host
  readonly #targets: Target[] = []
  readonly #streams = new Set<Stream>()
  /** Uuids that it says to be. */
  readonly #names: readonly Uuid[]
  #socket: DatagramSocket | undefined
  #port = 1
  #cancel: (() => void) | undefined

  constructor(
    simulation: Simulation,
    { machine, random }: { readonly machine: string; readonly random: Random },
  ) {
    this.#simulation = simulation
    this.#random = random
    this.#host = simulation.createHost({ machine })
    this.#names = Array.from({ length: 4 }, () => uuidOf(random))
  }

  /** Begins to listen. */
  async open(): Promise<void> {
    const { datagrams, streams } = this.#host
    this.#socket = await datagrams.open(
      { address: '0.0.0.0', port: BEACON_PORT, shared: true, broadcast: true },
      { receive: (bytes, { address }) => this.#hear(bytes, address), fail: () => {} },
    )
    const server = await streams.listen({ address: '0.0.0.0', port: 0 }, (stream) => {
      this.#keep(stream)
      const answers = this.#random.chance(0.5)
      const zmtp = answers ? connection(this.#pickName(), 'ROUTER', this.#now) : undefined
      return {
        open: () => {},
        receive: (bytes) => {
          if (zmtp !== undefined) this.#exchange(stream, zmtp, bytes)
        },
        drain: () => {},
        close: () => this.#streams.delete(stream),
      }
    })
    this.#port = server.port
  }

  /** From now on it does what it should not. */
  begin(): void {
    const wait = () => {
      this.#cancel = this.#simulation.schedule(1 + this.#random.exponential(GAP_MS), () => {
        this.#act()
        wait()
      })
    }
    wait()
  }

  /** It keeps still, and lets go of what it holds. */
  end(): void {
    this.#cancel?.()
    for (const stream of this.#streams) stream.destroy()
    this.#streams.clear()
  }

  get #now(): number {
    return this.#simulation.now
  }

  #hear(bytes: Uint8Array, address: string): void {
    try {
      const beacon = decodeBeacon(bytes)
      const known = this.#targets.some(({ uuid }) => uuid === beacon.uuid)
      if (known || this.#names.includes(beacon.uuid) || beacon.port === 0) return
      this.#targets.push({ uuid: beacon.uuid, address, port: beacon.port })
      if (this.#targets.length > TARGETS_MAX) this.#targets.shift()
    } catch {
      // Another of its kind.
    }
  }

  #act(): void {
    const random = this.#random
    const target = this.#targets.length > 0 ? random.pick(this.#targets) : undefined
    const kind = random.below(target === undefined ? 3 : 12)
    switch (kind) {
      case 0:
        this.#broadcast(random.bytes(random.pick([0, 1, 21, 22, 23, 54, 200])))
        break
      case 1:
        this.#beacon(this.#pickName(), random.chance(0.5) ? this.#port : random.between(1, 65_535))
        break
      case 2:
        for (let count = 0; count < 10; count++) this.#beacon(uuidOf(random), this.#port)
        break
      case 3:
        this.#beacon((target as Target).uuid, 0)
        break
      case 4:
        this.#beacon((target as Target).uuid, this.#port)
        break
      default:
        this.#trouble(target as Target, kind)
    }
  }

  #broadcast(bytes: Uint8Array): void {
    this.#socket?.send(bytes, { address: BROADCAST, port: BEACON_PORT })
  }

  #beacon(uuid: Uuid, port: number): void {
    this.#broadcast(encodeBeacon({ uuid, port }))
  }

  #pickName(): Uuid {
    return this.#random.pick(this.#names)
  }

  /** Connects to somebody, and is a nuisance there. */
  #trouble(target: Target, kind: number): void {
    if (this.#streams.size >= STREAMS_MAX) {
      for (const oldest of this.#streams) {
        oldest.destroy()
        this.#streams.delete(oldest)
        break
      }
    }
    const random = this.#random
    // Half of those that say HELLO say it in somebody else's name.
    const theft = random.chance(0.5) ? random.pick(this.#targets).uuid : this.#pickName()
    const zmtp = kind >= 8 ? connection(theft, 'DEALER', this.#now) : undefined
    const stream: Stream = this.#host.streams.connect(target, {
      open: () => {
        this.#keep(stream)
        if (zmtp === undefined) stream.write(this.#opening(kind))
        else this.#exchange(stream, zmtp, new Uint8Array(0), () => this.#script(kind))
      },
      receive: (bytes) => {
        if (zmtp !== undefined) this.#exchange(stream, zmtp, bytes, () => this.#script(kind))
      },
      drain: () => {},
      close: () => this.#streams.delete(stream),
    })
  }

  #keep(stream: Stream): void {
    this.#streams.add(stream)
  }

  /** What is no handshake: noise, a greeting that never goes on, one of ZMTP 2, a frame of many gigabytes. */
  #opening(kind: number): Uint8Array {
    const random = this.#random
    if (kind === 5) return random.bytes(random.between(1, 2_000))
    const greeting = new Uint8Array(64)
    greeting.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 0x4e, 0x55, 0x4c, 0x4c])
    if (kind === 6) {
      greeting[10] = random.pick([0, 1, 2, 3])
      return greeting.slice(0, random.between(1, 64))
    }
    const bytes = new Uint8Array(73)
    bytes.set(greeting)
    bytes.set([random.pick([2, 6]), 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 64)
    return bytes
  }

  /** What it says once its handshake is done: it begins well. */
  #script(kind: number): readonly Frames[] {
    const random = this.#random
    const endpoint = random.chance(0.5) ? `tcp://10.0.0.250:${this.#port}` : `tcp://x:${kind}`
    const groups = random.chance(0.3)
      ? Array.from({ length: 1_000 }, (_, index) => `G${index}`)
      : []
    const hello: ZreCommand = { type: 'hello', endpoint, groups, status: 0, name: '', headers: {} }
    const whisper: ZreCommand = { type: 'whisper', content: [random.bytes(20)] }
    const joins = Array.from({ length: 300 }, (_, index) =>
      encodeZre({ type: 'join', group: `H${index}`, status: index & 0xff }, index + 2),
    )
    switch (kind) {
      case 8:
        return [encodeZre(hello, 1), encodeZre(whisper, 2), encodeZre(whisper, 4)]
      case 9:
        return [encodeZre(hello, 1), encodeZre(hello, 1), encodeZre(hello, random.below(65_536))]
      case 10:
        return [encodeZre(whisper, 1), ...Array.from({ length: 80 }, () => encodeZre(whisper, 2))]
      default: {
        // A version that there is not any more, behind what is right.
        const stale = encodeZre({ type: 'ping' }, 302).map((frame) => frame.slice())
        ;(stale[0] as Uint8Array)[3] = 1
        return [encodeZre(hello, 1), ...joins, stale]
      }
    }
  }

  /** Goes on with a handshake, and says its piece once it is done. */
  #exchange(stream: Stream, zmtp: Zmtp, bytes: Uint8Array, script?: () => readonly Frames[]): void {
    // Where connections carry whole messages, it understands nothing.
    if (!(bytes instanceof Uint8Array)) return
    zmtp.handleBytes(bytes, this.#now)
    for (let event = zmtp.pollEvent(this.#now); event; event = zmtp.pollEvent(this.#now)) {
      if (event.type === 'ready' && script !== undefined) for (const one of script()) zmtp.send(one)
      if (event.type === 'closed') stream.end()
    }
    for (let out = zmtp.pollOutput(); out; out = zmtp.pollOutput()) stream.write(out)
  }
}

function connection(uuid: Uuid, socketType: 'ROUTER' | 'DEALER', now: number): Zmtp {
  const mechanism = new NullMechanism({ socketType, identity: encodeIdentity(uuid) })
  return new ZmtpConnection({ socketType, mechanism, limits: ZMTP_LIMITS }, now)
}

function uuidOf(random: Random): Uuid {
  let uuid = ''
  for (const octet of random.bytes(16)) uuid += octet.toString(16).padStart(2, '0')
  return uuid
}
