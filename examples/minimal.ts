// A node in ten lines: it joins a group, greets who else is there, and shows what they say.
// Start it twice: npm run example -- minimal [interface]. Ctrl-C says goodbye.

import { createLyre, text } from 'lyre'

const lyre = createLyre({ interface: process.argv[2] ?? '127.0.0.1' })
lyre.on('join', ({ peer, group }) => lyre.whisper(peer, `welcome to ${group}, ${peer.name}`))
lyre.on('whisper', ({ peer, content }) => console.log(`${peer.name}: ${text(content)}`))
lyre.on('exit', ({ peer, cause }) => console.log(`${peer.name} has left: ${cause}`))
lyre.join('CHAT')
await lyre.start()
process.once('SIGINT', () => lyre.stop())
