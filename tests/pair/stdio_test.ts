import { assert, assertEquals, assertRejects } from "@std/assert";
import { json, text } from "../../channel.ts";
import { delimiter } from "../../framing.ts";
import { type Child, spawn, spawnModule } from "../../pair.ts";
import { fileURLToPath } from "node:url";
import { runParent } from "./fixtures.ts";
import { assertNoLeak, openDescriptors } from "../leaks.ts";
import { py, python } from "./python.ts";
import { noProcess, setVariable } from "./replace.ts";
import { LONG, Stage, test } from "./stage.ts";

const stdio = { transport: "stdio" } as const;

/** The arguments of Deno for a child that may do nothing. */
function deno(name: string, ...args: string[]): string[] {
  const module = new URL(`./children/stdio/${name}`, import.meta.url);
  return ["run", "--no-prompt", fileURLToPath(module), ...args];
}

test("spawn() over stdio talks to a program that knows nothing of this module", async () => {
  await using child = await spawn("cat", {
    ...stdio,
    framing: delimiter(),
    serialization: text(),
  });
  await child.channel.send("taco cat");
  assertEquals(await child.channel.receive(), "taco cat");
  assertEquals((await child.close()).code, 0);
});

test("spawn() over stdio needs --allow-run and nothing else", async () => {
  const { code, stdout, stderr } = await runParent("over_stdio.ts", [], {
    flags: ["--allow-run=cat"],
  });
  assertEquals(stderr, "");
  assertEquals([code, stdout], [0, "taco cat\n"]);
});

test("spawn() over stdio makes no variable and no directory", async () => {
  const directory = await Deno.makeTempDir();
  using _ = setVariable("TMPDIR", directory);
  await using child = await spawn(python, {
    args: py(
      "import json; connect(); send(json.dumps(sorted(os.environ)).encode())",
    ),
    ...stdio,
    env: { TACO: "cat" },
    clearEnv: true,
    serialization: json<string[]>(),
  });
  const names = await child.channel.receive();
  assertEquals(names?.filter((name) => name !== "LC_CTYPE"), ["TACO"]);
  assertEquals(await Array.fromAsync(Deno.readDir(directory)), []);
  await Deno.remove(directory);
});

test("spawn() over stdio refuses stdin and stdout before a process is started", async () => {
  using _ = noProcess();
  for (const name of ["stdin", "stdout"] as const) {
    for (const value of ["piped", "null", "inherit"] as const) {
      await assertRejects(
        () => spawn("cat", { ...stdio, [name]: value }),
        TypeError,
        `Cannot use ${name}: "${value}" with transport: "stdio": the channel is the child's standard input and output`,
      );
    }
  }
});

test("spawn() over stdio rejects as the system does, and leaves nothing behind", async () => {
  await assertRejects(
    () => spawn("/no/such/program", stdio),
    Deno.errors.NotFound,
  );
  const reason = new Error("not wanted");
  const signal = AbortSignal.abort(reason);
  await assertRejects(() => spawn("cat", { ...stdio, signal }), Error, "not");
  await assertRejects(
    () => spawn("cat", { ...stdio, highWaterMark: -1 }),
    RangeError,
  );
  await assertRejects(
    () => spawn("cat", { ...stdio, gracePeriod: -1 }),
    RangeError,
  );
});

test("spawn() over stdio carries messages of any size both ways", async () => {
  await using child = await spawn(python, {
    args: py("connect(); echo()"),
    ...stdio,
  });
  const { channel } = child;
  for (const size of [0, 1, 65_536, 5_000_000]) {
    const message = new Uint8Array(size).fill(size % 251);
    const [received] = await Promise.all([
      channel.receive(),
      channel.send(message),
    ]);
    assertEquals(received, message);
  }
});

test("Channel.closeWrite() over stdio tells the child, which then answers", async () => {
  await using child = await spawn(python, {
    args: py(`
connect()
count = 0
while (message := receive()) is not None: count += len(message)
send(str(count).encode())
`),
    ...stdio,
    serialization: text(),
  });
  for (let n = 0; n < 10; n++) void child.channel.send("x".repeat(100_000));
  await child.channel.closeWrite();
  assertEquals(await child.channel.receive(), "1000000");
  assertEquals(await child.channel.receive(), null);
  await child.channel.closed;
  assertEquals((await child.close()).code, 0);
});

