/**
 * Hand open files, pipes and sockets to another process, in any language.
 *
 * A descriptor is the number by which a process knows something that it has open. Over a
 * Unix socket the system hands the open thing itself to another process, where it gets a
 * number of its own (`SCM_RIGHTS`). The wire is that of Ruby's `UNIXSocket#send_io` and
 * `recv_io` and of Python's `socket.send_fds` and `recv_fds`: one byte of data with each
 * message.
 *
 * - {@linkcode spawnWithDescriptors}, {@linkcode connectDescriptorsToParent}: a child and
 *   its parent, with a {@linkcode DescriptorSocket} beside their channel.
 * - {@linkcode descriptorOf}: from a socket to its number. `openSync()` of `node:fs` gives
 *   the number of a file.
 * - {@linkcode openFile}, {@linkcode openSocket}, {@linkcode listen},
 *   {@linkcode closeDescriptor}: from a number to what it stands for.
 *
 * Deno has no interface for any of it, so this module calls the C library: it needs
 * `--allow-ffi` in full, and Linux or macOS on x86-64 or arm64 (it is tested on Linux
 * x86-64). Importing it needs neither; the first call throws
 * `Deno.errors.NotCapable` or `Deno.errors.NotSupported`.
 *
 * **`--allow-ffi` is every right.** Deno cannot see what the C library is asked to do, so a
 * Deno child that receives descriptors is one you trust like the parent itself: no sandbox
 * is left around it.
 *
 * @example
 * A child in Python writes to a file that only the parent has opened:
 * ```ts
 * import { closeSync, openSync } from "node:fs";
 * import { spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertEquals } from "@std/assert";
 *
 * const program = `
 * import os, socket
 * channel = socket.socket(socket.AF_UNIX)
 * channel.connect(os.environ["SOCKETPAIR_PATH"])
 * channel.sendall(os.environ["SOCKETPAIR_TOKEN"].encode())
 * descriptors = socket.socket(socket.AF_UNIX)
 * descriptors.connect(os.environ["SOCKETPAIR_DESCRIPTORS_PATH"])
 * descriptors.sendall(os.environ["SOCKETPAIR_TOKEN"].encode())
 *
 * data, [descriptor], flags, address = socket.recv_fds(descriptors, 1, 1)
 * os.write(descriptor, b"taco cat")
 * `;
 * const path = await Deno.makeTempFile();
 * const { child, descriptors } = await spawnWithDescriptors("python3", {
 *   args: ["-c", program],
 * });
 * const descriptor = openSync(path, "w");
 * await descriptors.send(descriptor);
 * closeSync(descriptor);
 * await child.status;
 *
 * assertEquals(await Deno.readTextFile(path), "taco cat");
 * await descriptors.close();
 * await child.close();
 * await Deno.remove(path);
 * ```
 *
 * @module
 */

import net from "node:net";
import os from "node:os";
import { isatty } from "node:tty";
import type { Channel, ChannelOptions } from "./channel.ts";
import {
  type Child,
  connectToParent,
  spawn,
  type SpawnOptions,
} from "./pair.ts";
import { type Attachment, HOOKS, type LaunchOptions } from "./pair/hooks.ts";

const PATH_VARIABLE = "SOCKETPAIR_DESCRIPTORS_PATH";
const TOKEN_VARIABLE = "SOCKETPAIR_TOKEN";

/** Connections that may wait for their token; for one more, the one that waits longest is dropped. */
const MAX_CANDIDATES = 32;

// The same numbers on Linux and macOS.
const AF_UNIX = 1;
const AF_INET = 2;
const SOCK_STREAM = 1;
const SCM_RIGHTS = 1;
const POLLIN = 1;
const POLLOUT = 4;
const POLLHUP = 16;
const F_GETFL = 3;
const SEEK_CUR = 1;
const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_WRONLY = 1;

// Not the same, as are the layouts of the structures below. For Linux from its headers,
// for macOS from bsd/sys/socket.h and bsd/sys/filio.h of apple-oss-distributions/xnu.
const IS_LINUX = Deno.build.os === "linux";
const AF_INET6 = IS_LINUX ? 10 : 30;
const SOL_SOCKET = IS_LINUX ? 1 : 0xffff;
const MSG_CTRUNC = IS_LINUX ? 0x08 : 0x20;
const MSG_DONTWAIT = IS_LINUX ? 0x40 : 0x80;
const MSG_NOSIGNAL = IS_LINUX ? 0x4000 : 0x80000;
const O_APPEND = IS_LINUX ? 0x400 : 0x8;

/** Linux: no descriptor is without close-on-exec for even a moment. */
const SOCK_CLOEXEC = IS_LINUX ? 0x80000 : 0;
const SOCK_NONBLOCK = IS_LINUX ? 0x800 : 0;
const MSG_CMSG_CLOEXEC = IS_LINUX ? 0x40000000 : 0;

/**
 * macOS: close-on-exec is set at once after, in the same turn. By `ioctl()`, since this
 * request has no third argument: variable arguments have a calling convention of their
 * own on arm64, which `Deno.dlopen()` does not know.
 */
const FIOCLEX = 0x20006601n;

// struct cmsghdr: its length is 8 bytes on Linux, 4 on macOS.
const CONTROL_ALIGN = IS_LINUX ? 8 : 4;
const CONTROL_LEVEL = IS_LINUX ? 8 : 4;
const CONTROL_TYPE = IS_LINUX ? 12 : 8;
const CONTROL_DATA = IS_LINUX ? 16 : 12;

// struct msghdr: here, too, all that is written or read as 4 bytes is 8 on Linux, where
// the other half (it is little-endian) stays zero.
const MESSAGE_PARTS = 16;
const MESSAGE_PARTS_LENGTH = 24;
const MESSAGE_CONTROL = 32;
const MESSAGE_CONTROL_LENGTH = 40;
const MESSAGE_FLAGS = IS_LINUX ? 48 : 44;

// Where the structures are in the one piece of memory that calls share.
const PART_AT = 64;
const DATA_AT = 128;
const CONTROL_AT = 256;
/** Linux lets a message carry 253 descriptors, macOS 512. */
const CONTROL_LENGTH = 4096;

/** What a process can have open by Linux's own default limit. */
const MAX_DESCRIPTORS = 2 ** 20;

