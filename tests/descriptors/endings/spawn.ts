/** Aborts the start of a child that never connects, after various numbers of turns and ticks. */
import { assertEquals, assertRejects } from "@std/assert";
import { spawnWithDescriptors } from "../../../descriptors.ts";

const directory = await Deno.makeTempDir();
for (let count = 0; count < 40; count++) {
  const controller = new AbortController();
  const { signal } = controller;
  const started = spawnWithDescriptors("sleep", {
    args: ["1000"],
    directory,
    signal,
  });
  started.catch(() => {});
  const isInTurn = count < 20;
  for (let left = count % 20; left > 0; left--) {
    await (isInTurn ? null : new Promise((resolve) => setTimeout(resolve)));
  }
  const reason = new Error("no longer wanted");
  controller.abort(reason);
  assertEquals(await assertRejects(() => started), reason);
}
// Fails unless it is empty
await Deno.remove(directory);
