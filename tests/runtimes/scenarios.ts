/**
 * Uses of `framing.ts` and `channel.ts` in any runtime: `node scenarios.ts NAME...` runs some, prints the name of each that
 * works, and exits with 0 if all do.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import process from "node:process";
import { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import {
  bytes,
  Channel,
  type Connection,
  type DuplexStream,
  json,
  structured,
  text,
} from "../../channel.ts";
import { connectionOf } from "../../docs/node/connection.ts";
import {
  contentLength,
  delimiter,
  FrameDecoderStream,
  FrameEncoderStream,
  FrameSyntaxError,
  FrameTooLargeError,
  lengthField,
  netstring,
  TruncatedFrameError,
  varint,
} from "../../framing.ts";

const WORDS = ["taco cat", "", "tac ocat"];

const OPTIONS = { serialization: text() };

/** Connects two ends of a Unix socket in this process. */
async function sockets(): Promise<[net.Socket, net.Socket]> {
  const path = `${tmpdir()}/socketpair-${randomBytes(8).toString("hex")}`;
  const server = net.createServer({ allowHalfOpen: true });
  server.listen(path);
  await once(server, "listening");
  const left = net.connect({ path, allowHalfOpen: true });
  const [right] = await once(server, "connection");
  assert(right instanceof net.Socket);
  server.close();
  await rm(path, { force: true });
  return [left, right];
}

async function socketChannels() {
  const [left, right] = await sockets();
  return {
    left: new Channel(connectionOf(left), OPTIONS),
    right: new Channel(connectionOf(right), OPTIONS),
    sockets: [left, right] as const,
  };
}

/** Converts a socket to web streams. */
function webStreams(socket: net.Socket): DuplexStream {
  return Duplex.toWeb(socket);
}

async function echoes(
  ends: [DuplexStream | Connection, DuplexStream | Connection],
) {
  const [left, right] = ends.map((end) => new Channel(end, OPTIONS));
  assert(left && right);
  const echoed = right.readable.pipeTo(right.writable);
  const sent = async () => {
    for (let n = 0; n < 5_000; n++) await left.send(`message ${n}`);
    await left.send("z".repeat(9_000_000));
    void left.closeWrite();
  };
  const sending = sent();
  let n = 0;
  for await (const message of left) {
    if (n < 5_000) assert.equal(message, `message ${n}`);
    else assert.equal(message.length, 9_000_000);
    n++;
  }
  assert.equal(n, 5_001);
  await Promise.all([sending, echoed, left.closed, right.closed]);
}

