// 100,000 JSON lines that a program writes to its standard output: how long each of four readers takes to have them all
// as values, from the start of the program (`cat`) to its end. One run, so that the figures compare.
//
// usage: deno run -A tests/bench/json_lines.ts

import { spawn as spawnNode } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { TextLineStream } from "@std/streams";
import { delimiter, json, spawn } from "../../mod.ts";

const COUNT = 100_000;
const ROUNDS = 7;

interface Line {
  id: number;
  name: string;
  tags: string[];
  at: { x: number; y: number };
}

const path = await Deno.makeTempFile({ suffix: ".jsonl" });
const lines = Array.from({ length: COUNT }, (_, id) =>
  JSON.stringify(
    {
      id,
      name: `taco cat ${id}`,
      tags: ["food", "palindrome"],
      at: { x: id / 7, y: -id },
    } satisfies Line,
  ) + "\n");
await Deno.writeTextFile(path, lines.join(""));

type Reader = () => Promise<number>;

const READERS: Record<string, Reader> = {
  async "spawn() with delimiter() and json()"() {
    await using child = await spawn("cat", {
      args: [path],
      transport: "stdio",
      framing: delimiter(),
      serialization: json<Line>(),
    });
    let sum = 0;
    for await (const { id } of child.channel) sum += id;
    return sum;
  },
  async "Deno.Command, TextLineStream, JSON.parse"() {
    const process = new Deno.Command("cat", { args: [path], stdout: "piped" })
      .spawn();
    const lines = process.stdout
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    let sum = 0;
    for await (const line of lines) {
      const { id }: Line = JSON.parse(line);
      sum += id;
    }
    await process.status;
    return sum;
  },
  async "node:readline in Deno, JSON.parse"() {
    const process = spawnNode("cat", [path]);
    let sum = 0;
    for await (const line of createInterface({ input: process.stdout })) {
      const { id }: Line = JSON.parse(line);
      sum += id;
    }
    return sum;
  },
};

const EXPECTED = COUNT * (COUNT - 1) / 2;

function show(title: string, times: number[]) {
  const best = Math.min(...times);
  const median =
    times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ??
      0;
  console.log(
    `${title.padEnd(42)} best ${best.toFixed(0).padStart(4)} ms, median ${
      median.toFixed(0).padStart(4)
    } ms, ${(COUNT / best).toFixed(0).padStart(4)} lines/ms`,
  );
}

const times = new Map<string, number[]>();
for (const title of Object.keys(READERS)) times.set(title, []);
for (let round = 0; round < ROUNDS; round++) {
  for (const [title, read] of Object.entries(READERS)) {
    const began = performance.now();
    const sum = await read();
    times.get(title)?.push(performance.now() - began);
    if (sum !== EXPECTED) throw new Error(`Cannot go on: ${title} lost lines`);
  }
}
const node = await new Deno.Command("node", {
  args: [
    fileURLToPath(new URL("peers/json_lines.mjs", import.meta.url)),
    path,
    String(ROUNDS),
  ],
  stderr: "inherit",
}).output();
const { versions, times: nodeTimes }: {
  versions: { node: string };
  times: number[];
} = JSON.parse(new TextDecoder().decode(node.stdout));
const { size } = await Deno.stat(path);
await Deno.remove(path);

console.log(
  `${COUNT.toLocaleString("en")} lines, ${
    (size / 1e6).toFixed(1)
  } MB; Deno ${Deno.version.deno}, Node ${versions.node}; ${ROUNDS} rounds`,
);
for (const [title, list] of times) show(title, list);
show("node:readline in Node, JSON.parse", nodeTimes);
