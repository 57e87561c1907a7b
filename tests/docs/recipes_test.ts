import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { TextLineStream } from "@std/streams";
import { ExitError } from "../../mod.ts";
import { Pool } from "../../docs/recipes/pool/pool.ts";
import { printedBy } from "../examples.ts";
import { findNode, missing, packageCommand } from "../programs.ts";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../", import.meta.url);
const MAX_LINES = 60;
const MCP_LINES = 14;

/** The memory limit of a process for a file of 256 MB, in MiB. An idle process uses about 65. */
const MAX_PEAK = 160;

const node = await findNode();

function recipe(path: string): string {
  return fileURLToPath(new URL(`docs/recipes/${path}`, ROOT));
}

async function run(path: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", recipe(path), ...args],
    env: { NO_COLOR: "1" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

async function assertPrints(path: string) {
  const code = await Deno.readTextFile(recipe(path));
  assertEquals(await run(path), printedBy(code));
}

Deno.test("docs/recipes.md links to each recipe, and no file is longer than 60 lines", async () => {
  const page = await Deno.readTextFile(new URL("docs/recipes.md", ROOT));
  for await (const { name } of Deno.readDir(recipe(""))) {
    assertStringIncludes(page, `](recipes/${name}/`);
    const directories = [name, `${name}/sandbox`];
    for (const directory of directories) {
      try {
        for await (const file of Deno.readDir(recipe(directory))) {
          if (!file.isFile) continue;
          const text = await Deno.readTextFile(
            recipe(`${directory}/${file.name}`),
          );
          assertLessOrEqual(text.trimEnd().split("\n").length, MAX_LINES);
        }
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }
});

Deno.test("docs/recipes/pool/parent.ts prints what its comments say", () =>
  assertPrints("pool/parent.ts"));

Deno.test("docs/recipes/pool rejects the jobs that crash their children, and no others", async () => {
  await using pool = new Pool(2);
  const jobs = Array.from({ length: 1000 }, (_, n) => n % 500);
  const outcomes = await Promise.allSettled(jobs.map((n) => pool.run(n)));
  const errors = outcomes.flatMap((outcome, index) =>
    outcome.status === "rejected" ? [{ index, ...outcome }] : []
  );
  assertEquals(errors.map(({ index }) => index), [0, 500]);
  for (const { reason } of errors) assertInstanceOf(reason, ExitError);
  assertEquals(outcomes.at(-1), { status: "fulfilled", value: 3559 });
});

Deno.test("docs/recipes/rpc/parent.ts prints what it says, with 11 lines for both sides", async () => {
  await assertPrints("rpc/parent.ts");
  const files = ["rpc/parent.ts", "rpc/sandbox/child.ts"];
  const code = await Promise.all(
    files.map((file) => Deno.readTextFile(recipe(file))),
  );
  const lines = code.join("").split("\n").filter((line) => line !== "");
  assertLessOrEqual(lines.length, 11);
});

Deno.test("docs/recipes/rpc needs no package in a cache", async () => {
  const directory = await Deno.makeTempDir();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--cached-only", recipe("rpc/parent.ts")],
    env: { DENO_DIR: directory, NO_COLOR: "1" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  assertEquals(new TextDecoder().decode(stdout), "3\n");
  await Deno.remove(directory, { recursive: true });
});

Deno.test("docs/recipes/pool cancels a job that runs and one that waits", async () => {
  await using pool = new Pool(1);
  const [running, waiting] = [new AbortController(), new AbortController()];
  const first = pool.run(1e9, running.signal);
  const second = pool.run(1, waiting.signal);
  const third = pool.run(2);
  waiting.abort(new Error("waits"));
  await assertRejects(() => second, Error, "waits");
  running.abort(new Error("runs"));
  await assertRejects(() => first, Error, "runs");
  assertEquals(await third, 3);
  await assertRejects(() => pool.run(1, AbortSignal.abort(new Error("late"))));
  assertEquals(await pool.run(3), 5);
});

Deno.test("docs/recipes/progress/parent.ts shows the child's progress", async () => {
  const printed = await run("progress/parent.ts");
  assertStringIncludes(printed, "Counted 50");
});

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"] as const) {
  Deno.test({
    name:
      `docs/recipes/cancel: the child cleans up and ends when the parent gets ${signal}`,
    ignore: Deno.build.os !== "linux",
    async fn() {
      const directory = await Deno.makeTempDir();
      const path = `${directory}/unfinished.txt`;
      const process = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", recipe("cancel/parent.ts"), path],
        // SIGKILL leaves the directory of the socket
        env: { TMPDIR: directory },
        stdout: "piped",
      }).spawn();
      const lines = process.stdout.pipeThrough(new TextDecoderStream())
        .pipeThrough(new TextLineStream());
      const printed = [];
      let child = NaN;
      for await (const line of lines) {
        printed.push(line);
        if (line !== "working") continue;
        assertEquals(await Deno.readTextFile(path), "half of the work");
        child = await childOf(process.pid);
        process.kill(signal);
      }
      const { code } = await process.status;
      await exitOf(child);
      const isKilled = signal === "SIGKILL";
      assertEquals(
        printed,
        isKilled
          ? ["working"]
          : ["working", "cleaned up", `Cancelled by ${signal}`],
      );
      assertEquals(code, isKilled ? 137 : 1);
      await assertRejects(() => Deno.stat(path), Deno.errors.NotFound);
      await Deno.remove(directory, { recursive: true });
    },
  });
}

/** The process id of the only child of a process. */
async function childOf(pid: number): Promise<number> {
  const path = `/proc/${pid}/task/${pid}/children`;
  return Number((await Deno.readTextFile(path)).trim());
}

/** Resolves when a process that is no child of this one has exited. */
async function exitOf(pid: number) {
  const args = [`--pid=${pid}`, "--sleep-interval=0.1", "-f", "/dev/null"];
  await new Deno.Command("tail", { args }).output();
}

Deno.test("docs/recipes/restart/parent.ts starts the child again until it succeeds", async () => {
  assertEquals(
    await run("restart/parent.ts"),
    "attempt 2 is up\nattempt 3 is up\nsucceeded at attempt 3\n",
  );
});

/** The peak memory of a process so far, in MiB. */
async function peakOf(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const [, kib] = /^VmHWM:\s*(\d+) kB$/m.exec(status) ?? [];
  return Number(kib) / 1024;
}

Deno.test({
  name:
    "docs/recipes/file/parent.ts compresses a large file without holding it in memory",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const megabytes = 256;
    const directory = await Deno.makeTempDir();
    const path = `${directory}/large.txt`;
    // A named pipe instead of a file keeps both processes alive until their peaks have been read.
    await new Deno.Command("mkfifo", { args: [path] }).output();
    const parent = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", recipe("file/parent.ts"), path],
    }).spawn();

    const block = new TextEncoder().encode("taco cat, ".repeat(100_000));
    const file = await Deno.open(path, { write: true });
    const writer = file.writable.getWriter();
    for (let n = 0; n < megabytes; n++) {
      block.set(crypto.getRandomValues(new Uint8Array(1000)), 1000 * (n % 900));
      await writer.write(block);
    }
    const { pid } = parent;
    const peaks = await Promise.all([pid, await childOf(pid)].map(peakOf));
    await writer.close();
    assert((await parent.status).success);

    const compressed = await Deno.open(`${path}.gz`);
    const chunks = compressed.readable.pipeThrough(
      new DecompressionStream("gzip"),
    );
    let length = 0;
    for await (const chunk of chunks) length += chunk.length;
    assertEquals(length, megabytes * block.length);
    const [ofParent = NaN, ofChild = NaN] = peaks;
    assertLessOrEqual(ofParent, MAX_PEAK);
    assertLessOrEqual(ofChild, MAX_PEAK);
    await Deno.remove(directory, { recursive: true });
  },
});

