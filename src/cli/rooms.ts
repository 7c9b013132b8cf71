// The groups that we are in as rooms: one of them is where we are, what is said in the others waits there, counted. Each
// room keeps its newest lines, whether they were shown or not.

/** What each room keeps: so many lines, and so many characters in them. */
export const ROOM_LINES_MAX = 1_000
const ROOM_LENGTH_MAX = 500_000

/** A line of a room, and when it came, in milliseconds since the epoch. */
export interface RoomLine {
  readonly at: number
  readonly text: string
}

interface Room {
  readonly group: string
  readonly lines: RoomLine[]
  length: number
  /** How many of the last lines nobody has seen. */
  unseenCount: number
  /** How many unseen ones are not kept any more. */
  droppedCount: number
  /** How many messages are among the unseen. */
  unreadCount: number
  /** Whether we are named in one of them. */
  named: boolean
}

/** A room as it is listed. */
export type RoomSummary = Readonly<Pick<Room, 'group' | 'unreadCount' | 'named'>>

/** What was missed in a room, oldest first; before that, so many lines are lost. */
export interface Missed {
  readonly lines: readonly RoomLine[]
  readonly droppedCount: number
}

interface KeepOptions {
  readonly message?: boolean
  readonly named?: boolean
  readonly shown?: boolean
}

/** All rooms, in the order in which we came. */
export class Rooms {
  readonly #rooms = new Map<string, Room>()
  #current: string | undefined

  /** The group where we are, if we are in any. */
  get current(): string | undefined {
    return this.#current
  }

  /** All rooms. */
  list(): RoomSummary[] {
    return [...this.#rooms.values()]
  }

  has(group: string): boolean {
    return this.#rooms.has(group)
  }

  /** Adds a room, unless it is there; the first is where we are then. */
  add(group: string): void {
    if (this.#rooms.has(group)) return
    const room = { group, lines: [], length: 0 }
    this.#rooms.set(group, {
      ...room,
      unseenCount: 0,
      droppedCount: 0,
      unreadCount: 0,
      named: false,
    })
    this.#current ??= group
  }

  /** Removes a room with all that it keeps; where we were in it, we are in the one before it, or the first. */
  remove(group: string): void {
    const groups = [...this.#rooms.keys()]
    const index = groups.indexOf(group)
    this.#rooms.delete(group)
    if (this.#current === group) this.#current = groups[index === 0 ? 1 : index - 1]
  }

  /** Goes to a room that is there. */
  enter(group: string): Missed {
    const room = this.#rooms.get(group)
    if (room === undefined) return { lines: [], droppedCount: 0 }
    this.#current = group
    const lines = room.unseenCount === 0 ? [] : room.lines.slice(-room.unseenCount)
    const { droppedCount } = room
    Object.assign(room, { unseenCount: 0, droppedCount: 0, unreadCount: 0, named: false })
    return { lines, droppedCount }
  }

  /**
   * Keeps a line of a room that is there.
   * @param options `message`: somebody said it; `named`: and said our name; `shown`: it is seen, wherever we are.
   * @returns whether it is to be shown now.
   */
  keep(group: string, line: RoomLine, options: KeepOptions = {}): boolean {
    const { message = false, named = false } = options
    const room = this.#rooms.get(group)
    const shown = options.shown === true || group === this.#current
    if (room === undefined) return shown
    room.lines.push(line)
    room.length += line.text.length
    if (!shown) {
      room.unseenCount++
      if (message) room.unreadCount++
      if (named) room.named = true
    }
    while (room.lines.length > ROOM_LINES_MAX || room.length > ROOM_LENGTH_MAX) {
      const oldest = room.lines.shift()
      if (oldest === undefined) break
      room.length -= oldest.text.length
      if (room.unseenCount > room.lines.length) {
        room.unseenCount--
        room.droppedCount++
      }
    }
    return shown
  }

  /** The next room after ours in which there is something unread: first those in which we are named. */
  nextUnread(): string | undefined {
    const rooms = [...this.#rooms.values()]
    const index = rooms.findIndex(({ group }) => group === this.#current)
    const others = [...rooms.slice(index + 1), ...rooms.slice(0, Math.max(index, 0))]
    const next =
      others.find(({ named }) => named) ??
      others.find(({ unreadCount }) => unreadCount > 0) ??
      others.find(({ unseenCount }) => unseenCount > 0)
    return next?.group
  }

  /** The newest lines of a room, oldest first. */
  newest(group: string, count: number): readonly RoomLine[] {
    return count === 0 ? [] : (this.#rooms.get(group)?.lines.slice(-count) ?? [])
  }
}
