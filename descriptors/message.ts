import { IS_LINUX, MSG_CTRUNC, SCM_RIGHTS, SOL_SOCKET } from "./structures.ts";

// struct cmsghdr: its length field has 8 bytes on Linux and 4 on macOS.
const CMSG_ALIGN = IS_LINUX ? 8 : 4;
const CMSG_LEVEL = IS_LINUX ? 8 : 4;
const CMSG_TYPE = IS_LINUX ? 12 : 8;
const CMSG_DATA = IS_LINUX ? 16 : 12;

// struct msghdr. Linux has 8-byte lengths where macOS has 4; their upper half stays zero.
const MSG_IOV = 16;
const MSG_IOVLEN = 24;
const MSG_CONTROL = 32;
const MSG_CONTROLLEN = 40;
const MSG_FLAGS = IS_LINUX ? 48 : 44;

// Offsets of the other structures in the same memory.
const IOVEC_AT = 64;
const DATA_AT = 128;
const CONTROL_AT = 256;
/** Linux allows 253 descriptors in a message, macOS 512. */
const CONTROL_SIZE = 4096;

/** The descriptors that `recvmsg()` returned. */
export interface Message {
  readonly descriptors: number[];
  /** The system dropped some descriptors. */
  readonly isTruncated: boolean;
}

/** A `struct msghdr` for one byte of data, with the control messages that it points to. */
export class MessageBuffer {
  // The buffer of a small typed array would not do: V8 moves its bytes.
  readonly #view = new DataView(new ArrayBuffer(CONTROL_AT + CONTROL_SIZE));
  /** The memory, which starts with the `struct msghdr`. */
  readonly bytes = new Uint8Array(this.#view.buffer);

  constructor() {
    const view = this.#view;
    const pointer = Deno.UnsafePointer.of(view.buffer);
    const address = Deno.UnsafePointer.value(pointer);
    view.setBigUint64(MSG_IOV, address + BigInt(IOVEC_AT), true);
    view.setUint32(MSG_IOVLEN, 1, true);
    view.setBigUint64(IOVEC_AT, address + BigInt(DATA_AT), true);
    view.setUint32(IOVEC_AT + 8, 1, true);
    view.setBigUint64(MSG_CONTROL, address + BigInt(CONTROL_AT), true);
  }

  /** Fill in a message that carries a descriptor. */
  write(descriptor: number): void {
    const view = this.#view;
    const length = CMSG_DATA + 4;
    view.setUint32(MSG_CONTROLLEN, align(length), true);
    this.bytes.fill(0, CONTROL_AT, CONTROL_AT + align(length));
    view.setUint32(CONTROL_AT, length, true);
    view.setInt32(CONTROL_AT + CMSG_LEVEL, SOL_SOCKET, true);
    view.setInt32(CONTROL_AT + CMSG_TYPE, SCM_RIGHTS, true);
    view.setInt32(CONTROL_AT + CMSG_DATA, descriptor, true);
  }

  /** Make space for any number of descriptors. */
  clear(): void {
    this.#view.setUint32(MSG_CONTROLLEN, CONTROL_SIZE, true);
  }

  /** Read the message that `recvmsg()` put here. */
  read(): Message {
    const view = this.#view;
    const descriptors = [];
    const end = CONTROL_AT + view.getUint32(MSG_CONTROLLEN, true);
    for (let at = CONTROL_AT, length; at + CMSG_DATA <= end; at += length) {
      const dataEnd = at + view.getUint32(at, true);
      length = align(dataEnd - at);
      if (length < CMSG_DATA) break;
      if (view.getInt32(at + CMSG_LEVEL, true) !== SOL_SOCKET) continue;
      if (view.getInt32(at + CMSG_TYPE, true) !== SCM_RIGHTS) continue;
      for (let item = at + CMSG_DATA; item + 4 <= dataEnd; item += 4) {
        descriptors.push(view.getInt32(item, true));
      }
    }
    const flags = view.getInt32(MSG_FLAGS, true);
    return { descriptors, isTruncated: (flags & MSG_CTRUNC) !== 0 };
  }
}

/** The space that a control message of this length takes. */
function align(length: number): number {
  return Math.ceil(length / CMSG_ALIGN) * CMSG_ALIGN;
}
