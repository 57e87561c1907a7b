// The most that Deno gives by hand for messages that are the receiver's to keep, as those of receive() are: each in an
// ArrayBuffer of its own. Nothing frames them, and what one write may hold of them is made beforehand. "streams": the
// receiver reads them from a web stream, which gets a message as soon as it is asked for.
//
// usage: deno run -A deno_own.ts calls|streams oneway SIZE COUNT WARM

import { connect, isChild, start } from "./own_child.ts";

/** Of messages sent together, in bytes. */
const BATCH_LENGTH = 64 * 1024;
/** Messages from this length on, in bytes, are read straight into the memory that is theirs. */
const LARGE_LENGTH = 32 * 1024;

const [way, _workload, ...numbers] = Deno.args.slice(isChild ? 1 : 0);
const [size = 0, count = 0, warm = 0] = numbers.map(Number);

async function sendMany(conn: Deno.Conn, n: number): Promise<void> {
  const together = Math.max(1, Math.floor(BATCH_LENGTH / size));
  const batch = new Uint8Array(together * size).fill(0x78);
  for (let left = n * size; left > 0;) {
    const length = Math.min(left, batch.length);
    for (let sent = 0; sent < length;) {
      sent += await conn.write(batch.subarray(sent, length));
    }
    left -= length;
  }
}

async function read(conn: Deno.Conn, into: Uint8Array): Promise<number> {
  const length = await conn.read(into);
  if (length === null) {
    throw new Error("Cannot receive: the other side has closed");
  }
  return length;
}

async function receiveLarge(conn: Deno.Conn): Promise<Uint8Array> {
  const message = new Uint8Array(size);
  for (let length = 0; length < size;) {
    length += await read(conn, message.subarray(length));
  }
  return message;
}

async function receiveMany(conn: Deno.Conn, n: number): Promise<number> {
  const buffer = new Uint8Array(256 * 1024);
  let received = 0;
  if (size >= LARGE_LENGTH) {
    for (; received < n; received++) await receiveLarge(conn);
    return received;
  }
  for (let end = 0; received < n;) {
    end += await read(conn, buffer.subarray(end));
    let start = 0;
    for (; end - start >= size; start += size) {
      const message = buffer.slice(start, start + size);
      received += message.length / size;
    }
    buffer.copyWithin(0, start, end);
    end -= start;
  }
  return received;
}

/** Read messages from a stream. Its `pull` returns no promise where there is a message. */
async function receiveFromStream(conn: Deno.Conn, n: number): Promise<number> {
  const buffer = new Uint8Array(256 * 1024);
  let start = 0;
  let end = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const take = () => {
        controller.enqueue(buffer.slice(start, start + size));
        start += size;
      };
      if (end - start >= size) return take();
      return (async () => {
        buffer.copyWithin(0, start, end);
        end -= start;
        start = 0;
        while (end < size) end += await read(conn, buffer.subarray(end));
        take();
      })();
    },
  }, { highWaterMark: 0 });
  const reader = stream.getReader();
  let received = 0;
  for (; received < n; received++) {
    const { value } = await reader.read();
    if (value?.length !== size) throw new Error("Cannot receive: it is short");
  }
  return received;
}

async function sendNumber(conn: Deno.Conn, n: number): Promise<void> {
  await conn.write(new Uint8Array(Uint32Array.of(n).buffer));
}

async function receiveNumber(conn: Deno.Conn): Promise<number> {
  const number = new Uint32Array(1);
  await conn.read(new Uint8Array(number.buffer));
  return number[0] ?? 0;
}

if (isChild) {
  using conn = await connect();
  for (const n of [warm, count]) {
    const received = way === "streams"
      ? await receiveFromStream(conn, n)
      : await receiveMany(conn, n);
    await sendNumber(conn, received);
  }
  await conn.read(new Uint8Array(1));
} else {
  const [conn, process] = await start();
  await sendMany(conn, warm);
  await receiveNumber(conn);
  const began = performance.now();
  await sendMany(conn, count);
  const messages = await receiveNumber(conn);
  console.log(
    JSON.stringify({
      messages,
      seconds: (performance.now() - began) / 1000,
    }),
  );
  conn.close();
  await process.status;
}
