// Sensors and what watches them, on any Linux: a Raspberry Pi, or two terminals.
// npm run example -- sensors [sensor | controller] [options]; Ctrl-C or SIGTERM leaves.
//
// A sensor reads temperature, load, memory and WiFi signal, and shouts what has changed to a group of each kind, as JSON. Who
// joins such a group is whispered the last value at once: that is what MQTT calls retained, without a server that retains.
// A controller shows the values of all sensors, and whispers `fan on`, `fan off`, `slow down` and `speed up` to those that get
// too hot or too busy; a person can do the same with `lyre chat`. Anybody on the network may: do not let it move what is
// dangerous.

import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createLyre, type Lyre, type LyreOptions, type Peer, text } from 'lyre'

const { positionals, values: given } = parse()

/** What was said on the command line. */
function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        // As with the command: the name or address of an interface, and the UDP port of the beacons.
        interface: setting('interface', '127.0.0.1'),
        port: setting('port', '5670'),
        name: setting('name', ''),
        // A TCP port, or two as in 49152-49160, for a firewall to let in; any that is free without it.
        'mailbox-port': setting('mailbox-port', ''),
        // A sensor reads each so many seconds, and says again what has not changed for so many.
        every: setting('every', '2'),
        again: setting('again', '60'),
        // Where its /proc and /sys are: those of the machine may be at another place in a container.
        root: setting('root', '/'),
        // From when on a controller has something done: degrees, and processes that want to run for each processor.
        hot: setting('hot', '70'),
        busy: setting('busy', '1'),
      },
    })
  } catch (error) {
    console.error(`sensors: ${(error as Error).message}`)
    process.exit(2)
  }
}

/** An option of the command line, or of the environment: `LYRE_MAILBOX_PORT` is `--mailbox-port`. */
function setting(name: string, otherwise: string) {
  return {
    type: 'string',
    default: process.env[`LYRE_${name.toUpperCase().replaceAll('-', '_')}`] || otherwise,
  } as const
}

interface Kind {
  readonly unit: string
  /** By how much a value has to change to be worth telling. */
  readonly step: number
  /** Reads it; undefined where the machine has none. */
  read(): number | undefined
}

interface Reading {
  readonly kind: string
  readonly value: number
  /** How old it is. A Raspberry Pi has no clock that goes on without power, so nobody is told a time of day. */
  readonly ageMs: number
}

const KINDS: Readonly<Record<string, Kind>> = {
  temperature: { unit: '°C', step: 0.5, read: readTemperature },
  load: { unit: 'for each processor', step: 0.1, read: readLoad },
  memory: { unit: '% in use', step: 1, read: readMemory },
  signal: { unit: 'dBm', step: 3, read: readSignal },
}
const GROUPS = Object.keys(KINDS).map((kind) => `sensors/${kind}`)
const SLOWEST_MS = 60_000

function createNode(options: LyreOptions): Lyre {
  const [from = 0, to = from] = given['mailbox-port'].split('-').map(Number)
  const lyre = createLyre({
    ...(given.name === '' ? {} : { name: given.name }),
    ...(from === 0 ? {} : { mailboxPort: { from, to } }),
    interface: given.interface,
    beaconPort: Number(given.port),
    // Old values are of no use to who is slow, and little memory is needed for so little.
    overflow: Object.fromEntries(GROUPS.map((group) => [group, 'drop-oldest'])),
    limits: { messageBytesMax: 65_536, queueBytesMax: 2 ** 20, queueTotalBytesMax: 2 ** 24 },
    ...options,
  })
  return lyre
}

