/**
 * The pipes that are the standard streams of a child: a channel over them, output that is copied
 * line by line, and pipes that nobody uses.
 */

import type { AnySerialization, Connection } from "../channel.ts";
import { markHandled } from "../channel/waiters.ts";
import type { SpawnOptions } from "./options.ts";
import { limitReads } from "./time_limits.ts";

const BUFFER_LENGTH = 65_536;

const MAX_LINE_LENGTH = 65_536;

/** How much of the end of an output is kept for an error. */
const MAX_TAIL_LENGTH = 4_096;

/** How long to wait for an output that is full, in ms. */
const RETRY_DELAY = 10;

// deno-lint-ignore no-control-regex -- a color begins with one
export const ANSI_COLOR = /\x1b\[[0-9;]*m/g;

export type PipeOptions = Pick<
  SpawnOptions<AnySerialization>,
  "stdin" | "stdout" | "stderr" | "transport"
>;

/** Connect to a child by the pipes that are its standard input and output. */
export function pipeConnection(
  { stdin, stdout }: Deno.ChildProcess,
): Connection {
  const reader = stdout.getReader({ mode: "byob" });
  const writer = stdin.getWriter();
  for (const end of [reader.closed, writer.closed, writer.ready]) {
    markHandled(end);
  }
  // A read transfers it and gives it back; a read that overlaps has another one.
  let memory = new ArrayBuffer(BUFFER_LENGTH);
  return {
    async read(buffer) {
      const length = Math.min(buffer.length, BUFFER_LENGTH);
      if (memory.detached) memory = new ArrayBuffer(BUFFER_LENGTH);
      const view = new Uint8Array(memory, 0, length);
      const { value, done } = await reader.read(view);
      if (value) memory = value.buffer;
      if (done) return null;
      buffer.set(value);
      return value.length;
    },
    async write(bytes) {
      await writer.write(bytes);
      return bytes.length;
    },
    closeWrite: () => writer.close(),
    // A pending write keeps its pipe open until no process holds the child's end.
    close() {
      markHandled(reader.cancel());
      markHandled(writer.abort());
    },
    // Deno.ChildProcess does this for the process and its pipes.
    ref() {},
    unref() {},
  };
}

/**
 * Close the standard input of a child and discard its output, if they are piped and not locked.
 *
 * @returns A function that closes the output, which another process may hold open, and resolves
 * when all are closed.
 */
export function emptyPipes(
  process: Deno.ChildProcess,
  options: PipeOptions,
): () => Promise<unknown> {
  const ends: Promise<void>[] = [];
  if (options.stdin === "piped" && !process.stdin.locked) {
    ends.push(process.stdin.close());
  }
  const over = new AbortController();
  const { signal } = over;
  for (const name of ["stdout", "stderr"] as const) {
    if (options[name] !== "piped" || process[name].locked) continue;
    ends.push(process[name].pipeTo(new WritableStream(), { signal }));
  }
  // The caller may have closed them.
  const ended = Promise.allSettled(ends);
  return () => {
    over.abort();
    return ended;
  };
}

export interface Sink {
  writeSync(bytes: Uint8Array): number;
  isTerminal(): boolean;
}

/** Copies lines of text until the stream ends, but not much longer than the child lives. */
export class LineCopy {
  /** Resolves when the last line has been copied. */
  readonly ended: Promise<void>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #tail = "";

  constructor(
    stream: ReadableStream<Uint8Array>,
    sink: Sink | undefined,
    exited: Promise<unknown>,
  ) {
    this.#reader = stream.getReader();
    this.ended = this.#copy(sink, limitReads(exited, () => this.cancel()));
  }

  /** The end of what was copied, without colors, and with control characters escaped. */
  get tail(): string {
    return escapeControls(this.#tail.replace(ANSI_COLOR, ""));
  }

  cancel() {
    this.#reader.cancel().catch(() => {});
  }

  async #copy(sink: Sink | undefined, limit: ReturnType<typeof limitReads>) {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let line = "";
    for (;;) {
      // An error ends the copy like the end of the stream.
      const { value } = await limit(this.#reader.read())
        .catch(() => ({ value: undefined }));
      if (value === undefined) break;
      const text = decoder.decode(value, { stream: true });
      this.#tail = (this.#tail + text).slice(-MAX_TAIL_LENGTH);
      line += text;
      let end = line.lastIndexOf("\n") + 1;
      if (line.length - end > MAX_LINE_LENGTH) end = line.length;
      await write(sink, line.slice(0, end));
      line = line.slice(end);
    }
    line += decoder.decode();
    // What is written next begins a line.
    if (line !== "") await write(sink, `${line}\n`);
  }
}

/** Write all in one go, so that nothing comes in between. */
async function write(sink: Sink | undefined, text: string) {
  if (sink === undefined) return;
  const shown = sink.isTerminal() ? escapeControls(text) : text;
  let rest = new TextEncoder().encode(shown);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(sink.writeSync(rest));
    } catch (error) {
      // Another process has made it non-blocking, and it is full.
      if (!(error instanceof Deno.errors.WouldBlock)) return;
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
    }
  }
}

/**
 * Escape what a terminal would execute (it answers some control characters as if the answer had
 * been typed), and what changes the direction of text.
 */
export function escapeControls(text: string): string {
  return text.replace(
    /(?![\t\n]|\r\n)[\p{Cc}\p{Bidi_Control}]/gu,
    (control) => {
      const code = control.charCodeAt(0).toString(16);
      return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, "0")}`;
    },
  );
}
