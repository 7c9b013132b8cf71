/**
 * zeromq.js 6, the binding of libzmq for Node.js: a Dealer sends to a Router, each message a header of 8 octets and the
 * content, each `send` awaited and messages read with `for await`, as its documentation says. The high-water marks are the
 * defaults, without which the sender's memory would grow for as long as the receiver is the slower one.
 */

import { type Contender, type End, type Hear, rivals, serve } from './contender.ts'

/** What we use of the package, which a plain install does not have. */
interface Socket extends AsyncIterable<readonly Buffer[]> {
  readonly lastEndpoint: string | null
  bind(address: string): Promise<void>
  connect(address: string): void
  send(frames: readonly Uint8Array[]): Promise<void>
}
interface Zeromq {
  readonly Dealer: new () => Socket
  readonly Router: new () => Socket
}

const { Dealer, Router } = rivals('zeromq') as Zeromq
const header = Buffer.alloc(8)

async function listen(hear: Hear, index: number): Promise<End> {
  const router = new Router()
  await router.bind('tcp://127.0.0.1:*')
  let caller: Buffer | undefined
  async function read(): Promise<void> {
    for await (const [from, , content] of router) {
      caller = from
      hear(content as Buffer, index)
    }
  }
  void read()
  return {
    address: router.lastEndpoint ?? '',
    send: (content) => (caller === undefined ? undefined : router.send([caller, header, content])),
  }
}

async function call(address: string, hear: Hear, index: number): Promise<End> {
  const dealer = new Dealer()
  dealer.connect(address)
  async function read(): Promise<void> {
    for await (const [, content] of dealer) hear(content as Buffer, index)
  }
  void read()
  return { address: '', send: (content) => dealer.send([header, content]) }
}

const contender: Contender = {
  listen: ({ count }, hear) =>
    Promise.all(Array.from({ length: count }, (_, index) => listen(hear, index))),
  call: ({ count, addresses: [address = ''] }, hear) =>
    Promise.all(Array.from({ length: count }, (_, index) => call(address, hear, index))),
}

await serve(contender)
