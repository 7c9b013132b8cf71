// `lyre log query`, which shows what was saved, and `lyre log import`, which fills a database with it.

import { UsageError } from '../index.ts'
import { Bar } from './bar.ts'
import { LogDatabase } from './log-database.ts'
import { recall } from './log-history.ts'
import { filterOf, type LogWishes } from './log-settings.ts'
import { LogWords } from './log-words.ts'
import { perform } from './visit.ts'

/** What `lyre log query` can be told. */
export interface QuerySettings extends LogWishes {
  readonly json?: true
}

/** What `lyre log import` can be told. */
export interface ImportSettings {
  readonly sqlite?: string
  readonly json?: true
}

/** The verb. It ends with 0, whether there is something or not. */
export function query(path: string, settings: QuerySettings, signal: AbortSignal): Promise<number> {
  return perform(settings, signal, async ({ say, tell, output, complain, signal }) => {
    // On one terminal, the lines themselves show how far it is.
    const bar = new Bar({ shown: process.stdout.isTTY !== true })
    const words = new LogWords({ dated: true })
    const isWanted = filterOf(settings)
    for await (const lines of recall(path, { bar, complain, signal })) {
      for (const line of lines) {
        // Whoever is not shown may be somebody's peer.
        words.nameOf(line.node)
        if (!isWanted(line)) continue
        if (settings.json) tell(line)
        else say(words.describe(line))
        const ready = output.ready()
        if (ready !== undefined) await ready
        signal.throwIfAborted()
      }
    }
    return 0
  })
}

/** The verb. Records that are in the database already are not added again. */
export function importLogs(
  path: string,
  settings: ImportSettings,
  signal: AbortSignal,
): Promise<number> {
  const { sqlite } = settings
  if (sqlite === undefined) throw new UsageError('say into which database: --sqlite FILE')
  return perform(settings, signal, async ({ say, tell, complain, signal }) => {
    const database = await LogDatabase.open(sqlite)
    let [records, added] = [0, 0]
    try {
      const bar = new Bar({ shown: true })
      for await (const lines of recall(path, { bar, complain, signal })) {
        records += lines.filter(({ event }) => event === 'record').length
        added += database.add(lines)
      }
    } finally {
      database.close()
    }
    tell({ reply: 'import', records, added })
    say(`${records} records, of which ${added} were not in ${sqlite}`)
    return 0
  })
}
