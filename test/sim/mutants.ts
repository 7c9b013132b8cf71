/**
 * Nodes that are broken on purpose, each in a way that some invariant forbids: what a judge that sees nothing would let pass.
 * They are made by taking the place of methods of the classes that all nodes of this process share; no seam in our code.
 */

import { Harmony } from '../../protocol/harmony.ts'
import { Mailbox } from '../../protocol/mailbox.ts'
import type { Invariant } from '../../sim/index.ts'
import { MessageMesh } from '../../sim/mesh.ts'
import { BeaconDiscovery } from '../../src/discovery/beacon.ts'
import { Lookout } from '../../src/lookout.ts'
import { Lyre } from '../../src/lyre.ts'
import { Mesh } from '../../src/mesh.ts'

export type Mutant = {
  readonly name: string
  /** Any of these may be what is found first. */
  readonly breaks: readonly Invariant[]
  /** How it is found: 'soak' and no faults where nothing else is said. */
  readonly faults?: string
  readonly workload?: 'book' | 'soak' | 'roam' | 'rolling'
  readonly fidelity?: 'wire' | 'message'
  /** Takes the place of methods. @returns what puts them back. */
  readonly make: () => () => void
}

type Methods = Record<string, (...args: never[]) => unknown>

/** Puts a function around a method. */
function wrap(
  prototype: object,
  name: string,
  around: (original: (...args: never[]) => unknown, self: object, args: never[]) => unknown,
): () => void {
  const methods = prototype as Methods
  const original = methods[name] as Methods[string]
  methods[name] = function (this: object, ...args: never[]) {
    return around(original.bind(this), this, args)
  }
  return () => {
    methods[name] = original
  }
}

/** What is to be done, or what the application is told: that is about a peer. */
type AnyEffect = {
  type: string
  connection?: number
  peer?: { uuid: string }
  cause?: string
  content?: Uint8Array[]
}
type AnyMessage = { command: { type: string; status?: number }; sequence: number }
type AnyLetter = { type: string }

/** Changes what a Harmony says is to be done; undefined in place of an effect leaves it out. */
function effects(change: (effect: AnyEffect, self: object) => AnyEffect | undefined): () => void {
  return wrap(Harmony.prototype, 'pollEffect', (original, self) => {
    for (;;) {
      const effect = original() as AnyEffect | undefined
      if (effect === undefined) return undefined
      const changed = change(effect, self)
      if (changed !== undefined) return changed
    }
  })
}

/** Says each effect that is chosen twice. */
function twice(choose: (effect: AnyEffect) => boolean): () => void {
  const again = new WeakMap<object, AnyEffect>()
  return wrap(Harmony.prototype, 'pollEffect', (original, self) => {
    const repeated = again.get(self)
    again.delete(self)
    if (repeated !== undefined) return repeated
    const effect = original() as AnyEffect | undefined
    if (effect !== undefined && choose(effect)) again.set(self, effect)
    return effect
  })
}

/** Changes what a mailbox gives to be written, each with its sequence; undefined in its place leaves it out. */
function messages(change: (message: AnyMessage) => AnyMessage | undefined): () => void {
  const told = new WeakMap<object, number>()
  const field = Object.getOwnPropertyDescriptor(Mailbox.prototype, 'sequence')
  const sequenceOf = (self: object): number => field?.get?.call(self)
  Object.defineProperty(Mailbox.prototype, 'sequence', {
    configurable: true,
    get(this: object) {
      return told.get(this) ?? sequenceOf(this)
    },
  })
  return all(
    () => Object.defineProperty(Mailbox.prototype, 'sequence', field ?? {}),
    // None goes straight to a wire, so that all are asked for.
    wrap(Mailbox.prototype, 'attach', () => undefined),
    wrap(Mailbox.prototype, 'poll', (original, self) => {
      const command = original() as AnyMessage['command'] | undefined
      const message = command && change({ command, sequence: sequenceOf(self) })
      told.set(self, message?.sequence ?? sequenceOf(self))
      return message?.command
    }),
  )
}

function all(...restores: readonly (() => void)[]): () => void {
  return () => {
    for (const restore of restores) restore()
  }
}

