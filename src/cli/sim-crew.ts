// The threads in which plans are played, so many at a time.

import { availableParallelism, totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import { Worker } from 'node:worker_threads'
import type { Progress, Verdict } from '../../sim/index.ts'
import type { Task, Told } from './sim-player.ts'

/** Who waits for a run. */
export interface Audience {
  progress?(progress: Progress): void
  /** Lines of the true history; no more come than a few before the promise is kept. */
  lines?(text: string): Promise<void> | undefined
  /** The same of a capture of what passes between nodes. */
  capture?(text: string): Promise<void> | undefined
  /** The same of what a collector tells of the logs of all nodes. */
  log?(text: string): Promise<void> | undefined
}

/** How many runs at a time this machine has cores for. */
export const CORES = availableParallelism()

const MIB = 2 ** 20
/** Of the machine's memory for all threads together; what a thousand nodes take is more than Node.js gives unasked. */
const MEMORY_SHARE = 0.75
/** Room for what dies young, which is nearly all: a larger one is collected less often. */
const YOUNG_MIB = 96

/** Threads that are created when they are needed, and kept for the next run. */
export class Crew {
  readonly #heapMib: number
  readonly #idle: Player[] = []
  readonly #all = new Set<Player>()

  /** @param count how many there will be at most. */
  constructor(count: number) {
    const heap = getHeapStatistics().heap_size_limit / MIB
    this.#heapMib = Math.floor(Math.max(heap, (totalmem() / MIB) * MEMORY_SHARE) / count)
  }

  /** Plays one plan. It rejects if the thread dies of it. */
  async play(task: Task, audience: Audience = {}): Promise<Verdict> {
    const player = this.#idle.pop() ?? new Player(this.#heapMib)
    this.#all.add(player)
    try {
      const verdict = await player.play(task, audience)
      this.#idle.push(player)
      return verdict
    } catch (error) {
      this.#all.delete(player)
      throw error
    }
  }

  /** Ends all threads, whatever they do; promises of play() that are open stay so. */
  async end(): Promise<void> {
    await Promise.all([...this.#all].map((player) => player.end()))
  }
}

class Player {
  readonly #gate = new Int32Array(new SharedArrayBuffer(4))
  readonly #worker: Worker

  constructor(heapMib: number) {
    this.#worker = new Worker(new URL('./sim-player.js', import.meta.url), {
      workerData: this.#gate,
      resourceLimits: { maxOldGenerationSizeMb: heapMib, maxYoungGenerationSizeMb: YOUNG_MIB },
    })
  }

  play(task: Task, audience: Audience): Promise<Verdict> {
    const worker = this.#worker
    return new Promise((resolve, reject) => {
      const settle = () => {
        worker.off('message', hear)
        worker.off('error', fail)
      }
      const hear = (told: Told) => {
        if (told.type === 'progress') audience.progress?.(told.progress)
        else if (told.type !== 'verdict') {
          void this.#written(audience[told.type]?.(told.text))
        } else {
          settle()
          resolve(told.verdict)
        }
      }
      const fail = (error: Error) => {
        settle()
        reject(error)
      }
      worker.on('message', hear)
      worker.on('error', fail)
      worker.postMessage(task)
    })
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }

  async #written(writing: Promise<void> | undefined): Promise<void> {
    await writing
    Atomics.sub(this.#gate, 0, 1)
    Atomics.notify(this.#gate, 0)
  }
}
