// The mailbox of a peer by itself: its order, its counts, and what becomes of them when a link ends.

import fc from 'fast-check'
import t from 'tap'
import { createTally, type Letter, Mailbox, type Tally, type Wire } from '../../protocol/mailbox.ts'
import { encodeZre, type ZreCommand } from '../../protocol/zre.ts'
import { content, helloOf } from '../support/harmony.ts'
import { holds } from '../support/holds.ts'

const LIMITS = { queueBytesMax: 1_000, queueMessagesMax: 100 }
const HELLO = helloOf(1)
const PING: ZreCommand = { type: 'ping' }

function letter(command: ZreCommand, bytes = 0): Letter {
  return { ...command, bytes, holders: 0 }
}

function whisper(text: string, bytes = text.length): Letter {
  return letter({ type: 'whisper', content: content(text) }, bytes)
}

function shout(group: string, text: string): Letter {
  return letter({ type: 'shout', group, content: content(text) }, text.length)
}

/** All that leaves now: `hello 1`, `whisper 2`, ... */
function poll(mailbox: Mailbox): string[] {
  const lines: string[] = []
  for (let command = mailbox.poll(); command; command = mailbox.poll()) {
    lines.push(`${plain(command)} ${mailbox.sequence}`)
  }
  return lines
}

function plain(command: ZreCommand): string {
  return 'content' in command
    ? `${command.type} ${new TextDecoder().decode(command.content[0])}`
    : command.type
}

/** What was written to it straight, in the words of poll(). */
class TestWire implements Wire {
  outputBytes = 0
  readonly lines: string[] = []

  send(command: ZreCommand, sequence: number): void {
    this.lines.push(`${plain(command)} ${sequence}`)
    for (const { length } of encodeZre(command, sequence)) this.outputBytes += length
  }

  /** What was written since it was last asked. */
  take(): string[] {
    this.outputBytes = 0
    return this.lines.splice(0)
  }
}

function create(limits = LIMITS): { readonly mailbox: Mailbox; readonly tally: Tally } {
  const tally = createTally()
  return { tally, mailbox: new Mailbox(tally, limits) }
}

t.test('HELLO leaves first, contents once it is open (harmony.md 2.1 and 5.10)', async (t) => {
  const { mailbox } = create()
  t.same(poll(mailbox), [])
  mailbox.begin(HELLO)
  mailbox.push(letter(PING))
  mailbox.push(whisper('a'))
  mailbox.push(letter(PING))
  t.same(poll(mailbox), ['hello 1', 'ping 2'])
  mailbox.open()
  t.same(poll(mailbox), ['whisper a 3', 'ping 4'])
  t.equal(mailbox.sequence, 4)
})

t.test('the sequence goes on after 65,535 with 0 (harmony.md 4.1)', async (t) => {
  const { mailbox } = create()
  mailbox.begin(HELLO)
  mailbox.open()
  poll(mailbox)
  for (let sequence = 2; sequence < 65_536; sequence++) {
    mailbox.push(letter(PING))
    mailbox.poll()
  }
  mailbox.push(letter(PING))
  t.same(poll(mailbox), ['ping 0'])
})

t.test('an epoch begins with what never left, and no more (harmony.md 5.9)', async (t) => {
  const { mailbox, tally } = create()
  mailbox.begin(HELLO)
  mailbox.open()
  for (const text of ['a', 'b', 'c', 'd']) mailbox.push(whisper(text))
  mailbox.push(letter(PING))
  mailbox.poll()
  mailbox.poll()
  const mark = mailbox.mark()
  mailbox.poll()
  mailbox.confirm(mark)
  t.match(tally, { sent: 4, waiting: 2, unconfirmed: 1, confirmed: 1, waitingBytes: 2 })
  t.notOk(mailbox.settled)
  t.equal(mailbox.unconfirmed, 1)
  t.equal(mailbox.forsake(), 1)
  t.equal(mailbox.forsake(), 0, 'lost once')
  mailbox.begin(HELLO)
  t.match(tally, { sent: 4, waiting: 2, unconfirmed: 0, confirmed: 1, lost: 1 })
  t.same(poll(mailbox), ['hello 1'])
  mailbox.open()
  t.same(poll(mailbox), ['whisper c 2', 'whisper d 3'])
  mailbox.confirm(mark)
  t.equal(mailbox.unconfirmed, 2, 'an old answer says nothing')
  mailbox.confirm(mailbox.mark())
  t.ok(mailbox.settled)
  t.match(tally, { waiting: 0, unconfirmed: 0, confirmed: 3, lost: 1, waitingBytes: 0 })
})

