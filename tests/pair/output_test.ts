import { assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { json } from "../../channel.ts";
import { LineCopy, visible } from "../../pair/pipes.ts";
import { spawnModule } from "../../pair.ts";
import { runParent } from "./fixtures.ts";
import { python } from "./python.ts";
import { temporaryDirectory } from "./sandbox.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

for (
  const [attack, stdout] of [
    ["truncate", ""],
    ["chmod", "0"],
  ] as const
) {
  Deno.test(`spawnModule() keeps a child from its parent's log file: ${attack}`, async () => {
    await using root = await temporaryDirectory();
    const log = `${root.path}/log`;
    const outcomes = [];
    for (const how of ["default", "inherit"]) {
      await Deno.writeTextFile(log, "before\n");
      await Deno.chmod(log, 0o600);
      const { success } = await new Deno.Command("sh", {
        args: [
          "-c",
          `exec "$0" run -A "$1" ${attack} ${how} >>"$2"`,
          Deno.execPath(),
          fileURLToPath(new URL("./parents/printing.ts", import.meta.url)),
          log,
        ],
        stderr: "null",
      }).output();
      const { size, mode } = await Deno.stat(log);
      outcomes.push([success, size, (mode ?? 0) & 0o777]);
    }
    assertEquals(outcomes, [
      [true, 7, 0o600],
      [true, stdout === "" ? 0 : 7, stdout === "" ? 0o600 : 0o777],
    ]);
  });
}

Deno.test("spawnModule() keeps a child from what is typed at its parent's terminal", async () => {
  const code = `
import os, pty, sys
process, terminal = pty.fork()
if process == 0:
    os.execv(sys.argv[1], sys.argv[1:])
said = b""
while True:
    try:
        part = os.read(terminal, 1000)
    except OSError:
        break
    if not part:
        break
    said += part
    if b"reading" in part or b"refused" in part:
        os.write(terminal, b"password\\n")
sys.stdout.buffer.write(said)
`;
  const run = async (how: string) => {
    const { stdout } = await new Deno.Command(python, {
      args: [
        "-c",
        code,
        Deno.execPath(),
        "run",
        "-A",
        fileURLToPath(new URL("./parents/printing.ts", import.meta.url)),
        "type",
        how,
      ],
      env: { NO_COLOR: "1" },
    }).output();
    return decoder.decode(stdout);
  };
  assertStringIncludes(await run("default"), "refused");
  assertStringIncludes(await run("inherit"), "done");
});

Deno.test("spawnModule() copies whole lines, each child's in order, and loses none", async () => {
  const { code, stdout } = await runParent("printing.ts", [
    "lines",
    "default",
    "3",
  ]);
  assertEquals(code, 0);
  const lines = stdout.trimEnd().split("\n");
  assertEquals(lines.length, 3_000);
  for (const child of ["0", "1", "2"]) {
    assertEquals(
      lines.filter((line) => line.startsWith(`${child} `)),
      Array.from(
        { length: 1_000 },
        (_, number) => `${child} ${number} ${"x".repeat(number % 300)}`,
      ),
    );
  }
});

Deno.test("spawnModule() ends the last line of a child", async () => {
  const { stdout } = await runParent("printing.ts", ["rest", "default"]);
  assertEquals(stdout, "no end\n");
});

Deno.test("spawnModule() copies what a child says that does not start, before it rejects", async () => {
  const { code, stderr } = await runParent("start.ts", [
    `data:text/javascript,console.error("last words"); throw new Error("over")`,
    "copied",
  ]);
  assertEquals(code, 0);
  assertStringIncludes(stderr, "last words\n");
});

Deno.test("Child.close() does not wait for who else holds the child's output", async () => {
  const child = await spawnModule<string>(
    new URL("./sandbox/output/child.ts", import.meta.url),
    {
      args: ["leave"],
      serialization: json<string>(),
      permissions: { run: ["sleep"] },
    },
  );
  const pid = Number(await child.channel.receive());
  assertGreater(pid, 1);
  assertEquals((await child.close()).code, 0);
  Deno.kill(pid, "SIGKILL");
});

/** What is copied of some chunks. */
async function copy(
  chunks: string[],
  isTerminal = false,
): Promise<string[]> {
  const written: string[] = [];
  const { ended } = new LineCopy(
    ReadableStream.from(chunks.map((chunk) => encoder.encode(chunk))),
    {
      isTerminal: () => isTerminal,
      writeSync(bytes) {
        // Not all at once
        const part = bytes.subarray(0, 40_000);
        written.push(decoder.decode(part));
        return part.length;
      },
    },
    Promise.resolve(),
  );
  await ended;
  return written;
}

Deno.test("LineCopy writes when a line has ended, or is too long", async () => {
  assertEquals(await copy(["a", "b\nc", "\nd\ne", "", "f"]), [
    "ab\n",
    "c\nd\n",
    "ef\n",
  ]);
  assertEquals(await copy([]), []);
  const long = "x".repeat(50_000);
  assertEquals((await copy([long, long, "y\n"])).map((part) => part.length), [
    40_000,
    40_000,
    20_000,
    2,
  ]);
});

Deno.test("LineCopy waits where the output takes nothing, and ends where it is closed", async () => {
  const written: string[] = [];
  let refusals = 2;
  const sink = {
    isTerminal: () => false,
    writeSync(bytes: Uint8Array) {
      if (refusals-- > 0) throw new Deno.errors.WouldBlock("full");
      if (written.length > 0) throw new Deno.errors.BrokenPipe("closed");
      written.push(decoder.decode(bytes));
      return bytes.length;
    },
  };
  const chunks = ["a\n", "b\n", "c\n"].map((line) => encoder.encode(line));
  await new LineCopy(ReadableStream.from(chunks), sink, Promise.resolve())
    .ended;
  assertEquals(written, ["a\n"]);
});

Deno.test("LineCopy shows a terminal no control characters", async () => {
  assertEquals(await copy(["\x1b[6n\ta\x07\u009bb\r\nc\rd\n"], true), [
    "\\x1b[6n\ta\\x07\\x9bb\r\nc\\x0dd\n",
  ]);
  assertEquals(await copy(["\x1b[6n\n"]), ["\x1b[6n\n"]);

  // A line that reads "level = user" in a terminal that obeys
  assertEquals(await copy(["level = \u202eresu\u2069\u200f\n"], true), [
    "level = \\u{202e}resu\\u{2069}\\u{200f}\n",
  ]);
});

Deno.test("visible() keeps all other text", () => {
  const kept = "\ufeff\ufeffä 🌮 \t\n\r\n";
  assertEquals(decoder.decode(visible(encoder.encode(kept))), kept.slice(1));
});
