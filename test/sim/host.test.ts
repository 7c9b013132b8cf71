/** The virtual host does what every Host has to do, while a loop of its own drives its time along. */

import t from 'tap'
import { Simulation } from '../../sim/index.ts'
import { hostCompliance } from '../compliance/host.ts'

t.test('the virtual host is a Host', async (t) => {
  const simulation = new Simulation({ seed: 1 })
  const host = simulation.createHost()
  const address = host.interfaces()[1]?.address ?? ''
  const surfaced: ((error: unknown) => void)[] = []
  let isDone = false
  const drive = async () => {
    while (!isDone) await simulation.run(1).catch((error) => surfaced.shift()?.(error))
  }
  let port = 20_000
  const driven = drive()
  await hostCompliance(t, {
    host,
    address,
    broadcast: address.replace(/\.\d+\.\d+$/, '.255.255'),
    freePort: async () => ++port,
    surfaced: () => new Promise((resolve) => surfaced.push(resolve)),
  })
  isDone = true
  await driven
})
