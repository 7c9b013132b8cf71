import t from 'tap'
import { UsageError } from '../../src/errors.ts'
import { type LyreOptions, resolveOptions } from '../../src/options.ts'

/** What is said to options that cannot work. */
function complaint(options: object): string {
  try {
    resolveOptions(options as LyreOptions)
  } catch (error) {
    if (error instanceof UsageError) return error.message
    throw error
  }
  return 'nothing'
}

t.test('everything has the default that its docstring names', async (t) => {
  t.same(resolveOptions({}), {
    name: undefined,
    headers: {},
    seeds: [],
    state: undefined,
    keepUuid: false,
    remember: false,
    beacon: true,
    beaconPort: 5_670,
    beaconIntervalMs: 1_000,
    mdns: false,
    ipv6: undefined,
    interfaces: [],
    mailboxPorts: { from: 0, to: 0 },
    advertise: undefined,
    gossipBind: undefined,
    gossipConnect: [],
    gossipTtlMs: 30_000,
    evasiveTimeoutMs: 5_000,
    silentTimeoutMs: 6_000,
    expiredTimeoutMs: 30_000,
    lonelyAfterMs: 10_000,
    copy: false,
    trace: undefined,
    log: { level: 'off', publish: true },
    overflow: new Map(),
    limits: {
      peersMax: 1_024,
      peerGroupsMax: 1_024,
      peerGroupsTotalMax: 131_072,
      dialsMax: 32,
      arrivalsMax: 1_024,
      messageBytesMax: 67_108_864,
      messageFramesMax: 1_024,
      queueBytesMax: 33_554_432,
      queueMessagesMax: 131_072,
      queueTotalBytesMax: 268_435_456,
      gossipTuplesMax: 4_096,
      gossipClientsMax: 1_024,
      unreadBytesMax: 268_435_456,
      logRecordsMax: 4_096,
      logBytesMax: 1_048_576,
      eventsMax: 10_000,
      eventBytesMax: 33_554_432,
    },
  })
})

t.test('what is given is taken', async (t) => {
  const trace = () => {}
  const given = {
    name: 'Köln',
    headers: { 'X-ROLE': 'sensor', 'X-EMPTY': '' },
    beacon: false,
    beaconPort: 1,
    beaconIntervalMs: 10,
    advertise: 'tcp://[fe80::1]:65535',
    gossipConnect: ['tcp://hub.example:5671', 'tcp://10.0.0.5:5671'],
    gossipTtlMs: 1_000,
    evasiveTimeoutMs: 10,
    silentTimeoutMs: 11,
    expiredTimeoutMs: 86_400_000,
    ipv6: false,
    copy: true,
    trace,
  }
  t.match(resolveOptions(given), given)
  t.same(resolveOptions({ interface: 'eth0' }).interfaces, ['eth0'])
  const wanted = ['eth*', '!eth1', '10.0.0.0/8', 'fd00::/128', '!fe80::1%eth0', '*:*']
  t.same(resolveOptions({ interface: wanted }).interfaces, wanted)
  t.same(resolveOptions({ mailboxPort: 7 }).mailboxPorts, { from: 7, to: 7 })
  t.same(resolveOptions({ mailboxPort: { from: 7, to: 65_535 } }).mailboxPorts, {
    from: 7,
    to: 65_535,
  })
  const { limits } = resolveOptions({ limits: { peersMax: 1, messageFramesMax: 2 } })
  t.match(limits, { peersMax: 1, messageFramesMax: 2, dialsMax: 32 })
})

t.test('numbers outside of their range are refused by name', async (t) => {
  for (const [name, min, max] of [
    ['beaconPort', 1, 65_535],
    ['beaconIntervalMs', 10, 60_000],
    ['mailboxPort', 1, 65_535],
    ['gossipTtlMs', 1_000, 600_000],
    ['evasiveTimeoutMs', 10, 86_400_000],
    ['silentTimeoutMs', 10, 86_400_000],
    ['expiredTimeoutMs', 10, 86_400_000],
  ] as const) {
    for (const wrong of [min - 1, max + 1, 10.5, Number.NaN, Number.POSITIVE_INFINITY, '99']) {
      t.equal(
        complaint({ [name]: wrong }),
        `${name} has to be an integer from ${min} to ${max}, not ${wrong}`,
      )
    }
  }
  t.match(complaint({ mailboxPort: { from: 9, to: 8 } }), /^mailboxPort .* from 9 to 65535, not 8/)
})

