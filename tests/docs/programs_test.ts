import { assert, assertEquals } from "@std/assert";
import {
  findChromium,
  findJq,
  findNode,
  missing,
  type Program,
} from "../programs.ts";
import { fileURLToPath } from "node:url";
import { assertCompile, assertPrints, examplesIn } from "../examples.ts";

const page = "docs/programs.md";
const ROOT = new URL("../../", import.meta.url);
const examples = examplesIn(await Deno.readTextFile(new URL(page, ROOT)));

const programs = new Map<string, Program>([
  ["jq.ts", await findJq()],
  ["mcp.ts", await findNode()],
  ["chromium.ts", await findChromium()],
]);

/** Let a project have the packages of `tests/peers/node`. */
async function linkPackages(directory: string) {
  await Deno.symlink(
    fileURLToPath(new URL("tests/peers/node/node_modules", ROOT)),
    `${directory}/node_modules`,
  );
}

/** Let a project have a command that a shell runs. */
async function makeCommand(directory: string, name: string, line: string) {
  await Deno.mkdir(`${directory}/bin`, { recursive: true });
  await Deno.writeTextFile(`${directory}/bin/${name}`, `#!/bin/sh\n${line}\n`, {
    mode: 0o755,
  });
}

/** Let a project have an `ssh` that runs the command here, in the way of the real one, and `deno` in `PATH`. */
async function makeSsh(directory: string) {
  await makeCommand(directory, "ssh", 'shift; exec sh -c "$*"');
  await Deno.symlink(Deno.execPath(), `${directory}/bin/deno`);
}

/** Chromium has other names elsewhere. */
async function makeChromium(directory: string) {
  const command = programs.get("chromium.ts")?.command;
  if (command && command !== "chromium") {
    await makeCommand(directory, "chromium", `exec ${command} "$@"`);
  }
}

const preparations = new Map([
  ["mcp.ts", linkPackages],
  ["ssh.ts", makeSsh],
  ["guarded.ts", makeSsh],
  ["chromium.ts", makeChromium],
]);

Deno.test(`${page} has examples that compile`, async () => {
  await assertCompile(examples);
});

for (const example of examples) {
  const { name, isRun } = example;
  if (!isRun) continue;
  const program = programs.get(name);
  Deno.test({
    name: `${page} example ${name} prints what it says`,
    ignore: program?.ignore ?? false,
    async fn() {
      assert(program?.command !== null, missing);
      await assertPrints(example, examples, preparations.get(name));
    },
  });
}

Deno.test(`${page} names tests that exist`, async () => {
  const markdown = await Deno.readTextFile(new URL(page, ROOT));
  const paths = new Set(markdown.match(/tests\/peers\/\w+\.ts/g));
  assertEquals(paths.size, 9);
  for (const path of paths) await Deno.stat(new URL(path, ROOT));
});
