import { assert } from "@std/assert";

/** Count the open descriptors of this process, on Linux. */
export function openDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/**
 * Assert that no more descriptors are open than before. Deno closes one when the operation that
 * was pending on it has ended, some turns of the event loop later.
 */
export async function assertNoLeak(before: number, count = openDescriptors) {
  for (let turn = 0; count() > before && turn < 1_000; turn++) {
    await new Promise((resolve) => setTimeout(resolve));
  }
  assert(count() <= before, `${count() - before} descriptors are left open`);
}
