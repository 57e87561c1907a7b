import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { fileURLToPath } from "node:url";
import { makeProject } from "../examples.ts";
import { findCompiler } from "../programs.ts";

const ROOT = new URL("../../", import.meta.url);
const MAIN = fileURLToPath(new URL("docs/compile/main.ts", ROOT));

const compiler = await findCompiler();

async function run(
  command: string,
  options: Deno.CommandOptions = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    ...options,
    env: { NO_COLOR: "1", ...options.env },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

/** Make a script that runs a module as if it had been compiled. */
async function makeStandIn(directory: string, main: string): Promise<string> {
  const program = `${directory}/program`;
  await Deno.writeTextFile(
    `${directory}/standalone.ts`,
    `Object.defineProperty(Deno, "build", { value: { ...Deno.build, standalone: true } });
    Object.defineProperty(Deno, "execPath", { value: () => ${
      JSON.stringify(program)
    } });`,
  );
  await Deno.writeTextFile(
    program,
    `#!/bin/sh
exec '${Deno.execPath()}' run -A '--preload=${directory}/standalone.ts' '${main}' "$@"
`,
    { mode: 0o755 },
  );
  return program;
}

async function withDirectory(use: (directory: string) => Promise<void>) {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  await use(directory);
  await Deno.remove(directory, { recursive: true });
}

Deno.test("docs/compile.md shows the file that the tests run", async () => {
  assertStringIncludes(
    await Deno.readTextFile(new URL("docs/compile.md", ROOT)),
    `\`\`\`ts\n// main.ts\n${await Deno.readTextFile(MAIN)}\`\`\`\n`,
  );
});

Deno.test("docs/compile/main.ts starts itself as its child if it is not compiled", async () => {
  assertEquals(
    await run(Deno.execPath(), { args: ["run", "-A", MAIN] }),
    "7\n",
  );
});

Deno.test("docs/compile/main.ts starts itself as its child if Deno.execPath() is the program", async () => {
  await withDirectory(async (directory) => {
    assertEquals(await run(await makeStandIn(directory, MAIN)), "7\n");
  });
});

Deno.test({
  name: "docs/compile/main.ts starts itself as its child once it is compiled",
  ignore: compiler.ignore,
  async fn() {
    await withDirectory(async (directory) => {
      const program = `${directory}/count`;
      await run(Deno.execPath(), {
        args: ["compile", "-A", `--output=${program}`, MAIN],
      });
      assertEquals(await run(program, { cwd: directory }), "7\n");
    });
  },
});

Deno.test("deno compile includes every module of docs/compile/main.ts", async () => {
  await withDirectory(async (directory) => {
    const printed = await run(Deno.execPath(), {
      args: ["compile", "-A", `--output=${directory}/count`, MAIN],
      // Modules can be appended to any program
      env: { DENORT_BIN: "/bin/sh" },
    });
    for (
      const name of ["pair.ts", "handshake.ts", "channel.ts", "framing.ts"]
    ) {
      assertMatch(printed, new RegExp(`── ${name}`));
    }
  });
});

Deno.test("spawnModule() in a compiled program rejects with NotSupported", async () => {
  const code = `import { spawnModule } from "@socketpair/socketpair";

const error = await spawnModule("./child.ts").catch((error) => error);
console.log(error instanceof Deno.errors.NotSupported, error.message);
`;
  const directory = await makeProject([{ name: "main.ts", code }]);
  const program = await makeStandIn(directory, `${directory}/main.ts`);
  assertMatch(await run(program), /^true .*spawn\("deno", /);
  await Deno.remove(directory, { recursive: true });
});
