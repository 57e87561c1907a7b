import { IS_LINUX, MSG_CTRUNC, SCM_RIGHTS, SOL_SOCKET } from "./structures.ts";

// struct cmsghdr: its length is 8 bytes on Linux, 4 on macOS.
const CMSG_ALIGN = IS_LINUX ? 8 : 4;
const CMSG_LEVEL = IS_LINUX ? 8 : 4;
const CMSG_TYPE = IS_LINUX ? 12 : 8;
const CMSG_DATA = IS_LINUX ? 16 : 12;

// struct msghdr: here, too, what is written or read as 4 bytes is 8 on Linux, where the
// other half stays zero.
const MSG_IOV = 16;
const MSG_IOVLEN = 24;
const MSG_CONTROL = 32;
const MSG_CONTROLLEN = 40;
const MSG_FLAGS = IS_LINUX ? 48 : 44;

// Where each structure is in the memory.
const IOVEC_AT = 64;
const DATA_AT = 128;
const CONTROL_AT = 256;
/** Linux lets a message carry 253 descriptors, macOS 512. */
const CONTROL_SIZE = 4096;

/** What `recvmsg()` got. */
export interface Message {
  readonly bytes: Uint8Array;
  readonly descriptors: number[];
  /** Some descriptors were lost. */
  readonly isTruncated: boolean;
}

/** A `struct msghdr`, and up to 128 bytes and the control messages that it points to. */
export class MessageBuffer {
  /** The memory, which begins with the `struct msghdr`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  /** Where control messages are. */
  readonly #control: bigint;

  constructor() {
    // An ArrayBuffer, not a small typed array alone: V8 moves the bytes of those.
    const memory = new ArrayBuffer(CONTROL_AT + CONTROL_SIZE);
    this.bytes = new Uint8Array(memory);
    const view = this.#view = new DataView(memory);
    const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(memory));
    view.setBigUint64(MSG_IOV, address + BigInt(IOVEC_AT), true);
    view.setUint32(MSG_IOVLEN, 1, true);
    view.setBigUint64(IOVEC_AT, address + BigInt(DATA_AT), true);
    this.#control = address + BigInt(CONTROL_AT);
  }

  /** Fill in bytes to send, and a descriptor to send with them. */
  write(bytes: Uint8Array, descriptor?: number): void {
    this.bytes.set(bytes, DATA_AT);
    if (descriptor === undefined) return this.#setLengths(bytes.length, 0);
    const length = CMSG_DATA + 4;
    this.#setLengths(bytes.length, align(length));
    const view = this.#view;
    this.bytes.fill(0, CONTROL_AT, CONTROL_AT + align(length));
    view.setUint32(CONTROL_AT, length, true);
    view.setInt32(CONTROL_AT + CMSG_LEVEL, SOL_SOCKET, true);
    view.setInt32(CONTROL_AT + CMSG_TYPE, SCM_RIGHTS, true);
    view.setInt32(CONTROL_AT + CMSG_DATA, descriptor, true);
  }

  /** Make room for up to `length` bytes, and for any descriptors. */
  clear(length: number): void {
    this.#setLengths(length, CONTROL_SIZE);
  }

  /** Read the message of `length` bytes that `recvmsg()` put here. */
  read(length: number): Message {
    return {
      bytes: this.bytes.slice(DATA_AT, DATA_AT + length),
      descriptors: this.#readDescriptors(),
      isTruncated: (this.#view.getInt32(MSG_FLAGS, true) & MSG_CTRUNC) !== 0,
    };
  }

  #setLengths(dataLength: number, controlLength: number) {
    this.#view.setUint32(IOVEC_AT + 8, dataLength, true);
    // macOS refuses a pointer to none.
    const control = controlLength === 0 ? 0n : this.#control;
    this.#view.setBigUint64(MSG_CONTROL, control, true);
    this.#view.setUint32(MSG_CONTROLLEN, controlLength, true);
  }

  #readDescriptors(): number[] {
    const view = this.#view;
    const end = CONTROL_AT + view.getUint32(MSG_CONTROLLEN, true);
    const descriptors = [];
    for (let at = CONTROL_AT; at + CMSG_DATA <= end;) {
      const length = view.getUint32(at, true);
      if (length < CMSG_DATA) break;
      if (
        view.getInt32(at + CMSG_LEVEL, true) === SOL_SOCKET &&
        view.getInt32(at + CMSG_TYPE, true) === SCM_RIGHTS
      ) {
        const dataEnd = Math.min(at + length, end);
        for (let item = at + CMSG_DATA; item + 4 <= dataEnd; item += 4) {
          descriptors.push(view.getInt32(item, true));
        }
      }
      at += align(length);
    }
    return descriptors;
  }
}

/** The space that a control message of this length takes. */
function align(length: number): number {
  return Math.ceil(length / CMSG_ALIGN) * CMSG_ALIGN;
}