t.test('a HELLO that did not leave settles nothing', async (t) => {
  const { mailbox } = create()
  mailbox.begin(HELLO)
  t.notOk(mailbox.settled)
})

t.test('the answer to a PING of ZRE confirms what was before it (harmony.md 5.8)', async (t) => {
  const { mailbox, tally } = create()
  mailbox.begin(HELLO)
  mailbox.open()
  mailbox.push(whisper('a'))
  mailbox.push(letter(PING))
  mailbox.push(whisper('b'))
  mailbox.push(letter(PING))
  poll(mailbox)
  mailbox.confirmPing()
  t.match(tally, { confirmed: 1, unconfirmed: 1 })
  mailbox.push(whisper('c'))
  mailbox.push(letter(PING))
  poll(mailbox)
  mailbox.confirmPing()
  t.match(tally, { confirmed: 1, unconfirmed: 2 }, 'the second answer is to the second PING')
  mailbox.confirmPing()
  t.match(tally, { confirmed: 3, unconfirmed: 0 })
  mailbox.confirmPing()
  mailbox.begin(HELLO)
  mailbox.push(whisper('d'))
  mailbox.open()
  poll(mailbox)
  mailbox.confirmPing()
  t.match(tally, { confirmed: 3, unconfirmed: 1 }, 'an answer without a PING')
})

t.test('answers to PINGs that nobody reads are few (harmony.md 4.8)', async (t) => {
  const { mailbox } = create()
  mailbox.begin(HELLO)
  for (let count = 0; count < 64; count++) {
    t.notOk(mailbox.answered)
    mailbox.push(letter({ type: 'ping-ok' }))
  }
  t.ok(mailbox.answered)
  mailbox.poll()
  mailbox.poll()
  t.notOk(mailbox.answered)
  mailbox.push(letter({ type: 'ping-ok' }))
  t.ok(mailbox.answered)
  mailbox.begin(HELLO)
  t.notOk(mailbox.answered)
})

t.test('it is full by octets or messages, the largest not counted (harmony.md 7.6)', async (t) => {
  const { mailbox } = create()
  mailbox.push(whisper('', 50_000))
  t.notOk(mailbox.full(), 'a legal message is never too much by itself')
  mailbox.push(letter(PING))
  mailbox.push(whisper('', 1_000))
  t.notOk(mailbox.full())
  t.ok(mailbox.full(0.5))
  mailbox.push(whisper('', 1))
  t.ok(mailbox.full())
  t.same(mailbox.waiting, { messages: 3, bytes: 51_001 })
  const many = create().mailbox
  for (let count = 0; count < 100; count++) {
    t.equal(many.full(), false)
    many.push(letter(PING))
  }
  t.ok(many.full())
  t.equal(mailbox.clear(), 3)
  t.notOk(mailbox.full() || mailbox.congested)
})

t.test('it is congested from a quarter until it is empty (harmony.md 7.6)', async (t) => {
  const { mailbox } = create()
  mailbox.begin(HELLO)
  mailbox.open()
  mailbox.push(whisper('', 250))
  t.notOk(mailbox.congested)
  mailbox.push(whisper('', 1))
  t.ok(mailbox.congested)
  for (let count = 0; count < 3; count++) mailbox.poll()
  t.ok(mailbox.congested, 'until poll() finds nothing')
  mailbox.poll()
  t.notOk(mailbox.congested)
  for (let count = 0; count <= 25; count++) mailbox.push(whisper(''))
  t.ok(mailbox.congested, 'many small ones as well')
})

