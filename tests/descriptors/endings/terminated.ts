/** Terminates Workers that wait: their memory must not be reused while poll() can write to it. */
import { once } from "node:events";
import { assert, assertEquals } from "@std/assert";
import { DescriptorSocket } from "../../../descriptors.ts";
import { socketPair } from "../libc.ts";

const POLLIN = 1;
const url = import.meta.resolve("./waiting_worker.ts");
const tick = () => new Promise((resolve) => setTimeout(resolve));

for (let round = 0; round < 5; round++) {
  const [left, right] = socketPair();
  const worker = new Worker(url, { type: "module" });
  const waiting = once(worker, "message");
  worker.postMessage(right);
  const [{ data: { address, timeout } }] = await waiting;
  worker.terminate();
  // The call ends by itself
  assert(timeout > 0 && timeout <= 1_000);
  // Other Workers would reuse the memory if it had been freed.
  for (let count = 0; count < 5; count++) {
    const other = new Worker("data:,postMessage(0)", { type: "module" });
    await once(other, "message");
    other.terminate();
  }

  await using socket = new DescriptorSocket(left);
  await socket.send(0);
  const pointer = Deno.UnsafePointer.create(address);
  assert(pointer !== null);
  // The descriptor, the requested events, the reported events
  const memory = new Deno.UnsafePointerView(pointer);
  while (memory.getInt16(6) === 0) await tick();
  assertEquals([memory.getInt32(0), memory.getInt16(6)], [right, POLLIN]);
}
