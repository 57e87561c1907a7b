/** A child whose standard input and output are its channel: no socket, no token. */

import type { Connection } from "../channel.ts";
import { ConnectedChild, killAndRelease, type Started } from "./child.ts";
import { HOOKS, type LaunchOptions } from "./hooks.ts";
import type { SpawnOptions } from "./options.ts";
import type { Child } from "./outcome.ts";

const BUFFER_LENGTH = 65_536;

/** The options of the process that is to be talked to over its standard input and output. */
export function overPipes<In, Out>(
  options: LaunchOptions<In, Out>,
): SpawnOptions<In, Out> {
  for (const name of ["stdin", "stdout"] as const) {
    if (options[name] === undefined) continue;
    throw new TypeError(
      `Cannot use ${name}: "${
        options[name]
      }" with transport: "stdio": the channel is the child's standard input and output`,
    );
  }
  options.signal?.throwIfAborted();
  const args = options[HOOKS]?.argsFor?.() ?? options.args;
  return { ...options, args, stdin: "piped", stdout: "piped" };
}

/** Make a child of a process that has been started. */
export async function takePipes<In, Out>(
  started: Started,
  options: SpawnOptions<In, Out>,
): Promise<Child<In, Out>> {
  const conn = new PipeConnection(started.process);
  try {
    return new ConnectedChild(started, conn, { ...options, isUnix: false });
  } catch (error) {
    conn.close();
    await killAndRelease(started, { stderr: options.stderr });
    throw error;
  }
}

/** The parent's ends of the pipes that are the standard input and output of a child. */
class PipeConnection implements Connection {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** A read transfers it, and gives it back; one that overlaps has another. */
  #buffer = new ArrayBuffer(BUFFER_LENGTH);

  constructor({ stdin, stdout }: Deno.ChildProcess) {
    this.#reader = stdout.getReader({ mode: "byob" });
    this.#writer = stdin.getWriter();
    this.#reader.closed.catch(() => {});
    this.#writer.closed.catch(() => {});
    this.#writer.ready.catch(() => {});
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    const length = Math.min(buffer.length, BUFFER_LENGTH);
    if (this.#buffer.detached) this.#buffer = new ArrayBuffer(BUFFER_LENGTH);
    const { value, done } = await this.#reader.read(
      new Uint8Array(this.#buffer, 0, length),
    );
    if (value) this.#buffer = value.buffer;
    if (done) return null;
    buffer.set(value);
    return value.length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.#writer.write(bytes);
    return bytes.length;
  }

  async closeWrite(): Promise<void> {
    await this.#writer.close();
  }

  /**
   * Close both pipes. A write that waits cannot be cancelled: it goes on, and keeps its pipe
   * open, until nobody holds the child's end any more.
   */
  close(): void {
    this.#reader.cancel().catch(() => {});
    this.#writer.abort().catch(() => {});
  }

  /** `Deno.ChildProcess.ref()` says so for the process and its pipes alike. */
  ref(): void {}

  /** `Deno.ChildProcess.unref()` says so for the process and its pipes alike. */
  unref(): void {}
}
