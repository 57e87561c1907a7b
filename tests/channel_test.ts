import { Buffer } from "node:buffer";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { concat } from "@std/bytes";
import {
  Channel,
  drain,
  type DuplexStream,
  json,
  text,
  trace,
} from "../channel.ts";
import {
  FrameEncoderStream,
  FrameSyntaxError,
  FrameTooLargeError,
  lengthField,
  netstring,
  TruncatedFrameError,
  varint,
} from "../framing.ts";
import { socketPair, spawn } from "../pair.ts";

type Pair = [DuplexStream, DuplexStream];

/** What is written comes out of a byte stream, in the very memory it was written in. */
function bytePipe(): DuplexStream {
  let source: ReadableByteStreamController;
  let sink: WritableStreamDefaultController;
  let wanted = Promise.withResolvers<void>();
  return {
    readable: new ReadableStream({
      type: "bytes",
      start(controller) {
        source = controller;
      },
      pull: () => wanted.resolve(),
      cancel(reason) {
        sink.error(reason);
        wanted.resolve();
      },
    }),
    writable: new WritableStream<Uint8Array<ArrayBuffer>>({
      start(controller) {
        sink = controller;
        sink.signal.addEventListener("abort", () => {
          source.error(sink.signal.reason);
          wanted.resolve();
        });
      },
      async write(chunk) {
        await wanted.promise;
        sink.signal.throwIfAborted();
        wanted = Promise.withResolvers();
        source.enqueue(chunk);
      },
      close() {
        source.close();
        source.byobRequest?.respond(0);
      },
    }),
  };
}

function crossed(there: DuplexStream, back: DuplexStream): Pair {
  return [
    { readable: back.readable, writable: there.writable },
    { readable: there.readable, writable: back.writable },
  ];
}

function transformStreams(): Pair {
  return crossed(new TransformStream(), new TransformStream());
}

function byteStreams(): Pair {
  return crossed(bytePipe(), bytePipe());
}

async function tcpPair(): Promise<Pair> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
}

// Made for this test, and trusted by nothing else.
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBXzCCAQSgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJD/Ve/NN8d6R3vZ
rAKiIUWkGcdZ66JUldc/8L5rTKQMkfkwJxtjxA9GToRtUx+dmLf7/eef/lWSSjwn
+KefjYajRTBDMBQGA1UdEQQNMAuCCWxvY2FsaG9zdDAMBgNVHRMBAf8EAjAAMB0G
A1UdDgQWBBTm+FFslC5yzU5IqJeM+tux1PuJyDAKBggqhkjOPQQDAgNJADBGAiEA
zmoyPmsW4ghOj8YLu+Vm7fjXFebbkOnru52lCTwaPD0CIQC/KwfoKRSvh6JMc02h
eEt0CzAFs/I/Rf4TblqK4cfY5Q==
-----END CERTIFICATE-----`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgydoPcCrWPH5qyTB6
7Fue/5tdjpJA+RLnpNhiYc/q1MOhRANCAASQ/1XvzTfHekd72awCoiFFpBnHWeui
VJXXP/C+a0ykDJH5MCcbY8QPRk6EbVMfnZi3+/3nn/5Vkko8J/inn42G
-----END PRIVATE KEY-----`;

async function tlsPair(): Promise<Pair> {
  using listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: CERTIFICATE,
    key: KEY,
  });
  return await Promise.all([
    Deno.connectTls({
      hostname: "localhost",
      port: listener.addr.port,
      caCerts: [CERTIFICATE],
    }),
    listener.accept(),
  ]);
}

const TRANSPORTS: Record<string, () => Pair | Promise<Pair>> = {
  "Unix socket": () => socketPair(),
  "transform streams": transformStreams,
  "byte streams": byteStreams,
};

function testOver(
  name: string,
  test: (left: DuplexStream, right: DuplexStream) => Promise<void>,
  transports = TRANSPORTS,
) {
  for (const [transport, pair] of Object.entries(transports)) {
    Deno.test(`${name}, over ${transport}`, async () => {
      await test(...await pair());
    });
  }
}

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

/** A `Deno.Conn` of which the test plays the operating system. */
class FakeConn implements DuplexStream {
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

  /** Take what is written next. */
  async take(): Promise<Uint8Array> {
    const { argument, resolve } = await this.writes.next();
    const bytes = argument.slice();
    resolve(bytes.length);
    return bytes;
  }

  /** Take what is written until then. */
  async takeUntil(promise: Promise<unknown>): Promise<Uint8Array> {
    const chunks = [];
    while (await isPending(promise)) chunks.push(await this.take());
    return concat(chunks);
  }
}

/** A sink that takes a chunk when the test says so. */
function heldSink(): {
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

/** Let all that happens without the operating system happen. */
async function idle() {
  for (let turn = 0; turn < 200; turn++) await undefined;
}

/** Let also what the event loop has ready happen. */
async function turnOfEventLoop() {
  await new Promise((resolve) => setTimeout(resolve));
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  const settle = () => pending = false;
  promise.then(settle, settle);
  await idle();
  return pending;
}

async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (reason) {
    return reason;
  }
  throw new Error("Cannot find reason: the promise was not rejected");
}

/** Reject with a failure if the promise waits for what does not come by itself. */
async function promptly<T>(promise: Promise<T>): Promise<T> {
  assert(!await isPending(promise), "the promise stays pending");
  return await promise;
}

function numbered(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = i % 251;
  return bytes;
}

function frame(message: Uint8Array): Uint8Array {
  const header = new Uint8Array(new Uint32Array([message.length]).buffer);
  return concat([header, message]);
}

function header(length: number): Uint8Array {
  return new Uint8Array(new Uint32Array([length]).buffer);
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array) {
  while (bytes.length > 0) bytes = bytes.subarray(await conn.write(bytes));
}

async function readAll(conn: Deno.Conn): Promise<Uint8Array> {
  const chunks = [];
  const buffer = new Uint8Array(65536);
  for (let read; (read = await conn.read(buffer)) !== null;) {
    chunks.push(buffer.slice(0, read));
  }
  return concat(chunks);
}

const STRINGS = { serialization: text() };
const A = new Uint8Array([1]);
const B = new Uint8Array([2]);
const C = new Uint8Array([3]);

// Transports.

testOver(
  "Channel carries messages both ways and ends both ways",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const messages = [0, 1, 3, 70_000, 1_000_000, 0].map(numbered);
    async function converse(channel: Channel) {
      const received: Uint8Array[] = [];
      async function receive() {
        for await (const message of channel) received.push(message);
      }
      async function send() {
        for (const message of messages) await channel.send(message);
        await channel.closeWrite();
      }
      await Promise.all([receive(), send()]);
      assertEquals(received, messages);
      await channel.closed;
    }
    await Promise.all([converse(a), converse(b)]);
    a.abort();
    b.abort();
  },
  { ...TRANSPORTS, TCP: tcpPair, TLS: tlsPair },
);

Deno.test("Channel runs over the stdio of a child", async () => {
  const cat = new Deno.Command("cat", { stdin: "piped", stdout: "piped" })
    .spawn();
  await using channel = new Channel(
    { readable: cat.stdout, writable: cat.stdin },
    STRINGS,
  );
  await channel.send("taco cat");
  assertEquals(await channel.receive(), "taco cat");
  await channel.closeWrite();
  assertEquals(await channel.receive(), null);
  assertEquals((await cat.status).code, 0);
});

Deno.test("Channel never touches readable and writable of a Deno.Conn", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const sent = channel.send(A);
  assertEquals(await conn.take(), frame(A));
  await sent;
  const received = channel.receive();
  await conn.give(frame(B));
  assertEquals(await received, B);
  channel.abort();
  assertEquals(conn.closes, 1);
});

Deno.test("Channel writes again what a Deno.Conn has not taken", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const flushed = channel.send(numbered(10)).then(() => channel.flush());
  const written = [];
  for (const taken of [1, 2, 11]) {
    const { argument, resolve } = await conn.writes.next();
    written.push(argument.slice(0, taken));
    resolve(taken);
  }
  await flushed;
  assertEquals(concat(written), frame(numbered(10)));
  channel.abort();
});

testOver(
  "Channel answers after it has read to the end",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    a.send("question");
    a.closeWrite();
    assertEquals(await Array.fromAsync(b), ["question"]);
    b.send("answer");
    b.closeWrite();
    assertEquals(await Array.fromAsync(a), ["answer"]);
    a.abort();
    b.abort();
  },
  { ...TRANSPORTS, TCP: tcpPair, TLS: tlsPair },
);

Deno.test("Channel closes a Deno.Conn when the peer ends first, then this side", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const received = channel.receive();
  await conn.give(null);
  assertEquals(await received, null);
  const ended = channel.closeWrite();
  const { resolve } = await conn.closeWrites.next();
  assertEquals(conn.closes, 0);
  resolve();
  await ended;
  assertEquals(conn.closes, 1);
  await channel.closed;
  await channel.close();
  channel.abort();
  assertEquals(conn.closes, 1);
});

