/** Rooms: what is kept, what is missed, what is unread. */

import t from 'tap'
import { ROOM_LINES_MAX, Rooms } from '../../../src/cli/rooms.ts'

const line = (text: string) => ({ at: 0, text })
const MESSAGE = { message: true }

function startRooms(...groups: string[]): Rooms {
  const rooms = new Rooms()
  for (const group of groups) rooms.add(group)
  return rooms
}

t.test('what comes where we are is shown, elsewhere it waits and is counted', async (t) => {
  const rooms = startRooms('CHAT', 'OPS')
  t.equal(rooms.keep('CHAT', line('here'), MESSAGE), true)
  t.equal(rooms.keep('OPS', line('a notice')), false)
  t.equal(rooms.keep('OPS', line('there'), MESSAGE), false)
  t.match(rooms.list(), [{ unreadCount: 0 }, { group: 'OPS', unreadCount: 1, named: false }])
  t.same(rooms.enter('OPS'), { lines: [line('a notice'), line('there')], droppedCount: 0 })
  t.equal(rooms.current, 'OPS')
  t.match(rooms.list(), [{ unreadCount: 0 }, { unreadCount: 0 }])
  t.same(rooms.enter('CHAT').lines, [], 'that was shown')
  t.same(rooms.newest('OPS', 1), [line('there')])
  t.equal(rooms.keep('NONE', line('nowhere')), false)
})

t.test('a room keeps its newest lines, and tells how many were missed', async (t) => {
  const rooms = startRooms('CHAT', 'OPS')
  for (let count = 0; count < ROOM_LINES_MAX + 7; count++) {
    rooms.keep('OPS', line(String(count)), MESSAGE)
  }
  const { lines, droppedCount } = rooms.enter('OPS')
  t.equal(droppedCount, 7)
  t.equal(lines.length, ROOM_LINES_MAX)
  t.same(lines[0], line('7'))
  for (let count = 0; count < 100; count++) rooms.keep('CHAT', line('x'.repeat(10_000)), MESSAGE)
  t.equal(rooms.enter('CHAT').lines.length, 50, 'nor more characters than it may')
})

t.test('the next room is one where we are named, or any with something unread', async (t) => {
  const rooms = startRooms('A', 'B', 'C', 'D')
  t.equal(rooms.nextUnread(), undefined)
  rooms.keep('B', line('a notice'))
  t.equal(rooms.nextUnread(), 'B')
  rooms.keep('C', line('said'), MESSAGE)
  t.equal(rooms.nextUnread(), 'C')
  rooms.keep('D', line('ada'), { message: true, named: true })
  t.equal(rooms.nextUnread(), 'D')
})

t.test('who leaves a room is in the one before', async (t) => {
  const rooms = startRooms('A', 'B', 'C')
  rooms.enter('B')
  rooms.remove('C')
  t.equal(rooms.current, 'B')
  rooms.remove('B')
  t.equal(rooms.current, 'A')
  rooms.remove('A')
  t.equal(rooms.current, undefined)
  t.same(rooms.list(), [])
})
