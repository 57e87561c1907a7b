import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { findRuntime, missing } from "../programs.ts";
import { names } from "./scenarios.ts";

const ROOT = new URL("../../", import.meta.url);
const PAGE = new URL("docs/node/", ROOT);
const SCENARIOS = fileURLToPath(new URL("./scenarios.ts", import.meta.url));

const runtimes = {
  Deno: { command: Deno.execPath(), args: ["run", "-A"], ignore: false },
  Node: { ...await findRuntime("node"), args: [] },
  Bun: { ...await findRuntime("bun"), args: [] },
};

async function run(command: string, options: Deno.CommandOptions) {
  const { success, stdout, stderr } = await new Deno.Command(command, options)
    .output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("scenarios.ts says no when what it runs does not hold", async () => {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", SCENARIOS, "nothing of that name"],
    stderr: "null",
  }).output();
  assertEquals(code, 1);
});

for (const [runtime, { command, args, ignore }] of Object.entries(runtimes)) {
  for (const name of names) {
    Deno.test({
      name: `In ${runtime}, ${name}`,
      ignore,
      async fn() {
        assert(command, missing);
        await run(command, { args: [...args, SCENARIOS, name] });
      },
    });
  }
}

/**
 * A project of the page's files that has this package in `node_modules`, as npm would put it there, but that its files are
 * links: Node strips the types only of what lies elsewhere.
 */
async function makeNodeProject(): Promise<string> {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  for await (const { name } of Deno.readDir(PAGE)) {
    await Deno.copyFile(new URL(name, PAGE), `${directory}/${name}`);
  }
  const { exports } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );
  const home = `${directory}/node_modules/@socketpair/socketpair`;
  await Deno.mkdir(home, { recursive: true });
  await Deno.writeTextFile(
    `${home}/package.json`,
    JSON.stringify({ type: "module", exports }),
  );
  for (const path of Object.values<string>(exports)) {
    await Deno.symlink(fileURLToPath(new URL(path, ROOT)), `${home}/${path}`);
  }
  await Deno.writeTextFile(`${directory}/package.json`, '{"type": "module"}');
  return directory;
}

Deno.test("docs/node.md shows the files that the tests run", async () => {
  const page = await Deno.readTextFile(new URL("docs/node.md", ROOT));
  for await (const { name } of Deno.readDir(PAGE)) {
    const code = await Deno.readTextFile(new URL(name, PAGE));
    assertStringIncludes(page, `// ${name}\n${code}\`\`\`\n`);
  }
});

for (const runtime of ["Node", "Bun"] as const) {
  const { command, ignore } = runtimes[runtime];
  for (const parent of ["parent.ts", "stdio_parent.ts"]) {
    Deno.test({
      name: `docs/node/${parent} has a child in ${runtime}`,
      ignore,
      async fn() {
        assert(command, missing);
        const directory = await makeNodeProject();
        const config = fileURLToPath(new URL("deno.json", ROOT));
        const printed = await run(Deno.execPath(), {
          args: [
            "run",
            "-A",
            `--config=${config}`,
            `${directory}/${parent}`,
            command,
          ],
        });
        assertEquals(printed, "7\n");
        await Deno.remove(directory, { recursive: true });
      },
    });
  }
}
