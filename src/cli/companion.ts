// One of the two who keep you company in the demonstration: a node in a process of its own, with nothing but the network
// between it and you. It greets who joins, answers what is said, and leaves when somebody says goodbye. All that it knows
// of others it has heard from them.

import { createLyre, type Lyre, type Peer, text } from '../index.ts'
import { type NodeSettings, nodeOptions } from './settings.ts'

/** Where the demonstration takes place. */
export const STAGE = 'CHAT'
/** The companions, by name: the first asks the second to play, the second answers. */
export const COMPANIONS = ['orpheus', 'sappho'] as const

const [LEADER, SINGER] = COMPANIONS
/** The header by which companions know each other from people. */
const PART = 'lyre-demo'
/** A node asks within 100 ms what was read of what it wrote. */
const FAREWELL_MS = 300

/** The verb: until it has said goodbye, standard input ends (whoever started us is gone), or a signal comes. */
export async function accompany(settings: NodeSettings, signal: AbortSignal): Promise<number> {
  const lyre = createLyre({ ...nodeOptions(settings), headers: { [PART]: 'companion' } })
  lyre.join(STAGE)
  const left = new Promise<void>((resolve) => {
    const leave = () => resolve()
    signal.addEventListener('abort', leave)
    process.stdin.on('end', leave).on('error', leave).resume()
    play(lyre, leave)
  })
  await lyre.start()
  await left
  await lyre.stop()
  process.stdin.destroy()
  return 0
}

function play(lyre: Lyre, leave: () => void): void {
  /** Who has been asked for a song, and for whom no one has sung yet. */
  let asked = false
  const people = () => lyre.peersInGroup(STAGE).filter((peer) => !isCompanion(peer))
  const together = () => lyre.peersInGroup(STAGE).some(isCompanion) && people().length > 0
  const ask = () => {
    if (lyre.name !== LEADER || asked || !together()) return
    asked = true
    lyre.shout(STAGE, `${SINGER}, we have a guest: will you sing?`)
  }
  const sing = () => {
    if (!asked || people().length === 0) return
    asked = false
    lyre.shout(STAGE, `gladly, ${LEADER}, if you play`)
  }
  lyre.on('join', ({ peer, group }) => {
    if (group !== STAGE) return
    if (!isCompanion(peer)) lyre.shout(STAGE, `welcome, ${peer.name}!`)
    ask()
    if (lyre.name === SINGER) sing()
  })
  lyre.on('shout', ({ peer, group, content }) => {
    const said = text(content)
    if (isCompanion(peer)) {
      if (lyre.name !== SINGER || !said.startsWith(`${SINGER},`)) return
      asked = true
      sing()
      return
    }
    lyre.shout(group, replyTo(peer, said))
    if (isGoodbye(said)) part(lyre, leave)
  })
  lyre.on('whisper', ({ peer, content }) => {
    const said = text(content)
    if (isCompanion(peer)) return
    lyre.whisper(peer, replyTo(peer, said))
    if (isGoodbye(said)) part(lyre, leave)
  })
}

function replyTo({ name }: Peer, said: string): string {
  if (isGoodbye(said)) return `farewell, ${name}`
  const count = said.split(/\s+/).filter((word) => word !== '').length
  return `"${said}", ${name}? ${count === 1 ? 'One word' : `${count} words`}, and all of them arrived`
}

/** Leaves soon: until then whoever said goodbye is told that it was read. */
function part(lyre: Lyre, leave: () => void): void {
  lyre.leave(STAGE)
  setTimeout(leave, FAREWELL_MS)
}

function isCompanion({ headers }: Peer): boolean {
  return headers[PART] === 'companion'
}

function isGoodbye(said: string): boolean {
  return /\b(good)?bye\b/i.test(said)
}