Deno.test("Channel closes a Deno.Conn when this side ends first, then the peer", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const ended = channel.closeWrite();
  (await conn.closeWrites.next()).resolve();
  await ended;
  const received = channel.receive();
  await idle();
  assertEquals(conn.closes, 0);
  await conn.give(null);
  assertEquals(await received, null);
  assertEquals(conn.closes, 1);
  await channel.closed;
});

Deno.test("Channel closes the sockets once both directions have ended, without close()", async () => {
  const [left, right] = await socketPair();
  const a = new Channel(left);
  const b = new Channel(right);
  a.closeWrite();
  b.closeWrite();
  assertEquals(await a.receive(), null);
  assertEquals(await b.receive(), null);
  await a.closed;
  await b.closed;
  // The resource sanitizer sees the rest.
});

Deno.test("Channel half-closes a plain DuplexStream by closing writable", async () => {
  const { writable, closes } = heldSink();
  const incoming = new TransformStream<Uint8Array, Uint8Array>();
  const channel = new Channel({ readable: incoming.readable, writable });
  const ended = channel.closeWrite();
  (await closes.next()).resolve();
  await ended;
  const writer = incoming.writable.getWriter();
  writer.write(frame(A));
  assertEquals(await channel.receive(), A);
  writer.close();
  assertEquals(await channel.receive(), null);
  await channel.closed;
});

Deno.test("Channel constructor throws for bad limits and locked streams", () => {
  const [stream] = transformStreams();
  for (const bad of [-1, 1.5, NaN, Infinity]) {
    assertThrows(
      () => new Channel(stream, { highWaterMark: bad }),
      RangeError,
      `Cannot use highWaterMark: ${bad}`,
    );
    assertThrows(
      () => new Channel(stream, { maxFrameLength: bad }),
      RangeError,
    );
  }
  assert(!stream.readable.locked && !stream.writable.locked);

  const reader = stream.readable.getReader();
  assertThrows(() => new Channel(stream), TypeError);
  assert(!stream.writable.locked);
  reader.releaseLock();
  stream.writable.getWriter();
  assertThrows(() => new Channel(stream), TypeError);
  assert(!stream.readable.locked);
});

Deno.test("Channel takes chunks of a Node Buffer, and empty ones", async () => {
  const readable = ReadableStream.from([
    Buffer.from(frame(A).subarray(0, 2)),
    new Uint8Array(),
    Buffer.from(frame(A).subarray(2)),
  ]);
  const channel = new Channel({ readable, writable: new WritableStream() });
  assertEquals(await channel.receive(), A);
  assertEquals(await channel.receive(), null);
});

Deno.test("Channel fails with TypeError for a chunk that is not a Uint8Array", async () => {
  const readable = new ReadableStream({
    start: (controller) => controller.enqueue("taco cat"),
  });
  const channel = new Channel({ readable, writable: new WritableStream() });
  await assertRejects(() => channel.receive(), TypeError, "not a Uint8Array");
  await assertRejects(() => channel.closed, TypeError);
});

// send() and flush()

Deno.test("Channel.send() serializes at the call", async () => {
  const [left, right] = transformStreams();
  const serialization = json<{ id: number }>();
  const a = new Channel(left, { serialization });
  const b = new Channel(right, { serialization });
  const message = { id: 1 };
  const sent = a.send(message);
  message.id = 2;
  await sent;
  assertEquals(await b.receive(), { id: 1 });
  a.abort();
  b.abort();
});

testOver("Channel.send() queues in call order", async (left, right) => {
  const a = new Channel(left);
  const b = new Channel(right);
  const lengths = [10, 70_000, 0, 300_000, 65_532, 65_533, 1, 65_531, 400_000];
  const messages = lengths.map((length, index) =>
    new Uint8Array(length).fill(index)
  );
  for (const message of messages) a.send(message);
  a.closeWrite();
  assertEquals(await Array.fromAsync(b), messages);
  a.abort();
  b.abort();
});

for (const length of [0, 10, 70_000, 300_000]) {
  testOver(
    `Channel.send() lets ${length} bytes be reused once it resolves`,
    async (left, right) => {
      const a = new Channel(left, { highWaterMark: 100_000 });
      const b = new Channel(right);
      async function send() {
        for (let i = 0; i < 8; i++) {
          const message = new Uint8Array(length).fill(i);
          await a.send(message);
          message.fill(0xff);
        }
        await a.closeWrite();
      }
      const [received] = await Promise.all([Array.fromAsync(b), send()]);
      assertEquals(received.length, 8);
      for (const [i, message] of received.entries()) {
        assertEquals(message.length, length);
        assert(message.every((byte) => byte === i));
      }
      a.abort();
      b.abort();
    },
  );
}

Deno.test("Channel.send() lets the bytes be reused once it resolves, behind a long queue", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn, { highWaterMark: 1_000_000 });
  const expected: Uint8Array[] = [];
  async function send() {
    for (let i = 0; i < 12; i++) {
      const message = new Uint8Array(300_000).fill(i);
      expected.push(frame(message));
      await channel.send(message);
      message.fill(0xff);
    }
    await channel.flush();
  }
  const written = await conn.takeUntil(send());
  assertEquals(written, concat(expected));
  channel.abort();
});

Deno.test("Channel reads after a write that fails at once", async () => {
  const message = Uint8Array.of(1, 2);
  const conn = new FakeConn();
  const failure = new Deno.errors.BrokenPipe();
  conn.write = () => {
    throw failure;
  };
  const channel = new Channel(conn);
  await channel.send(message);
  const received = channel.receive();
  assertStrictEquals(await channel.closed.catch((error) => error), failure);
  assertEquals(conn.reads.count, 1);
  await conn.give(frame(message));
  assertEquals(await received, message);
  channel.abort();
});

Deno.test("Channel.receiveInto() leaves a message in part to who waits for it already", async () => {
  const messages = [1, 2, 3].map((n) => new Uint8Array(n).fill(n));
  const bytes = concat(messages.map(frame));
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const first = channel.receive();
  await conn.give(bytes.subarray(0, 10)); // one and a header
  assertEquals(await first, messages[0]);
  await channel.send(Uint8Array.of(0));
  const second = channel.receive();
  const third = channel.receiveInto(new Uint8Array(9));
  await conn.take();
  await conn.give(bytes.subarray(10));
  assertEquals(await second, messages[1]);
  assertEquals((await second)?.buffer.byteLength, 2);
  assertEquals(await third, messages[2]);
  assertEquals((await third)?.buffer.byteLength, 9);
  channel.abort();
});

Deno.test("Channel.send() gives streams memory that it does not write to again", async () => {
  const written: Uint8Array[] = [];
  const channel = new Channel({
    readable: new ReadableStream(),
    writable: new WritableStream({
      write: (chunk) => void written.push(chunk),
    }),
  });
  const expected = [];
  for (let i = 0; i < 20; i++) {
    const message = new Uint8Array(i % 2 === 0 ? 40_000 : 300_000).fill(i);
    expected.push(frame(message));
    await channel.send(message);
    await channel.flush();
    message.fill(0xff);
  }
  assertEquals(concat(written), concat(expected));
  channel.abort();
});

Deno.test("Channel.send() does not write to what a Deno.Conn is writing", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const expected = [];
  const written = [];
  for (let i = 0; i < 12; i++) {
    const messages = [1, 2, 3].map((length) =>
      new Uint8Array(length * 20_000).fill(i)
    );
    expected.push(...messages.map(frame));
    for (const message of messages) channel.send(message);
    const { argument, resolve } = await conn.writes.next();
    for (const message of messages) channel.send(message);
    expected.push(...messages.map(frame));
    await idle();
    written.push(argument.slice());
    resolve(argument.length);
  }
  written.push(await conn.takeUntil(channel.flush()));
  assertEquals(concat(written), concat(expected));
  channel.abort();
});

for (const [name, stream] of [["a conn", true], ["a stream", false]] as const) {
  Deno.test(`Channel.send() resolves once the queue is below highWaterMark, over ${name}`, async () => {
    const conn = new FakeConn();
    const sink = heldSink();
    const channel = new Channel(
      stream ? conn : { readable: new ReadableStream(), ...sink },
      { highWaterMark: 20 },
    );
    async function take() {
      if (stream) await conn.take();
      else (await sink.writes.next()).resolve();
    }
    // 15 bytes with the header.
    const first = channel.send(numbered(11));
    await promptly(first);
    const second = channel.send(A);
    assert(await isPending(second));
    const large = channel.send(numbered(100_000));
    assert(await isPending(large));
    await take();
    await promptly(second);
    assert(await isPending(large));
    const last = channel.send(A);
    while (await isPending(last)) await take();
    await promptly(large);
    channel.abort();
  });
}

