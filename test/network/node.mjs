/**
 * A node that talks: `node node.mjs '{"name":"alice"}'`, the options of createLyre(). It tells its events in lines of JSON, but
 * for whispers, which it counts, and does what lines on stdin say, {"call":"talk"}:
 *
 *   talk      from now on it whispers a number to each peer each 20 ms: 1, 2, 3, ... for each of them by itself
 *   hush      it does so no more
 *   mark      the longest pause that is reported is of the time from here on
 *   report    {"event":"report"} with what was said to whom, what was heard of whom, peers, and diagnostics()
 *
 * and what else a Lyre can be told to do: {"call":"join","args":["CHAT"]}.
 */

import { createInterface } from 'node:readline'
import { createLyre, text } from '../../dist/src/index.js'

const lyre = createLyre(JSON.parse(process.argv[2]))
/** By uuid: the last number that was said, and what came. */
const said = {}
const heard = {}
let talking

function tell(line) {
  process.stdout.write(`${JSON.stringify({ at: Date.now(), ...line })}\n`)
}

function hear(uuid, number) {
  const now = Date.now()
  heard[uuid] ??= { count: 0, last: 0, doubled: 0, late: 0, pauseMs: 0, at: now, seen: new Set() }
  const story = heard[uuid]
  if (story.seen.has(number)) story.doubled++
  else if (number < story.last) story.late++
  story.seen.add(number)
  story.count++
  story.last = Math.max(story.last, number)
  story.pauseMs = Math.max(story.pauseMs, now - story.at)
  story.at = now
}

const CALLS = {
  talk() {
    talking ??= setInterval(() => {
      for (const { uuid } of lyre.peers()) {
        const number = (said[uuid] ?? 0) + 1
        if (lyre.whisper(uuid, String(number)) > 0) said[uuid] = number
      }
    }, 20)
  },
  hush() {
    clearInterval(talking)
    talking = undefined
  },
  mark() {
    for (const story of Object.values(heard)) Object.assign(story, { pauseMs: 0, at: Date.now() })
  },
  report() {
    const stories = Object.entries(heard).map(([uuid, { seen: _, ...story }]) => [uuid, story])
    const diagnostics = lyre.diagnostics()
    tell({ event: 'report', said, heard: Object.fromEntries(stories), diagnostics })
  },
}

async function tellEvents() {
  for await (const { type, peer, content, ...rest } of lyre.events()) {
    const { uuid, name, endpoint } = peer ?? {}
    const words = content?.map((frame) => text(frame))
    if (type === 'whisper') hear(uuid, Number(words[0]))
    else tell({ event: type, uuid, name, endpoint, content: words, ...rest })
  }
  input.close()
}

const input = createInterface({ input: process.stdin })
input.on('line', (line) => {
  const { call, args = [] } = JSON.parse(line)
  if (call in CALLS) CALLS[call]()
  else lyre[call](...args)
})
tellEvents()
await lyre.start()
const { uuid, name, endpoint } = lyre
tell({ event: 'start', uuid, name, endpoint })
