import { assertEquals, assertInstanceOf } from "@std/assert";
import {
  FrameSyntaxError,
  FrameTooLargeError,
  TruncatedFrameError,
} from "../../framing.ts";
import { describe, syntaxError, tooLarge, truncated } from "./encode_decode.ts";

Deno.test("FrameTooLargeError, FrameSyntaxError and TruncatedFrameError extend the closest built-in error", () => {
  const details = { length: 2, maxFrameLength: 1 };
  const large = new FrameTooLargeError("message", details);
  assertInstanceOf(large, RangeError);
  assertEquals(describe(large), tooLarge(2, 1));
  const syntax = new FrameSyntaxError("message", { offset: 3 });
  assertInstanceOf(syntax, SyntaxError);
  assertEquals(describe(syntax), syntaxError(3));
  const end = new TruncatedFrameError("message", { received: 4, expected: 5 });
  assertInstanceOf(end, Error);
  assertEquals(describe(end), truncated(4, 5));
  for (const error of [large, syntax, end]) {
    assertEquals(String(error), `${error.name}: message`);
  }
});