Deno.test("Channel.send() with a highWaterMark of 0 resolves when the message is written", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn, { highWaterMark: 0 });
  const sent = channel.send(A);
  assert(await isPending(sent));
  await conn.take();
  await promptly(sent);
  channel.abort();
});

Deno.test("Channel.send() does not wait for what a flush() before it waits for", async () => {
  const { writable, writes } = heldSink();
  const channel = new Channel(
    { readable: new ReadableStream(), writable },
    { highWaterMark: 500_000 },
  );
  for (let i = 0; i < 4; i++) channel.send(numbered(300_000));
  const flushed = channel.flush();
  const sent = channel.send(A);
  for (let i = 0; i < 3; i++) {
    assert(await isPending(sent));
    (await writes.next()).resolve();
  }
  // One of the four is left.
  await promptly(sent);
  assert(await isPending(flushed));
  (await writes.next()).resolve();
  await promptly(flushed);
  channel.abort();
});

Deno.test("Channel.send() writes small messages that are sent together in one write", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const messages = Array.from({ length: 1000 }, (_, i) => numbered(i % 50));
  for (const message of messages) channel.send(message);
  assertEquals(await conn.take(), concat(messages.map(frame)));
  await channel.flush();
  assertEquals(conn.writes.count, 1);

  // One after the other, and through the web stream, they are together too.
  for (const message of messages) await channel.send(message);
  assertEquals(await conn.take(), concat(messages.map(frame)));
  const writer = channel.writable.getWriter();
  for (const message of messages) await writer.write(message);
  assertEquals(await conn.take(), concat(messages.map(frame)));
  await channel.flush();
  assertEquals(conn.writes.count, 3);
  channel.abort();
});

Deno.test("Channel.send() joins messages up to 64 KiB, and does not divide them", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const messages = [40_000, 20_000, 10_000, 10].map(numbered);
  for (const message of messages) channel.send(message);
  assertEquals(await conn.take(), concat(messages.slice(0, 2).map(frame)));
  assertEquals(await conn.take(), concat(messages.slice(2).map(frame)));
  await channel.flush();
  channel.abort();
});

testOver(
  "Channel.flush() resolves when everything queued has been written",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    await a.flush();
    a.send(numbered(1_000_000));
    let flushed = false;
    const flush = a.flush().then(() => flushed = true);
    await idle();
    assert(!flushed);
    assertEquals(await b.receive(), numbered(1_000_000));
    await flush;
    a.abort();
    b.abort();
  },
);

Deno.test("Channel.flush() waits for what was sent before it only", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  channel.send(A);
  const first = channel.flush();
  const write = await conn.writes.next();
  channel.send(B);
  const second = channel.flush();
  assert(await isPending(first));
  write.resolve(write.argument.length);
  await promptly(first);
  assert(await isPending(second));
  await conn.take();
  await promptly(second);
  channel.abort();
});

Deno.test("Channel.send() takes memory that is shared, and a Node Buffer", async () => {
  const [left, right] = await socketPair();
  await using a = new Channel(left);
  await using b = new Channel(right);
  for (const length of [10, 500_000]) {
    const shared = new Uint8Array(new SharedArrayBuffer(length)).fill(7);
    a.send(shared);
    assertEquals(await b.receive(), new Uint8Array(length).fill(7));
    a.send(Buffer.alloc(length, 8));
    assertEquals(await b.receive(), new Uint8Array(length).fill(8));
  }
});

// receive()

testOver(
  "Channel.receive() resolves to null when the peer closes between frames",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    a.send("taco");
    a.send("cat");
    a.closeWrite();
    assertEquals(await b.receive(), "taco");
    assertEquals(await b.receive(), "cat");
    assertEquals(await b.receive(), null);
    assertEquals(await b.receive(), null);
    a.abort();
    b.abort();
  },
);

testOver(
  "Channel.receive() answers calls in call order",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    const received = Promise.all(Array.from({ length: 5 }, () => b.receive()));
    a.send("1");
    a.send("2");
    await a.flush();
    a.send("3");
    a.closeWrite();
    assertEquals(await received, ["1", "2", "3", null, null]);
    a.abort();
    b.abort();
  },
);

Deno.test("Channel.receive() settles in call order", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const order: number[] = [];
  const all = Promise.all([0, 1, 2, 3].map(async (i) => {
    await channel.receive();
    order.push(i);
  }));
  await conn.give(concat([frame(A), frame(B), frame(C).subarray(0, 2)]));
  await conn.give(frame(C).subarray(2));
  await conn.give(null);
  await all;
  assertEquals(order, [0, 1, 2, 3]);
  channel.abort();
});

Deno.test("Channel.receive() that is aborted leaves those before and behind it waiting", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left, STRINGS);
  const b = new Channel(right, STRINGS);
  const controller = new AbortController();
  const before = b.receive();
  const aborted = b.receive({ signal: controller.signal });
  const behind = [b.receive(), b.receive()];
  controller.abort();
  await assertRejects(() => aborted, DOMException);
  for (const message of ["1", "2", "3"]) a.send(message);
  assertEquals(await promptly(before), "1");
  assertEquals(await promptly(Promise.all(behind)), ["2", "3"]);
  a.abort();
  b.abort();
});

testOver(
  "Channel.receive() that is aborted rejects with the signal's reason and loses nothing",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    const reason = new Error("enough");

    const before = b.receive({ signal: AbortSignal.abort(reason) });
    assertStrictEquals(await reasonOf(before), reason);

    const controller = new AbortController();
    const { signal } = controller;
    const first = b.receive();
    const waiting = [b.receive({ signal }), b.receive({ signal })];
    const last = b.receive();
    controller.abort(reason);
    for (const promise of waiting) {
      assertStrictEquals(await reasonOf(promise), reason);
    }
    a.send("1");
    a.send("2");
    a.send("3");
    assertEquals(await first, "1");
    assertEquals(await last, "2");
    // Where a message waits already, too.
    assertStrictEquals(await reasonOf(b.receive({ signal })), reason);
    assertEquals(await b.receive(), "3");
    a.abort();
    b.abort();
  },
);

Deno.test("Channel.receive() forgets its signal", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left);
  const b = new Channel(right);
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  signal.addEventListener = (_type: string, listener: unknown) =>
    void listeners.add(listener);
  signal.removeEventListener = (_type: string, listener: unknown) =>
    void listeners.delete(listener);
  const received = b.receive({ signal });
  assertEquals(listeners.size, 1);
  a.send(A);
  await received;
  await idle();
  assertEquals(listeners.size, 0);
  a.abort();
  b.abort();
});

/** A stream of which the test says what it gives, and when. */
interface Source {
  stream: DuplexStream;
  give(bytes: Uint8Array): Promise<void>;
}

function sourceOf({ readable, writable }: DuplexStream): Source {
  const writer = writable.getWriter();
  return {
    stream: { readable, writable: new WritableStream() },
    give: (bytes) => writer.write(bytes.slice()),
  };
}

const SOURCES: Record<string, () => Source> = {
  "a Deno.Conn"() {
    const conn = new FakeConn();
    return { stream: conn, give: (bytes) => conn.give(bytes) };
  },
  "a transform stream": () => sourceOf(new TransformStream()),
  "a byte stream": () => sourceOf(bytePipe()),
};

for (const [sourceName, makeSource] of Object.entries(SOURCES)) {
  for (
    const [where, framing, length, cuts] of [
      ["a header of lengthField()", lengthField(), 300, [2]],
      ["a header of varint()", varint(), 300, [1]],
      ["a header of netstring()", netstring(), 300, [3]],
      ["a small message", lengthField(), 300, [10]],
      ["a large message", lengthField(), 100_000, [50_000]],
      ["a large message, twice", lengthField(), 100_000, [4, 90_000]],
      ["a trailer of netstring()", netstring(), 300, [304]],
      ["a trailer of netstring(), twice", netstring(), 100_000, [9, 100_007]],
    ] as const
  ) {
    for (const kind of ["receive", "receiveInto"] as const) {
      Deno.test(`Channel.${kind}() goes on where an aborted receive() stopped, inside ${where}, over ${sourceName}`, async () => {
        const message = numbered(length);
        const bytes = concat(
          await Array.fromAsync(
            ReadableStream.from([message, A])
              .pipeThrough(new FrameEncoderStream({ framing })),
          ),
        );
        const { stream, give } = makeSource();
        const channel = new Channel(stream, { framing });
        let at = 0;
        for (const cut of cuts) {
          const controller = new AbortController();
          const aborted = channel.receive({ signal: controller.signal });
          await give(bytes.subarray(at, cut));
          at = cut;
          // The read that follows is under way then.
          await idle();
          controller.abort();
          await assertRejects(() => aborted, DOMException);
        }
        const received = kind === "receive"
          ? channel.receive()
          : channel.receiveInto(new Uint8Array(200_000));
        assert(await isPending(received));
        const given = give(bytes.subarray(at));
        assertEquals(await received, message);
        assertEquals(await channel.receive(), A);
        await given;
        channel.abort();
      });
    }
  }
}

