/** Two nodes on loopback that greet each other: the least that a package has to be good for, whoever loads it and how. */

const PATIENCE_MS = 120_000

exports.converse = async ({ createLyre, text, UsageError }) => {
  const beaconPort = Number(process.argv[2])
  const [ada, bob] = ['ada', 'bob'].map((name) =>
    createLyre({ name, interface: '127.0.0.1', beaconPort, mdns: true }),
  )
  const heard = next(bob, 'shout')
  const answered = next(ada, 'whisper')
  bob.on('shout', ({ peer }) => bob.whisper(peer, 'hello yourself'))
  for (const lyre of [ada, bob]) {
    lyre.join('CHAT')
    await lyre.start()
  }
  await ada.waitForPeers(1, { group: 'CHAT', timeoutMs: PATIENCE_MS })
  ada.shout('CHAT', 'hello')
  const said = [text((await heard).content), text((await answered).content)]
  // An emulated processor may have no multicast, but the package has to be found, which is loaded when it is needed.
  const mdns = !/find|load|require|import/i.test(ada.diagnostics().mdns[0]?.lastError ?? '')
  await Promise.all([ada.stop(), bob.stop()])
  console.log(JSON.stringify({ said, mdns, error: refusal(createLyre) instanceof UsageError }))
}

function next(lyre, type) {
  return new Promise((resolve) => lyre.once(type, resolve))
}

function refusal(createLyre) {
  try {
    createLyre({ beaconPort: -1 })
  } catch (error) {
    return error
  }
}
