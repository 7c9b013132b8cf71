// `--metrics [HOST:]PORT`: the metrics of a verb's node for Prometheus, by HTTP. The package prom-client is loaded only here, and
// only when it is asked for: it need not be installed.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Lyre, NetworkError, registerMetrics, UsageError } from '../index.ts'

/** Where metrics are served. */
export interface MetricsPlace {
  readonly host: string
  /** 0 is any that is free. */
  readonly port: number
}

type PromClient = typeof import('prom-client')

const PATH = '/metrics'

/**
 * Serves the metrics of a node at a place, if there is one, for as long as something else keeps the process. Says to standard
 * error where that is.
 * @param node which one it is at the moment.
 * @throws UsageError where prom-client is not installed, NetworkError when the place cannot be had.
 */
export async function serveMetrics(
  place: MetricsPlace | undefined,
  node: () => Lyre,
): Promise<void> {
  if (place === undefined) return
  const promClient = await loadPromClient()
  const server = createServer((request, response) => {
    answer(request, response, { promClient, lyre: node() }).catch((error: unknown) => {
      response.destroy(error as Error)
    })
  })
  server.on('connection', (socket) => socket.unref())
  server.listen(place)
  try {
    await once(server, 'listening')
  } catch (cause) {
    const text = `metrics cannot be served at ${place.host}:${place.port}`
    throw new NetworkError(text, { cause })
  }
  server.unref()
  const { address, family, port } = server.address() as AddressInfo
  const host = family === 'IPv6' ? `[${address}]` : address
  process.stderr.write(`lyre: metrics are at http://${host}:${port}${PATH}\n`)
}

async function loadPromClient(): Promise<PromClient> {
  try {
    return (await import('prom-client')).default
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new UsageError('--metrics needs the package prom-client: npm install prom-client')
  }
}

async function answer(
  { method = '', url = '' }: IncomingMessage,
  response: ServerResponse,
  { promClient, lyre }: { readonly promClient: PromClient; readonly lyre: Lyre },
): Promise<void> {
  const refuse = (status: number, text: string) =>
    response.writeHead(status, { 'content-type': 'text/plain' }).end(`${text}\n`)
  if (url.replace(/\?.*/, '') !== PATH) {
    refuse(404, `metrics are at ${PATH}`)
  } else if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    refuse(405, 'metrics can be read, and nothing else')
  } else {
    // One for each answer: a node may be another one by the next.
    const registry = new promClient.Registry()
    registerMetrics(lyre, registry)
    const text = await registry.metrics()
    response.writeHead(200, { 'content-type': registry.contentType }).end(text)
  }
}
