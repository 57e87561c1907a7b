// spawn() and spawnModule() of one and the same file, which sends a message once it is there; "hand" is
// spawn() of Deno with the flags of spawnModule(), and a first module that does no more than import the file.
//
// usage: deno run -A module.ts program|module|hand spawn SIZE COUNT WARM

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Child, spawn, spawnModule } from "../../../mod.ts";

const [way, _workload, ...numbers] = Deno.args;
const [size = 0, count = 0, warm = 0] = numbers.map(Number);
const file = `${import.meta.dirname ?? "."}/module_child.ts`;

const temporary = Deno.env.get("TMPDIR") ?? "/tmp";

const FLAGS = [
  "--no-prompt",
  "--cached-only",
  "--no-lock",
  "--no-config",
  "--node-modules-dir=none",
  "--vendor=false",
  "--no-code-cache",
  "--deny-import",
  "--allow-env=SOCKETPAIR_PATH,SOCKETPAIR_PORT,SOCKETPAIR_TOKEN",
  "--allow-net",
  `--allow-read=${
    resolve(import.meta.dirname ?? ".", "../../..")
  },${temporary}`,
  `--allow-write=${temporary}`,
];

// A literal path would be in its graph, and need no permission.
const firstModule = `data:text/javascript,const file = ${
  JSON.stringify(pathToFileURL(file))
};await import(file)`;

function start(): Promise<Child> {
  const args = [String(size)];
  if (way === "module") return spawnModule(file, { args });
  const program = way === "hand" ? [...FLAGS, firstModule] : ["-A", file];
  return spawn(Deno.execPath(), { args: ["run", ...program, ...args] });
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
