/** `lyre doctor` as a process, on loopback: what it finds there, and how it ends. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Diagnosis } from '../../../src/cli/examination.ts'
import { ended, network, run, runWith, startCommand, startPipe } from '../../support/command.ts'
import { broadcast } from '../../support/nodes.ts'

const WAIT = ['--wait', '1500ms']
/** Long enough for a machine that is busy. */
const LONG_WAIT = ['--wait', '5s']

/** Runs it with --json, and gives what it found. */
async function examine(t: Test, ...args: readonly string[]) {
  const { code, text, errors } = await run(t, 'doctor', ...WAIT, ...args, '--json')
  t.equal(errors, '')
  const { reply, healthy, findings, facts, diagnostics } = JSON.parse(text)
  t.equal(reply, 'doctor')
  t.equal(code, healthy ? 0 : 1)
  const codes = (findings as Diagnosis[]).map(({ severity, code }) => `${severity} ${code}`)
  return { code, codes, findings: findings as Diagnosis[], facts, diagnostics }
}

t.test('who is alone is warned, and that is no problem', async (t) => {
  const node = await network()
  const { code, text, errors } = await run(t, 'doctor', ...WAIT, ...node)
  t.equal(code, 0)
  t.equal(errors, '')
  t.match(text, new RegExp(`^a node on beacon port ${node[3]} looked around for 1.5 s\n\nWARNING`))
  t.match(text, /WARNING {2}our own beacons come back on lo .*\[only-own-beacons\]\n {9}why: /)
  t.match(text, /\n {9}do: {2}start one with beaconPort/)
  t.match(text, /\nok {7}beacons leave by lo \(127\.0\.0\.1\)/)
  t.match(text, /\n\n0 problems, \d+ warnings?, \d+ notes?, \d+ ok$/)
})

t.test('among others all is well, and JSON has what it saw', async (t) => {
  const node = await network()
  await startPipe(t, node, 'ada\u001b[2J')
  const { codes, facts, diagnostics, findings } = await examine(t, ...node, ...LONG_WAIT)
  t.ok(codes.includes('ok peers-there') && codes.includes('ok beacons-heard'), codes.join())
  t.notMatch(codes.join(), /problem/)
  t.equal(facts.platform, process.platform)
  t.match(diagnostics.peers, [{ name: 'ada\u001b[2J' }])
  t.match(findings.find(({ code }) => code === 'peers-there')?.seen, /^1 peer is there: ada/)
  const { text } = await run(t, 'doctor', ...LONG_WAIT, ...node)
  t.match(text, '1 peer is there: ada[2J at', 'no name can move the cursor')
})

t.test('a neighbour with CURVE is named as the cause', async (t) => {
  const node = await network()
  const beacon = new Uint8Array(54).fill(7)
  beacon.set([0x5a, 0x52, 0x45, 3])
  const sending = setInterval(() => void broadcast(Number(node[3]), beacon), 100)
  t.teardown(() => clearInterval(sending))
  const { code, codes } = await examine(t, ...node)
  t.equal(code, 1)
  t.equal(codes[0], 'problem curve-neighbours')
})

t.test('a beacon port that somebody has alone is told, and the rest is looked at', async (t) => {
  const node = await network()
  const port = Number(node[3])
  const holder = createSocket('udp4').bind({ port, address: '0.0.0.0', exclusive: true })
  await once(holder, 'listening')
  t.teardown(() => holder.close())
  const { codes, findings, diagnostics } = await examine(t, ...node)
  t.equal(codes[0], 'problem beacon-port-taken')
  t.match(findings[0]?.seen, /bind EADDRINUSE/)
  t.ok(codes.includes('ok interface-used'))
  t.equal(diagnostics.beacon, null)
  t.notMatch(codes.join(), 'beacons-off')
})

t.test('so are TCP ports, those of an inbox and of a hub', async (t) => {
  const node = await network()
  const holder = createServer().listen(0, '0.0.0.0')
  await once(holder, 'listening')
  t.teardown(() => holder.close())
  const bound = holder.address()
  const port = typeof bound === 'object' ? String(bound?.port) : ''
  const inbox = await examine(t, ...node, '--mailbox-port', port)
  t.equal(inbox.codes[0], 'problem mailbox-port-taken')
  const hub = await examine(t, ...node, '--gossip-bind', `tcp://*:${port}`)
  t.equal(hub.codes[0], 'problem gossip-port-taken')
  const both = await examine(
    ...([t, ...node, '--mailbox-port', port, '--gossip-bind', `tcp://127.0.0.1:${port}`] as const),
  )
  t.match(both.codes.slice(0, 2).sort(), [/problem \w+-port-taken/, /problem \w+-port-taken/])
  t.not(both.diagnostics, undefined, 'a node without either is looked at')
})

t.test('a hub that is not there, and a wrong use, have their exit codes', async (t) => {
  const node = await network()
  const { codes, findings } = await examine(t, ...node, '--gossip-connect', 'tcp://127.0.0.1:9')
  t.equal(codes[0], 'problem hub-unreachable')
  t.match(findings[0]?.seen, /tcp:\/\/127\.0\.0\.1:9 is not there: /)
  const wrong = await run(t, 'doctor', '--interface', 'nix0')
  t.equal(wrong.code, 2)
  t.match(wrong.errors, /no interface to use with the name or address nix0; there are/)
  const bad = await runWith(t, { LYRE_DOCTOR_WAIT: 'long' }, 'doctor')
  t.equal(bad.code, 2)
})

t.test('the state folder of a node stays as it is, and may be in use', async (t) => {
  const node = await network()
  const state = t.testdir({})
  const { codes } = await examine(t, ...node, '--state', state, '--remember')
  t.notMatch(codes.join(), /problem/)
  t.same(readdirSync(state), [])
  await startPipe(t, [...node, '--state', state], 'ada')
  const before = readdirSync(state).map((name) => readFileSync(join(state, name), 'utf8'))
  const beside = await examine(t, ...node, '--state', state)
  t.notMatch(beside.codes.join(), /problem/)
  t.same(
    readdirSync(state).map((name) => readFileSync(join(state, name), 'utf8')),
    before,
  )
})

t.test('Ctrl-C ends it, and not with success', async (t) => {
  const node = await network()
  const { child: ada } = await startPipe(t, node, 'ada')
  const doctor = startCommand(t, ['doctor', ...node, '--wait', '1h', '--name', 'doc'])
  await ada.next('enter', { name: 'doc' })
  doctor.process.kill('SIGINT')
  t.equal((await ended(doctor)).code, 130)
  t.match(await ada.next('exit', { name: 'doc' }), { cause: 'goodbye' })
})
