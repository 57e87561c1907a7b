import { FrameTooLargeError, maxFrameLengthOf } from "./errors.ts";
import type { Framing, FramingOptions } from "./types.ts";

/** Encodes messages as frames. */
export class FrameEncoder {
  /** The maximum number of bytes in a frame besides its message. */
  readonly maxOverhead: number;
  readonly #framing: Framing;
  readonly #maxFrameLength: number;
  readonly #messageBytesInHeader: number;
  readonly #trailerLength: number;

  constructor(framing: Framing, options: FramingOptions) {
    this.#framing = framing;
    this.#maxFrameLength = maxFrameLengthOf(options);
    this.#messageBytesInHeader = framing.messageBytesInHeader ?? 0;
    this.#trailerLength = framing.trailerLength ?? 0;
    this.maxOverhead = framing.maxHeaderLength + this.#trailerLength;
    if (this.#trailerLength > 0 && !framing.encodeTrailer) {
      throw new TypeError(
        "Cannot use framing: it has a trailerLength but no encodeTrailer()",
      );
    }
  }

  #checkLength(message: Uint8Array) {
    if (message.length > this.#maxFrameLength) {
      throw new FrameTooLargeError(
        `Cannot send message of ${message.length} bytes: maxFrameLength is ${this.#maxFrameLength}`,
        { length: message.length, maxFrameLength: this.#maxFrameLength },
      );
    }
  }

  /** Write the frame at `start`, and return the position after it. */
  encodeInto(message: Uint8Array, bytes: Uint8Array, start: number): number {
    this.#checkLength(message);
    const rest = this.#messageBytesInHeader;
    let at = start + this.#framing.encodeHeader(message, bytes, start);
    bytes.set(rest === 0 ? message : message.subarray(rest), at);
    at += message.length - rest;
    if (this.#trailerLength > 0) {
      this.#framing.encodeTrailer?.(message, bytes, at);
    }
    return at + this.#trailerLength;
  }

  /** Return the frame. */
  encode(message: Uint8Array): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(message.length + this.maxOverhead);
    return bytes.subarray(0, this.encodeInto(message, bytes, 0));
  }

  /** Return header, message and trailer. Does not copy the message. */
  encodeParts(message: Uint8Array): [Uint8Array, Uint8Array, Uint8Array] {
    this.#checkLength(message);
    const header = new Uint8Array(this.#framing.maxHeaderLength);
    const length = this.#framing.encodeHeader(message, header, 0);
    const trailer = new Uint8Array(this.#trailerLength);
    if (this.#trailerLength > 0) {
      this.#framing.encodeTrailer?.(message, trailer, 0);
    }
    return [
      header.subarray(0, length),
      message.subarray(this.#messageBytesInHeader),
      trailer,
    ];
  }
}
