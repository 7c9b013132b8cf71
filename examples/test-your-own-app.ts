// A program of your own, tested in a network that is not there: npm run example -- test-your-own-app.
// An hour of lost beacons, a crash and a partition takes a second or so, and is the same each time.

import { equal, ok } from 'node:assert/strict'
import { type Lyre, text } from 'lyre'
import { Simulation } from 'lyre/sim'

/** The program: a chat in which who comes late is told what was said. It takes the node that it is to use. */
class Chat {
  readonly lines: string[] = []
  readonly #lyre: Lyre

  constructor(lyre: Lyre) {
    this.#lyre = lyre
    lyre.join('CHAT')
    lyre.on('shout', ({ content }) => this.#add(text(content)))
    lyre.on('join', ({ peer }) => {
      for (const line of this.lines) lyre.whisper(peer, line)
    })
    lyre.on('whisper', ({ content }) => this.#add(text(content)))
  }

  say(line: string): void {
    const signed = `${this.#lyre.name}: ${line}`
    this.#add(signed)
    this.#lyre.shout('CHAT', signed)
  }

  #add(line: string): void {
    if (!this.lines.includes(line)) this.lines.push(line)
  }
}

const seed = Number(process.argv[2] ?? 1)
await using simulation = new Simulation({ seed, links: { latencyMs: 5, jitterMs: 20, loss: 0.2 } })
const [ada, bob, eve] = ['ada', 'bob', 'eve'].map((name) => simulation.createLyre({ name }))
ok(ada && bob && eve)
const chats = [ada, bob, eve].map((lyre) => new Chat(lyre))
const [adas, bobs, eves] = chats
ok(adas && bobs && eves)

await Promise.all([ada.start(), bob.start()])
await simulation.runUntil(ada.waitForPeers(1, { group: 'CHAT' }))
adas.say('hello')
bobs.say('hello, ada')

// Who comes late is told.
await eve.start()
await simulation.runUntil(() => eves.lines.length === 2)
console.log(`eve knows after ${simulation.now} ms:`, eves.lines)

// An hour in which a fifth of all beacons is lost: nobody exits.
let exitCount = 0
for (const lyre of [ada, bob, eve]) lyre.on('exit', () => exitCount++)
await simulation.run(3_600_000)
equal(exitCount, 0)

// A wall between ada and the others; what was said on one side of it is known on the other afterwards.
simulation.partition([[ada], [bob, eve]])
await simulation.run(60_000)
bobs.say('ada is gone')
simulation.heal()
await simulation.runUntil(() => adas.lines.length === 3)
console.log(`ada knows after ${simulation.now} ms:`, adas.lines)

// Power fails at bob's, and he comes back with nothing.
simulation.crash(bob)
const bobAgain = simulation.restart(bob)
const bobsAgain = new Chat(bobAgain)
await bobAgain.start()
await simulation.runUntil(() => bobsAgain.lines.length === 3)
console.log(`bob knows after ${simulation.now} ms:`, bobsAgain.lines)
console.log(`seed ${seed}: ${simulation.digest()}`)