t.test('the caller is told once, and again when it is much', async (t) => {
  const { mailbox } = create()
  mailbox.begin(HELLO)
  mailbox.open()
  t.ok(mailbox.push(whisper('a')))
  t.notOk(mailbox.push(whisper('b')))
  t.ok(mailbox.push(whisper('', 2_000_000)))
  t.notOk(mailbox.push(whisper('c')))
  poll(mailbox)
  t.ok(mailbox.push(whisper('d')))
})

t.test('of a group the oldest that waits can be dropped (harmony.md 7.8)', async (t) => {
  const { mailbox, tally } = create()
  mailbox.begin(HELLO)
  mailbox.open()
  t.notOk(mailbox.dropOldest('A'))
  mailbox.push(whisper('1'))
  for (const text of ['2', '3', '4']) mailbox.push(shout('A', text))
  mailbox.push(shout('B', '5'))
  t.ok(mailbox.dropOldest('A'))
  t.ok(mailbox.dropOldest('A'))
  t.match(tally, { sent: 5, waiting: 3, dropped: 2, waitingBytes: 3 })
  t.same(poll(mailbox), ['hello 1', 'whisper 1 2', 'shout 4 3', 'shout 5 4'])
  t.notOk(mailbox.dropOldest('A'))
  mailbox.push(shout('A', '6'))
  t.ok(mailbox.dropOldest('A'), 'however often it was emptied')
  mailbox.refuse()
  t.match(tally, { sent: 7, dropped: 4 })
})

t.test('a SHOUT waits in many mailboxes, its octets once (harmony.md 7.7)', async (t) => {
  const tally = createTally()
  const mailboxes = [1, 2, 3].map(() => new Mailbox(tally, LIMITS))
  const shared = shout('A', 'hello')
  for (const mailbox of mailboxes) mailbox.push(shared)
  t.match(tally, { sent: 3, waiting: 3, waitingBytes: 5 })
  mailboxes[0]?.clear()
  mailboxes[1]?.dropOldest('A')
  t.equal(tally.waitingBytes, 5)
  mailboxes[2]?.open()
  mailboxes[2]?.poll()
  t.match(tally, { waiting: 0, waitingBytes: 0, lost: 1, dropped: 1, unconfirmed: 1 })
})

t.test('where nothing waits, a message goes straight to the wire', async (t) => {
  const { mailbox, tally } = create()
  const wire = new TestWire()
  mailbox.begin(HELLO)
  mailbox.open()
  t.same(poll(mailbox), ['hello 1'])
  mailbox.attach(wire)
  t.ok(mailbox.push(whisper('a')), 'somebody has to see to it that it leaves')
  t.notOk(mailbox.push(shout('A', 'b')), 'once')
  mailbox.push(letter(PING))
  t.same(wire.take(), ['whisper a 2', 'shout b 3', 'ping 4'])
  t.same(poll(mailbox), [], 'there is nothing left to ask for')
  t.match(tally, { sent: 2, waiting: 0, unconfirmed: 2, waitingBytes: 0 })
  t.same(mailbox.waiting, { messages: 0, bytes: 0 })
  t.equal(mailbox.sequence, 4)
  t.equal(mailbox.readSequence, 0)
  mailbox.confirmPing()
  t.equal(mailbox.readSequence, 4, 'up to the PING itself')
  t.match(tally, { confirmed: 2, unconfirmed: 0 }, 'a PING that went straight counts as any')
})

t.test('HELLO leaves before anything goes straight (harmony.md 2.1)', async (t) => {
  const { mailbox } = create()
  const wire = new TestWire()
  mailbox.begin(HELLO)
  mailbox.open()
  mailbox.attach(wire)
  mailbox.push(whisper('a'))
  t.same(wire.take(), [])
  t.same(poll(mailbox), ['hello 1', 'whisper a 2'])
  mailbox.push(whisper('b'))
  t.same(wire.take(), ['whisper b 3'])
})

