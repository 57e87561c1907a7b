// Reads JSON lines by readline, as tests/bench/json_lines.ts does.
import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";

const [, , path, count] = process.argv;
const rounds = [];
for (let round = 0; round < Number(count); round++) {
  const began = performance.now();
  const before = process.cpuUsage();
  const cat = spawn("cat", [path]);
  let lines = 0;
  for await (const line of createInterface({ input: cat.stdout })) {
    if (typeof JSON.parse(line).id === "number") lines++;
  }
  const { user, system } = process.cpuUsage(before);
  rounds.push({ time: performance.now() - began, cpu: (user + system) / 1000 });
  if (lines !== 100_000) throw new Error("Cannot go on: lines are lost");
}
console.log(JSON.stringify({ versions: process.versions, rounds }));
