import os from "node:os";
import { FIOCLEX, IS_LINUX } from "./structures.ts";

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

/** The functions of the C library. */
export type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** Errors that callers may want to handle; the others are instances of `Error`. */
const ERROR_CLASSES = new Map([
  [os.constants.errno.EBADF, Deno.errors.BadResource],
  [os.constants.errno.EPIPE, Deno.errors.BrokenPipe],
  [os.constants.errno.ECONNRESET, Deno.errors.ConnectionReset],
]);

/** Load the C library. */
export function loadLibrary(): Deno.DynamicLibrary<typeof SYMBOLS> {
  const { os, arch } = Deno.build;
  if (os !== "linux" && os !== "darwin") {
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
  return Deno.dlopen(name, SYMBOLS);
}

/** Get the error number of the last call. */
export function errnoOf(symbols: Symbols): number {
  const errno = symbols.errno();
  return errno === null ? 0 : new Deno.UnsafePointerView(errno).getInt32();
}

/** Create an error for an error number, by default that of the last call. */
export function systemError(
  symbols: Symbols,
  action: string,
  code = errnoOf(symbols),
): Error {
  const text = symbols.strerror(code);
  const reason = text === null ? "" : Deno.UnsafePointerView.getCString(text);
  return new (ERROR_CLASSES.get(code) ?? Error)(
    `${action}: ${reason} (os error ${code})`,
  );
}

/** On macOS, set close-on-exec; on Linux, the descriptors have it already. */
export function closeOnExec(symbols: Symbols, ...descriptors: number[]): void {
  if (IS_LINUX) return;
  for (const descriptor of descriptors) symbols.ioctl(descriptor, FIOCLEX);
}
