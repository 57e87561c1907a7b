import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { text } from "../../channel.ts";
import { ConnectError, spawnModule } from "../../pair.ts";
import { hear, sender, temporaryDirectory, writeModule } from "./sandbox.ts";

const both: Deno.PermissionOptions[] = ["inherit", {
  env: ["SOCKETPAIR_TEST"],
}];
for (const permissions of both) {
  Deno.test(`spawnModule() starts a child by a launcher, permissions ${JSON.stringify(permissions)}`, async () => {
    await using root = await temporaryDirectory();
    const module = await writeModule(root.path, {
      "child.ts": sender(
        "",
        `JSON.stringify([Deno.pid, Deno.env.get("SOCKETPAIR_TEST")])`,
      ),
    });
    await using child = await spawnModule(module, {
      serialization: text(),
      permissions,
      launcher: ["env", "SOCKETPAIR_TEST=launched"],
    });
    assertEquals(
      JSON.parse(String(await child.channel.receive())),
      [child.pid, "launched"],
    );
  });
}

Deno.test("spawnModule() starts a child over stdio by a launcher", async () => {
  await using root = await temporaryDirectory();
  const module = await writeModule(root.path, {
    "child.ts": sender("", `Deno.env.get("SOCKETPAIR_TEST")`)
      .replace("text()", `text(), transport: "stdio"`),
  });
  await using child = await spawnModule(module, {
    serialization: text(),
    transport: "stdio",
    permissions: { env: ["SOCKETPAIR_TEST"] },
    launcher: ["env", "SOCKETPAIR_TEST=launched"],
  });
  assertEquals(await child.channel.receive(), "launched");
});

/** A module that imports something, but only for Deno's analysis. */
function mentioning(specifier: string): Record<string, string> {
  const mention = `if (0 > 1) await import(${JSON.stringify(specifier)});`;
  return { "child.ts": sender(mention, `"started"`) };
}

Deno.test("spawnModule() looks for a module's files by the launcher", async () => {
  await using root = await temporaryDirectory();
  const module = await writeModule(`${root.path}/module`, mentioning("./a.ts"));
  const log = `${root.path}/log`;
  const script = `for word; do echo "$word"; done >>${log}; exec "$@"`;
  const launcher = ["sh", "-c", script, "sh"];
  assertEquals(await hear(module, { launcher }), ["started"]);
  const words = (await Deno.readTextFile(log)).split("\n");
  assertEquals(words.filter((word) => /^(info|run)$/.test(word)), [
    "info",
    "run",
  ]);
});

Deno.test({
  name:
    "spawnModule() limits the search for a module's files by connectTimeout and signal",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using root = await temporaryDirectory();
    const module = await writeModule(root.path, mentioning("./pipe.ts"));
    const args = [`${root.path}/pipe.ts`];
    await new Deno.Command("mkfifo", { args }).output();
    await assertRejects(
      () => spawnModule(module, { connectTimeout: 300, stderr: "null" }),
      ConnectError,
      "its files were not found in 300 ms",
    );
    const signal = AbortSignal.timeout(300);
    const error = await assertRejects(() => spawnModule(module, { signal }));
    assertEquals(error, signal.reason);
  },
});

Deno.test({
  name: "spawnModule() reads no device without end to find a module's files",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using root = await temporaryDirectory();
    const module = await writeModule(root.path, mentioning("/dev/zero"));
    assertEquals(await hear(module), ["started"]);
  },
});

Deno.test("spawnModule() refuses a module that imports too much", async () => {
  await using root = await temporaryDirectory();
  const url = `data:text/javascript,"${"a".repeat(9_000_000)}"`;
  const module = await writeModule(root.path, mentioning(url));
  await assertRejects(() => spawnModule(module), RangeError, "too much");
});

Deno.test("spawnModule() rejects if there is no such launcher", async () => {
  await using root = await temporaryDirectory();
  const module = await writeModule(root.path, { "child.ts": "" });
  const launcher = ["/no/such/launcher"];
  // With inherited descriptors a shell comes first, and says that there is none.
  const { NotFound } = Deno.errors;
  const error = await assertRejects(() =>
    spawnModule(module, { launcher, stderr: "null" })
  );
  assert(error instanceof NotFound || error instanceof ConnectError);
});

Deno.test("spawnModule() names no shell that its caller has not named", async () => {
  await using root = await temporaryDirectory();
  const module = await writeModule(root.path, { "child.ts": "" });
  const cwd = `${root.path}/none`;
  const error = await assertRejects(() => spawnModule(module, { cwd }));
  assertStringIncludes(String(error), Deno.execPath());
});
