import type { FramingOptions } from "./types.ts";

/**
 * A header, or a message to send, is over {@linkcode FramingOptions.maxFrameLength},
 * or over what the header can express.
 */
export class FrameTooLargeError extends RangeError {
  /** The name of the error: `"FrameTooLargeError"`. */
  override readonly name = "FrameTooLargeError";
  /**
   * Bytes of the message that is too large. Above `Number.MAX_SAFE_INTEGER`
   * it is rounded.
   */
  readonly length: number;
  /** Bytes that a message may have here. */
  readonly maxFrameLength: number;

  /**
   * Construct a new instance.
   *
   * @param message What was being done, and what was wrong.
   * @param details The length of the message and the limit, both in bytes.
   */
  constructor(
    message: string,
    details: { length: number; maxFrameLength: number },
  ) {
    super(message);
    this.length = details.length;
    this.maxFrameLength = details.maxFrameLength;
  }
}

/**
 * The stream holds bytes that no frame can begin with, a frame lacks its
 * trailer, or its length is below zero.
 */
export class FrameSyntaxError extends SyntaxError {
  /** The name of the error: `"FrameSyntaxError"`. */
  override readonly name = "FrameSyntaxError";
  /**
   * Position of the offending byte: bytes from the start of the stream. A
   * {@linkcode Framing} that throws this error counts from the start of the
   * frame, and the decoder adds where in the stream the frame begins.
   */
  readonly offset: number;

  /**
   * Construct a new instance.
   *
   * @param message What was being done, and what was wrong.
   * @param details The position of the offending byte.
   */
  constructor(message: string, details: { offset: number }) {
    super(message);
    this.offset = details.offset;
  }
}

/** The stream ended inside a frame. */
export class TruncatedFrameError extends Error {
  /** The name of the error: `"TruncatedFrameError"`. */
  override readonly name = "TruncatedFrameError";
  /** Bytes of the frame that arrived: header, message and trailer. */
  readonly received: number;
  /**
   * Bytes that the whole frame has: header, message and trailer. `undefined` if
   * the stream ended inside the header.
   */
  readonly expected: number | undefined;

  /**
   * Construct a new instance.
   *
   * @param message What was being done, and what was wrong.
   * @param details How many bytes of the frame arrived, and how many it has.
   */
  constructor(
    message: string,
    details: { received: number; expected: number | undefined },
  ) {
    super(message);
    this.received = details.received;
    this.expected = details.expected;
  }
}

/** The view given for a message is too short: the message stays for the next call. */
export class ViewTooShortError extends FrameTooLargeError {}

/** Bytes shown by {@linkcode quote}. */
const MAX_QUOTED = 60;

/** Show bytes in an error message: ASCII as it is, anything else escaped. */
export function quote(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes.subarray(0, MAX_QUOTED)) {
    if (byte === 0x22 || byte === 0x5c) text += "\\";
    if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else if (byte === 0x0d) text += "\\r";
    else if (byte === 0x0a) text += "\\n";
    else text += `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return `"${text}"${bytes.length > MAX_QUOTED ? " ..." : ""}`;
}

/** Default of {@linkcode FramingOptions.maxFrameLength}: 64 MiB. */
const DEFAULT_MAX_FRAME_LENGTH = 64 * 1024 * 1024;

/** Check an option that is a whole number. */
export function checkInteger(
  name: string,
  value: number,
  min: number,
  max: number,
): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(
      `Cannot use ${name}: ${value} is not an integer from ${min} to ${max}`,
    );
  }
  return value;
}

export function maxFrameLengthOf(options: FramingOptions): number {
  return checkInteger(
    "maxFrameLength",
    options.maxFrameLength ?? DEFAULT_MAX_FRAME_LENGTH,
    0,
    Number.MAX_SAFE_INTEGER,
  );
}
