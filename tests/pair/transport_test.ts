import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { text } from "../../channel.ts";
import { delimiter } from "../../framing.ts";
import { ConnectError, spawn, spawnModule } from "../../pair.ts";
import { modules } from "./fixtures.ts";
import { py, python } from "./python.ts";
import { replace, setVariable } from "./replace.ts";
import { begin, Stage, test } from "./stage.ts";

test("spawn() uses TCP by itself where there are no Unix sockets", async () => {
  await using stage = await Stage.set();
  using _ = replace("build", { ...Deno.build, os: "windows" });
  const spawning = begin(python, { args: py("obey()"), ...stage });
  const puppet = await stage.puppet();
  assertEquals(puppet.path, "");
  assert(puppet.port > 0);
  await puppet.start("connect(); echo(); sys.exit()");
  await using child = await spawning;
  await child.channel.send(new Uint8Array([1, 2, 3]));
  assertEquals(await child.channel.receive(), new Uint8Array([1, 2, 3]));
});

test("spawn() over tcp listens on 127.0.0.1 alone, and needs no directory", async () => {
  const listen = Deno.listen;
  const options: unknown[] = [];
  // deno-lint-ignore no-explicit-any -- an overloaded function
  const watched: any = (option: Deno.TcpListenOptions) => {
    options.push(option.hostname);
    return listen(option);
  };
  using _ = replace("listen", watched);
  using _directory = replace("makeTempDir", () => {
    throw new Error("A directory was made");
  });
  await using child = await spawn(Deno.execPath(), {
    args: ["run", "-A", fileURLToPath(new URL("echo.ts", modules))],
    transport: "tcp",
    directory: "/no/such/directory",
  });
  assertEquals(options, ["127.0.0.1"]);
  await child.channel.send(new Uint8Array([1, 2, 3]));
  assertEquals(await child.channel.receive(), new Uint8Array([1, 2, 3]));
});

test("spawn() over tcp in a process that is a child itself, and has not connected", async () => {
  using _path = setVariable("SOCKETPAIR_PATH", "/no/such/socket");
  using _token = setVariable("SOCKETPAIR_TOKEN", "0".repeat(64));
  using _port = setVariable("SOCKETPAIR_PORT", "1");
  await using stage = await Stage.set();
  const { directory } = stage;
  const args = [
    "run",
    "-A",
    fileURLToPath(new URL("echo.ts", modules)),
  ];
  for (const transport of ["unix", "tcp"] as const) {
    await using child = await spawn(Deno.execPath(), {
      args,
      transport,
      directory,
    });
    await child.channel.send(new Uint8Array([1, 2, 3]));
    assertEquals(await child.channel.receive(), new Uint8Array([1, 2, 3]));
  }
});

test("spawn() over stdio tells no child the token of a process that has not connected", async () => {
  using _path = setVariable("SOCKETPAIR_PATH", "/no/such/socket");
  using _token = setVariable("SOCKETPAIR_TOKEN", "0".repeat(64));
  using _port = setVariable("SOCKETPAIR_PORT", "1");
  const args = [
    "-c",
    'echo "$SOCKETPAIR_PATH$SOCKETPAIR_PORT$SOCKETPAIR_TOKEN"',
  ];
  for (const env of [undefined, { SOCKETPAIR_PATH: "named" }]) {
    await using child = await spawn("sh", {
      args,
      env,
      transport: "stdio",
      framing: delimiter(),
      serialization: text(),
    });
    assertEquals(await child.channel.receive(), env ? "named" : "");
  }
});

for (const transport of ["unix", "tcp"] as const) {
  test(`spawnModule() over ${transport} runs the whole lifecycle`, async () => {
    await using stage = await Stage.set();
    const { directory } = stage;
    const module = new URL("echo.ts", modules);
    const child = await spawnModule(module, { transport, directory });
    await child.channel.send(new Uint8Array([1, 2, 3]));
    assertEquals(await child.channel.receive(), new Uint8Array([1, 2, 3]));
    assertEquals((await child.close()).code, 0);
    assertEquals(await stage.entries(), []);
    const error = await assertRejects(
      () =>
        spawnModule("data:text/javascript,throw new Error()", {
          transport,
          directory,
          stderr: "null",
        }),
      ConnectError,
    );
    assertEquals(error.status?.code, 1);
  });
}

test("spawn() throws TypeError for an unknown transport", async () => {
  const options = JSON.parse('{"transport":"udp"}');
  await assertRejects(() => spawn("true", options), TypeError, '"udp"');
});
