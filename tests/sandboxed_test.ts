import {
  assertEquals,
  assertLessOrEqual,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { fileURLToPath } from "node:url";
import {
  contentLength,
  delimiter,
  type Framing,
  lengthField,
  netstring,
  spawn,
  text,
  varint,
} from "../mod.ts";
import { hasBubblewrap } from "./pair/sandbox.ts";
import { flood } from "./sandboxed/flood.ts";

const SANDBOXED = fileURLToPath(new URL("../sandboxed.ts", import.meta.url));
const MODULE = fileURLToPath(new URL("sandboxed/module.ts", import.meta.url));

interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

/** Run the command to its end. */
async function run(args: string[], input = ""): Promise<Output> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", SANDBOXED, ...args],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // The command may end before it has read everything
  const writing = ReadableStream.from([new TextEncoder().encode(input)])
    .pipeTo(process.stdin).catch(() => {});
  const { code, stdout, stderr } = await process.output();
  await writing;
  return {
    code,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
  };
}

/** Start the command as a child. */
function start(options: string[] = [], framing: Framing = delimiter()) {
  return spawn(Deno.execPath(), {
    args: ["run", "-A", SANDBOXED, ...options, MODULE],
    env: { NO_COLOR: "1" },
    transport: "stdio",
    framing,
    serialization: text(),
    stderr: "piped",
  });
}

type Command = Awaited<ReturnType<typeof start>>;

async function ask({ channel }: Command, question: string) {
  await channel.send(question);
  return await channel.receive();
}

async function errorsOf({ process }: Command): Promise<string> {
  return await new Response(process.stderr).text();
}

Deno.test("sandboxed.ts joins a module to standard input and output by lines", async () => {
  assertEquals(await run([MODULE], "reverse taco\nreverse cat\n"), {
    code: 0,
    stdout: "ocat\ntac\nend of input\n",
    stderr: "connected\n",
  });
});

const FRAMINGS: Record<string, Framing> = {
  "nul": delimiter({ delimiter: "\0" }),
  "netstring": netstring(),
  "content-length": contentLength(),
  "varint": varint(),
  "uint32": lengthField(),
  "uint32be": lengthField({ endianness: "big" }),
  "uint32le": lengthField({ endianness: "little" }),
};

for (const [name, framing] of Object.entries(FRAMINGS)) {
  Deno.test(`sandboxed.ts --framing=${name} separates messages that hold line feeds`, async () => {
    await using command = await start([`--framing=${name}`], framing);
    assertEquals(await ask(command, "reverse a\nb"), "b\na");
    assertEquals(await ask(command, "lines"), "taco\ncat");
    await command.channel.closeWrite();
    assertEquals(await command.channel.receive(), "end of input");
    assertEquals(await command.channel.receive(), null);
    assertEquals(await errorsOf(command), "connected\n");
  });
}

Deno.test("sandboxed.ts passes the arguments behind the module to it", async () => {
  const args = [MODULE, "--help", "cat"];
  const { stdout } = await run(args, "arguments\n");
  assertEquals(stdout, "--help,cat\nend of input\n");
});

Deno.test("sandboxed.ts grants nothing by default, and what options name", async () => {
  const directory = await Deno.makeTempDir();
  const [path, other] = [`${directory}/a`, `${directory}/b`];
  await Deno.writeTextFile(path, "taco");
  await Deno.writeTextFile(other, "cat");
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("served"),
  );
  const host = `127.0.0.1:${server.addr.port}`;
  const questions = [
    `read ${path}`,
    `read ${other}`,
    `write ${path}`,
    `fetch http://${host}`,
    "env PATH",
    "env HOME",
  ].map((question) => `${question}\n`).join("");
  const answersTo = async (...options: string[]) =>
    (await run([...options, MODULE], questions)).stdout.split("\n").slice(0, 6);
  const denied = Array.from({ length: 6 }, () => "NotCapable");
  const [PATH, HOME] = ["PATH", "HOME"].map((name) => `${Deno.env.get(name)}`);

  assertEquals(await answersTo(), denied);
  assertEquals(
    await answersTo(
      `--allow-read=${path}`,
      `--allow-read=/none,${other}`,
      `--allow-net=${host}`,
      "--allow-env=PATH",
    ),
    ["taco", "cat", "NotCapable", "served", PATH, "NotCapable"],
  );
  assertEquals(
    await answersTo("--allow-read", "--allow-net", "--allow-env"),
    ["taco", "cat", "NotCapable", "served", PATH, HOME],
  );
  assertEquals(await answersTo(`--allow-write=${path}`), [
    ...["NotCapable", "NotCapable", "undefined"],
    ...["NotCapable", "NotCapable", "NotCapable"],
  ]);
  assertEquals(await Deno.readTextFile(path), "");
  await Deno.remove(directory, { recursive: true });
});

