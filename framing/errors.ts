import type { FramingOptions } from "./types.ts";

/**
 * A header, or a message to send, is over {@linkcode FramingOptions.maxFrameLength} or over what
 * the header can express.
 */
export class FrameTooLargeError extends RangeError {
  /** The name of the error: `"FrameTooLargeError"`. */
  override readonly name = "FrameTooLargeError";
  /**
   * The length in bytes of the message that is too large; rounded above
   * `Number.MAX_SAFE_INTEGER`.
   */
  readonly length: number;
  /** The maximum length of a message in bytes. */
  readonly maxFrameLength: number;

  /**
   * Construct a new instance.
   *
   * @param message What failed, and why.
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
 * The stream contains bytes that no frame can begin with, or a frame whose trailer is missing or
 * whose length is below zero.
 */
export class FrameSyntaxError extends SyntaxError {
  /** The name of the error: `"FrameSyntaxError"`. */
  override readonly name = "FrameSyntaxError";
  /**
   * The position of the offending byte, from the start of the stream. A {@linkcode Framing} that
   * throws this error counts from the start of the frame; the decoder adds the position of the
   * frame.
   */
  readonly offset: number;

  /**
   * Construct a new instance.
   *
   * @param message What failed, and why.
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
  /** How many bytes of the frame arrived: header, message and trailer. */
  readonly received: number;
  /**
   * The length of the whole frame in bytes: header, message and trailer. `undefined` if the
   * stream ended inside the header.
   */
  readonly expected: number | undefined;

  /**
   * Construct a new instance.
   *
   * @param message What failed, and why.
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

/** The view for a message is too short. The next call gets the message. */
export class ViewTooShortError extends FrameTooLargeError {}

/** The number of bytes that {@linkcode quote} shows. */
const MAX_QUOTED = 60;

/** Show bytes in an error message: ASCII unchanged, anything else escaped. */
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

/** Make the error for a header that no frame can begin with. */
export function headerError(
  problem: string,
  header: Uint8Array,
  offset: number,
): FrameSyntaxError {
  return new FrameSyntaxError(
    `Cannot decode ${problem}, its header reads ${quote(header)}`,
    { offset },
  );
}

/** Default of {@linkcode FramingOptions.maxFrameLength}: 64 MiB. */
const DEFAULT_MAX_FRAME_LENGTH = 64 * 1024 * 1024;

/** Check an option that is an integer. */
export function checkInteger(
  name: string,
  value: number,
  min = 0,
  max = Number.MAX_SAFE_INTEGER,
): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(
      `Cannot use ${name}: ${value} is not an integer from ${min} to ${max}`,
    );
  }
  return value;
}

export function maxFrameLengthOf(
  { maxFrameLength = DEFAULT_MAX_FRAME_LENGTH }: FramingOptions,
): number {
  return checkInteger("maxFrameLength", maxFrameLength);
}