t.test('what waits leaves before what comes', async (t) => {
  const { mailbox, tally } = create()
  const wire = new TestWire()
  mailbox.open()
  mailbox.push(whisper('a'))
  mailbox.attach(wire)
  mailbox.push(whisper('b'))
  t.same(wire.take(), [])
  mailbox.poll()
  mailbox.push(whisper('c'))
  t.same(poll(mailbox), ['whisper b 2', 'whisper c 3'])
  mailbox.push(whisper('d'))
  t.same(wire.take(), ['whisper d 4'])
  mailbox.detach()
  mailbox.push(whisper('e'))
  mailbox.attach(wire)
  mailbox.push(whisper('f'))
  t.same(wire.take(), [])
  t.same(poll(mailbox), ['whisper e 5', 'whisper f 6'])
  t.match(tally, { sent: 6, waiting: 0, unconfirmed: 6 })
})

t.test(
  'a wire that has much takes no more, and then the limits hold (harmony.md 7.6)',
  async (t) => {
    const { mailbox, tally } = create()
    const wire = new TestWire()
    mailbox.open()
    mailbox.attach(wire)
    wire.outputBytes = Math.floor(LIMITS.queueBytesMax / 16)
    mailbox.push(whisper('last'))
    t.same(wire.lines, ['whisper last 1'])
    for (let count = 0; count <= 25; count++) {
      t.notOk(mailbox.congested)
      mailbox.push(whisper('more'))
    }
    t.ok(mailbox.congested)
    t.same(wire.lines.length, 1)
    t.match(tally, { sent: 27, waiting: 26, unconfirmed: 1, waitingBytes: 104 })
    for (let count = 0; count < 74; count++) mailbox.push(whisper(''))
    t.ok(mailbox.full())
    wire.take()
    t.ok(mailbox.full(), 'until it is asked for what waits')
    t.equal(poll(mailbox).length, 100)
    t.notOk(mailbox.full() || mailbox.congested)
  },
)

t.test('a link that ends has no wire any more, nor one that is not open', async (t) => {
  const { mailbox, tally } = create()
  const wire = new TestWire()
  mailbox.attach(wire)
  mailbox.push(whisper('a'))
  mailbox.push(letter(PING))
  t.same(wire.take(), [], 'nobody knows who reads')
  mailbox.open()
  poll(mailbox)
  mailbox.push(whisper('b'))
  t.same(wire.take(), ['whisper b 3'])
  t.equal(mailbox.forsake(), 2)
  mailbox.open()
  mailbox.push(whisper('c'))
  t.same(wire.take(), [])
  t.match(tally, { sent: 3, waiting: 1, lost: 2, unconfirmed: 0 })
  mailbox.begin(HELLO)
  mailbox.open()
  t.same(poll(mailbox), ['hello 1', 'whisper c 2'])
})

t.test('a caller is told to write again when much went straight', async (t) => {
  const { mailbox } = create()
  const wire = new TestWire()
  mailbox.open()
  mailbox.attach(wire)
  t.ok(mailbox.push(whisper('a')))
  const told: number[] = []
  for (let count = 0; count < 100; count++) if (mailbox.push(whisper('', 1_000))) told.push(count)
  t.same(told, [58], 'once for each 60,000 octets')
  told.length = 0
  for (let count = 0; count < 8; count++) if (mailbox.push(whisper('', 2 ** 20))) told.push(count)
  t.same(told, [0, 2, 4, 6], 'large ones are not copied, and count for less')
  poll(mailbox)
  t.ok(mailbox.push(whisper('b')))
})

t.test('where much may wait, it is congested from 4,096 messages on', async (t) => {
  const { mailbox } = create({ queueBytesMax: 2 ** 30, queueMessagesMax: 1_000_000 })
  for (let count = 0; count < 4_096; count++) mailbox.push(whisper('a'))
  t.notOk(mailbox.congested)
  mailbox.push(whisper('a'))
  t.ok(mailbox.congested)
})

const deed = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('whisper', 'shout A', 'shout B', 'ping') },
  { weight: 9, arbitrary: fc.constant('poll') },
  { weight: 2, arbitrary: fc.constantFrom('drop A', 'drop B', 'confirm', 'confirmPing', 'open') },
  { weight: 3, arbitrary: fc.constantFrom('attach', 'attach', 'detach', 'clog', 'take') },
  { weight: 1, arbitrary: fc.constantFrom('forsake', 'clear', 'begin') },
)