test("Child.close() over stdio drains: a child whose replies nobody read exits with 0", async () => {
  const child = await spawn(python, {
    args: py("connect(); echo()"),
    ...stdio,
    gracePeriod: LONG,
  });
  for (let n = 0; n < 100; n++) void child.channel.send(new Uint8Array(1e5));
  assertEquals((await child.close()).code, 0);
  await child.channel.closed;
});

for (const queued of [0, 20_000_000]) {
  test(`Child.close() over stdio sends SIGTERM, and SIGKILL, to a child that does not read ${queued} bytes`, async () => {
    await using stage = await Stage.set();
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const child = await spawn(python, {
        args: py(
          `${
            signal === "SIGKILL"
              ? "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
              : ""
          }connect(); obey()`,
        ),
        ...stage,
        ...stdio,
        gracePeriod: 100,
      });
      const puppet = await stage.puppet();
      if (queued) void child.channel.send(new Uint8Array(queued));
      assertEquals((await child.close()).signal, signal);
      await puppet.ended();
    }
  });
}

test("Child.close() over stdio works on a channel that has been closed, aborted or has failed", async () => {
  for (
    const end of [
      ({ channel }: Child) => channel.close(),
      ({ channel }: Child) => channel.abort(),
      ({ channel }: Child) => channel.closeWrite(),
      ({ channel }: Child) => channel.readable.cancel(),
      ({ channel }: Child) => assertRejects(() => channel.receive()),
    ]
  ) {
    await using child = await spawn(python, {
      // It sends bytes that are not a frame
      args: py(`
connect()
try:
    parent.sendall(b'\\xff' * 4)
    echo()
except BrokenPipeError: pass
`),
      ...stdio,
      gracePeriod: LONG,
    });
    await end(child);
    assertEquals((await child.close()).signal, null);
  }
});

test("Child.kill() over stdio with detached ends the real program behind sh -c", async () => {
  await using stage = await Stage.set();
  await using child = await spawn("sh", {
    args: ["-c", '"$@"; true', "sh", python, ...py("connect(); obey()")],
    ...stage,
    ...stdio,
    detached: true,
  });
  const puppet = await stage.puppet();
  assert(puppet.pid !== child.pid);
  child.kill();
  await puppet.ended();
  assertEquals((await child.status).signal, "SIGTERM");
});

test("Channel over stdio stops reading when nobody receives", async () => {
  await using stage = await Stage.set();
  await using child = await spawn(python, {
    args: py("connect(); obey()"),
    ...stage,
    ...stdio,
    gracePeriod: 100,
  });
  const puppet = await stage.puppet();
  const { closed } = child.channel;
  closed.catch(() => {});
  const written = await puppet.run(`
os.set_blocking(1, False)
answer = 0
data = frame(b"x" * 1_000)
try:
    while answer < 50_000_000:
        answer += os.write(1, data)
except BlockingIOError:
    pass
`);
  assert(Number(written) < 1_000_000);
});

test("Child over stdio leaves no descriptor open", async () => {
  const before = openDescriptors();
  for (let n = 0; n < 20; n++) {
    const child = await spawn("cat", { ...stdio, stderr: "piped" });
    await child.channel.send(new Uint8Array(10));
    if (n % 2 === 0) await child.channel.receive();
    if (n % 4 === 0) await child.channel.close();
    await child.close();
    await child.process.stderr.cancel();
  }
  await assertNoLeak(before);
}, Deno.build.os !== "linux");

test("connectToParent() over stdio needs no permission", async () => {
  await using child = await spawn(Deno.execPath(), {
    args: deno("echo.ts"),
    ...stdio,
  });
  const { channel } = child;
  for (const size of [0, 1, 65_536, 5_000_000]) {
    const message = new Uint8Array(size).fill(size % 251);
    void channel.send(message);
    assertEquals(await channel.receive(), message);
  }
  await channel.closeWrite();
  assertEquals(await channel.receive(), null);
  assertEquals((await child.close()).code, 0);
});

