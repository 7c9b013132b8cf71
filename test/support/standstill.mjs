// A node called rock that stands still, as a process that is stopped, from the first whisper on: it has not confirmed it, and never will.

import { createLyre } from '../../dist/src/index.js'

const [, address, , port] = process.argv.slice(2)
const lyre = createLyre({ name: 'rock', interface: address, beaconPort: Number(port) })
lyre.on('whisper', () => process.kill(process.pid, 'SIGSTOP'))
await lyre.start()
process.stdout.write('{"event":"start"}\n')
