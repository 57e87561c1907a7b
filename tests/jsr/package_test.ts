import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { fileURLToPath } from "node:url";
import { walk } from "../layout.ts";
import { tryPublishing } from "./publishing.ts";
import { type Package, packageOf, serveRegistry } from "./registry.ts";

const ROOT = new URL("../../", import.meta.url);

const PARENT = `
import { json, spawnModule } from "@socketpair/socketpair";

await using child = await spawnModule(
  import.meta.resolve("./sandbox/child.ts"),
  { serialization: json<string, string>() },
);
await child.channel.send("taco cat");
console.log(await child.channel.receive());
`;

const CHILD = `
import { connectToParent, json } from "@socketpair/socketpair";

const parent = await connectToParent({ serialization: json<string, string>() });
for await (const message of parent) {
  await parent.send(message.split("").reverse().join(""));
}
`;

const OTHER: Package = {
  scope: "taco",
  name: "cat",
  version: "1.0.0",
  exports: { ".": "./mod.ts" },
  files: new Map([["/mod.ts", new TextEncoder().encode("export {};\n")]]),
};

let published: Promise<Package> | undefined;

async function publish(): Promise<Package> {
  const { paths, report } = await tryPublishing(ROOT, await walk(ROOT));
  assert(paths.length > 0, report);
  return await packageOf(ROOT, paths);
}

/** A fresh project on a machine that has never run Deno. */
async function withFreshProject(
  use: (
    run: (...args: string[]) => Promise<string>,
    project: string,
  ) => Promise<void>,
) {
  await using registry = await serveRegistry([
    await (published ??= publish()),
    OTHER,
  ]);
  const directory = await Deno.realPath(await Deno.makeTempDir());
  await Deno.mkdir(`${directory}/project/sandbox`, { recursive: true });
  await Deno.writeTextFile(`${directory}/project/parent.ts`, PARENT);
  await Deno.writeTextFile(`${directory}/project/sandbox/child.ts`, CHILD);
  const run = async (...args: string[]) => {
    const { success, stdout, stderr } = await new Deno.Command(
      Deno.execPath(),
      {
        args,
        cwd: `${directory}/project`,
        env: {
          NO_COLOR: "1",
          JSR_URL: registry.url,
          DENO_DIR: `${directory}/deno`,
        },
      },
    ).output();
    assert(success, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  };
  await use(run, `${directory}/project`);
  await Deno.remove(directory, { recursive: true });
}

Deno.test("The package from a registry is added to a fresh project, checked and run", async () => {
  await withFreshProject(async (run) => {
    await run("add", "jsr:@socketpair/socketpair");
    await run("check", "parent.ts", "sandbox/child.ts");
    assertEquals(await run("run", "-A", "parent.ts"), "tac ocat\n");
  });
});

Deno.test("A package that only the module imports is there after deno cache, as docs/modules.md says", async () => {
  await withFreshProject(async (run, project) => {
    const child = "sandbox/child.ts";
    const code = `import "jsr:@taco/cat@1";${CHILD}`;
    await Deno.writeTextFile(`${project}/${child}`, code);
    await run("add", "jsr:@socketpair/socketpair");
    await assertRejects(
      () => run("run", "-A", "parent.ts"),
      Error,
      'run "deno cache ',
    );
    await run("cache", child);
    assertEquals(await run("run", "-A", "parent.ts"), "tac ocat\n");
  });
});

Deno.test("The demo runs from a registry", async () => {
  await withFreshProject(async (run) => {
    const printed = await run("run", "-A", "jsr:@socketpair/socketpair");
    assertStringIncludes(printed, '"received: tac ocat in process ');
  });
});

Deno.test("Every entry point says what it is, with an example", async () => {
  const { exports } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );
  for (const path of Object.values<string>(exports)) {
    const code = await Deno.readTextFile(new URL(path, ROOT));
    const [, documentation = ""] = /^\/\*\*([^]*?)\*\//.exec(code) ?? [];
    for (const tag of ["@module", "@example"]) {
      assertStringIncludes(
        documentation,
        tag,
        fileURLToPath(new URL(path, ROOT)),
      );
    }
  }
});
