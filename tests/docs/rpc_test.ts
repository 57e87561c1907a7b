import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertRejects,
} from "@std/assert";
import { RpcSession } from "capnweb";
import { transportOf } from "../../docs/rpc/transport.ts";
import { ExitError, spawnModule, text } from "../../mod.ts";
import type { Factory } from "./rpc_child.ts";

async function open() {
  const url = new URL("./rpc_child.ts", import.meta.url);
  const child = await spawnModule(url, {
    serialization: text(),
    npmCache: true,
    permissions: { read: [new URL("../../docs/rpc", import.meta.url)] },
  });
  const session = new RpcSession<Factory>(transportOf(child.channel));
  return { child, factory: session.getRemoteMain() };
}

Deno.test("docs/rpc/parent.ts prints what its comments say", async () => {
  const url = new URL("../../docs/rpc/parent.ts", import.meta.url);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", url.href],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const code = await Deno.readTextFile(url);
  const said = [...code.matchAll(/; \/\/ (.*)/g)]
    .flatMap(([, text = ""]) => text.split(", "));
  assertEquals(said.length, 6);
  assertEquals(new TextDecoder().decode(stdout).trimEnd().split("\n"), said);
});

Deno.test("docs/rpc lets the child call back, and rejects calls with the errors that methods throw", async () => {
  const { child, factory } = await open();
  await using _child = child;
  using _factory = factory;
  assertEquals(await factory.add([1, 2, 3], (a, b) => a + b), 6);
  await assertRejects(
    async () =>
      await factory.add([1], () => {
        throw new TypeError("no number");
      }),
    TypeError,
    "no number",
  );
  await assertRejects(
    async () => await factory.fail(),
    RangeError,
    "out of range",
  );
});

Deno.test("docs/rpc pulls a stream of the child only as fast as the parent reads it", async () => {
  const { child, factory } = await open();
  await using _child = child;
  using _factory = factory;
  const count = 4000;
  const reader = (await factory.pieces(count)).getReader();
  const { value: first } = await reader.read();
  assertEquals(first?.trimEnd(), "0");
  let made = 0;
  for (let same = 0; same < 50;) {
    const now = await factory.made();
    same = now === made ? same + 1 : 0;
    made = now;
  }
  assertLessOrEqual(made, count / 4);
  for (let at = 1; at < count; at++) {
    const { value } = await reader.read();
    assertEquals(value?.trimEnd(), String(at));
  }
  assertEquals((await reader.read()).done, true);
});

Deno.test("docs/rpc rejects the pending call when the child dies", async () => {
  const { child, factory } = await open();
  await using _child = child;
  using _factory = factory;
  const error = await assertRejects(
    async () => await factory.burn(),
    ExitError,
  );
  assertEquals(error.status.code, 3);
  assertEquals((await child.status).code, 3);
  await assertRejects(async () => await factory.made());
});
