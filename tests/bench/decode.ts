// What decoding costs, in MB/s: the columns are the bytes decoded, so a row that falls to the right is not linear. The
// rows without framing show what the chunks alone cost.
//
// usage: deno run -A tests/bench/decode.ts

import { delimiter, FrameDecoderStream, type Framing } from "../../framing.ts";

const MIB = 1024 * 1024;
const SIZES = [MIB, 4 * MIB, 16 * MIB, 64 * MIB];
const ROUNDS = 3;
// Deno's streams take about 1 us a chunk
const MAX_CHUNKS = MIB;

/** What the bytes are: frames of one length, with a length in front or a line feed behind, or no frames. */
interface Kind {
  title: string;
  frameLengthOf?: (size: number) => number;
  framing?: Framing;
}

const KINDS: Kind[] = [
  { title: "one frame", frameLengthOf: (size) => size },
  { title: "64-byte frames", frameLengthOf: () => 64 },
  {
    title: "one line",
    frameLengthOf: (size) => size,
    framing: delimiter(),
  },
  { title: "64-byte lines", frameLengthOf: () => 64, framing: delimiter() },
  { title: "no framing" },
];

function framesOf(size: number, { frameLengthOf, framing }: Kind): Uint8Array {
  const bytes = new Uint8Array(size);
  const frameLength = frameLengthOf?.(size) ?? size;
  if (framing) {
    for (let end = frameLength; end <= size; end += frameLength) {
      bytes[end - 1] = 10;
    }
    return bytes;
  }
  for (let at = 0; at < size; at += frameLength) {
    new Uint32Array(bytes.buffer, at, 1)[0] = frameLength - 4;
  }
  return bytes;
}

function chunksOf(bytes: Uint8Array, length: number) {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at === bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, at += length));
    },
  });
}

async function measure(
  size: number,
  kind: Kind,
  chunkLength: number,
): Promise<string> {
  if (size / chunkLength > MAX_CHUNKS) return "";
  const bytes = framesOf(size, kind);
  const { frameLengthOf, framing } = kind;
  const overhead = frameLengthOf
    ? (framing ? 1 : 4) * size / frameLengthOf(size)
    : 0;
  let best = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const stream = frameLengthOf
      ? new FrameDecoderStream({ framing })
      : new TransformStream<Uint8Array, Uint8Array>();
    const began = performance.now();
    let decoded = 0;
    for await (
      const message of chunksOf(bytes, chunkLength).pipeThrough(stream)
    ) {
      decoded += message.length;
    }
    best = Math.max(best, size / 1e3 / (performance.now() - began));
    if (decoded !== size - overhead) {
      throw new Error(`Cannot go on: ${decoded} bytes came out of ${size}`);
    }
  }
  return best.toLocaleString("en", { maximumSignificantDigits: 3 });
}

const row = (title: string, cells: string[]) =>
  console.log(
    title.padEnd(34) + cells.map((cell) => cell.padStart(9)).join(""),
  );

row(`MB/s, best of ${ROUNDS}`, SIZES.map((size) => `${size / MIB} MiB`));
for (const chunkLength of [MIB, 16]) {
  const chunks = chunkLength === MIB ? "chunks of 1 MiB" : "chunks of 16 B";
  for (const kind of KINDS) {
    const cells: string[] = [];
    for (const size of SIZES) {
      cells.push(await measure(size, kind, chunkLength));
    }
    row(`${kind.title}, ${chunks}`, cells);
  }
}
