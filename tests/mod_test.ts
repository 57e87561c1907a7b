import { fileURLToPath } from "node:url";
import {
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { spawnModule } from "../pair.ts";

const MOD = fileURLToPath(new URL("../mod.ts", import.meta.url));
const CHILD = new URL("../child.ts", import.meta.url);

interface Output {
  code: number;
  pid: number;
  stdout: Uint8Array;
  stderr: string;
}

async function run(
  args: string[],
  input?: ReadableStream<Uint8Array>,
  { main = MOD, env = {} }: { main?: string; env?: Record<string, string> } =
    {},
): Promise<Output> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", main, ...args],
    env,
    stdin: input ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [output] = await Promise.all([
    process.output(),
    input?.pipeTo(process.stdin),
  ]);
  return {
    code: output.code,
    pid: process.pid,
    stdout: output.stdout,
    stderr: new TextDecoder().decode(output.stderr),
  };
}

/** The chunks of a text are cut anywhere, as those of a pipe are. */
function streamOf(bytes: Uint8Array, size: number): ReadableStream<Uint8Array> {
  return ReadableStream.from(function* () {
    for (let at = 0; at < bytes.length; at += size) {
      yield bytes.subarray(at, at + size);
    }
  }());
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

async function filter(input: string, size = 7): Promise<string> {
  const { code, stdout, stderr } = await run(
    ["-"],
    streamOf(new TextEncoder().encode(input), size),
  );
  assertEquals([code, stderr], [0, ""]);
  return decode(stdout);
}

Deno.test("mod.ts prints what each process sends and receives", async () => {
  const { code, pid, stdout } = await run([]);
  const text = decode(stdout);
  const child = Number(/in process (\d+)/.exec(text)?.[1]);
  assertNotEquals(child, pid);
  assertEquals(
    text,
    [
      `"sending: taco cat from process ${pid}"`,
      `"received: taco cat in process ${child}"`,
      `"sending: tac ocat from process ${child}"`,
      `"received: tac ocat in process ${pid}"`,
      "",
    ].join("\n"),
  );
  assertEquals(code, 0);
});

Deno.test("mod.ts sends each argument, and after -- also one that begins with a dash", async () => {
  const { stdout } = await run(["ab", "--", "-cd"]);
  const received = decode(stdout).split("\n").filter((line) =>
    line.startsWith('"received')
  );
  assertEquals(received.map((line) => line.split(" ")[1]), [
    "ab",
    "ba",
    "-cd",
    "dc-",
  ]);
});

Deno.test("mod.ts --help tells the usage and exits with 0", async () => {
  const { code, stdout } = await run(["--help"]);
  assertStringIncludes(decode(stdout), "Usage:");
  assertEquals(code, 0);
});

Deno.test("mod.ts exits with 2 for an unknown option", async () => {
  const { code, stdout, stderr } = await run(["--colour"]);
  assertEquals([code, decode(stdout)], [2, ""]);
  assertStringIncludes(stderr, "Unknown option: --colour");
});

Deno.test("mod.ts exits with 2 for a dash among messages", async () => {
  const { code } = await run(["-", "taco cat"]);
  assertEquals(code, 2);
});

// The standard library as far as it is used; the real one is in another registry.
const STD: Record<string, string> = {
  "/@std/bytes": `export function concat(parts) {
    return new Uint8Array(parts.flatMap((part) => [...part]));
  }`,
  "/@std/streams": "export {};",
};

/** Serves the package as JSR does: imports are rewritten, a deno.json is of no effect. */
async function serve(request: Request): Promise<Response> {
  const { pathname, origin } = new URL(request.url);
  const code = STD[pathname] ??
    await Deno.readTextFile(new URL(`..${pathname}`, import.meta.url));
  return new Response(code.replaceAll('"@std/', `"${origin}/@std/`), {
    headers: {
      "content-type": pathname in STD ? "text/javascript" : "text/typescript",
    },
  });
}

Deno.test("mod.ts runs, and its child in the sandbox, when the package comes from a registry", async () => {
  await using server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {},
  }, serve);
  const cache = await Deno.makeTempDir();
  const { code, stdout, stderr } = await run([], undefined, {
    main: `http://127.0.0.1:${server.addr.port}/mod.ts`,
    env: { DENO_DIR: cache },
  });
  const lines = decode(stdout).trimEnd().split("\n");
  assertEquals(lines.length, 4, stderr);
  assertMatch(lines[3] ?? "", /^"received: tac ocat in process \d+"$/);
  assertEquals(code, 0);
  await Deno.remove(cache, { recursive: true });
});

Deno.test("mod.ts - reverses each line and keeps its end", async () => {
  assertEquals(
    await filter("taco cat\r\n\nab\rc\n\r\nlast"),
    "tac ocat\r\n\nc\rba\n\r\ntsal",
  );
});

Deno.test("mod.ts - keeps a final newline", async () => {
  assertEquals(await filter("ab\ncd\n"), "ba\ndc\n");
});

Deno.test("mod.ts - writes nothing for no input", async () => {
  assertEquals(await filter(""), "");
});

Deno.test("mod.ts - reverses lines that are longer than all buffers", async () => {
  const long = "0123456789".repeat(200_000);
  assertEquals(
    await filter(`${long}\nab\n${long}`, 65_536),
    `${long.split("").reverse().join("")}\nba\n${
      long.split("").reverse().join("")
    }`,
  );
});

Deno.test("mod.ts - answers a line before the next one comes", async () => {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MOD, "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  const reader = process.stdout.getReader();
  for (const line of ["ab\n", "cd\n"]) {
    await writer.write(new TextEncoder().encode(line));
    const { value } = await reader.read();
    assertEquals(decode(value ?? new Uint8Array()), `${line[1]}${line[0]}\n`);
  }
  await writer.close();
  assertEquals((await reader.read()).done, true);
  assertEquals((await process.status).code, 0);
});

Deno.test("child.ts reverses text by grapheme cluster, and what is not UTF-8 by byte", async () => {
  await using child = await spawnModule(CHILD, { args: ["--quiet"] });
  const cases: [string, string][] = [
    ["", ""],
    ["taco cat", "tac ocat"],
    ["a\r\nb\nc", "c\nb\r\na"],
    ["é👩‍👩‍👧e\u0301!", "!e\u0301👩‍👩‍👧é"],
    ["ä\r\nb", "b\r\nä"],
  ];

  for (const [message, reversed] of cases) {
    await child.channel.send(new TextEncoder().encode(message));
    assertEquals(
      decode(await child.channel.receive() ?? new Uint8Array()),
      reversed,
    );
  }
  await child.channel.send(new Uint8Array([0xff, 1, 2]));
  assertEquals(await child.channel.receive(), new Uint8Array([2, 1, 0xff]));
});

Deno.test("child.ts exits with 0 when its parent sends no more", async () => {
  const child = await spawnModule(CHILD, { args: ["--quiet"] });
  await child.channel.closeWrite();
  assertEquals(await child.channel.receive(), null);
  assertEquals((await child.close()).code, 0);
});

Deno.test("child.ts fails with a clear message outside of a parent", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", CHILD.href],
    stderr: "piped",
    stdout: "null",
  }).output();
  assertEquals(code, 1);
  assertMatch(
    decode(stderr),
    /Cannot connect to parent: SOCKETPAIR_PATH and SOCKETPAIR_TOKEN are not set/,
  );
});