Deno.test("sandboxed.ts --config names the configuration for the module's imports", async () => {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  await Deno.mkdir(`${directory}/sandbox`);
  const config = `${directory}/deno.json`;
  const imports = { "taco": import.meta.resolve("../mod.ts") };
  await Deno.writeTextFile(config, JSON.stringify({ imports }));
  const module = `${directory}/sandbox/module.ts`;
  await Deno.writeTextFile(
    module,
    'import { connectToParent } from "taco"; await connectToParent();',
  );
  assertEquals((await run([`--config=${config}`, module])).code, 0);
  assertEquals((await run([module])).code, 1);
  await Deno.remove(directory, { recursive: true });
});

Deno.test({
  name: "sandboxed.ts --wall=bubblewrap puts the module behind a second wall",
  ignore: !hasBubblewrap,
  async fn() {
    const [pid] = (await run(["--wall=bubblewrap", MODULE], "pid\nexit 3\n"))
      .stdout.split("\n");
    // The module sees processes of its own namespace only
    assertLessOrEqual(Number(pid), 9);

    await using command = await start(["--wall=bubblewrap"]);
    await ask(command, "pid");
    command.kill("SIGTERM");
    assertEquals((await command.status).code, 143);
    assertEquals(await errorsOf(command), "connected\n");
  },
});

Deno.test("sandboxed.ts --npm-cache lets the module import packages from Deno's cache", async () => {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  const module = `${directory}/module.ts`;
  await Deno.writeTextFile(
    module,
    `import "npm:fast-check@^4";
import { connectToParent } from "${import.meta.resolve("../mod.ts")}";
await connectToParent();`,
  );
  assertEquals((await run(["--npm-cache", module])).code, 0);
  const { code, stderr } = await run([module]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "fast-check");
  await Deno.remove(directory, { recursive: true });
});

Deno.test("sandboxed.ts exits with the module's exit code", async () => {
  assertEquals(await run([MODULE], "reverse taco\nexit 3\n"), {
    code: 3,
    stdout: "ocat\n",
    stderr: "connected\n",
  });
  const { code, stderr } = await run([MODULE], "crash\n");
  assertEquals(code, 1);
  assertStringIncludes(stderr, "Error: boom");
});

Deno.test("sandboxed.ts ends with a module that exits while standard input is open", async () => {
  await using command = await start();
  await command.channel.send("exit 0");
  assertEquals(await command.channel.receive(), null);
  assertEquals((await command.status).code, 0);
  assertEquals(await errorsOf(command), "connected\n");
});

const isWindows = Deno.build.os === "windows";

Deno.test({
  name: "sandboxed.ts exits with code 137 if SIGKILL killed the module",
  ignore: isWindows,
  async fn() {
    await using command = await start();
    Deno.kill(Number(await ask(command, "pid")), "SIGKILL");
    assertEquals((await command.status).code, 137);
    assertEquals(
      await errorsOf(command),
      `connected\nModule ${MODULE} was killed by SIGKILL\n`,
    );
  },
});

for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
  Deno.test({
    name: `sandboxed.ts ends the module by SIGTERM when it gets ${signal}`,
    ignore: isWindows,
    async fn() {
      await using command = await start();
      await ask(command, "pid");
      command.kill(signal);
      assertEquals((await command.status).code, 143);
      assertEquals(await errorsOf(command), "connected\n");
    },
  });
}