for (const end of ["closes", "resets"] as const) {
  Deno.test(`Channel.receive() gets what arrived after one was aborted and before the peer ${end}, with closed looked at`, async () => {
    const conn = new FakeConn();
    const channel = new Channel(conn);
    const { closed } = channel;
    const message = numbered(100_000);
    const controller = new AbortController();
    const aborted = channel.receive({ signal: controller.signal });
    await conn.give(header(message.length));
    await idle();
    controller.abort();
    await assertRejects(() => aborted, DOMException);
    await conn.give(message);
    await idle();
    const received = channel.receive();
    if (end === "closes") await conn.give(null);
    else (await conn.reads.next()).reject(new Deno.errors.ConnectionReset());
    assertEquals(await received, message);
    if (end === "closes") {
      assertEquals(await channel.receive(), null);
    } else {
      await assertRejects(() => channel.receive(), Deno.errors.ConnectionReset);
      await assertRejects(() => closed, Deno.errors.ConnectionReset);
    }
    channel.abort();
  });
}

testOver(
  "Channel delivers a message that is null, by iterator and readable",
  async (left, right) => {
    const serialization = json<number | null>();
    const a = new Channel(left, { serialization });
    const b = new Channel(right, { serialization });
    for (const message of [null, 1, null, null, 2, null]) a.send(message);
    a.closeWrite();
    assertEquals(await b.receive(), null);
    assertEquals(await b.receive(), 1);
    const iterated = [];
    for await (const message of b) {
      iterated.push(message);
      if (iterated.length === 2) break;
    }
    assertEquals(iterated, [null, null]);
    assertEquals(await Array.fromAsync(b.readable), [2, null]);
    assertEquals(await b.receive(), null);
    a.abort();
    b.abort();
  },
);

testOver(
  "Channel hands out messages with an ArrayBuffer of their own",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    for (const length of [0, 1, 5_000, 100_000]) {
      a.send(numbered(length));
      a.send(numbered(length));
      const message = await b.receive();
      assert(message);
      assertEquals(message.buffer.byteLength, length);
      assertInstanceOf(message.buffer, ArrayBuffer);
      structuredClone(message, { transfer: [message.buffer] });
      assertEquals(await b.receive(), numbered(length));
    }
    a.abort();
    b.abort();
  },
);

// receiveInto()

testOver(
  "Channel.receiveInto() receives into the memory given",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    let view = new Uint8Array(new ArrayBuffer(500_010), 10);
    for (const length of [0, 5, 40_000, 70_000, 500_000]) {
      const received = b.receiveInto(view);
      assertEquals(view.length, 0);
      a.send(numbered(length));
      const message = await received;
      assert(message);
      assertEquals(message, numbered(length));
      assertEquals(message.byteOffset, 10);
      assertEquals(message.buffer.byteLength, 500_010);
      assertInstanceOf(message.buffer, ArrayBuffer);
      view = new Uint8Array(message.buffer, 10);
    }
    a.closeWrite();
    assertEquals(await b.receiveInto(view), null);
    a.abort();
    b.abort();
  },
);

testOver(
  "Channel.receiveInto() leaves a message that does not fit to the next call",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    for (const length of [10, 100_000]) {
      const waiting = b.receiveInto(new Uint8Array(9));
      a.send(numbered(length));
      const error = await assertRejects(() => waiting, FrameTooLargeError);
      assertEquals(error.length, length);
      assertEquals(error.maxFrameLength, 9);
      await assertRejects(
        () => b.receiveInto(new Uint8Array(9)),
        RangeError,
        `Cannot receive message of ${length} bytes: the view has 9`,
      );
      assertEquals(
        await b.receiveInto(new Uint8Array(length)),
        numbered(length),
      );
    }
    // Those who wait behind it get it.
    const all = [
      b.receiveInto(new Uint8Array(1)),
      b.receive(),
      b.receiveInto(new Uint8Array(1)),
    ] as const;
    a.send(numbered(2));
    a.send(A);
    await assertRejects(() => all[0], FrameTooLargeError);
    assertEquals(await all[1], numbered(2));
    assertEquals(await all[2], A);
    a.abort();
    b.abort();
  },
);

Deno.test("Channel.receiveInto() does not ask the serialization", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left);
  const b = new Channel(right, { serialization: json() });
  a.send(A);
  assertEquals(await b.receiveInto(new Uint8Array(1)), A);
  a.abort();
  b.abort();
});

Deno.test("Channel.receiveInto() rejects with TypeError for memory that cannot be transferred", async () => {
  const [stream] = transformStreams();
  const channel = new Channel(stream);
  const detached = new Uint8Array(1);
  detached.buffer.transfer();
  for (
    const view of [
      new Uint8Array(new SharedArrayBuffer(1)),
      new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer),
      detached,
    ]
  ) await assertRejects(() => channel.receiveInto(view), TypeError);
  channel.abort();
});

// Backpressure.

Deno.test("Channel reads nothing for nobody", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  await idle();
  assertEquals(conn.reads.count, 0);
  const received = channel.receive();
  await conn.give(concat([frame(A), frame(B), frame(C)]));
  assertEquals(await received, A);
  assertEquals(await channel.receive(), B);
  assertEquals(await channel.receive(), C);
  await idle();
  assertEquals(conn.reads.count, 1);
  channel.abort();
});

Deno.test("Channel.closed does not read on while a message waits", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const { closed } = channel;
  await conn.give(concat([frame(A), frame(B)]));
  await idle();
  assertEquals(conn.reads.count, 1);
  assertEquals(await channel.receive(), A);
  await idle();
  assertEquals(conn.reads.count, 1);
  assertEquals(await channel.receive(), B);
  await idle();
  assertEquals(conn.reads.count, 2);
  channel.abort(1);
  assertEquals(await reasonOf(closed), 1);
});

testOver(
  "Channel lets two sides that send much wait until one receives",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const message = numbered(5_000_000);
    const sends = [a.send(message), b.send(message)] as const;
    await turnOfEventLoop();
    assert(await isPending(sends[0]) && await isPending(sends[1]));
    assertEquals(await b.receive(), message);
    await sends[0];
    assertEquals(await a.receive(), message);
    await sends[1];
    a.abort();
    b.abort();
  },
);

// closeWrite(), close() and abort()

testOver(
  "Channel.closeWrite() ends sending, and receiving goes on",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    const sent = a.send("last");
    const ended = a.closeWrite();
    assertStrictEquals(a.closeWrite(), ended);
    await assertRejects(
      () => a.send("later"),
      TypeError,
      "Cannot send message: the channel is closed for sending",
    );
    assertEquals(await Array.fromAsync(b), ["last"]);
    await Promise.all([sent, ended, a.flush()]);
    b.send("answer");
    assertEquals(await a.receive(), "answer");
    await assertRejects(() => a.send("later"), TypeError);
    a.abort();
    b.abort();
  },
);

testOver(
  "Channel.close() resolves when everything sent has been written",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const messages = [10, 1_000_000, 20].map(numbered);
    for (const message of messages) a.send(message);
    let isClosed = false;
    const closed = a.close().then(() => isClosed = true);
    await idle();
    assert(!isClosed);
    assertEquals(await Array.fromAsync(b), messages);
    await closed;
    await a.closed;
    b.abort();
  },
);

Deno.test("Channel.close() closes the streams before it resolves", async () => {
  let cancelled = false;
  const { writable, writes, closes } = heldSink();
  const channel = new Channel({
    readable: new ReadableStream({ cancel: () => void (cancelled = true) }),
    writable,
  });
  channel.send(A);
  const closed = channel.close();
  (await writes.next()).resolve();
  const { resolve } = await closes.next();
  assert(await isPending(closed));
  resolve();
  await closed;
  assert(cancelled);
});

testOver(
  "Channel.close() gives pending and later receive() null, and the same promise",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const pending = [
      a.receive(),
      a.receiveInto(new Uint8Array(1)),
      a.receive({ signal: new AbortController().signal }),
    ];
    const iterator = a[Symbol.asyncIterator]();
    const next = iterator.next();
    const reader = a.readable.getReader();
    const read = reader.read();
    await idle();
    const closed = a.close();
    assertStrictEquals(a.close(), closed);
    assertStrictEquals(a[Symbol.asyncDispose](), closed);
    await assertRejects(() => a.send(A), TypeError);
    assertEquals(await Promise.all(pending), [null, null, null]);
    assertEquals(await next, { value: undefined, done: true });
    assert((await read).done);
    await closed;
    assertStrictEquals(a.close(), closed);
    assertEquals(await a.receive(), null);
    assertEquals(await a.receiveInto(new Uint8Array(1)), null);
    assertEquals(await iterator.next(), { value: undefined, done: true });
    assert((await reader.read()).done);
    await assertRejects(() => a.send(A), TypeError);
    await a.flush();
    await a.closeWrite();
    assertEquals(await b.receive(), null);
    b.abort();
  },
);

