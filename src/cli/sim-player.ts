// Plays plans, one after the other, in a thread of its own: a run does not let go of its thread for long, while whoever waits
// for it draws a bar, writes lines and hears Ctrl-C.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { type Plan, type Progress, run, type Verdict } from '../../sim/index.ts'

/** What a player is told. */
export interface Task {
  readonly plan: Plan
  readonly untilMs: number
  readonly traced: boolean
}

/** What a player tells. */
export type Told =
  | { readonly type: 'progress'; readonly progress: Progress }
  /** Lines of the true history; each is taken off the gate when it is written. */
  | { readonly type: 'lines'; readonly text: string }
  | { readonly type: 'verdict'; readonly verdict: Verdict }

/** How often progress is told. */
const PROGRESS_GAP_MS = 100
/** How much of a trace goes at once, and how many of these may wait until somebody writes them. */
const LINES_LENGTH = 100_000
const LINES_WAITING_MAX = 4

const port = parentPort as MessagePort
const gate = workerData as Int32Array

port.on('message', (task: Task) => void play(task))

async function play({ plan, untilMs, traced }: Task): Promise<void> {
  let toldAt = 0
  let lines = ''
  const flush = () => {
    if (lines === '') return
    Atomics.add(gate, 0, 1)
    tell({ type: 'lines', text: lines })
    lines = ''
    for (;;) {
      const waiting = Atomics.load(gate, 0)
      if (waiting < LINES_WAITING_MAX) return
      Atomics.wait(gate, 0, waiting)
    }
  }
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
        trace: (line: string) => {
          lines += `${line}\n`
          if (lines.length >= LINES_LENGTH) flush()
        },
      }),
    },
    { untilMs },
  )
  flush()
  tell({ type: 'verdict', verdict })
}

function tell(told: Told): void {
  port.postMessage(told)
}
