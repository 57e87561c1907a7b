import { fileURLToPath } from "node:url";
import {
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { json, text } from "../../channel.ts";
import { connectToParent, spawn, spawnModule } from "../../pair.ts";
import { write } from "./connections.ts";
import { modules } from "./fixtures.ts";
import { setVariable } from "./replace.ts";
import { Stage, test } from "./stage.ts";

test("connectToParent() outside of a child says who would have set what is missing", async () => {
  for (const name of [undefined, "PATH", "TOKEN"]) {
    using _ = name === undefined
      ? null
      : setVariable(`SOCKETPAIR_${name}`, "x");
    const error = await assertRejects(() => connectToParent());
    assertInstanceOf(error, Error);
    assertMatch(error.message, /^Cannot connect to parent: .*spawn\(\)/);
  }
});

test("connectToParent() connects once, and leaves nothing to the child's own children", async () => {
  await using stage = await Stage.set();
  for (const transport of ["unix", "tcp"] as const) {
    await using child = await spawn(Deno.execPath(), {
      args: ["run", "-A", fileURLToPath(new URL("twice.ts", modules))],
      ...stage,
      transport,
      serialization: json(),
    });
    assertMatch(
      String(await child.channel.receive()),
      /^Error: Cannot connect to parent: /,
    );
    assertEquals(await child.channel.receive(), null);
  }
});

test("connectToParent() in the sandbox rejects when it is called twice or in a Worker, and says why", async () => {
  const module = new URL("twice_in_sandbox.ts", modules);
  await using child = await spawnModule(module, {
    serialization: json<string>(),
  });
  assertMatch(
    await child.channel.receive() ?? "",
    /^Error: Cannot connect to parent: .*they can be used once$/,
  );
  assertMatch(
    await child.channel.receive() ?? "",
    /^NotCapable: Cannot connect to parent in a Worker: .*only the main module can connect/,
  );
});

/** A parent that waits for this process, over a socket or a port. */
class Listening implements AsyncDisposable {
  readonly listener: Deno.Listener;
  readonly #variables = new DisposableStack();
  readonly #stage: Stage;

  constructor(stage: Stage, transport: "unix" | "tcp") {
    this.#stage = stage;
    const path = `${stage.directory}/parent`;
    this.listener = transport === "tcp"
      ? Deno.listen({ hostname: "127.0.0.1", port: 0 })
      : Deno.listen({ transport: "unix", path });
    const { addr } = this.listener;
    this.#variables.use(setVariable("SOCKETPAIR_TOKEN", "0".repeat(64)));
    this.#variables.use(
      addr.transport === "tcp"
        ? setVariable("SOCKETPAIR_PORT", String(addr.port))
        : setVariable("SOCKETPAIR_PATH", path),
    );
  }

  async [Symbol.asyncDispose]() {
    this.#variables.dispose();
    this.listener.close();
    for (const name of await this.#stage.entries()) {
      await Deno.remove(`${this.#stage.directory}/${name}`);
    }
  }
}

for (const transport of ["unix", "tcp"] as const) {
  test(`connectToParent() over ${transport} writes the token, and then frames`, async () => {
    await using stage = await Stage.set();
    await using parent = new Listening(stage, transport);
    await using channel = await connectToParent({ serialization: text() });
    using conn = await parent.listener.accept();
    for (const name of ["PATH", "PORT", "TOKEN"]) {
      assertEquals(Deno.env.has(`SOCKETPAIR_${name}`), false);
    }
    await channel.send("taco cat");
    await channel.closeWrite();
    const bytes = [];
    const buffer = new Uint8Array(100);
    for (let length; (length = await conn.read(buffer)) !== null;) {
      bytes.push(...buffer.subarray(0, length));
    }
    assertEquals(
      new TextDecoder().decode(new Uint8Array(bytes)),
      "0".repeat(64) + "\x08\0\0\0taco cat",
    );
    await write(conn, "\x01\0\0\0x");
    assertEquals(await channel.receive(), "x");
  });

  test(`connectToParent() over ${transport} closes the connection when its options are refused`, async () => {
    await using stage = await Stage.set();
    await using _ = new Listening(stage, transport);
    await assertRejects(
      () => connectToParent({ maxFrameLength: -1 }),
      RangeError,
    );
  });
}

test("connectToParent() says that the parent does not wait any more", async () => {
  await using stage = await Stage.set();
  using _token = setVariable("SOCKETPAIR_TOKEN", "0".repeat(64));
  using _path = setVariable("SOCKETPAIR_PATH", `${stage.directory}/gone`);
  await assertRejects(() => connectToParent(), Deno.errors.NotFound);
});
