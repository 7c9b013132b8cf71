// Plays plans, one after the other, in a thread of its own: a run does not let go of its thread for long, while whoever waits
// for it draws a bar, writes lines and hears Ctrl-C.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import {
  type LogLine,
  type Plan,
  type Progress,
  run,
  type Verdict,
  type WireEvent,
} from '../../sim/index.ts'
import { CONTENT_BYTES, captured, captureLine } from './capture.ts'

/** What a player is told. */
export interface Task {
  readonly plan: Plan
  readonly untilMs: number
  readonly traced: boolean
  /** Whether what passes between nodes is told, too; and what a collector of their logs tells. */
  readonly wired: boolean
  readonly logged: boolean
}

/** What a player tells. */
export type Told =
  | { readonly type: 'progress'; readonly progress: Progress }
  /** Lines of the true history, of a capture or of a log; each text is taken off the gate when it is written. */
  | { readonly type: LinesType; readonly text: string }
  | { readonly type: 'verdict'; readonly verdict: Verdict }

type LinesType = 'lines' | 'capture' | 'log'

/** How often progress is told. */
const PROGRESS_GAP_MS = 100
/** How much of a trace goes at once, and how many of these may wait until somebody writes them. */
const LINES_LENGTH = 100_000
const LINES_WAITING_MAX = 4

const port = parentPort as MessagePort
const gate = workerData as Int32Array

port.on('message', (task: Task) => void play(task))

async function play({ plan, untilMs, traced, wired, logged }: Task): Promise<void> {
  let toldAt = 0
  const lines = new Lines('lines')
  const capture = new Lines('capture')
  const log = new Lines('log')
  const verdict = await run(
    plan,
    {
      progress: (progress) => {
        const now = performance.now()
        if (now - toldAt < PROGRESS_GAP_MS) return
        toldAt = now
        tell({ type: 'progress', progress })
      },
      wallMs: () => performance.now(),
      ...(traced && {
        trace: (line: string) => lines.add(`${line}\n`),
      }),
      ...(wired && {
        wire: (event: WireEvent) => capture.add(captureLine(captured(event, CONTENT_BYTES))),
      }),
      ...(logged && {
        log: (line: LogLine) => log.add(`${JSON.stringify(line)}\n`),
      }),
    },
    { untilMs },
  )
  lines.flush()
  capture.flush()
  log.flush()
  tell({ type: 'verdict', verdict })
}

/** Lines that go together, and not faster than they are written. */
class Lines {
  readonly #type: LinesType
  #text = ''

  constructor(type: LinesType) {
    this.#type = type
  }

  add(line: string): void {
    this.#text += line
    if (this.#text.length >= LINES_LENGTH) this.flush()
  }

  flush(): void {
    if (this.#text === '') return
    Atomics.add(gate, 0, 1)
    tell({ type: this.#type, text: this.#text })
    this.#text = ''
    for (;;) {
      const waiting = Atomics.load(gate, 0)
      if (waiting < LINES_WAITING_MAX) return
      Atomics.wait(gate, 0, waiting)
    }
  }
}

function tell(told: Told): void {
  port.postMessage(told)
}
