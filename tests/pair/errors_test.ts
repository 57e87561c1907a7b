import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConnectError, ExitError, spawn } from "../../pair.ts";
import { telling } from "../../pair/errors.ts";
import { runParent } from "./fixtures.ts";
import { py, python } from "./python.ts";
import { Stage, test } from "./stage.ts";

/** How a module ends whose standard error is copied. */
async function endOf(code: string): Promise<[string, string, string]> {
  const connect = `
import { connectToParent } from "${import.meta.resolve("../../mod.ts")}";
const parent = await connectToParent();
`;
  const { stdout } = await runParent("crashing.ts", [
    `data:text/javascript,${
      encodeURIComponent(code.replace("connect();", connect))
    }`,
  ], { env: { NO_COLOR: "1" } });
  return JSON.parse(stdout);
}

Deno.test("ExitError carries the end of what a module wrote to standard error, and its message the line that says most", async () => {
  const [name, message, stderr] = await endOf(
    `connect(); console.error("before"); throw new Error("boom");`,
  );
  assertEquals(name, "ExitError");
  assertEquals(
    message.replace(/\d+/, "PID"),
    "Child PID (module data:...) exited with code 1: error: Uncaught (in promise) Error: boom",
  );
  assert(
    stderr.startsWith("before\nerror: Uncaught (in promise) Error: boom\n"),
  );
});

Deno.test("ConnectError carries the end of what a module wrote to standard error", async () => {
  const [name, message, stderr] = await endOf(
    `console.error("error: no taco"); Deno.exit(3);`,
  );
  assertEquals(name, "ConnectError");
  assert(message.endsWith(" before it connected: error: no taco"), message);
  assertEquals(stderr, "error: no taco\n");
});

Deno.test("ExitError.stderr has at most 4 KiB, and no control characters or colors", async () => {
  const [, message, stderr] = await endOf(
    `connect(); console.error("x".repeat(10_000) + "\\x1b[31mred\\x1b[0m \\x1b[2J \\u202e"); Deno.exit(1);`,
  );
  assert(stderr.length <= 4_096 + 10, `${stderr.length}`);
  assert(stderr.endsWith("xred \\x1b[2J \\u{202e}\n"));
  assert(message.length < 400);
});

test("ConnectError.stderr has what a child wrote to a piped standard error", async () => {
  await using stage = await Stage.set();
  for (const end of ["exit 3", "exec sleep 600"]) {
    const error = await assertRejects(
      () =>
        spawn("sh", {
          args: ["-c", `echo "no taco" >&2; ${end}`],
          ...stage,
          stderr: "piped",
          connectTimeout: end === "exit 3" ? 30_000 : 200,
        }),
      ConnectError,
    );
    assertEquals(error.stderr, "no taco\n");
    assertEquals(error.message.endsWith(": no taco"), end === "exit 3");
  }
});

test("ExitError.stderr leaves a piped standard error to the caller", async () => {
  await using stage = await Stage.set();
  await using child = await spawn(python, {
    args: py("connect(); print('boom', file=sys.stderr); sys.exit(1)"),
    ...stage,
    stderr: "piped",
  });
  const error = await assertRejects(() => child.channel.receive(), ExitError);
  assertEquals(error.stderr, undefined);
  assertEquals(await child.process.stderr.text(), "boom\n");
});

Deno.test("telling() finds the line that names an error", () => {
  for (
    const [stderr, line] of [
      ["", ""],
      ["\n\n", ""],
      ["one\ntwo\n", "two"],
      [
        'error: Uncaught Error: boom\nthrow new Error("boom");\n      ^\n    at file:///a.ts:1:7\n',
        "error: Uncaught Error: boom",
      ],
      [
        'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: boom\n',
        "ValueError: boom",
      ],
      [
        "/a.js:1\nthrow new Error();\n\nTypeError [ERR_X]: boom\n    at a\n\nNode.js v24.0.0\n",
        "TypeError [ERR_X]: boom",
      ],
      ["panic: boom\n\ngoroutine 1 [running]:\n", "panic: boom"],
    ] as const
  ) {
    assertEquals(telling(stderr), line && `: ${line}`);
  }
});
