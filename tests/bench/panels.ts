/** Which panels a report is drawn as: all of them, and three for the README. */

import { type Dot, draw, type Panel, type Row } from "./chart.ts";
import { IDLE, TOTAL } from "./goals.ts";
import { type Report, type Result, resultOf, show } from "./results.ts";
import { CHANNELS } from "./workloads.ts";

const isOurs = (peer: string) => peer.startsWith("ours");

function dotOf({ peer, rounds, median }: Result): Dot {
  return {
    value: median,
    low: Math.min(...rounds),
    high: Math.max(...rounds),
    isOurs: isOurs(peer),
  };
}

function rowsOf(
  { results, peers }: Report,
  workload: string,
  dotsOf: (result: Result) => Dot[],
): Row[] {
  return results.filter((result) => result.workload === workload)
    .map((result) => {
      const dots = dotsOf(result);
      return {
        title: peers[result.peer] ?? result.peer,
        isOurs: isOurs(result.peer),
        dots,
        label: dots.map(({ value }) => show(value)).join(" / "),
      };
    }).filter(({ dots }) => dots.length > 0);
}

function ratePanel(report: Report, workload: string): Panel {
  const { title = workload, unit = "" } = report.workloads[workload] ?? {};
  return {
    title,
    unit: `${unit}, more is better`,
    rows: rowsOf(report, workload, (result) => [dotOf(result)]),
  };
}

/** Memory of all channels in one process, where the most of them were measured. */
function processPanel(report: Report): Panel {
  const count = CHANNELS.findLast((count) =>
    `channels-${count}` in report.workloads
  );
  return {
    title: `${count?.toLocaleString("en")} channels in one process: memory`,
    unit: "MiB of the whole process while all wait, less is better",
    rows: rowsOf(report, `channels-${count}`, ({ peer, memory }) => {
      const value = memory?.[TOTAL];
      return value === undefined ? [] : [{ value, isOurs: isOurs(peer) }];
    }),
  };
}

/** Three digits, as "162K": two of them are beside a panel. */
function showShort(value: number): string {
  return value.toLocaleString("en", {
    notation: "compact",
    maximumSignificantDigits: 3,
  });
}

/** How something grows with the number of channels: ours, and by hand. */
function growthPanel(
  { results }: Report,
  title: string,
  unit: string,
  dotOf: (result: Result) => Dot | undefined,
): Panel {
  const rows = CHANNELS.flatMap((count): Row[] => {
    const dots = ["ours-channels", "deno-conns"].flatMap((peer, i): Dot[] => {
      const result = resultOf(results, `channels-${count}`, peer);
      const dot = result && dotOf(result);
      return dot ? [{ ...dot, isHollow: i === 1 }] : [];
    });
    if (dots.length === 0) return [];
    const label = dots.map(({ value }) => showShort(value)).join(" / ");
    const title = `${count.toLocaleString("en")} channels`;
    return [{ title, isOurs: false, dots, label }];
  });
  const which = "● socketpair, ○ Deno.Conn by hand";
  return { title, unit: `${unit}: ${which}`, rows };
}

function slowPanel(report: Report): Panel {
  return {
    title: "Slow receiver: memory",
    unit: "peak MiB above idle, less is better: ● sender, ○ receiver",
    rows: rowsOf(
      report,
      "slow",
      ({ peer, memory = {} }) =>
        Object.values(memory).map((value, i) => ({
          value,
          isHollow: i === 1,
          isOurs: isOurs(peer),
        })),
    ),
  };
}

function captionOf(report: Report, workloads: readonly string[]): string[] {
  const { machine, versions, date, command, missing, failures } = report;
  const rounds = workloads.flatMap((name) =>
    report.workloads[name]?.rounds ?? []
  );
  const [least, most] = [Math.min(...rounds), Math.max(...rounds)];
  return [
    `Dots are medians of ${
      least === most ? most : `${least} to ${most}`
    } rounds, lines go from the slowest to the fastest; the scales are logarithmic`,
    machine,
    Object.values(versions).join(", "),
    `${date.slice(0, 10)}, ${command}`,
    ...Object.entries(missing).map(([peer, reason]) =>
      `Left out: ${peer}: ${reason}`
    ),
    ...failures.filter(({ workload }) => workloads.includes(workload))
      .map(({ workload, peer, reason }) =>
        `Failed: ${workload}: ${peer}: ${reason}`
      ),
  ];
}

/** Draw everything. */
export function drawAll(report: Report): string {
  const names = Object.keys(report.workloads);
  const panels = names.filter((name) => !name.startsWith("channels-"))
    .map((name) => ratePanel(report, name));
  panels.push(
    slowPanel(report),
    processPanel(report),
    growthPanel(
      report,
      "Memory of an idle channel",
      "KiB beyond a new one",
      ({ peer, memory }) => {
        const value = memory?.[IDLE];
        return value === undefined
          ? undefined
          : { value, isOurs: isOurs(peer) };
      },
    ),
    growthPanel(
      report,
      "Messages of 64 B through all channels of a process",
      "messages/s",
      dotOf,
    ),
  );
  return draw(panels, captionOf(report, names));
}

/** Draw what the README shows. */
export function drawSummary(report: Report): string {
  const shown = ["roundtrip-64", "oneway-64"];
  return draw(
    [...shown.map((name) => ratePanel(report, name)), processPanel(report)],
    captionOf(report, shown),
  );
}
