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

const USAGE = `Usage: deno task bench [options]

  --rounds N        measure each peer N times in each workload (default 5)
  --only A,B        only these workloads
  --peers A,B       only these peers
  --slow-bytes N    bytes through the slow receiver (default 10e9)
  --quick           few messages, one round, 100 MB
  --write           write results.json and results.svg, as a whole run does, even
                    with --only, --peers or --quick
`;

interface Workload {
  readonly title: string;
  /** The first argument of the peer. */
  readonly name: string;
  readonly size: number;
  readonly count: number;
  readonly warm: number;
  /** Messages that the peer must report. */
  readonly messages: number;
  readonly unit: string;
  /** Of this unit in a message. */
  readonly perMessage: number;
  readonly maxRounds?: number;
}

interface Peer {
  readonly title: string;
  readonly tool: keyof typeof TOOLS;
  /** Those that it takes part in. */
  readonly workloads: readonly string[];
  command(): string[];
}

interface Floor {
  readonly workload: string;
  readonly peer: string;
  readonly against: string;
  readonly floor?: number;
  readonly aim?: number;
}

interface Memory {
  /** Above what the process had before the first message, in MiB, at its peak. */
  readonly sender: number;
  readonly receiver: number;
}

interface Result {
  readonly workload: string;
  readonly peer: string;
  readonly unit: string;
  readonly rounds: readonly number[];
  readonly median: number;
  readonly memory?: Memory;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const TIMEOUT = 600_000;
const MEMORY_FLOOR = 64;
const HERE = import.meta.dirname ?? ".";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string" },
    only: { type: "string" },
    peers: { type: "string" },
    "slow-bytes": { type: "string" },
    quick: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(USAGE);
  Deno.exit();
}

const quick = options.quick;
const rounds = positive("rounds", options.rounds ?? (quick ? "1" : "5"));
const slowBytes = positive(
  "slow-bytes",
  options["slow-bytes"] ?? (quick ? "100e6" : "10e9"),
);

function fail(message: string): never {
  console.error(message);
  Deno.exit(2);
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
  for (const one of names) {
    if (all.has(one)) continue;
    fail(
      `Cannot use --${name} ${one}: it is none of ${
        [...all.keys()].join(", ")
      }`,
    );
  }
  return new Map([...all].filter(([one]) => names.includes(one)));
}

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

// The counts keep C busy for 0.4 to 1.6 s on the 2-core machine.
const both = traffic("Both ways at once, 4 KiB", "both", 4 * KIB, 200_000);
const children = quick ? 10 : 100;
const spawns = quick ? 3 : 20;
const WORKLOADS = new Map<string, Workload>(Object.entries({
  "roundtrip-64": traffic("Round trip, 64 B", "roundtrip", 64, 30_000, {
    unit: "round trips/s",
    // V8 is done compiling only after some ten thousand of them.
    warm: quick ? 2_000 : 40_000,
  }),
  "oneway-64": traffic("One way, 64 B", "oneway", 64, 1_000_000),
  "oneway-4k": traffic("One way, 4 KiB", "oneway", 4 * KIB, 300_000),
  "oneway-64k": traffic("One way, 64 KiB", "oneway", 64 * KIB, 40_000),
  "oneway-1m": traffic("One way, 1 MiB", "oneway", MIB, 3_000),
  "both-4k": { ...both, messages: 2 * both.count },
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
  "spawn": {
    title: "Spawn to first message",
    name: "spawn",
    size: 64,
    count: spawns,
    warm: 2,
    messages: spawns,
    unit: "spawns/s",
    perMessage: 1,
  },
  "slow": traffic(
    `${slowBytes / 1e9} GB through a slow receiver`,
    "slow",
    64 * KIB,
    Math.ceil(slowBytes / (64 * KIB)),
    { warm: 0, maxRounds: 1 },
  ),
}));

const TOOLS = {
  gcc: ["gcc", "--version"],
  ruby: ["ruby", "--version"],
  python: ["python3", "--version"],
  node: ["node", "--version"],
  deno: [Deno.execPath(), "--version"],
} as const;

