/** examples/sensors.ts as its user starts it: processes on loopback, sensors with a /sys and /proc that the test writes. */

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import t from 'tap'
import { type Command, startExample } from '../support/command.ts'
import { createNode, freePort } from '../support/nodes.ts'

const UNIT = fileURLToPath(new URL('../../examples/lyre-sensors.service', import.meta.url))
const PROGRAM = fileURLToPath(new URL('../../dist-examples/sensors.js', import.meta.url))
const ALL = {
  'sys/class/thermal/cooling_device0/type': 'fan',
  'sys/class/thermal/thermal_zone0/temp': '48312\n',
  'sys/class/thermal/thermal_zone1/temp': '41000\n',
  'proc/loadavg': '0.00 0.01 0.05 1/150 4242\n',
  'proc/meminfo': 'MemTotal:         948304 kB\nMemFree:  1 kB\nMemAvailable:     711228 kB\n',
  'proc/net/wireless':
    'Inter-| sta-|   Quality        |   Discarded packets\n' +
    ' face | tus | link level noise |  nwid  crypt   frag\n' +
    ' wlan0: 0000   54.  -56.  -256        0      0      0\n',
}

/** A root with these files; what is not named is not there. */
function createRoot(t: Test, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'lyre-sensors-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  for (const [path, text] of Object.entries(files)) write(root, { path, text })
  return root
}

