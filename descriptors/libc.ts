/**
 * The C library of Linux and macOS (x86-64 and arm64, which are little-endian). Each file has the
 * constants and structures that it uses. Linux: from its headers. macOS: from bsd/sys/socket.h and
 * bsd/sys/filio.h of apple-oss-distributions/xnu.
 *
 * Calls that could block are made only after `poll()` has reported that they will not. So all
 * calls run on the JavaScript thread, where `errno` belongs to the last one.
 *
 * @module
 */

import os from "node:os";

export const IS_LINUX: boolean = Deno.build.os === "linux";

const F_GETFL = 3;

/**
 * On macOS a second call sets close-on-exec. This `ioctl()` request takes no third argument, so
 * it works on arm64, where variadic arguments need a calling convention that `Deno.dlopen()` lacks.
 */
const FIOCLEX = 0x20006601n;

const SYMBOLS = {
  errno: {
    name: IS_LINUX ? "__errno_location" : "__error",
    parameters: [],
    result: "pointer",
  },
  malloc: { parameters: ["usize"], result: "pointer" },
  free: { parameters: ["pointer"], result: "void" },
  strerror: { parameters: ["i32"], result: "pointer" },
  close: { parameters: ["i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  fcntl: { parameters: ["i32", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "usize"], result: "i32" },
  getdtablesize: { parameters: [], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  accept: {
    // macOS has no accept4() and ignores the fourth argument.
    name: IS_LINUX ? "accept4" : "accept",
    parameters: ["i32", "buffer", "buffer", "i32"],
    result: "i32",
  },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  inet_pton: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // Their results fit in 32 bits, because the messages are short.
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  pollInThread: {
    name: "poll",
    parameters: ["pointer", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;

type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** Errors that callers may want to handle; the others are instances of `Error`. */
const ERROR_CLASSES = new Map([
  [os.constants.errno.EBADF, Deno.errors.BadResource],
  [os.constants.errno.EPIPE, Deno.errors.BrokenPipe],
  [os.constants.errno.ECONNRESET, Deno.errors.ConnectionReset],
]);

let loaded: Symbols | undefined;

/** Get the functions of the C library, which stays loaded. */
export function libc(): Symbols {
  return loaded ??= load();
}

function isSupported(): boolean {
  return ["linux", "darwin"].includes(Deno.build.os);
}

function load(): Symbols {
  const { os, arch } = Deno.build;
  if (!isSupported()) {
    throw new Deno.errors.NotSupported(
      `Cannot use descriptors on ${os} (${arch}): only Linux and macOS are supported`,
    );
  }
  if (Deno.permissions.requestSync({ name: "ffi" }).state !== "granted") {
    throw new Deno.errors.NotCapable(
      "Cannot use descriptors: that requires unrestricted ffi access, run again with the --allow-ffi flag",
    );
  }
  // musl also accepts this name.
  const name = IS_LINUX ? "libc.so.6" : "/usr/lib/libSystem.B.dylib";
  return Deno.dlopen(name, SYMBOLS).symbols;
}

// Load it on import if that needs no prompt: `deno test` reports a library that a test leaves loaded.
if (
  isSupported() &&
  Deno.permissions.querySync({ name: "ffi" }).state === "granted"
) {
  libc();
}

/** Get the flags with which a descriptor was opened: `O_ACCMODE`, `O_APPEND`. */
export function flagsOf(action: string, descriptor: number): number {
  checkDescriptor(action, descriptor);
  const flags = libc().fcntl(descriptor, F_GETFL);
  if (flags !== -1) return flags;
  throw new Deno.errors.BadResource(`${action} ${descriptor}: it is not open`);
}

/** Throw unless the number can be a descriptor. */
export function checkDescriptor(action: string, descriptor: number): void {
  if ((descriptor | 0) === descriptor) return;
  throw new TypeError(
    `${action} ${descriptor}: a descriptor is a 32-bit integer`,
  );
}

/** Set close-on-exec on macOS. On Linux, the call that creates a descriptor sets it. */
export function closeOnExec(...descriptors: number[]): void {
  if (IS_LINUX) return;
  for (const descriptor of descriptors) libc().ioctl(descriptor, FIOCLEX);
}

/**
 * Throw the error of the last call if its result says that it failed. Returns `true` if it failed
 * only because it would have blocked.
 */
export function wouldBlock(action: string, result: number): boolean {
  if (result !== -1) return false;
  if (errno() === os.constants.errno.EAGAIN) return true;
  throw systemError(action);
}

/** Create an error for the last call. */
export function systemError(action: string): Error {
  const code = errno();
  const text = libc().strerror(code);
  const reason = text === null ? "" : Deno.UnsafePointerView.getCString(text);
  return new (ERROR_CLASSES.get(code) ?? Error)(
    `${action}: ${reason} (os error ${code})`,
  );
}

function errno(): number {
  const pointer = libc().errno();
  return pointer === null ? 0 : new Deno.UnsafePointerView(pointer).getInt32();
}