test("connectToParent() over stdio keeps what else is written out of the channel", async () => {
  await using child = await spawn(Deno.execPath(), {
    args: deno("talkative.ts"),
    ...stdio,
    stderr: "piped",
    serialization: text(),
  });
  const [first, last, ...others] = await Array.fromAsync(child.channel);
  assertEquals([first, others], ["first", []]);
  const written = await child.process.stderr.text();
  const said: string[] = JSON.parse(last ?? "");
  assert(said.length > 30);
  assertEquals(said.filter((word) => !written.includes(word)), []);
});

test("connectToParent() over stdio ends when the parent does, and lets the process end", async () => {
  const code = `
import { connectToParent } from ${
    JSON.stringify(import.meta.resolve("../../mod.ts"))
  };
const parent = await connectToParent({ transport: "stdio" });
await parent.send(new Uint8Array(1));
await parent.close();
await parent.closed;
try {
  await connectToParent({ transport: "stdio" });
} catch (error) {
  console.log(error.message);
}
`;
  const child = await spawn(Deno.execPath(), {
    args: ["eval", code],
    ...stdio,
    stderr: "piped",
  });
  assertEquals(await child.channel.receive(), new Uint8Array(1));
  // Standard input is still open
  assertEquals(await child.channel.receive(), null);
  assertEquals((await child.status).code, 0);
  assertEquals(
    await child.process.stderr.text(),
    'Cannot connect to parent: transport: "stdio" can be used once, and a channel uses it\n',
  );
  await child.close();
});

for (const moved of [true, false]) {
  test(`Channel.closeWrite() of a child over stdio is seen ${moved ? "at once over descriptors" : "when the child ends"}`, async () => {
    const code = `
import { connectToParent } from ${
      JSON.stringify(import.meta.resolve("../../mod.ts"))
    };
const parent = await connectToParent({
  transport: "stdio",
  descriptors: ${moved ? "[3, 4]" : "undefined"},
});
await parent.closeWrite();
console.error((await parent.receive()).length);
`;
    const shift = moved ? "3<&0 4>&1 </dev/null >&2" : "";
    const child = await spawn("sh", {
      args: ["-c", `exec "$@" ${shift}`, "sh", Deno.execPath(), "eval", code],
      ...stdio,
      stderr: "piped",
    });
    const ended = child.channel.receive();
    if (moved) assertEquals(await ended, null);
    await child.channel.send(new Uint8Array(7));
    await child.channel.closeWrite();
    assertEquals(await child.process.stderr.text(), "7\n");
    assertEquals(await ended, null);
    assertEquals((await child.close()).code, 0);
  });
}

test("connectToParent() over stdio adopts descriptors that the shell has moved", async () => {
  for (const size of [0, 10, 3_000_000]) {
    await using child = await spawn("sh", {
      args: [
        "-c",
        '"$@" 3<&0 4>&1 </dev/null >&2',
        "sh",
        Deno.execPath(),
        ...deno("echo.ts", "3", "4"),
      ],
      ...stdio,
      detached: true,
    });
    const message = new Uint8Array(size).fill(7);
    void child.channel.send(message);
    assertEquals(await child.channel.receive(), message);
    await child.channel.closeWrite();
    assertEquals(await child.channel.receive(), null);
    assertEquals((await child.close()).code, 0);
  }
});

test("connectToParent() over stdio names a descriptor that it cannot adopt", async () => {
  const child = await spawn(Deno.execPath(), {
    args: deno("echo.ts", "0", "999"),
    ...stdio,
    stderr: "piped",
  });
  assertEquals(await child.channel.receive().catch((e) => e.name), "ExitError");
  const written = await child.process.stderr.text();
  assert(
    written.includes(
      "Cannot connect to parent: descriptor 999 is not an open pipe or socket",
    ),
    written,
  );
  await child.close();
});

test("spawnModule() over stdio starts a module that may do nothing, and needs no socket", async () => {
  const module = new URL("./children/stdio/echo.ts", import.meta.url);
  await using child = await spawnModule(module, {
    ...stdio,
    serialization: text(),
  });
  await child.channel.send("taco cat");
  assertEquals(await child.channel.receive(), "taco cat");
  assertEquals((await child.close()).code, 0);
});
