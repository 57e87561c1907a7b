/**
 * The pipes that are the standard streams of a child: its channel over them, what is printed
 * copied line by line, and what nobody uses emptied.
 *
 * A module that inherits the terminal can read what is typed there, and a log file it can cut,
 * without any permission. Of a pipe it has nothing but the end that it writes to.
 *
 * @module
 */

import type { Connection } from "../channel.ts";
import type { SpawnOptions } from "./options.ts";

/** Bytes that are read at once. */
const BUFFER_LENGTH = 65_536;

/** A longer line is copied in parts. */
const MAX_LINE_LENGTH = 65_536;

/** How long to wait for more once the child has exited, in ms: somebody else may hold its pipe. */
const LATE_OUTPUT_TIMEOUT = 1_000;

/** Bytes that may still come then: the most that a pipe holds. */
const MAX_LATE_LENGTH = 1_048_576;

/** How long to wait for an output that takes nothing, in ms. */
const RETRY_DELAY = 10;

const NEWLINE = 0x0a;

/** Which of the standard streams are piped. */
export type PipeOptions = Pick<
  SpawnOptions<unknown>,
  "stdin" | "stdout" | "stderr"
>;

/** The options of a process that is to be talked to over its standard input and output. */
export function overPipes<In, Out>(
  options: SpawnOptions<In, Out>,
): SpawnOptions<In, Out> {
  for (const name of ["stdin", "stdout"] as const) {
    if (options[name] === undefined) continue;
    throw new TypeError(
      `Cannot use ${name}: "${
        options[name]
      }" with transport: "stdio": the channel is the child's standard input and output`,
    );
  }
  return { ...options, stdin: "piped", stdout: "piped" };
}

/** The parent's ends of the pipes that are the standard input and output of a child. */
export class PipeConnection implements Connection {
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

/**
 * Close the pipe to a child, and read and drop what comes by the others, so that the child does
 * not wait for them: those that nobody uses.
 *
 * @returns A function that closes the pipes. Somebody else may hold the child's end.
 */
export function emptyPipes(
  process: Deno.ChildProcess,
  { stdin, stdout, stderr }: PipeOptions,
): () => void {
  if (stdin === "piped" && !process.stdin.locked) {
    // It may be closed.
    process.stdin.close().catch(() => {});
  }
  const over = new AbortController();
  for (const output of unreadOutputs(process, { stdout, stderr })) {
    output.pipeTo(new WritableStream(), { signal: over.signal })
      .catch(() => {});
  }
  return () => over.abort();
}

/** Close the pipes of a child that nobody will get. */
export async function releasePipes(
  process: Deno.ChildProcess,
  { stdin, stdout, stderr }: PipeOptions,
): Promise<void> {
  if (stdin === "piped") await process.stdin.abort();
  for (const output of unreadOutputs(process, { stdout, stderr })) {
    await output.cancel();
  }
}

/** The outputs that are piped, and that nobody reads or copies. */
function unreadOutputs(
  process: Deno.ChildProcess,
  { stdout, stderr }: Omit<PipeOptions, "stdin">,
): ReadableStream<Uint8Array>[] {
  return [
    ...stdout === "piped" ? [process.stdout] : [],
    ...stderr === "piped" ? [process.stderr] : [],
  ].filter(({ locked }) => !locked);
}

/** Standard output or standard error. */
export interface Sink {
  writeSync(bytes: Uint8Array): number;
  isTerminal(): boolean;
}

/** Copies lines until the stream ends, but not much longer than the child lives. */
export class LineCopy {
  /** Resolves when the last line has been copied. */
  readonly ended: Promise<void>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #sink: Sink;
  #hasExited = false;
  #hasEnded = false;
  #lateLength = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    stream: ReadableStream<Uint8Array>,
    sink: Sink,
    exited: Promise<unknown>,
  ) {
    this.#reader = stream.getReader();
    this.#sink = sink;
    this.ended = this.#copy();
    exited.then(() => {
      this.#hasExited = true;
      this.#limit();
    });
  }

  async #copy() {
    let line = new Uint8Array();
    for (;;) {
      const value = await this.#read();
      if (value === undefined) break;
      const end = value.lastIndexOf(NEWLINE) + 1;
      const whole = joined(line, value.subarray(0, end));
      line = value.slice(end);
      if (end === 0) line = joined(whole, line);
      else await write(this.#sink, whole);
      if (line.length > MAX_LINE_LENGTH) {
        await write(this.#sink, line);
        line = new Uint8Array();
      }
      if (this.#hasExited) this.#lateLength += value.length;
      this.#limit();
    }
    this.#hasEnded = true;
    clearTimeout(this.#timer);
    // Whatever is written next begins a line.
    if (line.length > 0) {
      await write(this.#sink, joined(line, Uint8Array.of(NEWLINE)));
    }
  }

  async #read(): Promise<Uint8Array | undefined> {
    try {
      return (await this.#reader.read()).value;
    } catch {
      // Why there is no more does not matter.
      return;
    }
  }

  #limit() {
    clearTimeout(this.#timer);
    if (this.#hasEnded || !this.#hasExited) return;
    const cancel = () => this.#reader.cancel();
    if (this.#lateLength > MAX_LATE_LENGTH) void cancel();
    else this.#timer = setTimeout(cancel, LATE_OUTPUT_TIMEOUT);
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

/** Write all at once, so that nothing comes between. */
async function write(sink: Sink, bytes: Uint8Array) {
  let rest = sink.isTerminal() ? visible(bytes) : bytes;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(sink.writeSync(rest));
    } catch (error) {
      // Somebody has made it non-blocking, and it is full.
      if (!(error instanceof Deno.errors.WouldBlock)) return;
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
    }
  }
}

/** Write out what a terminal would obey: it answers some of it as if that had been typed. */
export function visible(bytes: Uint8Array): Uint8Array {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  return new TextEncoder().encode(
    text.replace(
      // Bidi controls make a line look like another one.
      /(?![\t\n]|\r\n)[\p{Cc}\p{Bidi_Control}]/gu,
      (control) => {
        const code = control.charCodeAt(0);
        return code < 0x100
          ? `\\x${code.toString(16).padStart(2, "0")}`
          : `\\u{${code.toString(16)}}`;
      },
    ),
  );
}
