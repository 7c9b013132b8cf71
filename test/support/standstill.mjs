// A node called rock that stands still, as a process that is stopped, from the first event of a kind on.

import { createLyre } from '../../dist/src/index.js'

const [, address, , port, event] = process.argv.slice(2)
const lyre = createLyre({ name: 'rock', interface: address, beaconPort: Number(port) })
const stop = () => process.kill(process.pid, 'SIGSTOP')
// At a whisper at once: it has not confirmed it, and never will. After an enter what the other needs to enter has to leave, and on
// a busy machine a whisper may be there before it has.
lyre.on('whisper', stop)
if (event === 'enter') lyre.on('enter', () => setTimeout(stop, 50))
await lyre.start()
process.stdout.write('{"event":"start"}\n')
