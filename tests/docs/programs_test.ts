import { assert, assertEquals } from "@std/assert";
import {
  findChromium,
  findJq,
  findNode,
  missing,
  type Program,
} from "../programs.ts";
import { fileURLToPath } from "node:url";
import { assertPrints, examplesIn } from "../examples.ts";
import { makeSsh } from "./fake_ssh.ts";

const page = "docs/programs.md";
const ROOT = new URL("../../", import.meta.url);
const examples = examplesIn(await Deno.readTextFile(new URL(page, ROOT)));

const programs = new Map<string, Program>([
  ["jq.ts", await findJq()],
  ["mcp.ts", await findNode()],
  ["chromium.ts", await findChromium()],
]);

/** Link the packages of `tests/peers/node` into a project. */
async function linkPackages(directory: string) {
  await Deno.symlink(
    fileURLToPath(new URL("tests/peers/node/node_modules", ROOT)),
    `${directory}/node_modules`,
  );
}

const preparations = new Map([
  ["mcp.ts", linkPackages],
  ["ssh.ts", makeSsh],
  ["guarded.ts", makeSsh],
]);

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
  assertEquals(paths.size, 10);
  for (const path of paths) await Deno.stat(new URL(path, ROOT));
});
