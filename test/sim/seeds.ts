/** Runs that found something once, and are run again by every test: a seed is a whole story. */

import type { RunOptions } from '../../sim/index.ts'

/** A run, and what it found when it was new. */
export type Seed = RunOptions & { readonly found: string }

const MS = 150_000
/** A swarm of the faults that there were when most of these were found: others would hide what they show. */
const FIRST = 'swarm,drift=0,descriptors=0,powersave=0,stutter=0,throws=0,reader=0'

export const SEEDS: readonly Seed[] = [
  {
    seed: 10,
    faults: FIRST,
    fidelity: 'wire',
    nodes: 8,
    ms: MS,
    found: 'simulator: what a side had sent before it closed came after a reset, with a gap',
  },
  {
    seed: 3_244,
    faults: FIRST,
    workload: 'rolling',
    fidelity: 'wire',
    nodes: 8,
    ms: MS,
    found: 'judge: a contact of one node is not that of another with its uuid',
  },
  {
    seed: 15,
    faults: FIRST,
    fidelity: 'message',
    nodes: 8,
    ms: MS,
    found: 'judge: a crashed peer at whose port another is exits as expired within 1.5 s',
  },
  {
    seed: 21,
    faults: FIRST,
    fidelity: 'message',
    nodes: 8,
    ms: MS,
    found:
      'judge: a node that was started again elsewhere is asked where it was, and exits as link',
  },
  {
    seed: 67,
    faults: FIRST,
    fidelity: 'message',
    nodes: 8,
    ms: MS,
    found: 'judge: two nodes with one uuid, one after the other, have books of their own',
  },
  {
    seed: 12,
    faults: FIRST,
    workload: 'soak',
    fidelity: 'wire',
    nodes: 8,
    ms: MS,
    found: 'judge: silence does not count while the node that should hear slept',
  },
  {
    seed: 258,
    faults: FIRST,
    workload: 'hostile',
    fidelity: 'wire',
    nodes: 8,
    ms: MS,
    found: 'judge: who says HELLO in the name of a peer that does not answer is that peer',
  },
  {
    seed: 1_012,
    faults: FIRST,
    workload: 'sleepers',
    fidelity: 'wire',
    nodes: 8,
    ms: MS,
    found:
      'judge: what was kept for a peer that is forgotten meanwhile is lost, and no exit tells of it',
  },
  {
    seed: 29,
    faults: FIRST,
    workload: 'flap',
    fidelity: 'message',
    nodes: 6,
    ms: 120_000,
    found: 'judge: a shout for which there is no room goes to less than the group',
  },
  {
    seed: 16,
    faults: FIRST,
    workload: 'flashcrowd',
    fidelity: 'wire',
    nodes: 8,
    ms: MS,
    found: 'judge: who takes over the port of a node that lost its power may have to answer for it',
  },
  {
    seed: 9,
    faults: FIRST,
    fidelity: 'message',
    nodes: 8,
    ms: MS,
    found: 'node: a peer whose endpoint swallows dials was not forgotten (harmony.md 6.3)',
  },
  {
    seed: 51,
    faults: FIRST,
    fidelity: 'message',
    nodes: 8,
    ms: MS,
    found: 'node: who stopped confirmed what nobody heard (harmony.md 6.5)',
  },
  {
    seed: 6,
    faults: FIRST,
    fidelity: 'wire',
    nodes: 8,
    ms: MS,
    found: 'node: who stopped confirmed what nobody heard (harmony.md 6.5)',
  },
  {
    seed: 108,
    faults: FIRST,
    workload: 'rolling',
    fidelity: 'wire',
    nodes: 8,
    ms: MS,
    found: 'node: who stopped confirmed what nobody heard (harmony.md 6.5)',
  },
  {
    seed: 5_046,
    faults: FIRST,
    workload: 'soak',
    fidelity: 'message',
    nodes: 10,
    ms: 600_000,
    found:
      'judge: who is asked because of a lost connection exits as expired without having been evasive',
  },
  {
    seed: 5_021,
    faults: FIRST,
    workload: 'sleepers',
    fidelity: 'message',
    nodes: 10,
    ms: 600_000,
    found:
      'judge: who is asked because another is said to be where it is need not have been evasive',
  },
  {
    seed: 202_611_270_155,
    faults: FIRST,
    workload: 'soak',
    fidelity: 'message',
    nodes: 10,
    ms: 360_000,
    found:
      'judge: a node gives up on one that is asking who was there before it, and both begin anew',
  },
  {
    seed: 20_167,
    faults: FIRST,
    workload: 'soak',
    fidelity: 'wire',
    nodes: 10,
    ms: 480_000,
    found:
      'judge: of what was written in one go and reset on the way, the first messages are delivered',
  },
  {
    seed: 20_210,
    faults: FIRST,
    workload: 'soak',
    fidelity: 'wire',
    nodes: 10,
    ms: 480_000,
    found:
      'node: a dial that nobody answered kept it from where a HELLO said the peer is (harmony.md 2.6)',
  },
  {
    seed: 30_119,
    faults: FIRST,
    workload: 'soak',
    fidelity: 'wire',
    nodes: 10,
    ms: 480_000,
    found:
      'node: a dial from before it was there kept it from a peer whose HELLO had come (harmony.md 2.6)',
  },
  {
    seed: 30_219,
    faults: FIRST,
    workload: 'soak',
    fidelity: 'wire',
    nodes: 10,
    ms: 480_000,
    found:
      'node: it asked a peer again and again because of one beacon of another (harmony.md 2.10)',
  },
  {
    seed: 30_538,
    faults: FIRST,
    workload: 'soak',
    fidelity: 'message',
    nodes: 10,
    ms: 480_000,
    found:
      "judge: a newcomer's beacon makes a node ask who was there, who exits as expired, evasive or not",
  },
  {
    seed: 40_146,
    faults: FIRST,
    workload: 'sleepers',
    fidelity: 'message',
    nodes: 10,
    ms: 480_000,
    found: 'simulator: a connection that a node had not seen yet outlived its stop',
  },
  {
    seed: 70_031,
    fidelity: 'wire',
    nodes: 10,
    ms: 360_000,
    found: 'simulator: a process was put to sleep at the very instant at which it was woken',
  },
  {
    seed: 80_372,
    workload: 'soak',
    faults: 'portreuse,move,crash',
    fidelity: 'wire',
    nodes: 10,
    ms: 360_000,
    found:
      'node: a dial to who was there before kept it from who says HELLO from there (harmony.md 2.10)',
  },
  {
    seed: 90_513,
    workload: 'soak',
    faults: 'portreuse,crash,drift',
    fidelity: 'wire',
    nodes: 10,
    ms: 360_000,
    found:
      'node: the HELLO of one whose machine died then kept it from who says HELLO from there (harmony.md 2.10)',
  },
  {
    seed: 202_611_270_726,
    workload: 'soak',
    nodes: 10,
    ms: 360_000,
    found: 'judge: dials that a system without a socket left refuses at once were counted as sent',
  },
  {
    seed: 301_004,
    workload: 'hostile',
    nodes: 10,
    ms: 300_000,
    found: 'judge: the same, of nodes that a hostile one invents',
  },
  {
    seed: 202_611_271_109,
    workload: 'soak',
    fidelity: 'wire',
    nodes: 10,
    ms: 360_000,
    found: 'node: a link that was not up yet was asked what it had read, and then never again',
  },
]
