/**
 * The child of the demo: it reverses each message and sends it back, until the parent
 * sends no more.
 *
 * Reverses text by grapheme cluster and other data by byte. Prints each message that it
 * receives and sends, unless the argument is `--quiet`.
 *
 * @module
 */

import { connectToParent } from "./pair.ts";

const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

function decode(message: Uint8Array): string | undefined {
  try {
    return decoder.decode(message);
  } catch {
    return undefined;
  }
}

function reverse(message: Uint8Array): Uint8Array {
  const text = decode(message);
  // In ASCII each byte is a cluster, except in "\r\n": the segmenter takes a hundred times as long.
  const isAscii = text?.length === message.length && !text.includes("\r");
  if (text === undefined || isAscii) return message.toReversed();
  const clusters = Array.from(
    segmenter.segment(text),
    ({ segment }) => segment,
  );
  return encoder.encode(clusters.reverse().join(""));
}

function print(action: string, message: Uint8Array, where: string) {
  if (Deno.args.includes("--quiet")) return;
  const text = new TextDecoder().decode(message);
  // deno-lint-ignore no-console -- the output of the demo
  console.log(
    JSON.stringify(`${action}: ${text} ${where} process ${Deno.pid}`),
  );
}

// A line of a file may be longer than the default limit.
const parent = await connectToParent({ maxFrameLength: 2 ** 32 - 1 });
for await (const message of parent) {
  print("received", message, "in");
  const reversed = reverse(message);
  print("sending", reversed, "from");
  await parent.send(reversed);
}
await parent.close();
