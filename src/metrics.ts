// What a node counts and measures, as numbers for machines: by names, units and labels that stay, as Prometheus wants them. Most
// of it diagnostics() has already; what it has not is counted here, in plain numbers.
// docs/guide/metrics.md lists all of them.

import type {
  ConnectionId,
  ExitCause,
  LinkChange,
  PeerState,
  Tally,
  Uuid,
} from '../protocol/index.ts'
import type { Diagnostics } from './pump.ts'
import { COMMANDS, type Counts, createTraffic } from './traffic.ts'

/** What tells the samples of a metric apart: `{ direction: 'in', command: 'shout' }`. */
export type MetricLabels = Readonly<Record<string, string>>

/** A number that only grows while the node lives, or one that may be anything. */
export interface MetricSample {
  readonly labels: MetricLabels
  readonly value: number
}

/** How many values were at most `le`, for each of some bounds; and of all, larger ones too: how many, and their sum. */
export interface HistogramSample {
  readonly labels: MetricLabels
  readonly buckets: readonly { readonly le: number; readonly count: number }[]
  readonly count: number
  readonly sum: number
}

/** What a metric is. */
export interface MetricMeaning {
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** Of its values; empty where these are a count of what `help` says. */
  readonly unit: '' | 'seconds' | 'bytes' | 'ratio'
  /** The names of its labels. */
  readonly labels: readonly string[]
  /** In a sentence. */
  readonly help: string
}

/** A metric, with all its samples. */
export type Metric = MetricMeaning &
  (
    | { readonly type: 'counter' | 'gauge'; readonly samples: readonly MetricSample[] }
    | { readonly type: 'histogram'; readonly samples: readonly HistogramSample[] }
  )

/** All metrics of a node, by name. */
export type Metrics = {
  readonly [Name in MetricName]: Metric & { readonly type: (typeof METRICS)[Name]['type'] }
}

/** What a metric is called. */
export type MetricName = keyof typeof METRICS

/** How a node is, and what became of it since it was asked last: flat, for a record of its log. `...Ms` is to the microsecond. */
export interface Status {
  /** Peers that are there now. */
  readonly peers: number
  /** Of these, those that are evasive or silent. */
  readonly evasive: number
  /** How many were measured; where there were none, the three below are left out. */
  readonly roundTrips: number
  readonly roundTripMinMs?: number
  /** Their mean. */
  readonly roundTripMs?: number
  readonly roundTripMaxMs?: number
  /** By how much its timer was late at most, from 0. */
  readonly lagMaxMs: number
  /** Whispers and shouts that were written, one for each peer. */
  readonly sent: number
  /** Whispers and shouts that came. */
  readonly received: number
  /** Messages of ours that were lost, or left out by the policy of a group, one for each peer. */
  readonly dropped: number
}

type Samples = { readonly [Name in MetricName]: Metric['samples'] }

const counter = (help: string, labels: readonly string[] = []) =>
  ({ type: 'counter', unit: '', labels, help }) as const
const gauge = (help: string, labels: readonly string[] = []) =>
  ({ type: 'gauge', unit: '', labels, help }) as const
const bytes = { unit: 'bytes' } as const
const seconds = { unit: 'seconds' } as const
const PEER = ['peer', 'name'] as const

