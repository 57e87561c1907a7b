/** What a run has measured: `results.json`. */

/** Some kinds of memory by their names, each with its unit. */
export type Memory = Readonly<Record<string, number>>;

/** One peer in one workload. */
export interface Result {
  readonly workload: string;
  readonly peer: string;
  readonly unit: string;
  /** Rates, a round each. */
  readonly rounds: readonly number[];
  readonly median: number;
  readonly memory?: Memory;
}

/** What a reader of the results needs to know of a workload. */
export interface MeasuredWorkload {
  readonly title: string;
  readonly unit: string;
  readonly count: number;
  readonly warm: number;
  /** When it was measured. All its peers were measured together, round by round. */
  readonly date: string;
  readonly rounds: number;
  /** How long all of it took, in seconds. */
  readonly seconds: number;
}

export interface Failure {
  readonly workload: string;
  readonly peer: string;
  readonly reason: string;
}

export interface Report {
  readonly command: string;
  readonly date: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Peers that are not here, and why. */
  readonly missing: Readonly<Record<string, string>>;
  readonly failures: readonly Failure[];
  /** Their titles. */
  readonly peers: Readonly<Record<string, string>>;
  readonly workloads: Readonly<Record<string, MeasuredWorkload>>;
  readonly results: readonly Result[];
}

/** A report in the form that this version writes, or `undefined` if there is none. */
export async function readReport(path: string): Promise<Report | undefined> {
  let report: unknown;
  try {
    report = JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new Error(`Cannot read ${path}: ${messageOf(error)}`);
  }
  return isReport(report) ? report : undefined;
}

function isReport(value: unknown): value is Report {
  return typeof value === "object" && value !== null && "peers" in value &&
    "workloads" in value && "results" in value && Array.isArray(value.results);
}

export function resultOf(
  results: readonly Result[],
  workload: string,
  peer: string,
): Result | undefined {
  return results.find((result) =>
    result.workload === workload && result.peer === peer
  );
}

/** How often the rate of one peer holds that of another; `NaN` if one was not measured. */
export function ratioOf(
  results: readonly Result[],
  workload: string,
  peer: string,
  against: string,
): number {
  return (resultOf(results, workload, peer)?.median ?? NaN) /
    (resultOf(results, workload, against)?.median ?? NaN);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const at = (i: number) => sorted[i] ?? NaN;
  return sorted.length % 2 === 1
    ? at(middle - 0.5)
    : (at(middle - 1) + at(middle)) / 2;
}

/** Three digits, with commas. */
export function show(value: number): string {
  return value.toLocaleString("en", {
    maximumSignificantDigits: 3,
    minimumFractionDigits: 0,
  });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
