import { assert } from "@std/assert";
import { concat } from "@std/bytes";
import type { DuplexStream } from "../../channel.ts";
import { isPending } from "./promises.ts";

interface Call<A, R> {
  argument: A;
  resolve(result: R): void;
  reject(reason: unknown): void;
}

/** The calls of an asynchronous function, each of which the test answers. */
class Calls<A, R> {
  /** How many there were. */
  count = 0;
  #calls: Call<A, R>[] = [];
  #arrived = Promise.withResolvers<void>();

  call(argument: A): Promise<R> {
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    this.count++;
    this.#calls.push({ argument, resolve, reject });
    this.#arrived.resolve();
    return promise;
  }

  async next(): Promise<Call<A, R>> {
    await this.#arrived.promise;
    const call = this.#calls.shift();
    assert(call);
    if (this.#calls.length === 0) this.#arrived = Promise.withResolvers();
    return call;
  }

  end(reason: unknown) {
    for (const call of this.#calls.splice(0)) call.reject(reason);
  }
}

/** A `Deno.Conn` for which the test acts as the operating system. */
export class FakeConn implements DuplexStream {
  readonly reads = new Calls<Uint8Array, number | null>();
  readonly writes = new Calls<Uint8Array, number>();
  readonly closeWrites = new Calls<void, void>();
  closes = 0;
  refs = 0;

  read(buffer: Uint8Array): Promise<number | null> {
    return this.reads.call(buffer);
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.writes.call(bytes);
  }

  closeWrite(): Promise<void> {
    return this.closeWrites.call();
  }

  close() {
    if (this.closes++ > 0) throw new Deno.errors.BadResource("Bad resource ID");
    for (const calls of [this.reads, this.writes, this.closeWrites]) {
      calls.end(new Deno.errors.Interrupted("operation canceled"));
    }
  }

  ref() {
    this.refs++;
  }

  unref() {
    this.refs--;
  }

  get readable(): ReadableStream<Uint8Array> {
    throw new Error("Cannot use readable: it closes the whole socket");
  }

  get writable(): WritableStream<Uint8Array> {
    throw new Error("Cannot use writable: it closes the whole socket");
  }

  /** Answer the next reads with these bytes, or with the end. */
  async give(bytes: Uint8Array | null) {
    if (bytes === null) return (await this.reads.next()).resolve(null);
    while (bytes.length > 0) {
      const { argument, resolve } = await this.reads.next();
      const part: Uint8Array = bytes.subarray(0, argument.length);
      argument.set(part);
      resolve(part.length);
      bytes = bytes.subarray(part.length);
    }
  }

  /** Take the bytes of the next write. */
  async take(): Promise<Uint8Array> {
    const { argument, resolve } = await this.writes.next();
    const bytes = argument.slice();
    resolve(bytes.length);
    return bytes;
  }

  /** Take the bytes of all writes until the promise settles. */
  async takeUntil(promise: Promise<unknown>): Promise<Uint8Array> {
    const chunks = [];
    while (await isPending(promise)) chunks.push(await this.take());
    return concat(chunks);
  }
}

/** A sink that takes a chunk when the test resolves the write. */
export function heldSink(): {
  writable: WritableStream<Uint8Array>;
  writes: Calls<Uint8Array, void>;
  closes: Calls<void, void>;
} {
  const writes = new Calls<Uint8Array, void>();
  const closes = new Calls<void, void>();
  const writable = new WritableStream<Uint8Array>({
    write: (chunk) => writes.call(chunk),
    close: () => closes.call(),
  });
  return { writable, writes, closes };
}