/** True for one in so many. */
function nth(count: number): () => boolean {
  let calls = 0
  return () => ++calls % count === 0
}

/** Every Harmony has other options than it was given. */
function timeouts(change: (ms: number) => number): () => void {
  // Its options are private; what it hears of time is not: its clock goes faster or slower than it should.
  const restores = ['handleTimeout'].map((name) =>
    wrap(Harmony.prototype, name, (original, _self, args) => {
      const at = args.length - 1
      const changed = [...args] as unknown[]
      changed[at] = change(args[at] as unknown as number)
      return original(...(changed as never[]))
    }),
  )
  return all(...restores)
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'begins with sequence 2',
    breaks: ['I1'],
    make: () =>
      messages((message) =>
        message.command.type === 'hello' ? { ...message, sequence: 2 } : message,
      ),
  },
  {
    name: 'tells enter of whoever is discovered',
    breaks: ['I1', 'I2'],
    make: () => {
      const told = new WeakMap<object, AnyEffect>()
      const restores = [
        wrap(Harmony.prototype, 'handleDiscovered', (original, self, args) => {
          const { uuid, endpoint } = args[0] as unknown as { uuid: string; endpoint: string }
          const peer = { uuid, endpoint, name: '', headers: {}, groups: [], state: 'entered' }
          if (!told.has(self)) told.set(self, { type: 'enter', peer })
          return original(...args)
        }),
        wrap(Harmony.prototype, 'pollEffect', (original, self) => {
          const effect = told.get(self)
          if (effect?.type !== 'enter') return original()
          told.set(self, { type: 'told' })
          return effect
        }),
      ]
      return all(...restores)
    },
  },
  {
    name: 'enters twice',
    breaks: ['I3'],
    make: () => twice((effect) => effect.type === 'enter'),
  },
  {
    name: 'forgets an exit',
    breaks: ['I3', 'I8'],
    workload: 'book',
    make: () => effects((effect) => (effect.type === 'exit' ? undefined : effect)),
  },
  {
    name: 'tells a leave as a join',
    breaks: ['I3', 'I6'],
    workload: 'book',
    make: () =>
      effects((effect) => (effect.type === 'leave' ? { ...effect, type: 'join' } : effect)),
  },
  {
    name: 'doubles a message',
    breaks: ['I4'],
    workload: 'book',
    make: () => twice((effect) => effect.type === 'whisper'),
  },
  {
    name: 'reorders what it writes',
    breaks: ['I4', 'I1'],
    workload: 'book',
    make: () => {
      const kept = new WeakMap<object, unknown>()
      const choose = nth(7)
      return wrap(Mailbox.prototype, 'push', (original, self, args) => {
        const letter = args[0] as unknown as AnyLetter
        const isContent = letter.type === 'whisper' || letter.type === 'shout'
        if (isContent && !kept.has(self) && choose()) {
          kept.set(self, letter)
          return false
        }
        const told = original(...args)
        const before = kept.get(self)
        if (!isContent || before === undefined) return told
        kept.delete(self)
        return original(before as never) || told
      })
    },
  },
  {
    name: 'skips a sequence number',
    breaks: ['I4', 'I1'],
    workload: 'book',
    make: () => {
      const choose = nth(40)
      return messages((message) =>
        choose() && message.command.type !== 'hello'
          ? { ...message, sequence: (message.sequence + 1) & 0xffff }
          : message,
      )
    },
  },
  {
    name: 'does not tell a message that came',
    breaks: ['I4', 'I5', 'I19'],
    workload: 'book',
    make: () => {
      const choose = nth(20)
      return effects((effect) => (effect.type === 'whisper' && choose() ? undefined : effect))
    },
  },
  {
    name: 'takes a whisper and never sends it',
    breaks: ['I4', 'I5', 'I19'],
    workload: 'book',
    make: () => {
      const choose = nth(20)
      return wrap(Harmony.prototype, 'whisper', (original, _self, args) =>
        choose() ? 1 : original(...args),
      )
    },
  },
  {
    name: 'delivers to the wrong peer',
    breaks: ['I4', 'I5', 'I19'],
    workload: 'book',
    make: () => {
      const choose = nth(20)
      return wrap(Harmony.prototype, 'whisper', (original, self, args) => {
        const [peer] = (self as Harmony).peers()
        if (peer === undefined || !choose()) return original(...args)
        return original(...([peer.uuid, ...args.slice(1)] as never[]))
      })
    },
  },
  {
    name: 'drops a join that it hears',
    breaks: ['I6', 'I3', 'I7'],
    workload: 'book',
    make: () => {
      const choose = nth(10)
      return effects((effect) => (effect.type === 'join' && choose() ? undefined : effect))
    },
  },
  {
    name: 'tells nobody that it joins',
    breaks: ['I6', 'I7'],
    workload: 'book',
    make: () => {
      const choose = nth(10)
      return wrap(Mailbox.prototype, 'push', (original, _self, args) => {
        const { type } = args[0] as unknown as AnyLetter
        return type === 'join' && choose() ? false : original(...args)
      })
    },
  },
  {
    name: 'shouts to one of a group less than there are',
    breaks: ['I6', 'I5', 'I19'],
    workload: 'book',
    make: () =>
      wrap(Harmony.prototype, 'shout', (original, _self, args) =>
        Math.max(0, (original(...args) as number) - 1),
      ),
  },
  {
    name: 'counts a change of groups twice in its status',
    breaks: ['I7'],
    workload: 'book',
    make: () =>
      messages(({ command, sequence }) => {
        if (command.type !== 'join') return { command, sequence }
        return { command: { ...command, status: ((command.status ?? 0) + 1) & 0xff }, sequence }
      }),
  },
  {
    name: 'shows a peer under another name',
    breaks: ['I2'],
    make: () =>
      effects((effect) => {
        const { type, peer } = effect
        if (type !== 'enter' || peer === undefined) return effect
        return { ...effect, peer: { ...peer, name: 'nobody' } }
      }),
  },
  {
    name: 'loses the last of several frames',
    breaks: ['I4', 'I5', 'I19'],
    workload: 'book',
    make: () =>
      effects((effect) => {
        const { content } = effect
        if (content === undefined || content.length < 2) return effect
        return { ...effect, content: content.slice(0, -1) }
      }),
  },
  {
    name: 'sends its beacon too seldom',
    breaks: ['I13'],
    make: () => {
      const late = (name: string, byMs: number) =>
        wrap(BeaconDiscovery.prototype, name, (original, _self, [now]) => {
          const at = original(...((now === undefined ? [] : [now + byMs]) as never[])) as number
          return now === undefined ? at - byMs : at
        })
      const restores = [late('handleTimeout', -500), late('pollTimeout', -500)]
      return all(...restores)
    },
  },
  {
    name: 'does not see some peers',
    breaks: ['I8', 'I3', 'I6'],
    make: () =>
      effects((effect) =>
        effect.peer !== undefined && effect.peer.uuid < '8' ? undefined : effect,
      ),
  },
  {
    name: 'lets a healthy peer go',
    breaks: ['I9'],
    make: () => {
      const choose = nth(300)
      return wrap(Harmony.prototype, 'handleMessage', (original, _self, args) => {
        const message = args[1] as unknown as { sequence: number }
        const changed = { ...message, sequence: message.sequence + 7 }
        return original(...(choose() ? ([args[0], changed, args[2]] as never[]) : args))
      })
    },
  },
  {
    name: 'exits early',
    breaks: ['I9', 'I10'],
    faults: 'partition=halves',
    make: () => timeouts((now) => now * 1.5),
  },
  {
    name: 'exits late',
    breaks: ['I10', 'I8', 'I9'],
    faults: 'partition=halves',
    fidelity: 'wire',
    make: () =>
      effects((effect) =>
        effect.type === 'exit' && effect.cause === 'expired' ? undefined : effect,
      ),
  },
  {
    name: 'pings without end',
    breaks: ['I13'],
    make: () =>
      wrap(Mailbox.prototype, 'push', (original, _self, args) => {
        const { type } = args[0] as unknown as AnyLetter
        const told = original(...args)
        if (type !== 'ping') return told
        for (let count = 0; count < 200; count++) {
          original({ type: 'ping', bytes: 0, holders: 0 } as never)
        }
        return told
      }),
  },
  {
    name: 'is slow to dial whom it hears of',
    breaks: ['I11', 'I8'],
    make: () => {
      const first = new WeakMap<object, number>()
      return wrap(Harmony.prototype, 'handleDiscovered', (original, self, args) => {
        const now = args[1] as unknown as number
        if (!first.has(self)) first.set(self, now)
        return now - (first.get(self) as number) < 4_000 ? undefined : original(...args)
      })
    },
  },
  {
    name: 'leaks connections',
    breaks: ['I12', 'I13'],
    faults: 'pause=3m',
    make: () => effects((effect) => (effect.type === 'close' ? undefined : effect)),
  },
  {
    name: 'answers a ping twice',
    breaks: ['I13'],
    make: () =>
      wrap(Mailbox.prototype, 'push', (original, _self, args) => {
        const { type } = args[0] as unknown as AnyLetter
        const told = original(...args)
        if (type !== 'ping-ok') return told
        return original({ type, bytes: 0, holders: 0 } as never) || told
      }),
  },
  {
    name: 'throws',
    breaks: ['I14'],
    make: () => {
      const choose = nth(500)
      return wrap(Harmony.prototype, 'handleMessage', (original, _self, args) => {
        if (choose()) throw new RangeError('broken on purpose')
        return original(...args)
      })
    },
  },
  {
    name: 'keeps what it has to write for a while',
    breaks: ['I15', 'I5', 'I17'],
    workload: 'book',
    make: () => {
      let now = 0
      return all(
        wrap(Harmony.prototype, 'handleTimeout', (original, _self, args) => {
          now = args[0] as unknown as number
          return original(...args)
        }),
        wrap(Harmony.prototype, 'mailbox', (original, _self, args) =>
          now % 10_000 < 7_000 && now > 10_000 ? undefined : original(...args),
        ),
      )
    },
  },
  {
    name: 'says no goodbye',
    breaks: ['I17', 'I9'],
    workload: 'book',
    make: () => messages((message) => (message.command.type === 'goodbye' ? undefined : message)),
  },
  {
    name: 'keeps its connections after stop()',
    breaks: ['I17', 'I14'],
    workload: 'book',
    make: () => {
      const restores = [Mesh, MessageMesh].map(({ prototype }) =>
        wrap(prototype, 'stop', () => Promise.resolve()),
      )
      return all(...restores)
    },
  },
  {
    name: 'says that nothing was lost',
    breaks: ['I19', 'I5'],
    workload: 'book',
    faults: 'reset=1s',
    make: () =>
      wrap(Lyre.prototype, 'diagnostics', (original) => {
        const told = original() as { messages: { lost: number; confirmed: number } }
        const { lost, confirmed } = told.messages
        return { ...told, messages: { ...told.messages, lost: 0, confirmed: confirmed + lost } }
      }),
  },
  {
    name: 'takes what is in doubt for confirmed',
    breaks: ['I5', 'I19'],
    workload: 'book',
    faults: 'reset=500ms,latency=60ms',
    make: () =>
      wrap(Mailbox.prototype, 'forsake', (original, self) => {
        const mailbox = self as Mailbox
        mailbox.confirm(mailbox.mark())
        return original()
      }),
  },
  {
    name: 'does not look whether its machine has other addresses',
    breaks: ['I8', 'I11', 'I13'],
    workload: 'roam',
    make: () =>
      wrap(Lookout.prototype, 'look', (original) => original() && { sleptMs: 0, isNews: false }),
  },
  {
    name: 'believes that everybody is where it entered',
    breaks: ['I11', 'I8'],
    workload: 'roam',
    make: () =>
      wrap(Harmony.prototype, 'handleDiscovered', (original, self, args) => {
        const [node, now] = args as unknown as [{ uuid: string }, number]
        const { endpoint } = (self as Harmony).peer(node.uuid) ?? {}
        return original(...([endpoint ? { ...node, endpoint } : node, now] as never[]))
      }),
  },
]
