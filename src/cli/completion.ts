// `lyre completion`: scripts by which bash, zsh and fish complete verbs, flags and some values. They are made from the verbs as
// Commander has them, so that none can be forgotten.

import type { Command, Option } from 'commander'
import { isList } from './environment.ts'

/** The shells that there are scripts for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** What the value of a flag can be completed from. */
type Values =
  | { readonly type: 'none' }
  | { readonly type: 'words'; readonly words: readonly string[] }
  | { readonly type: 'files' }
  | { readonly type: 'interfaces' }

interface Flag {
  /** `--name`. */
  readonly flag: string
  readonly what: string
  /** What comes behind it; undefined where nothing does. */
  readonly values: Values | undefined
  readonly isList: boolean
}

interface Verb {
  readonly name: string
  readonly what: string
  readonly flags: readonly Flag[]
  readonly verbs: readonly Verb[]
  /** What may stand behind it. */
  readonly words: readonly string[]
  readonly takesFile: boolean
}

/** The script for a shell, to be evaluated by it. */
export function completionOf(program: Command, shell: Shell): string {
  const verbs = verbsOf(program)
  if (shell === 'bash') return bash(verbs)
  return shell === 'zsh' ? zsh(verbs) : fish(verbs)
}

const HELP: Flag = {
  flag: '--help',
  what: 'what there is, with examples',
  values: undefined,
  isList: false,
}
/** Lists the network interfaces, in any shell. */
const INTERFACES = 'ls /sys/class/net 2>/dev/null || ifconfig -l 2>/dev/null'

function verbsOf(command: Command): Verb[] {
  const visible = command.createHelp().visibleCommands(command)
  return visible
    .filter((verb) => verb.name() !== 'help')
    .map((verb) => {
      const [argument] = verb.registeredArguments
      return {
        name: verb.name(),
        what: verb.description(),
        flags: [...verb.options.filter(({ hidden }) => !hidden).map(flagOf), HELP],
        verbs: verbsOf(verb),
        words: argument?.argChoices ?? [],
        takesFile: argument?.name() === 'file',
      }
    })
}

function flagOf(option: Option): Flag {
  const takesValue = option.required || option.optional
  return {
    flag: option.long ?? '',
    what: option.description,
    values: takesValue ? valuesOf(option) : undefined,
    isList: isList(option),
  }
}

function valuesOf(option: Option): Values {
  if (option.argChoices !== undefined) return { type: 'words', words: option.argChoices }
  if (option.name() === 'interface') return { type: 'interfaces' }
  return /[<[](file|folder)[\]>]/.test(option.flags) ? { type: 'files' } : { type: 'none' }
}

// bash: what the word before says, else flags or verbs.

function bash(verbs: readonly Verb[]): string {
  const cases = paths(verbs).flatMap(({ path, verb }) => [
    ...verb.flags.flatMap(({ flag, values }) =>
      values === undefined ? [] : [`    '${path} ${flag}') ${bashValues(values)}; return ;;`],
    ),
  ])
  const words = paths(verbs).map(({ path, verb }) => {
    const offered = [...verb.verbs.map(({ name }) => name), ...verb.words]
    const flags = verb.flags.map(({ flag }) => flag)
    const files = verb.takesFile ? '; [[ $cur == -* ]] || COMPREPLY+=($(compgen -f -- "$cur"))' : ''
    return `    '${path}') COMPREPLY=($(compgen -W '${[...offered, ...flags].join(' ')}' -- "$cur"))${files} ;;`
  })
  const names = [...verbs.map(({ name }) => name), '--help', '--version'].join(' ')
  const nested = paths(verbs).filter(({ path }) => path.includes(' '))
  return `# For bash: eval "$(lyre completion bash)"
_lyre() {
  local cur=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} verb=\${COMP_WORDS[1]}
  COMPREPLY=()
  # bash takes \`--flag=value\` for three words.
  if [[ $cur == '=' ]]; then cur=
  elif [[ $before == '=' ]]; then before=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${names}' -- "$cur"))
    return
  fi
  local word
  for word in "\${COMP_WORDS[@]:2:COMP_CWORD-2}"; do
    case "\${COMP_WORDS[1]} $word" in
      ${nested.map(({ path }) => `'${path}'`).join(' | ')}) verb="\${COMP_WORDS[1]} $word" ;;
    esac
  done
  case "$verb $before" in
${cases.join('\n')}
  esac
  case "$verb" in
${words.join('\n')}
  esac
}
complete -o filenames -F _lyre lyre
`
}

function bashValues(values: Values): string {
  switch (values.type) {
    case 'none':
      return ':'
    case 'files':
      return 'COMPREPLY=($(compgen -f -- "$cur"))'
    case 'interfaces':
      return `COMPREPLY=($(compgen -W "$(${INTERFACES})" -- "$cur"))`
    case 'words':
      return `COMPREPLY=($(compgen -W '${values.words.join(' ')}' -- "$cur"))`
  }
}

