import {
  FrameSyntaxError,
  FrameTooLargeError,
  type Framing,
} from "../../framing.ts";

// A framing of a user's own: "<", length in one byte, the message, its sum in
// two bytes, ">".
const sum = (message: Uint8Array) =>
  message.reduce((sum, byte) => (sum + byte) % 65536, 0);
export const checked: Framing = {
  maxHeaderLength: 2,
  trailerLength: 3,
  encodeHeader(message, bytes, start) {
    if (message.length > 255) {
      throw new FrameTooLargeError(
        "Cannot send message: too large for checked",
        {
          length: message.length,
          maxFrameLength: 255,
        },
      );
    }
    bytes.set([0x3c, message.length], start);
    return 2;
  },
  encodeTrailer(message, bytes, start) {
    bytes.set([sum(message) >> 8, sum(message) & 255, 0x3e], start);
  },
  decodeHeader(bytes, start, end) {
    if (bytes[start] !== 0x3c) {
      throw new FrameSyntaxError("Cannot decode frame: no <", { offset: 0 });
    }
    if (end - start < 2) return undefined;
    return { messageOffset: 2, messageLength: bytes[start + 1]! };
  },
  checkTrailer(message, bytes, start, { messageOffset, messageLength }) {
    const found = bytes[start]! * 256 + bytes[start + 1]!;
    if (found === sum(message) && bytes[start + 2] === 0x3e) return;
    throw new FrameSyntaxError("Cannot decode frame: wrong trailer", {
      offset: messageOffset + messageLength,
    });
  },
};

const SEMICOLON = 0x3b;
const GREATER = 0x3e;

/**
 * A framing of a user's own that has no length: ">", the message, ";". The last ";" of a stream may be missing.
 */
export const line: Framing = {
  maxHeaderLength: 1,
  trailerLength: 1,
  scansMessage: true,
  encodeHeader(message, bytes, start) {
    if (message.includes(SEMICOLON)) {
      throw new RangeError("Cannot send message: it holds a semicolon");
    }
    bytes[start] = GREATER;
    return 1;
  },
  encodeTrailer(_message, bytes, start) {
    bytes[start] = SEMICOLON;
  },
  decodeHeader(bytes, start, end, scanned = 0) {
    if (bytes[start] !== GREATER) {
      throw new FrameSyntaxError("Cannot decode frame: no >", { offset: 0 });
    }
    const at = bytes.subarray(0, end).indexOf(
      SEMICOLON,
      start + Math.max(1, scanned),
    );
    return at === -1
      ? undefined
      : { messageOffset: 1, messageLength: at - start - 1 };
  },
  decodeEnd: (_bytes, start, end) => ({
    messageOffset: 1,
    messageLength: end - start - 1,
  }),
};
