/** Terminates Workers that wait: the memory that the system then writes to is still theirs. */
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
  // Ends by itself, once the Worker is gone
  assert(timeout > 0 && timeout <= 10_000);
  // Others take the memory that the Worker had, if it was freed.
  for (let count = 0; count < 5; count++) {
    const other = new Worker("data:,postMessage(0)", { type: "module" });
    await once(other, "message");
    other.terminate();
  }

  await using socket = new DescriptorSocket(left);
  await socket.send(0);
  const pointer = Deno.UnsafePointer.create(address);
  assert(pointer !== null);
  // The second entry of the array: the descriptor, what is asked for, what was found
  const memory = new Deno.UnsafePointerView(pointer);
  while (memory.getInt16(14) === 0) await tick();
  assertEquals([memory.getInt32(8), memory.getInt16(14)], [right, POLLIN]);
}