t.test('a node can be told not to mind being alone', async (t) => {
  const never = Number.POSITIVE_INFINITY
  t.equal(resolveOptions({ lonelyAfterMs: 0 }).lonelyAfterMs, never)
  t.equal(resolveOptions({ lonelyAfterMs: never }).lonelyAfterMs, never)
  t.equal(resolveOptions({ lonelyAfterMs: 10 }).lonelyAfterMs, 10)
  for (const wrong of [-1, 9, 10.5, 86_400_001, Number.NaN, '99']) {
    const expected = `lonelyAfterMs has to be an integer from 10 to 86400000, not ${wrong}`
    t.equal(complaint({ lonelyAfterMs: wrong }), expected)
  }
})

t.test('timeouts stand in their order', async (t) => {
  const order = /evasiveTimeoutMs \(\d+\), silentTimeoutMs \(\d+\) and expiredTimeoutMs \(\d+\)/
  for (const wrong of [
    { evasiveTimeoutMs: 6_000 },
    { silentTimeoutMs: 5_000 },
    { silentTimeoutMs: 30_000 },
    { expiredTimeoutMs: 6_000 },
    { evasiveTimeoutMs: 300, silentTimeoutMs: 200, expiredTimeoutMs: 100 },
  ]) {
    t.match(complaint(wrong), order)
  }
})

t.test('texts have to fit into the fields of their messages', async (t) => {
  t.equal(complaint({ name: 'ü'.repeat(127) }), 'nothing')
  for (const name of ['ü'.repeat(128), 7, null]) {
    t.equal(complaint({ name }), 'name has to be a text of at most 255 octets of UTF-8')
  }
  for (const advertise of ['here', 'tcp://host', 'tcp://host:0', 'udp://host:1', 7]) {
    t.equal(complaint({ advertise }), `advertise has to be tcp://host:port, not ${advertise}`)
  }
  t.match(complaint({ advertise: `tcp://${'h'.repeat(250)}:1` }), /^advertise .* 255 octets/)
})

t.test('an option of another type is named', async (t) => {
  const list = 'interface has to be a name, an address, a network, or a list of these'
  for (const wrong of [7, '', '!', [''], ['eth0', 7], '10.0.0.0/33', 'fd00::/129']) {
    t.equal(complaint({ interface: wrong }), list)
  }
  t.equal(complaint({ copy: 'no' }), 'copy has to be a boolean, not no')
  t.equal(complaint({ ipv6: 'no' }), 'ipv6 has to be a boolean, not no')
  t.equal(complaint({ trace: true }), 'trace has to be a function, not true')
})

t.test('headers are limited in number, key and value', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`X-${index}`, '']))
  t.equal(complaint({ headers: many }), '65 headers are too many, the limit is 64')
  t.equal(complaint({ headers: { '': 'x' } }), 'a header has an empty key')
  t.match(complaint({ headers: { ['k'.repeat(256)]: '' } }), /^the key of a header .* 255 octets/)
  for (const value of ['v'.repeat(4_097), 7]) {
    t.equal(
      complaint({ headers: { K: value } }),
      'header K has to be a text of at most 4096 octets',
    )
  }
  const { headers } = resolveOptions({ headers: { toString: 'mine' } })
  t.equal(Object.getPrototypeOf(headers), null)
  t.ok(Object.isFrozen(headers))
})

t.test('options and limits that do not exist are named, with those that do', async (t) => {
  t.match(complaint({ beaconport: 7 }), /beaconport.*beaconPort/)
  t.match(complaint({ limits: { peermax: 7 } }), /^there is no limit peermax; there are peersMax/)
  t.match(complaint({ limits: { toString: 7 } }), /^there is no limit toString/)
  for (const [limits, words] of [
    [{ peersMax: 0 }, 'limits.peersMax has to be an integer from 1 to'],
    [{ messageFramesMax: 1 }, 'limits.messageFramesMax has to be an integer from 2 to'],
    [
      { peerGroupsMax: 1_025 },
      'limits.peerGroupsMax has to be an integer from 1 to 1024, not 1025',
    ],
    [{ eventsMax: 1.5 }, 'limits.eventsMax has to be'],
  ] as const) {
    t.ok(complaint({ limits }).startsWith(words), complaint({ limits }))
  }
})

