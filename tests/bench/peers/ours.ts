// Ours, five ways: send() and receive() of bytes, the same borrowed, with json(), web streams, and receiveInto().
//
// usage: deno run -A ours.ts send|borrow|json|streams|into WORKLOAD SIZE COUNT WARM

import {
  bytes,
  type Channel,
  type Child,
  connectToParent,
  json,
  type Serialization,
  spawn,
} from "../../../mod.ts";

const PAUSE_EVERY = 8 << 20;
const PAUSE = 10;
const EXCHANGES = 100;

const isChild = Deno.args[0] === "child";
const [way, workload = "", ...numbers] = Deno.args.slice(isChild ? 1 : 0);
const [size = 0, count = 0, warm = 0] = numbers.map(Number);

interface Format<T> {
  readonly message: T;
  sizeOf(message: T): number;
  fromNumber(n: number): T;
  toNumber(message: T): number;
}

const bytesFormat: Format<Uint8Array<ArrayBuffer>> = {
  message: new Uint8Array(size).fill(0x78),
  sizeOf: (message) => message.length,
  fromNumber: (n) => new TextEncoder().encode(String(n)),
  toNumber: (message) => Number(new TextDecoder().decode(message)),
};

interface Text {
  text: string;
}

const EMPTY = '{"text":""}'.length;
const jsonFormat: Format<Text> = {
  message: { text: "x".repeat(Math.max(0, size - EMPTY)) },
  sizeOf: (message) => message.text.length + EMPTY,
  fromNumber: (n) => ({ text: String(n) }),
  toNumber: (message) => Number(message.text),
};

class Pauses {
  #left = PAUSE_EVERY;