Deno.test({
  name: "sandboxed.ts writes what the module sends after SIGTERM",
  ignore: isWindows,
  async fn() {
    await using command = await start();
    assertEquals(await ask(command, "terminate"), "ready");
    command.process.kill("SIGTERM");
    assertEquals(await command.channel.receive(), "cleaned up");
    assertEquals((await command.status).code, 4);
    await command.process.stderr.cancel();
  },
});

Deno.test({
  name: "sandboxed.ts ends by SIGTERM though nobody reads its output",
  ignore: isWindows,
  async fn() {
    await using command = await start();
    await command.channel.send("flood");
    const errors = command.process.stderr.pipeThrough(new TextDecoderStream());
    let count = NaN;
    for await (const chunk of errors) {
      const [, sent] = /(\d+) sent/.exec(chunk) ?? [];
      if (sent === undefined) continue;
      count = Number(sent);
      command.kill("SIGTERM");
    }
    // Buffers of two channels and two pipes
    assertLessOrEqual(count, 16);
    assertEquals((await command.status).code, 143);
  },
});

Deno.test("sandboxed.ts reads no more than a module receives", async () => {
  await using command = await start();
  // Reading has begun
  await ask(command, "pid");
  await command.channel.send("stop");
  const count = await flood((length) =>
    command.channel.send("x".repeat(length))
  );
  assertLessOrEqual(count, 16);
  command.kill();
  await command.status;
  await command.process.stderr.cancel();
});

Deno.test("sandboxed.ts --help prints its options", async () => {
  const { code, stdout, stderr } = await run(["--framing=none", "--help"]);
  assertEquals([code, stderr], [0, ""]);
  for (const name of Object.keys(FRAMINGS)) assertStringIncludes(stdout, name);
  for (const line of stdout.split("\n")) assertLessOrEqual(line.length, 80);
});

for (
  const args of [
    [],
    ["--allow-read=/"],
    ["--allow-read=", MODULE],
    ["--allow-run", MODULE],
    ["-A", MODULE],
    ["--framing=toString", MODULE],
    ["--framing", "netstring", MODULE],
    ["--wall", MODULE],
    ["--npm-cache=fast-check", MODULE],
    ["--config", MODULE],
  ]
) {
  const shown = args.map((arg) => arg === MODULE ? "module.ts" : arg).join(" ");
  Deno.test(`sandboxed.ts ${shown} is wrong usage`, async () => {
    const { code, stdout, stderr } = await run(args);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^(Unknown option: -.*|Missing module): see --help\n$/);
  });
}

for (
  const { name, args = [], input = "", error } of [
    {
      name: "a module that is not there",
      args: ["none.ts"],
      error: /^Cannot spawn module: there is no file .*none.ts\n$/,
    },
    {
      name: "a message that a line cannot hold",
      input: "lines\n",
      error: /^connected\nCannot write standard output: .*delimiter.*\n$/,
    },
    {
      name: "an incomplete last line",
      input: "reverse ta",
      // The module may be ended before it prints
      error: /^(?:connected\n)?Cannot read standard input: .*\n$/,
    },
  ]
) {
  Deno.test(`sandboxed.ts reports ${name} in one line`, async () => {
    const { code, stdout, stderr } = await run(
      args.length > 0 ? args : [MODULE],
      input,
    );
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, error);
  });
}

Deno.test({
  name: "sandboxed.ts ends when its output is closed",
  ignore: isWindows,
  async fn() {
    const process = new Deno.Command("sh", {
      args: [
        "-c",
        '{ "$@"; echo "exit code $?" >&2; } | :',
        "sh",
        ...[Deno.execPath(), "run", "-A", SANDBOXED, MODULE],
      ],
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stderr: "piped",
    }).spawn();
    const writer = process.stdin.getWriter();
    await writer.write(new TextEncoder().encode("reverse taco\n"));
    assertMatch(
      await new Response(process.stderr).text(),
      /^connected\nCannot write standard output: .*\nexit code 1\n$/,
    );
    await process.status;
    await writer.close();
  },
});
