// Every flag can be given by a variable of the environment, too; the command line goes before it. `LYRE_` and the flag for
// those that mean the same for several verbs, with the verb between for what only one has: LYRE_INTERFACE, LYRE_SIM_NODES.

import { Command, type Option } from 'commander'
import { UsageError } from '../index.ts'

/** Flags that can be given several times, by their variable, in which there are commas between. */
const LISTS: readonly (string | undefined)[] = [
  'LYRE_INTERFACE',
  'LYRE_GROUP',
  'LYRE_HEADER',
  'LYRE_CONNECT',
  'LYRE_GOSSIP_CONNECT',
  'LYRE_LOG_NODE',
  'LYRE_LOG_EVENT',
  'LYRE_LOG_GROUP',
]
/** Of what is on or off. */
const ON = ['1', 'true', 'yes', 'on']
const OFF = ['0', 'false', 'no', 'off']

/** A verb, each of whose flags has its variable: Commander listens to those that a flag has when it is added. */
export class Verb extends Command {
  override createCommand(name?: string): Verb {
    return new Verb(name)
  }

  /** A variable that is set to nothing, or of a switch to off, counts as not set. */
  override addOption(option: Option): this {
    if (option.envVar === undefined) option.env(variableOf([this.name(), option.name()]))
    prepare(option)
    return super.addOption(option)
  }
}

/** What stands behind a verb and its flags, among those that exclude each other. */
export const ARGUMENTS = 'arguments'

/** Sets of flags that exclude each other: where the command line has one, variables for others count as not set. */
export function withChoice(verb: Command, ...sets: readonly (readonly string[])[]): Command {
  const isFrom = (set: readonly string[], source: 'cli' | 'env') =>
    set.some((flag) => verb.getOptionValueSource(flag) === source)
  return verb.hook('preAction', (_, acting) => {
    if (acting !== verb) return
    const said = sets.filter(
      (set) => isFrom(set, 'cli') || (set.includes(ARGUMENTS) && verb.args.length > 0),
    )
    if (said.length === 0) return
    for (const flag of sets.filter((set) => !said.includes(set)).flat()) {
      if (isFrom([flag], 'env')) verb.setOptionValue(flag, undefined)
    }
  })
}

/** @throws UsageError when a switch of this verb has a variable that is neither on nor off. */
export function checkSwitches(verb: Command): void {
  for (const option of verb.options) {
    const value = process.env[String(option.envVar)]
    if (value === undefined || !option.isBoolean() || ON.includes(value.toLowerCase())) continue
    throw new UsageError(`${option.envVar} is 1 or 0, not ${value}`)
  }
}

/** Whether a flag can be given several times. */
export function isList({ envVar }: Option): boolean {
  return LISTS.includes(envVar)
}

/** LYRE_SIM_NODES, of the words `sim` and `nodes`. */
export function variableOf(words: readonly string[]): string {
  return `LYRE_${words.join('_').toUpperCase().replaceAll('-', '_')}`
}

function prepare(option: Option): void {
  const variable = String(option.envVar)
  const value = process.env[variable]
  if (value === undefined) return
  if (value === '' || (option.isBoolean() && OFF.includes(value.toLowerCase()))) {
    delete process.env[variable]
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
