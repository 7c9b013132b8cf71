/** `--metrics`: a node's metrics by HTTP. Each on a port of its own, on loopback. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { type Command, startCommand } from '../../support/command.ts'
import { eventually } from '../../support/heard.ts'
import { freePort } from '../../support/nodes.ts'

async function start(t: Test, verb: string, ...args: string[]): Promise<Command> {
  const port = String(await freePort())
  const place = ['--interface', '127.0.0.1', '--port', port]
  return startCommand(t, [verb, ...place, '--json', ...args])
}

/** Where a command says that its metrics are. */
async function addressOf(command: Command): Promise<string> {
  await command.next('"start"')
  // That comes by another pipe, and may be read later.
  const address = () => /http:\S+(?=\n)/.exec(command.errors)?.[0]
  await eventually('it says where', () => address() !== undefined)
  return address() ?? ''
}

async function ask(
  url: string,
  method = 'GET',
): Promise<{ readonly status: number | undefined; readonly type: string; readonly body: string }> {
  return new Promise((resolve, reject) => {
    // Kept alive, as Prometheus does: whoever leaves waits for nobody.
    request(url, { method, headers: { connection: 'keep-alive' } }, async (response) => {
      const body = await text(response)
      resolve({ status: response.statusCode, type: `${response.headers['content-type']}`, body })
    })
      .on('error', reject)
      .end()
  })
}

for (const verb of ['watch', 'pipe', 'chat']) {
  t.test(`lyre ${verb} --metrics serves the metrics of its node`, async (t) => {
    const command = await start(t, verb, '--name', 'ada', '--metrics', '0')
    const url = await addressOf(command)
    t.match(url, /^http:\/\/127\.0\.0\.1:\d+\/metrics$/)
    const { status, type, body } = await ask(url)
    t.match({ status, type }, { status: 200, type: /^text\/plain; version=0\.0\.4/ })
    t.match(body, /^lyre_started 1$/m)
    t.match(body, /^lyre_node_info\{uuid="[0-9a-f]{32}",name="ada"\} 1$/m)
    t.match(await ask(url.replace('metrics', '')), { status: 404 })
    t.match(await ask(url, 'POST'), { status: 405 })
    t.match(await ask(url, 'HEAD'), { status: 200, body: '' })
    command.process.kill('SIGINT')
    t.equal(await command.exited, 0)
  })
}

t.test('after /nick, metrics are those of the new node', async (t) => {
  const command = await start(t, 'chat', '--name', 'ada', '--metrics', '127.0.0.1:0')
  const url = await addressOf(command)
  command.type('/nick eve')
  await command.next('"start"')
  t.match((await ask(url)).body, /name="eve"\} 1$/m)
})

t.test('a place that is taken, or that is none, is said', async (t) => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  t.teardown(() => taken.close())
  const { port } = taken.address() as { readonly port: number }
  const command = await start(t, 'watch', '--metrics', `127.0.0.1:${port}`)
  t.equal(await command.exited, 1)
  t.match(command.errors, new RegExp(`metrics cannot be served at 127.0.0.1:${port} .*EADDRINUSE`))
  for (const place of ['x', '70000', ':1', '127.0.0.1:', '1:2:3']) {
    const wrong = await start(t, 'watch', '--metrics', place)
    t.equal(await wrong.exited, 2, place)
    t.match(wrong.errors, /PORT or HOST:PORT/)
  }
})

t.test('without prom-client it is said what to install, and nothing is started', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lyre-exporter-'))
  const hidden = join(folder, 'hide.mjs')
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(
    hidden,
    `import { register } from 'node:module'
register('data:text/javascript,' + encodeURIComponent(\`
export async function resolve(name, context, next) {
  if (name !== 'prom-client') return next(name, context)
  throw Object.assign(new Error('not there'), { code: 'ERR_MODULE_NOT_FOUND' })
}\`))`,
  )
  const port = String(await freePort())
  const command = startCommand(
    t,
    ['watch', '--interface', '127.0.0.1', '--port', port, '--metrics', '0'],
    ['--import', hidden],
  )
  t.equal(await command.exited, 2)
  t.match(command.errors, /--metrics needs the package prom-client: npm install prom-client/)
  t.same(command.lines.items, [])
})
