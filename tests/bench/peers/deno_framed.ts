// What frames cost by hand: a 4-byte length before each message, both in one write; nothing queues, waits together, fails or
// ends in good order. The receiver gets each message in an ArrayBuffer of its own, or a view of what was read.
//
// usage: deno run -A deno_framed.ts own|borrow roundtrip|oneway SIZE COUNT WARM

import { connect, isChild, start } from "./own_child.ts";

const [way, workload = "", ...numbers] = Deno.args.slice(isChild ? 1 : 0);
const [size = 0, count = 0, warm = 0] = numbers.map(Number);
const message = new Uint8Array(size).fill(0x78);
const HEADER = 4;

class Frames {
  readonly #conn: Deno.Conn;
  readonly #out = new Uint8Array(HEADER + Math.max(size, 8));
  readonly #outView = new DataView(this.#out.buffer);
  readonly #in = new Uint8Array(Math.max(256 * 1024, 2 * (HEADER + size)));
  readonly #inView = new DataView(this.#in.buffer);
  #start = 0;
  #end = 0;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async send(message: Uint8Array): Promise<void> {
    this.#outView.setUint32(0, message.length, true);
    this.#out.set(message, HEADER);
    const frame = this.#out.subarray(0, HEADER + message.length);
    let written = await this.#conn.write(frame);
    while (written < frame.length) {
      written += await this.#conn.write(frame.subarray(written));
    }
  }

  async receive(): Promise<Uint8Array> {
    for (;;) {
      const start = this.#start + HEADER;
      if (start <= this.#end) {
        const end = start + this.#inView.getUint32(this.#start, true);
        if (end <= this.#end) {
          this.#start = end;
          const message = this.#in.subarray(start, end);
          return way === "own" ? new Uint8Array(message) : message;
        }
      }
      this.#in.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
      const read = await this.#conn.read(this.#in.subarray(this.#end));
      if (read === null) {
        throw new Error("Cannot receive: the other side has closed");
      }
      this.#end += read;
    }
  }
}

async function receiveMany(frames: Frames, n: number): Promise<number> {
  for (let i = 0; i < n; i++) {
    const { length } = await frames.receive();
    if (length !== size) {
      throw new Error(`Cannot receive: a message is not of ${size} bytes`);
    }
  }
  return n;
}

async function parent(frames: Frames, n: number): Promise<number> {
  if (workload === "roundtrip") {
    for (let i = 0; i < n; i++) {
      await frames.send(message);
      await receiveMany(frames, 1);
    }
    return n;
  }
  for (let i = 0; i < n; i++) await frames.send(message);
  const received = await frames.receive();
  return Number(new TextDecoder().decode(received));
}

async function child(frames: Frames, n: number): Promise<void> {
  if (workload === "roundtrip") {
    for (let i = 0; i < n; i++) {
      await receiveMany(frames, 1);
      await frames.send(message);
    }
    return;
  }
  const received = await receiveMany(frames, n);
  await frames.send(new TextEncoder().encode(String(received)));
}

if (isChild) {
  using conn = await connect();
  const frames = new Frames(conn);
  await child(frames, warm);
  await child(frames, count);
  await conn.read(new Uint8Array(1));
} else {
  const [conn, process] = await start();
  const frames = new Frames(conn);
  await parent(frames, warm);
  const began = performance.now();
  const messages = await parent(frames, count);
  const seconds = (performance.now() - began) / 1000;
  console.log(JSON.stringify({ messages, seconds }));
  conn.close();
  await process.status;
}
