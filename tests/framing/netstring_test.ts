import { assertEquals } from "@std/assert";
import { netstring } from "../../framing.ts";
import {
  decodeError,
  DEFAULT_MAX_FRAME_LENGTH,
  MIB,
  syntaxError,
  toBytes,
  tooLarge,
  truncated,
} from "./encode_decode.ts";

Deno.test("netstring() refuses what is no netstring", async () => {
  for (
    const [stream, offset] of [
      ["a", 0],
      [":", 0],
      [",", 0],
      [" 1:a,", 0],
      ["-1:a,", 0],
      ["+1:a,", 0],
      ["/:", 0],
      ["\x00", 0],
      ["\xff", 0],
      ["1a", 1],
      ["1 :a,", 1],
      ["1,", 1],
      ["1.0:a,", 1],
      ["12;", 2],
      ["12/", 2],
      ["00:,", 0],
      ["01:a,", 0],
      ["007:", 0],
      ["12345678901234567", 16],
      ["99999999999999999:", 16],
      ["1234567890123456a", 16],
    ] as const
  ) {
    assertEquals(
      await decodeError(toBytes(stream), { framing: netstring() }),
      syntaxError(offset),
      JSON.stringify(stream),
    );
    assertEquals(
      await decodeError(toBytes(`3:cat,${stream}`), { framing: netstring() }),
      syntaxError(6 + offset),
      JSON.stringify(stream),
    );
  }
});

Deno.test("netstring() refuses a message without its comma", async () => {
  for (
    const [stream, offset] of [
      ["8:taco catx", 10],
      ["8:taco cat\x00", 10],
      ["0::", 2],
      ["1:a:1:b,", 3],
      ["2:a,1:b,", 4],
      ["0:,0:,1:a.", 9],
      ["10:taco cat..", 13],
    ] as const
  ) {
    assertEquals(
      await decodeError(toBytes(stream), { framing: netstring() }),
      stream.startsWith("10") ? truncated(13, 14) : syntaxError(offset),
      JSON.stringify(stream),
    );
  }
});

Deno.test("netstring() reads lengths of up to 16 digits", async () => {
  for (
    const [header, length] of [
      ["9007199254740991:", 2 ** 53 - 1],
      ["9007199254740993:", 2 ** 53],
      ["9999999999999999:", 1e16],
      ["67108865:", 64 * MIB + 1],
    ] as const
  ) {
    assertEquals(
      await decodeError(toBytes(header), { framing: netstring() }),
      tooLarge(length, DEFAULT_MAX_FRAME_LENGTH),
    );
  }
});
