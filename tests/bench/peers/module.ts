// spawn() and spawnModule() of one and the same file, which sends a message once it is there.
//
// usage: deno run -A module.ts program|module spawn SIZE COUNT WARM

import { type Child, spawn, spawnModule } from "../../../mod.ts";

const [way, _workload, ...numbers] = Deno.args;
const [size = 0, count = 0, warm = 0] = numbers.map(Number);
const file = `${import.meta.dirname ?? "."}/module_child.ts`;

function start(): Promise<Child> {
  return way === "module"
    ? spawnModule(file, { args: [String(size)] })
    : spawn(Deno.execPath(), { args: ["run", "-A", file, String(size)] });
}

let milliseconds = 0;
for (let i = 0; i < warm + count; i++) {
  const began = performance.now();
  await using child = await start();
  const message = await child.channel.receive();
  if (message?.length !== size) {
    throw new Error(`A message has ${message?.length} bytes of ${size}`);
  }
  if (i >= warm) milliseconds += performance.now() - began;
}
console.log(JSON.stringify({ messages: count, seconds: milliseconds / 1000 }));
