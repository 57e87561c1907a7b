import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  FrameDecoderStream,
  FrameSyntaxError,
  netstring,
  TruncatedFrameError,
} from "../../framing.ts";
import { toBytes, toString } from "./encode_decode.ts";

/** Read all messages of one chunk, each only once the stream has failed if it fails at once. */
async function readSlowly(bytes: string) {
  const { readable, writable } = new FrameDecoderStream({
    framing: netstring(),
  });
  const writer = writable.getWriter();
  const ends = Promise.allSettled([
    writer.write(toBytes(bytes)),
    writer.close(),
  ]);
  const reader = readable.getReader();
  const messages: string[] = [];
  try {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve));
      const { value, done } = await reader.read();
      if (done) break;
      messages.push(toString(value));
    }
  } catch (error) {
    return { messages, error, ends: await ends };
  }
  return { messages, ends: await ends };
}

Deno.test("FrameDecoderStream delivers all messages before a wrong frame in the same chunk", async () => {
  const { messages, error, ends } = await readSlowly("1:a,1:b,1:c,x");
  assertEquals(messages, ["a", "b", "c"]);
  assertInstanceOf(error, FrameSyntaxError);
  assertEquals(ends.at(-1)?.status, "rejected");
});

Deno.test("FrameDecoderStream delivers all messages before a cut end in the same chunk", async () => {
  const { messages, error, ends } = await readSlowly("1:a,1:b,9:c");
  assertEquals(messages, ["a", "b"]);
  assertInstanceOf(error, TruncatedFrameError);
  assertEquals(ends.at(-1)?.status, "rejected");
});

Deno.test("FrameDecoderStream delivers all messages before a chunk that is no Uint8Array", async () => {
  const stream = ReadableStream.from<unknown>([toBytes("1:a,1:b,"), "1:c,"])
    .pipeThrough<Uint8Array>(
      // deno-lint-ignore no-explicit-any -- what a caller without types may pass
      new FrameDecoderStream({ framing: netstring() }) as any,
    );
  const reader = stream.getReader();
  assertEquals(toString((await reader.read()).value ?? toBytes("")), "a");
  assertEquals(toString((await reader.read()).value ?? toBytes("")), "b");
  await assertRejects(() => reader.read(), TypeError);
});

Deno.test("FrameDecoderStream can be written to and closed before anybody reads", async () => {
  const { readable, writable } = new FrameDecoderStream({
    framing: netstring(),
  });
  const reading = Array.fromAsync(readable, toString);
  const writer = writable.getWriter();
  await writer.write(toBytes("1:a,1:b,"));
  await writer.write(toBytes("1:c,"));
  await writer.close();
  assertEquals(await reading, ["a", "b", "c"]);
});

Deno.test("FrameDecoderStream fails for the writer when it is cancelled, and for the reader when it is aborted", async () => {
  const first = new FrameDecoderStream({ framing: netstring() });
  const reason = new Error("no more");
  await first.readable.cancel(reason);
  assertEquals(
    await first.writable.getWriter().write(toBytes("1:a,")).catch((e) => e),
    reason,
  );
  const second = new FrameDecoderStream({ framing: netstring() });
  await second.writable.abort(reason);
  assertEquals(
    await second.readable.getReader().read().catch((e) => e),
    reason,
  );
});