holds(
  t,
  'each message is counted once, and none overtakes another',
  fc.array(deed, { maxLength: 400, size: 'max' }),
  (deeds) => {
    const { mailbox, tally } = create()
    const wire = new TestWire()
    const letters: Letter[] = []
    let last = -1
    let sequence = 0
    let isBegun = false
    /** It leaves, with the next sequence, and behind all that left before. */
    const leave = (command: ZreCommand): boolean => {
      if (command === HELLO) {
        isBegun = false
        sequence = 0
      }
      sequence++
      if (command === HELLO || mailbox.sequence !== sequence) return mailbox.sequence === sequence
      const index = letters.indexOf(command as Letter)
      const isNext = index > last && !isBegun
      last = Math.max(last, index)
      return isNext
    }
    for (const deed of deeds) {
      const text = String(letters.length)
      if (deed === 'poll') {
        const command = mailbox.poll()
        if (command !== undefined && !leave(command)) return false
      } else if (deed === 'confirm') mailbox.confirm(mailbox.mark())
      else if (deed === 'begin') {
        mailbox.begin(HELLO)
        isBegun = true
      } else if (deed === 'attach') mailbox.attach(wire)
      else if (deed === 'take') wire.take()
      else if (deed === 'clog') wire.outputBytes = 2 ** 20
      else if (deed === 'drop A' || deed === 'drop B') mailbox.dropOldest(deed.slice(5))
      else if (
        deed === 'open' ||
        deed === 'detach' ||
        deed === 'forsake' ||
        deed === 'clear' ||
        deed === 'confirmPing'
      ) {
        mailbox[deed]()
      } else {
        const [type, group] = deed.split(' ')
        const made = group === undefined ? whisper(text) : shout(group, text)
        const pushed = type === 'ping' ? letter({ type: 'ping' }) : made
        const { length } = wire.lines
        letters.push(pushed)
        mailbox.push(pushed)
        if (wire.lines.length > length) {
          if (wire.lines.at(-1) !== `${plain(pushed)} ${mailbox.sequence}`) return false
          if (!leave(pushed)) return false
        }
      }
      const { sent, waiting, unconfirmed, confirmed, lost, dropped, waitingBytes } = tally
      if (sent !== waiting + unconfirmed + confirmed + lost + dropped) return false
      if (Math.min(waiting, unconfirmed, confirmed, lost, dropped, waitingBytes) < 0) return false
      const own = mailbox.waiting
      if (own.messages !== waiting || own.bytes !== waitingBytes) return false
      if (mailbox.unconfirmed !== unconfirmed) return false
    }
    return true
  },
)

t.test('a long queue that is never empty keeps no more than waits', async (t) => {
  const { mailbox, tally } = create({ queueBytesMax: 1_000_000, queueMessagesMax: 100_000 })
  mailbox.begin(HELLO)
  mailbox.open()
  for (let count = 0; count < 10_000; count++) {
    mailbox.push(shout(count % 2 === 0 ? 'A' : 'B', String(count)))
    if (count >= 100) mailbox.poll()
    if (count % 100 === 0) mailbox.dropOldest('B')
  }
  t.ok(tally.waiting < 110, `${tally.waiting} wait`)
  t.ok(mailbox.dropOldest('B'))
  const texts = poll(mailbox).map((text) => Number(text.split(' ')[1]))
  t.same(
    texts,
    [...texts].sort((one, other) => one - other),
  )
})

t.test('what is dropped leaves nothing behind, though nobody reads', async (t) => {
  const { mailbox } = create({ queueBytesMax: 1_000_000, queueMessagesMax: 100_000 })
  mailbox.push(whisper('first'))
  for (let count = 0; count < 100; count++) mailbox.push(shout('A', ''))
  for (let count = 0; count < 5_000; count++) {
    mailbox.push(shout('A', String(count)))
    if (!mailbox.dropOldest('A')) t.fail()
  }
  mailbox.begin(HELLO)
  mailbox.open()
  const lines = poll(mailbox)
  t.equal(lines.length, 102)
  t.same([lines[1], lines[2], lines.at(-1)], ['whisper first 2', 'shout 4900 3', 'shout 4999 102'])
})