const scenarios: Record<string, () => Promise<void>> = {
  async "streams of every framing"() {
    const framings = [
      lengthField,
      varint,
      netstring,
      contentLength,
      delimiter,
      () => lengthField({ lengthFieldLength: 8, endianness: "big" }),
    ];
    for (const framing of framings) {
      const decoded = ReadableStream.from(WORDS)
        .pipeThrough(new TextEncoderStream())
        .pipeThrough(new FrameEncoderStream({ framing: framing() }))
        .pipeThrough(bytewise())
        .pipeThrough(new FrameDecoderStream({ framing: framing() }));
      const messages = (await Array.fromAsync(decoded))
        .map((message) => new TextDecoder().decode(message));
      // A TextEncoderStream drops empty strings
      assert.deepEqual(messages, WORDS.filter((word) => word !== ""));
    }
  },
  async "streams that fail"() {
    const cases = [
      ["8,taco cat", FrameSyntaxError],
      ["900:taco cat,", FrameTooLargeError],
      ["8:taco", TruncatedFrameError],
    ] as const;
    for (const [input, error] of cases) {
      const messages = ReadableStream.from(["4:taco,", input])
        .pipeThrough(new TextEncoderStream())
        .pipeThrough(
          new FrameDecoderStream({ framing: netstring(), maxFrameLength: 100 }),
        ).getReader();
      const { value } = await messages.read();
      assert.equal(new TextDecoder().decode(value), "taco");
      await assert.rejects(messages.read(), error);
    }
  },
  async "every serialization over streams in memory"() {
    await converses(text(), "taco cat");
    await converses(json<unknown>(), { items: ["taco", 7, null] });
    await converses(bytes(), new Uint8Array([7, 8, 9]));
    await converses(bytes({ borrow: true }), new Uint8Array([7, 8, 9]));
  },
  async "structured()"() {
    const message = new Map([["id", [7n, new Date(0)]]]);
    if (!process.versions.bun) {
      return await converses(structured<unknown>(), message);
    }
    const { left } = inMemory();
    const channel = new Channel(left, { serialization: structured<unknown>() });
    await assert.rejects(channel.send(message), {
      name: "DataCloneError",
      message: /not yet implemented in Bun/,
    });
  },
  async "receive() with a signal, receiveInto(), and messages that are bad"() {
    const { left, right } = inMemory();
    const a = new Channel(left);
    const b = new Channel(right, { serialization: json<unknown>() });
    const signal = AbortSignal.timeout(1);
    // A signal alone doesn't keep a process alive
    const alive = setTimeout(() => {}, 60_000);
    await assert.rejects(b.receive({ signal }), { name: "TimeoutError" });
    clearTimeout(alive);
    for (const message of ["1", "nonsense", "[2]"]) {
      await a.send(new TextEncoder().encode(message));
    }
    assert.equal(await b.receive(), 1);
    await assert.rejects(b.receive(), SyntaxError);
    const into = await b.receiveInto(new Uint8Array(8));
    assert.equal(new TextDecoder().decode(into ?? undefined), "[2]");
    b.abort(new Error("enough"));
    await assert.rejects(b.receive(), /enough/);
  },
  async "a connection of a socket: echo"() {
    const [left, right] = await sockets();
    await echoes([connectionOf(left), connectionOf(right)]);
  },
  async "a connection of a socket: each side ends by itself"() {
    const { left, right, sockets } = await socketChannels();
    await left.send("question");
    await left.closeWrite();
    assert.deepEqual(await Array.fromAsync(right), ["question"]);
    await right.send("answer");
    await right.closeWrite();
    assert.deepEqual(await Array.fromAsync(left), ["answer"]);
    await Promise.all([left.closed, right.closed]);
    assert.deepEqual(sockets.map(({ destroyed }) => destroyed), [true, true]);
  },
  async "a connection of a socket: close() does not wait for the peer"() {
    const { left, right } = await socketChannels();
    await left.send("taco cat");
    await left.close();
    assert.equal(await right.receive(), "taco cat");
    assert.equal(await right.receive(), null);
    await right.close();
  },
  async "a connection of a socket: the peer dies"() {
    const { left, right, sockets } = await socketChannels();
    await left.send("last words");
    await left.flush();
    sockets[0].destroy();
    assert.equal(await right.receive(), "last words");
    assert.equal(await right.receive(), null);
    const big = "z".repeat(9_000_000);
    await assert.rejects(async () => {
      for (;;) await right.send(big);
    });
    await assert.rejects(right.closed);
  },
  async "Duplex.toWeb() of a socket: echo"() {
    const [left, right] = await sockets();
    await echoes([webStreams(left), webStreams(right)]);
  },
  async "Duplex.toWeb() of a socket: closeWrite() resolves when the peer has ended too"() {
    const [left, right] = (await sockets()).map((socket) =>
      new Channel(webStreams(socket), OPTIONS)
    );
    assert(left && right);
    let isClosed = false;
    const closing = left.closeWrite().then(() => isClosed = true);
    assert.equal(await right.receive(), null);
    await right.send("answer");
    assert.equal(await left.receive(), "answer");
    assert.equal(isClosed, false);
    await right.closeWrite();
    await closing;
    assert.equal(await left.receive(), null);
    await Promise.all([left.closed, right.closed]);
  },
  async "Duplex.toWeb() of a socket: the peer dies"() {
    const [left, right] = await sockets();
    const channel = new Channel(webStreams(right), OPTIONS);
    left.destroy();
    assert.equal(await channel.receive(), null);
    await channel.close();
  },
};

/** Splits everything into chunks of one byte. */
function bytewise(): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({
    transform(chunk, controller) {
      for (let i = 0; i < chunk.length; i++) {
        controller.enqueue(chunk.slice(i, i + 1));
      }
    },
  });
}

function inMemory(): { left: DuplexStream; right: DuplexStream } {
  const there = new TransformStream<Uint8Array, Uint8Array>();
  const back = new TransformStream<Uint8Array, Uint8Array>();
  return {
    left: { readable: back.readable, writable: there.writable },
    right: { readable: there.readable, writable: back.writable },
  };
}

/** Sends a message there and back, and closes. */
async function converses<In, Out>(
  serialization: {
    serialize(message: Out): Uint8Array;
    deserialize(bytes: Uint8Array<ArrayBuffer>): In;
  },
  message: Out,
) {
  const { left, right } = inMemory();
  const a = new Channel(left, { serialization });
  const b = new Channel(right, { serialization });
  await a.send(message);
  assert.deepEqual(await b.receive(), message);
  await b.send(message);
  void b.closeWrite();
  assert.deepEqual(await Array.fromAsync(a), [message]);
  void a.closeWrite();
  assert.equal(await b.receive(), null);
  await Promise.all([a.closed, b.closed]);
}

if ("Deno" in globalThis) {
  scenarios["a Deno.Conn: echo"] = async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const [left, right] = await Promise.all([
      Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
      listener.accept(),
    ]);
    listener.close();
    await echoes([left, right]);
  };
}

/** The scenarios that the current runtime can run. */
export const names: string[] = Object.keys(scenarios);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // If a scenario waits for something that never happens, the process ends before the last line
  process.exitCode = 1;
  for (const name of process.argv.slice(2)) {
    const scenario = scenarios[name];
    assert(scenario, "There is no scenario of that name");
    await scenario();
    console.log(name);
  }
  process.exitCode = 0;
}
