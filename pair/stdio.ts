/** The standard input and output of this process as its channel to the parent. */

import { Console } from "node:console";
import type { Socket } from "node:net";
import process from "node:process";
import { Writable } from "node:stream";
import type { Connection, DuplexStream } from "../channel.ts";

const STANDARD = [0, 1] as const;

let isTaken = false;

/**
 * Take descriptors for a channel to the parent. If standard output is one of them, other output
 * goes to standard error from now on.
 */
export async function takeStdio(
  [input, output]: readonly [input: number, output: number] = STANDARD,
): Promise<Connection | DuplexStream> {
  if (isTaken) {
    throw new Error(
      'Cannot connect to parent: transport: "stdio" can be used once, and a channel uses it',
    );
  }
  const { stdin, stdout } = Deno;
  const write = stdout.write.bind(stdout);
  const isStandard = input === STANDARD[0] && output === STANDARD[1];
  const adopted = isStandard ? undefined : await adopt(input, output);
  isTaken = true;
  if (output === STANDARD[1]) redirectOutput();
  return adopted ?? {
    read: (buffer) => stdin.read(buffer),
    write,
    // Deno keeps descriptor 1 open until this process ends; then the parent notices the end.
    closeWrite: () => Promise.resolve(),
    close: () => stdin.close(),
    ref() {},
    unref() {},
  };
}

async function adopt(input: number, output: number): Promise<DuplexStream> {
  const { Socket } = await import("node:net");
  let reading: Socket | undefined;
  let fd = input;
  try {
    const isOne = input === output;
    reading = new Socket({ fd, allowHalfOpen: true, writable: isOne });
    fd = output;
    const writing = isOne ? reading : new Socket({ fd, readable: false });
    return {
      readable: ReadableStream.from<Uint8Array>(reading),
      writable: Writable.toWeb(writing),
    };
  } catch (error) {
    reading?.destroy();
    throw new TypeError(
      `Cannot connect to parent: descriptor ${fd} is not an open pipe or socket`,
      { cause: error },
    );
  }
}

function redirectOutput() {
  const { stdout, stderr } = Deno;
  // Change the object itself, because other code may hold it.
  Object.defineProperties(stdout, {
    write: { value: (bytes: Uint8Array) => stderr.write(bytes) },
    writeSync: { value: (bytes: Uint8Array) => stderr.writeSync(bytes) },
    writable: { get: () => stderr.writable },
    isTerminal: { value: () => stderr.isTerminal() },
  });
  process.stdout.write = process.stderr.write.bind(process.stderr);
  Object.defineProperty(process, "stdout", {
    value: process.stderr,
    configurable: true,
    enumerable: true,
  });
  Object.assign(console, new Console(process.stderr));
}