function runSensor(): Lyre {
  const lyre = createNode({ headers: { 'X-ROLE': 'sensor' } })
  const everyMs = 1_000 * positive('every')
  const againMs = 1_000 * positive('again')
  const last = new Map<string, { readonly value: number; readonly at: number; toldAt: number }>()
  const missing = new Set<string>()
  let waitMs = everyMs

  const tell = (kind: string, value: number): void => {
    const at = performance.now()
    const before = last.get(kind)
    const step = KINDS[kind]?.step ?? 0
    const isNews =
      before === undefined ||
      Math.abs(value - before.value) >= step ||
      at - before.toldAt >= againMs
    if (!isNews) return
    last.set(kind, { value, at, toldAt: at })
    lyre.shout(`sensors/${kind}`, encode({ kind, value, ageMs: 0 }))
  }
  const look = (): void => {
    for (const [kind, { read }] of Object.entries(KINDS)) {
      const value = read()
      if (value !== undefined) tell(kind, value)
      else if (!missing.has(kind)) show(`there is no ${kind} to be read here`)
      if (value === undefined) missing.add(kind)
      else missing.delete(kind)
    }
    timer = setTimeout(look, waitMs)
  }
  const commands: Readonly<Record<string, () => string>> = {
    // Here a program would set a pin.
    'fan on': () => 'the fan is on',
    'fan off': () => 'the fan is off',
    'slow down': () => setWait(Math.min(SLOWEST_MS, Math.max(waitMs, everyMs) * 2)),
    'speed up': () => setWait(everyMs),
  }
  const setWait = (ms: number): string => {
    waitMs = ms
    return `reading each ${ms / 1_000} s`
  }

  lyre.on('join', ({ peer, group }) => {
    const kind = group.replace(/^sensors\//, '')
    const reading = GROUPS.includes(group) ? last.get(kind) : undefined
    if (reading === undefined) return
    const ageMs = Math.round(performance.now() - reading.at)
    lyre.whisper(peer, encode({ kind, value: reading.value, ageMs }))
  })
  lyre.on('whisper', ({ peer, content }) => {
    const command = text(content)
    const obey = Object.hasOwn(commands, command) ? commands[command] : undefined
    const answer = obey?.() ?? 'no such command'
    show(`${peer.name} says ${excerpt(command)}: ${answer}`)
    if (obey !== undefined) lyre.whisper(peer, JSON.stringify({ obeyed: command, answer }))
  })
  let timer = setTimeout(look, 0)
  lyre.on('stop', () => clearTimeout(timer))
  return lyre
}

/** What a controller knows of a sensor. */
interface Sensor {
  readonly values: Map<string, { readonly value: number; readonly at: number }>
  /** What it was told to do, and is to be told no second time. */
  readonly told: Set<string>
  /** What was wrong with what it said; said once, or a broken sensor would fill the log. */
  isBad: boolean
  isStale: boolean
}

function runController(): Lyre {
  const lyre = createNode({ headers: { 'X-ROLE': 'controller' } })
  const sensors = new Map<string, Sensor>()
  const [hot, busy] = [finite('hot'), finite('busy')]

  const sensorOf = (peer: Peer): Sensor => {
    const found = sensors.get(peer.uuid)
    if (found !== undefined) return found
    const sensor = { values: new Map(), told: new Set<string>(), isBad: false, isStale: false }
    sensors.set(peer.uuid, sensor)
    return sensor
  }
  /** Tells a sensor once that it is beyond a limit, and once that it is well below again. */
  const react = (
    peer: Peer,
    rule: { value: number; from: number; below: number; say: string[] },
  ) => {
    const { told } = sensorOf(peer)
    const [begin = '', end = ''] = rule.say
    const isTold = told.has(begin)
    if (isTold ? rule.value >= rule.below : rule.value < rule.from) return
    if (isTold) told.delete(begin)
    else told.add(begin)
    show(`${peer.name} is told: ${isTold ? end : begin}`)
    lyre.whisper(peer, isTold ? end : begin)
  }
  const hear = ({ peer, content }: { peer: Peer; content: readonly Uint8Array[] }): void => {
    const sensor = sensorOf(peer)
    const said = decode(text(content))
    if (said === undefined) {
      if (!sensor.isBad) show(`${peer.name} says what is no reading: ${excerpt(text(content))}`)
      sensor.isBad = true
      return
    }
    if ('answer' in said) {
      show(`${peer.name} obeys: ${said.answer}`)
      return
    }
    const { kind, value, ageMs } = said
    sensor.values.set(kind, { value, at: performance.now() - ageMs })
    sensor.isStale = false
    show(line(peer, sensor))
    if (kind === 'temperature') {
      react(peer, { value, from: hot, below: hot - 5, say: ['fan on', 'fan off'] })
    } else if (kind === 'load') {
      react(peer, { value, from: busy, below: busy * 0.7, say: ['slow down', 'speed up'] })
    }
  }
  const doubt = (peer: Peer, why: string): void => {
    const sensor = sensors.get(peer.uuid)
    if (sensor === undefined || sensor.isStale) return
    sensor.isStale = true
    show(`${line(peer, sensor)} (stale: ${why})`)
  }

  for (const group of GROUPS) lyre.join(group)
  lyre.on('shout', ({ peer, group, content }) => {
    if (GROUPS.includes(group)) hear({ peer, content })
  })
  lyre.on('whisper', hear)
  lyre.on('evasive', ({ peer }) => doubt(peer, 'it is quiet'))
  lyre.on('silent', ({ peer }) => doubt(peer, 'it does not answer'))
  lyre.on('exit', ({ peer, cause }) => {
    const sensor = sensors.get(peer.uuid)
    sensors.delete(peer.uuid)
    // At our own stop() all peers exit, and none of them is gone.
    if (sensor === undefined || sensor.values.size === 0 || cause === 'stop') return
    show(`${line(peer, sensor)} (stale: it is gone, ${cause})`)
  })
  return lyre
}

/** The values of a sensor, and their age where they are not new. */
function line(peer: Peer, { values }: Sensor): string {
  const words = [...values].map(([kind, { value, at }]) => {
    const seconds = Math.round((performance.now() - at) / 1_000)
    return `${kind} ${value} ${KINDS[kind]?.unit}${seconds > 0 ? `, ${seconds} s ago` : ''}`
  })
  return `${peer.name}: ${words.join('; ') || 'nothing yet'}`
}

function encode(reading: Reading): string {
  return JSON.stringify(reading)
}

/** Anybody may say anything: what is no reading of a kind that we know, nor an answer, is undefined. */
function decode(json: string): Reading | { readonly answer: string } | undefined {
  let said: unknown
  try {
    said = JSON.parse(json)
  } catch {
    return undefined
  }
  if (typeof said !== 'object' || said === null) return undefined
  if ('answer' in said) {
    return typeof said.answer === 'string' ? { answer: excerpt(said.answer) } : undefined
  }
  if (!('kind' in said && 'value' in said && 'ageMs' in said)) return undefined
  const { kind, value, ageMs } = said
  if (typeof kind !== 'string' || !Object.hasOwn(KINDS, kind)) return undefined
  if (!Number.isFinite(value) || !Number.isFinite(ageMs)) return undefined
  return { kind, value: value as number, ageMs: ageMs as number }
}

/** The hottest zone, in degrees; the kernel counts in thousandths. */
function readTemperature(): number | undefined {
  const folder = 'sys/class/thermal'
  const temperatures = list(folder)
    .filter((name) => name.startsWith('thermal_zone'))
    .map((name) => Number.parseInt(read(join(folder, name, 'temp')), 10) / 1_000)
    .filter(Number.isFinite)
  return temperatures.length === 0 ? undefined : round(Math.max(...temperatures), 1)
}

/** Of the last minute. */
function readLoad(): number | undefined {
  const load = Number.parseFloat(read('proc/loadavg'))
  return Number.isFinite(load) ? round(load / availableParallelism(), 2) : undefined
}

function readMemory(): number | undefined {
  const kib = (name: string) => {
    const [, digits = ''] =
      new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(read('proc/meminfo')) ?? []
    return Number.parseInt(digits, 10)
  }
  const percent = 100 * (1 - kib('MemAvailable') / kib('MemTotal'))
  return Number.isFinite(percent) ? round(percent, 0) : undefined
}

/** Of the first interface that has one: two lines of headings, then `wlan0: 0000 54. -56. -256 ...`. */
function readSignal(): number | undefined {
  const [, , first = ''] = read('proc/net/wireless').split('\n')
  const level = Number.parseFloat(first.trim().split(/\s+/)[3] ?? '')
  return Number.isFinite(level) ? round(level, 0) : undefined
}

/** The text of a file, or nothing where there is none; thermal zones that are switched off cannot be read either. */
function read(path: string): string {
  try {
    return readFileSync(join(given.root, path), 'utf8')
  } catch {
    return ''
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(join(given.root, path))
  } catch {
    return []
  }
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}

function finite(name: 'hot' | 'busy' | 'every' | 'again'): number {
  const value = Number(given[name])
  if (given[name] !== '' && Number.isFinite(value)) return value
  throw new Error(`--${name} has to be a number, not ${given[name]}`)
}

function positive(name: 'every' | 'again'): number {
  const value = finite(name)
  if (value >= 0.05 && value <= 86_400) return value
  throw new Error(`--${name} has to be from 0.05 to 86,400 seconds, not ${given[name]}`)
}

function excerpt(said: string): string {
  return said.length > 60 ? `${said.slice(0, 60)}...` : said
}

/** Peers may send anything: what could move the cursor is not for a terminal. */
function show(line: string): void {
  console.log(line.replaceAll(/\p{Cc}/gu, ' '))
}

const ROLES: Readonly<Record<string, () => Lyre>> = { sensor: runSensor, controller: runController }

try {
  const [role = 'sensor'] = positionals
  const run = Object.hasOwn(ROLES, role) ? ROLES[role] : undefined
  if (run === undefined) throw new Error(`a role is sensor or controller, not ${role}`)
  const lyre = run()
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => lyre.stop())
  await lyre.start()
  show(`${role} ${lyre.name} at ${lyre.endpoint}, beacon port ${given.port}`)
} catch (error) {
  // Such as an interface that is not up yet: who started us may try again.
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