Deno.test("Channel.close() drops what has arrived", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const received = channel.receive();
  await conn.give(concat([frame(A), frame(B)]));
  assertEquals(await received, A);
  const closed = channel.close();
  assertEquals(await channel.receive(), null);
  (await conn.closeWrites.next()).resolve();
  await closed;
  assertEquals(await channel.receive(), null);
  assertEquals(conn.closes, 1);
});

testOver(
  "Channel.close() lets a peer that is busy sending read what is queued",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const message = numbered(5_000_000);
    a.send(message);
    async function answer() {
      await b.send(message);
      return await b.receive();
    }
    const [received] = await Promise.all([answer(), a.close()]);
    assertEquals(received, message);
    b.abort();
  },
);

testOver(
  "Channel.close() lets a peer that is busy sending read what is queued, after receiving was cancelled",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const message = numbered(5_000_000);
    await a.readable.cancel();
    a.send(message);
    async function answer() {
      await b.send(message);
      return await b.receive();
    }
    // b may as well have been told that nobody receives what it sends.
    const [received] = await Promise.all([
      answer().catch(() => b.receive()),
      a.close(),
    ]);
    assertEquals(received, message);
    b.abort();
  },
  // Streams in memory can tell the peer, and do.
  { "Unix socket": socketPair },
);

testOver(
  "Channel.close() by both sides with much queued",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const sends = [a, b].map((channel) => channel.send(numbered(5_000_000)));
    await Promise.all([a.close(), b.close()]);
    await Promise.all(sends);
    await Promise.all([a.closed, b.closed]);
  },
);

testOver(
  "Channel.closeWrite() and then receive() until null tells that the peer has read",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const order: string[] = [];
    async function serve() {
      for await (const message of b) order.push(`received ${message.length}`);
      order.push("answered");
      await b.close();
    }
    async function ask() {
      a.send(numbered(7));
      await a.closeWrite();
      assertEquals(await a.receive(), null);
      order.push("told");
      await a.close();
    }
    await Promise.all([serve(), ask()]);
    assertEquals(order, ["received 7", "answered", "told"]);
  },
);

testOver("Channel is closed by await using", async (left, right) => {
  const b = new Channel(right, STRINGS);
  const received = Array.fromAsync(b);
  {
    await using a = new Channel(left, STRINGS);
    a.send("taco cat");
  }
  assertEquals(await received, ["taco cat"]);
  b.abort();
});

/** Everything that a channel promises. */
function everythingOf(channel: Channel): Record<string, Promise<unknown>> {
  return {
    send: channel.send(A),
    receive: channel.receive(),
    receiveInto: channel.receiveInto(new Uint8Array(1)),
    flush: channel.flush(),
    next: channel[Symbol.asyncIterator]().next(),
    closeWrite: channel.closeWrite(),
    close: channel.close(),
    dispose: channel[Symbol.asyncDispose](),
    closed: channel.closed,
  };
}

testOver(
  "Channel.abort() makes everything pending and later reject with the reason",
  async (left, right) => {
    const a = new Channel(left, { highWaterMark: 0 });
    const b = new Channel(right);
    const reason = new Error("enough");
    const pending = [
      a.send(numbered(5_000_000)),
      a.send(A),
      a.flush(),
      a.receive(),
      a.receive({ signal: new AbortController().signal }),
      a.receiveInto(new Uint8Array(1)),
      a[Symbol.asyncIterator]().next(),
      a.readable.getReader().read(),
      a.closed,
      a.closeWrite(),
    ];
    await idle();
    a.abort(reason);
    a.abort(new Error("too late"));
    const later = [
      ...Object.values(everythingOf(a)),
      a.writable.getWriter().write(A),
    ];
    for (const promise of [...pending, ...later]) {
      assertStrictEquals(await reasonOf(promise), reason);
    }
    b.abort();
  },
);

Deno.test("Channel.abort() makes a pending close() reject with the reason", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left);
  const b = new Channel(right);
  const sent = a.send(numbered(1_000_000));
  const closed = a.close();
  assertEquals(await a.receive(), null);
  a.abort(1);
  assertEquals(await reasonOf(closed), 1);
  assertEquals(await reasonOf(sent), 1);
  assertEquals(await reasonOf(a.receive()), 1);
  assertStrictEquals(a.close(), closed);
  b.abort();
});

for (const end of ["closeWrite", "close"] as const) {
  Deno.test(`Channel.abort() makes ${end}() reject where the sink does not end`, async () => {
    const { writable, closes } = heldSink();
    const channel = new Channel({ readable: new ReadableStream(), writable });
    const ended = channel[end]();
    await closes.next();
    channel.abort(1);
    assertEquals(await promptly(reasonOf(ended)), 1);
    assertEquals(await promptly(reasonOf(channel.close())), 1);
    assertEquals(await promptly(reasonOf(channel.closed)), 1);
  });
}

Deno.test("Channel.abort() makes closeWrite() reject that has resolved before", async () => {
  const [left, right] = transformStreams();
  const channel = new Channel(left);
  await channel.closeWrite();
  channel.abort(1);
  assertEquals(await reasonOf(channel.closeWrite()), 1);
  assertEquals(await reasonOf(channel.flush()), 1);
  assertEquals(await reasonOf(channel.send(A)), 1);
  assertEquals(await reasonOf(channel.close()), 1);
  new Channel(right).abort();
});

Deno.test("Channel.abort() rejects with AbortError by default", async () => {
  for (const args of [[], [undefined]]) {
    const channel = new Channel(transformStreams()[0]);
    channel.abort(...args);
    const reason = await reasonOf(channel.receive());
    assertInstanceOf(reason, DOMException);
    assertEquals(reason.name, "AbortError");
  }
});

Deno.test("Channel.abort() does nothing after the channel has closed", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left);
  await a.close();
  a.abort(new Error("too late"));
  await a.closed;
  await a.close();
  assertEquals(await a.receive(), null);
  new Channel(right).abort();
});

Deno.test("Channel.abort() tells streams the reason", async () => {
  let cancelled: unknown;
  let aborted: unknown;
  const channel = new Channel({
    readable: new ReadableStream({
      cancel: (reason) => void (cancelled = reason),
    }),
    writable: new WritableStream({
      abort: (reason) => void (aborted = reason),
    }),
  });
  channel.abort("enough");
  await idle();
  assertEquals([cancelled, aborted], ["enough", "enough"]);
});

Deno.test("Channel.abort() drops what is queued and closes the connection at once", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  channel.send(A);
  channel.abort();
  assertEquals((await readAll(right)).length, 0);
  right.close();
});

// Bad messages.

testOver(
  "Channel.send() of a bad message harms only itself",
  async (left, right) => {
    const a = new Channel<Uint8Array>(left, { maxFrameLength: 100_000 });
    const b = new Channel(right, { maxFrameLength: 100_000 });
    const notBytes: unknown = "taco cat";
    a.send(A);
    // @ts-expect-error: that is the point
    await assertRejects(() => a.send(notBytes), TypeError);
    const error = await assertRejects(
      () => a.send(numbered(100_001)),
      FrameTooLargeError,
    );
    assertEquals(error.length, 100_001);
    a.send(numbered(100_000));
    a.closeWrite();
    assertEquals(await Array.fromAsync(b), [A, numbered(100_000)]);
    await a.close();
    a.abort();
    b.abort();
  },
);

Deno.test("Channel.send() of a message that the framing cannot express harms only itself", async () => {
  const conn = new FakeConn();
  const framing = lengthField({ lengthFieldLength: 1, initialBytesToStrip: 0 });
  const channel = new Channel(conn, { framing });
  channel.send(new Uint8Array([0, 7]));
  const bad = [0, 1000, 100_000].map((length) =>
    channel.send(numbered(length))
  );
  channel.send(new Uint8Array([0, 8]));
  const written = await conn.takeUntil(channel.flush());
  assertEquals(written, new Uint8Array([1, 7, 1, 8]));
  await assertRejects(() => bad[0]!, RangeError);
  await assertRejects(() => bad[1]!, FrameTooLargeError);
  await assertRejects(() => bad[2]!, FrameTooLargeError);
  channel.abort();
});

