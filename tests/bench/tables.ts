/** Writes a report as text: in the terminal, and as the tables of the pages in {@linkcode FIGURES}. */

import { IDLE, judge, TOTAL } from "./goals.ts";
import {
  ratioOf,
  type Report,
  type Result,
  resultOf,
  show,
} from "./results.ts";

/** Aligns rows of cells: the first column to the left, the others to the right. */
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

/** Finds our peer that the others are compared with. */
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

function goalRows({ results }: Report) {
  return [
    ["", "measured", "goal", ""],
    ...judge(results).map(({ what, measured, wanted, isReached }) => [
      what,
      measured.toFixed(2),
      wanted,
      isReached ? "" : "missed",
    ]),
  ];
}

export function describeGoals(report: Report): string {
  return `Goals\n${table(goalRows(report))}`;
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

/** How long one message takes. */
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

/** What many channels in one process carry, and the memory that they use. */
function channelRows({ results, workloads }: Report) {
  const channels = Object.entries(workloads)
    .filter(([key]) => key.startsWith("channels-"));
  return [
    ["", "messages/s", "by hand, messages/s", IDLE, TOTAL],
    ...channels.map(([key, { title }]) => {
      const ours = resultOf(results, key, "ours-channels");
      const byHand = resultOf(results, key, "deno-conns");
      return [
        title.split(" in ")[0] ?? key,
        show(ours?.median ?? NaN),
        show(byHand?.median ?? NaN),
        ours?.memory?.[IDLE]?.toFixed(1) ?? "",
        ours?.memory?.[TOTAL]?.toFixed(0) ?? "",
      ];
    }),
  ];
}

function describeMachine({ machine, versions, date }: Report): string {
  return `${machine}; ${Object.values(versions).join(", ")}; ${
    date.slice(0, 10)
  }.`;
}

/** The pages that have figures, and what stands there between the two comments. */
export const FIGURES: Record<string, (report: Report) => string> = {
  "docs/performance.md": (report) =>
    [
      describeMachine(report),
      markdown(costRows(report)),
      'Many channels in one process, with both ends in it. "By hand" is a loop over `Deno.Conn` without frames:',
      markdown(channelRows(report)),
    ].join("\n\n"),
  "tests/bench/README.md": (report) =>
    [
      describeMachine(report),
      markdown(goalRows(report)),
      ...Object.entries(report.workloads).flatMap(([key, { title }]) => [
        `### ${title}`,
        markdown(rowsOf(report, key)),
      ]),
    ].join("\n\n"),
};

/** Puts figures into a page, between the two comments. */
export function insertFigures(page: string, figures: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin === -1 || end < begin) {
    throw new Error(`Cannot insert figures: the page has no ${BEGIN}, ${END}`);
  }
  return `${page.slice(0, begin + BEGIN.length)}\n\n${figures}\n\n${
    page.slice(end)
  }`;
}
