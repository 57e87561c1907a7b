import { FrameSyntaxError, quote } from "./errors.ts";
import type { Framing } from "./types.ts";

/** Options for {@linkcode varint}. */
export interface VarintOptions {
  /**
   * Whether a received length may take more bytes than it needs: `88 80 00` for 8.
   * protobuf and Go read such lengths, libp2p forbids them.
   *
   * @default {false}
   */
  allowOverlong?: boolean | undefined;
}

/**
 * Frame messages by an unsigned LEB128 length, as protobuf's delimited messages
 * and libp2p do.
 *
 * ```text
 * frame (9 bytes)               message (8 bytes)
 * +----+------------+           +------------+
 * | 08 | "taco cat" |      <->  | "taco cat" |
 * +----+------------+           +------------+
 *
 * frame (302 bytes)             message (300 bytes)
 * +-------+---------- ... +     +---------- ... +
 * | ac 02 | 300 bytes     | <-> | 300 bytes     |
 * +-------+---------- ... +     +---------- ... +
 * ```
 *
 * Decoding throws {@linkcode FrameSyntaxError} if the length takes more than 10
 * bytes, more than 64 bits, or (unless `allowOverlong` is set) more bytes than it
 * needs, and {@linkcode FrameTooLargeError} if it is over `Number.MAX_SAFE_INTEGER`.
 *
 * Defined by {@link https://github.com/multiformats/unsigned-varint | multiformats} and
 * {@link https://protobuf.dev/programming-guides/encoding/#varints | protobuf}.
 *
 * @example
 * ```ts
 * import { FrameEncoderStream, varint } from "@socketpair/socketpair/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const frames = ReadableStream.from([new Uint8Array(300)])
 *   .pipeThrough(new FrameEncoderStream({ framing: varint() }));
 * const [frame] = await Array.fromAsync(frames);
 *
 * assertEquals(frame?.subarray(0, 2), new Uint8Array([0xac, 0x02]));
 * assertEquals(frame?.length, 302);
 * ```
 *
 * @param options Whether a length may take more bytes than it needs.
 * @returns The framing.
 */
export function varint(options: VarintOptions = {}): Framing {
  const { allowOverlong = false } = options;
  return {
    maxHeaderLength: 10,
    encodeHeader(message, bytes, start) {
      let value = message.length;
      let at = start;
      while (value >= 128) {
        bytes[at++] = value % 128 + 128;
        value = Math.floor(value / 128);
      }
      bytes[at++] = value;
      return at - start;
    },
    decodeHeader(bytes, start, end) {
      let value = 0;
      for (let i = 0; start + i < end; i++) {
        const byte = bytes[start + i]!;
        // The tenth byte holds the last one of 64 bits.
        if (i === 9 && byte > 1) {
          throw new FrameSyntaxError(
            `Cannot decode frame: its varint length is over 64 bits, its header reads ${
              quote(bytes.subarray(start, start + 10))
            }`,
            { offset: i },
          );
        }
        value += (byte & 127) * 2 ** (7 * i);
        if (byte > 127) continue;
        if (byte === 0 && i > 0 && !allowOverlong) {
          throw new FrameSyntaxError(
            `Cannot decode frame: its varint length takes ${
              i + 1
            } bytes where fewer suffice, its header reads ${
              quote(bytes.subarray(start, start + i + 1))
            }`,
            { offset: i },
          );
        }
        return { messageOffset: i + 1, messageLength: value };
      }
      return undefined;
    },
  };
}
