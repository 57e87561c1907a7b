/** The result of {@linkcode Framing.decodeHeader}: the position of the message in its frame. */
export interface FrameHeader {
  /**
   * Bytes from the start of the frame to the start of the message: 0 to
   * {@linkcode Framing.maxHeaderLength}.
   */
  messageOffset: number;
  /**
   * The length of the message in bytes, 0 or more. It does not have to be exact above
   * {@linkcode FramingOptions.maxFrameLength}, where decoding fails.
   */
  messageLength: number;
}

/**
 * The layout of a frame: a header with the length of the message, the message, and optionally a
 * trailer of fixed length. A format without a length sets {@linkcode Framing.scansMessage} and
 * finds the end of the message itself.
 *
 * ```text
 * +---------------------+--------- ... ---------+---------------+
 * | header              | message               | trailer       |
 * | 1..maxHeaderLength  | messageLength         | trailerLength |
 * +---------------------+--------- ... ---------+---------------+
 * ```
 *
 * {@linkcode lengthField}, {@linkcode varint}, {@linkcode netstring}, {@linkcode contentLength}
 * and {@linkcode delimiter} create the common ones. Implement this interface for your own format.
 * A framing has no state: one object can serve many streams at once.
 *
 * @example A magic number in the header and a checksum after the message
 * ```ts
 * import { FrameDecoderStream, FrameEncoderStream, FrameSyntaxError, type Framing } from "@socketpair/socketpair/framing";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const MAGIC = 0xcafe;
 *
 * function sum(message: Uint8Array): number {
 *   return message.reduce((sum, byte) => (sum + byte) & 0xff, 0);
 * }
 *
 * // 2 bytes magic number, 2 bytes length, message, 1 byte checksum
 * const checked: Framing = {
 *   maxHeaderLength: 4,
 *   trailerLength: 1,
 *   encodeHeader(message, bytes, start) {
 *     if (message.length > 0xffff) throw new RangeError("Cannot send message: it is over 65535 bytes");
 *     const view = new DataView(bytes.buffer, bytes.byteOffset + start);
 *     view.setUint16(0, MAGIC);
 *     view.setUint16(2, message.length);
 *     return 4;
 *   },
 *   encodeTrailer(message, bytes, start) {
 *     bytes[start] = sum(message);
 *   },
 *   decodeHeader(bytes, start, end) {
 *     if (end - start < 4) return undefined; // more bytes are needed
 *     const view = new DataView(bytes.buffer, bytes.byteOffset + start);
 *     if (view.getUint16(0) !== MAGIC) {
 *       throw new FrameSyntaxError("Cannot decode frame: wrong magic number", { offset: 0 });
 *     }
 *     return { messageOffset: 4, messageLength: view.getUint16(2) };
 *   },
 *   checkTrailer(message, bytes, start) {
 *     if (bytes[start] !== sum(message)) {
 *       throw new FrameSyntaxError("Cannot decode frame: wrong checksum", { offset: 4 + message.length });
 *     }
 *   },
 * };
 *
 * const frames = ReadableStream.from([new TextEncoder().encode("taco cat")])
 *   .pipeThrough(new FrameEncoderStream({ framing: checked }));
 * const [frame] = await Array.fromAsync(frames);
 * assertEquals(frame?.length, 2 + 2 + 8 + 1);
 *
 * const decoded = ReadableStream.from([frame!])
 *   .pipeThrough(new FrameDecoderStream({ framing: checked }));
 * assertEquals(await Array.fromAsync(decoded), [new TextEncoder().encode("taco cat")]);
 *
 * frame![5]! ^= 1;
 * const damaged = ReadableStream.from([frame!])
 *   .pipeThrough(new FrameDecoderStream({ framing: checked }));
 * await assertRejects(() => Array.fromAsync(damaged), FrameSyntaxError, "wrong checksum");
 * ```
 */
