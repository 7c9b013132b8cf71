// A small chat with the API: lines go to the group CHAT, `@name text` goes to one peer alone.
// Start it in two terminals: npm run example -- chat NAME [interface]. Ctrl-C or Ctrl-D leaves.

import { createInterface } from 'node:readline'
import { createLyre, text } from 'lyre'

const GROUP = 'CHAT'
const [, , name = 'nobody', address = '127.0.0.1'] = process.argv

const lyre = createLyre({ name, interface: address })

/** Peers may send anything: what could move the cursor is not for a terminal. */
function show(line: string): void {
  console.log(line.replaceAll(/\p{Cc}/gu, ' '))
}

lyre.on('enter', ({ peer }) => show(`* ${peer.name} enters from ${peer.endpoint}`))
lyre.on('exit', ({ peer, cause }) => show(`* ${peer.name} exits (${cause})`))
lyre.on('join', ({ peer, group }) => show(`* ${peer.name} joins ${group}`))
lyre.on('leave', ({ peer, group }) => show(`* ${peer.name} leaves ${group}`))
lyre.on('shout', ({ peer, content }) => show(`${peer.name}: ${text(content)}`))
lyre.on('whisper', ({ peer, content }) => show(`${peer.name} (to you alone): ${text(content)}`))

lyre.join(GROUP)
await lyre.start()
show(`* you are ${lyre.name} at ${lyre.endpoint}`)

const lines = createInterface({ input: process.stdin })
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => lines.close())

for await (const line of lines) {
  const [, to, said] = /^@(\S+) (.*)$/.exec(line) ?? []
  if (to === undefined || said === undefined) {
    if (lyre.shout(GROUP, line) === 0) show('* nobody else is there')
  } else {
    const [peer] = lyre.peersByName(to)
    if (peer === undefined) show(`* ${to} is not there`)
    else lyre.whisper(peer, said)
  }
}
await lyre.stop()