/** Every metric that a node has, and what it means. `peer` is a uuid. */
export const METRICS = {
  lyre_node_info: gauge('Always 1; its labels say which node this is.', ['uuid', 'name']),
  lyre_started: gauge('1 while the node is started, else 0.'),
  lyre_groups: gauge('Groups that the node is in.'),
  lyre_peers: gauge('Peers that are known, by state; entered, evasive and silent ones are there.', [
    'state',
  ]),
  lyre_enters_total: counter('Peers that entered.'),
  lyre_exits_total: counter('Peers that left, by cause.', ['cause']),
  lyre_messages_total: counter('Messages of ZRE that came or were written, by command.', [
    'direction',
    'command',
  ]),
  lyre_message_bytes_total: {
    ...counter('Octets of these messages, without what ZMTP puts around their frames.', [
      'direction',
      'command',
    ]),
    ...bytes,
  },
  lyre_epochs_total: counter('HELLOs, each the beginning of an epoch, by direction.', [
    'direction',
  ]),
  lyre_contents_sent_total: counter(
    'Messages of the application, one for each peer they were for.',
  ),
  lyre_contents_total: counter(
    'What became of these: confirmed, lost (nobody knows), or dropped by the policy of a group.',
    ['outcome'],
  ),
  lyre_contents_unconfirmed: gauge('Of these, written and not known to have been read.'),
  lyre_queue_messages: gauge('Of these, not written yet: the depth of all queues together.'),
  lyre_queue_bytes: { ...gauge('Octets of content that wait, once for all peers.'), ...bytes },
  lyre_peer_queue_messages: gauge('The same of one peer that is there.', PEER),
  lyre_peer_queue_bytes: { ...gauge('The same of one peer that is there.', PEER), ...bytes },
  lyre_peer_backlog_bytes: {
    ...gauge('Octets that were written for a peer and have not left this machine.', PEER),
    ...bytes,
  },
  lyre_peer_unconfirmed: gauge('Messages written to a peer and not known to have been read.', PEER),
  lyre_peer_quiet_seconds: {
    ...gauge('How long ago anything came over a connection of a peer.', PEER),
    ...seconds,
  },
  lyre_peer_round_trip_last_seconds: {
    ...gauge('The last round trip to a peer and back that was measured.', PEER),
    ...seconds,
  },
  lyre_round_trip_seconds: {
    ...{ type: 'histogram', labels: [], help: 'Round trips to peers and back, all of them.' },
    ...seconds,
  },
  lyre_peer_round_trip_seconds: {
    ...{ type: 'histogram', labels: PEER },
    help: 'The same by peer that is there, since metrics were asked for the first time.',
    ...seconds,
  },
  lyre_event_loop_lag_seconds: {
    ...{ type: 'histogram', labels: [], help: 'How late timers of the node were called.' },
    ...seconds,
  },
  lyre_connections: gauge('Connections that there are, whatever their state.'),
  lyre_links_total: counter('What became of connections, by who dialled.', [
    'direction',
    'outcome',
  ]),
  lyre_dials_total: counter('Dials that were begun.'),
  lyre_dials_pending: gauge('Dials to peers that are not done.'),
  lyre_arrivals_pending: gauge('Connections that were accepted and have not said HELLO.'),
  lyre_refusals_total: counter('What was refused, ignored, dropped or lost, by reason.', [
    'reason',
  ]),
  lyre_beacons_sent_total: counter('Beacons that were sent, on all interfaces.'),
  lyre_beacon_errors_total: counter('Of these, those that the operating system did not send.'),
  lyre_beacons_heard_total: counter('Datagrams at the port of beacons, by what they are.', [
    'kind',
  ]),
  lyre_beacons_expected_total: counter(
    'Beacons of neighbours that should have come, by how often each beacons.',
  ),
  lyre_beacons_arrived_total: counter('Of these, those that did come.'),
  lyre_beacon_loss_ratio: {
    ...gauge('An estimate of the share of beacons that are lost on the way, since the start.'),
    unit: 'ratio',
  },
} as const satisfies Readonly<Record<string, MetricMeaning>>

const STATES = [
  'discovered',
  'dialling',
  'greeted',
  'entered',
  'evasive',
  'silent',
  'gone',
] as const satisfies readonly PeerState[]
const CAUSES = [
  'goodbye',
  'expired',
  'restart',
  'link',
  'sequence',
  'limit',
  'refused',
  'stop',
] as const satisfies readonly ExitCause[]
const PRESENT: ReadonlySet<PeerState> = new Set(['entered', 'evasive', 'silent'])
const OUTCOMES = ['up', 'lost', 'refused'] as const
const NO_LABELS: MetricLabels = {}

/** From a loopback to a network that is hardly one. */
const ROUND_TRIP_BOUNDS_MS = [0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000]
/** A timer is up to a millisecond late by itself. */
const LAG_BOUNDS_MS = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000]

