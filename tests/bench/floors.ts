/** What must hold: ratios of rates within one workload, and memory. */

import { ratioOf, type Result, resultOf, type Verdict } from "./results.ts";

/** The rate of a peer is at least so often that of another. */
interface Floor {
  readonly workload: string;
  readonly peer: string;
  readonly against: string;
  readonly floor: number;
}

/**
 * Programs of the same work, written by hand, against those without it: where that is less than
 * a floor, Deno itself does not give more.
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

/** A kind of memory is at most so much. */
interface Ceiling {
  readonly workload: string;
  readonly peer: string;
  readonly memory: string;
  readonly ceiling: number;
}

function floors(
  workload: string,
  peer: string,
  against: Record<string, number>,
): Floor[] {
  return Object.entries(against).map(([against, floor]) => ({
    workload,
    peer,
    against,
    floor,
  }));
}

const FLOORS: readonly Floor[] = [
  ...floors("roundtrip-64", "ours", {
    "deno-conn": 0.95,
    c: 1,
    ruby: 1.1,
    python: 1.1,
  }),
  ...floors("oneway-64", "ours", {
    c: 2,
    python: 3.5,
    ruby: 4,
    "node-fork": 7,
  }),
  ...floors("oneway-64", "ours-borrow", { c: 4.5 }),
  ...floors("oneway-64", "ours-streams", { ours: 0.8 }),
  ...floors("oneway-4k", "ours", { c: 0.9, python: 1.3, ruby: 1.3 }),
  ...floors("oneway-4k", "ours-borrow", { c: 1.6 }),
  ...floors("oneway-64k", "ours", { "deno-own": 1 }),
  ...floors("oneway-64k", "ours-borrow", {
    "deno-conn": 0.9,
    python: 1,
    ruby: 1.3,
  }),
  ...floors("oneway-64k", "ours-json", { "json-parts": 0.6 }),
  ...floors("oneway-1m", "ours", { "deno-own": 1 }),
  ...floors("oneway-1m", "ours-borrow", { "deno-conn": 0.9, ruby: 1 }),
  ...floors("oneway-1m", "ours-json", { "json-parts": 0.6 }),
  ...floors("records", "ours-records", { "json-parts": 0.6 }),
  ...floors("children", "ours", { "deno-conn": 0.85 }),
  ...floors("spawn", "ours", { "deno-spawn": 0.9, "deno-conn": 0.9 }),
  ...floors("spawn-module", "ours-module", { "ours-program": 0.85 }),
];

export const IDLE = "idle KiB a channel";
export const TOTAL = "process MiB";

const CEILINGS: readonly Ceiling[] = [
  {
    workload: "channels-10000",
    peer: "ours-channels",
    memory: IDLE,
    ceiling: 16,
  },
  {
    workload: "channels-10000",
    peer: "ours-channels",
    memory: TOTAL,
    ceiling: 300,
  },
  { workload: "slow", peer: "ours", memory: "sender MiB", ceiling: 64 },
  { workload: "slow", peer: "ours", memory: "receiver MiB", ceiling: 64 },
];

/** What was measured, against what must hold. What was not measured is left out. */
export function judge(results: readonly Result[]): Verdict[] {
  const verdicts: Verdict[] = [];
  for (const { workload, peer, against, floor } of FLOORS) {
    const measured = ratioOf(results, workload, peer, against);
    if (Number.isNaN(measured)) continue;
    const limited = LIMITS.find((limit) =>
      limit.workload === workload && limit.peer === peer &&
      limit.against === against
    );
    const limit = limited &&
      ratioOf(results, workload, limited.limit, limited.of);
    verdicts.push({
      what: `${workload}: ${peer} / ${against}`,
      measured,
      floor,
      ...(limited && limit !== undefined && limit < floor && {
        limit: `${limited.limit} / ${limited.of}: ${limit.toFixed(2)}`,
      }),
      holds: measured >= Math.min(floor, limit || floor),
    });
  }
  for (const { workload, peer, memory, ceiling } of CEILINGS) {
    const measured = resultOf(results, workload, peer)?.memory?.[memory];
    if (measured === undefined) continue;
    verdicts.push({
      what: `${workload}: ${peer}: ${memory}`,
      measured,
      ceiling,
      holds: measured <= ceiling,
    });
  }
  return verdicts;
}