const TRAFFIC = [
  "roundtrip-64",
  "oneway-64",
  "oneway-4k",
  "oneway-64k",
  "oneway-1m",
  "both-4k",
  "slow",
];
// A fork(2) starts no program: it has no place in "spawn"
const FORKING = [...TRAFFIC, "children"];
const ALL = [...FORKING, "spawn"];

const program = (file: string) => `${HERE}/peers/${file}`;
const deno = (file: string, ...args: string[]) => [
  Deno.execPath(),
  "run",
  "-A",
  program(file),
  ...args,
];

const PEERS = new Map<string, Peer>(Object.entries<Peer>({
  "c": {
    title: "C, socketpair(2)",
    tool: "gcc",
    workloads: FORKING,
    command() {
      const compiled = `${temporary}/c`;
      const { success } = new Deno.Command("gcc", {
        args: ["-O2", "-pthread", "-o", compiled, program("c.c")],
        stderr: "inherit",
      }).outputSync();
      if (!success) throw new Error("gcc does not compile c.c");
      return [compiled];
    },
  },
  "ruby": {
    title: "Ruby, UNIXSocket.pair",
    tool: "ruby",
    workloads: FORKING,
    command: () => ["ruby", program("ruby.rb")],
  },
  "python": {
    title: "Python, multiprocessing.Pipe",
    tool: "python",
    workloads: FORKING,
    command: () => ["python3", program("python.py")],
  },
  "node-fork": {
    title: "Node, fork",
    tool: "node",
    workloads: ALL,
    command: () => ["node", program("fork.mjs")],
  },
  "deno-fork": {
    title: "Deno, fork",
    tool: "deno",
    workloads: ALL,
    command: () => deno("fork.mjs"),
  },
  "deno-conn": {
    title: "Deno.Conn by hand, no frames",
    tool: "deno",
    workloads: ALL,
    command: () => deno("deno_conn.ts"),
  },
  "deno-own": {
    title: "Deno.Conn, an ArrayBuffer each",
    tool: "deno",
    workloads: ["oneway-64", "oneway-4k", "oneway-64k", "oneway-1m"],
    command: () => deno("deno_own.ts"),
  },
  "deno-spawn": {
    title: "Deno.Command, our own child",
    tool: "deno",
    workloads: ["spawn"],
    command: () => deno("deno_spawn.ts"),
  },
  "ours": {
    title: "socketpair, send/receive",
    tool: "deno",
    workloads: ALL,
    command: () => deno("ours.ts", "send"),
  },
  "ours-streams": {
    title: "socketpair, web streams",
    tool: "deno",
    workloads: TRAFFIC,
    command: () => deno("ours.ts", "streams"),
  },
  "ours-json": {
    title: "socketpair, json()",
    tool: "deno",
    workloads: TRAFFIC,
    command: () => deno("ours.ts", "json"),
  },
  "ours-into": {
    title: "socketpair, receiveInto()",
    tool: "deno",
    workloads: ["oneway-64k", "oneway-1m"],
    command: () => deno("ours.ts", "into"),
  },
}));

function ours(
  workload: string,
  against: Record<string, number>,
  aims: Record<string, number> = {},
): Floor[] {
  const names = new Set([...Object.keys(against), ...Object.keys(aims)]);
  return [...names].map((other) => {
    const floor = against[other];
    const aim = aims[other];
    return {
      workload,
      peer: "ours",
      against: other,
      ...(floor !== undefined && { floor }),
      ...(aim !== undefined && { aim }),
    };
  });
}

