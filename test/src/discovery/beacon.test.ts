import t from 'tap'
import { decodeBeacon, encodeBeacon } from '../../../protocol/index.ts'
import { BeaconDiscovery } from '../../../src/discovery/beacon.ts'
import { chooseInterface } from '../../../src/discovery/interfaces.ts'
import { World } from '../../support/host.ts'
import { loadVectors } from '../../support/vectors.ts'

const ALICE = 'a'.repeat(32)
const BOB = 'b'.repeat(32)
const PORT = 5_670
const FROM = { address: '127.0.0.7', port: 1 }

function tested(world: World): { readonly beacon: BeaconDiscovery; readonly told: string[] } {
  const told: string[] = []
  const choice = chooseInterface(world.interfaces, undefined)
  const beacon = new BeaconDiscovery(
    world.host(),
    { uuid: ALICE, port: PORT, intervalMs: 1_000, choice },
    {
      alive: (uuid, { address, port }) => told.push(`${uuid.slice(0, 1)} at ${address}:${port}`),
      goodbye: (uuid) => told.push(`goodbye ${uuid.slice(0, 1)}`),
    },
  )
  return { beacon, told }
}

t.test('the first beacon goes out at once, and one an interval or a little earlier', async (t) => {
  const world = new World()
  const { beacon } = tested(world)
  t.equal(beacon.pollTimeout(), Number.POSITIVE_INFINITY)
  await beacon.start(49_152)
  t.match(world.datagrams, [{ to: { address: '127.255.255.255', port: PORT } }])
  t.match(decodeBeacon(world.datagrams[0]?.bytes as Uint8Array), { uuid: ALICE, port: 49_152 })
  for (let count = 1; count < 50; count++) {
    const at = beacon.pollTimeout()
    t.ok(at - world.now >= 900 && at - world.now <= 1_000, `after ${at - world.now} ms`)
    beacon.handleTimeout(at - 1)
    t.equal(world.datagrams.length, count, 'not before')
    world.now = at
    beacon.handleTimeout(at)
    t.equal(world.datagrams.length, count + 1)
  }
  t.equal(beacon.diagnostics().sent, 50)
})

t.test('its last words are a beacon with port 0', async (t) => {
  const world = new World()
  const { beacon } = tested(world)
  await beacon.start(49_152)
  await beacon.stop()
  t.match(decodeBeacon(world.datagrams[1]?.bytes as Uint8Array), { uuid: ALICE, port: 0 })
  t.equal(beacon.pollTimeout(), Number.POSITIVE_INFINITY)
  await beacon.stop()
  t.equal(world.datagrams.length, 2, 'once')
})

t.test('what is heard is told or counted, by kind and by network', async (t) => {
  const world = new World()
  const { beacon, told } = tested(world)
  await beacon.start(49_152)
  await world.settle()
  const say = (bytes: Uint8Array, from = FROM) => world.broadcast(bytes, { port: PORT }, from)
  say(encodeBeacon({ uuid: BOB, port: 7 }))
  say(encodeBeacon({ uuid: BOB, port: 0 }))
  say(encodeBeacon({ uuid: ALICE, port: 9 }))
  say(Uint8Array.of(1, 2, 3))
  say(encodeBeacon({ uuid: BOB, port: 7 }), { address: '192.168.7.1', port: 1 })
  const { vectors } = loadVectors('beacon')
  const secure = vectors.find(({ bytes }) => bytes[3] === 3)
  t.ok(secure, 'there is a beacon of version 3 to try')
  say(secure?.bytes as Uint8Array)
  t.same(told, ['b at 127.0.0.7:7', 'goodbye b'])
  const { heard, networks } = beacon.diagnostics()
  t.same(heard, { alive: 1, goodbye: 1, own: 2, secure: 1, malformed: 1, foreign: 1 })
  t.same(networks, { '127.0.0.0/24': 6, '192.168.7.0/24': 1 })
})

t.test('networks that are made up fill no memory', async (t) => {
  const world = new World()
  const { beacon } = tested(world)
  await beacon.start(49_152)
  for (let index = 0; index < 200; index++) {
    world.broadcast(new Uint8Array(0), { port: PORT }, { address: `10.0.${index}.1`, port: 1 })
  }
  const { networks } = beacon.diagnostics()
  t.equal(Object.keys(networks).length, 33)
  t.match(networks, { other: 168 })
})

t.test('a beacon of C Zyre is heard', async (t) => {
  const world = new World()
  const { beacon, told } = tested(world)
  await beacon.start(49_152)
  const { vectors } = loadVectors('beacon')
  const alive = vectors.find(
    ({ bytes }) => bytes[3] === 1 && bytes.length === 22 && (bytes[20] || bytes[21]),
  )
  world.broadcast(alive?.bytes as Uint8Array, { port: PORT }, FROM)
  t.equal(told.length, 1)
})
