/** Watches what one Harmony asks for, and throws where that breaks a promise which holds whatever happens to it. */

import type { PeerEvent } from '../../protocol/harmony.ts'
import type { ConnectionId } from '../../protocol/peers.ts'
import { type Deed, isEvent } from './harmony.ts'

type Watched = {
  readonly endpoint: string
  up: boolean
  /** 0 where the next message has to be a HELLO. */
  sentSequence: number
}

export class Witness {
  /** Connections that are open as far as the machine can know: dialled, or up and accepted. */
  readonly connections = new Map<ConnectionId, Watched>()
  /** Who has entered, by uuid, with the groups it was told to be in. */
  readonly present = new Map<string, Set<string>>()
  #dialledCount = 0

  get dials(): number {
    return [...this.connections.values()].filter(({ up }) => !up).length
  }

  /** A connection is accepted, or one that was dialled is up. */
  up(connection: ConnectionId): void {
    const watched = this.connections.get(connection)
    if (watched === undefined) {
      this.connections.set(connection, { endpoint: '', up: true, sentSequence: 0 })
    } else watched.up = true
  }

  see(effect: Deed): void {
    switch (effect.type) {
      case 'dial': {
        const { connection, endpoint, sequence } = effect
        expect(connection === ++this.#dialledCount, 'dialled connections are 1, 2, 3, ...')
        const endpoints = [...this.connections.values()].map((watched) => watched.endpoint)
        expect(!endpoints.includes(endpoint), `one link to ${endpoint}`)
        this.connections.set(connection, { endpoint, up: false, sentSequence: sequence ?? 0 })
        break
      }
      case 'send': {
        const watched = this.#open(effect.connection)
        const { up, sentSequence } = watched
        expect(up && effect.connection > 0, `${effect.connection} can be written to`)
        expect((effect.command.type === 'hello') === (sentSequence === 0), 'HELLO first, and once')
        expect(effect.sequence === sentSequence + 1, `${effect.sequence} follows ${sentSequence}`)
        watched.sentSequence++
        break
      }
      case 'hold':
      case 'resume':
        expect(effect.connection < 0, 'who is held is an accepted connection')
        this.#open(effect.connection)
        break
      case 'measure':
        this.#open(effect.connection)
        break
      case 'close':
        this.#open(effect.connection)
        this.connections.delete(effect.connection)
        break
      default:
        if (isEvent(effect)) this.#hear(effect)
    }
  }

  /** `enter *event exit`, each change once (harmony.md 3.4). */
  #hear(event: PeerEvent): void {
    const { uuid, groups: listed } = event.peer
    const groups = this.present.get(uuid)
    const told = `${event.type} of ${uuid.slice(0, 4)}`
    expect((groups === undefined) === (event.type === 'enter'), `${told} between enter and exit`)
    if (event.type === 'enter') this.present.set(uuid, new Set())
    else if (event.type === 'exit') this.present.delete(uuid)
    else if (event.type === 'join') {
      expect(groups?.has(event.group) === false && listed.includes(event.group), told)
      groups?.add(event.group)
    } else if (event.type === 'leave') {
      expect(groups?.delete(event.group) === true && !listed.includes(event.group), told)
    }
  }

  #open(connection: ConnectionId): Watched {
    const watched = this.connections.get(connection)
    if (watched === undefined) throw new Error(`connection ${connection} is not open`)
    return watched
  }
}

export function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(`does not hold: ${what}`)
}
