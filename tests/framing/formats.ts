import {
  contentLength,
  delimiter,
  type Framing,
  lengthField,
  netstring,
  varint,
} from "../../framing.ts";
import { native, toBytes } from "./encode_decode.ts";

interface Format {
  name: string;
  framing: Framing;
  headerLength: number;
  /** Bytes of the delimiter, in a format that has one instead of a length. */
  delimiterLength?: number;
  /** Frames beside their messages, the longest first. */
  frames: [[string, string], ...[string, string][]];
  /** Bytes of the longest message. */
  longest: number;
}
export const formats: Format[] = [
  {
    name: "lengthField()",
    framing: lengthField(),
    longest: 8,
    headerLength: 4,
    frames: [
      [`${native.slice(0, 4)}taco cat`, "taco cat"],
      [native.slice(4, 8), ""],
      [`${native.slice(8)}\x00`, "\x00"],
    ],
  },
  {
    name: "lengthField() big-endian",
    framing: lengthField({ endianness: "big" }),
    longest: 8,
    headerLength: 4,
    frames: [
      ["\x00\x00\x00\x08taco cat", "taco cat"],
      ["\x00\x00\x00\x00", ""],
      ["\x00\x00\x00\x01\x00", "\x00"],
    ],
  },
  {
    name: "lengthField() of 1 byte",
    framing: lengthField({ lengthFieldLength: 1 }),
    longest: 8,
    headerLength: 1,
    frames: [["\x08taco cat", "taco cat"], ["\x00", ""], ["\x01\x00", "\x00"]],
  },
  {
    name: "lengthField() of 3 bytes, little-endian",
    framing: lengthField({ lengthFieldLength: 3, endianness: "little" }),
    longest: 8,
    headerLength: 3,
    frames: [
      ["\x08\x00\x00taco cat", "taco cat"],
      ["\x00\x00\x00", ""],
      ["\x01\x00\x00\x00", "\x00"],
    ],
  },
  {
    name: "lengthField() of 8 bytes, big-endian",
    framing: lengthField({ lengthFieldLength: 8, endianness: "big" }),
    longest: 8,
    headerLength: 8,
    frames: [
      ["\x00\x00\x00\x00\x00\x00\x00\x08taco cat", "taco cat"],
      ["\x00\x00\x00\x00\x00\x00\x00\x00", ""],
      ["\x00\x00\x00\x00\x00\x00\x00\x01\x00", "\x00"],
    ],
  },
  {
    name: "lengthField() that counts itself",
    framing: lengthField({
      lengthFieldLength: 2,
      endianness: "big",
      lengthAdjustment: -2,
    }),
    longest: 8,
    headerLength: 2,
    frames: [
      ["\x00\x0ataco cat", "taco cat"],
      ["\x00\x02", ""],
      ["\x00\x03\x00", "\x00"],
    ],
  },
  {
    name: "lengthField() as PostgreSQL",
    framing: lengthField({
      endianness: "big",
      lengthFieldOffset: 1,
      lengthAdjustment: -4,
      initialBytesToStrip: 0,
    }),
    longest: 13,
    headerLength: 5,
    frames: [
      ["Q\x00\x00\x00\x0ctaco cat", "Q\x00\x00\x00\x0ctaco cat"],
      ["S\x00\x00\x00\x04", "S\x00\x00\x00\x04"],
      ["X\x00\x00\x00\x05\x00", "X\x00\x00\x00\x05\x00"],
    ],
  },
  {
    name: "lengthField() that strips more than the header",
    framing: lengthField({
      lengthFieldLength: 2,
      endianness: "big",
      lengthFieldOffset: 1,
      initialBytesToStrip: 5,
    }),
    longest: 8,
    headerLength: 5,
    frames: [
      ["\x00\x00\x0a\x00\x00taco cat", "taco cat"],
      ["\x00\x00\x02\x00\x00", ""],
      ["\x00\x00\x03\x00\x00\x00", "\x00"],
    ],
  },
  {
    name: "varint()",
    framing: varint(),
    longest: 8,
    headerLength: 1,
    frames: [["\x08taco cat", "taco cat"], ["\x00", ""], ["\x01\x00", "\x00"]],
  },
  {
    name: "netstring()",
    framing: netstring(),
    longest: 8,
    headerLength: 2,
    frames: [["8:taco cat,", "taco cat"], ["0:,", ""], ["1:\x00,", "\x00"]],
  },
  {
    name: "contentLength()",
    framing: contentLength(),
    longest: 8,
    headerLength: 21,
    frames: [
      ["Content-Length: 8\r\n\r\ntaco cat", "taco cat"],
      ["Content-Length: 0\r\n\r\n", ""],
      ["Content-Length: 1\r\n\r\n\x00", "\x00"],
    ],
  },
  {
    name: "delimiter()",
    framing: delimiter(),
    longest: 8,
    headerLength: 0,
    delimiterLength: 1,
    frames: [["taco cat\n", "taco cat"], ["\n", ""], ["\x00\n", "\x00"]],
  },
  {
    name: "delimiter() of two bytes",
    framing: delimiter({ delimiter: "\r\n" }),
    longest: 8,
    headerLength: 0,
    delimiterLength: 2,
    frames: [["taco\rcat\r\n", "taco\rcat"], ["\r\n", ""], ["\r\r\n", "\r"]],
  },
  {
    name: "delimiter() that begins with its end",
    framing: delimiter({ delimiter: new Uint8Array([0xff, 0, 0xff]) }),
    longest: 8,
    headerLength: 0,
    delimiterLength: 3,
    frames: [
      ["ta\xffco\x00\xff\xff\xff\x00\xff", "ta\xffco\x00\xff\xff"],
      ["\xff\x00\xff", ""],
      ["\x00\xff\x00\xff", "\x00"],
    ],
  },
];

/** All frames of a format, one behind the other. */
export function streamOf({ frames }: Format): Uint8Array<ArrayBuffer> {
  return toBytes(frames.map(([frame]) => frame).join(""));
}

export function messagesOf({ frames }: Format): string[] {
  return frames.map(([, message]) => message);
}
