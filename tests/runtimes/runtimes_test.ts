import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { findRuntime, missing, OTHER_DENO_DIR } from "../programs.ts";
import { names } from "./scenarios.ts";

const ROOT = new URL("../../", import.meta.url);
const PAGE = new URL("docs/node/", ROOT);
const UNSUPPORTED = fileURLToPath(
  new URL("./unsupported.ts", import.meta.url),
);
const SCENARIOS = fileURLToPath(new URL("./scenarios.ts", import.meta.url));

interface Runtime {
  command: string | null;
  args: string[];
  ignore: boolean;
  env?: Record<string, string>;
  names?: string[];
}

const runtimes: Record<string, Runtime> = {
  Deno: { command: Deno.execPath(), args: ["run", "-A"], ignore: false },
  "Deno 2.5": {
    ...await findRuntime("deno2.5"),
    args: ["run", "-A", "--no-lock", "--quiet"],
    env: { DENO_DIR: OTHER_DENO_DIR },
    // Its `node:net` loses data. Connections are those of `Deno.connect()`
    names: names.filter((name) => !name.includes("of a socket")),
  },
  "Node 22": {
    ...await findRuntime("node22"),
    args: ["--no-warnings"],
    // There, streams of `Duplex.toWeb()` do not end when the peer does (docs/node.md)
    names: names.filter((name) => !name.startsWith("Duplex.toWeb()")),
  },
  Node: { ...await findRuntime("node"), args: ["--no-warnings"] },
  Bun: { ...await findRuntime("bun"), args: [] },
};

/** The scenario that `Deno` alone can run. */
const isForDeno = (name: string) => name.startsWith("a Deno.Conn");

async function run(command: string, options: Deno.CommandOptions) {
  const { success, stdout, stderr } = await new Deno.Command(command, options)
    .output();
  const printed = new TextDecoder().decode(stdout);
  assert(success, `${printed}${new TextDecoder().decode(stderr)}`);
  return printed;
}

Deno.test("scenarios.ts fails when an assertion does", async () => {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", SCENARIOS, "nothing of that name"],
    stderr: "null",
  }).output();
  assertEquals(code, 1);
});

for (
  const [runtime, { command, args, ignore, env = {}, names: chosen = names }]
    of Object.entries(runtimes)
) {
  Deno.test({
    name: `framing.ts and channel.ts work in ${runtime}`,
    ignore,
    async fn() {
      assert(command, missing);
      const wanted = chosen.filter((name) =>
        runtime.startsWith("Deno") || !isForDeno(name)
      );
      const printed = await run(command, {
        args: [...args, SCENARIOS, ...wanted],
        env: { NO_COLOR: "1", ...env },
        signal: AbortSignal.timeout(60_000),
      });
      assertEquals(printed.trimEnd().split("\n"), wanted);
    },
  });
}

const DEMO = /^npx -y deno@([\d.]+) run -A mod\.ts$/m;

for (
  const { runtime, error, reason } of [
    { runtime: "Deno 2.5", error: "NotSupported", reason: "this is 2.5.0" },
    { runtime: "Node", error: "Error", reason: "and this is not Deno" },
    { runtime: "Bun", error: "Error", reason: "and this is not Deno" },
  ]
) {
  const { command = null, args = [], ignore = true, env = {} } =
    runtimes[runtime] ?? {};
  Deno.test({
    name: `pair.ts says in ${runtime} that it needs the Deno of README.md`,
    ignore,
    async fn() {
      assert(command, missing);
      const readme = await Deno.readTextFile(new URL("README.md", ROOT));
      const [, version = ""] = DEMO.exec(readme) ?? [];
      assertStringIncludes(readme, `Deno ${version} or later`);
      const printed = await run(command, {
        args: [...args, UNSUPPORTED],
        env: { NO_COLOR: "1", ...env },
      });
      assertEquals(
        printed.trimEnd().split("\n"),
        ["make socket pair", "start child", "start module", "connect to parent"]
          .map((doing) =>
            `${error}: Cannot ${doing}: needs Deno ${version} or later, ${reason}`
          ),
      );
    },
  });
}

/**
 * Creates a project of the page's files with this package in `node_modules`, where npm would put it. The package's files
 * are links, because Node does not strip types from files in `node_modules`.
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
  const { command = null, ignore = true } = runtimes[runtime] ?? {};
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
