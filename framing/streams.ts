import type { FrameDecoder } from "./decoder.ts";

/** Check what is written to a stream. */
export function assertBytes(chunk: unknown, action: string): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError(`Cannot ${action}: it is not a Uint8Array`);
}

/**
 * The two sides of a `FrameDecoderStream`. A `TransformStream` drops what it has queued when it
 * fails; here messages that were decoded before an error are read first. So messages are decoded
 * when they are read, and an error waits until the queue is empty.
 */
export function decoderStreams(decoder: FrameDecoder): {
  readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  writable: WritableStream<Uint8Array>;
} {
  let source: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  let sink: WritableStreamDefaultController;
  /** A write, or the close, whose bytes have not been decoded. */
  let written: PromiseWithResolvers<void> | undefined;
  /** A read that waits for bytes. */
  let awaited: PromiseWithResolvers<void> | undefined;
  let isClosing = false;
  let failure: { reason: unknown } | undefined;
  let isOver = false;

  /** Queue the messages that have arrived; `false` if there was none. */
  function decode(): boolean {
    let count = 0;
    try {
      for (let message; (message = decoder.next()) !== undefined; count++) {
        source.enqueue(message);
      }
    } catch (reason) {
      failure = { reason };
    }
    return count > 0;
  }

  /** What was written has been decoded, or has failed: say so, an error once nothing is queued. */
  function settle() {
    if (failure && source.desiredSize === 0) {
      isOver = true;
      sink.error(failure.reason);
      source.error(failure.reason);
      written?.reject(failure.reason);
      return;
    }
    if (failure && isClosing) return;
    if (isClosing) {
      isOver = true;
      source.close();
    }
    written?.resolve();
  }

  /** Called while the queue is empty and a read waits. */
  async function pull(): Promise<void> {
    while (!isOver) {
      const isQueued = !failure && decode();
      settle();
      if (isQueued || isOver) return;
      awaited = Promise.withResolvers();
      await awaited.promise;
    }
  }

  function wake() {
    awaited?.resolve();
    awaited = undefined;
  }

  const readable = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => void (source = controller),
    pull,
    cancel(reason) {
      isOver = true;
      sink.error(reason);
      written?.reject(reason);
    },
  }, { highWaterMark: 0 });

  const writable = new WritableStream<Uint8Array>({
    start: (controller) => void (sink = controller),
    write(chunk) {
      try {
        if (!failure) decoder.push(assertBytes(chunk, "decode chunk"));
      } catch (reason) {
        written = undefined;
        failure = { reason };
        settle();
        throw reason;
      }
      written = Promise.withResolvers();
      wake();
      return written.promise;
    },
    close() {
      written = Promise.withResolvers();
      const closed = written.promise;
      decoder.end();
      isClosing = true;
      if (awaited) {
        wake();
      } else {
        if (!failure) decode(); // needs no reader
        settle();
      }
      return closed;
    },
    abort(reason) {
      isOver = true;
      source.error(reason);
      wake();
    },
  });
  return { readable, writable };
}