export interface Framing {
  /**
   * The maximum number of bytes before a message, 1 or more (0 or more with
   * {@linkcode Framing.scansMessage}). Decoding fails with {@linkcode FrameSyntaxError} if
   * {@linkcode Framing.decodeHeader} needs more.
   */
  readonly maxHeaderLength: number;
  /**
   * The number of bytes after each message.
   *
   * @default {0}
   */
  readonly trailerLength?: number | undefined;
  /**
   * For formats whose message includes a part of its header: how many of the message's first
   * bytes {@linkcode Framing.encodeHeader} writes itself.
   *
   * @default {0}
   */
  readonly messageBytesInHeader?: number | undefined;
  /**
   * Whether the header does not contain the length of the message, so that
   * {@linkcode Framing.decodeHeader} needs the whole frame to find its end. It is then called
   * with more and more bytes. If it does not find the end of a message of up to
   * {@linkcode FramingOptions.maxFrameLength} bytes, decoding fails with
   * {@linkcode FrameTooLargeError}.
   *
   * @default {false}
   */
  readonly scansMessage?: boolean | undefined;
  /**
   * Write the header of a frame.
   *
   * @param message The message that follows the header.
   * @param bytes The memory to write to. It is not zeroed.
   * @param start The position in `bytes` to write at; `maxHeaderLength` bytes are free there.
   * @returns The length of the header in bytes.
   * @throws {FrameTooLargeError} If the header cannot express the length.
   * @throws {RangeError} If the message is too short for this format.
   */
  encodeHeader(message: Uint8Array, bytes: Uint8Array, start: number): number;
  /**
   * Write the trailer of a frame. Required if `trailerLength` is above 0.
   *
   * @param message The message before the trailer.
   * @param bytes The memory to write to.
   * @param start The position in `bytes` to write `trailerLength` bytes at.
   */
  encodeTrailer?(message: Uint8Array, bytes: Uint8Array, start: number): void;
  /**
   * Read the header of a frame.
   *
   * @param bytes Memory that holds the bytes that have arrived.
   * @param start The position in `bytes` at which the frame begins.
   * @param end The position in `bytes` after the last byte that has arrived.
   * @param scanned How many of these bytes the previous call for this frame was given; 0 at the
   * first call. A search can resume there, so that its cost is linear.
   * @returns The position of the message, or `undefined` if the header has not arrived
   * completely: the call is repeated with more bytes.
   * @throws {FrameSyntaxError} If no frame begins with these bytes. Its offset counts from the
   * start of the frame.
   */
  decodeHeader(
    bytes: Uint8Array,
    start: number,
    end: number,
    scanned?: number,
  ): FrameHeader | undefined;
  /**
   * Interpret an incomplete frame at the end of the stream. Without this method it is a
   * {@linkcode TruncatedFrameError}.
   *
   * @param bytes Memory that holds the bytes that have arrived.
   * @param start The position in `bytes` at which the frame begins.
   * @param end The position in `bytes` after the last byte: at least `start + 1`.
   * @returns The position of the last message, which has no trailer, or `undefined` for a
   * {@linkcode TruncatedFrameError}.
   */
  decodeEnd?(
    bytes: Uint8Array,
    start: number,
    end: number,
  ): FrameHeader | undefined;
  /**
   * Check the trailer of a frame.
   *
   * @param message The message before the trailer.
   * @param bytes Memory that holds the bytes that have arrived.
   * @param start The position in `bytes` of the trailer: `trailerLength` bytes.
   * @param header The result of {@linkcode Framing.decodeHeader}.
   * @throws {FrameSyntaxError} If the trailer is wrong. Its offset counts from the start of the
   * frame.
   */
  checkTrailer?(
    message: Uint8Array,
    bytes: Uint8Array,
    start: number,
    header: FrameHeader,
  ): void;
}

/** Options of all encoders and decoders of frames. */
export interface FramingOptions {
  /**
   * The layout of a frame.
   *
   * @default {lengthField()}
   */
  framing?: Framing | undefined;
  /**
   * The maximum length of a message in bytes, in either direction: an integer of 0 or more. A
   * header never makes decoding allocate more than this plus a constant.
   *
   * @default {67_108_864}
   */
  maxFrameLength?: number | undefined;
}

/** Options for {@linkcode lengthField}. */
export interface LengthFieldOptions {
  /**
   * The size of the unsigned length field in bytes: an integer from 1 to 8.
   *
   * @default {4}
   */
  lengthFieldLength?: number | undefined;
  /**
   * The byte order of the length field. `"native"` is the order of the machine.
   *
   * @default {"native"}
   */
  endianness?: "native" | "big" | "little" | undefined;
  /**
   * The number of bytes before the length field: an integer from 0 to 65536.
   *
   * @default {0}
   */
  lengthFieldOffset?: number | undefined;
  /**
   * Added to the value of the length field to get the number of bytes that follow it: a safe
   * integer, negative if the field also counts itself or bytes before it.
   *
   * @default {0}
   */
  lengthAdjustment?: number | undefined;
  /**
   * The number of bytes removed from the front of a decoded frame: an integer from 0 to 65536.
   *
   * @default {lengthFieldOffset + lengthFieldLength}
   */
  initialBytesToStrip?: number | undefined;
}

/** Options for {@linkcode varint}. */
export interface VarintOptions {
  /**
   * Whether to accept a length that takes more bytes than it needs: `88 80 00` for 8. protobuf
   * and Go accept such lengths, libp2p forbids them.
   *
   * @default {false}
   */
  allowOverlong?: boolean | undefined;
}

/** Options for {@linkcode delimiter}. */
export interface DelimiterOptions {
  /**
   * The delimiter after each message: a string, which is encoded as UTF-8, or bytes. 1 to 64
   * bytes.
   *
   * @default {"\n"}
   */
  delimiter?: string | Uint8Array | undefined;
  /**
   * Whether bytes without a delimiter at the end of the stream are an error
   * ({@linkcode TruncatedFrameError}) or the last message.
   *
   * @default {"error"}
   */
  unterminated?: "error" | "message" | undefined;
}
