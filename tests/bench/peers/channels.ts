// Many channels in one process, both ends of each socket: the memory that they take, and messages through all of them.
// By hand each end has a read of 4 KiB pending, and no frames.
//
// usage: deno run -A --v8-flags=--expose-gc channels.ts own|borrow|conn channels SIZE COUNT WARM CHANNELS

import { bytes, Channel } from "../../../mod.ts";

const [way, _workload, ...numbers] = Deno.args;
const [size = 0, count = 0, warm = 0, channels = 0] = numbers.map(Number);
const message = new Uint8Array(size).fill(0x78);

/** One end: a message is sent, and one is awaited. */
interface End {
  send(): Promise<unknown>;
  /** Resolves to the length of the next message. */
  receive(): Promise<number | undefined>;
}

/** All memory of this process, in KiB, once what is garbage has been collected. */
async function measureMemory(): Promise<number> {
  const gc: unknown = Reflect.get(globalThis, "gc");
  for (let i = 0; i < 3; i++) {
    if (typeof gc === "function") gc();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const status = await Deno.readTextFile("/proc/self/status");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]);
}

async function connect(): Promise<[Deno.Conn, Deno.Conn][]> {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/socket`;
  using listener = Deno.listen({ transport: "unix", path });
  const pairs: [Deno.Conn, Deno.Conn][] = [];
  while (2 * pairs.length < channels) {
    pairs.push(
      await Promise.all([
        Deno.connect({ transport: "unix", path }),
        listener.accept(),
      ]),
    );
  }
  await Deno.remove(directory, { recursive: true });
  return pairs;
}

function endOf(conn: Deno.Conn): End {
  if (way === "conn") {
    const buffer = new Uint8Array(4096);
    return {
      send: () => conn.write(message),
      receive: async () => await conn.read(buffer) ?? undefined,
    };
  }
  const serialization = bytes({ borrow: way === "borrow" });
  const channel = new Channel(conn, { serialization });
  return {
    send: () => channel.send(message),
    receive: async () => (await channel.receive())?.length,
  };
}

let pairs = await connect().catch((error) => {
  throw new Error(
    `Cannot open ${channels} sockets: see ulimit -n`,
    { cause: error },
  );
});
const connected = await measureMemory();
const ends = pairs.flat().map(endOf);
pairs = [];
const made = await measureMemory();

let waiting = ends.map((end) => end.receive());

/** A message through each channel, in both directions; then all wait for the next one. */
async function exchange() {
  await Promise.all(ends.map((end) => end.send()));
  for (const length of await Promise.all(waiting)) {
    if (length !== size) throw new Error(`${length} bytes came of ${size}`);
  }
  waiting = ends.map((end) => end.receive());
}

await exchange();
const idle = await measureMemory();
for (let sent = 0; sent < warm; sent += channels) await exchange();
const began = performance.now();
let messages = 0;
for (; messages < count; messages += channels) await exchange();
const seconds = (performance.now() - began) / 1000;
const after = await measureMemory();
console.log(JSON.stringify({
  messages,
  seconds,
  memory: {
    "process MiB": idle / 1024,
    "new KiB a channel": (made - connected) / channels,
    "idle KiB a channel": (idle - made) / channels,
    "idle again KiB a channel": (after - made) / channels,
  },
}));
Deno.exit();