/** How many values are below each of some bounds. */
class Histogram {
  readonly #bounds: readonly number[]
  readonly #counts: number[]
  #sum = 0
  /** Of those since the last take(), and what it has given before. */
  #min = Number.POSITIVE_INFINITY
  #max = 0
  #takenCount = 0
  #takenSum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = new Array<number>(bounds.length + 1).fill(0)
  }

  add(ms: number): void {
    let index = 0
    while (index < this.#bounds.length && ms > (this.#bounds[index] as number)) index++
    this.#counts[index] = (this.#counts[index] as number) + 1
    this.#sum += ms
    if (ms < this.#min) this.#min = ms
    if (ms > this.#max) this.#max = ms
  }

  /** What came since it was taken last. */
  take(): {
    readonly count: number
    readonly min: number
    readonly mean: number
    readonly max: number
  } {
    const [min, max] = [this.#min, this.#max]
    const total = this.#counts.reduce((sum, count) => sum + count, 0)
    const count = total - this.#takenCount
    const mean = (this.#sum - this.#takenSum) / count
    this.#takenCount = total
    this.#takenSum = this.#sum
    this.#min = Number.POSITIVE_INFINITY
    this.#max = 0
    return { count, min, mean, max }
  }

  sample(labels: MetricLabels): HistogramSample {
    let count = 0
    const buckets = this.#bounds.map((bound, index) => {
      count += this.#counts[index] as number
      return { le: bound / 1_000, count }
    })
    count += this.#counts[this.#bounds.length] as number
    return { labels, buckets, count, sum: this.#sum / 1_000 }
  }
}

/** What a node counts beside what its parts do. */
export class Meter {
  readonly traffic = createTraffic()
  enters = 0
  dials = 0
  readonly #exits = new Map<ExitCause, number>()
  /** By direction and outcome, such as `in up`. */
  readonly #links = new Map<string, number>()
  readonly #roundTrips = new Histogram(ROUND_TRIP_BOUNDS_MS)
  readonly #lags = new Histogram(LAG_BOUNDS_MS)
  /** By peer, once somebody has asked: a node of a large mesh has many, and mostly nobody does. */
  #roundTripsByPeer: Map<Uuid, Histogram> | undefined
  /** What status() has told of so far. */
  #told = { sent: 0, received: 0, dropped: 0 }

  /** Something became of a connection, whose other end may be known. */
  handleLink(connection: ConnectionId, change: LinkChange, uuid: Uuid | undefined): void {
    if (change.type !== 'measured') {
      const key = `${connection < 0 ? 'in' : 'out'} ${change.type}`
      this.#links.set(key, (this.#links.get(key) ?? 0) + 1)
      return
    }
    this.#roundTrips.add(change.roundTripMs)
    if (this.#roundTripsByPeer === undefined || uuid === undefined) return
    let histogram = this.#roundTripsByPeer.get(uuid)
    if (histogram === undefined) {
      histogram = new Histogram(ROUND_TRIP_BOUNDS_MS)
      this.#roundTripsByPeer.set(uuid, histogram)
    }
    histogram.add(change.roundTripMs)
  }

  /** A peer has left. */
  handleExit(uuid: Uuid, cause: ExitCause): void {
    this.#exits.set(cause, (this.#exits.get(cause) ?? 0) + 1)
    this.#roundTripsByPeer?.delete(uuid)
  }

  /** The node's timer was so late. */
  handleLag(ms: number): void {
    this.#lags.add(Math.max(0, ms))
  }

  /** How the node is, and what became of it since this was asked last. */
  status(now: Pick<Status, 'peers' | 'evasive'> & Pick<Tally, 'lost' | 'dropped'>): Status {
    const { peers, evasive, lost, dropped: leftOut } = now
    const { count, min, mean, max } = this.#roundTrips.take()
    const contents = ({ whisper, shout }: Counts) => whisper.messages + shout.messages
    const [sent, received] = [contents(this.traffic.sent), contents(this.traffic.received)]
    const dropped = lost + leftOut
    const told = this.#told
    this.#told = { sent, received, dropped }
    return {
      peers,
      evasive,
      roundTrips: count,
      ...(count > 0 && {
        roundTripMinMs: thousandths(min),
        roundTripMs: thousandths(mean),
        roundTripMaxMs: thousandths(max),
      }),
      lagMaxMs: thousandths(this.#lags.take().max),
      sent: sent - told.sent,
      received: received - told.received,
      dropped: dropped - told.dropped,
    }
  }

  /** All there is, with what diagnostics() knows at this moment. */
  metrics(diagnostics: Diagnostics): Metrics {
    this.#roundTripsByPeer ??= new Map()
    const samples: Samples = {
      ...nodeSamples(diagnostics),
      ...peerSamples(diagnostics),
      ...beaconSamples(diagnostics),
      ...this.#trafficSamples(),
      lyre_enters_total: one(this.enters),
      lyre_exits_total: CAUSES.map((cause) => sample({ cause }, this.#exits.get(cause) ?? 0)),
      lyre_round_trip_seconds: [this.#roundTrips.sample(NO_LABELS)],
      lyre_peer_round_trip_seconds: present(diagnostics).flatMap((peer) => {
        const histogram = this.#roundTripsByPeer?.get(peer.uuid)
        return histogram === undefined ? [] : [histogram.sample(labelsOf(peer))]
      }),
      lyre_event_loop_lag_seconds: [this.#lags.sample(NO_LABELS)],
      lyre_links_total: (['in', 'out'] as const).flatMap((direction) =>
        OUTCOMES.map((outcome) =>
          sample({ direction, outcome }, this.#links.get(`${direction} ${outcome}`) ?? 0),
        ),
      ),
      lyre_dials_total: one(this.dials),
    }
    const names = Object.keys(METRICS) as MetricName[]
    const metrics = names.map((name) => [name, { ...METRICS[name], samples: samples[name] }])
    return Object.fromEntries(metrics) as Metrics
  }

  #trafficSamples() {
    const { received, sent } = this.traffic
    const both = [
      ['in', received],
      ['out', sent],
    ] as const
    const all = (what: 'messages' | 'bytes') =>
      both.flatMap(([direction, counts]) =>
        COMMANDS.map((command) => sample({ direction, command }, counts[command][what])),
      )
    return {
      lyre_messages_total: all('messages'),
      lyre_message_bytes_total: all('bytes'),
      lyre_epochs_total: both.map(([direction, { hello }]) =>
        sample({ direction }, hello.messages),
      ),
    }
  }
}

function nodeSamples({ messages, ...diagnostics }: Diagnostics) {
  const { uuid, name, state, groups, peers, connections, dials, arrivals, counters } = diagnostics
  return {
    lyre_node_info: [sample({ uuid, name }, 1)],
    lyre_started: one(state === 'started' ? 1 : 0),
    lyre_groups: one(groups.length),
    lyre_peers: STATES.map((state) =>
      sample({ state }, peers.filter((peer) => peer.state === state).length),
    ),
    lyre_contents_sent_total: one(messages.sent),
    lyre_contents_total: (['confirmed', 'lost', 'dropped'] as const).map((outcome) =>
      sample({ outcome }, messages[outcome]),
    ),
    lyre_contents_unconfirmed: one(messages.unconfirmed),
    lyre_queue_messages: one(messages.waiting),
    lyre_queue_bytes: one(messages.waitingBytes),
    lyre_connections: one(connections),
    lyre_dials_pending: one(dials),
    lyre_arrivals_pending: one(arrivals),
    lyre_refusals_total: Object.entries(counters).map(([reason, count]) =>
      sample({ reason }, count),
    ),
  }
}

type PeerOf = Diagnostics['peers'][number]

function peerSamples(diagnostics: Diagnostics) {
  const peers = present(diagnostics)
  const each = (value: (peer: PeerOf) => number) =>
    peers.map((peer) => sample(labelsOf(peer), value(peer)))
  return {
    lyre_peer_queue_messages: each(({ waiting }) => waiting),
    lyre_peer_queue_bytes: each(({ waitingBytes }) => waitingBytes),
    lyre_peer_backlog_bytes: each(({ backlogBytes }) => backlogBytes),
    lyre_peer_unconfirmed: each(({ unconfirmed }) => unconfirmed),
    lyre_peer_quiet_seconds: each(({ heardMsAgo }) => heardMsAgo / 1_000),
    lyre_peer_round_trip_last_seconds: peers.flatMap((peer) =>
      peer.roundTripMs === null ? [] : [sample(labelsOf(peer), peer.roundTripMs / 1_000)],
    ),
  }
}

function beaconSamples({ beacon }: Diagnostics) {
  const { sent = 0, sendErrors = 0, expected = 0, arrived = 0 } = beacon ?? {}
  const heard: Readonly<Record<string, number>> = beacon?.heard ?? {}
  return {
    lyre_beacons_sent_total: one(sent),
    lyre_beacon_errors_total: one(sendErrors),
    lyre_beacons_heard_total: Object.entries(heard).map(([kind, count]) => sample({ kind }, count)),
    lyre_beacons_expected_total: one(expected),
    lyre_beacons_arrived_total: one(arrived),
    lyre_beacon_loss_ratio: expected === 0 ? [] : one(Math.max(0, 1 - arrived / expected)),
  }
}

function present({ peers }: Diagnostics): PeerOf[] {
  return peers.filter(({ state }) => PRESENT.has(state))
}

/** More digits tell nothing, and take room in each record. */
function thousandths(ms: number): number {
  return Math.round(ms * 1_000) / 1_000
}

function labelsOf({ uuid, name }: PeerOf): MetricLabels {
  return { peer: uuid, name }
}

function sample(labels: MetricLabels, value: number): MetricSample {
  return { labels, value }
}

function one(value: number): MetricSample[] {
  return [sample(NO_LABELS, value)]
}
