/**
 * Measure every peer in one run: `deno task bench`.
 *
 * Each peer is a program of our own in `peers/`, started as `PEER WORKLOAD SIZE
 * COUNT WARM`. It connects two processes, does WARM messages of the workload unmeasured,
 * then COUNT measured ones, and prints one line, `{"messages":n,"seconds":s}`, where
 * `messages` is what the other side says it received. In the workload "slow" it prints
 * `{"pids":[parent,child]}` and reads a line before it begins, and reads to the end of stdin
 * before it ends, so that the memory of both processes can be read from outside.
 * A slow receiver pauses for 10 ms after every 8 MiB.
 */

import { cpus, release, type as osType } from "node:os";
import { parseArgs } from "node:util";
import { killRunning, measure } from "./measure.ts";
import { drawAll, drawSummary } from "./panels.ts";
import { type Peer, PEERS, TOOLS } from "./peers.ts";
import { makeRecords } from "./records.ts";
import {
  type Failure,
  type MeasuredWorkload,
  median,
  type Memory,
  messageOf,
  readReport,
  type Report,
  type Result,
} from "./results.ts";
import {
  describeGoals,
  describeRun,
  describeWorkload,
  FIGURES,
  insertFigures,
} from "./tables.ts";
import { type Workload, workloadsFor } from "./workloads.ts";

const USAGE = `Usage: deno task bench [options]

  --rounds N        measure each peer N times in each workload (default 5)
  --only A,B        only these workloads
  --peers A,B       only these peers
  --slow-bytes N    bytes through the slow receiver (default 10e9)
  --quick           few messages, one round, 100 MB
  --write           replace these workloads in results.json. A whole run does so after each
                    workload
  --resume          continue a whole run that was stopped: measure what results.json lacks
  --report          measure nothing: draw the charts and the tables of docs/performance.md and
                    tests/bench/README.md from results.json, and print the goals

Workloads: ${
  [...workloadsFor({ quick: false, slowBytes: 10e9 }).keys()].join(", ")
}
Peers: ${[...PEERS.keys()].join(", ")}
`;

const HERE = import.meta.dirname ?? ".";
const RESULTS = `${HERE}/results.json`;
const CHART = `${HERE}/results.svg`;
const SUMMARY = `${HERE}/summary.svg`;
const ROOT = `${HERE}/../..`;

function fail(message: string): never {
  console.error(message);
  Deno.exit(2);
}

function parseOptions() {
  try {
    return parseArgs({
      options: {
        rounds: { type: "string" },
        only: { type: "string" },
        peers: { type: "string" },
        "slow-bytes": { type: "string" },
        quick: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
        resume: { type: "boolean", default: false },
        report: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    fail(`${messageOf(error)}\n\n${USAGE}`);
  }
}

function positive(name: string, value: string): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number > 0) return number;
  fail(`Cannot use --${name} ${value}: it is not a whole number above 0`);
}

function choose<T>(
  name: string,
  all: ReadonlyMap<string, T>,
  wanted: string | undefined,
): Map<string, T> {
  const names = wanted?.split(",") ?? [...all.keys()];
  const unknown = names.find((one) => !all.has(one));
  if (unknown !== undefined) {
    const known = [...all.keys()].join(", ");
    fail(`Cannot use --${name} ${unknown}: it is none of ${known}`);
  }
  return new Map([...all].filter(([one]) => names.includes(one)));
}

/** Find the peers that are here, and make ready their programs. */
function prepare(peers: ReadonlyMap<string, Peer>, directory: string) {
  const versions: Record<string, string> = {};
  const missing: Record<string, string> = {};
  const commands = new Map<string, string[]>();
  for (const [name, { tool, command }] of peers) {
    const [file, ...args] = TOOLS[tool];
    try {
      const { success, stdout } = new Deno.Command(file, {
        args,
        stderr: "null",
      }).outputSync();
      if (!success) throw new Error(`${file} ${args.join(" ")} fails`);
      const [version] =
        /\d+\.\d+[.\w]*/.exec(new TextDecoder().decode(stdout)) ?? [""];
      versions[tool] = `${tool} ${version}`;
      commands.set(name, command(directory));
    } catch (error) {
      missing[name] = messageOf(error);
    }
  }
  return { versions, missing, commands };
}

function medianMemory(memories: readonly Memory[]): Memory | undefined {
  const kinds = Object.keys(memories[0] ?? {});
  if (kinds.length === 0) return undefined;
  return Object.fromEntries(
    kinds.map((kind) => [
      kind,
      median(memories.map((memory) => memory[kind] ?? NaN)),
    ]),
  );
}

/** Measure all who take part, one after the other, round by round. */
async function measureAll(
  key: string,
  workload: Workload,
  times: number,
  commands: ReadonlyMap<string, string[]>,
  env: Record<string, string>,
) {
  const rates = new Map<string, number[]>();
  const memories = new Map<string, Memory[]>();
  const failures = new Map<string, Failure>();
  const takePart = [...commands].filter(([name]) =>
    PEERS.get(name)?.workloads.includes(key)
  );
  for (let round = 0; round < times; round++) {
    for (const [peer, command] of takePart) {
      if (failures.has(peer)) continue;
      try {
        const { rate, memory } = await measure(command, workload, env);
        rates.set(peer, [...rates.get(peer) ?? [], rate]);
        if (memory) memories.set(peer, [...memories.get(peer) ?? [], memory]);
      } catch (error) {
        rates.delete(peer);
        const reason = messageOf(error);
        failures.set(peer, { workload: key, peer, reason });
        console.error(`Failed: ${key}: ${peer}: ${reason}`);
      }
    }
  }
  const results = [...rates].map(([peer, rounds]): Result => {
    const memory = medianMemory(memories.get(peer) ?? []);
    return {
      workload: key,
      peer,
      unit: workload.unit,
      rounds,
      median: median(rounds),
      ...(memory && { memory }),
    };
  });
  return { results, failures: [...failures.values()] };
}

/** The report with one workload measured anew. */
function withWorkload(
  report: Report,
  key: string,
  workload: MeasuredWorkload,
  measured: Pick<Report, "results" | "failures">,
): Report {
  const others = <T extends { workload: string }>(all: readonly T[]) =>
    all.filter(({ workload }) => workload !== key);
  const found = { ...report.workloads, [key]: workload };
  // In the order in which they are measured, whatever was first.
  const workloads: Record<string, MeasuredWorkload> = {};
  for (const name of known.keys()) {
    if (found[name]) workloads[name] = found[name];
  }
  const results = Object.keys(workloads).flatMap((name) =>
    [...others(report.results), ...measured.results]
      .filter(({ workload }) => workload === name)
  );
  return {
    ...report,
    workloads,
    results,
    failures: [...others(report.failures), ...measured.failures],
  };
}

/** Writes the files that are committed, formatted as CI wants them. */
async function writeFiles(report: Report) {
  await Deno.writeTextFile(RESULTS, JSON.stringify(report));
  await Deno.writeTextFile(CHART, drawAll(report));
  await Deno.writeTextFile(SUMMARY, drawSummary(report));
  const pages = Object.entries(FIGURES).map(([page, figures]) =>
    [`${ROOT}/${page}`, figures] as const
  );
  for (const [path, figures] of pages) {
    const page = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, insertFigures(page, figures(report)));
  }
  await new Deno.Command(Deno.execPath(), {
    args: [
      "fmt",
      "--quiet",
      RESULTS,
      CHART,
      SUMMARY,
      ...pages.map(([path]) => path),
    ],
  }).spawn().status;
}

