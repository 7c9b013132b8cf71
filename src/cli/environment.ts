// Every flag can be given by a variable of the environment, too; the command line goes before it. `LYRE_` and the flag for
// those that mean the same for several verbs, with the verb between for what only one has: LYRE_INTERFACE, LYRE_SIM_NODES.

import type { Command, Option } from 'commander'
import { UsageError } from '../index.ts'

/** Flags that can be given several times, by their variable, in which there are commas between. */
const LISTS: readonly (string | undefined)[] = ['LYRE_GROUP', 'LYRE_HEADER']
/** Of what is on or off. */
const ON = ['1', 'true', 'yes', 'on']
const OFF = ['0', 'false', 'no', 'off']

/**
 * Gives each flag of each verb its variable. One that is set to nothing counts as not set.
 * @throws UsageError on one that is neither on nor off, where it has to be.
 */
export function withEnvironment(program: Command): void {
  for (const verb of verbsOf(program)) {
    for (const option of verb.options) prepare(option, verb)
  }
}

/** All verbs, those of verbs as well. */
export function verbsOf(command: Command): Command[] {
  return command.commands.flatMap((verb) => [verb, ...verbsOf(verb)])
}

/** Whether a flag can be given several times. */
export function isList({ envVar }: Option): boolean {
  return LISTS.includes(envVar)
}

/** LYRE_SIM_NODES, of the words `sim` and `nodes`. */
export function variableOf(words: readonly string[]): string {
  return `LYRE_${words.join('_').toUpperCase().replaceAll('-', '_')}`
}

function prepare(option: Option, verb: Command): void {
  if (option.envVar === undefined) option.env(variableOf([verb.name(), option.name()]))
  const variable = String(option.envVar)
  const value = process.env[variable]
  if (value === undefined) return
  if (value === '' || (option.isBoolean() && OFF.includes(value.toLowerCase()))) {
    delete process.env[variable]
  } else if (option.isBoolean() && !ON.includes(value.toLowerCase())) {
    throw new UsageError(`${variable} is 1 or 0, not ${value}`)
  }
  const { parseArg } = option
  if (!isList(option) || parseArg === undefined) return
  // Commander gives a variable as one value, and knows of no others then.
  option.argParser((text: string, previous: unknown) =>
    previous === undefined && text === value
      ? text.split(',').reduce((values: unknown, part) => parseArg(part, values), undefined)
      : parseArg(text, previous),
  )
}