const FLOORS: readonly Floor[] = [
  ...ours("roundtrip-64", { "deno-conn": 0.95, c: 1, ruby: 1.1, python: 1.1 }, {
    "deno-fork": 1,
  }),
  ...ours("oneway-64", { c: 2, python: 3.5, ruby: 4, "node-fork": 7 }, {
    c: 3.5,
  }),
  ...ours("oneway-4k", { c: 0.9, python: 1.3, ruby: 1.3 }, { c: 1.3 }),
  ...ours("oneway-64k", { c: 0.8 }, { c: 1.2 }),
  ...ours("oneway-1m", { c: 0.8 }, { c: 1.1 }),
  {
    workload: "oneway-64",
    peer: "ours-streams",
    against: "ours",
    floor: 0.5,
    aim: 0.8,
  },
  ...["oneway-64k", "oneway-1m"].map((workload) => ({
    workload,
    peer: "ours-into",
    against: "deno-conn",
    aim: 0.8,
  })),
  ...ours("spawn", { "deno-spawn": 0.8, "deno-conn": 0.8 }, {
    "deno-spawn": 0.95,
    "deno-conn": 0.95,
  }),
];

/** What stdout of a process says, line by line. */
async function* linesOf(stdout: ReadableStream<Uint8Array>) {
  let rest = "";
  for await (const chunk of stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

function isTiming(
  line: unknown,
): line is { messages: number; seconds: number } {
  return typeof line === "object" && line !== null && "messages" in line &&
    typeof line.messages === "number" && "seconds" in line &&
    typeof line.seconds === "number";
}

function isPids(line: unknown): line is { pids: number[] } {
  return typeof line === "object" && line !== null && "pids" in line &&
    Array.isArray(line.pids) &&
    line.pids.every((pid) => typeof pid === "number");
}

/** A line of /proc/PID/status in MiB; NaN where there is no such file. */
function memoryOf(pid: number, line: "VmRSS" | "VmHWM"): number {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return Number(new RegExp(`^${line}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) /
      KIB;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return NaN;
    throw error;
  }
}

/** Start the peak of memory anew; see proc(5), clear_refs. */
function forgetPeak(pid: number) {
  try {
    Deno.writeTextFileSync(`/proc/${pid}/clear_refs`, "5", { create: false });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function measure(
  [command = "", ...args]: readonly string[],
  { name, size, count, warm, messages, perMessage }: Workload,
): Promise<{ rate: number; memory?: Memory }> {
  await using process = new Deno.Command(command, {
    args: [...args, name, String(size), String(count), String(warm)],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
    signal: AbortSignal.timeout(TIMEOUT),
  }).spawn();
  const input = process.stdin.getWriter();
  let pids: number[] = [];
  let idle: number[] = [];
  let timing: { messages: number; seconds: number } | undefined;
  let peak: number[] = [];
  for await (const text of linesOf(process.stdout)) {
    const line: unknown = JSON.parse(text);
    if (isPids(line)) {
      pids = line.pids;
      idle = pids.map((pid) => memoryOf(pid, "VmRSS"));
      pids.forEach(forgetPeak);
      await input.write(new TextEncoder().encode("\n"));
    } else if (isTiming(line)) {
      timing = line;
      peak = pids.map((pid) => memoryOf(pid, "VmHWM"));
      await input.close().catch(() => {}); // it may have gone already
    }
  }
  const { code, signal } = await process.status;
  if (code !== 0) {
    throw new Error(
      signal === null ? `it exited with ${code}` : `${signal} ended it`,
    );
  }
  if (timing?.messages !== messages) {
    throw new Error(`it counted ${timing?.messages} messages of ${messages}`);
  }
  const rate = timing.messages * perMessage / timing.seconds;
  const [sender = NaN, receiver = NaN] = peak.map((p, i) =>
    p - (idle[i] ?? NaN)
  );
  return Number.isNaN(sender)
    ? { rate }
    : { rate, memory: { sender, receiver } };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const at = (i: number) => sorted[i] ?? NaN;
  return sorted.length % 2 === 1
    ? at(middle - 0.5)
    : (at(middle - 1) + at(middle)) / 2;
}

/** Three digits, with commas. */
function show(value: number): string {
  return value.toLocaleString("en", {
    maximumSignificantDigits: 3,
    minimumFractionDigits: 0,
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Rows of cells, the first column to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => widths[i] = Math.max(widths[i] ?? 0, cell.length));
  }
  return rows.map((row) =>
    "  " + row.map((cell, i) => {
      const width = widths[i] ?? 0;
      return i === 0 ? cell.padEnd(width) : cell.padStart(width);
    }).join("  ").trimEnd()
  ).join("\n");
}

const workloads = choose("only", WORKLOADS, options.only);
const peers = choose("peers", PEERS, options.peers);

const temporary = await Deno.makeTempDir({ prefix: "bench-" });
const versions: Record<string, string> = {};
const missing: Record<string, string> = {};
const commands = new Map<string, string[]>();
for (const [name, { tool, command }] of peers) {
  const [file, ...args] = TOOLS[tool];
  try {
    const { success, stdout } = new Deno.Command(file, { args, stderr: "null" })
      .outputSync();
    if (!success) throw new Error(`${file} ${args.join(" ")} fails`);
    const [version] = /\d+\.\d+[.\w]*/.exec(new TextDecoder().decode(stdout)) ??
      [""];
    versions[tool] = `${tool} ${version}`;
    commands.set(name, command());
  } catch (error) {
    missing[name] = messageOf(error);
  }
}

const results: Result[] = [];
const failures: { workload: string; peer: string; reason: string }[] = [];
const date = new Date();
// A busy machine answers round trips faster (its cores do not sleep), and all else slower.
const [load = NaN] = Deno.loadavg();

try {
  for (const [key, workload] of workloads) {
    const rates = new Map<string, number[]>();
    const memories = new Map<string, Memory>();
    const takePart = [...commands].filter(([name]) =>
      PEERS.get(name)?.workloads.includes(key)
    );
    const times = Math.min(rounds, workload.maxRounds ?? rounds);
    for (let round = 0; round < times; round++) {
      for (const [name, command] of takePart) {
        if (
          failures.some(({ workload, peer }) =>
            workload === key && peer === name
          )
        ) continue;
        try {
          const { rate, memory } = await measure(command, workload);
          rates.set(name, [...rates.get(name) ?? [], rate]);
          if (memory !== undefined) memories.set(name, memory);
        } catch (error) {
          rates.delete(name);
          failures.push({
            workload: key,
            peer: name,
            reason: messageOf(error),
          });
        }
      }
    }
    for (const [peer, rounds] of rates) {
      const memory = memories.get(peer);
      results.push({
        workload: key,
        peer,
        unit: workload.unit,
        rounds,
        median: median(rounds),
        ...(memory !== undefined && { memory }),
      });
    }
    printWorkload(key, workload, times);
  }
} finally {
  await Deno.remove(temporary, { recursive: true });
}

function resultOf(workload: string, peer: string): Result | undefined {
  return results.find((result) =>
    result.workload === workload && result.peer === peer
  );
}

function ratio(workload: string, peer: string, against: string): number {
  return (resultOf(workload, peer)?.median ?? NaN) /
    (resultOf(workload, against)?.median ?? NaN);
}

function printWorkload(
  key: string,
  { title, unit, count, warm }: Workload,
  times: number,
) {
  const those = results.filter((result) => result.workload === key);
  const withMemory = those.some(({ memory }) => memory !== undefined);
  const heading = ["", unit, "lowest", "highest", "ours / it"];
  if (withMemory) heading.push("sender MiB", "receiver MiB");
  console.log(
    `\n${title} (median of ${times}; ${count} each time, after ${warm})\n` +
      table([
        heading,
        ...those.map(({ peer, rounds, median, memory }) => {
          const against = ratio(key, "ours", peer);
          const row = [
            PEERS.get(peer)?.title ?? peer,
            show(median),
            show(Math.min(...rounds)),
            show(Math.max(...rounds)),
            Number.isNaN(against) ? "" : against.toFixed(2),
          ];
          if (memory !== undefined) {
            row.push(memory.sender.toFixed(1), memory.receiver.toFixed(1));
          }
          return row;
        }),
      ]),
  );
}

interface Verdict {
  readonly what: string;
  readonly measured: number;
  readonly floor?: number;
  readonly aim?: number;
  readonly pass?: boolean;
  readonly aimReached?: boolean;
}

const verdicts: Verdict[] = [];
for (const { workload, peer, against, floor, aim } of FLOORS) {
  const measured = ratio(workload, peer, against);
  if (Number.isNaN(measured)) continue;
  verdicts.push({
    what: `${workload}: ${peer} / ${against}`,
    measured,
    ...(floor !== undefined && { floor, pass: measured >= floor }),
    ...(aim !== undefined && { aim, aimReached: measured >= aim }),
  });
}
const { memory } = resultOf("slow", "ours") ?? {};
if (memory !== undefined) {
  for (const [side, measured] of Object.entries(memory)) {
    verdicts.push({
      what: `slow: MiB above idle, ${side} (less is better)`,
      measured,
      floor: MEMORY_FLOOR,
      pass: measured < MEMORY_FLOOR,
    });
  }
}
if (verdicts.length > 0) {
  console.log(
    "\nFloors and aims\n" + table([
      ["", "measured", "floor", "", "aim", ""],
      ...verdicts.map(({ what, measured, floor, pass, aim, aimReached }) => [
        what,
        measured.toFixed(2),
        floor?.toString() ?? "",
        pass === undefined ? "" : pass ? "pass" : "FAIL",
        aim?.toString() ?? "",
        aimReached === undefined ? "" : aimReached ? "reached" : "not reached",
      ]),
    ]),
  );
}

const machine = [
  `${cpus()[0]?.model ?? "unknown processor"}, ${cpus().length} cores`,
  `${osType()} ${release()}`,
  `load ${load.toFixed(2)} before the run`,
].join(", ");
const command = ["deno task bench", ...Deno.args].join(" ");
const tools = Object.values(versions).join(", ");
const notes = [
  ...Object.entries(missing).map(([peer, reason]) =>
    `Left out: ${peer}: ${reason}`
  ),
  ...failures.map(({ workload, peer, reason }) =>
    `Failed: ${workload}: ${peer}: ${reason}`
  ),
];
console.log(
  ["", machine, tools, `${date.toISOString()}, ${command}`, ...notes].join(
    "\n",
  ),
);

const whole = !quick && options.only === undefined &&
  options.peers === undefined;
if (whole || options.write) {
  const report = {
    command,
    date,
    machine,
    versions,
    missing,
    failures,
    workloads: Object.fromEntries(workloads),
    results,
    floors: verdicts,
  };
  const [data, drawing] = [`${HERE}/results.json`, `${HERE}/results.svg`];
  await Deno.writeTextFile(data, JSON.stringify(report));
  await Deno.writeTextFile(drawing, chart());
  // They are committed, and CI checks the format of all that is
  await new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", data, drawing],
  })
    .spawn().status;
}
if (failures.length > 0) Deno.exitCode = 1;

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(
    ">",
    "&gt;",
  );
}

/** One row of a panel: a name, one or two dots, and what they stand for. */
interface Row {
  readonly title: string;
  readonly ours: boolean;
  readonly values: readonly number[];
  readonly label: string;
}

/** Draw a dot for each value, on a logarithmic scale, a panel for each workload. */
function chart(): string {
  const panelWidth = 490, rowHeight = 18, left = 200, right = 92, gap = 26;
  const rowsOf = (
    key: string,
    value: (result: Result) => number[],
    label: (values: number[]) => string,
  ): Row[] =>
    results.filter(({ workload }) => workload === key).map((result) => {
      const values = value(result);
      return {
        title: PEERS.get(result.peer)?.title ?? result.peer,
        ours: result.peer.startsWith("ours"),
        values,
        label: label(values),
      };
    });

  const panels: { title: string; unit: string; rows: Row[] }[] = [];
  for (const [key, { title, unit }] of workloads) {
    panels.push({
      title,
      unit: `${unit}, more is better`,
      rows: rowsOf(
        key,
        ({ median }) => [median],
        ([value = NaN]) => show(value),
      ),
    });
  }
  const memoryRows = rowsOf(
    "slow",
    ({ memory }) =>
      memory === undefined ? [] : [memory.sender, memory.receiver],
    (values) => values.map((value) => value.toFixed(1)).join(" / "),
  ).filter(({ values }) => values.length > 0);
  if (memoryRows.length > 0) {
    panels.push({
      title: "Slow receiver: memory",
      unit: "peak MiB above idle, less is better: ● sender, ○ receiver",
      rows: memoryRows,
    });
  }

  const parts: string[] = [];
  const text = (x: number, y: number, of: string, attributes = "") =>
    parts.push(
      `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${attributes}>${
        escape(of)
      }</text>`,
    );
  const bottoms = [12, 12];
  for (const { title, unit, rows } of panels) {
    if (rows.length === 0) continue;
    const column = (bottoms[0] ?? 0) <= (bottoms[1] ?? 0) ? 0 : 1;
    const x0 = 12 + column * (panelWidth + gap);
    let y = (bottoms[column] ?? 0) + 14;
    text(x0, y, title, ' class="title"');
    text(x0 + panelWidth, y, unit, ' class="quiet" text-anchor="end"');
    y += 10;

    // Less than 0.1 is drawn as 0.1: a logarithm has no zero
    const logs = rows.flatMap(({ values }) =>
      values.map((value) => Math.log10(Math.max(value, 0.1)))
    );
    const low = Math.floor(Math.min(...logs));
    const high = Math.max(Math.ceil(Math.max(...logs)), low + 1);
    const plot = panelWidth - left - right;
    const at = (value: number) =>
      x0 + left +
      (Math.log10(Math.max(value, 0.1)) - low) / (high - low) * plot;
    const bottom = y + rows.length * rowHeight;
    for (let power = low; power <= high; power++) {
      const x = at(10 ** power).toFixed(1);
      parts.push(`<path class="grid" d="M${x} ${y}V${bottom}"/>`);
      const tick = (10 ** power).toLocaleString("en", { notation: "compact" });
      text(Number(x), bottom + 13, tick, ' class="quiet" text-anchor="middle"');
    }
    for (const { title, ours, values, label } of rows) {
      const middle = y + rowHeight / 2;
      const of = ours ? ' class="ours"' : "";
      text(x0, middle + 4, title, of);
      values.forEach((value, i) =>
        parts.push(
          `<circle class="dot${ours ? " ours" : ""}${
            i === 1 ? " hollow" : ""
          }" cx="${at(value).toFixed(1)}" cy="${middle.toFixed(1)}" r="4.5"/>`,
        )
      );
      text(x0 + panelWidth, middle + 4, label, `${of} text-anchor="end"`);
      y += rowHeight;
    }
    bottoms[column] = bottom + 13 + gap;
  }

  const width = 24 + 2 * panelWidth + gap;
  let y = Math.max(...bottoms) + 6;
  const fewer = [...workloads.values()]
    .filter(({ maxRounds }) => maxRounds !== undefined && maxRounds < rounds)
    .map(({ title, maxRounds }) => `; ${title}: ${maxRounds}`);
  const caption = [
    `Dots are medians, on logarithmic scales. Rounds in one run: ${rounds}${
      fewer.join("")
    }`,
    machine,
    tools,
    `${date.toISOString().slice(0, 10)}, ${command}`,
    ...notes,
  ];
  for (const line of caption) {
    text(12, y, line, ' class="quiet"');
    y += 15;
  }

  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img">
<title>socketpair against its peers</title>
<style>
svg { font: 12px system-ui, sans-serif; }
text { fill: #1f2328; }
.title { font-weight: 600; font-size: 13px; }
.quiet { fill: #59636e; font-size: 11px; }
.grid { stroke: #d1d9e0; }
text.ours { fill: #0969da; font-weight: 600; }
.dot { fill: #6e7781; stroke: #6e7781; stroke-width: 1.5; }
.dot.ours { fill: #0969da; stroke: #0969da; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .quiet { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  text.ours { fill: #58a6ff; }
  .dot { fill: #9198a1; stroke: #9198a1; }
  .dot.ours { fill: #58a6ff; stroke: #58a6ff; }
}
.dot.hollow { fill: none; }
</style>
${parts.join("\n")}
</svg>
`;
}
