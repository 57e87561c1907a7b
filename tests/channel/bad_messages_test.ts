import { assertEquals, assertRejects } from "@std/assert";
import { Channel, json, text } from "../../channel.ts";
import { FrameTooLargeError, lengthField } from "../../framing.ts";
import { FakeConn } from "./fake_conn.ts";
import { A, numbered, STRINGS } from "./messages.ts";
import { promptly } from "./promises.ts";
import { testOver, transformStreams } from "./stream_pairs.ts";

testOver(
  "Channel.send() of a bad message harms only itself",
  async (left, right) => {
    const a = new Channel<Uint8Array>(left, { maxFrameLength: 100_000 });
    const b = new Channel(right, { maxFrameLength: 100_000 });
    const notBytes: unknown = "taco cat";
    a.send(A);
    // @ts-expect-error: that is the point
    await assertRejects(() => a.send(notBytes), TypeError);
    const error = await assertRejects(
      () => a.send(numbered(100_001)),
      FrameTooLargeError,
    );
    assertEquals(error.length, 100_001);
    a.send(numbered(100_000));
    a.closeWrite();
    assertEquals(await Array.fromAsync(b), [A, numbered(100_000)]);
    await a.close();
    a.abort();
    b.abort();
  },
);

Deno.test("Channel.send() of a message that the framing cannot express harms only itself", async () => {
  const conn = new FakeConn();
  const framing = lengthField({ lengthFieldLength: 1, initialBytesToStrip: 0 });
  const channel = new Channel(conn, { framing });
  channel.send(new Uint8Array([0, 7]));
  const bad = [0, 1000, 100_000].map((length) =>
    channel.send(numbered(length))
  );
  channel.send(new Uint8Array([0, 8]));
  const written = await conn.takeUntil(channel.flush());
  assertEquals(written, new Uint8Array([1, 7, 1, 8]));
  await assertRejects(() => bad[0]!, RangeError);
  await assertRejects(() => bad[1]!, FrameTooLargeError);
  await assertRejects(() => bad[2]!, FrameTooLargeError);
  channel.abort();
});

testOver(
  "Channel.receive() of a bad message harms only itself",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right, { serialization: json() });
    const encode = (string: string) => new TextEncoder().encode(string);
    for (const message of ["1", "no json", "2"]) a.send(encode(message));
    a.send(new Uint8Array([0xff]));
    for (const message of ["3", "[", "4"]) a.send(encode(message));
    const received = await Promise.allSettled([
      b.receive(),
      b.receive(),
      b.receive(),
    ]);
    assertEquals(received.map(({ status }) => status), [
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    await assertRejects(() => b.receive(), TypeError, "it is not UTF-8");
    assertEquals(await b.receive(), 3);
    // Iteration throws, and can be begun again.
    await assertRejects(() => Array.fromAsync(b), SyntaxError);
    a.closeWrite();
    assertEquals(await Array.fromAsync(b), [4]);
    b.send(1);
    assertEquals(await a.receive(), encode("1"));
    a.abort();
    b.abort();
  },
);

Deno.test("Channel.send() is not upset by a serialization that ends the channel", async () => {
  for (const end of ["closeWrite", "close", "abort"] as const) {
    const [left, right] = transformStreams();
    const peer = new Channel(right);
    const received = Array.fromAsync(peer);
    received.catch(() => {});
    const channel: Channel<string> = new Channel(left, {
      serialization: {
        serialize(message) {
          channel[end]();
          return text().serialize(message);
        },
        deserialize: text().deserialize,
      },
    });
    await assertRejects(() => promptly(channel.send("taco cat")), Error);
    if (end !== "abort") {
      await channel.close();
      await channel.closed;
      assertEquals(await received, []);
    }
    peer.abort();
  }
});

Deno.test("Channel.receive() is not upset by a serialization that uses the channel", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left, STRINGS);
  const inner: Promise<string | null>[] = [];
  const b: Channel<string> = new Channel(right, {
    serialization: {
      ...text(),
      deserialize(bytes) {
        const message = text().deserialize(bytes);
        if (message === "2") inner.push(b.receive());
        if (message === "5") b.close();
        return message;
      },
    },
  });
  for (const message of "12345678") a.send(message);
  const all = await promptly(
    Promise.all(Array.from({ length: 5 }, () => b.receive())),
  );
  // Those who waited before come first.
  assertEquals(all, ["1", "2", "3", "4", "5"]);
  assertEquals(await promptly(Promise.all(inner)), [null]);
  assertEquals(await b.receive(), null);
  a.abort();
});

testOver(
  "Channel.readable ends at a bad message, and the channel stays open",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right, { serialization: text() });
    for (const message of ["first", "\xff", "last"]) {
      a.send(Uint8Array.from(message, (letter) => letter.charCodeAt(0)));
    }
    a.closeWrite();
    const received: string[] = [];
    const error = await assertRejects(async () => {
      for await (const message of b.readable) received.push(message);
    }, TypeError);
    assertEquals(received, ["first"]);
    assertEquals(
      await b.readable.getReader().closed.catch((reason) => reason),
      error,
    );
    assertEquals(await b.receive(), "last");
    assertEquals(await b.receive(), null);
    a.abort();
    b.abort();
  },
);
