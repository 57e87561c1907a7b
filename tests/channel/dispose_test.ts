import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Channel, json } from "../../channel.ts";
import { FrameTooLargeError } from "../../framing.ts";
import { FakeConn } from "./fake_conn.ts";
import { A } from "./messages.ts";
import { reasonOf, unhandledDuring } from "./promises.ts";
import { testOver } from "./stream_pairs.ts";

testOver(
  "Channel[Symbol.asyncDispose]() leaves the failure of the channel in the block as it is",
  async (left, right) => {
    const peer = new Channel(left);
    const error = await assertRejects(async () => {
      await using channel = new Channel(right, { maxFrameLength: 1 });
      await peer.send(new Uint8Array(2));
      for await (const _ of channel);
    }, FrameTooLargeError);
    assertEquals(error.maxFrameLength, 1);
    peer.abort();
  },
);

testOver(
  "Channel[Symbol.asyncDispose]() leaves any other error in the block as it is",
  async (left, right) => {
    const peer = new Channel(left);
    const thrown = new Error("thrown");
    const caught = await reasonOf((async () => {
      await using channel = new Channel(right, { serialization: json() });
      await peer.send(new TextEncoder().encode("nonsense"));
      await assertRejects(() => channel.receive(), SyntaxError);
      channel.abort(new Error("aborted"));
      throw thrown;
    })());
    assertStrictEquals(caught, thrown);
    peer.abort();
  },
);

testOver(
  "Channel[Symbol.asyncDispose]() throws nothing after abort() in the block",
  async (left, right) => {
    const peer = new Channel(left);
    const reason = new Error("no longer wanted");
    let channel;
    {
      await using inBlock = channel = new Channel(right);
      void inBlock.receive().catch(() => {});
      inBlock.abort(reason);
    }
    assertStrictEquals(await reasonOf(channel.closed), reason);
    assertStrictEquals(await reasonOf(channel.close()), reason);
    peer.abort();
  },
);

Deno.test("Channel[Symbol.asyncDispose]() leaves an unreported failure in closed", async () => {
  const failure = new Deno.errors.BrokenPipe("Broken pipe");
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const unhandled = await unhandledDuring(async () => {
    void channel.send(A);
    const disposed = channel[Symbol.asyncDispose]();
    (await conn.writes.next()).reject(failure);
    await disposed;
  });
  assertEquals(unhandled, []);
  assertStrictEquals(await reasonOf(channel.closed), failure);
  assertEquals(conn.closes, 1);
});
