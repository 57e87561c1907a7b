import { assertNoLeak } from "../leaks.ts";
import { openCount } from "./libc.ts";
import { ignore } from "./peers.ts";

export function test(name: string, fn: () => void | Promise<void>) {
  Deno.test({
    name,
    ignore,
    async fn() {
      const before = openCount();
      await fn();
      await assertNoLeak(before, openCount);
    },
  });
}
