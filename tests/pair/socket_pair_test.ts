import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { Channel, text } from "../../channel.ts";
import { socketPair } from "../../pair.ts";
import { write } from "./connections.ts";
import { replace } from "./replace.ts";
import { Stage, test } from "./stage.ts";

test("socketPair() connects two ends, and leaves nothing behind", async () => {
  await using stage = await Stage.set();
  const [left, right] = await socketPair({ directory: stage.directory });
  assertEquals(await stage.entries(), []);
  await using a = new Channel(left, { serialization: text() });
  await using b = new Channel(right, { serialization: text() });
  await a.send("taco cat");
  await a.closeWrite();
  assertEquals(await b.receive(), "taco cat");
  assertEquals(await b.receive(), null);
  await b.send("tac ocat");
  assertEquals(await a.receive(), "tac ocat");
});

test("socketPair() does not mix up pairs that are made at once", async () => {
  await using stage = await Stage.set();
  const pairs = await Promise.all(
    Array.from({ length: 50 }, () => socketPair(stage)),
  );
  for (const [n, [left]] of pairs.entries()) await write(left, `${n}`);
  for (const [n, [left, right]] of pairs.entries()) {
    const bytes = new Uint8Array(8);
    const length = await right.read(bytes) ?? 0;
    assertEquals(new TextDecoder().decode(bytes.subarray(0, length)), `${n}`);
    left.close();
    right.close();
  }
});

test("socketPair() is not supported where there are no Unix sockets", async () => {
  using _ = replace("build", { ...Deno.build, os: "windows" });
  const error = await assertRejects(
    () => socketPair(),
    Deno.errors.NotSupported,
  );
  assertMatch(error.message, /^Cannot make socket pair: .*Windows$/);
});

test("socketPair() leaves no end open when it cannot remove the socket", async () => {
  await using stage = await Stage.set();
  const refusal = new Deno.errors.PermissionDenied("Permission denied");
  using keeping = replace("removeSync", () => {});
  using refusing = replace("remove", () => Promise.reject(refusal));
  const error = await assertRejects(() => socketPair(stage));
  refusing[Symbol.dispose]();
  keeping[Symbol.dispose]();
  assertStrictEquals(error, refusal);
  for (const name of await stage.entries()) {
    await Deno.remove(`${stage.directory}/${name}`, { recursive: true });
  }
});
