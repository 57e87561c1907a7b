/** The goals of the benchmark: ratios of rates within one workload, and memory. */

import { ratioOf, type Result, resultOf } from "./results.ts";

/** The rate of a peer is at least this multiple of another's. */
interface RateGoal {
  readonly workload: string;
  readonly peer: string;
  readonly against: string;
  readonly atLeast: number;
}

/**
 * Hand-written programs that do the same work, compared with programs that don't. If this ratio is less than a goal, the
 * goal is out of reach in Deno.
 */
const LIMITS: readonly {
  readonly workload: string;
  readonly peer: string;
  readonly against: string;
  readonly limit: string;
  readonly of: string;
}[] = [
  {
    workload: "roundtrip-64",
    peer: "ours",
    against: "deno-conn",
    limit: "deno-framed",
    of: "deno-conn",
  },
  ...["c", "python", "ruby", "node-fork"].map((against) => ({
    workload: "oneway-64",
    peer: "ours",
    against,
    limit: "deno-own",
    of: against,
  })),
  {
    workload: "oneway-64",
    peer: "ours-streams",
    against: "ours",
    limit: "deno-own-streams",
    of: "deno-own",
  },
  ...["oneway-64k", "oneway-1m"].flatMap((workload) =>
    ["deno-conn", "python", "ruby"].map((against) => ({
      workload,
      peer: "ours-borrow",
      against,
      limit: "deno-framed-borrow",
      of: against,
    }))
  ),
  {
    workload: "spawn-module",
    peer: "ours-module",
    against: "ours-program",
    limit: "deno-module",
    of: "ours-program",
  },
  ...["children", "spawn"].map((workload) => ({
    workload,
    peer: "ours",
    against: "deno-conn",
    limit: "deno-import",
    of: "deno-conn",
  })),
];

/** A process or channel uses at most this much memory. */
interface MemoryGoal {
  readonly workload: string;
  readonly peer: string;
  readonly memory: string;
  readonly atMost: number;
}

function goals(
  workload: string,
  peer: string,
  against: Record<string, number>,
): RateGoal[] {
  return Object.entries(against).map(([against, atLeast]) => ({
    workload,
    peer,
    against,
    atLeast,
  }));
}

const RATES: readonly RateGoal[] = [
  ...goals("roundtrip-64", "ours", {
    "deno-conn": 0.95,
    c: 1,
    ruby: 1.1,
    python: 1.1,
  }),
  ...goals("oneway-64", "ours", {
    c: 2,
    python: 3.5,
    ruby: 4,
    "node-fork": 7,
  }),
  ...goals("oneway-64", "ours-borrow", { c: 4.5 }),
  ...goals("oneway-64", "ours-streams", { ours: 0.8 }),
  ...goals("oneway-4k", "ours", { c: 0.9, python: 1.3, ruby: 1.3 }),
  ...goals("oneway-4k", "ours-borrow", { c: 1.6 }),
  ...goals("oneway-64k", "ours", { "deno-own": 1 }),
  ...goals("oneway-64k", "ours-borrow", {
    "deno-conn": 0.9,
    python: 1,
    ruby: 1.3,
  }),
  ...goals("oneway-64k", "ours-json", { "json-parts": 0.6 }),
  ...goals("oneway-1m", "ours", { "deno-own": 1 }),
  ...goals("oneway-1m", "ours-borrow", { "deno-conn": 0.9, ruby: 1 }),
  ...goals("oneway-1m", "ours-json", { "json-parts": 0.6 }),
  ...goals("records", "ours-records", { "json-parts": 0.6 }),
  ...goals("children", "ours", { "deno-conn": 0.85 }),
  ...goals("spawn", "ours", { "deno-spawn": 0.9, "deno-conn": 0.9 }),
  ...goals("spawn-module", "ours-module", { "ours-program": 0.85 }),
];

export const IDLE = "idle KiB a channel";
export const TOTAL = "process MiB";

const MEMORIES: readonly MemoryGoal[] = [
  {
    workload: "channels-10000",
    peer: "ours-channels",
    memory: IDLE,
    atMost: 16,
  },
  {
    workload: "channels-10000",
    peer: "ours-channels",
    memory: TOTAL,
    atMost: 300,
  },
  { workload: "slow", peer: "ours", memory: "sender MiB", atMost: 64 },
  { workload: "slow", peer: "ours", memory: "receiver MiB", atMost: 64 },
];

/** Whether a goal was reached. */
export interface Verdict {
  readonly what: string;
  readonly measured: number;
  readonly wanted: string;
  readonly isReached: boolean;
}

/** Compares the results with the goals. Goals that were not measured are left out. */
export function judge(results: readonly Result[]): Verdict[] {
  const verdicts: Verdict[] = [];
  for (const { workload, peer, against, atLeast } of RATES) {
    const measured = ratioOf(results, workload, peer, against);
    if (Number.isNaN(measured)) continue;
    const limited = LIMITS.find((limit) =>
      limit.workload === workload && limit.peer === peer &&
      limit.against === against
    );
    const limit = limited
      ? ratioOf(results, workload, limited.limit, limited.of)
      : NaN;
    const isLimited = limited !== undefined && limit < atLeast;
    verdicts.push({
      what: `${workload}: ${peer} / ${against}`,
      measured,
      wanted: isLimited
        ? `at least ${atLeast}, or ${limited.limit} / ${limited.of}: ${
          limit.toFixed(2)
        }`
        : `at least ${atLeast}`,
      isReached: measured >= (isLimited ? limit : atLeast),
    });
  }
  for (const { workload, peer, memory, atMost } of MEMORIES) {
    const measured = resultOf(results, workload, peer)?.memory?.[memory];
    if (measured === undefined) continue;
    verdicts.push({
      what: `${workload}: ${peer}: ${memory}`,
      measured,
      wanted: `at most ${atMost}`,
      isReached: measured <= atMost,
    });
  }
  return verdicts;
}
