import { closeOnExec, IS_LINUX, libc, wouldBlock } from "./libc.ts";
import { POLLOUT, readyEvents } from "./unix_socket.ts";

const SCM_RIGHTS = 1;
const SOL_SOCKET = IS_LINUX ? 1 : 0xffff;
const MSG_CTRUNC = IS_LINUX ? 0x08 : 0x20;
const MSG_DONTWAIT = IS_LINUX ? 0x40 : 0x80;
const MSG_NOSIGNAL = IS_LINUX ? 0x4000 : 0x80000;
const MSG_CMSG_CLOEXEC = IS_LINUX ? 0x40000000 : 0;

// struct cmsghdr: its length field has 8 bytes on Linux and 4 on macOS.
const CMSG_LEVEL = IS_LINUX ? 8 : 4;
const CMSG_TYPE = IS_LINUX ? 12 : 8;
const CMSG_DATA = IS_LINUX ? 16 : 12;
/** The space for one descriptor, with padding. */
const CMSG_SPACE = IS_LINUX ? 24 : 16;

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

/** A `struct msghdr` for one byte of data, with the control message that it points to. */
export class MessageBuffer {
  // The buffer of a small typed array would not do: V8 moves its bytes.
  readonly #view = new DataView(new ArrayBuffer(CONTROL_AT + CONTROL_SIZE));

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

  /** Send a descriptor. Returns `false` if that would block. */
  send(socket: number, descriptor: number): boolean {
    // macOS has no MSG_DONTWAIT for sending.
    if (readyEvents(socket, POLLOUT) === 0) return false;
    const view = this.#view;
    view.setUint32(MSG_CONTROLLEN, CMSG_SPACE, true);
    view.setUint32(CONTROL_AT, CMSG_DATA + 4, true);
    view.setInt32(CONTROL_AT + CMSG_LEVEL, SOL_SOCKET, true);
    view.setInt32(CONTROL_AT + CMSG_TYPE, SCM_RIGHTS, true);
    view.setInt32(CONTROL_AT + CMSG_DATA, descriptor, true);
    const sent = libc().sendmsg(socket, view, MSG_DONTWAIT | MSG_NOSIGNAL);
    return !wouldBlock(`Cannot send descriptor ${descriptor}`, sent);
  }

  /** Receive the descriptors of a message: none at the end, `undefined` if there is no message yet. */
  receive(socket: number): number[] | undefined {
    const action = "Cannot receive descriptor";
    const view = this.#view;
    view.setUint32(MSG_CONTROLLEN, CONTROL_SIZE, true);
    const flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
    const received = libc().recvmsg(socket, view, flags);
    if (wouldBlock(action, received)) return undefined;
    if (received === 0) return [];
    const descriptors = this.#descriptors();
    closeOnExec(...descriptors);
    if ((view.getInt32(MSG_FLAGS, true) & MSG_CTRUNC) !== 0) {
      for (const descriptor of descriptors) libc().close(descriptor);
      throw new Error(
        `${action}: the system dropped it, usually because too many files are open`,
      );
    }
    if (descriptors.length === 0) {
      throw new Deno.errors.InvalidData(`${action}: the message has none`);
    }
    return descriptors;
  }

  /** Get the descriptors that `recvmsg()` put here. Only `SCM_RIGHTS` comes to such a socket. */
  #descriptors(): number[] {
    const view = this.#view;
    const hasControl = view.getUint32(MSG_CONTROLLEN, true) >= CMSG_DATA &&
      view.getInt32(CONTROL_AT + CMSG_LEVEL, true) === SOL_SOCKET &&
      view.getInt32(CONTROL_AT + CMSG_TYPE, true) === SCM_RIGHTS;
    const length = hasControl ? view.getUint32(CONTROL_AT, true) : 0;
    const descriptors = [];
    for (let at = CMSG_DATA; at + 4 <= length; at += 4) {
      descriptors.push(view.getInt32(CONTROL_AT + at, true));
    }
    return descriptors;
  }
}
