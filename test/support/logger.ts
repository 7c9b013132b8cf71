/** Real nodes that tell whoever collects it what a test says, and nothing of their own. */

import type { Test } from 'tap'
import type { Lyre, LyreOptions } from '../../src/index.ts'
import { LogSender } from '../../src/log/sender.ts'
import { systemHost } from '../../src/system/index.ts'
import { entryOf, RING } from './log.ts'
import { createNode } from './nodes.ts'

/** A node and its log. */
export class Logger {
  readonly lyre: Lyre
  readonly sender: LogSender
  #told = 0

  constructor(lyre: Lyre) {
    const { clock } = systemHost
    const timer = clock.timer(() => this.sender.handleTimeout(clock.now()))
    this.lyre = lyre
    this.sender = new LogSender(
      systemHost,
      { uuid: lyre.uuid, name: lyre.name, level: 'debug', ...RING },
      { sooner: () => timer.set(this.sender.pollTimeout()) },
    )
    this.sender.start(String(lyre.endpoint))
    lyre.on('enter', ({ peer }) => {
      const { 'X-ZRELOG': header } = peer.headers
      if (header !== undefined) this.sender.announce(peer.uuid, header, ['127.0.0.1'])
    })
    lyre.on('exit', ({ peer }) => this.sender.forget(peer.uuid))
  }

  /** Says so many things, with their numbers. */
  say(count: number): void {
    for (let index = 0; index < count; index++) {
      this.sender.log(entryOf(`${this.lyre.name} ${++this.#told}`))
    }
  }
}

/** A started one. */
export async function startLogger(t: Test, options: LyreOptions): Promise<Logger> {
  const { lyre } = createNode(t, options)
  await lyre.start()
  const logger = new Logger(lyre)
  t.teardown(() => logger.sender.stop())
  return logger
}