t.test('where to be a hub, and where hubs are, has to be said in full', async (t) => {
  const port = 5_671
  for (const [gossipBind, address] of [
    ['tcp://*:5671', { address: '0.0.0.0', port }],
    ['tcp://127.0.0.1:5671', { address: '127.0.0.1', port }],
    ['tcp://127.0.0.1:*', { address: '127.0.0.1', port: 0 }],
    ['tcp://[::1]:5671', { address: '::1', port }],
    ['tcp://[fe80::1%eth0]:*', { address: 'fe80::1%eth0', port: 0 }],
    ['inproc://a-hub', { name: 'a-hub' }],
  ] as const) {
    t.same(resolveOptions({ gossipBind }).gossipBind, address)
  }
  for (const gossipBind of [
    '',
    '*:5671',
    'tcp://*',
    'tcp://*:0',
    'tcp://*:65536',
    'tcp://a:1',
    'tcp://[1:2:3]:1',
    'tcp://::1:5671',
    7,
  ]) {
    t.match(complaint({ gossipBind }), /gossipBind has to be tcp:.* not /, String(gossipBind))
  }
  t.match(complaint({ gossipBind: 'tcp://1.2.3:1' }), /gossipBind/)
  t.match(resolveOptions({ state: '/a', keepUuid: true, remember: true }), {
    state: '/a',
    keepUuid: true,
    remember: true,
  })
  for (const state of ['', 7, 'a\0b']) t.match(complaint({ state }), /state has to be a folder/)
  t.match(complaint({ keepUuid: true }), /keepUuid needs a folder: option state/)
  t.match(complaint({ remember: true }), /remember needs a folder/)
  t.match(complaint({ state: '/a', remember: 'no' }), /remember has to be a boolean/)
  t.match(complaint({ headers: { 'x-lyre-Id': '' } }), /header x-lyre-Id is one of Lyre's own/)
  const full = Object.fromEntries(Array.from({ length: 63 }, (_, index) => [`${index}`, '']))
  t.equal(Object.keys(resolveOptions({ headers: full }).headers).length, 63)
  t.match(complaint({ headers: full, state: '/a' }), /63 headers are too many, the limit is 62/)
  t.same(resolveOptions({ seeds: 'tcp://a:1' }).seeds, ['tcp://a:1'])
  t.same(resolveOptions({ seeds: ['tcp://a:1', 'tcp://a:1'] }).seeds, ['tcp://a:1'])
  for (const seeds of ['', 'a:1', 'tcp://a', 'tcp://a:0', 'inproc://a', ['tcp://a:1', 7], 7]) {
    t.match(complaint({ seeds }), /seeds has to be /, String(seeds))
  }
  t.same(
    resolveOptions({ seeds: ['tcp://[FD00:0::1]:1', 'tcp://fd00::1:1', 'tcp://[fe80::1%eth0]:1'] })
      .seeds,
    ['tcp://[fd00::1]:1', 'tcp://[fe80::1%eth0]:1'],
    'an address has one text',
  )
  for (const seeds of ['tcp://0.0.0.0:1', 'tcp://[::]:1']) {
    t.match(complaint({ seeds }), /where another node is/, seeds)
  }
  t.match(complaint({ seeds: 'tcp://[fe80::1]:1' }), /its interface, as in .*fe80::1%eth0\]:1/)
  const tooMany = Array.from({ length: 65 }, (_, index) => `tcp://a:${index + 1}`)
  t.match(complaint({ seeds: tooMany }), /one endpoint, or a list of up to 64/)
  t.same(resolveOptions({ gossipConnect: 'tcp://a:1' }).gossipConnect, ['tcp://a:1'])
  t.same(resolveOptions({ gossipConnect: ['tcp://a:1', 'tcp://a:1'] }).gossipConnect, ['tcp://a:1'])
  for (const gossipConnect of ['', 'tcp://a', 'inproc://', ['tcp://a:1', 7], 7]) {
    t.match(complaint({ gossipConnect }), /gossipConnect has to be /, String(gossipConnect))
  }
  const many = Array.from({ length: 17 }, (_, index) => `tcp://a:${index + 1}`)
  t.match(complaint({ gossipConnect: many }), /one hub, or a list of up to 16/)
  t.match(complaint({ beacon: 'no' }), /beacon has to be a boolean, not no/)
})
