import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { bytes, Channel, text } from "../../channel.ts";
import { spawn } from "../../pair.ts";
import { FakeConn } from "./fake_conn.ts";
import { A, B, frame } from "./messages.ts";
import { idle } from "./promises.ts";

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

for (
  const [name, serialization] of Object.entries({
    "text()": text(),
    "bytes({ borrow: true })": bytes({ borrow: true }),
  })
) {
  Deno.test(`Channel does not keep borrowed memory of ${name} while calls overlap`, async () => {
    const conn = new FakeConn();
    const channel = new Channel<unknown>(conn, { serialization });
    let received = channel.receive();
    let next = channel.receive();
    const sent = frame(A);
    const before = Deno.memoryUsage().external;
    let peak = 0;
    for (let i = 0; i < 10_000; i++) {
      const { argument: target, resolve } = await conn.reads.next();
      target.set(sent);
      resolve(sent.length);
      await received;
      // One call always waits
      [received, next] = [next, channel.receive()];
      if (i % 100 > 0) continue;
      peak = Math.max(peak, Deno.memoryUsage().external - before);
    }
    assertLessOrEqual(peak / MIB, 12);
    channel.abort();
    await Promise.allSettled([received, next]);
  });
}

Deno.test("Channel takes little memory if many channels send short messages together", async () => {
  const conns = Array.from({ length: 1000 }, () => new FakeConn());
  const channels = conns.map((conn) => new Channel(conn));
  const before = Deno.memoryUsage().external;
  const sent = channels.map((channel) => channel.send(A));
  await idle();
  const after = Deno.memoryUsage().external;
  assertEquals(conns.map(({ writes }) => writes.count), conns.map(() => 1));
  assertLessOrEqual((after - before) / MIB, 8);

  // Messages sent during a write are in other memory.
  sent.push(...channels.map((channel) => channel.send(B)));
  for (const conn of conns) assertEquals(await conn.take(), frame(A));
  for (const conn of conns) assertEquals(await conn.take(), frame(B));
  await Promise.all(sent);
  for (const channel of channels) channel.abort();
});