const SYMBOLS = {
  errno: {
    name: IS_LINUX ? "__errno_location" : "__error",
    parameters: [],
    result: "pointer",
  },
  strerror: { parameters: ["i32"], result: "pointer" },
  close: { parameters: ["i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  fcntl: { parameters: ["i32", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "usize"], result: "i32" },
  getdtablesize: { parameters: [], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  accept: {
    // macOS has no accept4() and ignores the fourth argument.
    name: IS_LINUX ? "accept4" : "accept",
    parameters: ["i32", "buffer", "buffer", "i32"],
    result: "i32",
  },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  inet_pton: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // What they return is no more than fits 32 bits, as no call here is of more bytes.
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  pollInThread: {
    name: "poll",
    parameters: ["buffer", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;

type Library = Deno.DynamicLibrary<typeof SYMBOLS>;

const ERROR_CLASSES = new Map([
  [os.constants.errno.EACCES, Deno.errors.PermissionDenied],
  [os.constants.errno.EPERM, Deno.errors.PermissionDenied],
  [os.constants.errno.EBADF, Deno.errors.BadResource],
  [os.constants.errno.EPIPE, Deno.errors.BrokenPipe],
  [os.constants.errno.ENOENT, Deno.errors.NotFound],
  [os.constants.errno.ECONNREFUSED, Deno.errors.ConnectionRefused],
  [os.constants.errno.ECONNRESET, Deno.errors.ConnectionReset],
]);

/** A wait for descriptors. */
interface Wait {
  /** Settles when nobody looks at them any more: only then may they be closed. */
  readonly over: Promise<void>;
  /** End it early. */
  cancel(): void;
}

interface Waiter {
  readonly descriptors: readonly number[];
  readonly events: number;
  isOver: boolean;
  resolve(): void;
  reject(reason: unknown): void;
}

interface Message {
  readonly bytes: Uint8Array;
  readonly descriptors: number[];
  /** Some descriptors were lost. */
  readonly isTruncated: boolean;
}

interface Address {
  readonly family: number;
  readonly port: number;
  readonly host: Uint8Array;
}

/**
 * The C library, loaded while somebody uses it.
 *
 * Whatever could block is called only when `poll()` says that it will not, on the thread
 * of JavaScript: so `errno` is its own, and no message is ever in the hands of another
 * thread.
 */
class Libc implements Disposable {
  static #shared: Libc | undefined;
  static #users = 0;

  // First, as it says what is missing.
  readonly #library: Library = load();
  readonly #errno: Deno.UnsafePointerView;
  // ArrayBuffers, never small typed arrays alone: V8 moves the bytes of those.
  readonly #memory = new ArrayBuffer(CONTROL_AT + CONTROL_LENGTH);
  readonly #message = new Uint8Array(this.#memory);
  readonly #view = new DataView(this.#memory);
  readonly #address = Deno.UnsafePointer.value(
    Deno.UnsafePointer.of(this.#memory),
  );
  readonly #pollEntry = new DataView(new ArrayBuffer(8));

  #poller: Poller | undefined;

  /** Get the library, which stays loaded until whatever got it is disposed. */
  static use(): Libc {
    Libc.#shared ??= new Libc();
    Libc.#users++;
    return Libc.#shared;
  }

  private constructor() {
    const errno = this.#library.symbols.errno();
    if (errno === null) {
      throw new Error("Cannot find errno: it is a null pointer");
    }
    // An isolate stays on one thread, so errno stays where it is.
    this.#errno = new Deno.UnsafePointerView(errno);
  }

  [Symbol.dispose](): void {
    if (--Libc.#users > 0) return;
    Libc.#shared = undefined;
    this.#poller?.[Symbol.dispose]();
    this.#library.close();
  }

  get symbols(): Library["symbols"] {
    return this.#library.symbols;
  }

  /** Needs two descriptors, so it is made for who waits only. */
  get poller(): Poller {
    return this.#poller ??= new Poller(this);
  }

  /** The error of the call just before. */
  get errno(): number {
    return this.#errno.getInt32();
  }

  error(doing: string, code = this.errno): Error {
    const text = this.#library.symbols.strerror(code);
    const reason = text === null ? "" : Deno.UnsafePointerView.getCString(text);
    return new (ERROR_CLASSES.get(code) ?? Error)(
      `${doing}: ${reason} (os error ${code})`,
    );
  }

  /** Throw what went wrong, unless it is only that nothing can be done now. */
  #throwUnlessLater(doing: string): undefined {
    const code = this.errno;
    const { EAGAIN, EINTR } = os.constants.errno;
    if (code !== EAGAIN && code !== EINTR) throw this.error(doing, code);
  }

  close(descriptor: number): void {
    const failed = this.#library.symbols.close(descriptor) === -1;
    // Whatever else it says, it has closed.
    if (failed && this.errno === os.constants.errno.EBADF) {
      throw new Deno.errors.BadResource(
        `Cannot close descriptor ${descriptor}: it is not open`,
      );
    }
  }

  /** Close it when the program that this process becomes, or starts, begins. */
  closeOnExec(...descriptors: number[]): void {
    if (IS_LINUX) return;
    for (const descriptor of descriptors) {
      this.#library.symbols.ioctl(descriptor, FIOCLEX);
    }
  }

  /** How it was opened: `O_ACCMODE`, `O_APPEND`. */
  flags(doing: string, descriptor: number): number {
    const flags = this.#library.symbols.fcntl(descriptor, F_GETFL);
    if (flags !== -1) return flags;
    throw new Deno.errors.BadResource(
      `${doing} ${descriptor}: it is not open`,
    );
  }

  /** Where it will be read or written next; `undefined` where there is no such thing. */
  position(descriptor: number): bigint | undefined {
    const position = this.#library.symbols.lseek(descriptor, 0n, SEEK_CUR);
    return position === -1n ? undefined : position;
  }

  maxDescriptors(): number {
    return Math.min(this.#library.symbols.getdtablesize(), MAX_DESCRIPTORS);
  }

  localAddress(descriptor: number): Address | undefined {
    const { getsockname } = this.#library.symbols;
    return this.#readAddress((bytes, length) =>
      getsockname(descriptor, bytes, length)
    );
  }

  remoteAddress(descriptor: number): Address | undefined {
    const { getpeername } = this.#library.symbols;
    return this.#readAddress((bytes, length) =>
      getpeername(descriptor, bytes, length)
    );
  }

  isListening(descriptor: number): boolean {
    return this.localAddress(descriptor) !== undefined &&
      this.remoteAddress(descriptor) === undefined &&
      // Of a connection that was reset the address is gone, too. SO_ACCEPTCONN would
      // tell, but not on macOS.
      (this.poll(descriptor, 0) & POLLHUP) === 0;
  }

  #readAddress(
    read: (bytes: Uint8Array, length: Uint32Array) => number,
  ): Address | undefined {
    const bytes = new Uint8Array(128); // struct sockaddr_storage
    if (read(bytes, new Uint32Array([bytes.length])) === -1) return undefined;
    const view = new DataView(bytes.buffer);
    const family = IS_LINUX ? view.getUint16(0, true) : view.getUint8(1);
    const host = family === AF_INET ? bytes.slice(4, 8) : bytes.slice(8, 24);
    return { family, port: view.getUint16(2), host };
  }

  toAddress(hostname: string, port: number): Address {
    const family = hostname.includes(":") ? AF_INET6 : AF_INET;
    const host = new Uint8Array(family === AF_INET ? 4 : 16);
    const text = new TextEncoder().encode(`${hostname}\0`);
    this.#library.symbols.inet_pton(family, text, host);
    return { family, port, host };
  }

  #socket(doing: string): number {
    const { symbols } = this.#library;
    const type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    const socket = symbols.socket(AF_UNIX, type, 0);
    if (socket === -1) throw this.error(doing);
    this.closeOnExec(socket);
    return socket;
  }

  listen(path: string): number {
    const doing = `Cannot listen on "${path}"`;
    const { symbols } = this.#library;
    const socket = this.#socket(doing);
    const address = unixAddress(path);
    if (
      symbols.bind(socket, address, address.length) === -1 ||
      symbols.listen(socket, MAX_CANDIDATES) === -1
    ) {
      const error = this.error(doing);
      this.close(socket);
      throw error;
    }
    return socket;
  }

  connect(path: string): number {
    const doing = `Cannot connect to "${path}"`;
    const socket = this.#socket(doing);
    const address = unixAddress(path);
    if (
      this.#library.symbols.connect(socket, address, address.length) === -1
    ) {
      const error = this.error(doing);
      this.close(socket);
      throw error;
    }
    return socket;
  }

  /** Accept a connection, if there is one. */
  accept(listener: number): number | undefined {
    if (this.poll(listener, POLLIN) === 0) return undefined;
    const { accept } = this.#library.symbols;
    const flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    const socket = accept(listener, null, null, flags);
    if (socket === -1) {
      return this.#throwUnlessLater("Cannot accept connection");
    }
    this.closeOnExec(socket);
    return socket;
  }

  /** Send bytes, and a descriptor with them, unless that would block. */
  send(
    socket: number,
    bytes: Uint8Array,
    descriptor?: number,
  ): number | undefined {
    // macOS has no MSG_DONTWAIT for sending.
    if (this.poll(socket, POLLOUT) === 0) return undefined;
    this.#message.set(bytes, DATA_AT);
    if (descriptor === undefined) {
      this.#prepare(bytes.length, 0);
    } else {
      const length = CONTROL_DATA + 4;
      this.#prepare(
        bytes.length,
        Math.ceil(length / CONTROL_ALIGN) * CONTROL_ALIGN,
      );
      this.#message.fill(0, CONTROL_AT, CONTROL_AT + CONTROL_DATA + 8);
      this.#view.setUint32(CONTROL_AT, length, true);
      this.#view.setInt32(CONTROL_AT + CONTROL_LEVEL, SOL_SOCKET, true);
      this.#view.setInt32(CONTROL_AT + CONTROL_TYPE, SCM_RIGHTS, true);
      this.#view.setInt32(CONTROL_AT + CONTROL_DATA, descriptor, true);
    }
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    const sent = this.#library.symbols.sendmsg(socket, this.#message, flags);
    if (sent !== -1) return sent;
    return this.#throwUnlessLater(
      descriptor === undefined
        ? "Cannot send"
        : `Cannot send descriptor ${descriptor}`,
    );
  }

  /** Receive up to `length` bytes and what comes with them, if there is something. */
  receive(socket: number, length: number): Message | undefined {
    if (this.poll(socket, POLLIN) === 0) return undefined;
    this.#prepare(length, CONTROL_LENGTH);
    const flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
    const received = this.#library.symbols.recvmsg(
      socket,
      this.#message,
      flags,
    );
    if (received === -1) {
      return this.#throwUnlessLater("Cannot receive descriptor");
    }
    const descriptors = this.#receivedDescriptors();
    this.closeOnExec(...descriptors);
    const flagsSet = this.#view.getInt32(MESSAGE_FLAGS, true);
    return {
      bytes: this.#message.slice(DATA_AT, DATA_AT + received),
      descriptors,
      isTruncated: (flagsSet & MSG_CTRUNC) !== 0,
    };
  }

  #prepare(dataLength: number, controlLength: number) {
    const view = this.#view;
    this.#message.fill(0, 0, DATA_AT);
    view.setBigUint64(MESSAGE_PARTS, this.#address + BigInt(PART_AT), true);
    view.setUint32(MESSAGE_PARTS_LENGTH, 1, true);
    view.setBigUint64(PART_AT, this.#address + BigInt(DATA_AT), true);
    view.setUint32(PART_AT + 8, dataLength, true);
    if (controlLength === 0) return;
    view.setBigUint64(
      MESSAGE_CONTROL,
      this.#address + BigInt(CONTROL_AT),
      true,
    );
    view.setUint32(MESSAGE_CONTROL_LENGTH, controlLength, true);
  }

  #receivedDescriptors(): number[] {
    const view = this.#view;
    const end = CONTROL_AT + view.getUint32(MESSAGE_CONTROL_LENGTH, true);
    const descriptors = [];
    for (let at = CONTROL_AT; at + CONTROL_DATA <= end;) {
      const length = view.getUint32(at, true);
      if (length < CONTROL_DATA) break;
      if (
        view.getInt32(at + CONTROL_LEVEL, true) === SOL_SOCKET &&
        view.getInt32(at + CONTROL_TYPE, true) === SCM_RIGHTS
      ) {
        const dataEnd = Math.min(at + length, end);
        for (let item = at + CONTROL_DATA; item + 4 <= dataEnd; item += 4) {
          descriptors.push(view.getInt32(item, true));
        }
      }
      at += Math.ceil(length / CONTROL_ALIGN) * CONTROL_ALIGN;
    }
    return descriptors;
  }

  /** What the descriptor is ready for now, of `events` and whatever ends it; 0: nothing. */
  poll(descriptor: number, events: number): number {
    setPollEntry(this.#pollEntry, 0, descriptor, events);
    const count = this.#library.symbols.poll(this.#pollEntry, 1n, 0);
    return count > 0 ? pollResult(this.#pollEntry, 0) : 0;
  }
}

/**
 * Waits for descriptors. One `poll()` on one thread does it for everybody, since the pool
 * of threads that Deno has for such calls, and for its own files, is of 32.
 */
class Poller implements Disposable {
  readonly #libc: Libc;
  readonly #waiters = new Set<Waiter>();
  /** Ready when somebody writes to `#alarmBell`, which ends a `poll()`. */
  readonly #alarm: number;
  readonly #alarmBell: number;
  #isRunning = false;
  #isPolling = false;
  #isAlarmed = false;

  constructor(libc: Libc) {
    const ends = new Int32Array(2);
    const type = SOCK_STREAM | SOCK_CLOEXEC;
    if (libc.symbols.socketpair(AF_UNIX, type, 0, ends) === -1) {
      throw libc.error("Cannot wait for descriptors");
    }
    libc.closeOnExec(...ends);
    [this.#alarm = -1, this.#alarmBell = -1] = ends;
    this.#libc = libc;
  }

  [Symbol.dispose](): void {
    this.#libc.close(this.#alarm);
    this.#libc.close(this.#alarmBell);
  }

  /** Wait until one of the descriptors is ready for `events`. */
  wait(descriptors: readonly number[], events: number): Wait {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { descriptors, events, isOver: false, resolve, reject };
    this.#waiters.add(waiter);
    if (this.#isRunning) this.#raiseAlarm();
    else this.#run();
    return {
      over: promise,
      cancel: () => {
        waiter.isOver = true;
        this.#raiseAlarm();
      },
    };
  }

  #raiseAlarm() {
    if (!this.#isPolling || this.#isAlarmed) return;
    this.#isAlarmed = true;
    this.#libc.symbols.write(this.#alarmBell, new Uint8Array(1), 1n);
  }

  async #run() {
    this.#isRunning = true;
    for (;;) {
      for (const waiter of this.#waiters) {
        if (!waiter.isOver) continue;
        this.#waiters.delete(waiter);
        waiter.resolve();
      }
      // Who is woken mostly waits again at once: let it be part of the next poll().
      await null;
      if (this.#waiters.size === 0) break;
      await this.#poll();
    }
    this.#isRunning = false;
  }

  async #poll() {
    const entries = [...this.#waiters].flatMap((waiter) =>
      waiter.descriptors.map((descriptor) => ({ descriptor, waiter }))
    );
    const view = new DataView(new ArrayBuffer(8 * (entries.length + 1)));
    setPollEntry(view, 0, this.#alarm, POLLIN);
    for (const [index, { descriptor, waiter }] of entries.entries()) {
      setPollEntry(view, index + 1, descriptor, waiter.events);
    }
    const { symbols } = this.#libc;
    const count = BigInt(entries.length + 1);
    this.#isPolling = true;
    const ready = await symbols.pollInThread(view, count, -1);
    this.#isPolling = false;

    // That errno was another thread's: ask again on this one.
    if (ready === -1 && symbols.poll(view, count, 0) === -1) {
      return this.#fail();
    }
    if (pollResult(view, 0) !== 0) {
      symbols.read(this.#alarm, new Uint8Array(1), 1n);
      this.#isAlarmed = false;
    }
    for (const [index, { waiter }] of entries.entries()) {
      if (pollResult(view, index + 1) !== 0) waiter.isOver = true;
    }
  }

  #fail() {
    const code = this.#libc.errno;
    if (code === os.constants.errno.EINTR) return;
    const error = this.#libc.error("Cannot wait for descriptors", code);
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
  }
}

/** Set an entry of an array of `struct pollfd`. */
function setPollEntry(
  view: DataView,
  index: number,
  descriptor: number,
  events: number,
) {
  view.setInt32(8 * index, descriptor, true);
  view.setInt16(8 * index + 4, events, true);
  view.setInt16(8 * index + 6, 0, true);
}

function pollResult(view: DataView, index: number): number {
  return view.getInt16(8 * index + 6, true);
}

/** Make a `struct sockaddr_un`. */
function unixAddress(path: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(`\0\0${path}\0`);
  if (IS_LINUX) bytes[0] = AF_UNIX;
  else bytes.set([bytes.length, AF_UNIX]);
  return bytes;
}

function load(): Library {
  const { os, arch } = Deno.build;
  if (os !== "linux" && os !== "darwin") {
    throw new Deno.errors.NotSupported(
      `Cannot use descriptors on ${os} (${arch}): Linux and macOS can`,
    );
  }
  if (Deno.permissions.requestSync({ name: "ffi" }).state !== "granted") {
    throw new Deno.errors.NotCapable(
      "Cannot use descriptors: it requires ffi access in full, run again with the --allow-ffi flag",
    );
  }
  // Musl takes the first name for its own, too.
  const name = IS_LINUX ? "libc.so.6" : "/usr/lib/libSystem.B.dylib";
  return Deno.dlopen(name, SYMBOLS);
}

/** What nobody awaits must not count as unhandled. */
function handled<P extends Promise<unknown>>(promise: P): P {
  promise.catch(() => {});
  return promise;
}

function checkDescriptor(doing: string, descriptor: number): void {
  if ((descriptor | 0) === descriptor) return;
  throw new TypeError(
    `${doing} ${descriptor}: a descriptor is an integer of 32 bits`,
  );
}

interface Operation {
  /** Returns whether it is done. */
  attempt(): boolean;
  reject(reason: unknown): void;
}

/** Operations on a socket in one direction, done in call order. */
class Line {
  readonly #poller: Poller;
  readonly #socket: number;
  readonly #events: number;
  readonly #operations: Operation[] = [];
  #wait: Wait | undefined;
  #progress: Promise<void> | undefined;

  constructor(poller: Poller, socket: number, events: number) {
    this.#poller = poller;
    this.#socket = socket;
    this.#events = events;
  }

  /**
   * Do something now, or when the socket is ready and those before are done. It returns
   * `undefined` as long as it would block.
   */
  do<T>(act: () => T | undefined, signal?: AbortSignal): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    handled(promise);
    if (signal?.aborted) {
      reject(signal.reason);
      return promise;
    }
    const operation = {
      attempt() {
        try {
          const result = act();
          if (result === undefined) return false;
          resolve(result);
        } catch (error) {
          reject(error);
        }
        return true;
      },
      reject,
    };
    if (this.#operations.length === 0 && operation.attempt()) return promise;
    this.#operations.push(operation);
    this.#progress ??= this.#proceed();
    if (signal) {
      const onAbort = () => {
        const at = this.#operations.indexOf(operation);
        if (at !== -1) this.#operations.splice(at, 1);
        if (this.#operations.length === 0) this.#wait?.cancel();
        reject(signal.reason);
      };
      const forget = () => signal.removeEventListener("abort", onAbort);
      signal.addEventListener("abort", onAbort);
      promise.then(forget, forget);
    }
    return promise;
  }

  /** Resolves when nothing is left to do, and nobody waits for the socket. */
  async finish(): Promise<void> {
    await this.#progress;
  }

  /** Attempt all that is left once more, which then must not block. */
  flush(): void {
    this.#attemptAll();
    this.#wait?.cancel();
  }

  async #proceed() {
    while (this.#operations.length > 0) {
      this.#wait = this.#poller.wait([this.#socket], this.#events);
      try {
        await this.#wait.over;
      } catch (error) {
        for (const operation of this.#operations.splice(0)) {
          operation.reject(error);
        }
      }
      this.#attemptAll();
    }
    this.#wait = undefined;
    this.#progress = undefined;
  }

  #attemptAll() {
    while (this.#operations[0]?.attempt()) this.#operations.shift();
  }
}

/** Options for {@linkcode DescriptorSocket.receive}. */
export interface ReceiveDescriptorOptions {
  /** Gives up the wait. No descriptor is lost: the next call gets it. */
  signal?: AbortSignal;
}

/**
 * A connected Unix socket over which descriptors go both ways.
 *
 * A program mostly gets one from {@linkcode spawnWithDescriptors} or
 * {@linkcode connectDescriptorsToParent}. It is wire-compatible with `send_io` and
 * `recv_io` of Ruby, `send_fds` and `recv_fds` of Python, and `SCM_RIGHTS` anywhere: one
 * byte, whatever its value, comes with each message.
 *
 * A descriptor that is sent stays open in the sender until the sender closes it, and one
 * that is received belongs to the receiver, who closes it. Both then share one open file:
 * its position, its status flags, and the state of a socket. So a socket that was Deno's
 * never blocks (`O_NONBLOCK`): Ruby copes with it, and Python does after
 * `setblocking(True)`. What is sent and has not been received counts against the sender's
 * limit of open files.
 *
 * While it waits a socket keeps the process alive. Close it before the worker that it is in
 * is terminated: until somebody sends, the wait would go on without it.
 *
 * @example
 * ```ts
 * import { closeSync, openSync } from "node:fs";
 * import { openFile, spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertEquals } from "@std/assert";
 *
 * // The child sends each descriptor back.
 * const program = `
 * require "socket"
 * UNIXSocket.new(ENV["SOCKETPAIR_PATH"]).write(ENV["SOCKETPAIR_TOKEN"])
 * descriptors = UNIXSocket.new(ENV["SOCKETPAIR_DESCRIPTORS_PATH"])
 * descriptors.write(ENV["SOCKETPAIR_TOKEN"])
 * descriptors.send_io(descriptors.recv_io)
 * `;
 * const { child, descriptors } = await spawnWithDescriptors("ruby", { args: ["-e", program] });
 *
 * const path = await Deno.makeTempFile();
 * await Deno.writeTextFile(path, "taco cat");
 * const descriptor = openSync(path, "r");
 * await descriptors.send(descriptor);
 * closeSync(descriptor);
 *
 * const received = await descriptors.receive();
 * if (received === null) throw new Error("The child sent nothing");
 * const file = await openFile(received);
 * assertEquals(await new Response(file.readable).text(), "taco cat");
 *
 * assertEquals(await descriptors.receive(), null);
 * await descriptors.close();
 * await child.close();
 * await Deno.remove(path);
 * ```
 */
export class DescriptorSocket implements AsyncDisposable {
  readonly #libc: Libc;
  readonly #socket: number;
  readonly #sending: Line;
  readonly #receiving: Line;
  /** Those that came with another one. */
  readonly #arrived: number[] = [];
  #closed: Promise<void> | undefined;

  /**
   * Construct a new instance over a Unix stream socket that is connected already: one that
   * was inherited, say, or was itself received. It belongs to the instance from then on.
   *
   * @param descriptor The descriptor of the socket.
   *
   * @throws {Deno.errors.BadResource} If the descriptor is not open.
   * @throws {TypeError} If it is no Unix socket.
   * @throws {Deno.errors.NotCapable} If `--allow-ffi` is not given in full.
   * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
   */
  constructor(descriptor: number) {
    const doing = "Cannot use descriptor";
    checkDescriptor(doing, descriptor);
    this.#libc = Libc.use();
    try {
      this.#libc.flags(doing, descriptor);
      if (this.#libc.localAddress(descriptor)?.family !== AF_UNIX) {
        throw new TypeError(
          `${doing} ${descriptor}: it is not a Unix socket`,
        );
      }
      const { poller } = this.#libc;
      this.#sending = new Line(poller, descriptor, POLLOUT);
      this.#receiving = new Line(poller, descriptor, POLLIN);
    } catch (error) {
      this.#libc[Symbol.dispose]();
      throw error;
    }
    this.#socket = descriptor;
  }

  /**
   * Send a descriptor.
   *
   * Calls may overlap: descriptors are sent in call order. When the receiver does not keep
   * up, the system takes some 70 (on Linux), and then the promise stays pending.
   *
   * @param descriptor The descriptor. It stays open; leave it so until the promise has
   * settled.
   * @returns A promise that resolves once the system has taken the descriptor.
   *
   * @throws {Deno.errors.BadResource} If the descriptor is not open.
   * @throws {Deno.errors.BrokenPipe} If the peer has closed its socket.
   * @throws {TypeError} If this socket is closed, or `descriptor` is not an integer.
   */
  send(descriptor: number): Promise<void> {
    return handled(this.#send(descriptor));
  }

  async #send(descriptor: number) {
    checkDescriptor("Cannot send descriptor", descriptor);
    if (this.#closed) {
      throw new TypeError(
        `Cannot send descriptor ${descriptor}: the socket is closed`,
      );
    }
    const byte = new Uint8Array(1);
    await this.#sending.do(() =>
      this.#libc.send(this.#socket, byte, descriptor)
    );
  }

  /**
   * Receive the next descriptor.
   *
   * Calls may overlap: they are answered in call order. Where a message carries several
   * descriptors, each is received by a call of its own. A bad message harms only itself:
   * the next call gets the next one.
   *
   * @param options When to give up.
   * @returns A promise of the descriptor, which is the caller's to close, by whatever opens
   * it ({@linkcode openFile}, {@linkcode openSocket}, {@linkcode listen}) or by
   * {@linkcode closeDescriptor}; programs that this one starts do not inherit it. `null`
   * when the peer has closed its socket, or this one is closed.
   *
   * @throws {Deno.errors.InvalidData} If a byte came without a descriptor.
   * @throws {Error} If the system dropped descriptors, mostly since this process has too
   * many open.
   * @throws {Deno.errors.ConnectionReset} If the peer went without receiving what was sent.
   * @throws {unknown} The reason of the signal, when it aborts.
   */
  receive(options: ReceiveDescriptorOptions = {}): Promise<number | null> {
    return this.#receiving.do(() => this.#receive(), options.signal);
  }

  #receive(): number | null | undefined {
    if (this.#closed) return null;
    const next = this.#arrived.shift();
    if (next !== undefined) return next;
    // One byte at a time: of more, nobody could tell which one a descriptor came with.
    const message = this.#libc.receive(this.#socket, 1);
    if (message === undefined) return undefined;
    const { bytes, descriptors, isTruncated } = message;
    if (isTruncated) {
      for (const descriptor of descriptors) this.#libc.close(descriptor);
      throw new Error(
        "Cannot receive descriptor: the system dropped it, mostly since too many files are open",
      );
    }
    const [first, ...others] = descriptors;
    if (first !== undefined) {
      this.#arrived.push(...others);
      return first;
    }
    if (bytes.length === 0) return null;
    throw new Deno.errors.InvalidData(
      "Cannot receive descriptor: a byte came without one",
    );
  }

  /**
   * Close the socket, once what is being sent has been sent.
   *
   * Pending calls of {@linkcode DescriptorSocket.receive} resolve to `null`. Descriptors
   * that came and that nobody received are closed.
   *
   * @returns A promise that resolves once the socket is closed; the same one each time.
   */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close() {
    // So that receive() sees that it is closed.
    await null;
    this.#receiving.flush();
    await this.#receiving.finish();
    await this.#sending.finish();
    using libc = this.#libc;
    for (const descriptor of this.#arrived) libc.close(descriptor);
    libc.close(this.#socket);
  }

  /**
   * Close the socket, as {@linkcode DescriptorSocket.close} does.
   *
   * @returns A promise that resolves once the socket is closed.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Waits for the one connection that brings the token. */
class Reception {
  /** What the child sends and receives descriptors by, once it is in. */
  descriptors: DescriptorSocket | undefined;
  readonly #libc: Libc;
  readonly #poller: Poller;
  readonly #timingSafeEqual: typeof import("node:crypto").timingSafeEqual;
  #path = "";
  #token = new Uint8Array();
  #listener = -1;
  /** What each one has sent of its token, the longest waiting first. */
  readonly #candidates = new Map<number, Uint8Array>();
  #connected: Promise<void> | undefined;

  constructor(
    libc: Libc,
    timingSafeEqual: typeof import("node:crypto").timingSafeEqual,
  ) {
    this.#libc = libc;
    this.#poller = libc.poller;
    this.#timingSafeEqual = timingSafeEqual;
  }

  open(
    directory: string,
    token: string,
    { uid = null, gid = null }: { uid?: number | null; gid?: number | null },
  ): Attachment {
    this.#path = `${directory}/d`;
    this.#token = new TextEncoder().encode(token);
    this.#listener = this.#libc.listen(this.#path);
    try {
      if (uid !== null || gid !== null) Deno.chownSync(this.#path, uid, gid);
    } catch (error) {
      this.#libc.close(this.#listener);
      throw error;
    }
    return {
      env: { [PATH_VARIABLE]: this.#path },
      connected: (signal) => this.#connected = this.#connect(signal),
      dispose: () => this.#dispose(),
    };
  }

  async #connect(signal: AbortSignal) {
    for (;;) {
      // Who has come is let in even when the time is up, or the child has ended.
      const socket = this.#admit();
      if (socket !== undefined) {
        this.descriptors = new DescriptorSocket(socket);
        return;
      }
      signal.throwIfAborted();
      const { over, cancel } = this.#poller.wait(
        [this.#listener, ...this.#candidates.keys()],
        POLLIN,
      );
      signal.addEventListener("abort", cancel);
      try {
        await over;
      } finally {
        signal.removeEventListener("abort", cancel);
      }
    }
  }

  /** Let in the one whose token has come, and drop those who have none or a wrong one. */
  #admit(): number | undefined {
    for (let count = 0; count < MAX_CANDIDATES; count++) {
      const socket = this.#libc.accept(this.#listener);
      if (socket === undefined) break;
      this.#candidates.set(socket, new Uint8Array());
    }
    for (const [socket, start] of this.#candidates) {
      const token = this.#receiveToken(socket, start);
      if (token === undefined) {
        this.#drop(socket);
      } else if (token.length < this.#token.length) {
        this.#candidates.set(socket, token);
      } else if (this.#timingSafeEqual(token, this.#token)) {
        this.#candidates.delete(socket);
        return socket;
      } else {
        this.#drop(socket);
      }
    }
    for (const longest of this.#candidates.keys()) {
      if (this.#candidates.size <= MAX_CANDIDATES) break;
      this.#drop(longest);
    }
    return undefined;
  }

  /** Receive more of a token; `undefined` where no more will come. */
  #receiveToken(socket: number, start: Uint8Array): Uint8Array | undefined {
    try {
      const missing = this.#token.length - start.length;
      const message = this.#libc.receive(socket, missing);
      if (message === undefined) return start;
      for (const descriptor of message.descriptors) {
        this.#libc.close(descriptor);
      }
      if (message.bytes.length === 0) return undefined;
      const token = new Uint8Array(start.length + message.bytes.length);
      token.set(start);
      token.set(message.bytes, start.length);
      return token;
    } catch {
      return undefined;
    }
  }

  #drop(socket: number) {
    this.#candidates.delete(socket);
    this.#libc.close(socket);
  }

  async #dispose() {
    await this.#connected?.catch(() => {});
    for (const candidate of this.#candidates.keys()) this.#drop(candidate);
    this.#libc.close(this.#listener);
    // The path goes with the directory.
  }
}

/** Options for {@linkcode spawnWithDescriptors}: those of `spawn()`, over a Unix socket. */
export type SpawnWithDescriptorsOptions<T> = Omit<SpawnOptions<T>, "transport">;

/** A child and a socket for descriptors: what {@linkcode spawnWithDescriptors} resolves to. */
export interface ChildWithDescriptors<T> extends AsyncDisposable {
  /** The child, as `spawn()` gives it. */
  readonly child: Child<T>;
  /** The socket over which descriptors go to the child and come from it. */
  readonly descriptors: DescriptorSocket;
}

/** A channel and a socket for descriptors: what {@linkcode connectDescriptorsToParent} resolves to. */
export interface ParentWithDescriptors<T> extends AsyncDisposable {
  /** The channel to the parent, as `connectToParent()` gives it. */
  readonly channel: Channel<T>;
  /** The socket over which descriptors go to the parent and come from it. */
  readonly descriptors: DescriptorSocket;
}

/**
 * Start a program as a child process, and connect to it twice: by a channel, as `spawn()`
 * does, and by a socket for descriptors.
 *
 * The child finds the path of the second socket in its environment variable
 * `SOCKETPAIR_DESCRIPTORS_PATH`. It connects to both, in any order, and writes the token in
 * `SOCKETPAIR_TOKEN` to each. A Deno child calls {@linkcode connectDescriptorsToParent}.
 *
 * Needs `--allow-ffi` and what `spawn()` needs.
 *
 * @example A child in Python that opens a file for its parent
 * ```ts
 * import { openFile, spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertEquals } from "@std/assert";
 *
 * const program = `
 * import os, socket, sys
 *
 * def connect(variable):
 *     connection = socket.socket(socket.AF_UNIX)
 *     connection.connect(os.environ[variable])
 *     connection.sendall(os.environ["SOCKETPAIR_TOKEN"].encode())
 *     return connection
 *
 * channel = connect("SOCKETPAIR_PATH")
 * descriptors = connect("SOCKETPAIR_DESCRIPTORS_PATH")
 * with open(sys.argv[1]) as file:
 *     socket.send_fds(descriptors, [b"."], [file.fileno()])
 * `;
 * const path = await Deno.makeTempFile();
 * await Deno.writeTextFile(path, "taco cat");
 *
 * const { child, descriptors } = await spawnWithDescriptors("python3", {
 *   args: ["-c", program, path],
 * });
 * const descriptor = await descriptors.receive();
 * if (descriptor === null) throw new Error("The child sent nothing");
 * const file = await openFile(descriptor);
 * assertEquals(await new Response(file.readable).text(), "taco cat");
 *
 * await descriptors.close();
 * await child.close();
 * await Deno.remove(path);
 * ```
 *
 * @typeParam T What is sent and received over the channel.
 * @param command The program: a path, or a name to be found in `PATH`.
 * @param options The options of `spawn()`, without `transport`.
 * @returns The child and the socket for descriptors, both connected. At the end of an
 * `await using` block both are closed; so they are by `close()` of each.
 * @throws {Deno.errors.NotCapable} If `--allow-ffi` is not given in full.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
 * @throws {Error} As `spawn()`.
 */
export async function spawnWithDescriptors<T = Uint8Array<ArrayBuffer>>(
  command: string | URL,
  options: SpawnWithDescriptorsOptions<T> = {},
): Promise<ChildWithDescriptors<T>> {
  using libc = Libc.use();
  // It takes 15 ms to load, and a child has no use for it.
  const { timingSafeEqual } = await import("node:crypto");
  const reception = new Reception(libc, timingSafeEqual);
  try {
    const launchOptions: LaunchOptions<T> = {
      ...options,
      transport: "unix",
      [HOOKS]: {
        attach: ({ directory, token }) =>
          reception.open(directory, token, options),
      },
    };
    const child = await spawn(command, launchOptions);
    const { descriptors } = reception;
    if (descriptors === undefined) {
      throw new Error("Cannot connect to child: the wait for it ended early");
    }
    return {
      child,
      descriptors,
      async [Symbol.asyncDispose]() {
        await Promise.all([descriptors.close(), child.close()]);
      },
    };
  } catch (error) {
    await reception.descriptors?.close();
    throw error;
  }
}

/**
 * Connect to the process that started this one by {@linkcode spawnWithDescriptors}: by a
 * channel, as `connectToParent()` does, and by a socket for descriptors.
 *
 * Call it instead of `connectToParent()`, as the token serves both. It takes the variables
 * out of the environment, so that children of this process do not inherit them.
 *
 * Needs `--allow-ffi`, `--allow-env=SOCKETPAIR_DESCRIPTORS_PATH`, and what
 * `connectToParent()` needs.
 *
 * @example A child that answers each connection that its parent accepts
 * ```ts ignore
 * import {
 *   connectDescriptorsToParent,
 *   openSocket,
 * } from "@socketpair/socketpair/descriptors";
 *
 * const { descriptors } = await connectDescriptorsToParent();
 * for (
 *   let descriptor;
 *   (descriptor = await descriptors.receive()) !== null;
 * ) {
 *   openSocket(descriptor).end(`Hello from process ${Deno.pid}\n`);
 * }
 * ```
 *
 * @typeParam T What is sent and received over the channel.
 * @param options Framing, serialization and limits of the channel; they must be the
 * parent's.
 * @returns The channel and the socket for descriptors. At the end of an `await using` block
 * both are closed; so they are by `close()` of each.
 * @throws {Error} If this process was not started so, or has connected already.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
 */
export async function connectDescriptorsToParent<T = Uint8Array<ArrayBuffer>>(
  options: ChannelOptions<T> = {},
): Promise<ParentWithDescriptors<T>> {
  const path = Deno.env.get(PATH_VARIABLE);
  const token = Deno.env.get(TOKEN_VARIABLE);
  if (path === undefined || token === undefined) {
    throw new Error(
      `Cannot connect to parent: ${PATH_VARIABLE} and ${TOKEN_VARIABLE} are not set: spawnWithDescriptors() sets them, and they serve once`,
    );
  }
  Deno.env.delete(PATH_VARIABLE);
  const descriptors = connectTo(path, token);
  try {
    const channel = await connectToParent<T>(options);
    return {
      channel,
      descriptors,
      async [Symbol.asyncDispose]() {
        await Promise.all([descriptors.close(), channel.close()]);
      },
    };
  } catch (error) {
    await descriptors.close();
    throw error;
  }
}

function connectTo(path: string, token: string): DescriptorSocket {
  using libc = Libc.use();
  const socket = libc.connect(path);
  try {
    // The buffer of a new socket has room for it.
    libc.send(socket, new TextEncoder().encode(token));
    return new DescriptorSocket(socket);
  } catch (error) {
    libc.close(socket);
    throw error;
  }
}

/**
 * Get the descriptor of a TCP connection or listener, in order to send it.
 *
 * It stays the socket's own: sending it hands on a copy, and the socket still has to be
 * closed. Close a `net.Socket` by `destroy()`, as `end()` would end the connection for its
 * receiver, too. Accept with `pauseOnConnect: true`, since what has been read here nobody
 * else can read.
 *
 * A `Deno.TcpConn` is not taken, as its `close()` also ends sending for all who
 * hold it: accept with `node:net`. The socket is found by its addresses, so with several
 * listeners on one port (`reusePort`) any of them is.
 *
 * For a file use the number that `openSync()` of `node:fs` gives: a `Deno.FsFile` does not
 * tell its own.
 *
 * @example
 * ```ts
 * import net from "node:net";
 * import { once } from "node:events";
 * import { descriptorOf } from "@socketpair/socketpair/descriptors";
 * import { assertGreater } from "@std/assert";
 *
 * const server = net.createServer().listen(0, "127.0.0.1");
 * await once(server, "listening");
 * assertGreater(descriptorOf(server), 2);
 * server.close();
 * ```
 *
 * @param socket The socket.
 * @returns Its descriptor.
 *
 * @throws {Deno.errors.BadResource} If it is closed, or its peer has reset it.
 * @throws {TypeError} If it is not a TCP socket.
 * @throws {Deno.errors.NotCapable} If `--allow-ffi` is not given in full.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
 */
export function descriptorOf(
  socket: net.Socket | net.Server | Deno.TcpListener,
): number {
  using libc = Libc.use();
  const { local, remote } = addressesOf(libc, socket);
  const end = libc.maxDescriptors();
  for (let descriptor = 0; descriptor < end; descriptor++) {
    if (!isSame(libc.localAddress(descriptor), local)) continue;
    const isIt = remote
      ? isSame(libc.remoteAddress(descriptor), remote)
      : libc.isListening(descriptor);
    if (isIt) return descriptor;
  }
  throw new Deno.errors.BadResource(
    "Cannot find descriptor of socket: it is closed, or its peer has reset it",
  );
}

function addressesOf(
  libc: Libc,
  socket: net.Socket | net.Server | Deno.TcpListener,
): { local: Address; remote?: Address } {
  if (socket instanceof net.Socket) {
    const { localAddress, localPort, remoteAddress, remotePort } = socket;
    if (localAddress && localPort && remoteAddress && remotePort) {
      return {
        local: libc.toAddress(localAddress, localPort),
        remote: libc.toAddress(remoteAddress, remotePort),
      };
    }
  } else if (socket instanceof net.Server) {
    const address = socket.address();
    if (address !== null && typeof address === "object") {
      return { local: libc.toAddress(address.address, address.port) };
    }
  } else if ("addr" in socket && socket.addr.transport === "tcp") {
    const { hostname, port } = socket.addr;
    return { local: libc.toAddress(hostname, port) };
  }
  throw new TypeError(
    "Cannot find descriptor of socket: it is not an open TCP socket",
  );
}

function isSame(address: Address | undefined, other: Address): boolean {
  return address !== undefined && address.family === other.family &&
    address.port === other.port &&
    other.host.every((byte, index) => byte === address.host[index]);
}

/**
 * Open a descriptor as a file: a regular file, a directory, a device, a terminal.
 *
 * The file belongs to the caller, and the descriptor to the file: it is closed. If the
 * promise rejects, the descriptor is as before.
 *
 * Deno has no way to take an open descriptor for a file, so this opens `/dev/fd/N`, with the
 * same access and at the same position. On macOS that is the same open file. **On Linux it is
 * opened once more**: the position is shared with the sender no longer, nor are locks
 * (`flock`) and later changes of its flags, and it fails with
 * `Deno.errors.PermissionDenied` if this user could not have opened the file by itself. A
 * file that has been deleted opens none the less.
 *
 * Needs `--allow-all` besides, since Deno asks that of whoever opens `/dev/fd/N`.
 *
 * @example A file that a child in Ruby opened
 * ```ts
 * import { openFile, spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertEquals } from "@std/assert";
 *
 * const program = `
 * require "socket"
 * connections = %w[SOCKETPAIR_PATH SOCKETPAIR_DESCRIPTORS_PATH].map do |name|
 *   UNIXSocket.new(ENV[name]).tap { |socket| socket.write(ENV["SOCKETPAIR_TOKEN"]) }
 * end
 * connections.last.send_io(File.open(ARGV.first))
 * `;
 * const path = await Deno.makeTempFile();
 * await Deno.writeTextFile(path, "taco cat");
 *
 * await using both = await spawnWithDescriptors("ruby", { args: ["-e", program, path] });
 * const descriptor = await both.descriptors.receive();
 * if (descriptor === null) throw new Error("The child sent nothing");
 * const file = await openFile(descriptor);
 * assertEquals(await new Response(file.readable).text(), "taco cat");
 * await Deno.remove(path);
 * ```
 *
 * @param descriptor The descriptor.
 * @returns A promise of the file.
 *
 * @throws {Deno.errors.BadResource} If the descriptor is not open.
 * @throws {TypeError} If it is a pipe or a socket: {@linkcode openSocket} opens those.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
 */
export async function openFile(descriptor: number): Promise<Deno.FsFile> {
  const doing = "Cannot open descriptor";
  checkDescriptor(doing, descriptor);
  using libc = Libc.use();
  const flags = libc.flags(doing, descriptor);
  const position = libc.position(descriptor);
  if (position === undefined && !isatty(descriptor)) {
    throw new TypeError(
      `${doing} ${descriptor} as a file: it is a pipe or a socket, which openSocket() opens`,
    );
  }
  const access = flags & O_ACCMODE;
  const file = await Deno.open(`/dev/fd/${descriptor}`, {
    read: access !== O_WRONLY,
    write: access !== O_RDONLY,
    append: (flags & O_APPEND) !== 0,
  });
  if (position !== undefined) await file.seek(position, Deno.SeekMode.Start);
  libc.close(descriptor);
  return file;
}

/**
 * Open a descriptor as a stream: a connected socket (TCP or Unix), or an end of a pipe.
 *
 * The descriptor belongs to the `net.Socket` and is closed with it. The end of a pipe is
 * readable or writable only. As any `net.Socket` it ends by itself when its peer ends,
 * unless its `allowHalfOpen` is set to `true`.
 *
 * @example The standard input of a child in Ruby
 * ```ts
 * import { openSocket, spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertEquals } from "@std/assert";
 *
 * const program = `
 * require "socket"
 * connections = %w[SOCKETPAIR_PATH SOCKETPAIR_DESCRIPTORS_PATH].map do |name|
 *   UNIXSocket.new(ENV[name]).tap { |socket| socket.write(ENV["SOCKETPAIR_TOKEN"]) }
 * end
 * connections.last.send_io($stdin)
 * `;
 *
 * await using both = await spawnWithDescriptors("ruby", {
 *   args: ["-e", program],
 *   stdin: "piped",
 * });
 * const descriptor = await both.descriptors.receive();
 * if (descriptor === null) throw new Error("The child sent nothing");
 * const socket = openSocket(descriptor);
 *
 * const writer = both.child.process.stdin.getWriter();
 * await writer.write(new TextEncoder().encode("taco cat"));
 * await writer.close();
 * assertEquals(String(await socket.toArray()), "taco cat");
 * ```
 *
 * @param descriptor The descriptor.
 * @returns The socket. If this throws, the descriptor is as before.
 *
 * @throws {Deno.errors.BadResource} If the descriptor is not open.
 * @throws {TypeError} If it is a file, or a listening socket.
 * @throws {Deno.errors.NotCapable} If `--allow-ffi` is not given in full.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
 */
export function openSocket(descriptor: number): net.Socket {
  const doing = "Cannot open descriptor";
  checkDescriptor(doing, descriptor);
  using libc = Libc.use();
  const access = libc.flags(doing, descriptor) & O_ACCMODE;
  if (libc.position(descriptor) !== undefined || isatty(descriptor)) {
    throw new TypeError(
      `${doing} ${descriptor} as a stream: it is a file, which openFile() opens`,
    );
  }
  if (libc.isListening(descriptor)) {
    throw new TypeError(
      `${doing} ${descriptor} as a stream: it is listening, which listen() is for`,
    );
  }
  return new net.Socket({
    fd: descriptor,
    readable: access !== O_WRONLY,
    writable: access !== O_RDONLY,
  });
}

/**
 * Accept connections on a descriptor that is a listening socket (TCP or Unix).
 *
 * The descriptor belongs to the server and is closed with it. Other processes that hold
 * the same socket may go on accepting: each connection goes to one of them.
 *
 * @example A listener of a child in Ruby, which has ended
 * ```ts
 * import net from "node:net";
 * import { once } from "node:events";
 * import { listen, spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertEquals } from "@std/assert";
 *
 * const program = `
 * require "socket"
 * connections = %w[SOCKETPAIR_PATH SOCKETPAIR_DESCRIPTORS_PATH].map do |name|
 *   UNIXSocket.new(ENV[name]).tap { |socket| socket.write(ENV["SOCKETPAIR_TOKEN"]) }
 * end
 * connections.last.send_io(TCPServer.new("127.0.0.1", 0))
 * `;
 *
 * const { child, descriptors } = await spawnWithDescriptors("ruby", { args: ["-e", program] });
 * const descriptor = await descriptors.receive();
 * if (descriptor === null) throw new Error("The child sent nothing");
 * await descriptors.close();
 * await child.close();
 *
 * const server = listen(descriptor);
 * server.on("connection", (socket) => socket.end("taco cat"));
 * await once(server, "listening");
 * const address = server.address();
 * if (typeof address !== "object" || address === null) throw new Error("It is no TCP socket");
 * const client = net.connect(address.port, "127.0.0.1");
 * assertEquals(String(await client.toArray()), "taco cat");
 * server.close();
 * await once(server, "close");
 * ```
 *
 * @param descriptor The descriptor.
 * @returns The server. If this throws, the descriptor is as before.
 *
 * @throws {Deno.errors.BadResource} If the descriptor is not open.
 * @throws {TypeError} If it is not a listening socket.
 * @throws {Deno.errors.NotCapable} If `--allow-ffi` is not given in full.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
 */
export function listen(descriptor: number): net.Server {
  const doing = "Cannot listen on descriptor";
  checkDescriptor(doing, descriptor);
  using libc = Libc.use();
  libc.flags(doing, descriptor);
  if (!libc.isListening(descriptor)) {
    throw new TypeError(
      `${doing} ${descriptor}: it is not a listening socket`,
    );
  }
  return net.createServer().listen({ fd: descriptor });
}

/**
 * Close a descriptor that nothing else owns: one that was received and is not wanted.
 *
 * What `openFile()`, `openSocket()` and `listen()` gave is closed by its own `close()` or
 * `destroy()`, and a number that `openSync()` of `node:fs` gave by `closeSync()`.
 *
 * @example
 * ```ts
 * import { closeDescriptor, spawnWithDescriptors } from "@socketpair/socketpair/descriptors";
 * import { assertThrows } from "@std/assert";
 *
 * const program = `
 * require "socket"
 * connections = %w[SOCKETPAIR_PATH SOCKETPAIR_DESCRIPTORS_PATH].map do |name|
 *   UNIXSocket.new(ENV[name]).tap { |socket| socket.write(ENV["SOCKETPAIR_TOKEN"]) }
 * end
 * connections.last.send_io($stdin)
 * `;
 *
 * await using both = await spawnWithDescriptors("ruby", { args: ["-e", program] });
 * const descriptor = await both.descriptors.receive();
 * if (descriptor === null) throw new Error("The child sent nothing");
 * closeDescriptor(descriptor);
 * assertThrows(() => closeDescriptor(descriptor), Deno.errors.BadResource);
 * ```
 *
 * @param descriptor The descriptor.
 *
 * @throws {Deno.errors.BadResource} If the descriptor is not open.
 * @throws {Deno.errors.NotCapable} If `--allow-ffi` is not given in full.
 * @throws {Deno.errors.NotSupported} On other systems than Linux and macOS.
 */
export function closeDescriptor(descriptor: number): void {
  checkDescriptor("Cannot close descriptor", descriptor);
  using libc = Libc.use();
  libc.close(descriptor);
}
