import { assert, assertEquals, assertRejects } from "@std/assert";
import { text } from "../../channel.ts";
import { ConnectError, spawnModule } from "../../pair.ts";
import { sender, temporaryDirectory, writeModule } from "./sandbox.ts";

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