  after(): Promise<void> | undefined {
    if (workload !== "slow" || (this.#left -= size) >= size) return;
    this.#left = PAUSE_EVERY;
    return new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

/** One end of a channel, used by calls. */
class End<T> {
  readonly channel: Channel<T>;
  readonly format: Format<T>;

  constructor(channel: Channel<T>, format: Format<T>) {
    this.channel = channel;
    this.format = format;
  }

  async sendMany(n: number): Promise<void> {
    const { channel, format: { message } } = this;
    for (let i = 0; i < n; i++) await channel.send(message);
  }

  async receiveMany(n: number): Promise<number> {
    const { channel } = this;
    const pauses = new Pauses();
    for (let i = 0; i < n; i++) {
      this.check(await channel.receive());
      const pause = pauses.after();
      if (pause !== undefined) await pause;
    }
    return n;
  }

  check(message: T | null | undefined): T {
    if (message === null || message === undefined) {
      throw new Error("Cannot receive: the other side has closed");
    }
    if (size !== this.format.sizeOf(message)) {
      throw new Error(`Cannot receive: a message is not of ${size} bytes`);
    }
    return message;
  }

  async sendNumber(n: number): Promise<void> {
    await this.channel.send(this.format.fromNumber(n));
  }

  async receiveNumber(): Promise<number> {
    const message = await this.channel.receive();
    return message === null ? -1 : this.format.toNumber(message);
  }

  async sendAndReceiveMany(n: number): Promise<number> {
    const [received] = await Promise.all([
      this.receiveMany(n),
      this.sendMany(n),
    ]);
    return received;
  }
}

/** One end of a channel, used as web streams. */
class StreamsEnd<T> extends End<T> {
  readonly #reader: ReadableStreamDefaultReader<T>;
  readonly #writer: WritableStreamDefaultWriter<T>;

  constructor(channel: Channel<T>, format: Format<T>) {
    super(channel, format);
    this.#reader = channel.readable.getReader();
    this.#writer = channel.writable.getWriter();
  }

  override async sendMany(n: number): Promise<void> {
    const writer = this.#writer;
    const { message } = this.format;
    for (let i = 0; i < n; i++) await writer.write(message);
  }

  override async receiveMany(n: number): Promise<number> {
    const reader = this.#reader;
    const pauses = new Pauses();
    for (let i = 0; i < n; i++) {
      this.check((await reader.read()).value);
      const pause = pauses.after();
      if (pause !== undefined) await pause;
    }
    return n;
  }
}

/** One end of a channel, receiving into a buffer of its own. */
class IntoEnd extends End<Uint8Array<ArrayBuffer>> {
  #view: Uint8Array = new Uint8Array(size);

  override async receiveMany(n: number): Promise<number> {
    const { channel } = this;
    for (let i = 0; i < n; i++) {
      this.#view = this.check(await channel.receiveInto(this.#view));
    }
    return n;
  }
}

async function parent<T>(end: End<T>, n: number): Promise<number> {
  switch (workload) {
    case "roundtrip":
      for (let i = 0; i < n; i++) {
        await end.sendMany(1);
        await end.receiveMany(1);
      }
      return n;
    case "both":
      return await end.sendAndReceiveMany(n) + await end.receiveNumber();
    default:
      await end.sendMany(n);
      return await end.receiveNumber();
  }
}

async function child<T>(end: End<T>): Promise<void> {
  if (workload === "roundtrip" || workload === "children") {
    for (
      let i = 0;
      i < (workload === "children" ? EXCHANGES : warm + count);
      i++
    ) {
      await end.receiveMany(1);
      await end.sendMany(1);
    }
  } else if (workload === "spawn") {
    await end.sendMany(1);
  } else {
    for (const n of [warm, count]) {
      await end.sendNumber(
        workload === "both"
          ? await end.sendAndReceiveMany(n)
          : await end.receiveMany(n),
      );
    }
  }
  await end.channel.receive();
}

function report(line: unknown): void {
  console.log(JSON.stringify(line));
}

async function measure<T>(
  start: () => Promise<Child<T>>,
  endOf: (channel: Channel<T>) => End<T>,
): Promise<void> {
  if (workload === "children") {
    const began = performance.now();
    await Promise.all(Array.from({ length: count }, async () => {
      await using process = await start();
      const end = endOf(process.channel);
      for (let i = 0; i < EXCHANGES; i++) {
        await end.sendMany(1);
        await end.receiveMany(1);
      }
    }));
    report({
      messages: count * EXCHANGES,
      seconds: (performance.now() - began) / 1000,
    });
  } else if (workload === "spawn") {
    let milliseconds = 0;
    for (let i = 0; i < warm + count; i++) {
      const began = performance.now();
      await using process = await start();
      await endOf(process.channel).receiveMany(1);
      if (i >= warm) milliseconds += performance.now() - began;
    }
    report({ messages: count, seconds: milliseconds / 1000 });
  } else {
    await using process = await start();
    const end = endOf(process.channel);
    await parent(end, warm);
    const line = new Uint8Array(1);
    if (workload === "slow") {
      report({ pids: [Deno.pid, process.pid] });
      await Deno.stdin.read(line);
    }
    const began = performance.now();
    const messages = await parent(end, count);
    report({ messages, seconds: (performance.now() - began) / 1000 });
    if (workload === "slow") await Deno.stdin.read(line);
  }
}

const Bytes = way === "streams"
  ? StreamsEnd<Uint8Array<ArrayBuffer>>
  : way === "into"
  ? IntoEnd
  : End<Uint8Array<ArrayBuffer>>;
const bytesEnd = (channel: Channel<Bytes, Bytes>) =>
  new Bytes(channel, bytesFormat);
const jsonEnd = (channel: Channel<Text>) => new End(channel, jsonFormat);
const serialization = json<Text>();
type Bytes = Uint8Array<ArrayBuffer>;
const borrowing: Serialization<Bytes> = bytes({ borrow: way === "borrow" });
const bytesOptions = { serialization: borrowing };

if (isChild) {
  if (way === "json") {
    await child(jsonEnd(await connectToParent({ serialization })));
  } else await child(bytesEnd(await connectToParent(bytesOptions)));
} else {
  const args = ["run", "-A", import.meta.filename ?? "", "child", ...Deno.args];
  if (way === "json") {
    await measure(
      () => spawn(Deno.execPath(), { args, serialization }),
      jsonEnd,
    );
  } else {
    await measure(
      () => spawn(Deno.execPath(), { args, ...bytesOptions }),
      bytesEnd,
    );
  }
}
