import { assert, assertEquals } from "@std/assert";
import { findChromium, findJq, missing, type Program } from "../programs.ts";
import { assertPrints, examplesIn } from "../examples.ts";
import { makeSsh } from "./fake_ssh.ts";

const page = "docs/programs.md";
const ROOT = new URL("../../", import.meta.url);
const examples = examplesIn(await Deno.readTextFile(new URL(page, ROOT)));

const programs = new Map<string, Program>([
  ["jq.ts", await findJq()],
  ["chromium.ts", await findChromium()],
]);

const preparations = new Map([
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
