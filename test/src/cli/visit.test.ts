/** The verbs that come, do one thing and leave: peers, watch and bench, between processes on loopback; send.test.ts has more. */

import t from 'tap'
import { startChild } from '../../support/child.ts'
import { ended, MAIN, network, run, startCommand, startPipe } from '../../support/command.ts'
import { createNode } from '../../support/nodes.ts'

t.test('peers shows who is there', async (t) => {
  const node = await network()
  const ada = await startPipe(t, node, 'ada', '--group', 'CHAT', '--header', 'kind=cook')
  const bad = '\x1b[2Jeve'
  const eve = await startPipe(t, node, bad)
  const wait = ['--count', '2', '--wait', '20s']
  const table = await run(t, 'peers', ...node, ...wait)
  t.equal(table.code, 0)
  t.equal(table.errors, '')
  t.match(table.lines[0], /^NAME +UUID +STATE +ENDPOINT +GROUPS +HEADERS$/)
  t.match(table.text, new RegExp(`ada +${ada.uuid} +entered +tcp://127\\S+ +CHAT +kind=cook`))
  t.match(table.text, `[2Jeve  ${eve.uuid}`, 'without control characters')
  t.notMatch(table.text, '\x1b')

  const json = await run(t, 'peers', ...node, ...wait, '--json')
  const { reply, peers } = JSON.parse(json.text)
  t.equal(reply, 'peers')
  t.strictSame(peers.map(({ name }: { name: string }) => name).sort(), [bad, 'ada'])

  const group = await run(t, 'peers', ...node, '--group', 'CHAT', '--count', '1', '--wait', '20s')
  t.equal(group.code, 0)
  t.notMatch(group.text, 'eve')
})

t.test('peers says why it found nobody, and ends with 1 if they had to be there', async (t) => {
  const [node, other] = [await network(), await network()]
  await startPipe(t, other, 'ada')
  // As long as a busy machine needs to hear itself, and to find who is there.
  const [nobody, few] = await Promise.all([
    run(t, 'peers', ...node, '--wait', '2s'),
    run(t, 'peers', ...other, '--count', '2', '--wait', '8s'),
  ])
  t.equal(nobody.code, 0)
  t.equal(nobody.text, '')
  t.match(
    nobody.errors,
    /nobody was found in 2000 ms\n {2}our own .* come back on lo .*, and nobody else's\n {4}start one/,
  )
  t.equal(few.code, 1)
  t.match(few.text, 'ada')
  t.match(few.errors, '1 of 2 peers were found')
})

