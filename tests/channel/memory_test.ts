import { assert, assertLessOrEqual } from "@std/assert";
import { spawn } from "../../pair.ts";

const MIB = 1024 * 1024;

Deno.test("Channel holds no memory for a slow receiver, on either side", async () => {
  const size = 64 * 1024;
  const bytes = 512 * MIB;
  await using child = await spawn(Deno.execPath(), {
    args: [
      "eval",
      `import { connectToParent } from "${
        import.meta.resolve("../../pair.ts")
      }";
      const parent = await connectToParent();
      await parent.receive();
      const before = Deno.memoryUsage().rss;
      let peak = 0;
      for (let n = 1; n <= ${bytes / size}; n++) {
        await parent.receive();
        if (n % 128 > 0) continue;
        await new Promise((resolve) => setTimeout(resolve, 5));
        peak = Math.max(peak, Deno.memoryUsage().rss);
      }
      await parent.send(new TextEncoder().encode(String(peak - before)));`,
    ],
    cwd: new URL("../..", import.meta.url),
  });
  const message = new Uint8Array(size);
  await child.channel.send(message);
  const before = Deno.memoryUsage().rss;
  let peak = 0;
  for (let sent = 0; sent < bytes; sent += size) {
    await child.channel.send(message);
    if (sent % (8 * MIB) > 0) continue;
    peak = Math.max(peak, Deno.memoryUsage().rss);
  }
  const answer = await child.channel.receive();
  assert(answer);
  const receiver = Number(new TextDecoder().decode(answer));
  assertLessOrEqual(receiver / MIB, 64);
  assertLessOrEqual((peak - before) / MIB, 64);
});
