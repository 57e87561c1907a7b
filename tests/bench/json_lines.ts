// 100,000 JSON lines that a program writes to its standard output: how long each of four readers takes to have them all
// as values, from the start of the program (`cat`) to its end. One run, so that the figures compare.
//
// usage: deno run -A tests/bench/json_lines.ts

import { spawn as spawnNode } from "node:child_process";
import process from "node:process";
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
    const cat = new Deno.Command("cat", { args: [path], stdout: "piped" })
      .spawn();
    const lines = cat.stdout
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    let sum = 0;
    for await (const line of lines) {
      const { id }: Line = JSON.parse(line);
      sum += id;
    }
    await cat.status;
    return sum;
  },
  async "node:readline in Deno, JSON.parse"() {
    const cat = spawnNode("cat", [path]);
    let sum = 0;
    for await (const line of createInterface({ input: cat.stdout })) {
      const { id }: Line = JSON.parse(line);
      sum += id;
    }
    return sum;
  },
};

const EXPECTED = COUNT * (COUNT - 1) / 2;

interface Round {
  /** From the start of the program to its end, in ms. */
  time: number;
  /** Processor time of the reader, all threads, in ms. */
  cpu: number;
}

function show(title: string, rounds: Round[]) {
  const time = Math.min(...rounds.map(({ time }) => time));
  const cpu = Math.min(...rounds.map(({ cpu }) => cpu));
  console.log(
    `${title.padEnd(42)} ${time.toFixed(0).padStart(4)} ms, processor ${
      cpu.toFixed(0).padStart(4)
    } ms, ${(COUNT / time).toFixed(0).padStart(5)} lines/ms`,
  );
}

const measured = new Map<string, Round[]>();
for (const title of Object.keys(READERS)) measured.set(title, []);
for (let round = 0; round < ROUNDS; round++) {
  for (const [title, read] of Object.entries(READERS)) {
    const began = performance.now();
    const before = process.cpuUsage();
    const sum = await read();
    const { user, system } = process.cpuUsage(before);
    const time = performance.now() - began;
    measured.get(title)?.push({ time, cpu: (user + system) / 1000 });
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
const { versions, rounds }: {
  versions: { node: string };
  rounds: Round[];
} = JSON.parse(new TextDecoder().decode(node.stdout));
const { size } = await Deno.stat(path);
await Deno.remove(path);

console.log(
  `${COUNT.toLocaleString("en")} lines, ${
    (size / 1e6).toFixed(1)
  } MB; Deno ${Deno.version.deno}, Node ${versions.node}; best of ${ROUNDS}`,
);
for (const [title, rounds] of measured) show(title, rounds);
show("node:readline in Node, JSON.parse", rounds);
