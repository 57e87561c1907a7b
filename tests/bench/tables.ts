/** A report as text: in the terminal, and as the tables of `docs/performance.md`. */

import {
  ratioOf,
  type Report,
  type Result,
  resultOf,
  show,
  type Verdict,
} from "./results.ts";

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

function markdown(rows: readonly (readonly string[])[]): string {
  const [heading = [], ...rest] = rows;
  const rule = heading.map((_, i) => i === 0 ? "---" : "---:");
  return [heading, rule, ...rest].map((row) => `| ${row.join(" | ")} |`)
    .join("\n");
}

/** The row of ours that the others are compared with. */
function oursOf(those: readonly Result[]): string | undefined {
  return those.find(({ peer }) => peer.startsWith("ours"))?.peer;
}

function rowsOf({ results, peers, workloads }: Report, key: string) {
  const those = results.filter(({ workload }) => workload === key);
  const kinds = Object.keys(those.find(({ memory }) => memory)?.memory ?? {});
  const ours = oursOf(those) ?? "";
  return [
    [
      "",
      workloads[key]?.unit ?? "",
      "lowest",
      "highest",
      "ours / it",
      ...kinds,
    ],
    ...those.map(({ peer, rounds, median, memory }) => [
      peers[peer] ?? peer,
      show(median),
      show(Math.min(...rounds)),
      show(Math.max(...rounds)),
      ratioOf(results, key, ours, peer).toFixed(2),
      ...kinds.map((kind) => memory?.[kind]?.toFixed(1) ?? ""),
    ]),
  ];
}

export function describeWorkload(report: Report, key: string): string {
  const workload = report.workloads[key];
  if (workload === undefined) return "";
  const { title, count, warm, rounds, seconds } = workload;
  return `${title} (${key}: median of ${rounds}; ${count} each time, after ${warm}; ${
    seconds.toFixed(0)
  } s)\n${table(rowsOf(report, key))}`;
}

function verdictRows(floors: readonly Verdict[]) {
  return [
    ["", "measured", "wanted", ""],
    ...floors.map(({ what, measured, floor, limit, ceiling, holds }) => [
      what,
      measured.toFixed(2),
      floor === undefined
        ? `at most ${ceiling}`
        : `at least ${floor}${limit ? `, or ${limit}` : ""}`,
      holds ? "holds" : "FAILS",
    ]),
  ];
}

export function describeFloors({ floors }: Report): string {
  return `Floors\n${table(verdictRows(floors))}`;
}

export function describeRun(report: Report): string {
  const { machine, versions, date, command, missing, failures } = report;
  const seconds = Object.values(report.workloads)
    .reduce((sum, { seconds }) => sum + seconds, 0);
  return [
    machine,
    Object.values(versions).join(", "),
    `${date}, ${command}, ${(seconds / 60).toFixed(1)} minutes`,
    ...Object.entries(missing).map(([peer, reason]) =>
      `Left out: ${peer}: ${reason}`
    ),
    ...failures.map(({ workload, peer, reason }) =>
      `Failed: ${workload}: ${peer}: ${reason}`
    ),
  ].join("\n");
}

const BEGIN = "<!-- figures: deno task bench --report -->";
const END = "<!-- end of figures -->";

/** What the page says of how long one message takes. */
function costRows({ results }: Report) {
  const ways: Record<string, string> = {
    "`receive()`": "ours",
    "`bytes({ borrow: true })`": "ours-borrow",
    "`receiveInto()`": "ours-into",
    "web streams": "ours-streams",
    "`json()`": "ours-json",
    "`Deno.Conn` by hand": "deno-conn",
    "C": "c",
  };
  const sizes: Record<string, { workload: string; perMessage: number }> = {
    "64 B": { workload: "oneway-64", perMessage: 1 },
    "4 KiB": { workload: "oneway-4k", perMessage: 1 },
    "64 KiB": { workload: "oneway-64k", perMessage: 65_536 / 1e6 },
    "1 MiB": { workload: "oneway-1m", perMessage: 1_048_576 / 1e6 },
    "64 B, there and back": { workload: "roundtrip-64", perMessage: 1 },
  };
  return [
    ["µs a message", ...Object.keys(sizes)],
    ...Object.entries(ways).map(([way, peer]) => [
      way,
      ...Object.values(sizes).map(({ workload, perMessage }) => {
        const rate = resultOf(results, workload, peer)?.median;
        return rate === undefined ? "" : show(1e6 * perMessage / rate);
      }),
    ]),
  ];
}

/** Put the figures of a report into the page, between the two comments. */
export function insertFigures(page: string, report: Report): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin === -1 || end < begin) {
    throw new Error(`Cannot insert figures: the page has no ${BEGIN}, ${END}`);
  }
  const channels = Object.keys(report.workloads)
    .filter((key) => key.startsWith("channels-"));
  const sections = [
    `${report.machine}; ${Object.values(report.versions).join(", ")}; ${
      report.date.slice(0, 10)
    }.`,
    markdown(costRows(report)),
    "Many channels in one process, both ends of each:",
    markdown(channels.flatMap((key, i) => {
      const [heading = [], ...rows] = rowsOf(report, key);
      const title = report.workloads[key]?.title.split(" in ")[0] ?? key;
      const named = rows.map(([peer, ...cells]) => [
        `${title}: ${peer}`,
        ...cells,
      ]);
      return i === 0 ? [heading, ...named] : named;
    })),
    "What must hold (`tests/bench/floors.ts`), and whether it did in this run:",
    markdown(verdictRows(report.floors)),
  ];
  return page.slice(0, begin + BEGIN.length) + "\n\n" +
    sections.join("\n\n") + "\n\n" + page.slice(end);
}