testOver(
  "Channel.receive() of a bad message harms only itself",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right, { serialization: json() });
    const encode = (string: string) => new TextEncoder().encode(string);
    for (const message of ["1", "no json", "2"]) a.send(encode(message));
    a.send(new Uint8Array([0xff]));
    for (const message of ["3", "[", "4"]) a.send(encode(message));
    const received = await Promise.allSettled([
      b.receive(),
      b.receive(),
      b.receive(),
    ]);
    assertEquals(received.map(({ status }) => status), [
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    await assertRejects(() => b.receive(), TypeError, "it is not UTF-8");
    assertEquals(await b.receive(), 3);
    // Iteration throws, and can be begun again.
    await assertRejects(() => Array.fromAsync(b), SyntaxError);
    a.closeWrite();
    assertEquals(await Array.fromAsync(b), [4]);
    b.send(1);
    assertEquals(await a.receive(), encode("1"));
    a.abort();
    b.abort();
  },
);

Deno.test("Channel.send() is not upset by a serialization that ends the channel", async () => {
  for (const end of ["closeWrite", "close", "abort"] as const) {
    const [left, right] = transformStreams();
    const peer = new Channel(right);
    const received = Array.fromAsync(peer);
    received.catch(() => {});
    const channel: Channel<string> = new Channel(left, {
      serialization: {
        serialize(message) {
          channel[end]();
          return text().serialize(message);
        },
        deserialize: text().deserialize,
      },
    });
    await assertRejects(() => promptly(channel.send("taco cat")), Error);
    if (end !== "abort") {
      await channel.close();
      await channel.closed;
      assertEquals(await received, []);
    }
    peer.abort();
  }
});

Deno.test("Channel.receive() is not upset by a serialization that uses the channel", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left, STRINGS);
  const inner: Promise<string | null>[] = [];
  const b: Channel<string> = new Channel(right, {
    serialization: {
      ...text(),
      deserialize(bytes) {
        const message = text().deserialize(bytes);
        if (message === "2") inner.push(b.receive());
        if (message === "5") b.close();
        return message;
      },
    },
  });
  for (const message of "12345678") a.send(message);
  const all = await promptly(
    Promise.all(Array.from({ length: 5 }, () => b.receive())),
  );
  // Those who waited before come first.
  assertEquals(all, ["1", "2", "3", "4", "5"]);
  assertEquals(await promptly(Promise.all(inner)), [null]);
  assertEquals(await b.receive(), null);
  a.abort();
});

// Failures.

for (
  const [name, options, bytes, errorClass] of [
    [
      "a header of 0xFFFFFFFF",
      {},
      new Uint8Array([255, 255, 255, 255]),
      FrameTooLargeError,
    ],
    [
      "a message over maxFrameLength",
      { maxFrameLength: 10 },
      frame(numbered(11)),
      FrameTooLargeError,
    ],
    [
      "bytes that are no frame",
      { framing: netstring() },
      new TextEncoder().encode("x"),
      FrameSyntaxError,
    ],
    [
      "a wrong trailer",
      { framing: netstring() },
      new TextEncoder().encode("1:a;"),
      FrameSyntaxError,
    ],
  ] as const
) {
  Deno.test(`Channel receives what comes before ${name}, and then fails`, async () => {
    const [left, right] = await socketPair();
    const good = new Channel(left, options);
    good.send(A);
    good.send(B);
    await good.flush();
    await writeAll(left, bytes);
    const channel = new Channel(right, options);
    const received = [channel.receive(), channel.receive()];
    const failing = [channel.receive(), channel.receive()];
    assertEquals(await Promise.all(received), [A, B]);
    const error = await reasonOf(failing[0]!);
    assertInstanceOf<Error>(error, errorClass);
    assertStrictEquals(await reasonOf(failing[1]!), error);
    for (const promise of Object.values(everythingOf(channel))) {
      assertStrictEquals(await reasonOf(promise), error);
    }
    // The connection is closed.
    assertEquals((await readAll(left)).length, 0);
    good.abort();
  });
}

for (
  const [where, length, expected] of [
    ["header", 3, undefined],
    ["message", 100, 1004],
  ] as const
) {
  const cut = concat([frame(A), frame(numbered(1000)).subarray(0, length)]);

  const check = async (channel: Channel) => {
    const [first, second, third] = [
      channel.receive(),
      channel.receive(),
      channel.receive(),
    ];
    assertEquals(await first, A);
    const error = await assertRejects(() => second, TruncatedFrameError);
    assertEquals(error.received, length);
    assertEquals(error.expected, expected);
    assertStrictEquals(await reasonOf(third), error);
    for (const promise of Object.values(everythingOf(channel))) {
      assertStrictEquals(await reasonOf(promise), error);
    }
  };

  Deno.test(`Channel fails with TruncatedFrameError when the peer closes inside a ${where}, over Unix socket`, async () => {
    const [left, right] = await socketPair();
    await writeAll(left, cut);
    left.close();
    await check(new Channel(right));
  });

  Deno.test(`Channel fails with TruncatedFrameError when the peer closes inside a ${where}, over streams`, async () => {
    const readable = ReadableStream.from([cut]);
    await check(new Channel({ readable, writable: new WritableStream() }));
  });
}

function assertSystemError(reason: unknown) {
  assert(
    reason instanceof Deno.errors.BrokenPipe ||
      reason instanceof Deno.errors.ConnectionReset,
    `${reason} is not what the system says of a dead peer`,
  );
}

Deno.test("Channel receives what arrived before the peer died, then the error of the failed write", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  await channel.send(C);
  await channel.flush();
  await writeAll(right, concat([frame(A), frame(numbered(50_000)), frame(B)]));
  // It has not read C: this is a reset.
  right.close();

  // A send that meets the dead peer resolves; the next call tells.
  await channel.send(C);
  const failure = await reasonOf(channel.flush());
  assertSystemError(failure);
  assertStrictEquals(await reasonOf(channel.send(C)), failure);
  assertStrictEquals(await reasonOf(channel.closed), failure);

  assertEquals(await channel.receive(), A);
  const iterator = channel[Symbol.asyncIterator]();
  assertEquals((await iterator.next()).value, numbered(50_000));
  assertEquals(await channel.receiveInto(new Uint8Array(9)), B);
  for (
    const promise of [channel.receive(), channel.receive(), iterator.next()]
  ) {
    assertStrictEquals(await reasonOf(promise), failure);
  }
  for (const promise of Object.values(everythingOf(channel))) {
    assertStrictEquals(await reasonOf(promise), failure);
  }
});

Deno.test("Channel receives what arrived before the peer died, then the error of the read", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  await channel.send(C);
  await channel.flush();
  await writeAll(right, concat([frame(A), frame(B)]));
  right.close();
  assertEquals(await channel.receive(), A);
  assertEquals(await channel.receive(), B);
  const failure = await reasonOf(channel.receive());
  assertInstanceOf(failure, Deno.errors.ConnectionReset);
  for (const promise of Object.values(everythingOf(channel))) {
    assertStrictEquals(await reasonOf(promise), failure);
  }
});

Deno.test("Channel.send() to a peer that has left gives BrokenPipe, and close() too", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  right.close();
  await channel.send(A);
  await assertRejects(() => channel.flush(), Deno.errors.BrokenPipe);
  await assertRejects(() => channel.receive(), Deno.errors.BrokenPipe);
  await assertRejects(() => channel.close(), Deno.errors.BrokenPipe);
  await assertRejects(() => channel.closed, Deno.errors.BrokenPipe);
});

Deno.test("Channel.close() rejects when what is queued cannot be written", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  const sent = channel.send(numbered(5_000_000));
  const received = channel.receive();
  const closed = channel.close();
  right.close();
  assertSystemError(await reasonOf(closed));
  assertSystemError(await reasonOf(sent));
  assertSystemError(await reasonOf(channel.closed));
  assertEquals(await received, null);
});

Deno.test("Channel.send() that waits rejects when the peer dies", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  const sends = [channel.send(numbered(5_000_000)), channel.send(A)];
  const flushed = channel.flush();
  const ended = channel.closeWrite();
  assertEquals(await right.read(new Uint8Array(1)), 1);
  right.close();
  for (const promise of [...sends, flushed, ended, channel.closed]) {
    assertSystemError(await reasonOf(promise));
  }
  assertSystemError(await reasonOf(channel.close()));
});

Deno.test("Channel goes on receiving when the peer receives no more", async () => {
  const [left, right] = transformStreams();
  const channel = new Channel(left);
  const reason = new Error("enough");
  await right.readable.cancel(reason);
  await channel.send(A);
  assertStrictEquals(await reasonOf(channel.flush()), reason);
  const writer = right.writable.getWriter();
  for (const message of [A, B]) {
    const received = channel.receive();
    writer.write(frame(message));
    assertEquals(await received, message);
  }
  const [received, next] = [
    channel.receive(),
    channel[Symbol.asyncIterator]().next(),
  ];
  writer.close();
  assertStrictEquals(await reasonOf(received), reason);
  assertStrictEquals(await reasonOf(next), reason);
  assertStrictEquals(await reasonOf(channel.receive()), reason);
  assertStrictEquals(await reasonOf(channel.closed), reason);
  assertStrictEquals(await reasonOf(channel.close()), reason);
});

