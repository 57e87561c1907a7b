/** What is measured: each workload with its size and the number of its messages. */

export interface Workload {
  readonly title: string;
  /** The first argument of the peer. */
  readonly name: string;
  /** Bytes of a message. */
  readonly size: number;
  readonly count: number;
  readonly warm: number;
  /** More arguments of the peer. */
  readonly args?: readonly string[];
  /** Messages that the peer must report. */
  readonly messages: number;
  readonly unit: string;
  /** Of this unit in a message. */
  readonly perMessage: number;
  readonly maxRounds?: number;
  /** After so many ms the peer is killed. */
  readonly timeout?: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** Numbers of channels in one process, each with both ends of its socket pair. */
export const CHANNELS = [10, 100, 1_000, 10_000];

/** Messages through all channels of one process together. */
const CHANNEL_MESSAGES = 100_000;

/** How many records there are: see `records.ts`. */
export const RECORDS = 10_000;

export interface WorkloadOptions {
  readonly quick: boolean;
  /** Bytes through the slow receiver. */
  readonly slowBytes: number;
}

/** The workloads by their names. The counts keep C busy for 0.3 to 2 s on the 2-core machine. */
export function workloadsFor(
  { quick, slowBytes }: WorkloadOptions,
): Map<string, Workload> {
  function traffic(
    title: string,
    name: string,
    size: number,
    count: number,
    rest?: Partial<Workload>,
  ): Workload {
    if (quick && name !== "slow") count = Math.ceil(count / 20);
    const inMegabytes = size > 4 * KIB;
    return {
      title,
      name,
      size,
      count,
      warm: Math.ceil(count / 4),
      messages: count,
      unit: inMegabytes ? "MB/s" : "messages/s",
      perMessage: inMegabytes ? size / 1e6 : 1,
      ...rest,
    };
  }

  const both = traffic("Both ways at once, 4 KiB", "both", 4 * KIB, 150_000, {
    maxRounds: 3,
  });
  const children = quick ? 10 : 100;
  const spawns = quick ? 5 : 20;
  const spawning = {
    size: 64,
    count: spawns,
    warm: 2,
    messages: spawns,
    unit: "spawns/s",
    perMessage: 1,
  };

  function channels(channels: number): Workload {
    const rounds = Math.max(1, CHANNEL_MESSAGES / channels / (quick ? 10 : 1));
    const count = channels * rounds;
    return {
      title: `${channels.toLocaleString("en")} channels in one process, 64 B`,
      name: "channels",
      size: 64,
      count,
      warm: Math.ceil(rounds / 4) * channels,
      args: [String(channels)],
      messages: count,
      unit: "messages/s",
      perMessage: 1,
      maxRounds: 3,
    };
  }

  return new Map<string, Workload>(Object.entries({
    "roundtrip-64": traffic("Round trip, 64 B", "roundtrip", 64, 30_000, {
      unit: "round trips/s",
      // V8 is done compiling only after some ten thousand of them.
      warm: quick ? 10_000 : 40_000,
    }),
    "oneway-64": traffic("One way, 64 B", "oneway", 64, 500_000),
    "oneway-4k": traffic("One way, 4 KiB", "oneway", 4 * KIB, 200_000),
    "oneway-64k": traffic("One way, 64 KiB", "oneway", 64 * KIB, 30_000),
    "oneway-1m": traffic("One way, 1 MiB", "oneway", MIB, 2_000),
    "both-4k": { ...both, messages: 2 * both.count },
    "calls": traffic("Calls of add(1, 2) in turn", "calls", 0, 20_000, {
      unit: "calls/s",
      warm: quick ? 5_000 : 20_000,
    }),
    "records": traffic(
      `JSON: ${RECORDS.toLocaleString("en")} different records, one by one`,
      "records",
      0,
      10 * RECORDS,
      { unit: "records/s" },
    ),
    ...Object.fromEntries(
      CHANNELS.map((count) => [`channels-${count}`, channels(count)]),
    ),
    "children": {
      title: `${children} children at once, 100 round trips each`,
      name: "children",
      size: 64,
      count: children,
      warm: 0,
      messages: children * 100,
      unit: "children/s",
      perMessage: 1 / 100,
      maxRounds: 3,
    },
    "spawn": { title: "Spawn to first message", name: "spawn", ...spawning },
    "spawn-module": {
      title: "The same module, with and without a sandbox",
      name: "spawn",
      ...spawning,
    },
    "slow": traffic(
      `${slowBytes / 1e9} GB through a slow receiver`,
      "slow",
      64 * KIB,
      Math.ceil(slowBytes / (64 * KIB)),
      { warm: 0, maxRounds: 1, timeout: 180_000 },
    ),
  }));
}
