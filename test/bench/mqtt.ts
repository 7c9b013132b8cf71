/**
 * mqtt.js with a broker, aedes, in a process of its own: who calls publishes at QoS 0 to a topic that who listens has
 * subscribed to, and the other way round on another. Each `publishAsync` is awaited: nothing else tells how much waits.
 */

import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { pathToFileURL } from 'node:url'
import { type Contender, type End, type Hear, obey, rivals, serve, tell } from './contender.ts'

/** What we use of the packages, which a plain install does not have. */
interface Client {
  on(event: 'message', handler: (topic: string, payload: Buffer) => void): void
  subscribeAsync(topic: string): Promise<unknown>
  publishAsync(topic: string, payload: Uint8Array): Promise<unknown>
}
interface Mqtt {
  connectAsync(url: string): Promise<Client>
}
interface AedesModule {
  readonly Aedes: { createBroker(): Promise<{ handle(socket: Socket): void }> }
}

const THERE = 'bench/there'
const BACK = 'bench/back'

async function serveBroker(): Promise<void> {
  const { Aedes }: AedesModule = await import(pathToFileURL(rivals.resolve('aedes')).href)
  const broker = await Aedes.createBroker()
  const server = createServer({ noDelay: true }, (socket) => broker.handle(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  obey({})
  tell('ready', { addresses: [`mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`] })
}

async function open(
  url: string,
  index: number,
  hear: Hear,
  topics: { readonly from: string; readonly to: string },
): Promise<End> {
  const { connectAsync } = rivals('mqtt') as Mqtt
  const client = await connectAsync(url)
  client.on('message', (_topic, payload) => hear(payload, index))
  await client.subscribeAsync(topics.from)
  return { address: url, send: (content) => client.publishAsync(topics.to, content) }
}

const contender: Contender = {
  listen: ({ count, broker }, hear) =>
    Promise.all(
      Array.from({ length: count }, (_, index) =>
        open(broker, index, hear, { from: THERE, to: BACK }),
      ),
    ),
  call: ({ count, broker }, hear) =>
    Promise.all(
      Array.from({ length: count }, (_, index) =>
        open(broker, index, hear, { from: BACK, to: THERE }),
      ),
    ),
}

if (process.argv[2] === 'broker') await serveBroker()
else await serve(contender)