Deno.test("Channel says why when the peer closes streams in memory", async () => {
  const [left, right] = transformStreams();
  const channel = new Channel(left);
  const peer = new Channel(right);
  await peer.close();
  channel.send(A);
  const reason = await reasonOf(channel.flush());
  assertInstanceOf(reason, Error);
  assertStrictEquals(await reasonOf(channel.receive()), reason);
  assertStrictEquals(await reasonOf(channel.close()), reason);
});

Deno.test("Channel fails for sending when the end cannot be written", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const failure = new Error("Cannot end");
  const ended = channel.closeWrite();
  (await conn.closeWrites.next()).reject(failure);
  assertStrictEquals(await reasonOf(ended), failure);
  assertStrictEquals(await reasonOf(channel.closed), failure);
  const received = [channel.receive(), channel.receive()] as const;
  await conn.give(frame(A));
  assertEquals(await received[0], A);
  assertEquals(conn.closes, 0);
  await conn.give(null);
  assertStrictEquals(await reasonOf(received[1]), failure);
  assertStrictEquals(await reasonOf(channel.close()), failure);
  assertEquals(conn.closes, 1);
});

Deno.test("Channel.close() does not mind that the peer resets after all is written", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  channel.send(A);
  const closed = channel.close();
  (await conn.reads.next()).reject(new Deno.errors.ConnectionReset());
  await conn.take();
  (await conn.closeWrites.next()).resolve();
  await closed;
  await channel.closed;
  assertEquals(conn.closes, 1);
});

Deno.test("Channel fails when somebody else closes its connection", async () => {
  const unhandled = await unhandledDuring(async () => {
    const [left, right] = await socketPair();
    const a = new Channel(left);
    const b = new Channel(right);
    const received = a.receive();
    left.close();
    await assertRejects(() => received, Error);
    await assertRejects(() => a.closed, Error);
    await assertRejects(() => a.close(), Error);
    right.close();
    b.send(A);
    await assertRejects(() => b.flush(), Error);
    await assertRejects(() => b.receive(), Error);
    await assertRejects(() => b.close(), Error);
  });
  assertEquals(unhandled, []);
});

async function unhandledDuring(run: () => Promise<void>): Promise<unknown[]> {
  const reasons: unknown[] = [];
  const listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    reasons.push(event.reason);
  };
  addEventListener("unhandledrejection", listener);
  try {
    await run();
    await turnOfEventLoop();
  } finally {
    removeEventListener("unhandledrejection", listener);
  }
  return reasons;
}

Deno.test("Channel never makes an unhandled rejection", async () => {
  function useAll(channel: Channel) {
    everythingOf(channel);
    channel.send(numbered(1_000_000));
    channel.receive({ signal: AbortSignal.abort() });
    const controller = new AbortController();
    channel.receive({ signal: controller.signal });
    controller.abort();
    channel.receiveInto(new Uint8Array(new SharedArrayBuffer(1)));
  }
  const unhandled = await unhandledDuring(async () => {
    // The peer leaves, having read nothing.
    for (const first of ["the use", "the end"]) {
      const [left, right] = await socketPair();
      const channel = new Channel(left);
      channel.send(A);
      if (first === "the use") useAll(channel);
      right.close();
      if (first === "the end") useAll(channel);
      await channel.closed.catch(() => {});
      useAll(channel);
    }
    // The peer's bytes are no frame, or end too early.
    for (const end of [[255, 255, 255, 255], [1]]) {
      const [left, right] = await socketPair();
      const channel = new Channel(left);
      channel.receive();
      await writeAll(right, new Uint8Array(end));
      right.close();
      await channel.closed.catch(() => {});
      useAll(channel);
    }
    for (const pair of [transformStreams, byteStreams, socketPair]) {
      for (const end of ["abort", "close", "closeWrite"] as const) {
        const [left, right] = await pair();
        const a = new Channel(left, { maxFrameLength: 10 });
        const b = new Channel<unknown>(right, { serialization: json() });
        a.send(A);
        b.send(undefined);
        b.receive();
        useAll(a);
        a[end]();
        useAll(a);
        b.abort();
      }
      for (const end of ["flush", "closeWrite", "close"] as const) {
        const [left, right] = await pair();
        const channel = new Channel(left);
        channel.send(numbered(1_000_000));
        channel[end]();
        channel.abort();
        useAll(channel);
        new Channel(right).close();
      }
    }
  });
  assertEquals(unhandled, []);
});

// closed

testOver(
  "Channel.closed resolves when both directions have ended",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const { closed } = a;
    assertStrictEquals(a.closed, closed);
    let isClosed = false;
    closed.then(() => isClosed = true);
    await a.closeWrite();
    assertEquals(await b.receive(), null);
    await idle();
    assert(!isClosed);
    await b.closeWrite();
    // Nobody receives from a: it looks for the end by itself.
    await closed;
    await b.closed;
    assertEquals(await a.receive(), null);
  },
);

testOver(
  "Channel.closed resolves after close(), though the peer has not ended",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    await a.close();
    await a.closed;
    b.abort();
  },
);

Deno.test("Channel.closed sees the peer die while nobody receives", async () => {
  const [left, right] = await socketPair();
  const channel = new Channel(left);
  await channel.send(A);
  await channel.flush();
  const { closed } = channel;
  right.close();
  await assertRejects(() => closed, Deno.errors.ConnectionReset);
});

Deno.test("Channel.closed rejects with the first failure", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  channel.send(A);
  const first = new Error("first");
  (await conn.writes.next()).reject(first);
  assertStrictEquals(await reasonOf(channel.flush()), first);
  channel.abort(new Error("second"));
  assertStrictEquals(await reasonOf(channel.closed), first);
  assertStrictEquals(channel.closed, channel.closed);
});

testOver(
  "Channel.closed takes no message from those who receive",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const { closed } = b;
    const messages = [0, 10, 100_000, 1, 300_000].map(numbered);
    for (const message of messages) a.send(message);
    a.closeWrite();
    await turnOfEventLoop();
    assertEquals(await Array.fromAsync(b), messages);
    b.closeWrite();
    await closed;
    a.abort();
    b.abort();
  },
);

// readable, writable and iteration

testOver(
  "Channel.readable and writable work with pipeThrough() and pipeTo()",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    const upper = new TransformStream<string, string>({
      transform: (message, controller) =>
        controller.enqueue(message.toUpperCase()),
    });
    const messages = Array.from({ length: 100 }, (_, i) => `message ${i}`);
    const [received] = await Promise.all([
      Array.fromAsync(a),
      ReadableStream.from(messages).pipeTo(a.writable),
      b.readable.pipeThrough(upper).pipeTo(b.writable),
    ]);
    assertEquals(received, messages.map((message) => message.toUpperCase()));
    await Promise.all([a.closed, b.closed]);
    a.abort();
    b.abort();
  },
);

testOver(
  "Channel mixes receive(), iteration and readable without loss",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    const messages = Array.from({ length: 60 }, (_, i) => `${i}`);
    for (const message of messages) a.send(message);
    a.closeWrite();
    assertStrictEquals(b.readable, b.readable);
    const received: (string | null | undefined)[] = [];
    for (let i = 0; i < 10; i++) {
      received.push(await b.receive());
      for await (const message of b) {
        received.push(message);
        break;
      }
      const reader = b.readable.getReader();
      received.push((await reader.read()).value);
      reader.releaseLock();
      for await (const message of b.readable.values({ preventCancel: true })) {
        received.push(message);
        break;
      }
      const into = await b.receiveInto(new Uint8Array(2));
      received.push(into && new TextDecoder().decode(into));
      received.push(await b.receive());
    }
    assertEquals(received, messages);
    assertEquals(await b.receive(), null);
    a.abort();
    b.abort();
  },
);

testOver(
  "Channel.readable takes a message only for a pending read",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    const reader = b.readable.getReader();
    a.send("1");
    a.send("2");
    assertEquals(await b.receive(), "1");
    assertEquals(await reader.read(), { value: "2", done: false });
    a.send("3");
    assertEquals(await b.receive(), "3");
    a.abort();
    b.abort();
  },
);

testOver(
  "Channel stays open when a loop over it is left early",
  async (left, right) => {
    const a = new Channel(left, STRINGS);
    const b = new Channel(right, STRINGS);
    for (const message of ["1", "2", "3", "4"]) a.send(message);
    const received: (string | null)[] = [];
    for await (const message of b) {
      received.push(message);
      if (message === "2") break;
    }
    await assertRejects(async () => {
      for await (const message of b) {
        received.push(message);
        throw new Error("enough");
      }
    });
    received.push(await b.receive());
    assertEquals(received, ["1", "2", "3", "4"]);
    b.send("answer");
    assertEquals(await a.receive(), "answer");
    a.abort();
    b.abort();
  },
);

