/** One measurement: a program is started, and says what it counted. */

import { type Memory, messageOf } from "./results.ts";
import type { Workload } from "./workloads.ts";

const TIMEOUT = 90_000;
const KIB = 1024;

/** What stdout of a process says, line by line. */
async function* linesOf(stdout: ReadableStream<Uint8Array>) {
  let rest = "";
  for await (const chunk of stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

interface Timing {
  readonly messages: number;
  readonly seconds: number;
  readonly memory?: Memory;
}

function isTiming(line: unknown): line is Timing {
  return typeof line === "object" && line !== null && "messages" in line &&
    typeof line.messages === "number" && "seconds" in line &&
    typeof line.seconds === "number";
}

function isPids(line: unknown): line is { pids: number[] } {
  return typeof line === "object" && line !== null && "pids" in line &&
    Array.isArray(line.pids) &&
    line.pids.every((pid) => typeof pid === "number");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`it printed ${JSON.stringify(text)}`);
  }
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

/** The process group that is being measured. */
let running: number | undefined;

/** Kill what is being measured, with all its children. */
export function killRunning() {
  if (running === undefined) return;
  try {
    Deno.kill(-running, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Start a peer as `PEER WORKLOAD SIZE COUNT WARM ...`, and return what it tells. */
export async function measure(
  [command = "", ...args]: readonly string[],
  { name, size, count, warm, messages, perMessage, ...rest }: Workload,
  env: Record<string, string>,
): Promise<{ rate: number; memory?: Memory }> {
  const process = new Deno.Command(command, {
    args: [
      ...args,
      name,
      String(size),
      String(count),
      String(warm),
      ...rest.args ?? [],
    ],
    env,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
    // A group of its own: its children may outlive it, and hold stdout.
    detached: true,
  }).spawn();
  running = process.pid;
  const { timeout = TIMEOUT } = rest;
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    killRunning();
  }, timeout);
  let idle: number[] = [];
  let peak: number[] = [];
  let pids: number[] = [];
  let timing: Timing | undefined;
  let failure: string | undefined;
  const input = process.stdin.getWriter();
  try {
    for await (const text of linesOf(process.stdout)) {
      const line = parse(text);
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
  } catch (error) {
    failure = messageOf(error);
    killRunning();
  }
  const { code, signal } = await process.status;
  clearTimeout(timer);
  killRunning(); // children that outlived it
  running = undefined;
  await input.abort().catch(() => {});
  if (isLate) throw new Error(`it was not done in ${timeout / 1000} s`);
  if (failure !== undefined) throw new Error(failure);
  if (code !== 0) {
    throw new Error(
      signal === null ? `it exited with ${code}` : `${signal} ended it`,
    );
  }
  if (timing?.messages !== messages) {
    throw new Error(`it counted ${timing?.messages} messages of ${messages}`);
  }
  const rate = timing.messages * perMessage / timing.seconds;
  if (timing.memory) return { rate, memory: timing.memory };
  const [sender = NaN, receiver = NaN] = peak.map((p, i) =>
    p - (idle[i] ?? NaN)
  );
  return Number.isNaN(sender)
    ? { rate }
    : { rate, memory: { "sender MiB": sender, "receiver MiB": receiver } };
}