/** Each verb with the words that lead to it: `sim`, `sim replay`. */
function paths(verbs: readonly Verb[], prefix = ''): { path: string; verb: Verb }[] {
  return verbs.flatMap((verb) => {
    const path = prefix + verb.name
    return [{ path, verb }, ...paths(verb.verbs, `${path} `)]
  })
}

// zsh: _arguments does the rest.

function zsh(verbs: readonly Verb[]): string {
  return `#compdef lyre
# For zsh: eval "$(lyre completion zsh)"
${paths(verbs)
  .map(({ path, verb }) => zshFunction(path, verb))
  .join('\n')}
_lyre() {
  local context state line
  typeset -A opt_args
  _arguments -C '(- *)--help[what there is]' '(- *)--version[which version it is]' '1: :->verb' '*:: :->rest'
  case $state in
    verb) ${zshDescribe(verbs)} ;;
    rest) (( $+functions[_lyre_$words[1]] )) && _lyre_$words[1] ;;
  esac
}
if [[ $funcstack[1] == _lyre ]]; then _lyre "$@"; else compdef _lyre lyre; fi
`
}

function zshFunction(path: string, { flags, verbs, words, takesFile }: Verb): string {
  const specs = flags.map(({ flag, what, values, isList }) => {
    const value = values === undefined ? '' : `:${flag.slice(2)}:${zshValues(values)}`
    return `'${isList ? '*' : ''}${flag}[${zshQuoted(what)}]${value}'`
  })
  if (words.length > 0) specs.push(`'1: :(${words.join(' ')})'`)
  if (takesFile) specs.push("'1:file:_files'")
  const name = `_lyre_${path.replaceAll(' ', '_')}`
  if (verbs.length === 0) return `${name}() {\n  _arguments ${specs.join(' \\\n    ')}\n}`
  return `${name}() {
  local context state line
  _arguments -C ${specs.join(' \\\n    ')} \\
    '1: :->verb' '*:: :->rest'
  case $state in
    verb) ${zshDescribe(verbs)} ;;
    rest) (( $+functions[${name}_$words[1]] )) && ${name}_$words[1] ;;
  esac
}`
}

function zshDescribe(verbs: readonly Verb[]): string {
  const lines = verbs.map(({ name, what }) => `'${name}:${zshQuoted(what)}'`)
  return `local -a verbs=(${lines.join(' ')}); _describe verb verbs`
}

function zshValues(values: Values): string {
  switch (values.type) {
    case 'none':
      return ''
    case 'files':
      return '_files'
    case 'interfaces':
      return `($(${INTERFACES}))`
    case 'words':
      return `(${values.words.join(' ')})`
  }
}

function zshQuoted(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll(/[[\]:]/g, '\\$&')
}

// fish: a line for each thing that can be completed.

function fish(verbs: readonly Verb[]): string {
  const head = "complete -c lyre -n '__lyre_at'"
  const lines = [
    '# For fish: lyre completion fish | source',
    'function __lyre_at',
    '  set -l words (commandline -opc)',
    '  test "$words[2]" = "$argv[1]"; or return 1',
    '  for word in $argv[2..]; contains -- $word $words; or return 1; end',
    'end',
    'complete -c lyre -f',
    `${head} -l help -d 'what there is'`,
    `${head} -l version -d 'which version it is'`,
    ...verbs.map(({ name, what }) => `${head} -a ${name} -d ${fishQuoted(what)}`),
  ]
  for (const { path, verb } of paths(verbs)) lines.push(...fishVerb(path, verb))
  return `${lines.join('\n')}\n`
}

function fishVerb(path: string, { flags, verbs, words, takesFile }: Verb): string[] {
  const without = verbs.map(({ name }) => `; and not __lyre_at ${path} ${name}`).join('')
  const head = `complete -c lyre -n '__lyre_at ${path}${without}'`
  const lines = flags.map(({ flag, what, values }) => {
    const value = values === undefined ? '' : ` ${fishValues(values)}`
    return `${head} -l ${flag.slice(2)}${value} -d ${fishQuoted(what)}`
  })
  for (const { name, what } of verbs) lines.push(`${head} -a ${name} -d ${fishQuoted(what)}`)
  if (words.length > 0) lines.push(`${head} -a '${words.join(' ')}'`)
  if (takesFile) lines.push(`${head} -F`)
  return lines
}

function fishValues(values: Values): string {
  switch (values.type) {
    case 'none':
      return '-x'
    case 'files':
      return '-r -F'
    case 'interfaces':
      return `-x -a '(${INTERFACES})'`
    case 'words':
      return `-x -a '${values.words.join(' ')}'`
  }
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
