// Why nothing happens, as far as the node knows: sentences for a person who waits in vain.

import type { Diagnostics } from '../index.ts'
import { clean } from './words.ts'

/** What a node knows of why it hears nobody, or cannot reach whom it hears; the likeliest first. */
export function hintsOf(diagnostics: Diagnostics): string[] {
  const { beacon, gossip, mdns, peers, seeds, identity, interface: choice } = diagnostics
  const hints: string[] = []
  if (choice !== null && beacon?.heard.alive === 0) {
    for (const { name, address, reason } of choice.chosen) {
      hints.push(`the interface is ${name} (${address}): ${reason}; --interface chooses another`)
    }
  }
  if (beacon !== null) hints.push(...hintsOfBeacons(beacon))
  for (const line of mdns ?? []) hints.push(...hintsOfMdns(line))
  for (const { endpoint, state, lastError } of gossip?.hubs ?? []) {
    if (state === 'connected') continue
    hints.push(
      `the hub ${endpoint} is not there: ${clean(lastError ?? 'it has not answered so far')}`,
    )
  }
  for (const problem of identity?.problems ?? []) hints.push(`in ${identity?.folder}: ${problem}`)
  for (const { endpoint, state, lastReason } of seeds) {
    if (state === 'entered' || state === 'self' || state === 'given-up') continue
    const reason = clean(lastReason ?? 'it has not answered so far')
    hints.push(`nobody has entered at ${endpoint}: ${reason}`)
  }
  for (const { name, uuid, state, unreachable } of peers) {
    const who = clean(name) || uuid
    if (unreachable !== null) hints.push(`${who} is ${state}, unreachable: ${clean(unreachable)}`)
    else if (state === 'greeted') {
      hints.push(`we reach ${who}, and it does not reach us: is TCP let in here?`)
    }
  }
  return hints
}

function hintsOfMdns(line: NonNullable<Diagnostics['mdns']>[number]): string[] {
  const { open, lastError, port, instances } = line
  if (!open) return [`we take no part in multicast DNS: ${lastError}`]
  if (instances.length === 0) return [`no node shows in multicast DNS, at port ${port}`]
  const others = instances.filter(({ ours }) => ours === false)
  if (others.length === 0) return []
  return [
    `of the nodes in multicast DNS, ${others.length} beacon at another port: --port chooses it`,
  ]
}

function hintsOfBeacons(beacon: NonNullable<Diagnostics['beacon']>): string[] {
  const { port, to, sent, sendErrors, lastError, heard } = beacon
  const hints: string[] = []
  if (sendErrors > 0) {
    hints.push(
      `${sendErrors} of ${sent} beacons to ${to.join(', ')}, port ${port}, could not be sent: ${lastError}`,
    )
  }
  if (heard.own === 0) {
    hints.push(`not even our own beacons came back: is UDP to port ${port} blocked here?`)
  } else if (heard.alive === 0) {
    hints.push(`our own beacons to ${to.join(', ')}, port ${port}, came back, and no others`)
  }
  if (heard.secure > 0) hints.push(`${heard.secure} beacons were of nodes that talk CURVE only`)
  if (heard.foreign > 0) {
    hints.push(`${heard.foreign} beacons came from another network than that of the interface`)
  }
  return hints
}
