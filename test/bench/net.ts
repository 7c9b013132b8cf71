/**
 * The limit: `node:net` and nothing but the frames of ZMTP around each message, a header of 8 octets and the content. The
 * sender fills chunks of 64 KiB and flushes one when it is full or the turn ends; the receiver reads frames from what `data`
 * events bring, and gives views. No handshake, no peers, no limits: who does more in JavaScript on `data` events cannot be
 * faster.
 */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type Contender, type End, type Hear, serve } from './contender.ts'

const CHUNK_BYTES = 65_536
const MORE = 0x01
const LARGE = 0x02
/** A header frame, and the longest opening of a content frame. */
const OPENING_BYTES = 10 + 9

class Sender implements End {
  readonly address = ''
  readonly #socket: Socket
  #chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  #used = 0
  #scheduled = false

  constructor(socket: Socket) {
    this.#socket = socket
  }

  send(content: Uint8Array): Promise<unknown> | undefined {
    let free = true
    if (this.#used + OPENING_BYTES + content.length > CHUNK_BYTES) free = this.#flush()
    this.#open(content.length)
    if (content.length > CHUNK_BYTES - OPENING_BYTES) {
      this.#flush()
      free = this.#socket.write(content)
    } else {
      this.#chunk.set(content, this.#used)
      this.#used += content.length
    }
    if (!this.#scheduled) {
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        this.#flush()
      })
    }
    return free ? undefined : once(this.#socket, 'drain')
  }

  #open(bytes: number): void {
    const chunk = this.#chunk
    let at = this.#used
    chunk[at] = MORE
    chunk[at + 1] = 8
    chunk.fill(0, at + 2, at + 10)
    at += 10
    if (bytes < 256) {
      chunk[at] = 0
      chunk[at + 1] = bytes
      at += 2
    } else {
      chunk[at] = LARGE
      chunk.writeUInt32BE(0, at + 1)
      chunk.writeUInt32BE(bytes, at + 5)
      at += 9
    }
    this.#used = at
  }

  /** @returns false when it is time to wait for `drain`. */
  #flush(): boolean {
    if (this.#used === 0) return true
    const free = this.#socket.write(this.#chunk.subarray(0, this.#used))
    // What the system took at once can be filled again.
    if (this.#socket.writableLength > 0) this.#chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    this.#used = 0
    return free
  }
}

/** Reads frames from chunks; one that is not whole waits, and is joined once. */
function read(socket: Socket, hear: (content: Uint8Array) => void): void {
  let parts: Uint8Array[] = []
  let heldBytes = 0
  let wantedBytes = 0
  socket.on('data', (chunk: Buffer) => {
    let bytes = chunk
    if (heldBytes > 0) {
      parts.push(chunk)
      heldBytes += chunk.length
      if (heldBytes < wantedBytes) return
      bytes = Buffer.concat(parts, heldBytes)
    }
    const left = readFrames(bytes, hear)
    wantedBytes = left.wantedBytes
    heldBytes = bytes.length - left.at
    parts = heldBytes > 0 ? [bytes.subarray(left.at)] : []
  })
}

/** Reads all whole frames. @returns where the first begins that is not, and how many octets it has as far as can be told. */
function readFrames(
  bytes: Buffer,
  hear: (content: Uint8Array) => void,
): { readonly at: number; readonly wantedBytes: number } {
  let at = 0
  for (;;) {
    const leftBytes = bytes.length - at
    if (leftBytes < 2) return { at, wantedBytes: 2 }
    const flags = bytes[at] as number
    let start = at + 2
    let end = start + (bytes[at + 1] as number)
    if ((flags & LARGE) !== 0) {
      if (leftBytes < 9) return { at, wantedBytes: 9 }
      start = at + 9
      end = start + bytes.readUInt32BE(at + 5)
    }
    if (end > bytes.length) return { at, wantedBytes: end - at }
    if ((flags & MORE) === 0) hear(bytes.subarray(start, end))
    at = end
  }
}

async function listen(hear: Hear, index: number): Promise<End> {
  let sender: Sender | undefined
  const server = createServer({ noDelay: true }, (socket) => {
    sender = new Sender(socket)
    read(socket, (content) => hear(content, index))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { address: String(port), send: (content) => sender?.send(content) }
}

async function call(address: string, hear: Hear, index: number): Promise<End> {
  const socket = connect({ host: '127.0.0.1', port: Number(address), noDelay: true })
  await once(socket, 'connect')
  read(socket, (content) => hear(content, index))
  return new Sender(socket)
}

const contender: Contender = {
  listen: ({ count }, hear) =>
    Promise.all(Array.from({ length: count }, (_, index) => listen(hear, index))),
  call: ({ count, addresses: [address = ''] }, hear) =>
    Promise.all(Array.from({ length: count }, (_, index) => call(address, hear, index))),
}

await serve(contender)
