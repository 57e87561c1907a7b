/** What {@linkcode Framing.decodeHeader} found: where in its frame the message is. */
export interface FrameHeader {
  /**
   * Bytes from the start of the frame to the start of the message: 0 to
   * {@linkcode Framing.maxHeaderLength}.
   */
  messageOffset: number;
  /**
   * Bytes of the message, 0 or more. Whatever is over
   * {@linkcode FramingOptions.maxFrameLength} fails, so a number too large to be
   * exact may be given as it is.
   */
  messageLength: number;
}

/**
 * How a frame is laid out: a header that tells the length of the message, the
 * message, and perhaps a trailer of fixed length. A format without a length sets
 * {@linkcode Framing.scansMessage} and looks for the end of the message itself.
 *
 * ```text
 * +---------------------+--------- ... ---------+---------------+
 * | header              | message               | trailer       |
 * | 1..maxHeaderLength  | messageLength         | trailerLength |
 * +---------------------+--------- ... ---------+---------------+
 * ```
 *
 * {@linkcode lengthField}, {@linkcode varint}, {@linkcode netstring},
 * {@linkcode contentLength} and {@linkcode delimiter} make the common ones. Implement
 * this interface for a format of your own. A framing keeps no state about a stream:
 * one object can serve many streams at once.
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
   * The most bytes that may stand before a message, 1 or more (0 or more with
   * {@linkcode Framing.scansMessage}). Decoding fails with
   * {@linkcode FrameSyntaxError} if {@linkcode Framing.decodeHeader} asks for more
   * than this.
   */
  readonly maxHeaderLength: number;
  /**
   * Bytes after each message.
   *
   * @default {0}
   */
  readonly trailerLength?: number | undefined;
  /**
   * How many of the message's first bytes {@linkcode Framing.encodeHeader}
   * writes itself, as a part of the header: a format whose message includes
   * (parts of) its header.
   *
   * @default {0}
   */
  readonly messageBytesInHeader?: number | undefined;
  /**
   * Whether no header tells how long a message is, so that
   * {@linkcode Framing.decodeHeader} has to see all of a frame to find its end.
   * It is then called with more and more bytes, up to a frame whose message has
   * {@linkcode FramingOptions.maxFrameLength} bytes: if it has not found the end
   * by then, decoding fails with {@linkcode FrameTooLargeError}.
   *
   * @default {false}
   */
  readonly scansMessage?: boolean | undefined;
  /**
   * Write the header of a frame.
   *
   * @param message The message that follows the header.
   * @param bytes Where to write. What is there before is not zeros.
   * @param start Position in `bytes` to write at; `maxHeaderLength` bytes are
   * free there.
   * @returns The length of the header in bytes.
   * @throws {FrameTooLargeError} If the header cannot express the length.
   * @throws {RangeError} If the message is too short for this format.
   */
  encodeHeader(message: Uint8Array, bytes: Uint8Array, start: number): number;
  /**
   * Write the trailer of a frame: needed where `trailerLength` is above 0.
   *
   * @param message The message before the trailer.
   * @param bytes Where to write.
   * @param start Position in `bytes` to write `trailerLength` bytes at.
   */
  encodeTrailer?(message: Uint8Array, bytes: Uint8Array, start: number): void;
  /**
   * Read the header of a frame.
   *
   * @param bytes What has arrived, among other things.
   * @param start Position in `bytes` at which the frame begins.
   * @param end Position in `bytes` after the last byte that has arrived.
   * @param scanned How many of these bytes the last call for this frame was given,
   * which returned `undefined`; 0 at the first call. A search can resume there, so
   * that its cost is linear.
   * @returns Where the message is, or `undefined` if the header has not arrived
   * as a whole: the call is repeated with more bytes.
   * @throws {FrameSyntaxError} If no frame begins with these bytes, with an
   * offset from the start of the frame.
   */
  decodeHeader(
    bytes: Uint8Array,
    start: number,
    end: number,
    scanned?: number,
  ): FrameHeader | undefined;
  /**
   * Tell what the bytes before the end of the stream stand for, when they are no whole
   * frame. Without this method they are a {@linkcode TruncatedFrameError}.
   *
   * @param bytes What has arrived, among other things.
   * @param start Position in `bytes` at which the frame begins.
   * @param end Position in `bytes` after the last byte: at least `start + 1`.
   * @returns Where the last message is, which then has no trailer, or `undefined` for a
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
   * @param bytes What has arrived, among other things.
   * @param start Position in `bytes` of the trailer: `trailerLength` bytes.
   * @param header What {@linkcode Framing.decodeHeader} returned.
   * @throws {FrameSyntaxError} If the trailer is wrong, with an offset from
   * the start of the frame.
   */
  checkTrailer?(
    message: Uint8Array,
    bytes: Uint8Array,
    start: number,
    header: FrameHeader,
  ): void;
}

/** Options that all encoders and decoders of frames take. */
export interface FramingOptions {
  /**
   * How a frame is laid out.
   *
   * @default {lengthField()}
   */
  framing?: Framing | undefined;
  /**
   * The most bytes that a message may have, in either direction: an integer of
   * 0 or more. Decoding never takes more memory than this, and a constant, on the
   * word of a header.
   *
   * @default {67_108_864}
   */
  maxFrameLength?: number | undefined;
}

/** Options for {@linkcode lengthField}. */
export interface LengthFieldOptions {
  /**
   * Bytes of the length field: an integer from 1 to 8, unsigned.
   *
   * @default {4}
   */
  lengthFieldLength?: number | undefined;
  /**
   * Order of the length field's bytes. `"native"` is the order of the machine.
   *
   * @default {"native"}
   */
  endianness?: "native" | "big" | "little" | undefined;
  /**
   * Bytes before the length field: an integer from 0 to 65536.
   *
   * @default {0}
   */
  lengthFieldOffset?: number | undefined;
  /**
   * Added to the value of the length field to get the number of bytes that
   * follow it: a safe integer, negative where the field counts what is before
   * its own end too.
   *
   * @default {0}
   */
  lengthAdjustment?: number | undefined;
  /**
   * Bytes dropped from the front of a decoded frame: an integer from 0 to 65536.
   *
   * @default {lengthFieldOffset + lengthFieldLength}
   */
  initialBytesToStrip?: number | undefined;
}

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

/** Options for {@linkcode delimiter}. */
export interface DelimiterOptions {
  /**
   * What stands after each message: a string, which is sent as UTF-8, or bytes. 1 to 64
   * bytes.
   *
   * @default {"\n"}
   */
  delimiter?: string | Uint8Array | undefined;
  /**
   * What bytes at the end of the stream without a delimiter after them are: an error
   * ({@linkcode TruncatedFrameError}), or the last message.
   *
   * @default {"error"}
   */
  unterminated?: "error" | "message" | undefined;
}
