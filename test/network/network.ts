/**
 * Networks of a test's own: a machine is a network namespace, a segment is a bridge in one more. They are named in a /run that
 * only this run has (`run`, beside this file), and gone when the test is.
 */

import { execFileSync } from 'node:child_process'
import type { Test } from 'tap'
import type { LyreOptions } from '../../src/index.ts'
import { type Child, startProgram } from '../support/child.ts'
import { Talker } from './talker.ts'

/** What is needed of a test. */
type Owner = Pick<Test, 'teardown'>

const NODE = new URL('./node.mjs', import.meta.url).pathname
let networkCount = 0

/** Machines and segments, without anything between them and the networks of this computer. */
export class Network {
  readonly #owner: Owner
  readonly #id = `${process.pid}-${++networkCount}`
  readonly #namespaces: string[] = []
  readonly #bridges: string
  #portCount = 0

  constructor(owner: Owner) {
    const { LYRE_NETWORK_IS_PRIVATE } = process.env
    if (LYRE_NETWORK_IS_PRIVATE !== 'yes') {
      throw new Error('these tests run by `npm run test:network`, apart from the networks here')
    }
    this.#owner = owner
    this.#bridges = this.#createNamespace('bridges')
    owner.teardown(() => {
      for (const namespace of this.#namespaces) ip('netns', 'del', namespace)
    })
  }

  /** A segment that machines can be plugged into. */
  segment(name: string): Segment {
    const segment = { namespace: this.#bridges, name }
    // Without the second in which others would look for loops.
    ip('-n', this.#bridges, 'link', 'add', name, 'type', 'bridge', 'forward_delay', '0')
    ip('-n', this.#bridges, 'link', 'set', name, 'up')
    return segment
  }

  /** A machine that has nothing but loopback. */
  machine(name: string): Machine {
    return new Machine(this.#owner, this.#createNamespace(name), () => `port${++this.#portCount}`)
  }

  #createNamespace(name: string): string {
    const namespace = `${this.#id}-${name}`
    ip('netns', 'add', namespace)
    this.#namespaces.push(namespace)
    ip('-n', namespace, 'link', 'set', 'lo', 'up')
    return namespace
  }
}

/** A bridge: who is plugged into it hears all others that are. */
export interface Segment {
  readonly namespace: string
  readonly name: string
}

/** A machine: its interfaces, and programs that see nothing else. */
export class Machine {
  readonly #owner: Owner
  readonly #namespace: string
  readonly #nextPort: () => string

  constructor(owner: Owner, namespace: string, nextPort: () => string) {
    this.#owner = owner
    this.#namespace = namespace
    this.#nextPort = nextPort
  }

  /** Gives it an interface on a segment; an address is as of `10.1.0.1/24`, or `fd00:7::1/64`. */
  plug(segment: Segment, { name, address }: { name: string; address: string }): Link {
    const port = this.#nextPort()
    const peer = ['peer', 'name', port, 'netns', segment.namespace]
    ip('-n', this.#namespace, 'link', 'add', name, 'type', 'veth', ...peer)
    const link = new Link({ namespace: this.#namespace, name }, { ...segment, name: port })
    // It would have IPv6 addresses of its own making, a second or two later.
    ip('-n', this.#namespace, 'link', 'set', name, 'addrgenmode', 'none')
    link.move(segment)
    link.unplug(false)
    link.rise()
    link.address(address)
    return link
  }

  /** Gives it a bridge with nothing behind it, as that of Docker without a container. */
  bridge(name: string, address: string): void {
    ip('-n', this.#namespace, 'link', 'add', name, 'type', 'bridge')
    ip('-n', this.#namespace, 'link', 'set', name, 'up')
    ip('-n', this.#namespace, 'addr', 'add', address, 'brd', '+', 'dev', name)
  }

  /** From now on it hears no broadcast of others there, as behind an access point that does not pass them on. */
  dropBroadcasts(name: string): void {
    const broadcast = ['-m', 'pkttype', '--pkt-type', 'broadcast']
    const ofOthers = ['-m', 'addrtype', '!', '--src-type', 'LOCAL']
    const what = ['-i', name, ...broadcast, ...ofOthers]
    enter(this.#namespace, 'iptables', '-A', 'INPUT', ...what, '-j', 'DROP')
  }

  /** A node that talks (node.mjs), once it is there. */
  async node(options: LyreOptions): Promise<Talker> {
    const child = this.start(process.execPath, NODE, JSON.stringify(options))
    const ended = child.exited.then((how) => {
      throw new Error(`a node ended with ${how}: ${child.errors}`)
    })
    // Later that is as it should be.
    ended.catch(() => {})
    const { uuid, name, endpoint } = await Promise.race([child.next('start'), ended])
    return new Talker(child, { uuid, name, endpoint })
  }

  /** Any program, for the length of the test. */
  start(command: string, ...args: readonly string[]): Child {
    return startProgram(this.#owner, 'nsenter', [netOf(this.#namespace), command, ...args])
  }
}

interface End {
  readonly namespace: string
  readonly name: string
}

/** What is between a machine and a segment: a cable, or the air. */
export class Link {
  readonly #interface: End
  readonly #port: End
  #segment = ''

  constructor(ofMachine: End, ofSegment: End) {
    this.#interface = ofMachine
    this.#port = ofSegment
  }

  /** Nothing gets through any more, and neither end can see that. */
  cut(): void {
    set(this.#port, 'nomaster')
  }

  /** What cut() did is over. */
  heal(): void {
    set(this.#port, 'master', this.#segment)
  }

  /** Plugs it into another segment, of the same network of machines. */
  move({ name }: Segment): void {
    this.#segment = name
    this.heal()
  }

  /** Pulls the cable, which the machine sees; or not any more. */
  unplug(pulled = true): void {
    set(this.#port, pulled ? 'down' : 'up')
  }

  /** The machine switches its interface off, or on, with the address that it had. */
  fall(): void {
    set(this.#interface, 'down')
  }

  rise(): void {
    set(this.#interface, 'up')
  }

  /** The interface has this address alone, of its family. */
  address(address: string): void {
    this.withdraw(address.includes(':') ? 'IPv6' : 'IPv4')
    this.add(address)
  }

  /** It has this address, too. */
  add(address: string): void {
    const { namespace, name } = this.#interface
    // Without the second or two in which it is asked whether anybody else has it.
    const how = address.includes(':') ? ['nodad'] : ['brd', '+']
    ip('-n', namespace, 'addr', 'add', address, ...how, 'dev', name)
  }

  /** It has no address of that family any more. */
  withdraw(family: 'IPv4' | 'IPv6'): void {
    const { namespace, name } = this.#interface
    ip('-n', namespace, family === 'IPv4' ? '-4' : '-6', 'addr', 'flush', 'dev', name)
  }
}

function set({ namespace, name }: End, ...what: readonly string[]): void {
  ip('-n', namespace, 'link', 'set', name, ...what)
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** Runs a program to its end. Not by `ip netns exec`, which mounts a /sys: not every system lets us. */
function enter(namespace: string, command: string, ...args: readonly string[]): void {
  execFileSync('nsenter', [netOf(namespace), command, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
}

function netOf(namespace: string): string {
  return `--net=/run/netns/${namespace}`
}
