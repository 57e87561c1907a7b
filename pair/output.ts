/**
 * The output of a module, copied line by line to that of this process.
 *
 * A module that inherits the terminal can read what is typed there, and a log file it can cut,
 * without any permission. Of a pipe it has nothing but the end that it writes to.
 */

/** A longer line is copied in parts. */
const MAX_LINE_LENGTH = 65_536;

/** How long to wait for more once the child has exited, in ms: somebody else may hold its pipe. */
const LATE_OUTPUT_TIMEOUT = 1_000;

/** Bytes that may still come then: the most that a pipe holds. */
const MAX_LATE_LENGTH = 1_048_576;

/** How long to wait for an output that takes nothing, in ms. */
const RETRY_DELAY = 10;

const NEWLINE = 0x0a;

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
      /(?![\t\n]|\r\n)\p{Cc}/gu,
      (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`,
    ),
  );
}
