import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/**
 * Octets of memory of one kind that are in use once all that is garbage is gone. Buffers are freed behind
 * the back of the collection that found them, but never later than the start of the next: hence two.
 */
export function memory(kind: 'arrayBuffers' | 'heapUsed'): number {
  gc()
  gc()
  return process.memoryUsage()[kind]
}