Deno.test("Channel's iterator is done after return()", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left, STRINGS);
  const b = new Channel(right, STRINGS);
  a.send("1");
  const iterator = b[Symbol.asyncIterator]();
  assertStrictEquals(iterator[Symbol.asyncIterator](), iterator);
  assertEquals(await iterator.return?.(), { value: undefined, done: true });
  assertEquals(await iterator.next(), { value: undefined, done: true });
  assertEquals(await b.receive(), "1");
  a.abort();
  b.abort();
});

Deno.test("Channel's iterator stays done when sending fails after the end", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  const iterator = channel[Symbol.asyncIterator]();
  const next = iterator.next();
  await conn.give(null);
  assertEquals(await next, { value: undefined, done: true });
  channel.send(A);
  (await conn.writes.next()).reject(new Deno.errors.BrokenPipe());
  await assertRejects(() => channel.flush(), Deno.errors.BrokenPipe);
  assertEquals(await iterator.next(), { value: undefined, done: true });
  await assertRejects(() => channel.close(), Deno.errors.BrokenPipe);
});

testOver("Channel.writable.close() is closeWrite()", async (left, right) => {
  const a = new Channel(left, STRINGS);
  const b = new Channel(right, STRINGS);
  assertStrictEquals(a.writable, a.writable);
  const writer = a.writable.getWriter();
  writer.write("last");
  const closed = writer.close();
  await idle();
  await assertRejects(() => a.send("later"), TypeError);
  assertEquals(await Array.fromAsync(b), ["last"]);
  await closed;
  b.send("answer");
  assertEquals(await a.receive(), "answer");
  a.abort();
  b.abort();
});

Deno.test("Channel.writable.abort() is abort()", async () => {
  const [left, right] = transformStreams();
  const a = new Channel(left);
  const reason = new Error("enough");
  await a.writable.abort(reason);
  assertStrictEquals(await reasonOf(a.closed), reason);
  assertStrictEquals(await reasonOf(a.receive()), reason);
  new Channel(right).abort();
});

Deno.test("Channel.writable.abort() does not wait for what waits", async () => {
  for (const waiting of ["write", "close"] as const) {
    const conn = new FakeConn();
    const channel = new Channel(conn, { highWaterMark: 0 });
    const writer = channel.writable.getWriter();
    const written = waiting === "write" ? writer.write(A) : writer.close();
    assert(await isPending(written));
    const reason = new Error("enough");
    const aborted = writer.abort(reason);
    assertStrictEquals(await promptly(reasonOf(channel.closed)), reason);
    assertStrictEquals(await promptly(reasonOf(written)), reason);
    await Promise.allSettled([aborted]);
    assertEquals(conn.closes, 1);
  }
});

Deno.test("Channel.writable waits as send() does", async () => {
  const conn = new FakeConn();
  const channel = new Channel(conn, { highWaterMark: 0 });
  const writer = channel.writable.getWriter();
  const written = writer.write(A);
  assert(await isPending(written));
  assert(await isPending(writer.ready));
  await conn.take();
  await promptly(written);
  channel.abort();
});

for (const reading of [false, true]) {
  testOver(
    `Channel.readable.cancel() ends receiving${
      reading ? ", with a read pending" : ""
    }`,
    async (left, right) => {
      const a = new Channel(left, STRINGS);
      const b = new Channel(right, STRINGS);
      const first = b.receive();
      a.send("1");
      assertEquals(await first, "1");
      const reader = b.readable.getReader();
      const iterator = b[Symbol.asyncIterator]();
      const before = b.receive();
      const read = reading ? reader.read() : null;
      const after = b.receive();
      const next = iterator.next();
      await idle();
      await reader.cancel("enough");
      assertEquals([await before, await after], [null, null]);
      if (read) assert((await read).done);
      assertEquals(await next, { value: undefined, done: true });
      assertEquals(await b.receive(), null);
      // Sending goes on.
      b.send("2");
      assertEquals(await a.receive(), "2");
      await b.closeWrite();
      await b.closed;
      assertEquals(await a.receive(), null);
      a.abort();
    },
  );
}

Deno.test("Channel.readable fails when the channel does", async () => {
  const [left, right] = transformStreams();
  const channel = new Channel(left);
  const read = channel.readable.getReader().read();
  channel.abort(1);
  assertEquals(await reasonOf(read), 1);
  new Channel(right).abort();
});

Deno.test("Channel.readable and writable fail at a bad message, and the channel goes on", async () => {
  const [left, right] = transformStreams();
  const a = new Channel<unknown>(left, { serialization: json() });
  const b = new Channel(right);
  await assertRejects(
    () => ReadableStream.from([undefined]).pipeTo(a.writable),
    TypeError,
  );
  a.send(1);
  const received = b.receive();
  assertEquals(await received, new TextEncoder().encode("1"));
  b.send(A);
  b.send(new TextEncoder().encode("2"));
  await assertRejects(() => a.readable.getReader().read(), SyntaxError);
  assertEquals(await a.receive(), 2);
  a.abort();
  b.abort();
});

// ref() and unref()

Deno.test("Channel.ref() and unref() are those of the connection", () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  channel.unref();
  assertEquals(conn.refs, -1);
  channel.ref();
  assertEquals(conn.refs, 0);
  channel.abort();

  const plain = new Channel(transformStreams()[0]);
  plain.unref();
  plain.ref();
  plain.abort();
});

const CHILD = `
  import { connectToParent } from "${import.meta.resolve("../pair.ts")}";
  const parent = await connectToParent();
`;

function spawnDeno(code: string) {
  return spawn(Deno.execPath(), {
    args: ["eval", "--ext=ts", CHILD + code],
    cwd: new URL("..", import.meta.url),
  });
}

Deno.test("Channel.unref() lets the process exit while it waits for a message", async () => {
  const child = await spawnDeno(`
    parent.receive().then(() => Deno.exit(1));
    parent.unref();
  `);
  assertEquals((await child.status).code, 0);
  await child.close();
});

Deno.test("Channel.ref() keeps the process alive while it waits for a message", async () => {
  const child = await spawnDeno(`
    parent.unref();
    parent.ref();
    parent.receive().then((message) => parent.send(message));
  `);
  child.channel.send(A);
  assertEquals(await child.channel.receive(), A);
  await child.close();
});

Deno.test("Channel over a connection loads no web streams", async () => {
  await using child = await spawn(Deno.execPath(), {
    args: [
      "eval",
      `for (const name of ["TransformStream", "ReadableStream", "WritableStream"]) {
        Object.defineProperty(globalThis, name, {
          get: () => { throw new Error(name + " is looked up"); },
        });
      }
      const { connectToParent } = await import("${
        import.meta.resolve("../mod.ts")
      }");
      const parent = await connectToParent();
      for await (const message of parent) await parent.send(message);`,
    ],
    cwd: new URL("..", import.meta.url),
  });
  await child.channel.send(A);
  assertEquals(await child.channel.receive(), A);
});

// What pair.ts uses besides.

testOver(
  "drain() drops what still comes until the peer ends",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    const received = a.receive();
    const drained = drain(a);
    assertEquals(await received, null);
    for (let i = 0; i < 10; i++) await b.send(numbered(300_000));
    assertEquals(await b.receive(), null);
    await b.closeWrite();
    await drained;
    await Promise.all([a.closed, b.closed]);
  },
);

testOver(
  "drain() lets the peer send on after receiving was cancelled",
  async (left, right) => {
    const a = new Channel(left);
    const b = new Channel(right);
    await a.readable.cancel();
    const drained = drain(a);
    for (let i = 0; i < 10; i++) await b.send(numbered(300_000));
    assertEquals(await b.receive(), null);
    await b.closeWrite();
    await drained;
    await Promise.all([a.closed, b.closed]);
  },
  { "Unix socket": socketPair },
);

testOver("drain() resolves when the peer dies", async (left, right) => {
  const a = new Channel(left);
  const b = new Channel(right);
  a.send(numbered(5_000_000));
  const drained = drain(a);
  b.abort();
  await drained;
  await assertRejects(() => a.close(), Error);
});

testOver("trace() tells of each frame and of the end", async (left, right) => {
  const a = new Channel(left);
  const b = new Channel(right);
  const lines: string[] = [];
  trace(a, (line) => lines.push(line));
  a.send(A);
  a.send(numbered(100_000));
  b.send(numbered(3));
  assertEquals(await a.receive(), numbered(3));
  const [received] = await Promise.all([Array.fromAsync(b), a.close()]);
  assertEquals(received.length, 2);
  await idle();
  assertEquals(lines, [
    "sent frame of 1 bytes",
    "sent frame of 100000 bytes",
    "received frame of 3 bytes",
    "closed",
  ]);
  b.abort();
});