/** Whole or not at all, as the kernel's own files are for who reads them. */
function write(root: string, { path, text }: { readonly path: string; readonly text: string }) {
  const file = join(root, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}

/** Starts the example in a role, at a beacon port. */
function start(t: Test, role: string, port: number, ...args: readonly string[]): Command {
  const network = ['--interface', '127.0.0.1', '--port', String(port)]
  return startExample(t, 'sensors', [role, ...network, ...args])
}

function startSensor(t: Test, port: number, ...args: readonly string[]): Command {
  return start(t, 'sensor', port, '--every', '0.05', '--again', '86400', ...args)
}

t.test(
  'who comes late is told all values at once, in which nothing changes any more',
  async (t) => {
    const port = await freePort()
    const sensor = startSensor(t, port, '--name', 'pi-1', '--root', createRoot(t, ALL))
    const first = start(t, 'controller', port, '--name', 'first')
    const whole =
      'pi-1: temperature 48.3 °C; load 0 for each processor; memory 25 % in use; signal -56 dBm'
    const fits = (line: string) => line.replaceAll(/, \d+ s ago/g, '') === whole
    await first.lines.next(whole, fits)
    const late = start(t, 'controller', port, '--name', 'late')
    await late.lines.next(whole, fits)
    t.same(sensor.errors + first.errors + late.errors, '')
  },
)

t.test('a sensor that gets too hot or too busy is told what to do, once, and obeys', async (t) => {
  const port = await freePort()
  const root = createRoot(t, ALL)
  const sensor = startSensor(t, port, '--name', 'pi-1', '--root', root)
  const controller = start(t, 'controller', port, '--hot', '60', '--busy', '0')
  await controller.next('pi-1 is told: slow down')
  await sensor.next('says slow down: reading each 0.1 s')
  await controller.next('pi-1 obeys: reading each 0.1 s')
  const warm = 'sys/class/thermal/thermal_zone1/temp'
  // 58 degrees are neither too hot nor cool again.
  for (const text of ['60000', '70000', '58000']) {
    write(root, { path: warm, text })
    await controller.next(`temperature ${Number(text) / 1_000} °C`)
  }
  await sensor.next('says fan on: the fan is on')
  write(root, { path: warm, text: '50000' })
  await sensor.next('says fan off: the fan is off')
  await controller.next('pi-1 obeys: the fan is off')
  const told = controller.lines.items.filter((line) => line.includes('is told'))
  t.same(told, ['pi-1 is told: slow down', 'pi-1 is told: fan on', 'pi-1 is told: fan off'])
})

t.test('the values of a sensor that is quiet or gone are stale', async (t) => {
  const port = await freePort()
  const root = createRoot(t, ALL)
  const sensor = startSensor(t, port, '--name', 'pi-1', '--root', root)
  const other = startSensor(t, port, '--name', 'pi-2', '--root', root)
  const controller = start(t, 'controller', port)
  await controller.lines.next('both', () =>
    ['pi-1', 'pi-2'].every((name) =>
      controller.lines.items.some((line) => line.startsWith(name) && line.includes('signal')),
    ),
  )
  sensor.process.kill('SIGSTOP')
  const quiet = await controller.next('(stale: it is quiet)')
  t.match(quiet, /^pi-1: temperature 48\.3 °C, \d+ s ago; .*signal -56 dBm, \d+ s ago \(stale/)
  sensor.process.kill('SIGCONT')
  write(root, { path: 'sys/class/thermal/thermal_zone0/temp', text: '52000' })
  const fresh = await controller.lines.next('pi-1 again', (line) => /^pi-1: .* 52 °C/.test(line))
  t.notMatch(fresh, /stale/)
  sensor.process.kill('SIGTERM')
  t.equal(await sensor.exited, 0)
  await controller.lines.next('its exit', (line) =>
    /^pi-1: .*\(stale: it is gone, goodbye\)$/.test(line),
  )
  other.process.kill('SIGINT')
  t.equal(await other.exited, 0)
  await controller.lines.next('its exit', (line) =>
    /^pi-2: .*\(stale: it is gone, goodbye\)$/.test(line),
  )
  controller.process.kill('SIGTERM')
  t.equal(await controller.exited, 0)
})

t.test('a machine without these files is a sensor too, and says what it lacks', async (t) => {
  const port = await freePort()
  const sensor = startSensor(t, port, '--name', 'bare', '--root', createRoot(t, {}))
  for (const kind of ['temperature', 'load', 'memory', 'signal']) {
    await sensor.next(`there is no ${kind} to be read here`)
  }
  const real = startSensor(t, port, '--name', 'real')
  const controller = start(t, 'controller', port)
  if (process.platform === 'linux') await controller.next('real: ')
  const lacks = sensor.lines.items.filter((line) => line.startsWith('there is no'))
  t.equal(lacks.length, 4, 'each once')
  t.equal(real.errors, '')
})

t.test('what others say that is no reading, or no command, is ignored, with a word', async (t) => {
  const port = await freePort()
  const sensor = startSensor(t, port, '--name', 'pi-1', '--root', createRoot(t, ALL))
  const controller = start(t, 'controller', port)
  const { lyre } = createNode(t, { name: 'eve', beaconPort: port })
  await lyre.start()
  await lyre.waitForPeers(1, { group: 'sensors/load' })
  for (const bad of [
    '{',
    '[]',
    'null',
    '7',
    '"\u001b[2J"',
    '{"kind":"__proto__","value":1,"ageMs":0}',
  ]) {
    lyre.shout('sensors/load', bad)
  }
  lyre.shout('sensors/load', '{"kind":"load","value":"high","ageMs":0}')
  lyre.shout('sensors/load', '{"kind":"load","value":1e999,"ageMs":0}')
  lyre.shout('sensors/load', new Uint8Array([0xff, 0]))
  lyre.shout('sensors/load', '{"kind":"load","value":0.5,"ageMs":0}')
  await controller.next('eve: load 0.5')
  const words = controller.lines.items.filter((line) => line.includes('eve'))
  t.equal(words[0], 'eve says what is no reading: {')
  t.equal(words.length, 2, 'once for all of it')
  await lyre.waitForPeers(2)
  const [peer] = lyre.peersByName('pi-1')
  for (const command of ['constructor', 'x'.repeat(1_000)]) lyre.whisper(peer?.uuid ?? '', command)
  await sensor.next('eve says constructor: no such command')
  t.equal((await sensor.next('eve says xxx')).length, 'eve says ...: no such command'.length + 60)
})

t.test('what cannot be is an error that says why', async (t) => {
  for (const [args, why] of [
    [['gardener'], /a role is sensor or controller, not gardener/],
    [['sensor', '--every', 'often'], /--every has to be a number, not often/],
    [['sensor', '--again', '0'], /--again has to be from 0\.05/],
    [['controller', '--hot', ''], /--hot has to be a number/],
    [['sensor', '--interface', 'eth99'], /no interface to use with the name or address eth99/],
    [['sensor', '--port', 'x', '--interface', '127.0.0.1'], /beaconPort/],
    [['sensor', '--mailbox-port', '70000', '--interface', '127.0.0.1'], /mailboxPort/],
  ] as const) {
    const command = startExample(t, 'sensors', args)
    t.equal(await command.exited, 1, args.join(' '))
    t.match(command.errors, why)
  }
})

const absent = spawnSync('systemd-analyze', ['--version']).error !== undefined
const skip = absent && 'there is no systemd-analyze here; the Debian package systemd has it'
t.test('systemd takes the unit', { skip }, async (t) => {
  const folder = createRoot(t, {})
  const unit = readFileSync(UNIT, 'utf8')
  const here = unit
    .replace('/usr/bin/node', process.execPath)
    .replace('/opt/lyre/sensors.mjs', PROGRAM)
  const [good, bad] = ['good.service', 'bad.service'].map((name) => join(folder, name))
  writeFileSync(good as string, here)
  writeFileSync(bad as string, here.replace('Restart=always', 'Restart=sometimes'))
  const verify = (path: string | undefined) => {
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', path ?? ''], {
      encoding: 'utf8',
    })
    return { status, complaints: stderr }
  }
  t.same(verify(good), { status: 0, complaints: '' })
  t.match(verify(bad).complaints, /sometimes/, 'it would have said so')
})