const options = parseOptions();
if (options.help) {
  console.log(USAGE);
  Deno.exit();
}
const { quick } = options;
const rounds = positive("rounds", options.rounds ?? (quick ? "1" : "5"));
const slowBytes = positive(
  "slow-bytes",
  options["slow-bytes"] ?? (quick ? "100e6" : "10e9"),
);
const known = workloadsFor({ quick, slowBytes });
const workloads = choose("only", known, options.only);
const peers = choose("peers", PEERS, options.peers);
const isWhole = !quick && options.only === undefined &&
  options.peers === undefined;

if (options.report) {
  const report = await readReport(RESULTS);
  if (report === undefined) fail("Cannot report: there is no results.json");
  await writeFiles(report);
  console.log(`${describeGoals(report)}\n\n${describeRun(report)}`);
  Deno.exit();
}

const temporary = await Deno.makeTempDir({ prefix: "bench-" });
const records = `${temporary}/records.json`;
await Deno.writeTextFile(records, JSON.stringify(makeRecords()));
const { versions, missing, commands } = prepare(peers, temporary);
// A busy machine answers round trips faster (its cores do not sleep), and all else slower.
const [load = NaN] = Deno.loadavg();

Deno.addSignalListener("SIGINT", () => {
  killRunning();
  Deno.removeSync(temporary, { recursive: true });
  console.error("\nStopped: go on by --resume");
  Deno.exit(130);
});

const before = options.resume || (options.write && !isWhole)
  ? await readReport(RESULTS)
  : undefined;
let report: Report = {
  results: [],
  failures: [],
  workloads: {},
  ...before,
  command: ["deno task bench", ...Deno.args].join(" "),
  date: new Date().toISOString(),
  machine: [
    `${cpus()[0]?.model ?? "unknown processor"}, ${cpus().length} cores`,
    `${osType()} ${release()}`,
    `load ${load.toFixed(2)} before the run`,
  ].join(", "),
  versions: { ...before?.versions, ...versions },
  missing,
  peers: Object.fromEntries([...PEERS].map(([name, { title }]) => [
    name,
    title,
  ])),
};

try {
  for (const [key, workload] of workloads) {
    if (options.resume && key in report.workloads) continue;
    const times = Math.min(rounds, workload.maxRounds ?? rounds);
    const date = new Date();
    const env = { BENCH_RECORDS: records };
    const measured = await measureAll(key, workload, times, commands, env);
    const seconds = (Date.now() - date.getTime()) / 1000;
    const { title, unit, count, warm } = workload;
    report = withWorkload(report, key, {
      title,
      unit,
      count,
      warm,
      date: date.toISOString(),
      rounds: times,
      seconds,
    }, measured);
    console.log(`${describeWorkload(report, key)}\n`);
    if (isWhole || options.write) await writeFiles(report);
  }
} finally {
  await Deno.remove(temporary, { recursive: true });
}

console.log(`${describeGoals(report)}\n\n${describeRun(report)}`);
if (report.failures.length > 0) Deno.exitCode = 1;
