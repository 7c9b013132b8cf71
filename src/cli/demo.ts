// `lyre demo`: a network of three nodes on this machine alone. You are one; the other two are processes of their own, found
// by beacons and reached over TCP like any others. On a terminal it is a chat; without one it plays a conversation.

import { createSocket } from 'node:dgram'
import { createLyre } from '../index.ts'
import { converse } from './chat.ts'
import { STAGE } from './companion.ts'
import { perform } from './script.ts'
import { type NodeSettings, nodeOptions, ownCommand } from './settings.ts'
import { isInteractive } from './terminal.ts'
import { Troupe } from './troupe.ts'

const LOOPBACK = '127.0.0.1'

/** The verb. Without a terminal, 0 when every line of the conversation arrived, else 1. */
export async function demonstrate(settings: NodeSettings, signal: AbortSignal): Promise<number> {
  const port = settings.port ?? (await findPort())
  const name = settings.name ?? 'guest'
  const create = (name: string) => createLyre(nodeOptions({ name, interface: LOOPBACK, port }))
  const troupe = new Troupe({ address: LOOPBACK, port })
  try {
    const json = settings.json === true
    if (json || !isInteractive()) {
      return await perform({ lyre: create(name), troupe, port, signal, json })
    }
    const intro = [
      `Two companions come, each in a process of its own: ${troupe.names}.`,
      'Talk to them; tell them goodbye, and they leave. /help tells what else there is.',
      'To join from another terminal:',
      `  ${ownCommand()} chat --interface ${LOOPBACK} --port ${port}`,
      '',
    ].join('\n')
    return await converse((nick = name) => create(nick), {
      groups: [STAGE],
      signal,
      intro,
      leave: () => troupe.end(),
    })
  } finally {
    await troupe.end()
  }
}

/** A beacon port that nobody uses: a network of our own. Systems give away no port below 32,768 by themselves. */
async function findPort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (await isFree(port)) return port
  }
  throw new Error('no UDP port from 20000 to 31999 could be opened')
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    socket.once('error', () => resolve(false))
    socket.bind({ port, exclusive: true }, () => socket.close(() => resolve(true)))
  })
}
