import { assertEquals, assertRejects } from "@std/assert";
import { ExitError, json, spawnModule } from "@socketpair/socketpair";

const url = import.meta.resolve("./sandbox/child.ts");

function start() {
  return spawnModule(url, { serialization: json<number>(), stderr: "null" });
}

// The sanitizers stay on: `await using` leaves no process, descriptor or timer.
Deno.test("the child doubles each number", async () => {
  await using child = await start();
  await child.channel.send(21);
  assertEquals(await child.channel.receive(), 42);
});

Deno.test("the child exits after the parent's last message", async () => {
  await using child = await start();
  await child.channel.closeWrite();
  assertEquals(await child.channel.receive(), null);
  assertEquals((await child.status).code, 0);
});

Deno.test("the child fails if a message is not a number", async () => {
  await using child = await start();
  await child.channel.send(NaN); // null in JSON
  await assertRejects(() => child.channel.receive(), ExitError);
});
