import { assert, assertEquals } from "@std/assert";
import { draw, type Panel } from "./chart.ts";
import { drawAll, drawSummary } from "./panels.ts";
import { PEERS } from "./peers.ts";
import type { Report } from "./results.ts";
import { workloadsFor } from "./workloads.ts";

interface Box {
  readonly text: string;
  readonly left: number;
  readonly right: number;
  readonly baseline: number;
}

/** Where the texts of a chart are: a character takes 0.55 of its height, a bold one 0.58. */
function boxesOf(svg: string): Box[] {
  const texts = svg.matchAll(
    /<text x="([\d.]+)" y="([\d.]+)"(.*?)>(.*?)<\/text>/g,
  );
  return Array.from(texts, ([, x = "", y = "", attributes = "", text = ""]) => {
    const size = attributes.includes("quiet") ? 11 : 12.5;
    const isBold = /title|ours/.test(attributes);
    const length = text.replaceAll(/&\w+;/g, "&").length;
    const width = length * size * (isBold ? 0.58 : 0.55);
    const anchor = attributes.includes("middle")
      ? 0.5
      : attributes.includes('"end"')
      ? 1
      : 0;
    const left = Number(x) - anchor * width;
    return { text, left, right: left + width, baseline: Number(y) };
  });
}

function findOverlaps(svg: string): string[] {
  const boxes = boxesOf(svg);
  return boxes.flatMap((a, i) =>
    boxes.slice(i + 1).filter((b) =>
      Math.abs(a.baseline - b.baseline) < 10 && a.left < b.right &&
      b.left < a.right
    ).map((b) => `"${a.text}" and "${b.text}"`)
  );
}

/** Every peer in every workload, each with the longest figures that there are. */
function fullReport(): Report {
  const workloads = workloadsFor({ quick: false, slowBytes: 10e9 });
  return {
    command: "deno task bench",
    date: "2026-11-25T00:00:00.000Z",
    machine: "A processor, 2 cores, Linux 6.18, load 0.26 before the run",
    versions: { deno: "deno 2.9.6" },
    missing: { ruby: "no such program ".repeat(20) },
    failures: [],
    peers: Object.fromEntries(
      [...PEERS].map(([name, { title }]) => [name, title]),
    ),
    workloads: Object.fromEntries(
      [...workloads].map(([key, { title, unit, count, warm }]) => [
        key,
        { title, unit, count, warm, date: "", rounds: 5, seconds: 1 },
      ]),
    ),
    results: [...workloads].flatMap(([workload, { unit }]) =>
      [...PEERS].filter(([, { workloads }]) => workloads.includes(workload))
        .map(([peer], i) => ({
          workload,
          peer,
          unit,
          rounds: [1_230_000 / 10 ** i, 4_560_000, 9_990_000],
          median: 4_560_000,
          memory: {
            "process MiB": 1_555,
            "idle KiB a channel": 147.4,
            "sender MiB": 12.7,
            "receiver MiB": 30.4,
          },
        }))
    ),
  };
}

Deno.test("drawAll() and drawSummary() write no text across another, and all inside", () => {
  const report = fullReport();
  for (const svg of [drawAll(report), drawSummary(report)]) {
    assertEquals(findOverlaps(svg), []);
    const [, width = 0, height = 0] =
      /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg) ?? [];
    for (const { text, left, right, baseline } of boxesOf(svg)) {
      assert(left >= 0 && right <= Number(width), text);
      assert(baseline <= Number(height), text);
    }
  }
});

Deno.test("drawAll() draws every peer of every workload", () => {
  const svg = drawAll(fullReport());
  for (const { title } of PEERS.values()) {
    assert(svg.includes(`>${title}</text>`), title);
  }
});

Deno.test("draw() draws the spread of the rounds as a line on both sides of the dot", () => {
  const panel: Panel = {
    title: "Panel",
    unit: "messages/s",
    rows: [{
      title: "Peer",
      isOurs: true,
      dots: [{ value: 100, low: 10, high: 1000, isOurs: true }],
      label: "100",
    }],
  };
  const svg = draw([panel], []);
  const [, path = ""] = /class="spread ours" d="([^"]+)"/.exec(svg) ?? [];
  const [from, y, left, right, y2, to] = path.match(/[\d.]+/g) ?? [];
  const [, x, cy] = /<circle class="dot ours" cx="([\d.]+)" cy="([\d.]+)"/
    .exec(svg) ?? [];
  assertEquals([y, y2], [cy, cy]);
  assertEquals(Number(x), (Number(from) + Number(to)) / 2);
  assertEquals(Number(x), (Number(left) + Number(right)) / 2);
});
