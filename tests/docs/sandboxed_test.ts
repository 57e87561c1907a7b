import { assert, assertEquals } from "@std/assert";
import { tryPublishing } from "../jsr/publishing.ts";
import { type Package, packageOf, serveRegistry } from "../jsr/registry.ts";
import { findNode, findPython, missing, type Program } from "../programs.ts";
import { walk } from "../layout.ts";

const PAGE = "docs/sandboxed.md";
const PLUGIN = "sandbox/plugin_child.ts";
const ROOT = new URL("../../", import.meta.url);
const markdown = await Deno.readTextFile(new URL(PAGE, ROOT));

function block(language: string): string {
  const [, code] =
    new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(markdown) ?? [];
  assert(code, `${PAGE} has no code in ${language}`);
  return code;
}

/** What the comments behind `print()` or `console.log()` say. */
function printedBy(code: string): string {
  return Array.from(
    code.matchAll(/^.*(?:print|console\.log)\(.*(?:#|\/\/) (.*)$/gm),
    ([, text]) => `${text}\n`,
  ).join("");
}

const parents: [language: string, file: string, Program][] = [
  ["python", "parent.py", await findPython()],
  ["js", "parent.mjs", await findNode()],
];

let published: Promise<Package> | undefined;

async function publish(): Promise<Package> {
  const { paths, report } = await tryPublishing(ROOT, await walk(ROOT));
  assert(paths.length > 0, report);
  return await packageOf(ROOT, paths);
}

for (const [language, file, { command, ignore }] of parents) {
  Deno.test({
    name: `${PAGE}: the parent in ${language} prints what it says`,
    ignore,
    async fn() {
      assert(command !== null, missing);
      await using registry = await serveRegistry([
        await (published ??= publish()),
      ]);
      const directory = await Deno.realPath(await Deno.makeTempDir());
      const code = block(language);
      await Deno.mkdir(`${directory}/bin`);
      await Deno.symlink(Deno.execPath(), `${directory}/bin/deno`);
      await Deno.mkdir(`${directory}/sandbox`);
      await Deno.writeTextFile(`${directory}/${PLUGIN}`, block("ts"));
      await Deno.writeTextFile(`${directory}/secret.txt`, "the secret");
      await Deno.writeTextFile(`${directory}/${file}`, code);
      const options: Deno.CommandOptions = {
        cwd: directory,
        env: {
          NO_COLOR: "1",
          JSR_URL: registry.url,
          DENO_DIR: `${directory}/cache`,
          PATH: `${directory}/bin:${Deno.env.get("PATH")}`,
        },
      };
      await runCommand("deno", { ...options, args: ["cache", PLUGIN] });
      assertEquals(
        await runCommand(command, { ...options, args: [file] }),
        printedBy(code),
      );
      await Deno.remove(directory, { recursive: true });
    },
  });
}

async function runCommand(
  command: string,
  options: Deno.CommandOptions,
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, options)
    .output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
