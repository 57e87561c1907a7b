// Reads JSON lines by readline, as tests/bench/json_lines.ts does.
import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";

const [, , path, rounds] = process.argv;
const times = [];
for (let round = 0; round < Number(rounds); round++) {
  const began = performance.now();
  const cat = spawn("cat", [path]);
  let count = 0;
  for await (const line of createInterface({ input: cat.stdout })) {
    if (typeof JSON.parse(line).id === "number") count++;
  }
  times.push(performance.now() - began);
  if (count !== 100_000) throw new Error("Cannot go on: lines are lost");
}
console.log(JSON.stringify({ versions: process.versions, times }));