const EVERYTHING = [
  packageCommand("mcp-server-everything"),
  "stdio",
];

for (
  const { name, command, ignore } of [
    {
      name: "the server beside it",
      command: [Deno.execPath(), "run", recipe("mcp/server.ts")],
      ignore: false,
    },
    {
      name: "@modelcontextprotocol/server-everything",
      command: EVERYTHING.map((part) =>
        part instanceof URL ? fileURLToPath(part) : String(part)
      ),
      ignore: node.ignore,
    },
  ]
) {
  Deno.test({
    name: `docs/recipes/mcp/client.ts calls ${name}`,
    ignore,
    async fn() {
      assert(name.startsWith("the") || node.command, missing);
      const [tools = "", answer = ""] = (await run("mcp/client.ts", ...command))
        .split("\n");
      assertStringIncludes(tools, '"name":"echo"');
      assertEquals(JSON.parse(answer), {
        content: [{ type: "text", text: "Echo: taco cat" }],
      });
    },
  });
}

Deno.test("docs/recipes/mcp/client.ts has the 14 lines that the page says", async () => {
  const code = await Deno.readTextFile(recipe("mcp/client.ts"));
  assertEquals(
    code.split("\n").filter((line) => line !== "").length,
    MCP_LINES,
  );
});

Deno.test("docs/recipes/lsp/client.ts shows what deno lsp finds", async () => {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(path, '\nexport const taco: number = "cat";\n');
  assertEquals(
    await run("lsp/client.ts", path),
    `${path}:2 Type 'string' is not assignable to type 'number'.\n`,
  );
  await Deno.remove(path);
});