t.test('watch shows all that happens, also in groups that come up later', async (t) => {
  const node = await network()
  const watch = startCommand(t, ['watch', ...node, '--name', 'eye', '--trace'])
  await watch.next('watching as eye')
  const { child: ada, uuid } = await startPipe(t, node, 'ada', '--group', 'CHAT')
  await watch.next(uuid)
  await watch.next('join      CHAT')
  await ada.next('join', { name: 'eye' })
  ada.send({ shout: 'CHAT', content: ['one\ntwo', 'three\x1b[31m'] })
  t.match(
    await watch.next('one'),
    /^\d\d:\d\d:\d\d\.\d\d\d {2}ada {7}shout {5}\[CHAT\] one ⏎ two \| three\[31m$/,
  )
  ada.send({ join: 'LATER' })
  await watch.next('join      LATER')
  ada.send({ whisper: 'eye', content: 'psst' })
  await watch.next('whisper   psst')
  ada.send({ stop: true })
  await watch.next('exit      goodbye: it left')
  watch.process.kill('SIGINT')
  const { code, text, errors } = await ended(watch)
  t.equal(code, 0)
  t.equal(errors, '')
  t.match(text, /\* stopped$/)
  t.match(text, /trace +dial/, 'what it does is told, too')
})

t.test('watch says it in JSON as pipe does, and joins what it is told to', async (t) => {
  const node = await network()
  const watch = startChild(t, MAIN, ['watch', ...node, '--json', '--group', 'OPS'])
  const start = await watch.next('start')
  const { child: ada, uuid } = await startPipe(t, node, 'ada', '--group', 'CHAT')
  const join = await ada.next('join', { uuid: start.uuid })
  t.equal(join.group, 'OPS')
  t.match(await watch.next('enter'), { uuid, name: 'ada' })
  ada.send({ shout: 'OPS', content: 'hello' })
  t.match(await watch.next('shout'), { group: 'OPS', content: ['hello'] })
  watch.kill('SIGTERM')
  await watch.next('stop')
  t.equal(await watch.exited, 0)
  t.notOk(ada.heard.items.some((line) => line.event === 'join' && line.group === 'CHAT'))
})

t.test('Ctrl-C ends whoever waits, and not with success', async (t) => {
  const node = await network()
  for (const verb of [['send', '--to', 'x', 'hi'], ['bench'], ['peers', '--wait', '1h']]) {
    const command = startChild(t, MAIN, [...verb, ...node, '--name', verb[0] as string, '--json'])
    const { child: ada } = await startPipe(t, node, 'ada')
    await ada.next('enter', { name: verb[0] })
    command.kill('SIGINT')
    t.match(await ada.next('exit', { name: verb[0] }), { cause: 'goodbye' })
    t.equal(await command.exited, 130)
    t.equal(command.errors, '')
    ada.kill('SIGKILL')
  }
})

t.test('bench measures against a peer that serves', async (t) => {
  const node = await network()
  const serving = startCommand(t, ['bench', '--serve', ...node, '--name', 'kitchen'])
  await serving.next('kitchen answers at')
  const short = ['--duration', '50ms', '--wait', '20s']
  const table = await run(t, 'bench', ...node, ...short, '--size', '1,70000,8000000')
  t.equal(table.errors, '')
  t.equal(table.code, 0)
  t.match(table.lines[0], /^against kitchen at tcp/)
  t.match(table.lines[1], /OCTETS +ROUND TRIP P50 +P99 +MAX +ONE WAY \/S +MB\/S/)
  t.match(table.lines[3], /^ +70,000( +[\d,.]+( us| ms)?){5}$/)
  const json = await run(t, 'bench', 'kitchen', ...node, ...short, '--size', '100', '--json')
  const result = JSON.parse(json.text)
  t.match(result, { event: 'result', name: 'kitchen', size: 100 })
  t.ok(result.roundTrip.count > 0 && result.roundTrip.p50Us <= result.roundTrip.p99Us)
  t.ok(result.oneWay.messages >= 64 && result.oneWay.messagesPerSecond > 0)

  const nobody = await run(t, 'bench', 'bob', ...node, '--wait', '1s')
  t.equal(nobody.code, 1)
  t.match(nobody.errors, 'bob answers not: start lyre bench --serve there')
  const crowded = await network()
  // In one process: on a busy machine another one may be found so late that the first is taken to be the only one.
  const others = ['cellar', 'attic'].map((name) => {
    return createNode(t, { name, beaconPort: Number(crowded[3]) }).lyre
  })
  for (const lyre of others) lyre.join('LYRE-BENCH')
  await Promise.all(others.map((lyre) => lyre.start()))
  const several = await run(t, 'bench', ...crowded, '--wait', '20s')
  t.equal(several.code, 2)
  t.match(several.errors, /several answer, take the uuid of one of them: /)
  for (const { name, uuid } of others) t.match(several.errors, `${name} (${uuid})`)

  const long = startCommand(t, ['bench', 'kitchen', ...node, '--wait', '20s', '--json'])
  await long.next('"size":20')
  serving.process.kill('SIGINT')
  t.equal((await ended(serving)).code, 0)
  const broken = await ended(long)
  t.equal(broken.code, 1)
  t.match(broken.errors, /kitchen (exits: goodbye|is not there any more)/)
})
